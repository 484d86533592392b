// SPDX-License-Identifier: GPL-2.0
/*
 * G2: whoever is inside the driver when the freeze comes, stalled in its own
 * memory. By whatever system call it came: it is waited for, the wait is
 * bounded, and a freeze that fails leaves everything as it was.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <kselftest_harness.h>

#include <linux/aio_abi.h>

#include "flow.h"
#include "net.h"
#include "tap.h"
#include "uring.h"
#include "util.h"
#include "waiter.h"
#include "xfer.h"

#define QUEUES	2
#define STALLED	77		/* number of the stalled writer's packet */

enum way { BY_WRITE, BY_WRITEV, BY_URING, BY_URING_V, BY_AIO };

/* A write of a packet, the second part of which is in memory that stalls */
struct writer {
	enum way way;
	int fd;
	struct iovec iov[2];
	struct waiter w;
	struct uring r;
	aio_context_t aio;
	struct iocb cb;
	uint8_t hdr[PACKET_MAX];
	struct stall stall;
	uint8_t packet[PACKET_MAX];
};

static long aio_submit(void *arg)
{
	struct writer *wr = arg;
	struct iocb *cb = &wr->cb;

	return syscall(SYS_io_submit, wr->aio, 1, &cb);
}

static int writer_open(struct writer *wr, enum way way, const struct tap *tap)
{
	wr->way = way;
	wr->fd = tap->fds[0];
	packet_make(wr->packet + tap->hdr, 40000, STALLED);
	wr->iov[0] = (struct iovec){ wr->hdr, tap->hdr };
	if (way == BY_URING || way == BY_URING_V) {
		if (uring_open(&wr->r, 4))
			return -1;
	} else if (way == BY_AIO && syscall(SYS_io_setup, 4, &wr->aio)) {
		return -1;
	}
	return stall_open(&wr->stall);
}

static void writer_close(struct writer *wr)
{
	stall_close(&wr->stall);
	uring_close(&wr->r);
	if (wr->aio)
		syscall(SYS_io_destroy, wr->aio);
}

/* The stalled page has all of the packet, or all but the header. */
static bool is_vector(const struct writer *wr)
{
	return wr->way != BY_WRITE && wr->way != BY_URING;
}

/* Begin, until it is stalled in the driver. */
static int writer_start(struct writer *wr)
{
	size_t len = wr->iov[0].iov_len + PACKET_LEN;
	struct io_uring_sqe *sqe;

	wr->w = (struct waiter){
		.fd = wr->fd, .buf = wr->stall.page, .len = len,
	};
	wr->iov[1] = (struct iovec){ wr->stall.page, PACKET_LEN };
	switch (wr->way) {
	case BY_WRITE:
		wr->w.op = WAITER_WRITE;
		break;
	case BY_WRITEV:
		wr->w.op = WAITER_WRITEV;
		wr->w.hdr = wr->iov[0].iov_base;
		wr->w.hdr_len = wr->iov[0].iov_len;
		wr->w.len = PACKET_LEN;
		break;
	case BY_URING:
	case BY_URING_V:
		/* a worker's: in the submission it would stall us */
		sqe = wr->way == BY_URING ?
		      uring_queue(&wr->r, IORING_OP_WRITE, wr->fd,
				  wr->stall.page, len, 0) :
		      uring_queue(&wr->r, IORING_OP_WRITEV, wr->fd, wr->iov, 2,
				  0);
		if (!sqe)
			return -ENOSPC;
		sqe->flags |= IOSQE_ASYNC;
		if (uring_submit(&wr->r))
			return -EIO;
		return stall_wait(&wr->stall, SOON_MS) ? 0 : -ETIME;
	case BY_AIO:
		wr->cb.aio_lio_opcode = IOCB_CMD_PWRITEV;
		wr->cb.aio_fildes = wr->fd;
		wr->cb.aio_buf = (uintptr_t)wr->iov;
		wr->cb.aio_nbytes = 2;
		wr->w.op = WAITER_CALL;
		wr->w.fn = aio_submit;
		wr->w.arg = wr;
		break;
	}
	if (waiter_go(&wr->w))
		return -EAGAIN;
	return stall_wait(&wr->stall, SOON_MS) ? 0 : -ETIME;
}

static int writer_release(struct writer *wr)
{
	size_t skip = is_vector(wr) ? wr->iov[0].iov_len : 0;

	return stall_release(&wr->stall, wr->packet + skip,
			     wr->iov[0].iov_len + PACKET_LEN - skip);
}

/* What came of it; -ETIME when nothing did. */
static long writer_result(struct writer *wr)
{
	struct timespec soon = { .tv_sec = SOON_MS / 1000 };
	struct io_uring_cqe cqe;
	struct io_event ev;

	if (wr->way == BY_URING || wr->way == BY_URING_V)
		return wait_until(uring_next(&wr->r, &cqe), SOON_MS) ? cqe.res :
								       -ETIME;
	if (!waiter_wait(&wr->w, SOON_MS))
		return -ETIME;
	if (wr->way != BY_AIO)
		return wr->w.ret < 0 ? -wr->w.err : wr->w.ret;
	if (wr->w.ret != 1 ||
	    syscall(SYS_io_getevents, wr->aio, 1, 1, &ev, &soon) != 1)
		return -ETIME;
	return ev.res;
}

FIXTURE(writers) {
	struct tap tap;
	struct xfer x;
	struct capture c;
	struct writer wr;
	struct tap_settings before;
};

FIXTURE_VARIANT(writers) {
	enum way way;
	bool nonblock;
	enum tapxfer_state begun;	/* when the write does */
};

#define VARIANT(name, w) \
	FIXTURE_VARIANT_ADD(writers, name##_prepared) { \
		.way = w, .nonblock = true, .begun = TAPXFER_STATE_PREPARED }; \
	FIXTURE_VARIANT_ADD(writers, name##_holding_blocking) { \
		.way = w, .begun = TAPXFER_STATE_HOLDING }

VARIANT(write, BY_WRITE);
VARIANT(writev, BY_WRITEV);
VARIANT(uring_write, BY_URING);
VARIANT(uring_writev, BY_URING_V);
VARIANT(aio_pwritev, BY_AIO);

FIXTURE_SETUP(writers)
{
	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", QUEUES, TAP_VM));
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, variant->nonblock));
	ASSERT_EQ(0, xfer_open(&self->x));
	ASSERT_EQ(0, capture_open(&self->c, self->tap.ifindex));
	ASSERT_EQ(0, writer_open(&self->wr, variant->way, &self->tap));
	ASSERT_EQ(0, tap_settings(self->tap.fds[0], &self->before));
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, variant->begun, 0, 0));
	ASSERT_EQ(0, writer_start(&self->wr));
}

FIXTURE_TEARDOWN(writers)
{
	writer_close(&self->wr);
	xfer_close(&self->x);
	link_delete("tap0");
	tap_close(&self->tap);
	capture_close(&self->c);
}

static bool can_write(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLOUT };

	return poll(&pfd, 1, 0) == 1 && (pfd.revents & POLLOUT);
}

/* The stalled packet is in the host, once; @others are as well. */
#define EXPECT_IN_HOST(once, others) do { \
	capture_read(&self->c); \
	EXPECT_EQ(once, self->c.t.seen[STALLED]); \
	EXPECT_EQ((once) + (others), self->c.t.got); \
	EXPECT_EQ(0, self->c.t.dup + self->c.t.foreign); \
} while (0)

TEST_F(writers, a_freeze_fails_in_time_and_undoes_itself)
{
	struct tap_settings after;
	struct waiter poller = {
		.op = WAITER_POLL_OUT, .fd = self->tap.fds[1],
	};
	int sndbuf = 54321, q;

	EXPECT_EQ(-ETIMEDOUT, xfer_freeze_within(&self->x, 0));
	EXPECT_EQ(-ETIMEDOUT, xfer_freeze_within(&self->x, 300));
	EXPECT_STREQ("a write or ioctl in flight did not end in time, stop the writer",
		     xfer_why(&self->x));
	EXPECT_EQ(TAPXFER_STATE_HOLDING, xfer_state(&self->x));
	EXPECT_IN_HOST(0, 0);

	/* as before: who waits for room gets on, writes pass, settings too */
	ASSERT_EQ(0, waiter_go(&poller));
	ASSERT_TRUE(waiter_wait(&poller, SOON_MS));
	EXPECT_TRUE(poller.events & POLLOUT);
	ASSERT_EQ(0, tap_settings(self->tap.fds[0], &after));
	EXPECT_EQ(0, memcmp(&self->before, &after, sizeof(after)));
	for (q = 0; q < QUEUES; q++) {
		EXPECT_TRUE(can_write(self->tap.fds[q]));
		EXPECT_EQ(0, tap_write_one(&self->tap, q, q));
	}
	EXPECT_IN_HOST(0, QUEUES);
	EXPECT_EQ(0, ioctl(self->tap.fds[0], TUNSETSNDBUF, &sndbuf));

	/* and once it is let go, the freeze has what it waited for */
	ASSERT_EQ(0, writer_release(&self->wr));
	EXPECT_EQ(self->tap.hdr + PACKET_LEN, writer_result(&self->wr));
	EXPECT_IN_HOST(1, QUEUES);
	ASSERT_EQ(0, xfer_freeze(&self->x));
	EXPECT_EQ(sndbuf, (int)xfer_dev_u64(&self->x, TAPXFER_A_DEV_SNDBUF));
	EXPECT_FALSE(can_write(self->tap.fds[0]));
	ASSERT_EQ(0, xfer_finish(&self->x));
	EXPECT_EQ(0, tap_write_one(&self->tap, 0, QUEUES));
	EXPECT_IN_HOST(1, QUEUES + 1);
}

static long freeze(void *arg)
{
	return xfer_freeze_patiently(arg);
}

TEST_F(writers, a_freeze_waits_and_has_the_packet_in_the_host)
{
	struct waiter f = {
		.op = WAITER_CALL, .fn = freeze, .arg = &self->x,
		.nr = SYS_sendto,
	};

	ASSERT_EQ(0, waiter_start(&f));
	EXPECT_IN_HOST(0, 0);
	ASSERT_EQ(0, writer_release(&self->wr));
	ASSERT_TRUE(waiter_wait(&f, SOON_MS));
	EXPECT_EQ(0, f.ret);
	/* not a moment later */
	EXPECT_IN_HOST(1, 0);
	EXPECT_EQ(TAPXFER_STATE_FROZEN, xfer_state(&self->x));
	EXPECT_EQ(self->tap.hdr + PACKET_LEN, writer_result(&self->wr));
	ASSERT_EQ(0, xfer_finish(&self->x));
	EXPECT_IN_HOST(1, 0);
}

/* An abort does not wait for it, and it goes on as if nothing had been. */
TEST_F(writers, an_abort_leaves_it_alone)
{
	EXPECT_EQ(-ETIMEDOUT, xfer_freeze_within(&self->x, 0));
	ASSERT_EQ(0, xfer_abort(&self->x));
	EXPECT_TRUE(can_write(self->tap.fds[0]));
	EXPECT_EQ(0, tap_write_one(&self->tap, 0, 0));
	ASSERT_EQ(0, writer_release(&self->wr));
	EXPECT_EQ(self->tap.hdr + PACKET_LEN, writer_result(&self->wr));
	EXPECT_IN_HOST(1, 1);
	EXPECT_TRUE(wait_until(module_users() == 0, 2 * SOON_MS));
}

/* -- the writer is killed -------------------------------------------------- */

FIXTURE(killed) {
	struct tap tap;
	struct xfer x;
	struct capture c;
	enum way way;
	int stalled;		/* told by the child */
};

FIXTURE_VARIANT(killed) {
	enum way way;
};

FIXTURE_VARIANT_ADD(killed, write) { .way = BY_WRITE };
FIXTURE_VARIANT_ADD(killed, writev) { .way = BY_WRITEV };
FIXTURE_VARIANT_ADD(killed, uring_write) { .way = BY_URING };
FIXTURE_VARIANT_ADD(killed, aio_pwritev) { .way = BY_AIO };

FIXTURE_SETUP(killed)
{
	self->way = variant->way;
	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", QUEUES, TAP_VM));
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, true));
	ASSERT_EQ(0, xfer_open(&self->x));
	ASSERT_EQ(0, capture_open(&self->c, self->tap.ifindex));
}

FIXTURE_TEARDOWN(killed)
{
	xfer_close(&self->x);
	link_delete("tap0");
	tap_close(&self->tap);
	capture_close(&self->c);
}

static int stalled_writer(void *arg)
{
	FIXTURE_DATA(killed) *self = arg;
	static struct writer wr;

	if (writer_open(&wr, self->way, &self->tap) || writer_start(&wr) ||
	    write(self->stalled, "", 1) != 1)
		return 1;
	for (;;)
		pause();
}

TEST_F(killed, a_freeze_waits_no_longer_and_nothing_enters_the_host)
{
	struct waiter f = {
		.op = WAITER_CALL, .fn = freeze, .arg = &self->x,
		.nr = SYS_sendto,
	};
	int stalled[2];
	pid_t child;
	char c;

	ASSERT_EQ(0, pipe2(stalled, O_CLOEXEC));
	self->stalled = stalled[1];
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_PREPARED, 0,
				0));
	child = child_start(stalled_writer, self);
	ASSERT_LT(0, child);
	close(stalled[1]);
	ASSERT_EQ(1, read(stalled[0], &c, 1));
	EXPECT_EQ(-ETIMEDOUT, xfer_freeze_within(&self->x, 0));
	ASSERT_EQ(0, waiter_start(&f));
	child_kill(child);
	ASSERT_TRUE(waiter_wait(&f, SOON_MS));
	EXPECT_EQ(0, f.ret);
	EXPECT_IN_HOST(0, 0);

	ASSERT_EQ(0, xfer_finish(&self->x));
	EXPECT_EQ(0, tap_write_one(&self->tap, 0, 0));
	EXPECT_IN_HOST(0, 1);
	EXPECT_TRUE(wait_until(module_users() == 0, 2 * SOON_MS));
	close(stalled[0]);
}

/* -- setters ---------------------------------------------------------------- */

FIXTURE(setters) {
	struct tap tap;
	struct xfer x;
	struct capture c;
	struct stall stall;
};

/* TUNSETQUEUE's argument is read before rtnl is taken, the others' under it. */
FIXTURE_VARIANT(setters) {
	unsigned long cmd;
	int value;
};

FIXTURE_VARIANT_ADD(setters, TUNSETQUEUE) {
	.cmd = TUNSETQUEUE, .value = IFF_DETACH_QUEUE,
};

FIXTURE_VARIANT_ADD(setters, TUNSETVNETHDRSZ) {
	.cmd = TUNSETVNETHDRSZ, .value = 10,
};

FIXTURE_VARIANT_ADD(setters, TUNSETSNDBUF) {
	.cmd = TUNSETSNDBUF, .value = 54321,
};

FIXTURE_VARIANT_ADD(setters, TUNSETVNETLE) {
	.cmd = TUNSETVNETLE, .value = 1,
};

FIXTURE_SETUP(setters)
{
	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", QUEUES, TAP_VM));
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, true));
	ASSERT_EQ(0, xfer_open(&self->x));
	ASSERT_EQ(0, capture_open(&self->c, self->tap.ifindex));
	ASSERT_EQ(0, stall_open(&self->stall));
}

FIXTURE_TEARDOWN(setters)
{
	stall_close(&self->stall);
	xfer_close(&self->x);
	link_delete("tap0");
	tap_close(&self->tap);
	capture_close(&self->c);
}

TEST_F(setters, a_freeze_fails_in_time_and_exports_what_came_before_it)
{
	struct waiter w = {
		.op = WAITER_IOCTL, .fd = self->tap.fds[0],
		.request = variant->cmd, .buf = self->stall.page,
	};
	struct ifreq ifr = { .ifr_flags = variant->value };
	int value = variant->value;

	/* the hold takes rtnl, and would wait for it as anybody does */
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_HOLDING, 0,
				0));
	ASSERT_EQ(0, waiter_go(&w));
	ASSERT_TRUE(stall_wait(&self->stall, SOON_MS));
	EXPECT_EQ(-ETIMEDOUT, xfer_freeze_within(&self->x, 0));
	EXPECT_EQ(-ETIMEDOUT, xfer_freeze_within(&self->x, 200));
	EXPECT_TRUE(can_write(self->tap.fds[1]));
	EXPECT_EQ(0, tap_write_one(&self->tap, 1, 0));
	EXPECT_EQ(1, capture_read(&self->c));

	ASSERT_EQ(0, variant->cmd == TUNSETQUEUE ?
		     stall_release(&self->stall, &ifr, sizeof(ifr)) :
		     stall_release(&self->stall, &value, sizeof(value)));
	ASSERT_TRUE(waiter_wait(&w, SOON_MS));
	EXPECT_EQ(0, w.ret);
	EXPECT_EQ(TAPXFER_STATE_HOLDING, xfer_state(&self->x));
	ASSERT_EQ(0, xfer_freeze(&self->x));
	switch (variant->cmd) {
	case TUNSETQUEUE:
		EXPECT_EQ(1, xfer_dev_u64(&self->x,
					  TAPXFER_A_DEV_NUM_DETACHED));
		EXPECT_EQ(1, xfer_queue_u64(&self->x, 0,
					    TAPXFER_A_QUEUE_DETACHED));
		break;
	case TUNSETVNETHDRSZ:
		EXPECT_EQ(value, (int)xfer_dev_u64(&self->x,
						   TAPXFER_A_DEV_VNET_HDR_SZ));
		break;
	case TUNSETSNDBUF:
		EXPECT_EQ(value, (int)xfer_dev_u64(&self->x,
						   TAPXFER_A_DEV_SNDBUF));
		break;
	case TUNSETVNETLE:
		EXPECT_EQ(value, (int)xfer_dev_u64(&self->x,
						   TAPXFER_A_DEV_VNET_LE));
		break;
	}
}

TEST_HARNESS_MAIN
