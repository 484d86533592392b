// SPDX-License-Identifier: GPL-2.0-or-later
/* One line on standard error: cause and cure. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

static void say(const struct cli *cli, const char *text, const char *more)
{
	/* the answer so far belongs before it */
	fflush(stdout);
	fprintf(stderr, "tapxfer%s%s: %s%s.\n", cli->command ? " " : "",
		cli->command ? cli->command : "", text, more);
}

int fail_usage(const struct cli *cli, const char *fmt, ...)
{
	char text[512], more[96] = "; see 'tapxfer help'";
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (cli->command)
		snprintf(more, sizeof(more), "; see 'tapxfer help %.32s'",
			 cli->command);
	say(cli, text, more);
	return EXIT_USAGE;
}

int fail(const struct cli *cli, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	say(cli, text, "");
	return EXIT_KERNEL;
}

/* The kernel says what is wrong, and often what to do. Where it does not: */
static const char *cure(const struct tapxfer *tx, int err)
{
	switch (err) {
	case -ENODEV:
		return "; 'ip link' shows what is there, -n looks into another network namespace";
	case -ENOENT:
		if (tapxfer_error_attr(tx) == TAPXFER_A_HANDOVER_ID)
			return "; 'tapxfer list' shows those there are";
		return "";
	case -EPERM:
		if (tapxfer_error_attr(tx) == TAPXFER_A_HANDOVER_TOKEN)
			return "; give the one that the call which began it wrote";
		return "";
	case -EPROTO:
		return "; 'tapxfer list' shows where it stands";
	case -EBUSY:
		return "; 'tapxfer list' shows it";
	case -EXDEV:
		return "; name the device whose queues these are";
	case -ETIMEDOUT:
		return "; then freeze again";
	default:
		return "";
	}
}

/* The last call on the handle failed. */
int fail_call(const struct cli *cli, int err)
{
	say(cli, tapxfer_error(cli->tx), cure(cli->tx, err));
	return EXIT_KERNEL;
}

/*
 * The same of a call that got duplicates of a process's files: the number that
 * the process has says more than ours.
 */
int fail_call_fds(const struct cli *cli, int err, pid_t pid,
		  const struct tapxfer_queues *queues)
{
	const char *extack = tapxfer_error_extack(cli->tx);
	int fd = tapxfer_error_fd(cli->tx);
	char text[512];
	size_t i;

	for (i = 0; queues && extack && i < tapxfer_queues_count(queues); i++) {
		if (fd < 0 || tapxfer_queues_fds(queues)[i] != fd)
			continue;
		snprintf(text, sizeof(text), "%s (fd %d of process %d)", extack,
			 tapxfer_queues_numbers(queues)[i], (int)pid);
		say(cli, text, cure(cli->tx, err));
		return EXIT_KERNEL;
	}
	return fail_call(cli, err);
}

int cli_open(struct cli *cli)
{
	int err = tapxfer_open(&cli->tx);

	return err ? fail(cli, "%s", tapxfer_open_error(err)) : 0;
}
