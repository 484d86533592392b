// SPDX-License-Identifier: GPL-2.0
/*
 * The generic netlink family and its commands.
 * Documentation/netlink/specs/tapxfer.yaml describes it.
 */
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
	[TAPXFER_A_HANDOVER_NUM_QUEUES]	= { .type = NLA_U32 },
	[TAPXFER_A_HANDOVER_NO_FDS]	= { .type = NLA_FLAG },
	[TAPXFER_A_HANDOVER_ATTACH_ALL]	= { .type = NLA_FLAG },
	[TAPXFER_A_HANDOVER_SCRATCH]	= { .type = NLA_U64 },
	[TAPXFER_A_HANDOVER_BRIEF]	= { .type = NLA_FLAG },
	[TAPXFER_A_HANDOVER_THAW]	= { .type = NLA_FLAG },
	[TAPXFER_A_HANDOVER_SHARED]	= { .type = NLA_FLAG },
};

/* ready, thaw */
static const struct nla_policy let_go_on_policy[] = {
	[TAPXFER_A_HANDOVER_ID]		= { .type = NLA_U32 },
	[TAPXFER_A_HANDOVER_TOKEN]	= NLA_POLICY_EXACT_LEN(TAPXFER_TOKEN_LEN),
	[TAPXFER_A_HANDOVER_SHARED]	= { .type = NLA_FLAG },
	[TAPXFER_A_HANDOVER_SCRATCH]	= { .type = NLA_U64 },
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
	[TAPXFER_A_HANDOVER_SCRATCH]	= { .type = NLA_U64 },
};

static const struct nla_policy hold_policy[] = {
	[TAPXFER_A_HANDOVER_ID]		= { .type = NLA_U32 },
	[TAPXFER_A_HANDOVER_TOKEN]	= NLA_POLICY_EXACT_LEN(TAPXFER_TOKEN_LEN),
	[TAPXFER_A_HANDOVER_IFINDEX]	= { .type = NLA_U32 },
	[TAPXFER_A_HANDOVER_FD]		= { .type = NLA_S32 },
	[TAPXFER_A_HANDOVER_HOLD]	= { .type = NLA_U32 },
	[TAPXFER_A_HANDOVER_DEADLINE]	= { .type = NLA_U32 },
	[TAPXFER_A_HANDOVER_HOLD_BYTES]	= { .type = NLA_U64 },
	[TAPXFER_A_HANDOVER_SCRATCH]	= { .type = NLA_U64 },
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
	[TAPXFER_A_HANDOVER_SCRATCH]	= { .type = NLA_U64 },
	[TAPXFER_A_HANDOVER_BRIEF]	= { .type = NLA_FLAG },
};

static const struct nla_policy drain_policy[] = {
	[TAPXFER_A_HANDOVER_ID]		= { .type = NLA_U32 },
	[TAPXFER_A_HANDOVER_TOKEN]	= NLA_POLICY_EXACT_LEN(TAPXFER_TOKEN_LEN),
	[TAPXFER_A_HANDOVER_TIMEOUT]	= { .type = NLA_U32 },
};

/*
 * The end of a command that can begin a handover. One that was created by a call
 * that fails, or whose reply cannot be delivered, has nobody who could go on with
 * it.
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
		tapxfer_end(ho, TAPXFER_EVENT_ABORTED);
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

	err = tapxfer_reply_new(&r, info, tapxfer_fill_step_size());
	if (err)
		return err;
	ho = tapxfer_request_new(skb, info);
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

	err = tapxfer_reply_new(&r, info, tapxfer_fill_step_size());
	if (err)
		return err;
	ho = tapxfer_request_begin(skb, info, BIT(TAPXFER_STATE_PREPARED),
				   &created);
	if (IS_ERR(ho)) {
		tapxfer_reply_free(&r);
		return PTR_ERR(ho);
	}
	err = tapxfer_hold(ho, info->extack);
	if (!err)
		err = fill_begun(&r, ho, created, info->extack);
	return finish(ho, info, &r, err, created);
}

static bool wants_brief(struct genl_info *info)
{
	return nla_get_flag(info->attrs[TAPXFER_A_HANDOVER_BRIEF]);
}

static bool wants_shared(struct genl_info *info)
{
	return nla_get_flag(info->attrs[TAPXFER_A_HANDOVER_SHARED]);
}

/* The handover may have ended since the command that is answered. */
static int fill_state(struct tapxfer_reply *r, struct tapxfer_handover *ho,
		      struct genl_info *info, bool created, const int *fds)
{
	int err;

	mutex_lock(&ho->ho_lock);
	err = tapxfer_handover_check_live(ho, info->extack);
	if (!err)
		err = tapxfer_fill_begun(r->skb, ho, created);
	if (!err)
		err = wants_brief(info) ?
		      tapxfer_fill_brief(r->skb, ho, fds) :
		      tapxfer_fill_state(r->skb, ho, fds);
	mutex_unlock(&ho->ho_lock);
	return err;
}

static int freeze_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct tapxfer_handover *ho;
	struct tapxfer_reply r;
	bool created;
	u32 timeout;
	int err;

	err = tapxfer_request_timeout(skb, info,
				      "timeout is above timeout-max, see cap-get: freeze again instead",
				      &timeout);
	if (err)
		return err;
	ho = tapxfer_request_begin(skb, info, BIT(TAPXFER_STATE_PREPARED) |
					      BIT(TAPXFER_STATE_HOLDING),
				   &created);
	if (IS_ERR(ho))
		return PTR_ERR(ho);
	/* Before anything is held; on failure there is nothing to be freed. */
	err = tapxfer_reply_new(&r, info, wants_brief(info) ?
				tapxfer_fill_brief_size(0) :
				tapxfer_fill_state_size(ho->ho_nqueues, false));
	if (!err && READ_ONCE(ho->ho_state) == TAPXFER_STATE_PREPARED)
		err = tapxfer_hold(ho, info->extack);
	if (!err)
		err = tapxfer_freeze(ho, timeout, info->extack);
	if (!err)
		err = fill_state(&r, ho, info, created, NULL);
	return finish(ho, info, &r, err, created);
}

/* What a claim asks for beside the files */
struct claim_how {
	bool	fds;
	bool	attach;
	bool	thaw;
	bool	shared;
};

static size_t claim_size(const struct tapxfer_handover *ho,
			 struct genl_info *info, const struct claim_how *how)
{
	unsigned int nfds = how->fds ? ho->ho_nqueues : 0;

	if (how->thaw)
		return tapxfer_fill_thawed_size(nfds);
	return wants_brief(info) ? tapxfer_fill_brief_size(nfds) :
				   tapxfer_fill_state_size(ho->ho_nqueues,
							   how->fds);
}

/* The claim alone; the reply is consumed in every case. */
static int claim_only(struct tapxfer_handover *ho, struct genl_info *info,
		      bool attach, struct tapxfer_reply *r, const int *fds)
{
	int err;

	err = tapxfer_claim_commit(ho, attach, info->extack);
	if (!err)
		err = fill_state(r, ho, info, false, fds);
	if (!err)
		return tapxfer_reply_send(r, info);
	tapxfer_reply_free(r);
	return err;
}

static int claim(struct tapxfer_handover *ho, struct genl_info *info,
		 const struct claim_how *how)
{
	struct tapxfer_reply r;
	int *fds = NULL;
	int err;

	if (how->fds) {
		fds = kmalloc_array(ho->ho_nqueues, sizeof(*fds), GFP_KERNEL);
		if (!fds)
			return tapxfer_no_memory(info->extack);
	}
	err = tapxfer_reply_new(&r, info, claim_size(ho, info, how));
	if (err)
		goto out_fds;
	if (fds)
		err = tapxfer_claim_files(ho, fds, info->extack);
	if (err) {
		tapxfer_reply_free(&r);
		goto out_fds;
	}

	if (how->thaw)
		err = tapxfer_claim_thaw(ho, &r, info, fds);
	else
		err = claim_only(ho, info, how->attach, &r, fds);
	if (err) {
		tapxfer_claim_revoke(ho);
		if (fds)
			tapxfer_claim_undo(ho, fds, ho->ho_nqueues);
	}
out_fds:
	kfree(fds);
	return err;
}

static int claim_check(const struct tapxfer_handover *ho,
		       struct genl_info *info, const struct claim_how *how)
{
	const struct nlattr *n = info->attrs[TAPXFER_A_HANDOVER_NUM_QUEUES];

	if (n && nla_get_u32(n) != ho->ho_nqueues) {
		tapxfer_set_err_fmt(info->extack,
				    "the device has %u queues, ask for all of them",
				    ho->ho_nqueues);
		return -EINVAL;
	}
	if (how->shared && !how->thaw) {
		NL_SET_ERR_MSG_ATTR(info->extack,
				    info->attrs[TAPXFER_A_HANDOVER_SHARED],
				    "shared is for a claim that thaws, or for ready and thaw");
		return -EINVAL;
	}
	if (how->attach && how->thaw) {
		NL_SET_ERR_MSG_ATTR(info->extack,
				    info->attrs[TAPXFER_A_HANDOVER_ATTACH_ALL],
				    "a claim that thaws attaches no queue: claim, then thaw");
		return -EINVAL;
	}
	return 0;
}

static int claim_doit(struct sk_buff *skb, struct genl_info *info)
{
	const struct claim_how how = {
		.fds = !nla_get_flag(info->attrs[TAPXFER_A_HANDOVER_NO_FDS]),
		.attach = nla_get_flag(info->attrs[TAPXFER_A_HANDOVER_ATTACH_ALL]),
		.thaw = nla_get_flag(info->attrs[TAPXFER_A_HANDOVER_THAW]),
		.shared = wants_shared(info),
	};
	struct tapxfer_handover *ho;
	unsigned long scratch;
	int err;

	err = tapxfer_check_opener(skb, info);
	if (err)
		return err;
	ho = tapxfer_request_find(skb, info);
	if (IS_ERR(ho))
		return PTR_ERR(ho);
	err = claim_check(ho, info, &how);
	if (err)
		goto out;
	err = tapxfer_scratch_take(tapxfer_request_scratch(skb, info), &scratch,
				   info->extack);
	if (err)
		goto out;
	err = tapxfer_handover_begin(ho, BIT(TAPXFER_STATE_FROZEN), scratch,
				     info->extack);
	if (err)
		goto out;
	if (how.thaw)
		err = tapxfer_claim_thaw_check(ho, how.shared, info->extack);
	if (!err)
		err = claim(ho, info, &how);
	/* A thaw that worked is done. */
	if (err || !how.thaw)
		tapxfer_handover_done(ho);
out:
	tapxfer_handover_put(ho);
	return err;
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
	unsigned long scratch;
	int err;

	ho = tapxfer_request_find(skb, info);
	if (IS_ERR(ho))
		return PTR_ERR(ho);
	err = tapxfer_scratch_take(tapxfer_request_scratch(skb, info), &scratch,
				   info->extack);
	if (err)
		goto out;
	err = tapxfer_reply_new(&r, info, tapxfer_fill_step_size());
	if (err)
		goto out;
	err = tapxfer_handover_begin(ho, BIT(TAPXFER_STATE_CLAIMED),
				     scratch, info->extack);
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
	ho = tapxfer_request_find(skb, info);
	if (IS_ERR(ho))
		return PTR_ERR(ho);
	err = tapxfer_reply_new(&r, info, tapxfer_fill_step_size());
	if (err)
		goto out;
	err = tapxfer_handover_begin(ho, BIT(TAPXFER_STATE_CLAIMED) |
					 BIT(TAPXFER_STATE_READY),
				     0, info->extack);
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
	unsigned long scratch;
	int err;

	ho = tapxfer_request_find(skb, info);
	if (IS_ERR(ho))
		return PTR_ERR(ho);
	err = tapxfer_scratch_take(tapxfer_request_scratch(skb, info), &scratch,
				   info->extack);
	if (err)
		goto out;
	err = tapxfer_handover_begin(ho, BIT(TAPXFER_STATE_CLAIMED) |
					 BIT(TAPXFER_STATE_READY),
				     scratch, info->extack);
	if (err)
		goto out;
	err = tapxfer_thaw(ho, wants_shared(info), &r, info);
	/* The end is the end, whether or not the reply gets through. */
	if (err)
		tapxfer_handover_done(ho);
	else if (r.skb)
		tapxfer_reply_send(&r, info);
out:
	tapxfer_handover_put(ho);
	return err;
}

/* It has ended meanwhile: what was put back is told all the same. */
static int tell_ended(struct tapxfer_handover *ho, struct genl_info *info,
		      struct tapxfer_reply *r)
{
	struct sk_buff *skb = ho->ho_answer;
	int err;

	/* Another abort may have had it. */
	if (!skb)
		skb = tapxfer_reply_alloc(tapxfer_fill_step_size());
	ho->ho_answer = NULL;
	if (!skb)
		return -ENOENT;
	err = tapxfer_reply_begin(r, info, skb);
	if (!err)
		tapxfer_fill_ended(r->skb, ho);
	return err;
}

/*
 * Put back what a claimant has set, if that is possible; then end it, and begin
 * to answer.
 */
static int end_and_tell(struct tapxfer_handover *ho, struct genl_info *info,
			struct tapxfer_reply *r, bool may_wait)
{
	bool restored = tapxfer_apply_restore(ho);
	int err = 0;

	if (may_wait)
		tapxfer_apply_stop_wait(ho);
	mutex_lock(&ho->ho_lock);
	if (tapxfer_is_live(ho))
		tapxfer_end_answer(ho, TAPXFER_EVENT_ABORTED, r, info);
	else
		err = restored ? tell_ended(ho, info, r) : -ENOENT;
	if (err == -ENOENT)
		NL_SET_ERR_MSG(info->extack, "the handover has ended");
	if (restored)
		tapxfer_handover_done_locked(ho);
	mutex_unlock(&ho->ho_lock);
	return err;
}

static int abort_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct tapxfer_handover *ho;
	struct tapxfer_reply r;
	int err;

	ho = tapxfer_find(info);
	if (IS_ERR(ho))
		return PTR_ERR(ho);
	err = tapxfer_request_check_abort(skb, ho, info);
	if (!err)
		err = end_and_tell(ho, info, &r,
				   tapxfer_request_may_wait(skb, info));
	/* The end is the end, whether or not the reply gets through. */
	if (!err && r.skb)
		tapxfer_reply_send(&r, info);
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

	err = tapxfer_request_timeout(skb, info,
				      "timeout is above timeout-max, see cap-get: drain again instead",
				      &timeout);
	if (err)
		return err;
	ho = tapxfer_request_find(skb, info);
	if (IS_ERR(ho))
		return PTR_ERR(ho);
	err = tapxfer_reply_new(&r, info, tapxfer_fill_step_size());
	if (err)
		goto out;
	err = tapxfer_handover_begin(ho, BIT(TAPXFER_STATE_FROZEN) |
				     BIT(TAPXFER_STATE_CLAIMED), 0,
				     info->extack);
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
