// SPDX-License-Identifier: GPL-2.0
/*
 * G2 and G3: from the freeze to the thaw no write enters the host and no
 * setting changes.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <kselftest_harness.h>

#include <net/if_arp.h>

#include <linux/filter.h>
#include <linux/sockios.h>

#include "agent.h"
#include "flow.h"
#include "genl.h"
#include "net.h"
#include "tap.h"
#include "tun_ioctl.h"
#include "util.h"
#include "waiter.h"
#include "xfer.h"

#define QUEUES	4

FIXTURE(freeze) {
	struct tap tap;
	struct xfer x;
	struct capture c;
	struct stall stall;
	uint8_t packet[PACKET_MAX];
	size_t len;
};

FIXTURE_SETUP(freeze)
{
	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", QUEUES, TAP_VM));
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, true));
	ASSERT_EQ(0, xfer_open(&self->x));
	ASSERT_EQ(0, capture_open(&self->c, self->tap.ifindex));
	ASSERT_EQ(0, stall_open(&self->stall));
	self->len = self->tap.hdr +
		    packet_make(self->packet + self->tap.hdr, 0, 77);
}

FIXTURE_TEARDOWN(freeze)
{
	stall_close(&self->stall);
	xfer_close(&self->x);
	link_delete("tap0");
	tap_close(&self->tap);
	capture_close(&self->c);
}

static uint64_t rx_packets(const char *name)
{
	struct link_stats st = {};

	return link_stats(name, &st) ? UINT64_MAX : st.rx_packets;
}

TEST_F(freeze, nonblocking_writes_get_eagain_and_nothing_enters_the_host)
{
	uint64_t before;
	int q;

	for (q = 0; q < QUEUES; q++)
		ASSERT_EQ(0, tap_write_one(&self->tap, q, q));
	ASSERT_EQ(QUEUES, capture_read(&self->c));
	before = rx_packets("tap0");

	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, 0,
				0));
	for (q = 0; q < QUEUES; q++) {
		EXPECT_EQ(-EAGAIN, tap_write_one(&self->tap, q, QUEUES));
		EXPECT_EQ(-EAGAIN, tap_writev_one(&self->tap, q, QUEUES));
	}
	EXPECT_EQ(0, capture_read(&self->c));
	EXPECT_EQ(before, rx_packets("tap0"));

	ASSERT_EQ(0, xfer_finish(&self->x));
	for (q = 0; q < QUEUES; q++) {
		EXPECT_EQ(0, tap_write_one(&self->tap, q, QUEUES + 2 * q));
		EXPECT_EQ(0, tap_writev_one(&self->tap, q, QUEUES + 2 * q + 1));
	}
	EXPECT_EQ(2 * QUEUES, capture_read(&self->c));
	EXPECT_EQ(0, tally_lost(&self->c.t, 3 * QUEUES));
	EXPECT_EQ(0, self->c.t.dup + self->c.t.reordered + self->c.t.foreign);
}

TEST_F(freeze, writes_pass_while_only_held)
{
	uint32_t seq = 0;
	int q;

	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_PREPARED, 0,
				0));
	for (q = 0; q < QUEUES; q++)
		EXPECT_EQ(0, tap_write_one(&self->tap, q, seq++));
	ASSERT_EQ(0, xfer_hold(&self->x));
	for (q = 0; q < QUEUES; q++) {
		struct pollfd pfd = {
			.fd = self->tap.fds[q], .events = POLLOUT,
		};

		EXPECT_EQ(1, poll(&pfd, 1, 0));
		EXPECT_EQ(0, tap_write_one(&self->tap, q, seq++));
		EXPECT_EQ(0, tap_writev_one(&self->tap, q, seq++));
	}
	EXPECT_EQ(3 * QUEUES, capture_read(&self->c));
	EXPECT_EQ(0, tally_lost(&self->c.t, seq));
	EXPECT_EQ(0, self->c.t.dup + self->c.t.reordered + self->c.t.foreign);
}

TEST_F(freeze, poll_and_epoll_see_no_room_to_write)
{
	int ep = epoll_create1(EPOLL_CLOEXEC), q;
	struct epoll_event ev[QUEUES];
	struct pollfd pfd[QUEUES];

	for (q = 0; q < QUEUES; q++) {
		struct epoll_event out = { .events = EPOLLOUT | EPOLLWRNORM };

		pfd[q].fd = self->tap.fds[q];
		pfd[q].events = POLLOUT | POLLWRNORM;
		ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, pfd[q].fd, &out));
	}
	EXPECT_EQ(QUEUES, poll(pfd, QUEUES, 0));
	EXPECT_EQ(QUEUES, epoll_wait(ep, ev, QUEUES, 0));
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, 0,
				0));
	EXPECT_EQ(0, poll(pfd, QUEUES, 0));
	EXPECT_EQ(0, epoll_wait(ep, ev, QUEUES, 0));
	ASSERT_EQ(0, xfer_finish(&self->x));
	EXPECT_EQ(QUEUES, poll(pfd, QUEUES, 0));
	EXPECT_EQ(QUEUES, epoll_wait(ep, ev, QUEUES, 0));
	close(ep);
}

/* Whatever else it hides. */
TEST_F(freeze, poll_still_tells_that_the_device_is_gone)
{
	struct pollfd pfd = { .fd = self->tap.fds[0], .events = POLLIN };

	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, 0,
				0));
	EXPECT_EQ(0, poll(&pfd, 1, 0));
	ASSERT_EQ(0, link_delete("tap0"));
	EXPECT_EQ(1, poll(&pfd, 1, SOON_MS));
	EXPECT_TRUE(pfd.revents & POLLERR);
}

TEST_F(freeze, blocking_writes_wait_for_the_thaw)
{
	struct waiter w[2 * QUEUES] = {};
	int i;

	ASSERT_EQ(0, tap_set_nonblock(&self->tap, false));
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, 0,
				0));
	for (i = 0; i < 2 * QUEUES; i++) {
		w[i].op = i < QUEUES ? WAITER_WRITE : WAITER_WRITEV;
		w[i].fd = self->tap.fds[i % QUEUES];
		w[i].buf = self->packet;
		w[i].len = self->len;
		if (w[i].op == WAITER_WRITEV) {
			w[i].hdr = self->packet;
			w[i].hdr_len = self->tap.hdr;
			w[i].buf = self->packet + self->tap.hdr;
			w[i].len -= self->tap.hdr;
		}
		ASSERT_EQ(0, waiter_start(&w[i]));
	}
	EXPECT_EQ(0, capture_read(&self->c));

	ASSERT_EQ(0, xfer_finish(&self->x));
	for (i = 0; i < 2 * QUEUES; i++) {
		ASSERT_TRUE(waiter_wait(&w[i], SOON_MS));
		EXPECT_EQ(self->len, w[i].ret);
	}
	EXPECT_EQ(2 * QUEUES, capture_read(&self->c));
	EXPECT_EQ(0, self->c.t.foreign);
}

static void no_handler(int sig)
{
}

TEST_F(freeze, signals_end_blocked_reads_and_writes)
{
	struct sigaction sa = { .sa_handler = no_handler };
	struct waiter w[] = {
		{ .op = WAITER_READ, .fd = self->tap.fds[0] },
		{ .op = WAITER_WRITE, .fd = self->tap.fds[1],
		  .buf = self->packet, .len = self->len },
	};
	int i;

	ASSERT_EQ(0, sigaction(SIGUSR1, &sa, NULL));
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, false));
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, 0,
				0));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, waiter_start(&w[i]));
		ASSERT_EQ(0, pthread_kill(w[i].thread, SIGUSR1));
		ASSERT_TRUE(waiter_wait(&w[i], SOON_MS));
		EXPECT_EQ(-1, w[i].ret);
		EXPECT_EQ(EINTR, w[i].err);
	}
	EXPECT_EQ(TAPXFER_STATE_FROZEN, xfer_state(&self->x));
}

/* Begin a write that stalls in the user's memory; it has not got any room. */
#define STALL_WRITE(w) do { \
	(w).op = WAITER_WRITE; \
	(w).fd = self->tap.fds[0]; \
	(w).buf = self->stall.page; \
	(w).len = self->len; \
	ASSERT_EQ(0, waiter_go(&(w))); \
	ASSERT_TRUE(stall_wait(&self->stall, SOON_MS)); \
} while (0)

/* Bounded: the wait is as long as was asked for, give or take the machine. */
#define EXPECT_TIMEOUT(ms) do { \
	int64_t begun_ = now_ms(); \
	EXPECT_EQ(-ETIMEDOUT, xfer_freeze_within(&self->x, ms)); \
	EXPECT_LE((ms) - 20, now_ms() - begun_); \
	EXPECT_GE((ms) + scaled_ms(5000), now_ms() - begun_); \
	EXPECT_STREQ("a write or ioctl in flight did not end in time, stop the writer", \
		     xfer_why(&self->x)); \
} while (0)

TEST_F(freeze, times_out_on_a_write_in_flight_and_undoes_itself)
{
	struct tap_settings before, after;
	struct waiter w = {};

	ASSERT_EQ(0, tap_settings(self->tap.fds[0], &before));
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_PREPARED, 0,
				0));
	STALL_WRITE(w);
	EXPECT_TIMEOUT(0);
	EXPECT_TIMEOUT(300);

	/* holding: writes pass, settings can be changed */
	EXPECT_EQ(TAPXFER_STATE_HOLDING, xfer_state(&self->x));
	EXPECT_EQ(0, tap_write_one(&self->tap, 1, 1));
	EXPECT_EQ(1, capture_read(&self->c));
	ASSERT_EQ(0, tap_settings(self->tap.fds[0], &after));
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(before)));
	EXPECT_EQ(0, ioctl(self->tap.fds[1], TUNSETSNDBUF, &before.sndbuf));

	/* and when the write is done, the freeze works */
	ASSERT_EQ(0, stall_release(&self->stall, self->packet, self->len));
	ASSERT_TRUE(waiter_wait(&w, SOON_MS));
	EXPECT_EQ(self->len, w.ret);
	EXPECT_EQ(1, capture_read(&self->c));
	EXPECT_EQ(0, xfer_freeze(&self->x));
	EXPECT_EQ(-EAGAIN, tap_write_one(&self->tap, 0, 2));
	EXPECT_EQ(0, xfer_finish(&self->x));
}

TEST_F(freeze, times_out_on_a_setter_in_flight)
{
	struct waiter w = {
		.op = WAITER_IOCTL, .fd = self->tap.fds[0],
		.request = SIOCSIFHWADDR, .buf = self->stall.page,
	};
	struct ifreq ifr = { .ifr_hwaddr.sa_family = ARPHRD_ETHER };
	const struct tapxfer_info *dev;
	const uint8_t *mac;
	struct link_info li;
	size_t len;

	memcpy(ifr.ifr_hwaddr.sa_data, "\x02\0\0\0\0\x42", 6);
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_PREPARED, 0,
				0));
	ASSERT_EQ(0, waiter_go(&w));
	ASSERT_TRUE(stall_wait(&self->stall, SOON_MS));
	EXPECT_TIMEOUT(200);
	EXPECT_EQ(TAPXFER_STATE_HOLDING, xfer_state(&self->x));

	ASSERT_EQ(0, stall_release(&self->stall, &ifr, sizeof(ifr)));
	ASSERT_TRUE(waiter_wait(&w, SOON_MS));
	EXPECT_EQ(0, w.ret);
	ASSERT_EQ(0, link_info(self->tap.ifindex, &li));
	EXPECT_EQ(0x42, li.mac[5]);
	/* what is exported has the setting that came before */
	ASSERT_EQ(0, xfer_freeze(&self->x));
	dev = tapxfer_info_nest(self->x.info, TAPXFER_A_HANDOVER_DEV, 0);
	ASSERT_NE(NULL, dev);
	mac = tapxfer_info_bin(dev, TAPXFER_A_DEV_MAC, &len);
	ASSERT_EQ(6, len);
	EXPECT_EQ(0x42, mac[5]);
}

static long call_freeze(void *arg)
{
	return xfer_freeze_patiently(arg);
}

TEST_F(freeze, waits_for_a_write_in_flight)
{
	struct waiter f = {
		.op = WAITER_CALL, .fn = call_freeze, .arg = &self->x,
		.nr = SYS_sendto,
	};
	struct waiter w = {};

	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_HOLDING, 0,
				0));
	STALL_WRITE(w);
	ASSERT_EQ(0, waiter_start(&f));
	/* the gate is shut already */
	EXPECT_EQ(-EAGAIN, tap_write_one(&self->tap, 1, 1));
	EXPECT_EQ(0, capture_read(&self->c));

	ASSERT_EQ(0, stall_release(&self->stall, self->packet, self->len));
	ASSERT_TRUE(waiter_wait(&f, SOON_MS));
	EXPECT_EQ(0, f.ret);
	/* what began before is in the host by the freeze's return */
	EXPECT_EQ(1, capture_read(&self->c));
	ASSERT_TRUE(waiter_wait(&w, SOON_MS));
	EXPECT_EQ(self->len, w.ret);
	EXPECT_EQ(TAPXFER_STATE_FROZEN, xfer_state(&self->x));
}

/* Not counted, for it came before the prepare; the send buffer limit stops it. */
TEST_F(freeze, stops_a_write_that_began_before_the_prepare)
{
	struct waiter w = {};

	ASSERT_EQ(0, tap_set_nonblock(&self->tap, false));
	STALL_WRITE(w);
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, 0,
				0));
	ASSERT_EQ(0, stall_release(&self->stall, self->packet, self->len));
	ASSERT_TRUE(wait_until(waiter_sleeps(&w), SOON_MS));
	EXPECT_EQ(0, capture_read(&self->c));

	ASSERT_EQ(0, xfer_finish(&self->x));
	ASSERT_TRUE(waiter_wait(&w, SOON_MS));
	EXPECT_EQ(self->len, w.ret);
	EXPECT_EQ(1, capture_read(&self->c));
}

TEST_F(freeze, an_abort_ends_its_wait)
{
	struct waiter f = {
		.op = WAITER_CALL, .fn = call_freeze, .arg = &self->x,
		.nr = SYS_sendto,
	};
	struct xfer other = {};
	struct waiter w = {};

	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_HOLDING, 0,
				0));
	STALL_WRITE(w);
	ASSERT_EQ(0, waiter_start(&f));

	ASSERT_EQ(0, xfer_open(&other));
	other.id = self->x.id;
	other.token = self->x.token;
	/* only an abort gets in */
	EXPECT_EQ(-EBUSY, xfer_freeze(&other));
	EXPECT_STREQ("another command on this handover is under way, try again",
		     xfer_why(&other));
	EXPECT_EQ(0, xfer_abort(&other));
	ASSERT_TRUE(waiter_wait(&f, SOON_MS));
	EXPECT_EQ(-ECANCELED, f.ret);
	EXPECT_STREQ("the handover ended meanwhile: abort, deadline, or device deleted",
		     xfer_why(&self->x));

	ASSERT_EQ(0, stall_release(&self->stall, self->packet, self->len));
	ASSERT_TRUE(waiter_wait(&w, SOON_MS));
	EXPECT_EQ(0, tap_write_one(&self->tap, 0, 1));
	EXPECT_EQ(2, capture_read(&self->c));
	xfer_close(&other);
}

static long call_claim_and_thaw(void *arg)
{
	struct tap claimed = {};
	int err;

	err = xfer_claim(arg, &claimed);
	if (!err)
		err = xfer_thaw_shared(arg);
	tap_close(&claimed);
	return err;
}

/* Its event comes before it is done: who is told can go on. */
TEST_F(freeze, a_command_that_comes_too_early_waits_a_moment)
{
	struct waiter f = {
		.op = WAITER_CALL, .fn = call_freeze, .arg = &self->x,
		.nr = SYS_sendto,
	};
	struct xfer other = {};
	struct waiter next = {
		.op = WAITER_CALL, .fn = call_claim_and_thaw, .arg = &other,
		.nr = SYS_sendto,
	};
	struct waiter w = {};
	int tries;

	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_HOLDING, 0,
				0));
	STALL_WRITE(w);
	ASSERT_EQ(0, waiter_start(&f));
	ASSERT_EQ(0, xfer_open(&other));
	other.id = self->x.id;
	other.token = self->x.token;
	/* It may have waited before anybody here had a look. */
	for (tries = 0; waiter_start(&next) && tries < 20; tries++) {
		ASSERT_TRUE(waiter_wait(&next, SOON_MS));
		ASSERT_EQ(-EBUSY, next.ret);
	}
	ASSERT_GT(20, tries);

	ASSERT_EQ(0, stall_release(&self->stall, self->packet, self->len));
	ASSERT_TRUE(waiter_wait(&f, SOON_MS));
	EXPECT_EQ(0, f.ret);
	ASSERT_TRUE(waiter_wait(&next, SOON_MS));
	/* a moment is less than a slow machine may need */
	if (next.ret == -EBUSY)
		next.ret = call_claim_and_thaw(&other);
	EXPECT_EQ(0, next.ret);
	ASSERT_TRUE(waiter_wait(&w, SOON_MS));
	EXPECT_EQ(self->len, w.ret);
	self->x.id = 0;
	other.id = 0;
	xfer_close(&other);
}

/* One message from running to frozen, which the library makes two of. */
TEST_F(freeze, one_call_does_all_the_steps)
{
	struct genl g;

	ASSERT_EQ(0, genl_open(&g));
	genl_begin(&g, TAPXFER_CMD_FREEZE, self->tap.ifindex, self->tap.fds,
		   QUEUES);
	ASSERT_EQ(0, genl_talk(&g));
	self->x.id = genl_u32(&g, TAPXFER_A_HANDOVER_ID);
	ASSERT_NE(NULL, genl_attr(&g, TAPXFER_A_HANDOVER_TOKEN));
	memcpy(&self->x.token,
	       mnl_attr_get_payload(genl_attr(&g, TAPXFER_A_HANDOVER_TOKEN)),
	       sizeof(self->x.token));
	EXPECT_EQ(TAPXFER_STATE_FROZEN, genl_u32(&g, TAPXFER_A_HANDOVER_STATE));
	EXPECT_EQ(TAPXFER_STATE_FROZEN, xfer_state(&self->x));
	EXPECT_EQ(-EAGAIN, tap_write_one(&self->tap, 0, 1));
	EXPECT_EQ(0, xfer_finish(&self->x));
	genl_close(&g);
}

/* A handover that nobody got the token of would be nobody's. */
TEST_F(freeze, one_call_that_fails_leaves_no_handover)
{
	struct waiter w = {};
	struct genl g;

	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_PREPARED, 0,
				0));
	/* counted by the first handover, and by none after it */
	STALL_WRITE(w);
	ASSERT_EQ(0, genl_open(&g));
	genl_begin(&g, TAPXFER_CMD_FREEZE, self->tap.ifindex, self->tap.fds,
		   QUEUES);
	EXPECT_EQ(-EBUSY, genl_talk(&g));
	EXPECT_EQ(TAPXFER_STATE_PREPARED, xfer_state(&self->x));

	/* more packets than are to be held: hold refuses, after the prepare */
	ASSERT_EQ(0, xfer_abort(&self->x));
	{
		struct sender s;

		ASSERT_EQ(0, sender_open(&s, self->tap.ifindex, 1));
		ASSERT_EQ(0, sender_send(&s, 10));
		sender_close(&s);
	}
	genl_begin(&g, TAPXFER_CMD_FREEZE, self->tap.ifindex, self->tap.fds,
		   QUEUES);
	mnl_attr_put_u32(g.req, TAPXFER_A_HANDOVER_HOLD, 5);
	EXPECT_EQ(-EINVAL, genl_talk(&g));
	EXPECT_STREQ("a queue has more packets than it shall hold, ask for a larger hold",
		     g.msg);
	ASSERT_EQ(0, stall_release(&self->stall, self->packet, self->len));
	ASSERT_TRUE(waiter_wait(&w, SOON_MS));
	EXPECT_EQ(0, tap_write_one(&self->tap, 1, 1));
	EXPECT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, 0,
				0));
	genl_close(&g);
}

/* -- settings ------------------------------------------------------------ */

/* tun's setters, and what is no ioctl of tun's at all */
static const struct setter {
	const char *name;
	unsigned long cmd;
	size_t size;
} setters[] = {
#define SETTER(cmd, type) { #cmd, cmd, sizeof(type) }
	SETTER(TUNSETIFF, struct ifreq),
	SETTER(TUNSETNOCSUM, int),
	SETTER(TUNSETPERSIST, int),
	SETTER(TUNSETOWNER, int),
	SETTER(TUNSETGROUP, int),
	SETTER(TUNSETLINK, int),
	SETTER(TUNSETDEBUG, int),
	SETTER(TUNSETOFFLOAD, int),
	SETTER(TUNSETTXFILTER, struct tun_filter),
	SETTER(TUNSETSNDBUF, int),
	SETTER(TUNATTACHFILTER, struct sock_fprog),
	SETTER(TUNDETACHFILTER, struct sock_fprog),
	SETTER(TUNSETVNETHDRSZ, int),
	SETTER(TUNSETQUEUE, struct ifreq),
	SETTER(TUNSETIFINDEX, int),
	SETTER(TUNSETVNETLE, int),
	SETTER(TUNSETVNETBE, int),
	SETTER(TUNSETSTEERINGEBPF, int),
	SETTER(TUNSETFILTEREBPF, int),
	SETTER(TUNSETCARRIER, int),
	SETTER(SIOCSIFHWADDR, struct ifreq),
	{ "an unknown one", _IOW('T', 250, int), sizeof(int) },
};

static const unsigned long int_getters[] = {
	TUNGETFEATURES, TUNGETSNDBUF, TUNGETVNETHDRSZ, TUNGETVNETLE,
};

/* As a 32-bit program calls it: compat_ioctl. */
static int ioctl_32(int fd, unsigned long cmd, void *arg)
{
	return tun_ioctl_32(fd, cmd, (unsigned long)arg);
}

static int ioctl_64(int fd, unsigned long cmd, void *arg)
{
	return ioctl(fd, cmd, arg) ? -errno : 0;
}

FIXTURE(fenced_ioctl) {
	struct tap tap;
	struct xfer x;
	struct agent target;
	void *arg;		/* where a 32-bit program can have it */
};

FIXTURE_VARIANT(fenced_ioctl) {
	int (*ioctl)(int fd, unsigned long cmd, void *arg);
	bool claimed;
};

FIXTURE_VARIANT_ADD(fenced_ioctl, frozen) {
	.ioctl = ioctl_64,
};

FIXTURE_VARIANT_ADD(fenced_ioctl, claimed) {
	.ioctl = ioctl_64, .claimed = true,
};

FIXTURE_VARIANT_ADD(fenced_ioctl, frozen_compat) {
	.ioctl = ioctl_32,
};

FIXTURE_SETUP(fenced_ioctl)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS;

#ifdef MAP_32BIT
	flags |= MAP_32BIT;
#endif
	self->arg = mmap(NULL, 4096, PROT_READ | PROT_WRITE, flags, -1, 0);
	ASSERT_NE(MAP_FAILED, self->arg);
	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", QUEUES, TAP_VM));
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, true));
	ASSERT_EQ(0, xfer_open(&self->x));
	ASSERT_EQ(0, agent_start(&self->target));
}

FIXTURE_TEARDOWN(fenced_ioctl)
{
	xfer_close(&self->x);
	link_delete("tap0");
	agent_kill(&self->target);
	tap_close(&self->tap);
}

#define FREEZE() do { \
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, \
				0, 0)); \
	if (variant->claimed) \
		ASSERT_EQ(0, agent_call(&self->target, &self->x, agent_claim, \
					0, 0)); \
} while (0)

/* Those of the claimant are t_shadow's subject. */
TEST_F(fenced_ioctl, setters_get_ebusy_and_change_nothing)
{
	struct tap_settings before, after;
	size_t i;
	int q;

	ASSERT_EQ(0, tap_settings(self->tap.fds[0], &before));
	FREEZE();
	for (q = 0; q < QUEUES; q++) {
		for (i = 0; i < ARRAY_SIZE(setters); i++) {
			memset(self->arg, 0, 4096);
			EXPECT_EQ(-EBUSY, variant->ioctl(self->tap.fds[q],
							 setters[i].cmd,
							 self->arg))
				TH_LOG("%s", setters[i].name);
		}
	}
	ASSERT_EQ(0, tap_settings(self->tap.fds[0], &after));
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(before)));

	ASSERT_EQ(0, xfer_abort(&self->x));
	ASSERT_EQ(0, tap_settings(self->tap.fds[0], &after));
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(before)));
	/* and now they work again */
	*(int *)self->arg = 10;
	EXPECT_EQ(0, variant->ioctl(self->tap.fds[0], TUNSETVNETHDRSZ,
				    self->arg));
	ASSERT_EQ(0, tap_settings(self->tap.fds[0], &after));
	EXPECT_EQ(10, after.hdr);
}

TEST_F(fenced_ioctl, getters_answer_as_before)
{
	int before[QUEUES][ARRAY_SIZE(int_getters)];
	int sndbuf = 123456;
	struct ifreq ifr;
	size_t i;
	int q;

	ASSERT_EQ(0, ioctl(self->tap.fds[0], TUNSETSNDBUF, &sndbuf));
	for (q = 0; q < QUEUES; q++)
		for (i = 0; i < ARRAY_SIZE(int_getters); i++)
			ASSERT_EQ(0, ioctl(self->tap.fds[q], int_getters[i],
					   &before[q][i]));
	FREEZE();
	for (q = 0; q < QUEUES; q++) {
		for (i = 0; i < ARRAY_SIZE(int_getters); i++) {
			*(int *)self->arg = 0x5a5a5a5a;
			EXPECT_EQ(0, variant->ioctl(self->tap.fds[q],
						    int_getters[i], self->arg));
			EXPECT_EQ(before[q][i], *(int *)self->arg);
		}
		/* the socket's own limit is zero now */
		EXPECT_EQ(0, variant->ioctl(self->tap.fds[q], TUNGETSNDBUF,
					    self->arg));
		EXPECT_EQ(sndbuf, *(int *)self->arg);

		memset(self->arg, 0, sizeof(ifr));
		EXPECT_EQ(0, variant->ioctl(self->tap.fds[q], TUNGETIFF,
					    self->arg));
		memcpy(&ifr, self->arg, sizeof(ifr));
		EXPECT_STREQ("tap0", ifr.ifr_name);
		EXPECT_EQ(IFF_VNET_HDR, ifr.ifr_flags & IFF_VNET_HDR);
		EXPECT_EQ(0, variant->ioctl(self->tap.fds[q], SIOCGIFHWADDR,
					    self->arg));
		/* a bad address is the caller's fault still */
		EXPECT_EQ(-EFAULT, variant->ioctl(self->tap.fds[q],
						  TUNGETSNDBUF, NULL));
	}
	EXPECT_EQ(sndbuf, (int)xfer_dev_u64(&self->x, TAPXFER_A_DEV_SNDBUF));
}

TEST_F(fenced_ioctl, the_export_is_what_the_files_and_the_link_say)
{
	int one = 1, sndbuf = 200000;
	struct tap_settings s;
	struct link_info li;
	size_t len;
	const struct tapxfer_info *dev;
	const void *mac;

	ASSERT_EQ(0, ioctl(self->tap.fds[0], TUNSETVNETLE, &one));
	ASSERT_EQ(0, ioctl(self->tap.fds[0], TUNSETOWNER, 1234));
	ASSERT_EQ(0, ioctl(self->tap.fds[0], TUNSETGROUP, 4321));
	ASSERT_EQ(0, ioctl(self->tap.fds[0], TUNSETPERSIST, 1));
	ASSERT_EQ(0, ioctl(self->tap.fds[0], TUNSETSNDBUF, &sndbuf));
	ASSERT_EQ(0, link_set_mtu("tap0", 1400));
	ASSERT_EQ(0, link_set_txqlen("tap0", 700));
	ASSERT_EQ(0, tap_settings(self->tap.fds[0], &s));
	ASSERT_EQ(0, link_info(self->tap.ifindex, &li));
	FREEZE();

	EXPECT_EQ(self->tap.ifindex,
		  xfer_dev_u64(&self->x, TAPXFER_A_DEV_IFINDEX));
	EXPECT_EQ(TAPXFER_DEV_TYPE_TAP,
		  xfer_dev_u64(&self->x, TAPXFER_A_DEV_TYPE));
	EXPECT_EQ(ARPHRD_ETHER,
		  xfer_dev_u64(&self->x, TAPXFER_A_DEV_LINK_TYPE));
	EXPECT_EQ(TAP_VM | IFF_PERSIST,
		  xfer_dev_u64(&self->x, TAPXFER_A_DEV_FLAGS));
	EXPECT_EQ(12, xfer_dev_u64(&self->x, TAPXFER_A_DEV_VNET_HDR_SZ));
	EXPECT_EQ(1, xfer_dev_u64(&self->x, TAPXFER_A_DEV_VNET_LE));
	EXPECT_EQ(TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6,
		  xfer_dev_u64(&self->x, TAPXFER_A_DEV_OFFLOADS));
	EXPECT_EQ(sndbuf, (int)xfer_dev_u64(&self->x, TAPXFER_A_DEV_SNDBUF));
	EXPECT_EQ(1234, xfer_dev_u64(&self->x, TAPXFER_A_DEV_OWNER));
	EXPECT_EQ(4321, xfer_dev_u64(&self->x, TAPXFER_A_DEV_GROUP));
	EXPECT_EQ(1, xfer_dev_u64(&self->x, TAPXFER_A_DEV_PERSIST));
	EXPECT_EQ(1, xfer_dev_u64(&self->x, TAPXFER_A_DEV_MULTI_QUEUE));
	EXPECT_EQ(QUEUES, xfer_dev_u64(&self->x, TAPXFER_A_DEV_NUM_QUEUES));
	EXPECT_EQ(0, xfer_dev_u64(&self->x, TAPXFER_A_DEV_NUM_DETACHED));
	EXPECT_EQ(1400, xfer_dev_u64(&self->x, TAPXFER_A_DEV_MTU));
	EXPECT_EQ(1, xfer_dev_u64(&self->x, TAPXFER_A_DEV_CARRIER));
	EXPECT_EQ(700, xfer_dev_u64(&self->x, TAPXFER_A_DEV_TX_QUEUE_LEN));
	EXPECT_EQ(TAPXFER_NOT_EXPORTED_TX_FILTER |
		  TAPXFER_NOT_EXPORTED_STEERING_EBPF |
		  TAPXFER_NOT_EXPORTED_FILTER_EBPF |
		  TAPXFER_NOT_EXPORTED_QUEUE_INDEX,
		  xfer_dev_u64(&self->x, TAPXFER_A_DEV_NOT_EXPORTED));

	dev = tapxfer_info_nest(self->x.info, TAPXFER_A_HANDOVER_DEV, 0);
	ASSERT_NE(NULL, dev);
	EXPECT_STREQ("tap0", tapxfer_info_str(dev, TAPXFER_A_DEV_IFNAME));
	mac = tapxfer_info_bin(dev, TAPXFER_A_DEV_MAC, &len);
	ASSERT_EQ(6, len);
	EXPECT_EQ(0, memcmp(mac, li.mac, 6));
	EXPECT_FALSE(tapxfer_info_has(dev, TAPXFER_A_DEV_XDP_PROG_ID));
}

/* IFF_NO_PI and IFF_NOFILTER, which TUNGETIFF adds, are the same bit. */
TEST_F(fenced_ioctl, the_export_tells_packet_info_from_none)
{
	struct tap pi;

	ASSERT_EQ(0, tap_open(&pi, "pi0", 1, IFF_TAP));
	ASSERT_EQ(0, xfer_begin(&self->x, &pi, TAPXFER_STATE_FROZEN, 0, 0));
	EXPECT_EQ(IFF_TAP, xfer_dev_u64(&self->x, TAPXFER_A_DEV_FLAGS));
	ASSERT_EQ(0, xfer_abort(&self->x));
	FREEZE();
	EXPECT_EQ(TAP_VM, xfer_dev_u64(&self->x, TAPXFER_A_DEV_FLAGS));
	tap_close(&pi);
}

TEST_HARNESS_MAIN
