/* SPDX-License-Identifier: MIT */
/*
 * publish_check.h: reads an artifact back, with the reader that everybody uses, before its tag moves.
 *
 * Errors   -EILSEQ with words: what is in the layout is not what was given. A bug or a bad disk, never
 * published
 */
#ifndef CACHE_PUBLISH_CHECK_H
#define CACHE_PUBLISH_CHECK_H

#include "cache/digest.h"
#include "cache/publish_source.h"

int publish_check(const char *layout, const char *name, const struct digest *manifest,
	const struct publish_sums *sums, struct why *why);

#endif
