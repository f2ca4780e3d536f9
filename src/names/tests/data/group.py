# A host that speaks in multicast groups by its link eth0.
# usage: group.py [-6] …            by the groups of IPv6
#        group.py hear PORT LAST    prints each packet with its sender, until one is LAST
#        group.py say PORT TEXT     says it, twice
#        group.py device            answers searches
#        group.py search            searches, and prints the first answer and its sender
import socket, struct, sys

SIX = sys.argv[1] == "-6"
GROUPS = {5353: "ff02::fb%eth0", 1900: "ff02::c%eth0"} if SIX else {5353: "224.0.0.251", 1900: "239.255.255.250"}


def member(port, hears):
    one = socket.socket(socket.AF_INET6 if SIX else socket.AF_INET, socket.SOCK_DGRAM)
    index = socket.if_nametoindex("eth0")
    if SIX:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind(("", port if hears else 0))
        group = socket.inet_pton(socket.AF_INET6, GROUPS[port].split("%")[0])
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group + struct.pack("@I", index))
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
        one.settimeout(10)
        return one
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind(("", port if hears else 0))
    mreqn = struct.pack("4s4si", socket.inet_aton(GROUPS[port]), bytes(4), index)
    one.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, mreqn)
    one.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, mreqn)
    one.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
    one.settimeout(10)
    return one


what, *words = sys.argv[2 if SIX else 1:]
if what == "hear":
    port, last = int(words[0]), words[1].encode()
    one = member(port, True)
    print("ready", flush=True)
    while True:
        packet, sender = one.recvfrom(2000)
        print("%s:%d %s" % (*sender[:2], packet.decode("latin-1").replace("\0", "").replace("\r\n", " ")), flush=True)
        if packet.endswith(last):
            break
elif what == "say":
    port, text = int(words[0]), words[1].encode()
    head = b"" if port == 1900 else b"\0\0\x84\0" + bytes(8)
    one = member(port, True)
    for _ in range(2):
        one.sendto(head + text.replace(b"|", b"\r\n"), (GROUPS[port], port))
elif what == "device":
    one = member(1900, True)
    one.settimeout(None)
    print("ready", flush=True)
    while True:
        packet, sender = one.recvfrom(2000)
        if packet.startswith(b"M-SEARCH"):
            one.sendto(b"HTTP/1.1 200 OK\r\nST: lamp\r\n\r\n", sender)
elif what == "search":
    one = member(1900, False)
    one.sendto(b"M-SEARCH * HTTP/1.1\r\nMX: 1\r\nST: lamp\r\n\r\n", (GROUPS[1900], 1900))
    packet, sender = one.recvfrom(2000)
    print("%s:%d %s" % (*sender[:2], packet.decode().replace("\r\n", " ")))
