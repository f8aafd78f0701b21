/* SPDX-License-Identifier: MIT */
/* cache_learn.c: what one deploy read comes at the beginning of the next, and nothing else; garbage is no lesson. */
#include "cache_rig.h"

static uint64_t here_of(struct rig *r, const char *name, struct view **v)
{
	uint64_t here, total;
	assert_int_equal(rig_view(r, name, "1.0", v), 0);
	view_cached(*v, &here, &total);
	return here;
}

static void stop_soon(void *arg)
{
	loop_stop(((struct rig *)arg)->loop);
}

/* Until so much is here, or for a minute. */
static uint64_t wait_here(struct rig *r, struct view *v, uint64_t want)
{
	uint64_t here = 0, total;
	for (int i = 0; i < 6000 && here != want; i++) {
		loop_after(r->loop, 10, stop_soon, r);
		loop_run(r->loop);
		view_cached(v, &here, &total);
	}
	return here;
}

static void deploy(struct rig *r, bool ran)
{
	struct view *v;
	here_of(r, "sort", &v);
	view_deploy(v);
	assert_int_equal(rig_export(r, v, "images/kernel.elf", ran ? "one" : "two"), 0);
	view_deployed(v, ran);
	view_put(v);
}

static char *lesson(const char *digest)
{
	return xasprintf("%s/learned/%s", at("cache"), digest + 7);
}

/* The lesson is written in the background. */
static void wait_learned(struct rig *r, const char *path)
{
	for (int i = 0; i < 6000 && access(path, F_OK) != 0; i++) {
		loop_after(r->loop, 10, stop_soon, r);
		loop_run(r->loop);
	}
	assert_int_equal(access(path, F_OK), 0);
}

static void forget_content(void)
{
	autofree char *cmd = xasprintf("rm -f %s/packs/*", at("cache"));
	assert_int_equal(system(cmd), 0);
}

static void learns(void **state)
{
	(void)state;
	struct rig r;
	struct view *v;
	char digest[DIGEST_TEXT_LEN + 1];
	make_kernel("k", "sort", 1);
	publish_to("k", "layout", NULL, digest);
	rig_open(&r, "cache", "layout");
	deploy(&r, false); /* it did not run: no lesson */
	rig_close(&r);
	autofree char *path = lesson(digest);
	assert_int_equal(access(path, F_OK), -1);
	forget_content();
	rig_open(&r, "cache", "layout");
	deploy(&r, true);
	wait_learned(&r, path);
	rig_close(&r);
	forget_content();
	rig_open(&r, "cache", "layout");
	assert_int_equal(here_of(&r, "sort", &v), 0);
	view_deploy(v);
	assert_int_equal(wait_here(&r, v, IMAGE_SIZE), IMAGE_SIZE);
	view_deployed(v, false);
	view_put(v);
	rig_close(&r);
}

static void ignores(const char *lesson_text, size_t len)
{
	struct rig r;
	struct view *v;
	char digest[DIGEST_TEXT_LEN + 1];
	make_kernel("k", "sort", 1);
	publish_to("k", "layout", NULL, digest);
	autofree char *path = xasprintf("cache/learned/%s", digest + 7);
	put_bytes(path, lesson_text, len);
	rig_open(&r, "cache", "layout");
	here_of(&r, "sort", &v);
	view_deploy(v);
	assert_int_equal(wait_here(&r, v, 0), 0);
	view_deployed(v, true);
	view_put(v);
	rig_close(&r);
}

static void ignores_garbage(void **state)
{
	(void)state;
	static const char record[] = "DIVLEAR2"
				     "a digest that is no layer's ....\xff\xff\xff\xff so many chunks";
	ignores("garbage", 7);
	ignores(record, 30);
	ignores(record, sizeof(record));
}

RUN("cache_learn", tmp_test(learns), tmp_test(ignores_garbage))
