/* SPDX-License-Identifier: MIT */
/* publish_sign.c: a manifest with one layer a signature, as cosign writes it. */
#include "cache/publish_sign.h"

#include "cache/artifact.h"
#include "cache/base/io.h"
#include "cache/cosign.h"

#include <errno.h>
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

static json_t *empty_manifest(void)
{
	json_t *m = json_object();
	json_object_set_new(m, "schemaVersion", json_integer(2));
	json_object_set_new(m, "mediaType", json_string(MT_MANIFEST));
	json_object_set_new(m, "layers", json_array());
	return m;
}

static int read_blob(const struct layout_out *o, const struct digest *d, struct buf *text, struct why *why)
{
	char hex[DIGEST_HEX_LEN + 1];
	digest_hex(d, hex);
	int err = io_read_file(o->blobs_fd, hex, MAX_SIGNED, text);
	return err < 0 ? why_fail_errno(why, err, "%s/blobs/sha256/%s", o->path, hex) : 0;
}

/* What the tag has now, with its list of layers; an empty one if there is none. */
static int read_manifest(
	const struct layout_out *o, const char *ref, json_t **m, json_t **layers, struct why *why)
{
	autobuf struct buf text = { 0 };
	struct why in = { 0 };
	struct digest d;
	int err = layout_find(o, ref, &d, why);
	if (err == -ENOENT) {
		*m = empty_manifest();
		*layers = json_object_get(*m, "layers");
		return 0;
	}
	if (!err)
		err = read_blob(o, &d, &text, why);
	if (err)
		return err;
	err = strict_load(text.data ? text.data : "", text.len, "manifest of signatures", m, &in);
	if (!err)
		err = strict_list(*m, "layers", REQUIRED, MAX_SIGNATURES - 1, layers, &in);
	return err ? why_fail(why, err, "to what is under %s no signature can be added: %s", ref, in.text)
		   : 0;
}

static bool is_there(
	const json_t *layers, const char *key_path, const struct buf *payload, const struct digest *d)
{
	size_t i;
	const json_t *layer;
	json_array_foreach((json_t *)(uintptr_t)layers, i, layer)
	{
		struct descriptor is;
		if (descriptor_read(layer, &is, NULL) < 0 || !digest_equal(&is.digest, d))
			continue;
		const char *signature = json_string_value(json_object_get(is.annotations, NOTE_SIGNATURE));
		if (signature && cosign_is_by(key_path, payload->data, payload->len, signature))
			return true;
	}
	return false;
}

static void add_layer(
	json_t *layers, const struct buf *payload, const struct digest *d, const char *signature)
{
	json_t *layer = descriptor_new(MT_SIGNATURE, d, payload->len), *notes = json_object();
	json_object_set_new(notes, NOTE_SIGNATURE, json_string(signature));
	json_object_set_new(layer, "annotations", notes);
	json_array_append_new(layers, layer);
}

/* The config of (layers), and the manifest with it. */
static int put_manifest(
	const struct layout_out *o, json_t *m, const json_t *layers, const char *ref, struct why *why)
{
	autobuf struct buf config = { 0 }, text = { 0 };
	struct digest d;
	make_config(layers, &config);
	int err = layout_blob_put(o, config.data, config.len, &d, why);
	if (err)
		return err;
	json_object_set_new(m, "config", descriptor_new(MT_OCI_CONF, &d, config.len));
	strict_dump(m, &text);
	err = layout_blob_put(o, text.data, text.len, &d, why);
	return err ? err : layout_tag_locked(o, ref, &d, text.len, why);
}

int publish_signature(const struct layout_out *o, const char *key_path, const char *repository,
	const struct digest *d, struct why *why)
{
	autobuf struct buf payload = { 0 }, signature = { 0 };
	autojson json_t *m = NULL;
	json_t *layers = NULL;
	struct digest of_payload;
	char tag[COSIGN_TAG_LEN + 1];
	int err = cosign_sign(key_path, repository, d, &payload, &signature, why);
	if (err)
		return err;
	cosign_tag(d, tag);
	autofree char *ref = xasprintf("%s:%s", repository, tag);
	autoclose int lock = layout_lock(o, why);
	if (lock < 0)
		return lock;
	err = read_manifest(o, ref, &m, &layers, why);
	if (!err)
		err = layout_blob_put(o, payload.data, payload.len, &of_payload, why);
	if (err || is_there(layers, key_path, &payload, &of_payload))
		return err;
	add_layer(layers, &payload, &of_payload, signature.data);
	return put_manifest(o, m, layers, ref, why);
}
