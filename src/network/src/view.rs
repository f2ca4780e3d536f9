//! All that decides what the network should be, as of one moment: what is wanted, what is known, who is attached.
//!
//! In:  a `Wanted`, a `Known`, attachments, a moment. Out: a `View`, whose questions every planner asks. Pure.
//!
//! Addresses out of a delegated prefix (docs/network.md): /64 number 0 is the home's, number 1 the guests', the last the services'.
//!
//! Source: RFC 7084 (L-1 to L-4), RFC 9096 §3.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use contract::learn::{Address6, Ipv6, Lease, Mapping, OnLink, Session};
use contract::prefix::Prefix;
use contract::wanted::access::Fixed;
use contract::wanted::{Access, LinkName, WanIpv4, WanIpv6, Wanted};

use crate::known::{Known, Way};
use crate::target::{Attachment, FIRST, OURS};

/// Which play.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Which {
    /// Internet.
    Internet,
    /// Voice.
    Voice,
    /// TV.
    Tv,
}

/// IPv4 of a play: addresses and the way out, however they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Our address.
    pub address: Ipv4Addr,
    /// The length of its prefix, in bits.
    pub length: u8,
    /// The other end of a point-to-point link.
    pub peer: Option<Ipv4Addr>,
    /// The router; a point-to-point link needs none.
    pub router: Option<Ipv4Addr>,
    /// Routes by others, or on the link (`0.0.0.0`).
    pub routes: Vec<(Prefix, Ipv4Addr)>,
    /// Name servers.
    pub name_servers: Vec<Ipv4Addr>,
    /// Time servers.
    pub time_servers: Vec<Ipv4Addr>,
    /// The largest packet, in bytes; 0: what the link can.
    pub mtu: u16,
}

/// What is known of a play's IPv4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ipv4 {
    /// Nothing yet: what a former life has set is not touched.
    Unknown,
    /// It has none.
    None,
    /// These.
    Has(Terms),
}

/// One play, as of now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Play {
    /// Which.
    pub which: Which,
    /// How it comes in.
    pub access: Access,
    /// The link that carries its frames.
    pub frame_link: LinkName,
    /// The link that carries its addresses.
    pub link: LinkName,
    /// Its IPv4.
    pub ipv4: Ipv4,
    /// Its IPv6; `None`: nothing is known yet.
    pub ipv6: Option<Ipv6>,
    /// Our interface identifier on a PPP link; 0: the kernel's own.
    pub identifier: u64,
    /// Why what was told is not taken.
    pub refused: Option<String>,
}

/// All that decides.
#[derive(Debug, Clone)]
pub struct View<'v> {
    /// What is wanted.
    pub wanted: &'v Wanted,
    /// Who is attached.
    pub services: &'v [Attachment],
    /// The plays.
    pub plays: Vec<Play>,
    /// Ports that hosts of the home have asked for.
    pub mappings: Vec<Mapping>,
}

/// Nothing of IPv6: where it is not wanted.
fn no_ipv6(link: &LinkName) -> Ipv6 {
    Ipv6 {
        link: link.clone(),
        router: None,
        mtu: 0,
        addresses: heapless::Vec::new(),
        prefixes: heapless::Vec::new(),
        name_servers: heapless::Vec::new(),
        time_servers: heapless::Vec::new(),
    }
}

impl<'v> View<'v> {
    /// The view at `now_ms` (milliseconds after boot).
    #[must_use]
    pub fn of(wanted: &'v Wanted, known: &Known, services: &'v [Attachment], now_ms: u64) -> Self {
        let accesses = [(Which::Internet, Some(&wanted.internet))].into_iter();
        let accesses = accesses.chain([(Which::Voice, wanted.voice.as_ref().map(|voice| &voice.access))]);
        let accesses = accesses.chain([(Which::Tv, wanted.tv.as_ref().map(|tv| &tv.access))]);
        let accesses = accesses.filter_map(|(which, access)| access.map(|access| (which, access)));
        let plays = accesses.map(|(which, access)| Play::of(which, access, wanted, (known, now_ms)));
        let mappings = if wanted.lan.pcp { known.mappings(&wanted.lan.bridge).to_vec() } else { Vec::new() };
        Self { wanted, services, plays: plays.collect(), mappings }
    }

    /// One play, where it is wanted.
    #[must_use]
    pub fn play(&self, which: Which) -> Option<&Play> {
        self.plays.iter().find(|play| play.which == which)
    }

    /// Our address of the Internet play.
    #[must_use]
    pub fn outside(&self) -> Option<Ipv4Addr> {
        self.play(Which::Internet)?.terms().map(|terms| terms.address)
    }

    /// Delegated prefixes, the newest first.
    pub fn prefixes(&self) -> impl Iterator<Item = OnLink> {
        let ipv6 = self.play(Which::Internet).and_then(|play| play.ipv6.as_ref());
        let wants = self.wanted.internet.ipv6 == WanIpv6::Dhcp;
        let prefixes = ipv6.map(|ipv6| ipv6.prefixes.as_slice()).unwrap_or_default();
        let good = move |one: &&OnLink| wants && !one.prefix.is_ipv4() && one.prefix.length() <= 64;
        prefixes.iter().filter(good).copied()
    }

    /// /64s of the home.
    #[must_use]
    pub fn home6(&self) -> Vec<OnLink> {
        self.prefixes().filter_map(|one| part(one, 0)).collect()
    }

    /// /64s of the guests.
    #[must_use]
    pub fn guest6(&self) -> Vec<OnLink> {
        if self.wanted.guest.is_none() {
            return Vec::new();
        }
        self.prefixes().filter_map(|one| part(one, 1)).collect()
    }

    /// /64s of the services: the last of each prefix that has one to spare.
    #[must_use]
    pub fn services6(&self) -> Vec<OnLink> {
        let taken = if self.wanted.guest.is_some() { 2 } else { 1 };
        let last = |one: OnLink| {
            let parts = 1_u32.checked_shl(u32::from(64_u8.saturating_sub(one.prefix.length()))).unwrap_or(0);
            // A prefix of 32 bits or less has more than fit: the last that has a number.
            let last = parts.wrapping_sub(1);
            (last >= taken).then(|| part(one, last)).flatten()
        };
        self.prefixes().filter_map(last).collect()
    }

    /// Addresses of the service in `slot`, of IPv6.
    #[must_use]
    pub fn service6(&self, slot: u8) -> Vec<Address6> {
        self.services6().into_iter().filter_map(|one| host(one, u64::from(FIRST) + u64::from(slot))).collect()
    }

    /// Our own addresses on every service's link, of IPv6.
    #[must_use]
    pub fn gateway6(&self) -> Vec<Address6> {
        self.services6().into_iter().filter_map(|one| host(one, u64::from(OURS))).collect()
    }
}

/// Number `number` of the /64s of a prefix.
fn part(one: OnLink, number: u32) -> Option<OnLink> {
    one.prefix.subnet(64, number).map(|prefix| OnLink { prefix, ..one })
}

/// Host number `number` of a /64, alone.
#[must_use]
pub fn host(one: OnLink, number: u64) -> Option<Address6> {
    let IpAddr::V6(first) = one.prefix.first() else { return None };
    let address = Ipv6Addr::from_bits(first.to_bits() | u128::from(number));
    Some(Address6 { address, prefix_length: 128, preferred_s: one.preferred_s, valid_s: one.valid_s })
}

impl Play {
    fn of(which: Which, access: &Access, wanted: &Wanted, (known, now_ms): (&Known, u64)) -> Self {
        let (frame_link, mut link) = (wanted.frame_link(access), wanted.address_link(access));
        let (mut identifier, mut refused) = (0, None);
        let mut taken = |terms: Terms| match why_not(wanted, &frame_link, &terms) {
            None => Ipv4::Has(terms),
            Some(why) => {
                refused = Some(why);
                Ipv4::None
            }
        };
        let ipv4 = match (access.ipv4, known.ipv4(&frame_link)) {
            (WanIpv4::None, _) | (WanIpv4::Dhcp | WanIpv4::Pppoe, Way::Lost) => Ipv4::None,
            (WanIpv4::Static, _) => access.fixed.as_ref().map_or(Ipv4::None, |fixed| taken(fixed.into())),
            (WanIpv4::Dhcp, Way::Leased(lease)) => taken(lease.into()),
            (WanIpv4::Pppoe, Way::Session(session)) => {
                link = session.ppp.clone();
                identifier = session.identifier;
                taken(session.into())
            }
            (WanIpv4::Dhcp, Way::Unknown | Way::Session(_))
            | (WanIpv4::Pppoe, Way::Unknown | Way::Leased(_)) => Ipv4::Unknown,
        };
        let lost = access.ipv4 == WanIpv4::Pppoe && ipv4 == Ipv4::None;
        let ipv6 = match access.ipv6 {
            WanIpv6::Dhcp | WanIpv6::Slaac if !lost => known.ipv6(&link, now_ms),
            WanIpv6::Dhcp | WanIpv6::Slaac | WanIpv6::None => Some(no_ipv6(&link)),
        };
        Self { which, access: access.clone(), frame_link, link, ipv4, ipv6, identifier, refused }
    }

    /// Its IPv4, where it has any.
    #[must_use]
    pub fn terms(&self) -> Option<&Terms> {
        match &self.ipv4 {
            Ipv4::Has(terms) => Some(terms),
            Ipv4::Unknown | Ipv4::None => None,
        }
    }
}

/// Why these cannot be taken. One whose address or router lies in the home, among guests or services would lead both astray; it is what a
/// gateway gets that is plugged in behind another one of its kind.
fn why_not(wanted: &Wanted, link: &str, terms: &Terms) -> Option<String> {
    let lan = Prefix::new(wanted.lan.address.into(), wanted.lan.prefix_length);
    let services = Prefix::new(wanted.services.prefix.into(), wanted.services.prefix_length);
    let guest = wanted.guest.as_ref().map(|guest| Prefix::new(guest.address.into(), guest.prefix_length));
    let ours = [Some(lan), Some(services), guest];
    let elsewhere = |address: Ipv4Addr| !ours.iter().flatten().any(|prefix| prefix.holds(address.into()));
    let somebodys = |address: Ipv4Addr| {
        !(address.is_unspecified()
            || address.is_loopback()
            || address.is_multicast()
            || address.is_broadcast())
    };
    let good = |address: Ipv4Addr| elsewhere(address) && somebodys(address);
    let routers = terms.routes.iter().map(|(_, via)| *via).filter(|via| !via.is_unspecified());
    let taken = (1..=32).contains(&terms.length)
        && good(terms.address)
        && terms.router.into_iter().chain(terms.peer).chain(routers).all(good);
    let (address, length) = (terms.address, terms.length);
    let why = "not taken: it is none, or one of the home's or the services' own";
    (!taken).then(|| format!("lease of {address}/{length} on {link}: {why}"))
}

impl From<&Lease> for Terms {
    fn from(lease: &Lease) -> Self {
        Self {
            address: lease.address,
            length: lease.prefix_length,
            peer: None,
            router: lease.router,
            routes: lease.routes.to_vec(),
            name_servers: lease.name_servers.to_vec(),
            time_servers: lease.time_servers.to_vec(),
            mtu: 0,
        }
    }
}

impl From<&Session> for Terms {
    fn from(session: &Session) -> Self {
        Self {
            address: session.address,
            length: 32,
            peer: Some(session.peer),
            router: None,
            routes: Vec::new(),
            name_servers: session.name_servers.to_vec(),
            time_servers: Vec::new(),
            mtu: session.mtu,
        }
    }
}

impl From<&Fixed> for Terms {
    fn from(fixed: &Fixed) -> Self {
        Self {
            address: fixed.address,
            length: fixed.prefix_length,
            peer: None,
            router: Some(fixed.router),
            routes: Vec::new(),
            name_servers: fixed.name_servers.to_vec(),
            time_servers: Vec::new(),
            mtu: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{View, Which};
    use crate::known::Known;
    use crate::testing::{ipv6, lease_of, wanted, whole};
    use contract::learn::Learned;

    #[test]
    fn a_lease_that_would_lead_the_home_astray_is_not_taken() {
        let table = [
            ("plain", lease_of([203, 0, 113, 7], 24, Some([203, 0, 113, 1])), true),
            ("no router", lease_of([203, 0, 113, 7], 24, None), true),
            ("one address", lease_of([203, 0, 113, 7], 32, Some([198, 51, 100, 1])), true),
            ("wider than the home, around it", lease_of([192, 168, 0, 9], 16, Some([192, 168, 0, 1])), true),
            ("in the home", lease_of([192, 168, 1, 50], 24, Some([192, 168, 1, 1])), false),
            ("a router in the home", lease_of([192, 168, 0, 9], 16, Some([192, 168, 1, 254])), false),
            ("among the services", lease_of([10, 64, 0, 9], 16, Some([10, 64, 7, 1])), false),
            ("nobody's", lease_of([0, 0, 0, 0], 24, None), false),
            ("our own", lease_of([127, 0, 0, 1], 8, None), false),
            ("many's", lease_of([224, 0, 0, 5], 24, None), false),
            ("no prefix", lease_of([203, 0, 113, 7], 0, None), false),
            ("too long a prefix", lease_of([203, 0, 113, 7], 33, None), false),
        ];
        for (what, lease, taken) in table {
            let (wanted, mut known) = (wanted(), Known::default());
            known.learn(Learned::Lease(lease), 0);
            let view = View::of(&wanted, &known, &[], 0);
            let play = view.play(Which::Internet).unwrap();
            assert_eq!((play.terms().is_some(), play.refused.is_none()), (taken, taken), "{what}");
        }
    }

    #[test]
    fn a_prefix_is_divided_among_home_guests_and_services() {
        let table = [
            ("2001:db8:1::/48", "2001:db8:1::/64", Some("2001:db8:1:1::/64"), Some("2001:db8:1:ffff::/64")),
            ("2001:db8:1::/56", "2001:db8:1::/64", Some("2001:db8:1:1::/64"), Some("2001:db8:1:ff::/64")),
            ("2001:db8:1::/62", "2001:db8:1::/64", Some("2001:db8:1:1::/64"), Some("2001:db8:1:3::/64")),
            ("2001:db8:1::/63", "2001:db8:1::/64", Some("2001:db8:1:1::/64"), None),
            ("2001:db8:1::/64", "2001:db8:1::/64", None, None),
        ];
        let (mut wanted, mut known) = (whole(), Known::default());
        wanted.internet = crate::testing::wanted().internet; // by DHCP
        for (prefix, home, guest, services) in table {
            known.learn(Learned::Ipv6(ipv6(prefix)), 0);
            let view = View::of(&wanted, &known, &[], 0);
            let text = |list: Vec<contract::learn::OnLink>| list.first().map(|one| one.prefix.to_string());
            assert_eq!(text(view.home6()).as_deref(), Some(home), "{prefix}");
            assert_eq!(text(view.guest6()).as_deref(), guest, "{prefix}");
            assert_eq!(text(view.services6()).as_deref(), services, "{prefix}");
        }
        known.learn(Learned::Ipv6(ipv6("2001:db8:1::/56")), 0);
        let view = View::of(&wanted, &known, &[], 0);
        assert_eq!(view.service6(0)[0].address.to_string(), "2001:db8:1:ff::2");
        assert_eq!(view.gateway6()[0].address.to_string(), "2001:db8:1:ff::1");
    }
}
