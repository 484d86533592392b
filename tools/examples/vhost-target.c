// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The VMM that takes over from vhost-source.
 *
 *	vhost-target SOCKET
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "handover.h"
#include "peer.h"
#include "vhost-move.h"

#define TRIES	500

static void answer(int sock, char what)
{
	if (!peer_tell(sock, what))
		die(errno, "the source is gone");
}

/* From here to the thaw: whatever fails, our end gives all of it back. */
static void take_over(struct tapxfer *tx, int sock, struct vhost_vm *vm)
{
	int fds[QUEUES], tries = TRIES, q, err;
	struct tapxfer_info *ho;
	struct move move;

	err = move_recv(sock, &move, vm);
	if (err)
		die(err, "nothing came that a source sends");
	err = tapxfer_claim(tx, move.id, &move.token, &ho);
	if (err)
		die(0, "cannot claim: %s", tapxfer_error(tx));
	if (tapxfer_info_fds(ho, fds, QUEUES) != QUEUES)
		die(0, "not %d queues", QUEUES);
	tapxfer_info_free(ho);
	/* all that a device needs but the queue: what is wrong shows now */
	for (q = 0; q < QUEUES; q++) {
		struct vhost_pair *p = &vm->pairs[q];

		err = tapxfer_vhost_setup(tx, &p->dev, &p->state);
		if (err)
			die(0, "cannot set up vhost-net: %s",
			    tapxfer_error(tx));
	}
	answer(sock, CLAIMED);

	/* the source closes its files now */
	do {
		err = tapxfer_ready(tx, move.id, &move.token, 0, NULL);
	} while (err == -EBUSY && --tries && !usleep(10000));
	if (err)
		die(0, "cannot get ready: %s", tapxfer_error(tx));
	for (q = 0; q < QUEUES; q++) {
		struct vhost_pair *p = &vm->pairs[q];

		p->dev.tap_fd = fds[q];
		err = tapxfer_vhost_attach(tx, &p->dev, &p->state);
		if (err)
			die(0, "cannot attach: %s", tapxfer_error(tx));
	}
	err = tapxfer_thaw(tx, move.id, &move.token, &ho);
	if (err)
		die(0, "cannot thaw: %s", tapxfer_error(tx));
	tapxfer_token_wipe(&move.token);
	answer(sock, THAWED);
	say_running(ho);
	tapxfer_info_free(ho);
}

int main(int argc, char **argv)
{
	static struct vhost_vm vm;
	struct tapxfer *tx;
	int sock;

	if (argc != 2)
		die(0, "usage: %s SOCKET", argv[0]);
	signals_init();
	tx = tx_open();
	sock = peer_listen(argv[1], SOCK_SEQPACKET);
	printf("listening\n");
	sock = peer_accept(sock, argv[1]);
	take_over(tx, sock, &vm);
	close(sock);
	tapxfer_close(tx);
	while (!end_wanted) {
		vhost_guest_run(&vm);
		move_wanted = 0;
	}
	return 0;
}
