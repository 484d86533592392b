// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/virtio_config.h>

#include "vhost-guest.h"

/* A pair's memory: the driver's state, two vrings, the buffers */
#define RING		64
#define VRING_AT	4096
#define VRING_SIZE	8192
#define BUFFERS_AT	(VRING_AT + 2 * VRING_SIZE)
#define BUFFER		2048
#define PAIR_SIZE	(BUFFERS_AT + RING * BUFFER)
#define MEM_SIZE	(QUEUES * PAIR_SIZE)

#define RX		TAPXFER_VHOST_RX
#define TX		TAPXFER_VHOST_TX

#define load(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store(p, val)	__atomic_store_n(p, val, __ATOMIC_RELEASE)

static uint64_t guest_addr(const struct vhost_vm *vm, const void *p)
{
	return (uint64_t)((const uint8_t *)p - vm->mem);
}

static uint8_t *buffer(const struct vhost_vm *vm, int q, unsigned int id)
{
	return vm->mem + q * PAIR_SIZE + BUFFERS_AT + id * BUFFER;
}

/* Give vhost the buffer @id, of which @len bytes are for it. */
static void offer(struct vhost_pair *p, int side, unsigned int id,
		  unsigned int len)
{
	struct vring *vr = &p->vrings[side];

	vr->desc[id].len = len;
	vr->avail->ring[vr->avail->idx % RING] = (uint16_t)id;
	store(&vr->avail->idx, (uint16_t)(vr->avail->idx + 1));
}

static void kick(struct vhost_pair *p, int side)
{
	/* what was offered before the flag is read: vhost does the reverse */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!(load(&p->vrings[side].used->flags) & VRING_USED_F_NO_NOTIFY))
		eventfd_write(p->dev.kick[side], 1);
}

static void guest_boot(struct vhost_vm *vm, int q)
{
	struct vhost_pair *p = &vm->pairs[q];
	unsigned int id;

	for (id = 0; id < RING; id++) {
		p->vrings[RX].desc[id].addr =
			guest_addr(vm, buffer(vm, q, id));
		p->vrings[TX].desc[id].addr = p->vrings[RX].desc[id].addr;
		p->vrings[RX].desc[id].flags = VRING_DESC_F_WRITE;
		offer(p, RX, id, BUFFER);
	}
	/* it looks, and need not be told */
	p->vrings[RX].avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	p->vrings[TX].avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
}

/* What vhost cannot be asked for, and a virtio device knows. */
static void describe(struct vhost_vm *vm, int q)
{
	struct vhost_pair *p = &vm->pairs[q];
	int side;

	p->dev.size = sizeof(p->dev);
	p->dev.fd = -1;
	p->dev.tap_fd = -1;
	p->dev.memory = &vm->table.m;
	p->state.size = sizeof(p->state);
	p->state.features = 1ULL << VIRTIO_F_VERSION_1;
	for (side = 0; side < TAPXFER_VHOST_VRINGS; side++) {
		vring_init(&p->vrings[side], RING, vm->mem + q * PAIR_SIZE +
			   VRING_AT + side * VRING_SIZE, 4096);
		p->dev.kick[side] = -1;
		p->dev.call[side] = -1;
		p->dev.err[side] = -1;
		p->state.vrings[side] = (struct tapxfer_vhost_vring) {
			.desc = guest_addr(vm, p->vrings[side].desc),
			.avail = guest_addr(vm, p->vrings[side].avail),
			.used = guest_addr(vm, p->vrings[side].used),
			.num = RING,
		};
	}
	p->seen = (uint16_t *)(vm->mem + q * PAIR_SIZE);
}

void vhost_vm_map(struct vhost_vm *vm, int memfd)
{
	int q;

	vm->memfd = memfd < 0 ? memfd_create("guest", MFD_CLOEXEC) : memfd;
	if (vm->memfd < 0 || (memfd < 0 && ftruncate(vm->memfd, MEM_SIZE)))
		die(errno, "no memory for the guest");
	vm->mem = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
		       vm->memfd, 0);
	if (vm->mem == MAP_FAILED)
		die(errno, "cannot map the guest's memory");
	vm->table.m.nregions = 1;
	vm->table.m.regions[0].memory_size = MEM_SIZE;
	vm->table.m.regions[0].userspace_addr = (uintptr_t)vm->mem;
	for (q = 0; q < QUEUES; q++) {
		describe(vm, q);
		if (memfd < 0)
			guest_boot(vm, q);
	}
}

static int device_open(void)
{
	int fd = open("/dev/vhost-net", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		die(errno, "/dev/vhost-net");
	return fd;
}

void vhost_vm_open(struct vhost_vm *vm)
{
	int q, side;

	for (q = 0; q < QUEUES; q++) {
		struct tapxfer_vhost *dev = &vm->pairs[q].dev;

		dev->fd = device_open();
		for (side = 0; side < TAPXFER_VHOST_VRINGS; side++) {
			dev->kick[side] = eventfd(0, EFD_CLOEXEC);
			dev->call[side] = eventfd(0, EFD_CLOEXEC);
			if (dev->kick[side] < 0 || dev->call[side] < 0)
				die(errno, "eventfd");
		}
	}
}

void vhost_vm_start(struct tapxfer *tx, struct vhost_vm *vm,
		    const int fds[QUEUES])
{
	int q, err;

	for (q = 0; q < QUEUES; q++) {
		struct vhost_pair *p = &vm->pairs[q];

		p->dev.tap_fd = fds[q];
		err = tapxfer_vhost_start(tx, &p->dev, &p->state);
		if (err == -EBUSY) {
			/* a target that has died was its owner */
			close(p->dev.fd);
			p->dev.fd = device_open();
			err = tapxfer_vhost_start(tx, &p->dev, &p->state);
		}
		if (err)
			die(0, "cannot start vhost-net: %s", tapxfer_error(tx));
	}
}

/* The next buffer that vhost has done with: its number, or -1. */
static int take(struct vhost_pair *p, int side, unsigned int *len)
{
	struct vring *vr = &p->vrings[side];
	const struct vring_used_elem *used;

	if (load(&vr->used->idx) == p->seen[side])
		return -1;
	used = &vr->used->ring[p->seen[side]++ % RING];
	*len = used->len;
	return (int)used->id;
}

static int turn_all(struct vhost_vm *vm, int q)
{
	struct vhost_pair *p = &vm->pairs[q];
	unsigned int len;
	int id, n;

	for (n = 0; (id = take(p, RX, &len)) >= 0; n++) {
		uint8_t *packet = buffer(vm, q, (unsigned int)id);

		memset(packet, 0, HDR);
		frame_turn(packet + HDR);
		offer(p, TX, (unsigned int)id, len);
	}
	if (n)
		kick(p, TX);
	for (n = 0; (id = take(p, TX, &len)) >= 0; n++)
		offer(p, RX, (unsigned int)id, BUFFER);
	if (n)
		kick(p, RX);
	return n;
}

void vhost_guest_run(struct vhost_vm *vm)
{
	int q, n;

	while (!move_wanted && !end_wanted) {
		for (q = 0, n = 0; q < QUEUES; q++)
			n += turn_all(vm, q);
		if (!n)
			usleep(100);
	}
}
