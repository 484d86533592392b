#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The token of a handover that the command makes is in the file that was named for
# it and nowhere else: in no output, argument, environment, log or trace.

here=$(dirname "$(readlink -f "$0")")
# shellcheck source=selftests/lib/result.sh
. "$here/lib/result.sh"

seen=$tmp/seen
tracing=/sys/kernel/tracing
mkdir "$seen"

show() { sed 's/^/# /' "$tmp/last"; }

# say STATUS CMD…: what it says is searched later
says=0
say()
{
	local want=$1 rc

	shift
	says=$((says + 1))
	"$@" >"$seen/say.$says" 2>&1 </dev/null
	rc=$?
	cp "$seen/say.$says" "$tmp/last"
	[ $rc = "$want" ] || echo "exit status $rc, not $want: $*" >>"$tmp/last"
	[ $rc = "$want" ]
}

# What anybody could find of a process while it runs, of all of them
cat >"$tmp/look" <<'END'
#!/bin/bash
# look WHERE: becomes nothing else, so that its environment is a command's
for p in /proc/[0-9]*; do
	cat "$p/cmdline" "$p/environ" "$p/comm" "$p"/fdinfo/* 2>/dev/null
	for fd in "$p"/fd/*; do readlink "$fd" 2>/dev/null; done
done >"$1"
# and of the kernel
cat /proc/self/net/{,*/}* /sys/module/tapxfer/{,*/}* >>"$1" 2>/dev/null
# and what it has inherited: a descriptor must not lead to it
for fd in /proc/self/fd/*; do
	case $(readlink "$fd") in
	*/token) echo "a descriptor of the token file" >>"$1.bad" ;;
	esac
done
END
chmod +x "$tmp/look"

cat >"$tmp/source.py" <<'END'
import fcntl, os, struct, sys, time
fds = []
for i in range(2):
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, 0x400454ca, struct.pack("16sH22x", b"tap0", 0x5102))
    fds.append(fd)
print("up", flush=True)
time.sleep(1000)
END

mkfifo "$tmp/fifo"
python3 "$tmp/source.py" >"$tmp/fifo" &
source=$!
trap 'kill -KILL $source $monitor $monitor_j 2>/dev/null; rm -rf "$tmp"' EXIT
read -r _ <"$tmp/fifo"

: >"$tracing/trace"
# error texts, since Linux 5.11
events=tapxfer
[ ! -d "$tracing/events/netlink" ] || events="$events netlink"
for d in $events; do
	echo 1 >"$tracing/events/$d/enable" || exit 1
done
tapxfer monitor >"$seen/monitor" 2>&1 &
monitor=$!
tapxfer -j monitor >"$seen/monitor.json" 2>&1 &
monitor_j=$!
for _ in $(seq 200); do
	[ "$(awk '$2 == 16' /proc/net/netlink | wc -l)" -ge 2 ] && break
	sleep 0.05
done

token=$tmp/token
id=''
begin()		# CMD
{
	rm -f "$token"
	say 0 tapxfer "$1" tap0 --pid "$source" --deadline 2m --token-out "$token" &&
		id=$(sed -n 's/handover \([0-9]*\).*/\1/p' "$tmp/last") && [ -n "$id" ]
}
go() { tapxfer "$1" "$id" --token-file "$token" "${@:2}"; }
look_around()
{
	say 0 tapxfer list && say 0 tapxfer -j list && say 0 tapxfer list "$id" &&
		say 0 tapxfer -j list "$id" && say 0 tapxfer show tap0 && say 0 tapxfer -j show tap0
}

begin prepare
result $? "prepare"
[ "$(stat -c %a "$token")" = 600 ] && grep -qE '^[0-9a-f]{32}$' "$token"
result $? "the token is in a file that its owner alone reads"
hex=$(tr -d '\n' <"$token")
cp "$token" "$tmp/kept"
look_around && say 0 go hold && look_around && say 0 go freeze && look_around && say 0 go drain
result $? "hold, freeze, drain"
# what fails: a wrong token, the wrong state, a token given where none belongs
echo "${hex//[0-9]/0}" >"$tmp/wrong"
say 2 tapxfer thaw "$id" --token-file "$tmp/wrong"; a=$?
say 2 go thaw; b=$?
echo "$hex$hex" >"$tmp/long"
say 2 tapxfer abort "$id" --token-file "$tmp/long"; c=$?
say 2 tapxfer freeze tap0 --pid "$source" --token-out "$token"; d=$?
[ "$a$b$c$d" = 0000 ]
result $? "what fails"
say 0 go claim -- "$tmp/look" "$seen/proc.claim"
result $? "a claim's command looks around"
say 0 tapxfer abort "$id" --token-fd 7 7<"$tmp/kept"
result $? "abort, the token on a descriptor"

# on standard input, for a command that inherits it
for _ in $(seq 100); do [ "$(tapxfer -j list)" = "[]" ] && break; sleep 0.05; done
begin freeze
result $? "freeze"
hex2=$(tr -d '\n' <"$token")
[ -n "$hex2" ] && [ "$hex" != "$hex2" ]
result $? "it has another token"
tapxfer claim "$id" --token-fd 0 -- "$tmp/look" "$seen/proc.stdin" <"$token" >"$seen/say.stdin" 2>&1
result $? "claim, the token on standard input"
say 0 go abort
result $? "abort"

sleep 0.2
kill "$monitor" "$monitor_j"
wait "$monitor" "$monitor_j" 2>/dev/null
for d in $events; do
	echo 0 >"$tracing/events/$d/enable"
done
cp "$tracing/trace" "$seen/trace"
dmesg >"$seen/dmesg"

# there is something to be searched
[ -s "$seen/monitor" ] && grep -q '"event"' "$seen/monitor.json" && grep -q tapxfer_state "$seen/trace" &&
	grep -qa TAPXFER_ID= "$seen/proc.claim" && grep -qa TAPXFER_ID= "$seen/proc.stdin" && [ -s "$seen/dmesg" ] &&
	[ "$(grep -ca '^iff:.tap0$' "$seen/proc.claim")" -ge 4 ] && grep -qa '^Num  *RefCount' "$seen/proc.claim" &&
	grep -qa "^$(cat /sys/module/tapxfer/version)$" "$seen/proc.claim"
result $? "all was looked at"

# half of it would be too much: any eight bytes in a row, in digits, escaped, or as
# they are
found()		# DIR HEX
{
	python3 - "$1" "$2" <<'END'
import pathlib, re, sys
token = bytes.fromhex(sys.argv[2])
parts = [token[i:i + 8] for i in range(len(token) - 7)]
escape = re.compile(rb"\\(?:(?:x|u00)([0-9a-fA-F]{2})|([0-3][0-7]{2}))")
between = re.compile(rb"[-: %,]|0[xX]|\\x|\\u00")
def byte(m):
    return bytes([int(m[1], 16) if m[1] else int(m[2], 8)])
bad = False
for f in pathlib.Path(sys.argv[1]).iterdir():
    data = f.read_bytes()
    plain, digits = escape.sub(byte, data), between.sub(b"", data).lower()
    for p in parts:
        if p in data or p in plain or p.hex().encode() in digits:
            print(f"{f.name} has it")
            bad = True
            break
sys.exit(0 if bad else 1)
END
}
mkdir "$tmp/self" && cp "$tmp/kept" "$tmp/self" && found "$tmp/self" "$hex" >"$tmp/last"
result $? "where it is it is found"
r=0
for form in '%02x ' '%02X:' '%02x' '%#04x, ' %c '\x%02x' '\%03o' '\u00%02x'; do
	python3 -c 'import sys
text = "".join(sys.argv[1] % b for b in bytes.fromhex(sys.argv[2])[4:12])
open(sys.argv[3], "wb").write(text.encode("latin1"))' "$form" "$hex" "$tmp/self/kept"
	found "$tmp/self" "$hex" >/dev/null || { echo "$form is not found" >>"$tmp/last"; r=1; }
done
result $r "half of it is, however it is written"
! found "$seen" "$hex" >"$tmp/last" && ! found "$seen" "$hex2" >>"$tmp/last" &&
	! ls "$seen"/*.bad >>"$tmp/last" 2>/dev/null
result $? "where it should not be it is not"
plan
