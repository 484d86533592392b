#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Build, boot a kernel and run t_fuzz in it at length:
#
#	fuzz.sh N SEED [RUN-OPTION...]
#
# N messages, all that is random from SEED; by default 200000, and a seed that is
# new each time. The options are run.sh's (-k KVER -m MODULE.ko for another
# kernel), VM_SCALE says how many times slower than usual it is. The last line and
# the exit status are the verdict.

set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
top=$(readlink -f "$here/../..")
n=${1:-200000}
seed=${2:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
shift $(($# < 2 ? $# : 2))
log=$(mktemp)
trap 'rm -f "$log"' EXIT

fail()
{
	cat "$log"
	echo "fuzz: FAIL $*"
	exit 1
}

"$here/deps.sh" >&2 || fail "packages are missing"
kver=$("$here/fetch.sh" kver)
echo "# building"
make -C "$top" KDIR="/lib/modules/$kver/build" >"$log" 2>&1 || fail "does not build"

# What a kernel does not know of its arguments becomes init's environment.
export VM_APPEND="${VM_APPEND-slub_debug=FZP} FUZZ_N=$n FUZZ_SEED=$seed"
what="$n messages of seed $seed"
if "$here/run.sh" -k "$kver" -l "t_fuzz $((300 + n * ${VM_SCALE:-1} / 20))" "$@"; then
	echo "fuzz: PASS $what"
else
	echo "fuzz: FAIL $what"
	exit 1
fi
