// SPDX-License-Identifier: GPL-2.0
/*
 * Messages that are right, and take a handover from one state to the next.
 */
#include <linux/netlink.h>

#include "fuzz_right.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

void fuzz_add_begin(struct fuzz_msg *m, struct rng *r,
		    const struct fuzz_dev *dev)
{
	static const uint32_t holds[] = { 1, 8, 64, 1000, 1024, 4096, 16384 };
	uint64_t bytes = 1 << (12 + rng_below(r, 16));
	int i, first = rng_below(r, dev->tap.n);

	fuzz_msg_u32(m, TAPXFER_A_HANDOVER_IFINDEX, dev->tap.ifindex);
	for (i = 0; i < dev->tap.n; i++)
		fuzz_msg_u32(m, TAPXFER_A_HANDOVER_FD,
			     dev->tap.fds[(first + i) % dev->tap.n]);
	if (rng_chance(r, 40))
		fuzz_msg_u32(m, TAPXFER_A_HANDOVER_HOLD,
			     holds[rng_below(r, ARRAY_SIZE(holds))]);
	if (rng_chance(r, 15))
		fuzz_msg_add(m, TAPXFER_A_HANDOVER_HOLD_BYTES, &bytes,
			     sizeof(bytes));
	/* one that passes, one that does not */
	if (rng_chance(r, 10))
		fuzz_msg_u32(m, TAPXFER_A_HANDOVER_DEADLINE,
			     1 + rng_below(r, 30));
	else if (rng_chance(r, 20))
		fuzz_msg_u32(m, TAPXFER_A_HANDOVER_DEADLINE, 9999);
}

static void add_go_on(struct fuzz_msg *m, const struct fuzz_ho *ho)
{
	fuzz_msg_u32(m, TAPXFER_A_HANDOVER_ID, ho->id);
	fuzz_msg_add(m, TAPXFER_A_HANDOVER_TOKEN, ho->token,
		     TAPXFER_TOKEN_LEN);
}

static void add_scratch(struct fuzz_msg *m, struct rng *r)
{
	uint64_t addr = FUZZ_SCRATCH +
			rng_below(r, FUZZ_SCRATCH_LEN - TAPXFER_SCRATCH_LEN);

	fuzz_msg_add(m, TAPXFER_A_HANDOVER_SCRATCH, &addr, sizeof(addr));
}

static void add_brief(struct fuzz_msg *m, struct rng *r)
{
	if (rng_chance(r, 40))
		fuzz_msg_add(m, TAPXFER_A_HANDOVER_BRIEF, "", 0);
}

static void add_options(const struct fuzz *f, struct fuzz_msg *m, struct rng *r,
			const struct fuzz_dev *dev)
{
	if (m->cmd == TAPXFER_CMD_FREEZE || m->cmd == TAPXFER_CMD_CLAIM)
		add_brief(m, r);
	switch (m->cmd) {
	case TAPXFER_CMD_FREEZE:
	case TAPXFER_CMD_DRAIN:
		if (rng_chance(r, 30))
			fuzz_msg_u32(m, TAPXFER_A_HANDOVER_TIMEOUT,
				     rng_below(r, 1001));
		break;
	case TAPXFER_CMD_CLAIM:
		if (rng_chance(r, 30))
			fuzz_msg_add(m, TAPXFER_A_HANDOVER_NO_FDS, "", 0);
		if (rng_chance(r, 30))
			fuzz_msg_u32(m, TAPXFER_A_HANDOVER_NUM_QUEUES,
				     dev->tap.n);
		if (rng_chance(r, 30)) {
			fuzz_msg_add(m, TAPXFER_A_HANDOVER_ATTACH_ALL, "", 0);
			break;
		}
		if (!rng_chance(r, 20))
			break;
		fuzz_msg_add(m, TAPXFER_A_HANDOVER_THAW, "", 0);
		if (rng_chance(r, 65))
			fuzz_msg_add(m, TAPXFER_A_HANDOVER_SHARED, "", 0);
		break;
	case TAPXFER_CMD_READY:
	case TAPXFER_CMD_THAW:
		if (rng_chance(r, 65))
			fuzz_msg_add(m, TAPXFER_A_HANDOVER_SHARED, "", 0);
		break;
	case TAPXFER_CMD_PASS:
		fuzz_msg_u32(m, TAPXFER_A_HANDOVER_PID, rng_chance(r, 85) ?
			     (uint32_t)f->actors[rng_below(r, ACTORS)].pid :
			     1 + rng_below(r, 400));
		return;
	case TAPXFER_CMD_ABORT:
		return;
	}
	if (m->cmd != TAPXFER_CMD_DRAIN && rng_chance(r, 50))
		add_scratch(m, r);
}

/* What comes next, by percent; the state of no handover is 0. */
static const struct choice {
	uint8_t cmd, percent;
} steps[][5] = {
	[0] = {
		{ TAPXFER_CMD_PREPARE, 45 }, { TAPXFER_CMD_HOLD, 20 },
		{ TAPXFER_CMD_FREEZE, 35 },
	},
	[TAPXFER_STATE_PREPARED] = {
		{ TAPXFER_CMD_HOLD, 50 }, { TAPXFER_CMD_FREEZE, 40 },
		{ TAPXFER_CMD_ABORT, 10 },
	},
	[TAPXFER_STATE_HOLDING] = {
		{ TAPXFER_CMD_FREEZE, 88 }, { TAPXFER_CMD_ABORT, 12 },
	},
	[TAPXFER_STATE_FROZEN] = {
		{ TAPXFER_CMD_CLAIM, 65 }, { TAPXFER_CMD_DRAIN, 25 },
		{ TAPXFER_CMD_ABORT, 10 },
	},
	[TAPXFER_STATE_CLAIMED] = {
		{ TAPXFER_CMD_READY, 35 }, { TAPXFER_CMD_THAW, 30 },
		{ TAPXFER_CMD_PASS, 15 }, { TAPXFER_CMD_DRAIN, 10 },
		{ TAPXFER_CMD_ABORT, 10 },
	},
	[TAPXFER_STATE_READY] = {
		{ TAPXFER_CMD_THAW, 65 }, { TAPXFER_CMD_PASS, 20 },
		{ TAPXFER_CMD_ABORT, 15 },
	},
};

void fuzz_make_step(const struct fuzz *f, struct fuzz_msg *m, struct rng *r,
		    const struct fuzz_dev *dev)
{
	const struct choice *c = steps[dev->ho ? dev->ho->state : 0];
	unsigned int dice = rng_below(r, 100);

	while (dice >= c->percent)
		dice -= c++->percent;
	fuzz_msg_init(m, f->actors[0].family, c->cmd);
	if (dev->ho)
		add_go_on(m, dev->ho);
	else
		fuzz_add_begin(m, r, dev);
	add_options(f, m, r, dev);
}

void fuzz_make_question(const struct fuzz *f, struct fuzz_msg *m, struct rng *r,
			const struct fuzz_spare *spare, int actor,
			const struct fuzz_dev *dev)
{
	static const uint8_t cmds[] = {
		TAPXFER_CMD_CAP_GET, TAPXFER_CMD_DEV_GET,
		TAPXFER_CMD_HANDOVER_GET,
	};

	fuzz_msg_init(m, f->actors[0].family,
		      cmds[rng_below(r, ARRAY_SIZE(cmds))]);
	if (m->cmd != TAPXFER_CMD_CAP_GET && rng_chance(r, 30)) {
		m->flags |= NLM_F_DUMP;
	} else if (m->cmd == TAPXFER_CMD_DEV_GET) {
		fuzz_msg_u32(m, TAPXFER_A_DEV_IFINDEX, dev->tap.ifindex);
		/* A file's state is not told in a handover. */
		if (!dev->ho && dev->actors & 1 << actor && rng_chance(r, 50))
			fuzz_msg_u32(m, TAPXFER_A_DEV_FD,
				     dev->tap.fds[rng_below(r, dev->tap.n)]);
	} else if (m->cmd == TAPXFER_CMD_HANDOVER_GET) {
		fuzz_msg_u32(m, TAPXFER_A_HANDOVER_ID,
			     dev->ho ? dev->ho->id : spare->ids[0]);
	}
}

void fuzz_make_untimely(struct fuzz *f, struct fuzz_msg *m, struct rng *r,
			const struct fuzz_spare *spare,
			const struct fuzz_dev *dev)
{
	const struct fuzz_ho *ho = dev->ho;

	if (spare->nids && (!ho || rng_chance(r, 40)))
		ho = fuzz_ho(f, spare->ids[rng_below(r, spare->nids)]);
	fuzz_msg_init(m, f->actors[0].family, TAPXFER_CMD_PREPARE +
		      rng_below(r, TAPXFER_CMD_MAX + 1 - TAPXFER_CMD_PREPARE));
	if (ho && m->cmd != TAPXFER_CMD_PREPARE)
		add_go_on(m, ho);
	else
		fuzz_add_begin(m, r, dev);
	/* without the token, or the last queue */
	if (rng_chance(r, 25))
		m->n--;
	add_options(f, m, r, dev);
}
