/* SPDX-License-Identifier: GPL-2.0 */
/*
 * An agent that is a VMM: its guest reads and writes all the time, through the
 * queue files or, of the first queue, through vhost-net.
 */
#ifndef SELFTESTS_VMM_H
#define SELFTESTS_VMM_H

#include "agent.h"
#include "flow.h"

#define VMM_QUEUES	2
#define VMM_MAX_SEQ	(1 << 19)
#define VMM_HDR		12
#define VMM_SNDBUF	345678

/* What the guest knows, in whatever VMM it runs; in memory that all share */
struct vmm_guest {
	struct tally rx;
	/*
	 * Packets are numbered. All below @sent have been taken by the host;
	 * more than that when it was killed in the middle of a write.
	 */
	uint32_t trying;
	uint32_t sent;
	uint64_t laps;		/* it has tried all queues so many times */
	uint8_t seen[VMM_MAX_SEQ];
};

struct vmm_guest *vmm_guest_create(void);

/* -- things that an agent does, which is a VMM from the first of them on - */

/* Make the tap "tap0". */
long vmm_boot(struct agent_self *self, long guest, long unused);
/* Take the files that the agent has already. */
long vmm_adopt(struct agent_self *self, long guest, long unused);
/* Claim the files of the agent's handover. */
long vmm_claim(struct agent_self *self, long guest, long unused);
/* The same, and thaw. It keeps the files, if it had none. */
long vmm_claim_and_thaw(struct agent_self *self, long guest, long unused);
/* Let the guest go on, or stop it. */
long vmm_run(struct agent_self *self, long unused, long unused2);
long vmm_pause(struct agent_self *self, long unused, long unused2);
/* Pause, when what vhost has from the guest was sent. */
long vmm_finish(struct agent_self *self, long unused, long unused2);
/* Pause, and close the files. */
long vmm_close(struct agent_self *self, long unused, long unused2);
long vmm_detach(struct agent_self *self, long queue, long on);
/* 0, or what a read of the first queue fails with. */
long vmm_read_error(struct agent_self *self, long unused, long unused2);

/* vhost-net on the first queue, for a guest that has nothing to be received. */
long vmm_vhost_start(struct agent_self *self, long unused, long unused2);
/* How many packets it has for the guest, which has not looked. */
long vmm_vhost_used(struct agent_self *self, long unused, long unused2);
/* What the guest was given and has not looked at is counted as @queue's. */
long vmm_vhost_stop(struct agent_self *self, long queue, long unused);

#endif /* SELFTESTS_VMM_H */
