// SPDX-License-Identifier: GPL-2.0
/*
 * Queues that TUNSETQUEUE detached, and queues that come while a handover is
 * under way.
 */
#include <errno.h>
#include <sys/ioctl.h>

#include <kselftest_harness.h>

#include "agent.h"
#include "flow.h"
#include "net.h"
#include "tap.h"
#include "util.h"
#include "xfer.h"

#define QUEUES	4
#define FLOWS	64

FIXTURE(detached) {
	struct tap tap;
	struct tap claimed;
	struct xfer x;
	struct sender s;
	struct tally t;
};

FIXTURE_VARIANT(detached) {
	unsigned int mask;	/* which queues */
};

FIXTURE_VARIANT_ADD(detached, first) {
	.mask = 0x1,
};

FIXTURE_VARIANT_ADD(detached, two) {
	.mask = 0xa,
};

FIXTURE_VARIANT_ADD(detached, all) {
	.mask = 0xf,
};

FIXTURE_SETUP(detached)
{
	int q;

	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", QUEUES, TAP_VM));
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, true));
	ASSERT_EQ(0, xfer_open(&self->x));
	ASSERT_EQ(0, sender_open(&self->s, self->tap.ifindex, FLOWS));
	ASSERT_EQ(0, tally_init(&self->t, 1 << 16));
	for (q = 0; q < QUEUES; q++)
		if (variant->mask & (1 << q))
			ASSERT_EQ(0, tap_detach(self->tap.fds[q], true));
}

FIXTURE_TEARDOWN(detached)
{
	xfer_close(&self->x);
	link_delete("tap0");
	tap_close(&self->tap);
	tap_close(&self->claimed);
	sender_close(&self->s);
	tally_free(&self->t);
}

TEST_F(detached, stay_so_and_are_told)
{
	int n = __builtin_popcount(variant->mask), q;

	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, 0,
				0));
	EXPECT_EQ(QUEUES, xfer_u64(&self->x, TAPXFER_A_HANDOVER_NUM_QUEUES));
	EXPECT_EQ(n, xfer_dev_u64(&self->x, TAPXFER_A_DEV_NUM_DETACHED));
	EXPECT_EQ(QUEUES - n, xfer_dev_u64(&self->x, TAPXFER_A_DEV_NUM_QUEUES));
	for (q = 0; q < QUEUES; q++)
		EXPECT_EQ(variant->mask >> q & 1,
			  xfer_queue_u64(&self->x, q, TAPXFER_A_QUEUE_DETACHED));

	if (n < QUEUES)
		ASSERT_EQ(0, sender_send(&self->s, 500));
	ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed));
	self->claimed.hdr = self->tap.hdr;
	for (q = 0; q < QUEUES; q++)
		EXPECT_EQ(variant->mask >> q & 1,
			  xfer_queue_u64(&self->x, q, TAPXFER_A_QUEUE_DETACHED));
	ASSERT_EQ(0, xfer_thaw(&self->x));
	tap_close(&self->tap);

	for (q = 0; q < QUEUES; q++)
		EXPECT_EQ(variant->mask >> q & 1,
			  tap_is_detached(self->claimed.fds[q]));
	EXPECT_EQ(self->s.seq, tap_read_all(&self->claimed, &self->t));
	for (q = 0; q < QUEUES; q++)
		if (variant->mask >> q & 1)
			EXPECT_EQ(0, self->t.count[q]);
	EXPECT_EQ(0, tally_lost(&self->t, self->s.seq));

	/* the target attaches them, and all of them get traffic */
	for (q = 0; q < QUEUES; q++)
		if (variant->mask >> q & 1)
			EXPECT_EQ(0, tap_detach(self->claimed.fds[q], false));
	ASSERT_EQ(0, sender_send(&self->s, 10 * FLOWS));
	EXPECT_EQ(10 * FLOWS, tap_read_all(&self->claimed, &self->t));
	for (q = 0; q < QUEUES; q++)
		EXPECT_LT(0, self->t.count[q]);
	EXPECT_EQ(0, tally_lost(&self->t, self->s.seq));
}

TEST_F(detached, have_to_be_given_too)
{
	struct tap some = self->tap;
	int q, n = 0;

	for (q = 0; q < QUEUES; q++)
		if (!(variant->mask >> q & 1))
			some.fds[n++] = self->tap.fds[q];
	/* at least one file, or it is another error */
	some.n = n ?: 1;
	EXPECT_EQ(-EINVAL, xfer_begin(&self->x, &some, TAPXFER_STATE_FROZEN, 0,
				      0));
	EXPECT_STREQ("queue files are missing: give all of the device's, detached ones too",
		     xfer_why(&self->x));
}

/* -- a target that expects every queue enabled ------------------------------ */

static int claim_all(struct xfer *x, struct tap *tap, uint32_t flags)
{
	int err;

	tapxfer_info_free(x->info);
	err = tapxfer_claim_flags(x->tx, x->id, &x->token,
				  flags | TAPXFER_CLAIM_ATTACH_ALL, &x->info);
	if (!err)
		tap->n = tapxfer_info_fds(x->info, tap->fds, TAP_MAX);
	return err;
}

/* How many queues the device has that are detached */
static int detached_of(const struct xfer *x, int ifindex)
{
	struct tapxfer_info *dev;
	int n;

	if (tapxfer_dev_get(x->tx, ifindex, -1, &dev))
		return -1;
	n = tapxfer_info_u64(dev, TAPXFER_A_DEV_NUM_DETACHED);
	tapxfer_info_free(dev);
	return n;
}

/* Frozen with packets held, and claimed so; the device is as it was. */
#define CLAIM_ALL(flags) do { \
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, 0, \
				0)); \
	if (n < QUEUES) \
		ASSERT_EQ(0, sender_send(&self->s, 500)); \
	ASSERT_EQ(0, claim_all(&self->x, &self->claimed, flags)); \
	self->claimed.hdr = self->tap.hdr; \
	EXPECT_EQ(n, detached_of(&self->x, self->tap.ifindex)); \
	for (q = 0; q < QUEUES; q++) { \
		EXPECT_EQ(0, tap_is_detached(self->tap.fds[q])); \
		EXPECT_EQ(variant->mask >> q & 1, \
			  xfer_queue_u64(&self->x, q, \
					 TAPXFER_A_QUEUE_DETACHED)); \
	} \
} while (0)

/* The source's queues are as they were, and so is traffic. */
#define EXPECT_AS_BEFORE() do { \
	EXPECT_EQ(n, detached_of(&self->x, self->tap.ifindex)); \
	for (q = 0; q < QUEUES; q++) \
		EXPECT_EQ(variant->mask >> q & 1, \
			  tap_is_detached(self->tap.fds[q])); \
	if (n < QUEUES) \
		ASSERT_EQ(0, sender_send(&self->s, 500)); \
	EXPECT_EQ(self->s.seq, tap_read_all(&self->tap, &self->t)); \
	EXPECT_EQ(0, tally_lost(&self->t, self->s.seq)); \
	EXPECT_EQ(0, self->t.dup + self->t.reordered); \
} while (0)

TEST_F(detached, attach_all_is_in_force_from_the_thaw_on)
{
	int n = __builtin_popcount(variant->mask), q;

	CLAIM_ALL(0);
	ASSERT_EQ(0, xfer_thaw(&self->x));
	EXPECT_EQ(0, xfer_u64(&self->x, TAPXFER_A_HANDOVER_VIOLATED));
	tap_close(&self->tap);
	EXPECT_EQ(0, detached_of(&self->x, self->tap.ifindex));
	for (q = 0; q < QUEUES; q++)
		EXPECT_EQ(0, tap_is_detached(self->claimed.fds[q]));
	EXPECT_EQ(self->s.seq, tap_read_all(&self->claimed, &self->t));
	ASSERT_EQ(0, sender_send(&self->s, 10 * FLOWS));
	EXPECT_EQ(10 * FLOWS, tap_read_all(&self->claimed, &self->t));
	for (q = 0; q < QUEUES; q++)
		EXPECT_LT(0, self->t.count[q]);
	EXPECT_EQ(0, tally_lost(&self->t, self->s.seq));
	EXPECT_EQ(0, self->t.dup + self->t.reordered);
}

/* What the claimant says after it counts. */
TEST_F(detached, attach_all_and_detach_some)
{
	int n = __builtin_popcount(variant->mask), q;

	CLAIM_ALL(0);
	EXPECT_EQ(0, tap_detach(self->claimed.fds[0], true));
	ASSERT_EQ(0, xfer_ready(&self->x, 0));
	EXPECT_EQ(1, detached_of(&self->x, self->tap.ifindex));
	ASSERT_EQ(0, xfer_thaw(&self->x));
	for (q = 0; q < QUEUES; q++)
		EXPECT_EQ(!q, tap_is_detached(self->claimed.fds[q]));
}

TEST_F(detached, attach_all_is_forgotten_by_an_abort)
{
	int n = __builtin_popcount(variant->mask), q;

	CLAIM_ALL(0);
	ASSERT_EQ(0, xfer_abort(&self->x));
	EXPECT_AS_BEFORE();
}

TEST_F(detached, attach_all_is_put_back_by_an_abort_after_ready)
{
	int n = __builtin_popcount(variant->mask), q;

	CLAIM_ALL(0);
	ASSERT_EQ(0, xfer_ready(&self->x, 0));
	EXPECT_EQ(0, detached_of(&self->x, self->tap.ifindex));
	ASSERT_EQ(0, xfer_abort(&self->x));
	EXPECT_EQ(0, xfer_u64(&self->x, TAPXFER_A_HANDOVER_VIOLATED));
	EXPECT_AS_BEFORE();
}

TEST_F(detached, attach_all_works_without_descriptors)
{
	int n = __builtin_popcount(variant->mask), q;

	CLAIM_ALL(TAPXFER_CLAIM_NO_FDS);
	EXPECT_EQ(0, self->claimed.n);
	ASSERT_EQ(0, xfer_thaw(&self->x));
	EXPECT_EQ(0, detached_of(&self->x, self->tap.ifindex));
}

/* A target that dies takes it along; the next one has not asked for it. */
TEST_F(detached, attach_all_goes_with_its_claimant)
{
	int n = __builtin_popcount(variant->mask), q;
	struct agent agent;

	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, 0,
				0));
	ASSERT_EQ(0, agent_start(&agent));
	ASSERT_EQ(0, agent_call(&agent, &self->x, agent_claim,
				TAPXFER_CLAIM_ATTACH_ALL, 0));
	for (q = 0; q < QUEUES; q++)
		EXPECT_EQ(variant->mask >> q & 1,
			  tap_is_detached(self->tap.fds[q]));
	agent_kill(&agent);
	ASSERT_TRUE(wait_until(xfer_state(&self->x) == TAPXFER_STATE_FROZEN,
			       SOON_MS));
	ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed));
	ASSERT_EQ(0, xfer_thaw(&self->x));
	EXPECT_EQ(n, detached_of(&self->x, self->tap.ifindex));
	EXPECT_AS_BEFORE();
}

FIXTURE(changed) {
	struct tap tap;
	struct xfer x;
	struct sender s;
	struct tally t;
};

FIXTURE_SETUP(changed)
{
	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", QUEUES, TAP_VM));
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, true));
	ASSERT_EQ(0, xfer_open(&self->x));
	ASSERT_EQ(0, sender_open(&self->s, self->tap.ifindex, FLOWS));
	ASSERT_EQ(0, tally_init(&self->t, 1 << 16));
}

FIXTURE_TEARDOWN(changed)
{
	xfer_close(&self->x);
	link_delete("tap0");
	tap_close(&self->tap);
	sender_close(&self->s);
	tally_free(&self->t);
}

/* A VMM that runs may do that until it is frozen. */
TEST_F(changed, a_queue_detached_or_attached_before_the_freeze_is_told_right)
{
	ASSERT_EQ(0, tap_detach(self->tap.fds[0], true));
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_PREPARED, 0,
				0));
	ASSERT_EQ(0, tap_detach(self->tap.fds[1], true));
	ASSERT_EQ(0, xfer_hold(&self->x));
	ASSERT_EQ(0, sender_send(&self->s, 10 * FLOWS));
	ASSERT_EQ(0, tap_detach(self->tap.fds[2], true));
	ASSERT_EQ(0, tap_detach(self->tap.fds[0], false));
	ASSERT_EQ(0, xfer_freeze(&self->x));
	EXPECT_EQ(0, xfer_queue_u64(&self->x, 0, TAPXFER_A_QUEUE_DETACHED));
	EXPECT_EQ(1, xfer_queue_u64(&self->x, 1, TAPXFER_A_QUEUE_DETACHED));
	EXPECT_EQ(1, xfer_queue_u64(&self->x, 2, TAPXFER_A_QUEUE_DETACHED));
	EXPECT_EQ(0, xfer_queue_u64(&self->x, 3, TAPXFER_A_QUEUE_DETACHED));
	EXPECT_EQ(2, xfer_dev_u64(&self->x, TAPXFER_A_DEV_NUM_DETACHED));

	ASSERT_EQ(0, sender_send(&self->s, 10 * FLOWS));
	ASSERT_EQ(0, xfer_finish(&self->x));
	EXPECT_LE(10 * FLOWS, tap_read_all(&self->tap, &self->t));
	/* those of the two that stayed attached, and of the one attached */
	EXPECT_LT(0, self->t.count[0]);
	EXPECT_EQ(0, self->t.count[1]);
	EXPECT_LT(0, self->t.count[3]);
	EXPECT_EQ(0, self->t.dup + self->t.reordered);
	EXPECT_EQ(0, tap_detach(self->tap.fds[1], false));
	EXPECT_EQ(0, tap_detach(self->tap.fds[2], false));
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
}

/* When the rings were parked there was none. */
TEST_F(changed, the_first_queue_detached_since_the_hold_is_told)
{
	int q;

	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_HOLDING, 0,
				0));
	ASSERT_EQ(0, tap_detach(self->tap.fds[2], true));
	ASSERT_EQ(0, xfer_freeze(&self->x));
	for (q = 0; q < 4; q++)
		EXPECT_EQ(q == 2, xfer_queue_u64(&self->x, q,
						 TAPXFER_A_QUEUE_DETACHED));
	EXPECT_EQ(1, xfer_dev_u64(&self->x, TAPXFER_A_DEV_NUM_DETACHED));
	EXPECT_EQ(0, xfer_u64(&self->x, TAPXFER_A_HANDOVER_VIOLATED));
	ASSERT_EQ(0, xfer_finish(&self->x));
	EXPECT_EQ(0, tap_detach(self->tap.fds[2], false));
}

/* Its ring would neither be held nor handed over. */
TEST_F(changed, a_queue_opened_since_the_prepare_stops_the_hold)
{
	int fd;

	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_PREPARED, 0,
				0));
	fd = tap_queue("tap0", TAP_VM);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-ESTALE, xfer_hold(&self->x));
	EXPECT_STREQ("a queue was opened or closed since the prepare, abort and begin anew",
		     xfer_why(&self->x));
	EXPECT_EQ(-ESTALE, xfer_freeze(&self->x));
	EXPECT_EQ(TAPXFER_STATE_PREPARED, xfer_state(&self->x));
	ASSERT_EQ(0, sender_send(&self->s, 10));
	EXPECT_LE(0, tap_read_all(&self->tap, &self->t));

	close(fd);
	EXPECT_EQ(0, xfer_freeze(&self->x));
	EXPECT_EQ(0, xfer_finish(&self->x));
}

TEST_F(changed, a_queue_opened_since_the_hold_stops_the_freeze)
{
	int fd;

	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_HOLDING, 0,
				0));
	fd = tap_queue("tap0", TAP_VM);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-ESTALE, xfer_freeze(&self->x));
	EXPECT_STREQ("a queue was opened or closed since the prepare, abort and begin anew",
		     xfer_why(&self->x));
	/* it holds as before: writes pass */
	EXPECT_EQ(TAPXFER_STATE_HOLDING, xfer_state(&self->x));
	EXPECT_EQ(0, tap_write_one(&self->tap, 0, 0));

	close(fd);
	ASSERT_EQ(0, xfer_freeze(&self->x));
	ASSERT_EQ(0, sender_send(&self->s, 100));
	ASSERT_EQ(0, xfer_finish(&self->x));
	EXPECT_EQ(100, tap_read_all(&self->tap, &self->t));
}

/* The handover's references keep the queues of a source that closes them. */
TEST_F(changed, files_closed_by_the_source_are_still_there)
{
	struct tap claimed = {};

	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_PREPARED, 0,
				0));
	tap_close(&self->tap);
	ASSERT_EQ(0, xfer_freeze(&self->x));
	EXPECT_EQ(QUEUES, xfer_dev_u64(&self->x, TAPXFER_A_DEV_NUM_QUEUES));
	ASSERT_EQ(0, xfer_get(&self->x));
	EXPECT_EQ(0, xfer_queue_u64(&self->x, 0, TAPXFER_A_QUEUE_HOLDERS));
	ASSERT_EQ(0, sender_send(&self->s, 100));
	ASSERT_EQ(0, xfer_claim(&self->x, &claimed));
	claimed.hdr = self->tap.hdr;
	ASSERT_EQ(0, xfer_thaw(&self->x));
	EXPECT_EQ(100, tap_read_all(&claimed, &self->t));
	tap_close(&claimed);
}

TEST_HARNESS_MAIN
