// SPDX-License-Identifier: LGPL-2.1-or-later
/* The handle, its socket and the way of a request. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <net/if.h>

#include "internal.h"

#ifndef NLM_F_DUMP_INTR
#define NLM_F_DUMP_INTR	0x10
#endif

/* A listing that was interrupted by a change is begun anew so many times. */
#define DUMP_TRIES	16

static void mcgrp_parse(const struct nlattr *groups, uint32_t *id)
{
	const struct nlattr *group, *attr;

	mnl_attr_for_each_nested(group, groups) {
		const char *name = NULL;
		uint32_t grp = 0;

		mnl_attr_for_each_nested(attr, group) {
			switch (mnl_attr_get_type(attr)) {
			case CTRL_ATTR_MCAST_GRP_NAME:
				if (!mnl_attr_validate(attr,
						       MNL_TYPE_NUL_STRING))
					name = mnl_attr_get_str(attr);
				break;
			case CTRL_ATTR_MCAST_GRP_ID:
				if (!mnl_attr_validate(attr, MNL_TYPE_U32))
					grp = mnl_attr_get_u32(attr);
				break;
			}
		}
		if (name && !strcmp(name, TAPXFER_MCGRP_EVENTS))
			*id = grp;
	}
}

/* The controller's word on our family, be it an answer or a notification. */
bool txl_family_parse(const struct nlmsghdr *nlh, uint16_t *id, uint32_t *group)
{
	const struct nlattr *attr;
	const char *name = NULL;

	*id = 0;
	*group = 0;
	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(struct genlmsghdr))
		return false;

	mnl_attr_for_each(attr, nlh, sizeof(struct genlmsghdr)) {
		switch (mnl_attr_get_type(attr)) {
		case CTRL_ATTR_FAMILY_ID:
			if (!mnl_attr_validate(attr, MNL_TYPE_U16))
				*id = mnl_attr_get_u16(attr);
			break;
		case CTRL_ATTR_FAMILY_NAME:
			if (!mnl_attr_validate(attr, MNL_TYPE_NUL_STRING))
				name = mnl_attr_get_str(attr);
			break;
		case CTRL_ATTR_MCAST_GROUPS:
			mcgrp_parse(attr, group);
			break;
		}
	}
	return *id && name && !strcmp(name, TAPXFER_FAMILY_NAME);
}

static int family_reply(struct tapxfer *tx, const struct nlmsghdr *nlh,
			void *data)
{
	(void)data;
	return txl_family_parse(nlh, &tx->family, &tx->group) ? 0 : -EPROTO;
}

int txl_req_init(struct tapxfer *tx, struct txl_req *req, enum txl_set set,
		 uint8_t cmd, size_t room)
{
	struct genlmsghdr *genl;

	req->set = set;
	req->size = MNL_NLMSG_HDRLEN + MNL_ALIGN(sizeof(*genl)) + room;
	req->nlh = calloc(1, req->size);
	if (!req->nlh)
		return txl_error_set(tx, -ENOMEM, "out of memory");

	mnl_nlmsg_put_header(req->nlh);
	req->nlh->nlmsg_type = set == TXL_SET_CTRL ? GENL_ID_CTRL : tx->family;
	/* each command has a reply, or an error: an ack would say nothing more */
	req->nlh->nlmsg_flags = NLM_F_REQUEST;
	genl = mnl_nlmsg_put_extra_header(req->nlh, sizeof(*genl));
	genl->cmd = cmd;
	genl->version = set == TXL_SET_CTRL ? 1 : TAPXFER_FAMILY_VERSION;
	return 0;
}

void txl_req_free(struct txl_req *req)
{
	if (!req->nlh)
		return;
	explicit_bzero(req->nlh, req->size);
	free(req->nlh);
	req->nlh = NULL;
}

/*
 * One datagram from the kernel, without waiting. libmnl's own function would
 * take one from another process too.
 */
ssize_t txl_recv(struct tapxfer *tx)
{
	struct sockaddr_nl from = { 0 };
	struct iovec iov = { .iov_base = tx->rx, .iov_len = TXL_RX_SIZE };
	struct msghdr msg = {
		.msg_name = &from,
		.msg_namelen = sizeof(from),
		.msg_iov = &iov,
		.msg_iovlen = 1,
	};
	ssize_t len;

	do {
		msg.msg_namelen = sizeof(from);
		len = recvmsg(mnl_socket_get_fd(tx->nl), &msg, MSG_DONTWAIT);
	} while ((len < 0 && errno == EINTR) || (len >= 0 && from.nl_pid));

	if (len < 0)
		return -errno;
	if (msg.msg_flags & MSG_TRUNC)
		return -EMSGSIZE;
	return len;
}

struct answer {
	const struct txl_req *req;
	txl_reply_fn fn;
	void *data;
	int err;		/* of fn */
	int ack;		/* from the kernel */
	bool interrupted;
	bool done;
};

static void answer_msg(struct tapxfer *tx, const struct nlmsghdr *nlh,
		       struct answer *a)
{
	const struct nlmsghdr *req = a->req->nlh;
	int err = 0;

	/* what a request that failed halfway left behind */
	if (nlh->nlmsg_seq != req->nlmsg_seq || nlh->nlmsg_pid != tx->portid)
		return;

	if (nlh->nlmsg_flags & NLM_F_DUMP_INTR)
		a->interrupted = true;

	if (nlh->nlmsg_type == NLMSG_ERROR || nlh->nlmsg_type == NLMSG_DONE) {
		/* both begin with the errno, if there is one at all */
		if (mnl_nlmsg_get_payload_len(nlh) >= sizeof(err))
			memcpy(&err, mnl_nlmsg_get_payload(nlh), sizeof(err));
		a->done = true;
		a->ack = err < 0 ? txl_error_ack(tx, err, nlh, a->req) : 0;
		return;
	}
	if (nlh->nlmsg_type != req->nlmsg_type)
		return;

	/* a reply is the last thing that a command does before it succeeds */
	if (!(req->nlmsg_flags & NLM_F_DUMP))
		a->done = true;
	if (a->fn && !a->err) {
		a->err = a->fn(tx, nlh, a->data);
		if (a->err)
			txl_error_errno(tx, a->err, "cannot take the answer");
	}
}

/* Send a request and take all of its answer. */
static int talk_once(struct tapxfer *tx, struct txl_req *req, txl_reply_fn fn,
		     void *data)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct answer a = { .req = req, .fn = fn, .data = data };
	ssize_t len;

	req->nlh->nlmsg_seq = ++tx->seq;
	req->nlh->nlmsg_pid = tx->portid;
	do {
		len = sendto(mnl_socket_get_fd(tx->nl), req->nlh,
			     req->nlh->nlmsg_len, 0,
			     (struct sockaddr *)&kernel, sizeof(kernel));
	} while (len < 0 && errno == EINTR);
	if (len < 0)
		return txl_error_errno(tx, -errno, "cannot ask the kernel");

	/*
	 * The kernel did its work within the call, so that its answer, or the
	 * next part of a listing, is there already or never comes.
	 */
	while (!a.done) {
		const struct nlmsghdr *nlh = (const struct nlmsghdr *)tx->rx;
		int left;

		len = txl_recv(tx);
		if (len == -ENOBUFS && !(req->nlh->nlmsg_flags & NLM_F_DUMP))
			continue;	/* the reply may have made it */
		if (len < 0)
			break;
		for (left = (int)len; mnl_nlmsg_ok(nlh, left);
		     nlh = mnl_nlmsg_next(nlh, &left))
			answer_msg(tx, nlh, &a);
		/* tokens pass here */
		explicit_bzero(tx->rx, (size_t)len);
	}

	if (a.ack)
		return a.ack;
	if (a.err)
		return a.err;
	if (a.interrupted)
		return txl_error_set(tx, -EAGAIN, "changed while it was listed");
	if (a.done)
		return 0;
	if (len == -EAGAIN || len == -ENOBUFS)
		return txl_error_set(tx, -ENOBUFS,
				     "the kernel's answer was lost: out of memory");
	return txl_error_errno(tx, (int)len, "cannot read the kernel's answer");
}

static int family_resolve(struct tapxfer *tx)
{
	struct txl_req req;
	int err;

	err = txl_req_init(tx, &req, TXL_SET_CTRL, CTRL_CMD_GETFAMILY, 64);
	if (err)
		return err;
	mnl_attr_put_strz(req.nlh, CTRL_ATTR_FAMILY_NAME, TAPXFER_FAMILY_NAME);
	err = talk_once(tx, &req, family_reply, NULL);
	txl_req_free(&req);
	if (err == -ENOENT)
		txl_error_set(tx, err, "%s", tapxfer_open_error(err));
	return err;
}

/* Take an option out of a message. */
static void attr_drop(struct nlmsghdr *nlh, uint16_t type)
{
	char *end = mnl_nlmsg_get_payload_tail(nlh);
	struct nlattr *attr;
	size_t size;

	mnl_attr_for_each(attr, nlh, sizeof(struct genlmsghdr)) {
		if (mnl_attr_get_type(attr) != type)
			continue;
		size = MNL_ALIGN(attr->nla_len);
		memmove(attr, (char *)attr + size,
			(size_t)(end - (char *)attr) - size);
		nlh->nlmsg_len -= (uint32_t)size;
		return;
	}
}

static uint8_t cmd_of(const struct nlmsghdr *nlh)
{
	const struct genlmsghdr *genl = mnl_nlmsg_get_payload(nlh);

	return genl->cmd;
}

int txl_talk(struct tapxfer *tx, struct txl_req *req, txl_reply_fn fn,
	     void *data)
{
	uint16_t old = tx->family;
	int err;

	txl_error_reset(tx);
	if (tx->subscribed)
		return txl_error_set(tx, -EBUSY,
				     "the handle is subscribed to events: open another for commands");

	/* a question in between may have found another module */
	req->nlh->nlmsg_type = old;
	err = talk_once(tx, req, fn, data);
	if (err != -ENOENT || tapxfer_error_extack(tx))
		return err;

	/*
	 * ENOENT and no reason: no handler of ours gave that, the family is
	 * not there. The module may have been unloaded and loaded again.
	 */
	err = family_resolve(tx);
	if (err)
		return err;
	if (tx->family == old)
		return txl_error_errno(tx, -ENOENT, "tapxfer");
	tapxfer_info_free(tx->caps);
	tx->caps = NULL;
	req->nlh->nlmsg_type = tx->family;
	/* This one may not know it, and refuse what it does not know. */
	if (req->set == TXL_SET_HANDOVER) {
		attr_drop(req->nlh, TAPXFER_A_HANDOVER_SCRATCH);
		/* of a claim somebody waits for the short answer */
		if (cmd_of(req->nlh) != TAPXFER_CMD_CLAIM)
			attr_drop(req->nlh, TAPXFER_A_HANDOVER_BRIEF);
	}
	return talk_once(tx, req, fn, data);
}

struct one {
	enum txl_set set;
	struct tapxfer_token *token;
	struct tapxfer_info *info;
	bool taken;
};

static int one_reply(struct tapxfer *tx, const struct nlmsghdr *nlh, void *data)
{
	struct one *one = data;

	(void)tx;
	one->taken = true;
	return txl_info_new(nlh, one->set, one->token, &one->info);
}

/*
 * A request that is answered with one object, for @info or to be dropped when
 * that is NULL. With @reserve nothing fails on our side after it was sent.
 */
int txl_talk_one(struct tapxfer *tx, struct txl_req *req, bool reserve,
		 struct tapxfer_token *token, struct tapxfer_info **info)
{
	struct one one = { .set = req->set, .token = token };
	int err;

	if (reserve) {
		one.info = txl_info_reserve();
		if (!one.info)
			return txl_error_set(tx, -ENOMEM, "out of memory");
	}

	err = txl_talk(tx, req, info ? one_reply : NULL, &one);
	if (!err && info && !one.taken)
		err = txl_error_set(tx, -EPROTO, "the kernel gave no answer");
	if (err) {
		tapxfer_info_free(one.info);
		return err;
	}
	if (info)
		*info = one.info;
	return 0;
}

struct list {
	enum txl_set set;
	struct tapxfer_info **info;
	size_t n;
	size_t room;
};

static int list_reply(struct tapxfer *tx, const struct nlmsghdr *nlh,
		      void *data)
{
	struct list *l = data;
	int err;

	(void)tx;
	if (l->n == l->room) {
		size_t room = l->room ? 2 * l->room : 16;
		void *p = realloc(l->info, room * sizeof(*l->info));

		if (!p)
			return -ENOMEM;
		l->info = p;
		l->room = room;
	}
	l->info[l->n] = NULL;
	err = txl_info_new(nlh, l->set, NULL, &l->info[l->n]);
	if (!err)
		l->n++;
	return err;
}

static void list_clear(struct list *l)
{
	while (l->n)
		tapxfer_info_free(l->info[--l->n]);
}

int txl_dump(struct tapxfer *tx, enum txl_set set, uint8_t cmd,
	     tapxfer_info_cb cb, void *data)
{
	struct list l = { .set = set };
	struct txl_req req;
	int tries = DUMP_TRIES;
	size_t i;
	int err;

	err = txl_req_init(tx, &req, set, cmd, 0);
	if (err)
		return err;
	req.nlh->nlmsg_flags |= NLM_F_DUMP;
	do {
		list_clear(&l);
		err = txl_talk(tx, &req, list_reply, &l);
	} while (err == -EAGAIN && --tries);
	txl_req_free(&req);

	for (i = 0; !err && i < l.n; i++)
		err = cb(l.info[i], data);
	list_clear(&l);
	free(l.info);
	return err;
}

EXPORT int tapxfer_open(struct tapxfer **handle)
{
	const struct tapxfer_info *caps;
	struct tapxfer *tx;
	int on = 1;
	int err;

	*handle = NULL;
	tx = calloc(1, sizeof(*tx));
	if (!tx)
		return -ENOMEM;
	txl_error_reset(tx);

	tx->rx = malloc(TXL_RX_SIZE);
	if (!tx->rx) {
		err = -ENOMEM;
		goto err_free;
	}

	tx->nl = mnl_socket_open2(NETLINK_GENERIC, SOCK_CLOEXEC);
	if (!tx->nl) {
		err = -errno;
		goto err_free;
	}
	/* we keep the request, the kernel need not send it back with errors */
	mnl_socket_setsockopt(tx->nl, NETLINK_EXT_ACK, &on, sizeof(on));
	mnl_socket_setsockopt(tx->nl, NETLINK_CAP_ACK, &on, sizeof(on));
	if (mnl_socket_bind(tx->nl, 0, MNL_SOCKET_AUTOPID) < 0) {
		err = -errno;
		goto err_free;
	}
	tx->portid = mnl_socket_get_portid(tx->nl);

	err = family_resolve(tx);
	if (err)
		goto err_free;
	/* now, not while packets wait; who does without is not failed */
	if (txl_caps(tx, &caps))
		txl_error_reset(tx);

	*handle = tx;
	return 0;

err_free:
	tapxfer_close(tx);
	return err;
}

EXPORT int tapxfer_open_netns(struct tapxfer **handle, int netns_fd)
{
	int self, err;

	*handle = NULL;
	self = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (self < 0)
		return -errno;

	if (setns(netns_fd, CLONE_NEWNET)) {
		err = -errno;
		goto out;
	}
	err = tapxfer_open(handle);
	if (setns(self, CLONE_NEWNET)) {
		err = -errno;
		tapxfer_close(*handle);
		*handle = NULL;
	}
out:
	close(self);
	return err;
}

EXPORT void tapxfer_close(struct tapxfer *tx)
{
	if (!tx)
		return;
	if (tx->nl)
		mnl_socket_close(tx->nl);
	tapxfer_info_free(tx->caps);
	free(tx->rx);
	free(tx);
}

EXPORT int tapxfer_fd(const struct tapxfer *tx)
{
	return mnl_socket_get_fd(tx->nl);
}

EXPORT int tapxfer_ifindex(struct tapxfer *tx, const char *ifname)
{
	struct ifreq ifr = { 0 };
	size_t len = strlen(ifname);

	txl_error_reset(tx);
	if (!len || len >= sizeof(ifr.ifr_name))
		return txl_error_set(tx, -EINVAL,
				     "'%.64s' cannot be an interface's name",
				     ifname);
	memcpy(ifr.ifr_name, ifname, len);

	/* any socket answers, for its own network namespace */
	if (ioctl(tapxfer_fd(tx), SIOCGIFINDEX, &ifr)) {
		if (errno == ENODEV)
			return txl_error_set(tx, -ENODEV,
					     "no interface '%s' in this network namespace",
					     ifname);
		return txl_error_errno(tx, -errno, ifname);
	}
	return ifr.ifr_ifindex;
}

EXPORT const char *tapxfer_version(void)
{
	return TAPXFER_VERSION;
}
