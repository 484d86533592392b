// SPDX-License-Identifier: GPL-2.0
/*
 * What the host has not let go of yet, of what was written to the queues.
 */
#include <linux/jiffies.h>
#include <linux/sched/signal.h>

#include "internal.h"

/**
 * DOC: unsent packets
 *
 * The driver charges what is written to a queue file to the file's socket, until
 * the packet is freed or somebody in the stack takes it off the writer's account
 * (orphans it). That charge is all that can be seen: a packet that sits in the
 * qdisc of the bridge's other port is seen, one in a local socket's receive queue
 * is not. Documentation/internals.rst has the list.
 *
 * Nobody wakes us when a charge goes down: the driver wakes writers when half of
 * the limit is free, and while frozen the limit is zero. So we look again.
 */
#define UNSENT_PERIOD	msecs_to_jiffies(5)

/**
 * tapxfer_queue_unsent - what the host still has of a queue's packets
 * @q: the queue, its file not let go of
 *
 * Return: bytes of memory.
 */
unsigned int tapxfer_queue_unsent(const struct tapxfer_queue *q)
{
	return max(sk_wmem_alloc_get(q->q_sk), 0);
}

/**
 * tapxfer_unsent - what the host still has of all queues' packets
 * @ho: the handover, under ho_lock or its command begun
 *
 * Return: bytes of memory.
 */
u64 tapxfer_unsent(const struct tapxfer_handover *ho)
{
	unsigned int i;
	u64 sum = 0;

	for (i = 0; i < ho->ho_nqueues; i++)
		if (ho->ho_queues[i].q_file)
			sum += tapxfer_queue_unsent(&ho->ho_queues[i]);
	return sum;
}

static int unsent_check(struct tapxfer_handover *ho,
			struct netlink_ext_ack *extack)
{
	int err;

	mutex_lock(&ho->ho_lock);
	err = tapxfer_handover_check_live(ho, extack);
	mutex_unlock(&ho->ho_lock);
	return err;
}

/**
 * tapxfer_unsent_wait - wait until the host has nothing of the queues any more
 * @ho: a frozen handover, its command begun
 * @timeout_ms: how long to wait; 0 to look once
 * @extack: for errors
 *
 * Return: 0, -ETIMEDOUT, -EINTR on a signal, -ECANCELED when the handover ended
 * meanwhile.
 */
int tapxfer_unsent_wait(struct tapxfer_handover *ho, unsigned int timeout_ms,
			struct netlink_ext_ack *extack)
{
	unsigned long end = jiffies + msecs_to_jiffies(timeout_ms);
	int err;

	for (;;) {
		err = unsent_check(ho, extack);
		if (err)
			return err;
		if (!tapxfer_unsent(ho))
			return 0;
		if (time_after_eq(jiffies, end)) {
			NL_SET_ERR_MSG(extack,
				       "the host still has packets of the queues, see unsent in handover-get: drain again, or go on");
			return -ETIMEDOUT;
		}
		if (signal_pending(current)) {
			NL_SET_ERR_MSG(extack,
				       "a signal came while waiting for the host to let go of packets");
			return -EINTR;
		}
		schedule_timeout_interruptible(UNSENT_PERIOD);
	}
}
