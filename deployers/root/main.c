/* SPDX-License-Identifier: MIT */
/*
 * main.c: diverfs-root PLAN: packs the root that the plan describes (PLAN_EXEC, _ROOT, _FILE, _APP) and prints where it is:
 * "image = PATH", or "error = WORDS".
 */
#include "deployers/root/root.h"

#include "cache/base/conf.h"
#include "deployers/deploy.h"
#include "deployers/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define EXIT_FAILED 125

static void add_places(struct root_tree *t)
{
	static const char *const dirs[] = { "dev", "proc", "sys", "etc", "root", "run", "src", "var" };

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		if (!tree_has(t, dirs[i]))
			tree_dir(t, dirs[i], 0755);
	if (!tree_has(t, "tmp"))
		tree_dir(t, "tmp", 01777);
	/* Programs ask who they are. */
	if (!tree_has(t, "etc/passwd"))
		tree_file(t, "etc/passwd",
			"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n");
	if (!tree_has(t, "etc/group"))
		tree_file(t, "etc/group", "root:x:0:\nnogroup:x:65534:\n");
	if (!tree_has(t, "etc/hosts"))
		tree_file(t, "etc/hosts", "127.0.0.1 localhost\n");
}

/* What libraries open by name, without a word when it is missing: the time zone, where names are looked up, and where libraries
 * are that lie in none of the loader's own directories. */
static int add_settings(struct root_tree *t, const struct plan *p, struct why *why)
{
	static const char *const zone = "/etc/localtime", *const cache = "/etc/ld.so.cache";
	int err = 0;

	if (!tree_has(t, "etc/nsswitch.conf"))
		tree_file(t, "etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n");
	if (p->net == NET_USER && !tree_has(t, "etc/resolv.conf"))
		tree_file(t, "etc/resolv.conf", "nameserver 10.0.2.3\n"); /* QEMU's */
	if (!tree_has(t, zone) && access(zone, R_OK) == 0)
		err = tree_add_host(t, zone, why);
	if (!err && t->libs.cache_wanted && !tree_has(t, cache))
		err = tree_add_host(t, cache, why);
	return err;
}

/* The instance's src/; programs there are as welcome as the host's. */
static int add_app(struct root_tree *t, const struct plan *p, struct why *why)
{
	int err = p->app && access(p->app, F_OK) == 0 ? tree_add(t, p->app, "src", why) : 0;

	return err ? err : tree_add_needs(t, "src/", why);
}

static int add_exec(struct root_tree *t, const struct plan *p, struct why *why)
{
	if (!p->exec || tree_has(t, p->exec))
		return 0;
	if (!strncmp(p->exec, "/src/", 5))
		return why_fail(
			why, -ENOENT, "exec: %s: there is no such file in the instance's src/", p->exec);
	int err = tree_add_host(t, p->exec, why);
	if (err)
		why_prefix(why, "exec");
	return err;
}

static int add_all(struct root_tree *t, const struct plan *p, struct why *why)
{
	int err = p->root ? tree_add(t, p->root, "", why) : 0;

	if (err)
		why_prefix(why, "root");
	for (size_t i = 0; i < p->files.count && !err; i++) {
		err = tree_add_host(t, p->files.item[i], why);
		if (err)
			why_prefix(why, "files");
	}
	t->prefix = p->root ? p->root : "";
	if (!err)
		err = add_app(t, p, why);
	if (!err)
		err = add_exec(t, p, why);
	t->prefix = "";
	add_places(t);
	if (!err && !p->root)
		err = add_settings(t, p, why);
	tree_sort(t);
	return err;
}

static int run(const struct plan *p, char *path, size_t size, struct why *why)
{
	struct root_tree t;

	if (!p->roots)
		return why_fail(why, -EINVAL, "plan: no " PLAN_ROOTS);
	tree_init(&t);
	int err = add_all(&t, p, why);
	if (!err)
		err = pack(&t, p->roots, path, size, why);
	tree_free(&t);
	return err;
}

int main(int argc, char **argv)
{
	char path[PATH_MAX];
	autobuf struct buf said = { 0 };
	struct plan plan = { 0 };
	struct why why = { 0 };

	log_open("diverfs-root", LOG_LEVEL_INFO);
	umask(077);
	if (argc != 2 || *argv[1] == '-') {
		fputs("usage: diverfs-root PLAN\nPacks the root that a plan describes. diverfs-splitvm "
		      "starts it.\n",
			argc == 2 && !strcmp(argv[1], "--help") ? stdout : stderr);
		return argc == 2 && !strcmp(argv[1], "--help") ? 0 : 64;
	}
	int err = plan_read_at(AT_FDCWD, argv[1], &plan, &why);
	if (!err)
		err = run(&plan, path, sizeof(path), &why);
	conf_put(&said, err ? "error" : "image", err ? why.text : path);
	fputs(said.data, stdout);
	plan_free(&plan);
	return err ? EXIT_FAILED : 0;
}
