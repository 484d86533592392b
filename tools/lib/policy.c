// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What is transferred and what is not, settled by both sides before anything
 * is prepared. Nothing is left out in silence.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "channel.h"

/* A file's first line */
static int read_line(struct tapxfer *tx, const char *path, char *line,
		     size_t size)
{
	ssize_t len;
	int fd;

	memset(line, 0, size);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return txl_error_errno(tx, -errno, errno == EMFILE ?
				       "no descriptor is free, raise RLIMIT_NOFILE" :
				       path);
	len = read(fd, line, size - 1);
	close(fd);
	line[len > 0 ? len : 0] = '\0';
	line[strcspn(line, "\n")] = '\0';
	return 0;
}

/*
 * The host, until it boots again. A UNIX socket that a proxy prolongs to
 * another host looks local, and its files and tokens are of no use there.
 */
int txl_boot_id(struct tapxfer *tx, char id[TXL_BOOT_ID_LEN])
{
	return read_line(tx, "/proc/sys/kernel/random/boot_id", id,
			 TXL_BOOT_ID_LEN);
}

/*
 * Whether @uid is what the kernel tells of all users alike that this user namespace
 * has no number for: 1, 0, or -errno.
 */
int txl_uid_is_anybody(struct tapxfer *tx, uid_t uid)
{
	unsigned int inside, outside, count;
	char line[64];
	int err;

	err = read_line(tx, "/proc/sys/kernel/overflowuid", line, sizeof(line));
	if (err || strtoul(line, NULL, 10) != uid)
		return err;
	/* the first one of namespaces has numbers for all */
	err = read_line(tx, "/proc/self/uid_map", line, sizeof(line));
	if (err)
		return err;
	return sscanf(line, "%u %u %u", &inside, &outside, &count) != 3 ||
	       inside || count != UINT32_MAX;
}

/* The first of the features that are missing, by name */
static int fail_feature(struct tapxfer_channel *ch, uint64_t missing,
			const char *whose)
{
	uint64_t bit = missing & -missing;
	const char *name = tapxfer_feature_name(bit);

	return txl_error_set(ch->tx, -EOPNOTSUPP,
			     "%s tapxfer module lacks the feature '%s' (0x%llx)",
			     whose, name ? name : "?", (unsigned long long)bit);
}

static uint64_t needed_at_target(const struct tapxfer_channel *ch)
{
	uint64_t features = TAPXFER_FEATURE_CLAIM | TAPXFER_FEATURE_READY |
			    TAPXFER_FEATURE_SHADOW | TAPXFER_FEATURE_EXCLUSIVE |
			    TAPXFER_FEATURE_CLAIMANT_EXIT;

	if (ch->transport == TAPXFER_TRANSPORT_FDS)
		features |= TAPXFER_FEATURE_NO_FDS;
	return features;
}

/* To take back what the target does not want, it has to be passed. */
static uint64_t needed_at_source(const struct tapxfer_channel *ch)
{
	uint64_t features = TAPXFER_FEATURE_HOLD | TAPXFER_FEATURE_CLAIM |
			    TAPXFER_FEATURE_PASS |
			    TAPXFER_FEATURE_CLAIMANT_EXIT;

	if (ch->drains)
		features |= TAPXFER_FEATURE_DRAIN;
	return features;
}

/* What our own kernel can do. The handle keeps it, for the state. */
int txl_policy_features(struct tapxfer_channel *ch)
{
	struct tapxfer_info *caps;
	int err;

	err = tapxfer_caps(ch->tx, &caps);
	if (err)
		return err;
	ch->own_features = tapxfer_info_u64(caps, TAPXFER_A_CAP_FEATURES);
	tapxfer_info_free(ch->tx->caps);
	ch->tx->caps = caps;
	return 0;
}

/* What the other side's kernel can do, once its hello is there */
int txl_policy_peer(struct tapxfer_channel *ch)
{
	uint64_t missing = ch->opts.require & ~ch->peer_features;

	return missing ? fail_feature(ch, missing, "the other side's") : 0;
}

static bool any_transfer(const struct tapxfer_channel *ch)
{
	const struct txl_dev *dev;

	for_each_transfer(dev, ch)
		return true;
	return false;
}

static int check_features(struct tapxfer_channel *ch)
{
	bool source = ch->side == TXL_SIDE_SOURCE;
	uint64_t own, peer;

	own = source ? needed_at_source(ch) : needed_at_target(ch);
	peer = source ? needed_at_target(ch) : needed_at_source(ch);
	own &= ~ch->own_features;
	peer &= ~ch->peer_features;
	if (own)
		return fail_feature(ch, own, "this side's");
	if (peer)
		return fail_feature(ch, peer, "the other side's");
	return 0;
}

/* Packets to the guest are always held, those from it are drained or left. */
static int check_takes(struct tapxfer_channel *ch, uint64_t takes)
{
	if (!(takes & TAPXFER_STATE_FEATURE_HELD))
		return txl_error_set(ch->tx, -EOPNOTSUPP,
				     "the target takes no packets that were held");
	if (!ch->drains && !(takes & TAPXFER_STATE_FEATURE_LEFT))
		return txl_error_set(ch->tx, -EOPNOTSUPP,
				     "the target takes no packets that are left in the host's stack: let the source drain them");
	/* that there are none left may be so, also when nobody has waited for it */
	if (!(takes & TAPXFER_STATE_FEATURE_DRAINED))
		return txl_error_set(ch->tx, -EOPNOTSUPP,
				     "the target does not take a state without packets that are left in the host's stack (feature 'drained')");
	return 0;
}

/* The source decides for each device; TAPXFER_OUTCOME_PENDING if it goes. */
int txl_policy_decide(struct tapxfer_channel *ch)
{
	struct txl_dev *dev;
	int err = 0;

	for_each_dev(dev, ch) {
		if (!(dev->flags & TAPXFER_DEV_TRANSFER)) {
			dev->mode = TXL_MODE_OFF;
			dev->outcome = TAPXFER_OUTCOME_OFF;
		} else if (ch->local) {
			dev->mode = TXL_MODE_TRANSFER;
		} else if (ch->opts.local == TAPXFER_LOCAL_SKIP) {
			dev->mode = TXL_MODE_SKIP;
			dev->outcome = TAPXFER_OUTCOME_SKIPPED;
		} else {
			return txl_error_set(ch->tx, -EOPNOTSUPP,
					     "'%s' is to be transferred, and this channel carries no files: it takes a UNIX socket of this host, or the policy to skip",
					     dev->name);
		}
	}
	if (!any_transfer(ch))
		return 0;
	err = check_features(ch);
	return err ? err : check_takes(ch, ch->peer_takes);
}

/* The target's word on one device of the offer */
static int check_offered(struct tapxfer_channel *ch, struct txl_dev *dev)
{
	bool transfer = dev->mode != TXL_MODE_OFF;

	switch (dev->mode) {
	case TXL_MODE_TRANSFER:
		if (!ch->local)
			return txl_error_set(ch->tx, -EPROTO,
					     "'%s' is to be transferred, over a channel that carries no files",
					     dev->name);
		break;
	case TXL_MODE_SKIP:
		dev->outcome = TAPXFER_OUTCOME_SKIPPED;
		if (ch->opts.local != TAPXFER_LOCAL_SKIP)
			return txl_error_set(ch->tx, -EOPNOTSUPP,
					     "'%s' would be left out, and the target's policy is to fail",
					     dev->name);
		break;
	case TXL_MODE_OFF:
		dev->outcome = TAPXFER_OUTCOME_OFF;
		break;
	}
	if (dev->wanted && transfer != !!(dev->flags & TAPXFER_DEV_TRANSFER))
		return txl_error_set(ch->tx, -EINVAL,
				     "'%s' is %sto be transferred at the source, and %sat the target",
				     dev->name, transfer ? "" : "not ",
				     transfer ? "not " : "");
	return 0;
}

/* The target looks at the whole of the offer. */
int txl_policy_offered(struct tapxfer_channel *ch)
{
	struct txl_dev *dev;
	int err;

	for_each_dev(dev, ch) {
		if (!dev->mode)
			return txl_error_set(ch->tx, -EINVAL,
					     "the source has no '%s'",
					     dev->name);
		err = check_offered(ch, dev);
		if (err)
			return err;
	}
	if (!any_transfer(ch))
		return 0;
	err = check_features(ch);
	return err ? err : check_takes(ch, ch->opts.takes);
}

EXPORT const char *tapxfer_outcome_name(unsigned int outcome)
{
	static const char * const names[] = {
		[TAPXFER_OUTCOME_PENDING] = "pending",
		[TAPXFER_OUTCOME_OFF] = "off",
		[TAPXFER_OUTCOME_SKIPPED] = "skipped",
		[TAPXFER_OUTCOME_MOVED] = "moved",
		[TAPXFER_OUTCOME_BACK] = "back",
		[TAPXFER_OUTCOME_LOST] = "lost",
		[TAPXFER_OUTCOME_UNKNOWN] = "unknown",
	};

	return outcome < ARRAY_SIZE(names) ? names[outcome] : NULL;
}
