// SPDX-License-Identifier: GPL-2.0
/*
 * Whose files they are: the exclusive thaw, claims without descriptors, and
 * claims that are passed on.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <kselftest_harness.h>

#include "agent.h"
#include "flow.h"
#include "genl.h"
#include "net.h"
#include "util.h"
#include "waiter.h"

#define QUEUES	3

/* The target is there before the files are, and has none of them. */
FIXTURE(holders) {
	struct tap tap;
	struct tap claimed;
	struct xfer x;
	struct sender s;
	struct tally t;
	struct agent target;
	struct agent other;
};

FIXTURE_SETUP(holders)
{
	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, agent_start(&self->target));
	ASSERT_EQ(0, agent_start(&self->other));
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", QUEUES, TAP_VM));
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, true));
	ASSERT_EQ(0, xfer_open(&self->x));
	ASSERT_EQ(0, sender_open(&self->s, self->tap.ifindex, 64));
	ASSERT_EQ(0, tally_init(&self->t, 1 << 16));
}

FIXTURE_TEARDOWN(holders)
{
	agent_kill(&self->target);
	agent_kill(&self->other);
	xfer_close(&self->x);
	link_delete("tap0");
	tap_close(&self->tap);
	tap_close(&self->claimed);
	sender_close(&self->s);
	tally_free(&self->t);
}

#define FREEZE() \
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, 0, \
				0))
#define TARGET(fn, arg) agent_call(&self->target, &self->x, fn, arg, 0)

/* What the kernel says to a thaw that is not shared. */
static const char *why_not(struct xfer *x)
{
	return xfer_thaw(x) == -EBUSY ? xfer_why(x) : "not EBUSY";
}

/* -- exclusive ----------------------------------------------------------- */

TEST_F(holders, the_source_keeps_the_target_from_thawing)
{
	FREEZE();
	ASSERT_EQ(0, sender_send(&self->s, 100));
	ASSERT_EQ(0, TARGET(agent_claim, 0));
	EXPECT_EQ(-EBUSY, TARGET(agent_thaw, 0));
	EXPECT_EQ(-EBUSY, TARGET(agent_ready, 0));
	EXPECT_STREQ("queue 0: others than the claimant hold it 1 times, close or thaw shared",
		     why_not(&self->x));
	EXPECT_EQ(TAPXFER_STATE_CLAIMED, xfer_state(&self->x));

	/* queue by queue */
	close(self->tap.fds[0]);
	EXPECT_STREQ("queue 1: others than the claimant hold it 1 times, close or thaw shared",
		     why_not(&self->x));
	close(self->tap.fds[1]);
	self->tap.fds[0] = dup(self->tap.fds[2]);
	self->tap.fds[1] = dup(self->tap.fds[2]);
	EXPECT_STREQ("queue 2: others than the claimant hold it 3 times, close or thaw shared",
		     why_not(&self->x));
	ASSERT_EQ(0, xfer_get(&self->x));
	EXPECT_EQ(0, xfer_queue_u64(&self->x, 0, TAPXFER_A_QUEUE_OTHERS));
	EXPECT_EQ(0, xfer_queue_u64(&self->x, 1, TAPXFER_A_QUEUE_OTHERS));
	EXPECT_EQ(3, xfer_queue_u64(&self->x, 2, TAPXFER_A_QUEUE_OTHERS));
	EXPECT_EQ(1, xfer_queue_u64(&self->x, 1, TAPXFER_A_QUEUE_HOLDERS));

	tap_close(&self->tap);
	EXPECT_EQ(0, TARGET(agent_thaw, 0));
	EXPECT_FALSE(xfer_is_live(&self->x));
}

TEST_F(holders, shared_is_the_callers_choice)
{
	FREEZE();
	ASSERT_EQ(0, sender_send(&self->s, 100));
	ASSERT_EQ(0, TARGET(agent_claim, 0));
	EXPECT_EQ(0, TARGET(agent_thaw, TAPXFER_THAW_SHARED));
	EXPECT_EQ(100, tap_read_all(&self->tap, &self->t));
	EXPECT_EQ(0, tally_lost(&self->t, 100));
}

TEST_F(holders, ready_is_asked_and_the_thaw_after_it_is_not)
{
	FREEZE();
	ASSERT_EQ(0, TARGET(agent_claim, 0));
	EXPECT_EQ(-EBUSY, TARGET(agent_ready, 0));
	EXPECT_EQ(TAPXFER_STATE_CLAIMED, xfer_state(&self->x));
	EXPECT_EQ(0, TARGET(agent_ready, TAPXFER_THAW_SHARED));
	EXPECT_EQ(TAPXFER_STATE_READY, xfer_state(&self->x));
	/* the claimant's own are told apart still, with the driver's operations */
	ASSERT_EQ(0, xfer_get(&self->x));
	EXPECT_EQ(1, xfer_queue_u64(&self->x, 0, TAPXFER_A_QUEUE_OTHERS));
	EXPECT_EQ(2, xfer_queue_u64(&self->x, 0, TAPXFER_A_QUEUE_HOLDERS));
	EXPECT_EQ(0, TARGET(agent_thaw, 0));
}

/* A file that is in no process's table, but on its way to one */
TEST_F(holders, a_file_in_a_message_is_anothers)
{
	struct agent nobody = {};
	int socks[2];

	FREEZE();
	ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET, 0, socks));
	/* sent, and not received: the answer does not come */
	ASSERT_EQ(0, shutdown(socks[0], SHUT_RD));
	nobody.sock = socks[0];
	ASSERT_EQ(-EPIPE, agent_send_tap(&nobody, &self->tap));
	EXPECT_STREQ("queue 0: others than the claimant hold it 1 times, close or thaw shared",
		     why_not(&self->x));
	close(socks[0]);
	close(socks[1]);
	EXPECT_TRUE(wait_until(xfer_thaw(&self->x) == 0, SOON_MS));
}

TEST_F(holders, a_killed_source_holds_nothing)
{
	ASSERT_EQ(0, agent_send_tap(&self->other, &self->tap));
	FREEZE();
	tap_close(&self->tap);
	ASSERT_EQ(0, TARGET(agent_claim, 0));
	EXPECT_EQ(-EBUSY, TARGET(agent_thaw, 0));
	agent_kill(&self->other);
	EXPECT_TRUE(wait_until(TARGET(agent_thaw, 0) == 0, SOON_MS));
}

/* All of these have references of their own. */
TEST_F(holders, what_the_claimants_threads_do_is_its_own)
{
	struct waiter r = { .op = WAITER_READ };
	struct waiter w = { .op = WAITER_WRITE };
	struct waiter p = { .op = WAITER_POLL_IN };
	struct epoll_event ev = { .events = EPOLLIN };
	int ep = epoll_create1(EPOLL_CLOEXEC);
	int dups[2];

	ASSERT_EQ(0, tap_set_nonblock(&self->tap, false));
	FREEZE();
	ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed));
	dups[0] = dup(self->tap.fds[0]);
	dups[1] = dup(self->tap.fds[1]);
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, self->tap.fds[2], &ev));
	r.fd = self->tap.fds[0];
	w.fd = self->tap.fds[1];
	w.len = self->tap.hdr + packet_make(w.packet + self->tap.hdr, 0, 0);
	p.fd = self->tap.fds[2];
	ASSERT_EQ(0, waiter_start(&r));
	ASSERT_EQ(0, waiter_start(&w));
	ASSERT_EQ(0, waiter_start(&p));
	ASSERT_EQ(0, xfer_get(&self->x));
	EXPECT_EQ(0, xfer_queue_u64(&self->x, 0, TAPXFER_A_QUEUE_OTHERS));
	EXPECT_EQ(0, xfer_queue_u64(&self->x, 1, TAPXFER_A_QUEUE_OTHERS));
	EXPECT_EQ(0, xfer_queue_u64(&self->x, 2, TAPXFER_A_QUEUE_OTHERS));
	/* tap, claimed, and the sleeper; one with a duplicate too */
	EXPECT_EQ(4, xfer_queue_u64(&self->x, 0, TAPXFER_A_QUEUE_HOLDERS));
	EXPECT_EQ(3, xfer_queue_u64(&self->x, 2, TAPXFER_A_QUEUE_HOLDERS));

	EXPECT_EQ(0, xfer_thaw(&self->x)) TH_LOG("%s", xfer_why(&self->x));
	EXPECT_TRUE(waiter_wait(&w, SOON_MS));
	ASSERT_EQ(0, sender_send(&self->s, 500));
	EXPECT_TRUE(waiter_wait(&r, SOON_MS));
	EXPECT_TRUE(waiter_wait(&p, SOON_MS));
	close(ep);
	close(dups[0]);
	close(dups[1]);
}

static int poll_in(void *fd)
{
	struct pollfd pfd = { .fd = *(int *)fd, .events = POLLIN };

	return poll(&pfd, 1, -1);
}

static uint64_t others(struct xfer *x, int q)
{
	return xfer_get(x) ? UINT64_MAX :
	       xfer_queue_u64(x, q, TAPXFER_A_QUEUE_OTHERS);
}

/* Nor are they the queues' one after the other, or all of this device. */
TEST_F(holders, descriptors_in_any_order_are_told_apart)
{
	struct tap other;
	int dups[3], i;

	FREEZE();
	ASSERT_EQ(0, tap_open(&other, "tap1", 2, TAP_VM));
	for (i = 0; i < 2; i++)
		dups[i] = dup(self->tap.fds[2]);
	ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed));
	dups[2] = dup(self->tap.fds[0]);
	ASSERT_EQ(0, xfer_get(&self->x));
	for (i = 0; i < QUEUES; i++)
		EXPECT_EQ(0, xfer_queue_u64(&self->x, i,
					    TAPXFER_A_QUEUE_OTHERS));
	EXPECT_EQ(3, xfer_queue_u64(&self->x, 0, TAPXFER_A_QUEUE_HOLDERS));
	EXPECT_EQ(2, xfer_queue_u64(&self->x, 1, TAPXFER_A_QUEUE_HOLDERS));
	EXPECT_EQ(4, xfer_queue_u64(&self->x, 2, TAPXFER_A_QUEUE_HOLDERS));
	EXPECT_EQ(0, xfer_thaw(&self->x)) TH_LOG("%s", xfer_why(&self->x));
	for (i = 0; i < 3; i++)
		close(dups[i]);
	tap_close(&other);
}

/* Another process's poll refers to the file as its descriptors do. */
TEST_F(holders, another_processs_poll_is_not)
{
	pid_t child;

	FREEZE();
	ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed));
	ASSERT_EQ(0, others(&self->x, 0));
	/* inherits both descriptors of each file */
	child = child_start(poll_in, &self->tap.fds[0]);
	EXPECT_TRUE(wait_until(others(&self->x, 0) == 3, SOON_MS));
	EXPECT_EQ(2, others(&self->x, 1));
	child_kill(child);
	EXPECT_TRUE(wait_until(xfer_thaw(&self->x) == 0, SOON_MS));
}

#define ROUNDS	50

/*
 * Whose guest has not read what was held. When there is another one it lets go
 * soon: so often that it was seen to drain after the others were counted.
 */
TEST_F(holders, an_earlier_handover_of_the_device_is_nobody_else)
{
	bool drains = false;
	struct xfer first;
	int i;

	for (i = 0; i < ROUNDS && !drains; i++) {
		FREEZE();
		ASSERT_EQ(0, sender_send(&self->s, i ? 0 : 2000));
		ASSERT_EQ(0, xfer_finish(&self->x));
		first = self->x;
		first.info = NULL;

		FREEZE();
		ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed));
		ASSERT_EQ(0, xfer_get(&self->x));
		EXPECT_EQ(2, xfer_queue_u64(&self->x, 0,
					    TAPXFER_A_QUEUE_HOLDERS));
		EXPECT_EQ(0, xfer_queue_u64(&self->x, 0,
					    TAPXFER_A_QUEUE_OTHERS));
		drains = xfer_state(&first) == TAPXFER_STATE_DRAINING;
		tapxfer_info_free(first.info);
		EXPECT_EQ(0, xfer_thaw(&self->x));
		tap_close(&self->claimed);
	}
	EXPECT_TRUE(drains);
	EXPECT_EQ(2000, tap_read_all(&self->tap, &self->t));
	EXPECT_EQ(0, tally_lost(&self->t, 2000));
}

struct stalled {
	struct genl g;
	struct tap *tap;
	struct stall stall;
};

static long do_prepare(void *arg)
{
	struct stalled *s = arg;

	genl_begin(&s->g, TAPXFER_CMD_PREPARE, s->tap->ifindex, s->tap->fds,
		   QUEUES);
	mnl_attr_put_u64(s->g.req, TAPXFER_A_HANDOVER_SCRATCH,
			 (uintptr_t)s->stall.page);
	return genl_talk(&s->g);
}

/*
 * One that is being prepared has the files as well, and takes its time in its
 * caller's memory: whoever has begun it would have the device when that ends.
 */
TEST_F(holders, a_prepare_under_way_is_somebody_else)
{
	struct stalled s = { .tap = &self->tap };
	struct waiter w = {
		.op = WAITER_CALL,
		.fn = do_prepare,
		.arg = &s,
	};
	uint8_t zeroes[64] = {};

	ASSERT_EQ(0, genl_open(&s.g));
	ASSERT_EQ(0, stall_open(&s.stall));
	ASSERT_EQ(0, waiter_go(&w));
	ASSERT_TRUE(stall_wait(&s.stall, SOON_MS));
	FREEZE();
	ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed));
	EXPECT_STREQ("queue 0: others than the claimant hold it 1 times, close or thaw shared",
		     why_not(&self->x));
	ASSERT_EQ(0, stall_release(&s.stall, zeroes, sizeof(zeroes)));
	ASSERT_TRUE(waiter_wait(&w, SOON_MS));
	EXPECT_EQ(-EBUSY, w.ret);
	EXPECT_EQ(0, xfer_thaw(&self->x));
	stall_close(&s.stall);
	genl_close(&s.g);
}

/* -- claims without descriptors ------------------------------------------ */

TEST_F(holders, a_claim_without_descriptors_gives_none)
{
	int fds;

	FREEZE();
	ASSERT_EQ(0, sender_send(&self->s, 100));
	fds = count_fds();
	ASSERT_EQ(0, tapxfer_claim_flags(self->x.tx, self->x.id, &self->x.token,
					 TAPXFER_CLAIM_NO_FDS, &self->x.info));
	EXPECT_EQ(fds, count_fds());
	EXPECT_EQ(0, tapxfer_info_fds(self->x.info, NULL, 0));
	EXPECT_EQ(QUEUES, xfer_u64(&self->x, TAPXFER_A_HANDOVER_NUM_QUEUES));
	EXPECT_EQ(UINT64_MAX, xfer_queue_u64(&self->x, 0, TAPXFER_A_QUEUE_FD));
	EXPECT_EQ(self->tap.hdr,
		  (int)xfer_dev_u64(&self->x, TAPXFER_A_DEV_VNET_HDR_SZ));
	EXPECT_EQ(TAPXFER_STATE_CLAIMED, xfer_state(&self->x));
	/* the files are this process's own anyway */
	EXPECT_EQ(0, xfer_thaw(&self->x));
	EXPECT_EQ(100, tap_read_all(&self->tap, &self->t));
}

/* A VMM whose own channel passes the files */
TEST_F(holders, the_files_may_come_another_way)
{
	FREEZE();
	ASSERT_EQ(0, TARGET(agent_claim, TAPXFER_CLAIM_NO_FDS));
	ASSERT_EQ(0, agent_send_tap(&self->target, &self->tap));
	EXPECT_EQ(-EBUSY, TARGET(agent_thaw, 0));
	tap_close(&self->tap);
	EXPECT_TRUE(wait_until(TARGET(agent_thaw, 0) == 0, SOON_MS));
}

/* -- claims that are passed on ------------------------------------------- */

static int pass(struct xfer *x, pid_t pid)
{
	int pidfd = syscall(SYS_pidfd_open, pid, 0);
	int err;

	if (pidfd < 0)
		return -errno;
	tapxfer_info_free(x->info);
	err = tapxfer_pass(x->tx, x->id, &x->token, pidfd, &x->info);
	close(pidfd);
	return err;
}

TEST_F(holders, a_claim_that_was_passed_on_is_the_others)
{
	FREEZE();
	ASSERT_EQ(0, sender_send(&self->s, 100));
	ASSERT_EQ(0, TARGET(agent_claim, TAPXFER_CLAIM_NO_FDS));
	ASSERT_EQ(0, pass(&self->x, self->other.pid));
	EXPECT_EQ((uint64_t)self->other.pid,
		  xfer_u64(&self->x, TAPXFER_A_HANDOVER_CLAIMANT));
	/* the first one's exit is nothing any more */
	agent_kill(&self->target);
	EXPECT_TRUE(wait_until(process_state(self->target.pid) != 'R', SOON_MS));
	EXPECT_EQ(TAPXFER_STATE_CLAIMED, xfer_state(&self->x));
	/* the other's is */
	agent_kill(&self->other);
	EXPECT_TRUE(wait_until(xfer_state(&self->x) == TAPXFER_STATE_FROZEN,
			       SOON_MS));
	ASSERT_EQ(0, xfer_finish(&self->x));
	EXPECT_EQ(100, tap_read_all(&self->tap, &self->t));
	EXPECT_EQ(0, tally_lost(&self->t, 100));
}

TEST_F(holders, it_is_exclusive_for_whom_it_was_passed_to)
{
	FREEZE();
	ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed));
	ASSERT_EQ(0, agent_send_tap(&self->target, &self->claimed));
	ASSERT_EQ(0, pass(&self->x, self->target.pid));
	/* from whoever has the token: the files are the claimant's to have */
	EXPECT_STREQ("queue 0: others than the claimant hold it 2 times, close or thaw shared",
		     why_not(&self->x));
	tap_close(&self->claimed);
	tap_close(&self->tap);
	EXPECT_TRUE(wait_until(xfer_thaw(&self->x) == 0, SOON_MS));
}

TEST_F(holders, what_was_set_stays_recorded_and_the_last_one_sets)
{
	int hdr = 0;

	FREEZE();
	ASSERT_EQ(0, agent_send_tap(&self->other, &self->tap));
	ASSERT_EQ(0, TARGET(agent_claim, 0));
	ASSERT_EQ(0, agent_call(&self->target, NULL, agent_set_int,
				TUNSETVNETHDRSZ, 12));
	ASSERT_EQ(-EBUSY, agent_call(&self->other, NULL, agent_set_int,
				     TUNSETVNETHDRSZ, 20));
	ASSERT_EQ(0, pass(&self->x, self->other.pid));
	EXPECT_EQ(12, agent_call(&self->other, NULL, agent_get_int,
				 TUNGETVNETHDRSZ, 0));
	EXPECT_EQ(0, agent_call(&self->other, NULL, agent_set_int, TUNSETVNETLE,
				1));
	EXPECT_EQ(-EBUSY, agent_call(&self->target, NULL, agent_set_int,
				     TUNSETVNETLE, 0));
	ASSERT_EQ(0, xfer_thaw_shared(&self->x));
	ASSERT_EQ(0, ioctl(self->tap.fds[0], TUNGETVNETHDRSZ, &hdr));
	EXPECT_EQ(12, hdr);
	ASSERT_EQ(0, ioctl(self->tap.fds[0], TUNGETVNETLE, &hdr));
	EXPECT_EQ(1, hdr);
}

TEST_F(holders, a_claim_is_passed_on_while_ready_too)
{
	FREEZE();
	ASSERT_EQ(0, TARGET(agent_claim, 0));
	ASSERT_EQ(0, TARGET(agent_ready, TAPXFER_THAW_SHARED));
	ASSERT_EQ(0, pass(&self->x, self->other.pid));
	agent_kill(&self->target);
	EXPECT_EQ(TAPXFER_STATE_READY, xfer_state(&self->x));
	EXPECT_EQ(0, xfer_thaw(&self->x));
}

/* The number, as the kernel takes it. */
static int pass_nr(struct genl *g, const struct xfer *x, const void *token,
		   uint32_t nr)
{
	genl_go_on(g, TAPXFER_CMD_PASS, x->id, token);
	if (nr)
		mnl_attr_put_u32(g->req, TAPXFER_A_HANDOVER_PID, nr);
	return genl_talk(g);
}

TEST_F(holders, a_claim_is_passed_to_processes_only)
{
	struct tapxfer_token wrong = self->x.token;
	struct genl g;
	pid_t zombie;

	ASSERT_EQ(0, genl_open(&g));
	FREEZE();
	wrong = self->x.token;
	wrong.bytes[0] ^= 1;
	EXPECT_EQ(-EPROTO, pass_nr(&g, &self->x, &self->x.token, getpid()));
	EXPECT_STREQ("the handover is frozen: claim it, or abort it", g.msg);
	ASSERT_EQ(0, TARGET(agent_claim, 0));
	EXPECT_EQ(-EPERM, pass_nr(&g, &self->x, &wrong, getpid()));
	EXPECT_EQ(-EINVAL, pass_nr(&g, &self->x, &self->x.token, 0));
	EXPECT_STREQ("no process given to pass the claim to", g.msg);
	EXPECT_EQ(-ESRCH, pass_nr(&g, &self->x, &self->x.token, 0xffffffff));
	EXPECT_STREQ("no such process in the caller's pid namespace", g.msg);
	zombie = fork();
	if (!zombie)
		_exit(0);
	ASSERT_TRUE(wait_until(process_state(zombie) == 'Z', SOON_MS));
	EXPECT_EQ(-ESRCH, pass_nr(&g, &self->x, &self->x.token, zombie));
	waitpid(zombie, NULL, 0);

	/* the claim is where it was */
	ASSERT_EQ(0, xfer_get(&self->x));
	EXPECT_EQ((uint64_t)self->target.pid,
		  xfer_u64(&self->x, TAPXFER_A_HANDOVER_CLAIMANT));
	EXPECT_EQ(0, pass_nr(&g, &self->x, &self->x.token, getpid()));
	genl_close(&g);
}

TEST_HARNESS_MAIN
