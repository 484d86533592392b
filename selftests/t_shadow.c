// SPDX-License-Identifier: GPL-2.0
/*
 * G3 and G4: what a claimant sets is recorded, and told to it; nobody else
 * sees it, and but for ready and thaw nothing ever comes of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/ioctl.h>

#include <kselftest_harness.h>

#include <net/if_arp.h>

#include <linux/ethtool.h>
#include <linux/filter.h>
#include <linux/sockios.h>

#include "genl.h"
#include "net.h"
#include "outside.h"
#include "tap.h"
#include "util.h"
#include "waiter.h"
#include "xfer.h"

#define QUEUES	3
#define SNDBUF	123456

/* What the claimant sets, all of it other than the source's */
#define HDR		20
#define LE		1
#define CLAIMED_SNDBUF	54321
#define DETACHED	2	/* a queue */

FIXTURE(shadow) {
	struct tap tap;
	struct tap claimed;
	struct xfer x;
	struct genl g;
	struct outside before;
	unsigned int deadline;
};

FIXTURE_SETUP(shadow)
{
	int sndbuf = SNDBUF;

	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", QUEUES, TAP_VM));
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, true));
	ASSERT_EQ(0, ioctl(self->tap.fds[0], TUNSETSNDBUF, &sndbuf));
	/* one that the source's guest did not use */
	ASSERT_EQ(0, tap_detach(self->tap.fds[1], true));
	ASSERT_EQ(0, xfer_open(&self->x));
	ASSERT_EQ(0, genl_open(&self->g));
	ASSERT_EQ(0, outside_get("tap0", self->tap.fds[0], &self->before));
	ASSERT_EQ(QUEUES - 1, self->before.queues);
}

FIXTURE_TEARDOWN(shadow)
{
	xfer_close(&self->x);
	genl_close(&self->g);
	link_delete("tap0");
	tap_close(&self->claimed);
	tap_close(&self->tap);
}

#define FREEZE() \
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, 0, \
				self->deadline))

#define CLAIM() do { \
	FREEZE(); \
	ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed)); \
	ASSERT_EQ(QUEUES, self->claimed.n); \
} while (0)

/* 0 or -errno */
static int set_int(int fd, unsigned long cmd, int val)
{
	return ioctl(fd, cmd, &val) ? -errno : 0;
}

static int set_value(int fd, unsigned long cmd, unsigned long val)
{
	return ioctl(fd, cmd, val) ? -errno : 0;
}

/* The value, or -errno */
static int get_int(int fd, unsigned long cmd)
{
	int val;

	return ioctl(fd, cmd, &val) ? -errno : val;
}

/* As a VMM would: 0 or -errno. */
static int set_all(const struct tap *t)
{
	return set_int(t->fds[0], TUNSETVNETHDRSZ, HDR) ?:
	       set_int(t->fds[1], TUNSETVNETLE, LE) ?:
	       set_value(t->fds[0], TUNSETOFFLOAD, 0) ?:
	       set_int(t->fds[2], TUNSETSNDBUF, CLAIMED_SNDBUF) ?:
	       set_int(t->fds[0], TUNSETSTEERINGEBPF, -1) ?:
	       set_int(t->fds[0], TUNSETFILTEREBPF, -1) ?:
	       tap_detach(t->fds[DETACHED], true) ?:
	       tap_detach(t->fds[1], false);
}

#define EXPECT_UNCHANGED(fd) do { \
	struct outside now_; \
	\
	ASSERT_EQ(0, outside_get("tap0", fd, &now_)); \
	EXPECT_EQ(self->before.queues, now_.queues); \
	EXPECT_EQ(self->before.s.hdr, now_.s.hdr); \
	EXPECT_EQ(self->before.s.le, now_.s.le); \
	EXPECT_EQ(self->before.s.sndbuf, now_.s.sndbuf); \
	EXPECT_EQ(self->before.s.csum, now_.s.csum); \
	EXPECT_EQ(0, memcmp(&self->before, &now_, sizeof(now_))); \
} while (0)

/* Of all files, what was set through any. */
#define EXPECT_RECORDED(tap) do { \
	int q_; \
	\
	for (q_ = 0; q_ < QUEUES; q_++) { \
		EXPECT_EQ(HDR, get_int((tap)->fds[q_], TUNGETVNETHDRSZ)); \
		EXPECT_EQ(LE, get_int((tap)->fds[q_], TUNGETVNETLE)); \
		EXPECT_EQ(CLAIMED_SNDBUF, get_int((tap)->fds[q_], \
						  TUNGETSNDBUF)); \
		EXPECT_EQ(q_ == DETACHED, tap_is_detached((tap)->fds[q_])); \
	} \
} while (0)

/* As the source left it, by whoever asks. */
#define EXPECT_SOURCES(tap) do { \
	int q_; \
	\
	for (q_ = 0; q_ < QUEUES; q_++) { \
		EXPECT_EQ(12, get_int((tap)->fds[q_], TUNGETVNETHDRSZ)); \
		EXPECT_EQ(0, get_int((tap)->fds[q_], TUNGETVNETLE)); \
		EXPECT_EQ(SNDBUF, get_int((tap)->fds[q_], TUNGETSNDBUF)); \
		EXPECT_EQ(q_ == 1, tap_is_detached((tap)->fds[q_])); \
	} \
} while (0)

#define EXPECT_APPLIED(fd) do { \
	struct outside now_; \
	int q_; \
	\
	ASSERT_EQ(0, outside_get("tap0", fd, &now_)); \
	EXPECT_EQ(QUEUES - 1, now_.queues); \
	EXPECT_EQ(1, now_.detached); \
	EXPECT_EQ(HDR, now_.s.hdr); \
	EXPECT_EQ(LE, now_.s.le); \
	EXPECT_EQ(CLAIMED_SNDBUF, now_.s.sndbuf); \
	EXPECT_FALSE(now_.s.csum); \
	EXPECT_FALSE(now_.s.tso); \
	for (q_ = 0; q_ < QUEUES; q_++) { \
		struct ifreq ifr_; \
		\
		ASSERT_EQ(0, ioctl(self->claimed.fds[q_], TUNGETIFF, &ifr_)); \
		EXPECT_EQ(q_ == DETACHED, \
			  !!(ifr_.ifr_flags & IFF_DETACH_QUEUE)); \
	} \
} while (0)

TEST_F(shadow, the_claimant_sees_its_settings_and_nobody_else_does)
{
	int val, q;

	CLAIM();
	EXPECT_SOURCES(&self->claimed);
	ASSERT_EQ(0, set_all(&self->claimed));
	EXPECT_RECORDED(&self->claimed);
	/* the claimant is who asks, whatever descriptor it has */
	EXPECT_RECORDED(&self->tap);
	EXPECT_UNCHANGED(self->tap.fds[0]);
	for (q = 0; q < QUEUES; q++) {
		EXPECT_EQ(0, outside_get_int(self->claimed.fds[q],
					     TUNGETVNETHDRSZ, &val));
		EXPECT_EQ(12, val);
		EXPECT_EQ(0, outside_get_int(self->claimed.fds[q],
					     TUNGETSNDBUF, &val));
		EXPECT_EQ(SNDBUF, val);
		EXPECT_EQ(0, outside_get_int(self->claimed.fds[q],
					     TUNGETVNETLE, &val));
		EXPECT_EQ(0, val);
	}
	/* and the export stays what was frozen */
	ASSERT_EQ(0, xfer_get(&self->x));
	EXPECT_EQ(12, xfer_dev_u64(&self->x, TAPXFER_A_DEV_VNET_HDR_SZ));
	EXPECT_EQ(SNDBUF, xfer_dev_u64(&self->x, TAPXFER_A_DEV_SNDBUF));
	EXPECT_EQ(1, xfer_dev_u64(&self->x, TAPXFER_A_DEV_NUM_DETACHED));
}

static long set_all_call(void *arg)
{
	return set_all(arg);
}

/* The claim is the thread group's. */
TEST_F(shadow, any_thread_of_the_claimant_sets)
{
	struct waiter w = {
		.op = WAITER_CALL, .fn = set_all_call, .arg = &self->claimed,
	};

	CLAIM();
	ASSERT_EQ(0, waiter_go(&w));
	ASSERT_TRUE(waiter_wait(&w, SOON_MS));
	EXPECT_EQ(0, w.ret);
	EXPECT_RECORDED(&self->claimed);
	EXPECT_UNCHANGED(self->tap.fds[0]);
}

TEST_F(shadow, a_thaw_applies_them)
{
	CLAIM();
	ASSERT_EQ(0, set_all(&self->claimed));
	tap_close(&self->tap);
	ASSERT_EQ(0, xfer_thaw(&self->x))
		TH_LOG("%s", xfer_why(&self->x));
	EXPECT_APPLIED(self->claimed.fds[0]);
	/* the driver's own again */
	EXPECT_EQ(0, set_int(self->claimed.fds[0], TUNSETVNETHDRSZ, 12));
	EXPECT_EQ(-EINVAL, tap_detach(self->claimed.fds[DETACHED], true));
}

/* Of settings set twice the last counts; of what was not set, the source's. */
TEST_F(shadow, a_thaw_applies_the_last_and_no_more)
{
	struct outside now;

	CLAIM();
	ASSERT_EQ(0, set_int(self->claimed.fds[0], TUNSETVNETHDRSZ, 10));
	ASSERT_EQ(0, tap_detach(self->claimed.fds[0], true));
	ASSERT_EQ(0, set_int(self->claimed.fds[1], TUNSETVNETHDRSZ, HDR));
	ASSERT_EQ(0, tap_detach(self->claimed.fds[0], false));
	tap_close(&self->tap);
	ASSERT_EQ(0, xfer_thaw(&self->x));
	ASSERT_EQ(0, outside_get("tap0", self->claimed.fds[0], &now));
	self->before.s.hdr = HDR;
	EXPECT_EQ(0, memcmp(&self->before, &now, sizeof(now)));
}

/*
 * Who sets what was exported changes nothing, unless it is not there any more: while
 * the device is down a queue comes and goes that nobody tells of.
 */
TEST_F(shadow, a_thaw_applies_what_was_exported_where_it_is_not)
{
	struct outside now;
	uint64_t offloads;
	int fd;

	CLAIM();
	offloads = xfer_dev_u64(&self->x, TAPXFER_A_DEV_OFFLOADS);
	ASSERT_NE(0, offloads);
	ASSERT_EQ(0, link_down("tap0"));
	fd = tap_queue("tap0", TAP_VM);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, set_int(fd, TUNSETVNETHDRSZ, HDR));
	ASSERT_EQ(0, set_int(fd, TUNSETVNETLE, LE));
	ASSERT_EQ(0, set_value(fd, TUNSETOFFLOAD, 0));
	ASSERT_EQ(0, set_int(fd, TUNSETSNDBUF, 4711));
	close(fd);
	ASSERT_EQ(0, set_int(self->claimed.fds[0], TUNSETVNETHDRSZ, 12));
	ASSERT_EQ(0, set_int(self->claimed.fds[0], TUNSETVNETLE, 0));
	ASSERT_EQ(0, set_value(self->claimed.fds[0], TUNSETOFFLOAD, offloads));
	ASSERT_EQ(0, set_int(self->claimed.fds[0], TUNSETSNDBUF, SNDBUF));
	tap_close(&self->tap);
	ASSERT_EQ(0, xfer_thaw(&self->x));
	EXPECT_NE(0, xfer_u64(&self->x, TAPXFER_A_HANDOVER_VIOLATED));
	ASSERT_EQ(0, outside_get("tap0", self->claimed.fds[0], &now));
	EXPECT_EQ(0, memcmp(&self->before.s, &now.s, sizeof(now.s)));
}

static int set_tso(const char *name, uint32_t on)
{
	struct ethtool_value val = { .cmd = ETHTOOL_STSO, .data = on };
	struct ifreq ifr = { .ifr_data = (char *)&val };
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int err;

	strcpy(ifr.ifr_name, name);
	err = ioctl(sock, SIOCETHTOOL, &ifr) ? -errno : 0;
	close(sock);
	return err;
}

/* What is in use is less than what was allowed, and a claimant allows no more. */
TEST_F(shadow, a_thaw_applies_offloads_that_are_allowed_and_not_in_use)
{
	uint64_t offloads;
	struct outside now;

	ASSERT_TRUE(self->before.s.tso);
	ASSERT_EQ(0, set_tso("tap0", 0));
	CLAIM();
	offloads = xfer_dev_u64(&self->x, TAPXFER_A_DEV_OFFLOADS);
	EXPECT_EQ(0, offloads & (TUN_F_TSO4 | TUN_F_TSO6));
	ASSERT_EQ(0, set_value(self->claimed.fds[0], TUNSETOFFLOAD, offloads));
	tap_close(&self->tap);
	ASSERT_EQ(0, xfer_thaw(&self->x));
	ASSERT_EQ(0, set_tso("tap0", 1));
	ASSERT_EQ(0, outside_get("tap0", self->claimed.fds[0], &now));
	EXPECT_TRUE(now.s.csum);
	EXPECT_FALSE(now.s.tso);
}

TEST_F(shadow, ready_applies_them)
{
	CLAIM();
	ASSERT_EQ(0, set_all(&self->claimed));
	EXPECT_UNCHANGED(self->tap.fds[0]);
	tap_close(&self->tap);
	genl_go_on(&self->g, TAPXFER_CMD_READY, self->x.id, &self->x.token);
	ASSERT_EQ(0, genl_talk(&self->g))
		TH_LOG("%s", self->g.msg);
	EXPECT_EQ(TAPXFER_STATE_READY, xfer_state(&self->x));
	EXPECT_EQ(HDR, get_int(self->claimed.fds[0], TUNGETVNETHDRSZ));
	EXPECT_EQ(LE, get_int(self->claimed.fds[0], TUNGETVNETLE));
	EXPECT_EQ(DETACHED == 2, tap_is_detached(self->claimed.fds[2]));
	ASSERT_EQ(0, xfer_thaw(&self->x));
	EXPECT_APPLIED(self->claimed.fds[0]);
}

/* The module has a limit of its own while a freeze waits: anyone else may, too. */
TEST_F(shadow, a_limit_like_the_modules_own_is_the_claimants)
{
	CLAIM();
	ASSERT_EQ(0, set_int(self->claimed.fds[0], TUNSETSNDBUF, INT_MAX - 1));
	tap_close(&self->tap);
	ASSERT_EQ(0, xfer_thaw(&self->x))
		TH_LOG("%s", xfer_why(&self->x));
	EXPECT_EQ(INT_MAX - 1, get_int(self->claimed.fds[0], TUNGETSNDBUF));
}

TEST_F(shadow, a_limit_like_the_modules_own_outlives_ready)
{
	CLAIM();
	ASSERT_EQ(0, set_int(self->claimed.fds[0], TUNSETSNDBUF, INT_MAX - 1));
	tap_close(&self->tap);
	genl_go_on(&self->g, TAPXFER_CMD_READY, self->x.id, &self->x.token);
	ASSERT_EQ(0, genl_talk(&self->g))
		TH_LOG("%s", self->g.msg);
	ASSERT_EQ(0, xfer_thaw(&self->x));
	EXPECT_EQ(INT_MAX - 1, get_int(self->claimed.fds[0], TUNGETSNDBUF));
}

TEST_F(shadow, a_limit_like_the_modules_own_is_the_sources)
{
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_HOLDING, 0,
				0));
	ASSERT_EQ(0, set_int(self->tap.fds[0], TUNSETSNDBUF, INT_MAX - 1));
	ASSERT_EQ(0, xfer_abort(&self->x));
	EXPECT_EQ(INT_MAX - 1, get_int(self->tap.fds[0], TUNGETSNDBUF));
}

TEST_F(shadow, an_abort_leaves_no_trace)
{
	CLAIM();
	ASSERT_EQ(0, set_all(&self->claimed));
	ASSERT_EQ(0, xfer_abort(&self->x));
	EXPECT_UNCHANGED(self->tap.fds[0]);
	EXPECT_SOURCES(&self->tap);
	EXPECT_EQ(-EINVAL, tap_detach(self->tap.fds[1], true));
}

TEST_F(shadow, the_deadline_leaves_no_trace)
{
	self->deadline = scaled_ms(5000);
	CLAIM();
	ASSERT_EQ(0, set_all(&self->claimed));
	EXPECT_RECORDED(&self->claimed);
	ASSERT_TRUE(wait_until(!xfer_is_live(&self->x),
			       self->deadline + SOON_MS));
	EXPECT_UNCHANGED(self->tap.fds[0]);
	EXPECT_SOURCES(&self->tap);
}

static int claim_and_set(void *arg)
{
	FIXTURE_DATA(shadow) *self = arg;
	struct tap claimed = {};
	struct xfer x = {};

	if (xfer_open(&x))
		return 1;
	x.id = self->x.id;
	x.token = self->x.token;
	if (xfer_claim(&x, &claimed))
		return 2;
	if (set_all(&claimed))
		return 3;
	return get_int(claimed.fds[0], TUNGETVNETHDRSZ) == HDR ? 0 : 4;
}

/* The next claim begins with what was exported. */
TEST_F(shadow, the_claimants_death_leaves_no_trace)
{
	pid_t child;

	FREEZE();
	child = child_start(claim_and_set, self);
	ASSERT_LT(0, child);
	ASSERT_EQ(0, child_wait(child, SOON_MS));
	ASSERT_TRUE(wait_until(xfer_state(&self->x) == TAPXFER_STATE_FROZEN,
			       SOON_MS));
	EXPECT_UNCHANGED(self->tap.fds[0]);
	ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed));
	EXPECT_SOURCES(&self->claimed);
	tap_close(&self->tap);
	ASSERT_EQ(0, xfer_thaw(&self->x));
	EXPECT_SOURCES(&self->claimed);
	EXPECT_UNCHANGED(self->claimed.fds[0]);
}

/* -- values ----------------------------------------------------------------- */

/* Every value is refused that the driver refuses, and no other. */
TEST_F(shadow, offloads_are_refused_as_the_driver_refuses_them)
{
	static int driver[0x400];
	struct tap own;
	int i, taken = 0;

	ASSERT_EQ(0, tap_open(&own, "own0", 1, TAP_VM));
	for (i = 0; i < 0x400; i++) {
		driver[i] = set_value(own.fds[0], TUNSETOFFLOAD, i);
		taken += !driver[i];
	}
	/* or there would be nothing to compare */
	ASSERT_LT(1, taken);
	ASSERT_GT(0x400, taken);
	CLAIM();
	for (i = 0; i < 0x400; i++) {
		/* the first will do */
		ASSERT_EQ(driver[i], set_value(self->claimed.fds[i % QUEUES],
					       TUNSETOFFLOAD, i))
			TH_LOG("%#x", i);
	}
	EXPECT_UNCHANGED(self->tap.fds[0]);
	tap_close(&own);
}

TEST_F(shadow, sizes_and_addresses_are_refused_as_the_driver_refuses_them)
{
	static const struct {
		unsigned long cmd;
		int val;
	} vals[] = {
		{ TUNSETVNETHDRSZ, INT_MIN }, { TUNSETVNETHDRSZ, -1 },
		{ TUNSETVNETHDRSZ, 0 }, { TUNSETVNETHDRSZ, 9 },
		{ TUNSETVNETHDRSZ, 10 }, { TUNSETVNETHDRSZ, 11 },
		{ TUNSETVNETHDRSZ, 12 }, { TUNSETVNETHDRSZ, 4096 },
		{ TUNSETSNDBUF, INT_MIN }, { TUNSETSNDBUF, -1 },
		{ TUNSETSNDBUF, 0 }, { TUNSETSNDBUF, 1 },
		{ TUNSETSNDBUF, INT_MAX },
		{ TUNSETVNETLE, 2 }, { TUNSETVNETLE, -1 }, { TUNSETVNETLE, 0 },
		{ TUNSETVNETBE, 0 }, { TUNSETVNETBE, 1 },
		{ TUNSETSTEERINGEBPF, -1 }, { TUNSETFILTEREBPF, -1 },
	};
	static const unsigned long getters[] = {
		TUNGETVNETHDRSZ, TUNGETSNDBUF, TUNGETVNETLE, TUNGETVNETBE,
	};
	struct tap own;
	size_t i, k;

	/* side by side: each call has the same answer, and getters after it */
	ASSERT_EQ(0, tap_open(&own, "own0", QUEUES, TAP_VM));
	ASSERT_EQ(0, set_int(own.fds[0], TUNSETSNDBUF, SNDBUF));
	CLAIM();
	for (i = 0; i < ARRAY_SIZE(vals); i++) {
		EXPECT_EQ(set_int(own.fds[0], vals[i].cmd, vals[i].val),
			  set_int(self->claimed.fds[0], vals[i].cmd,
				  vals[i].val))
			TH_LOG("%#lx %d", vals[i].cmd, vals[i].val);
		EXPECT_EQ(set_value(own.fds[0], vals[i].cmd, 0),
			  set_value(self->claimed.fds[0], vals[i].cmd, 0))
			TH_LOG("%#lx, no memory", vals[i].cmd);
		for (k = 0; k < ARRAY_SIZE(getters); k++) {
			EXPECT_EQ(get_int(own.fds[0], getters[k]),
				  get_int(self->claimed.fds[1], getters[k]))
				TH_LOG("%#lx after %#lx %d", getters[k],
				       vals[i].cmd, vals[i].val);
		}
	}
	/* of another size of argument */
	EXPECT_EQ(-EFAULT, set_value(self->claimed.fds[0], TUNSETQUEUE, 0));
	EXPECT_EQ(-EFAULT, set_value(self->claimed.fds[0], TUNGETVNETHDRSZ, 0));
	EXPECT_UNCHANGED(self->tap.fds[0]);
	tap_close(&own);
}

TEST_F(shadow, queues_are_attached_and_detached_any_number_of_times)
{
	struct ifreq none = {};
	int i, q;

	CLAIM();
	for (i = 0; i < 3; i++)
		EXPECT_EQ(0, tap_detach(self->claimed.fds[1], true));
	EXPECT_EQ(1, tap_is_detached(self->claimed.fds[1]));
	for (i = 0; i < 3; i++)
		EXPECT_EQ(0, tap_detach(self->claimed.fds[1], false));
	EXPECT_EQ(0, tap_is_detached(self->claimed.fds[1]));
	for (i = 0; i < 3; i++)
		EXPECT_EQ(0, tap_detach(self->claimed.fds[0], false));
	EXPECT_EQ(0, tap_is_detached(self->claimed.fds[0]));
	EXPECT_EQ(-EINVAL, set_value(self->claimed.fds[0], TUNSETQUEUE,
				     (unsigned long)&none));
	/* all of them, for a moment */
	for (q = 0; q < QUEUES; q++)
		EXPECT_EQ(0, tap_detach(self->claimed.fds[q], true));
	for (q = 0; q < QUEUES; q++)
		EXPECT_EQ(1, tap_is_detached(self->claimed.fds[q]));
	for (q = 0; q < QUEUES; q++)
		EXPECT_EQ(0, tap_detach(self->claimed.fds[q], q == 1));
	EXPECT_SOURCES(&self->claimed);
	EXPECT_UNCHANGED(self->tap.fds[0]);
	tap_close(&self->tap);
	ASSERT_EQ(0, xfer_thaw(&self->x));
	EXPECT_UNCHANGED(self->claimed.fds[0]);
}

TEST_F(shadow, a_device_of_one_queue_has_none_to_detach)
{
	struct tap one;

	ASSERT_EQ(0, tap_open(&one, "one0", 1, IFF_TAP | IFF_NO_PI |
			      IFF_VNET_HDR));
	ASSERT_EQ(-EINVAL, tap_detach(one.fds[0], true));
	ASSERT_EQ(0, xfer_begin(&self->x, &one, TAPXFER_STATE_FROZEN, 0, 0));
	ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed));
	EXPECT_EQ(-EINVAL, tap_detach(self->claimed.fds[0], true));
	EXPECT_EQ(-EINVAL, tap_detach(self->claimed.fds[0], false));
	tap_close(&one);
}

/* -- who may not, and what may not ------------------------------------------- */

static const struct setter {
	const char *name;
	unsigned long cmd;
	enum { VALUE, INT, QUEUE } arg;
	long val;
} recorded[] = {
#define SETTER(cmd, arg, val) { #cmd, cmd, arg, val }
	SETTER(TUNSETVNETHDRSZ, INT, 10),
	SETTER(TUNSETVNETLE, INT, 1),
	SETTER(TUNSETVNETBE, INT, 1),
	SETTER(TUNSETOFFLOAD, VALUE, 0),
	SETTER(TUNSETSNDBUF, INT, 4711),
	SETTER(TUNSETQUEUE, QUEUE, IFF_DETACH_QUEUE),
	SETTER(TUNSETQUEUE, QUEUE, IFF_ATTACH_QUEUE),
	SETTER(TUNSETSTEERINGEBPF, INT, -1),
	SETTER(TUNSETFILTEREBPF, INT, -1),
};

TEST_F(shadow, nobody_but_the_claimant_sets)
{
	size_t i;

	CLAIM();
	ASSERT_EQ(0, set_all(&self->claimed));
	for (i = 0; i < ARRAY_SIZE(recorded); i++) {
		struct ifreq ifr = { .ifr_flags = recorded[i].val };
		int val = recorded[i].val;
		unsigned long arg;

		arg = recorded[i].arg == VALUE ? (unsigned long)val :
		      recorded[i].arg == INT ? (unsigned long)&val :
					       (unsigned long)&ifr;
		EXPECT_EQ(-EBUSY, outside_ioctl(self->claimed.fds[0],
						recorded[i].cmd, arg))
			TH_LOG("%s", recorded[i].name);
		EXPECT_EQ(-EBUSY, outside_ioctl(self->tap.fds[0],
						recorded[i].cmd, arg))
			TH_LOG("%s", recorded[i].name);
	}
	/* neither the device's nor the record */
	EXPECT_RECORDED(&self->claimed);
	EXPECT_UNCHANGED(self->tap.fds[0]);
}

TEST_F(shadow, other_settings_are_nobodys)
{
	static const struct {
		const char *name;
		unsigned long cmd;
	} others[] = {
#define OTHER(cmd) { #cmd, cmd }
		OTHER(TUNSETIFF), OTHER(TUNSETNOCSUM), OTHER(TUNSETDEBUG),
		OTHER(TUNSETPERSIST), OTHER(TUNSETOWNER), OTHER(TUNSETGROUP),
		OTHER(TUNSETLINK), OTHER(TUNSETTXFILTER),
		OTHER(TUNATTACHFILTER), OTHER(TUNDETACHFILTER),
		OTHER(TUNSETIFINDEX), OTHER(TUNSETCARRIER),
		OTHER(SIOCSIFHWADDR),
		{ "an unknown one", _IOW('T', 250, int) },
	};
	unsigned long zero[32] = {};
	size_t i;
	int q;

	CLAIM();
	for (q = 0; q < QUEUES; q++) {
		for (i = 0; i < ARRAY_SIZE(others); i++) {
			EXPECT_EQ(-EBUSY, set_value(self->claimed.fds[q],
						    others[i].cmd,
						    (unsigned long)zero))
				TH_LOG("%s", others[i].name);
		}
		/* a program, whatever it is */
		EXPECT_EQ(-EBUSY, set_int(self->claimed.fds[q],
					  TUNSETSTEERINGEBPF, 0));
		EXPECT_EQ(-EBUSY, set_int(self->claimed.fds[q],
					  TUNSETFILTEREBPF, 0));
	}
	EXPECT_UNCHANGED(self->tap.fds[0]);
	ASSERT_EQ(0, xfer_abort(&self->x));
	EXPECT_UNCHANGED(self->tap.fds[0]);
}

/* Before the claim it is not yet anybody's, and after the end the driver's. */
TEST_F(shadow, is_between_claim_and_thaw_only)
{
	FREEZE();
	EXPECT_EQ(-EBUSY, set_int(self->tap.fds[0], TUNSETVNETHDRSZ, 10));
	EXPECT_EQ(-EBUSY, tap_detach(self->tap.fds[0], true));
	ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed));
	EXPECT_EQ(0, set_int(self->tap.fds[0], TUNSETVNETHDRSZ, 10));
	ASSERT_EQ(0, xfer_abort(&self->x));
	EXPECT_EQ(12, get_int(self->tap.fds[0], TUNGETVNETHDRSZ));
	EXPECT_EQ(0, outside_ioctl(self->tap.fds[0], TUNSETVNETHDRSZ,
				   (unsigned long)&(int){ HDR }));
	EXPECT_EQ(HDR, get_int(self->tap.fds[0], TUNGETVNETHDRSZ));
}

TEST_HARNESS_MAIN
