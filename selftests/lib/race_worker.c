// SPDX-License-Identifier: GPL-2.0
/*
 * Workers: whoever comes first begins a device's handover and tells its token,
 * and then all of them go on with it, mostly as one would, and often not.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "race.h"
#include "util.h"

struct worker {
	struct race *r;
	uint64_t rnd;
	struct xfer x;
	struct genl g;
	struct tap claimed;
};

/* In one message; the library makes two of it. */
static const struct {
	uint8_t cmd;
	enum tapxfer_state state;
} begins[] = {
	[RACE_PREPARE] = { TAPXFER_CMD_PREPARE, TAPXFER_STATE_PREPARED },
	[RACE_BEGIN_HOLD] = { TAPXFER_CMD_HOLD, TAPXFER_STATE_HOLDING },
	[RACE_BEGIN_FREEZE] = { TAPXFER_CMD_FREEZE, TAPXFER_STATE_FROZEN },
};

/* A command that worked: the state after it; 0: as before */
static const enum tapxfer_state leads_to[RACE_CMDS] = {
	[RACE_HOLD]		= TAPXFER_STATE_HOLDING,
	[RACE_FREEZE]		= TAPXFER_STATE_FROZEN,
	[RACE_CLAIM]		= TAPXFER_STATE_CLAIMED,
	[RACE_CLAIM_NO_FDS]	= TAPXFER_STATE_CLAIMED,
	[RACE_CLAIM_THAW]	= TAPXFER_STATE_DRAINING,
	[RACE_READY]		= TAPXFER_STATE_READY,
	[RACE_THAW]		= TAPXFER_STATE_DRAINING,
	[RACE_THAW_EXCLUSIVE]	= TAPXFER_STATE_DRAINING,
	[RACE_ABORT]		= TAPXFER_STATE_DRAINING,
};

#define RACE_NEXT	5

/* What goes on from each state; 0, a prepare, ends the list */
static const enum race_cmd goes_on[][RACE_NEXT] = {
	[TAPXFER_STATE_PREPARED] = { RACE_HOLD, RACE_FREEZE },
	[TAPXFER_STATE_HOLDING]	= { RACE_FREEZE },
	[TAPXFER_STATE_FROZEN]	= { RACE_CLAIM, RACE_CLAIM, RACE_CLAIM_NO_FDS,
				    RACE_CLAIM_THAW, RACE_DRAIN },
	[TAPXFER_STATE_CLAIMED]	= { RACE_THAW, RACE_READY, RACE_READY,
				    RACE_PASS },
	[TAPXFER_STATE_READY]	= { RACE_THAW, RACE_THAW, RACE_PASS },
	[TAPXFER_STATE_DRAINING] = { RACE_GET },
};

static uint32_t pick_hold(struct worker *w, int dev)
{
	static const uint32_t holds[] = { 0, 1024, 4000 };
	static const uint32_t small[] = { 0, 100, 700, 2000 };

	return race_specs[dev].small_holds ? small[race_rnd(&w->rnd, 4)] :
					     holds[race_rnd(&w->rnd, 3)];
}

/* Bytes that are held, of packets that take 800 each or so; 0: more than enough */
static uint64_t pick_bytes(struct worker *w, int dev)
{
	if (!race_specs[dev].small_holds || race_rnd(&w->rnd, 2))
		return 0;
	return 1 + race_rnd(&w->rnd, 1 << 20);
}

/* One in ten passes before anyone can go on. */
static uint32_t pick_deadline(struct worker *w)
{
	return race_rnd(&w->rnd, 10) ? 200 + race_rnd(&w->rnd, 1500) :
				       1 + race_rnd(&w->rnd, 15);
}

struct search {
	int ifindex;
	uint32_t id;
};

static int find_live(const struct tapxfer_info *info, void *data)
{
	struct search *s = data;

	if (tapxfer_info_u64(info, TAPXFER_A_HANDOVER_IFINDEX) ==
	    (uint64_t)s->ifindex &&
	    tapxfer_info_u64(info, TAPXFER_A_HANDOVER_STATE) !=
	    TAPXFER_STATE_DRAINING)
		s->id = tapxfer_info_u64(info, TAPXFER_A_HANDOVER_ID);
	return 0;
}

/* Its token died with the worker that had it. */
static void abort_unknown(struct worker *w, int dev)
{
	struct search s = { .ifindex = w->r->taps[dev].ifindex };
	int err;

	if (tapxfer_handover_list(w->x.tx, find_live, &s) || !s.id)
		return;
	err = tapxfer_abort(w->x.tx, s.id, NULL, NULL);
	race_count(w->r, RACE_ABORT_ADMIN, err, xfer_why(&w->x));
}

static void begin(struct worker *w, int dev)
{
	enum race_cmd cmd = race_rnd(&w->rnd, 3);
	int err;

	err = xfer_begin_raw(&w->x, &w->g, &w->r->taps[dev], begins[cmd].cmd,
			     pick_hold(w, dev), pick_bytes(w, dev),
			     pick_deadline(w));
	race_count(w->r, cmd, err, w->g.msg);
	if (!err)
		race_publish(w->r, dev, &w->x, begins[cmd].state);
	else if (err == -EBUSY && !race_get(&w->r->slots[dev].id) &&
		 !race_rnd(&w->rnd, 16))
		abort_unknown(w, dev);
}

/* As a VMM that starts, but with settings that harm no one when they apply. */
static void set_something(struct worker *w)
{
	int hdr = 12, le = race_rnd(&w->rnd, 2), val;
	int fd = w->claimed.fds[race_rnd(&w->rnd, w->claimed.n)];

	if (race_rnd(&w->rnd, 2)) {
		ioctl(fd, TUNSETVNETHDRSZ, &hdr);
		ioctl(fd, TUNSETVNETLE, &le);
		ioctl(fd, TUNSETOFFLOAD,
		      TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6);
	}
	ioctl(fd, TUNGETSNDBUF, &val);
	ioctl(fd, TUNGETVNETHDRSZ, &val);
	if (!race_rnd(&w->rnd, 4))
		tap_set_nonblock(&w->claimed, race_rnd(&w->rnd, 2));
}

static int claim(struct worker *w)
{
	int err;

	tap_close(&w->claimed);
	err = xfer_claim(&w->x, &w->claimed);
	if (err)
		return err;
	if (race_rnd(&w->rnd, 2))
		set_something(w);
	if (race_rnd(&w->rnd, 2))
		tap_close(&w->claimed);
	return 0;
}

/* The files may be had otherwise. */
static int claim_no_fds(struct worker *w)
{
	struct tapxfer_info *info;
	int err;

	err = tapxfer_claim_flags(w->x.tx, w->x.id, &w->x.token,
				  TAPXFER_CLAIM_NO_FDS, &info);
	tapxfer_info_free(info);
	return err;
}

/* Others have the files, mostly. How many they are the reply tells. */
static int claim_thaw(struct worker *w)
{
	const struct nlattr *fds;
	size_t i;
	int err;

	genl_go_on(&w->g, TAPXFER_CMD_CLAIM, w->x.id, w->x.token.bytes);
	mnl_attr_put(w->g.req, TAPXFER_A_HANDOVER_THAW, 0, NULL);
	if (race_rnd(&w->rnd, 4))
		mnl_attr_put(w->g.req, TAPXFER_A_HANDOVER_SHARED, 0, NULL);
	err = genl_talk(&w->g);
	if (err)
		return err;
	fds = genl_attr(&w->g, TAPXFER_A_HANDOVER_FDS);
	for (i = 0; i < mnl_attr_get_payload_len(fds) / sizeof(int); i++)
		close(((const int *)mnl_attr_get_payload(fds))[i]);
	return 0;
}

static int pass(struct worker *w)
{
	pid_t pid = race_get(&w->r->workers[race_rnd(&w->rnd, RACE_WORKERS)]);
	int pidfd = syscall(SYS_pidfd_open, pid, 0);
	int err;

	if (pidfd < 0)
		return -ESRCH;
	err = tapxfer_pass(w->x.tx, w->x.id, &w->x.token, pidfd, NULL);
	close(pidfd);
	return err;
}

static int do_cmd(struct worker *w, enum race_cmd cmd)
{
	static const uint32_t timeouts[] = { 0, 5, 200, 1000 };

	switch (cmd) {
	case RACE_HOLD:
		return xfer_hold(&w->x);
	case RACE_FREEZE:
		return xfer_freeze_within(&w->x, timeouts[race_rnd(&w->rnd, 4)]);
	case RACE_CLAIM:
		return claim(w);
	case RACE_CLAIM_NO_FDS:
		return claim_no_fds(w);
	case RACE_CLAIM_THAW:
		return claim_thaw(w);
	case RACE_READY:
		return xfer_ready(&w->x, TAPXFER_THAW_SHARED);
	case RACE_PASS:
		return pass(w);
	case RACE_DRAIN:
		return tapxfer_drain(w->x.tx, w->x.id, &w->x.token,
				     timeouts[race_rnd(&w->rnd, 3)], NULL);
	case RACE_THAW:
		return xfer_thaw_shared(&w->x);
	case RACE_THAW_EXCLUSIVE:
		return xfer_thaw(&w->x);
	case RACE_ABORT:
		return xfer_abort(&w->x);
	default:
		return xfer_get(&w->x);
	}
}

static enum race_cmd pick_cmd(struct worker *w, uint32_t hint)
{
	uint32_t i;

	if (!race_rnd(&w->rnd, 4))
		return RACE_HOLD + race_rnd(&w->rnd, RACE_CMDS - RACE_HOLD);
	for (i = 0; i < RACE_NEXT && goes_on[hint][i]; i++)
		;
	return goes_on[hint][race_rnd(&w->rnd, i)];
}

/* Bring what is told of a handover up to date. */
static void learn(struct worker *w, struct race_slot *slot, uint32_t id,
		  enum race_cmd cmd, int err)
{
	int state = leads_to[cmd];

	if (err == -EBUSY || (!err && !state))
		return;
	if (err)
		state = xfer_state(&w->x);
	if (state > 0 && state != TAPXFER_STATE_DRAINING)
		race_set(&slot->hint, state);
	else
		__atomic_compare_exchange_n(&slot->id, &id, 0, false,
					    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static void go_on(struct worker *w, int nr)
{
	struct race_slot *slot = &w->r->slots[nr];
	uint32_t id = race_get(&slot->id);
	uint32_t hint = race_get(&slot->hint);
	enum race_cmd cmd = pick_cmd(w, hint);
	int err;

	w->x.id = id;
	w->x.token = slot->token;
	if (race_get(&slot->id) != id || cmd == RACE_ABORT_ADMIN)
		return;
	if (cmd == RACE_READY && nr != RACE_ROUGH && !race_specs[nr].ready)
		cmd = RACE_THAW;
	err = do_cmd(w, cmd);
	race_count(w->r, cmd, err, cmd == RACE_CLAIM_THAW ? w->g.msg :
							    xfer_why(&w->x));
	learn(w, slot, id, cmd, err);
}

int race_worker(void *arg)
{
	struct race_life *life = arg;
	struct worker w = {
		.r = life->r,
		.rnd = race_seed(life->r, 1, life->nr),
	};
	int nr;

	if (xfer_open(&w.x) || genl_open(&w.g)) {
		race_fail(w.r, "a worker has no handle");
		return 1;
	}
	while (!race_get(&w.r->stop_handovers)) {
		nr = race_rnd(&w.rnd, RACE_SLOTS);
		if (race_get(&w.r->slots[nr].id))
			go_on(&w, nr);
		else if (nr < RACE_DEVS)
			begin(&w, nr);
		if (!race_rnd(&w.rnd, 8))
			usleep(race_rnd(&w.rnd, 3000));
	}
	tap_close(&w.claimed);
	genl_close(&w.g);
	/* What is left of them the deadline ends. */
	w.x.id = 0;
	xfer_close(&w.x);
	return 0;
}
