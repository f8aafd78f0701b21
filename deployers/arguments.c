/* SPDX-License-Identifier: MIT */
/*
 * arguments.c: the list of texts behind execvp.
 */
#include "deployers/arguments.h"

#include "cache/base/buf.h"

#include <stdarg.h>
#include <stdlib.h>

#define SANDBOX "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"

static void add(struct arguments *a, char *text)
{
	a->item = xrealloc(a->item, (a->count + 2) * sizeof(*a->item));
	a->item[a->count++] = text;
	a->item[a->count] = NULL;
}

void arguments_add(struct arguments *a, const char *text)
{
	add(a, xstrdup(text));
}

void arguments_pair(struct arguments *a, const char *option, const char *value)
{
	arguments_add(a, option);
	arguments_add(a, value);
}

void arguments_format(struct arguments *a, const char *option, const char *fmt, ...)
{
	autobuf struct buf b = { 0 };
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&b, fmt, ap);
	va_end(ap);
	arguments_add(a, option);
	add(a, buf_steal(&b));
}

void arguments_free(struct arguments *a)
{
	for (size_t i = 0; i < a->count; i++)
		free(a->item[i]);
	free(a->item);
	*a = (struct arguments){ 0 };
}

void arguments_qemu(struct arguments *a, const char *qemu)
{
	arguments_add(a, qemu);
	arguments_add(a, "-nodefaults");
	arguments_add(a, "-no-user-config");
	arguments_add(a, "-no-reboot"); /* a triple fault ends the machine: it would be told nowhere else */
	arguments_add(a, "-S"); /* until QMP says cont: else what ends at once ends before QMP can tell how */
	arguments_pair(a, "-display", "none");
	arguments_pair(a, "-sandbox", SANDBOX);
}

/* arch-capabilities tells guests which mitigations they may leave out; under nested KVM setting it can fail, and with it
 * QEMU. Without it a guest is only more careful. TCG makes a repeated string instruction element by element, so one byte
 * costs what eight would: a guest that is not told of "fast" bytes (erms, fsrm) clears pages and copies by words. */
void arguments_cpu(struct arguments *a, bool kvm, const char *translator)
{
	arguments_pair(a, "-accel", kvm ? "kvm" : translator);
	arguments_pair(a, "-cpu", kvm ? "host,arch-capabilities=off" : "max,-erms,-fsrm");
}

void arguments_socket(struct arguments *a, const char *id, int fd)
{
	arguments_format(a, "-chardev", "socket,id=%s,fd=%d", id, fd);
}

void arguments_port(struct arguments *a, unsigned nr, const char *id, int fd, const char *name)
{
	if (fd < 0)
		return;
	arguments_socket(a, id, fd);
	/* With an id QEMU tells when the kernel opens the port (VSERPORT_CHANGE). */
	arguments_format(a, "-device",
		"virtserialport,bus=streams.0,nr=%u,id=" VM_PORT_ID "%s,chardev=%s,name=%s", nr, id, id,
		name);
}
