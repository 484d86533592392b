// SPDX-License-Identifier: GPL-2.0
/*
 * The same as t_fail.c of a queue that vhost-net is attached to: its worker runs
 * on while the commands fail, and what it has sent meanwhile is sent by who ends
 * the handover.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include <kselftest_harness.h>

#include "fault.h"
#include "net.h"
#include "util.h"
#include "vhost.h"

#define FLOW		7
#define SOME		5	/* packets, at a time */
#define POINTS_MAX	1000

#define NONE		0	/* no handover */
#define ENDED		TAPXFER_STATE_DRAINING
#define S(state)	TAPXFER_STATE_##state

FIXTURE(vhost) {
	struct tap tap;
	struct xfer x;
	struct genl g;
	struct vhost v;
	struct sender s;
	struct tally t;
	struct capture capture;
	uint64_t entered;
	unsigned int failed;
	unsigned int done;
	unsigned int dropped;
};

FIXTURE_VARIANT(vhost) {
	const char *name;
	uint8_t cmd;
	int before;
	int after;
	bool batch;		/* the handover keeps one of vhost's */
};

#define PATH(id, ...) \
FIXTURE_VARIANT_ADD(vhost, id) { .name = #id, __VA_ARGS__ }

PATH(prepare,		TAPXFER_CMD_PREPARE, NONE, S(PREPARED));
PATH(hold,		TAPXFER_CMD_HOLD, S(PREPARED), S(HOLDING));
PATH(freeze,		TAPXFER_CMD_FREEZE, S(HOLDING), S(FROZEN));
PATH(freeze_new,	TAPXFER_CMD_FREEZE, NONE, S(FROZEN));
PATH(claim,		TAPXFER_CMD_CLAIM, S(FROZEN), S(CLAIMED));
PATH(ready_shared,	TAPXFER_CMD_READY, S(CLAIMED), S(READY));
PATH(thaw_shared,	TAPXFER_CMD_THAW, S(CLAIMED), ENDED);
PATH(thaw_batch,	TAPXFER_CMD_THAW, S(CLAIMED), ENDED, true);
PATH(abort,		TAPXFER_CMD_ABORT, S(FROZEN), ENDED);
PATH(abort_batch,	TAPXFER_CMD_ABORT, S(FROZEN), ENDED, true);

FIXTURE_SETUP(vhost)
{
	FAULT_OPEN();
	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", 1, TAP_VM));
	ASSERT_EQ(0, xfer_open(&self->x));
	ASSERT_EQ(0, sender_open(&self->s, self->tap.ifindex, 1));
	ASSERT_EQ(0, tally_init(&self->t, 1 << 16));
	ASSERT_EQ(0, capture_open(&self->capture, self->tap.ifindex));
	ASSERT_EQ(0, shell("modprobe vhost_net"));
	ASSERT_EQ(0, vhost_open(&self->v, 0, -1));
	guest_offer(&self->v, VHOST_RING);
	ASSERT_EQ(0, vhost_start(&self->v, self->tap.fds[0]));
}

FIXTURE_TEARDOWN(vhost)
{
	genl_close(&self->g);
	vhost_close(&self->v);
	xfer_close(&self->x);
	EXPECT_EQ(0, link_delete("tap0"));
	tap_close(&self->tap);
	sender_close(&self->s);
	capture_close(&self->capture);
	tally_free(&self->t);
	fault_close();
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
}

#define IN	struct __test_metadata *_metadata, \
		struct _test_data_vhost *self, \
		const struct _fixture_variant_vhost *variant
#define US	_metadata, self, variant

/* What it sends waits in its vring while frozen. */
static void guest_sends_some(IN)
{
	int i;

	for (i = 0; i < SOME; i++)
		ASSERT_EQ(0, guest_send(&self->v, FLOW, self->v.guest->sent,
					PACKET_LEN));
}

/* Both ways */
static void send_some(IN)
{
	ASSERT_EQ(0, sender_send(&self->s, SOME));
	guest_sends_some(US);
}

static uint64_t batched(struct xfer *x)
{
	return xfer_get(x) ? UINT64_MAX :
			     xfer_queue_u64(x, 0, TAPXFER_A_QUEUE_BATCHED);
}

/*
 * What it has not sent when the write side is closed is sent at the end, and until
 * then it does not want to be told of more.
 */
static void expect_idle(IN)
{
	ASSERT_TRUE(wait_until(guest_unsent(&self->v) == 0, SOON_MS));
}

/*
 * vhost makes batches as long as the send buffer has no limit. That is zero
 * now, so one is set past the fence, through a queue of our own. Nothing goes to
 * the guest meanwhile: it could go to that queue, and be gone with it.
 */
static void keep_a_batch(IN)
{
	int fd = tap_queue("tap0", TAP_VM), max = INT32_MAX;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ioctl(fd, TUNSETSNDBUF, &max));
	guest_sends_some(US);
	EXPECT_TRUE(wait_until(batched(&self->x) >= SOME, SOON_MS));
	close(fd);
}

/* As in t_fail.c. */
static void request(IN)
{
	struct genl *g = &self->g;

	if (variant->before) {
		genl_go_on(g, variant->cmd, self->x.id, self->x.token.bytes);
		if (variant->cmd == TAPXFER_CMD_READY ||
		    variant->cmd == TAPXFER_CMD_THAW)
			mnl_attr_put(g->req, TAPXFER_A_HANDOVER_SHARED, 0,
				     NULL);
		if (variant->cmd == TAPXFER_CMD_CLAIM)
			mnl_attr_put(g->req, TAPXFER_A_HANDOVER_NO_FDS, 0,
				     NULL);
		return;
	}
	genl_begin(g, variant->cmd, self->tap.ifindex, self->tap.fds, 1);
	mnl_attr_put_u32(g->req, TAPXFER_A_HANDOVER_DEADLINE,
			 XFER_PATIENCE_MS);
}

static bool ask(IN, unsigned int n, struct fault_result *r)
{
	const struct nlattr *token;

	request(US);
	ASSERT_EQ(0, fault_talk(&self->g, n, r));
	EXPECT_FALSE(r->mapped);
	if (r->done && !variant->before) {
		token = genl_attr(&self->g, TAPXFER_A_HANDOVER_TOKEN);
		ASSERT_NE(NULL, token);
		self->x.id = genl_u32(&self->g, TAPXFER_A_HANDOVER_ID);
		memcpy(self->x.token.bytes, mnl_attr_get_payload(token),
		       TAPXFER_TOKEN_LEN);
	}
	EXPECT_TRUE(r->hit || !r->err);
	if (!r->hit)
		return r->done;
	self->done += r->done;
	self->failed += !r->done;
	EXPECT_TRUE(r->done || fault_is_fair(r)) {
		TH_LOG("point %u: %d, \"%s\"", n, r->err, self->g.msg);
	}
	/* what ends a handover fails before it reaches the module, or not at all */
	if (variant->after == ENDED)
		EXPECT_STREQ("", self->g.msg);
	return r->done;
}

static int step(IN, int state)
{
	uint32_t id = self->x.id;

	switch (state) {
	case NONE:
		ASSERT_EQ(0, xfer_begin(&self->x, &self->tap,
					TAPXFER_STATE_PREPARED, 0, 0));
		return TAPXFER_STATE_PREPARED;
	case TAPXFER_STATE_PREPARED:
		ASSERT_EQ(0, xfer_hold(&self->x));
		return TAPXFER_STATE_HOLDING;
	case TAPXFER_STATE_HOLDING:
		ASSERT_EQ(0, xfer_freeze_patiently(&self->x));
		return TAPXFER_STATE_FROZEN;
	case TAPXFER_STATE_FROZEN:
		tapxfer_info_free(self->x.info);
		ASSERT_EQ(0, tapxfer_claim_flags(self->x.tx, id,
						 &self->x.token,
						 TAPXFER_CLAIM_NO_FDS,
						 &self->x.info));
		return TAPXFER_STATE_CLAIMED;
	default:
		ASSERT_EQ(0, xfer_thaw_shared(&self->x));
		return ENDED;
	}
}

/* All that was sent came, but for what the driver had no memory for. */
static void expect_traffic(IN, unsigned int may_drop)
{
	uint64_t sent = self->v.guest->sent, lost;

	EXPECT_TRUE(wait_until((guest_receive(&self->v, &self->t, 0, true),
				self->t.got >= self->s.seq), SOON_MS));
	EXPECT_EQ(0, tally_lost(&self->t, self->s.seq));
	EXPECT_EQ(0, self->s.dropped + self->t.dup + self->t.reordered);

	EXPECT_TRUE(wait_until(guest_unsent(&self->v) == 0, SOON_MS));
	EXPECT_TRUE(wait_until((capture_read(&self->capture),
				self->capture.t.got + self->dropped +
				may_drop >= sent), SOON_MS));
	lost = tally_lost(&self->capture.t, sent) - self->dropped;
	EXPECT_GE(may_drop, lost);
	self->dropped += lost;
	EXPECT_EQ(0, self->capture.t.dup + self->capture.t.reordered);
}

static unsigned int once(IN, unsigned int n)
{
	struct fault_result r, again;
	int state = NONE;
	bool done;

	send_some(US);
	if (variant->batch)
		expect_idle(US);
	while (state != variant->before)
		state = step(US, state);
	if (variant->batch)
		keep_a_batch(US);
	send_some(US);
	genl_close(&self->g);
	ASSERT_EQ(0, genl_open(&self->g));
	done = ask(US, n, &r);
	if (done)
		state = variant->after;
	if (state == ENDED) {
		EXPECT_FALSE(xfer_is_live(&self->x));
	} else if (state != NONE) {
		EXPECT_EQ(state, xfer_state(&self->x));
	}
	send_some(US);
	if (!done) {
		genl_close(&self->g);
		ASSERT_EQ(0, genl_open(&self->g));
		EXPECT_TRUE(ask(US, FAULT_NEVER, &again));
		state = variant->after;
	}
	while (state != ENDED)
		state = step(US, state);
	self->x.id = 0;
	expect_traffic(US, variant->batch && r.hit);
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
	return r.points;
}

TEST_F_TIMEOUT(vhost, at_every_point, 300)
{
	unsigned int n = 0;

	once(US, FAULT_NEVER);
	while (++n < POINTS_MAX && once(US, n) == n)
		if (!_metadata->passed)
			break;
	EXPECT_LT(n, POINTS_MAX);
	TH_LOG("%s: %u points, %u failed, %u done all the same; the driver dropped %u packets",
	       variant->name, n - 1, self->failed, self->done, self->dropped);
	EXPECT_EQ(n - 1, self->failed + self->done);
	EXPECT_LT(0, self->failed);
}

TEST_HARNESS_MAIN
