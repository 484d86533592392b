// SPDX-License-Identifier: GPL-2.0
/*
 * The generic netlink family: what is asked, and whether it may be.
 * Documentation/netlink/specs/tapxfer.yaml describes it.
 */
#include <linux/capability.h>
#include <linux/module.h>
#include <linux/rtnetlink.h>

#include "internal.h"

/* Which kind of attribute an operation takes; what it does not take it refuses. */
static const struct nla_policy cap_get_policy[] = {
	[TAPXFER_A_CAP_FEATURES]	= { .type = NLA_REJECT },
};

static const struct nla_policy dev_get_policy[] = {
	[TAPXFER_A_DEV_IFINDEX]		= NLA_POLICY_MIN(NLA_U32, 1),
	[TAPXFER_A_DEV_FD]		= { .type = NLA_S32 },
};

static const struct nla_policy handover_get_policy[] = {
	[TAPXFER_A_HANDOVER_ID]		= { .type = NLA_U32 },
};

/* abort */
static const struct nla_policy go_on_policy[] = {
	[TAPXFER_A_HANDOVER_ID]		= { .type = NLA_U32 },
	[TAPXFER_A_HANDOVER_TOKEN]	= NLA_POLICY_EXACT_LEN(TAPXFER_TOKEN_LEN),
};

static const struct nla_policy claim_policy[] = {
	[TAPXFER_A_HANDOVER_ID]		= { .type = NLA_U32 },
	[TAPXFER_A_HANDOVER_TOKEN]	= NLA_POLICY_EXACT_LEN(TAPXFER_TOKEN_LEN),
	[TAPXFER_A_HANDOVER_NO_FDS]	= { .type = NLA_FLAG },
};

/* ready, thaw */
static const struct nla_policy let_go_on_policy[] = {
	[TAPXFER_A_HANDOVER_ID]		= { .type = NLA_U32 },
	[TAPXFER_A_HANDOVER_TOKEN]	= NLA_POLICY_EXACT_LEN(TAPXFER_TOKEN_LEN),
	[TAPXFER_A_HANDOVER_SHARED]	= { .type = NLA_FLAG },
};

static const struct nla_policy pass_policy[] = {
	[TAPXFER_A_HANDOVER_ID]		= { .type = NLA_U32 },
	[TAPXFER_A_HANDOVER_TOKEN]	= NLA_POLICY_EXACT_LEN(TAPXFER_TOKEN_LEN),
	[TAPXFER_A_HANDOVER_PID]	= NLA_POLICY_MIN(NLA_U32, 1),
};

static const struct nla_policy prepare_policy[] = {
	[TAPXFER_A_HANDOVER_IFINDEX]	= { .type = NLA_U32 },
	[TAPXFER_A_HANDOVER_FD]		= { .type = NLA_S32 },
	[TAPXFER_A_HANDOVER_HOLD]	= { .type = NLA_U32 },
	[TAPXFER_A_HANDOVER_DEADLINE]	= { .type = NLA_U32 },
	[TAPXFER_A_HANDOVER_HOLD_BYTES]	= { .type = NLA_U64 },
};

static const struct nla_policy hold_policy[] = {
	[TAPXFER_A_HANDOVER_ID]		= { .type = NLA_U32 },
	[TAPXFER_A_HANDOVER_TOKEN]	= NLA_POLICY_EXACT_LEN(TAPXFER_TOKEN_LEN),
	[TAPXFER_A_HANDOVER_IFINDEX]	= { .type = NLA_U32 },
	[TAPXFER_A_HANDOVER_FD]		= { .type = NLA_S32 },
	[TAPXFER_A_HANDOVER_HOLD]	= { .type = NLA_U32 },
	[TAPXFER_A_HANDOVER_DEADLINE]	= { .type = NLA_U32 },
	[TAPXFER_A_HANDOVER_HOLD_BYTES]	= { .type = NLA_U64 },
};

static const struct nla_policy freeze_policy[] = {
	[TAPXFER_A_HANDOVER_ID]		= { .type = NLA_U32 },
	[TAPXFER_A_HANDOVER_TOKEN]	= NLA_POLICY_EXACT_LEN(TAPXFER_TOKEN_LEN),
	[TAPXFER_A_HANDOVER_IFINDEX]	= { .type = NLA_U32 },
	[TAPXFER_A_HANDOVER_FD]		= { .type = NLA_S32 },
	[TAPXFER_A_HANDOVER_HOLD]	= { .type = NLA_U32 },
	[TAPXFER_A_HANDOVER_DEADLINE]	= { .type = NLA_U32 },
	[TAPXFER_A_HANDOVER_HOLD_BYTES]	= { .type = NLA_U64 },
	[TAPXFER_A_HANDOVER_TIMEOUT]	= { .type = NLA_U32 },
};

static const struct nla_policy drain_policy[] = {
	[TAPXFER_A_HANDOVER_ID]		= { .type = NLA_U32 },
	[TAPXFER_A_HANDOVER_TOKEN]	= NLA_POLICY_EXACT_LEN(TAPXFER_TOKEN_LEN),
	[TAPXFER_A_HANDOVER_TIMEOUT]	= { .type = NLA_U32 },
};

static bool caller_is_admin(const struct sk_buff *skb, const struct net *net)
{
	return netlink_ns_capable(skb, net->user_ns, CAP_NET_ADMIN);
}

/**
 * tapxfer_check_opener - whether a request may use the sender's descriptors
 * @skb: the request
 * @info: the request, parsed
 *
 * Some requests take descriptors from the table of the task that sends them, or
 * put some there. Whoever gives another process a netlink socket to write to, as
 * its log say, must not reach that table: the socket has to be the sender's own.
 *
 * Return: 0 or -EPERM.
 */
int tapxfer_check_opener(const struct sk_buff *skb, struct genl_info *info)
{
	const struct socket *sock = NETLINK_CB(skb).sk->sk_socket;
	const struct cred *opener;

	if (sock && sock->file) {
		opener = sock->file->f_cred;
		if (uid_eq(opener->euid, current_euid()) &&
		    gid_eq(opener->egid, current_egid()) &&
		    opener->user_ns == current_user_ns())
			return 0;
	}
	NL_SET_ERR_MSG(info->extack,
		       "the netlink socket was opened by another user, open one of your own");
	return -EPERM;
}

/* A number that has a default, a limit of the family's, and one for anybody */
struct limited {
	int		attr;
	u64		def;
	u64		max;
	const char	*zero;		/* what is said of 0, */
	const char	*above_max;	/* of more than the family's limit, */
	const char	*above_def;	/* and of more than anybody may ask for */
};

static const struct limited limited_hold = {
	.attr		= TAPXFER_A_HANDOVER_HOLD,
	.def		= TAPXFER_HOLD_DEFAULT,
	.max		= TAPXFER_HOLD_MAX,
	.zero		= "a hold of 0 packets would lose them all",
	.above_max	= "hold is above hold-max, see cap-get",
	.above_def	= "a hold above hold-default needs CAP_NET_ADMIN, see cap-get",
};

static const struct limited limited_hold_bytes = {
	.attr		= TAPXFER_A_HANDOVER_HOLD_BYTES,
	.def		= TAPXFER_HOLD_BYTES_DEFAULT,
	.max		= TAPXFER_HOLD_BYTES_MAX,
	.zero		= "a hold of 0 bytes would lose all packets",
	.above_max	= "hold-bytes is above hold-bytes-max, see cap-get",
	.above_def	= "hold-bytes above hold-bytes-default needs CAP_NET_ADMIN, see cap-get",
};

static const struct limited limited_deadline = {
	.attr		= TAPXFER_A_HANDOVER_DEADLINE,
	.def		= TAPXFER_DEADLINE_DEFAULT,
	.max		= TAPXFER_DEADLINE_MAX,
	.zero		= "a deadline of 0 ms would abort at once",
	.above_max	= "deadline is above deadline-max, see cap-get",
	.above_def	= "a deadline above deadline-default needs CAP_NET_ADMIN, see cap-get",
};

static int parse_limited(struct sk_buff *skb, struct genl_info *info,
			 const struct limited *l, u64 *val)
{
	const struct nlattr *a = info->attrs[l->attr];

	*val = l->def;
	if (a)
		*val = nla_len(a) == sizeof(u64) ? nla_get_u64(a) :
						   nla_get_u32(a);
	if (!*val) {
		tapxfer_set_err(info->extack, a, l->zero);
		return -EINVAL;
	}
	if (*val > l->max) {
		tapxfer_set_err(info->extack, a, l->above_max);
		return -ERANGE;
	}
	if (*val > l->def && !caller_is_admin(skb, genl_info_net(info))) {
		tapxfer_set_err(info->extack, a, l->above_def);
		return -EPERM;
	}
	return 0;
}

/* What bounds a handover. */
static int parse_limits(struct sk_buff *skb, struct genl_info *info,
			struct tapxfer_request *req)
{
	u64 hold, deadline;
	int err;

	err = parse_limited(skb, info, &limited_hold, &hold);
	if (!err)
		err = parse_limited(skb, info, &limited_hold_bytes,
				    &req->hold_bytes);
	if (!err)
		err = parse_limited(skb, info, &limited_deadline, &deadline);
	if (err)
		return err;
	req->hold = hold;
	req->deadline = deadline;
	return 0;
}

static int parse_fds(struct genl_info *info, struct tapxfer_request *req)
{
	const struct nlattr *a;
	int rem;

	nlmsg_for_each_attr(a, info->nlhdr, GENL_HDRLEN, rem) {
		if (nla_type(a) != TAPXFER_A_HANDOVER_FD)
			continue;
		if (req->nfds == TAPXFER_QUEUES_MAX) {
			NL_SET_ERR_MSG_ATTR(info->extack, a,
					    "more files than a device can have queues");
			return -EINVAL;
		}
		req->fds[req->nfds++] = a;
	}
	if (!req->nfds) {
		NL_SET_ERR_MSG(info->extack,
			       "no queue files given, give all of the device's");
		return -EINVAL;
	}
	return 0;
}

static struct tapxfer_handover *begin_new(struct sk_buff *skb,
					  struct genl_info *info)
{
	struct tapxfer_handover *ho;
	struct tapxfer_request *req;
	int err;

	err = tapxfer_check_opener(skb, info);
	if (err)
		return ERR_PTR(err);
	if (info->attrs[TAPXFER_A_HANDOVER_TOKEN]) {
		NL_SET_ERR_MSG_ATTR(info->extack,
				    info->attrs[TAPXFER_A_HANDOVER_TOKEN],
				    "a token without its handover's id");
		return ERR_PTR(-EINVAL);
	}
	if (!info->attrs[TAPXFER_A_HANDOVER_IFINDEX]) {
		NL_SET_ERR_MSG(info->extack,
			       "no device given, its ifindex is needed");
		return ERR_PTR(-EINVAL);
	}
	req = kzalloc(sizeof(*req), GFP_KERNEL);
	if (!req)
		return ERR_PTR(-ENOMEM);

	req->net = genl_info_net(info);
	req->dev_attr = info->attrs[TAPXFER_A_HANDOVER_IFINDEX];
	req->ifindex = nla_get_u32(req->dev_attr);
	err = parse_limits(skb, info, req);
	if (!err)
		err = parse_fds(info, req);
	ho = err ? ERR_PTR(err) : tapxfer_prepare(req, info->extack);
	kfree(req);
	return ho;
}

/**
 * tapxfer_find - the handover that a request names
 * @info: the request
 *
 * Return: the handover with a reference, or an ERR_PTR().
 */
struct tapxfer_handover *tapxfer_find(struct genl_info *info)
{
	const struct nlattr *a = info->attrs[TAPXFER_A_HANDOVER_ID];
	struct tapxfer_handover *ho;

	if (!a) {
		NL_SET_ERR_MSG(info->extack,
			       "no handover given, its id is needed");
		return ERR_PTR(-EINVAL);
	}
	ho = tapxfer_handover_get(nla_get_u32(a));
	if (!ho) {
		NL_SET_ERR_MSG_ATTR(info->extack, a,
				    "no such handover: it never was, or it has ended");
		return ERR_PTR(-ENOENT);
	}
	return ho;
}

static int check_token(struct tapxfer_handover *ho, struct genl_info *info)
{
	const struct nlattr *a = info->attrs[TAPXFER_A_HANDOVER_TOKEN];

	if (!a) {
		NL_SET_ERR_MSG(info->extack,
			       "no token given, the call that began the handover returned it");
		return -EINVAL;
	}
	if (crypto_memneq(nla_data(a), ho->ho_token, sizeof(ho->ho_token))) {
		NL_SET_ERR_MSG_ATTR(info->extack, a,
				    "the token is not this handover's");
		return -EPERM;
	}
	return 0;
}

static struct tapxfer_handover *find_with_token(struct genl_info *info)
{
	struct tapxfer_handover *ho = tapxfer_find(info);
	int err;

	if (IS_ERR(ho))
		return ho;
	err = check_token(ho, info);
	if (err) {
		tapxfer_handover_put(ho);
		return ERR_PTR(err);
	}
	return ho;
}

/*
 * For a command that can begin a handover as well as go on with one: the
 * handover, with a reference, the command begun.
 */
static struct tapxfer_handover *begin(struct sk_buff *skb,
				      struct genl_info *info,
				      unsigned long states, bool *created)
{
	struct tapxfer_handover *ho;
	int err;

	*created = !info->attrs[TAPXFER_A_HANDOVER_ID];
	if (*created)
		return begin_new(skb, info);

	if (info->attrs[TAPXFER_A_HANDOVER_IFINDEX] ||
	    info->attrs[TAPXFER_A_HANDOVER_FD] ||
	    info->attrs[TAPXFER_A_HANDOVER_HOLD] ||
	    info->attrs[TAPXFER_A_HANDOVER_HOLD_BYTES] ||
	    info->attrs[TAPXFER_A_HANDOVER_DEADLINE]) {
		NL_SET_ERR_MSG(info->extack,
			       "give a handover's id and token, or what a new one needs, not both");
		return ERR_PTR(-EINVAL);
	}
	ho = find_with_token(info);
	if (IS_ERR(ho))
		return ho;
	err = tapxfer_handover_begin(ho, states, info->extack);
	if (err) {
		tapxfer_handover_put(ho);
		return ERR_PTR(err);
	}
	return ho;
}

/*
 * The end of such a command. A handover that was created by a call that fails,
 * or whose reply cannot be delivered, has nobody who could go on with it.
 */
static int finish(struct tapxfer_handover *ho, struct genl_info *info,
		  struct tapxfer_reply *r, int err, bool created)
{
	if (err)
		tapxfer_reply_free(r);
	else
		err = tapxfer_reply_send(r, info);

	tapxfer_handover_done(ho);
	if (err && created)
		tapxfer_end(ho, TAPXFER_EVENT_ABORTED, NULL);
	tapxfer_handover_put(ho);
	return err;
}

static int fill_begun(struct tapxfer_reply *r, struct tapxfer_handover *ho,
		      bool created, struct netlink_ext_ack *extack)
{
	int err;

	mutex_lock(&ho->ho_lock);
	err = tapxfer_handover_check_live(ho, extack);
	if (!err)
		err = tapxfer_fill_begun(r->skb, ho, created);
	mutex_unlock(&ho->ho_lock);
	return err;
}

static int prepare_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct tapxfer_handover *ho;
	struct tapxfer_reply r;
	int err;

	err = tapxfer_reply_new(&r, info, tapxfer_fill_size(0));
	if (err)
		return err;
	ho = begin_new(skb, info);
	if (IS_ERR(ho)) {
		tapxfer_reply_free(&r);
		return PTR_ERR(ho);
	}
	err = fill_begun(&r, ho, true, info->extack);
	return finish(ho, info, &r, err, true);
}

static int hold_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct tapxfer_handover *ho;
	struct tapxfer_reply r;
	bool created;
	int err;

	err = tapxfer_reply_new(&r, info, tapxfer_fill_size(0));
	if (err)
		return err;
	ho = begin(skb, info, BIT(TAPXFER_STATE_PREPARED), &created);
	if (IS_ERR(ho)) {
		tapxfer_reply_free(&r);
		return PTR_ERR(ho);
	}
	err = tapxfer_hold(ho, info->extack);
	if (!err)
		err = fill_begun(&r, ho, created, info->extack);
	return finish(ho, info, &r, err, created);
}

/* The handover may have ended since the command that is answered. */
static int fill_state(struct tapxfer_reply *r, struct tapxfer_handover *ho,
		      bool created, const int *fds,
		      struct netlink_ext_ack *extack)
{
	int err;

	mutex_lock(&ho->ho_lock);
	err = tapxfer_handover_check_live(ho, extack);
	if (!err)
		err = tapxfer_fill_begun(r->skb, ho, created);
	if (!err)
		err = tapxfer_fill_state(r->skb, ho, fds);
	mutex_unlock(&ho->ho_lock);
	return err;
}

/* How long freeze and drain may wait. */
static int parse_timeout(const struct sk_buff *skb, struct genl_info *info,
			 const char *too_long, u32 *timeout)
{
	const struct nlattr *a = info->attrs[TAPXFER_A_HANDOVER_TIMEOUT];

	*timeout = a ? nla_get_u32(a) : TAPXFER_TIMEOUT_MAX;
	if (*timeout > TAPXFER_TIMEOUT_MAX) {
		tapxfer_set_err(info->extack, a, too_long);
		return -ERANGE;
	}
	/* Genetlink's lock is kept for all messages of a datagram: of many
	 * that wait in one, the last may.
	 */
	if (skb->len > NLMSG_ALIGN(info->nlhdr->nlmsg_len))
		*timeout = 0;
	return 0;
}

static int freeze_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct tapxfer_handover *ho;
	struct tapxfer_reply r;
	bool created;
	u32 timeout;
	int err;

	err = parse_timeout(skb, info,
			    "timeout is above timeout-max, see cap-get: freeze again instead",
			    &timeout);
	if (err)
		return err;
	err = tapxfer_reply_new(&r, info, tapxfer_fill_size(TAPXFER_QUEUES_MAX));
	if (err)
		return err;
	ho = begin(skb, info, BIT(TAPXFER_STATE_PREPARED) |
			      BIT(TAPXFER_STATE_HOLDING), &created);
	if (IS_ERR(ho)) {
		tapxfer_reply_free(&r);
		return PTR_ERR(ho);
	}
	if (ho->ho_state == TAPXFER_STATE_PREPARED)
		err = tapxfer_hold(ho, info->extack);
	if (!err)
		err = tapxfer_freeze(ho, timeout, info->extack);
	if (!err)
		err = fill_state(&r, ho, created, NULL, info->extack);
	return finish(ho, info, &r, err, created);
}

static int claim(struct tapxfer_handover *ho, struct genl_info *info)
{
	bool no_fds = nla_get_flag(info->attrs[TAPXFER_A_HANDOVER_NO_FDS]);
	struct tapxfer_reply r;
	int *fds = NULL;
	int err;

	if (!no_fds) {
		fds = kmalloc_array(ho->ho_nqueues, sizeof(*fds), GFP_KERNEL);
		if (!fds)
			return -ENOMEM;
	}
	err = tapxfer_reply_new(&r, info, tapxfer_fill_size(ho->ho_nqueues));
	if (err)
		goto out_fds;
	if (fds)
		err = tapxfer_claim_files(ho, fds, info->extack);
	if (err) {
		tapxfer_reply_free(&r);
		goto out_fds;
	}

	err = tapxfer_claim_commit(ho, info->extack);
	if (!err)
		err = fill_state(&r, ho, false, fds, info->extack);
	if (err)
		tapxfer_reply_free(&r);
	else
		err = tapxfer_reply_send(&r, info);
	if (err) {
		tapxfer_claim_revoke(ho);
		if (fds)
			tapxfer_claim_undo(ho, fds, ho->ho_nqueues);
	}
out_fds:
	kfree(fds);
	return err;
}

static int claim_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct tapxfer_handover *ho;
	int err;

	err = tapxfer_check_opener(skb, info);
	if (err)
		return err;
	ho = find_with_token(info);
	if (IS_ERR(ho))
		return PTR_ERR(ho);
	err = tapxfer_handover_begin(ho, BIT(TAPXFER_STATE_FROZEN),
				     info->extack);
	if (!err) {
		err = claim(ho, info);
		tapxfer_handover_done(ho);
	}
	tapxfer_handover_put(ho);
	return err;
}

static bool wants_shared(struct genl_info *info)
{
	return nla_get_flag(info->attrs[TAPXFER_A_HANDOVER_SHARED]);
}

/* The reply to ready and pass; the handover may have ended since. */
static int answer(struct tapxfer_reply *r, struct tapxfer_handover *ho,
		  struct genl_info *info, int err)
{
	if (!err) {
		mutex_lock(&ho->ho_lock);
		err = tapxfer_handover_check_live(ho, info->extack);
		if (!err)
			err = tapxfer_fill_claim(r->skb, ho);
		mutex_unlock(&ho->ho_lock);
	}
	if (!err)
		return tapxfer_reply_send(r, info);
	tapxfer_reply_free(r);
	return err;
}

static int ready_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct tapxfer_handover *ho;
	struct tapxfer_reply r;
	int err;

	ho = find_with_token(info);
	if (IS_ERR(ho))
		return PTR_ERR(ho);
	err = tapxfer_reply_new(&r, info, tapxfer_fill_size(0));
	if (err)
		goto out;
	err = tapxfer_handover_begin(ho, BIT(TAPXFER_STATE_CLAIMED),
				     info->extack);
	if (!err) {
		err = tapxfer_ready(ho, wants_shared(info), info->extack);
		tapxfer_handover_done(ho);
	}
	err = answer(&r, ho, info, err);
out:
	tapxfer_handover_put(ho);
	return err;
}

static int pass_doit(struct sk_buff *skb, struct genl_info *info)
{
	const struct nlattr *a = info->attrs[TAPXFER_A_HANDOVER_PID];
	struct tapxfer_handover *ho;
	struct tapxfer_reply r;
	int err;

	if (!a) {
		NL_SET_ERR_MSG(info->extack,
			       "no process given to pass the claim to");
		return -EINVAL;
	}
	ho = find_with_token(info);
	if (IS_ERR(ho))
		return PTR_ERR(ho);
	err = tapxfer_reply_new(&r, info, tapxfer_fill_size(0));
	if (err)
		goto out;
	err = tapxfer_handover_begin(ho, BIT(TAPXFER_STATE_CLAIMED) |
					 BIT(TAPXFER_STATE_READY),
				     info->extack);
	if (!err) {
		err = tapxfer_claim_pass(ho, nla_get_u32(a), info->extack);
		tapxfer_handover_done(ho);
	}
	err = answer(&r, ho, info, err);
out:
	tapxfer_handover_put(ho);
	return err;
}

static int thaw_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct tapxfer_handover *ho;
	struct tapxfer_reply r;
	int err;

	ho = find_with_token(info);
	if (IS_ERR(ho))
		return PTR_ERR(ho);
	err = tapxfer_reply_new(&r, info, tapxfer_fill_size(0));
	if (err)
		goto out;
	err = tapxfer_handover_begin(ho, BIT(TAPXFER_STATE_CLAIMED) |
					 BIT(TAPXFER_STATE_READY),
				     info->extack);
	if (!err) {
		err = tapxfer_thaw(ho, wants_shared(info), r.skb, info->extack);
		tapxfer_handover_done(ho);
	}
	/* The end is the end, whether or not the reply gets through. */
	if (err)
		tapxfer_reply_free(&r);
	else
		tapxfer_reply_send(&r, info);
out:
	tapxfer_handover_put(ho);
	return err;
}

/* The token, or power over the device's network namespace. */
static int check_abort(struct sk_buff *skb, struct tapxfer_handover *ho,
		       struct genl_info *info)
{
	bool admin;

	if (info->attrs[TAPXFER_A_HANDOVER_TOKEN])
		return check_token(ho, info);

	/* The device may be moved, and the namespace that it left be deleted. */
	mutex_lock(&ho->ho_lock);
	rcu_read_lock();
	admin = ho->ho_dev && caller_is_admin(skb, dev_net(ho->ho_dev));
	rcu_read_unlock();
	mutex_unlock(&ho->ho_lock);
	if (admin)
		return 0;
	NL_SET_ERR_MSG(info->extack,
		       "abort needs the token, or CAP_NET_ADMIN in the device's netns");
	return -EPERM;
}

static int abort_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct tapxfer_handover *ho;
	struct tapxfer_reply r;
	int err;

	ho = tapxfer_find(info);
	if (IS_ERR(ho))
		return PTR_ERR(ho);
	err = check_abort(skb, ho, info);
	if (err)
		goto out;
	err = tapxfer_reply_new(&r, info, tapxfer_fill_size(0));
	if (err)
		goto out;
	if (tapxfer_end(ho, TAPXFER_EVENT_ABORTED, r.skb)) {
		tapxfer_reply_send(&r, info);
	} else {
		NL_SET_ERR_MSG(info->extack, "the handover has ended");
		err = -ENOENT;
		tapxfer_reply_free(&r);
	}
out:
	tapxfer_handover_put(ho);
	return err;
}

static int drain(struct tapxfer_handover *ho, u32 timeout,
		 struct tapxfer_reply *r, struct netlink_ext_ack *extack)
{
	int err;

	err = tapxfer_unsent_wait(ho, timeout, extack);
	if (err)
		return err;
	mutex_lock(&ho->ho_lock);
	err = tapxfer_handover_check_live(ho, extack);
	if (!err)
		err = tapxfer_fill_unsent(r->skb, ho);
	mutex_unlock(&ho->ho_lock);
	return err;
}

static int drain_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct tapxfer_handover *ho;
	struct tapxfer_reply r;
	u32 timeout;
	int err;

	err = parse_timeout(skb, info,
			    "timeout is above timeout-max, see cap-get: drain again instead",
			    &timeout);
	if (err)
		return err;
	ho = find_with_token(info);
	if (IS_ERR(ho))
		return PTR_ERR(ho);
	err = tapxfer_reply_new(&r, info, tapxfer_fill_size(0));
	if (err)
		goto out;
	err = tapxfer_handover_begin(ho, BIT(TAPXFER_STATE_FROZEN) |
				     BIT(TAPXFER_STATE_CLAIMED), info->extack);
	if (!err) {
		err = drain(ho, timeout, &r, info->extack);
		tapxfer_handover_done(ho);
	}
	if (err)
		tapxfer_reply_free(&r);
	else
		err = tapxfer_reply_send(&r, info);
out:
	tapxfer_handover_put(ho);
	return err;
}

static const struct genl_ops tapxfer_ops[] = {
	{
		.cmd	= TAPXFER_CMD_CAP_GET,
		.doit	= tapxfer_cap_get_doit,
		.policy	= cap_get_policy,
		.maxattr = ARRAY_SIZE(cap_get_policy) - 1,
	},
	{
		.cmd	= TAPXFER_CMD_DEV_GET,
		.doit	= tapxfer_dev_get_doit,
		.dumpit	= tapxfer_dev_get_dumpit,
		.policy	= dev_get_policy,
		.maxattr = ARRAY_SIZE(dev_get_policy) - 1,
	},
	{
		.cmd	= TAPXFER_CMD_HANDOVER_GET,
		.doit	= tapxfer_handover_get_doit,
		.dumpit	= tapxfer_handover_get_dumpit,
		.policy	= handover_get_policy,
		.maxattr = ARRAY_SIZE(handover_get_policy) - 1,
	},
	{
		.cmd	= TAPXFER_CMD_PREPARE,
		.doit	= prepare_doit,
		.policy	= prepare_policy,
		.maxattr = ARRAY_SIZE(prepare_policy) - 1,
	},
	{
		.cmd	= TAPXFER_CMD_HOLD,
		.doit	= hold_doit,
		.policy	= hold_policy,
		.maxattr = ARRAY_SIZE(hold_policy) - 1,
	},
	{
		.cmd	= TAPXFER_CMD_FREEZE,
		.doit	= freeze_doit,
		.policy	= freeze_policy,
		.maxattr = ARRAY_SIZE(freeze_policy) - 1,
	},
	{
		.cmd	= TAPXFER_CMD_CLAIM,
		.doit	= claim_doit,
		.policy	= claim_policy,
		.maxattr = ARRAY_SIZE(claim_policy) - 1,
	},
	{
		.cmd	= TAPXFER_CMD_THAW,
		.doit	= thaw_doit,
		.policy	= let_go_on_policy,
		.maxattr = ARRAY_SIZE(let_go_on_policy) - 1,
	},
	{
		.cmd	= TAPXFER_CMD_ABORT,
		.doit	= abort_doit,
		.policy	= go_on_policy,
		.maxattr = ARRAY_SIZE(go_on_policy) - 1,
	},
	{
		.cmd	= TAPXFER_CMD_READY,
		.doit	= ready_doit,
		.policy	= let_go_on_policy,
		.maxattr = ARRAY_SIZE(let_go_on_policy) - 1,
	},
	{
		.cmd	= TAPXFER_CMD_PASS,
		.doit	= pass_doit,
		.policy	= pass_policy,
		.maxattr = ARRAY_SIZE(pass_policy) - 1,
	},
	{
		.cmd	= TAPXFER_CMD_DRAIN,
		.doit	= drain_doit,
		.policy	= drain_policy,
		.maxattr = ARRAY_SIZE(drain_policy) - 1,
	},
};

static const struct genl_multicast_group tapxfer_mcgrps[] = {
	{ .name = TAPXFER_MCGRP_EVENTS },
};

struct genl_family tapxfer_family __ro_after_init = {
	.name		= TAPXFER_FAMILY_NAME,
	.version	= TAPXFER_FAMILY_VERSION,
	.netnsok	= true,
	/* A caller may stall in its own memory: that must be its affair alone. */
	.parallel_ops	= true,
	.module		= THIS_MODULE,
	.ops		= tapxfer_ops,
	.n_ops		= ARRAY_SIZE(tapxfer_ops),
	.mcgrps		= tapxfer_mcgrps,
	.n_mcgrps	= ARRAY_SIZE(tapxfer_mcgrps),
};
