/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Freeze and the writers that it waits for: kmod/fence.c, sendmsg.c, steps.c.
 *
 *	freezer		tapxfer_freeze() with freeze_raise(), tapxfer_fence_wait()
 *			and freeze_undo(); later the end of the handover
 *	writer		fence_write_iter(), and fence_set() of a setter ioctl:
 *			fence_writer_enter(), fence_writer_leave()
 *	sender		send_pass() of a single packet: send_enter(), send_leave()
 *
 * Whoever raises the fence sets its bit, then reads the count; whoever passes
 * counts itself, then reads the bit. Between the two each needs a barrier, for
 * which memory is modelled with store buffers.
 *
 * G2: no write that began after the prepare is inside the driver from the
 * freeze's return to the end. A freeze fails only while a writer is stalled.
 * And nobody sleeps for ever: not the freezer when the last writer leaves, not
 * a writer when the fence is lowered. (Such a sleep is an invalid end state.)
 *
 * Not here: writers from before the prepare, whom nobody counts; sk_sndbuf is
 * against them.
 *
 * holds:
 *
 * refuted: -DNO_BARRIER_IN_ENTER	!frozen
 * refuted: -DNO_BARRIER_IN_FREEZE	!frozen
 * refuted: -DNO_SECOND_LOOK	!frozen
 * refuted: -DFREEZE_DOES_NOT_WAIT	!frozen
 * refuted: -DSENDS_NOT_COUNTED	!frozen
 * refuted: -DLEAVE_WAKES_NOBODY	invalid end state
 * refuted: -DTHAW_WAKES_NOBODY	invalid end state
 * refuted: -DWAKE_BEFORE_LOWERED	invalid end state
 */

#define CPUS		3
#define FREEZER		0
#define WRITER		1
#define SENDER		2

#define VARS		3
#define FENCE		0	/* ho_fence & TAPXFER_FENCE_WRITE */
#define CLOSED		1	/* q_send_closed */
#define WRITERS		2	/* q_writers */

#include "memory.h"

#ifdef SENDS_NOT_COUNTED
#define COUNTED(who)	(who != SENDER)
#else
#define COUNTED(who)	true
#endif

/* ho_wait: who is in the queue, and who was woken since */
bool waiting[CPUS];
bool woken[CPUS];

bool frozen;			/* between freeze's return and the end */
byte stalled;			/* writers that stall in their user's memory */
bool gave_up, over;		/* the freeze, the handover */

/* wake_up_all(): takes the queue's lock, looks for no sleeper before */
inline wake_up_all(who) {
	SMP_MB(who);
	d_step {
		woken[FREEZER] = waiting[FREEZER] || woken[FREEZER];
		woken[WRITER] = waiting[WRITER] || woken[WRITER];
	}
}

/* prepare_to_wait_event(): set_current_state() is a barrier */
inline prepare_to_wait(who) {
	atomic { SMP_MB(who) -> waiting[who] = true; woken[who] = false }
}

inline finish_wait(who) {
	d_step { waiting[who] = false; woken[who] = false }
}

/* In the driver; the user's memory may stall it for any time. */
inline driver() {
	assert(!frozen);
	if
	:: !stalled -> stalled++; gave_up || over; stalled--
	:: true
	fi;
	assert(!frozen)		/* the packet enters the host */
}

inline leave(who, gate) {
	/* atomic_dec_and_test() is a barrier before and after */
	atomic {
		SMP_MB(who) ->
		mem[WRITERS] = mem[WRITERS] - COUNTED(who);
		last = (mem[WRITERS] == 0)
	}
#ifndef LEAVE_WAKES_NOBODY
	if
	:: last && LOAD(gate) -> wake_up_all(who)
	:: else
	fi;
#endif
	last = false
}

/* fence_writer_enter(), send_enter() */
inline enter(who, gate) {
	passed = false;
	if
	:: LOAD(gate)
	:: else ->
		if
		:: COUNTED(who) -> ATOMIC_INC(who, WRITERS)
		:: else
		fi;
#ifndef NO_BARRIER_IN_ENTER
		SMP_MB(who);
#endif
		passed = true;
#ifndef NO_SECOND_LOOK
		if
		:: LOAD(gate) -> passed = false; leave(who, gate)
		:: else
		fi
#endif
	fi
}

active proctype writer()
{
	bool passed, last;
	byte times;

	do
	:: times == 2 -> break
	:: else ->
		times++;
again:		enter(WRITER, FENCE);
		if
		:: passed ->
			driver();
			leave(WRITER, FENCE)
		:: !passed		/* EAGAIN */
		:: !passed ->
			/* fence_write_wait() */
			do
			:: prepare_to_wait(WRITER);
			   if
			   :: !LOAD(FENCE) -> break
			   :: else -> woken[WRITER]
			   fi
			od;
			finish_wait(WRITER);
			goto again
		fi
	od
}

active proctype sender()
{
	bool passed, last;

	enter(SENDER, CLOSED);
	if
	:: passed ->
		driver();
		leave(SENDER, CLOSED)
	:: else			/* EAGAIN */
	fi
}

inline lower() {
#ifdef WAKE_BEFORE_LOWERED
	wake_up_all(FREEZER);
#endif
	STORE(FREEZER, CLOSED, false);
	STORE(FREEZER, FENCE, false);
#if !defined(THAW_WAKES_NOBODY) && !defined(WAKE_BEFORE_LOWERED)
	wake_up_all(FREEZER)
#endif
}

active proctype freezer()
{
	bool quiet;

	do
	:: true ->
		gave_up = false;
		/* freeze_raise() */
		STORE(FREEZER, CLOSED, true);
		STORE(FREEZER, FENCE, true);
		/* tapxfer_fence_wait(); a wait that need not sleep has no barrier */
#ifndef NO_BARRIER_IN_FREEZE
		SMP_MB(FREEZER);
#endif
		quiet = (LOAD(WRITERS) == 0);
#ifdef FREEZE_DOES_NOT_WAIT
		quiet = true;
#endif
		do
		:: quiet -> break
		:: else ->
			prepare_to_wait(FREEZER);
			quiet = (LOAD(WRITERS) == 0);
			if
			:: quiet
			:: !quiet && woken[FREEZER]
			/* the timeout is for those that stall */
			:: !quiet && stalled -> break
			fi
		od;
		finish_wait(FREEZER);
		if
		:: quiet -> break
		:: else -> lower(); gave_up = true	/* freeze_undo() */
		fi
	:: gave_up -> break				/* try no more */
	od;
	frozen = quiet;
	/* the thaw, an abort, the deadline */
	frozen = false;
	lower();
	over = true
}
