//! Settings of links: files under /proc/sys/net. Pure.
//!
//! In:  links. Out: what each file should say.
//!
//! Source: Documentation/networking/ip-sysctl.rst, nf_conntrack-sysctl.rst; RFC 1812 §5.3.8 (spoofed sources), RFC 7084 (a
//! router believes no router inside).

/// One file and what it should say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The link; empty: of all.
    pub link: String,
    /// Below /proc/sys/net.
    pub path: String,
    /// What it says.
    pub value: &'static str,
}

/// A packet that could not be answered by the link it came by is thrown away: off, strictly.
const STRICT: &str = "1";
const OFF: &str = "0";

fn of(family: &str, link: &str, name: &str, value: &'static str) -> Setting {
    let owner = if link.is_empty() { "all" } else { link };
    Setting { link: link.to_owned(), path: format!("{family}/conf/{owner}/{name}"), value }
}

/// What holds for all links, also for those that come: no router is believed before its link has settings of its own, no detour is told;
/// packets and bytes of each connection are counted, for no rule sees those that go the short way; what passes between ports of one bridge is
/// the bridge's own matter.
pub(super) fn of_all() -> Vec<Setting> {
    let all = |path: &str, value| Setting { link: String::new(), path: path.to_owned(), value };
    let new = |name: &str| all(&format!("ipv6/conf/default/{name}"), OFF);
    vec![
        of("ipv4", "", "send_redirects", OFF),
        new("accept_ra"),
        new("accept_redirects"),
        all("netfilter/nf_conntrack_acct", "1"),
        // Where the kernel has `br_netfilter`.
        all("bridge/bridge-nf-call-iptables", OFF),
        all("bridge/bridge-nf-call-ip6tables", OFF),
    ]
}

/// What holds for a link that has addresses. `streams`: multicast comes in by it from sources that it has no route to.
pub(super) fn of_link(link: &str, streams: bool) -> Vec<Setting> {
    vec![
        // Each address is answered for on its own link only.
        of("ipv4", link, "arp_ignore", "1"),
        of("ipv4", link, "send_redirects", OFF),
        of("ipv4", link, "rp_filter", if streams { OFF } else { STRICT }),
        // An address that goes does not take others of its prefix along.
        of("ipv4", link, "promote_secondaries", "1"),
        // `lease` listens to routers, and we set what it learns.
        of("ipv6", link, "accept_ra", OFF),
        of("ipv6", link, "accept_redirects", OFF),
        of("ipv6", link, "autoconf", OFF),
    ]
}
