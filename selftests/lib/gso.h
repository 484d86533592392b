/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Numbered packets of up to 64 KiB, which a tap takes as one (TSO).
 */
#ifndef SELFTESTS_GSO_H
#define SELFTESTS_GSO_H

#include <stdint.h>

#include "flow.h"
#include "tap.h"

#define GSO_MAX		65000

/* To a link, packet after packet; what the driver did not drop is noted */
struct gso {
	int sock;
	int ifindex;
	uint32_t seq;		/* of the next packet */
	uint32_t dropped;
	uint32_t max;
	uint8_t *sent;		/* by number */
};

int gso_open(struct gso *g, int ifindex, uint32_t max);
/* The next packet, of that flow, @len bytes long: 0 or -errno. */
int gso_send(struct gso *g, uint32_t flow, int len);
void gso_close(struct gso *g);

/* Read all that there is: packets or -errno. */
int64_t gso_read_all(const struct tap *tap, struct tally *t);
/* How many of those that were sent are missing, or came without. */
uint64_t gso_differ(const struct gso *g, const struct tally *t);

#endif /* SELFTESTS_GSO_H */
