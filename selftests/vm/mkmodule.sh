#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Build the module for another kernel, out of the checkout's way, whose objects are
# of one kernel:
#
#	mkmodule.sh RELEASE DIR [W=1 C=2...]	makes DIR/kmod/tapxfer.ko
#
# By the tools of the root file system that mkbuildroot.sh has made for the kernel, if
# it has; for arm64 by a cross compiler; by the machine's own otherwise.

set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
top=$(readlink -f "$here/../..")
release=$1
kernel=$("$here/fetch.sh" kernel "$release")
mkdir -p "$2"
dir=$(readlink -f "$2")
shift 2

rm -rf "${dir:?}/kmod" "$dir/include"
cp -r "$top/kmod" "$top/include" "$dir"
find "$dir/kmod" "$dir/include" \( -name '*.o' -o -name '*.cmd' -o -name '*.ko' \) -delete

build=$kernel/lib/modules/$release/build
if [ -d "$kernel/root" ]; then
	exec "$here/enter.sh" "$kernel/root" "$dir" make -s -j"$(nproc)" \
		-C "/lib/modules/$release/build" M=/mnt/kmod "$@" modules
fi
if [ -d "$kernel/headers" ]; then
	build=$kernel/headers/usr/src/linux-headers-$release
	set -- ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- "$@"
fi
[ -e "$build" ] || build=/lib/modules/$release/build
make -s -j"$(nproc)" -C "$build" M="$dir/kmod" "$@" modules
