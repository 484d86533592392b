// SPDX-License-Identifier: GPL-2.0
/*
 * Packets that an XDP program redirects into the tap: they pass no qdisc and no
 * netdev queue, and are held all the same.
 */
#include <errno.h>
#include <sched.h>

#include <kselftest_harness.h>
#include <linux/if_link.h>

#include "bpf.h"
#include "flow.h"
#include "net.h"
#include "tap.h"
#include "util.h"
#include "xfer.h"

#define QUEUES	2
#define FLOWS	16
#define BATCH	32	/* a veth has room for 256 packets */

/* port0 --- port1 -- XDP --> tap0 */
FIXTURE(xdp) {
	struct tap tap;
	struct tap claimed;
	struct xfer x;
	struct sender s;
	struct tally t;
	int map;
	int prog;
};

FIXTURE_VARIANT(xdp) {
	bool map;
};

FIXTURE_VARIANT_ADD(xdp, by_ifindex) {
	.map = false,
};

FIXTURE_VARIANT_ADD(xdp, by_devmap) {
	.map = true,
};

FIXTURE_SETUP(xdp)
{
	cpu_set_t cpu;

	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", QUEUES, TAP_VM));
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, true));
	ASSERT_EQ(0, shell("ip link add port0 type veth peer name port1 && "
			   "ip link set port0 up && ip link set port1 up"));
	self->map = -1;
	if (variant->map) {
		self->map = devmap(self->tap.ifindex);
		ASSERT_LE(0, self->map);
	}
	self->prog = xdp_redirect(self->map, self->tap.ifindex);
	ASSERT_LE(0, self->prog);
	ASSERT_EQ(0, link_set_xdp(if_nametoindex("port1"), self->prog,
				  XDP_FLAGS_DRV_MODE));
	ASSERT_EQ(0, xfer_open(&self->x));
	ASSERT_EQ(0, sender_open(&self->s, if_nametoindex("port0"), FLOWS));
	ASSERT_EQ(0, tally_init(&self->t, 1 << 16));
	/* the driver picks the queue by the CPU */
	CPU_ZERO(&cpu);
	CPU_SET(0, &cpu);
	ASSERT_EQ(0, sched_setaffinity(0, sizeof(cpu), &cpu));
}

FIXTURE_TEARDOWN(xdp)
{
	xfer_close(&self->x);
	sender_close(&self->s);
	tally_free(&self->t);
	link_delete("port0");
	close(self->prog);
	if (self->map >= 0)
		close(self->map);
	tap_close(&self->claimed);
	tap_close(&self->tap);
}

static uint64_t held(struct xfer *x)
{
	return xfer_get(x) ? UINT64_MAX :
			     xfer_u64(x, TAPXFER_A_HANDOVER_HELD);
}

/* The next @n packets, no faster than they get there; 0 or -errno. */
static int send_held(struct sender *s, struct xfer *x, uint32_t n)
{
	int err = 0;

	while (!err && n) {
		uint32_t some = n < BATCH ? n : BATCH;

		err = sender_send(s, some);
		if (!err && !wait_until(held(x) == s->seq, SOON_MS))
			err = -ETIMEDOUT;
		n -= some;
	}
	return err;
}

TEST_F(xdp, what_is_redirected_is_held_and_read_in_order)
{
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_HOLDING, 0,
				0));
	ASSERT_EQ(0, send_held(&self->s, &self->x, 1500));
	ASSERT_EQ(0, xfer_freeze(&self->x));
	ASSERT_EQ(0, send_held(&self->s, &self->x, 1500));
	EXPECT_EQ(0, tap_read_all(&self->tap, &self->t));
	ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed));
	self->claimed.hdr = self->tap.hdr;
	ASSERT_EQ(0, send_held(&self->s, &self->x, 100));
	EXPECT_EQ(0, tap_read_all(&self->claimed, &self->t));
	tap_close(&self->tap);
	ASSERT_EQ(0, xfer_thaw(&self->x));

	EXPECT_EQ(0, xfer_u64(&self->x, TAPXFER_A_HANDOVER_DROPPED));
	EXPECT_EQ(3100, tap_read_count(&self->claimed, &self->t, 3100));
	/* and it goes on */
	ASSERT_EQ(0, sender_send(&self->s, 100));
	EXPECT_EQ(100, tap_read_count(&self->claimed, &self->t, 100));
	EXPECT_EQ(0, tally_lost(&self->t, self->s.seq));
	EXPECT_EQ(0, self->t.dup + self->t.reordered + self->t.foreign);
}

/* With packets that the stack sends in between: the ring is the same. */
TEST_F(xdp, with_others_in_between)
{
	struct sender direct;
	uint32_t i;

	ASSERT_EQ(0, sender_open(&direct, self->tap.ifindex, FLOWS));
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, 0,
				0));
	for (i = 0; i < 100; i++) {
		ASSERT_EQ(0, send_held(&self->s, &self->x, 5));
		direct.seq = self->s.seq;
		ASSERT_EQ(0, sender_send(&direct, 5));
		self->s.seq = direct.seq;
	}
	ASSERT_EQ(0, xfer_abort(&self->x));
	self->x.id = 0;
	EXPECT_EQ(1000, tap_read_count(&self->tap, &self->t, 1000));
	EXPECT_EQ(0, tally_lost(&self->t, 1000));
	EXPECT_EQ(0, self->t.dup + self->t.reordered + self->t.foreign);
	sender_close(&direct);
}

TEST_F(xdp, past_the_hold_it_is_dropped_and_told)
{
	uint64_t dropped;
	uint32_t i;

	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, 300,
				0));
	ASSERT_EQ(0, send_held(&self->s, &self->x, 300));
	for (i = 1; i <= 50; i++) {
		ASSERT_EQ(0, sender_send(&self->s, 1));
		/* of frames that come in one go the driver counts the first */
		EXPECT_TRUE(wait_until(held(&self->x) == 300 &&
				       xfer_u64(&self->x,
						TAPXFER_A_HANDOVER_DROPPED) == i,
				       SOON_MS));
	}
	ASSERT_EQ(0, xfer_abort(&self->x));
	dropped = xfer_u64(&self->x, TAPXFER_A_HANDOVER_DROPPED);
	self->x.id = 0;
	EXPECT_EQ(50, dropped);
	EXPECT_EQ(300, tap_read_count(&self->tap, &self->t, 300));
	/* the oldest were kept */
	EXPECT_EQ(0, tally_lost(&self->t, 300));
	EXPECT_EQ(0, self->t.dup + self->t.reordered + self->t.foreign);
}

/* What is held are frames of the veth's: both may go at any time. */
TEST_F(xdp, both_devices_are_deleted)
{
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, 0,
				0));
	ASSERT_EQ(0, send_held(&self->s, &self->x, 2000));
	ASSERT_EQ(0, link_delete("port0"));
	EXPECT_EQ(2000, held(&self->x));
	ASSERT_EQ(0, link_delete("tap0"));
	EXPECT_EQ(-ENOENT, xfer_abort(&self->x));
	self->x.id = 0;
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
}

TEST_HARNESS_MAIN
