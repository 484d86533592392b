// SPDX-License-Identifier: LGPL-2.1-or-later
/* A claim that goes to another process. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

/*
 * /proc tells numbers of the pid namespace that it was mounted in, the kernel
 * takes those of ours.
 */
static bool proc_is_ours(void)
{
	char link[16];
	ssize_t len = readlink("/proc/self", link, sizeof(link) - 1);

	if (len <= 0)
		return false;
	link[len] = '\0';
	return atol(link) == (long)getpid();
}

/*
 * The number of the process that a pidfd is of, as its fdinfo has it: -1 when
 * it has been reaped, 0 when it is in no pid namespace of ours.
 */
static int pidfd_number(struct tapxfer *tx, int pidfd, pid_t *pid)
{
	char path[64], buf[1024], *line;
	ssize_t len;
	int fd;

	if (!proc_is_ours())
		return txl_error_set(tx, -EINVAL,
				     "/proc is not that of this process's pid namespace: mount it");
	/* not self: a thread may have descriptors of its own */
	snprintf(path, sizeof(path), "/proc/thread-self/fdinfo/%d", pidfd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno != ENOENT)
		return txl_error_errno(tx, -errno, path);
	if (fd < 0)
		return txl_error_set(tx, -EBADF, "no such pidfd (%d)", pidfd);
	len = read(fd, buf, sizeof(buf) - 1);
	close(fd);

	buf[len > 0 ? len : 0] = '\0';
	line = strstr(buf, "\nPid:\t");
	if (!line)
		return txl_error_set(tx, -EBADF, "descriptor %d is no pidfd",
				     pidfd);
	*pid = (pid_t)strtol(line + strlen("\nPid:\t"), NULL, 10);
	return 0;
}

static int fail_ended(struct tapxfer *tx)
{
	return txl_error_set(tx, -ESRCH,
			     "the process to pass the claim to has ended");
}

/*
 * The kernel knows the process by its number, which is its own for as long as
 * the pidfd is silent. When it is not silent after the pass, another process
 * may have had that number: the claim is taken back.
 */
EXPORT int tapxfer_pass(struct tapxfer *tx, uint32_t id,
			const struct tapxfer_token *token, int pidfd,
			struct tapxfer_info **ho)
{
	struct tapxfer_info *passed = NULL;
	pid_t pid;
	int err;

	if (ho)
		*ho = NULL;
	txl_error_reset(tx);
	err = pidfd_number(tx, pidfd, &pid);
	if (err)
		return err;
	if (!pid)
		return txl_error_set(tx, -ESRCH,
				     "the process is in no pid namespace that is seen from here");
	if (pid < 0 || txl_pidfd_ended(pidfd))
		return fail_ended(tx);

	err = txl_pass(tx, id, token, pid, ho ? &passed : NULL);
	if (txl_pidfd_ended(pidfd)) {
		tapxfer_info_free(passed);
		/* it may be frozen again by now: there is nothing to take back */
		if (!err)
			txl_pass(tx, id, token, getpid(), NULL);
		return fail_ended(tx);
	}
	if (!err && ho)
		*ho = passed;
	return err;
}
