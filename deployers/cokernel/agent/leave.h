/* SPDX-License-Identifier: MIT */
/* leave.h: the page on which a child of the program leaves the agent behind (fork.c). Shared with leave.S. */
#ifndef AGENT_LEAVE_H
#define AGENT_LEAVE_H

#define LEAVE_CALL_BYTES 56
#ifndef __ASSEMBLER__

#include <linux/capability.h>
#include <stdint.h>

struct leave_call {
	uint64_t number, arguments[6];
};
_Static_assert(sizeof(struct leave_call) == LEAVE_CALL_BYTES, "leave.S steps by it");

struct leave {
	uint8_t code[256];
	struct leave_call calls[16];
	uint64_t count, sp;
	struct __user_cap_header_struct header;
	struct __user_cap_data_struct data[2];
};

/* As a function (calls, count, stack pointer) it makes the system calls, whatever they answer, and then rt_sigreturn. */
extern const uint8_t leave_begin[], leave_end[];

#endif
#endif
