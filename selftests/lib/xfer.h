/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A test's handover, by way of libtapxfer.
 */
#ifndef SELFTESTS_XFER_H
#define SELFTESTS_XFER_H

#include <stdint.h>

#include <tapxfer/tapxfer.h>

#include "genl.h"
#include "tap.h"

struct xfer {
	struct tapxfer *tx;
	uint32_t id;
	struct tapxfer_token token;
	/* what the last command that answered told, freed with the next one */
	struct tapxfer_info *info;
};

/* A handle for the network namespace that we are in: 0 or -errno. */
int xfer_open(struct xfer *x);
/* Aborts what is left of it. */
void xfer_close(struct xfer *x);

/*
 * The deadline, where a test does not care: later than a slow machine needs, and
 * not above what may be asked for.
 */
#define XFER_PATIENCE_MS	xfer_patience_ms()
uint32_t xfer_patience_ms(void);

/* From the tap's files to that state; @hold, @deadline: 0 for a default. */
int xfer_begin(struct xfer *x, const struct tap *tap, enum tapxfer_state state,
	       uint32_t hold, uint32_t deadline);
/* The same with a bound in bytes, 0 for the default, by the command @cmd. */
int xfer_begin_raw(struct xfer *x, struct genl *g, const struct tap *tap,
		   uint8_t cmd, uint32_t hold, uint64_t bytes,
		   uint32_t deadline);
/* The commands on the handover: 0 or -errno. */
int xfer_hold(struct xfer *x);
int xfer_freeze(struct xfer *x);
/* Again and again, as long as something in flight does not end in time. */
int xfer_freeze_patiently(struct xfer *x);
int xfer_freeze_within(struct xfer *x, uint32_t timeout_ms);
/* The claimed files, in order, become @tap's. */
int xfer_claim(struct xfer *x, struct tap *tap);
/* Exclusive: the claimant has to have the files for itself. */
int xfer_thaw(struct xfer *x);
int xfer_thaw_shared(struct xfer *x);
/* @flags: TAPXFER_THAW_* */
int xfer_ready(struct xfer *x, uint32_t flags);
int xfer_abort(struct xfer *x);
/* Claim, thaw shared, and close the files that were claimed. */
int xfer_finish(struct xfer *x);

/* Ask for it: 0 or -errno, in x->info. */
int xfer_get(struct xfer *x);
/* Its state, or -errno: -ENOENT when it is gone. */
int xfer_state(struct xfer *x);
/* Live, or gone: drained or draining. */
bool xfer_is_live(struct xfer *x);

/* An attribute of the handover, of its device, of its queue @q: of x->info */
uint64_t xfer_u64(const struct xfer *x, unsigned int attr);
uint64_t xfer_dev_u64(const struct xfer *x, unsigned int attr);
uint64_t xfer_queue_u64(const struct xfer *x, int q, unsigned int attr);

/* Why the last command failed, as the kernel said, or "". */
const char *xfer_why(const struct xfer *x);

#endif /* SELFTESTS_XFER_H */
