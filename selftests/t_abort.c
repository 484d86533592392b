// SPDX-License-Identifier: GPL-2.0
/*
 * G4: an abort and the deadline put everything back, from any state.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <kselftest_harness.h>

#include "flow.h"
#include "genl.h"
#include "net.h"
#include "tap.h"
#include "util.h"
#include "waiter.h"
#include "xfer.h"

#define QUEUES	4
#define FLOWS	64
#define NEVER	0		/* as late as a test waits */

enum how {
	BY_TOKEN,
	BY_ADMIN,
	BY_DEADLINE,
};

FIXTURE(abort) {
	struct tap tap;
	struct tap claimed;
	struct xfer x;
	struct sender s;
	struct capture c;
	struct tally t;
};

FIXTURE_VARIANT(abort) {
	enum tapxfer_state state;
	enum how how;
	bool nonblock;
};

#define VARIANT(name, s, h, nb) \
	FIXTURE_VARIANT_ADD(abort, name) { \
		.state = TAPXFER_STATE_##s, .how = h, .nonblock = nb, \
	}

VARIANT(prepared_by_token, PREPARED, BY_TOKEN, true);
VARIANT(holding_by_token, HOLDING, BY_TOKEN, false);
VARIANT(frozen_by_token, FROZEN, BY_TOKEN, true);
VARIANT(claimed_by_token, CLAIMED, BY_TOKEN, false);
VARIANT(frozen_by_admin, FROZEN, BY_ADMIN, false);
VARIANT(holding_by_deadline, HOLDING, BY_DEADLINE, true);
VARIANT(frozen_by_deadline, FROZEN, BY_DEADLINE, false);
VARIANT(claimed_by_deadline, CLAIMED, BY_DEADLINE, true);

FIXTURE_SETUP(abort)
{
	int sndbuf = 345678;

	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", QUEUES, TAP_VM));
	ASSERT_EQ(0, ioctl(self->tap.fds[0], TUNSETSNDBUF, &sndbuf));
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, variant->nonblock));
	ASSERT_EQ(0, xfer_open(&self->x));
	ASSERT_EQ(0, sender_open(&self->s, self->tap.ifindex, FLOWS));
	ASSERT_EQ(0, capture_open(&self->c, self->tap.ifindex));
	ASSERT_EQ(0, tally_init(&self->t, 1 << 20));
}

FIXTURE_TEARDOWN(abort)
{
	xfer_close(&self->x);
	link_delete("tap0");
	tap_close(&self->tap);
	tap_close(&self->claimed);
	sender_close(&self->s);
	capture_close(&self->c);
	tally_free(&self->t);
}

/* To the variant's state; what is held is sent on the way. */
#define BEGIN(deadline) do { \
	enum tapxfer_state to_ = variant->state == TAPXFER_STATE_CLAIMED ? \
				 TAPXFER_STATE_FROZEN : variant->state; \
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, to_, 0, deadline)); \
	if (variant->state == TAPXFER_STATE_CLAIMED) { \
		ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed)); \
		ASSERT_EQ(QUEUES, self->claimed.n); \
	} \
} while (0)

/* The variant's end. */
#define END() do { \
	if (variant->how == BY_TOKEN) \
		ASSERT_EQ(0, xfer_abort(&self->x)); \
	if (variant->how == BY_ADMIN) \
		ASSERT_EQ(0, tapxfer_abort(self->x.tx, self->x.id, NULL, \
					   NULL)); \
	if (variant->how == BY_DEADLINE) \
		ASSERT_TRUE(wait_until(!xfer_is_live(&self->x), SOON_MS)); \
} while (0)

#define DEADLINE_MS	(variant->how == BY_DEADLINE ? scaled_ms(800) : NEVER)

TEST_F(abort, the_source_reads_all_that_was_held)
{
	uint32_t n = variant->state == TAPXFER_STATE_PREPARED ?
		     TAP_RING / 2 : TAP_RING + TAP_RING / 2;

	/* one queue gets them all; time enough to get there */
	self->s.flows = 1;
	ASSERT_EQ(0, sender_send(&self->s, 100));
	BEGIN(variant->how == BY_DEADLINE ? scaled_ms(2000) : NEVER);
	ASSERT_EQ(0, sender_send(&self->s, n));
	if (variant->how != BY_DEADLINE &&
	    variant->state != TAPXFER_STATE_PREPARED)
		EXPECT_EQ(0, tap_read_all(&self->tap, &self->t));
	END();
	ASSERT_EQ(0, sender_send(&self->s, 100));

	EXPECT_EQ(n + 200, tap_read_count(&self->tap, &self->t, n + 200));
	EXPECT_EQ(0, self->s.dropped);
	EXPECT_EQ(0, tally_lost(&self->t, self->s.seq));
	EXPECT_EQ(0, self->t.dup + self->t.reordered + self->t.foreign);
}

TEST_F(abort, settings_are_as_before)
{
	struct tap_settings before[QUEUES], after;
	struct link_info link_before, link_after;
	int q, twelve = 12;

	for (q = 0; q < QUEUES; q++)
		ASSERT_EQ(0, tap_settings(self->tap.fds[q], &before[q]));
	ASSERT_EQ(0, link_info(self->tap.ifindex, &link_before));
	BEGIN(DEADLINE_MS);
	END();

	for (q = 0; q < QUEUES; q++) {
		ASSERT_EQ(0, tap_settings(self->tap.fds[q], &after));
		EXPECT_EQ(0, memcmp(&before[q], &after, sizeof(after)));
		EXPECT_EQ(variant->nonblock, !!(after.fl & O_NONBLOCK));
		EXPECT_EQ(345678, after.sndbuf);
	}
	ASSERT_EQ(0, link_info(self->tap.ifindex, &link_after));
	EXPECT_EQ(0, memcmp(&link_before, &link_after, sizeof(link_after)));

	/* and the source can set them */
	EXPECT_EQ(0, ioctl(self->tap.fds[0], TUNSETVNETHDRSZ, &twelve));
	EXPECT_EQ(0, tap_detach(self->tap.fds[1], true));
	EXPECT_EQ(0, tap_detach(self->tap.fds[1], false));
	EXPECT_EQ(0, link_set_mtu("tap0", 1300));
}

TEST_F(abort, the_source_writes_again)
{
	int q;

	BEGIN(DEADLINE_MS);
	END();
	for (q = 0; q < QUEUES; q++)
		EXPECT_EQ(0, tap_write_one(&self->tap, q, q));
	EXPECT_EQ(QUEUES, capture_read(&self->c));
	EXPECT_EQ(0, tally_lost(&self->c.t, QUEUES));
}

TEST_F(abort, sleepers_of_the_source_wake)
{
	uint8_t packet[PACKET_MAX] = {};
	struct waiter r = { .op = WAITER_READ, .fd = self->tap.fds[0] };
	struct waiter w = {
		.op = WAITER_WRITE, .fd = self->tap.fds[1], .buf = packet,
		.len = self->tap.hdr +
		       packet_make(packet + self->tap.hdr, 0, 5),
	};

	ASSERT_EQ(0, tap_set_nonblock(&self->tap, false));
	ASSERT_EQ(0, waiter_start(&r));
	BEGIN(variant->how == BY_DEADLINE ? scaled_ms(1000) : NEVER);
	if (variant->state < TAPXFER_STATE_FROZEN) {
		ASSERT_EQ(0, waiter_go(&w));
		ASSERT_TRUE(waiter_wait(&w, SOON_MS));
	} else {
		ASSERT_EQ(0, waiter_start(&w));
	}
	ASSERT_EQ(0, sender_send(&self->s, FLOWS));
	END();
	EXPECT_TRUE(waiter_wait(&r, SOON_MS));
	EXPECT_EQ(self->tap.hdr + PACKET_LEN, r.ret);
	if (variant->state >= TAPXFER_STATE_FROZEN)
		EXPECT_TRUE(waiter_wait(&w, SOON_MS));
	EXPECT_EQ(w.len, w.ret);
	EXPECT_EQ(1, capture_read(&self->c));
}

TEST_F(abort, the_handover_is_gone_and_another_can_begin)
{
	uint32_t first;

	BEGIN(DEADLINE_MS);
	first = self->x.id;
	END();
	EXPECT_TRUE(wait_until(xfer_state(&self->x) == -ENOENT, SOON_MS));
	EXPECT_EQ(-ENOENT, xfer_thaw(&self->x));
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
	EXPECT_EQ(-ENOENT, xfer_abort(&self->x));
	EXPECT_STREQ("no such handover: it never was, or it has ended",
		     xfer_why(&self->x));

	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, 0,
				0));
	EXPECT_NE(first, self->x.id);
	EXPECT_EQ(0, xfer_finish(&self->x));
}

/* What the fcntl() of one holder of an open file changes, it changes for all. */
FIXTURE(nonblock) {
	struct tap tap;
	struct tap claimed;
	struct xfer x;
};

FIXTURE_VARIANT(nonblock) {
	bool before;
};

FIXTURE_VARIANT_ADD(nonblock, source_blocks) {
	.before = false,
};

FIXTURE_VARIANT_ADD(nonblock, source_does_not_block) {
	.before = true,
};

FIXTURE_SETUP(nonblock)
{
	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", QUEUES, TAP_VM));
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, variant->before));
	ASSERT_EQ(0, xfer_open(&self->x));
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, 0,
				0));
	ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed));
}

FIXTURE_TEARDOWN(nonblock)
{
	xfer_close(&self->x);
	tap_close(&self->tap);
	tap_close(&self->claimed);
}

TEST_F(nonblock, an_abort_undoes_what_the_claimant_set)
{
	int q;

	ASSERT_EQ(0, tap_set_nonblock(&self->claimed, !variant->before));
	ASSERT_EQ(0, xfer_abort(&self->x));
	for (q = 0; q < QUEUES; q++)
		EXPECT_EQ(variant->before,
			  !!(fcntl(self->tap.fds[q], F_GETFL) & O_NONBLOCK));
}

TEST_F(nonblock, a_thaw_keeps_what_the_claimant_set)
{
	int q;

	ASSERT_EQ(0, tap_set_nonblock(&self->claimed, !variant->before));
	ASSERT_EQ(0, xfer_thaw(&self->x));
	for (q = 0; q < QUEUES; q++)
		EXPECT_EQ(!variant->before,
			  !!(fcntl(self->claimed.fds[q], F_GETFL) &
			     O_NONBLOCK));
}

FIXTURE(deadline) {
	struct tap tap;
	struct xfer x;
};

FIXTURE_SETUP(deadline)
{
	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", QUEUES, TAP_VM));
	ASSERT_EQ(0, xfer_open(&self->x));
}

FIXTURE_TEARDOWN(deadline)
{
	xfer_close(&self->x);
	tap_close(&self->tap);
}

TEST_F(deadline, comes_when_it_was_asked_for)
{
	int64_t begun = now_ms(), end;
	int deadline = scaled_ms(1500);
	uint64_t left;

	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, 0,
				deadline));
	ASSERT_EQ(0, xfer_get(&self->x));
	EXPECT_EQ(deadline, xfer_u64(&self->x, TAPXFER_A_HANDOVER_DEADLINE));
	left = xfer_u64(&self->x, TAPXFER_A_HANDOVER_REMAINING);
	EXPECT_GE(deadline, left);
	ASSERT_TRUE(wait_until(!xfer_is_live(&self->x), SOON_MS));
	end = now_ms();
	EXPECT_LE(deadline - 20, end - begun);
	EXPECT_GE(deadline + scaled_ms(5000), end - begun);
}

TEST_F(deadline, is_not_moved_by_the_steps)
{
	uint64_t late = scaled_ms(2500);
	struct tap claimed = {};

	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_PREPARED, 0,
				scaled_ms(3000)));
	ASSERT_EQ(0, xfer_get(&self->x));
	ASSERT_TRUE(wait_until(!xfer_get(&self->x) &&
			       xfer_u64(&self->x,
					TAPXFER_A_HANDOVER_REMAINING) < late,
			       SOON_MS));
	ASSERT_EQ(0, xfer_hold(&self->x));
	ASSERT_EQ(0, xfer_freeze(&self->x));
	ASSERT_EQ(0, xfer_claim(&self->x, &claimed));
	ASSERT_EQ(0, xfer_get(&self->x));
	EXPECT_GT(late, xfer_u64(&self->x, TAPXFER_A_HANDOVER_REMAINING));
	tap_close(&claimed);
}

TEST_F(deadline, undoes_what_the_claimant_did_to_the_open_files)
{
	struct tap claimed = {};
	int q;

	ASSERT_EQ(0, tap_set_nonblock(&self->tap, false));
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, 0,
				scaled_ms(3000)));
	ASSERT_EQ(0, xfer_claim(&self->x, &claimed));
	ASSERT_EQ(0, tap_set_nonblock(&claimed, true));
	EXPECT_EQ(TAPXFER_STATE_CLAIMED, xfer_state(&self->x));
	ASSERT_TRUE(wait_until(!xfer_is_live(&self->x), SOON_MS));
	for (q = 0; q < QUEUES; q++)
		EXPECT_EQ(0, fcntl(self->tap.fds[q], F_GETFL) & O_NONBLOCK);
	tap_close(&claimed);
}

/* The kernel itself has to be able to do it: nobody is left who could. */
TEST_F(deadline, frees_the_device_of_a_source_that_was_killed)
{
	int ifindex = self->tap.ifindex;

	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, 0,
				scaled_ms(1000)));
	tap_close(&self->tap);
	/* the handover has the files, and they the device */
	EXPECT_EQ(ifindex, if_nametoindex("tap0"));
	/* as it would have gone without a handover */
	EXPECT_TRUE(wait_until(!if_nametoindex("tap0"), SOON_MS));
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
}

static long call_freeze(void *arg)
{
	return xfer_freeze_patiently(arg);
}

TEST_F(deadline, ends_a_freeze_that_waits_for_a_write)
{
	struct waiter f = {
		.op = WAITER_CALL, .fn = call_freeze, .arg = &self->x,
		.nr = SYS_sendto,
	};
	struct waiter w = { .op = WAITER_WRITE, .fd = self->tap.fds[0] };
	uint8_t packet[PACKET_MAX] = {};
	struct stall stall;

	ASSERT_EQ(0, stall_open(&stall));
	/* not before the freeze waits */
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_PREPARED, 0,
				scaled_ms(4000)));
	w.buf = stall.page;
	w.len = self->tap.hdr + packet_make(packet + self->tap.hdr, 0, 1);
	ASSERT_EQ(0, waiter_go(&w));
	ASSERT_TRUE(stall_wait(&stall, SOON_MS));
	ASSERT_EQ(0, waiter_start(&f));

	ASSERT_TRUE(waiter_wait(&f, SOON_MS));
	EXPECT_EQ(-ECANCELED, f.ret);
	ASSERT_EQ(0, stall_release(&stall, packet, w.len));
	ASSERT_TRUE(waiter_wait(&w, SOON_MS));
	EXPECT_EQ(w.len, w.ret);
	stall_close(&stall);
}

TEST_HARNESS_MAIN
