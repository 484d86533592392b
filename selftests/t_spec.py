#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""
The spec, the uapi header and the running family say the same, and the kernel's
own YNL client can use the spec.

YNL=DIR is a kernel tree (or what of it has tools/net/ynl) of 6.12 or later. When
it is not set: /ynl, which the virtual machine has, or what vm/fetch.sh fetches.
"""

import ctypes
import fcntl
import json
import os
import re
import socket
import struct
import subprocess
import sys
import time
import traceback

HERE = os.path.dirname(os.path.realpath(__file__))
SPEC = os.path.join(HERE, "../Documentation/netlink/specs/tapxfer.yaml")
HEADER = os.path.join(HERE, "../include/uapi/linux/tapxfer.h")
# how many times slower than usual this machine is
SCALE = int(os.environ.get("SELFTESTS_SCALE", "1"))


def ynl_tree():
    """Where the kernel's client is"""
    if "YNL" in os.environ:
        return os.environ["YNL"]
    if os.path.exists("/ynl"):
        return "/ynl"
    return subprocess.run([os.path.join(HERE, "vm/fetch.sh"), "ynl"], check=True,
                          stdout=subprocess.PIPE, text=True).stdout.strip()


YNL = os.path.join(ynl_tree(), "tools/net/ynl")

sys.dont_write_bytecode = True
sys.path.insert(0, YNL)
# pylint: disable=wrong-import-position,import-error
from lib import NlError, YnlFamily  # noqa: E402

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI, IFF_MULTI_QUEUE = 0x0002, 0x1000, 0x0100
SIOCGIFINDEX = 0x8933
SOL_NETLINK, NETLINK_EXT_ACK = 270, 11


# -- the header -----------------------------------------------------------------

def header_constants():
    """All that the header defines, by name, as the C compiler would see it"""
    with open(HEADER, encoding="utf-8") as f:
        text = re.sub(r"/\*.*?\*/", "", f.read(), flags=re.S)
    found = {}
    for name, value in re.findall(r"^#define[ \t]+(\w+)[ \t]+(\S.*)$", text, re.M):
        found[name] = json.loads(value)
    for body in re.findall(r"enum\s*\w*\s*\{(.*?)\}", text, re.S):
        value = -1
        for entry in filter(None, (e.strip() for e in body.split(","))):
            name, _, expr = entry.partition("=")
            value = eval(expr, {}, found) if expr.strip() else value + 1
            found[name.strip()] = value
    return found


def upper(*words):
    """The header's name of what has these names in the spec"""
    return "_".join(words).upper().replace("-", "_")


def spec_constants(family):
    """What the header has to define, as the spec has it"""
    want = {"TAPXFER_FAMILY_NAME": family.yaml["name"],
            "TAPXFER_FAMILY_VERSION": family.yaml.get("version", 1)}
    for name, const in family.consts.items():
        if const["type"] == "const":
            want[upper("tapxfer", name)] = const["value"]
            continue
        for entry in const.entries.values():
            want[upper("tapxfer", name, entry.name)] = entry.user_value()
    for name, attrs in family.attr_sets.items():
        if attrs.subset_of:
            continue
        for attr in attrs.attrs.values():
            want[upper("tapxfer-a", name, attr.name)] = attr.value
        last = max(attr.value for attr in attrs.attrs.values())
        want[upper("tapxfer-a", name, "max")] = last
        want["__" + upper("tapxfer-a", name, "max")] = last + 1
    for op in family.msgs.values():
        want[upper("tapxfer-cmd", op.name)] = op.req_value or op.rsp_value
    last = max(op.req_value or op.rsp_value for op in family.msgs.values())
    want["TAPXFER_CMD_MAX"] = last
    want["__TAPXFER_CMD_MAX"] = last + 1
    for group in family.mcast_groups:
        want[upper("tapxfer-mcgrp", group)] = group
    return want


def test_header():
    """the header defines what the spec says, and nothing else"""
    header, spec = header_constants(), spec_constants(YnlFamily(SPEC, False))
    assert len(spec) > 50
    wrong = [f"{name}: spec {spec.get(name)}, header {header.get(name)}"
             for name in sorted(set(header) | set(spec))
             if header.get(name) != spec.get(name)]
    assert not wrong, "; ".join(wrong)


# What a kernel has only with a feature: none of it without, all of it with
OPS_OF = {"ready": "ready", "pass": "pass", "drain": "drain"}
ATTRS_OF = {"no-fds": "no-fds", "shared": "exclusive", "hold-bytes": "hold-bytes",
            "hold-bytes-default": "hold-bytes", "hold-bytes-max": "hold-bytes",
            "attach-all": "attach-all", "scratch": "scratch", "brief": "brief",
            "fds": "brief", "thaw": "claim-thaw"}


def there(family, names, feature_of):
    """Those of the names that the running family has to know"""
    features = family.do("cap-get", {})["features"]
    return {n for n in names if feature_of.get(n) is None or feature_of[n] in features}


# -- the family -------------------------------------------------------------------

def attrs(buf):
    """Netlink attributes: pairs of number and bytes"""
    found = []
    while len(buf) >= 4:
        length, num = struct.unpack_from("HH", buf)
        found.append((num & 0x3fff, buf[4:length]))
        buf = buf[(length + 3) & ~3:]
    return found


def ctrl_policies(family_id):
    """What the family takes, by command: {attribute: {property: value}}"""
    getpolicy, attr_family = 10, 1
    attr_policy, attr_op_policy = 8, 9
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16)
    sock.settimeout(10 * SCALE)
    body = struct.pack("BBH", getpolicy, 1, 0) + \
        struct.pack("HHHH", 6, attr_family, family_id, 0)
    sock.send(struct.pack("IHHII", 16 + len(body), 0x10, 0x301, 1, 0) + body)

    policies, by_op = {}, {}
    done = False
    while not done:
        buf = sock.recv(1 << 17)
        while buf and not done:
            length, kind = struct.unpack_from("IH", buf)
            if kind == 2:
                raise OSError(-struct.unpack_from("i", buf, 16)[0], "GETPOLICY")
            done = kind == 3
            for num, value in attrs(buf[20:length]) if not done else ():
                for key, entry in attrs(value):
                    if num == attr_op_policy:
                        by_op[key] = dict(attrs(entry))
                    elif num == attr_policy:
                        for attr, props in attrs(entry):
                            policies.setdefault(key, {})[attr] = dict(attrs(props))
            buf = buf[(length + 3) & ~3:]
    do_policy = 1
    return {op: policies.get(struct.unpack("I", which[do_policy])[0], {})
            for op, which in by_op.items() if do_policy in which}


# enum netlink_attribute_type
TYPES = {"flag": 1, "u8": 2, "u16": 3, "u32": 4, "u64": 5, "s32": 8, "binary": 10, "string": 11}


def number(props, num):
    """A property of a policy, of whatever width"""
    return int.from_bytes(props[num], sys.byteorder) if num in props else None


def check_property(family, attr, props):
    """One attribute's policy against its entry in the spec"""
    kind, min_u, min_len, max_len = 1, 4, 6, 7
    checks = attr.yaml.get("checks", {})
    assert number(props, kind) == TYPES[attr.type], \
        f"{attr.name}: type {number(props, kind)}, spec {attr.type}"
    if attr.type.startswith("u"):
        assert (number(props, min_u) or 0) == checks.get("min", 0), \
            f"{attr.name}: least value {number(props, min_u)}, spec {checks}"
    if "exact-len" in checks:
        length = checks["exact-len"]
        length = family.consts[length]["value"] if isinstance(length, str) else length
        assert number(props, min_len) == length == number(props, max_len), \
            f"{attr.name}: {number(props, min_len)} to {number(props, max_len)} bytes"


def test_policies():
    """the running family takes the attributes that the spec says, and no others"""
    family = YnlFamily(SPEC, False)
    policies = ctrl_policies(family.nlproto.family_id)
    ops = there(family, family.ops, OPS_OF)
    for op in (family.ops[name] for name in sorted(ops)):
        takes = there(family, op["do"].get("request", {}).get("attributes", []), ATTRS_OF)
        # an operation that takes none may have no policy, or one that refuses
        policy = policies.get(op.req_value, {})
        names = {attr.value: attr.name for attr in op.attr_set.attrs.values()}
        assert {names.get(num, num) for num in policy} == takes, \
            f"{op.name}: takes {sorted(names.get(n, n) for n in policy)}, spec {takes}"
        for num, props in policy.items():
            check_property(family, op.attr_set[names[num]], props)


def genl_family():
    """What the controller tells of the family: operations and groups"""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16) as sock:
        name = b"tapxfer\0"
        body = struct.pack("BBH", 3, 1, 0) + struct.pack("HH", 4 + len(name), 2) + name
        sock.send(struct.pack("IHHII", 16 + len(body), 0x10, 0x1, 1, 0) + body)
        return dict(attrs(sock.recv(1 << 16)[20:]))


def test_operations():
    """the running family has the spec's operations, dumps and groups, and no others"""
    family = YnlFamily(SPEC, False)
    told = genl_family()
    attr_ops, attr_groups, cap_do, cap_dump = 6, 7, 2, 4
    ops = {}
    for _, entry in attrs(told[attr_ops]):
        entry = dict(attrs(entry))
        ops[struct.unpack("I", entry[1])[0]] = struct.unpack("I", entry[2])[0]
    want = [family.ops[name] for name in there(family, family.ops, OPS_OF)]
    assert set(ops) == {op.req_value for op in want}, ops
    for op in want:
        assert bool(ops[op.req_value] & cap_do) == ("do" in op), op.name
        assert bool(ops[op.req_value] & cap_dump) == ("dump" in op), op.name
    groups = {dict(attrs(g))[1].rstrip(b"\0").decode()
              for _, g in attrs(told[attr_groups])}
    assert groups == set(family.mcast_groups), groups


# -- the client -------------------------------------------------------------------

class Tap:
    """A multiqueue tap"""

    def __init__(self, name, queues):
        self.files = [os.open("/dev/net/tun", os.O_RDWR) for _ in range(queues)]
        ifr = struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE)
        for fd in self.files:
            fcntl.ioctl(fd, TUNSETIFF, ifr)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            ifr = fcntl.ioctl(sock, SIOCGIFINDEX, struct.pack("16s24x", name.encode()))
        self.ifindex = struct.unpack_from("I", ifr, 16)[0]

    def close(self):
        """Close it, and it is gone"""
        for fd in self.files:
            os.close(fd)


def cli(*args, fds=()):
    """Run the kernel's command; what it answers"""
    run = subprocess.run([sys.executable, os.path.join(YNL, "cli.py"), "--no-schema",
                          "--output-json", "--spec", SPEC, *args],
                         pass_fds=fds, capture_output=True, text=True, check=False,
                         timeout=30 * SCALE)
    assert run.returncode == 0, f"{args}: {run.stderr.splitlines()[-5:]} {run.stdout}"
    return json.loads(run.stdout)


def test_cli_cap_get():
    """ynl --do cap-get tells features and limits by their names"""
    caps = cli("--do", "cap-get")
    family = YnlFamily(SPEC, False)
    assert set(caps["features"]) <= {e.name for e in
                                     family.consts["feature"].entries.values()}, caps
    assert {"hold", "claim"} <= set(caps["features"]), caps
    assert 0 < caps["hold-default"] <= caps["hold-max"], caps
    assert 0 < caps["deadline-default"] <= caps["deadline-max"], caps
    # whatever the spec promises is there
    promised = there(family, family.ops["cap-get"]["do"]["reply"]["attributes"], ATTRS_OF)
    assert set(caps) == promised, set(caps) ^ promised


def test_cli_dev_get():
    """ynl --dump dev-get and --do dev-get tell a tap by names of the spec"""
    taps = [Tap("tap0", 3), Tap("tap1", 1)]
    dump = cli("--dump", "dev-get")
    assert [d["ifname"] for d in dump] == ["tap0", "tap1"], dump
    assert [d["num-queues"] for d in dump] == [3, 1], dump
    assert all(d["type"] == "tap" for d in dump), dump
    one = cli("--do", "dev-get", "--json",
              json.dumps({"ifindex": taps[0].ifindex, "fd": taps[0].files[1]}),
              fds=taps[0].files)
    assert one["ifindex"] == taps[0].ifindex and one["vnet-hdr-sz"] > 0, one
    assert one["flags"] == IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE, one
    assert set(one["not-exported"]) >= {"queue-index"}, one
    allowed = set(YnlFamily(SPEC, False).ops["dev-get"]["do"]["reply"]["attributes"])
    assert set(one) <= allowed, set(one) - allowed
    for tap in taps:
        tap.close()


def replies_as_in_spec(family, op, reply):
    """A reply has no attribute that the spec does not list"""
    allowed = set(family.ops[op]["do"]["reply"]["attributes"])
    assert set(reply) <= allowed, f"{op}: {set(reply) - allowed}"


def test_cli_handover():
    """ynl takes a handover from the prepare to the thaw"""
    tap = Tap("tap0", 3)
    family = YnlFamily(SPEC, False)
    begun = cli("--do", "prepare", "--json",
                json.dumps({"ifindex": tap.ifindex, "fd": tap.files, "hold": 2000,
                            "deadline": min(60000 * SCALE, 300000)}), fds=tap.files)
    assert begun["state"] == "prepared" and begun["ifname"] == "tap0", begun
    assert len(begun["token"]) == 32, begun
    replies_as_in_spec(family, "prepare", begun)
    go_on = json.dumps({"id": begun["id"], "token": begun["token"]})

    assert [h["id"] for h in cli("--dump", "handover-get")] == [begun["id"]]
    held = cli("--do", "hold", "--json", go_on)
    replies_as_in_spec(family, "hold", held)
    assert held["state"] == "holding", held
    frozen = cli("--do", "freeze", "--json", go_on)
    replies_as_in_spec(family, "freeze", frozen)
    assert frozen["state"] == "frozen" and frozen["num-queues"] == 3, frozen
    assert [q["index"] for q in frozen["queue"]] == [0, 1, 2], frozen
    assert frozen["dev"]["ifname"] == "tap0" and frozen["dev"]["type"] == "tap", frozen

    told = cli("--do", "handover-get", "--json", json.dumps({"id": begun["id"]}))
    replies_as_in_spec(family, "handover-get", told)
    assert told["state"] == "frozen" and told["hold"] == 2000, told
    assert told["prepared-at"] <= told["holding-at"] <= told["frozen-at"], told
    # flags are a set
    for dev in told["dev"], frozen["dev"]:
        dev["not-exported"].sort()
    assert told["dev"] == frozen["dev"], (told["dev"], frozen["dev"])

    # not by a command, which would be a claimant that exits
    claimed = family.do("claim", {"id": begun["id"],
                                  "token": bytes.fromhex(begun["token"])})
    replies_as_in_spec(family, "claim", claimed)
    fds = [q["fd"] for q in claimed["queue"]]
    assert [os.fstat(fd).st_rdev for fd in fds] == \
        [os.fstat(fd).st_rdev for fd in tap.files], claimed
    thawed = cli("--do", "thaw", "--json", go_on)
    replies_as_in_spec(family, "thaw", thawed)
    assert thawed["state"] == "draining" and thawed["blackout"] > 0, thawed
    for fd in fds:
        os.close(fd)
    tap.close()


def test_abort_and_errors():
    """the client gets an abort's answer, and an error's text and attribute"""
    tap = Tap("tap0", 2)
    family = YnlFamily(SPEC, False)
    begun = family.do("freeze", {"ifindex": tap.ifindex, "fd": tap.files})
    replies_as_in_spec(family, "freeze", begun)
    try:
        family.do("abort", {"id": begun["id"], "token": bytes(16)})
        raise AssertionError("a wrong token was taken")
    except NlError as err:
        assert err.nl_msg.extack["msg"] == "the token is not this handover's", err
        assert err.nl_msg.extack["bad-attr"] == ".token", err
    ended = family.do("abort", {"id": begun["id"], "token": begun["token"]})
    replies_as_in_spec(family, "abort", ended)
    assert ended["state"] == "draining", ended
    tap.close()


def test_events():
    """the client takes events by their names, with what the spec lists"""
    tap = Tap("tap0", 2)
    family, listener = YnlFamily(SPEC, False), YnlFamily(SPEC, False)
    listener.ntf_subscribe("events")
    begun = family.do("freeze", {"ifindex": tap.ifindex, "fd": tap.files})
    family.do("abort", {"id": begun["id"], "token": begun["token"]})
    end = time.monotonic() + 10 * SCALE
    while len(listener.async_msg_queue) < 4 and time.monotonic() < end:
        listener.check_ntf()
    got = [msg["msg"] for msg in listener.async_msg_queue]
    assert [e["event"] for e in got] == ["prepared", "holding", "frozen", "aborted"], got
    promised = set(family.msgs["event"]["event"]["attributes"])
    # told when there is one
    optional = {"claimant", "violated"}
    for event in got:
        assert promised - optional <= set(event) <= promised, set(event) ^ promised
    tap.close()


TESTS = [test_header, test_operations, test_policies, test_cli_cap_get, test_cli_dev_get,
         test_cli_handover, test_abort_and_errors, test_events]


def main():
    """TAP"""
    print(f"TAP version 13\n1..{len(TESTS)}", flush=True)
    failed = 0
    for n, test in enumerate(TESTS, 1):
        # each in a netns of its own, which goes with its process
        pid = os.fork()
        if not pid:
            try:
                if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "unshare")
                test()
            except BaseException:  # pylint: disable=broad-except
                print("".join("# " + line + "\n" for line in
                              traceback.format_exc().splitlines()), end="", flush=True)
                os._exit(1)
            os._exit(0)
        status = os.waitpid(pid, 0)[1]
        failed += bool(status)
        print(f"{'not ' if status else ''}ok {n} {test.__doc__}", flush=True)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
