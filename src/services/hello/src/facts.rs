//! All that the page tells, looked up for one visit.
//!
//! In:  the visit. Out: what the kernel says now. Nothing is kept from one visit to the next.
//!
//! Not here: words and shapes (`page`, `json`).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::gateway::Told;
use crate::kernel::cgroup::{self, Cgroup};
use crate::kernel::links::{self, Link};
use crate::kernel::machine::{self, Names, State};
use crate::kernel::mounts::{self, Mount};
use crate::kernel::namespaces::{self, Namespace};
use crate::kernel::process::{self, Limit, Range, Status};
use crate::kernel::{Listed, Seen};
use crate::probe::{self, Answer};

/// All that the page tells.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The end of the connection that is here.
    pub local: SocketAddr,
    /// The visitor's end.
    pub peer: SocketAddr,
    /// How long it has been serving.
    pub uptime: Duration,
    /// Connections since then, this one included.
    pub visits: u64,
    /// This process.
    pub own: Seen<Status>,
    /// Which users outside its own are.
    pub users: Seen<Vec<Range>>,
    /// Which groups outside its own are.
    pub groups: Seen<Vec<Range>>,
    /// Every process that it sees, by number.
    pub processes: Seen<Listed<(u32, Seen<Status>)>>,
    /// The namespaces that it is in.
    pub namespaces: Vec<Namespace>,
    /// Its resource limits.
    pub limits: Seen<Vec<Limit>>,
    /// Its resource group.
    pub cgroup: Cgroup,
    /// Its file systems.
    pub mounts: Seen<Listed<Mount>>,
    /// Its network links.
    pub links: Seen<Listed<Link>>,
    /// Its addresses.
    pub addresses: Seen<Listed<IpAddr>>,
    /// Names of machine and kernel.
    pub names: Seen<Names>,
    /// The machine's state.
    pub state: Seen<State>,
    /// What it tried, and the answers.
    pub answers: Seen<Vec<Answer>>,
    /// What the operator has set for it.
    pub told: Told,
}

impl Facts {
    /// Looks, and tries.
    #[must_use]
    pub fn look(local: SocketAddr, peer: SocketAddr, uptime: Duration, visits: u64) -> Self {
        Self { answers: probe::ask_a_child(), ..Self::look_only(local, peer, uptime, visits) }
    }

    /// Looks, and tries nothing: there are no answers.
    #[must_use]
    pub fn look_only(local: SocketAddr, peer: SocketAddr, uptime: Duration, visits: u64) -> Self {
        Self {
            local,
            peer,
            uptime,
            visits,
            own: process::status("self"),
            users: process::id_map("uid_map"),
            groups: process::id_map("gid_map"),
            processes: process::all(),
            namespaces: namespaces::all(),
            limits: process::limits(),
            cgroup: cgroup::look(),
            mounts: mounts::all(),
            links: links::links(),
            addresses: links::addresses(),
            names: machine::names(),
            state: machine::state(),
            answers: Ok(Vec::new()),
            told: Told::default(),
        }
    }

    /// Does a sandbox stand around it, as far as that can be told from inside?
    #[must_use]
    pub fn is_confined(&self) -> bool {
        self.own.as_ref().is_ok_and(Status::is_confined)
    }
}
