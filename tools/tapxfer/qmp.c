// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A client of the QEMU Machine Protocol: one command at a time, with an answer or an
 * error in bounded time, whatever becomes of the process at the other end.
 */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "qmp.h"

/* An answer longer than this is none; a schema takes some 300 KB. */
#define ANSWER_MAX	(16 << 20)
#define CHUNK		16384
#define END_MS		200

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int __attribute__((format(printf, 3, 4)))
qmp_error(struct qmp *q, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(q->error, sizeof(q->error), fmt, ap);
	va_end(ap);
	return err;
}

/* Nothing on this connection can be trusted any more, or is needed. */
static void qmp_hang_up(struct qmp *q)
{
	if (q->fd >= 0)
		close(q->fd);
	q->fd = -1;
}

static int qmp_gone(struct qmp *q)
{
	qmp_hang_up(q);
	/* a process that ends closes its files first */
	if (qmp_await_end(q, END_MS))
		return qmp_error(q, -ECONNRESET,
				 "the %s QEMU (process %d) has ended", q->who,
				 (int)q->pid);
	return qmp_error(q, -ECONNRESET,
			 "the %s QEMU has closed its QMP connection", q->who);
}

/* Until the socket is ready: 0 or a negative errno, with its text. */
static int qmp_wait(struct qmp *q, short events, int64_t end)
{
	struct pollfd pfds[] = {
		{ .fd = q->fd, .events = events },
		{ .fd = q->sigfd, .events = POLLIN },
	};
	int64_t left;
	int n;

	do {
		left = end - now_ms();
		n = poll(pfds, ARRAY_SIZE(pfds), left > 0 ? (int)left : 0);
	} while (n < 0 && errno == EINTR);
	if (pfds[1].revents)
		return qmp_error(q, -EINTR, "interrupted");
	return n > 0 ? 0 : -ETIMEDOUT;
}

/* The next object: an answer, an event or the greeting. */
static int qmp_read(struct qmp *q, int64_t end, struct json_object **o)
{
	size_t used, got = q->nunread;
	char chunk[CHUNK];
	int64_t total = 0;
	ssize_t n;
	int err;

	memcpy(chunk, q->unread, got);
	/* an object of which a part came before a time-out goes on here */
	for (;;) {
		*o = json_tokener_parse_ex(q->tokener, chunk, (int)got);
		used = json_tokener_get_parse_end(q->tokener);
		if (*o) {
			q->nunread = got - used;
			memcpy(q->unread, chunk + used, q->nunread);
			return 0;
		}
		total += (int64_t)got;
		if (json_tokener_get_error(q->tokener) != json_tokener_continue ||
		    total > ANSWER_MAX) {
			qmp_hang_up(q);
			return qmp_error(q, -EPROTO,
					 "what answers at '%s' does not speak QMP",
					 q->path);
		}
		q->nunread = 0;
		err = qmp_wait(q, POLLIN, end);
		if (err)
			return err;
		n = read(q->fd, chunk, sizeof(chunk));
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return qmp_gone(q);
		got = n > 0 ? (size_t)n : 0;
	}
}

static int qmp_write(struct qmp *q, const char *text, int fd, int64_t end)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { (void *)(uintptr_t)text, strlen(text) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cmsg;
	ssize_t n;
	int err;

	if (fd >= 0) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	}
	while (iov.iov_len) {
		err = qmp_wait(q, POLLOUT, end);
		if (err)
			return err;
		n = sendmsg(q->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			continue;
		if (n < 0)
			return qmp_gone(q);
		/* the descriptor has gone with the first byte */
		msg.msg_control = NULL;
		msg.msg_controllen = 0;
		iov.iov_base = (char *)iov.iov_base + n;
		iov.iov_len -= (size_t)n;
	}
	return 0;
}

/*
 * Events tell nothing that we do not ask for, and an answer may be that of a command
 * that was given up. QEMU complains without an id of what it cannot read.
 */
static bool qmp_is_answer(const struct qmp *q, struct json_object *o)
{
	if (qmp_get(o, "event"))
		return false;
	return qmp_int(o, "id") == q->serial ||
	       (qmp_get(o, "error") && !qmp_get(o, "id"));
}

static int qmp_answer(struct qmp *q, const char *command, int64_t end,
		      struct json_object **ret)
{
	struct json_object *o, *error;
	int err;

	for (;;) {
		err = qmp_read(q, end, &o);
		if (err)
			return err;
		if (qmp_is_answer(q, o))
			break;
		json_object_put(o);
		/* one that does not stop talking does not answer either */
		if (now_ms() > end)
			return -ETIMEDOUT;
	}
	error = qmp_get(o, "error");
	if (error)
		err = qmp_error(q, -EREMOTEIO, "the %s QEMU refuses %s: %s",
				q->who, command, qmp_str(error, "desc"));
	else if (ret)
		*ret = json_object_get(qmp_get(o, "return"));
	json_object_put(o);
	return err;
}

/* Takes @args, which may be NULL. */
static int qmp_do(struct qmp *q, const char *command, struct json_object *args,
		  int fd, struct json_object **ret)
{
	int64_t end = now_ms() + q->timeout;
	struct json_object *o;
	bool limited;
	int err;

	limited = q->limit && q->limit < end;
	if (limited)
		end = q->limit;
	if (ret)
		*ret = NULL;
	q->serial++;
	o = qmp_args("si", "execute", command, "id", (int64_t)q->serial);
	if (args)
		json_object_object_add(o, "arguments", args);
	if (q->fd < 0)
		err = qmp_gone(q);
	else
		err = qmp_write(q,
				json_object_to_json_string_ext(o,
						JSON_C_TO_STRING_PLAIN),
				fd, end);
	json_object_put(o);
	if (!err)
		err = qmp_answer(q, command, end, ret);
	q->silent = err == -ETIMEDOUT;
	if (q->silent && limited)
		qmp_error(q, err,
			  "the %s QEMU did not answer %s, and the deadline is near",
			  q->who, command);
	else if (q->silent)
		qmp_error(q, err, "the %s QEMU did not answer %s within %u ms",
			  q->who, command, q->timeout);
	return err;
}

/*
 * Run a command. @args: its arguments, which the call takes, or NULL. @ret: where its
 * answer goes, which the caller puts; NULL when it is of no interest.
 * Returns 0 or a negative errno, with the text in q->error.
 */
int qmp_call(struct qmp *q, const char *command, struct json_object *args,
	     struct json_object **ret)
{
	return qmp_do(q, command, args, -1, ret);
}

/* Give QEMU a duplicate of a descriptor, under a name. */
int qmp_getfd(struct qmp *q, const char *name, int fd)
{
	return qmp_do(q, "getfd", qmp_args("s", "fdname", name), fd, NULL);
}

static int qmp_busy(struct qmp *q)
{
	return qmp_error(q, -ETIMEDOUT,
			 "'%s' does not greet: it is no QMP socket, or another client (libvirt?) uses it; give the QEMU a second -qmp",
			 q->path);
}

static int qmp_connect(struct qmp *q)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(struct ucred);
	struct ucred cred;
	int err = -1;

	if (strlen(q->path) >= sizeof(sun.sun_path))
		return qmp_error(q, -ENAMETOOLONG,
				 "'%s' is too long for a socket's path",
				 q->path);
	strcpy(sun.sun_path, q->path);
	q->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (q->fd >= 0 &&
	    !connect(q->fd, (struct sockaddr *)&sun, sizeof(sun)))
		err = 0;
	/* a listener whose queue is full */
	if (err && errno == EAGAIN)
		return qmp_busy(q);
	if (err)
		return qmp_error(q, -errno,
				 "cannot connect to the %s's QMP socket '%s': %m",
				 q->who, q->path);
	if (getsockopt(q->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) ||
	    !cred.pid)
		return qmp_error(q, -ESRCH,
				 "the process at '%s' is in another pid namespace",
				 q->path);
	q->pid = cred.pid;
	q->pidfd = (int)syscall(SYS_pidfd_open, q->pid, 0);
	if (q->pidfd < 0)
		return qmp_error(q, -errno,
				 "cannot refer to process %d at '%s': %m",
				 (int)q->pid, q->path);
	return 0;
}

static int qmp_greeted(struct qmp *q)
{
	struct json_object *o, *v;
	int err;

	err = qmp_read(q, now_ms() + q->timeout, &o);
	if (err == -ETIMEDOUT)
		return qmp_busy(q);
	if (err)
		return err;
	v = qmp_get(qmp_get(o, "QMP"), "version");
	if (!v) {
		json_object_put(o);
		qmp_hang_up(q);
		return qmp_error(q, -EPROTO,
				 "what answers at '%s' does not speak QMP",
				 q->path);
	}
	v = qmp_get(v, "qemu");
	snprintf(q->version, sizeof(q->version), "%d.%d.%d",
		 (int)qmp_int(v, "major"), (int)qmp_int(v, "minor"),
		 (int)qmp_int(v, "micro"));
	json_object_put(o);
	return qmp_call(q, "qmp_capabilities", NULL, NULL);
}

/*
 * Connect, and find out who is there. @who and @path are kept. @sigfd: see struct qmp.
 * Free it with qmp_close(), also when this fails.
 */
int qmp_open(struct qmp *q, const char *who, const char *path, int sigfd,
	     uint32_t timeout)
{
	int err;

	memset(q, 0, sizeof(*q));
	q->who = who;
	q->path = path;
	q->fd = -1;
	q->pidfd = -1;
	q->sigfd = sigfd;
	q->timeout = timeout;
	q->unread = xrealloc(NULL, 1, CHUNK);
	q->tokener = json_tokener_new();
	if (!q->tokener)
		return qmp_error(q, -ENOMEM, "out of memory");

	err = qmp_connect(q);
	return err ? err : qmp_greeted(q);
}

/*
 * Connect anew to the process that it was, when the connection is lost or cannot be
 * trusted. Returns 0 or a negative errno, with the text in q->error.
 */
int qmp_reopen(struct qmp *q)
{
	const int pidfd = q->pidfd;
	const pid_t pid = q->pid;
	int err;

	qmp_hang_up(q);
	json_tokener_reset(q->tokener);
	q->nunread = 0;
	q->pidfd = -1;
	err = qmp_connect(q);
	if (!err && q->pid != pid)
		err = qmp_error(q, -ESRCH,
				"the process at '%s' is another one now",
				q->path);
	if (q->pidfd >= 0)
		close(q->pidfd);
	q->pidfd = pidfd;
	q->pid = pid;
	if (!err)
		err = qmp_greeted(q);
	if (err)
		qmp_hang_up(q);
	return err;
}

void qmp_close(struct qmp *q)
{
	qmp_hang_up(q);
	if (q->pidfd >= 0)
		close(q->pidfd);
	q->pidfd = -1;
	if (q->tokener)
		json_tokener_free(q->tokener);
	q->tokener = NULL;
	free(q->unread);
	q->unread = NULL;
}

/* Whether the process has ended within @ms. */
bool qmp_await_end(const struct qmp *q, int ms)
{
	struct pollfd pfd = { .fd = q->pidfd, .events = POLLIN };
	int64_t end = now_ms() + ms, left;
	int n;

	do {
		left = end - now_ms();
		n = poll(&pfd, 1, left > 0 ? (int)left : 0);
	} while (n < 0 && errno == EINTR);
	return n > 0;
}

bool qmp_ended(const struct qmp *q)
{
	return q->pidfd >= 0 && qmp_await_end(q, 0);
}

/* ------------------------------------------------------------------------ */

static void args_vadd(struct json_object *args, const char *types, va_list ap)
{
	for (; *types; types++) {
		const char *key = va_arg(ap, const char *);
		struct json_object *v = NULL;

		switch (*types) {
		case 's':
			v = json_object_new_string(va_arg(ap, const char *));
			break;
		case 'b':
			v = json_object_new_boolean(va_arg(ap, int));
			break;
		case 'i':
			v = json_object_new_int64(va_arg(ap, int64_t));
			break;
		case 'o':
			v = va_arg(ap, struct json_object *);
			break;
		}
		json_object_object_add(args, key, v);
	}
}

void qmp_args_add(struct json_object *args, const char *types, ...)
{
	va_list ap;

	va_start(ap, types);
	args_vadd(args, types, ap);
	va_end(ap);
}

struct json_object *qmp_args(const char *types, ...)
{
	struct json_object *args = json_object_new_object();
	va_list ap;

	va_start(ap, types);
	args_vadd(args, types, ap);
	va_end(ap);
	return args;
}

struct json_object *qmp_get(struct json_object *o, const char *key)
{
	struct json_object *v = NULL;

	if (json_object_is_type(o, json_type_object))
		json_object_object_get_ex(o, key, &v);
	return v;
}

const char *qmp_str(struct json_object *o, const char *key)
{
	struct json_object *v = qmp_get(o, key);

	return json_object_is_type(v, json_type_string) ?
	       json_object_get_string(v) : "";
}

int64_t qmp_int(struct json_object *o, const char *key)
{
	return json_object_get_int64(qmp_get(o, key));
}

bool qmp_bool(struct json_object *o, const char *key)
{
	return json_object_get_boolean(qmp_get(o, key));
}

/* 0 for what is no array */
size_t qmp_length(struct json_object *array)
{
	return json_object_is_type(array, json_type_array) ?
	       json_object_array_length(array) : 0;
}

struct json_object *qmp_item(struct json_object *array, size_t i)
{
	return i < qmp_length(array) ? json_object_array_get_idx(array, i) :
				       NULL;
}

struct json_object *qom_get(struct qmp *q, const char *path, const char *name)
{
	struct json_object *v = NULL;

	if (qmp_call(q, "qom-get", qmp_args("ss", "path", path, "property",
					    name), &v))
		return NULL;
	return v;
}

bool qom_get_str(struct qmp *q, const char *path, const char *name, char *text,
		 size_t size)
{
	struct json_object *v = qom_get(q, path, name);
	bool is = json_object_is_type(v, json_type_string);

	snprintf(text, size, "%s", is ? json_object_get_string(v) : "");
	json_object_put(v);
	return is;
}
