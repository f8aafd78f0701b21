/* SPDX-License-Identifier: MIT */
/*
 * fork.c: there is one process here, the program. A child of it is made in the ROS, as a copy that is Linux's from then on: a
 * shell's pipelines, subprocesses, daemons. What the copy needs to know is put among the program's addresses, where the
 * ROS can read it: registers as a signal frame, the map of the memory, what signals do.
 */
#include "delegate.h"
#include "elf.h"

#define RED_ZONE 128u

struct letter { /* what the ROS is given, in one region */
	struct guest_fork fork;
	char actions[SIGNAL_ACTIONS_LEN];
	struct guest_region regions[];
};

struct list {
	struct guest_region *regions;
	uint64_t count, letter;
};

/* region.c's lock is held. */
static void put_region(const struct region_seen *r, void *arg)
{
	struct list *l = arg;

	if (r->end > GUEST_PROGRAM_END || r->start == l->letter)
		return;
	if (l->count < GUEST_FORK_REGIONS)
		l->regions[l->count] = (struct guest_region){ r->start, r->end, r->protection,
			r->file ? delegate_fd(r->file) : -1, r->offset };
	l->count++;
}

static long put_regions(struct letter *to)
{
	struct list l = { malloc(GUEST_FORK_REGIONS * sizeof(*l.regions)), 0, (uint64_t)to };
	long err = -ENOMEM;

	if (!l.regions)
		return err;
	region_each(put_region, &l);
	to->fork.count = l.count;
	if (l.count <= GUEST_FORK_REGIONS)
		err = copy_out(to->regions, l.regions, l.count * sizeof(*l.regions));
	free(l.regions);
	return err;
}

static long write_letter(struct letter *to, const struct frame *f, uint64_t sp)
{
	long err = touch_out(to, sizeof(*to));

	if (err)
		return err;
	to->fork.frame = signal_frame_for(f, sp, sp - RED_ZONE);
	to->fork.fs = current_thread()->fs;
	to->fork.actions = (uint64_t)to->actions;
	to->fork.program = program_name;
	to->fork.regions = (uint64_t)to->regions;
	program_brk_now(&to->fork.brk_start, &to->fork.brk);
	err = to->fork.frame ? signal_actions(to->actions) : -EFAULT;
	return err ? err : put_regions(to);
}

long delegate_fork(const struct frame *f, uint64_t sp, uint64_t set_tid, uint64_t clear_tid)
{
	uint64_t room =
		(sizeof(struct letter) + GUEST_FORK_REGIONS * sizeof(struct guest_region) + PAGE - 1) &
		~(PAGE - 1);
	struct letter *letter = (struct letter *)region_add(REGION_PROGRAM, room, REGION_READ | REGION_WRITE);
	long result;

	if (!letter)
		return -ENOMEM;
	result = write_letter(letter, f, sp);
	if (!result) {
		letter->fork.set_tid = set_tid;
		letter->fork.clear_tid = clear_tid;
		result = DELEGATE(GUEST_CALL_FORK, (uint64_t)&letter->fork);
	}
	region_remove((uint64_t)letter, room);
	return result;
}
