#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# First in the virtual machine: nothing but a question for the family loads
# the module, and it is the one that was installed. Leaves for vm_leaks.sh what
# the numbers were before the tests.

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
	fi
}

echo "TAP version 13"
echo "1..4"

[ ! -e /sys/module/tapxfer ]
result $? "module is not loaded at boot"

genl ctrl get name tapxfer >/tmp/family 2>&1
r=$?
[ $r = 0 ] || sed 's/^/# /' /tmp/family
result $r "family answers"

[ -e /sys/module/tapxfer ]
result $? "its genl alias loaded the module"

ko=$(modinfo -n tapxfer)
echo "# $ko"
[ "$(cat /sys/module/tapxfer/srcversion)" = "$(modinfo -F srcversion tapxfer)" ] &&
	[ "$(cat /sys/module/tapxfer/version)" = "$(modinfo -F version tapxfer)" ]
result $? "the loaded module is the installed one"

modprobe tun
cut -f 1 /proc/sys/fs/file-nr >/run/files
for c in skbuff_head_cache skbuff_fclone_cache sock_inode_cache filp; do
	echo 1 >/sys/kernel/slab/$c/shrink
done 2>/dev/null
awk '/^skbuff_head_cache/ { print $2 }' /proc/slabinfo >/run/skbs
exit $rc
