// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A VMM that becomes a newer program: the process stays, with its descriptors.
 *
 *	exec-source DEV PROGRAM
 *
 * It runs a guest on DEV. At SIGUSR1 it becomes PROGRAM, which is exec-target or
 * any that knows what to do. If that fails the guest goes on here.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "handover.h"

static int fds[QUEUES];

/* It returns if it did not work. */
static void become(struct tapxfer *tx, char *program)
{
	char *const argv[] = { program, NULL };
	struct tapxfer_exec *ex = NULL;
	struct tapxfer_token token;
	struct tapxfer_info *ho;
	uint32_t id;
	int err;

	/* what arrives from here on waits in the kernel; the guest has stopped */
	err = tapxfer_hold(tx, 0, fds, QUEUES, &limits, &token, &ho);
	if (err) {
		fprintf(stderr, "cannot hold: %s\n", tapxfer_error(tx));
		return;
	}
	id = (uint32_t)tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_ID);
	tapxfer_info_free(ho);

	err = tapxfer_freeze_id(tx, id, &token, NULL, NULL);
	if (!err)
		err = tapxfer_exec_open(tx, &ex);
	if (!err)
		err = tapxfer_exec_add(ex, id, &token, fds, QUEUES);
	/* the guest's own memory and state pass in a memfd, too */
	if (!err)
		err = tapxfer_exec_prepare(ex);
	if (err) {
		fprintf(stderr, "cannot pass exec: %s\n", tapxfer_error(tx));
	} else {
		execv(program, argv);
		fprintf(stderr, "%s: %s\n", program, strerror(errno));
	}
	/* the descriptors are close-on-exec again, the environment is as before */
	tapxfer_exec_close(ex);
	if (tapxfer_abort(tx, id, &token, NULL))
		die(0, "cannot abort: %s", tapxfer_error(tx));
	tapxfer_token_wipe(&token);
}

int main(int argc, char **argv)
{
	struct tapxfer *tx;

	if (argc != 3)
		die(0, "usage: %s DEV PROGRAM", argv[0]);
	signals_init();
	tx = tx_open();
	tap_open(argv[1], 0, fds);
	while (guest_until_move(fds))
		become(tx, argv[2]);
	return 0;
}
