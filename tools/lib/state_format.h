/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bytes of a state, as Documentation/state-format.rst specifies them. What
 * is here is what files have: it can be added to, never changed.
 */
#ifndef LIBTAPXFER_STATE_FORMAT_H
#define LIBTAPXFER_STATE_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TXL_STATE_MAGIC		"TAPXFER\n"
#define TXL_STATE_MAGIC_LEN	8
#define TXL_STATE_VERSION	1

/* Offsets in the header; all numbers are little endian */
enum {
	TXL_STATE_OFF_MAGIC = 0,
	TXL_STATE_OFF_VERSION = 8,	/* u16 */
	TXL_STATE_OFF_PHASE = 10,	/* u16 */
	TXL_STATE_OFF_LENGTH = 12,	/* u32, of the attributes */
	TXL_STATE_OFF_FEATURES = 16,	/* u64, that a reader must know */
	TXL_STATE_OFF_RESERVED = 24,	/* u32, 0 */
	TXL_STATE_OFF_CRC = 28,		/* u32, of the bytes before it */

	TXL_STATE_HEADER = 32,
	TXL_STATE_TRAILER = 4,		/* u32, CRC of all before it */
};

/* An attribute: u16 length of head and value, u16 type, value, padding to 4 */
#define TXL_STATE_ATTR_HEAD	4
#define TXL_STATE_NESTED	0x8000
#define TXL_STATE_REQUIRED	0x4000	/* refuse it if you don't know it */
#define TXL_STATE_TYPE		0x3fff

/* What a reader of this version takes; a queue is some 120 bytes. */
#define TXL_STATE_LENGTH_MAX	(1U << 20)
/* Queues of a state */
#define TXL_STATE_QUEUES_MAX	4096

enum txl_state_kind {
	TXL_STATE_BOOL = 1,		/* u8, 0 or 1 */
	TXL_STATE_U32,
	TXL_STATE_U64,
	TXL_STATE_S32,
	TXL_STATE_STRING,		/* ends with a NUL */
	TXL_STATE_BINARY,
	TXL_STATE_NEST,
};

enum {
	TXL_STATE_F_REQUIRED = 1,	/* of the reader */
	TXL_STATE_F_ALWAYS = 2,		/* of the writer */
	TXL_STATE_F_MULTI = 4,		/* more than once */
	TXL_STATE_F_FDS = 8,		/* of TAPXFER_STATE_FEATURE_FDS alone */
};

struct txl_state_attr {
	uint16_t type;
	uint8_t kind;			/* enum txl_state_kind */
	uint8_t flags;
	uint16_t max;			/* of strings and binaries, bytes */
	const char *name;		/* as the spec has it */
	const struct txl_state_attr *nest;
};

/* state_table.c: the attributes of the outermost level; ends with type 0 */
extern const struct txl_state_attr txl_state_attrs[];

const struct txl_state_attr *
txl_state_attr_find(const struct txl_state_attr *table, unsigned int type);

bool txl_state_is_text(const uint8_t *p, size_t len);

/* crc32c.c */
uint32_t txl_crc32c(uint32_t crc, const void *data, size_t len);

#endif /* LIBTAPXFER_STATE_FORMAT_H */
