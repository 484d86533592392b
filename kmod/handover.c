// SPDX-License-Identifier: GPL-2.0
/*
 * A handover: its life, and its way from one state to the next.
 */
#include <linux/module.h>
#include <linux/random.h>
#include <linux/rtnetlink.h>
#include <linux/timekeeping.h>
#include <linux/xarray.h>

#include "internal.h"

/**
 * DOC: the life of a handover
 *
 * ::
 *
 *	prepare -> PREPARED -hold-> HOLDING -freeze-> FROZEN -claim-> CLAIMED
 *	               |               |                 ^  |            |  |
 *	               |               |      claimant   +--|------------+  |
 *	               |               |      exits         |               | thaw
 *	               +---------------+--------- abort ----+---------------+
 *	                                          deadline                  |
 *	                                                                DRAINING
 *
 * 1. prepare.c builds the object while the source runs: everything that can
 *    fail or sleep for long is done here, or is undone without failing.
 * 2. hold parks the rings, all in one rtnl section with the check that the
 *    handover has all of the device's queues.
 * 3. freeze raises the fence for writers, waits for those inside the driver,
 *    sets the sockets' send buffer limit to zero against those that came before
 *    the prepare and were not counted, and takes the state down.
 * 4. claim.c gives the files out.
 * 5. tapxfer_end() lets traffic go on, whatever the reason. It allocates
 *    nothing, asks nobody and cannot fail, since until then nothing was changed
 *    on the device or in its files but the fence, the parking and the limit.
 * 6. drain.c brings the rings back to their length and lets go of the files.
 *
 * Unhappy paths. The deadline, an abort, and the device's end come at any time,
 * from other tasks, and do not wait for a command that is under way: the
 * command finds the state changed when it takes ho_lock again, undoes what it
 * has in its hands, and returns ECANCELED. When the device is deleted the rings
 * are unparked before the driver's uninit, whose purge then frees the packets.
 * The source may be killed at any point: the handover has the files. Nobody
 * need be left at all: the deadline ends the handover, and with the last
 * reference to the files the device goes as it would have gone.
 */

static DEFINE_XARRAY_ALLOC1(handovers);
static u32 handovers_next;

/**
 * tapxfer_handover_alloc - a new handover, not yet to be found by anyone
 * @nqueues: number of its queue files
 *
 * Return: the handover with one reference, busy; or an ERR_PTR().
 */
struct tapxfer_handover *tapxfer_handover_alloc(unsigned int nqueues)
{
	struct tapxfer_handover *ho;

	ho = kvzalloc(struct_size(ho, ho_queues, nqueues), GFP_KERNEL_ACCOUNT);
	if (!ho)
		return ERR_PTR(-ENOMEM);
	ho->ho_info = tapxfer_dev_info_alloc();
	if (!ho->ho_info || !try_module_get(THIS_MODULE)) {
		kfree_skb(ho->ho_info);
		kvfree(ho);
		return ERR_PTR(-ENOMEM);
	}

	kref_init(&ho->ho_ref);
	mutex_init(&ho->ho_lock);
	init_waitqueue_head(&ho->ho_wait);
	INIT_DELAYED_WORK(&ho->ho_deadline_work, tapxfer_deadline);
	INIT_DELAYED_WORK(&ho->ho_drain_work, tapxfer_drain);
	INIT_WORK(&ho->ho_claimant_work, tapxfer_claimant_work);
	get_random_bytes(ho->ho_token, sizeof(ho->ho_token));
	ho->ho_nqueues = nqueues;
	ho->ho_busy = true;
	return ho;
}

static void handover_release(struct kref *ref)
{
	struct tapxfer_handover *ho =
		container_of(ref, struct tapxfer_handover, ho_ref);
	unsigned int i;

	for (i = 0; i < ho->ho_nqueues; i++) {
		tapxfer_ring_free(&ho->ho_queues[i].q_ring);
		if (ho->ho_queues[i].q_file)
			fput(ho->ho_queues[i].q_file);
	}
	netdev_put(ho->ho_dev, &ho->ho_dev_tracker);
	kfree_skb(ho->ho_info);
	memzero_explicit(ho->ho_token, sizeof(ho->ho_token));
	/* The fence and the table of handovers look it up under RCU. */
	kvfree_rcu(ho, ho_rcu);
	module_put(THIS_MODULE);
}

/**
 * tapxfer_handover_put - let go of a handover
 * @ho: from one of the functions that return a reference
 */
void tapxfer_handover_put(struct tapxfer_handover *ho)
{
	kref_put(&ho->ho_ref, handover_release);
}

/**
 * tapxfer_handover_publish - give a handover its number, and let it be found
 * @ho: a handover whose fields are all set
 *
 * Return: 0; the table has a reference of its own then. Or -ENOMEM, -EBUSY.
 */
int tapxfer_handover_publish(struct tapxfer_handover *ho)
{
	int err;

	kref_get(&ho->ho_ref);
	err = xa_alloc_cyclic(&handovers, &ho->ho_id, ho,
			      XA_LIMIT(1, INT_MAX), &handovers_next,
			      GFP_KERNEL_ACCOUNT);
	if (err < 0) {
		tapxfer_handover_put(ho);
		return err;
	}
	return 0;
}

/**
 * tapxfer_handover_unpublish - take a handover out of the table
 * @ho: a handover that was published
 */
void tapxfer_handover_unpublish(struct tapxfer_handover *ho)
{
	xa_erase(&handovers, ho->ho_id);
	tapxfer_handover_put(ho);
}

/**
 * tapxfer_handover_get - look a handover up by its number
 * @id: the number
 *
 * Return: the handover with a reference, or NULL.
 */
struct tapxfer_handover *tapxfer_handover_get(u32 id)
{
	struct tapxfer_handover *ho;

	rcu_read_lock();
	ho = xa_load(&handovers, id);
	if (ho && !kref_get_unless_zero(&ho->ho_ref))
		ho = NULL;
	rcu_read_unlock();
	return ho;
}

/**
 * tapxfer_handover_next - walk over the handovers
 * @id: start with 0; the last number seen
 *
 * Return: the handover with the next higher number, with a reference, or NULL.
 */
struct tapxfer_handover *tapxfer_handover_next(unsigned long *id)
{
	struct tapxfer_handover *ho;

	rcu_read_lock();
	do {
		ho = xa_find_after(&handovers, id, ULONG_MAX, XA_PRESENT);
	} while (ho && !kref_get_unless_zero(&ho->ho_ref));
	rcu_read_unlock();
	return ho;
}

/**
 * tapxfer_handover_on - the live handover of a device
 * @dev: the device
 *
 * Context: under rtnl for an answer that stays true.
 * Return: the handover with a reference, or NULL; those that drain are not
 * live.
 */
struct tapxfer_handover *tapxfer_handover_on(struct net_device *dev)
{
	struct tapxfer_handover *ho;
	unsigned long id = 0;

	/* Not under ho_lock, which callers have of another handover. */
	while ((ho = tapxfer_handover_next(&id))) {
		if (READ_ONCE(ho->ho_dev) == dev && tapxfer_is_live(ho))
			return ho;
		tapxfer_handover_put(ho);
	}
	return NULL;
}

/* Why a command cannot be done in a state; by the state. */
static const char * const handover_not_now[] = {
	[TAPXFER_STATE_PREPARED] = "the handover is only prepared, hold or freeze it first",
	[TAPXFER_STATE_HOLDING] = "the handover is holding, not frozen, freeze it first",
	[TAPXFER_STATE_FROZEN] = "the handover is frozen: claim it, or abort it",
	[TAPXFER_STATE_CLAIMED] = "the handover is claimed: thaw it, or abort it",
};

/**
 * tapxfer_handover_begin - begin a command on a handover
 * @ho: the handover
 * @states: BIT() of each state that the command can be done in
 * @extack: for errors
 *
 * Return: 0, and no other command than an abort gets in before
 * tapxfer_handover_done(); -ENOENT when the handover has ended, -EBUSY while
 * another command is under way, -EPROTO in any other state.
 */
int tapxfer_handover_begin(struct tapxfer_handover *ho, unsigned long states,
			   struct netlink_ext_ack *extack)
{
	int err = 0;

	mutex_lock(&ho->ho_lock);
	if (!tapxfer_is_live(ho)) {
		NL_SET_ERR_MSG(extack, "the handover has ended");
		err = -ENOENT;
	} else if (ho->ho_busy) {
		NL_SET_ERR_MSG(extack,
			       "another command on this handover is under way, try again");
		err = -EBUSY;
	} else if (!(states & BIT(ho->ho_state))) {
		tapxfer_set_err(extack, NULL, handover_not_now[ho->ho_state]);
		err = -EPROTO;
	} else {
		ho->ho_busy = true;
	}
	mutex_unlock(&ho->ho_lock);
	return err;
}

/**
 * tapxfer_handover_done - the command is done, whether it worked or not
 * @ho: the handover
 */
void tapxfer_handover_done(struct tapxfer_handover *ho)
{
	mutex_lock(&ho->ho_lock);
	ho->ho_busy = false;
	mutex_unlock(&ho->ho_lock);
}

/* Under ho_lock, each time that a command has taken it again. */
static int handover_check_live(struct tapxfer_handover *ho,
			       struct netlink_ext_ack *extack)
{
	if (tapxfer_is_live(ho))
		return 0;
	NL_SET_ERR_MSG(extack,
		       "the handover ended meanwhile: abort, deadline, or device deleted");
	return -ECANCELED;
}

/**
 * tapxfer_check_queues - whether a handover has all queues of its device
 * @ho: the handover
 * @extack: for errors
 *
 * Context: under rtnl, which keeps the number as it is, and ho_lock.
 * Return: 0, -ESTALE, or an errno of the driver's.
 */
int tapxfer_check_queues(struct tapxfer_handover *ho,
			 struct netlink_ext_ack *extack)
{
	unsigned int enabled, detached;
	int err;

	ASSERT_RTNL();
	err = tapxfer_dev_counts(ho->ho_dev, ho->ho_info, &enabled, &detached);
	if (err) {
		NL_SET_ERR_MSG(extack,
			       "the driver does not tell the device's queues");
		return err;
	}
	if (enabled + detached != ho->ho_nqueues) {
		NL_SET_ERR_MSG(extack,
			       "a queue was opened or closed since the prepare, abort and begin anew");
		return -ESTALE;
	}
	return 0;
}

/**
 * tapxfer_restore_files - take back what a claimant did to the open files
 * @ho: the handover; nothing is done when it was never frozen
 *
 * Context: under ho_lock.
 */
void tapxfer_restore_files(struct tapxfer_handover *ho)
{
	unsigned int i;

	if (!ho->ho_frozen_at)
		return;
	for (i = 0; i < ho->ho_nqueues; i++)
		tapxfer_queue_restore_nonblock(&ho->ho_queues[i]);
}

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
	err = handover_check_live(ho, extack);
	if (!err)
		err = tapxfer_check_queues(ho, extack);
	if (!err)
		err = hold_check(ho, extack);
	if (err)
		goto out;

	ho->ho_tx_dropped = tapxfer_dev_tx_dropped(ho->ho_dev);
	WRITE_ONCE(ho->ho_fence, ho->ho_fence | TAPXFER_FENCE_READ);
	for (i = 0; i < ho->ho_nqueues; i++)
		tapxfer_queue_park(&ho->ho_queues[i]);
	ho->ho_state = TAPXFER_STATE_HOLDING;
	ho->ho_holding_at = ktime_get_ns();
	tapxfer_event(ho, TAPXFER_EVENT_HOLDING);
out:
	mutex_unlock(&ho->ho_lock);
	rtnl_unlock();
	return err;
}

static int freeze_raise(struct tapxfer_handover *ho,
			struct netlink_ext_ack *extack)
{
	int err;

	mutex_lock(&ho->ho_lock);
	err = handover_check_live(ho, extack);
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
	err = handover_check_live(ho, extack);
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
		WRITE_ONCE(ho->ho_fence, ho->ho_fence & ~TAPXFER_FENCE_WRITE);
		for (i = 0; i < ho->ho_nqueues; i++)
			tapxfer_queue_open(&ho->ho_queues[i]);
		wake_up_all(&ho->ho_wait);
		for (i = 0; i < ho->ho_nqueues; i++)
			tapxfer_queue_wake(&ho->ho_queues[i]);
	}
	mutex_unlock(&ho->ho_lock);
}

/* Ask the files; not under ho_lock, since tun takes rtnl. */
static int freeze_export(struct tapxfer_handover *ho,
			 struct tapxfer_dev_state *st,
			 struct netlink_ext_ack *extack)
{
	struct tapxfer_scratch scratch;
	unsigned int i;
	u32 flags;
	int err;

	err = tapxfer_scratch_get(&scratch, extack);
	if (err)
		return err;

	err = tapxfer_probe_state(ho->ho_queues[0].q_file, &scratch, st);
	for (i = 0; !err && i < ho->ho_nqueues; i++) {
		struct tapxfer_queue *q = &ho->ho_queues[i];

		err = tapxfer_probe_flags(q->q_file, &scratch, &flags);
		q->q_detached = flags & IFF_DETACH_QUEUE;
		q->q_nonblock = q->q_file->f_flags & O_NONBLOCK;
	}
	if (err)
		NL_SET_ERR_MSG(extack,
			       "the driver does not tell the state of a queue");

	tapxfer_scratch_put(&scratch);
	return err;
}

static int freeze_commit(struct tapxfer_handover *ho,
			 struct tapxfer_dev_state *st,
			 struct netlink_ext_ack *extack)
{
	int err;

	rtnl_lock();
	mutex_lock(&ho->ho_lock);
	err = handover_check_live(ho, extack);
	if (!err)
		err = tapxfer_check_queues(ho, extack);
	if (!err)
		err = tapxfer_dev_state(ho->ho_dev, ho->ho_info, st);
	if (!err) {
		st->sndbuf = ho->ho_queues[0].q_sndbuf;
		ho->ho_export = *st;
		ho->ho_state = TAPXFER_STATE_FROZEN;
		ho->ho_frozen_at = ktime_get_ns();
		tapxfer_event(ho, TAPXFER_EVENT_FROZEN);
	}
	mutex_unlock(&ho->ho_lock);
	rtnl_unlock();
	return err;
}

/**
 * tapxfer_freeze - close the write side of a holding handover, take its state
 * @ho: the handover, its command begun
 * @timeout_ms: how long to wait for writes and setter ioctls in flight
 * @extack: for errors
 *
 * Return: 0; or an errno, and the handover holds as before, unless it ended
 * meanwhile (-ECANCELED).
 */
int tapxfer_freeze(struct tapxfer_handover *ho, unsigned int timeout_ms,
		   struct netlink_ext_ack *extack)
{
	struct tapxfer_dev_state st = {};
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
		err = freeze_export(ho, &st, extack);
	if (!err)
		err = freeze_commit(ho, &st, extack);
	if (err)
		freeze_undo(ho);
	return err;
}

/* Let traffic go on. Under ho_lock, from any live state; see the DOC block. */
static void handover_lift(struct tapxfer_handover *ho)
{
	unsigned int i;

	/* The rings first: a read that passed a lowered fence would take the
	 * reserve of a parked ring for the whole of it.
	 */
	for (i = 0; i < ho->ho_nqueues; i++)
		tapxfer_queue_unpark(&ho->ho_queues[i]);
	for (i = 0; i < ho->ho_nqueues; i++)
		tapxfer_queue_open(&ho->ho_queues[i]);
	WRITE_ONCE(ho->ho_fence, 0);
	for (i = 0; i < ho->ho_nqueues; i++)
		tapxfer_fence_remove(&ho->ho_queues[i]);

	wake_up_all(&ho->ho_wait);
	for (i = 0; i < ho->ho_nqueues; i++)
		tapxfer_queue_wake(&ho->ho_queues[i]);
}

static void handover_end(struct tapxfer_handover *ho, enum tapxfer_event event)
{
	bool held = ho->ho_holding_at;

	if (event != TAPXFER_EVENT_THAWED)
		tapxfer_restore_files(ho);
	handover_lift(ho);
	ho->ho_ended_at = ktime_get_ns();
	WRITE_ONCE(ho->ho_state, TAPXFER_STATE_DRAINING);
	if (held)
		ho->ho_dropped = tapxfer_dev_tx_dropped(ho->ho_dev) -
				 ho->ho_tx_dropped;
	tapxfer_claim_drop(ho);
	if (cancel_delayed_work(&ho->ho_deadline_work))
		tapxfer_handover_put(ho);
	tapxfer_event(ho, event);
}

/**
 * tapxfer_end - end a handover: the thaw, an abort, or the deadline
 * @ho: the handover
 * @event: which
 *
 * Return: false when it had ended before.
 */
bool tapxfer_end(struct tapxfer_handover *ho, enum tapxfer_event event)
{
	bool live;

	mutex_lock(&ho->ho_lock);
	live = tapxfer_is_live(ho);
	if (live) {
		handover_end(ho, event);
		tapxfer_drain_start(ho);
	}
	mutex_unlock(&ho->ho_lock);
	return live;
}

/**
 * tapxfer_thaw - let traffic go on after a claim
 * @ho: the handover, its command begun
 * @extack: for errors
 *
 * Return: 0, or -ECANCELED when the claim or the handover ended meanwhile.
 */
int tapxfer_thaw(struct tapxfer_handover *ho, struct netlink_ext_ack *extack)
{
	int err;

	mutex_lock(&ho->ho_lock);
	err = handover_check_live(ho, extack);
	if (!err && ho->ho_state != TAPXFER_STATE_CLAIMED) {
		NL_SET_ERR_MSG(extack,
			       "the claimant has exited, claim anew or abort");
		err = -ECANCELED;
	}
	if (!err) {
		handover_end(ho, TAPXFER_EVENT_THAWED);
		tapxfer_drain_start(ho);
	}
	mutex_unlock(&ho->ho_lock);
	return err;
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
		netdev_put(ho->ho_dev, &ho->ho_dev_tracker);
		WRITE_ONCE(ho->ho_dev, NULL);
	}
	mutex_unlock(&ho->ho_lock);
}

/**
 * tapxfer_deadline - the deadline has passed
 * @work: ho_deadline_work, which owns a reference
 */
void tapxfer_deadline(struct work_struct *work)
{
	struct tapxfer_handover *ho = container_of(to_delayed_work(work),
						   struct tapxfer_handover,
						   ho_deadline_work);

	tapxfer_end(ho, TAPXFER_EVENT_EXPIRED);
	tapxfer_handover_put(ho);
}
