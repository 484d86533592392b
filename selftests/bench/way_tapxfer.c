// SPDX-License-Identifier: GPL-2.0
/*
 * tapxfer: the target claims with the token, or source and target have the
 * library's channel between them. Either way the source has let go of the files
 * when the target thaws, which is what the kernel asks for by default.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <tapxfer/channel.h>

#include "bench.h"
#include "chan.h"
#include "util.h"

static void limits(const struct bench_side *s, struct tapxfer_opts *opts)
{
	memset(opts, 0, sizeof(*opts));
	opts->size = sizeof(*opts);
	opts->set = TAPXFER_OPT_DEADLINE;
	opts->deadline = XFER_PATIENCE_MS;
	if (s->run->hold) {
		opts->set |= TAPXFER_OPT_HOLD;
		opts->hold = s->run->hold;
	}
	if (s->run->hold_bytes) {
		opts->set |= TAPXFER_OPT_HOLD_BYTES;
		opts->hold_bytes = s->run->hold_bytes;
	}
}

static void told(struct bench_side *s, const struct tapxfer_info *info)
{
	s->run->held = tapxfer_info_u64(info, TAPXFER_A_HANDOVER_HELD);
	s->run->dropped = tapxfer_info_u64(info, TAPXFER_A_HANDOVER_DROPPED);
}

/* -- by token ------------------------------------------------------------ */

struct right {
	uint32_t id;
	struct tapxfer_token token;
};

static int token_prepare(struct bench_side *s)
{
	struct xfer *x = &s->self->x;
	struct tapxfer_info *info;
	struct tapxfer_opts opts;
	struct right right = {};
	int err;

	limits(s, &opts);
	err = tapxfer_prepare(x->tx, s->self->tap.ifindex, s->self->tap.fds,
			      s->self->tap.n, &opts, &right.token, &info);
	if (err)
		return err;
	right.id = tapxfer_info_u64(info, TAPXFER_A_HANDOVER_ID);
	x->id = right.id;
	x->token = right.token;
	tapxfer_info_free(info);
	return bench_send(s, &right, sizeof(right));
}

static int token_expect(struct bench_side *s)
{
	struct right right;
	int err;

	err = bench_recv(s, &right, sizeof(right));
	s->self->x.id = right.id;
	s->self->x.token = right.token;
	return err;
}

static int token_freeze(struct bench_side *s)
{
	struct xfer *x = &s->self->x;
	uint64_t begin = now_ns();
	int err;

	err = tapxfer_freeze_id(x->tx, x->id, &x->token, NULL, NULL);
	s->run->freeze = now_ns() - begin;
	if (!err)
		err = bench_gap(s);
	if (!err && s->run->gap) {
		err = xfer_get(x);
		s->run->held_bytes = err ? 0 :
				     xfer_u64(x, TAPXFER_A_HANDOVER_HELD_BYTES);
	}
	return err;
}

/* The handover has the files: an abort gives them back. */
static int token_close(struct bench_side *s)
{
	tap_close(&s->self->tap);
	return bench_tell(s, 'C');
}

static int token_leave(struct bench_side *s)
{
	return token_freeze(s) ?: token_close(s);
}

static int token_enter(struct bench_side *s)
{
	struct xfer *x = &s->self->x;
	struct tapxfer_info *info;
	int err;

	err = bench_hear(s, 'C');
	if (!err)
		err = tapxfer_claim_thaw(x->tx, x->id, &x->token, 0,
					 s->self->tap.fds, s->run->queues,
					 &info);
	if (err)
		return err;
	s->self->tap.n = s->run->queues;
	told(s, info);
	tapxfer_info_free(info);
	return 0;
}

/* The target claims while the source closes. */
static int steps_leave(struct bench_side *s)
{
	return token_freeze(s) ?: bench_tell(s, 'Z') ?: token_close(s);
}

static int claim_and_thaw(struct bench_side *s, bool set_up)
{
	struct xfer *x = &s->self->x;
	struct tapxfer_info *info;
	uint64_t t;
	int err;

	err = bench_hear(s, 'Z');
	if (err)
		return err;
	t = now_ns();
	err = tapxfer_claim_fds(x->tx, x->id, &x->token, 0, s->self->tap.fds,
				s->run->queues);
	s->run->claim = now_ns() - t;
	if (err)
		return err;
	s->self->tap.n = s->run->queues;
	if (set_up)
		err = bench_set_up(s->self->tap.fds[0]);
	if (!err)
		err = bench_hear(s, 'C');
	if (err)
		return err;
	t = now_ns();
	err = tapxfer_thaw(x->tx, x->id, &x->token, &info);
	s->run->thaw = now_ns() - t;
	if (err)
		return err;
	told(s, info);
	tapxfer_info_free(info);
	return 0;
}

static int steps_enter(struct bench_side *s)
{
	return claim_and_thaw(s, false);
}

static int vmm_enter(struct bench_side *s)
{
	return claim_and_thaw(s, true);
}

const struct bench_way bench_way_token = {
	.name = "token",
	.queues_max = TAP_MAX,
	.judged = true,
	.prepare = token_prepare,
	.expect = token_expect,
	.leave = token_leave,
	.enter = token_enter,
};

const struct bench_way bench_way_token_steps = {
	.name = "token-steps",
	.queues_max = TAP_MAX,
	.judged = true,
	.steps = true,
	.prepare = token_prepare,
	.expect = token_expect,
	.leave = steps_leave,
	.enter = steps_enter,
};

const struct bench_way bench_way_token_vmm = {
	.name = "token-vmm",
	.queues_max = TAP_MAX,
	.queues_only = 8,
	.judged = true,
	.steps = true,
	.prepare = token_prepare,
	.expect = token_expect,
	.leave = steps_leave,
	.enter = vmm_enter,
};

/* -- over the library's channel ------------------------------------------ */

static int channel_new(struct bench_side *s)
{
	struct tapxfer_opts handover;
	struct tapxfer_channel_opts opts = {
		.size = sizeof(opts),
		.set = TAPXFER_CHANNEL_OPT_TIMEOUT,
		.sock = s->sock,
		.timeout = SOON_MS,
		.handover = &handover,
	};

	limits(s, &handover);
	return s->sock < 0 ? s->sock :
			     tapxfer_channel_new(s->self->x.tx, &opts, &s->ch);
}

static int channel_prepare(struct bench_side *s)
{
	int err;

	err = bench_hear(s, 'L');
	if (err)
		return err;
	s->sock = chan_connect(CHAN_TARGET, false);
	err = channel_new(s);
	if (!err)
		err = tapxfer_channel_add(s->ch, "net0", 0, s->self->tap.fds,
					  s->self->tap.n,
					  TAPXFER_DEV_TRANSFER);
	return err ?: tapxfer_send(s->ch);
}

static int channel_expect(struct bench_side *s)
{
	int listening = chan_listen(CHAN_TARGET, false);
	int err;

	if (listening < 0)
		return listening;
	err = bench_tell(s, 'L');
	if (err)
		return err;
	s->sock = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
	close(listening);
	err = channel_new(s);
	return err ?: tapxfer_recv(s->ch);
}

static int channel_leave(struct bench_side *s)
{
	int err;

	err = tapxfer_send_hold(s->ch);
	if (!err)
		err = bench_gap(s);
	if (!err)
		err = tapxfer_send_state(s->ch, -1);
	if (!err)
		err = tapxfer_send_release(s->ch);
	if (err)
		return err;
	/* The library has closed them. */
	s->self->tap.n = 0;
	return 0;
}

static int channel_enter(struct bench_side *s)
{
	struct tap *tap = &s->self->tap;
	int err;

	err = tapxfer_recv_state(s->ch, -1);
	if (!err)
		err = tapxfer_recv_accept(s->ch);
	if (!err)
		err = tapxfer_recv_thaw(s->ch);
	if (err)
		return err;
	tap->n = tapxfer_channel_fds(s->ch, 0, tap->fds, TAP_MAX);
	return 0;
}

static int channel_end(struct bench_side *s)
{
	if (tapxfer_channel_handover(s->ch, 0))
		told(s, tapxfer_channel_handover(s->ch, 0));
	tapxfer_channel_free(s->ch);
	close(s->sock);
	return 0;
}

/* The channel has no part of its own for it, which tells what was held. */
static int channel_after(struct bench_side *s)
{
	tapxfer_channel_free(s->ch);
	close(s->sock);
	return 0;
}

const struct bench_way bench_way_channel = {
	.name = "channel",
	.queues_max = TAP_MAX,
	.judged = true,
	.prepare = channel_prepare,
	.expect = channel_expect,
	.leave = channel_leave,
	.enter = channel_enter,
	.after = channel_after,
	.settle = channel_end,
};
