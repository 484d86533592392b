// SPDX-License-Identifier: LGPL-2.1-or-later
/* The target. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "channel.h"

/*
 * Up to the verdict the source has its files, and an abort is all that it
 * takes. From then on it may have closed them: then an abort would be the
 * files' end, and only the source, which can take them back, may do it. Should
 * it have died, the deadline will.
 */
void txl_recv_undo(struct tapxfer_channel *ch)
{
	bool abort = ch->phase < TXL_PHASE_RELEASED;
	struct txl_dev *dev;

	for_each_transfer(dev, ch) {
		txl_dev_close(dev);
		if (abort && dev->live)
			tapxfer_abort(ch->tx, dev->id, &dev->token, NULL);
		dev->live = false;
		dev->outcome = TAPXFER_OUTCOME_BACK;
	}
}

/* -- what is offered ----------------------------------------------------- */

static int take_offered(struct tapxfer_channel *ch, struct tapxfer_channel *own,
			const struct nlattr *nest)
{
	static const enum txl_attr needed[] = {
		TXL_A_NAME, TXL_A_MODE, TXL_A_QUEUES,
	};
	const struct nlattr *attrs[__TXL_A_MAX];
	struct txl_dev *dev, *wanted;
	const char *name;
	uint32_t mode;
	int err;

	err = txl_attrs_take(ch, nest, attrs);
	if (!err)
		err = txl_need(ch, attrs, needed, ARRAY_SIZE(needed));
	if (err)
		return err;
	name = mnl_attr_get_str(attrs[TXL_A_NAME]);
	mode = txl_u32(attrs, TXL_A_MODE);
	if (!txl_name_good(name) || txl_channel_find(ch, name) ||
	    mode < TXL_MODE_TRANSFER || mode > TXL_MODE_SKIP)
		return txl_error_set(ch->tx, -EPROTO,
				     "the offer has a device without a proper name or mode");
	wanted = txl_channel_find(own, name);
	if (own->ndevs && !wanted)
		return txl_error_set(ch->tx, -EINVAL,
				     "the target expects no '%s'", name);

	dev = txl_channel_dev(ch);
	if (!dev)
		return -EPROTO;
	strcpy(dev->name, name);
	dev->mode = mode;
	dev->nqueues = txl_u32(attrs, TXL_A_QUEUES);
	if (wanted) {
		dev->wanted = true;
		dev->flags = wanted->flags;
		wanted->mode = mode;
	}
	if (mode != TXL_MODE_TRANSFER)
		return 0;
	if (!dev->nqueues || dev->nqueues > TXL_QUEUES_MAX)
		return txl_error_set(ch->tx, -EPROTO, "'%s' has %u queues?",
				     name, dev->nqueues);
	dev->fds = calloc(dev->nqueues, sizeof(*dev->fds));
	if (!dev->fds)
		return txl_error_set(ch->tx, -ENOMEM, "out of memory");
	return 0;
}

/* The source's devices, in its order, instead of those that we expected */
static int take_devices(struct tapxfer_channel *ch, const struct txl_in *in)
{
	struct tapxfer_channel own = { .devs = ch->devs, .ndevs = ch->ndevs };
	const struct nlattr *attr;
	struct txl_dev *dev;
	int err = 0;

	ch->devs = NULL;
	ch->ndevs = 0;
	mnl_attr_for_each_payload((const struct nlattr *)in->payload,
				  in->frame.len) {
		if (mnl_attr_get_type(attr) == TXL_A_DEV)
			err = take_offered(ch, &own, attr);
		if (err)
			break;
	}
	for_each_dev(dev, &own) {
		if (!err && !dev->mode)
			err = txl_error_set(ch->tx, -EINVAL,
					    "the source has no '%s'",
					    dev->name);
		free(dev->fds);
		free(dev->fd_flags);
	}
	free(own.devs);
	return err;
}

static int take_offer(struct tapxfer_channel *ch)
{
	static const enum txl_attr needed[] = { TXL_A_TRANSPORT, TXL_A_DRAIN };
	struct txl_in in;
	int err;

	err = txl_expect(ch, TXL_MSG_OFFER, &in);
	if (err)
		return err;
	err = txl_need(ch, in.attrs, needed, ARRAY_SIZE(needed));
	if (!err) {
		ch->transport = txl_u32(in.attrs, TXL_A_TRANSPORT);
		ch->drains = txl_u32(in.attrs, TXL_A_DRAIN);
		if (ch->transport != TAPXFER_TRANSPORT_TOKEN &&
		    ch->transport != TAPXFER_TRANSPORT_FDS)
			err = txl_error_set(ch->tx, -EPROTO,
					    "the other side's transport is unknown");
	}
	if (!err)
		err = take_devices(ch, &in);
	txl_in_free(&in);
	return err ? err : txl_policy_offered(ch);
}

static int agree(struct tapxfer_channel *ch)
{
	enum txl_kind kind = ch->opts.flags & TAPXFER_CHANNEL_EARLY ?
			     TXL_KIND_EARLY : TXL_KIND_ONLY;
	int err;

	err = txl_policy_features(ch);
	if (!err)
		err = txl_recv_hello(ch, kind);
	if (!err)
		err = txl_send_hello(ch, kind);
	if (!err)
		err = txl_policy_peer(ch);
	if (!err)
		err = take_offer(ch);
	return err ? err : txl_send_empty(ch, TXL_MSG_ACCEPT);
}

/* -- what comes early ---------------------------------------------------- */

static int take_device(struct tapxfer_channel *ch, const struct txl_in *in)
{
	static const enum txl_attr needed[] = {
		TXL_A_INDEX, TXL_A_IFINDEX, TXL_A_ID, TXL_A_TOKEN,
	};
	struct txl_dev *dev;
	int err;

	err = txl_need(ch, in->attrs, needed, ARRAY_SIZE(needed));
	if (!err)
		err = txl_in_dev(ch, in, &dev);
	if (err)
		return err;
	if (dev->live)
		return txl_error_set(ch->tx, -EPROTO, "'%s' came twice",
				     dev->name);
	dev->ifindex = txl_u32(in->attrs, TXL_A_IFINDEX);
	dev->id = txl_u32(in->attrs, TXL_A_ID);
	memcpy(dev->token.bytes, mnl_attr_get_payload(in->attrs[TXL_A_TOKEN]),
	       sizeof(dev->token.bytes));
	dev->live = true;
	return 0;
}

static int take_files(struct tapxfer_channel *ch, struct txl_in *in)
{
	static const enum txl_attr needed[] = { TXL_A_INDEX, TXL_A_FIRST };
	struct txl_dev *dev;
	int err;

	err = txl_need(ch, in->attrs, needed, ARRAY_SIZE(needed));
	if (!err)
		err = txl_in_dev(ch, in, &dev);
	if (err)
		return err;
	if (ch->transport != TAPXFER_TRANSPORT_FDS || !dev->live)
		return txl_error_set(ch->tx, -EPROTO,
				     "files of '%s' came where none belong",
				     dev->name);
	if (txl_u32(in->attrs, TXL_A_FIRST) != dev->nfds)
		return txl_error_set(ch->tx, -EPROTO,
				     "files of '%s' are missing", dev->name);
	if (!in->nfds)
		return txl_error_set(ch->tx, -EPROTO,
				     "a message of files of '%s' has none",
				     dev->name);
	if (in->nfds > dev->nqueues - dev->nfds)
		return txl_error_set(ch->tx, -EPROTO,
				     "'%s' has %u queues, and more files came",
				     dev->name, dev->nqueues);
	memcpy(dev->fds + dev->nfds, in->fds, in->nfds * sizeof(int));
	dev->nfds += in->nfds;
	in->nfds = 0;
	return 0;
}

/*
 * Of each file what can be told while its device is in a handover: that it is a
 * queue of a device of that name, and in a handover too. The proof that it is
 * this one comes with the claim (check_held()).
 */
static int check_file(struct tapxfer_channel *ch, struct txl_dev *dev, int fd)
{
	const char *want = tapxfer_info_str(dev->ho, TAPXFER_A_HANDOVER_IFNAME);
	struct tapxfer_info *info;
	char ifname[IFNAMSIZ];
	unsigned int flags;
	int err;

	if (txl_tun_iff(fd, ifname, &flags))
		return txl_error_set(ch->tx, -EXDEV,
				     "a file that came for '%s' is no queue",
				     dev->name);
	if (!want || strcmp(ifname, want))
		return txl_error_set(ch->tx, -EXDEV,
				     "a file that came for '%s' is a queue of %s, and not of %s",
				     dev->name, ifname, want ? want : "?");
	err = tapxfer_dev_get(ch->tx, dev->ifindex, fd, &info);
	if (err == -EBUSY)
		return 0;
	tapxfer_info_free(info);
	return err ? txl_dev_error(ch, dev, err) :
	       txl_error_set(ch->tx, -EXDEV,
			     "a file that came for '%s' is in no handover",
			     dev->name);
}

static int check_files(struct tapxfer_channel *ch, struct txl_dev *dev)
{
	size_t i;
	int err;

	if (ch->transport != TAPXFER_TRANSPORT_FDS)
		return 0;
	if (dev->nfds != dev->nqueues)
		return txl_error_set(ch->tx, -EPROTO,
				     "'%s' has %u queues, and %zu files came",
				     dev->name, dev->nqueues, dev->nfds);
	for (i = 0; i < dev->nfds; i++) {
		err = check_file(ch, dev, dev->fds[i]);
		if (err)
			return err;
	}
	return 0;
}

static int check_given(struct tapxfer_channel *ch, struct txl_dev *dev)
{
	int err;

	if (!dev->live)
		return txl_error_set(ch->tx, -EPROTO, "nothing came of '%s'",
				     dev->name);
	err = tapxfer_handover_get(ch->tx, dev->id, &dev->ho);
	if (err)
		return txl_dev_error(ch, dev, err);
	if (tapxfer_info_u64(dev->ho, TAPXFER_A_HANDOVER_IFINDEX) !=
	    dev->ifindex ||
	    tapxfer_info_u64(dev->ho, TAPXFER_A_HANDOVER_NUM_QUEUES) !=
	    dev->nqueues)
		return txl_error_set(ch->tx, -EXDEV,
				     "handover %u is not the one of '%s'",
				     dev->id, dev->name);
	return check_files(ch, dev);
}

static int take_given(struct tapxfer_channel *ch)
{
	struct txl_dev *dev;
	struct txl_in in;
	bool more = true;
	int err;

	while (more) {
		err = txl_conn_recv(ch, (int)ch->opts.timeout, &in);
		if (err)
			return err;
		switch (in.frame.type) {
		case TXL_MSG_DEVICE:
			err = take_device(ch, &in);
			break;
		case TXL_MSG_FILES:
			err = take_files(ch, &in);
			break;
		case TXL_MSG_GIVEN:
			more = false;
			break;
		case TXL_MSG_REFUSE:
			err = txl_in_refused(ch, &in);
			break;
		case TXL_MSG_STATE:
		case TXL_MSG_FROZEN:
			err = txl_error_set(ch->tx, -EPROTO,
					    "the state came before the files");
			break;
		default:
			err = txl_error_set(ch->tx, -EPROTO,
					    "'%s' came where a device was due",
					    txl_msg_name(in.frame.type));
		}
		txl_in_free(&in);
		if (err)
			return err;
	}
	for_each_transfer(dev, ch) {
		err = check_given(ch, dev);
		if (err)
			return err;
	}
	return txl_send_empty(ch, TXL_MSG_TAKEN);
}

EXPORT int tapxfer_recv(struct tapxfer_channel *ch)
{
	int err;

	err = txl_channel_check(ch, TXL_SIDE_TARGET, TXL_PHASE_NEW);
	if (err)
		return err;
	err = agree(ch);
	if (!err)
		err = take_given(ch);
	if (!err)
		ch->phase = TXL_PHASE_GIVEN;
	return txl_channel_end(ch, err);
}

/* -- the state, and the claim -------------------------------------------- */

static int take_states(struct tapxfer_channel *ch)
{
	struct txl_in in;
	int err;

	for (;;) {
		unsigned int type;

		err = txl_conn_recv(ch, (int)ch->opts.timeout, &in);
		if (err)
			return err;
		type = in.frame.type;
		if (type == TXL_MSG_STATE)
			err = txl_state_take(ch, &in);
		else if (type == TXL_MSG_REFUSE)
			err = txl_in_refused(ch, &in);
		else if (type != TXL_MSG_FROZEN)
			err = txl_error_set(ch->tx, -EPROTO,
					    "'%s' came where a state was due",
					    txl_msg_name(type));
		txl_in_free(&in);
		if (err || type == TXL_MSG_FROZEN)
			return err;
	}
}

/*
 * Of files that were sent: as many came as there are queues, and the claimant
 * has each queue's, so that these are the queues', each of them once.
 */
static int check_held(struct tapxfer_channel *ch, struct txl_dev *dev)
{
	const struct tapxfer_info *queue = NULL;
	size_t i;

	for (i = 0; i < dev->nqueues; i++) {
		queue = txl_info_next(dev->ho, TAPXFER_A_HANDOVER_QUEUE, queue);
		if (!queue ||
		    tapxfer_info_u64(queue, TAPXFER_A_QUEUE_HOLDERS) <=
		    tapxfer_info_u64(queue, TAPXFER_A_QUEUE_OTHERS))
			return txl_error_set(ch->tx, -EPROTO,
					     "the file of queue %zu of '%s' was not sent",
					     i, dev->name);
	}
	return 0;
}

static int claim(struct tapxfer_channel *ch, struct txl_dev *dev)
{
	bool fds = ch->transport == TAPXFER_TRANSPORT_TOKEN;
	struct tapxfer_info *ho;
	int err;

	err = tapxfer_claim_flags(ch->tx, dev->id, &dev->token,
				  fds ? 0 : TAPXFER_CLAIM_NO_FDS, &ho);
	if (err)
		return txl_dev_error(ch, dev, err);
	txl_dev_told(dev, ho);
	if (fds)
		dev->nfds = tapxfer_info_fds(ho, dev->fds, dev->nqueues);
	else if (txl_dev_state(ch, dev) != TAPXFER_STATE_CLAIMED)
		return txl_error_set(ch->tx, -ECANCELED,
				     "the handover of '%s' has ended",
				     dev->name);
	return fds ? 0 : check_held(ch, dev);
}

static int claim_all(struct tapxfer_channel *ch)
{
	struct txl_dev *dev;
	int err;

	for_each_transfer(dev, ch) {
		err = claim(ch, dev);
		if (!err)
			err = txl_state_agree(ch, dev);
		if (err)
			return err;
	}
	return 0;
}

EXPORT int tapxfer_recv_state(struct tapxfer_channel *ch, int late)
{
	int err;

	err = txl_channel_check(ch, TXL_SIDE_TARGET, TXL_PHASE_GIVEN);
	if (err)
		return err;
	err = txl_channel_late(ch, late);
	if (!err && late >= 0)
		err = txl_recv_hello(ch, TXL_KIND_LATE);
	if (!err && late >= 0)
		err = txl_send_hello(ch, TXL_KIND_LATE);
	if (!err)
		err = take_states(ch);
	if (!err)
		err = claim_all(ch);
	if (!err)
		ch->phase = TXL_PHASE_FROZEN;
	return txl_channel_end(ch, err);
}

/* -- the verdict --------------------------------------------------------- */

/*
 * The source has gone, or is silent. Nothing more can be had of it, and nothing
 * more is needed: if nobody else has the files any more, it has let go.
 */
static bool has_let_go(struct tapxfer_channel *ch)
{
	struct txl_dev *dev;

	for_each_transfer(dev, ch)
		if (!txl_let_go(ch, dev))
			return false;
	return true;
}

/* Go on without it. */
static bool go_on_alone(struct tapxfer_channel *ch)
{
	struct txl_error error = ch->tx->error;

	if (ch->refused || !has_let_go(ch)) {
		ch->tx->error = error;
		return false;
	}
	ch->conn->dead = true;
	txl_error_reset(ch->tx);
	return true;
}

EXPORT int tapxfer_recv_accept(struct tapxfer_channel *ch)
{
	int err;

	err = txl_channel_check(ch, TXL_SIDE_TARGET, TXL_PHASE_FROZEN);
	if (err)
		return err;
	/* a source that has died has nothing to be told, and is owed nothing */
	err = txl_send_empty(ch, TXL_MSG_VERDICT);
	if (err && !go_on_alone(ch))
		return txl_channel_end(ch, err);

	ch->phase = TXL_PHASE_RELEASED;
	if (err)
		return 0;
	err = txl_expect_empty(ch, TXL_MSG_RELEASED);
	return err && go_on_alone(ch) ? 0 : txl_channel_end(ch, err);
}

/* -- the end ------------------------------------------------------------- */

static int ready(struct tapxfer_channel *ch, struct txl_dev *dev)
{
	uint32_t flags = ch->opts.flags & TAPXFER_CHANNEL_SHARED ?
			 TAPXFER_THAW_SHARED : 0;
	int64_t end = txl_now_ms() + TXL_MOMENT_MS;
	struct tapxfer_info *ho;
	int err;

	for (;;) {
		err = tapxfer_ready(ch->tx, dev->id, &dev->token, flags, &ho);
		if (err != -EBUSY || txl_now_ms() >= end)
			break;
		usleep(TXL_POLL_US);
	}
	if (err)
		return txl_dev_error(ch, dev, err);
	txl_dev_told(dev, ho);
	return 0;
}

static int ready_all(struct tapxfer_channel *ch)
{
	struct txl_dev *dev;
	int err;

	for_each_transfer(dev, ch) {
		err = ready(ch, dev);
		if (err)
			return err;
	}
	ch->phase = TXL_PHASE_READY;
	return 0;
}

EXPORT int tapxfer_recv_ready(struct tapxfer_channel *ch)
{
	int err;

	err = txl_channel_check(ch, TXL_SIDE_TARGET, TXL_PHASE_RELEASED);
	if (err)
		return err;
	return txl_channel_end(ch, ready_all(ch));
}

/*
 * Whether it has thawed all the same, when the kernel's answer was lost. From ready
 * on the source takes nothing back from a target that has the files, so what has
 * ended, and is a queue still, is ours.
 */
static bool has_thawed(struct tapxfer_channel *ch, struct txl_dev *dev)
{
	int64_t end = txl_now_ms() + TXL_MOMENT_MS;
	struct txl_error error = ch->tx->error;
	unsigned int state, flags;
	char ifname[IFNAMSIZ];

	while (!(state = txl_dev_state(ch, dev)) && txl_now_ms() < end)
		usleep(TXL_POLL_US);
	ch->tx->error = error;
	return state == TAPXFER_STATE_DRAINING &&
	       !txl_tun_iff(dev->fds[0], ifname, &flags);
}

static int thaw(struct tapxfer_channel *ch, struct txl_dev *dev)
{
	struct tapxfer_info *ho;
	int err;

	err = tapxfer_thaw(ch->tx, dev->id, &dev->token, &ho);
	if (err == -ENOBUFS && has_thawed(ch, dev))
		err = 0;
	if (err)
		return txl_dev_error(ch, dev, err);
	txl_dev_told(dev, ho);
	dev->live = false;
	dev->outcome = TAPXFER_OUTCOME_MOVED;
	return 0;
}

/*
 * All are ready before the first is thawed, so that what can fail has. With the
 * first one it is decided that the devices are ours (release.c).
 */
EXPORT int tapxfer_recv_thaw(struct tapxfer_channel *ch)
{
	struct txl_error error = { 0 };
	struct txl_dev *dev;
	bool decided = false;
	int err, first = 0;

	err = txl_channel_check(ch, TXL_SIDE_TARGET,
				ch->phase == TXL_PHASE_READY ?
				TXL_PHASE_READY : TXL_PHASE_RELEASED);
	if (err)
		return err;
	if (ch->phase == TXL_PHASE_RELEASED)
		err = ready_all(ch);
	if (err)
		return txl_channel_end(ch, err);

	for_each_transfer(dev, ch) {
		err = thaw(ch, dev);
		if (err && !decided)
			return txl_channel_end(ch, err);
		decided = true;
		if (!err)
			continue;
		/*
		 * it was deleted, or the like: the others are ours all the same
		 */
		txl_dev_close(dev);
		dev->live = false;
		dev->outcome = TAPXFER_OUTCOME_LOST;
		if (!first) {
			first = err;
			error = ch->tx->error;
		}
	}
	ch->phase = TXL_PHASE_DONE;
	ch->tx->error = error;
	if (first)
		txl_send_refuse(ch, first);
	else
		txl_send_empty(ch, TXL_MSG_DONE);
	ch->tx->error = error;
	if (!first)
		txl_error_reset(ch->tx);
	return first;
}
