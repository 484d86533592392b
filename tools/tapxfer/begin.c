// SPDX-License-Identifier: GPL-2.0-or-later
/* prepare, hold, freeze */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

typedef int (*begin_fn)(struct tapxfer *tx, unsigned int ifindex,
			const int *fds, size_t nfds,
			const struct tapxfer_opts *opts,
			struct tapxfer_token *token, struct tapxfer_info **ho);
typedef int (*go_on_fn)(struct tapxfer *tx, uint32_t id,
			const struct tapxfer_token *token,
			const struct tapxfer_opts *opts,
			struct tapxfer_info **ho);

void opts_get(const struct args *args, struct tapxfer_opts *opts)
{
	memset(opts, 0, sizeof(*opts));
	opts->size = sizeof(*opts);
	opts->hold = args->hold;
	opts->hold_bytes = args->hold_bytes;
	opts->deadline = args->deadline;
	opts->timeout = args->timeout;
	if (args->given & KEY_HOLD)
		opts->set |= TAPXFER_OPT_HOLD;
	if (args->given & KEY_HOLD_BYTES)
		opts->set |= TAPXFER_OPT_HOLD_BYTES;
	if (args->given & KEY_DEADLINE)
		opts->set |= TAPXFER_OPT_DEADLINE;
	if (args->given & KEY_TIMEOUT)
		opts->set |= TAPXFER_OPT_TIMEOUT;
}

/*
 * The token is on its way from here to where the caller wants it, or there is
 * no handover: a signal waits until that is settled.
 */
static int begin_to(struct cli *cli, const struct args *args, begin_fn fn,
		    const struct source *source, int out,
		    struct tapxfer_info **ho)
{
	struct tapxfer_token token;
	struct tapxfer_opts opts;
	uint32_t id;
	int err;

	opts_get(args, &opts);
	err = fn(cli->tx, source->ifindex, source->fds, source->nfds, &opts,
		 &token, ho);
	if (err)
		return fail_call_fds(cli, err, source->pid, source->queues);

	err = token_out_write(out, &token);
	if (err) {
		id = (uint32_t)tapxfer_info_u64(*ho, TAPXFER_A_HANDOVER_ID);
		tapxfer_abort(cli->tx, id, &token, NULL);
		tapxfer_info_free(*ho);
		*ho = NULL;
		errno = -err;
		fail(cli, "cannot write the token: %m; the handover was aborted");
	}
	tapxfer_token_wipe(&token);
	return err ? EXIT_KERNEL : 0;
}

static int begin(struct cli *cli, const struct args *args, begin_fn fn)
{
	struct tapxfer_info *ho = NULL;
	struct source source;
	sigset_t all, old;
	int ret, out;

	if (args->given & KEYS_TOKEN)
		return fail_usage(cli,
				  "a token goes with a handover's number; a new one needs --token-out PATH or --token-out-fd N");
	ret = token_out_open(cli, args, &out);
	if (ret)
		return ret;
	ret = cli_open(cli);
	if (!ret)
		ret = source_get(cli, args, &source);
	if (!ret) {
		sigfillset(&all);
		sigprocmask(SIG_BLOCK, &all, &old);
		ret = begin_to(cli, args, fn, &source, out, &ho);
		source_free(&source);
		if (ret && (args->given & KEY_TOKEN_OUT))
			unlink(args->token_out);
		sigprocmask(SIG_SETMASK, &old, NULL);
	} else if (args->given & KEY_TOKEN_OUT) {
		unlink(args->token_out);
	}
	if (args->given & KEY_TOKEN_OUT)
		close(out);
	if (!ret)
		ret = out_begun(cli, ho);
	tapxfer_info_free(ho);
	return ret;
}

static int go_on(struct cli *cli, const struct args *args, go_on_fn fn)
{
	struct tapxfer_token token;
	struct tapxfer_info *ho;
	struct tapxfer_opts opts;
	int ret;

	if (args->given & (KEY_HOLD | KEY_HOLD_BYTES | KEY_DEADLINE))
		return fail_usage(cli,
				  "--hold, --hold-bytes and --deadline go with the command that begins the handover");
	if (args->given & KEYS_TOKEN_OUT)
		return fail_usage(cli,
				  "the handover has its token already: give --token-file or --token-fd");
	ret = token_read(cli, args, &token);
	if (ret)
		return ret;
	ret = cli_open(cli);
	if (!ret) {
		opts_get(args, &opts);
		ret = fn(cli->tx, args->id, &token, &opts, &ho);
		if (ret) {
			ret = fail_call(cli, ret);
		} else {
			ret = out_begun(cli, ho);
			tapxfer_info_free(ho);
		}
	}
	tapxfer_token_wipe(&token);
	return ret;
}

static int begin_or_go_on(struct cli *cli, const struct args *args,
			  begin_fn begins, go_on_fn goes_on)
{
	if (args->given & (KEY_PID | KEY_FDS))
		return begin(cli, args, begins);
	if (args->given & KEY_ID)
		return go_on(cli, args, goes_on);
	if (args->given & KEY_DEV)
		return fail_usage(cli,
				  "whose queues of %s? Give --pid PID or --fds N,N,...",
				  args->dev);
	return fail_usage(cli,
			  goes_on ? "give --pid PID, --fds N,N,... or a handover's number" :
				    "give --pid PID or --fds N,N,...");
}

int cmd_prepare(struct cli *cli, struct args *args)
{
	return begin_or_go_on(cli, args, tapxfer_prepare, NULL);
}

int cmd_hold(struct cli *cli, struct args *args)
{
	return begin_or_go_on(cli, args, tapxfer_hold, tapxfer_hold_id);
}

int cmd_freeze(struct cli *cli, struct args *args)
{
	return begin_or_go_on(cli, args, tapxfer_freeze, tapxfer_freeze_id);
}
