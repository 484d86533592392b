// SPDX-License-Identifier: LGPL-2.1-or-later
/* A device's state, in the pieces that messages have room for. */
#include <errno.h>

#include "channel.h"
#include "state.h"

static int stream_open(struct tapxfer_channel *ch, struct txl_dev *dev,
		       uint32_t direction)
{
	struct tapxfer_state_opts opts = {
		.size = sizeof(opts),
		.set = TAPXFER_STATE_OPT_TAKES,
		.takes = direction == TAPXFER_DIRECTION_SAVE ? ch->peer_takes :
							       ch->opts.takes,
	};

	/* what is loaded is compared once the handover is claimed, not before */
	uint32_t id = direction == TAPXFER_DIRECTION_SAVE ? dev->id : 0;

	return txl_dev_error(ch, dev,
			     tapxfer_state_open(ch->tx, id, direction,
						TAPXFER_PHASE_STOPPED, &opts,
						&dev->stream));
}

static int send_piece(struct tapxfer_channel *ch, struct txl_dev *dev,
		      const char *data, size_t len)
{
	struct txl_out out;
	int err;

	err = txl_out_init(ch, &out);
	if (err)
		return err;
	mnl_attr_put_u32(out.nlh, TXL_A_INDEX, (uint32_t)(dev - ch->devs));
	mnl_attr_put_u32(out.nlh, TXL_A_ID, dev->id);
	mnl_attr_put_u32(out.nlh, TXL_A_OFFSET, dev->state_len);
	mnl_attr_put(out.nlh, TXL_A_DATA, len, data);
	err = txl_conn_send(ch, TXL_MSG_STATE, &out);
	txl_out_free(&out);
	dev->state_len += (uint32_t)len;
	return err;
}

int txl_state_send(struct tapxfer_channel *ch, struct txl_dev *dev)
{
	char piece[TXL_PIECE];
	ssize_t len;
	int err;

	err = stream_open(ch, dev, TAPXFER_DIRECTION_SAVE);
	while (!err) {
		len = tapxfer_state_pull(dev->stream, piece, sizeof(piece));
		if (len <= 0) {
			err = txl_dev_error(ch, dev, (int)len);
			break;
		}
		err = send_piece(ch, dev, piece, (size_t)len);
	}
	txl_state_free(dev);
	return err;
}

/*
 * A piece has to be of the handover whose token came for that device, and to
 * follow the one before.
 */
int txl_state_take(struct tapxfer_channel *ch, const struct txl_in *in)
{
	static const enum txl_attr needed[] = {
		TXL_A_INDEX, TXL_A_ID, TXL_A_OFFSET, TXL_A_DATA,
	};
	struct txl_dev *dev;
	ssize_t taken;
	size_t len;
	int err;

	err = txl_need(ch, in->attrs, needed, ARRAY_SIZE(needed));
	if (!err)
		err = txl_in_dev(ch, in, &dev);
	if (err)
		return err;
	if (txl_u32(in->attrs, TXL_A_ID) != dev->id)
		return txl_error_set(ch->tx, -ESTALE,
				     "the state of '%s' is of other files: of handover %u, and these are of %u",
				     dev->name, txl_u32(in->attrs, TXL_A_ID),
				     dev->id);
	if (txl_u32(in->attrs, TXL_A_OFFSET) != dev->state_len)
		return txl_error_set(ch->tx, -EPROTO,
				     "a piece of the state of '%s' is missing",
				     dev->name);
	if (!dev->stream) {
		err = stream_open(ch, dev, TAPXFER_DIRECTION_LOAD);
		if (err)
			return err;
	}
	len = mnl_attr_get_payload_len(in->attrs[TXL_A_DATA]);
	taken = tapxfer_state_push(dev->stream,
				   mnl_attr_get_payload(in->attrs[TXL_A_DATA]),
				   len);
	if (taken < 0)
		return txl_dev_error(ch, dev, (int)taken);
	if ((size_t)taken != len || !len)
		return txl_error_set(ch->tx, -EPROTO,
				     "the state of '%s' is longer than it is",
				     dev->name);
	dev->state_len += (uint32_t)len;
	return 0;
}

/*
 * Once claimed: what came is what the device is, as the claim has told it. It
 * stays so: what cannot be refused meanwhile the thaw names.
 */
int txl_state_agree(struct tapxfer_channel *ch, const struct txl_dev *dev)
{
	const struct tapxfer_info *state;
	struct tapxfer *tx;
	int err;

	if (!dev->stream || !tapxfer_state_complete(dev->stream))
		return txl_error_set(ch->tx, -ENODATA, dev->state_len ?
				     "the state of '%s' is incomplete" :
				     "no state came for '%s'", dev->name);
	err = txl_state_get(dev->stream, &tx, &state);
	if (!err)
		err = txl_state_verdict(tx, state, dev->ho);
	return txl_dev_error(ch, dev, err);
}

void txl_state_free(struct txl_dev *dev)
{
	tapxfer_state_close(dev->stream);
	dev->stream = NULL;
}
