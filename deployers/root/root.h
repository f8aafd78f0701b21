/* SPDX-License-Identifier: MIT */
/*
 * root.h: what a Linux program on a specialised kernel sees as its root: the program, its interpreter and shared
 * libraries from the host, what `files` names, the application's src/; or a directory as it is. Packed as squashfs.
 *
 * Shape    elf.c what a program needs, libs.c where that is, tree.c the list of all that goes in, tar.c that list as a
 *          stream, pack.c mksquashfs, which gets nothing but the stream; main.c the order
 * Trust    none in ELF files: they are read, never run; every offset is checked. mksquashfs runs without root's rights and
 *          with limits
 * Threads  one
 */
#ifndef ROOT_ROOT_H
#define ROOT_ROOT_H

#include "cache/base/buf.h"
#include "cache/base/log.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#define ROOT_ENTRIES_MAX 200000u
#define ROOT_BYTES_MAX	 (UINT64_C(8) << 30)
#define ROOT_DEPTH_MAX	 64u
#define ROOT_NEEDED_MAX	 256u

/* elf.c: what a dynamic program or library says. Strings are owned. */
struct elf {
	bool elf;	   /* it is one, for x86-64 */
	char *interpreter; /* NULL: static, or a library */
	char *runpath;	   /* RUNPATH, or RPATH; NULL */
	char **needed;
	size_t count;
};
/* 0 also for what is no ELF; -ENOEXEC for a damaged one, in words. */
int elf_read(int fd, const char *path, struct elf *out, struct why *why);
void elf_free(struct elf *e);

/* libs.c: where the loader would find (name) for the program or library at (origin). "" in (out) if nowhere. */
struct libs {
	struct buf cache;  /* /etc/ld.so.cache */
	bool cache_wanted; /* something was found only by it */
};
void libs_open(struct libs *l);
void libs_find(struct libs *l, const char *root, const char *name, const struct elf *of, const char *origin,
	char *out, size_t size);
void libs_close(struct libs *l);

/* tree.c: the list, sorted by the path inside. */
struct root_entry {
	char *path; /* inside, without the first slash */
	char *from; /* on the host; NULL: made here: a directory, or a file with (text) */
	char *text; /* of a file, or target of a link */
	mode_t mode;
	uint64_t size;
	int64_t mtime_ns, ctime_ns;
	uint64_t inode;
};
struct root_tree {
	struct root_entry *entry;
	size_t count, room;
	uint32_t *slot; /* hash table of indices + 1, by path */
	size_t slots;
	uint64_t bytes;
	struct libs libs;
	const char
		*prefix; /* of the host's paths: "" or root = DIR, where links and libraries are looked up */
};
void tree_init(struct root_tree *t);
void tree_free(struct root_tree *t);
void tree_dir(struct root_tree *t, const char *path, mode_t mode);
void tree_file(struct root_tree *t, const char *path, const char *text);
/* The host's (from) appears at (to), with all below. Links stay links. */
int tree_add(struct root_tree *t, const char *from, const char *to, struct why *why);
/* A path of the host appears at the same path, what its links lead to as well, and of programs and libraries what they need. */
int tree_add_host(struct root_tree *t, const char *path, struct why *why);
/* What programs need that are in the tree already, below (inside). */
int tree_add_needs(struct root_tree *t, const char *inside, struct why *why);
bool tree_has(const struct root_tree *t, const char *path);
void tree_sort(struct root_tree *t); /* and leaves out what is there twice */
/* A name for what the tree is now, 32 digits. */
void tree_fingerprint(const struct root_tree *t, char out[33]);

/* tar.c */
int tar_write(const struct root_tree *t, int fd, struct why *why);

/* pack.c: the packed tree, from (roots)/NAME.squashfs if it is there, else made. */
int pack(const struct root_tree *t, const char *roots, char *path, size_t size, struct why *why);

#endif
