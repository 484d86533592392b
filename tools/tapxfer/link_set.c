// SPDX-License-Identifier: GPL-2.0-or-later
/* What rtnetlink sets of a device, all or nothing. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <netlink/addr.h>
#include <netlink/errno.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>

#include "cli.h"

static const struct {
	unsigned int bit;
	const char *name;
} all[] = {
	{ LINK_TXQLEN, "tx queue length" },
	{ LINK_MTU, "mtu" },
	/* last: some links take no address while something else is wrong */
	{ LINK_MAC, "address" },
};

/* libnl has errors of its own; these are what the kernel gives here. */
static int to_errno(int err)
{
	switch (-err) {
	case 0:
		return 0;
	case NLE_BUSY:
		return -EBUSY;
	case NLE_PERM:
	case NLE_NOACCESS:
		return -EPERM;
	case NLE_NODEV:
	case NLE_OBJ_NOTFOUND:
		return -ENODEV;
	case NLE_RANGE:
		return -ERANGE;
	case NLE_NOMEM:
		return -ENOMEM;
	case NLE_OPNOTSUPP:
		return -EOPNOTSUPP;
	default:
		return -EINVAL;
	}
}

static void had_get(struct rtnl_link *link, struct link_settings *had)
{
	struct nl_addr *addr = rtnl_link_get_addr(link);

	had->mtu = rtnl_link_get_mtu(link);
	had->txqlen = rtnl_link_get_txqlen(link);
	had->mac = had->mac_room;
	had->mac_len = addr ? nl_addr_get_len(addr) : 0;
	if (had->mac_len > sizeof(had->mac_room))
		had->mac_len = sizeof(had->mac_room);
	if (had->mac_len)
		memcpy(had->mac_room, nl_addr_get_binary_addr(addr),
		       had->mac_len);
}

static int set_one(struct nl_sock *sock, struct rtnl_link *link,
		   unsigned int bit, const struct link_settings *to)
{
	struct rtnl_link *change = rtnl_link_alloc();
	struct nl_addr *addr = NULL;
	int err;

	if (!change)
		return -ENOMEM;
	switch (bit) {
	case LINK_MTU:
		rtnl_link_set_mtu(change, to->mtu);
		break;
	case LINK_TXQLEN:
		rtnl_link_set_txqlen(change, to->txqlen);
		break;
	default:
		addr = nl_addr_build(AF_LLC, to->mac, to->mac_len);
		if (!addr) {
			rtnl_link_put(change);
			return -ENOMEM;
		}
		rtnl_link_set_addr(change, addr);
		nl_addr_put(addr);
	}
	err = to_errno(rtnl_link_change(sock, link, change, 0));
	rtnl_link_put(change);
	return err;
}

static int set_all(struct nl_sock *sock, struct rtnl_link *link,
		   const struct link_settings *want,
		   const struct link_settings *had, const char **what)
{
	size_t i;
	int err = 0;

	for (i = 0; i < ARRAY_SIZE(all); i++) {
		if (!(want->set & all[i].bit))
			continue;
		*what = all[i].name;
		err = set_one(sock, link, all[i].bit, want);
		if (err)
			break;
	}
	while (err && i--)
		if (want->set & all[i].bit)
			set_one(sock, link, all[i].bit, had);
	return err;
}

/*
 * In the network namespace that we are in. What it had goes to @had, unless that
 * is NULL; *what names what failed. Returns 0 or -errno, and nothing is changed.
 */
int link_set(unsigned int ifindex, const struct link_settings *want,
	     struct link_settings *had, const char **what)
{
	struct nl_sock *sock = nl_socket_alloc();
	struct link_settings before;
	struct rtnl_link *link;
	int err;

	*what = "settings";
	if (!had)
		had = &before;
	memset(had, 0, sizeof(*had));
	if (!sock)
		return -ENOMEM;
	err = to_errno(nl_connect(sock, NETLINK_ROUTE));
	if (!err)
		err = to_errno(rtnl_link_get_kernel(sock, (int)ifindex, NULL,
						    &link));
	if (!err) {
		had_get(link, had);
		had->set = want->set;
		err = set_all(sock, link, want, had, what);
		rtnl_link_put(link);
	}
	nl_socket_free(sock);
	return err;
}
