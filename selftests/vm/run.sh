#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Boot a kernel and run the selftests in it:
#
#	run.sh [-d] [-m MODULE.ko] [-k KVER] [-t TOTALS] [-o INITRD]
#		[-c LOG] [-l "NAME SECONDS [CASE]"]... [TEST...]
#	run.sh -n [-k KVER]	the names of all of them, as far as it can run them
#
# All tests and the demo, or those that are named (t_hold, demo.sh). -d runs the
# demo alone and ends with its verdict. Everything must be built before. -l puts
# a line into the list as it is. The kernel's log stays in out/, named console.log
# or LOG. -o boots nothing, and makes the machine's root file system alone.
#
# VM_APPEND (kernel arguments), VM_MEM and VM_SMP change the machine, VM_KEEP=1
# keeps its files. VM_SCALE=N says that it is N times slower than usual: all time
# limits are so many times longer then, those of the tests too.

set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
top=$(readlink -f "$here/../..")
demo='' ko=$top/kmod/tapxfer.ko kver='' totals='' initrd='' lines=()
log=console.log list=
while getopts dnm:k:t:o:c:l: o; do
	case $o in
	d) demo=--demo ;;
	m) ko=$OPTARG ;;
	k) kver=$OPTARG ;;
	t) totals=$OPTARG ;;
	n) list=1 ;;
	o) initrd=$OPTARG ;;
	c) log=$OPTARG ;;
	l) lines+=("$OPTARG") ;;
	*) exit 1 ;;
	esac
done
shift $((OPTIND - 1))

# wanted NAME: whether the kernel has what NAME.settings says that the test needs
wanted()
{
	local needs=

	[ ! -f "${1%.*}.settings" ] ||
		needs=$(sed -n 's/^needs=//p' "${1%.*}.settings")
	case $needs in
	'') ;;
	fault-injection)
		grep -qsx CONFIG_FAULT_INJECTION_USERCOPY=y "$kernel"/boot/config-* ;;
	*) echo "# run: $1 needs $needs?" >&2 ;;
	esac
}

# A program that was not built is in the list: it counts as failed. What the
# kernel cannot run is not: the debug kernel's list has it.
names()
{
	local f

	for f in t_*.c t_*.sh t_*.py; do
		[ ! -f "$f" ] || ! wanted "${f%.c}" || echo "${f%.c}"
	done | sort
	echo demo.sh
}
kernel=$("$here/fetch.sh" kernel "$kver")
cd "$top/selftests"
if [ -n "$list" ]; then
	names
	exit
fi

scale=${VM_SCALE:-1}
work=$(mktemp -d)
if [ -n "${VM_KEEP-}" ]; then
	echo "# files: $work"
else
	trap 'rm -rf "$work"' EXIT
fi

# Tests find the spec and the header where they are in the checkout.
spec=$top/Documentation/netlink/specs/tapxfer.yaml
stage=$work/stage
mkdir -p "$stage/usr/sbin"
for dir in lib tapxfer; do
	make -s -C "$top/tools/$dir" install DESTDIR="$stage" PREFIX=/usr \
		>"$work/install.log" 2>&1 ||
		{ cat "$work/install.log"; echo "# run: cannot install tools/$dir"; }
done
for f in Documentation/netlink/specs/tapxfer.yaml include/uapi/linux/tapxfer.h; do
	install -D -m 644 "$top/$f" "$stage/$f" || true
done

tests=$work/tests
mkdir -p "$tests/lib"
for f in t_* demo* *.sh *.py *.settings settings lib/*.sh lib/*.py; do
	case $f in *.c | *.o) continue ;; esac
	[ ! -f "$f" ] || cp "$f" "$tests/$f"
done
cp "$here"/vm_*.sh "$tests/"

# line NAME: a test with its timeout, from NAME.settings or settings
line()
{
	local secs=60 f

	for f in settings "${1%.*}.settings"; do
		[ ! -f "$f" ] || secs=$(sed -n 's/^timeout=//p' "$f")
	done
	echo "$1 $((secs * scale))"
}

{
	echo "vm_load.sh $((30 * scale))"
	if [ -n "$demo" ]; then
		line demo.sh
	elif [ $# -gt 0 ] || [ ${#lines[@]} -gt 0 ]; then
		for t; do line "$t"; done
		[ ${#lines[@]} = 0 ] || printf '%s\n' "${lines[@]}"
	else
		names | while read -r t; do line "$t"; done
	fi
	echo "vm_leaks.sh $((120 * scale))"
} >"$tests/.list"

# Python is half of it, and takes its time to unpack: only for those that use it.
ynl=
! grep -q '^t_.*\.\(sh\|py\) ' "$tests/.list" || ynl=$("$here/fetch.sh" ynl)

"$here/mkinitramfs.sh" -k "$kernel" -o "$work/initrd" -m "$ko" -r "$stage" \
	${ynl:+-y "$ynl"} -s "$spec" -t "$tests"
if [ -n "$initrd" ]; then
	mv "$work/initrd" "$initrd"
	exit
fi

# What uses memory after it is freed, or beyond its end, is told; at a price that
# the demo's packets need not pay.
[ -n "$demo" ] || export VM_APPEND="${VM_APPEND-slub_debug=FZP}"

rc=0
"$here/boot.sh" "$kernel" "$work/initrd" "$work/console.log" \
	--list "$tests/.list" ${demo:+"$demo"} ${totals:+--totals "$totals"} || rc=$?

mkdir -p "$here/out"
cp "$work/console.log" "$here/out/$log" 2>/dev/null || true
exit $rc
