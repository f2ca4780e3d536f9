"""A set-top box: joins and leaves groups as it is told on stdin, says on stdout what it sees.

join GROUP [SOURCE] | leave GROUP | count GROUP   -> "first GROUP MS" after a join, "GROUP PACKETS LOST" after a count
Usage: viewer.py LINK PORT
"""
import select, socket, struct, sys, time

link, port = sys.argv[1], int(sys.argv[2])
index = socket.if_nametoindex(link)
members, seen, last, begun = {}, {}, {}, {}

def storage(address):
    if ":" in address:
        return struct.pack("=HHI", socket.AF_INET6, 0, 0) + socket.inet_pton(socket.AF_INET6, address) + bytes(104)
    return struct.pack("=HH", socket.AF_INET, 0) + socket.inet_aton(address) + bytes(120)

def aligned(first, *addresses):  # struct group_req, struct group_source_req
    return first + bytes(-len(first) % struct.calcsize("P")) + b"".join(storage(address) for address in addresses)

def join(group, source=None):
    six = ":" in group
    one = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.setblocking(False)
    one.bind((group, port))
    level = socket.IPPROTO_IPV6 if six else socket.IPPROTO_IP
    number = struct.pack("=I", index)
    if source:
        one.setsockopt(level, 46, aligned(number, group, source))  # MCAST_JOIN_SOURCE_GROUP
    else:
        one.setsockopt(level, 42, aligned(number, group))  # MCAST_JOIN_GROUP
    members[group], seen[group], begun[group] = one, [], time.monotonic()
    last.pop(group, None)

def say(*words):
    print(*words, flush=True)

say("ready")
while True:
    for ready in select.select([sys.stdin, *members.values()], [], [])[0]:
        if ready is sys.stdin:
            words = sys.stdin.readline().split()
            if not words:
                sys.exit()
            if words[0] == "join":
                join(*words[1:])
            elif words[0] == "leave":
                members.pop(words[1]).close()
                say("left", words[1])
            else:
                group, numbers = words[1], seen[words[1]]
                before = last.get(group, numbers[0] - 1 if numbers else 0)
                last[group] = max([before, *numbers])
                lost = last[group] - before - len({number for number in numbers if number > before})
                say(group, len(numbers), lost)
                seen[group] = []
            continue
        group = next((group for group, one in members.items() if one is ready), None)
        if group:
            number = struct.unpack("=Q", ready.recv(2048)[:8])[0]
            if group in begun:
                say("first", group, round(1000 * (time.monotonic() - begun.pop(group))))
            seen[group].append(number)
