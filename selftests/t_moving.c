// SPDX-License-Identifier: GPL-2.0
/*
 * A handover ends while its queues are being attached or detached: they are where
 * they were, or where they were left, and what they hold is there.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <kselftest_harness.h>

#include "agent.h"
#include "flow.h"
#include "genl.h"
#include "net.h"
#include "tap.h"
#include "util.h"
#include "waiter.h"
#include "xfer.h"

#define QUEUES	128	/* so many take some time */
#define HELD	(2 * TAP_RING)
#define TRIES	20

FIXTURE(moving) {
	struct tap tap;
	struct xfer x;
	struct xfer second;	/* somebody else's, of the same handover */
	struct sender s;
	struct tally t;
	struct agent target;
};

FIXTURE_SETUP(moving)
{
	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", QUEUES, TAP_VM));
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, true));
	ASSERT_EQ(0, agent_start(&self->target));
	ASSERT_EQ(0, xfer_open(&self->x));
	ASSERT_EQ(0, xfer_open(&self->second));
	ASSERT_EQ(0, sender_open(&self->s, self->tap.ifindex, 4 * QUEUES));
	ASSERT_EQ(0, tally_init(&self->t, 1 << 16));
}

FIXTURE_TEARDOWN(moving)
{
	agent_kill(&self->target);
	self->second.id = 0;
	xfer_close(&self->second);
	xfer_close(&self->x);
	link_delete("tap0");
	tap_close(&self->tap);
	sender_close(&self->s);
	tally_free(&self->t);
}

static long do_abort(void *arg)
{
	return xfer_abort(arg);
}

static long do_thaw(void *arg)
{
	return xfer_thaw_shared(arg);
}

#define BEGIN(deadline) do { \
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, 0, \
				deadline)); \
	self->second.id = self->x.id; \
	self->second.token = self->x.token; \
} while (0)

#define FREEZE(deadline) do { \
	BEGIN(deadline); \
	ASSERT_EQ(0, sender_send(&self->s, HELD)); \
} while (0)

/* All but the last one */
#define DETACH(fds, on) do { \
	int q_; \
	for (q_ = 0; q_ < QUEUES - 1; q_++) \
		ASSERT_EQ(0, tap_detach((fds)[q_], on)); \
} while (0)

/* To a target that is ready and has detached all but one: an abort has to do. */
#define READY() do { \
	FREEZE(0); \
	ASSERT_EQ(0, agent_call(&self->target, &self->x, agent_claim, 0, 0)); \
	ASSERT_EQ(0, agent_call(&self->target, &self->x, agent_ready, \
				TAPXFER_THAW_SHARED, 0)); \
	DETACH(self->tap.fds, true); \
} while (0)

/* A claim in this process, whose thaw has to do as much. */
#define CLAIM(claimed) do { \
	ASSERT_EQ(0, xfer_claim(&self->x, claimed)); \
	DETACH((claimed)->fds, true); \
} while (0)

#define EXPECT_ALL() do { \
	EXPECT_EQ(HELD, tap_read_all(&self->tap, &self->t)); \
	EXPECT_EQ(0, tally_lost(&self->t, self->s.seq)); \
	EXPECT_EQ(0, self->t.dup + self->t.reordered); \
} while (0)

#define EXPECT_ATTACHED() do { \
	int q_; \
	for (q_ = 0; q_ < QUEUES; q_++) \
		EXPECT_EQ(0, tap_is_detached(self->tap.fds[q_])); \
} while (0)

/*
 * One abort puts queues back, and another one ends it in the middle: those that
 * are where they were stay there, with what they hold.
 */
TEST_F(moving, an_abort_that_another_one_ends_keeps_what_is_held)
{
	struct waiter first = {
		.op = WAITER_CALL, .fn = do_abort, .arg = &self->x,
	};
	bool raced = false;
	int tries, err;

	for (tries = 0; !raced && tries < TRIES; tries++) {
		READY();
		ASSERT_EQ(0, waiter_go(&first));
		ASSERT_TRUE(wait_until(!tap_is_detached(self->tap.fds[0]),
				       SOON_MS));
		err = xfer_abort(&self->second);
		ASSERT_TRUE(waiter_wait(&first, SOON_MS));
		EXPECT_EQ(0, first.ret);
		EXPECT_ALL();
		/* it stops the first one, and either ends it then */
		ASSERT_TRUE(!err || err == -ENOENT);
		raced = tap_is_detached(self->tap.fds[QUEUES - 2]) == 1;
		ASSERT_EQ(0, agent_call(&self->target, NULL, agent_close, 0, 0));
	}
	ASSERT_TRUE(raced);
	EXPECT_EQ(TAPXFER_VIOLATION_SETTINGS,
		  xfer_u64(&self->x, TAPXFER_A_HANDOVER_VIOLATED));
	EXPECT_EQ(0, tap_is_detached(self->tap.fds[0]));
}

/* It waits for the first one, but not for who keeps the lock that it needs. */
TEST_F(moving, an_abort_waits_no_longer_than_a_second)
{
	struct waiter holder = { .op = WAITER_IOCTL, .request = TUNSETSNDBUF };
	struct waiter first = {
		.op = WAITER_CALL, .fn = do_abort, .arg = &self->x,
	};
	struct waiter next = {
		.op = WAITER_CALL, .fn = do_abort, .arg = &self->second,
	};
	int sndbuf = 1 << 20;
	struct stall stall;
	struct xfer asker;
	struct tap other;

	ASSERT_EQ(0, xfer_open(&asker));
	ASSERT_EQ(0, tap_open(&other, "tap1", 1, TAP_VM));
	ASSERT_EQ(0, stall_open(&stall));
	READY();
	asker.id = self->x.id;
	holder.fd = other.fds[0];
	holder.buf = stall.page;
	ASSERT_EQ(0, waiter_go(&first));
	ASSERT_TRUE(wait_until(!tap_is_detached(self->tap.fds[0]), SOON_MS));
	ASSERT_EQ(0, waiter_go(&holder));
	ASSERT_TRUE(stall_wait(&stall, SOON_MS));
	ASSERT_EQ(0, waiter_go(&next));
	/* before anybody lets go of it, and long before the deadline */
	EXPECT_TRUE(wait_until(!xfer_is_live(&asker), SOON_MS));
	EXPECT_ALL();

	ASSERT_EQ(0, stall_release(&stall, &sndbuf, sizeof(sndbuf)));
	ASSERT_TRUE(waiter_wait(&holder, SOON_MS));
	ASSERT_TRUE(waiter_wait(&first, SOON_MS));
	ASSERT_TRUE(waiter_wait(&next, SOON_MS));
	EXPECT_TRUE(!first.ret || !next.ret);
	asker.id = 0;
	xfer_close(&asker);
	stall_close(&stall);
	tap_close(&other);
}

/*
 * A thaw detaches queues, and an abort ends it in the middle: they are where they
 * were, and the driver has purged none of what they held.
 */
TEST_F_TIMEOUT(moving, a_thaw_that_an_abort_ends_keeps_what_is_held, 120)
{
	struct waiter thaw = {
		.op = WAITER_CALL, .fn = do_thaw, .arg = &self->x,
	};
	int tries, err = 0, ended = 0;
	struct tap claimed = {};

	/* Each a little later than the last, or until one is too late. */
	for (tries = 0; !err && tries < TRIES; tries++) {
		FREEZE(0);
		CLAIM(&claimed);
		ASSERT_EQ(0, waiter_go(&thaw));
		usleep(15000 * tries);
		err = xfer_abort(&self->second);
		ASSERT_TRUE(waiter_wait(&thaw, SOON_MS));
		if (err) {
			EXPECT_EQ(-ENOENT, err);
			EXPECT_EQ(0, thaw.ret);
		} else {
			if (thaw.ret == -ECANCELED &&
			    (strstr(xfer_why(&self->x), "about to end") ||
			     strstr(xfer_why(&self->x), "ended meanwhile")))
				ended++;
			EXPECT_EQ(0, xfer_u64(&self->second,
					      TAPXFER_A_HANDOVER_VIOLATED));
			EXPECT_ATTACHED();
		}
		EXPECT_ALL();
		tap_close(&claimed);
	}
	EXPECT_LT(0, ended);
}

/* The same by the deadline, when that comes while it is under way. */
TEST_F_TIMEOUT(moving, a_thaw_that_the_deadline_ends_keeps_what_is_held, 120)
{
	struct waiter thaw = {
		.op = WAITER_CALL, .fn = do_thaw, .arg = &self->x,
	};
	int tries, left, ended = 0;
	struct tap claimed = {};

	for (tries = 0; !ended && tries < TRIES; tries++) {
		FREEZE(scaled_ms(2000));
		CLAIM(&claimed);
		ASSERT_EQ(0, xfer_get(&self->x));
		left = xfer_u64(&self->x, TAPXFER_A_HANDOVER_REMAINING);
		if (left > 30)
			usleep((left - 30) * 1000);
		ASSERT_EQ(0, waiter_go(&thaw));
		ASSERT_TRUE(waiter_wait(&thaw, SOON_MS));
		if (thaw.ret) {
			EXPECT_TRUE(thaw.ret == -ECANCELED ||
				    thaw.ret == -ENOENT);
			ended += thaw.ret == -ECANCELED;
			/* the deadline waits until the thaw has given up */
			ASSERT_TRUE(wait_until(!xfer_is_live(&self->second),
					       SOON_MS));
			EXPECT_ATTACHED();
		}
		EXPECT_ALL();
		if (!thaw.ret)
			DETACH(self->tap.fds, false);
		self->x.id = 0;
		tap_close(&claimed);
	}
	EXPECT_LT(0, ended);
}

/* Somebody whose memory goes away under what he asks for */
struct staller {
	struct genl g;
	struct xfer *x;
	struct stall stall;
	struct waiter thaw;
};

static long do_thaw_stalling(void *arg)
{
	struct staller *s = arg;

	genl_go_on(&s->g, TAPXFER_CMD_THAW, s->x->id, &s->x->token);
	mnl_attr_put(s->g.req, TAPXFER_A_HANDOVER_SHARED, 0, NULL);
	mnl_attr_put_u64(s->g.req, TAPXFER_A_HANDOVER_SCRATCH,
			 (uintptr_t)s->stall.page);
	return genl_talk(&s->g);
}

/* Let it go on; what it was about to read there is an attached queue's. */
static int stall_ends(struct staller *s)
{
	struct ifreq ifr = { .ifr_flags = IFF_ATTACH_QUEUE };

	return stall_release(&s->stall, &ifr, sizeof(ifr));
}

/* The same, and stall it once more, @us later: as thaw_stalls(). */
static int thaw_stalls_again(struct staller *s, unsigned int us)
{
	int err = stall_ends(s);

	if (err)
		return err;
	usleep(us);
	if (madvise(s->stall.page, s->stall.size, MADV_DONTNEED))
		return -errno;
	return stall_wait(&s->stall, scaled_ms(1000));
}

/*
 * Begin a thaw of a claimed handover, which stalls somewhere, @us later than it
 * has begun: 1, 0 when it was done before that, or -errno.
 */
static int thaw_stalls(struct staller *s, struct xfer *x, unsigned int us)
{
	int err;

	s->x = x;
	s->thaw.op = WAITER_CALL;
	s->thaw.fn = do_thaw_stalling;
	s->thaw.arg = s;
	err = stall_open(&s->stall);
	if (err)
		return err;
	/* while the request is looked at; then behind that */
	if (waiter_go(&s->thaw) || !stall_wait(&s->stall, SOON_MS))
		return -ETIMEDOUT;
	return thaw_stalls_again(s, us);
}

static bool thaw_goes_on(struct staller *s)
{
	bool done;

	stall_ends(s);
	done = waiter_wait(&s->thaw, SOON_MS);
	stall_close(&s->stall);
	return done;
}

#define ATTACH_ALL() do { \
	int q_; \
	for (q_ = 0; q_ < QUEUES; q_++) \
		if (tap_is_detached(self->tap.fds[q_])) \
			ASSERT_EQ(0, tap_detach(self->tap.fds[q_], false)); \
} while (0)

/*
 * A setter of the claimant's waits while the record is being applied. Who applies it
 * may stall in its own memory: the setter waits no longer than the handover lives.
 */
TEST_F_TIMEOUT(moving, a_setter_waits_for_a_thaw_but_not_past_the_end, 120)
{
	struct waiter setter = { .op = WAITER_IOCTL, .request = TUNSETVNETLE };
	struct tap claimed = {};
	int tries, stalls, le = 1;
	struct staller s = {};
	bool met = false;

	setter.buf = &le;
	ASSERT_EQ(0, genl_open(&s.g));
	for (tries = 0; !met && tries < TRIES; tries++) {
		BEGIN(0);
		CLAIM(&claimed);
		stalls = thaw_stalls(&s, &self->x, 3000 * tries);
		ASSERT_LE(0, stalls);
		if (stalls) {
			setter.fd = claimed.fds[0];
			ASSERT_EQ(0, waiter_go(&setter));
			met = !waiter_wait(&setter, scaled_ms(200));
		}
		if (met) {
			ASSERT_TRUE(waiter_sleeps(&setter));
			ASSERT_EQ(0, xfer_abort(&self->second));
			/*
			 * Who was woken for nothing sleeps again by then. It may
			 * wait for rtnl, as any setter, if the thaw has that.
			 */
			usleep(scaled_ms(200) * 1000);
			EXPECT_TRUE(wait_until(!waiter_sleeps(&setter),
					       SOON_MS));
		}
		ASSERT_TRUE(thaw_goes_on(&s));
		EXPECT_EQ(met ? -ECANCELED : 0, s.thaw.ret)
			TH_LOG("%s", s.g.msg);
		if (met)
			ASSERT_TRUE(waiter_wait(&setter, SOON_MS));
		self->x.id = 0;
		if (!met)
			ATTACH_ALL();
		tap_close(&claimed);
	}
	ASSERT_TRUE(met);
	EXPECT_EQ(0, setter.ret);
	le = 0;
	ASSERT_EQ(0, ioctl(self->tap.fds[0], TUNGETVNETLE, &le));
	EXPECT_EQ(1, le);
	EXPECT_ATTACHED();
	genl_close(&s.g);
}

static int num_attached(const struct tap *tap)
{
	int q, n = 0;

	for (q = 0; q < tap->n; q++)
		n += !tap_is_detached(tap->fds[q]);
	return n;
}

/*
 * A thaw stalls until its handover has ended, and the device's next one is frozen,
 * or claimed by the very process: what the thaw has to put back is not its affair.
 */
static void stall_past_the_next(struct __test_metadata *_metadata,
				FIXTURE_DATA(moving) *self, bool claim)
{
	struct ifreq ifr;
	struct waiter asks = {
		.op = WAITER_IOCTL, .request = TUNGETIFF, .buf = &ifr,
	};
	struct tap claimed = {}, next = {}, other;
	int tries, n, now, attached = 0;
	bool stalls, asked, unlocked;
	struct staller s = {};

	ASSERT_EQ(0, genl_open(&s.g));
	ASSERT_EQ(0, tap_open(&other, "tap1", 1, TAP_VM));
	asks.fd = other.fds[0];
	for (tries = 0; !attached && tries < TRIES; tries++) {
		DETACH(self->tap.fds, true);
		BEGIN(0);
		ASSERT_EQ(0, xfer_claim(&self->x, &claimed));
		DETACH(claimed.fds, false);
		stalls = thaw_stalls(&s, &self->x, 2000 * (tries + 1)) == 1;
		/* not with rtnl, which nobody else would get */
		asked = unlocked = false;
		for (n = 0; stalls && !unlocked && n < 100; n++) {
			bool anew = !asked;

			if (anew)
				ASSERT_EQ(0, waiter_go(&asks));
			asked = !waiter_wait(&asks, scaled_ms(20));
			unlocked = anew && !asked;
			if (asked)
				stalls = thaw_stalls_again(&s, 50) == 1;
		}
		if (!unlocked) {
			ASSERT_TRUE(thaw_goes_on(&s));
			if (asked)
				ASSERT_TRUE(waiter_wait(&asks, SOON_MS));
		} else {
			ASSERT_EQ(0, xfer_abort(&self->second));
			ASSERT_EQ(0, xfer_begin(&self->second, &self->tap,
						TAPXFER_STATE_FROZEN, 0, 0));
			if (claim)
				ASSERT_EQ(0, xfer_claim(&self->second, &next));
			attached = num_attached(&self->tap);
			ASSERT_TRUE(thaw_goes_on(&s));
			/* or it had not got further than the request */
			EXPECT_TRUE(s.thaw.ret == -ECANCELED ||
				    (s.thaw.ret == -ENOENT && attached == 1));
			/*
			 * What was in the driver by then gets through. The
			 * claimant is told its record.
			 */
			now = num_attached(&self->tap);
			EXPECT_TRUE(now == attached ||
				    (!claim && now == attached + 1))
				TH_LOG("%d attached, now %d", attached, now);
			ASSERT_EQ(0, xfer_get(&self->second));
			if (!claim)
				EXPECT_EQ(now != attached,
					  !!xfer_u64(&self->second,
						     TAPXFER_A_HANDOVER_VIOLATED));
			ASSERT_EQ(0, xfer_abort(&self->second));
			tap_close(&next);
			/* one is, whoever stalls */
			attached--;
		}
		self->x.id = 0;
		ATTACH_ALL();
		tap_close(&claimed);
	}
	ASSERT_LT(0, attached);
	tap_close(&other);
	genl_close(&s.g);
}

TEST_F_TIMEOUT(moving, a_thaw_that_stalls_leaves_the_next_handover_alone, 120)
{
	stall_past_the_next(_metadata, self, false);
}

TEST_F_TIMEOUT(moving, a_thaw_that_stalls_leaves_the_next_claim_alone, 120)
{
	stall_past_the_next(_metadata, self, true);
}

TEST_HARNESS_MAIN
