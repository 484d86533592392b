// SPDX-License-Identifier: GPL-2.0
/*
 * The target has queues of its own: attached for those that the source has
 * detached, of a persistent tap that the source has closed, or of a tap that is
 * made anew, with all that belongs to it.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>

#include "bench.h"
#include "net.h"

static int gone(struct bench_side *s)
{
	return bench_gap(s) ?: bench_tell(s, 'G');
}

/* A queue that does not block, as tap_queue() has those that do */
static int queue_open(struct tap *tap)
{
	struct ifreq ifr = { .ifr_name = BENCH_TAP, .ifr_flags = TAP_VM };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return -errno;
	tap->fds[tap->n++] = fd;
	return ioctl(fd, TUNSETIFF, &ifr) ? -errno : 0;
}

static int queues_open(struct bench_side *s)
{
	struct tap *tap = &s->self->tap;
	int err;

	err = bench_hear(s, 'G');
	for (tap->n = 0; !err && tap->n < s->run->queues;)
		err = queue_open(tap);
	return err;
}

/* -- TUNSETQUEUE --------------------------------------------------------- */

static int queue_leave(struct bench_side *s)
{
	const struct tap *tap = &s->self->tap;
	int i, err;

	for (i = 0; i < tap->n; i++) {
		err = tap_detach(tap->fds[i], true);
		if (err)
			return err;
	}
	return gone(s);
}

const struct bench_way bench_way_queue = {
	.name = "queue",
	/* The driver counts detached queues too, and allows 256. */
	.queues_max = TAP_MAX / 2,
	.leave = queue_leave,
	.enter = queues_open,
};

/* -- close and re-open --------------------------------------------------- */

static int persist(struct bench_side *s, unsigned long on)
{
	return ioctl(s->self->tap.fds[0], TUNSETPERSIST, on) ? -errno : 0;
}

static int reopen_prepare(struct bench_side *s)
{
	return persist(s, 1);
}

static int close_leave(struct bench_side *s)
{
	tap_close(&s->self->tap);
	return gone(s);
}

static int reopen_enter(struct bench_side *s)
{
	return queues_open(s) ?: bench_set_up(s->self->tap.fds[0]);
}

static int reopen_settle(struct bench_side *s)
{
	return persist(s, 0);
}

const struct bench_way bench_way_reopen = {
	.name = "reopen",
	.queues_max = TAP_MAX,
	.prepare = reopen_prepare,
	.leave = close_leave,
	.enter = reopen_enter,
	.settle = reopen_settle,
};

/* -- delete and re-create ------------------------------------------------ */

static int recreate_enter(struct bench_side *s)
{
	int err;

	err = reopen_enter(s);
	if (!err)
		err = link_up(BENCH_TAP);
	if (!err)
		err = link_set_mac(BENCH_TAP, (const uint8_t *)BENCH_MAC);
	return err ?: bench_port_add(BENCH_TAP);
}

const struct bench_way bench_way_recreate = {
	.name = "recreate",
	.queues_max = TAP_MAX,
	.leave = close_leave,
	.enter = recreate_enter,
};
