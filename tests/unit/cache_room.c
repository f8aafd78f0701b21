/* SPDX-License-Identifier: MIT */
/* cache_room.c: the quota, what stays, a full disk, two caches at once, and kill -9 at many points. */
#include "cache_rig.h"

#include "cache/base/loop.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>

#define MIB (UINT64_C(1) << 20)

static void rig_open_quota(struct rig *r, const char *cache_dir, const char *layout, uint64_t quota)
{
	struct why why = { 0 };
	memset(r, 0, sizeof(*r));
	r->loop = loop_new();
	r->pool = pool_new(r->loop, 2);
	autofree char *dir = xstrdup(at(cache_dir));
	struct cache_options o = { .dir = dir, .loop = r->loop, .pool = r->pool, .quota = quota };
	assert_int_equal(cache_open(&o, &r->cache, &why), 0);
	assert_int_equal(cache_add_registry(r->cache, at(layout), &why), 0);
}

/* Bytes on disk of all files below (dir). */
static uint64_t bytes_below(const char *dir)
{
	autofree char *cmd =
		xasprintf("du -s -B1 --apparent-size %s >/dev/null; du -s -B1 %s", at(dir), at(dir));
	char line[64] = "";
	FILE *f = popen(cmd, "r");
	assert_non_null(f);
	assert_non_null(fgets(line, sizeof(line), f));
	pclose(f);
	return strtoull(line, NULL, 10);
}

static void publish_many(int n)
{
	for (int i = 0; i < n; i++) {
		autofree char *name = xasprintf("k%d", i), *dir = xasprintf("d%d", i);
		make_kernel(dir, name, (unsigned)i);
		publish_to(dir, "layout", NULL, NULL);
	}
}

static void read_kernel(struct rig *r, int i, unsigned seed)
{
	autofree char *name = xasprintf("k%d", i), *image = noise(IMAGE_SIZE, seed + 100);
	struct view *v;
	int err = rig_view(r, name, "1.0", &v);
	assert_string_equal(r->why.text, "");
	assert_int_equal(err, 0);
	assert_int_equal(rig_cat(r, v, "images/kernel.elf"), 0);
	assert_int_equal(r->data.len, IMAGE_SIZE);
	assert_memory_equal(r->data.data, image, IMAGE_SIZE);
	view_put(v);
}

static uint64_t here_of(struct rig *r, int i)
{
	autofree char *name = xasprintf("k%d", i);
	struct view *v;
	uint64_t here, total;
	assert_int_equal(rig_view(r, name, "1.0", &v), 0);
	view_cached(v, &here, &total);
	view_put(v);
	return here;
}

/* Twenty kernels of 0.7 MiB and room for four: all are read, the last ones are there, the first is not, and a file that
 * is open stays. */
static void keeps_quota(void **state)
{
	(void)state;
	struct rig r;
	struct view *open;
	publish_many(20);
	rig_open_quota(&r, "cache", "layout", 4 * MIB);
	assert_int_equal(rig_view(&r, "k1", "1.0", &open), 0);
	uint32_t image = index_of(open, "images/kernel.elf");
	view_hold(open, image);
	assert_int_equal(rig_cat(&r, open, "images/kernel.elf"), 0);
	for (int i = 0; i < 20; i++) {
		read_kernel(&r, i, (unsigned)i);
		assert_in_range(bytes_below("cache"), 1, 4 * MIB + MIB / 2);
	}
	uint64_t here, total;
	view_cached(open, &here, &total);
	assert_int_equal(here, IMAGE_SIZE);
	assert_int_equal(here_of(&r, 19), IMAGE_SIZE);
	assert_int_equal(here_of(&r, 0), 0);
	view_let(open, image);
	view_put(open);
	for (int i = 5; i < 20; i++)
		read_kernel(&r, i, (unsigned)i);
	assert_int_equal(here_of(&r, 1), 0);
	rig_close(&r);
}

/* Nothing of what there is may go: bytes come all the same. */
static void reads_without_room(void **state)
{
	(void)state;
	struct rig r;
	struct view *open[4];
	publish_many(8);
	rig_open_quota(&r, "cache", "layout", 2 * MIB);
	for (int i = 0; i < 4; i++) {
		autofree char *name = xasprintf("k%d", i);
		assert_int_equal(rig_view(&r, name, "1.0", &open[i]), 0);
		view_hold(open[i], index_of(open[i], "images/kernel.elf"));
		assert_int_equal(rig_cat(&r, open[i], "images/kernel.elf"), 0);
	}
	read_kernel(&r, 6, 6);
	assert_in_range(bytes_below("cache"), 1, 2 * MIB + MIB / 2);
	for (int i = 0; i < 4; i++) {
		view_let(open[i], index_of(open[i], "images/kernel.elf"));
		view_put(open[i]);
	}
	rig_close(&r);
}

/* A disk of 3 MiB, and a quota that knows nothing of it. */
static void full_disk_evicts(void **state)
{
	(void)state;
	struct rig r;
	mkdir(at("cache"), 0755);
	if (mount("tmpfs", at("cache"), "tmpfs", 0, "size=3m") < 0)
		skip();
	publish_many(10);
	rig_open_quota(&r, "cache", "layout", 100 * MIB);
	for (int i = 0; i < 10; i++)
		read_kernel(&r, i, (unsigned)i);
	assert_int_equal(here_of(&r, 9), IMAGE_SIZE);
	rig_close(&r);
	umount2(at("cache"), MNT_DETACH);
}

/* --- several processes ------------------------------------------------------------------------ */

/* What a child does: reads kernels until all are read (or it is killed); exits with 0, or 1 for wrong bytes. Bytes
 * fetched go to (fd). */
static void child_reads(int kernels, uint64_t quota, int fd)
{
	struct rig r;
	struct cache_usage u;
	rig_open_quota(&r, "cache", "layout", quota);
	for (int i = 0; i < kernels; i++)
		read_kernel(&r, i, (unsigned)i);
	cache_usage(r.cache, &u);
	if (fd >= 0 && write(fd, &u.fetched, sizeof(u.fetched)) < 0)
		_exit(2);
	rig_close(&r);
	_exit(0);
}

static pid_t child(int kernels, uint64_t quota, int fd)
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		child_reads(kernels, quota, fd);
	return pid;
}

static void fetches_once(void **state)
{
	(void)state;
	int p[2], status;
	uint64_t sum = 0, one;
	pid_t pids[3];
	publish_many(6);
	assert_int_equal(pipe(p), 0);
	for (int i = 0; i < 3; i++)
		pids[i] = child(6, 0, p[1]);
	for (int i = 0; i < 3; i++) {
		waitpid(pids[i], &status, 0);
		assert_int_equal(status, 0);
		assert_int_equal(read(p[0], &one, sizeof(one)), sizeof(one));
		sum += one;
	}
	close(p[0]);
	close(p[1]);
	/* images once, metadata (some KiB) at most three times */
	assert_in_range(sum, 6 * IMAGE_SIZE, 6 * IMAGE_SIZE + 3 * 6 * 16384);
}

/* Small quota, so that they evict under each other's hands. */
static void evicts_beside_others(void **state)
{
	(void)state;
	int status;
	pid_t pids[3];
	publish_many(8);
	for (int i = 0; i < 3; i++)
		pids[i] = child(8, 3 * MIB, -1);
	for (int i = 0; i < 3; i++) {
		waitpid(pids[i], &status, 0);
		assert_int_equal(status, 0);
	}
}

static void survives_kill(void **state)
{
	(void)state;
	const char *many = getenv("SOAK");
	int rounds = many ? 20 * atoi(many) : 40, status;
	publish_many(3);
	for (int i = 0; i < rounds; i++) {
		pid_t pid = child(3, 2 * MIB, -1);
		usleep((useconds_t)((i * 7919) % 40000));
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		assert_true((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) || status == 0);
		if (i % 10 == 9) {
			pid = child(3, 2 * MIB, -1);
			waitpid(pid, &status, 0);
			assert_int_equal(status, 0);
		}
	}
}

RUN("cache_room", tmp_test(keeps_quota), tmp_test(reads_without_room), tmp_test(full_disk_evicts),
	tmp_test(fetches_once), tmp_test(evicts_beside_others), tmp_test(survives_kill))
