/* SPDX-License-Identifier: MIT */
/*
 * io.c: the streams and the console for many threads. lib/streams.c knows one user at a time: a mutex lets one in, and
 * when it has to wait for the device (device_wait) another may come in meanwhile.
 */
#include "cokernel.h"
#include "device.h"

#define KEYS 256u

static struct mutex streams, console;
static struct thread *volatile inside; /* who has the streams */
static struct wait_queue devices;      /* threads that wait for an interrupt */
static volatile uint32_t events;       /* interrupts of devices so far */

static struct wait_queue typing; /* its lock guards the next three */
static uint8_t keys[KEYS];
static uint32_t keys_in, keys_out;

static void enter(void)
{
	mutex_lock(&streams);
	inside = current_thread();
	inside->events_seen = events;
}

static void leave(void)
{
	inside = NULL;
	mutex_unlock(&streams);
}

/* Hears a request to stop, whatever the application does. */
static void listen(void *unused)
{
	(void)unused;
	enter();
	for (;;) {
		streams_poll();
		device_wait();
	}
}

void io_init(void)
{
	console_read(NULL, 0); /* from now on it interrupts */
	enter();
	streams_init();
	leave();
	thread_create("listener", listen, NULL, PRIORITY_NORMAL);
}

void io_typed(void)
{
	uint8_t key;

	lock_take(&typing.lock);
	while (console_read(&key, 1))
		if (keys_in - keys_out < KEYS)
			keys[keys_in++ % KEYS] = key;
	wake_locked(&typing, 0, 1);
	lock_drop(&typing.lock);
}

/* Pins are edge-triggered, and devices may share one: it falls, and can rise again, only when all of them are quiet. */
void io_interrupt(unsigned vector)
{
	if (vector == VECTOR_SERIAL) {
		io_typed();
		return;
	}
	for (bool any = true; any;) {
		any = devices_interrupt();
		if (!streams_interrupted())
			continue;
		any = true;
		lock_take(&devices.lock);
		events++;
		wake_locked(&devices, 0, ~0u);
		lock_drop(&devices.lock);
		stdio_changed();
	}
}

/* The interrupt handler has done it. */
void device_ack(struct virtio *v)
{
	(void)v;
}

/* What has happened since this thread last looked ends the wait at once. */
void device_wait(void)
{
	struct thread *t = current_thread();
	uint64_t flags;

	if (panicking) {
		pause_cpu();
		return;
	}
	leave();
	flags = wait_begin(&devices, NEVER);
	if (events == t->events_seen)
		wait_on(&devices, 0, flags);
	else
		wait_not(&devices, flags);
	enter();
}

size_t io_read(void *buf, size_t len)
{
	size_t n;

	enter();
	n = read_stdin(buf, len);
	leave();
	return n;
}

/* io_read would not wait. */
bool io_readable(void)
{
	bool is;

	enter();
	is = stdin_readable();
	leave();
	return is;
}

void io_write(const void *buf, size_t len)
{
	enter();
	write_stdout(buf, len);
	leave();
}

void io_console(const void *buf, size_t len)
{
	mutex_lock(&console);
	console_write(buf, len);
	mutex_unlock(&console);
}

void vprint(const char *fmt, va_list args)
{
	mutex_lock(&console);
	vprintk(fmt, args);
	mutex_unlock(&console);
}

void print(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vprint(fmt, args);
	va_end(args);
}

int io_key(void)
{
	for (;;) {
		uint64_t flags = wait_begin(&typing, NEVER);

		if (keys_in != keys_out) {
			int key = keys[keys_out++ % KEYS];

			wait_not(&typing, flags);
			return key;
		}
		wait_on(&typing, 0, flags);
	}
}

/* The end, from any thread or from an exception. What was written to stdout arrives first. */
void exit(int status)
{
	if (!panicking) {
		if (net_finish)
			net_finish();
		if (!cokernel && inside != current_thread()) /* else the host asked us to stop */
			enter();
		irq_save();
		panic_stop_others();
	}
	if (cokernel)
		cokernel_end(status & 255);
	streams_exit(status & 255);
	if (status & 255) /* nobody to tell it to but who reads the console */
		printk("%s: exit status %d\n", KERNEL_NAME, status & 255);
	power_off();
}

void panic(const char *fmt, ...)
{
	static int times;
	static char words[192];
	va_list args;

	irq_save();
	if (!panicking)
		panic_stop_others();
	printk("%s: ", KERNEL_NAME);
	va_start(args, fmt);
	vprintk(fmt, args);
	va_end(args);
	printk("\n");
	if (cokernel) {
		va_start(args, fmt);
		format_words(words, sizeof(words), fmt, args);
		va_end(args);
		cokernel_failed(words);
		for (;;)
			__asm__ volatile("cli; hlt");
	}
	if (++times > 2) /* telling the status is what failed */
		reset();
	exit(134);
}
