/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Queues that are attached and detached, and settings made, when the handover ends:
 * kmod/apply.c, steps.c, netlink.c, with tun's TUNSETQUEUE.
 *
 *	mover		a ready or thaw: apply_queues(), apply_commit(),
 *			undo_queues(), apply_device(); or (RESTORE) an abort:
 *			restore_queues(), apply_device(), then as the next
 *	ender		tapxfer_deadline(), end_and_tell(): an abort
 *	claimant	exits
 *	stack (STACK)	under rtnl: the device's end, tapxfer_gone()
 *
 * The look whether to go on is under ho_lock, the driver's detach is not. That
 * waits for a grace period, then purges what a consumer can see: nothing, while
 * the ring is parked. So the look sets s_asking; and who ends it sets s_stop,
 * waits until the mover has seen that and has put back what it has moved, but for
 * a second at most, and then unparks.
 *
 * So it is with a setting, which could reach the driver when the next handover of the
 * device is frozen.
 *
 * G1, G4: no held packet is purged, unless that second was too short, or the device
 * is gone. G3: nor does a setting get to the driver when it has ended. The end
 * comes, whoever stalls, and no ring is parked then; nobody waits for the second but
 * for who stalls. A queue that is not where it was is named. If the end was asked for
 * before the commit it is put back, unless that fails: this is all that the commit
 * looks at s_stop for, packets do not need it.
 *
 * What is done under ho_lock alone is one step. All rings are parked, and each holds
 * a packet. Of time there is one thing: the second is over only while the mover is
 * kept by its memory, by who has rtnl, or by the grace period.
 *
 * holds:
 * holds: -DSTACK
 * holds: -DRESTORE
 * holds: -DRESTORE -DSTACK
 *
 * refuted: -DEND_DOES_NOT_WAIT	live || late || gone
 * refuted: -DEND_STOPS_AFTER_IT_WAITED	live || late || gone
 * refuted: -DEND_WAITS_FOR_EVER	!live
 * refuted: -DLOOK_DOES_NOT_MARK	parked || late
 * refuted: -DSETTING_DOES_NOT_MARK	live || late || gone
 * refuted: -DSETTING_DOES_NOT_CLEAR	!s_asking
 * refuted: -DLOOK_IGNORES_STOP	parked || late
 * refuted: -DCOMMIT_IGNORES_STOP	!stopped
 * refuted: -DCLEARED_BY_EACH_MOVE	parked || late
 * refuted: -DCLEARED_BEFORE_UNDO	parked || late
 * refuted: -DASKED_WAKES_NOBODY	invalid end state
 * refuted: -DUNDONE_IN_ANY_CASE	stale ||
 * refuted: -DSTACK -DGONE_WAITS	!live
 * refuted: -DRESTORE -DEND_DOES_NOT_WAIT	live || late || gone
 * refuted: -DRESTORE -DSETTING_DOES_NOT_MARK	live || late || gone
 * refuted: -DRESTORE -DRESTORE_DOES_NOT_CLEAR	!live
 */

#define QUEUES		2
#define ENDERS		2

bool rtnl;

bool live = true;
bool claimed = true;		/* ho_state is s_state */
bool parked = true;		/* r_parked, of all */
bool s_asking, s_stop;
bool stale;			/* TAPXFER_SHADOW_QUEUES in s_stale */

/* The device's queues, as they were exported, and as they shall be */
bool attached[QUEUES], exported[QUEUES], want[QUEUES];
bool gone;			/* unregistered */

bool stalling;			/* the mover */
bool late;			/* who ends it has waited for a second */
bool asleep[ENDERS + 1];
bool committed;
bool stopped;			/* the end was asked for before that */
bool helpless;			/* no memory to put back, or the driver refuses */

#define IS_BACK		(attached[0] == exported[0] && attached[1] == exported[1])
#define LOCK(l)		atomic { !l -> l = true }
#define UNLOCK(l)	l = false

/* apply_is_on() */
#define STATE		(live && claimed)
#define IS_ON		(STATE && !s_stop)

/* handover_end() */
inline finish() {
	parked = false;
	live = false
}

/* The same, but of a thaw */
inline abort() {
	if
	:: live ->
		assert(stale || IS_BACK);
		finish()
	:: else
	fi
}

/* apply_asked() */
inline asked() {
	s_asking = false;
#ifndef ASKED_WAKES_NOBODY
	asleep[0] = false;
	asleep[1] = false;
	asleep[2] = false
#endif
}

/* tapxfer_apply_stop(), and the wait of who ends it */
inline set_stop() {
	atomic {
		s_stop = true;
		stopped = stopped || (live && !committed)
	}
}

inline wait_asked(me) {
#ifdef END_DOES_NOT_WAIT
	skip
#else
	do
	:: atomic {
		if
		:: !s_asking -> break
		:: s_asking -> asleep[me] = true
		fi
	   }
	   if
	   :: !asleep[me]
#ifndef END_WAITS_FOR_EVER
	   :: atomic { s_asking && stalling -> late = true; asleep[me] = false };
	      break
#endif
	   fi
	od
#endif
}

/* tapxfer_deadline(), end_and_tell() */
inline end_it(me) {
#ifdef END_STOPS_AFTER_IT_WAITED
	wait_asked(me);
	set_stop();
#else
	set_stop();
	wait_asked(me);
#endif
	atomic { abort() }
}

/* ---- the mover ---- */

/* In the caller's memory, or for rtnl, which others keep; for ever maybe */
inline stall() {
	if
	:: true
	:: stalling = true;
	   if
	   :: stalling = false
	   :: goto for_ever
	   fi
	fi
}

/* TUNSETQUEUE; then TUNGETIFF, to see what has come of it */
inline move_queue(where) {
	stall();
	LOCK(rtnl);
	if
	:: gone || attached[i] == where
	:: !gone && !attached[i] && where
	:: !gone && !attached[i] && where -> attached[i] = true
	:: !gone && attached[i] && !where ->
		attached[i] = false;
		/* synchronize_net() */
		stalling = true;
		stalling = false;
		/* tun_queue_purge() */
		assert(parked || late)
	fi;
	UNLOCK(rtnl);
	stall()
}

#ifdef LOOK_IGNORES_STOP
#define LOOK		STATE
#else
#define LOOK		IS_ON
#endif

/* apply_queue(): ok is whether it is where it shall be */
inline apply_queue() {
	if
	:: attached[i] == want[i] -> ok = true
	:: else ->
		/* move_ask() */
		stall();
		if
		:: ok = false
		:: /* apply_go_on() */
		   stall();
		   atomic {
			!rtnl ->
			ok = LOOK;
			stale = stale || ok;
#ifndef LOOK_DOES_NOT_MARK
			s_asking = s_asking || ok
#endif
		   }
		   if
		   :: ok ->
			move_queue(want[i]);
#ifdef CLEARED_BY_EACH_MOVE
			atomic { asked() }
#endif
			d_step {
				ok = (attached[i] == want[i]);
				q_moved[i] = ok
			}
		   :: else
		   fi
		fi
	fi
}

/* apply_device(): one for all of them, ok is whether to go on */
inline apply_setting() {
	stall();
	atomic {
		!rtnl ->
		ok = IS_ON;
#ifndef SETTING_DOES_NOT_MARK
		s_asking = s_asking || ok
#endif
	}
	if
	:: ok ->
		stall();
		LOCK(rtnl);
		assert(live || late || gone);
		UNLOCK(rtnl);
		stall();
#ifndef SETTING_DOES_NOT_CLEAR
		atomic { asked() }
#endif
	:: else
	fi
}

#ifdef RESTORE

/* All that can be; what is not on any more fails each time. */
inline restore_queues() {
	do
	:: i < QUEUES ->
		apply_queue();
		failed = failed || !ok;
#ifndef RESTORE_DOES_NOT_CLEAR
		atomic { asked() }
#endif
		i++
	:: i == QUEUES -> break
	od
}

proctype mover()
{
	bool q_moved[QUEUES], ok, failed;
	byte i;

	restore_queues();
	apply_setting();
	failed = failed || !ok;
	/* tapxfer_apply_restore() */
	LOCK(rtnl);
	atomic { stale = stale && !(live && !failed) }
	UNLOCK(rtnl);
	end_it(ENDERS);
for_ever:
	skip
}

#else

inline apply_queues() {
	do
	:: i < QUEUES ->
		apply_queue();
		if
		:: ok -> i++
		:: else -> break
		fi
	:: i == QUEUES -> break
	od
}

inline undo_queues() {
	do
	:: i ->
		i--;
		if
		:: q_moved[i] ->
			/* move_ask() */
			stall();
			if
			:: helpless = true
			:: move_queue(!want[i]);
			   helpless = helpless || attached[i] == want[i]
			fi
		:: else
		fi
	:: !i -> break
	od;
	atomic {
#ifdef UNDONE_IN_ANY_CASE
		stale = false;
#else
		stale = stale && helpless;
#endif
		asked()
	}
}

#ifdef COMMIT_IGNORES_STOP
#define COMMIT		STATE
#else
#define COMMIT		IS_ON
#endif

inline apply_commit() {
	atomic {
		ok = COMMIT;
		if
		:: ok ->
			committed = true;
			stale = true;
			asked()
		:: else
#ifdef CLEARED_BEFORE_UNDO
			-> asked()
#endif
		fi
	}
}

proctype mover()
{
	bool q_moved[QUEUES], ok;
	byte i;

	apply_queues();
	if
	:: ok -> apply_commit()
	:: else
	fi;
	if
	:: !ok -> undo_queues()
	:: ok ->
		apply_setting();
		/* claimant_go_on() */
		LOCK(rtnl);
		if
		:: atomic { STATE && ok -> assert(!s_asking); finish() }
		/* it has failed; or was ready, and then others end it */
		:: true
		fi;
		UNLOCK(rtnl)
	fi;
for_ever:
	skip
}

#endif

/* ---- who ends it ---- */

proctype ender(byte me)
{
	end_it(me)
}

#ifndef RESTORE
/* claim_end() */
proctype claimant()
{
	if
	:: claimed = false
	:: true
	fi
}
#endif

#ifdef STACK
proctype stack()
{
	LOCK(rtnl);
#ifdef GONE_WAITS
	set_stop();
	wait_asked(ENDERS);
#endif
	atomic { abort() }
	/* tun_net_uninit() purges, and frees */
	assert(!parked);
	gone = true;
	UNLOCK(rtnl)
}
#endif

init {
	byte i;

	atomic {
		do
		:: i < QUEUES ->
			if
			:: exported[i] = true
			:: true
			fi;
			if
			:: want[i] = true
			:: true
			fi;
#ifdef RESTORE
			/* A claimant that was ready has moved them. */
			attached[i] = want[i];
			want[i] = exported[i];
			stale = true;
#else
			attached[i] = exported[i];
#endif
			i++
		:: else -> break
		od;
		run mover();
		run ender(0);
		run ender(1);
#ifndef RESTORE
		run claimant();
#endif
#ifdef STACK
		run stack();
#endif
		skip
	}

	/* When nothing happens any more, but for a mover that stalls for ever */
	timeout;
	assert(!live);
	assert(!parked);
#ifndef RESTORE
	assert(!stopped || stalling || helpless || gone || IS_BACK)
#endif
}
