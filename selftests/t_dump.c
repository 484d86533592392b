// SPDX-License-Identifier: GPL-2.0
/*
 * Questions: one, all, and what may be asked about whom.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include <kselftest_harness.h>

#include <net/if_arp.h>

#include "flow.h"
#include "net.h"
#include "tap.h"
#include "util.h"
#include "xfer.h"

/* More than one message has room for */
#define DEVICES	100

FIXTURE(dump) {
	struct tap *taps;
	struct xfer *x;
	int n;
};

FIXTURE_SETUP(dump)
{
	ASSERT_EQ(0, net_isolate());
	self->taps = calloc(DEVICES, sizeof(*self->taps));
	self->x = calloc(DEVICES, sizeof(*self->x));
	ASSERT_NE(NULL, self->taps);
	ASSERT_NE(NULL, self->x);
	ASSERT_EQ(0, xfer_open(&self->x[0]));
}

FIXTURE_TEARDOWN(dump)
{
	int i;

	for (i = 0; i < DEVICES; i++)
		if (self->x[i].tx)
			xfer_close(&self->x[i]);
	/* else it is for the kernel to close them, one after the other, later */
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
	for (i = 0; i < DEVICES; i++)
		tap_close(&self->taps[i]);
}

#define MAKE(count, queues) do { \
	char name_[16]; \
	for (self->n = 0; self->n < (count); self->n++) { \
		snprintf(name_, sizeof(name_), "tap%d", self->n); \
		ASSERT_EQ(0, tap_open(&self->taps[self->n], name_, queues, \
				      queues > 1 ? TAP_VM : \
						   IFF_TAP | IFF_NO_PI)); \
	} \
} while (0)

/* How often an object of each ifindex was in the dump */
struct seen {
	unsigned int ifindex;	/* the attribute that has it */
	unsigned int count[1024];
	unsigned int sum;
};

static int see(const struct tapxfer_info *info, void *data)
{
	uint64_t ifindex;
	struct seen *s = data;

	ifindex = tapxfer_info_u64(info, s->ifindex);
	if (ifindex < 1024)
		s->count[ifindex]++;
	s->sum++;
	return 0;
}

TEST_F_TIMEOUT(dump, of_devices_has_each_once, 100)
{
	struct seen s = { .ifindex = TAPXFER_A_DEV_IFINDEX };
	int i;

	ASSERT_EQ(0, tapxfer_dev_list(self->x[0].tx, see, &s));
	EXPECT_EQ(0, s.sum);

	MAKE(DEVICES, 1);
	/* no tun, no place in the list */
	ASSERT_EQ(0, shell("ip link add dum0 type dummy"));
	ASSERT_EQ(0, tapxfer_dev_list(self->x[0].tx, see, &s));
	EXPECT_EQ(DEVICES, s.sum);
	for (i = 0; i < DEVICES; i++)
		EXPECT_EQ(1, s.count[self->taps[i].ifindex]);
}

TEST_F_TIMEOUT(dump, of_handovers_has_each_once, 100)
{
	struct seen s = { .ifindex = TAPXFER_A_HANDOVER_IFINDEX };
	int i;

	ASSERT_EQ(0, tapxfer_handover_list(self->x[0].tx, see, &s));
	EXPECT_EQ(0, s.sum);

	MAKE(DEVICES, 1);
	for (i = 1; i < DEVICES; i++)
		ASSERT_EQ(0, xfer_open(&self->x[i]));
	for (i = 0; i < DEVICES; i++)
		ASSERT_EQ(0, xfer_begin(&self->x[i], &self->taps[i],
					TAPXFER_STATE_PREPARED, 10, 300000));
	ASSERT_EQ(0, tapxfer_handover_list(self->x[0].tx, see, &s));
	EXPECT_EQ(DEVICES, s.sum);
	for (i = 0; i < DEVICES; i++)
		EXPECT_EQ(1, s.count[self->taps[i].ifindex]);
}

TEST_F(dump, has_what_is_in_the_callers_netns_alone)
{
	struct seen dev = { .ifindex = TAPXFER_A_DEV_IFINDEX };
	struct seen ho = { .ifindex = TAPXFER_A_HANDOVER_IFINDEX };
	struct xfer there;
	int home;

	MAKE(2, 2);
	ASSERT_EQ(0, xfer_begin(&self->x[0], &self->taps[0],
				TAPXFER_STATE_FROZEN, 0, 0));
	home = net_leave();
	ASSERT_LE(0, home);
	ASSERT_EQ(0, xfer_open(&there));
	ASSERT_EQ(0, net_enter(home));

	ASSERT_EQ(0, tapxfer_dev_list(there.tx, see, &dev));
	EXPECT_EQ(0, dev.sum);
	ASSERT_EQ(0, tapxfer_handover_list(there.tx, see, &ho));
	EXPECT_EQ(0, ho.sum);
	there.id = self->x[0].id;
	EXPECT_EQ(-ENOENT, xfer_get(&there));
	there.id = 0;

	ASSERT_EQ(0, tapxfer_dev_list(self->x[0].tx, see, &dev));
	EXPECT_EQ(2, dev.sum);
	ASSERT_EQ(0, tapxfer_handover_list(self->x[0].tx, see, &ho));
	EXPECT_EQ(1, ho.sum);
	xfer_close(&there);
}

#define DEV_U64(info, attr) tapxfer_info_u64(info, TAPXFER_A_DEV_##attr)

TEST_F(dump, of_one_device_tells_what_is_known_without_its_file)
{
	struct tapxfer_info *dev;
	struct link_info li;

	MAKE(1, 3);
	ASSERT_EQ(0, tap_detach(self->taps[0].fds[1], true));
	ASSERT_EQ(0, link_info(self->taps[0].ifindex, &li));
	ASSERT_EQ(0, tapxfer_dev_get(self->x[0].tx, self->taps[0].ifindex, -1,
				     &dev));
	EXPECT_EQ(self->taps[0].ifindex, DEV_U64(dev, IFINDEX));
	EXPECT_STREQ("tap0", tapxfer_info_str(dev, TAPXFER_A_DEV_IFNAME));
	EXPECT_EQ(TAPXFER_DEV_TYPE_TAP, DEV_U64(dev, TYPE));
	EXPECT_EQ(ARPHRD_ETHER, DEV_U64(dev, LINK_TYPE));
	EXPECT_EQ(2, DEV_U64(dev, NUM_QUEUES));
	EXPECT_EQ(1, DEV_U64(dev, NUM_DETACHED));
	EXPECT_EQ(1, DEV_U64(dev, MULTI_QUEUE));
	EXPECT_EQ(TAP_RING, DEV_U64(dev, TX_QUEUE_LEN));
	EXPECT_EQ(li.mtu, DEV_U64(dev, MTU));
	EXPECT_EQ(TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6, DEV_U64(dev, OFFLOADS));
	EXPECT_FALSE(tapxfer_info_has(dev, TAPXFER_A_DEV_FLAGS));
	EXPECT_FALSE(tapxfer_info_has(dev, TAPXFER_A_DEV_SNDBUF));
	EXPECT_FALSE(tapxfer_info_has(dev, TAPXFER_A_DEV_OWNER));
	EXPECT_FALSE(tapxfer_info_has(dev, TAPXFER_A_DEV_HANDOVER));
	tapxfer_info_free(dev);
}

TEST_F(dump, of_one_device_with_its_file_tells_the_rest)
{
	struct tapxfer_info *dev;
	int sndbuf = 55555;

	MAKE(1, 3);
	ASSERT_EQ(0, ioctl(self->taps[0].fds[0], TUNSETSNDBUF, &sndbuf));
	ASSERT_EQ(0, tapxfer_dev_get(self->x[0].tx, self->taps[0].ifindex,
				     self->taps[0].fds[2], &dev));
	EXPECT_EQ(TAP_VM, DEV_U64(dev, FLAGS));
	EXPECT_EQ(12, DEV_U64(dev, VNET_HDR_SZ));
	EXPECT_EQ(sndbuf, tapxfer_info_s32(dev, TAPXFER_A_DEV_SNDBUF));
	tapxfer_info_free(dev);
}

TEST_F(dump, of_a_device_in_a_handover_tells_that)
{
	struct xfer *x = &self->x[0];
	struct tapxfer_info *dev;

	MAKE(1, 3);
	ASSERT_EQ(0, xfer_begin(x, &self->taps[0], TAPXFER_STATE_HOLDING, 0,
				0));
	ASSERT_EQ(0, tapxfer_dev_get(x->tx, self->taps[0].ifindex, -1, &dev));
	EXPECT_EQ(x->id, DEV_U64(dev, HANDOVER));
	EXPECT_EQ(TAPXFER_STATE_HOLDING, DEV_U64(dev, HANDOVER_STATE));
	tapxfer_info_free(dev);
	ASSERT_EQ(0, xfer_abort(x));
	ASSERT_EQ(0, tapxfer_dev_get(x->tx, self->taps[0].ifindex, -1, &dev));
	EXPECT_FALSE(tapxfer_info_has(dev, TAPXFER_A_DEV_HANDOVER));
	tapxfer_info_free(dev);
}

/* Nobody who merely asks gets the right to go on. */
static int has_token(const struct tapxfer_info *info, void *data)
{
	int *n = data;

	*n += tapxfer_info_has(info, TAPXFER_A_HANDOVER_TOKEN);
	return 0;
}

TEST_F(dump, never_tells_the_token)
{
	int n = 0;

	MAKE(1, 2);
	ASSERT_EQ(0, xfer_begin(&self->x[0], &self->taps[0],
				TAPXFER_STATE_FROZEN, 0, 0));
	ASSERT_EQ(0, tapxfer_handover_list(self->x[0].tx, has_token, &n));
	ASSERT_EQ(0, xfer_get(&self->x[0]));
	has_token(self->x[0].info, &n);
	EXPECT_EQ(0, n);
}

TEST_F(dump, of_one_handover_tells_its_queues)
{
	struct xfer *x = &self->x[0];
	struct sender s;
	uint64_t held = 0;
	int q;

	MAKE(1, 4);
	ASSERT_EQ(0, tap_set_nonblock(&self->taps[0], true));
	ASSERT_EQ(0, sender_open(&s, self->taps[0].ifindex, 64));
	ASSERT_EQ(0, sender_send(&s, 128));
	ASSERT_EQ(0, xfer_begin(x, &self->taps[0], TAPXFER_STATE_PREPARED, 4000,
				9000));
	ASSERT_EQ(0, xfer_get(x));
	EXPECT_EQ(4000, xfer_u64(x, TAPXFER_A_HANDOVER_HOLD));
	EXPECT_EQ(9000, xfer_u64(x, TAPXFER_A_HANDOVER_DEADLINE));
	EXPECT_GE(9000, xfer_u64(x, TAPXFER_A_HANDOVER_REMAINING));
	EXPECT_LT(0, xfer_u64(x, TAPXFER_A_HANDOVER_REMAINING));
	EXPECT_EQ(0, xfer_u64(x, TAPXFER_A_HANDOVER_HELD));
	/* nothing is exported before the freeze, for it may still change */
	EXPECT_FALSE(tapxfer_info_has(x->info, TAPXFER_A_HANDOVER_DEV));
	EXPECT_EQ(4, tapxfer_info_count(x->info, TAPXFER_A_HANDOVER_QUEUE));

	ASSERT_EQ(0, xfer_hold(x));
	ASSERT_EQ(0, sender_send(&s, 256));
	ASSERT_EQ(0, xfer_freeze(x));
	ASSERT_EQ(0, xfer_get(x));
	EXPECT_TRUE(tapxfer_info_has(x->info, TAPXFER_A_HANDOVER_DEV));
	EXPECT_EQ(4, xfer_u64(x, TAPXFER_A_HANDOVER_NUM_QUEUES));
	EXPECT_EQ(384, xfer_u64(x, TAPXFER_A_HANDOVER_HELD));
	for (q = 0; q < 4; q++) {
		uint64_t n = xfer_queue_u64(x, q, TAPXFER_A_QUEUE_HELD);

		held += n;
		/* every third was there at the hold */
		EXPECT_EQ(n, 3 * xfer_queue_u64(x, q, TAPXFER_A_QUEUE_PENDING));
		EXPECT_EQ(0, xfer_queue_u64(x, q, TAPXFER_A_QUEUE_PUT_BACK));
		EXPECT_EQ(1, xfer_queue_u64(x, q, TAPXFER_A_QUEUE_NONBLOCK));
		/* this process's */
		EXPECT_EQ(1, xfer_queue_u64(x, q, TAPXFER_A_QUEUE_HOLDERS));
	}
	EXPECT_EQ(384, held);
	sender_close(&s);
}

TEST_HARNESS_MAIN
