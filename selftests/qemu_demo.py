#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""
The demo of two QEMUs: a Linux guest under load goes from one stock QEMU process to the
next, there and back again, by "tapxfer qemu"; and once by the same QMP commands
without tapxfer, for comparison. Prints a table; the last line and the exit status are
the verdict.

Packets are numbered in both directions, and a TCP stream is echoed by the guest. With
vhost=off and with vhost=on the guest is another one. In one update of each the
guest's stop is made 500 ms longer, with more than a queue holds on its way to it.
"""

import ctypes
import os
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)),
                                "lib"))
import qemu_vm as q  # noqa: E402 pylint: disable=wrong-import-position

QUEUES = 4
RATE = 400		# packets a second, each way, as far as the guest can
STREAM = 20000		# bytes a second
WINDOW = 256		# on their way to the guest: fewer than a queue has room for
FLOOD = 3000		# the same, while they are held
EXTRA_MS = 500
MANY = 1000		# a tap's queue holds that many without tapxfer
SYS_PIDFD_GETFD = 438

rows = []
problems = []


def say(text):
    print(f"# {time.monotonic() - began:6.1f} s  {text}", flush=True)


def problem(text):
    problems.append(text)
    say("PROBLEM: " + text)


class Guest:
    """One guest's life, through several QEMUs"""

    def __init__(self, vhost):
        self.vhost = vhost
        self.memory = f"/dev/shm/{vhost}"
        self.tap = f"tap-{vhost}"
        self.qemus = 0
        fds = q.tap_fds(self.tap, QUEUES)
        q.sh(f"ip link set {self.tap} master br0 up")
        self.device = {"driver": "virtio-net-pci", "netdev": "hn0",
                       "id": "net0", "mq": True, "vectors": 2 * QUEUES + 2,
                       "mac": q.MAC % 2, "addr": "07.0"}
        self.vm = q.Vm(f"qemu-{vhost}-0", self.memory,
                       [({"id": "hn0", "fds": fds, "vhost": vhost == "on"},
                         self.device)])
        for fd in fds:
            os.close(fd)
        self.vm.ready()
        say(f"vhost={vhost}: the guest is up")
        self.peer = q.Peer()
        self.peer("window", WINDOW)
        self.peer("guest", RATE)
        self.peer("pairs", QUEUES)
        self.load()
        time.sleep(3)
        self.carrier = q.carrier_changes(self.tap)
        self.was = self.peer.account()
        if not self.was["to_got"] or not self.was["from_got"]:
            problem("no packets flow")

    def load(self):
        self.peer("rate", RATE)
        self.peer("stream", STREAM)

    def target(self):
        self.qemus += 1
        return q.Vm(f"qemu-{self.vhost}-{self.qemus}", self.memory)

    def row(self, way, vm, answer=None, **kwargs):
        """What came of the traffic since the last row"""
        now = self.peer.account(**kwargs)
        row = {k: now[k] - self.was[k] for k in now}
        self.was = now
        carrier = q.carrier_changes(self.tap)
        row["carrier"] = carrier - self.carrier
        self.carrier = carrier
        row.update(way=way, vhost=self.vhost, held=0, most=0, dropped=0,
                   stopped=0, blackout=0, answer=answer)
        if answer:
            nic, = answer["netdevs"]
            row["held"] = nic["handover"]["held"]
            row["dropped"] = nic["handover"]["dropped"]
            row["blackout"] = nic["handover"]["blackout"] / 1e6
            row["most"] = max(queue["held"] for queue in nic["queues"])
            row["stopped"] = answer["stopped"] / 1e6
        rows.append(row)
        if vm.dead() or vm.status() != "running":
            problem(f"{way}: the guest does not run: {vm.said()}")
        if now["stream_wrong"] or now["stream_sent"] != now["stream_got"]:
            problem(f"{way}: the stream is broken")
        say(f"{way}: to the guest {row['to_sent']}, lost {row['to_lost']}; "
            f"from it {row['from_sent']}, lost {row['from_lost']}; "
            f"held {row['held']}, on one queue {row['most']}; "
            f"stopped {row['stopped']:.0f} ms")
        self.load()
        return row

    def move(self, way, meanwhile, extra_ms=0):
        """To a new QEMU; meanwhile() is called when packets are held"""
        hook, begun = f"{q.work}/hook", f"{q.work}/held"
        with open(hook, "w") as f:
            f.write(f"#!/bin/sh\ncase $1 in settle) : >{begun} ;; "
                    f"freeze) sleep {extra_ms / 1000} ;; esac\n")
        os.chmod(hook, 0o755)
        if os.path.exists(begun):
            os.unlink(begun)

        def watch():
            q.wait_for(lambda: os.path.exists(begun) or over.is_set(), 120,
                       "nothing is held")
            meanwhile()
        over = threading.Event()
        thread = threading.Thread(target=watch)
        thread.start()
        vm = self.target()
        self.load()
        time.sleep(0.5)
        rc, answer, said = q.move(self.vm, vm, "--hook", hook)
        over.set()
        thread.join()
        if rc:
            problem(f"{way}: {said.strip()}")
            return None
        self.vm.process.wait()
        self.vm = vm
        return self.row(way, vm, answer)

    def update(self):
        # one that keeps up with nothing, on a busy machine, is sent nothing more
        self.move("tapxfer", lambda: self.peer("nudge"))

    def slow_update(self):
        """More for one queue than it has room for, from the hold on"""
        def flood():
            self.peer("flows", 1)
            self.peer("window", FLOOD)
            self.peer("rate", 20000)
        row = self.move(f"+{EXTRA_MS} ms", flood, EXTRA_MS)
        self.peer("flows", 0)
        self.peer("window", WINDOW)
        if row and row["most"] <= MANY:
            problem(f"no more than {row['most']} were held on a queue")

    def staged(self):
        """The same commands by hand, without tapxfer"""
        source, target = self.vm, self.target()
        self.load()
        time.sleep(0.5)
        fds = files_of(source.process.pid)
        cap = {"capabilities": [{"capability": "x-ignore-shared",
                                 "state": True}]}
        source.qmp("migrate-set-capabilities", cap)
        target.qmp("migrate-set-capabilities", cap)
        ends = socket.socketpair(socket.AF_UNIX)
        stopped = time.monotonic()
        source.qmp("stop")
        for n, fd in enumerate(fds):
            target.qmp("getfd", {"fdname": f"q{n}"}, fd)
            os.close(fd)
        target.qmp("netdev_add", {
            "type": "tap", "id": "hn0",
            "fds": ":".join(f"q{n}" for n in range(len(fds)))})
        # as the others are: what comes while it is stopped
        self.peer("nudge")
        target.qmp("device_add", self.device)
        for vm, end in zip((target, source), ends):
            vm.qmp("getfd", {"fdname": "stream"}, end.fileno())
            end.close()
        target.qmp("migrate-incoming", {"uri": "fd:stream"})
        source.qmp("migrate", {"uri": "fd:stream"})
        q.wait_for(lambda: target.status() != "inmigrate", 60, "no migration")
        target.qmp("cont")
        stopped = (time.monotonic() - stopped) * 1000
        source.qmp("quit")
        source.process.wait()
        self.vm = target
        # what is lost is waited for in vain
        row = self.row("staged", target, patience=(15000, 5000))
        row["stopped"] = stopped
        return row

    def end(self):
        self.peer.process.kill()
        self.vm.kill()


def files_of(pid):
    """Duplicates of a process's queue files"""
    libc = ctypes.CDLL(None, use_errno=True)
    pidfd = os.pidfd_open(pid)
    fds = []
    for name in sorted(os.listdir(f"/proc/{pid}/fd"), key=int):
        if os.readlink(f"/proc/{pid}/fd/{name}") == "/dev/net/tun":
            fds.append(libc.syscall(SYS_PIDFD_GETFD, pidfd, int(name), 0))
    os.close(pidfd)
    return fds


def table():
    head = ("update", "vhost", "to guest", "lost", "again", "from", "lost",
            "again", "held", "a queue", "stopped", "blackout", "carrier")
    lines = [head]
    for r in rows:
        lines.append([str(x) for x in (
            r["way"], r["vhost"], r["to_sent"], r["to_lost"], r["to_again"],
            r["from_sent"], r["from_lost"], r["from_again"], r["held"],
            r["most"], f"{r['stopped']:.0f} ms",
            f"{r['blackout']:.0f} ms" if r["answer"] else "-", r["carrier"])])
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    for line in lines:
        print("  ".join(cell.rjust(w) for cell, w in zip(line, widths)))


def phases():
    """The steps' times, the middle one of all updates but the slow ones"""
    for vhost in ("off", "on"):
        answers = [r["answer"] for r in rows if r["answer"] and
                   r["vhost"] == vhost and r["way"] == "tapxfer"]
        if not answers:
            continue
        words = []
        for step in answers[0]["times"]:
            times = sorted(a["times"][step] for a in answers)
            words.append(f"{step} {times[len(times) // 2] / 1e6:.1f}")
        print(f"ms of each step, vhost={vhost}: " + ", ".join(words))


def verdict():
    ours = [r for r in rows if r["way"] != "staged"]
    total = {k: sum(r[k] for r in ours) for k in
             ("to_sent", "from_sent", "to_lost", "from_lost", "to_again",
              "from_again", "carrier", "held", "dropped", "stream_wrong")}
    staged = sum(r["to_lost"] + r["from_lost"] for r in rows
                 if r["way"] == "staged")
    lost = total["to_lost"] + total["from_lost"]
    again = total["to_again"] + total["from_again"]
    if lost or again or total["dropped"]:
        problem(f"{lost} lost, {again} doubled, {total['dropped']} dropped")
    if total["carrier"]:
        problem("the carrier has changed")
    for r in ours:
        if not r["held"]:
            problem(f"nothing was held in an update ({r['way']})")
    if not staged:
        problem("without tapxfer nothing was lost either")
    text = (f"lost={lost} again={again} updates={len(ours)} "
            f"packets={total['to_sent'] + total['from_sent']} "
            f"held={total['held']} stream={'broken' if total['stream_wrong'] else 'whole'} "
            f"carrier={total['carrier']} staged-lost={staged}")
    if problems:
        print(f"qemu-demo: FAIL {text}: {problems[0]}")
        return 1
    print(f"qemu-demo: PASS {text}")
    return 0


def show():
    q.network(())
    # five times there and back again, once with a longer stop
    guest = Guest("off")
    for n in range(10):
        if n == 4:
            guest.slow_update()
        else:
            guest.update()
    guest.staged()
    guest.end()
    guest = Guest("on")
    guest.update()
    guest.slow_update()
    guest.update()
    guest.update()
    guest.end()


q.isolate()
began = time.monotonic()
try:
    show()
except Exception as e:  # pylint: disable=broad-except
    problem(f"{type(e).__name__}: {e}")
finally:
    q.clean_up()
table()
phases()
sys.exit(verdict())
