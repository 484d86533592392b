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
# shellcheck source=selftests/vm/result.sh
. "$here/result.sh"

# Nothing that runs here has the CPUs for itself: patience, not speed.
export VM_SCALE=${VM_SCALE:-2}

# a machine that runs beside another one: a process group
own=
trap '[ -z "$own" ] || kill -- "-$own" 2>/dev/null; dkms_clean; finish check' EXIT
trap 'exit 1' INT TERM HUP

# host_tap NAME CMD...: a program whose TAP is judged as the machine's is
host_tap()
{
	export HOST_TAP_TIMEOUT=$((300 * VM_SCALE))

	echo "$1 $HOST_TAP_TIMEOUT" >"$work/list"
	# shellcheck disable=SC2016 # expands in that shell
	"$here/judge" --host --list "$work/list" --totals "$totals" -- sh -c '
		echo "# vm: start"
		echo "# vm: begin $0 $HOST_TAP_TIMEOUT"
		"$@" 2>&1
		printf "\n# vm: end $0 $?\n# vm: done\n"' "$@" </dev/null
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
		# the same, and members' names as arguments of macros
		kmod/selftest.c)
			ignore+=,CONST_STRUCT,MACRO_ARG_REUSE,MACRO_ARG_PRECEDENCE ;;
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

# make install puts everything where GNU's variables say, make uninstall takes it
# all away.
installs()
{
	local stage=$work/stage f dirs

	dirs=(DESTDIR="$stage" prefix=/opt/x sbindir=/opt/x/bin libdir=/opt/x/lib64
	      includedir=/opt/inc mandir=/opt/man docdir=/opt/doc
	      bashcompdir=/opt/comp ynlspecdir=/opt/specs)
	make install "${dirs[@]}" >"$work/install.log" 2>&1 ||
		{ cat "$work/install.log"; return 1; }
	for f in x/bin/tapxfer x/lib64/libtapxfer.so.0 x/lib64/libtapxfer.a \
		inc/tapxfer/tapxfer.h inc/linux/tapxfer.h man/man8/tapxfer.8 \
		man/man3/tapxfer_open.3 doc/guide.rst comp/tapxfer \
		specs/tapxfer.yaml; do
		[ -s "$stage/opt/$f" ] || echo "not in /opt/$f"
	done
	grep -qx 'libdir=/opt/x/lib64' "$stage/opt/x/lib64/pkgconfig/libtapxfer.pc" ||
		echo "another libdir in libtapxfer.pc"
	find "$stage" ! -type d ! -path "$stage/opt/*"
	make uninstall "${dirs[@]}" >"$work/install.log" 2>&1 ||
		{ cat "$work/install.log"; return 1; }
	find "$stage" ! -type d
	# and those of before, in upper case
	make install DESTDIR="$stage" PREFIX=/usr LIBDIR=/usr/lib64 >"$work/install.log" 2>&1 ||
		{ cat "$work/install.log"; return 1; }
	[ -s "$stage/usr/lib64/libtapxfer.a" ] && [ -s "$stage/usr/sbin/tapxfer" ] ||
		echo "not where PREFIX and LIBDIR say"
}

# The package has the library's symbols, changelog and dkms.conf are of one version,
# and what debian/copyright says of a file is what the file says.
debian_agrees()
{
	diff <(awk '/^LIBTAPXFER_/ { node = $1; print node "@" node }
		/^\t[a-z0-9_]+;$/ { sub(";", ""); print $1 "@" node }' \
			tools/lib/libtapxfer.map | sort) \
		<(sed -n 's/^ \([^ ]*\) .*/\1/p' debian/libtapxfer0.symbols | sort)
	/usr/bin/python3 debian/check-copyright
	[ "$(sed -n '1s/.*(\(.*\)).*/\1/p' debian/changelog)" = "$version" ] ||
		echo "debian/changelog is not of version $version"
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

# The kernels that make check-kernels tests are those that dkms builds for.
dkms_serves()
{
	local kernels series

	kernels=$(sed -n 's/^BUILD_EXCLUSIVE_KERNEL="\(.*\)"$/\1/p' dkms.conf)
	while read -r series _; do
		[[ $series =~ ^[0-9] ]] || continue
		[[ $series.12-cloud-amd64 =~ $kernels ]] || echo "not $series"
	done <selftests/vm/series
	for series in 4.19.0 5.4.0 5.9.0 7.3.0 7.10.0 8.0.0; do
		[[ ! $series-cloud-amd64 =~ $kernels ]] || echo "even $series"
	done
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
for what in kmod lib cli examples man selftests; do
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
silent "the library's binary interface is as recorded" make -s -C tools/lib V=1 check-abi
silent "the manual pages have all that there is" make -s -C Documentation/man V=1 check
silent "debian/ agrees with library and module" debian_agrees
silent "make install and uninstall go by GNU's directories" installs
silent "the mutants' patches apply" mutants_apply
silent "dkms builds for the kernels that are tested" dkms_serves
check "the module builds for kernels that differ" \
	"$here/mkrefused.sh" "$KVER" "$work/refused"
check "the kernel's own tests build" "$here/mkksft.sh" "$work/ksft"

check "the benchmark's judges find what is wrong" \
	env PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 \
	selftests/bench/test_report.py -q

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

# judged FILE: what a machine's tests came to
judged()
{
	cat "$1" >>"$totals"
	[ -s "$1" ]
	result $? "the tests were run and judged"
}

# Most tests wait more than they compute, hence two machines: those of library,
# command and QEMU have one of their own, whose output comes last. Neither has the
# CPUs for itself.
head_line "tests in $KVER"
: >"$work/vm"
: >"$work/vm-own"
if [ -s "$work/tapxfer.ko" ]; then
	set -m
	"$here/run.sh" -B -m "$work/tapxfer.ko" -k "$KVER" -t "$work/vm-own" \
		-c console-own.log </dev/null >"$work/own" 2>&1 &
	own=$!
	set +m
	"$here/run.sh" -b -m "$work/tapxfer.ko" -k "$KVER" -t "$work/vm" \
		-x "$work/refused" -e "$work/ksft" || true
	wait "$own"
	own=
	cat "$work/own"
fi
judged "$work/vm"
judged "$work/vm-own"
finished=1
