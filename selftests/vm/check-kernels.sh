#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Build and test for the kernels that the module is for, one after the other:
#
#	check-kernels.sh [-b] [SERIES|arm64 [TEST...]]
#
# SERIES is one of those in the file "series", arm64 the machine's own, cross-built;
# without either it is all of them. TEST names some of the tests, as for run.sh, and
# -b leaves some out, as there.
# Ends with a table, a line for each kernel, and with "N passed, N failed"; the exit
# status says whether anything failed.

set -uo pipefail

here=$(dirname "$(readlink -f "$0")")
top=$(readlink -f "$here/../..")
cd "$top" || exit 1

# debootstrap is in sbin, which a user's PATH may lack
PATH=$PATH:/usr/sbin:/sbin
# what a make that calls this was told is not for those that it calls
unset MAKEFLAGS MFLAGS MAKEOVERRIDES ARCH
brief=
if [ "${1-}" = -b ]; then
	brief=-b
	shift
fi
# "make check" and "make check-debug" have allocators look for faults, which takes
# as long again.
export VM_APPEND=${VM_APPEND-}

work=$(mktemp -d)
totals=$work/totals
table=$work/table
: >"$totals"
: >"$table"
finished=

finish()
{
	local p f

	# Whatever ended this early was not a pass.
	[ -n "$finished" ] || echo 0 1 >>"$totals"
	read -r p f < <(awk '{ p += $1; f += $2 } END { print p + 0, f + 0 }' "$totals")
	printf '\n# %-28s %7s %7s %7s %7s %7s\n' kernel build sparse passed failed time
	cat "$table"
	rm -rf "$work"
	echo
	echo "$p passed, $f failed"
	# A bare exit in a trap would give the status from before the trap.
	[ "$f" = 0 ] && [ "$p" != 0 ] && exit 0
	exit 1
}
trap finish EXIT
trap 'exit 1' INT TERM HUP

# result STATUS NAME: returns it
result()
{
	if [ "$1" = 0 ]; then
		echo "ok - $2"
		echo 1 0 >>"$totals"
	else
		echo "not ok - $2"
		tail -n 40 "$work/log" | sed 's/^/# /'
		echo 0 1 >>"$totals"
	fi
	return "$1"
}

# silent NAME CMD...: fails by its status, or by saying anything
silent()
{
	local name=$1 rc
	shift
	"$@" >"$work/out" 2>&1
	rc=$?
	# BTF of a module needs the kernel's vmlinux, which headers lack.
	grep -v -e '^Skipping BTF generation' "$work/out" >"$work/log"
	[ ! -s "$work/log" ] || rc=1
	result $rc "$name"
}

# build KVER: the module, in three ways
build()
{
	rm -rf "$work/src" "$work/refused" "$work/tapxfer.ko"
	build=ok
	sparse=ok
	silent "$1: the module builds with W=1 without a warning" \
		"$here/mkmodule.sh" "$1" "$work/src" W=1 || build=FAILED
	cp "$work/src/kmod/tapxfer.ko" "$work/tapxfer.ko" 2>/dev/null
	silent "$1: sparse finds nothing in the module" \
		"$here/mkmodule.sh" "$1" "$work/src" C=2 || sparse=FAILED
	silent "$1: the module builds for kernels that differ" \
		"$here/mkrefused.sh" "$1" "$work/refused"
}

# tests KVER TREE KSFT TEST...: those in TREE, and a line for the table
tests()
{
	local kver=$1 tree=$2 ksft=$3 p=0 f=0
	shift 3

	rm -f "$work/vm"
	[ ! -s "$work/tapxfer.ko" ] ||
		"$tree/selftests/vm/run.sh" ${brief:+-b} -m "$work/tapxfer.ko" -k "$kver" \
			-x "$work/refused" -e "$ksft" \
			-t "$work/vm" -c "console-$kver.log" "$@"
	if [ -s "$work/vm" ]; then
		read -r p f _ <"$work/vm"
		echo "$p $f" >>"$totals"
	fi
	[ -s "$work/vm" ]
	result $? "$kver: the tests were run and judged"
	printf '# %-28s %7s %7s %7d %7d %5d s\n' "$kver" "$build" "$sparse" \
		"$p" "$f" $((SECONDS - start)) >>"$table"
}

# kernel SERIES TEST...: all that is to be seen of one kernel
kernel()
{
	local series=$1 kver
	shift

	start=$SECONDS
	printf '\n# %s (%d s)\n' "$series" "$SECONDS"
	if ! kver=$("$here/fetch.sh" release "$series") || [ -z "$kver" ]; then
		result 1 "$series: there is a kernel"
		printf '# %-28s %7s\n' "$series" none >>"$table"
		return
	fi
	build "$kver"
	tests "$kver" "$top" "$work/ksft" "$@"
}

# The same for arm64, whose programs are built in a copy of the checkout.
arm64()
{
	local kver sys copy=$work/arm64

	start=$SECONDS
	printf '\n# arm64 (%d s)\n' "$SECONDS"
	if ! kver=$("$here/mksysroot.sh") || [ -z "$kver" ]; then
		result 1 "arm64: there is a kernel"
		printf '# %-28s %7s\n' arm64 none >>"$table"
		return
	fi
	sys=$("$here/fetch.sh" kernel "$kver")/sysroot
	export CC="aarch64-linux-gnu-gcc --sysroot=$sys" AR=aarch64-linux-gnu-ar
	export PKG_CONFIG_SYSROOT_DIR=$sys
	export PKG_CONFIG_LIBDIR=$sys/usr/lib/aarch64-linux-gnu/pkgconfig:$sys/usr/share/pkgconfig

	mkdir "$copy"
	cp -r Makefile dkms.conf Documentation include tools selftests "$copy/"
	rm -rf "$copy/selftests/vm/out"
	for what in tools/tapxfer tools/lib selftests; do
		make -s -C "$copy/$what" clean >/dev/null
	done
	# kselftest's makefiles have a compiler of their own
	make -s -j"$(nproc)" -C "$copy" lib cli selftests CC="$CC" \
		>"$work/log" 2>&1
	result $? "$kver: lib, cli and selftests build"
	"$here/mkksft.sh" "$work/ksft-arm64" >"$work/log" 2>&1
	result $? "$kver: the kernel's own tests build"
	build "$kver"
	tests "$kver" "$copy" "$work/ksft-arm64" "$@"
	mkdir -p "$here/out"
	cp "$copy/selftests/vm/out/"* "$here/out/" 2>/dev/null
}

arm64_pkgs="gcc-aarch64-linux-gnu qemu-system-arm"
case ${1-} in
arm64) pkgs=$arm64_pkgs ;;
'') pkgs="debootstrap $arm64_pkgs" ;;
*) pkgs=debootstrap ;;
esac
# shellcheck disable=SC2086 # a list of words
"$here/deps.sh" $pkgs || exit
for what in lib cli selftests; do
	make -s -k -j"$(nproc)" $what >"$work/log" 2>&1
	result $? "$what builds"
done
"$here/mkksft.sh" "$work/ksft" >"$work/log" 2>&1
result $? "the kernel's own tests build"

case ${1-} in
arm64)
	arm64 "${@:2}"
	;;
'')
	mapfile -t all < <(sed -n 's/^\([0-9.]*\)[[:space:]].*/\1/p' "$here/series")
	for series in "${all[@]}"; do
		kernel "$series"
	done
	arm64
	;;
*)
	kernel "$@"
	;;
esac
finished=1
