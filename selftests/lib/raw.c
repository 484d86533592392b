// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "raw.h"

void raw_open(struct raw *r, int sock)
{
	memset(r, 0, sizeof(*r));
	r->sock = sock;
}

void raw_new(struct raw *r)
{
	memset(r->buf, 0, sizeof(r->buf));
	r->nlh = mnl_nlmsg_put_header(r->buf);
}

int raw_send_bytes(struct raw *r, const void *bytes, size_t len)
{
	return send(r->sock, bytes, len, MSG_NOSIGNAL) == (ssize_t)len ? 0 :
	       -errno;
}

int raw_send_fds(struct raw *r, unsigned int type, const int *fds, size_t n,
		 int told)
{
	size_t len = mnl_nlmsg_get_payload_len(r->nlh);
	struct raw_head head = {
		.magic = RAW_MAGIC, .type = type,
		.nfds = told < 0 ? (int)n : told,
		.len = len, .seq = r->seq++,
	};
	struct iovec iov[2] = {
		{ &head, sizeof(head) },
		{ mnl_nlmsg_get_payload(r->nlh), len },
	};
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	union {
		struct cmsghdr hdr;
		char buf[CMSG_SPACE(sizeof(int) * 253)];
	} control = {};

	if (n) {
		control.hdr.cmsg_level = SOL_SOCKET;
		control.hdr.cmsg_type = SCM_RIGHTS;
		control.hdr.cmsg_len = CMSG_LEN(sizeof(int) * n);
		memcpy(CMSG_DATA(&control.hdr), fds, sizeof(int) * n);
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * n);
	}
	return sendmsg(r->sock, &msg, MSG_NOSIGNAL) ==
	       (ssize_t)(sizeof(head) + len) ? 0 : -errno;
}

int raw_send(struct raw *r, unsigned int type)
{
	return raw_send_fds(r, type, NULL, 0, -1);
}

int raw_send_empty(struct raw *r, unsigned int type)
{
	raw_new(r);
	return raw_send(r, type);
}

int raw_recv(struct raw *r)
{
	const struct nlattr *attr;
	struct raw_head head;
	static char buf[65536];
	ssize_t len;

	len = recv(r->sock, &head, sizeof(head), MSG_WAITALL);
	if (len != sizeof(head))
		return len < 0 ? -errno : -ECONNRESET;
	if (head.len > sizeof(buf) ||
	    (head.len && recv(r->sock, buf, head.len, MSG_WAITALL) !=
			 (ssize_t)head.len))
		return -EPROTO;
	if (head.type == RAW_REFUSE)
		mnl_attr_for_each_payload((const struct nlattr *)buf, head.len)
			if (mnl_attr_get_type(attr) == RAW_A_TEXT)
				strncpy(r->text, mnl_attr_get_str(attr),
					sizeof(r->text) - 1);
	return head.type;
}

static void put_boot_id(struct raw *r)
{
	char id[64] = "";
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t len = read(fd, id, sizeof(id) - 1);

	id[len > 0 ? len : 0] = '\0';
	id[strcspn(id, "\n")] = '\0';
	close(fd);
	mnl_attr_put_strz(r->nlh, RAW_A_BOOT_ID, r->boot_id ?: id);
}

int raw_hello(struct raw *r, unsigned int kind)
{
	int type;

	raw_new(r);
	mnl_attr_put_u32(r->nlh, RAW_A_VERSION, r->version ?: 1);
	mnl_attr_put_u32(r->nlh, RAW_A_SIDE, r->side ?: RAW_SOURCE);
	mnl_attr_put_u32(r->nlh, RAW_A_KIND, kind);
	mnl_attr_put(r->nlh, RAW_A_SESSION, sizeof(r->session), r->session);
	put_boot_id(r);
	mnl_attr_put_u64(r->nlh, RAW_A_REQUIRED, r->required);
	mnl_attr_put_u64(r->nlh, RAW_A_KERNEL_FEATURES, ~0ULL);
	mnl_attr_put_u64(r->nlh, RAW_A_STATE_FEATURES, ~0ULL);
	/* one that nobody knows is skipped */
	mnl_attr_put_u32(r->nlh, 1000, 1);
	raw_send(r, RAW_HELLO);
	type = raw_recv(r);
	return type == RAW_HELLO ? 0 : type;
}

int raw_offer(struct raw *r, uint32_t transport, uint32_t mode,
	      uint32_t queues)
{
	struct nlattr *nest;
	int type;

	raw_new(r);
	mnl_attr_put_u32(r->nlh, RAW_A_TRANSPORT, transport);
	mnl_attr_put_u32(r->nlh, RAW_A_DRAIN, 0);
	nest = mnl_attr_nest_start(r->nlh, RAW_A_DEV);
	mnl_attr_put_strz(r->nlh, RAW_A_NAME, "net0");
	mnl_attr_put_u32(r->nlh, RAW_A_MODE, mode);
	mnl_attr_put_u32(r->nlh, RAW_A_QUEUES, queues);
	mnl_attr_nest_end(r->nlh, nest);
	raw_send(r, RAW_OFFER);
	type = raw_recv(r);
	return type == RAW_ACCEPT ? 0 : type;
}

int raw_device(struct raw *r, const struct xfer *x, const struct tap *tap)
{
	raw_new(r);
	mnl_attr_put_u32(r->nlh, RAW_A_INDEX, 0);
	mnl_attr_put_u32(r->nlh, RAW_A_IFINDEX, tap->ifindex);
	mnl_attr_put_u32(r->nlh, RAW_A_ID, x->id);
	mnl_attr_put(r->nlh, RAW_A_TOKEN, sizeof(x->token.bytes),
		     x->token.bytes);
	return raw_send(r, RAW_DEVICE);
}

int raw_files(struct raw *r, uint32_t first, const int *fds, size_t n, int told)
{
	raw_new(r);
	mnl_attr_put_u32(r->nlh, RAW_A_INDEX, 0);
	mnl_attr_put_u32(r->nlh, RAW_A_FIRST, first);
	return raw_send_fds(r, RAW_FILES, fds, n, told);
}
