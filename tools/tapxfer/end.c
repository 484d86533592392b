// SPDX-License-Identifier: GPL-2.0-or-later
/* thaw, abort */
#include <stdio.h>

#include "cli.h"

static int show(const struct cli *cli, const struct tapxfer_info *ho,
		const char *what)
{
	const char *ifname = tapxfer_info_str(ho, TAPXFER_A_HANDOVER_IFNAME);
	char blackout[32];

	if (cli->json)
		return out_json(cli, out_object(ho, handover_attrs));

	out_ns(tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_BLACKOUT), blackout,
	       sizeof(blackout));
	printf("handover %llu: %s %s, %llu packets held, %llu dropped, blackout %s\n",
	       (unsigned long long)tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_ID),
	       ifname ? ifname : "?", what,
	       (unsigned long long)tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_HELD),
	       (unsigned long long)
	       tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_DROPPED), blackout);
	return out_end(cli);
}

static int end(struct cli *cli, const struct args *args, bool thaw)
{
	struct tapxfer_token token, *shown = NULL;
	struct tapxfer_info *ho;
	int ret;

	if (!(args->given & KEY_ID))
		return fail_usage(cli, "which handover? Give its number");
	if (thaw || (args->given & KEYS_TOKEN)) {
		ret = token_read(cli, args, &token);
		if (ret)
			return ret;
		shown = &token;
	}

	ret = cli_open(cli);
	if (!ret) {
		ret = thaw ? tapxfer_thaw(cli->tx, args->id, shown, &ho) :
			     tapxfer_abort(cli->tx, args->id, shown, &ho);
		if (ret) {
			ret = fail_call(cli, ret);
		} else {
			ret = show(cli, ho, thaw ? "thawed" : "aborted");
			tapxfer_info_free(ho);
		}
	}
	tapxfer_token_wipe(shown);
	return ret;
}

int cmd_thaw(struct cli *cli, struct args *args)
{
	return end(cli, args, true);
}

int cmd_abort(struct cli *cli, struct args *args)
{
	return end(cli, args, false);
}
