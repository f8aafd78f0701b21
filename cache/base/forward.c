/* SPDX-License-Identifier: MIT */
/* forward.c: reading and writing PROTOCOL:[HOST:]PORT->PORT. */
#include "cache/base/forward.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PORT_DIGITS 5

static bool read_port(const char *s, size_t len, uint16_t *out)
{
	unsigned n = 0;

	if (!len || len > PORT_DIGITS)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		n = n * 10 + (unsigned)(s[i] - '0');
	}
	*out = (uint16_t)n;
	return n && n <= UINT16_MAX;
}

static bool is_auto(const char *s, size_t len)
{
	return (len == 4 && !memcmp(s, "auto", 4)) || (len == 1 && *s == '0');
}

static bool read_host(const char *s, size_t len, char out[16])
{
	struct in_addr a;

	if (len >= 16)
		return false;
	memcpy(out, s, len);
	out[len] = '\0';
	return inet_pton(AF_INET, out, &a) == 1;
}

int forward_parse(const char *key, const char *text, struct forward *out, struct why *why)
{
	const char *arrow = strstr(text, "->"), *host = text + 4, *colon;

	*out = (struct forward){ .udp = !strncmp(text, "udp:", 4), .host = "127.0.0.1" };
	if ((!out->udp && strncmp(text, "tcp:", 4) != 0) || !arrow || arrow < host)
		return why_fail(why, -EINVAL,
			"%s: '%s' is not PROTOCOL:[HOST:]PORT->PORT (try tcp:127.0.0.1:8080->80)", key, text);
	colon = memchr(host, ':', (size_t)(arrow - host));
	if (colon && !read_host(host, (size_t)(colon - host), out->host))
		return why_fail(why, -EINVAL,
			"%s: in '%s', '%.*s' is not an IPv4 address (127.0.0.1: this machine alone; "
			"0.0.0.0: everybody who can reach it)",
			key, text, (int)(colon - host), host);
	host = colon ? colon + 1 : host;
	if (!is_auto(host, (size_t)(arrow - host)) &&
		!read_port(host, (size_t)(arrow - host), &out->host_port))
		return why_fail(why, -EINVAL,
			"%s: in '%s', the host's port is not a number from 1 to 65535, or auto", key, text);
	if (!read_port(arrow + 2, strlen(arrow + 2), &out->port))
		return why_fail(why, -EINVAL,
			"%s: in '%s', the machine's port is not a number from 1 to 65535", key, text);
	return 0;
}

void forward_put(struct buf *out, const struct forward *f)
{
	buf_printf(out, "%s:%s:", f->udp ? "udp" : "tcp", f->host);
	if (f->host_port)
		buf_printf(out, "%u", f->host_port);
	else
		buf_puts(out, "auto");
	buf_printf(out, "->%u", f->port);
}

bool forward_same_port(const struct forward *a, const struct forward *b)
{
	static const char any[] = "0.0.0.0";

	return a->host_port && a->host_port == b->host_port && a->udp == b->udp &&
	       (!strcmp(a->host, b->host) || !strcmp(a->host, any) || !strcmp(b->host, any));
}
