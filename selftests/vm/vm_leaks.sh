#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Last in the virtual machine: the tests left nothing behind in the kernel.

# shellcheck disable=SC2317 # until_true calls them

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

# until CMD...: true within 10 s of a usual machine
scale=${SELFTESTS_SCALE:-1}
until_true()
{
	i=0
	until "$@"; do
		i=$((i + 1))
		[ $i -lt $((100 * scale)) ] || return 1
		usleep 100000
	done
}

no_handover()
{
	# an empty list, however it is wrapped, has no number in it
	tapxfer -j list >/tmp/list 2>&1 &&
		[ -s /tmp/list ] && ! grep -q '[0-9]' /tmp/list
}

only_lo()
{
	[ "$(echo /sys/class/net/*)" = /sys/class/net/lo ]
}

unused()
{
	[ "$(cat /sys/module/"$1"/refcnt 2>&1)" = 0 ]
}

files_near()
{
	now=$(cut -f 1 /proc/sys/fs/file-nr)
	# The kernel's own sum is off by a batch per CPU.
	[ "$now" -le $(($(cat /run/files) + 96)) ]
}

skbs_near()
{
	echo 1 >/sys/kernel/slab/skbuff_head_cache/shrink
	now=$(awk '/^skbuff_head_cache/ { print $2 }' /proc/slabinfo)
	[ "$now" -le $(($(cat /run/skbs) + 1000)) ]
}

no_taint()
{
	# An out-of-tree and unsigned module is expected, nothing else is.
	[ $(($(cat /proc/sys/kernel/tainted) & ~(1 << 12 | 1 << 13))) = 0 ]
}

no_kmemleak()
{
	# It leaves out what is younger than five seconds, and reports an
	# object only when a second scan still has no reference. Where it gave
	# up there is no scan, which is no silence.
	sleep 6
	echo scan >$kmemleak && sleep 6 && echo scan >$kmemleak || return 1
	cat $kmemleak >/tmp/leaks || return 1
	sed 's/^/# /' /tmp/leaks
	echo clear >$kmemleak
	[ ! -s /tmp/leaks ]
}

tun_users()
{
	local fd pid

	for fd in /proc/[0-9]*/fd/*; do
		[ "$(readlink "$fd")" = /dev/net/tun ] || continue
		pid=${fd#/proc/}
		echo "$fd: $(tr '\0' ' ' <"/proc/${pid%%/*}/cmdline" | cut -c 1-200)"
	done
	ps -ef
}

kmemleak=/sys/kernel/debug/kmemleak

echo "TAP version 13"
if [ -e $kmemleak ]; then
	echo "1..10"
else
	echo "1..8"
fi

until_true no_handover
r=$?
[ $r = 0 ] || sed 's/^/# /' /tmp/list
result $r "no handover is left"

until_true only_lo
r=$?
[ $r = 0 ] || ip -br link | sed 's/^/# /'
result $r "no netdev is left"

until_true unused tapxfer
r=$?
[ $r = 0 ] || grep '^tapxfer' /proc/modules | sed 's/^/# /'
result $r "nobody uses the module"

# Twice: names of a module's functions are known as long as it is loaded, and
# what its own data refers to is a leak only without it.
if [ -e $kmemleak ]; then
	no_kmemleak
	result $? "kmemleak has nothing to say"
fi

# rmmod must not hang: the rest of the list is still to be told
timeout $((20 * scale)) rmmod tapxfer && [ ! -e /sys/module/tapxfer ]
result $? "rmmod tapxfer"

# vhost_net uses tun. Every open tun file pins tun: that it goes away says
# that no queue file leaked.
! grep -q '^vhost_net ' /proc/modules || timeout $((20 * scale)) rmmod vhost_net
# files that a handover put last are closed a little later
! grep -q '^tun ' /proc/modules ||
	{ until_true unused tun; timeout $((20 * scale)) rmmod tun; }
r=$?
[ $r = 0 ] || { grep '^tun' /proc/modules; tun_users; } | sed 's/^/# /'
result $r "rmmod tun"

until_true files_near
r=$?
echo "# files: $(cat /run/files) before, $now after"
result $r "no file is left"

until_true skbs_near
r=$?
echo "# packets: $(cat /run/skbs) before, $now after"
result $r "no packet is left"

no_taint
r=$?
[ $r = 0 ] || echo "# taint $(cat /proc/sys/kernel/tainted)"
result $r "kernel is not tainted by a warning"

if [ -e $kmemleak ]; then
	no_kmemleak
	result $? "kmemleak has nothing to say of what was unloaded"
fi

exit $rc
