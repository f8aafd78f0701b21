/* SPDX-License-Identifier: MIT */
/*
 * image.c: reads the first 8 KiB and, of an ELF, the program headers and notes. Nothing is believed.
 * Source   Linux: Documentation/x86/boot.rst (the setup header)
 */
#include "deployers/image.h"

#include "cache/base/buf.h"
#include "cache/base/io.h"
#include "deployers/guest.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define HEAD_MAX  GUEST_MULTIBOOT_SEARCH
#define PHDRS_MAX 256
#define NOTES_MAX 65536

struct head {
	unsigned char data[HEAD_MAX];
	size_t len;
};

/* The fields of a program header that are used, of either class. */
struct segment {
	uint32_t type;
	uint64_t offset, size, address, memory;
};

const char *image_kind_name(enum image_kind kind)
{
	static const char *const names[] = { "PVH", "Linux bzImage", "Multiboot" };

	return names[kind];
}

static uint32_t le32(const unsigned char *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static int64_t find_multiboot(const struct head *h)
{
	for (size_t i = 0; i + 12 <= h->len; i += 4)
		if (le32(h->data + i) == GUEST_MULTIBOOT_MAGIC &&
			!(uint32_t)(GUEST_MULTIBOOT_MAGIC + le32(h->data + i + 4) + le32(h->data + i + 8)))
			return (int64_t)i;
	return -1;
}

static size_t align4(size_t n)
{
	return (n + 3) & ~(size_t)3;
}

/* Notes are padded to 4 bytes, in both classes. */
static bool notes_have_pvh(const unsigned char *p, size_t len)
{
	while (len >= 12) {
		size_t name = le32(p), desc = le32(p + 4);
		uint32_t type = le32(p + 8);

		if (name > NOTES_MAX || desc > NOTES_MAX)
			return false;
		size_t total = 12 + align4(name) + align4(desc);
		if (12 + align4(name) + desc > len)
			return false;
		if (type == GUEST_PVH_NOTE_TYPE && name == 4 && !memcmp(p + 12, "Xen", 4) && desc >= 4)
			return true;
		if (total >= len)
			return false;
		p += total;
		len -= total;
	}
	return false;
}

static bool segment_has_pvh(int fd, const struct segment *s, uint64_t file_size)
{
	autobuf struct buf notes = { 0 };

	if (s->type != PT_NOTE || s->size > NOTES_MAX || s->offset > file_size ||
		s->size > file_size - s->offset)
		return false;
	char *p = buf_reserve(&notes, s->size);
	if (io_pread_full(fd, p, s->size, s->offset) < 0)
		return false;
	return notes_have_pvh((const unsigned char *)p, s->size);
}

static struct segment segment_at(const unsigned char *p, int bits)
{
	struct segment s;

	if (bits == 64) {
		Elf64_Phdr ph;
		memcpy(&ph, p, sizeof(ph));
		s = (struct segment){ ph.p_type, ph.p_offset, ph.p_filesz, ph.p_paddr, ph.p_memsz };
	} else {
		Elf32_Phdr ph;
		memcpy(&ph, p, sizeof(ph));
		s = (struct segment){ ph.p_type, ph.p_offset, ph.p_filesz, ph.p_paddr, ph.p_memsz };
	}
	return s;
}

static int elf_bits(const struct head *h)
{
	if (h->len < sizeof(Elf64_Ehdr) || memcmp(h->data, ELFMAG, SELFMAG) ||
		h->data[EI_DATA] != ELFDATA2LSB)
		return 0;
	return h->data[EI_CLASS] == ELFCLASS64 ? 64 : h->data[EI_CLASS] == ELFCLASS32 ? 32 : 0;
}

static unsigned elf_machine(const struct head *h)
{
	return h->data[18] | h->data[19] << 8; /* e_machine, in both classes */
}

/* Looks through the program headers: whether there is a PVH note, and where in memory the image ends. */
static bool elf_look(int fd, const struct head *h, int bits, struct image *img)
{
	Elf64_Ehdr e64;
	Elf32_Ehdr e32;
	uint64_t off;
	size_t count, each;
	uint64_t file_size = img->size_bytes;
	bool pvh = false;
	unsigned char table[PHDRS_MAX * sizeof(Elf64_Phdr)];

	memcpy(&e64, h->data, sizeof(e64));
	memcpy(&e32, h->data, sizeof(e32));
	off = bits == 64 ? e64.e_phoff : e32.e_phoff;
	count = bits == 64 ? e64.e_phnum : e32.e_phnum;
	each = bits == 64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
	if ((bits == 64 ? e64.e_phentsize : e32.e_phentsize) != each || count > PHDRS_MAX)
		return false;
	if (off > file_size || count * each > file_size - off ||
		io_pread_full(fd, table, count * each, off) < 0)
		return false;
	for (size_t i = 0; i < count; i++) {
		struct segment s = segment_at(table + i * each, bits);
		pvh = pvh || segment_has_pvh(fd, &s, file_size);
		if (s.type == PT_LOAD && s.memory && s.memory <= UINT64_MAX - s.address &&
			s.address + s.memory > img->end_address)
			img->end_address = s.address + s.memory;
	}
	return pvh;
}

/* Linux's setup header. */
#define LINUX_SETUP_SECTS  0x1f1u
#define LINUX_SYSSIZE	   0x1f4u /* of what follows the setup part, in 16 bytes */
#define LINUX_BOOT_FLAG	   0x1feu
#define LINUX_MAGIC	   0x202u
#define LINUX_VERSION	   0x206u
#define LINUX_LOADFLAGS	   0x211u
#define LINUX_CMDLINE_SIZE 0x238u /* 2.06 */
#define LINUX_PREF_ADDRESS 0x258u /* 2.10 */
#define LINUX_INIT_SIZE	   0x260u /* 2.10: memory that it needs from there, before it knows of any other */
#define LINUX_HEADER_END   0x264u
#define LINUX_SETUP_MAX	   (32u << 10) /* of the setup part: stack, heap and command line lie behind it */

static bool has_linux_magic(const struct head *h)
{
	return h->len >= LINUX_MAGIC + 4 && le32(h->data + LINUX_MAGIC) == GUEST_LINUX_MAGIC;
}

static int linux_refuse(const char *path, struct why *why, const char *what)
{
	return why_fail(why, -ENOEXEC, "image %s is a Linux bzImage that %s", path, what);
}

static int linux_look(const struct head *h, const char *path, struct image *img, struct why *why)
{
	if (h->len < LINUX_HEADER_END)
		return linux_refuse(path, why, "is cut off in its header");
	unsigned version = le32(h->data + LINUX_VERSION) & 0xffff;
	uint64_t setup = 512u * ((h->data[LINUX_SETUP_SECTS] ? h->data[LINUX_SETUP_SECTS] : 4u) + 1);
	uint64_t all = setup + 16u * (uint64_t)le32(h->data + LINUX_SYSSIZE);

	if ((le32(h->data + LINUX_BOOT_FLAG) & 0xffff) != 0xaa55)
		return linux_refuse(path, why, "lacks its boot flag: it is damaged");
	if (version < GUEST_LINUX_PROTOCOL || version >> 8 != GUEST_LINUX_PROTOCOL >> 8)
		return why_fail(why, -ENOEXEC,
			"image %s is a Linux bzImage of boot protocol %u.%02u; 2.06 (Linux 2.6.22) or a "
			"later 2.x is "
			"needed",
			path, version >> 8, version & 255);
	if (!(h->data[LINUX_LOADFLAGS] & 1))
		return linux_refuse(path, why, "is loaded low (a zImage): build a bzImage");
	if (setup < LINUX_HEADER_END || setup > LINUX_SETUP_MAX || all == setup)
		return linux_refuse(path, why, "has a setup part of an impossible size: it is damaged");
	if (all > img->size_bytes)
		return why_fail(why, -ENOEXEC,
			"image %s is a Linux bzImage that is cut off: it has %llu bytes of %llu", path,
			(unsigned long long)img->size_bytes, (unsigned long long)all);
	img->kind = IMAGE_LINUX;
	img->cmdline_max = le32(h->data + LINUX_CMDLINE_SIZE);
	if (img->cmdline_max > GUEST_CMDLINE_MAX)
		img->cmdline_max = GUEST_CMDLINE_MAX;
	if (version >= 0x020a && !le32(h->data + LINUX_PREF_ADDRESS + 4))
		img->end_address =
			(uint64_t)le32(h->data + LINUX_PREF_ADDRESS) + le32(h->data + LINUX_INIT_SIZE);
	return 0;
}

/* For the words: what people give by mistake. */
static const char *looks_like(const struct head *h)
{
	static const struct {
		size_t at;
		const char *bytes;
		size_t len;
		const char *what;
	} known[] = {
		{ 0, "QFI\xfb", 4, "a qcow2 disk (disks are not booted yet)" },
		{ 0, "\x1f\x8b", 2, "gzip data (unpack it first)" },
		{ 0, "\x28\xb5\x2f\xfd", 4, "zstd data (unpack it first)" },
		{ 0,
			"\xfd"
			"7zXZ",
			5, "xz data (unpack it first)" },
		{ 0, "PK\3\4", 4, "a zip archive" },
		{ 0, "MZ", 2, "a UEFI or Windows program (not booted yet)" },
		{ 0, "#!", 2, "a script" },
		{ 0x1fe, "\x55\xaa", 2, "a disk with a boot sector (disks are not booted yet)" },
	};
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (h->len >= known[i].at + known[i].len &&
			!memcmp(h->data + known[i].at, known[i].bytes, known[i].len))
			return known[i].what;
	for (size_t i = 0; i + 4 <= h->len; i += 8)
		if (le32(h->data + i) == 0xe85250d6u)
			return "a Multiboot 2 image (not booted yet: add a PVH note or a Multiboot 1 header)";
	return "data of a kind that is not known";
}

static int refuse(const struct head *h, const char *path, int bits, struct why *why)
{
	if (!h->len)
		return why_fail(why, -ENOEXEC, "image %s is empty", path);
	if (bits && elf_machine(h) != EM_X86_64 && elf_machine(h) != EM_386)
		return why_fail(why, -ENOEXEC,
			"image %s is an ELF for another processor (machine %u): x86_64 is needed", path,
			elf_machine(h));
	if (bits)
		return why_fail(why, -ENOEXEC,
			"image %s is an ELF without a PVH note or Multiboot header: it is a program, or its "
			"link script drops the note",
			path);
	return why_fail(why, -ENOEXEC,
		"image %s is %s; what boots is an ELF with a PVH note, a Linux bzImage, or Multiboot", path,
		looks_like(h));
}

int image_recognise(int fd, const char *path, struct image *out, struct why *why)
{
	struct head h = { 0 };
	struct stat st;

	if (fstat(fd, &st) < 0)
		return why_fail_errno(why, -errno, "image %s", path);
	if (!S_ISREG(st.st_mode))
		return why_fail(why, -ENOEXEC, "image %s is not a regular file", path);
	size_t want = st.st_size < HEAD_MAX ? (size_t)st.st_size : HEAD_MAX;
	int err = io_pread_full(fd, h.data, want, 0);
	if (err < 0)
		return why_fail_errno(why, err, "cannot read image %s", path);
	h.len = want;

	int bits = elf_bits(&h);
	bool ours = bits && (elf_machine(&h) == EM_X86_64 || elf_machine(&h) == EM_386);
	*out = (struct image){
		.elf_bits = bits,
		.multiboot_offset = find_multiboot(&h),
		.size_bytes = (uint64_t)st.st_size,
		.cmdline_max = GUEST_CMDLINE_MAX,
	};
	if (ours && elf_look(fd, &h, bits, out)) {
		out->kind = IMAGE_PVH;
		return 0;
	}
	if (!bits && has_linux_magic(&h))
		return linux_look(&h, path, out, why);
	if (out->multiboot_offset >= 0 && (ours || !bits)) {
		out->kind = IMAGE_MULTIBOOT;
		return 0;
	}
	return refuse(&h, path, bits, why);
}
