//! Which groups may be watched from the operator.
//!
//! In:  the configuration's prefixes. Out: may this group pass? Pure.
//!
//! Source: RFC 5771 (IPv4 groups), RFC 2365 (administrative scopes), RFC 4291 §2.7 (scopes of IPv6).

use std::net::IpAddr;

use contract::prefix::Prefix;

/// The largest scope of IPv6 that stays at home: site-local. Source: RFC 4291 §2.7.
const SITE: u8 = 5;

/// May `group` be watched? `allowed`: the configuration's groups; with none, all that are not of one link or of the home's own scope.
#[must_use]
pub fn may_pass(allowed: &[Prefix], group: IpAddr) -> bool {
    if !leaves_the_link(group) {
        return false;
    }
    if allowed.is_empty() { leaves_the_home(group) } else { allowed.iter().any(|prefix| prefix.holds(group)) }
}

/// Is it a group that routers pass on at all?
#[must_use]
pub fn leaves_the_link(group: IpAddr) -> bool {
    match group {
        // 224.0.0.0/24 never leaves its link. Source: RFC 5771 §4.
        IpAddr::V4(group) => group.is_multicast() && group.octets().first_chunk() != Some(&[224, 0, 0]),
        IpAddr::V6(group) => group.is_multicast() && scope(group.octets()) > 2,
    }
}

fn leaves_the_home(group: IpAddr) -> bool {
    match group {
        // The local scope: SSDP, for one. Source: RFC 2365 §6.1.
        IpAddr::V4(group) => group.octets().first_chunk() != Some(&[239, 255]),
        IpAddr::V6(group) => scope(group.octets()) > SITE,
    }
}

fn scope([_, scope, ..]: [u8; 16]) -> u8 {
    scope & 0xf
}

#[cfg(test)]
mod tests {
    use super::may_pass;

    #[test]
    fn what_is_the_homes_own_stays_there() {
        let table = [
            ("232.1.1.1", true),
            ("239.1.1.1", true),
            ("224.0.0.251", false),
            ("239.255.255.250", false),
            ("192.0.2.1", false),
            ("ff3e::8000:1", true),
            ("ff0e::1", true),
            ("ff02::fb", false),
            ("ff05::c", false),
            ("2001:db8::1", false),
        ];
        for (group, passes) in table {
            assert_eq!(may_pass(&[], group.parse().unwrap()), passes, "{group}");
        }
        let allowed = ["239.0.0.0/8".parse().unwrap(), "ff05::/16".parse().unwrap()];
        assert!(may_pass(&allowed, "239.255.1.1".parse().unwrap()), "the operator says so");
        assert!(may_pass(&allowed, "ff05::7".parse().unwrap()));
        assert!(!may_pass(&allowed, "232.1.1.1".parse().unwrap()));
        assert!(
            !may_pass(&["224.0.0.0/4".parse().unwrap()], "224.0.0.251".parse().unwrap()),
            "never off its link"
        );
    }
}
