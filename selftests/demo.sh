#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The demo: a tap under load goes from one process to another, by tapxfer and,
# for comparison, by plain fd passing (SCM_RIGHTS). Prints a table; the last
# line and the exit status are the verdict. Takes about ten seconds.
#
# For root, with the module loaded or where the kernel finds it. Everything
# happens in two network namespaces of its own that end with it:
#
#	source, target -- tap -- bridge -- veth | veth -- sender, receiver

here=$(dirname "$(readlink -f "$0")")

fail()
{
	echo "demo: FAIL $*"
	exit 1
}

[ "$(id -u)" = 0 ] || fail "this takes root"
for prog in demo demo_source demo_target demo_load demo_watch demo_report; do
	[ -x "$here/$prog" ] || fail "$here/$prog was not built"
done
for prog in ip unshare nsenter; do
	command -v $prog >/dev/null || fail "$prog is not installed"
done

# A netns of its own, and again from the top.
if [ -z "${TAPXFER_DEMO_NETNS-}" ]; then
	export TAPXFER_DEMO_NETNS=1
	modprobe -qa tun bridge veth 2>/dev/null
	exec unshare --net "$0"
fi

peer=
work=
cleanup()
{
	[ -z "$peer" ] || kill "$peer" 2>/dev/null
	[ -z "$work" ] || rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' INT TERM HUP

work=$(mktemp -d) || fail "no temporary directory"

# The second netns lives as long as this process.
unshare --net sleep $((300 * ${SELFTESTS_SCALE:-1})) &
peer=$!
i=0
while [ "$(readlink /proc/$peer/ns/net)" = "$(readlink /proc/self/ns/net)" ]; do
	i=$((i + 1))
	[ $i -lt 100 ] || fail "no second network namespace"
	sleep 0.05
done

inside()
{
	nsenter --target "$peer" --net "$@"
}

# setup CMD...: or say what did not work
setup()
{
	"$@" >"$work/log" 2>&1 || fail "$*: $(head -n 1 "$work/log")"
}

# Only the demo's own packets: no neighbour or multicast discovery.
for s in default/disable_ipv6 all/disable_ipv6; do
	[ ! -e /proc/sys/net/ipv6/conf/$s ] || echo 1 >/proc/sys/net/ipv6/conf/$s
	# shellcheck disable=SC2016 # $1 is the inner shell's
	inside sh -c '[ ! -e "$1" ] || echo 1 >"$1"' sh /proc/sys/net/ipv6/conf/$s
done
setup ip link add demo-br type bridge stp_state 0 mcast_snooping 0
setup ip link add demo-port type veth peer name demo-peer netns "$peer"
setup ip link set demo-port master demo-br up
setup ip link set demo-br up
setup inside ip link set demo-peer address 02:00:00:00:02:01 up
setup inside ip addr add 192.0.2.1/24 dev demo-peer
setup inside ip neigh add 192.0.2.2 lladdr 52:54:00:00:02:02 nud permanent \
	dev demo-peer

for way in tapxfer fds; do
	"$here/demo" $way "/proc/$peer/ns/net" "$work/$way" || break
done
"$here/demo_report" "$work/tapxfer" "$work/fds"
