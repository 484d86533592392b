// SPDX-License-Identifier: GPL-2.0-or-later
/* drain: wait for the host */
#include <limits.h>

#include "cli.h"

int cmd_drain(struct cli *cli, struct args *args)
{
	struct tapxfer_token token;
	struct tapxfer_info *ho;
	int ret, timeout = -1;

	if (!(args->given & KEY_ID))
		return fail_usage(cli, "which handover? Give its number");
	/* what is no int is above the kernel's limit too */
	if (args->given & KEY_TIMEOUT)
		timeout = args->timeout > INT_MAX ? INT_MAX :
						    (int)args->timeout;
	ret = token_read(cli, args, &token);
	if (ret)
		return ret;

	ret = cli_open(cli);
	if (!ret) {
		ret = tapxfer_drain(cli->tx, args->id, &token, timeout, &ho);
		if (ret) {
			ret = fail_call(cli, ret);
		} else {
			ret = out_handover(cli, ho);
			tapxfer_info_free(ho);
		}
	}
	tapxfer_token_wipe(&token);
	return ret;
}
