// SPDX-License-Identifier: GPL-2.0
/*
 * The sockets' sendmsg: what vhost-net sends past the files.
 */
#include <linux/if_tun.h>
#include <linux/list.h>
#include <linux/net.h>
#include <linux/slab.h>
#include <net/xdp.h>

#include "internal.h"

/**
 * DOC: what vhost-net sends
 *
 * vhost-net calls a queue's socket and not its file, so it does not see the
 * fence. From the prepare to the end of a handover each socket's operations are
 * therefore a copy of the driver's, sendmsg replaced. vhost fetches them anew
 * for each call. tun_get_socket() goes by the file's operations, so that a
 * backend can be attached while these are in place.
 *
 * Until the freeze a send is counted as a write is, and passes. From the freeze
 * to the end, also when the file has its own operations again (READY):
 *
 * - a single packet gets EAGAIN, as when the send buffer is full: vhost leaves
 *   the descriptor where it is and waits for EPOLLOUT. There is nobody whom it
 *   should let wait: vhost is the one caller of a tun socket's sendmsg, and
 *   always sends with MSG_DONTWAIT.
 * - a batch (TUN_MSG_PTR) is kept. vhost would free the packets of a batch that
 *   fails, and forget their descriptors. A batch owns its packets' pages, so a
 *   copy of its array is all that is needed, and one is never empty-handed: the
 *   array is less than a page, and the caller, a worker or a process in
 *   an ioctl, may wait for memory as it does for the packets themselves. vhost
 *   makes batches of a run at whose begin sk_sndbuf was INT_MAX, 256 packets or
 *   fewer: before the freeze, or if somebody sets the send buffer through
 *   another file of the device. Past SEND_KEEP_MAX packets the sender sleeps
 *   until the handover ends, and a VMM that stops its vhost waits for it.
 *
 * At the end the kept batches go to the driver, in order, under q_send_lock;
 * only then is the queue open for what comes after them. A batch that arrives
 * meanwhile waits for the lock, and passes behind them.
 *
 * Unhappy paths: a device that is being deleted is down, and the kept packets
 * are freed. A sender who fetched the operations before they were put back
 * finds the socket in no handover and goes straight to the driver: the batches
 * have gone before. Pins and unload are as in the fence. Of a queue with IFF_NAPI
 * that a claimant has detached the driver frees a batch and, from 5.18 on, does not
 * tell: its packets are in no count.
 */

/* What is kept of a queue; a run of vhost's is a quarter of it. */
#define SEND_KEEP_MAX	1024

/**
 * struct send_batch - packets that vhost has sent
 * @b_list: in a queue's q_batches
 * @b_num: number of @b_xdp
 * @b_xdp: each owns a reference to its page, whose head has the tun_xdp_hdr
 */
struct send_batch {
	struct list_head	b_list;
	unsigned int		b_num;
	struct xdp_buff		b_xdp[];
};

/* What vhost gives and the driver takes: an array of these. The whole of each is
 * kept, whichever part of it the driver goes by.
 */
static_assert(TUN_MSG_PTR == 2 &&
	      __same_type(((struct tun_msg_ctl *)0)->type, unsigned short) &&
	      __same_type(((struct tun_msg_ctl *)0)->num, unsigned short) &&
	      __same_type(((struct tun_msg_ctl *)0)->ptr, void *) &&
	      sizeof(struct tun_msg_ctl) == 2 * sizeof(void *),
	      "batches differ from what the fence knows");

/* tun's operations, learnt from the first socket seen, and ours made of them */
static const struct proto_ops *send_tun_ops;
static struct proto_ops send_ops;

static void send_leave(struct tapxfer_queue *q)
{
	if (atomic_dec_and_test(&q->q_writers) &&
	    READ_ONCE(q->q_send_closed))
		wake_up_all(&q->q_ho->ho_wait);
}

/* Count the caller as a writer; false when the queue is closed. */
static bool send_enter(struct tapxfer_queue *q)
{
	/* Not even for a moment, once it is closed: freeze may look. */
	if (READ_ONCE(q->q_send_closed))
		return false;
	atomic_inc(&q->q_writers);
	/* Pairs with the barrier in tapxfer_fence_wait(). */
	smp_mb__after_atomic();
	if (!READ_ONCE(q->q_send_closed))
		return true;
	send_leave(q);
	return false;
}

static bool send_is_batch(const struct msghdr *msg)
{
	const struct tun_msg_ctl *ctl = msg->msg_control;

	return msg->msg_controllen == sizeof(*ctl) && ctl &&
	       ctl->type == TUN_MSG_PTR;
}

static struct send_batch *send_batch_new(const struct tun_msg_ctl *ctl)
{
	struct send_batch *b;

	b = kmalloc(struct_size(b, b_xdp, ctl->num),
		    GFP_KERNEL_ACCOUNT | __GFP_NOFAIL);
	b->b_num = ctl->num;
	memcpy(b->b_xdp, ctl->ptr, array_size(ctl->num, sizeof(b->b_xdp[0])));
	return b;
}

/* The packets as well, as vhost does when the driver refuses a batch. */
static void send_batch_drop(struct send_batch *b)
{
	unsigned int i;

	for (i = 0; i < b->b_num; i++)
		put_page(virt_to_head_page(b->b_xdp[i].data));
}

/* Keep a batch: true; or the queue was opened, or is full. */
static bool send_keep(struct tapxfer_queue *q, const struct tun_msg_ctl *ctl)
{
	/* Not under the lock, for which the end of the handover waits. */
	struct send_batch *b = send_batch_new(ctl);
	bool keep;

	mutex_lock(&q->q_send_lock);
	keep = q->q_send_closed && q->q_batched + b->b_num <= SEND_KEEP_MAX;
	if (keep) {
		list_add_tail(&b->b_list, &q->q_batches);
		WRITE_ONCE(q->q_batched, q->q_batched + b->b_num);
	}
	mutex_unlock(&q->q_send_lock);
	if (!keep)
		kfree(b);
	return keep;
}

/* A message while the queue may be closed. */
static int send_pass(struct tapxfer_queue *q, struct socket *sock,
		     struct msghdr *msg, size_t len)
{
	int ret;

	while (!send_enter(q)) {
		if (!send_is_batch(msg))
			return -EAGAIN;
		if (send_keep(q, msg->msg_control))
			return len;
		/* The deadline is the latest that this ends. */
		wait_event_idle(q->q_ho->ho_wait,
				!READ_ONCE(q->q_send_closed));
	}
	ret = send_tun_ops->sendmsg(sock, msg, len);
	send_leave(q);
	return ret;
}

static int send_sendmsg(struct socket *sock, struct msghdr *msg, size_t len)
{
	struct tapxfer_pass pass;
	int ret;

	tapxfer_fence_enter(&pass, sock->file);
	if (pass.p_queue)
		ret = send_pass(pass.p_queue, sock, msg, len);
	else
		ret = send_tun_ops->sendmsg(sock, msg, len);
	tapxfer_fence_leave(&pass);
	return ret;
}

/**
 * tapxfer_send_learn - take over the operations of a tun socket
 * @sock: the first one seen, which is in no handover
 *
 * Context: one caller at a time, once.
 */
void tapxfer_send_learn(const struct socket *sock)
{
	send_tun_ops = sock->ops;
	send_ops = *sock->ops;
	send_ops.sendmsg = send_sendmsg;
}

/**
 * tapxfer_send_init - a queue is about to be prepared
 * @q: the queue
 */
void tapxfer_send_init(struct tapxfer_queue *q)
{
	mutex_init(&q->q_send_lock);
	INIT_LIST_HEAD(&q->q_batches);
}

/**
 * tapxfer_send_begin - put our sendmsg before the driver's
 * @q: a queue that the fence finds by its file
 *
 * Context: under ho_lock.
 */
void tapxfer_send_begin(struct tapxfer_queue *q)
{
	tapxfer_write_racy(q->q_sk->sk_socket->ops, &send_ops);
}

/**
 * tapxfer_send_close - let nothing pass from here on
 * @q: a queue
 *
 * Those under way are waited for by tapxfer_fence_wait().
 *
 * Context: under ho_lock.
 */
void tapxfer_send_close(struct tapxfer_queue *q)
{
	WRITE_ONCE(q->q_send_closed, true);
}

/* What was kept goes to the driver, or nowhere; then the queue is open. */
static unsigned int send_flush(struct tapxfer_queue *q, bool drop)
{
	struct socket *sock = q->q_sk->sk_socket;
	struct send_batch *b, *next;
	unsigned int dropped = 0;

	mutex_lock(&q->q_send_lock);
	list_for_each_entry_safe(b, next, &q->q_batches, b_list) {
		struct tun_msg_ctl ctl = {
			.type	= TUN_MSG_PTR,
			.num	= b->b_num,
			.ptr	= b->b_xdp,
		};
		struct msghdr msg = {
			.msg_control	= &ctl,
			.msg_controllen	= sizeof(ctl),
			.msg_flags	= MSG_DONTWAIT,
		};

		list_del(&b->b_list);
		if (drop || send_tun_ops->sendmsg(sock, &msg, 0) < 0) {
			send_batch_drop(b);
			dropped += b->b_num;
		}
		kfree(b);
		cond_resched();
	}
	WRITE_ONCE(q->q_send_closed, false);
	mutex_unlock(&q->q_send_lock);
	return dropped;
}

/**
 * tapxfer_send_open - let sends pass again, the kept ones first
 * @q: a queue; it stays in its handover
 *
 * Context: under ho_lock, the fence still up for writers. Wakes nobody.
 */
void tapxfer_send_open(struct tapxfer_queue *q)
{
	/* A live handover's device refuses none. */
	send_flush(q, false);
	WRITE_ONCE(q->q_batched, 0);
}

/**
 * tapxfer_send_end - the same, and give the socket its own operations back
 * @q: a queue whose handover ends, from whatever state
 * @drop: free what was kept, since the device is about to be deleted
 *
 * q_batched goes on to tell how many packets there were.
 *
 * Context: under ho_lock, the fence still up for writers. Wakes nobody.
 * Return: packets that were dropped.
 */
unsigned int tapxfer_send_end(struct tapxfer_queue *q, bool drop)
{
	unsigned int dropped = send_flush(q, drop);

	if (q->q_sk->sk_socket->ops == &send_ops)
		tapxfer_write_racy(q->q_sk->sk_socket->ops, send_tun_ops);
	return dropped;
}
