//! Plans the changes that turn what a namespace holds into what it should hold.
//!
//! In:  a `Target` and what was `Observed`. Out: a list of `Change`, in order. Applied, and planned again, it is empty.
//!
//! This module is pure: no socket, no clock, no log.
//!
//! The order is fixed here. First what goes: routes, then addresses. Then what comes: links, their ports, up, addresses, routes; a
//! route by a neighbour after the route to that neighbour. So the kernel never gets a route whose link is not there, and a plan that is
//! cut off half-way leaves a network that the next plan can mend. A link that is not there (a port that is still to be plugged in) is
//! left out, with all that is on it.
//!
//! With the last address of a link the kernel drops all routes on it, so where an address goes its link's routes are added again.
//!
//! Not here: the firewall (`firewall.rs`), services' links themselves (`room.rs`).

use crate::observed::Observed;
use crate::target::{Address, Route, Target};

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Make a bridge.
    AddBridge(String),
    /// Make a link a bridge's port.
    SetBridge {
        /// The port.
        link: String,
        /// Its bridge.
        bridge: String,
    },
    /// Bring a link up.
    SetUp(String),
    /// Add an address.
    AddAddress(Address),
    /// Remove an address.
    DropAddress(Address),
    /// Add a route.
    AddRoute(Route),
    /// Remove a route.
    DropRoute(Route),
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let address =
            |address: &Address| format!("{}/{} on {}", address.address, address.length, address.link);
        match self {
            Self::AddBridge(bridge) => write!(f, "bridge {bridge} made"),
            Self::SetBridge { link, bridge } => write!(f, "{link} made a port of {bridge}"),
            Self::SetUp(link) => write!(f, "{link} brought up"),
            Self::AddAddress(added) => write!(f, "address {} added", address(added)),
            Self::DropAddress(dropped) => write!(f, "address {} removed", address(dropped)),
            Self::AddRoute(route) => write!(f, "route {route} added"),
            Self::DropRoute(route) => write!(f, "route {route} removed"),
        }
    }
}

impl std::fmt::Display for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "to {}/{}", self.to, self.length)?;
        if let Some(via) = self.via {
            write!(f, " via {via}")?;
        }
        write!(f, " on {}", self.link)
    }
}

/// Returns the changes that lead from `observed` to `target`.
#[must_use]
pub fn plan(target: &Target, observed: &Observed) -> Vec<Change> {
    let mut changes = Vec::new();
    let owned = |link: &String| target.owned.contains(link);
    for route in observed.routes.iter().filter(|route| owned(&route.link) && !target.routes.contains(route)) {
        changes.push(Change::DropRoute(route.clone()));
    }
    let stale = |has: &&Address| owned(&has.link) && !target.addresses.contains(has);
    let stale: Vec<&Address> = observed.addresses.iter().filter(stale).collect();
    changes.extend(stale.iter().map(|address| Change::DropAddress((*address).clone())));
    let made: Vec<&String> = target.bridges.iter().map(|(bridge, _)| bridge).collect();
    let there = |link: &String| observed.link(link).is_some() || made.contains(&link);
    for (bridge, ports) in &target.bridges {
        if observed.link(bridge).is_none() {
            changes.push(Change::AddBridge(bridge.clone()));
        }
        let index = observed.link(bridge).map(|link| link.index);
        for port in ports.iter().filter_map(|port| observed.link(port)) {
            if index.is_none() || port.bridge != index {
                changes.push(Change::SetBridge { link: port.name.clone(), bridge: bridge.clone() });
            }
        }
    }
    for link in target.up.iter().filter(|link| there(link)) {
        if !observed.link(link).is_some_and(|link| link.up) {
            changes.push(Change::SetUp(link.clone()));
        }
    }
    for address in target.addresses.iter().filter(|address| there(&address.link)) {
        if !observed.addresses.contains(address) {
            changes.push(Change::AddAddress(address.clone()));
        }
    }
    let mut routes: Vec<&Route> = target.routes.iter().filter(|route| there(&route.link)).collect();
    routes.sort_by_key(|route| route.via.is_some());
    for route in routes {
        let shaken = stale.iter().any(|address| address.link == route.link);
        if shaken || !observed.routes.contains(route) {
            changes.push(Change::AddRoute(route.clone()));
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::{Change, plan};
    use crate::observed::{Link, Observed};
    use crate::target::{self, Attachment, Wan};
    use contract::Name;
    use contract::learn::Lease;
    use contract::wanted;

    fn wanted() -> wanted::Wanted {
        wanted::parse(include_str!("../../../rootfs/etc/shg/network.toml")).unwrap()
    }

    fn lease(last: u8) -> Lease {
        Lease {
            link: "eth0".into(),
            address: [203, 0, 113, last].into(),
            prefix_length: 24,
            router: Some([203, 0, 113, 1].into()),
            routes: heapless::Vec::new(),
            name_servers: heapless(),
            time_servers: heapless::Vec::new(),
            sip_servers: heapless::Vec::new(),
            server: [203, 0, 113, 1].into(),
            lease_s: 600,
        }
    }

    fn heapless<T: Default>() -> T {
        T::default()
    }

    fn attachment(slot: u8) -> Attachment {
        let (service, slice) = (Name::new("hello").unwrap(), Name::new("demo").unwrap());
        Attachment {
            service,
            slice,
            slot,
            serves: Vec::new(),
            reaches: Default::default(),
            rates: Default::default(),
        }
    }

    fn link(index: u32, name: &str) -> Link {
        Link { index, name: name.to_owned(), up: false, bridge: None, peer: index }
    }

    /// A kernel that does what it is told, and refuses what a kernel refuses.
    fn apply(change: &Change, kernel: &mut Observed) {
        let there =
            |kernel: &Observed, name: &String| assert!(kernel.link(name).is_some(), "{change:?}: no {name}");
        match change {
            Change::AddBridge(name) => {
                assert!(kernel.link(name).is_none(), "{change:?}: it is there");
                let index = 1 + kernel.links.iter().map(|link| link.index).max().unwrap_or(0);
                kernel.links.push(link(index, name));
            }
            Change::SetBridge { link, bridge } => {
                there(kernel, link);
                there(kernel, bridge);
                let index = kernel.link(bridge).map(|bridge| bridge.index);
                kernel.links.iter_mut().filter(|has| has.name == *link).for_each(|has| has.bridge = index);
            }
            Change::SetUp(name) => {
                there(kernel, name);
                kernel.links.iter_mut().filter(|link| link.name == *name).for_each(|link| link.up = true);
            }
            Change::AddAddress(address) => {
                there(kernel, &address.link);
                assert!(!kernel.addresses.contains(address), "{change:?}: EEXIST");
                kernel.addresses.push(address.clone());
            }
            Change::DropAddress(address) => {
                kernel.addresses.retain(|has| has != address);
                if !kernel.addresses.iter().any(|has| has.link == address.link) {
                    kernel.routes.retain(|route| route.link != address.link); // fib_disable_ip
                }
            }
            Change::AddRoute(route) => {
                assert!(kernel.link(&route.link).is_some_and(|link| link.up), "{change:?}: ENETDOWN");
                kernel.routes.retain(|has| (has.to, has.length) != (route.to, route.length)); // NLM_F_REPLACE
                kernel.routes.push(route.clone());
            }
            Change::DropRoute(route) => kernel.routes.retain(|has| has != route),
        }
    }

    fn empty() -> Observed {
        let links = ["lo", "eth0", "eth1", "svc-0", "svc-1"];
        Observed {
            links: (1..).zip(links).map(|(index, name)| link(index, name)).collect(),
            ..Observed::default()
        }
    }

    #[test]
    fn a_plan_leads_to_its_target_from_wherever_it_begins() {
        let wans = [Wan::Unknown, Wan::Lost, Wan::Leased(lease(7)), Wan::Leased(lease(8))];
        let services: [&[u8]; 4] = [&[], &[0], &[1], &[0, 1]];
        let targets = wans.iter().flat_map(|wan| {
            services.iter().map(|slots| {
                let attachments: Vec<_> = slots.iter().map(|slot| attachment(*slot)).collect();
                target::gateway(&wanted(), wan, &attachments)
            })
        });
        let targets: Vec<_> = targets.collect();
        // Every walk of three targets, from an empty kernel; and each plan cut off at each place.
        for first in &targets {
            for second in &targets {
                let mut kernel = empty();
                plan(first, &kernel).iter().for_each(|change| apply(change, &mut kernel));
                assert_eq!(plan(first, &kernel), [], "asked twice, it changes nothing");
                let whole = plan(second, &kernel);
                for cut in 0..=whole.len() {
                    let mut kernel = kernel.clone();
                    whole.iter().take(cut).for_each(|change| apply(change, &mut kernel));
                    plan(second, &kernel).iter().for_each(|change| apply(change, &mut kernel));
                    assert_eq!(plan(second, &kernel), [], "cut at {cut}");
                    for address in &second.addresses {
                        assert!(kernel.addresses.contains(address), "{address:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_not_plugged_in_is_left_out_and_comes_later() {
        let target = target::gateway(&wanted(), &Wan::Leased(lease(7)), &[]);
        let mut kernel = Observed::default();
        kernel.links.push(link(1, "lo"));
        plan(&target, &kernel).iter().for_each(|change| apply(change, &mut kernel));
        assert!(kernel.link("br-lan").is_some_and(|bridge| bridge.up));
        assert!(kernel.routes.is_empty());
        kernel.links.push(link(9, "eth1"));
        let changes = plan(&target, &kernel);
        let wanted = [
            Change::SetBridge { link: "eth1".to_owned(), bridge: "br-lan".to_owned() },
            Change::SetUp("eth1".to_owned()),
        ];
        assert_eq!(changes, wanted);
    }

    #[test]
    fn an_unknown_lease_touches_nothing_that_a_former_life_has_set() {
        let mut kernel = empty();
        let before = target::gateway(&wanted(), &Wan::Leased(lease(7)), &[attachment(0)]);
        plan(&before, &kernel).iter().for_each(|change| apply(change, &mut kernel));
        assert_eq!(plan(&target::gateway(&wanted(), &Wan::Unknown, &[]), &kernel), []);
    }
}
