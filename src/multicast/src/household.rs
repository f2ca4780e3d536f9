//! One family's multicast: who watches on each link of the home, what is asked of the operator, which streams pass.
//!
//! In:  what `network` told, what hosts and the kernel say, time. Out: queries, memberships at the operator's side, routes.
//!
//! A new life knows nobody. For [`SETTLE_MS`] it takes nothing away that a former one has set; its first queries are answered by then.
//!
//! Not here: bytes (`igmp.rs`, `mld.rs`), the tables' own rules (`members.rs`, `streams.rs`).

use std::net::IpAddr;

use contract::prefix::Prefix;
use contract::told::{Multicast, Side};
use contract::wanted::LinkName;
use log::info;
use nix::net::if_::if_nametoindex;
use sys::mroute::{self, Family, Route, SOURCES_MAX};

use crate::PACKETS_A_TURN;
use crate::adopt::Left;
use crate::kernel::{Kernel, News};
use crate::members::{Filter, LAST_RESPONSE_MS, Members};
use crate::message::Heard;
use crate::querier::Querier;
use crate::scope::may_pass;
use crate::streams::{Change, Streams};

/// How long a new life takes nothing away, in milliseconds: two quick queries, and the time to answer them.
pub const SETTLE_MS: u64 = 4_000;
/// How often links are looked for and streams counted, in milliseconds.
pub const LOOK_EVERY_MS: u64 = 5_000;
/// Groups that are asked for at the operator's side: what a full house watches.
pub const GROUPS_MAX: usize = 128;
/// The number of the operator's link.
const UPSTREAM: u16 = 0;

/// A link.
#[derive(Debug)]
pub struct Place {
    /// Its number in routes.
    pub number: u16,
    /// Its name.
    pub name: LinkName,
    /// Our address there.
    address: IpAddr,
    /// The kernel's number of it; 0: it is not there.
    index: u32,
    /// Who watches there.
    pub members: Members,
    querier: Querier,
}

/// One family.
#[derive(Debug)]
pub struct Household {
    kernel: Kernel,
    places: Vec<Place>,
    allowed: Vec<Prefix>,
    /// Groups that we watch at the operator's side, each with what was said of its sources; `None`: since a former life.
    joined: Vec<(IpAddr, Option<Filter>)>,
    streams: Streams,
    settled_ms: u64,
    look_ms: u64,
}

impl Household {
    /// Takes over what a former life has left in `kernel`'s socket.
    #[must_use]
    pub fn adopt(kernel: Kernel, now_ms: u64) -> Self {
        let left = Left::read(kernel.family());
        let streams = Streams::adopted(left.routes, now_ms);
        let settled_ms = now_ms.saturating_add(SETTLE_MS);
        Self {
            kernel,
            places: Vec::new(),
            allowed: Vec::new(),
            joined: Vec::new(),
            streams,
            settled_ms,
            look_ms: now_ms,
        }
    }

    /// What it waits for.
    #[must_use]
    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// Its links.
    #[must_use]
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// Its streams.
    #[must_use]
    pub fn streams(&self) -> &Streams {
        &self.streams
    }

    /// From now on these links, these groups. What goes on is kept.
    pub fn want(&mut self, told: &Multicast, now_ms: u64) {
        self.allowed = told.groups.iter().copied().collect();
        let sides = told.upstream.iter().map(|side| (UPSTREAM, side));
        let sides = sides.chain((UPSTREAM + 1..).zip(&told.downstreams));
        let family = self.kernel.family();
        let mut before = std::mem::take(&mut self.places);
        for (number, side) in sides {
            let address = address_of(family, side);
            let known = before.iter().position(|place| place.number == number && place.name == side.link);
            let place = match known {
                Some(known) => Place { address, ..before.swap_remove(known) },
                None => Place {
                    number,
                    name: side.link.clone(),
                    address,
                    index: 0,
                    members: Members::default(),
                    querier: Querier::new(now_ms),
                },
            };
            self.places.push(place);
        }
        self.look(now_ms);
    }

    /// Looks for its links: one that was plugged in, or made anew, gets its number; numbers that nobody has any more go.
    fn look(&mut self, now_ms: u64) {
        self.look_ms = now_ms.saturating_add(LOOK_EVERY_MS);
        let left = Left::read(self.kernel.family());
        for (number, name) in &left.links {
            if !self.places.iter().any(|place| place.number == *number && place.name.as_str() == name) {
                let (number, family) = (*number, self.kernel.family());
                self.kernel
                    .try_to("a link keeps its number", |socket| mroute::drop_link(socket, family, number));
            }
        }
        for place in &mut self.places {
            let index = if_nametoindex(place.name.as_str()).unwrap_or(0);
            let stands = left.links.contains(&(place.number, place.name.as_str().to_owned()));
            if index == place.index && (stands || index == 0) {
                continue;
            }
            let watches = place.number != UPSTREAM;
            place.index =
                if index != 0 && self.kernel.add_link(place.number, index, watches) { index } else { 0 };
            place.querier = Querier::new(now_ms);
            if place.number == UPSTREAM {
                let here = left.groups.iter().filter(|(link, _)| *link == place.name.as_str());
                let ours = here
                    .map(|(_, group)| (*group, None))
                    .filter(|(group, _)| may_pass(&self.allowed, *group));
                self.joined = ours.take(GROUPS_MAX).collect();
            }
        }
    }

    /// When it has something to do, in milliseconds after boot.
    #[must_use]
    pub fn due_ms(&self, now_ms: u64) -> u64 {
        let downstreams = self.places.iter().filter(|place| place.number != UPSTREAM);
        let places = downstreams.flat_map(|place| [Some(place.querier.due_ms()), place.members.due_ms()]);
        let settled = Some(self.settled_ms).filter(|settled_ms| *settled_ms > now_ms);
        places.flatten().chain(settled).chain([self.look_ms]).min().unwrap_or(self.look_ms)
    }

    /// Hears what came, at most [`PACKETS_A_TURN`] messages, and does what is due.
    pub fn turn(&mut self, now_ms: u64) {
        for _ in 0..PACKETS_A_TURN {
            match self.kernel.receive() {
                Some(News::Said { link_index, host, heard }) => self.hear(link_index, host, &heard, now_ms),
                Some(News::Unrouted(unrouted)) => {
                    let to = self.ways(unrouted.from, unrouted.source, unrouted.group);
                    let changes = self.streams.meet(unrouted, to, now_ms);
                    self.apply(&changes);
                }
                Some(News::Noise) => {}
                None => break,
            }
        }
        for place in self.places.iter_mut().filter(|place| place.number != UPSTREAM && place.index != 0) {
            if let Some(response_ms) = place.querier.ask(now_ms) {
                self.kernel.ask(place.index, place.address, None, response_ms);
            }
            place.members.expire(now_ms);
        }
        if self.look_ms <= now_ms {
            self.look(now_ms);
            let changes = self.streams.count(|source, group| self.kernel.packets(source, group), now_ms);
            self.apply(&changes);
        }
        self.settle(now_ms);
    }

    fn hear(&mut self, link_index: u32, host: IpAddr, heard: &Heard, now_ms: u64) {
        let Heard::Report(records) = heard else { return };
        let here = |place: &&mut Place| place.index == link_index && place.number != UPSTREAM;
        let Some(place) = self.places.iter_mut().find(here) else { return };
        for record in records.iter().filter(|record| may_pass(&self.allowed, record.group)) {
            if place.members.hear(host, record, now_ms) {
                self.kernel.ask(place.index, place.address, Some(record.group), LAST_RESPONSE_MS);
            }
        }
    }

    /// The operator is asked for what is watched, and streams leave by the links where they are.
    fn settle(&mut self, now_ms: u64) {
        let settled = now_ms >= self.settled_ms;
        let changes = self.streams.settle(|route| {
            let to = ways(&self.places, &self.allowed, route.from, route.source, route.group);
            if settled { to } else { to | route.to }
        });
        self.apply(&changes);
        let upstream = self.places.iter().find(|place| place.number == UPSTREAM);
        let Some(index) = upstream.map(|place| place.index).filter(|index| *index != 0) else { return };
        let wanted = self.watched();
        let gone =
            |(group, _): &(IpAddr, Option<Filter>)| !wanted.iter().any(|(watched, _)| watched == group);
        if settled {
            for (group, _) in self.joined.extract_if(.., |joined| gone(joined)) {
                self.kernel.try_to("cannot leave a group", |socket| mroute::leave(socket, index, group));
            }
        }
        for (group, filter) in wanted {
            self.watch(index, group, filter);
        }
    }

    /// What is watched on all links of the home together.
    fn watched(&self) -> Vec<(IpAddr, Filter)> {
        let places = || self.places.iter().filter(|place| place.number != UPSTREAM);
        let mut groups: Vec<IpAddr> = places().flat_map(|place| place.members.groups()).collect();
        groups.sort_unstable();
        groups.dedup();
        let filter = |group| {
            let filters = places().filter_map(|place| place.members.filter(group));
            filters.reduce(|sum, filter| sum.merged(&filter)).map(|filter| (group, filter))
        };
        groups.into_iter().filter_map(filter).take(GROUPS_MAX).collect()
    }

    fn watch(&mut self, index: u32, group: IpAddr, filter: Filter) {
        let place = self.joined.iter().position(|(joined, _)| *joined == group);
        if place.is_some_and(|place| {
            self.joined.get(place).is_some_and(|(_, said)| said.as_ref() == Some(&filter))
        }) {
            return;
        }
        if place.is_none() {
            if !self.kernel.try_to("cannot watch a group", |socket| mroute::join(socket, index, group)) {
                return;
            }
            info!("{group} is watched");
        }
        let fits = filter.sources.len() <= SOURCES_MAX;
        // Where there are more than the kernel takes, all are taken, and sorted out here.
        let (only, sources) = if fits { (filter.only, filter.sources.as_slice()) } else { (false, &[][..]) };
        self.kernel
            .try_to("cannot name sources", |socket| mroute::filter(socket, index, group, only, sources));
        match place.and_then(|place| self.joined.get_mut(place)) {
            Some(joined) => joined.1 = Some(filter),
            None => self.joined.push((group, Some(filter))),
        }
    }

    fn ways(&self, from: u16, source: IpAddr, group: IpAddr) -> u32 {
        ways(&self.places, &self.allowed, from, source, group)
    }

    fn apply(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Set(route) => {
                    self.kernel.try_to("cannot set a route", |socket| mroute::add_route(socket, route))
                }
                Change::Drop(route) => {
                    self.kernel.try_to("cannot drop a route", |socket| mroute::drop_route(socket, route))
                }
            };
        }
    }
}

/// The numbers of the links by which a stream leaves, as bits. What does not come from the operator leaves nowhere.
fn ways(places: &[Place], allowed: &[Prefix], from: u16, source: IpAddr, group: IpAddr) -> u32 {
    if from != UPSTREAM || !may_pass(allowed, group) {
        return 0;
    }
    let watches = |place: &&Place| {
        place.number != UPSTREAM && place.members.filter(group).is_some_and(|filter| filter.passes(source))
    };
    places
        .iter()
        .filter(watches)
        .fold(0, |to, place| to | 1_u32.checked_shl(place.number.into()).unwrap_or(0))
}

fn address_of(family: Family, side: &Side) -> IpAddr {
    match family {
        Family::V4 => side.address.into(),
        Family::V6 => side.address6.into(),
    }
}

impl Household {
    /// The name of the link with this number.
    #[must_use]
    pub fn name(&self, number: u16) -> Option<&LinkName> {
        self.places.iter().find(|place| place.number == number).map(|place| &place.name)
    }

    /// The names of the links by which a route leaves.
    pub fn leaves<'h>(&'h self, route: &'h Route) -> impl Iterator<Item = &'h LinkName> {
        let leaves = |place: &&Place| route.to.checked_shr(place.number.into()).unwrap_or(0) & 1 == 1;
        self.places.iter().filter(leaves).map(|place| &place.name)
    }
}
