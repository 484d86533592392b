// SPDX-License-Identifier: GPL-2.0
/*
 * G1 and G2 for io_uring: every kind of request that moves or awaits a packet,
 * begun in every state, on a descriptor and on a registered file.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/uio.h>

#include <kselftest_harness.h>

#include "flow.h"
#include "net.h"
#include "tap.h"
#include "uring.h"
#include "util.h"
#include "xfer.h"

enum kind {
	READ, READV, READ_FIXED, AWAIT_IN, AWAIT_MULTI,
	WRITE, WRITEV, WRITE_FIXED, AWAIT_OUT,
	KINDS
};

static const struct {
	const char *name;
	int op;
	bool write;		/* of the write side */
	bool poll;
} kinds[] = {
	[READ] = { "read", IORING_OP_READ },
	[READV] = { "readv", IORING_OP_READV },
	[READ_FIXED] = { "read_fixed", IORING_OP_READ_FIXED },
	[AWAIT_IN] = { "poll in", IORING_OP_POLL_ADD, .poll = true },
	[AWAIT_MULTI] = { "poll in, multishot", IORING_OP_POLL_ADD,
			 .poll = true },
	[WRITE] = { "write", IORING_OP_WRITE, .write = true },
	[WRITEV] = { "writev", IORING_OP_WRITEV, .write = true },
	[WRITE_FIXED] = { "write_fixed", IORING_OP_WRITE_FIXED, .write = true },
	[AWAIT_OUT] = { "poll out", IORING_OP_POLL_ADD, .write = true,
		       .poll = true },
};

/* Each request has a queue for itself: first those by descriptor, then those
 * by registered file.
 */
#define QUEUES		(2 * KINDS)
#define SENT		3	/* packets to each queue while they are held */
/* The written packets' flow is none of the sender's, whose queues it moves. */
#define WRITTEN		40000

struct request {
	enum kind kind;
	bool fixed;
	int queue;
	uint8_t *buf;
	size_t len;
	struct iovec iov;
	unsigned int done;	/* completions */
	int res;		/* of the last */
	bool more;
};

/* A tap with a queue for each request, and a ring that knows its files */
struct rig {
	struct tap tap;
	struct xfer x;
	struct sender s;
	struct capture c;
	struct tally t;
	struct uring r;
	int flow_of[TAP_MAX];
	uint32_t first[QUEUES];		/* number of the oldest packet held */
	struct request req[QUEUES];
	uint8_t bufs[QUEUES][PACKET_MAX];
};

static int rig_register_files(struct rig *g)
{
	return uring_register(&g->r, IORING_REGISTER_FILES, g->tap.fds, QUEUES);
}

static int rig_open(struct rig *g, bool nonblock)
{
	struct iovec all = { g->bufs, sizeof(g->bufs) };
	int i, err;

	for (i = 0; i < QUEUES; i++) {
		g->req[i].kind = i % KINDS;
		g->req[i].fixed = i >= KINDS;
		g->req[i].queue = i;
		g->req[i].buf = g->bufs[i];
	}
	err = net_isolate() ?:
	      tap_open(&g->tap, "tap0", QUEUES, TAP_VM) ?:
	      xfer_open(&g->x) ?:
	      sender_open(&g->s, g->tap.ifindex, 1) ?:
	      capture_open(&g->c, g->tap.ifindex) ?:
	      tally_init(&g->t, 1 << 16) ?:
	      flows_learn(&g->s, &g->tap, &g->t, g->flow_of) ?:
	      /* io_uring looks at the flag when a file is registered */
	      tap_set_nonblock(&g->tap, nonblock) ?:
	      uring_open(&g->r, 64);
	return err ?: uring_register(&g->r, IORING_REGISTER_BUFFERS, &all, 1) ?:
		      rig_register_files(g);
}

static void rig_close(struct rig *g)
{
	uring_close(&g->r);
	xfer_close(&g->x);
	link_delete("tap0");
	tap_close(&g->tap);
	sender_close(&g->s);
	capture_close(&g->c);
	tally_free(&g->t);
}

/* Queue request @i; false when there is no room. */
static bool queue_one(struct rig *g, int i, bool async)
{
	struct request *req = &g->req[i];
	struct io_uring_sqe *sqe;
	const void *addr = req->buf;
	size_t len = PACKET_MAX;

	req->done = 0;
	memset(req->buf, 0, PACKET_MAX);
	if (kinds[req->kind].write)
		len = g->tap.hdr + packet_make(req->buf + g->tap.hdr,
					       WRITTEN + i, i);
	req->len = len;
	req->iov = (struct iovec){ req->buf, len };
	if (req->kind == READV || req->kind == WRITEV) {
		addr = &req->iov;
		len = 1;
	} else if (kinds[req->kind].poll) {
		addr = NULL;
		len = req->kind == AWAIT_MULTI ? IORING_POLL_ADD_MULTI : 0;
	}
	sqe = uring_queue(&g->r, kinds[req->kind].op,
			  req->fixed ? req->queue : g->tap.fds[req->queue],
			  addr, len, i);
	if (!sqe)
		return false;
	if (kinds[req->kind].poll)
		sqe->poll32_events = kinds[req->kind].write ? POLLOUT : POLLIN;
	if (req->fixed)
		sqe->flags |= IOSQE_FIXED_FILE;
	if (async)
		sqe->flags |= IOSQE_ASYNC;
	return true;
}

/* Begin them all: 0 or -errno. */
static int submit_all(struct rig *g, bool async)
{
	int i;

	for (i = 0; i < QUEUES; i++)
		if (!queue_one(g, i, async))
			return -ENOSPC;
	return uring_submit(&g->r);
}

static bool is_read(const struct request *req)
{
	return !kinds[req->kind].write && !kinds[req->kind].poll;
}

static bool is_write(const struct request *req)
{
	return kinds[req->kind].write && !kinds[req->kind].poll;
}

/* Take what has completed; the number of requests that have, by now. */
static int reap(struct rig *g)
{
	struct io_uring_cqe cqe;
	int i, n = 0;

	while (uring_next(&g->r, &cqe)) {
		struct request *req = &g->req[cqe.user_data];

		/* a cancellation's own */
		if (cqe.user_data >= QUEUES)
			continue;
		req->done++;
		req->res = cqe.res;
		req->more = cqe.flags & IORING_CQE_F_MORE;
		/* in the order in which it was read */
		if (is_read(req) && cqe.res > 0)
			tally_add(&g->t, req->queue, req->buf + g->tap.hdr,
				  cqe.res - g->tap.hdr);
	}
	for (i = 0; i < QUEUES; i++)
		n += g->req[i].done > 0;
	return n;
}

/* @n packets to each queue: 0 or -errno. */
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

/* Whether a request that waited for the thaw came to the right end. */
static bool is_right(const struct rig *g, const struct request *req)
{
	uint32_t flow, seq;

	if (req->kind == AWAIT_MULTI)
		return req->more && (req->res & POLLIN);
	if (req->done != 1)
		return false;
	if (kinds[req->kind].poll)
		return req->res >= 0 &&
		       req->res & (kinds[req->kind].write ? POLLOUT : POLLIN);
	if (is_write(req))
		return req->res == (int)req->len;
	/* the oldest of its queue */
	return req->res == g->tap.hdr + PACKET_LEN &&
	       packet_parse(req->buf + g->tap.hdr, PACKET_LEN, &flow, &seq) &&
	       seq == g->first[req->queue];
}

#define EXPECT_RIGHT(what, i) do { \
	const struct request *r_ = &g->req[i]; \
	\
	EXPECT_TRUE(what) \
		TH_LOG("%s%s: %u times done, %d", kinds[r_->kind].name, \
		       r_->fixed ? ", registered file" : "", r_->done, \
		       r_->res); \
} while (0)

/* All that was sent and not read by a request is there, and nothing twice. */
#define EXPECT_ALL_PACKETS() do { \
	ASSERT_EQ(0, tap_set_nonblock(&g->tap, true)); \
	ASSERT_LE(0, tap_read_all(&g->tap, &g->t)); \
	EXPECT_EQ(0, tally_lost(&g->t, g->s.seq)); \
	EXPECT_EQ(0, g->s.dropped); \
	EXPECT_EQ(0, g->t.dup + g->t.reordered + g->t.foreign); \
} while (0)

/*
 * What a request that must not block does is up to the kernel's io_uring: fail
 * with EAGAIN, or wait even so. It shall do on a held queue what it does on an
 * empty one.
 */
static bool fails_at_once(struct rig *g, enum kind kind, bool async)
{
	struct request *req = &g->req[kind];

	if (!queue_one(g, kind, async) || uring_submit(&g->r))
		return false;
	if (wait_until(reap(g) && req->done, scaled_ms(300)))
		return req->res == -EAGAIN;
	uring_queue(&g->r, IORING_OP_ASYNC_CANCEL, -1, (void *)(uintptr_t)kind,
		    0, QUEUES);
	uring_submit(&g->r);
	wait_until(reap(g) && req->done, SOON_MS);
	return false;
}

FIXTURE(uring) {
	struct rig g;
};

FIXTURE_VARIANT(uring) {
	enum tapxfer_state begun;	/* when the requests begin; 0: before */
	bool async;			/* in a worker thread */
	bool nonblock;
};

#define VARIANT(name, b) \
	FIXTURE_VARIANT_ADD(uring, name) { .begun = b }; \
	FIXTURE_VARIANT_ADD(uring, name##_async) { \
		.begun = b, .async = true }; \
	FIXTURE_VARIANT_ADD(uring, name##_nonblock) { \
		.begun = b, .nonblock = true }; \
	FIXTURE_VARIANT_ADD(uring, name##_async_nonblock) { \
		.begun = b, .async = true, .nonblock = true }

VARIANT(before_the_prepare, 0);
VARIANT(prepared, TAPXFER_STATE_PREPARED);
VARIANT(holding, TAPXFER_STATE_HOLDING);
VARIANT(frozen, TAPXFER_STATE_FROZEN);
VARIANT(claimed, TAPXFER_STATE_CLAIMED);

FIXTURE_SETUP(uring)
{
	ASSERT_EQ(0, rig_open(&self->g, variant->nonblock));
}

FIXTURE_TEARDOWN(uring)
{
	rig_close(&self->g);
}

#define SUBMIT_WHEN(state) \
	ASSERT_EQ(0, variant->begun == (state) ? \
		     submit_all(g, variant->async) : 0)

TEST_F(uring, requests_obey_the_fence_and_lose_nothing)
{
	bool writes_pass = variant->begun < TAPXFER_STATE_FROZEN;
	struct rig *g = &self->g;
	bool fails[KINDS] = {};
	struct tap claimed = {};
	int i, early = 0, writes = 0;

	if (variant->nonblock) {
		/* there is no full send buffer to try a write with */
		fails[READ] = fails_at_once(g, READ, variant->async);
		fails[READV] = fails_at_once(g, READV, variant->async);
		fails[READ_FIXED] = fails_at_once(g, READ_FIXED,
						  variant->async);
		fails[WRITE] = fails[READV] && !writes_pass;
		fails[WRITEV] = fails[WRITE];
		fails[WRITE_FIXED] = fails[WRITE];
	}
	for (i = 0; i < QUEUES; i++) {
		enum kind k = g->req[i].kind;

		g->req[i].done = 0;
		early += fails[k] || (kinds[k].write && writes_pass);
		writes += is_write(&g->req[i]) && writes_pass;
	}

	SUBMIT_WHEN(0);
	ASSERT_EQ(0, xfer_begin(&g->x, &g->tap, TAPXFER_STATE_PREPARED, 0, 0));
	SUBMIT_WHEN(TAPXFER_STATE_PREPARED);
	ASSERT_EQ(0, xfer_hold(&g->x));
	ASSERT_EQ(0, send_each(g, 1));
	SUBMIT_WHEN(TAPXFER_STATE_HOLDING);
	/* a worker may not have got so far */
	EXPECT_TRUE(!writes_pass || wait_until(reap(g) == early, SOON_MS));
	ASSERT_EQ(0, xfer_freeze_patiently(&g->x));
	SUBMIT_WHEN(TAPXFER_STATE_FROZEN);
	if (variant->begun == TAPXFER_STATE_CLAIMED) {
		ASSERT_EQ(0, xfer_claim(&g->x, &claimed));
		SUBMIT_WHEN(TAPXFER_STATE_CLAIMED);
	}
	ASSERT_EQ(0, send_each(g, SENT - 1));

	EXPECT_TRUE(wait_until(reap(g) == early, SOON_MS));
	/* time for what would be wrong */
	EXPECT_FALSE(wait_until(reap(g) != early, 200));
	for (i = 0; i < QUEUES; i++) {
		struct request *req = &g->req[i];

		if (fails[req->kind]) {
			EXPECT_RIGHT(req->done == 1 && req->res == -EAGAIN, i);
		} else if (kinds[req->kind].write && writes_pass) {
			EXPECT_RIGHT(is_right(g, req), i);
		} else {
			EXPECT_RIGHT(!req->done, i);
		}
	}
	EXPECT_EQ(writes, capture_read(&g->c));

	/* a claimant alone does not have them: the ring does as well */
	ASSERT_EQ(0, claimed.n ? xfer_abort(&g->x) : xfer_finish(&g->x));
	EXPECT_TRUE(wait_until(reap(g) == QUEUES, SOON_MS));
	for (i = 0; i < QUEUES; i++)
		if (!fails[g->req[i].kind])
			EXPECT_RIGHT(is_right(g, &g->req[i]), i);
	EXPECT_ALL_PACKETS();

	/* each written packet is in the host, once */
	capture_read(&g->c);
	for (i = 0; i < QUEUES; i++)
		if (is_write(&g->req[i]))
			EXPECT_RIGHT(g->c.t.seen[i] == !fails[g->req[i].kind],
				     i);
	EXPECT_EQ(0, g->c.t.dup + g->c.t.foreign);
	tap_close(&claimed);
	uring_close(&g->r);
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
}

/* -- requests that do not come to an end of their own ---------------------- */

FIXTURE(uring_ends) {
	struct rig g;
};

FIXTURE_VARIANT(uring_ends) {
	enum tapxfer_state begun;
	bool async;
};

FIXTURE_VARIANT_ADD(uring_ends, begun_before) {
};

FIXTURE_VARIANT_ADD(uring_ends, begun_before_async) {
	.async = true,
};

FIXTURE_VARIANT_ADD(uring_ends, begun_frozen) {
	.begun = TAPXFER_STATE_FROZEN,
};

FIXTURE_VARIANT_ADD(uring_ends, begun_frozen_async) {
	.begun = TAPXFER_STATE_FROZEN, .async = true,
};

FIXTURE_SETUP(uring_ends)
{
	ASSERT_EQ(0, rig_open(&self->g, false));
}

FIXTURE_TEARDOWN(uring_ends)
{
	rig_close(&self->g);
}

/* Freeze with every request on its way that can be: how many, or -errno. */
static int freeze_requests(struct rig *g, enum tapxfer_state begun, bool async)
{
	int early = 0, i, err;

	for (i = 0; !begun && i < QUEUES; i++)
		early += kinds[g->req[i].kind].write;
	err = begun ? 0 : submit_all(g, async);
	if (err)
		return err;
	if (!wait_until(reap(g) == early, SOON_MS))
		return -ETIME;
	err = xfer_begin(&g->x, &g->tap, TAPXFER_STATE_PREPARED, 0, 0) ?:
	      xfer_freeze_patiently(&g->x) ?:
	      (begun ? submit_all(g, async) : 0) ?:
	      send_each(g, SENT);
	if (err)
		return err;
	capture_read(&g->c);
	/* workers get going */
	return wait_until(reap(g) != early, 200) ? -EALREADY : QUEUES - early;
}

TEST_F(uring_ends, cancelled_requests_take_nothing_with_them)
{
	struct rig *g = &self->g;
	int i, n, ended = 0;

	n = freeze_requests(g, variant->begun, variant->async);
	ASSERT_LT(0, n);
	for (i = 0; i < QUEUES; i++)
		if (!g->req[i].done)
			ASSERT_NE(NULL, uring_queue(&g->r,
						    IORING_OP_ASYNC_CANCEL, -1,
						    (void *)(uintptr_t)i, 0,
						    QUEUES));
	ASSERT_EQ(0, uring_submit(&g->r));
	EXPECT_TRUE(wait_until(reap(g) == QUEUES, SOON_MS));
	/* EINTR: of one that a worker had begun */
	for (i = 0; i < QUEUES; i++)
		ended += g->req[i].res == -ECANCELED ||
			 g->req[i].res == -EINTR;
	EXPECT_EQ(n, ended);
	EXPECT_EQ(TAPXFER_STATE_FROZEN, xfer_state(&g->x));
	EXPECT_EQ(0, capture_read(&g->c));

	ASSERT_EQ(0, xfer_finish(&g->x));
	EXPECT_ALL_PACKETS();
	EXPECT_EQ(0, capture_read(&g->c));
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
}

/* References to the queue files, by anyone, or -errno */
static int64_t holders(struct rig *g)
{
	int64_t n = 0;
	int q, err;

	err = xfer_get(&g->x);
	for (q = 0; !err && q < QUEUES; q++)
		n += xfer_queue_u64(&g->x, q, TAPXFER_A_QUEUE_HOLDERS);
	return err ?: n;
}

TEST_F(uring_ends, a_closed_ring_takes_nothing_with_it)
{
	struct rig *g = &self->g;
	int64_t alone;

	ASSERT_EQ(0, uring_register(&g->r, IORING_UNREGISTER_FILES, NULL, 0));
	ASSERT_EQ(0, xfer_begin(&g->x, &g->tap, TAPXFER_STATE_FROZEN, 0, 0));
	alone = holders(g);
	ASSERT_LT(0, alone);
	ASSERT_EQ(0, xfer_abort(&g->x));
	ASSERT_TRUE(wait_until(module_users() == 0, SOON_MS));
	ASSERT_EQ(0, rig_register_files(g));

	ASSERT_LT(0, freeze_requests(g, variant->begun, variant->async));
	EXPECT_LT(alone, holders(g));
	uring_close(&g->r);
	/* the kernel does it some time later */
	EXPECT_TRUE(wait_until(holders(g) == alone, SOON_MS));
	EXPECT_EQ(TAPXFER_STATE_FROZEN, xfer_state(&g->x));
	EXPECT_EQ(0, capture_read(&g->c));

	ASSERT_EQ(0, xfer_finish(&g->x));
	EXPECT_ALL_PACKETS();
	EXPECT_EQ(0, capture_read(&g->c));
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
}

/* It is nobody's descriptor, and keeps the queue and the device. */
TEST_F(uring_ends, a_registered_file_keeps_its_queue)
{
	struct request *req = &self->g.req[KINDS + READ];
	struct rig *g = &self->g;
	struct link_info li;
	int i;

	ASSERT_LT(0, freeze_requests(g, variant->begun, variant->async));
	tap_close(&g->tap);
	EXPECT_EQ(TAPXFER_STATE_FROZEN, xfer_state(&g->x));
	ASSERT_EQ(0, xfer_abort(&g->x));
	EXPECT_TRUE(wait_until(reap(g) == QUEUES, SOON_MS));
	for (i = 0; i < QUEUES; i++)
		EXPECT_RIGHT(is_right(g, &g->req[i]), i);
	/* the handover has let go of its files */
	ASSERT_TRUE(wait_until(module_users() == 0, 2 * SOON_MS));
	EXPECT_EQ(0, link_info(g->tap.ifindex, &li));

	/* what it has is read on by the file alone */
	ASSERT_TRUE(queue_one(g, KINDS + READ, variant->async));
	ASSERT_EQ(0, uring_submit(&g->r));
	g->first[req->queue]++;
	EXPECT_TRUE(wait_until(reap(g) == QUEUES, SOON_MS));
	EXPECT_RIGHT(is_right(g, req), KINDS + READ);
	uring_close(&g->r);
	EXPECT_TRUE(wait_until(link_info(g->tap.ifindex, &li) == -ENODEV,
			       SOON_MS));
}

/*
 * Two wait for one packet. Who comes too late may wait in a worker, inside the
 * driver, where it is not poll that keeps it from what is held.
 */
TEST_F(uring_ends, who_lost_a_race_for_a_packet_waits_for_the_thaw)
{
	struct rig *g = &self->g;
	struct request *req = g->req;
	int i, late;

	req[1].kind = READ;
	req[1].queue = 0;
	/* On 6.1 a request with IOSQE_ASYNC for a file that blocks, which loses
	 * such a race, makes its task run in circles in io_uring when packets
	 * come, whatever holds them meanwhile: its count of retries wraps.
	 * Before 5.11 one for a file that does not block waits for nothing.
	 */
	ASSERT_EQ(0, tap_set_nonblock(&g->tap, variant->async &&
					       !kernel_before(5, 11)));
	if (variant->begun)
		ASSERT_EQ(0, xfer_begin(&g->x, &g->tap, TAPXFER_STATE_PREPARED,
					0, 0));
	for (i = 0; i < 2; i++)
		ASSERT_TRUE(queue_one(g, i, variant->async));
	ASSERT_EQ(0, uring_submit(&g->r));
	ASSERT_EQ(0, sender_send_flow(&g->s, g->flow_of[0]));
	EXPECT_TRUE(wait_until(reap(g) == 1, SOON_MS));
	late = req[0].done;
	ASSERT_EQ(0, req[late].done);

	if (!variant->begun)
		ASSERT_EQ(0, xfer_begin(&g->x, &g->tap, TAPXFER_STATE_PREPARED,
					0, 0));
	ASSERT_EQ(0, xfer_freeze_patiently(&g->x));
	ASSERT_EQ(0, send_each(g, SENT));
	EXPECT_FALSE(wait_until(reap(g) == 2, 200));
	ASSERT_EQ(0, xfer_finish(&g->x));
	EXPECT_TRUE(wait_until(reap(g) == 2, SOON_MS));
	EXPECT_RIGHT(is_right(g, &req[late]), late);
	EXPECT_ALL_PACKETS();
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
}

TEST_HARNESS_MAIN
