// SPDX-License-Identifier: GPL-2.0-or-later
/* pass: the claim to another process */
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cli.h"

int cmd_pass(struct cli *cli, struct args *args)
{
	struct tapxfer_token token;
	struct tapxfer_info *ho;
	int ret, pidfd;

	if (!(args->given & KEY_ID))
		return fail_usage(cli, "which handover? Give its number");
	if (!(args->given & KEY_TO))
		return fail_usage(cli, "to which process? Give its id");
	ret = token_read(cli, args, &token);
	if (ret)
		return ret;

	pidfd = (int)syscall(SYS_pidfd_open, args->pid, 0);
	if (pidfd < 0) {
		ret = errno == ESRCH ?
		      fail(cli, "no process %d", (int)args->pid) :
		      fail(cli, "cannot refer to process %d: %m",
			   (int)args->pid);
		goto out;
	}
	ret = cli_open(cli);
	if (!ret) {
		ret = tapxfer_pass(cli->tx, args->id, &token, pidfd, &ho);
		if (ret) {
			ret = fail_call(cli, ret);
		} else {
			ret = out_handover(cli, ho);
			tapxfer_info_free(ho);
		}
	}
	close(pidfd);
out:
	tapxfer_token_wipe(&token);
	return ret;
}
