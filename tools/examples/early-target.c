// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The VMM that takes over from early-source: it has the files before it makes its
 * devices, and the guest when it has made them.
 *
 *	early-target EARLY LATE
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tapxfer/channel.h>

#include "handover.h"
#include "peer.h"

/* The source comes, unless it gives up, which the first socket tells. */
static int wait_late(int listening, int early, const char *path)
{
	struct pollfd pfds[] = {
		{ .fd = listening, .events = POLLIN },
		{ .fd = early, .events = POLLIN },
	};

	while (poll(pfds, 2, -1) < 0)
		if (errno != EINTR || end_wanted)
			die(errno, "%s", path);
	if (!pfds[0].revents)
		die(0, "the source has given up");
	return peer_accept(listening, path);
}

int main(int argc, char **argv)
{
	struct tapxfer_channel_opts opts = {
		.size = sizeof(opts),
		.flags = TAPXFER_CHANNEL_EARLY,
		.set = TAPXFER_CHANNEL_OPT_TIMEOUT,
		.timeout = TIMEOUT_MS,
	};
	int early, late, fds[QUEUES], err;
	struct tapxfer_channel *ch;
	const char *why = NULL;
	struct tapxfer *tx;

	if (argc != 3)
		die(0, "usage: %s EARLY LATE", argv[0]);
	signals_init();
	tx = tx_open();
	early = peer_listen(argv[1], SOCK_STREAM);
	late = peer_listen(argv[2], SOCK_STREAM);
	printf("listening\n");
	opts.sock = peer_accept(early, argv[1]);

	err = tapxfer_channel_new(tx, &opts, &ch);
	if (!err)
		err = tapxfer_recv(ch);
	if (err)
		die(0, "cannot take the files: %s", tapxfer_error(tx));
	if (tapxfer_channel_count(ch) != 1 ||
	    tapxfer_channel_fds(ch, 0, fds, QUEUES) != QUEUES)
		die(0, "not one card of %d queues", QUEUES);
	/*
	 * The devices can be made with these. The source's guest still uses them:
	 * nothing is read from them, and nothing set.
	 */
	printf("files are here\n");

	late = wait_late(late, opts.sock, argv[2]);
	/* claimed: the guest would be loaded, and the files be set up */
	err = tapxfer_recv_state(ch, late);
	if (!err)
		why = unfit(tapxfer_channel_handover(ch, 0));
	if (why) {
		err = -EOPNOTSUPP;
		tapxfer_channel_refuse(ch, err, why);
	}
	if (!err)
		err = tapxfer_recv_accept(ch);
	if (!err)
		err = tapxfer_recv_thaw(ch);
	if (err)
		die(0, "cannot take over: %s", tapxfer_error(tx));
	say_running(tapxfer_channel_handover(ch, 0));
	tapxfer_channel_free(ch);
	close(late);
	close(opts.sock);
	tapxfer_close(tx);
	guest_until_end(fds);
	return 0;
}
