/* SPDX-License-Identifier: MIT */
/*
 * digest_two.c: SHA-256 of two texts of one length at the same time, with the CPU's instructions for it (x86's SHA
 * extensions). Each round waits for the one before; those of another text fill the time, so that two take little
 * longer than one. Without such a CPU: one after the other, by libcrypto.
 *
 * Source   FIPS 180-4; Intel's manual of instructions, SHA256RNDS2, SHA256MSG1, SHA256MSG2
 */
#include "cache/digest.h"

#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

#define LANES 2
#define BLOCK 64u
#define SHA   __attribute__((target("sha,sse4.1,ssse3")))

static const uint32_t constants[64] __attribute__((aligned(16))) = { 0x428a2f98, 0x71374491, 0xb5c0fbcf,
	0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
	0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6,
	0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8,
	0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
	0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70,
	0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c,
	0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814,
	0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2 };

struct lane { /* the state in the order that the instructions want: A B E F and C D G H, the first highest */
	__m128i abef, cdgh;
};

/* Four words of the schedule: those of the text, or of the sixteen before; w[n % 4] has words 4n to 4n + 3. */
SHA static inline __m128i words(const __m128i *w, unsigned n, const uint8_t *block)
{
	const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
	if (n < 4)
		return _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(block + 16 * n)), big_endian);
	__m128i four = w[n % 4], three = w[(n + 1) % 4], two = w[(n + 2) % 4], one = w[(n + 3) % 4];
	__m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(four, three), _mm_alignr_epi8(one, two, 4));
	return _mm_sha256msg2_epu32(sum, one);
}

SHA static void add_blocks(struct lane lane[LANES], const uint8_t *const text[LANES], size_t count)
{
	struct lane a = lane[0], b = lane[1];
	for (size_t at = 0; at < count * BLOCK; at += BLOCK) {
		const struct lane was_a = a, was_b = b;
		__m128i wa[4], wb[4];
#pragma GCC unroll 16
		for (unsigned n = 0; n < 16; n++) {
			const __m128i k = _mm_load_si128((const __m128i *)(constants + 4 * n));
			wa[n % 4] = words(wa, n, text[0] + at);
			wb[n % 4] = words(wb, n, text[1] + at);
			__m128i ka = _mm_add_epi32(wa[n % 4], k), kb = _mm_add_epi32(wb[n % 4], k);
			a.cdgh = _mm_sha256rnds2_epu32(a.cdgh, a.abef, ka);
			b.cdgh = _mm_sha256rnds2_epu32(b.cdgh, b.abef, kb);
			a.abef = _mm_sha256rnds2_epu32(a.abef, a.cdgh, _mm_shuffle_epi32(ka, 0x0e));
			b.abef = _mm_sha256rnds2_epu32(b.abef, b.cdgh, _mm_shuffle_epi32(kb, 0x0e));
		}
		a.abef = _mm_add_epi32(a.abef, was_a.abef);
		a.cdgh = _mm_add_epi32(a.cdgh, was_a.cdgh);
		b.abef = _mm_add_epi32(b.abef, was_b.abef);
		b.cdgh = _mm_add_epi32(b.cdgh, was_b.cdgh);
	}
	lane[0] = a;
	lane[1] = b;
}

SHA static void put_digest(const struct lane *l, struct digest *out)
{
	const uint32_t state[8] = { (uint32_t)_mm_extract_epi32(l->abef, 3),
		(uint32_t)_mm_extract_epi32(l->abef, 2), (uint32_t)_mm_extract_epi32(l->cdgh, 3),
		(uint32_t)_mm_extract_epi32(l->cdgh, 2), (uint32_t)_mm_extract_epi32(l->abef, 1),
		(uint32_t)_mm_extract_epi32(l->abef, 0), (uint32_t)_mm_extract_epi32(l->cdgh, 1),
		(uint32_t)_mm_extract_epi32(l->cdgh, 0) };
	for (unsigned i = 0; i < 8; i++) {
		uint32_t big_endian = __builtin_bswap32(state[i]);
		memcpy(out->bytes + 4 * i, &big_endian, 4);
	}
}

SHA static void hash_two(const void *const data[LANES], size_t len, struct digest *const out[LANES])
{
	uint8_t ends[LANES][2 * BLOCK] = { 0 };
	const uint8_t *text[LANES] = { data[0], data[1] }, *end[LANES] = { ends[0], ends[1] };
	const size_t blocks = len / BLOCK, left = len % BLOCK, end_blocks = left < BLOCK - 8 ? 1 : 2;
	const uint64_t bits = __builtin_bswap64((uint64_t)len * 8);
	struct lane lane[LANES];
	for (unsigned i = 0; i < LANES; i++) {
		lane[i].abef = _mm_set_epi32(0x6a09e667, (int)0xbb67ae85, 0x510e527f, (int)0x9b05688c);
		lane[i].cdgh = _mm_set_epi32(0x3c6ef372, (int)0xa54ff53a, 0x1f83d9ab, 0x5be0cd19);
		memcpy(ends[i], text[i] + blocks * BLOCK, left);
		ends[i][left] = 0x80;
		memcpy(ends[i] + end_blocks * BLOCK - 8, &bits, 8);
	}
	add_blocks(lane, text, blocks);
	add_blocks(lane, end, end_blocks);
	put_digest(&lane[0], out[0]);
	put_digest(&lane[1], out[1]);
}

static bool cpu_can(void)
{
	static _Atomic int known; /* 0: not asked yet; else 1 or 2 */
	unsigned a, b, c, d;
	if (!known) {
		bool can = __get_cpuid(1, &a, &b, &c, &d) && (c & bit_SSE4_1) && (c & bit_SSSE3);
		can = can && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_SHA);
		known = can ? 2 : 1;
	}
	return known == 2;
}
#else
static bool cpu_can(void)
{
	return false;
}
static void hash_two(const void *const data[2], size_t len, struct digest *const out[2])
{
	(void)data, (void)len, (void)out;
}
#endif

void digest_of_two(const void *one, const void *two, size_t len, struct digest *first, struct digest *second)
{
	if (cpu_can()) {
		hash_two((const void *const[]){ one, two }, len, (struct digest *const[]){ first, second });
		return;
	}
	digest_of(one, len, first);
	digest_of(two, len, second);
}
