// SPDX-License-Identifier: GPL-2.0
/*
 * G1: from the hold to the thaw readers see nothing, and nothing is lost.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/uio.h>

#include <kselftest_harness.h>

#include "flow.h"
#include "net.h"
#include "tap.h"
#include "util.h"
#include "waiter.h"
#include "xfer.h"

/* So many that every queue gets some, whatever the hash is keyed with */
#define FLOWS		64
#define MAX_SEQ		(1 << 20)

FIXTURE(hold) {
	struct tap tap;
	struct xfer x;
	struct sender s;
	struct tally t;
};

FIXTURE_VARIANT(hold) {
	int queues;
	int flags;
	bool nonblock;
	enum tapxfer_state state;
};

FIXTURE_VARIANT_ADD(hold, held_4_queues) {
	.queues = 4, .flags = TAP_VM, .nonblock = true,
	.state = TAPXFER_STATE_HOLDING,
};

FIXTURE_VARIANT_ADD(hold, frozen_4_queues) {
	.queues = 4, .flags = TAP_VM, .nonblock = true,
	.state = TAPXFER_STATE_FROZEN,
};

FIXTURE_VARIANT_ADD(hold, frozen_4_queues_blocking) {
	.queues = 4, .flags = TAP_VM, .nonblock = false,
	.state = TAPXFER_STATE_FROZEN,
};

/* no multiqueue, no virtio_net_hdr */
FIXTURE_VARIANT_ADD(hold, frozen_single_queue) {
	.queues = 1, .flags = IFF_TAP | IFF_NO_PI, .nonblock = true,
	.state = TAPXFER_STATE_FROZEN,
};

FIXTURE_SETUP(hold)
{
	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", variant->queues,
			      variant->flags));
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, variant->nonblock));
	ASSERT_EQ(0, xfer_open(&self->x));
	ASSERT_EQ(0, sender_open(&self->s, self->tap.ifindex, FLOWS));
	ASSERT_EQ(0, tally_init(&self->t, MAX_SEQ));
}

FIXTURE_TEARDOWN(hold)
{
	xfer_close(&self->x);
	link_delete("tap0");
	tap_close(&self->tap);
	sender_close(&self->s);
	tally_free(&self->t);
}

/* To the variant's state. */
#define BEGIN(hold) \
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, variant->state, hold, 0))

/* On to the thaw, from whatever state. */
#define FINISH() do { \
	if (variant->state == TAPXFER_STATE_HOLDING) \
		ASSERT_EQ(0, xfer_freeze(&self->x)); \
	ASSERT_EQ(0, xfer_finish(&self->x)); \
} while (0)

#define EXPECT_ALL_IN_ORDER() do { \
	EXPECT_EQ(0, tally_lost(&self->t, self->s.seq)); \
	EXPECT_EQ(0, self->t.dup); \
	EXPECT_EQ(0, self->t.reordered); \
	EXPECT_EQ(0, self->t.foreign); \
} while (0)

/* More than the plain ring has room for waits for the thaw. */
TEST_F(hold, delivers_all_in_order_past_the_ring_size)
{
	uint32_t before = 100 * variant->queues;
	uint32_t during = 3 * TAP_RING * variant->queues;
	uint64_t held = 0;
	int q;

	/* some read, some still in the ring when it is parked */
	ASSERT_EQ(0, sender_send(&self->s, before));
	ASSERT_EQ(before, tap_read_all(&self->tap, &self->t));
	ASSERT_EQ(0, sender_send(&self->s, before));

	BEGIN(0);
	ASSERT_EQ(0, sender_send(&self->s, during));
	ASSERT_EQ(0, self->s.dropped);

	ASSERT_EQ(0, xfer_get(&self->x));
	EXPECT_EQ(before + during, xfer_u64(&self->x, TAPXFER_A_HANDOVER_HELD));
	for (q = 0; q < variant->queues; q++) {
		held += xfer_queue_u64(&self->x, q, TAPXFER_A_QUEUE_HELD);
		EXPECT_LT(xfer_queue_u64(&self->x, q, TAPXFER_A_QUEUE_PENDING),
			  xfer_queue_u64(&self->x, q, TAPXFER_A_QUEUE_HELD));
	}
	EXPECT_EQ(before + during, held);
	EXPECT_EQ(0, tap_read_all(&self->tap, &self->t));

	FINISH();
	EXPECT_EQ(before + during, xfer_u64(&self->x, TAPXFER_A_HANDOVER_HELD));
	EXPECT_EQ(0, xfer_u64(&self->x, TAPXFER_A_HANDOVER_DROPPED));
	/* new ones come behind those that were held */
	ASSERT_EQ(0, sender_send(&self->s, before));
	EXPECT_EQ(2 * before + during,
		  tap_read_count(&self->tap, &self->t, 2 * before + during));
	EXPECT_ALL_IN_ORDER();
}

/* A ring whose readers and writers have gone round, and stand anywhere */
TEST_F(hold, parks_a_ring_in_the_middle)
{
	int turn;

	for (turn = 0; turn < 5; turn++) {
		ASSERT_EQ(0, sender_send(&self->s, 737));
		while (self->t.got + 31 * turn < self->s.seq)
			ASSERT_LT(0, tap_read_one(&self->tap,
						  self->s.seq % variant->queues,
						  &self->t) +
				     tap_read_all(&self->tap, &self->t));
		ASSERT_EQ(0, sender_send(&self->s, 29 * turn));
		BEGIN(0);
		ASSERT_EQ(0, sender_send(&self->s, 1301));
		EXPECT_EQ(0, tap_read_all(&self->tap, &self->t));
		FINISH();
		/* not all: the next park finds some */
		while (self->t.got + 97 < self->s.seq) {
			int q;

			for (q = 0; q < variant->queues; q++)
				ASSERT_LE(0, tap_read_one(&self->tap, q,
							  &self->t));
		}
	}
	ASSERT_LE(0, tap_read_all(&self->tap, &self->t));
	EXPECT_EQ(0, self->s.dropped);
	EXPECT_ALL_IN_ORDER();
}

/* Exactly hold packets a queue, the oldest; the driver's drops are told. */
TEST_F(hold, tells_exactly_what_did_not_fit)
{
	const uint32_t hold = 300, n = 4 * hold * variant->queues;
	struct link_stats before, after;
	int queue_of[FLOWS];
	uint32_t expect[TAP_MAX] = {};
	uint64_t fit = 0, lost = 0;
	uint32_t i, start;
	int q;

	/* which flow goes to which queue */
	for (i = 0; i < FLOWS; i++) {
		uint32_t count[TAP_MAX];

		memcpy(count, self->t.count, sizeof(count));
		ASSERT_EQ(0, sender_send(&self->s, 1));
		ASSERT_EQ(1, tap_read_all(&self->tap, &self->t));
		for (q = 0; self->t.count[q] == count[q]; q++)
			;
		queue_of[i] = q;
	}
	/* what was dropped before the hold is not of the handover's making */
	for (i = 0; i < TAP_RING + 30; i++)
		ASSERT_EQ(0, sender_send_flow(&self->s, 0));
	ASSERT_LT(0, self->s.dropped);
	ASSERT_LT(0, tap_read_all(&self->tap, &self->t));
	self->s.dropped = 0;
	start = self->s.seq;

	BEGIN(hold);
	ASSERT_EQ(0, link_stats("tap0", &before));
	ASSERT_EQ(0, sender_send(&self->s, n));
	ASSERT_EQ(0, link_stats("tap0", &after));

	/* the driver, the sender and tapxfer agree */
	EXPECT_LT(0, self->s.dropped);
	EXPECT_EQ(self->s.dropped, after.tx_dropped - before.tx_dropped);
	ASSERT_EQ(0, xfer_get(&self->x));
	EXPECT_EQ(self->s.dropped, xfer_u64(&self->x,
					    TAPXFER_A_HANDOVER_DROPPED));
	FINISH();
	EXPECT_EQ(self->s.dropped, xfer_u64(&self->x,
					    TAPXFER_A_HANDOVER_DROPPED));
	EXPECT_EQ(n - self->s.dropped, xfer_u64(&self->x,
						TAPXFER_A_HANDOVER_HELD));
	EXPECT_EQ(n - self->s.dropped, tap_read_all(&self->tap, &self->t));

	for (i = start; i < self->s.seq; i++) {
		bool fits = expect[queue_of[i % FLOWS]]++ < hold;

		if (fits)
			fit++;
		if (fits != self->t.seen[i])
			lost++;
	}
	EXPECT_EQ(fit, n - self->s.dropped);
	EXPECT_EQ(0, lost);
	EXPECT_EQ(0, self->t.reordered);
	EXPECT_EQ(0, self->t.dup);
}

TEST_F(hold, reads_of_a_nonblocking_queue_see_nothing)
{
	uint8_t buf[PACKET_MAX];
	struct iovec iov = { .iov_base = buf, .iov_len = sizeof(buf) };
	int q;

	ASSERT_EQ(0, tap_set_nonblock(&self->tap, true));
	ASSERT_EQ(0, sender_send(&self->s, 200));
	BEGIN(0);
	ASSERT_EQ(0, sender_send(&self->s, 200));

	for (q = 0; q < variant->queues; q++) {
		int fd = self->tap.fds[q];

		EXPECT_EQ(-1, read(fd, buf, sizeof(buf)));
		EXPECT_EQ(EAGAIN, errno);
		EXPECT_EQ(-1, readv(fd, &iov, 1));
		EXPECT_EQ(EAGAIN, errno);
	}
	FINISH();
	EXPECT_EQ(400, tap_read_all(&self->tap, &self->t));
	EXPECT_ALL_IN_ORDER();
}

TEST_F(hold, poll_and_epoll_see_nothing_to_read)
{
	int level = epoll_create1(EPOLL_CLOEXEC);
	int edge = epoll_create1(EPOLL_CLOEXEC);
	struct pollfd pfd[TAP_MAX];
	struct epoll_event ev[2 * TAP_MAX];
	int q;

	for (q = 0; q < variant->queues; q++) {
		struct epoll_event in = { .events = EPOLLIN };

		pfd[q].fd = self->tap.fds[q];
		pfd[q].events = POLLIN | POLLRDNORM;
		ASSERT_EQ(0, epoll_ctl(level, EPOLL_CTL_ADD, pfd[q].fd, &in));
		in.events |= EPOLLET;
		ASSERT_EQ(0, epoll_ctl(edge, EPOLL_CTL_ADD, pfd[q].fd, &in));
	}
	/* they tell of what is in the ring before the hold ... */
	ASSERT_EQ(0, sender_send(&self->s, 10 * FLOWS));
	EXPECT_EQ(variant->queues, poll(pfd, variant->queues, 0));
	EXPECT_EQ(variant->queues, epoll_wait(level, ev, 2 * TAP_MAX, 0));

	/* ... and then of nothing, though it is there, and more comes */
	BEGIN(0);
	EXPECT_EQ(0, poll(pfd, variant->queues, 0));
	EXPECT_EQ(0, epoll_wait(level, ev, 2 * TAP_MAX, 0));
	EXPECT_EQ(0, epoll_wait(edge, ev, 2 * TAP_MAX, 0));
	ASSERT_EQ(0, sender_send(&self->s, 10 * FLOWS));
	EXPECT_EQ(0, poll(pfd, variant->queues, 0));
	EXPECT_EQ(0, epoll_wait(level, ev, 2 * TAP_MAX, 0));
	EXPECT_EQ(0, epoll_wait(edge, ev, 2 * TAP_MAX, 0));

	/* the thaw is an edge */
	FINISH();
	EXPECT_EQ(variant->queues, poll(pfd, variant->queues, 0));
	EXPECT_EQ(variant->queues, epoll_wait(level, ev, 2 * TAP_MAX, 0));
	EXPECT_EQ(variant->queues, epoll_wait(edge, ev, 2 * TAP_MAX, 0));
	EXPECT_EQ(20 * FLOWS, tap_read_all(&self->tap, &self->t));
	EXPECT_ALL_IN_ORDER();
	close(level);
	close(edge);
}

/* When did the read begin that is blocked when the packets come? */
enum begun {
	BEFORE_PREPARE,
	BETWEEN_PREPARE_AND_HOLD,
	WHILE_HELD,
	BEGUN_MAX
};

TEST_F(hold, blocked_reads_get_their_packets_after_the_thaw)
{
	struct waiter w[BEGUN_MAX * TAP_MAX] = {};
	int begun, q, n = 0;

	ASSERT_EQ(0, tap_set_nonblock(&self->tap, false));
	for (begun = 0; begun < BEGUN_MAX; begun++) {
		if (begun == BETWEEN_PREPARE_AND_HOLD)
			ASSERT_EQ(0, xfer_begin(&self->x, &self->tap,
						TAPXFER_STATE_PREPARED, 0, 0));
		if (begun == WHILE_HELD &&
		    variant->state == TAPXFER_STATE_HOLDING)
			ASSERT_EQ(0, xfer_hold(&self->x));
		if (begun == WHILE_HELD &&
		    variant->state == TAPXFER_STATE_FROZEN)
			ASSERT_EQ(0, xfer_freeze(&self->x));
		for (q = 0; q < variant->queues; q++, n++) {
			w[n].op = q % 2 ? WAITER_READV : WAITER_READ;
			w[n].fd = self->tap.fds[q];
			ASSERT_EQ(0, waiter_start(&w[n]));
		}
	}

	ASSERT_EQ(0, sender_send(&self->s, 20 * FLOWS));
	while (n--)
		EXPECT_TRUE(waiter_sleeps(&w[n]));

	FINISH();
	for (n = 0; n < BEGUN_MAX * variant->queues; n++) {
		ASSERT_TRUE(waiter_wait(&w[n], SOON_MS));
		ASSERT_EQ(self->tap.hdr + PACKET_LEN, w[n].ret);
	}
	/* Three readers of one queue got its first three packets, in any order:
	 * that none is lost or came twice is what can be told.
	 */
	for (n = 0; n < BEGUN_MAX * variant->queues; n++) {
		tally_add(&self->t, n % variant->queues,
			  w[n].packet + self->tap.hdr,
			  w[n].ret - self->tap.hdr);
		self->t.last[n % variant->queues] = -1;
	}
	EXPECT_LE(0, tap_read_all(&self->tap, &self->t));
	EXPECT_EQ(0, tally_lost(&self->t, self->s.seq));
	EXPECT_EQ(0, self->t.dup);
}

/* A sleeper costs the sender nothing and the host no wakeups. */
TEST_F(hold, held_packets_wake_nobody)
{
	struct waiter w[TAP_MAX] = {};
	long sleeps[TAP_MAX];
	int q;

	ASSERT_EQ(0, tap_set_nonblock(&self->tap, false));
	/* begun before the fence: they sleep in the driver */
	for (q = 0; q < variant->queues; q++) {
		w[q].op = q % 2 ? WAITER_POLL_IN : WAITER_READ;
		w[q].fd = self->tap.fds[q];
		ASSERT_EQ(0, waiter_start(&w[q]));
	}
	BEGIN(0);
	for (q = 0; q < variant->queues; q++)
		sleeps[q] = task_sleeps(w[q].tid);

	for (q = 0; q < 50; q++) {
		ASSERT_EQ(0, sender_send(&self->s, FLOWS));
		/* who was woken has to run before it counts */
		sched_yield();
	}
	for (q = 0; q < variant->queues; q++) {
		EXPECT_TRUE(wait_until(waiter_sleeps(&w[q]), SOON_MS));
		/* the freeze's own retries may be one */
		EXPECT_LE(task_sleeps(w[q].tid), sleeps[q] + 1);
	}
	FINISH();
	for (q = 0; q < variant->queues; q++)
		EXPECT_TRUE(waiter_wait(&w[q], SOON_MS));
}

TEST_HARNESS_MAIN
