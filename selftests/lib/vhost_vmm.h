/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One of the VMM processes of vhost_vm.h, and how it is told what to do.
 */
#ifndef SELFTESTS_VHOST_VMM_H
#define SELFTESTS_VHOST_VMM_H

#include "vhost_vm.h"

struct vmm_order {
	enum vm_op op;
	uint32_t id;
	struct tapxfer_token token;
};

struct vmm_answer {
	int err;
	uint32_t id;
	struct tapxfer_token token;
};

struct vmm_arg {
	struct vm_config c;
	struct vm_shared *sh;
	int memfds[VM_PAIRS];
	int ctl;			/* orders come from here */
	uint32_t flow;			/* of queue 0's guest */
};

/* A VMM's life; @arg is a struct vmm_arg. */
int vmm_main(void *arg);

/* A message with devices, or with none: 0 or -errno. */
int vmm_send(int ctl, const void *msg, size_t size,
	     const struct vm_devices *d);
int vmm_recv(int ctl, void *msg, size_t size, struct vm_devices *d);
void vmm_devices_close(struct vm_devices *d);

#endif /* SELFTESTS_VHOST_VMM_H */
