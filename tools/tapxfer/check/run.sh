#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# check/run.sh PROG: what needs no kernel module, as TAP. selftests/t_cli.sh is for
# where there is one.

set -u

prog=$1
n=0 failed=0
err=$(mktemp)
token_file=
trap 'rm -f "$err" "$token_file"' EXIT

result()
{
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $n - $2"
	else
		echo "not ok $n - $2"
		sed 's/^/# /' "$err"
		failed=$((failed + 1))
	fi
}

# t STATUS PATTERN WORD…: one line on stderr, with one full stop at its end
t()
{
	local want=$1 pattern=$2 rc

	shift 2
	"$prog" "$@" </dev/null >/dev/null 2>"$err"
	rc=$?
	[ $rc = "$want" ] && [ "$(wc -l <"$err")" = 1 ] &&
		grep -qE -- "$pattern" "$err" && grep -q '[^.]\.$' "$err"
	result $? "status $want: $*"
}

# good PATTERN WORD…: an answer on stdout and nothing on stderr
good()
{
	local pattern=$1 out

	shift
	out=$("$prog" "$@" </dev/null 2>"$err") && [ ! -s "$err" ] &&
		grep -qE -- "$pattern" <<<"$out"
	result $? "status 0: $*"
}

token=00112233445566778899aabbccddeeff
token_file=$(mktemp)
echo "$token" >"$token_file"

good '^tapxfer [0-9]+\.[0-9]+\.[0-9]+$' -V
good '^  freeze ' --help
good '^  freeze ' help
good 'token-out PATH' help freeze
good 'token-out PATH' freeze --help
good 'source QMP --target QMP' help qemu
good '^libtapxfer [0-9]' version
good '"library-version":"[0-9]' -j version
good '^  "library-version": "[0-9]' -jp version

t 1 'no command; see'
t 1 "no command 'x'" x
t 1 "unknown option '-x'" -x list
t 1 'needs a name' -n
t 1 "no command 'x'; see 'tapxfer help help'" help x
t 1 "unknown word 'x'" features x
t 1 "unknown word '--'" list --
t 1 "'x' is no handover" list x
t 1 "'4294967296' is no handover" list 4294967296
t 1 "'hold' needs packets" freeze tap0 hold
t 1 "'hold' needs packets a queue, not '-1'" freeze tap0 hold -1
t 1 "not '1k'" freeze tap0 --hold=1k
t 1 "'hold' is there twice" freeze tap0 hold 1 --hold 2
t 1 "'pid' needs a process id, not '0'" freeze --pid 0
t 1 "not '3,,4'" freeze --fds 3,,4
t 1 "not ',3'" freeze --fds ,3
t 1 "not '3,x'" freeze --fds 3,x
t 1 "not '10h'" freeze tap0 deadline 10h
t 1 "not '1.5s'" freeze tap0 deadline 1.5s
t 1 "not '71582789m'" freeze tap0 deadline 71582789m
t 1 "not ''" freeze tap0 --deadline=
t 1 "'hold-bytes' needs a size" freeze tap0 --hold-bytes
for size in '' x -1 1KB 1.5G 1g 16777216T 99999999999999999999 '1 M'; do
	t 1 "not '$size'" freeze tap0 --hold-bytes "$size"
done
t 1 "'hold-bytes' is there twice" freeze tap0 hold-bytes 64k --hold-bytes=1
for size in 0 65536 64k 64K 256M 16G 16777215T 18446744073709551615; do
	t 1 'whose queues' freeze tap0 --hold-bytes "$size"
done
t 1 'begins the handover' freeze 3 hold-bytes 5M
t 1 "unknown word '--hold-bytes'" thaw 3 --hold-bytes 5M
t 1 'give one' freeze --pid 1 --fds 3
t 1 'give one' freeze 3 --pid 1
t 1 'give one' freeze dev tap0 id 3
t 1 'give one' thaw 3 token-file a token-fd 4
t 1 'whose queues' freeze tap0
t 1 'or a handover' freeze
t 1 'give --pid' prepare
t 1 'needs a place' freeze tap0 --pid 1
t 1 'a new one needs' freeze tap0 --pid 1 --token-file x
t 1 'another|elsewhere' freeze --pid 1 --token-out-fd 1
t 2 'not open for writing' freeze --pid 1 --token-out-fd 77
t 1 'has its token' freeze 3 token-out x
t 1 'begins the handover' freeze 3 hold 5
t 1 'token is needed' freeze 3
t 1 'token is needed' thaw 3
t 1 'which handover' thaw
t 1 'what shall get' claim 3
t 1 'what shall get' claim 3 --
t 1 'token is needed' claim 3 -- true
t 1 "'no-fds' takes no value" claim 3 --no-fds=1 -- true
t 1 'whose shall the claim be' claim 3 --no-fds
t 1 "'attach-all' takes no value" claim 3 --attach-all=1 -- true
t 1 "unknown word '--attach-all'" thaw 3 --attach-all
t 1 'token is needed' claim 3 no-fds -- true
t 1 "'shared' takes no value" thaw 3 --shared=yes
t 1 "'shared' is there twice" ready 3 shared --shared
t 1 "unknown word '--shared'" abort 3 --shared
t 1 "unknown word '--no-fds'" thaw 3 --no-fds
t 1 'token is needed' ready 3 shared
t 1 'which handover' ready
t 1 'which handover' drain
t 1 'token is needed' drain 3 --timeout 1s
t 1 "'timeout' needs a time" drain 3 --timeout 1x
t 1 'which handover' pass
t 1 'to which process' pass 3
t 1 'token is needed' pass 3 4
t 1 'token is needed' pass 3 --pid 4
t 1 "'x' is no process id" pass 3 x
t 1 "'0' is no process id" pass 3 0
t 1 "unknown word '5'" pass 3 4 5
t 1 "unknown word '4'" thaw 3 4
t 1 'which handover' export
t 1 "unknown word 'tap0'" export 3 tap0
t 1 'give one' export 3 --out a --out-fd 4
t 1 'with -j give --out' -j export 3
t 1 "'takes' needs features of a state" export 3 --takes
t 1 "'takes' needs features of a state, as in held,drained, not 'held,,left'" \
	export 3 --takes held,,left
t 1 "not 'nothing'" export 3 --takes nothing
t 2 "'/dev/null' exists: name a file that does not" export 3 --out /dev/null
t 2 "cannot write the state to '/nope/x'" export 3 --out /nope/x
t 1 'give one' import --in a --in-fd 4
t 1 'reads the state alone' import --show tap0
t 1 'reads the state alone' import --show --apply
t 1 'goes with --apply' import -- true
t 1 'goes with --apply' import --apply --
t 1 "'apply' takes no value" import --apply=1
t 1 "handover's number, or --fds" exec -- true
t 1 'what shall get' exec --fds 3
t 1 'what shall get' exec 3 --
t 1 "unknown word '--pid'" exec --pid 4 -- true
t 1 'give one' exec 3 --fds 3 -- true
t 1 'whose queues' fdstore
t 1 'whose queues' fdstore tap0
t 1 'goes with --restore' fdstore --fds 3 -- true
t 1 'goes with no device' fdstore --restore --hold 5 -- true
t 1 'what shall get' fdstore --restore
t 1 'give --source and --target' qemu
t 1 'give --source and --target' qemu --source a
t 1 'give --source and --target' qemu target b
t 1 "'source' needs the path" qemu --source
t 1 "'target' needs the path of a QMP socket, not ''" qemu source a target ''
t 1 "'netdev' needs names" qemu source a target b --netdev
t 1 "'dry-run' takes no value" qemu source a target b --dry-run=yes
t 1 "'hook' needs a program" qemu --hook
t 1 "unknown word 'tap0'" qemu tap0 source a target b
t 1 'never an argument' thaw 3 "$token"
t 1 'not a token' thaw 3 token-file "$token"
t 2 'what was read is no token' thaw 3 token-fd -
t 2 'what was read is no token' ready 3 token-fd -
t 2 'what was read is no token' pass 3 4 token-fd -
t 2 'no process 536870911' pass 3 536870911 token-file "$token_file"
t 2 'cannot read the token: Bad file' thaw 3 token-fd 77
t 2 "cannot read the token from '/nope'" thaw 3 token-file /nope
t 1 'whose queues' send tap0 --socket /nope
t 1 'give one' send tap0 --pid 1 --fds 3 --socket /nope
t 1 'where to' send tap0 --pid 1
t 1 'give one' send tap0 --pid 1 --socket /nope --socket-fd 3
t 1 'give one' send tap0 --pid 1 --socket /nope --late x --late-fd 3
t 1 "'transport' needs token or fds, not 'x'" send --pid 1 --transport x
t 1 "'local' needs fail or skip, not ''" send --pid 1 --local=
t 1 "'peer-uid' needs a user's number, not 'root'" send --pid 1 --peer-uid root
t 1 "'peer-pid' needs a process id, not '0'" recv --peer-pid 0
t 1 "'drain' takes no value" send --pid 1 --drain=1
t 1 "unknown word '--transport'" recv --transport fds
t 1 "unknown word '--'" send tap0 --pid 1 --socket /nope -- true
t 1 'where from' recv -- true
t 1 'what shall get' recv --socket /nope
t 1 'what shall get' recv --socket /nope --
t 2 "cannot run '/no/such': there is no such program" recv --socket /nope -- /no/such
t 2 "cannot run 'no-such-program': there is" recv --socket /nope -- no-such-program
t 2 "cannot listen at '/nope/nope'" recv --socket /nope/nope -- true
t 1 'which device' check
t 2 "network namespace 'no-such'" -n no-such list
t 2 'cannot enter' -n /dev/null list

n=$((n + 1))
if grep -q "$token" <("$prog" thaw 3 "$token" 2>&1; "$prog" list "$token" 2>&1); then
	echo "not ok $n - a token is never repeated"
	failed=$((failed + 1))
else
	echo "ok $n - a token is never repeated"
fi

"$prog" help >/dev/full 2>"$err"
[ $? = 2 ] && grep -q 'cannot write' "$err"
result $? "a full disk is told"
"$prog" -j version 2>"$err" >&- <&-
result $? "closed descriptors are made up for"

if "$prog" features >/dev/null 2>&1; then
	echo "# the module is here: selftests/t_cli.sh goes on"
else
	for words in features show list monitor 'list 3' 'abort 3' 'export 3' \
		'import --show' 'exec --fds 3 -- true' 'fdstore --fds 3'; do
		# shellcheck disable=SC2086
		t 2 'tapxfer module is not loaded: modprobe tapxfer' $words
	done
	for words in 'thaw 3' 'ready 3' 'drain 3' "pass 3 $$"; do
		# shellcheck disable=SC2086
		t 2 'tapxfer module is not loaded: modprobe tapxfer' $words \
			token-file "$token_file"
	done
	t 2 'tapxfer module is not loaded: modprobe tapxfer' claim 3 --no-fds \
		token-file "$token_file" -- true
	"$prog" check lo >"$err" 2>&1
	[ $? = 2 ] && grep -q 'the tapxfer module is not loaded; modprobe' "$err"
	result $? "check: the module is not loaded"
fi

# shellcheck source=tools/tapxfer/check/completion.sh
. check/completion.sh

echo "1..$n"
[ $failed = 0 ]
