/* SPDX-License-Identifier: MIT */
/*
 * kernel.h: a co-kernel for tests. The first word of its command line says what it does, well or ill: main.c has the list.
 */
#ifndef TEST_KERNEL_H
#define TEST_KERNEL_H

#include "deployers/guest.h"

#include <stddef.h>
#include <stdint.h>

extern volatile struct guest_cokernel *area; /* NULL: there is none, the console is port 0xc0c0 */
extern uint64_t direct_map, memory_end, cpu_count;
extern char command[256], *words[16];
extern unsigned word_count;

/* lib.c */
void boot_read(uint64_t info); /* fills the above */
void print(const char *text);
void printed(void); /* waits until the host's side has all that was printed: what Linux writes there comes behind it */
void print_number(const char *before, uint64_t n, const char *after);
void print_hex(const char *before, uint64_t n, const char *after);
uint64_t number(const char *text);
int same(const char *a, const char *b);
void message(unsigned type, uint64_t value);
int message_take(struct guest_message *m); /* 1: there was one */
_Noreturn void exit_with(unsigned status);
_Noreturn void halt(void);

volatile struct guest_slot *slot_at(unsigned n);
void slot_begin(unsigned n, uint64_t call, uint64_t a, uint64_t b, uint64_t c, uint64_t d);
int64_t slot_end(unsigned n); /* waits; answers page faults with page_wanted() */
int64_t call(uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d); /* by slot 1 */

/* pages.c: the program's page table */
void pages_begin(void);
int64_t page_wanted(uint64_t address, int write);
uint64_t *page_entry(uint64_t address); /* NULL: there is no table for it */
void page_put(uint64_t address, const char *text);
void test_pages(void);

/* files.c */
void test_files(void);
void test_harm(void);
void test_policy(void);
void test_hog(void);
void order(const char *word);
void show(const char *path);

static inline void *at(uint64_t physical)
{
	return (void *)(direct_map + physical);
}
static inline uint64_t tsc(void)
{
	return __builtin_ia32_rdtsc();
}
static inline void pause(void)
{
	__builtin_ia32_pause();
}

#endif
