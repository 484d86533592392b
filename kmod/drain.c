// SPDX-License-Identifier: GPL-2.0
/*
 * After the end: back to rings of the device's length, count what the readers
 * take, then let go.
 */
#include <linux/rtnetlink.h>

#include "internal.h"
#include "trace.h"

/* A reader who is catching up must not lose to the shrinking what the handover has
 * kept for it: the ring keeps its room for as long as there is hope that it will be
 * done. That is while it is read, though not for ever, and as long as what is in it
 * takes no more memory than what was held, and is charged: packets that come later
 * are charged to nobody. After that it shrinks with what is left of the held ones.
 */
#define DRAIN_PERIOD	msecs_to_jiffies(20)
#define DRAIN_TIME	(5 * HZ)
#define DRAIN_TIME_MAX	(60 * HZ)
#define LATE_PERIOD	HZ

/* Whether a ring is given up: it has had its time, and is not being read. */
static bool drain_is_over(struct tapxfer_queue *q)
{
	unsigned long end = q->q_ho->ho_drain_begun + DRAIN_TIME_MAX;

	if (q->q_given_up || time_before(jiffies, q->q_drain_until))
		return q->q_given_up;
	if (time_before(jiffies, end) && tapxfer_ring_is_read(&q->q_ring))
		q->q_drain_until = jiffies + DRAIN_TIME;
	else
		q->q_given_up = true;
	return q->q_given_up;
}

/* Whether there is nothing left to do. */
static bool drain_rings(struct tapxfer_handover *ho)
{
	unsigned int i, len, dropped;
	bool done = true, over;
	int err;

	if (!ho->ho_dev)
		return true;

	/* The next handover of the device has parked the rings, pays for what is
	 * in them, and sees to their length at its own end.
	 */
	if (!tapxfer_handover_is_last(ho))
		return true;

	len = ho->ho_dev->tx_queue_len;
	for (i = 0; i < ho->ho_nqueues; i++) {
		struct tapxfer_queue *q = &ho->ho_queues[i];

		/* Nobody else has the file: it is closed when we let go. */
		if (file_count(q->q_file) == 1)
			continue;
		over = drain_is_over(q);
		dropped = 0;
		err = tapxfer_ring_settle(&q->q_ring, len, len / 8,
					  over ? &dropped : NULL);
		tapxfer_dev_count_dropped(ho->ho_dev, dropped);
		/* Not before the reader has caught up can all be told. */
		tapxfer_queue_sample(q);
		if (err || (q->q_ring.r_left && !over))
			done = false;
	}
	return done;
}

/**
 * tapxfer_drain - look whether the rings can have their length back
 * @work: ho_drain_work, which owns a reference
 */
void tapxfer_drain(struct work_struct *work)
{
	struct tapxfer_handover *ho = container_of(to_delayed_work(work),
						   struct tapxfer_handover,
						   ho_drain_work);
	bool done, paused, late;
	unsigned int i;

	/* The arrays that the parked ones took the place of: nobody else looks
	 * at them from the end on.
	 */
	for (i = 0; i < ho->ho_nqueues; i++)
		tapxfer_ring_free(&ho->ho_queues[i].q_ring);

	rtnl_lock();
	mutex_lock(&ho->ho_lock);
	done = drain_rings(ho);
	/* A command that has yet to find the state changed uses the files. */
	paused = done && ho->ho_busy;
	ho->ho_drain_paused = paused;
	mutex_unlock(&ho->ho_lock);
	rtnl_unlock();

	if (paused)
		return;
	if (!done) {
		late = time_after(jiffies, ho->ho_drain_begun + DRAIN_TIME);
		queue_delayed_work(tapxfer_drain_wq, &ho->ho_drain_work,
				   late ? LATE_PERIOD : DRAIN_PERIOD);
		return;
	}
	if (trace_tapxfer_drained_enabled())
		trace_tapxfer_drained(ho, tapxfer_handover_held(ho),
				      tapxfer_handover_delivered(ho));
	tapxfer_handover_unpublish(ho);
	tapxfer_handover_put(ho);
}

/**
 * tapxfer_drain_start - the handover has ended
 * @ho: the handover
 *
 * Context: under ho_lock, once.
 */
void tapxfer_drain_start(struct tapxfer_handover *ho)
{
	unsigned int i;

	kref_get(&ho->ho_ref);
	ho->ho_drain_begun = jiffies;
	for (i = 0; i < ho->ho_nqueues; i++)
		ho->ho_queues[i].q_drain_until = jiffies + DRAIN_TIME;
	/* Not at once: it takes the locks that whoever ended it still needs. */
	queue_delayed_work(tapxfer_drain_wq, &ho->ho_drain_work, DRAIN_PERIOD);
}

/**
 * tapxfer_drain_resume - a command is done; it may have kept a drain waiting
 * @ho: the handover
 *
 * Context: under ho_lock.
 */
void tapxfer_drain_resume(struct tapxfer_handover *ho)
{
	if (!ho->ho_drain_paused)
		return;
	/* With the reference of the work that paused. */
	ho->ho_drain_paused = false;
	queue_delayed_work(tapxfer_drain_wq, &ho->ho_drain_work, 0);
}
