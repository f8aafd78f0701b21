/* SPDX-License-Identifier: MIT */
/*
 * init.h: the parts of an init for a Linux that diverfs launches. main.c puts them together; another init
 * can take what it needs.
 *
 * Errors   a function that fails has said why on the console and returns -1
 */
#ifndef INIT_H
#define INIT_H

#include <stddef.h>
#include <stdint.h>

/* modules.c: loads the modules that DIR/order names, a name a line, from DIR/NAME.ko. What a file names that is not
 * there is part of the kernel, or not needed. */
int modules_load(const char *dir);

/* ports.c: the streams of guest.h section 3. */
int ports_wait(const char *name, int limit_ms); /* until the port is there; 0, or -1 without words */
int port_open(const char *name, int flags);	/* a descriptor; -1 without words: there is none */
void port_settle(int fd);			/* a port whose host end is open says so from now on */

/* control.c: the messages of guest.h section 4. */
void control_send(int fd, unsigned type, uint64_t value);
unsigned control_read(int fd, uint64_t *value); /* the type of a message; 0: none that counts */

/* args.c: the arguments behind " -- " in (line), which is changed. argv[0] is (name); ends with NULL. */
char **args_parse(char *line, char *name);

/* main.c: a line on the console. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
