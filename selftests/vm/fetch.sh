#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Fetch what the tests need of Debian's kernels into a cache outside of the
# checkout, and print where it is:
#
#	fetch.sh kernel [KVER]	a kernel image's tree: boot/, lib/modules/KVER/
#	fetch.sh source		the archive of the whole 6.1 source
#	fetch.sh ksft		kselftest's headers and lib.mk
#	fetch.sh checkpatch	checkpatch.pl and its word lists
#	fetch.sh ynl		tools/net/ynl and Documentation/netlink
#	fetch.sh kver		the newest installed 6.1 cloud headers' release
#
# Nothing is installed and apt's own sources and lists are left alone. What is
# in the cache already is not looked at again, so no network is needed then.

set -euo pipefail

# depmod and modprobe are in sbin, which a user's PATH may lack
PATH=$PATH:/usr/sbin:/sbin

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

# The image has to be the one that the headers are of: same release, and same
# package version when the archive still has it.
fetch_kernel()
{
	local kver=${1:-$(kver)} ver

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

case ${1-} in
kernel)
	fetch_kernel "${2-}"
	;;
kver)
	kver
	;;
source)
	fetch_source
	;;
ksft)
	fetch_61
	echo "$cache/linux-6.1/tools/testing/selftests"
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
