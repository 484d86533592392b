#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# In a kernel that enforces signatures and trusts dkms's certificate: what dkms
# signed is loaded; without the signature, or changed by a byte, it is not.

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

# refused FILE: and for its signature, or for none
refused()
{
	! insmod "$1" >/tmp/out 2>&1 && grep -q 'Key was rejected\|Required key' /tmp/out &&
		[ ! -e /sys/module/tapxfer ]
}

echo "TAP version 13"
echo "1..6"

cat /sys/module/module/parameters/sig_enforce >/tmp/out 2>&1
[ "$(cat /tmp/out)" = Y ]
result $? "signatures are enforced"

modprobe tun
rmmod tapxfer 2>/dev/null
ko=$(modinfo -n tapxfer)
modinfo -F signer "$ko" >/tmp/out
grep -qx "DKMS module signing key" /tmp/out
result $? "the module has dkms's signature"

# at its end: the signature, 12 bytes about it, of which the last four are the
# signature's length, and a line of 28 bytes
size=$(stat -c %s "$ko")
len=$((0x$(tail -c 32 "$ko" | head -c 4 | od -An -tx1 | tr -d ' ')))
head -c $((size - 28 - 12 - len)) "$ko" >/tmp/unsigned.ko
refused /tmp/unsigned.ko
result $? "without it, it is refused"

{ head -c 5000 "$ko"; printf X; tail -c +5002 "$ko"; } >/tmp/changed.ko
! cmp -s "$ko" /tmp/changed.ko && refused /tmp/changed.ko
result $? "changed by a byte, it is refused"

insmod "$ko" >/tmp/out 2>&1
result $? "as dkms signed it, it is loaded"
tapxfer features >/tmp/out 2>&1
result $? "and answers"
exit $rc
