/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Network namespaces and links.
 */
#ifndef SELFTESTS_NET_H
#define SELFTESTS_NET_H

#include <stdbool.h>
#include <stdint.h>

#include <net/if.h>

/* To a network namespace of our own, where nobody speaks unasked. */
int net_isolate(void);
/* The same, and a file of the one we were in; or -errno. */
int net_leave(void);
int net_enter(int fd);

/* Changes to a link: 0 or -errno. */
int link_up(const char *name);
int link_down(const char *name);
int link_set_mtu(const char *name, int mtu);
int link_set_txqlen(const char *name, int len);
int link_set_mac(const char *name, const uint8_t *mac);
int link_rename(const char *from, const char *to);
int link_delete(const char *name);

struct link_stats {
	uint64_t rx_packets;
	uint64_t tx_packets;
	uint64_t tx_dropped;
};

int link_stats(const char *name, struct link_stats *stats);

struct link_info {
	char name[IFNAMSIZ];
	uint32_t flags;
	uint32_t mtu;
	uint32_t txqlen;
	uint32_t master;
	uint32_t brport;	/* number of the bridge port, 0: none */
	uint32_t carrier_changes;
	uint8_t carrier;
	uint8_t operstate;
	uint8_t mac[6];
};

/* By index, in this network namespace: 0 or -errno. */
int link_info(int ifindex, struct link_info *info);

/* What rtnetlink tells to its listeners of one link */
struct watch {
	struct mnl_socket *nl;
	int ifindex;
	unsigned int links;	/* RTM_NEWLINK */
	unsigned int deleted;	/* RTM_DELLINK */
	unsigned int addrs;	/* RTM_NEWADDR, RTM_DELADDR */
	unsigned int lost;	/* ENOBUFS */
};

int watch_open(struct watch *w, int ifindex);
/* Take what was told since; the sum of it. */
unsigned int watch_read(struct watch *w);
void watch_close(struct watch *w);

#endif /* SELFTESTS_NET_H */
