/* SPDX-License-Identifier: MIT */
/*
 * streams.c: stdin, stdout and the control port (guest.h sections 3 and 4) on a virtio console with several
 * ports.
 *
 * The device has one pair of queues a port, and a pair for talk about ports: which there are, what they are
 * called, who has opened them. Port numbers are not fixed, so at start we let the device introduce its ports.
 *
 * Waiting is always the same loop: take back the interrupt, look, and if there is nothing, halt. A kernel
 * that waits costs no host CPU time.
 */
#include "virtio.h"

#define FEATURE_MULTIPORT (1ull << 1)
#define CONFIG_MAX_PORTS  4 /* offset of a 32-bit number */
#define PORTS		  32

enum { CONTROL_RECEIVE = 2, CONTROL_TRANSMIT = 3 };
enum { DEVICE_READY = 0, PORT_ADD = 1, PORT_READY = 3, PORT_OPEN = 6, PORT_NAME = 7 };

struct port_message {
	uint32_t port;
	uint16_t event, value;
	char name[56]; /* PORT_NAME; not always ended with NUL */
};
#define PORT_MESSAGE_LEN 8

struct port {
	bool there; /* the device has told its name */
	bool open;  /* its queues may be used */
	bool ended; /* the host has closed it */
	uint32_t id;
	struct virtio_queue rx, tx;
};

#define RX_LEN	 4096  /* QEMU hands over 4 KiB at a time, each in a buffer of its own */
#define TX_LEN	 65536 /* and takes any size */
#define TX_SLOTS 8

static struct virtio device;
static struct virtio_queue control_rx, control_tx;
static struct port_message *inbox;
static struct port in, out, control;

static char (*in_buf)[RX_LEN];
static struct {
	int slot; /* being read; -1: none */
	uint32_t at, len;
	unsigned returned; /* slots given back since the last kick */
} reading = { .slot = -1 };

static char (*out_buf)[TX_LEN];
static unsigned out_idle = TX_SLOTS, out_free[TX_SLOTS];

static struct {
	unsigned columns, rows; /* 0: not told */
	bool changed;
} terminal;

static struct guest_message *messages; /* of the control port: one to send, the others to receive */

/* Sends one buffer and waits until the device has it back. For small and rare things. */
static void send(struct virtio_queue *q, void *buf, size_t len)
{
	uint32_t unused;

	virtio_put(q, 0, buf, len, false);
	virtio_kick(q);
	for (;;) {
		device_ack(&device);
		if (virtio_get(q, &unused) >= 0)
			return;
		device_wait();
	}
}

static void tell_device(uint32_t port, uint16_t event, uint16_t value)
{
	static struct port_message m;

	m = (struct port_message){ .port = port, .event = event, .value = value };
	send(&control_tx, &m, PORT_MESSAGE_LEN);
}

static struct port *port_named(const char *name, size_t len)
{
	static const struct {
		const char *name;
		struct port *port;
	} known[] = { { GUEST_PORT_STDIN, &in }, { GUEST_PORT_STDOUT, &out },
		{ GUEST_PORT_CONTROL, &control } };

	while (len && !name[len - 1])
		len--;
	for (unsigned i = 0; i < 3; i++)
		if (len == strlen(known[i].name) && !memcmp(name, known[i].name, len))
			return known[i].port;
	return NULL;
}

static void port_heard(const struct port_message *m, uint32_t len)
{
	struct port *p;

	if (len < PORT_MESSAGE_LEN || m->port >= PORTS)
		return;
	if (m->event == PORT_ADD)
		tell_device(m->port, PORT_READY, 1);
	if (m->event == PORT_NAME && (p = port_named(m->name, len - PORT_MESSAGE_LEN))) {
		p->there = true;
		p->id = m->port;
	}
	if (m->event == PORT_OPEN && in.there && m->port == in.id)
		in.ended = !m->value;
}

static void control_poll(void)
{
	uint32_t len;
	bool any = false;
	int slot;

	while ((slot = virtio_get(&control_rx, &len)) >= 0) {
		port_heard(&inbox[slot], len);
		virtio_put(&control_rx, (unsigned)slot, &inbox[slot], sizeof(*inbox), true);
		any = true;
	}
	if (any)
		virtio_kick(&control_rx);
}

/* Being asked to stop ends this kernel as SIGTERM does a program. */
static void message_heard(const struct guest_message *m)
{
	if (m->magic != GUEST_MESSAGE_MAGIC || m->rev != GUEST_REV)
		return;
	if (m->type == GUEST_STOP)
		exit(128 + 15);
	if (m->type == GUEST_RESIZE) {
		terminal.columns = (unsigned)(m->value >> 16 & 0xffff);
		terminal.rows = (unsigned)(m->value & 0xffff);
		terminal.changed = true;
	}
}

static void messages_poll(void)
{
	uint32_t len;
	int slot;

	while (control.open && (slot = virtio_get(&control.rx, &len)) >= 0) {
		struct guest_message m = messages[slot + 1];

		virtio_put(&control.rx, (unsigned)slot, &messages[slot + 1], sizeof(m), true);
		virtio_kick(&control.rx);
		if (len == sizeof(m))
			message_heard(&m);
	}
}

static void tell_host(uint16_t type, uint64_t value)
{
	messages[0] = (struct guest_message){ GUEST_MESSAGE_MAGIC, GUEST_REV, type, value };
	send(&control.tx, &messages[0], sizeof(messages[0]));
}

static void *need(size_t len)
{
	void *p = malloc(len);

	if (!p)
		panic("too little memory for the streams");
	return p;
}

/* The queues of all ports must exist before the device starts, and only then do ports say their names. So all
 * of them are made, and port_take picks. */
static struct virtio_queue *queues;

static bool port_take(struct port *p)
{
	if (!p->there)
		return false;
	p->rx = queues[p->id ? 2 + 2 * p->id : 0];
	p->tx = queues[p->id ? 3 + 2 * p->id : 1];
	return p->rx.slots && p->tx.slots;
}

/* (buf) has a piece of (each) bytes for every slot of the receive queue. */
static void port_open(struct port *p, void *buf, size_t each)
{
	for (unsigned i = 0; buf && i < p->rx.slots; i++)
		virtio_put(&p->rx, i, (char *)buf + i * each, each, true);
	tell_device(p->id, PORT_OPEN, 1);
	if (buf)
		virtio_kick(&p->rx);
	p->open = true;
}

static void start_device(void)
{
	uint32_t ports = *(volatile uint32_t *)(device.config + CONFIG_MAX_PORTS);

	ports = ports < PORTS ? ports : PORTS;
	queues = need((2 * PORTS + 2) * sizeof(*queues));
	memset(queues, 0, (2 * PORTS + 2) * sizeof(*queues));
	for (uint16_t i = 0; i < 2 * ports + 2; i++)
		virtio_queue_init(&device, &queues[i], i);
	control_rx = queues[CONTROL_RECEIVE];
	control_tx = queues[CONTROL_TRANSMIT];
	if (!control_rx.slots || !control_tx.slots)
		panic("the virtio console has no control queues");
	virtio_ready(&device);
	inbox = need(control_rx.slots * sizeof(*inbox));
	for (unsigned i = 0; i < control_rx.slots; i++)
		virtio_put(&control_rx, i, &inbox[i], sizeof(*inbox), true);
	virtio_kick(&control_rx);
}

void streams_init(void)
{
	if (!virtio_find(&device, VIRTIO_ID_CONSOLE) || !virtio_begin(&device, FEATURE_MULTIPORT))
		return; /* level 0: console only */
	start_device();
	/* The device answers in its receive queue before it gives back what we sent, so after each
	 * tell_device its answer is there to be polled, and when the poll ends we know all ports. */
	tell_device(0, DEVICE_READY, 1);
	control_poll();
	if (port_take(&in)) {
		in_buf = need(in.rx.slots * sizeof(*in_buf));
		port_open(&in, in_buf, sizeof(*in_buf));
	}
	if (port_take(&out)) {
		out_buf = need(TX_SLOTS * sizeof(*out_buf));
		for (unsigned i = 0; i < TX_SLOTS; i++)
			out_free[i] = i;
		port_open(&out, NULL, 0);
	}
	if (port_take(&control)) {
		messages = need((1u + control.rx.slots) * sizeof(*messages));
		port_open(&control, messages + 1, sizeof(*messages));
		tell_host(GUEST_HELLO, 1);
	}
}

/* Without the device there is only the serial line to look at. */
void streams_poll(void)
{
	if (!device.transport || !messages)
		return;
	device_ack(&device);
	control_poll();
	messages_poll();
}

bool streams_interrupted(void)
{
	return device.transport && virtio_ack(&device);
}

static void give_back(int slot)
{
	virtio_put(&in.rx, (unsigned)slot, in_buf[slot], RX_LEN, true);
	if (++reading.returned >=
		in.rx.slots / 2u) { /* seldom enough: each kick leaves the virtual machine */
		virtio_kick(&in.rx);
		reading.returned = 0;
	}
}

/* Copies what has arrived, as far as it fits. */
static size_t take(char *buf, size_t len)
{
	size_t done = 0, n;

	while (done < len) {
		if (reading.slot < 0) {
			reading.slot = virtio_get(&in.rx, &reading.len);
			reading.at = 0;
			if (reading.slot < 0)
				break;
			if (reading.len > RX_LEN)
				panic("the virtio console wrote %u bytes into %u", reading.len, RX_LEN);
		}
		n = reading.len - reading.at;
		n = n < len - done ? n : len - done;
		memcpy(buf + done, in_buf[reading.slot] + reading.at, n);
		done += n;
		reading.at += (uint32_t)n;
		if (reading.at == reading.len) {
			give_back(reading.slot);
			reading.slot = -1;
		}
	}
	return done;
}

size_t read_stdin(void *buf, size_t len)
{
	size_t n;
	bool ended;

	if (!in.open || !len)
		return 0;
	for (bool first = true;; first = false) {
		if (!first)
			device_ack(&device);
		control_poll();
		messages_poll();
		ended = in.ended; /* then all bytes are in the queue already: look at them after this */
		n = take(buf, len);
		if (n || ended)
			return n;
		if (!first)
			device_wait();
	}
}

bool stdin_readable(void)
{
	if (!in.open)
		return true; /* its end */
	virtio_ack(&device);
	control_poll();
	messages_poll();
	return in.ended || reading.slot >= 0 || virtio_used(&in.rx);
}

bool console_size(unsigned *columns, unsigned *rows)
{
	*columns = terminal.columns;
	*rows = terminal.rows;
	return terminal.columns && terminal.rows;
}

size_t read_console(void *buf, size_t len)
{
	for (;;) {
		size_t n;

		streams_poll();
		n = console_read(buf, len);
		if (n || terminal.changed || !len) {
			terminal.changed = terminal.changed && n;
			return n;
		}
		device_wait();
	}
}

static void out_collect(void)
{
	uint32_t len;
	int slot;

	while ((slot = virtio_get(&out.tx, &len)) >= 0)
		out_free[out_idle++] = (unsigned)slot;
}

/* Until at least (want) transmit buffers are ours. */
static void out_wait(unsigned want)
{
	for (bool first = true;; first = false) {
		if (!first)
			device_ack(&device);
		out_collect();
		if (out_idle >= want)
			return;
		control_poll();
		messages_poll();
		if (!first)
			device_wait();
	}
}

void write_stdout(const void *buf, size_t len)
{
	const char *p = buf;

	if (!out.open) {
		console_write(buf, len);
		return;
	}
	while (len) {
		size_t n = len < TX_LEN ? len : TX_LEN;
		unsigned slot;

		out_wait(1);
		slot = out_free[--out_idle];
		memcpy(out_buf[slot], p, n);
		virtio_put(&out.tx, slot, out_buf[slot], n, false);
		virtio_kick(&out.tx);
		p += n;
		len -= n;
	}
}

void streams_exit(int status)
{
	bool told = !control.open;

	control.open = false; /* no more messages: we are ending; and no second try, should this one fail */
	if (out.open)
		out_wait(TX_SLOTS);
	if (told)
		return;
	tell_host(GUEST_EXIT, (uint64_t)status);
	for (;;)
		__asm__ volatile("cli; hlt"); /* the host ends the machine */
}
