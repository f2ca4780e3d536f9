//! Our end of the wire `resolve`: the names of the home's hosts, for `names`.
//!
//! In:  every side's names. Out: all of them, at each connection and at each change.
//!
//! A name is one label (RFC 1035 §2.3.1) of what the host calls itself. Of two hosts with one name the first keeps it, and the other has
//! none; the two families of one host share one. Nobody is called as what others are looked for by mistake ([`RESERVED`]).
//!
//! Nothing here waits. Where nobody listens nothing is kept: at the next connection all is said as it is then.

use std::os::fd::{AsFd, BorrowedFd};

use contract::limit::LOCAL_NAMES;
use contract::name::Text;
use contract::resolve::{Ask, Local, NAMES_A_FRAME};
use contract::wires::RESOLVE;
use log::{info, warn};
use wire::Client;

use crate::schedule::is_due;

/// The time from one dialling to the next, in milliseconds.
const DIAL_EVERY_MS: u64 = 2_000;
/// Names that no host may take: `localhost` is everybody's own (RFC 6761 §6.3); the other two are asked for by hosts that look for a
/// proxy or a tunnel, and would believe whoever has them (CERT VU#598349).
const RESERVED: [&str; 3] = ["localhost", "wpad", "isatap"];

/// The wire, connected or not.
#[derive(Debug, Default)]
pub struct Locals {
    client: Option<Client>,
    /// When to dial, where it is not connected.
    dial_ms: u64,
    /// The log has said that somebody is there.
    said: bool,
}

impl Locals {
    /// What it waits for: the end of the connection.
    #[must_use]
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.client.as_ref().map(AsFd::as_fd)
    }

    /// When it has something to do, in milliseconds after boot.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        self.client.is_none().then_some(self.dial_ms)
    }

    /// Dials if it is time. Is there a new connection, so that all names have to be said?
    pub fn dial(&mut self, now_ms: u64) -> bool {
        // Nothing comes back but the end.
        if let Some(client) = &self.client
            && client.receive::<contract::resolve::Answer>().is_err()
        {
            self.client = None;
        }
        if !is_due(self.due_ms(), now_ms) {
            return false;
        }
        self.dial_ms = now_ms.saturating_add(DIAL_EVERY_MS);
        self.client = Client::dial(RESOLVE).ok();
        if self.client.is_some() && !std::mem::replace(&mut self.said, true) {
            info!("local names are told to names");
        }
        self.client.is_some()
    }

    /// Says all names, in as many frames as it takes.
    pub fn say(&mut self, locals: &[Local]) {
        let Some(client) = &self.client else { return };
        let none: &[Local] = &[];
        // Where there are none, that is said too.
        let frames = locals.chunks(NAMES_A_FRAME).chain([none].into_iter().filter(|_| locals.is_empty()));
        for (number, frame) in frames.enumerate() {
            let ask = Ask::Local { first: number == 0, names: frame.iter().cloned().collect() };
            if let Err(error) = client.send(&ask, &[]) {
                warn!("names does not listen: {error}");
                self.client = None;
                return;
            }
        }
    }
}

/// The names in `all` that count: as labels, each of one host only, no more than `names` takes.
#[must_use]
pub fn choose(all: impl IntoIterator<Item = Local>) -> Vec<Local> {
    let mut chosen: Vec<Local> = Vec::new();
    for local in all {
        let name = label(&local.name);
        let taken = chosen.iter().any(|other| other.name == name && other.mac != local.mac);
        let twice = chosen.iter().any(|other| other.name == name && other.address == local.address);
        if !name.is_empty() && !taken && !twice && chosen.len() < LOCAL_NAMES {
            chosen.push(Local { name, ..local });
        }
    }
    chosen
}

/// The label in what a host calls itself: up to the first point, in lower case, of letters, digits and `-` inside. Empty: there is none.
#[must_use]
pub fn label(name: &str) -> Text<63> {
    let first = name.split('.').next().unwrap_or_default();
    let plain = first.chars().filter(|letter| letter.is_ascii_alphanumeric() || *letter == '-');
    let plain: String = plain.map(|letter| letter.to_ascii_lowercase()).take(63).collect();
    let label = plain.trim_matches('-');
    if RESERVED.contains(&label) { Text::default() } else { Text::from(label) }
}

#[cfg(test)]
mod tests {
    use super::{choose, label};
    use contract::mac::Mac;
    use contract::resolve::Local;

    #[test]
    fn a_label_is_harmless() {
        let table = [
            ("laptop", "laptop"),
            ("Anna's iPhone", "annasiphone"),
            ("nas.home.arpa", "nas"),
            ("-x-", "x"),
            ("??31m", "31m"),
            ("b??r", "br"),
            ("wpad", ""),
            ("LOCALHOST", ""),
            ("...", ""),
            ("", ""),
        ];
        for (name, want) in table {
            assert_eq!(label(name).as_str(), want, "{name}");
        }
        assert_eq!(label(&"a".repeat(64)).len(), 63);
    }

    #[test]
    fn the_first_keeps_its_name() {
        let local = |name: &str, number, address: &str| Local {
            name: name.into(),
            address: address.parse().unwrap(),
            mac: Mac([2, 0, 0, 0, 0, number]),
            link: "lan".into(),
        };
        let all = [
            local("tv", 1, "192.168.1.5"),
            local("TV.home", 2, "192.168.1.6"),
            local("tv", 1, "2001:db8::5"),
            local("tv", 1, "192.168.1.5"),
            local("wpad", 3, "192.168.1.7"),
        ];
        let chosen: Vec<String> =
            choose(all).iter().map(|local| format!("{} {}", local.name, local.address)).collect();
        assert_eq!(chosen, ["tv 192.168.1.5", "tv 2001:db8::5"]);
    }
}
