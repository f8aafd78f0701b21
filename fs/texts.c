/* SPDX-License-Identifier: MIT */
/*
 * texts.c: the files of an instance that are a short text, made anew for each reader.
 */
#include "fs/texts.h"

#include "cache/base/conf.h"
#include "fs/syscalls.h"

#include <string.h>
#include <time.h>

static void put_deploy(struct instance *in, struct buf *out)
{
	int current = in->machine.up || in->cfg.mode < 0 ? in->machine.mode : in->cfg.mode;

	for (int m = 0; m < MODE_COUNT; m++)
		buf_printf(out, m == current ? "%s[%s]" : "%s%s", m ? " " : "", kernel_mode_names[m]);
	buf_puts(out, "\n");
}

static void put_size(struct buf *out, const char *name, uint64_t bytes)
{
	buf_printf(out, "%s ", name);
	conf_put_size(out, bytes);
	buf_puts(out, "\n");
}

static void put_time(struct buf *out, uint64_t ns)
{
	time_t s = (time_t)(ns / 1000000000);
	struct tm tm;
	char text[32];

	gmtime_r(&s, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	buf_printf(out, "%s.%03uZ", text, (unsigned)(ns / 1000000 % 1000));
}

static void put_kernel(struct instance *in, struct buf *out)
{
	struct settings s;

	if (in->cfg.kernel)
		buf_printf(out, "kernel %s\n", in->kernel ? in->kernel->text : in->cfg.kernel);
	if (*in->pin)
		buf_printf(out, "digest %s\n", in->pin);
	if (*in->work.built)
		buf_printf(out, "images %s\n", in->work.built);
	if (in->machine.up || !in->kernel)
		return;
	/* as it was launched last, if config still allows that */
	if (config_settle(&in->cfg, &in->kernel->conf, in->machine.mode, &s, NULL) &&
		config_settle(&in->cfg, &in->kernel->conf, -1, &s, NULL))
		return;
	buf_printf(out, "mode %s\naccel %s\nimage %s\ncpus %u\nmachine %s\nconsole_device %s\n",
		kernel_mode_names[s.mode], s.accel, s.image, s.cpus, s.machine, s.console);
	put_size(out, "memory", s.memory);
	if (*s.cmdline)
		buf_printf(out, "cmdline %s\n", s.cmdline);
}

/* What a split mode adds. */
static void put_split(const struct machine *m, struct buf *out)
{
	if (m->mode <= MODE_FULLVM)
		return;
	buf_printf(out, "ros %s\n", m->ros ? m->ros : "?");
	buf_printf(out, "ros_cpus %u\n", m->ros_cpus);
	put_size(out, "ros_memory", m->ros_memory);
}

static void put_machine(const struct instance *in, struct buf *out)
{
	const struct machine *m = &in->machine;

	if (m->up) {
		buf_printf(out, "mode %s\naccel %s\nimage %s\ncpus %u\nmachine %s\n",
			m->mode >= 0 ? kernel_mode_names[m->mode] : "?", m->accel ? m->accel : "?",
			m->image ? m->image : "?", m->cpus, m->type ? m->type : "?");
		put_size(out, "memory", m->memory - m->ros_memory);
		put_split(m, out);
		if (m->dep)
			buf_printf(out, "pid %d\n", (int)m->dep->pid);
	}
	buf_puts(out, m->up ? "since " : "ended ");
	put_time(out, m->up ? m->since_ns : m->ended_ns);
	buf_puts(out, "\n");
	if (m->up)
		return;
	buf_printf(out, "exit %d\n", m->end.status);
	if (*m->end.how)
		buf_printf(out, "how %s\n", m->end.how);
	if (*m->end.cpu)
		buf_printf(out, "cpu %s\n", m->end.cpu);
	if (m->end.peak)
		put_size(out, "memory_peak", m->end.peak);
}

static void put_devices(const struct instance *in, struct buf *out)
{
	const struct config *c = &in->cfg;
	const struct buf *f = &in->machine.forwards;

	if (c->net)
		buf_printf(out, "net %s\n", c->net);
	for (size_t at = 0; in->machine.up && at < f->len;) {
		const char *line = f->data + at, *end = memchr(line, '\n', f->len - at);
		size_t len = end ? (size_t)(end - line) : f->len - at;

		buf_printf(out, "forward %.*s\n", (int)len, line);
		at += len + 1;
	}
	if (c->disk)
		buf_printf(out, "disk %s%s\n", c->disk, c->disk_write ? " rw" : "");
}

static void put_status(struct instance *in, struct buf *out)
{
	const struct streams *s = &in->streams;

	buf_printf(out, "name %s\nstate %s\n", in->name, instance_state(in));
	put_kernel(in, out);
	for (uint32_t i = 0; i < in->cfg.nargs; i++)
		buf_printf(out, "arg %s\n", in->cfg.args[i]);
	put_devices(in, out);
	if (in->cfg.timeout_s)
		buf_printf(out, "timeout %llu\n", (unsigned long long)in->cfg.timeout_s);
	if (in->machine.launched)
		put_machine(in, out);
	buf_printf(out, "stdin_bytes %llu\nstdout_bytes %llu\nconsole_bytes %llu\n",
		(unsigned long long)s->in_acked, (unsigned long long)(s->out_base + s->out.len - s->out_head),
		(unsigned long long)s->console.end);
}

/* name, when it began, seconds that it took */
static void put_timeline(const struct instance *in, struct buf *out)
{
	for (unsigned i = 0; i < in->nmarks; i++) {
		const struct mark *m = &in->marks[i];
		uint64_t ns = m->end_ns > m->begin_ns ? m->end_ns - m->begin_ns : 0;

		buf_printf(out, "%s ", m->name);
		put_time(out, m->begin_ns);
		buf_printf(out, " %llu.%06llu\n", (unsigned long long)(ns / 1000000000),
			(unsigned long long)(ns / 1000 % 1000000));
	}
}

void text_of(struct instance *in, enum run_file file, struct buf *out)
{
	const struct buf *config = edit_text(in);

	switch (file) {
	case RUN_CONFIG:
		buf_append(out, config->data ? config->data : "", config->len);
		break;
	case RUN_DEPLOY:
		put_deploy(in, out);
		break;
	case RUN_CTL:
		buf_puts(out, "build stop kill reset reset-hrt pause resume resize clean pristine\n");
		break;
	case RUN_STATE:
		buf_printf(out, "%s\n", instance_state(in));
		break;
	case RUN_STATUS:
		put_status(in, out);
		break;
	case RUN_ERROR:
		buf_append(out, in->error.data ? in->error.data : "", in->error.len);
		break;
	case RUN_TIMELINE:
		put_timeline(in, out);
		break;
	case RUN_SYSCALLS:
		syscalls_text(in, out);
		break;
	case RUN_SYSCALLS_SVG:
		syscalls_svg(in, out);
		break;
	case RUN_PUBLISH:
		if (in->published)
			buf_printf(out, "%s\n", in->published);
		break;
	case RUN_DELEGATE:
		buf_append(out, in->delegate.text.data ? in->delegate.text.data : "", in->delegate.text.len);
		break;
	default:
		break;
	}
}
