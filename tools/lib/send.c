// SPDX-License-Identifier: LGPL-2.1-or-later
/* The source, up to the target's verdict. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "channel.h"

/*
 * Until the source lets go an abort puts everything back. release.c has settled
 * those that it let go of.
 */
void txl_send_undo(struct tapxfer_channel *ch)
{
	struct txl_dev *dev;

	for_each_dev(dev, ch)
		if (dev->flags & TAPXFER_DEV_TRANSFER &&
		    dev->outcome == TAPXFER_OUTCOME_PENDING && !dev->released)
			txl_put_back(ch, dev);
}

static int send_offer(struct tapxfer_channel *ch)
{
	struct txl_dev *dev;
	struct nlattr *nest;
	struct txl_out out;
	int err;

	err = txl_out_init(ch, &out);
	if (err)
		return err;
	mnl_attr_put_u32(out.nlh, TXL_A_TRANSPORT, ch->transport);
	mnl_attr_put_u32(out.nlh, TXL_A_DRAIN, ch->drains);
	for_each_dev(dev, ch) {
		nest = mnl_attr_nest_start(out.nlh, TXL_A_DEV);
		mnl_attr_put_strz(out.nlh, TXL_A_NAME, dev->name);
		mnl_attr_put_u32(out.nlh, TXL_A_MODE, dev->mode);
		mnl_attr_put_u32(out.nlh, TXL_A_QUEUES, (uint32_t)dev->nfds);
		mnl_attr_nest_end(out.nlh, nest);
	}
	err = txl_conn_send(ch, TXL_MSG_OFFER, &out);
	txl_out_free(&out);
	return err;
}

/* Nothing of the devices is touched before the target has agreed to each. */
static int agree(struct tapxfer_channel *ch)
{
	enum txl_kind kind = ch->opts.flags & TAPXFER_CHANNEL_EARLY ?
			     TXL_KIND_EARLY : TXL_KIND_ONLY;
	struct txl_dev *dev;
	int err;

	err = txl_policy_features(ch);
	if (!err)
		err = txl_send_hello(ch, kind);
	if (!err)
		err = txl_recv_hello(ch, kind);
	if (!err)
		err = txl_policy_peer(ch);
	if (!err)
		err = txl_policy_decide(ch);
	if (err)
		return err;
	for_each_transfer(dev, ch)
		if (!dev->nfds)
			return txl_error_set(ch->tx, -EINVAL,
					     "'%s' is to be transferred and has no files",
					     dev->name);
	err = send_offer(ch);
	return err ? err : txl_expect_empty(ch, TXL_MSG_ACCEPT);
}

/* Detached queues are something that the target has to take. */
static int check_detached(struct tapxfer_channel *ch, struct txl_dev *dev)
{
	struct tapxfer_info *info;
	int err;

	if (ch->peer_takes & TAPXFER_STATE_FEATURE_DETACHED)
		return 0;
	err = tapxfer_dev_get(ch->tx, dev->ifindex, -1, &info);
	if (err)
		return err;
	if (tapxfer_info_u64(info, TAPXFER_A_DEV_NUM_DETACHED))
		err = txl_error_set(ch->tx, -EOPNOTSUPP,
				    "'%s' has detached queues, and the target takes none",
				    dev->name);
	tapxfer_info_free(info);
	return err;
}

static int prepare(struct tapxfer_channel *ch, struct txl_dev *dev)
{
	struct tapxfer_info *ho;
	int err;

	err = tapxfer_prepare(ch->tx, dev->ifindex, dev->fds, dev->nfds,
			      ch->begin, &dev->token, &ho);
	if (err)
		return err;
	txl_dev_told(dev, ho);
	dev->live = true;
	dev->id = (uint32_t)tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_ID);
	dev->ifindex = (unsigned int)
		       tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_IFINDEX);
	dev->nqueues = (uint32_t)dev->nfds;
	return check_detached(ch, dev);
}

/* The kernel takes so many files in a message and no more. */
static int send_files(struct tapxfer_channel *ch, struct txl_dev *dev)
{
	struct txl_out out;
	size_t at;
	int err;

	for (at = 0, err = 0; !err && at < dev->nfds; at += TXL_FRAME_FDS) {
		err = txl_out_init(ch, &out);
		if (err)
			return err;
		mnl_attr_put_u32(out.nlh, TXL_A_INDEX,
				 (uint32_t)(dev - ch->devs));
		mnl_attr_put_u32(out.nlh, TXL_A_FIRST, (uint32_t)at);
		out.fds = dev->fds + at;
		out.nfds = dev->nfds - at < TXL_FRAME_FDS ? dev->nfds - at :
							    TXL_FRAME_FDS;
		err = txl_conn_send(ch, TXL_MSG_FILES, &out);
		txl_out_free(&out);
	}
	return err;
}

static int send_device(struct tapxfer_channel *ch, struct txl_dev *dev)
{
	struct txl_out out;
	int err;

	err = txl_out_init(ch, &out);
	if (err)
		return err;
	mnl_attr_put_u32(out.nlh, TXL_A_INDEX, (uint32_t)(dev - ch->devs));
	mnl_attr_put_u32(out.nlh, TXL_A_IFINDEX, dev->ifindex);
	mnl_attr_put_u32(out.nlh, TXL_A_ID, dev->id);
	mnl_attr_put(out.nlh, TXL_A_TOKEN, sizeof(dev->token.bytes),
		     dev->token.bytes);
	err = txl_conn_send(ch, TXL_MSG_DEVICE, &out);
	txl_out_free(&out);
	if (!err && ch->transport == TAPXFER_TRANSPORT_FDS)
		err = send_files(ch, dev);
	return err;
}

static int give(struct tapxfer_channel *ch)
{
	struct txl_dev *dev;
	int err;

	txl_events_open(ch);
	for_each_transfer(dev, ch) {
		err = prepare(ch, dev);
		if (err)
			return err;
	}
	for_each_transfer(dev, ch) {
		err = send_device(ch, dev);
		if (err)
			return err;
	}
	err = txl_send_empty(ch, TXL_MSG_GIVEN);
	return err ? err : txl_expect_empty(ch, TXL_MSG_TAKEN);
}

EXPORT int tapxfer_send(struct tapxfer_channel *ch)
{
	int err;

	err = txl_channel_check(ch, TXL_SIDE_SOURCE, TXL_PHASE_NEW);
	if (err)
		return err;
	if (!ch->ndevs)
		return txl_error_set(ch->tx, -EINVAL,
				     "there is no device to be sent");
	err = agree(ch);
	if (!err)
		err = give(ch);
	if (!err)
		ch->phase = TXL_PHASE_GIVEN;
	return txl_channel_end(ch, err);
}

/* Whether the handover is there no more, for whatever reason */
static bool has_ended(struct tapxfer_channel *ch, struct txl_dev *dev)
{
	struct txl_error error = ch->tx->error;
	bool ended = txl_dev_state(ch, dev) == TAPXFER_STATE_DRAINING;

	ch->tx->error = error;
	return ended;
}

/*
 * A step failed, and not for the socket's sake. If the handover has ended that
 * may be the target's doing, who has said why.
 */
static int fail_step(struct tapxfer_channel *ch, struct txl_dev *dev, int err)
{
	if (ch->conn->dead || (err != -ENOENT && err != -ECANCELED &&
			       !has_ended(ch, dev)))
		return err;
	txl_error_set(ch->tx, -ECANCELED,
		      "the handover of '%s' has ended: by its deadline, an abort, or the device's end",
		      dev->name);
	return txl_conn_refused(ch, -ECANCELED);
}

EXPORT int tapxfer_send_hold(struct tapxfer_channel *ch)
{
	struct tapxfer_info *ho;
	struct txl_dev *dev;
	int err;

	err = txl_channel_check(ch, TXL_SIDE_SOURCE, TXL_PHASE_GIVEN);
	if (err)
		return err;
	for_each_transfer(dev, ch) {
		err = tapxfer_hold_id(ch->tx, dev->id, &dev->token, NULL, &ho);
		if (err)
			return txl_channel_end(ch, fail_step(ch, dev, err));
		txl_dev_told(dev, ho);
	}
	ch->phase = TXL_PHASE_HOLDING;
	return 0;
}

static int freeze(struct tapxfer_channel *ch, struct txl_dev *dev)
{
	struct tapxfer_info *ho;
	int err;

	err = tapxfer_freeze_id(ch->tx, dev->id, &dev->token, &ch->freeze, &ho);
	if (err)
		return fail_step(ch, dev, err);
	txl_dev_told(dev, ho);
	return 0;
}

/* What is not drained in time is left, and the state says so. */
static int drain(struct tapxfer_channel *ch, struct txl_dev *dev)
{
	int err;

	if (!ch->drains)
		return 0;
	err = tapxfer_drain(ch->tx, dev->id, &dev->token, -1, NULL);
	return err == -ETIMEDOUT ? 0 : err;
}

static int freeze_all(struct tapxfer_channel *ch)
{
	struct txl_dev *dev;
	int err;

	for_each_transfer(dev, ch) {
		err = freeze(ch, dev);
		if (err)
			return err;
	}
	for_each_transfer(dev, ch) {
		err = drain(ch, dev);
		if (!err)
			err = txl_state_send(ch, dev);
		if (err)
			return fail_step(ch, dev, err);
	}
	err = txl_send_empty(ch, TXL_MSG_FROZEN);
	if (err)
		return err;
	/* the target has something to do now, and we need not wait with ours */
	txl_events_listen(ch);
	for_each_transfer(dev, ch) {
		err = txl_note_numbers(ch, dev);
		if (err)
			return err;
	}
	return txl_expect_empty(ch, TXL_MSG_VERDICT);
}

EXPORT int tapxfer_send_state(struct tapxfer_channel *ch, int late)
{
	int err;

	err = txl_channel_check(ch, TXL_SIDE_SOURCE,
				ch->phase == TXL_PHASE_HOLDING ?
				TXL_PHASE_HOLDING : TXL_PHASE_GIVEN);
	if (err)
		return err;
	err = txl_channel_late(ch, late);
	if (!err && late >= 0)
		err = txl_send_hello(ch, TXL_KIND_LATE);
	if (!err && late >= 0)
		err = txl_recv_hello(ch, TXL_KIND_LATE);
	if (!err)
		err = freeze_all(ch);
	if (!err)
		ch->phase = TXL_PHASE_FROZEN;
	return txl_channel_end(ch, err);
}
