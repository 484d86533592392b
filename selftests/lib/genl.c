// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <linux/genetlink.h>

#include "genl.h"

#define BUF_SIZE	(64 << 10)

static void new_message(struct genl *g, uint16_t type, uint8_t cmd)
{
	struct genlmsghdr *genl;

	memset(g->buf, 0, BUF_SIZE);
	g->req = mnl_nlmsg_put_header(g->buf);
	g->req->nlmsg_type = type;
	g->req->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	g->req->nlmsg_seq = ++g->seq;
	genl = mnl_nlmsg_put_extra_header(g->req, sizeof(*genl));
	genl->cmd = cmd;
	genl->version = 1;
}

void genl_new(struct genl *g, uint8_t cmd)
{
	new_message(g, g->family, cmd);
}

/* Which attribute of the request begins at @offs */
static void find_bad(struct genl *g, uint32_t offs)
{
	const struct nlattr *a, *b;

	mnl_attr_for_each(a, g->req, sizeof(struct genlmsghdr)) {
		if ((char *)a - (char *)g->req != (long)offs)
			continue;
		g->bad_attr = mnl_attr_get_type(a);
		mnl_attr_for_each(b, g->req, sizeof(struct genlmsghdr)) {
			if (b == a)
				break;
			g->bad_nth += mnl_attr_get_type(b) == g->bad_attr;
		}
	}
}

/* The errno of an ack, or of the end of a dump; and why. */
static int parse_ack(struct genl *g, const struct nlmsghdr *nlh)
{
	const struct nlmsgerr *err = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *a;
	size_t skip = sizeof(*err);

	if (!(nlh->nlmsg_flags & NLM_F_ACK_TLVS))
		return err->error;
	if (nlh->nlmsg_type == NLMSG_DONE)
		skip = sizeof(err->error);
	/* the request is echoed in full, unless its header alone is */
	else if (!(nlh->nlmsg_flags & NLM_F_CAPPED))
		skip += mnl_nlmsg_get_payload_len(&err->msg);
	mnl_attr_for_each(a, nlh, skip) {
		switch (mnl_attr_get_type(a)) {
		case NLMSGERR_ATTR_MSG:
			strncpy(g->msg, mnl_attr_get_str(a),
				sizeof(g->msg) - 1);
			break;
		case NLMSGERR_ATTR_OFFS:
			find_bad(g, mnl_attr_get_u32(a));
			break;
		}
	}
	return err->error;
}

int genl_send(struct genl *g)
{
	memset(g->msg, 0, sizeof(g->msg));
	memset(g->reply, 0, NLMSG_HDRLEN);
	g->bad_attr = 0;
	g->bad_nth = 0;
	return mnl_socket_sendto(g->nl, g->req, g->req->nlmsg_len) < 0 ?
	       -errno : 0;
}

/* A message of the answer */
static void take_message(struct genl *g, const struct nlmsghdr *nlh,
			 struct genl_answer *a)
{
	if (nlh->nlmsg_seq != g->seq)
		return;
	if (nlh->nlmsg_type == NLMSG_ERROR || nlh->nlmsg_type == NLMSG_DONE) {
		a->acked = true;
		a->err = parse_ack(g, nlh);
	} else {
		a->replied = true;
		memcpy(g->reply, nlh, nlh->nlmsg_len);
	}
}

/* A datagram of it; or -errno. */
static int take_some(struct genl *g, struct genl_answer *a, int flags)
{
	const struct nlmsghdr *nlh;
	char *buf = calloc(1, BUF_SIZE);
	ssize_t len;
	int left;

	if (!buf)
		return -ENOMEM;
	len = recv(mnl_socket_get_fd(g->nl), buf, BUF_SIZE, flags);
	if (len < 0)
		len = -errno;
	nlh = (void *)buf;
	for (left = len; len > 0 && mnl_nlmsg_ok(nlh, left);
	     nlh = mnl_nlmsg_next(nlh, &left))
		take_message(g, nlh, a);
	free(buf);
	return len < 0 ? len : 0;
}

void genl_take(struct genl *g, struct genl_answer *a)
{
	int err;

	memset(a, 0, sizeof(*a));
	do {
		err = take_some(g, a, MSG_DONTWAIT);
		a->lost |= err == -ENOBUFS;
	} while (!err || err == -ENOBUFS);
}

int genl_talk(struct genl *g)
{
	struct genl_answer a = {};
	int err = genl_send(g);

	/* the answer, if any, comes before the ack, in a datagram of its own */
	while (!err && !a.acked)
		err = take_some(g, &a, 0);
	return err ?: a.err;
}

const struct nlattr *genl_attr(const struct genl *g, unsigned int type)
{
	const struct nlmsghdr *nlh = (void *)g->reply;
	const struct nlattr *a;

	if (nlh->nlmsg_len < NLMSG_HDRLEN)
		return NULL;
	mnl_attr_for_each(a, nlh, sizeof(struct genlmsghdr))
		if (mnl_attr_get_type(a) == type)
			return a;
	return NULL;
}

uint32_t genl_u32(const struct genl *g, unsigned int type)
{
	const struct nlattr *a = genl_attr(g, type);

	return a ? mnl_attr_get_u32(a) : 0;
}

void genl_begin(struct genl *g, uint8_t cmd, int ifindex, const int *fds,
		size_t n)
{
	size_t i;

	genl_new(g, cmd);
	mnl_attr_put_u32(g->req, TAPXFER_A_HANDOVER_IFINDEX, ifindex);
	for (i = 0; i < n; i++)
		mnl_attr_put_u32(g->req, TAPXFER_A_HANDOVER_FD, fds[i]);
}

void genl_go_on(struct genl *g, uint8_t cmd, uint32_t id, const void *token)
{
	genl_new(g, cmd);
	mnl_attr_put_u32(g->req, TAPXFER_A_HANDOVER_ID, id);
	if (token)
		mnl_attr_put(g->req, TAPXFER_A_HANDOVER_TOKEN,
			     TAPXFER_TOKEN_LEN, token);
}

int genl_open(struct genl *g)
{
	const struct nlattr *a;
	int on = 1, err;

	memset(g, 0, sizeof(*g));
	g->buf = malloc(BUF_SIZE);
	g->reply = calloc(1, BUF_SIZE);
	if (!g->buf || !g->reply)
		return -ENOMEM;
	g->nl = mnl_socket_open2(NETLINK_GENERIC, SOCK_CLOEXEC);
	if (!g->nl || mnl_socket_bind(g->nl, 0, MNL_SOCKET_AUTOPID))
		return -errno;
	mnl_socket_setsockopt(g->nl, NETLINK_EXT_ACK, &on, sizeof(on));
	mnl_socket_setsockopt(g->nl, NETLINK_CAP_ACK, &on, sizeof(on));

	new_message(g, GENL_ID_CTRL, CTRL_CMD_GETFAMILY);
	mnl_attr_put_strz(g->req, CTRL_ATTR_FAMILY_NAME, TAPXFER_FAMILY_NAME);
	err = genl_talk(g);
	if (err)
		return err;
	a = genl_attr(g, CTRL_ATTR_FAMILY_ID);
	g->family = a ? mnl_attr_get_u16(a) : 0;
	return g->family ? 0 : -EPROTO;
}

void genl_close(struct genl *g)
{
	if (g->nl)
		mnl_socket_close(g->nl);
	free(g->buf);
	free(g->reply);
	memset(g, 0, sizeof(*g));
}

void genl_set_room(int fd, int size)
{
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
}

void genl_clog(int fd)
{
	struct sockaddr_nl to = { .nl_family = AF_NETLINK };
	struct nlmsghdr nop = {
		.nlmsg_len = NLMSG_HDRLEN,
		.nlmsg_type = NLMSG_NOOP,
		.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK,
		.nlmsg_seq = UINT32_MAX,
	};
	int i;

	genl_set_room(fd, 1);
	for (i = 0; i < 16; i++)
		sendto(fd, &nop, sizeof(nop), 0, (struct sockaddr *)&to,
		       sizeof(to));
}
