// SPDX-License-Identifier: LGPL-2.1-or-later
/* The channel and its devices. */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "channel.h"

#ifndef SYS_close_range
#define SYS_close_range	436
#endif

#define TIMEOUT_DEFAULT	10000

#define OPTS_ALL	(TAPXFER_CHANNEL_OPT_PEER_UID | \
			 TAPXFER_CHANNEL_OPT_PEER_PID | \
			 TAPXFER_CHANNEL_OPT_TIMEOUT | \
			 TAPXFER_CHANNEL_OPT_TAKES)
#define FLAGS_ALL	(TAPXFER_CHANNEL_EARLY | TAPXFER_CHANNEL_DRAIN | \
			 TAPXFER_CHANNEL_SHARED)

/* What the first version had: who was built with it goes on to work. */
#define OPTS_SIZE_MIN	(offsetof(struct tapxfer_channel_opts, handover) + \
			 sizeof(struct tapxfer_opts *))

/* The caller may be older than the library, or newer. */
static int opts_get(struct tapxfer *tx, const struct tapxfer_channel_opts *from,
		    struct tapxfer_channel_opts *opts)
{
	const char *p = (const char *)from;
	uint32_t i;

	memset(opts, 0, sizeof(*opts));
	if (from->size < OPTS_SIZE_MIN)
		return txl_error_set(tx, -EINVAL,
				     "the channel's options have no size, or not the whole");
	for (i = sizeof(*opts); i < from->size; i++)
		if (p[i])
			return txl_error_set(tx, -E2BIG,
					     "an option that this version of the library does not know");
	memcpy(opts, from,
	       from->size < sizeof(*opts) ? from->size : sizeof(*opts));
	if (opts->reserved || (opts->set & ~OPTS_ALL) ||
	    (opts->flags & ~FLAGS_ALL) || opts->local > TAPXFER_LOCAL_SKIP ||
	    opts->transport > TAPXFER_TRANSPORT_FDS)
		return txl_error_set(tx, -EINVAL,
				     "an option of the channel that this version of the library does not know");
	if (!(opts->set & TAPXFER_CHANNEL_OPT_TIMEOUT))
		opts->timeout = TIMEOUT_DEFAULT;
	if (!opts->timeout || opts->timeout > INT32_MAX)
		return txl_error_set(tx, -EINVAL,
				     "the channel's timeout cannot be %u ms",
				     opts->timeout);
	if (!(opts->set & TAPXFER_CHANNEL_OPT_TAKES))
		opts->takes = tapxfer_state_features();
	return 0;
}

/*
 * A copy, of whatever size: what it says is looked at when a handover begins.
 * The timeout goes with the freeze.
 */
static int limits_get(struct tapxfer_channel *ch,
		      const struct tapxfer_opts *from)
{
	ch->freeze.size = sizeof(ch->freeze);
	if (!from)
		return 0;
	if (from->size < offsetof(struct tapxfer_opts, hold_bytes))
		return txl_error_set(ch->tx, -EINVAL,
				     "the handover's options have no size, or not the whole");
	ch->begin = malloc(from->size);
	if (!ch->begin)
		return txl_error_set(ch->tx, -ENOMEM, "out of memory");
	memcpy(ch->begin, from, from->size);
	ch->freeze.set = from->set & TAPXFER_OPT_TIMEOUT;
	ch->freeze.timeout = from->timeout;
	ch->begin->set &= ~(uint32_t)TAPXFER_OPT_TIMEOUT;
	return 0;
}

EXPORT int tapxfer_channel_new(struct tapxfer *tx,
			       const struct tapxfer_channel_opts *opts,
			       struct tapxfer_channel **channel)
{
	struct tapxfer_channel *ch;
	int err;

	*channel = NULL;
	txl_error_reset(tx);
	ch = calloc(1, sizeof(*ch));
	if (!ch)
		return txl_error_set(tx, -ENOMEM, "out of memory");
	ch->tx = tx;
	ch->conn = &ch->first;
	ch->first.sock = -1;
	ch->second.sock = -1;
	err = opts_get(tx, opts, &ch->opts);
	if (!err)
		err = limits_get(ch, opts->handover);
	/* it is read with a descriptor that the socket's may be afterwards */
	if (!err)
		err = txl_boot_id(tx, ch->boot_id);
	if (!err)
		err = txl_conn_init(ch, &ch->first, ch->opts.sock);
	if (!err && getrandom(ch->session, sizeof(ch->session), 0) !=
		    sizeof(ch->session))
		err = txl_error_errno(tx, -errno, "getrandom");
	if (err) {
		txl_conn_close(&ch->first);
		free(ch->begin);
		free(ch);
		return err;
	}
	ch->transport = ch->opts.transport ? ch->opts.transport :
			TAPXFER_TRANSPORT_TOKEN;
	ch->drains = ch->opts.flags & TAPXFER_CHANNEL_DRAIN;
	*channel = ch;
	return 0;
}

static void dev_free(struct txl_dev *dev)
{
	tapxfer_token_wipe(&dev->token);
	tapxfer_info_free(dev->ho);
	txl_state_free(dev);
	free(dev->fd_flags);
	free(dev->fds);
}

EXPORT void tapxfer_channel_free(struct tapxfer_channel *ch)
{
	struct txl_dev *dev;

	if (!ch)
		return;
	if (ch->phase != TXL_PHASE_DONE && ch->phase != TXL_PHASE_FAILED)
		tapxfer_channel_refuse(ch, -ECANCELED,
				       "the handover was given up");
	for_each_dev(dev, ch)
		dev_free(dev);
	free(ch->devs);
	free(ch->begin);
	tapxfer_close(ch->events);
	txl_conn_close(&ch->first);
	txl_conn_close(&ch->second);
	explicit_bzero(ch, sizeof(*ch));
	free(ch);
}

/* One more device, all zero; NULL with the text set. */
struct txl_dev *txl_channel_dev(struct tapxfer_channel *ch)
{
	struct txl_dev *devs;

	if (ch->ndevs == TXL_DEVS_MAX) {
		txl_error_set(ch->tx, -E2BIG, "more than %d devices",
			      TXL_DEVS_MAX);
		return NULL;
	}
	devs = reallocarray(ch->devs, ch->ndevs + 1, sizeof(*devs));
	if (!devs) {
		txl_error_set(ch->tx, -ENOMEM, "out of memory");
		return NULL;
	}
	ch->devs = devs;
	memset(&devs[ch->ndevs], 0, sizeof(*devs));
	return &devs[ch->ndevs++];
}

/* Visible, as it goes to terminals and into other programs' files */
bool txl_name_good(const char *name)
{
	size_t len = strlen(name);

	if (!len || len >= TXL_NAME_LEN)
		return false;
	for (; *name; name++)
		if (*name <= ' ' || *name > '~')
			return false;
	return true;
}

struct txl_dev *txl_channel_find(struct tapxfer_channel *ch, const char *name)
{
	struct txl_dev *dev;

	for_each_dev(dev, ch)
		if (!strcmp(dev->name, name))
			return dev;
	return NULL;
}

EXPORT int tapxfer_channel_add(struct tapxfer_channel *ch, const char *name,
			       unsigned int ifindex, const int *fds,
			       size_t nfds, uint32_t flags)
{
	char ifname[IFNAMSIZ];
	struct txl_dev *dev;
	unsigned int iff;
	int err;

	txl_error_reset(ch->tx);
	if (ch->side != TXL_SIDE_NONE)
		return txl_error_set(ch->tx, -EINVAL,
				     "devices are added before anything is sent");
	if (flags & ~(TAPXFER_DEV_TRANSFER | TAPXFER_DEV_FOREIGN))
		return txl_error_set(ch->tx, -EINVAL,
				     "a flag that this version of the library does not know");
	if (nfds > TXL_QUEUES_MAX)
		return txl_error_set(ch->tx, -E2BIG, "more than %d files",
				     TXL_QUEUES_MAX);
	if (!name && nfds) {
		err = txl_tun_iff(fds[0], ifname, &iff);
		if (err)
			return txl_error_errno(ch->tx, err,
					       "a device without a name");
		name = ifname;
	}
	if (!name || !txl_name_good(name))
		return txl_error_set(ch->tx, -EINVAL,
				     "a device's name has 1 to %d visible characters",
				     TXL_NAME_LEN - 1);
	if (txl_channel_find(ch, name))
		return txl_error_set(ch->tx, -EEXIST, "'%s' is there already",
				     name);

	dev = txl_channel_dev(ch);
	if (!dev)
		return ch->ndevs == TXL_DEVS_MAX ? -E2BIG : -ENOMEM;
	strcpy(dev->name, name);
	dev->flags = flags;
	dev->ifindex = ifindex;
	dev->wanted = true;
	if (nfds) {
		dev->fds = reallocarray(NULL, nfds, sizeof(*fds));
		dev->fd_flags = reallocarray(NULL, nfds, sizeof(*fds));
		if (!dev->fds || !dev->fd_flags) {
			dev_free(dev);
			ch->ndevs--;
			return txl_error_set(ch->tx, -ENOMEM, "out of memory");
		}
		memcpy(dev->fds, fds, nfds * sizeof(*fds));
		dev->nfds = nfds;
	}
	return 0;
}

/* -- what the steps have in common --------------------------------------- */

/* Whether it is this side's turn to do what comes after @phase. */
int txl_channel_check(struct tapxfer_channel *ch, enum txl_side side,
		      enum txl_phase phase)
{
	txl_error_reset(ch->tx);
	if (ch->side != TXL_SIDE_NONE && ch->side != side)
		return txl_error_set(ch->tx, -EINVAL,
				     "the channel is the %s's",
				     ch->side == TXL_SIDE_SOURCE ? "source" :
								   "target");
	if (ch->phase == TXL_PHASE_FAILED)
		return txl_error_set(ch->tx, -EINVAL,
				     "the channel has failed: free it");
	if (ch->phase != phase)
		return txl_error_set(ch->tx, -EINVAL,
				     "the calls on the channel come in another order");
	ch->side = side;
	return 0;
}

/* The socket that the state goes over; with one socket, the same */
int txl_channel_late(struct tapxfer_channel *ch, int late)
{
	bool early = ch->opts.flags & TAPXFER_CHANNEL_EARLY;
	int err;

	if (early != (late >= 0))
		return txl_error_set(ch->tx, -EINVAL, early ?
				     "the second socket is missing" :
				     "a second socket goes with TAPXFER_CHANNEL_EARLY");
	if (!early)
		return 0;
	err = txl_conn_init(ch, &ch->second, late);
	if (err)
		return err;
	if (!ch->second.is_unix)
		return txl_error_set(ch->tx, -EOPNOTSUPP,
				     "the second socket is no UNIX socket");
	ch->conn = &ch->second;
	return 0;
}

/*
 * The end of a step. If it failed the other side is told, unless that was the
 * one who said so, and what this side did is undone. The text stays.
 */
int txl_channel_end(struct tapxfer_channel *ch, int err)
{
	struct txl_error error;

	if (!err)
		return 0;
	error = ch->tx->error;
	if (!ch->refused)
		txl_send_refuse(ch, err);
	if (ch->side == TXL_SIDE_SOURCE)
		txl_send_undo(ch);
	else if (ch->side == TXL_SIDE_TARGET)
		txl_recv_undo(ch);
	ch->phase = TXL_PHASE_FAILED;
	ch->tx->error = error;
	return err;
}

EXPORT int tapxfer_channel_refuse(struct tapxfer_channel *ch, int err,
				  const char *text)
{
	txl_error_reset(ch->tx);
	if (ch->phase == TXL_PHASE_DONE || ch->phase == TXL_PHASE_FAILED)
		return txl_error_set(ch->tx, -EINVAL,
				     "the handover has come to its end");
	if (err >= 0)
		err = -ECANCELED;
	if (text)
		txl_error_set(ch->tx, err, "%s", text);
	else
		txl_error_errno(ch->tx, err, "given up");
	txl_channel_end(ch, err);
	return 0;
}

/* The kernel's newest word on a device's handover */
void txl_dev_told(struct txl_dev *dev, struct tapxfer_info *ho)
{
	if (!ho)
		return;
	tapxfer_info_free(dev->ho);
	dev->ho = ho;
}

/* Which device it was that the call before failed for */
int txl_dev_error(struct tapxfer_channel *ch, const struct txl_dev *dev,
		  int err)
{
	struct txl_error error = ch->tx->error;

	if (err)
		snprintf(ch->tx->error.text, sizeof(error.text), "'%s': %.400s",
			 dev->name, error.text);
	return err;
}

/*
 * Close descriptors, those whose numbers follow one another at once: there may be
 * hundreds. Not each kernel has the call for it, not each sandbox lets it through.
 */
void txl_close_all(const int *fds, size_t n)
{
	size_t i, end;

	for (i = 0; i < n; i = end) {
		for (end = i + 1; end < n; end++)
			if (fds[end] != fds[end - 1] + 1)
				break;
		if (end - i > 1 &&
		    !syscall(SYS_close_range, fds[i], fds[end - 1], 0))
			continue;
		for (; i < end; i++)
			close(fds[i]);
	}
}

/* The target's files, which it is not to have */
void txl_dev_close(struct txl_dev *dev)
{
	txl_close_all(dev->fds, dev->nfds);
	dev->nfds = 0;
}

/* -- what is known of it ------------------------------------------------- */

EXPORT size_t tapxfer_channel_count(const struct tapxfer_channel *ch)
{
	return ch->ndevs;
}

EXPORT const char *tapxfer_channel_name(const struct tapxfer_channel *ch,
					size_t n)
{
	return n < ch->ndevs ? ch->devs[n].name : NULL;
}

EXPORT unsigned int tapxfer_channel_outcome(const struct tapxfer_channel *ch,
					    size_t n)
{
	return n < ch->ndevs ? ch->devs[n].outcome : TAPXFER_OUTCOME_PENDING;
}

EXPORT const struct tapxfer_info *
tapxfer_channel_handover(const struct tapxfer_channel *ch, size_t n)
{
	return n < ch->ndevs ? ch->devs[n].ho : NULL;
}

EXPORT const struct tapxfer_token *
tapxfer_channel_token(const struct tapxfer_channel *ch, size_t n)
{
	return n < ch->ndevs && ch->devs[n].id ? &ch->devs[n].token : NULL;
}

EXPORT size_t tapxfer_channel_fds(const struct tapxfer_channel *ch, size_t n,
				  int *fds, size_t room)
{
	size_t i;

	if (n >= ch->ndevs)
		return 0;
	for (i = 0; i < ch->devs[n].nfds && i < room; i++)
		fds[i] = ch->devs[n].fds[i];
	return ch->devs[n].nfds;
}

EXPORT uint64_t tapxfer_channel_features(const struct tapxfer_channel *ch)
{
	return ch->peer_features;
}

EXPORT bool tapxfer_channel_is_local(const struct tapxfer_channel *ch)
{
	return ch->local;
}
