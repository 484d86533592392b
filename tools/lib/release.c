// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The source lets go.
 *
 * A thaw is exclusive, so the source has to close its files while it does not
 * know yet whether the target will thaw. What makes this safe is that closing
 * loses nothing: the handover has references of its own, and the token gives
 * the files to whoever claims. So if the target fails after that, the source
 * takes the claim, and the files with it, and aborts.
 *
 * Who has won is decided by the kernel, at the first device: the target thaws
 * that one first, the source takes that one back first, and only one of the two
 * succeeds. The loser leaves the other devices alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "channel.h"

/* The least time to the deadline that the target must have to thaw in */
#define LEFT_MIN_MS	1000

/* How much longer than to the deadline to try to: it should end it before */
#define SETTLE_MS	5000

/*
 * Somebody has let go for whom nobody can take the files back: there is the
 * target, or nobody, however little time is left.
 */
static bool any_orphan(const struct tapxfer_channel *ch)
{
	const struct txl_dev *dev;

	for_each_transfer(dev, ch)
		if (dev->flags & TAPXFER_DEV_FOREIGN && dev->released)
			return true;
	return false;
}

/* All that is transferred: then the target is not told to give up. */
static bool all_orphans(const struct tapxfer_channel *ch)
{
	const struct txl_dev *dev;

	for_each_transfer(dev, ch)
		if (!(dev->flags & TAPXFER_DEV_FOREIGN && dev->released))
			return false;
	return true;
}

static int64_t left_ms(int64_t deadline)
{
	int64_t left = deadline - txl_now_ms();

	return left > 0 ? left : 0;
}

/* One question to the kernel tells all of a device. */
static int look_at(struct tapxfer_channel *ch, struct txl_dev *dev,
		   int64_t *deadline)
{
	bool shared = ch->opts.flags & TAPXFER_CHANNEL_SHARED;
	bool foreign = dev->flags & TAPXFER_DEV_FOREIGN;
	unsigned int state = txl_dev_state(ch, dev);
	bool live = state && state != TAPXFER_STATE_DRAINING;
	int64_t at;
	int err = 0;

	if (live && (foreign || !shared))
		err = txl_others(ch, dev, foreign ? 0 : 1);
	/* its owner has let go: there is nobody to give it back to */
	if (live && foreign)
		dev->released = !err;
	if (state != TAPXFER_STATE_CLAIMED)
		return txl_error_set(ch->tx, -ECANCELED,
				     "the target has no claim on '%s' any more",
				     dev->name);
	at = txl_now_ms() + (int64_t)
	     tapxfer_info_u64(dev->ho, TAPXFER_A_HANDOVER_REMAINING);
	if (at < *deadline)
		*deadline = at;
	return shared ? 0 : err;
}

/*
 * Whether the target has all, nobody but us and it has a file, and there is time
 * enough for it to thaw in, up to the first deadline (ms, as txl_now_ms() has it).
 * All devices are looked at, also when one is found wanting: another process may
 * have let go of the others before we are called.
 */
static int look_at_all(struct tapxfer_channel *ch, int64_t *deadline)
{
	struct txl_error error = { 0 };
	struct txl_dev *dev;
	int err, first = 0;

	*deadline = INT64_MAX;
	for_each_transfer(dev, ch) {
		err = look_at(ch, dev, deadline);
		/* for that one it is waited: any other is the reason */
		if (!err || (first && (first != -EBUSY || err == -EBUSY)))
			continue;
		first = err;
		error = ch->tx->error;
	}
	if ((!first || first == -EBUSY) && left_ms(*deadline) < LEFT_MIN_MS &&
	    !any_orphan(ch))
		return txl_error_set(ch->tx, -ETIME,
				     "only %lld ms are left to the deadline, which is too little for the target to thaw",
				     (long long)left_ms(*deadline));
	if (first)
		ch->tx->error = error;
	return first;
}

/*
 * Who looks into /proc has a file for a moment, and another process takes its time
 * to let go: all is looked at anew then.
 */
static int wait_others(struct tapxfer_channel *ch, int64_t *deadline)
{
	int64_t end = txl_now_ms() + ch->opts.timeout;
	int err;

	for (;;) {
		err = look_at_all(ch, deadline);
		if (err != -EBUSY || txl_now_ms() >= end)
			return err;
		usleep(TXL_POLL_US);
	}
}

static int fail_closed(struct tapxfer_channel *ch, const struct txl_dev *dev,
		       size_t i)
{
	return txl_error_set(ch->tx, -EBADF,
			     "descriptor %d of '%s' was closed before its time",
			     dev->fds[i], dev->name);
}

/*
 * What the caller's numbers are beside files. It is noted while the target is
 * busy, not when it waits.
 */
int txl_note_numbers(struct tapxfer_channel *ch, struct txl_dev *dev)
{
	size_t i;

	if (dev->flags & TAPXFER_DEV_FOREIGN)
		return 0;
	for (i = 0; i < dev->nfds; i++) {
		dev->fd_flags[i] = fcntl(dev->fds[i], F_GETFD);
		if (dev->fd_flags[i] < 0)
			return fail_closed(ch, dev, i);
	}
	return 0;
}

/* The numbers are still what they were, or none is touched. */
static int check_numbers(struct tapxfer_channel *ch, struct txl_dev *dev)
{
	size_t i;

	if (dev->flags & TAPXFER_DEV_FOREIGN)
		return 0;
	for (i = 0; i < dev->nfds; i++)
		if (txl_tun_is(dev->fds[i]))
			return fail_closed(ch, dev, i);
	return 0;
}

/* Put a file at a number of the caller's, with the number's flags. */
static int put_at(const struct txl_dev *dev, size_t i, int fd)
{
	int flags = dev->fd_flags[i] & FD_CLOEXEC ? O_CLOEXEC : 0;

	return dup3(fd, dev->fds[i], flags) < 0 ? -errno : 0;
}

/*
 * Numbers that nothing can be read from, written to or be waited for at. A
 * timer that is not set does so, better than /dev/null.
 */
static int let_go(struct tapxfer_channel *ch, struct txl_dev *dev, int nothing)
{
	size_t i;
	int err;

	dev->released = true;
	if (dev->flags & TAPXFER_DEV_FOREIGN)
		return 0;
	for (i = 0; i < dev->nfds; i++) {
		err = put_at(dev, i, nothing);
		if (err)
			return txl_error_errno(ch->tx, err,
					       "cannot let go of a descriptor");
	}
	return 0;
}

/* -- settled, one way or the other --------------------------------------- */

/* Whether anybody has the device, when no handover has it */
static bool has_queues(struct tapxfer_channel *ch, struct txl_dev *dev)
{
	unsigned int ifindex = (unsigned int)
		tapxfer_info_u64(dev->ho, TAPXFER_A_HANDOVER_IFINDEX);
	struct tapxfer_info *info;
	bool has;

	if (tapxfer_dev_get(ch->tx, ifindex, -1, &info))
		return false;
	has = tapxfer_info_u64(info, TAPXFER_A_DEV_NUM_QUEUES);
	tapxfer_info_free(info);
	return has;
}

/*
 * Nobody has told us that a device's owner has let go. Another process may have
 * without a word, once the target had accepted: then an abort would be the files'
 * end, and as long as the handover is there, the token gives them to somebody.
 */
void txl_put_back(struct tapxfer_channel *ch, struct txl_dev *dev)
{
	if (dev->live && dev->flags & TAPXFER_DEV_FOREIGN &&
	    ch->phase == TXL_PHASE_FROZEN && txl_let_go(ch, dev)) {
		dev->released = true;
		return;
	}
	dev->outcome = TAPXFER_OUTCOME_BACK;
	/* what has ended by itself has been put back by the kernel */
	if (dev->live &&
	    tapxfer_abort(ch->tx, dev->id, &dev->token, NULL) &&
	    dev->flags & TAPXFER_DEV_FOREIGN && !has_queues(ch, dev))
		dev->outcome = TAPXFER_OUTCOME_LOST;
	dev->live = false;
}

static void settle_moved(struct txl_dev *dev)
{
	if (!(dev->flags & TAPXFER_DEV_FOREIGN))
		txl_close_all(dev->fds, dev->nfds);
	dev->live = false;
	dev->nfds = 0;
}

/* It has ended: by a thaw, or how? */
static void settle_ended(struct tapxfer_channel *ch, struct txl_dev *dev)
{
	switch (txl_dev_ended(ch, dev)) {
	case TAPXFER_EVENT_THAWED:
		dev->outcome = TAPXFER_OUTCOME_MOVED;
		break;
	case 0:
		dev->outcome = TAPXFER_OUTCOME_UNKNOWN;
		break;
	default:
		dev->outcome = TAPXFER_OUTCOME_LOST;
	}
	settle_moved(dev);
}

/*
 * Frozen: claim it, abort, and put the files where they were. Should it end in
 * between, and not by a thaw, the files are ours just so.
 */
static int reclaim(struct tapxfer_channel *ch, struct txl_dev *dev)
{
	int fds[TXL_QUEUES_MAX];
	struct tapxfer_info *ho;
	bool ours = true;
	size_t i, n;
	int err;

	err = tapxfer_claim(ch->tx, dev->id, &dev->token, &ho);
	if (err)
		return err;
	n = tapxfer_info_fds(ho, fds, ARRAY_SIZE(fds));
	tapxfer_info_free(ho);
	if (tapxfer_abort(ch->tx, dev->id, &dev->token, NULL))
		ours = txl_dev_ended(ch, dev) != TAPXFER_EVENT_THAWED;
	for (i = 0; i < n; i++) {
		if (ours && i < dev->nfds)
			put_at(dev, i, fds[i]);
		close(fds[i]);
	}
	if (!ours)
		return -ENOENT;
	dev->live = false;
	dev->outcome = TAPXFER_OUTCOME_BACK;
	return 0;
}

/* 0: it is settled; -EAGAIN: not yet. @steal: from a target that lives too */
static int settle(struct tapxfer_channel *ch, struct txl_dev *dev, bool steal)
{
	unsigned int state = txl_dev_state(ch, dev);

	if (state == TAPXFER_STATE_DRAINING) {
		settle_ended(ch, dev);
		return 0;
	}
	/*
	 * There is nobody to take it back for: the target may have all the time
	 * that there is, and if it has died, it is for somebody else.
	 */
	if (dev->flags & TAPXFER_DEV_FOREIGN)
		return state == TAPXFER_STATE_FROZEN ? 0 : -EAGAIN;
	if (steal && (state == TAPXFER_STATE_CLAIMED ||
		      state == TAPXFER_STATE_READY) && !txl_steal(ch, dev))
		state = TAPXFER_STATE_FROZEN;
	if (state == TAPXFER_STATE_FROZEN && !reclaim(ch, dev))
		return 0;
	return -EAGAIN;
}

/* When the kernel will have ended it at the latest */
static int64_t settle_end(struct tapxfer_channel *ch, struct txl_dev *dev)
{
	uint64_t left = 0;

	txl_dev_state(ch, dev);
	if (dev->ho)
		left = tapxfer_info_u64(dev->ho, TAPXFER_A_HANDOVER_REMAINING);
	return txl_now_ms() + (int64_t)left + SETTLE_MS;
}

/*
 * The target has failed, or is silent. Take back what it has not thawed, in the
 * order in which it would. Once it has thawed one, or may have, the rest is its,
 * unless it dies. Until that is known the guest cannot run on this side: so it
 * is waited for, up to the deadline.
 */
static void settle_all(struct tapxfer_channel *ch)
{
	struct txl_dev *dev;
	bool steal = true;
	int64_t end;

	for_each_transfer(dev, ch) {
		if (!dev->released) {
			/* this far we have not come */
			txl_put_back(ch, dev);
			continue;
		}
		end = settle_end(ch, dev);
		while (settle(ch, dev, steal) && txl_now_ms() < end)
			usleep(TXL_POLL_US);
		if (dev->outcome == TAPXFER_OUTCOME_MOVED ||
		    dev->outcome == TAPXFER_OUTCOME_UNKNOWN)
			steal = false;
	}
}

/* -- the step ------------------------------------------------------------ */

static int let_go_all(struct tapxfer_channel *ch)
{
	struct txl_dev *dev;
	int nothing, err;

	for_each_transfer(dev, ch) {
		err = check_numbers(ch, dev);
		if (err)
			return err;
	}
	nothing = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (nothing < 0)
		return txl_error_errno(ch->tx, -errno, "timerfd_create");
	err = 0;
	for_each_transfer(dev, ch) {
		err = let_go(ch, dev, nothing);
		if (err)
			break;
	}
	close(nothing);
	return err;
}

static int wait_done(struct tapxfer_channel *ch, int64_t end)
{
	int64_t left = end - txl_now_ms();
	uint32_t timeout = ch->opts.timeout;
	int err;

	if (left < timeout)
		ch->opts.timeout = left > 0 ? (uint32_t)left : 1;
	err = txl_expect_empty(ch, TXL_MSG_DONE);
	ch->opts.timeout = timeout;
	return err;
}

/* Who says that it has thawed and has not is not believed. */
static int check_done(struct tapxfer_channel *ch)
{
	struct txl_dev *dev;
	unsigned int event;

	for_each_transfer(dev, ch) {
		if (txl_dev_state(ch, dev) == TAPXFER_STATE_DRAINING) {
			event = txl_dev_ended(ch, dev);
			if (!event || event == TAPXFER_EVENT_THAWED)
				continue;
		}
		return txl_error_set(ch->tx, -EPROTO,
				     "the target says that it has thawed '%s', and it has not",
				     dev->name);
	}
	return 0;
}

/* Let go, and hear that the target has thawed. */
static int release(struct tapxfer_channel *ch)
{
	int64_t deadline, left;
	int err;

	err = wait_others(ch, &deadline);
	if (!err)
		err = let_go_all(ch);
	if (!err)
		err = txl_send_empty(ch, TXL_MSG_RELEASED);
	if (err)
		return err;
	/* in the last quarter of what is left it can be taken back */
	left = left_ms(deadline);
	err = wait_done(ch, txl_now_ms() + left - left / 4);
	return err ? err : check_done(ch);
}

static bool all_moved(const struct tapxfer_channel *ch)
{
	const struct txl_dev *dev;

	for_each_transfer(dev, ch)
		if (dev->outcome != TAPXFER_OUTCOME_MOVED)
			return false;
	return true;
}

EXPORT int tapxfer_send_release(struct tapxfer_channel *ch)
{
	struct txl_error error;
	struct txl_dev *dev;
	int err;

	err = txl_channel_check(ch, TXL_SIDE_SOURCE, TXL_PHASE_FROZEN);
	if (err)
		return err;
	err = release(ch);
	if (!err) {
		for_each_transfer(dev, ch) {
			settle_moved(dev);
			dev->outcome = TAPXFER_OUTCOME_MOVED;
		}
		txl_error_reset(ch->tx);
		ch->phase = TXL_PHASE_DONE;
		return 0;
	}

	error = ch->tx->error;
	if (!ch->refused && !all_orphans(ch))
		txl_send_refuse(ch, err);
	settle_all(ch);
	if (all_moved(ch)) {
		/* it has thawed, and could not tell */
		txl_error_reset(ch->tx);
		ch->phase = TXL_PHASE_DONE;
		return 0;
	}
	ch->tx->error = error;
	ch->phase = TXL_PHASE_FAILED;
	return err;
}
