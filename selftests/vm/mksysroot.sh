#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Fetch what building and testing for arm64 needs of Debian, or find it in the
# cache, and print the kernel's release, which is the machine's own but for the
# architecture:
#
#	mksysroot.sh
#
# "fetch.sh kernel RELEASE" tells where it is then: with the kernel's boot/ and
# lib/modules/ there are sysroot/, whose programs and libraries go into the virtual
# machine and are linked to, and headers/. apt takes all of it from lists of its
# own; what is of arm64 is unpacked, and never run here.

set -euo pipefail

# depmod is in sbin, which a user's PATH may lack
PATH=$PATH:/usr/sbin:/sbin

here=$(dirname "$(readlink -f "$0")")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/tapxfer
mirror=${TAPXFER_MIRROR:-http://deb.debian.org/debian}
kver=$("$here/fetch.sh" kver)
version=$(dpkg-query -W -f '${Version}' "linux-headers-$kver")
arm=${kver%-amd64}-arm64

# deps.sh's, for the machine and to link to
pkgs="libc6-dev libmnl-dev libnl-route-3-dev libjson-c-dev busybox-static bash dash
coreutils util-linux findutils kmod iproute2 ethtool python3 python3-yaml"

die()
{
	[ ! -s "${work-}/log" ] || tail -n 20 "$work/log" >&2
	echo "mksysroot: $*" >&2
	exit 1
}

# Lists of another architecture, which the machine's apt knows nothing of, and a
# system that has no package yet.
apt()
{
	apt-get -q -y -o APT::Sandbox::User=root -o APT::Architecture=arm64 \
		-o APT::Architectures=arm64 -o APT::Install-Recommends=0 \
		-o "Dir::State::lists=$work/lists" \
		-o "Dir::State::status=$work/status" \
		-o "Dir::Etc::sourcelist=$work/sources.list" \
		-o Dir::Etc::sourceparts=- -o "Dir::Cache::archives=$work/debs" \
		-o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= \
		"$@" >>"$work/log" 2>&1
}

download()
{
	mkdir -p "$work/lists/partial" "$work/debs/partial" "$work/kernel-debs"
	: >"$work/status"
	printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s main\n' \
		"$mirror bookworm" "$mirror bookworm-updates" \
		"${mirror%/debian}/debian-security bookworm-security" \
		>"$work/sources.list"
	apt update || die "no package lists of arm64"
	# shellcheck disable=SC2086 # a list of words
	apt --download-only install $pkgs || die "the packages cannot be had"
	(cd "$work/kernel-debs" &&
	 apt download "linux-image-$arm=$version" "linux-headers-$arm=$version") ||
		die "linux-image-$arm $version cannot be had: run apt-get update, upgrade linux-headers-cloud-amd64"
}

unpack()
{
	local tree=$work/tree f d

	mkdir -p "$tree/sysroot/usr" "$tree/headers/usr/lib"
	for f in "$work"/debs/*.deb; do dpkg-deb -x "$f" "$tree/sysroot"; done
	# As in the virtual machine, / has links to what is in /usr.
	for d in bin sbin lib; do
		cp -a "$tree/sysroot/$d/." "$tree/sysroot/usr/$d/"
		rm -rf "${tree:?}/sysroot/$d"
		ln -s "usr/$d" "$tree/sysroot/$d"
	done
	rm -rf "$tree"/sysroot/usr/share/{doc,man,locale}
	# A link to /bin/ip is not to lead to the machine's own.
	find "$tree/sysroot" -type l -lname '/*' -printf '%p %l\n' |
		while read -r f d; do
			ln -sfnr "$tree/sysroot$d" "$f"
		done

	dpkg-deb -x "$work"/kernel-debs/linux-image-*.deb "$work/image"
	mv "$work/image/boot" "$work/image/lib" "$tree/"
	depmod -b "$tree" "$arm"
	# The common headers, where its Makefile leads, are all architectures', and
	# what builds is the machine's.
	dpkg-deb -x "$work"/kernel-debs/linux-headers-*.deb "$tree/headers"
	ln -s /usr/lib/linux-kbuild-* "$tree/headers/usr/lib/"
}

if [ ! -d "$cache/kernel-$arm" ]; then
	mkdir -p "$cache"
	exec 9>"$cache/.lock-mksysroot"
	flock 9
	if [ ! -d "$cache/kernel-$arm" ]; then
		work=$(mktemp -d "$cache/.tmp.XXXXXX")
		trap 'rm -rf "$work"' EXIT
		echo "# mksysroot: fetching what is of arm64, once" >&2
		download
		unpack
		mv -T "$work/tree" "$cache/kernel-$arm"
	fi
fi
echo "$arm"
