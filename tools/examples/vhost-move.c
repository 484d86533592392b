// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "vhost-move.h"

#define PAIR_FDS	(1 + 2 * TAPXFER_VHOST_VRINGS)
#define FDS		(1 + QUEUES * PAIR_FDS)

union control {
	struct cmsghdr hdr;
	char space[CMSG_SPACE(FDS * sizeof(int))];
};

/* The descriptors of a pair, in the order of the message */
static int32_t *pair_fd(struct tapxfer_vhost *dev, int i)
{
	if (!i)
		return &dev->fd;
	i--;
	return i < TAPXFER_VHOST_VRINGS ? &dev->kick[i] :
					  &dev->call[i - TAPXFER_VHOST_VRINGS];
}

int move_send(int sock, const struct move *move, const struct vhost_vm *vm)
{
	struct iovec iov = { (void *)move, sizeof(*move) };
	union control control = { 0 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	int fds[FDS], q, i, n = 0;

	fds[n++] = vm->memfd;
	for (q = 0; q < QUEUES; q++) {
		struct tapxfer_vhost dev = vm->pairs[q].dev;

		for (i = 0; i < PAIR_FDS; i++)
			fds[n++] = *pair_fd(&dev, i);
	}
	control.hdr.cmsg_level = SOL_SOCKET;
	control.hdr.cmsg_type = SCM_RIGHTS;
	control.hdr.cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(&control.hdr), fds, sizeof(fds));
	return sendmsg(sock, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int move_recv(int sock, struct move *move, struct vhost_vm *vm)
{
	struct iovec iov = { move, sizeof(*move) };
	union control control;
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *c;
	int fds[FDS], q, i, n = 0;

	if (recvmsg(sock, &msg, MSG_CMSG_CLOEXEC) != sizeof(*move))
		return -EPROTO;
	c = CMSG_FIRSTHDR(&msg);
	if (!c || c->cmsg_type != SCM_RIGHTS ||
	    c->cmsg_len != CMSG_LEN(sizeof(fds)))
		return -EPROTO;
	memcpy(fds, CMSG_DATA(c), sizeof(fds));

	vhost_vm_map(vm, fds[n++]);
	for (q = 0; q < QUEUES; q++) {
		for (i = 0; i < PAIR_FDS; i++)
			*pair_fd(&vm->pairs[q].dev, i) = fds[n++];
		vm->pairs[q].state = move->states[q];
	}
	return 0;
}
