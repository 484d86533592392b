// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The tap's settings, for a deadline that was there before the undo: the kernel has put
 * back what it knew then, but a target that had files went on to set what it wanted,
 * on the live device. A stopped source sets none of it again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "qemu.h"

/* Once it is frozen, and before anybody has claimed it */
int qemu_record(struct qemu *m, struct qemu_nic *nic)
{
	char bytes[4096];
	ssize_t n;

	if (tapxfer_state_open(m->cli->tx, nic->handover,
			       TAPXFER_DIRECTION_SAVE, TAPXFER_PHASE_STOPPED,
			       NULL, &nic->record))
		return qemu_fail_call(m, nic);
	/* it is of use from its end on; the bytes are not */
	do
		n = tapxfer_state_pull(nic->record, bytes, sizeof(bytes));
	while (n > 0);
	return n ? qemu_fail_call(m, nic) : 0;
}

/* Settings are for queues that stand still: claimed, by us this time. */
static int restore_claimed(struct qemu *m, struct qemu_nic *nic, uint32_t id,
			   const struct tapxfer_token *token)
{
	struct tapxfer_info *ho;
	size_t i, n;
	int *fds, err;

	err = tapxfer_claim(m->cli->tx, id, token, &ho);
	if (err)
		return err;
	n = tapxfer_info_fds(ho, NULL, 0);
	fds = xrealloc(NULL, n, sizeof(*fds));
	tapxfer_info_fds(ho, fds, n);
	tapxfer_info_free(ho);
	err = tapxfer_state_apply(nic->record, nic->ifindex, fds, n);
	for (i = 0; i < n; i++)
		close(fds[i]);
	free(fds);
	/* the source has its files, too */
	return err ? err : tapxfer_thaw_flags(m->cli->tx, id, token,
					      TAPXFER_THAW_SHARED, NULL);
}

static void note(struct qemu *m, const struct qemu_nic *nic, const char *why)
{
	qemu_note(m, "%s may have settings of the target's: %s", nic->ifname,
		  why);
}

static void restore(struct qemu *m, struct qemu_nic *nic, const int *fds)
{
	struct tapxfer_token token;
	struct tapxfer_info *ho;
	uint32_t id;

	if (tapxfer_freeze(m->cli->tx, nic->ifindex, fds, nic->nqueues, NULL,
			   &token, &ho)) {
		note(m, nic, tapxfer_error(m->cli->tx));
		return;
	}
	id = (uint32_t)tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_ID);
	tapxfer_info_free(ho);
	if (restore_claimed(m, nic, id, &token)) {
		note(m, nic, tapxfer_error(m->cli->tx));
		tapxfer_abort(m->cli->tx, id, &token, NULL);
	}
	tapxfer_token_wipe(&token);
}

/* After the target has ended, and before the source goes on */
void qemu_restore(struct qemu *m, struct qemu_nic *nic)
{
	struct tapxfer_queues *queues;
	int *fds;

	if (!nic->record || qmp_ended(&m->source))
		return;
	fds = xrealloc(NULL, nic->nqueues, sizeof(*fds));
	if (qemu_files(m, nic, &queues, fds)) {
		note(m, nic, "the source's files of its queues are not to be had");
	} else {
		restore(m, nic, fds);
		tapxfer_queues_close(queues);
	}
	free(fds);
}
