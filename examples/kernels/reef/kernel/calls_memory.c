/* SPDX-License-Identifier: MIT */
/*
 * calls_memory.c: mmap and its family. Files are mapped by reading them, large ones of the delegate as they are touched, others
 * at once: what is changed there or here later the other side does not see, so a file mapped to be shared and written is refused.
 */
#include "delegate.h"
#include "elf.h"

#define MAP_SHARED	    0x01u
#define MAP_TYPE	    0x0fu
#define MAP_FIXED	    0x10u
#define MAP_ANONYMOUS	    0x20u
#define MAP_NORESERVE	    0x4000u
#define MAP_POPULATE	    0x8000u
#define MAP_FIXED_NOREPLACE 0x100000u

static uint64_t whole_pages(uint64_t len)
{
	return (len + PAGE - 1) & ~(PAGE - 1);
}

static enum region_space space(void)
{
	return program_runs ? REGION_PROGRAM : REGION_KERNEL;
}

/* Where the mapping goes; -errno. */
static long choose(uint64_t hint, uint64_t len, unsigned flags, unsigned protection)
{
	uint64_t a = hint & ~(PAGE - 1);

	if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) {
		if (hint % PAGE)
			return -EINVAL;
		if (flags & MAP_FIXED_NOREPLACE && !region_free(hint, len))
			return -EEXIST;
		return region_add_at(hint, len, protection) ? -ENOMEM : (long)hint;
	}
	if (a && program_runs && region_free(a, len))
		return region_add_at(a, len, protection) ? -ENOMEM : (long)a;
	a = region_add(space(), len, protection);
	return a ? (long)a : -ENOMEM;
}

static long read_file(uint64_t fd, char *to, uint64_t len, uint64_t at)
{
	bool delegated = program_runs && delegate_there();
	struct file *file = delegated ? NULL : fd_get(fd);
	long n = 1, done = 0;

	if (!delegated && (!file || !file->ops->pread))
		n = file ? -ENODEV : -EBADF;
	while (n > 0 && (uint64_t)done < len) {
		uint64_t rest = len - (uint64_t)done;

		if (delegated)
			n = touch_out(to + done, rest) ? -ENOMEM
						       : DELEGATE(17, fd, (uint64_t)to + (uint64_t)done, rest,
								 at + (uint64_t)done);
		else
			n = file->ops->pread(file, to + done, rest, at + (uint64_t)done);
		done += n > 0 ? n : 0;
	}
	if (file)
		file_put(file);
	return n < 0 ? n : done;
}

enum { CALL_FCNTL = 72, DUPFD_CLOEXEC = 1030, OURS_FROM = 20000, OURS_AT_LEAST = 500 };
#define LAZY_FROM 0x100000u /* smaller mappings are read at once */

/* A large file of the delegate is read as it is touched, by a descriptor of our own that the program does not meet. */
static bool map_lazily(uint64_t fd, uint64_t a, uint64_t len, uint64_t offset)
{
	struct file *file = NULL;
	long ours;

	if (!program_runs || !delegate_there() || len < LAZY_FROM)
		return false;
	ours = DELEGATE(CALL_FCNTL, fd, DUPFD_CLOEXEC, OURS_FROM);
	if (ours == -EINVAL) /* the agent may not have so many */
		ours = DELEGATE(CALL_FCNTL, fd, DUPFD_CLOEXEC, OURS_AT_LEAST);
	if (ours >= 0)
		file = delegate_own((uint64_t)ours);
	if (!file)
		return false;
	if (region_back(a, len, file, offset))
		return true;
	file_put(file);
	return false;
}

static long map_file(struct frame *f, uint64_t len)
{
	unsigned flags = (unsigned)ARG4, protection = (unsigned)ARG3 & 7;
	long a, n;

	if ((flags & MAP_TYPE) == MAP_SHARED && protection & REGION_WRITE) {
		print("%s: mmap: a file cannot be shared and written\n", KERNEL_NAME);
		return -ENODEV;
	}
	if (ARG6 % PAGE)
		return -EINVAL;
	a = choose(ARG1, len, flags, REGION_READ | REGION_WRITE);
	if (a < 0 && a > -4096)
		return a;
	if (map_lazily(ARG5, (uint64_t)a, len, ARG6))
		n = 0;
	else
		n = read_file(ARG5, (char *)a, ARG2, ARG6);
	if (n < 0) {
		region_remove((uint64_t)a, len);
		return n;
	}
	if (protection != (REGION_READ | REGION_WRITE))
		region_protect((uint64_t)a, len, protection);
	return a;
}

CALL(mmap)
{
	uint64_t len = whole_pages(ARG2);
	unsigned flags = (unsigned)ARG4;
	long a;

	if (!len || len < ARG2)
		return len ? -ENOMEM : -EINVAL;
	if (!(flags & MAP_ANONYMOUS))
		return map_file(f, len);
	if (ARG3 & REGION_WRITE && !(flags & MAP_NORESERVE) && len > page_total())
		return -ENOMEM; /* what can never be had */
	a = choose(ARG1, len, flags, (unsigned)ARG3 & 7);
	if ((a >= 0 || a < -4095) && flags & MAP_POPULATE && ARG3 & REGION_WRITE)
		touch_out((void *)a, len);
	return a;
}

CALL(munmap)
{
	long err = region_remove(ARG1, whole_pages(ARG2)) ? -EINVAL : 0;

	region_settle();
	return err;
}

CALL(mprotect)
{
	if (ARG1 % PAGE || ARG3 & ~0x1000007ull)
		return -EINVAL;
	return !ARG2 || !region_protect(ARG1, whole_pages(ARG2), (unsigned)ARG3 & 7) ? 0 : -ENOMEM;
}

#define REMAP_MAYMOVE 1u
#define REMAP_FIXED   2u

static long move(struct frame *f, uint64_t old_len, uint64_t new_len, unsigned protection)
{
	uint64_t to = ARG5;

	if (!(ARG4 & REMAP_MAYMOVE))
		return -ENOMEM;
	if (protection)
		touch_in((void *)ARG1, old_len); /* what is read from a file is read now */
	if (!(ARG4 & REMAP_FIXED))
		to = region_add(space(), new_len, protection);
	else if (to % PAGE || to + new_len < to || (to < ARG1 + old_len && ARG1 < to + new_len))
		return -EINVAL;
	else if (region_add_at(to, new_len, protection))
		to = 0;
	if (!to || region_move(ARG1, to, old_len < new_len ? old_len : new_len))
		return -ENOMEM;
	region_remove(ARG1, old_len);
	return (long)to;
}

CALL(mremap)
{
	uint64_t old_len = whole_pages(ARG2), new_len = whole_pages(ARG3);
	int protection;

	if (ARG1 % PAGE || !new_len || !old_len || ARG4 & ~3ull)
		return -EINVAL;
	protection = region_protection(ARG1, old_len);
	if (protection < 0)
		return -EFAULT;
	if (ARG4 & REMAP_FIXED)
		return move(f, old_len, new_len, (unsigned)protection);
	if (new_len < old_len)
		region_remove(ARG1 + new_len, old_len - new_len);
	if (new_len <= old_len)
		return (long)ARG1;
	if (region_free(ARG1 + old_len, new_len - old_len + PAGE) &&
		!region_add_at(ARG1 + old_len, new_len - old_len, (unsigned)protection))
		return (long)ARG1;
	return move(f, old_len, new_len, (unsigned)protection);
}

CALL(brk)
{
	return program_brk(ARG1);
}

enum { DONTNEED = 4, REMOVE = 9 };

CALL(madvise)
{
	if (ARG1 % PAGE)
		return -EINVAL;
	if (ARG2 && (ARG3 == DONTNEED || ARG3 == REMOVE))
		return region_discard(ARG1, whole_pages(ARG2)) ? -ENOMEM : 0;
	return 0;
}

CALL(mincore)
{
	uint8_t one = 1;

	for (uint64_t i = 0; i < whole_pages(ARG2) / PAGE; i++)
		if (copy_out((uint8_t *)ARG3 + i, &one, 1))
			return -EFAULT;
	return 0;
}

/* Nothing is ever written back, nor swapped. */
#define NOTHING_TO_DO(call)                                                                                  \
	CALL(call)                                                                                           \
	{                                                                                                    \
		(void)f;                                                                                     \
		return 0;                                                                                    \
	}
NOTHING_TO_DO(msync)
NOTHING_TO_DO(mlock)
NOTHING_TO_DO(mlock2)
NOTHING_TO_DO(munlock)
NOTHING_TO_DO(mlockall)
NOTHING_TO_DO(munlockall)
