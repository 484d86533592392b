// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Messages and files over a socket, never past a point in time.
 *
 * Nothing that the other side says is believed before it is checked: it may be
 * broken, or hostile.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "channel.h"

#ifndef SCM_PIDFD
#define SCM_PIDFD	0x04
#endif

/* A reason is looked for in so many messages at the most */
#define REASON_MESSAGES	256

int64_t txl_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static bool opt(const struct tapxfer_channel *ch, uint32_t bit)
{
	return ch->opts.set & bit;
}

/*
 * The credentials are those of connect(2), listen(2) or socketpair(2). Who has
 * none to show cannot be given a token, so that a check which nobody asked for
 * need not fail here.
 */
static int check_peer(struct tapxfer_channel *ch, const struct txl_conn *conn,
		      int sock)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);
	bool told = opt(ch, TAPXFER_CHANNEL_OPT_PEER_UID);
	uid_t uid = told ? ch->opts.peer_uid : geteuid();
	int err;

	if (!conn->is_unix) {
		if (!opt(ch, TAPXFER_CHANNEL_OPT_PEER_UID |
			     TAPXFER_CHANNEL_OPT_PEER_PID))
			return 0;
		return txl_error_set(ch->tx, -EOPNOTSUPP,
				     "the other side is to be checked, and only a UNIX socket tells who it is");
	}
	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		return txl_error_errno(ch->tx, -errno, "SO_PEERCRED");
	if (cred.uid != uid)
		return txl_error_set(ch->tx, -EPERM,
				     "the other side is of user %u, not %u as expected",
				     cred.uid, uid);
	err = told ? 0 : txl_uid_is_anybody(ch->tx, uid);
	if (err < 0)
		return err;
	if (err)
		return txl_error_set(ch->tx, -EPERM,
				     "the other side is of user %u, which is any that this user namespace does not know: say which one is expected, or map it",
				     cred.uid);
	if (opt(ch, TAPXFER_CHANNEL_OPT_PEER_PID) && !cred.pid)
		return txl_error_set(ch->tx, -EPERM,
				     "the other side is a process of another pid namespace, not %d as expected",
				     (int)ch->opts.peer_pid);
	if (opt(ch, TAPXFER_CHANNEL_OPT_PEER_PID) &&
	    cred.pid != ch->opts.peer_pid)
		return txl_error_set(ch->tx, -EPERM,
				     "the other side is process %d, not %d as expected",
				     (int)cred.pid, (int)ch->opts.peer_pid);
	return 0;
}

static int conn_check(struct tapxfer_channel *ch, struct txl_conn *conn,
		      int sock)
{
	struct sockaddr_storage addr = { 0 };
	socklen_t len = sizeof(int);
	int type;

	if (getsockopt(sock, SOL_SOCKET, SO_TYPE, &type, &len))
		return txl_error_set(ch->tx, -errno, errno == EBADF ?
				     "no such descriptor (%d)" :
				     "descriptor %d is no socket", sock);
	if (type != SOCK_STREAM)
		return txl_error_set(ch->tx, -EPROTOTYPE,
				     "descriptor %d is no stream socket", sock);
	len = sizeof(addr);
	if (getpeername(sock, (struct sockaddr *)&addr, &len))
		return txl_error_set(ch->tx, -errno, errno == ENOTCONN ?
				     "socket %d is not connected" :
				     "socket %d: its other side is unknown", sock);
	conn->is_unix = addr.ss_family == AF_UNIX;
	return check_peer(ch, conn, sock);
}

/*
 * With a descriptor of our own: the caller's number may be closed, and be another
 * file's, before we have said the last word.
 */
int txl_conn_init(struct tapxfer_channel *ch, struct txl_conn *conn, int sock)
{
	int err;

	memset(conn, 0, sizeof(*conn));
	conn->sock = -1;
	err = conn_check(ch, conn, sock);
	if (err)
		return err;
	conn->sock = fcntl(sock, F_DUPFD_CLOEXEC, 0);
	if (conn->sock < 0)
		return txl_error_set(ch->tx, -errno, errno == EMFILE ?
				     "no descriptor is free for the socket, raise RLIMIT_NOFILE" :
				     "cannot have a descriptor for the socket");
	return 0;
}

void txl_conn_close(struct txl_conn *conn)
{
	if (conn->sock >= 0)
		close(conn->sock);
	conn->sock = -1;
}

static int wait_for(struct tapxfer_channel *ch, short events, int64_t end,
		    const char *what)
{
	struct pollfd pfd = { .fd = ch->conn->sock, .events = events };
	int64_t left;
	int n;

	do {
		left = end - txl_now_ms();
		n = left > 0 ? poll(&pfd, 1, (int)left) : 0;
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return txl_error_errno(ch->tx, -errno, "poll");
	if (!n)
		return txl_error_set(ch->tx, -ETIMEDOUT,
				     "the other side %s in time", what);
	return 0;
}

static int fail_gone(struct tapxfer_channel *ch, const char *when)
{
	ch->conn->dead = true;
	return txl_error_set(ch->tx, -ECONNRESET,
			     "the other side has gone%s", when);
}

/*
 * The files go with the first byte. Who closed the socket may have said why
 * before.
 */
static int send_all(struct tapxfer_channel *ch, struct msghdr *msg, size_t left)
{
	int64_t end = txl_now_ms() + ch->opts.timeout;
	ssize_t n;
	int err;

	while (left) {
		n = sendmsg(ch->conn->sock, msg, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			err = wait_for(ch, POLLOUT, end, "took nothing");
			if (err)
				return err;
			continue;
		}
		if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
			return txl_conn_refused(ch, fail_gone(ch, ""));
		if (n < 0 && errno == ETOOMANYREFS)
			return txl_error_set(ch->tx, -ETOOMANYREFS,
					     "too many files are in flight, raise RLIMIT_NOFILE");
		if (n < 0)
			return txl_error_errno(ch->tx, -errno, "cannot send");
		left -= (size_t)n;
		msg->msg_control = NULL;
		msg->msg_controllen = 0;
		while (n && (size_t)n >= msg->msg_iov->iov_len) {
			n -= (ssize_t)msg->msg_iov->iov_len;
			msg->msg_iov++;
			msg->msg_iovlen--;
		}
		if (n) {
			msg->msg_iov->iov_base =
				(char *)msg->msg_iov->iov_base + n;
			msg->msg_iov->iov_len -= (size_t)n;
		}
	}
	return 0;
}

/* Room for the files, and for credentials that a user may have asked for */
union control {
	struct cmsghdr hdr;
	char buf[CMSG_SPACE(sizeof(int) * TXL_FRAME_FDS) +
		 CMSG_SPACE(sizeof(struct ucred))];
};

int txl_conn_send(struct tapxfer_channel *ch, enum txl_msg type,
		  const struct txl_out *out)
{
	size_t len = out ? mnl_nlmsg_get_payload_len(out->nlh) : 0;
	struct txl_frame frame = {
		.magic = TXL_MAGIC,
		.type = (uint16_t)type,
		.nfds = out ? (uint16_t)out->nfds : 0,
		.len = (uint32_t)len,
		.seq = ch->conn->sent,
	};
	struct iovec iov[2] = {
		{ &frame, sizeof(frame) },
		{ out ? mnl_nlmsg_get_payload(out->nlh) : NULL, len },
	};
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = len ? 2 : 1 };
	union control control;
	int err;

	if (ch->conn->dead)
		return fail_gone(ch, "");
	if (frame.nfds) {
		size_t size = sizeof(int) * out->nfds;

		memset(&control, 0, sizeof(control));
		control.hdr.cmsg_level = SOL_SOCKET;
		control.hdr.cmsg_type = SCM_RIGHTS;
		control.hdr.cmsg_len = CMSG_LEN(size);
		memcpy(CMSG_DATA(&control.hdr), out->fds, size);
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(size);
	}
	err = send_all(ch, &msg, sizeof(frame) + len);
	/* half a message cannot be taken back, and none may follow it */
	if (err)
		ch->conn->dead = true;
	else
		ch->conn->sent++;
	return err;
}

/* -- receiving ----------------------------------------------------------- */

static void close_all(int *fds, size_t *n)
{
	while (*n)
		close(fds[--*n]);
}

void txl_in_free(struct txl_in *in)
{
	close_all(in->fds, &in->nfds);
	if (in->payload) {
		explicit_bzero(in->payload, in->frame.len);
		free(in->payload);
	}
	in->payload = NULL;
}

/* Whatever came is in our table now, so that it is closed if it may not be. */
static int take_files(struct tapxfer_channel *ch, struct msghdr *msg,
		      struct txl_in *in, bool allowed)
{
	struct cmsghdr *c;
	bool bad = false;
	size_t i, n;
	int fd;

	for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET)
			continue;
		/* nobody here has asked for it, and it is a descriptor */
		if (c->cmsg_type == SCM_PIDFD && c->cmsg_len >= CMSG_LEN(sizeof(fd))) {
			memcpy(&fd, CMSG_DATA(c), sizeof(fd));
			close(fd);
		}
		if (c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < n; i++) {
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			if (allowed && in->nfds < TXL_FRAME_FDS) {
				in->fds[in->nfds++] = fd;
			} else {
				close(fd);
				bad = true;
			}
		}
	}
	if (msg->msg_flags & MSG_CTRUNC)
		return txl_error_set(ch->tx, -EMFILE,
				     "not all files that were sent could be received, raise RLIMIT_NOFILE");
	if (bad)
		return txl_error_set(ch->tx, -EPROTO,
				     "files came where none belong");
	return 0;
}

/* Exactly @len bytes. Files may come with the first one, if @files. */
static int recv_all(struct tapxfer_channel *ch, void *buf, size_t len,
		    struct txl_in *in, bool files, int64_t end)
{
	size_t have = 0;
	ssize_t n;
	int err;

	while (have < len) {
		union control control;
		struct iovec iov = { (char *)buf + have, len - have };
		struct msghdr msg = {
			.msg_iov = &iov, .msg_iovlen = 1,
			.msg_control = &control,
			.msg_controllen = sizeof(control),
		};

		n = recvmsg(ch->conn->sock, &msg,
			    MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			err = wait_for(ch, POLLIN, end, "said nothing");
			if (err)
				return err;
			continue;
		}
		if (!n || (n < 0 && errno == ECONNRESET))
			return fail_gone(ch, have || !files ?
					 " in the middle of a message" : "");
		if (n < 0)
			return txl_error_errno(ch->tx, -errno, "cannot receive");
		err = take_files(ch, &msg, in, files && !have);
		if (err)
			return err;
		have += (size_t)n;
	}
	return 0;
}

static int check_frame(struct tapxfer_channel *ch, const struct txl_in *in)
{
	const struct txl_frame *f = &in->frame;

	if (f->magic == TXL_MAGIC_SWAPPED)
		return txl_error_set(ch->tx, -EPROTO,
				     "the other side has another byte order");
	if (f->magic != TXL_MAGIC)
		return txl_error_set(ch->tx, -EPROTO,
				     "the other side does not speak tapxfer's protocol");
	if (f->seq != ch->conn->received)
		return txl_error_set(ch->tx, -EPROTO,
				     "message %u came where %u was due", f->seq,
				     ch->conn->received);
	if (f->len > TXL_PAYLOAD_MAX)
		return txl_error_set(ch->tx, -EPROTO,
				     "a message of %u bytes is longer than any",
				     f->len);
	if (f->nfds != in->nfds)
		return txl_error_set(ch->tx, -EPROTO,
				     "%u files were announced and %zu came",
				     f->nfds, in->nfds);
	if (f->nfds && f->type != TXL_MSG_FILES)
		return txl_error_set(ch->tx, -EPROTO,
				     "files came with '%s', where none belong",
				     txl_msg_name(f->type));
	return 0;
}

static int recv_msg(struct tapxfer_channel *ch, int timeout, struct txl_in *in)
{
	int64_t end = txl_now_ms() + timeout;
	int err;

	memset(in, 0, sizeof(*in));
	err = recv_all(ch, &in->frame, sizeof(in->frame), in, true, end);
	if (!err)
		err = check_frame(ch, in);
	if (err) {
		in->frame.len = 0;
		goto err_free;
	}
	ch->conn->received++;
	if (in->frame.len) {
		in->payload = malloc(in->frame.len);
		if (!in->payload) {
			err = txl_error_set(ch->tx, -ENOMEM, "out of memory");
			goto err_free;
		}
		err = recv_all(ch, in->payload, in->frame.len, in, false, end);
	}
	if (!err)
		err = txl_in_parse(ch, in);
	if (err)
		goto err_free;
	return 0;

err_free:
	txl_in_free(in);
	return err;
}

/* A reason to give up that has come over @conn becomes the error. */
static bool find_reason(struct tapxfer_channel *ch, struct txl_conn *conn)
{
	struct txl_error error = ch->tx->error;
	struct txl_conn *in_use = ch->conn;
	struct txl_in in;
	int i;

	ch->conn = conn;
	for (i = 0; i < REASON_MESSAGES && !recv_msg(ch, 0, &in); i++) {
		if (in.frame.type == TXL_MSG_REFUSE)
			txl_in_refused(ch, &in);
		txl_in_free(&in);
		if (ch->refused)
			break;
	}
	ch->conn = in_use;
	if (!ch->refused)
		ch->tx->error = error;
	return ch->refused;
}

/*
 * Something failed with @err, maybe because the other side has given up: then
 * its reason is the better one, if it is there already. Who gave up before he
 * had the second socket has said so on the first.
 */
int txl_conn_refused(struct tapxfer_channel *ch, int err)
{
	if (find_reason(ch, ch->conn) ||
	    (ch->conn != &ch->first && find_reason(ch, &ch->first)))
		return -ECONNREFUSED;
	return err;
}

/* The next message, of whatever type. @in is to be freed when it succeeds. */
int txl_conn_recv(struct tapxfer_channel *ch, int timeout, struct txl_in *in)
{
	int err = recv_msg(ch, timeout, in);

	return err == -ECONNRESET ? txl_conn_refused(ch, err) : err;
}
