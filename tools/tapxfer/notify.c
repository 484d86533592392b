// SPDX-License-Identifier: GPL-2.0-or-later
/* sd_notify(3)'s protocol: datagrams to the service manager. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli.h"

/* How long a manager may take to have read what was sent */
#define BARRIER_MS	30000

/* $NOTIFY_SOCKET: a path, or a name of the abstract kind behind an '@' */
int notify_open(const struct cli *cli)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	socklen_t size = offsetof(struct sockaddr_un, sun_path);
	int fd;

	if (!path || !*path) {
		fail(cli,
		     "NOTIFY_SOCKET is not set: run this in a service that has FileDescriptorStoreMax= and NotifyAccess=all");
		return -1;
	}
	if ((*path != '/' && *path != '@') ||
	    strlen(path) >= sizeof(addr.sun_path)) {
		fail(cli, "NOTIFY_SOCKET is no socket's path: '%.64s'", path);
		return -1;
	}
	memcpy(addr.sun_path, path, strlen(path));
	/* a path ends with its NUL, the other kind with its last byte */
	size += (socklen_t)strlen(path) + (*path == '/');
	if (*path == '@')
		addr.sun_path[0] = '\0';

	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, size)) {
		fail(cli, "cannot reach the service manager at '%.108s': %m",
		     path);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

/* One message, with a descriptor unless that is -1: 0 or -errno */
int notify_send(int sock, const char *text, int fd)
{
	union {
		struct cmsghdr hdr;
		char buf[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { (void *)text, strlen(text) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (fd >= 0) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
		control.hdr.cmsg_level = SOL_SOCKET;
		control.hdr.cmsg_type = SCM_RIGHTS;
		control.hdr.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.hdr), &fd, sizeof(int));
	}
	do {
		n = sendmsg(sock, &msg, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/*
 * Wait until the manager has read all of it, as sd_notify_barrier(3): it closes
 * the pipe's end that it was sent. Whoever exits before is no longer known to it.
 */
int notify_barrier(int sock)
{
	struct pollfd pfd = { 0 };
	int pipefd[2], err, n;

	if (pipe2(pipefd, O_CLOEXEC))
		return -errno;
	err = notify_send(sock, "BARRIER=1", pipefd[1]);
	close(pipefd[1]);
	pfd.fd = pipefd[0];
	if (!err) {
		do {
			n = poll(&pfd, 1, BARRIER_MS);
		} while (n < 0 && errno == EINTR);
		err = n < 0 ? -errno : n ? 0 : -ETIMEDOUT;
	}
	close(pipefd[0]);
	return err;
}
