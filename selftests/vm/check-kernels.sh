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
printf '# %-28s %7s %7s %7s %7s %7s\n' kernel build sparse passed failed time \
	>"$table"
finished=
# shellcheck source=selftests/vm/result.sh
. "$here/result.sh"
trap 'finish check-kernels' EXIT
trap 'exit 1' INT TERM HUP

# no_btf CMD...: and what it says, but for this
no_btf()
{
	# BTF of a module needs the kernel's vmlinux, which headers lack.
	"$@" 2>&1 | { grep -v '^Skipping BTF generation' || true; }
}

# build KVER: the module, in three ways
build()
{
	rm -rf "$work/src" "$work/refused" "$work/tapxfer.ko"
	build=ok
	sparse=ok
	silent "$1: the module builds with W=1 without a warning" \
		no_btf "$here/mkmodule.sh" "$1" "$work/src" W=1 || build=FAILED
	cp "$work/src/kmod/tapxfer.ko" "$work/tapxfer.ko" 2>/dev/null
	silent "$1: sparse finds nothing in the module" \
		no_btf "$here/mkmodule.sh" "$1" "$work/src" C=2 || sparse=FAILED
	silent "$1: the module builds for kernels that differ" \
		no_btf "$here/mkrefused.sh" "$1" "$work/refused"
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
	# by the compiler that made it, which may have made more
	for what in tools/tapxfer tools/examples tools/lib selftests; do
		make -s -C "$copy/$what" clean CC=cc >/dev/null
	done
	# kselftest's makefiles have a compiler of their own
	check "$kver: lib, cli, examples and selftests build" \
		make -s -j"$(nproc)" -C "$copy" lib cli examples selftests CC="$CC"
	check "$kver: the kernel's own tests build" \
		"$here/mkksft.sh" "$work/ksft-arm64"
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
for what in lib cli examples selftests; do
	check "$what builds" make -s -k -j"$(nproc)" $what
done
check "the kernel's own tests build" "$here/mkksft.sh" "$work/ksft"

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
