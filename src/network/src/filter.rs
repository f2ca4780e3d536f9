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
use crate::ruleset::{self, Family, Listed, Table};
use crate::socket::Socket;

/// Whether packets are passed on. The rights over the network are enough to write it (net/sysctl_net.c, `net_ctl_permissions`).
const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";
/// The same for IPv6; a kernel without it has no such file. Behind it the kernel believes no router's advertisement either.
const FORWARDING6: &str = "/proc/sys/net/ipv6/conf/all/forwarding";
/// Somebody else may change another table between our look and our batch; then it is sent again, so often.
const TRIES_MAX: u32 = 8;

/// One table of the firewall's.
#[derive(Debug)]
pub struct Filter {
    /// What it looks at.
    family: Family,
    /// `None` where the kernel has none: then nothing is passed on, and the rest goes on.
    socket: Option<Socket>,
    /// Marks of a table that we have put there and of what was listed then: a kernel that says it in other words than we know does
    /// not make us say it for ever.
    made: Option<(u64, u64)>,
    /// The mark of the last listing that was good.
    seen: Option<u64>,
    /// The mark of a table that was put there and not read back yet, and how many sets, chains, rules it has: the next look does it, which
    /// comes by itself, for a change is news.
    unread: Option<(u64, Counts)>,
    /// The generation before the last look.
    generation: u32,
    /// Has the kernel flowtables? `None`: it was not asked yet.
    short: Option<bool>,
}

impl Filter {
    /// That table of our own namespace.
    #[must_use]
    pub fn open(family: Family) -> Self {
        Self {
            family,
            socket: Socket::filter().ok(),
            made: None,
            seen: None,
            unread: None,
            generation: 0,
            short: None,
        }
    }

    /// What people call it.
    fn name(&self) -> &'static str {
        match self.family {
            Family::Packets => "firewall",
            Family::Frames => "firewall of the home's ports",
        }
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
        let listed = self.look().map_err(Error::kernel(format!("{}: cannot be listed", self.name())))?;
        // It was taken as a whole, so what stands now is that.
        if let Some(listed) =
            listed.as_ref().filter(|listed| self.unread.is_some_and(|(_, count)| count == counts(listed)))
        {
            self.saw(listed);
        }
        Ok(listed)
    }

    /// Looks, after the generation was asked: if somebody changes something from now on, a batch that bears it is refused.
    fn look(&mut self) -> Result<Option<Listed>, Errno> {
        self.generation = self.ask_generation()?;
        self.try_listed()
    }

    fn try_listed(&mut self) -> Result<Option<Listed>, Errno> {
        let family = self.family;
        let socket = self.socket()?;
        let (kind, body) = family.list_chains();
        let mut chains = socket.dump(kind, &body)?;
        chains.retain(|chain| ruleset::is_ours(chain));
        if chains.is_empty() {
            return Ok(None);
        }
        let (kind, body) = family.list_rules();
        let rules = socket.dump(kind, &body)?;
        let (kind, body) = family.list_flowtables();
        let flowtables = socket.dump(kind, &body)?;
        let (kind, body) = family.list_sets();
        let sets = socket.dump(kind, &body)?;
        let mut elements = BTreeMap::new();
        for name in sets.iter().filter_map(|set| ruleset::set_name(set)) {
            let (kind, body) = family.list_elements(name);
            let messages = socket.dump(kind, &body)?;
            let all = messages.iter().flat_map(|message| ruleset::elements(message)).collect();
            elements.insert(name.to_owned(), all);
        }
        Ok(Some(Listed { sets, flowtables, chains, rules, elements }))
    }

    /// Has the kernel flowtables? It is taken to have, until it refuses a table with one.
    #[must_use]
    pub fn goes_short(&self) -> bool {
        self.short.unwrap_or(true)
    }

    /// Asks, unless it is known, whether the kernel has flowtables: where a table was refused, or one stands that has none. Was it asked?
    pub fn asked_short(&mut self) -> bool {
        if self.short.is_some() {
            return false;
        }
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
        true
    }

    fn try_flowtable(&mut self) -> Result<(), Errno> {
        self.generation = self.ask_generation()?;
        self.send(ruleset::TRIAL_MESSAGES, |generation, first| {
            Some(ruleset::try_flowtable(generation, first))
        })
    }

    /// Is what is listed this table?
    #[must_use]
    pub fn is(&mut self, table: &Table, listed: &Listed) -> bool {
        let fresh = self.unread.take().is_some_and(|(made, _)| made == mark(table));
        if table.is(listed) {
            return true;
        }
        if fresh && as_many(table, listed) {
            warn!("{}: taken, but the kernel lists it in other words than expected", self.name());
            self.made = Some((mark(table), mark(listed)));
        }
        as_many(table, listed) && self.made == Some((mark(table), mark(listed)))
    }

    /// Puts `table` in the place of what is there, which was `listed` last; where only elements of its sets differ, only these change.
    /// Returns whether it was replaced.
    ///
    /// It is one transaction, so what was taken stands; it is read back at the next look.
    ///
    /// # Errors
    /// [`Error::Kernel`]: it was refused, and what was there still is.
    pub fn replace(&mut self, table: &Table, listed: Option<Listed>) -> Result<bool, Error> {
        let mut tried = self.try_once(table, listed);
        for _ in 1..TRIES_MAX {
            if tried == Err(Errno::ERESTART) {
                tried = self.look().and_then(|listed| self.try_once(table, listed));
            }
        }
        let replaced = tried.map_err(Error::kernel(format!("{}: not replaced", self.name())))?;
        let count = (table.sets.len(), table.chains.len(), table.rules.len());
        self.unread = Some((mark(table), count));
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

    fn try_once(&mut self, table: &Table, listed: Option<Listed>) -> Result<bool, Errno> {
        if let Some(listed) = listed.as_ref().filter(|listed| table.is_built_so(listed)) {
            self.send(table.messages(), |generation, first| table.amend(listed, generation, first))?;
            return Ok(false);
        }
        let knows = self.short.is_some();
        let mut send = |stands| {
            self.send(table.messages(), |generation, first| Some(table.batch(stands, generation, first)))
        };
        match send(listed.is_some()) {
            // A table without chains is not listed, and yet in the way. Where it may be the flowtable, that is asked first.
            Err(errno) if listed.is_none() && knows && errno != Errno::ERESTART => send(true)?,
            sent => sent?,
        }
        Ok(true)
    }

    fn ask_generation(&mut self) -> Result<u32, Errno> {
        let (kind, body) = ruleset::ask_generation();
        let answer = self.socket()?.get(kind, &body)?;
        ruleset::generation(&answer).ok_or(Errno::EBADMSG)
    }

    /// Sends the batch that `make` makes of the generation of the last look and a first number; none, where there is nothing to change.
    fn send(
        &mut self,
        messages: u32,
        make: impl FnOnce(u32, u32) -> Option<(Vec<u8>, u32)>,
    ) -> Result<(), Errno> {
        let generation = self.generation;
        let socket = self.socket()?;
        let first = socket.numbers(messages);
        match make(generation, first) {
            Some((batch, last)) => socket.batch(&batch, first, last),
            None => Ok(()),
        }
    }
}

/// How many sets, chains, rules.
type Counts = (usize, usize, usize);

fn counts(listed: &Listed) -> Counts {
    (listed.sets.len(), listed.chains.len(), listed.rules.len())
}

/// A kernel that lists a table in other words than ours lists as many of each.
fn as_many(table: &Table, listed: &Listed) -> bool {
    (table.sets.len(), table.chains.len(), table.rules.len()) == counts(listed)
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
