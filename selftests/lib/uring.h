/* SPDX-License-Identifier: GPL-2.0 */
/*
 * io_uring by its system calls: the machine that runs the tests may have no
 * liburing.
 */
#ifndef SELFTESTS_URING_H
#define SELFTESTS_URING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/io_uring.h>

struct uring {
	int fd;
	struct io_uring_params p;
	uint8_t *sq, *cq;
	size_t sq_size, cq_size, sqes_size;
	struct io_uring_sqe *sqes;
	unsigned int queued;		/* not submitted yet */
};

/* A ring with room for @entries requests: 0 or -errno. */
int uring_open(struct uring *r, unsigned int entries);
/* What is under way is cancelled by the kernel, some time after this. */
void uring_close(struct uring *r);

/* The next request, to be refined by the caller; NULL when there is no room. */
struct io_uring_sqe *uring_queue(struct uring *r, int op, int fd,
				 const void *addr, size_t len, uint64_t data);
/* Begin all that were queued: 0 or -errno. May sleep in them, unless ASYNC. */
int uring_submit(struct uring *r);
/* The next completion, if there is any. */
bool uring_next(struct uring *r, struct io_uring_cqe *cqe);

/* io_uring_register(2): 0 or -errno. */
int uring_register(struct uring *r, unsigned int op, const void *arg,
		   unsigned int n);

#endif /* SELFTESTS_URING_H */
