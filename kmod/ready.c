// SPDX-License-Identifier: GPL-2.0
/*
 * The claimant's way back to traffic: ready, thaw, and a claim that thaws.
 */
#include <linux/rtnetlink.h>
#include <linux/sched/signal.h>
#include <linux/timekeeping.h>

#include "internal.h"

/**
 * DOC: ready
 *
 * A backend that goes by a file's operations, as vhost-net does when it is
 * attached, does not get past the fence, and traffic should not begin before it
 * is attached. ready splits the thaw: it applies what the claimant has set and
 * gives the files their own operations back. What keeps packets back then needs
 * no operations: the rings stay parked, and what a vhost backend had given back
 * is moved out of where an unfenced reader would find it; the sockets' send
 * buffer limit stays zero, and so does the wrapper around their sendmsg.
 *
 * Settings are the driver's affair from then on. The one that must not be made
 * before the thaw is TUNSETSNDBUF: it opens the write side.
 *
 * Unhappy paths: a vhost backend that is stopped only after a shared ready gives
 * its packets back where readers find them and, with them, what is held: whoever
 * shares stops the other backends first. (Exclusive ready is refused while one is
 * attached.) An abort puts back what was exported (see apply.c). The deadline
 * lets traffic go on with the settings that are in force, which nobody can take
 * back without a process's memory; the event names it. When the claimant exits
 * the fence is put up again and the handover is frozen; see shadow.c for the
 * settings.
 */

/* Under ho_lock: @err, or that there is nothing to go on with in @state. */
static int claimant_check(struct tapxfer_handover *ho,
			  enum tapxfer_state state, int err,
			  struct netlink_ext_ack *extack)
{
	int over;

	over = tapxfer_handover_check_live(ho, extack);
	if (!over && ho->ho_state != state) {
		NL_SET_ERR_MSG(extack,
			       "the claimant has exited, claim anew or abort");
		over = -ECANCELED;
	}
	if (!over && err == -ECANCELED)
		NL_SET_ERR_MSG(extack,
			       "the handover is about to end: abort, or deadline");
	return over ?: err;
}

/*
 * What was applied before it failed stays, for the next try or the next claimant: it
 * is no violation, and lets no writer in. Under rtnl and ho_lock.
 */
static void claimant_stopped(struct tapxfer_handover *ho)
{
	unsigned int i;

	if (!tapxfer_is_frozen(ho))
		return;
	for (i = 0; i < ho->ho_nqueues; i++)
		tapxfer_queue_close(&ho->ho_queues[i]);
	tapxfer_violation_look(ho);
}

/*
 * Apply the record and have the claim still. On success rtnl and ho_lock are
 * held, and setters wait for tapxfer_apply_end(). The locks are let go of in
 * between only if there is something to apply: most claimants set what was set.
 */
static int claimant_go_on(struct tapxfer_handover *ho, bool shared,
			  struct netlink_ext_ack *extack)
{
	struct tapxfer_dev_state st = {};
	struct tapxfer_shadow sh;
	int unknown = 0, err = 0;

	if (!shared)
		err = tapxfer_holders_check(ho, NULL, extack);
	/* Traffic has to go on, whether or not the driver can be asked. */
	if (!err)
		unknown = tapxfer_violation_ask(ho, &st, NULL);

	rtnl_lock();
	mutex_lock(&ho->ho_lock);
	err = claimant_check(ho, TAPXFER_STATE_CLAIMED, err, extack);
	if (err)
		goto err_unlock;
	tapxfer_violation_compare(ho, unknown ? NULL : &st);
	if (unknown)
		tapxfer_violation_name(ho, TAPXFER_VIOLATION_SETTINGS);
	if (!tapxfer_apply_begin(ho, &sh))
		return 0;
	mutex_unlock(&ho->ho_lock);
	rtnl_unlock();

	err = tapxfer_apply(ho, &sh, extack);

	rtnl_lock();
	mutex_lock(&ho->ho_lock);
	err = claimant_check(ho, TAPXFER_STATE_CLAIMED, err, extack);
	if (!err) {
		/* Its own changes have been seen as they were made. */
		ho->ho_setter = NULL;
		tapxfer_violation_look(ho);
		return 0;
	}
	claimant_stopped(ho);
	tapxfer_apply_end(ho);
err_unlock:
	mutex_unlock(&ho->ho_lock);
	rtnl_unlock();
	return err;
}

/**
 * tapxfer_ready - let the claimant's settings be the device's, and files be files
 * @ho: the handover, its command begun, claimed
 * @shared: whoever else has the files may keep them
 * @extack: for errors
 *
 * Return: 0; -EBUSY when others hold a file; -ECANCELED when the claim or the
 * handover ended meanwhile, or is about to; or an errno of the driver's.
 */
int tapxfer_ready(struct tapxfer_handover *ho, bool shared,
		  struct netlink_ext_ack *extack)
{
	unsigned int i;
	int err;

	err = claimant_go_on(ho, shared, extack);
	if (err)
		return err;
	/* Whoever ends it may have been kept waiting by the last of the settings. */
	if (ho->ho_shadow.s_stop) {
		err = claimant_check(ho, TAPXFER_STATE_CLAIMED, -ECANCELED,
				     extack);
		goto out;
	}

	for (i = 0; i < ho->ho_nqueues; i++) {
		tapxfer_queue_fold(&ho->ho_queues[i]);
		/* A limit set anew is for the thaw. */
		tapxfer_queue_close(&ho->ho_queues[i]);
	}
	tapxfer_apply_open(ho);
	WRITE_ONCE(ho->ho_fence, 0);
	for (i = 0; i < ho->ho_nqueues; i++)
		tapxfer_fence_lower(&ho->ho_queues[i]);
	WRITE_ONCE(ho->ho_state, TAPXFER_STATE_READY);
	ho->ho_ready_at = ktime_get_ns();
	tapxfer_event(ho, TAPXFER_EVENT_READY);
out:
	tapxfer_apply_end(ho);
	mutex_unlock(&ho->ho_lock);
	rtnl_unlock();
	return err;
}

/**
 * tapxfer_unready - put the fence up again, for the claimant is gone
 * @ho: the handover, ready
 *
 * Context: under ho_lock.
 */
void tapxfer_unready(struct tapxfer_handover *ho)
{
	unsigned int i;

	WRITE_ONCE(ho->ho_fence, TAPXFER_FENCE_READ | TAPXFER_FENCE_WRITE);
	for (i = 0; i < ho->ho_nqueues; i++) {
		tapxfer_fence_raise(&ho->ho_queues[i]);
		tapxfer_queue_close(&ho->ho_queues[i]);
	}
	ho->ho_ready_at = 0;
}

/* The same of a claimant that was ready: its settings are in force. */
static int ready_go_on(struct tapxfer_handover *ho,
		       struct netlink_ext_ack *extack)
{
	int err;

	rtnl_lock();
	mutex_lock(&ho->ho_lock);
	err = claimant_check(ho, TAPXFER_STATE_READY, 0, extack);
	if (!err) {
		tapxfer_violation_look(ho);
		return 0;
	}
	mutex_unlock(&ho->ho_lock);
	rtnl_unlock();
	return err;
}

/**
 * tapxfer_thaw - let traffic go on after a claim
 * @ho: the handover, its command begun, claimed or ready
 * @shared: whoever else has the files may keep them
 * @r: the reply, begun on success
 * @info: the request
 *
 * Return: as tapxfer_ready(); on success the command is done. Who was ready is
 * not asked for other holders again. Only who has set something can be refused
 * for want of memory.
 */
int tapxfer_thaw(struct tapxfer_handover *ho, bool shared,
		 struct tapxfer_reply *r, struct genl_info *info)
{
	bool ready;
	int err;

	mutex_lock(&ho->ho_lock);
	ready = ho->ho_state == TAPXFER_STATE_READY;
	mutex_unlock(&ho->ho_lock);
	err = ready ? ready_go_on(ho, info->extack) :
		      claimant_go_on(ho, shared, info->extack);
	if (err)
		return err;
	tapxfer_end_answer(ho, TAPXFER_EVENT_THAWED, r, info);
	tapxfer_apply_end(ho);
	tapxfer_handover_done_locked(ho);
	mutex_unlock(&ho->ho_lock);
	rtnl_unlock();
	return 0;
}

/**
 * tapxfer_claim_thaw_check - whether a claim can thaw as well
 * @ho: the handover, its command begun, frozen
 * @shared: whoever else has the files may keep them
 * @extack: for errors
 *
 * Before there is a claim: nobody is told of one that there was not.
 *
 * Return: 0; -EPROTO when there are settings to be taken back; or as
 * tapxfer_holders_check().
 */
int tapxfer_claim_thaw_check(struct tapxfer_handover *ho, bool shared,
			     struct netlink_ext_ack *extack)
{
	bool stale;

	/* It is a claimant's end or a command that changes it. */
	mutex_lock(&ho->ho_lock);
	stale = ho->ho_shadow.s_stale;
	mutex_unlock(&ho->ho_lock);
	if (stale) {
		NL_SET_ERR_MSG(extack,
			       "an earlier claimant has left settings, which a thaw takes back: claim, then thaw");
		return -EPROTO;
	}
	return shared ? 0 : tapxfer_holders_check(ho, task_tgid(current),
						  extack);
}

/**
 * tapxfer_claim_thaw - claim, and let traffic go on, in one
 * @ho: the handover, checked, its files in the caller's table
 * @r: the reply, begun; consumed in every case
 * @info: the request
 * @fds: the caller's descriptors, or NULL
 *
 * A claim whose reply cannot be delivered is undone, and an end cannot be: so the
 * reply goes first. There is no record to apply, and nobody who could make one
 * meanwhile.
 *
 * Return: 0, and the command is done; or an errno, as of a claim or the socket, and
 * tapxfer_claim_revoke() has to follow.
 */
int tapxfer_claim_thaw(struct tapxfer_handover *ho, struct tapxfer_reply *r,
		       struct genl_info *info, const int *fds)
{
	int err;

	err = tapxfer_claim_begin(ho, false, info->extack);
	if (err) {
		tapxfer_reply_free(r);
		return err;
	}

	err = tapxfer_fill_thawed(r->skb, ho, fds);
	if (err)
		tapxfer_reply_free(r);
	else
		err = tapxfer_reply_send(r, info);
	if (!err) {
		tapxfer_end_locked(ho, TAPXFER_EVENT_THAWED);
		tapxfer_handover_done_locked(ho);
	}
	mutex_unlock(&ho->ho_lock);
	rtnl_unlock();
	return err;
}
