// SPDX-License-Identifier: GPL-2.0
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/ip.h>
#include <linux/udp.h>

#include "flow.h"
#include "util.h"

#define MAGIC		0x7470786672756c7aULL

struct body {
	uint64_t magic;
	uint32_t flow;
	uint32_t seq;
} __attribute__((packed));

struct packet {
	struct ethhdr eth;
	struct iphdr ip;
	struct udphdr udp;
	struct body body;
} __attribute__((packed));

int packet_make(uint8_t *buf, uint32_t flow, uint32_t seq)
{
	struct packet *p = (struct packet *)buf;

	memset(buf, 0, PACKET_LEN);
	/* neither a multicast nor anybody's */
	memcpy(p->eth.h_dest, "\x02\x11\x22\x33\x44\x55", ETH_ALEN);
	memcpy(p->eth.h_source, "\x02\x66\x77\x88\x99\xaa", ETH_ALEN);
	p->eth.h_proto = htons(ETH_P_IP);
	p->ip.version = 4;
	p->ip.ihl = 5;
	p->ip.ttl = 64;
	p->ip.protocol = IPPROTO_UDP;
	p->ip.tot_len = htons(PACKET_LEN - sizeof(p->eth));
	p->ip.saddr = htonl(0x0a000001);
	p->ip.daddr = htonl(0x0a000002);
	p->udp.source = htons(1024 + flow);
	p->udp.dest = htons(9);
	p->udp.len = htons(PACKET_LEN - sizeof(p->eth) - sizeof(p->ip));
	p->body.magic = MAGIC;
	p->body.flow = flow;
	p->body.seq = seq;
	return PACKET_LEN;
}

bool packet_parse(const uint8_t *buf, ssize_t len, uint32_t *flow,
		  uint32_t *seq)
{
	const struct packet *p = (const struct packet *)buf;

	if (len < (ssize_t)sizeof(*p) || p->body.magic != MAGIC)
		return false;
	*flow = p->body.flow;
	*seq = p->body.seq;
	return true;
}

int sender_open(struct sender *s, int ifindex, uint32_t flows)
{
	int on = 1;

	memset(s, 0, sizeof(*s));
	s->ifindex = ifindex;
	s->flows = flows;
	s->sock = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (s->sock < 0)
		return -errno;
	if (setsockopt(s->sock, SOL_PACKET, PACKET_QDISC_BYPASS, &on,
		       sizeof(on)))
		return -errno;
	return 0;
}

int sender_send_flow(struct sender *s, uint32_t flow)
{
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET,
		.sll_ifindex = s->ifindex,
		.sll_protocol = htons(ETH_P_IP),
	};
	uint8_t buf[PACKET_LEN];
	int len = packet_make(buf, flow, s->seq);

	if (sendto(s->sock, buf, len, 0, (struct sockaddr *)&to,
		   sizeof(to)) < 0) {
		/* what the driver's NET_XMIT_DROP becomes */
		if (errno != ENOBUFS)
			return -errno;
		s->dropped++;
	}
	s->seq++;
	return 0;
}

int sender_send(struct sender *s, uint32_t n)
{
	int err = 0;

	while (!err && n--)
		err = sender_send_flow(s, s->seq % s->flows);
	return err;
}

void sender_close(struct sender *s)
{
	if (s->sock > 0)
		close(s->sock);
	s->sock = -1;
}

int tally_init(struct tally *t, uint32_t max)
{
	memset(t, 0, sizeof(*t));
	memset(t->last, 0xff, sizeof(t->last));
	t->max = max;
	t->seen = calloc(max, 1);
	return t->seen ? 0 : -ENOMEM;
}

void tally_free(struct tally *t)
{
	free(t->seen);
	t->seen = NULL;
}

void tally_add(struct tally *t, int queue, const uint8_t *packet, ssize_t len)
{
	uint32_t flow, seq;

	if (!packet_parse(packet, len, &flow, &seq) || seq >= t->max) {
		t->foreign++;
		return;
	}
	if (t->seen[seq])
		t->dup++;
	else
		t->got++;
	t->seen[seq] = 1;
	t->count[queue]++;
	if ((int64_t)seq < t->last[queue])
		t->reordered++;
	else
		t->last[queue] = seq;
}

uint64_t tally_lost(const struct tally *t, uint32_t end)
{
	uint64_t lost = 0;
	uint32_t i;

	for (i = 0; i < end; i++)
		lost += i >= t->max || !t->seen[i];
	return lost;
}

int tap_read_one(const struct tap *tap, int q, struct tally *t)
{
	struct pollfd pfd = { .fd = tap->fds[q], .events = POLLIN };
	uint8_t buf[PACKET_MAX];
	ssize_t len;

	/* The file may be one that blocks. */
	if (poll(&pfd, 1, 0) < 0)
		return -errno;
	if (!(pfd.revents & POLLIN))
		return 0;
	len = read(tap->fds[q], buf, sizeof(buf));
	if (len < 0)
		return errno == EAGAIN ? 0 : -errno;
	tally_add(t, q, buf + tap->hdr, len - tap->hdr);
	return 1;
}

int64_t tap_read_all(const struct tap *tap, struct tally *t)
{
	int64_t n = 0;
	int q, got;

	for (q = 0; q < tap->n; q++) {
		while ((got = tap_read_one(tap, q, t)) > 0)
			n++;
		if (got < 0)
			return got;
	}
	return n;
}

int64_t tap_read_count(const struct tap *tap, struct tally *t, int64_t n)
{
	int64_t end = now_ms() + SOON_MS;
	int64_t sum = 0, got;

	while (sum < n && now_ms() < end) {
		got = tap_read_all(tap, t);
		if (got < 0)
			return got;
		sum += got;
	}
	return sum;
}

int flows_learn(struct sender *s, const struct tap *tap, struct tally *t,
		int flow_of[])
{
	uint32_t count[TAP_MAX];
	int known = 0, flow, q, err;

	for (q = 0; q < tap->n; q++)
		flow_of[q] = -1;
	for (flow = 0; known < tap->n && flow < 64 * tap->n; flow++) {
		memcpy(count, t->count, sizeof(count));
		err = sender_send_flow(s, flow);
		if (err)
			return err;
		if (tap_read_all(tap, t) != 1)
			return -EPROTO;
		for (q = 0; t->count[q] == count[q]; q++)
			;
		if (flow_of[q] < 0) {
			flow_of[q] = flow;
			known++;
		}
	}
	return known == tap->n ? 0 : -ENOENT;
}

int tap_write_one(const struct tap *tap, int q, uint32_t seq)
{
	uint8_t buf[PACKET_MAX] = {};
	int len = tap->hdr + packet_make(buf + tap->hdr, q, seq);

	return write(tap->fds[q], buf, len) == len ? 0 : -errno;
}

int tap_writev_one(const struct tap *tap, int q, uint32_t seq)
{
	uint8_t hdr[PACKET_MAX] = {}, buf[PACKET_MAX];
	struct iovec iov[] = {
		{ .iov_base = hdr, .iov_len = tap->hdr },
		{ .iov_base = buf, .iov_len = packet_make(buf, q, seq) },
	};

	return writev(tap->fds[q], iov, 2) == tap->hdr + PACKET_LEN ? 0 :
								      -errno;
}

int capture_open(struct capture *c, int ifindex)
{
	struct sockaddr_ll addr = {
		.sll_family = AF_PACKET,
		.sll_ifindex = ifindex,
		.sll_protocol = htons(ETH_P_ALL),
	};
	int on = 1, size = 8 << 20, err;

	err = tally_init(&c->t, 1 << 20);
	if (err)
		return err;
	/* no protocol yet: nothing of any other link gets in */
	c->sock = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->sock < 0)
		return -errno;
	if (setsockopt(c->sock, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on,
		       sizeof(on)) ||
	    setsockopt(c->sock, SOL_SOCKET, SO_RCVBUFFORCE, &size,
		       sizeof(size)) ||
	    bind(c->sock, (struct sockaddr *)&addr, sizeof(addr)))
		return -errno;
	return 0;
}

uint64_t capture_read(struct capture *c)
{
	uint8_t buf[PACKET_MAX];
	uint64_t n = 0;
	ssize_t len;

	while ((len = recv(c->sock, buf, sizeof(buf), 0)) >= 0) {
		tally_add(&c->t, 0, buf, len);
		n++;
	}
	return n;
}

void capture_close(struct capture *c)
{
	tally_free(&c->t);
	close(c->sock);
}
