/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Who begins a handover, goes on with it, and ends it: kmod/request.c, prepare.c,
 * steps.c, netlink.c.
 *
 *	owner		has the device's file, and prepares and holds: first one
 *			handover, then, when that has ended, another, which may
 *			have the same number
 *	caller		claims, thaws or aborts by number, with the token that it
 *			has: the first one's, or none
 *	opener		opens a queue of its own, TUNSETIFF
 *	admin		moves the device to another network namespace, where the
 *			owner has no capabilities; aborts there
 *
 * What is asked for is looked at first and done later, and in between the handover
 * may have ended, the number be another one's, a queue be opened and the device be
 * moved.
 *
 * G6: only who has a handover's token claims and thaws it, and nobody ends it but
 * with the token, or with power over the device as it is then. There is one claim at
 * a time. A handover has all of its device's queues when it parks them, and has
 * limits above the default only where its owner may.
 *
 * That the claim is the claimant's until it exits is in handover.pml, and that it
 * alone sets something in frozen.pml.
 *
 * holds:
 *
 * refuted: -DTOKEN_NOT_ASKED_FOR	shown ==
 * refuted: -DTOKEN_THEN_NUMBER	shown ==
 * refuted: -DABORT_BY_NUMBER	shown ==
 * refuted: -DABORT_BY_ANY_ADMIN	netns !=
 * refuted: -DSTATE_WITHOUT_LOCK	!claimed
 * refuted: -DPREPARE_DOES_NOT_COUNT	queues ==
 * refuted: -DHOLD_DOES_NOT_COUNT	queues ==
 * refuted: -DPREPARE_DOES_NOT_LOOK_AT_NETNS	!above
 */

#define HANDOVERS	2
#define HOME		0	/* the network namespace where the owner is admin */

mtype = { NEW, PREPARED, FROZEN, CLAIMED, OVER };

bool rtnl;
bool netns = HOME;		/* the device's, at HOME or not */
byte queues = 1;		/* its queues, of which the owner has one */

mtype state[HANDOVERS] = NEW;
bool busy[HANDOVERS];
bool claimed[HANDOVERS];	/* by somebody */
byte number;			/* in the table: which handover has it, 0: none */

#define LOCK(l)		atomic { !l -> l = true }
#define UNLOCK(l)	l = false
#define LIVE(i)		(state[i] != NEW && state[i] != OVER)

/* tapxfer_prepare(), tapxfer_hold(), for number i */
inline hand_over(i) {
	/* tapxfer_request_new(): what it may ask for */
	LOCK(rtnl);
	above = (netns == HOME);
	UNLOCK(rtnl);
	/* prepare_commit() */
	LOCK(rtnl);
#ifdef PREPARE_DOES_NOT_COUNT
	ok = true;
#else
	ok = (queues == 1);
#endif
#ifndef PREPARE_DOES_NOT_LOOK_AT_NETNS
	ok = ok && above == (netns == HOME);
#endif
	atomic {
		if
		:: ok ->
			assert(queues == 1);
			assert(!above || netns == HOME);
			state[i] = PREPARED;
			number = i + 1
		:: else
		fi
	}
	UNLOCK(rtnl);
	if
	:: ok ->
		/* tapxfer_hold(), and the freeze */
		LOCK(rtnl);
		atomic {
			if
#ifdef HOLD_DOES_NOT_COUNT
			:: LIVE(i) ->
#else
			:: LIVE(i) && queues == 1 ->
#endif
				assert(queues == 1);
				state[i] = FROZEN
			:: else
			fi
		}
		UNLOCK(rtnl);
		/* The owner's own abort, or the deadline, some time */
		if
		:: state[i] = OVER
		:: state[i] == OVER
		fi;
		number = 0
	:: else
	fi
}

active proctype owner()
{
	bool above, ok;

	hand_over(0);
	hand_over(1)
}

/* tapxfer_request_find(): the handover, and its token */
inline find() {
	atomic { number -> i = number - 1 };
	ok = (shown == i + 1);
#ifdef TOKEN_NOT_ASKED_FOR
	ok = true;
#endif
#ifdef TOKEN_THEN_NUMBER
	/* looked up once more by its number */
	i = (number -> number - 1 : i)
#endif
}

/* Has the token of handover 0, or shows none that is right. */
proctype caller(byte shown)
{
	bool ok;
	byte i;

end:	do
	:: find();
	   if
	   :: ok ->
		/* tapxfer_handover_begin() */
#ifdef STATE_WITHOUT_LOCK
		ok = (state[i] == FROZEN);
		atomic {
#else
		atomic {
			ok = (state[i] == FROZEN && !busy[i]);
#endif
			busy[i] = busy[i] || ok
		}
		if
		:: ok ->
			/* claim */
			atomic {
				if
#ifdef STATE_WITHOUT_LOCK
				:: LIVE(i) ->
#else
				:: state[i] == FROZEN ->
#endif
					assert(shown == i + 1);
					assert(!claimed[i]);
					claimed[i] = true;
					state[i] = CLAIMED
				:: else
				fi
			}
			busy[i] = false;
			/* and thaw; or it exits */
			atomic {
				if
				:: state[i] == CLAIMED ->
					claimed[i] = false;
					state[i] = OVER
				:: state[i] == CLAIMED ->
					claimed[i] = false;
					state[i] = FROZEN
				:: else
				fi
			}
		:: else
		fi
	   :: else
	   fi;
	   atomic { i = 0; ok = false }
	/* abort, by the same token */
	:: find();
#ifdef ABORT_BY_NUMBER
	   ok = true;
#endif
	   if
	   :: ok ->
		atomic {
			if
			:: LIVE(i) ->
				assert(shown == i + 1);
				claimed[i] = false;
				state[i] = OVER
			:: else
			fi
		}
	   :: else
	   fi;
	   atomic { i = 0; ok = false }
	od
}

active proctype opener()
{
	if
	:: atomic { !rtnl -> queues++ }
	:: true
	fi
}

/* Of where the device is moved to, and not of HOME */
active proctype admin()
{
	byte i;

	if
	:: atomic { !rtnl -> netns = !HOME }
	:: true
	fi;
	if
	:: atomic { number -> i = number - 1 };
	   /* tapxfer_request_check_abort() */
	   atomic {
		if
#ifdef ABORT_BY_ANY_ADMIN
		:: LIVE(i) ->
#else
		:: LIVE(i) && netns != HOME ->
#endif
			assert(netns != HOME);
			claimed[i] = false;
			state[i] = OVER
		:: else
		fi
	   }
	:: true
	fi
}

init {
	atomic {
		run caller(1);
		run caller(1);
		run caller(0)
	}
}
