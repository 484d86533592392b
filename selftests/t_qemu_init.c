// SPDX-License-Identifier: GPL-2.0
/*
 * A target that initialises its tap as QEMU does, between claim and thaw: it
 * comes up, and harms nobody until the thaw.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>

#include <kselftest_harness.h>

#include "flow.h"
#include "net.h"
#include "outside.h"
#include "qemu_tap.h"
#include "tap.h"
#include "util.h"
#include "xfer.h"

#define QUEUES	4
#define SNDBUF	123456

FIXTURE(qemu) {
	struct tap tap;
	struct tap claimed;
	struct xfer x;
	struct sender s;
	struct tally t;
	struct outside before;
	struct qemu_tap q;
};

FIXTURE_VARIANT(qemu) {
	int source;		/* queue pairs that the guest used */
	int target;		/* and that it uses now */
};

FIXTURE_VARIANT_ADD(qemu, all_pairs) { .source = 4, .target = 4 };
FIXTURE_VARIANT_ADD(qemu, detached_by_the_source) { .source = 2, .target = 2 };
FIXTURE_VARIANT_ADD(qemu, fewer_than_the_source) { .source = 4, .target = 1 };
FIXTURE_VARIANT_ADD(qemu, more_than_the_source) { .source = 1, .target = 3 };

FIXTURE_SETUP(qemu)
{
	int sndbuf = SNDBUF, i;

	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", QUEUES, TAP_VM));
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, true));
	ASSERT_EQ(0, ioctl(self->tap.fds[0], TUNSETSNDBUF, &sndbuf));
	for (i = variant->source; i < QUEUES; i++)
		ASSERT_EQ(0, tap_detach(self->tap.fds[i], true));
	ASSERT_EQ(0, xfer_open(&self->x));
	ASSERT_EQ(0, sender_open(&self->s, self->tap.ifindex, 32));
	ASSERT_EQ(0, tally_init(&self->t, 1 << 10));
	ASSERT_EQ(0, outside_get("tap0", self->tap.fds[0], &self->before));
	ASSERT_EQ(variant->source, self->before.queues);
	ASSERT_EQ(QUEUES - variant->source, self->before.detached);
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, 0,
				0));
	ASSERT_EQ(0, sender_send(&self->s, 100));
	ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed));
	ASSERT_EQ(QUEUES, self->claimed.n);
	self->claimed.hdr = 12;
}

FIXTURE_TEARDOWN(qemu)
{
	xfer_close(&self->x);
	link_delete("tap0");
	tap_close(&self->claimed);
	tap_close(&self->tap);
	sender_close(&self->s);
	tally_free(&self->t);
}

#define EXPECT_UNCHANGED(fd) do { \
	struct outside now_; \
	\
	ASSERT_EQ(0, outside_get("tap0", fd, &now_)); \
	EXPECT_EQ(self->before.queues, now_.queues); \
	EXPECT_EQ(self->before.detached, now_.detached); \
	EXPECT_EQ(self->before.s.hdr, now_.s.hdr); \
	EXPECT_EQ(self->before.s.le, now_.s.le); \
	EXPECT_EQ(self->before.s.sndbuf, now_.s.sndbuf); \
	EXPECT_EQ(self->before.s.csum, now_.s.csum); \
	EXPECT_EQ(self->before.s.tso, now_.s.tso); \
	EXPECT_EQ(0, memcmp(&self->before, &now_, sizeof(now_))); \
} while (0)

/* A step of it, at which it does not die, and nobody else sees a thing. */
#define EXPECT_STEP(step) do { \
	EXPECT_EQ(0, step) \
		TH_LOG("died after %d calls of: %s", self->q.ncalls, \
		       self->q.died); \
	EXPECT_UNCHANGED(self->tap.fds[0]); \
} while (0)

#define INITIALISE() do { \
	EXPECT_STEP(qemu_tap_init(&self->q, self->claimed.fds, QUEUES)); \
	EXPECT_STEP(qemu_tap_reset(&self->q)); \
	EXPECT_STEP(qemu_tap_start(&self->q, variant->target)); \
	ASSERT_EQ(NULL, self->q.died); \
	EXPECT_EQ(12, self->q.hdr); \
} while (0)

/* Call by call as with a tap of its own. */
TEST_F(qemu, gets_the_answers_that_it_gets_of_a_running_tap)
{
	static struct qemu_tap own;
	struct tap tap;
	int i;

	ASSERT_EQ(0, tap_open(&tap, "own0", QUEUES, TAP_VM));
	ASSERT_EQ(0, qemu_tap_init(&own, tap.fds, QUEUES));
	ASSERT_EQ(0, qemu_tap_reset(&own));
	ASSERT_EQ(0, qemu_tap_start(&own, variant->target));
	ASSERT_GT(QEMU_CALLS_MAX, own.ncalls);
	INITIALISE();
	ASSERT_EQ(own.ncalls, self->q.ncalls);
	for (i = 0; i < own.ncalls; i++) {
		ASSERT_STREQ(own.calls[i].what, self->q.calls[i].what);
		EXPECT_EQ(own.calls[i].ret, self->q.calls[i].ret)
			TH_LOG("call %d, queue %d: %s", i,
			       self->q.calls[i].queue, self->q.calls[i].what);
	}
	tap_close(&tap);
}

TEST_F(qemu, an_abort_finds_nothing_changed)
{
	INITIALISE();
	/* the rings have what they had, and nobody reads it */
	EXPECT_EQ(0, tap_read_all(&self->claimed, &self->t));
	ASSERT_EQ(0, xfer_abort(&self->x));
	EXPECT_UNCHANGED(self->tap.fds[0]);

	/* the source runs on: its header size, its queues, its packets */
	EXPECT_EQ(100, tap_read_all(&self->tap, &self->t));
	EXPECT_EQ(0, tally_lost(&self->t, 100));
	EXPECT_EQ(0, self->t.dup + self->t.reordered + self->t.foreign);
	ASSERT_EQ(0, sender_send(&self->s, 100));
	EXPECT_EQ(100, tap_read_all(&self->tap, &self->t));
	EXPECT_EQ(0, tally_lost(&self->t, 200));
}

TEST_F(qemu, a_thaw_applies_what_was_set)
{
	struct outside now;
	struct ifreq ifr;
	struct capture c;
	int i;

	INITIALISE();
	tap_close(&self->tap);
	ASSERT_EQ(0, xfer_thaw(&self->x))
		TH_LOG("%s", xfer_why(&self->x));
	ASSERT_EQ(0, outside_get("tap0", self->claimed.fds[0], &now));
	EXPECT_EQ(variant->target, now.queues);
	EXPECT_EQ(QUEUES - variant->target, now.detached);
	EXPECT_EQ(12, now.s.hdr);
	EXPECT_EQ(1, now.s.le);
	EXPECT_EQ(QEMU_SNDBUF, now.s.sndbuf);
	EXPECT_TRUE(now.s.csum);
	EXPECT_TRUE(now.s.tso);
	for (i = 0; i < QUEUES; i++) {
		ASSERT_EQ(0, ioctl(self->claimed.fds[i], TUNGETIFF, &ifr));
		EXPECT_EQ(i >= variant->target,
			  !!(ifr.ifr_flags & IFF_DETACH_QUEUE));
	}

	/* traffic goes both ways; a queue that was detached has let go of its
	 * packets, as the driver does
	 */
	tap_read_all(&self->claimed, &self->t);
	EXPECT_EQ(0, self->t.dup + self->t.reordered + self->t.foreign);
	if (variant->target >= variant->source) {
		EXPECT_EQ(0, tally_lost(&self->t, 100));
	}
	self->t.got = 0;
	ASSERT_EQ(0, sender_send(&self->s, 100));
	EXPECT_EQ(100, tap_read_all(&self->claimed, &self->t));
	ASSERT_EQ(0, capture_open(&c, if_nametoindex("tap0")));
	for (i = 0; i < variant->target; i++)
		EXPECT_EQ(0, tap_write_one(&self->claimed, i, i));
	EXPECT_EQ(variant->target, capture_read(&c));
	capture_close(&c);
}

/* The next one begins where the source left it, not where this one did. */
TEST_F(qemu, a_second_target_finds_the_sources_settings)
{
	INITIALISE();
	ASSERT_EQ(0, xfer_abort(&self->x));
	tap_close(&self->claimed);
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, 0,
				0));
	EXPECT_EQ(SNDBUF, xfer_dev_u64(&self->x, TAPXFER_A_DEV_SNDBUF));
	EXPECT_EQ(12, xfer_dev_u64(&self->x, TAPXFER_A_DEV_VNET_HDR_SZ));
	EXPECT_EQ(0, xfer_dev_u64(&self->x, TAPXFER_A_DEV_VNET_LE));
	EXPECT_EQ(TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6,
		  xfer_dev_u64(&self->x, TAPXFER_A_DEV_OFFLOADS));
	EXPECT_EQ(QUEUES - variant->source,
		  xfer_dev_u64(&self->x, TAPXFER_A_DEV_NUM_DETACHED));
	ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed));
	self->claimed.hdr = 12;
	INITIALISE();
}

TEST_HARNESS_MAIN
