#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Build the kernel's own tests of tun and tap, as linux-source-6.1 has them, out of
# the checkout's way. Other kernels run these too: newer ones' tests are built with
# a library that their source would have to be configured for.
#
#	mkksft.sh DIR		makes DIR/ksft_tun, DIR/ksft_tap

set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
src=$("$here/fetch.sh" net)
mkdir -p "$1"
for name in tun tap; do
	# shellcheck disable=SC2086 # a compiler and its options
	${CC:-gcc} -O2 -o "$1/ksft_$name" "$src/$name.c"
done
