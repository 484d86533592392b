/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of the benchmark know of each other.
 *
 * The program measures and prints samples, one a line, which begin with "@":
 * report.py makes tables, figures and verdicts of them. Times are nanoseconds
 * of CLOCK_MONOTONIC, which is the same in all processes.
 */
#ifndef SELFTESTS_BENCH_H
#define SELFTESTS_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "agent.h"
#include "flow.h"

#define BENCH_TAP	"bench-tap"
#define BENCH_BRIDGE	"bench-br"
#define BENCH_UPLINK	"bench-up"
#define BENCH_MAC	"\x02\xbe\x00\x00\x00\x01"

/* -- bench.c ------------------------------------------------------------- */

/* How much is done, of the command line */
struct bench_plan {
	int rounds;		/* handovers of each way at each point */
	int pairs;		/* of measurements before and after */
	int slices;		/* of each of these */
	int budget_ms;		/* for a way that others are compared with, at one
				 * point
				 */
	enum {
		BENCH_TRY,	/* hardly more than whether it works */
		BENCH_QUICK,	/* the points that matter most */
		BENCH_FULL,
	} points;
};

extern struct bench_plan plan;

/* What tapxfer holds if it is not told: packets a queue, and bytes */
#define BENCH_HOLD		16384U
#define BENCH_HOLD_BYTES	(256U << 20)

/* It cannot go on: say why and exit, with the kernel's own text if there is one. */
__attribute__((format(printf, 2, 3), noreturn))
void bench_die(long err, const char *fmt, ...);

/* -- the processes (way.c) ----------------------------------------------- */

/* One handover, in memory that all processes share */
struct bench_run {
	/* how */
	int queues;
	uint32_t hold;		/* packets a queue, 0: default */
	uint64_t hold_bytes;
	bool gap;		/* others have something to do meanwhile */
	bool across;		/* others send from before it until after it */
	struct tally *tally;	/* the target reads into it, as long as any come */
	bool gso;		/* large packets, of gso.h */
	/* how far it is, for others */
	bool leaving;		/* source: all is prepared */
	bool entered;		/* target: it may read */
	/* what came of it: durations, but for the first two */
	uint64_t begin;		/* source: the guest has stopped */
	uint64_t end;		/* target: it may read */
	uint64_t prepare;	/* source: before that */
	uint64_t freeze;
	uint64_t claim;
	uint64_t thaw;
	uint64_t last;		/* from the end to the last packet read */
	uint64_t held;		/* packets, as the thaw told */
	uint64_t dropped;
	uint64_t held_bytes;	/* as the kernel counts them; by token, with a gap */
};

/* One of the two, in its own process */
struct bench_side {
	struct agent_self *self;
	struct bench_run *run;
	int wire;		/* to the other one, SOCK_SEQPACKET */
	int gap;		/* to who started both */
	struct tapxfer_channel *ch;
	int sock;		/* the channel's */
};

/*
 * A way to hand over a tap. Each call returns 0 or -errno. From leave() to the
 * return of enter() the guest is cut off; the others are not measured with it.
 */
struct bench_way {
	const char *name;
	int queues_max;
	int queues_only;	/* or 0: the number that it is measured with */
	bool judged;		/* as often as all are, however long it takes */
	bool steps;		/* it tells of freeze, claim and thaw */
	/* source and target, at once, while the guest runs; or NULL */
	int (*prepare)(struct bench_side *src);
	int (*expect)(struct bench_side *dst);
	/* source and target, at once */
	int (*leave)(struct bench_side *src);
	int (*enter)(struct bench_side *dst);
	/* source, then target, when the guest runs again; or NULL */
	int (*after)(struct bench_side *src);
	int (*settle)(struct bench_side *dst);
};

/* In the order in which they are told of */
extern const struct bench_way * const bench_ways[];
const struct bench_way *bench_way(const char *name);

/* A tap on a bridge, and two processes that hand it to each other */
struct bench_pair {
	struct agent agents[2];
	int owner;
	struct bench_run *run;
};

void bench_pair_start(struct bench_pair *p, int queues);
void bench_pair_end(struct bench_pair *p);
/*
 * From the owner to the other one. @gap, if there is one, is called when the
 * source has stopped and the target not yet begun, and is not measured.
 */
void bench_handover(struct bench_pair *p, const struct bench_way *way,
		    void (*gap)(void *arg), void *arg);
/* The owner reads all that there is, now: packets or -errno. */
long bench_read(struct bench_pair *p, struct tally *t);
/* A tally in memory that all processes share which are started after it */
struct tally *bench_tally(uint32_t max);
void bench_tally_free(struct tally *t);
/* No handover is left: rings have shrunk and files were let go. */
void bench_wait_idle(void);
/* The same, and the owner reads what comes meanwhile, as a guest does. */
void bench_settle(struct bench_pair *p);

/* In a way: a word to the other side, and one from it */
int bench_tell(struct bench_side *side, char word);
int bench_hear(struct bench_side *side, char word);
int bench_send(struct bench_side *side, const void *data, size_t len);
int bench_recv(struct bench_side *side, void *data, size_t len);
/* All queue files (SCM_RIGHTS): the source keeps its own. */
int bench_send_files(struct bench_side *side);
int bench_recv_files(struct bench_side *side);
/* Nobody reads: let others do what they have to do now. */
int bench_gap(struct bench_side *side);
/* The tap's settings, as a VMM makes them */
int bench_set_up(int fd);

/* The bridge and its other port */
void bench_net_start(void);
int bench_port_add(const char *name);
/*
 * What a socket sends may wait in a qdisc, and shall not block it: packets from
 * elsewhere have no socket.
 */
int bench_sender_unbound(int sock);

/* -- the ways ------------------------------------------------------------ */

extern const struct bench_way bench_way_token, bench_way_channel;
/* Claim and thaw are two calls: for their parts, and the trace. */
extern const struct bench_way bench_way_token_steps;
extern const struct bench_way bench_way_fds, bench_way_plug;
extern const struct bench_way bench_way_queue, bench_way_reopen;
extern const struct bench_way bench_way_recreate;
/* The target does what a VMM does besides: it sets the tap up. */
extern const struct bench_way bench_way_token_vmm, bench_way_fds_vmm;

/* -- guard.c ------------------------------------------------------------- */

/*
 * Leave the machine as it is found: return in a child, and when that has ended,
 * however it did, put the tracer and the module back and exit as it has.
 */
void bench_guard(bool trace);

/* -- net.c --------------------------------------------------------------- */

/* Packets to the bridge, by a process of its own, until it is ended */
pid_t bench_load_start(void);

/* -- the measurements ---------------------------------------------------- */

void bench_loss(void);
void bench_blackout(void);
void bench_after(void);
void bench_scale(void);
void bench_memory(void);
void bench_trace(void);

#endif /* SELFTESTS_BENCH_H */
