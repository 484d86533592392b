#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Fetch what the tests need of Debian's kernels into a cache outside of the
# checkout, and print where it is:
#
#	fetch.sh kernel [KVER]	a kernel image's tree: boot/, lib/modules/KVER/;
#				KVER may be a series as well
#	fetch.sh source		the archive of the whole 6.1 source
#	fetch.sh ksft		kselftest's headers and lib.mk
#	fetch.sh net		the kernel's own tests of its network
#	fetch.sh checkpatch	checkpatch.pl and its word lists
#	fetch.sh ynl		tools/net/ynl and Documentation/netlink
#	fetch.sh kver		the newest installed 6.1 cloud headers' release
#	fetch.sh release SERIES	the release of the kernel that a series ("series")
#				is tested with: 6.1 is kver, others mkbuildroot.sh has
#	fetch.sh qemu VERSION	a QEMU of the list qemu/versions, with its libraries
#				and firmware: what is / for it
#
# Nothing is installed and apt's own sources and lists are left alone. What is
# in the cache already is not looked at again, so no network is needed then.

set -euo pipefail

# depmod and modprobe are in sbin, which a user's PATH may lack
PATH=$PATH:/usr/sbin:/sbin

here=$(dirname "$(readlink -f "$0")")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/tapxfer
mirror=${TAPXFER_MIRROR:-http://deb.debian.org/debian}
tmp=

die()
{
	echo "fetch: $*" >&2
	exit 1
}

# One fetcher at a time; who waited finds the work done.
lock()
{
	mkdir -p "$cache"
	exec 9>"$cache/.lock"
	flock 9
	tmp=$(mktemp -d "$cache/.tmp.XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
}

# A reader never sees half of an entry.
publish()
{
	mkdir -p "$(dirname "$cache/$2")"
	mv -T "$1" "$cache/$2"
}

# apt drops its privileges to a user that cannot write to the cache.
apt()
{
	apt-get -q -o APT::Sandbox::User=root "$@" >"$tmp/log" 2>&1
}

# download PACKAGE[=VERSION] [OPTIONS]: leave the .deb in $tmp
download()
{
	(cd "$tmp" && apt "${@:2}" download "$1")
}

kver()
{
	local d

	for d in /lib/modules/6.1.*-cloud-amd64/build; do
		[ ! -e "$d/Makefile" ] || basename "$(dirname "$d")"
	done | sort -V | tail -n 1
}

# What the machine has headers of needs no root file system of its own.
release()
{
	case $1 in
	6.1) kver ;;
	*) "$here/mkbuildroot.sh" "$1" ;;
	esac
}

# The image has to be the one that the headers are of: same release, and same
# package version when the archive still has it.
fetch_kernel()
{
	local kver=${1:-$(kver)} ver

	[[ ! $kver =~ ^[0-9]+\.[0-9]+$ ]] || kver=$(release "$kver")
	[ -n "$kver" ] || die "no linux-headers-*-cloud-amd64 installed"
	if [ ! -d "$cache/kernel-$kver" ]; then
		lock
		ver=$(dpkg-query -W -f '${Version}' "linux-headers-$kver" 2>/dev/null || true)
		if [ ! -d "$cache/kernel-$kver" ]; then
			download "linux-image-$kver${ver:+=$ver}" ||
				download "linux-image-$kver" ||
				{ cat "$tmp/log" >&2; die "linux-image-$kver cannot be had: run apt-get update, upgrade linux-headers-cloud-amd64"; }
			mkdir "$tmp/root"
			dpkg-deb --fsys-tarfile "$tmp"/linux-image-*.deb |
				tar -x -C "$tmp/root" ./boot ./lib/modules
			depmod -b "$tmp/root" "$kver"
			publish "$tmp/root" "kernel-$kver"
		fi
	fi
	echo "$cache/kernel-$kver"
}

# The newest archive that is there already, of the installed package or in the
# cache, or nothing.
archive()
{
	local f=/usr/src/linux-source-$1.tar.xz

	[ -f "$f" ] ||
		f=$(printf '%s\n' "$cache/linux-source-$1"_*.tar.xz | sort -V | tail -n 1)
	[ ! -f "$f" ] || echo "$f"
}

# download_source VERSION: leave the .deb in $tmp
download_source()
{
	local v=$1 list

	if ! download "linux-source-$v"; then
		list=(-o "Dir::State::lists=$tmp/lists"
		      -o "Dir::Etc::sourcelist=$tmp/sources.list"
		      -o "Dir::Etc::sourceparts=-"
		      -o "Dir::Cache::pkgcache="
		      -o "Dir::Cache::srcpkgcache=")
		mkdir -p "$tmp/lists/partial"
		echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror bookworm-backports main" \
			>"$tmp/sources.list"
		if ! { apt "${list[@]}" update &&
		       download "linux-source-$v" "${list[@]}"; }; then
			cat "$tmp/log" >&2
			die "linux-source-$v cannot be had"
		fi
	fi
}

# the archive inside the downloaded package
unpack_deb()
{
	dpkg-deb --fsys-tarfile "$tmp/linux-source-$1"_*.deb |
		tar -xO "./usr/src/linux-source-$1.tar.xz"
}

# unpack_source VERSION OUTDIR PATTERN...
unpack_source()
{
	local v=$1 out=$2 from
	shift 2

	mkdir -p "$out"
	from=$(archive "$v")
	[ -n "$from" ] || download_source "$v"
	if [ -n "$from" ]; then cat "$from"; else unpack_deb "$v"; fi |
		tar -xJ -C "$out" --strip-components=1 --wildcards \
			"${@/#/linux-source-$v/}"
}

# An archive in the cache has its package's version in its name.
fetch_source()
{
	local deb

	if [ -z "$(archive 6.1)" ]; then
		lock
		if [ -z "$(archive 6.1)" ]; then
			download_source 6.1
			deb=$(basename "$tmp"/linux-source-6.1_*.deb)
			unpack_deb 6.1 >"$tmp/archive"
			publish "$tmp/archive" "${deb%_*}.tar.xz"
		fi
	fi
	archive 6.1
}

# kselftest and checkpatch come out of one archive, which takes longest to read
fetch_61()
{
	if [ ! -d "$cache/linux-6.1" ]; then
		lock
		if [ ! -d "$cache/linux-6.1" ]; then
			unpack_source 6.1 "$tmp/src" \
				tools/testing/selftests/kselftest.h \
				tools/testing/selftests/kselftest_harness.h \
				tools/testing/selftests/lib.mk \
				'tools/testing/selftests/kselftest/*' \
				scripts/checkpatch.pl scripts/spelling.txt \
				scripts/const_structs.checkpatch \
				scripts/Makefile.compiler scripts/subarch.include
			publish "$tmp/src" linux-6.1
		fi
	fi
}

# unpack_qemu RELEASE SUITE: with all that it depends on, into $tmp/root. apt works
# for a machine that has nothing yet.
unpack_qemu()
{
	local keys=/usr/share/keyrings/debian-archive-keyring.gpg suite deb
	local opts=(-o "Dir::State=$tmp/apt" -o "Dir::State::status=$tmp/apt/status"
		    -o "Dir::Cache=$tmp/apt" -o "Dir::Etc=$tmp/apt/etc"
		    -o "APT::Install-Recommends=false")

	mkdir -p "$tmp"/apt/{lists,archives}/partial "$tmp"/apt/etc/{apt.conf,preferences}.d
	: >"$tmp/apt/status"
	for suite in "$1" "$2"; do
		echo "deb [signed-by=$keys] $mirror $suite main"
	done >"$tmp/apt/etc/sources.list"
	if ! { apt "${opts[@]}" update &&
	       apt "${opts[@]}" -y -t "$2" --download-only install \
			qemu-system-x86; }; then
		cat "$tmp/log" >&2
		die "a qemu-system-x86 of $2 cannot be had"
	fi
	mkdir -p "$tmp"/root/usr/{bin,sbin,lib,lib64}
	for suite in bin sbin lib lib64; do
		ln -s "usr/$suite" "$tmp/root/$suite"
	done
	# through these links, which tar would put directories in place of
	for deb in "$tmp"/apt/archives/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" |
			tar -x -C "$tmp/root" --keep-directory-symlink
	done
	rm -rf "$tmp"/root/usr/share/{doc,man,locale}
}

fetch_qemu()
{
	local release suite

	read -r release suite < <(awk -v v="$1" '$1 == v { print $2, $3 }' \
		"$here/../qemu/versions") || die "no such QEMU: $1"
	if [ ! -d "$cache/qemu-$1" ]; then
		lock
		if [ ! -d "$cache/qemu-$1" ]; then
			unpack_qemu "$release" "$suite"
			publish "$tmp/root" "qemu-$1"
		fi
	fi
	echo "$cache/qemu-$1"
}

case ${1-} in
qemu)
	fetch_qemu "${2-}"
	;;
kernel)
	fetch_kernel "${2-}"
	;;
kver)
	kver
	;;
release)
	release "${2-}"
	;;
source)
	fetch_source
	;;
ksft)
	fetch_61
	echo "$cache/linux-6.1/tools/testing/selftests"
	;;
net)
	if [ ! -d "$cache/linux-6.1-net" ]; then
		lock
		if [ ! -d "$cache/linux-6.1-net" ]; then
			unpack_source 6.1 "$tmp/src" \
				tools/testing/selftests/kselftest.h \
				tools/testing/selftests/kselftest_harness.h \
				'tools/testing/selftests/net/*.c'
			publish "$tmp/src" linux-6.1-net
		fi
	fi
	echo "$cache/linux-6.1-net/tools/testing/selftests/net"
	;;
checkpatch)
	fetch_61
	echo "$cache/linux-6.1/scripts/checkpatch.pl"
	;;
ynl)
	if [ ! -d "$cache/ynl-6.12" ]; then
		lock
		if [ ! -d "$cache/ynl-6.12" ]; then
			unpack_source 6.12 "$tmp/src" 'tools/net/ynl/*' \
				'Documentation/netlink/*'
			# The tools walk up to this file to find their root.
			: >"$tmp/src/MAINTAINERS"
			publish "$tmp/src" ynl-6.12
		fi
	fi
	echo "$cache/ynl-6.12"
	;;
*)
	sed -n 's/^#\t\(fetch.sh\)/usage: \1/p' "$0" >&2
	exit 1
	;;
esac
