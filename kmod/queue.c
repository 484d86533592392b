// SPDX-License-Identifier: GPL-2.0
/*
 * What is done to one queue: its ring, its socket, its file's flags.
 */
#include <linux/poll.h>

#include "internal.h"
#include "trace.h"

static void queue_full(struct tapxfer_queue *q, enum tapxfer_limit limit)
{
	if (limit)
		trace_tapxfer_full(q, limit);
}

/* A look could not be had: somebody who can wait has it. */
static void queue_look_later(struct tapxfer_queue *q)
{
	struct tapxfer_handover *ho = q->q_ho;

	if (!kref_get_unless_zero(&ho->ho_ref))
		return;
	WRITE_ONCE(q->q_unseen, true);
	if (!queue_work(tapxfer_wq, &ho->ho_look_work))
		tapxfer_handover_put(ho);
}

/**
 * tapxfer_look_work - have the looks that could not be had when packets came
 * @work: ho_look_work, which owns a reference
 */
void tapxfer_look_work(struct work_struct *work)
{
	struct tapxfer_handover *ho = container_of(work, struct tapxfer_handover,
						   ho_look_work);
	unsigned int i, n;

	mutex_lock(&ho->ho_lock);
	n = tapxfer_is_live(ho) ? ho->ho_nqueues : 0;
	for (i = 0; i < n; i++) {
		struct tapxfer_queue *q = &ho->ho_queues[i];

		if (!READ_ONCE(q->q_unseen))
			continue;
		/* What comes from here on and is not seen says so anew. */
		smp_store_mb(q->q_unseen, false);
		tapxfer_queue_sample(q);
	}
	mutex_unlock(&ho->ho_lock);
	tapxfer_handover_put(ho);
}

/*
 * Stands in for sk_data_ready while readers must not be woken. The driver calls
 * it when it has put a packet into the ring, or some of an XDP redirect; it is in
 * an RCU section, which keeps the handover.
 */
static void held_data_ready(struct sock *sk)
{
	void (*ready)(struct sock *sk);
	enum tapxfer_limit limit;
	struct tapxfer_queue *q;
	bool parked = false, again;

	rcu_read_lock();
	q = tapxfer_fence_find(sk->sk_socket->file);
	if (q) {
		parked = tapxfer_ring_look(&q->q_ring, &limit, &again);
		queue_full(q, limit);
		if (again)
			queue_look_later(q);
	}
	rcu_read_unlock();
	if (parked)
		return;

	/* The driver fetched us just before the unpark. Either it is seen here
	 * who is to be told, or the thaw's wakeup comes after the packet.
	 */
	smp_mb();
	ready = READ_ONCE(sk->sk_data_ready);
	if (ready != held_data_ready)
		ready(sk);
}

/**
 * tapxfer_queue_park - hold the packets to a queue
 * @q: a queue whose ring passed tapxfer_ring_check()
 *
 * Context: under rtnl and ho_lock.
 */
void tapxfer_queue_park(struct tapxfer_queue *q)
{
	q->q_data_ready = q->q_sk->sk_data_ready;
	tapxfer_write_racy(q->q_sk->sk_data_ready, held_data_ready);
	tapxfer_ring_park(&q->q_ring);
	trace_tapxfer_park(q);
	queue_full(q, q->q_ring.r_full);
}

/**
 * tapxfer_queue_fold - leave a consumer that passes the fence nothing to find
 * @q: a queue; nothing is done when its ring is not parked
 */
void tapxfer_queue_fold(struct tapxfer_queue *q)
{
	tapxfer_ring_fold(&q->q_ring);
}

/**
 * tapxfer_queue_unpark - let readers at what is held
 * @q: a queue; nothing is done when its ring is not parked
 *
 * Context: under ho_lock. Wakes nobody.
 */
void tapxfer_queue_unpark(struct tapxfer_queue *q)
{
	unsigned int freed;

	if (!q->q_ring.r_parked)
		return;
	freed = tapxfer_ring_unpark(&q->q_ring);
	tapxfer_dev_count_dropped(q->q_ho->ho_dev, freed);
	trace_tapxfer_unpark(q);
	tapxfer_write_racy(q->q_sk->sk_data_ready, q->q_data_ready);
}

/**
 * tapxfer_queue_sample - bring a queue's counts up to date
 * @q: a queue whose file is held
 *
 * What is held and its memory while the ring is parked, what is left of it
 * after.
 *
 * Context: under ho_lock.
 */
void tapxfer_queue_sample(struct tapxfer_queue *q)
{
	queue_full(q, tapxfer_ring_sample(&q->q_ring));
}

/*
 * No limit either, but not the one that vhost makes batches for: it sends a packet
 * at a time then. Anyone can set it, too: q_unbatched says that it is ours.
 */
#define SNDBUF_NO_BATCH	(INT_MAX - 1)

/*
 * Change a limit, if it is @from still; returns what it was. A function, since
 * arm64's cmpxchg() has sparse cast constants to all sizes.
 */
static int sndbuf_change(struct sock *sk, int from, int to)
{
	/* The driver reads it plainly: it gets the old limit or the new one. */
	return data_race(cmpxchg(&sk->sk_sndbuf, from, to));
}

/**
 * tapxfer_queue_unbatch - have vhost begin no more batches
 * @q: a queue whose sends are about to be closed
 *
 * A single packet can be refused, and is sent again; a batch has to be kept. What
 * is in the driver already must not miss its memory: it is waited for.
 *
 * Context: under ho_lock.
 */
void tapxfer_queue_unbatch(struct tapxfer_queue *q)
{
	int sndbuf = sndbuf_change(q->q_sk, INT_MAX, SNDBUF_NO_BATCH);

	/* TUNGETSNDBUF answers from it as soon as the fence is up. */
	WRITE_ONCE(q->q_sndbuf, sndbuf);
	q->q_unbatched = sndbuf == INT_MAX;
}

/**
 * tapxfer_queue_close - leave writers no room
 * @q: a queue
 *
 * For those that came before the prepare, whom the fence did not count: who has
 * not got memory for its packet by now gets none.
 *
 * Context: under ho_lock.
 */
void tapxfer_queue_close(struct tapxfer_queue *q)
{
	/* As in sndbuf_change(). */
	int sndbuf = data_race(xchg(&q->q_sk->sk_sndbuf, 0));

	/* It is closed already but for a limit that was set anew. */
	if (sndbuf && (sndbuf != SNDBUF_NO_BATCH || !q->q_unbatched))
		WRITE_ONCE(q->q_sndbuf, sndbuf);
	q->q_unbatched = false;
}

/**
 * tapxfer_queue_open - give writers their room back
 * @q: a queue; nothing is done when it was not closed
 *
 * Context: under ho_lock.
 */
void tapxfer_queue_open(struct tapxfer_queue *q)
{
	/* A queue attached meanwhile can have set it anew: that one counts. */
	sndbuf_change(q->q_sk, q->q_unbatched ? SNDBUF_NO_BATCH : 0,
		      q->q_sndbuf);
	q->q_unbatched = false;
}

/**
 * tapxfer_queue_wake - wake whoever waits for packets or for room
 * @q: a queue
 *
 * By sleep, poll or SIGIO. Context: under ho_lock, the fence lowered.
 */
void tapxfer_queue_wake(struct tapxfer_queue *q)
{
	struct sock *sk = q->q_sk;
	struct socket_wq *wq;

	rcu_read_lock();
	wq = rcu_dereference(sk->sk_wq);
	if (skwq_has_sleeper(wq))
		wake_up_interruptible_poll(&wq->wait, EPOLLIN | EPOLLRDNORM |
					   EPOLLOUT | EPOLLWRNORM);
	rcu_read_unlock();

	/* tun wakes writers, and sends SIGIO, only when one asked for it. */
	if (sk->sk_socket) {
		set_bit(SOCKWQ_ASYNC_NOSPACE, &sk->sk_socket->flags);
		sk->sk_write_space(sk);
	}
}

/**
 * tapxfer_queue_restore_sndbuf - a queue's send buffer limit as it was frozen
 * @q: a queue that was frozen; tapxfer_queue_open() gives it that limit
 *
 * Context: under ho_lock.
 */
void tapxfer_queue_restore_sndbuf(struct tapxfer_queue *q)
{
	tapxfer_queue_close(q);
	WRITE_ONCE(q->q_sndbuf, q->q_frozen_sndbuf);
}

/**
 * tapxfer_queue_restore_nonblock - O_NONBLOCK as it was frozen
 * @q: a queue that was frozen
 *
 * It is the open file's, and a claimant's fcntl() may have changed it.
 */
void tapxfer_queue_restore_nonblock(struct tapxfer_queue *q)
{
	struct file *file = q->q_file;

	if (!(READ_ONCE(file->f_flags) & O_NONBLOCK) == !q->q_nonblock)
		return;
	spin_lock(&file->f_lock);
	if (q->q_nonblock)
		file->f_flags |= O_NONBLOCK;
	else
		file->f_flags &= ~O_NONBLOCK;
	spin_unlock(&file->f_lock);
}
