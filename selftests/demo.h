/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the demo's programs share: the packets, the account that is kept of
 * them, and the memory that all of them map.
 *
 *	demo		the director of one run, writes a struct demo_result
 *	demo_source	the VMM that is replaced; makes the tap
 *	demo_target	the VMM that replaces it
 *	demo_load	in the second netns: sends to the guest, receives from it
 *	demo_watch	counts what enters and leaves the tap, listens for events
 *	demo_report	two results in, a table and a verdict out
 *
 * demo.sh makes the network namespaces and calls the first and the last.
 */
#ifndef _DEMO_H
#define _DEMO_H

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define DEMO_QUEUES	4
#define DEMO_MIN_STOPPED 20000	/* packets to arrive while the source is stopped */

/* Names and addresses, as demo.sh has them */
#define DEMO_TAP	"demo-tap"
#define DEMO_BRIDGE	"demo-br"
#define DEMO_PORT	"demo-port"	/* the veth's end in the bridge */
#define DEMO_PEER	"demo-peer"	/* its end in the second netns */
#define DEMO_PEER_IP	0xc0000201	/* 192.0.2.1 */
#define DEMO_GUEST_IP	0xc0000202	/* 192.0.2.2 */
#define DEMO_PEER_MAC	{ 0x02, 0x00, 0x00, 0x00, 0x02, 0x01 }
#define DEMO_GUEST_MAC	{ 0x52, 0x54, 0x00, 0x00, 0x02, 0x02 }

/* The tap, nothing of it the driver's default: the target has to find it so */
#define DEMO_TAP_MAC	{ 0xfe, 0x54, 0x00, 0x00, 0x02, 0x02 }
#define DEMO_MTU	1400
#define DEMO_HDR_SZ	12
#define DEMO_SNDBUF	(1 << 20)
#define DEMO_OWNER	1234
#define DEMO_GROUP	4321

/*
 * Flows of one direction differ by one port only. The driver steers a flow to
 * the queue on which its reverse was last written: no flow here is the reverse
 * of another, so each stays on the queue that its hash gives.
 */
#define DEMO_FLOWS	128
#define DEMO_H2G_SPORT	10000
#define DEMO_H2G_DPORT	20000	/* + flow */
#define DEMO_G2H_SPORT	30000	/* + flow */
#define DEMO_G2H_DPORT	40000
#define DEMO_HELLO_PORT	19999	/* is the path open? Not counted */

#define DEMO_SEQS	(1U << 18)	/* numbers of a flow */
#define DEMO_MAGIC	0x74617078

/**
 * struct demo_payload - of each packet, in network byte order
 * @magic: DEMO_MAGIC
 * @flow: below DEMO_FLOWS
 * @seq: the flow's packets are numbered from 0
 * @pad: to the size of a small datagram
 */
struct demo_payload {
	uint32_t	magic;
	uint32_t	flow;
	uint32_t	seq;
	uint8_t		pad[52];
};

/** struct demo_frame - what is read from and written to a queue */
struct demo_frame {
	uint8_t			vnet[DEMO_HDR_SZ];
	struct ethhdr		eth;
	struct iphdr		ip;
	struct udphdr		udp;
	struct demo_payload	load;
} __attribute__((packed));

/**
 * struct demo_track - the account of one direction
 * @sent: packets; those that a call refused were not sent
 * @got: packets that the consumer read, each time that it read one
 * @dup: of these, numbers that had been read before
 * @reordered: of these, not dup and below the highest number of their flow
 * @foreign: of these, no packets of the demo's, or never sent
 * @flow_sent: the next number of each flow
 * @flow_next: one above the highest number read of each flow
 * @seen: a bit for each number that was read
 *
 * Sender and consumer are one process each at any time; what they leave for
 * their successors is ordered by the director's messages.
 */
struct demo_track {
	_Atomic uint64_t	sent;
	_Atomic uint64_t	got;
	_Atomic uint64_t	dup;
	_Atomic uint64_t	reordered;
	_Atomic uint64_t	foreign;
	uint32_t		flow_sent[DEMO_FLOWS];
	uint32_t		flow_next[DEMO_FLOWS];
	uint64_t		seen[DEMO_FLOWS][DEMO_SEQS / 64];
};

/** enum demo_mode - how demo_load sends */
enum demo_mode {
	DEMO_SEND_OFF,
	DEMO_SEND_HELLO,	/* until the source has seen one */
	DEMO_SEND_WINDOW,	/* as fast as it is read: no ring can overflow */
	DEMO_SEND_PACED,	/* at shm->rate, whether it is read or not */
	DEMO_SEND_CATCH_UP,	/* one for two that are read, then as WINDOW */
};

/* Packets on their way: fewer than one ring of the driver's takes */
#define DEMO_WINDOW	900

/**
 * struct demo_shm - mapped by all
 * @h2g: host to guest
 * @g2h: guest to host
 * @mode: enum demo_mode
 * @rate: packets a second, for DEMO_SEND_PACED
 * @gone: packets to the guest that were dropped so far, kept up by demo_watch
 * @hello: the source has read a hello
 * @guest_sends: whether the guest sends, too
 * @stopped_at: when the source read for the last time, CLOCK_MONOTONIC ns
 * @resumed_at: when the target read its first packet
 * @got_by_source: of h2g.got
 */
struct demo_shm {
	struct demo_track	h2g;
	struct demo_track	g2h;
	_Atomic int		mode;
	_Atomic uint64_t	rate;
	_Atomic uint64_t	gone;
	_Atomic int		hello;
	_Atomic int		guest_sends;
	_Atomic uint64_t	stopped_at;
	_Atomic uint64_t	resumed_at;
	_Atomic uint64_t	got_by_source;
};

/**
 * struct demo_counts - what demo_watch knows
 * @entered_tap: the demo's packets that were handed to the driver
 * @entered_host: the demo's packets that came out of the tap
 * @tap_dropped: the driver's tx_dropped
 * @qdisc_dropped: by the tap's qdiscs
 * @peer_dropped: by the veth on the way to the tap
 * @port_dropped: by the veth on the way from the tap
 * @carrier_changes: the tap's own count
 * @carrier_events: messages that told a change of carrier or state, or the end
 * @setting_events: messages that told a change of address, MTU or bridge
 */
struct demo_counts {
	uint64_t	entered_tap;
	uint64_t	entered_host;
	uint64_t	tap_dropped;
	uint64_t	qdisc_dropped;
	uint64_t	peer_dropped;
	uint64_t	port_dropped;
	uint64_t	carrier_changes;
	uint64_t	carrier_events;
	uint64_t	setting_events;
};

/** struct demo_way - one direction of a result, from a struct demo_track */
struct demo_way {
	uint64_t	sent;
	uint64_t	got;
	uint64_t	missing;	/* numbers sent and never read */
	uint64_t	dup;
	uint64_t	reordered;
	uint64_t	foreign;
};

/**
 * struct demo_result - of one run
 * @why: why it came to no end, "" when it did
 * @h2g: host to guest
 * @g2h: guest to host
 * @counts: since the first packet
 * @got_by_source: of h2g.got
 * @rate: packets a second before the stop
 * @arrived: packets that entered the tap while the source was stopped
 * @leaked: packets that came out of the tap in that time
 * @refused: reads and writes tried on a frozen queue that were refused
 * @tried: how many were tried
 * @checks: settings that the target compared, all equal
 * @held: as the thaw told
 * @held_dropped: as the thaw told
 * @receiver_dropped: by the socket that receives from the guest
 * @blackout: ns; the kernel's, or from the stop to the target's start
 * @waited: ns of it, until enough packets had arrived
 * @gap: ns between the source's last read and the target's first packet
 * @held_max: packets in the fullest queue, shortly before the thaw
 */
struct demo_result {
	char			why[256];
	struct demo_way		h2g;
	struct demo_way		g2h;
	struct demo_counts	counts;
	uint64_t		got_by_source;
	uint64_t		rate;
	uint64_t		arrived;
	uint64_t		leaked;
	uint64_t		refused;
	uint64_t		tried;
	uint64_t		checks;
	uint64_t		held;
	uint64_t		held_max;
	uint64_t		held_dropped;
	uint64_t		receiver_dropped;
	uint64_t		blackout;
	uint64_t		waited;
	uint64_t		gap;
};

/* Take down a packet that was read. Its number may be of any value. */
static inline void demo_track_got(struct demo_track *t,
				  const struct demo_payload *load)
{
	uint32_t flow = ntohl(load->flow), seq = ntohl(load->seq);
	uint64_t bit = UINT64_C(1) << (seq % 64);

	t->got++;
	if (load->magic != htonl(DEMO_MAGIC) || flow >= DEMO_FLOWS ||
	    seq >= DEMO_SEQS) {
		t->foreign++;
		return;
	}

	if (t->seen[flow][seq / 64] & bit)
		t->dup++;
	else if (seq < t->flow_next[flow])
		t->reordered++;
	t->seen[flow][seq / 64] |= bit;
	if (seq >= t->flow_next[flow])
		t->flow_next[flow] = seq + 1;
}

/* The next packet of a flow; demo_track_sent() when it went out. */
static inline void demo_track_next(const struct demo_track *t,
				   unsigned int flow,
				   struct demo_payload *load)
{
	load->magic = htonl(DEMO_MAGIC);
	load->flow = htonl(flow);
	load->seq = htonl(t->flow_sent[flow]);
}

static inline void demo_track_sent(struct demo_track *t, unsigned int flow)
{
	t->flow_sent[flow]++;
	t->sent++;
}

static inline uint16_t demo_ip_sum(const struct iphdr *ip)
{
	const uint8_t *p = (const uint8_t *)ip;
	uint32_t sum = 0;
	size_t i;

	for (i = 0; i < sizeof(*ip); i += 2)
		sum += (uint32_t)p[i] << 8 | p[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

/* A packet from the guest, less what demo_track_next() fills in. */
static inline void demo_frame_init(struct demo_frame *f, unsigned int flow)
{
	static const uint8_t src[] = DEMO_GUEST_MAC, dst[] = DEMO_PEER_MAC;
	struct iphdr ip = {
		.version = 4,
		.ihl = 5,
		.tot_len = htons(sizeof(*f) - offsetof(struct demo_frame, ip)),
		.ttl = 64,
		.protocol = IPPROTO_UDP,
		.saddr = htonl(DEMO_GUEST_IP),
		.daddr = htonl(DEMO_PEER_IP),
	};

	memset(f, 0, sizeof(*f));
	memcpy(f->eth.h_source, src, sizeof(src));
	memcpy(f->eth.h_dest, dst, sizeof(dst));
	f->eth.h_proto = htons(ETH_P_IP);
	ip.check = demo_ip_sum(&ip);
	f->ip = ip;
	f->udp.source = htons(DEMO_G2H_SPORT + flow);
	f->udp.dest = htons(DEMO_G2H_DPORT);
	f->udp.len = htons(sizeof(f->udp) + sizeof(f->load));
}

#endif /* _DEMO_H */
