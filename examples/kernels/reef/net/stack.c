/* SPDX-License-Identifier: MIT */
/*
 * stack.c: lwIP's surroundings: its lock, its thread, its clock, and the machine's address. That comes by DHCP while the
 * application starts, or at once from the kernel's command line:
 *
 *	ip=10.0.2.15/24,10.0.2.2	address, bits of the network, router (may be left out)
 */
#include "net.h"

#include "lwip/dhcp.h"
#include "lwip/init.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/timeouts.h"

#define MS	   1000000ull
#define LOOK_MS	   250 /* timers that callers set are seen at the latest so much later */
#define ADDRESS_MS 5000
#define FINISH_MS  1000

static struct mutex mutex, once;
static struct netif netif;
static bool have_card;
static struct condition addressed; /* the card has got an address */

int strncmp(const char *a, const char *b, size_t most)
{
	for (size_t i = 0; i < most; i++)
		if (a[i] != b[i] || !a[i])
			return (uint8_t)a[i] - (uint8_t)b[i];
	return 0;
}

int atoi(const char *s)
{
	return number(s);
}

uint32_t net_random(void)
{
	uint32_t value;

	random_bytes(&value, sizeof(value));
	return value;
}

uint32_t sys_now(void)
{
	return (uint32_t)(clock_ns() / MS);
}

void net_lock(void)
{
	mutex_lock(&mutex);
}

void net_unlock(void)
{
	for (struct netif *n = netif_list; n; n = n->next)
		if (n->loop_first)
			netif_poll(n);
	mutex_unlock(&mutex);
}

static void work(void *unused)
{
	(void)unused;
	for (;;) {
		net_lock();
		card_receive();
		sys_check_timeouts();
		net_unlock();
		card_wait(clock_ns() + LOOK_MS * MS);
	}
}

static void status(struct netif *n)
{
	if (!ip4_addr_isany_val(*netif_ip4_addr(n)))
		condition_broadcast(&addressed);
}

static const char *take_address(const char *s, ip4_addr_t *out)
{
	char text[16];
	size_t n = 0;

	while (n < sizeof(text) - 1 && ((s[n] >= '0' && s[n] <= '9') || s[n] == '.'))
		n++;
	memcpy(text, s, n);
	text[n] = 0;
	return ip4addr_aton(text, out) ? s + n : NULL;
}

static bool set_address(const char *s)
{
	ip4_addr_t ip, mask, router = { 0 };
	int bits;

	s = take_address(s, &ip);
	if (!s || *s != '/')
		return false;
	bits = number(++s);
	while (*s >= '0' && *s <= '9')
		s++;
	if (bits < 1 || bits > 32 || (*s == ',' && !(s = take_address(s + 1, &router))) || *s)
		return false;
	mask.addr = lwip_htonl(~0u << (32 - bits));
	netif_set_addr(&netif, &ip, &mask, &router);
	return true;
}

static void start_card(void)
{
	char ip[64];
	bool told = boot_parameter("ip", ip, sizeof(ip));

	have_card = card_open(&netif);
	if (!have_card) {
		print("%s: no network card: only 127.0.0.1 can be reached (net = user in config gives one)\n",
			KERNEL_NAME);
		return;
	}
	netif_set_default(&netif);
	netif_set_status_callback(&netif, status);
	netif_set_up(&netif);
	if (told && set_address(ip))
		return;
	if (told)
		print("%s: ip= is not ADDRESS/BITS[,ROUTER]: asking DHCP\n", KERNEL_NAME);
	dhcp_start(&netif);
}

void net_start(void)
{
	static bool started;

	mutex_lock(&once);
	if (!started) {
		started = true;
		lwip_init();
		net_lock();
		start_card();
		net_unlock();
		thread_create("net", work, NULL, PRIORITY_HIGH);
	}
	mutex_unlock(&once);
}

static void give_up(void *unused)
{
	(void)unused;
	condition_broadcast(&addressed);
}

bool net_route(const ip4_addr_t *ip)
{
	uint64_t until = clock_ns() + ADDRESS_MS * MS;

	if (have_card && !ip4_route(ip)) {
		sys_timeout(ADDRESS_MS, give_up, NULL);
		while (!ip4_route(ip) && ip4_addr_isany_val(*netif_ip4_addr(&netif)) && clock_ns() < until)
			condition_wait(&addressed, &mutex);
		sys_untimeout(give_up, NULL);
	}
	return ip4_route(ip);
}

static bool all_sent(void)
{
	for (struct tcp_pcb *p = tcp_active_pcbs; p; p = p->next)
		if (p->unsent || p->unacked)
			return false;
	return true;
}

/* What the application wrote last, as far as the other end takes it within a second: the machine is about to end. */
void net_finish(void)
{
	uint64_t until = clock_ns() + FINISH_MS * MS;
	bool sent = false;

	net_lock();
	sockets_close();
	while (!(sent = all_sent()) && clock_ns() < until) {
		net_unlock();
		thread_sleep(MS);
		net_lock();
	}
	net_unlock();
}
