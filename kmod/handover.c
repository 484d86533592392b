// SPDX-License-Identifier: GPL-2.0
/*
 * A handover: its life, and how it is found.
 */
#include <linux/hashtable.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/rtnetlink.h>
#include <linux/xarray.h>

#include "internal.h"

/**
 * DOC: the life of a handover
 *
 * ::
 *
 *	prepare -> PREPARED -hold-> HOLDING -freeze-> FROZEN -claim-> CLAIMED
 *	               |               |                 ^  |            |  |
 *	               |               |      claimant   +--|------------+  | ready
 *	               |               |      exits      |  |               v
 *	               |               |                 +--|------------ READY
 *	               |               |                    |               |
 *	               +---------------+--------- abort ----+---------------+ thaw
 *	                                          deadline                  v
 *	                                                                DRAINING
 *
 * 1. prepare.c builds the object while the source runs: everything that can
 *    fail or sleep for long is done here, or is undone without failing.
 * 2. hold parks the rings, all in one rtnl section with the check that the
 *    handover has all of the device's queues.
 * 3. freeze raises the fence for writers, waits for those inside the driver,
 *    sets the sockets' send buffer limit to zero against those that came before
 *    the prepare and were not counted, and takes the state down.
 * 4. claim.c gives the files out; shadow.c records what the claimant sets.
 * 5. ready.c applies it, in one with the thaw or before, and lets traffic go on.
 * 6. tapxfer_end() lets traffic go on, whatever the reason. It allocates
 *    nothing, asks nobody and cannot fail, since until then nothing was changed
 *    on the device or in its files but the fence, the parking and the limit. (A
 *    claimant that is ready has the settings that it asked for. An abort puts
 *    back what was exported, if it can; with the deadline they stay.)
 * 7. drain.c brings the rings back to their length and lets go of the files.
 *
 * Unhappy paths. The deadline, an abort, and the device's end come at any time,
 * from other tasks, and do not wait for a command that is under way (but a second
 * at most while it asks the driver to set something, see apply.c): the command finds
 * the state changed when it takes ho_lock again, undoes what it has in its hands, and
 * returns ECANCELED. When the device is deleted the rings are unparked before the
 * driver's uninit, whose purge then frees the packets. The source may be killed at
 * any point: the handover has the files. Nobody need be left at all: the deadline
 * ends the handover, and with the last reference to the files the device goes as it
 * would have gone.
 */

static DEFINE_XARRAY_ALLOC1(handovers);
static u32 handovers_next;

/* Those that have a device, by it; read under RCU */
static DEFINE_HASHTABLE(handovers_by_dev, 8);
static DEFINE_SPINLOCK(handovers_by_dev_lock);

/* The fence and the table of handovers look it up under RCU. */
static void handover_free(struct tapxfer_handover *ho)
{
	kfree_skb(ho->ho_info);
	nlmsg_free(ho->ho_answer);
	kvfree_rcu(ho, ho_rcu);
}

/**
 * tapxfer_handover_alloc - a new handover, not yet to be found by anyone
 * @nqueues: number of its queue files
 *
 * Return: the handover with one reference, busy; or an ERR_PTR().
 */
struct tapxfer_handover *tapxfer_handover_alloc(unsigned int nqueues)
{
	struct tapxfer_handover *ho;

	ho = kvzalloc(struct_size(ho, ho_queues, nqueues), GFP_KERNEL_ACCOUNT);
	if (!ho)
		return ERR_PTR(-ENOMEM);
	ho->ho_info = tapxfer_dev_info_alloc();
	ho->ho_answer = tapxfer_reply_alloc(tapxfer_fill_step_size());
	if (!ho->ho_info || !ho->ho_answer) {
		handover_free(ho);
		return ERR_PTR(-ENOMEM);
	}
	/* Genetlink has no reference for us: the module may be on its way out. */
	if (!try_module_get(THIS_MODULE)) {
		handover_free(ho);
		return ERR_PTR(-ENODEV);
	}

	kref_init(&ho->ho_ref);
	mutex_init(&ho->ho_lock);
	init_waitqueue_head(&ho->ho_wait);
	init_waitqueue_head(&ho->ho_done_wait);
	INIT_DELAYED_WORK(&ho->ho_deadline_work, tapxfer_deadline);
	INIT_DELAYED_WORK(&ho->ho_drain_work, tapxfer_drain);
	INIT_WORK(&ho->ho_claimant_work, tapxfer_claimant_work);
	INIT_WORK(&ho->ho_look_work, tapxfer_look_work);
	get_random_bytes(ho->ho_token, sizeof(ho->ho_token));
	ho->ho_nqueues = nqueues;
	ho->ho_busy = true;
	return ho;
}

static void handover_release(struct kref *ref)
{
	struct tapxfer_handover *ho =
		container_of(ref, struct tapxfer_handover, ho_ref);

	memzero_explicit(ho->ho_token, sizeof(ho->ho_token));
	handover_free(ho);
	module_put(THIS_MODULE);
}

/**
 * tapxfer_handover_put - let go of a handover
 * @ho: from one of the functions that return a reference
 */
void tapxfer_handover_put(struct tapxfer_handover *ho)
{
	kref_put(&ho->ho_ref, handover_release);
}

/**
 * tapxfer_handover_publish - give a handover its number
 * @ho: a new handover
 *
 * Those who go by devices find it from now on; commands do when it has a state.
 *
 * Return: 0; the table has a reference of its own then. Or -ENOMEM, -EBUSY.
 */
int tapxfer_handover_publish(struct tapxfer_handover *ho)
{
	int err;

	kref_get(&ho->ho_ref);
	err = xa_alloc_cyclic(&handovers, &ho->ho_id, ho,
			      XA_LIMIT(1, INT_MAX), &handovers_next,
			      GFP_KERNEL_ACCOUNT);
	if (err < 0) {
		tapxfer_handover_put(ho);
		return err;
	}
	return 0;
}

/**
 * tapxfer_handover_set_dev - say which device a handover is of
 * @ho: a handover that was published and has none
 * @dev: the device, under rtnl
 */
void tapxfer_handover_set_dev(struct tapxfer_handover *ho,
			      struct net_device *dev)
{
	netdev_hold(dev, &ho->ho_dev_tracker, GFP_KERNEL);
	WRITE_ONCE(ho->ho_dev, dev);
	spin_lock(&handovers_by_dev_lock);
	hash_add_rcu(handovers_by_dev, &ho->ho_dev_node, (unsigned long)dev);
	spin_unlock(&handovers_by_dev_lock);
}

/**
 * tapxfer_handover_put_dev - let go of a handover's device
 * @ho: the handover; nothing is done when it has none
 *
 * Context: under ho_lock.
 */
void tapxfer_handover_put_dev(struct tapxfer_handover *ho)
{
	if (!ho->ho_dev)
		return;
	spin_lock(&handovers_by_dev_lock);
	hash_del_rcu(&ho->ho_dev_node);
	spin_unlock(&handovers_by_dev_lock);
	netdev_put(ho->ho_dev, &ho->ho_dev_tracker);
	WRITE_ONCE(ho->ho_dev, NULL);
}

/* Device, files, rings and budget. Under ho_lock; nobody uses them any more. */
static void handover_let_go(struct tapxfer_handover *ho)
{
	unsigned int i;

	for (i = 0; i < ho->ho_nqueues; i++) {
		struct tapxfer_queue *q = &ho->ho_queues[i];

		struct file *file = q->q_file;

		tapxfer_ring_free(&q->q_ring);
		/* Who counts references must not take one for ours that is gone. */
		WRITE_ONCE(q->q_file, NULL);
		if (file)
			fput(file);
	}
	tapxfer_budget_release(&ho->ho_budget);
	tapxfer_handover_put_dev(ho);
}

/**
 * tapxfer_handover_unpublish - take a handover out of the table
 * @ho: a handover that was published, drained or never prepared
 *
 * A task may keep a reference for as long as it stalls in the fence: what
 * others wait for is let go of here.
 */
void tapxfer_handover_unpublish(struct tapxfer_handover *ho)
{
	mutex_lock(&ho->ho_lock);
	handover_let_go(ho);
	mutex_unlock(&ho->ho_lock);
	xa_erase(&handovers, ho->ho_id);
	tapxfer_handover_put(ho);
}

/**
 * tapxfer_handover_get - look a handover up by its number
 * @id: the number
 *
 * Return: the handover with a reference, or NULL.
 */
struct tapxfer_handover *tapxfer_handover_get(u32 id)
{
	struct tapxfer_handover *ho;

	rcu_read_lock();
	ho = xa_load(&handovers, id);
	if (ho && (!READ_ONCE(ho->ho_state) ||
		   !kref_get_unless_zero(&ho->ho_ref)))
		ho = NULL;
	rcu_read_unlock();
	return ho;
}

/**
 * tapxfer_handover_next - walk over the handovers
 * @id: start with 0; the last number seen
 *
 * Return: the handover with the next higher number, with a reference, or NULL.
 */
struct tapxfer_handover *tapxfer_handover_next(unsigned long *id)
{
	struct tapxfer_handover *ho;

	rcu_read_lock();
	do {
		ho = xa_find_after(&handovers, id, ULONG_MAX, XA_PRESENT);
	} while (ho && !kref_get_unless_zero(&ho->ho_ref));
	rcu_read_unlock();
	return ho;
}

/* One of a device's handovers, with a reference: any of them, or the live one. */
static struct tapxfer_handover *handover_of(const struct net_device *dev,
					    bool live)
{
	struct tapxfer_handover *ho, *found = NULL;

	rcu_read_lock();
	/* Not under ho_lock, which callers have of another handover. */
	hash_for_each_possible_rcu(handovers_by_dev, ho, ho_dev_node,
				   (unsigned long)dev) {
		if (READ_ONCE(ho->ho_dev) != dev ||
		    (live && !tapxfer_is_live(ho)) ||
		    !kref_get_unless_zero(&ho->ho_ref))
			continue;
		found = ho;
		break;
	}
	rcu_read_unlock();
	return found;
}

/**
 * tapxfer_handover_on - the live handover of a device
 * @dev: the device
 *
 * Context: under rtnl for an answer that stays true.
 * Return: the handover with a reference, or NULL; those that are being prepared
 * or drain are not live.
 */
struct tapxfer_handover *tapxfer_handover_on(const struct net_device *dev)
{
	return handover_of(dev, true);
}

/**
 * tapxfer_handover_of - any handover of a device
 * @dev: the device
 *
 * Context: under rtnl.
 * Return: the handover with a reference, or NULL when there is none, not even one
 * that is being prepared or drains.
 */
struct tapxfer_handover *tapxfer_handover_of(const struct net_device *dev)
{
	return handover_of(dev, false);
}

/* Whether a handover has a file, which is likely to be of the queue @i again. */
static bool handover_has(const struct tapxfer_handover *ho,
			 const struct file *file, unsigned int i)
{
	if (i < ho->ho_nqueues && READ_ONCE(ho->ho_queues[i].q_file) == file)
		return true;
	for (i = 0; i < ho->ho_nqueues; i++)
		if (READ_ONCE(ho->ho_queues[i].q_file) == file)
			return true;
	return false;
}

/**
 * tapxfer_handover_pins - references to a queue's file that others' drains have
 * @q: a queue of a live handover
 *
 * While its guest has not read what was held, a device can be handed over again.
 * One that drains gives its files to nobody any more, but for a command that is
 * under way. One that is being prepared will, and is somebody else.
 *
 * Context: under ho_lock. Of a moment, as file_count() is.
 */
unsigned int tapxfer_handover_pins(const struct tapxfer_queue *q)
{
	const struct net_device *dev = q->q_ho->ho_dev;
	const struct tapxfer_handover *ho;
	unsigned int pins = 0, i;

	i = q - q->q_ho->ho_queues;
	rcu_read_lock();
	hash_for_each_possible_rcu(handovers_by_dev, ho, ho_dev_node,
				   (unsigned long)dev) {
		if (ho == q->q_ho || READ_ONCE(ho->ho_dev) != dev ||
		    READ_ONCE(ho->ho_state) != TAPXFER_STATE_DRAINING)
			continue;
		/* What the command has given to somebody is seen then. */
		if (smp_load_acquire(&ho->ho_busy))
			continue;
		pins += handover_has(ho, q->q_file, i);
	}
	rcu_read_unlock();
	return pins;
}

/**
 * tapxfer_handover_is_last - whether no other has parked the device's rings since
 * @ho: a handover that has ended, with a device
 *
 * One that is only prepared may end as that: it has nothing to bring back, and
 * does not know what is left.
 *
 * Context: under rtnl, which a hold takes.
 */
bool tapxfer_handover_is_last(const struct tapxfer_handover *ho)
{
	const struct tapxfer_handover *other;
	bool last = true;

	rcu_read_lock();
	hash_for_each_possible_rcu(handovers_by_dev, other, ho_dev_node,
				   (unsigned long)ho->ho_dev) {
		if (READ_ONCE(other->ho_dev) == ho->ho_dev &&
		    READ_ONCE(other->ho_hold_nr) > ho->ho_hold_nr)
			last = false;
	}
	rcu_read_unlock();
	return last;
}

/* One that drains, and is charged with packets; with a reference, or NULL. */
static struct tapxfer_handover *handover_charged(const struct net_device *dev)
{
	struct tapxfer_handover *ho, *found = NULL;

	rcu_read_lock();
	hash_for_each_possible_rcu(handovers_by_dev, ho, ho_dev_node,
				   (unsigned long)dev) {
		if (READ_ONCE(ho->ho_dev) == dev &&
		    READ_ONCE(ho->ho_state) == TAPXFER_STATE_DRAINING &&
		    atomic64_read(&ho->ho_budget.b_held) &&
		    kref_get_unless_zero(&ho->ho_ref)) {
			found = ho;
			break;
		}
	}
	rcu_read_unlock();
	return found;
}

/**
 * tapxfer_handover_relieve - whose packets somebody else is about to pay for
 * @dev: the device whose rings are parked next
 *
 * What drains goes when it is looked at the next time; until then the packets would
 * be charged twice, and a queue closed for that.
 *
 * Context: under rtnl, and the ho_lock of who parks them, now: nobody else takes
 * one in another.
 */
void tapxfer_handover_relieve(const struct net_device *dev)
{
	struct tapxfer_handover *ho;

	while ((ho = handover_charged(dev))) {
		mutex_lock_nested(&ho->ho_lock, SINGLE_DEPTH_NESTING);
		tapxfer_budget_relieve(&ho->ho_budget);
		mutex_unlock(&ho->ho_lock);
		tapxfer_handover_put(ho);
	}
}

/**
 * tapxfer_handover_held - how many packets a handover holds, or has held
 * @ho: the handover
 *
 * Return: packets.
 */
u64 tapxfer_handover_held(const struct tapxfer_handover *ho)
{
	unsigned int i, put_back;
	u64 held = 0;

	for (i = 0; i < ho->ho_nqueues; i++)
		held += tapxfer_ring_held(&ho->ho_queues[i].q_ring, &put_back);
	return held;
}

/**
 * tapxfer_handover_delivered - how many of them the readers have taken
 * @ho: the handover
 *
 * Return: packets, since the end, as of the last tapxfer_queue_sample().
 */
u64 tapxfer_handover_delivered(const struct tapxfer_handover *ho)
{
	unsigned int i;
	u64 n = 0;

	for (i = 0; i < ho->ho_nqueues; i++)
		n += tapxfer_ring_delivered(&ho->ho_queues[i].q_ring);
	return n;
}

/* Why a command cannot be done in a state, and which can; by the state. */
static const char * const handover_not_now[] = {
	[TAPXFER_STATE_PREPARED] = "the handover is only prepared, hold or freeze it first",
	[TAPXFER_STATE_HOLDING] = "the handover is holding: freeze it, or abort it",
	[TAPXFER_STATE_FROZEN] = "the handover is frozen: claim it, or abort it",
	[TAPXFER_STATE_CLAIMED] = "the handover is claimed: thaw it, or abort it",
	[TAPXFER_STATE_READY] = "the handover is ready: thaw it, or abort it",
};

/* How long a command waits for the one before to be done */
#define BUSY_TIME	(HZ / 10)

/**
 * tapxfer_handover_await - wait a moment for the command before
 * @ho: the handover
 *
 * A command tells of its success by an event before it is done, and who is told
 * may go on at once.
 *
 * Context: process, under no lock; a signal cuts it short.
 */
void tapxfer_handover_await(struct tapxfer_handover *ho)
{
	wait_event_interruptible_timeout(ho->ho_done_wait,
					 !READ_ONCE(ho->ho_busy) ||
					 !tapxfer_is_live(ho), BUSY_TIME);
}

/**
 * tapxfer_handover_begin - begin a command on a handover
 * @ho: the handover
 * @states: BIT() of each state that the command can be done in
 * @scratch: from tapxfer_scratch_take(), or 0
 * @extack: for errors
 *
 * Return: 0, and no other command than an abort gets in before
 * tapxfer_handover_done(); -ENOENT when the handover has ended, -EBUSY while
 * another command is under way, -EPROTO in any other state.
 */
int tapxfer_handover_begin(struct tapxfer_handover *ho, unsigned long states,
			   unsigned long scratch,
			   struct netlink_ext_ack *extack)
{
	int err = 0;

	mutex_lock(&ho->ho_lock);
	if (!tapxfer_is_live(ho)) {
		NL_SET_ERR_MSG(extack, "the handover has ended");
		err = -ENOENT;
	} else if (ho->ho_busy) {
		NL_SET_ERR_MSG(extack,
			       "another command on this handover is under way, try again");
		err = -EBUSY;
	} else if (!(states & BIT(ho->ho_state))) {
		tapxfer_set_err(extack, NULL, handover_not_now[ho->ho_state]);
		err = -EPROTO;
	} else {
		WRITE_ONCE(ho->ho_busy, true);
		ho->ho_scratch = scratch;
	}
	mutex_unlock(&ho->ho_lock);
	return err;
}

/**
 * tapxfer_handover_done_locked - the command is done, whether it worked or not
 * @ho: the handover
 *
 * Context: under ho_lock.
 */
void tapxfer_handover_done_locked(struct tapxfer_handover *ho)
{
	/* After what the command did: see tapxfer_handover_pins(). */
	smp_store_release(&ho->ho_busy, false);
	if (wq_has_sleeper(&ho->ho_done_wait))
		wake_up_all(&ho->ho_done_wait);
	ho->ho_scratch = 0;
	tapxfer_drain_resume(ho);
}

/**
 * tapxfer_handover_done - the same, of who does not have ho_lock
 * @ho: the handover
 */
void tapxfer_handover_done(struct tapxfer_handover *ho)
{
	mutex_lock(&ho->ho_lock);
	tapxfer_handover_done_locked(ho);
	mutex_unlock(&ho->ho_lock);
}

/**
 * tapxfer_check_count - whether a handover has all queues of its device
 * @ho: the handover
 * @err: what the driver said when it was asked
 * @queues: so many the device has
 * @extack: for errors
 *
 * Context: under rtnl, which keeps the number as it is, and ho_lock.
 * Return: 0, -ESTALE, or @err.
 */
int tapxfer_check_count(const struct tapxfer_handover *ho, int err,
			unsigned int queues, struct netlink_ext_ack *extack)
{
	if (err) {
		NL_SET_ERR_MSG(extack,
			       "the driver does not tell the device's queues");
		return err;
	}
	if (queues != ho->ho_nqueues) {
		NL_SET_ERR_MSG(extack,
			       "a queue was opened or closed since the prepare, abort and begin anew");
		return -ESTALE;
	}
	return 0;
}

/**
 * tapxfer_check_queues - the same, and ask the driver
 * @ho: the handover
 * @extack: for errors
 *
 * Context: under rtnl and ho_lock.
 * Return: 0, -ESTALE, or an errno of the driver's.
 */
int tapxfer_check_queues(struct tapxfer_handover *ho,
			 struct netlink_ext_ack *extack)
{
	unsigned int enabled = 0, detached = 0;
	int err;

	err = tapxfer_dev_counts(ho->ho_dev, ho->ho_info, &enabled, &detached);
	ho->ho_detached = detached;
	return tapxfer_check_count(ho, err, enabled + detached, extack);
}

/**
 * tapxfer_handover_check_live - whether a handover has ended meanwhile
 * @ho: the handover
 * @extack: for errors
 *
 * Context: under ho_lock, each time that a command has taken it again.
 * Return: 0 or -ECANCELED.
 */
int tapxfer_handover_check_live(struct tapxfer_handover *ho,
				struct netlink_ext_ack *extack)
{
	if (tapxfer_is_live(ho))
		return 0;
	NL_SET_ERR_MSG(extack,
		       "the handover ended meanwhile: abort, deadline, or device deleted");
	return -ECANCELED;
}
