// SPDX-License-Identifier: LGPL-2.1-or-later
/* What a queue file tells by itself. */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <linux/if_tun.h>
#include <net/if.h>

#include "internal.h"

/* /dev/net/tun, by whatever name a container has it */
#define TUN_MAJOR	10
#define TUN_MINOR	200

/* Whether it is a tun file: 0, -EBADF or -EOPNOTSUPP. It costs no lock. */
int txl_tun_is(int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	return S_ISCHR(st.st_mode) &&
	       st.st_rdev == makedev(TUN_MAJOR, TUN_MINOR) ? 0 : -EOPNOTSUPP;
}

/*
 * The name of the file's device, in the device's own network namespace, and
 * IFF_* of the queue. The file's kind is looked at first: an ioctl's number
 * may mean something else to another driver.
 */
int txl_tun_iff(int fd, char ifname[IFNAMSIZ], unsigned int *flags)
{
	struct ifreq ifr = { 0 };
	int err = txl_tun_is(fd);

	if (err)
		return err;
	if (ioctl(fd, TUNGETIFF, &ifr))
		return -errno;
	memcpy(ifname, ifr.ifr_name, IFNAMSIZ);
	ifname[IFNAMSIZ - 1] = '\0';
	*flags = (unsigned short)ifr.ifr_flags;
	return 0;
}

/*
 * The device that the file says it is a queue of, when the caller named none.
 * A name is no proof, and the kernel takes it for none.
 */
int txl_tun_ifindex(struct tapxfer *tx, int fd, unsigned int *ifindex)
{
	char ifname[IFNAMSIZ];
	unsigned int flags;
	int ret;

	ret = txl_tun_iff(fd, ifname, &flags);
	if (!ret) {
		ret = tapxfer_ifindex(tx, ifname);
		if (ret > 0) {
			*ifindex = (unsigned int)ret;
			return 0;
		}
		/* the text stands, the file is to blame */
	} else if (ret == -EBADF) {
		txl_error_set(tx, ret, "no such file descriptor (fd %d)", fd);
	} else if (ret == -EBADFD) {
		txl_error_set(tx, ret,
			      "the file is attached to no device, TUNSETIFF comes first (fd %d)",
			      fd);
	} else if (ret == -EOPNOTSUPP) {
		txl_error_set(tx, ret, "the file is no tun file (fd %d)", fd);
	} else {
		txl_error_errno(tx, ret, "TUNGETIFF");
	}
	tx->error.fd = fd;
	return ret;
}

/* Settings of the device's that are an int, or of one queue */
int txl_tun_get(int fd, unsigned long cmd, int *value)
{
	return ioctl(fd, cmd, value) ? -errno : 0;
}

int txl_tun_set(int fd, unsigned long cmd, int value)
{
	/* this one takes the number itself */
	if (cmd == TUNSETOFFLOAD)
		return ioctl(fd, cmd, (unsigned long)(unsigned int)value) ?
		       -errno : 0;
	return ioctl(fd, cmd, &value) ? -errno : 0;
}

int txl_tun_detach(int fd, bool detach)
{
	struct ifreq ifr = {
		.ifr_flags = detach ? IFF_DETACH_QUEUE : IFF_ATTACH_QUEUE,
	};

	return ioctl(fd, TUNSETQUEUE, &ifr) ? -errno : 0;
}
