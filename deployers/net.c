/* SPDX-License-Identifier: MIT */
/*
 * net.c: the host's ports that lead into a machine. Where a port of the host is to be any free one the kernel of the host
 * chooses, when QEMU binds it; so QEMU is asked which it was, before the machine runs: whoever sees "running" can connect.
 */
#include "deployers/net.h"

#include "cache/base/forward.h"
#include "cache/base/io.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MAX 65536

enum { QMP_PORTS = QMP_MODE, QMP_GO };

void net_arguments(const struct plan *p, bool pci, struct arguments *a)
{
	autobuf struct buf b = { 0 };

	if (p->net == NET_NONE)
		return;
	buf_printf(&b, "user,id=net,restrict=%s", p->net == NET_RESTRICTED ? "on" : "off");
	for (size_t i = 0; i < p->forwards.count; i++) {
		struct forward f;

		if (!forward_parse(PLAN_FORWARD, p->forwards.item[i], &f, NULL))
			buf_printf(&b, ",hostfwd=%s:%s:%u-:%u", f.udp ? "udp" : "tcp", f.host, f.host_port,
				f.port);
	}
	arguments_pair(a, "-netdev", b.data);
	/* Without a ROM: nobody boots from the network here, and the firmware would take its time over it. */
	arguments_pair(
		a, "-device", pci ? "virtio-net-pci,netdev=net,romfile=" : "virtio-net-device,netdev=net");
}

static bool net_asks(const struct plan *p)
{
	struct forward f;

	for (size_t i = 0; p->net != NET_NONE && i < p->forwards.count; i++)
		if (!forward_parse(PLAN_FORWARD, p->forwards.item[i], &f, NULL) && !f.host_port)
			return true;
	return false;
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
static void tell(struct monitor *m, const struct plan *p, char *table)
{
	autobuf struct buf all = { 0 };
	struct why why = { 0 };

	for (size_t i = 0; i < p->forwards.count; i++) {
		autobuf struct buf one = { 0 };
		struct forward f;

		if (forward_parse(PLAN_FORWARD, p->forwards.item[i], &f, &why))
			continue;
		if (table && !f.host_port)
			find_port(table, &f);
		forward_put(&one, &f);
		monitor_event(m, "forward %s", one.data);
		buf_printf(&all, "%s\n", one.data);
	}
	if (all.len && io_write_file(m->dirfd, "forwards", all.data, all.len, 0600, false) < 0)
		log_warn("cannot write the list of forwarded ports");
}

void net_begin(struct qemu *q, const struct plan *p)
{
	if (!net_asks(p)) {
		tell(q->mon, p, NULL);
		qmp_send(q->qmp, QMP_GO, "cont", NULL);
		return;
	}
	qmp_send(q->qmp, QMP_PORTS, "human-monitor-command", "{\"command-line\":\"info usernet\"}");
}

void net_replied(struct qemu *q, const struct plan *p, uint64_t id, const char *line, const char *error)
{
	autofree char *table = xcalloc(1, ANSWER_MAX);

	if (id != QMP_PORTS)
		return;
	if (error || !json_find(line, "return", table, ANSWER_MAX)) {
		qemu_kill(q, "lost", DEPLOY_EXIT_FAILED, "QEMU does not say which ports it forwards");
		return;
	}
	tell(q->mon, p, table);
	qmp_send(q->qmp, QMP_GO, "cont", NULL);
}
