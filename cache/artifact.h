/* SPDX-License-Identifier: MIT */
/*
 * artifact.h: manifests and indexes, as far as a kernel needs them.
 *
 * Shape    FORMATS.md 3.2: roles are told by media type and title, never by position; unknown
 *          layers are ignored
 * Owns     the texts belong to the json_t inside; artifact_free ends them all
 * Errors   -EBADMSG, -EFBIG with words
 * Source   OCI image-spec: manifest.md, image-index.md, descriptor.md
 */
#ifndef CACHE_ARTIFACT_H
#define CACHE_ARTIFACT_H

#include "cache/digest.h"
#include "cache/json.h"

#define MT_MANIFEST  "application/vnd.oci.image.manifest.v1+json"
#define MT_INDEX     "application/vnd.oci.image.index.v1+json"
#define MT_DK_INDEX  "application/vnd.docker.distribution.manifest.list.v2+json"
#define MT_KERNEL    "application/vnd.diverfs.kernel.v1"
#define MT_CONFIG    "application/vnd.diverfs.kernel.config.v1+json"
#define MT_IMAGE     "application/vnd.diverfs.kernel.image.v1"
#define MT_README    "text/markdown"
#define MT_TAR	     "application/vnd.oci.image.layer.v1.tar"
#define MT_TAR_ZSTD  MT_TAR "+zstd"
#define MT_OCI_CONF  "application/vnd.oci.image.config.v1+json"
#define OCI_NOTE     "org.opencontainers.image."
#define NOTE_REF     OCI_NOTE "ref.name"
#define NOTE_TITLE   OCI_NOTE "title"
#define NOTE_IN_CTRD "io.containerd.image.name"

struct descriptor {
	const char *media_type;
	const char *title; /* NULL if none */
	struct digest digest;
	uint64_t size;
	const json_t *annotations; /* NULL if none */
};

int descriptor_read(const json_t *o, struct descriptor *out, struct why *why);
json_t *descriptor_new(const char *media_type, const struct digest *d, uint64_t size);

struct artifact {
	json_t *json;
	struct descriptor config, readme, source;
	bool has_readme, has_source;
	bool kraft; /* maybe a package of kraftkit: only the layers are set */
	json_t *layers;
};

/* What the bytes of a manifest or index are: 1 an index, whose child for this machine is in (child); 0 a
 * manifest. */
int manifest_sort(const char *text, size_t len, json_t **doc, struct descriptor *child, struct why *why);
/* Takes (doc), a manifest, over. Refuses what is not a kernel. */
int artifact_read(struct artifact *a, json_t *doc, struct why *why);
void artifact_free(struct artifact *a);
/* The image layer with this digest: 0 or -ENOENT. */
int artifact_image(const struct artifact *a, const struct digest *d, struct descriptor *out, struct why *why);

#endif
