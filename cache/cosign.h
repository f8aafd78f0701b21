/* SPDX-License-Identifier: MIT */
/*
 * cosign.h: signatures as cosign keeps them: beside the tag of a kernel, whose digest is sha256:H, the same repository
 * has a tag sha256-H.sig. Its layers are texts that name the digest, each signed.
 *
 * Keys     PEM: public ones of ECDSA P-256 and Ed25519; private ones likewise, not encrypted (PKCS#8)
 * Trust    a signature says that who has the key stood behind these bytes under this name. It binds no tag and no time:
 *          an old kernel that was signed once stays signed
 * Errors   -EKEYREJECTED: no good signature; -EINVAL: not such a key; with words
 * Threads  any, once the keys are there
 * Source   FORMATS.md 7.1
 */
#ifndef CACHE_COSIGN_H
#define CACHE_COSIGN_H

#include "cache/digest.h"
#include "cache/json.h"

#define MT_SIGNATURE	    "application/vnd.dev.cosign.simplesigning.v1+json"
#define NOTE_SIGNATURE	    "dev.cosignproject.cosign/signature"
#define MAX_SIGNATURES	    32u
#define MAX_SIGNATURE_BYTES (64u << 10) /* a payload */
#define MAX_SIGNED	    (1u << 20)	/* a manifest of signatures */

/* "sha256-<hex>.sig" */
#define COSIGN_TAG_LEN (7 + DIGEST_HEX_LEN + 4)
void cosign_tag(const struct digest *d, char out[COSIGN_TAG_LEN + 1]);
/* Is it a tag that cosign keeps beside a kernel's: a signature, an attestation, a list of parts? */
bool cosign_is_tag(const char *tag);

struct cosign_keys;
/* (paths) is NULL-terminated. */
int cosign_keys_load(const char *const *paths, struct cosign_keys **out, struct why *why);
void cosign_keys_free(struct cosign_keys *k); /* NULL is fine */

/* Is (payload), whose signature in base64 is (signature), good for (digest) of (repository)? The repository it names must
 * be that, or end in it: a kernel may have been copied from another registry. */
int cosign_check(const struct cosign_keys *k, const void *payload, size_t len, const char *signature,
	const struct digest *digest, const char *repository, struct why *why);

/* The payload for (digest) of (repository), and its signature in base64 by the private key at (key_path). */
int cosign_sign(const char *key_path, const char *repository, const struct digest *digest,
	struct buf *payload, struct buf *signature, struct why *why);
/* Was (signature), in base64, made over (payload) with the private key at (key_path)? */
bool cosign_is_by(const char *key_path, const void *payload, size_t len, const char *signature);
/* Is there such a private key? */
int cosign_key_check(const char *key_path, struct why *why);

#endif
