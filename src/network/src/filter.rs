//! The firewall in the kernel: is it there, is it as wanted, replace it; and forwarding, which is on only behind it.
//!
//! In:  a `Table`. Out: that table in the kernel, in one step.
//!
//! Source: nft(8); Documentation/networking/ip-sysctl.rst, `ip_forward`.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};

use log::warn;
use sys::Errno;

use crate::Error;
use crate::ruleset::{self, Listed, Table};
use crate::socket::Socket;

/// Whether packets are passed on. The rights over the network are enough to write it (net/sysctl_net.c, `net_ctl_permissions`).
const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";
/// Somebody else may change another table between our look and our batch; then it is sent again, so often.
const TRIES_MAX: u32 = 8;

/// The firewall.
#[derive(Debug)]
pub struct Filter {
    /// `None` where the kernel has none: then nothing is passed on, and the rest goes on.
    socket: Option<Socket>,
    /// Marks of a table that we have put there and of what was listed then: a kernel that says it in other words than we know does
    /// not make us say it for ever.
    made: Option<(u64, u64)>,
    /// The mark of the last listing that was good.
    seen: Option<u64>,
}

impl Filter {
    /// The firewall of our own namespace.
    #[must_use]
    pub fn open() -> Self {
        Self { socket: Socket::filter().ok(), made: None, seen: None }
    }

    fn socket(&mut self) -> Result<&mut Socket, Errno> {
        if self.socket.is_none() {
            self.socket = Some(Socket::filter()?); // Its module may have come meanwhile.
        }
        self.socket.as_mut().ok_or(Errno::EPROTONOSUPPORT)
    }

    /// What is there of our table; `None`: nothing.
    ///
    /// # Errors
    /// [`Error::Kernel`]: a kernel without nftables, or rights that we do not have.
    pub fn listed(&mut self) -> Result<Option<Listed>, Error> {
        self.try_listed().map_err(Error::kernel("firewall: cannot be listed"))
    }

    fn try_listed(&mut self) -> Result<Option<Listed>, Errno> {
        let socket = self.socket()?;
        let (kind, body) = ruleset::list_chains();
        let mut chains = socket.dump(kind, &body)?;
        chains.retain(|chain| ruleset::is_ours(chain));
        if chains.is_empty() {
            return Ok(None);
        }
        let (kind, body) = ruleset::list_rules();
        let rules = socket.dump(kind, &body)?;
        Ok(Some(Listed { chains, rules }))
    }

    /// Is what is listed this table?
    #[must_use]
    pub fn is(&self, table: &Table, listed: &Listed) -> bool {
        let as_many = (listed.chains.len(), listed.rules.len()) == (table.chains.len(), table.rules.len());
        table.is(listed) || as_many && self.made == Some((mark(table), mark(listed)))
    }

    /// Puts `table` in the place of what is there.
    ///
    /// # Errors
    /// [`Error::Kernel`]: it was refused, and what was there still is.
    pub fn replace(&mut self, table: &Table) -> Result<(), Error> {
        let mut tried = Err(Errno::ERESTART);
        for _ in 0..TRIES_MAX {
            if tried == Err(Errno::ERESTART) {
                tried = self.try_once(table);
            }
        }
        tried.map_err(Error::kernel("firewall: not replaced"))?;
        let listed = self.listed()?.unwrap_or_default();
        if !self.is(table, &listed) {
            warn!("firewall: taken, but the kernel lists it in other words than expected");
        }
        self.made = Some((mark(table), mark(&listed)));
        self.saw(&listed);
        Ok(())
    }

    /// Notes that what is listed is good.
    pub fn saw(&mut self, listed: &Listed) {
        self.seen = Some(mark(listed));
    }

    /// Does the last one that was good still stand, as it was?
    #[must_use]
    pub fn is_as_last_seen(&mut self) -> bool {
        self.seen.is_some()
            && self.listed().is_ok_and(|listed| listed.map(|listed| mark(&listed)) == self.seen)
    }

    fn try_once(&mut self, table: &Table) -> Result<(), Errno> {
        let socket = self.socket()?;
        let (kind, body) = ruleset::ask_generation();
        let answer = socket.get(kind, &body)?;
        let generation = ruleset::generation(&answer).ok_or(Errno::EBADMSG)?;
        let first = socket.numbers(table.messages());
        let (batch, last) = table.batch(generation, first);
        socket.batch(&batch, first, last)
    }
}

fn mark<T: Hash>(value: &T) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Are packets passed on?
#[must_use]
pub fn forwards() -> bool {
    fs::read_to_string(FORWARDING).is_ok_and(|text| text.trim() == "1")
}

/// Passes packets on, or does not.
///
/// # Errors
/// [`Error::Kernel`]: we may not say.
pub fn set_forwarding(on: bool) -> Result<(), Error> {
    let written = fs::write(FORWARDING, if on { "1" } else { "0" });
    written
        .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))
        .map_err(Error::kernel(FORWARDING))
}
