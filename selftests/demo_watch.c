// SPDX-License-Identifier: GPL-2.0
/*
 * The demo's observer in the tap's netns.
 *
 * A packet has entered the tap when the stack hands it to the driver, and is
 * counted there: a packet socket sees it right before the driver does. Its
 * filter passes the demo's packets alone, and its queue, which nobody reads, is
 * full from the start; what it passed and dropped is an exact count at hardly
 * any cost.
 */
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/filter.h>
#include <linux/gen_stats.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include "demo_ctl.h"

#define WATCH_PERIOD_MS	5
#define WATCH_PATIENCE	(UINT64_C(3) * 1000000000)

/** struct link - what a RTM_NEWLINK tells of the tap, or of a veth */
struct link {
	uint64_t	tx_dropped;
	uint32_t	carrier_changes;
	uint32_t	flags;
	uint32_t	mtu;
	uint32_t	master;
	uint8_t		operstate;
	uint8_t		carrier;
	uint8_t		mac[ETH_ALEN];
	bool		deleted;
};

/**
 * struct watch - all of it
 * @nl: to ask in the tap's netns
 * @peer_nl: to ask in the second netns
 * @events: RTNLGRP_LINK of the tap's netns
 * @in: packet socket for what enters the tap
 * @out: packet socket for what comes out of it
 * @tap: its index, 0 until it is there
 * @known: the tap as the last event told it
 * @base: counters when the watch began
 * @now: counters
 */
struct watch {
	struct mnl_socket	*nl;
	struct mnl_socket	*peer_nl;
	struct mnl_socket	*events;
	int			in;
	int			out;
	uint32_t		tap;
	struct link		known;
	struct demo_counts	base;
	struct demo_counts	now;
};

static struct mnl_socket *nl_open(unsigned int groups)
{
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);

	if (!nl || mnl_socket_bind(nl, groups, MNL_SOCKET_AUTOPID))
		demo_fail("rtnetlink: %m");
	return nl;
}

/* A socket stays in the netns that it was made in. */
static struct mnl_socket *nl_open_peer(void)
{
	int here = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	struct mnl_socket *nl;

	if (here < 0 || setns(DEMO_FD_NETNS, CLONE_NEWNET))
		demo_fail("setns: %m");
	nl = nl_open(0);
	if (setns(here, CLONE_NEWNET))
		demo_fail("setns: %m");
	close(here);
	return nl;
}

/* Ask, and give each message of the answer to @cb. */
static void nl_ask(struct mnl_socket *nl, struct nlmsghdr *nlh, mnl_cb_t cb,
		   void *data)
{
	static unsigned int seq;
	static char buf[32768];
	ssize_t n;
	int more;

	nlh->nlmsg_seq = ++seq;
	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		demo_fail("rtnetlink: %m");
	do {
		n = mnl_socket_recvfrom(nl, buf, sizeof(buf));
		if (n < 0)
			demo_fail("rtnetlink: %m");
		more = mnl_cb_run(buf, (size_t)n, seq,
				  mnl_socket_get_portid(nl), cb, data);
		if (more < 0)
			demo_fail("rtnetlink: %m");
	} while (more > 0 && (nlh->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP);
}

static int link_attr(const struct nlattr *attr, void *data)
{
	struct rtnl_link_stats64 stats;
	struct link *l = data;

	switch (mnl_attr_get_type(attr)) {
	case IFLA_STATS64:
		memcpy(&stats, mnl_attr_get_payload(attr), sizeof(stats));
		l->tx_dropped = stats.tx_dropped;
		break;
	case IFLA_CARRIER_CHANGES:
		l->carrier_changes = mnl_attr_get_u32(attr);
		break;
	case IFLA_MTU:
		l->mtu = mnl_attr_get_u32(attr);
		break;
	case IFLA_MASTER:
		l->master = mnl_attr_get_u32(attr);
		break;
	case IFLA_OPERSTATE:
		l->operstate = mnl_attr_get_u8(attr);
		break;
	case IFLA_CARRIER:
		l->carrier = mnl_attr_get_u8(attr);
		break;
	case IFLA_ADDRESS:
		if (mnl_attr_get_payload_len(attr) == sizeof(l->mac))
			memcpy(l->mac, mnl_attr_get_payload(attr),
			       sizeof(l->mac));
		break;
	}
	return MNL_CB_OK;
}

static int link_msg(const struct nlmsghdr *nlh, void *data)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	struct link *l = data;

	memset(l, 0, sizeof(*l));
	l->flags = ifi->ifi_flags;
	l->deleted = nlh->nlmsg_type == RTM_DELLINK;
	return mnl_attr_parse(nlh, sizeof(*ifi), link_attr, l);
}

static void link_get(struct mnl_socket *nl, const char *name, struct link *l)
{
	char buf[256];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);

	nlh->nlmsg_type = RTM_GETLINK;
	nlh->nlmsg_flags = NLM_F_REQUEST;
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(nlh, IFLA_IFNAME, name);
	nl_ask(nl, nlh, link_msg, l);
}

static int qdisc_stats_attr(const struct nlattr *attr, void *data)
{
	struct gnet_stats_queue q = {};
	uint64_t *drops = data;
	size_t len = mnl_attr_get_payload_len(attr);

	if (mnl_attr_get_type(attr) == TCA_STATS_QUEUE) {
		memcpy(&q, mnl_attr_get_payload(attr),
		       len < sizeof(q) ? len : sizeof(q));
		*drops += q.drops;
	}
	return MNL_CB_OK;
}

static int qdisc_attr(const struct nlattr *attr, void *data)
{
	if (mnl_attr_get_type(attr) == TCA_STATS2)
		return mnl_attr_parse_nested(attr, qdisc_stats_attr, data);
	return MNL_CB_OK;
}

struct qdisc_query {
	uint32_t ifindex;
	uint64_t drops;
};

/* The root counts for what is below it. */
static int qdisc_msg(const struct nlmsghdr *nlh, void *data)
{
	const struct tcmsg *tc = mnl_nlmsg_get_payload(nlh);
	struct qdisc_query *q = data;

	if (tc->tcm_ifindex != (int)q->ifindex || tc->tcm_parent != TC_H_ROOT)
		return MNL_CB_OK;
	return mnl_attr_parse(nlh, sizeof(*tc), qdisc_attr, &q->drops);
}

static uint64_t qdisc_drops(struct mnl_socket *nl, uint32_t ifindex)
{
	struct qdisc_query q = { .ifindex = ifindex };
	char buf[256];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct tcmsg *tc;

	nlh->nlmsg_type = RTM_GETQDISC;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	tc = mnl_nlmsg_put_extra_header(nlh, sizeof(*tc));
	tc->tcm_ifindex = (int)ifindex;
	nl_ask(nl, nlh, qdisc_msg, &q);
	return q.drops;
}

/* What a message about the tap has changed. */
static void link_event(struct watch *w, const struct link *l)
{
	const uint32_t up = IFF_UP | IFF_RUNNING | IFF_LOWER_UP | IFF_DORMANT;
	const struct link *was = &w->known;

	if (l->deleted || l->carrier != was->carrier ||
	    l->operstate != was->operstate || (l->flags ^ was->flags) & up)
		w->now.carrier_events++;
	if (l->mtu != was->mtu || l->master != was->master ||
	    memcmp(l->mac, was->mac, sizeof(l->mac)))
		w->now.setting_events++;
	w->known = *l;
}

static int event_msg(const struct nlmsghdr *nlh, void *data)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	struct watch *w = data;
	struct link l;

	/* A bridge tells of its ports in messages of its own family. */
	if (ifi->ifi_family != AF_UNSPEC || ifi->ifi_index != (int)w->tap ||
	    (nlh->nlmsg_type != RTM_NEWLINK && nlh->nlmsg_type != RTM_DELLINK))
		return MNL_CB_OK;
	if (link_msg(nlh, &l) < 0)
		return MNL_CB_ERROR;
	link_event(w, &l);
	return MNL_CB_OK;
}

static void read_events(struct watch *w)
{
	int fd = mnl_socket_get_fd(w->events);
	static char buf[32768];
	ssize_t n;

	while (demo_readable(fd, 0)) {
		n = mnl_socket_recvfrom(w->events, buf, sizeof(buf));
		if (n < 0)
			demo_fail("link events: %m");
		if (mnl_cb_run(buf, (size_t)n, 0, 0, event_msg, w) < 0)
			demo_fail("link events: %m");
	}
}

/*
 * Counts UDP packets over IPv4 to ports from @port on, those that leave the
 * stack by the device or those that come in by it.
 */
static int packet_socket(uint32_t ifindex, bool leaving, uint16_t port,
			 uint16_t nports)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS,
			 (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING,
			 leaving ? 0 : 8, leaving ? 8 : 0),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 0, 6),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 23),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 4),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 36),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, port, 0, 2),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, port + nports, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog prog = { sizeof(code) / sizeof(code[0]), code };
	struct sockaddr_ll sll = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)ifindex,
	};
	int fd, room = 1;

	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room)) ||
	    bind(fd, (struct sockaddr *)&sll, sizeof(sll)))
		demo_fail("packet socket: %m");
	return fd;
}

/* Packets since the last time, those dropped included. */
static uint64_t packet_count(int fd)
{
	struct tpacket_stats stats;
	socklen_t len = sizeof(stats);

	if (getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len))
		demo_fail("PACKET_STATISTICS: %m");
	return stats.tp_packets;
}

/* Counters of the devices, as they are. */
static void read_devices(struct watch *w, struct demo_counts *c)
{
	struct link l;

	link_get(w->nl, DEMO_TAP, &l);
	c->tap_dropped = l.tx_dropped;
	c->carrier_changes = l.carrier_changes;
	link_get(w->nl, DEMO_PORT, &l);
	c->port_dropped = l.tx_dropped;
	link_get(w->peer_nl, DEMO_PEER, &l);
	c->peer_dropped = l.tx_dropped;
	c->qdisc_dropped = qdisc_drops(w->nl, w->tap);
}

static void update(struct watch *w, struct demo_shm *shm)
{
	struct demo_counts c;

	if (!w->tap)
		return;
	read_devices(w, &c);
	w->now.tap_dropped = c.tap_dropped - w->base.tap_dropped;
	w->now.carrier_changes = c.carrier_changes - w->base.carrier_changes;
	w->now.port_dropped = c.port_dropped - w->base.port_dropped;
	w->now.peer_dropped = c.peer_dropped - w->base.peer_dropped;
	w->now.qdisc_dropped = c.qdisc_dropped - w->base.qdisc_dropped;
	w->now.entered_tap += packet_count(w->in);
	w->now.entered_host += packet_count(w->out);
	read_events(w);
	shm->gone = w->now.tap_dropped + w->now.peer_dropped +
		    w->now.qdisc_dropped;
}

/* The state that the stack itself takes a moment to reach is no event. */
static void wait_until_up(struct watch *w)
{
	uint64_t end = demo_now() + WATCH_PATIENCE;

	for (;;) {
		link_get(w->nl, DEMO_TAP, &w->known);
		/* unknown, and up, is what a device says whose carrier has
		 * never been off
		 */
		if (w->known.flags & IFF_RUNNING && w->known.carrier &&
		    (w->known.operstate == IF_OPER_UP ||
		     w->known.operstate == IF_OPER_UNKNOWN))
			return;
		if (demo_now() > end)
			demo_fail("%s does not come up", DEMO_TAP);
		demo_sleep_us(10000);
	}
}

static void attach(struct watch *w, uint32_t ifindex)
{
	w->tap = ifindex;
	wait_until_up(w);
	w->events = nl_open(RTMGRP_LINK);
	link_get(w->nl, DEMO_TAP, &w->known);
	w->in = packet_socket(ifindex, true, DEMO_H2G_DPORT, DEMO_FLOWS);
	w->out = packet_socket(ifindex, false, DEMO_G2H_DPORT, 1);
	read_devices(w, &w->base);
}

int main(void)
{
	struct demo_msg m = { .op = DEMO_OP_READY };
	struct demo_shm *shm = demo_shm_map();
	struct watch w = {};

	w.nl = nl_open(0);
	w.peer_nl = nl_open_peer();
	demo_answer(&m);

	for (;;) {
		update(&w, shm);
		if (!demo_readable(DEMO_FD_CTL, WATCH_PERIOD_MS))
			continue;
		demo_command(&m);
		switch (m.op) {
		case DEMO_OP_ATTACH:
			attach(&w, m.ifindex);
			break;
		case DEMO_OP_COUNT:
			update(&w, shm);
			m.counts = w.now;
			break;
		default:
			demo_fail("watch: command %d", m.op);
		}
		demo_answer(&m);
	}
}
