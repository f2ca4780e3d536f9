//! Orders for bad neighbours, from a host at home to their port on the gateway.
//!
//! In:  a topology, a port, a word of `src/services/chatter/src/antagonist.rs`. Out: the neighbour does it; its log says when it is done.

#![allow(dead_code, reason = "no test needs all of it")]

use std::io::Write;
use std::process::{Child, Stdio};

use lab::topology::{Side, Topology};

/// The port of the neighbour whose ceilings are none.
pub(crate) const WILD: u16 = 7001;
/// The port of the neighbour with usual ceilings.
pub(crate) const TAME: u16 = 7002;

/// A connection to one of them. What it does goes on when this is dropped.
pub(crate) struct Orders(Child);

impl Orders {
    /// Connects; the neighbour is up.
    pub(crate) fn open(topology: &Topology, port: u16) -> Self {
        let mut command = topology.command(Side::Lan, &["busybox", "nc", "192.168.1.1", &port.to_string()]);
        Self(command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap())
    }

    /// Lets it do that for so many seconds.
    pub(crate) fn rage(&mut self, seconds: u64, antagonist: &str) {
        self.0.stdin.as_mut().unwrap().write_all(format!("do {seconds} {antagonist}\n").as_bytes()).unwrap();
    }
}

impl Drop for Orders {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The first word of an antagonist.
pub(crate) fn told(antagonist: &str) -> &str {
    antagonist.split(' ').next().unwrap_or_default()
}
