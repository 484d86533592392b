/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What goes over the wire between the inner guest (guest.c) and the other end
 * (peer.c), and the account of it. The guest's kernel is another one than the
 * peer's, so nothing but packets connects the two: each packet of the guest
 * tells what it has got so far.
 */
#ifndef SELFTESTS_QEMU_WIRE_H
#define SELFTESTS_QEMU_WIRE_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define WIRE_MAGIC	0x71656d75	/* "qemu" */
#define WIRE_FLOWS	8
#define WIRE_NUMBERS	(1 << 21)	/* of a flow, in a guest's life */
#define WIRE_GUEST_IP	0xc0000202	/* 192.0.2.2 */
#define WIRE_PEER_IP	0xc0000201	/* 192.0.2.1 */
#define WIRE_GUEST_PORT	7000		/* + flow */
#define WIRE_PEER_PORT	8000		/* + flow */
#define WIRE_TCP_PORT	9000		/* the guest's: it echoes */

/**
 * struct wire - a packet's payload, in network byte order
 * @magic: WIRE_MAGIC
 * @flow: 0 … WIRE_FLOWS - 1
 * @number: of this packet in its flow, from 0 without gaps
 * @rate: to the guest: packets a second that it shall send in all
 * @pairs: to the guest: queue pairs that it shall use, 0: as many as it does
 * @got: from the guest: packets that it has got in all, each once
 * @again: from the guest: packets that came again
 * @late: from the guest: packets behind one of a higher number of their flow
 */
struct wire {
	uint32_t magic;
	uint32_t flow;
	uint32_t number;
	uint32_t rate;
	uint32_t pairs;
	uint32_t got;
	uint32_t again;
	uint32_t late;
};

/** struct track - which packets of a flow have come */
struct track {
	uint32_t next;		/* above the highest number */
	uint32_t got;
	uint32_t again;
	uint32_t late;
	uint8_t *seen;		/* a bit a number */
};

static inline bool track_init(struct track *t)
{
	memset(t, 0, sizeof(*t));
	t->seen = calloc(1, WIRE_NUMBERS / 8);
	return t->seen;
}

static inline void track_add(struct track *t, uint32_t number)
{
	uint8_t bit = 1 << (number & 7);

	if (number >= WIRE_NUMBERS)
		return;
	if (t->seen[number / 8] & bit) {
		t->again++;
		return;
	}
	t->seen[number / 8] |= bit;
	t->got++;
	if (number < t->next)
		t->late++;
	else
		t->next = number + 1;
}

/* The stream's byte at @at: any part that is missing or doubled is seen. */
static inline uint8_t stream_byte(uint64_t at)
{
	uint64_t x = (at / 8 + 1) * 0x9e3779b97f4a7c15ULL;

	x ^= x >> 32;
	return x >> 8 * (at % 8);
}

#endif /* SELFTESTS_QEMU_WIRE_H */
