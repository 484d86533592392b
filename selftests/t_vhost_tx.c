// SPDX-License-Identifier: GPL-2.0
/*
 * Packets that a guest sends through vhost while its queue is frozen: none gets
 * into the host, and after the end each does, once and in order. vhost keeps
 * single packets; batches are kept for it.
 */
#include <errno.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <kselftest_harness.h>

#include "net.h"
#include "util.h"
#include "vhost.h"
#include "waiter.h"

#define FLOW		7
#define ROUNDS		12
#define KEEP_MAX	1024	/* the module's, packets of a queue */
#define SOME		10	/* less than a batch */

static uint64_t entered(void)
{
	struct link_stats stats;

	return link_stats("tap0", &stats) ? UINT64_MAX : stats.rx_packets;
}

static uint64_t batched(struct xfer *x)
{
	return xfer_get(x) ? UINT64_MAX :
			     xfer_queue_u64(x, 0, TAPXFER_A_QUEUE_BATCHED);
}

static int tap_set_sndbuf(int fd, int size)
{
	return ioctl(fd, TUNSETSNDBUF, &size) ? -errno : 0;
}

FIXTURE(tx) {
	struct tap tap;
	struct xfer x;
	struct vhost v;
	struct capture capture;
	struct catcher c;
	struct stall stall;
};

#define SETUP() do { \
	ASSERT_EQ(0, net_isolate()); \
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", 1, TAP_VM)); \
	ASSERT_EQ(0, xfer_open(&self->x)); \
	ASSERT_EQ(0, shell("modprobe vhost_net")); \
	ASSERT_EQ(0, vhost_open(&self->v, 0, -1)); \
	ASSERT_EQ(0, stall_open(&self->stall)); \
	ASSERT_EQ(0, vhost_add_memory(&self->v, self->stall.page, \
				      self->stall.size)); \
	ASSERT_EQ(0, capture_open(&self->capture, self->tap.ifindex)); \
	self->c.c = &self->capture; \
	self->c.flow = FLOW; \
	ASSERT_EQ(0, catcher_start(&self->c)); \
} while (0)

#define TEARDOWN() do { \
	catcher_stop(&self->c); \
	stall_close(&self->stall); \
	vhost_close(&self->v); \
	xfer_close(&self->x); \
	link_delete("tap0"); \
	tap_close(&self->tap); \
	capture_close(&self->capture); \
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS)); \
} while (0)

/* The first @n packets entered the host: these, each once, in order. */
#define EXPECT_ENTERED(n) do { \
	EXPECT_TRUE(wait_until(catcher_seen(&self->c) >= (n), SOON_MS)); \
	EXPECT_EQ((n), catcher_seen(&self->c)); \
	EXPECT_EQ(0, tally_lost(&self->capture.t, (n))); \
	EXPECT_EQ(0, self->capture.t.dup + self->capture.t.reordered + \
		     self->capture.t.foreign + self->c.lost); \
} while (0)

FIXTURE_SETUP(tx)
{
	SETUP();
}

FIXTURE_TEARDOWN(tx)
{
	TEARDOWN();
}

/* A guest that sends all the time, and how vhost hands its packets over */
FIXTURE(rate) {
	struct tap tap;
	struct xfer x;
	struct vhost v;
	struct capture capture;
	struct catcher c;
	struct stall stall;
	struct transmitter t;
};

FIXTURE_VARIANT(rate) {
	int sndbuf;		/* 0: without limit, which is when vhost batches */
	unsigned int big_every;	/* one of so many does not fit a batch */
	bool one_call;		/* freeze without a prepare of its own */
};

/* The prepare waits for batches that began before it ... */
FIXTURE_VARIANT_ADD(rate, batches) {
	.one_call = true,
};

/* ... and does not see other sends that did. */

FIXTURE_VARIANT_ADD(rate, single_packets) {
	.sndbuf = 1 << 20,
};

FIXTURE_VARIANT_ADD(rate, batches_and_single_packets) {
	.big_every = 7,
};

FIXTURE_SETUP(rate)
{
	SETUP();
	if (variant->sndbuf)
		ASSERT_EQ(0, tap_set_sndbuf(self->tap.fds[0], variant->sndbuf));
	self->t.v = &self->v;
	self->t.flow = FLOW;
	self->t.big = 5000;
	self->t.big_every = variant->big_every;
	self->t.seen = &self->c.seen[0];
	self->t.window = 4096;
}

FIXTURE_TEARDOWN(rate)
{
	TEARDOWN();
}

static bool wait_for_more(const struct catcher *c, uint64_t n)
{
	n += catcher_seen(c);
	return wait_until(catcher_seen(c) >= n, SOON_MS);
}

TEST_F(rate, nothing_enters_while_frozen_and_all_of_it_then)
{
	uint64_t at_freeze, kept = 0;
	unsigned int i;

	ASSERT_EQ(0, vhost_start(&self->v, self->tap.fds[0]));
	ASSERT_EQ(0, transmitter_start(&self->t));
	for (i = 0; i < ROUNDS; i++) {
		EXPECT_TRUE(wait_for_more(&self->c, 500));
		if (variant->one_call) {
			int err;

			/* vhost's worker may stand still within a send */
			do {
				err = xfer_begin(&self->x, &self->tap,
						 TAPXFER_STATE_FROZEN, 0, 0);
			} while (err == -ETIMEDOUT);
			ASSERT_EQ(0, err);
		} else {
			ASSERT_EQ(0, xfer_begin(&self->x, &self->tap,
						i % 2 ? TAPXFER_STATE_HOLDING :
							TAPXFER_STATE_PREPARED,
						0, 0));
			/* the guest's queue is in order: those have ended */
			EXPECT_TRUE(wait_for_more(&self->c, 2 * VHOST_RING));
			ASSERT_EQ(0, xfer_freeze_patiently(&self->x));
		}
		at_freeze = entered();

		/* The guest goes on until vhost has all of its descriptors. */
		EXPECT_TRUE(wait_until(guest_unsent(&self->v) == VHOST_RING,
				       SOON_MS));
		EXPECT_TRUE(wait_until(catcher_seen(&self->c) == at_freeze,
				       SOON_MS));
		kept += batched(&self->x);
		EXPECT_EQ(at_freeze, entered());
		ASSERT_EQ(0, i % 3 ? vhost_finish(&self->x) :
				     xfer_abort(&self->x));
	}
	transmitter_stop(&self->t);
	EXPECT_TRUE(wait_until(guest_unsent(&self->v) == 0, SOON_MS));
	TH_LOG("%u packets, %lu of them kept in batches", self->v.guest->sent,
	       (unsigned long)kept);
	if (variant->sndbuf)
		EXPECT_EQ(0, kept);
	EXPECT_ENTERED(self->v.guest->sent);
}

/* The guest's packets number @from and on */
#define SEND_MORE(from, n) do { \
	uint32_t i_; \
	for (i_ = 0; i_ < (n); i_++) \
		ASSERT_EQ(0, guest_send(&self->v, FLOW, (from) + i_, \
					PACKET_LEN)); \
} while (0)

/*
 * Make vhost send a batch of SOME + 1 packets while frozen: it stalls in the
 * copy of the last one until the freeze is done.
 */
#define VHOST_STALLS() do { \
	SEND_MORE(0, SOME); \
	ASSERT_EQ(0, guest_send_at(&self->v, VHOST_EXTRA)); \
	/* now, so that it finds all of them */ \
	ASSERT_EQ(0, vhost_start(&self->v, self->tap.fds[0])); \
	ASSERT_TRUE(stall_wait(&self->stall, SOON_MS)); \
} while (0)

#define VHOST_GOES_ON(seq) do { \
	uint8_t buf_[PACKET_MAX] = {}; \
	int len_ = packet_make(buf_ + VHOST_HDR, FLOW, seq); \
	ASSERT_EQ(0, stall_release(&self->stall, buf_, VHOST_HDR + len_)); \
} while (0)

#define KEEP_A_BATCH(deadline) do { \
	VHOST_STALLS(); \
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, \
				0, deadline)); \
	VHOST_GOES_ON(SOME); \
	EXPECT_TRUE(wait_until(batched(&self->x) == SOME + 1, SOON_MS)); \
	/* vhost is done with it, as the guest is told */ \
	EXPECT_TRUE(wait_until(guest_unsent(&self->v) == 0, SOON_MS)); \
	EXPECT_EQ(0, entered()); \
} while (0)

TEST_F(tx, batch_is_sent_at_the_thaw)
{
	KEEP_A_BATCH(0);
	SEND_MORE(SOME + 1, 5);
	ASSERT_EQ(0, vhost_finish(&self->x));
	EXPECT_ENTERED(SOME + 6);
}

TEST_F(tx, batch_is_sent_at_an_abort)
{
	KEEP_A_BATCH(0);
	SEND_MORE(SOME + 1, 5);
	ASSERT_EQ(0, xfer_abort(&self->x));
	EXPECT_ENTERED(SOME + 6);
}

TEST_F(tx, batch_is_sent_at_the_deadline)
{
	KEEP_A_BATCH(scaled_ms(5000));
	SEND_MORE(SOME + 1, 5);
	EXPECT_TRUE(wait_until(!xfer_is_live(&self->x), SOON_MS));
	EXPECT_ENTERED(SOME + 6);
}

/* The target has the rest of the vring from where the source stopped. */
TEST_F(tx, batch_is_sent_when_its_backend_was_stopped)
{
	KEEP_A_BATCH(0);
	SEND_MORE(SOME + 1, 5);
	ASSERT_EQ(0, vhost_stop(&self->v));
	EXPECT_EQ(5, guest_unsent(&self->v));
	EXPECT_EQ(0, entered());
	ASSERT_EQ(0, xfer_finish(&self->x));
	EXPECT_ENTERED(SOME + 1);
	ASSERT_EQ(0, vhost_start(&self->v, self->tap.fds[0]));
	EXPECT_ENTERED(SOME + 6);
}

TEST_F(tx, batch_outlives_its_backend)
{
	KEEP_A_BATCH(0);
	vhost_close(&self->v);
	EXPECT_EQ(0, entered());
	ASSERT_EQ(0, xfer_finish(&self->x));
	EXPECT_ENTERED(SOME + 1);
}

/* Writers that wait at the file come after what was sent before them. */
TEST_F(tx, batch_is_sent_before_what_is_written)
{
	uint8_t hdr[VHOST_HDR] = {}, buf[PACKET_LEN];
	struct waiter w = {
		.op = WAITER_WRITEV, .fd = self->tap.fds[0],
		.hdr = hdr, .hdr_len = sizeof(hdr),
		.buf = buf, .len = packet_make(buf, FLOW, SOME + 1),
	};

	KEEP_A_BATCH(0);
	ASSERT_EQ(0, waiter_start(&w));
	ASSERT_EQ(0, vhost_stop(&self->v));
	ASSERT_EQ(0, xfer_finish(&self->x));
	ASSERT_TRUE(waiter_wait(&w, SOON_MS));
	EXPECT_EQ(VHOST_HDR + PACKET_LEN, w.ret);
	EXPECT_ENTERED(SOME + 2);
}

TEST_F(tx, batch_goes_with_the_device)
{
	KEEP_A_BATCH(0);
	SEND_MORE(SOME + 1, 5);
	ASSERT_EQ(0, link_delete("tap0"));
	EXPECT_FALSE(xfer_is_live(&self->x));
	EXPECT_EQ(0, catcher_seen(&self->c));
	ASSERT_EQ(0, vhost_stop(&self->v));
}

/* A backend that stays attached calls nothing of the module any more. */
TEST_F(tx, goes_on_without_the_module)
{
	KEEP_A_BATCH(0);
	ASSERT_EQ(0, vhost_finish(&self->x));
	self->x.id = 0;
	EXPECT_ENTERED(SOME + 1);
	ASSERT_TRUE(wait_until(module_users() == 0, SOON_MS));
	ASSERT_EQ(0, shell("modprobe -r tapxfer"));
	SEND_MORE(SOME + 1, 5);
	EXPECT_ENTERED(SOME + 6);
	ASSERT_EQ(0, shell("modprobe tapxfer"));
}

#define TIMEOUT_MAX	1000	/* ms */

static long freeze(void *arg)
{
	return xfer_freeze_within(arg, TIMEOUT_MAX);
}

/* A freeze that waits until it fails, for a writer who stalls */
struct slow_freeze {
	uint8_t hdr[VHOST_HDR];
	uint8_t buf[PACKET_LEN];	/* what he writes */
	struct stall stall;
	struct waiter writer;
	struct waiter freezer;
};

/* It lasts a second: who looks too late looks at the next one. */
static int slow_freeze_start(struct slow_freeze *f)
{
	int i;

	for (i = 0; i < 10; i++) {
		if (!waiter_start(&f->freezer))
			return 0;
		if (!waiter_wait(&f->freezer, SOON_MS) ||
		    f->freezer.ret != -ETIMEDOUT)
			break;
	}
	return -1;
}

/* Packet @seq is the writer's. */
#define SLOW_FREEZE(f, seq) do { \
	ASSERT_EQ(0, stall_open(&(f)->stall)); \
	(f)->writer = (struct waiter){ \
		.op = WAITER_WRITEV, .fd = self->tap.fds[0], \
		.hdr = (f)->hdr, .hdr_len = sizeof((f)->hdr), \
		.buf = (f)->stall.page, \
		.len = packet_make((f)->buf, FLOW, seq), \
	}; \
	(f)->freezer = (struct waiter){ \
		.op = WAITER_CALL, .fn = freeze, .arg = &self->x, \
		.nr = SYS_sendto, \
	}; \
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_HOLDING, \
				0, 0)); \
	ASSERT_EQ(0, waiter_go(&(f)->writer)); \
	ASSERT_TRUE(stall_wait(&(f)->stall, SOON_MS)); \
	ASSERT_EQ(0, slow_freeze_start(f)) { \
		TH_LOG("freeze: %ld", (f)->freezer.ret); \
	} \
} while (0)

/*
 * It has failed and kept nothing, so that @n packets enter, then the writer's; and
 * the next freeze succeeds.
 */
#define SLOW_FREEZE_FAILS(f, n) do { \
	ASSERT_TRUE(waiter_wait(&(f)->freezer, SOON_MS)); \
	EXPECT_EQ(-ETIMEDOUT, (f)->freezer.ret); \
	EXPECT_ENTERED(n); \
	EXPECT_EQ(0, batched(&self->x)); \
	ASSERT_EQ(0, stall_release(&(f)->stall, (f)->buf, (f)->writer.len)); \
	ASSERT_TRUE(waiter_wait(&(f)->writer, SOON_MS)); \
	EXPECT_ENTERED((n) + 1); \
	ASSERT_EQ(0, xfer_freeze_patiently(&self->x)); \
	stall_close(&(f)->stall); \
} while (0)

/* A freeze that fails has kept nothing. */
TEST_F(tx, batch_is_sent_when_the_freeze_fails)
{
	struct slow_freeze f = {};
	int i;

	VHOST_STALLS();
	SLOW_FREEZE(&f, SOME + 1);
	/* It waits for the writer; meanwhile vhost sends. */
	VHOST_GOES_ON(SOME);
	SLOW_FREEZE_FAILS(&f, SOME + 1);
	for (i = 0; i < 5; i++)
		ASSERT_EQ(0, guest_send(&self->v, FLOW, SOME + 2 + i,
					PACKET_LEN));
	EXPECT_EQ(SOME + 2, entered());
	ASSERT_EQ(0, vhost_finish(&self->x));
	EXPECT_ENTERED(SOME + 7);
}

/* One packet at a time: vhost is in the driver while it copies. */
TEST_F(tx, freeze_waits_for_a_send_in_flight)
{
	ASSERT_EQ(0, tap_set_sndbuf(self->tap.fds[0], 1 << 20));
	ASSERT_EQ(0, vhost_start(&self->v, self->tap.fds[0]));
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_HOLDING,
				0, 0));
	SEND_MORE(0, SOME);
	ASSERT_EQ(0, guest_send_at(&self->v, VHOST_EXTRA));
	ASSERT_TRUE(stall_wait(&self->stall, SOON_MS));
	EXPECT_ENTERED(SOME);
	EXPECT_EQ(-ETIMEDOUT, xfer_freeze_within(&self->x, 100));
	VHOST_GOES_ON(SOME);
	ASSERT_EQ(0, xfer_freeze_patiently(&self->x));
	EXPECT_EQ(SOME + 1, entered());
	SEND_MORE(SOME + 1, 5);
	EXPECT_EQ(SOME + 1, entered());
	EXPECT_EQ(0, batched(&self->x));
	ASSERT_EQ(0, vhost_finish(&self->x));
	EXPECT_ENTERED(SOME + 6);
}

/*
 * Somebody sets the send buffer through a queue of its own, and vhost goes on
 * making batches: past a limit it is kept waiting.
 */
TEST_F(tx, what_is_kept_has_a_limit)
{
	const uint32_t n = KEEP_MAX + VHOST_RING;
	uint32_t i = 0;
	int fd;

	ASSERT_EQ(0, vhost_start(&self->v, self->tap.fds[0]));
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN,
				0, 0));
	fd = tap_queue("tap0", TAP_VM);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, tap_set_sndbuf(fd, INT32_MAX));
	while (i < n)
		if (wait_until(!guest_send(&self->v, FLOW, i, PACKET_LEN),
			       SOON_MS))
			i++;
		else
			break;
	/* the vring is full of what it has not taken */
	ASSERT_LT(KEEP_MAX, i);
	EXPECT_TRUE(wait_until(batched(&self->x) > KEEP_MAX - VHOST_BATCH,
			       SOON_MS));
	EXPECT_GE(KEEP_MAX, batched(&self->x));
	EXPECT_LT(0, guest_unsent(&self->v));
	EXPECT_EQ(0, entered());
	ASSERT_EQ(0, xfer_abort(&self->x));
	EXPECT_ENTERED(i);
	close(fd);
}

static bool can_write(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLOUT };

	return poll(&pfd, 1, 0) == 1 && (pfd.revents & POLLOUT);
}

/*
 * However long a freeze waits for others, vhost makes no batches meanwhile: they
 * would be kept, up to a limit, and a VMM that stops its vhost waits past that.
 */
TEST_F(tx, no_batch_begins_while_a_freeze_waits)
{
	int64_t end = now_ms() + SOON_MS;
	struct slow_freeze f = {};
	int i;

	ASSERT_EQ(0, vhost_start(&self->v, self->tap.fds[0]));
	SLOW_FREEZE(&f, VHOST_RING);
	while (can_write(self->tap.fds[0])) {
		ASSERT_GT(end, now_ms());
		if (waiter_wait(&f.freezer, 0))
			ASSERT_EQ(0, slow_freeze_start(&f));
	}

	/* all that the vring has room for: vhost leaves it there */
	for (i = 0; i < VHOST_RING; i++)
		ASSERT_EQ(0, guest_send(&self->v, FLOW, i, PACKET_LEN));
	EXPECT_EQ(0, batched(&self->x));

	SLOW_FREEZE_FAILS(&f, VHOST_RING);
	EXPECT_EQ(INT32_MAX, (int)xfer_dev_u64(&self->x,
					       TAPXFER_A_DEV_SNDBUF));
	ASSERT_EQ(0, vhost_finish(&self->x));
}

TEST_HARNESS_MAIN
