/* SPDX-License-Identifier: MIT */
/* publish_sign.c: a manifest with one layer a signature, as cosign writes it. */
#include "cache/publish_sign.h"

#include "cache/artifact.h"
#include "cache/cosign.h"

#include <string.h>

/* What an image's config must say at least: the payloads are its layers. */
static void make_config(const json_t *layers, struct buf *out)
{
	autojson json_t *config = json_object();
	json_t *rootfs = json_object(), *ids = json_array();
	size_t i;
	const json_t *layer;
	json_array_foreach((json_t *)(uintptr_t)layers, i, layer)
		json_array_append(ids, json_object_get(layer, "digest"));
	json_object_set_new(config, "architecture", json_string(""));
	json_object_set_new(config, "os", json_string(""));
	json_object_set_new(config, "config", json_object());
	json_object_set_new(rootfs, "type", json_string("layers"));
	json_object_set_new(rootfs, "diff_ids", ids);
	json_object_set_new(config, "rootfs", rootfs);
	strict_dump(config, out);
}

int signature_docs_make(struct signature_docs *s, const char *key_path, const char *repository,
	const struct digest *d, struct why *why)
{
	autobuf struct buf signature = { 0 };
	memset(s, 0, sizeof(*s));
	int err = cosign_sign(key_path, repository, d, &s->payload, &signature, why);
	if (err)
		return err;
	digest_of(s->payload.data, s->payload.len, &s->payload_digest);
	autojson json_t *layers = json_array();
	json_t *layer = descriptor_new(MT_SIGNATURE, &s->payload_digest, s->payload.len),
	       *notes = json_object();
	json_object_set_new(notes, NOTE_SIGNATURE, json_string(signature.data));
	json_object_set_new(layer, "annotations", notes);
	json_array_append_new(layers, layer);
	make_config(layers, &s->config);
	digest_of(s->config.data, s->config.len, &s->config_digest);
	autojson json_t *m = json_object();
	json_object_set_new(m, "schemaVersion", json_integer(2));
	json_object_set_new(m, "mediaType", json_string(MT_MANIFEST));
	json_object_set_new(m, "config", descriptor_new(MT_OCI_CONF, &s->config_digest, s->config.len));
	json_object_set(m, "layers", layers);
	strict_dump(m, &s->manifest);
	digest_of(s->manifest.data, s->manifest.len, &s->manifest_digest);
	return 0;
}

static int put(const struct layout_out *o, const struct buf *bytes, struct why *why)
{
	struct digest d;
	return layout_blob_put(o, bytes->data, bytes->len, &d, why);
}

int publish_signature(const struct layout_out *o, const char *key_path, const char *repository,
	const struct digest *d, struct why *why)
{
	struct signature_docs s;
	char tag[COSIGN_TAG_LEN + 1];
	cosign_tag(d, tag);
	autofree char *ref = xasprintf("%s:%s", repository, tag);
	int err = signature_docs_make(&s, key_path, repository, d, why);
	if (!err)
		err = put(o, &s.payload, why);
	if (!err)
		err = put(o, &s.config, why);
	if (!err)
		err = put(o, &s.manifest, why);
	if (!err)
		err = layout_tag(o, ref, &s.manifest_digest, s.manifest.len, why);
	signature_docs_free(&s);
	return err;
}

void signature_docs_free(struct signature_docs *s)
{
	buf_free(&s->payload);
	buf_free(&s->config);
	buf_free(&s->manifest);
}
