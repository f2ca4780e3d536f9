//! `lab budget`: sizes and resident memory against their limits.
//!
//! In:  the firmware as built, a guest. Out: `name value limit ok|over`, a line each; an error if one is over.
//!
//! The limits stand here and nowhere else in code; the README quotes them.

use std::fs;
use std::io::Write;

use crate::command::Words;
use crate::error::Error;
use crate::guest::{Guest, Options, UP_LIMIT};
use crate::kernel::Kernel;
use crate::root::{self, Variant};
use crate::{facts, house};

/// Programs of the firmware, stripped: name and limit in bytes.
const PROGRAMS: [(&str, u64); 15] = [
    ("init", 700_000),
    ("supervisor", 900_000),
    ("storage", 900_000),
    ("network", 2_500_000),
    ("lease", 1_500_000),
    ("names", 1_500_000),
    ("multicast", 700_000),
    ("time", 1_500_000),
    ("identity", 1_500_000),
    ("voice", 1_500_000),
    ("agent", 4_000_000),
    ("package", 3_000_000),
    ("ctl", 900_000),
    // It lies beside each service in memory.
    ("reaper", 64 * 1024),
    ("hello", 700_000),
];
/// The shipped root, compressed, without the kernel and its modules, in bytes.
const ROOT_BYTES_MAX: u64 = 12_000_000;
/// The board kernel's image, in bytes.
const KERNEL_BYTES_MAX: u64 = 5_000_000;
/// Resident in the guest, with ten services: name and limit in KiB.
const RESIDENT: [(&str, u64); 12] = [
    ("init", 614),
    ("supervisor", 1228),
    ("storage", 1024),
    ("network", 3072),
    ("lease", 2048),
    ("names", 2048),
    ("multicast", 1024),
    ("time", 2048),
    ("identity", 2048),
    ("voice", 2048),
    ("agent", 6144),
    ("package", 3072),
];

/// Services that run while that is measured.
const SERVICES: u64 = 10;
/// What one service more may cost the supervisor, in bytes.
const PER_SERVICE_BYTES_MAX: u64 = 8 * 1024;
/// Everything in use with ten services, the root in memory included, in KiB.
const USED_KIB_MAX: u64 = 64 * 1024;

/// The table as it is printed.
struct Table<'o> {
    out: &'o mut dyn Write,
    over: usize,
}

impl Table<'_> {
    fn row(&mut self, name: &str, value: u64, limit: u64) -> Result<(), Error> {
        self.over += usize::from(value > limit);
        let verdict = if value > limit { "over" } else { "ok" };
        writeln!(self.out, "{name:<28} {value:>9} {limit:>9} {verdict}").map_err(Error::io("output"))
    }
}

/// Prints the table.
///
/// # Errors
/// [`Error::Short`]: something is over its limit. [`Error::Missing`]: something is not built, or no guest can run here.
pub fn run(words: &Words, out: &mut dyn Write) -> Result<(), Error> {
    let mut table = Table { out, over: 0 };
    for (name, limit) in PROGRAMS {
        let path = house::firmware().join(name);
        let remedy =
            || Error::Missing { what: path.display().to_string(), remedy: "make firmware".to_owned() };
        let size = fs::metadata(&path).map_err(|_| remedy())?.len();
        table.row(&format!("{name}_bytes"), size, limit)?;
    }
    let root = root::assemble(words.kernel, Variant::Shipped)?;
    table.row("root_bytes", root.bytes, ROOT_BYTES_MAX)?;
    if let Ok(image) = Kernel::Board.image() {
        let size = fs::metadata(&image).map_err(Error::path(&image))?.len();
        table.row("board_kernel_bytes", size, KERNEL_BYTES_MAX)?;
    }
    resident(words.kernel, &mut table)?;
    match table.over {
        0 => Ok(()),
        count => Err(Error::Short { what: "budgets", count }),
    }
}

/// What is resident once everything is up; and the supervisor's part with ten services.
fn resident(kernel: Kernel, table: &mut Table<'_>) -> Result<(), Error> {
    let options = Options { variant: Variant::Rehearsal, ..Options::new(kernel) };
    let mut guest = Guest::boot_or_say(&options)?;
    facts::wait_all_up(&mut guest)?;
    let (few, supervisor_kib) = (services(&mut guest)?, of(&mut guest, "supervisor")?);
    for number in 1..=SERVICES - few {
        guest.door(&format!("start copy-{number}"))?;
    }
    guest.until("ten services up", UP_LIMIT, |guest| Ok((services(guest)? == SERVICES).then_some(())))?;
    for (name, limit) in RESIDENT {
        let kib = of(&mut guest, name)?;
        table.row(&format!("{name}_resident_kib"), kib, limit)?;
    }
    let more_kib = of(&mut guest, "supervisor")?.saturating_sub(supervisor_kib);
    table.row(
        "supervisor_per_service_bytes",
        more_kib * 1024 / (SERVICES - few).max(1),
        PER_SERVICE_BYTES_MAX,
    )?;
    let used = facts::memory_used_kib(&mut guest)?;
    table.row("whole_base_used_kib", used, USED_KIB_MAX)
}

/// How many services are up.
fn services(guest: &mut Guest) -> Result<u64, Error> {
    let up =
        facts::processes(guest)?.into_iter().filter(|process| process.is_tenant && process.state == "up");
    Ok(up.map(|_| 1).sum())
}

/// What is resident of the program `name`, in KiB.
fn of(guest: &mut Guest, name: &str) -> Result<u64, Error> {
    let all = facts::resident(guest)?;
    let found = all.into_iter().find(|(found, _)| found == name);
    found.map(|(_, kib)| kib).ok_or_else(|| Error::Answer {
        who: "ctl procs --json".to_owned(),
        why: format!("no process {name}"),
    })
}
