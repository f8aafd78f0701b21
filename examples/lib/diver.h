/* SPDX-License-Identifier: MIT */
/*
 * diver.h: what an application on this library may call. All there is of an operating system.
 *
 * The kernel and the application are one program in one address space, in ring 0, on one CPU, and
 * nothing interrupts the application. Boot calls main(); what main() returns is the exit status.
 *
 * Streams  clean bytes, as a filter has them under Unix. Without stream ports (a bare QEMU) standard output
 *          goes to the console and standard input is at its end
 * Console  messages for people: the serial line. Quiet unless something is wrong, or the application talks
 *          to somebody at a terminal there
 * Memory   all that the machine has, mapped one to one, so pointers are physical addresses; never swapped
 * Faults   an exception prints what and where on the console and ends the kernel with status 134
 */
#ifndef DIVER_H
#define DIVER_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Yours. argv[0] is the kernel's name, argv[argc] is NULL. */
int main(int argc, char **argv);

/* Standard input: waits for at least one byte, returns how many (at most len); 0 at the end of input. */
size_t read_stdin(void *buf, size_t len);

/* Standard output: returns when all of it is queued; waits while the reader is behind. Each call is sent at
 * once, so gather small pieces: 64 KiB a call is quick. */
void write_stdout(const void *buf, size_t len);

/* The console as a terminal: waits until a key comes, and returns how many bytes came (at most len); 0 when the size of
 * the terminal has changed. Nothing is echoed. */
size_t read_console(void *buf, size_t len);
/* The size that the terminal was last said to have; false if nobody has told. */
bool console_size(unsigned *columns, unsigned *rows);

/* Formatted output: printf to standard output, printk to the console.
 * %d %i %u %x %p %c %s %%, with l, ll, z, a width, '-' and '0'. */
void printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void printk(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Ends the kernel. Status 0..255. Everything written to standard output arrives first. */
void exit(int status) __attribute__((noreturn));
/* Says why on the console, then exit(134). */
void panic(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
/* Ends the machine without a status: powered off, or reset as by a triple fault. */
void power_off(void) __attribute__((noreturn));
void reset(void) __attribute__((noreturn));

/* The heap: NULL when memory is exhausted. Blocks are aligned to 16 bytes. */
void *malloc(size_t len);
void *realloc(void *p, size_t len);
void free(void *p);
/* The largest block that malloc can still give; its size goes to (len). For those who want it all. */
void *malloc_largest(size_t *len);

void *memcpy(void *restrict to, const void *restrict from, size_t len);
void *memmove(void *to, const void *from, size_t len);
void *memset(void *p, int byte, size_t len);
int memcmp(const void *a, const void *b, size_t len);
void *memchr(const void *p, int byte, size_t len);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);

#endif
