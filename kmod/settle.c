// SPDX-License-Identifier: GPL-2.0
/*
 * A ring after its unpark: what is left of the held packets, and how it gets back
 * to its length.
 */
#include "internal.h"

/**
 * DOC: what is left of the held packets
 *
 * Readers take packets without telling us. The slot and the address of the last held
 * packet tell how many of them are left: those from the oldest packet on to that
 * slot, as long as it has that packet.
 */

/* Before the last held packet, of what no handover has held: a few backends' */
#define GIVEN_BACK_MAX	(4 * RING_RESERVE)

/**
 * tapxfer_ring_mark - note where the last of the held packets is that are left
 * @r: a ring that is not parked
 * @span: so many packets from the oldest on to that one, or 0. Those before it can
 *	be more than were held, when a vhost backend gives back after the end what it
 *	took before the hold.
 *
 * Context: under the ring's locks.
 */
void tapxfer_ring_mark(struct tapxfer_ring *r, unsigned int span)
{
	struct ptr_ring *ring = r->r_ring;

	if (r->r_array != ring->queue)
		r->r_slots = ring->size;
	r->r_array = ring->queue;
	r->r_size = ring->size;
	r->r_left = min(span, r->r_held - r->r_gone);
	if (!span)
		return;
	r->r_last_slot = (ring->consumer_head + span - 1) % ring->size;
	r->r_last = ring->queue[r->r_last_slot];
}

/* How many packets these are, as of tapxfer_ring_mark(). */
static unsigned int ring_span(const struct tapxfer_ring *r)
{
	const struct ptr_ring *ring = r->r_ring;

	if (!r->r_left || !ring->size)
		return 0;
	return (r->r_last_slot + ring->size - ring->consumer_head) %
	       ring->size + 1;
}

/**
 * tapxfer_ring_count_left - see how many held packets are left
 * @r: a ring that is not parked
 *
 * Context: under the ring's locks.
 */
void tapxfer_ring_count_left(struct tapxfer_ring *r)
{
	struct ptr_ring *ring = r->r_ring;
	int head = ring->consumer_head, size = ring->size;
	unsigned int i, span;

	/* Or the device's next handover has parked it. */
	if (!r->r_left || !size || head >= size)
		return;
	tapxfer_slots_finish_batch(ring);

	if (tapxfer_ring_is_ours(r)) {
		i = (r->r_last_slot + size - head) % size;
		span = ring->queue[r->r_last_slot] == r->r_last ? i + 1 : 0;
	} else {
		/* The driver has resized it, and the oldest had room. */
		for (i = 0; i < size && ring->queue[(head + i) % size]; i++)
			if (ring->queue[(head + i) % size] == r->r_last)
				break;
		if (i == size || !ring->queue[(head + i) % size]) {
			span = min(i, r->r_left);
			r->r_gone += r->r_left - span;
		} else {
			span = i + 1;
		}
	}
	/* One slot after the other may have it, if its memory was used anew. */
	tapxfer_ring_mark(r, span <= r->r_held + GIVEN_BACK_MAX ? span : 0);
}

/**
 * tapxfer_ring_is_read - whether somebody is catching up with a ring
 * @r: a ring that is not parked
 *
 * Context: process; the ring's file is held.
 * Return: whether packets were taken since the unpark, or since this was last
 * asked, and those that are there take no more memory than what was held.
 */
bool tapxfer_ring_is_read(struct tapxfer_ring *r)
{
	struct ptr_ring *ring = r->r_ring;
	unsigned long flags;
	unsigned int n = 0;
	u64 bytes = 0;
	bool moved;
	int i;

	flags = tapxfer_slots_lock(ring);
	tapxfer_slots_finish_batch(ring);
	i = ring->consumer_head;
	moved = i != r->r_head;
	r->r_head = i;
	while (moved && n < ring->size && ring->queue[i]) {
		bytes += tapxfer_slots_memory(ring->queue[i]);
		n++;
		if (++i >= ring->size)
			i = 0;
	}
	tapxfer_slots_unlock(ring, flags);
	return moved && bytes <= r->r_bytes;
}

/*
 * Whether the array has room that the ring does not use: the hold was a small one, but
 * another handover drained at the prepare. Nobody is charged with that once this one
 * has gone.
 */
static bool ring_is_roomy(const struct tapxfer_ring *r)
{
	return r->r_ring->queue == r->r_array &&
	       (int)r->r_slots > r->r_ring->size;
}

/**
 * tapxfer_ring_settle - bring an unparked ring back to the device's length
 * @r: the ring
 * @len: slots that it shall have, the device's tx_queue_len
 * @max: packets that it may hold when it gets smaller, up to @len
 * @dropped: NULL; or it gets smaller at once, and these are the packets that have
 *	no room. What was held and is left stays, with no slot besides; of what
 *	came after it there is what a ring of @len slots would have.
 *
 * Context: under rtnl, as the driver's own resize.
 * Return: 0 when the ring has @len slots, -EAGAIN while it holds more packets
 * than it may, -ENOMEM.
 */
int tapxfer_ring_settle(struct tapxfer_ring *r, unsigned int len,
			unsigned int max, unsigned int *dropped)
{
	struct ptr_ring *ring = r->r_ring;
	unsigned int keep = len, from = 0, size = 0;
	unsigned long flags;
	void **queue;
	int n = 0;

	if (ring->size == len && !ring_is_roomy(r))
		return 0;

	flags = tapxfer_slots_lock(ring);
	if (ring->size <= len) {
		max = len;
	} else if (dropped) {
		tapxfer_ring_count_left(r);
		keep = max(len, ring_span(r));
		max = keep;
	} else {
		n = tapxfer_slots_copy(ring, NULL, max);
	}
	tapxfer_slots_unlock(ring, flags);
	if (n < 0 || (ring->size == keep && !ring_is_roomy(r)))
		return -EAGAIN;

	queue = tapxfer_slots_alloc(keep);
	if (!queue)
		return -ENOMEM;

	flags = tapxfer_slots_lock(ring);
	tapxfer_ring_count_left(r);
	n = tapxfer_slots_copy(ring, queue, max);
	/* A backend can have given something back again. */
	if (n < 0 && dropped && ring_span(r) <= keep) {
		n = keep;
		size = ring->size;
		from = (ring->consumer_head + keep) % size;
		*dropped = tapxfer_slots_copy(ring, NULL, size) - keep;
	}
	if (n >= 0) {
		unsigned int span = ring_span(r);

		queue = tapxfer_slots_swap(ring, queue, keep, n);
		WRITE_ONCE(ring->consumer_head, 0);
		ring->consumer_tail = 0;
		tapxfer_ring_mark(r, span);
	}
	tapxfer_slots_unlock(ring, flags);

	/* They are in the array that was the ring's. */
	if (size)
		tapxfer_slots_free(queue, size, from, *dropped);
	kvfree(queue);
	return n < 0 || keep > len ? -EAGAIN : 0;
}

/**
 * tapxfer_ring_delivered - how many of the held packets the reader has taken
 * @r: the ring
 *
 * Return: packets, since the unpark, as of the last tapxfer_ring_sample(); no fewer
 * were taken.
 */
unsigned int tapxfer_ring_delivered(const struct tapxfer_ring *r)
{
	return r->r_held - r->r_left - r->r_gone;
}
