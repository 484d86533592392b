#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Build what the demo needs, boot a kernel and show it. The last line and the
# exit status are its verdict. With -q it is the demo of two QEMUs.

set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
top=$(readlink -f "$here/../..")
which=${1--d}
name=demo
[ "$which" = -d ] || name=qemu-demo
log=$(mktemp)
trap 'rm -f "$log"' EXIT

fail()
{
	cat "$log"
	echo "$name: FAIL $*"
	exit 1
}

"$here/deps.sh" >&2 || fail "packages are missing"
kver=$("$here/fetch.sh" kver)
echo "# building"
make -C "$top" KDIR="/lib/modules/$kver/build" >"$log" 2>&1 || fail "does not build"
rc=0
"$here/run.sh" "$which" -k "$kver" || rc=$?
exit $rc
