#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Make a root file system with the headers of a kernel series, and the compiler,
# pahole and sparse that go with them, or find it in the cache; and print the
# kernel's release:
#
#	mkbuildroot.sh SERIES	one of those in the file "series"
#
# "fetch.sh kernel RELEASE" tells where the kernel is then; its link "root" leads
# to the root file system. debootstrap makes it, which needs root (by sudo if
# need be). apt runs in it alone: the machine's own sources are left alone.
#
# What is in the cache is not looked at again: remove "series-SERIES" from it for
# a newer kernel.

set -euo pipefail

# depmod and debootstrap are in sbin, which a user's PATH may lack
PATH=$PATH:/usr/sbin:/sbin

here=$(dirname "$(readlink -f "$0")")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/tapxfer
mirror=${TAPXFER_MIRROR:-http://deb.debian.org}
mirror=${mirror%/debian}
flavour=cloud-$(dpkg --print-architecture)
series=${1-}
root=
[ "$(id -u)" = 0 ] || root=sudo

die()
{
	[ ! -s "${work-}/log" ] || tail -n 20 "$work/log" >&2
	echo "mkbuildroot: $*" >&2
	exit 1
}

read -r debian archive suite < <(awk -v s="$series" \
	'$1 == s { print $2, $3, $4 }' "$here/series") ||
	die "no such series: $series; there are $(awk '/^[0-9]/ { printf "%s ", $1 }' "$here/series")"

# quiet CMD...: what it says is for who looks for why it failed
quiet()
{
	"$@" >>"$work/log" 2>&1
}

# in_root CMD...: as root, in the root file system that is being made
in_root()
{
	"$here/enter.sh" -r "$work/root" "$work/mnt" "$@"
}

bootstrap()
{
	quiet $root debootstrap --variant=minbase "$debian" "$work/root" \
		"$mirror/debian" || die "debootstrap cannot make a $debian"
	echo "deb $mirror/$archive $suite main" |
		$root tee "$work/root/etc/apt/sources.list.d/kernel.list" >/dev/null
	quiet in_root apt-get -q update || die "no package lists of $suite"
}

# The newest with headers: a mirror keeps images for longer.
newest()
{
	in_root apt-cache search --names-only \
		"^linux-headers-${series//./\\.}\.[0-9].*[0-9]-$flavour\$" |
		sed 's/ .*//; s/^linux-headers-//' | sort -V | tail -n 1
}

install_headers()
{
	quiet in_root apt-get -y -q --no-install-recommends install \
		"linux-headers-$kver" make sparse dwarves kmod ||
		die "linux-headers-$kver cannot be installed"
}

# Newer kernels want a sparse that Debian does not have yet, and ask by a script
# that the headers lack, so that the checks would be left out. What it does not
# know are two builtins.
newer_sparse()
{
	local scripts=/usr/src/linux-headers-${kver%-"$flavour"}-common/scripts

	# shellcheck disable=SC2016 # expands in the files and in that shell
	in_root sh -ec '
		grep -q checker-valid "${1%/scripts}/Makefile" || exit 0
		[ ! -e "$1/checker-valid.sh" ] || exit 0
		printf "%s\n" "#!/bin/sh" "echo 1" >"$1/checker-valid.sh"
		printf "%s\n" "#!/bin/sh" "exec /usr/bin/sparse \
			-D__typeof_unqual__=__typeof__ \
			\"-D__builtin_strlen(s)=(sizeof(s)-1)\" \"\$@\"" \
			>/usr/local/bin/sparse
		chmod +x "$1/checker-valid.sh" /usr/local/bin/sparse' \
		sh "$scripts"
}

# The kernel, its modules and its configuration: one package until 7.1, then more
image()
{
	local part f

	for part in image binary modules base; do
		in_root apt-cache show "linux-$part-$kver" >/dev/null 2>&1 ||
			continue
		quiet in_root sh -c "cd /mnt && apt-get -q download \
			-o APT::Sandbox::User=root linux-$part-$kver" ||
			die "linux-$part-$kver cannot be had"
		dpkg-deb -x "$work/mnt/linux-$part-$kver"_*.deb "$work/kernel"
	done
	# where / has links to what is in /usr
	if [ ! -d "$work/kernel/lib/modules" ]; then
		mkdir "$work/kernel/lib"
		mv "$work/kernel/usr/lib/modules" "$work/kernel/lib/"
	fi
	rm -rf "$work/kernel/usr"
	# where it was always
	mkdir -p "$work/kernel/boot"
	for f in vmlinuz config System.map; do
		[ ! -f "$work/kernel/lib/modules/$kver/$f" ] ||
			ln -s "../lib/modules/$kver/$f" "$work/kernel/boot/$f-$kver"
	done
	[ -f "$work/kernel/boot/vmlinuz-$kver" ] ||
		die "linux-image-$kver has no kernel"
	depmod -b "$work/kernel" "$kver"
}

if [ ! -d "$cache/series-$series" ]; then
	# One maker at a time; who waited finds the work done.
	mkdir -p "$cache"
	exec 9>"$cache/.lock-mkbuildroot"
	flock 9
	if [ ! -d "$cache/series-$series" ]; then
		work=$(mktemp -d "$cache/.tmp.XXXXXX")
		trap '$root rm -rf "$work"' EXIT
		mkdir "$work/mnt"
		echo "# mkbuildroot: making a $debian for $series kernels, once" >&2
		bootstrap
		kver=$(newest)
		[ -n "$kver" ] || die "no linux-headers-$series.*-$flavour in $suite"
		install_headers
		newer_sparse
		image
		quiet in_root apt-get clean
		$root rm -rf "$cache/root-$series" "$cache/kernel-$kver"
		$root mv -T "$work/root" "$cache/root-$series"
		ln -s "../root-$series" "$work/kernel/root"
		mv -T "$work/kernel" "$cache/kernel-$kver"
		ln -sfn "kernel-$kver" "$cache/series-$series"
	fi
fi
basename "$(readlink -f "$cache/series-$series")" | sed 's/^kernel-//'
