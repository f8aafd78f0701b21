/* SPDX-License-Identifier: MIT */
/*
 * options.c: the command line.
 *
 *     diverfs [options] [registry...] mountpoint
 *
 * mount(8) calls it by way of mount.fuse3, with the registry as the source and what stands in fstab as -o:
 * what is meant for mount(8) is dropped, what libfuse and the kernel understand is passed on, the rest is
 * refused.
 *
 * Exit status, as mount(8) and fusermount3 have it: 0 mounted; 1 not, for whatever reason, also wrong usage.
 */
#include "cache/base/conf.h"
#include "cache/base/io.h"
#include "cache/cosign.h"
#include "fs/start.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <limits.h>
#include <pwd.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INSTANCES_DEFAULT 64
#define INSTANCES_MAX	  4096
#define MEMORY_MIN	  (16u << 20)
#define QUOTA_MIN	  (1u << 20)

struct raw { /* as written */
	char *cache, *state, *quota, *memory, *instances, *qemu, *bwrap, *fsname, *fresh, *ca, *credentials,
		*config, *sign;
	int keep, allow_other, foreground, debug, help, version, offline, insecure;
	char **keys; /* verify= */
	size_t key_count;
	char **given; /* registry=, before those of the command line's words */
	size_t given_count;
	char **words; /* registries, then the mount point */
	size_t count;
	bool bad;
};

enum { KEY_REGISTRY = 1, KEY_VERIFY };

#define VALUE(word, field)                                                                                   \
	{                                                                                                    \
		word "=%s", offsetof(struct raw, field), 0                                                   \
	}
#define FLAG(word, field)                                                                                    \
	{                                                                                                    \
		word, offsetof(struct raw, field), 1                                                         \
	}
static const struct fuse_opt spec[] = {
	VALUE("cache", cache),
	VALUE("state", state),
	VALUE("quota", quota),
	VALUE("memory", memory),
	VALUE("instances", instances),
	VALUE("qemu", qemu),
	VALUE("bwrap", bwrap),
	VALUE("fsname", fsname),
	VALUE("fresh", fresh),
	VALUE("ca", ca),
	VALUE("credentials", credentials),
	VALUE("config", config),
	VALUE("sign", sign),
	FLAG("offline", offline),
	FLAG("insecure", insecure),
	FUSE_OPT_KEY("registry=%s", KEY_REGISTRY),
	FUSE_OPT_KEY("verify=%s", KEY_VERIFY),
	FLAG("keep", keep),
	FLAG("allow_other", allow_other),
	FLAG("-f", foreground),
	FLAG("-d", debug),
	FLAG("debug", debug),
	FLAG("-h", help),
	FLAG("--help", help),
	FLAG("-V", version),
	FLAG("--version", version),
	FUSE_OPT_END,
};

/* For libfuse and the kernel. dev and suid are not among them: nothing here is a device, nothing is set-id.
 */
static const char *const passed[] = { "ro", "rw", "nodev", "nosuid", "exec", "noexec", "sync", "async",
	"atime", "noatime", "dirsync", "nodiratime", "norelatime", "nostrictatime", "auto_unmount",
	"allow_root", "default_permissions", NULL };
/* For mount(8), or without a meaning here. */
static const char *const dropped[] = { "dev", "suid", "user", "users", "nouser", "owner", "group", "auto",
	"noauto", "_netdev", "nofail", "defaults", "relatime", "strictatime", "diratime", "lazytime",
	"nolazytime", "silent", "loud", "-s", NULL };
static const char *const dropped_prefix[] = { "x-", "X-",
	"comment=", "user=", "uhelper=", "helper=", "subtype=", NULL };

static const char help_text[] =
	"usage: diverfs [options] [registry...] mountpoint\n"
	"       diverfs publish [options] DIR REGISTRY [NAME[:TAG]]  (--help: more)\n"
	"       diverfs conform [options] KERNEL [-- ARGUMENT...]    (--help: more)\n"
	"\n"
	"Mounts registries of specialised operating-system kernels as files. A registry is the http(s):// "
	"address\n"
	"of an OCI registry or of a served OCI image layout, or a directory with one. Without any, or as\n"
	"`embedded', the one that comes with diverfs is taken.\n"
	"To end it: fusermount3 -u mountpoint\n"
	"\n"
	"    -o opt[,opt...]    mount options\n"
	"    -f                 stay in the foreground, log to standard error\n"
	"    -d                 as -f, and log each request\n"
	"    -h, --help         this text\n"
	"    -V, --version      the version\n"
	"\n"
	"mount options:\n"
	"    cache=DIR          where content is kept            (~/.cache/diverfs; root: "
	"/var/cache/diverfs)\n"
	"    quota=SIZE         how much of the disk that may be (a fifth of its file system)\n"
	"    state=DIR          where instances and the log are  (~/.local/state/diverfs; root: "
	"/var/lib/diverfs)\n"
	"    verify=KEYFILE     only kernels with a good signature (cosign; a public key; again and again)\n"
	"    sign=KEYFILE       signs what run/INSTANCE/publish publishes (a private key)\n"
	"    registry=WHERE     one more registry (again and again; they are asked in order)\n"
	"    offline            registries are not asked; only what is cached\n"
	"    fresh=SECONDS      how old names from registries may be     (30)\n"
	"    credentials=FILE   instead of the files of docker and podman\n"
	"    ca=FILE            certificate authority of the registries\n"
	"    insecure           plain http also to other machines\n"
	"    config=FILE        list of registries  (~/.config/diverfs/config, /etc/diverfs.conf)\n"
	"    memory=SIZE        what all running kernels may have together (half of the machine's)\n"
	"    instances=N        how many of them there may be    (64)\n"
	"    keep               unmounting leaves running kernels running\n"
	"    allow_other        other users may look at kernels/; run/ stays the owner's\n"
	"    qemu=PATH          the QEMU program                 (qemu-system-x86_64)\n"
	"    bwrap=PATH         the bubblewrap program           (bwrap)\n"
	"    ro, noexec, noatime, auto_unmount ... as mount(8) and fuse(8) say\n";

static bool in_words(const char *s, const char *const *words)
{
	for (; *words; words++)
		if (!strcmp(s, *words))
			return true;
	return false;
}

static bool in_prefixes(const char *s, const char *const *words)
{
	for (; *words; words++)
		if (!strncmp(s, *words, strlen(*words)))
			return true;
	return false;
}

/* libfuse's contract: 1 keeps the word for libfuse, 0 drops it, -1 ends the parsing. */
static int each_word(void *data, const char *arg, int key, struct fuse_args *args)
{
	(void)args;
	struct raw *r = data;
	if (key == FUSE_OPT_KEY_NONOPT) {
		r->words = xrealloc(r->words, (r->count + 1) * sizeof *r->words);
		r->words[r->count++] = xstrdup(arg);
		return 0;
	}
	if (key == KEY_REGISTRY) {
		r->given = xrealloc(r->given, (r->given_count + 1) * sizeof *r->given);
		r->given[r->given_count++] = xstrdup(strchr(arg, '=') + 1);
		return 0;
	}
	if (key == KEY_VERIFY) {
		r->keys = xrealloc(r->keys, (r->key_count + 1) * sizeof *r->keys);
		r->keys[r->key_count++] = xstrdup(strchr(arg, '=') + 1);
		return 0;
	}
	if (in_words(arg, passed))
		return 1;
	if (in_words(arg, dropped) || in_prefixes(arg, dropped_prefix))
		return 0;
	r->bad = true;
	log_error("unknown option: %s (diverfs --help lists them)", arg);
	return -1;
}

/* --- values ------------------------------------------------------------------------------------ */

char *options_absolute(const char *path)
{
	char *real = realpath(path, NULL), here[PATH_MAX];
	if (real)
		return real;
	if (path[0] == '/' || !getcwd(here, sizeof here))
		return xstrdup(path);
	return xasprintf("%s/%s", strcmp(here, "/") ? here : "", path);
}

/* As options_absolute, but the last component may be a dead mount, which realpath cannot look at. */
static char *absolute_mountpoint(const char *path)
{
	char *real = realpath(path, NULL);
	if (real)
		return real;
	autofree char *copy = xstrdup(path);
	size_t len = strlen(copy);
	while (len > 1 && copy[len - 1] == '/')
		copy[--len] = '\0';
	char *slash = strrchr(copy, '/');
	const char *last = slash ? slash + 1 : copy;
	autofree char *above =
		slash ? xstrndup(copy, slash == copy ? 1 : (size_t)(slash - copy)) : xstrdup(".");
	autofree char *dir = options_absolute(above);
	return xasprintf("%s/%s", strcmp(dir, "/") ? dir : "", last);
}

static const char *home(void)
{
	const char *h = getenv("HOME");
	struct passwd *p;
	if (h && h[0] == '/')
		return h;
	p = getpwuid(getuid());
	return p && p->pw_dir ? p->pw_dir : "/tmp";
}

/* Where things are by default: the XDG directories for users, the system's for root. */
static char *default_dir(const char *variable, const char *below_home, const char *for_root)
{
	const char *xdg = getenv(variable);
	if (!geteuid())
		return xstrdup(for_root);
	if (xdg && xdg[0] == '/')
		return xasprintf("%s/diverfs", xdg);
	return xasprintf("%s/%s/diverfs", home(), below_home);
}

/* What is installed beside the program: bin/diverfs, libexec/diverfs, share/diverfs. */
char *options_installed(const char *what)
{
	char exe[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
	if (n <= 0)
		return xasprintf("/usr/%s", what);
	exe[n] = '\0';
	for (int i = 0; i < 2; i++) {
		char *slash = strrchr(exe, '/');
		if (slash)
			*slash = '\0';
	}
	return xasprintf("%s/%s", exe, what);
}

static int set_limits(const struct raw *r, struct fs_options *o, struct why *why)
{
	uint64_t n = INSTANCES_DEFAULT;
	uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGE_SIZE);
	o->memory_max = memory / 2;
	int err = r->memory ? conf_size("memory", r->memory, MEMORY_MIN, UINT64_MAX / 2, &o->memory_max, why)
			    : 0;
	if (!err && r->quota)
		err = conf_size("quota", r->quota, QUOTA_MIN, UINT64_MAX / 2, &o->quota, why);
	if (!err && r->instances)
		err = conf_number("instances", r->instances, 1, INSTANCES_MAX, &n, why);
	o->instances_max = (uint32_t)n;
	n = 0;
	if (!err && r->fresh)
		err = conf_number("fresh", r->fresh, 1, 86400, &n, why);
	o->fresh_s = (unsigned)n;
	return err;
}

/* An empty value, as of a variable that a script has not set, would be the working directory. */
static int refuse_empty(const struct raw *r, struct why *why)
{
	const struct {
		const char *word, *value;
	} all[] = { { "cache", r->cache }, { "state", r->state }, { "ca", r->ca }, { "config", r->config },
		{ "credentials", r->credentials }, { "sign", r->sign }, { "qemu", r->qemu },
		{ "bwrap", r->bwrap } };
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		if (all[i].value && !*all[i].value)
			return why_fail(why, -EINVAL, "%s=: which?", all[i].word);
	for (size_t i = 0; i < r->key_count; i++)
		if (!*r->keys[i])
			return why_fail(why, -EINVAL, "verify=: which key?");
	for (size_t i = 0; i < r->given_count; i++)
		if (!*r->given[i])
			return why_fail(why, -EINVAL, "registry=: which?");
	return 0;
}

/* (path) NULL: it was not given. */
static int readable(const char *word, const char *path, struct why *why)
{
	return path && access(path, R_OK) ? why_fail_errno(why, -errno, "%s=%s", word, path) : 0;
}

/* The words of the command line first, then -o registry=. */
static int set_registries(const struct raw *r, struct fs_options *o, struct why *why)
{
	size_t words = r->count - 1, n = words + r->given_count;
	autofree char **all = xcalloc(n + 1, sizeof *all);
	memcpy(all, r->words, words * sizeof *all);
	for (size_t i = 0; i < r->given_count; i++)
		all[words + i] = r->given[i];
	int err = registries_choose(r->config, all, n, &o->registries, why);
	for (size_t i = 0; !err && i < o->registries.count; i++)
		err = readable("ca", o->registries.list[i].ca_file, why);
	return err;
}

static int set_paths(const struct raw *r, struct fs_options *o, struct why *why)
{
	int err = refuse_empty(r, why);
	if (!err)
		err = readable("ca", r->ca, why);
	if (!err)
		err = readable("credentials", r->credentials, why);
	if (!err)
		err = set_registries(r, o, why);
	if (err)
		return err;
	o->verify_keys = xcalloc(r->key_count + 1, sizeof *o->verify_keys);
	for (size_t i = 0; i < r->key_count; i++)
		o->verify_keys[i] = options_absolute(r->keys[i]);
	o->mountpoint = absolute_mountpoint(r->words[r->count - 1]);
	o->ca_file = r->ca ? options_absolute(r->ca) : NULL;
	o->auth_file = r->credentials ? options_absolute(r->credentials) : NULL;
	o->sign_key = r->sign ? options_absolute(r->sign) : NULL;
	if (o->sign_key && (err = cosign_key_check(o->sign_key, why)) < 0)
		return err;
	o->cache_dir = r->cache ? options_absolute(r->cache)
				: default_dir("XDG_CACHE_HOME", ".cache", "/var/cache/diverfs");
	o->state_dir = r->state ? options_absolute(r->state)
				: default_dir("XDG_STATE_HOME", ".local/state", "/var/lib/diverfs");
	o->libexec_dir = options_installed("libexec/diverfs");
	o->qemu = r->qemu && strchr(r->qemu, '/') ? options_absolute(r->qemu)
						  : xstrdup(r->qemu ? r->qemu : "qemu-system-x86_64");
	o->bwrap = r->bwrap && strchr(r->bwrap, '/') ? options_absolute(r->bwrap)
						     : xstrdup(r->bwrap ? r->bwrap : "bwrap");
	return 0;
}

/* What `mount` shows, and `mount -a` compares with fstab: the first registry. */
static const char *source(const struct raw *r, const struct fs_options *o)
{
	if (r->fsname)
		return r->fsname;
	autofree char *embedded = options_installed("share/diverfs/registry");
	const char *first = o->registries.list[0].where;
	bool named = r->count > 1 && strcmp(r->words[0], "embedded");
	return named || strcmp(first, embedded) ? first : "embedded";
}

static void add_mount_options(const struct raw *r, const struct fs_options *o, struct fuse_args *args)
{
	char *opts = NULL;
	autofree char *name = xasprintf("fsname=%s", source(r, o));
	fuse_opt_add_opt(&opts, "default_permissions");
	fuse_opt_add_opt(&opts, "subtype=diverfs");
	fuse_opt_add_opt_escaped(&opts, name);
	if (o->allow_other)
		fuse_opt_add_opt(&opts, "allow_other");
	if (o->debug)
		fuse_opt_add_opt(&opts, "debug");
	fuse_opt_add_arg(args, "-o");
	fuse_opt_add_arg(args, opts);
	free(opts);
}

static void raw_free(struct raw *r)
{
	for (size_t i = 0; i < r->count; i++)
		free(r->words[i]);
	free(r->words);
	for (size_t i = 0; i < r->given_count; i++)
		free(r->given[i]);
	free(r->given);
	for (size_t i = 0; i < r->key_count; i++)
		free(r->keys[i]);
	free(r->keys);
	free(r->fresh);
	free(r->ca);
	free(r->credentials);
	free(r->config);
	free(r->sign);
	free(r->cache);
	free(r->state);
	free(r->quota);
	free(r->memory);
	free(r->instances);
	free(r->qemu);
	free(r->bwrap);
	free(r->fsname);
}

static int use(const struct raw *r, struct fs_options *o, struct fuse_args *args)
{
	struct why why = { 0 };
	if (r->help) {
		fputs(help_text, stdout);
		return 0;
	}
	if (r->version) {
		printf("diverfs %s\nlibfuse %s\n", DIVERFS_VERSION, fuse_pkgversion());
		return 0;
	}
	if (!r->count) {
		log_error("where to mount it? usage: diverfs [options] [registry...] mountpoint (more: "
			  "diverfs --help)");
		return 1;
	}
	*o = (struct fs_options){ .keep = r->keep,
		.allow_other = r->allow_other,
		.debug = r->debug,
		.offline = r->offline,
		.insecure = r->insecure,
		.foreground = r->foreground || r->debug };
	if (set_limits(r, o, &why) || set_paths(r, o, &why)) {
		log_error("%s", why.text);
		return 1;
	}
	add_mount_options(r, o, args);
	return -1;
}

int options_parse(int argc, char **argv, struct fs_options *o, struct fuse_args *args)
{
	struct raw r = { 0 };
	*args = (struct fuse_args)FUSE_ARGS_INIT(argc, argv);
	int bad = fuse_opt_parse(args, &r, spec, each_word);
	int status = bad || r.bad ? 1 : use(&r, o, args);
	raw_free(&r);
	return status;
}
