// SPDX-License-Identifier: LGPL-2.1-or-later
/* Through exec(2): what the old program leaves for the new one. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "exec.h"
#include "state.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL	0x0008U
#endif

struct tapxfer_exec *txl_exec_alloc(struct tapxfer *tx)
{
	struct tapxfer_exec *ex = calloc(1, sizeof(*ex));

	if (!ex)
		return NULL;
	ex->tx = tx;
	ex->memfd = -1;
	return ex;
}

/* Room for one more device, which counts when the caller says so; or NULL. */
struct txl_exec_device *txl_exec_grow(struct tapxfer_exec *ex)
{
	struct txl_exec_device *devices;

	/* not realloc(): it would leave tokens where they were */
	devices = calloc(ex->n + 1, sizeof(*devices));
	if (!devices)
		return NULL;
	if (ex->n)
		memcpy(devices, ex->devices, ex->n * sizeof(*devices));
	if (ex->devices)
		explicit_bzero(ex->devices, ex->n * sizeof(*devices));
	free(ex->devices);
	ex->devices = devices;
	return &devices[ex->n];
}

EXPORT int tapxfer_exec_open(struct tapxfer *tx, struct tapxfer_exec **ex)
{
	const unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int err;

	txl_error_reset(tx);
	*ex = txl_exec_alloc(tx);
	if (!*ex)
		return txl_error_errno(tx, -ENOMEM, "a state");
	(*ex)->memfd = memfd_create("tapxfer", flags | MFD_NOEXEC_SEAL);
	/* kernels before 6.3 */
	if ((*ex)->memfd < 0 && errno == EINVAL)
		(*ex)->memfd = memfd_create("tapxfer", flags);
	if ((*ex)->memfd >= 0)
		return 0;
	err = -errno;
	free(*ex);
	*ex = NULL;
	return txl_error_errno(tx, err, "memfd_create");
}

static int files_check(struct tapxfer *tx, const int *fds, size_t n)
{
	char ifname[IFNAMSIZ];
	unsigned int flags;
	size_t i;
	int err;

	for (i = 0; i < n; i++) {
		err = txl_tun_iff(fds[i], ifname, &flags);
		if (!err)
			continue;
		txl_error_set(tx, err, "no queue file (fd %d)", fds[i]);
		tx->error.fd = fds[i];
		return err;
	}
	return 0;
}

static int write_all(int fd, const uint8_t *p, size_t len)
{
	ssize_t n;

	while (len) {
		n = write(fd, p, len);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

static int append(struct tapxfer_exec *ex, const struct txl_state_source *src)
{
	struct txl_exec_device *device = txl_exec_grow(ex);
	off_t end = lseek(ex->memfd, 0, SEEK_CUR);
	struct tapxfer *tx = ex->tx;
	void *bytes;
	size_t len;
	int err;

	if (!device)
		return txl_error_errno(tx, -ENOMEM, "a state");
	err = txl_state_encode(tx, src, &bytes, &len);
	if (err)
		return err;
	err = txl_state_decode(tx, bytes, len, &device->token, &device->state);
	if (!err) {
		err = write_all(ex->memfd, bytes, len);
		if (err) {
			txl_error_errno(tx, err, "cannot write the state");
			tapxfer_info_free(device->state);
			/* not half a state before the next */
			if (ftruncate(ex->memfd, end) ||
			    lseek(ex->memfd, end, SEEK_SET) < 0)
				ex->prepared = true;
		} else {
			ex->n++;
		}
	}
	explicit_bzero(bytes, len);
	free(bytes);
	return err;
}

EXPORT int tapxfer_exec_add(struct tapxfer_exec *ex, uint32_t id,
			    const struct tapxfer_token *token, const int *fds,
			    size_t nfds)
{
	struct txl_state_source src = { .token = token, .fds = fds };
	struct tapxfer *tx = ex->tx;
	struct tapxfer_info *ho;
	int err;

	txl_error_reset(tx);
	if (ex->prepared || ex->memfd < 0)
		return txl_error_set(tx, -EINVAL,
				     "what passes exec is sealed: open another");
	err = tapxfer_handover_get(tx, id, &ho);
	if (err)
		return err;
	err = txl_state_frozen(tx, ho);
	if (!err && tapxfer_info_count(ho, TAPXFER_A_HANDOVER_QUEUE) != nfds)
		err = txl_error_set(tx, -EINVAL,
				    "%zu files, and the handover has %zu queues",
				    nfds, tapxfer_info_count(ho,
						TAPXFER_A_HANDOVER_QUEUE));
	if (!err)
		err = files_check(tx, fds, nfds);
	if (!err)
		err = txl_caps(tx, &src.caps);
	src.ho = ho;
	if (!err)
		err = append(ex, &src);
	tapxfer_info_free(ho);
	return err;
}

/* Let a descriptor pass; how it was is remembered. */
static int pass_on(struct tapxfer_exec *ex, int fd)
{
	struct txl_exec_file *file = &ex->files[ex->nfiles];

	file->fd = fd;
	file->flags = fcntl(fd, F_GETFD);
	if (file->flags < 0 || fcntl(fd, F_SETFD, file->flags & ~FD_CLOEXEC))
		return -errno;
	ex->nfiles++;
	return 0;
}

static void take_back(struct tapxfer_exec *ex)
{
	while (ex->nfiles--)
		fcntl(ex->files[ex->nfiles].fd, F_SETFD,
		      ex->files[ex->nfiles].flags);
	ex->nfiles = 0;
	free(ex->files);
	ex->files = NULL;
}

static int pass_all(struct tapxfer_exec *ex)
{
	const struct tapxfer_info *queue;
	size_t i, total = 1;
	int err;

	for (i = 0; i < ex->n; i++)
		total += tapxfer_info_count(ex->devices[i].state,
					    TAPXFER_A_HANDOVER_QUEUE);
	ex->files = calloc(total, sizeof(*ex->files));
	if (!ex->files)
		return -ENOMEM;
	err = pass_on(ex, ex->memfd);
	for (i = 0; !err && i < ex->n; i++)
		for_each_nest(queue, ex->devices[i].state,
			      TAPXFER_A_HANDOVER_QUEUE) {
			err = pass_on(ex, tapxfer_info_s32(queue,
							   TAPXFER_A_QUEUE_FD));
			if (err)
				break;
		}
	return err;
}

/* Is the environment still as we left it? */
static bool env_is_ours(const struct tapxfer_exec *ex)
{
	const char *fd = getenv(TXL_EXEC_FD);

	return fd && !strcmp(fd, ex->env[0] + strlen(TXL_EXEC_FD "="));
}

EXPORT int tapxfer_exec_prepare(struct tapxfer_exec *ex)
{
	struct tapxfer *tx = ex->tx;
	int err = 0;

	txl_error_reset(tx);
	if (ex->prepared || ex->memfd < 0 || !ex->n)
		return txl_error_set(tx, -EINVAL,
				     "nothing to pass, or it is prepared already");
	/* the new program's, when it is not started by exec(2), begins there */
	if (lseek(ex->memfd, 0, SEEK_SET) < 0 ||
	    fcntl(ex->memfd, F_ADD_SEALS, TXL_EXEC_SEALS))
		return txl_error_errno(tx, -errno, "cannot seal the state");
	ex->prepared = true;
	err = pass_all(ex);
	snprintf(ex->env[0], sizeof(ex->env[0]), TXL_EXEC_FD "=%d", ex->memfd);
	snprintf(ex->env[1], sizeof(ex->env[1]), TXL_EXEC_PID "=%ld",
		 (long)getpid());
	if (!err &&
	    (setenv(TXL_EXEC_FD, ex->env[0] + strlen(TXL_EXEC_FD "="), 1) ||
	     setenv(TXL_EXEC_PID, ex->env[1] + strlen(TXL_EXEC_PID "="), 1))) {
		err = -errno;
		unsetenv(TXL_EXEC_FD);
	}
	if (err) {
		take_back(ex);
		ex->env[0][0] = '\0';
		ex->env[1][0] = '\0';
		return txl_error_errno(tx, err, "cannot pass the state on");
	}
	return 0;
}

EXPORT const char *tapxfer_exec_env(const struct tapxfer_exec *ex, size_t n)
{
	return n < ARRAY_SIZE(ex->env) && ex->env[n][0] ? ex->env[n] : NULL;
}

EXPORT int tapxfer_exec_fd(const struct tapxfer_exec *ex)
{
	return ex->memfd;
}

EXPORT size_t tapxfer_exec_count(const struct tapxfer_exec *ex)
{
	return ex->n;
}

EXPORT const struct tapxfer_info *
tapxfer_exec_state(const struct tapxfer_exec *ex, size_t i)
{
	return i < ex->n ? ex->devices[i].state : NULL;
}

EXPORT const struct tapxfer_token *
tapxfer_exec_token(const struct tapxfer_exec *ex, size_t i)
{
	return i < ex->n ? &ex->devices[i].token : NULL;
}

EXPORT void tapxfer_exec_close(struct tapxfer_exec *ex)
{
	size_t i;

	if (!ex)
		return;
	if (ex->env[0][0] && env_is_ours(ex)) {
		unsetenv(TXL_EXEC_FD);
		unsetenv(TXL_EXEC_PID);
	}
	if (ex->files)
		take_back(ex);
	for (i = 0; i < ex->n; i++)
		tapxfer_info_free(ex->devices[i].state);
	if (ex->devices)
		explicit_bzero(ex->devices, ex->n * sizeof(*ex->devices));
	free(ex->devices);
	if (ex->memfd >= 0)
		close(ex->memfd);
	free(ex);
}
