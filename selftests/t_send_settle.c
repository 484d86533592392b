// SPDX-License-Identifier: GPL-2.0
/*
 * A source that has let go and does not hear of the target, which lives: it may
 * run its guest again only when nobody else can.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <kselftest_harness.h>

#include <libmnl/libmnl.h>
#include <linux/filter.h>
#include <linux/genetlink.h>
#include <linux/seccomp.h>

#include "chan.h"
#include "net.h"
#include "raw.h"
#include "util.h"

#define QUEUES	2
/* For what must not happen: a wrong source does it at once */
#define A_WHILE_MS	500

FIXTURE(settle) {
	struct chan *c;
};

FIXTURE_SETUP(settle)
{
	ASSERT_EQ(0, net_isolate());
	self->c = chan_create(2, QUEUES);
	ASSERT_NE(NULL, self->c);
	chan_plan(self->c, TAPXFER_TRANSPORT_TOKEN);
	ASSERT_EQ(0, chan_send(self->c, 50));
}

FIXTURE_TEARDOWN(settle)
{
	chan_destroy(self->c);
}

#define EXPECT_MOVED(c) do {						\
	EXPECT_EQ(0, (c)->src.err) TH_LOG("%s", (c)->src.text);		\
	EXPECT_EQ(0, (c)->dst.err) TH_LOG("%s", (c)->dst.text);		\
	EXPECT_EQ(TAPXFER_OUTCOME_MOVED, (c)->src.outcome[0]);		\
	EXPECT_EQ(TAPXFER_OUTCOME_MOVED, (c)->src.outcome[1]);		\
	EXPECT_EQ(-2 * QUEUES, (c)->src.fds);				\
	EXPECT_EQ(2 * QUEUES, (c)->dst.fds);				\
	EXPECT_TRUE(chan_is_idle());					\
	EXPECT_EQ(0, chan_send(c, 50));					\
	EXPECT_EQ(0, chan_owns(c, &(c)->target));			\
} while (0)

static uint32_t id_of(struct tapxfer_channel *ch, size_t dev)
{
	return tapxfer_info_u64(tapxfer_channel_handover(ch, dev),
				TAPXFER_A_HANDOVER_ID);
}

/*
 * Ready, as one that attaches vhost-net is, and then silent until the source has
 * lost patience, and longer.
 */
static long be_ready_and_slow(struct tapxfer_channel *ch,
			      struct agent_self *self)
{
	struct pollfd pfd = { .fd = chan_sock(false), .events = POLLIN };
	int err = tapxfer_recv_ready(ch);

	if (err)
		return err;
	self->x.id = id_of(ch, 0);
	/* the source says that it gives up */
	if (poll(&pfd, 1, SOON_MS) != 1)
		return -ETIME;
	return wait_until(xfer_state(&self->x) != TAPXFER_STATE_READY,
			  A_WHILE_MS) ? -ESTALE : 0;
}

/*
 * A vhost backend that it may have attached would go on, whoever has the claim.
 */
TEST_F(settle, a_target_that_is_ready_is_left_alone)
{
	struct chan *c = self->c;

	c->src.timeout = scaled_ms(1500);
	c->dst.hook_at = CHAN_END;
	c->dst.hook = be_ready_and_slow;
	chan_run(c);
	EXPECT_MOVED(c);
}

static long be_ready_and_give_up(struct tapxfer_channel *ch,
				 struct agent_self *self)
{
	return tapxfer_recv_ready(ch) ?: -EDOM;
}

/* It lives, and has closed its files: then nothing of it is left. */
TEST_F(settle, a_target_that_was_ready_and_gives_up)
{
	struct chan *c = self->c;

	c->dst.hook_at = CHAN_END;
	c->dst.hook = be_ready_and_give_up;
	chan_run(c);
	EXPECT_EQ(-EDOM, c->dst.err);
	EXPECT_EQ(-ECONNREFUSED, c->src.err) TH_LOG("%s", c->src.text);
	EXPECT_EQ(TAPXFER_OUTCOME_BACK, c->src.outcome[0]);
	EXPECT_EQ(TAPXFER_OUTCOME_BACK, c->src.outcome[1]);
	EXPECT_EQ(0, c->src.fds);
	EXPECT_EQ(0, c->dst.fds);
	EXPECT_TRUE(chan_is_idle());
	EXPECT_EQ(0, chan_send(c, 50));
	EXPECT_EQ(0, chan_owns(c, &c->source));
}

static long leave_netns(struct tapxfer_channel *ch, struct agent_self *self)
{
	return unshare(CLONE_NEWNET) ? -errno : 0;
}

/*
 * The target's last word is cut off, and the source's thread is not where its
 * devices are: it learns how they ended all the same.
 */
TEST_F(settle, from_another_network_namespace)
{
	struct chan *c = self->c;

	c->proxy.back = true;
	chan_run_proxy(c);
	EXPECT_MOVED(c);
	ASSERT_LT(1, c->proxy.frames);
	chan_swap(c);

	c->proxy.harm = CHAN_CUT;
	c->proxy.at = c->proxy.frame[c->proxy.frames - 1] + 1;
	c->src.hook_at = CHAN_AGREE;
	c->src.hook = leave_netns;
	ASSERT_EQ(0, chan_send(c, 50));
	chan_run_proxy(c);
	EXPECT_MOVED(c);
}

/* It ends the handovers, and says that it has thawed. */
static long abort_and_say_done(struct tapxfer_channel *ch,
			       struct agent_self *self)
{
	struct raw r;
	size_t i;
	int err;

	for (i = 0; i < tapxfer_channel_count(ch); i++) {
		err = tapxfer_abort(self->x.tx, id_of(ch, i),
				    tapxfer_channel_token(ch, i), NULL);
		if (err)
			return err;
	}
	raw_open(&r, chan_sock(false));
	/* after hello, accept, taken and verdict */
	r.seq = 4;
	raw_send_empty(&r, RAW_DONE);
	return -EDOM;
}

TEST_F(settle, a_target_that_has_aborted_is_not_believed)
{
	struct chan *c = self->c;

	c->dst.hook_at = CHAN_END;
	c->dst.hook = abort_and_say_done;
	chan_run(c);
	EXPECT_EQ(-EDOM, c->dst.err);
	EXPECT_EQ(-EPROTO, c->src.err) TH_LOG("%s", c->src.text);
	EXPECT_NE(NULL, strstr(c->src.text, "says that it has thawed 'net0'"))
		TH_LOG("%s", c->src.text);
	EXPECT_EQ(TAPXFER_OUTCOME_LOST, c->src.outcome[0]);
	EXPECT_EQ(TAPXFER_OUTCOME_LOST, c->src.outcome[1]);
	EXPECT_TRUE(chan_is_idle());
}

static uint64_t remaining(struct agent_self *self)
{
	struct tapxfer_info *ho;
	uint64_t ms;

	if (tapxfer_handover_get(self->x.tx, self->x.id, &ho))
		return 0;
	ms = tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_REMAINING);
	tapxfer_info_free(ho);
	return ms;
}

/* The deadline is near, and has not passed. */
static long take_time(struct tapxfer_channel *ch, struct agent_self *self)
{
	self->x.id = id_of(ch, 1);
	return wait_until(remaining(self) < 900, SOON_MS) ? 0 : -ETIME;
}

/* Who let go now would not know in time whether he has to take it back. */
TEST_F(settle, with_less_than_a_second_left_nobody_lets_go)
{
	struct chan *c = self->c;

	c->src.deadline = scaled_ms(3000);
	c->src.hook_at = CHAN_END;
	c->src.hook = take_time;
	chan_run(c);
	EXPECT_EQ(-ETIME, c->src.err);
	EXPECT_NE(NULL, strstr(c->src.text, " ms are left to the deadline"))
		TH_LOG("%s", c->src.text);
	EXPECT_EQ(-ECONNREFUSED, c->dst.err) TH_LOG("%s", c->dst.text);
	EXPECT_EQ(CHAN_ACCEPT, c->dst.step);
	EXPECT_EQ(TAPXFER_OUTCOME_BACK, c->src.outcome[0]);
	EXPECT_EQ(TAPXFER_OUTCOME_BACK, c->src.outcome[1]);
	EXPECT_EQ(0, c->src.fds);
	EXPECT_EQ(0, c->dst.fds);
	EXPECT_TRUE(chan_is_idle());
	EXPECT_EQ(0, chan_send(c, 50));
	EXPECT_EQ(0, chan_owns(c, &c->source));
}

/* -- answers that do not get through -------------------------------------- */

/*
 * From here on the kernel finds no room for answers, until what is there has been
 * read: others ask over the handle's socket, and do not listen.
 */
static int stuff_ears(struct tapxfer *tx)
{
	char buf[64] = { 0 };
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct genlmsghdr *genl;
	int least = 1, i;

	nlh->nlmsg_type = GENL_ID_CTRL;
	nlh->nlmsg_flags = NLM_F_REQUEST;
	genl = mnl_nlmsg_put_extra_header(nlh, sizeof(*genl));
	genl->cmd = CTRL_CMD_GETFAMILY;
	genl->version = 1;
	mnl_attr_put_strz(nlh, CTRL_ATTR_FAMILY_NAME, "nlctrl");
	if (setsockopt(tapxfer_fd(tx), SOL_SOCKET, SO_RCVBUF, &least,
		       sizeof(least)))
		return -errno;
	for (i = 0; i < 16; i++)
		if (send(tapxfer_fd(tx), nlh, nlh->nlmsg_len, 0) < 0)
			return -errno;
	return 0;
}

static long be_ready_and_deaf(struct tapxfer_channel *ch,
			      struct agent_self *self)
{
	return tapxfer_recv_ready(ch) ?: stuff_ears(self->x.tx);
}

/* It has thawed, and was not told: it does not close what is its own. */
TEST_F(settle, the_answer_to_the_thaw_is_lost)
{
	struct chan *c = self->c;

	c->dst.hook_at = CHAN_END;
	c->dst.hook = be_ready_and_deaf;
	chan_run(c);
	EXPECT_MOVED(c);
}

static long be_deaf(struct tapxfer_channel *ch, struct agent_self *self)
{
	return stuff_ears(self->x.tx);
}

/* The kernel takes back a claim whose answer gets lost, and the files with it. */
TEST_F(settle, the_answer_to_the_claim_is_lost)
{
	struct chan *c = self->c;

	c->dst.hook_at = CHAN_STATE;
	c->dst.hook = be_deaf;
	chan_run(c);
	EXPECT_EQ(-ENOBUFS, c->dst.err) TH_LOG("%s", c->dst.text);
	EXPECT_EQ(-ECONNREFUSED, c->src.err) TH_LOG("%s", c->src.text);
	EXPECT_EQ(CHAN_STATE, c->dst.step);
	EXPECT_EQ(TAPXFER_OUTCOME_BACK, c->src.outcome[0]);
	EXPECT_EQ(0, c->src.fds);
	EXPECT_EQ(0, c->dst.fds);
	EXPECT_TRUE(chan_is_idle());
	EXPECT_EQ(0, chan_send(c, 50));
	EXPECT_EQ(0, chan_owns(c, &c->source));
}

/* -- a claim that is taken back, in a process that waits for all it has ---- */

static void *reap_all(void *unused)
{
	for (;;)
		if (waitpid(-1, NULL, __WALL) < 0)
			usleep(100);
	return NULL;
}

/* Who calls kill(2) has a number that may be another process's, and dies of it. */
static int forbid_kill(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_kill, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { 4, code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
		return -errno;
	return 0;
}

static long reap(struct tapxfer_channel *ch, struct agent_self *self)
{
	pthread_t thread;

	return -pthread_create(&thread, NULL, reap_all, NULL) ?: forbid_kill();
}

static long be_silent(struct tapxfer_channel *ch, struct agent_self *self)
{
	self->x.id = id_of(ch, 0);
	return wait_until(!xfer_is_live(&self->x), SOON_MS) ? 0 : -ETIME;
}

TEST_F(settle, a_source_that_reaps_whatever_ends)
{
	struct chan *c = self->c;

	c->src.timeout = scaled_ms(1500);
	c->src.hook_at = c->dst.hook_at = CHAN_END;
	c->src.hook = reap;
	c->dst.hook = be_silent;
	chan_run(c);
	EXPECT_EQ(-ETIMEDOUT, c->src.err) TH_LOG("%s", c->src.text);
	EXPECT_EQ(-ENOENT, c->dst.err) TH_LOG("%s", c->dst.text);
	EXPECT_EQ(TAPXFER_OUTCOME_BACK, c->src.outcome[0]);
	EXPECT_EQ(TAPXFER_OUTCOME_BACK, c->src.outcome[1]);
	EXPECT_EQ(0, c->src.fds);
	EXPECT_EQ(0, c->dst.fds);
	EXPECT_TRUE(chan_is_idle());
	EXPECT_EQ(0, chan_send(c, 50));
	EXPECT_EQ(0, chan_owns(c, &c->source));
}

TEST_HARNESS_MAIN
