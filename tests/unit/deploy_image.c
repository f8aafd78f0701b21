/* SPDX-License-Identifier: MIT */
/* deploy_image.c: kinds of boot image, and files that only look like one. */
#include "cache/base/buf.h"
#include "cache/base/io.h"
#include "deployers/guest.h"
#include "deployers/image.h"

#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

struct tiny { /* an ELF with a note and nothing else */
	Elf64_Ehdr e;
	Elf64_Phdr p[2];
	struct {
		Elf64_Nhdr n;
		char name[4];
		uint32_t entry;
	} note;
};

static struct tiny good(void)
{
	struct tiny t = { 0 };

	memcpy(t.e.e_ident, ELFMAG, SELFMAG);
	t.e.e_ident[EI_CLASS] = ELFCLASS64;
	t.e.e_ident[EI_DATA] = ELFDATA2LSB;
	t.e.e_machine = EM_X86_64;
	t.e.e_phoff = offsetof(struct tiny, p);
	t.e.e_phentsize = sizeof(Elf64_Phdr);
	t.e.e_phnum = 2;
	t.p[0] = (Elf64_Phdr){
		.p_type = PT_NOTE, .p_offset = offsetof(struct tiny, note), .p_filesz = sizeof(t.note)
	};
	t.p[1] = (Elf64_Phdr){ .p_type = PT_LOAD, .p_paddr = 1 << 20, .p_memsz = 1 << 20 };
	t.note.n = (Elf64_Nhdr){ .n_namesz = 4, .n_descsz = 4, .n_type = GUEST_PVH_NOTE_TYPE };
	memcpy(t.note.name, "Xen", 4);
	return t;
}

static int look(const void *data, size_t len, struct image *img, struct why *why)
{
	autoclose int fd = memfd_create("image", MFD_CLOEXEC);

	assert_int_equal(io_write_full(fd, data, len), 0);
	return image_recognise(fd, "test", img, why);
}

static void knows_pvh(void **state)
{
	struct tiny t = good();
	struct image img;

	(void)state;
	assert_int_equal(look(&t, sizeof(t), &img, NULL), 0);
	assert_int_equal(img.kind, IMAGE_PVH);
	assert_int_equal(img.elf_bits, 64);
	assert_int_equal(img.end_address, 2 << 20);
	assert_int_equal(img.multiboot_offset, -1);
}

static void knows_multiboot(void **state)
{
	uint32_t data[1024] = { 0 };
	struct image img;

	(void)state;
	data[100] = GUEST_MULTIBOOT_MAGIC;
	data[101] = 3;
	data[102] = -(GUEST_MULTIBOOT_MAGIC + 3u);
	assert_int_equal(look(data, sizeof(data), &img, NULL), 0);
	assert_int_equal(img.kind, IMAGE_MULTIBOOT);
	assert_int_equal(img.multiboot_offset, 400);
	data[102]++;
	assert_int_equal(look(data, sizeof(data), &img, NULL), -ENOEXEC);
}

static void pvh_comes_first(void **state)
{
	struct {
		struct tiny t;
		uint32_t mb[3];
	} both = { good(), { GUEST_MULTIBOOT_MAGIC, 0, -GUEST_MULTIBOOT_MAGIC } };
	struct image img;

	(void)state;
	assert_int_equal(look(&both, sizeof(both), &img, NULL), 0);
	assert_int_equal(img.kind, IMAGE_PVH);
	assert_true(img.multiboot_offset > 0);
}

static void refuses(const void *data, size_t len, const char *word)
{
	struct image img;
	struct why why = { 0 };

	assert_int_equal(look(data, len, &img, &why), -ENOEXEC);
	if (!strstr(why.text, word))
		fail_msg("\"%s\" lacks \"%s\"", why.text, word);
}

static void put32(unsigned char *p, uint32_t v)
{
	memcpy(p, &v, sizeof(v));
}

#define BZ_SIZE 4096

/* A bzImage of four setup sectors and 1.5 KiB of kernel. */
static void good_linux(unsigned char bz[BZ_SIZE])
{
	memset(bz, 0, BZ_SIZE);
	bz[0x1f1] = 4;
	put32(bz + 0x1f4, (BZ_SIZE - 5 * 512) / 16);
	memcpy(bz + 0x1fe, "\x55\xaa", 2);
	memcpy(bz + 0x202, "HdrS", 4);
	memcpy(bz + 0x206, "\x0f\x02", 2);
	bz[0x211] = 1;
	put32(bz + 0x238, 2047);
	put32(bz + 0x258, 16 << 20);
	put32(bz + 0x260, 50 << 20);
}

static void knows_linux(void **state)
{
	unsigned char bz[BZ_SIZE];
	struct image img;

	(void)state;
	good_linux(bz);
	assert_int_equal(look(bz, sizeof(bz), &img, NULL), 0);
	assert_int_equal(img.kind, IMAGE_LINUX);
	assert_int_equal(img.cmdline_max, 2047);
	assert_int_equal(img.end_address, 66 << 20);
	put32(bz + 0x238, UINT32_MAX);
	memcpy(bz + 0x206, "\x06\x02", 2);
	assert_int_equal(look(bz, sizeof(bz), &img, NULL), 0);
	assert_int_equal(img.cmdline_max, GUEST_CMDLINE_MAX);
	assert_int_equal(img.end_address, 0); /* not said before 2.10 */
}

static void doubts_linux(void **state)
{
	static const struct {
		unsigned at, len;
		const char *bytes, *word;
	} lies[] = {
		{ 0x1fe, 2, "\0\0", "boot flag" },
		{ 0x206, 2, "\x05\x02", "2.05" },
		{ 0x206, 2, "\x00\x03", "3.00" },
		{ 0x211, 1, "\0", "zImage" },
		{ 0x1f1, 1, "\x40", "impossible" },
		{ 0x1f1, 1, "\xff", "impossible" },
		{ 0x1f1, 1, "\x10", "cut off" },
		{ 0x1f4, 4, "\0\0\0\0", "impossible" },
		{ 0x1f4, 4, "\xff\xff\xff\xff", "cut off" },
	};
	unsigned char bz[BZ_SIZE];
	struct image img;

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		good_linux(bz);
		memcpy(bz + lies[i].at, lies[i].bytes, lies[i].len);
		refuses(bz, sizeof(bz), lies[i].word);
	}
	good_linux(bz);
	for (size_t len = 0; len < sizeof(bz); len++)
		assert_int_equal(look(bz, len, &img, NULL), -ENOEXEC);
	for (unsigned seed = 1, i = 0; i < 3000; i++) {
		good_linux(bz);
		for (int k = rand_r(&seed) % 4; k >= 0; k--)
			bz[0x1f1 + (unsigned)rand_r(&seed) % 0x80] = (unsigned char)rand_r(&seed);
		look(bz, sizeof(bz), &img, NULL);
	}
}

static void says_what_it_is(void **state)
{
	char bz[1024] = { 0 };
	struct tiny arm = good(), program = good();

	(void)state;
	memcpy(bz + 0x202, "HdrS", 4);
	refuses(bz, sizeof(bz), "bzImage");
	refuses("", 0, "empty");
	refuses("#!/bin/sh\n", 10, "script");
	refuses("QFI\xfb....", 8, "qcow2");
	arm.e.e_machine = EM_AARCH64;
	refuses(&arm, sizeof(arm), "another processor");
	program.note.n.n_type = 1;
	refuses(&program, sizeof(program), "PVH note");
}

static void survives_lies(void **state)
{
	struct tiny t;

	(void)state;
	t = good();
	t.e.e_phoff = UINT64_MAX - 4;
	refuses(&t, sizeof(t), "ELF");
	t = good();
	t.e.e_phnum = 65535;
	refuses(&t, sizeof(t), "ELF");
	t = good();
	t.e.e_phentsize = 0;
	refuses(&t, sizeof(t), "ELF");
	t = good();
	t.p[0].p_offset = UINT64_MAX;
	refuses(&t, sizeof(t), "ELF");
	t = good();
	t.p[0].p_filesz = UINT64_MAX;
	refuses(&t, sizeof(t), "ELF");
	t = good();
	t.note.n.n_namesz = UINT32_MAX;
	refuses(&t, sizeof(t), "ELF");
	t = good();
	t.note.n.n_descsz = 5000;
	refuses(&t, sizeof(t), "ELF");
	t = good();
	for (size_t len = 0; len < offsetof(struct tiny, note) + sizeof(t.note); len++) {
		struct image img;
		assert_int_equal(look(&t, len, &img, NULL), -ENOEXEC);
	}
}

/* Whatever bytes change: an answer, and no crash (under the sanitizers). */
static void survives_noise(void **state)
{
	unsigned seed = 1;

	(void)state;
	for (int i = 0; i < 3000; i++) {
		struct tiny t = good();
		struct image img;
		for (int k = rand_r(&seed) % 8; k >= 0; k--)
			((unsigned char *)&t)[(size_t)rand_r(&seed) % sizeof(t)] =
				(unsigned char)rand_r(&seed);
		look(&t, sizeof(t), &img, NULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(knows_pvh),
		cmocka_unit_test(knows_multiboot),
		cmocka_unit_test(pvh_comes_first),
		cmocka_unit_test(knows_linux),
		cmocka_unit_test(doubts_linux),
		cmocka_unit_test(says_what_it_is),
		cmocka_unit_test(survives_lies),
		cmocka_unit_test(survives_noise),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
