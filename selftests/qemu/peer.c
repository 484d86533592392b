// SPDX-License-Identifier: GPL-2.0
/*
 * The other end of the inner guest: sends it numbered packets, takes those that
 * it sends, and has a TCP stream echoed. What it shall do it reads from its
 * standard input, a word and a number a line, and answers each with a line:
 *
 *	rate N		packets a second to the guest, over all flows
 *	guest N		packets a second that the guest shall send
 *	pairs N		queue pairs that the guest shall use
 *	stream N	bytes a second of the stream
 *	flows N		the first N flows alone
 *	window N	packets that may be on their way to the guest
 *	lost N		so many are known not to come any more
 *	settle MS	stop until everything has come, or nothing has for so long
 *	nudge		one packet of each flow, whatever the window
 *	account		what was sent and what has come, both ways
 *
 * A window below what a queue holds makes sure that a loss is nobody's but
 * the update's.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "wire.h"

#define BURST		64	/* of lost time, made up for */
#define STREAM_BURST	16384

/* packets or bytes that are due by now */
struct pace {
	uint64_t rate;
	uint64_t since;
	uint64_t done;
};

static struct {
	int socks[WIRE_FLOWS];
	struct track tracks[WIRE_FLOWS];
	uint32_t numbers[WIRE_FLOWS];
	uint32_t nflows, flow, window, guest_rate, pairs;
	uint64_t sent, lost;
	struct pace pace;
	/* what the guest told last */
	uint32_t got, again, late;
} p = { .nflows = WIRE_FLOWS, .window = 256 };

static struct {
	int sock;
	uint64_t sent, got, wrong;
	struct pace pace;
} s = { .sock = -1 };

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void fail(const char *what)
{
	fprintf(stderr, "peer: %s: %m\n", what);
	exit(1);
}

static void pace_set(struct pace *pace, uint64_t rate)
{
	*pace = (struct pace){ .rate = rate, .since = now_ns() };
}

static int64_t pace_due(struct pace *pace, int64_t burst)
{
	uint64_t now = now_ns();
	int64_t due;

	due = (now - pace->since) * pace->rate / 1000000000 - pace->done;
	if (due > burst) {
		pace->since = now;
		pace->done = 0;
		due = burst;
	}
	return due;
}

static struct sockaddr_in address(uint32_t ip, uint16_t port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(ip),
	};
}

static int flow_open(unsigned int flow)
{
	struct sockaddr_in own = address(WIRE_PEER_IP, WIRE_PEER_PORT + flow);
	struct sockaddr_in guest = address(WIRE_GUEST_IP,
					   WIRE_GUEST_PORT + flow);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	int room = 64 << 20;

	if (fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof(own)) ||
	    connect(fd, (struct sockaddr *)&guest, sizeof(guest)))
		fail("socket");
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)))
		fail("SO_RCVBUFFORCE");
	if (!track_init(&p.tracks[flow]))
		fail("memory");
	return fd;
}

static bool flow_send(void)
{
	struct wire w = {
		.magic = htonl(WIRE_MAGIC),
		.flow = htonl(p.flow),
		.number = htonl(p.numbers[p.flow]),
		.rate = htonl(p.guest_rate),
		.pairs = htonl(p.pairs),
	};

	/* a guest that does not listen yet refuses */
	if (send(p.socks[p.flow], &w, sizeof(w), 0) != sizeof(w))
		return false;
	p.numbers[p.flow]++;
	p.flow = (p.flow + 1) % p.nflows;
	p.sent++;
	return true;
}

static void flow_read(unsigned int flow)
{
	struct wire w;

	while (recv(p.socks[flow], &w, sizeof(w), 0) == sizeof(w)) {
		if (ntohl(w.magic) != WIRE_MAGIC || ntohl(w.flow) != flow)
			continue;
		track_add(&p.tracks[flow], ntohl(w.number));
		/* flows overtake each other: the highest is the newest */
		if (ntohl(w.got) + ntohl(w.again) >= p.got + p.again) {
			p.got = ntohl(w.got);
			p.again = ntohl(w.again);
			p.late = ntohl(w.late);
		}
	}
}

static void flows_send(void)
{
	int64_t due = pace_due(&p.pace, BURST);
	int64_t room = (int64_t)p.window - (int64_t)(p.sent - p.lost - p.got);

	for (due = due < room ? due : room; due > 0 && flow_send(); due--)
		p.pace.done++;
}

static void stream_open(void)
{
	struct sockaddr_in guest = address(WIRE_GUEST_IP, WIRE_TCP_PORT);

	s.sock = socket(AF_INET, SOCK_STREAM, 0);
	if (s.sock < 0 ||
	    connect(s.sock, (struct sockaddr *)&guest, sizeof(guest)))
		fail("stream");
}

static void stream_write(void)
{
	int64_t due = pace_due(&s.pace, STREAM_BURST), i;
	uint8_t buf[STREAM_BURST];
	ssize_t n;

	if (due < 1024)
		return;
	for (i = 0; i < due; i++)
		buf[i] = stream_byte(s.sent + i);
	n = send(s.sock, buf, due, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN)
		fail("stream");
	if (n > 0) {
		s.sent += n;
		s.pace.done += n;
	}
}

static void stream_read(void)
{
	uint8_t buf[STREAM_BURST];
	ssize_t n, i;

	while ((n = recv(s.sock, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
		for (i = 0; i < n; i++)
			s.wrong += buf[i] != stream_byte(s.got++);
	if (n == 0 || errno != EAGAIN)
		fail("the stream's end");
}

/* Once: what has come, what is due, and until something does. */
static void turn(int timeout_ms)
{
	struct pollfd pfds[WIRE_FLOWS + 2] = {};
	int i, n = 0;

	pfds[n++] = (struct pollfd){ .fd = 0, .events = POLLIN };
	pfds[n++] = (struct pollfd){ .fd = s.sock, .events = POLLIN };
	for (i = 0; i < WIRE_FLOWS; i++)
		pfds[n++] = (struct pollfd){ p.socks[i], POLLIN, 0 };
	poll(pfds, n, timeout_ms);
	for (i = 0; i < WIRE_FLOWS; i++)
		flow_read(i);
	if (s.sock >= 0)
		stream_read();
}

static uint64_t guest_got(void)
{
	uint64_t sum = 0;
	int i;

	for (i = 0; i < WIRE_FLOWS; i++)
		sum += p.tracks[i].got;
	return sum;
}

/* Nobody sends; the guest still tells its account, as packets of its own. */
static void settle(int ms)
{
	uint64_t last = now_ns(), told = p.got, back = s.got;

	while (p.got < p.sent - p.lost || s.got < s.sent) {
		turn(1);
		if (p.got != told || s.got != back) {
			told = p.got;
			back = s.got;
			last = now_ns();
		}
		if (now_ns() - last > (uint64_t)ms * 1000000)
			break;
	}
	pace_set(&p.pace, p.pace.rate);
	pace_set(&s.pace, s.pace.rate);
}

static void nudge(void)
{
	uint32_t flow = p.flow, i;

	for (i = 0; i < WIRE_FLOWS; i++) {
		p.flow = i;
		flow_send();
	}
	p.flow = flow;
}

static void account(void)
{
	uint64_t got = guest_got(), next = 0, again = 0, late = 0;
	struct tcp_info info = {};
	socklen_t len = sizeof(info);
	int i;

	for (i = 0; i < WIRE_FLOWS; i++) {
		next += p.tracks[i].next;
		again += p.tracks[i].again;
		late += p.tracks[i].late;
	}
	if (s.sock >= 0)
		getsockopt(s.sock, IPPROTO_TCP, TCP_INFO, &info, &len);
	printf("to_sent=%llu to_got=%u to_again=%u to_late=%u from_sent=%llu from_got=%llu from_again=%llu from_late=%llu stream_sent=%llu stream_got=%llu stream_wrong=%llu retrans=%u\n",
	       (unsigned long long)p.sent, p.got, p.again, p.late,
	       (unsigned long long)next, (unsigned long long)got,
	       (unsigned long long)again, (unsigned long long)late,
	       (unsigned long long)s.sent, (unsigned long long)s.got,
	       (unsigned long long)s.wrong, info.tcpi_total_retrans);
}

/* Lines, as poll() tells of them: stdio would read ahead of it. */
static bool command(void)
{
	char line[128], word[32];
	unsigned long n = 0;
	size_t len = 0;

	while (len < sizeof(line) - 1 && read(0, line + len, 1) == 1 &&
	       line[len] != '\n')
		len++;
	line[len] = '\0';
	if (!len || sscanf(line, "%31s %lu", word, &n) < 1)
		return false;
	if (!strcmp(word, "account")) {
		account();
		return true;
	}
	if (!strcmp(word, "rate")) {
		pace_set(&p.pace, n);
	} else if (!strcmp(word, "guest")) {
		p.guest_rate = n;
	} else if (!strcmp(word, "pairs")) {
		p.pairs = n;
	} else if (!strcmp(word, "stream")) {
		if (s.sock < 0)
			stream_open();
		pace_set(&s.pace, n);
	} else if (!strcmp(word, "flows")) {
		p.nflows = n && n <= WIRE_FLOWS ? n : WIRE_FLOWS;
		p.flow = 0;
	} else if (!strcmp(word, "window")) {
		p.window = n;
	} else if (!strcmp(word, "lost")) {
		p.lost = n;
	} else if (!strcmp(word, "nudge")) {
		nudge();
	} else if (!strcmp(word, "settle")) {
		settle(n);
	} else {
		printf("peer: '%s'?\n", word);
		return true;
	}
	puts("ok");
	return true;
}

int main(void)
{
	struct pollfd in = { .fd = 0, .events = POLLIN };
	int i;

	setlinebuf(stdout);
	for (i = 0; i < WIRE_FLOWS; i++)
		p.socks[i] = flow_open(i);
	for (;;) {
		turn(p.pace.rate || s.pace.rate ? 1 : 100);
		flows_send();
		if (s.sock >= 0)
			stream_write();
		if (poll(&in, 1, 0) > 0 && !command())
			return 0;
	}
}
