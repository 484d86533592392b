// SPDX-License-Identifier: LGPL-2.1-or-later
/* A state to a device, all or nothing. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include <linux/if_tun.h>

#include "state.h"

struct step {
	unsigned int attr;
	int queue;		/* or -1 */
	int from;
	int to;
};

struct plan {
	struct tapxfer *tx;
	const int *fds;
	struct step *steps;
	size_t n;
	size_t room;
};

static int refuse(struct plan *plan, const struct tapxfer_difference *d)
{
	if (d->kind == TAPXFER_DIFFERENCE_LINK)
		return txl_error_set(plan->tx, -ESTALE,
				     "the %s is not the state's, and no queue file can set it: rtnetlink does, before the handover or after it",
				     d->name);
	return txl_error_set(plan->tx, -ESTALE,
			     "the %s is not the state's, and nothing can set it: make the device as the state's was",
			     d->name);
}

static int add(struct plan *plan, unsigned int attr, int queue, int from,
	       int to)
{
	struct step *step;

	if (plan->n == plan->room)
		return txl_error_set(plan->tx, -E2BIG, "too many differences");
	step = &plan->steps[plan->n++];
	step->attr = attr;
	step->queue = queue;
	step->from = from;
	step->to = to;
	return 0;
}

static int plan_one(const struct tapxfer_difference *d, void *data)
{
	struct plan *plan = data;

	switch (d->kind) {
	case TAPXFER_DIFFERENCE_TOLD:
		return 0;
	case TAPXFER_DIFFERENCE_FILE:
		break;
	default:
		return refuse(plan, d);
	}
	/* they come last, whether they differ or not */
	if (d->queue < 0 && d->attr == TAPXFER_A_DEV_OFFLOADS)
		return 0;
	return add(plan, d->attr, d->queue,
		   (int)tapxfer_info_u64(d->live, d->attr),
		   (int)tapxfer_info_u64(d->saved, d->attr));
}

static int set_nonblock(int fd, bool on)
{
	int fl = fcntl(fd, F_GETFL);

	if (fl < 0 || fcntl(fd, F_SETFL, on ? fl | O_NONBLOCK :
						 fl & ~O_NONBLOCK))
		return -errno;
	return 0;
}

static int set(const struct plan *plan, const struct step *step, int value)
{
	int fd = plan->fds[step->queue < 0 ? 0 : step->queue];

	if (step->queue >= 0)
		return step->attr == TAPXFER_A_QUEUE_DETACHED ?
		       txl_tun_detach(fd, value) : set_nonblock(fd, value);
	switch (step->attr) {
	case TAPXFER_A_DEV_VNET_HDR_SZ:
		return txl_tun_set(fd, TUNSETVNETHDRSZ, value);
	case TAPXFER_A_DEV_VNET_LE:
		return txl_tun_set(fd, TUNSETVNETLE, value);
	case TAPXFER_A_DEV_VNET_BE:
		return txl_tun_set(fd, TUNSETVNETBE, value);
	case TAPXFER_A_DEV_SNDBUF:
		return txl_tun_set(fd, TUNSETSNDBUF, value);
	default:
		return txl_tun_set(fd, TUNSETOFFLOAD, value);
	}
}

static const char *name_of(const struct step *step)
{
	const struct txl_state_attr *nest =
		txl_state_attr_find(txl_state_attrs, step->queue < 0 ?
				    TAPXFER_A_HANDOVER_DEV :
				    TAPXFER_A_HANDOVER_QUEUE);

	return txl_state_attr_find(nest->nest, step->attr)->name;
}

/* From the last to the first, so that each finds what it found before. */
static int carry_out(const struct plan *plan)
{
	size_t done;
	int err = 0;

	for (done = 0; done < plan->n; done++) {
		err = set(plan, &plan->steps[done], plan->steps[done].to);
		if (err)
			break;
	}
	if (!err)
		return 0;
	errno = -err;
	if (err == -EBUSY)
		txl_error_set(plan->tx, err,
			      "cannot set the %s: the handover is not this process's claim; nothing was changed",
			      name_of(&plan->steps[done]));
	else
		txl_error_set(plan->tx, err,
			      "cannot set the %s: %m; nothing was changed",
			      name_of(&plan->steps[done]));
	while (done--)
		set(plan, &plan->steps[done], plan->steps[done].from);
	return err;
}

static int link_is_up(struct tapxfer *tx, const char *ifname, bool *up)
{
	struct ifreq ifr = { 0 };

	memcpy(ifr.ifr_name, ifname, strnlen(ifname, IFNAMSIZ - 1));
	if (ioctl(tapxfer_fd(tx), SIOCGIFFLAGS, &ifr))
		return txl_error_errno(tx, -errno, ifname);
	*up = ifr.ifr_flags & IFF_UP;
	return 0;
}

/* A state is not for queues that run. */
static int still_check(struct tapxfer *tx, const struct tapxfer_info *dev)
{
	uint64_t state = tapxfer_info_u64(dev, TAPXFER_A_DEV_HANDOVER_STATE);
	const char *ifname = tapxfer_info_str(dev, TAPXFER_A_DEV_IFNAME);
	const char *name = tapxfer_state_name((unsigned int)state);
	bool up = false;
	int err;

	if (state == TAPXFER_STATE_CLAIMED)
		return 0;
	if (state && state != TAPXFER_STATE_DRAINING)
		return txl_error_set(tx, -EBUSY,
				     "%s is in a handover that is %s: claim it first",
				     ifname, name ? name : "not claimed");
	err = link_is_up(tx, ifname, &up);
	if (!err && up)
		err = txl_error_set(tx, -EBUSY,
				    "the queues of %s run: claim a frozen handover of it, or set the link down",
				    ifname);
	return err;
}

EXPORT int tapxfer_state_apply(struct tapxfer_stream *stream,
			       unsigned int ifindex, const int *fds,
			       size_t nfds)
{
	const struct tapxfer_info *state, *dev;
	struct plan plan = { .fds = fds };
	struct tapxfer_info *live;
	uint64_t offloads;
	int err;

	err = txl_state_get(stream, &plan.tx, &state);
	if (err)
		return err;
	if (!nfds)
		return txl_error_set(plan.tx, -EINVAL,
				     "no queue file to set anything with");
	err = txl_state_live(plan.tx, ifindex, fds, nfds, &live);
	if (err)
		return err;
	dev = tapxfer_info_nest(live, TAPXFER_A_HANDOVER_DEV, 0);
	err = still_check(plan.tx, dev);
	if (err)
		goto out;

	/* two of each queue, five of the device */
	plan.room = 2 * nfds + 5;
	plan.steps = calloc(plan.room, sizeof(*plan.steps));
	if (!plan.steps) {
		err = txl_error_errno(plan.tx, -ENOMEM, "a state");
		goto out;
	}
	err = txl_state_compare(plan.tx, state, live, plan_one, &plan);
	/*
	 * What a claimant has set cannot be asked for, so they are set always;
	 * and last: nothing comes after them that could fail.
	 */
	offloads = tapxfer_info_u64(tapxfer_info_nest(state,
						      TAPXFER_A_HANDOVER_DEV,
						      0),
				    TAPXFER_A_DEV_OFFLOADS);
	if (!err)
		err = add(&plan, TAPXFER_A_DEV_OFFLOADS, -1, 0, (int)offloads);
	if (!err)
		err = carry_out(&plan);
	free(plan.steps);
out:
	tapxfer_info_free(live);
	return err;
}
