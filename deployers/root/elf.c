/* SPDX-License-Identifier: MIT */
/*
 * elf.c: the interpreter and the dynamic section of an ELF64 file.
 */
#include "deployers/root/root.h"

#include "cache/base/io.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PHDRS_MAX  128u
#define DYN_MAX	   8192u
#define STRING_MAX 4096u

struct reading {
	int fd;
	const char *path;
	Elf64_Ehdr head;
	Elf64_Phdr phdr[PHDRS_MAX];
	Elf64_Dyn *dyn;
	size_t dyns;
	struct why *why;
};

static int damaged(const struct reading *r, const char *what)
{
	return why_fail(r->why, -ENOEXEC, "%s: a damaged program (%s)", r->path, what);
}

/* The file offset of (address), as the loader would map it; 0 if nowhere. */
static uint64_t offset_of(const struct reading *r, uint64_t address)
{
	for (unsigned i = 0; i < r->head.e_phnum; i++) {
		const Elf64_Phdr *p = &r->phdr[i];

		if (p->p_type == PT_LOAD && address >= p->p_vaddr && address - p->p_vaddr < p->p_filesz)
			return address - p->p_vaddr + p->p_offset;
	}
	return 0;
}

static char *read_string(const struct reading *r, uint64_t offset)
{
	char text[STRING_MAX + 1];
	ssize_t n = offset && offset < INT64_MAX ? io_pread_full(r->fd, text, STRING_MAX, offset) : -EINVAL;

	if (n <= 0 || !memchr(text, 0, (size_t)n))
		return NULL;
	return xstrdup(text);
}

static uint64_t dyn_value(const struct reading *r, int64_t tag)
{
	for (size_t i = 0; i < r->dyns && r->dyn[i].d_tag != DT_NULL; i++)
		if (r->dyn[i].d_tag == tag)
			return r->dyn[i].d_un.d_val;
	return 0;
}

static int read_dynamic(struct reading *r)
{
	const Elf64_Phdr *p = NULL;

	for (unsigned i = 0; i < r->head.e_phnum; i++)
		if (r->phdr[i].p_type == PT_DYNAMIC)
			p = &r->phdr[i];
	if (!p)
		return 0;
	r->dyns = p->p_filesz / sizeof(Elf64_Dyn);
	if (r->dyns > DYN_MAX || p->p_offset > INT64_MAX)
		return damaged(r, "its dynamic section is too large");
	r->dyn = xcalloc(r->dyns + 1, sizeof(Elf64_Dyn));
	ssize_t n = io_pread_full(r->fd, r->dyn, r->dyns * sizeof(Elf64_Dyn), p->p_offset);
	return n == (ssize_t)(r->dyns * sizeof(Elf64_Dyn))
		       ? 0
		       : damaged(r, "its dynamic section is not in the file");
}

static int take_needed(struct reading *r, uint64_t strings, struct elf *out)
{
	for (size_t i = 0; i < r->dyns && r->dyn[i].d_tag != DT_NULL; i++) {
		if (r->dyn[i].d_tag != DT_NEEDED)
			continue;
		uint64_t at = r->dyn[i].d_un.d_val;
		char *name = at < UINT32_MAX ? read_string(r, strings + at) : NULL;
		if (!name || out->count == ROOT_NEEDED_MAX) {
			free(name);
			return damaged(r, "the names of its libraries");
		}
		out->needed = xrealloc(out->needed, (out->count + 1) * sizeof(char *));
		out->needed[out->count++] = name;
	}
	return 0;
}

static int take_dynamic(struct reading *r, struct elf *out)
{
	uint64_t strings = offset_of(r, dyn_value(r, DT_STRTAB));
	uint64_t path = dyn_value(r, DT_RUNPATH);

	if (!r->dyns)
		return 0;
	if (!strings)
		return damaged(r, "no strings");
	if (!path)
		path = dyn_value(r, DT_RPATH);
	if (path && path < UINT32_MAX)
		out->runpath = read_string(r, strings + path);
	return take_needed(r, strings, out);
}

static int read_headers(struct reading *r)
{
	if (r->head.e_phnum > PHDRS_MAX || r->head.e_phentsize != sizeof(Elf64_Phdr) ||
		r->head.e_phoff > INT64_MAX)
		return damaged(r, "its program headers");
	size_t size = r->head.e_phnum * sizeof(Elf64_Phdr);
	return io_pread_full(r->fd, r->phdr, size, r->head.e_phoff) == (ssize_t)size
		       ? 0
		       : damaged(r, "it is cut off");
}

static int take_interpreter(struct reading *r, struct elf *out)
{
	for (unsigned i = 0; i < r->head.e_phnum; i++) {
		if (r->phdr[i].p_type != PT_INTERP)
			continue;
		out->interpreter = read_string(r, r->phdr[i].p_offset);
		return out->interpreter && *out->interpreter == '/'
			       ? 0
			       : damaged(r, "its interpreter"); /* the first counts */
	}
	return 0;
}

int elf_read(int fd, const char *path, struct elf *out, struct why *why)
{
	struct reading r = { .fd = fd, .path = path, .why = why };

	*out = (struct elf){ 0 };
	if (io_pread_full(fd, &r.head, sizeof(r.head), 0) != sizeof(r.head) ||
		memcmp(r.head.e_ident, ELFMAG, SELFMAG))
		return 0;
	if (r.head.e_ident[EI_CLASS] != ELFCLASS64 || r.head.e_machine != EM_X86_64 ||
		(r.head.e_type != ET_EXEC && r.head.e_type != ET_DYN))
		return 0;
	out->elf = true;
	int err = read_headers(&r);
	if (!err)
		err = take_interpreter(&r, out);
	if (!err)
		err = read_dynamic(&r);
	if (!err)
		err = take_dynamic(&r, out);
	free(r.dyn);
	if (err)
		elf_free(out);
	return err;
}

void elf_free(struct elf *e)
{
	free(e->interpreter);
	free(e->runpath);
	for (size_t i = 0; i < e->count; i++)
		free(e->needed[i]);
	free(e->needed);
	*e = (struct elf){ 0 };
}
