/* SPDX-License-Identifier: MIT */
/*
 * publish_cmd.c: `diverfs publish`: a directory becomes an artifact of a registry. Prints the digest.
 *
 * With --report (for fs/publish.c, whose child this is then) lines on stdout tell it all: "at PERCENT% WHAT",
 * "error ERRNO WORDS", "digest DIGEST"; it ends with its parent, and what it makes on the way lies in DIR.
 */
#include "cache/base/io.h"
#include "cache/cache.h"
#include "cache/publish.h"
#include "cache/publish_push.h"
#include "fs/registries.h"
#include "fs/start.h"

#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define STEP_NS	  100000000u
#define REPORT_NS 1000000000u

static const char help_text[] = "usage: diverfs publish [options] DIR REGISTRY [NAME[:TAG]]\n"
				"\n"
				"Makes an artifact of the kernel in DIR (kernel.conf, README.md, src/, "
				"images/) and puts it into\n"
				"REGISTRY: a directory with an OCI image layout, which is made if there is "
				"none, or the http(s)://\n"
				"address of an OCI registry. NAME and TAG are kernel.conf's name and version "
				"unless they are given.\n"
				"Prints the digest: the same files give the same.\n"
				"\n"
				"    --sign KEY          signs it with the private key (PEM, ECDSA P-256 or "
				"Ed25519) in the file KEY, as cosign does\n"
				"    --credentials FILE  instead of the files of docker and podman\n"
				"    --ca FILE           certificate authority of the registry\n"
				"    --insecure          plain http also to another machine\n";

struct shown {
	uint64_t last_ns;
	bool any;
};

static void show(void *arg, const char *what, uint64_t done, uint64_t total)
{
	struct shown *s = arg;
	uint64_t now = clock_mono_ns();
	if (now - s->last_ns < STEP_NS)
		return;
	s->last_ns = now;
	s->any = true;
	fprintf(stderr, "\r\033[K%s: %" PRIu64 "%%", what, total ? done * 100 / total : 100);
}

static void report(void *arg, const char *what, uint64_t done, uint64_t total)
{
	struct shown *s = arg;
	uint64_t now = clock_mono_ns();
	if (now - s->last_ns < REPORT_NS)
		return;
	s->last_ns = now;
	printf("at %" PRIu64 "%% %s\n", total ? done * 100 / total : 100, what);
	fflush(stdout);
}

struct wanted {
	bool report;
	const char *dir, *where, *reference, *sign_key;
	struct push_to to;
};

static int usage(void)
{
	log_error("publish: usage: diverfs publish DIR REGISTRY [NAME[:TAG]] (more: diverfs publish --help)");
	return 1;
}

/* -1 to go on, else the exit status. */
static int read_words(int argc, char **argv, struct wanted *w)
{
	static const struct option longs[] = { { "credentials", required_argument, NULL, 'a' },
		{ "ca", required_argument, NULL, 'c' }, { "insecure", no_argument, NULL, 'i' },
		{ "sign", required_argument, NULL, 's' }, { "report", no_argument, NULL, 'r' },
		{ "help", no_argument, NULL, 'h' }, { 0 } };
	int c;
	opterr = 0;
	optind = 1;
	while ((c = getopt_long(argc, argv, "+h", longs, NULL)) >= 0) {
		if (c == 'h') {
			fputs(help_text, stdout);
			return 0;
		}
		if (c == '?') {
			log_error("publish: unknown option or no value: %s (diverfs publish --help)",
				argv[optind - 1]);
			return 1;
		}
		if (c == 'a')
			w->to.auth_file = optarg;
		if (c == 's')
			w->sign_key = optarg;
		if (c == 'c')
			w->to.ca_file = optarg;
		w->to.insecure |= c == 'i';
		w->report |= c == 'r';
	}
	int n = argc - optind;
	if (n < 2 || n > 3)
		return usage();
	w->dir = argv[optind];
	w->where = argv[optind + 1];
	w->reference = n > 2 ? argv[optind + 2] : NULL;
	return -1;
}

/* The configuration file may know more of the registry. */
static int publish_over_network(
	struct wanted *w, publish_progress_fn *progress, void *arg, char *digest, struct why *why)
{
	struct registry_choices r;
	int err = registries_choose(NULL, (char *const[]){ (char *)w->where }, 1, &r, why);
	if (err)
		return err;
	w->to.url = w->where;
	w->to.insecure |= r.list[0].insecure;
	if (!w->to.ca_file)
		w->to.ca_file = r.list[0].ca_file;
	err = publish_to_registry(w->dir, &w->to, w->reference, w->sign_key, progress, arg, digest, why);
	registries_free(&r);
	return err;
}

static bool is_network(const char *where)
{
	return strstr(where, "://") && strncmp(where, "file://", 7);
}

static int publish(struct wanted *w, char *digest, struct why *why)
{
	struct shown shown = { .last_ns = clock_mono_ns() };
	publish_progress_fn *progress = w->report ? report : isatty(STDERR_FILENO) ? show : NULL;
	int err = is_network(w->where) ? publish_over_network(w, progress, &shown, digest, why)
				       : publish_directory(w->dir,
						 strncmp(w->where, "file://", 7) ? w->where : w->where + 7,
						 w->reference, w->sign_key, progress, &shown, digest, why);
	if (shown.any)
		fputs("\r\033[K", stderr);
	return err;
}

static int publish_reported(struct wanted *w)
{
	struct why why = { 0 };
	char digest[DIGEST_TEXT_LEN + 1] = "";
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setenv("TMPDIR", w->dir, 1);
	int err = publish(w, digest, &why);
	if (err)
		printf("error %d %s\n", -err, why.text[0] ? why.text : err_text(err));
	else
		printf("digest %s\n", digest);
	return fflush(stdout) || err ? 1 : 0;
}

int publish_main(int argc, char **argv)
{
	struct why why = { 0 };
	struct wanted w = { 0 };
	char digest[DIGEST_TEXT_LEN + 1] = "";
	int status = read_words(argc, argv, &w);
	if (status >= 0)
		return status;
	if (w.report)
		return publish_reported(&w);
	int err = publish(&w, digest, &why);
	if (err) {
		log_error("publish: %s", why.text[0] ? why.text : err_text(err));
		return 1;
	}
	puts(digest);
	if (fflush(stdout)) {
		log_error("publish: cannot print the digest");
		return 1;
	}
	return 0;
}
