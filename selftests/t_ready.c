// SPDX-License-Identifier: GPL-2.0
/*
 * ready: the claimant's settings are the device's and its files are files
 * again, but no packet passes before the thaw.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/filter.h>

#include <kselftest_harness.h>

#include "agent.h"
#include "flow.h"
#include "genl.h"
#include "net.h"
#include "util.h"
#include "waiter.h"

#define QUEUES	3
#define HELD	(2 * TAP_RING)

FIXTURE(ready) {
	struct tap tap;
	struct xfer x;
	struct sender s;
	struct tally t;
	struct capture c;
	struct agent target;
};

FIXTURE_SETUP(ready)
{
	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", QUEUES, TAP_VM));
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, true));
	ASSERT_EQ(0, agent_start(&self->target));
	ASSERT_EQ(0, xfer_open(&self->x));
	ASSERT_EQ(0, sender_open(&self->s, self->tap.ifindex, 16));
	ASSERT_EQ(0, tally_init(&self->t, 1 << 16));
	ASSERT_EQ(0, capture_open(&self->c, self->tap.ifindex));
}

FIXTURE_TEARDOWN(ready)
{
	agent_kill(&self->target);
	xfer_close(&self->x);
	link_delete("tap0");
	tap_close(&self->tap);
	sender_close(&self->s);
	tally_free(&self->t);
	capture_close(&self->c);
}

#define TARGET(fn, a, b) agent_call(&self->target, &self->x, fn, a, b)

#define CLAIM_FOR(deadline_) do { \
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, 0, \
				deadline_)); \
	ASSERT_EQ(0, sender_send(&self->s, HELD)); \
	ASSERT_EQ(0, TARGET(agent_claim, 0, 0)); \
} while (0)

#define CLAIM()	CLAIM_FOR(0)
#define READY()	READY_FOR(0)

#define READY_FOR(deadline_) do { \
	CLAIM_FOR(deadline_); \
	ASSERT_EQ(0, TARGET(agent_set_int, TUNSETVNETHDRSZ, 20)); \
	ASSERT_EQ(0, TARGET(agent_set_int, TUNSETSNDBUF, 70000)); \
	ASSERT_EQ(0, TARGET(agent_set_int, TUNSETOFFLOAD, \
			    TUN_F_CSUM | TUN_F_TSO4)); \
	ASSERT_EQ(0, TARGET(agent_ready, TAPXFER_THAW_SHARED, 0)); \
} while (0)

/* What the device has, past whatever file. */
static int hdr_of(const struct tap *tap)
{
	int hdr = -1;

	return ioctl(tap->fds[0], TUNGETVNETHDRSZ, &hdr) ? -errno : hdr;
}

#define EXPECT_NOTHING_PASSES() do { \
	uint8_t buf_[PACKET_MAX]; \
	int q_; \
	for (q_ = 0; q_ < QUEUES; q_++) { \
		struct pollfd pfd_ = { .fd = self->tap.fds[q_], \
				       .events = POLLIN | POLLOUT }; \
		EXPECT_EQ(0, poll(&pfd_, 1, 0)); \
		EXPECT_EQ(-1, read(self->tap.fds[q_], buf_, sizeof(buf_))); \
		EXPECT_EQ(EAGAIN, errno); \
		EXPECT_EQ(-EAGAIN, tap_write_one(&self->tap, q_, 0)); \
	} \
	EXPECT_EQ(0, capture_read(&self->c)); \
} while (0)

/* The header is longer now, and what reads the packets knows it. */
#define EXPECT_ALL(hdr_) do { \
	self->tap.hdr = (hdr_); \
	EXPECT_EQ(HELD, tap_read_all(&self->tap, &self->t)); \
	EXPECT_EQ(0, tally_lost(&self->t, HELD)); \
	EXPECT_EQ(0, self->t.dup + self->t.reordered + self->t.foreign); \
	EXPECT_EQ(0, self->s.dropped); \
} while (0)

TEST_F(ready, applies_what_was_set_and_nothing_passes_before_the_thaw)
{
	int old = hdr_of(&self->tap);
	int sndbuf = 0;

	CLAIM();
	ASSERT_EQ(0, TARGET(agent_set_int, TUNSETVNETHDRSZ, 20));
	EXPECT_EQ(old, hdr_of(&self->tap));
	ASSERT_EQ(0, TARGET(agent_ready, TAPXFER_THAW_SHARED, 0));
	EXPECT_EQ(TAPXFER_STATE_READY, xfer_state(&self->x));
	EXPECT_EQ(0, xfer_u64(&self->x, TAPXFER_A_HANDOVER_VIOLATED));
	EXPECT_NE(0, xfer_u64(&self->x, TAPXFER_A_HANDOVER_READY_AT));
	EXPECT_EQ(20, hdr_of(&self->tap));
	self->tap.hdr = 20;
	EXPECT_NOTHING_PASSES();
	EXPECT_EQ(HELD, xfer_u64(&self->x, TAPXFER_A_HANDOVER_HELD));

	ASSERT_EQ(0, TARGET(agent_thaw, 0, 0));
	EXPECT_ALL(20);
	EXPECT_EQ(0, tap_write_one(&self->tap, 1, 7));
	EXPECT_TRUE(wait_until(capture_read(&self->c) == 1, SOON_MS));
	ASSERT_EQ(0, ioctl(self->tap.fds[0], TUNGETSNDBUF, &sndbuf));
	EXPECT_LT(0, sndbuf);
}

/* A limit that was set in shadow must not open the write side early. */
TEST_F(ready, a_send_buffer_limit_is_for_the_thaw)
{
	int sndbuf = 0;

	READY();
	self->tap.hdr = 20;
	EXPECT_NOTHING_PASSES();
	ASSERT_EQ(0, TARGET(agent_thaw, 0, 0));
	ASSERT_EQ(0, ioctl(self->tap.fds[0], TUNGETSNDBUF, &sndbuf));
	EXPECT_EQ(70000, sndbuf);
	EXPECT_EQ(0, tap_write_one(&self->tap, 0, 7));
}

TEST_F(ready, settings_are_the_drivers_from_then_on)
{
	READY();
	EXPECT_EQ(0, TARGET(agent_set_int, TUNSETVNETHDRSZ, 12));
	EXPECT_EQ(12, hdr_of(&self->tap));
	EXPECT_EQ(-EINVAL, TARGET(agent_set_int, TUNSETVNETHDRSZ, 9));
	/* also for those who share the files */
	EXPECT_EQ(0, tap_detach(self->tap.fds[1], true));
	EXPECT_EQ(0, tap_detach(self->tap.fds[1], false));
	ASSERT_EQ(0, TARGET(agent_thaw, 0, 0));
	EXPECT_ALL(12);
}

TEST_F(ready, who_reads_and_writes_waits_for_the_thaw)
{
	struct waiter r = { .op = WAITER_READ };
	struct waiter w = { .op = WAITER_WRITE };
	struct waiter early = { .op = WAITER_WRITE };

	ASSERT_EQ(0, tap_set_nonblock(&self->tap, false));
	CLAIM();
	early.fd = self->tap.fds[0];
	early.len = self->tap.hdr +
		    packet_make(early.packet + self->tap.hdr, 0, 0);
	ASSERT_EQ(0, waiter_start(&early));
	ASSERT_EQ(0, TARGET(agent_ready, TAPXFER_THAW_SHARED, 0));
	r.fd = self->tap.fds[1];
	w.fd = self->tap.fds[2];
	w.len = self->tap.hdr + packet_make(w.packet + self->tap.hdr, 0, 1);
	ASSERT_EQ(0, waiter_start(&r));
	ASSERT_EQ(0, waiter_start(&w));
	/* ready has woken it, to sleep in the driver */
	EXPECT_TRUE(wait_until(waiter_sleeps(&early), SOON_MS));
	EXPECT_EQ(0, capture_read(&self->c));
	ASSERT_EQ(0, TARGET(agent_thaw, 0, 0));
	EXPECT_TRUE(waiter_wait(&r, SOON_MS));
	EXPECT_TRUE(waiter_wait(&w, SOON_MS));
	EXPECT_TRUE(waiter_wait(&early, SOON_MS));
	EXPECT_LT(0, r.ret);
	EXPECT_EQ((long)w.len, w.ret);
	EXPECT_EQ((long)early.len, early.ret);
	EXPECT_TRUE(wait_until(capture_read(&self->c) + self->c.t.got >= 2,
			       SOON_MS));
	EXPECT_EQ(0, self->c.t.dup);
}

/* With the settings that were exported. */
TEST_F(ready, an_abort_lets_traffic_go_on)
{
	struct tap_settings before, after;

	ASSERT_EQ(0, tap_settings(self->tap.fds[0], &before));
	READY();
	/* also what was set past the record */
	ASSERT_EQ(0, TARGET(agent_set_int, TUNSETVNETLE, 1));
	ASSERT_EQ(0, tap_detach(self->tap.fds[1], true));
	ASSERT_EQ(0, xfer_abort(&self->x));
	EXPECT_EQ(0, xfer_u64(&self->x, TAPXFER_A_HANDOVER_VIOLATED));
	ASSERT_EQ(0, tap_settings(self->tap.fds[0], &after));
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(after)));
	/* a queue that is attached cannot be attached */
	EXPECT_EQ(-EINVAL, tap_detach(self->tap.fds[1], false));
	EXPECT_ALL(before.hdr);
	EXPECT_EQ(0, tap_write_one(&self->tap, 0, 7));
	/* the target has files still, and a claim no more */
	EXPECT_EQ(0, TARGET(agent_set_int, TUNSETVNETHDRSZ, before.hdr));
	EXPECT_EQ(-ENOENT, TARGET(agent_thaw, 0, 0));
}

/* What it was when a claim was made anew counts, not what the dead one left. */
TEST_F(ready, an_abort_of_the_next_claim_puts_settings_back_too)
{
	int old = hdr_of(&self->tap);
	struct tap claimed = {};

	READY();
	agent_kill(&self->target);
	ASSERT_TRUE(wait_until(xfer_state(&self->x) == TAPXFER_STATE_FROZEN,
			       SOON_MS));
	ASSERT_EQ(0, xfer_claim(&self->x, &claimed));
	EXPECT_EQ(0, ioctl(claimed.fds[0], TUNSETVNETHDRSZ, &(int){ 24 }));
	ASSERT_EQ(0, xfer_abort(&self->x));
	EXPECT_EQ(old, hdr_of(&self->tap));
	tap_close(&claimed);
	EXPECT_ALL(old);
}

static long do_abort(void *arg)
{
	return xfer_abort(arg);
}

/* Somebody keeps the lock that the driver needs: an abort comes all the same. */
TEST_F(ready, an_abort_that_cannot_put_settings_back_is_one)
{
	struct waiter holder = { .op = WAITER_IOCTL, .request = TUNSETSNDBUF };
	struct waiter abort = { .op = WAITER_CALL, .fn = do_abort };
	struct stall stall;
	struct xfer asker;
	struct tap other;
	int sndbuf = 1 << 20;

	ASSERT_EQ(0, xfer_open(&asker));
	ASSERT_EQ(0, tap_open(&other, "tap1", 1, TAP_VM));
	ASSERT_EQ(0, stall_open(&stall));
	READY();
	holder.fd = other.fds[0];
	holder.buf = stall.page;
	ASSERT_EQ(0, waiter_go(&holder));
	ASSERT_TRUE(stall_wait(&stall, SOON_MS));
	abort.arg = &self->x;
	ASSERT_EQ(0, waiter_go(&abort));
	asker.id = self->x.id;
	/* before anybody lets go of it, and long before the deadline */
	EXPECT_TRUE(wait_until(!xfer_is_live(&asker), SOON_MS));
	EXPECT_EQ(TAPXFER_VIOLATION_SETTINGS,
		  xfer_u64(&asker, TAPXFER_A_HANDOVER_VIOLATED));
	self->tap.hdr = 20;
	EXPECT_EQ(HELD, tap_read_all(&self->tap, &self->t));

	ASSERT_EQ(0, stall_release(&stall, &sndbuf, sizeof(sndbuf)));
	ASSERT_TRUE(waiter_wait(&holder, SOON_MS));
	ASSERT_TRUE(waiter_wait(&abort, SOON_MS));
	EXPECT_EQ(0, abort.ret);
	/* it was late: the device is its users' again */
	EXPECT_EQ(20, hdr_of(&self->tap));
	asker.id = 0;
	xfer_close(&asker);
	stall_close(&stall);
	tap_close(&other);
}

/* It has ioctls for what a VMM sets; for the rest a word. */
TEST_F(ready, an_abort_names_what_it_does_not_put_back)
{
	READY();
	ASSERT_EQ(0, ioctl(self->tap.fds[0], TUNSETPERSIST, 1));
	ASSERT_EQ(0, xfer_abort(&self->x));
	EXPECT_EQ(TAPXFER_VIOLATION_SETTINGS,
		  xfer_u64(&self->x, TAPXFER_A_HANDOVER_VIOLATED));
	EXPECT_EQ(0, ioctl(self->tap.fds[0], TUNSETPERSIST, 0));
}

static bool is_running(const char *name)
{
	struct ifreq ifr = {};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool running;

	strcpy(ifr.ifr_name, name);
	running = !ioctl(fd, SIOCGIFFLAGS, &ifr) &&
		  (ifr.ifr_flags & IFF_RUNNING);
	close(fd);
	return running;
}

TEST_F(ready, an_abort_names_a_carrier_that_the_claimant_took)
{
	READY();
	ASSERT_EQ(0, TARGET(agent_set_int, TUNSETCARRIER, 0));
	/* Everybody has been told, and that took rtnl. */
	ASSERT_TRUE(wait_until(!is_running("tap0"), SOON_MS));
	EXPECT_EQ(20, hdr_of(&self->tap));
	EXPECT_EQ(0, xfer_u64(&self->x, TAPXFER_A_HANDOVER_VIOLATED));
	ASSERT_EQ(0, xfer_abort(&self->x));
	EXPECT_EQ(TAPXFER_VIOLATION_CARRIER,
		  xfer_u64(&self->x, TAPXFER_A_HANDOVER_VIOLATED));
}

/* The source may have had one: nobody can tell, or attach it anew. */
TEST_F(ready, an_abort_names_programs_that_the_record_took)
{
	CLAIM();
	ASSERT_EQ(0, TARGET(agent_set_int, TUNSETSTEERINGEBPF, -1));
	ASSERT_EQ(0, TARGET(agent_ready, TAPXFER_THAW_SHARED, 0));
	ASSERT_EQ(0, xfer_abort(&self->x));
	EXPECT_EQ(TAPXFER_VIOLATION_SETTINGS,
		  xfer_u64(&self->x, TAPXFER_A_HANDOVER_VIOLATED));
}

/* With a socket filter the driver says of an attach that it worked, and did not. */
TEST_F(ready, an_abort_goes_by_what_the_driver_did)
{
	struct sock_filter all = BPF_STMT(BPF_RET | BPF_K, ~0U);
	struct sock_fprog prog = { .len = 1, .filter = &all };

	ASSERT_EQ(0, ioctl(self->tap.fds[0], TUNATTACHFILTER, &prog));
	READY();
	ASSERT_EQ(0, tap_detach(self->tap.fds[1], true));
	ASSERT_EQ(0, xfer_abort(&self->x));
	EXPECT_EQ(tap_is_detached(self->tap.fds[1]) ? TAPXFER_VIOLATION_SETTINGS : 0,
		  xfer_u64(&self->x, TAPXFER_A_HANDOVER_VIOLATED));
	EXPECT_EQ(0, ioctl(self->tap.fds[0], TUNDETACHFILTER, 0));
}

static long agent_attach(struct agent_self *self, long queue, long attach)
{
	return tap_detach(self->tap.fds[queue], !attach);
}

/* So do ready and thaw: a claimant is not told that it has what it has not. */
TEST_F(ready, fails_where_the_driver_does_not_do_as_it_was_asked)
{
	/* where the target has it, too: the driver copies it anew */
	static struct sock_filter all = BPF_STMT(BPF_RET | BPF_K, ~0U);
	struct sock_fprog prog = { .len = 1, .filter = &all };
	int err;

	ASSERT_EQ(0, ioctl(self->tap.fds[0], TUNATTACHFILTER, &prog));
	ASSERT_EQ(0, tap_detach(self->tap.fds[1], true));
	ASSERT_EQ(0, tap_detach(self->tap.fds[1], false));
	err = tap_is_detached(self->tap.fds[1]) ? -EIO : 0;
	if (!err)
		ASSERT_EQ(0, tap_detach(self->tap.fds[1], true));
	CLAIM();
	ASSERT_EQ(0, TARGET(agent_set_int, TUNSETVNETHDRSZ, 20));
	ASSERT_EQ(0, TARGET(agent_attach, 1, true));
	EXPECT_EQ(err, TARGET(agent_ready, TAPXFER_THAW_SHARED, 0));
	if (err) {
		EXPECT_EQ(err, TARGET(agent_thaw, TAPXFER_THAW_SHARED, 0));
		EXPECT_EQ(TAPXFER_STATE_CLAIMED, xfer_state(&self->x));
		EXPECT_EQ(1, tap_is_detached(self->tap.fds[1]));
		EXPECT_NE(20, hdr_of(&self->tap));
		EXPECT_NOTHING_PASSES();
		/* without that, the rest can be had */
		ASSERT_EQ(0, TARGET(agent_attach, 1, false));
	}
	EXPECT_EQ(0, TARGET(agent_thaw, TAPXFER_THAW_SHARED, 0));
	EXPECT_EQ(0, ioctl(self->tap.fds[0], TUNDETACHFILTER, 0));
	EXPECT_ALL(20);
}

/* Also that of a queue that is detached, whom the driver passes over. */
TEST_F(ready, an_abort_puts_each_send_buffer_limit_back)
{
	int sndbuf = 100000;

	ASSERT_EQ(0, ioctl(self->tap.fds[0], TUNSETSNDBUF, &sndbuf));
	ASSERT_EQ(0, tap_detach(self->tap.fds[1], true));
	READY();
	ASSERT_EQ(0, tap_detach(self->tap.fds[1], false));
	ASSERT_EQ(0, TARGET(agent_set_int, TUNSETSNDBUF, 50000));
	ASSERT_EQ(0, xfer_abort(&self->x));
	EXPECT_EQ(0, xfer_u64(&self->x, TAPXFER_A_HANDOVER_VIOLATED));
	EXPECT_EQ(1, tap_is_detached(self->tap.fds[1]));
	ASSERT_EQ(0, ioctl(self->tap.fds[0], TUNGETSNDBUF, &sndbuf));
	EXPECT_EQ(100000, sndbuf);
	ASSERT_EQ(0, ioctl(self->tap.fds[1], TUNGETSNDBUF, &sndbuf));
	EXPECT_EQ(100000, sndbuf);
}

/*
 * It has no process in whose memory the driver could be asked: what a claimant
 * that was ready has set stays, all of it, and that is named.
 */
#define EXPECT_THE_DEADLINE_LEAVES_ALL() do { \
	struct tap_settings now_; \
	EXPECT_TRUE(wait_until(!xfer_is_live(&self->x), SOON_MS)); \
	EXPECT_EQ(TAPXFER_VIOLATION_SETTINGS, \
		  xfer_u64(&self->x, TAPXFER_A_HANDOVER_VIOLATED)); \
	ASSERT_EQ(0, tap_settings(self->tap.fds[0], &now_)); \
	EXPECT_EQ(20, now_.hdr); \
	EXPECT_EQ(70000, now_.sndbuf); \
	EXPECT_TRUE(now_.csum && now_.tso); \
	EXPECT_ALL(20); \
	EXPECT_EQ(0, tap_write_one(&self->tap, 0, 7)); \
} while (0)

TEST_F(ready, the_deadline_leaves_what_was_set_and_says_so)
{
	READY_FOR(scaled_ms(3000));
	EXPECT_THE_DEADLINE_LEAVES_ALL();
}

TEST_F(ready, the_deadline_leaves_what_a_dead_claimant_has_set)
{
	READY_FOR(scaled_ms(3000));
	agent_kill(&self->target);
	ASSERT_TRUE(wait_until(xfer_state(&self->x) == TAPXFER_STATE_FROZEN,
			       SOON_MS));
	EXPECT_THE_DEADLINE_LEAVES_ALL();
}

/* What the dead one has set is not there for the next one. */
TEST_F(ready, a_dead_claimant_leaves_a_frozen_handover)
{
	int old = hdr_of(&self->tap);

	READY();
	agent_kill(&self->target);
	ASSERT_TRUE(wait_until(xfer_state(&self->x) == TAPXFER_STATE_FROZEN,
			       SOON_MS));
	EXPECT_EQ(TAPXFER_VIOLATION_SETTINGS,
		  xfer_u64(&self->x, TAPXFER_A_HANDOVER_VIOLATED));
	EXPECT_NOTHING_PASSES();
	EXPECT_EQ(-1, ioctl(self->tap.fds[0], TUNSETOFFLOAD, 0));
	EXPECT_EQ(EBUSY, errno);
	EXPECT_EQ(20, hdr_of(&self->tap));
	ASSERT_EQ(0, xfer_finish(&self->x));
	EXPECT_EQ(old, hdr_of(&self->tap));
	EXPECT_ALL(old);
}

/* Nor what it has set when its files were files again. */
TEST_F(ready, what_was_set_past_the_record_is_not_there_either)
{
	int old = hdr_of(&self->tap);

	CLAIM();
	ASSERT_EQ(0, TARGET(agent_ready, TAPXFER_THAW_SHARED, 0));
	ASSERT_EQ(0, TARGET(agent_set_int, TUNSETVNETHDRSZ, 20));
	ASSERT_EQ(0, TARGET(agent_set_int, TUNSETVNETLE, 1));
	ASSERT_EQ(0, tap_detach(self->tap.fds[1], true));
	agent_kill(&self->target);
	ASSERT_TRUE(wait_until(xfer_state(&self->x) == TAPXFER_STATE_FROZEN,
			       SOON_MS));
	EXPECT_EQ(TAPXFER_VIOLATION_SETTINGS,
		  xfer_u64(&self->x, TAPXFER_A_HANDOVER_VIOLATED));
	ASSERT_EQ(0, xfer_finish(&self->x));
	EXPECT_EQ(old, hdr_of(&self->tap));
	/* a queue that is attached cannot be attached */
	EXPECT_EQ(-EINVAL, tap_detach(self->tap.fds[1], false));
	EXPECT_ALL(old);
}

TEST_F(ready, a_dead_claimant_does_not_keep_the_source_from_an_abort)
{
	int old = hdr_of(&self->tap);

	READY();
	agent_kill(&self->target);
	ASSERT_TRUE(wait_until(xfer_state(&self->x) == TAPXFER_STATE_FROZEN,
			       SOON_MS));
	ASSERT_EQ(0, xfer_abort(&self->x));
	EXPECT_EQ(old, hdr_of(&self->tap));
	EXPECT_ALL(old);
	EXPECT_EQ(0, tap_write_one(&self->tap, 0, 7));
	EXPECT_EQ(0, ioctl(self->tap.fds[0], TUNSETOFFLOAD, 0));
}

TEST_F(ready, the_tx_queue_length_stays)
{
	READY();
	EXPECT_EQ(-EBUSY, link_set_txqlen("tap0", 10));
	EXPECT_EQ(-EBUSY, link_set_mtu("tap0", 1400));
	ASSERT_EQ(0, TARGET(agent_thaw, 0, 0));
	EXPECT_ALL(20);
}

TEST_F(ready, the_device_may_be_deleted)
{
	READY();
	ASSERT_EQ(0, link_delete("tap0"));
	EXPECT_FALSE(xfer_is_live(&self->x));
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
}

TEST_F(ready, comes_once_and_after_the_claim)
{
	struct genl g;

	ASSERT_EQ(0, genl_open(&g));
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, 0,
				0));
	EXPECT_EQ(-EPROTO, xfer_ready(&self->x, 0));
	ASSERT_EQ(0, TARGET(agent_claim, 0, 0));
	genl_go_on(&g, TAPXFER_CMD_READY, self->x.id, NULL);
	EXPECT_EQ(-EINVAL, genl_talk(&g));
	ASSERT_EQ(0, TARGET(agent_ready, TAPXFER_THAW_SHARED, 0));
	EXPECT_EQ(-EPROTO, xfer_ready(&self->x, TAPXFER_THAW_SHARED));
	EXPECT_STREQ("the handover is ready: thaw it, or abort it",
		     xfer_why(&self->x));
	EXPECT_EQ(-EPROTO, TARGET(agent_claim, 0, 0));
	ASSERT_EQ(0, TARGET(agent_thaw, 0, 0));
	genl_close(&g);
}

TEST_HARNESS_MAIN
