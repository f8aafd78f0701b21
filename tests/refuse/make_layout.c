/* SPDX-License-Identifier: MIT */
/*
 * make_layout.c: make_layout CASE DIR writes a layout with good:1.0 and a hostile bad:1.0; make_layout --list
 * prints a line a case: its name, what must come of it (refused, unreadable, harmless), and the path that
 * this is about.
 */
#include "hostile.h"

static void list(void)
{
	static const char *const words[] = { "refused", "unreadable", "harmless" };
	for (size_t i = 0; i < HOSTILE_COUNT; i++) {
		const struct hostile *h = &hostile_cases[i];
		const char *word = h->outcome == HARMLESS && h->err ? "hidden" : words[h->outcome];
		printf("%s %s %s\n", h->name, word, h->outcome == REFUSED ? "" : h->tells);
	}
}

int main(int argc, char **argv)
{
	struct why why = { 0 };
	if (argc == 2 && strcmp(argv[1], "--list") == 0) {
		list();
		return 0;
	}
	if (argc != 3) {
		fprintf(stderr, "usage: make_layout CASE DIR, or make_layout --list\n");
		return 2;
	}
	for (size_t i = 0; i < HOSTILE_COUNT; i++) {
		if (strcmp(hostile_cases[i].name, argv[1]) != 0)
			continue;
		if (hostile_make(&hostile_cases[i], argv[2], &why) == 0)
			return 0;
		fprintf(stderr, "make_layout: %s\n", why.text);
		return 1;
	}
	fprintf(stderr, "make_layout: there is no case %s\n", argv[1]);
	return 2;
}
