// SPDX-License-Identifier: GPL-2.0
/*
 * The claim: all files or none, to one process, as long as it lives.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <kselftest_harness.h>

#include <linux/kcmp.h>

#include "flow.h"
#include "net.h"
#include "tap.h"
#include "util.h"
#include "xfer.h"

#define QUEUES	4
#define FLOWS	64

FIXTURE(claim) {
	struct tap tap;
	struct tap claimed;
	struct xfer x;
	struct sender s;
	struct tally t;
	pid_t child;
};

FIXTURE_SETUP(claim)
{
	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", QUEUES, TAP_VM));
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, true));
	ASSERT_EQ(0, xfer_open(&self->x));
	ASSERT_EQ(0, sender_open(&self->s, self->tap.ifindex, FLOWS));
	ASSERT_EQ(0, tally_init(&self->t, 1 << 16));
}

FIXTURE_TEARDOWN(claim)
{
	child_kill(self->child);
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

static bool same_file(int a, int b)
{
	return !syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, a, b);
}

TEST_F(claim, gives_the_files_in_the_order_of_the_prepare)
{
	struct tap shuffled = self->tap;
	int q;

	/* not that of the descriptors */
	for (q = 0; q < QUEUES; q++)
		shuffled.fds[q] = self->tap.fds[(q * 3 + 2) % QUEUES];
	ASSERT_EQ(0, xfer_begin(&self->x, &shuffled, TAPXFER_STATE_FROZEN, 0,
				0));
	ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed));
	ASSERT_EQ(QUEUES, self->claimed.n);
	for (q = 0; q < QUEUES; q++) {
		EXPECT_TRUE(same_file(shuffled.fds[q], self->claimed.fds[q]));
		EXPECT_FALSE(same_file(shuffled.fds[(q + 1) % QUEUES],
				       self->claimed.fds[q]));
		EXPECT_EQ(q, xfer_queue_u64(&self->x, q,
					    TAPXFER_A_QUEUE_INDEX));
	}
	EXPECT_EQ(TAPXFER_STATE_CLAIMED, xfer_state(&self->x));
	EXPECT_EQ(getpid(), xfer_u64(&self->x, TAPXFER_A_HANDOVER_CLAIMANT));
}

TEST_F(claim, sets_cloexec_and_leaves_nonblock_as_it_was)
{
	int q;

	/* some do, some do not */
	for (q = 0; q < QUEUES; q += 2)
		ASSERT_EQ(0, fcntl(self->tap.fds[q], F_SETFL, O_RDWR));
	for (q = 0; q < QUEUES; q++)
		ASSERT_EQ(0, fcntl(self->tap.fds[q], F_SETFD, 0));
	FREEZE();
	ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed));
	for (q = 0; q < QUEUES; q++) {
		EXPECT_EQ(FD_CLOEXEC, fcntl(self->claimed.fds[q], F_GETFD));
		EXPECT_EQ(q % 2 ? O_NONBLOCK : 0,
			  fcntl(self->claimed.fds[q], F_GETFL) & O_NONBLOCK);
		EXPECT_EQ(q % 2, xfer_queue_u64(&self->x, q,
						TAPXFER_A_QUEUE_NONBLOCK));
	}
	ASSERT_EQ(0, xfer_thaw(&self->x));
	for (q = 0; q < QUEUES; q++)
		EXPECT_EQ(q % 2 ? O_NONBLOCK : 0,
			  fcntl(self->claimed.fds[q], F_GETFL) & O_NONBLOCK);
}

/* The claimant's files are the source's: traffic goes through either. */
TEST_F(claim, the_claimant_reads_and_writes_after_the_thaw)
{
	struct capture c;
	int q;

	FREEZE();
	ASSERT_EQ(0, sender_send(&self->s, 500));
	ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed));
	self->claimed.hdr = self->tap.hdr;
	tap_close(&self->tap);
	EXPECT_EQ(0, tap_read_all(&self->claimed, &self->t));
	ASSERT_EQ(0, xfer_thaw(&self->x));
	EXPECT_EQ(500, tap_read_all(&self->claimed, &self->t));
	EXPECT_EQ(0, tally_lost(&self->t, 500));
	EXPECT_EQ(0, self->t.dup + self->t.reordered);

	ASSERT_EQ(0, capture_open(&c, if_nametoindex("tap0")));
	for (q = 0; q < QUEUES; q++)
		EXPECT_EQ(0, tap_write_one(&self->claimed, q, q));
	EXPECT_EQ(QUEUES, capture_read(&c));
	capture_close(&c);
}

/* Every number of free descriptors but enough: all or none. */
TEST_F(claim, with_too_few_descriptors_takes_none)
{
	struct rlimit old, lim;
	int room, fds = 0;
	int top = dup(0);

	close(top);
	FREEZE();
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
	fds = count_fds();
	/* no gaps below, or there would be more room than is counted */
	ASSERT_EQ(top, fds);
	for (room = 0; room < QUEUES; room++) {
		lim = old;
		lim.rlim_cur = top + room;
		ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &lim));
		EXPECT_EQ(-EMFILE, xfer_claim(&self->x, &self->claimed));
		EXPECT_STREQ("too few free file descriptors for all queues, raise RLIMIT_NOFILE",
			     xfer_why(&self->x));
		ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
		EXPECT_EQ(fds, count_fds());
		EXPECT_EQ(TAPXFER_STATE_FROZEN, xfer_state(&self->x));
		EXPECT_EQ(0, xfer_u64(&self->x, TAPXFER_A_HANDOVER_CLAIMED_AT));
	}
	/* nothing leaked: as many holders as before */
	EXPECT_EQ(1, xfer_queue_u64(&self->x, 0, TAPXFER_A_QUEUE_HOLDERS));

	lim.rlim_cur = top + QUEUES;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &lim));
	EXPECT_EQ(0, xfer_claim(&self->x, &self->claimed));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
	EXPECT_EQ(fds + QUEUES, count_fds());
	ASSERT_EQ(0, xfer_thaw(&self->x));
}

/* -- in short ------------------------------------------------------------ */

static int claim_fds(struct xfer *x, int *fds, int n)
{
	return tapxfer_claim_fds(x->tx, x->id, &x->token, 0, fds, n);
}

TEST_F(claim, in_short_gives_the_same_files_in_the_same_order)
{
	struct tap shuffled = self->tap;
	int q;

	for (q = 0; q < QUEUES; q++)
		shuffled.fds[q] = self->tap.fds[(q * 3 + 2) % QUEUES];
	ASSERT_EQ(0, xfer_begin(&self->x, &shuffled, TAPXFER_STATE_PREPARED, 0,
				0));
	ASSERT_EQ(0, tapxfer_freeze_id(self->x.tx, self->x.id, &self->x.token,
				       NULL, NULL));
	ASSERT_EQ(0, claim_fds(&self->x, self->claimed.fds, QUEUES));
	self->claimed.n = QUEUES;
	for (q = 0; q < QUEUES; q++) {
		EXPECT_TRUE(same_file(shuffled.fds[q], self->claimed.fds[q]));
		EXPECT_EQ(FD_CLOEXEC, fcntl(self->claimed.fds[q], F_GETFD));
	}
	EXPECT_EQ(TAPXFER_STATE_CLAIMED, xfer_state(&self->x));
	EXPECT_EQ(getpid(), xfer_u64(&self->x, TAPXFER_A_HANDOVER_CLAIMANT));
	/* what was not told is there to be asked for */
	EXPECT_EQ(self->tap.hdr,
		  (int)xfer_dev_u64(&self->x, TAPXFER_A_DEV_VNET_HDR_SZ));
	ASSERT_EQ(0, xfer_thaw(&self->x));
}

TEST_F(claim, of_another_number_of_queues_takes_none)
{
	int other[] = { 0, QUEUES - 1, QUEUES + 1, 256 };
	int got[256];
	int fds, i;

	FREEZE();
	fds = count_fds();
	for (i = 0; i < (int)ARRAY_SIZE(other); i++) {
		EXPECT_EQ(-EINVAL, claim_fds(&self->x, got, other[i]));
		EXPECT_STREQ("the device has 4 queues, ask for all of them",
			     tapxfer_error_extack(self->x.tx));
		EXPECT_EQ(fds, count_fds());
		EXPECT_EQ(TAPXFER_STATE_FROZEN, xfer_state(&self->x));
	}
	EXPECT_EQ(-E2BIG, claim_fds(&self->x, got, 1 << 20));
	EXPECT_EQ(0, claim_fds(&self->x, self->claimed.fds, QUEUES));
	self->claimed.n = QUEUES;
	ASSERT_EQ(0, xfer_thaw(&self->x));
}

/* Of freeze and claim alike: which handover, and how many queues */
TEST_F(claim, in_short_tells_neither_device_nor_queues)
{
	static const uint8_t cmds[] = { TAPXFER_CMD_FREEZE, TAPXFER_CMD_CLAIM };
	static const uint16_t absent[] = {
		TAPXFER_A_HANDOVER_DEV, TAPXFER_A_HANDOVER_QUEUE,
		TAPXFER_A_HANDOVER_HELD, TAPXFER_A_HANDOVER_TOKEN,
		TAPXFER_A_HANDOVER_FDS,
	};
	struct genl g;
	int fds, i, k;

	ASSERT_EQ(0, genl_open(&g));
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_PREPARED, 0,
				0));
	fds = count_fds();
	for (i = 0; i < (int)ARRAY_SIZE(cmds); i++) {
		genl_go_on(&g, cmds[i], self->x.id, self->x.token.bytes);
		mnl_attr_put(g.req, TAPXFER_A_HANDOVER_BRIEF, 0, NULL);
		if (cmds[i] == TAPXFER_CMD_CLAIM)
			mnl_attr_put(g.req, TAPXFER_A_HANDOVER_NO_FDS, 0, NULL);
		ASSERT_EQ(0, genl_talk(&g));
		EXPECT_EQ(self->x.id, genl_u32(&g, TAPXFER_A_HANDOVER_ID));
		EXPECT_EQ(QUEUES, genl_u32(&g, TAPXFER_A_HANDOVER_NUM_QUEUES));
		for (k = 0; k < (int)ARRAY_SIZE(absent); k++)
			EXPECT_EQ(NULL, genl_attr(&g, absent[k]));
	}
	EXPECT_EQ(fds, count_fds());
	genl_close(&g);
	ASSERT_EQ(0, xfer_thaw(&self->x));
}

/* What began a handover has to have its token, in short or not. */
TEST_F(claim, in_short_has_the_token_of_what_it_began)
{
	const struct nlattr *token;
	struct genl g;

	ASSERT_EQ(0, genl_open(&g));
	genl_begin(&g, TAPXFER_CMD_FREEZE, self->tap.ifindex, self->tap.fds,
		   QUEUES);
	mnl_attr_put(g.req, TAPXFER_A_HANDOVER_BRIEF, 0, NULL);
	ASSERT_EQ(0, genl_talk(&g));
	token = genl_attr(&g, TAPXFER_A_HANDOVER_TOKEN);
	ASSERT_NE(NULL, token);
	self->x.id = genl_u32(&g, TAPXFER_A_HANDOVER_ID);
	memcpy(self->x.token.bytes, mnl_attr_get_payload(token),
	       sizeof(self->x.token.bytes));
	genl_close(&g);
	ASSERT_EQ(0, claim_fds(&self->x, self->claimed.fds, QUEUES));
	self->claimed.n = QUEUES;
	ASSERT_EQ(0, xfer_thaw(&self->x));
}

/* -- who, and when ------------------------------------------------------- */

TEST_F(claim, needs_the_token)
{
	struct tapxfer_token good;
	size_t i;

	FREEZE();
	good = self->x.token;
	for (i = 0; i < sizeof(good.bytes); i++) {
		self->x.token = good;
		self->x.token.bytes[i] ^= 1;
		EXPECT_EQ(-EPERM, xfer_claim(&self->x, &self->claimed));
		EXPECT_STREQ("the token is not this handover's",
			     xfer_why(&self->x));
	}
	memset(&self->x.token, 0, sizeof(good));
	EXPECT_EQ(-EPERM, xfer_claim(&self->x, &self->claimed));
	self->x.token = good;
	EXPECT_EQ(0, self->claimed.n);
	EXPECT_EQ(TAPXFER_STATE_FROZEN, xfer_state(&self->x));
	EXPECT_EQ(0, xfer_claim(&self->x, &self->claimed));
}

TEST_F(claim, is_not_given_twice)
{
	struct tap second = {};
	int fds;

	FREEZE();
	ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed));
	fds = count_fds();
	EXPECT_EQ(-EPROTO, xfer_claim(&self->x, &second));
	EXPECT_STREQ("the handover is claimed: thaw it, or abort it",
		     xfer_why(&self->x));
	EXPECT_EQ(fds, count_fds());
	EXPECT_EQ(TAPXFER_STATE_CLAIMED, xfer_state(&self->x));
	EXPECT_EQ(0, xfer_thaw(&self->x));
}

TEST_F(claim, only_of_a_frozen_handover)
{
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_PREPARED, 0,
				0));
	EXPECT_EQ(-EPROTO, xfer_claim(&self->x, &self->claimed));
	EXPECT_STREQ("the handover is only prepared, hold or freeze it first",
		     xfer_why(&self->x));
	ASSERT_EQ(0, xfer_hold(&self->x));
	EXPECT_EQ(-EPROTO, xfer_claim(&self->x, &self->claimed));
	EXPECT_STREQ("the handover is holding: freeze it, or abort it",
		     xfer_why(&self->x));
	ASSERT_EQ(0, xfer_freeze(&self->x));
	EXPECT_EQ(0, xfer_claim(&self->x, &self->claimed));
}

/* -- processes ----------------------------------------------------------- */

/* What a child needs to begin, or to go on with, a handover */
struct channel {
	struct xfer *x;
	struct tap *tap;
	int pipe[2];		/* from the child: id and token, or a byte */
	enum tapxfer_state state;
};

struct ticket {
	uint32_t id;
	struct tapxfer_token token;
};

/* A source: its own files, a handover, then it waits to be killed. */
static int source(void *arg)
{
	struct channel *ch = arg;
	struct ticket t;
	struct xfer x;

	if (xfer_open(&x) || xfer_begin(&x, ch->tap, ch->state, 0, 0))
		return 1;
	t.id = x.id;
	t.token = x.token;
	if (write(ch->pipe[1], &t, sizeof(t)) != sizeof(t))
		return 2;
	pause();
	return 3;
}

FIXTURE(dead_source) {
	struct tap tap;
	struct tap claimed;
	struct xfer x;
	struct sender s;
	struct tally t;
	struct channel ch;
	pid_t child;
};

FIXTURE_VARIANT(dead_source) {
	enum tapxfer_state state;
};

FIXTURE_VARIANT_ADD(dead_source, prepared) {
	.state = TAPXFER_STATE_PREPARED,
};

FIXTURE_VARIANT_ADD(dead_source, holding) {
	.state = TAPXFER_STATE_HOLDING,
};

FIXTURE_VARIANT_ADD(dead_source, frozen) {
	.state = TAPXFER_STATE_FROZEN,
};

FIXTURE_SETUP(dead_source)
{
	struct ticket t;

	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", QUEUES, TAP_VM));
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, true));
	ASSERT_EQ(0, sender_open(&self->s, self->tap.ifindex, FLOWS));
	ASSERT_EQ(0, tally_init(&self->t, 1 << 16));
	self->ch.tap = &self->tap;
	self->ch.state = variant->state;
	ASSERT_EQ(0, pipe2(self->ch.pipe, O_CLOEXEC));
	self->child = child_start(source, &self->ch);
	ASSERT_LT(0, self->child);
	/* the child's are the only ones */
	tap_close(&self->tap);
	ASSERT_EQ(sizeof(t), read(self->ch.pipe[0], &t, sizeof(t)));
	ASSERT_EQ(0, xfer_open(&self->x));
	self->x.id = t.id;
	self->x.token = t.token;
	ASSERT_EQ(0, sender_send(&self->s, 300));
	ASSERT_EQ(0, kill(self->child, SIGKILL));
	ASSERT_EQ(128 + SIGKILL, child_wait(self->child, SOON_MS));
	self->child = 0;
}

FIXTURE_TEARDOWN(dead_source)
{
	child_kill(self->child);
	xfer_close(&self->x);
	link_delete("tap0");
	tap_close(&self->claimed);
	sender_close(&self->s);
	tally_free(&self->t);
}

TEST_F(dead_source, the_target_goes_on_and_reads_all)
{
	EXPECT_EQ(variant->state, xfer_state(&self->x));
	if (variant->state != TAPXFER_STATE_FROZEN)
		ASSERT_EQ(0, xfer_freeze(&self->x));
	ASSERT_EQ(0, sender_send(&self->s, 300));
	ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed));
	ASSERT_EQ(QUEUES, self->claimed.n);
	self->claimed.hdr = self->tap.hdr;
	ASSERT_EQ(0, xfer_thaw(&self->x));
	EXPECT_EQ(600, tap_read_all(&self->claimed, &self->t));
	EXPECT_EQ(0, tally_lost(&self->t, 600));
	EXPECT_EQ(0, self->t.dup + self->t.reordered);
	EXPECT_EQ(self->tap.ifindex, if_nametoindex("tap0"));
}

static int make_claim(struct channel *ch)
{
	struct tap claimed;
	struct xfer x;

	if (xfer_open(&x))
		return 1;
	x.id = ch->x->id;
	x.token = ch->x->token;
	return xfer_claim(&x, &claimed) ? 2 : 0;
}

/* A claimant that does not live to thaw; it says when it has the files. */
static int claimant(void *arg)
{
	struct channel *ch = arg;
	int err = make_claim(ch);

	if (err)
		return err;
	if (write(ch->pipe[1], "c", 1) != 1)
		return 3;
	pause();
	return 4;
}

/* The claim is a thread group's, not a thread's. */
static void *claimant_thread(void *arg)
{
	return (void *)(long)make_claim(arg);
}

static int claimant_threads(void *arg)
{
	struct channel *ch = arg;
	pthread_t th;
	void *ret;

	if (pthread_create(&th, NULL, claimant_thread, ch))
		return 5;
	pthread_join(th, &ret);
	/* the thread that has claimed is gone, the group is not */
	if (ret || write(ch->pipe[1], "t", 1) != 1)
		return 6;
	pause();
	return 7;
}

static void *sleeper(void *arg)
{
	pause();
	return arg;
}

/* The main thread claims and exits, another lives on. */
static int claimant_main_exits(void *arg)
{
	struct channel *ch = arg;
	pthread_t th;
	int err = make_claim(ch);

	if (err)
		return err;
	if (pthread_create(&th, NULL, sleeper, NULL))
		return 5;
	syscall(SYS_exit, 0);
	return 6;
}

static uint32_t next_event(struct xfer *ev, int ms)
{
	struct tapxfer_info *info;
	uint32_t event;

	if (tapxfer_event_next(ev->tx, ms, &info))
		return 0;
	event = tapxfer_info_u64(info, TAPXFER_A_HANDOVER_EVENT);
	tapxfer_info_free(info);
	return event;
}

TEST_F(claim, of_a_claimant_that_was_killed_can_be_made_anew)
{
	struct channel ch = { .x = &self->x };
	struct xfer ev;
	int turn;
	char byte;

	ASSERT_EQ(0, pipe2(ch.pipe, O_CLOEXEC));
	ASSERT_EQ(0, xfer_open(&ev));
	ASSERT_EQ(0, tapxfer_subscribe(ev.tx));
	FREEZE();
	ASSERT_EQ(0, sender_send(&self->s, 200));
	ASSERT_EQ(TAPXFER_EVENT_PREPARED, next_event(&ev, SOON_MS));
	ASSERT_EQ(TAPXFER_EVENT_HOLDING, next_event(&ev, SOON_MS));
	ASSERT_EQ(TAPXFER_EVENT_FROZEN, next_event(&ev, SOON_MS));

	for (turn = 0; turn < 3; turn++) {
		self->child = child_start(claimant, &ch);
		ASSERT_LT(0, self->child);
		ASSERT_EQ(1, read(ch.pipe[0], &byte, 1));
		EXPECT_EQ(TAPXFER_EVENT_CLAIMED, next_event(&ev, SOON_MS));
		EXPECT_EQ(TAPXFER_STATE_CLAIMED, xfer_state(&self->x));
		EXPECT_EQ(self->child,
			  (pid_t)xfer_u64(&self->x,
					  TAPXFER_A_HANDOVER_CLAIMANT));

		ASSERT_EQ(0, kill(self->child, SIGKILL));
		EXPECT_EQ(TAPXFER_EVENT_FROZEN, next_event(&ev, SOON_MS));
		EXPECT_EQ(TAPXFER_STATE_FROZEN, xfer_state(&self->x));
		ASSERT_EQ(128 + SIGKILL, child_wait(self->child, SOON_MS));
		self->child = 0;
	}
	/* it was fenced all the while */
	EXPECT_EQ(-EAGAIN, tap_write_one(&self->tap, 0, 0));
	EXPECT_EQ(0, tap_read_all(&self->tap, &self->t));
	ASSERT_EQ(0, xfer_finish(&self->x));
	EXPECT_EQ(200, tap_read_all(&self->tap, &self->t));
	xfer_close(&ev);
}

TEST_F(claim, outlives_the_thread_that_made_it)
{
	struct channel ch = { .x = &self->x };
	struct xfer ev;
	char byte;

	ASSERT_EQ(0, pipe2(ch.pipe, O_CLOEXEC));
	FREEZE();
	ASSERT_EQ(0, xfer_open(&ev));
	ASSERT_EQ(0, tapxfer_subscribe(ev.tx));
	self->child = child_start(claimant_threads, &ch);
	ASSERT_LT(0, self->child);
	ASSERT_EQ(1, read(ch.pipe[0], &byte, 1));
	EXPECT_EQ(TAPXFER_STATE_CLAIMED, xfer_state(&self->x));
	EXPECT_EQ(self->child,
		  (pid_t)xfer_u64(&self->x, TAPXFER_A_HANDOVER_CLAIMANT));
	EXPECT_EQ(TAPXFER_EVENT_CLAIMED, next_event(&ev, SOON_MS));
	/* whatever the thread's exit set going has had its time */
	EXPECT_EQ(0, next_event(&ev, 300));
	EXPECT_EQ(TAPXFER_STATE_CLAIMED, xfer_state(&self->x));

	child_kill(self->child);
	self->child = 0;
	EXPECT_EQ(TAPXFER_EVENT_FROZEN, next_event(&ev, SOON_MS));
	EXPECT_EQ(TAPXFER_STATE_FROZEN, xfer_state(&self->x));
	xfer_close(&ev);
}

TEST_F(claim, outlives_the_main_thread)
{
	struct channel ch = { .x = &self->x };
	struct xfer ev;

	FREEZE();
	ASSERT_EQ(0, xfer_open(&ev));
	ASSERT_EQ(0, tapxfer_subscribe(ev.tx));
	self->child = child_start(claimant_main_exits, &ch);
	ASSERT_LT(0, self->child);
	ASSERT_TRUE(wait_until(process_state(self->child) == 'Z', SOON_MS));
	EXPECT_EQ(TAPXFER_EVENT_CLAIMED, next_event(&ev, SOON_MS));
	/* whatever its exit set going has had its time */
	EXPECT_EQ(0, next_event(&ev, 300));
	EXPECT_EQ(TAPXFER_STATE_CLAIMED, xfer_state(&self->x));

	child_kill(self->child);
	self->child = 0;
	EXPECT_EQ(TAPXFER_EVENT_FROZEN, next_event(&ev, SOON_MS));
	EXPECT_EQ(TAPXFER_STATE_FROZEN, xfer_state(&self->x));
	xfer_close(&ev);
}

/* A claimant whose files are inherited by what it executes */
static int exec_claimant(void *arg)
{
	struct channel *ch = arg;
	struct tap claimed = {};
	char cmd[128];
	struct xfer x;

	if (xfer_open(&x))
		return 1;
	x.id = ch->x->id;
	x.token = ch->x->token;
	if (xfer_claim(&x, &claimed) || fcntl(claimed.fds[0], F_SETFD, 0) ||
	    fcntl(ch->pipe[1], F_SETFD, 0))
		return 2;
	snprintf(cmd, sizeof(cmd),
		 "[ -e /proc/self/fd/%d ] && echo x >/proc/self/fd/%d; while :; do sleep 1; done",
		 claimed.fds[0], ch->pipe[1]);
	execl("/bin/sh", "sh", "-c", cmd, NULL);
	return 3;
}

TEST_F(claim, is_kept_across_exec)
{
	struct channel ch = { .x = &self->x };
	char buf[2];

	ASSERT_EQ(0, pipe2(ch.pipe, O_CLOEXEC));
	FREEZE();
	self->child = child_start(exec_claimant, &ch);
	ASSERT_LT(0, self->child);
	/* written by the program that was executed */
	ASSERT_EQ(2, read(ch.pipe[0], buf, 2));
	EXPECT_EQ(TAPXFER_STATE_CLAIMED, xfer_state(&self->x));
	EXPECT_EQ(self->child,
		  (pid_t)xfer_u64(&self->x, TAPXFER_A_HANDOVER_CLAIMANT));
	/* whoever has the token may thaw, but the files are this process's too */
	EXPECT_EQ(-EBUSY, xfer_thaw(&self->x));
	EXPECT_EQ(0, xfer_thaw_shared(&self->x));
}

/* A claimant that exits in its own time after the thaw ends nothing. */
static int good_claimant(void *arg)
{
	struct channel *ch = arg;

	return xfer_finish(ch->x) ? 1 : 0;
}

TEST_F(claim, is_over_with_the_thaw)
{
	struct channel ch = { .x = &self->x };

	FREEZE();
	ASSERT_EQ(0, sender_send(&self->s, 100));
	self->child = child_start(good_claimant, &ch);
	ASSERT_EQ(0, child_wait(self->child, SOON_MS));
	self->child = 0;
	EXPECT_FALSE(xfer_is_live(&self->x));
	EXPECT_EQ(100, tap_read_all(&self->tap, &self->t));
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
}

TEST_HARNESS_MAIN
