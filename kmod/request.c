// SPDX-License-Identifier: GPL-2.0
/*
 * Requests: what they ask for, who asks, and the handover that they are about.
 */
#include <linux/capability.h>
#include <linux/rtnetlink.h>

#include "internal.h"

static bool caller_is_admin(const struct sk_buff *skb, const struct net *net)
{
	return netlink_ns_capable(skb, net->user_ns, CAP_NET_ADMIN);
}

/* Who has opened the socket that a request came over; NULL for one of the kernel's */
static const struct cred *opener_of(const struct sk_buff *skb)
{
	const struct socket *sock = NETLINK_CB(skb).sk->sk_socket;

	return sock && sock->file ? sock->file->f_cred : NULL;
}

/*
 * The same user, with no more rights: neither one that a file's mode or capabilities
 * gave it, nor one that it does not use for the moment. As ptrace(2) has it.
 */
static bool caller_is_opener(const struct sk_buff *skb)
{
	const struct cred *opener = opener_of(skb), *cred = current_cred();

	return opener && opener->user_ns == cred->user_ns &&
	       uid_eq(opener->uid, cred->uid) &&
	       uid_eq(opener->euid, cred->euid) &&
	       uid_eq(opener->suid, cred->suid) &&
	       gid_eq(opener->gid, cred->gid) &&
	       gid_eq(opener->egid, cred->egid) &&
	       gid_eq(opener->sgid, cred->sgid) &&
	       cap_issubset(cred->cap_permitted, opener->cap_permitted);
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
	if (caller_is_opener(skb))
		return 0;
	NL_SET_ERR_MSG(info->extack,
		       "the netlink socket was opened by another user or with fewer rights, open one of your own");
	return -EPERM;
}

/**
 * tapxfer_request_scratch - the memory that a request gives
 * @skb: the request
 * @info: the request, parsed
 *
 * Nobody but the process itself says where in it the kernel may write: the one that
 * has opened the socket. Equal credentials would not tell it from another process of
 * the same user, which may be confined or trusted in another way. It does have the
 * very same ones, unless it forked, ran another program or changed them since; then
 * the command is done without this memory.
 *
 * Return: for tapxfer_scratch_take(), or NULL when there is none to be used.
 */
const struct nlattr *tapxfer_request_scratch(const struct sk_buff *skb,
					     struct genl_info *info)
{
	/* The file keeps them, so that no others can be at that address. */
	if (opener_of(skb) != current_cred())
		return NULL;
	return info->attrs[TAPXFER_A_HANDOVER_SCRATCH];
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

/**
 * tapxfer_request_may_wait - whether a command may keep genetlink's lock for long
 * @skb: the request
 * @info: the request, parsed
 *
 * That is kept for all messages of a datagram: of many that wait in one, the last
 * may.
 */
bool tapxfer_request_may_wait(const struct sk_buff *skb,
			      const struct genl_info *info)
{
	return skb->len <= NLMSG_ALIGN(info->nlhdr->nlmsg_len);
}

/**
 * tapxfer_request_new - begin the handover that a request asks for
 * @skb: the request
 * @info: the request, parsed
 *
 * Return: the handover, with a reference, its first command begun; or an
 * ERR_PTR().
 */
struct tapxfer_handover *tapxfer_request_new(struct sk_buff *skb,
					     struct genl_info *info)
{
	struct tapxfer_handover *ho;
	struct tapxfer_request *req;
	int err;

	err = tapxfer_check_opener(skb, info);
	if (err)
		return ERR_PTR(err);
	/* A prepare waits for a grace period. */
	if (!tapxfer_request_may_wait(skb, info)) {
		NL_SET_ERR_MSG(info->extack,
			       "what begins a handover has to be the last message of its datagram");
		return ERR_PTR(-EINVAL);
	}
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
		return ERR_PTR(tapxfer_no_memory(info->extack));

	req->net = genl_info_net(info);
	req->dev_attr = info->attrs[TAPXFER_A_HANDOVER_IFINDEX];
	req->ifindex = nla_get_u32(req->dev_attr);
	req->scratch = tapxfer_request_scratch(skb, info);
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

/**
 * tapxfer_request_find - the handover that a request names, and has the token of
 * @skb: the request
 * @info: the request, parsed
 *
 * Waits a moment for the command before.
 *
 * Return: the handover with a reference, or an ERR_PTR().
 */
struct tapxfer_handover *tapxfer_request_find(const struct sk_buff *skb,
					      struct genl_info *info)
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
	if (tapxfer_request_may_wait(skb, info))
		tapxfer_handover_await(ho);
	return ho;
}

/**
 * tapxfer_request_begin - for a command that can begin a handover or go on with one
 * @skb: the request
 * @info: the request, parsed
 * @states: BIT() of each state that the command can be done in
 * @created: whether it is a new one
 *
 * Return: the handover, with a reference, the command begun; or an ERR_PTR().
 */
struct tapxfer_handover *tapxfer_request_begin(struct sk_buff *skb,
					       struct genl_info *info,
					       unsigned long states,
					       bool *created)
{
	struct tapxfer_handover *ho;
	unsigned long scratch;
	int err;

	*created = !info->attrs[TAPXFER_A_HANDOVER_ID];
	if (*created)
		return tapxfer_request_new(skb, info);

	if (info->attrs[TAPXFER_A_HANDOVER_IFINDEX] ||
	    info->attrs[TAPXFER_A_HANDOVER_FD] ||
	    info->attrs[TAPXFER_A_HANDOVER_HOLD] ||
	    info->attrs[TAPXFER_A_HANDOVER_HOLD_BYTES] ||
	    info->attrs[TAPXFER_A_HANDOVER_DEADLINE]) {
		NL_SET_ERR_MSG(info->extack,
			       "give a handover's id and token, or what a new one needs, not both");
		return ERR_PTR(-EINVAL);
	}
	ho = tapxfer_request_find(skb, info);
	if (IS_ERR(ho))
		return ho;
	err = tapxfer_scratch_take(tapxfer_request_scratch(skb, info), &scratch,
				   info->extack);
	if (!err)
		err = tapxfer_handover_begin(ho, states, scratch, info->extack);
	if (err) {
		tapxfer_handover_put(ho);
		return ERR_PTR(err);
	}
	return ho;
}

/**
 * tapxfer_request_timeout - how long freeze and drain may wait
 * @skb: the request
 * @info: the request, parsed
 * @too_long: what to say of more than TAPXFER_TIMEOUT_MAX
 * @timeout: ms
 *
 * Return: 0 or -ERANGE.
 */
int tapxfer_request_timeout(const struct sk_buff *skb, struct genl_info *info,
			    const char *too_long, u32 *timeout)
{
	const struct nlattr *a = info->attrs[TAPXFER_A_HANDOVER_TIMEOUT];

	*timeout = a ? nla_get_u32(a) : TAPXFER_TIMEOUT_MAX;
	if (*timeout > TAPXFER_TIMEOUT_MAX) {
		tapxfer_set_err(info->extack, a, too_long);
		return -ERANGE;
	}
	if (!tapxfer_request_may_wait(skb, info))
		*timeout = 0;
	return 0;
}

/**
 * tapxfer_request_check_abort - the token, or power over the device's netns
 * @skb: the request
 * @ho: the handover that it shall end
 * @info: the request, parsed
 *
 * Return: 0, -EPERM, or -ENOENT when it has ended and let go of the device.
 */
int tapxfer_request_check_abort(struct sk_buff *skb,
				struct tapxfer_handover *ho,
				struct genl_info *info)
{
	int err = 0;

	if (info->attrs[TAPXFER_A_HANDOVER_TOKEN])
		return check_token(ho, info);

	mutex_lock(&ho->ho_lock);
	/* The device may be moved, and the namespace that it left be deleted. */
	rcu_read_lock();
	if (!ho->ho_dev) {
		NL_SET_ERR_MSG(info->extack, "the handover has ended");
		err = -ENOENT;
	} else if (!caller_is_admin(skb, dev_net(ho->ho_dev))) {
		NL_SET_ERR_MSG(info->extack,
			       "abort needs the token, or CAP_NET_ADMIN in the device's netns");
		err = -EPERM;
	}
	rcu_read_unlock();
	mutex_unlock(&ho->ho_lock);
	return err;
}
