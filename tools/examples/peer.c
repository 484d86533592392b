// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "handover.h"
#include "peer.h"

static socklen_t address(struct sockaddr_un *addr, const char *path)
{
	*addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(addr->sun_path, sizeof(addr->sun_path), "%s", path);
	return sizeof(*addr);
}

int peer_connect(const char *path, int type)
{
	int sock = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	/* a peer that hangs has failed, when the kernel thinks so too */
	struct timeval patience = { .tv_sec = DEADLINE_MS / 1000 };
	struct sockaddr_un addr;
	struct ucred peer;
	socklen_t len = sizeof(peer);
	int err = 0;

	if (sock < 0)
		return -errno;
	if (connect(sock, (struct sockaddr *)&addr, address(&addr, path)) ||
	    setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience,
		       sizeof(patience)) ||
	    getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len))
		err = -errno;
	else if (peer.uid != geteuid())
		err = -EPERM;	/* neither token nor guest are for everybody */
	if (err)
		close(sock);
	return err ? err : sock;
}

int peer_listen(const char *path, int type)
{
	int sock = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	struct sockaddr_un addr;

	unlink(path);
	umask(077);
	if (sock < 0 ||
	    bind(sock, (struct sockaddr *)&addr, address(&addr, path)) ||
	    listen(sock, 1))
		die(errno, "%s", path);
	return sock;
}

int peer_accept(int sock, const char *path)
{
	int peer = accept4(sock, NULL, NULL, SOCK_CLOEXEC);

	if (peer < 0)
		die(errno, "%s", path);
	close(sock);
	unlink(path);
	return peer;
}

int peer_tell(int sock, char what)
{
	return send(sock, &what, 1, MSG_NOSIGNAL) == 1;
}

int peer_says(int sock, char what)
{
	char c;

	/* of one that has died nothing comes */
	return recv(sock, &c, 1, 0) == 1 && c == what;
}
