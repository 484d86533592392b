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
if [ -f refused_tun.ko ]; then echo "1..15"; else echo "1..4"; fi

[ ! -e /sys/module/tapxfer ]
result $? "module is not loaded at boot"

# refused NAME TEXT: a module built for another kernel, see mkrefused.sh
refused()
{
	dmesg -c >/dev/null
	! insmod "refused_$1.ko" 2>/tmp/refused && [ ! -e /sys/module/tapxfer ]
	result $? "a module for another kernel ($1) is not loaded"
	sed 's/^/# /' /tmp/refused
	dmesg | grep -q "tapxfer: not for this kernel, whose $2"
	result $? "and says why"
}

if [ -f refused_tun.ko ]; then
	modprobe tun
	for what in ring size unconsume; do
		refused $what "rings differ: "
	done
	refused tun "tun driver differs"

	# where it has seen no tun file at load, it does with the first one
	dmesg -c >/dev/null
	mv /dev/net/tun /dev/net/tun.away
	insmod refused_tun.ko
	result $? "without a /dev/net/tun, one is loaded"
	mv /dev/net/tun.away /dev/net/tun
	ip tuntap add refused0 mode tap multi_queue
	tapxfer prepare refused0 --fds 7 --token-out /run/token \
		7<>/dev/net/tun >/tmp/refused 2>&1
	[ $? = 2 ] && grep -q "tun driver is not one that the module knows" /tmp/refused
	r=$?
	sed 's/^/# /' /tmp/refused
	result $r "and refuses the first handover"
	dmesg | grep -q "tapxfer: not for this kernel, whose tun driver differs"
	result $? "and says why"
	ip link del refused0
	rmmod tapxfer
fi

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
