/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TAPXFER_CHECK_H
#define TAPXFER_CHECK_H

#include <net/if.h>

#include "cli.h"

struct finding {
	bool stops;
	const char *what;
	char *cause;
	const char *cure;
};

struct holder {
	pid_t pid;
	int fd;
	uint32_t flags;
	char comm[32];
	bool shared;		/* a file that the process asked about has */
	size_t queue;		/* then: which of its files */
};

struct check {
	struct cli *cli;
	const struct args *args;
	struct finding *findings;
	size_t nfindings;
	bool stopped;
	char ifname[IFNAMSIZ];
	unsigned int ifindex;
	pid_t pid;		/* asked about, or found */
	char comm[32];
	bool counted;		/* total is known */
	unsigned int total;	/* queues, detached ones too */
	unsigned int found;	/* of them in the process */
	struct tapxfer_queues *queues;
	struct holder *holders;
	size_t nholders;
	unsigned int unreadable;
	uint32_t handover;
	pid_t claimant;
	struct tapxfer_info *caps;
};

/* check.c */
void check_find(struct check *c, bool stops, const char *what, const char *cure,
		const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
void check_holders_text(const struct check *c, pid_t but, bool shared,
			char *text, size_t size);

/* check_refs.c */
void check_counts(struct check *c);

/* check_vhost.c */
size_t check_vhost_open(pid_t pid, pid_t but, char *text, size_t size);
uint64_t check_vhost(struct check *c, const uint64_t *unexplained, size_t n,
		     uint64_t left);

#endif /* TAPXFER_CHECK_H */
