/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How the director speaks to the demo's other programs: over one socket each,
 * a command and its answer at a time.
 */
#ifndef _DEMO_CTL_H
#define _DEMO_CTL_H

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <tapxfer/tapxfer.h>

#include "demo.h"

/* Descriptors that a program finds open */
enum {
	DEMO_FD_CTL = 3,	/* to the director */
	DEMO_FD_SHM,
	DEMO_FD_VMM,		/* from source to target */
	DEMO_FD_NETNS,		/* the second netns */
	DEMO_FD_END
};

enum demo_op {
	DEMO_OP_FAILED,		/* an answer only: text says why */
	DEMO_OP_READY,		/* the first message of each, from the program */
	DEMO_OP_RUN,		/* VMM: read and write */
	DEMO_OP_STOP,		/* VMM: stop; target: checks? load: drops? */
	DEMO_OP_PASS,		/* source: stop, and send the files */
	DEMO_OP_TAKE,		/* target: take the files that were sent */
	DEMO_OP_CLAIM,		/* target: claim and check */
	DEMO_OP_THAW,		/* target: thaw, read and write */
	DEMO_OP_ATTACH,		/* watch: the tap is there */
	DEMO_OP_COUNT,		/* watch: what is there to tell? */
};

struct demo_msg {
	enum demo_op		op;
	uint32_t		id;		/* CLAIM, THAW: the handover */
	struct tapxfer_token	token;		/* CLAIM, THAW */
	uint32_t		ifindex;	/* ATTACH, CLAIM */
	struct demo_counts	counts;		/* COUNT */
	uint64_t		value;		/* STOP: drops, or checks */
	uint64_t		held;		/* THAW */
	uint64_t		dropped;	/* THAW */
	uint64_t		blackout;	/* THAW */
	char			text[256];
};

static inline uint64_t demo_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static inline void demo_sleep_us(unsigned int us)
{
	struct timespec ts = { us / 1000000, us % 1000000 * 1000 };

	nanosleep(&ts, NULL);
}

/* One message, or false when the other side is gone. */
static inline bool demo_recv(int fd, struct demo_msg *m)
{
	ssize_t n;

	do
		n = recv(fd, m, sizeof(*m), 0);
	while (n < 0 && errno == EINTR);
	return n == sizeof(*m);
}

static inline bool demo_send(int fd, const struct demo_msg *m)
{
	ssize_t n;

	do
		n = send(fd, m, sizeof(*m), MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n == sizeof(*m);
}

/* A program that cannot go on says why. */
__attribute__((format(printf, 1, 2), noreturn))
static inline void demo_fail(const char *fmt, ...)
{
	struct demo_msg m = { .op = DEMO_OP_FAILED };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(m.text, sizeof(m.text), fmt, ap);
	va_end(ap);
	demo_send(DEMO_FD_CTL, &m);
	exit(1);
}

/* A program's next command; with the director a program ends. */
static inline void demo_command(struct demo_msg *m)
{
	if (!demo_recv(DEMO_FD_CTL, m))
		exit(0);
}

static inline void demo_answer(const struct demo_msg *m)
{
	if (!demo_send(DEMO_FD_CTL, m))
		exit(0);
}

static inline bool demo_readable(int fd, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, timeout_ms) > 0;
}

static inline struct demo_shm *demo_shm_map(void)
{
	void *p = mmap(NULL, sizeof(struct demo_shm), PROT_READ | PROT_WRITE,
		       MAP_SHARED, DEMO_FD_SHM, 0);

	if (p == MAP_FAILED)
		demo_fail("mmap: %m");
	return p;
}

/*
 * Stay on one processor, the first or the last that there is. A sender that
 * moved could overtake its own packets in the processors' backlogs, long before
 * the tap or long after it.
 */
static inline void demo_pin(bool last)
{
	cpu_set_t all, one;
	int cpu, found = -1;

	if (sched_getaffinity(0, sizeof(all), &all))
		demo_fail("sched_getaffinity: %m");
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &all) && (last || found < 0))
			found = cpu;
	CPU_ZERO(&one);
	CPU_SET(found, &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		demo_fail("sched_setaffinity: %m");
}

#endif /* _DEMO_CTL_H */
