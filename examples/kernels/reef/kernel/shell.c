/* SPDX-License-Identifier: MIT */
/*
 * shell.c: commands on the console. A line is words; words in double quotes may have blanks. Commands come from any
 * file: REEF_COMMAND puts them into a section of the image, which is the table here.
 *
 * Keys: left, right, home, end, backspace, delete; up and down for earlier lines; ^A ^E ^K ^U ^C ^L; ^D leaves.
 */
#include "kernel.h"

#define LINE	256
#define HISTORY 32
#define WORDS	32
#define CTRL(c) ((c)&31)
enum { KEY_UP = 1000, KEY_DOWN, KEY_RIGHT, KEY_LEFT, KEY_HOME, KEY_END, KEY_DELETE };

extern const struct reef_command commands_start[], commands_end[];

static char history[HISTORY][LINE];
static unsigned history_count;
static bool leaving;
static int leave_status;

struct editor {
	char text[LINE];
	size_t len, at;
	unsigned line; /* of the history; history_count: the new one */
};

static int cursor_key(int c)
{
	switch (c) {
	case 'A':
		return KEY_UP;
	case 'B':
		return KEY_DOWN;
	case 'C':
		return KEY_RIGHT;
	case 'D':
		return KEY_LEFT;
	case 'H':
	case '1':
	case '7':
		return KEY_HOME;
	case 'F':
	case '4':
	case '8':
		return KEY_END;
	case '3':
		return KEY_DELETE;
	default:
		return 0;
	}
}

/* A key; the sequences that terminals send for cursor keys are one. */
static int read_key(void)
{
	int c = io_key(), code;

	if (c != 27)
		return c;
	c = io_key();
	if (c != '[' && c != 'O')
		return 0;
	c = io_key();
	code = cursor_key(c);
	while (c >= '0' && c <= '9')
		c = io_key(); /* the ~ that ends it */
	return code;
}

static void redraw(const struct editor *e)
{
	print("\rreef> %s\033[K", e->text);
	if (e->at < e->len)
		print("\033[%luD", e->len - e->at);
}

static void set_text(struct editor *e, const char *text)
{
	e->len = e->at = strlen(text);
	memcpy(e->text, text, e->len + 1);
}

static void delete_at(struct editor *e, size_t at)
{
	if (at >= e->len)
		return;
	memmove(e->text + at, e->text + at + 1, e->len - at);
	e->len--;
}

static void insert(struct editor *e, char c)
{
	if (e->len == LINE - 1)
		return;
	memmove(e->text + e->at + 1, e->text + e->at, e->len - e->at + 1);
	e->text[e->at++] = c;
	e->len++;
}

static void recall(struct editor *e, int step)
{
	unsigned oldest = history_count > HISTORY ? history_count - HISTORY : 0;

	if (step < 0 ? e->line == oldest : e->line == history_count)
		return;
	e->line += (unsigned)step;
	set_text(e, e->line == history_count ? "" : history[e->line % HISTORY]);
}

static void edit(struct editor *e, int key)
{
	switch (key) {
	case KEY_LEFT:
		e->at -= e->at > 0;
		break;
	case KEY_RIGHT:
		e->at += e->at < e->len;
		break;
	case KEY_HOME:
	case CTRL('A'):
		e->at = 0;
		break;
	case KEY_END:
	case CTRL('E'):
		e->at = e->len;
		break;
	case KEY_UP:
	case KEY_DOWN:
		recall(e, key == KEY_UP ? -1 : 1);
		break;
	case KEY_DELETE:
		delete_at(e, e->at);
		break;
	case 8:
	case 127:
		if (e->at)
			delete_at(e, --e->at);
		break;
	case CTRL('K'):
		e->text[e->len = e->at] = '\0';
		break;
	case CTRL('U'):
	case CTRL('C'):
		set_text(e, "");
		break;
	case CTRL('L'):
		print("\033[H\033[2J");
		break;
	default:
		if (key >= 32 && key < 127)
			insert(e, (char)key);
	}
}

static bool read_line(struct editor *e)
{
	*e = (struct editor){ .line = history_count };
	print("reef> ");
	for (;;) {
		int key = read_key();

		if (key == '\r' || key == '\n')
			break;
		if (key == CTRL('D') && !e->len)
			return false;
		edit(e, key);
		if (key >= 32 && key < 127 && e->at == e->len)
			print("%c", key); /* at the end there is nothing to move */
		else
			redraw(e);
	}
	print("\n");
	if (e->len && (!history_count || strcmp(history[(history_count - 1) % HISTORY], e->text)))
		memcpy(history[history_count++ % HISTORY], e->text, LINE);
	return true;
}

static int split(char *s, char **argv)
{
	int argc = 0;

	while (argc < WORDS) {
		bool quoted;

		while (*s == ' ' || *s == '\t')
			s++;
		if (!*s)
			break;
		quoted = *s == '"';
		argv[argc++] = s += quoted;
		while (*s && (quoted ? *s != '"' : *s != ' ' && *s != '\t'))
			s++;
		if (*s)
			*s++ = '\0';
	}
	argv[argc] = NULL;
	return argc;
}

int reef_run(int argc, char **argv)
{
	for (const struct reef_command *c = commands_start; argc && c < commands_end; c++)
		if (!strcmp(c->name, argv[0]))
			return c->run(argc, argv);
	if (argc)
		print("%s: not a command; help lists them\n", argv[0]);
	return 127;
}

int reef_shell(void)
{
	struct editor e;
	char *argv[WORDS + 1];

	print("reef on %u CPU%s, %lu MiB. help lists the commands.\n", cpu_count, cpu_count == 1 ? "" : "s",
		page_total() >> 20);
	leaving = false;
	while (!leaving && read_line(&e)) {
		int argc = split(e.text, argv), status = argc ? reef_run(argc, argv) : 0;

		if (status && !leaving && status != 127)
			print("status %d\n", status);
	}
	return leave_status;
}

unsigned reef_cpus(void)
{
	return cpu_count;
}

void reef_print(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vprint(fmt, args);
	va_end(args);
}

static int help(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	for (const struct reef_command *c = commands_start; c < commands_end; c++)
		print("  %-8s %s\n", c->name, c->help);
	return 0;
}
REEF_COMMAND(help, "this list", help);

static int show_history(int argc, char **argv)
{
	unsigned from = history_count > HISTORY ? history_count - HISTORY : 0;

	(void)argc;
	(void)argv;
	for (; from < history_count; from++)
		print("%4u  %s\n", from + 1, history[from % HISTORY]);
	return 0;
}
REEF_COMMAND(history, "the last lines", show_history);

int number(const char *s)
{
	int n = 0;

	while (s && *s >= '0' && *s <= '9' && n < 100000000)
		n = n * 10 + *s++ - '0';
	return n;
}

static int leave(int argc, char **argv)
{
	leaving = true;
	leave_status = number(argc > 1 ? argv[1] : "0");
	return leave_status;
}
REEF_COMMAND(exit, "[STATUS]  ends the shell", leave);
