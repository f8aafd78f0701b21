/* SPDX-License-Identifier: MIT */
/* cosign.c: the signature is checked over the bytes as they are, and only then is looked at what they say. */
#include "cache/cosign.h"

#include "cache/base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_KEY	     (64u << 10)
#define MAX_KEYS     64u
#define TYPE_LITERAL "cosign container image signature"

struct cosign_keys {
	unsigned count;
	EVP_PKEY *key[MAX_KEYS];
};

void cosign_tag(const struct digest *d, char out[COSIGN_TAG_LEN + 1])
{
	char hex[DIGEST_HEX_LEN + 1];
	digest_hex(d, hex);
	snprintf(out, COSIGN_TAG_LEN + 1, "sha256-%s.sig", hex);
}

bool cosign_is_tag(const char *tag)
{
	return strncmp(tag, "sha256-", 7) == 0 && strspn(tag + 7, "0123456789abcdef") == DIGEST_HEX_LEN;
}

/* --- keys ------------------------------------------------------------------------------------- */

static bool is_usable(EVP_PKEY *key)
{
	char group[64] = "";
	if (EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519)
		return true;
	return EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
	       EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) == 1 &&
	       strcmp(group, "prime256v1") == 0;
}

/* An encrypted key asks for its passphrase: there is nobody to ask. */
static int no_passphrase(char *buf, int size, int writing, void *arg)
{
	(void)buf, (void)size, (void)writing, (void)arg;
	return -1;
}

static int load_key(const char *path, bool private, EVP_PKEY **out, struct why *why)
{
	autobuf struct buf text = { 0 };
	int err = io_read_file(AT_FDCWD, path, MAX_KEY, &text);
	if (err < 0)
		return why_fail_errno(why, err, "key %s", path);
	BIO *bio = BIO_new_mem_buf(text.data ? text.data : "", (int)text.len);
	*out = private ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL)
		       : PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL);
	BIO_free(bio);
	ERR_clear_error();
	OPENSSL_cleanse(text.data ? text.data : (char[]){ 0 }, text.len);
	if (*out && is_usable(*out))
		return 0;
	EVP_PKEY_free(*out);
	*out = NULL;
	return why_fail(why, -EINVAL, "key %s: that is no %s key of ECDSA P-256 or Ed25519 in PEM%s", path,
		private ? "private" : "public",
		private ? ", without a passphrase (openssl genpkey -algorithm ed25519 makes one)"
			: " (openssl pkey -in PRIVATE -pubout makes it)");
}

int cosign_keys_load(const char *const *paths, struct cosign_keys **out, struct why *why)
{
	struct cosign_keys *k = xcalloc(1, sizeof(*k));
	int err = 0;
	for (; *paths && !err; paths++) {
		if (k->count == MAX_KEYS)
			err = why_fail(why, -E2BIG, "more than %u keys", MAX_KEYS);
		else
			err = load_key(*paths, false, &k->key[k->count], why);
		k->count += !err;
	}
	if (err) {
		cosign_keys_free(k);
		return err;
	}
	*out = k;
	return 0;
}

void cosign_keys_free(struct cosign_keys *k)
{
	if (!k)
		return;
	for (unsigned i = 0; i < k->count; i++)
		EVP_PKEY_free(k->key[i]);
	free(k);
}

/* --- checking --------------------------------------------------------------------------------- */

static const EVP_MD *digest_for(EVP_PKEY *key)
{
	return EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 ? NULL : EVP_sha256();
}

static bool is_signed_by(EVP_PKEY *key, const void *data, size_t len, const void *sig, size_t sig_len)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool good = ctx && EVP_DigestVerifyInit(ctx, NULL, digest_for(key), NULL, key) == 1 &&
		    EVP_DigestVerify(ctx, sig, sig_len, data, len) ==
			    1; /* 0 and less: not, for whatever reason */
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return good;
}

/* Strict: nothing around it, padding where it belongs. Returns the length or -1. */
static int decode_base64(const char *text, unsigned char *out, size_t room)
{
	size_t len = strlen(text), pad = 0;
	if (len == 0 || len % 4 || len / 4 * 3 > room)
		return -1;
	while (pad < 2 && text[len - 1 - pad] == '=')
		pad++;
	if (strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") != len - pad)
		return -1;
	int n = EVP_DecodeBlock(out, (const unsigned char *)text, (int)len);
	return n < 0 ? -1 : n - (int)pad;
}

static bool names_repository(const char *is, const char *want)
{
	size_t n = strlen(is), m = strlen(want);
	return n >= m && strcmp(is + n - m, want) == 0 && (n == m || is[n - m - 1] == '/');
}

/* What is signed: this digest, under this name? */
static int check_payload(
	const void *payload, size_t len, const struct digest *d, const char *repository, struct why *why)
{
	autojson json_t *doc = NULL;
	json_t *critical = NULL, *identity = NULL, *image = NULL;
	const char *type = NULL, *is = NULL, *name = NULL;
	char want[DIGEST_TEXT_LEN + 1];
	digest_text(d, want);
	int err = strict_load(payload, len, "signed text", &doc, why);
	if (!err)
		err = strict_object(doc, "critical", REQUIRED, &critical, why);
	if (!err)
		err = strict_text(critical, "type", REQUIRED, &type, why);
	if (!err)
		err = strict_object(critical, "image", REQUIRED, &image, why);
	if (!err)
		err = strict_text(image, "docker-manifest-digest", REQUIRED, &is, why);
	if (!err)
		err = strict_object(critical, "identity", REQUIRED, &identity, why);
	if (!err)
		err = strict_text(identity, "docker-reference", REQUIRED, &name, why);
	if (err)
		return -EKEYREJECTED;
	if (strcmp(type, TYPE_LITERAL) != 0)
		return why_fail(why, -EKEYREJECTED, "what is signed is a \"%.60s\"", type);
	if (strcmp(is, want) != 0)
		return why_fail(why, -EKEYREJECTED, "what is signed is another digest, %.80s", is);
	if (!names_repository(name, repository))
		return why_fail(why, -EKEYREJECTED, "what is signed is called %.200s", name);
	return 0;
}

int cosign_check(const struct cosign_keys *k, const void *payload, size_t len, const char *signature,
	const struct digest *digest, const char *repository, struct why *why)
{
	unsigned char sig[1024];
	int n = decode_base64(signature, sig, sizeof(sig));
	if (n <= 0)
		return why_fail(why, -EKEYREJECTED, "the signature is malformed");
	for (unsigned i = 0; i < k->count; i++)
		if (is_signed_by(k->key[i], payload, len, sig, (size_t)n))
			return check_payload(payload, len, digest, repository, why);
	return why_fail(why, -EKEYREJECTED, "the signature is by none of the given keys");
}

/* --- signing ---------------------------------------------------------------------------------- */

static void make_payload(const char *repository, const struct digest *d, struct buf *out)
{
	char text[DIGEST_TEXT_LEN + 1];
	autojson json_t *doc = json_object();
	json_t *critical = json_object(), *identity = json_object(), *image = json_object();
	digest_text(d, text);
	json_object_set_new(identity, "docker-reference", json_string(repository));
	json_object_set_new(image, "docker-manifest-digest", json_string(text));
	json_object_set_new(critical, "identity", identity);
	json_object_set_new(critical, "image", image);
	json_object_set_new(critical, "type", json_string(TYPE_LITERAL));
	json_object_set_new(doc, "critical", critical);
	json_object_set_new(doc, "optional", json_null());
	strict_dump(doc, out);
}

static bool sign(EVP_PKEY *key, const struct buf *payload, struct buf *out)
{
	unsigned char sig[1024];
	size_t len = sizeof(sig);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool good = ctx && EVP_DigestSignInit(ctx, NULL, digest_for(key), NULL, key) == 1 &&
		    EVP_DigestSign(ctx, sig, &len, (const unsigned char *)payload->data, payload->len) == 1;
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	if (good) {
		char *to = buf_reserve(out, 4 * (len + 2) / 3 + 4);
		out->len += (size_t)EVP_EncodeBlock((unsigned char *)to, sig, (int)len);
	}
	return good;
}

int cosign_sign(const char *key_path, const char *repository, const struct digest *digest,
	struct buf *payload, struct buf *signature, struct why *why)
{
	EVP_PKEY *key = NULL;
	int err = load_key(key_path, true, &key, why);
	if (err)
		return err;
	make_payload(repository, digest, payload);
	if (!sign(key, payload, signature))
		err = why_fail(why, -EIO, "key %s: signing failed", key_path);
	EVP_PKEY_free(key);
	return err;
}

bool cosign_is_by(const char *key_path, const void *payload, size_t len, const char *signature)
{
	unsigned char sig[1024];
	EVP_PKEY *key = NULL;
	int n = decode_base64(signature, sig, sizeof(sig));
	if (n <= 0 || load_key(key_path, true, &key, NULL) < 0)
		return false;
	bool good = is_signed_by(key, payload, len, sig, (size_t)n);
	EVP_PKEY_free(key);
	return good;
}

int cosign_key_check(const char *key_path, struct why *why)
{
	EVP_PKEY *key = NULL;
	int err = load_key(key_path, true, &key, why);
	EVP_PKEY_free(key);
	return err;
}
