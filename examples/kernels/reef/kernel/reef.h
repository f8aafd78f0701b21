/* SPDX-License-Identifier: MIT */
/*
 * reef.h: what reef offers beyond the C library. An application need not include it.
 */
#ifndef REEF_H
#define REEF_H

#include <stddef.h>

/* A command of the shell: put REEF_COMMAND(name, "what it does", function) into any file of kernel/ or app/. What
 * the function returns is its status. */
struct reef_command {
	const char *name, *help;
	int (*run)(int argc, char **argv);
};
#define REEF_COMMAND(id, text, function)                                                                     \
	static const struct reef_command reef_command_##id                                                   \
		__attribute__((used, section("reef_commands." #id), aligned(8))) = { #id, text, function }

/* Text on the console. */
void reef_print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The shell on the console; returns the status given to its exit. */
int reef_shell(void);
/* One command with its arguments, as a line of the shell would run it; 127: there is no such command. */
int reef_run(int argc, char **argv);
unsigned reef_cpus(void);

/* The disk, if the machine has one (disk = PATH). Positions and lengths in bytes, multiples of 512; they wait, any
 * thread may call. Reading and writing give 0 or a negative errno: -EIO, -EROFS, -EINVAL (beyond the end). */
unsigned long reef_disk_len(void); /* 0: no disk */
int reef_disk_read(unsigned long at, void *buf, size_t len);
int reef_disk_write(unsigned long at, const void *buf, size_t len);

#endif
