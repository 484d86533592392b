// SPDX-License-Identifier: GPL-2.0
/*
 * Settings in shadow: what a claimant sets before the thaw.
 */
#include <linux/if.h>
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
 * asks; the device keeps what it has. ready, or thaw, applies the record. An abort,
 * the deadline and the claimant's exit forget it.
 *
 * Detaching a queue twice, which the driver refuses and of which VMMs die, is
 * no error here: what counts is the queue's state at the end.
 *
 * Unhappy paths: when the claimant exits after ready the record has been applied,
 * and what else it has set then nobody has seen: the handover is frozen again, the
 * event and the next claim name it, and the next thaw sets what was exported,
 * unless that claimant sets something else. What comes of applying it is in apply.c.
 */

/* As drivers/net/tun.c takes them; TUNSETOFFLOAD is how callers find out. */
#ifdef TUN_F_USO4
#define OFFLOAD_USO	(TUN_F_USO4 | TUN_F_USO6)
#else
#define OFFLOAD_USO	0
#endif

#ifdef TUN_F_UDP_TUNNEL_GSO
#define OFFLOAD_TUNNEL		TUN_F_UDP_TUNNEL_GSO
#define OFFLOAD_TUNNEL_CSUM	TUN_F_UDP_TUNNEL_GSO_CSUM
#else
#define OFFLOAD_TUNNEL		0
#define OFFLOAD_TUNNEL_CSUM	0
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
		/* And tunnels only with something in them. */
		if ((offloads & OFFLOAD_TUNNEL) &&
		    (offloads & known & (TUN_F_TSO4 | TUN_F_TSO6 | OFFLOAD_USO)))
			known |= OFFLOAD_TUNNEL | OFFLOAD_TUNNEL_CSUM;
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

	/* Whoever applies it may stall in its memory, past the end. */
	err = wait_event_interruptible(ho->ho_wait,
				       !READ_ONCE(ho->ho_shadow.s_applying) ||
				       !READ_ONCE(ho->ho_fence));
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

/**
 * tapxfer_shadow_attach_all - record that the claimant attaches every queue
 * @ho: the handover, whose claim has just begun
 *
 * As the claimant's own TUNSETQUEUE would, but together with the claim: a claimant
 * whose handover ends between the two would set the device itself.
 *
 * Context: under ho_lock.
 */
void tapxfer_shadow_attach_all(struct tapxfer_handover *ho)
{
	unsigned int i;

	for (i = 0; i < ho->ho_nqueues; i++)
		ho->ho_queues[i].q_shadow_detached = false;
}
