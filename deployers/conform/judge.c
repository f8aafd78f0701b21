/* SPDX-License-Identifier: MIT */
/*
 * judge.c: what was seen, item by item. An item is met, or not, or cannot be told, and says why. Only what was
 * seen to be wrong counts against a kernel.
 */
#include "deployers/conform/conform.h"
#include "deployers/deploy.h"
#include "deployers/guest.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LEVEL_MAX 2 /* that this revision of guest.h defines */

enum verdict { MET, NOT_MET, UNKNOWN };

struct answer {
	enum verdict verdict;
	char words[WHY_MAX];
};

typedef struct answer item_fn(const struct seen *s);

__attribute__((format(printf, 2, 3))) static struct answer say(enum verdict v, const char *fmt, ...)
{
	struct answer a = { .verdict = v };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(a.words, sizeof(a.words), fmt, ap);
	va_end(ap);
	return a;
}

static const struct trial *input(const struct seen *s)
{
	return &s->boot[BOOT_INPUT];
}

/* Whether (has) is so in any of the boots. */
static bool any(const struct seen *s, bool (*has)(const struct trial *t))
{
	for (int i = 0; i < BOOTS; i++)
		if (s->done[i] && has(&s->boot[i]))
			return true;
	return false;
}

static bool exited(const struct trial *t)
{
	return t->exit_told;
}

static bool ended_mutely(const struct trial *t)
{
	return *t->shutdown && !t->exit_told;
}

static bool was_reset(const struct trial *t)
{
	return !t->exit_told && !t->restart && !strcmp(t->shutdown, "guest-reset");
}

static bool powered_off(const struct trial *t)
{
	return !t->exit_told && !strcmp(t->shutdown, "guest-shutdown");
}

static bool printed(const struct trial *t)
{
	return t->console_bytes;
}

static bool wrote(const struct trial *t)
{
	return t->out_bytes;
}

static bool opened_any(const struct trial *t)
{
	return t->port_open[PORT_IN] || t->port_open[PORT_OUT] || t->port_open[PORT_CONTROL];
}

/* Level 0 */

static struct answer item_image(const struct seen *s)
{
	if (*s->no_image)
		return say(NOT_MET, "%s", s->no_image);
	return say(MET, "%s", image_kind_name(s->image.kind));
}

static struct answer item_boot(const struct seen *s)
{
	const struct trial *t = input(s);

	if (t->messages)
		return say(MET, "it sent a message");
	if (opened_any(t))
		return say(MET, "it opened a port");
	if (t->console_bytes)
		return say(MET, "it printed");
	if (powered_off(t))
		return say(MET, "it powered the machine off");
	if (*t->shutdown)
		return say(NOT_MET, "the machine was reset before the kernel gave a sign");
	return say(NOT_MET, "it gave no sign: no byte on the serial line, no port opened");
}

static struct answer item_console(const struct seen *s)
{
	if (any(s, printed))
		return say(MET, "it printed");
	return say(UNKNOWN, "it printed nothing");
}

static struct answer item_serial_in(const struct seen *s)
{
	if (trial_answered(&s->boot[BOOT_STOP], s->typed_from))
		return say(MET, "what was typed came back");
	if (!s->done[BOOT_STOP])
		return say(UNKNOWN, "it was not typed to: nothing showed that it ran");
	if (s->before_messages)
		return say(UNKNOWN, "it ended before it could answer");
	return say(UNKNOWN, "it has no answer to what is typed");
}

static struct answer item_end(const struct seen *s)
{
	if (any(s, was_reset))
		return say(NOT_MET,
			"it reset the machine, as a triple fault does, and told neither RESTART nor EXIT");
	if (any(s, exited))
		return say(MET, "EXIT");
	if (any(s, powered_off))
		return say(MET, "power-off");
	if (input(s)->restart)
		return say(UNKNOWN, "it asked to be started again");
	if (*input(s)->shutdown)
		return say(NOT_MET, "the machine ended by %s", input(s)->shutdown);
	return say(UNKNOWN, "it ran on");
}

/* Level 1 */

static struct answer port(const struct seen *s, enum trial_port p)
{
	return input(s)->port_open[p] ? say(MET, "opened") : say(NOT_MET, "never opened");
}

static struct answer item_port_in(const struct seen *s)
{
	return port(s, PORT_IN);
}

static struct answer item_port_out(const struct seen *s)
{
	return port(s, PORT_OUT);
}

static struct answer item_port_control(const struct seen *s)
{
	return port(s, PORT_CONTROL);
}

static struct answer item_hello(const struct seen *s)
{
	const struct trial *t = input(s);

	if (!t->hellos)
		return say(NOT_MET, "no HELLO");
	if (t->hellos > 1)
		return say(NOT_MET, "HELLO was sent %u times", t->hellos);
	if (t->level > LEVEL_MAX)
		return say(NOT_MET, "it claims level %" PRIu64 ", which revision %u does not have", t->level,
			GUEST_REV);
	return say(MET, "level %" PRIu64, t->level);
}

static struct answer item_messages(const struct seen *s)
{
	unsigned all = 0;

	for (int i = 0; i < BOOTS; i++) {
		const struct trial *t = &s->boot[i];
		if (*t->malformed)
			return say(NOT_MET, "%s", t->malformed);
		if (t->message.len)
			return say(NOT_MET, "the last one has %zu bytes, not %zu", t->message.len,
				sizeof(struct guest_message));
		all += t->messages;
	}
	return all ? say(MET, "well-formed") : say(NOT_MET, "none came");
}

static struct answer item_stdout(const struct seen *s)
{
	if (any(s, wrote))
		return say(MET, "bytes came");
	if (!input(s)->port_open[PORT_OUT])
		return say(NOT_MET, "the port was never opened");
	return say(UNKNOWN, "it wrote nothing");
}

static struct answer item_stdin(const struct seen *s)
{
	if (!input(s)->port_open[PORT_IN])
		return say(NOT_MET, "the port was never opened");
	if (s->fed)
		return say(MET, "it took all");
	if (s->before_close)
		return say(UNKNOWN, "it ended without reading all of it");
	if (!s->fed_some)
		return say(NOT_MET, "it took nothing");
	return say(UNKNOWN, "it took no more than receive buffers may hold");
}

static struct answer item_end_of_input(const struct seen *s)
{
	if (!input(s)->port_open[PORT_IN])
		return say(NOT_MET, "the port was never opened");
	if (s->before_close)
		return say(UNKNOWN, "it ended before its input did");
	if (trial_ended(input(s)))
		return say(MET, "it ended then");
	if (s->fed)
		return say(NOT_MET, "it took all of its input and ran on");
	return say(UNKNOWN, "it does not read its input");
}

/* Who only ends when input comes was waiting for it; who ran on may have been computing. */
static struct answer item_idle(const struct seen *s)
{
	bool waits = s->fed || (!s->before_close && trial_ended(input(s)));

	if (!s->waited)
		return say(UNKNOWN, "it did not wait for input");
	if (s->idle_part < IDLE_PERCENT)
		return say(MET, "less than %d %% of a CPU while it waits", IDLE_PERCENT);
	if (waits && !s->spoke)
		return say(NOT_MET, "%u %% of a CPU while it waits for input", s->idle_part);
	return say(UNKNOWN, "it was busy, perhaps with work");
}

static struct answer item_status(const struct seen *s)
{
	for (int i = 0; i < BOOTS; i++)
		if (s->boot[i].exit_told && (s->boot[i].exit_value & ~(uint64_t)GUEST_EXIT_QUEUED) > 255)
			return say(NOT_MET, "EXIT told %" PRIu64 ", more than 255", s->boot[i].exit_value);
	if (any(s, ended_mutely))
		return say(NOT_MET, "the machine ended by %s without EXIT",
			any(s, powered_off) ? "power-off" : "reset");
	if (any(s, exited))
		return say(MET, "EXIT, 0 to 255");
	return say(UNKNOWN, "it did not end");
}

static struct answer item_exit_last(const struct seen *s)
{
	const struct trial *t = &s->boot[BOOT_HELD];

	if (t->exit_told && t->exit_value & GUEST_EXIT_QUEUED)
		return say(MET, "it says that output may still be queued");
	for (int i = 0; i < BOOTS; i++)
		if (s->boot[i].out_late)
			return say(NOT_MET, "EXIT came while bytes of stdout were still in the machine");
	if (t->exit_told && t->out_bytes)
		return say(MET, "also when nobody reads for a while");
	return say(UNKNOWN, s->done[BOOT_HELD] && !t->exit_told ? "no EXIT came" : "it wrote nothing");
}

static struct answer item_stop(const struct seen *s)
{
	const struct trial *t = &s->boot[BOOT_STOP];

	if (!input(s)->hellos)
		return say(NOT_MET, "no HELLO, so it is never asked");
	if (s->before_stop)
		return say(UNKNOWN, "it ended before it could be asked");
	if (s->ended_early)
		return say(UNKNOWN, "it had ended by another message");
	if (t->exit_told || powered_off(t))
		return say(MET, "it ended");
	if (trial_ended(t))
		return say(NOT_MET, "it reset the machine");
	return say(NOT_MET, "it ran on for %d s", DEPLOY_STOP_MS / 1000);
}

/* RESIZE, and a message whose type there is not. */
static struct answer item_other_messages(const struct seen *s)
{
	if (!input(s)->hellos)
		return say(NOT_MET, "no HELLO, so none is sent");
	if (s->before_messages)
		return say(UNKNOWN, "it ended before they could be sent");
	if (s->ended_early)
		return say(NOT_MET, "it ended when they came");
	return say(MET, "it went on when they came");
}

static struct answer item_restart(const struct seen *s)
{
	for (int i = 0; i < BOOTS; i++)
		if (s->boot[i].restart)
			return say(MET, "it asked to be started again");
	return say(UNKNOWN, "it never asked to be started again");
}

static bool shows(const struct buf *b, const char *text)
{
	return b->len && memmem(b->data, b->len, text, strlen(text));
}

/* On the console the command line may be told as it is, which says nothing of the application's arguments. */
static struct answer item_arguments(const struct seen *s)
{
	const struct trial *t = &s->boot[BOOT_ARGUMENTS];

	if (shows(&t->out, ARGUMENT_QUOTED) || shows(&t->printed, ARGUMENT_QUOTED))
		return say(MET, "quoted ones too");
	if (shows(&t->out, ARGUMENT_RAW))
		return say(NOT_MET, "it does not decode what is quoted");
	if (shows(&t->out, ARGUMENT_PLAIN))
		return say(UNKNOWN, "its output shows the plain one only");
	return say(UNKNOWN, "its output does not show them");
}

/* Level 2 */

static struct answer item_entry(const struct seen *s)
{
	const struct entry *e = &s->entry;

	if (!e->read)
		return say(NOT_MET, "%s", e->words);
	return say(MET, "%s: entry %#" PRIx64 ", direct map %#" PRIx64, e->header ? "HRT header" : "note",
		e->entry, e->direct_map);
}

static struct answer item_segments(const struct seen *s)
{
	if (s->entry.loads)
		return say(MET, "the agent's loader takes the image");
	if (!s->entry.read)
		return say(UNKNOWN, "the loader did not come to them");
	return say(NOT_MET, "%s", s->entry.words);
}

/* Beside a Linux. Returns whether (a) is the answer already: it was not tried, or not entered. */
static bool not_entered(const struct seen *s, struct answer *a)
{
	if (!s->besides)
		*a = say(UNKNOWN, "%s",
			s->entry.loads ? "no Linux was given to start it beside: --ros"
				       : "it cannot be loaded");
	else if (!s->beside.alive)
		*a = say(UNKNOWN, "it was not entered");
	return !s->besides || !s->beside.alive;
}

/* By Nautilus' header: then it need know nothing of messages. */
static bool says_nothing(const struct seen *s)
{
	return s->entry.header && !s->beside.t.hellos;
}

static struct answer item_entered(const struct seen *s)
{
	struct answer a;

	if (!s->besides && not_entered(s, &a))
		return a;
	return s->beside.alive ? say(MET, "beside a Linux") : say(NOT_MET, "%s", s->beside.words);
}

static struct answer item_ring_hello(const struct seen *s)
{
	const struct trial *t = &s->beside.t;
	struct answer a;

	if (not_entered(s, &a))
		return a;
	if (says_nothing(s))
		return say(UNKNOWN, "it has an HRT header, and need not send messages");
	if (!t->hellos)
		return say(NOT_MET, "no HELLO");
	if (t->level != 2)
		return say(NOT_MET, "it claims level %" PRIu64, t->level);
	return say(MET, "level 2");
}

static struct answer item_ring_console(const struct seen *s)
{
	const struct beside *b = &s->beside;
	struct answer a;

	if (not_entered(s, &a))
		return a;
	if (trial_answered(&b->t, b->typed_from))
		return say(MET, "what was typed came back");
	if (b->t.console_bytes)
		return say(MET, "it printed");
	return say(UNKNOWN, "it printed nothing");
}

/* Who sleeps and yet answers was woken. */
static struct answer item_doorbell(const struct seen *s)
{
	const struct beside *b = &s->beside;
	struct answer a;

	if (not_entered(s, &a))
		return a;
	if (!trial_answered(&b->t, b->typed_from))
		return say(UNKNOWN, "it has no answer to what is typed");
	if (!b->waited)
		return say(UNKNOWN, "it did not wait");
	if (b->idle_part >= IDLE_PERCENT)
		return say(UNKNOWN, "it does not sleep while it waits");
	return say(MET, "it sleeps, and what is typed wakes it");
}

static struct answer item_delegated(const struct seen *s)
{
	struct answer a;

	if (not_entered(s, &a))
		return a;
	if (s->beside.delegated)
		return say(MET, "the Linux served it");
	return say(UNKNOWN, "it made none");
}

static struct answer item_stray(const struct seen *s)
{
	const struct beside *b = &s->beside;
	struct answer a;

	if (not_entered(s, &a))
		return a;
	if (!b->how)
		return say(UNKNOWN, "it did not end");
	if (b->stray)
		return say(NOT_MET, "it counted %" PRIu64 " interrupts that nobody asked for", b->stray);
	return say(MET, "none");
}

static struct answer item_ring_stop(const struct seen *s)
{
	const struct beside *b = &s->beside;
	struct answer a;

	if (not_entered(s, &a))
		return a;
	if (!b->asked)
		return say(UNKNOWN, "it ended before it could be asked");
	if (b->how == AGENT_EXITED)
		return say(MET, "it ended");
	if (says_nothing(s))
		return say(UNKNOWN, "it has an HRT header, and need not hear messages");
	return say(NOT_MET, "it ran on for %d s", DEPLOY_STOP_MS / 1000);
}

static struct answer item_ring_exit(const struct seen *s)
{
	const struct beside *b = &s->beside;
	struct answer a;

	if (not_entered(s, &a))
		return a;
	if (b->lost)
		return say(NOT_MET, "the machine ended with it: %s", *b->words ? b->words : b->t.shutdown);
	if (b->how == AGENT_LOST)
		return say(UNKNOWN, "%s", b->words);
	if (b->how == AGENT_FAULTED)
		return say(NOT_MET, "it failed: %s", *b->words ? b->words : "it did not say why");
	if (b->how == AGENT_EXITED)
		return say(MET, "EXIT");
	return say(UNKNOWN, b->how == AGENT_RESTART ? "it asked to be started again" : "it did not end");
}

static struct answer item_again(const struct seen *s)
{
	const struct beside *b = &s->beside;
	struct answer a;

	if (not_entered(s, &a))
		return a;
	if (b->again)
		return say(MET, "a second time, in the same Linux");
	if (!b->how && !b->lost)
		return say(UNKNOWN, "it did not end");
	return say(NOT_MET, "the Linux did not live on, or could not start it a second time");
}

static const struct {
	unsigned level;
	const char *name;
	item_fn *fn;
} items[] = {
	{ 0, "image", item_image },
	{ 0, "boot", item_boot },
	{ 0, "console", item_console },
	{ 0, "serial input", item_serial_in },
	{ 0, "end", item_end },
	{ 1, "port stdin", item_port_in },
	{ 1, "port stdout", item_port_out },
	{ 1, "port control", item_port_control },
	{ 1, "hello", item_hello },
	{ 1, "messages", item_messages },
	{ 1, "stdout", item_stdout },
	{ 1, "stdin", item_stdin },
	{ 1, "end of input", item_end_of_input },
	{ 1, "idle", item_idle },
	{ 1, "exit status", item_status },
	{ 1, "exit is last", item_exit_last },
	{ 1, "resize", item_other_messages },
	{ 1, "stop", item_stop },
	{ 1, "restart", item_restart },
	{ 1, "arguments", item_arguments },
	{ 2, "co-kernel entry", item_entry },
	{ 2, "co-kernel segments", item_segments },
	{ 2, "co-kernel start", item_entered },
	{ 2, "co-kernel hello", item_ring_hello },
	{ 2, "co-kernel console", item_ring_console },
	{ 2, "doorbell", item_doorbell },
	{ 2, "delegated calls", item_delegated },
	{ 2, "stray interrupts", item_stray },
	{ 2, "co-kernel stop", item_ring_stop },
	{ 2, "co-kernel exit", item_ring_exit },
	{ 2, "co-kernel again", item_again },
};

/* A kernel that opens a port takes part in level 1, even if what it says there is wrong. Alone in a machine a kernel of
 * level 2 may say 1: its image says the rest. */
static unsigned claimed(const struct seen *s)
{
	const struct trial *t = input(s);

	if (s->entry.claimed)
		return 2;
	if (t->hellos)
		return t->level < LEVEL_MAX ? (unsigned)t->level : LEVEL_MAX;
	return opened_any(t) ? 1 : 0;
}

bool conform_judge(const struct seen *s)
{
	static const char *const words[] = { "met", "not met", "cannot be told" };
	unsigned level = claimed(s), bad = 0, shown = LEVEL_MAX + 1;

	for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++) {
		bool counts = items[i].level <= level;
		if (items[i].level != shown) {
			shown = items[i].level;
			printf("level %u%s\n", shown, counts ? "" : " (not claimed)");
		}
		if (shown == 2 && !counts)
			continue;
		struct answer a = items[i].fn(s);
		if (*s->no_image && i > 0 && items[i].level < 2)
			a = say(UNKNOWN, "nothing was booted");
		bad += counts && a.verdict == NOT_MET;
		printf("  %s: %s (%s)\n", items[i].name, words[a.verdict], a.words);
	}
	if (bad)
		printf("claims level %u: does not conform, %u not met\n", level, bad);
	else
		printf("claims level %u: conforms\n", level);
	return !bad;
}
