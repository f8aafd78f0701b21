/* SPDX-License-Identifier: MIT */
/*
 * publish_cmd.c: `diverfs publish`: a directory becomes an artifact of a registry. Prints the digest.
 */
#include "cache/base/io.h"
#include "cache/cache.h"
#include "cache/publish.h"
#include "fs/start.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define STEP_NS 100000000u

static const char help_text[] = "usage: diverfs publish [--sign KEY] DIR LAYOUT [NAME:TAG]\n"
				"\n"
				"Makes an artifact of the kernel in DIR (kernel.conf, README.md, src/, "
				"images/) and puts it into the\n"
				"registry LAYOUT, a directory with an OCI image layout, which is made if "
				"there is none. NAME:TAG are\n"
				"kernel.conf's name and version unless they are given. Prints the digest: "
				"the same files give the same.\n"
				"\n"
				"--sign KEY  signs it with the private key (PEM, ECDSA P-256 or Ed25519) in "
				"the file KEY, as cosign does\n";

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

int publish_main(int argc, char **argv)
{
	struct why why = { 0 };
	struct shown shown = { .last_ns = clock_mono_ns() };
	char digest[DIGEST_TEXT_LEN + 1] = "";
	if (argc == 2 && (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help"))) {
		fputs(help_text, stdout);
		return 0;
	}
	const char *key = NULL;
	if (argc > 2 && !strcmp(argv[1], "--sign")) {
		key = argv[2];
		argc -= 2;
		argv += 2;
	}
	if (argc > 1 && !strcmp(argv[1], "--")) {
		argc--;
		argv++;
	} else if (argc > 1 && argv[1][0] == '-') {
		log_error("publish: unknown option: %s (diverfs publish --help)", argv[1]);
		return 1;
	}
	if (argc < 3 || argc > 4) {
		log_error("publish: usage: diverfs publish [--sign KEY] DIR LAYOUT [NAME:TAG] (more: diverfs publish "
			  "--help)");
		return 1;
	}
	bool tty = isatty(STDERR_FILENO);
	int err = publish_directory(
		argv[1], argv[2], argc > 3 ? argv[3] : NULL, key, tty ? show : NULL, &shown, digest, &why);
	if (shown.any)
		fputs("\r\033[K", stderr);
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
