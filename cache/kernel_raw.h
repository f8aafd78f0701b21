/* SPDX-License-Identifier: MIT */
/*
 * kernel_raw.h: kernel.conf as it was written, key by key: what is between its two forms, text and JSON.
 *
 * Shape    values are checked texts; NULL where a key is missing. launch[0] is for all modes, launch[1
 *          + MODE] overrides
 * Form     the JSON is the artifact's config (FORMATS.md 3.2): top-level members with the keys' names,
 *          "modes" and "tools" as lists, "boot": [ {for all}, {"mode": "fullVM", ...}, ... ], sizes
 *          and counts as numbers
 * Threads  any
 */
#ifndef CACHE_KERNEL_RAW_H
#define CACHE_KERNEL_RAW_H

#include "cache/json.h"
#include "cache/kernel.h"

enum top_key {
	TOP_NAME,
	TOP_VERSION,
	TOP_DESCRIPTION,
	TOP_LICENSE,
	TOP_HOMEPAGE,
	TOP_KEYWORDS,
	TOP_FAMILY,
	TOP_ARCH,
	TOP_MODES,
	TOP_STDOUT,
	TOP_TERMINAL,
	TOP_TEMPLATE,
	TOP_BUILD,
	TOP_TOOLS,
	TOP_COUNT
};
enum launch_key {
	LAUNCH_IMAGE,
	LAUNCH_INITRD,
	LAUNCH_CMDLINE,
	LAUNCH_MEMORY,
	LAUNCH_MEMORY_MIN,
	LAUNCH_CPUS,
	LAUNCH_CPUS_MAX,
	LAUNCH_MACHINE,
	LAUNCH_CONSOLE,
	LAUNCH_COUNT
};
extern const char *const top_names[TOP_COUNT];
extern const char *const launch_names[LAUNCH_COUNT];

struct kernel_raw {
	char *top[TOP_COUNT];
	char *launch[1 + MODE_COUNT][LAUNCH_COUNT];
};

/* End with kernel_raw_free, also after an error. */
int kernel_raw_parse(struct kernel_raw *r, const char *text, size_t len, bool strict, struct why *why);
void kernel_raw_free(struct kernel_raw *r);
/* Appends the canonical text: keys in the order of the enums, nothing that is missing. */
void kernel_raw_put(const struct kernel_raw *r, struct buf *out);

/* The config's members, but for files[]; and back. Unknown members are ignored, known ones of a wrong type
 * refused. */
json_t *kernel_raw_to_json(const struct kernel_raw *r);
int kernel_raw_from_json(struct kernel_raw *r, const json_t *config, struct why *why);

/* NAME and TAG of the OCI distribution grammar. */
bool name_is_repository(const char *s);
bool name_is_tag(const char *s);

#endif
