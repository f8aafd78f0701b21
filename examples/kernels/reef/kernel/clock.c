/* SPDX-License-Identifier: MIT */
/*
 * clock.c: time is the TSC, whose speed is measured once against the old timer chip (PIT), and timers ring by the
 * APIC's timer, one list a CPU in the order of their times. Without a PIT the APIC's clock is taken to run at
 * 1 GHz, as QEMU's and KVM's do.
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
#define MEASURE_MS 8ull
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

/* Runs channel 2 down from (count); false: it does not run. */
static bool pit_wait(uint16_t count)
{
	uint64_t tries = 0;

	out8(PIT_GATE, (uint8_t)((in8(PIT_GATE) & ~2u) | 1)); /* counting, not to the speaker */
	out8(PIT_MODE, 0xb0);				      /* channel 2, both bytes, mode 0 */
	out8(PIT_DATA, (uint8_t)count);
	out8(PIT_DATA, (uint8_t)(count >> 8));
	if (in8(PIT_GATE) & 0x20) /* done at once: nothing there */
		return false;
	while (!(in8(PIT_GATE) & 0x20))
		if (++tries > 2000000)
			return false;
	return true;
}

/* The ROS's clocks tell: the TSC's speed is known, the APIC's is measured with it. */
static void init_cokernel(void)
{
	uint64_t span = cokernel->tsc_khz * MEASURE_MS, tsc, ticks;

	tsc_khz = cokernel->tsc_khz;
	apic_timer_init();
	apic_timer(APIC_FULL);
	tsc_start = read_tsc();
	do
		tsc = read_tsc() - tsc_start;
	while (tsc < span);
	ticks = APIC_FULL - apic_timer_left();
	apic_timer(0);
	tsc_mult = ((MEASURE_MS * 1000000) << 32) / span;
	apic_mult = (uint64_t)(((unsigned __int128)ticks << 32) / ((unsigned __int128)tsc * tsc_mult >> 32));
	wall_start = cokernel->wall_ns +
		     (uint64_t)((unsigned __int128)(tsc_start - cokernel->wall_tsc) * tsc_mult >> 32);
}

void clock_init(void)
{
	uint64_t tsc, ticks, ns = MEASURE_MS * 1000000;

	if (cokernel) {
		init_cokernel();
		return;
	}
	apic_timer_init();
	apic_timer(APIC_FULL);
	tsc = read_tsc();
	if (pit_wait((uint16_t)(PIT_HZ * MEASURE_MS / 1000))) {
		ticks = APIC_FULL - apic_timer_left();
	} else {
		apic_timer(APIC_FULL);
		tsc = read_tsc();
		while (APIC_FULL - apic_timer_left() < ns)
			pause_cpu();
		ticks = ns;
	}
	tsc = read_tsc() - tsc;
	apic_timer(0);
	tsc_khz = tsc * 1000000 / ns;
	tsc_mult = (uint64_t)(((unsigned __int128)ns << 32) / tsc);
	apic_mult = (uint64_t)(((unsigned __int128)ticks << 32) / ns);
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
