// SPDX-License-Identifier: GPL-2.0-or-later
/* export: a handover's state to a file or a descriptor */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

/* An fd that need not block */
static int save(struct tapxfer_stream *stream, int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLOUT };
	int err;

	while ((err = tapxfer_state_save(stream, fd)) == -EAGAIN)
		poll(&pfd, 1, -1);
	return err;
}

static int out_open(const struct cli *cli, const struct args *args, int *fd)
{
	if (args->given & KEY_OUT) {
		*fd = open(args->out,
			   O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY,
			   0600);
		if (*fd >= 0)
			return 0;
		if (errno == EEXIST)
			return fail(cli,
				    "'%s' exists: name a file that does not, the state is written to a new one",
				    args->out);
		return fail(cli, "cannot write the state to '%s': %m",
			    args->out);
	}
	*fd = args->given & KEY_OUT_FD ? args->out_fd : STDOUT_FILENO;
	if (*fd == STDOUT_FILENO && cli->json)
		return fail_usage(cli,
				  "the state itself goes to standard output: with -j give --out PATH or --out-fd N");
	if (isatty(*fd))
		return fail_usage(cli,
				  "a state is no text for a terminal: give --out PATH, or a pipe");
	return 0;
}

static int told(const struct cli *cli, const struct tapxfer_info *state)
{
	const char *ifname = tapxfer_info_str(state, TAPXFER_A_HANDOVER_IFNAME);
	struct attr attr = state_attrs[0];
	char uses[256];

	if (cli->json)
		return out_json(cli, out_state(state));
	out_value(state, &attr, uses, sizeof(uses));
	printf("handover %llu: %s saved, %llu queues, %llu packets held; %s\n",
	       (unsigned long long)tapxfer_info_u64(state,
						    TAPXFER_A_HANDOVER_ID),
	       ifname ? ifname : "?",
	       (unsigned long long)tapxfer_info_u64(state,
						TAPXFER_A_HANDOVER_NUM_QUEUES),
	       (unsigned long long)tapxfer_info_u64(state,
						    TAPXFER_A_HANDOVER_HELD),
	       uses);
	return out_end(cli);
}

int cmd_export(struct cli *cli, struct args *args)
{
	struct tapxfer_state_opts opts = {
		.size = sizeof(opts),
		.set = args->given & KEY_TAKES ? TAPXFER_STATE_OPT_TAKES : 0,
		.takes = args->takes,
	};
	struct tapxfer_stream *stream = NULL;
	bool done = false;
	int ret, fd;

	if (!(args->given & KEY_ID))
		return fail_usage(cli, "which handover? Give its number");
	ret = out_open(cli, args, &fd);
	if (ret)
		return ret;
	ret = cli_open(cli);
	if (ret)
		goto out;
	ret = tapxfer_state_open(cli->tx, args->id, TAPXFER_DIRECTION_SAVE,
				 TAPXFER_PHASE_STOPPED, &opts, &stream);
	if (!ret)
		ret = save(stream, fd);
	if (!ret)
		ret = tapxfer_state_check(stream);
	if (ret) {
		ret = fail_call(cli, ret);
		goto out;
	}
	/* some file systems say only now that there is no room */
	if (args->given & KEY_OUT && close(fd)) {
		ret = fail(cli, "cannot write '%s': %m", args->out);
		goto out;
	}
	done = true;
	if (fd != STDOUT_FILENO)
		ret = told(cli, tapxfer_state_info(stream));
out:
	tapxfer_state_close(stream);
	/* a state that is not whole, or no longer true, is of no use */
	if (args->given & KEY_OUT && !done)
		unlink(args->out);
	return ret;
}
