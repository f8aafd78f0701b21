/* SPDX-License-Identifier: MIT */
/*
 * proc.c: the little of /proc that is about the program itself, which a delegate would answer for its own process: exe and maps.
 */
#include "delegate.h"
#include "elf.h"
#include "memfs.h"

#define MAPS_ROOM 0x80000u
#define LINE_MOST 80u

struct text {
	char *at, *end;
};

static void put_hex(struct text *t, uint64_t n)
{
	int shift = 44;

	for (; shift > 28 && !(n >> shift); shift -= 4)
		;
	for (; shift >= 0; shift -= 4)
		*t->at++ = "0123456789abcdef"[n >> shift & 15];
}

/* region.c's lock is held: the text's memory is there. */
static void put_region(const struct region_seen *r, void *arg)
{
	static const char rest[] = "p 00000000 00:00 0\n";
	struct text *t = arg;

	if (r->end > GUEST_PROGRAM_END || t->end - t->at < (long)LINE_MOST)
		return;
	put_hex(t, r->start);
	*t->at++ = '-';
	put_hex(t, r->end);
	*t->at++ = ' ';
	*t->at++ = r->protection & REGION_READ ? 'r' : '-';
	*t->at++ = r->protection & REGION_WRITE ? 'w' : '-';
	*t->at++ = r->protection & REGION_EXEC ? 'x' : '-';
	memcpy(t->at, rest, sizeof(rest) - 1);
	t->at += sizeof(rest) - 1;
}

/* /proc/self/maps; free it. NULL: no memory. */
static char *maps(uint64_t *len)
{
	char *room = malloc(MAPS_ROOM);
	struct text t = { room, room + MAPS_ROOM };

	if (!room)
		return NULL;
	region_each(put_region, &t);
	*len = (uint64_t)(t.at - room);
	return room;
}

void proc_refresh(const char *path)
{
	uint64_t len;
	char *text;

	if (strcmp(path, "/proc/self/maps") || !(text = maps(&len)))
		return;
	if (memfs_give(path, S_IFREG | 0444, text, len))
		free(text);
}

static bool is_path(uint64_t user, const char *path)
{
	char name[24];

	return string_in(name, (const char *)user, sizeof(name)) >= 0 && !strcmp(name, path);
}

enum {
	CALL_WRITE = 1,
	CALL_OPEN = 2,
	CALL_LSEEK = 8,
	CALL_READLINK = 89,
	CALL_OPENAT = 257,
	CALL_READLINKAT = 267,
	CALL_MEMFD = 319
};

/* A file of the delegate with the text in it. */
static long open_maps(void)
{
	uint64_t len, room;
	char *text = maps(&len);
	long fd = -ENOMEM;

	room = (len + PAGE) & ~(PAGE - 1);
	char *shared = text ? (char *)region_add(REGION_PROGRAM, room, REGION_READ | REGION_WRITE) : NULL;

	if (shared && !copy_out(shared, text, len)) {
		fd = DELEGATE(CALL_MEMFD, program_name);
		if (fd >= 0) {
			DELEGATE(CALL_WRITE, (uint64_t)fd, (uint64_t)shared, len);
			DELEGATE(CALL_LSEEK, (uint64_t)fd, 0, 0);
		}
	}
	if (shared)
		region_remove((uint64_t)shared, room);
	free(text);
	return fd;
}

static long read_exe(char *to, size_t room)
{
	char *path = malloc(PATH_ROOM);
	long n = path ? string_in(path, (const char *)program_name, PATH_ROOM) : -ENOMEM;

	if (n > 0) {
		n = n < (long)room ? n : (long)room;
		if (copy_out(to, path, (size_t)n))
			n = -EFAULT;
	}
	free(path);
	return n;
}

bool proc_answers(struct frame *f, uint64_t number, long *result)
{
	bool at = number == CALL_OPENAT || number == CALL_READLINKAT;
	uint64_t path = at ? ARG2 : ARG1;

	if (number != CALL_OPEN && number != CALL_READLINK && !at)
		return false;
	if (number == CALL_READLINK || number == CALL_READLINKAT) {
		if (!is_path(path, "/proc/self/exe"))
			return false;
		*result = at ? read_exe((char *)ARG3, ARG4) : read_exe((char *)ARG2, ARG3);
		return true;
	}
	if (is_path(path, "/proc/self/exe")) { /* another name for the same */
		*(at ? &ARG2 : &ARG1) = program_name;
		return false;
	}
	if (!is_path(path, "/proc/self/maps"))
		return false;
	*result = open_maps();
	return true;
}
