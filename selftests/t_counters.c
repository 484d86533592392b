// SPDX-License-Identifier: GPL-2.0
/*
 * What is told of a handover's packets: while they are held, and while they are
 * delivered.
 */
#include <errno.h>

#include <kselftest_harness.h>

#include "flow.h"
#include "net.h"
#include "tap.h"
#include "util.h"
#include "xfer.h"

#define QUEUES		3
#define MAX_SEQ		(1 << 16)

FIXTURE(counters) {
	struct tap tap;
	struct xfer x;
	struct sender s;
	struct tally t;
	int flow_of[QUEUES];
};

FIXTURE_VARIANT(counters) {
	uint32_t before;	/* packets a queue before the hold */
	uint32_t during;
	bool abort;
};

FIXTURE_VARIANT_ADD(counters, fewer_than_the_rings_length) {
	.before = 5, .during = 50,
};

FIXTURE_VARIANT_ADD(counters, more_than_the_rings_length) {
	.before = 100, .during = TAP_RING + 200,
};

FIXTURE_VARIANT_ADD(counters, abort) {
	.before = 100, .during = 500, .abort = true,
};

FIXTURE_SETUP(counters)
{
	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", QUEUES, TAP_VM));
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, true));
	ASSERT_EQ(0, xfer_open(&self->x));
	ASSERT_EQ(0, sender_open(&self->s, self->tap.ifindex, 1));
	ASSERT_EQ(0, tally_init(&self->t, MAX_SEQ));
	ASSERT_EQ(0, flows_learn(&self->s, &self->tap, &self->t,
				 self->flow_of));
}

FIXTURE_TEARDOWN(counters)
{
	xfer_close(&self->x);
	link_delete("tap0");
	tap_close(&self->tap);
	sender_close(&self->s);
	tally_free(&self->t);
}

#define SEND(per_queue) do { \
	int q_, i_; \
	for (q_ = 0; q_ < QUEUES; q_++) \
		for (i_ = 0; i_ < (int)(per_queue); i_++) \
			ASSERT_EQ(0, sender_send_flow(&self->s, \
						      self->flow_of[q_])); \
} while (0)

#define READ(q, n) do { \
	uint32_t i_; \
	for (i_ = 0; i_ < (n); i_++) \
		ASSERT_EQ(1, tap_read_one(&self->tap, q, &self->t)); \
} while (0)

#define QUEUE(q, attr)	xfer_queue_u64(&self->x, q, TAPXFER_A_QUEUE_##attr)
#define ALL(attr)	xfer_u64(&self->x, TAPXFER_A_HANDOVER_##attr)

/* The handover's line in the summary of all */
struct summary {
	uint32_t id;
	uint64_t held;
	uint64_t held_bytes;
	uint64_t delivered;
	int n;
};

static int see(const struct tapxfer_info *info, void *data)
{
	struct summary *s = data;

	if (tapxfer_info_u64(info, TAPXFER_A_HANDOVER_ID) != s->id)
		return 0;
	s->held = tapxfer_info_u64(info, TAPXFER_A_HANDOVER_HELD);
	s->held_bytes = tapxfer_info_u64(info, TAPXFER_A_HANDOVER_HELD_BYTES);
	s->delivered = tapxfer_info_u64(info, TAPXFER_A_HANDOVER_DELIVERED);
	s->n++;
	return 0;
}

#define EXPECT_TOLD(delivered_) do { \
	struct summary s_ = { .id = self->x.id }; \
	ASSERT_EQ(0, xfer_get(&self->x)); \
	EXPECT_EQ(QUEUES * (variant->before + variant->during), ALL(HELD)); \
	EXPECT_EQ(delivered_, ALL(DELIVERED)); \
	EXPECT_LE(QUEUES * (variant->before + variant->during) * PACKET_LEN, \
		  ALL(HELD_BYTES)); \
	ASSERT_EQ(0, tapxfer_handover_list(self->x.tx, see, &s_)); \
	EXPECT_EQ(1, s_.n); \
	EXPECT_EQ(ALL(HELD), s_.held); \
	EXPECT_EQ(ALL(HELD_BYTES), s_.held_bytes); \
	EXPECT_EQ(delivered_, s_.delivered); \
} while (0)

TEST_F(counters, tell_what_is_delivered)
{
	const uint32_t held = variant->before + variant->during;
	uint64_t bytes;
	int q;

	SEND(variant->before);
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, 0,
				0));
	SEND(variant->during);
	EXPECT_TOLD(0);
	bytes = ALL(HELD_BYTES);
	for (q = 0; q < QUEUES; q++) {
		EXPECT_EQ(variant->before, QUEUE(q, PENDING));
		EXPECT_EQ(held, QUEUE(q, HELD));
		EXPECT_EQ(0, QUEUE(q, PUT_BACK));
		EXPECT_EQ(0, QUEUE(q, DELIVERED));
		EXPECT_EQ(bytes / QUEUES, QUEUE(q, HELD_BYTES));
		EXPECT_EQ(0, QUEUE(q, FULL));
	}
	ASSERT_EQ(0, self->s.dropped);

	ASSERT_EQ(0, variant->abort ? xfer_abort(&self->x) :
				      xfer_finish(&self->x));
	EXPECT_TOLD(0);
	/* what comes now is not of what was held */
	SEND(7);
	EXPECT_TOLD(0);
	READ(0, 20);
	EXPECT_TOLD(20);
	EXPECT_EQ(20, QUEUE(0, DELIVERED));
	EXPECT_EQ(0, QUEUE(1, DELIVERED));

	/* the whole of one, and what came behind; all but one of the others */
	READ(0, held - 20 + 7);
	EXPECT_TOLD(held);
	for (q = 1; q < QUEUES; q++)
		READ(q, held - 1);
	SEND(1);
	EXPECT_TOLD(held + (QUEUES - 1) * (held - 1));
	for (q = 0; q < QUEUES; q++) {
		EXPECT_EQ(held - !!q, QUEUE(q, DELIVERED));
		EXPECT_EQ(held, QUEUE(q, HELD));
		EXPECT_EQ(bytes / QUEUES, QUEUE(q, HELD_BYTES));
	}
	/* it drains until the last one is taken, and no longer */
	READ(1, 1);
	EXPECT_EQ(TAPXFER_STATE_DRAINING, xfer_state(&self->x));
	EXPECT_EQ(QUEUES * held - 1, ALL(DELIVERED));
	READ(2, 1);
	EXPECT_TRUE(wait_until(xfer_state(&self->x) == -ENOENT, SOON_MS));
	ASSERT_LE(0, tap_read_all(&self->tap, &self->t));
	EXPECT_EQ(0, tally_lost(&self->t, self->s.seq));
	EXPECT_EQ(0, self->t.dup + self->t.reordered + self->t.foreign);
}

/* The driver's own resize of a ring that drains moves what is left in it. */
TEST_F(counters, survive_a_resize)
{
	const uint32_t held = variant->before + variant->during;
	int q;

	SEND(variant->before);
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, 0,
				0));
	SEND(variant->during);
	ASSERT_EQ(0, variant->abort ? xfer_abort(&self->x) :
				      xfer_finish(&self->x));
	for (q = 0; q < QUEUES; q++)
		READ(q, 10);
	EXPECT_TOLD(QUEUES * 10);
	ASSERT_EQ(0, link_set_txqlen("tap0", 5000));
	EXPECT_TOLD(QUEUES * 10);
	for (q = 0; q < QUEUES; q++)
		READ(q, held - 10 - 1);
	EXPECT_TOLD(QUEUES * (held - 1));
	ASSERT_EQ(0, link_set_txqlen("tap0", 1000));
	EXPECT_TOLD(QUEUES * (held - 1));
	for (q = 0; q < QUEUES; q++)
		READ(q, 1);
	EXPECT_TRUE(wait_until(xfer_state(&self->x) == -ENOENT, SOON_MS));
	EXPECT_EQ(0, tally_lost(&self->t, self->s.seq));
}

/* What is never read is not waited for for ever. */
TEST_F(counters, of_packets_that_nobody_reads_are_given_up)
{
	SEND(variant->before);
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, 0,
				0));
	ASSERT_EQ(0, variant->abort ? xfer_abort(&self->x) :
				      xfer_finish(&self->x));
	EXPECT_TRUE(wait_until(xfer_state(&self->x) == -ENOENT, 3 * SOON_MS));
	EXPECT_EQ(QUEUES * variant->before,
		  tap_read_all(&self->tap, &self->t));
	EXPECT_EQ(0, tally_lost(&self->t, self->s.seq));
}

TEST_HARNESS_MAIN
