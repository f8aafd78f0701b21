/* SPDX-License-Identifier: MIT */
/* layer_split.c: written as it goes, compressed as a stream: it is larger than the table of contents. */
#include "cache/layer_split.h"

#include "cache/base/log.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <zstd.h>

struct tar_split {
	ZSTD_CCtx *ctx;
	struct buf pending; /* raw tar bytes not yet written */
	struct buf line, out;
	uint64_t raw, position;
};

struct tar_split *tar_split_new(int level)
{
	struct tar_split *s = xcalloc(1, sizeof(*s));
	s->ctx = ZSTD_createCCtx();
	if (!s->ctx ||
		ZSTD_isError(ZSTD_CCtx_setParameter(s->ctx, ZSTD_c_compressionLevel, level < 9 ? level : 9)))
		abort();
	return s;
}

void tar_split_free(struct tar_split *s)
{
	if (!s)
		return;
	ZSTD_freeCCtx(s->ctx);
	buf_free(&s->pending);
	buf_free(&s->line);
	buf_free(&s->out);
	free(s);
}

static void feed(struct tar_split *s, const void *data, size_t len, ZSTD_EndDirective end)
{
	ZSTD_inBuffer in = { data, len, 0 };
	size_t left;
	s->raw += len;
	do {
		size_t room = ZSTD_CStreamOutSize();
		ZSTD_outBuffer out = { buf_reserve(&s->out, room), room, 0 };
		left = ZSTD_compressStream2(s->ctx, &out, &in, end);
		if (ZSTD_isError(left)) {
			log_error("zstd: %s", ZSTD_getErrorName(left));
			abort();
		}
		s->out.len += out.pos;
	} while (in.pos < in.size || (end == ZSTD_e_end && left > 0));
}

static void put_base64(struct buf *out, const void *data, size_t len)
{
	size_t room = (len + 2) / 3 * 4 + 1;
	char *to = buf_reserve(out, room);
	out->len += (size_t)EVP_EncodeBlock((unsigned char *)to, data, (int)len);
}

static void put_line(struct tar_split *s)
{
	feed(s, s->line.data, s->line.len, ZSTD_e_continue);
	buf_clear(&s->line);
	s->position++;
}

static void flush_bytes(struct tar_split *s)
{
	if (s->pending.len == 0)
		return;
	buf_puts(&s->line, "{\"type\":2,\"payload\":\"");
	put_base64(&s->line, s->pending.data, s->pending.len);
	buf_printf(&s->line, "\",\"position\":%llu}\n", (unsigned long long)s->position);
	put_line(s);
	buf_clear(&s->pending);
}

void tar_split_bytes(struct tar_split *s, const void *data, size_t len)
{
	buf_append(&s->pending, data, len);
}

static int to_line(const char *data, size_t len, void *arg)
{
	buf_append(arg, data, len);
	return 0;
}

void tar_split_file(struct tar_split *s, const char *name, uint64_t size, uint64_t crc)
{
	flush_bytes(s);
	json_t *text = json_string(name);
	buf_puts(&s->line, "{\"type\":1,\"name\":");
	json_dump_callback(text, to_line, &s->line, JSON_ENCODE_ANY | JSON_COMPACT);
	json_decref(text);
	if (size > 0) {
		unsigned char be[8];
		for (int i = 0; i < 8; i++)
			be[i] = (unsigned char)(crc >> (56 - 8 * i));
		buf_printf(&s->line, ",\"size\":%llu,\"payload\":\"", (unsigned long long)size);
		put_base64(&s->line, be, sizeof(be));
		buf_puts(&s->line, "\"");
	} else {
		buf_puts(&s->line, ",\"payload\":null");
	}
	buf_printf(&s->line, ",\"position\":%llu}\n", (unsigned long long)s->position);
	put_line(s);
}

const struct buf *tar_split_end(struct tar_split *s, uint64_t *raw)
{
	flush_bytes(s);
	feed(s, NULL, 0, ZSTD_e_end);
	*raw = s->raw;
	return &s->out;
}

/* Eight tables: one byte at a time would be slower than the compression. */
static uint64_t crc_table[8][256];

static void crc_init(void)
{
	for (unsigned i = 0; i < 256; i++) {
		uint64_t c = i;
		for (int k = 0; k < 8; k++)
			c = c & 1 ? c >> 1 ^ UINT64_C(0xd800000000000000) : c >> 1;
		crc_table[0][i] = c;
	}
	for (unsigned i = 0; i < 256; i++)
		for (int t = 1; t < 8; t++)
			crc_table[t][i] = crc_table[t - 1][i] >> 8 ^ crc_table[0][crc_table[t - 1][i] & 255];
}

uint64_t tar_split_crc(uint64_t crc, const void *data, size_t len)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	const unsigned char *p = data;
	pthread_once(&once, crc_init);
	crc = ~crc;
	for (; len >= 8; len -= 8, p += 8) {
		for (int i = 0; i < 8; i++)
			crc ^= (uint64_t)p[i] << 8 * i;
		uint64_t c = 0;
		for (int i = 0; i < 8; i++)
			c ^= crc_table[7 - i][crc >> 8 * i & 255];
		crc = c;
	}
	while (len--)
		crc = crc >> 8 ^ crc_table[0][(crc ^ *p++) & 255];
	return ~crc;
}
