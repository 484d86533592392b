// SPDX-License-Identifier: GPL-2.0
/*
 * G6: what is held is bounded in bytes, by handover, user and network namespace.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include <kselftest_harness.h>

#include "flow.h"
#include "genl.h"
#include "gso.h"
#include "net.h"
#include "tap.h"
#include "util.h"
#include "xfer.h"

#define FLOWS		32
#define MAX_SEQ		(1 << 16)
#define MIB		(1ULL << 20)
#define NOBODY		65534

/* A parameter of the module's, lowered for a while */
struct param {
	char path[96];
	char old[32];
};

static int param_set(struct param *p, const char *name, uint64_t value)
{
	char text[32];

	snprintf(p->path, sizeof(p->path),
		 "/sys/module/tapxfer/parameters/%s", name);
	snprintf(p->old, sizeof(p->old), "%ld", read_number(p->path));
	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	return write_string(p->path, text);
}

static int param_restore(struct param *p)
{
	int err = p->path[0] ? write_string(p->path, p->old) : 0;

	p->path[0] = 0;
	return err;
}

FIXTURE(limits) {
	struct tap tap;
	struct genl g;
	struct xfer x;
	struct gso gso;
	struct tally t;
	struct param param;
};

FIXTURE_VARIANT(limits) {
	int queues;
	int len;		/* of the packets */
};

FIXTURE_VARIANT_ADD(limits, big_packets_1_queue) {
	.queues = 1, .len = GSO_MAX,
};

FIXTURE_VARIANT_ADD(limits, big_packets_4_queues) {
	.queues = 4, .len = GSO_MAX,
};

FIXTURE_VARIANT_ADD(limits, small_packets_2_queues) {
	.queues = 2, .len = 100,
};

FIXTURE_SETUP(limits)
{
	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", variant->queues, TAP_VM));
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, true));
	ASSERT_EQ(0, genl_open(&self->g));
	ASSERT_EQ(0, xfer_open(&self->x));
	ASSERT_EQ(0, gso_open(&self->gso, self->tap.ifindex, MAX_SEQ));
	ASSERT_EQ(0, tally_init(&self->t, MAX_SEQ));
}

FIXTURE_TEARDOWN(limits)
{
	EXPECT_EQ(0, param_restore(&self->param));
	xfer_close(&self->x);
	link_delete("tap0");
	tap_close(&self->tap);
	gso_close(&self->gso);
	tally_free(&self->t);
	genl_close(&self->g);
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
}

#define HOLD(bytes) \
	ASSERT_EQ(0, xfer_begin_raw(&self->x, &self->g, &self->tap, \
				    TAPXFER_CMD_HOLD, 0, bytes, 0))

#define SEND(n) do { \
	int i_; \
	for (i_ = 0; i_ < (n); i_++) \
		ASSERT_EQ(0, gso_send(&self->gso, i_ % FLOWS, variant->len)); \
} while (0)

/* Until no queue takes any more. */
#define SEND_TOO_MUCH() do { \
	uint32_t dropped_; \
	do { \
		dropped_ = self->gso.dropped; \
		SEND(4 * FLOWS); \
	} while (self->gso.dropped != dropped_ + 4 * FLOWS); \
} while (0)

#define ACCEPTED()	(self->gso.seq - self->gso.dropped)

#define FINISH() do { \
	ASSERT_EQ(0, xfer_freeze_patiently(&self->x)); \
	ASSERT_EQ(0, xfer_finish(&self->x)); \
} while (0)

#define EXPECT_ALL_IN_ORDER() do { \
	EXPECT_EQ(0, gso_differ(&self->gso, &self->t)); \
	EXPECT_EQ(0, self->t.dup); \
	EXPECT_EQ(0, self->t.reordered); \
	EXPECT_EQ(0, self->t.foreign); \
} while (0)

/* Filled to the limit, and no further than a packet a queue. */
#define EXPECT_BOUND(limit) do { \
	uint64_t bytes_ = xfer_u64(&self->x, TAPXFER_A_HANDOVER_HELD_BYTES); \
	uint64_t n_ = xfer_u64(&self->x, TAPXFER_A_HANDOVER_HELD); \
	uint64_t one_ = bytes_ / n_, over_; \
	\
	EXPECT_EQ(ACCEPTED(), n_); \
	EXPECT_EQ(bytes_, n_ * one_); \
	EXPECT_LE(variant->len, one_); \
	over_ = bytes_ > (limit) ? bytes_ - (limit) : 0; \
	EXPECT_LE(over_, variant->queues * one_); \
	/* what the other queues have of their chunks is not used */ \
	EXPECT_GE(bytes_ + one_ + (limit) / 64, (limit)); \
	TH_LOG("limit %llu, held %llu bytes in %llu packets of %llu, over %llu", \
	       (unsigned long long)(limit), (unsigned long long)bytes_, \
	       (unsigned long long)n_, (unsigned long long)one_, \
	       (unsigned long long)over_); \
} while (0)

TEST_F(limits, of_a_handover_are_kept)
{
	uint64_t sum = 0;
	int q;

	HOLD(4 * MIB);
	SEND_TOO_MUCH();
	ASSERT_EQ(0, xfer_get(&self->x));
	EXPECT_EQ(4 * MIB, xfer_u64(&self->x, TAPXFER_A_HANDOVER_HOLD_BYTES));
	EXPECT_BOUND(4 * MIB);
	for (q = 0; q < variant->queues; q++) {
		EXPECT_EQ(1, xfer_queue_u64(&self->x, q, TAPXFER_A_QUEUE_FULL));
		EXPECT_LT(0, xfer_queue_u64(&self->x, q, TAPXFER_A_QUEUE_HELD));
		sum += xfer_queue_u64(&self->x, q, TAPXFER_A_QUEUE_HELD_BYTES);
	}
	EXPECT_EQ(sum, xfer_u64(&self->x, TAPXFER_A_HANDOVER_HELD_BYTES));
	EXPECT_EQ(0, gso_read_all(&self->tap, &self->t));

	FINISH();
	EXPECT_EQ(self->gso.dropped,
		  xfer_u64(&self->x, TAPXFER_A_HANDOVER_DROPPED));
	/* open again, with room behind the held ones */
	SEND(4);
	EXPECT_EQ(ACCEPTED(), gso_read_all(&self->tap, &self->t));
	EXPECT_ALL_IN_ORDER();
}

/* What is there at the hold cannot be refused, and is all that there will be. */
TEST_F(limits, that_the_packets_present_exceed_close_the_queue_at_once)
{
	uint32_t present;

	SEND(3 * FLOWS);
	present = self->gso.seq;
	ASSERT_EQ(0, self->gso.dropped);
	HOLD(4096);
	SEND(FLOWS);
	EXPECT_EQ(FLOWS, self->gso.dropped);
	ASSERT_EQ(0, xfer_get(&self->x));
	EXPECT_EQ(present, xfer_u64(&self->x, TAPXFER_A_HANDOVER_HELD));
	EXPECT_LT(4096, xfer_u64(&self->x, TAPXFER_A_HANDOVER_HELD_BYTES));
	FINISH();
	SEND(FLOWS);
	EXPECT_EQ(FLOWS, self->gso.dropped);
	EXPECT_EQ(ACCEPTED(), gso_read_all(&self->tap, &self->t));
	EXPECT_ALL_IN_ORDER();
}

TEST_F(limits, that_are_not_reached_close_nothing)
{
	int q;

	HOLD(0);
	SEND(2 * FLOWS);
	ASSERT_EQ(0, xfer_get(&self->x));
	EXPECT_EQ(256 * MIB, xfer_u64(&self->x, TAPXFER_A_HANDOVER_HOLD_BYTES));
	for (q = 0; q < variant->queues; q++)
		EXPECT_EQ(0, xfer_queue_u64(&self->x, q, TAPXFER_A_QUEUE_FULL));
	FINISH();
	EXPECT_EQ(0, self->gso.dropped);
	EXPECT_EQ(ACCEPTED(), gso_read_all(&self->tap, &self->t));
	EXPECT_ALL_IN_ORDER();
}

/* By user and by network namespace: packets as they come */
static const char * const bytes_params[] = { "user_bytes", "netns_bytes" };

TEST_F(limits, of_user_and_netns_are_kept_and_given_back)
{
	/* the queues' arrays are charged as well, each a few slots past 128 KiB */
	const uint64_t arrays = variant->queues *
				((128 << 10) + sysconf(_SC_PAGESIZE));
	unsigned int i;

	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, param_set(&self->param, bytes_params[i],
				       arrays + 4 * MIB));
		HOLD(0);
		SEND_TOO_MUCH();
		ASSERT_EQ(0, xfer_get(&self->x));
		/* chunks go by the handover's limit, and may all be unused */
		EXPECT_LE(xfer_u64(&self->x, TAPXFER_A_HANDOVER_HELD_BYTES),
			  4 * MIB + variant->queues * 80000);
		EXPECT_GE(xfer_u64(&self->x, TAPXFER_A_HANDOVER_HELD_BYTES),
			  4 * MIB - variant->queues * MIB / 4 - 80000);
		FINISH();
		/* not before the handover is gone */
		EXPECT_EQ(ACCEPTED() - self->t.got,
			  gso_read_all(&self->tap, &self->t));
		EXPECT_ALL_IN_ORDER();
		EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
		self->x.id = 0;
		/* then there is room for as much as before */
		HOLD(0);
		SEND(8);
		ASSERT_EQ(0, xfer_get(&self->x));
		EXPECT_EQ(8, xfer_u64(&self->x, TAPXFER_A_HANDOVER_HELD));
		ASSERT_EQ(0, xfer_abort(&self->x));
		EXPECT_EQ(8, gso_read_all(&self->tap, &self->t));
		EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
		self->x.id = 0;
		EXPECT_EQ(0, param_restore(&self->param));
	}
}

/* A handover that drains goes some time after the next one has its packets. */
TEST_F(limits, what_drains_is_not_charged_twice)
{
	const uint64_t arrays = 2 * variant->queues *
				((128 << 10) + sysconf(_SC_PAGESIZE));
	struct xfer next;

	ASSERT_EQ(0, xfer_open(&next));
	ASSERT_EQ(0, param_set(&self->param, "user_bytes", arrays + 8 * MIB));
	HOLD(0);
	do {
		SEND(8);
		ASSERT_EQ(0, xfer_get(&self->x));
	} while (xfer_u64(&self->x, TAPXFER_A_HANDOVER_HELD_BYTES) < 5 * MIB);
	ASSERT_EQ(0, xfer_abort(&self->x));
	self->x.id = 0;

	ASSERT_EQ(0, xfer_begin(&next, &self->tap, TAPXFER_STATE_HOLDING, 0, 0));
	SEND(8);
	EXPECT_EQ(0, self->gso.dropped);
	ASSERT_EQ(0, xfer_abort(&next));
	EXPECT_EQ(ACCEPTED(), gso_read_all(&self->tap, &self->t));
	EXPECT_ALL_IN_ORDER();
	xfer_close(&next);
}

static const struct {
	const char *param;
	uint64_t per_queue;	/* that a hold of 1000 packets takes; 0: 1 */
	const char *msg;
} reserve[] = {
	{ "user_packets", 1000,
	  "the user's handovers have too much room, lower hold or raise user_packets" },
	{ "netns_packets", 1000,
	  "the netns' handovers have too much room, lower hold or raise netns_packets" },
	/* (1000 + 129) * 8 bytes, as a power of two */
	{ "user_bytes", 16384,
	  "the user's handovers take too much memory, end some or raise user_bytes" },
	{ "netns_bytes", 16384,
	  "the netns' handovers take too much memory, end some or raise netns_bytes" },
	{ "user_queues", 1,
	  "the user's handovers have too many queues, end some or raise user_queues" },
	{ "netns_queues", 1,
	  "the netns' handovers have too many queues, end some or raise netns_queues" },
	{ "user_handovers", 0,
	  "the user has too many handovers, end some or raise user_handovers" },
	{ "netns_handovers", 0,
	  "the netns has too many handovers, end some or raise netns_handovers" },
};

TEST_F(limits, that_a_prepare_exceeds_refuse_it)
{
	struct tap other;
	struct xfer x2;
	unsigned int i, j;
	uint64_t need;
	long users;

	ASSERT_EQ(0, xfer_open(&x2));
	ASSERT_EQ(0, tap_open(&other, "tap1", variant->queues, TAP_VM));
	for (i = 0; i < sizeof(reserve) / sizeof(reserve[0]); i++) {
		need = reserve[i].per_queue * variant->queues;
		if (!need)
			need = 1;
		/* one less than what it takes */
		ASSERT_EQ(0, param_set(&self->param, reserve[i].param,
				       need - 1));
		EXPECT_EQ(-EDQUOT, xfer_begin_raw(&self->x, &self->g,
						  &self->tap,
						  TAPXFER_CMD_PREPARE, 1000, 0,
						  0));
		EXPECT_STREQ(reserve[i].msg, self->g.msg);
		EXPECT_EQ(0, param_restore(&self->param));

		/* exactly that: one, and not another, until the first is gone */
		ASSERT_EQ(0, param_set(&self->param, reserve[i].param, need));
		EXPECT_EQ(0, xfer_begin_raw(&self->x, &self->g, &self->tap,
					    TAPXFER_CMD_PREPARE, 1000, 0, 0));
		EXPECT_EQ(-EDQUOT, xfer_begin_raw(&x2, &self->g, &other,
						  TAPXFER_CMD_FREEZE, 1000, 0,
						  0));
		EXPECT_STREQ(reserve[i].msg, self->g.msg);
		ASSERT_EQ(0, xfer_abort(&self->x));
		EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
		EXPECT_EQ(0, xfer_begin_raw(&x2, &self->g, &other,
					    TAPXFER_CMD_FREEZE, 1000, 0, 0));
		EXPECT_EQ(0, param_restore(&self->param));

		/* two, time after time, while one keeps the account */
		ASSERT_EQ(0, param_set(&self->param, reserve[i].param,
				       2 * need));
		users = module_users();
		for (j = 0; j < 3; j++) {
			EXPECT_EQ(0, xfer_begin_raw(&self->x, &self->g,
						    &self->tap,
						    TAPXFER_CMD_PREPARE, 1000,
						    0, 0));
			ASSERT_EQ(0, xfer_abort(&self->x));
			EXPECT_TRUE(wait_until(module_users() == users,
					       SOON_MS));
		}
		ASSERT_EQ(0, xfer_abort(&x2));
		EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
		EXPECT_EQ(0, param_restore(&self->param));
	}
	self->x.id = 0;
	x2.id = 0;
	xfer_close(&x2);
	link_delete("tap1");
	tap_close(&other);
}

/*
 * What a network namespace may have is no matter of what another has. In each
 * of two all is taken: neither has room for one more, and what one gives back
 * is not the other's.
 */
TEST_F(limits, of_a_netns_are_its_own)
{
	struct xfer far, more = {};
	struct tap here, there[2];
	unsigned int i;
	struct genl g;
	uint64_t need;
	int home;

	home = net_leave();
	ASSERT_LE(0, home);
	ASSERT_EQ(0, genl_open(&g));
	ASSERT_EQ(0, xfer_open(&far));
	ASSERT_EQ(0, tap_open(&there[0], "tap0", variant->queues, TAP_VM));
	ASSERT_EQ(0, tap_open(&there[1], "tap1", variant->queues, TAP_VM));
	ASSERT_EQ(0, net_enter(home));
	ASSERT_EQ(0, tap_open(&here, "tap1", variant->queues, TAP_VM));

#define BEGINS(ret, x, g, tap) do { \
	EXPECT_EQ(ret, xfer_begin_raw(x, g, tap, TAPXFER_CMD_PREPARE, 1000, 0, \
				      0)) \
		TH_LOG("%s: %s", reserve[i].param, (g)->msg); \
	EXPECT_STREQ((ret) ? reserve[i].msg : "", (g)->msg); \
} while (0)
#define ENDS(x, left) do { \
	ASSERT_EQ(0, xfer_abort(x)); \
	(x)->id = 0; \
	EXPECT_TRUE(wait_until(module_users() == (left), SOON_MS)); \
} while (0)

	for (i = 0; i < ARRAY_SIZE(reserve); i++) {
		if (strncmp(reserve[i].param, "netns_", 6))
			continue;
		need = reserve[i].per_queue * variant->queues;
		if (!need)
			need = 1;
		ASSERT_EQ(0, param_set(&self->param, reserve[i].param, need));
		BEGINS(0, &self->x, &self->g, &self->tap);
		BEGINS(-EDQUOT, &more, &self->g, &here);
		BEGINS(0, &far, &g, &there[0]);
		BEGINS(-EDQUOT, &more, &g, &there[1]);

		ENDS(&self->x, 1);
		BEGINS(-EDQUOT, &more, &g, &there[1]);
		BEGINS(0, &self->x, &self->g, &self->tap);

		ENDS(&far, 1);
		BEGINS(-EDQUOT, &more, &self->g, &here);
		BEGINS(0, &far, &g, &there[1]);

		ENDS(&far, 1);
		ENDS(&self->x, 0);
		EXPECT_EQ(0, param_restore(&self->param));
	}
	xfer_close(&far);
	genl_close(&g);
	tap_close(&there[0]);
	tap_close(&there[1]);
	tap_close(&here);
	close(home);
}

/* What a user may have is no matter of what another has. */
struct as_nobody {
	const struct tap *tap;
	uint64_t bytes;
	uint32_t hold;
	int ret;
	const char *msg;
};

static int as_nobody(void *arg)
{
	const struct as_nobody *n = arg;
	struct genl g;
	int err;

	if (setgid(NOBODY) || setuid(NOBODY) || genl_open(&g))
		return 1;
	genl_begin(&g, TAPXFER_CMD_HOLD, n->tap->ifindex, n->tap->fds,
		   n->tap->n);
	mnl_attr_put_u32(g.req, TAPXFER_A_HANDOVER_HOLD, n->hold);
	mnl_attr_put_u64(g.req, TAPXFER_A_HANDOVER_HOLD_BYTES, n->bytes);
	err = genl_talk(&g);
	if (err != n->ret)
		return 2;
	if (n->msg && strcmp(g.msg, n->msg))
		return 3;
	if (err)
		return 0;
	genl_go_on(&g, TAPXFER_CMD_ABORT, genl_u32(&g, TAPXFER_A_HANDOVER_ID),
		   mnl_attr_get_payload(genl_attr(&g, TAPXFER_A_HANDOVER_TOKEN)));
	return genl_talk(&g) ? 4 : 0;
}

TEST_F(limits, of_an_unprivileged_user_are_its_own)
{
	struct as_nobody cases[] = {
		/* the default is anybody's, more is not */
		{ .bytes = 256 * MIB, .hold = 1000 },
		{ .bytes = 256 * MIB + 1, .hold = 1000, .ret = -EPERM,
		  .msg = "hold-bytes above hold-bytes-default needs CAP_NET_ADMIN, see cap-get" },
		/* root's handover has taken all that a user may have */
		{ .bytes = MIB, .hold = 1000 },
		{ .bytes = MIB, .hold = 1001, .ret = -EDQUOT,
		  .msg = "the user's handovers have too much room, lower hold or raise user_packets" },
	};
	struct tap other;
	unsigned int i;

	ASSERT_EQ(0, tap_open(&other, "tap1", variant->queues, TAP_VM));
	ASSERT_EQ(0, param_set(&self->param, "user_packets",
			       1000 * variant->queues));
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cases[i].tap = &other;
		if (i == 2)
			ASSERT_EQ(0, xfer_begin_raw(&self->x, &self->g,
						    &self->tap,
						    TAPXFER_CMD_HOLD, 1000, 0,
						    0));
		EXPECT_EQ(0, child_wait(child_start(as_nobody, &cases[i]),
					SOON_MS));
		EXPECT_TRUE(wait_until(module_users() == !!self->x.id, SOON_MS));
	}
	ASSERT_EQ(0, xfer_abort(&self->x));
	self->x.id = 0;
	link_delete("tap1");
	tap_close(&other);
}

/* One takes all that there is: the other has an account of its own, and a netns has one. */
TEST_F(limits, of_a_user_are_no_other_users_but_a_netns_is_all_of_theirs)
{
	struct as_nobody other = { .hold = 1000, .bytes = MIB };
	uint64_t need;
	struct tap tap;
	unsigned int i;

	ASSERT_EQ(0, tap_open(&tap, "tap1", variant->queues, TAP_VM));
	other.tap = &tap;
	for (i = 0; i < sizeof(reserve) / sizeof(reserve[0]); i++) {
		bool netns = !strncmp(reserve[i].param, "netns", 5);

		need = reserve[i].per_queue * variant->queues;
		if (!need)
			need = 1;
		ASSERT_EQ(0, param_set(&self->param, reserve[i].param, need));
		ASSERT_EQ(0, xfer_begin_raw(&self->x, &self->g, &self->tap,
					    TAPXFER_CMD_PREPARE, 1000, 0, 0));
		other.ret = netns ? -EDQUOT : 0;
		other.msg = netns ? reserve[i].msg : NULL;
		EXPECT_EQ(0, child_wait(child_start(as_nobody, &other),
					SOON_MS))
			TH_LOG("%s", reserve[i].param);
		ASSERT_EQ(0, xfer_abort(&self->x));
		self->x.id = 0;
		EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
		EXPECT_EQ(0, param_restore(&self->param));
	}
	link_delete("tap1");
	tap_close(&tap);
}

static const struct {
	uint64_t bytes;
	int ret;
	const char *msg;
} values[] = {
	{ 16384 * MIB + 1, -ERANGE,
	  "hold-bytes is above hold-bytes-max, see cap-get" },
	{ 16384 * MIB, 0, "" },
};

TEST_F(limits, that_may_be_asked_for_are_told)
{
	struct genl *g = &self->g;
	unsigned int i;

	genl_new(g, TAPXFER_CMD_CAP_GET);
	ASSERT_EQ(0, genl_talk(g));
	EXPECT_TRUE(mnl_attr_get_u64(genl_attr(g, TAPXFER_A_CAP_FEATURES)) &
		    TAPXFER_FEATURE_HOLD_BYTES);
	EXPECT_EQ(256 * MIB, mnl_attr_get_u64(genl_attr(g, TAPXFER_A_CAP_HOLD_BYTES_DEFAULT)));
	EXPECT_EQ(16384 * MIB, mnl_attr_get_u64(genl_attr(g, TAPXFER_A_CAP_HOLD_BYTES_MAX)));

	genl_begin(g, TAPXFER_CMD_PREPARE, self->tap.ifindex, self->tap.fds,
		   self->tap.n);
	mnl_attr_put_u64(g->req, TAPXFER_A_HANDOVER_HOLD_BYTES, 0);
	EXPECT_EQ(-EINVAL, genl_talk(g));
	EXPECT_STREQ("a hold of 0 bytes would lose all packets", g->msg);
	for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		EXPECT_EQ(values[i].ret,
			  xfer_begin_raw(&self->x, g, &self->tap,
					 TAPXFER_CMD_PREPARE, 0,
					 values[i].bytes, 0));
		EXPECT_STREQ(values[i].msg, g->msg);
	}
	/* a handover that is there has its own */
	genl_go_on(g, TAPXFER_CMD_HOLD, self->x.id, &self->x.token);
	mnl_attr_put_u64(g->req, TAPXFER_A_HANDOVER_HOLD_BYTES, MIB);
	EXPECT_EQ(-EINVAL, genl_talk(g));
}

/* Two CPUs that send at the same time: what each has just put in comes on top. */
struct blast {
	struct gso gso;
	int len;
	uint32_t flow;
	uint32_t n;
};

static void *blast(void *arg)
{
	struct blast *b = arg;

	while (b->n && !gso_send(&b->gso, b->flow, b->len))
		b->n--;
	return NULL;
}

#define BLASTERS	4

TEST_F(limits, are_overshot_by_a_packet_a_sender_at_most)
{
	struct blast b[BLASTERS];
	pthread_t thread[BLASTERS];
	uint64_t bytes, held, sent = 0, over;
	int i;

	HOLD(4 * MIB);
	for (i = 0; i < BLASTERS; i++) {
		ASSERT_EQ(0, gso_open(&b[i].gso, self->tap.ifindex, MAX_SEQ));
		b[i].len = variant->len;
		b[i].flow = i;
		b[i].n = variant->len == GSO_MAX ? 200 : 8000;
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, blast, &b[i]));
	}
	for (i = 0; i < BLASTERS; i++) {
		pthread_join(thread[i], NULL);
		EXPECT_EQ(0, b[i].n);
		EXPECT_LT(0, b[i].gso.dropped);
		sent += b[i].gso.seq - b[i].gso.dropped;
		gso_close(&b[i].gso);
	}
	ASSERT_EQ(0, xfer_get(&self->x));
	held = xfer_u64(&self->x, TAPXFER_A_HANDOVER_HELD);
	bytes = xfer_u64(&self->x, TAPXFER_A_HANDOVER_HELD_BYTES);
	EXPECT_EQ(sent, held);
	over = bytes > 4 * MIB ? bytes - 4 * MIB : 0;
	TH_LOG("%d senders, %d queues, packets of %d: %llu bytes over 4 MiB",
	       BLASTERS, variant->queues, variant->len,
	       (unsigned long long)over);
	EXPECT_LE(over, (BLASTERS + variant->queues) * (bytes / held));
	ASSERT_EQ(0, xfer_abort(&self->x));
	EXPECT_EQ(held, gso_read_all(&self->tap, &self->t));
	EXPECT_EQ(0, self->t.foreign);
}

TEST_HARNESS_MAIN
