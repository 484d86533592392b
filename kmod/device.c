// SPDX-License-Identifier: GPL-2.0
/*
 * What a tun/tap netdev tells of itself.
 */
#include <linux/if_arp.h>
#include <linux/highuid.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/rtnetlink.h>

#include "internal.h"

/* Larger than tun_get_size(); tun_fill_info() says so when it is not. */
#define INFO_SIZE	256

/**
 * tapxfer_dev_is_tun - whether a netdev is tun's
 * @dev: any netdev
 *
 * macvtap and ipvtap have queue files too, but of another driver.
 */
bool tapxfer_dev_is_tun(const struct net_device *dev)
{
	return dev->rtnl_link_ops && !strcmp(dev->rtnl_link_ops->kind, "tun");
}

/**
 * tapxfer_dev_info_alloc - scratch space for the driver's fill_info
 *
 * Return: to be freed with kfree_skb(), or NULL.
 */
struct sk_buff *tapxfer_dev_info_alloc(void)
{
	return alloc_skb(INFO_SIZE, GFP_KERNEL);
}

static int dev_ask(struct net_device *dev, struct sk_buff *info,
		   struct nlattr *tb[])
{
	int err;

	ASSERT_RTNL();
	skb_trim(info, 0);
	err = dev->rtnl_link_ops->fill_info(info, dev);
	if (err)
		return err;
	return nla_parse(tb, IFLA_TUN_MAX, (struct nlattr *)info->data,
			 info->len, NULL, NULL);
}

static void info_counts(struct nlattr *tb[], unsigned int *enabled,
			unsigned int *detached)
{
	/* A single-queue device has no counts: one file, which cannot be
	 * detached. A persistent one may have none; then there is nobody who
	 * could ask.
	 */
	*enabled = 1;
	*detached = 0;
	if (tb[IFLA_TUN_NUM_QUEUES])
		*enabled = nla_get_u32(tb[IFLA_TUN_NUM_QUEUES]);
	if (tb[IFLA_TUN_NUM_DISABLED_QUEUES])
		*detached = nla_get_u32(tb[IFLA_TUN_NUM_DISABLED_QUEUES]);
}

/**
 * tapxfer_dev_counts - how many queues a device has
 * @dev: a tun/tap netdev
 * @info: scratch space
 * @enabled: queues that carry traffic
 * @detached: queues detached by TUNSETQUEUE
 *
 * Context: under rtnl.
 * Return: 0, or what the driver says.
 */
int tapxfer_dev_counts(struct net_device *dev, struct sk_buff *info,
		       unsigned int *enabled, unsigned int *detached)
{
	struct nlattr *tb[IFLA_TUN_MAX + 1];
	int err;

	err = dev_ask(dev, info, tb);
	if (err)
		return err;
	info_counts(tb, enabled, detached);
	return 0;
}

/*
 * TUNSETOFFLOAD as the netdev's features tell it. TUN_F_UFO leaves no trace in
 * any of the kernels served, and TUN_F_USO4 and TUN_F_USO6 share one feature.
 */
static u32 dev_offloads(netdev_features_t features)
{
	u32 offloads = 0;

	if (!(features & NETIF_F_HW_CSUM))
		return 0;
	offloads |= TUN_F_CSUM;
	if (features & NETIF_F_TSO)
		offloads |= TUN_F_TSO4;
	if (features & NETIF_F_TSO6)
		offloads |= TUN_F_TSO6;
	if (features & NETIF_F_TSO_ECN)
		offloads |= TUN_F_TSO_ECN;
#ifdef TUN_F_USO4
	if (features & NETIF_F_GSO_UDP_L4)
		offloads |= TUN_F_USO4 | TUN_F_USO6;
#endif
#ifdef TUN_F_UDP_TUNNEL_GSO
	if (features & NETIF_F_GSO_UDP_TUNNEL)
		offloads |= TUN_F_UDP_TUNNEL_GSO;
	if (features & NETIF_F_GSO_UDP_TUNNEL_CSUM)
		offloads |= TUN_F_UDP_TUNNEL_GSO_CSUM;
#endif
	return offloads;
}

/**
 * tapxfer_dev_offloads_are - whether TUNSETOFFLOAD would change nothing
 * @dev: a tun/tap netdev
 * @offloads: its argument, which the driver takes
 *
 * What it has allowed before may be more than is in use: ethtool turns some off,
 * and on again.
 *
 * Context: under rtnl.
 */
bool tapxfer_dev_offloads_are(struct net_device *dev, u32 offloads)
{
	const struct net_device_ops *ops = dev->netdev_ops;

	ASSERT_RTNL();
	offloads &= ~TUN_F_UFO;
	return ops->ndo_fix_features &&
	       dev_offloads(dev->features) == offloads &&
	       dev_offloads(ops->ndo_fix_features(dev, ~(netdev_features_t)0)) ==
	       offloads;
}

/*
 * The driver tells ids in the caller's user namespace. There the overflow id is
 * what an owner is called that has no name, and not who owns the device.
 */
static kuid_t dev_owner(uid_t uid)
{
	struct user_namespace *ns = current_user_ns();

	if (ns != &init_user_ns && uid == overflowuid)
		return INVALID_UID;
	return make_kuid(ns, uid);
}

static kgid_t dev_group(gid_t gid)
{
	struct user_namespace *ns = current_user_ns();

	if (ns != &init_user_ns && gid == overflowgid)
		return INVALID_GID;
	return make_kgid(ns, gid);
}

static void dev_xdp(struct net_device *dev, struct tapxfer_dev_state *st)
{
	struct bpf_prog *prog;

	st->has_xdp = dev_xdp_prog_count(dev);
	/* A program attached through a link is known to exist, but the link's
	 * type is private to the core: its id stays 0.
	 */
	prog = dev->xdp_state[XDP_MODE_DRV].prog ?:
	       dev->xdp_state[XDP_MODE_SKB].prog;
	st->xdp_prog_id = prog ? prog->aux->id : 0;
}

/**
 * tapxfer_dev_state - what can be told of a device without one of its files
 * @dev: a tun/tap netdev
 * @info: scratch space
 * @st: zeroed; its first half is filled in
 *
 * Context: under rtnl.
 * Return: 0, or what the driver says.
 */
int tapxfer_dev_state(struct net_device *dev, struct sk_buff *info,
		      struct tapxfer_dev_state *st)
{
	struct nlattr *tb[IFLA_TUN_MAX + 1];
	int err;

	err = dev_ask(dev, info, tb);
	if (err)
		return err;

	st->ifindex = dev->ifindex;
	strscpy(st->ifname, dev->name, sizeof(st->ifname));
	st->type = tb[IFLA_TUN_TYPE] &&
		   nla_get_u8(tb[IFLA_TUN_TYPE]) == IFF_TAP ?
		   TAPXFER_DEV_TYPE_TAP : TAPXFER_DEV_TYPE_TUN;
	st->link_type = dev->type;
	st->ids = current_user_ns() == &init_user_ns;
	st->owner = INVALID_UID;
	st->group = INVALID_GID;
	if (tb[IFLA_TUN_OWNER])
		st->owner = dev_owner(nla_get_u32(tb[IFLA_TUN_OWNER]));
	if (tb[IFLA_TUN_GROUP])
		st->group = dev_group(nla_get_u32(tb[IFLA_TUN_GROUP]));
	st->persist = tb[IFLA_TUN_PERSIST] &&
		      nla_get_u8(tb[IFLA_TUN_PERSIST]);
	st->multi_queue = tb[IFLA_TUN_MULTI_QUEUE] &&
			  nla_get_u8(tb[IFLA_TUN_MULTI_QUEUE]);
	/* TUNGETIFF cannot tell: its IFF_NOFILTER is the same bit. */
	if (tb[IFLA_TUN_PI] && !nla_get_u8(tb[IFLA_TUN_PI]))
		st->flags |= IFF_NO_PI;
	info_counts(tb, &st->num_queues, &st->num_detached);
	st->mac_len = min_t(unsigned int, dev->addr_len, sizeof(st->mac));
	memcpy(st->mac, dev->dev_addr, st->mac_len);
	st->mtu = dev->mtu;
	st->carrier = netif_carrier_ok(dev);
	st->tx_queue_len = dev->tx_queue_len;
	st->offloads = dev_offloads(dev->features);
	dev_xdp(dev, st);
	return 0;
}

/**
 * tapxfer_dev_tx_dropped - the driver's count of packets that it dropped
 * @dev: a tun/tap netdev, to which the caller owns a reference
 *
 * Return: packets since the device was made, for whatever cause.
 */
u64 tapxfer_dev_tx_dropped(struct net_device *dev)
{
	struct rtnl_link_stats64 stats;

	return dev_get_stats(dev, &stats)->tx_dropped;
}

/**
 * tapxfer_dev_count_dropped - count packets that were dropped in the driver's place
 * @dev: a tun or tap device
 * @n: how many, to the device's queues; without memory for the counter they are not
 */
void tapxfer_dev_count_dropped(struct net_device *dev, unsigned int n)
{
	while (n--)
		dev_core_stats_tx_dropped_inc(dev);
}
