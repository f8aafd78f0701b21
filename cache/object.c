/* SPDX-License-Identifier: MIT */
/* object.c: verified bytes on disk. */
#include "cache/object.h"

#include "cache/base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int object_get(int dirfd, const struct digest *d, size_t max, struct buf *out)
{
	char name[DIGEST_HEX_LEN + 1];
	struct digest is;
	digest_hex(d, name);
	if (dirfd < 0 || io_read_file(dirfd, name, max, out) < 0)
		return -ENOENT;
	digest_of(out->data ? out->data : "", out->len, &is);
	if (digest_equal(&is, d)) {
		utimensat(dirfd, name, NULL, AT_SYMLINK_NOFOLLOW); /* used: not the next to be evicted */
		return 0;
	}
	log_warn("cache: object %s has rotted and is fetched again", name);
	unlinkat(dirfd, name, 0);
	buf_clear(out);
	return -ENOENT;
}

int object_put(int dirfd, struct room *room, const struct digest *d, const struct buf *bytes, struct why *why)
{
	char name[DIGEST_HEX_LEN + 1];
	struct digest is;
	digest_hex(d, name);
	digest_of(bytes->data ? bytes->data : "", bytes->len, &is);
	if (!digest_equal(&is, d))
		return why_fail(why, -EILSEQ, "the bytes do not match their digest sha256:%s", name);
	int err = dirfd < 0 ? 0
			    : room_write_file(room, dirfd, name, bytes->data ? bytes->data : "", bytes->len);
	if (err < 0)
		log_warn("cache: cannot keep object %s: %s", name, err_text(err));
	return 0;
}
