// SPDX-License-Identifier: GPL-2.0
/*
 * A handover over a UNIX socket, of several devices, between two processes; and
 * what both sides settle before anything is touched.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <kselftest_harness.h>

#include "chan.h"
#include "net.h"
#include "util.h"

#define QUEUES	2
#define NOBODY	65534

FIXTURE(send) {
	struct chan *c;
};

FIXTURE_VARIANT(send) {
	uint32_t transport;
};

FIXTURE_VARIANT_ADD(send, token) {
	.transport = TAPXFER_TRANSPORT_TOKEN,
};

FIXTURE_VARIANT_ADD(send, fds) {
	.transport = TAPXFER_TRANSPORT_FDS,
};

FIXTURE_SETUP(send)
{
	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, link_up("lo"));
	self->c = chan_create(2, QUEUES);
	ASSERT_NE(NULL, self->c);
	chan_plan(self->c, variant->transport);
	ASSERT_EQ(0, chan_send(self->c, 50));
}

FIXTURE_TEARDOWN(send)
{
	chan_destroy(self->c);
}

#define EXPECT_TEXT(want, side) \
	EXPECT_NE(NULL, strstr((side).text, want)) \
		TH_LOG("the text is '%s'", (side).text)

/* The source runs as before, and nothing is left over anywhere. */
#define EXPECT_AS_BEFORE(c) do {					\
	EXPECT_TRUE(chan_is_idle());					\
	EXPECT_EQ(0, (c)->src.fds);					\
	EXPECT_EQ(0, (c)->dst.fds);					\
	EXPECT_EQ(0, chan_send(c, 50));					\
	EXPECT_EQ(0, chan_owns(c, &(c)->source));			\
} while (0)

/* It came so far that there were handovers, and was rolled back. */
#define EXPECT_BACK(c, want_src, want_dst) do {				\
	EXPECT_EQ(want_src, (c)->src.err) TH_LOG("%s", (c)->src.text);	\
	EXPECT_EQ(want_dst, (c)->dst.err) TH_LOG("%s", (c)->dst.text);	\
	EXPECT_EQ(TAPXFER_OUTCOME_BACK, (c)->src.outcome[0]);		\
	EXPECT_EQ(TAPXFER_OUTCOME_BACK, (c)->src.outcome[1]);		\
	EXPECT_EQ(TAPXFER_OUTCOME_BACK, (c)->dst.outcome[0]);		\
	EXPECT_EQ(TAPXFER_OUTCOME_BACK, (c)->dst.outcome[1]);		\
	EXPECT_AS_BEFORE(c);						\
} while (0)

/* Not even prepared */
#define EXPECT_UNTOUCHED(c, want_src, want_dst) do {			\
	EXPECT_EQ(want_src, (c)->src.err) TH_LOG("%s", (c)->src.text);	\
	EXPECT_EQ(want_dst, (c)->dst.err) TH_LOG("%s", (c)->dst.text);	\
	EXPECT_GE(CHAN_AGREE, (c)->src.step);				\
	EXPECT_EQ(0, (c)->src.id[0] + (c)->src.id[1]);			\
	EXPECT_AS_BEFORE(c);						\
} while (0)

#define EXPECT_MOVED(c) do {						\
	EXPECT_EQ(0, (c)->src.err) TH_LOG("%s", (c)->src.text);		\
	EXPECT_EQ(0, (c)->dst.err) TH_LOG("%s", (c)->dst.text);		\
	EXPECT_EQ(TAPXFER_OUTCOME_MOVED, (c)->src.outcome[0]);		\
	EXPECT_EQ(TAPXFER_OUTCOME_MOVED, (c)->dst.outcome[0]);		\
	EXPECT_EQ(-(c)->queues * (c)->devs, (c)->src.fds);		\
	EXPECT_EQ((c)->queues * (c)->devs, (c)->dst.fds);		\
	EXPECT_TRUE(chan_is_idle());					\
	EXPECT_EQ(0, chan_send(c, 50));					\
	EXPECT_EQ(0, chan_owns(c, &(c)->target));			\
} while (0)

TEST_F(send, moves_all_devices_and_back)
{
	struct chan *c = self->c;

	chan_run(c);
	EXPECT_MOVED(c);
	EXPECT_EQ(2, c->dst.count);
	EXPECT_STREQ("net0", c->dst.name[0]);
	EXPECT_STREQ("net1", c->dst.name[1]);

	chan_swap(c);
	ASSERT_EQ(0, chan_send(c, 50));
	chan_run(c);
	EXPECT_MOVED(c);
}

TEST_F(send, tells_the_features_of_the_other_side)
{
	struct chan *c = self->c;
	struct tapxfer_info *caps;
	struct tapxfer *tx;

	ASSERT_EQ(0, tapxfer_open(&tx));
	ASSERT_EQ(0, tapxfer_caps(tx, &caps));
	c->src.require = TAPXFER_FEATURE_READY;
	c->dst.require = TAPXFER_FEATURE_PASS;
	chan_run(c);
	EXPECT_MOVED(c);
	EXPECT_EQ(tapxfer_info_u64(caps, TAPXFER_A_CAP_FEATURES),
		  c->src.peer_features);
	EXPECT_EQ(c->src.peer_features, c->dst.peer_features);
	tapxfer_info_free(caps);
	tapxfer_close(tx);
}

TEST_F(send, a_feature_that_is_missing_is_named)
{
	struct chan *c = self->c;

	c->src.require = 1ULL << 40;
	chan_run(c);
	EXPECT_UNTOUCHED(c, -EOPNOTSUPP, -ECONNREFUSED);
	EXPECT_TEXT("the other side's tapxfer module lacks the feature '?' (0x10000000000)",
		    c->src);
	EXPECT_TEXT("the other side: the other side's tapxfer module lacks",
		    c->dst);

	c->src.require = 0;
	c->dst.require = 1ULL << 41;
	chan_run(c);
	EXPECT_UNTOUCHED(c, -ECONNREFUSED, -EOPNOTSUPP);
	EXPECT_TEXT("0x20000000000", c->src);
}

TEST_F(send, a_target_may_not_take_what_is_left_in_the_stack)
{
	struct chan *c = self->c;

	c->dst.set = TAPXFER_CHANNEL_OPT_TAKES;
	c->dst.takes = TAPXFER_STATE_FEATURE_HELD |
		       TAPXFER_STATE_FEATURE_DRAINED;
	chan_run(c);
	EXPECT_UNTOUCHED(c, -EOPNOTSUPP, -ECONNREFUSED);
	EXPECT_TEXT("the target takes no packets that are left in the host's stack",
		    c->src);
	/* by chance there may be none, and it has to take that as well */
	c->dst.takes = TAPXFER_STATE_FEATURE_HELD | TAPXFER_STATE_FEATURE_LEFT;
	chan_run(c);
	EXPECT_UNTOUCHED(c, -EOPNOTSUPP, -ECONNREFUSED);
	EXPECT_TEXT("the target does not take a state without packets that are left",
		    c->src);
	/* then they are drained */
	c->dst.takes = TAPXFER_STATE_FEATURE_HELD |
		       TAPXFER_STATE_FEATURE_DRAINED;
	c->src.flags = TAPXFER_CHANNEL_DRAIN;
	ASSERT_EQ(0, chan_send(c, 50));
	chan_run(c);
	EXPECT_MOVED(c);
}

/* -- who the other side is ----------------------------------------------- */

TEST_F(send, another_user_is_refused)
{
	struct chan *c = self->c;

	ASSERT_EQ(0, agent_call(&c->target, NULL, chan_be_user, NOBODY, 0));
	chan_run(c);
	EXPECT_EQ(-EPERM, c->src.err);
	EXPECT_EQ(CHAN_NEW, c->src.step);
	EXPECT_TEXT("the other side is of user 65534, not 0 as expected",
		    c->src);
	/*
	 * and that one does not take root's word either, if it was not told to
	 */
	EXPECT_EQ(-EPERM, c->dst.err);
	EXPECT_TEXT("of user 0, not 65534", c->dst);
	EXPECT_AS_BEFORE(c);
}

TEST_F(send, another_process_is_refused)
{
	struct chan *c = self->c;

	c->src.set = TAPXFER_CHANNEL_OPT_PEER_UID |
		     TAPXFER_CHANNEL_OPT_PEER_PID;
	c->src.peer_uid = 0;
	c->src.peer_pid = getpid();
	chan_run(c);
	EXPECT_EQ(-EPERM, c->src.err);
	EXPECT_TEXT("the other side is process ", c->src);
	EXPECT_TEXT(" as expected", c->src);
	EXPECT_AS_BEFORE(c);

	ASSERT_EQ(0, chan_send(c, 50));
	c->src.peer_pid = c->target.pid;
	c->dst.set = TAPXFER_CHANNEL_OPT_PEER_PID;
	c->dst.peer_pid = c->source.pid;
	chan_run(c);
	EXPECT_MOVED(c);
}

static long leave_userns(struct agent_self *self, long unused, long unused2)
{
	return unshare(CLONE_NEWUSER) ? -errno : 0;
}

/* Where nobody has a number all have the same, the own user and anybody else. */
TEST_F(send, a_user_that_may_be_anybody_is_refused)
{
	struct chan *c = self->c;

	ASSERT_EQ(0, agent_call(&c->target, NULL, leave_userns, 0, 0));
	chan_run(c);
	EXPECT_EQ(-EPERM, c->dst.err);
	EXPECT_EQ(CHAN_NEW, c->dst.step);
	EXPECT_TEXT("of user 65534, which is any that this user namespace does not know",
		    c->dst);
	EXPECT_AS_BEFORE(c);

	/* unless that one is asked for: then it is the kernel that refuses */
	ASSERT_EQ(0, chan_send(c, 50));
	c->dst.set = TAPXFER_CHANNEL_OPT_PEER_UID;
	c->dst.peer_uid = NOBODY;
	chan_run(c);
	EXPECT_NE(0, c->dst.err);
	EXPECT_NE(CHAN_NEW, c->dst.step) TH_LOG("%s", c->dst.text);
	EXPECT_AS_BEFORE(c);
}

/* -- what is transferred ------------------------------------------------- */

TEST_F(send, a_device_that_is_off_stays)
{
	struct chan *c = self->c;

	c->src.dev_flags[0] = 0;
	c->src.dev_flags[1] = 0;
	chan_run(c);
	EXPECT_EQ(0, c->src.err);
	EXPECT_EQ(0, c->dst.err);
	EXPECT_EQ(TAPXFER_OUTCOME_OFF, c->src.outcome[0]);
	EXPECT_EQ(TAPXFER_OUTCOME_OFF, c->dst.outcome[1]);
	EXPECT_EQ(0, c->src.id[0] + c->src.id[1]);
	EXPECT_AS_BEFORE(c);
}

TEST_F(send, one_is_transferred_and_the_other_is_not)
{
	struct chan *c = self->c;

	c->src.dev_flags[0] = 0;
	chan_run(c);
	EXPECT_EQ(0, c->src.err) TH_LOG("%s", c->src.text);
	EXPECT_EQ(0, c->dst.err) TH_LOG("%s", c->dst.text);
	EXPECT_EQ(TAPXFER_OUTCOME_OFF, c->src.outcome[0]);
	EXPECT_EQ(TAPXFER_OUTCOME_MOVED, c->src.outcome[1]);
	EXPECT_EQ(TAPXFER_OUTCOME_OFF, c->dst.outcome[0]);
	EXPECT_EQ(TAPXFER_OUTCOME_MOVED, c->dst.outcome[1]);
	EXPECT_EQ(0, c->src.id[0]);
	EXPECT_EQ(-QUEUES, c->src.fds);
	EXPECT_EQ(QUEUES, c->dst.fds);
}

/* The target says what it expects, and does not guess. */
TEST_F(send, both_sides_have_to_mean_the_same)
{
	struct chan *c = self->c;

	c->dst.adds = true;
	c->dst.dev_flags[1] = 0;
	chan_run(c);
	EXPECT_UNTOUCHED(c, -ECONNREFUSED, -EINVAL);
	EXPECT_TEXT("'net1' is to be transferred at the source, and not at the target",
		    c->src);

	c->dst.dev_flags[1] = TAPXFER_DEV_TRANSFER;
	c->src.dev_flags[1] = 0;
	chan_run(c);
	EXPECT_UNTOUCHED(c, -ECONNREFUSED, -EINVAL);
	EXPECT_TEXT("'net1' is not to be transferred at the source, and at the target",
		    c->src);

	c->src.dev_flags[1] = TAPXFER_DEV_TRANSFER;
	ASSERT_EQ(0, chan_send(c, 50));
	chan_run(c);
	EXPECT_MOVED(c);
}

/* A channel that carries no files: both sides' policy decides, in the open. */
TEST_F(send, no_unix_socket_fails_by_default)
{
	struct chan *c = self->c;

	c->src.tcp = c->dst.tcp = true;
	chan_run(c);
	EXPECT_UNTOUCHED(c, -EOPNOTSUPP, -ECONNREFUSED);
	EXPECT_TEXT("'net0' is to be transferred, and this channel carries no files",
		    c->src);
	/* nor if only one of them would skip */
	c->src.local = TAPXFER_LOCAL_SKIP;
	chan_run(c);
	EXPECT_UNTOUCHED(c, -ECONNREFUSED, -EOPNOTSUPP);
	EXPECT_TEXT("'net0' would be left out, and the target's policy is to fail",
		    c->dst);
	c->src.local = TAPXFER_LOCAL_FAIL;
	c->dst.local = TAPXFER_LOCAL_SKIP;
	chan_run(c);
	EXPECT_UNTOUCHED(c, -EOPNOTSUPP, -ECONNREFUSED);
}


TEST_F(send, no_unix_socket_skips_if_both_say_so)
{
	struct chan *c = self->c;

	c->src.tcp = c->dst.tcp = true;
	c->src.local = c->dst.local = TAPXFER_LOCAL_SKIP;
	c->src.dev_flags[1] = 0;
	chan_run(c);
	EXPECT_EQ(0, c->src.err) TH_LOG("%s", c->src.text);
	EXPECT_EQ(0, c->dst.err) TH_LOG("%s", c->dst.text);
	EXPECT_EQ(TAPXFER_OUTCOME_SKIPPED, c->src.outcome[0]);
	EXPECT_EQ(TAPXFER_OUTCOME_OFF, c->src.outcome[1]);
	EXPECT_EQ(TAPXFER_OUTCOME_SKIPPED, c->dst.outcome[0]);
	EXPECT_EQ(TAPXFER_OUTCOME_OFF, c->dst.outcome[1]);
	EXPECT_EQ(0, c->src.id[0] + c->src.id[1]);
	EXPECT_TRUE(chan_is_idle());
	EXPECT_AS_BEFORE(c);
}

TEST_F(send, no_unix_socket_tells_no_user)
{
	struct chan *c = self->c;

	c->src.tcp = c->dst.tcp = true;
	c->src.set = TAPXFER_CHANNEL_OPT_PEER_UID;
	chan_run(c);
	EXPECT_EQ(-EOPNOTSUPP, c->src.err);
	EXPECT_EQ(CHAN_NEW, c->src.step);
	EXPECT_AS_BEFORE(c);
}

/* -- rolled back --------------------------------------------------------- */

TEST_F(send, the_target_refuses_and_says_why)
{
	struct chan *c = self->c;

	c->dst.refuse = -EDOM;
	chan_run(c);
	EXPECT_BACK(c, -ECONNREFUSED, -EDOM);
	EXPECT_EQ(CHAN_STATE, c->src.step);
	EXPECT_TEXT("the other side: as the test has it", c->src);
}

/* One is for the channel's own descriptor of the socket, one for each file. */
TEST_F(send, too_few_descriptors_at_the_target)
{
	struct chan *c = self->c;
	int room;

	for (room = 0; room <= 2 * QUEUES; room++) {
		c->dst.nofile = room;
		chan_run(c);
		EXPECT_NE(0, c->src.err);
		EXPECT_EQ(-EMFILE, c->dst.err) TH_LOG("%s", c->dst.text);
		EXPECT_TEXT("RLIMIT_NOFILE", c->dst);
		/* one that has not begun to listen has nobody to tell */
		if (room)
			EXPECT_TEXT("RLIMIT_NOFILE", c->src);
		EXPECT_AS_BEFORE(c);
		ASSERT_EQ(0, chan_send(c, 50));
	}
}

TEST_F(send, a_source_that_keeps_a_file_is_named)
{
	struct chan *c = self->c;

	ASSERT_EQ(0, agent_call(&c->source, NULL, chan_hold_file, 1, true));
	c->src.timeout = scaled_ms(1500);
	chan_run(c);
	EXPECT_BACK(c, -EBUSY, -ECONNREFUSED);
	EXPECT_EQ(CHAN_END, c->src.step);
	EXPECT_TEXT("queue 1 of 'net1' is held by others than source and target (1)",
		    c->src);
	ASSERT_EQ(0, agent_call(&c->source, NULL, chan_hold_file, 1, false));
}

static int kept = -1;

/* One of its numbers has become another file's. */
static long lose_a_number(struct tapxfer_channel *ch, struct agent_self *self)
{
	int *number = &chan_tap(1)->fds[1];
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	kept = dup(*number);
	return kept < 0 || dup2(null, *number) < 0 || close(null) ? -errno : 0;
}

/* It still is that file's: then it gets its own back. */
static long find_the_number(struct agent_self *self, long unused, long unused2)
{
	int *number = &chan_tap(1)->fds[1];
	struct stat st;

	if (fstat(*number, &st) || st.st_rdev != makedev(1, 3))
		return -EBADF;
	return dup2(kept, *number) < 0 || close(kept) ? -errno : 0;
}

TEST_F(send, a_number_that_is_another_files_is_not_touched)
{
	struct chan *c = self->c;

	c->src.hook_at = CHAN_END;
	c->src.hook = lose_a_number;
	chan_run(c);
	EXPECT_EQ(-EBADF, c->src.err) TH_LOG("%s", c->src.text);
	EXPECT_TEXT("of 'net1' was closed before its time", c->src);
	EXPECT_EQ(-ECONNREFUSED, c->dst.err);
	EXPECT_EQ(TAPXFER_OUTCOME_BACK, c->src.outcome[0]);
	EXPECT_EQ(TAPXFER_OUTCOME_BACK, c->src.outcome[1]);
	EXPECT_EQ(0, agent_call(&c->source, NULL, find_the_number, 0, 0));
	EXPECT_EQ(0, c->dst.fds);
	EXPECT_TRUE(chan_is_idle());
	EXPECT_EQ(0, chan_send(c, 50));
	EXPECT_EQ(0, chan_owns(c, &c->source));
}

static long wait_for_the_end(struct tapxfer_channel *ch,
			     struct agent_self *self)
{
	self->x.id = tapxfer_info_u64(tapxfer_channel_handover(ch, 0),
				      TAPXFER_A_HANDOVER_ID);
	return wait_until(!xfer_is_live(&self->x), SOON_MS) ? 0 : -ETIME;
}

TEST_F(send, the_deadline_passes_before_the_source_lets_go)
{
	struct chan *c = self->c;

	c->src.deadline = scaled_ms(2000);
	c->src.hook_at = CHAN_END;
	c->src.hook = wait_for_the_end;
	chan_run(c);
	EXPECT_BACK(c, -ECANCELED, -ECONNREFUSED);
}

TEST_F(send, the_target_is_silent_before_the_verdict)
{
	struct chan *c = self->c;

	c->src.timeout = scaled_ms(1500);
	c->dst.hook_at = CHAN_ACCEPT;
	c->dst.hook = wait_for_the_end;
	chan_run(c);
	EXPECT_EQ(CHAN_STATE, c->src.step);
	EXPECT_TEXT("the other side said nothing in time", c->src);
	EXPECT_BACK(c, -ETIMEDOUT, -ECONNREFUSED);
}

/* It lives, and has the claim: the source takes it. */
TEST_F(send, the_target_is_silent_after_the_source_has_let_go)
{
	struct chan *c = self->c;

	c->src.timeout = scaled_ms(1500);
	c->dst.hook_at = CHAN_END;
	c->dst.hook = wait_for_the_end;
	chan_run(c);
	EXPECT_EQ(CHAN_END, c->src.step);
	EXPECT_EQ(CHAN_END, c->dst.step);
	EXPECT_BACK(c, -ETIMEDOUT, -ENOENT);
}

static long fail_there(struct tapxfer_channel *ch, struct agent_self *self)
{
	return -EDOM;
}

/* The target's VMM gives up, by freeing the channel, at each step. */
TEST_F(send, the_target_gives_up_at_any_step)
{
	static const enum chan_step steps[] = {
		CHAN_AGREE, CHAN_STATE, CHAN_ACCEPT, CHAN_END,
	};
	struct chan *c = self->c;
	size_t i;

	c->dst.hook = fail_there;
	for (i = 0; i < 4; i++) {
		c->dst.hook_at = steps[i];
		chan_run(c);
		EXPECT_EQ(-EDOM, c->dst.err);
		EXPECT_EQ(-ECONNREFUSED, c->src.err)
			TH_LOG("%zu %s", i, c->src.text);
		EXPECT_AS_BEFORE(c);
		ASSERT_EQ(0, chan_send(c, 50));
	}
}

TEST_F(send, the_source_gives_up_at_any_step)
{
	static const enum chan_step steps[] = {
		CHAN_AGREE, CHAN_HOLD, CHAN_STATE, CHAN_END,
	};
	struct chan *c = self->c;
	size_t i;

	c->src.hook = fail_there;
	for (i = 0; i < 4; i++) {
		c->src.hook_at = steps[i];
		chan_run(c);
		EXPECT_EQ(-EDOM, c->src.err);
		EXPECT_EQ(-ECONNREFUSED, c->dst.err)
			TH_LOG("%zu %s", i, c->dst.text);
		EXPECT_AS_BEFORE(c);
		ASSERT_EQ(0, chan_send(c, 50));
	}
}

/* -- processes that are not seen ------------------------------------------ */

/* Where it is the other side has no number, which is told as 0. */
static int ask_from_inside(int sock)
{
	struct tapxfer_channel_opts opts = {
		.size = sizeof(opts),
		.set = TAPXFER_CHANNEL_OPT_PEER_PID,
		.sock = sock,
	};
	struct tapxfer_channel *ch;
	struct tapxfer *tx;
	int err;

	if (getpid() != 1 || tapxfer_open(&tx))
		return 2;
	err = tapxfer_channel_new(tx, &opts, &ch);
	printf("# %d: %s\n", err, tapxfer_error(tx));
	return err != -EPERM || !strstr(tapxfer_error(tx),
					"a process of another pid namespace");
}

TEST(a_process_without_a_number_is_refused)
{
	int socks[2], status;
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks));
	ASSERT_EQ(0, unshare(CLONE_NEWPID));
	pid = fork();
	if (!pid)
		_exit(ask_from_inside(socks[1]));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

/* -- more files than a message takes ------------------------------------- */

FIXTURE(send_many) {
	struct chan *c;
};

FIXTURE_SETUP(send_many)
{
	ASSERT_EQ(0, net_isolate());
	/* more than the kernel's 253 a message, and the most of a device */
	self->c = chan_create(1, 256);
	ASSERT_NE(NULL, self->c);
	ASSERT_EQ(0, chan_send(self->c, 500));
}

FIXTURE_TEARDOWN(send_many)
{
	chan_destroy(self->c);
}

TEST_F(send_many, fds)
{
	struct chan *c = self->c;

	chan_plan(c, TAPXFER_TRANSPORT_FDS);
	chan_run(c);
	EXPECT_MOVED(c);
}

static long small_buffer(struct tapxfer_channel *ch, struct agent_self *self)
{
	int least = 1;

	return setsockopt(chan_sock(false), SOL_SOCKET, SO_SNDBUF, &least,
			  sizeof(least)) ? -errno : 0;
}

static long give_up_when_frozen(struct tapxfer_channel *ch,
				struct agent_self *self)
{
	char buf[4096];

	self->x.id = tapxfer_info_u64(tapxfer_channel_handover(ch, 0),
				      TAPXFER_A_HANDOVER_ID);
	if (!wait_until(xfer_state(&self->x) == TAPXFER_STATE_FROZEN, SOON_MS))
		return -ETIME;
	tapxfer_channel_refuse(ch, -EDOM, "as the test has it");
	/* only now the source gets on */
	while (recv(chan_sock(false), buf, sizeof(buf), 0) > 0)
		;
	return -EDOM;
}

/* The state of so many queues waits for a reader, and ends with an abort. */
TEST_F(send_many, the_target_gives_up_while_the_state_is_sent)
{
	struct chan *c = self->c;

	c->src.hook_at = c->dst.hook_at = CHAN_STATE;
	c->src.hook = small_buffer;
	c->dst.hook = give_up_when_frozen;
	chan_run(c);
	EXPECT_EQ(-EDOM, c->dst.err);
	EXPECT_EQ(-ECONNREFUSED, c->src.err);
	EXPECT_TEXT("the other side: as the test has it", c->src);
	EXPECT_EQ(TAPXFER_OUTCOME_BACK, c->src.outcome[0]);
	EXPECT_AS_BEFORE(c);
}

TEST_F(send_many, token)
{
	struct chan *c = self->c;

	chan_plan(c, TAPXFER_TRANSPORT_TOKEN);
	chan_run(c);
	EXPECT_MOVED(c);
}

TEST_HARNESS_MAIN
