/* SPDX-License-Identifier: MIT */
/*
 * policy.h: which delegated system calls are allowed, as users write it in `delegate`. One rule a line:
 *
 *     refuse all /etc/ssh           every call that names a path at or below it
 *     allow  openat,read,write      calls by name, by number, or by group
 *     refuse @net                   @net: sockets; @path: calls that name a path
 *     tell   openat                 of each that fails, once for each path
 *     refuse all
 *
 * The first rule of allow and refuse that matches decides; what none matches is allowed. '#' begins a comment.
 *
 * Errors   -EINVAL with the line in (why)
 * Threads  any
 */
#ifndef BASE_POLICY_H
#define BASE_POLICY_H

#include "cache/base/buf.h"
#include "cache/base/log.h"

#include <stddef.h>

#define POLICY_TEXT_MAX 32768u
#define POLICY_SENT_MAX 65536u
#define POLICY_CALL_MAX 511ul /* highest number of a call */

/* Checks (text). With (out) it appends the rules with numbers for names, "allow|refuse|tell all|N,N,... [PATH]" a line,
 * POLICY_SENT_MAX bytes at most, for an agent that has no table of names. */
int policy_parse(const char *text, size_t len, struct buf *out, struct why *why);

#endif
