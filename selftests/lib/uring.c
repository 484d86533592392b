// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "uring.h"

static void *uring_map(struct uring *r, size_t size, off_t offset)
{
	return mmap(NULL, size, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_POPULATE, r->fd, offset);
}

int uring_open(struct uring *r, unsigned int entries)
{
	int err;

	memset(r, 0, sizeof(*r));
	r->fd = syscall(SYS_io_uring_setup, entries, &r->p);
	if (r->fd < 0)
		return -errno;
	r->sq_size = r->p.sq_off.array + r->p.sq_entries * sizeof(uint32_t);
	r->cq_size = r->p.cq_off.cqes +
		     r->p.cq_entries * sizeof(struct io_uring_cqe);
	r->sqes_size = r->p.sq_entries * sizeof(struct io_uring_sqe);
	r->sq = uring_map(r, r->sq_size, IORING_OFF_SQ_RING);
	r->cq = uring_map(r, r->cq_size, IORING_OFF_CQ_RING);
	r->sqes = uring_map(r, r->sqes_size, IORING_OFF_SQES);
	if (r->sq != MAP_FAILED && r->cq != MAP_FAILED &&
	    (void *)r->sqes != MAP_FAILED)
		return 0;
	err = -errno;
	close(r->fd);
	r->fd = -1;
	return err;
}

void uring_close(struct uring *r)
{
	if (r->fd <= 0)
		return;
	munmap(r->sq, r->sq_size);
	munmap(r->cq, r->cq_size);
	munmap(r->sqes, r->sqes_size);
	close(r->fd);
	r->fd = -1;
}

struct io_uring_sqe *uring_queue(struct uring *r, int op, int fd,
				 const void *addr, size_t len, uint64_t data)
{
	uint32_t *head = (uint32_t *)(r->sq + r->p.sq_off.head);
	uint32_t *tail = (uint32_t *)(r->sq + r->p.sq_off.tail);
	uint32_t *array = (uint32_t *)(r->sq + r->p.sq_off.array);
	uint32_t i = *tail & (r->p.sq_entries - 1);
	struct io_uring_sqe *sqe = &r->sqes[i];

	if (*tail - __atomic_load_n(head, __ATOMIC_ACQUIRE) == r->p.sq_entries)
		return NULL;
	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = op;
	sqe->fd = fd;
	sqe->addr = (uintptr_t)addr;
	sqe->len = len;
	sqe->user_data = data;
	array[i] = i;
	/* The kernel looks at it no sooner than at the submission. */
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	r->queued++;
	return sqe;
}

int uring_submit(struct uring *r)
{
	unsigned int n = r->queued;
	long ret;

	r->queued = 0;
	ret = syscall(SYS_io_uring_enter, r->fd, n, 0, 0, NULL, 0);
	if (ret < 0)
		return -errno;
	return ret == n ? 0 : -EIO;
}

bool uring_next(struct uring *r, struct io_uring_cqe *cqe)
{
	uint32_t *head = (uint32_t *)(r->cq + r->p.cq_off.head);
	uint32_t *tail = (uint32_t *)(r->cq + r->p.cq_off.tail);
	struct io_uring_cqe *cqes = (void *)(r->cq + r->p.cq_off.cqes);

	if (__atomic_load_n(tail, __ATOMIC_ACQUIRE) == *head)
		return false;
	*cqe = cqes[*head & (r->p.cq_entries - 1)];
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	return true;
}

int uring_register(struct uring *r, unsigned int op, const void *arg,
		   unsigned int n)
{
	return syscall(SYS_io_uring_register, r->fd, op, arg, n) < 0 ?
	       -errno : 0;
}
