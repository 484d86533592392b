/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Memory as several CPUs see it.
 *
 * What a CPU stores waits in a buffer of its own and gets to memory at any later
 * time, in order: the one thing that all CPUs do and that the barriers of the
 * protocols modelled here are there against (a store, then a load of what another
 * CPU stores). An atomic operation that returns nothing waits likewise, as it
 * may on arm64. Loads are not reordered among themselves.
 *
 * The includer defines CPUS, the numbers of its processes that share memory,
 * and VARS. No process loads what it has in its buffer. What is under a spinlock
 * or a wait queue's own lock and nowhere else is one atomic step.
 */

byte mem[VARS];
chan buffer[CPUS] = [4] of { byte, bool, byte };

#define LOAD(var)		mem[var]
#define STORE(cpu, var, val)	buffer[cpu]!var,false,val
/* atomic_inc() */
#define ATOMIC_INC(cpu, var)	buffer[cpu]!var,true,1
/* smp_mb(): all that was stored is in memory */
#define SMP_MB(cpu)		empty(buffer[cpu])

inline flush(cpu) {
	d_step {
		buffer[cpu]?var,add,val ->
		mem[var] = (add -> mem[var] + val : val);
		var = 0;
		add = false;
		val = 0
	}
}

active proctype memory()
{
	byte var, val;
	bool add;

end:	do
	:: flush(0)
	:: flush(1)
#if CPUS > 2
	:: flush(2)
#endif
	od
}
