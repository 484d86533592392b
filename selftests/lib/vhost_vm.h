/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A running guest with some queue pairs, vhost-net in the VMM, and VMM after VMM
 * that it moves to, with traffic in both directions all the time:
 *
 *	sender -> tap -> vhost -> guest memory -> receiver threads -> tallies
 *	catcher <- tap <- vhost <- guest memory <- transmitter threads
 *
 * The test itself sends and catches. Each VMM is a child of it, which does what
 * it is told to.
 */
#ifndef SELFTESTS_VHOST_VM_H
#define SELFTESTS_VHOST_VM_H

#include "vhost.h"

#define VM_PAIRS	8	/* at the most */
#define VM_VMMS		4	/* at the most */

/* What a VMM can be told to do */
enum vm_op {
	VM_BOOT = 'B',		/* make the tap, attach the backends */
	VM_RUN = 'G',		/* the guest's processors */
	VM_HOLD = 'H',
	VM_PAUSE = 'P',
	VM_STOP = 'S',		/* the backends */
	VM_LET_GO = 'L',	/* release the devices, and send them */
	VM_FREEZE = 'F',
	VM_ABORT = 'A',
	VM_RESTART = 'Z',	/* a source: the backends, and the guest */
	VM_CLAIM = 'C',
	VM_SETUP = 'U',		/* the devices that were sent */
	VM_READY = 'Y',		/* backends attached, and the guest goes on here */
	VM_THAW = 'T',
	VM_RESUME = 'R',	/* both of it, the thaw first */
	VM_EXIT = 'X',
	VM_KILL = 'K',		/* done to it */
};

struct vm_config {
	int pairs;
	uint64_t features;	/* of vhost_map() */
	uint32_t rx_buf;	/* bytes of the guest's buffers; 0: plenty */
	uint32_t flows;		/* to the guest */
	uint32_t run_window;	/* packets to the guest on their way */
	uint32_t hold_window;	/* the same while held */
};

/* Devices on their way from a VMM to the next */
struct vm_devices {
	int n;
	struct tapxfer_vhost_state states[VM_PAIRS];
	int fds[VM_PAIRS][1 + 2 * VHOST_SIDES];	/* device, kick, call */
};

/* What all processes see */
struct vm_shared {
	struct tally rx[VM_PAIRS];	/* what each queue's guest received */
	struct catcher c;
	uint32_t window;		/* packets to the guest on their way */
};

struct vm_vmm {
	pid_t pid;
	int ctl;
};

struct vm_sender {
	struct vm_shared *sh;
	struct sender s;
	pthread_t thread;
	bool stop;
	int err;
};

struct vm {
	struct vm_config c;
	struct vm_shared *sh;
	struct capture capture;
	struct vm_sender src;
	struct vm_vmm vmms[VM_VMMS];
	int memfds[VM_PAIRS];
	/* the handover that a VMM told of last */
	uint32_t id;
	struct tapxfer_token token;
	struct vm_devices devices;
};

/* What became of all packets, in each direction */
struct vm_account {
	uint64_t sent;
	uint64_t lost;
	uint64_t dup;
	uint64_t reordered;
	uint64_t foreign;
};

/* A guest that runs in VMM 0, with traffic: 0 or -errno. */
int vm_start(struct vm *vm, const struct vm_config *c);
void vm_end(struct vm *vm);
/* Tell VMM @i, or do it to it. */
int vm_tell(struct vm *vm, int i, enum vm_op op);
/* The same of each letter; -errno, and *@failed is the one that failed. */
int vm_tell_all(struct vm *vm, int i, const char *ops, char *failed);
/* After a VMM that was killed: find out where its backends were. */
int vm_recover(struct vm *vm);
/* Packets to the guest that may be on their way */
void vm_window(struct vm *vm, bool held);

uint64_t vm_received(const struct vm_shared *sh);
/* Packets to the guest that it has not received */
uint32_t vm_on_the_way(const struct vm *vm);
/* @n more come, in both directions, from each queue. */
bool vm_has_traffic(struct vm *vm, uint64_t n);
/* The guest has no descriptor left to send with, on no queue. */
bool vm_is_stuck(const struct vm *vm);
/* How far vhost has come in filling the guest's buffers; turns round. */
uint64_t vm_filled(const struct vm *vm);

/*
 * Stop sending, let all arrive, in VMM @i, which has the guest, and count: 0 or
 * -errno, -ETIMEDOUT when it does not arrive.
 */
int vm_account(struct vm *vm, int i, struct vm_account *to,
	       struct vm_account *from);

#endif /* SELFTESTS_VHOST_VM_H */
