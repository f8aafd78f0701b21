/* SPDX-License-Identifier: MIT */
/*
 * chosen.c: a name becomes a kernel in three steps, each of which may have to wait: the list of names (only
 * when no tag was given), the view, and its kernel.conf.
 */
#include "fs/chosen.h"

#include "fs/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define KERNEL_CONF_MAX (1u << 20)

struct finding {
	struct cache *cache;
	char *name;
	struct chosen *k; /* being filled */
	bool brief;
	chosen_fn *done;
	void *arg;
};

static void finding_end(struct finding *f, int err, const struct why *why)
{
	struct chosen *k = f->k;

	if (err) {
		chosen_put(k);
		k = NULL;
	}
	f->done(f->arg, err, why, k);
	free(f->name);
	free(f);
}

static void conf_read(void *arg, int err, const struct why *why, const void *data, size_t len)
{
	struct finding *f = arg;
	struct why mine = { 0 };

	if (err) {
		finding_end(f, err, why);
		return;
	}
	err = kernel_conf_parse(&f->k->conf, data, len, false, &mine);
	if (err)
		why_prefix(&mine, "%s: kernel.conf", f->k->text);
	finding_end(f, err, &mine);
}

static void view_found(void *arg, int err, const struct why *why, struct view *view)
{
	struct finding *f = arg;
	struct why mine = { 0 };
	struct entry e;
	const char *tag;

	if (err) {
		finding_end(f, err, why);
		return;
	}
	tag = view_tag(view);
	f->k->view = view;
	f->k->text = xasprintf("%s%c%s", view_name(view), strncmp(tag, "sha256:", 7) ? ':' : '@', tag);
	err = view_path(view, "kernel.conf", &e);
	if (!err && (e.type != ENTRY_FILE || e.size > KERNEL_CONF_MAX))
		err = -EBADMSG;
	if (err) {
		why_fail_errno(&mine, err, "%s has no usable kernel.conf", f->k->text);
		finding_end(f, err, &mine);
		return;
	}
	view_read(view, e.index, 0, e.size, conf_read, f);
}

static void find_view(struct finding *f, const char *reference)
{
	(f->brief ? cache_brief : cache_view)(f->cache, f->name, reference, view_found, f);
}

static bool better(const char *tag, const char *best)
{
	if (!best || strcmp(tag, "latest") == 0)
		return true;
	return strcmp(best, "latest") != 0 && config_version_higher(tag, best);
}

static void names_found(void *arg, int err, const struct why *why, struct names *names)
{
	struct finding *f = arg;
	struct why mine = { 0 };
	autofree char *tag = NULL;
	const char *best = NULL;

	if (err) {
		finding_end(f, err, why);
		return;
	}
	for (uint32_t i = 0; i < names_count(names); i++) {
		const struct name *n = names_at(names, i);

		if (strcmp(n->name, f->name) == 0 && better(n->tag, best))
			best = n->tag;
	}
	tag = best ? xstrdup(best) : NULL;
	names_put(names);
	if (tag) {
		find_view(f, tag);
		return;
	}
	why_fail(&mine, -ENOENT, "there is no kernel '%s' (ls kernels/ shows what there is)", f->name);
	finding_end(f, -ENOENT, &mine);
}

void chosen_find(
	struct cache *c, const char *name, const char *reference, bool brief, chosen_fn *done, void *arg)
{
	struct finding *f = xcalloc(1, sizeof(*f));

	f->cache = c;
	f->name = xstrdup(name);
	f->brief = brief;
	f->done = done;
	f->arg = arg;
	f->k = xcalloc(1, sizeof(*f->k));
	f->k->refs = 1;
	if (reference)
		find_view(f, reference);
	else
		cache_names(c, names_found, f);
}

struct chosen *chosen_get(struct chosen *k)
{
	k->refs++;
	return k;
}

void chosen_put(struct chosen *k)
{
	if (!k || --k->refs)
		return;
	if (k->view)
		view_put(k->view);
	kernel_conf_free(&k->conf);
	free(k->text);
	free(k);
}
