// SPDX-License-Identifier: GPL-2.0
/*
 * What a served kernel does not have, or does not let modules have, where that
 * takes more than a line.
 */
#include "compat.h"

#ifdef TAPXFER_NO_RECEIVE_FD

#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/slab.h>
#include <linux/socket.h>
#include <linux/uaccess.h>
#include <net/scm.h>

/* Why scm_detach_fds(), which does not say, did not let a file in. */
static int receive_error(unsigned int flags)
{
	int fd = get_unused_fd_flags(flags);

	if (fd < 0)
		return fd;
	put_unused_fd(fd);
	return -EACCES;
}

static int receive_at(struct file *file, unsigned int flags,
		      struct cmsghdr __user *cm)
{
	struct msghdr msg = {
		.msg_control_is_user	= true,
		.msg_control_user	= cm,
		.msg_controllen		= CMSG_SPACE(sizeof(int)),
		.msg_flags		= flags & O_CLOEXEC ?
					  MSG_CMSG_CLOEXEC : 0,
	};
	struct scm_cookie scm = {};
	struct file *received;
	int fd;

	scm.fp = kzalloc(sizeof(*scm.fp), GFP_KERNEL_ACCOUNT);
	if (!scm.fp)
		return -ENOMEM;
	scm.fp->fp[0] = get_file(file);
	scm.fp->count = 1;
	/* It lets go of the list and of its files. */
	scm_detach_fds(&msg, &scm);
	if (msg.msg_flags & MSG_CTRUNC)
		return receive_error(flags);

	if (get_user(fd, (int __user *)CMSG_USER_DATA(cm)))
		return -EFAULT;
	/* Another thread of the caller's can write there as well: who forges
	 * the number has a descriptor that it is not told of.
	 */
	received = fget(fd);
	if (received)
		fput(received);
	return received == file ? fd : -EBADF;
}

/**
 * tapxfer_receive_fd - a descriptor of a file in the calling process, as receive_fd()
 * @file: the file
 * @flags: O_CLOEXEC or 0
 *
 * receive_fd() asks the security module. What modules have of it here is the half
 * of recvmsg() that receives SCM_RIGHTS, which tells the descriptor in the
 * caller's memory.
 *
 * Return: the descriptor, or an errno.
 */
int tapxfer_receive_fd(struct file *file, unsigned int flags)
{
	unsigned long addr;
	int fd;

	addr = vm_mmap(NULL, 0, PAGE_SIZE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, 0);
	if (IS_ERR_VALUE(addr))
		return (int)addr;
	fd = receive_at(file, flags, (struct cmsghdr __user *)addr);
	vm_munmap(addr, PAGE_SIZE);
	return fd;
}

#endif /* TAPXFER_NO_RECEIVE_FD */
