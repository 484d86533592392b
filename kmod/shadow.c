// SPDX-License-Identifier: GPL-2.0
/*
 * Settings in shadow: what a claimant sets before the thaw.
 */
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <linux/uaccess.h>
#include <linux/virtio_net.h>

#include "internal.h"

/**
 * DOC: settings in shadow
 *
 * A VMM that gets a tap initialises it: it tries header sizes and offloads,
 * detaches queues that the guest does not use yet, and sets what its guest has
 * negotiated when it has loaded the guest's state. None of that may reach the
 * device before the thaw, for the source must find it as it left it when the
 * target fails.
 *
 * So from the claim on what the claimant's thread group sets through a queue
 * file is checked as the driver would check it, recorded, and told back to who
 * asks; the device keeps what it has. ready, or thaw, applies the record through
 * the driver's own ioctls, in the context and with the rights of its caller. An
 * abort, the deadline and the claimant's exit forget it.
 *
 * Detaching a queue twice, which the driver refuses and of which VMMs die, is
 * no error here: what counts is the queue's state at the end.
 *
 * Unhappy paths: an attach can fail in the driver, so queues come first, and are
 * put back when one fails; what cannot be put back is named at the end of the
 * claim, and set anew by the next thaw. The rest can fail only when the caller's
 * memory goes away under the ioctl. A setter that comes while the record is being
 * applied waits, and is then the driver's or the record's. When the claimant exits
 * after ready the record has been applied, and what else it has set then nobody has
 * seen: the handover is frozen again, the event and the next claim name it, and
 * the next thaw sets what was exported, unless that claimant sets something else.
 *
 * An abort after ready gives the device what was exported before it lets traffic
 * go on, in the memory of whoever aborts. It never depends on that: where it
 * does not work, or another command is under way, the settings stay and the event
 * names it; a second abort does not wait; and the deadline is drawn near, so that
 * traffic goes on within a second even if the caller stalls in its own memory, or
 * somebody keeps rtnl. The deadline itself has no process's memory to do it in.
 *
 * An abort, the deadline and the claimant's exit do not wait for a record that is
 * being applied. What has not been by then is not any more: each step looks,
 * after it has waited for rtnl, which others may keep for long. The ioctl that
 * is in the driver by then gets through.
 */

/* As drivers/net/tun.c takes them; TUNSETOFFLOAD is how callers find out. */
#ifdef TUN_F_USO4
#define OFFLOAD_USO	(TUN_F_USO4 | TUN_F_USO6)
#else
#define OFFLOAD_USO	0
#endif

static int check_offloads(unsigned long offloads)
{
	unsigned long known = 0;

	if (offloads & TUN_F_CSUM) {
		known = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_UFO;
		if (offloads & (TUN_F_TSO4 | TUN_F_TSO6))
			known |= TUN_F_TSO_ECN;
		/* The driver wants both or none. */
		if ((offloads & OFFLOAD_USO) == OFFLOAD_USO)
			known |= OFFLOAD_USO;
	}
	return offloads & ~known ? -EINVAL : 0;
}

/* A setter's argument, before any lock: the caller may stall in its memory. */
struct shadow_arg {
	unsigned long	s_bit;		/* TAPXFER_SHADOW_*; 0: of one queue */
	unsigned long	s_value;
};

static int get_int(unsigned long arg, int *val)
{
	return get_user(*val, (int __user *)arg) ? -EFAULT : 0;
}

static int get_detach(unsigned long arg, struct shadow_arg *s)
{
	struct ifreq __user *ifr = (struct ifreq __user *)arg;
	short flags;

	/* At the same place in a 32-bit process's struct ifreq. */
	if (get_user(flags, &ifr->ifr_flags))
		return -EFAULT;
	if (!(flags & (IFF_ATTACH_QUEUE | IFF_DETACH_QUEUE)))
		return -EINVAL;
	s->s_bit = 0;
	s->s_value = !(flags & IFF_ATTACH_QUEUE);
	return 0;
}

static int get_removal(unsigned long arg, unsigned long bit,
		       struct shadow_arg *s)
{
	int fd, err;

	err = get_int(arg, &fd);
	if (err)
		return err;
	/* A program can be attached after the thaw. */
	if (fd != -1)
		return -EBUSY;
	s->s_bit = bit;
	return 0;
}

/* -EBUSY for what is not recorded. */
static int get_arg(unsigned int cmd, unsigned long arg, struct shadow_arg *s)
{
	int val, err;

	switch (cmd) {
	case TUNSETOFFLOAD:
		s->s_bit = TAPXFER_SHADOW_OFFLOADS;
		s->s_value = arg;
		return check_offloads(arg);
	case TUNSETQUEUE:
		return get_detach(arg, s);
	case TUNSETSTEERINGEBPF:
		return get_removal(arg, TAPXFER_SHADOW_NO_STEERING, s);
	case TUNSETFILTEREBPF:
		return get_removal(arg, TAPXFER_SHADOW_NO_FILTER, s);
	case TUNSETVNETHDRSZ:
		s->s_bit = TAPXFER_SHADOW_HDR_SZ;
		break;
	case TUNSETVNETLE:
		s->s_bit = TAPXFER_SHADOW_LE;
		break;
	case TUNSETVNETBE:
		if (!IS_ENABLED(CONFIG_TUN_VNET_CROSS_LE))
			return -EINVAL;
		s->s_bit = TAPXFER_SHADOW_BE;
		break;
	case TUNSETSNDBUF:
		s->s_bit = TAPXFER_SHADOW_SNDBUF;
		break;
	default:
		return -EBUSY;
	}

	err = get_int(arg, &val);
	if (err)
		return err;
	if (s->s_bit == TAPXFER_SHADOW_HDR_SZ &&
	    val < (int)sizeof(struct virtio_net_hdr))
		return -EINVAL;
	if (s->s_bit == TAPXFER_SHADOW_SNDBUF && val <= 0)
		return -EINVAL;
	if (s->s_bit & (TAPXFER_SHADOW_LE | TAPXFER_SHADOW_BE))
		val = !!val;
	s->s_value = val;
	return 0;
}

static bool is_claimant(const struct tapxfer_handover *ho)
{
	return ho->ho_state == TAPXFER_STATE_CLAIMED &&
	       ho->ho_claimant == task_tgid(current);
}

static int record(struct tapxfer_queue *q, const struct shadow_arg *s)
{
	struct tapxfer_shadow *sh = &q->q_ho->ho_shadow;

	switch (s->s_bit) {
	case 0:
		if (!q->q_ho->ho_export.multi_queue)
			return -EINVAL;
		q->q_shadow_detached = s->s_value;
		return 0;
	case TAPXFER_SHADOW_OFFLOADS:
		sh->s_offloads = s->s_value;
		break;
	case TAPXFER_SHADOW_HDR_SZ:
		sh->s_hdr_sz = s->s_value;
		break;
	case TAPXFER_SHADOW_LE:
		sh->s_le = s->s_value;
		break;
	case TAPXFER_SHADOW_BE:
		sh->s_be = s->s_value;
		break;
	case TAPXFER_SHADOW_SNDBUF:
		sh->s_sndbuf = s->s_value;
		break;
	}
	sh->s_set |= s->s_bit;
	return 0;
}

/**
 * tapxfer_shadow_set - a setter ioctl on a frozen file
 * @q: the file's place in the handover
 * @cmd: the ioctl
 * @arg: its argument, a native address where it is an address
 *
 * Return: 0 when it was recorded; -EBUSY when it is not for the record; -EAGAIN
 * when the caller has to look at the fence again; -EINVAL, -EFAULT and -EINTR.
 */
int tapxfer_shadow_set(struct tapxfer_queue *q, unsigned int cmd,
		       unsigned long arg)
{
	struct tapxfer_handover *ho = q->q_ho;
	struct shadow_arg s = {};
	bool claimant, applying;
	int err;

	/* Who may not is told that, whatever the argument. */
	mutex_lock(&ho->ho_lock);
	claimant = is_claimant(ho);
	mutex_unlock(&ho->ho_lock);
	if (!claimant)
		return -EBUSY;

	err = get_arg(cmd, arg, &s);
	if (err)
		return err;

	mutex_lock(&ho->ho_lock);
	applying = ho->ho_shadow.s_applying;
	if (!applying)
		err = is_claimant(ho) ? record(q, &s) : -EBUSY;
	mutex_unlock(&ho->ho_lock);
	if (!applying)
		return err;

	err = wait_event_interruptible(ho->ho_wait,
				       !READ_ONCE(ho->ho_shadow.s_applying));
	return err ? -EINTR : -EAGAIN;
}

static int put_detach(unsigned long arg, bool detached)
{
	struct ifreq __user *ifr = (struct ifreq __user *)arg;
	short flags;

	if (get_user(flags, &ifr->ifr_flags))
		return -EFAULT;
	flags &= ~IFF_DETACH_QUEUE;
	if (detached)
		flags |= IFF_DETACH_QUEUE;
	return put_user(flags, &ifr->ifr_flags);
}

/**
 * tapxfer_shadow_get - a getter ioctl on a file whose write side is closed
 * @q: the file's place in the handover
 * @cmd: the ioctl
 * @arg: its argument, a native address
 *
 * The claimant is told what is recorded, anyone else what the device has.
 * TUNGETIFF is the driver's; this completes its answer.
 *
 * Return: 0 or -EFAULT; -ENOIOCTLCMD when the driver's answer is the right one.
 */
int tapxfer_shadow_get(struct tapxfer_queue *q, unsigned int cmd,
		       unsigned long arg)
{
	struct tapxfer_handover *ho = q->q_ho;
	struct tapxfer_shadow sh;
	bool claimant, detached;
	int val;

	mutex_lock(&ho->ho_lock);
	claimant = is_claimant(ho);
	sh = ho->ho_shadow;
	detached = q->q_shadow_detached;
	/* The socket's own limit is zero while it is frozen. */
	val = q->q_sndbuf;
	mutex_unlock(&ho->ho_lock);

	if (!claimant && cmd != TUNGETSNDBUF)
		return -ENOIOCTLCMD;
	switch (cmd) {
	case TUNGETIFF:
		return put_detach(arg, detached);
	case TUNGETSNDBUF:
		if (claimant && (sh.s_set & TAPXFER_SHADOW_SNDBUF))
			val = sh.s_sndbuf;
		break;
	case TUNGETVNETHDRSZ:
		if (!(sh.s_set & TAPXFER_SHADOW_HDR_SZ))
			return -ENOIOCTLCMD;
		val = sh.s_hdr_sz;
		break;
	case TUNGETVNETLE:
		if (!(sh.s_set & TAPXFER_SHADOW_LE))
			return -ENOIOCTLCMD;
		val = sh.s_le;
		break;
	case TUNGETVNETBE:
		if (!(sh.s_set & TAPXFER_SHADOW_BE))
			return -ENOIOCTLCMD;
		val = sh.s_be;
		break;
	default:
		return -ENOIOCTLCMD;
	}
	return put_user(val, (int __user *)arg);
}

/**
 * tapxfer_shadow_begin - a claim begins: nothing is recorded
 * @ho: the handover
 *
 * Context: under ho_lock.
 */
void tapxfer_shadow_begin(struct tapxfer_handover *ho)
{
	const struct tapxfer_dev_state *st = &ho->ho_export;
	struct tapxfer_shadow *sh = &ho->ho_shadow;
	unsigned int i;

	sh->s_set = 0;
	for (i = 0; i < ho->ho_nqueues; i++)
		ho->ho_queues[i].q_shadow_detached = ho->ho_queues[i].q_detached;
	if (!sh->s_stale)
		return;

	/* A claimant that is gone has left settings of its own. */
	sh->s_set = sh->s_stale & ~TAPXFER_SHADOW_PROGRAMS;
	sh->s_hdr_sz = st->vnet_hdr_sz;
	sh->s_le = st->vnet_le;
	sh->s_be = st->vnet_be;
	sh->s_offloads = st->offloads;
	sh->s_sndbuf = st->sndbuf;
}

/*
 * Whether the claim, or what shall be restored, is not over yet; if so, whoever
 * ends it sees that @stale may be in force.
 */
static bool apply_go_on(struct tapxfer_handover *ho, unsigned long stale)
{
	bool go_on;

	/* Wait here, and not in the driver, where an end is not seen. */
	rtnl_lock();
	mutex_lock(&ho->ho_lock);
	go_on = ho->ho_state == ho->ho_shadow.s_state;
	if (go_on)
		ho->ho_shadow.s_stale |= stale;
	mutex_unlock(&ho->ho_lock);
	rtnl_unlock();
	return go_on;
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

static int move_queue(struct tapxfer_queue *q, bool detach,
		      const struct tapxfer_scratch *scratch)
{
	u32 flags;
	int err;

	/* The driver's purge would find what a vhost backend gave back. */
	tapxfer_queue_fold(q);
	err = tapxfer_fence_tun_ioctl(q->q_file, TUNSETQUEUE, scratch->addr);

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
	return move_queue(q, q->q_shadow_detached, scratch) ?: 1;
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

	while (n--) {
		struct tapxfer_queue *q = &ho->ho_queues[n];

		if (q->q_moved &&
		    (move_ask(!q->q_shadow_detached, scratch) ||
		     move_queue(q, !q->q_shadow_detached, scratch)))
			undone = false;
		q->q_moved = false;
	}
	if (!undone || (sh->s_stale & TAPXFER_SHADOW_QUEUES))
		return;
	mutex_lock(&ho->ho_lock);
	ho->ho_shadow.s_stale &= ~TAPXFER_SHADOW_QUEUES;
	mutex_unlock(&ho->ho_lock);
}

static int apply_queues(struct tapxfer_handover *ho,
			const struct tapxfer_shadow *sh,
			const struct tapxfer_scratch *scratch)
{
	unsigned int i;
	int err;

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
	if (!apply_go_on(ho, 0))
		return -ECANCELED;
	return tapxfer_fence_tun_ioctl(ho->ho_queues[0].q_file, cmd, arg);
}

static int apply_int(struct tapxfer_handover *ho, unsigned int cmd, int val,
		     const struct tapxfer_scratch *scratch)
{
	if (put_user(val, (int __user *)scratch->addr))
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

/* Whether there is anything to apply; setters wait from now on. */
static bool apply_begin(struct tapxfer_handover *ho, struct tapxfer_shadow *sh)
{
	unsigned int i;
	bool any;

	mutex_lock(&ho->ho_lock);
	*sh = ho->ho_shadow;
	any = sh->s_set || sh->s_stale;
	for (i = 0; i < ho->ho_nqueues; i++) {
		struct tapxfer_queue *q = &ho->ho_queues[i];

		any |= q->q_shadow_detached != q->q_detached;
	}
	/* The claimant may have exited, and its record with it. */
	any &= ho->ho_state == TAPXFER_STATE_CLAIMED;
	/* What changes by this task's hand is no violation. */
	ho->ho_setter = current;
	ho->ho_shadow.s_state = TAPXFER_STATE_CLAIMED;
	WRITE_ONCE(ho->ho_shadow.s_applying, true);
	mutex_unlock(&ho->ho_lock);
	return any;
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
	claimed = ho->ho_state == TAPXFER_STATE_CLAIMED;
	if (claimed)
		ho->ho_shadow.s_stale |= sh->s_set | TAPXFER_SHADOW_QUEUES;
	mutex_unlock(&ho->ho_lock);
	return claimed;
}

/**
 * tapxfer_shadow_apply - give the device what was recorded
 * @ho: the handover, its command begun, claimed
 * @extack: for errors
 *
 * Setters wait until tapxfer_shadow_end(), which must follow.
 *
 * Context: in the calling process, whose memory is used; takes rtnl.
 * Return: 0 or an errno; -ECANCELED when the claim ended meanwhile.
 */
int tapxfer_shadow_apply(struct tapxfer_handover *ho,
			 struct netlink_ext_ack *extack)
{
	struct tapxfer_scratch scratch;
	struct tapxfer_shadow sh;
	int err;

	if (!apply_begin(ho, &sh))
		return 0;
	err = tapxfer_scratch_get(&scratch, extack);
	if (err)
		return err;

	err = apply_queues(ho, &sh, &scratch);
	if (err) {
		NL_SET_ERR_MSG(extack,
			       "the driver does not attach or detach a queue as the claimant asked, abort");
	} else if (!apply_commit(ho, &sh)) {
		undo_queues(ho, ho->ho_nqueues, &sh, &scratch);
		err = -ECANCELED;
	} else {
		err = apply_device(ho, &sh, &scratch);
		if (err)
			NL_SET_ERR_MSG(extack,
				       "the driver does not take the claimant's settings, abort");
	}
	tapxfer_scratch_put(&scratch);
	return err;
}

/**
 * tapxfer_shadow_open - the claimant goes on with settings past the record
 * @ho: the handover, about to be ready
 *
 * Context: under ho_lock.
 */
void tapxfer_shadow_open(struct tapxfer_handover *ho)
{
	ho->ho_shadow.s_stale |= TAPXFER_SHADOW_HDR_SZ | TAPXFER_SHADOW_LE |
				 TAPXFER_SHADOW_OFFLOADS |
				 TAPXFER_SHADOW_SNDBUF | TAPXFER_SHADOW_QUEUES;
	if (ho->ho_export.has_vnet_be)
		ho->ho_shadow.s_stale |= TAPXFER_SHADOW_BE;
}

/**
 * tapxfer_shadow_end - let setters go on
 * @ho: the handover
 *
 * Context: under ho_lock.
 */
void tapxfer_shadow_end(struct tapxfer_handover *ho)
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
	any = tapxfer_is_frozen(ho) && ho->ho_shadow.s_stale && !ho->ho_busy;
	if (any) {
		ho->ho_busy = true;
		ho->ho_aborting = true;
		restore_hurry(ho);
		/* Nobody else is to set anything from here on. */
		tapxfer_claim_take_back(ho);
		tapxfer_shadow_begin(ho);
		*sh = ho->ho_shadow;
		ho->ho_setter = current;
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
		if (err < 0 && !first)
			first = err;
		if (err == -ECANCELED)
			break;
	}
	return first;
}

/**
 * tapxfer_shadow_restore - give the device what was exported, before an abort
 * @ho: the handover; nothing is done when no claimant has got as far as ready, or
 *	a command is under way
 *
 * Context: in the calling process, whose memory is used; takes rtnl.
 * Return: true when tapxfer_handover_done() has to follow the abort.
 */
bool tapxfer_shadow_restore(struct tapxfer_handover *ho)
{
	struct tapxfer_scratch scratch;
	struct tapxfer_shadow sh;
	unsigned int i;
	int err, queues;

	if (!restore_begin(ho, &sh))
		return false;
	err = tapxfer_scratch_get(&scratch, NULL);
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
	}
	tapxfer_shadow_end(ho);
	mutex_unlock(&ho->ho_lock);
	rtnl_unlock();
	return true;
}
