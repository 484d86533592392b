// SPDX-License-Identifier: GPL-2.0
/*
 * The demo's other end, in the second netns: sends numbered packets to the
 * guest and receives those of the guest.
 */
#include <linux/sock_diag.h>
#include <pthread.h>

#include "demo_ctl.h"

#define LOAD_BATCH	32
#define LOAD_BURST	(4 * LOAD_BATCH)	/* of lost time, made up for */
#define LOAD_PAUSE_US	100

static struct demo_shm *shm;

static int udp_socket(unsigned int port)
{
	struct sockaddr_in sin = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(DEMO_PEER_IP),
	};
	int fd, room = 64 << 20;

	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sin, sizeof(sin)))
		demo_fail("socket of port %u: %m", port);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)))
		demo_fail("SO_RCVBUFFORCE: %m");
	return fd;
}

static void *receive(void *arg)
{
	struct demo_payload load;
	int fd = *(int *)arg;
	ssize_t n;

	for (;;) {
		n = recv(fd, &load, sizeof(load), MSG_TRUNC);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			demo_fail("recv: %m");
		if (n != sizeof(load))
			load.magic = 0;
		demo_track_got(&shm->g2h, &load);
	}
	return NULL;
}

static uint64_t socket_drops(int fd)
{
	uint32_t mem[SK_MEMINFO_VARS];
	socklen_t len = sizeof(mem);

	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, mem, &len))
		demo_fail("SO_MEMINFO: %m");
	return mem[SK_MEMINFO_DROPS];
}

/**
 * struct sender - how far it is
 * @fd: its socket
 * @mode: enum demo_mode that it is in
 * @since: when it began, CLOCK_MONOTONIC ns
 * @sent: the count then
 * @got: the count of what the guest had read then
 * @flow: to be sent next
 */
struct sender {
	int		fd;
	int		mode;
	uint64_t	since;
	uint64_t	sent;
	uint64_t	got;
	unsigned int	flow;
};

static void sender_mode(struct sender *s)
{
	int mode = shm->mode;

	if (mode == s->mode)
		return;
	s->mode = mode;
	s->since = demo_now();
	s->sent = shm->h2g.sent;
	s->got = shm->h2g.got;
}

/* Packets that are on their way to the guest, or will be known to be gone. */
static int64_t on_the_way(void)
{
	return (int64_t)(shm->h2g.sent - shm->h2g.got - shm->gone);
}

static int64_t due_window(void)
{
	return DEMO_WINDOW - on_the_way();
}

static int64_t due_paced(struct sender *s)
{
	uint64_t now = demo_now();
	int64_t due;

	due = (int64_t)((now - s->since) * shm->rate / 1000000000) -
	      (int64_t)(shm->h2g.sent - s->sent);
	if (due > LOAD_BURST) {
		s->since = now;
		s->sent = shm->h2g.sent;
	}
	return due;
}

static int64_t due_catch_up(struct sender *s)
{
	int expected = DEMO_SEND_CATCH_UP;

	if (due_window() > 0) {
		atomic_compare_exchange_strong(&shm->mode, &expected,
					       DEMO_SEND_WINDOW);
		return 0;
	}
	return (int64_t)(shm->h2g.got - s->got) / 2 -
	       (int64_t)(shm->h2g.sent - s->sent);
}

static int64_t sender_due(struct sender *s)
{
	switch (s->mode) {
	case DEMO_SEND_WINDOW:
		return due_window();
	case DEMO_SEND_PACED:
		return due_paced(s);
	case DEMO_SEND_CATCH_UP:
		return due_catch_up(s);
	default:
		return 0;
	}
}

/* One packet each of the next flows. */
static void send_batch(struct sender *s, unsigned int n)
{
	struct demo_payload load[LOAD_BATCH] = {};
	struct sockaddr_in sin[LOAD_BATCH] = {};
	struct mmsghdr mm[LOAD_BATCH] = {};
	struct iovec iov[LOAD_BATCH];
	unsigned int i, flow;
	int done;

	for (i = 0; i < n; i++) {
		flow = (s->flow + i) % DEMO_FLOWS;
		if (shm->h2g.flow_sent[flow] == DEMO_SEQS)
			demo_fail("more packets than the account has room for");
		demo_track_next(&shm->h2g, flow, &load[i]);
		sin[i].sin_family = AF_INET;
		sin[i].sin_port = htons(DEMO_H2G_DPORT + flow);
		sin[i].sin_addr.s_addr = htonl(DEMO_GUEST_IP);
		iov[i].iov_base = &load[i];
		iov[i].iov_len = sizeof(load[i]);
		mm[i].msg_hdr.msg_name = &sin[i];
		mm[i].msg_hdr.msg_namelen = sizeof(sin[i]);
		mm[i].msg_hdr.msg_iov = &iov[i];
		mm[i].msg_hdr.msg_iovlen = 1;
	}

	done = sendmmsg(s->fd, mm, n, 0);
	if (done < 0)
		demo_fail("sendmmsg: %m");
	for (i = 0; i < (unsigned int)done; i++) {
		demo_track_sent(&shm->h2g, s->flow);
		s->flow = (s->flow + 1) % DEMO_FLOWS;
	}
}

static void send_hello(struct sender *s)
{
	struct sockaddr_in sin = {
		.sin_family = AF_INET,
		.sin_port = htons(DEMO_HELLO_PORT),
		.sin_addr.s_addr = htonl(DEMO_GUEST_IP),
	};
	struct demo_payload load = {};

	if (!shm->hello)
		sendto(s->fd, &load, sizeof(load), 0, (struct sockaddr *)&sin,
		       sizeof(sin));
	demo_sleep_us(10000);
}

/* Send until the director switches it off. */
static void sender_run(struct sender *s)
{
	int64_t due;

	for (;;) {
		sender_mode(s);
		if (s->mode == DEMO_SEND_OFF)
			return;
		if (s->mode == DEMO_SEND_HELLO) {
			send_hello(s);
			continue;
		}
		due = sender_due(s);
		if (due > 0)
			send_batch(s, due < LOAD_BATCH ? due : LOAD_BATCH);
		else
			demo_sleep_us(LOAD_PAUSE_US);
	}
}

int main(void)
{
	struct demo_msg m = { .op = DEMO_OP_READY };
	struct sender s = {};
	pthread_t thread;
	int in;

	/* the kernel's default adds half of what we pause */
	prctl(PR_SET_TIMERSLACK, 1);
	shm = demo_shm_map();
	if (setns(DEMO_FD_NETNS, CLONE_NEWNET))
		demo_fail("setns: %m");
	in = udp_socket(DEMO_G2H_DPORT);
	s.fd = udp_socket(DEMO_H2G_SPORT);
	errno = pthread_create(&thread, NULL, receive, &in);
	if (errno)
		demo_fail("pthread_create: %m");
	demo_pin(false);
	demo_answer(&m);

	for (;;) {
		sender_run(&s);
		if (!demo_readable(DEMO_FD_CTL, 1))
			continue;
		demo_command(&m);
		if (m.op != DEMO_OP_STOP)
			demo_fail("load: command %d", m.op);
		m.value = socket_drops(in);
		demo_answer(&m);
	}
}
