/* SPDX-License-Identifier: GPL-2.0 */
/*
 * All ioctls of a tun file: those of the header that is installed, which the
 * list is compared with, and those that the driver has besides.
 */
#ifndef SELFTESTS_TUN_IOCTL_H
#define SELFTESTS_TUN_IOCTL_H

#include <stddef.h>

#include <net/if.h>

#include <linux/filter.h>
#include <linux/if_tun.h>

enum tun_ioctl_kind {
	TUN_SETTER,
	TUN_SHADOWED,		/* a setter that is recorded for a claimant */
	TUN_GETTER,		/* of bytes */
	TUN_GETTER_FD,		/* of a descriptor */
};

/* What its argument points to, or TUN_ARG_VALUE */
enum tun_ioctl_arg {
	TUN_ARG_VALUE,
	TUN_ARG_INT,
	TUN_ARG_IFREQ,
	TUN_ARG_MAC,
	TUN_ARG_TXFILTER,
	TUN_ARG_FPROG,
};

struct tun_ioctl {
	const char *name;
	unsigned long cmd;
	enum tun_ioctl_kind kind;
	enum tun_ioctl_arg arg;
	/* of a setter: a value that is not the device's, and that it takes */
	long value;
};

extern const struct tun_ioctl tun_ioctls[];
extern const size_t tun_ioctls_len;

/* The name of one in the header that is not in the list; NULL: none is. */
const char *tun_ioctl_unknown(void);

/* Memory for an argument, where a 32-bit program can have it too */
#define TUN_IOCTL_MEM	4096
void *tun_ioctl_mem(void);
/* Fill it in for a setter; what to pass. */
unsigned long tun_ioctl_fill(const struct tun_ioctl *t, void *mem);

/* ioctl(2), and as a 32-bit program calls it: 0, a descriptor, or -errno. */
long tun_ioctl_64(int fd, unsigned long cmd, unsigned long arg);
long tun_ioctl_32(int fd, unsigned long cmd, unsigned long arg);

#endif /* SELFTESTS_TUN_IOCTL_H */
