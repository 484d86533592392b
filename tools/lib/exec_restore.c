// SPDX-License-Identifier: LGPL-2.1-or-later
/* Through exec(2): what the new program finds. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exec.h"
#include "state.h"

/* More than any process has */
#define DEVICES_MAX	4096

/*
 * A number that the environment has, or -1; a program with more rights than its
 * caller does not take the caller's word.
 */
static long env_number(const char *name)
{
	const char *text = secure_getenv(name);
	char *end;
	long n;

	if (!text || *text < '0' || *text > '9')
		return -1;
	errno = 0;
	n = strtol(text, &end, 10);
	return *end || errno || n > INT_MAX ? -1 : n;
}

/* By offset: where the file stands is shared with whoever has it too. */
static int read_at(struct tapxfer *tx, int fd, void *buf, size_t len,
		   off_t *at, bool *end)
{
	uint8_t *p = buf;
	size_t done = 0;
	ssize_t n;

	*end = false;
	while (done < len) {
		n = pread(fd, p + done, len - done, *at + (off_t)done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return txl_error_errno(tx, -errno,
					       "cannot read the state");
		if (!n && !done) {
			*end = true;
			return 0;
		}
		if (!n)
			return txl_error_set(tx, -EBADMSG,
					     "the state ends within a device");
		done += (size_t)n;
	}
	*at += (off_t)len;
	return 0;
}

static int read_device(struct tapxfer_exec *ex, int memfd, off_t *at,
		       bool *end)
{
	const uint64_t takes = TXL_STATE_FEATURES | TAPXFER_STATE_FEATURE_FDS;
	struct txl_exec_device *device;
	struct txl_state_header header;
	uint8_t head[TXL_STATE_HEADER], *bytes;
	struct tapxfer *tx = ex->tx;
	size_t len;
	int err;

	err = read_at(tx, memfd, head, sizeof(head), at, end);
	if (err || *end)
		return err;
	err = txl_state_header(tx, head, takes, &header);
	if (err)
		return err;
	if (!(header.features & TAPXFER_STATE_FEATURE_FDS))
		return txl_error_set(tx, -EBADMSG,
				     "the state has no descriptors: it is not one that passes exec");
	if (ex->n == DEVICES_MAX)
		return txl_error_set(tx, -E2BIG, "too many devices");

	len = header.length + TXL_STATE_TRAILER;
	bytes = malloc(sizeof(head) + len);
	device = txl_exec_grow(ex);
	if (!bytes || !device) {
		free(bytes);
		return txl_error_errno(tx, -ENOMEM, "a state");
	}
	memcpy(bytes, head, sizeof(head));
	err = read_at(tx, memfd, bytes + sizeof(head), len, at, end);
	if (!err && *end)
		err = txl_error_set(tx, -EBADMSG,
				    "the state ends within a device");
	if (!err)
		err = txl_state_decode(tx, bytes, sizeof(head) + len,
				       &device->token, &device->state);
	if (!err)
		ex->n++;
	explicit_bzero(bytes, sizeof(head) + len);
	free(bytes);
	return err;
}

/* Other numbers than those it was saved with, or NULL */
static struct tapxfer_info *renumber(const struct tapxfer_info *state,
				     const int *fds)
{
	const struct nlattr *nla = (const struct nlattr *)state, *a, *q;
	struct txl_build b;
	size_t nest;

	if (txl_build_begin(&b))
		return NULL;
	mnl_attr_for_each_nested(a, nla) {
		if (mnl_attr_get_type(a) != TAPXFER_A_HANDOVER_QUEUE) {
			txl_build_put(&b, a->nla_type, mnl_attr_get_payload(a),
				      mnl_attr_get_payload_len(a));
			continue;
		}
		nest = txl_build_nest(&b, TAPXFER_A_HANDOVER_QUEUE);
		mnl_attr_for_each_nested(q, a)
			if (mnl_attr_get_type(q) == TAPXFER_A_QUEUE_FD)
				txl_build_put(&b, TAPXFER_A_QUEUE_FD, fds,
					      sizeof(*fds));
			else
				txl_build_put(&b, q->nla_type,
					      mnl_attr_get_payload(q),
					      mnl_attr_get_payload_len(q));
		txl_build_nest_end(&b, nest);
		fds++;
	}
	return txl_build_end(&b, true);
}

static int renumber_all(struct tapxfer_exec *ex, const int *fds, size_t nfds)
{
	struct tapxfer_info *state;
	size_t i, n = 0;

	for (i = 0; i < ex->n; i++)
		n += tapxfer_info_count(ex->devices[i].state,
					TAPXFER_A_HANDOVER_QUEUE);
	if (n != nfds)
		return txl_error_set(ex->tx, -EINVAL,
				     "%zu files, and the state has %zu queues",
				     nfds, n);
	for (i = 0; i < ex->n; i++) {
		state = renumber(ex->devices[i].state, fds);
		if (!state)
			return txl_error_errno(ex->tx, -ENOMEM, "a state");
		fds += tapxfer_info_count(state, TAPXFER_A_HANDOVER_QUEUE);
		tapxfer_info_free(ex->devices[i].state);
		ex->devices[i].state = state;
	}
	return 0;
}

/* The device's name now: it may have been renamed. "" when the handover ended. */
static int name_now(struct tapxfer *tx, const struct tapxfer_info *state,
		    char name[IFNAMSIZ])
{
	uint32_t id = (uint32_t)tapxfer_info_u64(state,
						 TAPXFER_A_HANDOVER_ID);
	const char *ifname = NULL;
	struct tapxfer_info *ho;
	int err;

	err = tapxfer_handover_get(tx, id, &ho);
	if (err && err != -ENOENT)
		return err;
	if (!err)
		ifname = tapxfer_info_str(ho, TAPXFER_A_HANDOVER_IFNAME);
	snprintf(name, IFNAMSIZ, "%s", ifname ? ifname : "");
	tapxfer_info_free(ho);
	txl_error_reset(tx);
	return 0;
}

static int fail_file(struct tapxfer *tx, size_t queue,
		     const struct tapxfer_info *state, const char *what, int fd)
{
	const struct tapxfer_info *dev =
		tapxfer_info_nest(state, TAPXFER_A_HANDOVER_DEV, 0);

	txl_error_set(tx, -EBADF,
		      "queue %zu of %s did not come through: %s (fd %d)", queue,
		      tapxfer_info_str(dev, TAPXFER_A_DEV_IFNAME), what, fd);
	tx->error.fd = fd;
	return -EBADF;
}

/*
 * Each is there, and a queue of a device of that name; of one name at least, when
 * the handover is over.
 */
static int files_check(struct tapxfer *tx, const struct tapxfer_info *state)
{
	char name[IFNAMSIZ], want[IFNAMSIZ];
	const struct tapxfer_info *queue;
	unsigned int flags;
	size_t i = 0;
	int fd, err;

	err = name_now(tx, state, want);
	if (err)
		return err;
	for_each_nest(queue, state, TAPXFER_A_HANDOVER_QUEUE) {
		fd = tapxfer_info_s32(queue, TAPXFER_A_QUEUE_FD);
		if (txl_tun_iff(fd, name, &flags))
			return fail_file(tx, i, state, "no queue file", fd);
		if (!*want)
			strcpy(want, name);
		else if (strcmp(name, want))
			return fail_file(tx, i, state,
					 "a queue of another device", fd);
		i++;
	}
	return 0;
}

EXPORT int tapxfer_exec_take(struct tapxfer *tx, int memfd, const int *fds,
			     size_t nfds, struct tapxfer_exec **out)
{
	int seals = fcntl(memfd, F_GET_SEALS);
	struct tapxfer_exec *ex;
	bool end = false;
	off_t at = 0;
	size_t i;
	int err;

	*out = NULL;
	txl_error_reset(tx);
	if (seals < 0 && errno == EBADF)
		return txl_error_set(tx, -EBADF, "no memfd (fd %d)", memfd);
	/* what can change under us was not made by a VMM of ours */
	if (seals < 0 || (seals & TXL_EXEC_SEALS) != TXL_EXEC_SEALS)
		return txl_error_set(tx, -EPERM,
				     "descriptor %d is no sealed memfd: a state that passes exec is",
				     memfd);
	ex = txl_exec_alloc(tx);
	if (!ex)
		return txl_error_errno(tx, -ENOMEM, "a state");
	do {
		err = read_device(ex, memfd, &at, &end);
	} while (!err && !end);
	if (!err && !ex->n)
		err = txl_error_set(tx, -EBADMSG, "the memfd is empty");
	if (!err && fds)
		err = renumber_all(ex, fds, nfds);
	for (i = 0; !err && i < ex->n; i++)
		err = files_check(tx, ex->devices[i].state);
	if (err)
		tapxfer_exec_close(ex);
	else
		*out = ex;
	return err;
}

EXPORT int tapxfer_exec_restore(struct tapxfer *tx, struct tapxfer_exec **ex)
{
	long memfd = env_number(TXL_EXEC_FD);
	long pid = env_number(TXL_EXEC_PID);
	const struct tapxfer_info *queue;
	size_t i;
	int fd, err;

	*ex = NULL;
	txl_error_reset(tx);
	if (memfd < 0 || pid != (long)getpid())
		return txl_error_set(tx, -ENODATA,
				     "nothing came through exec: %s and %s in the environment are %s",
				     TXL_EXEC_FD, TXL_EXEC_PID, memfd < 0 ?
				     "not set" : "for another process");
	err = tapxfer_exec_take(tx, (int)memfd, NULL, 0, ex);
	if (err)
		return err;

	for (i = 0; i < (*ex)->n; i++)
		for_each_nest(queue, (*ex)->devices[i].state,
			      TAPXFER_A_HANDOVER_QUEUE) {
			fd = tapxfer_info_s32(queue, TAPXFER_A_QUEUE_FD);
			fcntl(fd, F_SETFD, fcntl(fd, F_GETFD) | FD_CLOEXEC);
		}
	close((int)memfd);
	unsetenv(TXL_EXEC_FD);
	unsetenv(TXL_EXEC_PID);
	return 0;
}
