#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Run all tests in a kernel that is built to find faults. Its log has to be
# silent, which "kernel: clean" says; the last line is "N passed, N failed", the
# exit status says whether anything failed.
#
#	check-debug.sh [-c CONFIG] [TEST...]
#
# CONFIG is debug (debug.config) or kcsan (kcsan.config), TEST names some of the
# tests, as for run.sh.

set -uo pipefail

here=$(dirname "$(readlink -f "$0")")
top=$(readlink -f "$here/../..")
cd "$top" || exit 1

# This much slower is the machine than with Debian's kernel, at most: it makes
# nothing wait that comes sooner.
export VM_SCALE=${VM_SCALE:-6}
# KASAN does more than SLUB's own poison and red zones could.
export VM_APPEND=${VM_APPEND-}

config=debug
while getopts c: o; do
	case $o in
	c) config=$OPTARG ;;
	*) exit 1 ;;
	esac
done
shift $((OPTIND - 1))

work=$(mktemp -d)
totals=$work/totals
: >"$totals"
finished=

finish()
{
	local p f r

	trap '' INT TERM HUP
	# a machine is a process group of its own, qemu and all
	for p in $(jobs -p); do kill -- "-$p"; done 2>/dev/null
	# Whatever ended this early was not a pass, and told nothing of the kernel.
	[ -n "$finished" ] || echo 0 1 1 >>"$totals"
	read -r p f r < <(awk '{ p += $1; f += $2; r += $3 }
		END { print p + 0, f + 0, r + 0 }' "$totals")
	rm -rf "$work"
	echo
	[ "$r" = 0 ] && echo "kernel: clean" || echo "kernel: $r reports"
	echo "$p passed, $f failed"
	# A bare exit in a trap would give the status from before the trap.
	[ "$f" = 0 ] && [ "$p" != 0 ] && exit 0
	exit 1
}
trap finish EXIT
trap 'exit 1' INT TERM HUP

# step NAME CMD...: or it is over
step()
{
	local name=$1
	shift
	if "$@" >"$work/log" 2>&1; then
		echo "ok - $name"
		echo 1 0 0 >>"$totals"
	else
		echo "not ok - $name"
		tail -n 40 "$work/log" | sed 's/^/# /'
		exit
	fi
}

"$here/deps.sh" flex bison bc libelf-dev || exit

echo "# the $config kernel"
kver=$("$here/mkkernel.sh" "$config") || exit
echo "# $kver ($SECONDS s)"

step "the module builds for it" "$here/mkmodule.sh" "$kver" "$work/src"
for what in lib cli examples selftests; do
	step "$what builds" make -j"$(nproc)" $what
done

# The tests are dealt to machines, and these run two at a time where there is
# memory for two: most tests keep one CPU busy.
machines=4
if [ $# -gt 0 ]; then
	machines=1
else
	# shellcheck disable=SC2046 # words
	set -- $("$here/run.sh" -n -k "$kver")
fi
jobs=$(awk '/^MemAvailable:/ { print ($2 > 8000000) + 1 }' /proc/meminfo)

# machine NUMBER TEST...: its output is a file until it is done
machine()
{
	local n=$1
	shift

	"$here/run.sh" -m "$work/src/kmod/tapxfer.ko" -k "$kver" \
		-c "console-$config-$n.log" -t "$work/vm.$n" "$@" \
		>"$work/out.$n" 2>&1 </dev/null
	if [ ! -s "$work/vm.$n" ]; then
		echo "not ok - the tests were run and judged" >>"$work/out.$n"
		echo 0 1 1 >"$work/vm.$n"
	fi
	mv "$work/out.$n" "$work/done.$n"
}

# What is done, as it gets done.
show()
{
	local f

	for f in "$work"/done.*; do
		[ -f "$f" ] || continue
		echo "# machine ${f##*.} ($SECONDS s)"
		cat "$f"
		cat "$work/vm.${f##*.}" >>"$totals"
		rm "$f"
	done
}

echo "# tests in $kver, by $machines machines, $jobs at a time ($SECONDS s)"
for n in $(seq $machines); do
	mine=()
	i=0
	for t; do
		i=$((i + 1))
		[ $((i % machines + 1)) != "$n" ] || mine+=("$t")
	done
	set -m
	machine "$n" "${mine[@]}" &
	set +m
	if [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; then
		wait -n
		show
	fi
done
wait
show
finished=1
