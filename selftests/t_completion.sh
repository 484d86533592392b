#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# bash completes what there is on this machine: devices, handovers and network
# namespaces. The words of the command are tools/tapxfer/check's.

set -u

here=$(dirname "$(readlink -f "$0")")
# shellcheck source=selftests/lib/result.sh
. "$here/lib/result.sh"

# where bash-completion looks for it
# shellcheck source=tools/tapxfer/tapxfer.bash-completion
. /usr/share/bash-completion/completions/tapxfer
complete -p tapxfer >"$tmp/out"
result $? "it is bound to the command"

# offers WANT WORD...: exactly these, sorted, in the place of the last word
offers()
{
	local want=$1 COMP_WORDS COMP_CWORD COMPREPLY

	shift
	COMP_WORDS=(tapxfer "$@")
	COMP_CWORD=$#
	_tapxfer tapxfer
	printf '%s\n' "${COMPREPLY[@]}" | sort | tr '\n' ' ' >"$tmp/out"
	[ "$(cat "$tmp/out")" = "$want " ]
	result $? "$* <$want>"
}

rmmod tapxfer 2>/dev/null
ip tuntap add dev tap0 mode tap
ip tuntap add dev tap1 mode tap
ip link add dummy0 type dummy
offers 'tap0 tap1' show tap
offers 'tap0' check tap0
offers '' show dummy
offers '' thaw 1
[ ! -e /sys/module/tapxfer ]
result $? "a question that it asks does not load the module"

# the device is let go of, so the descriptor is the one queue
python3 -c '
import fcntl, os, struct, subprocess, sys
fd = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(fd, 0x400454ca, struct.pack("16sH22x", b"tap1", 0x1002))
sys.exit(subprocess.call(["tapxfer", "prepare", "--fds", str(fd), "--deadline", "2m",
                          "--token-out", sys.argv[1]], pass_fds=[fd]))
' "$tmp/token" >"$tmp/out"
id=$(sed 's/handover \([0-9]*\).*/\1/' "$tmp/out")
[ -n "$id" ]
result $? "a handover is prepared"
offers "$id" list ''
offers "$id" abort "${id:0:1}"
offers "$id" freeze "$id"

# another network namespace has others
ip netns add other
ip -n other tuntap add dev tap9 mode tap
offers 'other' -n oth
offers 'tap9' -n other show tap
offers '' -n other list ''
ip netns del other

tapxfer abort "$id" --token-file "$tmp/token" >"$tmp/out"
result $? "the handover is aborted"
until [ -z "$(tapxfer list)" ]; do
	sleep 0.1
done
offers '' list ''
ip link del tap0
ip link del tap1
ip link del dummy0
rm -rf "$tmp"

plan
