/* SPDX-License-Identifier: MIT */
/*
 * cokernel.c: the shared area of a co-kernel (guest.h section 6): where its parts are, and the doorbell to the ROS. The numbers
 * in it that the agent wrote are checked once, before they are used.
 */
#include "cokernel.h"

struct guest_cokernel *cokernel;
static struct guest_slot *slots;
static struct guest_count *counts;
static unsigned slot_count;

unsigned cokernel_slots(void)
{
	return slot_count;
}

struct guest_slot *cokernel_slot(unsigned number)
{
	return &slots[number];
}

struct guest_count *cokernel_counts(void)
{
	return counts;
}

void cokernel_ring_now(unsigned number)
{
	__atomic_fetch_or(&cokernel->pending[number / 64], 1ull << number % 64, __ATOMIC_SEQ_CST);
	apic_send(cokernel->ros_apic, APIC_FIXED | (cokernel->ros_vector & 0xff));
}

void cokernel_ring(unsigned number, const uint32_t *asleep)
{
	__atomic_fetch_or(&cokernel->pending[number / 64], 1ull << number % 64, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(asleep, __ATOMIC_SEQ_CST))
		apic_send(cokernel->ros_apic, APIC_FIXED | (cokernel->ros_vector & 0xff));
}
