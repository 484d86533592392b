#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Build the module for another kernel, out of the checkout's way, whose objects are
# of one kernel:
#
#	mkmodule.sh RELEASE DIR		makes DIR/kmod/tapxfer.ko

set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
top=$(readlink -f "$here/../..")
kernel=$("$here/fetch.sh" kernel "$1")
mkdir -p "$2"
dir=$(readlink -f "$2")

cp -r "$top/kmod" "$top/include" "$dir"
find "$dir" \( -name '*.o' -o -name '*.cmd' -o -name '*.ko' \) -delete
make -s -j"$(nproc)" -C "$kernel/lib/modules/$1/build" M="$dir/kmod" modules
