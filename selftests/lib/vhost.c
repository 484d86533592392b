// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_packet.h>
#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>

#include "util.h"
#include "vhost.h"

/* Guest memory: the driver's state, the vrings, the buffers of each side */
#define RING_SPACE	16384
#define RINGS		4096
#define BUFS		(RINGS + VHOST_SIDES * RING_SPACE)
#define MEM_SIZE	(BUFS + VHOST_SIDES * VHOST_RING * VHOST_BUF)

_Static_assert(sizeof(struct guest) <= RINGS, "too long for its place");

#define load(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store(p, val)	__atomic_store_n(p, val, __ATOMIC_RELEASE)

/* A guest's address is an offset into its memory. */
static uint64_t buf_addr(int side, unsigned int id)
{
	return BUFS + (uint64_t)(side * VHOST_RING + id) * VHOST_BUF;
}

static uint8_t *buf_ptr(const struct vhost *v, int side, unsigned int id)
{
	return (uint8_t *)v->guest + buf_addr(side, id);
}

static void guest_init(const struct vhost *v)
{
	int side, id;

	v->guest->rx_buf = VHOST_BUF;
	for (side = 0; side < VHOST_SIDES; side++) {
		struct guest_ring *r = &v->guest->rings[side];

		r->nfree = VHOST_RING;
		for (id = 0; id < VHOST_RING; id++) {
			r->free[id] = VHOST_RING - 1 - id;
			v->vrings[side].desc[id].addr = buf_addr(side, id);
		}
		/* We look, and need not be told. */
		v->vrings[side].avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	}
}

static void memory_set(struct vhost *v, const void *extra, uint64_t size)
{
	v->mem.m.nregions = extra ? 2 : 1;
	v->mem.m.regions[0] = (struct vhost_memory_region) {
		.memory_size = MEM_SIZE,
		.userspace_addr = (uintptr_t)v->guest,
	};
	v->mem.m.regions[1] = (struct vhost_memory_region) {
		.guest_phys_addr = VHOST_EXTRA,
		.memory_size = size,
		.userspace_addr = (uintptr_t)extra,
	};
	v->dev.memory = &v->mem.m;
}

static int open_memory(struct vhost *v, int memfd)
{
	void *mem;
	int side;

	v->memfd = memfd < 0 ? memfd_create("guest", MFD_CLOEXEC) :
			       fcntl(memfd, F_DUPFD_CLOEXEC, 0);
	if (v->memfd < 0 || (memfd < 0 && ftruncate(v->memfd, MEM_SIZE)))
		return -errno;
	mem = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
		   v->memfd, 0);
	if (mem == MAP_FAILED)
		return -errno;
	v->guest = mem;
	for (side = 0; side < VHOST_SIDES; side++)
		vring_init(&v->vrings[side], VHOST_RING,
			   (char *)mem + RINGS + side * RING_SPACE, 4096);
	if (memfd < 0)
		guest_init(v);
	memory_set(v, NULL, 0);
	return 0;
}

int guest_create(void)
{
	struct vhost v;
	int err;

	memset(&v, 0, sizeof(v));
	err = open_memory(&v, -1);
	if (v.guest)
		munmap(v.guest, MEM_SIZE);
	return err ?: v.memfd;
}

static uint64_t guest_addr(const struct vhost *v, const void *p)
{
	return (uintptr_t)p - (uintptr_t)v->guest;
}

/* What the guest and its VMM know, and vhost does not tell. */
static void describe(struct vhost *v, uint64_t features)
{
	int side;

	if (features & VHOST_LEGACY)
		features &= ~VHOST_LEGACY;
	else
		features |= 1ULL << VIRTIO_F_VERSION_1;
	v->mergeable = features & 1ULL << VIRTIO_NET_F_MRG_RXBUF;
	v->hdr = v->mergeable || features & 1ULL << VIRTIO_F_VERSION_1 ?
		 VHOST_HDR : VHOST_HDR_LEGACY;
	v->state.size = sizeof(v->state);
	v->state.features = features;
	for (side = 0; side < VHOST_SIDES; side++)
		v->state.vrings[side] = (struct tapxfer_vhost_vring) {
			.desc = guest_addr(v, v->vrings[side].desc),
			.avail = guest_addr(v, v->vrings[side].avail),
			.used = guest_addr(v, v->vrings[side].used),
			.num = VHOST_RING,
		};
}

int vhost_map(struct vhost *v, uint64_t features, int memfd)
{
	int err;

	memset(v, 0, sizeof(*v));
	v->dev.size = sizeof(v->dev);
	v->dev.fd = -1;
	v->dev.tap_fd = -1;
	memset(v->dev.kick, -1, sizeof(v->dev.kick));
	memset(v->dev.call, -1, sizeof(v->dev.call));
	memset(v->dev.err, -1, sizeof(v->dev.err));
	err = open_memory(v, memfd);
	if (err) {
		vhost_close(v);
		return err;
	}
	describe(v, features);
	return 0;
}

/* Where it was stopped, in whatever process. */
static void know_bases(struct vhost *v)
{
	int side;

	for (side = 0; side < VHOST_SIDES; side++)
		v->state.vrings[side].base = v->guest->rings[side].base;
}

int vhost_open(struct vhost *v, uint64_t features, int memfd)
{
	int side, err;

	err = vhost_map(v, features, memfd);
	if (err)
		return err;
	v->dev.fd = open("/dev/vhost-net", O_RDWR | O_CLOEXEC);
	if (v->dev.fd < 0)
		err = -errno;
	for (side = 0; !err && side < VHOST_SIDES; side++) {
		v->dev.kick[side] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		v->dev.call[side] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (v->dev.kick[side] < 0 || v->dev.call[side] < 0)
			err = -errno;
	}
	know_bases(v);
	if (!err)
		err = tapxfer_vhost_setup(NULL, &v->dev, &v->state);
	if (err)
		vhost_close(v);
	return err;
}

int vhost_add_memory(struct vhost *v, const void *mem, uint64_t size)
{
	memory_set(v, mem, size);
	return ioctl(v->dev.fd, VHOST_SET_MEM_TABLE, &v->mem) ? -errno : 0;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void vhost_close(struct vhost *v)
{
	int side;

	close_fd(&v->dev.fd);
	for (side = 0; side < VHOST_SIDES; side++) {
		close_fd(&v->dev.kick[side]);
		close_fd(&v->dev.call[side]);
	}
	if (v->guest)
		munmap(v->guest, MEM_SIZE);
	v->guest = NULL;
	close_fd(&v->memfd);
}

int vhost_backend(const struct vhost *v, int side, int fd)
{
	struct vhost_vring_file file = { .index = side, .fd = fd };

	return ioctl(v->dev.fd, VHOST_NET_SET_BACKEND, &file) ? -errno : 0;
}

int vhost_start(struct vhost *v, int fd)
{
	v->dev.tap_fd = fd;
	know_bases(v);
	return tapxfer_vhost_start(NULL, &v->dev, &v->state);
}

int vhost_stop(struct vhost *v)
{
	int side, err;

	err = tapxfer_vhost_stop(NULL, &v->dev, &v->state);
	for (side = 0; !err && side < VHOST_SIDES; side++)
		v->guest->rings[side].base = v->state.vrings[side].base;
	return err;
}

static void kick(const struct vhost *v, int side)
{
	/* what was offered before the flag is read: vhost does the reverse */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!(load(&v->vrings[side].used->flags) & VRING_USED_F_NO_NOTIFY))
		eventfd_write(v->dev.kick[side], 1);
}

int vhost_recover(struct vhost *v)
{
	int side, err;

	err = tapxfer_vhost_recover(NULL, &v->dev, &v->state);
	for (side = 0; !err && side < VHOST_SIDES; side++)
		v->guest->rings[side].base = v->state.vrings[side].base;
	return err;
}

int vhost_finish(struct xfer *x)
{
	return xfer_finish(x);
}

/* Offer buffer @id, of @len bytes. */
static void offer(const struct vhost *v, int side, unsigned int id,
		  unsigned int len)
{
	struct guest_ring *r = &v->guest->rings[side];
	const struct vring *vr = &v->vrings[side];

	vr->desc[id].len = len;
	vr->desc[id].flags = side == VHOST_RX ? VRING_DESC_F_WRITE : 0;
	vr->avail->ring[r->avail % VHOST_RING] = id;
	store(&vr->avail->idx, ++r->avail);
}

/* The next buffer that vhost has done with, and how long it is now. */
static bool take(const struct vhost *v, int side, unsigned int *id,
		 unsigned int *len)
{
	struct guest_ring *r = &v->guest->rings[side];
	const struct vring *vr = &v->vrings[side];
	const struct vring_used_elem *elem;

	if (load(&vr->used->idx) == r->used)
		return false;
	elem = &vr->used->ring[r->used++ % VHOST_RING];
	*id = elem->id;
	*len = elem->len;
	return true;
}

unsigned int guest_offer(const struct vhost *v, unsigned int n)
{
	struct guest_ring *r = &v->guest->rings[VHOST_RX];
	unsigned int i;

	for (i = 0; i < n && r->nfree; i++)
		offer(v, VHOST_RX, r->free[--r->nfree],
		      v->guest->rx_buf);
	if (i)
		kick(v, VHOST_RX);
	return i;
}

/* The buffers of a packet are used all at once; how many the first one tells. */
static unsigned int buffers_of(const struct vhost *v, const uint8_t *first)
{
	uint16_t n;

	if (!v->mergeable)
		return 1;
	memcpy(&n, first + offsetof(struct virtio_net_hdr_mrg_rxbuf,
				    num_buffers), sizeof(n));
	return n;
}

/* Take one packet, if there is any; how many buffers it took. */
static unsigned int receive_one(const struct vhost *v, struct tally *t,
				int queue)
{
	struct guest_ring *r = &v->guest->rings[VHOST_RX];
	uint8_t packet[PACKET_MAX];
	unsigned int id, len, part, n, i, have = 0;

	if (!take(v, VHOST_RX, &id, &len))
		return 0;
	n = buffers_of(v, buf_ptr(v, VHOST_RX, id));
	for (i = 1;; i++) {
		part = len < sizeof(packet) - have ? len :
						     sizeof(packet) - have;
		memcpy(packet + have, buf_ptr(v, VHOST_RX, id), part);
		have += part;
		r->free[r->nfree++] = id;
		if (i >= n || !take(v, VHOST_RX, &id, &len))
			break;
	}
	tally_add(t, queue, packet + v->hdr, (ssize_t)have - v->hdr);
	return i;
}

unsigned int guest_receive(const struct vhost *v, struct tally *t, int queue,
			   bool refill)
{
	unsigned int n = 0, buffers = 0, took;

	while ((took = receive_one(v, t, queue))) {
		buffers += took;
		n++;
	}
	v->guest->received += n;
	if (n && refill)
		guest_offer(v, buffers);
	return n;
}

/* A buffer to send, or -EAGAIN. */
static int send_begin(const struct vhost *v)
{
	struct guest_ring *r = &v->guest->rings[VHOST_TX];
	unsigned int id, len;

	while (take(v, VHOST_TX, &id, &len))
		r->free[r->nfree++] = id;
	return r->nfree ? r->free[--r->nfree] : -EAGAIN;
}

static void send_end(const struct vhost *v, int id, uint64_t addr,
		     unsigned int len)
{
	v->vrings[VHOST_TX].desc[id].addr = addr;
	offer(v, VHOST_TX, id, v->hdr + len);
	store(&v->guest->sent, v->guest->sent + 1);
	kick(v, VHOST_TX);
}

int guest_send(const struct vhost *v, uint32_t flow, uint32_t seq,
	       unsigned int len)
{
	int id = send_begin(v);
	uint8_t *buf;

	if (id < 0)
		return id;
	buf = buf_ptr(v, VHOST_TX, id);
	memset(buf, 0, v->hdr);
	packet_make(buf + v->hdr, flow, seq);
	send_end(v, id, buf_addr(VHOST_TX, id), len);
	return 0;
}

int guest_send_at(const struct vhost *v, uint64_t addr)
{
	int id = send_begin(v);

	if (id < 0)
		return id;
	send_end(v, id, addr, PACKET_LEN);
	return 0;
}

unsigned int guest_unsent(const struct vhost *v)
{
	const struct guest_ring *r = &v->guest->rings[VHOST_TX];

	return (uint16_t)(r->avail - load(&v->vrings[VHOST_TX].used->idx));
}

static void *transmit(void *arg)
{
	struct transmitter *t = arg;
	const uint32_t *sent = &t->v->guest->sent;

	while (!load(&t->stop)) {
		bool big = t->big_every && *sent % t->big_every == 0;

		if ((t->seen && *sent - load(t->seen) >= t->window) ||
		    guest_send(t->v, t->flow, *sent * t->stride + t->first,
			       big ? t->big : t->len))
			usleep(100);
	}
	return NULL;
}

int transmitter_start(struct transmitter *t)
{
	t->stop = false;
	t->len = t->len ?: PACKET_LEN;
	t->stride = t->stride ?: 1;
	return -pthread_create(&t->thread, NULL, transmit, t);
}

void transmitter_stop(struct transmitter *t)
{
	store(&t->stop, true);
	pthread_join(t->thread, NULL);
}

static void *receive(void *arg)
{
	struct receiver *r = arg;

	while (!load(&r->stop))
		if (!guest_receive(r->v, r->t, r->queue, true))
			usleep(100);
	return NULL;
}

int receiver_start(struct receiver *r)
{
	r->stop = false;
	return -pthread_create(&r->thread, NULL, receive, r);
}

void receiver_stop(struct receiver *r)
{
	store(&r->stop, true);
	pthread_join(r->thread, NULL);
}

static bool catch_one(struct catcher *c)
{
	uint8_t buf[PACKET_MAX];
	ssize_t len = recv(c->c->sock, buf, sizeof(buf), 0);
	uint32_t flow, seq;
	int q = 0;

	if (len < 0)
		return false;
	if (packet_parse(buf, len, &flow, &seq) &&
	    flow - c->flow < (uint32_t)c->queues)
		q = flow - c->flow;
	else
		c->c->t.foreign++;
	tally_add(&c->c->t, q, buf, len);
	store(&c->seen[q], c->seen[q] + 1);
	return true;
}

static void *catch(void *arg)
{
	struct tpacket_stats stats = {};
	socklen_t len = sizeof(stats);
	struct catcher *c = arg;
	bool stop;

	do {
		stop = load(&c->stop);
		while (catch_one(c))
			;
		/* since it was asked last */
		if (!getsockopt(c->c->sock, SOL_PACKET, PACKET_STATISTICS,
				&stats, &len))
			store(&c->lost, c->lost + stats.tp_drops);
		usleep(100);
	} while (!stop);
	return NULL;
}

int catcher_start(struct catcher *c)
{
	c->stop = false;
	c->queues = c->queues ?: 1;
	return -pthread_create(&c->thread, NULL, catch, c);
}

void catcher_stop(struct catcher *c)
{
	store(&c->stop, true);
	pthread_join(c->thread, NULL);
}

uint64_t catcher_seen(const struct catcher *c)
{
	uint64_t sum = 0;
	int q;

	for (q = 0; q < c->queues; q++)
		sum += load(&c->seen[q]);
	return sum;
}
