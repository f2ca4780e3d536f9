//! The wires `show`, `leases` and `clock`, and the kernel's files about links.
//!
//! In:  questions. Out: a [`Network`], or what a change of it has come to. A room that does not answer in time has nothing to say.
//!
//! Source: Documentation/ABI/testing/sysfs-class-net, sysfs-class-net-statistics; memfd_create(2), fcntl(2) `F_ADD_SEALS`.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use contract::limit::WANTED_BYTES;
use contract::show::{self, Answer, Ask};
use contract::wanted::Wanted;
use contract::wires::{CLOCK, LEASES, SHOW, Wire};
use contract::{clock, leases};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use serde::Serialize;
use serde::de::DeserializeOwned;
use wire::Client;

use super::{COUNTERS, Link, Network};

/// How long one answer is waited for, in milliseconds: these rooms answer from memory, or of a few dumps of the kernel's.
const PATIENCE_MS: u16 = 500;
/// How long a change is waited for, in milliseconds: it is made before it is answered.
const CHANGE_MS: u16 = 5_000;
/// Frames of one answer: all leases of the largest home.
const FRAMES_MAX: usize = 4_096;
/// Where the kernel says what it knows of links.
const LINKS: &str = "/sys/class/net";
/// What the memory file of a network is sealed against.
const SEALS: SealFlag = SealFlag::F_SEAL_WRITE.union(SealFlag::F_SEAL_GROW).union(SealFlag::F_SEAL_SHRINK);

/// The wires: each question has a connection of its own.
#[derive(Debug)]
pub struct Lines {
    folder: PathBuf,
}

impl Lines {
    /// Their sockets are in `folder`.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Asks every room.
    #[must_use]
    pub fn look(&self) -> Network {
        let mut network = Network::default();
        self.ask_network(&mut network);
        self.each(LEASES, &leases::Ask::Leases, |answer| match answer {
            leases::Answer::Done => false,
            row @ (leases::Answer::Client { .. }
            | leases::Answer::Session { .. }
            | leases::Answer::Given { .. }
            | leases::Answer::Kept { .. }
            | leases::Answer::Mapping { .. }
            | leases::Answer::Ipv6 { .. }
            | leases::Answer::Told { .. }
            | leases::Answer::Given6 { .. }) => {
                network.leases.push(row);
                true
            }
        });
        self.each(CLOCK, &clock::Ask::Clock, |answer| match answer {
            clock::Answer::Clock(clock) => {
                network.clock = Some(clock);
                true
            }
            clock::Answer::Source(source) => {
                network.sources.push(source);
                true
            }
            clock::Answer::Done => false,
        });
        network
    }

    fn ask_network(&self, network: &mut Network) {
        if let Some((wanted, trial_s)) = self.wanted() {
            network.wanted = Some(Rc::new(wanted));
            network.trial_s = trial_s;
        }
        let mut hear = |answer| match answer {
            Answer::Link(link) => {
                network.links.push(read_link(link));
                true
            }
            Answer::Address(address) => {
                network.addresses.push(address);
                true
            }
            Answer::Route(route) => {
                network.routes.push(route);
                true
            }
            Answer::Traffic(rows) => {
                network.traffic.extend(rows);
                true
            }
            Answer::Row { .. } | Answer::Wan { .. } | Answer::Wanted { .. } => true,
            Answer::Done | Answer::Refused(_) => false,
        };
        self.each(SHOW, &Ask::Found, &mut hear);
        self.each(SHOW, &Ask::Traffic, &mut hear);
    }

    fn wanted(&self) -> Option<(Wanted, u32)> {
        let client = self.dial(SHOW)?;
        client.send(&Ask::Wanted, &[]).ok()?;
        wait(&client, PATIENCE_MS)?;
        let (Answer::Wanted { trial_s }, [file, ..]) = client.receive::<Answer>().ok()?? else { return None };
        let mut file = File::from(file?);
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(0)).ok()?;
        file.take(u64::try_from(WANTED_BYTES).ok()?).read_to_end(&mut bytes).ok()?;
        Some((postcard::from_bytes(&bytes).ok()?, trial_s))
    }

    /// Has another network tried: it is taken back after so many seconds, unless it is confirmed.
    ///
    /// # Errors
    /// Why it was not taken, in words: nothing has changed then.
    pub fn change(&self, wanted: &Wanted, confirm_within_s: u32) -> Result<(), String> {
        let mut bytes = vec![0; WANTED_BYTES];
        let used = postcard::to_slice(wanted, &mut bytes).map_err(|_| "it is too long".to_owned())?;
        let file = sealed(used).map_err(|error| error.to_string())?;
        self.order(&Ask::Change { confirm_within_s }, Some(&file))
    }

    /// What is on trial is kept.
    ///
    /// # Errors
    /// Nothing is on trial any more; or `network` does not answer.
    pub fn confirm(&self) -> Result<(), String> {
        self.order(&Ask::Confirm, None)
    }

    fn order(&self, ask: &Ask, along: Option<&OwnedFd>) -> Result<(), String> {
        let silent = || "network does not answer".to_owned();
        let client = self.dial(SHOW).ok_or_else(silent)?;
        let along: Vec<_> = along.map(AsFd::as_fd).into_iter().collect();
        client.send(ask, &along).map_err(|error| error.to_string())?;
        for _ in 0..FRAMES_MAX {
            wait(&client, CHANGE_MS).ok_or_else(silent)?;
            match client.receive::<Answer>().map_err(|error| error.to_string())? {
                Some((Answer::Done, _)) => return Ok(()),
                Some((Answer::Refused(why), _)) => return Err(why.to_string()),
                // What still differs is tried again by `network` itself.
                Some((
                    Answer::Row { .. }
                    | Answer::Wan { .. }
                    | Answer::Wanted { .. }
                    | Answer::Link(_)
                    | Answer::Address(_)
                    | Answer::Route(_)
                    | Answer::Traffic(_),
                    _,
                )) => {}
                None => break,
            }
        }
        Err(silent())
    }

    fn dial(&self, wire: Wire) -> Option<Client> {
        Client::dial_at(wire, &self.folder.join(wire.name)).ok()
    }

    /// Asks, and gives each answer to `hear` until it says that it was the last.
    fn each<A: Serialize, R: DeserializeOwned>(&self, wire: Wire, ask: &A, mut hear: impl FnMut(R) -> bool) {
        let Some(client) = self.dial(wire).filter(|client| client.send(ask, &[]).is_ok()) else { return };
        for _ in 0..FRAMES_MAX {
            if wait(&client, PATIENCE_MS).is_none() {
                return;
            }
            let Ok(Some((answer, _))) = client.receive::<R>() else { return };
            if !hear(answer) {
                return;
            }
        }
    }
}

fn wait(client: &Client, patience_ms: u16) -> Option<()> {
    sys::descriptor::wait_readable(client.as_fd(), patience_ms).ok().filter(|comes| *comes).map(|_| ())
}

fn sealed(bytes: &[u8]) -> std::io::Result<OwnedFd> {
    let memory = memfd_create(c"network", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
    let mut memory = File::from(memory);
    memory.write_all(bytes)?;
    fcntl(&memory, FcntlArg::F_ADD_SEALS(SEALS | SealFlag::F_SEAL_SEAL))?;
    Ok(memory.into())
}

/// What the kernel's files add to a link.
fn read_link(link: show::Link) -> Link {
    let folder = Path::new(LINKS).join(link.name.as_str());
    let says = |file: &str| fs::read_to_string(folder.join(file)).unwrap_or_default().trim().to_owned();
    let mac = says("address");
    Link {
        carrier: says("carrier") == "1",
        mac: if mac.len() == "00:00:00:00:00:00".len() { mac } else { String::new() },
        // A link that does not know says -1, or nothing.
        mbit_s: says("speed").parse().unwrap_or(0),
        duplex: says("duplex") == "full",
        counters: COUNTERS.map(|name| says(&format!("statistics/{name}")).parse().unwrap_or(0)),
        name: link.name.to_string(),
        up: link.up,
        bridge: link.bridge.to_string(),
        mtu: link.mtu,
    }
}
