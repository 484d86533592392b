// SPDX-License-Identifier: GPL-2.0
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <linux/virtio_net.h>

#include "gso.h"

#define MAGIC	0x6f73677265667870ULL
#define MSS	1400

struct head {
	struct ethhdr eth;
	struct iphdr ip;
	struct tcphdr tcp;
	uint64_t magic;
	uint32_t flow;
	uint32_t seq;
} __attribute__((packed));

int gso_open(struct gso *g, int ifindex, uint32_t max)
{
	int on = 1;

	memset(g, 0, sizeof(*g));
	g->ifindex = ifindex;
	g->max = max;
	g->sent = calloc(max, 1);
	if (!g->sent)
		return -ENOMEM;
	g->sock = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (g->sock < 0)
		return -errno;
	if (setsockopt(g->sock, SOL_PACKET, PACKET_QDISC_BYPASS, &on,
		       sizeof(on)) ||
	    setsockopt(g->sock, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)))
		return -errno;
	return 0;
}

void gso_close(struct gso *g)
{
	if (g->sock > 0)
		close(g->sock);
	free(g->sent);
	memset(g, 0, sizeof(*g));
}

int gso_send(struct gso *g, uint32_t flow, int len)
{
	static const uint8_t zeroes[GSO_MAX];
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET,
		.sll_ifindex = g->ifindex,
		.sll_protocol = htons(ETH_P_IP),
		.sll_halen = ETH_ALEN,
	};
	struct virtio_net_hdr vnet = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.csum_start = offsetof(struct head, tcp),
		.csum_offset = offsetof(struct tcphdr, check),
		.hdr_len = offsetof(struct head, magic),
	};
	struct head h = {
		.eth.h_proto = htons(ETH_P_IP),
		.ip.version = 4,
		.ip.ihl = 5,
		.ip.ttl = 64,
		.ip.protocol = IPPROTO_TCP,
		.ip.saddr = htonl(0x0a000001),
		.ip.daddr = htonl(0x0a000002),
		.tcp.source = htons(1024 + flow),
		.tcp.dest = htons(9),
		.tcp.doff = 5,
		.tcp.ack = 1,
		.magic = MAGIC,
		.flow = flow,
		.seq = g->seq,
	};
	struct iovec iov[] = {
		{ .iov_base = &vnet, .iov_len = sizeof(vnet) },
		{ .iov_base = &h, .iov_len = sizeof(h) },
		{ .iov_base = (void *)zeroes, .iov_len = len - sizeof(h) },
	};
	struct msghdr msg = {
		.msg_name = &to,
		.msg_namelen = sizeof(to),
		.msg_iov = iov,
		.msg_iovlen = 3,
	};

	if (len < (int)sizeof(h) || len > GSO_MAX || g->seq >= g->max)
		return -EINVAL;
	memcpy(h.eth.h_dest, "\x02\x11\x22\x33\x44\x55", ETH_ALEN);
	memcpy(h.eth.h_source, "\x02\x66\x77\x88\x99\xaa", ETH_ALEN);
	h.ip.tot_len = htons(len - sizeof(h.eth));
	if (len > MSS) {
		vnet.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
		vnet.gso_size = MSS;
	}
	if (sendmsg(g->sock, &msg, 0) < 0) {
		if (errno != ENOBUFS)
			return -errno;
		g->dropped++;
	} else {
		g->sent[g->seq] = 1;
	}
	g->seq++;
	return 0;
}

/* A tally knows packets of flow.h only: show it one that stands for this. */
static void count(struct tally *t, int queue, const uint8_t *packet, ssize_t len)
{
	const struct head *h = (const struct head *)packet;
	uint8_t small[PACKET_MAX];

	if (len < (ssize_t)sizeof(*h) || h->magic != MAGIC ||
	    len != (ssize_t)(ntohs(h->ip.tot_len) + sizeof(h->eth))) {
		t->foreign++;
		return;
	}
	tally_add(t, queue, small, packet_make(small, h->flow, h->seq));
}

int64_t gso_read_all(const struct tap *tap, struct tally *t)
{
	static uint8_t buf[GSO_MAX + 64];
	int64_t n = 0;
	ssize_t len;
	int q;

	for (q = 0; q < tap->n; q++) {
		struct pollfd pfd = { .fd = tap->fds[q], .events = POLLIN };

		while (poll(&pfd, 1, 0) == 1 && (pfd.revents & POLLIN)) {
			len = read(tap->fds[q], buf, sizeof(buf));
			if (len < 0)
				return -errno;
			count(t, q, buf + tap->hdr, len - tap->hdr);
			n++;
		}
	}
	return n;
}

uint64_t gso_differ(const struct gso *g, const struct tally *t)
{
	uint64_t n = 0;
	uint32_t i;

	for (i = 0; i < g->seq; i++)
		n += !g->sent[i] != !t->seen[i];
	return n;
}
