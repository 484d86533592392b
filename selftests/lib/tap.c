// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/ethtool.h>
#include <linux/sockios.h>

#include "net.h"
#include "tap.h"
#include "util.h"

int tap_queue(const char *name, int flags)
{
	struct ifreq ifr = { .ifr_flags = flags };
	int fd, err;

	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	strncpy(ifr.ifr_name, name, IFNAMSIZ - 1);
	if (ioctl(fd, TUNSETIFF, &ifr)) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

/* As a VMM sets it up */
static int tap_init(struct tap *t)
{
	int size = 12;

	if (!(t->flags & IFF_VNET_HDR))
		return 0;
	if (ioctl(t->fds[0], TUNSETVNETHDRSZ, &size) ||
	    ioctl(t->fds[0], TUNSETOFFLOAD,
		  TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6))
		return -errno;
	t->hdr = size;
	return 0;
}

int tap_open(struct tap *t, const char *name, int n, int flags)
{
	int err = 0;

	memset(t, 0, sizeof(*t));
	strncpy(t->name, name, IFNAMSIZ - 1);
	t->flags = flags;
	while (t->n < n) {
		int fd = tap_queue(name, flags);

		if (fd < 0) {
			err = fd;
			goto err_close;
		}
		t->fds[t->n++] = fd;
	}
	t->ifindex = if_nametoindex(name);
	err = tap_init(t);
	if (!err)
		err = link_up(name);
	if (!err)
		return 0;
err_close:
	tap_close(t);
	return err;
}

void tap_close(struct tap *t)
{
	while (t->n)
		close(t->fds[--t->n]);
}

int tap_set_nonblock(const struct tap *t, bool on)
{
	int i;

	for (i = 0; i < t->n; i++) {
		int fl = fcntl(t->fds[i], F_GETFL);

		fl = on ? fl | O_NONBLOCK : fl & ~O_NONBLOCK;
		if (fcntl(t->fds[i], F_SETFL, fl))
			return -errno;
	}
	return 0;
}

int tap_detach(int fd, bool on)
{
	struct ifreq ifr = {
		.ifr_flags = on ? IFF_DETACH_QUEUE : IFF_ATTACH_QUEUE,
	};

	return ioctl(fd, TUNSETQUEUE, &ifr) ? -errno : 0;
}

int tap_is_detached(int fd)
{
	struct ifreq ifr = {};

	if (ioctl(fd, TUNGETIFF, &ifr))
		return -1;
	return !!(ifr.ifr_flags & IFF_DETACH_QUEUE);
}

static int ethtool_get(const char *name, uint32_t cmd, bool *on)
{
	struct ethtool_value val = { .cmd = cmd };
	struct ifreq ifr = { .ifr_data = (void *)&val };
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int err;

	if (sock < 0)
		return -errno;
	strncpy(ifr.ifr_name, name, IFNAMSIZ - 1);
	err = ioctl(sock, SIOCETHTOOL, &ifr) ? -errno : 0;
	close(sock);
	*on = val.data;
	return err;
}

int tap_settings(int fd, struct tap_settings *s)
{
	struct ifreq ifr = {};
	int err;

	memset(s, 0, sizeof(*s));
	if (ioctl(fd, TUNGETIFF, &ifr) ||
	    ioctl(fd, TUNGETVNETHDRSZ, &s->hdr) ||
	    ioctl(fd, TUNGETVNETLE, &s->le) ||
	    ioctl(fd, TUNGETSNDBUF, &s->sndbuf) ||
	    ioctl(fd, TUNGETFEATURES, &s->features))
		return -errno;
	memcpy(s->name, ifr.ifr_name, IFNAMSIZ);
	s->flags = ifr.ifr_flags;
	s->fl = fcntl(fd, F_GETFL);

	err = ethtool_get(s->name, ETHTOOL_GTXCSUM, &s->csum);
	if (!err)
		err = ethtool_get(s->name, ETHTOOL_GTSO, &s->tso);
	return err;
}
