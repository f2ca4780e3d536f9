#!/usr/bin/env python3
"""What a home notices of its gateway: datagrams to the provider and back, a channel of his, its name server, a web service whose pages are work, one that writes for it.

In:  echo PORT TOS | hold PORT | station LINK GROUP PORT | watch LINK GROUP PORT                          (for ever)
     flow ADDRESS PORT SECONDS TOS | tv LINK GROUP PORT SECONDS | dns ADDRESS SECONDS
     web ADDRESS PORT SECONDS TURNS | write ADDRESS PORT SECONDS BYTES                       (victims)
     flood ADDRESS PORT SECONDS PACKETS_S                                                     (0: as fast as it can)
Out: the victims `ready`, and once their input has ended `SENT LOST P50 P99`, times in microseconds; whatever is late by two seconds is lost.

Both ends of a channel are on one machine, so its times are of one clock, and count from the fastest packet. Who watches for ever keeps the
home in the channel's group, so that no victim's coming or going changes what the gateway listens to.
"""
import http.client
import selectors
import socket
import struct
import sys
import time

PATIENCE_S = 2.0
FLOW_S = 0.02  # A telephone's packets: G.711, RFC 3551.
FLOW_BYTES = 172
CHANNEL_S = 0.008  # 1.3 Mbit/s.
CHANNEL_BYTES = 1316  # Seven packets of a transport stream: RFC 2250.
CHANNEL_TOS = 128  # CS4: RFC 4594.
ASK_S = 0.05
WEB_S = 0.1
WRITE_S = 0.5
FLOOD_BYTES = 18


def begin():
    """Says that all is there, and waits until all others are: programs that are just starting would take the gateway's processor. When it begins."""
    print("ready", flush=True)
    sys.stdin.read()
    return time.monotonic()


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


def hold(port):
    """Takes every connection, and holds it until its other end goes."""
    with socket.create_server(("", port), backlog=1024) as one, selectors.DefaultSelector() as all:
        all.register(one, selectors.EVENT_READ)
        while True:
            for key, _ in all.select():
                if key.fileobj is one:
                    all.register(one.accept()[0], selectors.EVENT_READ)
                else:
                    all.unregister(key.fileobj)
                    key.fileobj.close()


def there(name):
    """A link, as struct ip_mreqn ends with it: ip(7)."""
    return socket.inet_aton("0.0.0.0") + struct.pack("=i", socket.if_nametoindex(name))


def station(name, group, port):
    """A channel that never ends: each packet has its number and time."""
    one = link(CHANNEL_TOS)
    one.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(group) + there(name))
    one.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 8)
    begun, number = time.monotonic(), 0
    while True:
        time.sleep(max(0, begun + number * CHANNEL_S - time.monotonic()))
        one.sendto(struct.pack("!Id", number, time.monotonic()) + bytes(CHANNEL_BYTES - 12), (group, port))
        number += 1


def joined(name, group, port):
    one = link()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind((group, port))
    one.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + there(name))
    return one


def summary(sent, times):
    times.sort()
    at = lambda part: int(1e6 * times[int((len(times) - 1) * part)]) if times else int(1e6 * PATIENCE_S)
    print(sent, sent - len(times), at(0.5), at(0.99))


def tv(name, group, port, seconds):
    one, times = joined(name, group, port), []
    begun = begin()
    while (left := begun + seconds + PATIENCE_S - time.monotonic()) > 0:
        one.settimeout(left)
        try:
            when = struct.unpack("!Id", one.recv(2048)[:12])[1]
        except OSError:
            break
        if begun <= when < begun + seconds:
            times.append(time.monotonic() - when)
        elif when >= begun + seconds:
            break
    fastest = min(times, default=0)
    # One packet's own time: what the fastest takes is not known, and nothing is not a time.
    summary(max(int(seconds / CHANNEL_S), len(times)), [one - fastest + 0.001 for one in times if one < PATIENCE_S])


def datagrams(address, port, seconds, make, interval, tos=0):
    """Sends what `make` makes of a number, and takes answers by the first two bytes."""
    one = link(tos)
    one.connect((address, port))
    begun, sent, times, waiting = begin(), 0, [], {}
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


def page(address, port, turns):
    """Gets a page over a connection of its own."""
    asked = http.client.HTTPConnection(address, port, timeout=PATIENCE_S)
    try:
        asked.request("GET", f"/{turns}")
        answer = asked.getresponse()
        if answer.status != 200 or not answer.read():
            raise OSError(f"status {answer.status}")
    except http.client.HTTPException as error:
        raise OSError("no page") from error
    finally:
        asked.close()


def done(address, port, order, word):
    """Gives a service an order, and waits for its word that it is done."""
    with socket.create_connection((address, port), PATIENCE_S) as one:
        one.settimeout(PATIENCE_S)
        one.sendall(order)
        text = b""
        while word not in text:
            piece = one.recv(4096)
            if not piece or b"refused" in text:
                raise OSError("closed, or refused")
            text += piece


def pieces(seconds, interval, piece):
    """So many a second; one that is late puts off those behind it, and those that are put off past the end are lost."""
    begun, tried, times = begin(), 0, []
    wanted = int(seconds / interval)
    while tried < wanted and time.monotonic() - begun < seconds:
        time.sleep(max(0, begun + tried * interval - time.monotonic()))
        since, tried = time.monotonic(), tried + 1
        try:
            piece()
            times.append(time.monotonic() - since)
        except OSError:
            pass
    summary(wanted, [one for one in times if one < PATIENCE_S])


def flood(address, port, seconds, packets_s):
    one, sent = link(), 0
    begun = time.monotonic()
    while (since := time.monotonic() - begun) < seconds:
        if packets_s and sent > since * packets_s:
            time.sleep(0.002)
            continue
        try:
            one.sendto(bytes(FLOOD_BYTES), (address, port))
        except OSError:
            pass
        sent += 1


what, *words = sys.argv[1:]
if what == "echo":
    echo(int(words[0]), int(words[1]))
elif what == "hold":
    hold(int(words[0]))
elif what == "station":
    station(words[0], words[1], int(words[2]))
elif what == "watch":
    watched = joined(words[0], words[1], int(words[2]))
    while True:
        watched.recv(2048)
elif what == "flow":
    datagrams(words[0], int(words[1]), float(words[2]), lambda n: struct.pack("!H", n & 0xFFFF) + bytes(FLOW_BYTES - 2), FLOW_S, int(words[3]))
elif what == "tv":
    tv(words[0], words[1], int(words[2]), float(words[3]))
elif what == "dns":
    datagrams(words[0], 53, float(words[1]), question, ASK_S)
elif what == "web":
    pieces(float(words[2]), WEB_S, lambda: page(words[0], int(words[1]), int(words[3])))
elif what == "write":
    order = b"write %d\n" % int(words[3])
    pieces(float(words[2]), WRITE_S, lambda: done(words[0], int(words[1]), order, b"written"))
elif what == "flood":
    flood(words[0], int(words[1]), float(words[2]), float(words[3]))
else:
    sys.exit(__doc__)
