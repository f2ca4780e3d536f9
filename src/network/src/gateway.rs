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

use std::net::Ipv4Addr;
use std::path::PathBuf;

use contract::learn::{Learned, Lease, OnLink, Wish};
use contract::told::Told;
use contract::wanted::Wanted;
use log::{info, warn};
use sys::clock;

use crate::configuration::{Configuration, Places};
use crate::filter::{self, Filter};
use crate::firewall::Facts;
use crate::known::{self, Known, Way};
use crate::observed::Observed;
use crate::plan::plan;
use crate::qos::queues::Queues;
use crate::ruleset::{Family, Listed, Table};
use crate::service::Service;
use crate::socket::Socket;
use crate::target::{self, Attachment, Target, slot_of};
use crate::view::{View, Which};
use crate::{Error, firewall, kernel, told, wish};

/// How long links of a former life wait for somebody who asks for them, in milliseconds. The supervisor asks at once when its
/// connection breaks; should it be dead too, its next life is there within a second or two.
pub const ADOPT_MS: u64 = 10_000;
/// A turn that did not go through is made again after so long, in milliseconds.
const AGAIN_MS: u64 = 1_000;

/// The gateway's network.
#[derive(Debug)]
pub struct Gateway {
    pub(crate) configuration: Configuration,
    pub(crate) known: Known,
    /// What services were last told of IPv6, and when.
    inside: (Vec<OnLink>, u64),
    /// The Internet play's address, and when it was first seen to stand, in milliseconds after boot.
    applied_ms: Option<(Ipv4Addr, u64)>,
    pub(crate) services: Vec<Service>,
    pub(crate) route: Socket,
    filter: Filter,
    /// The table that looks at frames.
    frames: Filter,
    pub(crate) queues: Queues,
    /// Links of the short way that are there.
    short: Vec<String>,
    adopt_until_ms: u64,
    orphans: bool,
    /// What the last turn failed at.
    fault: Option<String>,
    /// What was there after the last turn.
    observed: Observed,
    pub(crate) changes: u64,
}

impl Gateway {
    /// The network of our own namespace, wanted by the file at `configuration`. Links of a former life are left as they are for
    /// `adopt_ms` milliseconds: [`ADOPT_MS`], but in tests.
    ///
    /// # Errors
    /// [`Error::Kernel`]: no netlink.
    pub fn open(configuration: PathBuf, adopt_ms: u64) -> Result<Self, Error> {
        Self::open_in(Places::beside(configuration), adopt_ms)
    }

    /// The same, wanted by what is in these places.
    ///
    /// # Errors
    /// As [`Gateway::open`].
    pub fn open_in(places: Places, adopt_ms: u64) -> Result<Self, Error> {
        Ok(Self {
            configuration: Configuration::new(places, clock::boot_ms()),
            known: Known::default(),
            inside: (Vec::new(), 0),
            applied_ms: None,
            services: Vec::new(),
            route: Socket::route().map_err(Error::kernel("netlink"))?,
            filter: Filter::open(Family::Packets),
            frames: Filter::open(Family::Frames),
            queues: Queues::default(),
            short: Vec::new(),
            adopt_until_ms: clock::boot_ms() + adopt_ms,
            orphans: false,
            fault: None,
            observed: Observed::default(),
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
        let known = self.known.due_ms(clock::boot_ms()).into_iter().chain(self.configuration.due_ms());
        self.orphans.then_some(self.adopt_until_ms).into_iter().chain(known).min()
    }

    /// One turn: read, plan, apply.
    pub fn turn(&mut self) {
        for link in self.known.end(clock::boot_ms()) {
            warn!("{link}: the lease has ended, and nobody has said that it goes on");
        }
        let fault = self.try_turn().err().map(|error| error.to_string());
        match &fault {
            Some(fault) if self.fault.as_ref() != Some(fault) => warn!("{fault}"),
            None if self.fault.is_some() => info!("all is as wanted again"),
            Some(_) | None => {}
        }
        self.fault = fault;
    }

    fn try_turn(&mut self) -> Result<(), Error> {
        let changed = self.configuration.read(clock::boot_ms());
        let Some(wanted) = self.configuration.shared() else { return Ok(()) };
        let mut first = Ok(());
        let mut note = |result: Result<(), Error>| first = std::mem::replace(&mut first, Ok(())).and(result);
        note(self.settle_services(&wanted, changed));
        let (target, refused) = self.target(&wanted);
        let observed = kernel::observe(&mut self.route, &target.settings)?;
        self.short = firewall::short_links(&wanted, &observed);
        note(self.drop_orphans(&observed));
        note(self.protect(&wanted));
        note(refused.map_or(Ok(()), |why| Err(Error::Refused(why))));
        let changes = plan(&target, &observed);
        for (change, made) in changes.iter().zip(kernel::apply(&mut self.route, &observed, &changes)) {
            if made.is_ok() {
                self.changes += 1;
                info!("{change}");
            }
            note(made);
        }
        let observed = if changes.is_empty() { observed } else { kernel::observe(&mut self.route, &[])? };
        note(self.settle_queues(&wanted, &observed));
        self.note_lease(&wanted, &observed);
        self.observed = observed;
        first
    }

    /// Takes another wanted network on trial (see [`Configuration::take`]). A turn follows.
    ///
    /// # Errors
    /// It is not right; nothing has changed.
    pub fn take(&mut self, text: String, confirm_within_s: u32) -> Result<(), Error> {
        self.configuration.take(text, confirm_within_s, clock::boot_ms())?;
        self.turn();
        Ok(())
    }

    /// What is on trial is kept.
    ///
    /// # Errors
    /// [`Error::Refused`]: nothing is on trial.
    pub fn confirm(&mut self) -> Result<(), Error> {
        self.configuration.confirm()
    }

    /// What is on trial is taken back. A turn follows.
    ///
    /// # Errors
    /// [`Error::Refused`]: nothing is on trial.
    pub fn revert(&mut self) -> Result<(), Error> {
        self.configuration.revert()?;
        self.turn();
        Ok(())
    }

    /// Mounts have changed: what is kept may lie there now. A turn follows.
    pub fn look_again(&mut self) {
        self.configuration.look_again();
        self.turn();
    }

    /// What is wanted in our own namespace, and why something that was told is not taken.
    pub(crate) fn target(&self, wanted: &Wanted) -> (Target, Option<String>) {
        let services = self.attachments();
        let view = View::of(wanted, &self.known, &services, clock::boot_ms());
        let refused = view.plays.iter().find_map(|play| play.refused.clone());
        (target::gateway(&view), refused)
    }

    /// Services' own ends follow the configuration and the prefix.
    fn settle_services(&mut self, wanted: &Wanted, changed: bool) -> Result<(), Error> {
        let now_ms = clock::boot_ms();
        let view = View::of(wanted, &self.known, &[], now_ms);
        let prefixes = view.services6();
        if !changed && are_close(&self.inside, (&prefixes, now_ms)) {
            return Ok(());
        }
        let mut first = Ok(());
        for service in &mut self.services {
            let settled = service.settle(&mut self.route, &view);
            let queued = service.settle_queues(&mut self.queues, wanted);
            match settled.and_then(|made| Ok(made + queued?)) {
                Ok(made) => self.changes += made,
                Err(error) => first = first.and(Err(error)),
            }
        }
        self.inside = (prefixes, now_ms);
        first
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

    /// The firewall stands, and packets are passed on behind it and never without it. Where a new one is refused, the one that stood
    /// still does.
    fn protect(&mut self, wanted: &Wanted) -> Result<(), Error> {
        let stands = self.stand_firewall(wanted);
        let frames = self.stand_frames(wanted);
        let passes = stands.is_ok() || self.filter.is_as_last_seen();
        let stays = if passes { filter::forwards() } else { filter::forwards_none() };
        if !stays {
            filter::set_forwarding(passes)?;
            self.changes += 1;
            info!("packets are {} passed on", if passes { "now" } else { "no longer" });
        }
        stands.and(frames)
    }

    /// No port of the home carries a frame whose tags hide something.
    fn stand_frames(&mut self, wanted: &Wanted) -> Result<(), Error> {
        let table = firewall::frames(wanted);
        match self.frames.listed()? {
            Some(listed) if self.frames.is(&table, &listed) => {}
            listed => {
                self.frames.replace(&table, listed)?;
                self.changes += 1;
                info!("firewall: frames with a tag inside another one are thrown away");
            }
        }
        Ok(())
    }

    fn stand_firewall(&mut self, wanted: &Wanted) -> Result<(), Error> {
        let mut listed = self.filter.listed()?;
        let goes_long = listed.as_ref().is_some_and(|listed| listed.flowtables.is_empty());
        // What stands without the short way may be right: that is to be known before it is touched.
        if goes_long && self.filter.asked_short() {
            listed = self.filter.listed()?;
        }
        let mut table = self.firewall(wanted, listed.as_ref());
        match listed {
            Some(listed) if self.adopts() || self.filter.is(&table, &listed) => self.filter.saw(&listed),
            listed => {
                let mut replaced = self.filter.replace(&table, listed);
                if replaced.is_err() && self.filter.asked_short() {
                    let listed = self.filter.listed()?;
                    table = self.firewall(wanted, listed.as_ref());
                    replaced = self.filter.replace(&table, listed);
                }
                let replaced = replaced?;
                self.changes += 1;
                let (rules, chains) = (table.rules.len(), table.chains.len());
                match replaced {
                    true => info!("firewall: {rules} rules in {chains} chains"),
                    false => info!("firewall: other elements in its sets"),
                }
            }
        }
        Ok(())
    }

    /// The firewall that is wanted, where this one stands.
    fn firewall(&mut self, wanted: &Wanted, stands: Option<&Listed>) -> Table {
        let short = if self.filter.goes_short() { self.short.clone() } else { Vec::new() };
        let services = self.attachments();
        let view = View::of(wanted, &self.known, &services, clock::boot_ms());
        let facts = Facts::of(&view, short);
        let mut table = firewall::table(wanted, &services, &facts);
        if let Some(listed) = stands {
            facts.keep(&mut table, listed);
        }
        table
    }

    /// Is the firewall in the kernel the one that is wanted?
    ///
    /// # Errors
    /// [`Error::Kernel`]: it cannot be listed.
    pub fn is_protected(&mut self, wanted: &Wanted) -> Result<bool, Error> {
        let listed = self.filter.listed()?;
        let table = self.firewall(wanted, listed.as_ref());
        let stands = listed.is_some_and(|listed| self.filter.is(&table, &listed));
        let (listed, table) = (self.frames.listed()?, firewall::frames(wanted));
        Ok(stands && listed.is_some_and(|listed| self.frames.is(&table, &listed)))
    }

    /// Who takes the short way, in words.
    pub(crate) fn short_way(&mut self) -> String {
        match self.filter.goes_short() {
            true => format!("short way between home and Internet at {}", self.short.join(" ")),
            false => "no short way: this kernel has no flowtables".to_owned(),
        }
    }

    fn note_lease(&mut self, wanted: &Wanted, observed: &Observed) {
        let view = View::of(wanted, &self.known, &[], clock::boot_ms());
        let Some(play) = view.play(Which::Internet) else { return };
        let Some(terms) = play.terms() else {
            self.applied_ms = None;
            return;
        };
        let stands = |has: &target::Address| has.address == terms.address && has.link == *play.link;
        let stands = observed.addresses.iter().any(stands);
        match self.applied_ms {
            Some((address, _)) if address == terms.address => {}
            _ if stands => {
                self.applied_ms = Some((terms.address, clock::boot_ms()));
                info!("{} has {}, {} ms after boot", play.link, terms.address, clock::boot_ms());
            }
            _ => self.applied_ms = None,
        }
    }

    /// What `lease` has learned. A turn follows.
    pub fn learn(&mut self, learned: Learned) {
        let link = known::link_of(&learned);
        let Some(wanted) = self.configuration.wanted() else { return };
        let view = View::of(wanted, &self.known, &[], clock::boot_ms());
        let of_play = view.plays.iter().any(|play| [&play.frame_link, &play.link].contains(&link));
        if !of_play && wanted.lan.bridge != *link {
            return warn!("something about {link}, which is no play's: left alone");
        }
        self.known.learn(learned, clock::boot_ms());
        self.turn();
    }

    /// What is wanted of `lease`.
    #[must_use]
    pub fn wish(&self) -> Wish {
        let wanted = self.configuration.wanted();
        let view = wanted.map(|wanted| View::of(wanted, &self.known, &[], clock::boot_ms()));
        view.map(|view| wish::wish(&view)).unwrap_or_default()
    }

    /// What the daemon with this uid is told; `None`: nothing (yet).
    #[must_use]
    pub fn told(&self, uid: u32) -> Option<Told> {
        let services = self.attachments();
        let view = View::of(self.configuration.wanted()?, &self.known, &services, clock::boot_ms());
        told::told(uid, &view, &self.observed)
    }

    /// The Internet play's lease, and when its address was first seen to stand.
    #[must_use]
    pub fn leased(&self) -> Option<(&Lease, u64)> {
        let wanted = self.configuration.wanted()?;
        match self.known.ipv4(&wanted.frame_link(&wanted.internet)) {
            Way::Leased(lease) => self.applied_ms.map(|(_, applied_ms)| (lease, applied_ms)),
            Way::Unknown | Way::Lost | Way::Session(_) => None,
        }
    }

    /// What is there.
    ///
    /// # Errors
    /// [`Error::Kernel`]: it does not say.
    pub fn observe(&mut self) -> Result<Observed, Error> {
        let settings = self.configuration.shared().map(|wanted| self.target(&wanted).0.settings);
        kernel::observe(&mut self.route, &settings.unwrap_or_default())
    }
}

/// Are these the same prefixes, but for the time that has passed?
fn are_close(before: &(Vec<OnLink>, u64), now: (&[OnLink], u64)) -> bool {
    let passed_s = u32::try_from(now.1.saturating_sub(before.1) / 1_000).unwrap_or(u32::MAX);
    let life = |one: &OnLink| target::Life { preferred_s: one.preferred_s, valid_s: one.valid_s };
    let same = |(old, new): (&OnLink, &OnLink)| {
        old.prefix == new.prefix && life(old).after(passed_s).is_close_to(life(new))
    };
    before.0.len() == now.0.len() && before.0.iter().zip(now.0).all(same)
}
