//! Plans the changes that turn what a namespace holds into what it should hold.
//!
//! In:  a `Target` and what was `Observed`. Out: a list of `Change`, in order. Applied, and planned again, it is empty.
//!
//! This module is pure: no socket, no clock, no log.
//!
//! The order is fixed here. First what goes: rules, routes, addresses, links. Then what comes: links, their ports, their settings, up,
//! addresses, routes, rules; a route by a neighbour after the route to that neighbour. So the kernel never gets a route whose link is not
//! there, and a plan that is cut off half-way leaves a network that the next plan can mend. A link that is not there (a port that is
//! still to be plugged in) is left out, with all that is on it.
//!
//! With the last IPv4 address of a link the kernel drops all its IPv4 routes, so where one goes they are added again. A route that takes
//! another one's place (same table, prefix and metric) is added over it: there is no moment without a way.
//!
//! Not here: the firewall (`firewall.rs`), services' links themselves (`service.rs`), queues (`qos/`).

use crate::observed::Observed;
use crate::target::{Address, Family, Route, Target};

mod change;
mod links;

pub use change::Change;

/// Returns the changes that lead from `observed` to `target`.
#[must_use]
pub fn plan(target: &Target, observed: &Observed) -> Vec<Change> {
    let mut changes = Vec::new();
    let gone = links::gone(target, observed);
    let names: Vec<&str> = gone.iter().map(|link| link.name.as_str()).collect();
    let rest = observed.without(&names);
    drop_rules(target, &rest, &mut changes);
    drop_routes(target, &rest, &mut changes);
    let stale = drop_addresses(target, &rest, &mut changes);
    links::drop_gone(&gone, observed, &mut changes);

    let made = links::make(target, &rest, &mut changes);
    links::join(target, &rest, &made, &mut changes);
    let there = |link: &str| rest.link(link).is_some() || made.iter().any(|name| name == link);
    set(target, &rest, &made, &mut changes);
    for link in target.links.iter().filter(|link| there(&link.name)) {
        if !rest.link(&link.name).is_some_and(|link| link.up) {
            changes.push(Change::SetUp(link.name.clone()));
        }
    }
    for address in target.addresses.iter().filter(|address| there(&address.link)) {
        match rest.addresses.iter().find(|has| has.is(address)) {
            None => changes.push(Change::AddAddress(address.clone())),
            Some(has) if !has.life.is_close_to(address.life) => {
                changes.push(Change::SetLife(address.clone()));
            }
            Some(_) => {}
        }
    }
    let is_there = |route: &&Route| route.link().is_none_or(|link| there(link));
    let mut routes: Vec<&Route> = target.routes.iter().filter(is_there).collect();
    routes.sort_by_key(|route| route.via().is_some());
    for route in routes {
        let shakes = |address: &Address| {
            Some(&address.link) == route.link() && route.family() == Family::Ipv4 && address.address.is_ipv4()
        };
        if stale.iter().any(shakes) || !rest.routes.contains(route) {
            changes.push(Change::AddRoute(route.clone()));
        }
    }
    let rules = target.rules.iter().filter(|rule| !rest.rules.contains(rule));
    changes.extend(rules.cloned().map(Change::AddRule));
    changes
}

fn drop_rules(target: &Target, observed: &Observed, changes: &mut Vec<Change>) {
    let ours = observed.rules.iter().filter(|rule| target.owned.rules.contains(&rule.priority));
    let stale = ours.filter(|rule| !target.rules.contains(rule));
    changes.extend(stale.cloned().map(Change::DropRule));
}

fn drop_routes(target: &Target, observed: &Observed, changes: &mut Vec<Change>) {
    let owned = |route: &&Route| match route.link() {
        _ if target.owned.tables.contains(&route.table) => true,
        _ if route.table != crate::target::MAIN => false,
        Some(link) => target.owned.links.contains(&(link.clone(), route.family())),
        None => target.owned.unreachable && route.family() == Family::Ipv6,
    };
    let there =
        |route: &Route| route.link().is_none_or(|link| observed.link(link).is_some_and(|link| link.up));
    let replaced = |route: &Route| {
        target
            .routes
            .iter()
            .any(|other| other.key() == route.key() && there(other) && !observed.routes.contains(other))
    };
    let stale = observed.routes.iter().filter(owned).filter(|route| !target.routes.contains(route));
    changes.extend(stale.filter(|route| !replaced(route)).cloned().map(Change::DropRoute));
}

/// Returns the addresses that go.
fn drop_addresses(target: &Target, observed: &Observed, changes: &mut Vec<Change>) -> Vec<Address> {
    let owned = |has: &&Address| {
        target.owned.links.contains(&(has.link.clone(), Family::of(has.address))) && !has.is_kernels()
    };
    let wanted = |has: &Address| target.addresses.iter().any(|address| address.is(has));
    let stale = observed.addresses.iter().filter(owned).filter(|has| !wanted(has));
    let stale: Vec<Address> = stale.cloned().collect();
    changes.extend(stale.iter().cloned().map(Change::DropAddress));
    stale
}

/// Settings are set on a link that is new, and where they say something else. A kernel that has none of a name is left alone.
fn set(target: &Target, observed: &Observed, made: &[String], changes: &mut Vec<Change>) {
    for setting in &target.settings {
        let says = observed.settings.iter().find(|(path, _)| *path == setting.path);
        let differs = match says {
            Some((_, value)) => value != setting.value,
            None => made.contains(&setting.link),
        };
        if differs {
            changes.push(Change::Set(setting.clone()));
        }
    }
}
