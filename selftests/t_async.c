// SPDX-License-Identifier: GPL-2.0
/*
 * G1 and G2 for reads and writes that are no system calls of their own: the
 * kernel's AIO, and io_uring.
 */
#include <errno.h>
#include <linux/aio_abi.h>
#include <sys/syscall.h>

#include <kselftest_harness.h>

#include "flow.h"
#include "net.h"
#include "tap.h"
#include "uring.h"
#include "util.h"
#include "waiter.h"
#include "xfer.h"

static int begin(struct uring *r, int op, int fd, void *buf, size_t len)
{
	return uring_queue(r, op, fd, buf, len, 0) ? uring_submit(r) : -ENOSPC;
}

/* Whether it is done; its result is @res then. */
static bool uring_done(struct uring *r, long *res)
{
	struct io_uring_cqe cqe;

	if (!uring_next(r, &cqe))
		return false;
	*res = cqe.res;
	return true;
}

FIXTURE(async) {
	struct tap tap;
	struct xfer x;
	struct sender s;
	struct capture c;
	struct uring r;
	aio_context_t aio;
	struct waiter w;
	uint8_t buf[PACKET_MAX];
	size_t len;
	struct iocb cb;
	int op;
};

FIXTURE_VARIANT(async) {
	bool uring;
	bool write;
	enum tapxfer_state begun;	/* what it is when it begins; 0: before */
};

#define VARIANT(name, u, w, b) \
	FIXTURE_VARIANT_ADD(async, name) { .uring = u, .write = w, .begun = b }

VARIANT(aio_read_begun_before_the_prepare, false, false, 0);
VARIANT(aio_read_begun_while_prepared, false, false, TAPXFER_STATE_PREPARED);
VARIANT(aio_read_begun_while_frozen, false, false, TAPXFER_STATE_FROZEN);
VARIANT(aio_write_begun_while_frozen, false, true, TAPXFER_STATE_FROZEN);
VARIANT(uring_read_begun_before_the_prepare, true, false, 0);
VARIANT(uring_read_begun_while_prepared, true, false, TAPXFER_STATE_PREPARED);
VARIANT(uring_read_begun_while_frozen, true, false, TAPXFER_STATE_FROZEN);
VARIANT(uring_write_begun_while_frozen, true, true, TAPXFER_STATE_FROZEN);

FIXTURE_SETUP(async)
{
	ASSERT_EQ(0, net_isolate());
	/* blocking files, as AIO is used with */
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", 1, TAP_VM));
	ASSERT_EQ(0, xfer_open(&self->x));
	ASSERT_EQ(0, sender_open(&self->s, self->tap.ifindex, 1));
	ASSERT_EQ(0, capture_open(&self->c, self->tap.ifindex));
	ASSERT_EQ(0, uring_open(&self->r, 4));
	ASSERT_EQ(0, syscall(SYS_io_setup, 4, &self->aio));
	self->len = sizeof(self->buf);
	if (variant->write)
		self->len = self->tap.hdr +
			    packet_make(self->buf + self->tap.hdr, 0, 0);
}

FIXTURE_TEARDOWN(async)
{
	xfer_close(&self->x);
	link_delete("tap0");
	tap_close(&self->tap);
	sender_close(&self->s);
	capture_close(&self->c);
	uring_close(&self->r);
	syscall(SYS_io_destroy, self->aio);
}

struct aio_call {
	aio_context_t aio;
	struct iocb *cb;
};

/* Sleeps in the submission, since a tap's file has no other way. */
static long aio_submit(void *arg)
{
	struct aio_call *call = arg;

	return syscall(SYS_io_submit, call->aio, 1, &call->cb);
}

static bool aio_done(aio_context_t aio, long *res)
{
	struct timespec none = {};
	struct io_event ev;

	if (syscall(SYS_io_getevents, aio, 0, 1, &ev, &none) != 1)
		return false;
	*res = ev.res;
	return true;
}

#define IS_DONE(res)	(variant->uring ? uring_done(&self->r, res) : \
					  aio_done(self->aio, res))

/* A uring's worker thread, or ours in io_submit(), sleeps in the driver or in
 * the fence; of the worker nothing can be told but that it is not done.
 */
#define SUBMIT() do { \
	if (variant->uring) { \
		ASSERT_EQ(0, begin(&self->r, variant->write ? \
				   IORING_OP_WRITE : IORING_OP_READ, \
				   self->tap.fds[0], self->buf, self->len)); \
	} else { \
		self->cb.aio_lio_opcode = variant->write ? IOCB_CMD_PWRITE : \
							   IOCB_CMD_PREAD; \
		self->cb.aio_fildes = self->tap.fds[0]; \
		self->cb.aio_buf = (uintptr_t)self->buf; \
		self->cb.aio_nbytes = self->len; \
		ASSERT_EQ(0, waiter_start(&self->w)); \
	} \
} while (0)

TEST_F(async, waits_for_the_thaw)
{
	struct aio_call call = { .aio = self->aio, .cb = &self->cb };
	uint32_t flow, seq;
	long res = 0;

	self->w.op = WAITER_CALL;
	self->w.fn = aio_submit;
	self->w.arg = &call;
	self->w.nr = SYS_io_submit;
	if (!variant->begun)
		SUBMIT();
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_PREPARED, 0,
				0));
	if (variant->begun == TAPXFER_STATE_PREPARED)
		SUBMIT();
	ASSERT_EQ(0, xfer_freeze(&self->x));
	if (variant->begun == TAPXFER_STATE_FROZEN)
		SUBMIT();
	ASSERT_EQ(0, sender_send(&self->s, 10));
	/* time for what would be wrong */
	EXPECT_FALSE(wait_until(IS_DONE(&res), 200));
	EXPECT_EQ(0, capture_read(&self->c));

	ASSERT_EQ(0, xfer_finish(&self->x));
	ASSERT_TRUE(wait_until(IS_DONE(&res), SOON_MS));
	if (!variant->uring) {
		ASSERT_TRUE(waiter_wait(&self->w, SOON_MS));
		EXPECT_EQ(1, self->w.ret);
	}
	if (variant->write) {
		EXPECT_EQ(self->len, res);
		EXPECT_EQ(1, capture_read(&self->c));
		EXPECT_EQ(0, self->c.t.foreign);
	} else {
		EXPECT_EQ(self->tap.hdr + PACKET_LEN, res);
		ASSERT_TRUE(packet_parse(self->buf + self->tap.hdr,
					 res - self->tap.hdr, &flow, &seq));
		EXPECT_EQ(0, seq);
	}
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
}

/* A request under way when its process is killed neither stays nor crashes. */
static int killed(void *arg)
{
	FIXTURE_DATA(async) *self = arg;
	struct uring r;

	if (uring_open(&r, 4) ||
	    begin(&r, self->op, self->tap.fds[0], self->buf, self->len))
		return 1;
	pause();
	return 0;
}

TEST_F(async, of_a_killed_process_does_not_stay)
{
	struct link_stats st;
	pid_t child;

	self->op = variant->write ? IORING_OP_WRITE : IORING_OP_READ;
	if (variant->begun)
		ASSERT_EQ(0, xfer_begin(&self->x, &self->tap,
					variant->begun, 0, 0));
	child = child_start(killed, self);
	ASSERT_LT(0, child);
	if (!variant->begun)
		ASSERT_EQ(0, xfer_begin(&self->x, &self->tap,
					TAPXFER_STATE_FROZEN, 0, 0));
	/* wherever it is by now */
	child_kill(child);
	ASSERT_EQ(0, sender_send(&self->s, 10));
	ASSERT_EQ(0, xfer_abort(&self->x));
	ASSERT_EQ(0, link_stats("tap0", &st));
	EXPECT_EQ(0, st.tx_dropped);
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, true));
	{
		struct tally t;
		int64_t n;

		ASSERT_EQ(0, tally_init(&t, 100));
		n = tap_read_all(&self->tap, &t);
		/* the first may have been taken by who was killed */
		EXPECT_LE(9, n);
		EXPECT_GE(10, n);
		EXPECT_EQ(0, t.dup + t.reordered);
		tally_free(&t);
	}
}

TEST_HARNESS_MAIN
