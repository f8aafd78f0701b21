// SPDX-License-Identifier: GPL-2.0
/*
 * cpus.c: the CPUs of leases. They are the machine's last, because kernels for such partitions expect the highest APIC ids.
 * A CPU that Linux never started (maxcpus=) is as good as one taken offline, and better: Linux then keeps off interrupts to
 * all CPUs at once, which would reach ours too.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <asm/apic.h>
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/mutex.h>
#include <linux/smp.h>

#include "cok.h"
#include "compat.h"

static DEFINE_MUTEX(cpus_lock);
static struct cpumask taken;
static int hotplug_state;

/* While a CPU is ours Linux must not start it: INIT and STARTUP would pull it from under the other kernel. */
static int refuse_start(unsigned int cpu)
{
	return cpumask_test_cpu(cpu, &taken) ? -EBUSY : 0;
}

int cpus_init(void)
{
	hotplug_state = cpuhp_setup_state_nocalls(
		CPUHP_BP_PREPARE_DYN, "diverfs/cokernel:prepare", refuse_start, NULL);
	return hotplug_state < 0 ? hotplug_state : 0;
}

void cpus_exit(void)
{
	cpuhp_remove_state_nocalls(hotplug_state);
}

static u32 apic_of(unsigned int cpu)
{
	return per_cpu(x86_cpu_to_apicid, cpu);
}

u32 cpus_available(void)
{
	u32 count = 0;
	unsigned int cpu;

	mutex_lock(&cpus_lock);
	for_each_present_cpu(cpu) count += cpu != 0 && !cpumask_test_cpu(cpu, &taken);
	mutex_unlock(&cpus_lock);
	return count;
}

/* The CPU with the highest APIC id below (below) that nobody has; nr_cpu_ids: none. */
static unsigned int highest(u32 below)
{
	unsigned int cpu, best = nr_cpu_ids;

	for_each_present_cpu(cpu) if (cpu && !cpumask_test_cpu(cpu, &taken) && apic_of(cpu) < below &&
				      (best == nr_cpu_ids || apic_of(cpu) > apic_of(best))) best = cpu;
	return best;
}

static u32 all_apics(void)
{
	unsigned int cpu;
	u32 count = 0;

	for_each_present_cpu(cpu) count = max(count, apic_of(cpu) + 1);
	return count;
}

static int choose(struct lease *l, u32 count)
{
	u32 below = U32_MAX, i;

	for (i = count; i-- > 0;) {
		unsigned int cpu = highest(below);

		if (cpu == nr_cpu_ids) {
			pr_err("%u CPUs are not to be had\n", count);
			return -ENXIO;
		}
		if (below != U32_MAX && apic_of(cpu) != below - 1) {
			pr_err("APIC ids %u and %u do not follow each other\n", apic_of(cpu), below);
			return -ENXIO;
		}
		l->numbers[i] = cpu;
		below = apic_of(cpu);
	}
	l->first_apic = below;
	return 0;
}

/* remove_cpu says 1 for a CPU that was not running. It is refused to others first: nobody can start it behind our back then. */
static int take_one(struct lease *l, u32 i)
{
	unsigned int cpu = l->numbers[i];

	cpumask_set_cpu(cpu, &taken);
	int err = remove_cpu(cpu);
	l->online[i] = !err;
	if (err >= 0)
		return 0;
	pr_err("CPU %u cannot be taken offline: %d\n", cpu, err);
	cpumask_clear_cpu(cpu, &taken);
	return err;
}

static void give_back(struct lease *l, u32 count)
{
	u32 i;

	for (i = 0; i < count; i++) {
		cpumask_clear_cpu(l->numbers[i], &taken);
		if (l->online[i] && add_cpu(l->numbers[i]) < 0)
			pr_err("CPU %u does not come online again\n", l->numbers[i]);
	}
}

int cpus_take(struct lease *l, struct cokernel_reserve *r)
{
	int err;
	u32 i;

	if (!r->cpus || r->cpus > COKERNEL_CPUS_MAX)
		return -EINVAL;
	mutex_lock(&cpus_lock);
	err = choose(l, r->cpus);
	for (i = 0; !err && i < r->cpus; i++)
		err = take_one(l, i);
	if (err)
		give_back(l, i ? i - 1 : 0);
	else
		l->cpus = r->cpus;
	r->first_apic = l->first_apic;
	r->apics = all_apics();
	mutex_unlock(&cpus_lock);
	return err;
}

static bool is_high(u64 address)
{
	return (s64)address < 0 && address >> 47 == 0x1ffff;
}

int cpus_boot(struct lease *l, const struct cokernel_boot *b)
{
	int err = 0;

	if (b->cpu >= l->cpus || !memory_has(l, b->cr3, PAGE_SIZE) || b->cr3 & ~PAGE_MASK ||
		!is_high(b->direct_map) || b->tr > 0xffff || b->gdt_limit > 0xffff || b->idt_limit > 0xffff ||
		!l->area || l->stopped)
		return -EINVAL;
	if (l->started[b->cpu])
		return -EALREADY;
	mutex_lock(&cpus_lock);
	if (!l->trampoline) {
		err = trampoline_take();
		l->trampoline = !err;
	}
	if (!err) {
		l->started[b->cpu] = true;
		err = trampoline_start(l->first_apic + b->cpu, l, b);
	}
	mutex_unlock(&cpus_lock);
	if (err)
		pr_err("CPU %u did not start: %d\n", l->numbers[b->cpu], err);
	return err;
}

int cpus_stop(struct lease *l)
{
	int err = 0;
	u32 i;

	mutex_lock(&cpus_lock);
	for (i = 0; i < l->cpus; i++) {
		if (!l->started[i])
			continue;
		if (trampoline_park(l->first_apic + i))
			err = -EIO;
		else
			l->started[i] = false;
	}
	if (!err && l->trampoline) {
		trampoline_drop();
		l->trampoline = false;
	}
	mutex_unlock(&cpus_lock);
	return err;
}

void cpus_give(struct lease *l)
{
	mutex_lock(&cpus_lock);
	give_back(l, l->cpus);
	l->cpus = 0;
	mutex_unlock(&cpus_lock);
}

int cpus_kick(struct lease *l, u32 apic_id, u32 vector)
{
	u32 what = vector == 2 ? APIC_DM_NMI : APIC_DM_FIXED | vector;
	unsigned long flags;

	/* The subtraction wraps for what is below. */
	if (apic_id - l->first_apic >= l->cpus || (vector != 2 && (vector < 0x20 || vector > 0xfe)))
		return -EINVAL;
	local_irq_save(flags);
	safe_apic_wait_icr_idle();
	apic_order(what, apic_id);
	local_irq_restore(flags);
	return 0;
}
