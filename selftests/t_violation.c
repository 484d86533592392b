// SPDX-License-Identifier: GPL-2.0
/*
 * G3: what is changed of a frozen device, and cannot be refused, is named.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <kselftest_harness.h>
#include <net/if_arp.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/sockios.h>

#include "bpf.h"
#include "net.h"
#include "tap.h"
#include "util.h"
#include "xfer.h"

#define QUEUES		2
#define CARRIER_MS	1000	/* linkwatch tells within that */

FIXTURE(violation) {
	struct tap tap;
	struct tap claimed;
	struct xfer x;
	struct xfer ev;
};

FIXTURE_VARIANT(violation) {
	enum tapxfer_state state;
};

FIXTURE_VARIANT_ADD(violation, frozen) {
	.state = TAPXFER_STATE_FROZEN,
};

FIXTURE_VARIANT_ADD(violation, claimed) {
	.state = TAPXFER_STATE_CLAIMED,
};

FIXTURE_SETUP(violation)
{
	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", QUEUES, TAP_VM));
	ASSERT_EQ(0, xfer_open(&self->x));
	ASSERT_EQ(0, xfer_open(&self->ev));
	ASSERT_EQ(0, tapxfer_subscribe(self->ev.tx));
}

FIXTURE_TEARDOWN(violation)
{
	xfer_close(&self->x);
	xfer_close(&self->ev);
	tap_close(&self->claimed);
	tap_close(&self->tap);
}

#define BEGIN() do { \
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, 0, \
				0)); \
	EXPECT_FALSE(tapxfer_info_has(self->x.info, \
				      TAPXFER_A_HANDOVER_VIOLATED)); \
	if (variant->state == TAPXFER_STATE_CLAIMED) { \
		ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed)); \
		EXPECT_FALSE(tapxfer_info_has(self->x.info, \
					      TAPXFER_A_HANDOVER_VIOLATED)); \
	} \
} while (0)

/* What the last answer names. */
static uint32_t named(const struct xfer *x)
{
	return xfer_u64(x, TAPXFER_A_HANDOVER_VIOLATED);
}

/* What handover-get names. */
static uint32_t asked(struct xfer *x)
{
	return xfer_get(x) ? ~0U : named(x);
}

/* The next event that names something: what. 0: none comes. */
static uint32_t told_within(struct xfer *ev, int ms)
{
	struct tapxfer_info *info;
	uint32_t bits = 0;

	while (!bits && !tapxfer_event_next(ev->tx, ms, &info)) {
		if (tapxfer_info_u64(info, TAPXFER_A_HANDOVER_EVENT) ==
		    TAPXFER_EVENT_VIOLATED)
			bits = tapxfer_info_u64(info,
						TAPXFER_A_HANDOVER_VIOLATED);
		tapxfer_info_free(info);
	}
	return bits;
}

static uint32_t told(struct xfer *ev)
{
	return told_within(ev, SOON_MS);
}

/* The same bits in all replies until the end, and in its event. */
#define FINISH(bits) FINISH_NOTICED(bits, bits)
/* The same of what is noticed only then. */
#define FINISH_NOTICED(before, bits) do { \
	uint32_t state_ = xfer_state(&self->x); \
	EXPECT_EQ(before, named(&self->x)); \
	if (state_ == TAPXFER_STATE_FROZEN) { \
		tap_close(&self->claimed); \
		ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed)); \
		EXPECT_EQ(bits, named(&self->x)); \
	} \
	ASSERT_EQ(0, xfer_thaw(&self->x)); \
	EXPECT_EQ(bits, named(&self->x)); \
	EXPECT_EQ(bits, thawed_event(&self->ev)); \
} while (0)

static uint32_t thawed_event(struct xfer *ev)
{
	struct tapxfer_info *info;
	uint32_t event = 0, bits = ~0U;

	while (event != TAPXFER_EVENT_THAWED &&
	       !tapxfer_event_next(ev->tx, SOON_MS, &info)) {
		event = tapxfer_info_u64(info, TAPXFER_A_HANDOVER_EVENT);
		bits = tapxfer_info_u64(info, TAPXFER_A_HANDOVER_VIOLATED);
		tapxfer_info_free(info);
	}
	return event == TAPXFER_EVENT_THAWED ? bits : ~0U;
}

static int set_sg(const char *name, uint32_t on)
{
	struct ethtool_value val = { .cmd = ETHTOOL_SSG, .data = on };
	struct ifreq ifr = { .ifr_data = (char *)&val };
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int err;

	strcpy(ifr.ifr_name, name);
	err = ioctl(sock, SIOCETHTOOL, &ifr) ? -errno : 0;
	close(sock);
	return err;
}

TEST_F(violation, of_nothing_there_is_no_attribute)
{
	struct tap other;

	ASSERT_EQ(0, tap_open(&other, "tap1", 1, TAP_VM));
	BEGIN();
	/* of another device nothing is named */
	ASSERT_EQ(0, set_sg("tap1", 0));
	ASSERT_EQ(0, link_down("tap1"));
	ASSERT_EQ(0, link_rename("tap1", "new1"));
	/* nor what changes nothing that was exported */
	ASSERT_EQ(0, link_down("tap0"));
	ASSERT_EQ(0, link_up("tap0"));
	ASSERT_EQ(0, shell("ip link set tap0 alias harmless"));
	ASSERT_EQ(0, xfer_get(&self->x));
	EXPECT_FALSE(tapxfer_info_has(self->x.info,
				      TAPXFER_A_HANDOVER_VIOLATED));
	FINISH(0);
	EXPECT_FALSE(tapxfer_info_has(self->x.info,
				      TAPXFER_A_HANDOVER_VIOLATED));
	tap_close(&other);
}

/* What is exported is what the device is at the freeze. */
TEST_F(violation, what_changed_before_the_freeze_is_none)
{
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_HOLDING, 0,
				0));
	ASSERT_EQ(0, link_down("tap0"));
	ASSERT_EQ(0, link_rename("tap0", "new0"));
	ASSERT_EQ(0, set_sg("new0", 0));
	ASSERT_EQ(0, link_up("new0"));
	ASSERT_EQ(0, xfer_freeze(&self->x));
	EXPECT_EQ(0, named(&self->x));
	FINISH(0);
}

TEST_F(violation, a_rename)
{
	BEGIN();
	ASSERT_EQ(0, link_down("tap0"));
	ASSERT_EQ(0, link_rename("tap0", "new0"));
	EXPECT_EQ(TAPXFER_VIOLATION_NAME, told(&self->ev));
	EXPECT_EQ(TAPXFER_VIOLATION_NAME, asked(&self->x));
	/* undone, and still named; but not told again */
	ASSERT_EQ(0, link_rename("new0", "tap0"));
	EXPECT_EQ(0, told_within(&self->ev, 0));
	FINISH(TAPXFER_VIOLATION_NAME);
}

TEST_F(violation, features)
{
	BEGIN();
	ASSERT_EQ(0, set_sg("tap0", 0));
	EXPECT_EQ(TAPXFER_VIOLATION_OFFLOADS, told(&self->ev));
	ASSERT_EQ(0, set_sg("tap0", 1));
	EXPECT_EQ(0, told_within(&self->ev, 0));
	FINISH(TAPXFER_VIOLATION_OFFLOADS);
}

TEST_F(violation, the_carrier)
{
	BEGIN();
	ASSERT_EQ(0, shell("ip link set tap0 carrier off"));
	/* news of it come with a delay */
	EXPECT_EQ(TAPXFER_VIOLATION_CARRIER, told(&self->ev));
	ASSERT_EQ(0, shell("ip link set tap0 carrier on"));
	FINISH(TAPXFER_VIOLATION_CARRIER);
}

TEST_F(violation, the_carrier_of_a_device_that_is_down)
{
	BEGIN();
	ASSERT_EQ(0, link_down("tap0"));
	ASSERT_EQ(0, shell("ip link set tap0 carrier off"));
	/* nobody tells: it is seen at the claim and at the thaw */
	EXPECT_EQ(0, asked(&self->x));
	if (variant->state == TAPXFER_STATE_FROZEN) {
		ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed));
		EXPECT_EQ(TAPXFER_VIOLATION_CARRIER, named(&self->x));
	}
	ASSERT_EQ(0, xfer_thaw(&self->x));
	EXPECT_EQ(TAPXFER_VIOLATION_CARRIER, named(&self->x));
	EXPECT_EQ(TAPXFER_VIOLATION_CARRIER, told(&self->ev));
}

TEST_F(violation, several)
{
	uint32_t both = TAPXFER_VIOLATION_NAME | TAPXFER_VIOLATION_OFFLOADS;

	BEGIN();
	ASSERT_EQ(0, set_sg("tap0", 0));
	EXPECT_EQ(TAPXFER_VIOLATION_OFFLOADS, told(&self->ev));
	ASSERT_EQ(0, link_down("tap0"));
	ASSERT_EQ(0, link_rename("tap0", "new0"));
	EXPECT_EQ(both, told(&self->ev));
	FINISH(both);
}

TEST_F(violation, an_xdp_program)
{
	int pass = xdp_pass();

	ASSERT_LE(0, pass);
	BEGIN();
	ASSERT_EQ(0, link_set_xdp(self->tap.ifindex, pass,
				  XDP_FLAGS_DRV_MODE));
	EXPECT_EQ(TAPXFER_VIOLATION_XDP, told(&self->ev));
	ASSERT_EQ(0, link_set_xdp(self->tap.ifindex, -1, XDP_FLAGS_DRV_MODE));
	FINISH(TAPXFER_VIOLATION_XDP);
	close(pass);
}

TEST_F(violation, an_xdp_program_that_replaces_another)
{
	int one = xdp_pass(), other = xdp_pass();

	ASSERT_LE(0, one);
	ASSERT_LE(0, other);
	ASSERT_EQ(0, link_set_xdp(self->tap.ifindex, one, XDP_FLAGS_DRV_MODE));
	BEGIN();
	/* its id is exported */
	ASSERT_EQ(0, xfer_get(&self->x));
	EXPECT_NE(0, xdp_id(one));
	EXPECT_EQ(xdp_id(one),
		  xfer_dev_u64(&self->x, TAPXFER_A_DEV_XDP_PROG_ID));
	ASSERT_EQ(0, link_set_xdp(self->tap.ifindex, other,
				  XDP_FLAGS_DRV_MODE));
	EXPECT_EQ(TAPXFER_VIOLATION_XDP, told(&self->ev));
	FINISH(TAPXFER_VIOLATION_XDP);
	close(one);
	close(other);
}

/* No notifier is called for these. */
TEST_F(violation, an_xdp_program_behind_a_bpf_link)
{
	int pass = xdp_pass(), link;

	ASSERT_LE(0, pass);
	BEGIN();
	link = link_attach_xdp(self->tap.ifindex, pass, XDP_FLAGS_DRV_MODE);
	ASSERT_LE(0, link);
	if (variant->state == TAPXFER_STATE_FROZEN) {
		ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed));
		EXPECT_EQ(TAPXFER_VIOLATION_XDP, named(&self->x));
		EXPECT_EQ(TAPXFER_VIOLATION_XDP, told(&self->ev));
	}
	ASSERT_EQ(0, xfer_thaw(&self->x));
	EXPECT_EQ(TAPXFER_VIOLATION_XDP, named(&self->x));
	EXPECT_EQ(TAPXFER_VIOLATION_XDP, thawed_event(&self->ev));
	close(link);
	close(pass);
}

TEST_F(violation, a_queue_that_somebody_attaches)
{
	int fd;

	BEGIN();
	fd = tap_queue("tap0", TAP_VM);
	ASSERT_LE(0, fd);
	EXPECT_EQ(TAPXFER_VIOLATION_QUEUES, told(&self->ev));
	if (variant->state == TAPXFER_STATE_FROZEN) {
		EXPECT_EQ(-ESTALE, xfer_claim(&self->x, &self->claimed));
		EXPECT_STREQ("a queue was opened or closed since the prepare, abort and begin anew",
			     xfer_why(&self->x));
		EXPECT_EQ(TAPXFER_VIOLATION_QUEUES, asked(&self->x));
		/* or let it go; it stays named */
		close(fd);
		fd = -1;
	}
	FINISH(TAPXFER_VIOLATION_QUEUES);
	close(fd);
}

TEST_F(violation, a_queue_of_a_device_that_is_down)
{
	int fd;

	BEGIN();
	ASSERT_EQ(0, link_down("tap0"));
	fd = tap_queue("tap0", TAP_VM);
	ASSERT_LE(0, fd);
	/* nobody tells */
	EXPECT_EQ(0, asked(&self->x));
	if (variant->state == TAPXFER_STATE_FROZEN) {
		EXPECT_EQ(-ESTALE, xfer_claim(&self->x, &self->claimed));
		EXPECT_EQ(TAPXFER_VIOLATION_QUEUES, asked(&self->x));
	} else {
		ASSERT_EQ(0, xfer_thaw(&self->x));
		EXPECT_EQ(TAPXFER_VIOLATION_QUEUES, named(&self->x));
	}
	EXPECT_EQ(TAPXFER_VIOLATION_QUEUES, told(&self->ev));
	close(fd);
}

/* Who attaches a queue can set what the fence keeps from the others. */
TEST_F(violation, settings_through_a_queue_that_somebody_attached)
{
	uint32_t both = TAPXFER_VIOLATION_QUEUES | TAPXFER_VIOLATION_OFFLOADS;
	int fd;

	BEGIN();
	fd = tap_queue("tap0", TAP_VM);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ioctl(fd, TUNSETOFFLOAD, 0));
	EXPECT_EQ(TAPXFER_VIOLATION_QUEUES, told(&self->ev));
	EXPECT_EQ(both, told(&self->ev));
	close(fd);
	FINISH(both);
}

/* Of a device that is down nobody tells that a queue came and went. */
static const struct {
	const char *name;
	unsigned long cmd;
	unsigned long value;
	bool pointer;
} made[] = {
	{ "TUNSETVNETHDRSZ", TUNSETVNETHDRSZ, 20, true },
	{ "TUNSETVNETLE", TUNSETVNETLE, 1, true },
	{ "TUNSETSNDBUF", TUNSETSNDBUF, 4711, true },
	{ "TUNSETOWNER", TUNSETOWNER, 1234, false },
	{ "TUNSETGROUP", TUNSETGROUP, 4321, false },
	{ "TUNSETPERSIST", TUNSETPERSIST, 1, false },
};

static int make_setting(size_t i)
{
	int fd = tap_queue("tap0", TAP_VM), val = made[i].value, err;

	if (fd < 0)
		return fd;
	err = ioctl(fd, made[i].cmd, made[i].pointer ? (unsigned long)&val :
						       made[i].value);
	close(fd);
	return err ? -errno : 0;
}

TEST_F(violation, settings_through_a_queue_that_came_and_went)
{
	struct tapxfer_info *info;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(made); i++) {
		BEGIN();
		ASSERT_EQ(0, link_down("tap0"));
		ASSERT_EQ(0, make_setting(i));
		if (variant->state == TAPXFER_STATE_FROZEN) {
			ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed))
				TH_LOG("%s", xfer_why(&self->x));
			EXPECT_EQ(TAPXFER_VIOLATION_SETTINGS, named(&self->x))
				TH_LOG("%s", made[i].name);
		}
		ASSERT_EQ(0, xfer_thaw(&self->x));
		EXPECT_EQ(TAPXFER_VIOLATION_SETTINGS, named(&self->x))
			TH_LOG("%s", made[i].name);
		EXPECT_EQ(TAPXFER_VIOLATION_SETTINGS, told(&self->ev));
		EXPECT_EQ(TAPXFER_VIOLATION_SETTINGS, thawed_event(&self->ev));
		self->x.id = 0;

		tap_close(&self->claimed);
		tap_close(&self->tap);
		link_delete("tap0");
		ASSERT_TRUE(wait_until(!if_nametoindex("tap0"), SOON_MS));
		/* the drain has the files for a while */
		ASSERT_TRUE(wait_until(module_users() == 0, SOON_MS));
		ASSERT_EQ(0, tap_open(&self->tap, "tap0", QUEUES, TAP_VM));
		while (!tapxfer_event_next(self->ev.tx, 0, &info))
			tapxfer_info_free(info);
	}
}

/*
 * What the stack asks about is refused to whoever it is. Before Linux 5.11 it does
 * not ask about a link type.
 */
TEST_F(violation, what_is_refused_through_another_queue_too)
{
	bool asks = !kernel_before(5, 11);
	struct ifreq ifr = {};
	int fd;

	ASSERT_EQ(0, link_down("tap0"));
	BEGIN();
	fd = tap_queue("tap0", TAP_VM);
	ASSERT_LE(0, fd);
	ifr.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	memset(ifr.ifr_hwaddr.sa_data, 2, 6);
	EXPECT_EQ(-1, ioctl(fd, SIOCSIFHWADDR, &ifr));
	EXPECT_EQ(EBUSY, errno);
	EXPECT_EQ(asks ? -1 : 0, ioctl(fd, TUNSETLINK, ARPHRD_PPP));
	if (asks) {
		EXPECT_EQ(EBUSY, errno);
	}
	close(fd);
	FINISH_NOTICED(0, asks ? 0 : TAPXFER_VIOLATION_SETTINGS);
	/* and to nobody after */
	EXPECT_EQ(0, ioctl(self->claimed.fds[0], TUNSETLINK, ARPHRD_PPP));
}

/* O_NONBLOCK is the open file's: a claimant gets what was exported. */
TEST_F(violation, a_claimant_gets_the_files_as_they_were_exported)
{
	int q;

	if (variant->state == TAPXFER_STATE_CLAIMED) {
		/* it is the claimant's business from then on */
		BEGIN();
		ASSERT_EQ(0, tap_set_nonblock(&self->claimed, true));
		FINISH(0);
		EXPECT_EQ(O_NONBLOCK, fcntl(self->tap.fds[0], F_GETFL) &
				      O_NONBLOCK);
		return;
	}
	BEGIN();
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, true));
	ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed));
	for (q = 0; q < QUEUES; q++) {
		EXPECT_EQ(0, xfer_queue_u64(&self->x, q,
					    TAPXFER_A_QUEUE_NONBLOCK));
		EXPECT_EQ(0, fcntl(self->claimed.fds[q], F_GETFL) & O_NONBLOCK);
	}
	FINISH(0);
}

TEST_F(violation, an_xdp_program_of_the_stack)
{
	int pass = xdp_pass();

	ASSERT_LE(0, pass);
	BEGIN();
	ASSERT_EQ(0, link_set_xdp(self->tap.ifindex, pass,
				  XDP_FLAGS_SKB_MODE));
	EXPECT_EQ(TAPXFER_VIOLATION_XDP, told(&self->ev));
	FINISH(TAPXFER_VIOLATION_XDP);
	ASSERT_EQ(0, link_set_xdp(self->tap.ifindex, -1, XDP_FLAGS_SKB_MODE));
	close(pass);
}

TEST_F(violation, a_move_is_told_in_both_netns)
{
	uint32_t bits = TAPXFER_VIOLATION_NETNS | TAPXFER_VIOLATION_NAME;
	struct xfer ev2, x2;
	int home, away;

	BEGIN();
	home = net_leave();
	ASSERT_LE(0, home);
	away = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, away);
	ASSERT_EQ(0, xfer_open(&ev2));
	ASSERT_EQ(0, xfer_open(&x2));
	ASSERT_EQ(0, tapxfer_subscribe(ev2.tx));
	ASSERT_EQ(0, net_enter(home));

	ASSERT_EQ(0, shell("ip link set tap0 netns /proc/%d/fd/%d name new0",
			   getpid(), away));
	EXPECT_EQ(TAPXFER_VIOLATION_NETNS, told(&self->ev));
	/* the name is changed there */
	EXPECT_EQ(TAPXFER_VIOLATION_NETNS, told(&ev2));
	EXPECT_EQ(bits, told(&ev2));
	x2.id = self->x.id;
	EXPECT_EQ(bits, asked(&x2));

	/* back under its own name */
	ASSERT_EQ(0, net_enter(away));
	ASSERT_EQ(0, shell("ip link set new0 netns /proc/%d/fd/%d name tap0",
			   getpid(), home));
	ASSERT_EQ(0, net_enter(home));
	/* told to those who have not heard of the rest */
	EXPECT_EQ(bits, told(&self->ev));
	EXPECT_EQ(0, told_within(&ev2, 0));
	x2.id = 0;
	xfer_close(&x2);
	xfer_close(&ev2);
	close(home);
	close(away);
	FINISH(bits);
}

TEST_F(violation, an_abort_tells_too)
{
	BEGIN();
	ASSERT_EQ(0, set_sg("tap0", 0));
	ASSERT_EQ(0, xfer_abort(&self->x));
	EXPECT_EQ(TAPXFER_VIOLATION_OFFLOADS, named(&self->x));
}

/* The settings are the claimant's to change then, and who did cannot be told. */
TEST_F(violation, while_it_is_ready)
{
	BEGIN();
	if (variant->state == TAPXFER_STATE_FROZEN)
		ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed));
	tap_close(&self->tap);
	ASSERT_EQ(0, xfer_ready(&self->x, 0));
	ASSERT_EQ(0, set_sg("tap0", 0));
	ASSERT_EQ(0, shell("ip link set tap0 carrier off"));
	EXPECT_EQ(0, told_within(&self->ev, 2 * CARRIER_MS));
	ASSERT_EQ(0, link_down("tap0"));
	ASSERT_EQ(0, link_rename("tap0", "new0"));
	EXPECT_EQ(TAPXFER_VIOLATION_NAME, told(&self->ev));
	ASSERT_EQ(0, xfer_thaw(&self->x));
	EXPECT_EQ(TAPXFER_VIOLATION_NAME, named(&self->x));
	EXPECT_EQ(TAPXFER_VIOLATION_NAME, thawed_event(&self->ev));
}

struct claimant {
	struct xfer x;
	int pipe[2];
};

static int claimant(void *arg)
{
	struct claimant *c = arg;
	struct tap claimed = {};
	struct xfer x;

	if (xfer_open(&x))
		return 1;
	x.id = c->x.id;
	x.token = c->x.token;
	if (xfer_claim(&x, &claimed) || tap_set_nonblock(&claimed, true) ||
	    write(c->pipe[1], "c", 1) != 1)
		return 2;
	pause();
	return 0;
}

TEST_F(violation, outlives_a_claimant)
{
	struct claimant c;
	pid_t child;
	char byte;

	if (variant->state == TAPXFER_STATE_CLAIMED) {
		/* by another, below */
		BEGIN();
		ASSERT_EQ(0, set_sg("tap0", 0));
		FINISH(TAPXFER_VIOLATION_OFFLOADS);
		return;
	}
	BEGIN();
	c.x = self->x;
	ASSERT_EQ(0, pipe2(c.pipe, O_CLOEXEC));
	child = child_start(claimant, &c);
	ASSERT_EQ(1, read(c.pipe[0], &byte, 1));
	ASSERT_EQ(TAPXFER_STATE_CLAIMED, xfer_state(&self->x));
	ASSERT_EQ(0, set_sg("tap0", 0));
	EXPECT_EQ(TAPXFER_VIOLATION_OFFLOADS, told(&self->ev));
	child_kill(child);
	EXPECT_TRUE(wait_until(xfer_state(&self->x) == TAPXFER_STATE_FROZEN,
			       SOON_MS));
	/* what it did to the open files has gone with it */
	EXPECT_EQ(0, fcntl(self->tap.fds[0], F_GETFL) & O_NONBLOCK);
	close(c.pipe[0]);
	close(c.pipe[1]);
	ASSERT_EQ(0, set_sg("tap0", 1));
	FINISH(TAPXFER_VIOLATION_OFFLOADS);
}

TEST_HARNESS_MAIN
