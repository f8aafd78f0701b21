/* SPDX-License-Identifier: MIT */
/*
 * tree.c: directories that something untrusted wrote. Symbolic links are never followed.
 */
#include "deployers/build/build.h"

#include <errno.h>
#include <fts.h>
#include <sys/stat.h>
#include <unistd.h>

static FTS *walk(const char *dir)
{
	char *paths[] = { (char *)(uintptr_t)dir, NULL };

	return fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
}

int tree_give(const char *dir, uid_t uid, gid_t gid)
{
	FTS *f = walk(dir);
	int err = f ? 0 : -errno;

	for (FTSENT *e; f && !err && (e = fts_read(f));) {
		if (e->fts_info == FTS_DP)
			continue;
		if (e->fts_info == FTS_ERR || e->fts_info == FTS_DNR)
			err = -e->fts_errno;
		else if (lchown(e->fts_accpath, uid, gid) < 0)
			err = -errno;
	}
	if (f)
		fts_close(f);
	return err;
}

int tree_tidy(const char *dir, struct buf *said)
{
	FTS *f = walk(dir);
	int err = f ? 0 : -errno;

	for (FTSENT *e; f && !err && (e = fts_read(f));) {
		mode_t x = e->fts_info == FTS_D || e->fts_info == FTS_F ? e->fts_statp->st_mode & 0111 : 0;

		if (e->fts_info == FTS_DP)
			continue;
		if (e->fts_info == FTS_D || e->fts_info == FTS_DNR) {
			/* A directory without permissions is listed the next time: chmod comes before fts
			 * opens it. */
			if (chmod(e->fts_accpath, 0755) < 0)
				err = -errno;
		} else if (e->fts_info == FTS_F) {
			if (chmod(e->fts_accpath, x ? 0755 : 0644) < 0)
				err = -errno;
		} else {
			buf_printf(said, "[diverfs: out/%s is not a regular file: removed]\n",
				e->fts_path + e->fts_pathlen - e->fts_namelen);
			if (unlink(e->fts_accpath) < 0)
				err = -errno;
		}
	}
	if (f)
		fts_close(f);
	return err;
}

uint64_t tree_bytes(const char *dir)
{
	FTS *f = walk(dir);
	uint64_t sum = 0;

	for (FTSENT *e; f && (e = fts_read(f));)
		if (e->fts_info != FTS_DP && e->fts_info != FTS_NS && e->fts_info != FTS_ERR)
			sum += (uint64_t)e->fts_statp->st_blocks * 512;
	if (f)
		fts_close(f);
	return sum;
}
