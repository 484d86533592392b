/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Multiqueue taps, and what can be read and set through their files.
 */
#ifndef SELFTESTS_TAP_H
#define SELFTESTS_TAP_H

#include <stdbool.h>
#include <stdint.h>

#include <net/if.h>
#include <linux/if_tun.h>

#define TAP_MAX		256
#define TAP_RING	1000	/* packets that a tap's ring has room for */

/* What most tests use: a virtual machine's network card */
#define TAP_VM		(IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE | IFF_VNET_HDR)

struct tap {
	char name[IFNAMSIZ];
	int ifindex;
	int flags;
	int hdr;		/* bytes before each packet */
	int n;			/* files */
	int fds[TAP_MAX];
};

/* A tap with @n files, up; 0 or -errno. */
int tap_open(struct tap *t, const char *name, int n, int flags);
/* One more file of the device of that name: descriptor or -errno. */
int tap_queue(const char *name, int flags);
void tap_close(struct tap *t);

int tap_set_nonblock(const struct tap *t, bool on);
int tap_detach(int fd, bool on);
/* As the driver says it: 1, 0, or -1. */
int tap_is_detached(int fd);

/* All that a file tells of itself and of its device */
struct tap_settings {
	char name[IFNAMSIZ];
	int flags;
	int hdr;
	int le;
	int sndbuf;
	int fl;			/* fcntl(F_GETFL) */
	unsigned int features;
	bool csum;
	bool tso;
};

int tap_settings(int fd, struct tap_settings *s);

#endif /* SELFTESTS_TAP_H */
