// SPDX-License-Identifier: GPL-2.0
/*
 * The library's calls for vhost-net, one by one, on a real device: what each
 * refuses and says, and what it leaves behind when one of its ioctls fails.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <kselftest_harness.h>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>

#include "net.h"
#include "util.h"
#include "vhost.h"

#define MAX_SEQ		(1 << 16)
#define FLOW		1	/* of the guest's own packets */
#define BOTH		(1 << VHOST_RX | 1 << VHOST_TX)

FIXTURE(lib) {
	struct tap tap;
	struct xfer x;
	struct sender s;
	struct tally t;
	struct capture c;
	struct vhost v;
};

FIXTURE_SETUP(lib)
{
	ASSERT_EQ(0, net_isolate());
	ASSERT_EQ(0, shell("modprobe vhost_net"));
	ASSERT_EQ(0, tap_open(&self->tap, "tap0", 1, TAP_VM));
	ASSERT_EQ(0, tap_set_nonblock(&self->tap, true));
	ASSERT_EQ(0, xfer_open(&self->x));
	ASSERT_EQ(0, sender_open(&self->s, self->tap.ifindex, 1));
	ASSERT_EQ(0, tally_init(&self->t, MAX_SEQ));
	ASSERT_EQ(0, capture_open(&self->c, self->tap.ifindex));
	ASSERT_EQ(0, vhost_open(&self->v, 0, -1));
	self->v.dev.tap_fd = self->tap.fds[0];
	ASSERT_EQ(VHOST_RING, guest_offer(&self->v, VHOST_RING));
}

FIXTURE_TEARDOWN(lib)
{
	vhost_close(&self->v);
	xfer_close(&self->x);
	link_delete("tap0");
	tap_close(&self->tap);
	sender_close(&self->s);
	capture_close(&self->c);
	tally_free(&self->t);
	EXPECT_TRUE(wait_until(module_users() == 0, SOON_MS));
}

#define ATTACHED()	tapxfer_vhost_attached(self->x.tx, &self->v.dev)
#define STOP()		tapxfer_vhost_stop(self->x.tx, &self->v.dev, &self->v.state)
#define RELEASE()	tapxfer_vhost_release(self->x.tx, &self->v.dev)
#define SETUP()		tapxfer_vhost_setup(self->x.tx, &self->v.dev, &self->v.state)
#define ATTACH()	tapxfer_vhost_attach(self->x.tx, &self->v.dev, &self->v.state)
#define START()		tapxfer_vhost_start(self->x.tx, &self->v.dev, &self->v.state)

/* The text of the last call's failure has that in it. */
#define EXPECT_SAYS(part) \
	EXPECT_NE(NULL, strstr(tapxfer_error(self->x.tx), part)) \
		TH_LOG("says '%s'", tapxfer_error(self->x.tx))

/* Packets go both ways, in order, none missing from the first one on. */
#define EXPECT_WORKS() do { \
	int i_; \
	ASSERT_EQ(0, sender_send(&self->s, 100)); \
	for (i_ = 0; i_ < 100; i_++) \
		ASSERT_EQ(0, guest_send(&self->v, FLOW, \
					self->v.guest->sent, PACKET_LEN)); \
	EXPECT_TRUE(wait_until((guest_receive(&self->v, &self->t, 0, true), \
				self->t.got == self->s.seq), SOON_MS)); \
	EXPECT_TRUE(wait_until((capture_read(&self->c), \
				self->c.t.got == self->v.guest->sent), \
			       SOON_MS)); \
	EXPECT_EQ(0, self->t.dup + self->t.reordered + self->t.foreign); \
	EXPECT_EQ(0, self->c.t.dup + self->c.t.reordered + \
		     self->c.t.foreign); \
} while (0)

/* Whether nobody is the device's owner */
static bool is_nobodys(const struct vhost *v)
{
	struct vhost_vring_state base = {};

	return ioctl(v->dev.fd, VHOST_GET_VRING_BASE, &base) == -1 &&
	       errno == EPERM;
}

static uint16_t used_index(const struct vhost *v, int side)
{
	return __atomic_load_n(&v->vrings[side].used->idx, __ATOMIC_ACQUIRE);
}

TEST_F(lib, stop_and_start_go_on_where_they_were)
{
	int i, side;

	ASSERT_EQ(0, START());
	for (i = 0; i < 5; i++) {
		EXPECT_WORKS();
		ASSERT_EQ(0, STOP());
		EXPECT_EQ(0, ATTACHED());
		for (side = 0; side < VHOST_SIDES; side++)
			EXPECT_EQ(used_index(&self->v, side),
				  self->v.state.vrings[side].base);
		EXPECT_NE(0, self->v.state.vrings[VHOST_TX].base);
		/* twice is not once too often */
		ASSERT_EQ(0, STOP());
		if (i & 1)
			ASSERT_EQ(0, RELEASE());
		ASSERT_EQ(0, START());
		EXPECT_EQ(BOTH, ATTACHED());
	}
	EXPECT_WORKS();
}

/* The guest's processors run all the time, and vhost is in the midst of things. */
TEST_F(lib, stop_and_start_under_traffic)
{
	struct receiver r = { .v = &self->v, .t = &self->t };
	struct catcher c = { .c = &self->c, .flow = FLOW };
	struct transmitter t = {
		.v = &self->v, .flow = FLOW, .seen = &c.seen[0], .window = 2048,
	};
	uint64_t before;
	int i;

	ASSERT_EQ(0, START());
	ASSERT_EQ(0, receiver_start(&r));
	ASSERT_EQ(0, catcher_start(&c));
	ASSERT_EQ(0, transmitter_start(&t));
	for (i = 0; i < 50; i++) {
		/* no more than the plain ring has room for */
		EXPECT_TRUE(wait_until(self->s.seq -
				       __atomic_load_n(&self->t.got,
						       __ATOMIC_ACQUIRE) <
				       TAP_RING / 2, SOON_MS));
		ASSERT_EQ(0, sender_send(&self->s, TAP_RING / 4));
		before = catcher_seen(&c);
		EXPECT_TRUE(wait_until(catcher_seen(&c) > before + 100,
				       SOON_MS));
		ASSERT_EQ(0, STOP());
		if (i & 1)
			ASSERT_EQ(0, RELEASE());
		ASSERT_EQ(0, START());
	}
	transmitter_stop(&t);
	EXPECT_TRUE(wait_until(guest_unsent(&self->v) == 0, SOON_MS));
	EXPECT_TRUE(wait_until(catcher_seen(&c) == self->v.guest->sent,
			       SOON_MS));
	EXPECT_TRUE(wait_until(__atomic_load_n(&self->t.got,
					       __ATOMIC_ACQUIRE) == self->s.seq,
			       SOON_MS));
	receiver_stop(&r);
	catcher_stop(&c);
	EXPECT_EQ(0, self->s.dropped + c.lost);
	EXPECT_EQ(0, self->t.dup + self->t.reordered + self->t.foreign);
	EXPECT_EQ(0, self->c.t.dup + self->c.t.reordered + self->c.t.foreign);
	EXPECT_EQ(0, tally_lost(&self->c.t, self->v.guest->sent));
}

/* All that another device has to be told is in the state and the description. */
TEST_F(lib, another_device_goes_on_where_the_first_one_was)
{
	struct vhost_vring_state busyloop = { VHOST_TX, 50 };
	int fd;

	ASSERT_EQ(0, START());
	ASSERT_EQ(0, ioctl(self->v.dev.fd, VHOST_SET_VRING_BUSYLOOP_TIMEOUT,
			   &busyloop));
	EXPECT_WORKS();
	ASSERT_EQ(0, STOP());
	EXPECT_EQ(0, self->v.state.vrings[VHOST_RX].busyloop);
	EXPECT_EQ(50, self->v.state.vrings[VHOST_TX].busyloop);

	fd = open("/dev/vhost-net", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	close(self->v.dev.fd);
	self->v.dev.fd = fd;
	ASSERT_EQ(0, START());
	busyloop.num = 0;
	ASSERT_EQ(0, ioctl(self->v.dev.fd, VHOST_GET_VRING_BUSYLOOP_TIMEOUT,
			   &busyloop));
	EXPECT_EQ(50, busyloop.num);
	EXPECT_WORKS();
}

/* Nobody has asked the device when its owner died. */
TEST_F(lib, recover_finds_what_a_stop_would_have_told)
{
	struct tapxfer_vhost_state told;
	int i;

	ASSERT_EQ(0, START());
	for (i = 0; i < 5; i++)
		EXPECT_WORKS();
	ASSERT_EQ(0, STOP());
	told = self->v.state;
	memset(&self->v.state.vrings[VHOST_RX].base, 0xff, 4);
	memset(&self->v.state.vrings[VHOST_TX].base, 0xff, 4);
	ASSERT_EQ(0, tapxfer_vhost_recover(self->x.tx, &self->v.dev,
					   &self->v.state));
	EXPECT_EQ(0, memcmp(&told, &self->v.state, sizeof(told)));
	/* past where a vring of so many turns round */
	EXPECT_LT(VHOST_RING, told.vrings[VHOST_RX].base);

	self->v.mem.m.regions[0].memory_size = told.vrings[VHOST_TX].used + 4;
	EXPECT_EQ(-EFAULT, tapxfer_vhost_recover(self->x.tx, &self->v.dev,
						 &self->v.state));
	EXPECT_SAYS("the used ring");
	EXPECT_EQ(0, memcmp(&told, &self->v.state, sizeof(told)));
}

TEST_F(lib, attached_tells_each_side)
{
	EXPECT_EQ(0, ATTACHED());
	ASSERT_EQ(0, vhost_backend(&self->v, VHOST_TX, self->tap.fds[0]));
	EXPECT_EQ(1 << VHOST_TX, ATTACHED());
	ASSERT_EQ(0, vhost_backend(&self->v, VHOST_RX, self->tap.fds[0]));
	EXPECT_EQ(BOTH, ATTACHED());
	ASSERT_EQ(0, vhost_backend(&self->v, VHOST_TX, -1));
	EXPECT_EQ(1 << VHOST_RX, ATTACHED());
	/* and asking has changed nothing */
	ASSERT_EQ(0, ATTACH());
	EXPECT_WORKS();
}

TEST_F(lib, a_backend_is_not_released_with_its_base)
{
	ASSERT_EQ(0, START());
	EXPECT_EQ(-EBUSY, RELEASE());
	EXPECT_SAYS("attached: stop it first");
	EXPECT_EQ(-EBUSY, SETUP());
	EXPECT_SAYS("attached: stop it first");
	EXPECT_WORKS();
}

/* With other eventfds nobody knows who was told what: attach tells everybody. */
TEST_F(lib, attach_kicks_and_calls)
{
	eventfd_t n;
	int side;

	for (side = 0; side < VHOST_SIDES; side++) {
		close(self->v.dev.kick[side]);
		close(self->v.dev.call[side]);
		self->v.dev.kick[side] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		self->v.dev.call[side] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	}
	ASSERT_EQ(0, SETUP());
	for (side = 0; side < VHOST_SIDES; side++)
		EXPECT_EQ(-1, eventfd_read(self->v.dev.call[side], &n));
	ASSERT_EQ(0, ATTACH());
	for (side = 0; side < VHOST_SIDES; side++) {
		/* vhost polls it, and leaves it as it is */
		EXPECT_EQ(0, eventfd_read(self->v.dev.kick[side], &n));
		EXPECT_EQ(0, eventfd_read(self->v.dev.call[side], &n));
	}
	EXPECT_WORKS();
}

/* -- owners ---------------------------------------------------------------- */

/* In a process that has the same device, and another address space */
static int other_asks(void *arg)
{
	struct vhost *v = arg;
	struct tapxfer *tx;

	if (tapxfer_open(&tx) ||
	    tapxfer_vhost_attached(tx, &v->dev) != -EPERM ||
	    tapxfer_vhost_stop(tx, &v->dev, &v->state) != -EPERM ||
	    !strstr(tapxfer_error(tx), "not the owner") ||
	    tapxfer_vhost_release(tx, &v->dev) != -EPERM ||
	    tapxfer_vhost_attach(tx, &v->dev, &v->state) != -EPERM)
		return 1;
	if (tapxfer_vhost_start(tx, &v->dev, &v->state) != -EBUSY ||
	    !strstr(tapxfer_error(tx), "VHOST_SET_OWNER: vhost-net fd") ||
	    !strstr(tapxfer_error(tx), "another process's"))
		return 2;
	tapxfer_close(tx);
	return 0;
}

TEST_F(lib, what_is_the_owners_is_nobody_elses)
{
	ASSERT_EQ(0, START());
	EXPECT_EQ(0, child_wait(child_start(other_asks, &self->v), SOON_MS));
	EXPECT_WORKS();
	ASSERT_EQ(0, STOP());
	EXPECT_EQ(0, child_wait(child_start(other_asks, &self->v), SOON_MS));
}

static int other_owns(void *arg)
{
	struct vhost *v = arg;

	return tapxfer_vhost_setup(NULL, &v->dev, &v->state) ? 1 : 0;
}

static int other_owns_and_releases(void *arg)
{
	struct vhost *v = arg;

	return tapxfer_vhost_setup(NULL, &v->dev, &v->state) ||
	       tapxfer_vhost_release(NULL, &v->dev) ? 1 : 0;
}

/* A target that fails in order */
TEST_F(lib, released_by_the_target_it_is_the_sources_again)
{
	ASSERT_EQ(0, START());
	EXPECT_WORKS();
	ASSERT_EQ(0, STOP());
	ASSERT_EQ(0, RELEASE());
	EXPECT_EQ(-EPERM, ATTACHED());
	EXPECT_EQ(0, child_wait(child_start(other_owns_and_releases, &self->v),
				SOON_MS));
	ASSERT_EQ(0, START());
	EXPECT_WORKS();
}

/* One that dies takes the device along, though not the guest. */
TEST_F(lib, an_owner_that_died_keeps_the_device)
{
	ASSERT_EQ(0, START());
	EXPECT_WORKS();
	ASSERT_EQ(0, STOP());
	ASSERT_EQ(0, RELEASE());
	EXPECT_EQ(0, child_wait(child_start(other_owns, &self->v), SOON_MS));
	EXPECT_EQ(-EBUSY, START());
	EXPECT_SAYS("open /dev/vhost-net anew");

	close(self->v.dev.fd);
	self->v.dev.fd = open("/dev/vhost-net", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->v.dev.fd);
	ASSERT_EQ(0, START());
	EXPECT_WORKS();
}

/* -- what is refused before anything is done ------------------------------- */

TEST_F(lib, not_a_device)
{
	int fd = self->v.dev.fd;

	self->v.dev.fd = self->tap.fds[0];
	EXPECT_EQ(-EOPNOTSUPP, SETUP());
	EXPECT_SAYS("no file of /dev/vhost-net");
	EXPECT_EQ(-EOPNOTSUPP, STOP());
	EXPECT_EQ(-EOPNOTSUPP, RELEASE());
	EXPECT_EQ(-EOPNOTSUPP, ATTACH());
	EXPECT_EQ(-EOPNOTSUPP, ATTACHED());
	self->v.dev.fd = -1;
	EXPECT_EQ(-EBADF, SETUP());
	EXPECT_SAYS("no such file descriptor");
	self->v.dev.fd = fd;

	self->v.dev.size = 0;
	EXPECT_EQ(-EINVAL, ATTACHED());
	EXPECT_SAYS("struct tapxfer_vhost: its size was not set");
	self->v.dev.size = sizeof(self->v.dev);
	self->v.state.size = 0;
	EXPECT_EQ(-EINVAL, SETUP());
	EXPECT_SAYS("struct tapxfer_vhost_state: its size was not set");
	EXPECT_EQ(-EINVAL, STOP());
	EXPECT_EQ(-EINVAL, ATTACH());
	self->v.state.size = sizeof(self->v.state);
	self->v.dev.memory = NULL;
	EXPECT_EQ(-EINVAL, SETUP());
	EXPECT_SAYS("no memory table");
}

TEST_F(lib, features_that_cannot_be)
{
	const uint64_t good = self->v.state.features;

	ASSERT_EQ(0, RELEASE());
	self->v.state.features = good | 1ULL << 63;
	EXPECT_EQ(-EOPNOTSUPP, START());
	EXPECT_SAYS("has not all of the guest's features: 0x8000000000000000");
	self->v.state.features = good | 1ULL << VHOST_F_LOG_ALL;
	EXPECT_EQ(-EOPNOTSUPP, START());
	EXPECT_SAYS("cannot be handed over (features 0x4000000)");
	self->v.state.features = good | 1ULL << VIRTIO_F_ACCESS_PLATFORM;
	EXPECT_EQ(-EOPNOTSUPP, START());
	EXPECT_SAYS("cannot be handed over (features 0x200000000)");
	/* there is no used index in these, to recover a base from */
	self->v.state.features = good | 1ULL << VIRTIO_F_RING_PACKED;
	EXPECT_EQ(-EOPNOTSUPP, START());
	EXPECT_SAYS("cannot be handed over (features 0x400000000)");
	EXPECT_EQ(-EOPNOTSUPP, tapxfer_vhost_recover(self->x.tx, &self->v.dev,
						     &self->v.state));
	EXPECT_SAYS("cannot be handed over (features 0x400000000)");
	EXPECT_TRUE(is_nobodys(&self->v));
	self->v.state.features = good;
	ASSERT_EQ(0, START());
	EXPECT_WORKS();
}

/* To the byte, of each of the three, and of the indices behind two of them */
TEST_F(lib, rings_that_the_memory_has_not)
{
	struct tapxfer_vhost_vring *r = &self->v.state.vrings[VHOST_TX];
	__u64 *size = &self->v.mem.m.regions[0].memory_size, all = *size;

	ASSERT_EQ(0, RELEASE());
	*size = r->used + 4 + 8 * VHOST_RING;
	EXPECT_EQ(0, SETUP());
	ASSERT_EQ(0, RELEASE());
	--*size;
	EXPECT_EQ(-EFAULT, SETUP());
	EXPECT_SAYS("the used ring at guest address 0x");
	++*size;
	self->v.state.features |= 1ULL << VIRTIO_RING_F_EVENT_IDX;
	EXPECT_EQ(-EFAULT, SETUP());
	EXPECT_SAYS("the used ring at guest address 0x");
	*size += 2;
	EXPECT_EQ(0, SETUP());
	ASSERT_EQ(0, RELEASE());
	self->v.state.features &= ~(1ULL << VIRTIO_RING_F_EVENT_IDX);

	*size = all;
	r->avail += all;
	EXPECT_EQ(-EFAULT, SETUP());
	EXPECT_SAYS("the available ring");
	r->avail -= all;
	r->desc = UINT64_MAX - 15;
	EXPECT_EQ(-EFAULT, SETUP());
	EXPECT_SAYS("the descriptor ring at guest address 0xfffffffffffffff0");
	EXPECT_TRUE(is_nobodys(&self->v));
}

/* A region's guest address is not where its memory is. */
TEST_F(lib, memory_in_two_regions_at_other_guest_addresses)
{
	struct vhost_memory_region *r = self->v.mem.m.regions;
	struct tapxfer_vhost_vring *tx = &self->v.state.vrings[VHOST_TX];

	ASSERT_EQ(0, RELEASE());
	/* buffers and rx at 0 as before; the tx rings at 4 GiB too */
	self->v.mem.m.nregions = 2;
	r[1].guest_phys_addr = VHOST_EXTRA;
	r[1].userspace_addr = r[0].userspace_addr + tx->desc;
	r[1].memory_size = tx->used + 4 + 8 * VHOST_RING - tx->desc;
	tx->avail += VHOST_EXTRA - tx->desc;
	tx->used += VHOST_EXTRA - tx->desc;
	tx->desc = VHOST_EXTRA;
	ASSERT_EQ(0, START());
	EXPECT_WORKS();
}

TEST_F(lib, sizes_that_cannot_be)
{
	static const uint32_t bad[] = { 0, 3, 255, 65536, 1U << 31 };
	size_t i;

	ASSERT_EQ(0, RELEASE());
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		self->v.state.vrings[VHOST_TX].num = bad[i];
		EXPECT_EQ(-EINVAL, START());
		EXPECT_SAYS("descriptors cannot be");
		EXPECT_TRUE(is_nobodys(&self->v));
	}
}

/* What may have a meaning one day is 0 until then. */
TEST_F(lib, members_that_are_not_known)
{
	struct {
		struct tapxfer_vhost_state known;
		uint64_t later;
	} state = { .known = self->v.state };

	self->v.dev.reserved = 1;
	EXPECT_EQ(-EINVAL, ATTACHED());
	EXPECT_SAYS("a reserved member");
	self->v.dev.reserved = 0;
	self->v.state.reserved = 1;
	EXPECT_EQ(-EINVAL, STOP());
	self->v.state.reserved = 0;
	self->v.state.vrings[VHOST_TX].reserved = 1;
	EXPECT_EQ(-EINVAL, START());
	EXPECT_SAYS("a reserved member");
	self->v.state.vrings[VHOST_TX].reserved = 0;

	state.known.size = sizeof(state);
	state.later = 1ULL << 63;
	EXPECT_EQ(-E2BIG, tapxfer_vhost_start(self->x.tx, &self->v.dev,
					      &state.known));
	EXPECT_SAYS("struct tapxfer_vhost_state has a member");
	state.later = 0;
	ASSERT_EQ(0, tapxfer_vhost_start(self->x.tx, &self->v.dev,
					 &state.known));
	EXPECT_WORKS();
}

/* -- what the kernel refuses ----------------------------------------------- */

/* Wrong things of the second vring, when the first one has been set */
TEST_F(lib, what_the_kernel_refuses_is_named_and_taken_back)
{
	const struct tapxfer_vhost dev = self->v.dev;
	const struct tapxfer_vhost_state state = self->v.state;
	union {
		struct vhost_memory m;
		char space[sizeof(struct vhost_memory) +
			   512 * sizeof(struct vhost_memory_region)];
	} many = {};

	ASSERT_EQ(0, RELEASE());
#define EXPECT_REFUSED(err, says) do { \
	EXPECT_EQ(err, START()); \
	EXPECT_SAYS(says); \
	EXPECT_SAYS("vhost-net fd"); \
	EXPECT_TRUE(is_nobodys(&self->v)); \
	self->v.dev = dev; \
	self->v.state = state; \
} while (0)
	self->v.dev.kick[VHOST_TX] = self->tap.fds[0];
	EXPECT_REFUSED(-EINVAL, "VHOST_SET_VRING_KICK: Invalid argument");
	self->v.dev.call[VHOST_TX] = self->tap.fds[0];
	EXPECT_REFUSED(-EINVAL, "VHOST_SET_VRING_CALL: Invalid argument");
	self->v.dev.err[VHOST_TX] = 999;
	EXPECT_REFUSED(-EBADF, "VHOST_SET_VRING_ERR: Bad file descriptor");
	self->v.state.vrings[VHOST_TX].base = 65536;
	EXPECT_REFUSED(-EINVAL, "tx vring");
	self->v.state.vrings[VHOST_TX].used += 2;
	EXPECT_REFUSED(-EINVAL, "VHOST_SET_VRING_ADDR: Invalid argument");
	self->v.state.backend_features = 1ULL << 63;
	EXPECT_REFUSED(-EOPNOTSUPP, "VHOST_SET_BACKEND_FEATURES: Op");
	many.m = self->v.mem.m;
	memcpy(many.m.regions, self->v.mem.m.regions,
	       sizeof(many.m.regions[0]));
	many.m.nregions = 512;
	self->v.dev.memory = &many.m;
	EXPECT_REFUSED(-E2BIG, "VHOST_SET_MEM_TABLE: Argument list too long");

	/* one that was the caller's stays so */
	ASSERT_EQ(0, SETUP());
	self->v.dev.kick[VHOST_TX] = self->tap.fds[0];
	EXPECT_EQ(-EINVAL, START());
	EXPECT_EQ(0, ATTACHED());
	self->v.dev = dev;
	ASSERT_EQ(0, START());
	EXPECT_WORKS();
}

TEST_F(lib, attach_wants_a_queue_with_the_right_header)
{
	int hdr = VHOST_HDR_LEGACY;

	self->v.dev.tap_fd = -1;
	EXPECT_EQ(-EBADF, ATTACH());
	EXPECT_SAYS("no queue file was given");
	self->v.dev.tap_fd = self->v.dev.kick[0];
	EXPECT_EQ(-ENOTSOCK, ATTACH());
	EXPECT_SAYS("VHOST_NET_SET_BACKEND: descriptor");
	self->v.dev.tap_fd = self->tap.fds[0];

	ASSERT_EQ(0, ioctl(self->tap.fds[0], TUNSETVNETHDRSZ, &hdr));
	EXPECT_EQ(-EINVAL, ATTACH());
	EXPECT_SAYS("a header of 10 bytes, and the guest's features ask for 12");
	EXPECT_EQ(0, ATTACHED());
	hdr = VHOST_HDR;
	ASSERT_EQ(0, ioctl(self->tap.fds[0], TUNSETVNETHDRSZ, &hdr));
	ASSERT_EQ(0, ATTACH());
	EXPECT_WORKS();
}

/* The second side's memory is not there: the first side is detached again. */
TEST_F(lib, attach_is_all_or_nothing)
{
	void *used = self->v.vrings[VHOST_TX].used;
	size_t len = 4096;

	ASSERT_EQ(0, mprotect(used, len, PROT_NONE));
	EXPECT_EQ(-EFAULT, ATTACH());
	EXPECT_SAYS("VHOST_NET_SET_BACKEND: Bad address");
	EXPECT_SAYS("tx vring");
	EXPECT_EQ(0, ATTACHED());
	ASSERT_EQ(0, mprotect(used, len, PROT_READ | PROT_WRITE));

	/* start leaves nobody as the owner where there was none */
	ASSERT_EQ(0, RELEASE());
	ASSERT_EQ(0, mprotect(used, len, PROT_NONE));
	EXPECT_EQ(-EFAULT, START());
	EXPECT_TRUE(is_nobodys(&self->v));
	ASSERT_EQ(0, mprotect(used, len, PROT_READ | PROT_WRITE));
	ASSERT_EQ(0, START());
	EXPECT_WORKS();
}

/* -- beside a handover ------------------------------------------------------ */

TEST_F(lib, a_fenced_queue_is_attached_after_the_abort)
{
	ASSERT_EQ(0, START());
	EXPECT_WORKS();
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_HOLDING, 0,
				0));
	ASSERT_EQ(0, STOP());
	ASSERT_EQ(0, xfer_freeze(&self->x));
	EXPECT_EQ(-ENOTSOCK, ATTACH());
	EXPECT_SAYS("attach after ready, thaw or abort");
	EXPECT_EQ(0, ATTACHED());
	ASSERT_EQ(0, xfer_abort(&self->x));
	ASSERT_EQ(0, ATTACH());
	EXPECT_WORKS();
}

/* -- each ioctl fails once --------------------------------------------------- */

/* This process's ioctl @cmd fails with EIO from now on. */
static int forbid(uint32_t cmd)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_ioctl, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, args[1])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, cmd, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EIO),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { ARRAY_SIZE(code), code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
		return -errno;
	return 0;
}

/* The backends go on as if nobody had wanted to stop them. */
#define STOP_FAILS_AT(cmd) \
TEST_F(lib, stop_fails_at_##cmd) \
{ \
	const struct tapxfer_vhost_state state = self->v.state; \
\
	ASSERT_EQ(0, START()); \
	EXPECT_WORKS(); \
	ASSERT_EQ(0, forbid(cmd)); \
	EXPECT_EQ(-EIO, STOP()); \
	EXPECT_SAYS(#cmd ": Input/output error"); \
	EXPECT_EQ(0, memcmp(&state, &self->v.state, sizeof(state))); \
	EXPECT_EQ(BOTH, ATTACHED()); \
	EXPECT_WORKS(); \
} \
\
TEST_F(lib, stop_while_held_fails_at_##cmd) \
{ \
	ASSERT_EQ(0, START()); \
	EXPECT_WORKS(); \
	ASSERT_EQ(0, xfer_begin(&self->x, &self->tap, TAPXFER_STATE_HOLDING, \
				0, 0)); \
	ASSERT_EQ(0, forbid(cmd)); \
	EXPECT_EQ(-EIO, STOP()); \
	EXPECT_SAYS(#cmd ": Input/output error"); \
	EXPECT_SAYS("the backend is detached: VHOST_NET_SET_BACKEND:"); \
	EXPECT_EQ(0, ATTACHED()); \
	ASSERT_EQ(0, xfer_abort(&self->x)); \
	ASSERT_EQ(0, ATTACH()); \
	EXPECT_WORKS(); \
}

STOP_FAILS_AT(VHOST_GET_VRING_BASE)
STOP_FAILS_AT(VHOST_GET_VRING_BUSYLOOP_TIMEOUT)

/* -1 would detach, and do so without a word. */
TEST_F(lib, stop_fails_and_nobody_can_attach_again)
{
	int fd = self->v.dev.tap_fd;

	ASSERT_EQ(0, START());
	self->v.dev.tap_fd = -1;
	ASSERT_EQ(0, forbid(VHOST_GET_VRING_BASE));
	EXPECT_EQ(-EIO, STOP());
	EXPECT_SAYS("the backend is detached: VHOST_NET_SET_BACKEND: Bad file descriptor");
	self->v.dev.tap_fd = fd;
	ASSERT_EQ(0, ATTACH());
	EXPECT_WORKS();
}

TEST_F(lib, stop_fails_at_its_first_ioctls)
{
	ASSERT_EQ(0, START());
	EXPECT_WORKS();
	ASSERT_EQ(0, forbid(VHOST_NET_SET_BACKEND));
	EXPECT_EQ(-EIO, STOP());
	EXPECT_SAYS("VHOST_NET_SET_BACKEND: Input/output error");
	EXPECT_SAYS("rx vring");
	EXPECT_EQ(NULL, strstr(tapxfer_error(self->x.tx), "detached"));
	EXPECT_EQ(BOTH, ATTACHED());
	ASSERT_EQ(0, forbid(VHOST_SET_VRING_NUM));
	EXPECT_EQ(-EIO, STOP());
	EXPECT_SAYS("VHOST_SET_VRING_NUM: Input/output error");
	EXPECT_WORKS();
}

/* Nobody owns a device that nobody owned before. */
#define START_FAILS_AT(cmd) \
TEST_F(lib, start_fails_at_##cmd) \
{ \
	self->v.state.backend_features = 1ULL << VHOST_BACKEND_F_IOTLB_MSG_V2; \
	ASSERT_EQ(0, RELEASE()); \
	ASSERT_EQ(0, forbid(cmd)); \
	EXPECT_EQ(-EIO, START()); \
	EXPECT_SAYS(#cmd ": Input/output error"); \
	EXPECT_TRUE(is_nobodys(&self->v)); \
}

START_FAILS_AT(VHOST_GET_FEATURES)
START_FAILS_AT(VHOST_SET_OWNER)
START_FAILS_AT(VHOST_SET_FEATURES)
START_FAILS_AT(VHOST_SET_BACKEND_FEATURES)
START_FAILS_AT(VHOST_SET_MEM_TABLE)
START_FAILS_AT(VHOST_SET_VRING_NUM)
START_FAILS_AT(VHOST_SET_VRING_BASE)
START_FAILS_AT(VHOST_SET_VRING_ADDR)
START_FAILS_AT(VHOST_SET_VRING_BUSYLOOP_TIMEOUT)
START_FAILS_AT(VHOST_SET_VRING_ERR)
START_FAILS_AT(VHOST_SET_VRING_CALL)
START_FAILS_AT(VHOST_SET_VRING_KICK)
START_FAILS_AT(VHOST_NET_SET_BACKEND)

/* It stays the caller's, who is told so. */
TEST_F(lib, start_fails_and_cannot_give_it_up)
{
	ASSERT_EQ(0, RELEASE());
	ASSERT_EQ(0, forbid(VHOST_SET_VRING_CALL));
	ASSERT_EQ(0, forbid(VHOST_RESET_OWNER));
	EXPECT_EQ(-EIO, START());
	EXPECT_SAYS("VHOST_SET_VRING_CALL: Input/output error");
	EXPECT_SAYS("; and the device is still this process's: VHOST_RESET_OWNER: Input/output error: release it");
	EXPECT_FALSE(is_nobodys(&self->v));
}

TEST_F(lib, release_fails_at_VHOST_RESET_OWNER)
{
	ASSERT_EQ(0, START());
	ASSERT_EQ(0, STOP());
	ASSERT_EQ(0, forbid(VHOST_RESET_OWNER));
	EXPECT_EQ(-EIO, RELEASE());
	EXPECT_SAYS("VHOST_RESET_OWNER: Input/output error");
	ASSERT_EQ(0, ATTACH());
	EXPECT_WORKS();
}

TEST_HARNESS_MAIN
