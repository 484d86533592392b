/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A process that treats a tap's files as QEMU does with -netdev tap,fds= and
 * virtio-net: the same system calls, in the same order, and where one fails of
 * which QEMU dies, it stops.
 */
#ifndef SELFTESTS_QEMU_TAP_H
#define SELFTESTS_QEMU_TAP_H

#include <stdbool.h>

#include "tap.h"

#define QEMU_CALLS_MAX	256
/* -netdev without sndbuf= */
#define QEMU_SNDBUF	0x7fffffff
/* what a guest with a driver of today asks for, where the host can */
#define QEMU_OFFLOADS	(TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | \
			 TUN_F_TSO_ECN | TUN_F_UFO)

struct qemu_tap {
	int n;
	int fds[TAP_MAX];
	bool enabled[TAP_MAX];		/* as QEMU believes */
	int hdr;
	const char *died;		/* of what, or NULL */
	int ncalls;
	struct {
		const char *what;
		int queue;
		int ret;		/* 0 or -errno */
	} calls[QEMU_CALLS_MAX];
};

/* Start with these files: 0, or -1 when QEMU exits or aborts. */
int qemu_tap_init(struct qemu_tap *s, const int *fds, int n);
/* The device comes up: one queue pair, until the guest asks for more. */
int qemu_tap_reset(struct qemu_tap *s);
/* The guest's driver has negotiated, and uses that many queue pairs. */
int qemu_tap_start(struct qemu_tap *s, int pairs);

#endif /* SELFTESTS_QEMU_TAP_H */
