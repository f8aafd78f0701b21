/* SPDX-License-Identifier: MIT */
/* base_chan.c: frames arrive whole and in order, whatever the socket and the peer do. */
#include "base_tmp.h"

#include "cache/base/chan.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

#define LIMIT_MS 60000

static struct loop *loop;

struct end {
	struct chan *chan;
	int frames;
	size_t bytes;
	struct frame last;
	char first[64]; /* of the last payload */
	int closed, err;
	int stop_at;  /* frames after which the loop stops */
	bool free_it; /* at the first frame, or in closed() */
	bool echo;
};

static struct end a, b;
static int sockets[2];

static void too_late(void *arg)
{
	(void)arg;
	fail_msg("nothing came: a %d frames, b %d frames", a.frames, b.frames);
}

static void stop_now(void *arg)
{
	(void)arg;
	loop_stop(loop);
}

static void got_frame(void *arg, const struct frame *f, const void *payload)
{
	struct end *e = arg;

	e->frames++;
	e->bytes += f->size;
	e->last = *f;
	memset(e->first, 0, sizeof(e->first));
	if (f->size)
		memcpy(e->first, payload, f->size < sizeof(e->first) - 1 ? f->size : sizeof(e->first) - 1);
	if (e->echo)
		chan_send(e->chan, f->type, f->stream, f->offset, payload, f->size);
	if (e->free_it) {
		chan_free(e->chan);
		e->chan = NULL;
	}
	if (e->frames == e->stop_at)
		loop_stop(loop);
}

static void got_closed(void *arg, int err)
{
	struct end *e = arg;

	e->closed++;
	e->err = err;
	if (e->free_it) {
		chan_free(e->chan);
		e->chan = NULL;
	}
	loop_stop(loop);
}

static int setup(void **state)
{
	(void)state;
	a = b = (struct end){ 0 };
	loop = loop_new();
	loop_after(loop, LIMIT_MS, too_late, NULL);
	if (io_socketpair(sockets) < 0)
		return -1;
	a.chan = chan_new(loop, sockets[0], got_frame, got_closed, &a);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	chan_free(a.chan);
	chan_free(b.chan);
	loop_free(loop);
	return 0;
}

static void both_ends(void)
{
	b.chan = chan_new(loop, sockets[1], got_frame, got_closed, &b);
}

static void frames_go_both_ways(void **state)
{
	(void)state;
	both_ends();
	b.stop_at = 3;
	chan_send(a.chan, 1, 2, 3, "hello", 5);
	chan_send(a.chan, 0xffff, 0xfffe, UINT64_MAX, NULL, 0);
	chan_send(a.chan, 7, 0, 1, "last", 4);
	loop_run(loop);
	assert_int_equal(b.bytes, 9);
	assert_int_equal(b.last.type, 7);
	assert_int_equal(b.last.offset, 1);
	assert_string_equal(b.first, "last");
	a.stop_at = 1;
	chan_send(b.chan, 9, 1, 0, "back", 4);
	loop_run(loop);
	assert_string_equal(a.first, "back");
}

static void large_frames_and_a_long_queue(void **state)
{
	char *big = malloc(CHAN_PAYLOAD_MAX);

	(void)state;
	memset(big, 'q', CHAN_PAYLOAD_MAX);
	both_ends();
	for (int i = 0; i < 8; i++)
		chan_send(a.chan, 1, 0, (uint64_t)i, big, CHAN_PAYLOAD_MAX - (size_t)i);
	assert_true(chan_queued(a.chan) > 7u << 20 >> 1);
	b.stop_at = 8;
	loop_run(loop);
	assert_int_equal(b.bytes, 8 * (size_t)CHAN_PAYLOAD_MAX - 28);
	assert_int_equal(b.last.offset, 7);
	assert_int_equal(chan_queued(a.chan), 0);
	free(big);
}

static void echo_of_many(void **state)
{
	(void)state;
	both_ends();
	b.echo = true;
	a.stop_at = 5000;
	for (int i = 0; i < 5000; i++)
		chan_send(a.chan, 1, 0, (uint64_t)i, "0123456789abcdefghij", (size_t)i % 21);
	loop_run(loop);
	assert_int_equal(a.frames, 5000);
	assert_int_equal(a.last.offset, 4999);
	assert_int_equal(a.bytes, b.bytes);
}

static void *write_bytes(void *arg)
{
	struct frame f = { .size = 100, .type = 4 };
	char all[2 * (sizeof(f) + 100)];

	(void)arg;
	memset(all, 'p', sizeof(all));
	memcpy(all, &f, sizeof(f));
	f.type = 5;
	memcpy(all + sizeof(f) + 100, &f, sizeof(f));
	for (size_t i = 0; i < sizeof(all); i++) {
		io_write_full(sockets[1], all + i, 1);
		if (i % 16 == 0)
			usleep(100); /* so that most pieces are read alone; the outcome does not depend on it
				      */
	}
	return NULL;
}

static void byte_by_byte(void **state)
{
	pthread_t t;

	(void)state;
	a.stop_at = 2;
	pthread_create(&t, NULL, write_bytes, NULL);
	loop_run(loop);
	pthread_join(t, NULL);
	assert_int_equal(a.bytes, 200);
	assert_int_equal(a.last.type, 5);
	close(sockets[1]);
}

static void an_orderly_end(void **state)
{
	(void)state;
	both_ends();
	chan_send(b.chan, 1, 0, 0, "bye", 3);
	chan_free(b.chan);
	b.chan = NULL;
	loop_run(loop);
	assert_int_equal(a.frames, 1);
	assert_int_equal(a.closed, 1);
	assert_int_equal(a.err, 0);
	chan_send(a.chan, 1, 0, 0, "x", 1); /* nobody is there: no signal, no second closed() */
	chan_flush(a.chan);
	assert_int_equal(chan_queued(a.chan), 0);
	loop_after(loop, 2, stop_now, NULL);
	loop_run(loop);
	assert_int_equal(a.closed, 1);
}

static void what_the_peer_said_last_is_heard(void **state)
{
	char *big = malloc(CHAN_PAYLOAD_MAX);

	(void)state;
	memset(big, 0, CHAN_PAYLOAD_MAX);
	both_ends();
	chan_send(b.chan, 1, 0, 0, "exit 7", 6);
	chan_free(b.chan);
	b.chan = NULL;
	/* The failure of this must not hide the frame before it. */
	chan_send(a.chan, 1, 0, 0, big, CHAN_PAYLOAD_MAX);
	chan_send(a.chan, 1, 0, 0, big, CHAN_PAYLOAD_MAX);
	assert_int_equal(a.closed, 0);
	loop_run(loop);
	assert_string_equal(a.first, "exit 7");
	assert_int_equal(a.closed, 1);
	assert_int_equal(a.err, -EPIPE);
	free(big);
}

static void an_end_in_mid_frame(void **state)
{
	struct frame f = { .size = 10 };

	(void)state;
	io_write_full(sockets[1], &f, sizeof(f));
	io_write_full(sockets[1], "123", 3);
	close(sockets[1]);
	a.free_it = true;
	loop_run(loop);
	assert_int_equal(a.frames, 0);
	assert_int_equal(a.err, -ECONNRESET);
}

static void a_size_that_may_not_be(void **state)
{
	struct frame f = { .size = 2, .type = 1 };

	(void)state;
	io_write_full(sockets[1], &f, sizeof(f));
	io_write_full(sockets[1], "ok", 2);
	f.size = CHAN_PAYLOAD_MAX + 1;
	io_write_full(sockets[1], &f, sizeof(f));
	loop_run(loop);
	assert_int_equal(a.frames, 1);
	assert_int_equal(a.closed, 1);
	assert_int_equal(a.err, -EPROTO);
	close(sockets[1]);
}

static void too_large_to_send(void **state)
{
	char *big = calloc(1, CHAN_PAYLOAD_MAX + 1);
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC), err = dup(STDERR_FILENO);

	(void)state;
	dup2(null, STDERR_FILENO); /* the complaint is expected */
	chan_send(a.chan, 1, 0, 0, big, CHAN_PAYLOAD_MAX + 1);
	dup2(err, STDERR_FILENO);
	close(err);
	close(null);
	assert_int_equal(a.closed, 0);
	loop_run(loop);
	assert_int_equal(a.err, -EMSGSIZE);
	close(sockets[1]);
	free(big);
}

static void freed_in_its_own_callback(void **state)
{
	(void)state;
	both_ends();
	a.free_it = true;
	a.stop_at = 1;
	for (int i = 0; i < 10; i++)
		chan_send(b.chan, 1, 0, 0, "x", 1);
	loop_run(loop);
	assert_int_equal(a.frames, 1);
	assert_int_equal(a.closed, 0);
	chan_free(NULL);
}

static void *slow_reader(void *arg)
{
	size_t *sum = arg;
	char buf[65536];
	ssize_t n;

	while ((n = read(sockets[1], buf, sizeof(buf))) > 0)
		*sum += (size_t)n;
	close(sockets[1]);
	return NULL;
}

static void flush_sends_all(void **state)
{
	char *big = calloc(1, CHAN_PAYLOAD_MAX);
	size_t sum = 0;
	pthread_t t;

	(void)state;
	for (int i = 0; i < 5; i++)
		chan_send(a.chan, 1, 0, 0, big, CHAN_PAYLOAD_MAX);
	pthread_create(&t, NULL, slow_reader, &sum);
	chan_flush(a.chan);
	assert_int_equal(chan_queued(a.chan), 0);
	chan_free(a.chan);
	a.chan = NULL;
	pthread_join(t, NULL);
	assert_int_equal(sum, 5 * (CHAN_PAYLOAD_MAX + sizeof(struct frame)));
	free(big);
}

static void *close_peer(void *arg)
{
	(void)arg;
	close(sockets[1]);
	return NULL;
}

static void flush_ends_with_the_peer(void **state)
{
	char *big = calloc(1, CHAN_PAYLOAD_MAX);
	pthread_t t;

	(void)state;
	for (int i = 0; i < 5; i++)
		chan_send(a.chan, 1, 0, 0, big, CHAN_PAYLOAD_MAX);
	pthread_create(&t, NULL, close_peer, NULL);
	chan_flush(a.chan);
	pthread_join(t, NULL);
	assert_int_equal(a.closed, 0); /* from the loop only */
	loop_run(loop);
	assert_int_equal(a.closed, 1);
	assert_true(a.err < 0);
	free(big);
}

static void garbage_never_crashes(void **state)
{
	uint32_t x = 99;
	unsigned char junk[4096];

	(void)state;
	for (size_t i = 0; i < sizeof(junk); i++) {
		x = x * 1103515245 + 12345;
		junk[i] =
			i % 16 < 4 ? (i % 16 == 0 ? (unsigned char)(x >> 24) : 0) : (unsigned char)(x >> 16);
	}
	io_write_full(sockets[1], junk, sizeof(junk));
	close(sockets[1]);
	loop_run(loop);
	assert_int_equal(a.closed, 1);
	assert_true(a.err <= 0);
}

#define chan_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		chan_test(frames_go_both_ways),
		chan_test(large_frames_and_a_long_queue),
		chan_test(echo_of_many),
		chan_test(byte_by_byte),
		chan_test(an_orderly_end),
		chan_test(what_the_peer_said_last_is_heard),
		chan_test(an_end_in_mid_frame),
		chan_test(a_size_that_may_not_be),
		chan_test(too_large_to_send),
		chan_test(freed_in_its_own_callback),
		chan_test(flush_sends_all),
		chan_test(flush_ends_with_the_peer),
		chan_test(garbage_never_crashes),
	};

	return cmocka_run_group_tests_name("base_chan", tests, NULL, NULL);
}
