#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Build all, check all, boot a kernel and test all. Every check and every test
# is a line of its own; the last line is "N passed, N failed", the exit status
# says whether anything failed. Needs root for dkms (by sudo if need be).

set -uo pipefail

here=$(dirname "$(readlink -f "$0")")
top=$(readlink -f "$here/../..")
cd "$top" || exit 1

# root's helpers are in sbin, which a user's PATH may lack
PATH=$PATH:/usr/sbin:/sbin
root=
[ "$(id -u)" = 0 ] || root=sudo

work=$(mktemp -d)
totals=$work/totals
: >"$totals"
finished=

finish()
{
	local p f

	# Whatever ended this early was not a pass.
	[ -n "$finished" ] || result 1 "make check came to its end"
	dkms_clean
	read -r p f < <(awk '{ p += $1; f += $2 } END { print p + 0, f + 0 }' "$totals")
	rm -rf "$work"
	echo
	echo "$p passed, $f failed"
	# A bare exit in a trap would give the status from before the trap.
	[ "$f" = 0 ] && [ "$p" != 0 ] && exit 0
	exit 1
}
trap finish EXIT
trap 'exit 1' INT TERM HUP

# result STATUS NAME [LOG]
result()
{
	if [ "$1" = 0 ]; then
		echo "ok - $2"
		echo 1 0 >>"$totals"
	else
		echo "not ok - $2"
		[ ! -s "${3-}" ] || tail -n 40 "$3" | sed 's/^/# /'
		echo 0 1 >>"$totals"
	fi
}

# check NAME CMD...: fails by its status
check()
{
	local name=$1
	shift
	"$@" >"$work/log" 2>&1
	result $? "$name" "$work/log"
}

# silent NAME CMD...: fails by its status, or by saying anything
silent()
{
	local name=$1 rc
	shift
	"$@" >"$work/log" 2>&1
	rc=$?
	[ ! -s "$work/log" ] || rc=1
	result $rc "$name" "$work/log"
}

# host_tap NAME CMD...: a program whose TAP is judged as the machine's is
host_tap()
{
	echo "$1 300" >"$work/list"
	# shellcheck disable=SC2016 # expands in that shell
	"$here/judge" --host --list "$work/list" --totals "$totals" -- sh -c '
		echo "# vm: start"
		echo "# vm: begin $0 300"
		"$@" 2>&1
		printf "\n# vm: end $0 $?\n# vm: done\n"' "$@" </dev/null
}

head_line()
{
	printf '\n# %s (%d s)\n' "$*" "$SECONDS"
}

# kbuild OPTION...: build a copy, and tell what the compiler or sparse told
kbuild()
{
	rm -rf "$work/src"
	mkdir -p "$work/src"
	cp -r kmod include "$work/src/"
	find "$work/src" \( -name '*.o' -o -name '*.cmd' -o -name '*.ko' \) -delete
	make -s -j"$(nproc)" -C "$KDIR" M="$work/src/kmod" "$@" modules \
		>"$work/kbuild.log" 2>&1 || { cat "$work/kbuild.log"; return 1; }
	# BTF of a module needs the kernel's vmlinux, which headers lack.
	grep -v -e '^Skipping BTF generation' "$work/kbuild.log" || true
}

checkpatch()
{
	local f pl ignore rc=0

	pl=$("$here/fetch.sh" checkpatch) || return 1
	while read -r f; do
		# there is no MAINTAINERS to update
		ignore=FILE_PATH_CHANGES
		case $f in
		# the one file that knows versions; KERNEL_VERSION() is taken
		# for a constant on the wrong side
		kmod/compat.h) ignore+=,LINUX_VERSION_CODE,CONSTANT_COMPARISON ;;
		# a copy of the driver's operations, made when it is first seen
		kmod/fence.c | kmod/sendmsg.c) ignore+=,CONST_STRUCT ;;
		# TRACE_EVENT() is laid out as everywhere in the kernel
		kmod/trace.h) ignore+=,OPEN_ENDED_LINE,PARENTHESIS_ALIGNMENT ;;
		esac
		perl "$pl" --strict --no-tree --quiet --no-summary \
			--ignore "$ignore" -f "$f" || rc=1
	done < <(find kmod include -name '*.[ch]' ! -name '*.mod.c' | sort)
	return $rc
}

spec_valid()
{
	local ynl

	ynl=$("$here/fetch.sh" ynl) || return 1
	PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$ynl/tools/net/ynl /usr/bin/python3 -c '
import sys
from lib import SpecFamily
SpecFamily(sys.argv[1], sys.argv[2])' \
		Documentation/netlink/specs/tapxfer.yaml \
		"$ynl/Documentation/netlink/genetlink.yaml"
}

# What Documentation says of faults is what the tests ask for.
matrix_documented()
{
	selftests/t_matrix_device --rst >"$work/matrix.rst" || return 1
	sed -n '/^\.\. matrix: begin$/,/^\.\. matrix: end$/p' \
		Documentation/fault-matrix.rst |
		sed '1,2d; $d' | sed '$d' |
		diff -u - "$work/matrix.rst"
}

# The kernel's generator for C wants the tree that a kernel has around a spec.
spec_generates()
{
	local ynl tree=$work/spec mode kind

	ynl=$("$here/fetch.sh" ynl) || return 1
	mkdir -p "$tree/Documentation/netlink/specs" || return 1
	cp "$ynl"/Documentation/netlink/genetlink.yaml "$tree/Documentation/netlink/"
	cp Documentation/netlink/specs/tapxfer.yaml "$tree/Documentation/netlink/specs/"
	: >"$tree/MAINTAINERS"
	for mode in uapi user kernel; do
		for kind in header source; do
			[ $mode-$kind != uapi-source ] || continue
			PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 \
				"$ynl/tools/net/ynl/ynl-gen-c.py" \
				--mode $mode --$kind -o "$tree/$mode-$kind" \
				--spec "$tree/Documentation/netlink/specs/tapxfer.yaml"
			[ -s "$tree/$mode-$kind" ] || echo "no $mode $kind"
		done
	done
}

# docutils by Debian's python: another one in PATH has no docutils.
docs_valid()
{
	local f

	for f in Documentation/*.rst; do
		# shellcheck disable=SC2069 # what it complains of, and no more
		/usr/bin/python3 -m docutils --report=2 --halt=5 "$f" 2>&1 >/dev/null
	done
}

# make check-mutants takes longer than the tests; that it can run is seen here.
mutants_apply()
{
	local f rc=0

	for f in selftests/mutants/*.patch; do
		patch -p1 -F1 -f -s --dry-run <"$f" >"$work/patch.log" 2>&1 && continue
		echo "$f does not apply:"
		cat "$work/patch.log"
		rc=1
	done
	return $rc
}

# dkms itself, in the machine's own trees, unless they hold an installation
# already: then in trees of our own.
dkms_tree=/var/lib/dkms
dkms_src=/usr/src
dkms_lib=/lib/modules
dkms_args=()
dkms_installed=
dkms_indices=
dkms_setup()
{
	[ -e $dkms_tree/tapxfer ] || [ -e "$dkms_src/tapxfer-$version" ] || return 0
	dkms_tree=$work/dkms/tree
	dkms_src=$work/dkms/src
	dkms_lib=$work/dkms/lib
	mkdir -p "$dkms_tree" "$dkms_src" "$dkms_lib/$KVER"
	ln -s "$(readlink -f "$KDIR")" "$dkms_lib/$KVER/build"
	dkms_args=("DKMSFLAGS=--dkmstree $dkms_tree --sourcetree $dkms_src --installtree $dkms_lib"
		   "DKMS_SRC=$dkms_src")
}

dkms_install()
{
	# It makes modules.dep and the like, where headers alone have none.
	[ -e "/lib/modules/$KVER/modules.dep" ] || dkms_indices=1
	dkms_installed=1
	$root make dkms-install KVER="$KVER" "${dkms_args[@]}"
}

dkms_remove()
{
	local left

	dkms_installed=
	$root make dkms-remove "${dkms_args[@]}" || return 1
	left=$(find "$dkms_ko" "$dkms_tree/tapxfer" "$dkms_src/tapxfer-$version" \
		2>/dev/null)
	[ -z "$left" ] || { echo "left behind:"; echo "$left"; return 1; }
}

dkms_clean()
{
	[ -z "$dkms_installed" ] || dkms_remove >/dev/null 2>&1
	[ -z "$dkms_indices" ] || $root rm -f "/lib/modules/$KVER"/modules.*
	# root owns what is in them
	[ ! -e "$work/dkms" ] || $root rm -rf "$work/dkms"
}

head_line "packages"
"$here/deps.sh" || exit
KVER=$("$here/fetch.sh" kver)
KDIR=/lib/modules/$KVER/build
version=$(sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' dkms.conf)
for what in kernel ksft checkpatch ynl; do
	"$here/fetch.sh" $what >/dev/null || exit
done

head_line "build for $KVER"
for what in kmod lib cli selftests; do
	check "$what builds" make -k -j"$(nproc)" KDIR="$KDIR" $what
done

# The library and the command have tests of their own, which need no module.
for what in lib tapxfer; do
	if grep -q '^check:' tools/$what/Makefile; then
		head_line "tests of tools/$what"
		host_tap "tools/$what" make -s -C "tools/$what" check
	fi
done

head_line "static checks"
silent "module builds with W=1 without a warning" kbuild W=1
silent "sparse finds nothing in the module" kbuild C=2
silent "checkpatch --strict finds nothing" checkpatch
silent "YNL spec is valid by its schema" spec_valid
silent "the kernel's generator takes the spec" spec_generates
silent "syzkaller's description is complete" selftests/syzkaller/check

silent "Documentation's fault matrix is the tests'" matrix_documented
silent "the documentation is valid reStructuredText" docs_valid
silent "the mutants' patches apply" mutants_apply

head_line "the models"
host_tap models selftests/models/run

head_line "the harness"
"$here/test-harness.sh" -t "$totals"

# Two checks at once would install over each other.
head_line "dkms"
exec 8>"${TMPDIR:-/tmp}/.tapxfer-dkms.lock"
flock 8
dkms_setup
dkms_ko=$dkms_lib/$KVER/updates/dkms/tapxfer.ko
check "dkms builds and installs for $KVER" dkms_install
check "dkms put it into updates/dkms" cp "$dkms_ko" "$work/tapxfer.ko"
check "dkms remove leaves nothing behind" dkms_remove
dkms_clean
flock -u 8

head_line "tests in $KVER"
if [ -s "$work/tapxfer.ko" ]; then
	"$here/run.sh" -m "$work/tapxfer.ko" -k "$KVER" -t "$work/vm" || true
	cat "$work/vm" >>"$totals"
	[ -s "$work/vm" ]
	result $? "the tests were run and judged"
else
	result 1 "the tests were run and judged"
fi
finished=1
