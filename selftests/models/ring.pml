/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Parking a ring: kmod/ring.c with include/linux/ptr_ring.h.
 *
 * One ring with its two locks, in small sizes. Producers are one process, since
 * producer_lock puts them in a row; their packets are numbers from 1 on. What
 * each of them does under a lock is one step: a producer and a consumer meet in
 * a slot only, and go by whether it is empty.
 *
 *	produce, consume, unconsume	ptr_ring's own, with its lazy clearing
 *	park, fold, look, unpark	tapxfer_ring_*()
 *	settle				tapxfer_ring_settle(), from the drain
 *	resize				the driver's, for a new tx queue length
 *	purge				the driver's, of a queue that is detached
 *
 * The user is a VMM: it reads the file, or has a vhost backend, which takes
 * packets out in batches and, when it is stopped, gives back what it has left.
 * After ready or the thaw it stands for the target.
 *
 * G1: nothing is seen while the ring is parked; nothing is lost, duplicated or
 * reordered; the producer drops what is past the hold, and only that.
 *
 * With STRAY a second reader passes the fence at any time, as one does that
 * sleeps in the driver since before the prepare. It takes what a backend gave
 * back. Then order and loss are what they can be, but each packet is delivered,
 * dropped or freed once and none is forgotten.
 *
 * holds:
 * holds: -DROUNDS=2 -DPACKETS=5
 * holds: -DLENGTH -DPACKETS=4
 * holds: -DTWO_BACKENDS
 * holds: -DSTRAY -DPACKETS=5
 *
 * refuted: -DNO_RESERVE	!(p && parked)
 * refuted: -DPARK_AT_SLOT_0	!(p && parked)
 * refuted: -DPARK_WITHOUT_FENCE	!(p && parked)
 * refuted: -DPARK_WITHOUT_PRODUCER_LOCK	missing
 * refuted: -DUNPARK_AFTER_FENCE	!(p && parked)
 * refuted: -DUNPARK_FORGETS_THE_TURN	gone ==
 * refuted: -DUNPARK_FORGETS_TO_REOPEN	gone ==
 * refuted: -DUNPARK_FORGETS_THE_RESERVE	gone ==
 * refuted: -DREADY_DOES_NOT_FOLD	!(p && parked)
 * refuted: -DPURGE_DOES_NOT_FOLD	!(p && parked)
 * refuted: -DLENGTH -DPACKETS=4 -DRESIZE_WHILE_PARKED	missing
 * refuted: -DLENGTH -DPACKETS=4 -DHOLD_DOES_NOT_LOOK_AT_SIZE	n >= 0
 * refuted: -DLENGTH -DPACKETS=4 -DSETTLE_LOOKS_ONCE	gone ==
 * refuted: -DSTRAY -DPACKETS=5 -DUNPARK_KEEPS_THE_RESERVE	gone ==
 */

#ifndef PACKETS
#define PACKETS		6
#endif
#ifndef ROUNDS
#define ROUNDS		1
#endif
#define LEN		2		/* tx_queue_len */
#define HOLD		3
#define LONGER		4		/* another tx_queue_len */
#ifdef TWO_BACKENDS
#define BATCH		3		/* what they have together */
#else
#define BATCH		2		/* of vhost's: VHOST_NET_BATCH */
#endif
#ifdef NO_RESERVE
#define RESERVE		0
#else
#define RESERVE		2
#endif
/* ring_init() of a ring that the round before left large, and folded */
#define SLOTS		16

/* struct ptr_ring; a slot is 0 when it is empty */
byte q[SLOTS];
short size = LEN, producer, head, tail, batch = 1;
bool producer_lock, consumer_lock;

/* struct tapxfer_ring */
byte r_slots, r_hold, r_size, r_folded;
bool parked;

bool rtnl;
byte txqlen = LEN;				/* the device's tx_queue_len */
bool fence;				/* TAPXFER_FENCE_READ */
bool fops;				/* the file has the fence's operations */
bool over;				/* nothing more will happen */

/* The user's backend */
bool attached;
byte vb[BATCH];
byte vh, vt;

/* What became of each packet, by its bit */
byte next = 1;				/* to be produced */
short gone;				/* delivered, dropped or freed */
short missing;				/* dropped or freed */
byte last;				/* delivered last */

/* Scratch: zero between steps, so that it adds no states */
byte copy[SLOTS];
short i, j, n, h;
byte p;

#define STEP(what)	d_step { what; i = 0; j = 0; n = 0; h = 0; p = 0 }

inline account(pkt, lost) {
	assert(!(gone & (1 << pkt)));		/* once */
	gone = gone | (1 << pkt);
	if
	:: lost -> missing = missing | (1 << pkt)
	:: else
	fi
}

inline deliver(pkt) {
	account(pkt, false);
#ifndef STRAY
	assert(pkt > last);			/* in order */
	for (i : last + 1 .. pkt - 1) {
		/* what is passed over was dropped */
		assert(missing & (1 << i));
	}
	last = pkt
#endif
}

/* ---- include/linux/ptr_ring.h ---- */

inline set_size(s) {
	size = s;
	batch = (size / 2 >= 2 -> 2 : 1)
}

inline consume(pkt) {
	pkt = (size -> q[head] : 0);
	if
	:: pkt ->
		j = head + 1;
		h = head;
		if
		:: j - tail >= batch || j >= size ->
			do
			:: h >= tail -> q[h] = 0; h--
			:: else -> break
			od;
			tail = j
		:: else
		fi;
		if
		:: j >= size -> j = 0; tail = 0
		:: else
		fi;
		head = j
	:: else
	fi
}

inline finish_batch() {
	for (i : tail .. head - 1) {
		q[i] = 0
	}
	tail = head
}

inline unconsume() {
	finish_batch();
	do
	:: vt > vh ->
		h = (head - 1 < 0 -> size - 1 : head - 1);
		if
		:: q[h] -> break
		:: else
		fi;
		vt--;
		q[h] = vb[vt];
		vb[vt] = 0;
		tail = h;
		head = h
	:: else -> break
	od;
	/* what there is no room for is destroyed */
	do
	:: vt > vh -> vt--; account(vb[vt], true); vb[vt] = 0
	:: else -> break
	od;
	vh = 0;
	vt = 0
}

/* ---- kmod/ring.c and slots.c ---- */

/*
 * tapxfer_slots_copy(): n packets to copy[], oldest first, or just count them; -1
 * when there are more.
 */
inline ring_copy(to, max) {
	n = 0;
	finish_batch();
	i = head;
	do
	:: q[i] && n < size ->
		if
		:: n == max -> n = -1; break
		:: else
		fi;
		copy[n] = (to -> q[i] : 0);
		n++;
		i++;
		if
		:: i >= size -> i = 0
		:: else
		fi
	:: else -> break
	od
}

/* tapxfer_slots_swap(): the n packets of copy[] from slot 0 on */
inline ring_swap(s) {
	for (i : 0 .. SLOTS - 1) {
		q[i] = (i < n -> copy[i] : 0);
		copy[i] = 0
	}
	set_size(s);
	producer = (n < size -> n : 0)
}

inline ring_fill(res) {
	res = (producer == 0 && q[0] -> size : producer)
}

/* ring_was_read() */
inline ring_was_read(res) {
	res = 0;
	if
	:: head < r_hold ->
		for (i : head .. r_hold + RESERVE - 1) {
			res = (q[i] == 0 -> 1 : res)
		}
	:: else
	fi
}

inline ring_park_copy() {
	ring_copy(true, r_slots);
	assert(n >= 0)			/* as many as the array has room for */
}

inline ring_park_swap() {
	r_hold = (n > HOLD -> n : HOLD);
	ring_swap(r_hold);
	r_size = size;
	r_folded = 0;
#ifdef PARK_AT_SLOT_0
	head = 0;
	tail = 0;
#else
	head = r_hold + RESERVE;
	tail = r_hold + RESERVE;
#endif
	parked = true
}

/* ring_look(), when the budget is exhausted: close the ring. */
inline ring_close() {
	ring_fill(n);
	if
	:: parked && head >= r_hold && r_size == r_hold && n && n != r_hold ->
		set_size(n);
		producer = 0;
		r_size = n
	:: else
	fi;
	n = 0
}

inline ring_fold() {
	j = r_hold + RESERVE - head;
	if
	:: parked && !r_folded && head >= r_hold && j > 0 ->
		ring_fill(n);
		for (i : 0 .. j - 1) {
			copy[i] = q[head + i];
			q[head + i] = 0
		}
		for (i : 0 .. n - 1) {
			copy[j + i] = q[i]
		}
		n = n + j;
		h = (r_size != r_hold);
		r_folded = j;
		r_hold = r_hold + RESERVE;
		r_size = (h -> n : r_hold);
		ring_swap(r_size);
		head = r_hold + RESERVE;
		tail = head
	:: else
	fi
}

inline ring_unpark() {
	ring_was_read(n);
#ifndef UNPARK_FORGETS_TO_REOPEN
	if
	:: r_size != r_hold && !n ->
		set_size(r_hold);
		producer = r_size;
		r_size = r_hold
	:: else
	fi;
#endif
	if
	:: n ->
#ifndef UNPARK_KEEPS_THE_RESERVE
		for (i : r_size .. r_hold + RESERVE - 1) {
			if
			:: q[i] -> account(q[i], true); q[i] = 0
			:: else
			fi
		}
#endif
		skip
	:: !n && head == r_hold + RESERVE ->
		head = 0;
		tail = 0
	:: else ->
#ifndef UNPARK_FORGETS_THE_TURN
		if
		:: producer == 0 && q[0] -> producer = r_hold
		:: else
		fi;
#endif
#ifdef UNPARK_FORGETS_THE_RESERVE
		head = 0;
		tail = 0;
#else
		set_size(r_hold + RESERVE)
#endif
	fi;
	n = 0;
	parked = false
}

/* tapxfer_ring_check() */
inline ring_check() {
	ring_copy(false, HOLD);
	ok = (n >= 0);
#ifndef HOLD_DOES_NOT_LOOK_AT_SIZE
	ok = ok && size <= r_slots
#endif
}

/* tapxfer_ring_settle(), before the allocation */
inline settle_look() {
	ring_copy(false, txqlen);
	ok = (n >= 0)
}

/* and after it */
inline settle() {
	if
	:: ok ->
		ring_copy(true, txqlen);
#ifdef SETTLE_LOOKS_ONCE
		n = (n < 0 -> txqlen : n);
#endif
		ring_take()
	:: else
	fi
}

/* Give the ring an array of txqlen slots, if the packets of copy[] fit. */
inline ring_take() {
	if
	:: n >= 0 -> ring_swap(txqlen); head = 0; tail = 0
	:: else -> forget_copy()
	fi
}

inline forget_copy() {
	for (i : 0 .. SLOTS - 1) {
		copy[i] = 0
	}
}

/* ---- what others do ---- */

inline not_parked() {
#ifndef STRAY
	assert(!(p && parked))
#else
	skip
#endif
}

inline user_read() {
	consume(p);
	not_parked();
	if
	:: p -> deliver(p)
	:: else
	fi
}

inline stray_read() {
	consume(p);
	if
	:: p -> deliver(p)
	:: else
	fi
}

/* vhost_net_buf_produce() */
inline vhost_read() {
	vh = 0;
	vt = 0;
	do
	:: vt < BATCH ->
		consume(p);
		not_parked();
		if
		:: p -> vb[vt] = p; vt++
		:: else -> break
		fi
	:: else -> break
	od
}

inline vhost_deliver() {
	deliver(vb[vh]);
	vb[vh] = 0;
	vh++;
	vt = (vh == vt -> 0 : vt);
	vh = (vt == 0 -> 0 : vh)
}

/* tun_queue_purge() frees what it finds; in a parked ring, nothing */
inline purge() {
	do
	:: true ->
		consume(p);
		not_parked();
		if
		:: p -> account(p, true)
		:: else -> break
		fi
	od
}

/* The driver's; what does not fit would be lost to the admin: not here. */
inline resize() {
	ring_copy(true, LONGER);
	txqlen = (n >= 0 -> LONGER : txqlen);
	ring_take()
}

/* ---- those who act ---- */

inline lock(l) {
	atomic { !l -> l = true }
}

/* A step under both of the ring's locks */
#define LOCKED(what)	atomic { !consumer_lock && !producer_lock -> STEP(what) }

/* tun_net_xmit(), and the stand-in for sk_data_ready */
active proctype network()
{
	do
	:: atomic {
		next <= PACKETS && !producer_lock ->
		d_step {
			if
			:: size == 0 || q[producer] ->
				/* past the hold, or the limit in bytes */
				assert(!parked || r_size < r_hold ||
				       head < r_hold ||
				       (producer == 0 && size >= HOLD));
				account(next, true)
			:: else ->
				q[producer] = next;
				producer++;
				producer = (producer >= size -> 0 : producer)
			fi;
			next++
		}
	   }
	/* tapxfer_ring_look() with a budget that is exhausted */
	:: parked && r_size == r_hold && next > 1 -> LOCKED(ring_close())
	:: next > PACKETS && over -> break
	od
}

active proctype user()
{
	do
	/* read(2): past the fence, then the driver */
	:: !attached && vh == vt && !fence ->
		atomic { !consumer_lock -> STEP(user_read()) }
	/* VHOST_NET_SET_BACKEND goes by the file's operations */
	:: atomic { !attached && !fops && !over -> attached = true }
	/* handle_rx(), which no fence keeps away */
	:: atomic { attached && vh == vt && !consumer_lock -> STEP(vhost_read()) }
	:: attached && vh < vt -> STEP(vhost_deliver())
	/* vhost_net_stop_vq() */
	:: attached -> LOCKED(unconsume(); attached = false)
	:: over && !attached && next > PACKETS && q[head] == 0 -> break
	od;
	/* each packet came out or was dropped */
	assert(gone == (1 << (PACKETS + 1)) - 2)
}

#ifdef STRAY
active proctype stray()
{
	byte times;

	do
	:: times < 2 -> times++; atomic { !consumer_lock -> STEP(stray_read()) }
	:: times == 2 || over -> break
	od
}
#endif

#ifdef LENGTH
/* A new tx queue length: the notifier is asked, then the driver resizes. */
active proctype admin()
{
	lock(rtnl);
	if
#ifndef RESIZE_WHILE_PARKED
	:: parked	/* refused */
#endif
	:: else -> LOCKED(resize())
	fi;
	rtnl = false
}
#endif

active proctype handover()
{
	byte round;
	short m;
	bool ok;

	do
	:: round < ROUNDS ->
		round++;
		/* prepare */
		d_step {
			r_slots = (size > HOLD -> size : HOLD);
			fops = true
		}
		/* hold: tapxfer_ring_check(), then the park */
		lock(rtnl);
		LOCKED(ring_check());
		if
		:: ok ->
#ifndef PARK_WITHOUT_FENCE
			fence = true;
#endif
			/* in two steps, for the locks to matter */
			atomic {
				!consumer_lock && !producer_lock ->
#ifndef PARK_WITHOUT_PRODUCER_LOCK
				producer_lock = true;
#endif
				consumer_lock = true
			}
			STEP(ring_park_copy(); m = n);
			STEP(n = m; m = 0; ring_park_swap();
			     producer_lock = false; consumer_lock = false)
		:: else
		fi;
		rtnl = false;

		if
		:: parked && !attached ->
			/* TUNSETQUEUE once the backend is stopped */
#ifndef PURGE_DOES_NOT_FOLD
			LOCKED(ring_fold());
#endif
			atomic { !consumer_lock -> STEP(purge()) }
		:: parked && !attached ->
			/* an exclusive ready: no backend of the source is left */
#ifndef READY_DOES_NOT_FOLD
			LOCKED(ring_fold());
#endif
			fence = false;
			fops = false
		:: true
		fi;

		/* the end: tapxfer_queue_unpark(), then the fence */
#ifdef UNPARK_AFTER_FENCE
		fence = false;
#endif
		if
		:: parked -> LOCKED(ring_unpark())
		:: else
		fi;
		fence = false;
		fops = false;

		/* drain: settle, or the next handover first */
		do
#ifdef LENGTH
		:: round < ROUNDS -> break
		:: size == txqlen || next > PACKETS -> break
		:: size != txqlen ->
			lock(rtnl);
			LOCKED(settle_look());
			/* memory is allocated here */
			LOCKED(settle());
			rtnl = false
#else
		:: true -> break
#endif
		od
	:: else -> break
	od;
	over = true
}
