// SPDX-License-Identifier: GPL-2.0
/*
 * G6: a queue that a limit in bytes has closed ends as any other does, whatever
 * a vhost backend gave back to it, and whoever has read it meanwhile.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>

#include <kselftest_harness.h>

#include <linux/virtio_net.h>

#include "flow.h"
#include "genl.h"
#include "net.h"
#include "tap.h"
#include "util.h"
#include "vhost.h"
#include "waiter.h"
#include "xfer.h"

#define MAX_SEQ		(1 << 18)
/* So few that the ring's own length is not reached, nor the hold */
#define BYTES		(300 << 10)
#define HOLD		1500
/* What an empty ring has room for: its readers clear slots 16 at a time */
#define ROOM		(TAP_RING - 16)

enum end {
	THAW,
	ABORT,
	DEADLINE,
};

FIXTURE(closed) {
	struct tap tap;
	struct genl g;
	struct xfer x;
	struct sender s;
	struct tally t;
	struct vhost v;
	uint32_t accepted;
};

FIXTURE_VARIANT(closed) {
	uint32_t taken;		/* what vhost takes, and gives back */
	enum end end;
};

FIXTURE_VARIANT_ADD(closed, nothing_put_back_thaw) {
	.taken = 0, .end = THAW,
};

FIXTURE_VARIANT_ADD(closed, nothing_put_back_abort) {
	.taken = 0, .end = ABORT,
};

FIXTURE_VARIANT_ADD(closed, nothing_put_back_deadline) {
	.taken = 0, .end = DEADLINE,
};

FIXTURE_VARIANT_ADD(closed, some_put_back_thaw) {
	.taken = 20, .end = THAW,
};

FIXTURE_VARIANT_ADD(closed, some_put_back_abort) {
	.taken = 20, .end = ABORT,
};

FIXTURE_VARIANT_ADD(closed, some_put_back_deadline) {
	.taken = 20, .end = DEADLINE,
};

FIXTURE_VARIANT_ADD(closed, a_batch_put_back_thaw) {
	.taken = 64, .end = THAW,
};

FIXTURE_VARIANT_ADD(closed, a_batch_put_back_abort) {
	.taken = 64, .end = ABORT,
};

FIXTURE_VARIANT_ADD(closed, a_batch_put_back_deadline) {
	.taken = 64, .end = DEADLINE,
};

FIXTURE_SETUP(closed)
{
	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", 1, TAP_VM));
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, true));
	ASSERT_EQ(0, genl_open(&self->g));
	ASSERT_EQ(0, xfer_open(&self->x));
	ASSERT_EQ(0, sender_open(&self->s, self->tap.ifindex, 1));
	ASSERT_EQ(0, tally_init(&self->t, MAX_SEQ));
	ASSERT_EQ(0, shell("modprobe vhost_net"));
	ASSERT_EQ(0, vhost_open(&self->v, 1ULL << VIRTIO_NET_F_MRG_RXBUF, -1));
}

FIXTURE_TEARDOWN(closed)
{
	vhost_close(&self->v);
	xfer_close(&self->x);
	link_delete("tap0");
	tap_close(&self->tap);
	sender_close(&self->s);
	tally_free(&self->t);
	genl_close(&self->g);
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
}

/* Whether vhost has taken what is in the ring, which poll tells. */
static bool ring_is_empty(const struct tap *tap)
{
	struct pollfd pfd = { .fd = tap->fds[0], .events = POLLIN };

	return poll(&pfd, 1, 0) == 0;
}

/* The guest offers no buffers: vhost takes packets and keeps them. */
#define VHOST_TAKES() do { \
	ASSERT_EQ(0, sender_send(&self->s, variant->taken)); \
	ASSERT_EQ(0, vhost_backend(&self->v, VHOST_RX, self->tap.fds[0])); \
	ASSERT_TRUE(wait_until(ring_is_empty(&self->tap), SOON_MS)); \
} while (0)

/* Send until the queue is closed; self->accepted: what it took. */
#define CLOSE() do { \
	uint32_t first_ = self->s.seq; \
	while (!self->s.dropped && self->s.seq - first_ < HOLD) \
		ASSERT_EQ(0, sender_send(&self->s, 1)); \
	ASSERT_EQ(1, self->s.dropped); \
	self->accepted = self->s.seq - first_ - 1; \
	ASSERT_EQ(0, xfer_get(&self->x)); \
	EXPECT_EQ(1, xfer_queue_u64(&self->x, 0, TAPXFER_A_QUEUE_FULL)); \
	EXPECT_EQ(self->accepted, \
		  xfer_queue_u64(&self->x, 0, TAPXFER_A_QUEUE_HELD)); \
	/* it was not the hold */ \
	EXPECT_LT(self->accepted, HOLD); \
	EXPECT_LT(0, self->accepted); \
} while (0)

static int end(struct xfer *x, enum end end)
{
	int err;

	switch (end) {
	case THAW:
		err = xfer_freeze_patiently(x);
		return err ?: xfer_finish(x);
	case ABORT:
		return xfer_abort(x);
	default:
		return wait_until(!xfer_is_live(x), SOON_MS) ? 0 : -ETIMEDOUT;
	}
}

/* The one that the closed queue dropped, and nothing else, is not there. */
#define EXPECT_ALL_BUT_ONE() do { \
	EXPECT_EQ(1, tally_lost(&self->t, self->s.seq)); \
	EXPECT_EQ(0, self->t.dup + self->t.reordered + self->t.foreign); \
} while (0)

TEST_F(closed, queue_gives_all_in_order)
{
	uint32_t more = 700;
	uint64_t bytes;

	VHOST_TAKES();
	ASSERT_EQ(0, xfer_begin_raw(&self->x, &self->g, &self->tap,
				    TAPXFER_CMD_HOLD, HOLD, BYTES,
				    variant->end == DEADLINE ? scaled_ms(2500) : 0));
	CLOSE();
	bytes = xfer_queue_u64(&self->x, 0, TAPXFER_A_QUEUE_HELD_BYTES);
	ASSERT_EQ(0, vhost_backend(&self->v, VHOST_RX, -1));
	ASSERT_EQ(0, xfer_get(&self->x));
	EXPECT_EQ(variant->taken,
		  xfer_queue_u64(&self->x, 0, TAPXFER_A_QUEUE_PUT_BACK));
	EXPECT_EQ(self->accepted + variant->taken,
		  xfer_queue_u64(&self->x, 0, TAPXFER_A_QUEUE_HELD));
	/* of one size, all of them */
	EXPECT_EQ(bytes + bytes / self->accepted * variant->taken,
		  xfer_queue_u64(&self->x, 0, TAPXFER_A_QUEUE_HELD_BYTES));

	ASSERT_EQ(0, end(&self->x, variant->end));
	/* it is open again, to the hold: they go behind what was held */
	ASSERT_EQ(0, sender_send(&self->s, more));
	EXPECT_EQ(1, self->s.dropped);
	EXPECT_EQ(self->accepted + variant->taken + more,
		  tap_read_all(&self->tap, &self->t));
	EXPECT_ALL_BUT_ONE();
	/* and round the ring, and when it has shrunk */
	ASSERT_EQ(0, sender_send(&self->s, more));
	EXPECT_EQ(more, tap_read_all(&self->tap, &self->t));
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
	ASSERT_EQ(0, sender_send(&self->s, ROOM));
	EXPECT_EQ(ROOM, tap_read_all(&self->tap, &self->t));
	EXPECT_ALL_BUT_ONE();
}

static void nothing(int sig)
{
}

/*
 * A reader that sleeps in the driver since before the prepare, and that a signal
 * wakes, finds the first of the packets that were given back.
 */
TEST_F(closed, queue_that_is_read_gives_the_rest_in_order)
{
	struct waiter w = { .op = WAITER_READ };
	uint32_t gone = variant->taken ? variant->taken - 1 : 0;
	struct sigaction sa = { .sa_handler = nothing, .sa_flags = SA_RESTART };
	uint32_t left;

	ASSERT_EQ(0, sigaction(SIGUSR1, &sa, NULL));
	VHOST_TAKES();
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, false));
	w.fd = self->tap.fds[0];
	ASSERT_EQ(0, waiter_start(&w));
	ASSERT_EQ(0, xfer_begin_raw(&self->x, &self->g, &self->tap,
				    TAPXFER_CMD_HOLD, HOLD, BYTES,
				    variant->end == DEADLINE ? scaled_ms(2500) : 0));
	CLOSE();
	ASSERT_EQ(0, vhost_backend(&self->v, VHOST_RX, -1));
	pthread_kill(w.thread, SIGUSR1);
	if (variant->taken) {
		ASSERT_TRUE(waiter_wait(&w, SOON_MS));
		ASSERT_EQ(self->tap.hdr + PACKET_LEN, w.ret);
	}
	/* nobody reads it now, so it stays closed */
	ASSERT_EQ(0, sender_send(&self->s, 1));
	EXPECT_EQ(2, self->s.dropped);

	ASSERT_EQ(0, end(&self->x, variant->end));
	if (!variant->taken)
		ASSERT_TRUE(waiter_wait(&w, SOON_MS));
	tally_add(&self->t, 0, w.packet + self->tap.hdr, w.ret - self->tap.hdr);
	left = self->accepted - !variant->taken;
	EXPECT_EQ(left, tap_read_all(&self->tap, &self->t));
	/* what it found came first, then what was held, with nothing missing */
	EXPECT_EQ(gone + 2, tally_lost(&self->t, self->s.seq));
	EXPECT_EQ(0, self->t.dup + self->t.reordered + self->t.foreign);

	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
	ASSERT_EQ(0, sender_send(&self->s, ROOM));
	EXPECT_EQ(2, self->s.dropped);
	EXPECT_EQ(ROOM, tap_read_all(&self->tap, &self->t));
	EXPECT_EQ(0, self->t.reordered);
}

/* Detaching a queue purges it, the driver says: what it sees of it. */
TEST_F(closed, queue_that_is_detached_loses_nothing_but_its_packets)
{
	VHOST_TAKES();
	ASSERT_EQ(0, xfer_begin_raw(&self->x, &self->g, &self->tap,
				    TAPXFER_CMD_HOLD, HOLD, BYTES,
				    variant->end == DEADLINE ? scaled_ms(2500) : 0));
	CLOSE();
	ASSERT_EQ(0, vhost_backend(&self->v, VHOST_RX, -1));
	ASSERT_EQ(0, tap_detach(self->tap.fds[0], true));
	ASSERT_EQ(0, tap_detach(self->tap.fds[0], false));
	ASSERT_EQ(0, sender_send(&self->s, 3));
	ASSERT_EQ(0, end(&self->x, variant->end));
	ASSERT_LE(0, tap_read_all(&self->tap, &self->t));
	EXPECT_EQ(0, self->t.dup + self->t.reordered + self->t.foreign);
	/* without a packet given back, the purge saw none */
	if (!variant->taken)
		EXPECT_EQ(self->accepted, self->t.got);
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
	self->s.dropped = 0;
	ASSERT_EQ(0, sender_send(&self->s, ROOM));
	EXPECT_EQ(0, self->s.dropped);
	EXPECT_EQ(ROOM, tap_read_all(&self->tap, &self->t));
	EXPECT_EQ(0, self->t.reordered);
}

TEST_HARNESS_MAIN
