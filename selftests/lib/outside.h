/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a tap is for those who have nothing to do with its handover.
 */
#ifndef SELFTESTS_OUTSIDE_H
#define SELFTESTS_OUTSIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "tap.h"

struct outside {
	uint32_t queues;	/* attached: as rtnetlink tells */
	uint32_t detached;
	struct tap_settings s;	/* as another process's files and ethtool do */
};

/* By a process of its own, from its file @fd: 0 or -errno. */
int outside_get(const char *name, int fd, struct outside *o);

/* One ioctl of another process: 0 or -errno. */
int outside_ioctl(int fd, unsigned long cmd, unsigned long arg);
/* A getter of an int of another process's: the value in @val. */
int outside_get_int(int fd, unsigned long cmd, int *val);

#endif /* SELFTESTS_OUTSIDE_H */
