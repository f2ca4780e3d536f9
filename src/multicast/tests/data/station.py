"""A station: sends numbered packets to each GROUP, a hundred a second, for SECONDS. Usage: station.py LINK PORT SECONDS GROUP…"""
import socket, struct, sys, time

link, port, seconds, groups = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4:]
index = socket.if_nametoindex(link)
four = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
four.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("=III", 0, 0, index))
four.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 8)
six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 8)
begin, number = time.monotonic(), 0
while time.monotonic() - begin < seconds:
    for group in groups:
        try:
            (six if ":" in group else four).sendto(struct.pack("=Q", number) + bytes(1308), (group, port))
        except OSError:
            pass  # An IPv6 address that is still being checked.
    number += 1
    time.sleep(max(0, begin + number / 100 - time.monotonic()))
