"""Captures what real DHCP peers say to each other, one file a message, from its IPv4 (or ARP) header on.

    unshare --user --map-root-user --mount --net --pid --fork --mount-proc python3 capture.py FOLDER

In: dnsmasq, BusyBox (udhcpc, udhcpd), dhclient, iproute2, in namespaces that this makes. Out: FOLDER/<who>-<what>.bin
Messages are named by who sent them and by their kind (RFC 2132 section 9.6); the first of each name is kept.
"""

import pathlib, socket, struct, subprocess, sys, threading, time

FOLDER = pathlib.Path(sys.argv[1])
KINDS = {1: "discover", 2: "offer", 3: "request", 4: "decline", 5: "ack", 6: "nak", 7: "release", 8: "inform"}
NAMES = {"client": "", "server": ""}
OVER = threading.Event()


def run(line):
    return subprocess.run(line, shell=True, check=True, capture_output=True, text=True)


def start(line):
    return subprocess.Popen(line, shell=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def keep(name, packet):
    path = FOLDER / f"{name}.bin"
    if not path.exists():
        path.write_bytes(packet)
        print(name, len(packet))


def option(payload, wanted):
    at = 240
    while at < len(payload) and payload[at] != 255:
        if payload[at] == 0:
            at += 1
            continue
        if payload[at] == wanted:
            return payload[at + 2 : at + 2 + payload[at + 1]]
        at += 2 + payload[at + 1]
    return None


def hear(sock):
    while not OVER.is_set():
        try:
            frame = sock.recv(2048)
        except TimeoutError:
            continue
        kind, packet = struct.unpack("!H", frame[12:14])[0], frame[14:]
        if kind == 0x0806:
            keep("kernel-arp-" + ("request" if packet[7] == 1 else "reply"), packet[:28])
        if kind != 0x0800 or packet[9] != 17:
            continue
        head = (packet[0] & 15) * 4
        source, target = struct.unpack("!HH", packet[head : head + 4])
        if {source, target} <= {67, 68}:
            payload = packet[head + 8 :]
            who = NAMES["client"] if payload[0] == 1 else NAMES["server"]
            word = KINDS[option(payload, 53)[0]]
            if word == "request":
                here = payload[12:16] != bytes(4)
                word += "-select" if option(payload, 54) else "-renew" if here else "-reboot"
            keep(f"{who}-{word}", packet)


def links():
    """What the kernel answers when it is asked for all links, without counters: as `lease::link::question` asks."""
    kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    kernel.send(struct.pack("=IHHIIBBHiIIHHI", 40, 18, 0x301, 0, 0, 0, 0, 0, 0, 0, 0, 8, 29, 8))
    keep("kernel-links", kernel.recv(16384))


FOLDER.mkdir(exist_ok=True)
run("mount -t tmpfs tmpfs /run && ip link set lo up && ip netns add peer")
run("ip link add eth0 type veth peer name eth0 netns peer && ip link set eth0 up && ip address add 10.9.0.1/24 dev eth0")
PEER = "exec nsenter --net=/run/netns/peer -- "
run(PEER + "ip link set eth0 up")
for side in ["", PEER]:
    run(side + "ethtool -K eth0 tx off")  # Else the checksums are left to hardware.
links()
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
sock.bind(("eth0", 0))
sock.settimeout(0.2)
thread = threading.Thread(target=hear, args=(sock,), daemon=True)
thread.start()
pathlib.Path("/run/script").write_text(
    "#!/bin/sh\ncase $1 in bound|renew) ip address flush dev eth0; ip address add $ip/$mask dev eth0;; esac\n"
    'case $reason in BOUND|RENEW) ip address flush dev eth0; ip address add $new_ip_address/24 dev eth0;; esac\nexit 0\n'
)
run("chmod +x /run/script")
UDHCPC = PEER + "busybox udhcpc -f -i eth0 -s /run/script -x hostname:peer"
DHCLIENT = PEER + "dhclient -d -cf /dev/null -pf /run/pid -lf /run/leases -sf /run/script eth0"

NAMES.update(client="udhcpc", server="dnsmasq")
dnsmasq = start(
    "exec dnsmasq --no-daemon --conf-file=/dev/null --no-hosts --no-resolv --port=0 --interface=eth0 --bind-interfaces --no-ping"
    " --dhcp-range=10.9.0.50,10.9.0.59,255.255.255.0,120 --dhcp-option=option:dns-server,10.9.0.1,10.9.0.2"
    " --dhcp-authoritative --dhcp-leasefile=/run/dnsmasq.leases"
)
client = start(UDHCPC)
time.sleep(6)
client.send_signal(10)  # SIGUSR1: renew.
time.sleep(3)
client.send_signal(12)  # SIGUSR2: release.
time.sleep(2)
client.kill()

NAMES["client"] = "dhclient"
pathlib.Path("/run/leases").write_text(
    'lease { interface "eth0"; fixed-address 172.16.5.5; option subnet-mask 255.255.255.0; option dhcp-lease-time 999999;'
    " option dhcp-server-identifier 172.16.5.1; renew never; rebind never; expire never; }\n"
)
client = start(DHCLIENT)
time.sleep(9)
client.kill()
run(DHCLIENT.replace("-d -cf", "-r -cf"))
time.sleep(1)
dnsmasq.kill()

NAMES.update(client="udhcpc", server="udhcpd")
pathlib.Path("/run/udhcpd.conf").write_text(
    "start 10.9.0.20\nend 10.9.0.30\ninterface eth0\nlease_file /run/udhcpd.leases\npidfile /run/udhcpd.pid\n"
    "option lease 10\noption subnet 255.255.255.0\noption router 10.9.0.1\noption dns 10.9.0.1 10.9.0.2\n"
)
pathlib.Path("/run/udhcpd.leases").write_text("")
server = start("exec busybox udhcpd -f /run/udhcpd.conf")
client = start(UDHCPC)
time.sleep(6)
client.kill()
server.kill()
OVER.set()
thread.join()
