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
 * any file of the device can. TAPXFER_VIOLATION_QUEUES stands for all of that.
 *
 * The claimant's own settings are no violation: neither while they are applied,
 * by the task in ho_setter, nor in the state ready, when the files are its own.
 */

/* The claimant's, once it may set something */
#define VIOLATION_SETTABLE	(TAPXFER_VIOLATION_OFFLOADS | \
				 TAPXFER_VIOLATION_CARRIER)

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

/* Zeroed before: it is compared as memory. */
static void see(struct tapxfer_handover *ho, struct tapxfer_seen *seen)
{
	struct net_device *dev = ho->ho_dev;
	unsigned int enabled, detached;

	ASSERT_RTNL();
	memset(seen, 0, sizeof(*seen));
	seen->net = dev_net(dev);
	strscpy(seen->name, dev->name, sizeof(seen->name));
	seen->features = dev->features;
	seen->carrier = netif_carrier_ok(dev);
	see_xdp(dev, seen);
	seen->queues = ho->ho_nqueues;
	if (!tapxfer_dev_counts(dev, ho->ho_info, &enabled, &detached))
		seen->queues = enabled + detached;
}

static u32 differs(const struct tapxfer_seen *a, const struct tapxfer_seen *b)
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
	return bits;
}

/**
 * tapxfer_violation_base - what the device is compared with
 * @ho: the handover, whose device's state is being exported
 *
 * Context: under rtnl and ho_lock.
 */
void tapxfer_violation_base(struct tapxfer_handover *ho)
{
	see(ho, &ho->ho_seen);
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

/**
 * tapxfer_violation_look - compare a frozen device with what it was
 * @ho: the handover; nothing is done when it has no exported state
 *
 * Context: under rtnl and ho_lock.
 */
void tapxfer_violation_look(struct tapxfer_handover *ho)
{
	struct tapxfer_seen now;
	u32 bits;

	if (!tapxfer_is_frozen(ho))
		return;
	see(ho, &now);
	bits = differs(&ho->ho_seen, &now);
	ho->ho_seen = now;
	if (ho->ho_setter == current || ho->ho_state == TAPXFER_STATE_READY)
		bits &= ~VIOLATION_SETTABLE;
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
