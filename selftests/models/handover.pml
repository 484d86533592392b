/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One handover from its prepare to its last reference, and everybody who acts on
 * it at once: kmod/handover.c, steps.c, claim.c, shadow.c, apply.c, ready.c,
 * drain.c, notifier.c.
 *
 *	command		callers who have the token: freeze (with the hold),
 *			claim, pass, ready, thaw, drain, in any order
 *	abort		tapxfer_end(), by anyone
 *	deadline	tapxfer_deadline()
 *	claimant	setters between claim and thaw, tapxfer_shadow_set(); exit
 *	claimant_work	tapxfer_claimant_work()
 *	drainer		tapxfer_drain()
 *	stack		under rtnl: the device is deleted, tapxfer_gone(), or a
 *			notifier asks
 *
 * The locks are as in the code: rtnl, then ho_lock; tun's ioctls take rtnl. What
 * is done under ho_lock alone is one step. Commands exclude each other by busy.
 * The claimant's settings are one setting of the device's and one queue that is
 * to be detached; 0 is what was exported.
 *
 * G4: however it ends, nothing stays up or parked; and what a claimant has set
 * stays only after a thaw, or is named. G5: no lock is waited for for ever;
 * nothing is used after it was let go of, each reference is put once. G9: a thaw
 * needs a claim, and leaves no settings of another one's. One end, one event.
 *
 * holds:
 * holds: -DQUEUE
 * holds: -DCLAIMS=1 -DABORT
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
bool s_set, s_stale, s_applying;
byte s_value;
bool q_shadow;
/* the device */
byte d_value;
bool d_queue;

byte ends;
mtype ended_by;
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

/* claim_end() */
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
	   :: wait -> !s_applying; wait = false
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
	atomic {
		LOCKED ->
		busy = false;
#ifndef DRAIN_NOT_RESUMED
		drain_queued = drain_queued || drain_paused;
		drain_paused = false
#endif
	}
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

/* claim() with tapxfer_claim_commit() */
inline make_claim() {
	assert(files);				/* tapxfer_claim_files() */
	LOCK(rtnl);
	atomic {
		LOCKED ->
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
			/* tapxfer_shadow_begin() */
#ifdef STALE_FORGOTTEN
			s_set = false;
#else
			s_set = s_stale;
#endif
			s_value = 0;
			q_shadow = false
		:: else
		fi;
		check();
		rtnl = false
	}
	if
	:: ok
	:: true ->
		/* no reply: tapxfer_claim_revoke() */
		atomic {
			LOCKED ->
			if
			:: claimant -> claim_end()
			:: else
			fi;
			check()
		}
		assert(files)			/* tapxfer_claim_undo() */
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
inline go_on(moves) {
	LOCK(rtnl);
	atomic {
		LOCKED ->
		ok = (state == CLAIMED);
#ifndef MOVE_NOT_NAMED
		s_stale = s_stale || (ok && moves);
#endif
		rtnl = false
	}
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
			go_on(true);
			if
			:: ok -> IOCTL(d_queue = q_shadow); moved = true
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
				ok = (state == CLAIMED);
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
			go_on(false);
			if
			:: ok -> IOCTL(d_value = value)
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
	   :: begin(state == CLAIMED || state == READY);
	      if
	      :: ok -> pass(); done()
	      :: else
	      fi
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
	   :: begin(state == FROZEN || state == CLAIMED);
	      if
	      :: ok -> drain(); done()
	      :: else
	      fi
	   fi;
	   atomic { ok = false; put() }
	:: break
	od
}

/* ---- everybody else ---- */

#ifdef ABORT
active proctype abort()
{
	if
	:: atomic { in_table -> get() };
	   atomic {
		LOCKED ->
		if
#ifdef ABORT_WHEN_ENDED
		:: true -> finish(ENDED)
#else
		:: LIVE -> finish(ENDED)
#endif
		:: else
		fi;
		check()
	   }
	   atomic { put() }
	:: !in_table
	fi
}

#endif

active proctype deadline()
{
	if
	:: atomic { deadline_queued -> deadline_queued = false };
	   atomic {
		LOCKED ->
		if
		:: LIVE -> finish(ENDED)
		:: else
		fi;
		check()
	   }
	   atomic { put() }
	:: !deadline_queued && !in_table
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
	freed;
	assert(ends == 1);
	assert(!claimant && !deadline_queued && !drain_queued && !work_queued);
	assert(ended_by == THAWED || named || (d_value == 0 && !d_queue))
}
