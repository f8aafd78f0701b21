/* SPDX-License-Identifier: MIT */
/* deploy_streams.c: offsets and windows of stdin and stdout, without a machine. */
#include "cache/base/io.h"
#include "deployers/deploy.h"
#include "deployers/streams.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static void nothing(void *arg)
{
	(void)arg;
}

struct heard {
	struct loop *loop;
	struct buf data;
	uint64_t first;
	bool ended;
};

static void on_frame(void *arg, const struct frame *f, const void *payload)
{
	struct heard *h = arg;

	if (f->type == FRAME_DATA) {
		if (!h->data.len)
			h->first = f->offset;
		assert_int_equal(f->offset, h->first + h->data.len);
		buf_append(&h->data, payload, f->size);
	}
	h->ended = h->ended || f->type == FRAME_END;
}

static void on_closed(void *arg, int err)
{
	(void)err;
	loop_stop(((struct heard *)arg)->loop);
}

static void on_time(void *arg)
{
	loop_stop(arg);
}

/* What a daemon that listens from (s->sent) on is sent. */
static struct heard listen_to(struct loop *l, struct stream_out *s)
{
	struct heard h = { .loop = l };
	int pair[2];

	assert_int_equal(io_socketpair(pair), 0);
	struct chan *ours = chan_new(l, pair[0], on_frame, on_closed, &h);
	struct chan *theirs = chan_new(l, pair[1], on_frame, on_closed, &h);
	stream_out_send(s, theirs);
	/* The rest of what is queued goes when the loop runs; then the end of the channel stops it. */
	loop_after(l, 100, on_time, l);
	loop_run(l);
	chan_free(ours);
	chan_free(theirs);
	return h;
}

static void stdout_is_kept_until_acked(void **state)
{
	struct loop *l = loop_new();
	struct stream_out s;
	struct heard h;

	(void)state;
	stream_out_init(&s, l, nothing, NULL);
	stream_out_put(&s, "0123456789", 10);
	h = listen_to(l, &s);
	assert_int_equal(h.data.len, 10);
	assert_false(h.ended);
	buf_free(&h.data);
	assert_int_equal(stream_out_ack(&s, 11), -EPROTO);
	assert_int_equal(stream_out_ack(&s, 4), 0);
	assert_int_equal(stream_out_ack(&s, 2), 0);
	assert_int_equal(s.acked, 4);

	/* A new daemon that has 6 bytes; then one that claims to have what was never sent. */
	assert_int_equal(stream_out_resume(&s, 6), 0);
	h = listen_to(l, &s);
	assert_int_equal(h.first, 6);
	assert_string_equal(h.data.data, "6789");
	buf_free(&h.data);
	assert_int_equal(stream_out_resume(&s, 11), -EPROTO);

	/* One that lost what it had acknowledged gets what is left. */
	assert_int_equal(stream_out_resume(&s, 0), 0);
	stream_out_finish(&s);
	h = listen_to(l, &s);
	assert_int_equal(h.first, 6);
	assert_true(h.ended);
	buf_free(&h.data);
	stream_out_free(&s);
	loop_free(l);
}

static void stdout_stays_in_its_window(void **state)
{
	struct loop *l = loop_new();
	struct stream_out s;
	static char block[DEPLOY_WINDOW];

	(void)state;
	stream_out_init(&s, l, nothing, NULL);
	stream_out_put(&s, block, sizeof(block));
	assert_true(stream_out_full(&s));
	stream_out_put(&s, block, 1000);
	struct heard h = listen_to(l, &s);
	assert_int_equal(h.data.len, DEPLOY_WINDOW);
	buf_free(&h.data);
	stream_out_ack(&s, 600);
	assert_true(stream_out_full(&s));
	stream_out_ack(&s, 2000);
	assert_false(stream_out_full(&s));
	h = listen_to(l, &s);
	assert_int_equal(h.data.len, 1000);
	buf_free(&h.data);
	stream_out_free(&s);
	loop_free(l);
}

static void stdin_takes_each_byte_once(void **state)
{
	struct loop *l = loop_new();
	struct stream_in s;
	char got[16] = { 0 };
	int pair[2];

	(void)state;
	assert_int_equal(io_socketpair(pair), 0);
	stream_in_init(&s, l, nothing, NULL);
	assert_int_equal(stream_in_data(&s, 0, "abc", 3), 0);
	assert_int_equal(s.taken, 0);
	stream_in_attach(&s, pair[0]);
	assert_int_equal(s.taken, 3);
	assert_int_equal(stream_in_data(&s, 1, "bcde", 4), 0);
	assert_int_equal(stream_in_data(&s, 0, "ab", 2), 0);
	assert_int_equal(stream_in_data(&s, 9, "x", 1), -EPROTO);
	assert_int_equal(stream_in_data(&s, UINT64_MAX - 1, "xyz", 3), -EPROTO);
	stream_in_end(&s);
	assert_int_equal(stream_in_data(&s, 5, "x", 1), -EPROTO);
	assert_int_equal(io_read_full(pair[1], got, sizeof(got)), 5);
	assert_string_equal(got, "abcde");
	stream_in_free(&s);
	close(pair[1]);
	loop_free(l);
}

static void stdin_has_a_window(void **state)
{
	struct loop *l = loop_new();
	struct stream_in s;
	static char block[DEPLOY_WINDOW];

	(void)state;
	stream_in_init(&s, l, nothing, NULL);
	assert_int_equal(stream_in_data(&s, 0, block, sizeof(block)), 0);
	assert_int_equal(stream_in_data(&s, sizeof(block), block, 1), -EPROTO);
	stream_in_free(&s);
	loop_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stdout_is_kept_until_acked),
		cmocka_unit_test(stdout_stays_in_its_window),
		cmocka_unit_test(stdin_takes_each_byte_once),
		cmocka_unit_test(stdin_has_a_window),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
