/* SPDX-License-Identifier: MIT */
/* cache_publish.c: a directory becomes an artifact: the same one each time, and one that others can read. */
#include "cache_rig.h"

#include "cache/json.h"

#include <sys/file.h>
#include <sys/wait.h>

static int sh(const char *fmt, ...)
{
	autobuf struct buf cmd = { 0 };
	va_list ap;
	va_start(ap, fmt);
	buf_vprintf(&cmd, fmt, ap);
	va_end(ap);
	int status = system(cmd.data);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void same_input_same_digest(void **state)
{
	(void)state;
	char first[DIGEST_TEXT_LEN + 1], second[DIGEST_TEXT_LEN + 1];
	make_kernel("k", "sort", 1);
	publish_to("k", "one", NULL, first);
	/* made in another order, with other times, owners and modes that mean the same */
	assert_int_equal(sh("cd %s && mkdir c && tar cf - -C k . | tar xf - -C c && find c -exec touch -h -d "
			    "2001-01-01 {} + && "
			    "find c -type f ! -name run.sh -exec chmod 600 {} + && chmod 700 c/src/run.sh && "
			    "chmod 700 c/src",
				 tmp_path),
		0);
	publish_to("c", "two", NULL, second);
	assert_string_equal(first, second);
	assert_int_equal(sh("diff -r %s %s", at("one"), at("two")), 0);
	publish_to("k", "one", "other/name:7", second); /* the name is the index's affair */
	assert_string_equal(first, second);
	put_text("k/src/app/main.c", "int main(void);\n");
	publish_to("k", "one", NULL, second);
	assert_string_not_equal(first, second);
}

static unsigned entries(const char *layout, const char *ref, char *digest)
{
	struct buf text = { 0 };
	json_t *index, *list = NULL;
	struct why why = { 0 };
	unsigned found = 0;
	assert_int_equal(io_read_file(tmp_dir, in(layout, "index.json"), 1 << 20, &text), 0);
	assert_int_equal(strict_load(text.data, text.len, "index", &index, &why), 0);
	assert_int_equal(strict_list(index, "manifests", REQUIRED, 100, &list, &why), 0);
	for (size_t i = 0; i < json_array_size(list); i++) {
		json_t *d = json_array_get(list, i);
		const char *have = json_string_value(json_object_get(
			json_object_get(d, "annotations"), "org.opencontainers.image.ref.name"));
		if (ref && (!have || strcmp(have, ref) != 0))
			continue;
		found++;
		strcpy(digest, json_string_value(json_object_get(d, "digest")));
	}
	json_decref(index);
	buf_free(&text);
	return found;
}

static void a_tag_is_replaced(void **state)
{
	(void)state;
	char first[DIGEST_TEXT_LEN + 1], second[DIGEST_TEXT_LEN + 1], seen[DIGEST_TEXT_LEN + 1];
	struct stat before, after;
	make_kernel("k", "sort", 1);
	publish_to("k", "layout", NULL, first);
	publish_to("k", "layout", "keep:1", NULL);
	stat(at("layout/index.json"), &before);
	publish_to("k", "layout", NULL, NULL);
	stat(at("layout/index.json"), &after);
	assert_int_equal(before.st_ino, after.st_ino); /* nothing new: not written */
	make_kernel("k", "sort", 2);
	publish_to("k", "layout", NULL, second);
	assert_int_equal(entries("layout", "sort:1.0", seen), 1);
	assert_string_equal(seen, second);
	assert_int_equal(entries("layout", "keep:1", seen), 1);
	assert_string_equal(seen, first);
	assert_int_equal(entries("layout", NULL, seen), 2); /* the old descriptor is gone, not nameless */
}

static void others_read_it(void **state)
{
	(void)state;
	char digest[DIGEST_TEXT_LEN + 1], seen[DIGEST_TEXT_LEN + 1];
	if (sh("command -v skopeo zstd >/dev/null") != 0)
		skip();
	make_kernel("k", "sort", 1);
	publish_to("k", "layout", NULL, digest);
	autofree char *one = xstrdup(at("layout")), *two = xstrdup(at("two")), *back = xstrdup(at("back"));
	assert_int_equal(
		sh("skopeo copy -q oci:%s:sort:1.0 oci:%s:a/sort:2 && skopeo copy -q oci:%s:a/sort:2 "
		   "oci:%s:sort:1.0",
			one, two, two, back),
		0);
	assert_int_equal(entries("back", "sort:1.0", seen), 1);
	assert_string_equal(seen, digest);
	assert_int_equal(sh("diff -r %s/blobs %s/blobs", one, back), 0);
	assert_int_equal(sh("skopeo copy -q oci:%s:sort:1.0 oci:%s:sort:1.0", back, one), 0);
	assert_int_equal(entries("layout", "sort:1.0", seen), 1);
	assert_string_equal(seen, digest);

	/* and what skopeo wrote is read here */
	struct rig r;
	struct view *v;
	rig_open(&r, "cache", "two");
	assert_int_equal(rig_view(&r, "a/sort", "2", &v), 0);
	assert_string_equal(view_digest(v), digest);
	assert_int_equal(rig_cat(&r, v, "src/app/main.c"), 0);
	assert_string_equal(r.data.data, MAIN_C);
	view_put(v);
	rig_close(&r);
}

static void refused(int err, const char *words)
{
	struct why why = { 0 };
	char digest[DIGEST_TEXT_LEN + 1];
	autofree char *from = xstrdup(at("k")), *to = xstrdup(at("layout"));
	assert_int_equal(publish_directory(from, to, NULL, NULL, NULL, NULL, digest, &why), err);
	if (!strstr(why.text, words))
		fail_msg("\"%s\" does not say \"%s\"", why.text, words);
	assert_int_equal(access(at("layout/index.json"), F_OK), -1);
}

static void says_what_is_wrong(void **state)
{
	(void)state;
	refused(-ENOENT, at("k"));
	make_kernel("k", "sort", 1);
	unlink(at("k/README.md"));
	refused(-ENOENT, "README.md");
	make_kernel("k", "sort", 1);
	unlink(at("k/images/kernel.elf"));
	refused(-ENOENT, "images/kernel.elf");
	make_kernel("k", "sort", 1);
	assert_int_equal(mkfifo(at("k/src/app/fifo"), 0644), 0);
	refused(-EINVAL, "app/fifo");
	unlink(at("k/src/app/fifo"));
	put_text("k/src/app/bad\xff.c", "");
	refused(-EILSEQ, "UTF-8");
	unlink(at("k/src/app/bad\xff.c"));
	put_text("k/src/.wh.x", "");
	refused(-EBADMSG, "whiteout");
	unlink(at("k/src/.wh.x"));
	put_text("k/kernel.conf", "name = sort\nversion = 1.0\ncolour = red\n");
	refused(-EINVAL, "line 3");
	put_text("k/kernel.conf",
		"name = sort\nversion = 1.0\narch = x86_64\nmodes = fullVM\nimage = src/app/main.c\n");
	refused(-EINVAL, "below images/");
	put_text("k/kernel.conf", "name = sort\nversion = 1.0\narch = x86_64\nmodes = fullVM\nimage = "
				  "images/small\ntemplate = no\n");
	refused(-ENOENT, "src/no");
	struct why why = { 0 };
	char digest[DIGEST_TEXT_LEN + 1];
	make_kernel("k", "sort", 1);
	autofree char *from = xstrdup(at("k")), *to = xstrdup(at("layout"));
	assert_int_equal(publish_directory(from, to, "UPPER:1", NULL, NULL, NULL, digest, &why), -EINVAL);
}

static void publishes_at_the_same_time(void **state)
{
	(void)state;
	char seen[DIGEST_TEXT_LEN + 1];
	make_kernel("k", "sort", 1);
	for (int i = 0; i < 6; i++) {
		if (fork() == 0) {
			autofree char *ref = xasprintf("sort:%d", i), *from = xstrdup(at("k")),
				      *to = xstrdup(at("layout"));
			_exit(publish_directory(from, to, ref, NULL, NULL, NULL, seen, NULL) ? 1 : 0);
		}
	}
	for (int i = 0; i < 6; i++) {
		int status;
		wait(&status);
		assert_int_equal(status, 0);
	}
	assert_int_equal(entries("layout", NULL, seen), 6);
	assert_int_equal(sh("ls -A %s/blobs/sha256 | grep -q tmp", at("layout")), 1);
}

RUN("cache_publish", tmp_test(same_input_same_digest), tmp_test(a_tag_is_replaced), tmp_test(others_read_it),
	tmp_test(says_what_is_wrong), tmp_test(publishes_at_the_same_time))
