/* SPDX-License-Identifier: MIT */
/* upper: lower-case letters become upper-case ones; every other byte stays as it is. */
#include "diver.h"

static char buf[65536];

int main(int argc, char **argv)
{
	size_t len;

	(void)argc, (void)argv;
	while ((len = read_stdin(buf, sizeof(buf)))) {
		for (size_t i = 0; i < len; i++)
			if (buf[i] >= 'a' && buf[i] <= 'z')
				buf[i] -= 'a' - 'A';
		write_stdout(buf, len);
	}
	return 0;
}
