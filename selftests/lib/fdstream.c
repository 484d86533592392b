// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "fdstream.h"

union control {
	struct cmsghdr hdr;
	char buf[CMSG_SPACE(sizeof(int) * FDSTREAM_FDS)];
};

int fdstream_put(int sock, const void *data, size_t len)
{
	const uint8_t *at = data;
	ssize_t n;

	while (len) {
		n = send(sock, at, len, MSG_NOSIGNAL);
		if (n < 0)
			return -errno;
		at += n;
		len -= n;
	}
	return 0;
}

int fdstream_put_fd(int sock, int fd)
{
	char dummy = ' ';
	struct iovec iov = { &dummy, 1 };
	union control control = {};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = CMSG_SPACE(sizeof(fd)),
	};

	control.hdr.cmsg_level = SOL_SOCKET;
	control.hdr.cmsg_type = SCM_RIGHTS;
	control.hdr.cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(&control.hdr), &fd, sizeof(fd));
	return sendmsg(sock, &msg, MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

/* As qemu_fill_buffer() does: what has come, with the descriptors in it */
static int fill(struct fdstream *f)
{
	struct iovec iov = { f->buf, sizeof(f->buf) };
	union control control;
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *c;
	ssize_t n;
	int i, fds;

	n = recvmsg(f->sock, &msg, MSG_CMSG_CLOEXEC);
	if (n <= 0)
		return n ? -errno : -ENODATA;
	f->at = 0;
	f->have = n;
	for (c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		fds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		if (f->nfds + fds > FDSTREAM_FDS)
			return -EPROTO;
		for (i = 0; i < fds; i++)
			memcpy(&f->fds[f->nfds++],
			       CMSG_DATA(c) + i * sizeof(int), sizeof(int));
	}
	return 0;
}

int fdstream_get(struct fdstream *f, void *data, size_t len)
{
	uint8_t *to = data;
	size_t n;
	int err;

	while (len) {
		if (f->at == f->have) {
			err = fill(f);
			if (err)
				return err;
		}
		n = f->have - f->at < len ? f->have - f->at : len;
		memcpy(to, f->buf + f->at, n);
		f->at += n;
		to += n;
		len -= n;
	}
	return 0;
}

int fdstream_get_fd(struct fdstream *f)
{
	char dummy;
	int err, fd;

	err = fdstream_get(f, &dummy, 1);
	if (err)
		return err;
	if (!f->nfds)
		return -EPROTO;
	fd = f->fds[0];
	memmove(f->fds, f->fds + 1, --f->nfds * sizeof(fd));
	return fd;
}
