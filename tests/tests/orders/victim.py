#!/usr/bin/env python3
"""What a home notices of its gateway: datagrams to the provider and back, a stream from him, its name server, a service that works for it.

In:  echo PORT TOS | films PORT TOS             (servers, for ever)
     flow ADDRESS PORT SECONDS TOS | film ADDRESS PORT SECONDS | dns ADDRESS SECONDS | work ADDRESS PORT SECONDS TURNS
     flood ADDRESS PORT SECONDS
Out: the victims `SENT LOST P50 P99`, times in microseconds; whatever is late by two seconds is lost.

Both ends of a film are on one machine, so its times are of one clock, and count from the fastest packet.
"""
import socket
import struct
import sys
import time

PATIENCE_S = 2.0
FLOW_S = 0.02  # A telephone's packets: G.711, RFC 3551.
FLOW_BYTES = 172
FILM_S = 0.008  # 1.3 Mbit/s.
FILM_BYTES = 1316  # Seven packets of a transport stream: RFC 2250.
ASK_S = 0.05
WORK_S = 0.1


def link(tos=0):
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, tos)
    return one


def echo(port, tos):
    one = link(tos)
    one.bind(("", port))
    while True:
        data, peer = one.recvfrom(2048)
        one.sendto(data, peer)


def films(port, tos):
    """To whoever asks: as many packets as were asked for, each with its number and time."""
    one = link(tos)
    one.bind(("", port))
    while True:
        data, peer = one.recvfrom(64)
        count = struct.unpack("!I", data[:4])[0]
        begun = time.monotonic()
        for number in range(count):
            time.sleep(max(0, begun + number * FILM_S - time.monotonic()))
            one.sendto(struct.pack("!Id", number, time.monotonic()) + bytes(FILM_BYTES - 12), peer)


def summary(sent, times):
    times.sort()
    at = lambda part: int(1e6 * times[int((len(times) - 1) * part)]) if times else int(1e6 * PATIENCE_S)
    print(sent, sent - len(times), at(0.5), at(0.99))


def film(address, port, seconds):
    one = link()
    one.connect((address, port))
    sent = int(seconds / FILM_S)
    one.send(struct.pack("!I", sent))
    until, times = time.monotonic() + seconds + PATIENCE_S, []
    while len(times) < sent and (left := until - time.monotonic()) > 0:
        one.settimeout(left)
        try:
            times.append(time.monotonic() - struct.unpack("!Id", one.recv(2048)[:12])[1])
        except OSError:
            pass
    fastest = min(times, default=0)
    # One packet's own time: what the fastest takes is not known, and nothing is not a time.
    summary(sent, [one - fastest + 0.001 for one in times if one < PATIENCE_S])


def datagrams(address, port, seconds, make, interval, tos=0):
    """Sends what `make` makes of a number, and takes answers by the first two bytes."""
    one = link(tos)
    one.connect((address, port))
    begun, sent, times, waiting = time.monotonic(), 0, [], {}
    while True:
        now = time.monotonic()
        if now - begun > seconds + PATIENCE_S or (now - begun > seconds and not waiting):
            break
        due = begun + sent * interval
        if now >= due and now - begun <= seconds:
            try:
                waiting[sent & 0xFFFF] = time.monotonic()
                one.send(make(sent))
            except OSError:
                pass
            sent += 1
            continue
        one.settimeout(max(0.001, min(due, begun + seconds) - now) if now - begun <= seconds else 0.1)
        try:
            number = struct.unpack("!H", one.recv(2048)[:2])[0]
            since = waiting.pop(number, None)
            if since is not None:
                times.append(time.monotonic() - since)
        except OSError:
            pass
    summary(sent, [one for one in times if one < PATIENCE_S])


def question(number):
    """A of `gateway.invalid`, which a name server answers by itself. RFC 1035 section 4.1; RFC 6761 section 6.4."""
    name = b"".join(bytes([len(part)]) + part for part in (b"gateway", b"invalid", b""))
    return struct.pack("!HHHHHH", number & 0xFFFF, 0x0100, 1, 0, 0, 0) + name + struct.pack("!HH", 1, 1)


def worked(address, port, turns):
    with socket.create_connection((address, port), PATIENCE_S) as one:
        one.settimeout(PATIENCE_S)
        one.sendall(b"work %d\n" % turns)
        text = b""
        while b"worked" not in text:
            piece = one.recv(4096)
            if not piece:
                raise OSError("closed")
            text += piece


def work(address, port, seconds, turns):
    """So many pieces a second; one that is late puts off those behind it, and those that are put off past the end are lost."""
    begun, done, times = time.monotonic(), 0, []
    wanted = int(seconds / WORK_S)
    while done < wanted and time.monotonic() - begun < seconds:
        time.sleep(max(0, begun + done * WORK_S - time.monotonic()))
        since, done = time.monotonic(), done + 1
        try:
            worked(address, port, turns)
            times.append(time.monotonic() - since)
        except OSError:
            pass
    summary(wanted, [one for one in times if one < PATIENCE_S])


def flood(address, port, seconds):
    one = link()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            one.sendto(bytes(18), (address, port))
        except OSError:
            pass


what, *words = sys.argv[1:]
if what == "echo":
    echo(int(words[0]), int(words[1]))
elif what == "films":
    films(int(words[0]), int(words[1]))
elif what == "flow":
    datagrams(words[0], int(words[1]), float(words[2]), lambda n: struct.pack("!H", n & 0xFFFF) + bytes(FLOW_BYTES - 2), FLOW_S, int(words[3]))
elif what == "film":
    film(words[0], int(words[1]), float(words[2]))
elif what == "dns":
    datagrams(words[0], 53, float(words[1]), question, ASK_S)
elif what == "work":
    work(words[0], int(words[1]), float(words[2]), int(words[3]))
elif what == "flood":
    flood(words[0], int(words[1]), float(words[2]))
else:
    sys.exit(__doc__)
