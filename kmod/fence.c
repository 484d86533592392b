// SPDX-License-Identifier: GPL-2.0
/*
 * The fence: file operations that stand before the driver's while a handover
 * is under way.
 */
#include <linux/compat.h>
#include <linux/hash.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "internal.h"
#include "trace.h"

/**
 * DOC: the fence
 *
 * From the prepare to the end of a handover each of its files has the fence's
 * operations in f_op, which are the driver's but for read_iter, write_iter,
 * poll, unlocked_ioctl and compat_ioctl. Those five look the file up, obey
 * ho_fence, and call the driver. At every other time f_op is the driver's own
 * and nothing of this module is on the file's way.
 *
 * What the fence does while TAPXFER_FENCE_READ is up: a read waits, or gets
 * EAGAIN when it must not block; poll and epoll see no IN, but are queued with
 * the driver, so that the thaw wakes them. While TAPXFER_FENCE_WRITE is up:
 * the same for writes and OUT; setter ioctls get EBUSY, getters pass.
 *
 * Writes and setters that passed the fence are counted, so that freeze can
 * wait for them. Whoever raises the fence sets the bit, then reads the counts;
 * whoever passes counts itself, then reads the bits: one of them sees the
 * other. Reads need no count, for a parked ring gives them nothing.
 *
 * Unhappy paths: a task may have fetched f_op just before it was put back, and
 * enter the fence when the file is in no handover. Whatever a task finds, it
 * may sleep with a return address in this module, so each pass pins the module.
 * A read that would sleep in the driver until a packet comes, maybe for ever,
 * sleeps in the fence instead, and when the handover has ended the system call
 * begins anew, with the driver's own operations, so that it does not keep the
 * module for longer than the handover. What cannot begin anew (AIO) or is about
 * to end (a write that waits for room) may. Module exit waits for those that
 * came too late to pin it and could not be sent back, and a grace period of RCU
 * tasks covers the few instructions before the pin and after it.
 */

/* Files are looked up by the kernel alone: none is chosen for its address. */
static u32 fence_hash(const void *key, u32 len, u32 seed)
{
	struct file *const *file = key;
	u32 hash = hash_long((unsigned long)*file ^ seed, 32);

	/* The table goes by the low bits, of which 32-bit machines have few. */
	return hash ^ (hash >> 16);
}

static int fence_compare(struct rhashtable_compare_arg *arg, const void *obj)
{
	const struct tapxfer_queue *q = obj;
	struct file *const *file = arg->key;

	return READ_ONCE(q->q_file) != *file;
}

static const struct rhashtable_params fence_params = {
	.key_len		= sizeof(struct file *),
	.key_offset		= offsetof(struct tapxfer_queue, q_file),
	.head_offset		= offsetof(struct tapxfer_queue, q_node),
	.hashfn			= fence_hash,
	.obj_cmpfn		= fence_compare,
	/* one device's queues come and go without a resize */
	.min_size		= 2 * TAPXFER_QUEUES_MAX,
	.automatic_shrinking	= true,
};

static struct rhashtable fence_files;

/* tun's operations, learnt from the first tun file seen, and ours made of them */
static DEFINE_MUTEX(fence_learn_lock);
static const struct file_operations *fence_tun_fops;
static struct file_operations fence_fops;

/* Tasks in the fence that came too late to pin the module */
static atomic_t fence_stragglers = ATOMIC_INIT(0);

static bool fence_pin(void)
{
	if (try_module_get(THIS_MODULE))
		return true;
	atomic_inc(&fence_stragglers);
	return false;
}

static void fence_unpin(bool pinned)
{
	if (pinned)
		module_put(THIS_MODULE);
	else
		atomic_dec(&fence_stragglers);
}

/**
 * tapxfer_fence_find - a file's place in a handover
 * @file: any file
 *
 * Context: in an RCU section, which keeps the handover.
 * Return: the place, or NULL.
 */
struct tapxfer_queue *tapxfer_fence_find(struct file *file)
{
	return rhashtable_lookup(&fence_files, &file, fence_params);
}

/* The same, with a reference to the handover. */
static struct tapxfer_queue *fence_queue(struct file *file)
{
	struct tapxfer_queue *q;

	rcu_read_lock();
	q = tapxfer_fence_find(file);
	if (q && !kref_get_unless_zero(&q->q_ho->ho_ref))
		q = NULL;
	rcu_read_unlock();
	return q;
}

static void fence_queue_put(struct tapxfer_queue *q)
{
	if (q)
		tapxfer_handover_put(q->q_ho);
}

static bool fence_is_open(struct tapxfer_queue *q, unsigned long side)
{
	return !(READ_ONCE(q->q_ho->ho_fence) & side);
}

static void fence_writer_leave(struct tapxfer_queue *q)
{
	if (atomic_dec_and_test(&q->q_writers) &&
	    !fence_is_open(q, TAPXFER_FENCE_WRITE))
		wake_up_all(&q->q_ho->ho_wait);
}

/* Count the caller as a writer; false when the fence is up. */
static bool fence_writer_enter(struct tapxfer_queue *q)
{
	/* Not even for a moment, once the fence is up: freeze may look. */
	if (!fence_is_open(q, TAPXFER_FENCE_WRITE))
		return false;
	atomic_inc(&q->q_writers);
	/* Pairs with the barrier in tapxfer_fence_wait(). */
	smp_mb__after_atomic();
	if (fence_is_open(q, TAPXFER_FENCE_WRITE))
		return true;
	fence_writer_leave(q);
	return false;
}

/* A system call of a process, that can be begun anew. */
static bool fence_can_restart(struct kiocb *iocb)
{
	return is_sync_kiocb(iocb) && !(current->flags & PF_KTHREAD);
}

static bool fence_nonblock(const struct kiocb *iocb)
{
	return (iocb->ki_filp->f_flags & O_NONBLOCK) ||
	       (iocb->ki_flags & IOCB_NOWAIT);
}

/*
 * A read that may block, of a file in a handover: as the driver would do it,
 * but here, where the end of the handover gets the task out.
 */
static ssize_t fence_read_wait(struct tapxfer_queue *q, struct kiocb *iocb,
			       struct iov_iter *to)
{
	DEFINE_WAIT_FUNC(wait, woken_wake_function);
	wait_queue_head_t *wq = sk_sleep(q->q_sk);
	struct tapxfer_sleeper sleeper;
	ssize_t ret;

	tapxfer_holders_sleep(q, &sleeper, iocb);
	add_wait_queue(wq, &wait);
	/* Who wakes looks for sleepers after it has changed what we look at. */
	smp_mb();
	for (;;) {
		if (!READ_ONCE(q->q_hashed)) {
			ret = restart_syscall();
			break;
		}
		ret = -EAGAIN;
		if (fence_is_open(q, TAPXFER_FENCE_READ)) {
			iocb->ki_flags |= IOCB_NOWAIT;
			ret = fence_tun_fops->read_iter(iocb, to);
			iocb->ki_flags &= ~IOCB_NOWAIT;
		}
		if (ret != -EAGAIN)
			break;
		if (signal_pending(current)) {
			ret = -ERESTARTSYS;
			break;
		}
		wait_woken(&wait, TASK_INTERRUPTIBLE, MAX_SCHEDULE_TIMEOUT);
	}
	remove_wait_queue(wq, &wait);
	tapxfer_holders_woke(&sleeper);
	return ret;
}

/* The same of a read that cannot be begun anew, an AIO read say. */
static ssize_t fence_read_later(struct tapxfer_queue *q, struct kiocb *iocb,
				struct iov_iter *to)
{
	int err = 0;

	if (q)
		err = wait_event_interruptible(q->q_ho->ho_wait,
					       fence_is_open(q, TAPXFER_FENCE_READ));
	return err ?: fence_tun_fops->read_iter(iocb, to);
}

static ssize_t fence_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct tapxfer_queue *q;
	ssize_t ret;
	bool pinned;

	pinned = fence_pin();
	q = fence_queue(iocb->ki_filp);
	if (!iov_iter_count(to))
		ret = fence_tun_fops->read_iter(iocb, to);
	else if (fence_nonblock(iocb))
		ret = !q || fence_is_open(q, TAPXFER_FENCE_READ) ?
		      fence_tun_fops->read_iter(iocb, to) : -EAGAIN;
	else if (!fence_can_restart(iocb))
		ret = fence_read_later(q, iocb, to);
	else
		ret = q ? fence_read_wait(q, iocb, to) : restart_syscall();
	fence_queue_put(q);
	fence_unpin(pinned);
	return ret;
}

/* A write that may block, until it may pass. */
static int fence_write_wait(struct tapxfer_queue *q, struct kiocb *iocb)
{
	struct tapxfer_sleeper sleeper;
	int err;

	tapxfer_holders_sleep(q, &sleeper, iocb);
	err = wait_event_interruptible(q->q_ho->ho_wait,
				       fence_is_open(q, TAPXFER_FENCE_WRITE));
	tapxfer_holders_woke(&sleeper);
	return err;
}

static ssize_t fence_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct tapxfer_queue *q;
	ssize_t ret = 0;
	bool pinned;

	pinned = fence_pin();
	if (!pinned && fence_can_restart(iocb)) {
		fence_unpin(pinned);
		return restart_syscall();
	}
	q = fence_queue(iocb->ki_filp);
	while (q && !fence_writer_enter(q)) {
		ret = fence_nonblock(iocb) ? -EAGAIN :
		      fence_write_wait(q, iocb);
		if (ret)
			goto out;
	}
	ret = fence_tun_fops->write_iter(iocb, from);
	if (q)
		fence_writer_leave(q);
out:
	fence_queue_put(q);
	fence_unpin(pinned);
	return ret;
}

static __poll_t fence_poll(struct file *file, poll_table *wait)
{
	struct tapxfer_queue *q;
	__poll_t mask;
	bool pinned;

	pinned = fence_pin();
	/* The driver first: it queues the caller. The thaw lowers the fence,
	 * then wakes the queue; who is queued too late sees the fence lowered.
	 */
	mask = fence_tun_fops->poll(file, wait);
	/* Pairs with the barrier of tapxfer_queue_wake()'s skwq_has_sleeper(). */
	smp_mb();
	q = fence_queue(file);
	if (q) {
		if (!fence_is_open(q, TAPXFER_FENCE_READ))
			mask &= ~(EPOLLIN | EPOLLRDNORM);
		if (!fence_is_open(q, TAPXFER_FENCE_WRITE))
			mask &= ~(EPOLLOUT | EPOLLWRNORM);
		fence_queue_put(q);
	}
	fence_unpin(pinned);
	return mask;
}

/* What a frozen file answers: ioctls of tun that only tell. */
static bool fence_is_getter(unsigned int cmd)
{
	switch (cmd) {
	case TUNGETIFF:
	case TUNGETFEATURES:
	case TUNGETSNDBUF:
	case TUNGETVNETHDRSZ:
	case TUNGETVNETLE:
	case TUNGETVNETBE:
	case TUNGETFILTER:
	case TUNGETDEVNETNS:
	case SIOCGIFHWADDR:
	case SIOCGSKNS:
		return true;
	default:
		return false;
	}
}

typedef long (*fence_ioctl_t)(struct file *file, unsigned int cmd,
			      unsigned long arg);

static long fence_get(struct tapxfer_queue *q, struct file *file,
		      unsigned int cmd, unsigned long arg, void __user *argp,
		      fence_ioctl_t ioctl)
{
	bool open = fence_is_open(q, TAPXFER_FENCE_WRITE);
	long ret, shadow;

	if (open || cmd == TUNGETIFF) {
		ret = ioctl(file, cmd, arg);
		if (ret || open)
			return ret;
	}
	shadow = tapxfer_shadow_get(q, cmd, (unsigned long)argp);
	if (shadow != -ENOIOCTLCMD)
		return shadow;
	return cmd == TUNGETIFF ? 0 : ioctl(file, cmd, arg);
}

/* Of who was counted as a writer */
static long fence_set_entered(struct tapxfer_queue *q, struct file *file,
			      unsigned int cmd, unsigned long arg,
			      fence_ioctl_t ioctl)
{
	long ret;

	/* The driver's purge would find what a vhost backend gave back. */
	if (cmd == TUNSETQUEUE)
		tapxfer_queue_fold(q);
	ret = ioctl(file, cmd, arg);
	fence_writer_leave(q);
	return ret;
}

static long fence_set(struct tapxfer_queue *q, struct file *file,
		      unsigned int cmd, unsigned long arg, void __user *argp,
		      fence_ioctl_t ioctl)
{
	long ret;

	while (!fence_writer_enter(q)) {
		ret = tapxfer_shadow_set(q, cmd, (unsigned long)argp);
		if (ret != -EAGAIN)
			return ret;
	}
	return fence_set_entered(q, file, cmd, arg, ioctl);
}

static long fence_do_ioctl(struct file *file, unsigned int cmd,
			   unsigned long arg, void __user *argp,
			   fence_ioctl_t ioctl)
{
	struct tapxfer_queue *q;
	bool pinned;
	long ret;

	pinned = fence_pin();
	if (!pinned) {
		fence_unpin(pinned);
		return restart_syscall();
	}
	q = fence_queue(file);
	if (!q)
		ret = ioctl(file, cmd, arg);
	else if (fence_is_getter(cmd))
		ret = fence_get(q, file, cmd, arg, argp, ioctl);
	else
		ret = fence_set(q, file, cmd, arg, argp, ioctl);
	fence_queue_put(q);
	fence_unpin(pinned);
	return ret;
}

static long fence_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return fence_do_ioctl(file, cmd, arg, (void __user *)arg,
			      fence_tun_fops->unlocked_ioctl);
}

#ifdef CONFIG_COMPAT
static long fence_compat_ioctl(struct file *file, unsigned int cmd,
			       unsigned long arg)
{
	return fence_do_ioctl(file, cmd, arg, compat_ptr(arg),
			      fence_tun_fops->compat_ioctl);
}
#endif

/*
 * Take over the operations of a file that tun said is one of its own. False if
 * they are not those that the fence knows.
 */
static bool fence_learn(const struct file *file, const struct socket *sock)
{
	bool known;

	/* Pairs with the release below: who sees it set sees fence_fops whole. */
	if (smp_load_acquire(&fence_tun_fops))
		return true;

	mutex_lock(&fence_learn_lock);
	known = fence_tun_fops || tapxfer_selftest_driver(file, sock);
	if (known && !fence_tun_fops) {
		/* .owner stays tun's: the last close puts what open got. */
		fence_fops = *file->f_op;
		fence_fops.read_iter = fence_read_iter;
		fence_fops.write_iter = fence_write_iter;
		fence_fops.poll = fence_poll;
		fence_fops.unlocked_ioctl = fence_ioctl;
#ifdef CONFIG_COMPAT
		fence_fops.compat_ioctl = fence_compat_ioctl;
#endif
		tapxfer_send_learn(sock);
		/* Pairs with the acquire above. */
		smp_store_release(&fence_tun_fops, file->f_op);
	}
	mutex_unlock(&fence_learn_lock);
	return known;
}

/**
 * tapxfer_fence_may_know - whether it is worth while to look a file up
 * @file: any file
 *
 * Return: false for a file that is no tun file.
 */
bool tapxfer_fence_may_know(const struct file *file)
{
	const struct file_operations *fops = READ_ONCE(file->f_op);

	/* Not the fence's when the claimant is ready. */
	return fops == &fence_fops || fops == READ_ONCE(fence_tun_fops);
}

/**
 * tapxfer_fence_socket - the socket of a tun file that is in no handover
 * @file: any file; the caller owns a reference for as long as it uses the
 *	socket
 *
 * Return: the socket or an ERR_PTR(); -EINVAL for a file that is no tun file;
 * -EBUSY when a handover has it, or had it a moment ago; -EPROTONOSUPPORT when
 * this kernel's tun is not as the module knows it.
 */
struct socket *tapxfer_fence_socket(struct file *file)
{
	struct socket *sock = tun_get_socket(file);

	/* The fence can have gone down since the driver looked. */
	if (IS_ERR(sock))
		return tapxfer_fence_may_know(file) ? ERR_PTR(-EBUSY) : sock;
	if (!fence_learn(file, sock))
		return ERR_PTR(-EPROTONOSUPPORT);
	return sock;
}

/**
 * tapxfer_fence_add - claim a file for a handover
 * @q: the file's place in the handover
 *
 * Return: 0, -EEXIST when another handover has the file, -ENOMEM.
 */
int tapxfer_fence_add(struct tapxfer_queue *q)
{
	int err;

	err = rhashtable_lookup_insert_fast(&fence_files, &q->q_node,
					    fence_params);
	q->q_hashed = !err;
	return err;
}

/**
 * tapxfer_fence_raise - put the fence before a file that was added
 * @q: the file's place in the handover
 */
void tapxfer_fence_raise(struct tapxfer_queue *q)
{
	tapxfer_write_racy(q->q_file->f_op, &fence_fops);
}

/**
 * tapxfer_fence_lower - give a file its own operations back, for now
 * @q: the file's place in the handover, which it keeps
 *
 * The caller has lowered ho_fence.
 */
void tapxfer_fence_lower(struct tapxfer_queue *q)
{
	if (READ_ONCE(q->q_file->f_op) == &fence_fops)
		tapxfer_write_racy(q->q_file->f_op, fence_tun_fops);
}

/**
 * tapxfer_fence_remove - give a file its own operations back
 * @q: the file's place in the handover; nothing is done when it has none
 *
 * The caller has lowered ho_fence.
 */
void tapxfer_fence_remove(struct tapxfer_queue *q)
{
	if (!q->q_hashed)
		return;
	tapxfer_fence_lower(q);
	rhashtable_remove_fast(&fence_files, &q->q_node, fence_params);
	WRITE_ONCE(q->q_hashed, false);
}

static unsigned int fence_writers(struct tapxfer_handover *ho)
{
	unsigned int i, n = 0;

	for (i = 0; i < ho->ho_nqueues; i++)
		n += atomic_read(&ho->ho_queues[i].q_writers);
	return n;
}

/* No writer is left, or there is no need to wait for them any more. */
static bool fence_is_quiet(struct tapxfer_handover *ho)
{
	return !(READ_ONCE(ho->ho_fence) & TAPXFER_FENCE_WRITE) ||
	       !fence_writers(ho);
}

/**
 * tapxfer_fence_wait - wait for the writers that passed before the fence rose
 * @ho: a handover whose TAPXFER_FENCE_WRITE is up
 * @timeout_ms: how long to wait; 0 to look once
 *
 * Return: 0, -ETIMEDOUT, -EINTR on a signal, -ECANCELED when the fence was
 * lowered meanwhile.
 */
int tapxfer_fence_wait(struct tapxfer_handover *ho, unsigned int timeout_ms)
{
	unsigned int writers;
	long left;

	/* Pairs with the barrier in fence_writer_enter(). */
	smp_mb();
	writers = fence_writers(ho);
	left = wait_event_interruptible_timeout(ho->ho_wait,
						fence_is_quiet(ho),
						msecs_to_jiffies(timeout_ms));
	if (writers && trace_tapxfer_writers_enabled())
		trace_tapxfer_writers(ho, writers, fence_writers(ho), !left);
	if (left < 0)
		return -EINTR;
	if (!(READ_ONCE(ho->ho_fence) & TAPXFER_FENCE_WRITE))
		return -ECANCELED;
	return left ? 0 : -ETIMEDOUT;
}

/**
 * tapxfer_fence_enter - a task comes another way than through the file
 * @pass: to be handed to tapxfer_fence_leave()
 * @file: the file that it goes to
 *
 * Pins the module, and the handover that the file is in, if any.
 */
void tapxfer_fence_enter(struct tapxfer_pass *pass, struct file *file)
{
	pass->p_pinned = fence_pin();
	pass->p_queue = fence_queue(file);
}

/**
 * tapxfer_fence_leave - the task is done
 * @pass: from tapxfer_fence_enter()
 */
void tapxfer_fence_leave(struct tapxfer_pass *pass)
{
	fence_queue_put(pass->p_queue);
	fence_unpin(pass->p_pinned);
}

/**
 * tapxfer_fence_tun_ioctl - ask the driver, past the fence
 * @file: a tun file
 * @cmd: the ioctl
 * @arg: its argument, an address of the caller's where it is an address
 *
 * Context: takes rtnl.
 * Return: what the driver returns.
 */
long tapxfer_fence_tun_ioctl(struct file *file, unsigned int cmd,
			     unsigned long arg)
{
	return fence_tun_fops->unlocked_ioctl(file, cmd, arg);
}

/**
 * tapxfer_fence_set - a setter ioctl of who has no handover any more
 * @file: a tun file, which may be in another handover by now
 * @cmd: the ioctl
 * @arg: its argument, an address of the caller's where it is an address
 *
 * As of a holder of the file, but never for a claimant's record.
 *
 * Context: takes rtnl.
 * Return: what the driver returns; -EBUSY when the file is frozen.
 */
long tapxfer_fence_set(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct tapxfer_queue *q = fence_queue(file);
	long ret = -EBUSY;

	if (!q)
		return tapxfer_fence_tun_ioctl(file, cmd, arg);
	if (fence_writer_enter(q))
		ret = fence_set_entered(q, file, cmd, arg,
					fence_tun_fops->unlocked_ioctl);
	fence_queue_put(q);
	return ret;
}

/**
 * tapxfer_fence_tun_poll - have the driver queue who polls, past the fence
 * @file: a tun file
 * @wait: who polls
 */
void tapxfer_fence_tun_poll(struct file *file, struct poll_table_struct *wait)
{
	fence_tun_fops->poll(file, wait);
}

/**
 * tapxfer_fence_tun_show - have the driver write a file's fdinfo
 * @m: where to, a buffer in the kernel's memory
 * @file: a tun file
 *
 * Context: takes rtnl.
 */
void tapxfer_fence_tun_show(struct seq_file *m, struct file *file)
{
	fence_tun_fops->show_fdinfo(m, file);
}

/**
 * tapxfer_fence_init - at module load
 *
 * Return: 0 or -ENOMEM.
 */
int tapxfer_fence_init(void)
{
	return rhashtable_init(&fence_files, &fence_params);
}

/**
 * tapxfer_fence_exit - wait until no task is in the fence's code
 *
 * At module unload, when there is no handover and so no file with our
 * operations.
 */
void tapxfer_fence_exit(void)
{
	/* Who fetched f_op before it was put back has entered by now ... */
	synchronize_rcu_tasks();
	while (atomic_read(&fence_stragglers))
		schedule_timeout_uninterruptible(1);
	/* ... and who put its pin has left. */
	synchronize_rcu_tasks();
	rhashtable_destroy(&fence_files);
}
