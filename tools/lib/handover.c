// SPDX-License-Identifier: LGPL-2.1-or-later
/* A handover's steps. */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "internal.h"

/*
 * More than any device has, to bound the request. Up to here the kernel says
 * what is wrong.
 */
#define FDS_MAX		4096

/* Room for id, token, ifindex, scratch, flags and the numbers of the options. */
#define ROOM		128

/* Copy the caller's options, which may be older or newer than ours. */
static int opts_get(struct tapxfer *tx, const struct tapxfer_opts *from,
		    uint32_t allowed, struct tapxfer_opts *opts)
{
	const char *p = (const char *)from;
	uint32_t i;

	memset(opts, 0, sizeof(*opts));
	if (!from)
		return 0;
	if (from->size < offsetof(struct tapxfer_opts, hold))
		return txl_error_set(tx, -EINVAL, "the options have no size");

	for (i = sizeof(*opts); i < from->size; i++)
		if (p[i])
			return txl_error_set(tx, -E2BIG,
					     "an option that this version of the library does not know");
	memcpy(opts, from,
	       from->size < sizeof(*opts) ? from->size : sizeof(*opts));
	if (opts->reserved)
		return txl_error_set(tx, -EINVAL,
				     "the options' reserved member is not 0");
	if ((opts->set & TAPXFER_OPT_HOLD_BYTES) && from->size < sizeof(*opts))
		return txl_error_set(tx, -EINVAL,
				     "the options' size ends before the hold limit in bytes");

	if (opts->set & TAPXFER_OPT_HOLD & ~allowed)
		return txl_error_set(tx, -EINVAL,
				     "the hold limit goes with the call that begins the handover");
	if (opts->set & TAPXFER_OPT_HOLD_BYTES & ~allowed)
		return txl_error_set(tx, -EINVAL,
				     "the hold limit in bytes goes with the call that begins the handover");
	if (opts->set & TAPXFER_OPT_DEADLINE & ~allowed)
		return txl_error_set(tx, -EINVAL,
				     "the deadline goes with the call that begins the handover");
	if (opts->set & TAPXFER_OPT_TIMEOUT & ~allowed)
		return txl_error_set(tx, -EINVAL,
				     "the timeout goes with the call that freezes");
	if (opts->set & ~allowed)
		return txl_error_set(tx, -EINVAL,
				     "an option that this version of the library does not know");
	return 0;
}

static void opts_put(struct nlmsghdr *nlh, const struct tapxfer_opts *opts)
{
	if (opts->set & TAPXFER_OPT_HOLD)
		mnl_attr_put_u32(nlh, TAPXFER_A_HANDOVER_HOLD, opts->hold);
	if (opts->set & TAPXFER_OPT_HOLD_BYTES)
		mnl_attr_put_u64(nlh, TAPXFER_A_HANDOVER_HOLD_BYTES,
				 opts->hold_bytes);
	if (opts->set & TAPXFER_OPT_DEADLINE)
		mnl_attr_put_u32(nlh, TAPXFER_A_HANDOVER_DEADLINE,
				 opts->deadline);
	if (opts->set & TAPXFER_OPT_TIMEOUT)
		mnl_attr_put_u32(nlh, TAPXFER_A_HANDOVER_TIMEOUT,
				 opts->timeout);
}

/* A page that the kernel has to map for its answers takes long: it gets memory. */
static void scratch_put(struct tapxfer *tx, struct nlmsghdr *nlh)
{
	if (txl_has_feature(tx, TAPXFER_FEATURE_SCRATCH))
		mnl_attr_put_u64(nlh, TAPXFER_A_HANDOVER_SCRATCH,
				 (uintptr_t)tx->scratch);
}

static int prepare(struct tapxfer *tx, unsigned int ifindex, const int *fds,
		   size_t nfds, const struct tapxfer_opts *opts,
		   struct tapxfer_token *token, struct tapxfer_info **ho)
{
	struct txl_req req;
	size_t i;
	int err;

	if (nfds > FDS_MAX)
		return txl_error_set(tx, -E2BIG, "more than %d files",
				     FDS_MAX);
	if (!ifindex && nfds) {
		err = txl_tun_ifindex(tx, fds[0], &ifindex);
		if (err)
			return err;
	}

	err = txl_req_init(tx, &req, TXL_SET_HANDOVER, TAPXFER_CMD_PREPARE,
			   ROOM + nfds * 8);
	if (err)
		return err;
	if (ifindex)
		mnl_attr_put_u32(req.nlh, TAPXFER_A_HANDOVER_IFINDEX, ifindex);
	for (i = 0; i < nfds; i++)
		mnl_attr_put_u32(req.nlh, TAPXFER_A_HANDOVER_FD,
				 (uint32_t)fds[i]);
	opts_put(req.nlh, opts);
	scratch_put(tx, req.nlh);
	/* memory first: the answer brings the token, which comes only once */
	err = txl_talk_one(tx, &req, true, token, ho);
	txl_req_free(&req);
	return err;
}

/* The bit of a flag attribute */
#define FLAG(name)	(1ULL << TAPXFER_A_HANDOVER_##name)

static int go_on_init(struct tapxfer *tx, struct txl_req *req, uint8_t cmd,
		      uint32_t id, const struct tapxfer_token *token,
		      uint64_t flags)
{
	uint16_t attr;
	int err;

	err = txl_req_init(tx, req, TXL_SET_HANDOVER, cmd, ROOM);
	if (err)
		return err;
	mnl_attr_put_u32(req->nlh, TAPXFER_A_HANDOVER_ID, id);
	if (token)
		mnl_attr_put(req->nlh, TAPXFER_A_HANDOVER_TOKEN,
			     sizeof(token->bytes), token->bytes);
	if (cmd == TAPXFER_CMD_FREEZE || cmd == TAPXFER_CMD_CLAIM ||
	    cmd == TAPXFER_CMD_READY || cmd == TAPXFER_CMD_THAW)
		scratch_put(tx, req->nlh);
	for (attr = 1; attr <= TAPXFER_A_HANDOVER_MAX; attr++)
		if (flags & 1ULL << attr)
			mnl_attr_put(req->nlh, attr, 0, NULL);
	return 0;
}

static int go_on_flags(struct tapxfer *tx, uint8_t cmd, uint32_t id,
		       const struct tapxfer_token *token,
		       const struct tapxfer_opts *opts, uint64_t flags,
		       struct tapxfer_info **ho)
{
	struct txl_req req;
	int err;

	err = go_on_init(tx, &req, cmd, id, token, flags);
	if (err)
		return err;
	if (opts)
		opts_put(req.nlh, opts);
	err = txl_talk_one(tx, &req, !!ho, NULL, ho);
	txl_req_free(&req);
	return err;
}

static int go_on(struct tapxfer *tx, uint8_t cmd, uint32_t id,
		 const struct tapxfer_token *token,
		 const struct tapxfer_opts *opts, struct tapxfer_info **ho)
{
	return go_on_flags(tx, cmd, id, token, opts, 0, ho);
}

static int flags_check(struct tapxfer *tx, uint32_t flags, uint32_t allowed)
{
	if (flags & ~allowed)
		return txl_error_set(tx, -EINVAL,
				     "a flag that this version of the library does not know");
	return 0;
}

/* ready and thaw */
static int let_go_on(struct tapxfer *tx, uint8_t cmd, uint32_t id,
		     const struct tapxfer_token *token, uint32_t flags,
		     struct tapxfer_info **ho)
{
	int err;

	if (ho)
		*ho = NULL;
	err = flags_check(tx, flags, TAPXFER_THAW_SHARED);
	if (err)
		return err;
	return go_on_flags(tx, cmd, id, token, NULL,
			   flags & TAPXFER_THAW_SHARED ? FLAG(SHARED) : 0, ho);
}

/*
 * From the files to @cmd. The prepare comes apart, so that we have the token,
 * and with it the right to abort, before anything holds traffic.
 */
static int begin(struct tapxfer *tx, uint8_t cmd, unsigned int ifindex,
		 const int *fds, size_t nfds, const struct tapxfer_opts *user,
		 struct tapxfer_token *token, struct tapxfer_info **ho)
{
	uint32_t allowed = TAPXFER_OPT_HOLD | TAPXFER_OPT_HOLD_BYTES |
			   TAPXFER_OPT_DEADLINE;
	struct tapxfer_info *begun = NULL;
	struct tapxfer_opts opts, late;
	struct txl_error error;
	uint32_t id;
	int err;

	*ho = NULL;
	tapxfer_token_wipe(token);
	if (cmd == TAPXFER_CMD_FREEZE)
		allowed |= TAPXFER_OPT_TIMEOUT;
	err = opts_get(tx, user, allowed, &opts);
	if (err)
		return err;
	late = opts;
	opts.set &= ~TAPXFER_OPT_TIMEOUT;
	late.set &= TAPXFER_OPT_TIMEOUT;

	err = prepare(tx, ifindex, fds, nfds, &opts, token, &begun);
	if (err) {
		tapxfer_token_wipe(token);
		return err;
	}
	if (cmd == TAPXFER_CMD_PREPARE) {
		*ho = begun;
		return 0;
	}

	id = (uint32_t)tapxfer_info_u64(begun, TAPXFER_A_HANDOVER_ID);
	tapxfer_info_free(begun);
	err = go_on(tx, cmd, id, token, &late, ho);
	if (err) {
		error = tx->error;
		go_on(tx, TAPXFER_CMD_ABORT, id, token, NULL, NULL);
		tx->error = error;
		tapxfer_token_wipe(token);
	}
	return err;
}

EXPORT int tapxfer_prepare(struct tapxfer *tx, unsigned int ifindex,
			   const int *fds, size_t nfds,
			   const struct tapxfer_opts *opts,
			   struct tapxfer_token *token,
			   struct tapxfer_info **ho)
{
	return begin(tx, TAPXFER_CMD_PREPARE, ifindex, fds, nfds, opts, token,
		     ho);
}

EXPORT int tapxfer_hold(struct tapxfer *tx, unsigned int ifindex,
			const int *fds, size_t nfds,
			const struct tapxfer_opts *opts,
			struct tapxfer_token *token, struct tapxfer_info **ho)
{
	return begin(tx, TAPXFER_CMD_HOLD, ifindex, fds, nfds, opts, token, ho);
}

EXPORT int tapxfer_freeze(struct tapxfer *tx, unsigned int ifindex,
			  const int *fds, size_t nfds,
			  const struct tapxfer_opts *opts,
			  struct tapxfer_token *token,
			  struct tapxfer_info **ho)
{
	return begin(tx, TAPXFER_CMD_FREEZE, ifindex, fds, nfds, opts, token,
		     ho);
}

EXPORT int tapxfer_hold_id(struct tapxfer *tx, uint32_t id,
			   const struct tapxfer_token *token,
			   const struct tapxfer_opts *user,
			   struct tapxfer_info **ho)
{
	struct tapxfer_opts opts;
	int err;

	if (ho)
		*ho = NULL;
	err = opts_get(tx, user, 0, &opts);
	if (err)
		return err;
	return go_on(tx, TAPXFER_CMD_HOLD, id, token, &opts, ho);
}

EXPORT int tapxfer_freeze_id(struct tapxfer *tx, uint32_t id,
			     const struct tapxfer_token *token,
			     const struct tapxfer_opts *user,
			     struct tapxfer_info **ho)
{
	struct tapxfer_opts opts;
	uint64_t flags = 0;
	int err;

	if (ho)
		*ho = NULL;
	err = opts_get(tx, user, TAPXFER_OPT_TIMEOUT, &opts);
	if (err)
		return err;
	/* what nobody wants need not be told while packets are held */
	if (!ho && txl_has_feature(tx, TAPXFER_FEATURE_BRIEF))
		flags = FLAG(BRIEF);
	return go_on_flags(tx, TAPXFER_CMD_FREEZE, id, token, &opts, flags, ho);
}

EXPORT int tapxfer_claim(struct tapxfer *tx, uint32_t id,
			 const struct tapxfer_token *token,
			 struct tapxfer_info **ho)
{
	return tapxfer_claim_flags(tx, id, token, 0, ho);
}

EXPORT int tapxfer_claim_flags(struct tapxfer *tx, uint32_t id,
			       const struct tapxfer_token *token,
			       uint32_t flags, struct tapxfer_info **ho)
{
	uint64_t attrs = 0;
	int err;

	*ho = NULL;
	err = flags_check(tx, flags,
			  TAPXFER_CLAIM_NO_FDS | TAPXFER_CLAIM_ATTACH_ALL);
	if (err)
		return err;
	if (flags & TAPXFER_CLAIM_NO_FDS)
		attrs |= FLAG(NO_FDS);
	if (flags & TAPXFER_CLAIM_ATTACH_ALL)
		attrs |= FLAG(ATTACH_ALL);
	return go_on_flags(tx, TAPXFER_CMD_CLAIM, id, token, NULL, attrs, ho);
}

/* A claim of so many files and nothing else */
static int claim_init(struct tapxfer *tx, struct txl_req *req, uint32_t id,
		      const struct tapxfer_token *token, uint32_t flags,
		      uint64_t attrs, size_t nfds)
{
	int err;

	if (nfds > FDS_MAX)
		return txl_error_set(tx, -E2BIG, "more than %d files", FDS_MAX);
	if (flags & TAPXFER_CLAIM_ATTACH_ALL)
		attrs |= FLAG(ATTACH_ALL);
	if (flags & TAPXFER_CLAIM_SHARED)
		attrs |= FLAG(SHARED);
	err = go_on_init(tx, req, TAPXFER_CMD_CLAIM, id, token, attrs);
	if (!err)
		mnl_attr_put_u32(req->nlh, TAPXFER_A_HANDOVER_NUM_QUEUES,
				 (uint32_t)nfds);
	return err;
}

struct claimed {
	int *fds;
	size_t n;
	bool taken;
};

static int claimed_reply(struct tapxfer *tx, const struct nlmsghdr *nlh,
			 void *data)
{
	struct claimed *c = data;
	const struct nlattr *attr;

	(void)tx;
	mnl_attr_for_each(attr, nlh, sizeof(struct genlmsghdr)) {
		if (mnl_attr_get_type(attr) != TAPXFER_A_HANDOVER_FDS ||
		    mnl_attr_get_payload_len(attr) != c->n * sizeof(*c->fds))
			continue;
		memcpy(c->fds, mnl_attr_get_payload(attr),
		       c->n * sizeof(*c->fds));
		c->taken = true;
	}
	return c->taken ? 0 : -EPROTO;
}

EXPORT int tapxfer_claim_fds(struct tapxfer *tx, uint32_t id,
			     const struct tapxfer_token *token, uint32_t flags,
			     int *fds, size_t nfds)
{
	struct claimed claimed = { .fds = fds, .n = nfds };
	struct txl_req req;
	int err;

	err = flags_check(tx, flags, TAPXFER_CLAIM_ATTACH_ALL);
	if (err)
		return err;
	err = claim_init(tx, &req, id, token, flags, FLAG(BRIEF), nfds);
	if (err)
		return err;
	err = txl_talk(tx, &req, claimed_reply, &claimed);
	txl_req_free(&req);
	return err;
}

EXPORT int tapxfer_claim_thaw(struct tapxfer *tx, uint32_t id,
			      const struct tapxfer_token *token, uint32_t flags,
			      int *fds, size_t nfds, struct tapxfer_info **ho)
{
	struct tapxfer_info *thawed = NULL;
	const void *claimed;
	struct txl_req req;
	size_t len = 0;
	int err;

	if (ho)
		*ho = NULL;
	err = flags_check(tx, flags, TAPXFER_CLAIM_SHARED);
	if (err)
		return err;
	err = claim_init(tx, &req, id, token, flags, FLAG(THAW), nfds);
	if (err)
		return err;
	/* memory first: the answer brings descriptors, and traffic goes on */
	err = txl_talk_one(tx, &req, true, NULL, &thawed);
	txl_req_free(&req);
	if (err)
		return err;

	claimed = tapxfer_info_bin(thawed, TAPXFER_A_HANDOVER_FDS, &len);
	if (claimed && len == nfds * sizeof(*fds))
		memcpy(fds, claimed, len);
	else
		err = txl_error_set(tx, -EPROTO,
				    "the kernel gave other descriptors than asked for");
	if (!err && ho)
		*ho = thawed;
	else
		tapxfer_info_free(thawed);
	return err;
}

EXPORT int tapxfer_drain(struct tapxfer *tx, uint32_t id,
			 const struct tapxfer_token *token, int timeout,
			 struct tapxfer_info **ho)
{
	struct tapxfer_opts opts = { 0 };

	if (ho)
		*ho = NULL;
	if (timeout >= 0) {
		opts.set = TAPXFER_OPT_TIMEOUT;
		opts.timeout = (uint32_t)timeout;
	}
	return go_on(tx, TAPXFER_CMD_DRAIN, id, token, &opts, ho);
}

int txl_pass(struct tapxfer *tx, uint32_t id, const struct tapxfer_token *token,
	     pid_t pid, struct tapxfer_info **ho)
{
	struct txl_req req;
	int err;

	err = txl_req_init(tx, &req, TXL_SET_HANDOVER, TAPXFER_CMD_PASS, ROOM);
	if (err)
		return err;
	mnl_attr_put_u32(req.nlh, TAPXFER_A_HANDOVER_ID, id);
	mnl_attr_put(req.nlh, TAPXFER_A_HANDOVER_TOKEN, sizeof(token->bytes),
		     token->bytes);
	mnl_attr_put_u32(req.nlh, TAPXFER_A_HANDOVER_PID, (uint32_t)pid);
	err = txl_talk_one(tx, &req, !!ho, NULL, ho);
	txl_req_free(&req);
	return err;
}

EXPORT int tapxfer_ready(struct tapxfer *tx, uint32_t id,
			 const struct tapxfer_token *token, uint32_t flags,
			 struct tapxfer_info **ho)
{
	return let_go_on(tx, TAPXFER_CMD_READY, id, token, flags, ho);
}

EXPORT int tapxfer_thaw(struct tapxfer *tx, uint32_t id,
			const struct tapxfer_token *token,
			struct tapxfer_info **ho)
{
	return tapxfer_thaw_flags(tx, id, token, 0, ho);
}

EXPORT int tapxfer_thaw_flags(struct tapxfer *tx, uint32_t id,
			      const struct tapxfer_token *token,
			      uint32_t flags, struct tapxfer_info **ho)
{
	return let_go_on(tx, TAPXFER_CMD_THAW, id, token, flags, ho);
}

EXPORT int tapxfer_abort(struct tapxfer *tx, uint32_t id,
			 const struct tapxfer_token *token,
			 struct tapxfer_info **ho)
{
	if (ho)
		*ho = NULL;
	return go_on(tx, TAPXFER_CMD_ABORT, id, token, NULL, ho);
}

EXPORT int tapxfer_handover_get(struct tapxfer *tx, uint32_t id,
				struct tapxfer_info **ho)
{
	if (ho)
		*ho = NULL;
	return go_on(tx, TAPXFER_CMD_HANDOVER_GET, id, NULL, NULL, ho);
}

EXPORT int tapxfer_handover_list(struct tapxfer *tx, tapxfer_info_cb cb,
				 void *data)
{
	return txl_dump(tx, TXL_SET_HANDOVER, TAPXFER_CMD_HANDOVER_GET, cb,
			data);
}
