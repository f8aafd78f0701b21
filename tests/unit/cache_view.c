/* SPDX-License-Identifier: MIT */
/* cache_view.c: names, views, reading, damage, sharing, on a real loop and pool. */
#include "cache_rig.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static void publish_one(char *digest)
{
	make_kernel("k", "sort", 1);
	publish_to("k", "layout", NULL, digest);
}

static void lists_names(void **state)
{
	(void)state;
	struct rig r;
	char digest[DIGEST_TEXT_LEN + 1];
	publish_one(digest);
	publish_to("k", "layout", "a/b/sort:2", NULL);
	rig_open(&r, "cache", "layout");
	assert_int_equal(rig_names(&r), 0);
	assert_int_equal(names_count(r.names), 2);
	assert_string_equal(names_at(r.names, 0)->name, "a/b/sort");
	assert_string_equal(names_at(r.names, 0)->tag, "2");
	assert_string_equal(names_at(r.names, 1)->name, "sort");
	assert_string_equal(names_at(r.names, 1)->tag, "1.0");
	assert_string_equal(names_at(r.names, 1)->digest, digest);
	assert_string_equal(names_at(r.names, 1)->registry, at("layout"));
	struct names *before = names_get(r.names);
	usleep(1100000); /* it is looked at again after a second */
	assert_int_equal(rig_names(&r), 0);
	assert_ptr_equal(before, r.names);
	publish_to("k", "layout", "zz:1", NULL);
	usleep(1100000);
	assert_int_equal(rig_names(&r), 0);
	assert_ptr_not_equal(before, r.names);
	assert_int_equal(names_count(r.names), 3);
	names_put(before);
	rig_close(&r);
}

static void shows_tree(void **state)
{
	(void)state;
	struct rig r;
	struct view *v;
	struct entry e, hard;
	char digest[DIGEST_TEXT_LEN + 1], line[DIGEST_TEXT_LEN + 2];
	publish_one(digest);
	rig_open(&r, "cache", "layout");
	assert_int_equal(rig_view(&r, "sort", "1.0", &v), 0);
	assert_string_equal(view_digest(v), digest);
	assert_string_equal(view_name(v), "sort");
	assert_string_equal(view_tag(v), "1.0");

	static const char *const root[] = { "README.md", "digest", "images", "kernel.conf", "manifest",
		"src" };
	assert_int_equal(view_entry(v, 0, &e), 0);
	assert_int_equal(e.child_count, 6);
	assert_int_equal(e.nlink, 4);
	uint32_t first = e.first_child;
	for (uint32_t i = 0; i < 6; i++) {
		assert_int_equal(view_entry(v, first + i, &e), 0);
		assert_string_equal(e.name, root[i]);
		assert_int_equal(e.parent, 0);
	}
	assert_int_equal(view_entry(v, view_count(v), &e), -ENOENT);
	assert_int_equal(view_path(v, "src/app/main.c/x", &e), -ENOTDIR);
	assert_int_equal(view_path(v, "src/nothing", &e), -ENOENT);
	assert_int_equal(view_path(v, "src/link", &e), 0);
	assert_int_equal(e.type, ENTRY_LINK);
	assert_string_equal(e.target, "app/main.c");
	assert_int_equal(view_path(v, "src/run.sh", &e), 0);
	assert_int_equal(e.mode, 0555);
	assert_int_equal(view_path(v, "src/app/main.c", &e), 0);
	assert_int_equal(view_path(v, "src/hard.c", &hard), 0);
	assert_int_equal(e.index, hard.index);
	assert_int_equal(e.nlink, 2);
	assert_int_equal(e.mode, 0444);

	snprintf(line, sizeof(line), "%s\n", digest);
	assert_int_equal(rig_cat(&r, v, "digest"), 0);
	assert_string_equal(r.data.data, line);
	assert_int_equal(rig_cat(&r, v, "README.md"), 0);
	assert_string_equal(r.data.data, "# sort 1\n");
	assert_int_equal(rig_cat(&r, v, "kernel.conf"), 0);
	assert_non_null(strstr(r.data.data, "memory = 16M\n"));
	assert_int_equal(rig_cat(&r, v, "src/hard.c"), 0);
	assert_string_equal(r.data.data, MAIN_C);
	view_put(v);
	rig_close(&r);
}

/* What is here is read without waiting, where the file system below can do that at all (ext4 can, tmpfs cannot:
 * RWF_NOWAIT) and still has the page; else -EAGAIN, as promised. */
static void is_here(struct view *v, uint32_t i, uint64_t off, const char *want, size_t len)
{
	char got[1000];
	ssize_t n = view_read_now(v, i, off, got, sizeof(got));
	if (n == -EAGAIN)
		return;
	assert_int_equal(n, len);
	assert_memory_equal(got, want, len);
}

static void reads_bytes(void **state)
{
	(void)state;
	struct rig r;
	struct view *v;
	char part[1000];
	uint64_t here, total;
	autofree char *image = noise(IMAGE_SIZE, 101), *big = noise(BIG_SIZE, 1);
	publish_one(NULL);
	rig_open(&r, "cache", "layout");
	assert_int_equal(rig_view(&r, "sort", "1.0", &v), 0);
	uint32_t i = index_of(v, "images/kernel.elf");
	view_cached(v, &here, &total);
	assert_int_equal(here, 0);
	assert_int_equal(view_read_now(v, i, 0, part, sizeof(part)), -EAGAIN);

	/* a part in the middle fetches its chunk and no more */
	assert_int_equal(rig_read(&r, v, i, 300000, 4096), 0);
	assert_int_equal(r.data.len, 4096);
	assert_memory_equal(r.data.data, image + 300000, 4096);
	view_cached(v, &here, &total);
	assert_in_range(here, 4096, 512 << 10);
	is_here(v, i, 300000, image + 300000, sizeof(part));

	/* across chunks, to the end and beyond it */
	assert_int_equal(rig_read(&r, v, i, 100000, IMAGE_SIZE), 0);
	assert_int_equal(r.data.len, IMAGE_SIZE - 100000);
	assert_memory_equal(r.data.data, image + 100000, IMAGE_SIZE - 100000);
	is_here(v, i, IMAGE_SIZE - 10, image + IMAGE_SIZE - 10, 10);
	assert_int_equal(view_read_now(v, i, IMAGE_SIZE, part, sizeof(part)), 0);
	assert_int_equal(rig_read(&r, v, i, UINT64_MAX, 10), 0);
	assert_int_equal(r.data.len, 0);

	assert_int_equal(rig_cat(&r, v, "src/big.bin"), 0);
	assert_int_equal(r.data.len, BIG_SIZE);
	assert_memory_equal(r.data.data, big, BIG_SIZE);
	assert_int_equal(rig_cat(&r, v, "src/empty"), 0);
	assert_int_equal(r.data.len, 0);
	assert_int_equal(rig_read(&r, v, index_of(v, "src"), 0, 10), -EISDIR);
	view_put(v);

	/* another process, as it were: what is here is read at once, after one look at each chunk */
	struct rig other;
	rig_open(&other, "cache", "layout");
	assert_int_equal(rig_view(&other, "sort", "1.0", &v), 0);
	i = index_of(v, "images/kernel.elf");
	is_here(v, i, 300000, image + 300000, sizeof(part));
	view_put(v);
	rig_close(&other);
	rig_close(&r);
}

struct crowd {
	struct rig *rig;
	unsigned left;
	const char *want;
};

static void on_crowd(void *arg, int err, const struct why *why, const void *data, size_t len)
{
	struct crowd *c = arg;
	(void)why;
	assert_int_equal(err, 0);
	assert_int_equal(len, 200000);
	assert_memory_equal(data, c->want, len);
	if (--c->left == 0)
		loop_stop(c->rig->loop);
}

static void many_readers_of_one_chunk(void **state)
{
	(void)state;
	struct rig r;
	struct view *v;
	autofree char *image = noise(IMAGE_SIZE, 101);
	publish_one(NULL);
	rig_open(&r, "cache", "layout");
	assert_int_equal(rig_view(&r, "sort", "1.0", &v), 0);
	struct crowd c = { &r, 500, image + 1000 };
	for (unsigned n = 0; n < 500; n++)
		view_read(v, index_of(v, "images/kernel.elf"), 1000, 200000, on_crowd, &c);
	loop_run(r.loop);
	assert_int_equal(c.left, 0);
	view_put(v);
	rig_close(&r);
}

static void flip(const char *path, off_t where)
{
	char c;
	chmod(path, 0644);
	int fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &c, 1, where), 1);
	c ^= 1;
	assert_int_equal(pwrite(fd, &c, 1, where), 1);
	close(fd);
}

static void damaged_blob_is_an_error(void **state)
{
	(void)state;
	struct rig r;
	struct view *v;
	char path[4096];
	publish_one(NULL);
	blob_of_size("layout", IMAGE_SIZE, path, sizeof(path));
	flip(path, 500000);
	rig_open(&r, "cache", "layout");
	assert_int_equal(rig_view(&r, "sort", "1.0", &v), 0);
	assert_int_equal(rig_cat(&r, v, "images/kernel.elf"), -EILSEQ);
	assert_non_null(strstr(r.why.text, "images/kernel.elf"));
	assert_non_null(strstr(r.why.text, "sha256:"));
	assert_non_null(strstr(r.why.text, at("layout")));
	assert_int_equal(
		rig_read(&r, v, index_of(v, "images/kernel.elf"), 0, 4096), 0); /* other chunks are good */
	assert_int_equal(rig_export(&r, v, "images/kernel.elf", "out"), -EILSEQ);
	assert_int_equal(access(at("out"), F_OK), -1);
	flip(path, 500000); /* mended: the error is not remembered */
	assert_int_equal(rig_cat(&r, v, "images/kernel.elf"), 0);
	view_put(v);
	rig_close(&r);
}

static void packs_named(char *pack, size_t room, off_t size)
{
	autofree char *cmd = xasprintf("find %s/packs -type f -size %lldc", at("cache"), (long long)size);
	FILE *f = popen(cmd, "r");
	assert_non_null(fgets(pack, (int)room, f));
	pack[strcspn(pack, "\n")] = 0;
	pclose(f);
}

static void damaged_pack_is_fetched_again(void **state)
{
	(void)state;
	struct rig r;
	struct view *v;
	char pack[4096], c;
	autofree char *image = noise(IMAGE_SIZE, 101);
	publish_one(NULL);
	rig_open(&r, "cache", "layout");
	assert_int_equal(rig_view(&r, "sort", "1.0", &v), 0);
	assert_int_equal(rig_export(&r, v, "images/kernel.elf", "linked"), 0); /* seals the pack */
	view_put(v);
	rig_close(&r);
	packs_named(pack, sizeof(pack), IMAGE_SIZE);
	flip(pack, 400000);
	chmod(pack, 0444);

	rig_open(&r, "cache", "layout");
	assert_int_equal(rig_view(&r, "sort", "1.0", &v), 0);
	uint32_t i = index_of(v, "images/kernel.elf");
	assert_int_equal(view_read_now(v, i, 400000, &c, 1), -EAGAIN);
	assert_int_equal(rig_cat(&r, v, "images/kernel.elf"), 0);
	assert_memory_equal(r.data.data, image, IMAGE_SIZE);
	assert_int_equal(rig_export(&r, v, "images/kernel.elf", "again"), 0);
	holds("again", image, IMAGE_SIZE);
	view_put(v);
	rig_close(&r);
}

static void on_ready(void *arg)
{
	rig_answered(arg, 0, NULL);
}

/* view_whole, after view_ready. */
static int whole(struct rig *r, struct view *v, uint32_t i)
{
	view_ready(v, i, on_ready, r);
	rig_wait(r);
	return view_whole(v, i);
}

static void is_whole(struct rig *r, struct view *v, uint32_t i, const char *image)
{
	autofree char *got = xmalloc(IMAGE_SIZE);
	int fd = whole(r, v, i);
	assert_true(fd >= 0);
	assert_int_equal(io_pread_full(fd, got, IMAGE_SIZE, 0), IMAGE_SIZE);
	assert_memory_equal(got, image, IMAGE_SIZE);
	close(fd);
}

/* It is written down by a worker, which nobody waits for. */
static void wait_for_vouch(const char *pack)
{
	autofree char *have = xasprintf("%s.have", pack);
	uint64_t vouch = 0;
	int fd = open(have, O_RDONLY | O_CLOEXEC);
	off_t at = (IMAGE_SIZE + (128 << 10) - 1) / (128 << 10) * 8;
	for (int i = 0; i < 60000 && !vouch; i++) {
		assert_int_equal(pread(fd, &vouch, sizeof(vouch), at), sizeof(vouch));
		usleep(1000);
	}
	assert_int_not_equal(vouch, 0);
	close(fd);
}

static void gives_what_is_whole(void **state)
{
	(void)state;
	struct rig r;
	struct view *v;
	char pack[4096];
	autofree char *image = noise(IMAGE_SIZE, 101);
	publish_one(NULL);
	rig_open(&r, "cache", "layout");
	assert_int_equal(rig_view(&r, "sort", "1.0", &v), 0);
	uint32_t i = index_of(v, "images/kernel.elf");
	assert_int_equal(whole(&r, v, i), -ENOENT);
	assert_int_equal(rig_read(&r, v, i, 0, IMAGE_SIZE / 2), 0);
	assert_int_equal(whole(&r, v, i), -ENOENT);
	assert_int_equal(rig_cat(&r, v, "images/kernel.elf"), 0);
	is_whole(&r, v, i, image);
	assert_int_equal(rig_cat(&r, v, "src/big.bin"), 0); /* not alone in its pack */
	assert_int_equal(whole(&r, v, index_of(v, "src/big.bin")), -ENOENT);
	view_vouch(v, i);
	packs_named(pack, sizeof(pack), IMAGE_SIZE);
	wait_for_vouch(pack);
	view_put(v);
	rig_close(&r);

	/* another process believes it, and nothing of a file that was written to since */
	for (int damaged = 0; damaged < 2; damaged++) {
		rig_open(&r, "cache", "layout");
		assert_int_equal(rig_view(&r, "sort", "1.0", &v), 0);
		if (!damaged)
			is_whole(&r, v, i, image);
		else
			assert_int_equal(whole(&r, v, i), -ENOENT);
		if (!damaged)
			flip(pack, 400000);
		assert_int_equal(rig_cat(&r, v, "images/kernel.elf"), 0);
		assert_memory_equal(r.data.data, image, IMAGE_SIZE);
		view_put(v);
		rig_close(&r);
	}
}

static void damaged_tree_is_made_again(void **state)
{
	(void)state;
	struct rig r;
	struct view *v;
	char digest[DIGEST_TEXT_LEN + 1];
	publish_one(digest);
	rig_open(&r, "cache", "layout");
	assert_int_equal(rig_view(&r, "sort", "1.0", &v), 0);
	view_put(v);
	rig_close(&r);
	autofree char *tree = xasprintf("cache/trees/%s-v1", digest + 7);
	flip(at(tree), 200);
	rig_open(&r, "cache", "layout");
	assert_int_equal(rig_view(&r, "sort", "1.0", &v), 0);
	assert_int_equal(rig_cat(&r, v, "src/hard.c"), 0);
	view_put(v);
	rig_close(&r);
}

static void exports_files(void **state)
{
	(void)state;
	struct rig r;
	struct view *v;
	struct stat st, again;
	autofree char *image = noise(IMAGE_SIZE, 101), *big = noise(BIG_SIZE, 1);
	publish_one(NULL);
	rig_open(&r, "cache", "layout");
	assert_int_equal(rig_view(&r, "sort", "1.0", &v), 0);
	assert_int_equal(rig_export(&r, v, "images/kernel.elf", "one"), 0);
	assert_int_equal(rig_export(&r, v, "images/kernel.elf", "two"), 0);
	assert_int_equal(rig_export(&r, v, "images/kernel.elf", "two"), -EEXIST);
	assert_int_equal(rig_export(&r, v, "src/big.bin", "big"), 0);
	assert_int_equal(rig_export(&r, v, "src/empty", "empty"), 0);
	assert_int_equal(rig_export(&r, v, "digest", "digest"), 0);
	view_export(v, 0, tmp_dir, "dir", rig_on_done, &r);
	assert_int_equal(rig_wait(&r), -EISDIR);
	holds("one", image, IMAGE_SIZE);
	holds("big", big, BIG_SIZE);
	holds("empty", "", 0);
	assert_int_equal(stat(at("one"), &st), 0);
	assert_int_equal(stat(at("two"), &again), 0);
	assert_int_equal(st.st_ino, again.st_ino); /* links */
	assert_int_equal(st.st_mode & 07777, 0444);
	assert_int_equal(stat(at("big"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0444);
	view_put(v);
	rig_close(&r);
}

static void checks_out(void **state)
{
	(void)state;
	struct rig r;
	struct view *v;
	struct stat st;
	char target[64];
	autofree char *big = noise(BIG_SIZE, 1);
	publish_one(NULL);
	rig_open(&r, "cache", "layout");
	assert_int_equal(rig_view(&r, "sort", "1.0", &v), 0);
	assert_int_equal(rig_checkout(&r, v, "src", "work"), 0);
	holds("work/app/main.c", MAIN_C, strlen(MAIN_C));
	holds("work/hard.c", MAIN_C, strlen(MAIN_C));
	holds("work/big.bin", big, BIG_SIZE);
	holds("work/empty", "", 0);
	assert_int_equal(lstat(at("work/run.sh"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(lstat(at("work/app/main.c"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	assert_int_equal(st.st_mtim.tv_sec, 0);
	ssize_t n = readlink(at("work/link"), target, sizeof(target));
	assert_int_equal(n, 10);
	assert_int_equal(rig_checkout(&r, v, "src", "work"), -EEXIST);
	holds("work/empty", "", 0); /* what was there is untouched */
	assert_int_equal(rig_checkout(&r, v, "src/big.bin", "other"), 0);
	holds("other", big, BIG_SIZE);
	assert_int_equal(rig_checkout(&r, v, "src/empty", "other"), -EEXIST);
	holds("other", big, BIG_SIZE);
	assert_int_equal(rig_checkout(&r, v, "src/link", "third"), -ENOTDIR);
	view_put(v);
	rig_close(&r);
}

static void a_moved_tag_is_a_new_view(void **state)
{
	(void)state;
	struct rig r;
	struct view *old, *new, *same, *by_digest;
	publish_one(NULL);
	rig_open(&r, "cache", "layout");
	assert_int_equal(rig_view(&r, "sort", "1.0", &old), 0);
	assert_int_equal(rig_view(&r, "sort", "1.0", &same), 0);
	assert_string_equal(view_digest(old), view_digest(same));
	make_kernel("k", "sort", 2);
	publish_to("k", "layout", NULL, NULL);
	assert_int_equal(rig_view(&r, "sort", "1.0", &new), 0);
	assert_string_not_equal(view_digest(old), view_digest(new));
	assert_int_equal(rig_cat(&r, old, "README.md"), 0);
	assert_string_equal(r.data.data, "# sort 1\n");
	assert_int_equal(rig_cat(&r, new, "README.md"), 0);
	assert_string_equal(r.data.data, "# sort 2\n");
	assert_int_equal(rig_cat(&r, old, "src/big.bin"), 0); /* its blob is still in the layout */
	assert_int_equal(rig_view(&r, "sort", view_digest(old), &by_digest), 0);
	assert_string_equal(view_digest(by_digest), view_digest(old));
	view_put(by_digest);
	view_put(old);
	view_put(new);
	view_put(same);
	rig_close(&r);
}

static void what_is_not_there(void **state)
{
	(void)state;
	struct rig r;
	struct view *v;
	publish_one(NULL);
	rig_open(&r, "cache", "layout");
	assert_int_equal(rig_view(&r, "none", "1.0", &v), -ENOENT);
	assert_int_equal(rig_view(&r, "sort", "9", &v), -ENOENT);
	assert_non_null(strstr(r.why.text, "1.0")); /* says what there is */
	assert_int_equal(
		rig_view(&r, "sort",
			"sha256:0000000000000000000000000000000000000000000000000000000000000000", &v),
		-ENOENT);
	assert_null(v);
	rig_close(&r);
}

static void a_registry_that_is_away_is_not_empty(void **state)
{
	(void)state;
	struct rig r;
	struct view *v;
	struct buf status = { 0 };
	publish_one(NULL);
	rig_open(&r, "cache", "layout");
	assert_int_equal(rig_names(&r), 0);
	assert_int_equal(rig_view(&r, "sort", "1.0", &v), 0);
	assert_int_equal(rig_cat(&r, v, "src/app/main.c"), 0);
	view_put(v);
	rig_close(&r);
	assert_int_equal(rename(at("layout"), at("away")), 0);

	/* what was seen is remembered: names, the tree, what was read */
	rig_open(&r, "cache", "layout");
	assert_int_equal(rig_names(&r), 0);
	assert_int_equal(names_count(r.names), 1);
	assert_int_equal(rig_view(&r, "sort", "1.0", &v), 0);
	assert_int_equal(rig_cat(&r, v, "src/app/main.c"), 0);
	assert_int_equal(rig_cat(&r, v, "images/kernel.elf"), -EHOSTUNREACH);
	cache_status(r.cache, &status);
	assert_non_null(strstr(status.data, "unreachable"));
	buf_free(&status);
	view_put(v);
	rig_close(&r);

	/* nothing was seen: an error, and no other registry is taken instead */
	rig_open(&r, "empty-cache", "layout");
	struct why why = { 0 };
	assert_int_equal(rig_names(&r), -EHOSTUNREACH);
	assert_int_equal(cache_add_registry(r.cache, at("away"), &why), 0);
	assert_int_equal(rig_view(&r, "sort", "1.0", &v), -EHOSTUNREACH);
	rig_close(&r);
}

static void the_first_registry_has_the_name(void **state)
{
	(void)state;
	struct rig r;
	struct view *v;
	struct why why = { 0 };
	publish_one(NULL);
	make_kernel("k2", "sort", 2);
	publish_to("k2", "second", NULL, NULL);
	publish_to("k2", "second", "sort:2.0", NULL);
	publish_to("k2", "second", "only:2.0", NULL);
	rig_open(&r, "cache", "layout");
	assert_int_equal(cache_add_registry(r.cache, at("second"), &why), 0);
	assert_int_equal(rig_names(&r), 0);
	assert_int_equal(names_count(r.names), 2); /* only:2.0, sort:1.0 */
	assert_int_equal(rig_view(&r, "sort", "2.0", &v), -ENOENT);
	assert_int_equal(rig_view(&r, "sort", "1.0", &v), 0);
	assert_int_equal(rig_cat(&r, v, "README.md"), 0);
	assert_string_equal(r.data.data, "# sort 1\n");
	view_put(v);
	assert_int_equal(cache_add_registry(r.cache, "ftp://registry.example/", &why), -EINVAL);
	assert_int_equal(cache_add_registry(r.cache, at("k/kernel.conf"), &why), -ENOTDIR);
	rig_close(&r);
}

static void closes_with_work_under_way(void **state)
{
	(void)state;
	struct rig r;
	struct view *v;
	publish_one(NULL);
	rig_open(&r, "cache", "layout");
	r.waiting = true; /* the answer comes while the pool ends */
	cache_view(r.cache, "sort", "1.0", rig_on_view, &r);
	cache_close(r.cache);
	pool_free(r.pool);
	assert_false(r.waiting);
	v = r.view;
	if (v)
		view_put(v);
	else
		assert_int_equal(r.err, -ECANCELED);
	loop_free(r.loop);
}

static void survives_a_damaged_catalog(void **state)
{
	(void)state;
	struct rig r;
	struct view *v;
	publish_one(NULL);
	put_noise("cache/catalog.sqlite", 5000, 3);
	rig_open(&r, "cache", "layout");
	assert_int_equal(rig_view(&r, "sort", "1.0", &v), 0);
	view_put(v);
	rig_close(&r);
}

/* A limit on the size of files is as good as a full disk: what is written fails, what is read does not. */
static void a_full_disk_fails_no_read(void **state)
{
	(void)state;
	struct rig r;
	struct view *v;
	struct rlimit before, none;
	autofree char *image = noise(IMAGE_SIZE, 101);
	publish_one(NULL);
	rig_open(&r, "cache", "layout");
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	none = before;
	none.rlim_cur = 1;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	int viewed = rig_view(&r, "sort", "1.0", &v);
	int read = viewed ? viewed : rig_cat(&r, v, "images/kernel.elf");
	setrlimit(RLIMIT_FSIZE, &before);
	assert_int_equal(viewed, 0);
	assert_int_equal(read, 0);
	assert_int_equal(r.data.len, IMAGE_SIZE);
	assert_memory_equal(r.data.data, image, IMAGE_SIZE);
	assert_int_equal(rig_export(&r, v, "images/kernel.elf", "out"), 0);
	holds("out", image, IMAGE_SIZE);
	view_put(v);
	rig_close(&r);
}

static int read_all(const char *image)
{
	struct rig r;
	struct view *v;
	int bad = 0;
	rig_open(&r, "cache", "layout");
	bad += rig_view(&r, "sort", "1.0", &v);
	for (uint64_t off = 0; !bad && off < IMAGE_SIZE; off += 5000) {
		bad += rig_read(&r, v, index_of(v, "images/kernel.elf"), off, 6000);
		bad += memcmp(r.data.data, image + off, r.data.len) != 0;
	}
	bad += rig_cat(&r, v, "src/big.bin");
	view_put(v);
	rig_close(&r);
	return bad;
}

static void processes_share_a_cache(void **state)
{
	(void)state;
	autofree char *image = noise(IMAGE_SIZE, 101);
	publish_one(NULL);
	for (int i = 0; i < 6; i++)
		if (fork() == 0)
			_exit(read_all(image) ? 1 : 0);
	for (int i = 0; i < 6; i++) {
		int status;
		wait(&status);
		assert_int_equal(status, 0);
	}
}

RUN("cache_view", tmp_test(a_full_disk_fails_no_read), tmp_test(processes_share_a_cache),
	tmp_test(lists_names), tmp_test(shows_tree), tmp_test(reads_bytes),
	tmp_test(many_readers_of_one_chunk), tmp_test(damaged_blob_is_an_error),
	tmp_test(damaged_pack_is_fetched_again), tmp_test(gives_what_is_whole), tmp_test(damaged_tree_is_made_again),
	tmp_test(exports_files), tmp_test(checks_out), tmp_test(a_moved_tag_is_a_new_view),
	tmp_test(what_is_not_there), tmp_test(a_registry_that_is_away_is_not_empty),
	tmp_test(the_first_registry_has_the_name), tmp_test(closes_with_work_under_way),
	tmp_test(survives_a_damaged_catalog))
