#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# In a booted system that has Debian's packages: these are what is used.

n=0
rc=0
result()
{
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $n $2"
	else
		rc=1
		echo "not ok $n $2"
		sed 's/^/# /' /tmp/out
	fi
}

echo "TAP version 13"
echo "1..6"

modinfo -n tapxfer >/tmp/out 2>&1
grep -qx "/lib/modules/$(uname -r)/updates/dkms/tapxfer.ko" /tmp/out
result $? "the module is the one that dkms built"

modinfo -F signer tapxfer >/tmp/out 2>&1
grep -qx "DKMS module signing key" /tmp/out
result $? "with its signature"

dpkg -V tapxfer tapxfer-dkms libtapxfer0 libtapxfer-dev >/tmp/out 2>&1
result $? "all files of the packages are as they were packed"

ldd "$(command -v tapxfer)" >/tmp/out 2>&1
grep -q 'libtapxfer.so.0 => .*/x86_64-linux-gnu/libtapxfer.so.0 ' /tmp/out
result $? "the command has the packaged library"

version=$(dpkg-query -W -f '${Version}' tapxfer)
tapxfer version >/tmp/out 2>&1
[ "$(grep -c " $version\$" /tmp/out)" = 3 ]
result $? "command, library and module are of the packages' version"

/usr/local/bin/example >/tmp/out 2>&1
grep -qx connected /tmp/out
result $? "a program that was built with libtapxfer-dev runs"
exit $rc
