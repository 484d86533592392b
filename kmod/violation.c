// SPDX-License-Identifier: GPL-2.0
/*
 * Changes to a frozen device that nobody asks us about: they are named.
 */
#include <linux/rtnetlink.h>

#include "internal.h"

/**
 * DOC: violations
 *
 * What was exported is to stay true until traffic goes on. Where the stack asks
 * before it changes a device, notifier.c refuses. It does not ask before it
 * renames or moves a device, changes its features, its carrier or its XDP
 * program, nor before the driver attaches a queue for somebody who opens one.
 *
 * So the device is compared with what it was when it was last looked at: when a
 * notifier tells of a change, and at the claim and the thaw, for there are
 * changes that nobody tells of (XDP by way of a bpf link, anything but a name
 * while the device is down). What differs is a bit in ho_violated for good, also
 * when it is changed back, and each new bit is an event.
 *
 * Who attaches a queue has a file that no fence stands before: it can set what
 * any file of the device can. While the device is down nobody tells of it, and
 * the queue may be closed before anyone looks. So what can be set is compared as
 * well, TAPXFER_VIOLATION_SETTINGS: what the driver tells without a file at each
 * look, what it tells by ioctl, into a process's memory, at claim, ready and thaw
 * from the state claimed.
 *
 * The claimant's own settings are no violation: neither while they are applied,
 * by the task in ho_setter, nor in the state ready, when the files are its own.
 * While a send buffer is applied nobody can tell whose the one is that is seen, nor
 * while queues are attached or detached whose are. Of an abort the claimant's
 * settings are a violation, as far as it does not put back what they were.
 */

/* The claimant's, once it may set something */
#define VIOLATION_SETTABLE	(TAPXFER_VIOLATION_OFFLOADS | \
				 TAPXFER_VIOLATION_CARRIER | \
				 TAPXFER_VIOLATION_SETTINGS)

static void see_xdp(struct net_device *dev, struct tapxfer_seen *seen)
{
	struct bpf_prog *generic = rtnl_dereference(dev->xdp_prog);
	unsigned int i;

	for (i = 0; i < __MAX_XDP_MODE; i++) {
		const struct bpf_xdp_entity *e = &dev->xdp_state[i];

		seen->xdp[i].prog = e->prog;
		seen->xdp[i].link = e->link;
		/* A new program may be where an old one was. */
		seen->xdp[i].id = e->prog ? e->prog->aux->id : 0;
	}
	/* It is behind a link, too. */
	if (generic)
		seen->xdp[XDP_MODE_SKB].id = generic->aux->id;
}

static void see_settings(struct tapxfer_handover *ho,
			 struct tapxfer_seen *seen,
			 const struct tapxfer_dev_state *told)
{
	struct tapxfer_dev_state *st = &seen->settings;
	unsigned int i;

	*st = told ? *told : ho->ho_seen.settings;
	if (told)
		seen->queues = st->num_queues + st->num_detached;
	/* What is known stays known. */
	if (!st->ids) {
		st->owner = ho->ho_seen.settings.owner;
		st->group = ho->ho_seen.settings.group;
		st->ids = ho->ho_seen.settings.ids;
	}
	for (i = 0; i < ho->ho_nqueues; i++)
		seen->sndbuf |= READ_ONCE(ho->ho_queues[i].q_sk->sk_sndbuf);
}

/*
 * Zeroed before: parts of it are compared as memory. @told: what the driver tells,
 * or NULL when it does not.
 */
static void see(struct tapxfer_handover *ho, struct tapxfer_seen *seen,
		const struct tapxfer_dev_state *told)
{
	struct net_device *dev = ho->ho_dev;

	ASSERT_RTNL();
	memset(seen, 0, sizeof(*seen));
	seen->net = dev_net(dev);
	strscpy(seen->name, dev->name, sizeof(seen->name));
	seen->features = dev->features;
	seen->carrier = netif_carrier_ok(dev);
	see_xdp(dev, seen);
	seen->queues = ho->ho_nqueues;
	see_settings(ho, seen, told);
}

/* What its owner is called elsewhere proves nothing. */
static bool owner_differs(const struct tapxfer_dev_state *a,
			  const struct tapxfer_dev_state *b)
{
	return a->ids && b->ids && (!uid_eq(a->owner, b->owner) ||
				    !gid_eq(a->group, b->group));
}

/* What a record may have as well, of what can be seen without a file */
static bool record_differs(const struct tapxfer_seen *a,
			   const struct tapxfer_seen *b, unsigned long own)
{
	/* A queue that was opened is told apart from one that was attached. */
	if (!(own & TAPXFER_SHADOW_QUEUES) && a->queues == b->queues &&
	    a->settings.num_detached != b->settings.num_detached)
		return true;
	return !(own & TAPXFER_SHADOW_SNDBUF) && a->sndbuf != b->sndbuf;
}

static bool others_differ(const struct tapxfer_dev_state *s,
			  const struct tapxfer_dev_state *t)
{
	return owner_differs(s, t) ||
	       s->persist != t->persist || s->link_type != t->link_type ||
	       s->mtu != t->mtu || s->tx_queue_len != t->tx_queue_len ||
	       s->mac_len != t->mac_len || memcmp(s->mac, t->mac, s->mac_len);
}

/* @own: what is being applied, which not all notifiers tell of */
static u32 differs(const struct tapxfer_seen *a, const struct tapxfer_seen *b,
		   unsigned long own)
{
	u32 bits = 0;

	if (a->queues != b->queues)
		bits |= TAPXFER_VIOLATION_QUEUES;
	if (strcmp(a->name, b->name))
		bits |= TAPXFER_VIOLATION_NAME;
	if (a->net != b->net)
		bits |= TAPXFER_VIOLATION_NETNS;
	if (a->features != b->features)
		bits |= TAPXFER_VIOLATION_OFFLOADS;
	if (memcmp(a->xdp, b->xdp, sizeof(a->xdp)))
		bits |= TAPXFER_VIOLATION_XDP;
	if (a->carrier != b->carrier)
		bits |= TAPXFER_VIOLATION_CARRIER;
	if (others_differ(&a->settings, &b->settings) ||
	    record_differs(a, b, own))
		bits |= TAPXFER_VIOLATION_SETTINGS;
	return bits;
}

/**
 * tapxfer_violation_base - what the device is compared with
 * @ho: the handover, whose device's state is being exported
 * @st: that state, from tapxfer_dev_state()
 *
 * Context: under rtnl and ho_lock.
 */
void tapxfer_violation_base(struct tapxfer_handover *ho,
			    const struct tapxfer_dev_state *st)
{
	see(ho, &ho->ho_seen, st);
}

/**
 * tapxfer_violation_name - name changes, and tell those that are new
 * @ho: the handover
 * @bits: enum tapxfer_violation
 *
 * Context: under ho_lock.
 */
void tapxfer_violation_name(struct tapxfer_handover *ho, u32 bits)
{
	if (!(bits & ~ho->ho_violated))
		return;
	ho->ho_violated |= bits;
	tapxfer_event(ho, TAPXFER_EVENT_VIOLATED);
}

/* What may be the claimant's doing at this moment */
static u32 settable(const struct tapxfer_handover *ho)
{
	if (ho->ho_state == TAPXFER_STATE_READY)
		return VIOLATION_SETTABLE;
	if (ho->ho_setter != current)
		return 0;
	/* An abort names what it has not put back. */
	return ho->ho_aborting ? VIOLATION_SETTABLE :
				 TAPXFER_VIOLATION_OFFLOADS;
}

static int look(struct tapxfer_handover *ho)
{
	struct tapxfer_dev_state st = {};
	const struct tapxfer_shadow *sh = &ho->ho_shadow;
	struct tapxfer_seen now;
	u32 bits;
	int err;

	/* It is asked for a whole reply, which does not fail for its size. */
	err = tapxfer_dev_state(ho->ho_dev, ho->ho_info, &st);
	see(ho, &now, err ? NULL : &st);
	bits = differs(&ho->ho_seen, &now, sh->s_applying ? sh->s_own : 0);
	ho->ho_seen = now;
	tapxfer_violation_name(ho, bits & ~settable(ho));
	return err;
}

/**
 * tapxfer_violation_look - compare a frozen device with what it was
 * @ho: the handover; nothing is done when it has no exported state
 *
 * Context: under rtnl and ho_lock.
 */
void tapxfer_violation_look(struct tapxfer_handover *ho)
{
	if (tapxfer_is_frozen(ho))
		look(ho);
}

/**
 * tapxfer_violation_ask - ask for what only a file tells
 * @ho: the handover, its command begun, frozen or claimed
 * @st: zeroed; what tapxfer_violation_compare() compares is filled in
 * @extack: for errors
 *
 * Context: in the calling process, whose memory is used; takes rtnl.
 * Return: 0 or an errno.
 */
int tapxfer_violation_ask(struct tapxfer_handover *ho,
			  struct tapxfer_dev_state *st,
			  struct netlink_ext_ack *extack)
{
	struct tapxfer_scratch scratch;
	int err;

	err = tapxfer_scratch_get(&scratch, ho->ho_scratch, extack);
	if (err)
		return err;
	err = tapxfer_probe_state(ho->ho_queues[0].q_file, &scratch, st);
	tapxfer_scratch_put(&scratch);
	if (err)
		NL_SET_ERR_MSG(extack,
			       "the driver does not tell the state of a queue");
	return err;
}

/**
 * tapxfer_violation_compare - compare a device with what it was frozen as
 * @ho: the handover, frozen or claimed
 * @st: what a file has told; or NULL, then the rest is compared
 *
 * Before the claimant's settings are in force.
 *
 * Context: under rtnl and ho_lock.
 * Return: 0, and ho_seen is what the device is now; or what the driver says when
 * it is asked for that.
 */
int tapxfer_violation_compare(struct tapxfer_handover *ho,
			      const struct tapxfer_dev_state *st)
{
	const struct tapxfer_dev_state *was = &ho->ho_export;
	int err;

	err = look(ho);
	/* What a claimant that is gone has left is named already. */
	if (!st || ho->ho_shadow.s_stale)
		return err;
	if (st->vnet_hdr_sz != was->vnet_hdr_sz ||
	    st->vnet_le != was->vnet_le || st->vnet_be != was->vnet_be ||
	    (st->flags ^ was->flags) & ~IFF_NO_PI)
		tapxfer_violation_name(ho, TAPXFER_VIOLATION_SETTINGS);
	return err;
}

/**
 * tapxfer_violation_left - name what an abort does not put back
 * @ho: the handover, whose claimant was ready and has its settings taken back
 *
 * A claimant's own changes were none of a violation while it was ready.
 *
 * Context: under rtnl and ho_lock.
 */
void tapxfer_violation_left(struct tapxfer_handover *ho)
{
	const struct tapxfer_dev_state *was = &ho->ho_export;
	struct tapxfer_dev_state st = {};
	u32 bits = 0;

	if (tapxfer_dev_state(ho->ho_dev, ho->ho_info, &st))
		return;
	if (st.carrier != was->carrier)
		bits |= TAPXFER_VIOLATION_CARRIER;
	if (st.persist != was->persist || st.link_type != was->link_type ||
	    st.offloads != was->offloads || owner_differs(&st, was))
		bits |= TAPXFER_VIOLATION_SETTINGS;
	tapxfer_violation_name(ho, bits);
}

/**
 * tapxfer_violation_leave - a device is leaving its network namespace
 * @ho: the handover
 *
 * Those who listen there are told before it goes.
 *
 * Context: under rtnl and ho_lock.
 */
void tapxfer_violation_leave(struct tapxfer_handover *ho)
{
	if (tapxfer_is_frozen(ho))
		tapxfer_violation_name(ho, TAPXFER_VIOLATION_NETNS);
}

/**
 * tapxfer_violation_arrive - a device has come to a network namespace
 * @ho: the handover
 *
 * Those who listen here have heard of no handover of this device.
 *
 * Context: under rtnl and ho_lock.
 */
void tapxfer_violation_arrive(struct tapxfer_handover *ho)
{
	u32 before = ho->ho_violated;

	if (!tapxfer_is_frozen(ho))
		return;
	tapxfer_violation_look(ho);
	/* It may have another name here: that has been told with the rest. */
	if (ho->ho_violated == before)
		tapxfer_event(ho, TAPXFER_EVENT_VIOLATED);
}
