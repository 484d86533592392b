/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Another process, which does as it is told: a target, or a source.
 */
#ifndef SELFTESTS_AGENT_H
#define SELFTESTS_AGENT_H

#include <sys/types.h>

#include "tap.h"
#include "xfer.h"

/* What the other process has */
struct agent_self {
	struct xfer x;		/* of the handover that it was told of */
	struct tap tap;		/* files that it claimed, or was sent */
};

/* Done there; its result, 0 or -errno, is agent_call()'s. */
typedef long (*agent_fn)(struct agent_self *self, long a, long b);

struct agent {
	pid_t pid;
	int sock;
};

/* In the network namespace, and with the descriptors, that we have now. */
int agent_start(struct agent *a);
/* @x: the handover, or NULL. */
long agent_call(struct agent *a, const struct xfer *x, agent_fn fn, long arg1,
		long arg2);
/* Send it a tap's files, which become its own. */
int agent_send_tap(struct agent *a, const struct tap *tap);
/* End it, by force. */
void agent_kill(struct agent *a);

/* Things to be done there */
long agent_claim(struct agent_self *self, long flags, long unused);
long agent_ready(struct agent_self *self, long flags, long unused);
long agent_thaw(struct agent_self *self, long flags, long unused);
/* Close its queue files. */
long agent_close(struct agent_self *self, long unused, long unused2);
/* Set and get by an ioctl that takes an int, of its first queue file. */
long agent_set_int(struct agent_self *self, long cmd, long value);
long agent_get_int(struct agent_self *self, long cmd, long unused);

#endif /* SELFTESTS_AGENT_H */
