/* SPDX-License-Identifier: MIT */
/* tables.h: numbers that C and the handlers' assembly share. */
#ifndef AGENT_TABLES_H
#define AGENT_TABLES_H

/* What a CPU of the HRT gets: descriptors, its task state, a stack for the loader's handlers, the stack that it enters on. */
#define CPU_TSS	      0x80
#define CPU_TRAP_TOP  0x2000
#define CPU_STACK_TOP 0x6000
#define CPU_BYTES     0x6000ull

/* Offsets in struct guest_cokernel and struct guest_panic; tables.c checks them. */
#define AREA_STATE   0x50
#define AREA_PANIC   0xf0
#define PANIC_CPU    (AREA_PANIC + 0)
#define PANIC_VECTOR (AREA_PANIC + 4)
#define PANIC_ERROR  (AREA_PANIC + 8)
#define PANIC_RIP    (AREA_PANIC + 16)
#define PANIC_RSP    (AREA_PANIC + 24)
#define PANIC_RBP    (AREA_PANIC + 32)
#define PANIC_CR2    (AREA_PANIC + 40)
#define PANIC_CR3    (AREA_PANIC + 48)

#define HANDLER_STEP 16 /* bytes from one vector's handler to the next */

#ifndef __ASSEMBLER__
#include <stdint.h>
void wall_now(uint64_t *ns, uint64_t *tsc);
static inline uint64_t tsc_now(void)
{
	return __builtin_ia32_rdtsc();
}
#endif

#endif
