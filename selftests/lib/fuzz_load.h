/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Numbered packets through taps, both ways, while something else goes on.
 */
#ifndef SELFTESTS_FUZZ_LOAD_H
#define SELFTESTS_FUZZ_LOAD_H

#include <pthread.h>
#include <stdbool.h>

#include "flow.h"
#include "tap.h"

#define LOADS	2

/* One tap's */
struct load {
	const struct tap *tap;
	struct sender s;
	struct tally t;			/* of what is read */
	struct capture c;		/* of what is written */
	uint32_t written;
	uint64_t dropped_before;	/* the device's counter */
	int err;
};

/* A thread that sends, reads and writes */
struct loader {
	struct load load[LOADS];
	unsigned int n;
	pthread_t thread;
	pthread_mutex_t lock;
	bool stop;
	uint64_t offered;		/* packets, up to the last look */
	uint64_t dropped;		/* of these, by the driver */
};

int loader_start(struct loader *l, const struct tap *const taps[],
		 unsigned int n);
/*
 * No handover is under way: take what there is still, and say what is wrong, or
 * NULL. The counts begin anew.
 */
const char *loader_check(struct loader *l);
void loader_stop(struct loader *l);

#endif /* SELFTESTS_FUZZ_LOAD_H */
