/* SPDX-License-Identifier: MIT */
/*
 * rings.c: the console and the messages of the HRT. One thread takes what comes out; what was printed before EXIT may come behind it,
 * but is out before the end is told (rings_drain). Another puts in what is typed.
 *
 * Indices that the HRT writes are only ever differences from our own: one that is out of range is said once, and the
 * ring begins anew there.
 */
#include "deployers/cokernel/agent/parts.h"
#include "deployers/cokernel/agent/tables.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define SPIN_US 30

struct out { /* a ring that we read */
	uint8_t *data;
	struct guest_ring *ring;
	uint64_t tail, bytes;
	bool complained;
};

struct in { /* a ring that we write */
	uint8_t *data;
	struct guest_ring *ring;
	uint64_t head, bytes;
};

static struct hrt *hrt;
static int port;
static int last_ms = -1; /* how long the host is waited for; -1: for ever */
static struct out console, messages;
static struct in typed, orders;
static void (*message_handler)(const struct guest_message *m);
static pthread_mutex_t draining = PTHREAD_MUTEX_INITIALIZER, sending = PTHREAD_MUTEX_INITIALIZER;

static void open_out(struct out *o, int number)
{
	struct guest_ring *r = &hrt->area->rings[number];

	*o = (struct out){ .data = (uint8_t *)hrt->area + r->offset, .ring = r, .bytes = r->bytes };
}

static void open_in(struct in *i, int number)
{
	struct guest_ring *r = &hrt->area->rings[number];

	*i = (struct in){ .data = (uint8_t *)hrt->area + r->offset, .ring = r, .bytes = r->bytes };
}

static void taken(struct out *o, uint64_t n)
{
	o->tail += n;
	__atomic_store_n(&o->ring->tail, o->tail, __ATOMIC_RELEASE);
}

static uint64_t waiting(struct out *o)
{
	uint64_t n = __atomic_load_n(&o->ring->head, __ATOMIC_ACQUIRE) - o->tail;

	if (n <= o->bytes)
		return n;
	if (!o->complained)
		note("the kernel says that %llu bytes are in a ring of %llu: they are skipped",
			(unsigned long long)n, (unsigned long long)o->bytes);
	o->complained = true;
	taken(o, n);
	return 0;
}

/* While the HRT runs a host that does not read holds it up; when it has stopped it is not waited for without end. */
static bool can_write(void)
{
	struct pollfd p = { .fd = port, .events = POLLOUT };

	for (int waited = 0; port >= 0; waited += 100) {
		int limit = __atomic_load_n(&last_ms, __ATOMIC_RELAXED);

		if (poll(&p, 1, 100) > 0)
			return true;
		if (limit >= 0 && waited >= limit)
			return false;
	}
	return false;
}

/* Bytes that need no second try: written, or such that cannot be, which is no reason to stop. */
static size_t put_out(const uint8_t *from, size_t len)
{
	ssize_t put = can_write() ? write(port, from, len) : (ssize_t)len;

	if (put >= 0 || (errno != EINTR && errno != EAGAIN && errno != ENOMEM))
		return put > 0 ? (size_t)put : len;
	usleep(1000); /* Linux has no memory for it just now */
	return 0;
}

static bool drain_console(void)
{
	uint64_t n = waiting(&console), at = console.tail & (console.bytes - 1);

	if (!n)
		return false;
	if (n > console.bytes - at)
		n = console.bytes - at;
	taken(&console, put_out(console.data + at, n));
	return true;
}

static bool drain_messages(void)
{
	struct guest_message m;

	if (waiting(&messages) < sizeof(m))
		return false;
	memcpy(&m, messages.data + (messages.tail & (messages.bytes - 1) & ~(sizeof(m) - 1)), sizeof(m));
	taken(&messages, sizeof(m));
	message_handler(&m);
	return true;
}

static bool drain(void)
{
	pthread_mutex_lock(&draining);
	bool any = drain_console();
	any |= drain_messages(); /* also while the kernel never ceases to print */
	pthread_mutex_unlock(&draining);
	return any;
}

static bool drain_or_spin(void)
{
	uint64_t until = tsc_now() + hrt->info.tsc_khz * SPIN_US / 1000;

	do {
		if (drain())
			return true;
		__builtin_ia32_pause();
	} while (tsc_now() < until);
	return false;
}

static void *take_out(void *unused)
{
	struct cokernel_wait w = { 0, 1000 };

	for (;;) {
		__atomic_store_n(&hrt->area->rings_asleep, 0, __ATOMIC_RELAXED);
		while (drain_or_spin())
			;
		__atomic_store_n(&hrt->area->rings_asleep, 1, __ATOMIC_SEQ_CST);
		if (!drain() && ioctl(hrt->device, COKERNEL_WAIT, &w) < 0 && errno == ECANCELED)
			return unused;
	}
}

/* Puts in as much of (data) as there is room for, in pieces of (unit) bytes; a tail that cannot be is a full ring. */
static size_t put_in(struct in *i, const uint8_t *data, size_t len, size_t unit)
{
	uint64_t used = i->head - __atomic_load_n(&i->ring->tail, __ATOMIC_ACQUIRE);
	size_t n = 0;

	if (used > i->bytes)
		return 0;
	for (; n + unit <= len && used + n + unit <= i->bytes; n += unit)
		for (size_t k = 0; k < unit; k++)
			i->data[(i->head + n + k) & (i->bytes - 1)] = data[n + k];
	i->head += n;
	__atomic_store_n(&i->ring->head, i->head, __ATOMIC_RELEASE);
	if (n)
		hrt_kick(hrt, hrt->lease.first_apic);
	return n;
}

/* While the HRT does not read its console nothing more is taken from the host. */
static void *put_typed(void *unused)
{
	uint8_t buffer[1024];

	for (;;) {
		ssize_t n = read(port, buffer, sizeof(buffer));

		if (n <= 0) /* nobody is at the other end now */
			usleep(50000);
		for (ssize_t done = 0; done < n;) {
			size_t put = put_in(&typed, buffer + done, (size_t)(n - done), 1);

			done += (ssize_t)put;
			if (!put)
				usleep(2000);
		}
	}
	return unused;
}

void rings_send(unsigned type, uint64_t value)
{
	struct guest_message m = { GUEST_MESSAGE_MAGIC, GUEST_REV, (uint16_t)type, value };

	pthread_mutex_lock(&sending);
	if (put_in(&orders, (const uint8_t *)&m, sizeof(m), sizeof(m)) != sizeof(m))
		note("the kernel does not read its messages: one is lost");
	pthread_mutex_unlock(&sending);
}

void rings_drain(int wait_ms)
{
	__atomic_store_n(&last_ms, wait_ms, __ATOMIC_RELAXED);
	for (unsigned n = 0; n < 10000 && drain(); n++)
		; /* a CPU that could not be stopped may go on writing */
}

void rings_open(struct hrt *h, int console_port, void (*on_message)(const struct guest_message *m))
{
	hrt = h;
	port = console_port;
	message_handler = on_message;
	open_out(&console, GUEST_CONSOLE_OUT);
	open_out(&messages, GUEST_MESSAGES_OUT);
	open_in(&typed, GUEST_CONSOLE_IN);
	open_in(&orders, GUEST_MESSAGES_IN);
}

int rings_start(void)
{
	int err = thread_start(take_out, NULL);

	if (!err && port >= 0)
		err = thread_start(put_typed, NULL);
	return err;
}
