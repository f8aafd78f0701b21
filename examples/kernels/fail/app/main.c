/* SPDX-License-Identifier: MIT */
/* fail: ends in the way that its argument says. For tests, and to see how ends are shown. */
#include "diver.h"

static void fault(void)
{
	int *p = NULL;

	__asm__ volatile("" : "+r"(p)); /* hide from the compiler what it would refuse to do */
	*p = 1;
}

static void hang(void)
{
	for (;;)
		__asm__ volatile("pause");
}

/* 64 KiB are all the stack there is. */
static int nest(int depth)
{
	volatile char here[1024];

	here[0] = 1;
	return depth ? nest(depth - 1) + here[0] : 0;
}

static void stack(void)
{
	exit(nest(1000));
}

static const struct {
	const char *word;
	void (*end)(void);
} ways[] = { { "fault", fault }, { "stack", stack }, { "hang", hang }, { "reset", reset },
	{ "poweroff", power_off } };

/* 0..255, or -1. */
static int status(const char *s)
{
	int n = 0;

	if (!*s)
		return -1;
	for (; *s; s++) {
		if (*s < '0' || *s > '9' || n > 255)
			return -1;
		n = n * 10 + *s - '0';
	}
	return n > 255 ? -1 : n;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 1;
	if (argc == 2 && status(argv[1]) >= 0)
		return status(argv[1]);
	for (unsigned i = 0; argc == 2 && i < sizeof(ways) / sizeof(*ways); i++)
		if (!strcmp(argv[1], ways[i].word))
			ways[i].end();
	printk("fail: usage: fail [STATUS 0..255 | fault | stack | hang | reset | poweroff]\n");
	return 2;
}
