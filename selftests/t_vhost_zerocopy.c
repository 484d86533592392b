// SPDX-License-Identifier: GPL-2.0
/*
 * vhost-net that sends a guest's packets without a copy (experimental_zcopytx):
 * it makes no batches, and a packet that is refused keeps its descriptor.
 */
#include <kselftest_harness.h>

#include "net.h"
#include "util.h"
#include "vhost.h"

#define FLOW		7
#define ROUNDS		6
#define LONG		1400	/* vhost copies what is short */

FIXTURE(zerocopy) {
	struct tap tap;
	struct xfer x;
	struct vhost v;
	struct capture capture;
	struct catcher c;
	struct transmitter t;
};

FIXTURE_SETUP(zerocopy)
{
	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, shell("modprobe -r vhost_net"));
	ASSERT_EQ(0, shell("modprobe vhost_net experimental_zcopytx=1"));
	ASSERT_EQ(1, read_number("/sys/module/vhost_net/parameters/experimental_zcopytx"));
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", 1, TAP_VM));
	ASSERT_EQ(0, xfer_open(&self->x));
	ASSERT_EQ(0, vhost_open(&self->v, 0, -1));
	ASSERT_EQ(0, capture_open(&self->capture, self->tap.ifindex));
	self->c.c = &self->capture;
	self->c.flow = FLOW;
	ASSERT_EQ(0, catcher_start(&self->c));
	self->t = (struct transmitter) {
		.v = &self->v, .flow = FLOW, .len = LONG,
		.big = PACKET_LEN, .big_every = 5,
		.seen = &self->c.seen[0], .window = 4096,
	};
}

FIXTURE_TEARDOWN(zerocopy)
{
	catcher_stop(&self->c);
	/* Linux 6.1's vhost-net leaks its count of zero-copy buffers when it is
	 * closed with a backend.
	 */
	vhost_stop(&self->v);
	vhost_close(&self->v);
	xfer_close(&self->x);
	link_delete("tap0");
	tap_close(&self->tap);
	capture_close(&self->capture);
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
	EXPECT_EQ(0, shell("modprobe -r vhost_net"));
}

static uint64_t entered(void)
{
	struct link_stats stats;

	return link_stats("tap0", &stats) ? UINT64_MAX : stats.rx_packets;
}

static bool wait_for_more(const struct catcher *c, uint64_t n)
{
	n += catcher_seen(c);
	return wait_until(catcher_seen(c) >= n, SOON_MS);
}

TEST_F(zerocopy, nothing_enters_while_frozen_and_all_of_it_then)
{
	uint64_t at_freeze;
	int i;

	ASSERT_EQ(0, vhost_start(&self->v, self->tap.fds[0]));
	ASSERT_EQ(0, transmitter_start(&self->t));
	for (i = 0; i < ROUNDS; i++) {
		EXPECT_TRUE(wait_for_more(&self->c, 500));
		ASSERT_EQ(0, xfer_begin(&self->x, &self->tap,
					TAPXFER_STATE_PREPARED, 0, 0));
		/* what vhost sent before the prepare has ended by then */
		EXPECT_TRUE(wait_for_more(&self->c, 2 * VHOST_RING));
		ASSERT_EQ(0, xfer_freeze_patiently(&self->x));
		at_freeze = entered();
		EXPECT_TRUE(wait_until(guest_unsent(&self->v) == VHOST_RING,
				       SOON_MS));
		EXPECT_TRUE(wait_until(catcher_seen(&self->c) == at_freeze,
				       SOON_MS));
		EXPECT_EQ(at_freeze, entered());
		ASSERT_EQ(0, xfer_get(&self->x));
		EXPECT_EQ(0, xfer_queue_u64(&self->x, 0,
					    TAPXFER_A_QUEUE_BATCHED));
		/* Every other time by a backend that is attached anew. */
		if (i % 2) {
			ASSERT_EQ(0, vhost_stop(&self->v));
			ASSERT_EQ(0, xfer_finish(&self->x));
			ASSERT_EQ(0, vhost_start(&self->v, self->tap.fds[0]));
		} else {
			ASSERT_EQ(0, vhost_finish(&self->x));
		}
	}
	transmitter_stop(&self->t);
	EXPECT_TRUE(wait_until(guest_unsent(&self->v) == 0, SOON_MS));
	EXPECT_TRUE(wait_until(catcher_seen(&self->c) >= self->v.guest->sent,
			       SOON_MS));
	EXPECT_EQ(self->v.guest->sent, catcher_seen(&self->c));
	EXPECT_EQ(0, tally_lost(&self->capture.t, self->v.guest->sent));
	EXPECT_EQ(0, self->capture.t.dup + self->capture.t.reordered +
		     self->capture.t.foreign + self->c.lost);
}

TEST_HARNESS_MAIN
