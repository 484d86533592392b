/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Numbered packets, to a tap's readers and from its writers.
 */
#ifndef SELFTESTS_FLOW_H
#define SELFTESTS_FLOW_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tap.h"

/* A UDP packet of flow @flow with the number @seq; its length. */
#define PACKET_LEN	60
#define PACKET_MAX	256	/* with a virtio_net_hdr, and room to spare */
int packet_make(uint8_t *buf, uint32_t flow, uint32_t seq);
/* Whether it is one, and which. */
bool packet_parse(const uint8_t *buf, ssize_t len, uint32_t *flow,
		  uint32_t *seq);

/*
 * A sender to a link, packet after packet: they enter the driver in the order
 * of their numbers, or are dropped by it, and nothing in between drops any.
 */
struct sender {
	int sock;
	int ifindex;
	uint32_t flows;
	uint32_t seq;		/* of the next packet */
	uint64_t dropped;	/* the driver said so */
};

int sender_open(struct sender *s, int ifindex, uint32_t flows);
/* The next @n packets; 0 or -errno. */
int sender_send(struct sender *s, uint32_t n);
/* One packet of that flow. */
int sender_send_flow(struct sender *s, uint32_t flow);
void sender_close(struct sender *s);

/* What was read of a sender's packets */
struct tally {
	uint32_t max;
	uint8_t *seen;			/* by number */
	int64_t last[TAP_MAX];		/* highest number of each queue */
	uint32_t count[TAP_MAX];	/* packets of each queue */
	uint64_t got;
	uint64_t dup;
	uint64_t reordered;		/* within a queue */
	uint64_t foreign;		/* not numbered, or out of range */
};

int tally_init(struct tally *t, uint32_t max);
void tally_free(struct tally *t);
void tally_add(struct tally *t, int queue, const uint8_t *packet, ssize_t len);
/* How many of the numbers below @end were not seen. */
uint64_t tally_lost(const struct tally *t, uint32_t end);

/* Read one packet of queue @q, if there is any: 1, 0, or -errno. */
int tap_read_one(const struct tap *tap, int q, struct tally *t);
/* Read all that there is: packets or -errno. */
int64_t tap_read_all(const struct tap *tap, struct tally *t);
/* The same until @n are there, or it takes too long. */
int64_t tap_read_count(const struct tap *tap, struct tally *t, int64_t n);

/* To each queue its flow: send until they are known, read what was sent. */
int flows_learn(struct sender *s, const struct tap *tap, struct tally *t,
		int flow_of[]);

/* Write one packet to a queue file: 0 or -errno. */
int tap_write_one(const struct tap *tap, int q, uint32_t seq);
int tap_writev_one(const struct tap *tap, int q, uint32_t seq);

/* What enters the host from a link's other end */
struct capture {
	int sock;
	struct tally t;
};

int capture_open(struct capture *c, int ifindex);
/* Take what came since; packets. */
uint64_t capture_read(struct capture *c);
void capture_close(struct capture *c);

#endif /* SELFTESTS_FLOW_H */
