// SPDX-License-Identifier: GPL-2.0
/*
 * Many queues, many devices, many processes.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <kselftest_harness.h>

#include "flow.h"
#include "net.h"
#include "tap.h"
#include "util.h"
#include "xfer.h"

FIXTURE(scale) {
	struct tap *taps;
	struct xfer *x;
	int n;
};

FIXTURE_SETUP(scale)
{
	struct rlimit lim = { .rlim_cur = 4096, .rlim_max = 4096 };

	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &lim));
	ASSERT_EQ(0, net_isolate());
	self->taps = calloc(64, sizeof(*self->taps));
	self->x = calloc(64, sizeof(*self->x));
	ASSERT_NE(NULL, self->taps);
	ASSERT_NE(NULL, self->x);
}

FIXTURE_TEARDOWN(scale)
{
	int i;

	for (i = 0; i < 64; i++)
		if (self->x[i].tx)
			xfer_close(&self->x[i]);
	/* not queue by queue: each would be a grace period */
	for (i = 0; i < 64; i++) {
		if (self->taps[i].n)
			link_delete(self->taps[i].name);
		tap_close(&self->taps[i]);
	}
}

TEST_F_TIMEOUT(scale, a_device_with_256_queues, 50)
{
	struct tap *tap = &self->taps[0], claimed = {};
	struct xfer *x = &self->x[0];
	struct sender s;
	struct tally t;
	uint64_t sum = 0;
	int q;

	ASSERT_EQ(0, tap_open(tap, "tap0", TAP_MAX, TAP_VM));
	ASSERT_EQ(0, tap_set_nonblock(tap, true));
	ASSERT_EQ(0, sender_open(&s, tap->ifindex, 8 * TAP_MAX));
	ASSERT_EQ(0, tally_init(&t, 1 << 18));
	ASSERT_EQ(0, xfer_open(x));
	ASSERT_EQ(0, xfer_begin(x, tap, TAPXFER_STATE_FROZEN, 1000, 0));
	ASSERT_EQ(0, sender_send(&s, 40 * TAP_MAX));
	EXPECT_EQ(0, tap_read_all(tap, &t));
	for (q = 0; q < TAP_MAX; q++)
		ASSERT_EQ(-EAGAIN, tap_write_one(tap, q, 0));
	ASSERT_EQ(0, xfer_get(x));
	for (q = 0; q < TAP_MAX; q++) {
		ASSERT_EQ(q, xfer_queue_u64(x, q, TAPXFER_A_QUEUE_INDEX));
		sum += xfer_queue_u64(x, q, TAPXFER_A_QUEUE_HELD);
	}
	EXPECT_EQ(40 * TAP_MAX, sum);

	ASSERT_EQ(0, xfer_claim(x, &claimed));
	ASSERT_EQ(TAP_MAX, claimed.n);
	claimed.hdr = tap->hdr;
	ASSERT_EQ(0, xfer_thaw(x));
	EXPECT_EQ(40 * TAP_MAX, tap_read_all(&claimed, &t));
	EXPECT_EQ(0, s.dropped);
	EXPECT_EQ(0, tally_lost(&t, s.seq));
	EXPECT_EQ(0, t.dup + t.reordered + t.foreign);
	for (q = 0; q < TAP_MAX; q++)
		ASSERT_EQ(0, tap_write_one(&claimed, q, 0));
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
	tap_close(&claimed);
	sender_close(&s);
	tally_free(&t);
}

static int count_frozen(const struct tapxfer_info *info, void *data)
{
	int *n = data;

	*n += tapxfer_info_u64(info, TAPXFER_A_HANDOVER_STATE) ==
	      TAPXFER_STATE_FROZEN;
	return 0;
}

TEST_F_TIMEOUT(scale, devices_64_frozen_at_once, 120)
{
	struct sender s[64];
	struct tally t;
	char name[16];
	int i, n = 0;

	for (i = 0; i < 64; i++) {
		snprintf(name, sizeof(name), "tap%d", i);
		ASSERT_EQ(0, tap_open(&self->taps[i], name, 2, TAP_VM));
		ASSERT_EQ(0, tap_set_nonblock(&self->taps[i], true));
		ASSERT_EQ(0, sender_open(&s[i], self->taps[i].ifindex, 16));
		ASSERT_EQ(0, xfer_open(&self->x[i]));
		ASSERT_EQ(0, xfer_begin(&self->x[i], &self->taps[i],
					TAPXFER_STATE_FROZEN, 0, 300000));
	}
	for (i = 0; i < 64; i++)
		ASSERT_EQ(0, sender_send(&s[i], 50 + i));
	ASSERT_EQ(0, tapxfer_handover_list(self->x[0].tx, count_frozen, &n));
	EXPECT_EQ(64, n);

	for (i = 0; i < 64; i++) {
		ASSERT_EQ(0, tally_init(&t, 1024));
		EXPECT_EQ(0, tap_read_all(&self->taps[i], &t));
		ASSERT_EQ(0, i % 2 ? xfer_finish(&self->x[i]) :
				     xfer_abort(&self->x[i]));
		EXPECT_EQ(50 + i, tap_read_all(&self->taps[i], &t));
		EXPECT_EQ(0, tally_lost(&t, 50 + i));
		EXPECT_EQ(0, t.dup + t.reordered);
		tally_free(&t);
		sender_close(&s[i]);
	}
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
}

/* -- at once ---------------------------------------------------------------- */

struct shared {
	struct tap *tap;
	int number;
	int won[8];
	int busy[8];
	int other[8];
};

static struct shared *shared_alloc(void)
{
	struct shared *sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return sh == MAP_FAILED ? NULL : sh;
}

/* One process, one device, one handover after the other: none is lost. */
static int busy_owner(void *arg)
{
	struct shared *sh = arg;
	struct sender s;
	struct tally t;
	struct tap tap;
	struct xfer x;
	char name[16];
	int i;

	snprintf(name, sizeof(name), "own%d", sh->number);
	if (tap_open(&tap, name, 3, TAP_VM) || tap_set_nonblock(&tap, true) ||
	    sender_open(&s, tap.ifindex, 16) || tally_init(&t, 1 << 16) ||
	    xfer_open(&x))
		return 1;
	for (i = 0; i < 10; i++) {
		if (xfer_begin(&x, &tap, TAPXFER_STATE_FROZEN, 0, 0))
			return 2;
		if (sender_send(&s, 100) || tap_read_all(&tap, &t))
			return 3;
		if (i % 3 ? xfer_finish(&x) : xfer_abort(&x))
			return 4;
		if (tap_read_all(&tap, &t) != 100)
			return 5;
	}
	if (s.dropped || tally_lost(&t, 1000) || t.dup || t.reordered)
		return 6;
	link_delete(name);
	return 0;
}

TEST_F_TIMEOUT(scale, processes_with_devices_of_their_own, 50)
{
	struct shared sh = {};
	pid_t pid[6];
	int i;

	for (i = 0; i < 6; i++) {
		sh.number = i;
		pid[i] = child_start(busy_owner, &sh);
		ASSERT_LT(0, pid[i]);
	}
	for (i = 0; i < 6; i++)
		EXPECT_EQ(0, child_wait(pid[i], scaled_ms(40000)));
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
}

/* Everybody wants the same device: one gets it, the others are told so. */
static int rival(void *arg)
{
	struct shared *sh = arg;
	int me = sh->number, i, err;
	struct xfer x;

	if (xfer_open(&x))
		return 1;
	for (i = 0; i < 30; i++) {
		err = xfer_begin(&x, sh->tap, TAPXFER_STATE_FROZEN, 0, 0);
		if (!err) {
			sh->won[me]++;
			if (xfer_abort(&x))
				return 2;
		} else if (err == -EBUSY) {
			sh->busy[me]++;
		} else {
			sh->other[me] = err;
		}
	}
	return 0;
}

TEST_F_TIMEOUT(scale, processes_that_want_the_same_device, 50)
{
	struct shared *sh = shared_alloc();
	int i, won = 0;
	pid_t pid[4];

	ASSERT_NE(NULL, sh);
	ASSERT_EQ(0, tap_open(&self->taps[0], "tap0", 4, TAP_VM));
	ASSERT_EQ(0, tap_set_nonblock(&self->taps[0], true));
	for (i = 0; i < 4; i++) {
		sh->tap = &self->taps[0];
		sh->number = i;
		pid[i] = child_start(rival, sh);
		ASSERT_LT(0, pid[i]);
		/* the child has read its number when it has tried once */
		ASSERT_TRUE(wait_until(sh->won[i] + sh->busy[i] +
				       !!sh->other[i], SOON_MS));
	}
	for (i = 0; i < 4; i++) {
		EXPECT_EQ(0, child_wait(pid[i], scaled_ms(40000)));
		EXPECT_EQ(0, sh->other[i]);
		EXPECT_EQ(30, sh->won[i] + sh->busy[i]);
		won += sh->won[i];
	}
	EXPECT_LT(0, won);
	EXPECT_EQ(0, tap_write_one(&self->taps[0], 0, 0));
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
}

/* The deadline, the abort, the claim and the thaw may all come at once. */
struct race {
	struct xfer x;
	int err[3];
};

static int racer_abort(void *arg)
{
	struct race *r = arg;
	struct xfer x;

	if (xfer_open(&x))
		return 100;
	x.id = r->x.id;
	x.token = r->x.token;
	return -xfer_abort(&x);
}

static int racer_finish(void *arg)
{
	struct race *r = arg;
	struct xfer x;

	if (xfer_open(&x))
		return 100;
	x.id = r->x.id;
	x.token = r->x.token;
	return -xfer_finish(&x);
}

TEST_F_TIMEOUT(scale, commands_that_race_for_one_handover, 50)
{
	struct tap *tap = &self->taps[0];
	struct xfer *x = &self->x[0];
	struct race r = {};
	struct sender s;
	struct tally t;
	int turn, i;

	ASSERT_EQ(0, tap_open(tap, "tap0", 4, TAP_VM));
	ASSERT_EQ(0, tap_set_nonblock(tap, true));
	ASSERT_EQ(0, sender_open(&s, tap->ifindex, 64));
	ASSERT_EQ(0, tally_init(&t, 1 << 16));
	ASSERT_EQ(0, xfer_open(x));
	for (turn = 0; turn < 10; turn++) {
		uint32_t deadline = turn % 2 ? 0 : 20;
		int rc[4], err;
		pid_t pid[4];

		/* a deadline that races, too, and not with what comes before */
		do {
			err = xfer_begin(x, tap, TAPXFER_STATE_FROZEN, 0,
					 deadline);
			deadline *= 2;
		} while (err == -ENOENT || err == -ECANCELED);
		ASSERT_EQ(0, err);
		ASSERT_EQ(0, sender_send(&s, 200));
		r.x = *x;
		for (i = 0; i < 4; i++)
			pid[i] = child_start(i % 2 ? racer_finish : racer_abort,
					     &r);
		for (i = 0; i < 4; i++) {
			rc[i] = child_wait(pid[i], SOON_MS);
			/* done, or too late, or another is at it, or has
			 * claimed it, or has ended it meanwhile
			 */
			EXPECT_TRUE(rc[i] == 0 || rc[i] == ENOENT ||
				    rc[i] == EBUSY || rc[i] == EPROTO ||
				    rc[i] == ECANCELED)
				TH_LOG("racer %d: %d", i, rc[i]);
		}
		/* each claimant is gone, and two aborts have come */
		EXPECT_FALSE(xfer_is_live(x));
		EXPECT_EQ(200, tap_read_all(tap, &t));
	}
	EXPECT_EQ(0, s.dropped);
	EXPECT_EQ(0, tally_lost(&t, s.seq));
	EXPECT_EQ(0, t.dup + t.reordered);
	EXPECT_EQ(0, tap_write_one(tap, 0, 0));
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
	sender_close(&s);
	tally_free(&t);
}

TEST_HARNESS_MAIN
