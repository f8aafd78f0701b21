/* SPDX-License-Identifier: MIT */
/*
 * machine.c: one launch of an instance, as its deployer tells it. What the deployer says is believed; when it
 * dies without a word, that is told too.
 */
#include "fs/machine.h"

#include "cache/base/conf.h"
#include "cache/base/io.h"
#include "cache/base/seglog.h"
#include "deployers/deploy.h"
#include "fs/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STOP_MARGIN_MS 3000
#define KILL_MARGIN_MS 3000
#define EVENT_MAX      1024u

/* --- limits ------------------------------------------------------------------------------------ */

static int check_limits(struct instance *in, uint64_t memory, struct why *why)
{
	const struct fs_options *opt = &in->fs->opt;
	autobuf struct buf want = { 0 }, all = { 0 }, left = { 0 };
	uint64_t used;
	unsigned count;

	run_totals(in->run, &used, &count);
	if (opt->instances_max && count >= opt->instances_max)
		return why_fail(why, -EAGAIN,
			"%u instances run, which is the limit of this mount (-o instances=N); stop one first",
			count);
	if (!opt->memory_max || (memory <= opt->memory_max && used <= opt->memory_max - memory))
		return 0;
	conf_put_size(&want, memory);
	conf_put_size(&all, opt->memory_max);
	conf_put_size(&left, used < opt->memory_max ? opt->memory_max - used : 0);
	return why_fail(why, -ENOMEM,
		"memory: %s is wanted, but %s of the %s for all instances is free (stop one, or mount with "
		"-o memory=SIZE)",
		want.data, left.data, all.data);
}

/* --- the plan ---------------------------------------------------------------------------------- */

static void put_image(
	struct buf *plan, const struct instance *in, const char *key, const char *dir, const char *image)
{
	if (*image)
		conf_putf(plan, key, "%s/%s%s", in->dir, dir, image);
}

/* What split modes need beside. */
static void put_split(struct buf *plan, const struct instance *in, const struct settings *s)
{
	const struct config *c = &in->cfg;
	const struct kernel_launch *ros = &in->work.ros->conf.launch[MODE_FULLVM];

	conf_put(plan, PLAN_ROS, in->work.ros->text);
	put_image(plan, in, PLAN_ROS_IMAGE, "ros/", ros->image + strlen("images/"));
	if (*ros->initrd)
		put_image(plan, in, PLAN_ROS_INITRD, "ros/", ros->initrd + strlen("images/"));
	conf_put(plan, PLAN_ROS_CMDLINE, ros->cmdline);
	conf_putf(plan, PLAN_ROS_MEMORY, "%llu", (unsigned long long)s->ros_memory);
	conf_putf(plan, PLAN_ROS_CPUS, "%u", s->ros_cpus);
	conf_putf(plan, PLAN_APP, "%s/src", in->dir);
	conf_putf(plan, PLAN_ROOTS, "%s/roots", in->fs->opt.state_dir);
	if (c->exec)
		conf_put(plan, PLAN_EXEC, c->exec);
	if (c->root)
		conf_put(plan, PLAN_ROOT, c->root);
	for (uint32_t i = 0; i < c->nfiles; i++)
		conf_put(plan, PLAN_FILE, c->files[i]);
}

static void put_cmdline(struct buf *plan, const struct instance *in, const struct settings *s)
{
	const struct config *c = &in->cfg;

	if (c->exec && s->mode != MODE_FULLVM)
		conf_putf(plan, PLAN_CMDLINE, "%s%sexec=%s", s->cmdline, *s->cmdline ? " " : "", c->exec);
	else if (*s->cmdline)
		conf_put(plan, PLAN_CMDLINE, s->cmdline);
	for (uint32_t i = 0; s->mode != MODE_FULLVM && i < c->nexec_args; i++)
		conf_put(plan, PLAN_ARG, c->exec_args[i]);
	for (uint32_t i = 0; i < c->nargs; i++)
		conf_put(plan, PLAN_ARG, c->args[i]);
}

static void put_devices(const struct config *c, struct buf *plan)
{
	conf_put(plan, PLAN_NET, c->net ? c->net : "none");
	for (uint32_t i = 0; i < c->nforwards; i++) {
		autobuf struct buf one = { 0 };

		forward_put(&one, &c->forwards[i]);
		conf_put(plan, PLAN_FORWARD, one.data);
	}
	if (c->disk) {
		conf_put(plan, PLAN_DISK, c->disk);
		conf_put(plan, PLAN_DISK_WRITE, c->disk_write ? "yes" : "no");
	}
}

static void make_plan(struct instance *in, const struct settings *s, const char *accel, struct buf *plan)
{
	bool console = in->anonymous && in->kernel->conf.stdout_console;

	conf_put(plan, PLAN_NAME, in->name);
	conf_put(plan, PLAN_MODE, kernel_mode_names[s->mode]);
	put_image(plan, in, PLAN_IMAGE, "", s->image);
	put_image(plan, in, PLAN_INITRD, "", s->initrd);
	put_cmdline(plan, in, s);
	conf_putf(plan, PLAN_MEMORY, "%llu", (unsigned long long)s->memory);
	conf_putf(plan, PLAN_CPUS, "%u", s->cpus);
	put_devices(&in->cfg, plan);
	conf_put(plan, PLAN_MACHINE, s->machine);
	conf_put(plan, PLAN_ACCEL, accel);
	conf_put(plan, PLAN_CONSOLE, s->console);
	conf_put(plan, PLAN_STREAMS, console ? "console" : "ports");
	conf_put(plan, PLAN_TEE, in->streams.tee ? "yes" : "no");
	conf_putf(plan, PLAN_TIMEOUT, "%llu", (unsigned long long)in->cfg.timeout_s);
	conf_put(plan, PLAN_QEMU, in->fs->opt.qemu);
	if (s->mode != MODE_FULLVM)
		put_split(plan, in, s);
}

static void set_text(char **to, const char *text)
{
	free(*to);
	*to = text ? xstrdup(text) : NULL;
}

static void machine_begin(struct instance *in, const struct settings *s, const char *accel)
{
	struct machine *m = &in->machine;

	m->up = m->launched = true;
	m->reached_running = m->asked_to_end = false;
	m->mode = s->mode;
	m->memory = s->memory + s->ros_memory;
	m->cpus = s->cpus;
	m->ros_memory = s->ros_memory;
	m->ros_cpus = s->ros_cpus;
	set_text(&m->ros, s->mode == MODE_FULLVM ? NULL : in->work.ros->text);
	m->since_ns = clock_real_ns();
	strcpy(m->state, "launching");
	set_text(&m->image, s->image);
	set_text(&m->accel, accel);
	set_text(&m->type, s->machine);
	buf_clear(&m->forwards);
	ending_clear(&m->end);
}

/* --- the end ----------------------------------------------------------------------------------- */

/* The machine is no more; its deployer may stay until stdout was read. */
static void machine_over(struct instance *in)
{
	struct machine *m = &in->machine;
	struct why why = { 0 };
	int err = m->end.err ? m->end.err : -EIO;

	m->up = false;
	m->ended_ns = clock_real_ns();
	in->result = m->end.failed ? "failed" : "exited";
	if (m->end.failed)
		why_fail(&why, err, "%s",
			m->end.error ? m->end.error : "the machine failed without saying why");
	instance_event(in, "exit %d%s%s", m->end.status, *m->end.how ? " " : "", m->end.how);
	if (m->end.failed && m->reached_running)
		instance_error(in, err, why.text);
	else if (m->end.error &&
		 !m->asked_to_end) /* a timeout, a panic, a reset: what `how` says in a word */
		instance_error(in, err, m->end.error);
	if (!m->reached_running)
		work_launched(in, m->end.failed ? err : 0, &why);
	stream_machine_ended(in);
	instance_changed(in);
	pending_answer(in, PENDING_STOP, 0, 0);
	pending_answer(in, PENDING_COMMAND, 0, -ESRCH);
	if (in->gone || in->run->stopping) /* nobody will read what is left of stdout */
		machine_dismiss(in);
}

/* --- what it says ------------------------------------------------------------------------------ */

static void on_hello(struct instance *in, const struct frame *f, const void *payload)
{
	struct deploy_hello h;

	memcpy(&h, payload, sizeof(h));
	stream_hello(in, f->offset, h.stdin_acked, h.stdin_ended, h.console_end);
}

static void on_state(struct instance *in, const char *word)
{
	struct machine *m = &in->machine;

	if (strcmp(word, "launching") && strcmp(word, "running") && strcmp(word, "paused"))
		return; /* exited and failed come with EXIT, which says more */
	snprintf(m->state, sizeof(m->state), "%.15s", word);
	if (!strcmp(word, "running") && !m->reached_running) { /* (paused before it ran is not launched) */
		m->reached_running = true;
		work_launched(in, 0, NULL);
	}
	instance_changed(in);
}

/* What a deployer tells may come from the guest: it stays one line of printable text. */
static void clean_text(char *to, size_t size, const void *from, size_t len)
{
	size_t n = len < size - 1 ? len : size - 1;

	memcpy(to, from, n);
	to[n] = '\0';
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)to[i] < 0x20 || to[i] == 0x7f)
			to[i] = ' ';
}

static void on_event(struct instance *in, const char *line)
{
	char name[24];
	unsigned long long ns;

	if (sscanf(line, "mark %23s %llu", name, &ns) == 2) {
		uint64_t begin = in->nmarks ? in->marks[in->nmarks - 1].end_ns : 0;

		if (begin < in->machine.since_ns) /* the first one of this launch */
			begin = in->machine.since_ns;
		instance_mark(in, name, begin < ns ? begin : ns, ns);
		if (strcmp(name, "out") == 0)
			workspace_reset(in->out);
		return;
	}
	if (strncmp(line, "forward ", 8) == 0)
		buf_printf(&in->machine.forwards, "%s\n", line + 8);
	instance_event(in, "%s", line);
}

static void on_answer(struct instance *in, const struct frame *f, const void *payload)
{
	int32_t err;
	char words[EVENT_MAX];

	if (f->size < sizeof(err))
		return;
	memcpy(&err, payload, sizeof(err));
	clean_text(words, sizeof(words), (const char *)payload + sizeof(err), f->size - sizeof(err));
	if (err > 0 || err < -4095)
		err = -EIO;
	if (err)
		instance_error(in, err, *words ? words : err_text(err));
	pending_answer(in, PENDING_COMMAND, f->offset, err);
}

static void on_exit_frame(struct instance *in, const void *payload, size_t len)
{
	if (!in->machine.up)
		return;
	deployer_spare(in->machine.dep);
	ending_parse(&in->machine.end, payload, len);
	machine_over(in);
}

static void on_frame(struct instance *in, const struct frame *f, const void *payload)
{
	char text[EVENT_MAX];

	switch (f->type) {
	case FRAME_HELLO:
		on_hello(in, f, payload);
		break;
	case FRAME_DATA:
		if (f->stream == DEPLOY_STDOUT)
			stream_stdout_data(in, f->offset, payload, f->size);
		break;
	case FRAME_END:
		if (f->stream == DEPLOY_STDOUT)
			stream_stdout_end(in);
		break;
	case FRAME_ACK:
		if (f->stream == DEPLOY_STDIN)
			stream_stdin_acked(in, f->offset);
		break;
	case FRAME_CONSOLE:
		if (f->stream == DEPLOY_ROS)
			stream_ros(in, f->offset);
		else
			stream_console(in, f->offset);
		break;
	case FRAME_STATE:
		clean_text(text, sizeof(text), payload, f->size);
		on_state(in, text);
		break;
	case FRAME_EVENT:
		clean_text(text, sizeof(text), payload, f->size);
		on_event(in, text);
		break;
	case FRAME_ANSWER:
		on_answer(in, f, payload);
		break;
	case FRAME_EXIT:
		on_exit_frame(in, payload, f->size);
		break;
	default:
		break;
	}
}

/* Bytes of which a deployer that was killed could not tell any more. */
static void find_console_end(struct instance *in)
{
	struct seglog *log;

	if (seglog_open(in->dirfd, "console", &log) == 0) {
		stream_console(in, seglog_end(log));
		seglog_close(log);
	}
	if (seglog_open(in->dirfd, "ros.console", &log) == 0) {
		stream_ros(in, seglog_end(log));
		seglog_close(log);
	}
}

/* The last line of deployer.log says more than a signal's number. */
static void last_words(struct instance *in, char *out, size_t size)
{
	autoclose int fd = openat(in->dirfd, "deployer.log", O_RDONLY | O_CLOEXEC);
	off_t end = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
	char tail[512];
	ssize_t n = end > 0 ? pread(fd, tail, sizeof(tail),
				      end > (off_t)sizeof(tail) ? end - (off_t)sizeof(tail) : 0)
			    : 0;
	char *line;

	out[0] = '\0';
	while (n > 0 && tail[n - 1] == '\n')
		n--;
	if (n <= 0)
		return;
	line = memrchr(tail, '\n', (size_t)n);
	line = line ? line + 1 : tail;
	clean_text(out, size, line, (size_t)(tail + n - line));
}

static void on_gone(struct instance *in, bool clean, const char *how)
{
	struct machine *m = &in->machine;
	char said[256];

	(void)clean;
	m->dep = NULL;
	if (m->up) {
		autofree char *words = NULL;

		find_console_end(in);
		last_words(in, said, sizeof(said));
		words = xasprintf("%s, and its machine with it%s%s", how, *said ? "; it said: " : "", said);
		ending_lost(&m->end, words);
		machine_over(in);
	}
	in->streams.out_ended = true;
	pending_answer(in, PENDING_STOP, 0, 0);
	stream_wake_all(in);
	work_machine_gone(in);
	instance_changed(in);
}

static const struct deployer_events machine_events = { on_frame, on_gone };

/* --- what it is told --------------------------------------------------------------------------- */

int machine_launch(struct instance *in, const struct settings *s, const char *accel, struct why *why)
{
	autobuf struct buf plan = { 0 };
	int err = check_limits(in, s->memory + s->ros_memory, why);

	if (err)
		return err;
	unlinkat(in->dirfd, "end", 0);
	unlinkat(in->dirfd, "forwards", 0);
	unlinkat(in->dirfd, "sock", 0);
	unlinkat(in->dirfd, "pid", 0);
	unlinkat(in->dirfd, "syscalls", 0);
	seglog_remove(in->dirfd, "console");
	seglog_remove(in->dirfd, "ros.console");
	stream_reset(in);
	make_plan(in, s, accel, &plan);
	err = io_write_file(in->dirfd, "plan", plan.data, plan.len, 0600, false);
	if (err)
		return why_fail_errno(why, err, "cannot write the plan in %s", in->dir);
	err = deployer_start(in, mode_program(s->mode), in->dir, &machine_events, &in->machine.dep, why);
	if (err)
		return err;
	machine_begin(in, s, accel);
	return 0;
}

void machine_stop(struct instance *in, bool at_once)
{
	struct machine *m = &in->machine;

	if (!m->up || !m->dep)
		return;
	m->asked_to_end = true;
	deployer_command(m->dep, at_once ? "kill" : "stop");
	if (at_once)
		deployer_spare(m->dep);
	deployer_kill_after(m->dep, at_once ? KILL_MARGIN_MS : DEPLOY_STOP_MS + STOP_MARGIN_MS);
}

void machine_dismiss(struct instance *in)
{
	if (in->machine.dep)
		deployer_kill(in->machine.dep);
}

int machine_command(struct instance *in, const char *words, fuse_req_t req, size_t size, struct why *why)
{
	if (!in->machine.up)
		return why_fail(why, -ESRCH, "%s: nothing runs", words);
	pending_add(in, PENDING_COMMAND, deployer_command(in->machine.dep, words), req, size);
	return 0;
}

/* --- after a restart --------------------------------------------------------------------------- */

static int take_plan(void *arg, unsigned line, const char *key, const char *value, struct why *why)
{
	struct instance *in = arg;
	struct machine *m = &in->machine;
	uint64_t n;

	(void)line;
	(void)why;
	if (strcmp(key, PLAN_MODE) == 0)
		for (m->mode = MODE_COUNT - 1; m->mode > 0 && strcmp(value, kernel_mode_names[m->mode]);
			m->mode--)
			;
	else if (strcmp(key, PLAN_MEMORY) == 0)
		conf_number(key, value, 0, UINT64_MAX, &m->memory, NULL);
	else if (strcmp(key, PLAN_ROS_MEMORY) == 0)
		conf_number(key, value, 0, UINT64_MAX, &m->ros_memory, NULL);
	else if (strcmp(key, PLAN_CPUS) == 0 && conf_number(key, value, 0, UINT32_MAX, &n, NULL) == 0)
		m->cpus = (uint32_t)n;
	else if (strcmp(key, PLAN_ROS_CPUS) == 0 && conf_number(key, value, 0, UINT32_MAX, &n, NULL) == 0)
		m->ros_cpus = (uint32_t)n;
	else if (strcmp(key, PLAN_IMAGE) == 0)
		set_text(&m->image,
			strncmp(value, in->dir, strlen(in->dir)) ? value : value + strlen(in->dir) + 1);
	else if (strcmp(key, PLAN_ROS) == 0)
		set_text(&m->ros, value);
	else if (strcmp(key, PLAN_ACCEL) == 0)
		set_text(&m->accel, value);
	else if (strcmp(key, PLAN_MACHINE) == 0)
		set_text(&m->type, value);
	else if (strcmp(key, PLAN_TEE) == 0)
		in->streams.tee = strcmp(value, "yes") == 0;
	return 0;
}

static void find_end(struct instance *in)
{
	autobuf struct buf end = { 0 };
	struct machine *m = &in->machine;

	if (io_read_file(in->dirfd, "end", 65536, &end) == 0) {
		ending_parse(&m->end, end.data, end.len);
	} else {
		ending_lost(&m->end, "the deployer and its machine ended while no daemon ran, without "
				     "saying how (killed?)");
	}
	in->streams.out_ended = true;
	in->result = m->end.failed ? "failed" : "exited";
	if (m->end.failed && m->end.error)
		buf_printf(&in->error, "%s\n", m->end.error);
}

void machine_find(struct instance *in)
{
	autobuf struct buf plan = { 0 };
	struct machine *m = &in->machine;

	in->streams.tee = !in->anonymous;
	if (io_read_file(in->dirfd, "plan", 1 << 20, &plan))
		return; /* never launched */
	conf_parse(plan.data, plan.len, take_plan, in, NULL);
	m->memory += m->ros_memory;
	in->streams.tee = !in->anonymous; /* its readers have gone with the daemon */
	io_read_file(in->dirfd, "forwards", 65536, &m->forwards);
	m->launched = true;
	m->since_ns = clock_real_ns();
	find_console_end(in);
	if (deployer_find(in, in->dirfd, &machine_events, &m->dep)) {
		find_end(in);
		return;
	}
	/* If it has ended already, EXIT will say so at once. */
	m->up = m->reached_running = true;
	strcpy(m->state, "running");
	log_info("%s: found again, deployer %d", in->name, (int)m->dep->pid);
}

void machine_free(struct instance *in)
{
	free(in->machine.image);
	free(in->machine.accel);
	free(in->machine.type);
	free(in->machine.ros);
	buf_free(&in->machine.forwards);
	ending_clear(&in->machine.end);
}
