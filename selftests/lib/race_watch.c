// SPDX-License-Identifier: GPL-2.0
/*
 * Those who look on: one hears every event, and knows which may follow which, and
 * one asks for all there is to know, again and again.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net.h"
#include "race.h"
#include "util.h"

#define BIT(n)	(1U << (n))
#define AFTER(e)	BIT(TAPXFER_EVENT_##e)

/* Which events may come before each: of a handover's, the last but violations */
static const uint32_t follows[] = {
	[TAPXFER_EVENT_PREPARED]	= BIT(0),
	[TAPXFER_EVENT_HOLDING]		= AFTER(PREPARED),
	/* again, when the claimant is gone */
	[TAPXFER_EVENT_FROZEN]		= AFTER(HOLDING) | AFTER(CLAIMED) |
					  AFTER(READY),
	/* or passed on */
	[TAPXFER_EVENT_CLAIMED]		= AFTER(FROZEN) | AFTER(CLAIMED) |
					  AFTER(READY),
	[TAPXFER_EVENT_READY]		= AFTER(CLAIMED),
	[TAPXFER_EVENT_THAWED]		= AFTER(CLAIMED) | AFTER(READY),
#define ALIVE	(AFTER(PREPARED) | AFTER(HOLDING) | AFTER(FROZEN) | \
		 AFTER(CLAIMED) | AFTER(READY))
	[TAPXFER_EVENT_ABORTED]		= ALIVE,
	[TAPXFER_EVENT_EXPIRED]		= ALIVE,
	[TAPXFER_EVENT_GONE]		= ALIVE,
	[TAPXFER_EVENT_VIOLATED]	= ALIVE,
};

#define KNOWN	4096		/* handovers that may be under way at once */

struct known {
	uint32_t id;
	uint32_t last;		/* event */
};

static bool is_end(uint32_t event)
{
	return event >= TAPXFER_EVENT_THAWED && event <= TAPXFER_EVENT_GONE;
}

static void hear(struct race *r, struct known *known,
		 const struct tapxfer_info *info)
{
	uint32_t event = tapxfer_info_u64(info, TAPXFER_A_HANDOVER_EVENT);
	uint32_t id = tapxfer_info_u64(info, TAPXFER_A_HANDOVER_ID);
	int ifindex = tapxfer_info_u64(info, TAPXFER_A_HANDOVER_IFINDEX);
	struct known *k = &known[id % KNOWN];
	struct race_heard *h = &r->heard;
	bool ours = false;
	uint32_t last;
	int dev;

	for (dev = 0; dev < RACE_DEVS; dev++)
		ours |= r->taps[dev].ifindex == ifindex;
	race_add(&h->events[event], 1);
	/* The rough device's are told in two network namespaces. */
	if (!ours)
		return;

	last = k->id == id ? k->last : 0;
	if (!race_get(&h->lost) && !(follows[event] & BIT(last)))
		race_fail(r, "handover %u: %s after %s", id,
			  tapxfer_event_name(event),
			  last ? tapxfer_event_name(last) : "nothing");
	if (last && k->id == id && event == TAPXFER_EVENT_FROZEN &&
	    last != TAPXFER_EVENT_HOLDING)
		race_add(&h->deaths, 1);
	if (event == TAPXFER_EVENT_PREPARED)
		race_add(&h->live, 1);
	if (is_end(event)) {
		race_add(&h->live, -1);
		race_add(&h->held, tapxfer_info_u64(info,
						    TAPXFER_A_HANDOVER_HELD));
		race_add(&h->dropped,
			 tapxfer_info_u64(info, TAPXFER_A_HANDOVER_DROPPED));
	}
	if (event != TAPXFER_EVENT_VIOLATED)
		*k = (struct known){ .id = id, .last = event };
}

int race_watcher(void *arg)
{
	static struct known known[KNOWN];
	struct race *r = arg;
	struct tapxfer_info *info;
	int size = 64 << 20, err;
	struct xfer x;

	err = xfer_open(&x) ?: tapxfer_subscribe(x.tx);
	if (!err && setsockopt(tapxfer_fd(x.tx), SOL_SOCKET, SO_RCVBUFFORCE,
			       &size, sizeof(size)))
		err = -errno;
	race_set(&r->watching, true);
	while (!err || err == -ENOBUFS) {
		err = tapxfer_event_next(x.tx, -1, &info);
		if (err == -ENOBUFS)
			race_add(&r->heard.lost, 1);
		if (err)
			continue;
		hear(r, known, info);
		tapxfer_info_free(info);
	}
	race_fail(r, "events: %s", strerror(-err));
	return 1;
}

struct list {
	uint32_t ids[64];
	int n;
};

static int list_one(const struct tapxfer_info *info, void *data)
{
	struct list *l = data;

	if (l->n < 64)
		l->ids[l->n++] = tapxfer_info_u64(info, TAPXFER_A_HANDOVER_ID);
	return 0;
}

static int count_one(const struct tapxfer_info *info, void *data)
{
	++*(int *)data;
	return 0;
}

/* The device, as one of its files tells it, or not while it is fenced */
static int ask_file(struct race *r, struct xfer *x, uint64_t *rnd)
{
	const struct tap *tap = &r->taps[race_rnd(rnd, RACE_DEVS)];
	struct tapxfer_info *info;
	int err;

	err = tapxfer_dev_get(x->tx, tap->ifindex,
			      tap->fds[race_rnd(rnd, tap->n)], &info);
	tapxfer_info_free(info);
	return err;
}

int race_lister(void *arg)
{
	struct race *r = arg;
	uint64_t rnd = race_seed(r, 8, 0);
	struct link_stats stats;
	int err, i, devs;
	struct xfer x;

	err = xfer_open(&x);
	while (!err && !race_get(&r->stop_handovers)) {
		struct list l = {};

		devs = 0;
		err = tapxfer_handover_list(x.tx, list_one, &l);
		for (i = 0; (!err || err == -ENOENT) && i < l.n; i++) {
			x.id = l.ids[i];
			err = xfer_get(&x);
		}
		x.id = 0;
		if (!err || err == -ENOENT)
			err = tapxfer_dev_list(x.tx, count_one, &devs);
		if (!err)
			err = ask_file(r, &x, &rnd);
		link_stats("lo", &stats);
		/* It changed too fast, or a file is in a handover. */
		if (err == -EAGAIN || err == -EBUSY)
			err = 0;
		race_add(&r->dumps, 1);
		usleep(race_rnd(&rnd, 10000));
	}
	if (err)
		race_fail(r, "dumps: %s (%s)", strerror(-err), xfer_why(&x));
	xfer_close(&x);
	return 0;
}
