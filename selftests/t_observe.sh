#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What the guide says of watching a handover with perf and bpftrace is run as it
# stands there, and tells what the handover's own answers tell. Events and
# tracepoints have one clock.

set -u
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=selftests/lib/result.sh
. "$here/lib/result.sh"

guide=/Documentation/guide.rst

# the literal block of the guide that is marked so
example()
{
	sed -n "/^\.\. test: $1\$/,/^[A-Za-z]/s/^	//p" $guide
}

now()
{
	python3 -c 'import time; print(time.clock_gettime_ns(time.CLOCK_MONOTONIC))'
}

# A tap of two queues, and 50 packets to one of them when it is told to
cat >"$tmp/source.py" <<'END'
import fcntl, os, socket, struct, sys
fds = []
for i in range(2):
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    # IFF_TAP, IFF_NO_PI, IFF_MULTI_QUEUE
    fcntl.ioctl(fd, 0x400454ca, struct.pack("16sH22x", b"tap0", 0x1102))
    fds.append(fd)
print("up", flush=True)
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for line in sys.stdin:
    for i in range(50):
        sock.sendto(b"x", ("192.0.2.2", 9))
    print("sent", flush=True)
END

# A handover with packets that wait; the thaw's answer is in $tmp/thaw
cat >"$tmp/handover" <<END
set -e
cd $tmp
rm -f token
tapxfer hold tap0 --pid \$(cat pid) --deadline 2m --token-out token >held
id=\$(sed 's/handover \([0-9]*\).*/\1/' held)
echo go >go
read -r sent <went
tapxfer freeze \$id --token-file token
# the claimant has the files as well, so it is the source that the thaw must share with
tapxfer claim \$id --token-file token --no-fds -- \
	tapxfer -j thaw \$id --token-file token --shared >thaw
END

sysctl -qw net.ipv6.conf.default.disable_ipv6=1
mkfifo "$tmp/go" "$tmp/went"
python3 "$tmp/source.py" <"$tmp/go" >"$tmp/went" &
echo $! >"$tmp/pid"
exec 8<>"$tmp/go" 9<>"$tmp/went"
trap 'kill "$(cat "$tmp/pid")"; wait; rm -rf "$tmp"' EXIT
read -r _ <&9
ip addr add 192.0.2.1/24 dev tap0
ip link set tap0 up
ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev tap0
modprobe tapxfer

tapxfer -j monitor >"$tmp/events" &
monitor=$!
until [ "$(awk '$2 == 16' /proc/net/netlink | wc -l)" -ge 1 ]; do
	sleep 0.05
done

# what the thaw told of packets
held()
{
	python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["held"])' "$tmp/thaw"
}

# -- perf
before=$(now)
example perf >"$tmp/perf"
[ "$(wc -l <"$tmp/perf")" = 2 ]
result $? "the guide has an example for perf" "$tmp/perf"
sed -i "s|sleep 60|sh -e $tmp/handover|" "$tmp/perf"
sh -e "$tmp/perf" >"$tmp/out"
result $? "perf: the guide's commands run"
after=$(now)
[ "$(held)" = 50 ]
result $? "50 packets were held" "$tmp/thaw"
sed -n 's/.*tapxfer:tapxfer_state:.* name=tap0 event=\([a-z]*\) .*/\1/p' "$tmp/out" |
	tr '\n' ' ' >"$tmp/order"
[ "$(cat "$tmp/order")" = "prepared holding frozen claimed thawed " ]
result $? "perf: the handover's states, in order and by name"
[ "$(grep -c 'tapxfer:tapxfer_park: .*queue=[01] ' "$tmp/out")" = 2 ] &&
	[ "$(sed -n 's/.*tapxfer:tapxfer_unpark:.* held=\([0-9]*\) .*/\1/p' "$tmp/out" |
	     awk '{ sum += $1 } END { print sum }')" = 50 ]
result $? "perf: each queue, and its packets"

# -- the clock
sleep 0.1
kill "$monitor"
wait "$monitor"
python3 - "$tmp/events" "$tmp/out" "$before" "$after" >"$tmp/clock" <<'END'
import json, re, sys
events = [json.loads(line) for line in open(sys.argv[1])]
before, after = int(sys.argv[3]), int(sys.argv[4])
times = [e["time"] for e in events]
names = [e["event"] for e in events]
print(names, before, times, after)
assert names == ["prepared", "holding", "frozen", "claimed", "thawed"]
assert times == sorted(times) and before < times[0] and times[-1] < after
# perf has microseconds
traced = [int(float(m) * 1e6) for m in
          re.findall(r"(\d+\.\d+): *tapxfer:tapxfer_state:", open(sys.argv[2]).read())]
print(traced)
assert len(traced) == len(times)
# each event was made between the ends of its neighbours
for i, t in enumerate(times):
    t //= 1000
    assert i == 0 or traced[i - 1] <= t + 1, i
    assert i + 1 == len(times) or t <= traced[i + 1] + 1, i
END
result $? "monitor: the kernel's time, which perf has as well" "$tmp/clock"

# -- bpftrace, which goes by the kernel's headers or its types
btf=/sys/kernel/btf/vmlinux
if [ ! -e "$btf" ]; then
	echo "# bpftrace is not run: this kernel was built without BTF"
	plan
	exit
fi
until [ -z "$(tapxfer list)" ]; do
	# what was held is read by nobody: the rings give up
	sleep 0.1
done
example bpftrace >"$tmp/bpftrace"
grep -q unpark "$tmp/bpftrace"
result $? "the guide has an example for bpftrace" "$tmp/bpftrace"
sed -i "\$s|\$| -c '/bin/sh -e $tmp/handover'|" "$tmp/bpftrace"
# as the guide has it for older kernels; it does no harm to others
BPFTRACE_BTF=$btf bash -e "$tmp/bpftrace" >"$tmp/out"
result $? "bpftrace: the guide's program runs"
id=$(sed 's/handover \([0-9]*\).*/\1/' "$tmp/held")
[ "$(grep -cE "^handover $id queue [01]: [0-9]+ packets held for [1-9][0-9]* us\$" "$tmp/out")" = 2 ] &&
	[ "$(sed -n 's/^handover.*: \([0-9]*\) packets.*/\1/p' "$tmp/out" |
	     awk '{ sum += $1 } END { print sum }')" = "$(held)" ]
result $? "bpftrace: each queue's packets, as the thaw tells them"

plan
