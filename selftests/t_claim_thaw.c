// SPDX-License-Identifier: GPL-2.0
/*
 * The claim that thaws: both or neither, whatever stands in its way.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <kselftest_harness.h>

#include <linux/if_tun.h>
#include <linux/kcmp.h>

#include "agent.h"
#include "flow.h"
#include "genl.h"
#include "net.h"
#include "tap.h"
#include "util.h"
#include "xfer.h"

#define QUEUES	4
#define FLOWS	64

FIXTURE(claim_thaw) {
	struct tap tap;
	struct tap claimed;
	struct xfer x;
	struct xfer events;
	struct genl g;
	struct sender s;
	struct tally t;
	pid_t child;
};

FIXTURE_SETUP(claim_thaw)
{
	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", QUEUES, TAP_VM));
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, true));
	ASSERT_EQ(0, xfer_open(&self->x));
	ASSERT_EQ(0, xfer_open(&self->events));
	ASSERT_EQ(0, tapxfer_subscribe(self->events.tx));
	ASSERT_EQ(0, genl_open(&self->g));
	ASSERT_EQ(0, sender_open(&self->s, self->tap.ifindex, FLOWS));
	ASSERT_EQ(0, tally_init(&self->t, 1 << 16));
}

FIXTURE_TEARDOWN(claim_thaw)
{
	child_kill(self->child);
	genl_close(&self->g);
	xfer_close(&self->events);
	xfer_close(&self->x);
	link_delete("tap0");
	tap_close(&self->tap);
	tap_close(&self->claimed);
	sender_close(&self->s);
	tally_free(&self->t);
}

/* With packets of each state before */
#define FREEZE() do { \
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_PREPARED, \
				0, 0)); \
	ASSERT_EQ(0, sender_send(&self->s, 100)); \
	ASSERT_EQ(0, xfer_freeze(&self->x)); \
	ASSERT_EQ(0, sender_send(&self->s, 100)); \
} while (0)

/* Nothing was claimed, and packets are held as before; then all of it is done. */
#define EXPECT_FROZEN(fds) do { \
	EXPECT_EQ(fds, count_fds()); \
	EXPECT_EQ(TAPXFER_STATE_FROZEN, xfer_state(&self->x)); \
	EXPECT_FALSE(tapxfer_info_has(self->x.info, \
				      TAPXFER_A_HANDOVER_CLAIMANT)); \
	EXPECT_EQ(0, tap_read_all(&self->tap, &self->t)); \
} while (0)

#define EXPECT_EVENT(event) do { \
	struct tapxfer_info *info_; \
	ASSERT_EQ(0, tapxfer_event_next(self->events.tx, SOON_MS, &info_)); \
	EXPECT_EQ(TAPXFER_EVENT_##event, \
		  tapxfer_info_u64(info_, TAPXFER_A_HANDOVER_EVENT)); \
	tapxfer_info_free(info_); \
} while (0)

static int claim_thaw(struct xfer *x, struct tap *claimed, int n,
		      uint32_t flags)
{
	int err;

	tapxfer_info_free(x->info);
	err = tapxfer_claim_thaw(x->tx, x->id, &x->token, flags, claimed->fds,
				 n, &x->info);
	if (!err)
		claimed->n = n;
	return err;
}

#define CLAIM_THAW(flags) \
	claim_thaw(&self->x, &self->claimed, QUEUES, flags)

/* All that was sent is there, and what is sent now */
#define EXPECT_TRAFFIC(tap_) do { \
	ASSERT_EQ(0, sender_send(&self->s, 100)); \
	EXPECT_EQ(self->s.seq, (uint32_t)tap_read_all(tap_, &self->t)); \
	EXPECT_EQ(0, tally_lost(&self->t, self->s.seq)); \
	EXPECT_EQ(0, self->t.dup + self->t.reordered); \
} while (0)

TEST_F(claim_thaw, gives_the_files_and_lets_traffic_go_on)
{
	int q;

	FREEZE();
	EXPECT_EVENT(PREPARED);
	EXPECT_EVENT(HOLDING);
	EXPECT_EVENT(FROZEN);
	ASSERT_EQ(0, CLAIM_THAW(0));
	for (q = 0; q < QUEUES; q++) {
		EXPECT_EQ(0, syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE,
				     self->tap.fds[q], self->claimed.fds[q]));
		EXPECT_EQ(FD_CLOEXEC, fcntl(self->claimed.fds[q], F_GETFD));
	}
	EXPECT_EQ(TAPXFER_STATE_DRAINING,
		  xfer_u64(&self->x, TAPXFER_A_HANDOVER_STATE));
	EXPECT_EQ(QUEUES, xfer_u64(&self->x, TAPXFER_A_HANDOVER_NUM_QUEUES));
	EXPECT_EQ(200, xfer_u64(&self->x, TAPXFER_A_HANDOVER_HELD));
	EXPECT_EQ(0, xfer_u64(&self->x, TAPXFER_A_HANDOVER_DROPPED));
	EXPECT_LT(0, xfer_u64(&self->x, TAPXFER_A_HANDOVER_BLACKOUT));
	EXPECT_FALSE(xfer_is_live(&self->x));
	EXPECT_EVENT(CLAIMED);
	EXPECT_EVENT(THAWED);
	self->claimed.hdr = self->tap.hdr;
	EXPECT_TRAFFIC(&self->claimed);
}

TEST_F(claim_thaw, puts_back_what_was_done_to_the_files)
{
	int q;

	FREEZE();
	for (q = 0; q < QUEUES; q++)
		ASSERT_EQ(0, fcntl(self->tap.fds[q], F_SETFL, O_RDWR));
	ASSERT_EQ(0, CLAIM_THAW(0));
	for (q = 0; q < QUEUES; q++)
		EXPECT_TRUE(fcntl(self->claimed.fds[q], F_GETFL) & O_NONBLOCK);
	EXPECT_TRAFFIC(&self->tap);
}

static int wait_for_ever(void *arg)
{
	(void)arg;
	pause();
	return 0;
}

TEST_F(claim_thaw, names_what_has_changed)
{
	struct tapxfer_info *info;

	FREEZE();
	ASSERT_EQ(0, link_down("tap0"));
	ASSERT_EQ(0, link_rename("tap0", "new0"));
	ASSERT_EQ(0, link_rename("new0", "tap0"));
	ASSERT_EQ(0, link_up("tap0"));
	EXPECT_EVENT(PREPARED);
	EXPECT_EVENT(HOLDING);
	EXPECT_EVENT(FROZEN);
	EXPECT_EVENT(VIOLATED);
	ASSERT_EQ(0, CLAIM_THAW(0));
	EXPECT_EQ(TAPXFER_VIOLATION_NAME,
		  xfer_u64(&self->x, TAPXFER_A_HANDOVER_VIOLATED));
	EXPECT_EVENT(CLAIMED);
	ASSERT_EQ(0, tapxfer_event_next(self->events.tx, SOON_MS, &info));
	EXPECT_EQ(TAPXFER_EVENT_THAWED,
		  tapxfer_info_u64(info, TAPXFER_A_HANDOVER_EVENT));
	EXPECT_EQ(TAPXFER_VIOLATION_NAME,
		  tapxfer_info_u64(info, TAPXFER_A_HANDOVER_VIOLATED));
	tapxfer_info_free(info);
}

/* The child has a copy of each descriptor. */
TEST_F(claim_thaw, is_refused_while_another_has_a_file)
{
	int fds;

	FREEZE();
	self->child = child_start(wait_for_ever, NULL);
	ASSERT_LT(0, self->child);
	fds = count_fds();
	EXPECT_EQ(-EBUSY, CLAIM_THAW(0));
	EXPECT_STREQ("queue 0: others than the claimant hold it 1 times, close or thaw shared",
		     tapxfer_error_extack(self->x.tx));
	EXPECT_FROZEN(fds);
	/* nobody was told of a claim that there was not */
	EXPECT_EVENT(PREPARED);
	EXPECT_EVENT(HOLDING);
	EXPECT_EVENT(FROZEN);
	ASSERT_EQ(0, CLAIM_THAW(TAPXFER_CLAIM_SHARED));
	EXPECT_EVENT(CLAIMED);
	EXPECT_EVENT(THAWED);
	EXPECT_TRAFFIC(&self->tap);
}

/* The descriptors would be nobody's, and the packets read by nobody. */
TEST_F(claim_thaw, whose_reply_has_no_room_is_undone)
{
	int nl = mnl_socket_get_fd(self->g.nl);
	struct genl_answer answer;
	int fds;

	FREEZE();
	fds = count_fds();
	genl_clog(nl);
	genl_go_on(&self->g, TAPXFER_CMD_CLAIM, self->x.id,
		   self->x.token.bytes);
	mnl_attr_put(self->g.req, TAPXFER_A_HANDOVER_THAW, 0, NULL);
	ASSERT_EQ(0, genl_send(&self->g));
	EXPECT_FROZEN(fds);
	genl_set_room(nl, 1 << 20);
	genl_take(&self->g, &answer);
	EXPECT_FALSE(answer.replied);
	EXPECT_EVENT(PREPARED);
	EXPECT_EVENT(HOLDING);
	EXPECT_EVENT(FROZEN);
	EXPECT_EVENT(CLAIMED);
	EXPECT_EVENT(FROZEN);

	ASSERT_EQ(0, CLAIM_THAW(0));
	EXPECT_TRAFFIC(&self->tap);
}

TEST_F(claim_thaw, without_descriptors)
{
	int fds;

	FREEZE();
	fds = count_fds();
	genl_go_on(&self->g, TAPXFER_CMD_CLAIM, self->x.id,
		   self->x.token.bytes);
	mnl_attr_put(self->g.req, TAPXFER_A_HANDOVER_THAW, 0, NULL);
	mnl_attr_put(self->g.req, TAPXFER_A_HANDOVER_NO_FDS, 0, NULL);
	ASSERT_EQ(0, genl_talk(&self->g));
	EXPECT_EQ(NULL, genl_attr(&self->g, TAPXFER_A_HANDOVER_FDS));
	EXPECT_EQ(fds, count_fds());
	EXPECT_FALSE(xfer_is_live(&self->x));
	EXPECT_TRAFFIC(&self->tap);
}

TEST_F(claim_thaw, is_refused_as_a_claim_is)
{
	struct tapxfer_token good;
	int fds = count_fds();

	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_HOLDING, 0,
				0));
	EXPECT_EQ(-EPROTO, CLAIM_THAW(0));
	EXPECT_STREQ("the handover is holding: freeze it, or abort it",
		     tapxfer_error_extack(self->x.tx));
	ASSERT_EQ(0, xfer_freeze(&self->x));
	good = self->x.token;
	self->x.token.bytes[3] ^= 1;
	EXPECT_EQ(-EPERM, CLAIM_THAW(0));
	self->x.token = good;
	EXPECT_EQ(-EINVAL,
		  claim_thaw(&self->x, &self->claimed, QUEUES + 1, 0));
	EXPECT_STREQ("the device has 4 queues, ask for all of them",
		     tapxfer_error_extack(self->x.tx));
	EXPECT_EQ(-EINVAL, CLAIM_THAW(TAPXFER_CLAIM_NO_FDS));
	EXPECT_EQ(-EINVAL, CLAIM_THAW(TAPXFER_CLAIM_ATTACH_ALL));
	EXPECT_FROZEN(fds);
	ASSERT_EQ(0, CLAIM_THAW(0));
	EXPECT_EQ(-ENOENT, CLAIM_THAW(0));
	EXPECT_TRAFFIC(&self->tap);
}

/* What does not go together */
TEST_F(claim_thaw, of_flags_that_contradict_each_other)
{
	static const struct {
		uint16_t attrs[2];
		const char *why;
	} wrong[] = {
		{ { TAPXFER_A_HANDOVER_SHARED, TAPXFER_A_HANDOVER_NO_FDS },
		  "shared is for a claim that thaws, or for ready and thaw" },
		{ { TAPXFER_A_HANDOVER_THAW, TAPXFER_A_HANDOVER_ATTACH_ALL },
		  "a claim that thaws attaches no queue: claim, then thaw" },
	};
	size_t i, k;
	int fds;

	FREEZE();
	fds = count_fds();
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		genl_go_on(&self->g, TAPXFER_CMD_CLAIM, self->x.id,
			   self->x.token.bytes);
		for (k = 0; k < 2; k++)
			mnl_attr_put(self->g.req, wrong[i].attrs[k], 0, NULL);
		EXPECT_EQ(-EINVAL, genl_talk(&self->g));
		EXPECT_STREQ(wrong[i].why, self->g.msg);
		EXPECT_FROZEN(fds);
	}
	ASSERT_EQ(0, CLAIM_THAW(0));
}

/* What an earlier claimant has left a thaw takes back, which can fail. */
TEST_F(claim_thaw, is_refused_where_settings_have_to_be_taken_back)
{
	struct tap_settings before, after;
	struct agent agent;
	int fds;

	ASSERT_EQ(0, tap_settings(self->tap.fds[0], &before));
	FREEZE();
	ASSERT_EQ(0, agent_start(&agent));
	ASSERT_EQ(0, agent_call(&agent, &self->x, agent_claim, 0, 0));
	ASSERT_EQ(0, agent_call(&agent, &self->x, agent_set_int,
				TUNSETVNETHDRSZ, 20));
	ASSERT_EQ(0, agent_call(&agent, &self->x, agent_ready,
				TAPXFER_THAW_SHARED, 0));
	agent_kill(&agent);
	ASSERT_TRUE(wait_until(xfer_state(&self->x) == TAPXFER_STATE_FROZEN,
			       SOON_MS));
	fds = count_fds();
	EXPECT_EQ(-EPROTO, CLAIM_THAW(TAPXFER_CLAIM_SHARED));
	EXPECT_STREQ("an earlier claimant has left settings, which a thaw takes back: claim, then thaw",
		     tapxfer_error_extack(self->x.tx));
	EXPECT_FROZEN(fds);
	ASSERT_EQ(0, xfer_finish(&self->x));
	ASSERT_EQ(0, tap_settings(self->tap.fds[0], &after));
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(before)));
	EXPECT_TRAFFIC(&self->tap);
}

TEST_HARNESS_MAIN
