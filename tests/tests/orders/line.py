#!/usr/bin/env python3
"""Datagrams at a steady rate: who fills a line, and who wants it filled.

In:  pour ADDRESS PORT SECONDS KBIT_S      sends so much of frames
     source PORT SECONDS KBIT_S [BYTES]    the same to whoever asks, from when he first asks; so much text in each
     fetch ADDRESS PORT SECONDS            asks, and throws away what comes
     count PORT SECONDS                    says how many came
"""
import socket
import sys
import time

BYTES = 1400
HEADER_BYTES = 8 + 20 + 14  # UDP, IPv4, Ethernet.
ASK_EVERY_S = 0.25


def steadily(seconds, kbit_s, send, size=BYTES):
    begun, sent, interval = time.monotonic(), 0, (size + HEADER_BYTES) * 8 / 1000 / kbit_s
    while (now := time.monotonic()) - begun < seconds:
        if now < begun + sent * interval:
            time.sleep(begun + sent * interval - now)
        try:
            send(bytes(size))
        except OSError:
            pass
        sent += 1


def fetch(one, seconds):
    until, asked = time.monotonic() + seconds, 0
    one.settimeout(ASK_EVERY_S)
    while (now := time.monotonic()) < until:
        try:
            if now >= asked:
                asked = now + ASK_EVERY_S
                one.send(b"more")
            one.recv(2048)
        except OSError:
            pass


def count(one, seconds):
    until, came = time.monotonic() + seconds, 0
    one.settimeout(ASK_EVERY_S)
    while time.monotonic() < until:
        try:
            one.recv(2048)
            came += 1
        except TimeoutError:
            pass
    print(came)


what, *words = sys.argv[1:]
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
if what == "pour":
    one.connect((words[0], int(words[1])))
    steadily(float(words[2]), float(words[3]), one.send)
elif what == "source":
    one.bind(("", int(words[0])))
    peer = one.recvfrom(64)[1]
    size = int(words[3]) if len(words) > 3 else BYTES
    steadily(float(words[1]), float(words[2]), lambda data: one.sendto(data, peer), size)
elif what == "fetch":
    one.connect((words[0], int(words[1])))
    fetch(one, float(words[2]))
elif what == "count":
    one.bind(("", int(words[0])))
    count(one, float(words[1]))
else:
    sys.exit(__doc__)
