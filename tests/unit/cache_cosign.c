/* SPDX-License-Identifier: MIT */
/* cache_cosign.c: keys, signatures, and everything that is wrong with them. */
#include "cache_rig.h"

#include "cache/cosign.h"

#include <openssl/evp.h>
#include <openssl/pem.h>

static void put_keys(const char *name, EVP_PKEY *key)
{
	autofree char *private = xasprintf("%s.key", at(name)), *public = xasprintf("%s.pub", at(name));
	FILE *f = fopen(private, "w"), *g = fopen(public, "w");
	assert_non_null(key);
	assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
	assert_int_equal(PEM_write_PUBKEY(g, key), 1);
	fclose(f);
	fclose(g);
	EVP_PKEY_free(key);
}

static struct cosign_keys *load(const char *a, const char *b)
{
	struct cosign_keys *k = NULL;
	struct why why = { 0 };
	autofree char *one = xstrdup(at(a)), *two = b ? xstrdup(at(b)) : NULL;
	const char *paths[] = { one, two, NULL };
	assert_int_equal(cosign_keys_load(paths, &k, &why), 0);
	return k;
}

static int check(const struct cosign_keys *k, const struct buf *payload, const char *signature,
	const struct digest *d, const char *repository, const char *words)
{
	struct why why = { 0 };
	int err = cosign_check(k, payload->data, payload->len, signature, d, repository, &why);
	if (err && !strstr(why.text, words))
		fail_msg("%s is not in: %s", words, why.text);
	return err;
}

static void signs_and_checks(void **state)
{
	(void)state;
	static const char *const kinds[] = { "ec", "ed" };
	put_keys("ec", EVP_EC_gen("prime256v1"));
	put_keys("ed", EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"));
	put_keys("other", EVP_EC_gen("prime256v1"));
	for (int i = 0; i < 2; i++) {
		autobuf struct buf payload = { 0 }, sig = { 0 };
		struct digest d, e;
		struct why why = { 0 };
		autofree char *private = xasprintf("%s.key", at(kinds[i])),
			      *public = xasprintf("%s.pub", kinds[i]);
		digest_of("a", 1, &d);
		digest_of("b", 1, &e);
		struct cosign_keys *good = load(public, NULL), *both = load("other.pub", public),
				   *bad = load("other.pub", NULL);
		assert_int_equal(cosign_sign(private, "k/art", &d, &payload, &sig, &why), 0);
		assert_int_equal(check(good, &payload, sig.data, &d, "k/art", ""), 0);
		assert_int_equal(check(both, &payload, sig.data, &d, "art", ""), 0);
		assert_int_equal(
			check(bad, &payload, sig.data, &d, "k/art", "none of the given keys"), -EKEYREJECTED);
		assert_int_equal(
			check(good, &payload, sig.data, &e, "k/art", "another digest"), -EKEYREJECTED);
		assert_int_equal(
			check(good, &payload, sig.data, &d, "k/arts", "is called k/art"), -EKEYREJECTED);
		assert_int_equal(check(good, &payload, sig.data, &d, "rt", "is called k/art"), -EKEYREJECTED);
		assert_int_equal(check(good, &payload, "", &d, "k/art", "malformed"), -EKEYREJECTED);
		assert_int_equal(check(good, &payload, "AAAA AAAA", &d, "k/art", "malformed"), -EKEYREJECTED);
		assert_int_equal(check(good, &payload, "AAAA", &d, "k/art", "none of"), -EKEYREJECTED);
		payload.len--;
		assert_int_equal(check(good, &payload, sig.data, &d, "k/art", "none of"), -EKEYREJECTED);
		cosign_keys_free(good);
		cosign_keys_free(both);
		cosign_keys_free(bad);
	}
}

static void sign_text(const char *text, struct buf *sig)
{
	autofree char *cmd =
		xasprintf("openssl dgst -sha256 -sign %s %s | base64 -w0", at("ec.key"), at("text"));
	put_text("text", text);
	FILE *f = popen(cmd, "r");
	char line[1000] = "";
	assert_non_null(fgets(line, sizeof(line), f));
	assert_int_equal(pclose(f), 0);
	buf_puts(sig, line);
}

/* Made by another program; and signed texts that say something else. */
static void checks_what_others_sign(void **state)
{
	(void)state;
	struct digest d;
	char digest[DIGEST_TEXT_LEN + 1];
	put_keys("ec", EVP_EC_gen("prime256v1"));
	struct cosign_keys *k = load("ec.pub", NULL);
	digest_of("a", 1, &d);
	digest_text(&d, digest);
	const struct {
		const char *type, *digest, *name, *more, *words;
	} cases[] = {
		{ "cosign container image signature", digest, "reg.example:5000/k/art", "", NULL },
		{ "atomic container signature", digest, "k/art", "", "is a \"atomic" },
		{ "cosign container image signature", "sha256:aa", "k/art", "", "another digest" },
		{ "cosign container image signature", digest, "k/other", "", "is called" },
		{ "cosign container image signature", digest, "k/art", ",\"critical\":{}", "" },
		{ "cosign container image signature", digest, "k/art", "}", "" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		autobuf struct buf text = { 0 }, sig = { 0 };
		buf_printf(&text,
			"{\"critical\":{\"identity\":{\"docker-reference\":\"%s\"},\"image\":{"
			"\"docker-manifest-digest\":\"%s\"},\"type\":\"%s\"},\"optional\":null%s}",
			cases[i].name, cases[i].digest, cases[i].type, cases[i].more);
		sign_text(text.data, &sig);
		int err = check(k, &text, sig.data, &d, "k/art", cases[i].words ? cases[i].words : "");
		assert_int_equal(err, cases[i].words ? -EKEYREJECTED : 0);
	}
	cosign_keys_free(k);
}

static void refuses_keys(void **state)
{
	(void)state;
	put_text("garbage", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n");
	put_keys("p384", EVP_EC_gen("secp384r1"));
	put_keys("rsa", EVP_RSA_gen(2048));
	put_keys("ec", EVP_EC_gen("prime256v1"));
	static const char *const bad[] = { "garbage", "p384.pub", "rsa.pub", "ec.key", "missing" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct cosign_keys *k = NULL;
		struct why why = { 0 };
		const char *paths[] = { at(bad[i]), NULL };
		assert_int_not_equal(cosign_keys_load(paths, &k, &why), 0);
		assert_non_null(strstr(why.text, "key "));
	}
}

static void knows_tags(void **state)
{
	(void)state;
	struct digest d;
	char tag[COSIGN_TAG_LEN + 1];
	digest_of("", 0, &d);
	cosign_tag(&d, tag);
	assert_string_equal(
		tag, "sha256-e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855.sig");
	assert_true(cosign_is_tag(tag));
	assert_false(cosign_is_tag("sha256-e3b0"));
	assert_false(cosign_is_tag("1.0"));
}

RUN("cache_cosign", tmp_test(signs_and_checks), tmp_test(checks_what_others_sign), tmp_test(refuses_keys),
	tmp_test(knows_tags))
