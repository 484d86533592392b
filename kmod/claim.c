// SPDX-License-Identifier: GPL-2.0
/*
 * Giving the files out, and taking the claim back from who is gone.
 */
#include <linux/fdtable.h>
#include <linux/rtnetlink.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/timekeeping.h>

#include "internal.h"

/**
 * DOC: claims
 *
 * A claim puts every file into the claimant's table and makes its thread group
 * the claimant; both or neither. The reply's memory is there before the first
 * file is, and a reply that cannot be delivered undoes the claim.
 *
 * The claim lasts until the thaw, or until the thread group has exited: the
 * kernel wakes pidfd waiters of a process then, and the handover is one of
 * them. It is frozen again, so that the source, or another target, can go on.
 * exec keeps the thread group and with it the claim. Whoever has the token can
 * pass it on to another thread group, for a VMM that gets its files from
 * somebody else and knows nothing of claims.
 */

/**
 * tapxfer_claim_files - put a handover's files into the caller's table
 * @ho: the handover, its command begun, frozen
 * @fds: room for the descriptors, in the order of the queues
 * @extack: for errors
 *
 * Return: 0; or an errno, and the table is as it was.
 */
int tapxfer_claim_files(struct tapxfer_handover *ho, int *fds,
			struct netlink_ext_ack *extack)
{
	unsigned int i;
	int fd;

	for (i = 0; i < ho->ho_nqueues; i++) {
		fd = tapxfer_receive_fd(ho->ho_queues[i].q_file, O_CLOEXEC);
		if (fd < 0) {
			if (fd == -EMFILE)
				NL_SET_ERR_MSG(extack,
					       "too few free file descriptors for all queues, raise RLIMIT_NOFILE");
			else if (fd == -ENOMEM)
				NL_SET_ERR_MSG(extack,
					       "no memory for the calling process's table of files, try again");
			else
				NL_SET_ERR_MSG(extack,
					       "a queue file was not let into the calling process");
			tapxfer_claim_undo(ho, fds, i);
			return fd;
		}
		fds[i] = fd;
	}
	return 0;
}

/**
 * tapxfer_claim_undo - take files out of the caller's table again
 * @ho: the handover
 * @fds: from tapxfer_claim_files()
 * @n: how many
 *
 * Another thread may have closed one and got its number for another file: a
 * descriptor is closed only while it is still the queue's.
 */
void tapxfer_claim_undo(struct tapxfer_handover *ho, const int *fds,
			unsigned int n)
{
	struct file *file;
	unsigned int i;

	for (i = 0; i < n; i++) {
		file = fget(fds[i]);
		if (file == ho->ho_queues[i].q_file)
			close_fd(fds[i]);
		if (file)
			fput(file);
	}
}

static bool claimant_is_gone(struct pid *pid)
{
	struct task_struct *task;
	bool gone;

	rcu_read_lock();
	task = pid_task(pid, PIDTYPE_PID);
	gone = !task || (READ_ONCE(task->exit_state) &&
			 thread_group_empty(task));
	rcu_read_unlock();
	return gone;
}

/* In the exiting task, under locks: only tell. */
static int claimant_wake(wait_queue_entry_t *wait, unsigned int mode, int sync,
			 void *key)
{
	struct tapxfer_handover *ho = container_of(wait,
						   struct tapxfer_handover,
						   ho_claimant_wait);

	/* Never the last put: the watch owns a reference. */
	kref_get(&ho->ho_ref);
	if (!queue_work(tapxfer_wq, &ho->ho_claimant_work))
		tapxfer_handover_put(ho);
	return 0;
}

/* Make a thread group the claimant. Under ho_lock; the reference to @pid goes. */
static void claim_watch(struct tapxfer_handover *ho, struct pid *pid)
{
	ho->ho_claimant = pid;
	kref_get(&ho->ho_ref);
	init_waitqueue_func_entry(&ho->ho_claimant_wait, claimant_wake);
	add_wait_queue(&pid->wait_pidfd, &ho->ho_claimant_wait);
}

/**
 * tapxfer_claim_begin - make the caller's thread group the claimant
 * @ho: the handover, its command begun, its files in the caller's table
 * @attach: it wants the detached queues attached, from the thaw on
 * @extack: for errors
 *
 * Return: 0, and rtnl and ho_lock are held; -ECANCELED when the handover ended
 * meanwhile, -ESTALE when the device has other queues than were frozen, or an
 * errno of the driver's.
 */
int tapxfer_claim_begin(struct tapxfer_handover *ho, bool attach,
			struct netlink_ext_ack *extack)
{
	struct tapxfer_dev_state st = {};
	int unknown, told, err;

	unknown = tapxfer_violation_ask(ho, &st, extack);

	rtnl_lock();
	mutex_lock(&ho->ho_lock);
	err = tapxfer_handover_check_live(ho, extack);
	if (err)
		goto err_unlock;
	told = tapxfer_violation_compare(ho, unknown ? NULL : &st);
	err = unknown ?: tapxfer_check_count(ho, told, ho->ho_seen.queues,
					     extack);
	if (err)
		goto err_unlock;
	/* Whoever has a descriptor may have changed it since the freeze. */
	tapxfer_restore_files(ho);
	WRITE_ONCE(ho->ho_state, TAPXFER_STATE_CLAIMED);
	ho->ho_claimed_at = ktime_get_ns();
	claim_watch(ho, get_pid(task_tgid(current)));
	tapxfer_shadow_begin(ho);
	if (attach)
		tapxfer_shadow_attach_all(ho);
	tapxfer_event(ho, TAPXFER_EVENT_CLAIMED);
	return 0;

err_unlock:
	mutex_unlock(&ho->ho_lock);
	rtnl_unlock();
	return err;
}

/**
 * tapxfer_claim_commit - the same for a claim alone
 * @ho: the handover
 * @attach: as tapxfer_claim_begin()
 * @extack: for errors
 *
 * Return: as tapxfer_claim_begin(), without the locks.
 */
int tapxfer_claim_commit(struct tapxfer_handover *ho, bool attach,
			 struct netlink_ext_ack *extack)
{
	int err = tapxfer_claim_begin(ho, attach, extack);

	if (err)
		return err;
	mutex_unlock(&ho->ho_lock);
	rtnl_unlock();
	return 0;
}

/**
 * tapxfer_claim_drop - watch the claimant no longer
 * @ho: the handover; nothing is done when it has no claimant
 *
 * Context: under ho_lock; the caller owns a reference and sets the state.
 */
void tapxfer_claim_drop(struct tapxfer_handover *ho)
{
	if (!ho->ho_claimant)
		return;
	remove_wait_queue(&ho->ho_claimant->wait_pidfd, &ho->ho_claimant_wait);
	put_pid(ho->ho_claimant);
	ho->ho_claimant = NULL;
	tapxfer_handover_put(ho);
}

/**
 * tapxfer_restore_files - take back what a claimant did to the open files
 * @ho: the handover; nothing is done when it was never frozen
 *
 * Context: under ho_lock.
 */
void tapxfer_restore_files(struct tapxfer_handover *ho)
{
	unsigned int i;

	if (!ho->ho_frozen_at)
		return;
	for (i = 0; i < ho->ho_nqueues; i++)
		tapxfer_queue_restore_nonblock(&ho->ho_queues[i]);
}

/**
 * tapxfer_claim_take_back - end a claim and tell nobody
 * @ho: the handover, frozen, claimed or ready; it is frozen then
 *
 * Context: under ho_lock; the caller owns a reference.
 */
void tapxfer_claim_take_back(struct tapxfer_handover *ho)
{
	tapxfer_claim_drop(ho);
	tapxfer_restore_files(ho);
	if (ho->ho_state == TAPXFER_STATE_READY)
		tapxfer_unready(ho);
	WRITE_ONCE(ho->ho_state, TAPXFER_STATE_FROZEN);
	ho->ho_claimed_at = 0;
}

/* Frozen again, to be claimed anew. Under ho_lock. */
static void claim_end(struct tapxfer_handover *ho)
{
	tapxfer_claim_take_back(ho);
	if (ho->ho_shadow.s_stale)
		tapxfer_violation_name(ho, TAPXFER_VIOLATION_SETTINGS);
	tapxfer_event(ho, TAPXFER_EVENT_FROZEN);
}

/*
 * Whose table the holders are looked for in has to let the caller do as much: the
 * same user, or CAP_KILL, as kill(2) has it.
 */
static bool may_pass_to(struct pid *pid)
{
	const struct cred *cred = current_cred(), *theirs;
	struct task_struct *task;
	bool may = false;

	rcu_read_lock();
	task = pid_task(pid, PIDTYPE_TGID);
	if (task) {
		theirs = __task_cred(task);
		may = uid_eq(cred->euid, theirs->suid) ||
		      uid_eq(cred->euid, theirs->uid) ||
		      uid_eq(cred->uid, theirs->suid) ||
		      uid_eq(cred->uid, theirs->uid) ||
		      ns_capable(theirs->user_ns, CAP_KILL);
	}
	rcu_read_unlock();
	return may;
}

/**
 * tapxfer_claim_pass - make another thread group the claimant
 * @ho: the handover, its command begun, claimed or ready
 * @nr: the process, in the caller's pid namespace
 * @extack: for errors
 *
 * What the claimant has set stays recorded.
 *
 * Return: 0; -ESRCH when there is no such process, or it has exited; -EPERM when it
 * is another user's; -ECANCELED when the claim or the handover ended meanwhile.
 */
int tapxfer_claim_pass(struct tapxfer_handover *ho, pid_t nr,
		       struct netlink_ext_ack *extack)
{
	struct pid *pid = find_get_pid(nr);
	int err;

	if (!pid || !pid_has_task(pid, PIDTYPE_TGID) ||
	    claimant_is_gone(pid)) {
		NL_SET_ERR_MSG(extack,
			       "no such process in the caller's pid namespace");
		put_pid(pid);
		return -ESRCH;
	}
	if (!may_pass_to(pid)) {
		NL_SET_ERR_MSG(extack,
			       "the process is another user's: pass to one of your own, or have CAP_KILL");
		put_pid(pid);
		return -EPERM;
	}

	mutex_lock(&ho->ho_lock);
	err = tapxfer_handover_check_live(ho, extack);
	if (!err && !ho->ho_claimant) {
		NL_SET_ERR_MSG(extack,
			       "the claimant has exited, claim anew or abort");
		err = -ECANCELED;
	}
	if (!err) {
		tapxfer_claim_drop(ho);
		claim_watch(ho, pid);
		tapxfer_event(ho, TAPXFER_EVENT_CLAIMED);
		/* Who exits from now on is noticed; who has just, is not. */
		if (claimant_is_gone(pid)) {
			NL_SET_ERR_MSG(extack,
				       "the process has exited, claim anew or abort");
			claim_end(ho);
			err = -ESRCH;
		}
	} else {
		put_pid(pid);
	}
	mutex_unlock(&ho->ho_lock);
	return err;
}

/**
 * tapxfer_claim_revoke - undo the claim that was just made
 * @ho: the handover, its command begun
 */
void tapxfer_claim_revoke(struct tapxfer_handover *ho)
{
	mutex_lock(&ho->ho_lock);
	if (ho->ho_claimant)
		claim_end(ho);
	mutex_unlock(&ho->ho_lock);
}

/**
 * tapxfer_claimant_work - the claimant, or a thread of it, has exited
 * @work: ho_claimant_work, which owns a reference
 */
void tapxfer_claimant_work(struct work_struct *work)
{
	struct tapxfer_handover *ho = container_of(work,
						   struct tapxfer_handover,
						   ho_claimant_work);

	mutex_lock(&ho->ho_lock);
	if (ho->ho_claimant && claimant_is_gone(ho->ho_claimant))
		claim_end(ho);
	mutex_unlock(&ho->ho_lock);
	tapxfer_handover_put(ho);
}
