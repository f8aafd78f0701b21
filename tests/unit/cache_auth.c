/* SPDX-License-Identifier: MIT */
/* Challenges as servers write them, addresses, and the files that hold credentials. */
#include "base_tmp.h"

#include "cache/auth.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static struct challenge read_lines(const char *lines)
{
	struct challenge c;
	struct fetch_answer a = { 0 };
	buf_puts(&a.headers, lines);
	challenge_read(&c, &a);
	buf_free(&a.headers);
	return c;
}

static void challenges(void **state)
{
	(void)state;
	struct challenge c = read_lines("www-authenticate: Basic realm=\"a, \\\"b\\\"\"\n");
	assert_int_equal(c.kind, CHALLENGE_BASIC);
	assert_string_equal(c.realm, "a, \"b\"");
	challenge_free(&c);

	c = read_lines("www-authenticate: bearer Realm=\"https://x/t\" , "
		       "service=s,scope=\"repository:a:pull,push\"\n");
	assert_int_equal(c.kind, CHALLENGE_BEARER);
	assert_string_equal(c.realm, "https://x/t");
	assert_string_equal(c.service, "s");
	assert_string_equal(c.scope, "repository:a:pull,push");
	challenge_free(&c);

	/* the better of several, in one line or in more */
	c = read_lines("www-authenticate: Negotiate, Basic realm=\"x\", Bearer realm=\"https://y\"\n");
	assert_int_equal(c.kind, CHALLENGE_BEARER);
	assert_string_equal(c.realm, "https://y");
	challenge_free(&c);
	c = read_lines("www-authenticate: Bearer realm=\"https://y\"\nwww-authenticate: Basic realm=\"x\"\n");
	assert_int_equal(c.kind, CHALLENGE_BEARER);
	challenge_free(&c);

	/* what cannot be used, or ends in the middle */
	static const char *const odd[] = { "", "www-authenticate: \n", "www-authenticate: Bearer\n",
		"www-authenticate: Digest realm=\"x\"\n", "www-authenticate: ,,=,\"\n",
		"www-authenticate: Bearer service=\"s\n" };
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		c = read_lines(odd[i]);
		assert_int_equal(c.kind, CHALLENGE_NONE);
		challenge_free(&c);
	}
	c = read_lines("www-authenticate: Basic realm=\"never ends\\\n");
	assert_int_equal(c.kind, CHALLENGE_BASIC);
	challenge_free(&c);
}

static void addresses(void **state)
{
	(void)state;
	struct url u;
	struct why why = { 0 };
	assert_int_equal(url_parse("https://Reg.Example/lib/", &u, &why), 0);
	assert_string_equal(u.origin, "https://reg.example:443");
	assert_string_equal(u.host, "reg.example");
	assert_true(u.tls);
	assert_false(u.loopback);
	url_free(&u);
	assert_int_equal(url_parse("http://127.3.2.1:5000", &u, &why), 0);
	assert_string_equal(u.host, "127.3.2.1:5000");
	assert_true(u.loopback);
	url_free(&u);
	assert_int_equal(url_parse("http://[::1]:5000/", &u, &why), 0);
	assert_true(u.loopback);
	url_free(&u);
	assert_int_equal(url_parse("https://127.0.0.1.evil.example/", &u, &why), 0);
	assert_false(u.loopback);
	url_free(&u);

	assert_int_equal(url_resolve("https://a.example/v2/x?y", "../z", &u, &why), 0);
	assert_string_equal(u.text, "https://a.example/z");
	url_free(&u);
	assert_int_equal(url_resolve("https://a.example/v2/", "//b.example/q", &u, &why), 0);
	assert_string_equal(u.origin, "https://b.example:443");
	url_free(&u);

	static const char *const bad[] = { "", "x", "ftp://a/", "file:///etc/passwd", "https://",
		"https://alice:secret@a.example/", "https://alice@a.example/" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(url_parse(bad[i], &u, &why), -EINVAL);
		assert_null(strstr(why.text, "secret"));
		url_free(&u);
	}
}

static struct credentials find(const char *text, const char *host, const char *repository, int err)
{
	char path[8192];
	struct credentials c;
	struct why why = { 0 };
	assert_int_equal(io_write_file(tmp_dir, "auth.json", text, strlen(text), 0600, false), 0);
	snprintf(path, sizeof(path), "%s/auth.json", tmp_path);
	assert_int_equal(credentials_find(path, host, repository, &c, &why), err);
	assert_null(strstr(why.text, "secret"));
	return c;
}

/* alice:secret, bob:se:cret */
#define ALICE "{\"auth\":\"YWxpY2U6c2VjcmV0\"}"
#define BOB   "{\"auth\":\"Ym9iOnNlOmNyZXQ=\"}"

static void files(void **state)
{
	(void)state;
	struct credentials c = find("{\"auths\":{\"h:5000\":" ALICE ",\"h\":" BOB "}}", "h:5000", "k/a", 0);
	assert_string_equal(c.user, "alice");
	assert_string_equal(c.password, "secret");
	assert_false(c.of_namespace);
	credentials_free(&c);

	c = find("{\"auths\":{\"h\":" ALICE ",\"h/k\":" BOB "}}", "h", "k/a", 0); /* the longest that fits */
	assert_string_equal(c.user, "bob");
	assert_string_equal(c.password, "se:cret");
	assert_true(c.of_namespace);
	credentials_free(&c);
	c = find("{\"auths\":{\"h\":" ALICE ",\"h/k\":" BOB "}}", "h", "kk/a", 0);
	assert_string_equal(c.user, "alice");
	credentials_free(&c);

	c = find("{\"auths\":{\"https://h/v1/\":" ALICE "}}", "h", NULL, 0); /* as docker writes it */
	assert_string_equal(c.user, "alice");
	credentials_free(&c);
	c = find("{\"auths\":{\"h\":{\"identitytoken\":\"secret\",\"auth\":\"YWxpY2U6c2VjcmV0\"}}}", "h",
		NULL, 0);
	assert_string_equal(c.identity, "secret");
	assert_null(c.user);
	credentials_free(&c);

	static const char *const none[] = { "{}",
		"{\"auths\":{\"other\":" ALICE ",\"hh\":" ALICE ",\"h.x\":" ALICE "}}", "{\"auths\":[]}",
		"{\"auths\":{\"h\":{}}}" };
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		c = find(none[i], "h", NULL, 0);
		assert_null(c.user);
		assert_null(c.identity);
		credentials_free(&c);
	}
	static const char *const bad[] = { "secret", "{\"auths\":{\"h\":{\"auth\":\"secret!\"}}}",
		"{\"auths\":{\"h\":{\"auth\":\"c2VjcmV0\"}}}" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		c = find(bad[i], "h", NULL, -EBADMSG);
		credentials_free(&c);
	}
	c = find("{\"credHelpers\":{\"h\":\"../../bin/sh\"}}", "h", NULL, -EINVAL);
	credentials_free(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(challenges),
		cmocka_unit_test(addresses),
		tmp_test(files),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
