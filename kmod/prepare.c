// SPDX-License-Identifier: GPL-2.0
/*
 * Beginning a handover: everything that can fail, while the source runs.
 */
#include <linux/rtnetlink.h>
#include <linux/timekeeping.h>

#include "internal.h"

#define PREPARE_FENCED	"the file is in a handover already, end that one first"

/*
 * Find the device. From here on the handover can be found by it, so that a
 * caller who stalls in its own memory does not keep the device from going.
 */
static int prepare_dev(struct tapxfer_handover *ho,
		       const struct tapxfer_request *req,
		       struct tapxfer_probe_dev *pd,
		       struct netlink_ext_ack *extack)
{
	struct net_device *dev;
	int err = 0;

	rtnl_lock();
	dev = __dev_get_by_index(req->net, req->ifindex);
	if (!dev) {
		NL_SET_ERR_MSG_ATTR(extack, req->dev_attr,
				    "no such device in the caller's network namespace");
		err = -ENODEV;
	} else if (!tapxfer_dev_is_tun(dev)) {
		NL_SET_ERR_MSG_ATTR(extack, req->dev_attr,
				    "the device is not a tun or tap");
		err = -EOPNOTSUPP;
	} else {
		tapxfer_probe_dev_init(pd, dev);
		tapxfer_handover_set_dev(ho, dev);
	}
	rtnl_unlock();
	return err;
}

static int prepare_probe(struct file *file, const struct nlattr *attr,
			 const struct tapxfer_probe_dev *pd,
			 const struct tapxfer_scratch *scratch,
			 struct netlink_ext_ack *extack)
{
	u32 flags;
	int err;

	err = tapxfer_probe_file(file, pd, scratch);
	if (!err)
		err = tapxfer_probe_flags(file, scratch, &flags);
	if (err == -EXDEV)
		NL_SET_ERR_MSG_ATTR(extack, attr,
				    "the file is a queue of another device");
	else if (err == -EBADFD)
		NL_SET_ERR_MSG_ATTR(extack, attr,
				    "the file is attached to no device, TUNSETIFF comes first");
	else if (err == -EAGAIN)
		NL_SET_ERR_MSG_ATTR(extack, attr,
				    "tun and tap devices come and go too fast, try again");
	else if (err == -ENOTUNIQ)
		NL_SET_ERR_MSG_ATTR(extack, attr,
				    "another tun or tap of this host has the tun's name, rename one");
	else if (err)
		NL_SET_ERR_MSG_ATTR(extack, attr,
				    "the driver does not tell the file's device");
	if (err)
		return err;

	if (flags & IFF_NAPI_FRAGS) {
		NL_SET_ERR_MSG_ATTR(extack, attr,
				    "IFF_NAPI_FRAGS is not supported: such a device is for tests");
		return -EOPNOTSUPP;
	}
	return 0;
}

/* Take hold of file number @i; whoever unpublishes the handover lets go. */
static int prepare_file(struct tapxfer_handover *ho, unsigned int i,
			const struct nlattr *attr,
			struct netlink_ext_ack *extack)
{
	struct tapxfer_queue *q = &ho->ho_queues[i];
	struct socket *sock;
	struct file *file;
	unsigned int j;

	file = fget(nla_get_s32(attr));
	if (!file) {
		NL_SET_ERR_MSG_ATTR(extack, attr,
				    "no such file descriptor in the calling process");
		return -EBADF;
	}
	WRITE_ONCE(q->q_file, file);
	q->q_ho = ho;
	q->q_index = i;
	INIT_LIST_HEAD(&q->q_sleepers);
	tapxfer_send_init(q);

	for (j = 0; j < i; j++) {
		if (ho->ho_queues[j].q_file == file) {
			NL_SET_ERR_MSG_ATTR(extack, attr,
					    "the same file is given twice, under this descriptor or a duplicate");
			return -EINVAL;
		}
	}

	sock = tapxfer_fence_socket(file);
	if (IS_ERR(sock))
		return tapxfer_refuse_file(extack, attr, sock, PREPARE_FENCED);
	q->q_sk = sock->sk;
	q->q_sndbuf = sock->sk->sk_sndbuf;
	return 0;
}

static int prepare_queue(struct tapxfer_handover *ho, unsigned int i,
			 const struct nlattr *attr,
			 const struct tapxfer_probe_dev *pd,
			 const struct tapxfer_scratch *scratch,
			 struct netlink_ext_ack *extack)
{
	struct tapxfer_queue *q = &ho->ho_queues[i];
	struct ptr_ring *ring;
	int err;

	ring = tun_get_tx_ring(q->q_file);
	if (IS_ERR(ring)) {
		/* since prepare_file() */
		NL_SET_ERR_MSG_ATTR(extack, attr, PREPARE_FENCED);
		return -EBUSY;
	}
	err = prepare_probe(q->q_file, attr, pd, scratch, extack);
	if (err)
		return err;

	return tapxfer_ring_init(&q->q_ring, ring, pd->tx_queue_len,
				 ho->ho_hold, &ho->ho_budget, extack);
}

/* What is asked for late, when it must not fail for want of memory. */
static int prepare_learn(struct tapxfer_handover *ho,
			 struct netlink_ext_ack *extack)
{
	int err = tapxfer_holders_learn(ho->ho_queues[0].q_file);

	if (err)
		NL_SET_ERR_MSG(extack,
			       "no memory to learn how files are polled, try again");
	return err;
}

/* The files, and then the caller's memory: see tapxfer_scratch_take(). */
static int prepare_queues(struct tapxfer_handover *ho,
			  const struct tapxfer_request *req,
			  const struct tapxfer_probe_dev *pd,
			  struct netlink_ext_ack *extack)
{
	struct tapxfer_scratch scratch;
	unsigned int i;
	int err = 0;

	for (i = 0; !err && i < req->nfds; i++)
		err = prepare_file(ho, i, req->fds[i], extack);
	if (!err)
		err = prepare_learn(ho, extack);
	if (!err)
		err = tapxfer_scratch_take(req->scratch, &ho->ho_scratch,
					   extack);
	if (!err)
		err = tapxfer_scratch_get(&scratch, ho->ho_scratch, extack);
	if (err)
		return err;
	for (i = 0; !err && i < req->nfds; i++)
		err = prepare_queue(ho, i, req->fds[i], pd, &scratch,
				    extack);
	tapxfer_scratch_put(&scratch);
	return err;
}

/* The files given are the device's; are they all of them? */
static int prepare_count(struct tapxfer_handover *ho,
			 struct netlink_ext_ack *extack)
{
	unsigned int enabled, detached;
	int err;

	err = tapxfer_dev_counts(ho->ho_dev, ho->ho_info, &enabled, &detached);
	if (err) {
		NL_SET_ERR_MSG(extack,
			       "the driver does not tell the device's queues");
		return err;
	}
	if (ho->ho_nqueues == enabled + detached)
		return 0;
	NL_SET_ERR_MSG(extack,
		       "queue files are missing: give all of the device's, detached ones too");
	return -EINVAL;
}

/* Give it a state, and put the fence, open, before its files. */
static int prepare_commit(struct tapxfer_handover *ho, const struct net *net,
			  struct netlink_ext_ack *extack)
{
	struct tapxfer_handover *other;
	unsigned int i;
	int err;

	rtnl_lock();
	mutex_lock(&ho->ho_lock);

	/* What the caller may ask for was judged by that namespace. */
	if (!ho->ho_dev || ho->ho_dev->reg_state != NETREG_REGISTERED ||
	    !net_eq(dev_net(ho->ho_dev), net)) {
		NL_SET_ERR_MSG(extack, "the device was deleted or moved meanwhile");
		err = -ENODEV;
		goto out;
	}
	err = prepare_count(ho, extack);
	if (err)
		goto out;
	/* Not itself, which is not live yet. */
	other = tapxfer_handover_on(ho->ho_dev);
	if (other) {
		tapxfer_handover_put(other);
		NL_SET_ERR_MSG(extack,
			       "the device is in a handover already, end that one first");
		err = -EBUSY;
		goto out;
	}
	for (i = 0; i < ho->ho_nqueues; i++) {
		if (tapxfer_ring_fits(&ho->ho_queues[i].q_ring))
			continue;
		NL_SET_ERR_MSG(extack,
			       "the device's rings grew meanwhile, try again");
		err = -EAGAIN;
		goto out;
	}

	for (i = 0; i < ho->ho_nqueues; i++) {
		err = tapxfer_fence_add(&ho->ho_queues[i]);
		if (err)
			break;
	}
	if (err) {
		if (err == -EEXIST) {
			NL_SET_ERR_MSG(extack,
				       "a file is in a handover already, end that one first");
			err = -EBUSY;
		} else {
			NL_SET_ERR_MSG(extack,
				       "no memory to put the fence before a file, try again");
			err = -ENOMEM;
		}
		for (i = 0; i < ho->ho_nqueues; i++) {
			/* Who was just late may have found it. */
			tapxfer_fence_remove(&ho->ho_queues[i]);
			tapxfer_queue_wake(&ho->ho_queues[i]);
		}
		goto out;
	}

	for (i = 0; i < ho->ho_nqueues; i++) {
		tapxfer_fence_raise(&ho->ho_queues[i]);
		tapxfer_send_begin(&ho->ho_queues[i]);
	}
	ho->ho_prepared_at = ktime_get_ns();
	WRITE_ONCE(ho->ho_state, TAPXFER_STATE_PREPARED);
	kref_get(&ho->ho_ref);
	queue_delayed_work(tapxfer_wq, &ho->ho_deadline_work,
			   msecs_to_jiffies(ho->ho_deadline));
	tapxfer_event(ho, TAPXFER_EVENT_PREPARED);
out:
	mutex_unlock(&ho->ho_lock);
	rtnl_unlock();
	return err;
}

/**
 * tapxfer_prepare - begin a handover
 * @req: the request; its limits are checked
 * @extack: for errors
 *
 * Context: in the calling process, whose descriptors and memory are used.
 * Return: the handover, with a reference, its first command begun; or an
 * ERR_PTR(), and nothing was changed.
 */
struct tapxfer_handover *tapxfer_prepare(const struct tapxfer_request *req,
					 struct netlink_ext_ack *extack)
{
	struct tapxfer_probe_dev pd;
	struct tapxfer_handover *ho;
	int err;

	ho = tapxfer_handover_alloc(req->nfds);
	if (IS_ERR(ho)) {
		tapxfer_set_err(extack, NULL, PTR_ERR(ho) == -ENODEV ?
				"the module is being unloaded" :
				"no memory for a handover");
		return ho;
	}
	ho->ho_hold = req->hold;
	ho->ho_deadline = req->deadline;

	err = tapxfer_handover_publish(ho);
	if (err) {
		NL_SET_ERR_MSG(extack, "no memory for a handover");
		goto out;
	}
	err = tapxfer_budget_init(&ho->ho_budget, req->net, req->hold_bytes,
				  req->nfds, extack);
	if (err)
		goto out_unpublish;
	err = prepare_dev(ho, req, &pd, extack);
	if (!err)
		err = prepare_queues(ho, req, &pd, extack);
	if (!err)
		err = prepare_commit(ho, req->net, extack);
	if (!err) {
		/* A batch that vhost sent before is not counted, and the driver
		 * is at it in one RCU section: no later freeze has to wait.
		 */
		synchronize_rcu();
		return ho;
	}

out_unpublish:
	tapxfer_handover_unpublish(ho);
out:
	tapxfer_handover_put(ho);
	return ERR_PTR(err);
}
