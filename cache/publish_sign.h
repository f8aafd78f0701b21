/* SPDX-License-Identifier: MIT */
/*
 * publish_sign.h: the signature of what is published (cosign.h).
 *
 * Adds     to the signatures that the layout has for the digest, as cosign does. One that this key has made already is not
 *          made again: the same kernel published twice has one signature, and the same manifest of signatures
 * Threads  any
 */
#ifndef CACHE_PUBLISH_SIGN_H
#define CACHE_PUBLISH_SIGN_H

#include "cache/publish_layout.h"

/* By the private key at (key_path). */
int publish_signature(const struct layout_out *o, const char *key_path, const char *repository,
	const struct digest *d, struct why *why);

#endif
