// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The VMM that takes over from socket-source.
 *
 *	socket-target SOCKET
 */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tapxfer/channel.h>

#include "handover.h"
#include "peer.h"

/* What the library cannot know: whether this VMM can do with it */
static int look(struct tapxfer_channel *ch)
{
	const char *why = NULL;

	if (tapxfer_channel_count(ch) != 1)
		why = "one card is all that this VMM has";
	else if (tapxfer_channel_outcome(ch, 0) != TAPXFER_OUTCOME_PENDING)
		why = "this VMM has no backend of its own";
	else
		why = unfit(tapxfer_channel_handover(ch, 0));
	if (!why)
		return 0;
	tapxfer_channel_refuse(ch, -EOPNOTSUPP, why);
	return -EOPNOTSUPP;
}

static int run_channel(struct tapxfer_channel *ch, int fds[QUEUES])
{
	int err;

	err = tapxfer_recv(ch);
	/* claimed: a guest would be loaded, and the files be set up */
	if (!err)
		err = tapxfer_recv_state(ch, -1);
	if (!err)
		err = look(ch);
	/* from here on the source has let go */
	if (!err)
		err = tapxfer_recv_accept(ch);
	if (!err)
		err = tapxfer_recv_thaw(ch);
	if (!err)
		tapxfer_channel_fds(ch, 0, fds, QUEUES);
	return err;
}

int main(int argc, char **argv)
{
	struct tapxfer_channel_opts opts = {
		.size = sizeof(opts),
		.set = TAPXFER_CHANNEL_OPT_TIMEOUT,
		.timeout = TIMEOUT_MS,
	};
	struct tapxfer_channel *ch;
	struct tapxfer *tx;
	int fds[QUEUES], sock, err;

	if (argc != 2)
		die(0, "usage: %s SOCKET", argv[0]);
	signals_init();
	tx = tx_open();
	sock = peer_listen(argv[1], SOCK_STREAM);
	printf("listening\n");
	opts.sock = peer_accept(sock, argv[1]);

	/* whatever fails: the source is told, and has its guest */
	err = tapxfer_channel_new(tx, &opts, &ch);
	if (!err)
		err = run_channel(ch, fds);
	if (err)
		die(0, "cannot take over: %s", tapxfer_error(tx));
	say_running(tapxfer_channel_handover(ch, 0));
	tapxfer_channel_free(ch);
	close(opts.sock);
	tapxfer_close(tx);
	guest_until_end(fds);
	return 0;
}
