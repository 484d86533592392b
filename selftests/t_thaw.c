// SPDX-License-Identifier: GPL-2.0
/*
 * G8: after the thaw everything is as if there had been no handover, and
 * whoever waited was woken.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#include <kselftest_harness.h>

#include "flow.h"
#include "net.h"
#include "tap.h"
#include "util.h"
#include "waiter.h"
#include "xfer.h"

#define MAX_SEQ	(1 << 16)

/* What every fixture here has */
#define COMMON \
	struct tap tap; \
	struct xfer x; \
	struct sender s; \
	struct tally t

#define COMMON_SETUP(queues) do { \
	ASSERT_EQ(0, net_isolate()); \
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", queues, TAP_VM)); \
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, true)); \
	ASSERT_EQ(0, xfer_open(&self->x)); \
	ASSERT_EQ(0, sender_open(&self->s, self->tap.ifindex, 64)); \
	ASSERT_EQ(0, tally_init(&self->t, MAX_SEQ)); \
} while (0)

#define COMMON_TEARDOWN() do { \
	xfer_close(&self->x); \
	link_delete("tap0"); \
	tap_close(&self->tap); \
	sender_close(&self->s); \
	tally_free(&self->t); \
} while (0)

#define FREEZE(hold) \
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, \
				hold, 0))

static bool unused(void)
{
	return wait_until(module_users() == 0, SOON_MS);
}

FIXTURE(ring) {
	COMMON;
};

FIXTURE_VARIANT(ring) {
	int queues;
	int len;		/* tx_queue_len, 0: the default */
	uint32_t hold;
};

FIXTURE_VARIANT_ADD(ring, of_1000_4_queues) {
	.queues = 4,
};

FIXTURE_VARIANT_ADD(ring, of_1000_1_queue) {
	.queues = 1,
};

FIXTURE_VARIANT_ADD(ring, of_77_4_queues) {
	.queues = 4, .len = 77,
};

/* the parked ring is smaller than the plain one */
FIXTURE_VARIANT_ADD(ring, of_1500_holding_100) {
	.queues = 2, .len = 1500, .hold = 100,
};

FIXTURE_SETUP(ring)
{
	COMMON_SETUP(variant->queues);
	if (variant->len)
		ASSERT_EQ(0, link_set_txqlen("tap0", variant->len));
}

FIXTURE_TEARDOWN(ring)
{
	COMMON_TEARDOWN();
}

/* Offer each queue so many; what it takes, less what is queued already. */
#define FILL(n) do { \
	for (q = 0; q < variant->queues; q++) \
		for (i = 0; i < (n); i++) \
			ASSERT_EQ(0, sender_send_flow(&self->s, flow_of[q])); \
} while (0)

/* Few are held and none is read: what fits then, to the packet. */
TEST_F(ring, is_back_at_tx_queue_len)
{
	uint32_t len = variant->len ?: TAP_RING, i;
	int flow_of[TAP_MAX], q;

	ASSERT_EQ(0, flows_learn(&self->s, &self->tap, &self->t, flow_of));
	FREEZE(variant->hold);
	FILL(5);
	ASSERT_EQ(0, xfer_finish(&self->x));
	EXPECT_TRUE(unused());

	FILL(len - 5 + 50);
	EXPECT_EQ(50 * variant->queues, self->s.dropped);
	EXPECT_EQ(len * variant->queues, tap_read_all(&self->tap, &self->t));
	EXPECT_EQ(self->s.dropped, tally_lost(&self->t, self->s.seq));
	EXPECT_EQ(0, self->t.dup + self->t.reordered + self->t.foreign);
}

/*
 * More are held than it has room for, and all are read. A ring gives the room
 * of what was read back in batches, so that it may take less than its length.
 */
TEST_F(ring, is_back_at_tx_queue_len_after_more_than_that)
{
	const uint32_t batch = 16;
	uint32_t len = variant->len ?: TAP_RING, i;
	uint32_t held = variant->hold ?: len + 200;
	int flow_of[TAP_MAX], q;
	int64_t ended;

	ASSERT_EQ(0, flows_learn(&self->s, &self->tap, &self->t, flow_of));
	FREEZE(variant->hold);
	FILL(held);
	ASSERT_EQ(0, self->s.dropped);
	ASSERT_EQ(0, xfer_finish(&self->x));
	ended = now_ms();
	ASSERT_EQ(held * variant->queues, tap_read_all(&self->tap, &self->t));
	EXPECT_EQ(0, tally_lost(&self->t, self->s.seq));
	EXPECT_TRUE(unused());
	/* Who is slower is not waited for: the next handover sees to it then. */
	if (now_ms() - ended > 4000) {
		FREEZE(variant->hold);
		ASSERT_EQ(0, xfer_finish(&self->x));
		EXPECT_TRUE(unused());
	}

	memset(self->t.count, 0, sizeof(self->t.count));
	FILL(len + 50);
	ASSERT_LT(0, tap_read_all(&self->tap, &self->t));
	for (q = 0; q < variant->queues; q++) {
		EXPECT_GE(len, self->t.count[q]);
		EXPECT_LT(len - batch, self->t.count[q]);
	}
	EXPECT_EQ(self->s.dropped, tally_lost(&self->t, self->s.seq));
	EXPECT_EQ(0, self->t.dup + self->t.reordered + self->t.foreign);
}

FIXTURE(thaw) {
	COMMON;
};

FIXTURE_SETUP(thaw)
{
	COMMON_SETUP(4);
}

FIXTURE_TEARDOWN(thaw)
{
	COMMON_TEARDOWN();
}

/* Not only when it has drained: what comes right after the end has room, too. */
TEST_F(thaw, a_small_hold_leaves_a_ring_of_the_devices_length)
{
	int flow_of[TAP_MAX], i, n;

	ASSERT_EQ(0, flows_learn(&self->s, &self->tap, &self->t, flow_of));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, xfer_begin(&self->x, &self->tap,
					TAPXFER_STATE_FROZEN, 8, 0));
		/* none, some, and so many that it is full */
		for (n = 0; n < 4 * i; n++)
			ASSERT_EQ(0, sender_send_flow(&self->s, flow_of[0]));
		ASSERT_EQ(0, xfer_abort(&self->x));
		for (; n < TAP_RING; n++)
			ASSERT_EQ(0, sender_send_flow(&self->s, flow_of[0]));
		EXPECT_EQ(0, self->s.dropped);
		EXPECT_EQ(TAP_RING, tap_read_all(&self->tap, &self->t));
	}
	EXPECT_EQ(0, tally_lost(&self->t, self->s.seq));
	EXPECT_EQ(0, self->t.dup + self->t.reordered);
}

/* A ring that shrinks before what it holds fits would lose some. */
TEST_F(thaw, shrinks_a_ring_when_its_reader_has_caught_up)
{
	int flow_of[TAP_MAX], i;

	ASSERT_EQ(0, flows_learn(&self->s, &self->tap, &self->t, flow_of));
	FREEZE(0);
	for (i = 0; i < 3 * TAP_RING; i++)
		ASSERT_EQ(0, sender_send_flow(&self->s, flow_of[0]));
	ASSERT_EQ(0, xfer_finish(&self->x));

	/* too many: it drains, and takes more */
	EXPECT_EQ(TAPXFER_STATE_DRAINING, xfer_state(&self->x));
	EXPECT_LT(0, module_users());
	ASSERT_EQ(0, sender_send_flow(&self->s, flow_of[0]));
	EXPECT_EQ(0, self->s.dropped);
	/* nothing but an end is left for it */
	EXPECT_EQ(-ENOENT, xfer_thaw(&self->x));
	EXPECT_EQ(-ENOENT, xfer_abort(&self->x));

	/* one too many, still */
	for (i = 0; i < 2 * TAP_RING; i++)
		ASSERT_EQ(1, tap_read_one(&self->tap, 0, &self->t));
	ASSERT_EQ(0, sender_send_flow(&self->s, flow_of[0]));
	EXPECT_EQ(0, self->s.dropped);
	EXPECT_EQ(TAP_RING + 2, tap_read_all(&self->tap, &self->t));
	EXPECT_EQ(0, tally_lost(&self->t, self->s.seq));
	EXPECT_EQ(0, self->t.dup + self->t.reordered);
	EXPECT_TRUE(unused());
	EXPECT_EQ(-ENOENT, xfer_state(&self->x));
	for (i = 0; i < TAP_RING + 1; i++)
		ASSERT_EQ(0, sender_send_flow(&self->s, flow_of[0]));
	EXPECT_LT(0, self->s.dropped);
}

/*
 * Another handover of the device that ends before its hold has nothing to bring
 * back, and does not know what is left of the first one.
 */
TEST_F_TIMEOUT(thaw, goes_on_draining_when_the_next_one_is_only_prepared, 120)
{
	const uint32_t held = 2 * TAP_RING;
	int flow_of[TAP_MAX];
	struct xfer next;
	uint32_t i;

	ASSERT_EQ(0, xfer_open(&next));
	ASSERT_EQ(0, flows_learn(&self->s, &self->tap, &self->t, flow_of));
	FREEZE(0);
	for (i = 0; i < held; i++)
		ASSERT_EQ(0, sender_send_flow(&self->s, flow_of[0]));
	ASSERT_EQ(0, xfer_finish(&self->x));

	ASSERT_EQ(0, xfer_begin(&next, &self->tap, TAPXFER_STATE_PREPARED, 1, 0));
	usleep(scaled_ms(100) * 1000);
	EXPECT_EQ(TAPXFER_STATE_DRAINING, xfer_state(&self->x));
	ASSERT_EQ(0, xfer_abort(&next));
	/* that one has gone, this one stays, also when nobody has read for long */
	EXPECT_TRUE(wait_until(xfer_state(&next) == -ENOENT, SOON_MS));
	usleep(7 * 1000 * 1000);
	EXPECT_EQ(TAPXFER_STATE_DRAINING, xfer_state(&self->x));
	EXPECT_EQ(held, tap_read_all(&self->tap, &self->t));
	EXPECT_EQ(0, tally_lost(&self->t, self->s.seq));
	EXPECT_TRUE(unused());

	/* and one that holds takes over */
	FREEZE(0);
	for (i = 0; i < held; i++)
		ASSERT_EQ(0, sender_send_flow(&self->s, flow_of[0]));
	ASSERT_EQ(0, xfer_finish(&self->x));
	ASSERT_EQ(0, xfer_begin(&next, &self->tap, TAPXFER_STATE_HOLDING, 0, 0));
	EXPECT_TRUE(wait_until(xfer_state(&self->x) == -ENOENT, SOON_MS));
	ASSERT_EQ(0, xfer_abort(&next));
	EXPECT_EQ(TAPXFER_STATE_DRAINING, xfer_state(&next));
	EXPECT_EQ(held, tap_read_all(&self->tap, &self->t));
	EXPECT_EQ(0, tally_lost(&self->t, self->s.seq));
	EXPECT_EQ(0, self->t.dup + self->t.reordered);
	next.id = 0;
	xfer_close(&next);
}

/* What the device has dropped and the sender was not told of */
static uint64_t trimmed(const struct sender *s)
{
	struct link_stats stats;

	return link_stats("tap0", &stats) ? 0 : stats.tx_dropped - s->dropped;
}

/*
 * For some time it has room for who catches up. Then for what was held, and as that
 * is read for ever less: what comes is charged to nobody, and was not to be held.
 */
TEST_F_TIMEOUT(thaw, keeps_what_was_held_and_nobody_reads, 120)
{
	const uint32_t held = 2 * TAP_RING, more = 100;
	int flow_of[TAP_MAX];
	uint32_t i, lost;

#define SEND(n) do { \
	for (i = 0; i < (n); i++) \
		ASSERT_EQ(0, sender_send_flow(&self->s, flow_of[0])); \
} while (0)

	ASSERT_EQ(0, flows_learn(&self->s, &self->tap, &self->t, flow_of));
	FREEZE(0);
	SEND(held);
	ASSERT_EQ(0, xfer_finish(&self->x));
	SEND(more);
	EXPECT_EQ(0, self->s.dropped);
	EXPECT_TRUE(wait_until(trimmed(&self->s) == more, scaled_ms(40000)));
	SEND(1);
	EXPECT_EQ(1, self->s.dropped);
	EXPECT_EQ(TAPXFER_STATE_DRAINING, xfer_state(&self->x));

	/* what is read makes room, until the ring is looked at */
	for (i = 0; i < held / 4; i++)
		ASSERT_EQ(1, tap_read_one(&self->tap, 0, &self->t));
	SEND(held / 4);
	lost = more + 1 + held / 4;
	EXPECT_TRUE(wait_until(trimmed(&self->s) + self->s.dropped == lost,
			       SOON_MS));

	/* and with no more than the ring has room for it is over */
	for (i = 0; i < held / 4; i++)
		ASSERT_EQ(1, tap_read_one(&self->tap, 0, &self->t));
	EXPECT_TRUE(unused());
	EXPECT_EQ(-ENOENT, xfer_state(&self->x));
	EXPECT_EQ(held / 2, tap_read_all(&self->tap, &self->t));
	EXPECT_EQ(lost, tally_lost(&self->t, self->s.seq));
	EXPECT_EQ(0, self->t.dup + self->t.reordered);
	SEND(TAP_RING + 1);
	EXPECT_EQ(lost + 1, trimmed(&self->s) + self->s.dropped);
}

/*
 * A guest that has more to catch up with than it does in that time has more time,
 * but no more memory than was charged.
 */
TEST_F_TIMEOUT(thaw, keeps_its_room_for_a_slow_reader, 120)
{
	const uint32_t held = 3 * TAP_RING, more = TAP_RING;
	int flow_of[TAP_MAX];
	int64_t end;
	uint32_t i;

	ASSERT_EQ(0, flows_learn(&self->s, &self->tap, &self->t, flow_of));
	FREEZE(0);
	SEND(held);
	ASSERT_EQ(0, xfer_finish(&self->x));
	end = now_ms() + 7000;
	/* these are read, and the next have their place */
	for (i = 0; i < more; i++)
		ASSERT_EQ(1, tap_read_one(&self->tap, 0, &self->t));
	SEND(more);
	while (now_ms() < end) {
		ASSERT_EQ(1, tap_read_one(&self->tap, 0, &self->t));
		usleep(100000);
	}
	EXPECT_EQ(0, trimmed(&self->s) + self->s.dropped);

	SEND(2 * more);
	EXPECT_EQ(0, self->s.dropped);
	ASSERT_EQ(1, tap_read_one(&self->tap, 0, &self->t));
	EXPECT_TRUE(wait_until(trimmed(&self->s) > more, scaled_ms(40000)));
	tap_read_all(&self->tap, &self->t);
	EXPECT_EQ(trimmed(&self->s), tally_lost(&self->t, self->s.seq));
	EXPECT_EQ(0, self->t.dup + self->t.reordered);
	EXPECT_TRUE(unused());
}

/* Who has no files any more need not read. */
TEST_F_TIMEOUT(thaw, lets_go_of_a_ring_that_nobody_can_read, 80)
{
	FREEZE(0);
	ASSERT_EQ(0, sender_send(&self->s, 8 * TAP_RING));
	ASSERT_EQ(0, xfer_finish(&self->x));
	ASSERT_EQ(0, sender_send(&self->s, 64));
	EXPECT_TRUE(wait_until(trimmed(&self->s) > 0, scaled_ms(40000)));
	EXPECT_LT(0, module_users());
	tap_close(&self->tap);
	EXPECT_TRUE(unused());
	EXPECT_TRUE(wait_until(!if_nametoindex("tap0"), SOON_MS));
}

/* The next handover may come before the last one's rings have shrunk. */
TEST_F(thaw, can_be_followed_by_the_next_handover_at_once)
{
	uint32_t sent = 0;
	int i;

	for (i = 0; i < 5; i++) {
		FREEZE(0);
		ASSERT_EQ(0, sender_send(&self->s, 2 * TAP_RING));
		sent += 2 * TAP_RING;
		ASSERT_EQ(0, xfer_finish(&self->x));
		ASSERT_EQ(1, tap_read_one(&self->tap, i % 4, &self->t));
	}
	EXPECT_EQ(sent - 5, tap_read_all(&self->tap, &self->t));
	EXPECT_EQ(0, self->s.dropped);
	EXPECT_EQ(0, tally_lost(&self->t, sent));
	EXPECT_EQ(0, self->t.dup + self->t.reordered);
	EXPECT_TRUE(unused());
}

/* A ring of no length at all is legal, and holds while it is held. */
TEST_F(thaw, of_a_device_without_a_queue_length)
{
	ASSERT_EQ(0, link_set_txqlen("tap0", 0));
	ASSERT_EQ(0, sender_send(&self->s, 1));
	ASSERT_EQ(1, self->s.dropped);
	FREEZE(0);
	ASSERT_EQ(0, sender_send(&self->s, 100));
	ASSERT_EQ(1, self->s.dropped);
	ASSERT_EQ(0, xfer_finish(&self->x));
	EXPECT_EQ(100, tap_read_all(&self->tap, &self->t));
	EXPECT_TRUE(unused());
	ASSERT_EQ(0, sender_send(&self->s, 1));
	EXPECT_EQ(2, self->s.dropped);
	ASSERT_EQ(0, link_set_txqlen("tap0", TAP_RING));
	ASSERT_EQ(0, sender_send(&self->s, 10));
	EXPECT_EQ(10, tap_read_all(&self->tap, &self->t));
}

TEST_F(thaw, leaves_nothing_between_the_files_and_the_driver)
{
	int sndbuf = 99999, hdr = 12;
	struct capture c;
	int q;

	ASSERT_EQ(0, capture_open(&c, self->tap.ifindex));
	FREEZE(0);
	ASSERT_EQ(0, sender_send(&self->s, 100));
	ASSERT_EQ(0, xfer_finish(&self->x));
	ASSERT_TRUE(unused());

	/* nothing of the module's is on the files' way: it can go */
	ASSERT_EQ(0, shell("rmmod tapxfer"));
	EXPECT_EQ(-1, access("/sys/module/tapxfer", F_OK));
	EXPECT_EQ(100, tap_read_all(&self->tap, &self->t));
	for (q = 0; q < 4; q++) {
		EXPECT_EQ(0, ioctl(self->tap.fds[q], TUNSETSNDBUF, &sndbuf));
		EXPECT_EQ(0, ioctl(self->tap.fds[q], TUNSETVNETHDRSZ, &hdr));
		EXPECT_EQ(0, tap_write_one(&self->tap, q, q));
	}
	EXPECT_EQ(4, capture_read(&c));
	ASSERT_EQ(0, sender_send(&self->s, 100));
	EXPECT_EQ(100, tap_read_all(&self->tap, &self->t));

	ASSERT_EQ(0, shell("modprobe tapxfer"));
	xfer_close(&self->x);
	ASSERT_EQ(0, xfer_open(&self->x));
	FREEZE(0);
	ASSERT_EQ(0, xfer_finish(&self->x));
	EXPECT_EQ(0, tally_lost(&self->t, 200));
	capture_close(&c);
}

/* Not while a handover is under way. */
TEST_F(thaw, and_nothing_before_it_lets_the_module_go)
{
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_PREPARED, 0,
				0));
	EXPECT_LT(0, module_users());
	EXPECT_NE(0, shell("rmmod tapxfer 2>/dev/null"));
	ASSERT_EQ(0, xfer_freeze(&self->x));
	EXPECT_NE(0, shell("rmmod tapxfer 2>/dev/null"));
	ASSERT_EQ(0, xfer_finish(&self->x));
	EXPECT_TRUE(unused());
}

/* -- who waits ------------------------------------------------------------ */

/*
 * One who sleeps nowhere, and wants a signal. Not of the first queue: the module
 * polls it once to learn how polls look, which makes the driver send one anyway.
 */
TEST_F(thaw, signals_who_asked_for_sigio)
{
	struct timespec soon = { .tv_sec = SOON_MS / 1000 }, now = {};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	ASSERT_EQ(0, sigprocmask(SIG_BLOCK, &set, NULL));
	ASSERT_EQ(0, fcntl(self->tap.fds[1], F_SETOWN, getpid()));
	ASSERT_EQ(0, fcntl(self->tap.fds[1], F_SETFL, O_NONBLOCK | O_ASYNC));
	FREEZE(0);
	EXPECT_EQ(-EAGAIN, tap_write_one(&self->tap, 1, 0));
	while (sigtimedwait(&set, NULL, &now) == SIGIO)
		;
	ASSERT_EQ(0, xfer_finish(&self->x));
	EXPECT_EQ(SIGIO, sigtimedwait(&set, NULL, &soon));
	EXPECT_EQ(0, tap_write_one(&self->tap, 1, 0));
}

FIXTURE(wake) {
	COMMON;
	int ep;
};

FIXTURE_VARIANT(wake) {
	enum waiter_op op;
	uint32_t events;	/* of an epoll */
	bool abort;
};

FIXTURE_VARIANT_ADD(wake, read) {
	.op = WAITER_READ,
};

FIXTURE_VARIANT_ADD(wake, poll_in) {
	.op = WAITER_POLL_IN,
};

FIXTURE_VARIANT_ADD(wake, poll_out) {
	.op = WAITER_POLL_OUT,
};

FIXTURE_VARIANT_ADD(wake, epoll_level_in) {
	.op = WAITER_EPOLL, .events = EPOLLIN,
};

FIXTURE_VARIANT_ADD(wake, epoll_level_out) {
	.op = WAITER_EPOLL, .events = EPOLLOUT,
};

FIXTURE_VARIANT_ADD(wake, epoll_edge_in) {
	.op = WAITER_EPOLL, .events = EPOLLIN | EPOLLET,
};

FIXTURE_VARIANT_ADD(wake, epoll_edge_out) {
	.op = WAITER_EPOLL, .events = EPOLLOUT | EPOLLET,
};

FIXTURE_VARIANT_ADD(wake, by_abort_poll_in) {
	.op = WAITER_POLL_IN, .abort = true,
};

FIXTURE_VARIANT_ADD(wake, by_abort_epoll_edge_out) {
	.op = WAITER_EPOLL, .events = EPOLLOUT | EPOLLET, .abort = true,
};

FIXTURE_SETUP(wake)
{
	COMMON_SETUP(2);
	self->ep = epoll_create1(EPOLL_CLOEXEC);
	ASSERT_LE(0, self->ep);
}

FIXTURE_TEARDOWN(wake)
{
	close(self->ep);
	COMMON_TEARDOWN();
}

#define END() \
	ASSERT_EQ(0, variant->abort ? xfer_abort(&self->x) : \
				      xfer_finish(&self->x))

#define WATCH() do { \
	struct epoll_event ev_ = { .events = variant->events }; \
	if (variant->op == WAITER_EPOLL) \
		ASSERT_EQ(0, epoll_ctl(self->ep, EPOLL_CTL_ADD, \
				       self->tap.fds[1], &ev_)); \
} while (0)

/* Not by a packet that comes after the thaw: by one that waits for it. */
TEST_F(wake, who_began_to_wait_while_frozen)
{
	struct waiter w = {
		.op = variant->op,
		.fd = variant->op == WAITER_EPOLL ? self->ep :
						    self->tap.fds[1],
	};

	ASSERT_EQ(0, tap_set_nonblock(&self->tap, variant->op != WAITER_READ));
	FREEZE(0);
	ASSERT_EQ(0, sender_send(&self->s, 64));
	WATCH();
	ASSERT_EQ(0, waiter_start(&w));
	END();
	ASSERT_TRUE(waiter_wait(&w, SOON_MS));
	EXPECT_LT(0, w.ret);
	if (variant->op == WAITER_POLL_IN)
		EXPECT_EQ(POLLIN, w.events);
	if (variant->op == WAITER_POLL_OUT)
		EXPECT_EQ(POLLOUT, w.events);
	if (variant->op == WAITER_EPOLL)
		EXPECT_EQ(variant->events & ~EPOLLET, w.events);
}

/* The queue's first packet may come after the end, or never. */
TEST_F(wake, who_waits_on_a_queue_that_holds_nothing_stays_asleep_for_in)
{
	struct waiter w = {
		.op = variant->op,
		.fd = variant->op == WAITER_EPOLL ? self->ep :
						    self->tap.fds[1],
	};
	bool out = variant->op == WAITER_POLL_OUT ||
		   (variant->events & EPOLLOUT);

	ASSERT_EQ(0, tap_set_nonblock(&self->tap, variant->op != WAITER_READ));
	WATCH();
	FREEZE(0);
	if (variant->op == WAITER_EPOLL && (variant->events & EPOLLET)) {
		/* the edge that lies before the freeze does not count */
		struct epoll_event ev;

		epoll_wait(self->ep, &ev, 1, 0);
	}
	ASSERT_EQ(0, waiter_start(&w));
	END();
	if (!out) {
		/* in the driver: nobody keeps the module by waiting */
		ASSERT_TRUE(unused());
		ASSERT_TRUE(wait_until(waiter_sleeps(&w), SOON_MS));
		ASSERT_EQ(0, sender_send(&self->s, 64));
	}
	ASSERT_TRUE(waiter_wait(&w, SOON_MS));
	EXPECT_LT(0, w.ret);
}

/*
 * A tap in a bridge whose other port sends nothing on until it is let go: what
 * is written stays charged to the queue file.
 */
FIXTURE(room) {
	COMMON;
	struct waiter w;
	uint8_t packet[PACKET_MAX];
};

FIXTURE_VARIANT(room) {
	enum waiter_op op;
	bool room_while_frozen;
	bool abort;
};

FIXTURE_VARIANT_ADD(room, write_room_comes_while_frozen) {
	.op = WAITER_WRITE, .room_while_frozen = true,
};

FIXTURE_VARIANT_ADD(room, write_room_comes_after_the_thaw) {
	.op = WAITER_WRITE,
};

FIXTURE_VARIANT_ADD(room, poll_room_comes_while_frozen) {
	.op = WAITER_POLL_OUT, .room_while_frozen = true,
};

FIXTURE_VARIANT_ADD(room, poll_room_comes_after_the_thaw) {
	.op = WAITER_POLL_OUT,
};

FIXTURE_VARIANT_ADD(room, write_room_comes_while_frozen_abort) {
	.op = WAITER_WRITE, .room_while_frozen = true, .abort = true,
};

FIXTURE_SETUP(room)
{
	int sndbuf = 20000;

	COMMON_SETUP(1);
	ASSERT_EQ(0, ioctl(self->tap.fds[0], TUNSETSNDBUF, &sndbuf));
	ASSERT_EQ(0, shell("ip link add br0 type bridge && "
			   "ip link add port0 type dummy && "
			   "ip link set port0 master br0 up && "
			   "ip link set tap0 master br0 && "
			   "ip link set br0 up && "
			   "tc qdisc add dev port0 root tbf rate 8bit burst 1600 limit 1000000"));
}

FIXTURE_TEARDOWN(room)
{
	COMMON_TEARDOWN();
}

#define GIVE_ROOM()	ASSERT_EQ(0, shell("tc qdisc del dev port0 root"))

TEST_F(room, wakes_a_writer)
{
	struct capture c;
	uint32_t n = 0;

	ASSERT_EQ(0, capture_open(&c, self->tap.ifindex));
	while (tap_write_one(&self->tap, 0, n) == 0)
		ASSERT_GT(10000, ++n);
	ASSERT_LT(1, n);
	ASSERT_EQ(n, capture_read(&c));
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, false));

	self->w.op = variant->op;
	self->w.fd = self->tap.fds[0];
	self->w.buf = self->packet;
	self->w.len = self->tap.hdr +
		      packet_make(self->packet + self->tap.hdr, 0, n);
	ASSERT_EQ(0, waiter_start(&self->w));
	FREEZE(0);
	if (variant->room_while_frozen) {
		GIVE_ROOM();
		EXPECT_TRUE(wait_until(waiter_sleeps(&self->w), SOON_MS));
		EXPECT_EQ(0, capture_read(&c));
	}
	END();
	if (!variant->room_while_frozen) {
		EXPECT_TRUE(wait_until(waiter_sleeps(&self->w), SOON_MS));
		EXPECT_EQ(0, capture_read(&c));
		GIVE_ROOM();
	}
	ASSERT_TRUE(waiter_wait(&self->w, SOON_MS));
	if (variant->op == WAITER_WRITE) {
		EXPECT_EQ(self->w.len, self->w.ret);
		EXPECT_EQ(1, capture_read(&c));
		EXPECT_EQ(0, tally_lost(&c.t, n + 1));
	} else {
		EXPECT_EQ(POLLOUT, self->w.events);
	}
	capture_close(&c);
}

TEST_HARNESS_MAIN
