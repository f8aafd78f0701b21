/* SPDX-License-Identifier: MIT */
/*
 * card.c: virtio net as an interface of lwIP. Each queue has buffers of its own, which the device keeps: a packet is copied
 * once on its way. While there is work the device does not interrupt. Source: VIRTIO 1.1, 5.1.
 */
#include "net.h"

#include "device.h"
#include "lwip/etharp.h"

#define FEATURE_MAC (1ull << 5)
#define BUFFER	    2048u /* two a page: header and the largest frame */
#define FRAME_MAX   1514u
#define STALLED_NS  200000000ull

struct header { /* in front of each frame; no offload is agreed on, so it is all 0 */
	uint8_t flags, gso_type;
	uint16_t header_len, gso_size, checksum_start, checksum_offset, buffers;
};
_Static_assert(sizeof(struct header) == 12, "the device's layout");

static struct device device;
static struct virtio_queue rx, tx; /* the net lock guards both */
static char *rx_buf[VIRTIO_SLOTS], *tx_buf[VIRTIO_SLOTS];
static unsigned idle[VIRTIO_SLOTS], idle_count; /* transmit slots */
static struct netif *card;

static struct bell arrivals, departures; /* the device has interrupted; each is heard by one thread */

static void ring(struct device *d)
{
	(void)d;
	virtio_interrupts(&rx, false);
	bell_ring(&arrivals);
	bell_ring(&departures);
}

void card_wait(uint64_t until)
{
	bell_wait(&arrivals, until, false);
}

/* False: the device was done with none. */
static bool collect(void)
{
	uint32_t len;
	int slot;
	bool any = false;

	while ((slot = virtio_get(&tx, &len)) >= 0) {
		idle[idle_count++] = (unsigned)slot;
		any = true;
	}
	return any;
}

/* A transmit slot; -1: the device keeps them all. lwIP then tries again later. */
static int take_slot(void)
{
	uint64_t until;

	if (idle_count < tx.slots / 2u)
		collect();
	if (!idle_count) {
		until = clock_ns() + STALLED_NS;
		virtio_interrupts(&tx, true);
		for (bell_reset(&departures); !collect() && clock_ns() < until; bell_reset(&departures))
			bell_wait(&departures, until, false);
		virtio_interrupts(&tx, false);
	}
	return idle_count ? (int)idle[--idle_count] : -1;
}

static err_t transmit(struct netif *n, struct pbuf *p)
{
	int slot;

	(void)n;
	if (p->tot_len > FRAME_MAX)
		return ERR_BUF;
	slot = take_slot();
	if (slot < 0)
		return ERR_MEM;
	memset(tx_buf[slot], 0, sizeof(struct header));
	pbuf_copy_partial(p, tx_buf[slot] + sizeof(struct header), p->tot_len, 0);
	virtio_put(&tx, (unsigned)slot, tx_buf[slot], sizeof(struct header) + p->tot_len, false);
	virtio_kick(&tx);
	return ERR_OK;
}

static void receive_one(const char *frame, uint32_t len)
{
	struct pbuf *p;

	if (len > FRAME_MAX || !(p = pbuf_alloc(PBUF_RAW, (uint16_t)len, PBUF_RAM)))
		return; /* as if it had been lost on the way */
	pbuf_take(p, frame, (uint16_t)len);
	if (card->input(p, card) != ERR_OK)
		pbuf_free(p);
}

static unsigned receive_all(void)
{
	uint32_t len;
	unsigned count = 0;
	int slot;

	for (; (slot = virtio_get(&rx, &len)) >= 0; count++) {
		if (len > sizeof(struct header) && len <= BUFFER)
			receive_one(rx_buf[slot] + sizeof(struct header), len - sizeof(struct header));
		virtio_put(&rx, (unsigned)slot, rx_buf[slot], BUFFER, true);
	}
	if (count)
		virtio_kick(&rx);
	return count;
}

void card_receive(void)
{
	if (!card)
		return;
	bell_reset(&arrivals);
	while (receive_all())
		;
	virtio_interrupts(&rx, true);
	if (receive_all()) /* what came in between makes no interrupt */
		bell_ring(&arrivals);
}

static err_t init(struct netif *n)
{
	n->name[0] = 'e';
	n->name[1] = 'n';
	n->hostname = KERNEL_NAME;
	n->mtu = 1500;
	n->hwaddr_len = 6;
	for (int i = 0; i < 6; i++)
		n->hwaddr[i] = device.virtio.config[i];
	n->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET | NETIF_FLAG_LINK_UP;
	n->output = etharp_output;
	n->linkoutput = transmit;
	return ERR_OK;
}

static bool make_buffers(char **buf, unsigned slots)
{
	for (unsigned i = 0; i < slots; i += 2) {
		buf[i] = page_alloc(0);
		if (!buf[i])
			return false;
		if (i + 1 < slots)
			buf[i + 1] = buf[i] + BUFFER;
	}
	return true;
}

bool card_open(struct netif *netif)
{
	if (!device_open(&device, VIRTIO_ID_NET, FEATURE_MAC))
		return false;
	virtio_queue_init(&device.virtio, &rx, 0);
	virtio_queue_init(&device.virtio, &tx, 1);
	if (!rx.slots || !tx.slots || !make_buffers(rx_buf, rx.slots) || !make_buffers(tx_buf, tx.slots))
		return false;
	for (unsigned i = 0; i < tx.slots; i++)
		idle[idle_count++] = i;
	for (unsigned i = 0; i < rx.slots; i++)
		virtio_put(&rx, i, rx_buf[i], BUFFER, true);
	virtio_interrupts(&tx, false);
	if (!netif_add_noaddr(netif, NULL, init, netif_input))
		return false;
	card = netif;
	device_start(&device, ring);
	virtio_kick(&rx);
	return true;
}
