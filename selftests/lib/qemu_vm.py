# SPDX-License-Identifier: GPL-2.0
"""
VMs of stock QEMU within the virtual machine: QMP, taps, the inner guest's other
end, and a network for them:

    QEMU -- tap -- bridge -- veth -- peer

A test's argument can name other QEMUs than the machine's, FIRST:THEN, of which the
guest begins in the first one and is moved to the second (7.2:10.0). All have the
machine type of the oldest, for their states to fit. It can name cases, too, which
are run alone then, behind a comma if need be.

Run as a program, outside of it, it boots the inner guest and saves its state:

    qemu_vm.py DIR		DIR/vmlinuz and DIR/initrd make DIR/state
    qemu_vm.py -		what it is made with

because an emulator in an emulator takes a minute or two to boot what it loads in
seconds. The guest has no network card then; it gets one plugged in.
"""

import array
import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import traceback

SCALE = int(os.environ.get("SELFTESTS_SCALE", "1"))
GUEST = "/guest"
TAPXFER = os.environ.get("TAPXFER", "tapxfer")
MAC = "52:54:00:00:02:0%d"
PEER_MAC = "02:00:00:00:02:01"
MEMORY_MB = 96
TUNSETIFF = 0x400454CA
MACHINES = {"pc": "pc-i440fx-7.2", "q35": "pc-q35-7.2"}
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR, IFF_MULTI_QUEUE = 0x2, 0x1000, 0x4000, 0x100

work = None
children = []
ports = []
words = sys.argv[1].split(",") if sys.argv[1:] else []
versions = ([w.split(":") for w in words if ":" in w] or [["7.2", "7.2"]])[0]
# the cases that are run alone, if any are named
alone = [w for w in words if ":" not in w]


def isolate():
    """A network namespace and a directory of our own, and no child after us."""
    if "QEMU_VM_NETNS" not in os.environ:
        os.environ["QEMU_VM_NETNS"] = "1"
        os.execvp("unshare", ["unshare", "--net", "--mount", sys.executable,
                              "-u"] + sys.argv)
    # what it shows are the devices of the namespace that mounted it
    sh("mount -t sysfs sysfs /sys")
    subprocess.run("modprobe -qa tun bridge veth vhost_net", shell=True,
                   check=False)
    for sw in ("all", "default"):
        with open(f"/proc/sys/net/ipv6/conf/{sw}/disable_ipv6", "w") as f:
            f.write("1")
    for version in {v for v in versions if os.path.isdir(root_of(v))}:
        for name in ("dev", "proc", "tmp", "guest"):
            sh(f"mount --rbind /{name} {root_of(version)}/{name}")
    settle_down()


def root_of(version):
    """Where the program is / of, for a QEMU that is not the machine's own"""
    return f"/qemu/{version}"


def program(first):
    """A QEMU that a guest begins in, or one that it is moved to"""
    version = versions[0 if first else 1]
    if version == "7.2":
        return ["qemu-system-x86_64"]
    return ["chroot", root_of(version), "/usr/bin/qemu-system-x86_64"]


def settle_down():
    global work
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    work = tempfile.mkdtemp()


def clean_up():
    for child in children:
        child.kill()
        child.wait()
    # a socket that waits for its peer keeps the namespace, and a persistent tap in it
    for port in ports:
        subprocess.run(["ip", "link", "del", port], check=False,
                       stderr=subprocess.DEVNULL)
    subprocess.run(["rm", "-rf", work], check=False)


class Results:
    """TAP: each case is a function, which fails by an exception."""

    def __init__(self, cases):
        self.cases = cases
        self.failed = 0

    def run(self):
        print(f"TAP version 13\n1..{len(self.cases)}")
        for n, case in enumerate(self.cases, 1):
            name = case.__name__.replace("_", " ")
            try:
                case()
                print(f"ok {n} - {name}")
            except Exception:  # pylint: disable=broad-except
                self.failed += 1
                print("# " + traceback.format_exc().replace("\n", "\n# "))
                print(f"not ok {n} - {name}")
        return 1 if self.failed else 0


def main(cases):
    """Run the cases in a place of their own; exits."""
    if alone:
        cases = [case for case in cases if case.__name__ in alone]
    try:
        status = Results(cases).run()
    finally:
        clean_up()
    sys.exit(status)


def sh(command):
    subprocess.run(command, shell=True, check=True)


def wait_for(what, seconds, text):
    """Until what() is true; it is an error if it does not come to be."""
    end = time.monotonic() + seconds * SCALE
    while True:
        value = what()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(text)
        time.sleep(0.02)


class Qmp:
    """The tests' own connection to a QEMU, beside that of the command"""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60 * SCALE)
        self.sock.connect(path)
        self.file = self.sock.makefile("r")
        self.events = []
        json.loads(self.file.readline())
        self("qmp_capabilities")

    def __call__(self, command, arguments=None, fd=None):
        o = {"execute": command}
        if arguments:
            o["arguments"] = arguments
        data = (json.dumps(o) + "\n").encode()
        if fd is None:
            self.sock.sendall(data)
        else:
            rights = array.array("i", [fd])
            self.sock.sendmsg([data], [(socket.SOL_SOCKET,
                                        socket.SCM_RIGHTS, rights)])
        while True:
            line = self.file.readline()
            if not line:
                raise ConnectionError("QEMU closed its monitor")
            o = json.loads(line)
            if "event" in o:
                self.events.append(o)
            elif "error" in o:
                raise RuntimeError(f"{command}: {o['error']['desc']}")
            else:
                return o["return"]


def tap_fds(name, queues):
    """The files of a tap that QEMU gets by inheritance"""
    flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE
    fds = []
    for _ in range(queues):
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
        fds.append(fd)
    return fds


def qemu_args(name, memory, first, machine="pc", share="on", kernel=True):
    """What is the same for all, or a state could not go from one to another"""
    if not os.path.exists(memory):
        with open(memory, "w") as f:
            f.truncate(MEMORY_MB << 20)
    args = [
        *program(first), "-nodefaults", "-no-user-config",
        "-display", "none", "-no-reboot",
        "-machine", f"{MACHINES[machine]},memory-backend=mem",
        # for one CPU alone TCG leaves out the memory barriers (before 8.1)
        "-accel", "tcg,thread=multi,tb-size=64", "-cpu", "qemu64,-cx16",
        "-smp", "1,maxcpus=2", "-m", f"{MEMORY_MB}M", "-object",
        f"memory-backend-file,id=mem,size={MEMORY_MB}M,mem-path={memory},share={share}",
        "-serial", f"file:{work}/{name}.console",
        "-qmp", f"unix:{work}/{name}.qmp,server=on,wait=off",
        # for the command; the second is for who looks for two at once
        "-qmp", f"unix:{work}/{name}.tool.qmp,server=on,wait=off",
        "-qmp", f"unix:{work}/{name}.tool.qmpx,server=on,wait=off",
    ]
    if kernel:
        args += [
            "-kernel", f"{GUEST}/vmlinuz", "-initrd", f"{GUEST}/initrd",
            "-append", "console=ttyS0 quiet loglevel=4 panic=-1 "
            "ipv6.disable=1 mitigations=off nokaslr clocksource=acpi_pm "
            "no_timer_check random.trust_cpu=on",
        ]
    return args


class Vm:
    """
    A QEMU process: one with a guest when it has nics, which are pairs of what
    netdev_add and device_add get, with descriptors as "fds" of the first; otherwise a
    target, which waits for a migration. running=True is a QEMU without a guest, None one
    that boots its own.
    """

    def __init__(self, name, memory, nics=(), running=False, extra=(), fds=(),
                 **kwargs):
        self.name = name
        self.console = f"{work}/{name}.console"
        self.qmp_path = f"{work}/{name}.qmp"
        self.tool_path = f"{work}/{name}.tool.qmp"
        self.log = open(f"{work}/{name}.log", "w+")
        args = qemu_args(name, memory, nics or running is not False,
                         kernel=not running, **kwargs)
        if running is False:
            args += ["-incoming", "defer"]
        self.process = subprocess.Popen([*args, *extra], pass_fds=fds,
                                        stdin=subprocess.DEVNULL,
                                        stdout=self.log,
                                        stderr=subprocess.STDOUT)
        children.append(self.process)
        self.qmp = None
        wait_for(self.started, 60, f"{name} does not start")
        if nics and not running:
            self.qmp("migrate-incoming", {"uri": f"exec:cat {GUEST}/state"})
            wait_for(lambda: self.status() != "inmigrate", 60,
                     f"{name} does not load the guest")
        for netdev, device in nics:
            self.plug(netdev, device)
        if nics and not running:
            self.qmp("cont")

    def plug(self, netdev, device):
        netdev = dict(netdev)
        names = []
        for n, fd in enumerate(netdev.get("fds", ())):
            names.append(f"{netdev['id']}-{n}")
            self.qmp("getfd", {"fdname": names[-1]}, fd)
        if names:
            netdev["fds"] = ":".join(names)
        self.qmp("netdev_add", {"type": "tap", **netdev})
        self.qmp("device_add", {"driver": "virtio-net-pci",
                                "netdev": netdev["id"], **device})

    def started(self):
        if self.dead():
            raise RuntimeError(f"{self.name}: {self.said()}")
        try:
            self.qmp = Qmp(self.qmp_path)
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        return True

    def dead(self):
        return self.process.poll() is not None

    def said(self):
        self.log.seek(0)
        return self.log.read().strip()

    def ready(self, line="guest: ready"):
        """Once the guest has said so"""
        def look():
            if self.dead():
                raise RuntimeError(f"{self.name}: {self.said()}")
            with open(self.console, errors="replace") as f:
                return line in f.read()
        try:
            wait_for(look, 120, f"{self.name}: the guest does not come up")
        except TimeoutError:
            with open(self.console, errors="replace") as f:
                print("# " + f.read()[-2000:].replace("\n", "\n# "))
            raise

    def status(self):
        return self.qmp("query-status")["status"]

    def kill(self):
        self.process.kill()
        self.process.wait()


def move(source, target, *words, timeout=f"{30 * SCALE}s",
         deadline=f"{min(60 * SCALE, 300)}s"):
    """
    tapxfer qemu: its exit status, its answer and what it says. None is the command's own
    timeout, or deadline.
    """
    sockets = [vm if isinstance(vm, str) else vm.tool_path
               for vm in (source, target)]
    if timeout:
        words = [*words, "--timeout", timeout]
    if deadline:
        words = [*words, "--deadline", deadline]
    done = subprocess.run([TAPXFER, "-j", "qemu", "--source", sockets[0],
                           "--target", sockets[1], *words],
                          capture_output=True, text=True,
                          timeout=120 * SCALE, check=False)
    answer = json.loads(done.stdout) if done.stdout else None
    return done.returncode, answer, done.stderr


class Peer:
    """The guest's other end, see qemu/peer.c"""

    def __init__(self):
        self.process = subprocess.Popen([f"{GUEST}/peer"], text=True,
                                        stdin=subprocess.PIPE, bufsize=1,
                                        stdout=subprocess.PIPE)
        children.append(self.process)
        self.was = None

    def __call__(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        line = self.process.stdout.readline().strip()
        if not line:
            raise RuntimeError("the peer has ended")
        return line

    def account(self, patience=(30000, 10000, 10000)):
        """
        Once nothing comes any more: what was lost and doubled, both ways.

        A guest that a new QEMU runs stands still until that has translated it, for
        seconds. And a packet in a ring of the guest's, whose interrupt got lost, is not
        lost: the next one brings it. Nothing more is sent until the caller says so.
        What was lost before the baseline is not waited for.
        """
        lost = self.was["to_lost"] if self.was else 0
        self("lost", lost)
        self("rate", 0)
        self("stream", 0)
        for ms in patience:
            self("settle", ms * SCALE)
            a = {k: int(v) for k, v in
                 (w.split("=") for w in self("account").split())}
            a["to_lost"] = a["to_sent"] - a["to_got"]
            a["from_lost"] = a["from_sent"] - a["from_got"]
            if a["to_lost"] <= lost and a["stream_sent"] == a["stream_got"]:
                break
            self("nudge")
        return a

    def baseline(self, *patience):
        """That packets come, both ways, and what has become of them up to here"""
        self.was = self.account(*patience)
        print("#", self.was)
        for key in ("to_got", "from_got", "stream_got"):
            assert self.was[key], key

    def whole(self):
        """Nothing is lost or doubled since the last look, and the stream goes on."""
        was, now = self.was, self.account()
        self.was = now
        print("#", now)
        for key in ("to_lost", "to_again", "from_lost", "from_again",
                    "stream_wrong"):
            assert now[key] == was[key], (key, was[key], now[key])
        for key in ("to_got", "from_got", "stream_got"):
            assert now[key] > was[key], (key, was[key], now[key])
        assert now["stream_sent"] == now["stream_got"]


def network(taps=("tap0",)):
    """The bridge and its ports; the taps exist already"""
    sh("ip link add br0 type bridge stp_state 0 mcast_snooping 0")
    sh("ip link add port0 type veth peer name peer0")
    sh("ip link set port0 master br0 up && ip link set br0 up")
    sh(f"ip link set peer0 address {PEER_MAC} up")
    sh("ip addr add 192.0.2.1/24 dev peer0")
    sh(f"ip neigh add 192.0.2.2 lladdr {MAC % 2} nud permanent dev peer0")
    for tap in taps:
        sh(f"ip link set {tap} master br0 up")
    ports.extend(taps)


def carrier_changes(tap):
    with open(f"/sys/class/net/{tap}/carrier_changes") as f:
        return int(f.read())


def make_state(where):
    """Boot the guest up to where it waits for its network card."""
    global GUEST
    GUEST = where
    settle_down()
    try:
        vm = Vm("boot", f"{work}/memory", running=None)
        vm.ready("guest: up")
        vm.qmp("stop")
        vm.qmp("migrate-set-parameters", {"max-bandwidth": 1 << 34})
        vm.qmp("migrate", {"uri": f"exec:cat >{where}/state"})
        wait_for(lambda: vm.qmp("query-migrate")["status"] == "completed", 60,
                 "the guest's state is not saved")
    finally:
        clean_up()


if __name__ == "__main__":
    if sys.argv[1] == "-":
        print(qemu_args("boot", "/dev/null", True))
    else:
        make_state(sys.argv[1])
