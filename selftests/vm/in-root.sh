#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Run a command in a Debian root, with a /proc and a /sys of its own and no way for
# it to leave a process or a mount behind:
#
#	in-root.sh DIR CMD...

set -eu

root=$1
shift
# shellcheck disable=SC2016 # expands in that shell
exec unshare --mount --pid --fork --kill-child sh -eu -c '
	root=$1
	shift
	mount --bind "$root" "$root"
	mount -t proc proc "$root/proc"
	mount -t sysfs -o ro sysfs "$root/sys"
	mount --bind /dev "$root/dev"
	[ ! -e /etc/resolv.conf ] ||
		{ : >>"$root/etc/resolv.conf"
		  mount --bind /etc/resolv.conf "$root/etc/resolv.conf"; }
	exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
		DEBIAN_FRONTEND=noninteractive chroot "$root" "$@"
' sh "$root" "$@"
