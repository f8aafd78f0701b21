/* SPDX-License-Identifier: MIT */
/*
 * elf.c: an ELF64 file for x86-64 becomes memory: each PT_LOAD a region with its bytes. Programs linked for fixed addresses
 * go there, the others to PROGRAM_PIE or, interpreters, wherever is room. Nothing in the file is believed before it was checked.
 */
#include "elf.h"

#define PROGRAM_PIE  0x555555554000ull
#define HEADERS_MOST 64u
#define MACHINE	     62 /* x86-64 */
#define FIXED	     2
#define MOVABLE	     3

enum { PT_LOAD = 1, PT_INTERP = 3 };
struct header {
	uint8_t ident[16];
	uint16_t type, machine;
	uint32_t version;
	uint64_t entry, phoff, shoff;
	uint32_t flags;
	uint16_t len, phlen, phnum, rest[3];
};
_Static_assert(sizeof(struct header) == 64 && sizeof(struct program_header) == 56, "ELF's layout");

struct load {
	struct file *file;
	const char *path;
	struct header header;
	struct program_header headers[HEADERS_MOST];
	uint64_t start, end; /* of all PT_LOADs, in pages, before moving */
	uint64_t file_size;
};

static long bad(const struct load *l, const char *why)
{
	print("%s: %s is no program that can run here: %s\n", KERNEL_NAME, l->path, why);
	return -ENOEXEC;
}

static bool whole_read(struct file *f, void *buf, size_t len, uint64_t at)
{
	for (size_t done = 0; done < len;) {
		long n = f->ops->pread(f, (char *)buf + done, len - done, at + done);

		if (n <= 0)
			return false;
		done += (size_t)n;
	}
	return true;
}

static long read_headers(struct load *l)
{
	struct header *h = &l->header;
	struct stat st;

	if (!l->file->ops->pread || file_stat(l->file, &st) || (st.mode & S_IFMT) != S_IFREG)
		return bad(l, "it is not a file");
	l->file_size = (uint64_t)st.size;
	if (!whole_read(l->file, h, sizeof(*h), 0))
		return bad(l, "it is too short");
	if (memcmp(h->ident, "\177ELF", 4))
		return bad(l, "it is not in the ELF format");
	if (h->ident[4] != 2 || h->ident[5] != 1 || h->machine != MACHINE)
		return bad(l, "it is for another machine than 64-bit x86");
	if (h->type != FIXED && h->type != MOVABLE)
		return bad(l, "it is an object, not a program");
	if (h->phlen != sizeof(struct program_header) || !h->phnum || h->phnum > HEADERS_MOST)
		return bad(l, "it has no program headers, or too many");
	if (!whole_read(l->file, l->headers, h->phnum * sizeof(l->headers[0]), h->phoff))
		return bad(l, "its program headers are cut off");
	return 0;
}

static uint64_t down(uint64_t a)
{
	return a & ~(PAGE - 1);
}

static uint64_t up(uint64_t a)
{
	return down(a + PAGE - 1);
}

static long check_load(struct load *l, const struct program_header *p)
{
	if (p->file_len > p->memory_len || p->memory_len > GUEST_PROGRAM_END ||
		p->virtual > GUEST_PROGRAM_END - p->memory_len)
		return bad(l, "a segment has impossible sizes");
	if (p->offset > l->file_size || p->file_len > l->file_size - p->offset)
		return bad(l, "it is cut off: a segment reaches beyond its end");
	if (p->offset % PAGE != p->virtual % PAGE)
		return bad(l, "a segment is not aligned to pages");
	if (down(p->virtual) < l->end)
		return bad(l, "its segments overlap, or are not in order");
	if (!l->end)
		l->start = down(p->virtual);
	l->end = up(p->virtual + p->memory_len);
	return 0;
}

static long check(struct load *l)
{
	long err = 0;

	for (unsigned i = 0; i < l->header.phnum && !err; i++)
		if (l->headers[i].type == PT_LOAD && l->headers[i].memory_len)
			err = check_load(l, &l->headers[i]);
	return err || l->end ? err : bad(l, "it has nothing to load");
}

/* How far it is to be moved. */
static long place(const struct load *l, bool is_interpreter, uint64_t *base)
{
	uint64_t len = l->end - l->start, at = l->start;

	*base = 0;
	if (l->header.type == MOVABLE) {
		at = is_interpreter ? region_add(REGION_PROGRAM, len, 0) : PROGRAM_PIE + l->start;
		if (is_interpreter && at)
			region_remove(at, len);
		*base = at - l->start;
	}
	if (!at || at < GUEST_PROGRAM_START || len > GUEST_PROGRAM_END - at || !region_free(at, len))
		return bad(l, "its addresses are taken, or not for programs");
	return 0;
}

/* Where two segments share a page of the file each has its own page: they do not share one in memory (check_load). */
static long load_one(const struct load *l, const struct program_header *p, uint64_t base)
{
	uint64_t start = down(p->virtual) + base, len = up(p->virtual + p->memory_len) + base - start;
	unsigned protection = (p->flags & 4 ? REGION_READ : 0) | (p->flags & 2 ? REGION_WRITE : 0) |
			      (p->flags & 1 ? REGION_EXEC : 0);

	if (region_add_at(start, len, REGION_READ | REGION_WRITE))
		return -ENOMEM;
	if (p->file_len > page_left() || touch_out((void *)(p->virtual + base), p->file_len))
		return bad(l, "memory is too small for it");
	if (!whole_read(l->file, (void *)(p->virtual + base), p->file_len, p->offset))
		return bad(l, "it cannot be read");
	region_protect(start, len, protection);
	return 0;
}

static long interpreter(struct load *l, const struct program_header *p, struct elf_image *image)
{
	if (p->file_len < 2 || p->file_len > sizeof(image->interpreter) ||
		!whole_read(l->file, image->interpreter, p->file_len, p->offset) ||
		image->interpreter[p->file_len - 1])
		return bad(l, "the name of its interpreter is damaged");
	return 0;
}

static long load(struct load *l, bool is_interpreter, struct elf_image *image)
{
	long err = read_headers(l);
	uint64_t phlen = l->header.phnum * sizeof(struct program_header), phoff = l->header.phoff;

	if (!err)
		err = check(l);
	if (!err)
		err = place(l, is_interpreter, &image->base);
	for (unsigned i = 0; i < l->header.phnum && !err; i++) {
		const struct program_header *p = &l->headers[i];

		if (p->type == PT_LOAD && p->memory_len) {
			err = load_one(l, p, image->base);
			if (p->offset <= phoff && phoff + phlen <= p->offset + p->file_len)
				image->headers = p->virtual + image->base + phoff - p->offset;
		} else if (p->type == PT_INTERP && !is_interpreter) {
			err = interpreter(l, p, image);
		}
	}
	image->header_count = l->header.phnum;
	image->entry = l->header.entry + image->base;
	image->end = l->end + image->base;
	if (!err && (image->entry < l->start + image->base || image->entry >= image->end))
		err = bad(l, "it begins outside of itself");
	return err;
}

long elf_load(struct file *file, const char *path, bool is_interpreter, struct elf_image *image)
{
	struct load *l = calloc(1, sizeof(*l));
	long err;

	if (!l)
		return -ENOMEM;
	l->file = file;
	l->path = path;
	*image = (struct elf_image){ 0 };
	err = load(l, is_interpreter, image);
	free(l);
	return err;
}
