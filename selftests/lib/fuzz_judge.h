/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the fuzzer knows of devices and handovers, and what it makes of answers.
 */
#ifndef SELFTESTS_FUZZ_JUDGE_H
#define SELFTESTS_FUZZ_JUDGE_H

#include <stdbool.h>
#include <stdint.h>

#include "fuzz_actor.h"
#include "fuzz_msg.h"
#include "tap.h"

enum {
	DEV_SHARED,		/* everybody in the network namespace has it */
	DEV_ROOT,		/* root alone */
	DEV_TUN,		/* layer 3, root and nobody */
	DEV_USERNS,		/* in the network namespace of the other root */
	DEVS,
};

struct fuzz_ho {
	uint32_t id;
	uint8_t token[TAPXFER_TOKEN_LEN];
	int dev;
	int state;
	bool live;
	bool vague;		/* the state may change by itself */
	int claimant;		/* an actor, -1: another process */
	int64_t ends;		/* the deadline */
	/* recorded settings of the claimant's, 0: none */
	int sndbuf;
	bool ready;		/* it was, so an abort puts back what there was */
	int before;		/* of the device's before that, 0: not known */
};

struct fuzz_dev {
	struct tap tap;
	unsigned int actors;	/* bits: who has its files */
	struct fuzz_ho *ho;	/* the live one, or NULL */
	int sndbuf;		/* as it has to be, 0: not known */
};

#define FUZZ_HOS	1024
#define FUZZ_BATCH	8

struct fuzz {
	uint64_t seed;
	uint64_t n;		/* of the message, or the first of some */
	uint32_t seq;
	struct actor actors[ACTORS];
	struct fuzz_dev devs[DEVS];
	struct fuzz_ho hos[FUZZ_HOS];	/* by id, modulo their number */
	int twin;		/* a second descriptor of DEV_SHARED's first file */
	uint32_t hold_default, deadline_default;
	uint64_t bytes_default;

	/* of the datagram that was sent last */
	bool straight;		/* it cannot be wrong */
	int err;		/* of its first message */
	bool overrun;
	int64_t sent_at;

	uint64_t accepted[TAPXFER_CMD_MAX + 1][2];	/* do, dump */
	uint64_t refused[TAPXFER_CMD_MAX + 1][2];
	uint64_t refused_core;	/* before there was a command */
	uint64_t unseen;
	uint64_t lost;		/* the answer was */
	uint64_t unsent;	/* send() failed */
	uint64_t by_actor[ACTORS][2];
	uint64_t states[TAPXFER_STATE_DRAINING + 1];
	uint64_t errnos[200];
	unsigned int failures;
};

/* Send what is on an actor's desk, and judge the answers. */
void fuzz_exchange(struct fuzz *f, int actor);
/* Something is wrong: say so, with the message. @actor -1: none */
__attribute__((format(printf, 3, 4)))
void fuzz_fail(struct fuzz *f, int actor, const char *fmt, ...);

/* How many messages each command has accepted and refused, and the like. */
void fuzz_table(const struct fuzz *f);

int fuzz_home(int actor);
struct fuzz_ho *fuzz_ho(struct fuzz *f, uint32_t id);
void fuzz_ho_end(struct fuzz *f, struct fuzz_ho *ho);
/* Whether its state may be another than we know */
bool fuzz_unsure(const struct fuzz_ho *ho);

#endif /* SELFTESTS_FUZZ_JUDGE_H */
