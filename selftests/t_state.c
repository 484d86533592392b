// SPDX-License-Identifier: GPL-2.0
/*
 * The state as a stream of bytes: saved from a real handover through pipes and
 * sockets, loaded, compared and applied.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <kselftest_harness.h>

#include "agent.h"
#include "flow.h"
#include "net.h"
#include "tap.h"
#include "util.h"
#include "xfer.h"

#define QUEUES	4
#define FLOWS	64
#define PACKETS	100

FIXTURE(state) {
	struct tap tap;
	struct tap claimed;
	struct xfer x;
	struct sender s;
	struct tally t;
	struct tapxfer_stream *out;
	struct tapxfer_stream *in;
};

FIXTURE_SETUP(state)
{
	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", QUEUES, TAP_VM));
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, true));
	ASSERT_EQ(0, xfer_open(&self->x));
	ASSERT_EQ(0, sender_open(&self->s, self->tap.ifindex, FLOWS));
	ASSERT_EQ(0, tally_init(&self->t, 1 << 16));
}

FIXTURE_TEARDOWN(state)
{
	tapxfer_state_close(self->out);
	tapxfer_state_close(self->in);
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

static int open_save(struct xfer *x, struct tapxfer_stream **out)
{
	tapxfer_state_close(*out);
	return tapxfer_state_open(x->tx, x->id, TAPXFER_DIRECTION_SAVE,
				  TAPXFER_PHASE_STOPPED, NULL, out);
}

static int open_load(struct xfer *x, uint32_t id, struct tapxfer_stream **in)
{
	tapxfer_state_close(*in);
	return tapxfer_state_open(x->tx, id, TAPXFER_DIRECTION_LOAD,
				  TAPXFER_PHASE_STOPPED, NULL, in);
}

/* From one stream to the other, within this process */
static int copy(struct tapxfer_stream *out, struct tapxfer_stream *in)
{
	char buf[100];
	ssize_t n, used;

	while ((n = tapxfer_state_pull(out, buf, sizeof(buf))) > 0) {
		used = tapxfer_state_push(in, buf, n);
		if (used < 0)
			return used;
	}
	return n;
}

#define SAVE_AND_LOAD(id) do { \
	ASSERT_EQ(0, open_save(&self->x, &self->out)); \
	ASSERT_EQ(0, open_load(&self->x, id, &self->in)); \
	ASSERT_EQ(0, copy(self->out, self->in)); \
	ASSERT_TRUE(tapxfer_state_complete(self->in)); \
} while (0)

static uint64_t dev_u64(struct tapxfer_stream *stream, unsigned int attr)
{
	return tapxfer_info_u64(tapxfer_info_nest(tapxfer_state_info(stream),
						  TAPXFER_A_HANDOVER_DEV, 0),
				attr);
}

static uint64_t queue_u64(struct tapxfer_stream *stream, int q,
			  unsigned int attr)
{
	return tapxfer_info_u64(tapxfer_info_nest(tapxfer_state_info(stream),
						  TAPXFER_A_HANDOVER_QUEUE, q),
				attr);
}

static uint64_t uses(struct tapxfer_stream *stream)
{
	return tapxfer_info_u64(tapxfer_state_info(stream),
				TAPXFER_A_STATE_FEATURES);
}

TEST_F(state, says_what_was_exported_and_what_each_queue_carries)
{
	const struct tapxfer_info *state;
	uint64_t held = 0;
	int q;

	ASSERT_EQ(0, tap_detach(self->tap.fds[QUEUES - 1], true));
	FREEZE();
	ASSERT_EQ(0, sender_send(&self->s, PACKETS));
	SAVE_AND_LOAD(0);
	EXPECT_EQ(0, tapxfer_state_check(self->out));
	EXPECT_EQ(0, tapxfer_state_check(self->in));

	state = tapxfer_state_info(self->in);
	ASSERT_EQ(0, xfer_get(&self->x));
	EXPECT_EQ(self->x.id, tapxfer_info_u64(state, TAPXFER_A_HANDOVER_ID));
	EXPECT_EQ((uint64_t)self->tap.ifindex,
		  dev_u64(self->in, TAPXFER_A_DEV_IFINDEX));
	EXPECT_EQ(12, dev_u64(self->in, TAPXFER_A_DEV_VNET_HDR_SZ));
	EXPECT_EQ(xfer_dev_u64(&self->x, TAPXFER_A_DEV_OFFLOADS),
		  dev_u64(self->in, TAPXFER_A_DEV_OFFLOADS));
	EXPECT_NE(0, dev_u64(self->in, TAPXFER_A_DEV_OFFLOADS));
	EXPECT_EQ(1500, dev_u64(self->in, TAPXFER_A_DEV_MTU));
	EXPECT_FALSE(tapxfer_info_has(state, TAPXFER_A_HANDOVER_TOKEN));
	ASSERT_EQ(QUEUES, tapxfer_info_count(state, TAPXFER_A_HANDOVER_QUEUE));
	EXPECT_EQ(0, tapxfer_info_fds(state, NULL, 0));
	for (q = 0; q < QUEUES; q++) {
		EXPECT_EQ(xfer_queue_u64(&self->x, q, TAPXFER_A_QUEUE_HELD),
			  queue_u64(self->in, q, TAPXFER_A_QUEUE_HELD));
		EXPECT_EQ(q == QUEUES - 1,
			  queue_u64(self->in, q, TAPXFER_A_QUEUE_DETACHED));
		EXPECT_EQ(1, queue_u64(self->in, q, TAPXFER_A_QUEUE_NONBLOCK));
		held += queue_u64(self->in, q, TAPXFER_A_QUEUE_HELD);
	}
	EXPECT_EQ(PACKETS, held);
	EXPECT_EQ(TAPXFER_STATE_FEATURE_HELD | TAPXFER_STATE_FEATURE_DRAINED |
		  TAPXFER_STATE_FEATURE_DETACHED, uses(self->in));
	/* what the other side can do */
	EXPECT_NE(0, tapxfer_info_u64(state, TAPXFER_A_STATE_KERNEL_FEATURES) &
		     TAPXFER_FEATURE_DRAIN);
	EXPECT_EQ(tapxfer_state_features(),
		  tapxfer_info_u64(state, TAPXFER_A_STATE_READS));
	EXPECT_STREQ(tapxfer_version(),
		     tapxfer_info_str(state, TAPXFER_A_STATE_LIBRARY));
	EXPECT_NE(NULL, tapxfer_info_str(state, TAPXFER_A_STATE_MODULE));
}

struct reading {
	struct xfer *x;
	struct tapxfer_stream *in;
	int fd;
	int err;
};

static void *reader(void *arg)
{
	struct reading *r = arg;

	/* a handle is for one thread: this one's has no handover to ask for */
	r->err = tapxfer_state_load(r->in, r->fd);
	return NULL;
}

/* 256 queues are more than the pipe takes: both sides wait for each other. */
TEST_F(state, goes_through_a_pipe_that_is_too_small)
{
	struct reading r = {};
	struct tap large;
	struct xfer x;
	int pipefd[2], err = 0, i, again = 0;
	pthread_t thread;

	ASSERT_EQ(0, tap_open(&large, "tap1", TAP_MAX, TAP_VM));
	ASSERT_EQ(0, xfer_open(&x));
	ASSERT_EQ(0, xfer_begin(&x, &large, TAPXFER_STATE_FROZEN, 100, 0));
	ASSERT_EQ(0, pipe2(pipefd, O_CLOEXEC));
	ASSERT_LE(0, fcntl(pipefd[1], F_SETPIPE_SZ, 4096));
	ASSERT_EQ(0, fcntl(pipefd[1], F_SETFL, O_NONBLOCK));

	ASSERT_EQ(0, open_save(&x, &self->out));
	/* with a handle of its own: none */
	ASSERT_EQ(0, tapxfer_state_open(NULL, 0, TAPXFER_DIRECTION_LOAD,
					TAPXFER_PHASE_STOPPED, NULL,
					&self->in));
	EXPECT_EQ(-EAGAIN, tapxfer_state_save(self->out, pipefd[1]));
	EXPECT_EQ(-EINPROGRESS, tapxfer_state_check(self->out));
	r.in = self->in;
	r.fd = pipefd[0];
	ASSERT_EQ(0, pthread_create(&thread, NULL, reader, &r));
	ASSERT_TRUE(wait_until((err = tapxfer_state_save(self->out,
							 pipefd[1])) !=
			       -EAGAIN || (again++, false), SOON_MS));
	EXPECT_EQ(0, err);
	EXPECT_EQ(0, tapxfer_state_check(self->out));
	/* the pipe stays open: the reader knows where the state ends */
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, r.err);
	EXPECT_EQ(TAP_MAX, tapxfer_info_count(tapxfer_state_info(self->in),
					      TAPXFER_A_HANDOVER_QUEUE));
	for (i = 0; i < TAP_MAX; i++)
		ASSERT_EQ((uint64_t)i, queue_u64(self->in, i,
						 TAPXFER_A_QUEUE_INDEX));
	close(pipefd[0]);
	close(pipefd[1]);
	xfer_close(&x);
	link_delete("tap1");
	tap_close(&large);
}

TEST_F(state, a_save_before_the_freeze_is_refused)
{
	EXPECT_EQ(-ENOENT, tapxfer_state_open(self->x.tx, 4711,
					      TAPXFER_DIRECTION_SAVE,
					      TAPXFER_PHASE_STOPPED, NULL,
					      &self->out));
	EXPECT_EQ(NULL, self->out);
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_PREPARED, 0,
				0));
	EXPECT_EQ(-EPROTO, open_save(&self->x, &self->out));
	EXPECT_STREQ("the handover is prepared: a state is saved and loaded while it is frozen or claimed",
		     tapxfer_error(self->x.tx));
	/* queues that run */
	EXPECT_EQ(-EPROTO, open_load(&self->x, self->x.id, &self->in));
	ASSERT_EQ(0, xfer_hold(&self->x));
	EXPECT_EQ(-EPROTO, open_save(&self->x, &self->out));
	EXPECT_EQ(-EPROTO, open_load(&self->x, self->x.id, &self->in));
	ASSERT_EQ(0, xfer_freeze(&self->x));
	EXPECT_EQ(0, open_save(&self->x, &self->out));
	EXPECT_EQ(0, open_load(&self->x, self->x.id, &self->in));
}

TEST_F(state, phases_that_there_are_not_are_refused)
{
	uint32_t phase;

	FREEZE();
	for (phase = 1; phase < 4; phase++) {
		EXPECT_EQ(-EOPNOTSUPP,
			  tapxfer_state_open(self->x.tx, self->x.id,
					     TAPXFER_DIRECTION_SAVE, phase,
					     NULL, &self->out));
		EXPECT_EQ(-EOPNOTSUPP,
			  tapxfer_state_open(self->x.tx, self->x.id,
					     TAPXFER_DIRECTION_LOAD, phase,
					     NULL, &self->in));
	}
	EXPECT_EQ(TAPXFER_STATE_FROZEN, xfer_state(&self->x));
}

TEST_F(state, a_second_save_is_as_good_as_the_first)
{
	int fd = memfd_create("state", MFD_CLOEXEC), i;

	FREEZE();
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, open_save(&self->x, &self->out));
		ASSERT_EQ(0, tapxfer_state_save(self->out, fd));
		EXPECT_EQ(-EALREADY, tapxfer_state_save(self->out, fd));
		EXPECT_EQ(0, tapxfer_state_check(self->out));
	}
	/* and after the claim, which took nothing away */
	ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed));
	ASSERT_EQ(0, open_save(&self->x, &self->out));
	ASSERT_EQ(0, tapxfer_state_save(self->out, fd));

	lseek(fd, 0, SEEK_SET);
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, open_load(&self->x, self->x.id, &self->in));
		ASSERT_EQ(0, tapxfer_state_load(self->in, fd));
		EXPECT_EQ(-EALREADY, tapxfer_state_load(self->in, fd));
		EXPECT_EQ(0, tapxfer_state_check(self->in));
	}
	ASSERT_EQ(0, open_load(&self->x, self->x.id, &self->in));
	EXPECT_EQ(-ENODATA, tapxfer_state_load(self->in, fd));
	close(fd);
}

TEST_F(state, the_verdict_knows_that_the_handover_went_on)
{
	FREEZE();
	SAVE_AND_LOAD(self->x.id);
	EXPECT_EQ(0, tapxfer_state_check(self->out));
	EXPECT_EQ(0, tapxfer_state_check(self->in));

	ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed));
	EXPECT_EQ(0, tapxfer_state_check(self->in));
	ASSERT_EQ(0, xfer_ready(&self->x, TAPXFER_THAW_SHARED));
	EXPECT_EQ(-EPROTO, tapxfer_state_check(self->out));
	EXPECT_EQ(-EPROTO, tapxfer_state_check(self->in));
	ASSERT_EQ(0, xfer_thaw_shared(&self->x));
	ASSERT_TRUE(wait_until(xfer_state(&self->x) == -ENOENT, SOON_MS));
	EXPECT_EQ(-ENOENT, tapxfer_state_check(self->out));
	EXPECT_EQ(-ENOENT, tapxfer_state_check(self->in));
}

TEST_F(state, the_verdict_knows_that_the_device_changed)
{
	FREEZE();
	SAVE_AND_LOAD(self->x.id);
	ASSERT_EQ(0, link_down("tap0"));
	ASSERT_EQ(0, link_rename("tap0", "tap7"));
	EXPECT_EQ(-ESTALE, tapxfer_state_check(self->out));
	EXPECT_STREQ("the device has changed since the state was saved: name",
		     tapxfer_error(self->x.tx));
	EXPECT_EQ(-ESTALE, tapxfer_state_check(self->in));
	link_delete("tap7");
}

TEST_F(state, that_of_another_device_is_refused)
{
	struct tap other;
	struct xfer x;

	ASSERT_EQ(0, tap_open(&other, "tap1", QUEUES, TAP_VM));
	ASSERT_EQ(0, xfer_open(&x));
	ASSERT_EQ(0, xfer_begin(&x, &other, TAPXFER_STATE_FROZEN, 0, 0));
	FREEZE();
	ASSERT_EQ(0, open_save(&self->x, &self->out));
	ASSERT_EQ(0, open_load(&x, x.id, &self->in));
	ASSERT_EQ(0, copy(self->out, self->in));
	EXPECT_EQ(-ESTALE, tapxfer_state_check(self->in));
	EXPECT_STREQ("the state is not the handover's: the device's ifindex differs",
		     tapxfer_error(x.tx));
	/* and nothing came of it */
	EXPECT_EQ(TAPXFER_STATE_FROZEN, xfer_state(&x));
	tapxfer_state_close(self->in);
	self->in = NULL;
	xfer_close(&x);
	link_delete("tap1");
	tap_close(&other);
}

/* Guest's packets in the host's stack: a target may want none there. */
TEST_F(state, tells_what_was_left_and_a_target_can_refuse_it)
{
	struct tapxfer_state_opts opts = {
		.size = sizeof(opts),
		.set = TAPXFER_STATE_OPT_TAKES,
		.takes = tapxfer_state_features() &
			 ~TAPXFER_STATE_FEATURE_LEFT,
	};
	char buf[64];

	ASSERT_EQ(0, shell("ip link add br0 type bridge mcast_snooping 0 && "
			   "ip link add port0 type veth peer name port1 && "
			   "ip link set port0 master br0 up && "
			   "ip link set port1 up && "
			   "ip link set tap0 master br0 && "
			   "ip link set br0 up && "
			   "tc qdisc add dev port0 root plug limit 1000000"));
	ASSERT_TRUE(wait_until(!shell("bridge link show dev tap0 | grep -q 'state forwarding'") &&
			       !shell("bridge link show dev port0 | grep -q 'state forwarding'"),
			       SOON_MS));
	ASSERT_EQ(0, tap_write_one(&self->tap, 0, 0));
	FREEZE();
	SAVE_AND_LOAD(self->x.id);
	EXPECT_EQ(TAPXFER_STATE_FEATURE_HELD | TAPXFER_STATE_FEATURE_LEFT,
		  uses(self->in));
	EXPECT_LT(0, tapxfer_info_u64(tapxfer_state_info(self->in),
				      TAPXFER_A_HANDOVER_UNSENT));

	/* the target says so before */
	EXPECT_EQ(-EOPNOTSUPP, tapxfer_state_open(self->x.tx, self->x.id, 0, 0,
						  &opts, &self->out));
	EXPECT_STREQ("the state uses feature 'left', which the other side does not take: drain first",
		     tapxfer_error(self->x.tx));
	/* or it did not */
	ASSERT_EQ(0, open_save(&self->x, &self->out));
	tapxfer_state_close(self->in);
	ASSERT_EQ(0, tapxfer_state_open(self->x.tx, self->x.id, 1, 0, &opts,
					&self->in));
	ASSERT_LT(32, tapxfer_state_pull(self->out, buf, sizeof(buf)));
	EXPECT_EQ(-EOPNOTSUPP, tapxfer_state_push(self->in, buf, sizeof(buf)));
	EXPECT_STREQ("the state uses feature 'left', which is not taken here",
		     tapxfer_error(self->x.tx));

	ASSERT_EQ(0, shell("tc qdisc change dev port0 root plug release_indefinite"));
	ASSERT_EQ(0, tapxfer_drain(self->x.tx, self->x.id, &self->x.token, -1,
				   NULL));
	tapxfer_state_close(self->out);
	EXPECT_EQ(0, tapxfer_state_open(self->x.tx, self->x.id, 0, 0, &opts,
					&self->out));
	EXPECT_EQ(TAPXFER_STATE_FEATURE_HELD | TAPXFER_STATE_FEATURE_DRAINED,
		  uses(self->out));
	link_delete("port0");
	link_delete("br0");
}

/* ---- compare and apply ---- */

struct seen {
	int n;
	uint32_t kind[64];
	uint32_t attr[64];
	int queue[64];
};

static int see(const struct tapxfer_difference *d, void *data)
{
	struct seen *seen = data;

	if (seen->n < 64) {
		seen->kind[seen->n] = d->kind;
		seen->attr[seen->n] = d->attr;
		seen->queue[seen->n++] = d->queue;
	}
	return 0;
}

static bool saw(const struct seen *seen, uint32_t kind, uint32_t attr,
		int queue)
{
	int i;

	for (i = 0; i < seen->n; i++)
		if (seen->kind[i] == kind && seen->attr[i] == attr &&
		    seen->queue[i] == queue)
			return true;
	return false;
}

static int compare(struct tapxfer_stream *stream, const struct tap *tap,
		   struct seen *seen)
{
	memset(seen, 0, sizeof(*seen));
	return tapxfer_state_compare(stream, tap->ifindex, tap->fds, tap->n,
				     see, seen);
}

static int set_int(int fd, unsigned long cmd, int value)
{
	return ioctl(fd, cmd, &value) ? -errno : 0;
}

/* A target that has initialised its tap, as VMMs do */
static void spoil(const struct tap *tap)
{
	set_int(tap->fds[0], TUNSETVNETHDRSZ, 10);
	set_int(tap->fds[0], TUNSETVNETLE, 1);
	set_int(tap->fds[0], TUNSETSNDBUF, 54321);
	ioctl(tap->fds[0], TUNSETOFFLOAD, 0UL);
	tap_detach(tap->fds[1], true);
	tap_set_nonblock(tap, false);
}

TEST_F(state, applied_to_a_claim_reaches_the_device_with_the_thaw)
{
	struct tap_settings before, after;
	struct seen seen;
	int q;

	ASSERT_EQ(0, set_int(self->tap.fds[0], TUNSETSNDBUF, 345678));
	ASSERT_EQ(0, tap_settings(self->tap.fds[0], &before));
	FREEZE();
	SAVE_AND_LOAD(self->x.id);
	ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed));
	self->claimed.ifindex = self->tap.ifindex;
	ASSERT_EQ(QUEUES, self->claimed.n);
	ASSERT_EQ(0, compare(self->in, &self->claimed, &seen));
	EXPECT_EQ(0, seen.n);

	spoil(&self->claimed);
	ASSERT_EQ(0, compare(self->in, &self->claimed, &seen));
	EXPECT_TRUE(saw(&seen, TAPXFER_DIFFERENCE_FILE,
			TAPXFER_A_DEV_VNET_HDR_SZ, -1));
	EXPECT_TRUE(saw(&seen, TAPXFER_DIFFERENCE_FILE, TAPXFER_A_DEV_VNET_LE,
			-1));
	EXPECT_TRUE(saw(&seen, TAPXFER_DIFFERENCE_FILE, TAPXFER_A_DEV_SNDBUF,
			-1));
	EXPECT_TRUE(saw(&seen, TAPXFER_DIFFERENCE_FILE,
			TAPXFER_A_QUEUE_DETACHED, 1));
	for (q = 0; q < QUEUES; q++)
		EXPECT_TRUE(saw(&seen, TAPXFER_DIFFERENCE_FILE,
				TAPXFER_A_QUEUE_NONBLOCK, q));
	EXPECT_EQ(4 + QUEUES, seen.n);

	ASSERT_EQ(0, tapxfer_state_apply(self->in, 0, self->claimed.fds,
					 self->claimed.n));
	ASSERT_EQ(0, compare(self->in, &self->claimed, &seen));
	EXPECT_EQ(0, seen.n);
	ASSERT_EQ(0, xfer_thaw_shared(&self->x));
	ASSERT_EQ(0, tap_settings(self->tap.fds[0], &after));
	/* the offloads as well, though nobody could tell what they were */
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(before)));
	EXPECT_TRUE(after.csum && after.tso);
}

TEST_F(state, queues_that_run_are_refused)
{
	struct tap_settings before, after;
	struct seen seen;

	FREEZE();
	SAVE_AND_LOAD(0);
	/* frozen, and nobody's claim */
	EXPECT_EQ(-EBUSY, tapxfer_state_apply(self->in, 0, self->tap.fds,
					      self->tap.n));
	EXPECT_STREQ("tap0 is in a handover that is frozen: claim it first",
		     tapxfer_error(self->x.tx));
	ASSERT_EQ(0, xfer_abort(&self->x));

	spoil(&self->tap);
	ASSERT_EQ(0, tap_settings(self->tap.fds[0], &before));
	EXPECT_EQ(-EBUSY, tapxfer_state_apply(self->in, 0, self->tap.fds,
					      self->tap.n));
	EXPECT_STREQ("the queues of tap0 run: claim a frozen handover of it, or set the link down",
		     tapxfer_error(self->x.tx));
	ASSERT_EQ(0, tap_settings(self->tap.fds[0], &after));
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(before)));

	ASSERT_EQ(0, link_down("tap0"));
	ASSERT_EQ(0, tapxfer_state_apply(self->in, 0, self->tap.fds,
					 self->tap.n));
	ASSERT_EQ(0, compare(self->in, &self->tap, &seen));
	/* what the link is like need not agree */
	EXPECT_TRUE(seen.n == 0 ||
		    (seen.n == 1 && saw(&seen, TAPXFER_DIFFERENCE_TOLD,
					TAPXFER_A_DEV_CARRIER, -1)));
	ASSERT_EQ(0, tap_settings(self->tap.fds[0], &after));
	EXPECT_EQ(12, after.hdr);
	EXPECT_TRUE(after.csum && after.tso);
}

TEST_F(state, anothers_claim_is_refused)
{
	struct agent a;

	FREEZE();
	SAVE_AND_LOAD(0);
	ASSERT_EQ(0, agent_start(&a));
	ASSERT_EQ(0, agent_call(&a, &self->x, agent_claim, 0, 0));
	EXPECT_EQ(-EBUSY, tapxfer_state_apply(self->in, 0, self->tap.fds,
					      self->tap.n));
	EXPECT_STREQ("cannot set the device's offloads: the handover is not this process's claim; nothing was changed",
		     tapxfer_error(self->x.tx));
	agent_kill(&a);
}

/* One of the settings fails: those before it are taken back. */
TEST_F(state, applies_all_or_nothing)
{
	struct tap_settings before, after;
	struct seen was, is;
	int fds[QUEUES], i;
	struct tap other;

	ASSERT_EQ(0, tap_detach(self->tap.fds[1], true));
	FREEZE();
	SAVE_AND_LOAD(0);
	ASSERT_EQ(0, xfer_abort(&self->x));
	ASSERT_EQ(0, link_down("tap0"));
	spoil(&self->tap);
	ASSERT_EQ(0, tap_settings(self->tap.fds[0], &before));
	ASSERT_EQ(0, compare(self->in, &self->tap, &was));
	/* header size, endianness, send buffer, offloads; O_NONBLOCK */
	ASSERT_EQ(4 + QUEUES, was.n);

	/* queue 1 shall be detached, and this file's cannot be */
	ASSERT_EQ(0, tap_open(&other, "tap1", 1, TAP_VM & ~IFF_MULTI_QUEUE));
	for (i = 0; i < QUEUES; i++)
		fds[i] = self->tap.fds[i];
	fds[1] = other.fds[0];
	EXPECT_EQ(-EINVAL, tapxfer_state_apply(self->in, self->tap.ifindex, fds,
					       QUEUES));
	EXPECT_STREQ("cannot set the queue's detached: Invalid argument; nothing was changed",
		     tapxfer_error(self->x.tx));
	ASSERT_EQ(0, tap_settings(self->tap.fds[0], &after));
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(before)));
	ASSERT_EQ(0, compare(self->in, &self->tap, &is));
	EXPECT_EQ(0, memcmp(&was, &is, sizeof(was)));
	link_delete("tap1");
	tap_close(&other);
}

TEST_F(state, another_sort_of_device_is_refused)
{
	struct tap other;
	struct seen seen;

	FREEZE();
	SAVE_AND_LOAD(0);
	/* one queue less, no header, another mtu */
	ASSERT_EQ(0, tap_open(&other, "tap1", QUEUES - 1,
			      TAP_VM & ~IFF_VNET_HDR));
	ASSERT_EQ(0, link_down("tap1"));
	ASSERT_EQ(0, link_set_mtu("tap1", 1400));
	memset(&seen, 0, sizeof(seen));
	ASSERT_EQ(0, tapxfer_state_compare(self->in, other.ifindex, NULL, 0,
					   see, &seen));
	EXPECT_TRUE(saw(&seen, TAPXFER_DIFFERENCE_FIXED,
			TAPXFER_A_DEV_NUM_QUEUES, -1));
	EXPECT_TRUE(saw(&seen, TAPXFER_DIFFERENCE_LINK, TAPXFER_A_DEV_MTU, -1));
	EXPECT_TRUE(saw(&seen, TAPXFER_DIFFERENCE_LINK, TAPXFER_A_DEV_MAC, -1));
	EXPECT_TRUE(saw(&seen, TAPXFER_DIFFERENCE_TOLD, TAPXFER_A_DEV_IFNAME,
			-1));
	EXPECT_EQ(-EINVAL, compare(self->in, &other, &seen));
	EXPECT_TRUE(saw(&seen, TAPXFER_DIFFERENCE_FIXED, TAPXFER_A_DEV_FLAGS,
			-1));
	EXPECT_EQ(-ESTALE, tapxfer_state_apply(self->in, 0, other.fds,
					       other.n));
	EXPECT_STREQ("the device's flags is not the state's, and nothing can set it: make the device as the state's was",
		     tapxfer_error(self->x.tx));
	link_delete("tap1");
	tap_close(&other);
}

TEST_HARNESS_MAIN
