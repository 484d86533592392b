// SPDX-License-Identifier: GPL-2.0
/*
 * The host's side of the taps: a thread a device that sends numbered packets,
 * and one that catches what all of them send.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_packet.h>

#include "race.h"

struct injector {
	struct race *r;
	int dev;
	uint64_t rnd;
	struct sender s;
	pthread_t thread;
};

static int inject_one(struct injector *in)
{
	struct race_down *d = &in->r->down[in->dev];
	uint64_t dropped = in->s.dropped;
	uint32_t seq = in->s.seq;
	int err;

	/* Before it is there: who receives it may be faster. */
	race_set(&d->offered, seq + 1);
	err = sender_send_flow(&in->s, seq % RACE_FLOWS);
	if (err) {
		race_fail(in->r, "device %d: packet %u not sent: %s", in->dev,
			  seq, strerror(-err));
	} else if (in->s.dropped != dropped) {
		d->fates[seq] = 1;
		race_set(&d->dropped, in->s.dropped);
	}
	return err;
}

/*
 * Bursts. After some of them nothing is sent until all are there: nobody is woken
 * by the next packet then, who was not when he should have been.
 */
static void *inject(void *arg)
{
	struct injector *in = arg;
	uint32_t window = race_specs[in->dev].window, n;

	while (!race_get(&in->r->stop_traffic)) {
		for (n = race_rnd(&in->rnd, 64) + 1;
		     n && !race_get(&in->r->stop_traffic); n--) {
			if (race_in_flight(in->r, in->dev) >= window ||
			    in->s.seq == RACE_MAX_SEQ)
				break;
			if (inject_one(in))
				return NULL;
		}
		if (!race_rnd(&in->rnd, 16))
			while (race_in_flight(in->r, in->dev) &&
			       !race_get(&in->r->stop_traffic))
				usleep(5000);
		usleep(10000 + race_rnd(&in->rnd, 150000));
	}
	return NULL;
}

static void catch_one(struct race *r, int dev, const uint8_t *buf, ssize_t len)
{
	struct race_up *up = &r->up[dev];
	uint32_t flow, seq, q = RACE_QUEUES;

	if (packet_parse(buf, len, &flow, &seq))
		q = flow - RACE_FLOW_UP;
	if (q >= (uint32_t)race_specs[dev].queues) {
		up->t.foreign++;
		race_fail(r, "device %d: a foreign packet of %zd bytes entered",
			  dev, len);
		return;
	}
	tally_add(&up->t, q, buf, len);
	race_set(&up->seen[q], up->seen[q] + 1);
}

/* What the taps send, until this process is killed. */
static void catch_all(struct race *r, struct capture *c)
{
	struct pollfd pfds[RACE_DEVS];
	struct tpacket_stats stats;
	uint8_t buf[PACKET_MAX];
	socklen_t size;
	ssize_t len;
	int dev;

	for (dev = 0; dev < RACE_DEVS; dev++)
		pfds[dev] = (struct pollfd){
			.fd = c[dev].sock, .events = POLLIN,
		};
	while (poll(pfds, RACE_DEVS, -1) > 0) {
		for (dev = 0; dev < RACE_DEVS; dev++) {
			while ((len = recv(c[dev].sock, buf, sizeof(buf),
					   0)) >= 0)
				catch_one(r, dev, buf, len);
			size = sizeof(stats);
			if (!getsockopt(c[dev].sock, SOL_PACKET,
					PACKET_STATISTICS, &stats, &size))
				race_add(&r->up[dev].overrun, stats.tp_drops);
		}
		usleep(10000);
	}
}

int race_host(void *arg)
{
	struct race *r = arg;
	struct injector in[RACE_DEVS];
	struct capture c[RACE_DEVS];
	int dev;

	for (dev = 0; dev < RACE_DEVS; dev++) {
		in[dev] = (struct injector){
			.r = r, .dev = dev, .rnd = race_seed(r, 2, dev),
		};
		if (sender_open(&in[dev].s, r->taps[dev].ifindex, RACE_FLOWS) ||
		    capture_open(&c[dev], r->taps[dev].ifindex))
			goto err;
	}
	race_set(&r->catching, true);
	for (dev = 0; dev < RACE_DEVS; dev++) {
		if (pthread_create(&in[dev].thread, NULL, inject, &in[dev]))
			goto err;
	}
	catch_all(r, c);
	race_fail(r, "the host cannot wait for packets: %s", strerror(errno));
	return 1;

err:
	race_fail(r, "the host cannot start");
	return 1;
}
