// SPDX-License-Identifier: GPL-2.0
/*
 * Events: all of them, in order, with the kernel's times and numbers.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include <kselftest_harness.h>

#include "flow.h"
#include "net.h"
#include "tap.h"
#include "util.h"
#include "xfer.h"

#define QUEUES	4
#define FLOWS	64

FIXTURE(events) {
	struct tap tap;
	struct tap claimed;
	struct xfer x;
	struct xfer ev;
	struct sender s;
	struct tapxfer_info *info;	/* the last event */
	uint64_t last;			/* its time */
};

FIXTURE_SETUP(events)
{
	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", QUEUES, TAP_VM));
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, true));
	ASSERT_EQ(0, xfer_open(&self->x));
	ASSERT_EQ(0, xfer_open(&self->ev));
	ASSERT_EQ(0, tapxfer_subscribe(self->ev.tx));
	ASSERT_EQ(0, sender_open(&self->s, self->tap.ifindex, FLOWS));
}

FIXTURE_TEARDOWN(events)
{
	tapxfer_info_free(self->info);
	xfer_close(&self->x);
	xfer_close(&self->ev);
	link_delete("tap0");
	tap_close(&self->tap);
	tap_close(&self->claimed);
	sender_close(&self->s);
}

#define U64(attr) tapxfer_info_u64(self->info, TAPXFER_A_HANDOVER_##attr)

/*
 * The next event is that one, of this handover, in that state, and happened
 * between what was before and now.
 */
#define EXPECT_EVENT(event, state) do { \
	tapxfer_info_free(self->info); \
	ASSERT_EQ(0, tapxfer_event_next(self->ev.tx, SOON_MS, &self->info)); \
	EXPECT_EQ(TAPXFER_EVENT_##event, U64(EVENT)); \
	EXPECT_EQ(TAPXFER_STATE_##state, U64(STATE)); \
	EXPECT_EQ(self->x.id, U64(ID)); \
	EXPECT_LE(self->last, U64(TIME)); \
	EXPECT_GE(now_ns(), U64(TIME)); \
	self->last = U64(TIME); \
	EXPECT_EQ(QUEUES, U64(NUM_QUEUES)); \
	EXPECT_EQ(self->tap.ifindex, U64(IFINDEX)); \
	EXPECT_STREQ("tap0", tapxfer_info_str(self->info, \
					      TAPXFER_A_HANDOVER_IFNAME)); \
	/* a secret is told to nobody */ \
	EXPECT_FALSE(tapxfer_info_has(self->info, \
				      TAPXFER_A_HANDOVER_TOKEN)); \
} while (0)

/* Within what lies between doing and telling; an emulated machine is slow. */
#define EXPECT_NEAR(a, b) do { \
	uint64_t a_ = (a), b_ = (b); \
	EXPECT_GT(2000000000ULL, a_ > b_ ? a_ - b_ : b_ - a_); \
} while (0)

#define EXPECT_NO_EVENT() do { \
	struct tapxfer_info *none_; \
	EXPECT_EQ(-EAGAIN, tapxfer_event_next(self->ev.tx, 0, &none_)); \
} while (0)

TEST_F(events, the_whole_way_to_the_thaw)
{
	uint64_t begun = now_ns(), holding, thawed;

	self->last = begun;
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_PREPARED,
				100, 0));
	EXPECT_EVENT(PREPARED, PREPARED);
	EXPECT_EQ(0, U64(HELD));
	EXPECT_EQ(0, U64(DROPPED));
	EXPECT_EQ(0, U64(BLACKOUT));

	ASSERT_EQ(0, sender_send(&self->s, 50));
	ASSERT_EQ(0, xfer_hold(&self->x));
	EXPECT_EVENT(HOLDING, HOLDING);
	EXPECT_EQ(50, U64(HELD));
	holding = U64(TIME);

	/* from now on there are too many for some queue */
	ASSERT_EQ(0, sender_send(&self->s, 100 * FLOWS));
	ASSERT_LT(0, self->s.dropped);
	ASSERT_EQ(0, xfer_freeze(&self->x));
	EXPECT_EVENT(FROZEN, FROZEN);
	EXPECT_EQ(50 + 100 * FLOWS - self->s.dropped, U64(HELD));
	EXPECT_EQ(self->s.dropped, U64(DROPPED));
	EXPECT_GE(now_ns() - holding, U64(BLACKOUT));

	ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed));
	EXPECT_EVENT(CLAIMED, CLAIMED);
	EXPECT_EQ(50 + 100 * FLOWS - self->s.dropped, U64(HELD));
	ASSERT_EQ(0, xfer_thaw(&self->x));
	EXPECT_EVENT(THAWED, DRAINING);
	thawed = U64(TIME);
	EXPECT_EQ(50 + 100 * FLOWS - self->s.dropped, U64(HELD));
	EXPECT_EQ(self->s.dropped, U64(DROPPED));
	/* the blackout is from the hold to the thaw, but for the moments
	 * between doing and telling
	 */
	EXPECT_LE(U64(BLACKOUT), thawed - begun);
	EXPECT_NEAR(thawed - holding, U64(BLACKOUT));
	EXPECT_EQ(U64(BLACKOUT),
		  xfer_u64(&self->x, TAPXFER_A_HANDOVER_BLACKOUT));
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
	EXPECT_NO_EVENT();
}

TEST_F(events, times_of_the_steps_are_those_of_the_events)
{
	uint64_t prepared, holding, frozen, claimed;

	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, 0,
				0));
	EXPECT_EVENT(PREPARED, PREPARED);
	prepared = U64(TIME);
	EXPECT_EVENT(HOLDING, HOLDING);
	holding = U64(TIME);
	EXPECT_EVENT(FROZEN, FROZEN);
	frozen = U64(TIME);
	ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed));
	EXPECT_EVENT(CLAIMED, CLAIMED);
	claimed = U64(TIME);
	ASSERT_EQ(0, xfer_get(&self->x));
	EXPECT_NEAR(prepared, xfer_u64(&self->x,
				       TAPXFER_A_HANDOVER_PREPARED_AT));
	EXPECT_NEAR(holding, xfer_u64(&self->x,
				      TAPXFER_A_HANDOVER_HOLDING_AT));
	EXPECT_NEAR(frozen, xfer_u64(&self->x, TAPXFER_A_HANDOVER_FROZEN_AT));
	EXPECT_NEAR(claimed, xfer_u64(&self->x,
				      TAPXFER_A_HANDOVER_CLAIMED_AT));
}

TEST_F(events, an_abort)
{
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_HOLDING, 0,
				0));
	EXPECT_EVENT(PREPARED, PREPARED);
	EXPECT_EVENT(HOLDING, HOLDING);
	ASSERT_EQ(0, sender_send(&self->s, 70));
	ASSERT_EQ(0, xfer_abort(&self->x));
	EXPECT_EVENT(ABORTED, DRAINING);
	EXPECT_EQ(70, U64(HELD));
	EXPECT_NO_EVENT();
}

TEST_F(events, the_deadline)
{
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, 0,
				scaled_ms(1000)));
	EXPECT_EVENT(PREPARED, PREPARED);
	EXPECT_EVENT(HOLDING, HOLDING);
	EXPECT_EVENT(FROZEN, FROZEN);
	EXPECT_EVENT(EXPIRED, DRAINING);
	EXPECT_NO_EVENT();
}

TEST_F(events, a_device_that_is_deleted)
{
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, 0,
				0));
	EXPECT_EVENT(PREPARED, PREPARED);
	EXPECT_EVENT(HOLDING, HOLDING);
	EXPECT_EVENT(FROZEN, FROZEN);
	ASSERT_EQ(0, sender_send(&self->s, 70));
	ASSERT_EQ(0, link_delete("tap0"));
	EXPECT_EVENT(GONE, DRAINING);
	EXPECT_EQ(70, U64(HELD));
	EXPECT_NO_EVENT();
}

/* What failed has not happened. */
TEST_F(events, of_a_command_that_fails_there_is_none)
{
	struct tap some = self->tap;

	some.n = 2;
	EXPECT_EQ(-EINVAL, xfer_begin(&self->x, &some, TAPXFER_STATE_PREPARED,
				      0, 0));
	EXPECT_NO_EVENT();
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_PREPARED, 0,
				0));
	EXPECT_EVENT(PREPARED, PREPARED);
	EXPECT_EQ(-EPROTO, xfer_claim(&self->x, &self->claimed));
	EXPECT_EQ(-EPROTO, xfer_thaw(&self->x));
	EXPECT_NO_EVENT();
}

TEST_F(events, are_told_in_the_devices_netns_alone)
{
	struct tapxfer_info *none;
	struct xfer there;
	int home = net_leave();

	ASSERT_LE(0, home);
	ASSERT_EQ(0, xfer_open(&there));
	ASSERT_EQ(0, tapxfer_subscribe(there.tx));
	ASSERT_EQ(0, net_enter(home));
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, 0,
				0));
	ASSERT_EQ(0, xfer_abort(&self->x));
	EXPECT_EVENT(PREPARED, PREPARED);
	/* what came there would have come before */
	EXPECT_EQ(-EAGAIN, tapxfer_event_next(there.tx, 0, &none));
	xfer_close(&there);
}

TEST_F(events, a_slow_listener_is_told_that_it_missed_some)
{
	int size = 1, i, err, got = 0, lost = 0;
	struct tapxfer_info *info;
	struct xfer quick;

	ASSERT_EQ(0, xfer_open(&quick));
	ASSERT_EQ(0, tapxfer_subscribe(quick.tx));
	ASSERT_EQ(0, setsockopt(tapxfer_fd(self->ev.tx), SOL_SOCKET, SO_RCVBUF,
				&size, sizeof(size)));
	for (i = 0; i < 20; i++) {
		/* not disturbed by those who do not listen */
		ASSERT_EQ(0, xfer_begin(&self->x, &self->tap,
					TAPXFER_STATE_FROZEN, 0, 0));
		ASSERT_EQ(0, xfer_abort(&self->x));
	}
	while ((err = tapxfer_event_next(self->ev.tx, 0, &info)) != -EAGAIN) {
		ASSERT_TRUE(!err || err == -ENOBUFS);
		if (err) {
			ASSERT_GT(100, ++lost);
			EXPECT_STREQ("events were lost: list the handovers anew",
				     tapxfer_error(self->ev.tx));
		} else {
			got++;
			tapxfer_info_free(info);
		}
	}
	EXPECT_LT(0, lost);
	EXPECT_GT(80, got);

	/* it goes on, and so does who was quick enough */
	size = 1 << 20;
	ASSERT_EQ(0, setsockopt(tapxfer_fd(self->ev.tx), SOL_SOCKET, SO_RCVBUF,
				&size, sizeof(size)));
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_PREPARED, 0,
				0));
	EXPECT_EVENT(PREPARED, PREPARED);
	for (i = 0; i < 81; i++) {
		ASSERT_EQ(0, tapxfer_event_next(quick.tx, SOON_MS, &info));
		tapxfer_info_free(info);
	}
	EXPECT_EQ(-EAGAIN, tapxfer_event_next(quick.tx, 0, &info));
	xfer_close(&quick);
}

TEST_HARNESS_MAIN
