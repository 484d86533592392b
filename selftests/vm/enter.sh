#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Run a command in a root file system of Debian's, as oneself, with DIR as its
# /mnt and with a /proc:
#
#	enter.sh [-r] ROOT DIR CMD...
#
# -r runs it as root. The mounts are seen by nobody else and go with the command.

set -eu

who=$(id -u):$(id -g)
if [ "$1" = -r ]; then
	who=0:0
	shift
fi
root=
[ "$(id -u)" = 0 ] || root=sudo

# shellcheck disable=SC2016 # expands in that shell
exec $root unshare -m sh -c '
	set -e
	mount -t proc proc "$2/proc"
	mount --bind "$3" "$2/mnt"
	who=$1 dir=$2
	shift 3
	exec chroot --userspec="$who" "$dir" env -i \
		PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LC_ALL=C \
		DEBIAN_FRONTEND=noninteractive "$@"' sh "$who" "$1" "$2" "${@:3}"
