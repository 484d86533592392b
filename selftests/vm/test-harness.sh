#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The harness has to see a failure when there is one: show it machines that
# break in every way, faked ones and a real one, and look at its verdict.
#
#	test-harness.sh [-t TOTALS]

set -uo pipefail

here=$(dirname "$(readlink -f "$0")")
totals=
[ "${1-}" != -t ] || totals=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
n=0
failed=0

result()
{
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $n harness: $2"
	else
		failed=$((failed + 1))
		echo "not ok $n harness: $2"
		sed 's/^/# /' "${3-$work/out}"
	fi
}

# The fake machine prints the file "tests", and lives as long as "life" says.
fake()
{
	"$here/judge" --list "$work/list" --console "$work/console" \
		--totals "$work/totals" --boot-timeout 1 --grace 0.3 "$@" -- \
		sh -c "cat $work/tests; $(cat "$work/life")" >"$work/out" 2>&1
}

# fresh TEXT: a machine with one test t, which prints TEXT and exits with $2
fresh()
{
	rm -f "$work/totals"
	echo "t 1" >"$work/list"
	echo true >"$work/life"
	echo "[    0.1] vm: begin t 1" >"$work/console"
	printf '# vm: start x\n# vm: begin t 1\n%b\n# vm: end t %s\n# vm: done\n' \
		"$1" "${2:-0}" >"$work/tests"
}

# judged NAME PASSED FAILED TEXT [REPORTS]: the verdict's numbers, its reason, its
# status, and what it says of the kernel
judged()
{
	local rc=0 kernel="clean"

	[ -z "${5-}" ] || kernel="$5 reports"
	fake || rc=$?
	[ $rc = $(($3 > 0)) ] && [ "$(cat "$work/totals")" = "$2 $3 ${5:-0}" ] &&
		grep -qF -- "$4" "$work/out" &&
		grep -qx "# kernel: $kernel" "$work/out"
	result $? "$1"
}

good='TAP version 13\n1..2\nok 1 a\nok 2 b'

fresh "$good"
judged "a whole and clean run passes" 4 0 "4 passed, 0 failed"
fresh 'TAP version 13\n1..2\nok 1 a\nnot ok 2 b' 1
judged "a failed result" 3 1 "FAIL t: not ok 2 b"
fresh 'ok 1 a\nok 2 b'
judged "no plan" 4 1 "0 TAP plans"
fresh "$good\n1..2"
judged "two plans" 4 1 "2 TAP plans"
fresh '1..3\nok 1 a'
judged "fewer results than planned" 3 2 "result 2 of 3 is missing"
fresh '1..1\nok 1 a\nok 2 b'
judged "more results than planned" 4 1 "numbered otherwise"
fresh '1..2\nok 1 a\nok 1 a'
judged "one result twice" 4 2 "result 2 of 2 is missing"
fresh '1..2\nok 1 a\nok 2 b # SKIP no tun'
judged "a skipped result" 3 1 "could not run"
fresh '1..0 # SKIP no tun' 4
judged "a skipped test" 2 1 "nothing was run"
fresh '1..2\nok 1 a\nBail out! no memory' 1
judged "a test that bailed out" 3 2 "Bail out!"
fresh ''
judged "a test that says nothing" 2 1 "0 TAP plans"
fresh "$good" 1
judged "an exit status" 4 1 "exit status 1"
fresh "$good" 139
judged "a test that crashed" 4 1 "exit status 139"
fresh "$good" 124
judged "a test that was timed out" 4 1 "not done in 1 s"
fresh 'sh: ./t: not found' 127
judged "a test that cannot be run" 2 2 "cannot be run"
fresh "$good"
echo "u 1" >>"$work/list"
judged "a test that was never run" 3 1 "u was never run"
fresh "$good"
sed -i 's/^# vm: end/# vm: left t dev:tap0\n&/' "$work/tests"
judged "a test that left a device behind" 4 1 "left behind: dev:tap0"
fresh "$good"
sed -i '/^# vm: end/,$d' "$work/tests"
judged "a machine that died in a test" 3 2 "never ended" 1
fresh "$good"
sed -i '/^# vm: done/d' "$work/tests"
judged "a machine that died between tests" 3 1 "guest died" 1
fresh "$good"
sed -i '/^# vm: end/,$d' "$work/tests"
echo 'exec sleep 60' >"$work/life"
judged "a machine that hung in a test" 3 2 "guest hung in t" 1
fresh "$good"
: >"$work/tests"
judged "a kernel that did not boot" 1 2 "kernel did not boot" 1
: >"$work/tests"
rm "$work/totals"
echo 'exec sleep 60' >"$work/life"
judged "a kernel that hung while it booted" 1 2 "kernel did not boot in 1" 1
fresh "$good"
rm "$work/console"
judged "no kernel log" 3 1 "no kernel log" 1

while read -r line; do
	fresh "$good"
	echo "[    1.0] $line" >>"$work/console"
	judged "kernel said: $line" 3 1 "kernel, in t: [    1.0] $line" 1
done <<'END'
WARNING: CPU: 0 PID: 1 at kernel/softirq.c:376 __local_bh_enable_ip+0x6a/0x80
BUG: kernel NULL pointer dereference, address: 0000000000000010
BUG: scheduling while atomic: t/60/0x00000002
BUG: sleeping function called from invalid context at kernel/locking/mutex.c:580
BUG kmalloc-64 (Tainted: G           OE     ): Poison overwritten
Oops: 0000 [#1] PREEMPT SMP NOPTI
general protection fault, probably for non-canonical address 0xdead000000000108
kernel BUG at lib/list_debug.c:56!
list_del corruption. prev->next should be ffff888, but was 0000000
refcount_t: underflow; use-after-free.
INFO: task t:60 blocked for more than 20 seconds.
rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:
rcu: INFO: rcu_preempt self-detected stall on CPU
watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [t:60]
unregister_netdevice: waiting for tap0 to become free. Usage count = 1
WARNING: possible circular locking dependency detected
WARNING: suspicious RCU usage
BUG: KASAN: use-after-free in tapxfer_thaw+0x10/0x20
UBSAN: shift-out-of-bounds in kmod/ring.c:10:20
ODEBUG: free active (active state 0) object type: timer_list hint: t+0x0/0x10
ref_tracker: tap0@0000000012345678 has 1/1 users at
INFO: trying to register non-static key.
kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)
kmemleak: Kernel memory leak detector disabled
BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 31s!
Out of memory: Killed process 60 (t) total-vm:1000kB
Kernel panic - not syncing: Fatal exception
Call Trace:
tapxfer: Unknown symbol tun_get_tx_ring (err -2)
END

fresh "$good"
printf '[ 1.0] %s\n' 'BUG: KASAN: double-free' 'vm: begin u 1' 'WARNING: CPU: 0' >>"$work/console"
judged "a kernel that said two things" 3 2 "kernel, in u: [ 1.0] WARNING" 2

# What only an emulator does to a kernel that boots is no verdict, but for a kernel
# to which it happens each time.
fresh "$good"
mv "$work/tests" "$work/late"
: >"$work/tests"
echo "[ 1.0] Oops: int3: 0000 [#1] SMP NOPTI" >"$work/oops"
cp "$work/oops" "$work/console"
echo "[ -e $work/again ] && cat $work/late && echo fine >$work/console; : >$work/again" >"$work/life"
judged "a kernel that the emulator broke is booted again" 4 0 "4 passed, 0 failed"
rm "$work/totals"
echo "echo >>$work/boots" >"$work/life"
cp "$work/oops" "$work/console"
judged "not for ever" 0 3 "kernel, in boot: [ 1.0] Oops: int3" 2
[ "$(wc -l <"$work/boots")" = 3 ]
result $? "three times"
fresh "$good"
cat "$work/oops" >>"$work/console"
rm -f "$work/boots"
echo "echo >>$work/boots" >"$work/life"
judged "nor once a test has begun" 3 1 "kernel, in t: [ 1.0] Oops: int3" 1
[ "$(wc -l <"$work/boots")" = 1 ]
result $? "once"

# Races of the kernel's own are told, and are no failure.
race()
{
	local line='=================================================================='

	printf '[ 1.0] %s\n' "$line" "BUG: KCSAN: data-race in a / b" "" \
		"write to 0xff of 8 bytes by task 1 on cpu 0:" "${@:- a+0x1/0x2}" "" \
		"read to 0xff of 8 bytes by interrupt on cpu 1:" " b+0x1/0x2" "$line"
}
ours=' x+0x1/0x2 [tapxfer]'
fresh "$good"
{ race; race; } >>"$work/console"
judged "races of the kernel's own" 4 0 "kernel: 2 races in which the module"
rm "$work/totals"
far=' a+0x1/0x2
[ 1.0] b+0x1/0x2
[ 1.0] c+0x1/0x2'
{ race "$far" ' d+0x1/0x2' "$ours"; race; } >>"$work/console"
judged "one far below the module" 4 0 "kernel: 4 races in which the module"
for frames in "$ours" "$far
[ 1.0]$ours"; do
	fresh "$good"
	{ race "$frames"; race; } >>"$work/console"
	judged "a race of the module's" 3 1 "kernel, in t: [ 1.0] BUG: KCSAN" 1
done

# Limits are those of a usual machine.
slowed()
{
	fake --scale 20
	grep -qx "# vm: 4 passed, 0 failed" "$work/out"
	result $? "$1"
}
fresh "$good"
mv "$work/tests" "$work/late"
: >"$work/tests"
echo "sleep 2; cat $work/late" >"$work/life"
slowed "a slow machine is given time to boot"
fresh "$good"
sed '/^# vm: end/,$d' "$work/tests" >"$work/early"
sed '1,/^ok 2/d' "$work/tests" >"$work/late"
: >"$work/tests"
echo "cat $work/early; sleep 2; cat $work/late" >"$work/life"
slowed "and for its tests"

# The demo's verdict is the last line, and ours when we know better.
demo()
{
	local rc=0

	fake "--demo${4-}" || rc=$?
	[ $rc = "$2" ] && [[ $(tail -n 1 "$work/out") == "$3"* ]]
	result $? "$1"
}

fresh 'a table\ndemo: PASS lost=0'
sed -i 's/\bt\b/demo.sh/' "$work/list" "$work/tests"
demo "the demo passes" 0 "demo: PASS lost=0"
echo "[ 1.0] WARNING: CPU: 0" >>"$work/console"
demo "the demo passes but the kernel complains" 1 "demo: FAIL"
fresh 'a table\ndemo: FAIL lost=3' 1
sed -i 's/\bt\b/demo.sh/' "$work/list" "$work/tests"
demo "the demo fails" 1 "demo: FAIL lost=3"
fresh 'a table\ndemo: PASS lost=0' 1
sed -i 's/\bt\b/demo.sh/' "$work/list" "$work/tests"
demo "the demo passes but exits with 1" 1 "demo: FAIL"
fresh 'a table'
sed -i 's/\bt\b/demo.sh/' "$work/list" "$work/tests"
demo "the demo has no verdict" 1 "demo: FAIL"
fresh 'a table\nqemu-demo: PASS lost=0'
sed -i 's/\bt\b/qemu_demo.py/' "$work/list" "$work/tests"
demo "another demo passes" 0 "qemu-demo: PASS lost=0" =qemu-demo
echo "[ 1.0] WARNING: CPU: 0" >>"$work/console"
demo "another demo passes but the kernel complains" 1 "qemu-demo: FAIL" =qemu-demo

# make check cannot go on without its cache: that is a failure and no silence.
XDG_CACHE_HOME=/dev/null "$here/check.sh" >"$work/out" 2>&1
[ $? = 1 ] && [ "$(tail -n 1 "$work/out")" = "0 passed, 1 failed" ]
result $? "make check that comes to no end"

# make check-debug adds up what its machines say, of which the second is told
# what to say. No kernel is built here: these stand in for what builds and boots.
dbg=$work/debug/selftests/vm
kdir=$work/kernel/lib/modules/test/build
mkdir -p "$dbg" "$kdir" "$work/debug"/{kmod,include}
cp "$here"/{check-debug,mkmodule}.sh "$dbg"
printf '#!/bin/sh\n' >"$dbg/deps.sh"
printf '#!/bin/sh\necho test\n' >"$dbg/mkkernel.sh"
printf '#!/bin/sh\necho %s/kernel\n' "$work" >"$dbg/fetch.sh"
printf '.PHONY: modules lib cli examples selftests\nmodules lib cli examples selftests:\n' |
	tee "$kdir/Makefile" >"$work/debug/Makefile"
cat >"$dbg/run.sh" <<'END'
#!/bin/bash
[ "$1" != -n ] || { seq -f t_%g 8; exit; }
while getopts m:k:c:t: o; do declare "$o=$OPTARG"; done
shift $((OPTIND - 1))
echo "ran: $*"
says="5 0 0"
[[ $c != *-2.log ]] || says=$SAYS
[ -z "$says" ] || echo "$says" >"$t"
END
chmod +x "$dbg"/*.sh

# debugged NAME SAYS PASSED FAILED KERNEL
debugged()
{
	local rc=0

	SAYS=$2 "$dbg/check-debug.sh" >"$work/out" 2>&1 </dev/null || rc=$?
	[ $rc = $(($4 > 0)) ] &&
		[ "$(sed -n 's/^ran: //p' "$work/out" | tr ' ' '\n' | sort)" = "$(seq -f t_%g 8)" ] &&
		[ "$(tail -n 2 "$work/out")" = "kernel: $5"$'\n'"$3 passed, $4 failed" ]
	result $? "make check-debug: $1"
}
debugged "all is well" "5 0 0" 25 0 clean
debugged "a machine has a failure" "4 1 0" 24 1 clean
debugged "a machine's kernel complains" "4 2 2" 24 2 "2 reports"
debugged "a machine says nothing" "" 20 1 "1 reports"
printf '#!/bin/sh\nexit 1\n' >"$dbg/mkkernel.sh"
"$dbg/check-debug.sh" >"$work/out" 2>&1
[ $? = 1 ] && [ "$(tail -n 2 "$work/out")" = $'kernel: 1 reports\n0 passed, 1 failed' ]
result $? "make check-debug that comes to no end"

# make check-kernels does so with kernels, and these stand in for what it calls.
krn=$work/kernels/selftests/vm
mkdir -p "$krn" "$work"/kernels/{Documentation,include,tools/{lib,tapxfer,examples}}
cp "$here"/{check-kernels,result}.sh "$krn"
printf '# comment\n5.10\ta b c\n7.2\ta b c\n' >"$krn/series"
printf '#!/bin/sh\n' | tee "$krn/deps.sh" >"$krn/mkrefused.sh"
printf '#!/bin/sh\necho 6.1.0-test-arm64\n' >"$krn/mksysroot.sh"
cat >"$krn/mkksft.sh" <<'END'
#!/bin/sh
mkdir -p "$1"
END
cat >"$krn/fetch.sh" <<'END'
#!/bin/sh
[ "$2" = "$LACKS" ] || echo "$2.0-test"
END
cat >"$krn/mkmodule.sh" <<'END'
#!/bin/sh
mkdir -p "$2/kmod"
case $1-$3 in $FAILS) exit 1 ;; $WARNS) echo warning: x ;; esac
echo "module of $1" >"$2/kmod/tapxfer.ko"
END
cat >"$krn/run.sh" <<'END'
#!/bin/bash
while getopts bm:k:t:x:e:c: o; do declare "$o=$OPTARG"; done
[ "$(cat "$m")" = "module of $k" ] || exit
case $k in
5.10.0-test) echo "5 0 0" >"$t" ;;
7.2.0-test) [ -z "$SAYS" ] || echo "$SAYS" >"$t" ;;
*) [[ $0 != */arm64/* ]] || echo "4 0 0" >"$t" ;;
esac
END
printf '.PHONY: clean lib cli examples selftests\nclean lib cli examples selftests:\n' |
	tee "$work"/kernels/{,tools/{lib,tapxfer,examples}/,selftests/}Makefile \
		>"$work/kernels/dkms.conf"
chmod +x "$krn"/*.sh

# kernels NAME LACKS FAILS WARNS SAYS PASSED FAILED THAT-KERNEL-IN-THE-TABLE
kernels()
{
	local rc=0

	LACKS=$2 FAILS=$3 WARNS=$4 SAYS=$5 "$krn/check-kernels.sh" \
		>"$work/out" 2>&1 </dev/null || rc=$?
	[ $rc = $(($7 > 0)) ] &&
		[ "$(tail -n 1 "$work/out")" = "$6 passed, $7 failed" ] &&
		[ "$(tail -n 5 "$work/out" | grep -c '^# 5.10.0-test  *ok  *ok  *5  *0 ')" = 1 ] &&
		tail -n 4 "$work/out" | grep -qE "^# $8" &&
		tail -n 3 "$work/out" | grep -q "^# 6.1.0-test-arm64  *ok  *ok  *4  *0 "
	result $? "make check-kernels: $1"
}
kernels "all is well" - - - "6 0 0" 34 0 "7.2.0-test +ok +ok +6 +0 "
kernels "a test fails" - - - "5 1 0" 33 1 "7.2.0-test +ok +ok +5 +1 "
kernels "a build that warns" - - 7.2.0-test-W=1 "6 0 0" 33 1 "7.2.0-test +FAILED +ok +6 +0 "
kernels "sparse finds something" - - 7.2.0-test-C=2 "6 0 0" 33 1 "7.2.0-test +ok +FAILED +6 +0 "
kernels "a build that fails" - 7.2.0-test-W=1 - "6 0 0" 26 2 "7.2.0-test +FAILED +ok +0 +0 "
kernels "a machine says nothing" - - - "" 27 1 "7.2.0-test +ok +ok +0 +0 "
kernels "a kernel that is not to be had" 7.2 - - "6 0 0" 24 1 "7.2 +none"

# And of another kernel's tests those alone may be left out that say so.
"$here/run.sh" -n | sort >"$work/all"
"$here/run.sh" -n -b | sort >"$work/brief"
own=$(cd "$here/.." && grep -lx kernels=own ./*.settings | sed 's,^\./,,; s,\.settings$,,' | sort)
comm -23 "$work/all" "$work/brief" | sed 's/\..*//' | sort >"$work/out"
comm -13 "$work/all" "$work/brief" >>"$work/out"
[ -n "$own" ] && [ "$(cat "$work/out")" = "$own" ]
result $? "run.sh -b: what is left out says so"
"$here/run.sh" -n -B | sort | sort -m - "$work/brief" | diff "$work/all" - >"$work/out"
result $? "run.sh -b and -B: each test is in one of the two"

# A real machine. The crash comes last, so one boot shows it all.
mkdir "$work/real"
cd "$work/real" || exit 1
script()
{
	{ echo "#!/bin/sh"; cat; } >"$1"
	chmod +x "$1"
	echo "$1 ${2:-10}" >>.list
}
script t_good <<'END'
printf 'TAP version 13\n1..1\nok 1 good'
END
script t_slow 1 <<'END'
echo 1..1
sleep 30 & sleep 30
END
script t_stray <<'END'
setsid sleep 30 &
printf '1..1\nok 1 good\n'
END
script t_calm <<'END'
printf '1..1\n'
pidof sleep >/dev/null || echo ok 1 no process outlived its test
END
echo "t_missing 10" >>.list
printf '\177ELF nonsense' | script t_format
sed -i 1d t_format
script t_left <<'END'
ip link add left0 type bridge
printf '1..1\nok 1 good\n'
END
script t_swept <<'END'
printf '1..1\n'
[ -e /sys/class/net/left0 ] || echo ok 1 the next test does not see it
END
script t_trace <<'END'
echo l >/proc/sysrq-trigger
printf '1..1\nok 1 good\n'
END
script t_panic <<'END'
printf '1..1\nok 1 good\n'
sleep 0.2
echo c >/proc/sysrq-trigger
END
script t_never <<'END'
printf '1..1\nok 1 good\n'
END
echo 5 >.patience
kernel=$("$here/fetch.sh" kernel)
"$here/mkinitramfs.sh" -k "$kernel" -o "$work/initrd" -t "$work/real" >"$work/out" 2>&1
result $? "a machine is made"
"$here/boot.sh" "$kernel" "$work/initrd" "$work/console" --list .list >"$work/out" 2>&1
[ $? = 1 ]
result $? "it fails"
shown=$work/out
before=$failed
while IFS='|' read -r text name; do
	grep -q -- "^# $text" "$work/out"
	# one showing of the output is enough
	result $? "in a real kernel: $name" "$shown"
	[ "$failed" = "$before" ] || shown=/dev/null
done <<'END'
t_good  *1  *0 |a good test passes
FAIL t_slow: killed, or not done in 1 s|a test is timed out
t_calm  *1  *0 |no process outlives its test
FAIL t_missing: cannot be run|a program that is missing
FAIL t_format: |a program of another machine
FAIL t_left: left behind: dev:left0|a device left behind
t_swept  *1  *0 |and swept
FAIL vm: kernel, in t_trace: .*Call Trace|a stack trace
FAIL vm: kernel, in t_panic: .*Kernel panic|a panic
FAIL t_panic: never ended|a test that the kernel did not survive
FAIL vm: guest died|the death of the machine
kernel: [0-9]* reports|no clean kernel
FAIL vm: t_never was never run|the tests after it
END

echo "1..$n"
[ -z "$totals" ] || echo "$((n - failed)) $failed" >>"$totals"
[ "$failed" = 0 ]
