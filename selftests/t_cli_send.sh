#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# send and recv: the command's two sides of a handover over a socket. The source is
# a process that knows nothing of tapxfer, the target a command that gets files.

here=$(dirname "$(readlink -f "$0")")
# shellcheck source=selftests/lib/result.sh
. "$here/lib/result.sh"

show() { sed 's/^/# /' "$tmp"/send.* "$tmp"/recv.*; }

secs() { echo "$(($1 * scale))s"; }

# A process with two queues of each device, which echoes nothing
cat >"$tmp/source.py" <<'END'
import fcntl, os, struct, sys, time
for name in sys.argv[1:]:
    for i in range(2):
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(fd, 0x400454ca, struct.pack("16sH22x", name.encode(), 0x5102))
print("up", flush=True)
time.sleep(1000)
END

# A new VMM: says of each descriptor whose queue it is, and whether it can be used
cat >"$tmp/vmm.py" <<'END'
import errno, fcntl, os, struct, sys
for word in sys.argv[1:]:
    for fd in word.split(":"):
        ifr = fcntl.ioctl(int(fd), 0x800454d2, bytes(40))
        try:
            os.read(int(fd), 2000)
        except OSError as e:
            assert e.errno == errno.EAGAIN
        print(ifr[:16].rstrip(b"\0").decode(), end=" ")
print("devices", os.environ["TAPXFER_DEVICES"].replace(":", "+"), flush=True)
END

source=''
start()		# DEV…
{
	rm -f "$tmp/fifo"
	mkfifo "$tmp/fifo"
	python3 "$tmp/source.py" "$@" >"$tmp/fifo" &
	source=$!
	read -r _ <"$tmp/fifo"
}
stop() { kill -KILL "$source" 2>/dev/null; wait "$source" 2>/dev/null; }
trap 'stop; rm -rf "$tmp"' EXIT

# pair WANT_SEND WANT_RECV [SEND WORD…] -- [RECV WORD…]: both at once
pair()
{
	local want_send=$1 want_recv=$2 send=() recv a b

	shift 2
	rm -f "$tmp/sock" "$tmp/late"
	while [ "$1" != -- ]; do send+=("$1"); shift; done
	shift
	tapxfer recv --socket "$tmp/sock" --timeout "$(secs 10)" "$@" \
		>"$tmp/recv.out" 2>"$tmp/recv.err" </dev/null &
	recv=$!
	echo "$recv" >"$tmp/recv.pid"
	tapxfer "${json[@]}" send "${send[@]}" --pid "$source" --socket "$tmp/sock" \
		--deadline 5m >"$tmp/send.out" 2>"$tmp/send.err" </dev/null
	a=$?
	wait "$recv"
	b=$?
	{ [ $a = "$want_send" ] && [ $b = "$want_recv" ]; } ||
		echo "exit status $a and $b, not $want_send and $want_recv" >>"$tmp/send.err"
	[ $a = "$want_send" ] && [ $b = "$want_recv" ]
}
json=()
vmm=(python3 "$tmp/vmm.py")
out() { grep -qE -- "$2" "$tmp/$1.out"; }
err() { [ "$(wc -l <"$tmp/$1.err")" = 1 ] && grep -qE -- "$2" "$tmp/$1.err"; }
silent() { [ ! -s "$tmp/send.err" ] && [ ! -s "$tmp/recv.err" ]; }
idle() { [ "$(tapxfer -j list | python3 -c 'import json, sys
print(len([h for h in json.load(sys.stdin) if h["state"] != "draining"]))')" = 0 ]; }
# the source has its queues, and nothing is under way
as_before() { idle && tapxfer check tap0 --pid "$source" >/dev/null; }

start tap0
pair 0 0 tap0 --on-accept "kill -KILL $source" --timeout "$(secs 10)" -- \
	-- "${vmm[@]}" '{fds}' && silent &&
	out send '^tap0: moved' && out recv '^tap0: moved, [0-9]+ packets held, 0 dropped' &&
	out recv '^tap0 tap0 devices tap0=[0-9]+\+[0-9]+$'
result $? "a device goes to a command"
idle && [ ! -e "$tmp/sock" ]
result $? "nothing is left of it"
stop

start tap0 tap1 tap2
json=(-j)
pair 0 0 tap0,tap1,tap2 --off tap1 --on-hold 'echo stopped' \
	--on-accept "kill -KILL $source" --timeout "$(secs 10)" --drain -- \
	-- "${vmm[@]}" '{fds:tap2}:{fds:tap0}' &&
	out recv '^tap2 tap2 tap0 tap0 devices tap0=[0-9]+\+[0-9]+ tap1= tap2=[0-9]+\+[0-9]+$' &&
	python3 - "$tmp/send.out" <<'END'
import json, sys
o = json.load(open(sys.argv[1]))
assert o["local"] is True
assert [(d["name"], d["outcome"]) for d in o["devices"]] == \
    [("tap0", "moved"), ("tap1", "off"), ("tap2", "moved")], o
assert "handover" not in o["devices"][1]
assert o["devices"][0]["handover"]["ifname"] == "tap0"
END
result $? "several devices, one of which stays"
grep -qx stopped "$tmp/send.err"
result $? "a hook's words are no answer"
json=()
stop

start tap0
pair 0 0 --late "$tmp/late" --transport fds --on-accept "kill -KILL $source" \
	--timeout "$(secs 10)" -- --late "$tmp/late" -- "${vmm[@]}" '{fds:tap0}' && silent &&
	out recv '^tap0 tap0 devices' && [ ! -e "$tmp/late" ]
result $? "two sockets, the files sent"
stop

# -- rolled back ----------------------------------------------------------

start tap0
pair 2 2 tap0 --timeout "$(secs 2)" -- -- "${vmm[@]}" '{fds}' &&
	err send "queue 0 of 'tap0' is held by others than source and target \(1\)" &&
	err recv "the other side: queue 0 of 'tap0' is held" &&
	out send '^tap0: back' && out recv '^tap0: back'
result $? "a source that does not let go"
as_before
result $? "it has its device as before"

pair 2 2 tap0 --on-hold 'exit 3' -- -- "${vmm[@]}" '{fds}' &&
	err send 'the command of --on-hold failed \(exit status 3\)' &&
	err recv 'the other side: the source has given up' && as_before
result $? "a hook that fails"

# Once the source has ended there is only the target: it may take its time
stop
start tap0
cat >"$tmp/slow.sh" <<END
kill -KILL $source
kill -STOP \$(cat "$tmp/recv.pid")
(sleep $((6 * scale)); kill -CONT \$(cat "$tmp/recv.pid")) >/dev/null 2>&1 &
END
pair 0 0 tap0 --on-accept "sh $tmp/slow.sh" --timeout "$(secs 2)" -- -- "${vmm[@]}" '{fds}' &&
	out send '^tap0: moved' && out recv '^tap0: moved'
result $? "a target that is slow when the source has ended"
stop

start tap0
pair 2 137 tap0 --on-accept "kill -KILL $source \$(cat '$tmp/recv.pid')" \
	--token-out "$tmp/token" --timeout "$(secs 2)" -- -- "${vmm[@]}" '{fds}' &&
	out send '^tap0: pending' && ip link show tap0 >/dev/null
result $? "a target that dies when the source has ended"
id=$(tapxfer -j list | python3 -c 'import json, sys
print([h["id"] for h in json.load(sys.stdin) if h["state"] == "frozen"][0])')
tapxfer claim "$id" --token-file "$tmp/token" -- sh -c \
	"tapxfer thaw $id --token-file $tmp/token --shared" >"$tmp/recv.out" 2>&1
result $? "and the token has the device"
for _ in $(seq 200); do ip link show tap0 >/dev/null 2>&1 || break; sleep 0.1; done
stop
start tap0

pair 2 2 tap0 --on-accept 'kill -TERM $$' -- -- "${vmm[@]}" '{fds}' &&
	err send 'the command of --on-accept failed \(signal 15\)' && as_before
result $? "a hook that is killed"

pair 2 2 tap0 --peer-uid 12 -- -- true &&
	err send 'the other side is of user 0, not 12 as expected' && as_before
result $? "another user is expected"

pair 2 2 tap0 -- --peer-pid 1 -- true &&
	err recv 'the other side is process [0-9]+, not 1 as expected' && as_before
result $? "another process is expected"

pair 2 1 tap0 -- -- echo '{fds:tap7}' &&
	err recv "'\{fds:tap7\}' names no device that comes" && as_before
result $? "a word of the command that names no device"

pair 2 2 tap0 --late "$tmp/late" -- -- true &&
	err recv 'the other side uses two sockets, and this one one' && as_before
result $? "one socket and two"

pair 2 2 tap0 -- --takes held,drained -- true &&
	err send "takes no packets that are left in the host's stack" && as_before
result $? "a target that wants it drained"

# nobody connects the second socket
rm -f "$tmp/sock" "$tmp/late"
tapxfer recv --socket "$tmp/sock" --late "$tmp/late" --timeout "$(secs 2)" -- true \
	>"$tmp/recv.out" 2>"$tmp/recv.err" &
recv=$!
tapxfer send tap0 --pid "$source" --socket "$tmp/sock" --late "$tmp/none" --timeout "$(secs 5)" \
	>"$tmp/send.out" 2>"$tmp/send.err"
[ $? = 2 ] && err send "cannot connect to '$tmp/none'" && out send '^tap0: back'
a=$?
wait $recv
[ $? = 2 ] && [ $a = 0 ] && err recv "nobody has connected to '$tmp/late' in time" && as_before
result $? "the state never comes"

# the other side is not there, and not a program
tapxfer send tap0 --pid "$source" --socket "$tmp/none" --timeout 100ms >"$tmp/send.out" 2>"$tmp/send.err"
[ $? = 2 ] && err send "cannot connect to '$tmp/none'" && as_before
result $? "nobody listens"
tapxfer recv --socket "$tmp/sock" -- /no/such/program >"$tmp/recv.out" 2>"$tmp/recv.err"
[ $? = 2 ] && err recv "cannot run '/no/such/program'" && [ ! -e "$tmp/sock" ]
result $? "no such command"

# over a pipe to elsewhere
python3 - "$source" "$tmp" <<'END' >"$tmp/send.out" 2>"$tmp/send.err"
import os, socket, subprocess, sys
source, tmp = sys.argv[1:]
def pair(*more):
    l = socket.socket(); l.bind(("127.0.0.1", 0)); l.listen()
    a = socket.create_connection(l.getsockname()); b, _ = l.accept()
    r = subprocess.Popen(["tapxfer", "recv", "--socket-fd", str(b.fileno()), *more, "--",
                          sys.executable, tmp + "/vmm.py"], pass_fds=[b.fileno()],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    s = subprocess.run(["tapxfer", "send", "tap0", "--pid", source, "--socket-fd",
                        str(a.fileno()), *more], pass_fds=[a.fileno()], capture_output=True,
                       text=True)
    out, err = r.communicate()
    return s.returncode, s.stdout + s.stderr, r.returncode, out + err
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
s, so, r, ro = pair()
assert s == 2 and r == 2 and "carries no files" in so and "carries no files" in ro, (so, ro)
s, so, r, ro = pair("--local", "skip")
assert s == 0 and r == 0 and "tap0: skipped" in so and "devices tap0=\n" in ro, (so, ro)
END
result $? "a channel that carries no files fails, or skips"
as_before
result $? "and the source has what it had"
stop

plan
