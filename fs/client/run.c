/* SPDX-License-Identifier: MIT */
/*
 * diverfs-run: runs a kernel as a filter. It is the interpreter of kernels/NAME/TAG/run, and speaks to the
 * file server through nothing but the files of an instance, as any shell script could: opening run/new makes
 * one, and closing it, however we end, ends the kernel.
 */
#include "cache/base/buf.h"
#include "cache/base/conf.h"
#include "cache/base/io.h"
#include "fs/client/client.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* As env(1) and timeout(1). The kernel's own status may be the same number; then nothing is on stderr. */
enum { EXIT_FAILED = 125, EXIT_CANNOT = 126, EXIT_NOT_FOUND = 127 };

#define FILE_MAX 65536

struct options {
	const char *mode; /* NULL: the kernel's first */
	struct buf config;
	char **args; /* of the kernel */
};

struct run {
	struct script script;
	int hold; /* run/new: the instance lives as long as it is open */
	int dir;  /* run/<instance>/ */
	char *name;
	bool stdout_console; /* the console is all the kernel has: no second copy of it */
	char mode[32];
	int in, out, console;
};

static const char help[] =
	"Usage: kernels/NAME/TAG/run [OPTION]... [--] [ARGUMENT]...\n"
	"Launches the kernel as a filter: stdin and stdout are the application's, the console is on stderr, "
	"the exit\n"
	"status is the kernel's. ARGUMENTs go to the kernel; put -- before one that begins with a dash.\n"
	"\n"
	"  -d MODE         deploy in MODE (fullVM ...; the mount's file `modes` lists them)\n"
	"  -m MEMORY       memory of the machine, as 64M\n"
	"  -c CPUS         processors of the machine\n"
	"  -o KEY=VALUE    any line of an instance's config\n"
	"  -h, --help      this text\n"
	"      --version   the version\n"
	"\n"
	"Exit status: the kernel's; 125 if diverfs-run itself failed, 126 if the kernel cannot be launched "
	"here,\n"
	"127 if there is no such kernel; 128 + N for a signal N. Ending this program ends the kernel.\n";

static int usage_error(const char *fmt, const char *arg)
{
	log_error(fmt, arg);
	log_error("try --help; put -- before the kernel's own arguments if they begin with a dash");
	return EXIT_FAILED;
}

/* --- options --- */

static bool key_ok(const char *key)
{
	size_t n = strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789_.");

	return n && !key[n] && key[0] >= 'a' && key[0] <= 'z';
}

static int take_setting(struct options *o, char *setting)
{
	char *value = strchr(setting, '=');

	if (!value)
		return usage_error("-o %s: KEY=VALUE is wanted", setting);
	*value++ = '\0';
	if (!key_ok(setting))
		return usage_error("-o %s: is not a key of config", setting);
	if (strcmp(setting, "mode") == 0)
		o->mode = value;
	else
		conf_put(&o->config, setting, value);
	return 0;
}

/* Words as config's args takes them: in double quotes, where only \ and " are special. */
static void put_args(struct buf *out, char **args)
{
	autobuf struct buf words = { 0 };

	if (!*args)
		return;
	for (char **a = args; *a; a++) {
		buf_puts(&words, a == args ? "\"" : " \"");
		for (const char *s = *a; *s; s++) {
			if (*s == '"' || *s == '\\')
				buf_puts(&words, "\\");
			buf_append(&words, s, 1);
		}
		buf_puts(&words, "\"");
	}
	conf_put(out, "args", words.data);
}

/* -1: go on; else the exit status. */
static int parse_options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'v' },
		{ 0 },
	};
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "+:d:m:c:o:h", longs, NULL)) != -1) {
		char letter[] = { '-', optopt, '\0' };
		char *word = optopt ? letter : argv[optind - 1];
		int err = 0;

		if (c == 'h')
			return fputs(help, stdout), 0;
		if (c == 'v')
			return puts("diverfs-run " DIVERFS_VERSION), 0;
		if (c == 'd')
			o->mode = optarg;
		else if (c == 'm')
			conf_put(&o->config, "memory", optarg);
		else if (c == 'c')
			conf_put(&o->config, "cpus", optarg);
		else if (c == 'o')
			err = take_setting(o, optarg);
		else if (c == ':')
			err = usage_error("option %s: its value is missing", word);
		else
			err = usage_error("%s: unknown option", word);
		if (err)
			return err;
	}
	o->args = argv + optind;
	return -1;
}

/* --- the instance's files --- */

/* The last error in words, as the instance tells it; false if it tells of none. */
static bool tell_error(struct run *r)
{
	autobuf struct buf text = { 0 };
	char *line, *rest;

	if (r->dir < 0 || io_read_file(r->dir, "error", FILE_MAX, &text) < 0 || !text.len)
		return false;
	rest = text.data;
	while ((line = strsep(&rest, "\n")))
		if (*line)
			log_error("%s", line);
	return true;
}

/* Says why (what) failed, and with which status to exit. */
static int tell(struct run *r, const char *what, int err)
{
	if (!tell_error(r))
		log_error("%s: %s", what, err_text(err));
	if (err == -ENOENT)
		return EXIT_NOT_FOUND;
	return err == -EOPNOTSUPP || err == -ENOEXEC || err == -EACCES || err == -EPERM ? EXIT_CANNOT
											: EXIT_FAILED;
}

/* One write(2): that is how a control file takes a command, and refuses it. */
static int put_file(int dir, const char *name, const char *data, size_t len)
{
	autoclose int fd = openat(dir, name, O_WRONLY | O_TRUNC | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	do
		n = write(fd, data, len);
	while (n < 0 &&
		errno == EINTR); /* stopped and continued; a signal that ends us does not come back here */
	return n < 0 ? -errno : 0;
}

static int conf_line(void *arg, unsigned line, const char *key, const char *value, struct why *why)
{
	struct run *r = arg;

	(void)line;
	(void)why;
	if (strcmp(key, "modes") == 0 && !*r->mode)
		snprintf(r->mode, sizeof(r->mode), "%.*s", (int)strcspn(value, " \t"), value);
	else if (strcmp(key, "stdout") == 0)
		r->stdout_console = strcmp(value, "console") == 0;
	return 0;
}

static int read_kernel_conf(struct run *r, const char *mode, struct why *why)
{
	autobuf struct buf text = { 0 };
	int err = io_read_file(r->script.dir, "kernel.conf", FILE_MAX, &text);

	if (err < 0)
		return why_fail_errno(why, err, "%s: cannot read kernel.conf", r->script.kernel);
	if (mode && strlen(mode) >= sizeof(r->mode))
		return why_fail(why, -EINVAL, "%s: is not a mode; the mount's file `modes` lists them", mode);
	snprintf(r->mode, sizeof(r->mode), "%s", mode ? mode : "");
	err = conf_parse(text.data, text.len, conf_line, r, why);
	if (!err && !*r->mode)
		strcpy(r->mode, "fullVM");
	return err;
}

static int instance_new(struct run *r, struct why *why)
{
	char name[300];
	ssize_t n;

	r->hold = openat(r->script.mount, "run/new", O_RDONLY | O_CLOEXEC);
	n = r->hold < 0 ? -errno : io_read_full(r->hold, name, sizeof(name) - 1);
	if (n == -EACCES || n == -EPERM)
		return why_fail(
			why, n, "only the owner of the mount may launch kernels; mount one of your own");
	if (n <= 0)
		return why_fail_errno(why, n ? n : -EIO, "cannot make an instance (run/new)");
	name[n] = '\0';
	name[strcspn(name, "\n")] = '\0';
	if (!*name || strchr(name, '/'))
		return why_fail(why, -EIO, "run/new gave no instance's name");
	r->name = xasprintf("run/%s", name);
	r->dir = openat(r->script.mount, r->name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return r->dir < 0 ? why_fail_errno(why, -errno, "%s", r->name) : 0;
}

static int configure(struct run *r, struct options *o)
{
	autobuf struct buf text = { 0 };
	int err;

	conf_put(&text, "kernel", r->script.kernel);
	if (o->config.len)
		buf_append(&text, o->config.data, o->config.len);
	put_args(&text, o->args);
	err = put_file(r->dir, "config", text.data, text.len);
	return err ? tell(r, "config", err) : 0;
}

static int open_stream(struct run *r, const char *name, int flags, int *fd)
{
	*fd = openat(r->dir, name, flags | O_CLOEXEC);
	return *fd < 0 ? tell(r, name, -errno) : 0;
}

/* Both ends are open before the launch: no byte of stdout goes to the console, no end of input comes too
 * early. */
static int launch(struct run *r)
{
	int err = open_stream(r, "stdin", O_WRONLY, &r->in);

	if (!err)
		err = open_stream(r, "stdout", O_RDONLY, &r->out);
	if (err)
		return err;
	err = put_file(r->dir, "deploy", r->mode, strlen(r->mode));
	if (err)
		return tell(r, "deploy", err);
	return r->stdout_console ? 0 : open_stream(r, "console", O_RDONLY, &r->console);
}

/* The exit status, once there is one. */
static int wait_status(struct run *r)
{
	autobuf struct buf text = { 0 };
	int err = io_read_file(r->dir, "wait", FILE_MAX, &text);
	char *end;
	long status;

	if (err < 0)
		return tell(r, "wait", err);
	status = strtol(text.data ? text.data : "", &end, 10);
	if (end == text.data || status < 0 || status > 255)
		return tell(r, "wait", -EIO);
	if (status)
		tell_error(r); /* lost, killed, out of time: a status of the kernel's own comes without */
	return status;
}

static int follow(struct run *r)
{
	struct copy *out, *console = NULL;
	int status, err;

	copy_start_stdin(r->in);
	out = copy_start(r->out, 1, "stdout");
	if (!r->stdout_console)
		console = copy_start(r->console, 2, "console");
	err = copy_join(out);
	if (err) /* nobody has the output: ending us ends the kernel */
		return EXIT_FAILED;
	if (console)
		copy_join(console);
	status = wait_status(r);
	return status;
}

static int run(int argc, char **argv)
{
	struct run r = { .script = { -1, -1, NULL }, .hold = -1, .dir = -1 };
	struct options o = { 0 };
	struct why why = { 0 };
	int status = parse_options(argc - 1, argv + 1, &o), err;

	if (status >= 0)
		return status;
	err = script_find(argv[1], &r.script, &why);
	if (!err)
		err = read_kernel_conf(&r, o.mode, &why);
	if (!err)
		err = instance_new(&r, &why);
	if (err) {
		log_error("%s", why.text);
		return err == -ENOENT ? EXIT_NOT_FOUND : err == -EACCES ? EXIT_CANNOT : EXIT_FAILED;
	}
	status = configure(&r, &o);
	if (!status)
		status = launch(&r);
	return status ? status : follow(&r);
}

/* A standard descriptor that is closed would be taken by the first file we open. */
static void fill_standard_fds(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= 2);
	if (fd > 2)
		close(fd);
}

int main(int argc, char **argv)
{
	int status;

	fill_standard_fds();
	log_open("diverfs-run", LOG_LEVEL_INFO);
	if (argc < 2) {
		log_error("is started through a kernel's `run`; try --help");
		return EXIT_FAILED;
	}
	if (argv[1][0] == '-') { /* called by hand, without a script */
		struct options o = { 0 };

		status = parse_options(argc, argv, &o);
		return status >= 0 ? status : usage_error("%s: is not the path of a kernel's `run`", argv[1]);
	}
	status = run(argc, argv);
	fflush(stdout);
	_exit(status); /* at once, also if a thread still waits for stdin */
}
