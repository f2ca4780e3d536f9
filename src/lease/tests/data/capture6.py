"""Captures what real IPv6 peers say to each other, one file a message, from its IPv6 header on.

    unshare --user --map-root-user --mount --net --pid --fork --mount-proc python3 capture6.py FOLDER

In: radvd, dnsmasq, Kea, dhclient and the kernel, in namespaces that this makes. Out: FOLDER/<who>-<what>.bin
Messages are named by who sent them and by their kind (RFC 8415 section 7.3, RFC 4861 section 4); the first of each name is kept.
"""

import json, os, pathlib, socket, struct, subprocess, sys, threading, time

FOLDER = pathlib.Path(sys.argv[1])
KINDS = "- solicit advertise request confirm renew rebind reply release decline reconfigure information".split()
NAMES = {"server": "", "router": ""}
OVER = threading.Event()
PEER = "exec nsenter --net=/run/netns/peer -- "


def run(line):
    return subprocess.run(line, shell=True, check=True, capture_output=True, text=True)


def start(line):
    return subprocess.Popen(line, shell=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def keep(name, packet):
    path = FOLDER / f"{name}.bin"
    if not path.exists():
        path.write_bytes(packet)
        print(name, len(packet))


def hear(sock):
    while not OVER.is_set():
        try:
            frame = sock.recv(2048)
        except TimeoutError:
            continue
        if struct.unpack("!H", frame[12:14])[0] != 0x86DD:
            continue
        packet = frame[14:]
        packet = packet[: 40 + struct.unpack("!H", packet[4:6])[0]]
        if packet[6] == 58 and packet[40] in (133, 134, 136):
            who = {133: "kernel-solicitation", 134: NAMES["router"] + "-advert", 136: "kernel-neighbour"}[packet[40]]
            keep(who, packet)
        if packet[6] == 17 and set(struct.unpack("!HH", packet[40:44])) <= {546, 547}:
            word = KINDS[packet[48]]
            server = word in ("advertise", "reply")
            # DHCPv4 has a release, too.
            word += "6" if word == "release" else ""
            keep((NAMES["server"] if server else "dhclient") + "-" + word, packet)


FOLDER.mkdir(exist_ok=True)
run("mount -t tmpfs tmpfs /run && ip link set lo up && ip netns add peer")
run("ip link add eth0 type veth peer name eth0 netns peer && ip link set eth0 up")
run("ip address add 2001:db8:9::1/64 dev eth0 nodad && sysctl -w net.ipv6.conf.eth0.forwarding=1 net.ipv6.conf.all.forwarding=1")
for side in ["", PEER]:
    run(side + "ethtool -K eth0 tx off")  # Else the checksums are left to hardware.
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
sock.bind(("eth0", 0))
sock.settimeout(0.2)
thread = threading.Thread(target=hear, args=(sock,), daemon=True)
thread.start()
time.sleep(2)  # The link-local address is ours.

NAMES["router"] = "radvd"
pathlib.Path("/run/radvd.conf").write_text(
    "interface eth0 { AdvSendAdvert on; AdvManagedFlag on; AdvOtherConfigFlag on; AdvLinkMTU 1492; AdvDefaultPreference high;"
    " prefix 2001:db8:9::/64 { AdvValidLifetime 600; AdvPreferredLifetime 300; };"
    " route 2001:db8:f000::/40 { AdvRouteLifetime 900; };"
    " RDNSS 2001:db8:9::1 2001:db8:9::2 { AdvRDNSSLifetime 1200; }; DNSSL home.arpa example.org { }; };\n"
)
radvd = start("exec radvd -n -C /run/radvd.conf -p /run/radvd.pid -m stderr")
run(PEER + "ip link set eth0 up")
time.sleep(6)
radvd.kill()

NAMES.update(server="kea", router="ignored")
pool = [{"pool": "2001:db8:9::100-2001:db8:9::1ff"}]
prefixes = [{"prefix": "2001:db8:f000::", "prefix-len": 40, "delegated-len": 56}]
subnet = {"id": 1, "subnet": "2001:db8:9::/64", "interface": "eth0", "pools": pool, "pd-pools": prefixes}
kea = {
    "interfaces-config": {"interfaces": ["eth0"]},
    "server-id": {"type": "EN", "enterprise-id": 32473, "identifier": "0102030405", "persist": False},
    "lease-database": {"type": "memfile", "persist": False},
    "renew-timer": 4, "rebind-timer": 60, "preferred-lifetime": 100, "valid-lifetime": 200,
    "option-data": [
        {"name": "dns-servers", "data": "2001:db8:9::1"}, {"name": "domain-search", "data": "example.org"},
        {"code": 82, "data": "900", "always-send": True},
    ],
    "subnet6": [subnet],
    "loggers": [{"name": "kea-dhcp6", "severity": "INFO", "output_options": [{"output": "stdout"}]}],
}
pathlib.Path("/run/kea.json").write_text(json.dumps({"Dhcp6": kea}))
os.environ.update(KEA_LOCKFILE_DIR="none", KEA_PIDFILE_DIR="/run")
server = start("exec kea-dhcp6 -c /run/kea.json >/run/kea.log")
time.sleep(2)
pathlib.Path("/run/script").write_text("#!/bin/sh\nexit 0\n")
run("chmod +x /run/script")
DHCLIENT = PEER + "dhclient -6 -N -P -d -cf /dev/null -pf /run/pid -lf /run/leases -sf /run/script eth0"
client = start(DHCLIENT)
time.sleep(14)
client.kill()
run(DHCLIENT.replace("-d -cf", "-r -cf"))
time.sleep(1)
server.kill()

NAMES.update(server="dnsmasq", router="dnsmasq")
dnsmasq = start(
    "exec dnsmasq --no-daemon --conf-file=/dev/null --no-hosts --no-resolv --port=0 --interface=eth0 --bind-interfaces --enable-ra"
    " --dhcp-range=2001:db8:9::100,2001:db8:9::1ff,slaac,64,200 --dhcp-option=option6:dns-server,[2001:db8:9::1]"
    " --dhcp-option-force=option6:ntp-server,[2001:db8:9::7] --dhcp-leasefile=/run/dnsmasq.leases"
)
time.sleep(3)
client = start(DHCLIENT.replace("-N -P", "-S").replace("leases", "other"))
time.sleep(4)
client.kill()
dnsmasq.kill()
OVER.set()
thread.join()
