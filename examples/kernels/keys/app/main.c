/* SPDX-License-Identifier: MIT */
/* keys: shows what a terminal sends, until q. To try terminals with, and as the smallest kernel that talks to one. */
#include "diver.h"

static void show_key(unsigned byte)
{
	if (byte < 32 || byte == 127)
		printk("key %u ^%c\n", byte, (char)(byte ^ 64));
	else if (byte < 127)
		printk("key %u %c\n", byte, (char)byte);
	else
		printk("key %u\n", byte);
}

static void show_size(void)
{
	unsigned columns, rows;

	if (console_size(&columns, &rows))
		printk("%u columns, %u rows\n", columns, rows);
}

int main(int argc, char **argv)
{
	unsigned char keys[64];
	int status = 0;

	for (const char *s = argc > 1 ? argv[1] : ""; *s >= '0' && *s <= '9' && status < 256; s++)
		status = status * 10 + *s - '0';
	printk("type keys; q ends\n");
	for (;;) {
		size_t n = read_console(keys, sizeof(keys));

		if (!n)
			show_size();
		for (size_t i = 0; i < n; i++) {
			show_key(keys[i]);
			if (keys[i] == 'q')
				return status;
		}
	}
}
