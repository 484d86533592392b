// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "race.h"

/* Where the window is larger than a ring, or than a hold, the driver drops. */
const struct race_spec race_specs[RACE_DEVS] = {
	{
		.queues = 1, .ways = { RACE_READ },
		.window = 800, .ready = true, .txqlen = true,
	}, {
		.queues = 2, .ways = { RACE_POLL, RACE_EPOLL },
		.window = 3000, .small_holds = true, .ready = true,
	}, {
		.queues = 4,
		.ways = { RACE_READ, RACE_URING, RACE_EPOLL, RACE_VHOST },
		.window = 800, .ready = true, .txqlen = true,
	}, {
		.queues = 1, .ways = { RACE_VHOST_STOPS },
		.window = 800, .txqlen = true,
	},
};

static void *shared_alloc(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static bool alloc_tally(struct tally *t, uint8_t *seen)
{
	memset(t->last, 0xff, sizeof(t->last));
	t->max = RACE_MAX_SEQ;
	t->seen = seen;
	return !!seen;
}

struct race *race_alloc(uint64_t seed)
{
	struct race *r = shared_alloc(sizeof(*r));
	uint8_t *seen;
	bool ok = !!r;
	int dev, q;

	for (dev = 0; ok && dev < RACE_DEVS; dev++) {
		r->down[dev].fates = shared_alloc(RACE_MAX_SEQ);
		seen = shared_alloc(RACE_MAX_SEQ);
		for (q = 0; q < RACE_QUEUES; q++)
			ok = alloc_tally(&r->down[dev].t[q], seen) && ok;
		ok = alloc_tally(&r->up[dev].t, shared_alloc(RACE_MAX_SEQ)) &&
		     ok && r->down[dev].fates;
	}
	if (!ok)
		return NULL;
	r->seed = seed;
	return r;
}

void race_fail(struct race *r, const char *fmt, ...)
{
	va_list ap;

	if (__atomic_exchange_n(&r->failed, true, __ATOMIC_ACQ_REL))
		return;
	va_start(ap, fmt);
	vsnprintf(r->why, sizeof(r->why), fmt, ap);
	va_end(ap);
}

uint64_t race_seed(const struct race *r, uint32_t who, uint32_t n)
{
	uint64_t s = r->seed * 0x9e3779b97f4a7c15ULL +
		     ((uint64_t)who << 32 | n) * 0xbf58476d1ce4e5b9ULL;

	return s ?: 1;
}

/* xorshift64* */
uint32_t race_rnd(uint64_t *s, uint32_t n)
{
	*s ^= *s >> 12;
	*s ^= *s << 25;
	*s ^= *s >> 27;
	return (*s * 0x2545f4914f6cdd1dULL >> 32) % n;
}

uint64_t race_received(const struct race *r, int dev)
{
	uint64_t sum = 0;
	int q;

	for (q = 0; q < race_specs[dev].queues; q++)
		sum += race_get(&r->down[dev].t[q].got);
	return sum;
}

uint64_t race_in_flight(const struct race *r, int dev)
{
	uint64_t there = race_received(r, dev) + race_get(&r->down[dev].dropped);

	/* In this order, or it would be less than none. */
	return race_get(&r->down[dev].offered) - there;
}

uint64_t race_sent(const struct race *r, int dev)
{
	uint64_t sum = 0;
	int q;

	for (q = 0; q < race_specs[dev].queues; q++)
		sum += race_get(&r->up[dev].sent[q]);
	return sum;
}

uint64_t race_caught(const struct race *r, int dev)
{
	uint64_t sum = 0;
	int q;

	for (q = 0; q < race_specs[dev].queues; q++)
		sum += race_get(&r->up[dev].seen[q]);
	return sum;
}

static const struct {
	const char *name;
	int errnos[10];		/* that a race can have */
} cmds[] = {
	/*
	 * EINVAL, ESTALE: what is queued is more than the hold, the ring grew;
	 * EAGAIN: it grew before there was a handover
	 */
	[RACE_PREPARE] = { "prepare", { EBUSY, ECANCELED, EDQUOT, EAGAIN } },
	[RACE_BEGIN_HOLD] = {
		"begin-hold", { EBUSY, ECANCELED, EDQUOT, EAGAIN, EINVAL, ESTALE }
	},
	[RACE_BEGIN_FREEZE] = {
		"begin-freeze", { EBUSY, ECANCELED, EDQUOT, EAGAIN, EINVAL,
				  ESTALE, ETIMEDOUT }
	},
	[RACE_HOLD] = {
		"hold", { EBUSY, EPROTO, ENOENT, ECANCELED, EPERM, EINVAL,
			  ESTALE }
	},
	[RACE_FREEZE] = {
		"freeze", { EBUSY, EPROTO, ENOENT, ECANCELED, EPERM, EINVAL,
			    ESTALE, ETIMEDOUT }
	},
	[RACE_CLAIM] = {
		"claim", { EBUSY, EPROTO, ENOENT, ECANCELED, EPERM, ESTALE }
	},
	[RACE_CLAIM_NO_FDS] = {
		"claim-no-fds", { EBUSY, EPROTO, ENOENT, ECANCELED, EPERM,
				  ESTALE }
	},
	[RACE_CLAIM_THAW] = {
		"claim-thaw", { EBUSY, EPROTO, ENOENT, ECANCELED, EPERM, ESTALE }
	},
	[RACE_READY] = {
		"ready", { EBUSY, EPROTO, ENOENT, ECANCELED, EPERM }
	},
	[RACE_PASS] = {
		"pass", { EBUSY, EPROTO, ENOENT, ECANCELED, EPERM, ESRCH }
	},
	[RACE_DRAIN] = {
		"drain", { EBUSY, EPROTO, ENOENT, ECANCELED, EPERM, ETIMEDOUT }
	},
	[RACE_THAW] = {
		"thaw", { EBUSY, EPROTO, ENOENT, ECANCELED, EPERM }
	},
	[RACE_THAW_EXCLUSIVE] = {
		"thaw-exclusive", { EBUSY, EPROTO, ENOENT, ECANCELED, EPERM }
	},
	[RACE_ABORT] = { "abort", { ENOENT, EPERM } },
	[RACE_ABORT_ADMIN] = { "abort-admin", { ENOENT } },
	[RACE_GET] = { "get", { ENOENT } },
};

const char *race_cmd_name(enum race_cmd cmd)
{
	return cmds[cmd].name;
}

void race_count(struct race *r, enum race_cmd cmd, int err, const char *why)
{
	size_t i;

	if (!err) {
		race_add(&r->done[cmd], 1);
		if (cmd <= RACE_BEGIN_FREEZE)
			race_add(&r->begun, 1);
		return;
	}
	if (-err < RACE_ERRNOS)
		race_add(&r->refused[cmd][-err], 1);
	for (i = 0; i < sizeof(cmds[cmd].errnos) / sizeof(int); i++)
		if (cmds[cmd].errnos[i] == -err)
			return;
	race_fail(r, "%s: %s (%s)", cmds[cmd].name, strerror(-err), why);
}

/* By the number: who reads it before and after has the token of it. */
void race_publish(struct race *r, int slot, const struct xfer *x,
		  enum tapxfer_state state)
{
	struct race_slot *s = &r->slots[slot];

	race_set(&s->id, 0);
	s->token = x->token;
	race_set(&s->hint, state);
	race_set(&s->id, x->id);
}
