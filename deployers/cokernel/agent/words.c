/* SPDX-License-Identifier: MIT */
/* words.c: what went wrong, and where it is said. */
#include "deployers/cokernel/agent/parts.h"

#include <stdarg.h>
#include <stdio.h>

char failure[512];

int fail(int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(failure, sizeof(failure), fmt, ap);
	va_end(ap);
	return err;
}

void say(const char *fmt, ...)
{
	char text[600];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fprintf(stderr, "agent: %s\n", text);
}
