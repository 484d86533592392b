// SPDX-License-Identifier: GPL-2.0
/*
 * What the family tells: replies, dumps and events.
 */
#include <linux/cred.h>
#include <linux/rtnetlink.h>
#include <linux/timekeeping.h>

#include "internal.h"
#include "trace.h"

static size_t dev_size(void)
{
	/* As many of 32 bits, or of 8, which take the same */
	return nla_total_size(0) + 20 * nla_total_size(sizeof(u32)) +
	       nla_total_size(IFNAMSIZ) + nla_total_size(MAX_ADDR_LEN);
}

/**
 * tapxfer_fill_size - room for the longest reply
 * @nqueues: number of queues in it
 *
 * Return: bytes, the generic netlink header not counted.
 */
size_t tapxfer_fill_size(unsigned int nqueues)
{
	size_t queue = nla_total_size(0) +
		       11 * nla_total_size(sizeof(u32)) +
		       3 * nla_total_size(sizeof(u8)) +
		       nla_total_size_64bit(sizeof(u64));
	size_t handover = TAPXFER_A_HANDOVER_MAX *
			  nla_total_size_64bit(sizeof(u64)) +
			  nla_total_size(TAPXFER_TOKEN_LEN) +
			  nla_total_size(IFNAMSIZ);

	return handover + dev_size() + nqueues * queue;
}

/**
 * tapxfer_fill_step_size - room for what has neither device nor queues in it
 *
 * An event, or the reply to a step. Netlink copies what has much more room than
 * it needs.
 *
 * Return: bytes, the generic netlink header not counted.
 */
size_t tapxfer_fill_step_size(void)
{
	/* id, ifindex, state, event, num-queues, claimant, violated */
	return 7 * nla_total_size(sizeof(u32)) + nla_total_size(IFNAMSIZ) +
	       nla_total_size(TAPXFER_TOKEN_LEN) +
	       /* time, held, dropped, blackout, unsent */
	       5 * nla_total_size_64bit(sizeof(u64));
}

/**
 * tapxfer_fill_state_size - room for the reply to freeze and claim
 * @nqueues: number of queues in it
 * @fds: with the claimant's descriptors
 *
 * Return: bytes, the generic netlink header not counted.
 */
size_t tapxfer_fill_state_size(unsigned int nqueues, bool fds)
{
	/* index, held, and the descriptor; detached, nonblock */
	size_t queue = nla_total_size(0) +
		       (2 + fds) * nla_total_size(sizeof(u32)) +
		       2 * nla_total_size(sizeof(u8));
	/* id, ifindex, state, num-queues, violated; held */
	size_t handover = 5 * nla_total_size(sizeof(u32)) +
			  nla_total_size(IFNAMSIZ) +
			  nla_total_size_64bit(sizeof(u64));

	/* Who claims has the token. */
	if (!fds)
		handover += nla_total_size(TAPXFER_TOKEN_LEN);
	return handover + dev_size() + nqueues * queue;
}

/**
 * tapxfer_fill_brief_size - the same in short
 * @nfds: number of descriptors
 *
 * Return: bytes, the generic netlink header not counted.
 */
size_t tapxfer_fill_brief_size(unsigned int nfds)
{
	/* id, ifindex, state, num-queues, violated */
	return 5 * nla_total_size(sizeof(u32)) + nla_total_size(IFNAMSIZ) +
	       nla_total_size(TAPXFER_TOKEN_LEN) +
	       nla_total_size(nfds * sizeof(s32));
}

/**
 * tapxfer_reply_alloc - memory for a reply
 * @size: room for attributes, bytes
 *
 * Return: for tapxfer_reply_begin() or nlmsg_free(), or NULL.
 */
struct sk_buff *tapxfer_reply_alloc(size_t size)
{
	return genlmsg_new(size, GFP_KERNEL);
}

/**
 * tapxfer_reply_begin - begin a reply whose memory is there
 * @r: the reply
 * @info: the request
 * @skb: from tapxfer_reply_alloc(), which belongs to the reply, or NULL
 *
 * Return: 0; or -ENOMEM or -EMSGSIZE, and the reply has none.
 */
int tapxfer_reply_begin(struct tapxfer_reply *r, struct genl_info *info,
			struct sk_buff *skb)
{
	r->skb = skb;
	if (!r->skb)
		return tapxfer_no_memory(info->extack);
	r->hdr = genlmsg_put_reply(r->skb, info, &tapxfer_family, 0,
				   info->genlhdr->cmd);
	if (r->hdr)
		return 0;
	nlmsg_free(r->skb);
	r->skb = NULL;
	return -EMSGSIZE;
}

/**
 * tapxfer_reply_new - begin a reply
 * @r: the reply
 * @info: the request
 * @size: room for attributes, bytes
 *
 * Return: 0, -ENOMEM or -EMSGSIZE.
 */
int tapxfer_reply_new(struct tapxfer_reply *r, struct genl_info *info,
		      size_t size)
{
	return tapxfer_reply_begin(r, info, tapxfer_reply_alloc(size));
}

/**
 * tapxfer_reply_send - send a reply, and let go of it
 * @r: the reply
 * @info: the request
 *
 * Return: 0, or an errno when the caller's socket does not take it.
 */
int tapxfer_reply_send(struct tapxfer_reply *r, struct genl_info *info)
{
	genlmsg_end(r->skb, r->hdr);
	return genlmsg_reply(r->skb, info);
}

/**
 * tapxfer_reply_free - let go of a reply that is not sent
 * @r: the reply
 */
void tapxfer_reply_free(struct tapxfer_reply *r)
{
	nlmsg_free(r->skb);
}

/* The half that only a file tells. */
static int fill_dev_file(struct sk_buff *skb,
			 const struct tapxfer_dev_state *st)
{
	if (nla_put_u32(skb, TAPXFER_A_DEV_FLAGS, st->flags) ||
	    nla_put_u32(skb, TAPXFER_A_DEV_VNET_HDR_SZ, st->vnet_hdr_sz) ||
	    nla_put_u8(skb, TAPXFER_A_DEV_VNET_LE, st->vnet_le) ||
	    (st->has_vnet_be &&
	     nla_put_u8(skb, TAPXFER_A_DEV_VNET_BE, st->vnet_be)) ||
	    nla_put_s32(skb, TAPXFER_A_DEV_SNDBUF, st->sndbuf))
		return -EMSGSIZE;
	return 0;
}

/**
 * tapxfer_fill_dev - attributes of a device
 * @skb: message to append to
 * @st: the device
 *
 * Return: 0 or -EMSGSIZE.
 */
int tapxfer_fill_dev(struct sk_buff *skb, const struct tapxfer_dev_state *st)
{
	struct user_namespace *ns = current_user_ns();

	if (nla_put_u32(skb, TAPXFER_A_DEV_IFINDEX, st->ifindex) ||
	    nla_put_string(skb, TAPXFER_A_DEV_IFNAME, st->ifname) ||
	    nla_put_u32(skb, TAPXFER_A_DEV_TYPE, st->type) ||
	    nla_put_u32(skb, TAPXFER_A_DEV_LINK_TYPE, st->link_type) ||
	    (st->has_file && fill_dev_file(skb, st)) ||
	    nla_put_u32(skb, TAPXFER_A_DEV_OFFLOADS, st->offloads) ||
	    (uid_valid(st->owner) &&
	     nla_put_u32(skb, TAPXFER_A_DEV_OWNER,
			 from_kuid_munged(ns, st->owner))) ||
	    (gid_valid(st->group) &&
	     nla_put_u32(skb, TAPXFER_A_DEV_GROUP,
			 from_kgid_munged(ns, st->group))) ||
	    nla_put_u8(skb, TAPXFER_A_DEV_PERSIST, st->persist) ||
	    nla_put_u8(skb, TAPXFER_A_DEV_MULTI_QUEUE, st->multi_queue) ||
	    nla_put_u32(skb, TAPXFER_A_DEV_NUM_QUEUES, st->num_queues) ||
	    nla_put_u32(skb, TAPXFER_A_DEV_NUM_DETACHED, st->num_detached) ||
	    (st->mac_len &&
	     nla_put(skb, TAPXFER_A_DEV_MAC, st->mac_len, st->mac)) ||
	    nla_put_u32(skb, TAPXFER_A_DEV_MTU, st->mtu) ||
	    nla_put_u8(skb, TAPXFER_A_DEV_CARRIER, st->carrier) ||
	    nla_put_u32(skb, TAPXFER_A_DEV_TX_QUEUE_LEN, st->tx_queue_len) ||
	    (st->has_xdp &&
	     nla_put_u32(skb, TAPXFER_A_DEV_XDP_PROG_ID, st->xdp_prog_id)) ||
	    nla_put_u32(skb, TAPXFER_A_DEV_NOT_EXPORTED,
			TAPXFER_NOT_EXPORTED_TX_FILTER |
			TAPXFER_NOT_EXPORTED_STEERING_EBPF |
			TAPXFER_NOT_EXPORTED_FILTER_EBPF |
			TAPXFER_NOT_EXPORTED_QUEUE_INDEX))
		return -EMSGSIZE;
	return 0;
}

static bool has_export(const struct tapxfer_handover *ho)
{
	return ho->ho_frozen_at;
}

/* What a queue is, and what it holds. @fd: the claimant's descriptor, or -1 */
static int fill_queue_state(struct sk_buff *skb, const struct tapxfer_queue *q,
			    int fd, unsigned int held)
{
	if (nla_put_u32(skb, TAPXFER_A_QUEUE_INDEX, q->q_index) ||
	    (fd >= 0 && nla_put_s32(skb, TAPXFER_A_QUEUE_FD, fd)) ||
	    (has_export(q->q_ho) &&
	     (nla_put_u8(skb, TAPXFER_A_QUEUE_DETACHED, q->q_detached) ||
	      nla_put_u8(skb, TAPXFER_A_QUEUE_NONBLOCK, q->q_nonblock))) ||
	    nla_put_u32(skb, TAPXFER_A_QUEUE_HELD, held))
		return -EMSGSIZE;
	return 0;
}

/* What else is told of it to who asks. */
static int fill_queue_counts(struct sk_buff *skb, struct tapxfer_queue *q,
			     unsigned int put_back)
{
	if (nla_put_u32(skb, TAPXFER_A_QUEUE_PENDING, q->q_ring.r_pending) ||
	    nla_put_u32(skb, TAPXFER_A_QUEUE_PUT_BACK, put_back) ||
	    nla_put_u64_64bit(skb, TAPXFER_A_QUEUE_HELD_BYTES,
			      READ_ONCE(q->q_ring.r_bytes),
			      TAPXFER_A_QUEUE_PAD) ||
	    nla_put_u32(skb, TAPXFER_A_QUEUE_DELIVERED,
			tapxfer_ring_delivered(&q->q_ring)) ||
	    nla_put_u8(skb, TAPXFER_A_QUEUE_FULL, !!q->q_ring.r_full) ||
	    nla_put_u32(skb, TAPXFER_A_QUEUE_HOLDERS,
			tapxfer_holders_beside(q)) ||
	    (q->q_ho->ho_claimant &&
	     nla_put_u32(skb, TAPXFER_A_QUEUE_OTHERS, q->q_others)) ||
	    nla_put_u32(skb, TAPXFER_A_QUEUE_BATCHED,
			READ_ONCE(q->q_batched)) ||
	    nla_put_u32(skb, TAPXFER_A_QUEUE_WRITERS,
			atomic_read(&q->q_writers)) ||
	    nla_put_u32(skb, TAPXFER_A_QUEUE_UNSENT, tapxfer_queue_unsent(q)))
		return -EMSGSIZE;
	return 0;
}

static int fill_queue(struct sk_buff *skb, struct tapxfer_queue *q, int fd,
		      bool counts, u64 *sum)
{
	unsigned int held, put_back;
	struct nlattr *nest;

	nest = nla_nest_start(skb, TAPXFER_A_HANDOVER_QUEUE);
	if (!nest)
		return -EMSGSIZE;
	held = tapxfer_ring_held(&q->q_ring, &put_back);
	if (fill_queue_state(skb, q, fd, held) ||
	    (counts && fill_queue_counts(skb, q, put_back))) {
		nla_nest_cancel(skb, nest);
		return -EMSGSIZE;
	}
	nla_nest_end(skb, nest);
	*sum += held;
	return 0;
}

/* @fds: the claimant's descriptors, or NULL; @held: of all queues */
static int fill_queues(struct sk_buff *skb, struct tapxfer_handover *ho,
		       const int *fds, bool counts, u64 *held)
{
	unsigned int i;
	int err = 0;

	*held = 0;
	for (i = 0; !err && i < ho->ho_nqueues; i++)
		err = fill_queue(skb, &ho->ho_queues[i], fds ? fds[i] : -1,
				 counts, held);
	return err;
}

static int fill_export(struct sk_buff *skb, struct tapxfer_handover *ho)
{
	struct nlattr *nest;
	int err;

	nest = nla_nest_start(skb, TAPXFER_A_HANDOVER_DEV);
	if (!nest)
		return -EMSGSIZE;
	err = tapxfer_fill_dev(skb, &ho->ho_export);
	if (err) {
		nla_nest_cancel(skb, nest);
		return err;
	}
	nla_nest_end(skb, nest);
	return 0;
}

static u64 handover_dropped(struct tapxfer_handover *ho)
{
	if (!tapxfer_is_live(ho))
		return ho->ho_dropped;
	if (!ho->ho_holding_at)
		return 0;
	return tapxfer_drops_since(tapxfer_dev_tx_dropped(ho->ho_dev),
				   ho->ho_tx_dropped);
}

static u64 handover_blackout(struct tapxfer_handover *ho)
{
	if (!ho->ho_holding_at)
		return 0;
	return (ho->ho_ended_at ?: ktime_get_ns()) - ho->ho_holding_at;
}

/* Which handover, of which device, in which state. */
static int fill_who_in(struct sk_buff *skb, struct tapxfer_handover *ho,
		       enum tapxfer_state state)
{
	if (nla_put_u32(skb, TAPXFER_A_HANDOVER_ID, ho->ho_id) ||
	    (ho->ho_dev &&
	     (nla_put_u32(skb, TAPXFER_A_HANDOVER_IFINDEX,
			  ho->ho_dev->ifindex) ||
	      nla_put_string(skb, TAPXFER_A_HANDOVER_IFNAME,
			     ho->ho_dev->name))) ||
	    nla_put_u32(skb, TAPXFER_A_HANDOVER_STATE, state))
		return -EMSGSIZE;
	return 0;
}

static int fill_who(struct sk_buff *skb, struct tapxfer_handover *ho)
{
	return fill_who_in(skb, ho, ho->ho_state);
}

static int fill_u64(struct sk_buff *skb, int attr, u64 value)
{
	return nla_put_u64_64bit(skb, attr, value, TAPXFER_A_HANDOVER_PAD);
}

static int fill_counts(struct sk_buff *skb, struct tapxfer_handover *ho)
{
	if (fill_u64(skb, TAPXFER_A_HANDOVER_HELD, tapxfer_handover_held(ho)) ||
	    fill_u64(skb, TAPXFER_A_HANDOVER_DROPPED, handover_dropped(ho)) ||
	    fill_u64(skb, TAPXFER_A_HANDOVER_BLACKOUT, handover_blackout(ho)))
		return -EMSGSIZE;
	return 0;
}

static int fill_memory(struct sk_buff *skb, struct tapxfer_handover *ho)
{
	unsigned int i;
	u64 bytes = 0;

	for (i = 0; i < ho->ho_nqueues; i++)
		bytes += READ_ONCE(ho->ho_queues[i].q_ring.r_bytes);
	if (fill_u64(skb, TAPXFER_A_HANDOVER_HOLD_BYTES,
		     ho->ho_budget.b_limit) ||
	    fill_u64(skb, TAPXFER_A_HANDOVER_HELD_BYTES, bytes) ||
	    fill_u64(skb, TAPXFER_A_HANDOVER_DELIVERED,
		     tapxfer_handover_delivered(ho)))
		return -EMSGSIZE;
	return 0;
}

static int fill_violated(struct sk_buff *skb, struct tapxfer_handover *ho)
{
	if (!ho->ho_violated)
		return 0;
	return nla_put_u32(skb, TAPXFER_A_HANDOVER_VIOLATED, ho->ho_violated);
}

static int fill_times(struct sk_buff *skb, struct tapxfer_handover *ho)
{
	if (fill_u64(skb, TAPXFER_A_HANDOVER_PREPARED_AT, ho->ho_prepared_at) ||
	    (ho->ho_holding_at &&
	     fill_u64(skb, TAPXFER_A_HANDOVER_HOLDING_AT, ho->ho_holding_at)) ||
	    (ho->ho_frozen_at &&
	     fill_u64(skb, TAPXFER_A_HANDOVER_FROZEN_AT, ho->ho_frozen_at)) ||
	    (ho->ho_claimed_at &&
	     fill_u64(skb, TAPXFER_A_HANDOVER_CLAIMED_AT, ho->ho_claimed_at)) ||
	    (ho->ho_ready_at &&
	     fill_u64(skb, TAPXFER_A_HANDOVER_READY_AT, ho->ho_ready_at)))
		return -EMSGSIZE;
	return 0;
}

/**
 * tapxfer_fill_begun - the beginning of a reply to a command
 * @skb: message to append to
 * @ho: the handover
 * @token: with the token, for the call that created the handover
 *
 * Context: under ho_lock.
 * Return: 0 or -EMSGSIZE.
 */
int tapxfer_fill_begun(struct sk_buff *skb, struct tapxfer_handover *ho,
		       bool token)
{
	if (fill_who(skb, ho) ||
	    (token && nla_put(skb, TAPXFER_A_HANDOVER_TOKEN,
			      sizeof(ho->ho_token), ho->ho_token)))
		return -EMSGSIZE;
	return 0;
}

/**
 * tapxfer_fill_state - the rest of the reply to freeze and claim
 * @skb: message to append to
 * @ho: the handover
 * @fds: the claimant's descriptors, or NULL
 *
 * Packets are lost meanwhile, or may be: no more than is needed to go on.
 *
 * Context: under ho_lock.
 * Return: 0 or -EMSGSIZE.
 */
int tapxfer_fill_state(struct sk_buff *skb, struct tapxfer_handover *ho,
		       const int *fds)
{
	u64 held;

	if (nla_put_u32(skb, TAPXFER_A_HANDOVER_NUM_QUEUES, ho->ho_nqueues) ||
	    fill_violated(skb, ho) ||
	    (has_export(ho) && fill_export(skb, ho)) ||
	    fill_queues(skb, ho, fds, false, &held) ||
	    fill_u64(skb, TAPXFER_A_HANDOVER_HELD, held))
		return -EMSGSIZE;
	return 0;
}

/**
 * tapxfer_fill_brief - the same for who has the state, or will ask for it
 * @skb: message to append to
 * @ho: the handover
 * @fds: the claimant's descriptors, or NULL
 *
 * Context: under ho_lock.
 * Return: 0 or -EMSGSIZE.
 */
int tapxfer_fill_brief(struct sk_buff *skb, struct tapxfer_handover *ho,
		       const int *fds)
{
	if (nla_put_u32(skb, TAPXFER_A_HANDOVER_NUM_QUEUES, ho->ho_nqueues) ||
	    fill_violated(skb, ho) ||
	    (fds && nla_put(skb, TAPXFER_A_HANDOVER_FDS,
			    ho->ho_nqueues * sizeof(*fds), fds)))
		return -EMSGSIZE;
	return 0;
}

/**
 * tapxfer_fill_claim - the reply to ready and pass
 * @skb: message to append to
 * @ho: the handover
 *
 * Context: under ho_lock.
 * Return: 0 or -EMSGSIZE.
 */
int tapxfer_fill_claim(struct sk_buff *skb, struct tapxfer_handover *ho)
{
	if (fill_who(skb, ho) ||
	    (ho->ho_claimant &&
	     nla_put_u32(skb, TAPXFER_A_HANDOVER_CLAIMANT,
			 pid_vnr(ho->ho_claimant))) ||
	    fill_violated(skb, ho))
		return -EMSGSIZE;
	return 0;
}

/**
 * tapxfer_fill_ended - the reply to thaw and abort
 * @skb: message to append to
 * @ho: the handover
 *
 * Context: under ho_lock.
 * Return: 0 or -EMSGSIZE.
 */
int tapxfer_fill_ended(struct sk_buff *skb, struct tapxfer_handover *ho)
{
	if (fill_who(skb, ho) || fill_counts(skb, ho) ||
	    fill_violated(skb, ho))
		return -EMSGSIZE;
	return 0;
}

/**
 * tapxfer_fill_thawed_size - room for the reply to a claim that thaws
 * @nfds: number of descriptors
 *
 * Return: bytes, the generic netlink header not counted.
 */
size_t tapxfer_fill_thawed_size(unsigned int nfds)
{
	/* held, dropped, blackout */
	return tapxfer_fill_brief_size(nfds) +
	       3 * nla_total_size_64bit(sizeof(u64));
}

/**
 * tapxfer_fill_thawed - the reply to a claim that thaws
 * @skb: message to append to
 * @ho: the handover, claimed, about to be thawed
 * @fds: the claimant's descriptors, or NULL
 *
 * Context: under ho_lock.
 * Return: 0 or -EMSGSIZE.
 */
int tapxfer_fill_thawed(struct sk_buff *skb, struct tapxfer_handover *ho,
			const int *fds)
{
	if (fill_who_in(skb, ho, TAPXFER_STATE_DRAINING) ||
	    tapxfer_fill_brief(skb, ho, fds) || fill_counts(skb, ho))
		return -EMSGSIZE;
	return 0;
}

/**
 * tapxfer_fill_unsent - the reply to drain
 * @skb: message to append to
 * @ho: the handover
 *
 * Context: under ho_lock.
 * Return: 0 or -EMSGSIZE.
 */
int tapxfer_fill_unsent(struct sk_buff *skb, struct tapxfer_handover *ho)
{
	if (fill_who(skb, ho) ||
	    fill_u64(skb, TAPXFER_A_HANDOVER_UNSENT, tapxfer_unsent(ho)))
		return -EMSGSIZE;
	return 0;
}

/**
 * tapxfer_fill_handover - the reply to a question about a handover
 * @skb: message to append to
 * @ho: the handover
 * @detail: with its device and queues
 *
 * Context: under ho_lock.
 * Return: 0 or -EMSGSIZE.
 */
int tapxfer_fill_handover(struct sk_buff *skb, struct tapxfer_handover *ho,
			  bool detail)
{
	unsigned long deadline = ho->ho_deadline_work.timer.expires;
	unsigned int i, left = 0;
	u64 held;

	for (i = 0; i < ho->ho_nqueues; i++)
		tapxfer_queue_sample(&ho->ho_queues[i]);
	if (tapxfer_is_live(ho) && time_after(deadline, jiffies))
		left = jiffies_to_msecs(deadline - jiffies);

	if (fill_who(skb, ho) ||
	    nla_put_u32(skb, TAPXFER_A_HANDOVER_HOLD, ho->ho_hold) ||
	    nla_put_u32(skb, TAPXFER_A_HANDOVER_DEADLINE, ho->ho_deadline) ||
	    nla_put_u32(skb, TAPXFER_A_HANDOVER_REMAINING, left) ||
	    nla_put_u32(skb, TAPXFER_A_HANDOVER_NUM_QUEUES, ho->ho_nqueues) ||
	    (ho->ho_claimant &&
	     nla_put_u32(skb, TAPXFER_A_HANDOVER_CLAIMANT,
			 pid_vnr(ho->ho_claimant))) ||
	    fill_counts(skb, ho) || fill_memory(skb, ho) ||
	    fill_times(skb, ho) ||
	    fill_u64(skb, TAPXFER_A_HANDOVER_UNSENT, tapxfer_unsent(ho)) ||
	    fill_violated(skb, ho))
		return -EMSGSIZE;
	if (!detail)
		return 0;
	if (has_export(ho) && fill_export(skb, ho))
		return -EMSGSIZE;
	if (ho->ho_claimant)
		tapxfer_holders_count(ho, ho->ho_claimant);
	return fill_queues(skb, ho, NULL, true, &held);
}

static int fill_event(struct sk_buff *skb, struct tapxfer_handover *ho,
		      enum tapxfer_event event)
{
	void *hdr;

	hdr = genlmsg_put(skb, 0, 0, &tapxfer_family, 0, TAPXFER_CMD_EVENT);
	if (!hdr)
		return -EMSGSIZE;
	if (nla_put_u32(skb, TAPXFER_A_HANDOVER_EVENT, event) ||
	    fill_u64(skb, TAPXFER_A_HANDOVER_TIME, ktime_get_ns()) ||
	    fill_who(skb, ho) ||
	    nla_put_u32(skb, TAPXFER_A_HANDOVER_NUM_QUEUES, ho->ho_nqueues) ||
	    fill_counts(skb, ho) || fill_violated(skb, ho))
		return -EMSGSIZE;
	genlmsg_end(skb, hdr);
	return 0;
}

/**
 * tapxfer_event - tell the listeners in the device's network namespace
 * @ho: the handover
 * @event: what happened
 *
 * Context: under ho_lock. A lost event is a listener's ENOBUFS, also when there
 * is no memory to make it, and no failure of the handover's.
 */
void tapxfer_event(struct tapxfer_handover *ho, enum tapxfer_event event)
{
	struct sk_buff *skb;
	struct net *net;
	int err;

	if (trace_tapxfer_state_enabled())
		trace_tapxfer_state(ho, event, tapxfer_handover_held(ho),
				    handover_dropped(ho));

	/* The device may be moved, and the namespace it left be deleted. */
	rcu_read_lock();
	net = dev_net(ho->ho_dev);
	if (!genl_has_listeners(&tapxfer_family, net, 0))
		goto out;
	skb = genlmsg_new(tapxfer_fill_step_size(), GFP_ATOMIC);
	err = skb ? fill_event(skb, ho, event) : -ENOMEM;
	if (err) {
		nlmsg_free(skb);
		genl_set_err(&tapxfer_family, net, 0, 0, -ENOBUFS);
	} else {
		genlmsg_multicast_netns(&tapxfer_family, net, skb, 0, 0,
					GFP_ATOMIC);
	}
out:
	rcu_read_unlock();
}
