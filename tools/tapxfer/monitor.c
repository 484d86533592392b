// SPDX-License-Identifier: GPL-2.0-or-later
/* monitor */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli.h"

static bool wanted(const struct args *args, const struct tapxfer_info *ev)
{
	const char *ifname = tapxfer_info_str(ev, TAPXFER_A_HANDOVER_IFNAME);

	if (args->given & KEY_ID)
		return tapxfer_info_u64(ev, TAPXFER_A_HANDOVER_ID) == args->id;
	if (args->given & KEY_DEV)
		return ifname && !strcmp(ifname, args->dev);
	return true;
}

static void text(const struct tapxfer_info *ev)
{
	uint64_t ns = tapxfer_info_u64(ev, TAPXFER_A_HANDOVER_TIME);
	const char *ifname = tapxfer_info_str(ev, TAPXFER_A_HANDOVER_IFNAME);
	const char *name = tapxfer_event_name((unsigned int)
		tapxfer_info_u64(ev, TAPXFER_A_HANDOVER_EVENT));
	const struct attr *attr;
	char blackout[32], violated[128];

	printf("[%llu.%06llu] handover %llu: %s %s",
	       (unsigned long long)(ns / 1000000000),
	       (unsigned long long)(ns % 1000000000 / 1000),
	       (unsigned long long)tapxfer_info_u64(ev, TAPXFER_A_HANDOVER_ID),
	       ifname ? ifname : "?", name ? name : "?");
	if (tapxfer_info_has(ev, TAPXFER_A_HANDOVER_NUM_QUEUES))
		printf(", %llu queues", (unsigned long long)
		       tapxfer_info_u64(ev, TAPXFER_A_HANDOVER_NUM_QUEUES));
	if (tapxfer_info_has(ev, TAPXFER_A_HANDOVER_HELD))
		printf(", %llu packets held", (unsigned long long)
		       tapxfer_info_u64(ev, TAPXFER_A_HANDOVER_HELD));
	if (tapxfer_info_u64(ev, TAPXFER_A_HANDOVER_DROPPED))
		printf(", %llu dropped", (unsigned long long)
		       tapxfer_info_u64(ev, TAPXFER_A_HANDOVER_DROPPED));
	if (tapxfer_info_u64(ev, TAPXFER_A_HANDOVER_BLACKOUT)) {
		out_ns(tapxfer_info_u64(ev, TAPXFER_A_HANDOVER_BLACKOUT),
		       blackout, sizeof(blackout));
		printf(", blackout %s", blackout);
	}
	if (tapxfer_info_u64(ev, TAPXFER_A_HANDOVER_VIOLATED)) {
		for (attr = handover_attrs;
		     attr->id != TAPXFER_A_HANDOVER_VIOLATED;)
			attr++;
		out_value(ev, attr, violated, sizeof(violated));
		printf(", changed: %s", violated);
	}
	putchar('\n');
}

/* All that are there, each on its line, at once. */
static int drain(const struct cli *cli, const struct args *args)
{
	struct cli line = { .command = cli->command };
	struct tapxfer_info *ev;
	int ret, err;

	while ((err = tapxfer_event_next(cli->tx, 0, &ev)) != -EAGAIN) {
		if (err == -ENOBUFS) {
			fail(cli, "%s", tapxfer_error(cli->tx));
			continue;
		}
		if (err)
			return fail_call(cli, err);
		ret = 0;
		if (!wanted(args, ev)) {
			;
		} else if (cli->json) {
			ret = out_json(&line, out_object(ev, handover_attrs));
		} else {
			text(ev);
			ret = out_end(cli);
		}
		tapxfer_info_free(ev);
		if (ret)
			return ret;
	}
	return 0;
}

int cmd_monitor(struct cli *cli, struct args *args)
{
	struct pollfd pfd[2] = {
		{ .events = POLLIN },
		{ .events = POLLIN },
	};
	sigset_t ends;
	int ret, err;

	ret = cli_open(cli);
	if (ret)
		return ret;
	err = tapxfer_subscribe(cli->tx);
	if (err)
		return fail_call(cli, err);

	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGHUP);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	pfd[0].fd = tapxfer_fd(cli->tx);
	pfd[1].fd = signalfd(-1, &ends, SFD_CLOEXEC);
	if (pfd[1].fd < 0)
		return fail(cli, "cannot wait for signals: %m");

	do {
		if (poll(pfd, 2, -1) < 0 && errno != EINTR) {
			ret = fail(cli, "cannot wait for events: %m");
			break;
		}
		/* what came before the signal is told before the end */
		ret = drain(cli, args);
	} while (!ret && !pfd[1].revents);
	close(pfd[1].fd);
	return ret;
}
