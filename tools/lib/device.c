// SPDX-License-Identifier: LGPL-2.1-or-later
/* Questions: capabilities and devices. */
#include <errno.h>

#include "internal.h"

EXPORT int tapxfer_caps(struct tapxfer *tx, struct tapxfer_info **caps)
{
	struct txl_req req;
	int err;

	*caps = NULL;
	err = txl_req_init(tx, &req, TXL_SET_CAP, TAPXFER_CMD_CAP_GET, 0);
	if (err)
		return err;
	err = txl_talk_one(tx, &req, false, NULL, caps);
	txl_req_free(&req);
	return err;
}

/*
 * The handle's own, which is asked for once: for what is the module's and stays,
 * its version and features. Another module is noticed by its family's number.
 */
int txl_caps(struct tapxfer *tx, const struct tapxfer_info **caps)
{
	int err = 0;

	if (!tx->caps)
		err = tapxfer_caps(tx, &tx->caps);
	*caps = tx->caps;
	return err;
}

/* Whether the module has it: not if it does not tell */
bool txl_has_feature(struct tapxfer *tx, uint64_t feature)
{
	const struct tapxfer_info *caps;

	return !txl_caps(tx, &caps) &&
	       tapxfer_info_u64(caps, TAPXFER_A_CAP_FEATURES) & feature;
}

EXPORT int tapxfer_dev_get(struct tapxfer *tx, unsigned int ifindex, int fd,
			   struct tapxfer_info **dev)
{
	struct txl_req req;
	int err;

	*dev = NULL;
	if (!ifindex && fd < 0)
		return txl_error_set(tx, -EINVAL,
				     "neither an interface nor a file was named");
	if (!ifindex) {
		err = txl_tun_ifindex(tx, fd, &ifindex);
		if (err)
			return err;
	}

	err = txl_req_init(tx, &req, TXL_SET_DEV, TAPXFER_CMD_DEV_GET, 64);
	if (err)
		return err;
	mnl_attr_put_u32(req.nlh, TAPXFER_A_DEV_IFINDEX, ifindex);
	if (fd >= 0)
		mnl_attr_put_u32(req.nlh, TAPXFER_A_DEV_FD, (uint32_t)fd);
	err = txl_talk_one(tx, &req, false, NULL, dev);
	txl_req_free(&req);
	return err;
}

EXPORT int tapxfer_dev_list(struct tapxfer *tx, tapxfer_info_cb cb, void *data)
{
	return txl_dump(tx, TXL_SET_DEV, TAPXFER_CMD_DEV_GET, cb, data);
}
