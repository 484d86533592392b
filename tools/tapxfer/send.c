// SPDX-License-Identifier: GPL-2.0-or-later
/* send: hand a process's devices to whoever is at the other end of a socket. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

/* Duplicates of the source's files, for as long as they are needed */
struct sent {
	struct tapxfer_queues **queues;
	size_t n;
};

static void sent_close(struct sent *sent)
{
	while (sent->n)
		tapxfer_queues_close(sent->queues[--sent->n]);
	free(sent->queues);
	sent->queues = NULL;
}

/* Whether @name is among "a,b,c" */
static bool listed(const char *list, const char *name)
{
	size_t len;

	for (; list && *list; list += len + (list[len] == ',')) {
		len = strcspn(list, ",");
		if (strlen(name) == len && !strncmp(list, name, len))
			return true;
	}
	return false;
}

static int add(struct cli *cli, const struct args *args, const char *name,
	       struct tapxfer_channel *ch, struct sent *sent)
{
	uint32_t flags = TAPXFER_DEV_TRANSFER | TAPXFER_DEV_FOREIGN;
	struct args one = *args;
	struct source source;
	int ret;

	if (name) {
		one.dev = name;
		one.given |= KEY_DEV;
	}
	ret = source_get(cli, &one, &source);
	if (ret)
		return ret;
	if (source.queues) {
		sent->queues = xrealloc(sent->queues, sent->n + 1,
					sizeof(*sent->queues));
		sent->queues[sent->n++] = source.queues;
	}
	if (listed(args->off, source.ifname))
		flags &= ~(uint32_t)TAPXFER_DEV_TRANSFER;
	ret = tapxfer_channel_add(ch, *source.ifname ? source.ifname : NULL,
				  source.ifindex, source.fds, source.nfds,
				  flags);
	return ret ? fail_call(cli, ret) : 0;
}

static int add_all(struct cli *cli, const struct args *args,
		   struct tapxfer_channel *ch, struct sent *sent)
{
	char *names, *name, *save = NULL;
	int ret = 0;

	if (!(args->given & KEY_DEV))
		return add(cli, args, NULL, ch, sent);
	names = strdup(args->dev);
	if (!names)
		return fail(cli, "out of memory");
	for (name = strtok_r(names, ",", &save); !ret && name;
	     name = strtok_r(NULL, ",", &save))
		ret = add(cli, args, name, ch, sent);
	free(names);
	return ret;
}

/* The files are the source's; what we have of them is in its way. */
static void let_go(const struct args *args, struct sent *sent)
{
	size_t i;

	sent_close(sent);
	for (i = 0; i < args->nfds; i++)
		close(args->fds[i]);
}

static int steps(struct cli *cli, const struct args *args,
		 struct tapxfer_channel *ch, struct sent *sent)
{
	int err, ret, late = -1;

	err = tapxfer_send(ch);
	let_go(args, sent);
	if (!err)
		err = tapxfer_send_hold(ch);
	if (err)
		return fail_call(cli, err);
	if (args->given & KEY_ON_HOLD) {
		ret = channel_hook(cli, "on-hold", args->on_hold);
		if (ret)
			return ret;
	}
	if (args->given & KEY_LATE) {
		ret = channel_connect(cli, args, args->late, &late);
		if (ret)
			return ret;
	} else if (args->given & KEY_LATE_FD) {
		late = args->late_fd;
	}
	err = tapxfer_send_state(ch, late);
	if (err)
		return fail_call(cli, err);
	if (args->given & KEY_ON_ACCEPT) {
		ret = channel_hook(cli, "on-accept", args->on_accept);
		if (ret)
			return ret;
	}
	err = tapxfer_send_release(ch);
	return err ? fail_call(cli, err) : 0;
}

/*
 * What the source has let go of and the target has not got is for whoever claims
 * it, with a token that nobody else has any more: one line for each such device.
 */
static int tokens_out(const struct cli *cli, const struct args *args,
		      const struct tapxfer_channel *ch, int out)
{
	const struct tapxfer_token *token;
	bool any = false;
	size_t i;
	int err;

	for (i = 0; out >= 0 && i < tapxfer_channel_count(ch); i++) {
		token = tapxfer_channel_token(ch, i);
		if (!token || tapxfer_channel_outcome(ch, i) !=
			      TAPXFER_OUTCOME_PENDING)
			continue;
		any = true;
		err = token_out_write(out, token);
		if (err) {
			errno = -err;
			return fail(cli, "cannot write the token: %m");
		}
	}
	if (!any && args->given & KEY_TOKEN_OUT)
		unlink(args->token_out);
	return 0;
}

int cmd_send(struct cli *cli, struct args *args)
{
	struct tapxfer_channel_opts opts;
	struct tapxfer_channel *ch;
	struct tapxfer_opts limits;
	struct sent sent = { 0 };
	int ret, err, sock, out = -1;

	if (!(args->given & (KEY_PID | KEY_FDS)))
		return fail_usage(cli, "whose queues? Give --pid PID or --fds N,N,...");
	if (!(args->given & (KEY_SOCKET | KEY_SOCKET_FD)))
		return fail_usage(cli, "where to? Give --socket PATH or --socket-fd N");
	ret = cli_open(cli);
	if (ret)
		return ret;
	sock = args->socket_fd;
	if (args->given & KEY_SOCKET) {
		ret = channel_connect(cli, args, args->socket, &sock);
		if (ret)
			return ret;
	}
	if (args->given & KEYS_TOKEN_OUT) {
		ret = token_out_open(cli, args, &out);
		if (ret)
			return ret;
	}
	opts_get(args, &limits);
	/* that of a freeze has the kernel's default */
	limits.set &= ~(uint32_t)TAPXFER_OPT_TIMEOUT;
	channel_opts(args, sock, &opts);
	opts.handover = &limits;
	err = tapxfer_channel_new(cli->tx, &opts, &ch);
	if (err) {
		if (args->given & KEY_TOKEN_OUT)
			unlink(args->token_out);
		return fail_call(cli, err);
	}
	ret = add_all(cli, args, ch, &sent);
	if (!ret) {
		ret = steps(cli, args, ch, &sent);
		/*
		 * a command of the user's may have failed, and not the library
		 */
		if (ret)
			tapxfer_channel_refuse(ch, -ECANCELED,
					       "the source has given up");
		err = channel_out(cli, ch);
		ret = ret ? ret : err;
	}
	err = tokens_out(cli, args, ch, out);
	ret = ret ? ret : err;
	sent_close(&sent);
	tapxfer_channel_free(ch);
	return ret;
}
