/* SPDX-License-Identifier: MIT */
/* devices.c: commands of the shell for disk and entropy. */
#include "device.h"

#define PIECE 65536ul

static int sum(unsigned long len)
{
	uint64_t start = clock_ns(), hash = 0xcbf29ce484222325ull, ms; /* FNV-1a, byte by byte */
	uint8_t *buf = page_alloc_len(PIECE);
	int err = buf ? 0 : -1;

	for (unsigned long at = 0, n; !err && at < len; at += n) {
		n = len - at < PIECE ? len - at : PIECE;
		err = reef_disk_read(at, buf, n);
		for (unsigned long i = 0; i < n; i++)
			hash = (hash ^ buf[i]) * 0x100000001b3ull;
	}
	ms = (clock_ns() - start) / 1000000;
	if (err)
		print("the disk cannot be read (%d)\n", err);
	else
		print("%016lx  %lu bytes in %lu ms\n", hash, len, ms);
	if (buf)
		page_free_len(buf, PIECE);
	return err ? 1 : 0;
}

static int put(const char *text)
{
	char *buf = page_alloc(0);
	size_t len = strlen(text);
	int err;

	if (!buf)
		return 1;
	memset(buf, 0, BLOCK);
	memcpy(buf, text, len < BLOCK ? len : BLOCK);
	err = reef_disk_write(0, buf, BLOCK);
	page_free(buf, 0);
	if (err)
		print("the disk cannot be written (%d)%s\n", err,
			disk_read_only() ? ": it is read-only" : "");
	return err ? 1 : 0;
}

static int disk(int argc, char **argv)
{
	unsigned long len = reef_disk_len();

	if (!len) {
		print("no disk (disk = PATH in config gives one)\n");
		return 1;
	}
	if (argc == 2 && !strcmp(argv[1], "sum"))
		return sum(len);
	if (argc == 3 && !strcmp(argv[1], "put"))
		return put(argv[2]);
	print("%lu bytes%s\n", len, disk_read_only() ? ", read-only" : "");
	return 0;
}
REEF_COMMAND(disk, "[sum | put TEXT]  the disk: its size, a checksum of all of it; TEXT into its first block",
	disk);

static int show_random(int argc, char **argv)
{
	uint8_t bytes[16];
	size_t host = entropy_read(bytes, sizeof(bytes));

	(void)argc;
	(void)argv;
	random_bytes(bytes, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		print("%02x", bytes[i]);
	print("  from the %s\n", host ? "host" : cpuid(1, 0).c >> 30 & 1 ? "CPU" : "clock");
	return 0;
}
REEF_COMMAND(random, "sixteen random bytes, and where they come from", show_random);
