#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Build, boot a plain kernel, measure in it, and tell what came of it:
#
#	bench.sh [-h] [MEASUREMENT...]
#
# All measurements, or some: blackout loss after scale memory trace. -h is for the
# running kernel, as root, with the module installed and all built before: nothing is
# installed or built then. N in the environment is the number of handovers (200).
# BENCH_OUT is where tables, CSV, JSON and figures go. With PUBLISH=1 those that are
# short are copied to Documentation/bench, whatever the verdicts. The last lines and
# the exit status are the verdicts.

set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
top=$(readlink -f "$here/../..")
n=${N:-200}
host=
if [ "${1-}" = -h ]; then
	host=1
	shift
fi
[ $# -gt 0 ] || set -- blackout loss after scale memory trace
out=${BENCH_OUT:-$here/out/bench}
log=$out/log
# what a machine that hangs may take at most, of each measurement
secs=$((3600 * ${VM_SCALE:-1}))

fail()
{
	echo "bench: FAIL $*"
	exit 1
}

# build CMD...: its output only if it fails
build()
{
	"$@" >"$out/build.log" 2>&1 || {
		tail -n 40 "$out/build.log"
		fail "does not build"
	}
}

# What an earlier run has left must not be taken for this one's.
mkdir -p "$out"
rm -f "$out"/{*.csv,*.svg,report.txt,targets.json,bench.json,log,build.log}

bench=$top/selftests/bench/bench
host_ready()
{
	local cmd

	[ "$(id -u)" = 0 ] || fail "HOST=1 takes root"
	for cmd in python3 ip bridge modprobe timeout; do
		command -v "$cmd" >/dev/null || fail "$cmd is missing"
	done
	if [ ! -x "$bench" ] || [ -n "$(find "$top"/selftests/{bench,lib} \
		"$top/tools/lib" -name '*.[ch]' -newer "$bench")" ]; then
		fail "the benchmark is not built: make lib selftests, as a user"
	fi
	modprobe -a tapxfer bridge dummy sch_plug ||
		fail "modules are missing: tapxfer, bridge, dummy, sch_plug"
	[ "$(cat /sys/module/tapxfer/refcnt)" = 0 ] ||
		fail "there are handovers, wait for their end"
}

# measure: every line of the benchmark's on standard output
if [ -n "$host" ]; then
	host_ready
	measure()
	{
		local part rc=0

		for part; do
			timeout --foreground -k 60 "$secs" "$bench" -n "$n" "$part" || rc=1
		done
		return $rc
	}
else
	build "$here/deps.sh"
	kver=$("$here/fetch.sh" kver)
	build make -C "$top" KDIR="/lib/modules/$kver/build"
	measure()
	{
		local lines=() part

		for part; do
			lines+=(-l "bench $secs $part")
		done
		# Grace periods of RCU take as long as elsewhere, and no allocator
		# looks for faults.
		VM_APPEND="rcupdate.rcu_expedited=0 BENCH_N=$n" \
			"$here/run.sh" -k "$kver" -c bench.log "${lines[@]}"
	}
fi

rc=0
measure "$@" >"$log" || rc=$?
[ "$rc" = 0 ] || grep -v '^@' "$log" | tail -n 20
/usr/bin/python3 "$top/selftests/bench/report.py" "$log" "$out" "$@" \
	>"$out/report.txt" || rc=$?
cat "$out/report.txt"
if [ -n "${PUBLISH-}" ]; then
	mkdir -p "$top/Documentation/bench"
	rm -f "$top"/Documentation/bench/*
	for f in "$out"/{*.svg,report.txt,targets.json,summary.csv,loss.csv,scale.csv,memory.csv}; do
		[ ! -f "$f" ] || cp "$f" "$top/Documentation/bench/"
	done
fi
exit "$rc"
