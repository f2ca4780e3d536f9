//! The gateway's network: what is wanted, what is known, and one turn that brings the kernel there.
//!
//! In:  the configuration, a lease, attachments. Out: changes in the kernel; asked twice, none.
//!
//! A turn: the firewall first, forwarding behind it, then links, addresses, routes. A change that is refused does not keep the others
//! back; the turn is made again later.
//!
//! Just after a start there may be services' links of a former life. For [`ADOPT_MS`] they, and the firewall that stands, are left as they
//! are, so that the supervisor can ask for each again and no service notices; what nobody has asked for by then goes.
//!
//! Not here: attaching a service (`attach.rs`), wires (`room.rs`), words for people (`tell.rs`).

use std::path::PathBuf;

use contract::learn::{Client, Learned, Server, Wish};
use contract::wanted::{WanIpv4, Wanted};
use heapless::Vec as Bounded;
use log::{info, warn};
use sys::clock;

use crate::configuration::Configuration;
use crate::filter::{self, Filter};
use crate::observed::Observed;
use crate::plan::plan;
use crate::qos::queues::Queues;
use crate::service::Service;
use crate::socket::Socket;
use crate::target::{self, Attachment, Target, Wan, slot_of};
use crate::{Error, firewall, kernel};

/// How long links of a former life wait for somebody who asks for them, in milliseconds. The supervisor asks at once when its
/// connection breaks; should it be dead too, its next life is there within a second or two.
pub const ADOPT_MS: u64 = 10_000;
/// A turn that did not go through is made again after so long, in milliseconds.
const AGAIN_MS: u64 = 1_000;

/// The gateway's network.
#[derive(Debug)]
pub struct Gateway {
    pub(crate) configuration: Configuration,
    wan: Wan,
    /// When the lease ends, in milliseconds after boot, should `lease` say no more of it.
    lease_ends_ms: Option<u64>,
    /// When the lease's address was first seen to stand, in milliseconds after boot.
    applied_ms: Option<u64>,
    pub(crate) services: Vec<Service>,
    pub(crate) route: Socket,
    filter: Filter,
    pub(crate) queues: Queues,
    adopt_until_ms: u64,
    orphans: bool,
    /// What the last turn failed at.
    fault: Option<String>,
    pub(crate) changes: u64,
}

impl Gateway {
    /// The network of our own namespace, wanted by the file at `configuration`. Links of a former life are left as they are for
    /// `adopt_ms` milliseconds: [`ADOPT_MS`], but in tests.
    ///
    /// # Errors
    /// [`Error::Kernel`]: no netlink.
    pub fn open(configuration: PathBuf, adopt_ms: u64) -> Result<Self, Error> {
        Ok(Self {
            configuration: Configuration::at(configuration),
            wan: Wan::Unknown,
            lease_ends_ms: None,
            applied_ms: None,
            services: Vec::new(),
            route: Socket::route().map_err(Error::kernel("netlink"))?,
            filter: Filter::open(),
            queues: Queues::default(),
            adopt_until_ms: clock::boot_ms() + adopt_ms,
            orphans: false,
            fault: None,
            changes: 0,
        })
    }

    /// How many changes were made since the start.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// What the last turn failed at.
    #[must_use]
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// When a turn is due by itself, in milliseconds after boot.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        if self.fault.is_some() {
            return Some(clock::boot_ms() + AGAIN_MS);
        }
        self.orphans.then_some(self.adopt_until_ms).into_iter().chain(self.lease_ends_ms).min()
    }

    /// One turn: read, plan, apply.
    pub fn turn(&mut self) {
        self.end_lease();
        let fault = self.try_turn().err().map(|error| error.to_string());
        match &fault {
            Some(fault) if self.fault.as_ref() != Some(fault) => warn!("{fault}"),
            None if self.fault.is_some() => info!("all is as wanted again"),
            Some(_) | None => {}
        }
        self.fault = fault;
    }

    fn try_turn(&mut self) -> Result<(), Error> {
        let changed = self.configuration.read();
        let Some(wanted) = self.configuration.wanted().cloned() else { return Ok(()) };
        let mut first = Ok(());
        let mut note = |result: Result<(), Error>| first = std::mem::replace(&mut first, Ok(())).and(result);
        if changed {
            let settled: Vec<_> = self.services.iter_mut().map(|service| service.settle(&wanted)).collect();
            settled.into_iter().for_each(|result| note(result.map(|made| self.changes += made)));
        }
        let observed = kernel::observe(&mut self.route)?;
        note(self.drop_orphans(&observed));
        note(self.protect(&wanted));
        note(self.judge_lease(&wanted));
        for change in plan(&self.target(&wanted), &observed) {
            let made = kernel::apply(&mut self.route, &change);
            if made.is_ok() {
                self.changes += 1;
                info!("{change}");
            }
            note(made);
        }
        note(self.settle_queues(&wanted));
        let observed = kernel::observe(&mut self.route)?;
        self.note_lease(&observed);
        first
    }

    pub(crate) fn target(&self, wanted: &Wanted) -> Target {
        target::gateway(wanted, &self.wan_of(wanted), &self.attachments())
    }

    /// What is known of the link that is the WAN now.
    fn wan_of(&self, wanted: &Wanted) -> Wan {
        match (&self.wan, wanted.internet.ipv4) {
            (_, WanIpv4::None | WanIpv4::Pppoe | WanIpv4::Static) => Wan::Lost,
            (Wan::Leased(lease), WanIpv4::Dhcp) if lease.link != wanted.wan.link => Wan::Unknown,
            (Wan::Leased(lease), WanIpv4::Dhcp) if !target::takes(wanted, lease) => Wan::Lost,
            (known, WanIpv4::Dhcp) => known.clone(),
        }
    }

    pub(crate) fn attachments(&self) -> Vec<Attachment> {
        self.services.iter().map(|service| service.attachment.clone()).collect()
    }

    /// Do links of a former life still wait?
    pub(crate) fn adopts(&self) -> bool {
        self.orphans && clock::boot_ms() < self.adopt_until_ms
    }

    /// Services' links that nobody has asked for go, when they have waited long enough.
    fn drop_orphans(&mut self, observed: &Observed) -> Result<(), Error> {
        let ours: Vec<u8> = self.services.iter().map(|service| service.attachment.slot).collect();
        let orphan = |name: &&String| slot_of(name).is_some_and(|slot| !ours.contains(&slot));
        let orphans: Vec<&String> = observed.links.iter().map(|link| &link.name).filter(orphan).collect();
        self.orphans = !orphans.is_empty();
        if self.adopts() {
            return Ok(());
        }
        for name in orphans {
            kernel::drop_link(&mut self.route, name)?;
            self.changes += 1;
            info!("{name} removed: nobody has asked for it");
        }
        self.orphans = false;
        Ok(())
    }

    fn judge_lease(&self, wanted: &Wanted) -> Result<(), Error> {
        match &self.wan {
            Wan::Leased(lease) if lease.link == wanted.wan.link && !target::takes(wanted, lease) => {
                let (link, address, length) = (&lease.link, lease.address, lease.prefix_length);
                let why = "not taken: it is none, or one of the home's or the services' own";
                Err(Error::Refused(format!("lease of {address}/{length} on {link}: {why}")))
            }
            Wan::Leased(_) | Wan::Unknown | Wan::Lost => Ok(()),
        }
    }

    /// The firewall stands, and packets are passed on behind it and never without it. Where a new one is refused, the one that stood
    /// still does.
    fn protect(&mut self, wanted: &Wanted) -> Result<(), Error> {
        let stands = self.stand_firewall(wanted);
        let passes = stands.is_ok() || self.filter.is_as_last_seen();
        if filter::forwards() != passes {
            filter::set_forwarding(passes)?;
            self.changes += 1;
            info!("packets are {} passed on", if passes { "now" } else { "no longer" });
        }
        stands
    }

    fn stand_firewall(&mut self, wanted: &Wanted) -> Result<(), Error> {
        let table = firewall::table(wanted, &self.attachments());
        match self.filter.listed()? {
            Some(listed) if self.adopts() || self.filter.is(&table, &listed) => self.filter.saw(&listed),
            Some(_) | None => {
                self.filter.replace(&table)?;
                self.changes += 1;
                info!("firewall: {} rules in {} chains", table.rules.len(), table.chains.len());
            }
        }
        Ok(())
    }

    /// Is the firewall in the kernel the one that is wanted?
    ///
    /// # Errors
    /// [`Error::Kernel`]: it cannot be listed.
    pub fn is_protected(&mut self, wanted: &Wanted) -> Result<bool, Error> {
        let table = firewall::table(wanted, &self.attachments());
        let listed = self.filter.listed()?;
        Ok(listed.is_some_and(|listed| self.filter.is(&table, &listed)))
    }

    /// A lease ends, whether `lease` lives to say so or not. Source: RFC 2131 §4.4.5.
    fn end_lease(&mut self) {
        if self.lease_ends_ms.is_some_and(|ends_ms| ends_ms <= clock::boot_ms()) {
            warn!("the lease has ended, and nobody has said that it goes on");
            (self.wan, self.lease_ends_ms) = (Wan::Lost, None);
        }
    }

    fn note_lease(&mut self, observed: &Observed) {
        let Wan::Leased(lease) = &self.wan else {
            self.applied_ms = None;
            return;
        };
        let stands = |has: &target::Address| has.address == lease.address && has.link == *lease.link;
        if observed.addresses.iter().any(stands) && self.applied_ms.is_none() {
            self.applied_ms = Some(clock::boot_ms());
            info!("{} has {}, {} ms after boot", lease.link, lease.address, clock::boot_ms());
        }
    }

    /// What is wanted of `lease`.
    #[must_use]
    pub fn wish(&self) -> Wish {
        let Some(wanted) = self.configuration.wanted() else { return Wish::default() };
        let lan = &wanted.lan;
        let client = Client {
            ipv4: wanted.internet.ipv4 == WanIpv4::Dhcp,
            dhcp: wanted.internet.dhcp.clone(),
            ..Client::silent(wanted.frame_link(&wanted.internet))
        };
        let server = Server {
            pool: lan.dhcp,
            reservations: lan.reservation.clone(),
            domain: lan.domain.clone(),
            names: true,
            ..Server::silent(lan.bridge.clone(), lan.address, lan.prefix_length)
        };
        Wish { clients: Bounded::from_iter([client]), servers: Bounded::from_iter([server]) }
    }

    /// What `lease` has learned. A turn follows.
    pub fn learn(&mut self, learned: Learned) {
        let link = match &learned {
            Learned::Lease(lease) => &lease.link,
            Learned::Lost { link } => link,
            Learned::Session(_)
            | Learned::SessionLost { .. }
            | Learned::Ipv6(_)
            | Learned::Mappings { .. } => {
                return;
            }
        };
        if self.configuration.wanted().is_none_or(|wanted| wanted.wan.link != *link) {
            return warn!("a lease on {link}, which is not the WAN: left alone");
        }
        let wan = match learned {
            Learned::Lease(lease) => Wan::Leased(lease),
            Learned::Lost { .. }
            | Learned::Session(_)
            | Learned::SessionLost { .. }
            | Learned::Ipv6(_)
            | Learned::Mappings { .. } => Wan::Lost,
        };
        if wan.address() != self.wan.address() {
            self.applied_ms = None;
        }
        self.lease_ends_ms = wan.lease_s().map(|lease_s| {
            // What is left was rounded down; `lease` is to have the first word about its end.
            clock::boot_ms().saturating_add((u64::from(lease_s) + 1) * 1_000)
        });
        self.wan = wan;
        self.turn();
    }

    /// The lease, and when its address was first seen to stand.
    #[must_use]
    pub fn leased(&self) -> Option<(&contract::learn::Lease, u64)> {
        match &self.wan {
            Wan::Leased(lease) => self.applied_ms.map(|applied_ms| (lease, applied_ms)),
            Wan::Unknown | Wan::Lost => None,
        }
    }

    /// What is there.
    ///
    /// # Errors
    /// [`Error::Kernel`]: it does not say.
    pub fn observe(&mut self) -> Result<Observed, Error> {
        kernel::observe(&mut self.route)
    }
}
