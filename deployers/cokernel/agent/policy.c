/* SPDX-License-Identifier: MIT */
/*
 * policy.c: the rules in force are a list that never changes; a new list replaces it. The old one is kept, as a thread may be
 * looking at it: the process lives as long as its HRT, and a list has at most 64 KiB.
 */
#include "deployers/cokernel/agent/policy.h"

#include "deployers/cokernel/agent/parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

struct rule {
	struct rule *next;
	enum { REFUSE, ALLOW, TELL } verb;
	bool all; /* calls */
	uint64_t calls[GUEST_CALLS / 64];
	char *path; /* NULL: any; no slash at its end */
	size_t path_len;
};

struct policy {
	struct rule *rules;
	struct policy *older;
};

static struct policy *policy; /* NULL: everything is allowed */

static int parse_calls(struct rule *r, char *text)
{
	char *word, *end;

	if (!strcmp(text, "all")) {
		r->all = true;
		return 0;
	}
	while ((word = strsep(&text, ","))) {
		unsigned long n = strtoul(word, &end, 10);

		if (end == word || *end || n >= GUEST_CALLS)
			return fail(-EINVAL, "policy: %.32s is not the number of a system call", word);
		r->calls[n / 64] |= 1ull << n % 64;
	}
	return 0;
}

static int parse_path(struct rule *r, char *path)
{
	path += strspn(path, " ");
	size_t len = strlen(path);
	while (len && (path[len - 1] == ' ' || path[len - 1] == '/'))
		len--;
	if (!*path)
		return 0;
	if (*path != '/')
		return fail(-EINVAL, "policy: the path %.64s does not begin with /", path);
	r->path = strndup(path, len);
	r->path_len = len;
	return r->path ? 0 : -ENOMEM;
}

/* 1: there was no rule in the line. */
static int parse_line(char *line, struct rule *r)
{
	*r = (struct rule){ 0 };
	line += strspn(line, " \t");
	if (!*line || *line == '#')
		return 1;
	char *action = strsep(&line, " "), *calls = line ? strsep(&line, " ") : NULL;

	r->verb = !strcmp(action, "allow") ? ALLOW : !strcmp(action, "tell") ? TELL : REFUSE;
	if (!calls || (r->verb == REFUSE && strcmp(action, "refuse")))
		return fail(-EINVAL, "policy: %.64s: a line is  allow|refuse|tell CALLS [PATH]", action);
	int err = parse_calls(r, calls);
	return err || !line ? err : parse_path(r, line);
}

static void drop(struct rule *list)
{
	while (list) {
		struct rule *next = list->next;

		free(list->path);
		free(list);
		list = next;
	}
}

static int parse(char *text, struct rule **list)
{
	struct rule r, **tail = list;
	char *line;

	while ((line = strsep(&text, "\n"))) {
		int err = parse_line(line, &r);

		if (err > 0)
			continue;
		*tail = err ? NULL : malloc(sizeof(r));
		if (!*tail) {
			free(r.path);
			return err ? err : -ENOMEM;
		}
		**tail = r;
		tail = &(*tail)->next;
	}
	return 0;
}

int policy_set(const char *text, size_t len)
{
	char *copy = strndup(text ? text : "", len);
	struct policy *next = calloc(1, sizeof(*next));
	int err = copy && next ? parse(copy, &next->rules) : -ENOMEM;

	free(copy);
	if (err) {
		drop(next ? next->rules : NULL);
		free(next);
		return err;
	}
	next->older = policy;
	__atomic_store_n(&policy, next, __ATOMIC_RELEASE);
	return 0;
}

static const struct rule *first(void)
{
	const struct policy *p = __atomic_load_n(&policy, __ATOMIC_ACQUIRE);

	return p ? p->rules : NULL;
}

static bool is_for(const struct rule *r, uint64_t number)
{
	return r->all || (number < GUEST_CALLS && r->calls[number / 64] >> number % 64 & 1);
}

bool policy_has_paths(uint64_t number)
{
	for (const struct rule *r = first(); r; r = r->next)
		if ((r->path || r->verb == TELL) && is_for(r, number))
			return true;
	return false;
}

static bool is_below(const struct rule *r, const char *path)
{
	return !strncmp(path, r->path, r->path_len) && (path[r->path_len] == '/' || !path[r->path_len]);
}

static bool matches(const struct rule *r, const char *const *paths, size_t count)
{
	size_t below = 0;

	if (!r->path)
		return true;
	for (size_t i = 0; i < count; i++)
		below += is_below(r, paths[i]);
	return r->verb == ALLOW ? count && below == count : below > 0;
}

bool policy_allows(uint64_t number, const char *const *paths, size_t count)
{
	for (const struct rule *r = first(); r; r = r->next)
		if (r->verb != TELL && is_for(r, number) && matches(r, paths, count))
			return r->verb == ALLOW;
	return true;
}

bool policy_tells(uint64_t number, const char *const *paths, size_t count)
{
	for (const struct rule *r = first(); r; r = r->next)
		if (r->verb == TELL && is_for(r, number) && matches(r, paths, count))
			return true;
	return false;
}

bool policy_allows_children(void)
{
	bool refuses = false;

	for (const struct rule *r = first(); r; r = r->next) {
		if (r->verb != TELL && is_for(r, SYS_fork) && !r->path)
			return r->verb == ALLOW;
		refuses |= r->verb == REFUSE;
	}
	return !refuses;
}
