/* SPDX-License-Identifier: MIT */
/*
 * clock.c: time is the TSC, whose speed is measured once against the old timer chip (PIT), and timers ring by the
 * APIC's timer, one list a CPU in the order of their times. Without a PIT the APIC's clock is taken to run at
 * 1 GHz, as QEMU's and KVM's do. The host may stop us at any point of the measurement, and for long: so it counts what has
 * passed, not what was waited for, and each pair of numbers is read again until nothing came in between.
 *
 * SLICE_NS is the scheduler's time slice: while a thread runs its CPU ticks as often.
 */
#include "cokernel.h"

#define SLICE_NS   5000000ull
#define SECOND_NS  1000000000ull
#define PIT_HZ	   1193182ull
#define PIT_DATA   0x42
#define PIT_MODE   0x43
#define PIT_GATE   0x61
#define PIT_OVER   0x20u
#define PIT_FULL   0xffffu
#define PIT_TRIES  5
#define MEASURE_MS 8ull
#define SAMPLES	   8
#define APIC_HZ	   1000000000ull
#define APIC_FULL  0xffffffffu

const uint64_t slice_ns = SLICE_NS;
uint64_t tsc_khz;
static uint64_t wall_start;
static uint64_t tsc_start, tsc_mult; /* ns = ticks * mult >> 32 */
static uint64_t apic_mult;	     /* APIC ticks = ns * mult >> 32 */

uint64_t clock_ns(void)
{
	return (uint64_t)((unsigned __int128)(read_tsc() - tsc_start) * tsc_mult >> 32);
}

uint64_t clock_wall(void)
{
	return wall_start + clock_ns();
}

struct clock_terms clock_terms(void)
{
	return (struct clock_terms){ tsc_start, tsc_mult, wall_start };
}

static unsigned rtc_read(uint8_t reg)
{
	uint8_t v;

	out8(0x70, reg);
	v = in8(0x71);
	return (v >> 4) * 10u + (v & 15); /* two decimal digits */
}

/* Source: Howard Hinnant, chrono-compatible low-level date algorithms, days_from_civil. */
static uint64_t days(uint64_t y, uint64_t m, uint64_t d)
{
	uint64_t of_era, era;

	y -= m <= 2;
	era = y / 400;
	of_era = y - era * 400;
	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 +
	       (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1 - 719468;
}

/* The machine's battery clock. One without has all bits set. */
static void read_wall(void)
{
	unsigned month = rtc_read(8), day = rtc_read(7);

	if (month < 1 || month > 12 || day < 1 || day > 31)
		return;
	wall_start = SECOND_NS * (days(2000 + rtc_read(9), month, day) * 86400 + rtc_read(4) * 3600ull +
					 rtc_read(2) * 60ull + rtc_read(0));
}

/* Runs channel 2 down from PIT_FULL; false: there is none. */
static bool pit_start(void)
{
	out8(PIT_GATE, (uint8_t)((in8(PIT_GATE) & ~2u) | 1)); /* counting, not to the speaker */
	out8(PIT_MODE, 0xb0);				      /* channel 2, both bytes, mode 0 */
	out8(PIT_DATA, PIT_FULL & 0xff);
	out8(PIT_DATA, PIT_FULL >> 8);
	return !(in8(PIT_GATE) & PIT_OVER);
}

static uint32_t pit_left(void)
{
	uint32_t low;

	out8(PIT_MODE, 0x80); /* keep the count of channel 2, to be read */
	low = in8(PIT_DATA);
	return low | (uint32_t)in8(PIT_DATA) << 8;
}

struct sample { /* of a clock that counts down, and the TSC at that time */
	uint64_t tsc, left;
};

static struct sample sample(uint32_t (*left)(void))
{
	struct sample best = { 0 };
	uint64_t shortest = NEVER;

	for (int i = 0; i < SAMPLES; i++) {
		uint64_t before = read_tsc(), count = left(), span = read_tsc() - before;

		if (span < shortest) {
			shortest = span;
			best = (struct sample){ before + span / 2, count };
		}
	}
	return best;
}

/* Of the TSC, by a clock of (hz) that went from (a) to (b). */
static void set_speed(struct sample a, struct sample b, uint64_t hz)
{
	uint64_t ns = (a.left - b.left) * SECOND_NS / hz, tsc = b.tsc - a.tsc;

	tsc_khz = tsc * 1000000 / ns;
	tsc_mult = (uint64_t)(((unsigned __int128)ns << 32) / tsc);
}

static void set_apic_speed(struct sample a, struct sample b)
{
	uint64_t ns = (uint64_t)((unsigned __int128)(b.tsc - a.tsc) * tsc_mult >> 32);

	apic_mult = (uint64_t)(((unsigned __int128)(a.left - b.left) << 32) / ns);
}

/* The ROS's clocks tell: the TSC's speed is known, the APIC's is measured with it. */
static void init_cokernel(void)
{
	struct sample a;

	tsc_khz = cokernel->tsc_khz;
	tsc_mult = (1000000ull << 32) / tsc_khz;
	tsc_start = read_tsc();
	wall_start = cokernel->wall_ns +
		     (uint64_t)((unsigned __int128)(tsc_start - cokernel->wall_tsc) * tsc_mult >> 32);
	apic_timer(APIC_FULL);
	a = sample(apic_timer_left);
	while (read_tsc() - a.tsc < tsc_khz * MEASURE_MS)
		pause_cpu();
	set_apic_speed(a, sample(apic_timer_left));
	apic_timer(0);
}

/* False: the host has stopped us for so long that a clock ran out (the PIT does after 55 ms, the APIC's after 4 s), or there is
 * no such clock. */
static bool measure(bool pit)
{
	uint32_t (*left)(void) = pit ? pit_left : apic_timer_left;
	uint64_t hz = pit ? PIT_HZ : APIC_HZ;
	struct sample apic, start, end;

	if (pit && !pit_start())
		return false;
	apic_timer(APIC_FULL);
	apic = sample(apic_timer_left);
	start = sample(left);
	while (start.left - left() < hz * MEASURE_MS / 1000 && apic_timer_left())
		pause_cpu();
	end = sample(left);
	if (!apic_timer_left() || (pit && in8(PIT_GATE) & PIT_OVER))
		return false;
	set_speed(start, end, hz);
	set_apic_speed(apic, sample(apic_timer_left));
	apic_timer(0);
	return true;
}

void clock_init(void)
{
	int tries = 0;

	apic_timer_init();
	if (cokernel) {
		init_cokernel();
		return;
	}
	while (!measure(tries < PIT_TRIES))
		tries++;
	tsc_start = read_tsc();
	read_wall();
}

/* The timer lock is held. */
static void arm(struct cpu *c, uint64_t at, uint64_t now)
{
	uint64_t ns = at > now ? at - now : 0, ticks;

	c->armed = at;
	if (at == NEVER) {
		apic_timer(0);
		return;
	}
	ns = ns < SECOND_NS ? ns : SECOND_NS; /* a tick too early does no harm */
	ticks = (uint64_t)((unsigned __int128)ns * apic_mult >> 32);
	apic_timer(ticks < 1000 ? 1000 : ticks > APIC_FULL ? APIC_FULL : (uint32_t)ticks);
}

void timer_set(struct timer *t, uint64_t at)
{
	uint64_t flags = irq_save();
	struct cpu *c = this_cpu();
	struct timer **p = &c->timers;

	lock_take(&c->timer_lock);
	t->at = at;
	t->cpu = c;
	while (*p && (*p)->at <= at)
		p = &(*p)->next;
	t->next = *p;
	*p = t;
	if (at < c->armed)
		arm(c, at, clock_ns());
	lock_restore(&c->timer_lock, flags);
}

void timer_cancel(struct timer *t)
{
	struct cpu *c = t->cpu;
	uint64_t flags;

	if (!c)
		return;
	flags = lock_save(&c->timer_lock);
	for (struct timer **p = &c->timers; *p; p = &(*p)->next)
		if (*p == t) {
			*p = t->next;
			break;
		}
	t->cpu = NULL;
	lock_restore(&c->timer_lock, flags);
}

void clock_tick(void)
{
	struct cpu *c = this_cpu();
	uint64_t now = clock_ns(), next;
	struct timer *t;

	lock_take(&c->timer_lock);
	while ((t = c->timers) && t->at <= now) {
		c->timers = t->next;
		t->ring(t);
	}
	next = c->timers ? c->timers->at : NEVER;
	if (c->current != c->idle && now + SLICE_NS < next)
		next = now + SLICE_NS;
	arm(c, next, now);
	lock_drop(&c->timer_lock);
	sched_tick();
}

void clock_slice(struct cpu *c)
{
	uint64_t now = clock_ns();

	lock_take(&c->timer_lock);
	if (c->armed > now + SLICE_NS)
		arm(c, now + SLICE_NS, now);
	lock_drop(&c->timer_lock);
}
