/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What t_race's processes are made of. They share a struct race:
 *
 *	workers		race for the devices' handovers, and are killed
 *	host		sends numbered packets to the taps, catches what they send
 *	guest		reads and writes the queues, by system calls and vhost-net
 *	links		changes what rtnetlink can change
 *	rough		has a device of its own, which is treated worse
 *	watcher		hears the events, and checks their order
 *	lister		dumps, and asks
 *
 * The test itself starts, kills and judges.
 */
#ifndef SELFTESTS_RACE_H
#define SELFTESTS_RACE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "flow.h"
#include "genl.h"
#include "tap.h"
#include "xfer.h"

#define RACE_DEVS	4
#define RACE_QUEUES	4	/* of a device, at the most */
#define RACE_ROUGH	RACE_DEVS	/* the slot of the rough device */
#define RACE_SLOTS	(RACE_DEVS + 1)
#define RACE_WORKERS	5
#define RACE_MAX_SEQ	(1 << 24)
#define RACE_FLOWS	64	/* to a guest */
#define RACE_FLOW_UP	1000	/* of queue 0's packets from a guest */

/* How a queue is read and written */
enum race_way {
	RACE_READ,		/* a read that may block */
	RACE_POLL,
	RACE_EPOLL,		/* edge-triggered */
	RACE_URING,		/* io_uring's poll */
	RACE_VHOST,
	RACE_VHOST_STOPS,	/* and the backend is detached now and then */
	RACE_WAYS,
};

/* What a device is, and what may be done to it */
struct race_spec {
	int queues;
	enum race_way ways[RACE_QUEUES];
	uint32_t window;	/* packets to the guest, on their way */
	/* A hold may be less than the window: the driver may drop. */
	bool small_holds;
	/* Not where a backend stops: it may come after a shared ready. */
	bool ready;
	bool txqlen;
};

extern const struct race_spec race_specs[RACE_DEVS];

enum race_cmd {
	RACE_PREPARE,
	RACE_BEGIN_HOLD,
	RACE_BEGIN_FREEZE,
	RACE_HOLD,
	RACE_FREEZE,
	RACE_CLAIM,
	RACE_CLAIM_NO_FDS,
	RACE_CLAIM_THAW,
	RACE_READY,
	RACE_PASS,
	RACE_DRAIN,
	RACE_THAW,
	RACE_THAW_EXCLUSIVE,
	RACE_ABORT,
	RACE_ABORT_ADMIN,
	RACE_GET,
	RACE_CMDS,
};

#define RACE_ERRNOS	136

/* A device's handover, as far as its token was told: a race in itself */
struct race_slot {
	uint32_t id;		/* 0: none known */
	uint32_t hint;		/* the state that it was in last */
	struct tapxfer_token token;
};

/* Packets to a guest; all tallies have one array of what was seen */
struct race_down {
	uint64_t offered;
	uint64_t dropped;		/* the driver said so */
	uint8_t *fates;			/* by number: which */
	struct tally t[RACE_QUEUES];
};

/* Packets from a guest: number n of queue q is n * queues + q */
struct race_up {
	uint64_t sent[RACE_QUEUES];
	uint64_t seen[RACE_QUEUES];
	struct tally t;
	uint64_t overrun;		/* the socket had no room for them */
};

/* What the events told */
struct race_heard {
	uint64_t events[TAPXFER_EVENT_VIOLATED + 1];
	uint64_t deaths;		/* frozen again */
	uint64_t held;
	uint64_t dropped;
	uint64_t lost;			/* times that events were lost */
	uint64_t live;			/* began, and has not ended */
};

/* The rough device's packets, of all that it ever was */
struct race_toll {
	uint64_t made;			/* devices */
	uint64_t begun;
	uint64_t offered;
	uint64_t refused;		/* down, or not here */
	uint64_t dropped;
	uint64_t delivered;
	uint64_t purged;		/* with a queue or the device */
	uint64_t wrote;
};

struct race {
	uint64_t seed;
	bool watching;			/* from the first event on */
	bool catching;			/* all that the guest sends */
	bool guest_runs;
	bool stop_handovers;
	bool stop_traffic;
	char why[256];			/* it failed */
	bool failed;

	struct tap taps[RACE_DEVS];
	struct race_slot slots[RACE_SLOTS];
	pid_t workers[RACE_WORKERS];
	uint32_t lives;			/* of workers */
	struct race_down down[RACE_DEVS];
	struct race_up up[RACE_DEVS];
	struct race_heard heard;
	struct race_toll toll;

	uint64_t begun;
	uint64_t done[RACE_CMDS];
	uint64_t refused[RACE_CMDS][RACE_ERRNOS];
	uint64_t links_changed;
	uint64_t links_refused;
	uint64_t dumps;
	uint64_t backend_stops;
	uint64_t backend_waits;		/* not attached: fenced */
};

#define race_get(p)	__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define race_set(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)
#define race_add(p, n)	__atomic_fetch_add(p, n, __ATOMIC_ACQ_REL)

/* For all processes, zeroes; or NULL. */
struct race *race_alloc(uint64_t seed);
/* The first reason is the one that counts. */
__attribute__((format(printf, 2, 3)))
void race_fail(struct race *r, const char *fmt, ...);

/* A stream of numbers of each process's, or thread's, own */
uint64_t race_seed(const struct race *r, uint32_t who, uint32_t n);
/* From 0 to @n - 1. */
uint32_t race_rnd(uint64_t *s, uint32_t n);

/* To the guest: those that are neither there nor dropped. */
uint64_t race_in_flight(const struct race *r, int dev);
uint64_t race_received(const struct race *r, int dev);
uint64_t race_sent(const struct race *r, int dev);
uint64_t race_caught(const struct race *r, int dev);

/* Keep count of a command's result, which must be one that a race can have. */
void race_count(struct race *r, enum race_cmd cmd, int err, const char *why);
const char *race_cmd_name(enum race_cmd cmd);
/* A handover has begun: tell everybody. */
void race_publish(struct race *r, int slot, const struct xfer *x,
		  enum tapxfer_state state);

/* The processes, whose @arg is the struct race; of a worker, a struct race_life */
struct race_life {
	struct race *r;
	uint32_t nr;
};

int race_worker(void *arg);
int race_host(void *arg);
int race_guest(void *arg);
int race_links(void *arg);
int race_rough(void *arg);
int race_watcher(void *arg);
int race_lister(void *arg);

#endif /* SELFTESTS_RACE_H */
