/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What both of the demo's VMMs do: read and write all queues of a tap, without
 * blocking, from one epoll loop.
 */
#ifndef _DEMO_VMM_H
#define _DEMO_VMM_H

#include <sys/epoll.h>

#include "demo_ctl.h"

#define VMM_BUDGET	64	/* packets of a queue at a time */
#define VMM_SEND_RATE	3000	/* packets a second from the guest */
#define VMM_CTL		DEMO_QUEUES

/**
 * struct vmm - a VMM
 * @shm: the account
 * @fds: queues
 * @ep: epoll of the queues and the director's socket
 * @last_read: when there was a packet, CLOCK_MONOTONIC ns
 * @send_since: since when the guest sends
 * @sends: packets sent since
 * @flow: that the guest sends next
 */
struct vmm {
	struct demo_shm	*shm;
	int		fds[DEMO_QUEUES];
	int		ep;
	uint64_t	last_read;
	uint64_t	send_since;
	uint64_t	sends;
	unsigned int	flow;
};

static void vmm_watch(struct vmm *vm, int fd, uint32_t what)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = what };

	if (epoll_ctl(vm->ep, EPOLL_CTL_ADD, fd, &ev))
		demo_fail("epoll_ctl: %m");
}

static void vmm_init(struct vmm *vm)
{
	memset(vm, 0, sizeof(*vm));
	demo_pin(true);
	vm->shm = demo_shm_map();
	vm->ep = epoll_create1(EPOLL_CLOEXEC);
	if (vm->ep < 0)
		demo_fail("epoll_create1: %m");
	vmm_watch(vm, DEMO_FD_CTL, VMM_CTL);
}

/* vm->fds are there. */
static void vmm_watch_queues(struct vmm *vm)
{
	uint32_t i;

	for (i = 0; i < DEMO_QUEUES; i++)
		vmm_watch(vm, vm->fds[i], i);
}

static void vmm_receive(struct vmm *vm, const struct demo_frame *f)
{
	unsigned int port = ntohs(f->udp.dest);
	struct demo_payload load = f->load;

	if (f->eth.h_proto != htons(ETH_P_IP) || f->ip.protocol != IPPROTO_UDP)
		return;
	if (port == DEMO_HELLO_PORT)
		vm->shm->hello = 1;
	else if (port >= DEMO_H2G_DPORT && port < DEMO_H2G_DPORT + DEMO_FLOWS)
		demo_track_got(&vm->shm->h2g, &load);
}

/* Some of a queue's packets, so that each queue has its turn. */
static void vmm_read(struct vmm *vm, unsigned int queue)
{
	struct demo_frame f;
	unsigned int i;
	ssize_t n;

	for (i = 0; i < VMM_BUDGET; i++) {
		/* what is longer is none of the demo's, and cut off */
		n = read(vm->fds[queue], &f, sizeof(f));
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			demo_fail("read from queue %u: %m", queue);
		if (n == sizeof(f))
			vmm_receive(vm, &f);
	}
	if (i) {
		vm->last_read = demo_now();
		if (vm->shm->stopped_at && !vm->shm->resumed_at)
			vm->shm->resumed_at = vm->last_read;
	}
}

static bool vmm_write_one(struct vmm *vm)
{
	struct demo_track *t = &vm->shm->g2h;
	struct demo_payload load = {};
	struct demo_frame f;
	ssize_t n;

	demo_frame_init(&f, vm->flow);
	demo_track_next(t, vm->flow, &load);
	f.load = load;
	n = write(vm->fds[vm->flow % DEMO_QUEUES], &f, sizeof(f));
	if (n < 0 && errno == EAGAIN)
		return false;
	if (n != sizeof(f))
		demo_fail("write to queue %u: %m", vm->flow % DEMO_QUEUES);
	demo_track_sent(t, vm->flow);
	vm->flow = (vm->flow + 1) % DEMO_FLOWS;
	return true;
}

/* What the guest has to send by now. */
static void vmm_write(struct vmm *vm)
{
	uint64_t now = demo_now(), due;
	unsigned int i;

	if (!vm->shm->guest_sends || !vm->send_since) {
		vm->send_since = now;
		vm->sends = 0;
		return;
	}
	due = (now - vm->send_since) * VMM_SEND_RATE / 1000000000;
	for (i = 0; i < VMM_BUDGET && vm->sends < due; i++) {
		if (!vmm_write_one(vm))
			break;
		vm->sends++;
	}
}

/* Read and write until the director has something to say. */
static void vmm_run(struct vmm *vm)
{
	struct epoll_event ev[DEMO_QUEUES + 1];
	bool told = false;
	int i, n;

	while (!told) {
		n = epoll_wait(vm->ep, ev, DEMO_QUEUES + 1, 1);
		if (n < 0 && errno != EINTR)
			demo_fail("epoll_wait: %m");
		for (i = 0; i < n; i++) {
			if (ev[i].data.u32 == VMM_CTL)
				told = true;
			else
				vmm_read(vm, ev[i].data.u32);
		}
		vmm_write(vm);
	}
}

#endif /* _DEMO_VMM_H */
