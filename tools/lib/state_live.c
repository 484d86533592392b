// SPDX-License-Identifier: LGPL-2.1-or-later
/* A device as it is now, as a state would tell it. */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>

#include <linux/if_tun.h>

#include "state.h"

static void put_int(struct txl_build *b, uint16_t attr, int fd,
		    unsigned long cmd)
{
	int value;

	if (!txl_tun_get(fd, cmd, &value))
		txl_build_put(b, attr, &value, sizeof(value));
}

static void put_bool(struct txl_build *b, uint16_t attr, int fd,
		     unsigned long cmd)
{
	uint8_t byte;
	int value;

	if (txl_tun_get(fd, cmd, &value))
		return;
	byte = !!value;
	txl_build_put(b, attr, &byte, sizeof(byte));
}

/* What the kernel does not ask a file that is in a handover */
static int put_file(struct tapxfer *tx, struct txl_build *b, int fd)
{
	char ifname[IFNAMSIZ];
	unsigned int flags;
	uint32_t value;
	int err;

	err = txl_tun_iff(fd, ifname, &flags);
	if (err)
		return txl_error_errno(tx, err, "TUNGETIFF");
	value = flags;
	txl_build_put(b, TAPXFER_A_DEV_FLAGS, &value, sizeof(value));
	put_int(b, TAPXFER_A_DEV_VNET_HDR_SZ, fd, TUNGETVNETHDRSZ);
	put_bool(b, TAPXFER_A_DEV_VNET_LE, fd, TUNGETVNETLE);
	/* of kernels with CONFIG_TUN_VNET_CROSS_LE alone */
	put_bool(b, TAPXFER_A_DEV_VNET_BE, fd, TUNGETVNETBE);
	put_int(b, TAPXFER_A_DEV_SNDBUF, fd, TUNGETSNDBUF);
	return 0;
}

static int put_queue(struct tapxfer *tx, struct txl_build *b, int fd)
{
	size_t nest = txl_build_nest(b, TAPXFER_A_HANDOVER_QUEUE);
	char ifname[IFNAMSIZ];
	unsigned int flags;
	uint8_t value;
	int err, fl;

	err = txl_tun_iff(fd, ifname, &flags);
	if (err) {
		txl_error_errno(tx, err, "TUNGETIFF");
		tx->error.fd = fd;
		return err;
	}
	value = !!(flags & IFF_DETACH_QUEUE);
	txl_build_put(b, TAPXFER_A_QUEUE_DETACHED, &value, sizeof(value));
	fl = fcntl(fd, F_GETFL);
	value = fl >= 0 && fl & O_NONBLOCK;
	txl_build_put(b, TAPXFER_A_QUEUE_NONBLOCK, &value, sizeof(value));
	txl_build_nest_end(b, nest);
	return 0;
}

/*
 * An object with the device and, of each file, its queue. The kernel proves
 * that the file is the device's, unless that is in a handover: then whoever
 * claimed has its files.
 */
int txl_state_live(struct tapxfer *tx, unsigned int ifindex, const int *fds,
		   size_t nfds, struct tapxfer_info **live)
{
	struct tapxfer_info *dev;
	struct txl_build b;
	bool ask = false;
	size_t nest, i;
	int err;

	*live = NULL;
	if (!ifindex && nfds) {
		err = txl_tun_ifindex(tx, fds[0], &ifindex);
		if (err)
			return err;
	}
	err = tapxfer_dev_get(tx, ifindex, nfds ? fds[0] : -1, &dev);
	if (err == -EBUSY && nfds) {
		ask = true;
		err = tapxfer_dev_get(tx, ifindex, -1, &dev);
	}
	if (err)
		return err;
	if (txl_build_begin(&b)) {
		tapxfer_info_free(dev);
		return txl_error_errno(tx, -ENOMEM, "a state");
	}
	nest = txl_build_nest(&b, TAPXFER_A_HANDOVER_DEV);
	txl_build_copy(&b, dev);
	tapxfer_info_free(dev);
	if (ask)
		err = put_file(tx, &b, fds[0]);
	txl_build_nest_end(&b, nest);
	for (i = 0; !err && i < nfds; i++)
		err = put_queue(tx, &b, fds[i]);
	*live = txl_build_end(&b, !err);
	if (!err && !*live)
		err = txl_error_set(tx, -EMSGSIZE, "too many queues");
	return err;
}
