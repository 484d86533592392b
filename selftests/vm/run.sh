#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Boot a kernel and run the selftests in it:
#
#	run.sh [-d | -q | -b | -B] [-m MODULE.ko] [-k KVER] [-t TOTALS] [-o INITRD]
#		[-x DIR] [-e DIR] [-c LOG] [-l "NAME SECONDS [CASE]"]... [TEST...]
#	run.sh -n [-b | -B] [-k KVER]	the names of all of them, as far as it can run them
#
# All tests and the demo, or those that are named (t_hold, demo.sh). -d runs the
# demo alone and ends with its verdict, -q that of two QEMUs. -b leaves out those
# whose settings say kernels=own: what they test is no different in other kernels.
# -B runs just these. Everything must be built before.
#
# -l puts a line into the list as it is. The kernel's log stays in out/, named
# console.log or LOG. KVER may be a series (6.12). -x is mkrefused.sh's directory, and
# vm_load.sh sees its modules refused; -e is mkksft.sh's, whose tests are run before
# the module is loaded and after. -o boots nothing, and makes the machine's root file
# system alone.
#
# VM_APPEND (kernel arguments), VM_MEM and VM_SMP change the machine, VM_QEMU names
# other QEMUs that it shall have (qemu/versions), VM_KEEP=1 keeps its files. VM_SCALE=N
# says that it is N times slower than usual: all time limits are so many times longer
# then, those of the tests too. With VM_SLOTS=N no more than N machines run at a time.

set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
top=$(readlink -f "$here/../..")
demo='' demo_name='' ko=$top/kmod/tapxfer.ko kver='' totals='' initrd='' lines=()
log=console.log list='' part=all refused='' ksft=()
while getopts dqbBnm:k:t:o:c:l:x:e: o; do
	case $o in
	d) demo=--demo demo_name=demo.sh ;;
	q) demo=--demo=qemu-demo demo_name=qemu_demo.py ;;
	m) ko=$OPTARG ;;
	k) kver=$OPTARG ;;
	t) totals=$OPTARG ;;
	b) part=kernels ;;
	B) part=own ;;
	n) list=1 ;;
	o) initrd=$OPTARG ;;
	c) log=$OPTARG ;;
	l) lines+=("$OPTARG") ;;
	x) refused=$OPTARG ;;
	e) ksft=("$(readlink -f "$OPTARG")"/*) ;;
	*) exit 1 ;;
	esac
done
shift $((OPTIND - 1))

# wanted NAME: whether the kernel has what NAME.settings says that the test needs
wanted()
{
	local needs=

	# large programs are the machine's, which another architecture cannot run
	[ ! -d "$kernel/sysroot" ] ||
		! grep -qsE '^(tools|stage)=' "${1%.*}.settings" || return
	[ ! -f "${1%.*}.settings" ] ||
		needs=$(sed -n 's/^needs=//p' "${1%.*}.settings")
	case $needs in
	'') ;;
	fault-injection)
		grep -qsx CONFIG_FAULT_INJECTION_USERCOPY=y "$kernel"/boot/config-* ;;
	# an emulator in an emulator takes hours in one that looks for faults
	plain-kernel)
		! grep -qsE '^CONFIG_K[AC]SAN=y' "$kernel"/boot/config-* ;;
	*) echo "# run: $1 needs $needs?" >&2 ;;
	esac
}

# left_out NAME: by -b or -B
left_out()
{
	case $part in
	kernels) grep -qsx 'kernels=own' "${1%.*}.settings" ;;
	own) ! grep -qsx 'kernels=own' "${1%.*}.settings" ;;
	*) false ;;
	esac
}

# A program that was not built is in the list: it counts as failed. What the
# kernel cannot run is not, and is named on stderr: another kernel's list has it.
names()
{
	local f

	for f in t_*.c t_*.sh t_*.py; do
		if [ ! -f "$f" ] || left_out "${f%.c}"; then
			continue
		elif wanted "${f%.c}"; then
			echo "${f%.c}"
		else
			echo "# not for this kernel: ${f%.c}" >&2
		fi
	done | sort
	[ $part = own ] || echo demo.sh
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
		{ cat "$work/install.log"; echo "run: cannot install tools/$dir"; exit 1; } >&2
done
for f in Documentation/netlink/specs/tapxfer.yaml Documentation/guide.rst \
	include/uapi/linux/tapxfer.h; do
	install -D -m 644 "$top/$f" "$stage/$f" || true
done

# Without what a debugger reads they are a third of the size, which the machine has
# to unpack. Scripts, and programs for another machine, are as they are.
tests=$work/tests
mkdir -p "$tests/lib"
for f in t_* demo* qemu_demo* *.sh *.py *.settings settings lib/*.sh lib/*.py; do
	case $f in *.c | *.o) continue ;; esac
	[ ! -f "$f" ] || strip -g -o "$tests/$f" "$f" 2>/dev/null ||
		cp "$f" "$tests/$f"
done
cp "$here"/vm_*.sh "$tests/"
mkdir "$tests/examples"
for f in "$top"/tools/examples/build/*-source "$top"/tools/examples/build/*-target; do
	[ ! -x "$f" ] || cp "$f" "$tests/examples/"
done

# line NAME: a test with its timeout, from NAME.settings or settings
line()
{
	local secs=60 f

	for f in settings "${1%.*}.settings"; do
		[ ! -f "$f" ] || secs=$(sed -n 's/^timeout=//p' "$f")
	done
	echo "$1 $((secs * scale))"
}

for f in "${ksft[@]}"; do
	cp "$f" "$tests/"
	printf '#!/bin/sh\nmodprobe tun\nexec ./%s\n' "${f##*/}" \
		>"$tests/${f##*/}_before"
	chmod +x "$tests/${f##*/}_before"
done
[ -z "$refused" ] || cp "$refused"/refused_*.ko "$tests/"

{
	for f in "${ksft[@]}"; do line "${f##*/}_before"; done
	echo "vm_load.sh $((30 * scale))"
	for f in "${ksft[@]}"; do line "${f##*/}"; done
	if [ -n "$demo" ]; then
		line "$demo_name"
	elif [ $# -gt 0 ] || [ ${#lines[@]} -gt 0 ]; then
		for t; do line "$t"; done
		[ ${#lines[@]} = 0 ] || printf '%s\n' "${lines[@]}"
	else
		names | while read -r t; do line "$t"; done
	fi
	echo "vm_leaks.sh $((120 * scale))"
} >"$tests/.list"

# Tests whose settings say so run a VM of their own.
while read -r t _; do
	if grep -qsx 'stage=qemu' "${t%.*}.settings"; then
		# shellcheck disable=SC2086 # words
		../selftests/qemu/stage.sh "$kernel" "$stage" qemu_guest \
			qemu_peer ${VM_QEMU-}
		break
	fi
done <"$tests/.list"

# Python is half of it, and takes its time to unpack: only for those that use it.
ynl=
! grep -q '\.py \|^t_.*\.sh ' "$tests/.list" || ynl=$("$here/fetch.sh" ynl)

! grep -qE '^(t_)?bench' "$tests/.list" || cp bench/bench "$tests/"

# Large programs, for those alone that name them in their settings.
tools=$(while read -r t _; do
	[ ! -f "${t%.*}.settings" ] || sed -n 's/^tools=//p' "${t%.*}.settings"
done <"$tests/.list")

"$here/mkinitramfs.sh" -k "$kernel" -o "$work/initrd" -m "$ko" -r "$stage" \
	${ynl:+-y "$ynl"} ${tools:+-p "$tools"} -s "$spec" -t "$tests"
if [ -n "$initrd" ]; then
	mv "$work/initrd" "$initrd"
	exit
fi

# What uses memory after it is freed, or beyond its end, is told; at a price that
# the demo's packets need not pay, nor tests that are not of the module.
[ -n "$demo" ] || [ $part = own ] || export VM_APPEND="${VM_APPEND-slub_debug=FZP}"

rc=0
"$here/boot.sh" "$kernel" "$work/initrd" "$work/console.log" \
	--list "$tests/.list" ${demo:+"$demo"} ${totals:+--totals "$totals"} || rc=$?

mkdir -p "$here/out"
cp "$work/console.log" "$here/out/$log" 2>/dev/null || true
exit $rc
