// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Back to a source with vhost-net. It begins anew at the source's "cont", and wants its
 * files unfenced then; but what a QEMU has read itself before that, it throws away. So
 * its packets go on waiting until it runs, as they would for a target.
 */
#include "qemu.h"

/* For the kernel to see that a process has ended */
#define TRIES		50
#define TRY_NS		10000000

/* A target's claim ends with it, soon, and so does what it has set. */
static uint64_t settled_state(struct qemu *m, const struct qemu_nic *nic)
{
	int tries = m->ended_target ? TRIES : 0;
	uint64_t state;

	while ((state = qemu_state(m, nic)) == TAPXFER_STATE_CLAIMED && tries--)
		qemu_nap(TRY_NS);
	return state;
}

/* Claimed by this process, and unfenced, from wherever it is */
static int unfence(struct qemu *m, struct qemu_nic *nic)
{
	struct tapxfer *tx = m->cli->tx;
	uint64_t state = settled_state(m, nic);
	int err = 0;

	if (state == TAPXFER_STATE_HOLDING)
		err = tapxfer_freeze_id(tx, nic->handover, &nic->token, NULL,
					NULL);
	if (!err && state != TAPXFER_STATE_CLAIMED)
		err = qemu_claim_nic(m, nic);
	qemu_close_fds(nic);
	/* the source has its files, too */
	return err ? err : tapxfer_ready(tx, nic->handover, &nic->token,
					 TAPXFER_THAW_SHARED, NULL);
}

/* Before the source is told to go on; those of it without vhost-net keep what they read. */
void qemu_back(struct qemu *m)
{
	struct qemu_nic *nic;

	for_each_nic(nic, m) {
		if (nic->vhost && nic->handover && !nic->outlived &&
		    !qmp_ended(&m->source)) {
			if (!unfence(m, nic))
				continue;
			qemu_note(m, "%s may lose a packet a queue: %s",
				  nic->ifname, tapxfer_error(m->cli->tx));
		}
		qemu_abort_nic(m, nic);
	}
}

/* And after it */
void qemu_back_done(struct qemu *m)
{
	struct qemu_nic *nic;

	for_each_nic(nic, m)
		if (nic->handover &&
		    !tapxfer_thaw_flags(m->cli->tx, nic->handover, &nic->token,
					TAPXFER_THAW_SHARED, NULL))
			nic->handover = 0;
}
