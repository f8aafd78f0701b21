/* SPDX-License-Identifier: MIT */
/*
 * arguments.h: a command line that grows, and what every QEMU of ours is told.
 *
 * Owns     the texts; zero-initialise and end with arguments_free
 */
#ifndef DEPLOYERS_ARGUMENTS_H
#define DEPLOYERS_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>

struct arguments {
	char **item; /* ends with NULL */
	size_t count;
};

void arguments_add(struct arguments *a, const char *text);
void arguments_pair(struct arguments *a, const char *option, const char *value);
void arguments_format(struct arguments *a, const char *option, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void arguments_free(struct arguments *a);

/* What is told first: the program, nothing that it would add by itself, no reboot, its sandbox. It
 * begins stopped: QMP's cont lets it run. */
void arguments_qemu(struct arguments *a, const char *qemu);
/* The accelerator and the CPU. (translator): "tcg" and its options. */
void arguments_cpu(struct arguments *a, bool kvm, const char *translator);
/* A character device on an open socket. */
void arguments_socket(struct arguments *a, const char *id, int fd);
/* A port of the virtio console device `streams`, on a character device of its own with the same (id); nothing with
 * (fd) -1. In QMP it is called VM_PORT_ID and (id). */
#define VM_PORT_ID "port-"
void arguments_port(struct arguments *a, unsigned nr, const char *id, int fd, const char *name);

#endif
