#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""
"tapxfer qemu" with what a VM can have: two NICs, one of them served by vhost-net; queue
pairs that the guest does not use; a tap that the source has opened by name and would
set down as it goes; a VM that is paused. One guest goes through all of it.
"""

import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)),
                                "lib"))
import qemu_vm as q  # noqa: E402 pylint: disable=wrong-import-position

q.isolate()
MEMORY = "/dev/shm/move"
DOWN = q.work + "/down"
with open(DOWN, "w") as script:
    script.write(f"#!/bin/sh\n: >{DOWN}.ran\nip link set $1 down\n")
os.chmod(DOWN, 0o755)
q.sh("ip tuntap add tap0 mode tap multi_queue vnet_hdr")
FDS = q.tap_fds("tap1", 2)
q.network(("tap0", "tap1"))
vm = None
peer = None
targets = 0


def target(extra=()):
    global targets
    targets += 1
    return q.Vm(f"vm{targets}", MEMORY, extra=extra)


def queues(tap):
    """Attached and detached ones"""
    done = subprocess.run([q.TAPXFER, "-j", "show", tap], capture_output=True,
                          text=True, check=True)
    dev, = json.loads(done.stdout)
    return dev["num-queues"], dev["num-detached"]


def vhost_started(qemu):
    # newer ones die of the question
    if qemu.qmp("query-version")["qemu"]["major"] > 10:
        return True
    return qemu.qmp("x-query-virtio-status", {
        "path": "/machine/peripheral-anon/device[0]/virtio-backend",
    })["vhost-started"]


def traffic():
    peer("rate", 400)
    peer("stream", 20000)


def baseline():
    peer.baseline()
    traffic()


def whole():
    peer.whole()
    traffic()


def plan_with_vhost(new):
    """Which NICs have it a newer QEMU does not tell."""
    rc, plan, said = q.move(vm, new, "--dry-run")
    assert rc == 0, said
    plan["netdevs"][1]["netdev_add"]["vhost"] = True
    path = q.work + "/plan"
    with open(path, "w") as f:
        json.dump(plan, f)
    return path


def plan_words(new):
    newer = vm.qmp("query-version")["qemu"]["major"] > 10
    return ["--plan", plan_with_vhost(new)] if newer else []


def moved(*words):
    """To a new QEMU; what was said of it"""
    global vm
    carrier = [q.carrier_changes(tap) for tap in ("tap0", "tap1")]
    new = target()
    rc, answer, said = q.move(vm, new, *(words or plan_words(new)))
    print("# " + said.strip().replace("\n", "\n# "))
    assert rc == 0, rc
    # whatever the target polls with, nobody else has its taps
    assert "is shared" not in said, said
    vm.process.wait()
    vm = new
    assert [nic["netdev"] for nic in answer["netdevs"]] == ["hn0", "hn1"]
    for nic in answer["netdevs"]:
        assert nic["handover"]["dropped"] == 0
        assert not nic["handover"].get("violated"), nic
    # or its next migration, to elsewhere, would leave out its memory
    ignores, = [c["state"] for c in vm.qmp("query-migrate-capabilities")
                if c["capability"] == "x-ignore-shared"]
    assert not ignores
    assert carrier == [q.carrier_changes(tap) for tap in ("tap0", "tap1")]
    return answer


def a_port_of_a_q35():
    """A NIC of one queue behind a root port; nobody but the firmware runs there."""
    port = {"machine": "q35",
            "extra": ["-device", "pcie-root-port,id=rp0,slot=1,chassis=1"]}
    fds = q.tap_fds("tap2", 1)
    own = q.Vm("q35", MEMORY + "2", [
        ({"id": "hn2", "fds": fds},
         {"id": "net2", "bus": "rp0", "mac": q.MAC % 4})], running=True, **port)
    os.close(fds[0])
    new = q.Vm("q35-new", MEMORY + "2", **port)
    rc, answer, said = q.move(own, new)
    assert rc == 0, said
    nic, = answer["netdevs"]
    assert nic["ifname"] == "tap2" and len(nic["queues"]) == 1
    own.process.wait()
    assert new.status() == "running"
    bus = new.qmp("qom-get", {"path": "/machine/peripheral/net2",
                              "property": "parent_bus"})
    assert bus == "/machine/peripheral/rp0/rp0", bus
    assert queues("tap2") == (1, 0)
    new.kill()
    os.unlink(MEMORY + "2")


def the_guest_comes_up():
    global peer, vm
    vm = q.Vm("vm0", MEMORY, [
        ({"id": "hn0", "ifname": "tap0", "queues": 4, "script": "no",
          "downscript": DOWN},
         {"id": "net0", "mq": True, "vectors": 10, "addr": "07.0",
          "mac": q.MAC % 2}),
        # and this one has no name
        ({"id": "hn1", "fds": FDS, "vhost": True},
         {"mq": True, "vectors": 6, "addr": "08.0", "mac": q.MAC % 3,
          "guest_ufo": False}),
    ])
    for fd in FDS:
        os.close(fd)
    vm.ready()
    peer = q.Peer()
    peer("guest", 200)
    peer("pairs", 2)
    traffic()
    q.wait_for(lambda: queues("tap0") == (2, 2), 60, "not two queue pairs")
    time.sleep(2)
    baseline()
    assert vhost_started(vm)


def two_nics_with_and_without_vhost():
    answer = moved()
    assert vm.status() == "running"
    assert answer["netdevs"][0]["handover"]["held"]
    assert len(answer["netdevs"][0]["queues"]) == 4
    assert [x["detached"] for x in answer["netdevs"][0]["queues"]] == \
        [False, False, True, True]
    assert len(answer["netdevs"][1]["queues"]) == 2
    whole()
    assert vhost_started(vm)
    assert "falling back" not in vm.said(), vm.said()


def detached_queues_stay_detached():
    assert queues("tap0") == (2, 2)
    # and can be used from now on: no traffic while they come
    peer("settle", 1000)
    peer("rate", 0)
    peer("pairs", 4)
    peer("nudge")
    q.wait_for(lambda: queues("tap0") == (4, 0), 60, "no more queue pairs")
    baseline()


def the_source_does_not_set_the_link_down():
    assert not os.path.exists(DOWN + ".ran")
    with open("/sys/class/net/tap0/flags") as f:
        assert int(f.read(), 16) & 1


def a_paused_vm_stays_paused():
    # one that is paused under load has read a packet a queue, for nobody
    peer("settle", 5000)
    peer("rate", 0)
    peer("stream", 0)
    new = target()
    rc, plan, said = q.move(vm, new, "--dry-run")
    assert rc == 0, said
    plan["netdevs"][1]["netdev_add"]["vhost"] = True
    vm.qmp("stop")
    rc, _, said = q.move(vm, new)
    assert rc == 2 and "which NICs vhost-net serves" in said
    new.kill()
    path = q.work + "/plan"
    with open(path, "w") as f:
        json.dump(plan, f)
    # a failure late enough leaves it in a state that takes a word to leave
    hook = q.work + "/hook"
    with open(hook, "w") as f:
        f.write('#!/bin/sh\n[ "$1" != quit ]\n')
    os.chmod(hook, 0o755)
    rc, _, said = q.move(vm, target(), "--plan", path, "--hook", hook)
    assert rc == 2 and "takes a 'cont' before it can be moved" in said, said
    rc, _, said = q.move(vm, target(), "--plan", path)
    assert rc == 2 and "it takes a 'cont' before the next one" in said, said
    vm.qmp("cont")
    vm.qmp("stop")
    answer = moved("--plan", path)
    assert answer["stopped"] == 0
    assert vm.status() == "paused"
    time.sleep(1)
    assert vm.status() == "paused"
    vm.qmp("cont")
    traffic()
    time.sleep(1)
    whole()
    assert vhost_started(vm)


def all_or_none():
    """The second NIC has no place in the target."""
    addr = vm.qmp("qom-get", {"path": "/machine/peripheral-anon/device[0]",
                              "property": "addr"}) >> 3
    new = target(["-device", f"virtio-rng-pci,addr={addr}"])
    rc, _, said = q.move(vm, new, *plan_words(new))
    print("# " + said.strip())
    assert rc == 2 and f"slot {addr} function 0 not available" in said, said
    q.wait_for(new.dead, 10, "the target did not end")
    assert vm.status() == "running"
    whole()
    assert vhost_started(vm)
    assert queues("tap0") == (4, 0) and queues("tap1")[0]


# pidfd_getfd(2) of one of the queues
THIEF = """
import ctypes, os, sys, time
pid, took = int(sys.argv[1]), sys.argv[2]
for fd in os.listdir(f"/proc/{pid}/fd"):
    with open(f"/proc/{pid}/fdinfo/{fd}") as f:
        if "iff:\\ttap0\\n" in f.read():
            break
if ctypes.CDLL(None).syscall(438, os.pidfd_open(pid), int(fd), 0) >= 0:
    with open(took + ".new", "w") as f:
        print(os.getpid(), file=f)
    os.rename(took + ".new", took)
    time.sleep(600)
"""


def who_comes_late_is_told():
    """Somebody takes a file of the target's when there is no way back."""
    global vm
    new = target()
    took = q.work + "/took"
    with open(q.work + "/thief", "w") as f:
        f.write(THIEF)
    hook = q.work + "/thief-hook"
    with open(hook, "w") as f:
        f.write(f"""#!/bin/sh
[ "$1" = ready ] || exit 0
/usr/bin/python3 {q.work}/thief {new.process.pid} {took} </dev/null >/dev/null 2>&1 &
while [ ! -e {took} ]; do sleep 0.1; done
""")
    os.chmod(hook, 0o755)
    rc, _, said = q.move(vm, new, "--hook", hook, *plan_words(new))
    print("# " + said.strip().replace("\n", "\n# "))
    with open(took) as f:
        os.kill(int(f.read()), signal.SIGKILL)
    assert rc == 0 and "tap0 is shared: queue 0: others than" in said, said
    assert "tap1 is shared" not in said, said
    vm.process.wait()
    vm = new
    whole()


def and_once_more():
    # what would make the migration wait for a word is off, and on again
    wait = [{"capability": "pause-before-switchover", "state": True}]
    vm.qmp("migrate-set-capabilities", {"capabilities": wait})
    moved()
    whole()
    assert queues("tap0") == (4, 0)
    assert vhost_started(vm)


q.main([
    a_port_of_a_q35, the_guest_comes_up, two_nics_with_and_without_vhost,
    detached_queues_stay_detached, the_source_does_not_set_the_link_down,
    a_paused_vm_stays_paused, all_or_none, who_comes_late_is_told, and_once_more,
])
