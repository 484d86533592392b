// SPDX-License-Identifier: GPL-2.0-or-later
/* The steps that the kernel does: the handovers of all NICs, all or none. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "qemu.h"

/* As in end.c: a look into /proc/PID/fd holds a file for a moment. */
#define TRIES		50
#define TRY_NS		10000000

/* All that is done until the source goes is to end in time, with some left. */
static int deadline_look(struct qemu *m, const struct qemu_nic *nic)
{
	uint64_t now = qemu_now();
	struct tapxfer_info *ho;

	if (tapxfer_handover_get(m->cli->tx, nic->handover, &ho))
		return qemu_fail_call(m, nic);
	m->expires = now + tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_REMAINING) *
			   1000000;
	tapxfer_info_free(ho);
	m->source.limit = (int64_t)(m->expires / 1000000) - QEMU_LEFT_MS;
	m->target.limit = m->source.limit;
	return 0;
}

int qemu_prepare(struct qemu *m)
{
	struct tapxfer_queues *queues;
	struct tapxfer_opts opts;
	struct tapxfer_info *ho;
	struct qemu_nic *nic;
	int *fds, ret;

	opts_get(m->args, &opts);
	/* --timeout is for QEMU. */
	opts.set &= ~TAPXFER_OPT_TIMEOUT;
	/* a QEMU takes its time, and longer than usual may administrators alone */
	if (!(opts.set & TAPXFER_OPT_DEADLINE) && may_administer()) {
		opts.set |= TAPXFER_OPT_DEADLINE;
		opts.deadline = QEMU_DEADLINE_MS;
	}
	for_each_nic(nic, m) {
		fds = xrealloc(NULL, nic->nqueues, sizeof(*fds));
		ret = qemu_files(m, nic, &queues, fds);
		if (ret) {
			free(fds);
			return ret;
		}
		ret = tapxfer_prepare(m->cli->tx, nic->ifindex, fds,
				      nic->nqueues, &opts, &nic->token, &ho);
		/* the handover has references of its own */
		tapxfer_queues_close(queues);
		free(fds);
		if (ret)
			return qemu_fail_call(m, nic);
		nic->handover = (uint32_t)
			tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_ID);
		tapxfer_info_free(ho);
	}
	/* the first one's is the nearest */
	return deadline_look(m, m->nics);
}

int qemu_hold(struct qemu *m)
{
	struct qemu_nic *nic;

	for_each_nic(nic, m)
		if (tapxfer_hold_id(m->cli->tx, nic->handover, &nic->token,
				    NULL, NULL))
			return qemu_fail_call(m, nic);
	return 0;
}

int qemu_freeze(struct qemu *m)
{
	struct qemu_nic *nic;

	for_each_nic(nic, m)
		if (tapxfer_freeze_id(m->cli->tx, nic->handover, &nic->token,
				      NULL, NULL))
			return qemu_fail_call(m, nic);
	for_each_nic(nic, m)
		if (qemu_record(m, nic))
			return EXIT_KERNEL;
	return 0;
}

int qemu_claim_nic(struct qemu *m, struct qemu_nic *nic)
{
	struct tapxfer_info *ho;
	int err;

	err = tapxfer_claim(m->cli->tx, nic->handover, &nic->token, &ho);
	if (err)
		return err;
	nic->nfds = tapxfer_info_fds(ho, NULL, 0);
	nic->fds = xrealloc(nic->fds, nic->nfds, sizeof(*nic->fds));
	tapxfer_info_fds(ho, nic->fds, nic->nfds);
	tapxfer_info_free(ho);
	return 0;
}

int qemu_claim(struct qemu *m)
{
	struct qemu_nic *nic;

	for_each_nic(nic, m)
		if (qemu_claim_nic(m, nic))
			return qemu_fail_call(m, nic);
	return 0;
}

/* Those that were not passed on */
void qemu_close_fds(struct qemu_nic *nic)
{
	size_t i;

	for (i = 0; i < nic->nfds; i++)
		if (nic->fds[i] >= 0)
			close(nic->fds[i]);
	nic->nfds = 0;
}

/* One that has ended is there for some seconds still, with its rings. */
uint64_t qemu_state(struct qemu *m, const struct qemu_nic *nic)
{
	struct tapxfer_info *ho;
	uint64_t state;

	if (tapxfer_handover_get(m->cli->tx, nic->handover, &ho))
		return TAPXFER_STATE_DRAINING;
	state = tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_STATE);
	tapxfer_info_free(ho);
	return state;
}

/* Whether the handovers are the target's still, before there is no way back */
int qemu_live(struct qemu *m)
{
	const struct qemu_nic *nic;

	for_each_nic(nic, m)
		if (qemu_state(m, nic) != TAPXFER_STATE_CLAIMED)
			return qemu_fail(m,
					 "the handover of %s is over: its deadline, or somebody's abort",
					 nic->ifname);
	return qemu_in_time(m);
}

/* When the target has ended: which handovers were over before it was */
void qemu_look(struct qemu *m)
{
	struct qemu_nic *nic;

	for_each_nic(nic, m)
		nic->outlived = qemu_state(m, nic) == TAPXFER_STATE_DRAINING;
}

typedef int (*let_go_fn)(struct tapxfer *tx, uint32_t id,
			 const struct tapxfer_token *token, uint32_t flags,
			 struct tapxfer_info **ho);

/*
 * A QEMU that polls by io_uring has a reference of its own to each file, and nobody can
 * tell that from somebody else's. The guest waits: who else there is can be seen later.
 */
static bool is_polled(struct qemu *m, const struct qemu_nic *nic)
{
	const struct tapxfer_info *queue;
	struct tapxfer_info *ho;
	uint64_t most = 0, others;
	size_t i = 0;

	if (!m->uring ||
	    tapxfer_handover_get(m->cli->tx, nic->handover, &ho))
		return false;
	while ((queue = tapxfer_info_nest(ho, TAPXFER_A_HANDOVER_QUEUE, i++))) {
		others = tapxfer_info_u64(queue, TAPXFER_A_QUEUE_OTHERS);
		most = others > most ? others : most;
	}
	tapxfer_info_free(ho);
	return most <= 1;
}

/* When the guest runs: it was but the target's polls, if nobody else has a descriptor. */
void qemu_look_after(struct qemu *m)
{
	const struct qemu_nic *nic;
	pid_t pid;
	int fd;

	for_each_nic(nic, m) {
		if (!nic->polled)
			continue;
		if (qemu_others(m, nic, m->target.pid, &pid, &fd))
			qemu_note(m,
				  "%s is shared, and who has it cannot be seen: %s",
				  nic->ifname, tapxfer_error(m->cli->tx));
		else if (pid)
			qemu_note(m,
				  "%s is shared: process %d has a queue of it too (descriptor %d)",
				  nic->ifname, (int)pid, fd);
	}
}

/*
 * The source has gone, so the guest is better off with a queue file in somebody
 * else's hands than without its network: that is told, and gone past.
 */
static int let_go(struct qemu *m, struct qemu_nic *nic, let_go_fn fn,
		  struct tapxfer_info **ho)
{
	const struct timespec wait = { .tv_nsec = TRY_NS };
	uint32_t flags = m->args->given & KEY_SHARED ? TAPXFER_THAW_SHARED : 0;
	int tries = TRIES, err;
	char why[256];

	for (;;) {
		err = fn(m->cli->tx, nic->handover, &nic->token, flags, ho);
		if (err != -EBUSY || flags)
			break;
		snprintf(why, sizeof(why), "%s", tapxfer_error(m->cli->tx));
		if (is_polled(m, nic)) {
			nic->polled = true;
			flags = TAPXFER_THAW_SHARED;
			continue;
		}
		if (--tries && qemu_left(m, QEMU_THAW_MS)) {
			nanosleep(&wait, NULL);
			continue;
		}
		flags = TAPXFER_THAW_SHARED;
		qemu_note(m, "%s is shared: %s; 'tapxfer check %s' shows who",
			  nic->ifname, why, nic->ifname);
	}
	return err ? qemu_fail_call(m, nic) : 0;
}

int qemu_ready(struct qemu *m)
{
	struct qemu_nic *nic;
	int ret = 0;

	for_each_nic(nic, m)
		if (let_go(m, nic, tapxfer_ready, NULL))
			ret = EXIT_KERNEL;
	return ret;
}

int qemu_thaw(struct qemu *m)
{
	struct qemu_nic *nic;
	int ret = 0;

	for_each_nic(nic, m) {
		/* the thaw tells of all queues together only */
		tapxfer_handover_get(m->cli->tx, nic->handover, &nic->queues);
		if (let_go(m, nic, tapxfer_thaw_flags, &nic->result))
			ret = EXIT_KERNEL;
		else
			nic->handover = 0;
	}
	m->expires = 0;
	m->target.limit = 0;
	return ret;
}

/* The source's files are as they were, and so is what they are to read. */
void qemu_abort_nic(struct qemu *m, struct qemu_nic *nic)
{
	int err;

	qemu_close_fds(nic);
	if (!nic->handover)
		return;
	err = tapxfer_abort(m->cli->tx, nic->handover, &nic->token,
			    &nic->result);
	nic->handover = 0;
	if (err && err != -ENOENT)
		qemu_note(m, "%s is held until the deadline: %s", nic->ifname,
			  tapxfer_error(m->cli->tx));
	/* one that is over is put back, as it was then */
	if (nic->outlived) {
		m->expired = true;
		qemu_restore(m, nic);
	}
}

void qemu_abort(struct qemu *m)
{
	struct qemu_nic *nic;

	for_each_nic(nic, m)
		qemu_abort_nic(m, nic);
}
