// SPDX-License-Identifier: LGPL-2.1-or-later
/* What a device has otherwise than a state. */
#include <errno.h>

#include <linux/if_tun.h>

#include "state.h"

/* What TUNSETIFF fixes for good; the rest is of one file, or told elsewhere. */
#define FLAGS	(IFF_TUN | IFF_TAP | IFF_NAPI | IFF_NAPI_FRAGS | IFF_NO_PI | \
		 IFF_VNET_HDR | IFF_MULTI_QUEUE)

static const struct {
	uint16_t attr;
	uint8_t kind;
} of_dev[] = {
	/* what nothing can change comes first */
	{ TAPXFER_A_DEV_TYPE, TAPXFER_DIFFERENCE_FIXED },
	{ TAPXFER_A_DEV_LINK_TYPE, TAPXFER_DIFFERENCE_FIXED },
	{ TAPXFER_A_DEV_FLAGS, TAPXFER_DIFFERENCE_FIXED },
	{ TAPXFER_A_DEV_MULTI_QUEUE, TAPXFER_DIFFERENCE_FIXED },
	{ TAPXFER_A_DEV_NUM_QUEUES, TAPXFER_DIFFERENCE_FIXED },
	{ TAPXFER_A_DEV_MAC, TAPXFER_DIFFERENCE_LINK },
	{ TAPXFER_A_DEV_MTU, TAPXFER_DIFFERENCE_LINK },
	{ TAPXFER_A_DEV_TX_QUEUE_LEN, TAPXFER_DIFFERENCE_LINK },
	{ TAPXFER_A_DEV_VNET_HDR_SZ, TAPXFER_DIFFERENCE_FILE },
	{ TAPXFER_A_DEV_VNET_LE, TAPXFER_DIFFERENCE_FILE },
	{ TAPXFER_A_DEV_VNET_BE, TAPXFER_DIFFERENCE_FILE },
	{ TAPXFER_A_DEV_OFFLOADS, TAPXFER_DIFFERENCE_FILE },
	{ TAPXFER_A_DEV_SNDBUF, TAPXFER_DIFFERENCE_FILE },
	{ TAPXFER_A_DEV_IFINDEX, TAPXFER_DIFFERENCE_TOLD },
	{ TAPXFER_A_DEV_IFNAME, TAPXFER_DIFFERENCE_TOLD },
	{ TAPXFER_A_DEV_OWNER, TAPXFER_DIFFERENCE_TOLD },
	{ TAPXFER_A_DEV_GROUP, TAPXFER_DIFFERENCE_TOLD },
	{ TAPXFER_A_DEV_PERSIST, TAPXFER_DIFFERENCE_TOLD },
	{ TAPXFER_A_DEV_CARRIER, TAPXFER_DIFFERENCE_TOLD },
	{ TAPXFER_A_DEV_XDP_PROG_ID, TAPXFER_DIFFERENCE_TOLD },
};

static const uint16_t of_queue[] = {
	TAPXFER_A_QUEUE_DETACHED, TAPXFER_A_QUEUE_NONBLOCK,
};

static uint64_t queues(const struct tapxfer_info *dev)
{
	return tapxfer_info_u64(dev, TAPXFER_A_DEV_NUM_QUEUES) +
	       tapxfer_info_u64(dev, TAPXFER_A_DEV_NUM_DETACHED);
}

static bool same(const struct tapxfer_info *a, const struct tapxfer_info *b,
		 const struct txl_state_attr *attr)
{
	switch (attr->type) {
	case TAPXFER_A_DEV_FLAGS:
		/* without a file the device does not tell them */
		return !tapxfer_info_has(b, attr->type) ||
		       !((tapxfer_info_u64(a, attr->type) ^
			  tapxfer_info_u64(b, attr->type)) & FLAGS);
	case TAPXFER_A_DEV_NUM_QUEUES:
		/* which of them are detached is each one's own */
		return queues(a) == queues(b);
	case TAPXFER_A_DEV_XDP_PROG_ID:
		/* none is 0 */
		return tapxfer_info_u64(a, attr->type) ==
		       tapxfer_info_u64(b, attr->type);
	default:
		return txl_state_same(a, b, attr);
	}
}

int txl_state_compare(struct tapxfer *tx, const struct tapxfer_info *state,
		      const struct tapxfer_info *live,
		      tapxfer_difference_cb cb, void *data)
{
	size_t n = tapxfer_info_count(live, TAPXFER_A_HANDOVER_QUEUE);
	const struct txl_state_attr *nest, *attr;
	struct tapxfer_difference d = { .queue = -1 };
	const struct tapxfer_info *queue, *saved = NULL;
	size_t i, j;
	int ret;

	nest = txl_state_attr_find(txl_state_attrs, TAPXFER_A_HANDOVER_DEV);
	d.saved = tapxfer_info_nest(state, TAPXFER_A_HANDOVER_DEV, 0);
	d.live = tapxfer_info_nest(live, TAPXFER_A_HANDOVER_DEV, 0);
	for (i = 0; i < ARRAY_SIZE(of_dev); i++) {
		attr = txl_state_attr_find(nest->nest, of_dev[i].attr);
		if (same(d.saved, d.live, attr))
			continue;
		d.kind = of_dev[i].kind;
		d.attr = attr->type;
		d.name = attr->name;
		ret = cb(&d, data);
		if (ret)
			return ret;
	}

	if (n && n != tapxfer_info_count(state, TAPXFER_A_HANDOVER_QUEUE))
		return txl_error_set(tx, -EINVAL,
				     "%zu files, and the state has %zu queues: all of the device's are needed",
				     n, tapxfer_info_count(state,
						TAPXFER_A_HANDOVER_QUEUE));
	nest = txl_state_attr_find(txl_state_attrs, TAPXFER_A_HANDOVER_QUEUE);
	d.kind = TAPXFER_DIFFERENCE_FILE;
	for_each_nest(queue, live, TAPXFER_A_HANDOVER_QUEUE) {
		saved = txl_info_next(state, TAPXFER_A_HANDOVER_QUEUE, saved);
		d.queue++;
		d.saved = saved;
		d.live = queue;
		for (j = 0; j < ARRAY_SIZE(of_queue); j++) {
			attr = txl_state_attr_find(nest->nest, of_queue[j]);
			if (same(d.saved, d.live, attr))
				continue;
			d.attr = attr->type;
			d.name = attr->name;
			ret = cb(&d, data);
			if (ret)
				return ret;
		}
	}
	return 0;
}

EXPORT int tapxfer_state_compare(struct tapxfer_stream *stream,
				 unsigned int ifindex, const int *fds,
				 size_t nfds, tapxfer_difference_cb cb,
				 void *data)
{
	const struct tapxfer_info *state;
	struct tapxfer_info *live;
	struct tapxfer *tx;
	int err;

	err = txl_state_get(stream, &tx, &state);
	if (!err)
		err = txl_state_live(tx, ifindex, fds, nfds, &live);
	if (err)
		return err;
	err = txl_state_compare(tx, state, live, cb, data);
	tapxfer_info_free(live);
	return err;
}
