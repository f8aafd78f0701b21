/* SPDX-License-Identifier: MIT */
/*
 * limits.h: how much a stranger may ask of us. FORMATS.md 8 gives the reasons.
 *
 * Units    bytes, or counts where the name says so
 */
#ifndef CACHE_LIMITS_H
#define CACHE_LIMITS_H

#define MAX_LAYOUT_INDEX  (32u << 20) /* index.json of a layout: some 100,000 tags */
#define MAX_MANIFEST	  (4u << 20)
#define MAX_CONFIG	  (1u << 20)
#define MAX_README	  (4u << 20)
#define MAX_TOC		  (150u << 20) /* packed as well as raw */
#define MAX_ENTRIES	  2000000u
#define MAX_CHUNKS	  4000000u
#define MAX_LAYERS	  4096u
#define MAX_INDEX_ENTRIES 256u
#define MAX_CHUNK	  (64u << 20)
#define MAX_CHUNK_PACKED  (MAX_CHUNK + (1u << 20))
#define MAX_LAYER_RAW	  (UINT64_C(16) << 30)
#define MAX_BLOB	  (UINT64_C(1) << 40)
#define MAX_PATH_LEN	  4096u
#define MAX_NAME_LEN	  255u
#define MAX_DEPTH	  256u
#define MAX_JSON_DEPTH	  32u
#define MAX_JSON_INT	  (INT64_C(1) << 53)
#define MAX_KERNEL_CONF	  (64u << 10)

#endif
