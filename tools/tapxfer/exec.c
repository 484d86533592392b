// SPDX-License-Identifier: GPL-2.0-or-later
/* exec: become a newer program, which finds queues, state and token. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

/* What @ho's queues are in this process */
static int add(struct cli *cli, struct tapxfer_exec *ex,
	       const struct tapxfer_info *ho, const struct tapxfer_token *token,
	       const int *fds, size_t nfds)
{
	int err = tapxfer_exec_add(ex, (uint32_t)
				   tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_ID),
				   token, fds, nfds);

	return err ? fail_call(cli, err) : 0;
}

/* The handover that we began, or claimed */
static int pass_on(struct cli *cli, const struct args *args,
		   const struct tapxfer_info *ho,
		   const struct tapxfer_token *token, const int *fds,
		   size_t nfds)
{
	uint32_t id = (uint32_t)tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_ID);
	bool claimed = args->given & KEY_ID;
	struct tapxfer_exec *ex;
	char more[128];
	int ret, err;

	err = tapxfer_exec_open(cli->tx, &ex);
	if (err)
		return fail_call(cli, err);
	ret = add(cli, ex, ho, token, fds, nfds);
	if (!ret) {
		err = tapxfer_exec_prepare(ex);
		ret = err ? fail_call(cli, err) : 0;
	}
	if (!ret) {
		if (cli->json)
			out_json(cli, out_object(ho, handover_attrs));
		if (claimed)
			snprintf(more, sizeof(more),
				 "; handover %u is frozen again, claim it anew or abort it",
				 id);
		else
			snprintf(more, sizeof(more),
				 "; the handover was aborted");
		ret = become(cli, args->exec, more);
	}
	tapxfer_exec_close(ex);
	return ret;
}

/* Freeze what we have inherited; it is as before if CMD cannot be run. */
static int begin(struct cli *cli, const struct args *args)
{
	struct tapxfer_token token;
	struct tapxfer_opts opts;
	struct source source;
	struct tapxfer_info *ho;
	int ret, err;

	if (args->given & KEYS_TOKEN)
		return fail_usage(cli, "a token goes with a handover's number");
	ret = source_get(cli, args, &source);
	if (ret)
		return ret;
	opts_get(args, &opts);
	err = tapxfer_freeze(cli->tx, source.ifindex, source.fds, source.nfds,
			     &opts, &token, &ho);
	if (err) {
		ret = fail_call(cli, err);
	} else {
		ret = pass_on(cli, args, ho, &token, source.fds, source.nfds);
		/* we are still here */
		tapxfer_abort(cli->tx, (uint32_t)
			      tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_ID),
			      &token, NULL);
		tapxfer_info_free(ho);
	}
	tapxfer_token_wipe(&token);
	source_free(&source);
	return ret;
}

static int claim(struct cli *cli, const struct args *args)
{
	struct tapxfer_token token;
	struct tapxfer_info *ho;
	size_t n;
	int *fds;
	int ret, err;

	if (args->given & (KEY_HOLD | KEY_HOLD_BYTES | KEY_DEADLINE |
			   KEY_TIMEOUT))
		return fail_usage(cli,
				  "--hold, --hold-bytes, --deadline and --timeout go with a handover that begins");
	ret = token_read(cli, args, &token);
	if (ret)
		return ret;
	err = tapxfer_claim(cli->tx, args->id, &token, &ho);
	if (err) {
		ret = fail_call(cli, err);
	} else {
		n = tapxfer_info_fds(ho, NULL, 0);
		fds = xrealloc(NULL, n + 1, sizeof(*fds));
		tapxfer_info_fds(ho, fds, n);
		warn_violated(cli, ho);
		/* the claim ends, and the files are closed, as we exit */
		ret = pass_on(cli, args, ho, &token, fds, n);
		free(fds);
		tapxfer_info_free(ho);
	}
	tapxfer_token_wipe(&token);
	return ret;
}

int cmd_exec(struct cli *cli, struct args *args)
{
	int ret;

	if (!(args->given & KEY_EXEC) || !args->exec[0])
		return fail_usage(cli,
				  "what shall get the queues? Give -- CMD ARGS");
	if (!(args->given & (KEY_ID | KEY_FDS)))
		return fail_usage(cli,
				  "give a handover's number, or --fds N,N,... of queue files that this process has inherited");
	ret = cli_open(cli);
	if (ret)
		return ret;
	return args->given & KEY_ID ? claim(cli, args) : begin(cli, args);
}
