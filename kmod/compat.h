/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The only file that knows kernel versions; the rest is written for the newest
 * kernel that is served. By feature where the preprocessor can see one.
 */
#ifndef _TAPXFER_COMPAT_H
#define _TAPXFER_COMPAT_H

#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 10, 0)
#error "tapxfer serves Linux 5.10 and newer"
#endif

/*
 * Of what the module relies on, some can be asserted, some is tried at load (see
 * selftest.c), and some has to be read: who takes which lock of a ring, what is in
 * a batch of vhost's. So far it was.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 3, 0) && !defined(TAPXFER_UNTESTED)
#error "tapxfer is not known to serve Linux 7.3 and newer, KCFLAGS=-DTAPXFER_UNTESTED builds it"
#endif

#if !IS_ENABLED(CONFIG_TUN)
#error "tapxfer is for kernels with CONFIG_TUN"
#endif
#ifndef CONFIG_PROC_FS
#error "tapxfer is for kernels with CONFIG_PROC_FS"
#endif

#include <linux/file.h>
#include <linux/netdevice.h>
#include <linux/netlink.h>
#include <net/net_namespace.h>

/* crypto_memneq() moved out of the algorithms' header; Kbuild looks for it */
#ifdef TAPXFER_HAVE_CRYPTO_UTILS_H
#include <crypto/utils.h>
#else
#include <crypto/algapi.h>
#endif

/*
 * 6.8 gave receive_fd() the user pointer that __receive_fd() had taken. Modules
 * have it since 5.15 only: see compat.c.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 15, 0)
#define TAPXFER_NO_RECEIVE_FD
int tapxfer_receive_fd(struct file *file, unsigned int flags);
#elif LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
static inline int tapxfer_receive_fd(struct file *file, unsigned int flags)
{
	return receive_fd(file, flags);
}
#else
static inline int tapxfer_receive_fd(struct file *file, unsigned int flags)
{
	return receive_fd(file, NULL, flags);
}
#endif

/* 5.15 exported it */
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 15, 0)
static inline u8 tapxfer_xdp_prog_count(const struct net_device *dev)
{
	u8 i, count = 0;

	for (i = 0; i < __MAX_XDP_MODE; i++)
		if (dev->xdp_state[i].prog || dev->xdp_state[i].link)
			count++;
	return count;
}

#define dev_xdp_prog_count	tapxfer_xdp_prog_count
#endif

/* 5.17 began to track who has a reference to a device, 6.0 called it that */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 0, 0)
struct tapxfer_tracker {};

#define netdevice_tracker	struct tapxfer_tracker

static inline void netdev_hold(struct net_device *dev,
			       netdevice_tracker *tracker, gfp_t gfp)
{
	dev_hold(dev);
}

static inline void netdev_put(struct net_device *dev,
			      netdevice_tracker *tracker)
{
	if (dev)
		dev_put(dev);
}
#endif

/* 5.11 has a tracepoint for error texts */
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 11, 0)
static inline void do_trace_netlink_extack(const char *msg)
{
}
#endif

/* 5.18 counts these for each CPU */
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 18, 0)
static inline void dev_core_stats_tx_dropped_inc(struct net_device *dev)
{
	atomic_long_inc(&dev->tx_dropped);
}
#endif

/* 5.11's driver began to count its drops in more than 32 bits */
static inline u64 tapxfer_drops_since(u64 now, u64 then)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 11, 0)
	return (u32)(now - then);
#else
	return now - then;
#endif
}

/*
 * A number of a network namespace's own. Before 5.12 a module cannot ask for its
 * cookie; its inode's number is a live namespace's alone, too.
 */
static inline u64 tapxfer_netns_key(const struct net *net)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 12, 0)
	return net->ns.inum;
#else
	return net->net_cookie;
#endif
}

/*
 * A kernel that preempts its own code, and whose RCU tasks wait is a plain RCU
 * wait, cannot tell when the last task has left the fence.
 */
#define TAPXFER_CAN_UNLOAD	(!IS_ENABLED(CONFIG_PREEMPTION) || \
				 IS_ENABLED(CONFIG_TASKS_RCU))

#endif /* _TAPXFER_COMPAT_H */
