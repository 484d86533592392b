// SPDX-License-Identifier: GPL-2.0
/*
 * G5: a claim for whose last file the claimant's table of descriptors has to
 * grow: each allocation fails in turn, and all files are claimed or none. Faults
 * as in t_fail.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <kselftest_harness.h>

#include "fault.h"
#include "flow.h"
#include "genl.h"
#include "net.h"
#include "tap.h"
#include "util.h"
#include "xfer.h"

#define QUEUES		3
#define TABLE		64	/* descriptors that a small table has room for */
#define DEADLINE_MS	300000
#define POINTS_MAX	1000
#define WARM		3	/* times without a fault */

FIXTURE(table) {
	struct tap tap;
	struct tap claimed;
	struct xfer x;
	struct sender s;
	struct tally t;
	pid_t child;
};

FIXTURE_SETUP(table)
{
	FAULT_OPEN();
	fault_close();
	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", QUEUES, TAP_VM));
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, true));
	ASSERT_EQ(0, xfer_open(&self->x));
	ASSERT_EQ(0, sender_open(&self->s, self->tap.ifindex, 16));
	ASSERT_EQ(0, tally_init(&self->t, 1 << 10));
}

FIXTURE_TEARDOWN(table)
{
	child_kill(self->child);
	xfer_close(&self->x);
	EXPECT_EQ(0, link_delete("tap0"));
	tap_close(&self->claimed);
	tap_close(&self->tap);
	sender_close(&self->s);
	tally_free(&self->t);
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
}

/* A claimant, whose table is as small as when it began */
struct claimant {
	const struct xfer *x;
	unsigned int n;
	int pipe[2];
};

struct report {
	struct fault_result r;
	char msg[256];
	int before, after;	/* descriptors */
};

static int claimant(void *arg)
{
	const struct claimant *c = arg;
	struct report rep = {};
	struct genl g;

	if (fault_open() || genl_open(&g))
		return 1;
	/* the last but one of the claimed files is the table's last */
	while ((rep.before = dup(0)) < TABLE - QUEUES)
		if (rep.before < 0)
			return 2;
	rep.before = count_fds();
	genl_go_on(&g, TAPXFER_CMD_CLAIM, c->x->id, c->x->token.bytes);
	if (fault_talk(&g, c->n, &rep.r))
		return 3;
	rep.after = count_fds();
	memcpy(rep.msg, g.msg, sizeof(rep.msg));
	return write(c->pipe[1], &rep, sizeof(rep)) == sizeof(rep) ? 0 : 4;
}

/* A claim whose @n-th allocation or copy fails, and a claimant that exits then. */
static void claim_once(struct __test_metadata *_metadata,
		       FIXTURE_DATA(table) *self, struct claimant *c,
		       unsigned int n, struct report *rep)
{
	c->n = n;
	self->child = child_start(claimant, c);
	ASSERT_LT(0, self->child);
	ASSERT_EQ(sizeof(*rep), read(c->pipe[0], rep, sizeof(*rep)));
	ASSERT_EQ(0, child_wait(self->child, SOON_MS));
	self->child = 0;
	EXPECT_EQ(rep->before + (rep->r.done ? QUEUES : 0), rep->after);
	EXPECT_FALSE(rep->r.mapped);
	EXPECT_TRUE(rep->r.hit || !rep->r.err);
	/* frozen again, when it was claimed */
	EXPECT_TRUE(wait_until(xfer_state(&self->x) == TAPXFER_STATE_FROZEN,
			       SOON_MS));
}

TEST_F_TIMEOUT(table, grows_at_the_last_file, 300)
{
	unsigned int n, failed = 0, done = 0, at_files = 0;
	struct claimant c = { .x = &self->x };
	struct report rep;

	ASSERT_EQ(0, pipe2(c.pipe, O_CLOEXEC));
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, 0,
				DEADLINE_MS));
	ASSERT_EQ(0, sender_send(&self->s, 100));
	/* What is allocated once and for all would have the points move. */
	for (n = 0; n < WARM; n++)
		claim_once(_metadata, self, &c, FAULT_NEVER, &rep);
	for (n = 1; n < POINTS_MAX; n++) {
		claim_once(_metadata, self, &c, n, &rep);
		if (!rep.r.hit)
			break;
		done += rep.r.done;
		failed += !rep.r.done;
		at_files += !!strstr(rep.msg, "table of files");
		EXPECT_TRUE(rep.r.done || fault_is_fair(&rep.r));
		if (!rep.r.done)
			TH_LOG("point %u: %d, \"%s\"", n, rep.r.err, rep.msg);
	}
	EXPECT_LT(n, POINTS_MAX);
	TH_LOG("claim: %u points, %u failed, %u of them for the table, %u done all the same",
	       n - 1, failed, at_files, done);
	EXPECT_LT(0, at_files);
	ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed));
	ASSERT_EQ(0, xfer_thaw(&self->x));
	EXPECT_EQ(100, tap_read_all(&self->tap, &self->t));
	EXPECT_EQ(0, tally_lost(&self->t, 100) + self->t.reordered);
}

TEST_HARNESS_MAIN
