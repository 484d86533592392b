// SPDX-License-Identifier: GPL-2.0
/*
 * Questions that change nothing: features, devices, handovers.
 */
#include <linux/rtnetlink.h>

#include "internal.h"

/**
 * tapxfer_cap_get_doit - TAPXFER_CMD_CAP_GET
 * @skb: the request
 * @info: the request, parsed
 *
 * Return: 0 or an errno.
 */
int tapxfer_cap_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct tapxfer_reply r;
	int err;

	err = tapxfer_reply_new(&r, info, NLMSG_DEFAULT_SIZE);
	if (err)
		return err;
	if (nla_put_u64_64bit(r.skb, TAPXFER_A_CAP_FEATURES,
			      TAPXFER_FEATURE_HOLD |
			      TAPXFER_FEATURE_DETACHED |
			      TAPXFER_FEATURE_CLAIM |
			      TAPXFER_FEATURE_CLAIMANT_EXIT |
			      TAPXFER_FEATURE_WRITE_WAIT |
			      TAPXFER_FEATURE_SHADOW |
			      TAPXFER_FEATURE_READY |
			      TAPXFER_FEATURE_NO_FDS |
			      TAPXFER_FEATURE_PASS |
			      TAPXFER_FEATURE_EXCLUSIVE |
			      TAPXFER_FEATURE_VHOST_BATCH |
			      TAPXFER_FEATURE_DRAIN |
			      TAPXFER_FEATURE_HOLD_BYTES |
			      TAPXFER_FEATURE_VIOLATED |
			      TAPXFER_FEATURE_ATTACH_ALL |
			      TAPXFER_FEATURE_SCRATCH |
			      TAPXFER_FEATURE_BRIEF |
			      TAPXFER_FEATURE_CLAIM_THAW,
			      TAPXFER_A_CAP_PAD) ||
	    nla_put_u32(r.skb, TAPXFER_A_CAP_HOLD_DEFAULT,
			TAPXFER_HOLD_DEFAULT) ||
	    nla_put_u32(r.skb, TAPXFER_A_CAP_HOLD_MAX, TAPXFER_HOLD_MAX) ||
	    nla_put_u32(r.skb, TAPXFER_A_CAP_DEADLINE_DEFAULT,
			TAPXFER_DEADLINE_DEFAULT) ||
	    nla_put_u32(r.skb, TAPXFER_A_CAP_DEADLINE_MAX,
			TAPXFER_DEADLINE_MAX) ||
	    nla_put_u32(r.skb, TAPXFER_A_CAP_TIMEOUT_MAX,
			TAPXFER_TIMEOUT_MAX) ||
	    nla_put_u64_64bit(r.skb, TAPXFER_A_CAP_HOLD_BYTES_DEFAULT,
			      TAPXFER_HOLD_BYTES_DEFAULT, TAPXFER_A_CAP_PAD) ||
	    nla_put_u64_64bit(r.skb, TAPXFER_A_CAP_HOLD_BYTES_MAX,
			      TAPXFER_HOLD_BYTES_MAX, TAPXFER_A_CAP_PAD) ||
	    nla_put_u32(r.skb, TAPXFER_A_CAP_QUEUES_MAX, TAPXFER_QUEUES_MAX) ||
	    nla_put_string(r.skb, TAPXFER_A_CAP_MODULE_VERSION,
			   TAPXFER_VERSION)) {
		tapxfer_reply_free(&r);
		return -EMSGSIZE;
	}
	return tapxfer_reply_send(&r, info);
}

static int fill_dev_handover(struct sk_buff *skb, struct net_device *dev)
{
	struct tapxfer_handover *ho = tapxfer_handover_on(dev);
	int err = 0;

	if (!ho)
		return 0;
	if (nla_put_u32(skb, TAPXFER_A_DEV_HANDOVER, ho->ho_id) ||
	    nla_put_u32(skb, TAPXFER_A_DEV_HANDOVER_STATE,
			READ_ONCE(ho->ho_state)))
		err = -EMSGSIZE;
	tapxfer_handover_put(ho);
	return err;
}

/* Under rtnl. @st: what a file has told, or zeroes */
static int fill_dev(struct sk_buff *skb, struct net_device *dev,
		    struct sk_buff *scratch, struct tapxfer_dev_state *st)
{
	int err;

	err = tapxfer_dev_state(dev, scratch, st);
	if (!err)
		err = tapxfer_fill_dev(skb, st);
	if (!err)
		err = fill_dev_handover(skb, dev);
	return err;
}

/*
 * The half of a device's state that a file of the caller's tells. Without a
 * reference to the device: the caller may stall in its own memory.
 */
static int dev_get_file(struct genl_info *info,
			const struct tapxfer_probe_dev *pd,
			struct tapxfer_dev_state *st)
{
	const struct nlattr *a = info->attrs[TAPXFER_A_DEV_FD];
	struct tapxfer_scratch scratch;
	struct socket *sock;
	struct file *file;
	int err;

	file = fget(nla_get_s32(a));
	if (!file) {
		NL_SET_ERR_MSG_ATTR(info->extack, a,
				    "no such file descriptor in the calling process");
		return -EBADF;
	}
	sock = tapxfer_fence_socket(file);
	if (IS_ERR(sock)) {
		err = tapxfer_refuse_file(info->extack, a, sock,
					  "the file is in a handover, ask for that one's state");
		goto out_fput;
	}
	err = tapxfer_scratch_get(&scratch, 0, info->extack);
	if (err)
		goto out_fput;

	err = tapxfer_probe_file(file, pd, &scratch);
	if (!err)
		err = tapxfer_probe_state(file, &scratch, st);
	if (err)
		NL_SET_ERR_MSG_ATTR(info->extack, a,
				    "the file is not a queue of the device");
	st->sndbuf = READ_ONCE(sock->sk->sk_sndbuf);
	tapxfer_scratch_put(&scratch);
out_fput:
	fput(file);
	return err;
}

/* Under rtnl: the device that the request names. */
static int dev_get_find(struct genl_info *info, struct net_device **dev)
{
	const struct nlattr *a = info->attrs[TAPXFER_A_DEV_IFINDEX];

	*dev = __dev_get_by_index(genl_info_net(info), nla_get_u32(a));
	if (!*dev) {
		NL_SET_ERR_MSG_ATTR(info->extack, a,
				    "no such device in the caller's network namespace");
		return -ENODEV;
	}
	if (!tapxfer_dev_is_tun(*dev)) {
		NL_SET_ERR_MSG_ATTR(info->extack, a,
				    "the device is not a tun or tap");
		return -EOPNOTSUPP;
	}
	return 0;
}

static int dev_get_fill(struct genl_info *info, struct sk_buff *skb,
			struct tapxfer_dev_state *st)
{
	struct net_device *dev;
	struct sk_buff *scratch;
	int err;

	scratch = tapxfer_dev_info_alloc();
	if (!scratch)
		return tapxfer_no_memory(info->extack);
	rtnl_lock();
	err = dev_get_find(info, &dev);
	if (!err)
		err = fill_dev(skb, dev, scratch, st);
	rtnl_unlock();
	kfree_skb(scratch);
	return err;
}

/**
 * tapxfer_dev_get_doit - TAPXFER_CMD_DEV_GET, one device
 * @skb: the request
 * @info: the request, parsed
 *
 * Return: 0 or an errno.
 */
int tapxfer_dev_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct tapxfer_dev_state st = {};
	struct tapxfer_probe_dev pd;
	struct net_device *dev;
	struct tapxfer_reply r;
	int err;

	if (!info->attrs[TAPXFER_A_DEV_IFINDEX]) {
		NL_SET_ERR_MSG(info->extack,
			       "no device given, its ifindex is needed");
		return -EINVAL;
	}
	if (info->attrs[TAPXFER_A_DEV_FD]) {
		err = tapxfer_check_opener(skb, info);
		if (err)
			return err;
		rtnl_lock();
		err = dev_get_find(info, &dev);
		if (!err)
			tapxfer_probe_dev_init(&pd, dev);
		rtnl_unlock();
		if (!err)
			err = dev_get_file(info, &pd, &st);
		if (err)
			return err;
	}
	err = tapxfer_reply_new(&r, info, tapxfer_fill_size(0));
	if (err)
		return err;
	err = dev_get_fill(info, r.skb, &st);
	if (!err)
		return tapxfer_reply_send(&r, info);
	tapxfer_reply_free(&r);
	return err;
}

static int dev_dump_one(struct sk_buff *skb, struct netlink_callback *cb,
			struct net_device *dev, struct sk_buff *scratch)
{
	struct tapxfer_dev_state st = {};
	void *hdr;
	int err;

	hdr = genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq,
			  &tapxfer_family, NLM_F_MULTI, TAPXFER_CMD_DEV_GET);
	if (!hdr)
		return -EMSGSIZE;
	genl_dump_check_consistent(cb, hdr);
	err = fill_dev(skb, dev, scratch, &st);
	if (err)
		genlmsg_cancel(skb, hdr);
	else
		genlmsg_end(skb, hdr);
	return err;
}

/* A filter that is not obeyed would be worse than none. */
static int dump_check(struct netlink_callback *cb)
{
	if (!nlmsg_attrlen(cb->nlh, GENL_HDRLEN))
		return 0;
	NL_SET_ERR_MSG(cb->extack, "a dump takes no attributes");
	return -EINVAL;
}

/**
 * tapxfer_dev_get_dumpit - TAPXFER_CMD_DEV_GET, all of the caller's network namespace
 * @skb: the reply
 * @cb: the dump
 *
 * Return: bytes in the reply, 0 at the end, or an errno.
 */
int tapxfer_dev_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct net *net = sock_net(skb->sk);
	struct sk_buff *scratch;
	struct net_device *dev;
	long i = 0;
	int err;

	err = dump_check(cb);
	if (err)
		return err;
	scratch = tapxfer_dev_info_alloc();
	if (!scratch)
		return tapxfer_no_memory(cb->extack);

	rtnl_lock();
	/* By place in the list; the reader is told when that has changed. */
	cb->seq = net->dev_base_seq;
	for_each_netdev(net, dev) {
		if (i++ < cb->args[0])
			continue;
		if (tapxfer_dev_is_tun(dev))
			err = dev_dump_one(skb, cb, dev, scratch);
		if (err)
			break;
		cb->args[0] = i;
	}
	rtnl_unlock();
	kfree_skb(scratch);
	return skb->len ?: err;
}

static bool handover_is_in(const struct tapxfer_handover *ho,
			   const struct net *net)
{
	return ho->ho_dev && net_eq(dev_net(ho->ho_dev), net);
}

/**
 * tapxfer_handover_get_doit - TAPXFER_CMD_HANDOVER_GET, one with its device and queues
 * @skb: the request
 * @info: the request, parsed
 *
 * Return: 0 or an errno.
 */
int tapxfer_handover_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct tapxfer_handover *ho;
	struct tapxfer_reply r;
	int err;

	ho = tapxfer_find(info);
	if (IS_ERR(ho))
		return PTR_ERR(ho);
	err = tapxfer_reply_new(&r, info, tapxfer_fill_size(ho->ho_nqueues));
	if (err)
		goto out;

	mutex_lock(&ho->ho_lock);
	if (handover_is_in(ho, genl_info_net(info))) {
		err = tapxfer_fill_handover(r.skb, ho, true);
	} else {
		NL_SET_ERR_MSG_ATTR(info->extack,
				    info->attrs[TAPXFER_A_HANDOVER_ID],
				    "no such handover: it never was, or it has ended");
		err = -ENOENT;
	}
	mutex_unlock(&ho->ho_lock);

	if (err)
		tapxfer_reply_free(&r);
	else
		err = tapxfer_reply_send(&r, info);
out:
	tapxfer_handover_put(ho);
	return err;
}

static int handover_dump_one(struct sk_buff *skb, struct netlink_callback *cb,
			     struct tapxfer_handover *ho)
{
	void *hdr;
	int err;

	hdr = genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq,
			  &tapxfer_family, NLM_F_MULTI,
			  TAPXFER_CMD_HANDOVER_GET);
	if (!hdr)
		return -EMSGSIZE;
	err = tapxfer_fill_handover(skb, ho, false);
	if (err)
		genlmsg_cancel(skb, hdr);
	else
		genlmsg_end(skb, hdr);
	return err;
}

/**
 * tapxfer_handover_get_dumpit - TAPXFER_CMD_HANDOVER_GET, all of the caller's network namespace
 * @skb: the reply
 * @cb: the dump
 *
 * Return: bytes in the reply, 0 at the end, or an errno.
 */
int tapxfer_handover_get_dumpit(struct sk_buff *skb,
				struct netlink_callback *cb)
{
	struct net *net = sock_net(skb->sk);
	struct tapxfer_handover *ho;
	unsigned long id = cb->args[0];
	int err;

	err = dump_check(cb);
	while (!err && (ho = tapxfer_handover_next(&id))) {
		mutex_lock(&ho->ho_lock);
		if (ho->ho_state && handover_is_in(ho, net))
			err = handover_dump_one(skb, cb, ho);
		mutex_unlock(&ho->ho_lock);
		tapxfer_handover_put(ho);
		if (!err)
			cb->args[0] = id;
	}
	return skb->len ?: err;
}
