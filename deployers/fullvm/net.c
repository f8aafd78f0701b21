/* SPDX-License-Identifier: MIT */
/*
 * net.c: network and disk of the machine. The network is QEMU's user-mode one: no root, no interface of the host; into it
 * lead the ports that the plan forwards. Where a port of the host is to be any free one the kernel of the host chooses,
 * when QEMU binds it; so QEMU is asked which it was, before the machine runs: whoever sees "running" can connect.
 */
#include "deployers/fullvm/vm.h"

#include "cache/base/forward.h"
#include "cache/base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ANSWER_MAX 65536

enum { QMP_PORTS = QMP_MODE };

int vm_disk_open(struct vm *vm, struct why *why)
{
	const char *path = vm->plan.disk;
	struct stat st;

	if (!path)
		return 0;
	vm->disk_fd = open(path, (vm->plan.disk_write ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK);
	if (vm->disk_fd < 0)
		return why_fail_errno(why, -errno, "disk: cannot open %s", path);
	if (fstat(vm->disk_fd, &st) < 0 || (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)))
		return why_fail(why, -EINVAL, "disk: %s is neither a file nor a block device", path);
	return 0;
}

static void add_device(const struct vm *vm, struct arguments *a, const char *kind, const char *rest)
{
	bool pci = vm->machine != MACHINE_MICROVM;

	arguments_format(a, "-device", "virtio-%s-%s,%s", kind, pci ? "pci" : "device", rest);
}

static void add_disk(const struct vm *vm, struct arguments *a)
{
	struct stat st;
	bool block = !fstat(vm->disk_fd, &st) && S_ISBLK(st.st_mode);

	arguments_format(a, "-add-fd", "fd=%d,set=1", vm->disk_fd);
	arguments_format(a, "-blockdev", "driver=%s,node-name=disk,filename=/dev/fdset/1,read-only=%s",
		block ? "host_device" : "file", vm->plan.disk_write ? "off" : "on");
	add_device(vm, a, "blk", "drive=disk");
}

static void add_network(const struct vm *vm, struct arguments *a)
{
	autobuf struct buf b = { 0 };

	buf_printf(&b, "user,id=net,restrict=%s", vm->plan.net == NET_RESTRICTED ? "on" : "off");
	for (size_t i = 0; i < vm->plan.forwards.count; i++) {
		struct forward f;

		if (!forward_parse(PLAN_FORWARD, vm->plan.forwards.item[i], &f, NULL))
			buf_printf(&b, ",hostfwd=%s:%s:%u-:%u", f.udp ? "udp" : "tcp", f.host, f.host_port,
				f.port);
	}
	arguments_pair(a, "-netdev", b.data);
	/* Without a ROM: nobody boots from the network here, and the firmware would take its time over it. */
	add_device(vm, a, "net", vm->machine == MACHINE_MICROVM ? "netdev=net" : "netdev=net,romfile=");
}

void vm_device_arguments(const struct vm *vm, struct arguments *a)
{
	if (vm->plan.net != NET_NONE)
		add_network(vm, a);
	if (vm->plan.disk)
		add_disk(vm, a);
}

/* A row of `info usernet`:  TCP[HOST_FORWARD]  12  127.0.0.1 37123  10.0.2.15 11211  0  0
 * Fills in the port of (f) and returns true if it is that forward's. */
static bool row_is(const char *row, struct forward *f)
{
	char kind[32], host[32], inside[32];
	unsigned host_port, port;

	if (sscanf(row, " %31s %*d %31s %u %31s %u", kind, host, &host_port, inside, &port) != 5)
		return false;
	if (strcmp(kind, f->udp ? "UDP[HOST_FORWARD]" : "TCP[HOST_FORWARD]") || port != f->port ||
		(strcmp(host, f->host) && !(*host == '*' && !strcmp(f->host, "0.0.0.0"))) || !host_port ||
		host_port > UINT16_MAX)
		return false;
	f->host_port = (uint16_t)host_port;
	return true;
}

/* Each row is used once: two forwards may differ in nothing but the port that was found. */
static void find_port(char *table, struct forward *f)
{
	for (char *row = table; row; row = strchr(row, '\n')) {
		row += *row == '\n';
		if (row_is(row, f)) {
			row[strspn(row, " ")] = '-';
			return;
		}
	}
}

/* (table) is NULL where all ports are given. */
static void tell(struct vm *vm, char *table)
{
	autobuf struct buf all = { 0 };
	struct why why = { 0 };

	for (size_t i = 0; i < vm->plan.forwards.count; i++) {
		autobuf struct buf one = { 0 };
		struct forward f;

		if (forward_parse(PLAN_FORWARD, vm->plan.forwards.item[i], &f, &why))
			continue;
		if (table && !f.host_port)
			find_port(table, &f);
		forward_put(&one, &f);
		monitor_event(&vm->mon, "forward %s", one.data);
		buf_printf(&all, "%s\n", one.data);
	}
	if (all.len && io_write_file(vm->mon.dirfd, "forwards", all.data, all.len, 0600, false) < 0)
		log_warn("cannot write the list of forwarded ports");
}

static void go_on(struct vm *vm)
{
	qmp_send(vm->q.qmp, QMP_QUIET, "cont", NULL);
}

static bool asks(const struct vm *vm)
{
	struct forward f;

	for (size_t i = 0; vm->plan.net != NET_NONE && i < vm->plan.forwards.count; i++)
		if (!forward_parse(PLAN_FORWARD, vm->plan.forwards.item[i], &f, NULL) && !f.host_port)
			return true;
	return false;
}

void vm_net_begin(struct vm *vm)
{
	if (!asks(vm)) {
		tell(vm, NULL);
		go_on(vm);
		return;
	}
	qmp_send(vm->q.qmp, QMP_PORTS, "human-monitor-command", "{\"command-line\":\"info usernet\"}");
}

void vm_net_replied(void *arg, uint64_t id, const char *line, const char *error)
{
	struct vm *vm = arg;
	autofree char *table = xcalloc(1, ANSWER_MAX);

	if (id != QMP_PORTS)
		return;
	if (error || !json_find(line, "return", table, ANSWER_MAX)) {
		qemu_kill(&vm->q, "lost", DEPLOY_EXIT_FAILED, "QEMU does not say which ports it forwards");
		return;
	}
	tell(vm, table);
	go_on(vm);
}
