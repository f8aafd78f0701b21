/* SPDX-License-Identifier: MIT */
/*
 * apic.c: the interrupt controllers: one local APIC a CPU, with its timer, and the I/O APICs, whose pins all lead to
 * one vector of the first CPU (the serial line has its own): which pin is whose would take ACPI's interpreter.
 * Pins are edge-triggered: a line that nobody serves disturbs once, not for ever.
 */
#include "cokernel.h"

#define APIC	       0xfee00000u
#define APIC_ID	       0x20
#define APIC_EOI       0xb0
#define APIC_SPURIOUS  0xf0
#define APIC_ICR       0x300
#define APIC_ICR_TO    0x310
#define APIC_TIMER     0x320
#define APIC_LINT0     0x350
#define APIC_INITIAL   0x380
#define APIC_CURRENT   0x390
#define APIC_DIVIDE    0x3e0
#define APIC_ENABLE    0x100
#define APIC_MASKED    0x10000
#define APIC_BUSY      0x1000
#define APIC_BY_1      0xb
#define IOAPIC	       0xfec00000u
#define IOAPIC_SECOND  0xfec10000u /* microvm with ACPI */
#define IOAPIC_DATA    0x10
#define IOAPIC_VERSION 1
#define IOAPIC_TABLE   0x10
#define FIRST_DEVICE   5 /* below: timer, keyboard, cascade, serial lines */
#define PIN_CLOCK      8

#define MSR_X2APIC 0x800u

/* Registers are in memory; with x2APIC, which a co-kernel may find, in MSRs. */
static bool x2apic;

static uint32_t get(uint32_t reg)
{
	return x2apic ? (uint32_t)read_msr(MSR_X2APIC + reg / 16) : *(volatile uint32_t *)(DIRECT_MAP + APIC + reg);
}

static void set(uint32_t reg, uint32_t value)
{
	if (x2apic)
		write_msr(MSR_X2APIC + reg / 16, value);
	else
		*(volatile uint32_t *)(DIRECT_MAP + APIC + reg) = value;
}

uint32_t apic_id(void)
{
	return x2apic ? get(APIC_ID) : get(APIC_ID) >> 24;
}

void apic_eoi(void)
{
	set(APIC_EOI, 0);
}

void apic_init(void)
{
	x2apic = cokernel && cokernel->x2apic;
	set(APIC_LINT0, APIC_MASKED);
	set(APIC_SPURIOUS, APIC_ENABLE | VECTOR_SPURIOUS);
}

void apic_send(uint32_t to, uint32_t command)
{
	uint64_t flags = irq_save();

	if (x2apic) {
		write_msr(MSR_X2APIC + APIC_ICR / 16, (uint64_t)to << 32 | command);
	} else {
		while (get(APIC_ICR) & APIC_BUSY)
			pause_cpu();
		set(APIC_ICR_TO, to << 24);
		set(APIC_ICR, command);
	}
	irq_restore(flags);
}

/* Once, after so many ticks of the APIC's clock; 0: not. */
void apic_timer(uint32_t ticks)
{
	set(APIC_INITIAL, ticks);
}

uint32_t apic_timer_left(void)
{
	return get(APIC_CURRENT);
}

void apic_timer_init(void)
{
	set(APIC_DIVIDE, APIC_BY_1);
	set(APIC_TIMER, VECTOR_TIMER);
}

static uint32_t io_read_reg(uint32_t base, uint32_t reg)
{
	*(volatile uint32_t *)at_physical(base) = reg;
	return *(volatile uint32_t *)at_physical(base + IOAPIC_DATA);
}

static void io_write_reg(uint32_t base, uint32_t reg, uint32_t value)
{
	*(volatile uint32_t *)at_physical(base) = reg;
	*(volatile uint32_t *)at_physical(base + IOAPIC_DATA) = value;
}

static void route(uint32_t base, uint32_t pin, uint32_t vector)
{
	io_write_reg(base, IOAPIC_TABLE + 2 * pin + 1, apic_id() << 24);
	io_write_reg(base, IOAPIC_TABLE + 2 * pin, vector);
}

static void ioapic_one(uint32_t base, uint32_t first)
{
	uint32_t version = io_read_reg(base, IOAPIC_VERSION), last = version >> 16 & 0xff;

	if (version == 0 || version == 0xffffffff) /* nothing there */
		return;
	for (uint32_t pin = first; pin <= last; pin++)
		if (base != IOAPIC || pin != PIN_CLOCK)
			route(base, pin, VECTOR_WAKE);
}

/* lib/serial.c asks for its pin when somebody first listens. */
void interrupt_pin(unsigned pin)
{
	route(IOAPIC, pin, VECTOR_SERIAL);
}

void ioapic_init(void)
{
	out8(0x21, 0xff); /* the old controllers say nothing any more */
	out8(0xa1, 0xff);
	ioapic_one(IOAPIC, FIRST_DEVICE);
	ioapic_one(IOAPIC_SECOND, 0);
}
