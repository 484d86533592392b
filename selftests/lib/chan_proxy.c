// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "chan.h"
#include "util.h"

#define PORT	7

/* -- sockets ------------------------------------------------------------- */

static socklen_t address(struct sockaddr_storage *ss, const char *name,
			 bool tcp)
{
	struct sockaddr_un *un = (struct sockaddr_un *)ss;
	struct sockaddr_in *in = (struct sockaddr_in *)ss;

	memset(ss, 0, sizeof(*ss));
	if (tcp) {
		in->sin_family = AF_INET;
		in->sin_port = htons(PORT);
		in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		return sizeof(*in);
	}
	/* an abstract one, which is the network namespace's */
	un->sun_family = AF_UNIX;
	strcpy(un->sun_path + 1, name);
	return offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name);
}

int chan_listen(const char *name, bool tcp)
{
	int sock = socket(tcp ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC,
			  0);
	struct sockaddr_storage ss;
	int on = 1;

	setsockopt(sock, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(sock, (void *)&ss, address(&ss, name, tcp)) ||
	    listen(sock, 4))
		return -errno;
	return sock;
}

int chan_connect(const char *name, bool tcp)
{
	int sock = socket(tcp ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC,
			  0);
	struct sockaddr_storage ss;

	if (connect(sock, (void *)&ss, address(&ss, name, tcp))) {
		close(sock);
		return -errno;
	}
	return sock;
}

/* -- the proxy ----------------------------------------------------------- */

/* How far one way of a leg has come in the message that passes */
struct way {
	char head[16];
	size_t have;		/* of the head */
	size_t left;		/* of the payload */
};

struct leg {
	int sock[2];		/* to the source, to the target */
	struct way way[2];	/* from the source, from the target */
};

union control {
	struct cmsghdr hdr;
	char buf[CMSG_SPACE(sizeof(int) * 253)];
};

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Bytes of a head or of a payload; its length is at byte 8 of the head. */
static void note(struct chan_proxy *p, struct way *way, bool back,
		 const char *buf, size_t n)
{
	uint32_t len;

	if (way->left) {
		way->left -= n;
		return;
	}
	if (!way->have && back == p->back && p->frames < 256)
		p->frame[p->frames++] = p->passed[back];
	memcpy(way->head + way->have, buf, n);
	way->have += n;
	if (way->have < sizeof(way->head))
		return;
	memcpy(&len, way->head + 8, sizeof(len));
	way->left = len;
	way->have = 0;
}

/*
 * One way; false at its end. At most up to where harm is to be done, and never
 * into the next message: its files come with whatever is read before it in the
 * same call, and would be sent on with that.
 */
static bool pass_on(struct chan_proxy *p, struct leg *leg, bool back)
{
	struct way *way = &leg->way[back];
	char buf[4096];
	union control control;
	struct iovec iov = { buf, sizeof(buf) };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *c;
	ssize_t n;
	size_t i;

	iov.iov_len = least(sizeof(buf), way->left ?:
					 sizeof(way->head) - way->have);
	if (p->harm && back == p->back)
		iov.iov_len = least(iov.iov_len, p->at - p->passed[back]);
	n = recvmsg(leg->sock[back], &msg, MSG_CMSG_CLOEXEC);
	if (n <= 0)
		return false;
	note(p, way, back, buf, n);
	iov.iov_len = n;
	n = sendmsg(leg->sock[!back], &msg, MSG_NOSIGNAL);
	for (c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
		for (i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++)
			close(((int *)CMSG_DATA(c))[i]);
	if (n > 0)
		p->passed[back] += n;
	return n > 0;
}

static bool harm_is_due(const struct chan_proxy *p)
{
	return p->harm && p->passed[p->back] >= p->at;
}

static void do_harm(struct chan *c)
{
	switch (c->proxy.harm) {
	case CHAN_KILL_SOURCE:
		agent_kill(&c->source);
		break;
	case CHAN_KILL_TARGET:
		agent_kill(&c->target);
		break;
	default:
		break;
	}
}

/* Until both ends of all legs are closed; a leg for each socket. */
void chan_proxy(struct chan *c, const int listen_sock[2], int legs_want)
{
	const char * const to[2] = { CHAN_TARGET, CHAN_TARGET_LATE };
	struct chan_proxy *p = &c->proxy;
	struct leg leg[2] = { { .sock = { -1, -1 } }, { .sock = { -1, -1 } } };
	struct pollfd pfd[6];
	int legs = 0, ended = 0, i, j, n;
	bool harmed = false;

	while (ended < legs_want) {
		n = 0;
		if (!harmed && harm_is_due(p)) {
			harmed = true;
			do_harm(c);
			if (p->harm == CHAN_CUT)
				break;
			/* who is dead connects to nothing, nor does the other */
			legs_want = legs;
			continue;
		}
		if (legs < legs_want)
			pfd[n++] = (struct pollfd){
				.fd = listen_sock[legs], .events = POLLIN };
		for (i = 0; i < legs; i++)
			for (j = 0; j < 2; j++)
				if (leg[i].sock[j] >= 0)
					pfd[n++] = (struct pollfd){
						.fd = leg[i].sock[j],
						.events = harmed ? 0 : POLLIN };
		/* they end by themselves, at the latest by their timeouts */
		if (poll(pfd, n, scaled_ms(30000)) <= 0)
			break;
		if (legs < legs_want && pfd[0].revents) {
			leg[legs].sock[0] = accept(listen_sock[legs], NULL,
						   NULL);
			leg[legs].sock[1] = chan_connect(to[legs], false);
			if (leg[legs].sock[1] < 0) {
				/* it was killed */
				close(leg[legs].sock[0]);
				leg[legs].sock[0] = -1;
				ended++;
			}
			legs++;
			continue;
		}
		for (i = 0; i < legs; i++) {
			for (j = 0; j < 2; j++) {
				struct pollfd one = {
					.fd = leg[i].sock[j], .events = POLLIN };

				if (one.fd < 0 || poll(&one, 1, 0) <= 0)
					continue;
				if (harmed ? one.revents & POLLHUP :
				    !pass_on(p, &leg[i], j)) {
					close(leg[i].sock[0]);
					close(leg[i].sock[1]);
					leg[i].sock[0] = leg[i].sock[1] = -1;
					ended++;
				}
				if (!harmed && harm_is_due(p))
					goto next;
			}
		}
next:;
	}
	for (i = 0; i < legs; i++)
		for (j = 0; j < 2; j++)
			if (leg[i].sock[j] >= 0)
				close(leg[i].sock[j]);
}
