#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Documentation/state-format.rst in another language, by nothing but what is
# written there: a second reader, which has to agree with the library's.
#
#	state_spec.py dump FILE		what a state says, a line an attribute
#	state_spec.py document FILE	do the tables here and those there agree?
#	state_spec.py make DIR		the golden files of version 1. They are
#					there for good: a later version adds
#					files, and changes none

import re
import struct
import sys

MAGIC = b"TAPXFER\n"
NESTED, REQUIRED = 0x8000, 0x4000

HELD, DRAINED, LEFT, DETACHED, FDS = 1, 2, 4, 8, 16

DEV = {
    1: "u32", 2: "string", 4: "u32", 5: "u32", 6: "u32", 7: "u32", 8: "u8",
    9: "u8", 10: "u32", 11: "s32", 12: "u32", 13: "u32", 14: "u8", 15: "u8",
    16: "u32", 17: "u32", 18: "binary", 19: "u32", 20: "u8", 21: "u32",
    22: "u32", 23: "u32",
}
QUEUE = {
    1: "u32", 2: "s32", 3: "u8", 4: "u8", 5: "u32", 6: "u32", 7: "u32",
    10: "u64", 11: "u32", 12: "u8", 13: "u32", 15: "u32",
}
STATE = {
    1: "u32", 2: "binary", 3: "u32", 4: "string", 5: "u32", 7: "u32",
    10: DEV, 11: QUEUE, 12: "u32", 13: "u64", 14: "u64", 20: "u32",
    28: "u64", 29: "u64", 30: "u64", 31: "u64", 32: "u32",
    0x101: "string", 0x102: "string", 0x103: "u64", 0x104: "u64",
}
# What a reader has to know
MUST = {"state": {10, 11}, "dev": {4, 6, 7, 8, 9, 10}, "queue": {3}}
SIZES = {"u8": "<B", "u32": "<I", "s32": "<i", "u64": "<Q"}


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def attributes(data):
    at = 0
    while at < len(data):
        length, kind = struct.unpack_from("<HH", data, at)
        assert length >= 4 and at + length <= len(data)
        yield kind, data[at + 4:at + length]
        at += (length + 3) & ~3
    assert at == len(data)


def value(kind, data):
    if kind == "string":
        assert data.endswith(b"\0")
        return data[:-1].decode()
    if kind == "binary":
        return data.hex()
    assert len(data) == struct.calcsize(SIZES[kind])
    return str(struct.unpack(SIZES[kind], data)[0])


def dump_level(data, table, path):
    found, nests = [], {}
    for word, payload in attributes(data):
        number = word & 0x3fff
        kind = table.get(number)
        if kind is None:
            assert not word & REQUIRED
            continue
        assert bool(word & NESTED) == isinstance(kind, dict)
        if isinstance(kind, dict):
            n = nests[number] = nests.get(number, -1) + 1
            lines = dump_level(payload, kind, "%s%d[%d]." % (path, number, n))
        else:
            lines = ["%s%d=%s" % (path, number, value(kind, payload))]
        found.append((number, lines))
    # in whatever order they come
    found.sort(key=lambda item: item[0])
    return [line for _, lines in found for line in lines]


def dump(data):
    magic, version, phase, length, features, reserved, crc = \
        struct.unpack_from("<8sHHIQII", data)
    assert magic == MAGIC and version == 1 and phase == 0 and reserved == 0
    assert crc == crc32c(data[:28])
    assert len(data) == 32 + length + 4
    assert struct.unpack_from("<I", data, 32 + length)[0] == \
        crc32c(data[:32 + length])
    return ["256=%d" % features] + dump_level(data[32:32 + length], STATE, "")


def document(path):
    tables = {"Outermost": (STATE, "state"), "dev": (DEV, "dev"),
              "queue": (QUEUE, "queue")}
    found = {name: ({}, set()) for name in tables}
    name = before = None
    with open(path, encoding="utf-8") as f:
        for line in map(str.rstrip, f):
            if line and set(line) <= set("-=") and len(line) == len(before):
                name = before
            before = line
            row = re.match(r"(0x[0-9a-f]+|[0-9]+)\s+(\S+)\s+"
                           r"(u32|u64|s32|bool|string|bytes|nest)\b(.*)", line)
            if not row or name not in found:
                continue
            number = int(row[1], 0)
            kind = {"bool": "u8", "bytes": "binary",
                    "nest": DEV if row[2] == "dev" else QUEUE}
            found[name][0][number] = kind.get(row[3], row[3])
            if re.search(r"\breq\b", row[4][:18]):
                found[name][1].add(number)
    for name, (table, must) in tables.items():
        assert found[name] == (table, MUST[must]), name


def attr(number, payload, flags=0):
    out = struct.pack("<HH", 4 + len(payload), number | flags) + payload
    return out + bytes(-len(out) % 4)


def encode(table, name, items):
    out = b""
    for number, item in items:
        kind = table[number]
        must = REQUIRED if number in MUST[name] else 0
        if isinstance(kind, dict):
            inner = "dev" if number == 10 else "queue"
            out += attr(number, encode(kind, inner, item), NESTED | must)
        elif kind == "string":
            out += attr(number, item.encode() + b"\0", must)
        elif kind == "binary":
            out += attr(number, item, must)
        elif kind == "raw":
            out += item
        else:
            out += attr(number, struct.pack(SIZES[kind], item), must)
    return out


def stream(features, body, version=1, phase=0):
    head = struct.pack("<8sHHIQI", MAGIC, version, phase, len(body), features, 0)
    head += struct.pack("<I", crc32c(head))
    return head + body + struct.pack("<I", crc32c(head + body))


def queue(index, detached=0, held=0):
    return [(1, index), (3, detached), (4, 1), (5, 2), (6, held), (7, 0),
            (10, held * 768), (11, 0), (12, 0), (13, 0), (15, 0)]


TAP = [
    (1, 7), (2, "tap0"), (4, 2), (5, 1), (6, 0x5102), (7, 12), (8, 0),
    (10, 0x1f), (11, 0x7fffffff), (12, 64055), (13, 994), (14, 1), (15, 1),
    (16, 2), (17, 0), (18, bytes.fromhex("52540012abcd")), (19, 1500),
    (20, 1), (21, 1000), (22, 42), (23, 15),
]
MINIMAL = [
    (1, 3), (2, "tun9"), (4, 1), (5, 65534), (6, 0x1001), (7, 10), (8, 1),
    (10, 0), (11, -1), (19, 65521),
]
FULL = [
    (1, 123456), (3, 7), (4, "tap0"), (5, 3), (7, 16384), (10, TAP),
    (11, queue(0, held=17)), (11, queue(1, held=4000000000)), (12, 2),
    (13, 4000000017), (14, 0), (20, 9876), (28, 1 << 30), (29, 13056),
    (30, 0), (31, 0), (32, 0), (0x101, "0.1.0"), (0x102, "0.1.0"),
    (0x103, 0x3fff), (0x104, 15),
]
SMALL = [(1, 1), (10, MINIMAL), (11, [(1, 0), (3, 0), (4, 0)]), (12, 1)]


def changed(items, number, item):
    return [(n, item if n == number else i) for n, i in items]


def make(where):
    def write(name, data):
        with open("%s/%s.state" % (where, name), "xb") as f:
            f.write(data)

    full = encode(STATE, "state", FULL)
    small = encode(STATE, "state", SMALL)
    write("v1-tap", stream(HELD | DRAINED, full))
    write("v1-minimal", stream(HELD | DRAINED, small))
    write("v1-detached", stream(HELD | LEFT | DETACHED, encode(
        STATE, "state",
        [(1, 2), (10, TAP), (11, queue(0)), (11, queue(1, 1)),
         (11, queue(2, 1)), (12, 3), (31, 99328)])))
    # of a later version: attributes that a reader need not know, the order
    future = dict(STATE)
    future[0x99] = future[9] = "raw"
    dev = dict(DEV)
    dev[0x77] = "raw"
    future[10] = dev
    write("v1-later", stream(HELD | DRAINED, encode(
        future, "state",
        [(0x99, attr(0x1234, b"what is to come")), (12, 1),
         (11, [(4, 0), (3, 0), (1, 0)]),
         (10, [(0x77, attr(0x77, b"")), *reversed(MINIMAL)]),
         (9, attr(0x1235, b"\1\2\3\4", NESTED)), (1, 1)])))

    write("refused/version", stream(HELD | DRAINED, small, version=2))
    write("refused/phase", stream(HELD | DRAINED, small, phase=1))
    write("refused/feature", stream(HELD | DRAINED | 1 << 40, small))
    write("refused/fds", stream(HELD | DRAINED | FDS, small))
    write("refused/attribute", stream(
        HELD | DRAINED, small + attr(0x321, b"abcd", REQUIRED)))
    nested = encode(dev, "dev", [*MINIMAL,
                                 (0x77, attr(0x77, b"abcd", REQUIRED))])
    write("refused/attribute-nested", stream(HELD | DRAINED, encode(
        STATE, "state", [(1, 1)]) + attr(10, nested, NESTED | REQUIRED) + encode(
            STATE, "state", [SMALL[2], (12, 1)])))
    write("refused/twice", stream(HELD | DRAINED, small + encode(
        STATE, "state", [(12, 1)])))
    write("refused/queues", stream(HELD | DRAINED, encode(
        STATE, "state", changed(SMALL, 12, 2))))
    write("refused/no-device", stream(HELD | DRAINED, encode(
        STATE, "state", [(n, i) for n, i in SMALL if n != 10])))
    write("refused/both", stream(HELD | DRAINED | LEFT, small))
    write("refused/neither", stream(HELD, small))
    write("refused/detached", stream(HELD | DRAINED, encode(
        STATE, "state", changed(SMALL, 11, [(1, 0), (3, 1), (4, 0)]))))
    write("refused/bool", stream(HELD | DRAINED, encode(
        STATE, "state", changed(SMALL, 11, [(1, 0), (3, 2), (4, 0)]))))
    write("refused/token", stream(HELD | DRAINED, small + attr(2, bytes(16))))
    write("refused/escape", stream(HELD | DRAINED, encode(
        STATE, "state", changed(SMALL, 10,
                                changed(MINIMAL, 2, "\x1b[31m")))))
    write("refused/padding", stream(HELD | DRAINED, encode(
        STATE, "state", SMALL[:2]) + attr(11, attr(1, bytes(4)) +
                                          attr(3, b"\0", REQUIRED)[:-3] +
                                          b"\0\0\1" + attr(4, b"\0"),
                                          NESTED | REQUIRED) +
        encode(STATE, "state", [(12, 1)])))
    write("refused/nested", stream(HELD | DRAINED, encode(
        STATE, "state", SMALL[:3]) + attr(12, struct.pack("<I", 1), NESTED)))
    write("refused/plain", stream(HELD | DRAINED, encode(
        STATE, "state", [(1, 1)]) + attr(10, encode(DEV, "dev", MINIMAL),
                                         REQUIRED) +
        encode(STATE, "state", SMALL[2:])))
    write("refused/half", stream(HELD | DRAINED, small + b"\4\0"))
    write("refused/length", stream(HELD | DRAINED, small +
                                   struct.pack("<HH", 3, 0x99)))
    write("refused/overlong", stream(HELD | DRAINED, small +
                                     struct.pack("<HH", 8, 0x99)))
    write("refused/not-a-state", b"#!/bin/sh\necho 'these are not the bytes'\n")
    write("refused/ended", stream(HELD | DRAINED, small)[:-1])
    damaged = bytearray(stream(HELD | DRAINED, small))
    damaged[40] ^= 1
    write("refused/checksum", bytes(damaged))
    damaged = bytearray(stream(HELD | DRAINED, small))
    damaged[14] ^= 1
    write("refused/header", bytes(damaged))
    head = struct.pack("<8sHHIQI", MAGIC, 1, 0, 0xfffffffc, HELD | DRAINED, 0)
    write("refused/huge", head + struct.pack("<I", crc32c(head)))


def main():
    if sys.argv[1:2] == ["dump"] and len(sys.argv) == 3:
        with open(sys.argv[2], "rb") as f:
            print("\n".join(dump(f.read())))
    elif sys.argv[1:2] == ["document"] and len(sys.argv) == 3:
        document(sys.argv[2])
    elif sys.argv[1:2] == ["make"] and len(sys.argv) == 3:
        make(sys.argv[2])
    else:
        sys.exit("Usage: state_spec.py dump FILE | document FILE | make DIR")


main()
