/* SPDX-License-Identifier: MIT */
/*
 * parts.h: the parts of the agent.
 *
 * Two processes. The first (main.c, talk.c) speaks with the deployer and makes the program's root; as the ROS's pid 1
 * it also sets Linux up (init.c). For each BOOT it starts the second, the proxy (proxy.c): it holds the lease on CPUs and memory,
 * loads the HRT, and makes the HRT's calls in its own name: its descriptors, directory and user are the program's. When
 * the proxy ends, in whatever way, Linux closes all it had, and the module stops the CPUs.
 *
 * Errors   0 or -errno; what went wrong has been put into words with fail()
 * Trust    what the HRT shares is read once, and masked or checked before use
 */
#ifndef AGENT_PARTS_H
#define AGENT_PARTS_H

#include "deployers/cokernel/agent.h"
#include "deployers/cokernel/cokernel.h"
#include "deployers/guest.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MIB	    (1ull << 20)
#define PRIVATE_FDS 8000 /* the proxy's own descriptors begin here; the program's end at 1024 */

/* words.c */
extern char failure[512]; /* the last failure in words, of this thread's process */
int fail(int err, const char *fmt, ...) __attribute__((format(printf, 2, 3))); /* returns (err) */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* a line on the ROS's console */

/* wire.c: frames */
struct frame {
	uint16_t type;
	uint32_t len;
	uint8_t body[AGENT_FRAME_MAX + 1]; /* a zero stands behind what was read */
};
int wire_send(int fd, unsigned type, const void *body, size_t len); /* whole frames, from one thread */
int wire_text(int fd, unsigned type, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int wire_read(int fd, struct frame *f); /* 1; 0: the other side is gone; -errno: it says nonsense */
/* The same between the two processes, where each frame is one packet, and any thread may send. */
int wire_post(int fd, unsigned type, const void *body, size_t len);
int wire_take(int fd, struct frame *f);

/* config.c */
struct config {
	char cmdline[GUEST_CMDLINE_MAX + 1];
	uint32_t cpus;
	uint64_t memory, address;
	char root[64];
	uint32_t writable_mb, spin_us;
	uint32_t uid, gid;
	char cwd[256];
	bool out, net;
};
int config_parse(char *text, struct config *c); /* changes the text */

/* init.c: as pid 1 */
struct streams {
	int agent, console, in, out; /* -1: there is none */
};
int init_linux(struct streams *s);
_Noreturn void init_power_off(void);

/* net.c: the loopback at least; with (card) eth0 as QEMU's user network has it */
int net_up(bool card);

/* image.c: the HRT's image, which nobody vouches for */
#define SEGMENTS_MAX 32
struct segment {
	uint64_t physical; /* note: p_paddr; header: p_vaddr - direct_map */
	uint64_t virtual, file, file_bytes, bytes;
};
struct image {
	const uint8_t *bytes;
	size_t size;
	bool claimed;	 /* a note or tag of this kind is there, well-formed or not */
	bool has_header; /* Multiboot 2 HRT header; else the note */
	uint64_t entry, direct_map;
	uint64_t lowest, highest; /* physical, of all segments; highest is behind the last byte */
	struct guest_hrt_header header;
	struct segment segments[SEGMENTS_MAX];
	size_t count;
};
int image_parse(const uint8_t *bytes, size_t size, struct image *i);

/* layout.c, tables.c, info.c, hrt.c */
struct layout { /* physical addresses of what the loader needs, at the partition's end */
	uint64_t tables, tables_end, next_table;
	uint64_t cpus, idt, handlers, info, comm, area;
	uint64_t begin, end; /* of all that */
	uint64_t distance;
	uint64_t mapped; /* bytes from physical 0 in the direct map */
	uint32_t slots, slots_offset, counts_offset, area_bytes;
};

struct hrt {
	int device;
	const struct config *config;
	struct image image;
	struct layout at;
	struct cokernel_info info;
	struct cokernel_reserve lease;
	uint8_t *memory; /* the partition in the agent */
	uint64_t cr3;
	struct guest_cokernel *area;
	struct guest_slot *slots;
	struct guest_count *counts;
};
int layout_make(struct hrt *h);
int tables_make(struct hrt *h); /* page table, GDTs, default IDT */
void cpu_boot(struct hrt *h, uint32_t cpu, struct cokernel_boot *b);
int info_make(struct hrt *h); /* boot information */
int area_make(struct hrt *h); /* shared area */
int hrt_load(struct hrt *h, const uint8_t *image, size_t size, const struct config *c);
int hrt_boot(struct hrt *h);
void hrt_kick(struct hrt *h, uint32_t apic);
static inline void *hrt_at(struct hrt *h, uint64_t physical)
{
	return h->memory + (physical - h->lease.address);
}

/* rings.c: one HRT a process */
/* Before the HRT runs, while what the area says is ours. */
void rings_open(struct hrt *h, int console_port, void (*on_message)(const struct guest_message *m));
int rings_start(void);
void rings_send(unsigned type, uint64_t value);
/* What is left in the rings when the HRT has stopped; a host that takes nothing is waited for (wait_ms) at most. */
void rings_drain(int wait_ms);

/* proxy.c: CHILD, if a child has ended or stopped since it was last sent. When this returns, it is in the ring. */
void proxy_tell_children(void);

/* slots.c: serves delegated calls, a thread for each slot that is used */
int slots_start(struct hrt *h);
void slots_look(void); /* now and then, from one thread */
void slots_counted(void); /* when this returns, every call that the HRT has the result of is counted */

/* calls.c */
struct call {
	uint64_t number, arguments[6];
	uint32_t thread; /* of the program, for messages */
};
/* Makes the call if that is allowed: its result or -errno. (refused): not allowed, and said so. May change (c)'s arguments. */
int64_t call_make(struct hrt *h, struct call *c, bool *refused);

/* fork.c: (from): address of struct guest_fork. The child's id or -errno. */
int64_t fork_program(struct hrt *h, uint64_t from);

/* counts.c */
void count_call(uint64_t number, uint64_t ticks, int64_t result, bool refused);
void counts_send(struct hrt *h, int parent);

/* proxy.c: the process that holds the HRT */
struct run {
	const struct config *config;
	const uint8_t *image;
	size_t image_size;
	const char *policy;
	size_t policy_len;
	struct streams streams;
	const char *root; /* directory that is the program's root */
	int parent;	  /* where packets go */
};
_Noreturn void proxy_run(const struct run *r);
void note(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* AGENT_LOG, from any thread */
int thread_start(void *(*run)(void *), void *argument);		       /* detached, with a small stack */

/* root.c: the program's root, made anew for each BOOT */
int root_make(const struct config *c);
void root_drop(void);
extern const char root_path[], root_written[]; /* the directory it is; the directory with what was written */

/* tar.c: what is below (directory) as OUT frames, a tar archive, and the empty frame that ends it */
int tar_send(int fd, const char *directory);

/* orphans.c: ends all processes whose parent is this one, and theirs, and so on */
void orphans_end(void);

/* talk.c: the conversation with the deployer, until it ends; -errno: in nonsense. True in (*halt): it said HALT */
int talk(const struct streams *s, bool *halt);

#endif
