// SPDX-License-Identifier: GPL-2.0-or-later
/* What rtnetlink tells of a device. */
#include <stdio.h>
#include <string.h>

#include <linux/if.h>
#include <netlink/addr.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>

#include "cli.h"

static void copy(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from ? from : "");
}

static void master_get(struct nl_sock *sock, int ifindex,
		       struct link_facts *facts)
{
	struct rtnl_link *master;

	if (rtnl_link_get_kernel(sock, ifindex, NULL, &master) < 0)
		return;
	copy(facts->master, sizeof(facts->master), rtnl_link_get_name(master));
	copy(facts->master_kind, sizeof(facts->master_kind),
	     rtnl_link_get_type(master));
	rtnl_link_put(master);
}

/* In the network namespace that we are in; known is false when it fails. */
void link_get(unsigned int ifindex, struct link_facts *facts)
{
	struct rtnl_link *link;
	struct nl_sock *sock;
	const char *type;

	memset(facts, 0, sizeof(*facts));
	sock = nl_socket_alloc();
	if (!sock)
		return;
	if (nl_connect(sock, NETLINK_ROUTE) < 0 ||
	    rtnl_link_get_kernel(sock, (int)ifindex, NULL, &link) < 0) {
		nl_socket_free(sock);
		return;
	}

	facts->known = true;
	facts->up = rtnl_link_get_flags(link) & IFF_UP;
	facts->carrier = rtnl_link_get_carrier(link);
	facts->mtu = rtnl_link_get_mtu(link);
	type = rtnl_link_get_type(link);
	facts->is_tun = type && !strcmp(type, "tun");
	if (rtnl_link_get_addr(link))
		nl_addr2str(rtnl_link_get_addr(link), facts->mac,
			    sizeof(facts->mac));
	copy(facts->qdisc, sizeof(facts->qdisc), rtnl_link_get_qdisc(link));
	if (rtnl_link_get_master(link))
		master_get(sock, rtnl_link_get_master(link), facts);
	rtnl_link_put(link);
	nl_socket_free(sock);
}

struct json_object *link_object(const struct link_facts *facts)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "up", json_object_new_boolean(facts->up));
	json_object_object_add(o, "carrier",
			       json_object_new_boolean(facts->carrier));
	json_object_object_add(o, "mac", json_object_new_string(facts->mac));
	json_object_object_add(o, "mtu", json_object_new_uint64(facts->mtu));
	json_object_object_add(o, "qdisc",
			       json_object_new_string(facts->qdisc));
	if (*facts->master) {
		json_object_object_add(o, "master",
				       json_object_new_string(facts->master));
		json_object_object_add(o, "master-kind",
				       json_object_new_string(facts->master_kind));
	}
	return o;
}

void link_lines(const struct link_facts *facts)
{
	out_line("link", "%s, %s, mtu %u%s%s%s%s", facts->up ? "up" : "down",
		 facts->carrier ? "carrier" : "no carrier", facts->mtu,
		 *facts->mac ? ", mac " : "", facts->mac,
		 *facts->qdisc ? ", qdisc " : "", facts->qdisc);
	if (*facts->master)
		out_line("master", "%s%s%s%s", facts->master,
			 *facts->master_kind ? " (" : "", facts->master_kind,
			 *facts->master_kind ? ")" : "");
}
