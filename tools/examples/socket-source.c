// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A VMM that leaves the handover to the library, which has a socket to the target
 * for it.
 *
 *	socket-source DEV SOCKET
 *
 * It runs a guest on DEV. At SIGUSR1 it connects to SOCKET, where socket-target
 * listens, and hands over. If that fails the guest goes on here.
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tapxfer/channel.h>

#include "handover.h"
#include "peer.h"

static int fds[QUEUES];

/* Its four steps. A VMM with threads lets the guest run during the first one. */
static int run_channel(struct tapxfer_channel *ch)
{
	int err;

	/* the two agree, and all is prepared */
	err = tapxfer_send(ch);
	/* what arrives from here on waits in the kernel */
	if (!err)
		err = tapxfer_send_hold(ch);
	/*
	 * The guest is stopped here, and vhost-net backends are. Then frozen, and
	 * the target has accepted.
	 */
	if (!err)
		err = tapxfer_send_state(ch, -1);
	/* the files are closed, and the target has thawed */
	if (!err)
		err = tapxfer_send_release(ch);
	return err;
}

/* 1 when the guest runs in the target now, 0 when it goes on here. */
static int hand_over(struct tapxfer *tx, const char *path)
{
	struct tapxfer_channel_opts opts = {
		.size = sizeof(opts),
		.set = TAPXFER_CHANNEL_OPT_TIMEOUT,
		.timeout = TIMEOUT_MS,
		.handover = &limits,
	};
	struct tapxfer_channel *ch;
	int err, stays = 0;

	opts.sock = peer_connect(path, SOCK_STREAM);
	if (opts.sock < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(-opts.sock));
		return 0;
	}
	err = tapxfer_channel_new(tx, &opts, &ch);
	if (!err && tapxfer_channel_add(ch, "net0", 0, fds, QUEUES,
					TAPXFER_DEV_TRANSFER))
		die(0, "cannot name the device: %s", tapxfer_error(tx));
	if (!err)
		err = run_channel(ch);
	if (err)
		fprintf(stderr, "cannot hand over: %s\n", tapxfer_error(tx));
	/* an error alone does not say that nobody else runs the guest */
	if (err)
		stays = !ch || tapxfer_channel_outcome(ch, 0) ==
			       TAPXFER_OUTCOME_BACK;
	tapxfer_channel_free(ch);
	close(opts.sock);
	if (err && !stays)
		die(0, "the guest is the target's, or nobody's");
	if (err)
		fprintf(stderr, "the guest stays here\n");
	return !err;
}

int main(int argc, char **argv)
{
	struct tapxfer *tx;

	if (argc != 3)
		die(0, "usage: %s DEV SOCKET", argv[0]);
	signals_init();
	tx = tx_open();
	tap_open(argv[1], 0, fds);
	do {
		if (!guest_until_move(fds))
			return 0;
	} while (!hand_over(tx, argv[2]));
	printf("moved\n");
	tapxfer_close(tx);
	return 0;
}
