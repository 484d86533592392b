// SPDX-License-Identifier: GPL-2.0
/*
 * A thaw, or ready, that is on its way through the claimant's settings, one lock after
 * the other, and what others do meanwhile.
 */
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <kselftest_harness.h>

#include "genl.h"
#include "net.h"
#include "tap.h"
#include "util.h"
#include "waiter.h"
#include "xfer.h"

#define QUEUES	2
#define LOCKS	18	/* more than a thaw takes */
#define MORE	(10 * LOCKS)

/* Two of another device who take turns at keeping rtnl */
struct keepers {
	struct tap tap;
	struct {
		struct stall stall;
		struct waiter sets;
	} k[2];
	int has;	/* which of them */
};

FIXTURE(applying) {
	struct tap tap;
	struct tap claimed;
	struct xfer x;
	struct xfer second;	/* somebody else's, of the same handover */
	struct waiter call;
	struct genl g;
	uint8_t *scratch;	/* NULL, or the call's, which is made by @g then */
	struct keepers keepers;
};

static long do_thaw(void *arg)
{
	return xfer_thaw_shared(arg);
}

static long do_ready(void *arg)
{
	return xfer_ready(arg, TAPXFER_THAW_SHARED);
}

static long do_talk(void *arg)
{
	return genl_talk(arg);
}

FIXTURE_VARIANT(applying) {
	long (*fn)(void *arg);
	uint8_t cmd;
};

FIXTURE_VARIANT_ADD(applying, thaw) {
	.fn = do_thaw,
	.cmd = TAPXFER_CMD_THAW,
};

FIXTURE_VARIANT_ADD(applying, ready) {
	.fn = do_ready,
	.cmd = TAPXFER_CMD_READY,
};

FIXTURE_SETUP(applying)
{
	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", QUEUES, TAP_VM));
	ASSERT_EQ(0, tap_open(&self->keepers.tap, "tap1", 1, TAP_VM));
	ASSERT_EQ(0, xfer_open(&self->x));
	ASSERT_EQ(0, xfer_open(&self->second));
	ASSERT_EQ(0, genl_open(&self->g));
}

FIXTURE_TEARDOWN(applying)
{
	self->second.id = 0;
	xfer_close(&self->second);
	xfer_close(&self->x);
	genl_close(&self->g);
	tap_close(&self->claimed);
	tap_close(&self->tap);
	tap_close(&self->keepers.tap);
}

static bool wants_rtnl(const struct waiter *w)
{
	pid_t tid = __atomic_load_n(&w->tid, __ATOMIC_ACQUIRE);

	return tid && task_state(tid) == 'D';
}

static int keepers_go(struct keepers *k, int which)
{
	struct waiter *w = &k->k[which].sets;

	if (stall_open(&k->k[which].stall))
		return -1;
	w->op = WAITER_IOCTL;
	w->fd = k->tap.fds[0];
	w->request = TUNSETSNDBUF;
	w->buf = k->k[which].stall.page;
	return waiter_go(w);
}

static bool keepers_done(struct keepers *k)
{
	int sndbuf = 1 << 20;
	bool done;

	stall_release(&k->k[k->has].stall, &sndbuf, sizeof(sndbuf));
	done = waiter_wait(&k->k[k->has].sets, SOON_MS);
	stall_close(&k->k[k->has].stall);
	return done;
}

/* Whoever waits gets it in between, once. */
static int keepers_turn(struct keepers *k)
{
	int next = !k->has;

	if (keepers_go(k, next) ||
	    !wait_until(wants_rtnl(&k->k[next].sets), SOON_MS) ||
	    !keepers_done(k) || !stall_wait(&k->k[next].stall, SOON_MS))
		return -1;
	k->has = next;
	return 0;
}

/*
 * All threads on one CPU; who is urgent, as those that are begun from then on, gets a
 * lock before who has just let go of it and wants it again.
 */
static int become_urgent(bool yes)
{
	struct sched_param param = { .sched_priority = yes };
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	return sched_setaffinity(0, sizeof(set), &set) ?:
	       sched_setscheduler(0, yes ? SCHED_FIFO : SCHED_OTHER, &param);
}

static long do_abort(void *arg)
{
	return xfer_abort(arg);
}

/* @sndbuf: or 0 */
static int set_all(int fd, int hdr, int le, int sndbuf, unsigned long offloads)
{
	return ioctl(fd, TUNSETVNETHDRSZ, &hdr) ?:
	       ioctl(fd, TUNSETVNETLE, &le) ?:
	       (sndbuf ? ioctl(fd, TUNSETSNDBUF, &sndbuf) : 0) ?:
	       ioctl(fd, TUNSETOFFLOAD, offloads);
}

static void make(FIXTURE_DATA(applying) *self,
		 const FIXTURE_VARIANT(applying) *variant)
{
	genl_go_on(&self->g, variant->cmd, self->x.id, self->x.token.bytes);
	mnl_attr_put(self->g.req, TAPXFER_A_HANDOVER_SHARED, 0, NULL);
	mnl_attr_put_u64(self->g.req, TAPXFER_A_HANDOVER_SCRATCH,
			 (uintptr_t)self->scratch);
}

/*
 * Begin the call of a claimant with settings of its own, which has rtnl so many times
 * before it waits for it, or is done. @extra: NULL, or another file of the device; the
 * claimant sets no send buffer then.
 */
static void begin(struct __test_metadata *_metadata,
		  FIXTURE_DATA(applying) *self,
		  const FIXTURE_VARIANT(applying) *variant, int times,
		  int *extra)
{
	ASSERT_EQ(0, become_urgent(false));
	ASSERT_EQ(0, set_all(self->tap.fds[0], 12, 0, INT_MAX, 0));
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, 0,
				0));
	self->second.id = self->x.id;
	self->second.token = self->x.token;
	ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed));
	ASSERT_EQ(0, set_all(self->claimed.fds[0], 20, 1, extra ? 0 : 1 << 20,
			     TUN_F_CSUM));
	if (self->scratch) {
		ASSERT_EQ(0, tap_detach(self->claimed.fds[1], true));
		make(self, variant);
	}
	if (extra) {
		*extra = tap_queue("tap0", TAP_VM);
		ASSERT_LE(0, *extra);
	}

	self->keepers.has = 0;
	ASSERT_EQ(0, keepers_go(&self->keepers, 0));
	ASSERT_TRUE(stall_wait(&self->keepers.k[0].stall, SOON_MS));
	self->call.op = WAITER_CALL;
	self->call.fn = self->scratch ? do_talk : variant->fn;
	self->call.arg = self->scratch ? (void *)&self->g : &self->x;
	ASSERT_EQ(0, waiter_go(&self->call));
	ASSERT_TRUE(wait_until(wants_rtnl(&self->call), SOON_MS));
	ASSERT_EQ(0, become_urgent(true));
	while (times--)
		ASSERT_EQ(0, keepers_turn(&self->keepers));
}

static void end(struct __test_metadata *_metadata, FIXTURE_DATA(applying) *self)
{
	ASSERT_TRUE(waiter_wait(&self->call, SOON_MS));
	self->x.id = 0;
	tap_close(&self->claimed);
}

/*
 * What is on its way to the driver when the handover ends is not to get there when the
 * device's next one is frozen.
 */
TEST_F_TIMEOUT(applying, an_abort_waits_for_a_setting_on_its_way, 120)
{
	struct waiter second = {
		.op = WAITER_CALL, .fn = do_abort, .arg = &self->second,
	};
	int times, ended = 0, waited = 0, last = 0;
	struct tap_settings now;
	struct xfer asker;
	bool waits, done;
	int64_t asked;

	ASSERT_EQ(0, xfer_open(&asker));
	/* also the last of them, of which ready might think that it is done */
	for (times = 0; times < 2 * LOCKS ||
	     (!(variant->fn == do_ready ? last : waited) && times < MORE);
	     times++) {
		begin(_metadata, self, variant, times % LOCKS, NULL);
		asker.id = self->x.id;
		asked = now_ms();
		/* before the claimant when both can go on, and the next time after */
		ASSERT_EQ(0, become_urgent(!(times / LOCKS % 2)));
		ASSERT_EQ(0, waiter_go(&second));
		done = waiter_wait(&second, 300);
		/* for a second, not longer; ready it may wait for rtnl instead */
		waits = !done && xfer_state(&asker) == TAPXFER_STATE_CLAIMED &&
			now_ms() - asked < 900;
		ASSERT_TRUE(keepers_done(&self->keepers));
		if (!done)
			ASSERT_TRUE(waiter_wait(&second, SOON_MS));
		end(_metadata, self);
		waited += waits;
		if (self->call.ret) {
			EXPECT_EQ(-ECANCELED, self->call.ret);
			EXPECT_EQ(0, second.ret);
			ended++;
			ASSERT_EQ(0, tap_settings(self->tap.fds[0], &now));
			/* when it was the first to go on */
			last += waits && now.csum && times / LOCKS % 2;
		} else if (variant->fn == do_thaw) {
			/* this was the end */
			EXPECT_EQ(-ENOENT, second.ret);
		} else {
			/* all is put back */
			EXPECT_EQ(0, second.ret);
			EXPECT_FALSE(waits);
		}
	}
	TH_LOG("%d aborts in time, %d waited, %d for the last", ended, waited,
	       last);
	/* while the driver was asked; not before, nor in between */
	EXPECT_LT(0, waited);
	EXPECT_LT(waited, ended);
	asker.id = 0;
	xfer_close(&asker);
}

/* Others may set meanwhile what the record does not have. */
static void hides_nothing(struct __test_metadata *_metadata,
			  FIXTURE_DATA(applying) *self,
			  const FIXTURE_VARIANT(applying) *variant,
			  unsigned long request, void *arg)
{
	struct waiter other = {
		.op = WAITER_IOCTL, .request = request, .buf = arg,
	};
	struct waiter setter = { .op = WAITER_IOCTL, .request = TUNSETVNETLE };
	bool waits, done, meanwhile;
	int times, le = 1, met = 0;

	setter.buf = &le;
	/* so that nobody tells of it */
	ASSERT_EQ(0, shell("ip link set tap0 down"));
	for (times = 0; times < LOCKS || (!met && times < MORE); times++) {
		begin(_metadata, self, variant, times % LOCKS, &other.fd);
		setter.fd = self->claimed.fds[0];
		ASSERT_EQ(0, waiter_go(&setter));
		/* it does while they are applied */
		waits = !waiter_wait(&setter, scaled_ms(200));
		ASSERT_EQ(0, waiter_go(&other));
		ASSERT_TRUE(wait_until(wants_rtnl(&other), SOON_MS));
		/* the call's turn, then that one's: seldom is the call done then */
		ASSERT_EQ(0, keepers_turn(&self->keepers));
		done = waiter_wait(&other, 100);
		meanwhile = waits && done && wants_rtnl(&self->call);
		ASSERT_TRUE(keepers_done(&self->keepers));
		if (!done)
			ASSERT_TRUE(waiter_wait(&other, SOON_MS));
		ASSERT_EQ(0, other.ret);
		if (waits)
			ASSERT_TRUE(waiter_wait(&setter, SOON_MS));
		end(_metadata, self);
		ASSERT_EQ(0, self->call.ret) TH_LOG("%s", xfer_why(&self->x));
		met += meanwhile;
		if (meanwhile)
			EXPECT_TRUE(xfer_u64(&self->x,
					     TAPXFER_A_HANDOVER_VIOLATED) &
				    TAPXFER_VIOLATION_SETTINGS)
				TH_LOG("after %d", times % LOCKS);
		if (variant->fn == do_ready)
			ASSERT_EQ(0, xfer_abort(&self->second));
		ASSERT_EQ(0, ioctl(other.fd, TUNSETPERSIST, 0));
		close(other.fd);
	}
	TH_LOG("%d met", met);
	EXPECT_LT(0, met);
}

TEST_F_TIMEOUT(applying, hides_no_settings_of_others, 120)
{
	hides_nothing(_metadata, self, variant, TUNSETPERSIST, (void *)1);
}

/* Which it may have, but this one has not. */
TEST_F_TIMEOUT(applying, hides_no_send_buffer_of_others, 120)
{
	int sndbuf = 4096;

	hides_nothing(_metadata, self, variant, TUNSETSNDBUF, &sndbuf);
}

/* Whether the device has detached queues, which a claimant's files do not tell. */
static bool has_detached(FIXTURE_DATA(applying) *self)
{
	struct tapxfer_info *dev;
	bool has;

	if (tapxfer_dev_get(self->second.tx, self->tap.ifindex, -1, &dev))
		return false;
	has = tapxfer_info_u64(dev, TAPXFER_A_DEV_NUM_DETACHED);
	tapxfer_info_free(dev);
	return has;
}

/* What the claimant has set before its memory went away is its own at the next try. */
TEST_F_TIMEOUT(applying, goes_on_where_it_failed, 120)
{
	int times, halfway = 0, size = getpagesize();
	const struct nlattr *violated;
	bool moved;

	self->scratch = mmap(NULL, size, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->scratch);
	/* so that nobody looks as it is set */
	ASSERT_EQ(0, shell("ip link set tap0 down"));
	for (times = 0; times < LOCKS; times++) {
		begin(_metadata, self, variant, times, NULL);
		ASSERT_EQ(0, mprotect(self->scratch, size, PROT_READ));
		ASSERT_TRUE(keepers_done(&self->keepers));
		ASSERT_TRUE(waiter_wait(&self->call, SOON_MS));
		ASSERT_EQ(0, mprotect(self->scratch, size,
				      PROT_READ | PROT_WRITE));
		moved = has_detached(self);
		if (self->call.ret) {
			EXPECT_EQ(-EFAULT, self->call.ret);
			halfway += moved;
			make(self, variant);
			ASSERT_EQ(0, genl_talk(&self->g))
				TH_LOG("%s", self->g.msg);
		}
		violated = genl_attr(&self->g, TAPXFER_A_HANDOVER_VIOLATED);
		/* or the files could not be asked what there is */
		if (moved)
			EXPECT_EQ(0, violated ? mnl_attr_get_u32(violated) : 0)
				TH_LOG("after %d", times);
		if (variant->cmd == TAPXFER_CMD_READY)
			ASSERT_EQ(0, xfer_abort(&self->second));
		end(_metadata, self);
		if (has_detached(self))
			ASSERT_EQ(0, tap_detach(self->tap.fds[1], false));
	}
	TH_LOG("%d halfway", halfway);
	EXPECT_LT(0, halfway);
	munmap(self->scratch, size);
}

TEST_HARNESS_MAIN
