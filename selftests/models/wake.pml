/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The end of a handover and those who wait for packets: kmod/fence.c, queue.c.
 *
 *	end		handover_lift(): tapxfer_queue_unpark(), the fence,
 *			tapxfer_fence_remove(), tapxfer_queue_wake()
 *	network		tun_net_xmit() and whatever sk_data_ready is then:
 *			held_data_ready(), or the socket's own
 *	reader		fence_read_wait(), and after it the driver's own read
 *	poller (POLL)	fence_poll(), and after it the driver's own poll
 *
 * One packet comes, before the end or after it. G2's other half: whoever sleeps
 * in a read or a poll when traffic goes on, or falls asleep then, gets the
 * packet. Who sleeps for ever is an invalid end state. G1: nobody gets it while
 * the ring is parked, and nobody is told in vain that there is something.
 *
 * Who changes what a sleeper looks at looks for sleepers afterwards, who falls
 * asleep queues first: each needs a barrier between the two, for which memory is
 * modelled with store buffers. So does a packet that comes just when the ring is
 * unparked: the driver may call the stand-in for sk_data_ready still.
 *
 * A poller that has queued and finds no packet needs a barrier, too, which is the
 * core's business: poll_wait() has it in its lock, or since 6.13 of its own. To
 * be told of packets that were held it shall not matter (HELD): fence_poll() has
 * a barrier itself.
 *
 * holds:
 * holds: -DPOLL
 * holds: -DPOLL -DHELD
 *
 * refuted: -DNO_BARRIER_IN_READ	invalid end state
 * refuted: -DNO_BARRIER_IN_STAND_IN	invalid end state
 * refuted: -DNO_BARRIER_IN_WAKE	invalid end state
 * refuted: -DWAKE_BEFORE_LOWERED	invalid end state
 * refuted: -DEND_WAKES_NOBODY	invalid end state
 * refuted: -DSTAND_IN_STAYS	invalid end state
 * refuted: -DSTAND_IN_TELLS_NOBODY	invalid end state
 * refuted: -DPOLL -DHELD -DNO_BARRIER_IN_POLL	invalid end state
 * refuted: -DPOLL -DPOLL_ASKS_LAST	invalid end state
 * refuted: -DNOT_PARKED -DNOT_FENCED	!fenced || !got
 */

#define CPUS		3
#define END		0
#define NETWORK		1
#define READER		2

#define VARS		8
#define PRODUCER_LOCK	0
#define CONSUMER_LOCK	1
#define PACKET		2	/* in the ring */
#define PARKED		3	/* r_parked, and consumers look elsewhere */
#define OWN_READY	4	/* sk_data_ready is the socket's own */
#define FENCE		5	/* ho_fence & TAPXFER_FENCE_READ */
#define HASHED		6	/* q_hashed, and f_op is the fence's */
#define QUEUED		7	/* the reader is in the socket's wait queue */

#include "memory.h"

bool woken;			/* the reader was */
bool fenced = true;		/* until the end begins */

/* Acquire orders what comes later, release what came before, no more. */
#define LOCK(cpu, l)	atomic { !LOAD(l) -> mem[l] = true }
#define UNLOCK(cpu, l)	STORE(cpu, l, false)

/* skwq_has_sleeper(), then wake_up() */
inline wake(cpu) {
#ifndef NO_BARRIER_IN_WAKE
	SMP_MB(cpu);
#endif
	if
	:: LOAD(QUEUED) -> woken = true
	:: else
	fi
}

init {
	atomic {
#ifndef NOT_PARKED
		mem[PARKED] = true;
#endif
		mem[FENCE] = true;
		mem[HASHED] = true;
#ifdef NOT_FENCED
		mem[FENCE] = false;
#endif
#ifdef HELD
		mem[PACKET] = true;
#else
		run network();
#endif
		run end();
		run reader()
	}
}

proctype end()
{
	fenced = false;
	/* tapxfer_ring_unpark() */
	LOCK(END, CONSUMER_LOCK);
	LOCK(END, PRODUCER_LOCK);
	STORE(END, PARKED, false);
	UNLOCK(END, PRODUCER_LOCK);
	UNLOCK(END, CONSUMER_LOCK);
#ifndef STAND_IN_STAYS
	STORE(END, OWN_READY, true);
#endif
#ifdef WAKE_BEFORE_LOWERED
	wake(END);
#endif
	STORE(END, FENCE, false);
	STORE(END, HASHED, false);
#if !defined(WAKE_BEFORE_LOWERED) && !defined(END_WAKES_NOBODY)
	wake(END)
#endif
}

#ifndef HELD
/* held_data_ready() */
inline stand_in() {
	/* tapxfer_ring_look() tries one lock and takes the other */
	if
	:: atomic { !LOAD(CONSUMER_LOCK) -> mem[CONSUMER_LOCK] = true };
	   LOCK(NETWORK, PRODUCER_LOCK);
	   parked = LOAD(PARKED);
	   UNLOCK(NETWORK, PRODUCER_LOCK);
	   UNLOCK(NETWORK, CONSUMER_LOCK)
	:: LOAD(CONSUMER_LOCK) -> parked = LOAD(PARKED)
	fi;
#ifndef STAND_IN_TELLS_NOBODY
	if
	:: parked
	:: else ->
#ifndef NO_BARRIER_IN_STAND_IN
		SMP_MB(NETWORK);
#endif
		if
		:: LOAD(OWN_READY) -> wake(NETWORK)
		:: else
		fi
	fi
#endif
}

proctype network()
{
	bool parked;

	LOCK(NETWORK, PRODUCER_LOCK);
	STORE(NETWORK, PACKET, true);
	UNLOCK(NETWORK, PRODUCER_LOCK);
	if
	:: LOAD(OWN_READY) -> wake(NETWORK)
	:: else -> stand_in()
	fi
}

#endif

/* ptr_ring_consume(), or with poll ptr_ring_empty() */
inline look(got) {
	LOCK(READER, CONSUMER_LOCK);
	got = LOAD(PACKET) && !LOAD(PARKED);
	assert(!fenced || !got);
	UNLOCK(READER, CONSUMER_LOCK)
}

#ifndef POLL

/* add_wait_queue() */
inline queue_up() {
	STORE(READER, QUEUED, true)
}

proctype reader()
{
	bool got;

	/* fence_read_wait() */
	queue_up();
#ifndef NO_BARRIER_IN_READ
	SMP_MB(READER);
#endif
	do
	:: !LOAD(HASHED) -> break		/* restart_syscall() */
	:: else ->
		if
		:: !LOAD(FENCE) -> look(got)
		:: else
		fi;
		if
		:: got -> break
		:: else
		fi;
		/* wait_woken(): a wake-up since the last one counts */
		SMP_MB(READER);
		woken;
		woken = false
	od;
	/* tun_ring_recv(), in the wait queue like before */
	do
	:: got -> break
	:: else ->
		SMP_MB(READER);			/* set_current_state() */
		woken = false;
		look(got);
		if
		:: got
		:: else -> woken
		fi
	od
}

#else

/* A poll that returned nothing sleeps, and polls again when it is woken. */
proctype reader()
{
	bool got, own, queued, fence;

	do
	:: true ->
		SMP_MB(READER);			/* set_current_state() */
		woken = false;
		own = !LOAD(HASHED);		/* f_op */
#ifdef POLL_ASKS_LAST
		fence = !own && LOAD(FENCE);
#endif
		/* tun_chr_poll(): poll_wait() once, then the ring */
		if
		:: !queued ->
			queued = true;
			STORE(READER, QUEUED, true);
#ifndef HELD
			SMP_MB(READER)
#endif
		:: queued
		fi;
		look(got);
#ifndef POLL_ASKS_LAST
		if
		:: own
		:: else ->
#ifndef NO_BARRIER_IN_POLL
			SMP_MB(READER);
#endif
			fence = LOAD(FENCE)
		fi;
#endif
		got = got && !fence;
		fence = false;
		if
		:: got -> break
		:: else -> woken
		fi
	od
}

#endif
