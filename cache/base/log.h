/* SPDX-License-Identifier: MIT */
/*
 * log.h: one event, one line; and errors in words.
 *
 * A log line says who, what it was doing, to which object, and why it failed:
 *     diverfs: splitHW: mandel: cannot take cpu 2 offline: Device or resource busy
 * It goes to stderr until log_to_file() or log_to_syslog() moves it. Bytes that are not
 * printable are escaped, so that a hostile name cannot forge a line.
 *
 * A function whose failure a user must understand takes a `struct why *` (may be NULL) and
 * returns its -errno through why_fail(): the sentence is written once, where the facts are, and
 * is what `error` shows. The sentence says what, why, and what to do.
 *
 * Threads  any
 * Errors   why_fail returns the err that it was given, which is negative
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* (program) is kept, not copied. Lines above (level) are dropped. */
void log_open(const char *program, enum log_level level);
enum log_level log_level(void);
/* Later lines go to (fd), which the log owns from now on, each with a time before it. */
void log_to_fd(int fd);
void log_to_syslog(void);

void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#define WHY_MAX 1024

struct why {
	int err;            /* 0, or the -errno of the last why_fail */
	char text[WHY_MAX]; /* one or more lines, no final newline; "" if nothing failed */
};

/* Writes the sentence and returns (err). (w) may be NULL: then only the value matters. */
int why_fail(struct why *w, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* As why_fail, with ": <strerror(-err)>" appended. */
int why_fail_errno(struct why *w, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Puts "<prefix>: " before what (w) already says; returns w->err (-EIO if (w) is NULL, so that a
 * failure is never taken for a success; better return the err that you have). */
int why_prefix(struct why *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void why_clear(struct why *w);

/* As strerror, for a positive or negative errno, thread-safe; never NULL. */
const char *err_text(int err);

#endif
