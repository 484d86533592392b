// SPDX-License-Identifier: GPL-2.0
/*
 * What a vhost backend gave back, and consumers that no fence keeps away: they
 * find nothing, and lose nothing.
 */
#include <errno.h>
#include <poll.h>

#include <kselftest_harness.h>

#include <linux/virtio_net.h>

#include "net.h"
#include "util.h"
#include "vhost.h"

#define MAX_SEQ		(1 << 18)

FIXTURE(fold) {
	struct tap tap;
	struct tap claimed;
	struct xfer x;
	struct sender s;
	struct tally t;
	struct vhost v;
};

FIXTURE_VARIANT(fold) {
	uint32_t hold;		/* 0: the default */
	uint32_t back;		/* what vhost takes and gives back */
	uint32_t held;		/* what comes then */
};

FIXTURE_VARIANT_ADD(fold, few) {
	.back = 20, .held = 30,
};

FIXTURE_VARIANT_ADD(fold, a_batch_and_nothing) {
	.back = VHOST_BATCH, .held = 0,
};

FIXTURE_VARIANT_ADD(fold, a_batch_and_a_full_hold) {
	.hold = 200, .back = VHOST_BATCH, .held = 200,
};

FIXTURE_SETUP(fold)
{
	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", 1, TAP_VM));
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, true));
	ASSERT_EQ(0, xfer_open(&self->x));
	ASSERT_EQ(0, sender_open(&self->s, self->tap.ifindex, 1));
	ASSERT_EQ(0, tally_init(&self->t, MAX_SEQ));
	ASSERT_EQ(0, shell("modprobe vhost_net"));
	ASSERT_EQ(0, vhost_open(&self->v, 1ULL << VIRTIO_NET_F_MRG_RXBUF, -1));
}

FIXTURE_TEARDOWN(fold)
{
	vhost_close(&self->v);
	xfer_close(&self->x);
	link_delete("tap0");
	tap_close(&self->claimed);
	tap_close(&self->tap);
	sender_close(&self->s);
	tally_free(&self->t);
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
}

static bool ring_is_empty(const struct tap *tap)
{
	struct pollfd pfd = { .fd = tap->fds[0], .events = POLLIN };

	return poll(&pfd, 1, 0) == 0;
}

/* Holding, with packets given back and packets that came since. */
#define BEGIN() do { \
	ASSERT_EQ(0, sender_send(&self->s, variant->back)); \
	ASSERT_EQ(0, vhost_start(&self->v, self->tap.fds[0])); \
	ASSERT_TRUE(wait_until(ring_is_empty(&self->tap), SOON_MS)); \
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_HOLDING, \
				variant->hold, 0)); \
	ASSERT_EQ(0, sender_send(&self->s, variant->held)); \
	ASSERT_EQ(0, vhost_stop(&self->v)); \
} while (0)

#define EXPECT_ALL_HELD() do { \
	ASSERT_EQ(0, xfer_get(&self->x)); \
	EXPECT_EQ(self->s.seq, \
		  xfer_queue_u64(&self->x, 0, TAPXFER_A_QUEUE_HELD)); \
	EXPECT_EQ(variant->back, \
		  xfer_queue_u64(&self->x, 0, TAPXFER_A_QUEUE_PUT_BACK)); \
} while (0)

#define EXPECT_ALL_IN_ORDER() do { \
	EXPECT_EQ(self->s.seq, tap_read_all(&self->tap, &self->t)); \
	EXPECT_EQ(0, self->s.dropped); \
	EXPECT_EQ(0, tally_lost(&self->t, self->s.seq)); \
	EXPECT_EQ(0, self->t.dup + self->t.reordered + self->t.foreign); \
} while (0)

/* The driver purges the ring of a queue that is detached, as a consumer does. */
TEST_F(fold, a_queue_that_is_detached_while_held_keeps_all)
{
	BEGIN();
	ASSERT_EQ(0, tap_detach(self->tap.fds[0], true));
	EXPECT_ALL_HELD();
	ASSERT_EQ(0, tap_detach(self->tap.fds[0], false));
	EXPECT_ALL_HELD();
	ASSERT_EQ(0, xfer_freeze(&self->x));
	ASSERT_EQ(0, xfer_finish(&self->x));
	EXPECT_ALL_IN_ORDER();
}

/* The same of a claimant's record, which is applied when it is ready. */
TEST_F(fold, a_queue_that_the_claimant_detaches_keeps_all)
{
	BEGIN();
	ASSERT_EQ(0, xfer_freeze(&self->x));
	ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed));
	ASSERT_EQ(0, tap_detach(self->claimed.fds[0], true));
	ASSERT_EQ(0, xfer_ready(&self->x, TAPXFER_THAW_SHARED));
	EXPECT_ALL_HELD();
	ASSERT_EQ(0, tap_detach(self->claimed.fds[0], false));
	EXPECT_ALL_HELD();
	ASSERT_EQ(0, xfer_thaw(&self->x));
	EXPECT_ALL_IN_ORDER();
}

/* From ready on the file's operations are the driver's. */
TEST_F(fold, who_reads_when_ready_sees_nothing)
{
	uint8_t buf[PACKET_MAX];

	BEGIN();
	ASSERT_EQ(0, xfer_freeze(&self->x));
	ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed));
	ASSERT_EQ(0, xfer_ready(&self->x, TAPXFER_THAW_SHARED));
	EXPECT_TRUE(ring_is_empty(&self->tap));
	EXPECT_EQ(-1, read(self->tap.fds[0], buf, sizeof(buf)));
	EXPECT_EQ(EAGAIN, errno);
	EXPECT_ALL_HELD();
	ASSERT_EQ(0, xfer_thaw(&self->x));
	EXPECT_ALL_IN_ORDER();
}

TEST_HARNESS_MAIN
