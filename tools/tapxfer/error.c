// SPDX-License-Identifier: GPL-2.0-or-later
/* One line on standard error: cause and cure. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

/* It has names and words of others in it, and goes to a terminal. */
static void say(const struct cli *cli, const char *text, const char *more)
{
	/* the answer so far belongs before it */
	fflush(stdout);
	fprintf(stderr, "tapxfer%s%s: ", cli->command ? " " : "",
		cli->command ? cli->command : "");
	for (; *text; text++)
		fputc((unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text,
		      stderr);
	fprintf(stderr, "%s.\n", more);
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

/* A command that others who hold the queues stand in the way of */
static bool lets_go(const struct cli *cli)
{
	return !strcmp(cli->command, "thaw") || !strcmp(cli->command, "ready");
}

/* The kernel says what is wrong, and often what to do. Where it does not: */
static const char *cure(const struct cli *cli, int err)
{
	const struct tapxfer *tx = cli->tx;

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
		return lets_go(cli) ?
		       "; 'tapxfer check DEV' shows who, --shared goes on with them" :
		       "; 'tapxfer list' shows it";
	case -EXDEV:
		return "; name the device whose queues these are";
	case -ETIMEDOUT:
		return strcmp(cli->command, "drain") ? "; then freeze again" : "";
	default:
		return "";
	}
}

/* The last call on the handle failed. */
int fail_call(const struct cli *cli, int err)
{
	say(cli, tapxfer_error(cli->tx), cure(cli, err));
	return EXIT_KERNEL;
}

/* What came about although it cannot be refused; it is done all the same. */
void warn_violated(const struct cli *cli, const struct tapxfer_info *ho)
{
	static const struct {
		uint32_t bit;
		const char *text;
	} all[] = {
		{ TAPXFER_VIOLATION_QUEUES,
		  "a queue was opened or closed, one that was opened was neither held nor frozen" },
		{ TAPXFER_VIOLATION_NAME, "it was renamed" },
		{ TAPXFER_VIOLATION_NETNS,
		  "it was moved to another network namespace" },
		{ TAPXFER_VIOLATION_OFFLOADS, "its offloads were changed" },
		{ TAPXFER_VIOLATION_XDP, "its XDP program was changed" },
		{ TAPXFER_VIOLATION_CARRIER, "its carrier was changed" },
		{ TAPXFER_VIOLATION_SETTINGS,
		  "settings were made through another queue, or left by a claimant that is gone" },
	};
	const char *ifname = tapxfer_info_str(ho, TAPXFER_A_HANDOVER_IFNAME);
	uint64_t bits = tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_VIOLATED);
	char text[768];
	size_t i, len;

	if (!bits)
		return;
	len = (size_t)snprintf(text, sizeof(text),
			       "warning: %s is not as it was exported: ",
			       ifname ? ifname : "the device");
	for (i = 0; i < ARRAY_SIZE(all); i++) {
		if (!(bits & all[i].bit))
			continue;
		bits &= ~(uint64_t)all[i].bit;
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s",
					all[i].text, bits ? "; " : "");
	}
	if (bits)
		snprintf(text + len, sizeof(text) - len, "0x%llx",
			 (unsigned long long)bits);
	say(cli, text, "");
}

/*
 * As fail_call(), of a call that got duplicates of a process's files: the number that
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
		say(cli, text, cure(cli, err));
		return EXIT_KERNEL;
	}
	return fail_call(cli, err);
}

int cli_open(struct cli *cli)
{
	int err = tapxfer_open(&cli->tx);

	return err ? fail(cli, "%s", tapxfer_open_error(err)) : 0;
}
