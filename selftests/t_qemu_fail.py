#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""
"tapxfer qemu" when something fails at a step: the guest lives on in the source, with
its settings, and no packet is lost, in whatever direction. One guest goes through all
of it, and is moved in the end.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)),
                                "lib"))
import qemu_vm as q  # noqa: E402 pylint: disable=wrong-import-position

q.isolate()
MEMORY = "/dev/shm/fail"
RNG = ["-device", "virtio-rng-pci,addr=8"]
FDS = q.tap_fds("tap0", 4)
q.network()
source = q.Vm("source", MEMORY, [({"id": "hn0", "fds": FDS}, {
    "id": "net0", "mq": True, "vectors": 10, "addr": "07.0",
    "mac": q.MAC % 2})], extra=RNG)
for fd in FDS:
    os.close(fd)
peer = None
settings = None
targets = 0


def target(extra=()):
    global targets
    targets += 1
    return q.Vm(f"target{targets}", MEMORY, extra=[*RNG, *extra])


def tapxfer(*words):
    done = subprocess.run([q.TAPXFER, "-j", *words], capture_output=True,
                          text=True, check=True)
    return json.loads(done.stdout)


def show():
    """The tap as the source has it, less what counts"""
    dev, = tapxfer("show", "tap0", "--pid", str(source.process.pid))
    return {k: v for k, v in dev.items() if k != "link"}


def gone():
    """No handover is left: one that ended lives until its rings have shrunk."""
    q.wait_for(lambda: tapxfer("list") == [], 10, "a handover is left")


def traffic():
    peer("rate", 400)
    peer("stream", 20000)


def hook(step, command):
    """A program that does this before the step"""
    path = f"{q.work}/hook{targets}"
    with open(path, "w") as f:
        f.write(f'#!/bin/sh\n[ "$1" = {step} ] || exit 0\n{command}\n')
    os.chmod(path, 0o755)
    return ["--hook", path]


def whole():
    time.sleep(1)
    peer.whole()
    traffic()


def fails(vm, step, text, *words, ended=True, **kwargs):
    """
    The move fails there, and nobody but the target has anything of it: it has ended,
    or with @ended None, if that is said.
    """
    carrier = q.carrier_changes("tap0")
    rc, answer, said = q.move(source, vm, *words, **kwargs)
    print("# " + said.strip().replace("\n", "\n# "))
    assert rc == 2 and answer is None
    last = said.strip().split("\n")[-1]
    # what comes at any moment may come at the end of a step or in the next
    assert last.split(": ")[1] in step and text in last, last
    assert "; the source runs on" in last, last
    if ended is None:
        ended = "the target was ended" in last
    q.wait_for(lambda: vm.dead() == ended, 10, "the target did not end")
    assert source.status() == "running"
    gone()
    whole()
    assert show() == settings
    assert q.carrier_changes("tap0") == carrier
    if not vm.dead():
        vm.kill()


def the_guest_comes_up():
    global peer, settings
    source.ready()
    peer = q.Peer()
    peer("guest", 200)
    peer("pairs", 4)
    traffic()
    time.sleep(3)
    peer.baseline()
    settings = show()
    traffic()


def target_refuses_device_add():
    fails(target(["-device", "virtio-rng-pci,addr=7"]), ["add"],
          "the target QEMU refuses device_add: PCI: slot 7 function 0")


def target_has_another_device():
    global RNG
    rng, RNG = RNG, []
    vm = target()
    RNG = rng
    fails(vm, ("migrate", "verify"), "ended in the middle of the migration")
    # in the words of QEMU, up to 10.0 and since
    assert any(f"Unknown {what}" in vm.said()
               for what in ("savevm section", "section or instance")), vm.said()


def target_is_killed_before_it_has_the_files():
    vm = target()
    fails(vm, ["pass"], "the target QEMU",
          *hook("pass", f"kill -KILL {vm.process.pid}"))


def target_is_killed_with_its_nic():
    vm = target()
    fails(vm, ["migrate"], "the target QEMU",
          *hook("migrate", f"kill -KILL {vm.process.pid}"))


def target_is_killed_in_the_middle_of_the_stream():
    """Slowly, so that there is a middle: what is not guest memory is 400 KB."""
    vm = target()
    source.qmp("migrate-set-parameters", {"max-bandwidth": 50000})
    hit = []

    def watch():
        def on_its_way():
            o = source.qmp("query-migrate")
            return o.get("status") == "active" and o["ram"]["transferred"]
        hit.append(q.wait_for(on_its_way, 60, "the migration never began"))
        vm.process.kill()
    watcher = threading.Thread(target=watch)
    watcher.start()
    fails(vm, ["migrate"], "ended in the middle of the migration")
    watcher.join()
    assert hit
    source.qmp("migrate-set-parameters", {"max-bandwidth": 1 << 30})


def target_is_killed_with_all_state():
    vm = target()
    fails(vm, ["verify"], "the target QEMU",
          *hook("verify", f"kill -KILL {vm.process.pid}"))


def target_is_killed_at_the_last_moment():
    """When all is there, and the source was about to go"""
    vm = target()
    fails(vm, ["quit"], "the target QEMU",
          *hook("quit", f"kill -KILL {vm.process.pid}"))


def target_hangs_in_the_middle_of_the_stream():
    vm = target()
    hit = []

    def watch():
        def on_its_way():
            o = source.qmp("query-migrate")
            return o.get("status") == "active" and o["ram"]["transferred"]
        hit.append(q.wait_for(on_its_way, 60, "the migration never began"))
        os.kill(vm.process.pid, signal.SIGSTOP)
    source.qmp("migrate-set-parameters", {"max-bandwidth": 50000})
    watcher = threading.Thread(target=watch)
    watcher.start()
    fails(vm, ["migrate"], "the deadline is near", deadline=f"{5 + 6 * q.SCALE}s")
    watcher.join()
    assert hit
    source.qmp("migrate-set-parameters", {"max-bandwidth": 1 << 30})


def source_hangs_for_a_while():
    """As with a disk that is slow to flush: it is told to go on until it does."""
    pid = source.process.pid
    fails(target(), ["stop"], "the source QEMU did not answer stop",
          *hook("stop", f"kill -STOP {pid}; "
                f"(sleep {6 * q.SCALE}; kill -CONT {pid}) >/dev/null 2>&1 &"),
          timeout=f"{2 * q.SCALE}s", ended=False)


def target_hangs():
    vm = target()
    fails(vm, ["migrate"], "did not answer",
          *hook("migrate", f"kill -STOP {vm.process.pid}"), timeout="2s")


def hook_says_no_at_the_last_moment():
    fails(target(), ["quit"], "said no", *hook("quit", "exit 1"))


def hook_says_no_before_the_stop():
    fails(target(), ["stop"], "said no", *hook("stop", "exit 1"), ended=False)


def user_interrupts():
    fails(target(), ("pass", "add"), "interrupted",
          *hook("pass", "kill -TERM $PPID"), ended=None)


def hook_takes_until_the_deadline():
    """It is not waited for: the target has the NIC, and would get packets."""
    fails(target(), ["migrate"], "was not done, and the deadline is near",
          *hook("migrate", f"exec sleep {9 * q.SCALE}"),
          deadline=f"{4 + 4 * q.SCALE}s")


def taken(vm):
    """What came when the target was alone is lost, and nothing else is."""
    q.wait_for(vm.dead, 10, "the target did not end")
    gone()
    assert show() == settings
    traffic()
    time.sleep(3 * q.SCALE)
    # no other QEMU runs the guest: it does not stand still
    peer.baseline((5000, 5000))
    traffic()
    whole()


def all_stand_still_until_the_deadline_has_passed():
    """
    As when the host sleeps. The target is the first to go on, and what it sets then is
    the live tap's; with the undo the source's settings are again.
    """
    vm = target()
    pid = vm.process.pid
    deadline = 4 + 4 * q.SCALE
    between = q.work + "/between.json"
    rc, answer, said = q.move(source, vm, *hook("add", f"""
kill -STOP {pid}
(sleep {q.SCALE}; kill -STOP $PPID; sleep {deadline}; kill -CONT {pid}
sleep {2 * q.SCALE}
{q.TAPXFER} -j show tap0 --pid {source.process.pid} >{between}
kill -CONT $PPID) >/dev/null 2>&1 &"""), deadline=f"{deadline}s")
    print("# " + said.strip().replace("\n", "\n# "))
    assert rc == 2 and answer is None
    last = said.strip().split("\n")[-1]
    assert "; the source runs on" in last and "was over first" in last, last
    assert "warning" not in said, said
    with open(between) as f:
        assert json.load(f)[0]["vnet-hdr-sz"] != settings["vnet-hdr-sz"]
    taken(vm)


def handover_is_aborted_at_the_last_moment():
    """By an administrator; it is there for some seconds still, and is over."""
    vm = target()
    rc, answer, said = q.move(source, vm, *hook("quit", f"""
{q.TAPXFER} abort $({q.TAPXFER} -j list | python3 -c '
import json, sys
print(json.load(sys.stdin)[0]["id"])')"""))
    print("# " + said.strip().replace("\n", "\n# "))
    assert rc == 2 and answer is None
    last = said.strip().split("\n")[-1]
    assert "quit: the handover of tap0 is over" in last, last
    assert "; the source runs on" in last and "was over first" in last, last
    assert source.status() == "running"
    taken(vm)


def shut(path):
    """A command that shuts the tool's socket to this one, from outside"""
    program = q.work + "/shut.py"
    with open(program, "w") as f:
        f.write(f"""
import ctypes, os, socket
libc = ctypes.CDLL(None)
pid = os.getppid()
for _ in range(2):
    with open(f"/proc/{{pid}}/comm") as f:
        if f.read().strip() == "tapxfer":
            break
    with open(f"/proc/{{pid}}/stat") as f:
        pid = int(f.read().rsplit(")", 1)[1].split()[1])
pidfd = os.pidfd_open(pid)
for name in os.listdir(f"/proc/{{pid}}/fd"):
    fd = libc.syscall(438, pidfd, int(name), 0)
    try:
        sock = socket.socket(fileno=fd)
        if sock.getpeername() == "{path}":
            sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
""")
    return f"python3 {program}"


def targets_connection_is_closed():
    vm = target()
    fails(vm, ["add"], "the target QEMU has closed its QMP connection",
          *hook("add", shut(vm.tool_path)))


def sources_connection_is_closed():
    """While the VM is stopped: it is told to go on over another one."""
    fails(target(), ["migrate"], "the source QEMU has closed its QMP connection",
          *hook("freeze", shut(source.tool_path)))


def source_is_killed_with_all_state_passed():
    """And that is no failure: the guest is the target's already."""
    global source
    vm = target()
    rc, answer, said = q.move(source, vm,
                              *hook("quit", f"kill -KILL {source.process.pid}"))
    assert rc == 0, said
    assert answer["netdevs"][0]["handover"]["dropped"] == 0
    source.process.wait()
    source = vm
    assert source.status() == "running"
    gone()
    whole()
    now = show()
    assert now == settings, (now, settings)


def source_is_killed_before():
    """Then there is no guest any more, and that is said."""
    vm = target()
    rc, _, said = q.move(source, vm,
                         *hook("claim", f"kill -KILL {source.process.pid}"))
    print("# " + said.strip())
    assert rc == 2 and "the guest is lost with the source" in said, said
    gone()


CASES = [
    the_guest_comes_up, target_refuses_device_add, target_has_another_device,
    target_is_killed_before_it_has_the_files, target_is_killed_with_its_nic,
    target_is_killed_in_the_middle_of_the_stream,
    target_is_killed_with_all_state, target_is_killed_at_the_last_moment,
    target_hangs, target_hangs_in_the_middle_of_the_stream,
    source_hangs_for_a_while,
    hook_says_no_at_the_last_moment, hook_says_no_before_the_stop,
    user_interrupts, hook_takes_until_the_deadline,
    all_stand_still_until_the_deadline_has_passed,
    handover_is_aborted_at_the_last_moment,
    targets_connection_is_closed, sources_connection_is_closed,
    source_is_killed_with_all_state_passed, source_is_killed_before,
]
# as others are, a step earlier or later: "make check-qemu" has them, which names QEMUs
AT_LENGTH = [
    target_is_killed_before_it_has_the_files, target_is_killed_with_its_nic,
    target_is_killed_with_all_state, target_hangs,
    hook_says_no_at_the_last_moment, hook_says_no_before_the_stop,
    all_stand_still_until_the_deadline_has_passed,
]
q.main([case for case in CASES if q.words or case not in AT_LENGTH])
