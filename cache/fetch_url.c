/* SPDX-License-Identifier: MIT */
/* fetch_url.c: see fetch_url.h. */
#include "cache/fetch_url.h"

#include "cache/base/buf.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static char *part(CURLU *u, CURLUPart what, unsigned flags)
{
	char *from = NULL;
	if (curl_url_get(u, what, &from, flags) != CURLUE_OK)
		return NULL;
	char *copy = xstrdup(from);
	curl_free(from);
	return copy;
}

static bool is_loopback(const char *host)
{
	struct in_addr v4;
	struct in6_addr v6;
	size_t len = strlen(host);
	if (!strcasecmp(host, "localhost"))
		return true;
	if (inet_pton(AF_INET, host, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == 127;
	autofree char *bare = host[0] == '[' ? xstrndup(host + 1, len > 2 ? len - 2 : 0) : xstrdup(host);
	return inet_pton(AF_INET6, bare, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static int take_apart(CURLU *u, struct url *out, struct why *why)
{
	autofree char *scheme = part(u, CURLUPART_SCHEME, 0);
	autofree char *user = part(u, CURLUPART_USER, 0);
	autofree char *password = part(u, CURLUPART_PASSWORD, 0);
	autofree char *port = part(u, CURLUPART_PORT, CURLU_DEFAULT_PORT);
	autofree char *host = part(u, CURLUPART_HOST, 0);
	if (!scheme || (strcmp(scheme, "http") && strcmp(scheme, "https")))
		return why_fail(why, -EINVAL, "the address is neither http:// nor https://");
	if (user || password)
		return why_fail(why, -EINVAL,
			"the address has a user or password in it; those belong into a credentials file "
			"(docker login writes one)");
	if (!host || !*host || !port)
		return why_fail(why, -EINVAL, "the address has no host");
	for (char *c = host; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0);
	out->tls = !strcmp(scheme, "https");
	out->text = part(u, CURLUPART_URL, 0);
	out->path = part(u, CURLUPART_PATH, 0);
	out->name = xstrdup(host);
	out->origin = xasprintf("%s://%s:%s", scheme, host, port);
	bool usual = !strcmp(port, out->tls ? "443" : "80");
	out->host = usual ? xstrdup(host) : xasprintf("%s:%s", host, port);
	out->loopback = is_loopback(host);
	return 0;
}

static int parse(CURLU *u, struct url *out, struct why *why)
{
	int err = take_apart(u, out, why);
	curl_url_cleanup(u);
	return err;
}

int url_parse(const char *text, struct url *out, struct why *why)
{
	CURLU *u = curl_url();
	*out = (struct url){ 0 };
	if (curl_url_set(u, CURLUPART_URL, text, 0) != CURLUE_OK) {
		curl_url_cleanup(u);
		return why_fail(why, -EINVAL, "the address cannot be understood");
	}
	return parse(u, out, why);
}

int url_resolve(const char *base, const char *reference, struct url *out, struct why *why)
{
	CURLU *u = curl_url();
	*out = (struct url){ 0 };
	if (curl_url_set(u, CURLUPART_URL, base, 0) != CURLUE_OK ||
		curl_url_set(u, CURLUPART_URL, reference, 0) != CURLUE_OK) {
		curl_url_cleanup(u);
		return why_fail(why, -EBADMSG, "an address in an answer cannot be understood");
	}
	return parse(u, out, why);
}

void url_free(struct url *u)
{
	free(u->text);
	free(u->origin);
	free(u->host);
	free(u->name);
	free(u->path);
	*u = (struct url){ 0 };
}

char *url_escape(const char *text)
{
	struct buf out = { 0 };
	for (const char *s = text; *s; s++) {
		if (isalnum((unsigned char)*s) || strchr("-._~", *s))
			buf_append(&out, s, 1);
		else
			buf_printf(&out, "%%%02X", (unsigned char)*s);
	}
	return buf_steal(&out);
}
