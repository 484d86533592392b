#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Build, boot a kernel and run a test of chance in it at length:
#
#	long.sh fuzz N SEED [RUN-OPTION...]	N messages by t_fuzz, or 200000
#	long.sh race N SEED [RUN-OPTION...]	N handovers by t_race, or 10000
#
# All that is random comes from SEED, by default one that is new each time. The
# options are run.sh's. CONFIG=debug or kcsan in the environment takes such a
# kernel, of mkkernel.sh; VM_SCALE says how many times slower than usual it is. The
# last line and the exit status are the verdict.

set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
top=$(readlink -f "$here/../..")
test=$1
case $test in
# what, how many, and how many a second at the least
fuzz) of=messages n=${2:-200000} rate=20 ;;
race) of=handovers n=${2:-10000} rate=1 ;;
*) exit 1 ;;
esac
seed=${3:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
shift $(($# < 3 ? $# : 3))
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# step CMD...: or it is over
step()
{
	"$@" >"$work/log" 2>&1 && return
	cat "$work/log"
	echo "$test: FAIL ${1##*/}"
	exit 1
}

step "$here/deps.sh"
echo "# building"
kver=$("$here/fetch.sh" kver)
step make -C "$top" KDIR="/lib/modules/$kver/build"
if [ -n "${CONFIG-}" ]; then
	export VM_SCALE=${VM_SCALE:-6} VM_APPEND=${VM_APPEND-}
	step "$here/deps.sh" flex bison bc libelf-dev
	kver=$("$here/mkkernel.sh" "$CONFIG")
	step "$here/mkmodule.sh" "$kver" "$work"
	set -- -m "$work/kmod/tapxfer.ko" "$@"
fi

# What a kernel does not know of its arguments becomes init's environment.
name=${test^^}
export VM_APPEND="${VM_APPEND-slub_debug=FZP} ${name}_N=$n ${name}_SEED=$seed"
what="$n $of of seed $seed"
if "$here/run.sh" -k "$kver" -l "t_$test $((300 + n * ${VM_SCALE:-1} / rate))" "$@"; then
	echo "$test: PASS $what"
else
	echo "$test: FAIL $what"
	exit 1
fi
