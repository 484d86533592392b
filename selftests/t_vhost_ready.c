// SPDX-License-Identifier: GPL-2.0
/*
 * vhost-net and ready: the target's backend can be attached, and neither it nor
 * a read finds what the source's backend had given back before the thaw.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include <kselftest_harness.h>

#include "agent.h"
#include "genl.h"
#include "net.h"
#include "util.h"
#include "vhost.h"

#define MAX_SEQ		(1 << 16)
#define FLOW		1	/* of the guest's own packets */
#define EARLY_MS	scaled_ms(5000)	/* a deadline that comes */

/* Whether nobody finds a packet, who is not kept off by the file's operations */
static bool nothing_to_read(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	uint8_t buf[PACKET_MAX];

	return !poll(&pfd, 1, 0) && read(fd, buf, sizeof(buf)) == -1 &&
	       errno == EAGAIN;
}

/* -- put back, then ready ------------------------------------------------- */

FIXTURE(back) {
	struct tap tap;
	struct tap claimed;
	struct xfer x;
	struct genl g;
	struct sender s;
	struct tally t;
	struct vhost v;
};

FIXTURE_VARIANT(back) {
	uint32_t hold;		/* 0: the default */
	uint64_t bytes;		/* of what is held; 0: the default */
	uint32_t taken;		/* what vhost takes, and gives back */
	uint32_t sent;		/* what comes then */
};

FIXTURE_VARIANT_ADD(back, to_an_empty_ring) {
	.taken = VHOST_BATCH,
};

FIXTURE_VARIANT_ADD(back, few_to_few) {
	.taken = 20, .sent = 30,
};

FIXTURE_VARIANT_ADD(back, to_more_than_a_plain_ring) {
	.taken = VHOST_BATCH, .sent = 2 * TAP_RING,
};

FIXTURE_VARIANT_ADD(back, to_a_full_ring) {
	.hold = 200, .taken = VHOST_BATCH, .sent = 200,
};

FIXTURE_VARIANT_ADD(back, few_to_a_full_ring) {
	.hold = 200, .taken = 20, .sent = 200,
};

FIXTURE_VARIANT_ADD(back, to_a_ring_closed_by_bytes) {
	.bytes = 256 << 10, .taken = VHOST_BATCH, .sent = TAP_RING,
};

/* What is given back is too much, and closes the ring with its first packet. */
FIXTURE_VARIANT_ADD(back, more_bytes_than_may_be) {
	.bytes = 8 << 10, .taken = VHOST_BATCH, .sent = 100,
};

FIXTURE_SETUP(back)
{
	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", 1, TAP_VM));
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, true));
	ASSERT_EQ(0, xfer_open(&self->x));
	ASSERT_EQ(0, genl_open(&self->g));
	ASSERT_EQ(0, sender_open(&self->s, self->tap.ifindex, 1));
	ASSERT_EQ(0, tally_init(&self->t, MAX_SEQ));
	ASSERT_EQ(0, shell("modprobe vhost_net"));
	ASSERT_EQ(0, vhost_open(&self->v, 0, -1));
}

FIXTURE_TEARDOWN(back)
{
	vhost_close(&self->v);
	xfer_close(&self->x);
	genl_close(&self->g);
	link_delete("tap0");
	tap_close(&self->claimed);
	tap_close(&self->tap);
	sender_close(&self->s);
	tally_free(&self->t);
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
}

/* A guest without buffers: vhost takes a batch, and keeps it. */
#define VHOST_TAKES() do { \
	struct pollfd pfd_ = { .fd = self->tap.fds[0], .events = POLLIN }; \
	ASSERT_EQ(0, sender_send(&self->s, variant->taken)); \
	ASSERT_EQ(0, vhost_start(&self->v, self->tap.fds[0])); \
	ASSERT_TRUE(wait_until(poll(&pfd_, 1, 0) == 0, SOON_MS)); \
} while (0)

#define BEGIN(cmd, deadline) \
	ASSERT_EQ(0, xfer_begin_raw(&self->x, &self->g, &self->tap, \
				    TAPXFER_CMD_##cmd, variant->hold, \
				    variant->bytes, deadline))

/* Put back, claimed, and ready: a reader that no fence keeps off */
#define READY(deadline) do { \
	VHOST_TAKES(); \
	BEGIN(FREEZE, deadline); \
	ASSERT_EQ(0, sender_send(&self->s, variant->sent)); \
	EXPECT_EQ(!!variant->bytes, !!self->s.dropped); \
	ASSERT_EQ(0, vhost_stop(&self->v)); \
	ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed)); \
	ASSERT_EQ(0, xfer_ready(&self->x, 0)); \
	EXPECT_TRUE(nothing_to_read(self->tap.fds[0])); \
	ASSERT_EQ(0, xfer_get(&self->x)); \
	EXPECT_EQ(variant->taken, \
		  xfer_queue_u64(&self->x, 0, TAPXFER_A_QUEUE_PUT_BACK)); \
	EXPECT_EQ(self->s.seq - self->s.dropped, \
		  xfer_queue_u64(&self->x, 0, TAPXFER_A_QUEUE_HELD)); \
} while (0)

/* All that the driver took, in order, and what comes now after it */
#define EXPECT_ALL(read_all) do { \
	uint32_t kept_ = self->s.seq - self->s.dropped; \
	EXPECT_TRUE(wait_until(((read_all), self->t.got >= kept_), SOON_MS)); \
	EXPECT_EQ(kept_, self->t.got); \
	EXPECT_EQ(0, tally_lost(&self->t, kept_)); \
	kept_ = self->s.dropped; \
	ASSERT_EQ(0, sender_send(&self->s, 100)); \
	EXPECT_EQ(kept_, self->s.dropped); \
	EXPECT_TRUE(wait_until(((read_all), self->t.seen[self->s.seq - 1]), \
			       SOON_MS)); \
	EXPECT_EQ(self->s.seq - kept_, self->t.got); \
	EXPECT_EQ(0, self->t.dup + self->t.reordered + self->t.foreign); \
} while (0)

#define BY_READ		tap_read_all(&self->tap, &self->t)
#define BY_VHOST	guest_receive(&self->v, &self->t, 0, true)

TEST_F(back, is_read_first_and_not_before_the_thaw)
{
	READY(0);
	ASSERT_EQ(0, sender_send(&self->s, variant->hold ? 0 : 10));
	EXPECT_TRUE(nothing_to_read(self->tap.fds[0]));
	ASSERT_EQ(0, xfer_thaw(&self->x));
	EXPECT_ALL(BY_READ);
}

TEST_F(back, is_not_for_a_backend_that_attaches_after_ready)
{
	READY(0);
	ASSERT_EQ(VHOST_RING, guest_offer(&self->v, VHOST_RING));
	ASSERT_EQ(0, vhost_start(&self->v, self->tap.fds[0]));
	/* A stop ends what a start began: it has looked. */
	ASSERT_EQ(0, vhost_stop(&self->v));
	EXPECT_EQ(0, BY_VHOST);
	ASSERT_EQ(0, vhost_start(&self->v, self->tap.fds[0]));
	EXPECT_TRUE(nothing_to_read(self->tap.fds[0]));
	ASSERT_EQ(0, sender_send(&self->s, variant->hold ? 0 : 10));
	EXPECT_EQ(0, BY_VHOST);

	ASSERT_EQ(0, xfer_thaw(&self->x));
	EXPECT_ALL(BY_VHOST);
	ASSERT_EQ(0, vhost_stop(&self->v));
}

TEST_F(back, comes_first_after_an_abort)
{
	READY(0);
	ASSERT_EQ(0, xfer_abort(&self->x));
	EXPECT_ALL(BY_READ);
}

TEST_F(back, goes_to_the_attached_backend_after_an_abort)
{
	READY(0);
	ASSERT_EQ(VHOST_RING, guest_offer(&self->v, VHOST_RING));
	ASSERT_EQ(0, vhost_start(&self->v, self->tap.fds[0]));
	ASSERT_EQ(0, xfer_abort(&self->x));
	EXPECT_ALL(BY_VHOST);
	ASSERT_EQ(0, vhost_stop(&self->v));
}

TEST_F(back, goes_to_the_attached_backend_after_the_deadline)
{
	READY(EARLY_MS);
	ASSERT_EQ(VHOST_RING, guest_offer(&self->v, VHOST_RING));
	ASSERT_EQ(0, vhost_start(&self->v, self->tap.fds[0]));
	ASSERT_TRUE(wait_until(!xfer_is_live(&self->x), SOON_MS));
	EXPECT_ALL(BY_VHOST);
	ASSERT_EQ(0, vhost_stop(&self->v));
}

/* The driver purges the ring of a queue that is detached, as it sees it. */
TEST_F(back, survives_that_the_queue_is_detached_while_holding)
{
	VHOST_TAKES();
	BEGIN(HOLD, 0);
	ASSERT_EQ(0, sender_send(&self->s, variant->sent));
	ASSERT_EQ(0, vhost_stop(&self->v));
	ASSERT_EQ(0, tap_detach(self->tap.fds[0], true));
	ASSERT_EQ(0, tap_detach(self->tap.fds[0], false));
	ASSERT_EQ(0, xfer_get(&self->x));
	EXPECT_EQ(variant->taken,
		  xfer_queue_u64(&self->x, 0, TAPXFER_A_QUEUE_PUT_BACK));
	EXPECT_EQ(self->s.seq - self->s.dropped,
		  xfer_queue_u64(&self->x, 0, TAPXFER_A_QUEUE_HELD));
	ASSERT_EQ(0, xfer_freeze(&self->x));
	ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed));
	ASSERT_EQ(0, xfer_ready(&self->x, 0));
	EXPECT_TRUE(nothing_to_read(self->tap.fds[0]));
	ASSERT_EQ(0, xfer_thaw(&self->x));
	EXPECT_ALL(BY_READ);
}

/* -- a target that is another process -------------------------------------- */

FIXTURE(target) {
	struct tap tap;
	struct xfer x;
	struct sender s;
	struct tally t;
	struct capture c;
	struct vhost v;
	struct agent agent;
};

/* Its vhost-net device, in its memory, over the guest's, which is in ours too */
static struct vhost agent_v;

static long agent_vhost_open(struct agent_self *self, long memfd, long unused)
{
	return vhost_open(&agent_v, 0, memfd);
}

static long agent_vhost_start(struct agent_self *self, long unused,
			      long unused2)
{
	return vhost_start(&agent_v, self->tap.fds[0]);
}

static long agent_vhost_stop(struct agent_self *self, long unused, long unused2)
{
	return vhost_stop(&agent_v);
}

static long agent_vhost_kick(struct agent_self *self, long unused, long unused2)
{
	uint64_t one = 1;

	return write(agent_v.dev.kick[VHOST_RX], &one, sizeof(one)) ==
	       sizeof(one) ? 0 : -errno;
}

/* Ready or thaw, refused because others have queue 0 so many times */
static long agent_refused(struct agent_self *self, long cmd, long times)
{
	char why[80];
	int err;

	snprintf(why, sizeof(why),
		 "queue 0: others than the claimant hold it %ld times", times);
	err = cmd == TAPXFER_CMD_READY ? xfer_ready(&self->x, 0) :
					 xfer_thaw(&self->x);
	if (err != -EBUSY)
		return err ?: -EPROTO;
	return strstr(xfer_why(&self->x), why) ? 0 : -EBADMSG;
}

FIXTURE_SETUP(target)
{
	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, shell("modprobe vhost_net"));
	ASSERT_EQ(0, vhost_open(&self->v, 0, -1));
	/* It has our guest memory's descriptor, and none of our files. */
	ASSERT_EQ(0, agent_start(&self->agent));
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", 1, TAP_VM));
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, true));
	ASSERT_EQ(0, xfer_open(&self->x));
	ASSERT_EQ(0, sender_open(&self->s, self->tap.ifindex, 1));
	ASSERT_EQ(0, tally_init(&self->t, MAX_SEQ));
	ASSERT_EQ(0, capture_open(&self->c, self->tap.ifindex));
}

FIXTURE_TEARDOWN(target)
{
	agent_kill(&self->agent);
	vhost_close(&self->v);
	xfer_close(&self->x);
	link_delete("tap0");
	tap_close(&self->tap);
	sender_close(&self->s);
	tally_free(&self->t);
	capture_close(&self->c);
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
}

#define TARGET(fn, a, b) agent_call(&self->agent, &self->x, fn, a, b)

/* The source's guest is at a stop, with packets to send and buffers to fill. */
#define TARGET_CLAIMS() do { \
	uint32_t i_; \
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, 0, \
				0)); \
	ASSERT_EQ(0, sender_send(&self->s, 2 * TAP_RING)); \
	ASSERT_EQ(VHOST_RING, guest_offer(&self->v, VHOST_RING)); \
	for (i_ = 0; i_ < VHOST_RING; i_++) \
		ASSERT_EQ(0, guest_send(&self->v, FLOW, i_, PACKET_LEN)); \
	ASSERT_EQ(0, TARGET(agent_claim, 0, 0)); \
	ASSERT_EQ(0, TARGET(agent_vhost_open, self->v.memfd, 0)); \
} while (0)

#define EXPECT_NOTHING_PASSES() do { \
	EXPECT_EQ(0, guest_receive(&self->v, &self->t, 0, false)); \
	EXPECT_EQ(VHOST_RING, guest_unsent(&self->v)); \
	EXPECT_EQ(0, capture_read(&self->c)); \
} while (0)

/* Both ways. The guest's new buffers are seen by who is not kicked for them. */
#define EXPECT_BOTH_WAYS() do { \
	EXPECT_TRUE(wait_until((capture_read(&self->c), \
				self->c.t.got == VHOST_RING), SOON_MS)); \
	EXPECT_TRUE(wait_until((guest_receive(&self->v, &self->t, 0, true), \
				TARGET(agent_vhost_kick, 0, 0) == 0 && \
				self->t.got == self->s.seq), SOON_MS)); \
	EXPECT_EQ(0, guest_unsent(&self->v)); \
	EXPECT_EQ(0, self->s.dropped); \
	EXPECT_EQ(0, self->t.dup + self->t.reordered + self->t.foreign); \
	EXPECT_EQ(0, self->c.t.dup + self->c.t.reordered + self->c.t.foreign); \
} while (0)

TEST_F(target, attaches_vhost_after_ready_and_it_waits_for_the_thaw)
{
	TARGET_CLAIMS();
	EXPECT_EQ(-ENOTSOCK, TARGET(agent_vhost_start, 0, 0));
	tap_close(&self->tap);
	ASSERT_EQ(0, TARGET(agent_ready, 0, 0));
	ASSERT_EQ(0, TARGET(agent_vhost_start, 0, 0));
	/* A stop ends what a start began: it has looked, and tried to send. */
	ASSERT_EQ(0, TARGET(agent_vhost_stop, 0, 0));
	EXPECT_NOTHING_PASSES();
	ASSERT_EQ(0, TARGET(agent_vhost_start, 0, 0));
	EXPECT_NOTHING_PASSES();
	ASSERT_EQ(0, xfer_get(&self->x));
	EXPECT_EQ(self->s.seq, xfer_u64(&self->x, TAPXFER_A_HANDOVER_HELD));

	/* Its own backend is not somebody else to it. */
	ASSERT_EQ(0, TARGET(agent_thaw, 0, 0));
	EXPECT_BOTH_WAYS();
}

TEST_F(target, attaches_vhost_which_goes_on_after_an_abort)
{
	TARGET_CLAIMS();
	tap_close(&self->tap);
	ASSERT_EQ(0, TARGET(agent_ready, 0, 0));
	ASSERT_EQ(0, TARGET(agent_vhost_start, 0, 0));
	EXPECT_NOTHING_PASSES();
	ASSERT_EQ(0, xfer_abort(&self->x));
	EXPECT_BOTH_WAYS();
}

/* The handover is frozen again, and whoever claims it then has all of it. */
TEST_F(target, dies_with_vhost_attached)
{
	TARGET_CLAIMS();
	ASSERT_EQ(0, TARGET(agent_ready, TAPXFER_THAW_SHARED, 0));
	ASSERT_EQ(0, TARGET(agent_vhost_start, 0, 0));
	agent_kill(&self->agent);
	ASSERT_TRUE(wait_until(xfer_state(&self->x) == TAPXFER_STATE_FROZEN,
			       SOON_MS));
	EXPECT_NOTHING_PASSES();
	EXPECT_EQ(-ENOTSOCK, vhost_start(&self->v, self->tap.fds[0]));
	ASSERT_EQ(0, xfer_finish(&self->x));
	EXPECT_EQ(self->s.seq, tap_read_count(&self->tap, &self->t,
					      self->s.seq));
	EXPECT_EQ(0, self->t.dup + self->t.reordered + self->t.foreign);
}

TEST_F(target, is_not_alone_while_the_sources_vhost_is_attached)
{
	ASSERT_EQ(0, vhost_start(&self->v, self->tap.fds[0]));
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, 0,
				0));
	ASSERT_EQ(0, TARGET(agent_claim, 0, 0));
	EXPECT_EQ(0, TARGET(agent_refused, TAPXFER_CMD_READY, 3));
	tap_close(&self->tap);
	EXPECT_EQ(0, TARGET(agent_refused, TAPXFER_CMD_READY, 2));
	EXPECT_EQ(0, TARGET(agent_refused, TAPXFER_CMD_THAW, 2));
	ASSERT_EQ(0, vhost_backend(&self->v, VHOST_TX, -1));
	EXPECT_EQ(0, TARGET(agent_refused, TAPXFER_CMD_THAW, 1));
	EXPECT_EQ(TAPXFER_STATE_CLAIMED, xfer_state(&self->x));
	ASSERT_EQ(0, vhost_stop(&self->v));
	EXPECT_EQ(0, TARGET(agent_ready, 0, 0));
	EXPECT_EQ(0, TARGET(agent_thaw, 0, 0));
}

TEST_HARNESS_MAIN
