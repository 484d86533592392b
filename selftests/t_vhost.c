// SPDX-License-Identifier: GPL-2.0
/*
 * A vhost backend that was stopped after the hold: what it had taken out of a
 * ring and gives back is seen by nobody before the thaw, and comes first then.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

#include <kselftest_harness.h>

#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "flow.h"
#include "net.h"
#include "tap.h"
#include "util.h"
#include "xfer.h"

#define RING_SIZE	256
#define BATCH		64	/* packets that vhost takes at once */
#define MAX_SEQ		(1 << 18)

/* A guest that offers no buffers: vhost takes packets and keeps them. */
struct vhost {
	int fd;
	void *mem;
	size_t size;
};

static int vhost_vring(struct vhost *v, unsigned int index)
{
	struct vhost_vring_state num = { .index = index, .num = RING_SIZE };
	struct vhost_vring_state base = { .index = index };
	struct vhost_vring_file file = { .index = index };
	char *p = (char *)v->mem + index * (v->size / 2);
	struct vhost_vring_addr addr = { .index = index };
	struct vring vr;

	vring_init(&vr, RING_SIZE, p, 4096);
	addr.desc_user_addr = (uintptr_t)vr.desc;
	addr.avail_user_addr = (uintptr_t)vr.avail;
	addr.used_user_addr = (uintptr_t)vr.used;
	if (ioctl(v->fd, VHOST_SET_VRING_NUM, &num) ||
	    ioctl(v->fd, VHOST_SET_VRING_BASE, &base) ||
	    ioctl(v->fd, VHOST_SET_VRING_ADDR, &addr))
		return -errno;
	file.fd = eventfd(0, EFD_CLOEXEC);
	if (ioctl(v->fd, VHOST_SET_VRING_KICK, &file))
		return -errno;
	file.fd = eventfd(0, EFD_CLOEXEC);
	return ioctl(v->fd, VHOST_SET_VRING_CALL, &file) ? -errno : 0;
}

static int vhost_open(struct vhost *v)
{
	/* the tap's header is as long as the guest's */
	uint64_t features = 1ULL << VIRTIO_F_VERSION_1;
	struct {
		struct vhost_memory m;
		struct vhost_memory_region r;
	} mem = { .m.nregions = 1 };
	unsigned int i;
	int err = 0;

	v->fd = open("/dev/vhost-net", O_RDWR | O_CLOEXEC);
	if (v->fd < 0)
		return -errno;
	v->size = 1 << 16;
	v->mem = aligned_alloc(4096, v->size);
	if (!v->mem)
		return -ENOMEM;
	memset(v->mem, 0, v->size);
	mem.r.memory_size = v->size;
	mem.r.userspace_addr = (uintptr_t)v->mem;
	if (ioctl(v->fd, VHOST_SET_OWNER) ||
	    ioctl(v->fd, VHOST_SET_FEATURES, &features) ||
	    ioctl(v->fd, VHOST_SET_MEM_TABLE, &mem))
		return -errno;
	for (i = 0; !err && i < 2; i++)
		err = vhost_vring(v, i);
	return err;
}

/* The receive side; @fd -1 to stop it. */
static int vhost_backend(struct vhost *v, int fd)
{
	struct vhost_vring_file file = { .index = 0, .fd = fd };

	return ioctl(v->fd, VHOST_NET_SET_BACKEND, &file) ? -errno : 0;
}

static void vhost_close(struct vhost *v)
{
	close(v->fd);
	free(v->mem);
}

FIXTURE(vhost) {
	struct tap tap;
	struct xfer x;
	struct sender s;
	struct tally t;
	struct vhost v;
};

FIXTURE_VARIANT(vhost) {
	uint32_t hold;		/* 0: the default */
	uint32_t taken;		/* what vhost takes */
	uint32_t held;		/* what comes then, and is held */
};

FIXTURE_VARIANT_ADD(vhost, few) {
	.taken = 20, .held = 30,
};

FIXTURE_VARIANT_ADD(vhost, a_batch_and_past_the_ring_size) {
	.taken = BATCH, .held = 3 * TAP_RING,
};

FIXTURE_VARIANT_ADD(vhost, a_batch_and_a_full_hold) {
	.hold = 200, .taken = BATCH, .held = 200,
};

FIXTURE_VARIANT_ADD(vhost, a_batch_and_nothing) {
	.taken = BATCH, .held = 0,
};

FIXTURE_SETUP(vhost)
{
	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", 1, TAP_VM));
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, true));
	ASSERT_EQ(0, xfer_open(&self->x));
	ASSERT_EQ(0, sender_open(&self->s, self->tap.ifindex, 1));
	ASSERT_EQ(0, tally_init(&self->t, MAX_SEQ));
	ASSERT_EQ(0, shell("modprobe vhost_net"));
	ASSERT_EQ(0, vhost_open(&self->v));
}

FIXTURE_TEARDOWN(vhost)
{
	vhost_close(&self->v);
	xfer_close(&self->x);
	link_delete("tap0");
	tap_close(&self->tap);
	sender_close(&self->s);
	tally_free(&self->t);
}

/* Whether vhost has taken what is in the ring, which poll tells. */
static bool ring_is_empty(const struct tap *tap)
{
	struct pollfd pfd = { .fd = tap->fds[0], .events = POLLIN };

	return poll(&pfd, 1, 0) == 0;
}

/* All in one batch, since it is there before vhost is. */
#define VHOST_TAKES() do { \
	ASSERT_EQ(0, sender_send(&self->s, variant->taken)); \
	ASSERT_EQ(0, vhost_backend(&self->v, self->tap.fds[0])); \
	ASSERT_TRUE(wait_until(ring_is_empty(&self->tap), SOON_MS)); \
} while (0)

TEST_F(vhost, packets_given_back_come_first_and_not_before_the_thaw)
{
	uint8_t buf[PACKET_MAX];

	VHOST_TAKES();
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_HOLDING,
				variant->hold, 0));
	ASSERT_EQ(0, sender_send(&self->s, variant->held));
	ASSERT_EQ(0, self->s.dropped);
	ASSERT_EQ(0, vhost_backend(&self->v, -1));
	/* they are in the ring again, where a consumer would look */
	EXPECT_TRUE(ring_is_empty(&self->tap));
	EXPECT_EQ(-1, read(self->tap.fds[0], buf, sizeof(buf)));
	EXPECT_EQ(EAGAIN, errno);
	ASSERT_EQ(0, xfer_freeze(&self->x));
	EXPECT_EQ(variant->taken, xfer_queue_u64(&self->x, 0,
						 TAPXFER_A_QUEUE_PUT_BACK));
	EXPECT_EQ(variant->taken + variant->held,
		  xfer_queue_u64(&self->x, 0, TAPXFER_A_QUEUE_HELD));
	EXPECT_TRUE(ring_is_empty(&self->tap));
	EXPECT_EQ(-1, read(self->tap.fds[0], buf, sizeof(buf)));
	EXPECT_EQ(EAGAIN, errno);

	ASSERT_EQ(0, xfer_finish(&self->x));
	EXPECT_EQ(variant->taken + variant->held,
		  tap_read_all(&self->tap, &self->t));
	ASSERT_EQ(0, sender_send(&self->s, 100));
	EXPECT_EQ(100, tap_read_all(&self->tap, &self->t));
	EXPECT_EQ(0, self->s.dropped);
	EXPECT_EQ(0, tally_lost(&self->t, self->s.seq));
	EXPECT_EQ(0, self->t.dup + self->t.reordered + self->t.foreign);
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
}

/* A backend that stays attached gets nothing, however often it is kicked. */
TEST_F(vhost, that_is_attached_takes_nothing_while_held)
{
	ASSERT_EQ(0, vhost_backend(&self->v, self->tap.fds[0]));
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_HOLDING,
				variant->hold, 0));
	ASSERT_EQ(0, sender_send(&self->s, variant->held));
	ASSERT_EQ(0, xfer_get(&self->x));
	EXPECT_EQ(variant->held, xfer_u64(&self->x, TAPXFER_A_HANDOVER_HELD));
	ASSERT_EQ(0, vhost_backend(&self->v, -1));
	ASSERT_EQ(0, xfer_get(&self->x));
	EXPECT_EQ(variant->held, xfer_u64(&self->x, TAPXFER_A_HANDOVER_HELD));
	ASSERT_EQ(0, xfer_freeze(&self->x));
	EXPECT_EQ(0, xfer_queue_u64(&self->x, 0, TAPXFER_A_QUEUE_PUT_BACK));
	ASSERT_EQ(0, xfer_finish(&self->x));
	EXPECT_EQ(variant->held, tap_read_all(&self->tap, &self->t));
	EXPECT_EQ(0, tally_lost(&self->t, variant->held));
	EXPECT_EQ(0, self->t.dup + self->t.reordered);
}

/* vhost goes by the file's operations: they have to be the driver's again. */
TEST_F(vhost, can_be_attached_after_the_thaw_and_not_before)
{
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_FROZEN,
				variant->hold, 0));
	EXPECT_EQ(-ENOTSOCK, vhost_backend(&self->v, self->tap.fds[0]));
	ASSERT_EQ(0, sender_send(&self->s, variant->held));
	ASSERT_EQ(0, xfer_finish(&self->x));

	/* and it takes what was held */
	ASSERT_EQ(0, vhost_backend(&self->v, self->tap.fds[0]));
	if (variant->held && variant->held < BATCH)
		EXPECT_TRUE(wait_until(ring_is_empty(&self->tap), SOON_MS));
	ASSERT_EQ(0, vhost_backend(&self->v, -1));
	EXPECT_EQ(variant->held, tap_read_all(&self->tap, &self->t));
	EXPECT_EQ(0, tally_lost(&self->t, variant->held));
	EXPECT_EQ(0, self->t.dup + self->t.reordered);
}

/* A handover that ends gives the held packets to the backend that is there. */
TEST_F(vhost, that_stayed_attached_goes_on_after_an_abort)
{
	ASSERT_EQ(0, vhost_backend(&self->v, self->tap.fds[0]));
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_HOLDING,
				variant->hold, 0));
	ASSERT_EQ(0, sender_send(&self->s, variant->held));
	ASSERT_EQ(0, xfer_abort(&self->x));
	/* woken, it takes a batch */
	if (variant->held && variant->held < BATCH)
		EXPECT_TRUE(wait_until(ring_is_empty(&self->tap), SOON_MS));
	ASSERT_EQ(0, vhost_backend(&self->v, -1));
	EXPECT_EQ(variant->held, tap_read_all(&self->tap, &self->t));
	EXPECT_EQ(0, tally_lost(&self->t, variant->held));
	EXPECT_EQ(0, self->t.dup + self->t.reordered);
}

TEST_HARNESS_MAIN
