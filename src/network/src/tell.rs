//! What the daemon tells on the wire `show`: rows for people, one fact each.
//!
//! In:  the gateway. Out: what is wanted, what the kernel says, what differs.
//!
//! At most two rows a link, so that all of them fit into a socket's queue.

use contract::Text;
use contract::limit::FLOWS;
use contract::show::{self, Answer, Part, Traffic};
use contract::wanted::{Access, WanIpv4, Wanted};
use sys::clock;

use crate::gateway::Gateway;
use crate::observed::Observed;
use crate::plan::plan;
use crate::target::{self, Attachment, GUEST_BRIDGE, Target, service_address, service_link, slot_of, table};
use crate::view::Which;
use crate::{Error, filter};

/// Everything.
///
/// # Errors
/// [`Error::Kernel`]: it does not say.
pub fn tell(gateway: &mut Gateway) -> Result<Vec<Answer>, Error> {
    let observed = gateway.observe()?;
    let wanted = gateway.configuration.shared();
    let protected = wanted.as_ref().map_or(Ok(false), |wanted| gateway.is_protected(wanted));
    let target = wanted.as_ref().map(|wanted| gateway.target(wanted).0);
    let mut wishes = wanted.as_ref().map(|wanted| wishes(wanted, &gateway.attachments())).unwrap_or_default();
    wishes.extend(gateway.configuration.state(clock::boot_ms()));
    let mut facts = facts(&observed, matches!(protected, Ok(true)));
    facts.push(gateway.short_way());
    let mut differences = differences(gateway, target.as_ref(), &observed, &protected);
    if let Some(wanted) = &wanted {
        differences.extend(gateway.queue_differences(wanted, &observed)?);
    }
    let parts = [(Part::Wanted, wishes), (Part::Observed, facts), (Part::Differs, differences)];
    let rows = parts.into_iter().flat_map(|(part, rows)| rows.into_iter().map(move |row| (part, row)));
    let wan = gateway.leased().map(|(lease, applied_ms)| Answer::Wan { lease: lease.clone(), applied_ms });
    let rows = rows.map(|(part, row)| Answer::Row { part, text: Text::from(row.as_str()) });
    let traffic = wanted.map_or(Ok(Vec::new()), |wanted| gateway.traffic(&wanted, &observed))?;
    Ok(rows.chain(wan).chain(some_at_a_time(&traffic)).collect())
}

fn some_at_a_time(rows: &[Traffic]) -> impl Iterator<Item = Answer> {
    rows.chunks(FLOWS).map(|some| Answer::Traffic(some.iter().cloned().collect()))
}

/// What classes have carried.
///
/// # Errors
/// [`Error::Kernel`]: it does not say.
pub fn traffic(gateway: &mut Gateway) -> Result<Vec<Answer>, Error> {
    let Some(wanted) = gateway.configuration.shared() else { return Ok(Vec::new()) };
    let observed = gateway.observe()?;
    Ok(some_at_a_time(&gateway.traffic(&wanted, &observed)?).collect())
}

/// Links, addresses and routes, as data; services' own links are theirs.
///
/// # Errors
/// [`Error::Kernel`]: it does not say.
pub fn found(gateway: &mut Gateway) -> Result<Vec<Answer>, Error> {
    let observed = gateway.observe()?;
    let links = observed.links.iter().filter(|link| slot_of(&link.name).is_none()).map(|link| {
        let bridge = observed.links.iter().find(|other| Some(other.index) == link.bridge);
        let bridge = bridge.map(|bridge| bridge.name.as_str().into()).unwrap_or_default();
        Answer::Link(show::Link { name: link.name.as_str().into(), up: link.up, bridge, mtu: link.mtu })
    });
    let own = |link: &str| slot_of(link).is_none();
    let addresses = observed.addresses.iter().filter(|one| own(&one.link) && !one.is_kernels());
    let addresses = addresses.map(|one| {
        Answer::Address(show::Address {
            link: one.link.as_str().into(),
            address: one.address,
            length: one.length,
            life_s: [one.life.preferred_s, one.life.valid_s],
        })
    });
    let routes = observed.routes.iter().filter(|route| route.link().is_none_or(|link| own(link)));
    let routes = routes.filter_map(|route| {
        let play = [Which::Internet, Which::Voice, Which::Tv].into_iter().zip(0..);
        let (_, play) = play.into_iter().find(|(which, _)| table(*which) == route.table)?;
        let via = match &route.way {
            target::Way::By(_, via) => *via,
            target::Way::Unreachable => None,
        };
        let link = route.link().map(|link| link.as_str().into()).unwrap_or_default();
        Some(Answer::Route(show::Route { play, to: route.to, link, via, metric: route.metric }))
    });
    Ok(links.chain(addresses).chain(routes).collect())
}

fn wishes(wanted: &Wanted, services: &[Attachment]) -> Vec<String> {
    let lan = &wanted.lan;
    let how = match wanted.internet.ipv4 {
        WanIpv4::Dhcp => "address by DHCP",
        WanIpv4::Pppoe => "address by PPPoE",
        WanIpv4::Static => "fixed address",
        WanIpv4::None => "no address",
    };
    let ports: Vec<&str> = lan.ports.iter().map(contract::Text::as_str).collect();
    let play = |name: &str, access: &Access| {
        let way = if access.vlan == 0 { "untagged".to_owned() } else { format!("VLAN {}", access.vlan) };
        format!("{} {name}, {way}, priority {}", wanted.frame_link(access), access.priority)
    };
    let others = wanted.voice.iter().map(|voice| play("voice", &voice.access));
    let others = others.chain(wanted.tv.iter().map(|tv| play("TV", &tv.access)));
    let others: Vec<String> = others
        .chain(wanted.guest.iter().map(|guest| {
            format!("{GUEST_BRIDGE} guests, {}/{}, VLAN {}", guest.address, guest.prefix_length, guest.vlan)
        }))
        .collect();
    let mut rows = vec![
        format!("{} WAN, {how}", wanted.frame_link(&wanted.internet)),
        format!("{} LAN, {}/{}, ports {}", lan.bridge, lan.address, lan.prefix_length, ports.join(" ")),
        format!("services in {}/{}", wanted.services.prefix, wanted.services.prefix_length),
        "firewall, and packets passed on behind it".to_owned(),
    ];
    rows.extend(others);
    rows.extend(services.iter().map(|service| {
        let (link, address) = (service_link(service.slot), service_address(wanted, service.slot));
        let ports = service.serves.iter().map(|serve| match serve.at {
            0 => format!(", {} {}", serve.name, serve.port),
            at => format!(", {} {} at {at}", serve.name, serve.port),
        });
        format!("{link} {} {address}{}", service.service, ports.collect::<String>())
    }));
    rows
}

fn facts(observed: &Observed, protected: bool) -> Vec<String> {
    let mut rows: Vec<String> = observed
        .links
        .iter()
        .map(|link| {
            let bridge = observed.links.iter().find(|other| Some(other.index) == link.bridge);
            let bridge = bridge.map_or_else(String::new, |bridge| format!(", port of {}", bridge.name));
            let addresses = observed.addresses.iter();
            let addresses = addresses.filter(|address| address.link == link.name && !address.is_kernels());
            let addresses = addresses.map(|address| format!(", {}/{}", address.address, address.length));
            let routes = observed.routes.iter().filter(|route| route.link() == Some(&link.name));
            let routes = routes.map(|route| format!(", route {route}"));
            let state = if link.up { "up" } else { "down" };
            format!("{} {state}{bridge}{}", link.name, addresses.chain(routes).collect::<String>())
        })
        .collect();
    rows.extend(observed.rules.iter().map(|rule| format!("rule {rule}")));
    let unreachable = observed.routes.iter().filter(|route| route.link().is_none());
    rows.extend(unreachable.map(|route| format!("route {route}")));
    rows.push(format!("firewall {}", if protected { "stands" } else { "not as wanted" }));
    rows.push(format!("packets {} passed on", if filter::forwards() { "are" } else { "are not" }));
    rows
}

fn differences(
    gateway: &Gateway,
    target: Option<&Target>,
    observed: &Observed,
    protected: &Result<bool, Error>,
) -> Vec<String> {
    let mut rows: Vec<String> = gateway.configuration.refused().map(str::to_owned).into_iter().collect();
    rows.extend(gateway.fault().map(str::to_owned));
    let Some(target) = target else { return rows };
    rows.extend(plan(target, observed).iter().map(ToString::to_string));
    match protected {
        Ok(true) if !filter::forwards() => rows.push("packets passed on".to_owned()),
        Ok(true) => {}
        Ok(false) => rows.push("firewall replaced".to_owned()),
        Err(error) => rows.push(error.to_string()),
    }
    rows
}
