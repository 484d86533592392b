// SPDX-License-Identifier: GPL-2.0
/*
 * Who uses the queues: a thread that reads each and one that writes it, or a
 * guest with vhost-net. They know of no handover. A claimant turns O_NONBLOCK on
 * and off under them.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "race.h"
#include "uring.h"
#include "util.h"
#include "vhost.h"

struct user {
	struct race *r;
	int dev;
	int q;
	uint64_t rnd;
	int fd;
	int ep;
	struct uring ring;
	struct vhost v;
};

static void user_fail(const struct user *u, const char *what, int err)
{
	race_fail(u->r, "device %d queue %d: %s: %s", u->dev, u->q, what,
		  strerror(-err));
}

/* Sleep until there may be something: 0 or -errno. */
static int wait_in(struct user *u)
{
	struct pollfd pfd = { .fd = u->fd, .events = POLLIN };
	struct io_uring_sqe *sqe;
	struct io_uring_cqe cqe;
	struct epoll_event ev;
	int err;

	switch (race_specs[u->dev].ways[u->q]) {
	case RACE_EPOLL:
		return epoll_wait(u->ep, &ev, 1, -1) == 1 ? 0 : -errno;
	case RACE_URING:
		sqe = uring_queue(&u->ring, IORING_OP_POLL_ADD, u->fd, NULL, 0,
				  0);
		if (!sqe)
			return -EPROTO;
		sqe->poll32_events = POLLIN;
		err = uring_submit(&u->ring);
		pfd.fd = u->ring.fd;
		while (!err && !uring_next(&u->ring, &cqe))
			err = poll(&pfd, 1, -1) < 0 ? -errno : 0;
		return err ?: cqe.res < 0 ? cqe.res : 0;
	default:
		return poll(&pfd, 1, -1) == 1 ? 0 : -errno;
	}
}

static void *reader(void *arg)
{
	struct user *u = arg;
	const struct tap *tap = &u->r->taps[u->dev];
	struct tally *t = &u->r->down[u->dev].t[u->q];
	uint8_t buf[PACKET_MAX];
	ssize_t len;
	int err = 0;

	while (!err) {
		len = read(u->fd, buf, sizeof(buf));
		if (len >= 0)
			tally_add(t, u->q, buf + tap->hdr, len - tap->hdr);
		else
			err = errno == EAGAIN ? wait_in(u) : -errno;
	}
	user_fail(u, "reader", err);
	return NULL;
}

static uint32_t up_seq(const struct user *u, uint64_t n)
{
	return n * race_specs[u->dev].queues + u->q;
}

/* Whether it may send one more. */
static bool has_window(const struct user *u, uint64_t sent)
{
	const struct race_up *up = &u->r->up[u->dev];

	return sent - race_get(&up->seen[u->q]) < 500 &&
	       up_seq(u, sent) < RACE_MAX_SEQ;
}

static int write_one(struct user *u, uint64_t n)
{
	const struct tap *tap = &u->r->taps[u->dev];
	struct pollfd pfd = { .fd = u->fd, .events = POLLOUT };
	uint8_t buf[PACKET_MAX] = {};
	int len = tap->hdr + packet_make(buf + tap->hdr, RACE_FLOW_UP + u->q,
					 up_seq(u, n));

	while (write(u->fd, buf, len) != len) {
		if (errno != EAGAIN)
			return -errno;
		if (poll(&pfd, 1, -1) < 0)
			return -errno;
	}
	return 0;
}

static void *writer(void *arg)
{
	struct user *u = arg;
	uint64_t *sent = &u->r->up[u->dev].sent[u->q];
	uint64_t rnd = race_seed(u->r, 4, u->dev << 8 | u->q);
	uint32_t n;
	int err = 0;

	while (!err && !race_get(&u->r->stop_traffic)) {
		for (n = race_rnd(&rnd, 32);
		     !err && n && has_window(u, *sent) &&
		     !race_get(&u->r->stop_traffic); n--) {
			err = write_one(u, *sent);
			race_set(sent, *sent + !err);
		}
		usleep(10000 + race_rnd(&rnd, 150000));
	}
	if (err)
		user_fail(u, "writer", err);
	return NULL;
}

static void *guest(void *arg)
{
	struct user *u = arg;
	struct tally *t = &u->r->down[u->dev].t[u->q];
	uint64_t *sent = &u->r->up[u->dev].sent[u->q];
	uint32_t n;

	for (;;) {
		guest_receive(&u->v, t, u->q, true);
		n = race_rnd(&u->rnd, 16) ? 0 : race_rnd(&u->rnd, 200);
		while (n-- && has_window(u, *sent) &&
		       !race_get(&u->r->stop_traffic) &&
		       !guest_send(&u->v, RACE_FLOW_UP + u->q,
				   up_seq(u, *sent), PACKET_LEN))
			race_set(sent, *sent + 1);
		usleep(2000 + race_rnd(&u->rnd, 10000));
	}
	return NULL;
}

/* A VMM that stops and starts its backend, whatever its tap goes through. */
static void *restarter(void *arg)
{
	struct user *u = arg;
	uint64_t rnd = race_seed(u->r, 5, u->dev);
	int err;

	while (!race_get(&u->r->stop_traffic)) {
		usleep(race_rnd(&rnd, 60000));
		err = vhost_stop(&u->v);
		race_add(&u->r->backend_stops, 1);
		usleep(race_rnd(&rnd, 10000));
		while (!err && (err = vhost_start(&u->v, u->fd))) {
			/* the fence stands; one side may have got past it */
			if (err != -ENOTSOCK)
				break;
			race_add(&u->r->backend_waits, 1);
			err = vhost_stop(&u->v);
			usleep(5000);
		}
		if (err) {
			user_fail(u, "vhost backend", err);
			break;
		}
	}
	return NULL;
}

static int start(pthread_t *thread, void *(*fn)(void *arg), struct user *u)
{
	return -pthread_create(thread, NULL, fn, u);
}

static int start_guest(struct user *u, pthread_t *thread)
{
	int err = vhost_open(&u->v, 0, -1);

	if (!err && guest_offer(&u->v, VHOST_RING) != VHOST_RING)
		err = -EPROTO;
	if (!err)
		err = vhost_start(&u->v, u->fd);
	if (!err)
		err = start(thread, guest, u);
	if (!err && race_specs[u->dev].ways[u->q] == RACE_VHOST_STOPS)
		err = start(thread, restarter, u);
	return err;
}

static int start_user(struct user *u, pthread_t *thread)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };
	int err = 0;

	switch (race_specs[u->dev].ways[u->q]) {
	case RACE_VHOST:
	case RACE_VHOST_STOPS:
		return start_guest(u, thread);
	case RACE_EPOLL:
		u->ep = epoll_create1(EPOLL_CLOEXEC);
		if (u->ep < 0 || epoll_ctl(u->ep, EPOLL_CTL_ADD, u->fd, &ev))
			err = -errno;
		break;
	case RACE_URING:
		err = uring_open(&u->ring, 8);
		break;
	default:
		break;
	}
	return err ?: start(thread, reader, u) ?: start(thread, writer, u);
}

int race_guest(void *arg)
{
	static struct user users[RACE_DEVS][RACE_QUEUES];
	struct race *r = arg;
	pthread_t thread;
	int dev, q, err;

	for (dev = 0; dev < RACE_DEVS; dev++) {
		for (q = 0; q < race_specs[dev].queues; q++) {
			struct user *u = &users[dev][q];

			u->r = r;
			u->dev = dev;
			u->q = q;
			u->rnd = race_seed(r, 3, dev << 8 | q);
			u->fd = r->taps[dev].fds[q];
			err = start_user(u, &thread);
			if (err) {
				user_fail(u, "start", err);
				return 1;
			}
		}
	}
	race_set(&r->guest_runs, true);
	/* Until this process is killed. */
	pause();
	return 0;
}
