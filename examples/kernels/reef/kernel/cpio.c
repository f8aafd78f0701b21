/* SPDX-License-Identifier: MIT */
/*
 * cpio.c: the archive that fills the tree in memory: cpio's "newc" form, as Linux takes it for an initramfs. Files' bytes stay
 * where they are in the archive. Devices in it are left out: we have our own.
 *
 * Source  Linux, Documentation/driver-api/early-userspace/buffer-format.rst
 */
#include "memfs.h"

#define HEADER 110u
enum { INODE = 0, MODE, UID, GID, LINKS, TIME, SIZE, MAJOR, MINOR, RMAJOR, RMINOR, NAME_LEN, CHECK, FIELDS };

struct link { /* a file of several names: its bytes come with the last */
	uint64_t number;
	struct inode *inode;
	struct link *next;
};

static bool hex(const char *s, uint64_t *value)
{
	*value = 0;
	for (int i = 0; i < 8; i++) {
		char c = s[i];
		int digit = c >= '0' && c <= '9'		 ? c - '0'
			    : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
								 : -1;

		if (digit < 0)
			return false;
		*value = *value << 4 | (uint64_t)digit;
	}
	return true;
}

static uint64_t align4(uint64_t n)
{
	return (n + 3) & ~3ull;
}

/* Locked. Another name for a file that we have, with its bytes if they come here. */
static long add_link(struct inode *i, const char *path, char *data, uint64_t len)
{
	struct place p;
	long err = place_find(memfs_root, path, false, &p);

	if (err)
		return err;
	if (!p.inode)
		err = dir_add(p.dir, p.name, p.len, i);
	if (len) {
		i->data = data;
		i->size = i->room = len;
		i->borrowed = true;
	}
	place_put(&p);
	return err;
}

static long add(const uint64_t *field, const char *path, char *data, struct link **links)
{
	uint32_t mode = (uint32_t)field[MODE], type = mode & S_IFMT;
	struct link *l = *links;
	struct place p;
	long err;

	if (type != S_IFREG && type != S_IFDIR && type != S_IFLNK)
		return 0;
	if (type == S_IFREG && field[LINKS] > 1) {
		while (l && l->number != field[INODE])
			l = l->next;
		if (l) {
			mutex_lock(&memfs_lock);
			err = add_link(l->inode, path, data, field[SIZE]);
			mutex_unlock(&memfs_lock);
			return err;
		}
	}
	err = memfs_put(path, mode, data, field[SIZE], NULL);
	if (err || type != S_IFREG || field[LINKS] < 2 || !(l = malloc(sizeof(*l))))
		return err;
	mutex_lock(&memfs_lock);
	err = place_find(memfs_root, path, false, &p);
	*l = (struct link){ field[INODE], err ? NULL : p.inode, *links };
	*links = l;
	if (!err)
		place_put(&p); /* its name keeps it */
	mutex_unlock(&memfs_lock);
	return err;
}

/* The entry at (at), which then is the next. 1: it was the last. */
static long one(const char *archive, uint64_t len, uint64_t *at, struct link **links)
{
	uint64_t field[FIELDS], name, data;
	const char *h = archive + *at;
	long err;

	if (len - *at < HEADER || (memcmp(h, "070701", 6) && memcmp(h, "070702", 6)))
		return -EINVAL;
	for (int i = 0; i < FIELDS; i++)
		if (!hex(h + 6 + 8 * i, &field[i]))
			return -EINVAL;
	name = *at + HEADER;
	data = align4(name + field[NAME_LEN]);
	if (!field[NAME_LEN] || field[NAME_LEN] > PATH_ROOM || data > len || field[SIZE] > len - data ||
		archive[name + field[NAME_LEN] - 1])
		return -EINVAL;
	*at = align4(data + field[SIZE]);
	if (!strcmp(archive + name, "TRAILER!!!"))
		return 1;
	err = add(field, archive + name, (char *)archive + data, links);
	if (err)
		print("%s: the archive's %s cannot be made: error %ld\n", KERNEL_NAME, archive + name, -err);
	return 0;
}

long cpio_unpack(const char *archive, uint64_t len)
{
	struct link *links = NULL;
	uint64_t at = 0;
	long err = 0;

	while (!err && at < len)
		err = one(archive, len, &at, &links);
	while (links) {
		struct link *l = links;

		links = l->next;
		free(l);
	}
	if (err < 0)
		print("%s: the archive of %lu bytes is no cpio of the form newc, or damaged, at byte %lu\n",
			KERNEL_NAME, len, at);
	return err < 0 ? err : 0;
}
