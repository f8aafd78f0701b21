/* SPDX-License-Identifier: MIT */
/* poll.c: waiting for one of several files, in its three dresses: poll, ppoll, select. */
#include "file.h"

#define POLLNVAL 0x20u

struct pollfd {
	int fd;
	short events, revents;
};

struct poll_watch {
	struct watch watch;
	struct bell *bell;
};

static void ring(struct watch *w)
{
	bell_ring(((struct poll_watch *)w)->bell);
}

static long look(struct pollfd *fds, struct file **files, uint64_t n)
{
	long found = 0;

	for (uint64_t i = 0; i < n; i++) {
		unsigned now =
			files[i] ? file_poll(files[i]) & ((unsigned short)fds[i].events | POLLERR | POLLHUP)
			: fds[i].fd >= 0 ? POLLNVAL
					 : 0;

		fds[i].revents = (short)now;
		found += now != 0;
	}
	return found;
}

static long wait_for(
	struct pollfd *fds, struct file **files, struct poll_watch *watches, uint64_t n, uint64_t until)
{
	struct bell bell = { 0 };
	long result, err = 0;

	for (uint64_t i = 0; i < n; i++) {
		watches[i] = (struct poll_watch){ .watch.ring = ring, .bell = &bell };
		if (files[i])
			file_watch(files[i], &watches[i].watch);
	}
	do {
		bell_reset(&bell);
		result = look(fds, files, n);
		if (!result && until)
			err = bell_wait(&bell, until, true);
	} while (!result && until && !err);
	for (uint64_t i = 0; i < n; i++)
		if (files[i])
			file_unwatch(&watches[i].watch);
	return err == -EINTR ? err : result;
}

/* (until): 0, only look. */
static long poll_files(struct pollfd *fds, uint64_t n, uint64_t until)
{
	struct file **files = malloc((n + 1) * (sizeof(*files) + sizeof(struct poll_watch)));
	struct poll_watch *watches = (void *)(files + n);
	long result;

	if (!files)
		return -ENOMEM;
	for (uint64_t i = 0; i < n; i++)
		files[i] = fds[i].fd >= 0 ? fd_get((uint64_t)fds[i].fd) : NULL;
	result = wait_for(fds, files, watches, n, until);
	for (uint64_t i = 0; i < n; i++)
		if (files[i])
			file_put(files[i]);
	free(files);
	return result;
}

static long poll_user(struct pollfd *user, uint64_t n, uint64_t until)
{
	struct pollfd *fds;
	long result;

	if (n > FDS_MAX)
		return -EINVAL;
	fds = malloc((n + 1) * sizeof(*fds));
	if (!fds)
		return -ENOMEM;
	result = copy_in(fds, user, n * sizeof(*fds));
	if (!result)
		result = poll_files(fds, n, until);
	if (result >= 0 && copy_out(user, fds, n * sizeof(*fds)))
		result = -EFAULT;
	free(fds);
	return result;
}

CALL(poll)
{
	int ms = (int)ARG3;

	return poll_user((void *)ARG1, ARG2, ms < 0 ? NEVER : ms ? clock_ns() + (uint64_t)ms * 1000000 : 0);
}

/* 0 for "now" is what until means above. */
static long time_limit(const struct timespec *user, uint64_t unit, uint64_t *until)
{
	struct timespec t;

	*until = NEVER;
	if (!user)
		return 0;
	if (copy_in(&t, user, sizeof(t)))
		return -EFAULT;
	t.nanoseconds *= (int64_t)unit;
	*until = time_span(&t);
	if (*until && *until != NEVER)
		*until += clock_ns();
	return 0;
}

CALL(ppoll)
{
	uint64_t until;
	long err = time_limit((void *)ARG3, 1, &until);

	if (!err)
		err = signal_mask_for_call((void *)ARG4, ARG5);
	return err ? err : poll_user((void *)ARG1, ARG2, until);
}

#define SET_WORDS 16 /* 1024 descriptors */
struct sets {
	uint64_t in[3][SET_WORDS], out[3][SET_WORDS];
};
static const unsigned wanted[3] = { POLLIN | POLLRDHUP, POLLOUT, POLLPRI };
static const unsigned given[3] = { POLLIN | POLLHUP | POLLERR, POLLOUT | POLLERR, POLLPRI };

static long select_fds(struct sets *s, uint64_t n, uint64_t until)
{
	struct pollfd *fds = malloc((n + 1) * sizeof(*fds));
	uint64_t used = 0;
	long result, count = 0;

	if (!fds)
		return -ENOMEM;
	for (uint64_t fd = 0; fd < n; fd++) {
		unsigned events = 0;

		for (int set = 0; set < 3; set++)
			events |= s->in[set][fd / 64] >> fd % 64 & 1 ? wanted[set] & ~POLLRDHUP : 0;
		if (events)
			fds[used++] = (struct pollfd){ (int)fd, (short)events, 0 };
	}
	result = poll_files(fds, used, until);
	for (uint64_t i = 0; result >= 0 && i < used; i++)
		for (uint64_t set = 0, fd = (uint64_t)fds[i].fd; set < 3; set++) {
			if (fds[i].revents & (short)POLLNVAL)
				result = -EBADF;
			if (!(s->in[set][fd / 64] >> fd % 64 & 1) || !((unsigned)fds[i].revents & given[set]))
				continue;
			s->out[set][fd / 64] |= 1ull << fd % 64;
			count++;
		}
	free(fds);
	return result < 0 ? result : count;
}

static long select_user(uint64_t n, const uint64_t *args, uint64_t until)
{
	struct sets *s;
	size_t len = (n + 63) / 64 * 8;
	long result = 0;

	if (n > SET_WORDS * 64)
		return -EINVAL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	for (int set = 0; set < 3; set++)
		if (!result && args[set])
			result = copy_in(s->in[set], (void *)args[set], len);
	if (!result)
		result = select_fds(s, n, until);
	for (int set = 0; set < 3; set++)
		if (result >= 0 && args[set] && copy_out((void *)args[set], s->out[set], len))
			result = -EFAULT;
	free(s);
	return result;
}

CALL(select)
{
	uint64_t until;
	long err = time_limit((void *)ARG5, 1000, &until);

	return err ? err : select_user(ARG1, (uint64_t[]){ ARG2, ARG3, ARG4 }, until);
}

CALL(pselect6)
{
	uint64_t until, set[2] = { 0 };
	long err = time_limit((void *)ARG5, 1, &until);

	if (!err && ARG6)
		err = copy_in(set, (void *)ARG6, sizeof(set));
	if (!err)
		err = signal_mask_for_call((void *)set[0], set[1]);
	return err ? err : select_user(ARG1, (uint64_t[]){ ARG2, ARG3, ARG4 }, until);
}
