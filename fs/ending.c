/* SPDX-License-Identifier: MIT */
/*
 * ending.c: reads what a deployer says last.
 */
#include "fs/ending.h"

#include "cache/base/conf.h"
#include "deployers/deploy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void set_error(struct ending *e, const char *words)
{
	free(e->error);
	e->error = xstrdup(words);
}

static int take(void *arg, unsigned line, const char *key, const char *value, struct why *why)
{
	struct ending *e = arg;
	uint64_t n;

	(void)line;
	(void)why;
	if (strcmp(key, END_STATE) == 0)
		e->failed = strcmp(value, "failed") == 0;
	else if (strcmp(key, END_STATUS) == 0 && conf_number(key, value, 0, 255, &n, NULL) == 0)
		e->status = (int)n;
	else if (strcmp(key, END_HOW) == 0)
		snprintf(e->how, sizeof(e->how), "%s", value);
	else if (strcmp(key, END_CPU) == 0)
		snprintf(e->cpu, sizeof(e->cpu), "%s", value);
	else if (strcmp(key, END_MEMORY) == 0)
		conf_number(key, value, 0, UINT64_MAX, &e->peak, NULL);
	else if (strcmp(key, END_ERRNO) == 0 && conf_number(key, value, 1, 4095, &n, NULL) == 0)
		e->err = -(int)n;
	else if (strcmp(key, END_ERROR) == 0)
		set_error(e, value);
	return 0;
}

void ending_parse(struct ending *e, const char *text, size_t len)
{
	struct why why = { 0 };

	ending_clear(e);
	e->failed = true;
	e->status = DEPLOY_EXIT_FAILED;
	if (conf_parse(text, len, take, e, &why) && !e->error)
		set_error(e, why.text);
}

void ending_lost(struct ending *e, const char *words)
{
	ending_clear(e);
	e->failed = true;
	e->status = DEPLOY_EXIT_FAILED;
	strcpy(e->how, "lost");
	set_error(e, words);
}

void ending_clear(struct ending *e)
{
	free(e->error);
	*e = (struct ending){ 0 };
}
