/* SPDX-License-Identifier: MIT */
/*
 * forward.h: a port of the host that leads to a port of a machine: PROTOCOL:[HOST:]PORT->PORT, as in
 * tcp:127.0.0.1:8080->80 or udp:auto->53. HOST is an address of IPv4, 127.0.0.1 if it is left out; `auto` is any free port.
 *
 * Threads  any
 */
#ifndef BASE_FORWARD_H
#define BASE_FORWARD_H

#include "cache/base/buf.h"
#include "cache/base/log.h"

#include <stdbool.h>
#include <stdint.h>

struct forward {
	bool udp;
	char host[16];	    /* dotted */
	uint16_t host_port; /* 0: auto */
	uint16_t port;
};

/* -EINVAL with words that begin with (key). */
int forward_parse(const char *key, const char *text, struct forward *out, struct why *why);
/* Appends it in full; port 0 as "auto". */
void forward_put(struct buf *out, const struct forward *f);
/* Both want the same port of the host. */
bool forward_same_port(const struct forward *a, const struct forward *b);

#endif
