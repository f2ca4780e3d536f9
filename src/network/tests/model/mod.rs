//! A kernel that does what it is told, and refuses what a kernel refuses: links, addresses, routes, rules, and no packet.
//!
//! In:  changes. Out: what would be observed then.
//!
//! Source: net/ipv4/fib_frontend.c (`fib_disable_ip`, `fib_sync_down_addr`), net/ipv6/addrconf.c, net/8021q/vlan.c, net/bridge/br_if.c.

#![allow(dead_code, reason = "no test needs all of it")]

use network::observed::{Kind, Link, Observed};
use network::plan::{Change, plan};
use network::target::{Address, Bridge, Port, Route, Target, Vlan};

/// A link of hardware, or of a pair, as it is found.
pub(crate) fn link(index: u32, name: &str) -> Link {
    let (name, port, mtu) = (name.to_owned(), None, 1_500);
    let (up, bridge, marked, kind) = (false, None, false, Kind::Other);
    Link { index, name, up, bridge, peer: index, marked, mtu, mtu_max: 9_000, kind, port }
}

/// The kernel in the beginning, with these links.
pub(crate) fn empty(links: &[&str]) -> Observed {
    Observed {
        links: (1..).zip(links).map(|(index, name)| link(index, name)).collect(),
        ..Observed::default()
    }
}

/// Plans and applies until nothing is left, which is after one time. Returns the changes.
pub(crate) fn settle(target: &Target, kernel: &mut Observed) -> Vec<Change> {
    let settings = |kernel: &mut Observed| {
        for setting in &target.settings {
            let there = setting.link.is_empty() || kernel.link(&setting.link).is_some();
            if there && !kernel.settings.iter().any(|(path, _)| *path == setting.path) {
                kernel.settings.push((setting.path.clone(), "kernel's".to_owned()));
            }
        }
    };
    settings(kernel);
    let changes = plan(target, kernel);
    for change in &changes {
        apply(change, kernel);
        settings(kernel);
    }
    assert_eq!(plan(target, kernel), [], "asked twice, it changes nothing; before: {changes:#?}");
    changes
}

fn named<'k>(kernel: &'k mut Observed, name: &str, change: &Change) -> &'k mut Link {
    let found = kernel.links.iter_mut().find(|link| link.name == name);
    found.unwrap_or_else(|| panic!("{change:?}: no {name}"))
}

fn new_link(kernel: &mut Observed, name: &str, change: &Change) -> Link {
    assert!(kernel.link(name).is_none(), "{change:?}: EEXIST");
    let index = 1 + kernel.links.iter().map(|link| link.index).max().unwrap_or(0);
    Link { marked: true, ..link(index, name) }
}

/// One change.
pub(crate) fn apply(change: &Change, kernel: &mut Observed) {
    match change {
        Change::DropRule(rule) => kernel.rules.retain(|has| has != rule),
        Change::AddRule(rule) => {
            assert!(!kernel.rules.contains(rule), "{change:?}: EEXIST");
            kernel.rules.push(rule.clone());
        }
        Change::DropRoute(route) => {
            assert!(kernel.routes.contains(route), "{change:?}: ESRCH");
            kernel.routes.retain(|has| has != route);
        }
        Change::AddRoute(route) => add_route(route, kernel, change),
        Change::DropAddress(address) => drop_address(address, kernel),
        Change::AddAddress(address) => {
            named(kernel, &address.link, change);
            let same = |has: &Address| has.link == address.link && has.address == address.address;
            assert!(!kernel.addresses.iter().any(same), "{change:?}: EEXIST");
            kernel.addresses.push(address.clone());
        }
        Change::SetLife(address) => {
            let found = kernel.addresses.iter_mut().find(|has| has.is(address)).unwrap();
            found.life = address.life;
        }
        Change::DropLink(name) => {
            assert!(named(kernel, name, change).kind != Kind::Other, "{change:?}: EOPNOTSUPP");
            drop_link(name, kernel);
        }
        Change::Set(setting) => {
            let there = setting.link.is_empty() || kernel.link(&setting.link).is_some();
            assert!(there, "{change:?}: ENOENT");
            kernel.settings.retain(|(path, _)| *path != setting.path);
            kernel.settings.push((setting.path.clone(), setting.value.to_owned()));
        }
        Change::AddBridge(name, bridge) => {
            let made = new_link(kernel, name, change);
            kernel.links.push(Link { kind: Kind::Bridge(*bridge), ..made });
        }
        Change::AddVlan(name, vlan) => add_vlan(name, vlan, kernel, change),
        _ => set_link(change, kernel),
    }
}

fn set_link(change: &Change, kernel: &mut Observed) {
    match change {
        Change::Release(name) => {
            let link = named(kernel, name, change);
            (link.bridge, link.port, link.up, link.marked) = (None, None, false, false);
            assert!(!kernel.addresses.iter().any(|has| has.link == *name), "its addresses go before");
            kernel.routes.retain(|route| route.link() != Some(name));
        }
        Change::SetBridge(name, bridge) => named(kernel, name, change).kind = Kind::Bridge(*bridge),
        Change::SetPriority(name, vlan) => {
            let priority = Some(vlan.priority);
            named(kernel, name, change).kind = Kind::Vlan { id: vlan.id, priority };
        }
        Change::Mark(name) => named(kernel, name, change).marked = true,
        Change::SetMtu(name, mtu) => set_mtu(name, *mtu, kernel, change),
        Change::Join { link, bridge } => {
            let index = named(kernel, bridge, change).index;
            let link = named(kernel, link, change);
            (link.bridge, link.port) = (Some(index), Some(Port::default()));
        }
        Change::Leave(name) => {
            let link = named(kernel, name, change);
            (link.bridge, link.port) = (None, None);
        }
        Change::SetPort(name, port) => {
            let link = named(kernel, name, change);
            assert!(link.bridge.is_some(), "{change:?}: EOPNOTSUPP");
            link.port = Some(*port);
        }
        Change::SetUp(name) => named(kernel, name, change).up = true,
        _ => panic!("{change:?}: not about a link"),
    }
}

fn add_vlan(name: &str, vlan: &Vlan, kernel: &mut Observed, change: &Change) {
    let parent = named(kernel, &vlan.parent, change).clone();
    let made = new_link(kernel, name, change);
    let kind = Kind::Vlan { id: vlan.id, priority: Some(vlan.priority) };
    kernel.links.push(Link { kind, peer: parent.index, mtu: parent.mtu, ..made });
}

fn set_mtu(name: &str, mtu: u32, kernel: &mut Observed, change: &Change) {
    let link = named(kernel, name, change).clone();
    assert!(mtu <= link.mtu_max, "{change:?}: EINVAL");
    if let Kind::Vlan { .. } = link.kind {
        let parent = kernel.links.iter().find(|other| other.index == link.peer).unwrap();
        assert!(mtu <= parent.mtu, "{change:?}: ERANGE");
    }
    named(kernel, name, change).mtu = mtu;
    for has in kernel.links.iter_mut().filter(|has| has.peer == link.index && has.index != link.index) {
        has.mtu = has.mtu.min(mtu);
    }
}

fn add_route(route: &Route, kernel: &mut Observed, change: &Change) {
    if let Some(link) = route.link() {
        assert!(kernel.link(link).is_some_and(|link| link.up), "{change:?}: ENETDOWN");
    }
    kernel.routes.retain(|has| has.key() != route.key()); // NLM_F_REPLACE
    kernel.routes.push(route.clone());
}

fn drop_address(address: &Address, kernel: &mut Observed) {
    assert!(kernel.addresses.contains(address), "EADDRNOTAVAIL: {address}");
    kernel.addresses.retain(|has| has != address);
    let left = kernel.addresses.iter().any(|has| has.link == address.link && has.address.is_ipv4());
    if address.address.is_ipv4() && !left {
        // fib_disable_ip
        kernel.routes.retain(|route| route.link() != Some(&address.link) || !route.to.is_ipv4());
    }
}

fn drop_link(name: &str, kernel: &mut Observed) {
    let index = kernel.link(name).unwrap().index;
    let upper = kernel.links.iter().filter(|link| link.peer == index && link.index != index);
    let upper: Vec<String> = upper.map(|link| link.name.clone()).collect();
    upper.iter().for_each(|name| drop_link(name, kernel));
    *kernel = kernel.without(&[name]);
    for link in kernel.links.iter_mut().filter(|link| link.bridge == Some(index)) {
        (link.bridge, link.port) = (None, None);
    }
    kernel.settings.retain(|(path, _)| !path.contains(&format!("/conf/{name}/")));
}

/// What does not depend on the way that led here: numbers of links, order, and settings that nobody wants any more.
pub(crate) fn essence(kernel: &Observed, target: &Target) -> String {
    let name = |index: u32| {
        kernel.links.iter().find(|link| link.index == index).map(|link| link.name.clone()).unwrap_or_default()
    };
    let mut rows: Vec<String> = kernel
        .links
        .iter()
        .map(|link| {
            let (bridge, peer) = (link.bridge.map(name), name(link.peer));
            let Link { name, up, marked, mtu, kind, port, .. } = link;
            format!("{name} {up} {marked} {mtu} {kind:?} {port:?} {bridge:?} {peer}")
        })
        .collect();
    rows.extend(kernel.addresses.iter().map(|address| format!("{address:?}")));
    rows.extend(kernel.routes.iter().map(|route| format!("{route:?}")));
    rows.extend(kernel.rules.iter().map(|rule| format!("{rule:?}")));
    let wanted = |path: &str| target.settings.iter().any(|setting| setting.path == path);
    let settings = kernel.settings.iter().filter(|(path, _)| wanted(path));
    rows.extend(settings.map(|(path, value)| format!("{path} = {value}")));
    rows.sort();
    rows.join("\n")
}

/// A bridge as somebody else would make it.
pub(crate) const PLAIN: Bridge = Bridge { snoops: false, filters: Some(false) };
