// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * check: references to queue files. The kernel counts them in a handover, we
 * count descriptors.
 */
#include <stdio.h>
#include <stdlib.h>

#include "check.h"

/*
 * @mapped: the handover's queues are the process's files, in order, so that it
 * is known which descriptors are of which queue.
 */
static void check_references(struct check *c, const struct tapxfer_info *ho,
			     bool mapped)
{
	size_t i, n = tapxfer_info_count(ho, TAPXFER_A_HANDOVER_QUEUE);
	uint64_t references = 0, seen = 0, calls = 0, left, *unexplained;

	unexplained = xrealloc(NULL, n + 1, sizeof(*unexplained));
	for (i = 0; i < n; i++) {
		unexplained[i] = tapxfer_info_u64(
			tapxfer_info_nest(ho, TAPXFER_A_HANDOVER_QUEUE, i),
			TAPXFER_A_QUEUE_HOLDERS);
		references += unexplained[i];
	}
	for (i = 0; i < c->nholders; i++) {
		const struct holder *h = &c->holders[i];

		seen++;
		calls += callers_count(h->pid, h->fd);
		if (h->shared && h->queue < n && unexplained[h->queue])
			unexplained[h->queue]--;
	}
	left = references > seen ? references - seen : 0;
	if (left) {
		uint64_t vhost = check_vhost(c, mapped ? unexplained : NULL, n,
					     left);

		/* of a holder that could not be matched to its queue both count */
		left -= vhost < left ? vhost : left;
	}
	free(unexplained);
	if (!left)
		return;

	if (left <= calls)
		check_find(c, false, "calls",
			   "look again once the process has stopped, to be sure",
			   "references to queue files beyond the %llu descriptors: %llu, which calls that sleep (poll, read) can explain",
			   (unsigned long long)seen, (unsigned long long)left);
	else
		check_find(c, true, "unexplained-holders",
			   "take what is in flight from its socket, end io_uring requests, stop vhost-net's backends (two references a queue)",
			   "%llu reference%s to queue files that no process's descriptor explains%s",
			   (unsigned long long)(left - calls),
			   left - calls == 1 ? "" : "s",
			   c->unreadable ?
			   ", of a process that may not be looked into perhaps" : "");
}

/* Who would keep a claimed handover from its thaw, by the kernel's count. */
static void check_exclusive(struct check *c, const struct tapxfer_info *ho)
{
	size_t i, n = tapxfer_info_count(ho, TAPXFER_A_HANDOVER_QUEUE);
	uint64_t others, queues = 0, references = 0;
	char holders[768], vhost[256];

	c->claimant = (pid_t)tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_CLAIMANT);
	if (!c->claimant)
		return;
	for (i = 0; i < n; i++) {
		others = tapxfer_info_u64(
			tapxfer_info_nest(ho, TAPXFER_A_HANDOVER_QUEUE, i),
			TAPXFER_A_QUEUE_OTHERS);
		queues += !!others;
		references += others;
	}
	if (!references)
		return;

	check_holders_text(c, c->claimant, true, holders, sizeof(holders));
	if (!*holders && check_vhost_open(0, 0, vhost, sizeof(vhost)))
		snprintf(holders, sizeof(holders),
			 "a backend of vhost-net, which has two references a queue (%s)",
			 vhost);
	check_find(c, true, "not-exclusive",
		   "end these, have them close the files, or share these with them (thaw --shared)",
		   "others than the claimant, process %d, hold %llu of %zu queue files (%llu references), which a thaw refuses: %s",
		   (int)c->claimant, (unsigned long long)queues, n,
		   (unsigned long long)references,
		   *holders ? holders :
			      "no process that may be looked into");
}

static void close_queues(struct check *c)
{
	tapxfer_queues_close(c->queues);
	c->queues = NULL;
}

/* A handover up to where traffic would be touched, and back. */
static void check_try(struct check *c)
{
	struct tapxfer_opts opts = { .size = sizeof(opts) };
	struct tapxfer *tx = c->cli->tx;
	struct tapxfer_info *ho, *more;
	struct tapxfer_token token;
	uint32_t id;
	int err;

	if (c->args->given & KEY_HOLD)
		opts.set |= TAPXFER_OPT_HOLD;
	if (c->args->given & KEY_HOLD_BYTES)
		opts.set |= TAPXFER_OPT_HOLD_BYTES;
	if (c->args->given & KEY_DEADLINE)
		opts.set |= TAPXFER_OPT_DEADLINE;
	opts.hold = c->args->hold;
	opts.hold_bytes = c->args->hold_bytes;
	opts.deadline = c->args->deadline;

	err = tapxfer_prepare(tx, c->ifindex, tapxfer_queues_fds(c->queues),
			      c->found, &opts, &token, &ho);
	if (err) {
		check_find(c, true, "refused", "see the other findings, if any",
			   "the kernel: %s", tapxfer_error(tx));
		return;
	}
	id = (uint32_t)tapxfer_info_u64(ho, TAPXFER_A_HANDOVER_ID);
	tapxfer_info_free(ho);
	/* so that they do not count */
	close_queues(c);
	if (!tapxfer_handover_get(tx, id, &more)) {
		check_references(c, more, true);
		tapxfer_info_free(more);
	}
	err = tapxfer_abort(tx, id, &token, NULL);
	tapxfer_token_wipe(&token);
	if (err)
		check_find(c, false, "abort", "it ends by its deadline",
			   "handover %u, which was a try: %s", id, tapxfer_error(tx));
}

/* A handover that there is, or a try. */
void check_counts(struct check *c)
{
	struct tapxfer_info *ho;

	if (!c->cli->tx)
		return;
	if (c->handover) {
		close_queues(c);
		if (tapxfer_handover_get(c->cli->tx, c->handover, &ho))
			return;
		check_references(c, ho, false);
		check_exclusive(c, ho);
		tapxfer_info_free(ho);
	} else if ((c->args->given & KEY_TRY) && c->found && c->queues) {
		check_try(c);
	} else if (!(c->args->given & KEY_TRY) && c->found) {
		check_find(c, false, "not-counted",
			   "--try prepares a handover, which touches no traffic, counts and aborts it",
			   "what holds a queue file without a descriptor (vhost-net, a file in flight) is not seen from here");
	}
}
