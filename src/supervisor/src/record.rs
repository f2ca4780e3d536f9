//! What the next life of the supervisor must know of a process and cannot see: a memory file in PID 1's store.
//!
//! In:  a `Record`. Out: the same. It is written whole, in one call, before anything counts on it.

use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;

use contract::control::{Exit, Facts, State};
use contract::frame;
use contract::installed::Service;
use contract::layer::Layers;
use contract::limit::{REASON_BYTES, SLICES};
use contract::slice::{Slice, Slices};
use contract::{Name, Text};
use nix::sys::uio::{pread, pwrite};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sys::seqpacket;

use crate::Error;
use crate::ledger::Ledger;
use crate::overlap::Part;
use crate::trial::Trial;

/// A record as bytes, at most: less than a page, so that a write is whole or not there.
const BYTES: usize = 1024;
/// A ledger as bytes, at most; with the record in front of it, a page.
const LEDGER_BYTES: usize = 3 * 1024;
const LEDGER_AT: i64 = 1024;
/// What a bundle's service is, as bytes, at most: a page of its own, so that this write is whole or not there, too.
const BUNDLE_BYTES: usize = 4 * 1024;
const BUNDLE_AT: i64 = 4 * 1024;
/// Slices as bytes, at most, with what was ordered of them.
const RENTED_BYTES: usize = 3 * 1024;

/// What is known of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Where it is in its life.
    pub state: State,
    /// It is to run.
    pub wanted: bool,
    /// It is to run when its times of the day come: no order has stopped it.
    pub scheduled: bool,
    /// What the clock is to say when the next of them comes, in seconds since 1970.
    pub due_s: Option<u64>,
    /// What it said when one had come.
    pub last_due_s: Option<u64>,
    /// Its number, while it runs.
    pub pid: Option<i32>,
    /// When it came into this state, in milliseconds after boot.
    pub since_ms: u64,
    /// When it was last ready.
    pub ready_ms: Option<u64>,
    /// When the time of this state is over.
    pub timer_ms: Option<u64>,
    /// How often it was started again, since it first was or somebody has restarted it: what was ordered does not count.
    pub restarts: u32,
    /// When it last was, in milliseconds after boot.
    pub restarted_ms: Option<u64>,
    /// Deaths that came close upon each other, and when the last one was.
    pub deaths: (u32, u64),
    /// Deadlines that it missed in a row.
    pub missed: u32,
    /// Times in a row that it ended by itself soon after it was started or ready.
    pub crashes: u32,
    /// It is down because it ended by itself, and not by an order.
    pub by_itself: bool,
    /// How it last ended.
    pub exit: Option<Exit>,
    /// Layers that were read back.
    pub layers: Layers,
    /// Its address.
    pub address: Option<Ipv4Addr>,
    /// Why it is as it is.
    pub reason: Text<REASON_BYTES>,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            state: State::Down,
            wanted: false,
            scheduled: false,
            due_s: None,
            last_due_s: None,
            pid: None,
            since_ms: 0,
            ready_ms: None,
            timer_ms: None,
            restarts: 0,
            restarted_ms: None,
            deaths: (0, 0),
            missed: 0,
            crashes: 0,
            by_itself: false,
            exit: None,
            layers: Layers::NONE,
            address: None,
            reason: Text::default(),
        }
    }
}

/// What a bundle's service is: enough to adopt it while package is away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Its slot.
    pub slot: u8,
    /// It is being taken away.
    pub leaves: bool,
    /// It has to prove itself.
    pub trial: Option<Trial>,
    /// Its part, where there are two versions of it.
    pub part: Part,
    /// What package has said of it.
    pub service: Service,
}

/// Slices, and what was ordered of them in this boot: that counts more than what package has kept from an earlier one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Rented {
    /// All that are rented.
    pub slices: Slices,
    /// Orders, the last one of each slice.
    pub orders: heapless::Vec<Order, { 2 * SLICES }>,
    /// The last one, as long as package has not kept it.
    pub pending: Option<Pending>,
}

impl Rented {
    /// The slice of this name.
    #[must_use]
    pub fn of(&self, name: &Name) -> Option<&Slice> {
        self.slices.slice.iter().find(|slice| slice.name == *name)
    }
}

/// An order that is not on the disk yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Of which slice.
    pub slice: Name,
    /// As it was rented before; `None`: it was not.
    pub before: Option<Slice>,
    /// There was no order about it before in this boot, and package was told of none: what it names is what it has kept before.
    pub first: bool,
}

/// An order about a slice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Which.
    pub slice: Name,
    /// It is rented since then, and to be kept so; else nothing is to be kept of it.
    pub rented: bool,
    /// package has kept it.
    pub kept: bool,
}

/// Something that is kept as bytes in a memory file.
pub trait Small: Serialize + DeserializeOwned {}
impl Small for Record {}
impl Small for Facts {}

/// A new file.
///
/// # Errors
/// [`Error::System`]: a table of descriptors is full, or there is no memory.
pub fn file() -> Result<OwnedFd, Error> {
    seqpacket::memory_file(c"record").map_err(|errno| Error::System("no record", errno))
}

/// Writes `what` in place of what was there.
pub fn write<T: Small>(file: &OwnedFd, what: &T) {
    write_at::<T, BYTES>(file, what, 0);
}

/// Reads what was written.
#[must_use]
pub fn read<T: Small>(file: &OwnedFd) -> Option<T> {
    read_at::<T, BYTES>(file, 0)
}

/// Writes a ledger behind the record.
pub fn write_ledger(file: &OwnedFd, ledger: &Ledger) {
    write_at::<_, LEDGER_BYTES>(file, ledger, LEDGER_AT);
}

/// Reads the ledger behind the record.
#[must_use]
pub fn read_ledger(file: &OwnedFd) -> Option<Ledger> {
    read_at::<_, LEDGER_BYTES>(file, LEDGER_AT)
}

/// Writes what a bundle's service is behind the ledger. False: it was not written.
#[must_use]
pub fn write_bundle(file: &OwnedFd, kept: &Kept) -> bool {
    write_at::<_, BUNDLE_BYTES>(file, kept, BUNDLE_AT)
}

/// Reads what a bundle's service is; `None`: it is of none, or was never wholly made.
#[must_use]
pub fn read_bundle(file: &OwnedFd) -> Option<Kept> {
    read_at::<_, BUNDLE_BYTES>(file, BUNDLE_AT)
}

/// Writes slices, in a file of their own.
pub fn write_rented(file: &OwnedFd, rented: &Rented) {
    write_at::<_, RENTED_BYTES>(file, rented, 0);
}

/// Reads slices.
#[must_use]
pub fn read_rented(file: &OwnedFd) -> Option<Rented> {
    read_at::<_, RENTED_BYTES>(file, 0)
}

/// False: it was not written. A memory file takes what it is given; if there were no memory the old one would stay, and the next life
/// would err a little.
fn write_at<T: Serialize, const N: usize>(file: &OwnedFd, what: &T, at: i64) -> bool {
    let mut bytes = [0; N];
    let Some((length, room)) = bytes.split_first_chunk_mut::<2>() else { return false };
    let Ok(used) = frame::encode(what, room).map(<[u8]>::len) else { return false };
    *length = u16::try_from(used).unwrap_or(0).to_ne_bytes();
    let bytes = bytes.get(..used + 2).unwrap_or_default();
    pwrite(file, bytes, at) == Ok(bytes.len())
}

fn read_at<T: DeserializeOwned, const N: usize>(file: &OwnedFd, at: i64) -> Option<T> {
    let mut bytes = [0; N];
    let length = pread(file, &mut bytes, at).ok()?;
    let (used, rest) = bytes.get(..length)?.split_first_chunk::<2>()?;
    frame::decode(rest.get(..usize::from(u16::from_ne_bytes(*used)))?).ok()
}

#[cfg(test)]
mod tests {
    use super::{
        Kept, Ledger, Name, Order, Part, Pending, Record, Rented, SLICES, Service, State, Trial, file, read,
        read_bundle, read_ledger, read_rented, write, write_bundle, write_ledger, write_rented,
    };
    use contract::slice::Slice;

    #[test]
    fn a_ledger_and_a_record_do_not_meet() {
        let kept = file().unwrap();
        let mut ledger = Ledger::default();
        let sample = |at_ms| crate::ledger::Sample { at_ms, wanted: true, ..Default::default() };
        (1..5_000).for_each(|second| assert!(ledger.take(sample(second * 1_000), 10).is_none()));
        write_ledger(&kept, &ledger);
        write(&kept, &Record { reason: "a long reason ".repeat(20).as_str().into(), ..Record::default() });
        assert_eq!(read_ledger(&kept), Some(ledger));
        assert!(read::<Record>(&kept).is_some());
    }

    /// The largest that its types allow: each part is full.
    fn full() -> Kept {
        let text = "x".repeat(200);
        let mut manifest = crate::catalogue::entries().next().unwrap().manifest;
        let long = Name::new("abcdefghijklmnopqrstuvwx").unwrap();
        (manifest.name, manifest.provider) = (long.clone(), long.clone());
        (manifest.summary, manifest.image) = (text.as_str().into(), text.as_str().into());
        manifest.command = std::iter::repeat_n(text.as_str().into(), manifest.command.capacity()).collect();
        manifest.environment =
            std::iter::repeat_n(text.as_str().into(), manifest.environment.capacity()).collect();
        manifest.after = std::iter::repeat_n(long.clone(), manifest.after.capacity()).collect();
        manifest.devices =
            std::iter::repeat_n(contract::manifest::Device::Camera, manifest.devices.capacity()).collect();
        let serve = contract::manifest::Serve {
            name: long,
            protocol: contract::manifest::Protocol::Udp,
            port: u16::MAX,
            to: contract::manifest::Audience::Portal,
            at: u16::MAX,
        };
        manifest.serves = std::iter::repeat_n(serve, manifest.serves.capacity()).collect();
        let reaches = &mut manifest.reaches;
        let prefix = contract::prefix::Prefix::host(std::net::Ipv6Addr::from([255; 16]).into());
        reaches.provider = std::iter::repeat_n(prefix, reaches.provider.capacity()).collect();
        let port = "appliance:udp/65535".parse().unwrap();
        reaches.home = std::iter::repeat_n(port, reaches.home.capacity()).collect();
        let (all, words) = (u32::MAX, &mut manifest);
        (words.start_deadline_ms, words.stop_grace_ms, words.again_s) = (all, all, all);
        let midnight = contract::manifest::TimeOfDay::of_minute(0).unwrap();
        words.start_at = std::iter::repeat_n(midnight, words.start_at.capacity()).collect();
        words.cpu = contract::manifest::Cpu { floor_permille: all, ceiling_permille: all };
        words.memory = contract::manifest::Memory { floor_mib: all, high_mib: all, ceiling_mib: all };
        words.uplink = contract::manifest::Rate { floor_kbit_s: all, ceiling_kbit_s: all };
        words.downlink = words.uplink;
        words.disk = contract::manifest::Disk {
            floor_permille: all,
            read_ceiling_kib_s: all,
            write_ceiling_kib_s: all,
        };
        words.limits = contract::manifest::Limits { pids: all, descriptors: all, tmp_kib: all };
        words.health = Some(contract::manifest::Health {
            probe: contract::manifest::Probe::Http,
            port: u16::MAX,
            path: text.as_str().into(),
            command: std::iter::repeat_n(text.as_str().into(), contract::limit::PROBE_WORDS).collect(),
            every_ms: all,
            timeout_ms: all,
            fails: u8::MAX,
        });
        let service = Service { manifest, image: [u8::MAX; 32], version: u64::MAX };
        let held = crate::admission::Floors([u32::MAX; 5]);
        let trial = Some(Trial { until_ms: u64::MAX, held, failed: true });
        Kept { slot: 31, leaves: true, trial, part: Part::Past, service }
    }

    #[test]
    fn the_largest_service_of_a_bundle_has_its_page() {
        let (kept, file) = (full(), file().unwrap());
        assert_eq!(read_bundle(&file), None, "never wholly made");
        assert!(write_bundle(&file, &kept));
        write(&file, &Record { reason: "a long reason ".repeat(20).as_str().into(), ..Record::default() });
        write_ledger(&file, &Ledger::default());
        assert_eq!(read_bundle(&file), Some(kept));
        assert!(read::<Record>(&file).is_some() && read_ledger(&file).is_some());
    }

    #[test]
    fn the_most_slices_and_orders_have_room() {
        let long = |number: usize| Name::new(&format!("abcdefghijklmnopqrstu-{number:02}")).unwrap();
        let mut slice = crate::catalogue::slices().next().unwrap();
        (slice.cpu.floor_permille, slice.cpu.ceiling_permille) = (u32::MAX, u32::MAX);
        (slice.memory.floor_mib, slice.memory.high_mib, slice.memory.ceiling_mib) =
            (u32::MAX, u32::MAX, u32::MAX);
        slice.uplink = contract::manifest::Rate { floor_kbit_s: u32::MAX, ceiling_kbit_s: u32::MAX };
        slice.downlink = slice.uplink;
        slice.disk = contract::manifest::Disk {
            floor_permille: u32::MAX,
            read_ceiling_kib_s: u32::MAX,
            write_ceiling_kib_s: u32::MAX,
        };
        let mut rented = Rented::default();
        rented.slices.slice =
            (0..SLICES).map(|number| Slice { name: long(number), ..slice.clone() }).collect();
        rented.orders =
            (0..2 * SLICES).map(|number| Order { slice: long(number), rented: true, kept: true }).collect();
        rented.pending =
            Some(Pending { slice: long(0), before: Some(Slice { name: long(0), ..slice }), first: true });
        let file = file().unwrap();
        write_rented(&file, &rented);
        assert_eq!(read_rented(&file), Some(rented));
    }

    #[test]
    fn the_last_record_counts() {
        let kept = file().unwrap();
        assert_eq!(read::<Record>(&kept), None);
        let long = Record { reason: "a long reason ".repeat(20).as_str().into(), ..Record::default() };
        let short = Record { state: State::Up, pid: Some(77), ..Record::default() };
        for record in [long, short] {
            write(&kept, &record);
            assert_eq!(read(&kept), Some(record));
        }
    }
}
