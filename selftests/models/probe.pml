/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which device is this file? kmod/probe.c.
 *
 *	prober		probe_by_address(), or with TUN probe_by_name()
 *	thread		another of the caller's, which writes to the memory that
 *			the question and the answer are in
 *	admin		changes a device's address, or its name, under rtnl
 *
 * There are two devices, and the file is of the one or the other. The first one is
 * what the caller says. Devices of different network namespaces may have one name.
 *
 * G6: a file of another device is not taken for one of this, whatever the caller
 * writes and the admin does; and one of this is, unless the caller forges or the
 * names change. G7: no address changes by that, and nobody else's change is refused.
 *
 * holds:
 * holds: -DTUN
 *
 * refuted: -DNAME_IS_PROOF	file ==
 * refuted: -DANY_TASK_IS_NOTED	file ==
 * refuted: -DANY_TASK_IS_REFUSED	!refused
 * refuted: -DQUESTION_PASSES	!changed
 * refuted: -DTUN -DNAMES_NOT_COUNTED	file ==
 * refuted: -DTUN -DNAMESAKE_NOT_LOOKED_FOR	file ==
 */

#define THIS		1
#define OTHER		2
#define NAME_TRIES	2

bool rtnl;
byte file;			/* its device */
byte name[3];
byte names;			/* probe_names */

bool asking;			/* the prober is in probe_list */
byte noted;			/* p_dev */
byte answer;			/* the name, in the caller's memory */
bool forged;
bool changed;			/* an address, by the question */

/* tapxfer_probe_notify(): NETDEV_PRE_CHANGEADDR of @dev, from the prober or not */
inline notify(dev, prober) {
#ifdef ANY_TASK_IS_NOTED
	if
	:: asking -> noted = dev
	:: else
	fi;
	refused = prober;
#else
	if
	:: asking && prober -> noted = dev
	:: else
	fi;
#ifdef ANY_TASK_IS_REFUSED
	refused = asking;
#else
	refused = prober;
#endif
#endif
#ifdef QUESTION_PASSES
	refused = false
#endif
}

active proctype prober()
{
	bool refused, yes, tried;
	byte old, told, tries;

	d_step { name[THIS] = 1; name[OTHER] = 2 };
	if
	:: file = THIS
	:: file = OTHER
	fi;
#ifndef TUN
#ifdef NAME_IS_PROOF
	/* TUNGETIFF */
	atomic { !rtnl -> answer = name[file] };
	atomic { yes = (answer == name[THIS]); tried = true };
#else
	asking = true;
	/* SIOCSIFHWADDR: what is forged does not get as far as the question */
	if
	:: !forged ->
		atomic {
			!rtnl ->
			notify(file, true);
			changed = !refused
		}
	:: forged
	fi;
	asking = false;
	yes = (noted == THIS);
	tried = !forged;
#endif
#else
	do
	:: tries < NAME_TRIES && !tried ->
		tries++;
		old = names;
		/* show_fdinfo, into the kernel's memory */
		atomic { !rtnl -> told = name[file] };
		atomic {
			!rtnl ->
#ifndef NAMES_NOT_COUNTED
			tried = (names == old);
#else
			tried = true;
#endif
			/* probe_only() */
			yes = tried && told == name[THIS];
#ifndef NAMESAKE_NOT_LOOKED_FOR
			yes = yes && name[OTHER] != told
#endif
		}
	:: else -> break
	od;
#endif
	assert(!yes || file == THIS);
	assert(!changed);
	/* who is honest is believed */
	assert(yes || !tried || file == OTHER || name[THIS] == name[OTHER] || names)
}

active proctype thread()
{
	if
	:: atomic { answer = name[THIS]; forged = true }
	:: true
	fi
}

active proctype admin()
{
	bool refused;
	byte dev, times;

	do
	:: times < 2 ->
		times++;
		if
		:: dev = THIS
		:: dev = OTHER
		fi;
		if
#ifdef TUN
		/* Another name, then NETDEV_CHANGENAME */
		:: atomic { !rtnl -> rtnl = true };
		   if
		   :: name[dev] = 1
		   :: name[dev] = 2
		   fi;
		   names++;
		   rtnl = false
#else
		/* Another address */
		:: atomic {
			!rtnl ->
			notify(dev, false);
			assert(!refused)
		   }
#endif
		:: true
		fi
	:: else -> break
	od
}
