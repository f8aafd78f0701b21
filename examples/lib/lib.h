/* SPDX-License-Identifier: MIT */
/*
 * lib.h: what the files of this library know of each other. Applications include diver.h instead.
 *
 * Order of events: entry.S -> start.c -> boot.c (command line, memory map) -> memory.c -> trap.c -> streams.c
 * -> main() -> exit.c. One CPU, one thread; interrupts are enabled only inside cpu_halt().
 */
#ifndef LIB_H
#define LIB_H

#include "diver.h"
#include "guest.h"

/* boot.c: what the loader told us, copied out of its memory. */
#define BOOT_RANGES 32
struct range {
	uint64_t start, end;
};
struct boot {
	char cmdline[GUEST_CMDLINE_MAX + 4096]; /* Multiboot loaders put the image's path before it */
	struct range memory[BOOT_RANGES];	/* usable RAM, as the firmware tells it */
	unsigned ranges;
	struct range module;			/* the archive that came along (initrd), in memory; none: 0, 0 */
	uint64_t rsdp; /* where the ACPI tables begin; 0: not told */
};
extern struct boot boot;
void boot_read(uint32_t magic, const void *info);
/* The value of NAME=VALUE among the parameters; false: not there, or longer than (room). */
bool boot_parameter(const char *name, char *value, size_t room);

/* args.c: splits what follows " -- ", in place (guest.h section 2). */
#define ARGS_MAX 256
int args_parse(char *cmdline, const char *name, char **argv);

/* memory.c */
void memory_init(void);
void *map_device(uint64_t address, size_t len); /* device registers, wherever they are */
/* Devices and page tables speak of physical addresses. A buffer for a device is physically in one piece if it comes from
 * malloc, or lies within one page. Here both are the identity; a kernel with a map of its own has its own. */
uint64_t physical(const volatile void *p);
void *at_physical(uint64_t address); /* RAM, or one of the devices in the first 4 GiB */
extern char image_start[], image_text_end[], image_end[], stack_guard[]; /* link.ld, entry.S */

/* trap.c */
#define VECTOR_WAKE	32
#define VECTOR_SPURIOUS 255
void trap_init(void);
void interrupts_init(void);
#define SERIAL_PIN 4
void interrupt_pin(unsigned pin); /* this one, too, may wake us */

/* Sleeps until a device has something to say; may return early. Look for work first, then call this: what
 * happened between the look and the sleep ends the sleep at once, because interrupts become possible only
 * with the hlt. */
static inline void cpu_halt(void)
{
	__asm__ volatile("sti; hlt; cli" ::: "memory");
}

/* What streams.c waits with, after a look that found nothing. Here it is cpu_halt (trap.c); a kernel with threads
 * has its own, which lets others run. */
void device_wait(void);

/* console.c: where messages go and keys come from */
void console_init(void);
void console_write(const void *buf, size_t len);
size_t console_read(void *buf, size_t len); /* what has arrived; does not wait */

/* serial.c, print.c */
void serial_init(void);
void serial_write(const void *buf, size_t len);
size_t serial_read(void *buf, size_t len); /* what has arrived; does not wait */
void vprintk(const char *fmt, va_list args);
void format_words(char *to, size_t room, const char *fmt, va_list args); /* one thread at a time */

/* streams.c */
void streams_init(void);
bool stdin_readable(void);	       /* read_stdin would not wait */
void streams_poll(void);	       /* looks for messages of the host; a request to stop ends the kernel */
bool streams_interrupted(void);	       /* takes back the device's interrupt; false: there was none */
void streams_exit(int status); /* returns if there is no control port */

/* I/O ports */
static inline void out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port));
}
static inline void out16(uint16_t port, uint16_t value)
{
	__asm__ volatile("outw %0, %1" ::"a"(value), "Nd"(port));
}
static inline void out32(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" ::"a"(value), "Nd"(port));
}
static inline uint8_t in8(uint16_t port)
{
	uint8_t value;
	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}
static inline uint32_t in32(uint16_t port)
{
	uint32_t value;
	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

#endif
