/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What was exported of a device, and who would change it: kmod/steps.c, fence.c,
 * shadow.c, notifier.c, violation.c, claim.c, apply.c.
 *
 *	handover	tapxfer_freeze(), tapxfer_claim_begin(), claimant_go_on()
 *	end		an abort or the deadline, at any time
 *	holder		a setter ioctl through one of the files: fence_set(), and
 *			tapxfer_shadow_set() once the fence is up
 *	claimant	the same between claim and thaw
 *	stranger	a setter ioctl through another file of the device's, which
 *			nobody fences and nobody tells of
 *	admin		under rtnl: the mtu, which the stack asks for before, and
 *			the features, which it tells of after
 *
 * The device has one setting of each kind: what a file sets (the header's size),
 * the mtu, the features. The claimant sets the first and the last.
 *
 * G3: while it is frozen, no file of the handover's sets anything on the device,
 * but for the record in the thaw, and the mtu is what was exported. Who changes the
 * features has named that when it lets go of rtnl. What a stranger has set when
 * the claim, or the thaw, asks is named in the reply. And nobody is blamed: what is
 * named was done by somebody else than the claimant.
 *
 * The barriers between fence and count are in writers.pml; what an end does with
 * settings that were applied is in handover.pml.
 *
 * holds:
 *
 * refuted: -DSETTERS_NOT_COUNTED	!exported
 * refuted: -DFREEZE_DOES_NOT_WAIT	!exported
 * refuted: -DSHADOW_REACHES_DEVICE	!exported
 * refuted: -DANYONE_IS_CLAIMANT	by_claimant
 * refuted: -DMTU_NOT_ASKED_FOR	mtu ==
 * refuted: -DCOMMIT_WITHOUT_RTNL	mtu ==
 * refuted: -DFEATURES_NOT_LOOKED_AT	features ==
 * refuted: -DEXPORT_BEFORE_BASE	features ==
 * refuted: -DCLAIM_DOES_NOT_COMPARE	!differs
 * refuted: -DTHAW_DOES_NOT_COMPARE	!differs
 * refuted: -DTHAW_COMPARES_LATER	by_stranger
 * refuted: -DCLAIMANT_IS_BLAMED	by_admin
 */

mtype = { PREPARED, FROZEN, CLAIMED, OVER };

bool rtnl, ho_lock;
mtype state = PREPARED;		/* ho_state */
bool fence;			/* TAPXFER_FENCE_WRITE */
byte writers;			/* q_writers */
bool exported;			/* from the question to the files to the end */

/* The device, what was exported of it, and what it was at the last look */
byte hdr_sz, mtu, features;
byte e_hdr_sz, e_mtu, e_features, seen;

bool recorded;			/* ho_shadow.s_set */
bool applying;			/* s_applying */
bool setter;			/* ho_setter: what it sets is no violation */

/* ho_violated, and what has come to pass */
bool named_settings, named_features;
bool by_stranger, by_admin, by_claimant;

#define IS_FROZEN	(state == FROZEN || state == CLAIMED)
#define LOCK(l)		atomic { !l -> l = true }
#define UNLOCK(l)	l = false
/* A section of ho_lock's */
#define LOCKED		!ho_lock

/* What is true whenever rtnl is let go of */
inline check() {
	assert(!IS_FROZEN || mtu == e_mtu);
	assert(!IS_FROZEN || setter || features == e_features || named_features);
	assert(!named_settings || by_stranger);
	assert(!named_features || by_admin)
}

/* look(), under rtnl and ho_lock; @own: the task in ho_setter */
inline look(own) {
	if
#ifdef CLAIMANT_IS_BLAMED
	:: features != seen -> named_features = true
#else
	:: features != seen && !own -> named_features = true
#endif
	:: else
	fi;
	seen = features
}

/* tapxfer_violation_ask() */
inline ask() {
	atomic {
		!rtnl ->
		told = hdr_sz;
		differs = IS_FROZEN && hdr_sz != e_hdr_sz
	}
}

/* tapxfer_violation_compare() */
inline compare() {
	look(false);
	if
	:: told != e_hdr_sz -> named_settings = true
	:: else
	fi
}

active proctype handover()
{
	byte told;
	bool differs, apply;

	/* freeze_raise(), tapxfer_fence_wait() */
	atomic { LOCKED -> fence = (state == PREPARED) };
#ifndef FREEZE_DOES_NOT_WAIT
	!writers || !fence;
#endif
	/* freeze_export() */
	atomic {
		!rtnl ->
		e_hdr_sz = hdr_sz;
		exported = fence;
#ifdef EXPORT_BEFORE_BASE
		e_features = features
#endif
	}
	/* freeze_commit() */
#ifndef COMMIT_WITHOUT_RTNL
	LOCK(rtnl);
#endif
	atomic {
		LOCKED ->
		if
		:: state == PREPARED ->
			e_mtu = mtu;
#ifndef EXPORT_BEFORE_BASE
			e_features = features;
#endif
			seen = features;
			state = FROZEN;
			check()
		:: else
		fi;
#ifndef COMMIT_WITHOUT_RTNL
		rtnl = false
#endif
	}

	/* tapxfer_claim_begin() */
	ask();
	LOCK(rtnl);
	atomic {
		LOCKED ->
		if
		:: state == FROZEN ->
#ifndef CLAIM_DOES_NOT_COMPARE
			compare();
#endif
			state = CLAIMED;
			assert(!differs || named_settings);
			check()
		:: else
		fi;
		rtnl = false
	}

	/* claimant_go_on() */
	ask();
	LOCK(rtnl);
	atomic {
		LOCKED ->
		if
		:: state == CLAIMED ->
#if !defined(THAW_DOES_NOT_COMPARE) && !defined(THAW_COMPARES_LATER)
			compare();
#endif
#ifndef THAW_COMPARES_LATER
			assert(!differs || named_settings);
#endif
			assert(!recorded || by_claimant);
			applying = true;
			setter = recorded;
			apply = recorded;
			check()
		:: else
		fi;
		rtnl = false
	}
	if
	:: apply ->
		/* tapxfer_apply(): TUNSETVNETHDRSZ */
		atomic {
			!rtnl && LOCKED ->
			apply = (state == CLAIMED);
			hdr_sz = (apply -> 3 : hdr_sz)
		}
		/* TUNSETOFFLOAD: the driver changes features, the stack tells of it */
		LOCK(rtnl);
		atomic {
			LOCKED ->
			if
			:: apply && state == CLAIMED ->
				look(false);
				features = 3;
				look(true);
				check()
			:: else
			fi;
			rtnl = false
		}
	:: else
	fi;
#ifdef THAW_COMPARES_LATER
	ask();
#endif
	/* The thaw */
	LOCK(rtnl);
	atomic {
		LOCKED ->
		setter = false;
		if
		:: state == CLAIMED ->
#ifdef THAW_COMPARES_LATER
			compare();
#else
			look(false);
#endif
			assert(!named_settings || by_stranger);
			assert(!named_features || by_admin);
			state = OVER;
			exported = false;
			fence = false
		:: else
		fi;
		applying = false;
		rtnl = false
	}
}

active proctype end_of_it()
{
	if
	:: atomic {
		LOCKED ->
		exported = false;
		fence = false;
		state = OVER
	   }
	:: true
	fi
}

/* TUNSETVNETHDRSZ in the driver, by who passed the fence */
inline set_hdr_sz() {
	atomic {
		!rtnl ->
		assert(!exported);
		hdr_sz = 1
	}
}

active proctype holder()
{
	/* fence_writer_enter() */
	if
	:: atomic {
		!fence ->
#ifndef SETTERS_NOT_COUNTED
		writers++
#endif
	   };
	   set_hdr_sz();
#ifndef SETTERS_NOT_COUNTED
	   writers--
#endif
	:: fence ->
		/* tapxfer_shadow_set(): not the claimant, EBUSY */
#ifdef ANYONE_IS_CLAIMANT
		atomic {
			LOCKED ->
			recorded = recorded || (state == CLAIMED && !applying)
		}
#endif
		skip
	:: true
	fi
}

active proctype claimant()
{
	if
	:: atomic {
		LOCKED && state == CLAIMED && !applying ->
#ifdef SHADOW_REACHES_DEVICE
		assert(!exported)
#else
		recorded = true;
		by_claimant = true
#endif
	   }
	:: true
	fi
}

active proctype stranger()
{
	if
	:: atomic { !rtnl -> hdr_sz = 2; by_stranger = true }
	:: true
	fi
}

active proctype admin()
{
	bool refused;

	if
	:: /* NETDEV_PRECHANGEMTU: refuse() */
	   LOCK(rtnl);
#ifndef MTU_NOT_ASKED_FOR
	   atomic { LOCKED -> refused = IS_FROZEN };
#endif
	   if
	   :: refused
	   :: else -> atomic { mtu = 1; check() }
	   fi;
	   UNLOCK(rtnl)
	:: /* then NETDEV_FEAT_CHANGE: tell() */
	   LOCK(rtnl);
	   atomic { features = 1; by_admin = true };
	   atomic {
		LOCKED ->
#ifndef FEATURES_NOT_LOOKED_AT
		if
		:: IS_FROZEN -> look(false)
		:: else
		fi;
#endif
		check();
		rtnl = false
	   }
	:: true
	fi
}
