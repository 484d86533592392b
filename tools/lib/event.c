// SPDX-License-Identifier: LGPL-2.1-or-later
/* Events: a handle that listens. */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#include "internal.h"

/* Some thousand events, for a reader that is busy elsewhere for a while. */
#define EVENT_RCVBUF	(1024 * 1024)

/*
 * The controller tells in this group of families that come and go; its number
 * is fixed in the kernel (GENL_MCGRP of the controller is its own id).
 */
#define CTRL_NOTIFY	GENL_ID_CTRL

static int join(struct tapxfer *tx, uint32_t group)
{
	int val = (int)group;

	if (mnl_socket_setsockopt(tx->nl, NETLINK_ADD_MEMBERSHIP, &val,
				  sizeof(val)) < 0)
		return -errno;
	return 0;
}

EXPORT int tapxfer_subscribe(struct tapxfer *tx)
{
	int size = EVENT_RCVBUF;
	int fd = tapxfer_fd(tx);
	int err;

	txl_error_reset(tx);
	if (tx->subscribed)
		return 0;
	if (!tx->group)
		return txl_error_set(tx, -EPROTO,
				     "this tapxfer module tells no events");

	/* more than the usual limit is for the privileged, and only nice */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));

	err = join(tx, tx->group);
	if (err)
		return txl_error_errno(tx, err, "cannot subscribe to events");
	/* without it a reload of the module would leave us deaf: no error */
	join(tx, CTRL_NOTIFY);
	tx->subscribed = true;
	return 0;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Our event to *ev; or, when the family came back under a new id, join it. */
static int take(struct tapxfer *tx, const struct nlmsghdr *nlh,
		struct tapxfer_info **ev)
{
	const struct genlmsghdr *genl = mnl_nlmsg_get_payload(nlh);
	uint32_t group;
	uint16_t id;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*genl))
		return 0;

	if (nlh->nlmsg_type == tx->family && genl->cmd == TAPXFER_CMD_EVENT)
		return txl_info_new(nlh, TXL_SET_HANDOVER, NULL, ev);

	if (nlh->nlmsg_type == GENL_ID_CTRL &&
	    genl->cmd == CTRL_CMD_NEWFAMILY &&
	    txl_family_parse(nlh, &id, &group) && group) {
		tx->family = id;
		tx->group = group;
		join(tx, group);
		/* what came before we joined is lost */
		return -ENOBUFS;
	}
	return 0;
}

EXPORT int tapxfer_event_next(struct tapxfer *tx, int timeout,
			      struct tapxfer_info **ev)
{
	int64_t end = timeout > 0 ? now_ms() + timeout : 0;
	struct pollfd pfd = { .fd = tapxfer_fd(tx), .events = POLLIN };
	int err;

	*ev = NULL;
	txl_error_reset(tx);
	if (!tx->subscribed)
		return txl_error_set(tx, -EINVAL,
				     "the handle is not subscribed to events");

	for (;;) {
		const struct nlmsghdr *nlh = (const struct nlmsghdr *)tx->rx;
		ssize_t len = txl_recv(tx);

		if (len == -ENOBUFS)
			return txl_error_set(tx, -ENOBUFS,
					     "events were lost: list the handovers anew");
		if (len < 0 && len != -EAGAIN)
			return txl_error_errno(tx, (int)len,
					       "cannot read events");
		/* the kernel sends each event as a datagram of its own */
		if (len > 0 && mnl_nlmsg_ok(nlh, (int)len)) {
			err = take(tx, nlh, ev);
			if (err == -ENOBUFS)
				return txl_error_set(tx, err,
						     "the module was loaded anew, events may be lost: list the handovers anew");
			if (err)
				return txl_error_errno(tx, err,
						       "cannot take an event");
			if (*ev)
				return 0;
			continue;
		}
		if (len >= 0)
			continue;

		if (end) {
			int64_t left = end - now_ms();

			timeout = left > 0 ? (int)left : 0;
		}
		err = timeout ? poll(&pfd, 1, timeout) : 0;
		if (err < 0)
			return txl_error_errno(tx, -errno, "poll");
		if (!err)
			return txl_error_set(tx, -EAGAIN, "no event");
	}
}
