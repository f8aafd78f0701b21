/* SPDX-License-Identifier: MIT */
/* elf.h: Linux programs: loading them and starting them. */
#ifndef ELF_H
#define ELF_H

#include "file.h"

struct program_header { /* as the file has it */
	uint32_t type, flags;
	uint64_t offset, virtual, physical, file_len, memory_len, align;
};

struct elf_image {			       /* as it lies in the program's addresses */
	uint64_t entry, headers, header_count; /* headers: where the program headers are, 0: nowhere */
	uint64_t end, base;		       /* end: of its memory; base: how far it was moved */
	char interpreter[256];		       /* "": it needs none */
};
/* Loads (file), called (path) in messages. -errno, after saying on the console what is wrong. */
long elf_load(struct file *file, const char *path, bool is_interpreter, struct elf_image *image);

/* program.c */
long program_brk(uint64_t wanted);
void program_brk_now(uint64_t *start, uint64_t *now);
uint64_t vdso_add(void); /* vdso.c: where it is among the program's addresses; 0: no room */
extern uint64_t program_name; /* where its path is among its own addresses */
extern bool program_runs;     /* an ELF program, not an application linked with the kernel */
/* Opens a file for reading, by the delegate if there is one. */
long program_open(const char *path, struct file **file);

/* proc.c: what of /proc is about the program itself. Before memfs opens (path); in place of the delegate, if true. */
void proc_refresh(const char *path);
bool proc_answers(struct frame *f, uint64_t number, long *result);

#endif
