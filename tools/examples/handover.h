/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the examples have in common of a handover.
 */
#ifndef EXAMPLES_HANDOVER_H
#define EXAMPLES_HANDOVER_H

#include <tapxfer/tapxfer.h>

#include "common.h"

/*
 * A handover that has not ended by then is aborted by the kernel, and a peer that
 * says nothing for so long has failed. A slow machine needs a while.
 */
#define DEADLINE_MS	120000
#define TIMEOUT_MS	20000

extern const struct tapxfer_opts limits;

/* The family's socket; or it ends with a message. */
struct tapxfer *tx_open(void);

/*
 * Whether a VMM of these can go on with what was claimed, which is what the
 * guest was promised: NULL, or why not.
 */
const char *unfit(const struct tapxfer_info *ho);

/*
 * Thaw, when nobody else has the files any more: the source closes its own, and
 * who looks into /proc has one for a moment. @ho and what it returns are those of
 * tapxfer_thaw().
 */
int thaw_alone(struct tapxfer *tx, uint32_t id,
	       const struct tapxfer_token *token, struct tapxfer_info **ho);

/*
 * Whether the source may close its files: the target has claimed them, and there
 * is time for it to thaw. If the handover ended first the files would be gone.
 */
int may_let_go(struct tapxfer *tx, uint32_t id);

/*
 * For a source that has closed its files and has lost its target: do what a
 * target does. It ends with a message where that fails.
 */
void take_back(struct tapxfer *tx, uint32_t id,
	       const struct tapxfer_token *token, int fds[QUEUES]);

/* "running, N packets were held" */
void say_running(const struct tapxfer_info *ho);

#endif /* EXAMPLES_HANDOVER_H */
