/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What goes from vhost-source to vhost-target over a UNIX socket, and how.
 */
#ifndef EXAMPLES_VHOST_MOVE_H
#define EXAMPLES_VHOST_MOVE_H

#include "vhost-guest.h"

struct move {
	uint32_t id;
	struct tapxfer_token token;
	struct tapxfer_vhost_state states[QUEUES];
};

/* With the guest's memory, and each pair's device and eventfds: 0 or -errno. */
int move_send(int sock, const struct move *move, const struct vhost_vm *vm);
/* The same, and @vm's memory is mapped; nothing was done to its devices. */
int move_recv(int sock, struct move *move, struct vhost_vm *vm);

#endif /* EXAMPLES_VHOST_MOVE_H */
