#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""
"tapxfer qemu" with all traffic through vhost-net: a signal that comes while the source
stops, after which it runs on as it did, with vhost-net; and a move that is given no
times of the test's, but has the command's own.
"""

import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)),
                                "lib"))
import qemu_vm as q  # noqa: E402 pylint: disable=wrong-import-position

QUEUES = 4
# qemu.c's TIMEOUT_MS, qemu.h's QEMU_DEADLINE_MS and QEMU_LEFT_MS
TIMEOUT, DEADLINE, LEFT = 5, 30, 4
STEPS = ["configure", "prepare", "hold", "settle", "stop", "freeze", "claim", "pass",
         "add", "migrate", "verify", "quit", "ready", "cont", "thaw", "finish"]
MEMORY = "/dev/shm/vhost"

q.isolate()
FDS = q.tap_fds("tap0", QUEUES)
q.network()
vm = q.Vm("vm0", MEMORY, [({"id": "hn0", "fds": FDS, "vhost": True}, {
    "id": "net0", "mq": True, "vectors": 2 * QUEUES + 2, "addr": "07.0",
    "mac": q.MAC % 2})])
for fd in FDS:
    os.close(fd)
peer = None
settings = None
targets = 0


def target():
    global targets
    targets += 1
    return q.Vm(f"vm{targets}", MEMORY)


def tapxfer(*words):
    # check's status says whether it found something
    done = subprocess.run([q.TAPXFER, "-j", *words], capture_output=True,
                          text=True, check=False)
    return json.loads(done.stdout)


def show(qemu):
    """The tap as this process has it, less what counts"""
    dev, = tapxfer("show", "tap0", "--pid", str(qemu.process.pid))
    return {k: v for k, v in dev.items() if k != "link"}


def traffic():
    peer("rate", 400)
    peer("stream", 20000)


def as_it_was(carrier):
    """The guest runs, by vhost-net as the kernel sees it, and has lost nothing."""
    assert vm.status() == "running"
    q.wait_for(lambda: tapxfer("list") == [], 10, "a handover is left")
    check = tapxfer("check", "tap0", "--pid", str(vm.process.pid), "--try")
    attached = [f["cause"] for f in check["findings"]
                if f["what"] == "vhost-attached"]
    assert attached, check
    assert f"attached to {QUEUES} of {QUEUES} queues" in attached[0], attached
    q.wait_for(lambda: tapxfer("list") == [], 10, "the check's is left")
    assert "falling back" not in vm.said(), vm.said()
    traffic()
    time.sleep(1)
    peer.whole()
    traffic()
    assert show(vm) == settings, (show(vm), settings)
    assert q.carrier_changes("tap0") == carrier


def the_guest_comes_up():
    global peer, settings
    vm.ready()
    peer = q.Peer()
    peer("guest", 200)
    peer("pairs", QUEUES)
    traffic()
    time.sleep(3)
    peer.baseline()
    settings = show(vm)
    as_it_was(q.carrier_changes("tap0"))
    # a disk that takes its time to flush, which a QEMU does before it has stopped
    vm.qmp("blockdev-add", {"driver": "null-co", "node-name": "slow",
                            "size": 1 << 20,
                            "latency-ns": 4 * q.SCALE * 10 ** 9})


def when_stopped(name):
    """
    A hook that sends the command a signal when the VM has stopped, and "stop" has not
    been answered
    """
    path = f"{q.work}/signal"
    with open(path, "w") as f:
        f.write(f"""#!/usr/bin/python3
import json, os, signal, socket, sys
if sys.argv[1] != "stop":
    sys.exit()
command = os.getppid()
sock = socket.socket(socket.AF_UNIX)
sock.connect("{vm.tool_path}x")
qmp = sock.makefile("rw")
qmp.readline()
print('{{"execute": "qmp_capabilities"}}', file=qmp, flush=True)
qmp.readline()
if os.fork():
    os._exit(0)
while json.loads(qmp.readline()).get("event") != "STOP":
    pass
os.kill(command, signal.{name})
""")
    os.chmod(path, 0o755)
    return ["--hook", path]


def interrupted_while_it_stops(name):
    new = target()
    carrier = q.carrier_changes("tap0")
    # what has not been written need not be flushed
    vm.qmp("human-monitor-command",
           {"command-line": 'qemu-io slow "write 0 512"'})
    rc, answer, said = q.move(vm, new, *when_stopped(name))
    print("# " + said.strip().replace("\n", "\n# "))
    assert rc == 2 and answer is None
    assert said.strip().split("\n")[-1] == \
        "tapxfer qemu: stop: interrupted; the source runs on.", said
    assert "warning" not in said, said
    assert new.status() == "inmigrate"
    as_it_was(carrier)
    new.kill()


def sigterm_while_it_stops():
    interrupted_while_it_stops("SIGTERM")


def sigint_while_it_stops():
    interrupted_while_it_stops("SIGINT")
    vm.qmp("blockdev-del", {"node-name": "slow"})


def check_times(answer):
    """What the steps took, beside what the kernel and QEMU say of the same time"""
    times = answer["times"]
    assert list(times) == STEPS, times
    assert all(t > 0 for t in times.values()), times

    def spent(first, last):
        return sum(times[s] for s in
                   STEPS[STEPS.index(first):STEPS.index(last) + 1])
    # the one was in the step and the other too, and all between
    assert spent("freeze", "ready") <= answer["stopped"] <= \
        spent("stop", "cont"), (times, answer["stopped"])
    nic, = answer["netdevs"]
    blackout = nic["handover"]["blackout"]
    assert spent("settle", "cont") <= blackout <= spent("hold", "thaw"), \
        (times, blackout)
    assert blackout <= DEADLINE * 10 ** 9, blackout
    assert spent("hold", "verify") <= (DEADLINE - LEFT) * 10 ** 9, times


def check_excuse(last, took):
    """It turned back: only because all of a time that it has was not enough."""
    assert "; the source runs on" in last or "; nothing was touched" in last, last
    if "deadline is" in last:
        assert took >= DEADLINE - LEFT, (took, last)
    else:
        assert f"within {TIMEOUT * 1000} ms" in last or \
            "does not greet" in last, last
        assert took >= TIMEOUT, (took, last)


def its_own_times():
    """
    On a machine as slow as this they may not be enough. Then nothing is moved and
    nothing lost; but it is no failure before they have passed.
    """
    global vm
    new = target()
    carrier = q.carrier_changes("tap0")
    hook, seen = f"{q.work}/look", f"{q.work}/seen"
    with open(hook, "w") as f:
        f.write(f'#!/bin/sh\n[ $1 != hold ] || {q.TAPXFER} -j list >{seen}\n')
    os.chmod(hook, 0o755)
    since = time.monotonic()
    rc, answer, said = q.move(vm, new, "--hook", hook, timeout=None,
                              deadline=None)
    took = time.monotonic() - since
    print("# " + said.strip().replace("\n", "\n# "))
    if os.path.exists(seen):
        with open(seen) as f:
            handover, = json.load(f)
        assert handover["deadline"] == DEADLINE * 1000, handover
    if rc:
        print("# turned back")
        assert rc == 2 and answer is None
        check_excuse(said.strip().split("\n")[-1], took)
        if not new.dead():
            new.kill()
    else:
        print("# moved", answer["times"])
        check_times(answer)
        vm.process.wait()
        vm = new
    as_it_was(carrier)


q.main([the_guest_comes_up, sigterm_while_it_stops, sigint_while_it_stops,
        its_own_times])
