// SPDX-License-Identifier: GPL-2.0
/*
 * tapxfer - hand the queues of a tun/tap netdev from one process to another
 */
#include <linux/module.h>
#include <linux/rcupdate.h>

#include "internal.h"

/**
 * DOC: tapxfer
 *
 * One file, one subject:
 *
 * - netlink.c: the generic netlink family and its commands
 * - request.c: what is asked, and whether it may be
 * - get.c: its questions
 * - fill.c: what it tells
 * - error.c: why it refuses, where that is not known beforehand
 * - handover.c: a handover's life, and how it is found
 * - prepare.c: its beginning
 * - steps.c: hold, freeze, and the end
 * - claim.c: giving the files out
 * - shadow.c: what a claimant sets before the thaw
 * - apply.c: making that, or what was exported, the device's
 * - holders.c: who else has the files
 * - ready.c: ready, and thaw
 * - drain.c: what remains to be done after the end
 * - queue.c: what is done to one queue
 * - ring.c: parking a ring
 * - slots.c: what a ring consists of
 * - limits.c: how much memory all handovers may take
 * - fence.c: the file operations before the driver's
 * - sendmsg.c: the sockets' sendmsg before the driver's, for vhost-net
 * - device.c, probe.c: what the netdev and the driver's ioctls tell
 * - notifier.c: changes to a device that is being handed over
 * - violation.c: those of them that cannot be refused
 * - unsent.c: what the host still has of what was written
 * - selftest.c: whether this kernel is one that all this works with
 * - compat.h, compat.c: what its version is
 * - trace.c, trace.h: tracepoints
 */

/* Deadlines, and claimants that exited: they wait for nobody for long */
struct workqueue_struct *tapxfer_wq;
/* Drains, one after the other, since each takes rtnl */
struct workqueue_struct *tapxfer_drain_wq;

static int __init tapxfer_init(void)
{
	int err;

	err = tapxfer_selftest_ring();
	if (!err)
		err = tapxfer_selftest_tun();
	if (err)
		return err;
	if (!TAPXFER_CAN_UNLOAD)
		__module_get(THIS_MODULE);

	tapxfer_limits_init();
	tapxfer_wq = alloc_workqueue("tapxfer", WQ_UNBOUND, 0);
	if (!tapxfer_wq)
		return -ENOMEM;
	tapxfer_drain_wq = alloc_ordered_workqueue("tapxfer_drain", 0);
	if (!tapxfer_drain_wq) {
		err = -ENOMEM;
		goto err_wq;
	}

	err = tapxfer_fence_init();
	if (err)
		goto err_drain_wq;
	err = tapxfer_notifier_init();
	if (err)
		goto err_probe;
	err = genl_register_family(&tapxfer_family);
	if (err)
		goto err_notifier;
	return 0;

err_notifier:
	tapxfer_notifier_exit();
err_probe:
	tapxfer_probe_exit();
	tapxfer_fence_exit();
err_drain_wq:
	destroy_workqueue(tapxfer_drain_wq);
err_wq:
	destroy_workqueue(tapxfer_wq);
	return err;
}

static void __exit tapxfer_exit(void)
{
	/* Each handover pins the module: there is none. */
	genl_unregister_family(&tapxfer_family);
	tapxfer_notifier_exit();
	tapxfer_probe_exit();
	/* A work that has put the last reference may be about to return. */
	destroy_workqueue(tapxfer_wq);
	destroy_workqueue(tapxfer_drain_wq);
	/* So may a packet's way through the stand-in for sk_data_ready. */
	synchronize_net();
	tapxfer_fence_exit();
}

module_init(tapxfer_init);
module_exit(tapxfer_exit);
MODULE_DESCRIPTION("Handover of tun/tap queues between processes");
MODULE_AUTHOR("The tapxfer developers");
MODULE_VERSION(TAPXFER_VERSION);
MODULE_LICENSE("GPL");
MODULE_ALIAS_GENL_FAMILY(TAPXFER_FAMILY_NAME);
