/* SPDX-License-Identifier: MIT */
/*
 * registries.h: which registries are mounted, and what the configuration file says of them.
 *
 *     # /etc/diverfs.conf, or $XDG_CONFIG_HOME/diverfs/config (~/.config/diverfs/config), or -o config=FILE
 *     registry = https://registry.example.org      in order; what follows is about this one
 *     names = lib/sort lib/upper                   its repositories, if it does not list them
 *     ca = /etc/ssl/ours.pem                       its certificate authority
 *     insecure = yes                               plain HTTP
 *
 * Those that are named on the command line are taken instead of the file's; what the file says of the same
 * address holds for them, too. Without any it is the embedded one.
 */
#ifndef FS_REGISTRIES_H
#define FS_REGISTRIES_H

#include "cache/base/log.h"

#include <stdbool.h>
#include <stddef.h>

struct registry_choice {
	char *where;   /* an absolute path, or an address */
	char **names;  /* NULL-terminated; NULL: it is asked */
	char *ca_file; /* NULL: as for all */
	bool insecure;
};

struct registry_choices {
	struct registry_choice *list;
	size_t count;
};

/* (given): what the command line names, maybe nothing. (config): -o config=, or NULL for the usual places. */
int registries_choose(const char *config, char *const *given, size_t count, struct registry_choices *out,
	struct why *why);
void registries_free(struct registry_choices *r);

#endif
