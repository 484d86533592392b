// SPDX-License-Identifier: GPL-2.0
/*
 * A handover's way into the freeze, hold and freeze, and its end.
 */
#include <linux/rtnetlink.h>
#include <linux/timekeeping.h>

#include "internal.h"

static int hold_check(struct tapxfer_handover *ho,
		      struct netlink_ext_ack *extack)
{
	unsigned int i;
	int err;

	for (i = 0; i < ho->ho_nqueues; i++) {
		err = tapxfer_ring_check(&ho->ho_queues[i].q_ring);
		if (err == -ENOSPC) {
			NL_SET_ERR_MSG(extack,
				       "a queue has more packets than it shall hold, ask for a larger hold");
			return -EINVAL;
		}
		if (err) {
			NL_SET_ERR_MSG(extack,
				       "the tx queue length grew since the prepare, abort and begin anew");
			return err;
		}
	}
	return 0;
}

/* How many there were; under rtnl */
static u64 holds;

/**
 * tapxfer_hold - park the rings of a prepared handover
 * @ho: the handover, its command begun
 * @extack: for errors
 *
 * Return: 0; or an errno, and nothing was changed.
 */
int tapxfer_hold(struct tapxfer_handover *ho, struct netlink_ext_ack *extack)
{
	unsigned int i;
	int err;

	rtnl_lock();
	mutex_lock(&ho->ho_lock);
	err = tapxfer_handover_check_live(ho, extack);
	if (!err)
		err = tapxfer_check_queues(ho, extack);
	if (!err)
		err = hold_check(ho, extack);
	if (err)
		goto out;

	tapxfer_handover_relieve(ho->ho_dev);
	ho->ho_tx_dropped = tapxfer_dev_tx_dropped(ho->ho_dev);
	WRITE_ONCE(ho->ho_fence, ho->ho_fence | TAPXFER_FENCE_READ);
	for (i = 0; i < ho->ho_nqueues; i++)
		tapxfer_queue_park(&ho->ho_queues[i]);
	WRITE_ONCE(ho->ho_state, TAPXFER_STATE_HOLDING);
	ho->ho_holding_at = ktime_get_ns();
	/* Who drained the rings until now looks for it, without our lock. */
	WRITE_ONCE(ho->ho_hold_nr, ++holds);
	tapxfer_event(ho, TAPXFER_EVENT_HOLDING);
out:
	mutex_unlock(&ho->ho_lock);
	rtnl_unlock();
	return err;
}

static int freeze_raise(struct tapxfer_handover *ho,
			struct netlink_ext_ack *extack)
{
	unsigned int i;
	int err;

	mutex_lock(&ho->ho_lock);
	err = tapxfer_handover_check_live(ho, extack);
	for (i = 0; !err && i < ho->ho_nqueues; i++)
		tapxfer_queue_unbatch(&ho->ho_queues[i]);
	for (i = 0; !err && i < ho->ho_nqueues; i++)
		tapxfer_send_close(&ho->ho_queues[i]);
	if (!err)
		WRITE_ONCE(ho->ho_fence, ho->ho_fence | TAPXFER_FENCE_WRITE);
	mutex_unlock(&ho->ho_lock);
	return err;
}

static int freeze_close(struct tapxfer_handover *ho,
			struct netlink_ext_ack *extack)
{
	unsigned int i;
	int err;

	mutex_lock(&ho->ho_lock);
	err = tapxfer_handover_check_live(ho, extack);
	for (i = 0; !err && i < ho->ho_nqueues; i++)
		tapxfer_queue_close(&ho->ho_queues[i]);
	mutex_unlock(&ho->ho_lock);
	return err;
}

static void freeze_undo(struct tapxfer_handover *ho)
{
	unsigned int i;

	mutex_lock(&ho->ho_lock);
	if (tapxfer_is_live(ho)) {
		/* What vhost has sent meanwhile before what others write. */
		for (i = 0; i < ho->ho_nqueues; i++)
			tapxfer_send_open(&ho->ho_queues[i]);
		/* Who asks for the limit without the fence is to find it. */
		for (i = 0; i < ho->ho_nqueues; i++)
			tapxfer_queue_open(&ho->ho_queues[i]);
		WRITE_ONCE(ho->ho_fence, ho->ho_fence & ~TAPXFER_FENCE_WRITE);
		wake_up_all(&ho->ho_wait);
		for (i = 0; i < ho->ho_nqueues; i++)
			tapxfer_queue_wake(&ho->ho_queues[i]);
	}
	mutex_unlock(&ho->ho_lock);
}

/*
 * Ask the files; not under ho_lock, since tun takes rtnl. Where no queue is
 * detached there is nothing to be asked of @each.
 */
static int freeze_export(struct tapxfer_handover *ho, bool each,
			 struct tapxfer_dev_state *st,
			 struct netlink_ext_ack *extack)
{
	struct tapxfer_scratch scratch;
	unsigned int i;
	int err, over;
	u32 flags = 0;

	err = tapxfer_scratch_get(&scratch, ho->ho_scratch, extack);
	if (err)
		return err;

	err = tapxfer_probe_state(ho->ho_queues[0].q_file, &scratch, st);
	for (i = 0; !err && i < ho->ho_nqueues; i++) {
		struct tapxfer_queue *q = &ho->ho_queues[i];

		if (each)
			err = tapxfer_probe_flags(q->q_file, &scratch, &flags);
		q->q_detached = flags & IFF_DETACH_QUEUE;
		q->q_nonblock = q->q_file->f_flags & O_NONBLOCK;
		q->q_frozen_sndbuf = q->q_sndbuf;
	}
	tapxfer_scratch_put(&scratch);
	if (!err)
		return 0;

	NL_SET_ERR_MSG(extack,
		       "the driver does not tell the state of a queue");
	/* It tells nothing of a device that was deleted meanwhile. */
	mutex_lock(&ho->ho_lock);
	over = tapxfer_handover_check_live(ho, extack);
	mutex_unlock(&ho->ho_lock);
	return over ?: err;
}

static unsigned int freeze_detached(const struct tapxfer_handover *ho)
{
	unsigned int i, detached = 0;

	for (i = 0; i < ho->ho_nqueues; i++)
		detached += ho->ho_queues[i].q_detached;
	return detached;
}

/*
 * What the device tells, and whether these are the queues that were asked: or else
 * one of them has @moved.
 */
static int freeze_check(struct tapxfer_handover *ho,
			struct tapxfer_dev_state *st, bool *moved,
			struct netlink_ext_ack *extack)
{
	int err;

	err = tapxfer_dev_state(ho->ho_dev, ho->ho_info, st);
	err = tapxfer_check_count(ho, err, st->num_queues + st->num_detached,
				  extack);
	*moved = !err && st->num_detached != freeze_detached(ho);
	return *moved ? -EAGAIN : err;
}

static int freeze_commit(struct tapxfer_handover *ho,
			 struct tapxfer_dev_state *st, bool *moved,
			 struct netlink_ext_ack *extack)
{
	int err;

	rtnl_lock();
	mutex_lock(&ho->ho_lock);
	err = tapxfer_handover_check_live(ho, extack);
	if (!err)
		err = freeze_check(ho, st, moved, extack);
	if (!err) {
		st->sndbuf = ho->ho_queues[0].q_sndbuf;
		ho->ho_export = *st;
		tapxfer_violation_base(ho, st);
		WRITE_ONCE(ho->ho_state, TAPXFER_STATE_FROZEN);
		ho->ho_frozen_at = ktime_get_ns();
		tapxfer_event(ho, TAPXFER_EVENT_FROZEN);
	}
	mutex_unlock(&ho->ho_lock);
	rtnl_unlock();
	return err;
}

/*
 * Not all that attaches or detaches a queue was waited for: who called the driver
 * before the prepare is not counted, and may have stalled in its memory since.
 */
static int freeze_look(struct tapxfer_handover *ho,
		       struct netlink_ext_ack *extack)
{
	bool each = ho->ho_detached;
	int err;

	for (;;) {
		struct tapxfer_dev_state st = {};
		bool moved = false;

		err = freeze_export(ho, each, &st, extack);
		if (!err)
			err = freeze_commit(ho, &st, &moved, extack);
		if (!moved)
			return err;
		if (each)
			break;
		/* One was detached since the hold. */
		each = true;
	}
	NL_SET_ERR_MSG(extack,
		       "a queue was attached or detached meanwhile, freeze again");
	return err;
}

/**
 * tapxfer_freeze - close the write side of a holding handover, take its state
 * @ho: the handover, its command begun
 * @timeout_ms: how long to wait for writes and setter ioctls in flight
 * @extack: for errors
 *
 * Return: 0; or an errno, and the handover holds as before, unless it ended
 * meanwhile (-ECANCELED). -EAGAIN when queues are attached or detached by calls
 * that are older than the handover.
 */
int tapxfer_freeze(struct tapxfer_handover *ho, unsigned int timeout_ms,
		   struct netlink_ext_ack *extack)
{
	int err;

	err = freeze_raise(ho, extack);
	if (err)
		return err;

	err = tapxfer_fence_wait(ho, timeout_ms);
	if (err == -ETIMEDOUT)
		NL_SET_ERR_MSG(extack,
			       "a write or ioctl in flight did not end in time, stop the writer");
	else if (err == -EINTR)
		NL_SET_ERR_MSG(extack,
			       "a signal came while waiting for writes in flight");
	else
		err = freeze_close(ho, extack);
	if (!err)
		err = freeze_look(ho, extack);
	if (err)
		freeze_undo(ho);
	return err;
}

/*
 * Let traffic go on. Under ho_lock, from any live state; see the DOC block.
 * Returns how many packets of vhost's were dropped.
 */
static unsigned int handover_lift(struct tapxfer_handover *ho)
{
	/* Then it is down, and this is before the driver's uninit. */
	bool gone = ho->ho_dev->reg_state != NETREG_REGISTERED;
	unsigned int i, dropped = 0;

	/* The rings first: a read that passed a lowered fence would take the
	 * reserve of a parked ring for the whole of it.
	 */
	for (i = 0; i < ho->ho_nqueues; i++)
		tapxfer_queue_unpark(&ho->ho_queues[i]);
	/* What vhost has sent meanwhile before what others write. */
	for (i = 0; i < ho->ho_nqueues; i++)
		dropped += tapxfer_send_end(&ho->ho_queues[i], gone);
	for (i = 0; i < ho->ho_nqueues; i++)
		tapxfer_queue_open(&ho->ho_queues[i]);
	WRITE_ONCE(ho->ho_fence, 0);
	for (i = 0; i < ho->ho_nqueues; i++)
		tapxfer_fence_remove(&ho->ho_queues[i]);

	wake_up_all(&ho->ho_wait);
	for (i = 0; i < ho->ho_nqueues; i++)
		tapxfer_queue_wake(&ho->ho_queues[i]);
	return dropped;
}

static void handover_end(struct tapxfer_handover *ho, enum tapxfer_event event)
{
	bool held = ho->ho_holding_at;
	unsigned int dropped;

	if (event != TAPXFER_EVENT_THAWED) {
		tapxfer_restore_files(ho);
		/* A claimant was ready, or about to be. */
		if (ho->ho_shadow.s_stale)
			ho->ho_violated |= TAPXFER_VIOLATION_SETTINGS;
	}
	dropped = handover_lift(ho);
	ho->ho_ended_at = ktime_get_ns();
	WRITE_ONCE(ho->ho_state, TAPXFER_STATE_DRAINING);
	if (held)
		ho->ho_dropped = dropped +
			tapxfer_drops_since(tapxfer_dev_tx_dropped(ho->ho_dev),
					    ho->ho_tx_dropped);
	tapxfer_claim_drop(ho);
	if (cancel_delayed_work(&ho->ho_deadline_work))
		tapxfer_handover_put(ho);
	tapxfer_event(ho, event);
}

/**
 * tapxfer_end_locked - end a handover that is live
 * @ho: the handover
 * @event: thaw, abort or deadline
 *
 * Context: under ho_lock.
 */
void tapxfer_end_locked(struct tapxfer_handover *ho, enum tapxfer_event event)
{
	handover_end(ho, event);
	tapxfer_drain_start(ho);
}

/**
 * tapxfer_end_answer - the same, and begin to answer who asked for it
 * @ho: the handover
 * @event: thaw or abort
 * @r: the reply, in memory that is there as long as the handover lives
 * @info: the request
 *
 * Context: under ho_lock.
 */
void tapxfer_end_answer(struct tapxfer_handover *ho, enum tapxfer_event event,
			struct tapxfer_reply *r, struct genl_info *info)
{
	/* It has the size of what an end is told with. */
	tapxfer_reply_begin(r, info, ho->ho_answer);
	ho->ho_answer = NULL;
	handover_end(ho, event);
	if (r->skb)
		tapxfer_fill_ended(r->skb, ho);
	tapxfer_drain_start(ho);
}

/**
 * tapxfer_end - end a handover, if it has not ended before
 * @ho: the handover
 * @event: abort
 */
void tapxfer_end(struct tapxfer_handover *ho, enum tapxfer_event event)
{
	mutex_lock(&ho->ho_lock);
	if (tapxfer_is_live(ho))
		tapxfer_end_locked(ho, event);
	mutex_unlock(&ho->ho_lock);
}

/**
 * tapxfer_gone - a device is about to be deleted
 * @ho: a handover, of this device or another
 * @dev: the device
 *
 * Context: under rtnl, before the driver's uninit.
 */
void tapxfer_gone(struct tapxfer_handover *ho, struct net_device *dev)
{
	mutex_lock(&ho->ho_lock);
	if (ho->ho_dev == dev) {
		if (tapxfer_is_live(ho)) {
			handover_end(ho, TAPXFER_EVENT_GONE);
			tapxfer_drain_start(ho);
		}
		tapxfer_handover_put_dev(ho);
	}
	mutex_unlock(&ho->ho_lock);
}

/* Not asleep: there may be as many as the workqueue has room for. */
#define DEADLINE_PERIOD	msecs_to_jiffies(10)

/**
 * tapxfer_deadline - the deadline has passed
 * @work: ho_deadline_work, which owns a reference
 */
void tapxfer_deadline(struct work_struct *work)
{
	struct tapxfer_handover *ho = container_of(to_delayed_work(work),
						   struct tapxfer_handover,
						   ho_deadline_work);
	bool later = false;

	mutex_lock(&ho->ho_lock);
	if (tapxfer_is_live(ho))
		later = tapxfer_apply_stop(ho);
	if (later)
		queue_delayed_work(tapxfer_wq, &ho->ho_deadline_work,
				   DEADLINE_PERIOD);
	else if (tapxfer_is_live(ho))
		/* An abort may have waited too long for rtnl, or its caller. */
		tapxfer_end_locked(ho, ho->ho_aborting ?
				   TAPXFER_EVENT_ABORTED :
				   TAPXFER_EVENT_EXPIRED);
	mutex_unlock(&ho->ho_lock);
	if (!later)
		tapxfer_handover_put(ho);
}
