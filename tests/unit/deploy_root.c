/* SPDX-License-Identifier: MIT */
/* deploy_root.c: what is read of programs that come along into a splitVM: damaged ones are refused or read in part, never believed. */
#include "deployers/root/root.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define BASE 0x400000ull

struct program {
	Elf64_Ehdr e;
	Elf64_Phdr p[3];
	Elf64_Dyn dyn[5];
	char interpreter[16], strings[64];
};

static struct program good(void)
{
	struct program t = { .e = { .e_ident = ELFMAG,
				     .e_type = ET_DYN,
				     .e_machine = EM_X86_64,
				     .e_phoff = offsetof(struct program, p),
				     .e_phentsize = sizeof(Elf64_Phdr),
				     .e_phnum = 3 } };

	t.e.e_ident[EI_CLASS] = ELFCLASS64;
	t.p[0] = (Elf64_Phdr){
		.p_type = PT_LOAD, .p_vaddr = BASE, .p_filesz = sizeof(t), .p_memsz = sizeof(t)
	};
	t.p[1] = (Elf64_Phdr){
		.p_type = PT_INTERP, .p_offset = offsetof(struct program, interpreter), .p_filesz = 8
	};
	t.p[2] = (Elf64_Phdr){
		.p_type = PT_DYNAMIC, .p_offset = offsetof(struct program, dyn), .p_filesz = sizeof(t.dyn)
	};
	t.dyn[0] = (Elf64_Dyn){ .d_tag = DT_NEEDED, .d_un.d_val = 1 };
	t.dyn[1] = (Elf64_Dyn){ .d_tag = DT_NEEDED, .d_un.d_val = 11 };
	t.dyn[2] = (Elf64_Dyn){ .d_tag = DT_STRTAB, .d_un.d_ptr = BASE + offsetof(struct program, strings) };
	t.dyn[3] = (Elf64_Dyn){ .d_tag = DT_RUNPATH, .d_un.d_val = 21 };
	strcpy(t.interpreter, "/lib/ld.so");
	memcpy(t.strings, "\0libc.so.6\0libm.so.6\0/opt/lib", 30);
	return t;
}

static int look(const void *data, size_t len, struct elf *e)
{
	struct why why = { 0 };
	int fd = memfd_create("program", MFD_CLOEXEC);

	assert_true(fd >= 0 && write(fd, data, len) == (ssize_t)len);
	int err = elf_read(fd, "it", e, &why);
	close(fd);
	assert_true(!err || *why.text);
	return err;
}

static void reads_a_program(void **state)
{
	struct program t = good();
	struct elf e;

	(void)state;
	assert_int_equal(look(&t, sizeof(t), &e), 0);
	assert_true(e.elf && e.count == 2);
	assert_string_equal(e.interpreter, "/lib/ld.so");
	assert_string_equal(e.runpath, "/opt/lib");
	assert_string_equal(e.needed[0], "libc.so.6");
	assert_string_equal(e.needed[1], "libm.so.6");
	elf_free(&e);
	assert_int_equal(look("#!/bin/sh\n", 10, &e), 0);
	assert_false(e.elf);
}

static void refuses_lies(void **state)
{
	struct program t;
	struct elf e;

	(void)state;
	t = good();
	t.e.e_phnum = 0xffff;
	assert_int_equal(look(&t, sizeof(t), &e), -ENOEXEC);
	t = good();
	t.e.e_phoff = UINT64_MAX;
	assert_int_equal(look(&t, sizeof(t), &e), -ENOEXEC);
	t = good();
	t.p[1].p_offset = UINT64_MAX - 2;
	assert_int_equal(look(&t, sizeof(t), &e), -ENOEXEC);
	t = good();
	strcpy(t.interpreter, "ld.so");
	assert_int_equal(look(&t, sizeof(t), &e), -ENOEXEC);
	t = good();
	t.p[2].p_filesz = UINT64_MAX;
	assert_int_equal(look(&t, sizeof(t), &e), -ENOEXEC);
	t = good();
	t.p[2].p_offset = sizeof(t) - 8;
	assert_int_equal(look(&t, sizeof(t), &e), -ENOEXEC);
	t = good();
	t.dyn[2].d_un.d_ptr = BASE - 1;
	assert_int_equal(look(&t, sizeof(t), &e), -ENOEXEC);
	t = good();
	t.dyn[0].d_un.d_val = UINT64_MAX;
	assert_int_equal(look(&t, sizeof(t), &e), -ENOEXEC);
	t = good();
	memset(t.strings, 'x', sizeof(t.strings)); /* without an end */
	assert_int_equal(look(&t, sizeof(t), &e), -ENOEXEC);
	t = good();
	t.p[2].p_type = PT_INTERP; /* two interpreters: the first counts */
	assert_int_equal(look(&t, sizeof(t), &e), 0);
	elf_free(&e);
	for (size_t len = 0; len < sizeof(t); len++) {
		t = good();
		if (look(&t, len, &e) == 0)
			elf_free(&e);
	}
}

static void survives_noise(void **state)
{
	static const uint64_t odd[] = { 0, 1, 8, 4096, BASE, BASE - 1, INT64_MAX, UINT64_MAX, 1ull << 32 };

	(void)state;
	srandom(2);
	for (int n = 0; n < 4000; n++) {
		struct program t = good();
		struct elf e;

		for (long k = random() % 3 + 1; k; k--) {
			uint64_t value = odd[(size_t)random() % (sizeof(odd) / sizeof(odd[0]))];

			if (random() % 2)
				((uint8_t *)&t)[(size_t)random() % sizeof(t)] = (uint8_t)random();
			else
				memcpy((uint8_t *)&t + (size_t)random() % (sizeof(t) / 8) * 8, &value, 8);
		}
		if (look(&t, sizeof(t), &e) == 0) {
			assert_true(e.count <= ROOT_NEEDED_MAX);
			elf_free(&e);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_a_program),
		cmocka_unit_test(refuses_lies),
		cmocka_unit_test(survives_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
