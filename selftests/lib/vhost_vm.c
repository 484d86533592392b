// SPDX-License-Identifier: GPL-2.0
/* What the test does: start VMMs, tell them, send, catch and count. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "net.h"
#include "util.h"
#include "vhost_vm.h"
#include "vhost_vmm.h"

#define FLOW		100	/* of queue 0's guest */
#define MAX_SEQ		(1 << 18)

#define load(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)

static void *shared_alloc(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* As tally_init(), for several processes */
static int shared_tally(struct tally *t)
{
	memset(t->last, 0xff, sizeof(t->last));
	t->max = MAX_SEQ;
	t->seen = shared_alloc(MAX_SEQ);
	return t->seen ? 0 : -ENOMEM;
}

uint64_t vm_received(const struct vm_shared *sh)
{
	uint64_t sum = 0;
	int q;

	for (q = 0; q < VM_PAIRS; q++)
		sum += load(&sh->rx[q].got);
	return sum;
}

uint32_t vm_on_the_way(const struct vm *vm)
{
	return vm->src.s.seq - vm_received(vm->sh);
}

static void *send_all_the_time(void *arg)
{
	struct vm_sender *src = arg;

	while (!src->err && !load(&src->stop)) {
		if (src->s.seq - vm_received(src->sh) < load(&src->sh->window))
			src->err = sender_send(&src->s, 1);
		else
			usleep(100);
	}
	return NULL;
}

static int vmm_start(struct vm *vm, struct vm_vmm *vmm)
{
	struct vmm_arg arg = { .c = vm->c, .sh = vm->sh };
	int sv[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv))
		return -errno;
	vmm->ctl = sv[0];
	arg.ctl = sv[1];
	memcpy(arg.memfds, vm->memfds, sizeof(arg.memfds));
	arg.flow = FLOW;
	vmm->pid = child_start(vmm_main, &arg);
	close(sv[1]);
	return vmm->pid > 0 ? 0 : -ECHILD;
}

static int memory_start(struct vm *vm)
{
	struct vhost v;
	int i, err;

	for (i = 0; i < vm->c.pairs; i++) {
		vm->memfds[i] = guest_create();
		if (vm->memfds[i] < 0)
			return vm->memfds[i];
		err = shared_tally(&vm->sh->rx[i]);
		if (!err)
			err = vhost_map(&v, vm->c.features, vm->memfds[i]);
		if (err)
			return err;
		v.guest->rx_buf = vm->c.rx_buf ?: VHOST_BUF;
		vhost_close(&v);
	}
	return 0;
}

int vm_start(struct vm *vm, const struct vm_config *c)
{
	int i, ifindex, err;

	signal(SIGPIPE, SIG_IGN);
	vm->c = *c;
	vm->sh = shared_alloc(sizeof(*vm->sh));
	if (!vm->sh)
		return -ENOMEM;
	vm_window(vm, false);
	err = memory_start(vm);
	for (i = 0; !err && i < VM_VMMS; i++)
		err = vmm_start(vm, &vm->vmms[i]);
	if (!err)
		err = vm_tell(vm, 0, VM_BOOT);
	if (err)
		return err;

	ifindex = if_nametoindex("tap0");
	vm->sh->c.c = &vm->capture;
	vm->sh->c.flow = FLOW;
	vm->sh->c.queues = c->pairs;
	vm->src.sh = vm->sh;
	err = capture_open(&vm->capture, ifindex) ?:
	      catcher_start(&vm->sh->c) ?:
	      vm_tell(vm, 0, VM_RUN) ?:
	      sender_open(&vm->src.s, ifindex, c->flows);
	if (err)
		return err;
	return -pthread_create(&vm->src.thread, NULL, send_all_the_time,
			       &vm->src);
}

static void stop_sending(struct vm *vm)
{
	if (!vm->src.thread)
		return;
	__atomic_store_n(&vm->src.stop, true, __ATOMIC_RELEASE);
	pthread_join(vm->src.thread, NULL);
	vm->src.thread = 0;
}

void vm_end(struct vm *vm)
{
	int i;

	stop_sending(vm);
	for (i = 0; i < VM_VMMS; i++)
		if (vm->vmms[i].pid > 0)
			child_kill(vm->vmms[i].pid);
	if (vm->sh && vm->sh->c.thread)
		catcher_stop(&vm->sh->c);
	vmm_devices_close(&vm->devices);
	link_delete("tap0");
	capture_close(&vm->capture);
	sender_close(&vm->src.s);
}

void vm_window(struct vm *vm, bool held)
{
	__atomic_store_n(&vm->sh->window,
			 held ? vm->c.hold_window : vm->c.run_window,
			 __ATOMIC_RELEASE);
}

/* What an answer does not tell stays as it is known. */
static int tell(struct vm *vm, struct vm_vmm *vmm, enum vm_op op)
{
	struct vmm_order o = { .op = op, .id = vm->id, .token = vm->token };
	struct vm_devices got = {};
	struct vmm_answer a;
	int err;

	err = vmm_send(vmm->ctl, &o, sizeof(o),
		       op == VM_SETUP ? &vm->devices : NULL);
	if (op == VM_SETUP)
		vmm_devices_close(&vm->devices);
	if (!err)
		err = vmm_recv(vmm->ctl, &a, sizeof(a), &got);
	if (err)
		return err;
	if (got.n) {
		vmm_devices_close(&vm->devices);
		vm->devices = got;
	}
	if (a.id) {
		vm->id = a.id;
		vm->token = a.token;
	}
	return a.err;
}

int vm_tell(struct vm *vm, int i, enum vm_op op)
{
	struct vm_vmm *vmm = &vm->vmms[i];
	struct vmm_order o = { .op = op };
	int want = 0;

	if (op != VM_KILL && op != VM_EXIT)
		return tell(vm, vmm, op);
	if (op == VM_KILL) {
		kill(vmm->pid, SIGKILL);
		want = 128 + SIGKILL;
	} else {
		vmm_send(vmm->ctl, &o, sizeof(o), NULL);
	}
	if (child_wait(vmm->pid, SOON_MS) != want)
		return -EIO;
	vmm->pid = 0;
	return 0;
}

int vm_tell_all(struct vm *vm, int i, const char *ops, char *failed)
{
	int err;

	for (; *ops; ops++) {
		err = vm_tell(vm, i, (enum vm_op)*ops);
		if (err) {
			*failed = *ops;
			return err;
		}
		if (*ops == VM_HOLD)
			vm_window(vm, true);
	}
	return 0;
}

/* -- what the test looks at ------------------------------------------------ */

/* Whether @look says so of each queue's guest. */
static bool each_guest(const struct vm *vm,
		       bool (*look)(struct vhost *v, void *data),
		       void *data)
{
	struct vhost v;
	bool ok = true;
	int q;

	for (q = 0; q < vm->c.pairs; q++) {
		ok &= !vhost_map(&v, vm->c.features, vm->memfds[q]) &&
		      look(&v, data);
		vhost_close(&v);
	}
	return ok;
}

static bool is_stuck(struct vhost *v, void *unused)
{
	return guest_unsent(v) == VHOST_RING;
}

bool vm_is_stuck(const struct vm *vm)
{
	return each_guest(vm, is_stuck, NULL);
}

static bool add_filled(struct vhost *v, void *sum)
{
	*(uint64_t *)sum = *(uint64_t *)sum * 31 +
			   load(&v->vrings[VHOST_RX].used->idx);
	return true;
}

uint64_t vm_filled(const struct vm *vm)
{
	uint64_t sum = 0;

	each_guest(vm, add_filled, &sum);
	return sum;
}

static bool recover(struct vhost *v, void *unused)
{
	return !vhost_recover(v);
}

int vm_recover(struct vm *vm)
{
	return each_guest(vm, recover, NULL) ? 0 : -EIO;
}

bool vm_has_traffic(struct vm *vm, uint64_t n)
{
	uint64_t rx = vm_received(vm->sh) + n, tx[VM_PAIRS];
	bool ok;
	int q;

	for (q = 0; q < vm->c.pairs; q++)
		tx[q] = load(&vm->sh->c.seen[q]) + n;
	ok = wait_until(vm_received(vm->sh) >= rx, SOON_MS);
	for (q = 0; q < vm->c.pairs; q++)
		ok &= wait_until(load(&vm->sh->c.seen[q]) >= tx[q], SOON_MS);
	return ok;
}

static void count_to(const struct vm *vm, struct vm_account *to)
{
	uint32_t seq;
	int q, n;

	*to = (struct vm_account) { .sent = vm->src.s.seq };
	for (seq = 0; seq < vm->src.s.seq; seq++) {
		for (q = 0, n = 0; q < vm->c.pairs; q++)
			n += vm->sh->rx[q].seen[seq];
		to->lost += n < 1;
		to->dup += n > 1;
	}
	for (q = 0; q < vm->c.pairs; q++) {
		to->dup += vm->sh->rx[q].dup;
		to->reordered += vm->sh->rx[q].reordered;
		to->foreign += vm->sh->rx[q].foreign;
	}
}

/* Of one queue: its numbers are n * pairs + q, without a gap. */
static int count_from(const struct vm *vm, int q, struct vm_account *from)
{
	uint32_t seq, sent;
	struct vhost v;
	int err;

	err = vhost_map(&v, vm->c.features, vm->memfds[q]);
	if (err)
		return err;
	sent = v.guest->sent;
	if (!wait_until(guest_unsent(&v) == 0, SOON_MS) ||
	    !wait_until(load(&vm->sh->c.seen[q]) == sent, SOON_MS))
		err = -ETIMEDOUT;
	for (seq = 0; seq < sent; seq++)
		from->lost += !vm->capture.t.seen[seq * vm->c.pairs + q];
	from->sent += sent;
	vhost_close(&v);
	return err;
}

int vm_account(struct vm *vm, int i, struct vm_account *to,
	       struct vm_account *from)
{
	int q, err = 0;

	stop_sending(vm);
	if (vm->src.err || vm->src.s.dropped)
		return vm->src.err ?: -ENOBUFS;
	if (!wait_until(vm_received(vm->sh) == vm->src.s.seq, SOON_MS))
		err = -ETIMEDOUT;
	err = vm_tell(vm, i, VM_PAUSE) ?: err;
	count_to(vm, to);
	*from = (struct vm_account) {};
	for (q = 0; q < vm->c.pairs; q++)
		err = count_from(vm, q, from) ?: err;
	from->dup = vm->capture.t.dup;
	from->reordered = vm->capture.t.reordered;
	from->foreign = vm->capture.t.foreign;
	/* the capture's socket had no room: nothing can be said */
	return vm->sh->c.lost ? -ENOBUFS : err;
}
