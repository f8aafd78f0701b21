/* SPDX-License-Identifier: MIT */
/* digest.c: SHA-256 by libcrypto's EVP, which uses the CPU's instructions for it. */
#include "cache/digest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

struct hasher {
	EVP_MD_CTX *ctx;
};

static void must(int ok)
{
	if (ok == 1)
		return;
	log_error("SHA-256 failed inside libcrypto");
	abort();
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

int digest_parse_hex(const char *hex, struct digest *out)
{
	if (!hex || strlen(hex) != DIGEST_HEX_LEN)
		return -EINVAL;
	for (size_t i = 0; i < sizeof(out->bytes); i++) {
		int hi = hex_value(hex[2 * i]), lo = hex_value(hex[2 * i + 1]);
		if (hi < 0 || lo < 0)
			return -EINVAL;
		out->bytes[i] = (uint8_t)(hi << 4 | lo);
	}
	return 0;
}

int digest_parse(const char *text, struct digest *out)
{
	if (!text || strncmp(text, "sha256:", 7) != 0)
		return -EINVAL;
	return digest_parse_hex(text + 7, out);
}

void digest_hex(const struct digest *d, char out[DIGEST_HEX_LEN + 1])
{
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < sizeof(d->bytes); i++) {
		out[2 * i] = digits[d->bytes[i] >> 4];
		out[2 * i + 1] = digits[d->bytes[i] & 15];
	}
	out[DIGEST_HEX_LEN] = 0;
}

void digest_text(const struct digest *d, char out[DIGEST_TEXT_LEN + 1])
{
	memcpy(out, "sha256:", 7);
	digest_hex(d, out + 7);
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

void digest_of(const void *data, size_t len, struct digest *out)
{
	unsigned n = sizeof(out->bytes);
	must(EVP_Digest(data, len, out->bytes, &n, EVP_sha256(), NULL));
}

struct hasher *hasher_new(void)
{
	struct hasher *h = xcalloc(1, sizeof(*h));
	h->ctx = EVP_MD_CTX_new();
	must(h->ctx != NULL);
	must(EVP_DigestInit_ex(h->ctx, EVP_sha256(), NULL));
	return h;
}

void hasher_add(struct hasher *h, const void *data, size_t len)
{
	must(EVP_DigestUpdate(h->ctx, data, len));
}

void hasher_end(struct hasher *h, struct digest *out)
{
	unsigned n = sizeof(out->bytes);
	must(EVP_DigestFinal_ex(h->ctx, out->bytes, &n));
	must(EVP_DigestInit_ex(h->ctx, EVP_sha256(), NULL));
}

void hasher_free(struct hasher *h)
{
	if (!h)
		return;
	EVP_MD_CTX_free(h->ctx);
	free(h);
}
