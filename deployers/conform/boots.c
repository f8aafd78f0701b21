/* SPDX-License-Identifier: MIT */
/*
 * boots.c: the boots, a few questions each. Later ones are left out where an earlier one has shown that there is
 * nothing to ask.
 *
 *   input      stdin is silent at first: does the kernel wait, and idly? Then it gets FOOD_BYTES, and the end
 *   held       stdout is full until EXIT comes, or HOLD_MS have gone by
 *   stop       stdin stays silent; its console is typed to, it gets messages that ask for nothing, and is asked to stop.
 *              One that would have ended by then is held back by a full stdout, and cannot be asked to stop
 *   arguments  two of them, and no input
 *
 * One that can be a co-kernel is then started beside a Linux, where there is one (beside.c).
 */
#include "deployers/conform/conform.h"

#include "cache/base/conf.h"
#include "cache/base/io.h"
#include "deployers/guest.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FOOD_BYTES (2u << 20) /* more than a kernel that does not read has receive buffers for */
#define FOOD_FEW   65536u
#define FOOD_LINE  "the quick brown fox jumps over the lazy dog, often\n"
#define STALLED_MS 3000 /* without taking a byte of stdin */
#define HOLD_MS	   700
#define STOPPED_MS DEPLOY_STOP_MS
#define TERMINAL   (100u << 16 | 30u) /* columns and rows */
#define NO_TYPE	   1000u	      /* of message */

static void put_plan(struct buf *plan, const struct subject *s, enum boot which)
{
	conf_put(plan, PLAN_IMAGE, s->image);
	if (s->initrd)
		conf_put(plan, PLAN_INITRD, s->initrd);
	if (s->cmdline)
		conf_put(plan, PLAN_CMDLINE, s->cmdline);
	if (s->machine)
		conf_put(plan, PLAN_MACHINE, s->machine);
	if (s->qemu)
		conf_put(plan, PLAN_QEMU, s->qemu);
	if (s->memory_bytes)
		conf_putf(plan, PLAN_MEMORY, "%" PRIu64, s->memory_bytes);
	if (s->cpus)
		conf_putf(plan, PLAN_CPUS, "%" PRIu64, s->cpus);
	conf_put(plan, PLAN_ACCEL, s->accel ? s->accel : "tcg");
	if (which == BOOT_ARGUMENTS) {
		conf_put(plan, PLAN_ARG, ARGUMENT_QUOTED);
		conf_put(plan, PLAN_ARG, ARGUMENT_PLAIN);
	} else {
		for (char **a = s->args; a && *a; a++)
			conf_put(plan, PLAN_ARG, *a);
	}
}

static bool shown(const struct trial *t)
{
	return trial_ended(t) || t->console_bytes || t->messages || *t->malformed || t->port_open[PORT_IN] ||
	       t->port_open[PORT_OUT] || t->port_open[PORT_CONTROL];
}

static bool greeted(const struct trial *t)
{
	return trial_ended(t) || t->hellos;
}

/* From the start to where it waits, or has ended. HELLO is the last that a kernel of level 1 does to get ready. */
static int begin(struct seen *seen, const struct subject *s, enum boot which, bool held, struct why *why)
{
	struct trial *t = &seen->boot[which];
	autobuf struct buf plan = { 0 };

	put_plan(&plan, s, which);
	seen->done[which] = true;
	int err = trial_begin(t, plan.data, plan.len, held, why);
	if (err < 0)
		return err;
	if (trial_wait_served(t, s->patience_ms, shown) &&
		trial_settle(t, SILENT_MS, s->patience_ms, greeted))
		trial_settle(t, QUIET_MS, s->patience_ms, trial_ended);
	trial_ask_ports(t);
	return 0;
}

static bool output_late(const struct trial *t)
{
	return t->gone || t->out_late;
}

/* QEMU that ends without a word on how the machine ended has failed itself. */
static int finish(struct trial *t, struct why *why)
{
	if (t->exit_told)
		trial_wait(t, QUIET_MS, output_late);
	trial_ask_ports(t);
	bool lost = t->gone && !*t->shutdown && !t->exit_told;
	trial_end(t);
	if (!lost)
		return 0;
	while (t->said.len && t->said.data[t->said.len - 1] == '\n')
		t->said.data[--t->said.len] = 0;
	return why_fail(
		why, -ECHILD, "QEMU ended by itself: %s", t->said.len ? t->said.data : "it gave no reason");
}

static char *food(size_t len)
{
	char *text = xmalloc(len);

	for (size_t i = 0; i < len; i++)
		text[i] = FOOD_LINE[i % (sizeof(FOOD_LINE) - 1)];
	text[len - 1] = '\n';
	return text;
}

static bool fed_or_ended(const struct trial *t)
{
	return trial_ended(t) || trial_fed(t);
}

static void feed(struct trial *t, size_t len)
{
	autofree char *text = food(len);

	trial_feed(t, text, len);
}

static int boot_input(struct seen *seen, const struct subject *s, struct why *why)
{
	struct trial *t = &seen->boot[BOOT_INPUT];
	int err = begin(seen, s, BOOT_INPUT, false, why);

	if (err < 0)
		return err;
	if (t->port_open[PORT_IN] && !trial_ended(t)) {
		uint64_t said = t->console_bytes + t->out_bytes;
		seen->waited = trial_idle(t, trial_ended, &seen->idle_part);
		seen->spoke = t->console_bytes + t->out_bytes != said;
		feed(t, sizeof(FOOD_LINE) - 1);
		trial_settle(t, STALLED_MS, s->patience_ms, fed_or_ended);
		seen->fed_some = trial_fed(t);
		feed(t, FOOD_BYTES);
		trial_settle(t, STALLED_MS, s->patience_ms, fed_or_ended);
		seen->fed = trial_fed(t);
	}
	seen->before_close = trial_ended(t);
	trial_close_input(t);
	if (shown(t))
		trial_wait_served(t, s->patience_ms, trial_ended);
	return finish(t, why);
}

static int boot_held(struct seen *seen, const struct subject *s, struct why *why)
{
	struct trial *t = &seen->boot[BOOT_HELD];
	int err = begin(seen, s, BOOT_HELD, true, why);

	if (err < 0)
		return err;
	feed(t, FOOD_FEW);
	trial_settle(t, HOLD_MS, s->patience_ms, fed_or_ended);
	trial_close_input(t);
	trial_wait(t, HOLD_MS, trial_ended);
	trial_release(t);
	trial_wait_served(t, s->patience_ms, trial_ended);
	return finish(t, why);
}

static bool typed_or_ended(const struct trial *t)
{
	return trial_ended(t) || trial_answered(t, 0);
}

static int boot_stop(struct seen *seen, const struct subject *s, struct why *why)
{
	struct trial *t = &seen->boot[BOOT_STOP];
	bool hold = seen->before_close && seen->boot[BOOT_INPUT].out_bytes;
	int err = begin(seen, s, BOOT_STOP, hold, why);

	if (err < 0)
		return err;
	seen->typed_from = t->printed.len;
	trial_type(t, TYPED "\r");
	/* Who never prints will not answer either. */
	trial_wait_served(t, t->console_bytes ? TYPED_MS : QUIET_MS, typed_or_ended);
	seen->before_messages = trial_ended(t);
	seen->before_stop = hold || seen->before_messages;
	if (!seen->before_messages && t->hellos) {
		trial_tell(t, GUEST_RESIZE, TERMINAL);
		trial_tell(t, NO_TYPE, 0);
		seen->ended_early = trial_wait(t, QUIET_MS, trial_ended);
	}
	if (!seen->before_stop && t->hellos) {
		trial_tell(t, GUEST_STOP, 0);
		trial_wait_served(t, STOPPED_MS, trial_ended);
	}
	trial_release(t);
	if (hold)
		trial_wait_served(t, s->patience_ms, trial_ended);
	return finish(t, why);
}

static int boot_arguments(struct seen *seen, const struct subject *s, struct why *why)
{
	struct trial *t = &seen->boot[BOOT_ARGUMENTS];
	int err = begin(seen, s, BOOT_ARGUMENTS, false, why);

	if (err < 0)
		return err;
	trial_close_input(t);
	trial_settle(t, SILENT_MS, s->patience_ms, trial_ended);
	return finish(t, why);
}

static int look_at_image(struct seen *seen, const struct subject *s, struct why *why)
{
	struct why no_image = { 0 };
	autoclose int fd = open(s->image, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return why_fail_errno(why, -errno, "cannot open %s", s->image);
	int err = image_recognise(fd, s->image, &seen->image, &no_image);
	if (err == -ENOEXEC)
		memcpy(seen->no_image, no_image.text, sizeof(seen->no_image));
	else if (err < 0)
		*why = no_image;
	return err;
}

static int boot_alone(const struct subject *s, struct seen *seen, struct why *why)
{
	int err = look_at_image(seen, s, why);

	if (err < 0)
		return err == -ENOEXEC ? 0 : err;
	err = boot_input(seen, s, why);
	const struct trial *t = &seen->boot[BOOT_INPUT];
	if (!err && t->port_open[PORT_OUT])
		err = boot_held(seen, s, why);
	if (!err && shown(t))
		err = boot_stop(seen, s, why);
	if (!err && t->port_open[PORT_OUT])
		err = boot_arguments(seen, s, why);
	return err;
}

int conform_boot(const struct subject *s, struct seen *seen, struct why *why)
{
	int err = entry_read(s->image, &seen->entry, why);

	if (!err)
		err = boot_alone(s, seen, why);
	seen->besides = !err && s->ros_image && seen->entry.loads;
	if (seen->besides)
		err = beside_run(&seen->beside, s, why);
	return err;
}

void conform_free(struct seen *seen)
{
	for (int i = 0; i < BOOTS; i++)
		if (seen->done[i]) {
			trial_end(&seen->boot[i]);
			trial_free(&seen->boot[i]);
		}
	if (seen->besides)
		beside_free(&seen->beside);
}
