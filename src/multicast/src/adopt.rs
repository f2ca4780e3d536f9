//! What a former life has left in the sockets: links, routes, memberships, read back from the kernel.
//!
//! In:  the texts of `/proc/net/{ip_mr_vif,ip_mr_cache,igmp}` and their IPv6 twins. Out: links by number, routes, groups. Pure but for
//! [`Left::read`].
//!
//! Source: the kernel's net/ipv4/ipmr.c, net/ipv6/ip6mr.c, net/ipv4/igmp.c, net/ipv6/mcast.c (`seq_show` of each).

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sys::mroute::{Family, LINKS_MAX, Route};

use crate::streams::STREAMS_MAX;

/// What is left of one family.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Left {
    /// Links that have a number.
    pub links: Vec<(u16, String)>,
    /// Routes.
    pub routes: Vec<Route>,
    /// Groups that somebody here listens to, each with its link.
    pub groups: Vec<(String, IpAddr)>,
}

impl Left {
    /// What the kernel says of our network namespace; what it does not say is not there.
    #[must_use]
    pub fn read(family: Family) -> Self {
        let [links, routes, groups] = match family {
            Family::V4 => ["ip_mr_vif", "ip_mr_cache", "igmp"],
            Family::V6 => ["ip6_mr_vif", "ip6_mr_cache", "igmp6"],
        }
        .map(|name| fs::read_to_string(format!("/proc/self/net/{name}")).unwrap_or_default());
        Self {
            links: links.lines().filter_map(link).collect(),
            routes: routes.lines().filter_map(|line| route(family, line)).take(STREAMS_MAX).collect(),
            groups: match family {
                Family::V4 => groups4(&groups),
                Family::V6 => groups.lines().filter_map(group6).collect(),
            },
        }
    }
}

/// ` 0 eth0            0       0         0       0 00008 0A000001 00000000`: number, name, counters.
fn link(line: &str) -> Option<(u16, String)> {
    let mut words = line.split_whitespace();
    let number = words.next()?.parse().ok()?;
    Some((number, words.next()?.to_owned()))
}

/// `010101EF 010200C0 0 7 700 0  1:1`: group, source, link by which it comes, three counters, links by which it leaves.
fn route(family: Family, line: &str) -> Option<Route> {
    let mut words = line.split_whitespace();
    let address = |word: &str| address(family, word);
    let (group, source) = (address(words.next()?)?, address(words.next()?)?);
    // A stream that waits for its route comes by 65535 (IPv4: -1): the kernel tells of it again.
    let from = words.next()?.parse().ok().filter(|from| usize::from(*from) < LINKS_MAX)?;
    let leaves = words.skip(3).filter_map(|word| word.split_once(':')?.0.parse::<u32>().ok());
    let to = leaves.fold(0, |to, number| to | 1_u32.checked_shl(number).unwrap_or(0));
    Some(Route { source, group, from, to })
}

/// An address as the kernel writes it there: four bytes as one number of this machine; sixteen bytes in hex, with colons or without.
fn address(family: Family, word: &str) -> Option<IpAddr> {
    match family {
        Family::V4 => Some(Ipv4Addr::from(u32::from_str_radix(word, 16).ok()?.to_ne_bytes()).into()),
        Family::V6 => match word.parse::<Ipv6Addr>() {
            Ok(address) => Some(address.into()),
            Err(_) if word.len() == 32 => Some(Ipv6Addr::from(u128::from_str_radix(word, 16).ok()?).into()),
            Err(_) => None,
        },
    }
}

/// A line for each link, ` 2 eth0 : 3 V3`, and below it one, further in, for each of its groups: ` 010101EF 1 0:00000000 0`.
fn groups4(text: &str) -> Vec<(String, IpAddr)> {
    let mut link = None;
    let mut groups = Vec::new();
    for line in text.lines().skip(1) {
        let mut words = line.split_whitespace();
        let Some(first) = words.next() else { continue };
        if line.starts_with(char::is_numeric) {
            link = words.next().map(str::to_owned);
        } else if let (Some(link), Some(group)) = (&link, address(Family::V4, first)) {
            groups.push((link.clone(), group));
        }
    }
    groups
}

/// `2    eth0            ff05000000000000000000000000 0007     1 00000004 0`.
fn group6(line: &str) -> Option<(String, IpAddr)> {
    let mut words = line.split_whitespace().skip(1);
    Some((words.next()?.to_owned(), address(Family::V6, words.next()?)?))
}

#[cfg(test)]
mod tests {
    use super::{group6, groups4, link, route};
    use sys::mroute::Family;

    #[test]
    fn what_the_kernel_wrote_is_read() {
        let line = " 1 lan            0       0         0       0 00008 02000000 00000000";
        assert_eq!(link(line), Some((1, "lan".to_owned())));
        assert_eq!(link("Interface      BytesIn  PktsIn  BytesOut PktsOut Flags Local    Remote"), None);
        let line = "010101EF 020009C6 0          7      700        0  1:1    2:1";
        let found = route(Family::V4, line).unwrap();
        if cfg!(target_endian = "little") {
            assert_eq!((found.group.to_string().as_str(), found.from, found.to), ("239.1.1.1", 0, 0b110));
        }
        assert_eq!(route(Family::V4, "010101EF 020009C6 -1          0        0        0"), None);
        assert_eq!(route(Family::V4, "Group    Origin   Iif     Pkts    Bytes    Wrong Oifs"), None);
        let line =
            "ff05:0000:0000:0000:0000:0000:0000:0007 2001:0db8:0000:0000:0000:0000:0000:0001 0 1 2 3  1:1";
        assert_eq!(route(Family::V6, line).unwrap().group.to_string(), "ff05::7");
        let text = "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n\
                    1\tlo        :     1      V3\n\t\t\t\t010000E0     1 0:00000000\t\t0\n\
                    2\teth0      :     2      V3\n\t\t\t\t010101EF     1 0:00000000\t\t0\n";
        if cfg!(target_endian = "little") {
            let want = [("lo", "224.0.0.1"), ("eth0", "239.1.1.1")];
            assert_eq!(groups4(text), want.map(|(link, group)| (link.to_owned(), group.parse().unwrap())));
        }
        let line = "2    eth0            ff050000000000000000000000000007     1 00000004 0";
        assert_eq!(group6(line), Some(("eth0".to_owned(), "ff05::7".parse().unwrap())));
    }
}
