/* SPDX-License-Identifier: MIT */
/*
 * cokernel_agent.c: what the agent reads from strangers: images, CONFIG, POLICY. And what it makes of a good image: every
 * address that the page table gives is looked up as a CPU would.
 */
#include "deployers/cokernel/agent/parts.h"
#include "deployers/cokernel/agent/policy.h"
#include "deployers/cokernel/agent/tables.h"

#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KERNEL 0xffffffff80200000ull
#define DIRECT 0xffff800000000000ull
#define START  (256 * MIB)

struct tiny {
	Elf64_Ehdr e;
	Elf64_Phdr p[2];
	struct __attribute__((packed)) {
		Elf64_Nhdr n;
		char name[8];
		struct guest_note note;
	} note;
	char code[4096];
};

static struct tiny good(void)
{
	struct tiny t = { .e = { .e_ident = ELFMAG,
				  .e_machine = EM_X86_64,
				  .e_phoff = offsetof(struct tiny, p),
				  .e_phentsize = sizeof(Elf64_Phdr),
				  .e_phnum = 2 } };

	t.e.e_ident[EI_CLASS] = ELFCLASS64;
	t.p[0] = (Elf64_Phdr){ .p_type = PT_LOAD,
		.p_offset = offsetof(struct tiny, code),
		.p_vaddr = KERNEL,
		.p_paddr = 2 * MIB,
		.p_filesz = sizeof(t.code),
		.p_memsz = 3 * MIB };
	t.p[1] = (Elf64_Phdr){
		.p_type = PT_NOTE, .p_offset = offsetof(struct tiny, note), .p_filesz = sizeof(t.note)
	};
	t.note.n = (Elf64_Nhdr){ 8, sizeof(struct guest_note), GUEST_NOTE_COKERNEL };
	memcpy(t.note.name, GUEST_NOTE_OWNER, 8);
	t.note.note = (struct guest_note){ GUEST_REV, 0, KERNEL + 16, DIRECT };
	return t;
}

/* Loads as hrt_load does, into memory of our own. */
static int load(struct hrt *h, const struct image *i, const struct config *c, void *memory, uint64_t bytes)
{
	*h = (struct hrt){ .config = c,
		.image = *i,
		.memory = memory,
		.lease = { .cpus = 3, .first_apic = 1, .apics = 4, .address = START, .bytes = bytes } };
	int err = layout_make(h);
	if (err)
		return err;
	memset(hrt_at(h, h->at.begin), 0, h->at.end - h->at.begin);
	err = tables_make(h);
	if (!err)
		err = info_make(h);
	return err ? err : area_make(h);
}

/* What a CPU finds at (address); 0: nothing. */
static uint64_t look_up(struct hrt *h, uint64_t address)
{
	uint64_t table = h->cr3, entry;

	for (unsigned shift = 39;; shift -= 9) {
		entry = ((uint64_t *)hrt_at(h, table))[address >> shift & 511];
		if (!(entry & 1))
			return 0;
		table = entry & 0xffffffffff000ull;
		if (shift == 12 || entry & 0x80)
			return (table & ~((1ull << shift) - 1)) | (address & ((1ull << shift) - 1));
		assert_in_range(table, h->at.begin, h->at.end - 4096);
	}
}

static void loads_an_image(void **state)
{
	struct tiny t = good();
	struct image i;
	struct config c = { .cmdline = "a b" };
	struct hrt h;
	void *memory = malloc(64 * MIB);

	(void)state;
	if (image_parse((uint8_t *)&t, sizeof(t), &i))
		fail_msg("%s", failure);
	assert_int_equal(load(&h, &i, &c, memory, 64 * MIB), 0);
	assert_int_equal(look_up(&h, KERNEL + 0x1234), START + 0x1234);
	assert_int_equal(look_up(&h, KERNEL + 3 * MIB - 1), START + 3 * MIB - 1);
	assert_int_equal(look_up(&h, DIRECT + 0xfee00300), 0xfee00300);
	assert_int_equal(look_up(&h, DIRECT + 0x8000), 0x8000);
	assert_int_equal(look_up(&h, DIRECT + h.at.area), h.at.area);
	assert_int_equal(look_up(&h, 0x8000), 0);
	for (uint32_t cpu = 0; cpu < 3; cpu++) {
		struct cokernel_boot b;
		cpu_boot(&h, cpu, &b);
		assert_int_equal(b.rsp & 15, 0);
		assert_in_range(b.rsp - DIRECT, h.at.begin + 16384, h.at.end);
		assert_int_equal(b.rcx, 1 + cpu);
	}
	assert_int_equal(h.area->magic, GUEST_COKERNEL_MAGIC);
	free(memory);
}

static void refuses_lies(void **state)
{
	struct image i;
	struct tiny t;

	(void)state;
	t = good(), t.note.note.rev++;
	assert_int_equal(image_parse((uint8_t *)&t, sizeof(t), &i), -ENOEXEC);
	t = good(), t.note.note.entry = 0x1000;
	assert_int_equal(image_parse((uint8_t *)&t, sizeof(t), &i), -ENOEXEC);
	t = good(), t.note.note.direct_map = DIRECT + 4096;
	assert_int_equal(image_parse((uint8_t *)&t, sizeof(t), &i), -ENOEXEC);
	t = good(), t.p[0].p_vaddr = 0x400000;
	assert_int_equal(image_parse((uint8_t *)&t, sizeof(t), &i), -ENOEXEC);
	t = good(), t.p[0].p_filesz = UINT64_MAX;
	assert_int_equal(image_parse((uint8_t *)&t, sizeof(t), &i), -ENOEXEC);
	t = good(), t.p[0].p_memsz = UINT64_MAX - 4096;
	assert_int_equal(image_parse((uint8_t *)&t, sizeof(t), &i), -ENOEXEC);
	t = good(), t.p[0].p_vaddr = t.note.note.entry = -4096ull;
	assert_int_equal(image_parse((uint8_t *)&t, sizeof(t), &i), -ENOEXEC);
	t = good(), t.note.n.n_namesz = UINT32_MAX;
	assert_int_equal(image_parse((uint8_t *)&t, sizeof(t), &i), -ENOEXEC);
	for (size_t n = 0; n < offsetof(struct tiny, code) + sizeof(t.code); n += 7) {
		t = good();
		assert_int_equal(image_parse((uint8_t *)&t, n, &i), -ENOEXEC);
	}
}

/* Whatever is accepted can be laid out, or is refused then. */
static void survives_noise(void **state)
{
	static const uint64_t odd[] = { 0, 1, 4096, 2 * MIB, 1ull << 31, 1ull << 46, 1ull << 63, UINT64_MAX,
		KERNEL, DIRECT };
	struct config c = { 0 };
	void *memory = malloc(8 * MIB);
	struct image i;
	struct hrt h;
	unsigned loaded = 0;

	(void)state;
	srandom(1);
	for (int n = 0; n < 3000; n++) {
		struct tiny t = good();
		size_t head = offsetof(struct tiny, code);

		for (long k = random() % 3 + 1; k; k--) {
			uint64_t value = odd[(size_t)random() % 10] + (uint64_t)(random() % 3 - 1) * 4096;
			size_t at = (size_t)random() % (head / 8) * 8;

			if (random() % 2)
				((uint8_t *)&t)[(size_t)random() % head] = (uint8_t)random();
			else
				memcpy((uint8_t *)&t + at, &value, 8);
		}
		if (image_parse((uint8_t *)&t, sizeof(t), &i) == 0 &&
			load(&h, &i, &c, memory, 8 * MIB) == 0) {
			assert_true(
				i.lowest + h.at.distance >= START && i.highest + h.at.distance <= h.at.begin);
			loaded++;
		}
	}
	assert_true(loaded > 0);
	free(memory);
}

static void reads_config(void **state)
{
	char text[] = "cmdline = \"# a \\\"b\\\" \\x41\\\\ \"\nmemory = 4096\ncpus =2\n\nfoo\nunknown = "
		      "1\nout = on\n";
	char many[] = "memory = 12x\n", large[] = "cpus = 5000000000\n";
	struct config c;

	(void)state;
	assert_int_equal(config_parse(text, &c), 0);
	assert_string_equal(c.cmdline, "# a \"b\" A\\ ");
	assert_int_equal(c.memory, 4096);
	assert_int_equal(c.cpus, 2);
	assert_true(c.out);
	assert_int_equal(config_parse(many, &c), -EINVAL);
	assert_int_equal(config_parse(large, &c), -EINVAL);
}

static bool allows(uint64_t number, const char *a, const char *b)
{
	const char *paths[] = { a, b };

	return policy_allows(number, paths, (a != NULL) + (b != NULL));
}

static void keeps_policy(void **state)
{
	static const char text[] =
		"# rules\nallow 2,257 /src\nrefuse 2,257 /\n refuse 39\nallow 41\nrefuse all /x y/\n";

	(void)state;
	assert_int_equal(policy_set(text, strlen(text)), 0);
	assert_true(allows(2, "/src/a", "/src/a"));
	assert_true(allows(2, "/src", NULL));
	assert_false(allows(2, "/srca", NULL));
	assert_false(allows(2, "/src/link", "/etc/passwd"));
	assert_false(allows(39, NULL, NULL));
	assert_true(allows(40, NULL, NULL));
	assert_false(allows(87, "/x y/z", "/x y/z"));
	assert_true(allows(87, "/x yz", NULL));
	assert_true(policy_has_paths(87) && policy_has_paths(2));
	assert_int_equal(policy_set("maybe 2\n", 8), -EINVAL);
	assert_int_equal(policy_set("refuse open\n", 12), -EINVAL);
	assert_int_equal(policy_set("refuse 512\n", 11), -EINVAL);
	assert_int_equal(policy_set("refuse 2 src\n", 13), -EINVAL);
	assert_false(allows(39, NULL, NULL)); /* the old one is in force */
	assert_int_equal(policy_set("", 0), 0);
	assert_true(allows(39, NULL, NULL));
	assert_false(policy_tells(39, NULL, 0));
}

/* Who asks to be told of failures allows and refuses nothing. */
static void keeps_what_is_to_be_told(void **state)
{
	static const char text[] = "tell 2 /etc\ntell 42\nallow 2 /etc\nrefuse 2\n";
	const char *const in[] = { "/etc/x", "/y" }, *const out[] = { "/y", "/y" };

	(void)state;
	assert_int_equal(policy_set(text, strlen(text)), 0);
	assert_true(policy_has_paths(2) && policy_has_paths(42));
	assert_false(policy_has_paths(3));
	assert_true(policy_tells(2, in, 2) && policy_tells(42, NULL, 0));
	assert_false(policy_tells(2, out, 2) || policy_tells(2, NULL, 0) || policy_tells(3, in, 2));
	assert_true(allows(2, "/etc/x", "/etc/x") && allows(42, NULL, NULL));
	assert_false(allows(2, "/y", "/y") || policy_allows_children());
	assert_int_equal(policy_set("tell all\n", 9), 0);
	assert_true(allows(2, "/y", NULL) && policy_allows_children() && policy_tells(2, out, 2));
	assert_int_equal(policy_set("", 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loads_an_image),
		cmocka_unit_test(refuses_lies),
		cmocka_unit_test(survives_noise),
		cmocka_unit_test(reads_config),
		cmocka_unit_test(keeps_policy),
		cmocka_unit_test(keeps_what_is_to_be_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
