//! The part of a plan that is about links: which go, which are made, what they are.

use super::Change;
use crate::observed::{Kind, Link as Has, Observed};
use crate::target::{Bridge, ETHERNET_MTU, Link, Make, Target, Vlan};

/// Links that go. What is on them goes with them, so the rest of a plan is made without them.
pub(super) fn gone<'o>(target: &Target, observed: &'o Observed) -> Vec<&'o Has> {
    let goes = |has: &&Has| match target.link(&has.name) {
        None => target.owned.marked && has.marked,
        Some(Link { make: Make::Vlan(vlan), .. }) => match &has.kind {
            Kind::Vlan { id, .. } => *id != vlan.id || parent(has, observed) != Some(vlan.parent.as_str()),
            Kind::Other | Kind::Bridge(_) => has.marked,
        },
        Some(Link { make: Make::Bridge(_), .. }) => has.marked && !matches!(has.kind, Kind::Bridge(_)),
        Some(Link { make: Make::Found, .. }) => has.marked && has.kind != Kind::Other,
    };
    observed.links.iter().filter(goes).collect()
}

fn parent<'o>(has: &Has, observed: &'o Observed) -> Option<&'o str> {
    observed.links.iter().find(|other| other.index == has.peer).map(|other| other.name.as_str())
}

/// Takes them away, or lets go of them.
pub(super) fn drop_gone(gone: &[&Has], observed: &Observed, changes: &mut Vec<Change>) {
    // VLANs before what they stand on, so that none is taken away twice.
    let rank = |has: &&&Has| match has.kind {
        Kind::Vlan { .. } => 0,
        Kind::Bridge(_) => 1,
        Kind::Other => 2,
    };
    let mut ordered: Vec<&&Has> = gone.iter().collect();
    ordered.sort_by_key(rank);
    for has in ordered {
        if has.kind == Kind::Other {
            let on = |link: &String| *link == has.name;
            let addresses = observed.addresses.iter().filter(|one| on(&one.link) && !one.is_kernels());
            changes.extend(addresses.cloned().map(Change::DropAddress));
            changes.push(Change::Release(has.name.clone()));
        } else {
            changes.push(Change::DropLink(has.name.clone()));
        }
    }
}

/// Makes what is not there, and sets what is otherwise. Returns the names of links that were made.
pub(super) fn make(target: &Target, observed: &Observed, changes: &mut Vec<Change>) -> Vec<String> {
    let mut made: Vec<String> = Vec::new();
    for link in &target.links {
        let has = observed.link(&link.name);
        match (&link.make, has) {
            (Make::Found, None) => continue,
            (Make::Found, Some(_)) => {}
            (Make::Bridge(bridge), None) => {
                changes.push(Change::AddBridge(link.name.clone(), *bridge));
                made.push(link.name.clone());
            }
            (Make::Bridge(bridge), Some(has)) => set_bridge(&link.name, *bridge, has, changes),
            (Make::Vlan(vlan), None) => {
                if observed.link(&vlan.parent).is_none() {
                    continue;
                }
                changes.push(Change::AddVlan(link.name.clone(), vlan.clone()));
                made.push(link.name.clone());
            }
            (Make::Vlan(vlan), Some(has)) => set_vlan(&link.name, vlan, has, changes),
        }
        if link.ours && has.is_some_and(|has| !has.marked) {
            changes.push(Change::Mark(link.name.clone()));
        }
        set_mtu(link, target, observed, changes);
    }
    made
}

fn set_bridge(name: &str, bridge: Bridge, has: &Has, changes: &mut Vec<Change>) {
    if let Kind::Bridge(now) = has.kind {
        let filters = bridge.filters.zip(now.filters).is_none_or(|(wanted, now)| wanted == now);
        if bridge.snoops != now.snoops || !filters {
            changes.push(Change::SetBridge(name.to_owned(), bridge));
        }
    }
}

fn set_vlan(name: &str, vlan: &Vlan, has: &Has, changes: &mut Vec<Change>) {
    if let Kind::Vlan { priority, .. } = has.kind
        && priority != Some(vlan.priority)
    {
        changes.push(Change::SetPriority(name.to_owned(), vlan.clone()));
    }
}

/// The largest packet that a link is to have: what is asked, and no more than it can.
fn mtu_of(link: &Link, target: &Target, observed: &Observed) -> Option<u32> {
    let asked = link.mtu?;
    let most = observed.link(&link.name).map_or(u32::MAX, |has| has.mtu_max);
    let below = match &link.make {
        Make::Vlan(vlan) => target.link(&vlan.parent).and_then(|parent| mtu_of(parent, target, observed)),
        Make::Found | Make::Bridge(_) => None,
    };
    Some(asked.min(most).min(below.unwrap_or(u32::MAX)))
}

fn set_mtu(link: &Link, target: &Target, observed: &Observed, changes: &mut Vec<Change>) {
    let Some(wanted) = mtu_of(link, target, observed) else { return };
    let now = match (&link.make, observed.link(&link.name)) {
        (_, Some(has)) => has.mtu,
        // A VLAN that has just been made has what its parent has.
        (Make::Vlan(vlan), None) => target
            .link(&vlan.parent)
            .and_then(|parent| mtu_of(parent, target, observed))
            .or_else(|| observed.link(&vlan.parent).map(|parent| parent.mtu))
            .unwrap_or(ETHERNET_MTU),
        (Make::Bridge(_), None) => ETHERNET_MTU,
        (Make::Found, None) => return,
    };
    if now != wanted {
        changes.push(Change::SetMtu(link.name.clone(), wanted));
    }
}

/// Who is whose port, and as what.
pub(super) fn join(target: &Target, observed: &Observed, made: &[String], changes: &mut Vec<Change>) {
    for link in &target.links {
        let has = observed.link(&link.name);
        if has.is_none() && !made.contains(&link.name) {
            continue;
        }
        let master = has.and_then(|has| has.bridge);
        let Some((bridge, port)) = &link.bridge else {
            if link.ours && master.is_some() {
                changes.push(Change::Leave(link.name.clone()));
            }
            continue;
        };
        let index = observed.link(bridge).map(|bridge| bridge.index);
        let joins = index.is_none() || master != index;
        if joins {
            changes.push(Change::Join { link: link.name.clone(), bridge: bridge.clone() });
        }
        // A port is new as the kernel makes it.
        let now = has.filter(|_| !joins).and_then(|has| has.port).unwrap_or_default();
        if now != *port {
            changes.push(Change::SetPort(link.name.clone(), *port));
        }
    }
}
