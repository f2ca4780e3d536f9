//! Every zone's door, with real packets of both families: a town of seven neighbours around the firewall, each in a namespace of its own;
//! and strangers with their tools, who find nothing.
//!
//! The rows are those of docs/firewall.md. Links have the names that they have on a gateway; VLANs are pairs here, for the firewall
//! knows links by name only.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

use contract::Name;
use contract::learn::Mapping;
use contract::manifest::{AtHome, Audience, Protocol, Reaches, Serve};
use contract::wanted;
use network::filter::{Filter, set_forwarding};
use network::firewall::{self, Facts};
use network::ruleset::Family;
use network::target::Attachment;
use stage::neighbours::{LIMIT, SILENCE};
use stage::{Namespace, enter, run};

const WANTED: &str = r#"
[wan]
link = "eth0"
[internet]
ipv4 = "dhcp"
ipv6 = "dhcp"
[voice]
access = { vlan = 20, priority = 5, ipv4 = "dhcp" }
reaches = ["198.51.100.0/24"]
[tv]
access = { vlan = 30, ipv4 = "dhcp" }
reaches = ["198.18.0.0/15"]
[lan]
bridge = "br-lan"
ports = ["eth1"]
address = "192.168.1.1"
prefix_length = 24
pcp = true
[[lan.reservation]]
mac = "02:00:5e:10:00:01"
address = "192.168.1.10"
class = "printer"
[guest]
vlan = 100
address = "192.168.2.1"
prefix_length = 24
dhcp = { first = "192.168.2.100", last = "192.168.2.199", lease_s = 3600 }
[services]
prefix = "10.64.0.0"
prefix_length = 24
[[forward]]
name = "page"
port = 80
to = "192.168.1.10"
to_port = 8080
[[forward]]
name = "games"
protocol = "udp"
port = 5000
last = 5010
to = "192.168.1.10"
[[forward]]
name = "office"
port = 443
to = "192.168.1.10"
from = "192.0.2.0/25"
[[pinhole]]
name = "page"
port = 443
to = "::10"
"#;

/// A neighbour: the gateway's link, what it is called at the other end, its addresses, the gateway's.
const NEIGHBOURS: [(&str, &str, &str, &str); 7] = [
    ("eth0", "isp", "203.0.113.1/24 2001:db8::1/64", "203.0.113.7/24 2001:db8::7/64"),
    ("eth0.20", "voice", "198.51.100.9/24", "198.51.100.7/24"),
    ("eth0.30", "tv", "198.18.0.9/15", "198.18.0.7/15"),
    ("br-lan", "home", "192.168.1.10/24 2001:db8:1::10/64", "192.168.1.1/24 2001:db8:1::1/64"),
    ("br-guest", "guest", "192.168.2.10/24 2001:db8:1:1::10/64", "192.168.2.1/24 2001:db8:1:1::1/64"),
    ("svc-0", "hello", "10.64.0.2/32 2001:db8:1:ff::2/128", "10.64.0.1/32 2001:db8:1:ff::1/128"),
    ("svc-1", "camera", "10.64.0.3/32 2001:db8:1:ff::3/128", "10.64.0.1/32 2001:db8:1:ff::1/128"),
];

struct Town {
    all: Vec<(&'static str, Namespace)>,
    filter: Filter,
    facts: Facts,
}

fn service(name: &str, slot: u8, serves: Vec<Serve>, reaches: Reaches) -> Attachment {
    let (service, slice) = (Name::new(name).unwrap(), Name::new("demo").unwrap());
    Attachment {
        service,
        slice,
        slot,
        serves,
        reaches,
        rates: Default::default(),
        slice_rates: Default::default(),
    }
}

fn serve(name: &str, port: u16, to: Audience, at: u16) -> Serve {
    Serve { name: Name::new(name).unwrap(), protocol: Protocol::Tcp, port, to, at }
}

fn services() -> [Attachment; 2] {
    let offers = vec![
        serve("page", 8080, Audience::Home, 81),
        serve("shop", 8443, Audience::Internet, 8443),
        serve("peer", 9000, Audience::Slice, 0),
    ];
    let home =
        ["tcp/8883", "printer:tcp/631", "screen:tcp/8009"].map(|asked| asked.parse::<AtHome>().unwrap());
    let home = heapless::Vec::from_iter(home);
    let reaches = Reaches { internet: false, home, mdns: true, ..Reaches::default() };
    [service("hello", 0, offers, Reaches::default()), service("camera", 1, Vec::new(), reaches)]
}

impl Town {
    fn make() -> Self {
        run("ip link set lo up");
        let mut all = Vec::new();
        for (link, name, theirs, ours) in NEIGHBOURS {
            let namespace = Namespace::make();
            run(&format!("ip link add {link} type veth peer name {name}"));
            run(&format!("ip link set {name} netns {}", namespace.path()));
            run(&format!("ip link set {link} up"));
            namespace.run("ip link set lo up");
            namespace.run(&format!("ip link set {name} up"));
            let family = |address: &str| if address.contains(':') { "nodad" } else { "" };
            for address in ours.split(' ') {
                run(&format!("ip address add {address} dev {link} {}", family(address)));
            }
            for address in theirs.split(' ') {
                namespace.run(&format!("ip address add {address} dev {name} {}", family(address)));
            }
            if name != "isp" {
                for address in ours.split(' ') {
                    let (router, _) = address.split_once('/').unwrap();
                    if link.starts_with("svc-") {
                        namespace.run(&format!("ip route add {router} dev {name}"));
                    }
                    namespace.run(&format!("ip route add default via {router} dev {name}"));
                }
            }
            all.push((name, namespace));
        }
        for words in [
            "ip route add 10.64.0.2/32 dev svc-0",
            "ip route add 10.64.0.3/32 dev svc-1",
            "ip route add 2001:db8:1:ff::2/128 dev svc-0",
            "ip route add 2001:db8:1:ff::3/128 dev svc-1",
            "ip route add default via 203.0.113.1",
            "ip route add default via 2001:db8::1",
        ] {
            run(words);
        }
        let isp = &all[0].1;
        for words in [
            "ip address add 192.0.2.9/32 dev isp",
            "ip address add 2001:db8:9::9/128 dev isp nodad",
            "ip route add 2001:db8:1::/48 via 2001:db8::7",
            "ip route add 192.168.0.0/16 via 203.0.113.7",
            "ip route add 10.64.0.0/24 via 203.0.113.7",
        ] {
            isp.run(words);
        }
        let services6 =
            vec![(0, "2001:db8:1:ff::2".parse().unwrap()), (1, "2001:db8:1:ff::3".parse().unwrap())];
        let gateway6 = vec!["2001:db8:1:ff::1".parse().unwrap()];
        let facts = Facts { guest: "br-guest".into(), services6, gateway6, ..Facts::default() };
        let mut town = Self { all, filter: Filter::open(Family::Packets), facts };
        assert!(town.stand(), "replaced");
        set_forwarding(true).unwrap();
        town
    }

    /// Puts the firewall there. Was the table replaced?
    fn stand(&mut self) -> bool {
        let wanted = wanted::parse(WANTED).unwrap();
        let listed = self.filter.listed().unwrap();
        self.filter.replace(&firewall::table(&wanted, &services(), &self.facts), listed).unwrap()
    }

    fn at(&self, name: &str) -> &Namespace {
        static GATEWAY: std::sync::OnceLock<Namespace> = std::sync::OnceLock::new();
        let found = self.all.iter().find(|(has, _)| *has == name).map(|(_, namespace)| namespace);
        found.unwrap_or_else(|| GATEWAY.get_or_init(Namespace::here))
    }

    /// Says something from `from` to `target`; `listener` hears it, at this port: from whom?
    fn meet(
        &self,
        (from, protocol, target): (&str, Protocol, &str),
        (listener, port): (&str, u16),
        waits: bool,
    ) -> Option<IpAddr> {
        let target: SocketAddr = target.parse().unwrap();
        let any: IpAddr = if target.is_ipv4() { "0.0.0.0" } else { "::" }.parse().unwrap();
        let limit = if waits { LIMIT } else { SILENCE };
        match protocol {
            Protocol::Tcp => {
                let hears = self.at(listener).within(|| TcpListener::bind((any, port)).unwrap());
                hears.set_nonblocking(true).unwrap();
                let said = self.at(from).within(|| TcpStream::connect_timeout(&target, limit));
                said.ok().map(|_stream| hears.accept().unwrap().1.ip())
            }
            Protocol::Udp => {
                let hears = self.at(listener).within(|| UdpSocket::bind((any, port)).unwrap());
                hears.set_read_timeout(Some(limit)).unwrap();
                let says = self.at(from).within(|| UdpSocket::bind((any, 0)).unwrap());
                // A refusal that comes at once is none the less one.
                let _ = says.send_to(b"hello", target);
                match hears.recv_from(&mut [0; 8]) {
                    Ok((_, peer)) => Some(peer.ip()),
                    Err(error) => {
                        assert!(
                            matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
                            "{error}"
                        );
                        None
                    }
                }
            }
        }
    }
}

use Protocol::{Tcp, Udp};

/// From, how, to which address; who hears it, at which port; as who it came: nothing if it should not come.
type Row = (&'static str, Protocol, &'static str, &'static str, u16, Option<&'static str>);

const IPV4: [Row; 41] = [
    ("home", Tcp, "192.0.2.9:443", "isp", 443, Some("203.0.113.7")),
    ("home", Tcp, "10.64.0.2:8080", "hello", 8080, Some("192.168.1.10")),
    ("home", Tcp, "192.168.1.1:81", "hello", 8080, Some("192.168.1.10")),
    ("home", Tcp, "10.64.0.2:8443", "hello", 8443, None),
    ("home", Udp, "192.168.1.1:53", "us", 53, Some("192.168.1.10")),
    ("home", Udp, "192.168.1.1:5351", "us", 5351, Some("192.168.1.10")),
    ("home", Tcp, "192.168.1.1:22", "us", 22, None),
    ("home", Tcp, "192.168.2.10:80", "guest", 80, None),
    ("home", Udp, "198.51.100.9:5060", "voice", 5060, Some("198.51.100.7")),
    ("home", Udp, "198.51.100.9:30000", "voice", 30_000, Some("198.51.100.7")),
    ("home", Tcp, "198.51.100.9:443", "voice", 443, None),
    ("home", Udp, "198.51.100.9:53", "voice", 53, None),
    ("home", Tcp, "198.18.0.9:554", "tv", 554, Some("198.18.0.7")),
    // By the address outside: a port, a run of ports, and one that is for some only.
    ("home", Tcp, "203.0.113.7:80", "home", 8080, Some("192.168.1.1")),
    ("home", Tcp, "203.0.113.7:8443", "hello", 8443, Some("192.168.1.10")),
    ("home", Tcp, "203.0.113.7:443", "home", 443, None),
    ("guest", Tcp, "192.0.2.9:443", "isp", 443, Some("203.0.113.7")),
    ("guest", Udp, "192.168.2.1:53", "us", 53, Some("192.168.2.10")),
    ("guest", Tcp, "192.168.2.1:22", "us", 22, None),
    ("guest", Tcp, "192.168.1.10:80", "home", 80, None),
    ("guest", Tcp, "10.64.0.2:8080", "hello", 8080, None),
    ("guest", Udp, "198.51.100.9:5060", "voice", 5060, None),
    ("hello", Tcp, "192.0.2.9:443", "isp", 443, Some("203.0.113.7")),
    ("hello", Udp, "10.64.0.1:53", "us", 53, Some("10.64.0.2")),
    ("hello", Tcp, "192.168.1.10:8883", "home", 8883, None),
    ("hello", Tcp, "203.0.113.7:80", "home", 8080, Some("10.64.0.2")),
    ("hello", Udp, "198.51.100.9:5060", "voice", 5060, None),
    ("camera", Tcp, "192.0.2.9:443", "isp", 443, None),
    ("camera", Tcp, "192.168.1.10:8883", "home", 8883, Some("10.64.0.3")),
    // It is a printer, and no screen.
    ("camera", Tcp, "192.168.1.10:631", "home", 631, Some("10.64.0.3")),
    ("camera", Tcp, "192.168.1.10:8009", "home", 8009, None),
    ("hello", Tcp, "192.168.1.10:631", "home", 631, None),
    ("camera", Tcp, "10.64.0.2:9000", "hello", 9000, Some("10.64.0.3")),
    ("camera", Tcp, "10.64.0.2:8080", "hello", 8080, None),
    ("isp", Tcp, "203.0.113.7:80", "home", 8080, Some("203.0.113.1")),
    ("isp", Udp, "203.0.113.7:5007", "home", 5007, Some("203.0.113.1")),
    ("isp", Tcp, "203.0.113.7:8443", "hello", 8443, Some("203.0.113.1")),
    ("isp", Tcp, "203.0.113.7:443", "home", 443, None),
    ("isp", Tcp, "192.168.1.10:8080", "home", 8080, None),
    ("voice", Udp, "192.168.1.10:5060", "home", 5060, None),
    ("tv", Tcp, "198.18.0.7:80", "us", 80, None),
];

const IPV6: [Row; 16] = [
    ("home", Tcp, "[2001:db8:9::9]:443", "isp", 443, Some("2001:db8:1::10")),
    ("home", Tcp, "[2001:db8:1:ff::2]:8080", "hello", 8080, Some("2001:db8:1::10")),
    ("home", Tcp, "[2001:db8:1:ff::2]:9000", "hello", 9000, None),
    ("home", Tcp, "[2001:db8:1:1::10]:80", "guest", 80, None),
    ("home", Udp, "[2001:db8:1::1]:53", "us", 53, Some("2001:db8:1::10")),
    ("guest", Tcp, "[2001:db8:9::9]:443", "isp", 443, Some("2001:db8:1:1::10")),
    ("guest", Tcp, "[2001:db8:1::10]:443", "home", 443, None),
    ("hello", Tcp, "[2001:db8:9::9]:443", "isp", 443, Some("2001:db8:1:ff::2")),
    ("camera", Tcp, "[2001:db8:9::9]:443", "isp", 443, None),
    ("camera", Tcp, "[2001:db8:1:ff::2]:9000", "hello", 9000, Some("2001:db8:1:ff::3")),
    ("camera", Tcp, "[2001:db8:1::10]:8883", "home", 8883, Some("2001:db8:1:ff::3")),
    ("isp", Tcp, "[2001:db8:1::10]:443", "home", 443, Some("2001:db8::1")),
    ("isp", Tcp, "[2001:db8:1::10]:80", "home", 80, None),
    ("isp", Tcp, "[2001:db8:1:ff::2]:8443", "hello", 8443, Some("2001:db8::1")),
    ("isp", Tcp, "[2001:db8:1:1::10]:443", "guest", 443, None),
    ("isp", Udp, "[2001:db8::7]:53", "us", 53, None),
];

#[test]
fn each_zone_reaches_what_the_table_says() {
    if !enter("each_zone_reaches_what_the_table_says") {
        return;
    }
    let mut town = Town::make();
    for (from, protocol, target, listener, port, met) in IPV4.into_iter().chain(IPV6) {
        let heard = town.meet((from, protocol, target), (listener, port), met.is_some());
        assert_eq!(heard, met.map(|who| who.parse().unwrap()), "{from} {protocol:?} {target}");
    }
    // A port that a host asks for: only elements change, and it goes again.
    let mapping = |host: &str, external_port| Mapping {
        protocol: Tcp,
        external_port,
        host: host.parse().unwrap(),
        port: 2000,
    };
    let asked = [
        ("isp", "203.0.113.7:2222", "home", Some("203.0.113.1")),
        ("isp", "[2001:db8:1::10]:2000", "home", Some("2001:db8::1")),
    ];
    for (from, target, listener, met) in asked {
        assert_eq!(town.meet((from, Tcp, target), (listener, 2000), false), None, "{target}: not yet");
        town.facts.mappings = vec![mapping("192.168.1.10", 2222), mapping("2001:db8:1::10", 2000)];
        assert!(!town.stand(), "the table stays");
        let heard = town.meet((from, Tcp, target), (listener, 2000), true);
        assert_eq!(heard, met.map(|who| who.parse().unwrap()), "{target}");
        town.facts.mappings.clear();
        assert!(!town.stand(), "the table stays");
        assert_eq!(town.meet((from, Tcp, target), (listener, 2000), false), None, "{target}: not any more");
    }
}

#[test]
fn a_sender_that_cannot_be_is_not_heard() {
    if !enter("a_sender_that_cannot_be_is_not_heard") {
        return;
    }
    let town = Town::make();
    // An address of the home's link that is not in its prefix; one of the home's, from outside.
    town.at("home").run("ip address add 2001:db8:77::10/128 dev home nodad");
    town.at("isp").run("ip address add 2001:db8:1::66/128 dev isp nodad");
    let say = |from: &str, source: &str, target: &str, (listener, limit): (&str, Duration)| {
        let hears = town.at(listener).within(|| UdpSocket::bind(("::", 443)).unwrap());
        hears.set_read_timeout(Some(limit)).unwrap();
        let says = town.at(from).within(|| UdpSocket::bind((source, 0)).unwrap());
        says.send_to(b"hello", (target, 443)).unwrap();
        hears.recv_from(&mut [0; 8]).is_ok()
    };
    let heard = say("home", "2001:db8:1::10", "2001:db8:9::9", ("isp", LIMIT));
    assert!(heard, "its own");
    let heard = say("home", "2001:db8:77::10", "2001:db8:9::9", ("isp", SILENCE));
    assert!(!heard, "nobody's here");
    let heard = say("isp", "2001:db8:1::66", "2001:db8:1:ff::2", ("hello", SILENCE));
    assert!(!heard, "ours are not out there");
}

/// Its link-local address, once the kernel has found that nobody else has it.
fn link_local(at: &Namespace, link: &str) -> Ipv6Addr {
    let begun = Instant::now();
    loop {
        let said = at.run(&format!("ip -6 -o address show dev {link} scope link -tentative"));
        if let Some(address) = said.split_whitespace().find_map(|word| word.strip_suffix("/64")) {
            return address.parse().unwrap();
        }
        assert!(begun.elapsed() < LIMIT, "{link} has no link-local address");
        std::thread::yield_now();
    }
}

#[test]
fn announcements_by_ipv6_are_heard_where_they_were_granted() {
    if !enter("announcements_by_ipv6_are_heard_where_they_were_granted") {
        return;
    }
    let town = Town::make();
    let group = "ff02::fb".parse().unwrap();
    let index = |name: &str| nix::net::if_::if_nametoindex(name).unwrap();
    let say = |from: &str, link: &str, port: u16, limit: Duration| {
        let hears = UdpSocket::bind(("::", port)).unwrap();
        hears.join_multicast_v6(&group, index(link)).unwrap();
        hears.set_read_timeout(Some(limit)).unwrap();
        let source = link_local(town.at(from), from);
        town.at(from).within(|| {
            let at = |address, port| SocketAddrV6::new(address, port, 0, index(from));
            UdpSocket::bind(at(source, 0)).unwrap().send_to(b"hello", at(group, port)).unwrap()
        });
        hears.recv_from(&mut [0; 8]).ok().map(|(_, peer)| peer.ip())
    };
    let heard = say("camera", "svc-1", 5353, LIMIT);
    assert!(heard.is_some_and(|peer| peer.to_string().starts_with("fe80::")), "granted: {heard:?}");
    assert_eq!(say("camera", "svc-1", 5355, SILENCE), None, "announcements only");
    assert_eq!(say("hello", "svc-0", 5353, SILENCE), None, "not granted");
}

#[test]
fn strangers_tools_find_nothing_open() {
    if !enter("strangers_tools_find_nothing_open") {
        return;
    }
    if Command::new("nmap").arg("--version").output().is_err() {
        return println!("skipped: strangers_tools_find_nothing_open: no nmap here");
    }
    let town = Town::make();
    // Somebody listens at every door that is not for them.
    let ports = [22, 53, 80, 443, 5060, 8080];
    let listen = |at: &str| -> Vec<TcpListener> {
        town.at(at).within(|| ports.iter().map(|port| TcpListener::bind(("::", *port)).unwrap()).collect())
    };
    let _kept = ["us", "home", "guest", "hello"].map(listen);
    let scan = |words: &str| {
        town.at("isp").run(&format!("nmap -n -Pn -T5 --min-rate 500 --max-retries 1 -oG - {words}"))
    };
    let open = |said: &str| -> Vec<String> {
        let ports = said.split([' ', ',']).filter(|word| word.contains("/open/"));
        ports.map(|word| word.split('/').next().unwrap().to_owned()).collect()
    };
    // What is forwarded is found; that shows that the tool works. Nothing else is.
    let said = scan("-p 22,53,80,81,443,5060,5351,8080,8443 203.0.113.7");
    assert_eq!(open(&said), ["80"], "{said}");
    for words in [
        "-F 192.168.1.10",
        "-F 10.64.0.2",
        "-6 -F 2001:db8::7",
        "-6 -p 22,53,80,5060,8080 2001:db8:1::10",
        "-6 -p 22,53,80,443,5060,8080 2001:db8:1:1::10",
        "-6 -p 22,53,80,443,5060,8080 2001:db8:1:ff::2",
        // What a firewall without a memory of connections lets in.
        "-sA -p 22,80,443 192.168.1.10",
        "-sF -p 22,80,443 192.168.1.10",
        "-g 53 -p 22,80,443 192.168.1.10",
        "-6 -g 53 -p 22,53,80,8080 2001:db8:1::10",
    ] {
        let said = scan(words);
        assert!(said.contains("Host: "), "{said}");
        assert_eq!(open(&said), [""; 0], "{words}: {said}");
        assert!(!said.contains("/unfiltered/"), "{words}: {said}");
    }
    bypasses(&town);
}

/// thc-ipv6 tries headers in odd orders, fragments, and the like, each against a port where somebody listens.
fn bypasses(town: &Town) {
    if Command::new("atk6-firewall6").output().is_err() {
        return println!("skipped: bypasses of IPv6: no thc-ipv6 here");
    }
    if std::env::var_os("LONG").is_none_or(|value| value != "1") {
        return println!("skipped: bypasses of IPv6: thc-ipv6 takes minutes: LONG=1");
    }
    let said = town.at("isp").run("atk6-firewall6 isp 2001:db8:1::10 8080");
    let passed = said.lines().filter(|line| line.contains("PASSED") && line.contains("reply"));
    assert_eq!(passed.count(), 0, "{said}");
    assert!(said.contains("FAILED"), "{said}");
}
