//! The rules that a wanted network keeps beyond its types.
//!
//! In:  a `Wanted`. Out: the first rule that it breaks: the key, and what it may be.

use core::net::Ipv4Addr;

use super::{Access, Guest, Pool, Profile, SERVICE_LINK, WanIpv4, WanIpv6, Wanted, contains};
use crate::limit::DEVICES;
use crate::manifest::Protocol;
use crate::prefix::Prefix;

/// A rule: is it broken, and its words.
type Rule = (bool, &'static str);

/// The shortest lease, in seconds: what a client needs to renew it twice.
const LEASE_S_MIN: u32 = 120;
/// The largest VLAN. Source: IEEE 802.1Q-2022 §9.6 (4095 is reserved).
const VLAN_MAX: u16 = 4094;

/// The first rule that `wanted` breaks.
pub(super) fn check(wanted: &Wanted) -> Option<&'static str> {
    let broken = |rules: &[Rule]| rules.iter().find_map(|(broken, why)| broken.then_some(*why));
    broken(&links(wanted))
        .or_else(|| broken(&home(wanted)))
        .or_else(|| wanted.guest.as_ref().and_then(|guest| broken(&guests(wanted, guest))))
        .or_else(|| plays(wanted).find_map(|(access, vlan)| broken(&play(access, vlan))))
        .or_else(|| broken(&apart(wanted)))
        .or_else(|| broken(&reach(wanted)))
        .or_else(|| broken(&managed(wanted)))
        .or_else(|| broken(&queues(wanted)))
}

/// Every play, and the words for a VLAN that cannot be.
fn plays(wanted: &Wanted) -> impl Iterator<Item = (&Access, &'static str)> + Clone {
    let internet = [(&wanted.internet, "internet.vlan: 0 to 4094")];
    let voice = wanted.voice.iter().map(|voice| (&voice.access, "voice.access.vlan: 0 to 4094"));
    let tv = wanted.tv.iter().map(|tv| (&tv.access, "tv.access.vlan: 0 to 4094"));
    internet.into_iter().chain(voice).chain(tv)
}

/// Can a link be called so? None of those that we name ourselves.
fn is_link(name: &str) -> bool {
    let ours =
        name == "lo" || name.starts_with(SERVICE_LINK) || name.starts_with("ppp") || name.starts_with("ifb");
    !name.is_empty() && !ours && name != "." && name != ".." && !name.contains(['/', ' ', '\0', ':', '.'])
}

fn links(wanted: &Wanted) -> [Rule; 5] {
    let (wan, lan) = (&wanted.wan.link, &wanted.lan);
    let guests = wanted.guest.as_ref().map(|guest| guest.ports.as_slice()).unwrap_or_default();
    let tv = wanted.tv.as_ref().map(|tv| tv.ports.as_slice()).unwrap_or_default();
    let port = |port: &super::LinkName| is_link(port) && port != wan && *port != lan.bridge;
    let twice = |ports: &[super::LinkName]| {
        ports.iter().enumerate().any(|(place, port)| ports.iter().skip(place + 1).any(|other| other == port))
    };
    let shared = guests.iter().any(|port| lan.ports.contains(port) || tv.contains(port));
    [
        (!is_link(wan) || wan.len() > 10, "wan.link: a link's name of at most 10 bytes, none of a service's"),
        (!is_link(&lan.bridge) || lan.bridge == *wan, "lan.bridge: a name that no other link has"),
        (
            !lan.ports.iter().all(port) || twice(&lan.ports),
            "lan.ports: links other than wan.link and lan.bridge",
        ),
        (!guests.iter().all(port) || twice(guests) || shared, "guest.ports: links that nobody else has"),
        (
            !tv.iter().all(port) || twice(tv) || tv.iter().any(|port| lan.ports.contains(port)),
            "tv.ports: links that nobody else has",
        ),
    ]
}

/// Is `address` a host's in its prefix: not the network's, not the broadcast's?
fn is_host(address: Ipv4Addr, length: u8) -> bool {
    let hosts = u32::MAX.checked_shr(length.into()).unwrap_or(0);
    let host = address.to_bits() & hosts;
    host != 0 && host != hosts
}

fn pool(pool: &Pool, address: Ipv4Addr, length: u8) -> [bool; 4] {
    let inside = |host| contains(address, length, host) && is_host(host, length);
    [
        !inside(pool.first) || !inside(pool.last),
        pool.first > pool.last,
        (pool.first..=pool.last).contains(&address),
        pool.lease_s < LEASE_S_MIN,
    ]
}

fn home(wanted: &Wanted) -> [Rule; 10] {
    let lan = &wanted.lan;
    let asked = lan.dhcp.map(|given| pool(&given, lan.address, lan.prefix_length)).unwrap_or_default();
    let [outside, empty, ours, short] = asked;
    let kept = &lan.reservation;
    let twice = kept.iter().enumerate().any(|(place, one)| {
        kept.iter().skip(place + 1).any(|other| other.mac == one.mac || other.address == one.address)
    });
    let stray = kept.iter().any(|one| {
        !contains(lan.address, lan.prefix_length, one.address)
            || !is_host(one.address, lan.prefix_length)
            || one.address == lan.address
    });
    let many = kept.iter().filter(|one| one.class.is_some()).count() > DEVICES;
    [
        (!(8..=30).contains(&lan.prefix_length), "lan.prefix_length: 8 to 30"),
        (
            !is_host(lan.address, lan.prefix_length),
            "lan.address: a host's address, not the network's nor the broadcast's",
        ),
        (outside, "lan.dhcp: first and last are hosts of the LAN's prefix"),
        (empty, "lan.dhcp: first is not after last"),
        (ours, "lan.dhcp: the gateway's own address is not in the pool"),
        (short, "lan.dhcp.lease_s: at least 120"),
        (stray, "lan.reservation: an address of another host in the LAN's prefix"),
        (twice, "lan.reservation: one address for one host"),
        (many, "lan.reservation: at most 32 hosts have a class"),
        (!is_domain(&lan.domain), "lan.domain: labels of letters, digits and '-', with points between"),
    ]
}

fn guests(wanted: &Wanted, guest: &Guest) -> [Rule; 7] {
    let [outside, empty, ours, short] = pool(&guest.dhcp, guest.address, guest.prefix_length);
    let nowhere = guest.ports.is_empty() && guest.vlan == 0;
    [
        (!(8..=30).contains(&guest.prefix_length), "guest.prefix_length: 8 to 30"),
        (!is_host(guest.address, guest.prefix_length), "guest.address: a host's address"),
        (
            outside || empty || ours,
            "guest.dhcp: hosts of the guests' prefix, first not after last, not the gateway",
        ),
        (short, "guest.dhcp.lease_s: at least 120"),
        (nowhere || guest.vlan > VLAN_MAX, "guest.vlan: 1 to 4094, or 0 and guest.ports"),
        (
            guest.vlan != 0 && wanted.lan.ports.iter().any(|port| port.len() > 10),
            "lan.ports: names of at most 10 bytes where guest.vlan is",
        ),
        (guest.vlan == 1 && !wanted.lan.ports.is_empty(), "guest.vlan: 1 is the home's own"),
    ]
}

/// Is this whole bytes, written as `0x0a0b…`, and how many?
fn bytes_of(text: &str) -> Option<usize> {
    let digits = text.strip_prefix("0x")?;
    let whole = digits.len().is_multiple_of(2) && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    whole.then_some(digits.len() / 2)
}

fn play(access: &Access, vlan: &'static str) -> [Rule; 8] {
    let (fixed, dhcp) = (access.fixed.as_ref(), &access.dhcp);
    let client_id =
        dhcp.client_id.starts_with("0x") && bytes_of(&dhcp.client_id).is_none_or(|bytes| bytes < 2);
    let vendor =
        !dhcp.vendor_specific.is_empty() && bytes_of(&dhcp.vendor_specific).is_none_or(|bytes| bytes == 0);
    let cannot = fixed.is_some_and(|fixed| !(1..=32).contains(&fixed.prefix_length));
    let pppoe = access.ipv4 == WanIpv4::Pppoe;
    [
        (access.vlan > VLAN_MAX, vlan),
        (access.priority > 7, "priority: 0 to 7"),
        (access.mtu != 0 && access.mtu < 1280, "mtu: 0, or at least 1280, which IPv6 needs"),
        (pppoe != access.pppoe.is_some(), "pppoe: where ipv4 is \"pppoe\", and only there"),
        (
            (access.ipv4 == WanIpv4::Static) != fixed.is_some(),
            "static: where ipv4 is \"static\", and only there",
        ),
        (cannot, "static.prefix_length: 1 to 32"),
        (client_id, "dhcp.client_id: text, or at least two bytes in hex behind 0x"),
        (vendor, "dhcp.vendor_specific: bytes in hex behind 0x"),
    ]
}

/// Plays are told apart, and so are networks.
fn apart(wanted: &Wanted) -> [Rule; 9] {
    let vlans = plays(wanted).map(|(access, _)| access.vlan);
    let others = || plays(wanted).skip(1).map(|(access, _)| access);
    let twice = vlans
        .clone()
        .enumerate()
        .any(|(place, vlan)| vlans.clone().skip(place + 1).any(|other| other == vlan));
    let lan = Prefix::new(wanted.lan.address.into(), wanted.lan.prefix_length);
    let services = Prefix::new(wanted.services.prefix.into(), wanted.services.prefix_length);
    let guests = wanted.guest.as_ref().map(|guest| Prefix::new(guest.address.into(), guest.prefix_length));
    let bridged = wanted.tv.as_ref().is_some_and(|tv| tv.profile == Profile::Bridged);
    let bridged_address = wanted.tv.as_ref().is_some_and(|tv| bridged && tv.access.ipv4 != WanIpv4::None);
    let bridged_alone = wanted.tv.as_ref().is_some_and(|tv| bridged && tv.ports.is_empty());
    [
        (twice, "vlan: each play has its own"),
        (
            others().any(|access| access.ipv4 == WanIpv4::Pppoe),
            "ipv4: only the Internet play is by \"pppoe\"",
        ),
        (others().any(|access| access.ipv6 == WanIpv6::Dhcp), "ipv6: only the Internet play gets a prefix"),
        (!(16..=26).contains(&wanted.services.prefix_length), "services.prefix_length: 16 to 26"),
        (!(100..=1_000_000).contains(&wanted.services.packets_s), "services.packets_s: 100 to 1000000"),
        (lan.overlaps(&services), "services.prefix: it overlaps the LAN's"),
        (
            guests.is_some_and(|guests| guests.overlaps(&lan) || guests.overlaps(&services)),
            "guest.address: its prefix overlaps the LAN's or the services'",
        ),
        (bridged_address, "tv.access.ipv4: \"none\" where tv.profile is \"bridged\""),
        (bridged_alone, "tv.ports: at least one where tv.profile is \"bridged\""),
    ]
}

fn reach(wanted: &Wanted) -> [Rule; 7] {
    let lan = Prefix::new(wanted.lan.address.into(), wanted.lan.prefix_length);
    let mut forwards = wanted.forward.iter().enumerate();
    let last = |forward: &super::Forward| forward.last.max(forward.port);
    let overlap =
        forwards.clone().any(|(place, one)| {
            wanted.forward.iter().skip(place + 1).any(|other| {
                other.protocol == one.protocol && one.port <= last(other) && other.port <= last(one)
            })
        });
    let stray =
        |to: Ipv4Addr| !lan.holds(to.into()) || !is_host(to, lan.length()) || to == wanted.lan.address;
    let ipv4 = |from: Option<Prefix>| from.is_none_or(|from| from.is_ipv4());
    let ipv6 = |from: Option<Prefix>| from.is_none_or(|from| !from.is_ipv4());
    let pinholes = &wanted.pinhole;
    [
        (
            forwards.any(|(_, one)| one.port == 0 || (one.last != 0 && one.last < one.port)),
            "forward.port: 1 to 65535, not after last",
        ),
        (
            wanted.forward.iter().any(|one| one.last != 0 && one.to_port != 0),
            "forward.to_port: not with last",
        ),
        (wanted.forward.iter().any(|one| stray(one.to)), "forward.to: another host of the LAN's prefix"),
        (overlap, "forward.port: two lead elsewhere"),
        (!wanted.forward.iter().all(|one| ipv4(one.from)), "forward.from: an IPv4 prefix"),
        (
            pinholes
                .iter()
                .any(|one| one.port == 0 || one.to.to_bits() >> 64 != 0 || one.to.is_unspecified()),
            "pinhole: a port, and an interface identifier such as ::1:2:3:4",
        ),
        (!pinholes.iter().all(|one| ipv6(one.from)), "pinhole.from: an IPv6 prefix"),
    ]
}

/// The gateway is open to some, and not to everybody.
fn managed(wanted: &Wanted) -> [Rule; 3] {
    let all = &wanted.management;
    let led = |port: u16| {
        let mut forwards = wanted.forward.iter().filter(|one| one.protocol == Protocol::Tcp);
        forwards.any(|one| (one.port..=one.last.max(one.port)).contains(&port))
    };
    [
        // Names and calls have rules of their own.
        (
            all.iter().any(|one| matches!(one.port, 0 | 53 | 5060 | 5061)),
            "management.port: 1 to 65535, not 53, 5060, 5061",
        ),
        (
            all.iter().any(|one| one.from.length() < if one.from.is_ipv4() { 8 } else { 16 }),
            "management.from: a prefix of at least 8 bits, with IPv6 of 16",
        ),
        (all.iter().any(|one| led(one.port)), "management.port: a forward leads it elsewhere"),
    ]
}

fn queues(wanted: &Wanted) -> [Rule; 3] {
    let Some(qos) = &wanted.qos else { return [(false, ""); 3] };
    let rates = [qos.up_kbit_s, qos.down_kbit_s];
    let taken = u64::from(qos.voice_kbit_s) + u64::from(qos.services_kbit_s);
    let down = taken + u64::from(qos.tv_kbit_s);
    [
        (!rates.iter().all(|rate| (64..=10_000_000).contains(rate)), "qos: rates of 64 to 10000000 kbit/s"),
        (
            taken * 10 > u64::from(qos.up_kbit_s) * 9,
            "qos: voice and services together take at most nine tenths of up_kbit_s",
        ),
        (
            down * 10 > u64::from(qos.down_kbit_s) * 9,
            "qos: voice, TV and services together take at most nine tenths of down_kbit_s",
        ),
    ]
}

/// Labels with points between. Source: RFC 1123 §2.1.
fn is_domain(name: &str) -> bool {
    let label = |label: &str| {
        let plain = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        !label.is_empty() && plain && !label.starts_with('-') && !label.ends_with('-')
    };
    name.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use crate::wanted::{WanIpv4, parse};
    use std::format;
    use std::string::{String, ToString};

    const PLAIN: &str = include_str!("../../../../rootfs/etc/shg/network.toml");
    const WHOLE: &str = include_str!("../../tests/data/whole.toml");

    #[test]
    fn what_we_ship_is_well_formed() {
        assert_eq!(parse(PLAIN).unwrap().internet.ipv4, WanIpv4::Dhcp);
    }

    #[test]
    fn all_that_can_be_said_is_well_formed() {
        assert!(size_of::<crate::wanted::Wanted>() < 8 * 1024, "it lies on stacks");
        let wanted = parse(WHOLE).unwrap();
        let voice = wanted.voice.as_ref().unwrap();
        assert_eq!(wanted.frame_link(&voice.access).as_str(), "eth0.20");
        assert_eq!(wanted.address_link(&wanted.internet).as_str(), "ppp0");
        assert!(!format!("{wanted:?}").contains("hidden"), "a password is not shown");
    }

    #[test]
    #[cfg(feature = "write")]
    fn what_is_written_is_read() {
        for text in [PLAIN, WHOLE] {
            let wanted = parse(text).unwrap();
            let written = crate::wanted::write(&wanted).unwrap();
            assert_eq!(parse(&written).as_ref(), Ok(&wanted), "{written}");
            let silent = wanted.clone().without_secrets();
            assert!(!crate::wanted::write(&silent).unwrap().contains("hidden"));
            assert_eq!(silent.with_secrets_of(&wanted), wanted);
        }
    }

    #[test]
    fn the_gateway_is_managed_by_some_only() {
        let one = |from: &str, port: u16| format!("[[management]]\nfrom = \"{from}\"\nport = {port}\n");
        let led = "[[forward]]\nname = \"page\"\nport = 8000\nlast = 8100\nto = \"192.168.1.9\"\n";
        let table = [
            ("a prefix", one("192.0.2.0/24", 8443), None),
            ("a host", one("2001:db8::1/128", 8443), None),
            ("everybody", one("0.0.0.0/0", 8443), Some("management.from")),
            ("everybody, IPv6", one("2000::/3", 8443), Some("management.from")),
            ("names", one("192.0.2.0/24", 53), Some("management.port")),
            ("no port", one("192.0.2.0/24", 0), Some("management.port")),
            ("led elsewhere", one("192.0.2.0/24", 8088) + led, Some("a forward leads it elsewhere")),
            ("beside what is led", one("192.0.2.0/24", 8101) + led, None),
        ];
        for (what, more, want) in table {
            let said = parse(&format!("{PLAIN}\n{more}")).err().map(|error| error.to_string());
            let fits =
                want.map_or(said.is_none(), |want| said.as_ref().is_some_and(|said| said.contains(want)));
            assert!(fits, "{what}: {said:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let swap = |from: &str, to: &str| {
            assert!(PLAIN.contains(from), "{from}");
            PLAIN.replace(from, to)
        };
        let add = |more: &str| format!("{PLAIN}\n{more}\n");
        let whole = |from: &str, to: &str| {
            assert!(WHOLE.contains(from), "{from}");
            WHOLE.replace(from, to)
        };
        let told = |words: &str| swap("ipv4 = \"dhcp\"", &format!("ipv4 = \"dhcp\"\ndhcp = {{ {words} }}"));
        let table: [(&str, String, &str); 28] = [
            ("half a byte", told("client_id = \"0x012\""), "dhcp.client_id"),
            ("one byte is no identifier", told("client_id = \"0x01\""), "dhcp.client_id"),
            ("no hex", told("vendor_specific = \"0x0g\""), "dhcp.vendor_specific"),
            ("text where bytes are", told("vendor_specific = \"cafe\""), "dhcp.vendor_specific"),
            ("unknown key", swap("[lan]", "[lan]\ncolour = 1"), "colour"),
            ("pool outside", swap("192.168.1.100", "192.168.2.100"), "lan.dhcp"),
            ("our address in the pool", swap("\"192.168.1.1\"", "\"192.168.1.120\""), "own address"),
            ("bridge in itself", swap("\"eth1\"", "\"br-lan\""), "lan.ports"),
            ("a service's link", swap("\"eth0\"", "\"svc-0\""), "wan.link"),
            ("broadcast", swap("\"192.168.1.1\"", "\"192.168.1.255\""), "lan.address"),
            ("network", swap("\"192.168.1.1\"", "\"192.168.1.0\""), "lan.address"),
            ("overlap", swap("10.64.0.0", "192.168.1.0"), "overlaps"),
            ("not an address", swap("10.64.0.0", "10.64.0"), "line"),
            ("PPPoE without a user", swap("ipv4 = \"dhcp\"", "ipv4 = \"pppoe\""), "pppoe"),
            ("static without an address", swap("ipv4 = \"dhcp\"", "ipv4 = \"static\""), "static"),
            ("VLAN too large", whole("vlan = 20", "vlan = 4095"), "voice.access.vlan"),
            ("two plays in one VLAN", whole("vlan = 20", "vlan = 30"), "each play"),
            ("priority", whole("priority = 5", "priority = 8"), "priority"),
            (
                "voice by PPPoE",
                whole(
                    "vlan = 20, priority = 5, ipv4 = \"dhcp\"",
                    "vlan = 20, ipv4 = \"pppoe\", pppoe = { user = \"a\", password = \"b\" }",
                ),
                "only the Internet",
            ),
            ("forward into the void", whole("to = \"192.168.1.10\"", "to = \"192.168.7.10\""), "forward.to"),
            ("forwards overlap", whole("port = 8443", "port = 5001"), "lead elsewhere"),
            ("pinhole with a prefix", whole("to = \"::1:2:3:4\"", "to = \"2001:db8::1\""), "pinhole"),
            ("a prefix with bits behind it", whole("198.51.100.0/24", "198.51.100.1/24"), "no prefix"),
            (
                "reservation twice",
                whole("address = \"192.168.1.11\"", "address = \"192.168.1.10\""),
                "one address",
            ),
            ("guests overlap", whole("address = \"192.168.2.1\"", "address = \"192.168.1.1\""), "guest"),
            ("floors beyond the line", whole("up_kbit_s = 20000", "up_kbit_s = 2000"), "nine tenths"),
            ("guests nowhere", whole("vlan = 100", "vlan = 0"), "guest.vlan"),
            ("twice a table", add("[wan]\nlink = \"eth0\""), "line"),
        ];
        for (what, text, word) in table {
            let error = parse(&text).unwrap_err().to_string();
            assert!(error.contains(word), "{what}: {error}");
        }
    }
}
