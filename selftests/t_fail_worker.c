// SPDX-License-Identifier: GPL-2.0
/*
 * G4: the deadline ends a handover, and a claimant's exit the claim, when the
 * worker that does it gets no memory at all. Faults as in t_fail.c.
 */
#include <errno.h>
#include <string.h>

#include <kselftest_harness.h>

#include "agent.h"
#include "fault.h"
#include "flow.h"
#include "net.h"
#include "tap.h"
#include "util.h"
#include "xfer.h"

#define FLOWS		16
#define SOME		5	/* packets, at a time */

#define S(state)	TAPXFER_STATE_##state
#define TARGET(fn, arg)	agent_call(&self->target, &self->x, fn, arg, 0)

FIXTURE(worker) {
	struct tap tap;
	struct xfer x;
	struct xfer events;
	struct sender s;
	struct tally t;
	struct agent target;
};

FIXTURE_VARIANT(worker) {
	int state;
	bool dies;	/* the claimant, or else it is the deadline */
};

FIXTURE_VARIANT_ADD(worker, prepared) { S(PREPARED) };
FIXTURE_VARIANT_ADD(worker, holding) { S(HOLDING) };
FIXTURE_VARIANT_ADD(worker, frozen) { S(FROZEN) };
FIXTURE_VARIANT_ADD(worker, claimed) { S(CLAIMED) };
FIXTURE_VARIANT_ADD(worker, ready) { S(READY) };
FIXTURE_VARIANT_ADD(worker, claimed_dies) { S(CLAIMED), true };
FIXTURE_VARIANT_ADD(worker, ready_dies) { S(READY), true };

FIXTURE_SETUP(worker)
{
	FAULT_OPEN();
	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", 2, TAP_VM));
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, true));
	ASSERT_EQ(0, xfer_open(&self->x));
	ASSERT_EQ(0, xfer_open(&self->events));
	ASSERT_EQ(0, tapxfer_subscribe(self->events.tx));
	ASSERT_EQ(0, sender_open(&self->s, self->tap.ifindex, FLOWS));
	ASSERT_EQ(0, tally_init(&self->t, 1 << 16));
}

FIXTURE_TEARDOWN(worker)
{
	fault_workers(false);
	agent_kill(&self->target);
	xfer_close(&self->x);
	xfer_close(&self->events);
	EXPECT_EQ(0, link_delete("tap0"));
	tap_close(&self->tap);
	sender_close(&self->s);
	tally_free(&self->t);
	fault_close();
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
}

/* Whether one was lost; and the last one that was not. */
static bool events_lost(struct xfer *events, uint64_t *last)
{
	struct tapxfer_info *info;
	bool lost = false;
	int err;

	while ((err = tapxfer_event_next(events->tx, 0, &info)) != -EAGAIN) {
		lost |= err == -ENOBUFS;
		if (err)
			continue;
		*last = tapxfer_info_u64(info, TAPXFER_A_HANDOVER_EVENT);
		tapxfer_info_free(info);
	}
	return lost;
}

/*
 * The worker that ends the handover, or takes the claim back, gets no memory: what
 * cannot be told to who listens shows that it asked for some.
 */
TEST_F_TIMEOUT(worker, without_memory_does_its_work, 300)
{
	int end = variant->dies ? TAPXFER_EVENT_FROZEN : TAPXFER_EVENT_EXPIRED;
	bool proved = false;
	uint64_t last;
	int tries;

	for (tries = 0; !proved && tries < 10; tries++) {
		ASSERT_EQ(0, agent_start(&self->target));
		ASSERT_EQ(0, xfer_begin(&self->x, &self->tap,
					variant->state < S(FROZEN) ?
					variant->state : S(FROZEN), 0,
					variant->dies ? 0 : scaled_ms(2000)));
		if (variant->state >= S(CLAIMED))
			ASSERT_EQ(0, TARGET(agent_claim, 0));
		if (variant->state == S(READY))
			ASSERT_EQ(0, TARGET(agent_ready, TAPXFER_THAW_SHARED));
		last = 0;
		EXPECT_FALSE(events_lost(&self->events, &last));
		ASSERT_EQ(0, sender_send(&self->s, SOME));
		ASSERT_EQ(0, fault_workers(true));
		if (variant->dies)
			agent_kill(&self->target);
		EXPECT_TRUE(wait_until(variant->dies ?
				       xfer_state(&self->x) == S(FROZEN) :
				       !xfer_is_live(&self->x), SOON_MS));
		ASSERT_EQ(0, fault_workers(false));
		/* a worker that was made meanwhile did get some */
		proved = events_lost(&self->events, &last);
		EXPECT_TRUE(proved || last == (uint64_t)end);
		if (variant->dies)
			ASSERT_EQ(0, xfer_finish(&self->x));
		self->x.id = 0;
		agent_kill(&self->target);
		ASSERT_EQ(0, sender_send(&self->s, SOME));
		ASSERT_LE(0, tap_read_all(&self->tap, &self->t));
		EXPECT_EQ(0, tally_lost(&self->t, self->s.seq));
		EXPECT_EQ(0, self->t.dup + self->t.reordered);
		EXPECT_EQ(0, tap_write_one(&self->tap, 0, 0));
		EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
	}
	EXPECT_TRUE(proved);
	TH_LOG("without memory at try %d", tries);
}

TEST_HARNESS_MAIN
