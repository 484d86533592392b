/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One handover from its prepare to its last reference, and everybody who acts on
 * it at once: kmod/handover.c, steps.c, claim.c, shadow.c, apply.c, ready.c,
 * drain.c, notifier.c.
 *
 *	command		callers who have the token: freeze (with the hold),
 *			claim, pass, ready, thaw, a claim that thaws, drain, in
 *			any order
 *	abort		end_and_tell(), which puts back settings before, if it can:
 *			tapxfer_apply_restore(); its caller may stall for ever
 *	deadline	tapxfer_deadline(); with FAR it is not near, unless an
 *			abort has drawn it near
 *	claimant	setters between claim and thaw, tapxfer_shadow_set(); exit
 *	claimant_work	tapxfer_claimant_work()
 *	drainer		tapxfer_drain()
 *	stack		under rtnl: the device is deleted, tapxfer_gone(), or a
 *			notifier asks
 *
 * The locks are as in the code: rtnl, then ho_lock; tun's ioctls take rtnl. What
 * is done under ho_lock alone is one step. Commands exclude each other by busy.
 * An abort, and the deadline, say that they are about to end it, s_stop; what they
 * wait for then is moving.pml's, here it takes any time.
 * The claimant's settings are one setting of the device's and one queue that is
 * to be detached; 0 is what was exported.
 *
 * G4: however it ends, nothing stays up or parked; and what a claimant has set
 * stays only after a thaw, or is named; an abort that could put back everything
 * names nothing. Once it has ended no more is set than one ioctl that was in the
 * driver by then, but for queues that are put back. G5: no lock is waited for for
 * ever, nor who applies a record; nothing is used after it was let go of, each
 * reference is put once. G6: one claimant at a time, until it exits. G9: a thaw
 * needs a claim, and leaves no settings of another one's. Who is told of a thaw had
 * one; who is not told has had none, and no claim. One end, one event.
 *
 * holds:
 * holds: -DQUEUE
 * holds: -DCLAIMS=1 -DABORT
 * holds: -DCLAIMS=1 -DABORT -DQUEUE
 * holds: -DCLAIMS=1 -DABORT -DFAR
 * holds: -DCLAIMS=1 -DSTACK
 * holds: -DCLAIMS=1 -DPROCESSES=2
 * holds: -DCLAIMS=1 -DCOMMANDS=2
 *
 * refuted: -DSTACK -DIOCTL_UNDER_HO_LOCK	invalid end state
 * refuted: -DDRAIN_IGNORES_BUSY	files
 * refuted: -DDRAIN_NOT_RESUMED	invalid end state
 * refuted: -DCOMMANDS=2 -DCOMMANDS_DO_NOT_EXCLUDE	files
 * refuted: -DDEADLINE_PUT_TWICE	ref > 0
 * refuted: -DCLAIM_KEEPS_REFERENCE	invalid end state
 * refuted: -DABORT -DABORT_WHEN_ENDED	!ends
 * refuted: -DFREEZE_DOES_NOT_LOOK_AGAIN	!(parked || fence_read
 * refuted: -DUNDO_WHEN_ENDED	state !=
 * refuted: -DTHAW_DOES_NOT_LOOK_AGAIN	claimant != 0
 * refuted: -DEXIT_KEEPS_CLAIM	alive[claimant]
 * refuted: -DPROCESSES=2 -DPASS_DOES_NOT_LOOK_AGAIN	alive[claimant]
 * refuted: -DAPPLY_NOT_NAMED	named
 * refuted: -DREADY_NOT_NAMED	named
 * refuted: -DQUEUE -DMOVE_NOT_NAMED	named
 * refuted: -DSTALE_FORGOTTEN	d_value == claim
 * refuted: -DSETTERS_DO_NOT_WAIT	d_value == s_value
 * refuted: -DUNREADY_KEEPS_OPEN	fence_write
 * refuted: -DCLAIM_THAWS_BEFORE_IT_TELLS	!ends ||
 * refuted: -DCLAIM_THAW_LETS_GO_BETWEEN	!told ||
 * refuted: -DCLAIM_THAW_NOT_REVOKED	!claimant
 * refuted: -DCLAIM_THAW_KEEPS_SETTINGS	d_value == claim
 * refuted: -DCLAIMS=1 -DABORT -DRESTORE_KEEPS_CLAIM	named
 * refuted: -DCLAIMS=1 -DABORT -DRESTORE_IGNORES_BUSY	files
 * refuted: -DCLAIMS=1 -DABORT -DQUEUE -DRESTORE_DOES_NOT_LOOK	late
 * refuted: -DCLAIMS=1 -DABORT -DRESTORE_FORGETS_FAILURE	named
 * refuted: -DCLAIMS=1 -DABORT -DRESTORE_STAYS_NAMED	restored
 * refuted: -DCLAIMS=1 -DABORT -DSETTERS_OUTLAST_IT	invalid end state
 * refuted: -DCLAIMS=1 -DABORT -DFAR -DABORT_DOES_NOT_HURRY	invalid end state
 */

#ifndef CLAIMS
#define CLAIMS		2	/* how often it is claimed */
#endif
#ifndef PROCESSES
#define PROCESSES	1	/* that may have the claim */
#endif
#ifndef COMMANDS
#define COMMANDS	1	/* callers */
#endif

mtype = { PREPARED, HOLDING, FROZEN, CLAIMED, READY, DRAINING };
mtype = { THAWED, ENDED, GONE };

bool rtnl, ho_lock;

mtype state = PREPARED;		/* ho_state */
bool busy;			/* ho_busy */
byte ref = 2;			/* ho_ref: the table's, the deadline's */
bool in_table = true;
bool freed;
bool files = true;		/* q_file, r_spare, the budget */
bool dev = true;		/* ho_dev */
bool deadline_queued = true;	/* ho_deadline_work */
bool drain_queued;		/* ho_drain_work */
bool drain_paused;		/* ho_drain_paused */
bool work_queued;		/* ho_claimant_work */
bool working;			/* and it has begun */

/* What the handover does to the device's files and rings */
bool parked, fence_read, fence_write, send_closed, sndbuf_zero;
bool fops = true;

/* The claim: which, and of which of two processes */
byte claim;
byte claimant;			/* ho_claimant, 0: none */
bool alive[PROCESSES + 1] = true;

/* ho_shadow, and the queue's part of it */
bool s_set, s_stale, s_applying, s_stop;
byte s_value;
bool q_shadow;
/* the device */
byte d_value;
bool d_queue;

byte ends;
mtype ended_by;
bool told;			/* somebody, that its claim has thawed */
byte late;			/* ioctls that have set something after the end */
#ifdef ABORT
bool restored;			/* an abort has put back all, and ended it */
bool stuck;			/* it stalls for ever */
bool hurried;			/* the deadline is near */
#else
#define stuck	false
#endif
bool named;			/* TAPXFER_VIOLATION_SETTINGS, at the end */

#if PROCESSES > 1
#define CALLER		(alive[1] || alive[2])
#else
#define CALLER		true
#endif
#define LIVE		(state != DRAINING)
#define LOCK(l)		atomic { !l -> l = true }
/* A section of ho_lock's */
#define LOCKED		!ho_lock

inline put() {
	assert(ref > 0);
	ref--;
	freed = (ref == 0);
	assert(!freed || (!in_table && !files && !dev))
}

inline get() {
	assert(!freed);
	ref++
}

/* What each state stands for, when ho_lock is let go of. */
inline check() {
	assert(!freed);
	assert(!LIVE || (files && dev));
	assert(state != HOLDING || (parked && fence_read && fops));
	assert((state != FROZEN && state != CLAIMED) ||
	       (parked && fence_read && fence_write && send_closed && sndbuf_zero && fops));
	assert(state != READY || (parked && send_closed && sndbuf_zero));
	assert((claimant != 0) == (state == CLAIMED || state == READY));
	/* an exit is noticed */
	assert(claimant == 0 || alive[claimant] || work_queued || working);
	assert(LIVE || !(parked || fence_read || fence_write || send_closed || sndbuf_zero || fops))
}

/* tapxfer_claim_drop() */
inline claim_drop() {
	if
	:: claimant ->
		claimant = 0;
#ifndef CLAIM_KEEPS_REFERENCE
		put()
#endif
	:: else
	fi
}

/* claim_watch() */
inline claim_watch(who) {
	claimant = who;
	get()
}

/* tapxfer_claim_take_back(), claim_end() */
inline claim_end() {
	claim_drop();
#ifndef UNREADY_KEEPS_OPEN
	if
	:: state == READY ->
		/* tapxfer_unready() */
		fence_read = true;
		fence_write = true;
		fops = true
	:: else
	fi;
#endif
	state = FROZEN
}

/* handover_end() and tapxfer_drain_start() */
inline finish(event) {
	assert(!ends);
	ends++;
	ended_by = event;
	if
	:: event != THAWED -> named = s_stale
	:: else ->
		assert(claimant);
		/* this claim's, or what was exported */
		assert(d_value == 0 || d_value == claim);
		assert(state == READY || (!s_set && d_value == 0) || d_value == s_value);
		assert(state == READY || d_queue == q_shadow)
	fi;
	parked = false;
	send_closed = false;
	sndbuf_zero = false;
	fence_read = false;
	fence_write = false;
	fops = false;
	state = DRAINING;
	claim_drop();
#ifdef DEADLINE_PUT_TWICE
	put();
	deadline_queued = false;
#else
	if
	:: deadline_queued -> deadline_queued = false; put()
	:: else
	fi;
#endif
	get();
	drain_queued = true
}

/* They are the first ones. */
#define ME		(_pid + 1)

/* ---- the claimants ---- */

/* Who claims, or is passed the claim. One that exits may claim anew: another one. */
active [PROCESSES] proctype process()
{
	bool wait;

end:	do
	/* a setter ioctl: tapxfer_shadow_set() */
	:: atomic { LOCKED && state == CLAIMED && claimant == ME -> skip };
	   /* get_arg() may stall in its memory */
	   atomic {
		LOCKED ->
		wait = s_applying;
		if
		:: !wait && state == CLAIMED && claimant == ME ->
#ifdef QUEUE
			q_shadow = !q_shadow
#else
			s_set = true;
			s_value = claim
#endif
		:: else
		fi
	   }
	   if
	   :: wait ->
#ifdef SETTERS_OUTLAST_IT
		!s_applying;
#else
		!s_applying || !(fence_read || fence_write);
#endif
		wait = false
	   :: else
	   fi
	/* the driver's own, once it is ready */
	:: atomic {
		state == READY && claimant == ME && !rtnl ->
#ifdef QUEUE
		d_queue = !d_queue
#else
		d_value = claim
#endif
	   }
	/* exit: claimant_wake() */
	:: atomic {
		alive[ME] ->
		alive[ME] = false;
		if
		:: claimant == ME && !work_queued -> get(); work_queued = true
		:: else
		fi
	   }
	od
}

/* ---- commands ---- */

/* One of tun's ioctls on one of the files, past the fence */
#ifdef IOCTL_UNDER_HO_LOCK
#define IOCTL(what)	LOCK(ho_lock); LOCK(rtnl); DRIVER(what); ho_lock = false
#else
#define IOCTL(what)	LOCK(rtnl); DRIVER(what)
#endif
#define DRIVER(what)	atomic { assert(files); what; rtnl = false }

/* tapxfer_handover_begin() */
#ifdef COMMANDS_DO_NOT_EXCLUDE
#define CAN_BEGIN(states)	(LIVE && (states))
#else
#define CAN_BEGIN(states)	(LIVE && !busy && (states))
#endif

inline begin(states) {
	atomic {
		LOCKED ->
		ok = CAN_BEGIN(states);
		busy = busy || ok
	}
}

/* tapxfer_handover_done() */
inline done() {
	atomic { LOCKED -> done_locked() }
}

inline done_locked() {
	busy = false;
#ifndef DRAIN_NOT_RESUMED
	drain_queued = drain_queued || drain_paused;
	drain_paused = false
#endif
}

/* tapxfer_hold(), tapxfer_freeze() */
inline freeze() {
	LOCK(rtnl);
	atomic {
		LOCKED ->
		ok = LIVE;
		if
		:: ok && state == PREPARED ->
			fence_read = true;
			parked = true;
			state = HOLDING
		:: else
		fi;
		check();
		rtnl = false
	}
	/* freeze_raise() */
	atomic {
		LOCKED ->
		ok = ok && LIVE;
		send_closed = send_closed || ok;
		fence_write = fence_write || ok;
		check()
	}
	if
	:: ok ->
		/* tapxfer_fence_wait() */
		if
		:: true
		:: ok = false
		fi;
		/* freeze_close() */
		if
		:: ok ->
			atomic {
				LOCKED ->
#ifndef FREEZE_DOES_NOT_LOOK_AGAIN
				ok = LIVE;
#endif
				sndbuf_zero = sndbuf_zero || ok;
				check()
			}
		:: else
		fi;
		if
		:: ok ->
			/* freeze_export(), freeze_commit() */
			IOCTL(skip);
			LOCK(rtnl);
			atomic {
				LOCKED ->
				ok = LIVE;
				state = (ok -> FROZEN : state);
				check();
				rtnl = false
			}
		:: else
		fi;
		if
		:: ok
		:: else ->
			/* freeze_undo() */
			atomic {
				LOCKED ->
				if
#ifdef UNDO_WHEN_ENDED
				:: true ->
#else
				:: LIVE ->
#endif
					send_closed = false;
					fence_write = false;
					sndbuf_zero = false;
					/* nobody is behind a fence that is gone */
					assert(LIVE)
				:: else
				fi;
				check()
			}
		fi
	:: else
	fi
}

/* tapxfer_shadow_begin() */
inline shadow_begin() {
#ifdef STALE_FORGOTTEN
	s_set = false;
#else
	s_set = s_stale;
#endif
	s_value = 0;
	q_shadow = false
}

/* tapxfer_claim_begin() */
inline claim_begin() {
	ok = LIVE && claim < CLAIMS && CALLER;
	if
	:: ok ->
		claim++;
		state = CLAIMED;
		/* who exited is not who calls */
		alive[1] = (PROCESSES == 1 || alive[1]);
		if
		:: alive[1] -> claim_watch(1)
#if PROCESSES > 1
		:: alive[2] -> claim_watch(2)
#endif
		fi;
		shadow_begin()
	:: else
	fi
}

/* tapxfer_claim_revoke() */
inline revoke() {
	atomic {
		LOCKED ->
		if
		:: claimant -> claim_end()
		:: else
		fi;
		check()
	}
	assert(files)			/* tapxfer_claim_undo() */
}

/* claim() with tapxfer_claim_commit() */
inline make_claim() {
	assert(files);				/* tapxfer_claim_files() */
	LOCK(rtnl);
	atomic {
		LOCKED ->
		claim_begin();
		check();
		rtnl = false
	}
	if
	:: ok
	:: true -> revoke()			/* no reply */
	fi
}

/* claim() with tapxfer_claim_thaw(), after tapxfer_claim_thaw_check() */
inline claim_thaw() {
	atomic {
		LOCKED ->
#ifdef CLAIM_THAW_KEEPS_SETTINGS
		ok = true
#else
		ok = !s_stale
#endif
	}
	if
	:: ok ->
		assert(files);			/* tapxfer_claim_files() */
		LOCK(rtnl);
		atomic {
			LOCKED ->
			claim_begin();
#ifdef CLAIM_THAWS_BEFORE_IT_TELLS
			if
			:: ok -> finish(THAWED)
			:: else
			fi;
#endif
			/* tapxfer_reply_send() */
			if
			:: ok -> told = true
			:: true
			fi;
#ifdef CLAIM_THAW_LETS_GO_BETWEEN
			check();
		}
		atomic {
			LOCKED ->
#endif
			if
			:: told && LIVE -> finish(THAWED)
			:: else
			fi;
			if
			:: told -> done_locked()
			:: else
			fi;
			assert(!told || ended_by == THAWED);
			check();
			rtnl = false
		}
		if
		:: told
		:: else ->
#ifndef CLAIM_THAW_NOT_REVOKED
			revoke();
#endif
			/* busy keeps out who else could */
			assert(!claimant);
			assert(told || !ends || ended_by != THAWED)
		fi
	:: else
	fi
}

/* tapxfer_claim_pass(), to the other process */
inline pass() {
	/* find_get_pid(), and it is there */
	if
	:: alive[1] -> to = 1
#if PROCESSES > 1
	:: alive[2] -> to = 2
#endif
	:: true
	fi;
	if
	:: to ->
		atomic {
			LOCKED ->
			if
			:: LIVE && claimant ->
				claim_drop();
				claim_watch(to);
#ifndef PASS_DOES_NOT_LOOK_AGAIN
				if
				:: !alive[to] -> claim_end()
				:: else
				fi;
#endif
				skip
			:: else
			fi;
			check()
		}
	:: else
	fi;
	to = 0
}

/* apply_go_on() */
inline go_on(in_state, moves) {
	LOCK(rtnl);
	atomic {
		LOCKED ->
		ok = (in_state) && !s_stop;
#ifndef MOVE_NOT_NAMED
		s_stale = s_stale || (ok && moves);
#endif
		rtnl = false
	}
}

/* What an ioctl has set in the driver */
inline set_late() {
	late = late + !LIVE;
	assert(late <= 1)
}

/* undo_queues() */
inline undo_queue() {
	if
	:: moved ->
		if
		:: true ->
			IOCTL(d_queue = !q_shadow);
			atomic { LOCKED -> s_stale = stale }
		/* the caller's memory is gone */
		:: true
		fi;
		moved = false
	:: else
	fi
}

/* tapxfer_apply() */
inline apply() {
	/* tapxfer_apply_begin() */
	atomic {
		LOCKED ->
		stale = s_stale;
		any = (s_set || s_stale || q_shadow) && state == CLAIMED;
		set = s_set;
		value = s_value;
#ifndef SETTERS_DO_NOT_WAIT
		s_applying = true
#endif
	}
	ok = true;
	if
	:: any ->
		/* apply_queues() */
		IOCTL(moved = (d_queue != q_shadow));
		if
		:: moved ->
			moved = false;
			go_on(state == CLAIMED, true);
			if
			:: ok -> IOCTL(d_queue = q_shadow; set_late()); moved = true
			/* an attach can fail */
			:: ok && !q_shadow -> ok = false; atomic { LOCKED -> s_stale = stale }
			:: else
			fi
		:: else
		fi;
		/* apply_commit() */
		if
		:: ok ->
			atomic {
				LOCKED ->
				ok = (state == CLAIMED) && !s_stop;
#ifndef APPLY_NOT_NAMED
				s_stale = s_stale || ok
#endif
			}
			if
			:: !ok -> undo_queue()
			:: else
			fi
		:: else
		fi;
		/* apply_device() */
		if
		:: ok && set ->
			go_on(state == CLAIMED, false);
			if
			:: ok -> IOCTL(d_value = value; set_late())
			/* the caller's memory is gone */
			:: ok -> ok = false
			:: else
			fi
		:: else
		fi
	:: else
	fi;
	moved = false;
	any = false;
	stale = false;
	set = false;
	value = 0
}

/* claimant_go_on(), and what is done then under the same locks */
inline claimant_go_on(is_thaw) {
	apply();
	LOCK(rtnl);
	atomic {
		LOCKED ->
#ifdef THAW_DOES_NOT_LOOK_AGAIN
		ok = ok && LIVE;
#else
		ok = ok && state == CLAIMED;
#endif
		if
		:: ok && is_thaw -> finish(THAWED)
		:: ok && !is_thaw ->
			/* tapxfer_ready() */
#ifndef READY_NOT_NAMED
			s_stale = true;
#endif
			fence_read = false;
			fence_write = false;
			fops = false;
			state = READY
		:: else
		fi;
		s_applying = false;
		check();
		rtnl = false
	}
}

/* tapxfer_thaw() */
inline thaw() {
	LOCK(rtnl);
	atomic {
		LOCKED ->
		was_ready = (state == READY);
		if
		:: was_ready -> finish(THAWED); s_applying = false
		:: else
		fi;
		check();
		rtnl = false
	}
	if
	:: was_ready -> was_ready = false
	:: else -> claimant_go_on(true)
	fi
}

/* drain_doit(): looks at the files' sockets, under no lock */
inline drain() {
	do
	:: atomic { LOCKED -> ok = LIVE };
	   if
	   :: ok -> assert(files || !LIVE)
	   :: else
	   fi;
	   assert(files)
	:: break
	od
}

active [COMMANDS] proctype command()
{
	bool ok, any, stale, set, moved, was_ready;
	byte value, to;

	do
	/* tapxfer_find() */
	:: atomic { in_table -> get() };
	   if
	   :: begin(state == PREPARED || state == HOLDING);
	      if
	      :: ok -> freeze(); done()
	      :: else
	      fi
	   :: begin(state == FROZEN);
	      if
	      :: ok -> make_claim(); done()
	      :: else
	      fi
	   :: begin(state == FROZEN);
	      if
	      :: ok ->
		claim_thaw();
		if
		:: told			/* it was done under the lock */
		:: else -> done()
		fi
	      :: else
	      fi
#ifndef ABORT
	   :: begin(state == CLAIMED || state == READY);
	      if
	      :: ok -> pass(); done()
	      :: else
	      fi
	   :: begin(state == FROZEN || state == CLAIMED);
	      if
	      :: ok -> drain(); done()
	      :: else
	      fi
#endif
	   :: begin(state == CLAIMED);
	      if
	      :: ok -> claimant_go_on(false); done()
	      :: else
	      fi
	   :: begin(state == CLAIMED || state == READY);
	      if
	      :: ok -> thaw(); done()
	      :: else
	      fi
	   fi;
	   atomic { ok = false; put() }
	:: break
	od
}

/* ---- everybody else ---- */

/* tapxfer_apply_stop() */
inline stop() {
	atomic { LOCKED -> s_stop = true }
}

#ifdef ABORT
#ifdef RESTORE_KEEPS_CLAIM
#define RESTORING	LIVE
#else
#define RESTORING	(state == FROZEN)
#endif

/* restore_begin() */
inline restore_begin() {
	atomic {
		LOCKED ->
#ifdef RESTORE_IGNORES_BUSY
		any = LIVE && s_stale;
#else
		any = LIVE && s_stale && !busy;
#endif
		if
		:: any ->
			busy = true;
#ifndef ABORT_DOES_NOT_HURRY
			hurried = true;
#endif
#ifndef RESTORE_KEEPS_CLAIM
			claim_end();
#endif
			shadow_begin();
			s_applying = true
		:: else
		fi;
		check()
	}
}

/* restore_queues(), apply_device(): the caller's memory may be gone, or stall */
inline restore() {
	failed = false;
	if
	:: true
	:: true -> failed = true
	:: true -> stuck = true; goto stalls
	fi;
	if
	:: failed
	:: else ->
		IOCTL(moved = (d_queue != q_shadow));
		if
		:: moved ->
			go_on(RESTORING, true);
			if
			:: ok -> IOCTL(d_queue = q_shadow; set_late())
			/* an attach can fail */
			:: ok && !q_shadow -> failed = true
			:: !ok -> failed = true
			fi
		:: else
		fi;
#ifdef RESTORE_DOES_NOT_LOOK
		IOCTL(d_value = 0; set_late())
#else
		go_on(RESTORING, false);
		if
		:: ok -> IOCTL(d_value = 0; set_late())
		:: else -> failed = true
		fi
#endif
	fi;
	LOCK(rtnl);
	atomic {
		LOCKED ->
		if
#ifdef RESTORE_FORGETS_FAILURE
		:: LIVE -> s_stale = false
#else
#ifndef RESTORE_STAYS_NAMED
		:: LIVE && !failed -> s_stale = false
#endif
#endif
		:: else
		fi;
		s_applying = false;
		check();
		rtnl = false
	}
}

/* end_and_tell() */
active proctype abort()
{
	bool ok, any, moved, failed;

	if
	:: atomic { in_table -> get() };
	   restore_begin();
	   if
	   :: any -> restore()
	   :: else
	   fi;
	   stop();
	   atomic {
		LOCKED ->
		if
#ifdef ABORT_WHEN_ENDED
		:: true -> finish(ENDED)
#else
		:: LIVE -> finish(ENDED); restored = any && !failed
#endif
		:: else
		fi;
		if
		:: any -> done_locked()
		:: else
		fi;
		check()
	   }
	   atomic { put() }
	:: !in_table
	fi;
stalls:	skip
}

#endif

active proctype deadline()
{
	if
#ifdef FAR
	:: atomic { deadline_queued && hurried -> deadline_queued = false };
#else
	:: atomic { deadline_queued -> deadline_queued = false };
#endif
	   stop();
	   atomic {
		LOCKED ->
		if
		:: LIVE -> finish(ENDED)
		:: else
		fi;
		check()
	   }
	   atomic { put() }
	:: !deadline_queued && (!in_table || stuck)
	fi
}

active proctype claimant_work()
{
end:	do
	:: atomic { work_queued -> work_queued = false; working = true };
	   atomic {
		LOCKED ->
		working = false;
#ifndef EXIT_KEEPS_CLAIM
		if
		:: claimant && !alive[claimant] -> claim_end()
		:: else
		fi;
#endif
		check()
	   }
	   atomic { put() }
	od
}

active proctype drainer()
{
	bool let_go, paused;

end:	do
	:: atomic { drain_queued -> drain_queued = false };
	   LOCK(rtnl);
	   atomic {
		LOCKED ->
		/* the readers have caught up, or it is over */
		if
		:: let_go = true
		:: let_go = false
		fi;
#ifndef DRAIN_IGNORES_BUSY
		paused = let_go && busy;
#endif
		drain_paused = paused;
		check();
		rtnl = false
	   }
	   if
	   :: paused -> let_go = false; paused = false
	   :: !paused && !let_go -> drain_queued = true
	   :: !paused && let_go ->
		/* tapxfer_handover_unpublish() */
		atomic {
			LOCKED ->
			assert(files);
			files = false;
			dev = false
		}
		atomic { in_table = false; put() }
		atomic { put() }
		let_go = false
	   fi
	od
}

#ifdef STACK
/* Under rtnl: a notifier asks, refuse() or tell(); or the device is deleted. */
active proctype stack()
{
	bool found;

	do
	:: atomic {
		!rtnl ->
		rtnl = true;
		found = in_table;
		if
		:: found -> get()
		:: else
		fi
	   }
	   if
	   :: found ->
		atomic { LOCKED -> check() }
	   :: found ->
		atomic {
			LOCKED ->
			if
			:: dev && LIVE -> finish(GONE)
			:: else
			fi;
			dev = false;
			check()
		}
	   :: !found
	   fi;
	   atomic {
		if
		:: found -> put()
		:: else
		fi;
		found = false;
		rtnl = false
	   }
	:: break
	od
}

#endif

/* When all is over */
active proctype judge()
{
	if
	:: freed ->
		assert(!claimant && !deadline_queued && !drain_queued && !work_queued)
	/* who stalls for ever keeps what is no longer in the way */
	:: stuck && !LIVE
	fi;
	assert(ends == 1);
	assert(ended_by == THAWED || named || (d_value == 0 && !d_queue));
#ifdef ABORT
	assert(!restored || !named)
#endif
}
