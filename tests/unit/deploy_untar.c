/* SPDX-License-Identifier: MIT */
/* deploy_untar.c: archives from strangers: what they may make, and that nothing is made outside the directory. */
#include "tests/unit/base_tmp.h"

#include "deployers/untar.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define BLOCK 512u
#define MAX   (1u << 20)

static uint8_t archive[64 * 1024];
static size_t used;

static void add_sum(uint8_t *h)
{
	unsigned sum = 0;

	memset(h + 148, ' ', 8);
	for (unsigned i = 0; i < BLOCK; i++)
		sum += h[i];
	snprintf((char *)h + 148, 8, "%06o", sum);
}

static uint8_t *add(char type, const char *name, const char *link, const char *text)
{
	uint8_t *h = archive + used;
	size_t len = strlen(text);

	memset(h, 0, BLOCK + (len + BLOCK - 1) / BLOCK * BLOCK);
	strncpy((char *)h, name, 100);
	strcpy((char *)h + 100, "0000644");
	snprintf((char *)h + 124, 12, "%011o", (unsigned)len & 0xfffff);
	h[156] = (uint8_t)type;
	strncpy((char *)h + 157, link, 100);
	memcpy(h + 257, "ustar\00000", 8);
	add_sum(h);
	memcpy(h + BLOCK, text, len);
	used += BLOCK + (len + BLOCK - 1) / BLOCK * BLOCK;
	return h;
}

static void finish(void)
{
	memset(archive + used, 0, 2 * BLOCK);
	used += 2 * BLOCK;
}

static uint32_t skipped;

/* Unpacks (archive) into "in", in pieces of (piece) bytes, and begins a new one. */
static int unpack(size_t piece)
{
	struct untar u;
	struct why why = { 0 };
	int err = 0;

	assert_int_equal(mkdirat(tmp_dir, "in", 0755), 0);
	int fd = openat(tmp_dir, "in", O_RDONLY | O_DIRECTORY);
	untar_begin(&u, fd, MAX);
	for (size_t at = 0; at < used && !err; at += piece)
		err = untar_feed(&u, archive + at, used - at < piece ? used - at : piece, &why);
	assert_true(!err || *why.text);
	skipped = u.skipped;
	if (!err && !untar_whole(&u))
		err = -EPIPE;
	untar_end(&u);
	close(fd);
	used = 0;
	return err;
}

static void empty(void)
{
	assert_int_equal(io_remove_tree(tmp_dir, "in"), 0);
}

/* An archive of one entry that comes to (err), and makes nothing at (path). */
static void refused(int err, char type, const char *name, const char *link)
{
	add(type, name, link, "");
	finish();
	int got = unpack(BLOCK);
	if (got != err)
		print_error("%c %s %s: %d\n", type, name, link, got);
	assert_int_equal(got, err);
	empty();
}

static const char *text_of(const char *path)
{
	static char text[64];
	int fd = openat(tmp_dir, path, O_RDONLY | O_NOFOLLOW);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	text[n < 0 ? 0 : n] = 0;
	return n < 0 ? "(none)" : text;
}

static void makes_what_may_be(void **state)
{
	struct stat st;

	(void)state;
	for (size_t piece = 1; piece < 2000; piece += 333) {
		add('5', "./d/", "", "");
		add('0', "./d/f", "", "file");
		add('0', "/absolute", "", "inside");
		add('1', "hard", "d/f", "");
		add('2', "d/soft", "../d/f", "");
		add('L', "x", "", "d/a/long/name");
		add('0', "short", "", "long");
		add('x', "x", "", "19 path=d/from-pax\n");
		add('0', "short", "", "pax");
		uint8_t *h = add('0', "mode", "", "");
		strcpy((char *)h + 100, "0006777");
		add_sum(h);
		add('3', "device", "", "");
		add('6', "fifo", "", "");
		finish();
		assert_int_equal(unpack(piece), 0);
		assert_int_equal(skipped, 2);
		assert_string_equal(text_of("in/d/f"), "file");
		assert_string_equal(text_of("in/absolute"), "inside");
		assert_string_equal(text_of("in/hard"), "file");
		assert_string_equal(text_of("in/d/a/long/name"), "long");
		assert_string_equal(text_of("in/d/from-pax"), "pax");
		assert_int_equal(fstatat(tmp_dir, "in/mode", &st, 0), 0);
		assert_int_equal(st.st_mode & 07777, 0777);
		empty();
	}
}

static void stays_inside(void **state)
{
	(void)state;
	refused(-EBADMSG, '0', "../out", "");
	refused(-EBADMSG, '0', "a/../../out", "");
	refused(-EBADMSG, '5', "..", "");
	refused(-EBADMSG, '1', "hard", "../../etc/passwd");
	refused(-ENOENT, '1', "hard", "/etc/passwd");
	refused(0, '2', "soft", "/etc/passwd");
	assert_int_equal(skipped, 1);
	refused(0, '2', "a/soft", "../../out");
	assert_int_equal(skipped, 1);

	add('2', "up", ".", ""); /* through a link, although it stays inside */
	add('0', "up/x", "", "x");
	finish();
	assert_true(unpack(BLOCK) < 0);
	empty();
	add('2', "soft", "f", "");
	add('1', "hard", "soft", "");
	finish();
	assert_int_equal(unpack(BLOCK), -EBADMSG);
	empty();
	add('0', "f", "", "first"); /* over a link: the link goes, not what it leads to */
	add('2', "l", "f", "");
	add('0', "l", "", "second");
	finish();
	assert_int_equal(unpack(BLOCK), 0);
	assert_string_equal(text_of("in/f"), "first");
	empty();
	add('5', "d", "", "");
	add('0', "d", "", "");
	finish();
	assert_int_equal(unpack(BLOCK), -EISDIR);
	empty();
}

static void is_bounded(void **state)
{
	uint8_t *h;
	char deep[400];

	(void)state;
	for (int i = 0; i < 65; i++)
		strcpy(deep + 2 * i, "d/");
	add('L', "x", "", deep);
	add('0', "x", "", "");
	finish();
	assert_int_equal(unpack(BLOCK), -EBADMSG);
	empty();
	h = add('0', "large", "", "");
	snprintf((char *)h + 124, 12, "%011o", MAX + 1);
	add_sum(h);
	assert_int_equal(unpack(BLOCK), -EFBIG);
	empty();
	h = add('0', "negative", "", "");
	memset(h + 124, 0xff, 12);
	add_sum(h);
	assert_int_equal(unpack(BLOCK), -EBADMSG);
	empty();
	h = add('L', "long", "", "");
	strcpy((char *)h + 124, "00000100001");
	add_sum(h);
	assert_int_equal(unpack(BLOCK), -EFBIG);
	empty();
	h = add('0', "f", "", "");
	h[0] = 'g'; /* the sum is wrong */
	assert_int_equal(unpack(BLOCK), -EBADMSG);
	empty();
	add('0', "cut", "", "text");
	used -= 300;
	assert_int_equal(unpack(BLOCK), -EPIPE);
	empty();
}

static void refuses_damaged_attributes(void **state)
{
	static const char *const bad[] = { "x", "5", "4 a", "99999999999999999999 path=x\n", "18 path=x\n",
		"0 path=x\n", "-9 path=x\n", "9 path=x\n\n3 \n", "9 path=xy" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		add('x', "x", "", bad[i]);
		add('0', "f", "", "");
		finish();
		assert_int_equal(unpack(BLOCK), -EBADMSG);
		empty();
	}
}

static unsigned outside(void)
{
	DIR *d = fdopendir(openat(tmp_dir, ".", O_RDONLY | O_DIRECTORY));
	unsigned n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static void survives_noise(void **state)
{
	static const char *const names[] = { "f", "d", "d/f", "../f", "d/../../f", "/d/l", "l", "l/f",
		"d/l/x", ".", "", "..", "d//f" };
	static const char types[] = "00000122255LKxg346Z";
	static const char *const texts[] = { "", "text", "11 path=../\n", "9 path=l\n", "14 size=-1000\n",
		"13 linkpath=\n", "../../x" };

	(void)state;
	srandom(4);
	for (int n = 0; n < 1500; n++) {
		for (long k = random() % 8 + 1; k; k--) {
			uint8_t *h = add(types[(size_t)random() % (sizeof(types) - 1)],
				names[(size_t)random() % 13], names[(size_t)random() % 13],
				texts[(size_t)random() % 7]);

			if (random() % 4)
				continue;
			h[(size_t)random() % BLOCK] = (uint8_t)random();
			if (random() % 8)
				add_sum(h);
		}
		if (random() % 8)
			finish();
		else
			used -= (size_t)random() % used;
		unpack((size_t)random() % 1000 + 1);
		assert_int_equal(outside(), 1);
		empty();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(makes_what_may_be, tmp_setup, tmp_teardown),
		cmocka_unit_test_setup_teardown(stays_inside, tmp_setup, tmp_teardown),
		cmocka_unit_test_setup_teardown(is_bounded, tmp_setup, tmp_teardown),
		cmocka_unit_test_setup_teardown(refuses_damaged_attributes, tmp_setup, tmp_teardown),
		cmocka_unit_test_setup_teardown(survives_noise, tmp_setup, tmp_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
