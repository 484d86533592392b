/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Who else has a file, as the exclusive thaw asks: kmod/holders.c, handover.c.
 *
 *	thaw		tapxfer_holders_beside(), of the live handover
 *	drain		an earlier one of the device, which lets go: handover_let_go()
 *	late		a claim of that one, which was under way when it ended
 *	prepare		another one is begun: prepare_file(), and its failure
 *
 * A file knows how many references it has, and not whose. The thaw takes off those
 * of handovers that drain. The claimant has its descriptor all the time.
 *
 * Who thaws had the file for itself when the references were counted: nobody had a
 * descriptor, or a handover or a command that would come to one. And if nothing
 * happens meanwhile, one that drains keeps nobody from it.
 *
 * holds:
 *
 * refuted: -DPREPARING_CREDITED	!others
 * refuted: -DBUSY_CREDITED	!others
 * refuted: -DPINS_BEFORE	!others
 * refuted: -DPINS_AFTER	!others
 * refuted: -DPUT_BEFORE_CLEARED	!others
 * refuted: -DDRAINING_NOT_CREDITED	!quiet
 */

bool draining = true;	/* E, the earlier handover */
bool file_of_e = true;	/* its q_file */
bool busy_e;		/* a command of its is under way */
bool file_of_p;		/* q_file of P, which is prepared */
byte refs = 3;		/* of the file: the live one's, the claimant's, E's */
byte foreign;		/* of them, somebody else's */
bool will_claim;	/* a command that may give a descriptor to somebody */
bool quiet = true;	/* nothing has happened */

#define GET()	refs++; foreign++
#define PUT()	refs--; foreign--

/* tapxfer_handover_pins(), one read after the other */
inline pins(n) {
	n = 0;
	if
#ifndef BUSY_CREDITED
	:: draining && !busy_e -> n = n + file_of_e
#else
	:: draining -> n = n + file_of_e
#endif
	:: else
	fi;
#ifdef PREPARING_CREDITED
	n = n + file_of_p;
#endif
#ifdef DRAINING_NOT_CREDITED
	n = 0;
#endif
}

proctype thaw()
{
	byte before, after, count;
	bool others;

	pins(before);
	atomic {
		count = refs;
		others = foreign > 0 || will_claim
	}
	pins(after);
#ifdef PINS_BEFORE
	after = before;
#endif
#ifdef PINS_AFTER
	before = after;
#endif
	/* its own, and the claimant's descriptor */
	if
	:: before < after -> after = before
	:: else
	fi;
	if
	:: count - 2 <= after -> assert(!others)
	:: else -> assert(!quiet)
	fi
}

proctype drain()
{
	if
	:: true ->
		!busy_e;
		quiet = false;
#ifndef PUT_BEFORE_CLEARED
		file_of_e = false;
		refs--
#else
		refs--;
		file_of_e = false
#endif
	:: true
	fi
}

/* What began before that handover ended: it begins no more. */
proctype late()
{
	if
	:: atomic { GET(); will_claim = false }
	:: will_claim = false
	fi;
	busy_e = false
}

/* By a process that has a descriptor, and may close it at any time. */
proctype prepare()
{
	if
	:: atomic { quiet = false; GET() };
		atomic { GET() };
		file_of_p = true;
		atomic { PUT() };	/* the descriptor is closed */
		file_of_p = false;
		atomic { PUT() }
	:: true
	fi
}

init {
	atomic {
		if
		:: busy_e = true; will_claim = true; quiet = false; run late()
		:: true
		fi;
		run thaw();
		run drain();
		run prepare()
	}
}
