// SPDX-License-Identifier: GPL-2.0
/*
 * All that runs in the inner guest: takes the peer's numbered packets, sends
 * numbered packets of its own, echoes a TCP stream. Linked statically.
 */
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "wire.h"

#define TICK_MS		5
#define BURST		64	/* of lost time, made up for */

enum { TAG_FLOW, TAG_TICK = WIRE_FLOWS, TAG_LISTEN, TAG_TCP };

static int flows[WIRE_FLOWS];
static struct track tracks[WIRE_FLOWS];
static uint32_t got, again, late, rate, pairs;

static void fail(const char *what)
{
	printf("guest: %s: %m\n", what);
	exit(1);
}

static void check(bool ok, const char *what)
{
	if (!ok)
		fail(what);
}

/* As many queue pairs as asked for, whatever the number of CPUs. */
static void channels(unsigned int n)
{
	struct ethtool_channels ch = { .cmd = ETHTOOL_GCHANNELS };
	struct ifreq ifr = { .ifr_name = "eth0", .ifr_data = (void *)&ch };
	int sock = socket(AF_INET, SOCK_DGRAM, 0);

	check(!ioctl(sock, SIOCETHTOOL, &ifr), "ETHTOOL_GCHANNELS");
	ch.cmd = ETHTOOL_SCHANNELS;
	if (ch.combined_count != n) {
		ch.combined_count = n;
		check(!ioctl(sock, SIOCETHTOOL, &ifr), "ETHTOOL_SCHANNELS");
	}
	close(sock);
	printf("guest: %u of %u queue pairs\n", n, ch.max_combined);
}

static int bound(int type, uint16_t port)
{
	struct sockaddr_in sin = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(WIRE_GUEST_IP),
	};
	int fd, one = 1;

	fd = socket(AF_INET, type | SOCK_NONBLOCK, 0);
	check(fd >= 0, "socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	check(!bind(fd, (struct sockaddr *)&sin, sizeof(sin)), "bind");
	return fd;
}

static int flow_open(unsigned int flow)
{
	struct sockaddr_in peer = {
		.sin_family = AF_INET,
		.sin_port = htons(WIRE_PEER_PORT + flow),
		.sin_addr.s_addr = htonl(WIRE_PEER_IP),
	};
	int fd = bound(SOCK_DGRAM, WIRE_GUEST_PORT + flow);
	/* what the peer may have sent while nobody ran; what a queue holds */
	int in = 32 << 20, out = 32 << 10;

	check(!setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &in, sizeof(in)),
	      "SO_RCVBUFFORCE");
	check(!setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &out, sizeof(out)),
	      "SO_SNDBUF");
	check(!connect(fd, (struct sockaddr *)&peer, sizeof(peer)), "connect");
	check(track_init(&tracks[flow]), "memory");
	return fd;
}

static void flow_read(unsigned int flow)
{
	struct track *t = &tracks[flow], was;
	struct wire w;

	while (recv(flows[flow], &w, sizeof(w), 0) == sizeof(w)) {
		if (ntohl(w.magic) != WIRE_MAGIC || ntohl(w.flow) != flow)
			continue;
		was = *t;
		track_add(t, ntohl(w.number));
		got += t->got - was.got;
		again += t->again - was.again;
		late += t->late - was.late;
		rate = ntohl(w.rate);
		if (w.pairs && ntohl(w.pairs) != pairs) {
			pairs = ntohl(w.pairs);
			channels(pairs);
		}
	}
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* A packet that the stack refuses is sent again later, under its number. */
static void tick(void)
{
	static uint32_t numbers[WIRE_FLOWS], flow, for_rate;
	static uint64_t since, sent;
	uint64_t now = now_ns();
	int64_t due;

	if (for_rate != rate) {
		for_rate = rate;
		since = now;
		sent = 0;
	}
	due = (now - since) * rate / 1000000000 - sent;
	if (due > BURST) {
		since = now;
		sent = 0;
		due = BURST;
	}
	/* the account goes out, even when nothing else is asked for */
	for (due = due ? due : !rate; due > 0; due--) {
		struct wire w = {
			.magic = htonl(WIRE_MAGIC),
			.flow = htonl(flow),
			.number = htonl(numbers[flow]),
			.got = htonl(got),
			.again = htonl(again),
			.late = htonl(late),
		};

		if (send(flows[flow], &w, sizeof(w), 0) != sizeof(w))
			break;
		numbers[flow]++;
		flow = (flow + 1) % WIRE_FLOWS;
		sent++;
	}
}

/* What was read and could not be sent yet stays here. */
static void echo(int fd)
{
	static char buf[16384];
	static size_t have;
	ssize_t n;

	for (;;) {
		n = have < sizeof(buf) ?
		    recv(fd, buf + have, sizeof(buf) - have, MSG_DONTWAIT) : -1;
		if (n == 0)
			fail("the stream's end");
		if (n > 0)
			have += n;
		if (!have)
			return;
		n = send(fd, buf, have, MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN)
			fail("the stream");
		if (n <= 0)
			return;
		memmove(buf, buf + n, have - n);
		have -= n;
	}
}

static void add(int ep, int fd, unsigned int events, uint32_t tag)
{
	struct epoll_event ev = { .events = events, .data.u32 = tag };

	check(!epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev), "epoll");
}

int main(void)
{
	struct itimerspec every = {
		.it_interval.tv_nsec = TICK_MS * 1000000,
		.it_value.tv_nsec = TICK_MS * 1000000,
	};
	int ep = epoll_create1(0), timer, listener, tcp = -1, i, n;
	struct epoll_event evs[16];
	uint64_t ticks;

	setlinebuf(stdout);
	for (i = 0; i < WIRE_FLOWS; i++) {
		flows[i] = flow_open(i);
		add(ep, flows[i], EPOLLIN, TAG_FLOW + i);
	}
	listener = bound(SOCK_STREAM, WIRE_TCP_PORT);
	check(!listen(listener, 1), "listen");
	add(ep, listener, EPOLLIN, TAG_LISTEN);
	timer = timerfd_create(CLOCK_MONOTONIC, 0);
	check(!timerfd_settime(timer, 0, &every, NULL), "timer");
	add(ep, timer, EPOLLIN, TAG_TICK);
	puts("guest: ready");

	for (;;) {
		n = epoll_wait(ep, evs, 16, -1);
		for (i = 0; i < n; i++) {
			uint32_t tag = evs[i].data.u32;

			if (tag < TAG_TICK) {
				flow_read(tag);
			} else if (tag == TAG_LISTEN) {
				tcp = accept(listener, NULL, NULL);
				check(tcp >= 0, "accept");
				add(ep, tcp, EPOLLIN | EPOLLOUT | EPOLLET,
				    TAG_TCP);
			} else if (tag == TAG_TCP) {
				echo(tcp);
			} else if (read(timer, &ticks, sizeof(ticks)) > 0) {
				tick();
			}
		}
	}
}
