/* SPDX-License-Identifier: MIT */
/*
 * command.c: what users write to ctl.
 */
#include "deployers/splitvm/split.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void stop(void *arg, const char *reason)
{
	struct split *s = arg;

	if (s->packer) {
		split_pack_kill(s);
		return;
	}
	if (!s->alive) { /* nobody is there who could be asked */
		qemu_kill(&s->q, "killed", 137, reason);
		return;
	}
	if (qemu_stop_begin(&s->q, reason))
		talk_send(&s->talk, AGENT_STOP, NULL, 0);
}

static int resize(struct split *s, const char *rest)
{
	uint32_t size[2];
	char more;

	if (sscanf(rest, "%u %u %c", &size[0], &size[1], &more) != 2 || !size[0] || !size[1] ||
		size[0] > 65535 || size[1] > 65535)
		return -EINVAL;
	s->size_value = size[0] << 16 | size[1];
	if (s->hello)
		talk_send(&s->talk, AGENT_RESIZE, size, sizeof(size));
	return 0;
}

static void command(void *arg, uint64_t number, const char *word, const char *rest)
{
	struct split *s = arg;
	const char *words = "";
	int err = 0;

	if (!strcmp(word, "reset-hrt")) {
		split_reset_hrt(s, number);
		return;
	}
	if (!strcmp(word, "kill") && s->packer)
		split_pack_kill(s);
	else if (qemu_command(&s->q, number, word))
		return;
	else if (!strcmp(word, "stop"))
		stop(s, "asked for");
	else if (!strcmp(word, "policy") && s->talk.state != TALK_NEW)
		split_policy(s);
	else if (!strcmp(word, "resize"))
		err = resize(s, rest);
	else if (strcmp(word, "policy"))
		err = -EOPNOTSUPP;
	if (err == -EINVAL)
		words = "resize takes COLUMNS ROWS, each 1 to 65535";
	else if (err)
		words = "not a command of splitVM (stop, kill, reset, reset-hrt, pause, resume, resize "
			"COLUMNS ROWS)";
	monitor_answer(&s->mon, number, err, words);
}

const struct monitor_ops split_ops = { .command = command, .stop = stop };
