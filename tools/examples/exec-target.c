// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What exec-source becomes.
 *
 *	exec-target
 */
#include <errno.h>
#include <stdio.h>

#include <tapxfer/tapxfer.h>

#include "handover.h"

static void go_on(struct tapxfer *tx, int fds[QUEUES])
{
	const struct tapxfer_token *token;
	const struct tapxfer_info *state;
	struct tapxfer_exec *ex;
	struct tapxfer_info *ho;
	const char *why;
	uint32_t id;
	int err;

	if (tapxfer_exec_restore(tx, &ex))
		die(0, "cannot go on: %s", tapxfer_error(tx));
	if (tapxfer_exec_count(ex) != 1)
		die(0, "one card is all that this VMM has");
	state = tapxfer_exec_state(ex, 0);
	token = tapxfer_exec_token(ex, 0);
	id = (uint32_t)tapxfer_info_u64(state, TAPXFER_A_HANDOVER_ID);
	why = unfit(state);
	if (why)
		die(0, "%s", why);
	tapxfer_info_fds(state, fds, QUEUES);

	/* the descriptors are here: the claim brings the right to go on */
	err = tapxfer_claim_flags(tx, id, token, TAPXFER_CLAIM_NO_FDS, &ho);
	if (!err) {
		tapxfer_info_free(ho);
		/* a guest would be loaded, and the files be set up, here */
		err = thaw_alone(tx, id, token, &ho);
	}
	/* past the deadline: packets flow again, into queues that are ours */
	if (err == -ENOENT)
		printf("running, too late to hold packets\n");
	else if (err)
		die(0, "cannot go on: %s", tapxfer_error(tx));
	else
		say_running(ho);
	tapxfer_info_free(ho);
	tapxfer_exec_close(ex);
}

int main(void)
{
	struct tapxfer *tx;
	int fds[QUEUES];

	signals_init();
	tx = tx_open();
	go_on(tx, fds);
	tapxfer_close(tx);
	guest_until_end(fds);
	return 0;
}
