#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The command and the library on a kernel with the module: run in the virtual
# machine, as root, with python3 for a process that knows nothing of tapxfer.

here=$(dirname "$(readlink -f "$0")")
# shellcheck source=selftests/lib/result.sh
. "$here/lib/result.sh"
# shellcheck source=selftests/lib/command.sh
. "$here/lib/command.sh"

tries=$((100 * scale))
nap() { for _ in $(seq "$scale"); do sleep "$1"; done; }

# A process with queue files: source NAME QUEUES [FLAG…]
cat >"$tmp/source.py" <<'END'
import array, fcntl, os, select, socket, struct, sys, time
name, queues, words = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
TUNSETIFF, TUNSETQUEUE, TUNSETVNETHDRSZ = 0x400454ca, 0x400454d9, 0x400454d8
flags = 0x1 if "tun" in words else 0x2
flags |= 0x1000 | 0x4000
if queues > 1:
    flags |= 0x100
if "frags" in words:
    flags |= 0x10 | 0x20
if "nonblock" in words:
    mode = os.O_RDWR | os.O_NONBLOCK
else:
    mode = os.O_RDWR
fds = []
for i in range(queues):
    fd = os.open("/dev/net/tun", mode)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
    fds.append(fd)
fcntl.ioctl(fds[0], TUNSETVNETHDRSZ, struct.pack("i", 12))
if "detached" in words:
    fcntl.ioctl(fds[-1], TUNSETQUEUE, struct.pack("16sH22x", b"", 0x400))
if "dup" in words:
    os.dup(fds[0])
keep = []
if "flight" in words or "lost" in words:
    a, b = socket.socketpair(socket.AF_UNIX)
    keep += [a, b]
    a.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                        array.array("i", [fds[-1]]))])
if "lost" in words:
    os.close(fds.pop())
if "share" in words and os.fork() == 0:
    time.sleep(1000)
if "split" in words and os.fork() == 0:
    os.close(fds[0])
    time.sleep(1000)
if "split" in words:
    for fd in fds[1:]:
        os.close(fd)
if "vhost" in words:
    keep.append(os.open("/dev/vhost-net", os.O_RDWR))
print(*fds, flush=True)
if "poll" in words:
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLPRI)
    poll.poll()
while True:
    time.sleep(1000)
END

sources=()
start()		# …: its pid in $pid
{
	rm -f "$tmp/fifo"
	mkfifo "$tmp/fifo"
	python3 "$tmp/source.py" "$@" >"$tmp/fifo" &
	pid=$!
	sources+=("$pid")
	read -r _ <"$tmp/fifo"
}

stop()
{
	# and its children
	pkill -KILL -P "$pid" 2>/dev/null
	kill -KILL "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null
}
trap 'for pid in "${sources[@]}"; do stop; done; rm -rf "$tmp"' EXIT

field() { python3 -c 'import json, sys
o = json.load(open(sys.argv[1]))
print(eval(sys.argv[2]))' "$tmp/out" "$1" 2>>"$tmp/err"; }

# What the kernel does in its own time
wait_gone() { for _ in $(seq "$tries"); do [ "$(tapxfer -j list)" = "[]" ] && return; sleep 0.05; done; return 1; }
wait_file() { for _ in $(seq "$tries"); do grep -q "$1" "$2" && return; sleep 0.05; done; return 1; }
wait_frozen()	# ID: also when a claimant has exited
{
	for _ in $(seq "$tries"); do
		run 0 tapxfer -j list "$1" && [ "$(field 'o["state"]')" = frozen ] && return
		sleep 0.05
	done
	return 1
}

# -- without a device
run 0 tapxfer features && out 'features +hold detached claim claimant-exit write-wait' &&
	out 'hold-default +16384 packets' && out 'deadline-default +10 s' && silent
result $? "features"
run 0 tapxfer -j features && [ "$(field 'o["features"][0], o["hold-default"]')" = "('hold', 16384)" ]
result $? "features: JSON"
run 0 tapxfer version && out '^module [0-9]' && silent
result $? "version"
run 0 tapxfer -j list && [ "$(cat "$tmp/out")" = "[]" ] && run 0 tapxfer list &&
	[ ! -s "$tmp/out" ]
result $? "list: none"
run 0 tapxfer -j show && [ "$(cat "$tmp/out")" = "[]" ]
result $? "show: none"
run 2 tapxfer list 77 && err "no such handover.*\(id 77\); 'tapxfer list'.*[^.]\.$"
result $? "list: an unknown one: $(cat "$tmp/err")"
run 2 tapxfer abort 77 && err 'no such handover'
result $? "abort: an unknown one"
run 2 tapxfer show nope0 && err "no interface 'nope0'"
result $? "show: no such device"
run 2 tapxfer show lo && err 'not a tun or tap'
result $? "show: not a tap: $(cat "$tmp/err")"
run 2 tapxfer check lo && out 'stops: lo is not a tun or tap'
result $? "check: not a tap"

# -- words of others' in an error go to a terminal: what is no character is none there
evil=$'e\e[2J\x7f\n\tl'
shown='e\?\[2J\?\?\?l'
printable() { ! LC_ALL=C grep -q '[[:cntrl:]]' "$tmp/err"; }
run 2 tapxfer show "$evil" && err "no interface '$shown'" && printable
result $? "errors: a device's name: $(cat -v "$tmp/err")"
run 1 tapxfer "$evil" && err "no command '$shown'" && printable &&
	run 1 tapxfer help "$evil" && err "no command '$shown'" && printable &&
	run 1 tapxfer "--$evil" && err "unknown option '--$shown'" && printable &&
	run 1 tapxfer list "--$evil" && err "unknown word '--$shown'" && printable
result $? "errors: a command's name, an option's"
run 1 tapxfer hold --pid "$evil" && err "not '$shown'" && printable &&
	run 1 tapxfer hold 1 --deadline "$evil" && err "not '$shown'" && printable
result $? "errors: a value"
run 2 tapxfer hold 1 --token-file "/$evil" && err "from '/$shown'" && printable &&
	run 2 tapxfer -n "$evil" list && err "namespace '$shown'" && printable
result $? "errors: a file's name"

# -- a tap and its process
start tap0 4 detached dup nonblock
ip link set tap0 up
run 0 tapxfer show tap0 && out 'type +tap' && out 'num-queues +3 enabled' &&
	out 'num-detached +1' && out 'link +up, carrier, mtu 1500, mac .*qdisc' && silent
result $? "show: a device"
run 0 tapxfer show tap0 pid "$pid" && out 'vnet-hdr-sz +12 bytes' &&
	out 'flags +tap no-pi vnet-hdr multi-queue'
result $? "show: with a file"
ip link add br0 type bridge
ip link set tap0 master br0
run 0 tapxfer -j show tap0 && [ "$(field 'o[0]["link"]["master"], o[0]["link"]["master-kind"], o[0]["carrier"], o[0]["ifname"]')" = "('br0', 'bridge', True, 'tap0')" ]
result $? "show: JSON with link facts"
run 0 tapxfer check tap0 && out "process $pid \(python3.*\) has 4 of 4 queues" &&
	out 'nothing stops'
result $? "check: nothing stops"
run 0 tapxfer -j check --pid "$pid" --try && [ "$(field 'o["ready"], o["queues"], o["found"], len(o["holders"])')" = "(True, 4, 4, 5)" ]
result $? "check: JSON, try, device found by the process"
wait_gone && rm -f "$tmp/out" &&
	run 2 tapxfer check tap0 hold 100000000 && out 'hold 100000000 is above the limit'
result $? "check: hold above the limit"
(ulimit -Sn 5; run 2 tapxfer check tap0) && out 'RLIMIT_NOFILE is 5 here'
result $? "check: RLIMIT_NOFILE"

run 1 tapxfer freeze --pid "$pid" && err 'the token needs a place'
result $? "freeze: no place for the token"
run 1 tapxfer freeze --pid "$pid" --token-out-fd 1 && err 'standard output'
result $? "freeze: the token not among the answer"
: >"$tmp/there"
run 2 tapxfer freeze --pid "$pid" --token-out "$tmp/there" && err 'exists'
result $? "freeze: the token not into a file that exists"
run 2 tapxfer freeze --pid "$pid" --token-out-fd 7 7>/dev/full && err 'handover was aborted' &&
	run 0 tapxfer -j list && ! grep '"state":"[^d]' "$tmp/out"
result $? "freeze: aborted when the token cannot be written"
run 2 tapxfer freeze tap0 --pid "$pid" --hold 0 --token-out "$tmp/t" && err 'hold of 0.*\(hold 0\)\.$' && [ ! -e "$tmp/t" ]
result $? "freeze: hold 0: $(cat "$tmp/err")"
run 2 tapxfer freeze tap0 --pid "$pid" --deadline 0s --token-out "$tmp/t" && err 'deadline of 0' && [ ! -e "$tmp/t" ]
result $? "freeze: deadline 0"
run 2 tapxfer freeze tap0 --pid "$pid" --deadline 20m --token-out "$tmp/t" && err 'deadline 1200000' && [ ! -e "$tmp/t" ]
result $? "freeze: deadline above the limit: $(cat "$tmp/err")"
run 2 tapxfer prepare br0 --fds 0 --token-out "$tmp/t" && err 'not a tun or tap'
result $? "prepare: a bridge"
run 2 tapxfer prepare tap0 --fds 0 --token-out "$tmp/t" && err 'no tun file \(fd 0\)'
result $? "prepare: not a tun file: $(cat "$tmp/err")"
run 2 tapxfer prepare tap0 --fds 55 --token-out "$tmp/t" && err 'no such file descriptor.*\(fd 55\)'
result $? "prepare: a closed file"

tapxfer -j monitor >"$tmp/events" 2>"$tmp/events.err" &
monitor=$!
tapxfer monitor tap0 >"$tmp/events.text" 2>&1 &
monitor2=$!
for _ in $(seq "$tries"); do
	[ "$(awk '$2 == 16' /proc/net/netlink | wc -l)" -ge 2 ] && break
	sleep 0.05
done

run 0 tapxfer prepare --pid "$pid" --deadline 2m --token-out "$tmp/t" && out 'handover [0-9]+: tap0 prepared' && silent &&
	[ "$(stat -c %a "$tmp/t")" = 600 ] && grep -qE '^[0-9a-f]{32}$' "$tmp/t"
result $? "prepare: by process: $(cat "$tmp/out")"
id=$(sed 's/handover \([0-9]*\).*/\1/' "$tmp/out")
run 2 tapxfer prepare --pid "$pid" --token-out "$tmp/t2" && err "in a handover already.*\(fd .* of process $pid\)|in a handover already"
result $? "prepare: twice: $(cat "$tmp/err")"
run 2 tapxfer check tap0 && out "in handover $id already \(prepared\)"
result $? "check: in a handover"
run 2 tapxfer check tap0 --pid "$pid" && ! out 'unexplained|descriptor explains'
result $? "check: all references are explained"
run 1 tapxfer hold "$id" && err 'token is needed'
result $? "hold: no token"
echo 00112233445566778899aabbccddeeff >"$tmp/bad"
run 2 tapxfer hold "$id" token-file "$tmp/bad" && err "not this handover's \(token\); give"
result $? "hold: wrong token: $(cat "$tmp/err")"
echo 0011 >"$tmp/bad2"
run 2 tapxfer hold "$id" token-file "$tmp/bad2" && err 'no token: it is one line'
result $? "hold: not a token"
run 0 tapxfer hold "$id" --token-file "$tmp/t" && out 'holding'
result $? "hold"
run 2 tapxfer claim "$id" --token-file "$tmp/t" -- true && err "'tapxfer list' shows where"
result $? "claim: too early: $(cat "$tmp/err")"
tapxfer -j freeze "$id" --token-fd - >"$tmp/out" 2>"$tmp/err" <"$tmp/t" &&
	[ "$(field 'o["state"], o["dev"]["vnet-hdr-sz"], len(o["queue"]), [q["detached"] for q in o["queue"]], o["queue"][0]["nonblock"]')" = "('frozen', 12, 4, [False, False, False, True], True)" ] &&
	! grep -q "$(cat "$tmp/t")" "$tmp/out"
result $? "freeze: on, token on standard input, state told, token not"
run 0 tapxfer list && out "^$id +tap0 +frozen +4 " && run 0 tapxfer list "$id" &&
	out 'exported device' && out 'index +detached'
result $? "list"

run 1 tapxfer claim "$id" --token-file "$tmp/t" -- echo '{fd4}' && err "'\{fd4\}' is past the handover's 4 queues"
result $? "claim: no such queue"
run 127 tapxfer claim "$id" --token-file "$tmp/t" -- /nope && err "cannot run '/nope': No such file.*frozen again"
result $? "claim: a command that is not there: $(cat "$tmp/err")"
wait_frozen "$id" && run 126 tapxfer claim "$id" --token-file "$tmp/t" -- /etc/passwd && err 'Permission denied'
result $? "claim: a command that cannot be run"
wait_frozen "$id"
(ulimit -Sn 6; run 2 tapxfer claim "$id" --token-file "$tmp/t" -- true) && err 'too few free file descriptors'
result $? "claim: too few descriptors"

cat >"$tmp/target.sh" <<'END'
echo "args $*"
echo "env $TAPXFER_FDS $TAPXFER_ID $TAPXFER_IFNAME $TAPXFER_NUM_QUEUES $TAPXFER_VNET_HDR_SZ"
for fd in ${TAPXFER_FDS//:/ }; do
	sed "s/^/fdinfo $fd /" "/proc/self/fdinfo/$fd"
done
ls -l /proc/self/fd | sed 's/^/open /'
tr '\0' '\n' </proc/self/environ | grep -qf "$2" && echo "token in the environment"
grep -af "$2" /proc/$$/cmdline && echo "token in the arguments"
trap '' PIPE
# the source has its files still
tapxfer thaw "$TAPXFER_ID" token-file "$2" 2>&1 | sed 's/^/alone: /'
tapxfer check "$TAPXFER_IFNAME" | grep 'others than' | sed "s/process $$,/process SELF,/"
tapxfer thaw "$TAPXFER_ID" token-file "$2" --shared
END
# shellcheck disable=SC2094 # both read it
# the token comes on a descriptor that the command must not inherit
run 0 tapxfer claim "$id" --token-fd 9 -- bash "$tmp/target.sh" 'fds={fds},{fd1} {fdx} {' "$tmp/t" 9<"$tmp/t" &&
	list=$(sed -n 's/^env \([0-9:]*\) .*/\1/p' "$tmp/out") &&
	second=$(cut -d : -f 2 <<<"$list") &&
	out "^args fds=$list,$second \{fdx\} \{ " &&
	out "^env $list $id tap0 4 12$" && [ "$(grep -c 'iff:.tap0' "$tmp/out")" = 4 ] &&
	! out 'token in' && ! out 'open .* 9 ->' && out "handover $id: tap0 thawed, [0-9]+ packets held, 0 dropped, blackout [0-9.]+ m?s"
result $? "claim: files, arguments, environment; thaw"
out "^alone: tapxfer thaw: .*; 'tapxfer check DEV' shows who, --shared" && ! out '^alone: handover'
result $? "thaw: refused while the source has its files: $(grep ^alone "$tmp/out")"
out "stops: others than the claimant, process SELF, hold 4 of 4 queue files \([0-9]+ references\).* pid $pid \(python3"
result $? "check: who keeps it from the thaw: $(grep SELF "$tmp/out")"
wait_gone
result $? "thaw: and gone"

run 0 tapxfer freeze --pid "$pid" --token-out "$tmp/t3" && id2=$(sed 's/handover \([0-9]*\).*/\1/' "$tmp/out") &&
	out 'frozen, 4 queues' && run 2 tapxfer thaw "$id2" --token-file "$tmp/t3" && err "'tapxfer list'" &&
	run 0 tapxfer abort "$id2" && out 'aborted'
result $? "freeze by process, thaw refused, abort by privilege"
wait_gone
rm -f "$tmp/t3"
run 0 tapxfer freeze --pid "$pid" --deadline 300ms --hold=2000 --token-out "$tmp/t3"
nap 0.6
wait_gone
result $? "freeze: the deadline"
rm -f "$tmp/t3"

kill -TERM "$monitor"
wait "$monitor"
r=$?
kill -INT "$monitor2" 2>/dev/null
kill -TERM "$monitor2"
wait "$monitor2"
r2=$?
cp "$tmp/events" "$tmp/out"
cp "$tmp/events.err" "$tmp/err"
[ $r = 0 ] && [ $r2 = 0 ] && [ ! -s "$tmp/events.err" ] &&
	[ "$(grep -c '"event":' "$tmp/events")" = "$(wc -l <"$tmp/events")" ] &&
	grep -q "\"event\":\"expired\"" "$tmp/events" && grep "\"id\":${id}[,}]" "$tmp/events" |
	sed 's/.*"event":"\([a-z]*\)".*/\1/' | uniq | tr '\n' ' ' >"$tmp/order" &&
	grep -q '^prepared holding frozen claimed frozen claimed frozen claimed thawed $' "$tmp/order"
result $? "monitor: a line an event, in order: $(cat "$tmp/order")"
grep -qE '^\[[0-9]+\.[0-9]{6}\] handover [0-9]+: tap0 thawed, 4 queues, .*blackout' "$tmp/events.text"
result $? "monitor: text: $(grep thawed "$tmp/events.text")"
stop
ip link del br0

# -- a module that goes and comes back while somebody listens
tapxfer monitor >"$tmp/events.text" 2>"$tmp/events.err" &
monitor=$!
listening() { awk '$2 == 16' /proc/net/netlink | wc -l; }
for _ in $(seq "$tries"); do [ "$(listening)" -ge 1 ] && break; sleep 0.05; done
nap 0.3
rmmod tapxfer && modprobe dummy && modprobe tapxfer
wait_file 'loaded anew' "$tmp/events.err"
start tap8 1
run 0 tapxfer freeze --pid "$pid" --token-out "$tmp/t8" && run 0 tapxfer abort "$(sed 's/handover \([0-9]*\).*/\1/' "$tmp/out")" --token-file "$tmp/t8"
nap 0.3
kill "$monitor"
wait "$monitor"
grep -q 'frozen' "$tmp/events.text" && grep -q 'loaded anew' "$tmp/events.err"
result $? "monitor: goes on when the module was loaded anew"
stop

# -- claimed without descriptors, passed on, ready
run 0 tapxfer features && out 'write-wait shadow ready no-fds pass exclusive vhost-batch drain hold-bytes violated attach-all scratch brief claim-thaw$' &&
	out 'hold-bytes-default +256 MiB a handover'
result $? "features: all of them"
freeze()	# ARG…: its id in $id, the token in $tmp/t11
{
	rm -f "$tmp/t11"
	run 0 tapxfer freeze --pid "$pid" --deadline 2m --token-out "$tmp/t11" "$@" &&
		id=$(sed 's/handover \([0-9]*\).*/\1/' "$tmp/out")
}
go() { tapxfer "$1" "$id" --token-file "$tmp/t11" "${@:2}"; }
claimant()	# becomes PID
{
	for _ in $(seq "$tries"); do
		run 0 tapxfer -j list "$id"
		[ "$(field 'o.get("claimant")')" = "$1" ] && return
		sleep 0.05
	done
	return 1
}
start tap11 2
source=$pid
run 2 tapxfer freeze --pid "$pid" --hold-bytes 0 --token-out "$tmp/t11" && err '\(hold-bytes 0\)'
result $? "freeze: no bytes: $(cat "$tmp/err")"
run 2 tapxfer check --pid "$pid" --hold-bytes 1000T && out 'hold-bytes 1099511627776000 is above the limit'
result $? "check: too many bytes"
freeze --hold-bytes 1M && run 0 tapxfer -j list "$id" && [ "$(field 'o["hold-bytes"]')" = 1048576 ] &&
	run 0 tapxfer list "$id" && out 'hold-bytes +1 MiB'
result $? "freeze: a limit in bytes"
run 0 go drain && out "handover $id: tap11 frozen" && run 0 tapxfer -j drain "$id" --token-file "$tmp/t11" --timeout 0 &&
	[ "$(field 'o["unsent"]')" = 0 ]
result $? "drain"
run 2 go drain --timeout 20m && err 'timeout 1200000'
result $? "drain: longer than the limit: $(cat "$tmp/err")"
run 1 go claim --no-fds -- echo '{fds}' && err "'\{fds\}' has no meaning"
result $? "claim --no-fds: {fds} is a mistake"
tapxfer claim "$id" --token-file "$tmp/t11" --no-fds -- bash -c 'env; ls -l /proc/$$/fd; exec sleep 1000' >"$tmp/claim.out" 2>&1 &
first=$!
sources+=("$first")
# the claim comes before the command's output
for _ in $(seq "$tries"); do grep -q ' 0 -> ' "$tmp/claim.out" && break; sleep 0.05; done
claimant $first && grep -q '^TAPXFER_NUM_QUEUES=2$' "$tmp/claim.out" &&
	! grep -q 'TAPXFER_FDS\|/dev/net/tun' "$tmp/claim.out"
result $? "claim --no-fds: no descriptor, and the claim is the command's"
begin=${EPOCHREALTIME/./}
run 2 go thaw && err "'tapxfer check" && [ $((${EPOCHREALTIME/./} - begin)) -ge 400000 ]
result $? "thaw: tried again for a while: $(cat "$tmp/err")"
sleep 0 & gone=$!
wait $gone
run 2 go pass $gone && err "no process $gone"
result $? "pass: to a process that has ended"
run 0 go pass "$source" && out "tap11 claimed, claimed by process $source$"
r=$?
kill $first
wait $first
[ $r = 0 ] && claimant "$source" && [ "$(field 'o["state"]')" = claimed ]
result $? "pass: the first claimant's end is nothing to it"
run 0 go ready && out "handover $id: tap11 ready" && run 0 tapxfer -j list "$id" &&
	[ "$(field 'o["state"], o["ready-at"] >= o["claimed-at"]')" = "('ready', True)" ]
result $? "ready: the claimant has its files alone"
run 0 go thaw && out "handover $id: tap11 thawed" && silent && wait_gone
result $? "ready: and thaw"

# what cannot be refused is told, and stops nothing
freeze
ip link set tap11 down && ip link set tap11 name tap12
tapxfer claim "$id" --token-file "$tmp/t11" --no-fds -- sleep 1000 >"$tmp/claim.out" 2>&1 &
first=$!
sources+=("$first")
wait_file 'warning: tap12 is not as it was exported: it was renamed\.$' "$tmp/claim.out"
result $? "claim: warns of a rename: $(cat "$tmp/claim.out")"
run 0 tapxfer list && out '^ID.*VIOLATED$' && out ' name$'
result $? "list: what has changed"
run 0 tapxfer -j thaw "$id" --shared --token-file "$tmp/t11" && [ "$(field 'o["violated"]')" = "['name']" ] &&
	err 'tapxfer thaw: warning: tap12 .* renamed\.$'
result $? "thaw: the same, status 0: $(cat "$tmp/err")"
wait_gone
freeze
ip link set tap12 name $'t\e[1m\x7f'
run 0 tapxfer abort "$id" --token-file "$tmp/t11" && out 'aborted' &&
	err 'tapxfer abort: warning: t\?\[1m\? .* renamed\.$' && printable
result $? "abort: the same, of a name to be seen: $(cat -v "$tmp/err")"
wait_gone
ip link set $'t\e[1m\x7f' name tap12
freeze
ip link set tap12 name tap11
run 0 tapxfer abort "$id" --token-file "$tmp/t11" && out 'aborted' &&
	err 'tapxfer abort: warning: tap11 .* renamed\.$'
result $? "abort: the same: $(cat "$tmp/err")"
pid=$first
stop
pid=$source
stop

# -- a target that expects every queue enabled
start tap13 4 detached nonblock
run 0 tapxfer freeze --pid "$pid" --deadline 2m --token-out "$tmp/t13" &&
	id=$(sed 's/handover \([0-9]*\).*/\1/' "$tmp/out") &&
	run 0 tapxfer claim "$id" --token-file "$tmp/t13" --attach-all -- true &&
	run 0 tapxfer show tap13 && out 'num-queues +3 enabled'
result $? "claim --attach-all: nothing before the thaw"
wait_frozen "$id"
run 0 tapxfer claim "$id" --token-file "$tmp/t13" --attach-all -- \
	tapxfer thaw "$id" --shared --token-file "$tmp/t13" &&
	out 'tap13 thawed' && run 0 tapxfer show tap13 &&
	out 'num-queues +4 enabled' && ! out 'num-detached +[1-9]'
result $? "claim --attach-all: all are from the thaw on"
stop

# -- what stops a handover
start tap1 2 split
run 2 tapxfer check tap1 --pid "$pid" && out "has 1 of 2 queues; the others: pid [0-9]+ \(python3.*\) fd"
result $? "check: queues missing, and who has them: $(grep others "$tmp/out")"
run 2 tapxfer freeze --pid "$pid" --token-out "$tmp/t" && :
run 2 tapxfer freeze --pid "$pid" --token-out "$tmp/t4" && err 'queue files are missing'
result $? "freeze: queues missing: $(cat "$tmp/err")"
stop
start tap2 2 frags
run 2 tapxfer check tap2 && out 'IFF_NAPI_FRAGS'
result $? "check: NAPI_FRAGS"
run 2 tapxfer prepare --pid "$pid" --token-out "$tmp/t4" && err "IFF_NAPI_FRAGS.*\(fd [0-9]+ of process $pid\)"
result $? "prepare: NAPI_FRAGS, the process's own number: $(cat "$tmp/err")"
stop
start tap3 2 flight
run 2 tapxfer check tap3 --pid "$pid" --try && out 'stops: 1 reference to queue files that no process' &&
	out 'files are in flight, .*python3'
result $? "check: a file in flight: $(grep explains "$tmp/out")"
stop
start tap4 2 lost
run 2 tapxfer check tap4 --pid "$pid" && out 'has 1 of 2 queues; no process.*has the others, files are in flight in pid'
result $? "check: the only reference in flight"
stop
start tap9 256 poll
# in poll(), or on arm64 in ppoll()
for _ in $(seq "$tries"); do
	case $(cut -d ' ' -f 1 "/proc/$pid/syscall") in 7 | 73) break ;; esac
	sleep 0.05
done
run 0 tapxfer -j check --pid "$pid" --try &&
	[ "$(field '[f["what"] for f in o["findings"]], o["found"]')" = "(['calls'], 256)" ]
result $? "check: 256 queues in a poll that sleeps"
begin=${EPOCHREALTIME/./}
run 0 tapxfer freeze --pid "$pid" --hold 1000 --token-out "$tmp/t9" &&
	out 'frozen, 256 queues' &&
	run 0 tapxfer abort "$(sed 's/handover \([0-9]*\).*/\1/' "$tmp/out")" --token-file "$tmp/t9"
result $? "freeze: 256 queues by process, and abort, in $(((${EPOCHREALTIME/./} - begin) / 1000)) ms"
stop
modprobe vhost_net
start tap10 1 vhost
run 0 tapxfer check tap10 && out "vhost-net is open \(pid $pid "
result $? "check: vhost-net"
stop
rmmod vhost_net 2>/dev/null
start tap5 2 share
run 0 tapxfer check tap5 --pid "$pid" --try && out 'note: queue files of process .* are also: pid'
result $? "check: files shared with another process"
cat >"$tmp/nobody.py" <<'END'
import os, sys
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
os.execvp(sys.argv[1], sys.argv[1:])
END
chmod 755 "$tmp"
nobody() { python3 "$tmp/nobody.py" "$@"; }
run 2 nobody tapxfer show tap5 --pid "$pid" && err 'may not look into process.*CAP_SYS_PTRACE'
result $? "show: another user's process: $(cat "$tmp/err")"
run 2 nobody tapxfer check tap5 --pid "$pid" && out 'may not be looked into'
result $? "check: another user's process"
run 2 nobody tapxfer check tap5 hold 20000 && out 'hold 20000 is above 16384'
result $? "check: hold for the privileged alone"
stop
start tun0 1 tun
run 0 tapxfer show tun0 --pid "$pid" && out 'type +tun' && run 0 tapxfer check tun0
result $? "a tun"
ip netns add twin
rm -f "$tmp/fifo"; mkfifo "$tmp/fifo"
ip netns exec twin python3 "$tmp/source.py" tun0 1 tun >"$tmp/fifo" &
twin=$!
sources+=("$twin")
read -r _ <"$tmp/fifo"
run 2 tapxfer check tun0 --pid "$pid" && out 'another device of this host has its name'
result $? "check: a tun whose name is there twice"
stop
pid=$twin
stop
ip netns del twin

# -- network namespaces: the same name in two
ip netns add other
start tap6 2
pid6=$pid
ip netns exec other true
rm -f "$tmp/fifo"; mkfifo "$tmp/fifo"
ip netns exec other python3 "$tmp/source.py" tap6 3 >"$tmp/fifo" &
pid7=$!
sources+=("$pid7")
read -r _ <"$tmp/fifo"
run 0 tapxfer check tap6 && out "process $pid6 .* has 2 of 2" && ! out "pid $pid7"
result $? "netns: a namesake's files are left out"
run 0 tapxfer -n other check tap6 && out "process $pid7 .* has 3 of 3"
result $? "netns: -n"
run 2 tapxfer show tap6 --pid "$pid7" && err "process $pid7 has no queue file of tap6"
result $? "netns: the namesake's process: $(cat "$tmp/err")"
run 0 tapxfer -n other freeze --pid "$pid7" --deadline 2m --token-out "$tmp/t7" && id=$(sed 's/handover \([0-9]*\).*/\1/' "$tmp/out") &&
	run 0 tapxfer -n /run/netns/other claim "$id" --token-file "$tmp/t7" -- \
		bash -c "readlink /proc/self/ns/net; tapxfer -n other thaw $id --shared --token-file $tmp/t7; true" &&
	out "^$(readlink /proc/self/ns/net | sed 's/[][]/\\&/g')$" && out thawed
result $? "netns: freeze and claim there, the command runs here"
for pid in $pid6 $pid7; do stop; done
ip netns del other

plan
