#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""
What "tapxfer qemu" refuses before it touches anything, and its plan: by QMP of real
QEMUs, which need no guest for that.
"""

import json
import os
import socket
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)),
                                "lib"))
import qemu_vm as q  # noqa: E402 pylint: disable=wrong-import-position

q.isolate()
QUEUES = 2
FDS = q.tap_fds("tap0", QUEUES)
q.network()
MEMORY = "/dev/shm/check"
source = q.Vm("source", MEMORY, running=True, fds=FDS, extra=[
    "-netdev", "tap,id=hn0,fds=" + ":".join(map(str, FDS)),
    "-device", "virtio-net-pci,netdev=hn0,id=net0,mq=on,vectors=6,addr=7,"
    f"mac={q.MAC % 2},romfile=,guest_ufo=off,event_idx=off"])


def target(name, memory=MEMORY, **kwargs):
    return q.Vm(name, memory, **kwargs)


def source_untouched():
    assert source.status() == "running"
    done = subprocess.run([q.TAPXFER, "-j", "list"], capture_output=True,
                          text=True, check=True)
    assert json.loads(done.stdout) == [], done.stdout


def refused(text, *args, status=2, **kwargs):
    """One line, which says that nothing was touched; and nothing was."""
    rc, answer, said = q.move(*args, **kwargs)
    print("# " + said.strip())
    assert rc == status, rc
    assert answer is None
    assert said.count("\n") == 1 and text in said, said
    if status == 2:
        assert said.endswith("; nothing was touched.\n"), said
    source_untouched()


def usage_is_told():
    for words in ([], ["--source", "x"], ["--target", "x"],
                  ["--source", "x", "--target"]):
        done = subprocess.run([q.TAPXFER, "qemu", *words], text=True,
                              capture_output=True, check=False)
        assert done.returncode == 1 and done.stderr.count("\n") == 1
        assert "see 'tapxfer help qemu'" in done.stderr, done.stderr


def a_path_that_is_no_socket():
    refused("cannot connect to the source's QMP socket", "/nowhere", "/nowhere")
    refused("cannot connect to the target's QMP socket", source, "/etc/passwd")


def serve(path, text):
    """A listener that says this to who comes, and then waits for its end"""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(1)

    def talk():
        sock, _ = listener.accept()
        try:
            sock.sendall(text)
            sock.recv(1)
        except ConnectionError:
            pass
        sock.close()
        listener.close()
    threading.Thread(target=talk, daemon=True).start()
    return path


def a_socket_that_is_not_qmp():
    path = serve(q.work + "/silent", b"")
    refused("does not greet", source, path, timeout="500ms")
    for n, text in enumerate((b"220 mail.example.org ESMTP\r\n", b"{}\r\n",
                              b'{"QMP": 1}\n', b"\xff\x00\x7f", b"{" * 100000)):
        path = serve(f"{q.work}/other{n}", text)
        refused("does not speak QMP", source, path)


def a_monitor_that_another_uses():
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(source.tool_path)
        sock.recv(1)
        refused("another client", source, "/nowhere", timeout="500ms")


def the_same_process_twice():
    refused("are the same process", source.tool_path, source.tool_path + "x")


def a_target_that_does_not_wait():
    vm = q.Vm("running", MEMORY + "2", running=True)
    refused("the target is 'running': start it with -incoming defer", source, vm)
    vm.kill()


def a_target_of_another_machine():
    vm = target("q35", machine="q35")
    refused("start it with the same -machine", source, vm)
    vm.kill()


def a_target_with_memory_of_its_own():
    vm = target("elsewhere", MEMORY + "3")
    refused("has not mapped the file of the source's memory 'mem'", source, vm)
    vm.kill()


def a_target_that_has_the_device():
    vm = target("has", extra=["-device", "virtio-rng-pci,id=net0"])
    refused("the target has a device 'net0' already", source, vm)
    vm.kill()


def a_netdev_that_is_not_there():
    vm = target("plain")
    refused("no such netdev of type tap", source, vm, "--netdev", "hn7")
    vm.kill()


def a_queue_in_other_hands():
    vm = target("plain2")
    # this process has them still
    refused(f"process {os.getpid()} has a queue of tap0 too", source, vm)
    rc, _, said = q.move(source, vm, "--shared", "--dry-run")
    assert rc == 0, said
    for fd in FDS:
        os.close(fd)
    rc, _, said = q.move(source, vm, "--dry-run")
    assert rc == 0, said
    vm.kill()


def a_plan_is_what_the_source_has():
    vm = target("plain3")
    rc, plan, said = q.move(source, vm, "--dry-run")
    assert rc == 0 and not said, said
    assert plan["source-pid"] == source.process.pid
    assert plan["target-pid"] == vm.process.pid
    nic, = plan["netdevs"]
    assert nic["id"] == "hn0" and nic["ifname"] == "tap0"
    assert nic["fds"] == FDS
    assert nic["netdev_add"] == {"type": "tap", "id": "hn0"}
    device = nic["device_add"]
    for key, value in {"driver": "virtio-net-pci", "id": "net0", "bus": "pci.0",
                       "netdev": "hn0", "addr": "07.0", "mq": True,
                       "vectors": 6, "mac": q.MAC % 2, "romfile": "",
                       "guest_ufo": False, "event_idx": False,
                       "csum": True}.items():
        assert device[key] == value, (key, device.get(key))
    source_untouched()

    # what it says in a file is what is taken
    path = q.work + "/plan"
    for change, text in (
            ({"fds": FDS[:1]}, "are not 2 numbers"),
            ({"fds": [0, 1]}, "descriptor 0 of process"),
            # without a guest's driver the second queue is detached
            ({"fds": FDS[::-1]}, "cannot be queue 1 of netdev 'hn0'"),
            ({"ifname": "tap7"}, "the plan has netdev 'hn0' on tap7"),
            ({"id": "hn7"}, "the plan lacks netdev 'hn0'"),
            ({"device_add": {**device, "nonsense": 1}}, "knows no property")):
        with open(path, "w") as f:
            json.dump({"netdevs": [{**nic, **change}]}, f)
        refused(text, source, vm, "--plan", path)
    with open(path, "w") as f:
        json.dump({"netdevs": [{**nic, "netdev_add": {"vhost": True}}]}, f)
    rc, plan, said = q.move(source, vm, "--dry-run", "--plan", path)
    assert rc == 0 and plan["netdevs"][0]["netdev_add"] == {
        "vhost": True, "type": "tap", "id": "hn0"}, said
    refused("cannot read a plan", source, vm, "--plan", "/nowhere")
    vm.kill()


def a_bus_that_takes_nothing():
    fds = q.tap_fds("tap1", 1)
    own = q.Vm("pcie", MEMORY + "4", running=True, machine="q35", fds=fds,
               extra=["-netdev", f"tap,id=hn1,fd={fds[0]}",
                      "-device", "virtio-net-pci,netdev=hn1,bus=pcie.0"])
    os.close(fds[0])
    vm = target("pcie-target", MEMORY + "4", machine="q35")
    refused("is on bus 'pcie.0', which takes no device", own, vm)
    own.kill()
    vm.kill()


def memory_that_is_not_shared():
    fds = q.tap_fds("tap2", 1)
    own = q.Vm("private", MEMORY + "5", running=True, share="off")
    own.plug({"id": "hn1", "fds": fds}, {})
    os.close(fds[0])
    vm = target("private-target", MEMORY + "5")
    refused("the source's memory 'mem' is its own", own, vm)
    own.kill()
    vm.kill()


q.main([
    usage_is_told, a_path_that_is_no_socket, a_socket_that_is_not_qmp,
    a_monitor_that_another_uses, the_same_process_twice,
    a_target_that_does_not_wait, a_target_of_another_machine,
    a_target_with_memory_of_its_own, a_target_that_has_the_device,
    a_netdev_that_is_not_there, a_queue_in_other_hands,
    a_plan_is_what_the_source_has, a_bus_that_takes_nothing,
    memory_that_is_not_shared,
])
