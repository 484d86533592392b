// SPDX-License-Identifier: GPL-2.0
/*
 * What happens to a device while it is handed over.
 */
#include <linux/rtnetlink.h>

#include "internal.h"

static bool is_held(const struct tapxfer_handover *ho)
{
	return ho->ho_state == TAPXFER_STATE_HOLDING || tapxfer_is_frozen(ho);
}

/*
 * A change that would make the exported state false, or lose what is held:
 * the stack asks before it does it, and takes no for an answer.
 */
static int refuse(const struct netdev_notifier_info *info, const char *what,
		  bool (*in_the_way)(const struct tapxfer_handover *ho))
{
	struct tapxfer_handover *ho = tapxfer_handover_on(info->dev);
	bool no;

	if (!ho)
		return NOTIFY_DONE;
	mutex_lock(&ho->ho_lock);
	no = in_the_way(ho);
	mutex_unlock(&ho->ho_lock);
	tapxfer_handover_put(ho);
	if (!no)
		return NOTIFY_DONE;
	NL_SET_ERR_MSG(info->extack,
		       "the device is being handed over, try again after the thaw");
	/* The stack has no extack for all that it asks. */
	if (!info->extack && net_ratelimit())
		netdev_notice(info->dev,
			      "%s not changed: the device is being handed over, try again after the thaw\n",
			      what);
	return notifier_from_errno(-EBUSY);
}

/* What cannot be refused, or need not be. */
static void tell(struct net_device *dev,
		 void (*how)(struct tapxfer_handover *ho))
{
	struct tapxfer_handover *ho = tapxfer_handover_on(dev);

	if (!ho)
		return;
	mutex_lock(&ho->ho_lock);
	how(ho);
	mutex_unlock(&ho->ho_lock);
	tapxfer_handover_put(ho);
}

static void unregistering(struct net_device *dev)
{
	struct tapxfer_handover *ho;

	/* One that is live, and any number that drain; each lets go of it. */
	while ((ho = tapxfer_handover_of(dev))) {
		tapxfer_gone(ho, dev);
		tapxfer_handover_put(ho);
	}
}

static int netdev_event(struct notifier_block *nb, unsigned long event,
			void *ptr)
{
	struct net_device *dev = netdev_notifier_info_to_dev(ptr);

	if (!tapxfer_dev_is_tun(dev))
		return NOTIFY_DONE;

	switch (event) {
	case NETDEV_REGISTER:
		tell(dev, tapxfer_violation_arrive);
		return notifier_from_errno(tapxfer_probe_add(dev));
	case NETDEV_CHANGENAME:
		tapxfer_probe_rename();
		fallthrough;
	case NETDEV_CHANGE:
	case NETDEV_FEAT_CHANGE:
		tell(dev, tapxfer_violation_look);
		return NOTIFY_DONE;
	case NETDEV_UNREGISTER:
		/* Sent for a move to another network namespace as well. */
		if (dev->reg_state == NETREG_UNREGISTERING) {
			tapxfer_probe_del(dev);
			unregistering(dev);
		} else {
			tell(dev, tapxfer_violation_leave);
		}
		return NOTIFY_DONE;
	case NETDEV_PRE_CHANGEADDR:
		if (tapxfer_probe_notify(dev))
			return notifier_from_errno(-EBUSY);
		return refuse(ptr, "address", tapxfer_is_frozen);
	case NETDEV_PRE_TYPE_CHANGE:
		return refuse(ptr, "type", tapxfer_is_frozen);
	case NETDEV_PRECHANGEMTU:
		return refuse(ptr, "mtu", tapxfer_is_frozen);
	case NETDEV_CHANGE_TX_QUEUE_LEN:
		return refuse(ptr, "tx queue length", is_held);
	default:
		return NOTIFY_DONE;
	}
}

static struct notifier_block notifier = {
	.notifier_call	= netdev_event,
	/* Before tun's own, which resizes the rings for a new length. */
	.priority	= INT_MAX,
};

/**
 * tapxfer_notifier_init - at module load
 *
 * Return: 0 or an errno.
 */
int tapxfer_notifier_init(void)
{
	return register_netdevice_notifier(&notifier);
}

/**
 * tapxfer_notifier_exit - at module unload
 */
void tapxfer_notifier_exit(void)
{
	unregister_netdevice_notifier(&notifier);
}
