/* SPDX-License-Identifier: MIT */
/*
 * cokernel_rings.c: what the agent hears while a kernel runs: frames and packets, and rings whose indices the kernel writes. All of
 * it may be nonsense. (The kernel's page tables are the module's affair: deploy/cokernel.sh.)
 */
#include "deployers/cokernel/agent/parts.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static unsigned notes, messages;
static char noted[512];

void note(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(noted, sizeof(noted), fmt, ap);
	va_end(ap);
	notes++;
}

int thread_start(void *(*run)(void *), void *argument)
{
	(void)run, (void)argument;
	return -EAGAIN;
}

void hrt_kick(struct hrt *h, uint32_t apic)
{
	(void)h, (void)apic;
}

/* --- frames ------------------------------------------------------------------------------------------------------- */

static struct frame f;

/* What wire_read makes of (bytes), of which nothing more comes. */
static int reads(const void *bytes, size_t len)
{
	int p[2];

	assert_int_equal(pipe(p), 0);
	assert_int_equal(write(p[1], bytes, len), (ssize_t)len);
	close(p[1]);
	int got = wire_read(p[0], &f);
	close(p[0]);
	return got;
}

static void refuses_frames(void **state)
{
	struct {
		struct agent_frame head;
		char body[8];
	} good = { { AGENT_MAGIC, AGENT_REV, AGENT_STOP, 8, 0 }, "1234567" }, x;

	(void)state;
	assert_int_equal(reads(&good, sizeof(good)), 1);
	assert_int_equal(f.type, AGENT_STOP);
	assert_int_equal(f.body[8], 0);
	assert_int_equal(reads(&good, 0), 0);
	for (size_t len = 1; len < sizeof(good); len++)
		assert_int_equal(reads(&good, len), -EPROTO);
	x = good, x.head.magic++;
	assert_int_equal(reads(&x, sizeof(x)), -EPROTO);
	x = good, x.head.rev++;
	assert_int_equal(reads(&x, sizeof(x)), -EPROTO);
	x = good, x.head.len = AGENT_FRAME_MAX + 1;
	assert_int_equal(reads(&x, sizeof(x)), -EMSGSIZE);
	x = good, x.head.len = UINT32_MAX;
	assert_int_equal(reads(&x, sizeof(x)), -EMSGSIZE);
	x = good, x.head.len = AGENT_FRAME_MAX;
	assert_int_equal(reads(&x, sizeof(x)), -EPROTO);
}

static int takes(const void *bytes, size_t len)
{
	int p[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, p), 0);
	assert_int_equal(send(p[1], bytes, len, 0), (ssize_t)len);
	int got = wire_take(p[0], &f);
	close(p[0]);
	close(p[1]);
	return got;
}

static void refuses_packets(void **state)
{
	struct agent_frame head[2] = { { AGENT_MAGIC, AGENT_REV, AGENT_LOG, sizeof(*head), 0 } };
	int p[2];

	(void)state;
	assert_int_equal(takes(head, sizeof(head)), 1);
	for (size_t len = 1; len < sizeof(head); len++)
		assert_int_equal(takes(head, len), -EPROTO);
	head->len--;
	assert_int_equal(takes(head, sizeof(head)), -EPROTO);
	head->len = UINT32_MAX;
	assert_int_equal(takes(head, sizeof(head)), -EPROTO);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, p), 0);
	static char large[AGENT_FRAME_MAX + 1];
	assert_int_equal(wire_post(p[0], AGENT_LOG, large, sizeof(large)), -EMSGSIZE);
	close(p[0]);
	assert_int_equal(wire_take(p[1], &f), 0);
	close(p[1]);
}

/* --- rings -------------------------------------------------------------------------------------------------------- */

#define RING 4096u

/* Behind the last ring is nothing of ours: whoever reads on is found out by the sanitizer. */
struct area {
	struct guest_cokernel head;
	uint8_t data[GUEST_RINGS][RING];
};

static struct area *area_begin(struct hrt *h)
{
	struct area *a = calloc(1, sizeof(*a));

	assert_non_null(a);
	for (uint32_t r = 0; r < GUEST_RINGS; r++) {
		a->head.rings[r].bytes = RING;
		a->head.rings[r].offset = (uint32_t)offsetof(struct area, data) + r * RING;
	}
	*h = (struct hrt){ .device = -1, .area = &a->head };
	notes = messages = 0;
	return a;
}

static void on_message(const struct guest_message *m)
{
	(void)m;
	messages++;
}

static void drains_nonsense(void **state)
{
	static const uint64_t odd[] = { 0, 1, 15, 16, RING - 1, RING, RING + 1, 1ull << 32, 1ull << 63,
		UINT64_MAX };
	int out = open("/dev/null", O_WRONLY);

	(void)state;
	srandom(1);
	for (int n = 0; n < 2000; n++) {
		struct hrt h;
		struct area *a = area_begin(&h);
		struct guest_ring *rings = a->head.rings;

		rings_open(&h, out, on_message);
		for (int k = 0; k < 4; k++) {
			for (int r = 0; r < GUEST_RINGS; r++) {
				rings[r].head = odd[(size_t)random() % 10] + (uint64_t)random() % 3;
				rings[r].tail = odd[(size_t)random() % 10] + (uint64_t)random() % 3;
				rings[r].bytes = (uint32_t)random(); /* read before the kernel ran */
				rings[r].offset = (uint32_t)random();
			}
			rings_drain(0);
			rings_send(GUEST_STOP, 0);
			assert_true(notes < 20);
		}
		free(a);
	}
	close(out);
}

static void drains_all(void **state)
{
	struct guest_message m = { GUEST_MESSAGE_MAGIC, GUEST_REV, GUEST_HELLO, 1 };
	char said[RING + 1] = "";
	struct hrt h;
	int p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	struct area *a = area_begin(&h);
	rings_open(&h, p[1], on_message);
	memset(a->data[GUEST_CONSOLE_OUT], 'x', RING);
	a->head.rings[GUEST_CONSOLE_OUT].head = RING;
	for (int i = 0; i < 3; i++)
		memcpy(a->data[GUEST_MESSAGES_OUT] + (size_t)i * sizeof(m), &m, sizeof(m));
	a->head.rings[GUEST_MESSAGES_OUT].head = 3 * sizeof(m);
	rings_drain(0);
	assert_int_equal(read(p[0], said, sizeof(said)), RING);
	assert_int_equal(messages, 3);
	assert_int_equal(notes, 0);
	assert_int_equal(a->head.rings[GUEST_CONSOLE_OUT].tail, RING);

	/* More than a ring has: skipped, and said once. What follows is read. */
	a->head.rings[GUEST_CONSOLE_OUT].head += RING + 1;
	rings_drain(0);
	assert_int_equal(notes, 1);
	assert_non_null(strstr(noted, "4097 bytes are in a ring of 4096"));
	a->data[GUEST_CONSOLE_OUT][1] = 'y';
	a->head.rings[GUEST_CONSOLE_OUT].head++;
	rings_drain(0);
	assert_int_equal(read(p[0], said, sizeof(said)), 1);
	assert_int_equal(said[0], 'y');

	/* A kernel that does not read its messages loses one, which is told; the rest go on. */
	notes = 0;
	for (size_t i = 0; i < RING / sizeof(m) + 1; i++)
		rings_send(GUEST_RESIZE, i);
	assert_int_equal(notes, 1);
	assert_int_equal(a->head.rings[GUEST_MESSAGES_IN].head, RING);
	close(p[0]);
	close(p[1]);
	free(a);
}

static struct guest_ring *printing;

static void on_message_while_printing(const struct guest_message *m)
{
	(void)m;
	messages += printing->tail < printing->head;
}

/* A kernel that never ceases to print is heard all the same: here between the two pieces of a ring's bytes. */
static void hears_what_prints(void **state)
{
	struct guest_message m = { GUEST_MESSAGE_MAGIC, GUEST_REV, GUEST_EXIT, 0 };
	int out = open("/dev/null", O_WRONLY);
	struct hrt h;
	struct area *a = area_begin(&h);

	(void)state;
	rings_open(&h, out, on_message_while_printing);
	printing = &a->head.rings[GUEST_CONSOLE_OUT];
	printing->head = 100;
	rings_drain(0);
	printing->head = 100 + RING;
	memcpy(a->data[GUEST_MESSAGES_OUT], &m, sizeof(m));
	a->head.rings[GUEST_MESSAGES_OUT].head = sizeof(m);
	rings_drain(0);
	assert_int_equal(printing->tail, printing->head);
	assert_int_equal(messages, 1);
	close(out);
	free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_frames),
		cmocka_unit_test(refuses_packets),
		cmocka_unit_test(drains_nonsense),
		cmocka_unit_test(drains_all),
		cmocka_unit_test(hears_what_prints),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
