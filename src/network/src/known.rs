//! What `lease` has told, link by link, and when.
//!
//! In:  `Learned`, moments in milliseconds after boot. Out: what holds at a moment, with what is left of its time. Pure.
//!
//! A lease ends here, whether `lease` lives to say so or not (RFC 2131 §4.4.5); so do addresses and prefixes of IPv6 (RFC 4862 §5.5.4).
//!
//! Not here: what is made of it (`view.rs`, `target/`).

use contract::learn::{Ipv6, Learned, Lease, Mapping, Session};
use contract::limit::{HOMES, PLAYS};
use contract::wanted::LinkName;

/// Links that may be spoken of: each play's frames and session, and as many that a new configuration has just left.
const LINKS_MAX: usize = PLAYS * 4;
const _: () = assert!(LINKS_MAX > PLAYS * 2 + HOMES);

/// What is known of a link's IPv4.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Way {
    /// Nothing yet: we have just started, and touch nothing that a former life has set.
    #[default]
    Unknown,
    /// There is none.
    Lost,
    /// This lease.
    Leased(Lease),
    /// This session.
    Session(Session),
}

/// All that was told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    ipv4: Vec<Told<Way>>,
    ipv6: Vec<Told<Ipv6>>,
    mappings: Vec<Told<Vec<Mapping>>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Told<T> {
    link: LinkName,
    what: T,
    at_ms: u64,
}

fn put<T>(list: &mut Vec<Told<T>>, link: LinkName, what: T, at_ms: u64) {
    list.retain(|told| told.link != link);
    if list.len() >= LINKS_MAX {
        list.remove(0); // The eldest.
    }
    list.push(Told { link, what, at_ms });
}

/// The link that something learned is about.
#[must_use]
pub fn link_of(learned: &Learned) -> &LinkName {
    match learned {
        Learned::Lease(Lease { link, .. })
        | Learned::Lost { link }
        | Learned::Session(Session { link, .. })
        | Learned::SignedIn { link, .. }
        | Learned::SessionLost { link }
        | Learned::Ipv6(Ipv6 { link, .. })
        | Learned::Mappings { link, .. } => link,
    }
}

/// What is left, of so many seconds, some milliseconds later. What has no end keeps none.
fn left_s(told_s: u32, passed_ms: u64) -> u32 {
    if told_s == u32::MAX {
        return told_s;
    }
    told_s.saturating_sub(u32::try_from(passed_ms / 1_000).unwrap_or(u32::MAX))
}

impl Known {
    /// Takes in what was told at `now_ms`.
    pub fn learn(&mut self, learned: Learned, now_ms: u64) {
        let link = link_of(&learned).clone();
        match learned {
            Learned::Lease(lease) => put(&mut self.ipv4, link, Way::Leased(lease), now_ms),
            Learned::Session(session) => put(&mut self.ipv4, link, Way::Session(session), now_ms),
            Learned::Lost { .. } => self.lose(link, now_ms, |way| !matches!(way, Way::Session(_))),
            Learned::SignedIn { .. } => {} // It has no address yet.
            Learned::SessionLost { .. } => {
                // IPv6 came over the same session.
                if let Way::Session(session) = self.ipv4(&link) {
                    let ppp = session.ppp.clone();
                    self.ipv6.retain(|told| told.link != ppp);
                }
                self.lose(link, now_ms, |way| !matches!(way, Way::Leased(_)));
            }
            Learned::Ipv6(ipv6) => put(&mut self.ipv6, link, ipv6, now_ms),
            Learned::Mappings { mappings, .. } => {
                put(&mut self.mappings, link, mappings.into_iter().collect(), now_ms);
            }
        }
    }

    /// A link that has what the other kind of access brought does not lose it.
    fn lose(&mut self, link: LinkName, now_ms: u64, mine: impl Fn(&Way) -> bool) {
        if mine(self.ipv4(&link)) {
            put(&mut self.ipv4, link, Way::Lost, now_ms);
        }
    }

    /// What is known of a link's IPv4.
    #[must_use]
    pub fn ipv4(&self, link: &str) -> &Way {
        const UNKNOWN: &Way = &Way::Unknown;
        self.ipv4.iter().find(|told| told.link.as_str() == link).map_or(UNKNOWN, |told| &told.what)
    }

    /// What is known of a link's IPv6 at `now_ms`, with what is left of each time. `None`: nothing was told yet.
    #[must_use]
    pub fn ipv6(&self, link: &str, now_ms: u64) -> Option<Ipv6> {
        let told = self.ipv6.iter().find(|told| told.link.as_str() == link)?;
        let passed_ms = now_ms.saturating_sub(told.at_ms);
        let mut ipv6 = told.what.clone();
        for address in &mut ipv6.addresses {
            address.preferred_s = left_s(address.preferred_s, passed_ms);
            address.valid_s = left_s(address.valid_s, passed_ms);
        }
        for prefix in &mut ipv6.prefixes {
            prefix.preferred_s = left_s(prefix.preferred_s, passed_ms);
            prefix.valid_s = left_s(prefix.valid_s, passed_ms);
        }
        ipv6.addresses.retain(|address| address.valid_s > 0);
        ipv6.prefixes.retain(|prefix| prefix.valid_s > 0);
        Some(ipv6)
    }

    /// Ports that hosts of a link have asked for.
    #[must_use]
    pub fn mappings(&self, link: &str) -> &[Mapping] {
        self.mappings.iter().find(|told| told.link.as_str() == link).map_or(&[], |told| &told.what)
    }

    /// Ends leases whose time is over. Returns their links.
    pub fn end(&mut self, now_ms: u64) -> Vec<LinkName> {
        let over = |told: &&mut Told<Way>| ends_ms(told).is_some_and(|ends_ms| ends_ms <= now_ms);
        let ended = self.ipv4.iter_mut().filter(over).map(|told| {
            told.what = Way::Lost;
            told.link.clone()
        });
        ended.collect()
    }

    /// When the next time ends, in milliseconds after boot: of a lease, or of what IPv6 has.
    #[must_use]
    pub fn due_ms(&self, now_ms: u64) -> Option<u64> {
        let leases = self.ipv4.iter().filter_map(ends_ms);
        let at = |at_ms: u64, told_s: u32| {
            (told_s != u32::MAX && told_s != 0).then(|| at_ms.saturating_add(u64::from(told_s) * 1_000))
        };
        let ipv6 = self.ipv6.iter().flat_map(|told| {
            let addresses = told.what.addresses.iter().flat_map(|one| [one.preferred_s, one.valid_s]);
            let prefixes = told.what.prefixes.iter().flat_map(|one| [one.preferred_s, one.valid_s]);
            addresses.chain(prefixes).filter_map(move |told_s| at(told.at_ms, told_s))
        });
        leases.chain(ipv6.filter(|at_ms| *at_ms > now_ms)).min()
    }
}

fn ends_ms(told: &Told<Way>) -> Option<u64> {
    match &told.what {
        // What is left was rounded down; `lease` is to have the first word about its end.
        Way::Leased(lease) if lease.lease_s != u32::MAX => {
            Some(told.at_ms.saturating_add((u64::from(lease.lease_s) + 1) * 1_000))
        }
        Way::Leased(_) | Way::Unknown | Way::Lost | Way::Session(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Known, Way};
    use crate::testing::{ipv6, lease};
    use contract::learn::Learned;

    #[test]
    fn what_was_told_ends_in_its_time() {
        let mut known = Known::default();
        assert_eq!(known.ipv4("eth0"), &Way::Unknown);
        known.learn(Learned::Lease(lease(7)), 1_000);
        assert_eq!(known.due_ms(1_000), Some(602_000));
        assert!(known.end(601_999).is_empty());
        assert_eq!(known.end(602_000).len(), 1);
        assert_eq!(known.ipv4("eth0"), &Way::Lost);
        known.learn(Learned::Ipv6(ipv6("2001:db8:1::/56")), 0);
        let later = known.ipv6("eth0", 100_000).unwrap();
        assert_eq!(later.prefixes[0].valid_s, 7_100);
        assert!(known.ipv6("eth0", 7_200_000).unwrap().prefixes.is_empty(), "it is over");
        assert_eq!(known.due_ms(0), Some(3_600_000));
        assert_eq!(known.due_ms(3_600_000), Some(7_200_000));
        assert_eq!(known.ipv6("eth9", 0), None);
    }

    #[test]
    fn a_table_of_strangers_links_does_not_grow() {
        let mut known = Known::default();
        for number in 0..100 {
            known.learn(Learned::Lost { link: format!("x{number}").as_str().into() }, 0);
        }
        assert_eq!(known.ipv4.len(), super::LINKS_MAX);
    }
}
