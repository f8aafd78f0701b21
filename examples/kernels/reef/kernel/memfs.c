/* SPDX-License-Identifier: MIT */
/* memfs.c: inodes, directories, and open files of the tree in memory. */
#include "memfs.h"

#define DT_SHIFT  12 /* from a mode to the type in a directory entry */
#define SIZE_MOST (1ull << 40)

struct mutex memfs_lock;
struct inode *memfs_root;

struct inode *inode_new(uint32_t mode)
{
	static uint64_t last;
	struct inode *i = calloc(1, sizeof(*i));
	uint64_t now = clock_wall();

	if (!i)
		return NULL;
	i->number = __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
	i->mode = mode;
	i->users = 1;
	i->modified = (struct timespec){ (int64_t)(now / 1000000000), (int64_t)(now % 1000000000) };
	return i;
}

static void drop_if_unused(struct inode *i)
{
	if (i->users || i->links)
		return;
	if (!i->borrowed)
		free(i->data);
	free(i);
}

void inode_put(struct inode *i)
{
	i->users--;
	drop_if_unused(i);
}

struct entry *dir_find(struct inode *dir, const char *name, size_t len)
{
	for (struct entry *e = dir->entries; e; e = e->next)
		if (strlen(e->name) == len && !memcmp(e->name, name, len))
			return e;
	return NULL;
}

long dir_add(struct inode *dir, const char *name, size_t len, struct inode *i)
{
	static uint64_t last = 2;
	struct entry *e, **at = &dir->entries;

	if (len > NAME_MOST)
		return -ENAMETOOLONG;
	if (!dir->links && dir != memfs_root)
		return -ENOENT;
	e = malloc(sizeof(*e) + len + 1);
	if (!e)
		return -ENOSPC;
	while (*at)
		at = &(*at)->next;
	e->next = NULL;
	e->inode = i;
	e->order = ++last;
	memcpy(e->name, name, len);
	e->name[len] = '\0';
	*at = e;
	i->links++;
	if ((i->mode & S_IFMT) == S_IFDIR)
		i->parent = dir;
	return 0;
}

long dir_remove(struct inode *dir, const char *name, size_t len)
{
	for (struct entry **at = &dir->entries, *e; (e = *at); at = &e->next)
		if (strlen(e->name) == len && !memcmp(e->name, name, len)) {
			*at = e->next;
			e->inode->links--;
			drop_if_unused(e->inode);
			free(e);
			return 0;
		}
	return -ENOENT;
}

long inode_resize(struct inode *i, uint64_t size)
{
	char *data = i->data;

	if (size > SIZE_MOST)
		return -EFBIG;
	if (size > i->room || (i->borrowed && size)) {
		uint64_t room = size < 256 ? 256 : size + size / 2;

		data = i->borrowed ? malloc(room) : realloc(i->data, room);
		if (!data)
			return -ENOSPC;
		if (i->borrowed)
			memcpy(data, i->data, i->size < size ? i->size : size);
		i->data = data;
		i->room = room;
		i->borrowed = false;
	}
	if (size > i->size)
		memset(data + i->size, 0, size - i->size);
	i->size = size;
	return 0;
}

void inode_stat(const struct inode *i, struct stat *st)
{
	*st = (struct stat){ .dev = 1,
		.ino = i->number,
		.nlink = i->links ? i->links : 1,
		.mode = i->mode,
		.size = (int64_t)i->size,
		.blksize = PAGE,
		.blocks = (int64_t)((i->size + 511) / 512),
		.accessed = i->modified,
		.modified = i->modified,
		.changed = i->modified };
	if ((i->mode & S_IFMT) == S_IFDIR)
		st->nlink = 2;
	if ((i->mode & S_IFMT) == S_IFCHR)
		st->rdev = 1 << 8 | (i->number & 0xff);
}

static long file_pread(struct file *f, void *buf, size_t len, uint64_t at)
{
	struct inode *i = f->own;
	long n = 0;

	if ((i->mode & S_IFMT) == S_IFDIR)
		return -EISDIR;
	mutex_lock(&memfs_lock);
	if (at < i->size) {
		n = (long)(i->size - at < len ? i->size - at : len);
		if (copy_out(buf, i->data + at, (size_t)n))
			n = -EFAULT;
	}
	mutex_unlock(&memfs_lock);
	return n;
}

static long file_pwrite(struct file *f, const void *buf, size_t len, uint64_t at)
{
	struct inode *i = f->own;
	uint64_t now = clock_wall();
	long err = 0;

	if (at > SIZE_MOST || len > SIZE_MOST)
		return -EFBIG;
	mutex_lock(&memfs_lock);
	if (at + len > i->size || i->borrowed)
		err = inode_resize(i, at + len > i->size ? at + len : i->size);
	if (!err)
		err = copy_in(i->data + at, buf, len);
	i->modified = (struct timespec){ (int64_t)(now / 1000000000), (int64_t)(now % 1000000000) };
	mutex_unlock(&memfs_lock);
	return err ? err : (long)len;
}

static long file_read(struct file *f, void *buf, size_t len)
{
	long n;

	mutex_lock(&f->mutex);
	n = file_pread(f, buf, len, f->at);
	if (n > 0)
		f->at += (uint64_t)n;
	mutex_unlock(&f->mutex);
	return n;
}

static long file_write(struct file *f, const void *buf, size_t len)
{
	const struct inode *i = f->own;
	long n;

	mutex_lock(&f->mutex);
	if (f->flags & O_APPEND)
		f->at = i->size;
	n = file_pwrite(f, buf, len, f->at);
	if (n > 0)
		f->at += (uint64_t)n;
	mutex_unlock(&f->mutex);
	return n;
}

enum { SEEK_SET, SEEK_CUR, SEEK_END, SEEK_DATA, SEEK_HOLE };

static long file_lseek(struct file *f, int64_t offset, int whence)
{
	const struct inode *i = f->own;
	int64_t base = 0;

	mutex_lock(&f->mutex);
	if (whence == SEEK_CUR)
		base = (int64_t)f->at;
	else if (whence == SEEK_END || whence == SEEK_HOLE)
		base = (int64_t)i->size;
	if (whence == SEEK_HOLE)
		offset = 0;
	if (whence < 0 || whence > SEEK_HOLE || __builtin_add_overflow(base, offset, &base) || base < 0)
		base = -EINVAL;
	else
		f->at = (uint64_t)base;
	mutex_unlock(&f->mutex);
	return base;
}

static long memfs_stat(struct file *f, struct stat *st)
{
	inode_stat(f->own, st);
	return 0;
}

static long file_truncate(struct file *f, uint64_t len)
{
	long err;

	mutex_lock(&memfs_lock);
	err = inode_resize(f->own, len);
	mutex_unlock(&memfs_lock);
	return err;
}

struct dirent {
	uint64_t ino;
	int64_t next;
	uint16_t len;
	uint8_t type;
	char name[NAME_MOST + 8];
};

/* -EINVAL: the first does not fit. */
static long put_dirent(
	char *buf, size_t len, long done, const struct inode *i, uint64_t order, const char *name)
{
	struct dirent d = {
		.ino = i->number, .next = (int64_t)order, .type = (uint8_t)((i->mode & S_IFMT) >> DT_SHIFT)
	};
	size_t n = strlen(name);

	d.len = (uint16_t)((offsetof(struct dirent, name) + n + 1 + 7) & ~7ul);
	if ((size_t)done + d.len > len)
		return done ? 0 : -EINVAL;
	memcpy(d.name, name, n);
	return copy_out(buf + done, &d, d.len) ? -EFAULT : d.len;
}

/* The position is the order of the last entry given; . and .. are 1 and 2. */
static long file_getdents(struct file *f, void *buf, size_t len)
{
	struct inode *i = f->own;
	long done = 0, n = 1;

	if ((i->mode & S_IFMT) != S_IFDIR)
		return -ENOTDIR;
	mutex_lock(&memfs_lock);
	for (; f->at < 2 && n > 0; done += n > 0 ? n : 0) {
		n = put_dirent(buf, len, done, f->at ? i->parent : i, f->at + 1, f->at ? ".." : ".");
		f->at += n > 0;
	}
	for (struct entry *e = i->entries; e && n > 0; e = e->next) {
		if (e->order <= f->at)
			continue;
		n = put_dirent(buf, len, done, e->inode, e->order, e->name);
		if (n > 0) {
			done += n;
			f->at = e->order;
		}
	}
	mutex_unlock(&memfs_lock);
	return n < 0 ? n : done;
}

static void memfs_close(struct file *f)
{
	mutex_lock(&memfs_lock);
	inode_put(f->own);
	mutex_unlock(&memfs_lock);
}

const struct file_ops memfs_ops = { .name = "file",
	.read = file_read,
	.write = file_write,
	.pread = file_pread,
	.pwrite = file_pwrite,
	.lseek = file_lseek,
	.stat = memfs_stat,
	.getdents = file_getdents,
	.truncate = file_truncate,
	.close = memfs_close };

/* A device's file does not need its inode any more. */
struct file *memfs_file(struct inode *i, unsigned flags)
{
	struct file *f = file_new(i->device ? i->device : &memfs_ops, flags, i->device ? NULL : i);

	if (f && i->device)
		inode_put(i);
	return f;
}

long memfs_init(void)
{
	static const char *const dirs[] = { "/dev", "/dev/shm", "/proc", "/proc/self", "/tmp", "/etc",
		"/root", "/run" };
	long err = 0;

	memfs_root = inode_new(S_IFDIR | 0755);
	if (!memfs_root)
		return -ENOMEM;
	memfs_root->parent = memfs_root;
	for (unsigned i = 0; i < sizeof(dirs) / sizeof(dirs[0]) && !err; i++)
		err = memfs_put(dirs[i], S_IFDIR | 0755, NULL, 0, NULL);
	return err ? err : devfile_init();
}
