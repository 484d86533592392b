/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The only file that knows kernel versions; the rest is written for the newest
 * kernel that is served. By feature where the preprocessor can see one.
 */
#ifndef _TAPXFER_COMPAT_H
#define _TAPXFER_COMPAT_H

#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "tapxfer serves Linux 6.1 and newer"
#endif

#include <linux/file.h>
#include <linux/netlink.h>

/* crypto_memneq() moved out of the algorithms' header; Kbuild looks for it */
#ifdef TAPXFER_HAVE_CRYPTO_UTILS_H
#include <crypto/utils.h>
#else
#include <crypto/algapi.h>
#endif

/* 6.8 gave receive_fd() the user pointer that __receive_fd() had taken */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
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

/*
 * A kernel that preempts its own code, and whose RCU tasks wait is a plain RCU
 * wait, cannot tell when the last task has left the fence.
 */
#define TAPXFER_CAN_UNLOAD	(!IS_ENABLED(CONFIG_PREEMPTION) || \
				 IS_ENABLED(CONFIG_TASKS_RCU))

#endif /* _TAPXFER_COMPAT_H */
