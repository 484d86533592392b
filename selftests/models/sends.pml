/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What vhost-net sends while the write side is closed: kmod/sendmsg.c.
 *
 *	vhost		send_sendmsg(), send_pass(), send_keep(): batches and
 *			single packets, one after the other
 *	writer		a writer of the file: the target, after the end
 *	handover	send_close(), the freeze's wait, and then either
 *			freeze_undo() with tapxfer_send_open() and another freeze,
 *			or handover_lift() with tapxfer_send_end()
 *
 * A packet is a number; a batch is one packet here. vhost forgets a batch that
 * the call took, and tries a single packet again.
 *
 * G2: nothing enters the host while it is frozen; what was kept is delivered,
 * once and in order, before newer sends and before what others write. What is
 * kept is bounded: who sends more sleeps, and is woken.
 *
 * holds:
 *
 * refuted: -DBATCHES_PASS	!frozen
 * refuted: -DOPEN_BEFORE_FLUSH	msg == received + 1
 * refuted: -DUNWRAP_BEFORE_FLUSH	msg == received + 1
 * refuted: -DFLUSH_WITHOUT_LOCK	msg == received + 1
 * refuted: -DKEEP_WITHOUT_A_LOOK	msg == received + 1
 * refuted: -DDROP_PAST_THE_LIMIT	msg == received + 1
 * refuted: -DFENCE_BEFORE_FLUSH	batches
 * refuted: -DEND_WAKES_NOBODY	invalid end state
 */

#define SENDS		4
#define KEEP_MAX	2		/* SEND_KEEP_MAX */

bool closed;				/* q_send_closed */
bool send_lock;				/* q_send_lock */
bool fence;				/* TAPXFER_FENCE_WRITE */
bool wrapped = true;			/* the socket's operations are ours */
byte writers;				/* q_writers */
chan batches = [KEEP_MAX] of { byte };	/* q_batches */
bool frozen, ending, over;
byte received;				/* by the driver, last */
bool waiting, woken;			/* vhost in ho_wait */

inline wake_up_all() {
	d_step { woken = waiting || woken }
}

/* tun_sendmsg() */
inline driver(msg) {
	assert(!frozen);
	atomic {
		assert(msg == received + 1);	/* once, in order */
		received = msg
	}
}

/* send_keep() */
inline send_keep() {
	atomic { !send_lock -> send_lock = true }
#ifdef KEEP_WITHOUT_A_LOOK
	keep = nfull(batches);
#else
	keep = closed && nfull(batches);
#endif
	if
	:: keep ->
		batches!msg
	:: else
	fi;
	send_lock = false
}

active proctype vhost()
{
	bool found, keep, batch;
	byte msg;

	do
	:: msg == SENDS -> break
	:: else ->
		msg++;
		if
		:: batch = true
		:: batch = false
		fi;
		/* the operations that it fetched, the queue that those found */
		found = wrapped;
		do
		:: !found -> driver(msg); break
		:: found && !closed ->
			/* send_enter(); writers.pml has the barriers */
			writers++;
			if
			:: closed -> writers--
			:: else -> driver(msg); writers--; break
			fi
		:: found && closed && !batch ->
			/* EAGAIN: once more when there is room */
			!closed;
			found = wrapped
#ifdef BATCHES_PASS
		:: found && closed && batch -> driver(msg); break
#else
		:: found && closed && batch ->
			send_keep();
			if
			:: keep -> break
			:: else ->
#ifdef DROP_PAST_THE_LIMIT
				break
#endif
				/* wait_event_idle() */
				do
				:: d_step { waiting = true; woken = false };
				   if
				   :: !closed -> break
				   :: else -> woken
				   fi
				od;
				waiting = false
			fi
#endif
		od
	od;
	over;
	assert(received == SENDS)
}

/* The target, or a thread that slept at the fence until the end */
active proctype writer()
{
	atomic {
		ending && !fence ->
		assert(empty(batches))		/* they have gone before */
	}
}

/* send_flush() */
inline send_flush() {
#ifdef OPEN_BEFORE_FLUSH
	closed = false;
#endif
#ifndef FLUSH_WITHOUT_LOCK
	atomic { !send_lock -> send_lock = true }
#endif
	do
	:: batches?msg -> driver(msg); msg = 0
	:: empty(batches) -> break
	od;
	closed = false;
#ifndef FLUSH_WITHOUT_LOCK
	send_lock = false
#endif
}

active proctype handover()
{
	byte msg;

	do
	:: true ->
		/* freeze_raise() */
		closed = true;
		fence = true;
		if
		:: writers == 0 -> frozen = true; break
		:: true ->
			/* freeze_undo() */
			send_flush();
			fence = false;
			wake_up_all()
		fi
	:: break	/* an abort before the freeze */
	od;
	frozen = false;
	ending = true;
	/* handover_lift() */
#ifdef FENCE_BEFORE_FLUSH
	fence = false;
#endif
#ifdef UNWRAP_BEFORE_FLUSH
	wrapped = false;
#endif
	send_flush();
	wrapped = false;
	fence = false;
#ifndef END_WAKES_NOBODY
	wake_up_all();
#endif
	over = true
}
