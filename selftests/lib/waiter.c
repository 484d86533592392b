// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/userfaultfd.h>

#include "util.h"
#include "waiter.h"

static const long numbers[] = {
	[WAITER_READ] = SYS_read,
	[WAITER_READV] = SYS_readv,
	[WAITER_WRITE] = SYS_write,
	[WAITER_WRITEV] = SYS_writev,
	[WAITER_POLL_IN] = SYS_ppoll,
	[WAITER_POLL_OUT] = SYS_ppoll,
	[WAITER_EPOLL] = SYS_epoll_pwait,
	[WAITER_IOCTL] = SYS_ioctl,
};

static long wait_poll(struct waiter *w, short events)
{
	struct pollfd pfd = { .fd = w->fd, .events = events };
	long ret = ppoll(&pfd, 1, NULL, NULL);

	w->events = pfd.revents;
	return ret;
}

static long wait_epoll(struct waiter *w)
{
	struct epoll_event ev = {};
	long ret = epoll_pwait(w->fd, &ev, 1, -1, NULL);

	w->events = ev.events;
	return ret;
}

static long make_call(struct waiter *w)
{
	struct iovec iov[] = {
		{ .iov_base = w->hdr, .iov_len = w->hdr_len },
		{ .iov_base = w->buf, .iov_len = w->len },
	};

	switch (w->op) {
	case WAITER_READ:
		return read(w->fd, w->buf, w->len);
	case WAITER_READV:
		return readv(w->fd, iov + 1, 1);
	case WAITER_WRITE:
		return write(w->fd, w->buf, w->len);
	case WAITER_WRITEV:
		return writev(w->fd, iov, 2);
	case WAITER_POLL_IN:
		return wait_poll(w, POLLIN);
	case WAITER_POLL_OUT:
		return wait_poll(w, POLLOUT);
	case WAITER_EPOLL:
		return wait_epoll(w);
	case WAITER_IOCTL:
		return ioctl(w->fd, w->request, w->buf);
	case WAITER_CALL:
		return w->fn(w->arg);
	}
	abort();
}

static void *waiter_main(void *arg)
{
	struct waiter *w = arg;

	__atomic_store_n(&w->tid, gettid(), __ATOMIC_RELEASE);
	w->ret = make_call(w);
	w->err = w->ret < 0 ? errno : 0;
	__atomic_store_n(&w->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static bool is_done(const struct waiter *w)
{
	return __atomic_load_n(&w->done, __ATOMIC_ACQUIRE);
}

int waiter_go(struct waiter *w)
{
	if (!w->buf) {
		w->buf = w->packet;
		w->len = sizeof(w->packet);
	}
	w->tid = 0;
	w->done = false;
	return pthread_create(&w->thread, NULL, waiter_main, w) ? -1 : 0;
}

bool waiter_sleeps(const struct waiter *w)
{
	pid_t tid = __atomic_load_n(&w->tid, __ATOMIC_ACQUIRE);

	return tid && !is_done(w) &&
	       task_sleeps_in(tid, w->op == WAITER_CALL ? w->nr :
							  numbers[w->op]);
}

int waiter_start(struct waiter *w)
{
	if (waiter_go(w))
		return -1;
	return wait_until(waiter_sleeps(w) || is_done(w), SOON_MS) &&
	       !is_done(w) ? 0 : -1;
}

bool waiter_wait(struct waiter *w, int ms)
{
	if (!wait_until(is_done(w), ms))
		return false;
	pthread_join(w->thread, NULL);
	return true;
}

int stall_open(struct stall *s)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	memset(s, 0, sizeof(*s));
	s->size = sysconf(_SC_PAGESIZE);
	s->uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (s->uffd < 0)
		return -errno;
	s->page = mmap(NULL, s->size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s->page == MAP_FAILED)
		return -errno;
	reg.range.start = (uintptr_t)s->page;
	reg.range.len = s->size;
	if (ioctl(s->uffd, UFFDIO_API, &api) ||
	    ioctl(s->uffd, UFFDIO_REGISTER, &reg))
		return -errno;
	return 0;
}

bool stall_wait(struct stall *s, int ms)
{
	struct pollfd pfd = { .fd = s->uffd, .events = POLLIN };
	struct uffd_msg msg;

	return poll(&pfd, 1, ms) == 1 &&
	       read(s->uffd, &msg, sizeof(msg)) == sizeof(msg) &&
	       msg.event == UFFD_EVENT_PAGEFAULT;
}

int stall_release(struct stall *s, const void *data, size_t len)
{
	struct uffdio_copy copy = { .dst = (uintptr_t)s->page };
	void *page;
	int err;

	page = aligned_alloc(s->size, s->size);
	if (!page)
		return -ENOMEM;
	memset(page, 0, s->size);
	memcpy(page, data, len);
	copy.src = (uintptr_t)page;
	copy.len = s->size;
	err = ioctl(s->uffd, UFFDIO_COPY, &copy) ? -errno : 0;
	free(page);
	return err;
}

void stall_close(struct stall *s)
{
	/* lets go of whoever is stalled still */
	if (s->page)
		munmap(s->page, s->size);
	if (s->uffd > 0)
		close(s->uffd);
}
