/* SPDX-License-Identifier: MIT */
/*
 * layer_tar.c: tar headers, by hand, because the table of contents and tar-split need each byte of them and a
 * reproducible layer needs no other: owner 0, time 0, no names of users.
 */
#include "cache/layer.h"

#include <stdio.h>
#include <string.h>

struct ustar {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], chksum[8], typeflag, linkname[100];
	char magic[6], version[2], uname[32], gname[32], devmajor[8], devminor[8], prefix[155], pad[12];
};
_Static_assert(sizeof(struct ustar) == 512, "a block of tar");

static void octal(char *field, size_t len, uint64_t v)
{
	field[len - 1] = 0;
	for (size_t i = len - 1; i-- > 0; v >>= 3)
		field[i] = (char)('0' + (v & 7));
}

/* The name, split at a slash where it is long. False: it does not fit. */
static bool put_name(struct ustar *h, const char *path)
{
	size_t len = strlen(path);
	if (len <= sizeof(h->name)) {
		memcpy(h->name, path, len);
		return true;
	}
	for (size_t cut = len - 1; cut-- > 0;) {
		if (path[cut] != '/' || cut > sizeof(h->prefix))
			continue;
		if (len - cut - 1 > sizeof(h->name))
			return false;
		memcpy(h->prefix, path, cut);
		memcpy(h->name, path + cut + 1, len - cut - 1);
		return true;
	}
	return false;
}

static void put_block(struct buf *out, struct ustar *h, uint32_t mode, uint64_t size, char type)
{
	octal(h->mode, sizeof(h->mode), mode);
	octal(h->uid, sizeof(h->uid), 0);
	octal(h->gid, sizeof(h->gid), 0);
	octal(h->size, sizeof(h->size), size);
	octal(h->mtime, sizeof(h->mtime), 0);
	octal(h->devmajor, sizeof(h->devmajor), 0);
	octal(h->devminor, sizeof(h->devminor), 0);
	h->typeflag = type;
	memcpy(h->magic, "ustar", 6);
	memcpy(h->version, "00", 2);
	memset(h->chksum, ' ', sizeof(h->chksum));
	unsigned sum = 0;
	for (size_t i = 0; i < sizeof(*h); i++)
		sum += ((const unsigned char *)h)[i];
	octal(h->chksum, 7, sum);
	buf_append(out, h, sizeof(*h));
}

/* "LEN key=value\n", where LEN counts its own digits. */
static void pax_record(struct buf *out, const char *key, const char *value)
{
	size_t rest = strlen(key) + strlen(value) + 3, digits = 1;
	while ((size_t)snprintf(NULL, 0, "%zu", rest + digits) != digits)
		digits++;
	buf_printf(out, "%zu %s=%s\n", rest + digits, key, value);
}

static void pax_header(struct buf *out, const struct buf *records)
{
	static const char zeros[512];
	struct ustar h = { .name = "PaxHeaders/entry" };
	put_block(out, &h, 0644, records->len, 'x');
	buf_append(out, records->data, records->len);
	buf_append(out, zeros, (512 - records->len % 512) % 512);
}

void tar_header(struct buf *out, const struct tar_member *m)
{
	autobuf struct buf pax = { 0 };
	struct ustar h = { 0 };
	char size[24];
	if (!put_name(&h, m->path)) {
		memset(h.name, 0, sizeof(h.name));
		memcpy(h.name, m->path, sizeof(h.name));
		pax_record(&pax, "path", m->path);
	}
	size_t target = m->target ? strlen(m->target) : 0;
	if (target > sizeof(h.linkname)) {
		pax_record(&pax, "linkpath", m->target);
		target = sizeof(h.linkname);
	}
	if (target)
		memcpy(h.linkname, m->target, target);
	uint64_t in_header = m->size;
	if (in_header >= UINT64_C(1) << 33) {
		snprintf(size, sizeof(size), "%llu", (unsigned long long)m->size);
		pax_record(&pax, "size", size);
		in_header = 0;
	}
	if (pax.len)
		pax_header(out, &pax);
	put_block(out, &h, m->mode, in_header, m->type);
}
