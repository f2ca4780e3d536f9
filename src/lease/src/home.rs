//! One network at home: everything that gives addresses on one link.
//!
//! In:  one of the wish's servers. Out: its sides, for the loop.
//!
//! A protocol hangs in as it does with a play (`play.rs`): a type that is a [`Side`]; a field of [`Home`]; its lines in [`Home::want`],
//! [`Home::sides`] and [`Home::sides_mut`].

use contract::learn::Server;
use contract::wanted::{LanIpv6, LinkName};
use log::info;
use state::Folder;

use crate::lan::Lan;
use crate::pcp::Mapper;
use crate::side::Side;
use crate::six;

/// Sides that one network can have: DHCPv4, IPv6, PCP.
pub const HOME_SIDES: usize = 3;

/// One network at home.
#[derive(Debug)]
pub struct Home {
    wanted: Server,
    lan: Option<Lan>,
    six: Option<six::lan::Lan>,
    mapper: Option<Mapper>,
    /// Where IPv6 keeps what outlives a boot.
    folder: Folder,
}

impl Home {
    /// A network of which nothing is wanted yet; `folder` is the daemon's on the data disk.
    #[must_use]
    pub fn new(wanted: &Server, folder: &Folder) -> Self {
        let link = wanted.link.clone();
        Self {
            wanted: Server::silent(link, wanted.address, wanted.prefix_length),
            lan: None,
            six: None,
            mapper: None,
            folder: folder.clone(),
        }
    }

    /// Its link.
    #[must_use]
    pub fn link(&self) -> &LinkName {
        &self.wanted.link
    }

    /// Wants this of it. What it does not change goes on.
    pub fn want(&mut self, wanted: &Server, now_ms: u64) {
        match (&mut self.lan, wanted.pool) {
            (lan, None) => *lan = None,
            (Some(lan), Some(_)) => lan.want(wanted.clone()),
            (lan @ None, Some(_)) => {
                info!("{}: leases are given, as {}", wanted.link, wanted.address);
                *lan = Some(Lan::new(wanted.clone()));
            }
        }
        match (&mut self.six, wanted.ipv6) {
            (six, LanIpv6::None) => *six = None,
            (Some(six), LanIpv6::Stateless | LanIpv6::Stateful) => six.want(wanted.clone(), now_ms),
            (six @ None, LanIpv6::Stateless | LanIpv6::Stateful) => {
                *six = Some(six::lan::Lan::new(wanted.clone(), &self.folder, now_ms));
            }
        }
        match (&mut self.mapper, &wanted.pcp) {
            (mapper, None) => *mapper = None,
            (Some(mapper), Some(_)) => mapper.want(wanted.clone(), now_ms),
            (mapper @ None, Some(_)) => *mapper = Some(Mapper::new(wanted.clone(), now_ms)),
        }
        self.wanted = wanted.clone();
    }

    /// Its sides.
    pub fn sides(&self) -> impl Iterator<Item = &dyn Side> {
        let six = self.six.iter().map(|six| -> &dyn Side { six });
        let mapper = self.mapper.iter().map(|mapper| -> &dyn Side { mapper });
        self.lan.iter().map(|lan| -> &dyn Side { lan }).chain(six).chain(mapper)
    }

    /// Its sides, to be told something.
    pub fn sides_mut(&mut self) -> impl Iterator<Item = &mut dyn Side> {
        let six = self.six.iter_mut().map(|six| -> &mut dyn Side { six });
        let mapper = self.mapper.iter_mut().map(|mapper| -> &mut dyn Side { mapper });
        self.lan.iter_mut().map(|lan| -> &mut dyn Side { lan }).chain(six).chain(mapper)
    }

    /// The DHCPv4 server.
    #[must_use]
    pub fn lan(&self) -> Option<&Lan> {
        self.lan.as_ref()
    }

    /// The DHCPv4 server, to be told something.
    pub fn lan_mut(&mut self) -> Option<&mut Lan> {
        self.lan.as_mut()
    }
}
