/* SPDX-License-Identifier: MIT */
/*
 * policy.h: which delegated calls are allowed. Lines  allow|refuse|tell CALLS [PATH] , where CALLS is `all` or numbers of x86-64 system
 * calls separated by commas, and PATH the rest of the line. The first of allow and refuse that matches decides; without one a call is allowed. What a tell rule matches is told
 * when it fails.
 *
 * A rule with a path is for calls that name one. Each has two names: as it was said, made absolute, and where it really leads,
 * links followed. A refusal matches if one of them is PATH or below it, a permission if all are. Another thread of the program
 * that changes a link between the look and the call can get past it: policies are for programs, not for attackers in ring 0.
 */
#ifndef AGENT_POLICY_H
#define AGENT_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Replaces what was, for calls that begin from now on; -EINVAL: a line that is not as said, and nothing is changed. */
int policy_set(const char *text, size_t len);
bool policy_has_paths(uint64_t number); /* some rule wants to know the paths of this call */
bool policy_allows(uint64_t number, const char *const *paths, size_t count);
bool policy_tells(uint64_t number, const char *const *paths, size_t count); /* should it fail */
/* A child's calls are not looked at: with a rule that refuses anything there are children only if another allows fork. */
bool policy_allows_children(void);

#endif
