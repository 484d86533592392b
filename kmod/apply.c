// SPDX-License-Identifier: GPL-2.0
/*
 * Settings applied: what a claimant has recorded, or what was exported.
 */
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <linux/uaccess.h>

#include "internal.h"

/**
 * DOC: applying settings
 *
 * ready, or thaw, applies the record (shadow.c) through the driver's own ioctls,
 * in the context and with the rights of its caller.
 *
 * An abort after ready gives the device what was exported before it lets traffic
 * go on, in the memory of whoever aborts. It never depends on that: where it
 * does not work, or another command is under way, the settings stay and the event
 * names it; a second abort waits no longer than one of a record that is being
 * applied, see below; and the deadline is drawn near, so that traffic goes on within
 * two seconds even if the caller stalls in its own memory, or somebody keeps rtnl.
 * The deadline itself has no process's memory to do it in.
 *
 * Most claimants set what was set. What is no different from what was exported is
 * not applied, nor are the queues asked one by one where none shall move; but once
 * anything was seen to differ, who knows what the device has: then all that was
 * recorded is.
 *
 * Unhappy paths: an attach can fail in the driver, so queues come first, and are
 * put back when one fails; what cannot be put back is named at the end of the
 * claim, and set anew by the next thaw. The rest can fail only when the caller's
 * memory goes away under the ioctl. A setter that comes while the record is being
 * applied waits, and is then the driver's or the record's.
 *
 * When an abort, the deadline or the claimant's exit comes while a record is being
 * applied, what has not been by then is not any more: each step looks, after it has
 * waited for rtnl, which others may keep for long. The ioctl that is on its way to
 * the driver by then gets through, and might reach it when the device's next handover
 * is frozen. If it detaches a queue the driver purges what is in the ring, and only a
 * parked one looks empty to it. So an abort, or the deadline, comes when the driver
 * has answered, and queues that were on their way are back where they were. But it
 * waits for a second at most, since who asks may stall in its memory; and an abort
 * does not that is not the last message of its datagram (see
 * tapxfer_request_may_wait()). Who puts queues back later than that may find the next
 * handover, and is kept out by its fence; but for an ioctl that was in the driver by
 * then, and once that handover, too, has ended. A thaw whose last setting is made may
 * yet be the end.
 */

/* How long an end waits for who asks the driver */
#define ASKING_TIME	HZ

/* Whether the claim, or what shall be restored, is not over. Under ho_lock. */
static bool apply_is_on(const struct tapxfer_handover *ho)
{
	return ho->ho_state == ho->ho_shadow.s_state && !ho->ho_shadow.s_stop;
}

/*
 * The same of who is about to ask the driver. Whoever ends it from here on sees
 * that @stale may be in force, and waits, until apply_asked().
 */
static bool apply_go_on(struct tapxfer_handover *ho, unsigned long stale)
{
	bool go_on;

	/* Wait here, and not in the driver, where an end is not seen. */
	rtnl_lock();
	mutex_lock(&ho->ho_lock);
	go_on = apply_is_on(ho);
	if (go_on) {
		ho->ho_shadow.s_stale |= stale;
		WRITE_ONCE(ho->ho_shadow.s_asking, true);
	}
	mutex_unlock(&ho->ho_lock);
	rtnl_unlock();
	return go_on;
}

/* Nothing is on its way any more. Under ho_lock. */
static void apply_asked_locked(struct tapxfer_handover *ho)
{
	if (!ho->ho_shadow.s_asking)
		return;
	WRITE_ONCE(ho->ho_shadow.s_asking, false);
	if (ho->ho_shadow.s_stop)
		wake_up_all(&ho->ho_wait);
}

static void apply_asked(struct tapxfer_handover *ho)
{
	mutex_lock(&ho->ho_lock);
	apply_asked_locked(ho);
	mutex_unlock(&ho->ho_lock);
}

/**
 * tapxfer_apply_stop - an end is coming: nothing else is to be applied
 * @ho: the handover, live
 *
 * Context: under ho_lock.
 * Return: whether the end had better come later, since the driver is being asked;
 * false after a second at the latest.
 */
bool tapxfer_apply_stop(struct tapxfer_handover *ho)
{
	struct tapxfer_shadow *sh = &ho->ho_shadow;

	if (!sh->s_stop) {
		sh->s_stop = true;
		sh->s_stop_until = jiffies + ASKING_TIME;
	}
	return sh->s_asking && time_before(jiffies, sh->s_stop_until);
}

/**
 * tapxfer_apply_stop_wait - the same, and wait until the end can come
 * @ho: the handover; nothing is done when it has ended
 *
 * Context: process, under no lock; sleeps for a second at most.
 */
void tapxfer_apply_stop_wait(struct tapxfer_handover *ho)
{
	long left = 0;

	mutex_lock(&ho->ho_lock);
	if (tapxfer_is_live(ho) && tapxfer_apply_stop(ho))
		left = ho->ho_shadow.s_stop_until - jiffies;
	mutex_unlock(&ho->ho_lock);
	if (left > 0)
		wait_event_timeout(ho->ho_wait,
				   !READ_ONCE(ho->ho_shadow.s_asking), left);
}

static int move_ask(bool detach, const struct tapxfer_scratch *scratch)
{
	struct ifreq ifr = {
		.ifr_flags = detach ? IFF_DETACH_QUEUE : IFF_ATTACH_QUEUE,
	};

	if (copy_to_user((void __user *)scratch->addr, &ifr, sizeof(ifr)))
		return -EFAULT;
	return 0;
}

static int move_queue(struct tapxfer_queue *q, bool detach, bool back,
		      const struct tapxfer_scratch *scratch)
{
	u32 flags;
	int err;

	if (READ_ONCE(q->q_hashed)) {
		/* The driver's purge would find what a vhost backend gave back. */
		tapxfer_queue_fold(q);
		err = tapxfer_fence_tun_ioctl(q->q_file, TUNSETQUEUE,
					      scratch->addr);
	} else if (back) {
		/* It has ended meanwhile: the file may be in the next one. */
		err = tapxfer_fence_set(q->q_file, TUNSETQUEUE, scratch->addr);
	} else {
		return -ECANCELED;
	}

	/* With a socket filter the driver says that it attached a queue when it
	 * did not, and the other way round.
	 */
	if (tapxfer_probe_flags(q->q_file, scratch, &flags))
		return err;
	if (detach == !!(flags & IFF_DETACH_QUEUE))
		return 0;
	return err ?: -EIO;
}

/* Move one queue to where it shall be; 1 when it had to be moved. */
static int apply_queue(struct tapxfer_queue *q,
		       const struct tapxfer_scratch *scratch)
{
	u32 flags;
	int err;

	err = tapxfer_probe_flags(q->q_file, scratch, &flags);
	if (err)
		return err;
	if (q->q_shadow_detached == !!(flags & IFF_DETACH_QUEUE))
		return 0;
	/* Who stalls here does so before the last look whether to go on. */
	err = move_ask(q->q_shadow_detached, scratch);
	if (err)
		return err;
	if (!apply_go_on(q->q_ho, TAPXFER_SHADOW_QUEUES))
		return -ECANCELED;
	return move_queue(q, q->q_shadow_detached, false, scratch) ?: 1;
}

/*
 * Back to where they were, also when the claim is over: then all the more so.
 * That takes the caller's memory, which may have gone: then what is in force is
 * not what was exported, and stays named.
 */
static void undo_queues(struct tapxfer_handover *ho, unsigned int n,
			const struct tapxfer_shadow *sh,
			const struct tapxfer_scratch *scratch)
{
	bool undone = true;

	if (!(sh->s_set & TAPXFER_SHADOW_QUEUES))
		return;
	while (n--) {
		struct tapxfer_queue *q = &ho->ho_queues[n];

		if (q->q_moved &&
		    (move_ask(!q->q_shadow_detached, scratch) ||
		     move_queue(q, !q->q_shadow_detached, true, scratch)))
			undone = false;
		q->q_moved = false;
	}
	mutex_lock(&ho->ho_lock);
	if (undone && !(sh->s_stale & TAPXFER_SHADOW_QUEUES))
		ho->ho_shadow.s_stale &= ~TAPXFER_SHADOW_QUEUES;
	apply_asked_locked(ho);
	mutex_unlock(&ho->ho_lock);
}

static int apply_queues(struct tapxfer_handover *ho,
			const struct tapxfer_shadow *sh,
			const struct tapxfer_scratch *scratch)
{
	unsigned int i;
	int err;

	if (!(sh->s_set & TAPXFER_SHADOW_QUEUES))
		return 0;
	for (i = 0; i < ho->ho_nqueues; i++) {
		err = apply_queue(&ho->ho_queues[i], scratch);
		ho->ho_queues[i].q_moved = err > 0;
		if (err < 0) {
			undo_queues(ho, i, sh, scratch);
			return err;
		}
	}
	return 0;
}

static int apply_ioctl(struct tapxfer_handover *ho, unsigned int cmd,
		       unsigned long arg)
{
	int err;

	if (!apply_go_on(ho, 0))
		return -ECANCELED;
	err = tapxfer_fence_tun_ioctl(ho->ho_queues[0].q_file, cmd, arg);
	apply_asked(ho);
	return err;
}

static int apply_int(struct tapxfer_handover *ho, unsigned int cmd, int val,
		     const struct tapxfer_scratch *scratch)
{
	if (copy_to_user((void __user *)scratch->addr, &val, sizeof(val)))
		return -EFAULT;
	return apply_ioctl(ho, cmd, scratch->addr);
}

static int apply_device(struct tapxfer_handover *ho,
			const struct tapxfer_shadow *sh,
			const struct tapxfer_scratch *scratch)
{
	int err = 0;

	if (sh->s_set & TAPXFER_SHADOW_HDR_SZ)
		err = apply_int(ho, TUNSETVNETHDRSZ, sh->s_hdr_sz, scratch);
	if (!err && (sh->s_set & TAPXFER_SHADOW_LE))
		err = apply_int(ho, TUNSETVNETLE, sh->s_le, scratch);
	if (!err && (sh->s_set & TAPXFER_SHADOW_BE))
		err = apply_int(ho, TUNSETVNETBE, sh->s_be, scratch);
	if (!err && (sh->s_set & TAPXFER_SHADOW_NO_STEERING))
		err = apply_int(ho, TUNSETSTEERINGEBPF, -1, scratch);
	if (!err && (sh->s_set & TAPXFER_SHADOW_NO_FILTER))
		err = apply_int(ho, TUNSETFILTEREBPF, -1, scratch);
	if (!err && (sh->s_set & TAPXFER_SHADOW_SNDBUF))
		err = apply_int(ho, TUNSETSNDBUF, sh->s_sndbuf, scratch);
	if (!err && (sh->s_set & TAPXFER_SHADOW_OFFLOADS))
		err = apply_ioctl(ho, TUNSETOFFLOAD, sh->s_offloads);
	return err;
}

static bool moves_queues(const struct tapxfer_handover *ho)
{
	unsigned int i;

	for (i = 0; i < ho->ho_nqueues; i++) {
		const struct tapxfer_queue *q = &ho->ho_queues[i];

		if (q->q_shadow_detached != q->q_detached)
			return true;
	}
	return false;
}

/* As the driver sets it: with the attached queues. */
static bool has_sndbuf(const struct tapxfer_handover *ho, int sndbuf)
{
	unsigned int i;

	for (i = 0; i < ho->ho_nqueues; i++) {
		const struct tapxfer_queue *q = &ho->ho_queues[i];

		if (!q->q_shadow_detached && q->q_frozen_sndbuf != sndbuf)
			return false;
	}
	return true;
}

/* What was recorded and is what the device has. Under rtnl and ho_lock. */
static unsigned long apply_same(const struct tapxfer_handover *ho,
				const struct tapxfer_shadow *sh)
{
	const struct tapxfer_dev_state *st = &ho->ho_export;
	unsigned long same = 0;

	if (sh->s_hdr_sz == (int)st->vnet_hdr_sz)
		same |= TAPXFER_SHADOW_HDR_SZ;
	if (sh->s_le == st->vnet_le)
		same |= TAPXFER_SHADOW_LE;
	if (st->has_vnet_be && sh->s_be == st->vnet_be)
		same |= TAPXFER_SHADOW_BE;
	if (has_sndbuf(ho, sh->s_sndbuf))
		same |= TAPXFER_SHADOW_SNDBUF;
	if ((sh->s_set & TAPXFER_SHADOW_OFFLOADS) &&
	    tapxfer_dev_offloads_are(ho->ho_dev, sh->s_offloads))
		same |= TAPXFER_SHADOW_OFFLOADS;
	return same;
}

/**
 * tapxfer_apply_begin - make setters wait
 * @ho: the handover, its command begun, claimed, and compared with its device
 * @sh: what has to be applied of the record goes there
 *
 * Until tapxfer_apply_end(), which must follow.
 *
 * Context: under rtnl and ho_lock.
 * Return: whether there is anything to apply.
 */
bool tapxfer_apply_begin(struct tapxfer_handover *ho,
			 struct tapxfer_shadow *sh)
{
	bool moves = moves_queues(ho);

	*sh = ho->ho_shadow;
	if (!ho->ho_violated && !sh->s_stale)
		sh->s_set &= ~apply_same(ho, sh);
	else if (sh->s_set || sh->s_stale)
		moves = true;
	if (moves)
		sh->s_set |= TAPXFER_SHADOW_QUEUES;
	/* What changes by this task's hand is no violation. */
	if (sh->s_set)
		ho->ho_setter = current;
	ho->ho_shadow.s_own = sh->s_set;
	ho->ho_shadow.s_state = TAPXFER_STATE_CLAIMED;
	WRITE_ONCE(ho->ho_shadow.s_applying, true);
	return sh->s_set;
}

/*
 * Something of the record stays with the device from here on: whoever ends the
 * claim sees that. False when it is over.
 */
static bool apply_commit(struct tapxfer_handover *ho,
			 const struct tapxfer_shadow *sh)
{
	bool claimed;

	mutex_lock(&ho->ho_lock);
	claimed = apply_is_on(ho);
	if (claimed) {
		ho->ho_shadow.s_stale |= sh->s_set;
		apply_asked_locked(ho);
	}
	mutex_unlock(&ho->ho_lock);
	return claimed;
}

/**
 * tapxfer_apply - give the device what was recorded
 * @ho: the handover, its command begun
 * @sh: from tapxfer_apply_begin()
 * @extack: for errors
 *
 * Context: in the calling process, whose memory is used; takes rtnl.
 * Return: 0 or an errno; -ECANCELED when the claim ended meanwhile.
 */
int tapxfer_apply(struct tapxfer_handover *ho, const struct tapxfer_shadow *sh,
		  struct netlink_ext_ack *extack)
{
	struct tapxfer_scratch scratch;
	int err;

	err = tapxfer_scratch_get(&scratch, ho->ho_scratch, extack);
	if (err)
		return err;

	err = apply_queues(ho, sh, &scratch);
	if (err) {
		NL_SET_ERR_MSG(extack,
			       "the driver does not attach or detach a queue as the claimant asked, abort");
	} else if (!apply_commit(ho, sh)) {
		undo_queues(ho, ho->ho_nqueues, sh, &scratch);
		err = -ECANCELED;
	} else {
		err = apply_device(ho, sh, &scratch);
		if (err)
			NL_SET_ERR_MSG(extack,
				       "the driver does not take the claimant's settings, abort");
	}
	tapxfer_scratch_put(&scratch);
	return err;
}

/**
 * tapxfer_apply_open - the claimant goes on with settings past the record
 * @ho: the handover, about to be ready
 *
 * Context: under ho_lock.
 */
void tapxfer_apply_open(struct tapxfer_handover *ho)
{
	ho->ho_shadow.s_stale |= TAPXFER_SHADOW_HDR_SZ | TAPXFER_SHADOW_LE |
				 TAPXFER_SHADOW_OFFLOADS |
				 TAPXFER_SHADOW_SNDBUF | TAPXFER_SHADOW_QUEUES;
	if (ho->ho_export.has_vnet_be)
		ho->ho_shadow.s_stale |= TAPXFER_SHADOW_BE;
}

/**
 * tapxfer_apply_end - let setters go on
 * @ho: the handover
 *
 * Context: under ho_lock.
 */
void tapxfer_apply_end(struct tapxfer_handover *ho)
{
	ho->ho_setter = NULL;
	WRITE_ONCE(ho->ho_shadow.s_applying, false);
	wake_up_all(&ho->ho_wait);
}

/* The deadline, but no later than in a second. Under ho_lock. */
static void restore_hurry(struct tapxfer_handover *ho)
{
	long left = ho->ho_deadline_work.timer.expires - jiffies;

	/* It keeps its reference. */
	if (cancel_delayed_work(&ho->ho_deadline_work))
		queue_delayed_work(tapxfer_wq, &ho->ho_deadline_work,
				   clamp_t(long, left, 0, HZ));
}

static bool restore_begin(struct tapxfer_handover *ho,
			  struct tapxfer_shadow *sh)
{
	bool any;

	mutex_lock(&ho->ho_lock);
	any = tapxfer_is_frozen(ho) && ho->ho_shadow.s_stale &&
	      !ho->ho_busy && !ho->ho_shadow.s_stop;
	if (any) {
		WRITE_ONCE(ho->ho_busy, true);
		ho->ho_aborting = true;
		restore_hurry(ho);
		/* Nobody else is to set anything from here on. */
		tapxfer_claim_take_back(ho);
		tapxfer_shadow_begin(ho);
		*sh = ho->ho_shadow;
		ho->ho_setter = current;
		ho->ho_shadow.s_own = sh->s_set | TAPXFER_SHADOW_QUEUES;
		ho->ho_shadow.s_state = TAPXFER_STATE_FROZEN;
		WRITE_ONCE(ho->ho_shadow.s_applying, true);
	}
	mutex_unlock(&ho->ho_lock);
	return any;
}

/*
 * All queues that can be: one does not have to fail for another, and none goes
 * back to where the claimant had it. That would be a detach of a queue with held
 * packets, which the driver purges if they are let go by then.
 */
static int restore_queues(struct tapxfer_handover *ho,
			  const struct tapxfer_scratch *scratch)
{
	unsigned int i;
	int err, first = 0;

	for (i = 0; i < ho->ho_nqueues; i++) {
		err = apply_queue(&ho->ho_queues[i], scratch);
		apply_asked(ho);
		if (err < 0 && !first)
			first = err;
		if (err == -ECANCELED)
			break;
	}
	return first;
}

/**
 * tapxfer_apply_restore - give the device what was exported, before an abort
 * @ho: the handover; nothing is done when no claimant has got as far as ready, or
 *	a command is under way
 *
 * Context: in the calling process, whose memory is used; takes rtnl.
 * Return: true when tapxfer_handover_done() has to follow the abort.
 */
bool tapxfer_apply_restore(struct tapxfer_handover *ho)
{
	struct tapxfer_scratch scratch;
	struct tapxfer_shadow sh;
	unsigned int i;
	int err, queues;

	if (!restore_begin(ho, &sh))
		return false;
	err = tapxfer_scratch_get(&scratch, 0, NULL);
	if (!err) {
		/* One does not have to fail for the other. */
		queues = restore_queues(ho, &scratch);
		err = apply_device(ho, &sh, &scratch) ?: queues;
		tapxfer_scratch_put(&scratch);
	}

	rtnl_lock();
	mutex_lock(&ho->ho_lock);
	if (tapxfer_is_live(ho)) {
		if (!err)
			ho->ho_shadow.s_stale &= TAPXFER_SHADOW_PROGRAMS;
		tapxfer_violation_left(ho);
		/* For the end; the driver sets those of attached queues only,
		 * and all of them to the same limit.
		 */
		for (i = 0; i < ho->ho_nqueues; i++)
			tapxfer_queue_restore_sndbuf(&ho->ho_queues[i]);
		/* This was ours as well. */
		tapxfer_violation_look(ho);
	}
	tapxfer_apply_end(ho);
	mutex_unlock(&ho->ho_lock);
	rtnl_unlock();
	return true;
}
