/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The fault matrix: what comes of every event in every state of a handover.
 *
 * matrix_table.c says it, for the tests (t_matrix_*.c) and, as "t_matrix_device
 * --rst" prints it, for Documentation/fault-matrix.rst. matrix.c puts the
 * processes on the stage and lets an event happen to them, matrix_judge.c sees
 * whether what comes of it is what the table says.
 */
#ifndef SELFTESTS_MATRIX_H
#define SELFTESTS_MATRIX_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent.h"
#include "flow.h"
#include "net.h"
#include "outside.h"
#include "tap.h"
#include "vmm.h"
#include "xfer.h"

/* Running, and enum tapxfer_state */
#define MATRIX_RUNNING	0
#define MATRIX_STATES	(TAPXFER_STATE_DRAINING + 1)

enum matrix_event {
	MATRIX_SOURCE_KILLED,
	MATRIX_TARGET_KILLED,
	MATRIX_ORCH_KILLED,
	MATRIX_FDS_CLOSED,
	MATRIX_DEADLINE,
	MATRIX_ABORT_TOKEN,
	MATRIX_ABORT_ADMIN,
	MATRIX_ABORT_NOBODY,
	MATRIX_THAW_THAW,
	MATRIX_THAW_ABORT,
	MATRIX_DETACH,
	MATRIX_ATTACH,
	MATRIX_QUEUE_ADDED,
	MATRIX_DELETED,
	MATRIX_RENAMED,
	MATRIX_MOVED,
	MATRIX_NETNS_GONE,
	MATRIX_LINK_DOWN,
	MATRIX_TXQUEUELEN,
	MATRIX_TXQUEUELEN_LESS,
	MATRIX_RMMOD_TAPXFER,
	MATRIX_RMMOD_TUN,
	MATRIX_VHOST_STAYS,
	MATRIX_VHOST_STOPS,
	MATRIX_VHOST_COMES,
	MATRIX_EVENTS,
};

enum matrix_outcome {
	MATRIX_IMPOSSIBLE,
	MATRIX_ON,		/* the state stays, and all goes on to the thaw */
	MATRIX_FROZEN,		/* frozen again, to be claimed anew */
	MATRIX_BACK,		/* put back: the source runs on */
	MATRIX_ANEW,		/* the next step fails with ESTALE, an abort works */
	MATRIX_IN_USE,		/* no exclusive thaw, an abort works */
	MATRIX_BOTH,		/* a shared thaw: the source's backend reads, too */
	MATRIX_EARLY,		/* ready, and a queue that is read before the thaw */
	MATRIX_ONE,		/* one of two wins, and has the queues */
	MATRIX_GONE,		/* the device is gone, and its handover */
	MATRIX_UNLOADED,	/* the module is, until it is asked again */
};

struct matrix_cell {
	enum matrix_outcome outcome;
	int err;		/* what the event fails with */
	uint32_t named;		/* enum tapxfer_violation */
	const char *why;	/* it is impossible */
	const char *note;	/* what else there is to say of it */
};

/* What an event changes of the interface, where it does not fail */
enum matrix_change {
	MATRIX_NAME = 1,
	MATRIX_NETNS = 2,
	MATRIX_DOWN = 4,
	MATRIX_TXQLEN = 8,
	MATRIX_DETACHED = 16,
	MATRIX_ATTACHED = 32,
	MATRIX_QUEUES = 64,
	MATRIX_TXQLEN_LESS = 128,
};

struct matrix_row {
	const char *name;
	const char *what;
	const char *changes;	/* in words */
	uint32_t change;	/* enum matrix_change */
	struct matrix_cell cells[MATRIX_STATES];
};

extern const struct matrix_row matrix_rows[MATRIX_EVENTS];
extern const char * const matrix_states[MATRIX_STATES];

/* Print the tables as reStructuredText. */
void matrix_rst(void);

/* What can be seen of the device, its queues and its settings */
struct matrix_facts {
	struct link_info link;
	struct outside out;
};

#define MATRIX_NEW_NAME		"new0"
#define MATRIX_NEW_TXQLEN	10000	/* more than ever is held */
#define MATRIX_LESS_TXQLEN	100	/* less than waits in any ring */

/* One cell's stage */
struct matrix {
	unsigned int state;	/* in which it happens */
	unsigned int at;	/* to which steps have been made */
	const struct matrix_row *row;
	const struct matrix_cell *cell;

	struct agent source;
	struct agent target;
	struct agent orch;
	struct agent *steps;	/* who makes the next step */
	struct agent *owner;	/* whose guest runs in the end */
	struct vmm_guest *g;
	struct matrix_facts before;

	struct xfer x;		/* we, who look on */
	struct xfer ev;
	struct sender s;	/* to the guest; by a thread */
	struct capture c;	/* from the guest */
	pthread_t thread;
	pthread_mutex_t lock;
	bool paused;
	bool stop;
	uint32_t unsure;	/* packets of a guest that was killed */
	uint64_t lost;		/* to the guest, and no sender was told */
	bool counted;		/* but the device has counted that */

	char name[IFNAMSIZ];
	int ifindex;
	int64_t begun;		/* ms */
	uint32_t deadline;	/* ms */
	int64_t expires;	/* ms */
	uint64_t got;		/* by the guest, when reads were fenced */
	uint64_t seen;		/* from the guest, when writes were */
	uint64_t held;		/* as the last event told, or whoever was asked */
	bool runs;		/* the source's guest */
	bool vhost;		/* its backend may have some of what is sent */
	bool down;
	bool elsewhere;		/* the device is where we do not look */
	int extra;		/* one more queue's file, or -1 */
};

/* What a test adds to the table; NULL: nothing. -1 when it is not as expected. */
struct matrix_play {
	enum matrix_event event;
	/* once the source runs */
	int (*before)(struct matrix *m);
	/* the event: what it fails with, or 0, is in @err */
	int (*happens)(struct matrix *m, int *err);
	/* when the queues have their owner and were looked at */
	int (*after)(struct matrix *m);
};

/* One test a cell, all of the given events, or the one that an argument names. */
int matrix_main(int argc, char **argv, const struct matrix_play *plays,
		size_t n);

/* -- for plays ----------------------------------------------------------- */

int matrix_complain(const char *file, int line, const char *what,
		    long long want, long long got);

#define MUST_EQ(want, got) do {						\
	long long want_ = (want), got_ = (got);				\
									\
	if (want_ != got_)						\
		return matrix_complain(__FILE__, __LINE__,		\
				       #want " == " #got, want_, got_);	\
} while (0)
#define MUST(cond) do {							\
	if (!(cond))							\
		return matrix_complain(__FILE__, __LINE__, #cond, true,	\
				       false);				\
} while (0)

/* Order the source, or the target, ... */
#define TELL(m, who, fn, a, b)	agent_call(&(m)->who, &(m)->x, fn, a, b)

/* Stop the packets to the guest, and let them go on. */
void matrix_pause(struct matrix *m);
void matrix_resume(struct matrix *m);
/* The same, when the guest has all of them. */
int matrix_catch_up(struct matrix *m);
/* The source's guest goes on, or stops. */
int matrix_guest(struct matrix *m, bool on);
/* A burst of packets, over all queues. */
int matrix_burst(struct matrix *m, uint32_t n);
/* Make steps of the handover until it is in that state. */
int matrix_step_to(struct matrix *m, unsigned int state);
/* Look on from the network namespace where we are now, where the device is. */
int matrix_follow(struct matrix *m);
/* Our own connections to the module, where we are now. */
int matrix_reopen(struct matrix *m);
/* What came from the guest since. */
void matrix_look(struct matrix *m);
/* Whether nobody has the module any more, soon. */
bool matrix_unused(void);

/* -- between matrix.c and matrix_judge.c --------------------------------- */

/* The guest has tried since now, and whatever it had got before is counted. */
int matrix_lap(struct matrix *m);
/* The next step: 0 or -errno. */
long matrix_step(struct matrix *m);
/* Exclusively: the source lets go of its files. */
int matrix_thaw(struct matrix *m);
/* To be done by the target: what it names, or -errno. */
long matrix_do_thaw(struct agent_self *self, long unused, long unused2);
void matrix_kill_all(struct matrix *m);

int matrix_facts_get(struct matrix *m, struct matrix_facts *f);
/* Whether the event has the outcome that the table says; -1 if not. */
int matrix_judge(struct matrix *m, const struct matrix_play *play);

#endif /* SELFTESTS_MATRIX_H */
