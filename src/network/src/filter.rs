//! The firewall in the kernel: is it there, is it as wanted, replace it; and forwarding, which is on only behind it.
//!
//! In:  a `Table`. Out: that table in the kernel, in one step.
//!
//! Source: nft(8); Documentation/networking/ip-sysctl.rst, `ip_forward`, `conf/all/forwarding`.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;

use log::{info, warn};
use sys::Errno;

use crate::Error;
use crate::ruleset::{self, Listed, Table};
use crate::socket::Socket;

/// Whether packets are passed on. The rights over the network are enough to write it (net/sysctl_net.c, `net_ctl_permissions`).
const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";
/// The same for IPv6; a kernel without it has no such file. Behind it the kernel believes no router's advertisement either.
const FORWARDING6: &str = "/proc/sys/net/ipv6/conf/all/forwarding";
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
    /// Has the kernel flowtables? `None`: it was not asked yet.
    short: Option<bool>,
}

impl Filter {
    /// The firewall of our own namespace.
    #[must_use]
    pub fn open() -> Self {
        Self { socket: Socket::filter().ok(), made: None, seen: None, short: None }
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
        let (kind, body) = ruleset::list_flowtables();
        let flowtables = socket.dump(kind, &body)?;
        let (kind, body) = ruleset::list_sets();
        let sets = socket.dump(kind, &body)?;
        let mut elements = BTreeMap::new();
        for name in sets.iter().filter_map(|set| ruleset::set_name(set)) {
            let (kind, body) = ruleset::list_elements(name);
            let messages = socket.dump(kind, &body)?;
            let all = messages.iter().flat_map(|message| ruleset::elements(message)).collect();
            elements.insert(name.to_owned(), all);
        }
        Ok(Some(Listed { sets, flowtables, chains, rules, elements }))
    }

    /// Has the kernel flowtables? It is asked once.
    #[must_use]
    pub fn goes_short(&mut self) -> bool {
        if self.short.is_none() {
            let tried = self.try_flowtable();
            if let Err(errno) = tried {
                info!(
                    "firewall: this kernel has no flowtables ({}): every packet takes the long way",
                    errno.desc()
                );
            }
            // One that did not come to an end says nothing.
            self.short = match tried {
                Ok(()) => Some(true),
                Err(Errno::ERESTART | Errno::ETIMEDOUT | Errno::EPERM) => None,
                Err(_) => Some(false),
            };
        }
        self.short.unwrap_or(false)
    }

    fn try_flowtable(&mut self) -> Result<(), Errno> {
        let generation = self.generation()?;
        self.send(generation, ruleset::TRIAL_MESSAGES, |generation, first| {
            Some(ruleset::try_flowtable(generation, first))
        })
    }

    /// Is what is listed this table?
    #[must_use]
    pub fn is(&self, table: &Table, listed: &Listed) -> bool {
        table.is(listed) || as_many(table, listed) && self.made == Some((mark(table), mark(listed)))
    }

    /// Puts `table` in the place of what is there; where only elements of its sets differ, only these change. Returns whether it was
    /// replaced.
    ///
    /// # Errors
    /// [`Error::Kernel`]: it was refused, and what was there still is.
    pub fn replace(&mut self, table: &Table) -> Result<bool, Error> {
        let mut tried = Err(Errno::ERESTART);
        for _ in 0..TRIES_MAX {
            if tried == Err(Errno::ERESTART) {
                tried = self.try_once(table);
            }
        }
        let replaced = tried.map_err(Error::kernel("firewall: not replaced"))?;
        let listed = self.listed()?.unwrap_or_default();
        if !self.is(table, &listed) {
            warn!("firewall: taken, but the kernel lists it in other words than expected");
        }
        self.made = Some((mark(table), mark(&listed)));
        self.saw(&listed);
        Ok(replaced)
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

    fn try_once(&mut self, table: &Table) -> Result<bool, Errno> {
        let generation = self.generation()?;
        // Listed after the generation was asked: if somebody changes something from now on, the batch is refused.
        let listed = self.try_listed()?;
        if let Some(listed) = listed.filter(|listed| table.is_built_so(listed)) {
            self.send(generation, table.messages(), |generation, first| {
                table.amend(&listed, generation, first)
            })?;
            return Ok(false);
        }
        self.send(generation, table.messages(), |generation, first| Some(table.batch(generation, first)))?;
        Ok(true)
    }

    fn generation(&mut self) -> Result<u32, Errno> {
        let (kind, body) = ruleset::ask_generation();
        let answer = self.socket()?.get(kind, &body)?;
        ruleset::generation(&answer).ok_or(Errno::EBADMSG)
    }

    /// Sends the batch that `make` makes of a generation and a first number; none, where there is nothing to change.
    fn send(
        &mut self,
        generation: u32,
        messages: u32,
        make: impl FnOnce(u32, u32) -> Option<(Vec<u8>, u32)>,
    ) -> Result<(), Errno> {
        let socket = self.socket()?;
        let first = socket.numbers(messages);
        match make(generation, first) {
            Some((batch, last)) => socket.batch(&batch, first, last),
            None => Ok(()),
        }
    }
}

/// A kernel that lists a table in other words than ours lists as many of each.
fn as_many(table: &Table, listed: &Listed) -> bool {
    let asked = (table.sets.len(), table.chains.len(), table.rules.len());
    asked == (listed.sets.len(), listed.chains.len(), listed.rules.len())
}

fn mark<T: Hash>(value: &T) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Are packets passed on, of both families?
#[must_use]
pub fn forwards() -> bool {
    all_say("1")
}

/// Is no packet passed on, of either family?
#[must_use]
pub fn forwards_none() -> bool {
    all_say("0")
}

fn all_say(word: &str) -> bool {
    let says = |text: String| text.trim() == word;
    let ipv6 = fs::read_to_string(FORWARDING6);
    fs::read_to_string(FORWARDING).is_ok_and(says) && (is_missing(&ipv6) || ipv6.is_ok_and(says))
}

/// Passes packets on, or does not.
///
/// # Errors
/// [`Error::Kernel`]: we may not say.
pub fn set_forwarding(on: bool) -> Result<(), Error> {
    let write = |path| {
        let written = fs::write(path, if on { "1" } else { "0" });
        if path == FORWARDING6 && is_missing(&written) {
            return Ok(());
        }
        written
            .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))
            .map_err(Error::kernel(path))
    };
    write(FORWARDING).and(write(FORWARDING6))
}

fn is_missing<T>(result: &io::Result<T>) -> bool {
    result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}
