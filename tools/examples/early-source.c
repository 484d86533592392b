// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A VMM whose target has to have the queue files before it can make its devices:
 * they go over a first socket while the guest runs, and the rest later.
 *
 *	early-source DEV EARLY LATE
 *
 * It runs a guest on DEV. At SIGUSR1 it connects to EARLY, where early-target
 * listens, sends the files, and the guest runs on. At the next one it connects to
 * LATE, and hands over. If that fails the guest goes on here.
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tapxfer/channel.h>

#include "handover.h"
#include "peer.h"

static int fds[QUEUES];

/*
 * The first part, or NULL: then nothing has happened. The deadline runs from here
 * on: the target makes its devices in that time.
 */
static struct tapxfer_channel *send_files(struct tapxfer *tx, int sock)
{
	struct tapxfer_channel_opts opts = {
		.size = sizeof(opts),
		.sock = sock,
		.flags = TAPXFER_CHANNEL_EARLY,
		.transport = TAPXFER_TRANSPORT_FDS,
		.set = TAPXFER_CHANNEL_OPT_TIMEOUT,
		.timeout = TIMEOUT_MS,
		.handover = &limits,
	};
	struct tapxfer_channel *ch;
	int err;

	err = tapxfer_channel_new(tx, &opts, &ch);
	if (!err)
		err = tapxfer_channel_add(ch, "net0", 0, fds, QUEUES,
					  TAPXFER_DEV_TRANSFER);
	if (!err)
		err = tapxfer_send(ch);
	if (!err)
		return ch;
	fprintf(stderr, "cannot send the files: %s\n", tapxfer_error(tx));
	tapxfer_channel_free(ch);
	return NULL;
}

/* The rest: 1 when the guest runs in the target now, 0 when it goes on here. */
static int hand_over(struct tapxfer *tx, struct tapxfer_channel *ch,
		     const char *path)
{
	int sock, err;

	sock = peer_connect(path, SOCK_STREAM);
	if (sock < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(-sock));
		tapxfer_channel_refuse(ch, sock, "the source cannot connect");
		return 0;
	}
	err = tapxfer_send_hold(ch);
	/* the guest is stopped here */
	if (!err)
		err = tapxfer_send_state(ch, sock);
	if (!err)
		err = tapxfer_send_release(ch);
	if (err)
		fprintf(stderr, "cannot hand over: %s\n", tapxfer_error(tx));
	close(sock);
	/* an error alone does not say that nobody else runs the guest */
	if (err && tapxfer_channel_outcome(ch, 0) != TAPXFER_OUTCOME_BACK)
		die(0, "the guest is the target's, or nobody's");
	return !err;
}

/* Both parts, with the guest in between */
static int run(struct tapxfer *tx, const char *early, const char *late)
{
	struct tapxfer_channel *ch;
	int sock, moved = 0;

	sock = peer_connect(early, SOCK_STREAM);
	if (sock < 0) {
		fprintf(stderr, "%s: %s\n", early, strerror(-sock));
		return 0;
	}
	ch = send_files(tx, sock);
	if (ch) {
		printf("files sent\n");
		move_wanted = 0;
		guest_run(fds);
		if (!end_wanted)
			moved = hand_over(tx, ch, late);
		tapxfer_channel_free(ch);
	}
	if (!moved)
		fprintf(stderr, "the guest stays here\n");
	close(sock);
	return moved;
}

int main(int argc, char **argv)
{
	struct tapxfer *tx;

	if (argc != 4)
		die(0, "usage: %s DEV EARLY LATE", argv[0]);
	signals_init();
	tx = tx_open();
	tap_open(argv[1], 0, fds);
	do {
		if (!guest_until_move(fds))
			return 0;
	} while (!run(tx, argv[2], argv[3]));
	printf("moved\n");
	tapxfer_close(tx);
	return 0;
}
