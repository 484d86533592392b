// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A VMM that has a migration stream of its own, and puts the tap's state into it.
 *
 *	state-source DEV SOCKET
 *
 * It runs a guest on DEV. At SIGUSR1 it connects to SOCKET, where state-target
 * listens, and hands over. If that fails the guest goes on here.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "handover.h"
#include "peer.h"
#include "state-stream.h"

static int fds[QUEUES];

static int put(int sock, const void *data, size_t len)
{
	const char *p = data;
	ssize_t n;

	for (; len; p += n, len -= (size_t)n) {
		n = send(sock, p, len, MSG_NOSIGNAL);
		if (n < 0)
			return -errno;
	}
	return 0;
}

/* In pieces of any size: a VMM has its own idea of what a page is. */
static int put_state(struct tapxfer_stream *stream, int sock)
{
	char buf[256];
	ssize_t n;
	int err;

	while ((n = tapxfer_state_pull(stream, buf, sizeof(buf))) > 0) {
		err = put(sock, buf, (size_t)n);
		if (err)
			return err;
	}
	/* all of it, and still true? */
	return n < 0 ? (int)n : tapxfer_state_check(stream);
}

static int put_stream(struct tapxfer *tx, int sock, struct head *head,
		      uint64_t takes)
{
	struct tapxfer_state_opts opts = {
		.size = sizeof(opts),
		.set = TAPXFER_STATE_OPT_TAKES,
		.takes = takes,
	};
	struct tail tail = { .guest_turned = guest_turned };
	struct tapxfer_stream *stream;
	int err;

	/* what the target cannot take is refused here, by its name */
	err = tapxfer_state_open(tx, head->id, TAPXFER_DIRECTION_SAVE,
				 TAPXFER_PHASE_STOPPED, &opts, &stream);
	if (err)
		return err;
	err = put(sock, head, sizeof(*head));
	if (!err)
		err = put_state(stream, sock);
	if (!err)
		err = put(sock, &tail, sizeof(tail));
	tapxfer_state_close(stream);
	return err;
}

/* 1 when the guest runs in the target now, 0 when it goes on here. */
static int move(struct tapxfer *tx, int sock, uint64_t takes)
{
	struct tapxfer_info *ho;
	struct head head = { 0 };
	int err;

	/* what arrives from here on waits in the kernel; the guest has stopped */
	err = tapxfer_hold(tx, 0, fds, QUEUES, &limits, &head.token, &ho);
	if (err) {
		fprintf(stderr, "cannot hold: %s\n", tapxfer_error(tx));
		return 0;
	}
	head.id = (uint32_t)tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_ID);
	tapxfer_info_free(ho);

	err = tapxfer_freeze_id(tx, head.id, &head.token, NULL, NULL);
	if (!err)
		err = put_stream(tx, sock, &head, takes);
	if (err)
		fprintf(stderr, "cannot hand over: %s\n",
			*tapxfer_error(tx) ? tapxfer_error(tx) :
					     strerror(-err));
	/* the target has looked at all, and has claimed: let go */
	if (!err &&
	    !(peer_says(sock, CLAIMED) && may_let_go(tx, head.id)))
		err = -EPIPE;
	if (!err) {
		tap_close(fds);
		if (!peer_says(sock, THAWED))
			err = -EPIPE;
	}
	if (err && fds[0] < 0)
		take_back(tx, head.id, &head.token, fds);
	else if (err)
		tapxfer_abort(tx, head.id, &head.token, NULL);
	tapxfer_token_wipe(&head.token);
	return !err;
}

static int hand_over(struct tapxfer *tx, const char *path)
{
	uint64_t takes;
	int sock, moved = 0;

	sock = peer_connect(path, SOCK_STREAM);
	if (sock < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(-sock));
		return 0;
	}
	/* told before anything is held */
	if (recv(sock, &takes, sizeof(takes), MSG_WAITALL) == sizeof(takes))
		moved = move(tx, sock, takes);
	if (!moved)
		fprintf(stderr, "the guest stays here\n");
	close(sock);
	return moved;
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
