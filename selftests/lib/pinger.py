# SPDX-License-Identifier: GPL-2.0
"""
pinger.py DEV FLOWS: send numbered UDP frames to a guest that sends back what it
gets, until SIGTERM; then say what became of them:

	sent N lost N dup N reordered N foreign N

SIGUSR1 asks for how many came back so far. No more than WINDOW are on their way.
"""
import os
import select
import signal
import socket
import struct
import sys
import time

WINDOW = 400
PATIENCE = 30 * int(os.environ.get("SELFTESTS_SCALE", 1))
SOL_PACKET, PACKET_IGNORE_OUTGOING = 263, 23    # not in every python

dev, flows = sys.argv[1], int(sys.argv[2])
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
sock.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
sock.bind((dev, 0x0800))
sock.setblocking(False)
stop = ask = False


def on_signal(sig, _frame):
    global stop, ask
    if sig == signal.SIGTERM:
        stop = True
    else:
        ask = True


def frame(seq):
    udp = struct.pack("!HHHHII", 1000 + seq % flows, 7, 16, 0, 0x7a9f3e11, seq)
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0,
                     bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2]))
    return bytes([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]) + b"\x08\x00" + ip + udp


signal.signal(signal.SIGTERM, on_signal)
signal.signal(signal.SIGUSR1, on_signal)
sent = dup = reordered = foreign = 0
seen, last = set(), {}
deadline = None
print("pinging", flush=True)
while True:
    if ask:
        ask = False
        print("back", len(seen), flush=True)
    if stop:
        deadline = deadline or time.monotonic() + PATIENCE
        if len(seen) >= sent or time.monotonic() > deadline:
            break
    room = not stop and sent - len(seen) < WINDOW
    if room:
        sock.send(frame(sent))
        sent += 1
    if not room:
        select.select([sock], [], [], 0.05)
    while True:
        try:
            data = sock.recv(2048)
        except BlockingIOError:
            break
        if len(data) < 50 or data[:6] != bytes([2, 0, 0, 0, 0, 2]):
            foreign += 1
            continue
        port, _, _, _, magic, seq = struct.unpack("!HHHHII", data[34:50])
        if magic != 0x7a9f3e11 or seq >= sent:
            foreign += 1
            continue
        dup += seq in seen
        seen.add(seq)
        reordered += seq < last.get(port, -1)
        last[port] = seq
print(f"sent {sent} lost {sent - len(seen)} dup {dup} reordered {reordered} foreign {foreign}",
      flush=True)
