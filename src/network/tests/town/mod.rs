//! Small networks, all of them: how the Internet comes in, with and without guests, voice, TV, ports that lead inside; services that offer
//! and reach in every way; and packets from everybody to everybody.
//!
//! In:  nothing. Out: towns, their packets, and who is who in them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use contract::Name;
use contract::learn::Mapping;
use contract::manifest::{AtHome, Audience, Protocol, Reaches, Serve};
use contract::prefix::Prefix;
use contract::wanted::{self, Wanted};
use network::class::Class;
use network::firewall::{self, Facts};
use network::ruleset::Table;
use network::target::Attachment;

use crate::machine::{Packet, Route};

pub(crate) const ICMP: u8 = 1;
pub(crate) const ICMPV6: u8 = 58;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Zone {
    Internet,
    Voice,
    Tv,
    Home,
    Guest,
    Service(u8),
    /// The gateway itself.
    Us,
    /// What is streamed to many.
    Groups,
    Nobody,
}

pub(crate) struct Town {
    pub(crate) text: String,
    pub(crate) services: Vec<Attachment>,
    pub(crate) voice: Option<String>,
    pub(crate) proxy: bool,
    pub(crate) pcp: bool,
    tv: Option<String>,
    guest: bool,
    leads: bool,
    internet: String,
    wanted: Wanted,
    facts: Facts,
}

const OUTSIDE: &str = "203.0.113.7";
const HOME6: &str = "2001:db8:1::/64";
const GUEST6: &str = "2001:db8:1:1::/64";
const SERVICES6: &str = "2001:db8:1:ff::/64";

/// All towns.
pub(crate) fn towns() -> impl Iterator<Item = Town> {
    let accesses = ["ipv4 = \"dhcp\"", "vlan = 10\npriority = 1\nipv4 = \"dhcp\"", PPPOE, FIXED];
    let mut number = 0;
    let mut all = Vec::new();
    for access in accesses {
        for guest in [false, true] {
            for (voice, proxy) in [(false, false), (true, false), (true, true)] {
                for tv in [false, true] {
                    for leads in [false, true] {
                        number += 1;
                        all.push((number, access, guest, (voice, proxy), tv, leads));
                    }
                }
            }
        }
    }
    all.into_iter().map(|(number, access, guest, voice, tv, leads)| {
        Town::make(number, access, [guest, voice.0, voice.1, tv, leads])
    })
}

const PPPOE: &str = "vlan = 10\nipv4 = \"pppoe\"\npppoe = { user = \"a\", password = \"b\" }";
const FIXED: &str =
    "ipv4 = \"static\"\nstatic = { address = \"203.0.113.7\", prefix_length = 24, router = \"203.0.113.1\" }";
const LEADS: &str = include_str!("leads.toml");

fn serve(to: Audience, protocol: Protocol, port: u16, at: u16) -> Serve {
    Serve { name: Name::new("page").unwrap(), protocol, port, to, at }
}

/// Services: `number` says what they offer and reach.
fn services(number: usize) -> Vec<Attachment> {
    use Audience::{Home, Internet, Portal, Slice};
    let (audiences, others) = ([Home, Internet, Slice, Portal], [Portal, Slice, Home, Internet]);
    let (first, second) = (audiences[number % 4], others[number / 4 % 4]);
    // Port 81 of the address outside is not one that a forward has.
    let at = if number.is_multiple_of(3) { 0 } else { 81 };
    let one = |name: &str, slice: &str, slot, serves, reaches| Attachment {
        service: Name::new(name).unwrap(),
        slice: Name::new(slice).unwrap(),
        slot,
        serves,
        reaches,
        rates: Default::default(),
        slice_rates: Default::default(),
    };
    let silent = || Reaches { internet: false, ..Reaches::default() };
    let home = ["tcp/8883", "udp/5060", "printer:tcp/443"];
    let home = heapless::Vec::from_iter(home.map(|asked| asked.parse().unwrap()));
    let provider = heapless::Vec::from_iter(["192.0.2.0/25".parse().unwrap()]);
    let reaches = match number % 3 {
        0 => Reaches::default(),
        1 => Reaches { home, ..silent() },
        _ => Reaches { provider, ..silent() },
    };
    let slice = if number.is_multiple_of(2) { "demo" } else { "other" };
    vec![
        one(
            "hello",
            "demo",
            0,
            vec![serve(first, Protocol::Tcp, 80, at), serve(second, Protocol::Udp, 5060, 0)],
            reaches,
        ),
        one("camera", slice, 1, vec![serve(second, Protocol::Tcp, 81, 0)], Reaches::default()),
    ]
}

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

impl Town {
    fn make(number: usize, access: &str, [guest, voice, proxy, tv, leads]: [bool; 5]) -> Self {
        let mut text = format!("[wan]\nlink = \"eth0\"\n[internet]\nipv6 = \"dhcp\"\n{access}\n");
        if voice {
            text += "[voice]\naccess = { vlan = 20, priority = 5, ipv4 = \"dhcp\" }\nreaches = [\"198.51.100.0/24\"]\n";
        }
        if proxy {
            text += "proxy = { registrar = \"198.51.100.10\" }\n";
        }
        if tv {
            text += "[tv]\naccess = { vlan = 30, ipv4 = \"dhcp\" }\nreaches = [\"198.18.0.0/15\"]\ngroups = [\"239.0.0.0/8\"]\n";
        }
        text += &format!(
            "[lan]\nbridge = \"br-lan\"\nports = [\"eth1\"]\naddress = \"192.168.1.1\"\nprefix_length = 24\npcp = {leads}\n"
        );
        text += "[[lan.reservation]]\nmac = \"02:00:5e:10:00:01\"\naddress = \"192.168.1.10\"\nclass = \"printer\"\n";
        text += "[[lan.reservation]]\nmac = \"02:00:5e:10:00:02\"\naddress = \"192.168.1.11\"\nclass = \"camera\"\n";
        if guest {
            text += "[guest]\nvlan = 100\naddress = \"192.168.2.1\"\nprefix_length = 24\n";
            text += "dhcp = { first = \"192.168.2.100\", last = \"192.168.2.199\", lease_s = 3600 }\n";
        }
        text += "[services]\nprefix = \"10.64.0.0\"\nprefix_length = 24\n";
        if leads {
            text += LEADS;
        }
        let wanted = wanted::parse(&text).unwrap();
        let mapping = |host: &str, external_port| Mapping {
            protocol: Protocol::Tcp,
            external_port,
            host: host.parse().unwrap(),
            port: 8883,
        };
        let mappings =
            vec![mapping("192.168.1.10", 2000), mapping("2001:db8:1::10", 8883), mapping("10.64.0.2", 2001)];
        let services6 =
            vec![(0, "2001:db8:1:ff::2".parse().unwrap()), (1, "2001:db8:1:ff::3".parse().unwrap())];
        let facts = Facts {
            guest: "br-guest".into(),
            services6,
            gateway6: vec!["2001:db8:1:ff::1".parse().unwrap()],
            mappings: if leads { mappings } else { Vec::new() },
            outside: Some(OUTSIDE.parse().unwrap()),
            outside6: Some("2001:db8:1::".parse().unwrap()),
            unknown: Vec::new(),
            short: vec!["eth0".to_owned(), "eth1".to_owned()],
        };
        Self {
            services: services(number),
            voice: wanted.voice.as_ref().map(|voice| wanted.address_link(&voice.access).to_string()),
            tv: wanted.tv.as_ref().map(|tv| wanted.address_link(&tv.access).to_string()),
            internet: wanted.address_link(&wanted.internet).to_string(),
            proxy,
            pcp: leads,
            guest,
            leads,
            text,
            wanted,
            facts,
        }
    }

    pub(crate) fn table(&self) -> Table {
        firewall::table(&self.wanted, &self.services, &self.facts)
    }

    pub(crate) fn outside_links(&self) -> impl Iterator<Item = &String> {
        [&self.internet].into_iter().chain(&self.voice).chain(&self.tv)
    }

    pub(crate) fn service(&self, slot: u8) -> IpAddr {
        Ipv4Addr::new(10, 64, 0, 2 + slot).into()
    }

    pub(crate) fn zone_of_link(&self, link: &str) -> Zone {
        let is = |other: &Option<String>| other.as_deref() == Some(link);
        match link {
            "br-lan" => Zone::Home,
            "br-guest" => Zone::Guest,
            "svc-0" => Zone::Service(0),
            "svc-1" => Zone::Service(1),
            _ if link == self.internet => Zone::Internet,
            _ if is(&self.voice) => Zone::Voice,
            _ if is(&self.tv) => Zone::Tv,
            _ => Zone::Nobody,
        }
    }

    /// Whose an address is.
    pub(crate) fn zone_of(&self, address: IpAddr) -> Zone {
        let ours = [OUTSIDE, "192.168.1.1", "10.64.0.1", "2001:db8:1::1", "2001:db8:1:ff::1", "2001:db8::7"];
        if ours.iter().any(|one| address == one.parse::<IpAddr>().unwrap())
            || self.guest && address == guest_own()
        {
            return Zone::Us;
        }
        let table = [
            ("192.168.1.0/24", Zone::Home),
            (HOME6, Zone::Home),
            ("192.168.2.0/24", if self.guest { Zone::Guest } else { Zone::Internet }),
            (GUEST6, if self.guest { Zone::Guest } else { Zone::Internet }),
            ("10.64.0.2", Zone::Service(0)),
            ("2001:db8:1:ff::2", Zone::Service(0)),
            ("10.64.0.3", Zone::Service(1)),
            ("2001:db8:1:ff::3", Zone::Service(1)),
            ("10.64.0.0/24", Zone::Nobody),
            (SERVICES6, Zone::Nobody),
            ("198.51.100.0/24", if self.voice.is_some() { Zone::Voice } else { Zone::Internet }),
            ("198.18.0.0/15", if self.tv.is_some() { Zone::Tv } else { Zone::Internet }),
            ("239.0.0.0/8", Zone::Groups),
            ("224.0.0.0/4", Zone::Nobody),
            ("127.0.0.0/8", Zone::Nobody),
        ];
        table.iter().find(|(of, _)| prefix(of).holds(address)).map_or(Zone::Internet, |(_, zone)| *zone)
    }

    fn link_of(&self, zone: Zone) -> Route {
        let link = |link: &Option<String>| link.clone().map_or(Route::Nowhere, Route::Link);
        match zone {
            Zone::Us => Route::Local,
            Zone::Home => Route::Link("br-lan".to_owned()),
            Zone::Guest => Route::Link("br-guest".to_owned()),
            Zone::Service(slot) => Route::Link(format!("svc-{slot}")),
            Zone::Internet => Route::Link(self.internet.clone()),
            Zone::Voice => link(&self.voice),
            Zone::Tv => link(&self.tv),
            Zone::Groups | Zone::Nobody => Route::Nowhere,
        }
    }

    /// What the routes say of an address.
    pub(crate) fn route(&self, address: IpAddr) -> Route {
        self.link_of(self.zone_of(address))
    }

    /// Where a packet goes: as its address says; streams that are routed go to the home.
    pub(crate) fn way(&self, packet: &Packet) -> Route {
        let groups = self.zone_of(packet.target) == Zone::Groups;
        if groups && Some(&packet.by) == self.tv.as_ref() {
            return Route::Link("br-lan".to_owned());
        }
        self.route(packet.target)
    }

    pub(crate) fn is_inside(&self, address: IpAddr) -> bool {
        matches!(self.zone_of(address), Zone::Home | Zone::Guest | Zone::Service(_))
    }

    /// Is it of the services' prefix, whoever has it?
    fn is_ours(&self, address: IpAddr) -> bool {
        self.is_inside(address)
            || prefix("10.64.0.0/24").holds(address)
            || prefix("192.168.1.0/24").holds(address)
            || self.guest && prefix("192.168.2.0/24").holds(address)
    }

    /// May this sender be there, and be spoken to from there?
    pub(crate) fn may_speak(&self, from: Zone, packet: &Packet) -> bool {
        let of = self.zone_of(packet.source);
        let martian = prefix("127.0.0.0/8").holds(packet.source);
        match from {
            Zone::Internet | Zone::Voice | Zone::Tv => {
                let asked = packet.target.is_ipv4() && self.is_ours(packet.target);
                !martian && !self.is_ours(packet.source) && !asked
            }
            // In IPv6 the home's senders are judged on their way out.
            Zone::Home | Zone::Guest if packet.source.is_ipv6() => {
                of == from || self.zone_of(packet.target) == Zone::Us
            }
            Zone::Home | Zone::Guest | Zone::Service(_) => of == from,
            Zone::Us | Zone::Groups | Zone::Nobody => false,
        }
    }

    /// Where a port leads: to which host, at which port.
    pub(crate) fn led(&self, from: Zone, packet: &Packet) -> Option<(IpAddr, u16)> {
        let outside = packet.target == OUTSIDE.parse::<IpAddr>().unwrap();
        let host = "192.168.1.10".parse().unwrap();
        let led = |audience| {
            let all = self
                .services
                .iter()
                .flat_map(|service| service.serves.iter().map(move |serve| (service.slot, serve)));
            let found =
                all.filter(|(_, serve)| serve.to == audience && serve.at != 0 && serve.at == packet.port);
            let mut found = found.filter(|(_, serve)| number(serve.protocol) == packet.protocol);
            found.next().map(|(slot, serve)| (self.service(slot), serve.port))
        };
        if from == Zone::Home && packet.target == "192.168.1.1".parse::<IpAddr>().unwrap() {
            return led(Audience::Home);
        }
        let online = match from {
            Zone::Internet | Zone::Home => true,
            Zone::Service(slot) => self.services[usize::from(slot)].reaches.internet,
            Zone::Voice | Zone::Tv | Zone::Guest | Zone::Us | Zone::Groups | Zone::Nobody => false,
        };
        if !outside || !online {
            return None;
        }
        let office = prefix("192.0.2.0/25").holds(packet.source);
        let ours = match (packet.protocol, packet.port) {
            (6, 80) => Some(8080),
            (17, port @ 5000..=5070) => Some(port),
            (6, 443) if office => Some(443),
            (6, 2000) => Some(8883),
            _ => None,
        };
        let ours = ours.filter(|_| self.leads).map(|port| (host, port));
        ours.or_else(|| led(Audience::Internet))
    }

    /// May it call the agent?
    pub(crate) fn manages(&self, packet: &Packet) -> bool {
        let from = ["192.0.2.0/25", "2001:db8:9::/48", "192.168.1.0/24"].map(prefix);
        self.leads
            && (packet.protocol, packet.port) == (6, 8080)
            && from.iter().any(|from| from.holds(packet.source))
    }

    pub(crate) fn is_pinhole(&self, packet: &Packet) -> bool {
        let ten = packet.target == "2001:db8:1::10".parse::<IpAddr>().unwrap();
        let office = prefix("2001:db8:9::/48").holds(packet.source);
        let open = matches!((packet.protocol, packet.port), (17, 5060) | (6, 8883))
            || (packet.protocol, packet.port) == (6, 443) && office;
        self.leads && ten && open
    }

    pub(crate) fn serves(&self, slot: u8, audience: Audience, packet: &Packet) -> bool {
        self.services[usize::from(slot)].serves.iter().any(|serve| {
            serve.to == audience && serve.port == packet.port && number(serve.protocol) == packet.protocol
        })
    }

    pub(crate) fn reaches_home(&self, slot: u8, packet: &Packet) -> bool {
        let printer = packet.target == "192.168.1.10".parse::<IpAddr>().unwrap();
        self.services[usize::from(slot)].reaches.home.iter().any(|AtHome { kind, port }| {
            let is_it = port.port == packet.port && number(port.protocol) == packet.protocol;
            is_it && (kind.is_none() || printer)
        })
    }

    pub(crate) fn is_provider(&self, slot: u8, address: IpAddr) -> bool {
        self.services[usize::from(slot)].reaches.provider.iter().any(|prefix| prefix.holds(address))
    }

    pub(crate) fn is_services_own(&self, address: IpAddr) -> bool {
        ["10.64.0.1", "2001:db8:1:ff::1"].iter().any(|own| address == own.parse::<IpAddr>().unwrap())
    }

    pub(crate) fn is_hairpin(&self, walked: &Packet) -> bool {
        walked.by == "br-lan" && walked.to == "br-lan" && walked.led
    }

    /// The class of what passes.
    pub(crate) fn class(&self, walked: &Packet) -> Class {
        let zones = [self.zone_of_link(&walked.to), self.zone_of_link(&walked.by)];
        let class = |zone: &Zone| match zone {
            Zone::Voice => Some(Class::Voice),
            Zone::Tv => Some(Class::Tv),
            Zone::Service(slot) => Some(Class::Service(*slot)),
            Zone::Internet | Zone::Home | Zone::Guest | Zone::Us | Zone::Groups | Zone::Nobody => None,
        };
        zones.iter().find_map(class).unwrap_or(Class::Internet)
    }

    /// A packet that begins something.
    pub(crate) fn packet(&self, by: &str, target: IpAddr, protocol: u8, port: u16) -> Packet {
        let (source, request): (IpAddr, u16) =
            if target.is_ipv4() { (OUTSIDE.parse().unwrap(), 8) } else { (Ipv6Addr::LOCALHOST.into(), 128) };
        let ports = matches!(protocol, 6 | 17);
        Packet {
            by: by.to_owned(),
            to: String::new(),
            source,
            target,
            protocol,
            from_port: if ports { 40_000 } else { request },
            port,
            hops: 64,
            state: 8,
            led: false,
            masked: false,
            uid: 0,
            mark: 0,
            priority: 0,
            dscp: None,
        }
    }

    /// From everybody to everybody.
    pub(crate) fn packets(&self) -> impl Iterator<Item = Packet> {
        const HOSTS: [&str; 21] = [
            "192.0.2.9",
            "198.51.100.9",
            "198.18.0.9",
            "192.168.1.10",
            "192.168.1.11",
            "192.168.2.10",
            "10.64.0.2",
            "10.64.0.3",
            OUTSIDE,
            "192.168.1.1",
            "10.64.0.1",
            "239.1.1.1",
            "127.0.0.1",
            "192.168.2.1",
            "2001:db8:9::9",
            "2001:db8:1::10",
            "2001:db8:1:1::10",
            "2001:db8:1:ff::2",
            "2001:db8:1:ff::3",
            "2001:db8:1::1",
            "2001:db8:1:ff::1",
        ];
        const PORTS: [u16; 10] = [53, 80, 81, 443, 2000, 5060, 5351, 8080, 8883, 20_000];
        let links = [&self.internet].into_iter().chain(&self.voice).chain(&self.tv).cloned();
        let others = ["br-lan", "svc-0", "svc-1", "eth9"].map(str::to_owned);
        let guest = self.guest.then(|| "br-guest".to_owned());
        let links: Vec<String> = links.chain(others).chain(guest).collect();
        let hosts: Vec<IpAddr> = HOSTS.iter().map(|host| host.parse().unwrap()).collect();
        let pairs: Vec<(IpAddr, IpAddr)> =
            hosts.iter().flat_map(|source| hosts.iter().map(move |target| (*source, *target))).collect();
        let pairs = pairs.into_iter().filter(|(source, target)| {
            source.is_ipv4() == target.is_ipv4() && source != target && !source.is_multicast()
        });
        let pairs: Vec<_> = pairs.filter(|(source, _)| self.zone_of(*source) != Zone::Us).collect();
        let packets = links.into_iter().flat_map(move |by| {
            let pairs = pairs.clone();
            let zone = self.zone_of_link(&by);
            pairs.into_iter().flat_map(move |(source, target)| {
                let icmp = if target.is_ipv4() { ICMP } else { ICMPV6 };
                // Who speaks in another one's name is found out whatever he says.
                let ports: &[u16] = if self.zone_of(source) == zone { &PORTS } else { &[80, 5060] };
                let each = ports.iter().flat_map(|port| [(6, *port), (17, *port)]).chain([(icmp, 0)]);
                let by = by.clone();
                each.map(move |(protocol, port)| (by.clone(), source, target, protocol, port))
            })
        });
        packets.map(|(by, source, target, protocol, port)| Packet {
            source,
            ..self.packet(&by, target, protocol, port)
        })
    }
}

fn guest_own() -> IpAddr {
    "192.168.2.1".parse().unwrap()
}

fn number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
    }
}
