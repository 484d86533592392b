// SPDX-License-Identifier: LGPL-2.1-or-later
/* vhost-net: a backend stopped in one process and started in another. */
#include <endian.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <linux/if_tun.h>
#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>

#include <tapxfer/vhost.h>

#include "internal.h"

/* /dev/vhost-net, by whatever name a container has it */
#define VHOST_NET_MAJOR	10
#define VHOST_NET_MINOR	238

#define BIT_ULL(n)	(1ULL << (n))

/* What would take more than the calls here do */
#define REFUSED		(BIT_ULL(VHOST_F_LOG_ALL) | \
			 BIT_ULL(VIRTIO_F_ACCESS_PLATFORM) | \
			 BIT_ULL(VIRTIO_F_RING_PACKED))

static int fail(struct tapxfer *tx, int err, const struct tapxfer_vhost *v,
		const char *ioctl_name, int side)
{
	static const char * const sides[] = { "rx", "tx" };

	errno = -err;
	if (side < 0)
		return txl_error_set(tx, err, "%s: %m (vhost-net fd %d)",
				     ioctl_name, v->fd);
	return txl_error_set(tx, err, "%s: %m (vhost-net fd %d, %s vring)",
			     ioctl_name, v->fd, sides[side]);
}

static int fail_owner(struct tapxfer *tx, int err,
		      const struct tapxfer_vhost *v, const char *ioctl_name)
{
	return txl_error_set(tx, err,
			     "%s: this process is not the owner of vhost-net fd %d: its owner has to do that",
			     ioctl_name, v->fd);
}

/* An ioctl on the device, and what to say when it fails. */
#define CALL(tx, v, cmd, arg, side) \
	(ioctl((v)->fd, cmd, arg) ? fail(tx, -errno, v, #cmd, side) : 0)

/* The caller may be newer than the library: what it does not know has to be 0. */
static int check_size(struct tapxfer *tx, const void *p, uint32_t size,
		      size_t ours, const char *name)
{
	const char *bytes = p;
	size_t i;

	if (size < ours)
		return txl_error_set(tx, -EINVAL, "%s: its size was not set",
				     name);
	for (i = ours; i < size; i++)
		if (bytes[i])
			return txl_error_set(tx, -E2BIG,
					     "%s has a member that this version of the library does not know",
					     name);
	return 0;
}

/* @state may be NULL. */
static int check_sizes(struct tapxfer *tx, const struct tapxfer_vhost *v,
		       const struct tapxfer_vhost_state *state)
{
	unsigned int side;
	uint32_t reserved;
	int err;

	err = check_size(tx, v, v->size, sizeof(*v), "struct tapxfer_vhost");
	if (!err && state)
		err = check_size(tx, state, state->size, sizeof(*state),
				 "struct tapxfer_vhost_state");
	if (err)
		return err;
	reserved = v->reserved;
	if (state) {
		reserved |= state->reserved;
		for (side = 0; side < TAPXFER_VHOST_VRINGS; side++)
			reserved |= state->vrings[side].reserved;
	}
	if (reserved)
		return txl_error_set(tx, -EINVAL,
				     "a reserved member of the vhost-net device's is not 0");
	return 0;
}

/* The file's kind is looked at first: other drivers have other ioctls. */
static int check_device(struct tapxfer *tx, const struct tapxfer_vhost *v,
			const struct tapxfer_vhost_state *state)
{
	struct stat st;
	int err;

	if (tx)
		txl_error_reset(tx);
	err = check_sizes(tx, v, state);
	if (err)
		return err;
	if (fstat(v->fd, &st))
		return txl_error_set(tx, -EBADF,
				     "no such file descriptor (vhost-net fd %d)",
				     v->fd);
	if (!S_ISCHR(st.st_mode) ||
	    st.st_rdev != makedev(VHOST_NET_MAJOR, VHOST_NET_MINOR))
		return txl_error_set(tx, -EOPNOTSUPP,
				     "descriptor %d is no file of /dev/vhost-net",
				     v->fd);
	return 0;
}

/*
 * A vring's size cannot be changed while it has a backend, which is looked at
 * first; 0 is none that could be set.
 */
static int side_attached(const struct tapxfer_vhost *v, unsigned int side)
{
	struct vhost_vring_state num = { .index = side };

	if (!ioctl(v->fd, VHOST_SET_VRING_NUM, &num) || errno == EINVAL)
		return 0;
	return errno == EBUSY ? 1 : -errno;
}

static int attached(struct tapxfer *tx, const struct tapxfer_vhost *v)
{
	unsigned int side;
	int err, bits = 0;

	for (side = 0; side < TAPXFER_VHOST_VRINGS; side++) {
		err = side_attached(v, side);
		if (err == -EPERM)
			return fail_owner(tx, err, v, "VHOST_SET_VRING_NUM");
		if (err < 0)
			return fail(tx, err, v, "VHOST_SET_VRING_NUM",
				    (int)side);
		bits |= err << side;
	}
	return bits;
}

EXPORT int tapxfer_vhost_attached(struct tapxfer *tx,
				  const struct tapxfer_vhost *v)
{
	int err = check_device(tx, v, NULL);

	return err ? err : attached(tx, v);
}

static int set_backend(const struct tapxfer_vhost *v, unsigned int side, int fd)
{
	struct vhost_vring_file file = { .index = side, .fd = fd };

	return ioctl(v->fd, VHOST_NET_SET_BACKEND, &file) ? -errno : 0;
}

/* To the text of a failure: what failed as it was to be undone, and the cure */
static void fail_undo(struct tapxfer *tx, int err, const char *what,
		      const char *cure)
{
	char text[sizeof(tx->error.text)];

	if (!tx)
		return;
	snprintf(text, sizeof(text), "%s", tx->error.text);
	errno = -err;
	txl_error_set(tx, err, "%.300s; and %s: %m: %s", text, what, cure);
}

/* Attach again those of @sides that are not, for a failure whose text @tx has. */
static void reattach(struct tapxfer *tx, const struct tapxfer_vhost *v,
		     int sides)
{
	unsigned int side;
	int err, first = 0;

	for (side = 0; side < TAPXFER_VHOST_VRINGS; side++) {
		if (!(sides & 1 << side) || side_attached(v, side) > 0)
			continue;
		/* -1 would detach */
		err = v->tap_fd < 0 ? -EBADF :
				      set_backend(v, side, v->tap_fd);
		if (!first)
			first = err;
	}
	if (first)
		fail_undo(tx, first,
			  "the backend is detached: VHOST_NET_SET_BACKEND",
			  "abort, then attach it");
}

static int stop_side(struct tapxfer *tx, const struct tapxfer_vhost *v,
		     unsigned int side, struct tapxfer_vhost_vring *vring)
{
	struct vhost_vring_state base = { .index = side };
	struct vhost_vring_state busyloop = { .index = side };
	int err;

	err = CALL(tx, v, VHOST_GET_VRING_BASE, &base, (int)side);
	if (!err)
		err = CALL(tx, v, VHOST_GET_VRING_BUSYLOOP_TIMEOUT, &busyloop,
			   (int)side);
	if (err)
		return err;
	vring->base = base.num;
	vring->busyloop = busyloop.num;
	return 0;
}

EXPORT int tapxfer_vhost_stop(struct tapxfer *tx, const struct tapxfer_vhost *v,
			      struct tapxfer_vhost_state *state)
{
	struct tapxfer_vhost_state stopped;
	unsigned int side;
	int was, err;

	err = check_device(tx, v, state);
	if (err)
		return err;
	was = attached(tx, v);
	if (was < 0)
		return was;

	for (side = 0; !err && side < TAPXFER_VHOST_VRINGS; side++) {
		err = set_backend(v, side, VHOST_FILE_UNBIND);
		if (err)
			fail(tx, err, v, "VHOST_NET_SET_BACKEND", (int)side);
	}
	stopped = *state;
	for (side = 0; !err && side < TAPXFER_VHOST_VRINGS; side++)
		err = stop_side(tx, v, side, &stopped.vrings[side]);
	if (err) {
		reattach(tx, v, was);
		return err;
	}
	*state = stopped;
	return 0;
}

EXPORT int tapxfer_vhost_release(struct tapxfer *tx,
				 const struct tapxfer_vhost *v)
{
	int err;

	err = check_device(tx, v, NULL);
	if (err)
		return err;
	err = attached(tx, v);
	if (err > 0)
		return txl_error_set(tx, -EBUSY,
				     "a backend of vhost-net fd %d is attached: stop it first",
				     v->fd);
	if (err < 0)
		return err;
	return CALL(tx, v, VHOST_RESET_OWNER, NULL, -1);
}

/* -- the other half -------------------------------------------------------- */

/* Where @len bytes of guest memory are in this process. */
static int translate(struct tapxfer *tx, const struct vhost_memory *memory,
		     uint64_t addr, uint64_t len, const char *what,
		     uint64_t *user)
{
	uint32_t i;

	for (i = 0; i < memory->nregions; i++) {
		const struct vhost_memory_region *r = &memory->regions[i];

		if (addr < r->guest_phys_addr || len > r->memory_size ||
		    addr - r->guest_phys_addr > r->memory_size - len)
			continue;
		*user = r->userspace_addr + (addr - r->guest_phys_addr);
		return 0;
	}
	return txl_error_set(tx, -EFAULT,
			     "the %s ring at guest address 0x%llx, %llu bytes, is in no region of the memory table",
			     what, (unsigned long long)addr,
			     (unsigned long long)len);
}

static int vring_addr(struct tapxfer *tx, const struct tapxfer_vhost *v,
		      const struct tapxfer_vhost_state *state,
		      unsigned int side, struct vhost_vring_addr *addr)
{
	const struct tapxfer_vhost_vring *r = &state->vrings[side];
	/* the two indices of event idx are there or not */
	uint64_t event = state->features & BIT_ULL(VIRTIO_RING_F_EVENT_IDX) ?
			 2 : 0;
	uint64_t desc, avail, used;
	int err;

	if (!v->memory)
		return txl_error_set(tx, -EINVAL, "no memory table was given");
	if (!r->num || r->num & (r->num - 1) || r->num > 0x8000)
		return txl_error_set(tx, -EINVAL,
				     "a vring of %u descriptors cannot be: it takes a power of two up to 32768",
				     r->num);
	err = translate(tx, v->memory, r->desc, 16ULL * r->num, "descriptor",
			&desc);
	if (!err)
		err = translate(tx, v->memory, r->avail,
				4 + 2ULL * r->num + event, "available", &avail);
	if (!err)
		err = translate(tx, v->memory, r->used,
				4 + 8ULL * r->num + event, "used", &used);
	if (err)
		return err;
	*addr = (struct vhost_vring_addr) {
		.index = side,
		.desc_user_addr = desc,
		.avail_user_addr = avail,
		.used_user_addr = used,
	};
	return 0;
}

static int check_refused(struct tapxfer *tx,
			 const struct tapxfer_vhost_state *state)
{
	if (!(state->features & REFUSED))
		return 0;
	return txl_error_set(tx, -EOPNOTSUPP,
			     "dirty logging, a device IOTLB and packed rings cannot be handed over (features 0x%llx)",
			     (unsigned long long)(state->features & REFUSED));
}

EXPORT int tapxfer_vhost_recover(struct tapxfer *tx,
				 const struct tapxfer_vhost *v,
				 struct tapxfer_vhost_state *state)
{
	struct vhost_vring_addr addrs[TAPXFER_VHOST_VRINGS];
	unsigned int side;
	int err;

	if (tx)
		txl_error_reset(tx);
	err = check_sizes(tx, v, state);
	if (!err)
		err = check_refused(tx, state);
	for (side = 0; !err && side < TAPXFER_VHOST_VRINGS; side++)
		err = vring_addr(tx, v, state, side, &addrs[side]);
	for (side = 0; !err && side < TAPXFER_VHOST_VRINGS; side++) {
		const char *used =
			(const char *)(uintptr_t)addrs[side].used_user_addr;
		uint16_t idx;

		/* where it is the guest has said, and it may be anywhere */
		memcpy(&idx, used + offsetof(struct vring_used, idx),
		       sizeof(idx));
		if (state->features & BIT_ULL(VIRTIO_F_VERSION_1))
			idx = le16toh(idx);
		state->vrings[side].base = idx;
	}
	return err;
}

static int check_features(struct tapxfer *tx, const struct tapxfer_vhost *v,
			  const struct tapxfer_vhost_state *state)
{
	uint64_t known, lacking;
	int err = check_refused(tx, state);

	if (err)
		return err;
	if (ioctl(v->fd, VHOST_GET_FEATURES, &known))
		return fail(tx, -errno, v, "VHOST_GET_FEATURES", -1);
	lacking = state->features & ~known;
	if (lacking)
		return txl_error_set(tx, -EOPNOTSUPP,
				     "this kernel's vhost-net has not all of the guest's features: 0x%llx",
				     (unsigned long long)lacking);
	return 0;
}

/* Ours from now on. @owned: it was before. */
static int own(struct tapxfer *tx, const struct tapxfer_vhost *v, bool *owned)
{
	int err;

	*owned = false;
	if (!ioctl(v->fd, VHOST_SET_OWNER, NULL))
		return 0;
	if (errno != EBUSY)
		return fail(tx, -errno, v, "VHOST_SET_OWNER", -1);

	err = attached(tx, v);
	if (err == -EPERM)
		return txl_error_set(tx, -EBUSY,
				     "VHOST_SET_OWNER: vhost-net fd %d is another process's: that has to release it, or open /dev/vhost-net anew",
				     v->fd);
	if (err > 0)
		return txl_error_set(tx, -EBUSY,
				     "a backend of vhost-net fd %d is attached: stop it first",
				     v->fd);
	*owned = !err;
	return err;
}

/* What own() did, for a failure whose text @tx has. It takes memory. */
static void disown(struct tapxfer *tx, const struct tapxfer_vhost *v)
{
	if (ioctl(v->fd, VHOST_RESET_OWNER, NULL))
		fail_undo(tx, -errno,
			  "the device is still this process's: VHOST_RESET_OWNER",
			  "release it, or close it");
}

static int set_vring(struct tapxfer *tx, const struct tapxfer_vhost *v,
		     unsigned int side, const struct tapxfer_vhost_vring *r,
		     const struct vhost_vring_addr *addr)
{
	struct vhost_vring_state num = { side, r->num };
	struct vhost_vring_state base = { side, r->base };
	struct vhost_vring_state busyloop = { side, r->busyloop };
	struct vhost_vring_file kick = { side, v->kick[side] };
	struct vhost_vring_file call = { side, v->call[side] };
	struct vhost_vring_file error = { side, v->err[side] };
	int s = (int)side, err;

	err = CALL(tx, v, VHOST_SET_VRING_NUM, &num, s);
	if (!err)
		err = CALL(tx, v, VHOST_SET_VRING_BASE, &base, s);
	if (!err)
		err = CALL(tx, v, VHOST_SET_VRING_ADDR, addr, s);
	if (!err)
		err = CALL(tx, v, VHOST_SET_VRING_BUSYLOOP_TIMEOUT, &busyloop,
			   s);
	if (!err)
		err = CALL(tx, v, VHOST_SET_VRING_ERR, &error, s);
	if (!err)
		err = CALL(tx, v, VHOST_SET_VRING_CALL, &call, s);
	/* last, because vhost looks from here on */
	if (!err)
		err = CALL(tx, v, VHOST_SET_VRING_KICK, &kick, s);
	return err;
}

static int setup(struct tapxfer *tx, const struct tapxfer_vhost *v,
		 const struct tapxfer_vhost_state *state, bool *owned)
{
	struct vhost_vring_addr addrs[TAPXFER_VHOST_VRINGS];
	unsigned int side;
	int err;

	err = check_device(tx, v, state);
	if (!err)
		err = check_features(tx, v, state);
	for (side = 0; !err && side < TAPXFER_VHOST_VRINGS; side++)
		err = vring_addr(tx, v, state, side, &addrs[side]);
	if (err)
		return err;

	err = own(tx, v, owned);
	if (err)
		return err;
	err = CALL(tx, v, VHOST_SET_FEATURES, &state->features, -1);
	if (!err && state->backend_features)
		err = CALL(tx, v, VHOST_SET_BACKEND_FEATURES,
			   &state->backend_features, -1);
	if (!err)
		err = CALL(tx, v, VHOST_SET_MEM_TABLE, v->memory, -1);
	for (side = 0; !err && side < TAPXFER_VHOST_VRINGS; side++)
		err = set_vring(tx, v, side, &state->vrings[side],
				&addrs[side]);
	if (err && !*owned)
		disown(tx, v);
	return err;
}

EXPORT int tapxfer_vhost_setup(struct tapxfer *tx,
			       const struct tapxfer_vhost *v,
			       const struct tapxfer_vhost_state *state)
{
	bool owned;

	return setup(tx, v, state, &owned);
}

/* vhost and tap have to agree on how long a packet's header is. */
static int check_header(struct tapxfer *tx, const struct tapxfer_vhost *v,
			const struct tapxfer_vhost_state *state)
{
	const uint64_t large = BIT_ULL(VIRTIO_NET_F_MRG_RXBUF) |
			       BIT_ULL(VIRTIO_F_VERSION_1);
	int want = state->features & large ?
		   (int)sizeof(struct virtio_net_hdr_mrg_rxbuf) :
		   (int)sizeof(struct virtio_net_hdr);
	char ifname[IFNAMSIZ];
	unsigned int flags;
	int size = 0;

	/* vhost can make the header itself, for a queue that has none */
	if (state->features & BIT_ULL(VHOST_NET_F_VIRTIO_NET_HDR))
		want = 0;
	/* what is no tun file is for vhost to refuse, or not */
	if (txl_tun_iff(v->tap_fd, ifname, &flags) ||
	    (flags & IFF_VNET_HDR && ioctl(v->tap_fd, TUNGETVNETHDRSZ, &size)))
		return 0;
	if (size == want)
		return 0;
	return txl_error_set(tx, -EINVAL,
			     "the queue's packets have a header of %d bytes, and the guest's features ask for %d: TUNSETVNETHDRSZ (fd %d)",
			     size, want, v->tap_fd);
}

static int attach_side(struct tapxfer *tx, const struct tapxfer_vhost *v,
		       unsigned int side)
{
	int err = set_backend(v, side, v->tap_fd);

	if (err == -ENOTSOCK)
		return txl_error_set(tx, err,
				     "VHOST_NET_SET_BACKEND: descriptor %d is no queue, or a handover fences it: attach after ready, thaw or abort",
				     v->tap_fd);
	if (err == -EPERM)
		return fail_owner(tx, err, v, "VHOST_NET_SET_BACKEND");
	return err ? fail(tx, err, v, "VHOST_NET_SET_BACKEND", (int)side) : 0;
}

EXPORT int tapxfer_vhost_attach(struct tapxfer *tx,
				const struct tapxfer_vhost *v,
				const struct tapxfer_vhost_state *state)
{
	unsigned int side;
	int was, err;

	err = check_device(tx, v, state);
	if (!err && v->tap_fd < 0)
		err = txl_error_set(tx, -EBADF, "no queue file was given");
	if (!err)
		err = check_header(tx, v, state);
	if (err)
		return err;
	was = attached(tx, v);
	if (was < 0)
		return was;

	for (side = 0; side < TAPXFER_VHOST_VRINGS; side++) {
		err = attach_side(tx, v, side);
		if (!err)
			continue;
		while (side--)
			if (!(was & 1 << side))
				set_backend(v, side, VHOST_FILE_UNBIND);
		return err;
	}
	/* Somebody may have asked whom nobody has heard. */
	for (side = 0; side < TAPXFER_VHOST_VRINGS; side++) {
		if (v->kick[side] >= 0)
			eventfd_write(v->kick[side], 1);
		if (v->call[side] >= 0)
			eventfd_write(v->call[side], 1);
	}
	return 0;
}

EXPORT int tapxfer_vhost_start(struct tapxfer *tx,
			       const struct tapxfer_vhost *v,
			       const struct tapxfer_vhost_state *state)
{
	bool owned;
	int err;

	err = setup(tx, v, state, &owned);
	if (err)
		return err;
	err = tapxfer_vhost_attach(tx, v, state);
	if (err && !owned)
		disown(tx, v);
	return err;
}
