/* SPDX-License-Identifier: MIT */
/* trust.c: verdicts, remembered; and how one is come to. */
#include "cache/trust.h"

#include "cache/cosign.h"
#include "cache/limits.h"
#include "cache/load_inner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define BUCKETS	     1024u
#define MAX_VERDICTS 200000u
#define SHOWN_NAMES  5u

struct verdict {
	struct verdict *next;
	char *name;
	struct digest digest;
	char signatures[DIGEST_TEXT_LEN + 1]; /* "": there is no tag */
	bool good;
	bool of_tag; /* trust_note_tag's: neither counted nor told */
	char *words;
};

struct trust {
	struct cosign_keys *keys;
	pthread_mutex_t lock; /* guards the rest */
	struct verdict *buckets[BUCKETS];
	uint32_t count, bad;
};

struct trust *trust_new(struct cosign_keys *keys)
{
	struct trust *t = xcalloc(1, sizeof(*t));
	t->keys = keys;
	pthread_mutex_init(&t->lock, NULL);
	return t;
}

static void verdict_free(struct verdict *v)
{
	free(v->name);
	free(v->words);
	free(v);
}

void trust_free(struct trust *t)
{
	if (!t)
		return;
	for (uint32_t i = 0; i < BUCKETS; i++) {
		while (t->buckets[i]) {
			struct verdict *v = t->buckets[i];
			t->buckets[i] = v->next;
			verdict_free(v);
		}
	}
	cosign_keys_free(t->keys);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

/* --- verdicts ----------------------------------------------------------------------------------- */

static struct verdict **slot_of(struct trust *t, const char *name, const struct digest *d)
{
	struct verdict **at = &t->buckets[XXH3_64bits_withSeed(d->bytes, sizeof(d->bytes),
						  XXH3_64bits(name, strlen(name))) %
					  BUCKETS];
	while (*at && (!digest_equal(&(*at)->digest, d) || strcmp((*at)->name, name) != 0))
		at = &(*at)->next;
	return at;
}

/* A kernel that is not shown is a line of the log, once. */
static void note(struct trust *t, const char *name, const struct digest *d, const char *signatures, bool good,
	const char *words)
{
	char text[DIGEST_TEXT_LEN + 1];
	pthread_mutex_lock(&t->lock);
	struct verdict **at = slot_of(t, name, d), *v = *at;
	bool news = !v || v->good != good || strcmp(v->words, words) != 0;
	if (!v && t->count < MAX_VERDICTS) {
		v = *at = xcalloc(1, sizeof(*v));
		v->name = xstrdup(name);
		v->digest = *d;
		v->words = xstrdup("");
		v->good = true;
		t->count++;
	}
	if (v) {
		t->bad += v->good && !good;
		t->bad -= !v->good && good;
		v->good = good;
		free(v->words);
		v->words = xstrdup(words);
		snprintf(v->signatures, sizeof(v->signatures), "%s", signatures);
	}
	pthread_mutex_unlock(&t->lock);
	digest_text(d, text);
	if (!good && news)
		log_warn("kernels/%s: %s is not shown: %s", name, text, words);
}

int trust_verdict(
	struct trust *t, const char *name, const struct digest *d, const char *signatures, struct why *why)
{
	static const char unsigned_words[] = "it is not signed, and -o verify asks for a good signature";
	int verdict = -1;
	if (!signatures) {
		note(t, name, d, "", false, unsigned_words);
		return why_fail(why, -EKEYREJECTED, "%s", unsigned_words), 0;
	}
	pthread_mutex_lock(&t->lock);
	const struct verdict *v = *slot_of(t, name, d);
	if (v && *v->signatures && (!*signatures || strcmp(v->signatures, signatures) == 0)) {
		verdict = v->good;
		if (!v->good)
			why_fail(why, -EKEYREJECTED, "%s", v->words);
	}
	pthread_mutex_unlock(&t->lock);
	return verdict;
}

void trust_status(struct trust *t, struct buf *out)
{
	unsigned said = 0;
	pthread_mutex_lock(&t->lock);
	buf_printf(out, "verify: %u kernels are not shown for want of a good signature%s\n", t->bad,
		t->bad ? "; why is in log" : "");
	for (uint32_t i = 0; i < BUCKETS; i++)
		for (const struct verdict *v = t->buckets[i]; v; v = v->next)
			if (!v->good && !v->of_tag && said++ < SHOWN_NAMES)
				buf_printf(out, "  %s: %s\n", v->name, v->words);
	if (said > SHOWN_NAMES)
		buf_printf(out, "  and %u more\n", said - SHOWN_NAMES);
	pthread_mutex_unlock(&t->lock);
}

static void digest_of_tag(const char *tag, struct digest *d)
{
	autofree char *text = xasprintf("tag %s", tag);
	digest_of(text, strlen(text), d);
}

bool trust_note_tag(struct trust *t, const char *name, const char *tag, bool good)
{
	struct digest d;
	bool changed = true;
	digest_of_tag(tag, &d);
	pthread_mutex_lock(&t->lock);
	struct verdict **at = slot_of(t, name, &d);
	if (!*at && t->count < MAX_VERDICTS) {
		*at = xcalloc(1, sizeof(**at));
		(*at)->name = xstrdup(name);
		(*at)->digest = d;
		(*at)->words = xstrdup("");
		(*at)->of_tag = true;
		strcpy((*at)->signatures, "tag");
		t->count++;
	} else if (*at)
		changed = (*at)->good != good;
	if (*at)
		(*at)->good = good;
	pthread_mutex_unlock(&t->lock);
	return changed;
}

bool trust_has_signatures(const struct names *list, const char *name)
{
	const struct name *n = names_find(list, name, NULL), *first = names_at(list, 0),
			  *end = first + names_count(list);
	while (n && n > first && strcmp(n[-1].name, name) == 0)
		n--;
	for (; n && n < end && strcmp(n->name, name) == 0; n++)
		if (cosign_is_tag(n->tag))
			return true;
	return false;
}

/* The registry tells digests one by one; but where no tag is a signature's, nothing is signed. */
static bool shows_tag(struct cache *c, const struct names *list, const struct name *n)
{
	struct digest d;
	if (!trust_has_signatures(list, n->name)) {
		if (trust_note_tag(c->trust, n->name, n->tag, false))
			log_warn("kernels/%s/%s is not shown: it is not signed, and -o verify asks for a "
				 "good signature",
				n->name, n->tag);
		return false;
	}
	digest_of_tag(n->tag, &d);
	return trust_verdict(c->trust, n->name, &d, "tag", NULL) != 0;
}

/* --- checking ----------------------------------------------------------------------------------- */

static int check_layer(struct load *l, const struct trust_question *q, const json_t *layer, struct why *why)
{
	struct descriptor d;
	autobuf struct buf payload = { 0 };
	int err = descriptor_read(layer, &d, why);
	if (err)
		return err;
	const char *signature = json_string_value(json_object_get(d.annotations, NOTE_SIGNATURE));
	if (strcmp(d.media_type, MT_SIGNATURE) != 0 || !signature)
		return why_fail(why, -EKEYREJECTED, "what should be a signature is none");
	err = load_blob(l, &d, "signature", MAX_SIGNATURE_BYTES, &payload, why);
	return err ? err
		   : cosign_check(q->trust->keys, payload.data ? payload.data : "", payload.len, signature,
			     &q->digest, l->repository, why);
}

/* One good signature is enough. */
static int check_layers(
	struct load *l, const struct trust_question *q, const struct buf *manifest, struct why *why)
{
	autojson json_t *doc = NULL;
	json_t *list = NULL;
	struct why last = { 0 };
	bool lacks = false;
	int err = manifest->len > MAX_SIGNED
			  ? why_fail(why, -EFBIG, "the manifest of signatures is too large")
			  : 0;
	if (!err)
		err = strict_load(manifest->data, manifest->len, "manifest of signatures", &doc, why);
	if (!err)
		err = strict_list(doc, "layers", REQUIRED, MAX_SIGNATURES, &list, why);
	if (err)
		return err;
	why_fail(&last, -EKEYREJECTED, "there is no signature in what should hold it");
	for (size_t i = 0; i < json_array_size(list); i++) {
		struct why in = { 0 };
		err = check_layer(l, q, json_array_get(list, i), &in);
		if (!err)
			return 0;
		lacks |= err == -EAGAIN;
		if (err != -EAGAIN)
			last = in;
	}
	return lacks ? -EAGAIN : why_fail(why, last.err, "%s", last.text);
}

/* What says that there is no good signature, in contrast to what says that it cannot be known now. */
static bool is_verdict(int err)
{
	return err == -EKEYREJECTED || err == -EILSEQ || err == -EBADMSG || err == -EFBIG || err == -ENOENT;
}

int trust_check(struct load *l, const struct trust_question *q, struct why *why)
{
	char signatures[DIGEST_TEXT_LEN + 1];
	autobuf struct buf manifest = { 0 };
	struct why in = { 0 };
	digest_text(&l->digest, signatures);
	int err = load_manifest(l, &l->digest, &manifest, &in);
	if (!err)
		err = check_layers(l, q, &manifest, &in);
	if (!err)
		note(q->trust, l->repository, &q->digest, signatures, true, "");
	if (is_verdict(err)) {
		note(q->trust, l->repository, &q->digest, signatures, false, in.text);
		err = -EKEYREJECTED;
	}
	return err && err != -EAGAIN ? why_fail(why, err, "%s", in.text) : err;
}

/* --- names -------------------------------------------------------------------------------------- */

static int check_now(struct cache *c, struct registry *r, const struct name *n, const struct digest *d,
	const char *signatures)
{
	struct load l = { .cache = c, .objects_fd = c->objects_fd, .registry = r, .repository = n->name };
	struct trust_question q = { c->trust, *d };
	if (digest_parse(signatures, &l.digest) < 0)
		return -EKEYREJECTED;
	int err = trust_check(&l, &q, NULL);
	load_free_needs(&l);
	return err;
}

bool trust_shows(struct cache *c, struct registry *r, const struct names *list, const struct name *n)
{
	char tag[COSIGN_TAG_LEN + 1];
	struct digest d;
	if (digest_parse(n->digest, &d) < 0)
		return shows_tag(c, list, n);
	cosign_tag(&d, tag);
	const struct name *sig = names_find(list, n->name, tag);
	int verdict = trust_verdict(c->trust, n->name, &d, sig ? sig->digest : NULL, NULL);
	if (verdict >= 0)
		return verdict;
	return registry_is_remote(r) ? true : check_now(c, r, n, &d, sig->digest) == 0;
}
