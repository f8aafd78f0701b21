/* SPDX-License-Identifier: MIT */
/* net.c: network interfaces, with fixed addresses: no time is spent on asking for some. */
#include "deployers/cokernel/agent/parts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static struct sockaddr address(const char *text)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = inet_addr(text) };
	struct sockaddr a;

	memcpy(&a, &in, sizeof(a));
	return a;
}

static int up(int fd, const char *name, const char *own, const char *mask)
{
	struct ifreq r = { 0 };

	strcpy(r.ifr_name, name);
	r.ifr_addr = address(own);
	if (ioctl(fd, SIOCSIFADDR, &r) < 0)
		return -errno;
	r.ifr_netmask = address(mask);
	if (ioctl(fd, SIOCSIFNETMASK, &r) < 0)
		return -errno;
	r.ifr_flags = IFF_UP | IFF_RUNNING;
	return ioctl(fd, SIOCSIFFLAGS, &r) < 0 ? -errno : 0;
}

static int route(int fd, const char *gateway)
{
	struct rtentry r = { .rt_flags = RTF_UP | RTF_GATEWAY };

	r.rt_dst = address("0.0.0.0");
	r.rt_genmask = address("0.0.0.0");
	r.rt_gateway = address(gateway);
	return ioctl(fd, SIOCADDRT, &r) < 0 && errno != EEXIST ? -errno : 0;
}

int net_up(bool card)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return fail(-errno, "no sockets: %s", strerror(errno));
	int err = up(fd, "lo", "127.0.0.1", "255.0.0.0");
	if (!err && card)
		err = up(fd, "eth0", "10.0.2.15", "255.255.255.0");
	if (!err && card)
		err = route(fd, "10.0.2.2");
	close(fd);
	return err ? fail(err, "the network of the ROS: %s", strerror(-err)) : 0;
}
