/* SPDX-License-Identifier: MIT */
/*
 * conform_cmd.c: `diverfs conform KERNEL`: finds out what to boot, and becomes the program that does. A directory
 * with a kernel.conf, as a tag is in a mount, names its image and the defaults with which it is launched.
 */
#include "cache/base/io.h"
#include "cache/kernel.h"
#include "fs/start.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONF_MAX 65536
#define FAILED	 125

struct words {
	char **word; /* its own; ends with NULL */
	size_t count;
};

static void words_free(struct words *w)
{
	for (size_t i = 0; i < w->count; i++)
		free(w->word[i]);
	free(w->word);
}

/* Takes (word) over. */
static void add(struct words *w, char *word)
{
	w->word = xrealloc(w->word, (w->count + 2) * sizeof *w->word);
	w->word[w->count++] = word;
	w->word[w->count] = NULL;
}

static void add_option(struct words *w, const char *option, const char *value)
{
	if (*value)
		add(w, xasprintf("--%s=%s", option, value));
}

static int read_conf(const char *dir, struct kernel_conf *k, struct why *why)
{
	autofree char *path = xasprintf("%s/kernel.conf", dir);
	autobuf struct buf text = { 0 };
	int err = io_read_file(AT_FDCWD, path, CONF_MAX, &text);

	*k = (struct kernel_conf){ 0 };
	if (err < 0)
		return why_fail_errno(why, err,
			"cannot read %s (KERNEL is an image, or a directory with a kernel.conf)", path);
	err = kernel_conf_parse(k, text.data ? text.data : "", text.len, false, why);
	if (err < 0)
		return why_prefix(why, "%s", path);
	if (!k->launch[MODE_FULLVM].supported || !*k->launch[MODE_FULLVM].image)
		return why_fail(
			why, -ENOTSUP, "%s has no image for fullVM, in which kernels are tried", path);
	return 0;
}

/* Before the user's own options, which so have the last word. */
static int add_defaults(struct words *w, const char *dir, char **image, struct why *why)
{
	struct kernel_conf k;
	int err = read_conf(dir, &k, why);
	const struct kernel_launch *l = &k.launch[MODE_FULLVM];

	if (!err) {
		if (l->memory)
			add(w, xasprintf("--memory=%" PRIu64, l->memory));
		if (l->cpus)
			add(w, xasprintf("--cpus=%" PRIu32, l->cpus));
		add_option(w, "machine", l->machine);
		add_option(w, "cmdline", l->cmdline);
		if (*l->initrd)
			add(w, xasprintf("--initrd=%s/%s", dir, l->initrd));
		*image = xasprintf("%s/%s", dir, l->image);
	}
	kernel_conf_free(&k);
	return err;
}

/* The Linux to start it beside: the image with its initrd and command line. */
static int add_ros(struct words *w, const char *dir, struct why *why)
{
	struct kernel_conf k;
	int err = read_conf(dir, &k, why);
	const struct kernel_launch *l = &k.launch[MODE_FULLVM];

	if (!err) {
		add(w, xasprintf("--ros-image=%s/%s", dir, l->image));
		if (*l->initrd)
			add(w, xasprintf("--ros-initrd=%s/%s", dir, l->initrd));
		add_option(w, "ros-cmdline", l->cmdline);
	}
	kernel_conf_free(&k);
	return err;
}

/* KERNEL comes first, or last before the arguments. */
static int kernel_at(int argc, char **argv)
{
	if (argc > 1 && argv[1][0] != '-')
		return 1;
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], "--"))
			return i - 1;
	return argc - 1;
}

/* The value of --ros if that is the option at (i), which then is at its last word. */
static const char *ros_of(int argc, char **argv, int *i)
{
	if (!strncmp(argv[*i], "--ros=", 6))
		return argv[*i] + 6;
	if (!strcmp(argv[*i], "--ros") && *i + 1 < argc)
		return argv[++*i];
	return NULL;
}

/* What diverfs-conform is called with. */
static int choose_words(struct words *w, int argc, char **argv, struct why *why)
{
	int at = kernel_at(argc, argv), err = 0;
	autofree char *image = NULL;
	struct stat st;

	add(w, xstrdup(argv[0]));
	if (at > 0 && argv[at][0] != '-' && !stat(argv[at], &st) && S_ISDIR(st.st_mode))
		err = add_defaults(w, argv[at], &image, why);
	bool own = true; /* and not the kernel's */
	for (int i = 1; i < argc && !err; i++) {
		own = own && strcmp(argv[i], "--") != 0;
		const char *ros = own ? ros_of(argc, argv, &i) : NULL;
		if (ros)
			err = add_ros(w, ros, why);
		else
			add(w, xstrdup(i == at && image ? image : argv[i]));
	}
	return err;
}

int conform_main(int argc, char **argv)
{
	autofree char *program = options_installed("libexec/diverfs/diverfs-conform");
	struct words w = { 0 };
	struct why why = { 0 };

	if (choose_words(&w, argc, argv, &why) < 0) {
		log_error("conform: %s", why.text);
	} else {
		execv(program, w.word);
		log_error("conform: cannot execute %s: %s", program, err_text(errno));
	}
	words_free(&w);
	return FAILED;
}
