/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The protocol of Documentation/channel.rst, spoken by hand: for what the
 * library would never say.
 */
#ifndef SELFTESTS_RAW_H
#define SELFTESTS_RAW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libmnl/libmnl.h>

#include "xfer.h"

#define RAW_MAGIC	0x31465854U

enum {
	RAW_HELLO = 1, RAW_OFFER, RAW_ACCEPT, RAW_DEVICE, RAW_FILES, RAW_GIVEN,
	RAW_TAKEN, RAW_STATE, RAW_FROZEN, RAW_VERDICT, RAW_RELEASED, RAW_DONE,
	RAW_REFUSE,
};

enum {
	RAW_A_VERSION = 1, RAW_A_SIDE, RAW_A_KIND, RAW_A_SESSION, RAW_A_BOOT_ID,
	RAW_A_REQUIRED, RAW_A_KERNEL_FEATURES, RAW_A_STATE_FEATURES,
	RAW_A_LIBRARY, RAW_A_TRANSPORT, RAW_A_DRAIN, RAW_A_DEV, RAW_A_INDEX,
	RAW_A_NAME, RAW_A_MODE, RAW_A_QUEUES, RAW_A_IFINDEX, RAW_A_ID,
	RAW_A_TOKEN, RAW_A_FIRST, RAW_A_OFFSET, RAW_A_DATA,
	RAW_A_ERROR, RAW_A_TEXT,
};

enum { RAW_SOURCE = 1, RAW_TARGET };
enum { RAW_ONLY = 1, RAW_EARLY, RAW_LATE };
enum { RAW_TRANSFER = 1, RAW_OFF, RAW_SKIP };

struct raw_head {
	uint32_t magic;
	uint16_t type;
	uint16_t nfds;
	uint32_t len;
	uint32_t seq;
};

struct raw {
	int sock;
	uint32_t seq;
	uint8_t session[16];
	uint32_t version;	/* 0: the right one */
	uint32_t side;		/* 0: the source */
	const char *boot_id;	/* NULL: this host's */
	uint64_t required;
	struct nlmsghdr *nlh;	/* the message being made */
	char buf[MNL_NLMSG_HDRLEN + 65536];
	char text[256];		/* of a refusal */
};

void raw_open(struct raw *r, int sock);
/* A new message; put attributes with mnl_attr_put_*(r->nlh, ...). */
void raw_new(struct raw *r);
/* Send it, with files; it says @told of them, -1: as many as there are. */
int raw_send_fds(struct raw *r, unsigned int type, const int *fds, size_t n,
		 int told);
int raw_send(struct raw *r, unsigned int type);
int raw_send_empty(struct raw *r, unsigned int type);
/* Bytes as they are */
int raw_send_bytes(struct raw *r, const void *bytes, size_t len);
/* The next message's type, or -errno; the text of a refusal is kept. */
int raw_recv(struct raw *r);

/* What a source says first, and hears: 0, or what came instead, or -errno */
int raw_hello(struct raw *r, unsigned int kind);
/* An offer of one device, "net0"; the same */
int raw_offer(struct raw *r, uint32_t transport, uint32_t mode,
	      uint32_t queues);
/* The device's handover, and its files */
int raw_device(struct raw *r, const struct xfer *x, const struct tap *tap);
int raw_files(struct raw *r, uint32_t first, const int *fds, size_t n,
	      int told);

#endif /* SELFTESTS_RAW_H */
