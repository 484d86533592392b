#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# exec and fdstore on a kernel with the module: run in the virtual machine, as
# root. "t_exec --new PACKETS" is the program that goes on, and python3 a service
# manager that speaks sd_notify's protocol.

here=$(dirname "$(readlink -f "$0")")
# shellcheck source=selftests/lib/result.sh
. "$here/lib/result.sh"
# shellcheck source=selftests/lib/command.sh
. "$here/lib/command.sh"

gone()
{
	for _ in $(seq 200); do
		[ "$(tapxfer -j list)" = "[]" ] && return
		sleep 0.1
	done
	return 1
}

# The service manager, as systemd's: it keeps what FDSTORE=1 brings under its
# FDNAME, forgets what FDSTOREREMOVE=1 names, closes what comes with BARRIER=1, and
# gives the service that starts again all that it has from 3 on, in no order.
cat >"$tmp/manager.py" <<'END'
import array, fcntl, os, random, socket, struct, subprocess, sys, threading, time
path, mode, cmds = sys.argv[1], sys.argv[2], sys.argv[3:]
sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
sock.bind("\0" + path[1:] if path[0] == "@" else path)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
store, log = [], []

def receive():
    while True:
        data, anc, flags, _ = sock.recvmsg(65536, socket.CMSG_SPACE(4 * 253) +
                                           socket.CMSG_SPACE(12))
        fds = array.array("i")
        for level, kind, payload in anc:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(payload)
        words = dict(w.split("=", 1) for w in data.decode().split("\n") if w)
        log.append(words)
        name = words.get("FDNAME", "stored")
        if words.get("FDSTORE") == "1":
            if mode == "deaf":
                for fd in fds:
                    os.close(fd)
                continue
            for fd in fds:
                fcntl.fcntl(fd, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
            store.extend((name, fd) for fd in fds)
            continue
        if words.get("FDSTOREREMOVE") == "1":
            for item in [i for i in store if i[0] == name]:
                store.remove(item)
                os.close(item[1])
        for fd in fds:
            os.close(fd)

threading.Thread(target=receive, daemon=True).start()
env = dict(os.environ, NOTIFY_SOCKET=path)

# the tap, whose only files are those of the service
files = [os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK) for _ in range(3)]
for fd in files:
    fcntl.ioctl(fd, 0x400454ca, struct.pack("16sH22x", b"tap0", 0x5102))
fcntl.ioctl(files[0], 0x400454d8, struct.pack("i", 12))
os.system("ip link set tap0 up")
scale = int(os.environ.get("SELFTESTS_SCALE", 1))
deadline = f"{3 * scale}s" if mode == "late" else "5m"
first = subprocess.run(["tapxfer", "-j", "fdstore", "--deadline", deadline, "--fds",
                        ",".join(map(str, files))], env=env, pass_fds=files)
for fd in files:
    os.close(fd)
names = sorted(name for name, _ in store)
print("# first", first.returncode, "stored", *names, flush=True)
if first.returncode:
    print("# list", subprocess.run(["tapxfer", "-j", "list"],
                                   capture_output=True).stdout, flush=True)
    sys.exit(first.returncode)

# the kernel has lost patience before the service is back
while mode == "late" and subprocess.run(["tapxfer", "-j", "list"], check=True,
                                        capture_output=True).stdout.strip() != b"[]":
    time.sleep(0.1)
# the service starts again; something else was in the store too
store.append(("other", os.open("/dev/null", os.O_RDONLY)))
if mode == "short":
    item = [i for i in store if i[0] == "tapxfer.1"][0]
    store.remove(item)
    os.close(item[1])
random.shuffle(store)
given = list(store)
pid = os.fork()
if pid == 0:
    # from 3 on, whatever is there now
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 500) for _, fd in given]
    os.closerange(3, 500)
    for i, fd in enumerate(high):
        os.dup2(fd, 3 + i)
        os.set_inheritable(3 + i, True)
        os.close(fd)
    env["LISTEN_PID"] = str(os.getpid())
    env["LISTEN_FDS"] = str(len(given))
    env["LISTEN_FDNAMES"] = ":".join(name for name, _ in given)
    os.execvpe("tapxfer", ["tapxfer", "fdstore", "--restore", "--", *cmds], env)
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
print("# second", status, "left", *[name for name, _ in store], flush=True)
sys.exit(status)
END

new=$PWD/t_exec

# -- exec: files that a shell has
cat >"$tmp/tap.py" <<'END'
import fcntl, os, struct, sys
fds = [int(fd) for fd in sys.argv[1:]]
for fd in fds:
    fcntl.ioctl(fd, 0x400454ca, struct.pack("16sH22x", b"tap0", 0x5102))
    os.set_blocking(fd, False)
fcntl.ioctl(fds[0], 0x400454d8, struct.pack("i", 12))
END
run 1 tapxfer exec -- true && err "handover's number, or --fds"
result $? "exec: of what? $(cat "$tmp/err")"
run 1 tapxfer exec --fds 3,4 && err 'Give -- CMD'
result $? "exec: what? $(cat "$tmp/err")"
(
	exec 10<>/dev/net/tun 11<>/dev/net/tun
	python3 "$tmp/tap.py" 10 11
	ip link set tap0 up
	tapxfer exec --fds 10,11 -- /nonexistent/vmm
	echo "status $?"
	tapxfer -j list
	exec tapxfer exec --fds 10,11 --deadline 5m -- "$new" --new 0
) >"$tmp/out" 2>"$tmp/err" </dev/null
rc=$?
out '^status 127$' && grep -q 'cannot run .*No such file.*; the handover was aborted\.$' "$tmp/err"
result $? "exec: a command that there is not: $(cat "$tmp/err")"
[ $rc = 0 ]
result $? "exec: the new program goes on (status $rc)"
gone
(
	exec 10<>/dev/net/tun 11<>/dev/net/tun
	python3 "$tmp/tap.py" 10 11
	ip link set tap0 up
	tapxfer -j freeze --fds 10,11 --deadline 5m --token-out "$tmp/token"
	exec 10>&- 11>&-
	id=$(tapxfer -j list | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["id"])')
	exec tapxfer exec "$id" --token-file "$tmp/token" -- "$new" --new 0 --claimed
) >"$tmp/out" 2>"$tmp/err" </dev/null
rc=$?
[ $rc = 0 ] && silent
result $? "exec: of a handover that it claims (status $rc)"
gone

# -- fdstore
run 2 env -u NOTIFY_SOCKET tapxfer fdstore --fds 3,4 && err 'NOTIFY_SOCKET is not set: run this in a service'
result $? "fdstore: no service: $(cat "$tmp/err")"
run 2 env NOTIFY_SOCKET="$tmp/nobody" tapxfer fdstore --fds 3,4 && err 'cannot reach the service manager'
result $? "fdstore: nobody listens: $(cat "$tmp/err")"
run 2 env NOTIFY_SOCKET=relative tapxfer fdstore --fds 3,4 && err "no socket's path"
result $? "fdstore: no socket: $(cat "$tmp/err")"
run 1 tapxfer fdstore --restore --fds 3,4 -- true && err 'goes with no device'
result $? "fdstore: restore of a device: $(cat "$tmp/err")"
run 1 tapxfer fdstore --restore && err 'Give -- CMD'
result $? "fdstore: restore without a command: $(cat "$tmp/err")"
run 1 tapxfer fdstore && err 'Give --pid PID or --fds'
result $? "fdstore: of what? $(cat "$tmp/err")"

# what the manager gives besides is the new program's, with the right number
cat >"$tmp/vmm.sh" <<'END'
[ "$LISTEN_PID:$LISTEN_FDS:$LISTEN_FDNAMES" = "$$:1:other" ] || exit 50
[ "$(readlink /proc/$$/fd/3)" = /dev/null ] || exit 51
exec "$@"
END
vmm=(bash "$tmp/vmm.sh" "$new" --new 0)
for path in "$tmp/notify" @tapxfer-notify; do
	run 0 timeout 120 python3 "$tmp/manager.py" "$path" good "${vmm[@]}" &&
		out 'first 0 stored tapxfer.0 tapxfer.1 tapxfer.2 tapxfer.state$' &&
		out 'second 0 left other$'
	result $? "fdstore: a service starts again (${path:0:1}): $(grep -h second "$tmp/out")"
	gone
	rm -f "$tmp/notify"
done

run 0 timeout 300 python3 "$tmp/manager.py" "$tmp/notify" late "${vmm[@]}" &&
	out 'second 0 left other$' && grep -q 'the deadline has passed, and tap0 may have dropped' "$tmp/err"
result $? "fdstore: the service is back after the deadline: $(cat "$tmp/err")"
gone
rm -f "$tmp/notify"

run 2 timeout 120 python3 "$tmp/manager.py" "$tmp/notify" deaf "${vmm[@]}" &&
	out '^# first 2 stored$' &&
	grep -q 'the service manager did not keep the descriptors: NotifyAccess=' "$tmp/err" && gone
result $? "fdstore: a manager that keeps nothing: $(cat "$tmp/err")"
gone
rm -f "$tmp/notify"

run 2 timeout 120 python3 "$tmp/manager.py" "$tmp/notify" short "$new" --new 0 &&
	out 'second 2 left' && grep -q 'did not give all of a state and its queues: a queue is missing' "$tmp/err"
result $? "fdstore: a queue is missing: $(cat "$tmp/err")"
# the store has gone with its manager: the deadline or an abort ends it
for id in $(tapxfer -j list | grep -o '"id":[0-9]*' | cut -d: -f2); do tapxfer abort "$id" >/dev/null; done
gone
run 0 tapxfer fdstore --restore -- echo started && out '^started$' && silent
result $? "fdstore: restore when the service starts for the first time"
run 127 tapxfer fdstore --restore -- /nonexistent/vmm && err 'cannot run'
result $? "fdstore: restore for a command that there is not: $(cat "$tmp/err")"

rm -rf "$tmp"
plan
