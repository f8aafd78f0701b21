/* SPDX-License-Identifier: MIT */
/*
 * plan.c: the plan is key = value text; each key is a row that says how to read it.
 */
#include "deployers/plan.h"

#include "cache/base/conf.h"
#include "cache/base/forward.h"
#include "cache/base/io.h"
#include "deployers/deploy.h"
#include "deployers/guest.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define PLAN_SIZE_MAX (1u << 20)

#define MIB (UINT64_C(1) << 20)

static const char *const machine_words[] = { "auto", "microvm", "pc", NULL };
static const char *const accel_words[] = { "kvm", "tcg", NULL };
static const char *const streams_words[] = { "ports", "console", NULL };
static const char *const net_words[] = { "none", "user", "restricted", NULL };
static const char *const console_words[] = { "serial", NULL };

static void list_add(struct plan_list *l, const char *value)
{
	l->item = xrealloc(l->item, (l->count + 1) * sizeof(*l->item));
	l->item[l->count++] = xstrdup(value);
}

static void list_free(struct plan_list *l)
{
	for (size_t i = 0; i < l->count; i++)
		free(l->item[i]);
	free(l->item);
}

static void set_text(char **slot, const char *value)
{
	free(*slot);
	*slot = xstrdup(value);
}

/* The row of a text key, or NULL. */
static char **text_slot(struct plan *p, const char *key)
{
	const struct {
		const char *key;
		char **slot;
	} rows[] = {
		{ PLAN_NAME, &p->name },
		{ PLAN_IMAGE, &p->image },
		{ PLAN_INITRD, &p->initrd },
		{ PLAN_CMDLINE, &p->cmdline },
		{ PLAN_DISK, &p->disk },
		{ PLAN_QEMU, &p->qemu },
		{ PLAN_ROS_IMAGE, &p->ros_image },
		{ PLAN_ROS_INITRD, &p->ros_initrd },
		{ PLAN_ROS_CMDLINE, &p->ros_cmdline },
		{ PLAN_EXEC, &p->exec },
		{ PLAN_ROOT, &p->root },
		{ PLAN_ROOTS, &p->roots },
		{ PLAN_BUILD, &p->build },
		{ PLAN_KERNEL, &p->kernel },
		{ PLAN_APP, &p->app },
		{ PLAN_OUT, &p->out },
		{ PLAN_BWRAP, &p->bwrap },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (!strcmp(key, rows[i].key))
			return rows[i].slot;
	return NULL;
}

static int set_number(struct plan *p, const char *key, const char *value, struct why *why)
{
	uint64_t cpus = 1, ros_cpus = 1, orphan_s = 0;
	const struct {
		const char *key;
		uint64_t *slot;
		uint64_t min, max;
	} rows[] = {
		{ PLAN_MEMORY, &p->memory_bytes, MIB, UINT64_C(1) << 46 },
		{ PLAN_CPUS, &cpus, 1, 4096 },
		{ PLAN_ROS_MEMORY, &p->ros_memory_bytes, MIB, UINT64_C(1) << 46 },
		{ PLAN_ROS_CPUS, &ros_cpus, 1, 4096 },
		{ PLAN_TIMEOUT, &p->timeout_s, 0, UINT32_MAX },
		{ PLAN_ORPHAN, &orphan_s, 0, UINT32_MAX },
		{ PLAN_LIMIT_MEMORY, &p->limit_memory, 16 * MIB, UINT64_C(1) << 46 },
		{ PLAN_LIMIT_DISK, &p->limit_disk, MIB, UINT64_C(1) << 46 },
		{ PLAN_LIMIT_PROCS, &p->limit_procs, 8, 1u << 20 },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strcmp(key, rows[i].key))
			continue;
		int err = conf_number(key, value, rows[i].min, rows[i].max, rows[i].slot, why);
		if (err < 0)
			return err;
		if (rows[i].slot == &cpus)
			p->cpus = (unsigned)cpus;
		if (rows[i].slot == &ros_cpus)
			p->ros_cpus = (unsigned)ros_cpus;
		if (rows[i].slot == &orphan_s)
			p->orphan_ms = orphan_s * 1000;
	}
	return 0;
}

static int set_word(struct plan *p, const char *key, const char *value, struct why *why)
{
	int n = 0;

	if (!strcmp(key, PLAN_MACHINE)) {
		n = conf_word(key, value, machine_words, why);
		p->machine = (enum plan_machine)(n < 0 ? 0 : n);
	} else if (!strcmp(key, PLAN_ACCEL)) {
		n = conf_word(key, value, accel_words, why);
		p->accel = (enum plan_accel)(n < 0 ? 0 : n);
	} else if (!strcmp(key, PLAN_STREAMS)) {
		n = conf_word(key, value, streams_words, why);
		p->streams = (enum plan_streams)(n < 0 ? 0 : n);
	} else if (!strcmp(key, PLAN_NET)) {
		n = conf_word(key, value, net_words, why);
		p->net = (enum plan_net)(n < 0 ? 0 : n);
	} else if (!strcmp(key, PLAN_DISK_WRITE)) {
		return conf_bool(key, value, &p->disk_write, why);
	} else if (!strcmp(key, PLAN_TEE)) {
		return conf_bool(key, value, &p->tee, why);
	} else if (!strcmp(key, PLAN_CONSOLE)) {
		n = conf_word(key, value, console_words, why);
	}
	return n < 0 ? n : 0;
}

static int plan_line(void *arg, unsigned line, const char *key, const char *value, struct why *why)
{
	struct plan *p = arg;
	char **slot = text_slot(p, key);

	(void)line;
	if (slot) {
		set_text(slot, value);
		return 0;
	}
	if (!strcmp(key, PLAN_ARG)) {
		list_add(&p->args, value);
		return 0;
	}
	if (!strcmp(key, PLAN_FILE)) {
		list_add(&p->files, value);
		return 0;
	}
	if (!strcmp(key, PLAN_FORWARD)) {
		struct forward unused;

		list_add(&p->forwards, value);
		return forward_parse(key, value, &unused, why);
	}
	if (!strcmp(key, PLAN_TOOL)) {
		list_add(&p->tools, value);
		return 0;
	}
	int err = set_number(p, key, value, why);
	return err < 0 ? err : set_word(p, key, value, why);
}

int plan_parse(const char *text, size_t len, struct plan *p, struct why *why)
{
	*p = (struct plan){
		.cpus = 1,
		.memory_bytes = 64 * MIB,
		.ros_cpus = 1,
		.ros_memory_bytes = 128 * MIB,
		.accel = ACCEL_TCG,
		.orphan_ms = DEPLOY_ORPHAN_MS,
		.limit_memory = 4096 * MIB,
		.limit_disk = 2048 * MIB,
		.limit_procs = 512,
	};
	p->name = xstrdup("kernel");
	p->cmdline = xstrdup("");
	p->qemu = xstrdup("qemu-system-x86_64");
	p->bwrap = xstrdup("bwrap");
	int err = conf_parse(text, len, plan_line, p, why);
	if (err < 0) {
		why_prefix(why, "plan");
		plan_free(p);
	}
	return err;
}

int plan_read(int dirfd, struct plan *p, struct why *why)
{
	return plan_read_at(dirfd, "plan", p, why);
}

int plan_read_at(int dirfd, const char *path, struct plan *p, struct why *why)
{
	autobuf struct buf text = { 0 };
	int err = io_read_file(dirfd, path, PLAN_SIZE_MAX, &text);

	if (err < 0)
		return why_fail_errno(why, err, "cannot read the plan of this instance");
	return plan_parse(text.data ? text.data : "", text.len, p, why);
}

void plan_free(struct plan *p)
{
	free(p->name);
	free(p->image);
	free(p->initrd);
	free(p->cmdline);
	free(p->qemu);
	free(p->ros_image);
	free(p->ros_initrd);
	free(p->ros_cmdline);
	free(p->exec);
	free(p->root);
	free(p->roots);
	list_free(&p->files);
	free(p->disk);
	list_free(&p->forwards);
	free(p->build);
	free(p->kernel);
	free(p->app);
	free(p->out);
	free(p->bwrap);
	list_free(&p->args);
	list_free(&p->tools);
	*p = (struct plan){ 0 };
}

static bool plain(const char *arg)
{
	if (!*arg)
		return false;
	for (; *arg; arg++)
		if (!isalnum((unsigned char)*arg) && !strchr("_./:=@%+,-", *arg))
			return false;
	return true;
}

static void put_argument(struct buf *out, const char *arg)
{
	if (plain(arg)) {
		buf_puts(out, arg);
		return;
	}
	buf_puts(out, "\"");
	for (const unsigned char *c = (const unsigned char *)arg; *c; c++) {
		if (*c == '"' || *c == '\\')
			buf_printf(out, "\\%c", *c);
		else if (*c < 0x20 || *c > 0x7e)
			buf_printf(out, "\\x%02x", *c);
		else
			buf_append(out, c, 1);
	}
	buf_puts(out, "\"");
}

int plan_command_line(const struct plan *p, struct buf *out, struct why *why)
{
	size_t start = out->len;

	for (const unsigned char *c = (const unsigned char *)p->cmdline; *c; c++)
		if (*c < 0x20 && *c != '\t')
			return why_fail(why, -EINVAL,
				"cmdline holds a control byte (0x%02x): a kernel's command line is one line "
				"of text",
				*c);
	buf_puts(out, p->cmdline);
	if (p->args.count)
		buf_puts(out, *p->cmdline ? " --" : "--");
	for (size_t i = 0; i < p->args.count; i++) {
		buf_puts(out, " ");
		put_argument(out, p->args.item[i]);
	}
	if (out->len - start > GUEST_CMDLINE_MAX)
		return why_fail(why, -E2BIG,
			"cmdline and arguments make %zu bytes; a kernel takes %u: use fewer arguments, or "
			"stdin",
			out->len - start, GUEST_CMDLINE_MAX);
	return 0;
}
