/* SPDX-License-Identifier: MIT */
/* count: lines, words and bytes in the columns of wc. A word is a longest run of bytes that are not blanks.
 */
#include "diver.h"

static unsigned char buf[65536];

static bool blank(unsigned char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

int main(int argc, char **argv)
{
	unsigned long lines = 0, words = 0, bytes = 0;
	bool in_word = false;
	size_t len;

	(void)argc, (void)argv;
	while ((len = read_stdin(buf, sizeof(buf)))) {
		bytes += len;
		for (size_t i = 0; i < len; i++) {
			bool word = !blank(buf[i]);

			lines += buf[i] == '\n';
			words += word && !in_word;
			in_word = word;
		}
	}
	printf("%7lu %7lu %7lu\n", lines, words, bytes);
	return 0;
}
