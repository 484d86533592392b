#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The programs of tools/examples: each pair hands a guest over under traffic, and
# none of the frames that it sends back is lost, sent twice or overtaken; also when
# the target fails. Run in the virtual machine, as root.

here=$(dirname "$(readlink -f "$0")")
# shellcheck source=selftests/lib/result.sh
. "$here/lib/result.sh"

examples=$here/examples
[ -d "$examples" ] || examples=$here/../tools/examples/build

show() { for f in "$tmp"/*.out; do sed "s|^|# ${f##*/}: |" "$f"; done; }

tries=$((400 * scale))

# said NAME PATTERN [COUNT]: the program has said so, so often, or does so soon
said()
{
	local _

	for _ in $(seq "$tries"); do
		[ "$(grep -c -- "$2" "$tmp/$1.out")" -lt "${3-1}" ] || return 0
		sleep 0.05
	done
	return 1
}

until_true()
{
	local _

	for _ in $(seq "$tries"); do
		"$@" && return
		sleep 0.05
	done
	return 1
}

# Somebody is: of that name there are who listens and who is to be accepted.
connected() { [ "$(grep -c "$1\$" /proc/net/unix)" -gt 1 ]; }

declare -A pids
run()		# NAME PROGRAM ARG…
{
	local name=$1

	shift
	: >"$tmp/$name.out"
	"$@" >"$tmp/$name.out" 2>&1 &
	pids[$name]=$!
}

status()	# NAME: how it ended
{
	wait "${pids[$1]}" 2>/dev/null
	local rc=$?

	unset "pids[$1]"
	return $rc
}

# traffic NUMBER: so many more come back
traffic()
{
	local was now _

	was=$(back) || return 1
	for _ in $(seq "$tries"); do
		now=$(back)
		[ "$now" -lt $((was + $1)) ] || return 0
		sleep 0.05
	done
	return 1
}

back()
{
	local count

	count=$(grep -c '^back' "$tmp/pinger.out")
	kill -USR1 "${pids[pinger]}" && said pinger '^back' $((count + 1)) &&
		sed -n '$s/^back //p' "$tmp/pinger.out"
}

begin()		# PROGRAM ARG…: a guest on tap0, with traffic
{
	local name

	# of a case that failed; what was frozen outlives its processes
	for name in "${!pids[@]}"; do
		kill -KILL "${pids[$name]}"
		status "$name"
	done
	ip link del tap0 2>/dev/null
	rm -f "$tmp"/*.out
	run source "$examples/$1" tap0 "${@:2}"
	said source '^running' && ip link set tap0 up || return 1
	run pinger python3 "$here/lib/pinger.py" tap0 16
	said pinger '^pinging' && traffic 500
}

# Everything that was sent has come back, and the VMMs end.
end()		# NAME of who has the guest
{
	local name rc=0

	traffic 500 || rc=1
	kill -TERM "${pids[pinger]}"
	status pinger || rc=1
	grep -q '^sent [0-9]* lost 0 dup 0 reordered 0 foreign 0$' "$tmp/pinger.out" || rc=1
	kill -TERM "${pids[$1]}"
	status "$1" || rc=1
	for name in "${!pids[@]}"; do
		kill -KILL "${pids[$name]}"
		status "$name"
	done
	return $rc
}

cleanup()
{
	local pid

	for pid in "${pids[@]}"; do
		kill -KILL "$pid" 2>/dev/null
	done
	rm -rf "$tmp"
}
trap cleanup EXIT

frozen() { said source '^frozen' && id=$(sed -n 's/^frozen //p' "$tmp/source.out" | tail -n 1); }

# -- the token alone
begin token-source "$tmp/token" && kill -USR1 "${pids[source]}" && frozen &&
	[ "$(stat -c %a "$tmp/token")" = 600 ] &&
	run target "$examples/token-target" "$id" "$tmp/token" &&
	said target '^running, [0-9]* packets were held' && said source '^moved' &&
	status source && [ ! -e "$tmp/token" ] && end target
result $? "token: $(grep -s '^sent' "$tmp/pinger.out")"

begin token-source "$tmp/token" && kill -USR1 "${pids[source]}" && frozen &&
	tapxfer claim "$id" --token-file "$tmp/token" -- true &&
	said source '^running' 2 && end source
result $? "token: the target dies: $(grep -s '^sent' "$tmp/pinger.out")"

begin token-source "$tmp/token" && kill -USR1 "${pids[source]}" && frozen &&
	tapxfer abort "$id" --token-file "$tmp/token" >/dev/null &&
	said source '^running' 2 && end source
result $? "token: aborted: $(grep -s '^sent' "$tmp/pinger.out")"

begin token-source "$tmp/no/token" && kill -USR1 "${pids[source]}" &&
	said source 'No such file' && said source '^running' 2 && end source
result $? "token: no place for it: $(grep -s '^sent' "$tmp/pinger.out")"

# -- the state in a stream of their own
begin state-source "$tmp/socket" && run target "$examples/state-target" "$tmp/socket" &&
	said target '^listening' && kill -USR1 "${pids[source]}" && said target '^state of tap0$' &&
	said target '^running, [0-9]* packets were held' && said source '^moved' &&
	status source && end target
result $? "state: $(grep -s '^sent' "$tmp/pinger.out")"
# What came behind the state: the guest has answered more than the target saw,
# and some frames that are not the pinger's.
count=$(sed -n 's/^sent back //p' "$tmp/target.out")
all=$(sed -n 's/^sent \([0-9]*\) .*/\1/p' "$tmp/pinger.out")
[ "${count:-0}" -ge "${all:-1}" ] && [ "$count" -lt $((all * 2)) ]
result $? "state: the guest's own came too ($count of $all)"

# One that stands between the two, and changes a byte; and a target that takes no
# packets, or has claimed and dies when the source has closed its files.
cat >"$tmp/relay.py" <<'END'
import socket, sys, threading
def listen(path):
    s = socket.socket(socket.AF_UNIX)
    s.bind(path)
    s.listen(1)
    print("relaying", flush=True)
    return s.accept()[0]
def pump(src, dst, at):
    n = 0
    try:
        while data := bytearray(src.recv(4096)):
            if n <= at < n + len(data):
                data[at - n] ^= 0x40
            n += len(data)
            dst.sendall(data)
    except OSError:             # one side has hung up: tell the other
        pass
    dst.shutdown(socket.SHUT_RDWR)
a = listen(sys.argv[1])
b = socket.socket(socket.AF_UNIX)
b.connect(sys.argv[2])
threading.Thread(target=pump, args=(b, a, 1 << 40), daemon=True).start()
pump(a, b, int(sys.argv[3]))
END
begin state-source "$tmp/relay" && run target "$examples/state-target" "$tmp/socket" &&
	said target '^listening' &&
	run relay python3 "$tmp/relay.py" "$tmp/relay" "$tmp/socket" 200 &&
	said relay '^relaying' && kill -USR1 "${pids[source]}" &&
	said target '^a bad state: .' && said source '^the guest stays here' &&
	said source '^running' 2 && ! status target && end source
result $? "state: a byte is changed: $(grep -s '^sent' "$tmp/pinger.out")"

cat >"$tmp/stream_peer.py" <<'END'
import glob, os, socket, struct, subprocess, sys, time
path, takes = sys.argv[1], int(sys.argv[2])
s = socket.socket(socket.AF_UNIX)
s.bind(path)
s.listen(1)
print("listening", flush=True)
peer, _ = s.accept()
pid = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]

def has_files():
    for link in glob.glob(f"/proc/{pid}/fd/*"):
        try:
            if os.readlink(link) == "/dev/net/tun":
                return True
        except OSError:
            pass
    return False

peer.sendall(struct.pack("=Q", takes))
head = peer.recv(20, socket.MSG_WAITALL)
if head:
    ident, token = struct.unpack("=I16s", head)
    with open(path + ".token", "w") as f:
        f.write(token.hex() + "\n")
    claim = subprocess.Popen(["tapxfer", "claim", str(ident), "--token-file", f.name,
                              "--", "sh", "-c", "echo claimed; exec sleep 1000"],
                             stdout=subprocess.PIPE)
    claim.stdout.readline()
    peer.sendall(b"c")
    while has_files():
        time.sleep(0.05)
    claim.kill()
    print("died", flush=True)
END
rm -f "$tmp/socket"
begin state-source "$tmp/socket" &&
	run peer python3 "$tmp/stream_peer.py" "$tmp/socket" 0 && said peer '^listening' &&
	kill -USR1 "${pids[source]}" &&
	said source "^cannot hand over: the state uses feature 'held', which the other side" &&
	said source '^running' 2 && status peer && end source
result $? "state: a target that takes nothing held: $(grep -s '^sent' "$tmp/pinger.out")"

rm -f "$tmp/socket"
begin state-source "$tmp/socket" &&
	run peer python3 "$tmp/stream_peer.py" "$tmp/socket" 15 && said peer '^listening' &&
	kill -USR1 "${pids[source]}" && said source '^the guest stays here' && said peer '^died' &&
	said source '^running' 2 && status peer && end source
result $? "state: the target dies when the source has let go: $(grep -s '^sent' "$tmp/pinger.out")"

# -- a socket that the library uses
rm -f "$tmp/socket"
begin socket-source "$tmp/socket" && run target "$examples/socket-target" "$tmp/socket" &&
	said target '^listening' && kill -USR1 "${pids[source]}" &&
	said target '^running, [0-9]* packets were held' && said source '^moved' &&
	status source && end target
result $? "socket: $(grep -s '^sent' "$tmp/pinger.out")"

begin socket-source "$tmp/socket" && kill -USR1 "${pids[source]}" &&
	said source 'No such file' && said source '^running' 2 && end source
result $? "socket: no target: $(grep -s '^sent' "$tmp/pinger.out")"

# The command is a target, too: one that expects another device.
begin socket-source "$tmp/socket" &&
	run target tapxfer recv --socket "$tmp/socket" -- true '{fds:net7}' &&
	until_true test -S "$tmp/socket" && kill -USR1 "${pids[source]}" &&
	said source '^cannot hand over: the other side: ' && said source '^running' 2 &&
	! status target && end source
result $? "socket: the target refuses: $(grep -s '^cannot' "$tmp/source.out")"

begin socket-source "$tmp/socket" && run target "$examples/socket-target" "$tmp/socket" &&
	said target '^listening' && kill -STOP "${pids[target]}" &&
	kill -USR1 "${pids[source]}" && until_true connected "$tmp/socket" &&
	kill -KILL "${pids[target]}" &&
	said source '^the guest stays here' && said source '^running' 2 && end source
result $? "socket: the target dies: $(grep -s '^sent' "$tmp/pinger.out")"

# -- two sockets: the files early, and the guest runs on with them
rm -f "$tmp/socket"
begin early-source "$tmp/early" "$tmp/late" &&
	run target "$examples/early-target" "$tmp/early" "$tmp/late" &&
	said target '^listening' && kill -USR1 "${pids[source]}" &&
	said target '^files are here' && said source '^files sent' && traffic 500 &&
	kill -USR1 "${pids[source]}" && said target '^running, [0-9]* packets were held' &&
	said source '^moved' && status source && end target
result $? "two sockets: $(grep -s '^sent' "$tmp/pinger.out")"

begin early-source "$tmp/early" "$tmp/late" &&
	run target "$examples/early-target" "$tmp/early" "$tmp/late" &&
	said target '^listening' && kill -USR1 "${pids[source]}" &&
	said target '^files are here' && rm "$tmp/late" && said source '^files sent' &&
	kill -USR1 "${pids[source]}" && said source 'No such file' &&
	said source '^running' 2 && said target '^the source has given up' &&
	! status target && end source
result $? "two sockets: the second one is not there: $(grep -s '^sent' "$tmp/pinger.out")"

begin early-source "$tmp/early" "$tmp/late" &&
	run target "$examples/early-target" "$tmp/early" "$tmp/late" &&
	said target '^listening' && kill -USR1 "${pids[source]}" &&
	said target '^files are here' && said source '^files sent' &&
	kill -KILL "${pids[target]}" && { status target || :; } && traffic 500 &&
	kill -USR1 "${pids[source]}" && said source '^the guest stays here' &&
	said source '^running' 2 && end source
result $? "two sockets: the target dies with the files: $(grep -s '^sent' "$tmp/pinger.out")"

# -- exec: a program that is not there, and then it is
begin exec-source "$tmp/vmm" && kill -USR1 "${pids[source]}" &&
	said source "^$tmp/vmm: No such file" && said source '^running' 2 && traffic 500 &&
	cp "$examples/exec-target" "$tmp/vmm" && kill -USR1 "${pids[source]}" &&
	said source '^running, [0-9]* packets were held' &&
	[ "$(readlink "/proc/${pids[source]}/exe")" = "$tmp/vmm" ] && end source
result $? "exec: $(grep -s '^sent' "$tmp/pinger.out")"

# -- vhost-net, over a UNIX socket
modprobe vhost_net
begin vhost-source "$tmp/socket" && run target "$examples/vhost-target" "$tmp/socket" &&
	said target '^listening' && kill -USR1 "${pids[source]}" &&
	said target '^running, [0-9]* packets were held' && said source '^moved' &&
	status source && end target
result $? "vhost: $(grep -s '^sent' "$tmp/pinger.out")"

begin vhost-source "$tmp/socket" && kill -USR1 "${pids[source]}" &&
	said source 'No such file' && said source '^running' 2 && end source
result $? "vhost: no target: $(grep -s '^sent' "$tmp/pinger.out")"

# A target that says so much, and hangs up
cat >"$tmp/peer.py" <<'END'
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.bind(sys.argv[1])
s.listen(1)
print("listening", flush=True)
peer, _ = s.accept()
peer.recv(4096)
peer.sendall(sys.argv[2].encode())
END
for says in "" c; do
	rm -f "$tmp/socket"
	begin vhost-source "$tmp/socket" &&
		run peer python3 "$tmp/peer.py" "$tmp/socket" "$says" &&
		said peer '^listening' && kill -USR1 "${pids[source]}" &&
		said source '^the guest stays here' && said source '^running' 2 &&
		status peer && end source
	result $? "vhost: the target hangs up ${says:+after it has claimed}: $(grep -s '^sent' "$tmp/pinger.out")"
done

# One that dies as the owner of the devices, before it gets ready: the source does
# not let go of the files meanwhile
is_frozen() { tapxfer list | grep -q frozen; }
# a worker for each device, by its owner's name
is_owner() { [ "$(cat /proc/[0-9]*/task/*/comm 2>/dev/null | grep -cx "vhost-${pids[target]}")" = 2 ]; }
rm -f "$tmp/socket"
begin vhost-source "$tmp/socket" && run target "$examples/vhost-target" "$tmp/socket" &&
	said target '^listening' && kill -STOP "${pids[target]}" &&
	kill -USR1 "${pids[source]}" && until_true is_frozen &&
	kill -STOP "${pids[source]}" && kill -CONT "${pids[target]}" &&
	until_true is_owner && kill -KILL "${pids[target]}" &&
	{ status target || :; } && kill -CONT "${pids[source]}" &&
	said source '^the guest stays here' && said source '^running' 2 && end source
result $? "vhost: the target dies as the owner: $(grep -s '^sent' "$tmp/pinger.out")"
rmmod vhost_net 2>/dev/null

plan
