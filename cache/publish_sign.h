/* SPDX-License-Identifier: MIT */
/*
 * publish_sign.h: the signature of what is published: three small documents (cosign.h).
 *
 * Threads  any
 */
#ifndef CACHE_PUBLISH_SIGN_H
#define CACHE_PUBLISH_SIGN_H

#include "cache/publish_layout.h"

struct signature_docs {
	struct buf payload, config, manifest;
	struct digest payload_digest, config_digest, manifest_digest;
};
/* By the private key at (key_path). End with signature_docs_free, also after an error. */
int signature_docs_make(struct signature_docs *s, const char *key_path, const char *repository,
	const struct digest *d, struct why *why);
void signature_docs_free(struct signature_docs *s);

/* Puts them into a layout, in place of an earlier signature. */
int publish_signature(const struct layout_out *o, const char *key_path, const char *repository,
	const struct digest *d, struct why *why);

#endif
