/* SPDX-License-Identifier: MIT */
/*
 * auth_files.c: the credentials that docker, podman and skopeo keep.
 *
 * The first file that says something of the host decides: the file that was named, or $REGISTRY_AUTH_FILE,
 * alone; else $XDG_RUNTIME_DIR/containers/auth.json, ~/.config/containers/auth.json, ~/.docker/config.json,
 * ~/.dockercfg. A key is a host, a host and a part of the repository's name (the longest that fits wins), or
 * what docker used to write: https://host/v1/.
 */
#include "cache/auth.h"
#include "cache/base/io.h"
#include "cache/json.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_FILE  (1u << 20)
#define MAX_REPLY (64u << 10)
#define HELPER_MS 10000

struct search {
	const char *host, *repository;
	struct credentials *out;
	bool found;
	struct why *why;
};

void credentials_free(struct credentials *c)
{
	if (c->password)
		explicit_bzero(c->password, strlen(c->password));
	if (c->identity)
		explicit_bzero(c->identity, strlen(c->identity));
	free(c->user);
	free(c->password);
	free(c->identity);
	free(c->source);
	*c = (struct credentials){ 0 };
}

/* --- helpers ----------------------------------------------------------------------------------- */

static int helper_spawn(const char *program, int in, int out, pid_t *pid)
{
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t attr;
	sigset_t none, all;
	char *argv[] = { (char *)program, (char *)"get", NULL };
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&fa);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawn_file_actions_adddup2(&fa, in, 0);
	posix_spawn_file_actions_adddup2(&fa, out, 1);
	posix_spawn_file_actions_addopen(&fa, 2, "/dev/null", O_WRONLY, 0);
	int err = posix_spawnp(pid, program, &fa, &attr, argv, environ);
	posix_spawn_file_actions_destroy(&fa);
	posix_spawnattr_destroy(&attr);
	return -err;
}

static int read_reply(int fd, struct buf *out)
{
	uint64_t end = clock_mono_ns() + HELPER_MS * UINT64_C(1000000);
	for (;;) {
		int64_t left = (int64_t)(end - clock_mono_ns()) / 1000000;
		struct pollfd p = { .fd = fd, .events = POLLIN };
		if (left <= 0)
			return -ETIMEDOUT;
		int n = poll(&p, 1, (int)left);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n <= 0)
			continue;
		ssize_t got = read(fd, buf_reserve(out, 4096), 4096);
		if (got <= 0)
			return got < 0 ? -errno : 0;
		out->len += (size_t)got;
		if (out->len > MAX_REPLY)
			return -EFBIG;
	}
}

static int run_helper(const char *program, const char *host, struct buf *out)
{
	int to[2], from[2], status;
	pid_t pid;
	if (pipe2(to, O_CLOEXEC) < 0)
		return -errno;
	autoclose int in = to[0], give = to[1];
	if (pipe2(from, O_CLOEXEC) < 0)
		return -errno;
	autoclose int take = from[0], give_back = from[1];
	int err = io_write_full(give, host, strlen(host)); /* less than a pipe holds */
	if (!err)
		err = helper_spawn(program, in, give_back, &pid);
	if (err < 0)
		return err;
	close(io_steal(&give));
	close(io_steal(&give_back));
	err = read_reply(take, out);
	if (err)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	return err ? err : WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -ENOENT;
}

static bool good_helper(const char *name)
{
	return *name && strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
				strlen(name);
}

static int ask_helper(struct search *s, const char *name)
{
	autobuf struct buf reply = { 0 };
	autojson json_t *doc = NULL;
	const char *user = "", *secret = NULL;
	if (!good_helper(name))
		return why_fail(s->why, -EINVAL, "\"%.40s\" is no name of a credential helper", name);
	autofree char *program = xasprintf("docker-credential-%s", name);
	int err = run_helper(program, s->host, &reply);
	if (err == -ETIMEDOUT)
		return why_fail(s->why, err, "%s did not answer within %d s", program, HELPER_MS / 1000);
	if (err) /* also: it knows nothing of this host */
		return 0;
	if (strict_load(reply.data ? reply.data : "", reply.len, "reply", &doc, NULL) == 0) {
		strict_text(doc, "Username", OPTIONAL, &user, NULL);
		strict_text(doc, "Secret", OPTIONAL, &secret, NULL);
	}
	explicit_bzero(reply.data, reply.len);
	if (!secret)
		return why_fail(s->why, -EBADMSG, "%s answered something that is not understood", program);
	s->found = true;
	s->out->source = xstrdup(program);
	if (!strcmp(user, "<token>")) {
		s->out->identity = xstrdup(secret);
	} else {
		s->out->user = xstrdup(user);
		s->out->password = xstrdup(secret);
	}
	return 0;
}

/* --- files ------------------------------------------------------------------------------------- */

/* How long the part of (key) is that fits host and repository; 0: it does not. */
static size_t fit(const struct search *s, const char *key)
{
	size_t host = strlen(s->host);
	const char *scheme = strstr(key, "://");
	if (scheme) { /* docker's: the path says nothing */
		key = scheme + 3;
		return !strncmp(key, s->host, host) && (!key[host] || key[host] == '/') ? host : 0;
	}
	if (strncmp(key, s->host, host) != 0 || (key[host] && key[host] != '/'))
		return 0;
	const char *rest = key + host + (key[host] == '/');
	size_t n = strlen(rest);
	if (!n)
		return host;
	if (!s->repository || strncmp(s->repository, rest, n) != 0 ||
		(s->repository[n] && s->repository[n] != '/'))
		return 0;
	return host + 1 + n;
}

static int take_pair(struct search *s, const char *base64, const char *file)
{
	size_t len = strlen(base64);
	autofree unsigned char *text = xcalloc(1, len + 4);
	int n = len % 4 ? -1 : EVP_DecodeBlock(text, (const unsigned char *)base64, (int)len);
	char *colon = n > 0 ? strchr((char *)text, ':') : NULL;
	if (!colon)
		return why_fail(s->why, -EBADMSG, "%s: the entry for %s cannot be read", file, s->host);
	s->out->user = xstrndup((char *)text, (size_t)(colon - (char *)text));
	s->out->password = xstrdup(colon + 1);
	explicit_bzero(text, len);
	return 0;
}

static int take_entry(struct search *s, const json_t *entry, const char *file, bool of_namespace)
{
	const char *pair = json_string_value(json_object_get(entry, "auth"));
	const char *identity = json_string_value(json_object_get(entry, "identitytoken"));
	int err = 0;
	if (identity && *identity)
		s->out->identity = xstrdup(identity);
	else if (pair && *pair)
		err = take_pair(s, pair, file);
	else
		return 0;
	s->out->source = xstrdup(file);
	s->out->of_namespace = of_namespace;
	s->found = true;
	return err;
}

static int search_auths(struct search *s, json_t *auths, const char *file)
{
	const char *key;
	json_t *entry, *best = NULL;
	size_t best_fit = 0;
	json_object_foreach(auths, key, entry)
	{
		size_t n = fit(s, key);
		if (n > best_fit) {
			best_fit = n;
			best = entry;
		}
	}
	return best ? take_entry(s, best, file, best_fit > strlen(s->host)) : 0;
}

static int search_doc(struct search *s, const json_t *doc, const char *file, bool docker)
{
	const char *helper = json_string_value(json_object_get(json_object_get(doc, "credHelpers"), s->host));
	const char *store = docker ? json_string_value(json_object_get(doc, "credsStore")) : NULL;
	json_t *auths = json_object_get(doc, "auths");
	int err = helper ? ask_helper(s, helper) : 0;
	if (!err && !s->found)
		err = search_auths(s, json_is_object(auths) ? auths : NULL, file);
	if (!err && !s->found && store)
		err = ask_helper(s, store);
	return err;
}

/* (old): ~/.dockercfg, which is the auths alone. */
static int search_file(struct search *s, const char *file, bool must, bool docker, bool old)
{
	autobuf struct buf text = { 0 };
	autojson json_t *doc = NULL;
	int err = io_read_file(AT_FDCWD, file, MAX_FILE, &text);
	if (err < 0)
		return must ? why_fail_errno(s->why, err, "the credentials file %s", file) : 0;
	err = strict_load(text.data ? text.data : "", text.len, file, &doc, NULL);
	if (text.data)
		explicit_bzero(text.data, text.len);
	if (err) /* in our words: a parser's would show a part of the file */
		return why_fail(s->why, err,
			"the credentials file %s is not the JSON that docker or podman writes", file);
	return old ? search_auths(s, doc, file) : search_doc(s, doc, file, docker);
}

static int search_usual(struct search *s)
{
	const char *home = getenv("HOME"), *config = getenv("XDG_CONFIG_HOME"),
		   *runtime = getenv("XDG_RUNTIME_DIR"), *docker = getenv("DOCKER_CONFIG");
	autofree char *home_config = home ? xasprintf("%s/.config", home) : NULL;
	autofree char *home_docker = home ? xasprintf("%s/.docker", home) : NULL;
	struct {
		const char *dir, *name;
		bool docker, old;
	} const files[] = {
		{ runtime, "containers/auth.json", false, false },
		{ config && *config ? config : home_config, "containers/auth.json", false, false },
		{ docker && *docker ? docker : home_docker, "config.json", true, false },
		{ home, ".dockercfg", true, true },
	};
	int err = 0;
	for (size_t i = 0; !err && !s->found && i < sizeof(files) / sizeof(files[0]); i++) {
		if (!files[i].dir || !*files[i].dir)
			continue;
		autofree char *path = xasprintf("%s/%s", files[i].dir, files[i].name);
		err = search_file(s, path, false, files[i].docker, files[i].old);
	}
	return err;
}

int credentials_find(
	const char *file, const char *host, const char *repository, struct credentials *out, struct why *why)
{
	*out = (struct credentials){ 0 };
	struct search s = { host, repository, out, false, why };
	const char *named = file ? file : getenv("REGISTRY_AUTH_FILE");
	int err = named && *named ? search_file(&s, named, file != NULL, true, false) : search_usual(&s);
	if (err)
		credentials_free(out);
	return err;
}
