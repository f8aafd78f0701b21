/* SPDX-License-Identifier: MIT */
/*
 * load_kraft.c: a kernel that kraftkit has packed, shown like one of ours.
 *
 * Shape    an image manifest whose layers are tar files with one file each: the kernel, which an annotation or else its
 *          path names, and maybe an initrd; the config is an image's, with the arguments in Cmd and Env
 * Source   FORMATS.md 6.1
 */
#include "cache/kernel_raw.h"
#include "cache/layer_archive.h"
#include "cache/limits.h"
#include "cache/load_inner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NOTE_UNIKRAFT "org.unikraft."
#define NOTE_KERNEL   NOTE_UNIKRAFT "kernel.image"
#define NOTE_INITRD   NOTE_UNIKRAFT "kernel.initrd"
#define EMPTY_TAR     20480 /* bytes of a tar with one file that are not the file's, at most */

struct kraft {
	struct load *load;
	struct tree_build *b;
	uint32_t images, file;
	bool has_kernel, has_initrd, taken; /* taken: pieces are wanted */
};

/* --- layers ------------------------------------------------------------------------------------- */

/* What a file of a package becomes below images/; NULL: it is passed over. */
static const char *image_for(const char *path)
{
	static const char *const known[][2] = { { "unikraft/bin/kernel", "kernel" },
		{ "unikraft/bin/kernel.dbg", "kernel.dbg" }, { "unikraft/bin/initrd", "initrd" } };
	while (*path == '/' || strncmp(path, "./", 2) == 0)
		path += *path == '/' ? 1 : 2;
	for (size_t i = 0; i < 3; i++)
		if (strcmp(path, known[i][0]) == 0)
			return known[i][1];
	return NULL;
}

static int take_entry(void *arg, const char *path, const struct tree_item *item, struct why *why)
{
	struct kraft *k = arg;
	const char *name = item->kind == ITEM_FILE ? image_for(path) : NULL;
	k->taken = name != NULL;
	if (!name)
		return 0;
	k->has_kernel |= strcmp(name, "kernel") == 0;
	k->has_initrd |= strcmp(name, "initrd") == 0 && item->size > 0;
	return tree_add(k->b, k->images, name, item, &k->file, why);
}

static int take_piece(void *arg, const void *data, size_t len, struct why *why)
{
	struct kraft *k = arg;
	struct chunk_item c = { .kind = CHUNK_WHOLE, .raw = len };
	if (!k->taken)
		return 0;
	digest_of(data, len, &c.digest);
	return tree_add_chunk(k->b, k->file, &c, why);
}

static int add_layer(struct kraft *k, const struct descriptor *d, struct why *why)
{
	struct load *l = k->load;
	const char *bytes;
	int err = load_whole(l, d, &bytes, why);
	if (!err)
		err = tree_add_layer(k->b, &d->digest, d->size, 0, d->size, why);
	return err ? err
		   : layer_archive_read(l->cache->unpacker, bytes, d->size,
			     &(struct archive_reader){ take_entry, take_piece, k }, &l->cache->closing, why);
}

/* Do the annotations say what each layer is, as kraft writes them? A tar of that size has a file that is not empty. */
static bool is_annotated(const struct artifact *a, bool *initrd)
{
	struct descriptor d;
	bool kernel = false;
	*initrd = false;
	for (size_t i = 0; i < json_array_size(a->layers); i++) {
		if (descriptor_read(json_array_get(a->layers, i), &d, NULL) < 0 || d.size <= EMPTY_TAR)
			return false;
		bool is_kernel = json_object_get(d.annotations, NOTE_KERNEL) != NULL;
		if (!is_kernel && !json_object_get(d.annotations, NOTE_INITRD))
			return false;
		kernel |= is_kernel;
		*initrd |= !is_kernel;
	}
	return kernel;
}

/* Leaves them out, where nothing that is shown depends on what is in them. */
static bool may_lack(struct kraft *k, const struct artifact *a)
{
	struct load *l = k->load;
	struct descriptor d;
	if (l->extent == EXTENT_ALL || !registry_is_remote(l->registry) || !is_annotated(a, &k->has_initrd))
		return false;
	l->lacks = "images";
	l->lacks_size = 0;
	for (size_t i = 0; i < json_array_size(a->layers); i++)
		if (descriptor_read(json_array_get(a->layers, i), &d, NULL) == 0)
			l->lacks_size += d.size;
	return true;
}

/* From a remote registry all of them are asked for at the same time. */
static int add_layers(struct kraft *k, const struct artifact *a, struct why *why)
{
	struct descriptor d;
	const char *bytes;
	bool initrd;
	int err = 0;
	for (size_t i = 0; i < json_array_size(a->layers) && registry_is_remote(k->load->registry); i++)
		if (descriptor_read(json_array_get(a->layers, i), &d, NULL) == 0 &&
			load_whole(k->load, &d, &bytes, NULL) == -EAGAIN)
			err = -EAGAIN;
	for (size_t i = 0; i < json_array_size(a->layers) && !err; i++) {
		err = descriptor_read(json_array_get(a->layers, i), &d, why);
		if (!err)
			err = add_layer(k, &d, why);
	}
	if (!err && !k->has_kernel)
		err = why_fail(why, -EBADMSG, "the package has no unikraft/bin/kernel");
	if (!err && is_annotated(a, &initrd) && initrd != k->has_initrd)
		err = why_fail(why, -EBADMSG, "the package's annotations say %s initrd, and it has %s",
			initrd ? "an" : "no", initrd ? "none" : "one");
	return err;
}

/* --- kernel.conf -------------------------------------------------------------------------------- */

/* Words of a list, each followed by a blank; with (quoted), each in quotes. */
static int put_words(struct buf *out, const json_t *list, bool quoted, struct why *why)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *w = json_string_value(json_array_get(list, i));
		if (!w || strpbrk(w, "\n\r\"") || strlen(w) > 2048)
			return why_fail(
				why, -EBADMSG, "the config has an argument that no command line can hold");
		buf_printf(out, quoted ? "\"%s\" " : "%s ", w);
	}
	return 0;
}

static bool has_feature(const json_t *config, const char *name)
{
	const json_t *list = json_object_get(config, "os.features");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *w = json_string_value(json_array_get(list, i));
		if (w && strcmp(w, name) == 0)
			return true;
	}
	return false;
}

/* As kraft composes it: parameters of libraries, "--", arguments. */
static int put_cmdline(const struct kraft *k, const json_t *config, struct buf *out, struct why *why)
{
	const json_t *inner = json_object_get(config, "config");
	const json_t *env = json_object_get(inner, "Env"), *cmd = json_object_get(inner, "Cmd");
	int err = 0;
	if (k->has_initrd && (has_feature(config, "CONFIG_LIBVFSCORE_AUTOMOUNT_UP=y") ||
				     has_feature(config, "CONFIG_LIBVFSCORE_FSTAB=y")))
		buf_puts(out, "vfs.fstab=[ \"initrd0:/:extract:::\" ] ");
	if (json_array_size(env)) {
		buf_puts(out, "env.vars=[ ");
		err = put_words(out, env, true, why);
		buf_puts(out, "] ");
	}
	if (!err && json_array_size(cmd)) {
		buf_puts(out, out->len ? "-- " : "");
		err = put_words(out, cmd, false, why);
	}
	while (out->len && out->data[out->len - 1] == ' ')
		out->data[--out->len] = 0;
	return err;
}

static const char *note(const json_t *notes, const char *key)
{
	const char *v = json_string_value(json_object_get(notes, key));
	return v && !strpbrk(v, "\n\r") && strlen(v) < 1000 ? v : NULL;
}

static void set(char **to, const char *value)
{
	if (value && *value)
		*to = xstrdup(value);
}

static int make_conf(const struct kraft *k, const struct artifact *a, const json_t *config,
	struct kernel_raw *raw, struct why *why)
{
	const json_t *notes = json_object_get(a->json, "annotations");
	const char *description = note(notes, "org.opencontainers.image.description");
	const char *version = note(notes, NOTE_UNIKRAFT "kernel.version"),
		   *slash = strrchr(k->load->repository, '/');
	autobuf struct buf cmdline = { 0 };
	int err = put_cmdline(k, config, &cmdline, why);
	set(&raw->top[TOP_NAME], slash ? slash + 1 : k->load->repository);
	set(&raw->top[TOP_VERSION], version ? version : note(config, "os.version"));
	set(&raw->top[TOP_DESCRIPTION], description ? description : "A unikernel, packed by kraftkit.");
	set(&raw->top[TOP_LICENSE], note(notes, "org.opencontainers.image.licenses"));
	set(&raw->top[TOP_HOMEPAGE], note(notes, "org.opencontainers.image.url"));
	set(&raw->top[TOP_KEYWORDS], "unikernel unikraft");
	set(&raw->top[TOP_FAMILY], "unikraft");
	set(&raw->top[TOP_ARCH], "x86_64");
	set(&raw->top[TOP_MODES], "fullVM");
	set(&raw->top[TOP_STDOUT], "console");
	set(&raw->top[TOP_TERMINAL], "stdin");
	set(&raw->launch[0][LAUNCH_IMAGE], "images/kernel");
	set(&raw->launch[0][LAUNCH_INITRD], k->has_initrd ? "images/initrd" : NULL);
	set(&raw->launch[0][LAUNCH_CMDLINE], cmdline.data);
	set(&raw->launch[0][LAUNCH_MEMORY], "64M");
	set(&raw->launch[0][LAUNCH_MACHINE], "pc");
	set(&raw->launch[0][LAUNCH_CONSOLE], "serial");
	return err;
}

static int add_conf(const struct kraft *k, const struct artifact *a, const json_t *config, struct why *why)
{
	struct kernel_raw raw = { 0 };
	struct kernel_conf conf = { 0 };
	autobuf struct buf text = { 0 };
	int err = make_conf(k, a, config, &raw, why);
	if (!err)
		kernel_raw_put(&raw, &text);
	if (!err && kernel_conf_parse(&conf, text.data, text.len, false, why) < 0)
		err = -EBADMSG;
	kernel_conf_free(&conf);
	if (!err)
		err = tree_add_inline(k->b, "kernel.conf", text.data, text.len, why);
	if (!err) {
		autobuf struct buf readme = { 0 };
		buf_printf(&readme, "# %s\n\n%s\n\nPacked by kraftkit: there are no sources here.\n",
			k->load->repository, raw.top[TOP_DESCRIPTION]);
		err = tree_add_inline(k->b, "README.md", readme.data, readme.len, why);
	}
	kernel_raw_free(&raw);
	return err;
}

/* --- all of it ---------------------------------------------------------------------------------- */

/* Annotations may have been lost on the way here; the config knows the platform. */
static bool is_kraft(const struct artifact *a, const json_t *config)
{
	static const char *const platforms[] = { "qemu", "kvm", "fc", "xen" };
	const char *os = json_string_value(json_object_get(config, "os")), *key;
	json_t *notes = json_object_get(a->json, "annotations"), *v;
	json_object_foreach(notes, key, v) if (strncmp(key, NOTE_UNIKRAFT, strlen(NOTE_UNIKRAFT)) == 0 ||
					       strncmp(key, "sh.kraftkit.", 12) == 0) return true;
	for (size_t i = 0; os && i < 4; i++)
		if (strcmp(os, platforms[i]) == 0)
			return true;
	return false;
}

int load_kraft(struct load *l, struct tree_build *b, const struct artifact *a, struct why *why)
{
	struct kraft k = { .load = l, .b = b };
	struct tree_item dir = { .kind = ITEM_DIR };
	autobuf struct buf text = { 0 };
	autojson json_t *config = NULL;
	uint32_t src;
	int err = load_blob(l, &a->config, "config", MAX_CONFIG, &text, why);
	if (err && err != -EAGAIN)
		why_prefix(why, "not a kernel artifact, unless it is a package of kraftkit");
	if (!err)
		err = strict_load(text.data ? text.data : "", text.len, "config", &config, why);
	if (!err && !is_kraft(a, config))
		err = why_fail(why, -EBADMSG,
			"not a kernel artifact: a container image is neither a kernel of diverfs nor a "
			"package of kraftkit");
	if (!err)
		err = tree_add(b, TREE_ROOT, "images", &dir, &k.images, why);
	if (!err)
		err = tree_add(b, TREE_ROOT, "src", &dir, &src, why);
	if (!err && !may_lack(&k, a))
		err = add_layers(&k, a, why);
	return err ? err : add_conf(&k, a, config, why);
}
