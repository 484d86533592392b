// SPDX-License-Identifier: LGPL-2.1-or-later
/* Which attributes a state has, and how they look in it. */
#include <net/if.h>

#include "internal.h"
#include "state_format.h"

#define IFNAME_MAX	IFNAMSIZ
#define MAC_MAX		32		/* MAX_ADDR_LEN */
#define VERSION_MAX	64

#define REQUIRED	TXL_STATE_F_REQUIRED
#define ALWAYS		TXL_STATE_F_ALWAYS
#define MULTI		TXL_STATE_F_MULTI
#define FDS		TXL_STATE_F_FDS

#define DEV(attr, kind_, flags_, name_) \
	{ .type = TAPXFER_A_DEV_##attr, .kind = TXL_STATE_##kind_, \
	  .flags = flags_, .name = "device's " name_ }
#define DEV_MAX(attr, kind_, flags_, max_, name_) \
	{ .type = TAPXFER_A_DEV_##attr, .kind = TXL_STATE_##kind_, \
	  .flags = flags_, .max = max_, .name = "device's " name_ }
#define QUEUE(attr, kind_, flags_, name_) \
	{ .type = TAPXFER_A_QUEUE_##attr, .kind = TXL_STATE_##kind_, \
	  .flags = flags_, .name = "queue's " name_ }
#define HO(attr, kind_, flags_, name_) \
	{ .type = TAPXFER_A_HANDOVER_##attr, .kind = TXL_STATE_##kind_, \
	  .flags = flags_, .name = name_ }
#define HO_MAX(attr, kind_, flags_, max_, name_) \
	{ .type = TAPXFER_A_HANDOVER_##attr, .kind = TXL_STATE_##kind_, \
	  .flags = flags_, .max = max_, .name = name_ }
#define STATE(attr, kind_, flags_, max_, name_) \
	{ .type = TAPXFER_A_STATE_##attr, .kind = TXL_STATE_##kind_, \
	  .flags = flags_, .max = max_, .name = name_ }

/* REQUIRED is what a guest notices when its new VMM does not know it. */
static const struct txl_state_attr dev[] = {
	DEV(IFINDEX, U32, ALWAYS, "ifindex"),
	DEV_MAX(IFNAME, STRING, ALWAYS, IFNAME_MAX, "ifname"),
	DEV(TYPE, U32, REQUIRED | ALWAYS, "type"),
	DEV(LINK_TYPE, U32, ALWAYS, "link-type"),
	DEV(FLAGS, U32, REQUIRED | ALWAYS, "flags"),
	DEV(VNET_HDR_SZ, U32, REQUIRED | ALWAYS, "vnet-hdr-sz"),
	DEV(VNET_LE, BOOL, REQUIRED | ALWAYS, "vnet-le"),
	DEV(VNET_BE, BOOL, REQUIRED, "vnet-be"),
	DEV(OFFLOADS, U32, REQUIRED | ALWAYS, "offloads"),
	DEV(SNDBUF, S32, ALWAYS, "sndbuf"),
	DEV(OWNER, U32, 0, "owner"),
	DEV(GROUP, U32, 0, "group"),
	DEV(PERSIST, BOOL, 0, "persist"),
	DEV(MULTI_QUEUE, BOOL, 0, "multi-queue"),
	DEV(NUM_QUEUES, U32, 0, "num-queues"),
	DEV(NUM_DETACHED, U32, 0, "num-detached"),
	DEV_MAX(MAC, BINARY, 0, MAC_MAX, "mac"),
	DEV(MTU, U32, ALWAYS, "mtu"),
	DEV(CARRIER, BOOL, 0, "carrier"),
	DEV(TX_QUEUE_LEN, U32, 0, "tx-queue-len"),
	DEV(XDP_PROG_ID, U32, 0, "xdp-prog-id"),
	DEV(NOT_EXPORTED, U32, 0, "not-exported"),
	{ 0 },
};

static const struct txl_state_attr queue[] = {
	QUEUE(INDEX, U32, ALWAYS, "index"),
	QUEUE(FD, S32, FDS, "fd"),
	QUEUE(DETACHED, BOOL, REQUIRED | ALWAYS, "detached"),
	QUEUE(NONBLOCK, BOOL, ALWAYS, "nonblock"),
	QUEUE(PENDING, U32, 0, "pending"),
	QUEUE(HELD, U32, 0, "held"),
	QUEUE(PUT_BACK, U32, 0, "put-back"),
	QUEUE(HELD_BYTES, U64, 0, "held-bytes"),
	QUEUE(DELIVERED, U32, 0, "delivered"),
	QUEUE(FULL, BOOL, 0, "full"),
	QUEUE(BATCHED, U32, 0, "batched"),
	QUEUE(UNSENT, U32, 0, "unsent"),
	{ 0 },
};

const struct txl_state_attr txl_state_attrs[] = {
	HO(ID, U32, ALWAYS, "id"),
	HO_MAX(TOKEN, BINARY, FDS, TAPXFER_TOKEN_LEN, "token"),
	HO(IFINDEX, U32, 0, "ifindex"),
	HO_MAX(IFNAME, STRING, 0, IFNAME_MAX, "ifname"),
	HO(STATE, U32, 0, "state"),
	HO(HOLD, U32, 0, "hold"),
	{ .type = TAPXFER_A_HANDOVER_DEV, .kind = TXL_STATE_NEST,
	  .flags = REQUIRED | ALWAYS, .name = "dev", .nest = dev },
	{ .type = TAPXFER_A_HANDOVER_QUEUE, .kind = TXL_STATE_NEST,
	  .flags = REQUIRED | ALWAYS | MULTI, .name = "queue", .nest = queue },
	HO(NUM_QUEUES, U32, ALWAYS, "num-queues"),
	HO(HELD, U64, 0, "held"),
	HO(DROPPED, U64, 0, "dropped"),
	HO(REMAINING, U32, 0, "remaining"),
	HO(HOLD_BYTES, U64, 0, "hold-bytes"),
	HO(HELD_BYTES, U64, 0, "held-bytes"),
	HO(DELIVERED, U64, 0, "delivered"),
	HO(UNSENT, U64, 0, "unsent"),
	HO(VIOLATED, U32, 0, "violated"),
	STATE(LIBRARY, STRING, 0, VERSION_MAX, "library"),
	STATE(MODULE, STRING, 0, VERSION_MAX, "module"),
	STATE(KERNEL_FEATURES, U64, 0, 0, "kernel-features"),
	STATE(READS, U64, 0, 0, "reads"),
	{ 0 },
};

const struct txl_state_attr *
txl_state_attr_find(const struct txl_state_attr *table, unsigned int type)
{
	for (; table->type; table++)
		if (table->type == type)
			return table;
	return NULL;
}

/* A text for people and logs: it must not steer a terminal. */
bool txl_state_is_text(const uint8_t *p, size_t len)
{
	if (!len || p[len - 1])
		return false;
	while (--len)
		if (*p < 0x20 || *p++ == 0x7f)
			return false;
	return true;
}
