/* SPDX-License-Identifier: MIT */
/* artifact.c: reads manifests of strangers. */
#include "cache/artifact.h"

#include "cache/limits.h"

#include <errno.h>
#include <string.h>

int descriptor_read(const json_t *o, struct descriptor *out, struct why *why)
{
	const char *digest = NULL;
	json_t *notes = NULL;
	memset(out, 0, sizeof(*out));
	if (!json_is_object(o))
		return why_fail(why, -EBADMSG, "a descriptor is not an object");
	int err = strict_text(o, "mediaType", REQUIRED, &out->media_type, why);
	if (!err)
		err = strict_text(o, "digest", REQUIRED, &digest, why);
	if (!err)
		err = strict_number(o, "size", REQUIRED, MAX_BLOB, &out->size, why);
	if (!err)
		err = strict_object(o, "annotations", OPTIONAL, &notes, why);
	if (!err && notes)
		err = strict_text(notes, NOTE_TITLE, OPTIONAL, &out->title, why);
	if (err)
		return err;
	out->annotations = notes;
	if (digest_parse(digest, &out->digest) < 0)
		return why_fail(why, -EBADMSG, "\"%.100s\" is not a SHA-256 digest", digest);
	return 0;
}

json_t *descriptor_new(const char *media_type, const struct digest *d, uint64_t size)
{
	char text[DIGEST_TEXT_LEN + 1];
	json_t *o = json_object();
	digest_text(d, text);
	json_object_set_new(o, "mediaType", json_string(media_type));
	json_object_set_new(o, "digest", json_string(text));
	json_object_set_new(o, "size", json_integer((json_int_t)size));
	return o;
}

static bool is_manifest_type(const char *t)
{
	return strcmp(t, MT_MANIFEST) == 0;
}

/* x86_64 under either of its names; one that names no platform counts if nothing better is there. */
static int rate_child(const json_t *o, const struct descriptor *d)
{
	const json_t *platform = json_object_get(o, "platform");
	const char *arch = json_string_value(json_object_get(platform, "architecture"));
	if (!is_manifest_type(d->media_type))
		return 0;
	if (!platform)
		return 1;
	const char *os = json_string_value(json_object_get(platform, "os"));
	if (!arch || (strcmp(arch, "amd64") != 0 && strcmp(arch, "x86_64") != 0))
		return 0;
	return os && (strcmp(os, "qemu") == 0 || strcmp(os, "kvm") == 0)
		       ? 3
		       : 2; /* kraftkit's; others are for Xen and the like */
}

static int pick_child(const json_t *doc, struct descriptor *child, struct why *why)
{
	json_t *list = NULL;
	int best = 0, err = strict_list(doc, "manifests", REQUIRED, MAX_INDEX_ENTRIES, &list, why);
	for (size_t i = 0; !err && i < json_array_size(list); i++) {
		struct descriptor d;
		const json_t *o = json_array_get(list, i);
		err = descriptor_read(o, &d, why);
		if (!err && rate_child(o, &d) > best) {
			best = rate_child(o, &d);
			*child = d;
		}
	}
	if (!err && best == 0)
		err = why_fail(why, -EBADMSG, "the index has no manifest for x86_64");
	return err;
}

int manifest_sort(const char *text, size_t len, json_t **doc, struct descriptor *child, struct why *why)
{
	const char *type = NULL;
	uint64_t schema = 0;
	int err = strict_load(text, len, "manifest", doc, why);
	if (!err)
		err = strict_number(*doc, "schemaVersion", REQUIRED, 2, &schema, why);
	if (!err)
		err = strict_text(*doc, "mediaType", OPTIONAL, &type, why);
	if (err)
		return err;
	bool index = json_object_get(*doc, "manifests") != NULL;
	bool manifest = json_object_get(*doc, "config") || json_object_get(*doc, "layers");
	if (schema != 2 || index == manifest)
		return why_fail(why, -EBADMSG,
			"the document is neither a manifest nor an index, or claims to be both");
	if (type && strcmp(type, index ? MT_INDEX : MT_MANIFEST) != 0 &&
		!(index && strcmp(type, MT_DK_INDEX) == 0))
		return why_fail(why, -EBADMSG, "a document of the type %.100s cannot be read", type);
	if (!index)
		return 0;
	err = pick_child(*doc, child, why);
	return err ? err : 1;
}

static bool titled(const struct descriptor *d, const char *type, const char *title)
{
	return strcmp(d->media_type, type) == 0 && d->title && strcmp(d->title, title) == 0;
}

/* Of ours it is zstd:chunked; other tools may have packed it otherwise. */
static bool is_source(const struct descriptor *d)
{
	static const char *const types[] = { MT_TAR_ZSTD, MT_TAR "+gzip", MT_TAR };
	static const char *const titles[] = { "src.tar.zst", "src.tar.gz", "src.tgz", "src.tar" };
	bool type = false, title = false;
	for (size_t i = 0; i < 3; i++)
		type |= strcmp(d->media_type, types[i]) == 0;
	for (size_t i = 0; i < 4; i++)
		title |= d->title && strcmp(d->title, titles[i]) == 0;
	return type && title;
}

static int take_role(struct descriptor *to, bool *has, const struct descriptor *d, struct why *why)
{
	if (*has)
		return why_fail(why, -EBADMSG, "the manifest has two layers titled %s", d->title);
	*to = *d;
	*has = true;
	return 0;
}

static int read_layers(struct artifact *a, struct why *why)
{
	int err = strict_list(a->json, "layers", REQUIRED, MAX_LAYERS, &a->layers, why);
	for (size_t i = 0; !err && i < json_array_size(a->layers); i++) {
		struct descriptor d;
		err = descriptor_read(json_array_get(a->layers, i), &d, why);
		if (!err && titled(&d, MT_README, "README.md"))
			err = take_role(&a->readme, &a->has_readme, &d, why);
		else if (!err && is_source(&d))
			err = take_role(&a->source, &a->has_source, &d, why);
	}
	return err;
}

int artifact_read(struct artifact *a, json_t *doc, struct why *why)
{
	const char *type = NULL;
	json_t *config = NULL;
	memset(a, 0, sizeof(*a));
	a->json = doc;
	int err = strict_text(doc, "artifactType", OPTIONAL, &type, why);
	if (!err)
		err = strict_object(doc, "config", REQUIRED, &config, why);
	if (!err)
		err = descriptor_read(config, &a->config, why);
	if (err)
		return err;
	a->kraft = !type && strcmp(a->config.media_type, MT_OCI_CONF) == 0;
	if (a->kraft)
		return strict_list(doc, "layers", REQUIRED, MAX_LAYERS, &a->layers, why);
	if ((type && strcmp(type, MT_KERNEL) != 0) || strcmp(a->config.media_type, MT_CONFIG) != 0)
		return why_fail(why, -EBADMSG,
			"not a kernel artifact: its type is %.100s, and kernels of diverfs have " MT_KERNEL,
			type ? type : a->config.media_type);
	return read_layers(a, why);
}

void artifact_free(struct artifact *a)
{
	json_decref(a->json);
	memset(a, 0, sizeof(*a));
}

int artifact_image(
	const struct artifact *a, const struct digest *want, struct descriptor *out, struct why *why)
{
	for (size_t i = 0; i < json_array_size(a->layers); i++)
		if (descriptor_read(json_array_get(a->layers, i), out, NULL) == 0 &&
			digest_equal(&out->digest, want) && strcmp(out->media_type, MT_IMAGE) == 0)
			return 0;
	return why_fail(why, -EBADMSG, "the config speaks of an image that is no layer of the manifest");
}
