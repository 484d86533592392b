// SPDX-License-Identifier: GPL-2.0
/*
 * Packets to a guest whose vhost backend is stopped early, late or never: what
 * it had taken out of a ring and gives back is seen by nobody before the thaw,
 * and comes first then.
 */
#include <errno.h>
#include <poll.h>

#include <kselftest_harness.h>

#include <linux/virtio_net.h>

#include "genl.h"
#include "net.h"
#include "util.h"
#include "vhost.h"

#define MAX_SEQ		(1 << 18)

/* When the source stops its backend */
enum stop {
	BEFORE_HOLD,
	AFTER_HOLD,
	AFTER_FREEZE,
	AFTER_CLAIM,
};

FIXTURE(vhost) {
	struct tap tap;
	struct tap claimed;
	struct xfer x;
	struct sender s;
	struct tally t;
	struct vhost v;
};

FIXTURE_VARIANT(vhost) {
	uint32_t hold;		/* 0: the default */
	uint32_t taken;		/* what vhost takes */
	uint32_t held;		/* what comes then, and is held */
	enum stop stop;
};

FIXTURE_VARIANT_ADD(vhost, few) {
	.taken = 20, .held = 30, .stop = AFTER_HOLD,
};

FIXTURE_VARIANT_ADD(vhost, a_batch_and_past_the_ring_size) {
	.taken = VHOST_BATCH, .held = 3 * TAP_RING, .stop = AFTER_HOLD,
};

FIXTURE_VARIANT_ADD(vhost, a_batch_and_a_full_hold) {
	.hold = 200, .taken = VHOST_BATCH, .held = 200, .stop = AFTER_HOLD,
};

FIXTURE_VARIANT_ADD(vhost, a_batch_and_nothing) {
	.taken = VHOST_BATCH, .held = 0, .stop = AFTER_HOLD,
};

FIXTURE_VARIANT_ADD(vhost, a_batch_given_back_before_the_hold) {
	.taken = VHOST_BATCH, .held = 100, .stop = BEFORE_HOLD,
};

FIXTURE_VARIANT_ADD(vhost, few_given_back_after_the_freeze) {
	.taken = 20, .held = 30, .stop = AFTER_FREEZE,
};

FIXTURE_VARIANT_ADD(vhost, a_batch_given_back_to_a_full_hold_after_the_freeze) {
	.hold = 200, .taken = VHOST_BATCH, .held = 200, .stop = AFTER_FREEZE,
};

FIXTURE_VARIANT_ADD(vhost, a_batch_given_back_after_the_claim) {
	.taken = VHOST_BATCH, .held = 3 * TAP_RING, .stop = AFTER_CLAIM,
};

FIXTURE_VARIANT_ADD(vhost, a_batch_given_back_to_an_empty_ring_after_the_claim) {
	.taken = VHOST_BATCH, .held = 0, .stop = AFTER_CLAIM,
};

FIXTURE_SETUP(vhost)
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

FIXTURE_TEARDOWN(vhost)
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

/* Whether vhost has taken what is in the ring, which poll tells. */
static bool ring_is_empty(const struct tap *tap)
{
	struct pollfd pfd = { .fd = tap->fds[0], .events = POLLIN };

	return poll(&pfd, 1, 0) == 0;
}

/* A guest that offers no buffers: vhost takes packets and keeps them. All in
 * one batch, since it is there before vhost is.
 */
#define VHOST_TAKES() do { \
	ASSERT_EQ(0, sender_send(&self->s, variant->taken)); \
	ASSERT_EQ(0, vhost_start(&self->v, self->tap.fds[0])); \
	ASSERT_TRUE(wait_until(ring_is_empty(&self->tap), SOON_MS)); \
} while (0)

/* Nothing is to be had, though it is where a consumer would look. */
#define EXPECT_NOTHING_TO_READ() do { \
	uint8_t buf_[PACKET_MAX]; \
	EXPECT_TRUE(ring_is_empty(&self->tap)); \
	EXPECT_EQ(-1, read(self->tap.fds[0], buf_, sizeof(buf_))); \
	EXPECT_EQ(EAGAIN, errno); \
} while (0)

#define VHOST_STOPS(when) do { \
	if (variant->stop == (when)) \
		ASSERT_EQ(0, vhost_stop(&self->v)); \
	if ((when) != BEFORE_HOLD) \
		EXPECT_NOTHING_TO_READ(); \
} while (0)

/* All that was sent, in the order it was, and what is sent now after it. */
#define EXPECT_ALL() do { \
	EXPECT_EQ(self->s.seq, tap_read_all(&self->tap, &self->t)); \
	ASSERT_EQ(0, sender_send(&self->s, 100)); \
	EXPECT_EQ(100, tap_read_all(&self->tap, &self->t)); \
	EXPECT_EQ(0, self->s.dropped); \
	EXPECT_EQ(0, tally_lost(&self->t, self->s.seq)); \
	EXPECT_EQ(0, self->t.dup + self->t.reordered + self->t.foreign); \
} while (0)

TEST_F(vhost, packets_given_back_come_first_and_not_before_the_thaw)
{
	uint32_t back = variant->stop == BEFORE_HOLD ? 0 : variant->taken;

	VHOST_TAKES();
	VHOST_STOPS(BEFORE_HOLD);
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_HOLDING,
				variant->hold, 0));
	ASSERT_EQ(0, sender_send(&self->s, variant->held));
	ASSERT_EQ(0, self->s.dropped);
	VHOST_STOPS(AFTER_HOLD);
	ASSERT_EQ(0, xfer_freeze(&self->x));
	VHOST_STOPS(AFTER_FREEZE);
	ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed));
	VHOST_STOPS(AFTER_CLAIM);

	ASSERT_EQ(0, xfer_get(&self->x));
	EXPECT_EQ(back, xfer_queue_u64(&self->x, 0, TAPXFER_A_QUEUE_PUT_BACK));
	EXPECT_EQ(variant->taken + variant->held,
		  xfer_queue_u64(&self->x, 0, TAPXFER_A_QUEUE_HELD));
	ASSERT_EQ(0, xfer_thaw(&self->x));
	EXPECT_ALL();
}

/* A ring that holds more than its length stays as it is, and is used so. */
TEST_F(vhost, new_packets_come_behind_those_that_were_held)
{
	uint32_t all = variant->taken + variant->held, i;

	ASSERT_EQ(0, link_set_txqlen("tap0", VHOST_BATCH));
	VHOST_TAKES();
	VHOST_STOPS(BEFORE_HOLD);
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_HOLDING,
				variant->hold, 0));
	ASSERT_EQ(0, sender_send(&self->s, variant->held));
	VHOST_STOPS(AFTER_HOLD);
	ASSERT_EQ(0, xfer_freeze(&self->x));
	VHOST_STOPS(AFTER_FREEZE);
	ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed));
	VHOST_STOPS(AFTER_CLAIM);
	ASSERT_EQ(0, xfer_thaw(&self->x));

	for (i = 0; i < all / 2; i++)
		ASSERT_EQ(1, tap_read_one(&self->tap, 0, &self->t));
	ASSERT_EQ(0, sender_send(&self->s, all / 5));
	EXPECT_EQ(all - all / 2 + all / 5, tap_read_all(&self->tap, &self->t));
	EXPECT_EQ(0, self->s.dropped);
	EXPECT_EQ(0, tally_lost(&self->t, self->s.seq));
	EXPECT_EQ(0, self->t.dup + self->t.reordered + self->t.foreign);
}

/* An end that comes by itself is no other end. */
TEST_F(vhost, packets_given_back_come_first_after_the_deadline)
{
	VHOST_TAKES();
	VHOST_STOPS(BEFORE_HOLD);
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN,
				variant->hold, scaled_ms(2500)));
	ASSERT_EQ(0, sender_send(&self->s, variant->held));
	if (variant->stop != BEFORE_HOLD)
		ASSERT_EQ(0, vhost_stop(&self->v));
	ASSERT_TRUE(wait_until(!xfer_is_live(&self->x), SOON_MS));
	EXPECT_ALL();
}

/* Nothing leaks, which is for the test of leaks to tell, and nobody crashes. */
TEST_F(vhost, packets_given_back_go_with_the_device)
{
	VHOST_TAKES();
	VHOST_STOPS(BEFORE_HOLD);
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN,
				variant->hold, 0));
	ASSERT_EQ(0, sender_send(&self->s, variant->held));
	if (variant->stop == AFTER_FREEZE)
		ASSERT_EQ(0, vhost_stop(&self->v));
	ASSERT_EQ(0, link_delete("tap0"));
	EXPECT_FALSE(xfer_is_live(&self->x));
	if (variant->stop != BEFORE_HOLD)
		ASSERT_EQ(0, vhost_stop(&self->v));
}

/*
 * What vhost had taken is the source's: it gives it to the guest, as far as
 * that has buffers, or back.
 */
TEST_F(vhost, batch_is_delivered_or_given_back)
{
	uint32_t some = variant->taken / 2;

	VHOST_TAKES();
	VHOST_STOPS(BEFORE_HOLD);
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_HOLDING,
				variant->hold, 0));
	ASSERT_EQ(0, sender_send(&self->s, variant->held));
	if (variant->stop != BEFORE_HOLD) {
		ASSERT_EQ(some, guest_offer(&self->v, some));
		EXPECT_TRUE(wait_until((guest_receive(&self->v, &self->t, 0,
						      false),
					self->t.got == some), SOON_MS));
		ASSERT_EQ(0, vhost_stop(&self->v));
	}
	/* and these buffers get nothing any more */
	guest_offer(&self->v, VHOST_RING);
	ASSERT_EQ(0, xfer_freeze(&self->x));
	EXPECT_EQ(0, guest_receive(&self->v, &self->t, 0, false));
	ASSERT_EQ(0, xfer_finish(&self->x));

	/* The guest goes on where it was. */
	ASSERT_EQ(0, vhost_start(&self->v, self->tap.fds[0]));
	EXPECT_TRUE(wait_until((guest_receive(&self->v, &self->t, 0, true),
				self->t.got == self->s.seq), SOON_MS));
	EXPECT_EQ(0, self->t.dup + self->t.reordered + self->t.foreign);
}

/* A backend that stays attached gets nothing, however often it is kicked. */
TEST_F(vhost, that_is_attached_takes_nothing_while_held)
{
	ASSERT_EQ(0, vhost_start(&self->v, self->tap.fds[0]));
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_HOLDING,
				variant->hold, 0));
	ASSERT_EQ(0, sender_send(&self->s, variant->held));
	ASSERT_EQ(VHOST_RING, guest_offer(&self->v, VHOST_RING));
	ASSERT_EQ(0, xfer_get(&self->x));
	EXPECT_EQ(variant->held, xfer_u64(&self->x, TAPXFER_A_HANDOVER_HELD));
	ASSERT_EQ(0, vhost_stop(&self->v));
	ASSERT_EQ(0, xfer_get(&self->x));
	EXPECT_EQ(variant->held, xfer_u64(&self->x, TAPXFER_A_HANDOVER_HELD));
	EXPECT_EQ(0, guest_receive(&self->v, &self->t, 0, false));
	ASSERT_EQ(0, xfer_freeze(&self->x));
	ASSERT_EQ(0, xfer_get(&self->x));
	EXPECT_EQ(0, xfer_queue_u64(&self->x, 0, TAPXFER_A_QUEUE_PUT_BACK));
	ASSERT_EQ(0, xfer_finish(&self->x));
	EXPECT_ALL();
}

/* vhost goes by the file's operations: they have to be the driver's again. */
TEST_F(vhost, can_be_attached_after_the_thaw_and_not_before)
{
	ASSERT_EQ(VHOST_RING, guest_offer(&self->v, VHOST_RING));
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN,
				variant->hold, 0));
	EXPECT_EQ(-ENOTSOCK, vhost_start(&self->v, self->tap.fds[0]));
	ASSERT_EQ(0, sender_send(&self->s, variant->held));
	ASSERT_EQ(0, xfer_finish(&self->x));

	/* and it takes what was held */
	ASSERT_EQ(0, vhost_start(&self->v, self->tap.fds[0]));
	EXPECT_TRUE(wait_until((guest_receive(&self->v, &self->t, 0, true),
				self->t.got == variant->held), SOON_MS));
	ASSERT_EQ(0, vhost_stop(&self->v));
	EXPECT_EQ(0, self->t.dup + self->t.reordered + self->t.foreign);
}

/* A handover that ends gives the held packets to the backend that is there. */
TEST_F(vhost, that_stayed_attached_goes_on_after_an_abort)
{
	struct capture c;
	uint32_t i;

	ASSERT_EQ(0, capture_open(&c, self->tap.ifindex));
	VHOST_TAKES();
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN,
				variant->hold, 0));
	ASSERT_EQ(0, sender_send(&self->s, variant->held));
	for (i = 0; i < variant->taken; i++)
		ASSERT_EQ(0, guest_send(&self->v, 1, i, PACKET_LEN));
	ASSERT_EQ(0, xfer_abort(&self->x));

	/* Nobody kicks it. It goes on in both directions. */
	EXPECT_TRUE(wait_until((capture_read(&c), c.t.got == i), SOON_MS));
	EXPECT_EQ(0, c.t.dup + c.t.reordered + c.t.foreign);
	guest_offer(&self->v, VHOST_RING);
	EXPECT_TRUE(wait_until((guest_receive(&self->v, &self->t, 0, true),
				self->t.got == self->s.seq), SOON_MS));
	EXPECT_EQ(0, self->s.dropped);
	EXPECT_EQ(0, self->t.dup + self->t.reordered + self->t.foreign);
	ASSERT_EQ(0, vhost_stop(&self->v));
	capture_close(&c);
}

/* A source that finds out late gives its batch back to a ring that runs. */
TEST_F(vhost, can_be_stopped_after_an_abort)
{
	uint32_t held = variant->held;

	/* A ring that is full has no room for it, whatever the size. */
	if (variant->hold && variant->hold == held)
		held -= variant->taken;
	VHOST_TAKES();
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN,
				variant->hold, 0));
	ASSERT_EQ(0, sender_send(&self->s, held));
	ASSERT_EQ(0, xfer_abort(&self->x));
	ASSERT_EQ(0, vhost_stop(&self->v));
	if (held > TAP_RING) {
		/* what was given back is not what was held, none of which was taken */
		ASSERT_EQ(0, xfer_get(&self->x));
		EXPECT_EQ(held, xfer_u64(&self->x, TAPXFER_A_HANDOVER_HELD));
		EXPECT_EQ(0, xfer_u64(&self->x, TAPXFER_A_HANDOVER_DELIVERED));
	}
	EXPECT_ALL();
}

/*
 * Nobody keeps two backends from the same queue, and together they give back more
 * than one's batch. (The later one first, for the order to be as it was.)
 */
static int two_take(struct vhost v[2], struct sender *s, const struct tap *tap)
{
	int i, err = 0;

	for (i = 0; !err && i < 2; i++) {
		err = sender_send(s, VHOST_BATCH) ?:
		      vhost_start(&v[i], tap->fds[0]);
		if (!err && !wait_until(ring_is_empty(tap), SOON_MS))
			err = -ETIMEDOUT;
	}
	return err;
}

FIXTURE(two) {
	struct tap tap;
	struct xfer x;
	struct genl g;
	struct sender s;
	struct tally t;
	struct vhost v[2];
};

FIXTURE_VARIANT(two) {
	uint64_t bytes;
	uint32_t sent;
};

FIXTURE_VARIANT_ADD(two, to_an_empty_ring) {
	.sent = 0,
};

FIXTURE_VARIANT_ADD(two, to_a_ring_of_many) {
	.sent = 3 * TAP_RING,
};

FIXTURE_VARIANT_ADD(two, to_a_ring_closed_by_bytes) {
	.bytes = 256 << 10, .sent = TAP_RING,
};

FIXTURE_SETUP(two)
{
	int i;

	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", 1, TAP_VM));
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, true));
	ASSERT_EQ(0, xfer_open(&self->x));
	ASSERT_EQ(0, genl_open(&self->g));
	ASSERT_EQ(0, sender_open(&self->s, self->tap.ifindex, 1));
	ASSERT_EQ(0, tally_init(&self->t, MAX_SEQ));
	ASSERT_EQ(0, shell("modprobe vhost_net"));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, vhost_open(&self->v[i], 0, -1));
}

FIXTURE_TEARDOWN(two)
{
	vhost_close(&self->v[1]);
	vhost_close(&self->v[0]);
	xfer_close(&self->x);
	genl_close(&self->g);
	link_delete("tap0");
	tap_close(&self->tap);
	sender_close(&self->s);
	tally_free(&self->t);
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
}

/* The second one takes when the first one has its batch, and has no buffers. */
TEST_F(two, give_back_more_than_a_batch)
{
	uint32_t kept;

	ASSERT_EQ(0, two_take(self->v, &self->s, &self->tap));
	ASSERT_EQ(0, xfer_begin_raw(&self->x, &self->g, &self->tap,
				    TAPXFER_CMD_FREEZE, 0, variant->bytes, 0));
	ASSERT_EQ(0, sender_send(&self->s, variant->sent));
	EXPECT_EQ(!!variant->bytes, !!self->s.dropped);
	ASSERT_EQ(0, vhost_stop(&self->v[1]));
	ASSERT_EQ(0, vhost_stop(&self->v[0]));
	EXPECT_NOTHING_TO_READ();
	kept = self->s.seq - self->s.dropped;
	ASSERT_EQ(0, xfer_get(&self->x));
	EXPECT_EQ(2 * VHOST_BATCH,
		  xfer_queue_u64(&self->x, 0, TAPXFER_A_QUEUE_PUT_BACK));
	EXPECT_EQ(kept, xfer_queue_u64(&self->x, 0, TAPXFER_A_QUEUE_HELD));
	ASSERT_EQ(0, xfer_finish(&self->x));

	EXPECT_EQ(kept, tap_read_all(&self->tap, &self->t));
	EXPECT_EQ(0, tally_lost(&self->t, kept));
	ASSERT_EQ(0, sender_send(&self->s, 100));
	EXPECT_EQ(100, tap_read_all(&self->tap, &self->t));
	EXPECT_EQ(0, self->t.dup + self->t.reordered + self->t.foreign);
}

TEST_HARNESS_MAIN
