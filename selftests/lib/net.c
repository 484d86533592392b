// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <net/if_arp.h>

#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>

#include "net.h"
#include "util.h"

static int be_silent(void)
{
	int err = 0;

	/* A link that comes up would send router solicitations and the like. */
	if (!access("/proc/sys/net/ipv6", F_OK)) {
		err = write_string("/proc/sys/net/ipv6/conf/all/disable_ipv6",
				   "1");
		if (!err)
			err = write_string("/proc/sys/net/ipv6/conf/default/disable_ipv6",
					   "1");
	}
	return err ?: link_up("lo");
}

int net_isolate(void)
{
	if (unshare(CLONE_NEWNET))
		return -errno;
	return be_silent();
}

int net_leave(void)
{
	int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	int err;

	if (fd < 0)
		return -errno;
	err = net_isolate();
	if (!err)
		return fd;
	close(fd);
	return err;
}

int net_enter(int fd)
{
	return setns(fd, CLONE_NEWNET) ? -errno : 0;
}

static int link_ioctl(unsigned long cmd, struct ifreq *ifr, const char *name)
{
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int err;

	if (sock < 0)
		return -errno;
	strncpy(ifr->ifr_name, name, IFNAMSIZ - 1);
	err = ioctl(sock, cmd, ifr) ? -errno : 0;
	close(sock);
	return err;
}

static int link_set_flag(const char *name, bool up)
{
	struct ifreq ifr = {};
	int err;

	err = link_ioctl(SIOCGIFFLAGS, &ifr, name);
	if (err)
		return err;
	if (up)
		ifr.ifr_flags |= IFF_UP;
	else
		ifr.ifr_flags &= ~IFF_UP;
	return link_ioctl(SIOCSIFFLAGS, &ifr, name);
}

int link_up(const char *name)
{
	return link_set_flag(name, true);
}

int link_down(const char *name)
{
	return link_set_flag(name, false);
}

int link_set_mtu(const char *name, int mtu)
{
	struct ifreq ifr = { .ifr_mtu = mtu };

	return link_ioctl(SIOCSIFMTU, &ifr, name);
}

int link_set_txqlen(const char *name, int len)
{
	struct ifreq ifr = { .ifr_qlen = len };

	return link_ioctl(SIOCSIFTXQLEN, &ifr, name);
}

int link_set_mac(const char *name, const uint8_t *mac)
{
	struct ifreq ifr = { .ifr_hwaddr.sa_family = ARPHRD_ETHER };

	memcpy(ifr.ifr_hwaddr.sa_data, mac, 6);
	return link_ioctl(SIOCSIFHWADDR, &ifr, name);
}

int link_rename(const char *from, const char *to)
{
	struct ifreq ifr = {};

	strncpy(ifr.ifr_newname, to, IFNAMSIZ - 1);
	return link_ioctl(SIOCSIFNAME, &ifr, from);
}

/* Ask the kernel for @type of link @ifindex; the answer goes to @buf. */
static int rtnl_ask(uint16_t type, uint16_t flags, int ifindex, char *buf,
		    size_t size)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct ifinfomsg *ifi;
	struct mnl_socket *nl;
	ssize_t len = -1;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	ifi = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifi));
	ifi->ifi_index = ifindex;

	nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!nl)
		return -errno;
	if (!mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) &&
	    mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) > 0)
		len = mnl_socket_recvfrom(nl, buf, size);
	if (len < 0) {
		len = -errno;
	} else if (nlh->nlmsg_type == NLMSG_ERROR) {
		const struct nlmsgerr *err = mnl_nlmsg_get_payload(nlh);

		len = err->error;
	}
	mnl_socket_close(nl);
	return len;
}

int link_delete(const char *name)
{
	char buf[MNL_SOCKET_BUFFER_SIZE * 2];
	int ifindex = if_nametoindex(name);

	if (!ifindex)
		return -ENODEV;
	return rtnl_ask(RTM_DELLINK, NLM_F_ACK, ifindex, buf, sizeof(buf));
}

/* Of /proc/net/dev: bytes, packets, errors, drops and four more of each way */
#define STATS_FORMAT \
	"%*u %" SCNu64 " %*u %*u %*u %*u %*u %*u " \
	"%*u %" SCNu64 " %*u %" SCNu64

int link_stats(const char *name, struct link_stats *stats)
{
	FILE *f = fopen("/proc/thread-self/net/dev", "r");
	char line[512];
	size_t len = strlen(name);
	int err = -ENODEV;

	if (!f)
		return -errno;
	while (err && fgets(line, sizeof(line), f)) {
		const char *p = line + strspn(line, " ");

		if (strncmp(p, name, len) || p[len] != ':')
			continue;
		if (sscanf(p + len + 1, STATS_FORMAT, &stats->rx_packets,
			   &stats->tx_packets, &stats->tx_dropped) == 3)
			err = 0;
	}
	fclose(f);
	return err;
}

static void parse_brport(const struct nlattr *linkinfo, struct link_info *info)
{
	const struct nlattr *a, *b;

	mnl_attr_for_each_nested(a, linkinfo) {
		if (mnl_attr_get_type(a) != IFLA_INFO_SLAVE_DATA)
			continue;
		mnl_attr_for_each_nested(b, a)
			if (mnl_attr_get_type(b) == IFLA_BRPORT_NO)
				info->brport = mnl_attr_get_u16(b);
	}
}

int link_info(int ifindex, struct link_info *info)
{
	char buf[MNL_SOCKET_BUFFER_SIZE * 4];
	const struct nlmsghdr *nlh = (void *)buf;
	const struct ifinfomsg *ifi;
	const struct nlattr *a;
	int len;

	memset(info, 0, sizeof(*info));
	len = rtnl_ask(RTM_GETLINK, 0, ifindex, buf, sizeof(buf));
	if (len < 0)
		return len;

	ifi = mnl_nlmsg_get_payload(nlh);
	info->flags = ifi->ifi_flags;
	mnl_attr_for_each(a, nlh, sizeof(*ifi)) {
		switch (mnl_attr_get_type(a)) {
		case IFLA_IFNAME:
			strncpy(info->name, mnl_attr_get_str(a), IFNAMSIZ - 1);
			break;
		case IFLA_MTU:
			info->mtu = mnl_attr_get_u32(a);
			break;
		case IFLA_TXQLEN:
			info->txqlen = mnl_attr_get_u32(a);
			break;
		case IFLA_MASTER:
			info->master = mnl_attr_get_u32(a);
			break;
		case IFLA_CARRIER:
			info->carrier = mnl_attr_get_u8(a);
			break;
		case IFLA_OPERSTATE:
			info->operstate = mnl_attr_get_u8(a);
			break;
		case IFLA_CARRIER_CHANGES:
			info->carrier_changes = mnl_attr_get_u32(a);
			break;
		case IFLA_ADDRESS:
			if (mnl_attr_get_payload_len(a) == sizeof(info->mac))
				memcpy(info->mac, mnl_attr_get_payload(a),
				       sizeof(info->mac));
			break;
		case IFLA_LINKINFO:
			parse_brport(a, info);
			break;
		}
	}
	return 0;
}

int watch_open(struct watch *w, int ifindex)
{
	static const int groups[] = {
		RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
	};
	size_t i;

	memset(w, 0, sizeof(*w));
	w->ifindex = ifindex;
	w->nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!w->nl)
		return -errno;
	if (mnl_socket_bind(w->nl, 0, MNL_SOCKET_AUTOPID))
		return -errno;
	for (i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		if (mnl_socket_setsockopt(w->nl, NETLINK_ADD_MEMBERSHIP,
					  (void *)&groups[i],
					  sizeof(groups[i])))
			return -errno;
	return 0;
}

static int watch_msg(const struct nlmsghdr *nlh, void *data)
{
	struct watch *w = data;
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);

	switch (nlh->nlmsg_type) {
	case RTM_NEWLINK:
		w->links += ifi->ifi_index == w->ifindex;
		break;
	case RTM_DELLINK:
		w->deleted += ifi->ifi_index == w->ifindex;
		break;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		/* the index has the same place in a struct ifaddrmsg */
		w->addrs += ifi->ifi_index == w->ifindex;
		break;
	}
	return MNL_CB_OK;
}

unsigned int watch_read(struct watch *w)
{
	char buf[MNL_SOCKET_BUFFER_SIZE * 4];
	unsigned int before = w->links + w->deleted + w->addrs + w->lost;

	for (;;) {
		ssize_t len = mnl_socket_recvfrom(w->nl, buf, sizeof(buf));

		if (len < 0 && errno == ENOBUFS) {
			w->lost++;
			continue;
		}
		if (len <= 0)
			break;
		mnl_cb_run(buf, len, 0, 0, watch_msg, w);
	}
	return w->links + w->deleted + w->addrs + w->lost - before;
}

void watch_close(struct watch *w)
{
	if (w->nl)
		mnl_socket_close(w->nl);
	w->nl = NULL;
}
