/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A guest with a virtio-net card of one queue pair, and the VMM's side of it: a
 * vhost-net device.
 *
 * All that a guest has, its rings, buffers and the state of its driver, is in a
 * memfd, as a VMM's guest memory is. A second process that opens a vhost-net
 * device over the same memfd is a VMM that goes on with the same guest:
 *
 *	source				target
 *	vhost_open(&v, features, -1)
 *	vhost_start(&v, tap_fd)
 *	  guest_*(v.guest, ...)
 *	vhost_stop(&v)
 *	  -- v.memfd, tap_fd -->	vhost_open(&v, features, memfd)
 *					vhost_start(&v, tap_fd)
 *
 * A guest runs in one place at a time: its receive side may have another thread
 * than its transmit side, and each no more than one.
 */
#ifndef SELFTESTS_VHOST_H
#define SELFTESTS_VHOST_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <linux/vhost.h>
#include <linux/virtio_ring.h>

#include <tapxfer/vhost.h>

#include "flow.h"
#include "xfer.h"

#define VHOST_RING	256	/* descriptors of a vring */
#define VHOST_BATCH	64	/* packets that vhost takes or sends at once */
#define VHOST_HDR	12	/* struct virtio_net_hdr_v1, as the tap's is */
#define VHOST_HDR_LEGACY 10	/* struct virtio_net_hdr */
#define VHOST_BUF	8192	/* bytes of a buffer */

/* Among features, and of no device: a guest without VIRTIO_F_VERSION_1 */
#define VHOST_LEGACY	(1ULL << 63)

enum {
	VHOST_RX = TAPXFER_VHOST_RX,
	VHOST_TX = TAPXFER_VHOST_TX,
	VHOST_SIDES = TAPXFER_VHOST_VRINGS,
};

/* The driver's state of one side */
struct guest_ring {
	uint16_t base;		/* where vhost goes on: the VMM's, at a stop */
	uint16_t avail;		/* buffers offered */
	uint16_t used;		/* buffers that came back and were seen */
	uint16_t nfree;
	uint16_t free[VHOST_RING];
};

/* The begin of guest memory */
struct guest {
	struct guest_ring rings[VHOST_SIDES];
	uint32_t sent;		/* packets that were given to vhost */
	uint32_t received;
	uint32_t rx_buf;	/* bytes of a buffer that is offered */
};

struct vhost {
	struct tapxfer_vhost dev;
	struct tapxfer_vhost_state state;
	int memfd;
	struct guest *guest;	/* the mapped memory */
	struct vring vrings[VHOST_SIDES];
	unsigned int hdr;	/* bytes before each packet */
	bool mergeable;		/* a packet may take several buffers */
	union {
		struct vhost_memory m;
		char space[sizeof(struct vhost_memory) +
			   2 * sizeof(struct vhost_memory_region)];
	} mem;
};

/* Memory of a guest that was never run: its memfd, or -errno. */
int guest_create(void);

/*
 * The guest memory @memfd, which is duplicated, or a new one when that is -1,
 * and what is to be told to a device; no device yet, and no eventfds: v->dev has
 * room for them. VIRTIO_F_VERSION_1 is among the features unless VHOST_LEGACY
 * is, @features are those that vhost shall have besides:
 * 1 << VIRTIO_NET_F_MRG_RXBUF, say. 0 or -errno.
 */
int vhost_map(struct vhost *v, uint64_t features, int memfd);
/* The same with a new device and new eventfds, set up. */
int vhost_open(struct vhost *v, uint64_t features, int memfd);
/* As when the VMM exits: what it is attached to it is attached to no more. */
void vhost_close(struct vhost *v);

/*
 * One more piece of guest memory, at @mem: the guest's address of it. Before
 * the device is started.
 */
#define VHOST_EXTRA	(1ULL << 32)
int vhost_add_memory(struct vhost *v, const void *mem, uint64_t size);

/* Attach one side to a queue file, or to none: @fd -1. 0 or -errno. */
int vhost_backend(const struct vhost *v, int side, int fd);
/* Both, as a VMM starts the device: from where it was stopped; 0 or -errno. */
int vhost_start(struct vhost *v, int fd);
/* Both, as a VMM stops it: takes down where it is. */
int vhost_stop(struct vhost *v);
/* Find that out of the vrings, when the VMM died before it could. */
int vhost_recover(struct vhost *v);

/* Claim and thaw while a backend is attached, by whomever: 0 or -errno. */
int vhost_finish(struct xfer *x);

/* Offer vhost @n more buffers, or as many as there are; how many. */
unsigned int guest_offer(const struct vhost *v, unsigned int n);
/*
 * Look at the packets that came, in order, as those of queue @queue, and offer
 * their buffers again if @refill. How many.
 */
unsigned int guest_receive(const struct vhost *v, struct tally *t, int queue,
			   bool refill);

/*
 * Send the packet @seq of flow @flow, padded to @len bytes: 0, or -EAGAIN when
 * vhost has all descriptors.
 */
int guest_send(const struct vhost *v, uint32_t flow, uint32_t seq,
	       unsigned int len);
/*
 * The same, of what is at the guest's address @addr, which need not be there
 * yet: VHOST_HDR bytes and a packet.
 */
int guest_send_at(const struct vhost *v, uint64_t addr);
/* How many of those sent vhost has not done with. */
unsigned int guest_unsent(const struct vhost *v);

/* A thread of the guest that sends, as fast as vhost takes it */
struct transmitter {
	const struct vhost *v;
	uint32_t flow;
	/* packet n has the number n * stride + first */
	uint32_t stride;
	uint32_t first;
	/* bytes of a packet, and of each one in big_every; 0: PACKET_LEN, none */
	unsigned int len;
	unsigned int big;
	unsigned int big_every;
	/* how many may be on their way: the capture has seen @seen of them */
	const uint64_t *seen;
	uint32_t window;

	pthread_t thread;
	bool stop;
};

/* Goes on with packet v->guest->sent: 0 or -errno. */
int transmitter_start(struct transmitter *t);
/* Leaves what vhost has not taken in the vring. */
void transmitter_stop(struct transmitter *t);

/* A thread of the guest that receives */
struct receiver {
	const struct vhost *v;
	struct tally *t;
	int queue;

	pthread_t thread;
	bool stop;
};

int receiver_start(struct receiver *r);
void receiver_stop(struct receiver *r);

/* A thread that takes what enters the host */
struct catcher {
	struct capture *c;
	/* packets of flow n are those of queue n - @flow, if they are */
	uint32_t flow;
	int queues;

	uint64_t seen[TAP_MAX];		/* of each queue */
	uint64_t lost;			/* the socket had no room for them */
	pthread_t thread;
	bool stop;
};

int catcher_start(struct catcher *c);
/* Takes what there is, then ends. */
void catcher_stop(struct catcher *c);
/* Of all queues */
uint64_t catcher_seen(const struct catcher *c);

#endif /* SELFTESTS_VHOST_H */
