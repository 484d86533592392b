// SPDX-License-Identifier: GPL-2.0
/*
 * drain: waiting for the host to let go of what the guest has sent.
 */
#include <errno.h>
#include <signal.h>

#include <kselftest_harness.h>

#include "flow.h"
#include "genl.h"
#include "net.h"
#include "tap.h"
#include "util.h"
#include "xfer.h"

#define QUEUES	2
#define PACKETS	10

/*
 * tap0 --- br0 --- port0 with a plug for a qdisc: what the guest sends to
 * nobody in particular waits there.
 */
FIXTURE(drain) {
	struct tap tap;
	struct tap claimed;
	struct xfer x;
	struct genl g;
	struct capture c;
};

FIXTURE_VARIANT(drain) {
	enum tapxfer_state state;
};

FIXTURE_VARIANT_ADD(drain, frozen) {
	.state = TAPXFER_STATE_FROZEN,
};

FIXTURE_VARIANT_ADD(drain, claimed) {
	.state = TAPXFER_STATE_CLAIMED,
};

static bool forwards(const char *port)
{
	return !shell("bridge link show dev %s | grep -q 'state forwarding'",
		      port);
}

FIXTURE_SETUP(drain)
{
	int i;

	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", QUEUES, TAP_VM));
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, true));
	ASSERT_EQ(0, xfer_open(&self->x));
	ASSERT_EQ(0, genl_open(&self->g));
	ASSERT_EQ(0, shell("ip link add br0 type bridge mcast_snooping 0 && "
			   "ip link add port0 type veth peer name port1 && "
			   "ip link set port0 master br0 up && "
			   "ip link set port1 up && "
			   "ip link set tap0 master br0 && "
			   "ip link set br0 up && "
			   "tc qdisc add dev port0 root plug limit 1000000"));
	ASSERT_EQ(0, capture_open(&self->c, if_nametoindex("port1")));
	/* a port forwards when news of the link have come */
	ASSERT_TRUE(wait_until(forwards("tap0") && forwards("port0"), SOON_MS));
	for (i = 0; i < PACKETS; i++)
		ASSERT_EQ(0, tap_write_one(&self->tap, i % QUEUES, i));
}

FIXTURE_TEARDOWN(drain)
{
	xfer_close(&self->x);
	genl_close(&self->g);
	capture_close(&self->c);
	/* what waits there has a socket, and that the netns, and that the link */
	link_delete("port0");
	tap_close(&self->claimed);
	tap_close(&self->tap);
}

#define BEGIN() do { \
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, 0, \
				0)); \
	if (variant->state == TAPXFER_STATE_CLAIMED) \
		ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed)); \
} while (0)

static int drain(struct genl *g, const struct xfer *x, uint32_t timeout)
{
	genl_go_on(g, TAPXFER_CMD_DRAIN, x->id, x->token.bytes);
	mnl_attr_put_u32(g->req, TAPXFER_A_HANDOVER_TIMEOUT, timeout);
	return genl_talk(g);
}

/* The host sends them, in order. */
static int unplug(void)
{
	return shell("tc qdisc change dev port0 root plug release_indefinite");
}

static uint64_t captured(struct capture *c)
{
	capture_read(c);
	return c->t.got;
}

TEST_F(drain, waits_for_packets_in_a_qdisc)
{
	uint64_t sum;

	BEGIN();
	EXPECT_EQ(-ETIMEDOUT, drain(&self->g, &self->x, 100));
	EXPECT_STREQ("the host still has packets of the queues, see unsent in handover-get: drain again, or go on",
		     self->g.msg);
	EXPECT_EQ(-ETIMEDOUT, drain(&self->g, &self->x, 0));
	/* at least the packets themselves */
	ASSERT_EQ((int)variant->state, xfer_state(&self->x));
	sum = xfer_u64(&self->x, TAPXFER_A_HANDOVER_UNSENT);
	EXPECT_LE(PACKETS * PACKET_LEN, sum);
	EXPECT_LE(PACKETS / 2 * PACKET_LEN,
		  xfer_queue_u64(&self->x, 0, TAPXFER_A_QUEUE_UNSENT));
	EXPECT_EQ(sum,
		  xfer_queue_u64(&self->x, 0, TAPXFER_A_QUEUE_UNSENT) +
		  xfer_queue_u64(&self->x, 1, TAPXFER_A_QUEUE_UNSENT));
	EXPECT_EQ(0, captured(&self->c));

	ASSERT_EQ(0, unplug());
	EXPECT_TRUE(wait_until(captured(&self->c) == PACKETS, SOON_MS));
	EXPECT_TRUE(wait_until(!drain(&self->g, &self->x, 1000), SOON_MS));
	EXPECT_EQ((uint32_t)variant->state,
		  genl_u32(&self->g, TAPXFER_A_HANDOVER_STATE));
	ASSERT_NE(NULL, genl_attr(&self->g, TAPXFER_A_HANDOVER_UNSENT));
	EXPECT_EQ(0, mnl_attr_get_u64(genl_attr(&self->g,
						TAPXFER_A_HANDOVER_UNSENT)));
	ASSERT_EQ((int)variant->state, xfer_state(&self->x));
	EXPECT_EQ(0, xfer_u64(&self->x, TAPXFER_A_HANDOVER_UNSENT));
	EXPECT_EQ(0, xfer_queue_u64(&self->x, 0, TAPXFER_A_QUEUE_UNSENT));
	EXPECT_EQ(0, xfer_queue_u64(&self->x, 1, TAPXFER_A_QUEUE_UNSENT));
}

/* What is thrown away is let go of as well. */
TEST_F(drain, of_packets_that_are_dropped)
{
	BEGIN();
	EXPECT_EQ(-ETIMEDOUT, drain(&self->g, &self->x, 0));
	ASSERT_EQ(0, shell("tc qdisc del dev port0 root"));
	EXPECT_TRUE(wait_until(!drain(&self->g, &self->x, 1000), SOON_MS));
	EXPECT_EQ(0, captured(&self->c));
}

struct drainer {
	struct xfer x;
	uint32_t tries;
};

/* Exits with what its drain says, asked again as long as it times out. */
static int drainer(void *arg)
{
	struct drainer *d = arg;
	struct genl g;
	int err;

	if (genl_open(&g))
		return 1;
	do {
		err = drain(&g, &d->x, 1000);
	} while (err == -EBUSY || (err == -ETIMEDOUT && --d->tries));
	return -err;
}

TEST_F(drain, ends_when_the_packets_go)
{
	struct drainer d = { .tries = 20 };
	pid_t child;

	BEGIN();
	d.x = self->x;
	child = child_start(drainer, &d);
	ASSERT_LT(0, child);
	/* while it waits no other command gets in */
	EXPECT_TRUE(wait_until(drain(&self->g, &self->x, 0) == -EBUSY,
			       SOON_MS));
	ASSERT_EQ(0, unplug());
	EXPECT_EQ(0, child_wait(child, SOON_MS));
}

TEST_F(drain, ends_with_the_handover)
{
	struct drainer d;
	int i, status = 0;
	pid_t child;

	/* the abort may come between two of its calls, but not each time */
	for (i = 0; i < 5 && status != ECANCELED; i++) {
		BEGIN();
		d.x = self->x;
		d.tries = 1000;
		child = child_start(drainer, &d);
		ASSERT_LT(0, child);
		ASSERT_TRUE(wait_until(drain(&self->g, &self->x, 0) == -EBUSY,
				       SOON_MS));
		/* which waits for nobody */
		ASSERT_EQ(0, xfer_abort(&self->x));
		self->x.id = 0;
		status = child_wait(child, SOON_MS);
		tap_close(&self->claimed);
		EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
	}
	EXPECT_EQ(ECANCELED, status);
	ASSERT_EQ(0, unplug());
}

TEST_F(drain, ends_when_it_is_killed)
{
	struct drainer d = { .tries = 1000 };
	pid_t child;

	BEGIN();
	d.x = self->x;
	child = child_start(drainer, &d);
	ASSERT_LT(0, child);
	ASSERT_TRUE(wait_until(drain(&self->g, &self->x, 0) == -EBUSY,
			       SOON_MS));
	ASSERT_EQ(0, kill(child, SIGKILL));
	EXPECT_EQ(128 + SIGKILL, child_wait(child, SOON_MS));
	/* and the handover goes on */
	EXPECT_EQ(-ETIMEDOUT, drain(&self->g, &self->x, 0));
	ASSERT_EQ(0, unplug());
	EXPECT_TRUE(wait_until(!drain(&self->g, &self->x, 1000), SOON_MS));
}

/* netem takes what it delays off the writer's account: it is not seen. */
TEST_F(drain, does_not_see_what_the_stack_has_orphaned)
{
	ASSERT_EQ(0, unplug());
	ASSERT_TRUE(wait_until(captured(&self->c) == PACKETS, SOON_MS));
	ASSERT_EQ(0, shell("tc qdisc replace dev port0 root netem delay 200s"));
	ASSERT_EQ(0, tap_write_one(&self->tap, 0, PACKETS));
	BEGIN();
	EXPECT_TRUE(wait_until(!drain(&self->g, &self->x, 1000), SOON_MS));
	EXPECT_EQ(PACKETS, captured(&self->c));
	EXPECT_EQ(0, shell("tc -s qdisc show dev port0 | grep -q 'backlog [^ ]* 1p'"));
}

TEST_F(drain, what_is_refused)
{
	static const uint8_t wrong[TAPXFER_TOKEN_LEN];

	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_PREPARED, 0,
				0));
	EXPECT_EQ(-EPROTO, drain(&self->g, &self->x, 0));
	ASSERT_EQ(0, xfer_hold(&self->x));
	EXPECT_EQ(-EPROTO, drain(&self->g, &self->x, 0));
	EXPECT_STREQ("the handover is holding: freeze it, or abort it",
		     self->g.msg);
	ASSERT_EQ(0, xfer_freeze(&self->x));
	EXPECT_EQ(-ERANGE, drain(&self->g, &self->x, 1001));
	EXPECT_EQ(TAPXFER_A_HANDOVER_TIMEOUT, self->g.bad_attr);
	EXPECT_STREQ("timeout is above timeout-max, see cap-get: drain again instead",
		     self->g.msg);
	genl_go_on(&self->g, TAPXFER_CMD_DRAIN, self->x.id, NULL);
	EXPECT_EQ(-EINVAL, genl_talk(&self->g));
	genl_go_on(&self->g, TAPXFER_CMD_DRAIN, self->x.id, wrong);
	EXPECT_EQ(-EPERM, genl_talk(&self->g));
	genl_go_on(&self->g, TAPXFER_CMD_DRAIN, self->x.id + 1000,
		   self->x.token.bytes);
	EXPECT_EQ(-ENOENT, genl_talk(&self->g));
	ASSERT_EQ(0, unplug());
}

TEST_HARNESS_MAIN
