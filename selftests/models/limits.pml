/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What handovers may take together: kmod/limits.c.
 *
 *	handover	tapxfer_budget_init() with budget_count(), then
 *			tapxfer_budget_charge() as packets come, and
 *			tapxfer_budget_release()
 *	param		a limit is lowered meanwhile: the module's parameters
 *
 * Several handovers of a user, each in a network namespace of its own or all in
 * one. What is reserved (handovers, queues, packets, arrays) is one counter an
 * account; bytes of packets that have come are another, where what is over the
 * limit is in memory and is charged all the same. Counters are atomic, and nothing
 * else is: there is no lock.
 *
 * G6: what is reserved does not exceed a limit; bytes do only by what has come and
 * nobody could refuse, one packet of each queue's, since the queue is closed then;
 * a handover that fails has taken nothing, and one that is over has given all back.
 *
 * holds:
 * holds: -DLOWERED
 *
 * refuted: -DTAKE_IN_TWO_STEPS	reserved[
 * refuted: -DFAILED_KEEPS	!reserved[
 * refuted: -DFAILED_CHARGE_KEEPS	bytes[
 * refuted: -DRELEASED_TWICE	reserved[
 * refuted: -DCHARGE_STOPS_AT_THE_LIMIT	charged >=
 * refuted: -DNOT_CLOSED	bytes[
 * refuted: -DACCOUNT_FOR_THE_REST	bytes[
 */

#define HANDOVERS	3
#define RESERVE_MAX	2	/* user_handovers, say */
#define NETNS_MAX	1	/* netns_handovers */
#define BYTES_MAX	3	/* user_bytes, without arrays */
#define NETNS_BYTES	2	/* netns_bytes */
#define CHUNK		2	/* b_chunk */

/* The user's account, and the two network namespaces' */
#define ACCOUNTS	3
#define USER		0

short reserved[ACCOUNTS];
short bytes[ACCOUNTS];
byte max = RESERVE_MAX;		/* the parameter */
byte over;

/* counter_take() with its atomic64_try_cmpxchg() */
inline take(counter, n, limit) {
#ifdef TAKE_IN_TWO_STEPS
	took = (counter + n <= limit);
	if
	:: took -> counter = counter + n
	:: else
	fi
#else
	atomic {
		took = (counter + n <= limit);
		if
		:: took -> counter = counter + n
		:: else
		fi
	}
#endif
}

/* budget_take(): both accounts or none */
inline budget_take(n) {
	take(bytes[USER], n, BYTES_MAX);
	if
	:: took ->
		take(bytes[netns], n, NETNS_BYTES);
		if
		:: took
		:: else ->
#ifndef FAILED_CHARGE_KEEPS
			bytes[USER] = bytes[USER] - n
#endif
			skip
		fi
	:: else
	fi
}

proctype handover(byte netns)
{
	bool took, closed;
	short charged, packets, need;

	/* budget_count() */
	take(reserved[USER], 1, max);
	if
	:: took ->
		take(reserved[netns], 1, NETNS_MAX);
		if
		:: took
		:: else ->
#ifndef FAILED_KEEPS
			reserved[USER] = reserved[USER] - 1
#endif
			skip
		fi
	:: else
	fi;

	if
	:: took ->
#ifndef LOWERED
		assert(reserved[USER] <= RESERVE_MAX && reserved[netns] <= NETNS_MAX);
#endif
		/* tapxfer_ring_look(): a packet, tapxfer_budget_charge() */
		do
		:: packets < 3 && !closed ->
			packets++;
			if
			:: packets <= charged
			:: else ->
				/* a chunk, or what it needs, or what it has to */
				need = packets - charged;
				budget_take(CHUNK);
				if
				:: took -> charged = charged + CHUNK
				:: else ->
					budget_take(need);
					if
					:: took
					:: else ->
#ifndef NOT_CLOSED
						closed = true;
#endif
#ifndef CHARGE_STOPS_AT_THE_LIMIT
						bytes[USER] = bytes[USER] + need;
						bytes[netns] = bytes[netns] + need
#endif
						skip
					fi;
#ifdef CHARGE_STOPS_AT_THE_LIMIT
					charged = charged + (took -> need : 0)
#else
					charged = charged + need
#endif
				fi
			fi;
			/* a packet of each queue's, of one byte */
			assert(bytes[USER] <= BYTES_MAX + RESERVE_MAX);
			assert(bytes[netns] <= NETNS_BYTES + NETNS_MAX);
			/* what is in memory is charged */
			assert(charged >= packets)
		:: break
		od;
		/* tapxfer_budget_release() */
		bytes[USER] = bytes[USER] - charged;
#ifdef ACCOUNT_FOR_THE_REST
		bytes[netns] = bytes[netns] - packets;
#else
		bytes[netns] = bytes[netns] - charged;
#endif
		reserved[USER] = reserved[USER] - 1;
#ifdef RELEASED_TWICE
		reserved[USER] = reserved[USER] - 1;
#endif
		reserved[netns] = reserved[netns] - 1
	:: else
	fi;
	atomic { over++ }
}

init {
	atomic {
		run handover(1);
		run handover(1);
		run handover(2)
	}
#ifdef LOWERED
	/* Who has more than that keeps it. */
	max = RESERVE_MAX - 1;
#endif
	over == HANDOVERS;
	assert(!reserved[USER] && !reserved[1] && !reserved[2]);
	assert(!bytes[USER] && !bytes[1] && !bytes[2])
}
