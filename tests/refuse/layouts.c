/* SPDX-License-Identifier: MIT */
/*
 * layouts.c: every hostile layout is refused in words or harmless, and the good kernel beside it stays good.
 */
#include "../unit/cache_rig.h"
#include "hostile.h"

#include <sched.h>
#include <sys/mount.h>

static void check_good(struct rig *r)
{
	static char data[IMAGE_LEN];
	struct view *v;
	image_bytes(data, sizeof(data), 0);
	assert_int_equal(rig_view(r, "good", "1.0", &v), 0);
	assert_int_equal(rig_cat(r, v, "src/ok.c"), 0);
	assert_string_equal(r->data.data, OK_TEXT);
	assert_int_equal(rig_cat(r, v, "images/kernel.elf"), 0);
	assert_int_equal(r->data.len, IMAGE_LEN);
	assert_memory_equal(r->data.data, data, IMAGE_LEN);
	view_put(v);
}

static void check_refused(struct rig *r, const struct hostile *h)
{
	struct view *v;
	assert_int_equal(rig_view(r, "bad", "1.0", &v), h->err);
	assert_null(v);
	if (!strstr(r->why.text, h->tells))
		fail_msg("\"%s\" does not say \"%s\"", r->why.text, h->tells);
	if (!strstr(r->why.text, "bad:1.0"))
		fail_msg("\"%s\" does not say whom it is about", r->why.text);
}

static void check_unreadable(struct rig *r, const struct hostile *h)
{
	struct view *v;
	struct entry e;
	unsigned missing = 0;
	assert_int_equal(rig_view(r, "bad", "1.0", &v), 0);
	assert_int_equal(rig_cat(r, v, h->tells), h->err);
	assert_non_null(strstr(r->why.text, h->tells));
	assert_int_equal(view_path(v, h->tells, &e), 0);
	for (uint64_t off = 0; off < e.size; off += 8) {
		char byte;
		missing += view_read_now(v, e.index, off, &byte, 1) == -EAGAIN;
	}
	assert_true(missing > 0); /* what was bad is not kept */
	assert_int_equal(rig_export(r, v, h->tells, "out"), h->err);
	assert_int_not_equal(access(at("out"), F_OK), 0);
	assert_int_equal(rig_checkout(r, v, *h->tells == 's' ? "src" : "images", "dir"), h->err);
	assert_int_not_equal(access(at("dir"), F_OK), 0);
	view_put(v);
}

static void check_all_entries(struct rig *r, struct view *v)
{
	for (uint32_t i = 0; i < view_count(v); i++) {
		struct entry e;
		assert_int_equal(view_entry(v, i, &e), 0);
		assert_null(strchr(e.name, '/'));
		assert_true(strcmp(e.name, "..") != 0 && strcmp(e.name, ".") != 0);
		assert_true(i == 0 || *e.name);
		assert_true(e.type == ENTRY_LINK || (e.mode & ~0555u) == 0);
		if (e.type == ENTRY_FILE)
			assert_int_equal(rig_read(r, v, e.index, 0, 1 << 30), 0);
	}
}

static void check_harmless(struct rig *r, const struct hostile *h)
{
	struct view *v;
	struct entry e;
	assert_int_equal(rig_view(r, "bad", "1.0", &v), 0);
	assert_int_equal(view_path(v, h->tells, &e), h->err);
	check_all_entries(r, v);
	assert_int_equal(rig_checkout(r, v, "src", "dir"), 0);
	assert_int_equal(access(at("dir/ok.c"), F_OK), 0);
	view_put(v);
}

static void check_names(const struct rig *r)
{
	for (uint32_t i = 0; i < names_count(r->names); i++) {
		const struct name *n = names_at(r->names, i);
		assert_true(strcmp(n->name, "good") == 0 || strcmp(n->name, "bad") == 0);
		assert_true(strcmp(n->tag, "1.0") == 0 || strcmp(n->tag, "2.0") == 0);
	}
}

static void hostile_test(void **state)
{
	const struct hostile *h = *state;
	struct why why = { 0 };
	struct rig r;
	assert_int_equal(tmp_setup(state), 0);
	assert_int_equal(hostile_make(h, at("layout"), &why), 0);
	rig_open(&r, "cache", "layout");
	assert_int_equal(rig_names(&r), 0);
	check_names(&r);
	check_good(&r);
	if (h->outcome == REFUSED)
		check_refused(&r, h);
	else if (h->outcome == READ_FAILS)
		check_unreadable(&r, h);
	else
		check_harmless(&r, h);
	check_good(&r);
	rig_close(&r);

	/* and where bad came first */
	rig_open(&r, "cache2", "layout");
	struct view *v;
	if (rig_view(&r, "bad", "1.0", &v) == 0) {
		struct entry e;
		if (view_path(v, h->tells, &e) == 0)
			rig_read(&r, v, e.index, 0, 1 << 30);
		view_put(v);
	}
	check_good(&r);
	rig_close(&r);
	tmp_teardown(state);
}

/* What is wrong with the layout as a whole is told, and does not look like an empty registry. */
static void whole_layout(void **state)
{
	static const struct {
		const char *file, *text;
	} wrongs[] = { { "index.json", "{" }, { "index.json", "[]" },
		{ "index.json", "{\"schemaVersion\":2}" }, { "index.json", "" },
		{ "oci-layout", "{\"imageLayoutVersion\":\"2.0.0\"}" }, { "oci-layout", "{}" } };
	for (size_t i = 0; i < sizeof(wrongs) / sizeof(*wrongs); i++) {
		struct rig r;
		struct view *v;
		assert_int_equal(tmp_setup(state), 0);
		put_text("layout/oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");
		put_text("layout/index.json", "{\"manifests\":[]}");
		put_text(in("layout", wrongs[i].file), wrongs[i].text);
		rig_open(&r, "cache", "layout");
		assert_int_equal(rig_names(&r), -EHOSTUNREACH);
		assert_int_equal(rig_view(&r, "bad", "1.0", &v), -EHOSTUNREACH);
		rig_close(&r);
		tmp_teardown(state);
	}
}

static void fifo_for_index(void **state)
{
	struct rig r;
	assert_int_equal(tmp_setup(state), 0);
	put_text("layout/oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");
	assert_int_equal(mkfifo(at("layout/index.json"), 0644), 0);
	rig_open(&r, "cache", "layout");
	assert_int_equal(rig_names(&r), -EHOSTUNREACH);
	rig_close(&r);
	tmp_teardown(state);
}

static void mangled_entries(void **state)
{
	struct rig r;
	assert_int_equal(tmp_setup(state), 0);
	put_text("layout/oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");
	put_text("layout/index.json",
		"{\"manifests\":[1,null,{},{\"mediaType\":\"x\"},{\"mediaType\":\"" MT_MANIFEST
		"\",\"digest\":\"sha256:zz\",\"size\":1},{\"mediaType\":\"" MT_MANIFEST
		"\",\"digest\":\"sha512:00\",\"size\":1},{\"mediaType\":\"" MT_MANIFEST
		"\",\"digest\":\"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\","
		"\"size\":-1}]}");
	rig_open(&r, "cache", "layout");
	assert_int_equal(rig_names(&r), 0);
	assert_int_equal(names_count(r.names), 0);
	rig_close(&r);
	tmp_teardown(state);
}

/* Hundreds of caches are made and thrown away: in memory that takes a quarter of the time. Seen by this process only, so
 * that it is gone with it, however that ends; who may not mount has the disk. */
static void work_in_memory(void)
{
	const char *dir = getenv("TMPDIR");
	if (dir && *dir && unshare(CLONE_NEWNS) == 0 &&
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0)
		(void)!mount("tmpfs", dir, "tmpfs", 0, "mode=700");
}

int main(void)
{
	struct CMUnitTest tests[HOSTILE_COUNT + 3] = {
		cmocka_unit_test(whole_layout),
		cmocka_unit_test(fifo_for_index),
		cmocka_unit_test(mangled_entries),
	};
	for (size_t i = 0; i < HOSTILE_COUNT; i++)
		tests[i + 3] = (struct CMUnitTest){ .name = hostile_cases[i].name,
			.test_func = hostile_test,
			.initial_state = (void *)&hostile_cases[i] };
	log_open("test", LOG_LEVEL_ERROR);
	work_in_memory();
	return cmocka_run_group_tests_name("layouts", tests, NULL, NULL);
}
