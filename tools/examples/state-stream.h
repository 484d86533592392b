/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The migration stream of state-source and state-target: struct head, the tap's
 * state, which says itself how long it is, and struct tail. Before it the target
 * sends what states it takes, a uint64_t.
 */
#ifndef EXAMPLES_STATE_STREAM_H
#define EXAMPLES_STATE_STREAM_H

#include <tapxfer/tapxfer.h>

struct head {
	uint32_t id;
	struct tapxfer_token token;
};

/* What these VMMs would have of a guest's memory and devices */
struct tail {
	uint64_t guest_turned;
};

#endif /* EXAMPLES_STATE_STREAM_H */
