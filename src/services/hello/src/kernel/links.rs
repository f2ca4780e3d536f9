//! The network: links, what went over them, and this machine's own addresses as they are seen from here.
//!
//! In:  `/proc/self/net/dev`, `fib_trie`, `if_inet6`. Out: rows.
//!
//! Asking over netlink is for those who may open such a socket; these files are for anybody.
//!
//! Source: proc_pid_net(5); the kernel's net/ipv4/fib_trie.c and net/ipv6/addrconf.c.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Listed, Seen, read, short};

/// A link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// What came in, in bytes.
    pub received_bytes: u64,
    /// What went out, in bytes.
    pub sent_bytes: u64,
}

/// Every link.
///
/// # Errors
/// [`super::Hidden`]: it cannot be seen.
pub fn links() -> Seen<Listed<Link>> {
    read("/proc/self/net/dev").map(|text| parse_links(&text))
}

/// Reads `dev`: two lines of heading, then a name and sixteen numbers; the first and the ninth count bytes.
#[must_use]
pub fn parse_links(text: &str) -> Listed<Link> {
    Listed::of(text.lines().filter_map(|line| {
        let (name, numbers) = line.split_once(':')?;
        let mut numbers = numbers.split_whitespace().map(str::parse);
        let received_bytes = numbers.next()?.ok()?;
        let sent_bytes = numbers.nth(7)?.ok()?;
        Some(Link { name: short(name), received_bytes, sent_bytes })
    }))
}

/// Every address of its own, of both families.
///
/// # Errors
/// [`super::Hidden`]: it cannot be seen. A kernel without IPv6 has none of that family.
pub fn addresses() -> Seen<Listed<IpAddr>> {
    let old = parse_old_addresses(&read("/proc/self/net/fib_trie")?);
    let new = parse_new_addresses(&read("/proc/self/net/if_inet6").unwrap_or_default());
    Ok(Listed::of(old.into_iter().map(IpAddr::V4).chain(new.into_iter().map(IpAddr::V6))))
}

/// Reads `fib_trie`: a line with an address, then one that says that it is local. Every address comes twice where two tables are one.
#[must_use]
pub fn parse_old_addresses(text: &str) -> Vec<Ipv4Addr> {
    let mut found = Vec::new();
    let mut last: Option<Ipv4Addr> = None;
    for line in text.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse().ok();
        } else if line == "/32 host LOCAL" {
            found.extend(last.take());
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Reads `if_inet6`: each line begins with an address, as 32 hexadecimal digits.
#[must_use]
pub fn parse_new_addresses(text: &str) -> Vec<Ipv6Addr> {
    let address = |line: &str| {
        let digits = line.split(' ').next().filter(|digits| digits.len() == 32)?;
        u128::from_str_radix(digits, 16).ok().map(Ipv6Addr::from)
    };
    text.lines().filter_map(address).collect()
}

#[cfg(test)]
mod tests {
    use super::{Link, parse_links, parse_new_addresses, parse_old_addresses};
    use proptest::prelude::{any, proptest};

    #[test]
    fn links_and_addresses_are_understood() {
        let links = parse_links(include_str!("../../tests/data/net-dev")).shown;
        let names: Vec<&str> = links.iter().map(|link| link.name.as_str()).collect();
        assert_eq!(names, ["lo", "eth0"]);
        assert_eq!(links[1], Link { name: "eth0".into(), received_bytes: 426, sent_bytes: 526 });
        let old = parse_old_addresses(include_str!("../../tests/data/net-fib_trie"));
        assert_eq!(old.iter().map(ToString::to_string).collect::<Vec<_>>(), ["127.0.0.1", "192.0.2.7"]);
        let new = parse_new_addresses(include_str!("../../tests/data/net-if_inet6"));
        let new: Vec<String> = new.iter().map(ToString::to_string).collect();
        assert_eq!(new, ["fe80::c4d7:5dff:fe28:8c37", "::1", "2001:db8::7"]);
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in any::<String>()) {
            let _ = (parse_links(&text), parse_old_addresses(&text), parse_new_addresses(&text));
        }
    }
}
