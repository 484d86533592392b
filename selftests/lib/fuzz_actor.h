/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Who sends the fuzzer's messages: this process, and others with fewer rights.
 */
#ifndef SELFTESTS_FUZZ_ACTOR_H
#define SELFTESTS_FUZZ_ACTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "fuzz_msg.h"
#include "tap.h"

enum {
	ACTOR_ROOT,		/* this process */
	ACTOR_NOBODY,		/* without any capability */
	ACTOR_USERNS,		/* root of a user and a network namespace */
	ACTORS,
};

#define ACTOR_ANSWERS	(2 << 20)

/* Shared with the process that the actor is */
struct actor_desk {
	uint32_t op;
	int keep;		/* the files that a claim gives */
	int clog;		/* let there be no room for the answer */
	int err;		/* of sending */
	int overrun;		/* an answer was lost */
	int count;
	int kept[512];		/* descriptors from claims */
	unsigned int nkept;
	struct tap tap;		/* of its own network namespace */
	size_t len;
	uint8_t datagram[FUZZ_DATAGRAM];
	/* datagrams, each behind its length and a multiple of 8 bytes long */
	size_t answers_len;
	uint8_t answers[ACTOR_ANSWERS];
};

struct actor {
	const char *name;
	int who;
	pid_t pid;
	int sock;		/* to the process, -1: this one */
	int nl;			/* netlink, of this process */
	uint16_t family;
	int clean_fds;		/* descriptors at the start */
	struct actor_desk *desk;
};

struct actor_setup {
	uint16_t family;
	const struct tap *mine;	/* whose files the other processes have not */
};

/* 0 or -errno. */
int actor_start(struct actor *a, int who, const struct actor_setup *setup);
/* By force, and wait for its end. */
void actor_kill(struct actor *a);
/* Send what is on its desk, and take all answers; false: the actor is gone. */
bool actor_send(struct actor *a);
/* Close the files from claims; how many descriptors it has more than at first. */
int actor_clean(struct actor *a);

/* An answer; the next one, NULL at the end. Begin with @prev NULL. */
const uint8_t *actor_answer(const struct actor *a, const uint8_t *prev,
			    size_t *len);

#endif /* SELFTESTS_FUZZ_ACTOR_H */
