/* SPDX-License-Identifier: MIT */
/*
 * publish_remote.c: publishing to a registry over the network: first into a layout of its own, which is
 * checked as any other, and from there.
 */
#include "cache/artifact.h"
#include "cache/base/io.h"
#include "cache/cosign.h"
#include "cache/limits.h"
#include "cache/publish_push.h"
#include "cache/publish_sign.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Removes (path) when the pipe's other end is closed, by us or by the end of this process, however it comes. */
static pid_t keep_watch(const char *path, int *end)
{
	int p[2];
	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	pid_t pid = fork();
	if (pid == 0) {
		char c;
		setsid(); /* ^C is not for it */
		close(p[1]);
		for (int s = 1; s < 16; s++)
			signal(s, SIG_IGN);
		while (read(p[0], &c, 1) < 0 && errno == EINTR)
			continue;
		io_remove_tree(AT_FDCWD, path);
		_exit(0);
	}
	close(p[0]);
	if (pid < 0)
		close(p[1]);
	*end = p[1];
	return pid;
}

/* What was published, in the order in which tags are to move: a signature before what it signs, so that nobody
 * who wants one finds it missing. */
struct published {
	char *name;
	struct push_item items[2];
	size_t count;
};

static void published_free(struct published *p)
{
	for (size_t i = 0; i < p->count; i++) {
		free(p->items[i].digest);
		free(p->items[i].tag);
	}
	free(p->name);
}

static void take_item(struct published *p, const char *ref, const char *digest)
{
	const char *colon = strrchr(ref, ':');
	struct push_item item = { xstrdup(digest), xstrdup(colon + 1) };
	if (!p->name)
		p->name = xstrndup(ref, (size_t)(colon - ref));
	if (p->count == 1 && cosign_is_tag(item.tag)) {
		p->items[1] = p->items[0];
		p->items[0] = item;
	} else {
		p->items[p->count] = item;
	}
	p->count++;
}

static int read_published(const char *layout, struct published *p, struct why *why)
{
	autobuf struct buf text = { 0 };
	autojson json_t *doc = NULL;
	json_t *list = NULL;
	autofree char *path = xasprintf("%s/index.json", layout);
	int err = io_read_file(AT_FDCWD, path, 1u << 20, &text);
	if (err < 0)
		return why_fail_errno(why, err, "%s", path);
	err = strict_load(text.data ? text.data : "", text.len, "index.json", &doc, why);
	if (!err)
		err = strict_list(doc, "manifests", REQUIRED, MAX_INDEX_ENTRIES, &list, why);
	for (size_t i = 0; !err && i < json_array_size(list) && p->count < 2; i++) {
		const json_t *d = json_array_get(list, i);
		const char *ref =
			json_string_value(json_object_get(json_object_get(d, "annotations"), NOTE_REF));
		const char *digest = json_string_value(json_object_get(d, "digest"));
		if (ref && digest && strrchr(ref, ':'))
			take_item(p, ref, digest);
	}
	if (!err && !p->count)
		err = why_fail(why, -EIO, "%s: what was just published is not there", layout);
	return err;
}

static int put_manifest(const struct layout_out *o, const char *ref, const struct buf *text, struct why *why)
{
	struct digest d;
	int err = layout_blob_put(o, text->data, text->len, &d, why);
	return err ? err : layout_tag(o, ref, &d, text->len, why);
}

/* In the layout, added to what the registry has. The blobs of that are there; only its manifest is fetched. */
static int sign(const char *layout, const struct push_to *to, const char *name, const char *key_path,
	const char *digest, struct why *why)
{
	autobuf struct buf now = { 0 };
	char tag[COSIGN_TAG_LEN + 1];
	struct layout_out o;
	struct digest d;
	if (digest_parse(digest, &d) < 0)
		return why_fail(why, -EINVAL, "%s is no digest", digest);
	cosign_tag(&d, tag);
	autofree char *ref = xasprintf("%s:%s", name, tag);
	int err = publish_pull(to, name, tag, MAX_SIGNED, &now, why);
	if (err && err != -ENOENT)
		return err;
	why_clear(why);
	err = layout_out_open(&o, layout, why);
	if (!err && now.len > 0)
		err = put_manifest(&o, ref, &now, why);
	if (!err)
		err = publish_signature(&o, key_path, name, &d, why);
	layout_out_close(&o);
	return err;
}

static int make(const char *dir, const char *layout, const struct push_to *to, const char *reference,
	const char *sign_key, publish_progress_fn *progress, void *arg, char *digest, struct published *out,
	struct why *why)
{
	int err = sign_key ? cosign_key_check(sign_key, why) : 0;
	if (!err)
		err = publish_directory(dir, layout, reference, NULL, progress, arg, digest, why);
	if (!err)
		err = read_published(layout, out, why);
	if (err || !sign_key)
		return err;
	err = sign(layout, to, out->name, sign_key, digest, why);
	published_free(out);
	*out = (struct published){ 0 };
	return err ? err : read_published(layout, out, why);
}

int publish_to_registry(const char *dir, const struct push_to *to, const char *reference,
	const char *sign_key, publish_progress_fn *progress, void *arg, char *digest, struct why *why)
{
	const char *tmp = getenv("TMPDIR");
	autofree char *layout = xasprintf("%s/diverfs-publish-XXXXXX", tmp && *tmp ? tmp : "/var/tmp");
	struct published published = { 0 };
	int end = -1;
	if (!mkdtemp(layout))
		return why_fail_errno(
			why, -errno, "cannot make a directory in %s", tmp && *tmp ? tmp : "/var/tmp");
	pid_t watcher = keep_watch(layout, &end);
	if (watcher < 0) {
		rmdir(layout);
		return why_fail_errno(why, (int)watcher, "cannot start a process");
	}
	int err = make(dir, layout, to, reference, sign_key, progress, arg, digest, &published, why);
	if (!err)
		err = publish_push(
			layout, to, published.name, published.items, published.count, progress, arg, why);
	published_free(&published);
	close(end);
	waitpid(watcher, NULL, 0);
	return err;
}
