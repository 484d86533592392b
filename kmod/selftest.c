// SPDX-License-Identifier: GPL-2.0
/*
 * Whether this kernel is one that the module can work with.
 */
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/if_tun.h>
#include <linux/net.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <net/sock.h>
#include <net/xdp.h>

#include "internal.h"

/**
 * DOC: the self-test
 *
 * The module goes by things that the kernel promises nobody: where ptr_ring's
 * producers and consumers look, and which operations tun's files and sockets
 * have. What a ring looks like is asserted when the module is built. What it does
 * is tried at load, on one of our own, through the very functions that tun and
 * vhost-net consist of; the driver is looked at by a file of our own, or where
 * there is no /dev/net/tun yet, when its first file is seen. A kernel that differs
 * is refused then, and nothing has been touched.
 */

/*
 * A ring is known whole, field by field: what is in it, and that there is no more.
 */
#define RING_FIELD(field)	(((struct ptr_ring *)0)->field)
#define RING_ASSERT(after, field, type)					\
	static_assert(__same_type(RING_FIELD(field), type) &&		\
		      offsetof(struct ptr_ring, field) ==		\
		      ALIGN(offsetofend(struct ptr_ring, after),	\
			    __alignof__(RING_FIELD(field))),		\
		      "ptr_ring differs from what parking knows")

static_assert(offsetof(struct ptr_ring, producer) == 0 &&
	      __same_type(RING_FIELD(producer), int),
	      "ptr_ring differs from what parking knows");
RING_ASSERT(producer, producer_lock, spinlock_t);
RING_ASSERT(producer_lock, consumer_head, int);
RING_ASSERT(consumer_head, consumer_tail, int);
RING_ASSERT(consumer_tail, consumer_lock, spinlock_t);
RING_ASSERT(consumer_lock, size, int);
RING_ASSERT(size, batch, int);
RING_ASSERT(batch, queue, void **);
static_assert(sizeof(struct ptr_ring) ==
	      ALIGN(offsetofend(struct ptr_ring, queue),
		    __alignof__(struct ptr_ring)),
	      "ptr_ring differs from what parking knows");

/* As long as the batches that consumers clear slots in matter */
#define TRIAL_SIZE	64
#define TRIAL_HOLD	96

/**
 * struct trial - one way of filling a ring, and what it is tried with
 * @before: packets before the park
 * @read: of these, read one by one
 * @taken: and taken as vhost-net does, to be given back after the park
 * @during: packets while it is parked; up to TRIAL_HOLD there is room for
 * @close: then close it, as a limit in bytes does
 * @fold: move what is given back to the others
 * @astray: packets that a consumer past the fence reads; what it finds first is
 *	all that was given back
 */
struct trial {
	unsigned int	before;
	unsigned int	read;
	unsigned int	taken;
	unsigned int	during;
	bool		close;
	bool		fold;
	unsigned int	astray;
};

static const struct trial trials[] __initconst = {
	{ .during = TRIAL_HOLD },
	{ .before = TRIAL_SIZE, .during = 7 },
	{ .before = 50, .read = 21, .during = TRIAL_HOLD - 29 },
	{ .before = 50, .read = 3, .taken = 40, .during = 5 },
	{ .before = TRIAL_SIZE, .taken = 64, .during = TRIAL_HOLD },
	{ .before = TRIAL_SIZE, .taken = 20, .during = 9, .fold = true },
	{ .before = 40, .taken = 40, .during = TRIAL_HOLD, .fold = true },
	{ .before = 9, .during = 4, .close = true },
	{ .before = 50, .taken = 40, .during = 5, .close = true },
	{ .before = 50, .taken = 40, .during = 5, .close = true, .fold = true },
	{ .before = 40, .taken = 1, .during = 5, .astray = 9 },
	{ .before = 40, .taken = 1, .during = 5, .close = true, .astray = 3 },
};

/* Every packet of a trial, in order; never looked into but for its size */
#define TRIAL_PACKETS	(TRIAL_SIZE + TRIAL_HOLD + 1)

struct trial_ring {
	struct ptr_ring		ring;
	struct tapxfer_ring	park;
	struct xdp_frame	packets[TRIAL_PACKETS];
	void			*taken[TRIAL_SIZE];
	unsigned int		produced;
	unsigned int		consumed;
};

static bool __init produce(struct trial_ring *t, unsigned int n)
{
	while (n--) {
		if (ptr_ring_produce(&t->ring,
				     tun_xdp_to_ptr(&t->packets[t->produced])))
			return false;
		t->produced++;
	}
	return true;
}

static bool __init is_next(struct trial_ring *t, void *ptr)
{
	return ptr == tun_xdp_to_ptr(&t->packets[t->consumed++]);
}

/* The next @n packets are the right ones. */
static bool __init consume(struct trial_ring *t, unsigned int n)
{
	while (n--)
		if (!is_next(t, ptr_ring_consume(&t->ring)))
			return false;
	return true;
}

static bool __init is_empty(struct trial_ring *t)
{
	return ptr_ring_empty(&t->ring) && !ptr_ring_consume(&t->ring);
}

/* What does not fit is missed later. */
static void __init drop(void *ptr)
{
}

/* What is to be read and freed of an array is in it. */
static bool __init is_within(const struct trial_ring *t)
{
	const struct ptr_ring *ring = &t->ring;

	return ring->consumer_head >= 0 && ring->consumer_head < ring->size &&
	       ring->consumer_tail >= 0 &&
	       ring->consumer_tail <= ring->consumer_head;
}

/*
 * Each slot of a parked ring has what it shall have, and no other one has
 * anything: fold moves, and unpark might free, what it finds. @back of the @n
 * packets are in the reserve.
 */
static bool __init is_in_place(struct trial_ring *t, unsigned int n,
			       unsigned int back)
{
	unsigned int end = t->park.r_hold + RING_RESERVE;
	unsigned int slots = t->park.r_slots + 2 * RING_RESERVE + 1;
	struct xdp_frame *packet = &t->packets[t->consumed];
	unsigned int head = end - back;
	unsigned int i;
	void *want;

	if (t->ring.queue != t->park.r_array ||
	    t->ring.size != t->park.r_size ||
	    t->ring.consumer_head != head || t->ring.consumer_tail != head)
		return false;
	for (i = 0; i < slots; i++) {
		if (i < n - back)
			want = tun_xdp_to_ptr(packet + back + i);
		else if (i >= head && i < end)
			want = tun_xdp_to_ptr(packet + i - head);
		else
			want = NULL;
		if (t->ring.queue[i] != want)
			return false;
	}
	return true;
}

/* The reserve of a parked ring where a consumer has been. */
static bool __init is_read(const struct trial_ring *t)
{
	unsigned int i;

	if (!is_within(t))
		return false;
	for (i = t->park.r_size; i <= t->park.r_hold + RING_RESERVE; i++)
		if (t->ring.queue[i])
			return false;
	return true;
}

/* Why the trial failed, or NULL. */
static const char * __init try_parked(struct trial_ring *t,
				      const struct trial *trial)
{
	unsigned int n = trial->before - trial->read - trial->taken;

	if (!is_empty(t))
		return "a parked ring gives out packets";
	if (!produce(t, trial->during))
		return "a parked ring does not take packets";
	n += trial->during;
	if (trial->close) {
		tapxfer_ring_close(&t->park);
		if (!is_empty(t))
			return "a closed ring gives out packets";
	}
	if ((trial->close || n == TRIAL_HOLD) && produce(t, 1))
		return "a parked ring takes more packets than it shall";
	if (!is_empty(t))
		return "a parked ring gives out what it has taken";
	if (!is_in_place(t, n, 0))
		return "a parked ring has its packets elsewhere";

	ptr_ring_unconsume(&t->ring, t->taken, trial->taken, drop);
	t->consumed -= trial->taken;
	n += trial->taken;
	if (!is_in_place(t, n, trial->taken))
		return "a parked ring puts elsewhere what is given back";
	if (trial->fold) {
		tapxfer_ring_fold(&t->park);
		if (!is_empty(t) || !is_in_place(t, n, 0))
			return "a parked ring gives out what was given back";
	}
	if (trial->astray && (!consume(t, trial->astray) || !is_read(t)))
		return "a parked ring does not end where it is read";
	return NULL;
}

static const char * __init try_ring(struct trial_ring *t,
				    const struct trial *trial)
{
	unsigned int left = trial->before - trial->read + trial->during -
			    trial->astray;
	unsigned int back = trial->astray ? 0 : trial->taken;
	const char *why;
	int n;

	if (!produce(t, trial->before) || !consume(t, trial->read))
		return "a ring does not work";
	n = ptr_ring_consume_batched(&t->ring, t->taken, trial->taken);
	if (n != trial->taken)
		return "a ring does not give out batches";
	t->consumed += n;
	if (!is_within(t))
		return "a ring's consumers look where there is no slot";

	if (tapxfer_ring_check(&t->park))
		return "a ring has other packets than were put there";
	tapxfer_ring_park(&t->park);
	why = try_parked(t, trial);
	/* An unpark of a ring that differs might free what it finds. */
	if (why)
		return why;
	tapxfer_ring_unpark(&t->park);

	if (t->park.r_held != left || t->park.r_put_back != back)
		return "packets in a parked ring are miscounted";
	if (!consume(t, left) || !is_empty(t))
		return "packets of a parked ring are lost, or in another order";

	if (tapxfer_ring_settle(&t->park, TRIAL_SIZE, TRIAL_SIZE, NULL) ||
	    t->ring.size != TRIAL_SIZE)
		return "a ring does not get its length back";
	t->produced = 0;
	t->consumed = 0;
	if (!produce(t, TRIAL_SIZE) || produce(t, 1) ||
	    !consume(t, TRIAL_SIZE) || !is_empty(t))
		return "a ring that was parked does not work";
	return NULL;
}

/**
 * tapxfer_selftest_ring - try whether rings can be parked
 *
 * Return: 0; -EOPNOTSUPP, and the log says why; or -ENOMEM.
 */
int __init tapxfer_selftest_ring(void)
{
	const char *why = NULL;
	struct trial_ring *t;
	unsigned int i;
	int err = 0;

	t = kvmalloc(sizeof(*t), GFP_KERNEL);
	if (!t)
		return -ENOMEM;
	for (i = 0; !err && !why && i < ARRAY_SIZE(trials); i++) {
		memset(t, 0, sizeof(*t));
		err = ptr_ring_init(&t->ring, TRIAL_SIZE, GFP_KERNEL);
		if (err)
			break;
		err = tapxfer_ring_init(&t->park, &t->ring, TRIAL_SIZE,
					TRIAL_HOLD, NULL, NULL);
		if (!err)
			why = try_ring(t, &trials[i]);
		tapxfer_ring_free(&t->park);
		ptr_ring_cleanup(&t->ring, NULL);
	}
	kvfree(t);
	if (!why)
		return err;
	pr_err("tapxfer: not for this kernel, whose rings differ: %s (trial %u)\n",
	       why, i);
	return -EOPNOTSUPP;
}

/* The operations that the fence replaces, or lets pass, and no others. */
static bool knows_file(const struct file_operations *f_op)
{
	struct file_operations rest;

	if (!f_op->read_iter || !f_op->write_iter || !f_op->poll ||
	    !f_op->unlocked_ioctl || !f_op->show_fdinfo)
		return false;
#ifdef CONFIG_COMPAT
	if (!f_op->compat_ioctl)
		return false;
#endif
	memcpy(&rest, f_op, sizeof(rest));
	rest.owner = NULL;
	rest.llseek = NULL;
	rest.read_iter = NULL;
	rest.write_iter = NULL;
	rest.poll = NULL;
	rest.unlocked_ioctl = NULL;
	rest.compat_ioctl = NULL;
	rest.open = NULL;
	rest.release = NULL;
	rest.fasync = NULL;
	rest.show_fdinfo = NULL;
	return !memchr_inv(&rest, 0, sizeof(rest));
}

/* The same of sendmsg.c. */
static bool knows_socket_ops(const struct proto_ops *ops)
{
	struct proto_ops rest;

	if (!ops->sendmsg || !ops->recvmsg)
		return false;
	memcpy(&rest, ops, sizeof(rest));
	rest.family = 0;
	rest.owner = NULL;
	rest.peek_len = NULL;
	rest.sendmsg = NULL;
	rest.recvmsg = NULL;
	return !memchr_inv(&rest, 0, sizeof(rest));
}

/* From the socket, a queue is found by its file; who sleeps there, on its queue. */
static bool knows_socket(const struct file *file, const struct socket *sock)
{
	struct sock *sk = sock->sk;

	return sock->file == file && sk && sk->sk_socket == sock &&
	       sk_sleep(sk) == &sock->wq.wait && knows_socket_ops(sock->ops);
}

/**
 * tapxfer_selftest_driver - whether tun is as the module knows it
 * @file: a tun file, in no handover
 * @sock: its socket
 *
 * A way to the queue that nothing of ours stands before would make a hole in the
 * fence.
 */
bool tapxfer_selftest_driver(const struct file *file, const struct socket *sock)
{
	if (knows_file(file->f_op) && knows_socket(file, sock))
		return true;
	pr_err_once("tapxfer: not for this kernel, whose tun driver differs\n");
	return false;
}

/**
 * tapxfer_selftest_tun - look at the driver by a file of our own
 *
 * Return: 0, also when there is no such file to be had: then the first one of a
 * handover is looked at. -EOPNOTSUPP, and the log says why.
 */
int __init tapxfer_selftest_tun(void)
{
	struct file *file = filp_open("/dev/net/tun", O_RDWR, 0);
	struct socket *sock;

	if (IS_ERR(file))
		return 0;
	sock = tapxfer_fence_socket(file);
	filp_close(file, NULL);
	return sock == ERR_PTR(-EPROTONOSUPPORT) ? -EOPNOTSUPP : 0;
}
