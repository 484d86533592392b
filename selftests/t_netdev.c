// SPDX-License-Identifier: GPL-2.0
/*
 * G7 and G3: the netdev does not notice; and what is done to the netdev while
 * it is handed over.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include <kselftest_harness.h>

#include "flow.h"
#include "genl.h"
#include "net.h"
#include "tap.h"
#include "util.h"
#include "waiter.h"
#include "xfer.h"

#define QUEUES	4
#define FLOWS	64

#define COMMON \
	struct tap tap; \
	struct xfer x; \
	struct xfer ev; \
	struct sender s; \
	struct tally t

#define COMMON_SETUP() do { \
	ASSERT_EQ(0, net_isolate()); \
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", QUEUES, TAP_VM)); \
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, true)); \
	ASSERT_EQ(0, xfer_open(&self->x)); \
	ASSERT_EQ(0, xfer_open(&self->ev)); \
	ASSERT_EQ(0, tapxfer_subscribe(self->ev.tx)); \
	ASSERT_EQ(0, sender_open(&self->s, self->tap.ifindex, FLOWS)); \
	ASSERT_EQ(0, tally_init(&self->t, 1 << 16)); \
} while (0)

#define COMMON_TEARDOWN() do { \
	xfer_close(&self->x); \
	xfer_close(&self->ev); \
	link_delete(self->tap.name); \
	tap_close(&self->tap); \
	sender_close(&self->s); \
	tally_free(&self->t); \
} while (0)

#define EXPECT_ALL_IN_ORDER() do { \
	EXPECT_EQ(0, self->s.dropped); \
	EXPECT_EQ(0, tally_lost(&self->t, self->s.seq)); \
	EXPECT_EQ(0, self->t.dup + self->t.reordered + self->t.foreign); \
} while (0)

static bool unused(void)
{
	return wait_until(module_users() == 0, SOON_MS);
}

/* Events until that one comes: whether it does. */
static bool event_comes(struct xfer *ev, uint32_t event)
{
	struct tapxfer_info *info;
	bool found = false;

	while (!found && !tapxfer_event_next(ev->tx, SOON_MS, &info)) {
		found = tapxfer_info_u64(info, TAPXFER_A_HANDOVER_EVENT) ==
			event;
		tapxfer_info_free(info);
	}
	return found;
}

/* -- nobody notices -------------------------------------------------------- */

FIXTURE(quiet) {
	COMMON;
	struct watch w;
};

FIXTURE_VARIANT(quiet) {
	bool abort;
};

FIXTURE_VARIANT_ADD(quiet, to_the_thaw) {
	.abort = false,
};

FIXTURE_VARIANT_ADD(quiet, to_the_abort) {
	.abort = true,
};

FIXTURE_SETUP(quiet)
{
	COMMON_SETUP();
	ASSERT_EQ(0, shell("ip link add br0 type bridge mcast_snooping 0 && "
			   "ip link add port0 type veth peer name port1 && "
			   "ip link set port0 master br0 up && "
			   "ip link set port1 up && "
			   "ip link set tap0 master br0 && "
			   "ip link set br0 up"));
}

FIXTURE_TEARDOWN(quiet)
{
	watch_close(&self->w);
	COMMON_TEARDOWN();
}

TEST_F(quiet, no_link_event_and_the_same_bridge_port)
{
	struct link_info before, after, port1;
	struct tap claimed = {};
	struct sender far;
	int one = 1, zero = 0;

	ASSERT_EQ(0, link_info(if_nametoindex("port1"), &port1));
	/* a port forwards when the news of its carrier have come */
	ASSERT_TRUE(wait_until(!link_info(if_nametoindex("port0"), &before) &&
			       before.flags & IFF_RUNNING, SOON_MS));
	/* news of the setup come with a delay */
	ASSERT_TRUE(wait_until(!link_info(self->tap.ifindex, &before) &&
			       before.flags & IFF_RUNNING && before.brport,
			       SOON_MS));
	ASSERT_EQ(0, watch_open(&self->w, self->tap.ifindex));
	ASSERT_TRUE(wait_until(!watch_read(&self->w), SOON_MS));
	ASSERT_EQ(0, link_info(self->tap.ifindex, &before));
	memset(&self->w.links, 0, sizeof(self->w) -
				  offsetof(struct watch, links));

	ASSERT_EQ(0, sender_open(&far, if_nametoindex("port1"), FLOWS));
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_PREPARED, 0,
				0));
	ASSERT_EQ(0, sender_send(&far, 100));
	ASSERT_EQ(0, xfer_hold(&self->x));
	ASSERT_EQ(0, sender_send(&far, 100));
	ASSERT_EQ(0, xfer_freeze(&self->x));
	ASSERT_EQ(0, sender_send(&far, 2000));
	ASSERT_EQ(0, xfer_claim(&self->x, &claimed));
	if (variant->abort) {
		ASSERT_EQ(0, xfer_abort(&self->x));
	} else {
		/* the source is gone, the target has the files */
		tap_close(&self->tap);
		ASSERT_EQ(0, xfer_thaw(&self->x));
	}
	claimed.hdr = self->tap.hdr;
	EXPECT_EQ(2200, tap_read_count(&claimed, &self->t, 2200));
	EXPECT_EQ(0, tally_lost(&self->t, 2200));
	EXPECT_EQ(0, self->t.dup + self->t.reordered);
	ASSERT_TRUE(unused());

	watch_read(&self->w);
	EXPECT_EQ(0, self->w.links);
	EXPECT_EQ(0, self->w.deleted);
	EXPECT_EQ(0, self->w.addrs);
	EXPECT_EQ(0, self->w.lost);
	ASSERT_EQ(0, link_info(self->tap.ifindex, &after));
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(after)));
	EXPECT_LT(0, after.brport);

	/* the listener is not deaf */
	ASSERT_EQ(0, ioctl(claimed.fds[0], TUNSETCARRIER, &zero));
	ASSERT_EQ(0, ioctl(claimed.fds[0], TUNSETCARRIER, &one));
	EXPECT_TRUE(wait_until(watch_read(&self->w), SOON_MS));
	EXPECT_LT(0, self->w.links);
	tap_close(&claimed);
	sender_close(&far);
}

/* -- changes to the device -------------------------------------------------- */

FIXTURE(netdev) {
	COMMON;
	struct tap claimed;
};

FIXTURE_VARIANT(netdev) {
	enum tapxfer_state state;
};

FIXTURE_VARIANT_ADD(netdev, prepared) {
	.state = TAPXFER_STATE_PREPARED,
};

FIXTURE_VARIANT_ADD(netdev, holding) {
	.state = TAPXFER_STATE_HOLDING,
};

FIXTURE_VARIANT_ADD(netdev, frozen) {
	.state = TAPXFER_STATE_FROZEN,
};

FIXTURE_VARIANT_ADD(netdev, claimed) {
	.state = TAPXFER_STATE_CLAIMED,
};

FIXTURE_SETUP(netdev)
{
	COMMON_SETUP();
}

FIXTURE_TEARDOWN(netdev)
{
	tap_close(&self->claimed);
	COMMON_TEARDOWN();
}

#define BEGIN() do { \
	enum tapxfer_state to_ = variant->state == TAPXFER_STATE_CLAIMED ? \
				 TAPXFER_STATE_FROZEN : variant->state; \
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, to_, 0, 0)); \
	if (variant->state == TAPXFER_STATE_CLAIMED) \
		ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed)); \
} while (0)

#define FINISH() do { \
	if (variant->state < TAPXFER_STATE_FROZEN) \
		ASSERT_EQ(0, xfer_freeze(&self->x)); \
	if (variant->state < TAPXFER_STATE_CLAIMED) \
		ASSERT_EQ(0, xfer_claim(&self->x, &self->claimed)); \
	ASSERT_EQ(0, xfer_thaw_shared(&self->x)) \
		TH_LOG("%s", xfer_why(&self->x)); \
} while (0)

#define IS_FROZEN	(variant->state >= TAPXFER_STATE_FROZEN)
#define IS_HELD		(variant->state >= TAPXFER_STATE_HOLDING)

/* The driver resizes its rings for it, and would lose what is held. */
TEST_F(netdev, tx_queue_length_change)
{
	static const int lens[] = { 0, 10, TAP_RING - 1, 20000 };
	struct link_info li;
	size_t i;

	ASSERT_EQ(0, sender_send(&self->s, 100));
	BEGIN();
	if (IS_HELD)
		ASSERT_EQ(0, sender_send(&self->s, 2 * TAP_RING));
	for (i = 0; i < ARRAY_SIZE(lens); i++) {
		EXPECT_EQ(IS_HELD ? -EBUSY : 0,
			  link_set_txqlen("tap0", lens[i]));
		ASSERT_EQ(0, link_info(self->tap.ifindex, &li));
		EXPECT_EQ(IS_HELD ? TAP_RING : lens[i], li.txqlen);
	}
	if (!IS_HELD)
		ASSERT_EQ(0, link_set_txqlen("tap0", TAP_RING));
	FINISH();
	if (IS_HELD) {
		EXPECT_EQ(100 + 2 * TAP_RING,
			  tap_read_all(&self->tap, &self->t));
		EXPECT_ALL_IN_ORDER();
	}
	/* and then it can be */
	EXPECT_EQ(0, link_set_txqlen("tap0", 2000));
}

/* Room was made for what the ring was when it was prepared. */
TEST_F(netdev, a_tx_queue_length_that_grew_since_the_prepare)
{
	if (variant->state != TAPXFER_STATE_PREPARED) {
		/* refused then, see above */
		BEGIN();
		EXPECT_EQ(-EBUSY, link_set_txqlen("tap0", 20000));
		return;
	}
	BEGIN();
	ASSERT_EQ(0, link_set_txqlen("tap0", 20000));
	EXPECT_EQ(-ESTALE, xfer_hold(&self->x));
	EXPECT_STREQ("the tx queue length grew since the prepare, abort and begin anew",
		     xfer_why(&self->x));
	ASSERT_EQ(0, sender_send(&self->s, 100));
	EXPECT_EQ(100, tap_read_all(&self->tap, &self->t));
	ASSERT_EQ(0, link_set_txqlen("tap0", 500));
	EXPECT_EQ(0, xfer_hold(&self->x));
}

TEST_F(netdev, mtu_change)
{
	struct link_info li;

	BEGIN();
	EXPECT_EQ(IS_FROZEN ? -EBUSY : 0, link_set_mtu("tap0", 1400));
	ASSERT_EQ(0, link_info(self->tap.ifindex, &li));
	EXPECT_EQ(IS_FROZEN ? 1500 : 1400, li.mtu);
	FINISH();
	EXPECT_EQ(0, link_set_mtu("tap0", 1300));
}

TEST_F(netdev, mac_change)
{
	static const uint8_t mac[6] = { 2, 1, 2, 3, 4, 5 };
	struct link_info before, after;

	ASSERT_EQ(0, link_info(self->tap.ifindex, &before));
	BEGIN();
	EXPECT_EQ(IS_FROZEN ? -EBUSY : 0, link_set_mac("tap0", mac));
	ASSERT_EQ(0, link_info(self->tap.ifindex, &after));
	EXPECT_EQ(0, memcmp(IS_FROZEN ? before.mac : mac, after.mac, 6));
	if (IS_FROZEN)
		EXPECT_EQ(0, shell("ip link set tap0 address 02:01:02:03:04:05 2>&1 | "
				   "grep -q 'being handed over, try again after the thaw'"));
	FINISH();
	EXPECT_EQ(0, link_set_mac("tap0", mac));
}

/* The next words of the kernel's log, by its file: whether these are there. */
static bool log_says(int kmsg, const char *words)
{
	char line[1024];
	ssize_t len;

	while ((len = read(kmsg, line, sizeof(line) - 1)) > 0) {
		line[len] = '\0';
		if (strstr(line, words))
			return true;
	}
	return false;
}

/* Where netlink has no text for a refusal, the kernel's log has it. */
TEST_F(netdev, changes_by_netlink)
{
	static const struct {
		const char *set;
		const char *log;
		bool held;
	} changes[] = {
		{ "mtu 1400", "tap0: mtu not changed: the device is being handed over", false },
		{ "txqueuelen 300", "tap0: tx queue length not changed: the device is being handed over", true },
	};
	int kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct link_info before, after;
	bool refused;
	size_t i;

	ASSERT_LE(0, kmsg);
	ASSERT_EQ(0, link_info(self->tap.ifindex, &before));
	BEGIN();
	for (i = 0; i < ARRAY_SIZE(changes); i++) {
		ASSERT_LE(0, lseek(kmsg, 0, SEEK_END));
		refused = changes[i].held ? IS_HELD : IS_FROZEN;
		EXPECT_EQ(refused ? 2 : 0,
			  shell("ip link set tap0 %s 2>/dev/null",
				changes[i].set));
		/* so many lines a time, and others have been refused */
		if (refused)
			EXPECT_TRUE(wait_until(log_says(kmsg, changes[i].log) ||
					       !shell("ip link set tap0 %s 2>/dev/null",
						      changes[i].set),
					       SOON_MS));
	}
	ASSERT_EQ(0, link_info(self->tap.ifindex, &after));
	EXPECT_EQ(IS_FROZEN ? before.mtu : 1400, after.mtu);
	EXPECT_EQ(IS_HELD ? before.txqlen : 300, after.txqlen);
	close(kmsg);
}

/* Of other devices nothing is refused. */
TEST_F(netdev, of_another_device_changes)
{
	static const uint8_t mac[6] = { 2, 1, 2, 3, 4, 5 };
	struct tap other;

	ASSERT_EQ(0, tap_open(&other, "tap1", 2, TAP_VM));
	BEGIN();
	EXPECT_EQ(0, link_set_txqlen("tap1", 300));
	EXPECT_EQ(0, link_set_mtu("tap1", 1400));
	EXPECT_EQ(0, link_set_mac("tap1", mac));
	FINISH();
	tap_close(&other);
}

TEST_F(netdev, link_down_and_up_loses_nothing_that_is_held)
{
	ASSERT_EQ(0, sender_send(&self->s, 100));
	BEGIN();
	ASSERT_EQ(0, sender_send(&self->s, 100));
	ASSERT_EQ(0, link_down("tap0"));
	ASSERT_EQ(0, link_up("tap0"));
	if (IS_HELD)
		EXPECT_EQ(0, tap_read_all(&self->tap, &self->t));
	if (IS_FROZEN)
		EXPECT_EQ(-EAGAIN, tap_write_one(&self->tap, 0, 0));
	ASSERT_EQ(0, sender_send(&self->s, 100));
	FINISH();
	ASSERT_EQ(0, sender_send(&self->s, 100));
	EXPECT_EQ(400, tap_read_all(&self->tap, &self->t));
	EXPECT_ALL_IN_ORDER();
	EXPECT_EQ(0, tap_write_one(&self->tap, 0, 0));
}

TEST_F(netdev, left_down_is_thawed_down)
{
	BEGIN();
	if (IS_HELD)
		ASSERT_EQ(0, sender_send(&self->s, 2 * TAP_RING));
	ASSERT_EQ(0, link_down("tap0"));
	FINISH();
	EXPECT_EQ(self->s.seq, tap_read_all(&self->tap, &self->t));
	EXPECT_EQ(-EIO, tap_write_one(&self->tap, 0, 0));
	ASSERT_EQ(0, link_up("tap0"));
	ASSERT_EQ(0, sender_send(&self->s, 10));
	EXPECT_EQ(10, tap_read_all(&self->tap, &self->t));
	EXPECT_ALL_IN_ORDER();
	EXPECT_EQ(0, tap_write_one(&self->tap, 0, 0));
}

TEST_F(netdev, renamed)
{
	BEGIN();
	if (IS_HELD)
		ASSERT_EQ(0, sender_send(&self->s, 1500));
	/* not every kernel renames a link that is up */
	ASSERT_EQ(0, link_down("tap0"));
	ASSERT_EQ(0, link_rename("tap0", "new0"));
	strcpy(self->tap.name, "new0");
	ASSERT_EQ(0, link_up("new0"));

	EXPECT_EQ((int)variant->state, xfer_state(&self->x));
	EXPECT_STREQ("new0", tapxfer_info_str(self->x.info,
					      TAPXFER_A_HANDOVER_IFNAME));
	EXPECT_EQ(self->tap.ifindex,
		  (int)xfer_u64(&self->x, TAPXFER_A_HANDOVER_IFINDEX));
	/* changes are refused under the new name */
	if (IS_HELD)
		EXPECT_EQ(-EBUSY, link_set_txqlen("new0", 10));
	FINISH();
	EXPECT_EQ(self->s.seq, tap_read_all(&self->tap, &self->t));
	EXPECT_ALL_IN_ORDER();
}

/* The driver purges its rings: what is held must not be left out. */
TEST_F(netdev, deleted)
{
	uint8_t buf[PACKET_MAX];
	int q;

	BEGIN();
	ASSERT_EQ(0, sender_send(&self->s, IS_HELD ? 2 * TAP_RING : 100));
	ASSERT_EQ(0, link_delete("tap0"));

	EXPECT_TRUE(event_comes(&self->ev, TAPXFER_EVENT_GONE));
	EXPECT_EQ(-ENOENT, xfer_thaw(&self->x));
	EXPECT_EQ(-ENOENT, xfer_abort(&self->x));
	EXPECT_TRUE(unused());
	EXPECT_EQ(-ENOENT, xfer_state(&self->x));

	/* the files are as those of any deleted device */
	for (q = 0; q < QUEUES; q++) {
		EXPECT_EQ(-1, read(self->tap.fds[q], buf, sizeof(buf)));
		EXPECT_EQ(EBADFD, errno);
		EXPECT_EQ(-EBADFD, tap_write_one(&self->tap, q, 0));
	}
	/* and the name is free */
	tap_close(&self->tap);
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", QUEUES, TAP_VM));
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN, 0,
				0));
}

/* Who sleeps in a read or write of a device that is deleted does not stay. */
TEST_F(netdev, deleted_wakes_who_sleeps)
{
	struct waiter r = { .op = WAITER_READ, .fd = self->tap.fds[0] };
	struct waiter p = { .op = WAITER_POLL_IN, .fd = self->tap.fds[1] };
	uint8_t packet[PACKET_MAX] = {};
	struct waiter w = {
		.op = WAITER_WRITE, .fd = self->tap.fds[1], .buf = packet,
		.len = self->tap.hdr +
		       packet_make(packet + self->tap.hdr, 0, 5),
	};

	ASSERT_EQ(0, tap_set_nonblock(&self->tap, false));
	BEGIN();
	ASSERT_EQ(0, waiter_start(&r));
	ASSERT_EQ(0, waiter_start(&p));
	if (IS_FROZEN)
		ASSERT_EQ(0, waiter_start(&w));
	ASSERT_EQ(0, link_delete("tap0"));
	EXPECT_TRUE(waiter_wait(&r, SOON_MS));
	EXPECT_EQ(-1, r.ret);
	EXPECT_TRUE(waiter_wait(&p, SOON_MS));
	if (IS_FROZEN) {
		EXPECT_TRUE(waiter_wait(&w, SOON_MS));
		EXPECT_EQ(-1, w.ret);
	}
	EXPECT_TRUE(unused());
}

/* -- network namespaces ----------------------------------------------------- */

static int hold_netns(void *arg)
{
	int *pipe = arg;

	if (net_isolate() || write(pipe[1], "n", 1) != 1)
		return 1;
	pause();
	return 0;
}

/* To the netns of a child, and from there to the device. */
#define MOVE(child) do { \
	int pipe_[2]; \
	char byte_; \
	ASSERT_EQ(0, pipe2(pipe_, O_CLOEXEC)); \
	child = child_start(hold_netns, pipe_); \
	ASSERT_EQ(1, read(pipe_[0], &byte_, 1)); \
	ASSERT_EQ(0, shell("ip link set tap0 netns %d", child)); \
	ASSERT_EQ(0, if_nametoindex("tap0")); \
} while (0)

static int enter_netns_of(pid_t pid)
{
	char path[64];
	int fd, err;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = net_enter(fd);
	close(fd);
	return err;
}

TEST_F(netdev, moved_to_another_netns)
{
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	struct sender there;
	struct xfer x2;
	pid_t child;
	int err;

	BEGIN();
	ASSERT_EQ(0, sender_send(&self->s, 500));
	MOVE(child);

	/* those who may see the device see its handover */
	EXPECT_EQ(-ENOENT, xfer_get(&self->x));
	ASSERT_EQ(0, enter_netns_of(child));
	ASSERT_EQ(0, link_up("tap0"));
	ASSERT_EQ(0, xfer_open(&x2));
	x2.id = self->x.id;
	EXPECT_EQ((int)variant->state, xfer_state(&x2));
	if (IS_HELD)
		EXPECT_EQ(-EBUSY, link_set_txqlen("tap0", 10));
	ASSERT_EQ(0, sender_open(&there, if_nametoindex("tap0"), FLOWS));
	there.seq = self->s.seq;
	ASSERT_EQ(0, sender_send(&there, 500));
	self->s.seq = there.seq;
	x2.id = 0;
	xfer_close(&x2);
	sender_close(&there);
	ASSERT_EQ(0, net_enter(home));

	/* the token is good everywhere */
	FINISH();
	err = tap_read_all(&self->tap, &self->t);
	EXPECT_EQ(1000, err);
	EXPECT_EQ(0, tally_lost(&self->t, 1000));
	EXPECT_EQ(0, self->t.dup + self->t.reordered);
	child_kill(child);
	close(home);
	EXPECT_TRUE(unused());
}

TEST_F(netdev, its_netns_deleted)
{
	uint8_t buf[PACKET_MAX];
	pid_t child;

	BEGIN();
	ASSERT_EQ(0, sender_send(&self->s, 500));
	MOVE(child);
	child_kill(child);

	/* the kernel takes its time to clean up */
	EXPECT_TRUE(unused());
	EXPECT_EQ(-ENOENT, xfer_thaw(&self->x));
	EXPECT_EQ(-1, read(self->tap.fds[0], buf, sizeof(buf)));
	EXPECT_EQ(EBADFD, errno);
}

TEST_HARNESS_MAIN
