/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest with a virtio-net card of QUEUES queue pairs, in a memfd: it sends back
 * what it gets. And the VMM's side of it: a vhost-net device for each pair.
 *
 * The guest is small because each buffer goes round: vhost fills it, the guest
 * turns the frame in it and gives the same buffer to be sent, and when it was
 * sent it is there to be filled again.
 */
#ifndef EXAMPLES_VHOST_GUEST_H
#define EXAMPLES_VHOST_GUEST_H

#include <linux/vhost.h>
#include <linux/virtio_ring.h>

#include <tapxfer/vhost.h>

#include "common.h"

#define HDR	12	/* struct virtio_net_hdr_v1 */

struct vhost_pair {
	struct tapxfer_vhost dev;
	struct tapxfer_vhost_state state;
	struct vring vrings[TAPXFER_VHOST_VRINGS];
	uint16_t *seen;		/* in guest memory: used buffers dealt with */
};

struct vhost_vm {
	int memfd;
	uint8_t *mem;
	struct vhost_pair pairs[QUEUES];
	union {
		struct vhost_memory m;
		uint8_t space[sizeof(struct vhost_memory) +
			      sizeof(struct vhost_memory_region)];
	} table;
};

/* Guest memory: a new guest, or with a memfd, one that has run before. */
void vhost_vm_map(struct vhost_vm *vm, int memfd);
/* Devices and eventfds, for a guest that has none. */
void vhost_vm_open(struct vhost_vm *vm);

/* Attach the queue files, from where the states say; or end with a message. */
void vhost_vm_start(struct tapxfer *tx, struct vhost_vm *vm,
		    const int fds[QUEUES]);

/* Until a signal comes */
void vhost_guest_run(struct vhost_vm *vm);

#endif /* EXAMPLES_VHOST_GUEST_H */
