//! What becomes of a question: answered here, and how, or asked outside.
//!
//! In:  the question, who asks, what `network` told, what `lease` said. Out: a [`Verdict`].
//!
//! This module is pure. Home sees the names of its hosts; guests and services do not, and learn nothing of them either.
//!
//! Source: RFC 8482 (ANY); RFC 6761, RFC 6303 (`special.rs`); RFC 8020 (why an unknown host of one label is not "no such name").

use std::net::{IpAddr, Ipv4Addr};

use contract::prefix::Prefix;
use contract::told::{Names, Who};

use crate::hosts::{GATEWAY, Hosts};
use crate::message::{TYPE_A, TYPE_AAAA, TYPE_ANY, TYPE_HTTPS, TYPE_SVCB};
use crate::name;
use crate::query::{Question, Rcode};
use crate::reply::{Records, Why};
use crate::special::{self, Special};

/// How long a local answer is believed, in seconds: a lease may change at any time.
const LOCAL_TTL_S: u32 = 60;
/// How long it is believed that there is nothing, in seconds. Source: RFC 6303 §3.
const NOTHING_TTL_S: u32 = 10_800;
/// Pointers, host information, signers of delegations. Source: RFC 1035 §3.2.2, RFC 4034 §5.
const TYPE_PTR: u16 = 12;
const TYPE_HINFO: u16 = 13;
const TYPE_DS: u16 = 43;
/// Types from here on are questions about more than one, or none at all (but for [`TYPE_ANY`]). Source: RFC 6895 §3.1.
const META: [u16; 9] = [0, 41, 249, 250, 251, 252, 253, 254, 128];
/// What is told instead of everything. Source: RFC 8482 §4.2.
const INSTEAD_OF_ANY: &[u8] = b"\x07RFC8482\0";

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// His address.
    pub address: IpAddr,
    /// Who is on his link.
    pub who: &'a Who,
    /// Our address there.
    pub ours: Ipv4Addr,
}

/// What becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Answered here.
    Here(Rcode, Records, Why),
    /// Asked outside.
    Outside,
}

/// A verdict with nothing but a code.
fn code(rcode: Rcode, why: Why) -> Verdict {
    Verdict::Here(rcode, Records::default(), why)
}

/// A verdict that there is no such name, or nothing of that type, in a zone of ours.
fn nothing(rcode: Rcode, question: &Question, zone_bytes: usize, ttl: u32) -> Verdict {
    let mut records = Records::default();
    records.nothing(question.name().len(), zone_bytes, ttl);
    Verdict::Here(rcode, records, Why::Plain)
}

/// Decides.
#[must_use]
pub fn decide(question: &Question, asker: Asker<'_>, told: &Names, hosts: &Hosts) -> Verdict {
    let kind = question.kind();
    if META.contains(&kind) {
        return code(Rcode::Refused, Why::Plain);
    }
    if is_denied(question, asker.address, told, hosts) {
        return code(Rcode::NxDomain, Why::Filtered);
    }
    if kind == TYPE_ANY {
        let mut records = Records::default();
        records.answer(TYPE_HINFO, NOTHING_TTL_S, INSTEAD_OF_ANY);
        return Verdict::Here(Rcode::NoError, records, Why::Plain);
    }
    let zone = name::of(&told.domain).unwrap_or_default();
    if let Some(verdict) = local(question, asker, &zone, hosts) {
        return verdict;
    }
    if let Some(verdict) = reverse(question, asker, told, hosts, &zone) {
        return verdict;
    }
    match special::of(question.name()) {
        // RFC 8375 §4: so that who checks signatures learns that it is not signed.
        Some((Special::Nothing, zone)) if kind == TYPE_DS && zone == question.name().len() => {
            Verdict::Outside
        }
        Some((Special::Localhost, zone)) => localhost(question, zone),
        Some((Special::Nothing | Special::Reverse, zone)) => {
            // The zone itself is there, with nothing in it.
            let apex = zone == question.name().len();
            let rcode = if apex { Rcode::NoError } else { Rcode::NxDomain };
            nothing(rcode, question, zone, NOTHING_TTL_S)
        }
        None if is_short(question) => nothing(Rcode::NoError, question, 1, LOCAL_TTL_S),
        None => Verdict::Outside,
    }
}

/// Is it one label, asked for an address? That is a host of ours that is not there.
fn is_short(question: &Question) -> bool {
    let address = [TYPE_A, TYPE_AAAA, TYPE_HTTPS, TYPE_SVCB].contains(&question.kind());
    address && name::labels(question.name()).count() == 1
}

/// Does this host not get this name?
fn is_denied(question: &Question, address: IpAddr, told: &Names, hosts: &Hosts) -> bool {
    if told.clients.is_empty() {
        return false;
    }
    let Some(mac) = hosts.mac(address) else { return false };
    let mut denied = told.clients.iter().filter(|client| client.mac == mac).flat_map(|client| &client.deny);
    denied.any(|text| name::of(text).is_some_and(|zone| name::is_below(question.name(), &zone)))
}

/// May this asker see hosts of the home?
fn sees_hosts(who: &Who) -> bool {
    match who {
        Who::Home => true,
        Who::Guest | Who::Service { .. } => false,
    }
}

/// A name of one label, or one in our own domain.
fn local(question: &Question, asker: Asker<'_>, zone: &[u8], hosts: &Hosts) -> Option<Verdict> {
    let asked = question.name();
    let inside = zone.len() > 1 && name::is_below(asked, zone);
    let mut labels = name::labels(asked);
    let label = labels.next().unwrap_or_default();
    let alone = labels.next().is_none();
    if inside && asked == zone {
        // The domain itself: the gateway is there to be found, and there is nothing else.
        return (question.kind() != TYPE_DS)
            .then(|| nothing(Rcode::NoError, question, zone.len(), LOCAL_TTL_S));
    }
    if !inside && !alone {
        return None;
    }
    let direct = alone || asked.len() == zone.len() + label.len() + 1;
    let gateway = [asker.ours.into()];
    let known = match label {
        _ if !direct => None,
        label if label == GATEWAY.as_bytes() => Some(&gateway[..]),
        label if sees_hosts(asker.who) => hosts.addresses(label),
        _ => None,
    };
    let zone_bytes = if inside { zone.len() } else { 1 };
    match known {
        Some(addresses) => Some(addresses_of(question, addresses, zone_bytes)),
        None if inside => Some(nothing(Rcode::NxDomain, question, zone_bytes, LOCAL_TTL_S)),
        None => None,
    }
}

/// The addresses of the family that is asked for.
fn addresses_of(question: &Question, addresses: &[IpAddr], zone_bytes: usize) -> Verdict {
    let mut records = Records::default();
    for address in addresses {
        match (address, question.kind()) {
            (IpAddr::V4(address), TYPE_A) => records.answer(TYPE_A, LOCAL_TTL_S, &address.octets()),
            (IpAddr::V6(address), TYPE_AAAA) => records.answer(TYPE_AAAA, LOCAL_TTL_S, &address.octets()),
            (IpAddr::V4(_) | IpAddr::V6(_), _) => {}
        }
    }
    if records.counts == [0; 2] {
        return nothing(Rcode::NoError, question, zone_bytes, LOCAL_TTL_S);
    }
    Verdict::Here(Rcode::NoError, records, Why::Plain)
}

fn localhost(question: &Question, zone_bytes: usize) -> Verdict {
    let addresses = [Ipv4Addr::LOCALHOST.into(), std::net::Ipv6Addr::LOCALHOST.into()];
    addresses_of(question, &addresses, zone_bytes)
}

/// A reverse name of an address of ours.
fn reverse(
    question: &Question,
    asker: Asker<'_>,
    told: &Names,
    hosts: &Hosts,
    zone: &[u8],
) -> Option<Verdict> {
    let asked = name::reverse(question.name())?;
    let address = name::reverse_address(question.name());
    let label = address.and_then(|address| match address {
        address if address == IpAddr::from(asker.ours) => Some(GATEWAY),
        address if address.is_loopback() => Some("localhost"),
        address if sees_hosts(asker.who) => hosts.label(address),
        _ => None,
    });
    let within = |ours: &&Prefix| asked.length() >= ours.length() && ours.holds(asked.first());
    let ours = told.ours.iter().find(within);
    let target = label.and_then(|label| {
        let zone = if label == "localhost" || zone.is_empty() { &[0] } else { zone };
        name::join(label.as_bytes(), zone)
    });
    match target {
        Some(target) if question.kind() == TYPE_PTR => {
            let mut records = Records::default();
            records.answer(TYPE_PTR, LOCAL_TTL_S, &target);
            Some(Verdict::Here(Rcode::NoError, records, Why::Plain))
        }
        Some(_) => Some(nothing(Rcode::NoError, question, question.name().len(), LOCAL_TTL_S)),
        // The others of our own prefixes are nobody else's to tell.
        None => ours.map(|_| nothing(Rcode::NxDomain, question, arpa(question.name()), LOCAL_TTL_S)),
    }
}

/// Bytes of `in-addr.arpa` or `ip6.arpa` with the root.
fn arpa(name: &[u8]) -> usize {
    let v4: &[u8] = b"\x07in-addr\x04arpa\0";
    if name::is_below(name, v4) { v4.len() } else { b"\x03ip6\x04arpa\0".len() }
}

/// Would an answer lead into the home, though the name may not?
#[must_use]
pub fn is_rebinding(question: &Question, address: IpAddr, told: &Names) -> bool {
    let plain = match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    };
    let ours = plain.is_loopback()
        || plain.is_unspecified()
        || told.ours.iter().any(|prefix| prefix.holds(plain) || prefix.holds(address));
    let allowed = |text: &str| name::of(text).is_some_and(|zone| name::is_below(question.name(), &zone));
    ours && !told.rebind_allow.iter().any(|text| allowed(text))
}

#[cfg(test)]
mod tests {
    use super::{Asker, Verdict, decide, is_rebinding};
    use crate::hosts::Hosts;
    use crate::name;
    use crate::query::{Question, Rcode};
    use contract::mac::Mac;
    use contract::resolve::Local;
    use contract::told::{Names, Who};
    use contract::wanted::reach::Client;

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 7]);

    fn told() -> Names {
        let deny = heapless::Vec::from_iter(["bad.example".into()]);
        Names {
            domain: "home.arpa".into(),
            ours: heapless::Vec::from_iter([
                "192.168.1.0/24".parse().unwrap(),
                "2001:db8:1::/48".parse().unwrap(),
            ]),
            rebind_allow: heapless::Vec::from_iter(["allowed.example".into()]),
            clients: [Client { mac: MAC, deny }].into_iter().collect(),
            ..Names::default()
        }
    }

    fn ask(text: &str, kind: u16, who: &Who) -> Verdict {
        let mut hosts = Hosts::default();
        let address = "192.168.1.7".parse().unwrap();
        hosts.take(true, &[Local { name: "child".into(), address, mac: MAC, link: "lan".into() }]);
        let question = Question::new(&name::of(text).unwrap(), kind, false, false);
        decide(&question, Asker { address, who, ours: [192, 168, 1, 1].into() }, &told(), &hosts)
    }

    #[test]
    fn a_question_stays_here_or_goes_out() {
        let service = Who::Service { name: contract::Name::new("hello").unwrap(), mdns: false, ssdp: false };
        let (yes, no) = (Some((Rcode::NoError, [1, 0])), Some((Rcode::NxDomain, [0, 1])));
        let (empty, out) = (Some((Rcode::NoError, [0, 1])), None);
        let table = [
            ("outside", "www.example", 1, Who::Home, out),
            ("denied", "a.bad.example", 1, Who::Home, Some((Rcode::NxDomain, [0, 0]))),
            ("everything", "www.example", 255, Who::Home, yes),
            ("a transfer", "www.example", 252, Who::Home, Some((Rcode::Refused, [0, 0]))),
            ("a host", "child.home.arpa", 1, Who::Home, yes),
            ("its IPv6", "child.home.arpa", 28, Who::Home, empty),
            ("below it", "a.child.home.arpa", 1, Who::Home, no),
            ("a host, short", "child", 1, Who::Home, yes),
            ("a host, for a guest", "child.home.arpa", 1, Who::Guest, no),
            ("a host, short, for a guest", "child", 1, Who::Guest, empty),
            ("a host, for a service", "child.home.arpa", 1, service.clone(), no),
            ("ourselves", "gateway", 1, service, yes),
            ("the domain", "home.arpa", 1, Who::Home, empty),
            ("whether the domain is signed", "home.arpa", 43, Who::Home, out),
            ("a domain of one label", "com", 43, Who::Home, out),
            ("an address of ours", "7.1.168.192.in-addr.arpa", 12, Who::Home, yes),
            ("the same, for a guest", "7.1.168.192.in-addr.arpa", 12, Who::Guest, no),
            ("nobody's", "8.1.168.192.in-addr.arpa", 12, Who::Home, no),
            ("ours, public", "1.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", 12, Who::Home, no),
            ("somebody else's", "8.8.8.8.in-addr.arpa", 12, Who::Home, out),
        ];
        for (what, text, kind, who, wanted) in table {
            let got = match ask(text, kind, &who) {
                Verdict::Here(rcode, records, _) => Some((rcode, records.counts)),
                Verdict::Outside => None,
            };
            assert_eq!(got, wanted, "{what}");
        }
    }

    #[test]
    fn an_answer_leads_into_the_home_or_not() {
        let table = [
            ("www.example", "192.0.2.1", false),
            ("www.example", "192.168.1.9", true),
            ("www.example", "::ffff:192.168.1.9", true),
            ("www.example", "127.0.0.1", true),
            ("www.example", "0.0.0.0", true),
            ("www.example", "2001:db8:1::9", true),
            ("a.allowed.example", "192.168.1.9", false),
        ];
        for (text, address, wanted) in table {
            let question = Question::new(&name::of(text).unwrap(), 1, false, false);
            assert_eq!(
                is_rebinding(&question, address.parse().unwrap(), &told()),
                wanted,
                "{text} {address}"
            );
        }
    }
}
