//! Plans: wherever they begin, and wherever they are cut off, they end where they should; asked twice they change nothing.
//!
//! On a kernel of our own making (`model/`); the real one is asked in `kernel.rs` and in the guest.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking"
)]

mod model;
mod stage;

use contract::Name;
use contract::learn::{Learned, Lease, Session};
use contract::wanted::{self, Wanted};
use model::{apply, empty, essence, link, settle};
use network::known::Known;
use network::observed::Observed;
use network::plan::{Change, plan};
use network::target::{self, Attachment, Target};
use network::view::View;
use proptest::prelude::*;
use stage::ipv6;

const PLAIN: &str = include_str!("../../../rootfs/etc/shg/network.toml");
const WHOLE: &str = include_str!("../../contract/tests/data/whole.toml");

/// Everything that can be plugged in.
const LINKS: [&str; 9] = ["lo", "eth0", "eth1", "eth2", "eth3", "svc-0", "svc-1", "ppp0", "eth9"];

fn wanted(number: usize) -> Wanted {
    let plain = |from: &str, to: &str| {
        assert!(PLAIN.contains(from), "{from}");
        wanted::parse(&PLAIN.replace(from, to)).unwrap()
    };
    let whole = |from: &str, to: &str| {
        assert!(WHOLE.contains(from), "{from}");
        wanted::parse(&WHOLE.replace(from, to)).unwrap()
    };
    match number {
        0 => plain("eth0", "eth0"),
        1 => whole("eth0", "eth0"),
        2 => plain("ipv6 = \"dhcp\"", "mtu = 1508"),
        3 => plain("\"eth0\"", "\"eth9\""),
        4 => plain("[\"eth1\"]", "[\"eth2\", \"eth3\"]"),
        5 => whole(
            "priority = 4, ipv4 = \"dhcp\" }\nprofile = \"routed\"",
            "priority = 4, ipv4 = \"none\" }\nprofile = \"bridged\"\nports = [\"eth3\"]",
        ),
        6 => whole("vlan = 20, priority = 5", "vlan = 20, priority = 6"),
        7 => whole("vlan = 100", "vlan = 101\nports = [\"eth3\"]"),
        8 => plain(
            "ipv4 = \"dhcp\"",
            "vlan = 10\nmtu = 1400\nipv4 = \"static\"\nstatic = { address = \"192.0.2.2\", prefix_length = 31, router = \"192.0.2.3\" }",
        ),
        9 => whole("\"br-lan\"", "\"home\""),
        _ => whole("198.51.100.0/24", "2001:db8:5::/48"),
    }
}

fn lease(link: &str, address: [u8; 4], prefix_length: u8, classless: bool) -> Lease {
    let [a, b, c, _] = address;
    let router = [a, b, c, 1].into();
    let routes =
        [("192.0.2.0/24".parse().unwrap(), router), ("198.51.0.0/16".parse().unwrap(), [0; 4].into())];
    Lease {
        link: link.into(),
        address: address.into(),
        prefix_length,
        router: (!classless).then_some(router),
        routes: routes.into_iter().filter(|_| classless).collect(),
        name_servers: heapless::Vec::new(),
        time_servers: heapless::Vec::new(),
        sip_servers: heapless::Vec::new(),
        server: router,
        lease_s: 600,
    }
}

fn session(last: u8) -> Session {
    Session {
        link: "eth0.10".into(),
        ppp: "ppp0".into(),
        address: [203, 0, 113, last].into(),
        peer: [203, 0, 113, 1].into(),
        name_servers: heapless::Vec::new(),
        mtu: 1_492,
        identifier: 7,
        peer_identifier: 1,
    }
}

/// What may have been told: all of it is, also of links that no play has.
fn told(number: usize) -> Vec<Learned> {
    let (one, two) = ("2001:db8:1::/56", "2001:db8:2::/60");
    match number {
        0 => vec![],
        1 => ["eth0", "eth9", "eth0.20", "eth0.30"].map(|link| Learned::Lost { link: link.into() }).to_vec(),
        2 => vec![
            Learned::Lease(lease("eth0", [203, 0, 113, 7], 24, false)),
            Learned::Lease(lease("eth0.20", [100, 64, 0, 7], 16, false)),
            Learned::Ipv6(ipv6("eth0", &[(one, 3_600)])),
        ],
        3 => vec![
            Learned::Lease(lease("eth0", [203, 0, 113, 8], 32, true)),
            Learned::Lease(lease("eth9", [203, 0, 113, 9], 24, false)),
            Learned::Lease(lease("eth0.20", [100, 64, 0, 8], 16, true)),
            Learned::Lease(lease("eth0.30", [100, 65, 0, 8], 30, false)),
            Learned::Session(session(9)),
            Learned::Ipv6(ipv6("eth0", &[(two, 3_600), (one, 0)])),
            Learned::Ipv6(ipv6("ppp0", &[(one, 3_600)])),
        ],
        _ => vec![
            Learned::Session(session(10)),
            Learned::Ipv6(ipv6("ppp0", &[(two, 3_600), (one, 0)])),
            Learned::Ipv6(ipv6("eth9", &[])),
        ],
    }
}

fn attachment(slot: u8) -> Attachment {
    let (service, slice) = (Name::new("hello").unwrap(), Name::new("demo").unwrap());
    let (serves, reaches, rates, slice_rates) = Default::default();
    Attachment { service, slice, slot, serves, reaches, rates, slice_rates }
}

fn target_of(wanted_number: usize, told_number: usize, slots: &[u8]) -> Target {
    let (wanted, mut known) = (wanted(wanted_number), Known::default());
    told(told_number).into_iter().for_each(|learned| known.learn(learned, 0));
    let services: Vec<_> = slots.iter().map(|slot| attachment(*slot)).collect();
    target::gateway(&View::of(&wanted, &known, &services, 0))
}

fn targets() -> impl Strategy<Value = Target> {
    let slots = prop::sample::select(vec![vec![], vec![0], vec![1], vec![0, 1]]);
    // Where nothing was told yet, what is there stays: such targets have their own test.
    (0..11_usize, 1..5_usize, slots).prop_map(|(wanted, told, slots)| {
        let mut target = target_of(wanted, told, &slots);
        own_all(&mut target);
        target
    })
}

/// Nothing is left of what was not known: as if everything had been told.
fn own_all(target: &mut Target) {
    let links: Vec<String> =
        target.links.iter().map(|link| link.name.clone()).chain(LINKS.map(str::to_owned)).collect();
    for family in [target::Family::Ipv4, target::Family::Ipv6] {
        target.owned.links.extend(links.iter().map(|link| (link.clone(), family)));
    }
    target.owned.tables = vec![20, 30];
    target.owned.rules = vec![1_000, 1_010, 1_020, 1_030];
    target.owned.unreachable = true;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_leads_to_its_target_from_wherever_it_begins(first in targets(), second in targets(), cut: prop::sample::Index) {
        let mut scratch = empty(&LINKS);
        settle(&second, &mut scratch);

        let mut kernel = empty(&LINKS);
        settle(&first, &mut kernel);
        let before = kernel.clone();
        let whole = settle(&second, &mut kernel);
        up_alike(&mut kernel, &mut scratch);
        prop_assert_eq!(essence(&kernel, &second), essence(&scratch, &second));

        // And cut off anywhere.
        let mut kernel = before;
        whole.iter().take(cut.index(whole.len() + 1)).for_each(|change| apply(change, &mut kernel));
        settle(&second, &mut kernel);
        up_alike(&mut kernel, &mut scratch);
        prop_assert_eq!(essence(&kernel, &second), essence(&scratch, &second));
    }

    #[test]
    fn what_others_have_done_is_undone(target in targets(), choices in prop::collection::vec(any::<(u8, prop::sample::Index)>(), 0..12)) {
        let mut scratch = empty(&LINKS);
        settle(&target, &mut scratch);
        let mut kernel = scratch.clone();
        choices.iter().for_each(|(what, which)| vandalise(*what, *which, &mut kernel));
        settle(&target, &mut kernel);
        up_alike(&mut kernel, &mut scratch);
        prop_assert_eq!(essence(&kernel, &target), essence(&scratch, &target));
    }
}

/// Links that nobody has wanted in either case may be up or down, and pairs of services with or without addresses of their own.
fn up_alike(kernel: &mut Observed, scratch: &mut Observed) {
    for name in LINKS {
        let unmarked = |observed: &Observed| observed.link(name).is_some_and(|link| !link.marked);
        if unmarked(kernel) && unmarked(scratch) {
            for observed in [&mut *kernel, &mut *scratch] {
                observed.links.iter_mut().filter(|link| link.name == name).for_each(|link| {
                    (link.up, link.mtu) = (true, 1_500);
                });
                observed.addresses.retain(|address| address.link != name || !address.is_kernels());
            }
        }
    }
}

/// Somebody else does something.
fn vandalise(what: u8, which: prop::sample::Index, kernel: &mut Observed) {
    fn remove<T>(list: &mut Vec<T>, which: prop::sample::Index) {
        if !list.is_empty() {
            list.remove(which.index(list.len()));
        }
    }
    match what % 7 {
        0 => remove(&mut kernel.routes, which),
        1 => remove(&mut kernel.rules, which),
        2 => remove(&mut kernel.addresses, which),
        3 => {
            let link = &mut kernel.links[which.index(LINKS.len())];
            (link.bridge, link.port) = (None, None);
        }
        4 => kernel.settings.iter_mut().for_each(|(_, value)| *value = "another's".to_owned()),
        5 => {
            let place = which.index(kernel.links.len());
            let link = &mut kernel.links[place];
            if let network::observed::Kind::Bridge(bridge) = &mut link.kind {
                *bridge = model::PLAIN;
            }
            link.mtu = 1_280;
        }
        _ => {
            let place = which.index(kernel.links.len());
            let link = kernel.links[place].name.clone();
            let address = target::Address::new(&link, [10, 9, 9, 9], 24);
            if !kernel.addresses.contains(&address) {
                kernel.addresses.push(address);
            }
        }
    }
}

#[test]
fn what_is_not_plugged_in_is_left_out_and_comes_later() {
    let target = target_of(0, 2, &[]);
    let mut kernel = empty(&["lo"]);
    settle(&target, &mut kernel);
    assert!(kernel.link("br-lan").is_some_and(|bridge| bridge.up));
    assert!(kernel.routes.iter().all(|route| route.link().is_none()));
    kernel.links.push(link(9, "eth1"));
    let changes = plan(&target, &kernel);
    let wanted =
        ["eth1 marked as ours", "eth1 made a port of br-lan", "eth1 set as a port", "eth1 brought up"];
    assert_eq!(changes.iter().map(ToString::to_string).collect::<Vec<_>>(), wanted);
}

#[test]
fn what_is_not_known_touches_nothing_that_a_former_life_has_set() {
    for number in 0..11 {
        for told in 1..5 {
            let mut kernel = empty(&LINKS);
            settle(&target_of(number, told, &[0]), &mut kernel);
            let left = plan(&target_of(number, 0, &[]), &kernel);
            // The session's link may have a smaller packet than Ethernet's; nothing is said of it without a session.
            assert_eq!(left, [], "wanted {number}, told {told}");
        }
    }
}

#[test]
fn a_new_prefix_gives_the_old_one_up_and_cuts_nothing() {
    let mut kernel = empty(&LINKS);
    settle(&target_of(0, 2, &[0]), &mut kernel);
    let mut known = Known::default();
    known.learn(Learned::Lease(lease("eth0", [203, 0, 113, 7], 24, false)), 0);
    known.learn(Learned::Ipv6(ipv6("eth0", &[("2001:db8:2::/56", 3_600), ("2001:db8:1::/56", 0)])), 0);
    let (wanted, services) = (wanted(0), [attachment(0)]);
    let changes = settle(&target::gateway(&View::of(&wanted, &known, &services, 0)), &mut kernel);
    let words: Vec<String> = changes.iter().map(ToString::to_string).collect();
    assert_eq!(
        words,
        [
            "address 2001:db8:2::1/64 on br-lan added",
            "address 2001:db8:1::1/64 on br-lan given up",
            "address 2001:db8:2:ff::1/128 on svc-0 added",
            "address 2001:db8:1:ff::1/128 on svc-0 given up",
            "route to 2001:db8:2::/56 unreachable added",
            "route to 2001:db8:2:ff::2/128 on svc-0 added",
        ]
    );
}

#[test]
fn a_renewed_lease_changes_nothing_and_a_new_router_leaves_no_moment_without_a_way() {
    let mut kernel = empty(&LINKS);
    let with = |router: [u8; 4]| {
        let mut known = Known::default();
        let lease = Lease { router: Some(router.into()), ..lease("eth0", [203, 0, 113, 7], 24, false) };
        known.learn(Learned::Lease(lease), 0);
        target::gateway(&View::of(&wanted(0), &known, &[], 0))
    };
    settle(&with([203, 0, 113, 1]), &mut kernel);
    assert_eq!(settle(&with([203, 0, 113, 1]), &mut kernel), []);
    let changes = settle(&with([203, 0, 113, 2]), &mut kernel);
    assert!(matches!(changes.as_slice(), [Change::AddRoute(_)]), "{changes:?}");
}

#[test]
fn nothing_leaks_when_voice_is_down() {
    let target = target_of(1, 1, &[]);
    let rows: Vec<String> = target.rules.iter().map(ToString::to_string).collect();
    assert_eq!(rows, ["1000: to 198.51.100.0/24 by table 20", "1020: to 203.0.113.0/24 by table 30"]);
    let rows = target.routes.iter().filter(|route| route.table == 20).map(ToString::to_string);
    let below = ["to 0.0.0.0/0 unreachable in table 20", "to ::/0 unreachable in table 20"];
    assert_eq!(rows.collect::<Vec<_>>(), below);
}
