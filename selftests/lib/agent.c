// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "agent.h"
#include "util.h"

struct order {
	agent_fn fn;		/* at the same address in both processes */
	long a;
	long b;
	uint32_t id;
	struct tapxfer_token token;
	int nfds;		/* that come with it */
};

union control {
	struct cmsghdr hdr;
	char buf[CMSG_SPACE(sizeof(int) * TAP_MAX)];
};

static int take_fds(struct msghdr *msg, struct tap *tap, int n)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);

	if (!c || c->cmsg_len != CMSG_LEN(sizeof(int) * n))
		return -EPROTO;
	memcpy(tap->fds, CMSG_DATA(c), sizeof(int) * n);
	tap->n = n;
	return 0;
}

static int obey(void *arg)
{
	struct agent *a = arg;
	struct agent_self self = {};
	union control control;
	struct order o;
	struct iovec iov = { &o, sizeof(o) };
	long ret;

	if (xfer_open(&self.x))
		return 1;
	for (;;) {
		struct msghdr msg = {
			.msg_iov = &iov, .msg_iovlen = 1,
			.msg_control = &control,
			.msg_controllen = sizeof(control),
		};

		if (recvmsg(a->sock, &msg, MSG_CMSG_CLOEXEC) != sizeof(o))
			return 0;
		if (o.id) {
			self.x.id = o.id;
			self.x.token = o.token;
		}
		ret = o.nfds ? take_fds(&msg, &self.tap, o.nfds) :
		      o.fn(&self, o.a, o.b);
		if (send(a->sock, &ret, sizeof(ret), MSG_NOSIGNAL) !=
		    sizeof(ret))
			return 1;
	}
}

int agent_start(struct agent *a)
{
	struct agent child = {};
	int socks[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks))
		return -errno;
	child.sock = socks[1];
	a->sock = socks[0];
	a->pid = child_start(obey, &child);
	close(socks[1]);
	return a->pid > 0 ? 0 : -EAGAIN;
}

static long order(struct agent *a, struct msghdr *msg)
{
	long ret;

	if (sendmsg(a->sock, msg, MSG_NOSIGNAL) < 0)
		return -errno;
	if (recv(a->sock, &ret, sizeof(ret), 0) != sizeof(ret))
		return -EPIPE;
	return ret;
}

long agent_call(struct agent *a, const struct xfer *x, agent_fn fn, long arg1,
		long arg2)
{
	struct order o = { .fn = fn, .a = arg1, .b = arg2 };
	struct iovec iov = { &o, sizeof(o) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (x) {
		o.id = x->id;
		o.token = x->token;
	}
	return order(a, &msg);
}

int agent_send_tap(struct agent *a, const struct tap *tap)
{
	struct order o = { .nfds = tap->n };
	struct iovec iov = { &o, sizeof(o) };
	union control control = {};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = CMSG_SPACE(sizeof(int) * tap->n),
	};

	control.hdr.cmsg_level = SOL_SOCKET;
	control.hdr.cmsg_type = SCM_RIGHTS;
	control.hdr.cmsg_len = CMSG_LEN(sizeof(int) * tap->n);
	memcpy(CMSG_DATA(&control.hdr), tap->fds, sizeof(int) * tap->n);
	return order(a, &msg);
}

void agent_kill(struct agent *a)
{
	if (a->pid <= 0)
		return;
	child_kill(a->pid);
	close(a->sock);
	a->pid = 0;
}

/* -- things to be done there --------------------------------------------- */

long agent_claim(struct agent_self *self, long flags, long unused)
{
	struct tapxfer_info *info;
	int err;

	err = tapxfer_claim_flags(self->x.tx, self->x.id, &self->x.token, flags,
				  &info);
	if (err)
		return err;
	if (!(flags & TAPXFER_CLAIM_NO_FDS))
		self->tap.n = tapxfer_info_fds(info, self->tap.fds, TAP_MAX);
	tapxfer_info_free(info);
	return 0;
}

long agent_ready(struct agent_self *self, long flags, long unused)
{
	return xfer_ready(&self->x, flags);
}

long agent_thaw(struct agent_self *self, long flags, long unused)
{
	return tapxfer_thaw_flags(self->x.tx, self->x.id, &self->x.token, flags,
				  NULL);
}

long agent_close(struct agent_self *self, long unused, long unused2)
{
	tap_close(&self->tap);
	return 0;
}

long agent_set_int(struct agent_self *self, long cmd, long value)
{
	int val = value;

	if (cmd == (long)TUNSETOFFLOAD)
		return ioctl(self->tap.fds[0], cmd, value) ? -errno : 0;
	return ioctl(self->tap.fds[0], cmd, &val) ? -errno : 0;
}

long agent_get_int(struct agent_self *self, long cmd, long unused)
{
	int val;

	return ioctl(self->tap.fds[0], cmd, &val) ? -errno : val;
}
