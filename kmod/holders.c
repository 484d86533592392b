// SPDX-License-Identifier: GPL-2.0
/*
 * Who else has the queue files.
 */
#include <linux/fdtable.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>

#include "internal.h"

/**
 * DOC: who holds a file
 *
 * After the thaw whoever has a queue file reads packets from it, and nobody can
 * keep one holder of an open file from what another one may do. So ready, thaw
 * and a claim that thaws look, unless they are told that the files shall be shared,
 * whether anyone but the claimant holds one.
 *
 * A file counts its references and does not know their owners. Some of them are
 * known to be the claimant's: the descriptors in its table, and the polls, reads
 * and writes that its threads sleep in, which have references of their own. The
 * handover has one, and so has each earlier one of the device that drains. What is
 * left is somebody else's: another process's descriptor, a vhost backend (two), a
 * message on its way through a UNIX socket; or the claimant's own in a shape that
 * cannot be told from others (io_uring's requests and fixed files, AIO): then thaw
 * shared.
 *
 * A sleeping poll is an entry in the socket's wait queue. Its wake function is
 * the core's own and has no name that a module could use: a poll of ours, which
 * does not sleep, shows it.
 *
 * A process that shares the claimant's table (CLONE_FILES) shares its descriptors,
 * and goes with it.
 *
 * The answer is that of a moment. A holder can always make another one, and
 * somebody who looks into /proc has a reference while he looks.
 */

static wait_queue_func_t holders_poll_func;

static DEFINE_SPINLOCK(holders_lock);	/* protects all q_sleepers */

/**
 * tapxfer_holders_sleep - the current task is about to sleep in the fence
 * @q: the file's place in the handover
 * @s: on the task's stack
 * @iocb: the read or write
 *
 * System calls of a task that shares its table have a reference of their own,
 * those of any other use that of the descriptor.
 */
void tapxfer_holders_sleep(struct tapxfer_queue *q, struct tapxfer_sleeper *s,
			   struct kiocb *iocb)
{
	INIT_LIST_HEAD(&s->s_list);
	if (!is_sync_kiocb(iocb) || !current->files ||
	    atomic_read(&current->files->count) == 1)
		return;
	s->s_group = task_tgid(current);
	spin_lock(&holders_lock);
	list_add(&s->s_list, &q->q_sleepers);
	spin_unlock(&holders_lock);
}

/**
 * tapxfer_holders_woke - it sleeps no longer
 * @s: from tapxfer_holders_sleep()
 */
void tapxfer_holders_woke(struct tapxfer_sleeper *s)
{
	spin_lock(&holders_lock);
	list_del(&s->s_list);
	spin_unlock(&holders_lock);
}

static unsigned int holders_sleepers(struct tapxfer_queue *q, struct pid *group)
{
	struct tapxfer_sleeper *s;
	unsigned int n = 0;

	spin_lock(&holders_lock);
	list_for_each_entry(s, &q->q_sleepers, s_list)
		n += s->s_group == group;
	spin_unlock(&holders_lock);
	return n;
}

/**
 * tapxfer_holders_learn - learn the wake function of those who sleep in poll
 * @file: a tun file
 *
 * At a prepare, so that who counts later needs no memory for it.
 *
 * Return: 0 or -ENOMEM.
 */
int tapxfer_holders_learn(struct file *file)
{
	struct poll_wqueues *pwq;
	int err = 0;

	if (READ_ONCE(holders_poll_func))
		return 0;
	pwq = kmalloc(sizeof(*pwq), GFP_KERNEL);
	if (!pwq)
		return -ENOMEM;
	poll_initwait(pwq);
	tapxfer_fence_tun_poll(file, &pwq->pt);
	if (pwq->error || !pwq->inline_index)
		err = -ENOMEM;
	else
		WRITE_ONCE(holders_poll_func, pwq->inline_entries[0].wait.func);
	poll_freewait(pwq);
	kfree(pwq);
	return err;
}

/* References that the polls of a thread group's tasks have. */
static unsigned int holders_polls(struct tapxfer_queue *q, struct pid *group)
{
	wait_queue_head_t *head = sk_sleep(q->q_sk);
	struct poll_table_entry *entry;
	struct poll_wqueues *pwq;
	wait_queue_entry_t *wait;
	unsigned int n = 0;
	unsigned long flags;

	spin_lock_irqsave(&head->lock, flags);
	list_for_each_entry(wait, &head->head, entry) {
		if (wait->func != READ_ONCE(holders_poll_func))
			continue;
		entry = container_of(wait, struct poll_table_entry, wait);
		pwq = wait->private;
		/* The task cannot go while its entry is in the queue. */
		if (entry->filp == q->q_file &&
		    task_tgid(pwq->polling_task) == group)
			n++;
	}
	spin_unlock_irqrestore(&head->lock, flags);
	return n;
}

struct holders_walk {
	struct tapxfer_handover	*w_ho;
	unsigned int		w_next;		/* queue that comes next, in order */
};

static int holders_descriptor(const void *arg, struct file *file,
			      unsigned int fd)
{
	struct holders_walk *walk = (struct holders_walk *)arg;
	struct tapxfer_handover *ho = walk->w_ho;
	struct tapxfer_queue *q;

	/* Of all that a VMM has open, few are. */
	if (!tapxfer_fence_may_know(file))
		return 0;
	q = &ho->ho_queues[walk->w_next];
	if (q->q_file != file)
		q = tapxfer_fence_find(file);
	if (!q || q->q_ho != ho)
		return 0;
	q->q_own++;
	walk->w_next = (q - ho->ho_queues + 1) % ho->ho_nqueues;
	return 0;
}

/* Descriptors of a thread group, into q_own. */
static void holders_descriptors(struct tapxfer_handover *ho, struct pid *group)
{
	struct holders_walk walk = { .w_ho = ho };
	struct task_struct *leader, *task;
	bool seen = false;

	rcu_read_lock();
	leader = pid_task(group, PIDTYPE_TGID);
	if (leader) {
		/* The first thread that has a table; the leader may be gone. */
		for_each_thread(leader, task) {
			task_lock(task);
			if (task->files) {
				iterate_fd(task->files, 0, holders_descriptor,
					   &walk);
				seen = true;
			}
			task_unlock(task);
			if (seen)
				break;
		}
	}
	rcu_read_unlock();
}

/**
 * tapxfer_holders_beside - references to a file beside the handovers' own
 * @q: the queue
 *
 * Those of one that drains come and go: only what is there before the count and
 * after it was counted.
 *
 * Context: under ho_lock.
 */
unsigned int tapxfer_holders_beside(const struct tapxfer_queue *q)
{
	unsigned int before, after;
	long n;

	before = tapxfer_handover_pins(q);
	/* Pairs with fput()'s full barrier in handover_let_go(). */
	smp_rmb();
	n = file_count(q->q_file) - 1;
	/* Pairs with the same: the count is not older than what is seen now. */
	smp_rmb();
	after = tapxfer_handover_pins(q);
	return max(n - (long)min(before, after), 0L);
}

/**
 * tapxfer_holders_count - count who else has the files, into q_others
 * @ho: the handover
 * @group: anyone but this thread group
 *
 * Context: under ho_lock.
 */
void tapxfer_holders_count(struct tapxfer_handover *ho, struct pid *group)
{
	unsigned int i;
	long others;

	for (i = 0; i < ho->ho_nqueues; i++)
		ho->ho_queues[i].q_own = 0;
	holders_descriptors(ho, group);
	for (i = 0; i < ho->ho_nqueues; i++) {
		struct tapxfer_queue *q = &ho->ho_queues[i];

		others = file_count(q->q_file) - 1 - q->q_own;
		/* Their locks are for what there is to be told apart. */
		if (others > 0)
			others = (long)tapxfer_holders_beside(q) - q->q_own -
				 holders_polls(q, group) -
				 holders_sleepers(q, group);
		q->q_others = max(others, 0L);
	}
}

/**
 * tapxfer_holders_check - whether the claimant has the files for itself
 * @ho: the handover, its command begun
 * @group: who is about to be the claimant, or NULL for who is
 * @extack: for errors
 *
 * Return: 0, also when there is no claimant any more, which is the caller's to
 * find; or -EBUSY.
 */
int tapxfer_holders_check(struct tapxfer_handover *ho, struct pid *group,
			  struct netlink_ext_ack *extack)
{
	unsigned int i;
	int err = 0;

	mutex_lock(&ho->ho_lock);
	if (!group)
		group = ho->ho_claimant;
	if (!group || !tapxfer_is_live(ho))
		goto out;
	tapxfer_holders_count(ho, group);
	for (i = 0; i < ho->ho_nqueues; i++) {
		struct tapxfer_queue *q = &ho->ho_queues[i];

		if (!q->q_others)
			continue;
		tapxfer_set_err_fmt(extack,
				    "queue %u: others than the claimant hold it %u times, close or thaw shared",
				    q->q_index, q->q_others);
		err = -EBUSY;
		break;
	}
out:
	mutex_unlock(&ho->ho_lock);
	return err;
}
