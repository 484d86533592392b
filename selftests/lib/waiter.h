/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A thread that makes one system call, which may block.
 */
#ifndef SELFTESTS_WAITER_H
#define SELFTESTS_WAITER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum waiter_op {
	WAITER_READ,
	WAITER_READV,
	WAITER_WRITE,		/* of buf, len bytes */
	WAITER_WRITEV,		/* of hdr, hdr_len bytes, then of buf */
	WAITER_POLL_IN,
	WAITER_POLL_OUT,
	WAITER_EPOLL,		/* fd is an epoll's */
	WAITER_IOCTL,		/* request, buf */
	WAITER_CALL,		/* fn(arg), which sleeps in system call nr */
};

struct waiter {
	enum waiter_op op;
	int fd;
	void *hdr;
	size_t hdr_len;
	void *buf;
	size_t len;
	unsigned long request;
	long (*fn)(void *arg);
	void *arg;
	long nr;

	uint8_t packet[256];	/* where a read goes, and buf by default */
	pthread_t thread;
	pid_t tid;
	bool done;
	long ret;
	int err;		/* errno, when ret is negative */
	uint32_t events;	/* of a poll */
};

/* Begin, with what is set above; once the call sleeps: 0, or -1 if it does not. */
int waiter_start(struct waiter *w);
/* Begin, and do not wait for anything. */
int waiter_go(struct waiter *w);
/* Whether it sleeps in its call now. */
bool waiter_sleeps(const struct waiter *w);
/* Whether it is done, within that time; then it is joined. */
bool waiter_wait(struct waiter *w, int ms);

/* Memory whose first access, by anyone, stalls until it is released */
struct stall {
	int uffd;
	uint8_t *page;
	size_t size;
};

int stall_open(struct stall *s);
/* Whether somebody is stalled, within that time. */
bool stall_wait(struct stall *s, int ms);
/* Fill the page with @data and let them go on. */
int stall_release(struct stall *s, const void *data, size_t len);
void stall_close(struct stall *s);

#endif /* SELFTESTS_WAITER_H */
