/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the examples have in common: a tap, a guest that sends back what it gets,
 * and how a program is told to go on.
 */
#ifndef EXAMPLES_COMMON_H
#define EXAMPLES_COMMON_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QUEUES	2

/* SIGUSR1 came: hand over. SIGTERM or SIGINT: end. */
extern volatile sig_atomic_t move_wanted, end_wanted;
void signals_init(void);

/* Print it, with errno's text if @err is one, and end with status 1. */
void die(int err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3), noreturn));

/*
 * QUEUES files of a multiqueue tap, which is made if it is not there; @hdr bytes
 * of struct virtio_net_hdr before each packet, or none.
 */
void tap_open(const char *name, int hdr, int fds[QUEUES]);
void tap_close(int fds[QUEUES]);

/* A frame from the host becomes one to it. */
void frame_turn(uint8_t *frame);

/* How many frames guest_run() has sent back: all that this guest remembers. */
extern uint64_t guest_turned;

/* Until a signal comes: read frames from all queues, and write them back. */
void guest_run(const int fds[QUEUES]);
/* The same: a source's, which tells whether to hand over now, and a target's. */
bool guest_until_move(const int fds[QUEUES]);
void guest_until_end(const int fds[QUEUES]);

#endif /* EXAMPLES_COMMON_H */
