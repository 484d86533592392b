// SPDX-License-Identifier: GPL-2.0
/*
 * A handover over a socket that comes to an end, or one side of which does,
 * after any number of bytes: one of the two has the queues then, and knows it,
 * or what the two had is gone with them.
 */
#include <errno.h>
#include <stdio.h>

#include <kselftest_harness.h>

#include "chan.h"
#include "net.h"
#include "util.h"

#define QUEUES	2

FIXTURE(dies) {
	struct chan *c;
	long total;		/* bytes that way */
	int frames;
	long frame[256];
};

FIXTURE_VARIANT(dies) {
	uint32_t transport;
	uint32_t flags;
	bool back;		/* bytes from the target */
	enum chan_harm harm;
};

#define VARIANTS(name, harm_)						\
FIXTURE_VARIANT_ADD(dies, name##_to_target) {				\
	.transport = TAPXFER_TRANSPORT_TOKEN, .harm = harm_,		\
};									\
FIXTURE_VARIANT_ADD(dies, name##_to_source) {				\
	.transport = TAPXFER_TRANSPORT_TOKEN, .harm = harm_, .back = true, \
};									\
FIXTURE_VARIANT_ADD(dies, name##_to_target_fds) {			\
	.transport = TAPXFER_TRANSPORT_FDS, .harm = harm_,		\
};									\
FIXTURE_VARIANT_ADD(dies, name##_to_source_fds) {			\
	.transport = TAPXFER_TRANSPORT_FDS, .harm = harm_, .back = true, \
};									\
FIXTURE_VARIANT_ADD(dies, name##_to_target_two) {			\
	.transport = TAPXFER_TRANSPORT_FDS, .harm = harm_,		\
	.flags = TAPXFER_CHANNEL_EARLY,					\
};									\
FIXTURE_VARIANT_ADD(dies, name##_to_source_two) {			\
	.transport = TAPXFER_TRANSPORT_FDS, .harm = harm_, .back = true, \
	.flags = TAPXFER_CHANNEL_EARLY,					\
}

VARIANTS(cut, CHAN_CUT);
VARIANTS(source_killed, CHAN_KILL_SOURCE);
VARIANTS(target_killed, CHAN_KILL_TARGET);

static void plan(struct chan *c, const FIXTURE_VARIANT(dies) *variant)
{
	chan_plan(c, variant->transport);
	c->src.flags = variant->flags;
	c->dst.flags = variant->flags;
	c->proxy.back = variant->back;
	/* of a source that dies before anybody has its token nothing else ends */
	if (variant->harm != CHAN_KILL_SOURCE)
		return;
	c->src.deadline = scaled_ms(1500);
	/* nor can a first socket that was closed be told from one that did its part */
	if (variant->flags & TAPXFER_CHANNEL_EARLY)
		c->dst.timeout = scaled_ms(1500);
}

FIXTURE_SETUP(dies)
{
	struct chan *c;
	int i;

	ASSERT_EQ(0, net_isolate());
	c = self->c = chan_create(2, QUEUES);
	ASSERT_NE(NULL, c);
	/* without harm, to know how long it is, and to see that it works */
	plan(c, variant);
	c->src.deadline = 0;
	c->dst.timeout = 0;
	ASSERT_EQ(0, chan_send(c, 4));
	chan_run_proxy(c);
	ASSERT_EQ(0, c->src.err) TH_LOG("%s", c->src.text);
	ASSERT_EQ(0, c->dst.err) TH_LOG("%s", c->dst.text);
	ASSERT_EQ(0, chan_owns(c, &c->target));
	chan_swap(c);
	self->total = c->proxy.passed[variant->back];
	self->frames = c->proxy.frames;
	for (i = 0; i < self->frames; i++)
		self->frame[i] = c->proxy.frame[i];
	ASSERT_LT(variant->back ? 4 : 6, self->frames);
}

FIXTURE_TEARDOWN(dies)
{
	chan_destroy(self->c);
}

/*
 * Whose it is now: 1 the target's, 0 the source's, -1 nobody's; or less, and
 * that is wrong.
 */
static int judge(struct chan *c)
{
	bool source = c->source.pid > 0, target = c->target.pid > 0;
	bool moved = target && !c->dst.err;

	if (!chan_is_idle())
		return -2;
	/* two that live agree */
	if (source && target && moved != !c->src.err)
		return -3;
	if (moved)
		return chan_owns(c, &c->target) ? -4 : 1;
	if (target && c->dst.fds)
		return -5;
	/* the target had it, or so the source says, and died of it */
	if (source && !target && !c->src.err)
		return wait_until(chan_are_gone(c), SOON_MS) ? -1 : -6;
	if (source)
		return c->src.fds ? -7 : chan_owns(c, &c->source) ? -8 : 0;
	return wait_until(chan_are_gone(c), SOON_MS) ? -1 : -9;
}

static bool near_frame(const long *frame, int n, long at)
{
	int i;

	for (i = 0; i < n; i++)
		if (at >= frame[i] - 1 && at <= frame[i] + 1)
			return true;
	return false;
}

/*
 * The source's last message says that it has let go, the one before it completes
 * the states; the target's last but one is its verdict.
 */
static bool target_has_all(const FIXTURE_DATA(dies) *self, bool back, long at)
{
	if (back)
		return at > self->frame[self->frames - 2];
	return at >= self->frame[self->frames - 1];
}

/*
 * Each byte takes its time, and new processes more of it: where that has been done
 * for one way to speak, others have those that a message begins or ends with, and
 * some between; and so has all in a kernel that takes many times as long.
 */
static long step(const FIXTURE_VARIANT(dies) *variant)
{
	if (variant->harm != CHAN_CUT)
		return 256;
	if (scaled_ms(1) > 4)
		return 16;
	return variant->transport == TAPXFER_TRANSPORT_TOKEN ? 1 : 16;
}

TEST_F_TIMEOUT(dies, after_any_byte, 900)
{
	struct chan *c = self->c;
	long at, count[3] = { 0 };
	int who;

	for (at = 0; at <= self->total; at++) {
		if (at % step(variant) && at < self->total - 1 &&
		    !near_frame(self->frame, self->frames, at))
			continue;
		plan(c, variant);
		c->proxy.harm = variant->harm;
		c->proxy.at = at;
		ASSERT_EQ(0, chan_send(c, 4));
		chan_run_proxy(c);
		who = judge(c);
		ASSERT_LE(-1, who)
			TH_LOG("%d after %ld of %ld bytes: source %d '%s' (%d), target %d '%s' (%d)",
			       who, at, self->total, c->src.err, c->src.text,
			       c->src.fds, c->dst.err, c->dst.text, c->dst.fds);
		count[who + 1]++;
		/* the states are there: it needs nothing more of a source */
		if (variant->harm == CHAN_KILL_SOURCE &&
		    target_has_all(self, variant->back, at))
			ASSERT_EQ(1, who)
				TH_LOG("after %ld of %ld bytes: target %d '%s'",
				       at, self->total, c->dst.err,
				       c->dst.text);
		/* a source that has not said anything yet has all */
		if (!at && variant->harm != CHAN_KILL_SOURCE)
			ASSERT_EQ(0, who);
		if (who == 1)
			chan_swap(c);
		ASSERT_EQ(0, chan_revive(c));
	}
	TH_LOG("%ld bytes, %d messages: %ld times the source's, %ld the target's, %ld gone",
	       self->total, self->frames, count[1], count[2], count[0]);
	/*
	 * What was cut after the target's last byte has been done; after the
	 * source's it is open who is the first.
	 */
	if (variant->harm == CHAN_CUT) {
		EXPECT_EQ(0, count[0]);
		EXPECT_LT(0, count[1]);
		if (variant->back)
			EXPECT_LT(0, count[2]);
	}
	/* a source that dies when it has let go leaves all to the target */
	if (variant->harm == CHAN_KILL_SOURCE)
		EXPECT_LT(0, count[2]);
	if (variant->harm == CHAN_KILL_TARGET)
		EXPECT_LT(0, count[1]);
}

TEST_HARNESS_MAIN
