// SPDX-License-Identifier: GPL-2.0
/*
 * G5: what is held is freed, and let go of, however the end comes: the device
 * or its network namespace is deleted, the last reference is the deadline's, the
 * module is to be unloaded.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <kselftest_harness.h>

#include "flow.h"
#include "net.h"
#include "tap.h"
#include "util.h"
#include "xfer.h"

#define QUEUES	4
#define FLOWS	64
#define SOME	1000	/* that fit the rings as they are */
#define MANY	8000	/* that do not */

/* Packets that the kernel has, of whatever kind; -1 if it does not tell. */
static long packets(void)
{
	char line[256];
	long n = -1;
	FILE *f;

	write_string("/sys/kernel/slab/skbuff_head_cache/shrink", "1");
	f = fopen("/proc/slabinfo", "re");
	while (f && n < 0 && fgets(line, sizeof(line), f))
		sscanf(line, "skbuff_head_cache %ld", &n);
	if (f)
		fclose(f);
	return n;
}

static int unload(const char *module)
{
	return syscall(SYS_delete_module, module, O_NONBLOCK) ? -errno : 0;
}

FIXTURE(lifetime) {
	struct tap tap;
	struct tap claimed;
	struct xfer x;
	struct sender s;
	struct tally t;
	long before;
	long sent;
};

FIXTURE_VARIANT(lifetime) {
	enum tapxfer_state state;
};

FIXTURE_VARIANT_ADD(lifetime, prepared) {
	.state = TAPXFER_STATE_PREPARED,
};

FIXTURE_VARIANT_ADD(lifetime, holding) {
	.state = TAPXFER_STATE_HOLDING,
};

FIXTURE_VARIANT_ADD(lifetime, frozen) {
	.state = TAPXFER_STATE_FROZEN,
};

FIXTURE_VARIANT_ADD(lifetime, claimed) {
	.state = TAPXFER_STATE_CLAIMED,
};

FIXTURE_VARIANT_ADD(lifetime, draining) {
	.state = TAPXFER_STATE_DRAINING,
};

FIXTURE_SETUP(lifetime)
{
	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", QUEUES, TAP_VM));
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, true));
	ASSERT_EQ(0, xfer_open(&self->x));
	ASSERT_EQ(0, sender_open(&self->s, self->tap.ifindex, FLOWS));
	ASSERT_EQ(0, tally_init(&self->t, 1 << 16));
	self->before = packets();
	ASSERT_LE(0, self->before);
}

FIXTURE_TEARDOWN(lifetime)
{
	self->x.id = 0;
	xfer_close(&self->x);
	sender_close(&self->s);
	tally_free(&self->t);
	link_delete("tap0");
	tap_close(&self->tap);
	tap_close(&self->claimed);
}

/* To the state, with packets from before, of which some were read, and since. */
#define BEGIN() do { \
	enum tapxfer_state to_ = variant->state < TAPXFER_STATE_CLAIMED ? \
				 variant->state : TAPXFER_STATE_FROZEN; \
	int q_; \
	ASSERT_EQ(0, sender_send(&self->s, SOME / 2)); \
	for (q_ = 0; q_ < QUEUES; q_++) \
		ASSERT_EQ(1, tap_read_one(&self->tap, q_, &self->t)); \
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, to_, 0, 0)); \
	if (variant->state >= TAPXFER_STATE_CLAIMED) \
		ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed)); \
	ASSERT_EQ(0, sender_send(&self->s, variant->state == \
				 TAPXFER_STATE_PREPARED ? SOME / 2 : MANY)); \
	ASSERT_EQ(0, self->s.dropped); \
	self->sent = self->s.seq; \
	if (variant->state == TAPXFER_STATE_DRAINING) { \
		ASSERT_EQ(0, xfer_thaw(&self->x)); \
		for (q_ = 0; q_ < QUEUES; q_++) \
			ASSERT_EQ(1, tap_read_one(&self->tap, q_, &self->t)); \
	} \
	ASSERT_EQ((int)variant->state, xfer_state(&self->x)); \
	/* or the count says nothing */ \
	ASSERT_LE(self->before + self->sent * 3 / 4, packets()); \
} while (0)

#define EXPECT_ALL_FREED() do { \
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS)); \
	EXPECT_TRUE(wait_until(packets() < self->before + self->sent / 4, \
			       SOON_MS)) { \
		TH_LOG("packets: %ld before, %ld sent, %ld now", \
		       self->before, self->sent, packets()); \
	} \
	EXPECT_EQ(-ENOENT, xfer_state(&self->x)); \
} while (0)

TEST_F(lifetime, the_device_is_deleted)
{
	BEGIN();
	ASSERT_EQ(0, link_delete("tap0"));
	/* the files are still open: it is the deletion that freed them */
	EXPECT_ALL_FREED();
}

static int hold_netns(void *arg)
{
	int *pipe = arg;

	if (net_isolate() || write(pipe[1], "n", 1) != 1)
		return 1;
	pause();
	return 0;
}

TEST_F(lifetime, its_netns_is_deleted)
{
	int pipe[2];
	pid_t child;
	char byte;

	BEGIN();
	ASSERT_EQ(0, pipe2(pipe, O_CLOEXEC));
	child = child_start(hold_netns, pipe);
	ASSERT_EQ(1, read(pipe[0], &byte, 1));
	ASSERT_EQ(0, shell("ip link set tap0 netns %d", child));
	/* it is all still there */
	EXPECT_LE(self->before + self->sent * 3 / 4, packets());
	child_kill(child);
	EXPECT_ALL_FREED();
	close(pipe[0]);
	close(pipe[1]);
}

/* A handover keeps both modules, then lets go of them. */
TEST_F(lifetime, the_modules_stay_until_it_has_ended)
{
	BEGIN();
	/* the files are the handover's alone */
	tap_close(&self->tap);
	tap_close(&self->claimed);
	/* one that drains has nothing left to do then */
	if (variant->state != TAPXFER_STATE_DRAINING) {
		EXPECT_EQ(-EAGAIN, unload("tapxfer"));
		EXPECT_EQ(-EAGAIN, unload("tun"));
		EXPECT_EQ((int)variant->state, xfer_state(&self->x));
		ASSERT_EQ(0, xfer_abort(&self->x));
	}
	/* the abort was the last to have them: the device goes */
	EXPECT_TRUE(wait_until(!if_nametoindex("tap0"), SOON_MS));
	EXPECT_TRUE(wait_until(!unload("tapxfer"), SOON_MS));
	EXPECT_TRUE(wait_until(packets() < self->before + self->sent / 4,
			       SOON_MS));
	ASSERT_EQ(0, shell("modprobe tapxfer"));
}

/* Files that had the fence's operations have the driver's: nothing is gone. */
TEST_F(lifetime, files_of_a_module_that_was_unloaded)
{
	int64_t n;
	int q;

	BEGIN();
	if (variant->state != TAPXFER_STATE_DRAINING)
		ASSERT_EQ(0, xfer_abort(&self->x));
	/* what no ring of the device's length takes is the handover's */
	if (self->sent > MANY)
		EXPECT_EQ(-EAGAIN, unload("tapxfer"));
	for (q = 0; self->sent - (long)self->t.got > SOME / 2; q++)
		ASSERT_LE(0, tap_read_one(&self->tap, q % QUEUES, &self->t));
	EXPECT_TRUE(wait_until(!unload("tapxfer"), SOON_MS));
	n = tap_read_all(&self->tap, &self->t);
	EXPECT_LT(0, n);
	EXPECT_EQ(self->sent, (long)self->t.got);
	EXPECT_EQ(0, self->t.dup + self->t.reordered + self->t.foreign);
	EXPECT_EQ(0, tap_write_one(&self->tap, 0, 0));
	ASSERT_EQ(0, shell("modprobe tapxfer"));
}

/* -- the deadline has the last reference -------------------------------------- */

FIXTURE(orphan) {
	struct xfer x;
	struct sender s;
	long before;
};

FIXTURE_VARIANT(orphan) {
	enum tapxfer_state state;
	bool persist;
};

FIXTURE_VARIANT_ADD(orphan, holding) {
	.state = TAPXFER_STATE_HOLDING, .persist = false,
};

FIXTURE_VARIANT_ADD(orphan, frozen_and_persistent) {
	.state = TAPXFER_STATE_FROZEN, .persist = true,
};

FIXTURE_VARIANT_ADD(orphan, claimed) {
	.state = TAPXFER_STATE_CLAIMED, .persist = false,
};

struct source {
	enum tapxfer_state state;
	bool persist;
	uint32_t id;
	int pipe[2];
};

#define DEADLINE	scaled_ms(4000)	/* ms: enough to look around before */

static int source(void *arg)
{
	struct source *src = arg;
	struct tap tap, claimed;
	struct xfer x;

	if (tap_open(&tap, "tap0", QUEUES, TAP_VM) ||
	    (src->persist && ioctl(tap.fds[0], TUNSETPERSIST, 1)) ||
	    xfer_open(&x) ||
	    xfer_begin(&x, &tap, src->state == TAPXFER_STATE_CLAIMED ?
		       TAPXFER_STATE_FROZEN : src->state, 0, DEADLINE) ||
	    (src->state == TAPXFER_STATE_CLAIMED && xfer_claim(&x, &claimed)))
		return 1;
	if (write(src->pipe[1], &x.id, sizeof(x.id)) != sizeof(x.id))
		return 2;
	pause();
	return 0;
}

FIXTURE_SETUP(orphan)
{
	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, xfer_open(&self->x));
	self->before = packets();
	ASSERT_LE(0, self->before);
}

FIXTURE_TEARDOWN(orphan)
{
	xfer_close(&self->x);
	link_delete("tap0");
}

TEST_F(orphan, is_ended_by_the_deadline)
{
	struct source src = {
		.state = variant->state, .persist = variant->persist,
	};
	uint32_t id;
	pid_t child;

	ASSERT_EQ(0, pipe2(src.pipe, O_CLOEXEC));
	child = child_start(source, &src);
	ASSERT_LT(0, child);
	ASSERT_EQ((ssize_t)sizeof(id), read(src.pipe[0], &id, sizeof(id)));
	ASSERT_EQ(0, kill(child, SIGKILL));
	ASSERT_EQ(128 + SIGKILL, child_wait(child, SOON_MS));
	self->x.id = id;

	/* nobody has the files, and the traffic is held */
	ASSERT_EQ(0, sender_open(&self->s, if_nametoindex("tap0"), FLOWS));
	ASSERT_EQ(0, sender_send(&self->s, MANY));
	EXPECT_LE(0, xfer_state(&self->x));
	EXPECT_EQ(MANY, xfer_u64(&self->x, TAPXFER_A_HANDOVER_HELD));
	EXPECT_EQ(0, xfer_queue_u64(&self->x, 0, TAPXFER_A_QUEUE_HOLDERS));
	EXPECT_LE(self->before + MANY * 3 / 4, packets());

	/* the deadline comes, and with the files go packets and device */
	EXPECT_TRUE(wait_until(module_users() == 0, DEADLINE + SOON_MS));
	EXPECT_TRUE(wait_until(packets() < self->before + MANY / 4, SOON_MS));
	EXPECT_TRUE(wait_until(!if_nametoindex("tap0") == !variant->persist,
			       SOON_MS));
	self->x.id = 0;
	sender_close(&self->s);
	if (variant->persist) {
		struct tap tap;

		/* it can be had again, and there is nothing in it */
		ASSERT_EQ(0, tap_open(&tap, "tap0", QUEUES, TAP_VM));
		ASSERT_EQ(0, tap_set_nonblock(&tap, true));
		EXPECT_EQ(-1, read(tap.fds[0], &id, sizeof(id)));
		EXPECT_EQ(EAGAIN, errno);
		EXPECT_EQ(0, ioctl(tap.fds[0], TUNSETPERSIST, 0));
		tap_close(&tap);
	}
	close(src.pipe[0]);
	close(src.pipe[1]);
}

TEST_HARNESS_MAIN
