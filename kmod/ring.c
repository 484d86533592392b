// SPDX-License-Identifier: GPL-2.0
/*
 * Parking a queue's ring.
 */
#include "internal.h"

#define RING_SLOTS_MAX	BIT(24)

/**
 * DOC: how a ring is parked
 *
 * tun hands packets to its readers through a ptr_ring: producers fill slots
 * until they find one that is not NULL, consumers empty slots until they find
 * one that is. Where producers write and where consumers look are two separate
 * indices, and neither side checks the other's. So a ring can be made to look
 * empty to every consumer while producers go on: let the consumers look at a
 * slot that no producer ever reaches.
 *
 * ::
 *
 *	0                          hold            hold + 64
 *	+---------------------------+-----------------+---+
 *	| producers fill this       | reserve         | 0 | <- consumers look here
 *	+---------------------------+-----------------+---+
 *
 * park moves the packets to the front of such an array, sets the ring's size
 * to hold, so that producers turn round there, and the consumers' indices to
 * the last slot. From then on the ring takes packets until hold are in it and
 * gives out none; the driver drops what comes on top, as it does with any full
 * ring. unpark sets the consumers' indices to the oldest packet. Both take the
 * ring's own two locks, in the ring's own order, for as long as the packets
 * present take to be moved; neither waits for anything.
 *
 * A vhost backend may have taken up to 64 packets (VHOST_NET_BATCH) out of the
 * ring before the park. When it stops it gives them back with
 * ptr_ring_unconsume(), which moves the consumers' index down. They land in the
 * reserve. They are older than what is held, so unpark makes the reserve part
 * of the ring: consumers then start in the reserve and turn round to slot 0.
 *
 * The memory of what is held is bounded as well. Whoever is told that packets
 * came (queue.c) has a look: adds the memory of those that came since the last
 * look and charges it to the budget (limits.c). When that is exhausted the ring
 * is closed at its present fill: its size becomes the number of packets in it,
 * and the producers' index 0, where they find a packet, and see a full ring. The
 * reserve and the consumers' slot stay where they are. unpark gives the ring its
 * size back and sends producers on behind the last packet, so that a closed ring
 * ends as any other does. A ring of no packet cannot be closed like that (a size
 * of 0 would have a vhost backend throw away what it gives back): it is closed
 * with its first.
 *
 * A look walks over slots, and must not meet a consumer there. A parked ring has
 * none, but for those past the fence (see ring_is_astray()), so it takes both
 * locks; consumer_lock, which readers take with softirqs enabled, by trying. A
 * look that did not get it leaves its packets to the next one, and to a worker,
 * who can wait: those who poll can keep the lock taken for as long as they like.
 *
 * Unhappy paths: a hold below the number of packets present is refused before
 * anything moved. A parked ring must be unparked before the driver purges it,
 * since the purge, too, sees an empty ring: hence the reference to the file,
 * which keeps the driver's release away, and the netdev notifier, which comes
 * before the driver's uninit. The driver's own resize of a parked ring would
 * lose what is held: the notifier refuses it. What a backend gives back while
 * another task of the same VMM is inside the driver's detach of that queue comes
 * after the fold, and the purge loses what is held.
 */

/**
 * tapxfer_ring_is_ours - whether a ring is still as we have left it
 * @r: the ring
 *
 * Nobody resizes a parked ring of a device that is being handed over; but a mistake
 * about which device that is must not become one about whose memory this is.
 *
 * Context: under the ring's locks.
 */
bool tapxfer_ring_is_ours(const struct tapxfer_ring *r)
{
	return r->r_ring->queue == r->r_array && r->r_ring->size == r->r_size;
}

/* Where no consumer looks but one past the fence, or what is given back past the
 * reserve.
 */
static bool ring_is_astray(const struct tapxfer_ring *r)
{
	return r->r_ring->consumer_head < (int)r->r_hold;
}

/*
 * A consumer past the fence (the driver's purge of a queue that is detached, a
 * reader that has slept in the driver since before the prepare) sees what a
 * vhost backend gave back, takes one, and turns round to slot 0. Two backends of
 * a queue that give back more than the reserve takes leave no slot empty.
 */
static bool ring_was_read(const struct tapxfer_ring *r)
{
	unsigned int i;

	if (!ring_is_astray(r))
		return false;
	for (i = r->r_ring->consumer_head; i < r->r_hold + RING_RESERVE; i++)
		if (!r->r_array[i])
			return true;
	return false;
}

/* Packets before the reserve of a parked ring that was not read. */
static unsigned int ring_fill(const struct ptr_ring *ring)
{
	if (!ring->producer && ring->queue[0])
		return ring->size;
	return ring->producer;
}

/* Let producers see a full ring. */
static void ring_close(struct tapxfer_ring *r, unsigned int n)
{
	__ptr_ring_set_size(r->r_ring, n);
	r->r_ring->producer = 0;
	r->r_size = n;
}

static void ring_reopen(struct tapxfer_ring *r)
{
	__ptr_ring_set_size(r->r_ring, r->r_hold);
	r->r_ring->producer = r->r_size;
	r->r_size = r->r_hold;
}

/*
 * Charge what has come since the last look, and close the ring if that is too
 * much. Returns the limit that has closed it now. Under the ring's locks.
 */
static enum tapxfer_limit ring_look(struct tapxfer_ring *r)
{
	struct ptr_ring *ring = r->r_ring;
	enum tapxfer_limit limit;
	unsigned int n;

	/* What was counted remains what was held at most. */
	if (!tapxfer_ring_is_ours(r) || ring_is_astray(r))
		return TAPXFER_LIMIT_NONE;

	n = ring_fill(ring);
	while (r->r_seen < n)
		r->r_bytes += tapxfer_slots_memory(ring->queue[r->r_seen++]);
	while (r->r_seen_back > ring->consumer_head)
		r->r_bytes += tapxfer_slots_memory(ring->queue[--r->r_seen_back]);

	limit = tapxfer_budget_charge(r->r_budget, &r->r_charged, r->r_bytes);
	if (!limit || r->r_full || !n || n == r->r_hold)
		return TAPXFER_LIMIT_NONE;
	ring_close(r, n);
	r->r_full = limit;
	return limit;
}

/**
 * tapxfer_ring_look - have a look at what came into a parked ring
 * @r: a ring
 * @limit: what has closed the ring now, if anything has
 * @again: there was no look: somebody has to call tapxfer_ring_sample()
 *
 * Context: any in which the driver produces; RCU keeps the handover.
 * Return: whether the ring is parked.
 */
bool tapxfer_ring_look(struct tapxfer_ring *r, enum tapxfer_limit *limit,
		       bool *again)
{
	unsigned long flags;
	bool parked;

	*limit = TAPXFER_LIMIT_NONE;
	*again = false;
	if (!spin_trylock_irqsave(&r->r_ring->consumer_lock, flags)) {
		parked = READ_ONCE(r->r_parked);
		*again = parked;
		return parked;
	}
	spin_lock(&r->r_ring->producer_lock);
	parked = r->r_parked;
	if (parked)
		*limit = ring_look(r);
	tapxfer_slots_unlock(r->r_ring, flags);
	return parked;
}

/**
 * tapxfer_ring_close - let a parked ring take no more, as a limit does
 * @r: a ring that has packets before its reserve, and room
 *
 * For the self-test, whose packets take no memory.
 */
void __init tapxfer_ring_close(struct tapxfer_ring *r)
{
	unsigned long flags;

	flags = tapxfer_slots_lock(r->r_ring);
	ring_close(r, ring_fill(r->r_ring));
	tapxfer_slots_unlock(r->r_ring, flags);
}

/**
 * tapxfer_ring_init - get ready to park a ring
 * @r: to be filled in
 * @ring: the driver's ring; must outlive @r
 * @len: slots that the device's rings have, if nobody has handed them over: an
 *	earlier handover may be about to give them back
 * @hold: packets that the parked ring shall take, 1 to TAPXFER_HOLD_MAX
 * @budget: to charge for them, and for the room; or NULL: nothing is charged
 * @extack: for errors
 *
 * Return: 0, -EDQUOT, -ERANGE or -ENOMEM.
 */
int tapxfer_ring_init(struct tapxfer_ring *r, struct ptr_ring *ring,
		      unsigned int len, unsigned int hold,
		      struct tapxfer_budget *budget,
		      struct netlink_ext_ack *extack)
{
	unsigned int slots = max_t(unsigned int, READ_ONCE(ring->size),
				   max(hold, len));
	/* Twice the reserve, for what tapxfer_ring_fold() does. */
	unsigned int all = slots + 2 * RING_RESERVE + 1;
	int err;

	/* A device's length is any u32. */
	if (slots > RING_SLOTS_MAX) {
		NL_SET_ERR_MSG(extack,
			       "the tx queue length is too large for rings that could be held, lower it");
		return -ERANGE;
	}
	if (budget) {
		err = tapxfer_budget_reserve(budget, hold, tapxfer_slots_size(all),
					     extack);
		if (err)
			return err;
	} else {
		/* As if all that may come were paid for. */
		r->r_charged = U64_MAX;
	}
	r->r_spare = tapxfer_slots_alloc(all);
	if (!r->r_spare) {
		NL_SET_ERR_MSG(extack,
			       "no memory for a queue's ring, ask for a smaller hold");
		return -ENOMEM;
	}
	r->r_budget = budget;
	r->r_ring = ring;
	r->r_hold = hold;
	r->r_len = len;
	r->r_slots = slots;
	return 0;
}

/**
 * tapxfer_ring_fits - whether a ring has not outgrown what it would be parked into
 * @r: a ring that is not parked
 *
 * Context: under rtnl; no handover has the ring parked.
 */
bool tapxfer_ring_fits(const struct tapxfer_ring *r)
{
	return r->r_ring->size <= (int)r->r_slots;
}

/**
 * tapxfer_ring_check - whether a ring can be parked
 * @r: a ring that is not parked
 *
 * Context: under rtnl, which keeps the driver from resizing the ring, and
 * which must be kept until the ring is parked.
 * Return: 0, -ENOSPC when it has more packets than it shall hold, -ESTALE when
 * it has grown since tapxfer_ring_init().
 */
int tapxfer_ring_check(struct tapxfer_ring *r)
{
	unsigned long flags;
	int n;

	if (!tapxfer_ring_fits(r))
		return -ESTALE;
	/* There is room for all that may be in it. */
	if (r->r_ring->size <= (int)r->r_hold)
		return 0;

	flags = tapxfer_slots_lock(r->r_ring);
	n = tapxfer_slots_copy(r->r_ring, NULL, r->r_hold);
	tapxfer_slots_unlock(r->r_ring, flags);
	return n < 0 ? n : 0;
}

/**
 * tapxfer_ring_park - show consumers an empty ring, and take more packets
 * @r: a ring that passed tapxfer_ring_check()
 *
 * Cannot fail: packets that came since the check, past the number to be held,
 * are held as well, and so is what is past the limits in bytes: then the ring is
 * closed at once, see r_full.
 */
void tapxfer_ring_park(struct tapxfer_ring *r)
{
	struct ptr_ring *ring = r->r_ring;
	unsigned long flags;
	unsigned int n;

	flags = tapxfer_slots_lock(ring);
	n = tapxfer_slots_copy(ring, r->r_spare, r->r_slots);
	r->r_hold = max(r->r_hold, n);
	r->r_spare = tapxfer_slots_swap(ring, r->r_spare, r->r_hold, n);
	r->r_folded = 0;
	ring->consumer_head = r->r_hold + RING_RESERVE;
	ring->consumer_tail = r->r_hold + RING_RESERVE;
	r->r_array = ring->queue;
	r->r_size = ring->size;
	r->r_seen_back = ring->consumer_head;
	r->r_pending = n;
	WRITE_ONCE(r->r_parked, true);
	ring_look(r);
	tapxfer_slots_unlock(ring, flags);
}

/* Packets in a parked ring; under its locks. */
static unsigned int ring_count(const struct tapxfer_ring *r,
			       unsigned int *put_back)
{
	unsigned int n;

	if (ring_was_read(r)) {
		*put_back = 0;
		return tapxfer_slots_copy(r->r_ring, NULL, r->r_hold);
	}
	n = r->r_hold + RING_RESERVE - r->r_ring->consumer_head;
	*put_back = n + r->r_folded;
	return n + ring_fill(r->r_ring);
}

/**
 * tapxfer_ring_fold - move what was given back to the other held packets
 * @r: a ring; nothing is done when it is not parked
 *
 * For those who are about to let a consumer at the ring, which must find it
 * empty: the driver's purge of a queue that is detached, or readers that no
 * fence keeps away any more. What is given back later is a reserve again; there
 * is room to do this once.
 */
void tapxfer_ring_fold(struct tapxfer_ring *r)
{
	struct ptr_ring *ring = r->r_ring;
	void *reserve[RING_RESERVE];
	unsigned int n, back, head;
	unsigned long flags;
	bool closed;

	flags = tapxfer_slots_lock(ring);
	if (!r->r_parked || r->r_folded || !tapxfer_ring_is_ours(r) || ring_is_astray(r))
		goto out;
	head = ring->consumer_head;
	back = r->r_hold + RING_RESERVE - head;
	if (!back)
		goto out;
	ring_look(r);
	n = ring_fill(ring);
	closed = r->r_size != r->r_hold;

	memcpy(reserve, ring->queue + head, back * sizeof(void *));
	memset(ring->queue + head, 0, back * sizeof(void *));
	memmove(ring->queue + back, ring->queue, n * sizeof(void *));
	memcpy(ring->queue, reserve, back * sizeof(void *));
	n += back;

	r->r_folded = back;
	r->r_hold += RING_RESERVE;
	r->r_size = closed ? n : r->r_hold;
	__ptr_ring_set_size(ring, r->r_size);
	ring->producer = n < r->r_size ? n : 0;
	ring->consumer_head = r->r_hold + RING_RESERVE;
	ring->consumer_tail = ring->consumer_head;
	r->r_seen = n;
	r->r_seen_back = ring->consumer_head;
out:
	tapxfer_slots_unlock(ring, flags);
}

/*
 * Take packets out of the reserve of a ring that was read, and in a closed one out
 * of what is between it and the reserve. Returns how many; so many are @max that
 * there may be more.
 */
static unsigned int ring_take_reserve(struct tapxfer_ring *r, void **to,
				      unsigned int max)
{
	unsigned int i, n = 0;

	if (!ring_was_read(r))
		return 0;
	for (i = r->r_size; i < r->r_hold + RING_RESERVE && n < max; i++) {
		if (r->r_array[i])
			to[n++] = r->r_array[i];
		r->r_array[i] = NULL;
	}
	return n;
}

/* A hold may be less than the device's length: what comes next has that room. Where
 * something was given back it has it when the ring has drained.
 */
static void ring_widen(struct tapxfer_ring *r)
{
	struct ptr_ring *ring = r->r_ring;

	if (r->r_len <= r->r_hold)
		return;
	if (!ring->producer && ring->queue[0])
		ring->producer = r->r_hold;
	__ptr_ring_set_size(ring, r->r_len);
}

/**
 * tapxfer_ring_unpark - show consumers what is held
 * @r: a ring; nothing is done when it is not parked
 *
 * Cannot fail. The ring keeps the larger array, which is a valid ring.
 *
 * Return: packets that were freed: of what was given back, behind a consumer past the
 * fence.
 */
unsigned int tapxfer_ring_unpark(struct tapxfer_ring *r)
{
	struct ptr_ring *ring = r->r_ring;
	void *taken[RING_RESERVE];
	unsigned int n, freed = 0;
	unsigned long flags;

	if (!r->r_parked)
		return 0;

	flags = tapxfer_slots_lock(ring);
	if (WARN_ON_ONCE(!tapxfer_ring_is_ours(r)))
		goto out;
	/* What is left of a reserve is older than what was taken. */
	while ((n = ring_take_reserve(r, taken, RING_RESERVE))) {
		tapxfer_slots_unlock(ring, flags);
		tapxfer_slots_free(taken, RING_RESERVE, 0, n);
		freed += n;
		flags = tapxfer_slots_lock(ring);
	}
	ring_look(r);
	r->r_held = ring_count(r, &r->r_put_back);
	if (r->r_size != r->r_hold && !ring_was_read(r))
		ring_reopen(r);
	if (ring_was_read(r)) {
		/* The indices are those of a ring of this size already. */
	} else if (ring->consumer_head == r->r_hold + RING_RESERVE) {
		WRITE_ONCE(ring->consumer_head, 0);
		ring->consumer_tail = 0;
		ring_widen(r);
	} else {
		/* A full ring's producers have turned round: send them on into
		 * what is left of the reserve.
		 */
		if (!ring->producer && ring->queue[0])
			ring->producer = r->r_hold;
		__ptr_ring_set_size(ring, r->r_hold + RING_RESERVE);
	}
	r->r_gone = 0;
	r->r_head = ring->consumer_head;
	tapxfer_ring_mark(r, r->r_held);
out:
	WRITE_ONCE(r->r_parked, false);
	tapxfer_slots_unlock(ring, flags);
	return freed;
}

/**
 * tapxfer_ring_sample - bring a ring's counts up to date
 * @r: the ring, parked or not
 *
 * Context: process; the ring's file is held.
 * Return: the limit that has closed the ring now, if one has.
 */
enum tapxfer_limit tapxfer_ring_sample(struct tapxfer_ring *r)
{
	enum tapxfer_limit limit = TAPXFER_LIMIT_NONE;
	unsigned long flags;

	flags = tapxfer_slots_lock(r->r_ring);
	if (r->r_parked)
		limit = ring_look(r);
	else
		tapxfer_ring_count_left(r);
	tapxfer_slots_unlock(r->r_ring, flags);
	return limit;
}

/**
 * tapxfer_ring_held - how many packets a ring holds, or held when unparked
 * @r: the ring
 * @put_back: of these, given back by a vhost backend
 *
 * Return: packets, @put_back counted.
 */
unsigned int tapxfer_ring_held(const struct tapxfer_ring *r,
			       unsigned int *put_back)
{
	unsigned int held = r->r_held;
	unsigned long flags;

	*put_back = r->r_put_back;
	if (r->r_parked) {
		flags = tapxfer_slots_lock(r->r_ring);
		if (tapxfer_ring_is_ours(r))
			held = ring_count(r, put_back);
		tapxfer_slots_unlock(r->r_ring, flags);
	}
	return held;
}

/**
 * tapxfer_ring_free - let go of what parking needed
 * @r: a ring that is not parked, or zeroes
 */
void tapxfer_ring_free(struct tapxfer_ring *r)
{
	kvfree(r->r_spare);
	r->r_spare = NULL;
}
