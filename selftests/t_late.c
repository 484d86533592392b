// SPDX-License-Identifier: GPL-2.0
/*
 * Settings that come late: ready waits for the kernel's lock for network devices
 * while the handover, or the claim, ends.
 */
#include <errno.h>
#include <sys/ioctl.h>

#include <kselftest_harness.h>

#include "agent.h"
#include "flow.h"
#include "net.h"
#include "util.h"
#include "waiter.h"

#define QUEUES	2
#define HELD	100

FIXTURE(late) {
	struct tap tap;
	struct tap other;	/* of which one ioctl keeps the lock */
	struct stall stall;
	struct waiter holder;
	struct waiter ready;
	struct xfer x;
	struct xfer other_x;
	struct sender s;
	struct tally t;
	struct agent target;
};

FIXTURE_SETUP(late)
{
	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", QUEUES, TAP_VM));
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, true));
	ASSERT_EQ(0, tap_open(&self->other, "tap1", 1, TAP_VM));
	ASSERT_EQ(0, agent_start(&self->target));
	ASSERT_EQ(0, xfer_open(&self->x));
	ASSERT_EQ(0, xfer_open(&self->other_x));
	ASSERT_EQ(0, sender_open(&self->s, self->tap.ifindex, 16));
	ASSERT_EQ(0, tally_init(&self->t, 1 << 16));
	ASSERT_EQ(0, stall_open(&self->stall));
}

FIXTURE_TEARDOWN(late)
{
	agent_kill(&self->target);
	xfer_close(&self->x);
	xfer_close(&self->other_x);
	stall_close(&self->stall);
	link_delete("tap0");
	tap_close(&self->tap);
	tap_close(&self->other);
	sender_close(&self->s);
	tally_free(&self->t);
}

#define TARGET(fn, a, b) agent_call(&self->target, &self->x, fn, a, b)

static long do_ready(void *arg)
{
	return xfer_ready(arg, TAPXFER_THAW_SHARED);
}

static long detach_last(struct agent_self *self, long unused, long unused2)
{
	return tap_detach(self->tap.fds[self->tap.n - 1], true);
}

static int hdr_of(const struct tap *tap)
{
	int hdr = -1;

	return ioctl(tap->fds[0], TUNGETVNETHDRSZ, &hdr) ? -errno : hdr;
}

/* Claimed, something is recorded, and ready waits. */
#define LATE_READY() do { \
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, 0, \
				0)); \
	ASSERT_EQ(0, sender_send(&self->s, HELD)); \
	ASSERT_EQ(0, TARGET(agent_claim, 0, 0)); \
	ASSERT_EQ(0, TARGET(detach_last, 0, 0)); \
	ASSERT_EQ(0, TARGET(agent_set_int, TUNSETVNETHDRSZ, 20)); \
	self->holder.op = WAITER_IOCTL; \
	self->holder.fd = self->other.fds[0]; \
	self->holder.request = TUNSETSNDBUF; \
	self->holder.buf = self->stall.page; \
	ASSERT_EQ(0, waiter_go(&self->holder)); \
	ASSERT_TRUE(stall_wait(&self->stall, SOON_MS)); \
	self->other_x.id = self->x.id; \
	self->other_x.token = self->x.token; \
	self->ready.op = WAITER_CALL; \
	self->ready.fn = do_ready; \
	self->ready.arg = &self->other_x; \
	ASSERT_EQ(0, waiter_go(&self->ready)); \
	ASSERT_TRUE(wait_until(process_state(self->ready.tid) == 'D', \
			       SOON_MS)); \
} while (0)

#define LET_IT_GO_ON() do { \
	int sndbuf_ = 1 << 20; \
	ASSERT_EQ(0, stall_release(&self->stall, &sndbuf_, sizeof(sndbuf_))); \
	ASSERT_TRUE(waiter_wait(&self->holder, SOON_MS)); \
	ASSERT_TRUE(waiter_wait(&self->ready, SOON_MS)); \
} while (0)

/* The source runs: whoever comes now must leave its device alone. */
TEST_F(late, changes_nothing_after_an_abort)
{
	int old = hdr_of(&self->tap);

	LATE_READY();
	ASSERT_EQ(0, xfer_abort(&self->x));
	LET_IT_GO_ON();
	EXPECT_EQ(-ECANCELED, self->ready.ret);
	EXPECT_EQ(old, hdr_of(&self->tap));
	/* a queue that is attached cannot be attached */
	EXPECT_EQ(-EINVAL, tap_detach(self->tap.fds[QUEUES - 1], false));
	EXPECT_EQ(HELD, tap_read_all(&self->tap, &self->t));
	EXPECT_EQ(0, tally_lost(&self->t, HELD));
}

TEST_F(late, changes_nothing_when_the_claimant_is_gone)
{
	int old = hdr_of(&self->tap);

	LATE_READY();
	agent_kill(&self->target);
	ASSERT_TRUE(wait_until(xfer_state(&self->x) == TAPXFER_STATE_FROZEN,
			       SOON_MS));
	LET_IT_GO_ON();
	EXPECT_EQ(-ECANCELED, self->ready.ret);
	EXPECT_EQ(TAPXFER_STATE_FROZEN, xfer_state(&self->x));
	EXPECT_EQ(old, hdr_of(&self->tap));
	ASSERT_EQ(0, xfer_abort(&self->x));
	EXPECT_EQ(HELD, tap_read_all(&self->tap, &self->t));
	EXPECT_EQ(0, tally_lost(&self->t, HELD));
}

/* Only that it is late. */
TEST_F(late, does_its_work)
{
	LATE_READY();
	LET_IT_GO_ON();
	EXPECT_EQ(0, self->ready.ret);
	EXPECT_EQ(TAPXFER_STATE_READY, xfer_state(&self->x));
	ASSERT_EQ(0, xfer_thaw(&self->x));
	EXPECT_EQ(20, hdr_of(&self->tap));
	EXPECT_EQ(0, tap_detach(self->tap.fds[QUEUES - 1], false));
	self->tap.hdr = 20;
	EXPECT_EQ(HELD, tap_read_all(&self->tap, &self->t));
	EXPECT_EQ(0, tally_lost(&self->t, HELD));
}

TEST_HARNESS_MAIN
