// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "util.h"
#include "xfer.h"

int xfer_open(struct xfer *x)
{
	memset(x, 0, sizeof(*x));
	return tapxfer_open(&x->tx);
}

void xfer_close(struct xfer *x)
{
	if (x->id)
		xfer_abort(x);
	tapxfer_info_free(x->info);
	tapxfer_close(x->tx);
	memset(x, 0, sizeof(*x));
}

static struct tapxfer_info **answer(struct xfer *x)
{
	tapxfer_info_free(x->info);
	x->info = NULL;
	return &x->info;
}

uint32_t xfer_patience_ms(void)
{
	int ms = scaled_ms(60000);

	return ms < 300000 ? ms : 300000;
}

int xfer_begin(struct xfer *x, const struct tap *tap, enum tapxfer_state state,
	       uint32_t hold, uint32_t deadline)
{
	struct tapxfer_opts opts = {
		.size = sizeof(opts),
		.set = (hold ? TAPXFER_OPT_HOLD : 0) | TAPXFER_OPT_DEADLINE,
		.hold = hold,
		.deadline = deadline ?: XFER_PATIENCE_MS,
	};
	int (*begin)(struct tapxfer *tx, unsigned int ifindex, const int *fds,
		     size_t nfds, const struct tapxfer_opts *opts,
		     struct tapxfer_token *token, struct tapxfer_info **ho);
	int err;

	begin = state == TAPXFER_STATE_PREPARED ? tapxfer_prepare :
		state == TAPXFER_STATE_HOLDING ? tapxfer_hold : tapxfer_freeze;
	err = begin(x->tx, tap->ifindex, tap->fds, tap->n, &opts, &x->token,
		    answer(x));
	x->id = err ? 0 : tapxfer_info_u64(x->info, TAPXFER_A_HANDOVER_ID);
	return err;
}

int xfer_begin_raw(struct xfer *x, struct genl *g, const struct tap *tap,
		   uint8_t cmd, uint32_t hold, uint64_t bytes,
		   uint32_t deadline)
{
	const struct nlattr *token;
	int err;

	genl_begin(g, cmd, tap->ifindex, tap->fds, tap->n);
	if (hold)
		mnl_attr_put_u32(g->req, TAPXFER_A_HANDOVER_HOLD, hold);
	if (bytes)
		mnl_attr_put_u64(g->req, TAPXFER_A_HANDOVER_HOLD_BYTES, bytes);
	mnl_attr_put_u32(g->req, TAPXFER_A_HANDOVER_DEADLINE,
			 deadline ?: XFER_PATIENCE_MS);
	err = genl_talk(g);
	token = genl_attr(g, TAPXFER_A_HANDOVER_TOKEN);
	x->id = 0;
	if (err || !token)
		return err ?: -EPROTO;
	x->id = genl_u32(g, TAPXFER_A_HANDOVER_ID);
	memcpy(&x->token, mnl_attr_get_payload(token), TAPXFER_TOKEN_LEN);
	return 0;
}

int xfer_hold(struct xfer *x)
{
	return tapxfer_hold_id(x->tx, x->id, &x->token, NULL, answer(x));
}

int xfer_freeze(struct xfer *x)
{
	return tapxfer_freeze_id(x->tx, x->id, &x->token, NULL, answer(x));
}

int xfer_freeze_patiently(struct xfer *x)
{
	int err;

	do {
		err = xfer_freeze(x);
	} while (err == -ETIMEDOUT);
	return err;
}

int xfer_freeze_within(struct xfer *x, uint32_t timeout_ms)
{
	struct tapxfer_opts opts = {
		.size = sizeof(opts),
		.set = TAPXFER_OPT_TIMEOUT,
		.timeout = timeout_ms,
	};

	return tapxfer_freeze_id(x->tx, x->id, &x->token, &opts, answer(x));
}

int xfer_claim(struct xfer *x, struct tap *tap)
{
	int err = tapxfer_claim(x->tx, x->id, &x->token, answer(x));

	if (!err)
		tap->n = tapxfer_info_fds(x->info, tap->fds, TAP_MAX);
	return err;
}

int xfer_thaw(struct xfer *x)
{
	return tapxfer_thaw(x->tx, x->id, &x->token, answer(x));
}

int xfer_thaw_shared(struct xfer *x)
{
	return tapxfer_thaw_flags(x->tx, x->id, &x->token, TAPXFER_THAW_SHARED,
				  answer(x));
}

int xfer_ready(struct xfer *x, uint32_t flags)
{
	return tapxfer_ready(x->tx, x->id, &x->token, flags, answer(x));
}

int xfer_abort(struct xfer *x)
{
	return tapxfer_abort(x->tx, x->id, &x->token, answer(x));
}

int xfer_finish(struct xfer *x)
{
	struct tap claimed = {};
	int err;

	err = xfer_claim(x, &claimed);
	if (!err)
		err = xfer_thaw_shared(x);
	tap_close(&claimed);
	return err;
}

int xfer_get(struct xfer *x)
{
	return tapxfer_handover_get(x->tx, x->id, answer(x));
}

int xfer_state(struct xfer *x)
{
	int err = xfer_get(x);

	return err ?: (int)xfer_u64(x, TAPXFER_A_HANDOVER_STATE);
}

bool xfer_is_live(struct xfer *x)
{
	int state = xfer_state(x);

	return state > 0 && state != TAPXFER_STATE_DRAINING;
}

uint64_t xfer_u64(const struct xfer *x, unsigned int attr)
{
	return tapxfer_info_u64(x->info, attr);
}

/* What is not there is no number that a test would expect. */
static uint64_t nested_u64(const struct xfer *x, unsigned int nest, int n,
			   unsigned int attr)
{
	const struct tapxfer_info *info = tapxfer_info_nest(x->info, nest, n);

	if (!info || !tapxfer_info_has(info, attr))
		return UINT64_MAX;
	return tapxfer_info_u64(info, attr);
}

uint64_t xfer_dev_u64(const struct xfer *x, unsigned int attr)
{
	return nested_u64(x, TAPXFER_A_HANDOVER_DEV, 0, attr);
}

uint64_t xfer_queue_u64(const struct xfer *x, int q, unsigned int attr)
{
	return nested_u64(x, TAPXFER_A_HANDOVER_QUEUE, q, attr);
}

const char *xfer_why(const struct xfer *x)
{
	return tapxfer_error_extack(x->tx) ?: "";
}
