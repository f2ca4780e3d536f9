//! Prefixes that change, with a host that we did not write: the kernel. It keeps an address that works, and speaks from it within 10 s.
//!
//! Source: RFC 9096; RFC 8978, which tells the stories.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod stage;

use contract::learn::{Ipv6Wish, OnLink};
use contract::leases::Answer;
use contract::wanted::LanIpv6;
use stage::six::{addresses, gives_up, has, has_address, kea, kea_log, prefix, speaks_from, told};
use stage::{Stage, daemon, dnsmasq, enter, rows, until};

const ONE: &str = "2001:db8:1::/64";
const TWO: &str = "2001:db8:2::/64";
/// How long a host may take, in seconds.
const LIMIT_S: u64 = 10;

/// A host with an address in [`ONE`], by which it reaches the Internet.
fn home() -> Stage {
    let mut stage = Stage::with_ipv6(Ipv6Wish::None, LanIpv6::Stateless);
    stage.give(&[told(ONE, 3_600, 7_200)]);
    stage
}

#[test]
fn renumber_when_the_prefix_changes() {
    if !enter("renumber_when_the_prefix_changes") {
        return;
    }
    let mut stage = home();
    let _life = daemon();
    stage.greet();
    speaks_from("home", ONE, LIMIT_S);
    stage.give(&[told(TWO, 3_600, 7_200)]);
    stage.wish_anew();
    speaks_from("home", TWO, LIMIT_S);
    gives_up("home", ONE, LIMIT_S);
    // It still holds the old one: what runs over it may end by itself.
    assert!(addresses("home").iter().any(|own| prefix(ONE).holds(own.0.into())), "{:?}", addresses("home"));
    // And back: it is preferred again.
    stage.give(&[told(ONE, 3_600, 7_200)]);
    stage.wish_anew();
    speaks_from("home", ONE, LIMIT_S);
    gives_up("home", TWO, LIMIT_S);
}

#[test]
fn renumber_when_an_old_prefix_runs_out_beside_a_new_one() {
    if !enter("renumber_when_an_old_prefix_runs_out_beside_a_new_one") {
        return;
    }
    let mut stage = home();
    let _life = daemon();
    stage.greet();
    speaks_from("home", ONE, LIMIT_S);
    // The provider gives time: the old one is valid for a while, and not preferred.
    stage.give(&[told(ONE, 0, 4), told(TWO, 3_600, 7_200)]);
    stage.wish_anew();
    speaks_from("home", TWO, LIMIT_S);
    gives_up("home", ONE, LIMIT_S);
    // Nobody says anything more, and it ends.
    let gone =
        |row: &Answer| matches!(row, Answer::Told { prefix: old, valid_s: 0, .. } if *old == prefix(ONE));
    until("it is given up", LIMIT_S, || rows().iter().any(gone).then_some(()));
}

#[test]
fn renumber_after_a_boot_with_a_new_prefix() {
    if !enter("renumber_after_a_boot_with_a_new_prefix") {
        return;
    }
    let mut stage = home();
    let life = daemon();
    stage.greet();
    speaks_from("home", ONE, LIMIT_S);
    // The power goes, and comes back with another prefix: no word is said of the old one by anybody but us.
    drop(life);
    stage.give(&[told(TWO, 3_600, 7_200)]);
    let _life = daemon();
    stage.greet();
    speaks_from("home", TWO, LIMIT_S);
    gives_up("home", ONE, LIMIT_S);
}

#[test]
fn renumber_after_a_boot_without_a_prefix() {
    if !enter("renumber_after_a_boot_without_a_prefix") {
        return;
    }
    let mut stage = home();
    let life = daemon();
    stage.greet();
    has_address("home", ONE, LIMIT_S);
    drop(life);
    stage.give(&[]);
    stage.wish.servers[0].default_router = false;
    let _life = daemon();
    stage.greet();
    gives_up("home", ONE, LIMIT_S);
}

/// As `network` divides a delegated prefix: the first /64 of each.
fn subnets(prefixes: &[OnLink]) -> Vec<OnLink> {
    prefixes
        .iter()
        .map(|on_link| OnLink { prefix: on_link.prefix.subnet(64, 0).unwrap(), ..*on_link })
        .collect()
}

#[test]
fn renumber_when_the_provider_has_forgotten_us() {
    let name = "renumber_when_the_provider_has_forgotten_us";
    if !enter(name) || !has(name, "kea-dhcp6") {
        return;
    }
    let mut stage = Stage::with_ipv6(Ipv6Wish::Prefix, LanIpv6::Stateless);
    let _router = dnsmasq(&["--enable-ra", "--dhcp-range=2001:db8:9::,ra-only,64,3600"]);
    let server = kea("2001:db8:a000::", 40);
    let _life = daemon();
    stage.greet();
    let known = stage.ipv6("a prefix", 20, |known| !known.prefixes.is_empty());
    stage.give(&subnets(&known.prefixes));
    stage.wish_anew();
    speaks_from("home", "2001:db8:a000::/40", LIMIT_S);
    // It comes back with another pool and an empty table; nobody tells us, until we ask for more time.
    drop(server);
    let _server = kea("2001:db8:b000::", 40);
    let new = prefix("2001:db8:b000::/40");
    let is_new = |on_link: &OnLink| new.overlaps(&on_link.prefix);
    let known = stage.ipv6("another prefix", 30, |known| known.prefixes.iter().any(is_new));
    let log = kea_log();
    // What the server does not know of any more is not the home's for longer than the server let it be.
    stage.give(&subnets(&known.prefixes.iter().copied().filter(is_new).collect::<Vec<_>>()));
    stage.wish_anew();
    speaks_from("home", "2001:db8:b000::/40", LIMIT_S);
    gives_up("home", "2001:db8:a000::/40", LIMIT_S);
    assert!(log.contains("RENEW (type 5)"), "{log}");
}
