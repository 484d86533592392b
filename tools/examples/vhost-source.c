// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A VMM that hands its tap and its vhost-net devices over, to a target that need
 * not have the right to open any.
 *
 *	vhost-source DEV SOCKET
 *
 * It runs a guest on DEV. At SIGUSR1 it connects to SOCKET, where vhost-target
 * listens, and hands over. If that fails the guest goes on here.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "handover.h"
#include "peer.h"
#include "vhost-move.h"

static int fds[QUEUES];
static struct vhost_vm vm;

/* All backends off, and the devices nobody's: 0 or -errno, and @tx has a text. */
static int stop_backends(struct tapxfer *tx, struct move *move)
{
	int q, err;

	for (q = 0; q < QUEUES; q++) {
		struct vhost_pair *p = &vm.pairs[q];

		err = tapxfer_vhost_stop(tx, &p->dev, &p->state);
		if (!err)
			err = tapxfer_vhost_release(tx, &p->dev);
		if (err)
			return err;
		move->states[q] = p->state;
	}
	return 0;
}

/*
 * Back to how it was. When the files are gone already, and the target too, the
 * kernel still has them: they are claimed like a target does.
 */
static void roll_back(struct tapxfer *tx, const struct move *move)
{
	int q;

	if (fds[0] < 0)
		take_back(tx, move->id, &move->token, fds);
	else
		tapxfer_abort(tx, move->id, &move->token, NULL);
	/*
	 * A target that was ready may have used some buffers. A backend that is
	 * still attached here has only to be asked.
	 */
	for (q = 0; q < QUEUES; q++) {
		struct vhost_pair *p = &vm.pairs[q];

		if (tapxfer_vhost_attached(tx, &p->dev) > 0)
			tapxfer_vhost_stop(tx, &p->dev, &p->state);
		else
			tapxfer_vhost_recover(tx, &p->dev, &p->state);
	}
	vhost_vm_start(tx, &vm, fds);
}

/* 1 when the guest runs in the target now, 0 when it goes on here. */
static int hand_over(struct tapxfer *tx, const char *path)
{
	struct move move = { 0 };
	struct tapxfer_info *ho;
	int sock, err;

	sock = peer_connect(path, SOCK_SEQPACKET);
	if (sock < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(-sock));
		return 0;
	}

	/*
	 * 1. Hold: what arrives waits, and what the backends give back has room.
	 * The guest has stopped.
	 */
	err = tapxfer_hold(tx, 0, fds, QUEUES, &limits, &move.token, &ho);
	if (err) {
		fprintf(stderr, "cannot hold: %s\n", tapxfer_error(tx));
		close(sock);
		return 0;
	}
	move.id = (uint32_t)tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_ID);
	tapxfer_info_free(ho);

	/* 2. The backends off, where they were read, the ownership given up */
	err = stop_backends(tx, &move);
	/* 3. Freeze: the settings are still from here on */
	if (!err)
		err = tapxfer_freeze_id(tx, move.id, &move.token, NULL, NULL);
	if (err)
		fprintf(stderr, "cannot hand over: %s\n", tapxfer_error(tx));
	/* 4. Everything to the target, which says when it has claimed */
	if (!err)
		err = move_send(sock, &move, &vm);
	if (!err && !(peer_says(sock, CLAIMED) && may_let_go(tx, move.id)))
		err = -EPIPE;
	/* 5. Let go of the files, or the thaw is refused */
	if (!err) {
		tap_close(fds);
		if (!peer_says(sock, THAWED))
			err = -EPIPE;
	}
	if (err) {
		fprintf(stderr, "the guest stays here\n");
		roll_back(tx, &move);
	}
	tapxfer_token_wipe(&move.token);
	close(sock);
	return !err;
}

int main(int argc, char **argv)
{
	struct tapxfer *tx;

	if (argc != 3)
		die(0, "usage: %s DEV SOCKET", argv[0]);
	signals_init();
	tx = tx_open();
	tap_open(argv[1], HDR, fds);
	vhost_vm_map(&vm, -1);
	vhost_vm_open(&vm);
	vhost_vm_start(tx, &vm, fds);
	do {
		printf("running\n");
		vhost_guest_run(&vm);
		if (end_wanted)
			return 0;
		move_wanted = 0;
	} while (!hand_over(tx, argv[2]));
	printf("moved\n");
	tapxfer_close(tx);
	return 0;
}
