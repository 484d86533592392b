/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The fuzzer's messages: made, spoilt, and read as the kernel reads them.
 */
#ifndef SELFTESTS_FUZZ_MSG_H
#define SELFTESTS_FUZZ_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/tapxfer.h>

/* All that is random comes from here. */
struct rng {
	uint64_t state;
};

void rng_seed(struct rng *r, uint64_t seed, uint64_t n);
uint64_t rng_next(struct rng *r);
uint32_t rng_below(struct rng *r, uint32_t n);
bool rng_chance(struct rng *r, unsigned int percent);

#define FUZZ_ATTRS	400
#define FUZZ_DATAGRAM	(192 << 10)

/* An attribute as it is sent; what is longer than @data repeats it. */
struct fuzz_attr {
	uint16_t type;
	uint16_t len;		/* of what follows the header */
	uint16_t told;		/* nla_len, when it is a lie; 0 */
	uint8_t data[TAPXFER_TOKEN_LEN];
};

struct fuzz_msg {
	uint16_t type;		/* nlmsg_type */
	uint16_t flags;
	uint8_t cmd;
	uint8_t version;
	uint16_t reserved;
	int told;		/* added to nlmsg_len */
	unsigned int n;
	struct fuzz_attr attr[FUZZ_ATTRS];
};

/* What a spoilt message may be given instead of what it has */
struct fuzz_spare {
	const int *fds;		/* that are nobody's queues, or another's */
	unsigned int nfds;
	const uint32_t *ids;	/* of handovers, live or not */
	unsigned int nids;
	const uint8_t *token;	/* of another handover */
};

void fuzz_msg_init(struct fuzz_msg *m, uint16_t family, uint8_t cmd);
void fuzz_msg_add(struct fuzz_msg *m, uint16_t type, const void *data,
		  uint16_t len);
void fuzz_msg_u32(struct fuzz_msg *m, uint16_t type, uint32_t value);
/* Change something about it, at random. */
void fuzz_msg_spoil(struct fuzz_msg *m, struct rng *r,
		    const struct fuzz_spare *spare);
/* Append it to a datagram of @len bytes; the new length. */
size_t fuzz_msg_put(const struct fuzz_msg *m, uint8_t *buf, size_t len,
		    uint32_t seq);

/*
 * Memory of every process of the fuzzer, for the kernel to write to. No other address
 * is ever given to it: it would be written to.
 */
#define FUZZ_SCRATCH		0x200000000ULL
#define FUZZ_SCRATCH_LEN	65536

int fuzz_scratch_map(void);
bool fuzz_scratch_is(uint64_t addr);
/* Have a datagram's addresses of other memory be of none at all. */
void fuzz_scratch_tame(uint8_t *buf, size_t len, uint16_t family);

/* How far the kernel gets with a message */
enum fuzz_reach {
	FUZZ_UNSEEN,		/* netlink takes no notice of it */
	FUZZ_CORE,		/* refused before its command is known */
	FUZZ_COMMAND,		/* up to the command's policy at least */
};

struct fuzz_view {
	enum fuzz_reach reach;
	uint32_t seq;
	uint16_t flags;
	uint8_t cmd;
	bool dump;
	bool acked;		/* an answer is owed */
	/* why it cannot be right, whatever the attributes' values; or NULL */
	const char *illegal;
	/* the last attribute of each number, as the kernel takes it, or NULL */
	const uint8_t *val[TAPXFER_A_HANDOVER_MAX + 1];
	unsigned int nfds;
	int fds[TAPXFER_A_HANDOVER_MAX + FUZZ_ATTRS];
};

/*
 * The message at @offs of a datagram; where the next one begins, 0: that was
 * the last that netlink looks at, and @v is nothing.
 */
size_t fuzz_view_at(const uint8_t *buf, size_t len, size_t offs,
		    uint16_t family, struct fuzz_view *v);
uint32_t fuzz_view_u32(const struct fuzz_view *v, unsigned int type);

const char *fuzz_cmd_name(uint8_t cmd);

#endif /* SELFTESTS_FUZZ_MSG_H */
