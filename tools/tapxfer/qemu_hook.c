// SPDX-License-Identifier: GPL-2.0-or-later
/* A program that is run before each step, and can say no. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "qemu.h"

static void hook_exec(const struct qemu *m, const char *step)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, m->cli->own_sigpipe);
	dup2(STDERR_FILENO, STDOUT_FILENO);
	execlp(m->args->hook, m->args->hook, step, NULL);
	fprintf(stderr, "tapxfer qemu: cannot run '%s': %m.\n", m->args->hook);
	_exit(EXIT_NOT_FOUND);
}

/* How long it may take: as the kernel's deadline, it waits for nobody. */
static int hook_ms(const struct qemu *m)
{
	if (!m->expires)
		return -1;
	return (int)qemu_left(m, m->committed ? QEMU_READY_MS : QEMU_LEFT_MS);
}

/* Until it has ended: 0, or EXIT_KERNEL when it must not go on. */
static int hook_wait(struct qemu *m, pid_t pid, const char *step)
{
	struct pollfd pfds[] = {
		{ .fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN },
		{ .fd = m->committed ? -1 : m->sigfd, .events = POLLIN },
	};
	int n;

	if (pfds[0].fd < 0) {
		qemu_fail(m, "cannot wait for the hook: %m");
		kill(pid, SIGKILL);
		return EXIT_KERNEL;
	}
	do {
		n = poll(pfds, ARRAY_SIZE(pfds), hook_ms(m));
	} while (n < 0 && errno == EINTR);
	close(pfds[0].fd);
	if (n > 0 && !pfds[1].revents)
		return 0;
	kill(pid, SIGKILL);
	if (n > 0)
		return qemu_fail(m, "interrupted");
	return qemu_fail(m, "the hook '%s %s' was not done, and the deadline is near",
			 m->args->hook, step);
}

/* Run "HOOK STEP" before the step. */
int qemu_hook(struct qemu *m, const char *step)
{
	int status, ret;
	pid_t pid;

	if (!(m->args->given & KEY_HOOK))
		return 0;
	pid = fork();
	if (pid < 0)
		return qemu_fail(m, "cannot run the hook: %m");
	if (!pid)
		hook_exec(m, step);
	ret = hook_wait(m, pid, step);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (ret || (WIFEXITED(status) && !WEXITSTATUS(status)))
		return ret;
	return qemu_fail(m, "the hook '%s %s' said no", m->args->hook, step);
}
