//! One play: everything that gets addresses on one link of the operator's side.
//!
//! In:  one of the wish's clients, and the descriptors that came with the wish. Out: its sides, for the loop.
//!
//! How a protocol hangs in: a type that is a [`Side`]; a field of [`Play`]; its lines in [`Play::want`] (made where it is wanted, dropped
//! where it is not, told where its wish has changed), in [`Play::sides`] and in [`Play::sides_mut`]. What one side has to know of another
//! is passed on in [`Play::agree`], which the loop calls after every turn.

use contract::learn::{Client, Ipv6Wish};
use contract::wanted::LinkName;
use log::info;
use state::Folder;
use sys::seqpacket::Descriptors;

use crate::ppp::line::Line;
use crate::side::Side;
use crate::six;
use crate::usp::Device;
use crate::wan::Wan;

/// Sides that one play can have: DHCPv4, IPv6, PPPoE.
pub const PLAY_SIDES: usize = 3;

/// One play.
#[derive(Debug)]
pub struct Play {
    wanted: Client,
    wan: Option<Wan>,
    ppp: Option<Line>,
    six: Option<six::wan::Wan>,
    /// Where IPv6 keeps what outlives a boot.
    folder: Folder,
    /// Who we are, once it is known.
    device: Option<Device>,
}

impl Play {
    /// A play of which nothing is wanted yet; `folder` is the daemon's on the data disk.
    #[must_use]
    pub fn new(link: LinkName, folder: &Folder) -> Self {
        Self {
            wanted: Client::silent(link),
            wan: None,
            ppp: None,
            six: None,
            folder: folder.clone(),
            device: None,
        }
    }

    /// The link that carries its frames.
    #[must_use]
    pub fn link(&self) -> &LinkName {
        &self.wanted.link
    }

    /// Wants this of it. What it does not change goes on. `gifts` came with the wish; a side takes those that are its own.
    pub fn want(&mut self, wanted: &Client, gifts: &mut Descriptors, now_ms: u64) {
        if !wanted.ipv4 {
            self.wan = None;
        } else if self.wan.is_none() || self.wanted.dhcp != wanted.dhcp {
            // Whoever calls itself otherwise gets a lease of its own; `network` keeps the old one until there is a new one.
            info!("{}: a lease is wanted", wanted.link);
            self.wan = Some(Wan::new(wanted.link.clone(), wanted.dhcp.clone()));
        }
        // A session with other words is another session.
        self.ppp = self.ppp.take().filter(|line| line.serves(wanted));
        if let Some(pppoe) = &wanted.pppoe {
            let line = self.ppp.get_or_insert_with(|| {
                info!("{}: a PPPoE session is wanted", wanted.link);
                Line::new(wanted.link.clone(), pppoe, wanted.ipv6)
            });
            line.take(gifts, now_ms);
        }
        // Over a session it is another link.
        let over_ppp = wanted.pppoe.is_some();
        let stays = |six: &six::wan::Wan| wanted.ipv6 != Ipv6Wish::None && six.is_over_ppp() == over_ppp;
        self.six = self.six.take().filter(stays);
        if wanted.ipv6 != Ipv6Wish::None {
            let made = || six::wan::Wan::new(wanted.link.clone(), &self.folder, over_ppp);
            self.six.get_or_insert_with(made).want(wanted.ipv6, wanted.dhcp.usp);
        }
        self.wanted = wanted.clone();
        self.introduce_sides();
    }

    /// Are servers to be told who we are, and is it not known yet?
    #[must_use]
    pub fn asks_who_we_are(&self) -> bool {
        self.wanted.dhcp.device && self.device.is_none()
    }

    /// This is who we are.
    pub fn introduce(&mut self, device: &Device) {
        self.device = Some(device.clone());
        self.introduce_sides();
    }

    fn introduce_sides(&mut self) {
        let device = self.device.clone().filter(|_| self.wanted.dhcp.device).unwrap_or_default();
        self.wan.iter_mut().for_each(|wan| wan.introduce(&device));
        self.six.iter_mut().for_each(|six| six.introduce(&device));
    }

    /// Its sides.
    pub fn sides(&self) -> impl Iterator<Item = &dyn Side> {
        let six = self.six.iter().map(|six| -> &dyn Side { six });
        let ppp = self.ppp.iter().map(|line| -> &dyn Side { line });
        self.wan.iter().map(|wan| -> &dyn Side { wan }).chain(ppp).chain(six)
    }

    /// Its sides, to be told something.
    pub fn sides_mut(&mut self) -> impl Iterator<Item = &mut dyn Side> {
        let six = self.six.iter_mut().map(|six| -> &mut dyn Side { six });
        let ppp = self.ppp.iter_mut().map(|line| -> &mut dyn Side { line });
        self.wan.iter_mut().map(|wan| -> &mut dyn Side { wan }).chain(ppp).chain(six)
    }

    /// What one side has learned the others are told.
    pub fn agree(&mut self, now_ms: u64) {
        let session = self.ppp.as_ref().and_then(Line::told);
        if let Some(six) = &mut self.six {
            six.session(session.as_ref(), now_ms);
        }
    }

    /// The PPPoE session: what runs over it has its link by [`Line::told`].
    #[must_use]
    pub fn ppp(&self) -> Option<&Line> {
        self.ppp.as_ref()
    }

    /// The DHCPv4 client.
    #[must_use]
    pub fn wan(&self) -> Option<&Wan> {
        self.wan.as_ref()
    }
}
