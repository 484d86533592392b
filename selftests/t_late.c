// SPDX-License-Identifier: GPL-2.0
/*
 * What comes late: a claim or a ready waits for the kernel's lock for network
 * devices while the handover, or the claim, ends; a queue is detached by a call that
 * is older than the handover.
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
	struct stall old_stall;
	struct waiter old;	/* a call that came before the handover */
	struct waiter late;	/* a command that waits for the lock */
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
	stall_close(&self->old_stall);
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

/* One ioctl keeps the lock. */
#define KEEP_LOCK() do { \
	self->holder.op = WAITER_IOCTL; \
	self->holder.fd = self->other.fds[0]; \
	self->holder.request = TUNSETSNDBUF; \
	self->holder.buf = self->stall.page; \
	ASSERT_EQ(0, waiter_go(&self->holder)); \
	ASSERT_TRUE(stall_wait(&self->stall, SOON_MS)); \
} while (0)

#define LET_GO_OF_LOCK() do { \
	int sndbuf_ = 1 << 20; \
	ASSERT_EQ(0, stall_release(&self->stall, &sndbuf_, sizeof(sndbuf_))); \
	ASSERT_TRUE(waiter_wait(&self->holder, SOON_MS)); \
} while (0)

/* A command waits for it. */
#define COME_LATE(command) do { \
	KEEP_LOCK(); \
	self->other_x.id = self->x.id; \
	self->other_x.token = self->x.token; \
	self->late.op = WAITER_CALL; \
	self->late.fn = command; \
	self->late.arg = &self->other_x; \
	ASSERT_EQ(0, waiter_go(&self->late)); \
	ASSERT_TRUE(wait_until(process_state(self->late.tid) == 'D', \
			       SOON_MS)); \
} while (0)

/* Claimed, something is recorded, and ready waits. */
#define LATE_READY() do { \
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, 0, \
				0)); \
	ASSERT_EQ(0, sender_send(&self->s, HELD)); \
	ASSERT_EQ(0, TARGET(agent_claim, 0, 0)); \
	ASSERT_EQ(0, TARGET(detach_last, 0, 0)); \
	ASSERT_EQ(0, TARGET(agent_set_int, TUNSETVNETHDRSZ, 20)); \
	COME_LATE(do_ready); \
} while (0)

#define LET_IT_GO_ON() do { \
	LET_GO_OF_LOCK(); \
	ASSERT_TRUE(waiter_wait(&self->late, SOON_MS)); \
} while (0)

/* The source runs: whoever comes now must leave its device alone. */
TEST_F(late, changes_nothing_after_an_abort)
{
	int old = hdr_of(&self->tap);

	LATE_READY();
	ASSERT_EQ(0, xfer_abort(&self->x));
	LET_IT_GO_ON();
	EXPECT_EQ(-ECANCELED, self->late.ret);
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
	EXPECT_EQ(-ECANCELED, self->late.ret);
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
	EXPECT_EQ(0, self->late.ret);
	EXPECT_EQ(TAPXFER_STATE_READY, xfer_state(&self->x));
	ASSERT_EQ(0, xfer_thaw(&self->x));
	EXPECT_EQ(20, hdr_of(&self->tap));
	EXPECT_EQ(0, tap_detach(self->tap.fds[QUEUES - 1], false));
	self->tap.hdr = 20;
	EXPECT_EQ(HELD, tap_read_all(&self->tap, &self->t));
	EXPECT_EQ(0, tally_lost(&self->t, HELD));
}

static long do_claim(void *arg)
{
	struct tap claimed = {};
	int err = xfer_claim(arg, &claimed);

	tap_close(&claimed);
	return err;
}

/* Its descriptors have been made by then, and the driver is being asked. */
TEST_F(late, claim_gets_nothing_after_an_abort)
{
	int fds = count_fds();

	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, 0,
				0));
	ASSERT_EQ(0, sender_send(&self->s, HELD));
	COME_LATE(do_claim);
	EXPECT_EQ(fds + QUEUES, count_fds());
	ASSERT_EQ(0, xfer_abort(&self->x));
	LET_IT_GO_ON();
	EXPECT_EQ(-ECANCELED, self->late.ret);
	EXPECT_STREQ("the handover ended meanwhile: abort, deadline, or device deleted",
		     xfer_why(&self->other_x));
	EXPECT_EQ(fds, count_fds());
	EXPECT_FALSE(xfer_is_live(&self->x));
	EXPECT_EQ(HELD, tap_read_all(&self->tap, &self->t));
	EXPECT_EQ(0, tally_lost(&self->t, HELD));
}

/* -- a detach that began before the prepare ---------------------------------- */

#define ROUNDS	8

static long do_freeze(void *arg)
{
	return xfer_freeze(arg);
}

/* Freeze, and the detach, wait for the lock, one behind the other. */
#define FREEZE_AND_DETACH() do { \
	struct ifreq ifr_ = { .ifr_flags = IFF_DETACH_QUEUE }; \
	ASSERT_EQ(0, stall_open(&self->old_stall)); \
	self->old.op = WAITER_IOCTL; \
	self->old.fd = self->tap.fds[QUEUES - 1]; \
	self->old.request = TUNSETQUEUE; \
	self->old.buf = self->old_stall.page; \
	ASSERT_EQ(0, waiter_go(&self->old)); \
	ASSERT_TRUE(stall_wait(&self->old_stall, SOON_MS)); \
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_HOLDING, 0, \
				0)); \
	COME_LATE(do_freeze); \
	ASSERT_EQ(0, stall_release(&self->old_stall, &ifr_, sizeof(ifr_))); \
	ASSERT_TRUE(wait_until(process_state(self->old.tid) == 'D', SOON_MS)); \
	LET_GO_OF_LOCK(); \
	ASSERT_TRUE(waiter_wait(&self->late, SOON_MS)); \
	ASSERT_TRUE(waiter_wait(&self->old, SOON_MS)); \
	ASSERT_EQ(0, self->old.ret); \
} while (0)

/*
 * Who gets the lock first is the kernel's affair, hence the rounds. Each time the
 * state that was exported is true, or is named as one that is not any more. Where
 * none was detached when the rings were parked, freeze looks twice by itself.
 */
TEST_F(late, is_not_exported_as_attached)
{
	int i, fd = self->tap.fds[QUEUES - 1];

	for (i = 0; i < ROUNDS; i++) {
		if (i) {
			stall_close(&self->stall);
			ASSERT_EQ(0, stall_open(&self->stall));
		}
		ASSERT_EQ(0, i % 2 ? tap_detach(self->tap.fds[0], true) : 0);
		FREEZE_AND_DETACH();
		if (self->late.ret == -EAGAIN) {
			EXPECT_STREQ("a queue was attached or detached meanwhile, freeze again",
				     xfer_why(&self->other_x));
			EXPECT_EQ(TAPXFER_STATE_HOLDING, xfer_state(&self->x));
			ASSERT_EQ(0, xfer_freeze(&self->x));
		} else {
			ASSERT_EQ(0, self->late.ret);
		}
		ASSERT_EQ(1, tap_is_detached(fd));
		ASSERT_EQ(0, xfer_get(&self->x));
		if (!(xfer_u64(&self->x, TAPXFER_A_HANDOVER_VIOLATED) &
		      TAPXFER_VIOLATION_SETTINGS))
			EXPECT_EQ(1, xfer_queue_u64(&self->x, QUEUES - 1,
						    TAPXFER_A_QUEUE_DETACHED));
		ASSERT_EQ(0, xfer_abort(&self->x));
		ASSERT_EQ(0, tap_detach(fd, false));
		ASSERT_EQ(0, i % 2 ? tap_detach(self->tap.fds[0], false) : 0);
		stall_close(&self->old_stall);
	}
}

TEST_HARNESS_MAIN
