/* SPDX-License-Identifier: MIT */
/*
 * image.c: reads an HRT's image: an ELF64 with the co-kernel note, or with a Multiboot 2 header that has Nautilus' tag. Every
 * number in it may be a lie: offsets and sizes are checked against the file, sums against overflow.
 */
#include "deployers/cokernel/agent/parts.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PHYSICAL_MAX (1ull << 46)

/* (bytes) at (at), or NULL when the file does not have them. */
static const void *part(const struct image *i, uint64_t at, uint64_t bytes)
{
	return at <= i->size && bytes <= i->size - at ? i->bytes + at : NULL;
}

static int get(const struct image *i, uint64_t at, void *to, size_t bytes)
{
	const void *from = part(i, at, bytes);

	if (!from)
		return -ENOEXEC;
	memcpy(to, from, bytes);
	return 0;
}

static bool is_high(uint64_t address)
{
	return address >> 47 == 0x1ffff;
}

static int read_header(const struct image *i, Elf64_Ehdr *e)
{
	if (get(i, 0, e, sizeof(*e)) || memcmp(e->e_ident, ELFMAG, SELFMAG) ||
		e->e_ident[EI_CLASS] != ELFCLASS64 || e->e_machine != EM_X86_64)
		return fail(-ENOEXEC, "the image is not an ELF64 for x86-64");
	if (e->e_phentsize != sizeof(Elf64_Phdr) || !e->e_phnum || e->e_phnum > 64 ||
		!part(i, e->e_phoff, (uint64_t)e->e_phnum * sizeof(Elf64_Phdr)))
		return fail(-ENOEXEC, "the image's program headers are not in the file");
	return 0;
}

static int find_note(struct image *i, const Elf64_Phdr *p, struct guest_note *note)
{
	uint64_t at = p->p_offset, end = p->p_offset + p->p_filesz;
	Elf64_Nhdr n;

	if (!part(i, p->p_offset, p->p_filesz))
		return fail(-ENOEXEC, "the image's notes are not in the file");
	while (end - at >= sizeof(n) && !get(i, at, &n, sizeof(n))) {
		uint64_t name = at + sizeof(n), desc = name + ((n.n_namesz + 3ull) & ~3ull);
		uint64_t next = desc + ((n.n_descsz + 3ull) & ~3ull);
		const void *owner = part(i, name, sizeof(GUEST_NOTE_OWNER));
		bool ours = n.n_type == GUEST_NOTE_COKERNEL && n.n_namesz == sizeof(GUEST_NOTE_OWNER) &&
			    owner && !memcmp(owner, GUEST_NOTE_OWNER, sizeof(GUEST_NOTE_OWNER));

		i->claimed |= ours;
		if (desc > end || desc + n.n_descsz > end)
			return fail(-ENOEXEC, "the image has a note that is longer than its segment");
		if (ours && n.n_descsz >= sizeof(*note)) {
			memcpy(note, i->bytes + desc, sizeof(*note));
			return 1;
		}
		if (next > end)
			break;
		at = next;
	}
	return 0;
}

/* The Multiboot 2 header, and in it Nautilus' tag and the entry tag. 1: found. */
static int read_tags(struct image *i, uint64_t at, uint64_t end)
{
	struct tag {
		uint16_t type, flags;
		uint32_t size;
	} tag;
	int found = 0;

	for (at += 16; at < end && !get(i, at, &tag, sizeof(tag)) && tag.type;
		at += (tag.size + 7ull) & ~7ull) {
		i->claimed |= tag.type == GUEST_HRT_HEADER_TAG;
		if (tag.size < sizeof(tag) || tag.size > end - at)
			return fail(
				-ENOEXEC, "the image's Multiboot 2 header has a tag of %u bytes", tag.size);
		if (tag.type == GUEST_HRT_HEADER_TAG && tag.size >= sizeof(i->header))
			found = !get(i, at, &i->header, sizeof(i->header));
		if (tag.type == 3 && tag.size >= 12) {
			uint32_t entry = 0;
			get(i, at + 8, &entry, sizeof(entry));
			i->entry = entry;
		}
	}
	return found;
}

static int find_header(struct image *i)
{
	uint32_t h[4];

	for (uint64_t at = 0; at + sizeof(h) <= i->size && at + sizeof(h) <= GUEST_MULTIBOOT2_SEARCH;
		at += 8) {
		memcpy(h, i->bytes + at, sizeof(h));
		if (h[0] != GUEST_MULTIBOOT2_MAGIC || h[1] != 0 || h[0] + h[1] + h[2] + h[3] != 0)
			continue;
		if (h[2] < 16 || h[2] > i->size - at)
			return fail(-ENOEXEC, "the image's Multiboot 2 header is longer than the file");
		return read_tags(i, at, at + h[2]);
	}
	return 0;
}

static int add_segment(struct image *i, const Elf64_Phdr *p)
{
	struct segment *s = &i->segments[i->count];

	if (i->count == SEGMENTS_MAX)
		return fail(-ENOEXEC, "the image has more than %d segments", SEGMENTS_MAX);
	*s = (struct segment){ i->has_header ? p->p_vaddr - i->direct_map : p->p_paddr, p->p_vaddr,
		p->p_offset, p->p_filesz, p->p_memsz };
	if (s->file_bytes > s->bytes || !part(i, s->file, s->file_bytes))
		return fail(-ENOEXEC, "a segment of the image is not in the file");
	if (s->physical > PHYSICAL_MAX || s->bytes > PHYSICAL_MAX || !is_high(s->virtual) ||
		!is_high(s->virtual + s->bytes + 2 * MIB))
		return fail(-ENOEXEC,
			"a segment of the image is for %#llx (physical %#llx): not in the high half",
			(unsigned long long)s->virtual, (unsigned long long)s->physical);
	if ((s->virtual ^ s->physical) & 4095)
		return fail(-ENOEXEC, "a segment of the image is not aligned to pages");
	if (!i->count || s->physical < i->lowest)
		i->lowest = s->physical;
	if (s->physical + s->bytes > i->highest)
		i->highest = s->physical + s->bytes;
	i->count++;
	return 0;
}

static int add_segments(struct image *i, const Elf64_Ehdr *e)
{
	Elf64_Phdr p;
	int err = 0;

	for (unsigned n = 0; !err && n < e->e_phnum; n++) {
		get(i, e->e_phoff + n * sizeof(p), &p, sizeof(p));
		if (p.p_type == PT_LOAD && p.p_memsz)
			err = add_segment(i, &p);
	}
	if (!err && !i->count)
		return fail(-ENOEXEC, "the image has no segments to load");
	return err;
}

static bool entry_is_loaded(const struct image *i)
{
	for (size_t n = 0; n < i->count; n++)
		if (i->entry - i->segments[n].virtual < i->segments[n].bytes)
			return true;
	return false;
}

static int find_how(struct image *i, const Elf64_Ehdr *e)
{
	struct guest_note note;
	Elf64_Phdr p;
	int found = 0;

	for (unsigned n = 0; !found && n < e->e_phnum; n++) {
		get(i, e->e_phoff + n * sizeof(p), &p, sizeof(p));
		if (p.p_type == PT_NOTE)
			found = find_note(i, &p, &note);
	}
	if (found < 0)
		return found;
	if (found) {
		if (note.rev != GUEST_REV)
			return fail(-ENOEXEC, "the image is for revision %u of guest.h, this is %u", note.rev,
				GUEST_REV);
		i->entry = note.entry;
		i->direct_map = note.direct_map;
		return 0;
	}
	found = find_header(i);
	if (found < 0)
		return found;
	if (!found)
		return fail(-ENOEXEC,
			"the image is no co-kernel: it has neither the note of guest.h nor a Multiboot 2 HRT "
			"header. fullVM may boot it");
	i->has_header = true;
	i->direct_map = i->header.offset;
	if (i->header.entry)
		i->entry = i->header.entry;
	else if (!is_high(i->entry)) /* the entry tag has 32 bits: physical */
		i->entry += i->direct_map;
	return 0;
}

int image_parse(const uint8_t *bytes, size_t size, struct image *i)
{
	Elf64_Ehdr e;

	*i = (struct image){ .bytes = bytes, .size = size };
	int err = read_header(i, &e);
	if (!err)
		err = find_how(i, &e);
	if (err)
		return err;
	if (!is_high(i->direct_map) || i->direct_map & (2 * MIB - 1))
		return fail(-ENOEXEC,
			"the image wants physical memory at %#llx: not 2 MiB aligned in the high half",
			(unsigned long long)i->direct_map);
	err = add_segments(i, &e);
	if (!err && !entry_is_loaded(i))
		err = fail(-ENOEXEC, "the image's entry %#llx is in none of its segments",
			(unsigned long long)i->entry);
	return err;
}
