// SPDX-License-Identifier: GPL-2.0
/*
 * G1 and G2 for the kernel's AIO: vectors and polls, begun in every state, by
 * processes that cancel or exit; and what of it keeps the module.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <kselftest_harness.h>

#include <linux/aio_abi.h>

#include "flow.h"
#include "net.h"
#include "tap.h"
#include "util.h"
#include "waiter.h"
#include "xfer.h"

/* A request has a queue for itself, and, since it sleeps in the submission, a
 * thread; the kernel's polls do not.
 */
enum { PREADV, PWRITEV, AWAIT_IN, AWAIT_OUT, QUEUES };

static const int opcodes[] = {
	[PREADV] = IOCB_CMD_PREADV,
	[PWRITEV] = IOCB_CMD_PWRITEV,
	[AWAIT_IN] = IOCB_CMD_POLL,
	[AWAIT_OUT] = IOCB_CMD_POLL,
};

#define SENT	3		/* packets to each queue while they are held */
#define WRITTEN	40000		/* the written packet's flow, and nobody's */

struct request {
	aio_context_t ctx;
	struct iocb cb;
	struct waiter w;
	struct iovec iov;
	uint8_t buf[PACKET_MAX];
	bool done;
	long res;
};

struct rig {
	struct tap tap;
	struct xfer x;
	struct sender s;
	struct capture c;
	struct tally t;
	int flow_of[TAP_MAX];
	uint32_t first[QUEUES];	/* number of the oldest packet held */
	aio_context_t ctx;
	struct request req[QUEUES];
};

static int rig_open(struct rig *g, bool nonblock)
{
	int err;

	err = net_isolate() ?:
	      tap_open(&g->tap, "tap0", QUEUES, TAP_VM) ?:
	      xfer_open(&g->x) ?:
	      sender_open(&g->s, g->tap.ifindex, 1) ?:
	      capture_open(&g->c, g->tap.ifindex) ?:
	      tally_init(&g->t, 1 << 16) ?:
	      flows_learn(&g->s, &g->tap, &g->t, g->flow_of) ?:
	      tap_set_nonblock(&g->tap, nonblock);
	if (err)
		return err;
	return syscall(SYS_io_setup, 2 * QUEUES, &g->ctx) ? -errno : 0;
}

static void rig_close(struct rig *g)
{
	xfer_close(&g->x);
	link_delete("tap0");
	tap_close(&g->tap);
	sender_close(&g->s);
	capture_close(&g->c);
	tally_free(&g->t);
	syscall(SYS_io_destroy, g->ctx);
}

static long submit(void *arg)
{
	struct request *req = arg;
	struct iocb *cb = &req->cb;

	return syscall(SYS_io_submit, req->ctx, 1, &cb);
}

/* Make request @i; its buffer is the caller's. */
static void request_init(struct rig *g, int i)
{
	struct request *req = &g->req[i];
	size_t len = sizeof(req->buf);

	memset(req, 0, sizeof(*req));
	req->ctx = g->ctx;
	req->cb.aio_data = i;
	req->cb.aio_lio_opcode = opcodes[i];
	req->cb.aio_fildes = g->tap.fds[i];
	if (opcodes[i] == IOCB_CMD_POLL) {
		req->cb.aio_buf = i == AWAIT_IN ? POLLIN : POLLOUT;
		return;
	}
	if (i == PWRITEV)
		len = g->tap.hdr + packet_make(req->buf + g->tap.hdr, WRITTEN,
					       i);
	req->iov = (struct iovec){ req->buf, len };
	req->cb.aio_buf = (uintptr_t)&req->iov;
	req->cb.aio_nbytes = 1;
	req->w.op = WAITER_CALL;
	req->w.fn = submit;
	req->w.arg = req;
	req->w.nr = SYS_io_submit;
}

/* Begin it: 0 once it sleeps, or may go on without us; or -1. */
static int begin(struct rig *g, int i, bool sleeps)
{
	request_init(g, i);
	if (sleeps && opcodes[i] != IOCB_CMD_POLL)
		return waiter_start(&g->req[i].w);
	return submit(&g->req[i]) == 1 ? 0 : -1;
}

/* Take what has completed; the number of requests that have, by now. */
static int reap(struct rig *g)
{
	struct timespec none = {};
	struct io_event ev;
	int i, n = 0;

	while (syscall(SYS_io_getevents, g->ctx, 0, 1, &ev, &none) == 1) {
		struct request *req = &g->req[ev.data];

		/* twice is once too often */
		req->res = req->done ? -EALREADY : ev.res;
		req->done = true;
		if (ev.data == PREADV && req->res > 0)
			tally_add(&g->t, PREADV, req->buf + g->tap.hdr,
				  req->res - g->tap.hdr);
	}
	for (i = 0; i < QUEUES; i++)
		n += g->req[i].done;
	return n;
}

static int send_each(struct rig *g, int n)
{
	int i, k, err = 0;

	for (i = 0; i < QUEUES; i++) {
		if (!g->first[i])
			g->first[i] = g->s.seq;
		for (k = 0; !err && k < n; k++)
			err = sender_send_flow(&g->s, g->flow_of[i]);
	}
	return err;
}

static bool is_right(const struct rig *g, int i)
{
	const struct request *req = &g->req[i];
	uint32_t flow, seq;

	if (!req->done)
		return false;
	switch (i) {
	case PREADV:
		return req->res == g->tap.hdr + PACKET_LEN &&
		       packet_parse(req->buf + g->tap.hdr, PACKET_LEN, &flow,
				    &seq) &&
		       seq == g->first[PREADV];
	case PWRITEV:
		return req->res == g->tap.hdr + PACKET_LEN;
	default:
		return req->res > 0 &&
		       req->res & (i == AWAIT_IN ? POLLIN : POLLOUT);
	}
}

#define EXPECT_ALL_PACKETS() do { \
	ASSERT_EQ(0, tap_set_nonblock(&g->tap, true)); \
	ASSERT_LE(0, tap_read_all(&g->tap, &g->t)); \
	EXPECT_EQ(0, tally_lost(&g->t, g->s.seq)); \
	EXPECT_EQ(0, g->s.dropped); \
	EXPECT_EQ(0, g->t.dup + g->t.reordered + g->t.foreign); \
} while (0)

static int unload(void)
{
	return syscall(SYS_delete_module, "tapxfer", O_NONBLOCK) ? -errno : 0;
}

FIXTURE(aio) {
	struct rig g;
};

FIXTURE_VARIANT(aio) {
	enum tapxfer_state begun;	/* when the requests begin; 0: before */
	bool nonblock;
};

#define VARIANT(name, b) \
	FIXTURE_VARIANT_ADD(aio, name) { .begun = b }; \
	FIXTURE_VARIANT_ADD(aio, name##_nonblock) { \
		.begun = b, .nonblock = true }

VARIANT(before_the_prepare, 0);
VARIANT(prepared, TAPXFER_STATE_PREPARED);
VARIANT(holding, TAPXFER_STATE_HOLDING);
VARIANT(frozen, TAPXFER_STATE_FROZEN);
VARIANT(claimed, TAPXFER_STATE_CLAIMED);

FIXTURE_SETUP(aio)
{
	ASSERT_EQ(0, rig_open(&self->g, variant->nonblock));
}

FIXTURE_TEARDOWN(aio)
{
	rig_close(&self->g);
}

#define SUBMIT_WHEN(state) do { \
	int i_; \
	\
	for (i_ = 0; variant->begun == (state) && i_ < QUEUES; i_++) \
		ASSERT_EQ(0, begin(g, i_, !ends[i_])); \
} while (0)

TEST_F(aio, requests_obey_the_fence_and_lose_nothing)
{
	bool writes_pass = variant->begun < TAPXFER_STATE_FROZEN;
	bool fails[QUEUES] = {
		[PREADV] = variant->nonblock,
		[PWRITEV] = variant->nonblock && !writes_pass,
	};
	/* before the freeze, or at once */
	bool ends[QUEUES] = {
		[PREADV] = fails[PREADV],
		[PWRITEV] = fails[PWRITEV] || writes_pass,
		[AWAIT_OUT] = writes_pass,
	};
	struct tap claimed = {};
	struct rig *g = &self->g;
	int i, early = 0;

	for (i = 0; i < QUEUES; i++)
		early += ends[i];
	SUBMIT_WHEN(0);
	ASSERT_EQ(0, xfer_begin(&g->x, &g->tap, TAPXFER_STATE_PREPARED, 0, 0));
	SUBMIT_WHEN(TAPXFER_STATE_PREPARED);
	ASSERT_EQ(0, xfer_hold(&g->x));
	ASSERT_EQ(0, send_each(g, 1));
	SUBMIT_WHEN(TAPXFER_STATE_HOLDING);
	ASSERT_EQ(0, xfer_freeze_patiently(&g->x));
	SUBMIT_WHEN(TAPXFER_STATE_FROZEN);
	if (variant->begun == TAPXFER_STATE_CLAIMED) {
		ASSERT_EQ(0, xfer_claim(&g->x, &claimed));
		SUBMIT_WHEN(TAPXFER_STATE_CLAIMED);
	}
	ASSERT_EQ(0, send_each(g, SENT - 1));

	/* time for what would be wrong */
	EXPECT_EQ(early, reap(g));
	EXPECT_FALSE(wait_until(reap(g) != early, 200));
	for (i = 0; i < QUEUES; i++) {
		EXPECT_EQ(ends[i], g->req[i].done)
			TH_LOG("%d: %ld", i, g->req[i].res);
		EXPECT_TRUE(!fails[i] || g->req[i].res == -EAGAIN)
			TH_LOG("%d: %ld", i, g->req[i].res);
	}
	EXPECT_EQ(writes_pass, capture_read(&g->c));

	/* a claimant alone does not have them: the requests do as well */
	ASSERT_EQ(0, claimed.n ? xfer_abort(&g->x) : xfer_finish(&g->x));
	EXPECT_TRUE(wait_until(reap(g) == QUEUES, SOON_MS));
	for (i = 0; i < QUEUES; i++) {
		EXPECT_TRUE(fails[i] || is_right(g, i))
			TH_LOG("%d: %ld", i, g->req[i].res);
		if (ends[i] || opcodes[i] == IOCB_CMD_POLL)
			continue;
		ASSERT_TRUE(waiter_wait(&g->req[i].w, SOON_MS));
		EXPECT_EQ(1, g->req[i].w.ret);
	}
	EXPECT_ALL_PACKETS();
	capture_read(&g->c);
	EXPECT_EQ(!fails[PWRITEV], g->c.t.got);
	EXPECT_EQ(0, g->c.t.dup + g->c.t.foreign);
	tap_close(&claimed);

	/* no packet is waited for any more: nothing keeps the module */
	EXPECT_TRUE(wait_until(unload() == 0, 2 * SOON_MS));
	EXPECT_NE(0, access("/sys/module/tapxfer", F_OK));
}

/* -- requests that do not come to an end of their own ---------------------- */

FIXTURE(aio_ends) {
	struct rig g;
};

FIXTURE_SETUP(aio_ends)
{
	ASSERT_EQ(0, rig_open(&self->g, false));
}

FIXTURE_TEARDOWN(aio_ends)
{
	rig_close(&self->g);
}

TEST_F(aio_ends, polls_can_be_cancelled_while_frozen)
{
	struct rig *g = &self->g;
	struct io_event ev;
	int i;

	ASSERT_EQ(0, begin(g, AWAIT_IN, false));
	ASSERT_EQ(0, xfer_begin(&g->x, &g->tap, TAPXFER_STATE_FROZEN, 0, 0));
	ASSERT_EQ(0, begin(g, AWAIT_OUT, false));
	ASSERT_EQ(0, send_each(g, SENT));
	EXPECT_FALSE(wait_until(reap(g), 200));
	for (i = AWAIT_IN; i <= AWAIT_OUT; i++) {
		EXPECT_EQ(-1, syscall(SYS_io_cancel, g->ctx, &g->req[i].cb,
				      &ev));
		EXPECT_EQ(EINPROGRESS, errno);
	}
	EXPECT_TRUE(wait_until(reap(g) == 2, SOON_MS));
	/* the answer of a poll that saw nothing */
	EXPECT_EQ(0, g->req[AWAIT_IN].res);
	EXPECT_EQ(0, g->req[AWAIT_OUT].res);
	EXPECT_EQ(TAPXFER_STATE_FROZEN, xfer_state(&g->x));

	ASSERT_EQ(0, xfer_finish(&g->x));
	EXPECT_EQ(2, reap(g));
	EXPECT_EQ(0, g->req[AWAIT_IN].res);
	EXPECT_ALL_PACKETS();
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
}

/* It is no AIO of the kernel's that could be cancelled, and waits on. */
TEST_F(aio_ends, reads_and_writes_that_are_not_cancelled_wait_on)
{
	struct rig *g = &self->g;
	struct io_event ev;
	int i;

	ASSERT_EQ(0, xfer_begin(&g->x, &g->tap, TAPXFER_STATE_FROZEN, 0, 0));
	ASSERT_EQ(0, send_each(g, SENT));
	for (i = PREADV; i <= PWRITEV; i++) {
		ASSERT_EQ(0, begin(g, i, true));
		EXPECT_EQ(-1, syscall(SYS_io_cancel, g->ctx, &g->req[i].cb,
				      &ev));
		EXPECT_EQ(EINVAL, errno);
	}
	EXPECT_FALSE(wait_until(reap(g), 200));
	ASSERT_EQ(0, xfer_abort(&g->x));
	for (i = PREADV; i <= PWRITEV; i++)
		ASSERT_TRUE(waiter_wait(&g->req[i].w, SOON_MS));
	EXPECT_EQ(2, reap(g));
	EXPECT_TRUE(is_right(g, PREADV));
	EXPECT_TRUE(is_right(g, PWRITEV));
	EXPECT_EQ(1, capture_read(&g->c));
	EXPECT_ALL_PACKETS();
}

/* All of them, on their way when the process ends; how it does is @arg's. */
struct leaver {
	struct rig *g;
	int ready;
	bool exits;
};

static int leave(void *arg)
{
	struct leaver *l = arg;
	int i;

	/* a context is one process's */
	if (syscall(SYS_io_setup, QUEUES, &(aio_context_t){ 0 }))
		return 1;
	l->g->ctx = 0;
	if (syscall(SYS_io_setup, QUEUES, &l->g->ctx))
		return 1;
	for (i = 0; i < QUEUES; i++)
		if (begin(l->g, i, true))
			return 2;
	if (write(l->ready, "", 1) != 1)
		return 3;
	while (!l->exits)
		pause();
	return 0;
}

static void expect_left(struct __test_metadata *_metadata, struct rig *g,
			bool exits)
{
	struct leaver l = { .g = g, .exits = exits };
	int ready[2];
	pid_t child;
	char c;

	ASSERT_EQ(0, pipe2(ready, O_CLOEXEC));
	l.ready = ready[1];
	ASSERT_EQ(0, xfer_begin(&g->x, &g->tap, TAPXFER_STATE_FROZEN, 0, 0));
	ASSERT_EQ(0, send_each(g, SENT));
	child = child_start(leave, &l);
	ASSERT_LT(0, child);
	close(ready[1]);
	EXPECT_EQ(1, read(ready[0], &c, 1));
	close(ready[0]);
	if (!exits)
		kill(child, SIGKILL);
	/* it waits for nothing that only the thaw would bring */
	EXPECT_EQ(exits ? 0 : 128 + SIGKILL, child_wait(child, SOON_MS));
	EXPECT_EQ(TAPXFER_STATE_FROZEN, xfer_state(&g->x));
	EXPECT_EQ(0, capture_read(&g->c));

	ASSERT_EQ(0, xfer_abort(&g->x));
	EXPECT_ALL_PACKETS();
	EXPECT_EQ(0, capture_read(&g->c));
	EXPECT_TRUE(wait_until(unload() == 0, 2 * SOON_MS));
}

TEST_F(aio_ends, a_process_exits_with_requests_under_way)
{
	expect_left(_metadata, &self->g, true);
}

TEST_F(aio_ends, a_process_is_killed_with_requests_under_way)
{
	expect_left(_metadata, &self->g, false);
}

/* A read that cannot begin anew has its way back through the module. */
TEST_F(aio_ends, a_read_in_the_driver_keeps_the_module_until_its_packet)
{
	struct rig *g = &self->g;

	ASSERT_EQ(0, xfer_begin(&g->x, &g->tap, TAPXFER_STATE_FROZEN, 0, 0));
	ASSERT_EQ(0, begin(g, PREADV, true));
	ASSERT_EQ(0, xfer_abort(&g->x));
	/* the handover has let go: it is the read alone */
	ASSERT_TRUE(wait_until(xfer_state(&g->x) == -ENOENT, 2 * SOON_MS));
	EXPECT_FALSE(wait_until(unload() != -EWOULDBLOCK, 200));
	EXPECT_TRUE(wait_until(waiter_sleeps(&g->req[PREADV].w), SOON_MS));

	ASSERT_EQ(0, send_each(g, 1));
	ASSERT_TRUE(waiter_wait(&g->req[PREADV].w, SOON_MS));
	EXPECT_EQ(1, reap(g));
	EXPECT_TRUE(is_right(g, PREADV));
	EXPECT_TRUE(wait_until(unload() == 0, SOON_MS));
	EXPECT_ALL_PACKETS();
}

TEST_HARNESS_MAIN
