/* SPDX-License-Identifier: MIT */
/*
 * log.c: a line is made in memory and written at once, so lines of several threads do not mix and no
 * lock is needed: not even between fork and exec of a program with threads does logging wait.
 */
#include "cache/base/log.h"

#include "cache/base/buf.h"
#include "cache/base/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096

enum target { TO_STDERR, TO_FD, TO_SYSLOG };

static const char *_Atomic log_program;
static _Atomic int max_level = LOG_LEVEL_INFO;
static _Atomic int target = TO_STDERR;
static _Atomic int log_fd = -1;

void log_open(const char *program, enum log_level level)
{
	log_program = program;
	max_level = (int)level;
}

enum log_level log_level(void)
{
	return (enum log_level)max_level;
}

void log_to_fd(int fd)
{
	int old = log_fd;

	if (old >= 0 && old != fd) {
		/* In place, so that a thread that is about to write finds the number open. */
		if (dup3(fd, old, O_CLOEXEC) >= 0)
			close(fd);
		else
			log_fd = fd;
	} else {
		log_fd = fd;
	}
	target = TO_FD;
}

void log_to_syslog(void)
{
	openlog(log_program, LOG_PID, LOG_DAEMON);
	target = TO_SYSLOG;
}

/* "2025-11-23T04:40:12.123Z "; by hand, because gmtime_r takes a lock of the C library.
 * The calendar is reckoned in years that begin on 1 March, where the leap day comes last. */
static size_t put_time(char *out, size_t size)
{
	struct timespec ts;
	long days, era, doe, yoe, doy, mp, secs;

	clock_gettime(CLOCK_REALTIME, &ts);
	secs = ts.tv_sec % 86400;
	days = ts.tv_sec / 86400 + 719468; /* since 0000-03-01 */
	era = days / 146097;
	doe = days % 146097;
	yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	mp = (5 * doy + 2) / 153;
	return (size_t)snprintf(out, size, "%04ld-%02ld-%02ldT%02ld:%02ld:%02ld.%03ldZ ",
		yoe + era * 400 + (mp >= 10), mp < 10 ? mp + 3 : mp - 9, doy - (153 * mp + 2) / 5 + 1,
		secs / 3600, secs / 60 % 60, secs % 60, ts.tv_nsec / 1000000);
}

/* Copies (s) with what does not print escaped; never more than fits, and whole characters only. */
static size_t escape_into(char *out, size_t size, const char *s, bool lines)
{
	size_t len = strlen(s), o = 0;

	for (size_t i = 0; i < len;) {
		size_t n = utf8_printable(s + i, len - i);

		if (n == 0 && lines && (s[i] == '\n' || s[i] == '\t'))
			n = 1;
		if (n) {
			if (o + n >= size)
				break;
			memcpy(out + o, s + i, n);
			o += n;
		} else {
			char hex[8];
			int h = s[i] == '\n' ? snprintf(hex, sizeof(hex), "\\n")
					     : snprintf(hex, sizeof(hex), "\\x%02x", (unsigned char)s[i]);

			if (o + (size_t)h >= size)
				break;
			memcpy(out + o, hex, (size_t)h);
			o += (size_t)h;
		}
		i += n ? n : 1;
	}
	out[o] = '\0';
	return o;
}

/* One write; what a full or broken log does not take is lost, as logging must not stop the work. */
static void write_line(int fd, const char *line, size_t len)
{
	ssize_t n;

	do
		n = write(fd, line, len);
	while (n < 0 && errno == EINTR);
}

static void vlog(enum log_level level, int priority, const char *fmt, va_list ap)
{
	char text[LINE_MAX_BYTES / 2], line[LINE_MAX_BYTES];
	const char *program = log_program;
	int saved = errno, where = target;
	size_t n = 0;

	if ((int)level > max_level)
		return;
	vsnprintf(text, sizeof(text), fmt, ap);
	if (where == TO_FD)
		n = put_time(line, 64);
	if (program && where != TO_SYSLOG)
		n += (size_t)snprintf(line + n, 128, "%.100s: ", program);
	n += escape_into(line + n, sizeof(line) - n - 1, text, false);
	if (where == TO_SYSLOG) {
		syslog(priority, "%s", line);
	} else {
		line[n++] = '\n';
		write_line(where == TO_FD ? log_fd : STDERR_FILENO, line, n);
	}
	errno = saved;
}

#define LOG_FUNCTION(name, level, priority)                                                                  \
	void name(const char *fmt, ...)                                                                      \
	{                                                                                                    \
		va_list ap;                                                                                  \
                                                                                                             \
		va_start(ap, fmt);                                                                           \
		vlog(level, priority, fmt, ap);                                                              \
		va_end(ap);                                                                                  \
	}
LOG_FUNCTION(log_error, LOG_LEVEL_ERROR, LOG_ERR)
LOG_FUNCTION(log_warn, LOG_LEVEL_WARN, LOG_WARNING)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO, LOG_INFO)
LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG, LOG_DEBUG)

/* A sentence is set from a copy: its arguments may point into what (w) said before. */
static void why_set(struct why *w, int err, char *text)
{
	size_t len = strlen(text);

	while (len && text[len - 1] == '\n')
		text[--len] = '\0';
	len = escape_into(w->text, sizeof(w->text), text, true);
	if (len + 8 > sizeof(w->text))
		memcpy(w->text + escape_into(w->text, sizeof(w->text) - 4, text, true), "...", 4);
	w->err = err;
}

int why_fail(struct why *w, int err, const char *fmt, ...)
{
	char text[WHY_MAX];
	va_list ap;

	if (!w)
		return err;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	why_set(w, err, text);
	return err;
}

int why_fail_errno(struct why *w, int err, const char *fmt, ...)
{
	char text[WHY_MAX], all[WHY_MAX + 128];
	va_list ap;

	if (!w)
		return err;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(all, sizeof(all), "%s: %s", text, err_text(err));
	why_set(w, err, all);
	return err;
}

int why_prefix(struct why *w, const char *fmt, ...)
{
	char text[WHY_MAX], all[2 * WHY_MAX + 2];
	va_list ap;

	if (!w)
		return -EIO;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(all, sizeof(all), "%s: %s", text, w->text);
	why_set(w, w->err, all);
	return w->err;
}

void why_clear(struct why *w)
{
	if (!w)
		return;
	w->err = 0;
	w->text[0] = '\0';
}

const char *err_text(int err)
{
	static _Thread_local char unknown[32];
	const char *s;

	if (err == 0)
		return "no error";
	s = strerrordesc_np(err < 0 && err != INT_MIN ? -err : err);
	if (s)
		return s;
	snprintf(unknown, sizeof(unknown), "error %d", err);
	return unknown;
}
