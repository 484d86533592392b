// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_packet.h>
#include <linux/vhost.h>
#include <linux/virtio_config.h>

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

static int open_vring(struct vhost *v, int side)
{
	struct vhost_vring_state num = { .index = side, .num = VHOST_RING };
	struct vhost_vring_addr addr = {
		.index = side,
		.desc_user_addr = (uintptr_t)v->vrings[side].desc,
		.avail_user_addr = (uintptr_t)v->vrings[side].avail,
		.used_user_addr = (uintptr_t)v->vrings[side].used,
	};
	struct vhost_vring_file kick = { .index = side };
	struct vhost_vring_file call = { .index = side };

	v->kick[side] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	v->call[side] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	kick.fd = v->kick[side];
	call.fd = v->call[side];
	if (kick.fd < 0 || call.fd < 0 ||
	    ioctl(v->fd, VHOST_SET_VRING_NUM, &num) ||
	    ioctl(v->fd, VHOST_SET_VRING_ADDR, &addr) ||
	    ioctl(v->fd, VHOST_SET_VRING_KICK, &kick) ||
	    ioctl(v->fd, VHOST_SET_VRING_CALL, &call))
		return -errno;
	return 0;
}

static int set_memory(const struct vhost *v, const void *extra, uint64_t size)
{
	struct {
		struct vhost_memory m;
		struct vhost_memory_region r[2];
	} mem = {
		.m.nregions = extra ? 2 : 1,
		.r = {
			{
				.memory_size = MEM_SIZE,
				.userspace_addr = (uintptr_t)v->guest,
			}, {
				.guest_phys_addr = VHOST_EXTRA,
				.memory_size = size,
				.userspace_addr = (uintptr_t)extra,
			},
		},
	};

	return ioctl(v->fd, VHOST_SET_MEM_TABLE, &mem) ? -errno : 0;
}

int vhost_open(struct vhost *v, uint64_t features, int memfd)
{
	int side, err;

	memset(v, 0, sizeof(*v));
	memset(v->kick, -1, sizeof(v->kick));
	memset(v->call, -1, sizeof(v->call));
	v->fd = -1;
	features |= 1ULL << VIRTIO_F_VERSION_1;
	err = open_memory(v, memfd);
	if (err)
		goto err_close;

	v->fd = open("/dev/vhost-net", O_RDWR | O_CLOEXEC);
	if (v->fd < 0 || ioctl(v->fd, VHOST_SET_OWNER) ||
	    ioctl(v->fd, VHOST_SET_FEATURES, &features))
		err = -errno;
	if (!err)
		err = set_memory(v, NULL, 0);
	for (side = 0; !err && side < VHOST_SIDES; side++)
		err = open_vring(v, side);
	if (!err)
		return 0;
err_close:
	vhost_close(v);
	return err;
}

int vhost_add_memory(const struct vhost *v, const void *mem, uint64_t size)
{
	return set_memory(v, mem, size);
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

	close_fd(&v->fd);
	for (side = 0; side < VHOST_SIDES; side++) {
		close_fd(&v->kick[side]);
		close_fd(&v->call[side]);
	}
	if (v->guest)
		munmap(v->guest, MEM_SIZE);
	v->guest = NULL;
	close_fd(&v->memfd);
}

int vhost_backend(const struct vhost *v, int side, int fd)
{
	struct vhost_vring_file file = { .index = side, .fd = fd };

	return ioctl(v->fd, VHOST_NET_SET_BACKEND, &file) ? -errno : 0;
}

static void kick(const struct vhost *v, int side)
{
	/* what was offered before the flag is read: vhost does the reverse */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!(load(&v->vrings[side].used->flags) & VRING_USED_F_NO_NOTIFY))
		eventfd_write(v->kick[side], 1);
}

int vhost_start(const struct vhost *v, int fd)
{
	int side, err = 0;

	for (side = 0; !err && side < VHOST_SIDES; side++) {
		struct vhost_vring_state base = {
			.index = side,
			.num = v->guest->rings[side].base,
		};

		if (ioctl(v->fd, VHOST_SET_VRING_BASE, &base))
			return -errno;
		err = vhost_backend(v, side, fd);
		/* there may be work that nobody kicks for any more */
		eventfd_write(v->kick[side], 1);
	}
	return err;
}

int vhost_stop(const struct vhost *v)
{
	int side, err = 0;

	for (side = 0; !err && side < VHOST_SIDES; side++) {
		struct vhost_vring_state base = { .index = side };

		err = vhost_backend(v, side, -1);
		if (!err && ioctl(v->fd, VHOST_GET_VRING_BASE, &base))
			err = -errno;
		v->guest->rings[side].base = base.num;
	}
	return err;
}

void vhost_recover(const struct vhost *v)
{
	int side;

	/* vhost-net is done with buffers in the order that they were offered. */
	for (side = 0; side < VHOST_SIDES; side++)
		v->guest->rings[side].base = load(&v->vrings[side].used->idx);
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
		offer(v, VHOST_RX, r->free[--r->nfree], VHOST_BUF);
	if (i)
		kick(v, VHOST_RX);
	return i;
}

unsigned int guest_receive(const struct vhost *v, struct tally *t, int queue,
			   bool refill)
{
	struct guest_ring *r = &v->guest->rings[VHOST_RX];
	unsigned int id, len, n;

	for (n = 0; take(v, VHOST_RX, &id, &len); n++) {
		tally_add(t, queue, buf_ptr(v, VHOST_RX, id) + VHOST_HDR,
			  (ssize_t)len - VHOST_HDR);
		r->free[r->nfree++] = id;
	}
	v->guest->received += n;
	if (n && refill)
		guest_offer(v, n);
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
	offer(v, VHOST_TX, id, VHOST_HDR + len);
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
	memset(buf, 0, VHOST_HDR);
	packet_make(buf + VHOST_HDR, flow, seq);
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
