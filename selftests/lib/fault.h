/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Failures that the kernel injects (Documentation/fault-injection in its
 * source): of slab and page allocations, and of copies to and from user memory.
 */
#ifndef SELFTESTS_FAULT_H
#define SELFTESTS_FAULT_H

#include <stdbool.h>

#include "genl.h"

/* More points than any call has. */
#define FAULT_NEVER	1000000U

/* Make all three kinds fail wherever they can, in silence: 0 or -errno. */
int fault_open(void);
void fault_close(void);

/* In a test's setup; without faults in the kernel there is nothing to test. */
#define FAULT_OPEN() do { \
	int err_ = fault_open(); \
	\
	if (err_ == -ENOENT) \
		SKIP(return, "the kernel has no CONFIG_FAULT_INJECTION"); \
	ASSERT_EQ(0, err_); \
} while (0)

/* The @n-th point that this thread comes to from now on fails, from 1. */
int fault_arm(unsigned int n);
/*
 * No more: how many points it has come to since, at most @n; when it is @n, the
 * last one failed. Or -errno.
 */
int fault_disarm(void);

/* What came of a request one point of which may have failed */
struct fault_result {
	unsigned int points;	/* that it came to */
	bool hit;		/* the last one failed */
	bool done;		/* the command was */
	bool mapped;		/* something stayed, or went, in our memory */
	int err;		/* of the call or the answer */
	struct genl_answer answer;
};

/* Send @g's request, its @n-th point failing, and take the answer: 0 or -errno. */
int fault_talk(struct genl *g, unsigned int n, struct fault_result *r);

/*
 * Whether a command that failed did so in a manner that it may: for want of
 * memory, or because of a copy.
 */
bool fault_is_fair(const struct fault_result *r);

/*
 * Every allocation that a worker of the kernel makes fails, until
 * fault_workers(false). Workers that are made meanwhile are not among them.
 */
int fault_workers(bool on);

#endif /* SELFTESTS_FAULT_H */
