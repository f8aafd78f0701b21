// SPDX-License-Identifier: GPL-2.0
/*
 * main.c: the device. A kernel module that lets Linux share its machine with a second kernel: it takes CPUs and memory that
 * Linux does not use, starts the CPUs where it is told, and hears their doorbell. It knows nothing of images or
 * calls: that is the agent's (../agent).
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <asm/apic.h>
#include <asm/irq_vectors.h>
#include <asm/tsc.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "cok.h"

static int cok_open(struct inode *inode, struct file *file)
{
	struct lease *l = kzalloc(sizeof(*l), GFP_KERNEL);

	if (!l)
		return -ENOMEM;
	mutex_init(&l->lock);
	init_rwsem(&l->pages);
	INIT_LIST_HEAD(&l->bells);
	l->mapping = file->f_mapping;
	file->private_data = l;
	return 0;
}

/* The memory of a CPU that cannot be shown to have stopped stays taken, for good: it would be overwritten under Linux. So does
 * the module, which knows which CPU that is. */
static int cok_release(struct inode *inode, struct file *file)
{
	struct lease *l = file->private_data;

	bell_stop(l);
	bell_drop(l);
	if (cpus_stop(l)) {
		pr_err("a CPU does not stop: it and its memory are not given back\n");
		__module_get(THIS_MODULE);
		return 0;
	}
	memory_give(l);
	cpus_give(l);
	kfree(l->waiters);
	kfree(l);
	return 0;
}

static int cok_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct lease *l = file->private_data;

	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	if (vma->vm_pgoff >= COKERNEL_MEMORY >> PAGE_SHIFT)
		return memory_map(l, vma);
	return program_map(l, vma);
}

static long info(void __user *to)
{
	int cpu = cpumask_first(cpu_online_mask);
	struct cokernel_info i = {
		.rev = COKERNEL_REV,
		.cpus = cpus_available(),
		.x2apic = x2apic_mode != 0,
		.ros_vector = POSTED_INTR_WAKEUP_VECTOR,
		.ros_apic = per_cpu(x86_cpu_to_apicid, cpu),
		.tsc_khz = tsc_khz,
		.rings = bells_heard(),
	};

	return copy_to_user(to, &i, sizeof(i)) ? -EFAULT : 0;
}

static long reserve(struct lease *l, struct cokernel_reserve *r)
{
	int err;

	if (l->cpus)
		return -EALREADY;
	err = memory_take(l, r->address, r->bytes);
	if (err)
		return err;
	err = cpus_take(l, r);
	if (err)
		memory_give(l);
	return err;
}

static long stop(struct lease *l)
{
	bell_stop(l);
	return cpus_stop(l);
}

union change {
	struct cokernel_reserve reserve;
	struct cokernel_share share;
	struct cokernel_boot boot;
};

static long change(struct lease *l, unsigned int verb, union change *c)
{
	switch (verb) {
	case COKERNEL_RESERVE:
		return reserve(l, &c->reserve);
	case COKERNEL_SHARE:
		return bell_share(l, &c->share);
	case COKERNEL_BOOT:
		return cpus_boot(l, &c->boot);
	case COKERNEL_STOP:
		return stop(l);
	default:
		return -ENOTTY;
	}
}

/* What changes the lease, one at a time. User memory is not touched under the lock: mmap takes it too (memory_map), inside the
 * lock that a page fault takes. */
static long change_locked(struct lease *l, unsigned int verb, void __user *argument)
{
	union change c = { 0 };
	long err;

	if (_IOC_SIZE(verb) > sizeof(c))
		return -ENOTTY;
	if (_IOC_DIR(verb) & _IOC_WRITE && copy_from_user(&c, argument, _IOC_SIZE(verb)))
		return -EFAULT;
	if (mutex_lock_killable(&l->lock))
		return -EINTR;
	err = change(l, verb, &c);
	mutex_unlock(&l->lock);
	/* What was taken is given back by close. */
	if (!err && _IOC_DIR(verb) & _IOC_READ && copy_to_user(argument, &c, _IOC_SIZE(verb)))
		return -EFAULT;
	return err;
}

static long cok_ioctl(struct file *file, unsigned int verb, unsigned long value)
{
	void __user *argument = (void __user *)value;
	struct lease *l = file->private_data;
	struct cokernel_kick k;
	struct cokernel_wait w;
	struct cokernel_range r;
	struct cokernel_copy c;

	switch (verb) {
	case COKERNEL_INFO:
		return info(argument);
	case COKERNEL_KICK:
		return copy_from_user(&k, argument, sizeof(k)) ? -EFAULT : cpus_kick(l, k.apic, k.vector);
	case COKERNEL_WAIT:
		return copy_from_user(&w, argument, sizeof(w)) ? -EFAULT : bell_wait(l, &w);
	case COKERNEL_FORGET:
		return copy_from_user(&r, argument, sizeof(r)) ? -EFAULT : program_forget(l, &r);
	case COKERNEL_COPY:
		return copy_from_user(&c, argument, sizeof(c)) ? -EFAULT : program_copy(&c);
	default:
		return change_locked(l, verb, argument);
	}
}

static const struct file_operations operations = {
	.owner = THIS_MODULE,
	.open = cok_open,
	.release = cok_release,
	.mmap = cok_mmap,
	.unlocked_ioctl = cok_ioctl,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = COKERNEL_NAME,
	.fops = &operations,
	.mode = 0600,
};

static int __init cok_init(void)
{
	int err = cpus_init();

	if (err)
		return err;
	err = bells_init();
	if (err)
		goto cpus;
	err = misc_register(&device);
	if (err)
		goto bells;
	return 0;

bells:
	bells_exit();
cpus:
	cpus_exit();
	return err;
}

static void __exit cok_exit(void)
{
	misc_deregister(&device);
	bells_exit();
	cpus_exit();
}

module_init(cok_init);
module_exit(cok_exit);
MODULE_DESCRIPTION("CPUs and memory for a second kernel beside Linux");
MODULE_LICENSE("GPL");
