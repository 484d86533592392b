// SPDX-License-Identifier: GPL-2.0-or-later
/* ready, thaw, abort */
#include <errno.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

/*
 * Whoever looks into /proc/PID/fd, or duplicates a descriptor, holds a queue
 * file for a moment. Such a holder need not stop a thaw: it is tried again for
 * half a second.
 */
#define TRIES		50
#define TRY_NS		10000000

typedef int (*let_go_fn)(struct tapxfer *tx, uint32_t id,
			 const struct tapxfer_token *token, uint32_t flags,
			 struct tapxfer_info **ho);

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

static int let_go(struct cli *cli, const struct args *args, let_go_fn fn,
		  struct tapxfer_info **ho)
{
	const struct timespec wait = { .tv_nsec = TRY_NS };
	struct tapxfer_token token;
	uint32_t flags = 0;
	int tries = TRIES;
	int ret;

	if (!(args->given & KEY_ID))
		return fail_usage(cli, "which handover? Give its number");
	if (args->given & KEY_SHARED)
		flags |= TAPXFER_THAW_SHARED;
	ret = token_read(cli, args, &token);
	if (ret)
		return ret;

	/* run by the claimant, we may have its files: another process's */
	syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, 0);
	ret = cli_open(cli);
	if (!ret) {
		for (;;) {
			ret = fn(cli->tx, args->id, &token, flags, ho);
			if (ret != -EBUSY || !--tries)
				break;
			nanosleep(&wait, NULL);
		}
		if (ret)
			ret = fail_call(cli, ret);
	}
	tapxfer_token_wipe(&token);
	return ret;
}

int cmd_ready(struct cli *cli, struct args *args)
{
	struct tapxfer_info *ho;
	int ret;

	ret = let_go(cli, args, tapxfer_ready, &ho);
	if (ret)
		return ret;
	ret = out_handover(cli, ho);
	warn_violated(cli, ho);
	tapxfer_info_free(ho);
	return ret;
}

int cmd_thaw(struct cli *cli, struct args *args)
{
	struct tapxfer_info *ho;
	int ret;

	ret = let_go(cli, args, tapxfer_thaw_flags, &ho);
	if (ret)
		return ret;
	ret = show(cli, ho, "thawed");
	warn_violated(cli, ho);
	tapxfer_info_free(ho);
	return ret;
}

int cmd_abort(struct cli *cli, struct args *args)
{
	struct tapxfer_token token, *shown = NULL;
	struct tapxfer_info *ho;
	int ret;

	if (!(args->given & KEY_ID))
		return fail_usage(cli, "which handover? Give its number");
	if (args->given & KEYS_TOKEN) {
		ret = token_read(cli, args, &token);
		if (ret)
			return ret;
		shown = &token;
	}

	ret = cli_open(cli);
	if (!ret) {
		ret = tapxfer_abort(cli->tx, args->id, shown, &ho);
		if (ret) {
			ret = fail_call(cli, ret);
		} else {
			ret = show(cli, ho, "aborted");
			warn_violated(cli, ho);
			tapxfer_info_free(ho);
		}
	}
	tapxfer_token_wipe(shown);
	return ret;
}
