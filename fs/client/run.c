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
#define EXIT_LEFT  130	/* an attached terminal was left: as ^C ends a filter */
#define ESCAPE_KEY 0x1d /* ^] */

#define FILE_MAX 65536

struct options {
	const char *mode; /* NULL: the kernel's first */
	struct buf config;
	char **args;	    /* of the kernel */
	int terminal;	    /* -t 1, -T -1, neither 0 */
	int escape;	    /* terminal_key */
	const char *attach; /* --attach: the directory of an instance that exists */
};

struct run {
	struct script script;
	int hold; /* run/new: the instance lives as long as it is open */
	int dir;  /* run/<instance>/ */
	char *name;
	bool stdout_console; /* the console is all the kernel has: no second copy of it */
	char terminal[16];   /* kernel.conf's: console, stdin, or nothing */
	bool attach;	     /* our terminal becomes the kernel's */
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
	"  -t              attach the terminal on stdin to the kernel's console\n"
	"  -T              do not; lines that are typed are the kernel's stdin\n"
	"  -e KEY          the key that leaves an attached terminal: a character, ^X, or none (default ^])\n"
	"  -h, --help      this text\n"
	"      --version   the version\n"
	"\n"
	"Without -t and -T the terminal is attached if stdin and stdout are a terminal and the kernel has "
	"its shell\n"
	"on the console (kernel.conf: terminal = console, or stdout = console). Each key then goes to the "
	"kernel at\n"
	"once, ^C too; leaving ends the kernel.\n"
	"\n"
	"diverfs-run [-t | -T] [-e KEY] --attach MOUNT/run/INSTANCE\n"
	"attaches the terminal to an instance that runs; leaving lets it run.\n"
	"\n"
	"Exit status: the kernel's; 125 if diverfs-run itself failed, 126 if the kernel cannot be launched "
	"here,\n"
	"127 if there is no such kernel; 128 + N for a signal N, 130 if an attached terminal was left.\n"
	"Ending this program ends the kernel.\n";

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

/* Blanks around the sign are allowed, as in config. */
static int take_setting(struct options *o, char *setting)
{
	char *value = strchr(setting, '='), *end = value;

	if (!value)
		return usage_error("-o %s: KEY=VALUE is wanted", setting);
	while (end > setting && end[-1] == ' ')
		end--;
	value += 1 + strspn(value + 1, " ");
	*end = '\0';
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

static int take_escape(struct options *o, const char *key)
{
	o->escape = terminal_key(key);
	return o->escape == -EINVAL ? usage_error("-e %s: a character, ^X or none is wanted", key) : 0;
}

/* -1: go on; else the exit status. */
static int parse_options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'v' },
		{ "attach", required_argument, NULL, 'a' },
		{ 0 },
	};
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "+:d:m:c:o:e:tTh", longs, NULL)) != -1) {
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
		else if (c == 'e')
			err = take_escape(o, optarg);
		else if (c == 't' || c == 'T')
			o->terminal = c == 't' ? 1 : -1;
		else if (c == 'a')
			o->attach = optarg;
		else if (c == ':')
			err = usage_error("option %s: its value is missing", word);
		else
			err = usage_error("%s: unknown option", word);
		if (err)
			return err;
	}
	o->args = argv + optind;
	if (o->terminal > 0 && !isatty(0))
		return usage_error("%s: stdin is not a terminal", "-t");
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
	else if (strcmp(key, "terminal") == 0)
		snprintf(r->terminal, sizeof(r->terminal), "%s", value);
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
	autofree char *lowered = conf_lower_keys(text.data ? text.data : "", text.len);
	err = conf_parse(lowered, text.len, conf_line, r, why);
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

	if (err == -ENODATA) {
		log_error("nothing was launched: it has no exit status");
		return EXIT_FAILED;
	}
	if (err < 0)
		return tell(r, "wait", err);
	status = strtol(text.data ? text.data : "", &end, 10);
	if (end == text.data || status < 0 || status > 255)
		return tell(r, "wait", -EIO);
	if (status)
		tell_error(r); /* lost, killed, out of time: a status of the kernel's own comes without */
	return status;
}

/* --- a terminal --- */

/* A kernel that is a shell now, and a filter where it is given arguments. */
static bool is_shell(const struct run *r, const struct options *o)
{
	return strcmp(r->terminal, "shell") == 0 && !*o->args;
}

/* A filter keeps its lines, its ^D and its ^C; a shell wants keys. If the output goes elsewhere, nobody would see what
 * a shell says. */
static bool wants_terminal(const struct run *r, const struct options *o)
{
	if (o->terminal)
		return o->terminal > 0;
	if (!isatty(0) || !isatty(1))
		return false;
	return *r->terminal ? strcmp(r->terminal, "console") == 0 || is_shell(r, o) : r->stdout_console;
}

/* (what) leaving does. 0 or the exit status. */
static int attach_terminal(struct run *r, const struct options *o, int left_status, const char *what)
{
	char key[TERMINAL_KEY_NAME];
	struct why why = { 0 };

	terminal_key_name(o->escape, key);
	if (o->escape >= 0)
		log_info("the terminal is the kernel's now; %s %s", key, what);
	if (terminal_attach(r->dir, o->escape, left_status, &why) == 0)
		return 0;
	log_error("%s", why.text);
	return EXIT_FAILED;
}

/* --- from the launch to the end --- */

/* The two outputs are copied until they end. */
static int follow(struct run *r)
{
	struct copy *out = copy_start(r->out, 1, "stdout"), *console = NULL;
	int err;

	if (!r->stdout_console)
		console = copy_start(r->console, r->attach && isatty(1) ? 1 : 2, "console");
	err = copy_join(out);
	if (err) /* nobody has the output: ending us ends the kernel */
		return EXIT_FAILED;
	if (console)
		copy_join(console);
	terminal_leave();
	return wait_status(r);
}

static int run_launched(struct run *r, const struct options *o)
{
	int status;

	if (!r->attach) {
		copy_start_stdin(r->in);
		return follow(r);
	}
	/* where stdin is the console, its end would be typed; a shell would end by it before it hears of us */
	if (!r->stdout_console && !is_shell(r, o))
		close(r->in);
	status = attach_terminal(r, o, EXIT_LEFT, "ends it");
	return status ? status : follow(r);
}

static int run(int argc, char **argv)
{
	struct run r = { .script = { -1, -1, NULL }, .hold = -1, .dir = -1 };
	struct options o = { .escape = ESCAPE_KEY };
	struct why why = { 0 };
	int status = parse_options(argc - 1, argv + 1, &o), err;

	if (status >= 0)
		return status;
	if (o.attach)
		return usage_error("%s: is an option of diverfs-run, for instances that exist", "--attach");
	err = script_find(argv[1], &r.script, &why);
	if (!err)
		err = read_kernel_conf(&r, o.mode, &why);
	if (!err)
		err = instance_new(&r, &why);
	if (err) {
		log_error("%s", why.text);
		return err == -ENOENT ? EXIT_NOT_FOUND : err == -EACCES ? EXIT_CANNOT : EXIT_FAILED;
	}
	r.attach = wants_terminal(&r, &o);
	status = configure(&r, &o);
	if (!status)
		status = launch(&r);
	return status ? status : run_launched(&r, &o);
}

/* --attach: an instance that others have launched. What its console has said so far comes first. */
static int attach(const struct options *o)
{
	struct run r = { .hold = -1, .dir = -1 };
	int status;

	r.dir = open(o->attach, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (r.dir < 0 || faccessat(r.dir, "console", F_OK, 0) < 0 || faccessat(r.dir, "ctl", F_OK, 0) < 0) {
		log_error("%s: is not the directory of an instance (MOUNT/run/NAME)", o->attach);
		return EXIT_NOT_FOUND;
	}
	status = open_stream(&r, "console", O_RDONLY, &r.console);
	if (!status && (o->terminal > 0 || (!o->terminal && isatty(0) && isatty(1))))
		status = attach_terminal(&r, o, 0, "leaves it running");
	if (status)
		return status;
	if (copy_join(copy_start(r.console, 1, "console")))
		return EXIT_FAILED;
	terminal_leave();
	return wait_status(&r);
}

static int run_by_hand(int argc, char **argv)
{
	struct options o = { .escape = ESCAPE_KEY };
	int status = parse_options(argc, argv, &o);

	if (status >= 0)
		return status;
	if (!o.attach)
		return usage_error("%s: is not the path of a kernel's `run`", argv[1]);
	if (*o.args || o.config.len || o.mode)
		return usage_error(
			"%s: the kernel runs already, and takes no arguments and no config", "--attach");
	return attach(&o);
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
	/* called by hand, without a script? */
	status = argv[1][0] == '-' ? run_by_hand(argc, argv) : run(argc, argv);
	terminal_leave();
	fflush(stdout);
	_exit(status); /* at once, also if a thread still waits for stdin */
}
