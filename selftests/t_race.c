// SPDX-License-Identifier: GPL-2.0
/*
 * Everything at once: several processes race for the handovers of the same
 * devices, die in the middle and are replaced, while packets run in both
 * directions, vhost-net comes and goes, links change, and others look on. Each
 * packet is accounted for, and nothing is left.
 *
 *	RACE_N		handovers to begin
 *	RACE_SEED	what everybody does, though not when
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kselftest_harness.h>

#include "net.h"
#include "race.h"
#include "util.h"

/* In which something has to happen, on any machine, or nothing ever will */
#define STALL_MS	scaled_ms(60000)

enum {
	P_HOST,
	P_GUEST,
	P_LINKS,
	P_ROUGH,
	P_WATCHER,
	P_LISTER,
	P_MAX,
};

static int (* const mains[])(void *arg) = {
	[P_HOST]	= race_host,
	[P_GUEST]	= race_guest,
	[P_LINKS]	= race_links,
	[P_ROUGH]	= race_rough,
	[P_WATCHER]	= race_watcher,
	[P_LISTER]	= race_lister,
};

/* What has to move on, and when it did last */
struct pulse {
	uint64_t value;
	int64_t at;
};

FIXTURE(race) {
	struct race *r;
	uint32_t goal;
	uint64_t rnd;
	pid_t pids[P_MAX];
	struct pulse pulses[2 * RACE_DEVS + 1];
	uint32_t kills;
	struct xfer x;
};

static uint64_t number_from_env(const char *name, uint64_t def)
{
	const char *s = getenv(name);

	return s && *s ? strtoull(s, NULL, 0) : def;
}

static pid_t start_worker(struct race *r)
{
	struct race_life life = { .r = r, .nr = race_add(&r->lives, 1) };

	return child_start(race_worker, &life);
}

FIXTURE_SETUP(race)
{
	char name[IFNAMSIZ];
	int i;

	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, shell("modprobe vhost_net"));
	self->goal = number_from_env("RACE_N", 200);
	self->r = race_alloc(number_from_env("RACE_SEED", 1));
	ASSERT_NE(NULL, self->r);
	self->rnd = race_seed(self->r, 0, 0);
	for (i = 0; i < RACE_DEVS; i++) {
		snprintf(name, sizeof(name), "tap%d", i);
		ASSERT_EQ(0, tap_open(&self->r->taps[i], name,
				      race_specs[i].queues, TAP_VM));
		if (race_specs[i].ways[0] != RACE_READ)
			ASSERT_EQ(0, tap_set_nonblock(&self->r->taps[i], true));
	}
	ASSERT_EQ(0, xfer_open(&self->x));

	for (i = 0; i < P_MAX; i++) {
		self->pids[i] = child_start(mains[i], self->r);
		ASSERT_LT(0, self->pids[i]);
		/* What the guest sends before would be lost. */
		if (i == P_HOST)
			ASSERT_TRUE(wait_until(race_get(&self->r->catching),
					       SOON_MS));
	}
	/* No event is missed, and no backend comes too late to get in. */
	ASSERT_TRUE(wait_until(race_get(&self->r->watching) &&
			       race_get(&self->r->guest_runs), SOON_MS));
	for (i = 0; i < RACE_WORKERS; i++) {
		race_set(&self->r->workers[i], start_worker(self->r));
		ASSERT_LT(0, self->r->workers[i]);
	}
}

FIXTURE_TEARDOWN(race)
{
	int i;

	for (i = 0; i < RACE_WORKERS; i++)
		child_kill(self->r->workers[i]);
	for (i = 0; i < P_MAX; i++)
		child_kill(self->pids[i]);
	for (i = 0; i < RACE_DEVS; i++)
		tap_close(&self->r->taps[i]);
	xfer_close(&self->x);
}

/* Whether all that has to move on does; says what does not. */
static bool beats(struct race *r, struct pulse *pulses)
{
	int64_t now = now_ms();
	uint64_t value;
	int i;

	for (i = 0; i <= 2 * RACE_DEVS; i++) {
		if (i == 2 * RACE_DEVS)
			value = race_get(&r->begun);
		else if (i % 2)
			value = race_caught(r, i / 2);
		else
			value = race_received(r, i / 2);
		if (value != pulses[i].value || !pulses[i].at) {
			pulses[i] = (struct pulse){ value, now };
			continue;
		}
		if (now - pulses[i].at < STALL_MS)
			continue;
		if (i == 2 * RACE_DEVS)
			race_fail(r, "no handover begins any more");
		else
			race_fail(r, "device %d: nothing comes %s the guest any more, %lu are on their way",
				  i / 2, i % 2 ? "from" : "to",
				  i % 2 ? race_sent(r, i / 2) -
					  race_caught(r, i / 2) :
					  race_in_flight(r, i / 2));
		return false;
	}
	return true;
}

static void kill_one(struct race *r, uint64_t *rnd)
{
	int i = race_rnd(rnd, RACE_WORKERS);

	child_kill(r->workers[i]);
	race_set(&r->workers[i], start_worker(r));
}

static int count_one(const struct tapxfer_info *info, void *data)
{
	++*(int *)data;
	return 0;
}

static int count_handovers(struct xfer *x)
{
	int n = 0, err = tapxfer_handover_list(x->tx, count_one, &n);

	return err ?: n;
}

#define SUM(member) ({ \
	uint64_t sum_ = 0; \
	int i_; \
	for (i_ = 0; i_ < RACE_DEVS; i_++) \
		sum_ += r->member; \
	sum_; \
})

static void tell(const struct race *r, uint32_t kills)
{
	const struct race_heard *h = &r->heard;
	const struct race_toll *t = &r->toll;
	int cmd, e, dev;

	printf("# race: %lu handovers begun, %lu thawed, %lu aborted, %lu expired, %lu with the device gone; %lu claims ended by an exit\n",
	       h->events[TAPXFER_EVENT_PREPARED],
	       h->events[TAPXFER_EVENT_THAWED],
	       h->events[TAPXFER_EVENT_ABORTED],
	       h->events[TAPXFER_EVENT_EXPIRED],
	       h->events[TAPXFER_EVENT_GONE], h->deaths);
	printf("# race: %lu held, %lu frozen, %lu claimed, %lu ready, %lu violated; %u workers killed; %lu held packets, %lu dropped meanwhile; events lost %lu times\n",
	       h->events[TAPXFER_EVENT_HOLDING],
	       h->events[TAPXFER_EVENT_FROZEN],
	       h->events[TAPXFER_EVENT_CLAIMED],
	       h->events[TAPXFER_EVENT_READY],
	       h->events[TAPXFER_EVENT_VIOLATED], kills, h->held, h->dropped,
	       h->lost);
	for (cmd = 0; cmd < RACE_CMDS; cmd++) {
		printf("# race: %s: %lu done", race_cmd_name(cmd),
		       r->done[cmd]);
		for (e = 1; e < RACE_ERRNOS; e++)
			if (r->refused[cmd][e])
				printf(", %lu %s", r->refused[cmd][e],
				       strerrorname_np(e));
		printf("\n");
	}
	for (dev = 0; dev < RACE_DEVS; dev++)
		printf("# race: device %d: to the guest %lu offered, %lu delivered, %lu dropped; from it %lu sent, %lu delivered (%lu foreign, %lu overrun)\n",
		       dev, r->down[dev].offered, race_received(r, dev),
		       r->down[dev].dropped, race_sent(r, dev),
		       race_caught(r, dev), r->up[dev].t.foreign,
		       r->up[dev].overrun);
	printf("# race: rough: %lu devices, %lu handovers; %lu packets offered, %lu delivered, %lu dropped, %lu purged, %lu refused; %lu written\n",
	       t->made, t->begun, t->offered, t->delivered, t->dropped,
	       t->purged, t->refused, t->wrote);
	printf("# race: %lu changes to links, %lu refused; %lu dumps; vhost backend stopped %lu times, not let in %lu times\n",
	       r->links_changed, r->links_refused, r->dumps, r->backend_stops,
	       r->backend_waits);
	fflush(stdout);
}

/* Each number that was offered has come, or the driver has dropped it. */
static uint64_t unaccounted(const struct race *r, int dev)
{
	const struct race_down *d = &r->down[dev];
	uint64_t seq, n = 0;

	for (seq = 0; seq < d->offered; seq++)
		n += !d->t[0].seen[seq] == !d->fates[seq];
	return n;
}

/* Which numbers are missing, a few of them */
static void tell_missing(const struct race *r, int dev)
{
	uint32_t queues = race_specs[dev].queues, told = 0, q;
	const struct race_up *up = &r->up[dev];
	uint64_t n;

	for (n = 0; n < r->down[dev].offered && told < 20; n++) {
		if (r->down[dev].t[0].seen[n] || r->down[dev].fates[n])
			continue;
		printf("# race: device %d: to the guest %lu is missing\n", dev, n);
		told++;
	}
	for (q = 0; q < queues; q++) {
		for (n = 0; n < up->sent[q] && told < 20; n++) {
			if (up->t.seen[n * queues + q])
				continue;
			printf("# race: device %d: from queue %u %lu of %lu is missing\n",
			       dev, q, n, up->sent[q]);
			told++;
		}
	}
}

#define OFTEN	50

/* How often a command was asked for, whatever came of it */
static uint64_t tried(const struct race *r, int cmd)
{
	uint64_t n = r->done[cmd];
	int err;

	for (err = 0; err < RACE_ERRNOS; err++)
		n += r->refused[cmd][err];
	return n;
}

/* All at once; two minutes are what the long run's workers may take to end. */
TEST_F_TIMEOUT(race, accounts_for_every_packet, 24 * 3600)
{
	struct race *r = self->r;
	struct link_stats stats;
	char name[IFNAMSIZ];
	uint64_t next = 0;
	int i, q;

	printf("# race: %u handovers, RACE_SEED=%lu\n", self->goal, r->seed);
	/* and on until a claimant was hit, as is likely within the first few */
	while ((race_get(&r->begun) < self->goal ||
		(!race_get(&r->heard.deaths) &&
		 race_get(&r->begun) < 10 * self->goal)) &&
	       !race_get(&r->failed) && beats(r, self->pulses)) {
		usleep(race_rnd(&self->rnd, 20000));
		if (race_get(&r->begun) < next)
			continue;
		kill_one(r, &self->rnd);
		self->kills++;
		next = race_get(&r->begun) + race_rnd(&self->rnd, 12);
	}

	/* Who races ends by itself; what it leaves the deadlines end. */
	race_set(&r->stop_handovers, true);
	for (i = 0; i < RACE_WORKERS; i++) {
		EXPECT_EQ(0, child_wait(r->workers[i], STALL_MS));
		r->workers[i] = 0;
	}
	for (i = P_LINKS; i <= P_LISTER; i++) {
		if (i == P_WATCHER)
			continue;
		EXPECT_EQ(0, child_wait(self->pids[i], STALL_MS));
		self->pids[i] = 0;
	}
	EXPECT_TRUE(wait_until(count_handovers(&self->x) == 0, STALL_MS));

	/* What is on its way arrives. */
	race_set(&r->stop_traffic, true);
	for (i = 0; i < RACE_DEVS; i++) {
		EXPECT_TRUE(wait_until(!race_in_flight(r, i), SOON_MS));
		EXPECT_TRUE(wait_until(race_sent(r, i) == race_caught(r, i),
				       SOON_MS));
	}
	EXPECT_TRUE(wait_until(!race_get(&r->heard.live), SOON_MS));
	tell(r, self->kills);
	for (i = 0; i < RACE_DEVS; i++)
		tell_missing(r, i);
	if (r->failed)
		TH_LOG("%s", r->why);
	ASSERT_FALSE(r->failed);

	for (i = 0; i < RACE_DEVS; i++) {
		EXPECT_EQ(r->down[i].offered,
			  race_received(r, i) + r->down[i].dropped);
		EXPECT_EQ(0, unaccounted(r, i));
		for (q = 0; q < race_specs[i].queues; q++) {
			EXPECT_EQ(0, r->down[i].t[q].dup);
			EXPECT_EQ(0, r->down[i].t[q].reordered);
			EXPECT_EQ(0, r->down[i].t[q].foreign);
			EXPECT_EQ(r->up[i].sent[q], r->up[i].seen[q]);
		}
		EXPECT_EQ(race_sent(r, i), r->up[i].t.got);
		EXPECT_EQ(0, r->up[i].t.dup);
		EXPECT_EQ(0, r->up[i].t.reordered);
		EXPECT_EQ(0, r->up[i].t.foreign);
		EXPECT_EQ(0, r->up[i].overrun);
		/* The driver counts what it says. */
		ASSERT_NE(NULL, if_indextoname(r->taps[i].ifindex, name));
		ASSERT_EQ(0, link_stats(name, &stats));
		/* But none counts what the stack refuses at a new tx queue length. */
		if (race_specs[i].txqlen) {
			EXPECT_GE(r->down[i].dropped, stats.tx_dropped);
		} else {
			EXPECT_EQ(r->down[i].dropped, stats.tx_dropped);
		}
		if (!race_specs[i].small_holds)
			EXPECT_EQ(0, stats.tx_dropped);
	}
	/* A race in which nobody wins, or nobody loses, shows nothing. */
	EXPECT_EQ(0, r->heard.lost);
	EXPECT_LT(0, r->heard.events[TAPXFER_EVENT_THAWED]);
	EXPECT_LT(0, r->heard.events[TAPXFER_EVENT_ABORTED]);
	EXPECT_LT(0, r->heard.events[TAPXFER_EVENT_EXPIRED]);
	EXPECT_LT(0, r->heard.deaths);
	EXPECT_LT(0, r->heard.held);
	EXPECT_LT(0, r->toll.begun);
	/* What is seldom asked for, in a short race, may always come too late. */
	for (i = 0; i < RACE_CMDS; i++)
		EXPECT_TRUE(r->done[i] + r->refused[i][EBUSY] ||
			    (tried(r, i) && tried(r, i) < OFTEN))
			TH_LOG("command %d was never done", i);

	/* Nothing is left. */
	child_kill(self->pids[P_GUEST]);
	child_kill(self->pids[P_HOST]);
	self->pids[P_GUEST] = self->pids[P_HOST] = 0;
	for (i = 0; i < RACE_DEVS; i++) {
		ASSERT_NE(NULL, if_indextoname(r->taps[i].ifindex, name));
		EXPECT_EQ(0, link_delete(name));
	}
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
}

TEST_HARNESS_MAIN
