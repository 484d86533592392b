#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# export and import on a kernel with the module: run in the virtual machine, as
# root.

here=$(dirname "$(readlink -f "$0")")
# shellcheck source=selftests/lib/result.sh
. "$here/lib/result.sh"
# shellcheck source=selftests/lib/command.sh
. "$here/lib/command.sh"

field() { python3 -c 'import json, sys
o = json.load(open(sys.argv[1]))
print(eval(sys.argv[2]))' "$tmp/out" "$1" 2>>"$tmp/err"; }

# Queue files are this shell's own, by number; python sets them up.
cat >"$tmp/tap.py" <<'END'
import fcntl, os, struct, sys
name, fds = sys.argv[1], [int(fd) for fd in sys.argv[2:]]
for fd in fds:
    fcntl.ioctl(fd, 0x400454ca, struct.pack("16sH22x", name.encode(), 0x5102))
fcntl.ioctl(fds[0], 0x400454d8, struct.pack("i", 12))
END
cat >"$tmp/set.py" <<'END'
import fcntl, os, struct, sys
fd, size = int(sys.argv[1]), int(sys.argv[2])
fcntl.ioctl(fd, 0x400454d8, struct.pack("i", size))
if len(sys.argv) > 3:
    os.execvp(sys.argv[3], sys.argv[3:])
END
hdr() { python3 -c 'import fcntl, struct, sys
print(struct.unpack("i", fcntl.ioctl(int(sys.argv[1]), 0x800454d7, bytes(4)))[0])' "$1"; }

exec 10<>/dev/net/tun 11<>/dev/net/tun
python3 "$tmp/tap.py" tap0 10 11
ip link set tap0 up
trap 'rm -rf "$tmp"' EXIT

run 0 tapxfer features && out 'state-features +held drained left detached' && silent
result $? "features: of a state"
run 0 tapxfer -j features && [ "$(field 'o["state-features"]')" = "['held', 'drained', 'left', 'detached']" ]
result $? "features: of a state, as JSON"

run 0 tapxfer -j prepare tap0 --fds 10,11 --token-out "$tmp/token" --deadline 5m
id=$(field 'o["id"]')
run 2 tapxfer export "$id" --out "$tmp/early" && err 'is prepared' && [ ! -e "$tmp/early" ]
result $? "export: before the freeze: $(cat "$tmp/err")"
run 0 tapxfer freeze "$id" --token-file "$tmp/token"
ping -c 3 -i 0.1 -W 1 -I tap0 10.9.8.7 >/dev/null 2>&1
ip addr add 10.9.8.1/24 dev tap0
for i in 2 3 4 5; do ip neigh add "10.9.8.$i" lladdr "02:00:00:00:00:0$i" dev tap0; done
for i in 2 3 4 5; do echo held | timeout 5 nc -u -w 1 "10.9.8.$i" 9 >/dev/null 2>&1; done

run 0 tapxfer export "$id" --out "$tmp/state" && out "^handover $id: tap0 saved, 2 queues, [1-9][0-9]* packets held; held drained$" && silent
result $? "export: to a file: $(cat "$tmp/out")"
[ "$(stat -c %a "$tmp/state")" = 600 ] && [ "$(head -c 7 "$tmp/state")" = TAPXFER ] &&
	! grep -q "$(cat "$tmp/token")" "$tmp/state"
result $? "export: a file of the user's own"
run 2 tapxfer export "$id" --out "$tmp/state" && err 'exists: name a file'
result $? "export: a file that is there: $(cat "$tmp/err")"
run 0 tapxfer -j export "$id" --out "$tmp/state2" &&
	[ "$(field 'o["uses"], o["num-queues"], o["dev"]["vnet-hdr-sz"], len(o["queue"])')" = "(['held', 'drained'], 2, 12, 2)" ]
result $? "export: JSON"
[ "$(field 'sum(q["held"] for q in o["queue"]) == o["held"] > 0')" = True ]
result $? "export: what each queue carries"
run 1 tapxfer -j export "$id" && err 'with -j give --out'
result $? "export: JSON and the state want one place: $(cat "$tmp/err")"
run 2 tapxfer export "$id" --out "$tmp/no" --takes held,left && err "feature 'drained', which the other side does not take" && [ ! -e "$tmp/no" ]
result $? "export: what the other side does not take: $(cat "$tmp/err")"
run 1 tapxfer export "$id" --takes held,what && err "'takes' needs features of a state"
result $? "export: unknown features: $(cat "$tmp/err")"
run 2 tapxfer export 4711 --out "$tmp/no" && err 'no such handover' && [ ! -e "$tmp/no" ]
result $? "export: no such handover"
run 2 sh -c "exec tapxfer export $id >/dev/full" && err 'No space left'
result $? "export: a full disk: $(cat "$tmp/err")"

# a pipe, with bytes of the caller's own behind the state
run 0 bash -c "{ tapxfer export $id; echo tail; } | { tapxfer -j import --show; cat >$tmp/tail; }" &&
	[ "$(cat "$tmp/tail")" = tail ] && [ "$(field 'o["ifname"], o["id"]')" = "('tap0', $id)" ]
result $? "import: through a pipe, and no byte too many"
run 0 tapxfer import --show --in "$tmp/state" && out 'uses +held drained' && out 'vnet-hdr-sz +12' && out 'reads +held' && silent
result $? "import: show"
run 0 tapxfer import --in "$tmp/state" && out 'against tap0$' && [ "$(wc -l <"$tmp/out")" = 1 ] && silent
result $? "import: the frozen device is what it says"

head -c 100 "$tmp/state" >"$tmp/short"
run 2 tapxfer import --show --in "$tmp/short" && err 'ended after 100 bytes'
result $? "import: cut short: $(cat "$tmp/err")"
{ head -c 60 "$tmp/state"; printf '\377'; tail -c +62 "$tmp/state"; } >"$tmp/bad"
run 2 tapxfer import --show --in "$tmp/bad" && err 'wrong checksum'
result $? "import: damaged: $(cat "$tmp/err")"
run 2 tapxfer import --show --in /proc/self/exe && err 'no state of tapxfer'
result $? "import: no state: $(cat "$tmp/err")"
run 2 tapxfer import --show --in "$tmp/nope" && err "cannot read the state from '.*nope': No such file"
result $? "import: no file: $(cat "$tmp/err")"
run 2 tapxfer import --in "$tmp/state" --takes held,left && err "uses feature 'drained', which is not taken here"
result $? "import: what is not taken: $(cat "$tmp/err")"
run 1 tapxfer import --show tap0 --in "$tmp/state" && err '--show reads the state alone'
result $? "import: show of a device"
run 1 tapxfer import --in "$tmp/state" -- true && err 'goes with --apply'
result $? "import: a command without --apply"
run 2 tapxfer import --in "$tmp/state" --apply --fds 10,11 && err 'tap0 is in a handover that is frozen: claim it first'
result $? "import: apply to what nobody has claimed: $(cat "$tmp/err")"
run 1 tapxfer import --in "$tmp/state" --apply && err 'whose queue files shall set it'
result $? "import: apply without files: $(cat "$tmp/err")"

# A claimant that spoils its tap, has it put right, and thaws: one process
run 0 tapxfer claim "$id" --token-file "$tmp/token" -- python3 "$tmp/set.py" '{fd0}' 10 \
	tapxfer -j import --in "$tmp/state" --apply -- \
	tapxfer thaw "$id" --token-file "$tmp/token" --shared
grep -q '"applied":true' "$tmp/out" && grep -q '"attribute":"vnet-hdr-sz","kind":"file","saved":12,"live":10' "$tmp/out"
result $? "import: apply within a claim: $(head -c 300 "$tmp/err")"
[ "$(hdr 10)" = 12 ]
result $? "import: and it reached the device"
for _ in $(seq 100); do
	[ "$(tapxfer -j list)" = "[]" ] && break
	sleep 0.1
done

# A device of one's own: differences by name, and rtnetlink's as well
run 2 tapxfer import --in "$tmp/state" --apply --fds 10,11 && err 'queues of tap0 run'
result $? "import: apply to queues that run: $(cat "$tmp/err")"
exec 12<>/dev/net/tun 13<>/dev/net/tun
python3 "$tmp/tap.py" tap1 12 13
python3 "$tmp/set.py" 12 10
ip link set tap1 mtu 1400 txqueuelen 77
run 2 tapxfer import tap1 --fds 12,13 --in "$tmp/state" &&
	out 'mtu +1500, the device has 1400$' && out 'tx-queue-len +1000 packets*, the device has 77|tx-queue-len +1000, the device has 77' &&
	out 'vnet-hdr-sz +12, the device has 10$' && out 'ifname +tap0, the device has tap1 \(need not agree\)' &&
	err 'not what the state says, in [4-9] settings; --apply'
result $? "import: another device: $(cat "$tmp/err")"
mac=$(cat /sys/class/net/tap0/address)
run 2 tapxfer import tap1 --fds 13,12,12 --in "$tmp/state" --apply && err '3 files, and the state has 2 queues' &&
	[ "$(cat /sys/class/net/tap1/mtu)" = 1400 ]
result $? "import: apply with too many files: $(cat "$tmp/err")"
# rtnetlink's part is done, and then the files' fails: it is taken back
exec 14<>/dev/net/tun
python3 "$tmp/tap.py" tap2 14
ip link set tap1 up
run 2 tapxfer import tap1 --fds 12,13 --in "$tmp/state" --apply && err 'the link is up' && [ "$(hdr 12)" = 10 ]
result $? "import: apply to another device that is up: $(cat "$tmp/err")"
ip link set tap1 down
run 0 tapxfer import tap1 --fds 12,13 --in "$tmp/state" --apply && silent &&
	[ "$(cat /sys/class/net/tap1/mtu) $(cat /sys/class/net/tap1/tx_queue_len) $(cat /sys/class/net/tap1/address) $(hdr 12)" = "1500 1000 $mac 12" ]
result $? "import: apply to another device: $(cat "$tmp/err")"
run 0 tapxfer import tap1 --fds 12,13 --in "$tmp/state" && out 'ifindex .*need not agree' && silent
result $? "import: which is what the state says then"
run 2 tapxfer import nope0 --in "$tmp/state" && err "no interface 'nope0'"
result $? "import: no such device: $(cat "$tmp/err")"

exec 10>&- 11>&- 12>&- 13>&- 14>&-
plan
