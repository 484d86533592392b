// SPDX-License-Identifier: GPL-2.0
/*
 * A ptr_ring taken apart: its locks, its array, the packets in its slots.
 */
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/vmalloc.h>
#include <net/xdp.h>

#include "internal.h"

/* Past that many bytes pages one by one, and not the next power of two of them:
 * 16384 packets and the reserve are just more than 128 KiB.
 */
#define SLOTS_KMALLOC_MAX	(PAGE_SIZE << PAGE_ALLOC_COSTLY_ORDER)

/**
 * tapxfer_slots_lock - take both of a ring's locks
 * @ring: the ring
 *
 * Nested as ptr_ring_resize() nests them.
 *
 * Return: flags for tapxfer_slots_unlock().
 */
unsigned long tapxfer_slots_lock(struct ptr_ring *ring)
	__acquires(&ring->consumer_lock)
	__acquires(&ring->producer_lock)
{
	unsigned long flags;

	spin_lock_irqsave(&ring->consumer_lock, flags);
	spin_lock(&ring->producer_lock);
	return flags;
}

/**
 * tapxfer_slots_unlock - let go of them
 * @ring: the ring
 * @flags: from tapxfer_slots_lock()
 */
void tapxfer_slots_unlock(struct ptr_ring *ring, unsigned long flags)
	__releases(&ring->producer_lock)
	__releases(&ring->consumer_lock)
{
	spin_unlock(&ring->producer_lock);
	spin_unlock_irqrestore(&ring->consumer_lock, flags);
}

/**
 * tapxfer_slots_alloc - an array for a ring
 * @slots: so many it has
 *
 * Who asks for too much is told, and a drain asks again: no need to log it.
 *
 * Return: the array, empty, for kvfree(); or NULL.
 */
void **tapxfer_slots_alloc(unsigned int slots)
{
	const gfp_t gfp = GFP_KERNEL_ACCOUNT | __GFP_NOWARN | __GFP_ZERO;
	size_t size = array_size(slots, sizeof(void *));

	/* A tx queue length may be anything; the driver has no such ring either. */
	if (size > INT_MAX)
		return NULL;
	if (size > SLOTS_KMALLOC_MAX)
		return __vmalloc(size, gfp);
	return kvmalloc(size, gfp);
}

/**
 * tapxfer_slots_size - the memory that such an array takes
 * @slots: so many it has
 *
 * Return: bytes.
 */
size_t tapxfer_slots_size(unsigned int slots)
{
	size_t size = array_size(slots, sizeof(void *));

	return size > SLOTS_KMALLOC_MAX ? PAGE_ALIGN(size) :
					  roundup_pow_of_two(size);
}

/**
 * tapxfer_slots_memory - the memory that a packet takes
 * @ptr: what a slot has
 *
 * Return: bytes.
 */
unsigned int tapxfer_slots_memory(void *ptr)
{
	if (tun_is_xdp_frame(ptr))
		return tun_ptr_to_xdp(ptr)->frame_sz;
	return ((struct sk_buff *)ptr)->truesize;
}

/**
 * tapxfer_slots_finish_batch - have no slots that look like packets and are none
 * @ring: the ring
 *
 * Consumers clear slots in batches: the one that is begun is finished.
 *
 * Context: under the ring's locks.
 */
void tapxfer_slots_finish_batch(struct ptr_ring *ring)
{
	int i;

	for (i = ring->consumer_tail; i < ring->consumer_head; i++)
		ring->queue[i] = NULL;
	ring->consumer_tail = ring->consumer_head;
}

/**
 * tapxfer_slots_copy - copy the packets of a ring, oldest first, or count them
 * @ring: a ring that is not parked
 * @to: where to, or NULL
 * @max: how many there may be
 *
 * Context: under the ring's locks.
 * Return: their number; or -ENOSPC when there are more, and nothing was changed.
 */
int tapxfer_slots_copy(struct ptr_ring *ring, void **to, unsigned int max)
{
	unsigned int n = 0;
	int i;

	if (!ring->size)
		return 0;

	tapxfer_slots_finish_batch(ring);
	i = ring->consumer_head;
	while (ring->queue[i] && n < ring->size) {
		if (n == max)
			return -ENOSPC;
		if (to)
			to[n] = ring->queue[i];
		n++;
		if (++i >= ring->size)
			i = 0;
	}
	return n;
}

/**
 * tapxfer_slots_swap - put an array in the place of a ring's
 * @ring: the ring, its consumers' indices to be set
 * @queue: the array
 * @size: slots that producers may use
 * @n: packets in it, from slot 0 on
 *
 * Context: under the ring's locks.
 * Return: the array that was there.
 */
void **tapxfer_slots_swap(struct ptr_ring *ring, void **queue, unsigned int size,
			  unsigned int n)
{
	void **old = ring->queue;

	ring->queue = queue;
	__ptr_ring_set_size(ring, size);
	ring->producer = n < size ? n : 0;
	return old;
}

/**
 * tapxfer_slots_free - free packets in an array that is no ring's any more
 * @queue: the array
 * @size: its slots
 * @from: the first packet's slot
 * @n: packets
 *
 * Never under a ring's locks: what comes of a page pool lets softirqs run when it
 * goes back there, interrupts enabled or not, and the driver produces in these.
 *
 * Context: process.
 */
void tapxfer_slots_free(void **queue, unsigned int size, unsigned int from,
			unsigned int n)
{
	while (n--) {
		tun_ptr_free(queue[from]);
		if (++from >= size)
			from = 0;
		cond_resched();
	}
}
