/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Several handovers of one device, one after the other and overlapping:
 * kmod/prepare.c, handover.c, steps.c, drain.c.
 *
 *	prepare		prepare_dev(), prepare_commit()
 *	hold		tapxfer_hold()
 *	finish		handover_end(), by an abort or a thaw, which takes no rtnl
 *	aborter		an abort by another task, at any time
 *	drain		drain_rings(), and tapxfer_handover_unpublish()
 *	destroyer	the device is deleted: tapxfer_gone() for each handover
 *
 * Each file can be in the fence's table once, and there is one ring: whose array
 * it has, and whether that is larger than the device's length.
 *
 * At most one handover of a device is live; no ring is parked twice, or brought
 * back to its length while another handover has parked it; who was the last to park
 * it brings it back, who knows what it held, and stays until then; that one is
 * charged with it, and no other; and a device that is deleted is let go of by all, its ring unparked before
 * the driver's uninit.
 *
 * holds:
 *
 * refuted: -DPREPARE_ASKS_NOBODY	live < 2
 * refuted: -DPREPARE_WITHOUT_RTNL	live < 2
 * refuted: -DENDED_BEFORE_UNPARKED	!parked_by
 * refuted: -DDRAIN_FOR_OTHERS	!parked_by
 * refuted: -DDRAIN_BY_NOBODY	!large || deleted
 * refuted: -DDRAIN_BY_ONE_THAT_IS_PREPARED	!large || deleted
 * refuted: -DHOLD_RELIEVES_NOBODY	!charged[1 - me]
 * refuted: -DRELIEVE_BEFORE_LOCK	charged[me] || !large || !some
 * refuted: -DGONE_FORGETS_DRAINING	!dev_refs
 * refuted: -DGONE_AFTER_UNINIT	!parked_by
 */

#define HANDOVERS	2

mtype = { NEW, PREPARED, HOLDING, DRAINING };

bool rtnl;
mtype state[HANDOVERS] = NEW;
bool published[HANDOVERS];
bool has_dev[HANDOVERS];		/* ho_dev */
byte hold_nr[HANDOVERS];
byte prepared_at[HANDOVERS];		/* no matter, but for a variant */
byte now;

bool deleted;				/* the device: unregistered */
byte dev_refs;
byte hashed_by;				/* the file, in fence_files */
byte parked_by;				/* the ring */
bool large;				/* its array */
byte held_by;				/* what is in it */
bool some;				/* whether there is anything */
bool charged[HANDOVERS];		/* with that: b_held */
byte live;
byte finished;				/* processes that are done */

#define LIVE(i)		(state[i] == PREPARED || state[i] == HOLDING)
#define OTHER		(1 - me)
#define LOCK(l)		atomic { !l -> l = true }
#define UNLOCK(l)	l = false

/* tapxfer_queue_unpark() */
inline unpark() {
	atomic { parked_by = (parked_by == me + 1 -> 0 : parked_by) }
}

/* tapxfer_fence_remove() */
inline unhash() {
	atomic { hashed_by = (hashed_by == me + 1 -> 0 : hashed_by) }
}

inline ended() {
	atomic { state[me] = DRAINING; live-- }
}

/* handover_end() under ho_lock, in steps that others see who do not take it */
inline finish() {
	if
	:: LIVE(me) ->
#ifndef ENDED_BEFORE_UNPARKED
		unpark();
		unhash();
		ended()
#else
		ended();
		unhash();
		unpark()
#endif
	:: else
	fi
}

inline put_dev() {
	atomic {
		if
		:: has_dev[me] -> has_dev[me] = false; assert(dev_refs > 0); dev_refs--
		:: else
		fi
	}
}

bool ho_lock[HANDOVERS];

/* tapxfer_handover_relieve() */
inline relieve() {
	if
	:: published[OTHER] && has_dev[OTHER] && state[OTHER] == DRAINING &&
	   charged[OTHER] ->
		LOCK(ho_lock[OTHER]);
		charged[OTHER] = false;
		UNLOCK(ho_lock[OTHER])
	:: else
	fi
}

proctype handover(byte me)
{
	bool ok, done;

	/* prepare_dev() */
	LOCK(rtnl);
	atomic {
		ok = !deleted;
		published[me] = true;
		has_dev[me] = ok;
		dev_refs = dev_refs + ok
	}
	UNLOCK(rtnl);

	/* prepare_commit() */
	if
	:: ok ->
#ifndef PREPARE_WITHOUT_RTNL
		LOCK(rtnl);
#endif
		LOCK(ho_lock[me]);
		ok = has_dev[me];
#ifndef PREPARE_ASKS_NOBODY
		/* tapxfer_handover_on() */
		ok = ok && !(has_dev[OTHER] && LIVE(OTHER));
#endif
		atomic {
			if
			:: ok && hashed_by == 0 -> hashed_by = me + 1
			:: else -> ok = false
			fi
		}
		if
		:: ok ->
			atomic {
				now++;
				prepared_at[me] = now;
				state[me] = PREPARED;
				live++;
				assert(live < 2)
			}
		:: else
		fi;
		UNLOCK(ho_lock[me]);
#ifndef PREPARE_WITHOUT_RTNL
		UNLOCK(rtnl);
#endif
	:: else
	fi;

	if
	:: ok ->
		/* tapxfer_hold() */
		if
		:: LOCK(rtnl);
#ifdef RELIEVE_BEFORE_LOCK
		   relieve();
#endif
		   LOCK(ho_lock[me]);
		   if
		   :: LIVE(me) ->
#if !defined(HOLD_RELIEVES_NOBODY) && !defined(RELIEVE_BEFORE_LOCK)
			relieve();
#endif
			atomic {
				assert(!parked_by && hashed_by == me + 1);
				assert(!large || !charged[OTHER]);
				parked_by = me + 1;
				held_by = me + 1;
				if
				:: some = true
				:: some = false
				fi;
				charged[me] = some;
				large = true;
				now++;
				hold_nr[me] = now;
				state[me] = HOLDING
			}
		   :: else
		   fi;
		   UNLOCK(ho_lock[me]);
		   UNLOCK(rtnl)
		:: true
		fi;

		/* tapxfer_end() */
		LOCK(ho_lock[me]);
		finish();
		UNLOCK(ho_lock[me]);

		/* tapxfer_drain() */
		do
		:: done -> break
		:: else ->
			LOCK(rtnl);
			LOCK(ho_lock[me]);
			if
#ifndef DRAIN_FOR_OTHERS
			/* !tapxfer_handover_is_last() */
			:: published[OTHER] && has_dev[OTHER] &&
#ifndef DRAIN_BY_ONE_THAT_IS_PREPARED
			   hold_nr[OTHER] > hold_nr[me] -> done = true
#else
			   prepared_at[OTHER] > prepared_at[me] -> done = true
#endif
#endif
#ifdef DRAIN_BY_NOBODY
			:: published[OTHER] && has_dev[OTHER] -> done = true
#endif
			:: !has_dev[me] -> done = true
			:: else ->
				/* tapxfer_ring_settle(), when the readers have caught up */
				if
				:: assert(!parked_by);
				   assert(held_by == me + 1 || !large);
				   assert(charged[me] || !large || !some);
				   large = false;
				   done = true
				:: true
				fi
			fi;
			UNLOCK(ho_lock[me]);
			UNLOCK(rtnl)
		od
	:: else
	fi;

	/* tapxfer_handover_unpublish() */
	LOCK(ho_lock[me]);
	assert(held_by != me + 1 || !large || deleted);
	put_dev();
	UNLOCK(ho_lock[me]);
	published[me] = false;
	/* tapxfer_budget_release() */
	charged[me] = false;
	finished++
}

proctype aborter(byte me)
{
	LOCK(ho_lock[me]);
	finish();
	UNLOCK(ho_lock[me]);
	finished++
}

/* NETDEV_UNREGISTER, then the driver's uninit and the wait for references */
active proctype destroyer()
{
	byte me;

	if
	:: LOCK(rtnl);
	   deleted = true;
#ifdef GONE_AFTER_UNINIT
	   assert(!parked_by);
#endif
	   for (me : 0 .. HANDOVERS - 1) {
		if
		:: !published[me]
#ifdef GONE_FORGETS_DRAINING
		:: published[me] && state[me] == DRAINING
#endif
		:: else ->
			LOCK(ho_lock[me]);
			if
			:: has_dev[me] ->
				finish();
				put_dev()
			:: else
			fi;
			UNLOCK(ho_lock[me])
		fi
	   }
	   me = 0;
	   /* tun_net_uninit(): its purge has to find what was held */
	   assert(!parked_by && !hashed_by);
	   /* netdev_run_todo() need not wait for any of them */
	   assert(!dev_refs);
	   UNLOCK(rtnl)
	:: true
	fi;
	finished++
}

init {
	byte i;

	atomic {
		for (i : 0 .. HANDOVERS - 1) {
			run handover(i);
			run aborter(i)
		}
	}
	finished == 2 * HANDOVERS + 1;
	assert(!dev_refs && !live && !hashed_by && !parked_by);
	assert(!large || deleted)
}
