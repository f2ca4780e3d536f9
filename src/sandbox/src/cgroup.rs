//! Cgroups, as files: made, set, read back, ended.
//!
//! In:  a path below the root of all cgroups and settings. Out: a descriptor to clone into; what the kernel says.
//!
//! Source: Documentation/admin-guide/cgroup-v2.rst.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use contract::layer::Layer;
use contract::manifest::{Cpu, Manifest, Memory};
use heapless::{String, Vec};
use sys::Errno;

use crate::Error;
use crate::folder::Folder;

/// Where cgroups are mounted.
pub const ROOT: &str = "/sys/fs/cgroup";

/// One file of a cgroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The file.
    pub file: &'static str,
    /// What it says, as the kernel gives it back.
    pub value: String<VALUE_BYTES>,
    /// The layer that it is part of; `None`: it is welcome, and its lack is no breach.
    pub layer: Option<Layer>,
}

impl Setting {
    /// Does a cgroup whose file says `found` keep it?
    ///
    /// A ceiling on processor time is a part of a period. Where the machine was held up and the period's timer comes late, the kernel doubles
    /// both by itself: that is the same ceiling.
    ///
    /// Of the ceilings of a disk the kernel says all four, and nothing of a disk that has none.
    ///
    /// Source: `sched_cfs_period_timer` in kernel/sched/fair.c, `tg_prfill_limit` in block/blk-throttle.c, Linux 6.12.
    #[must_use]
    pub fn is_kept_by(&self, found: &str) -> bool {
        let wanted = self.value.as_str();
        match self.file {
            CPU_MAX => {
                wanted == found
                    || part(wanted).zip(part(found)).is_some_and(|(wanted, found)| {
                        u128::from(wanted.0) * u128::from(found.1)
                            == u128::from(found.0) * u128::from(wanted.1)
                    })
            }
            IO_MAX => is_ceiling_kept(wanted, found),
            _ => wanted == found,
        }
    }
}

/// Has the disk that `wanted` begins with the ceilings that it goes on with?
fn is_ceiling_kept(wanted: &str, found: &str) -> bool {
    let Some((disk, ceilings)) = wanted.split_once(' ') else { return false };
    let its = found.lines().find_map(|line| line.strip_prefix(disk)?.strip_prefix(' ')).unwrap_or_default();
    let says = |ceiling: &str| its.split(' ').any(|word| word == ceiling);
    ceilings.split(' ').all(|ceiling| says(ceiling) || its.is_empty() && ceiling.ends_with("=max"))
}

/// Quota and period that `cpu.max` says, in microseconds.
fn part(text: &str) -> Option<(u64, u64)> {
    let (quota, period) = text.split_once(' ')?;
    Some((quota.parse().ok()?, period.parse().ok().filter(|us| *us > 0)?))
}

/// The file of the ceiling on processor time.
const CPU_MAX: &str = "cpu.max";
/// The file of the ceilings of disks.
pub const IO_MAX: &str = "io.max";
/// The file of the most memory that was used.
const PEAK: &str = "memory.peak";
/// Bytes of a value: a disk's number and two of its ceilings are the longest.
const VALUE_BYTES: usize = 56;

/// The period of `cpu.max`, in microseconds: the kernel's own default.
const CPU_PERIOD_US: u32 = 100_000;

/// Settings of one cgroup, at most.
pub const SETTINGS: usize = 12;

/// Words of one setting.
fn text(value: std::fmt::Arguments<'_>) -> String<VALUE_BYTES> {
    let mut text = String::new();
    let _ = std::fmt::Write::write_fmt(&mut text, value); // It fits: the longest is tried in a test.
    text
}

/// A setting that is no layer.
#[must_use]
pub fn plain(file: &'static str, value: std::fmt::Arguments<'_>) -> Setting {
    Setting { file, value: text(value), layer: None }
}

/// What a service's cgroup says, but for its weights, which depend on its siblings.
#[must_use]
pub fn settings(manifest: &Manifest) -> Vec<Setting, SETTINGS> {
    let pids = Setting {
        layer: Some(Layer::PidsMax),
        ..plain("pids.max", format_args!("{}", manifest.limits.pids))
    };
    bounds(manifest.cpu, manifest.memory)
        .into_iter()
        .chain([
            pids,
            // There is no swap on the board; where a kernel has it, it is not for services.
            plain("memory.swap.max", format_args!("0")),
            plain("memory.oom.group", format_args!("1")),
        ])
        .collect()
}

/// What the cgroup of a service, or of a slice, says of floors and ceilings.
#[must_use]
pub fn bounds(cpu: Cpu, memory: Memory) -> Vec<Setting, 4> {
    let bytes = |mib: u32| u64::from(mib) << 20;
    let quota_us = u64::from(cpu.ceiling_permille) * u64::from(CPU_PERIOD_US) / 1_000;
    let high = match memory.high_mib {
        0 => plain("memory.high", format_args!("max")),
        mib => plain("memory.high", format_args!("{}", bytes(mib))),
    };
    [
        (plain("memory.min", format_args!("{}", bytes(memory.floor_mib))), Layer::MemoryMax),
        (high, Layer::MemoryMax),
        (plain("memory.max", format_args!("{}", bytes(memory.ceiling_mib))), Layer::MemoryMax),
        (plain(CPU_MAX, format_args!("{quota_us} {CPU_PERIOD_US}")), Layer::Cpu),
    ]
    .into_iter()
    .map(|(setting, layer)| Setting { layer: Some(layer), ..setting })
    .collect()
}

/// The weight of a cgroup among its siblings, 1 to 10 000.
#[must_use]
pub fn weight(weight: u32) -> Setting {
    Setting { layer: Some(Layer::Cpu), ..plain("cpu.weight", format_args!("{weight}")) }
}

/// The weight of a cgroup among its siblings at the data disk, 1 to 1000, where the kernel has BFQ. It is a layer where a floor was
/// `promised`.
///
/// Source: `bfq_io_show_weight` in block/bfq-cgroup.c, Linux 6.12.
#[must_use]
pub fn disk_weight(weight: u32, promised: bool) -> Setting {
    let layer = promised.then_some(Layer::Disk);
    Setting { layer, ..plain("io.bfq.weight", format_args!("default {weight}")) }
}

/// The ceilings of what a whole disk, by its numbers, reads and writes for a cgroup, in KiB a second; 0: none.
///
/// Source: `tg_set_limit` in block/blk-throttle.c, Linux 6.12.
#[must_use]
pub fn disk_ceilings((major, minor): (u64, u64), reads_kib_s: u32, writes_kib_s: u32) -> Setting {
    let word = |kib_s: u32| match kib_s {
        0 => text(format_args!("max")),
        kib_s => text(format_args!("{}", u64::from(kib_s) << 10)),
    };
    let (reads, writes) = (word(reads_kib_s), word(writes_kib_s));
    let layer = (reads_kib_s > 0 || writes_kib_s > 0).then_some(Layer::Disk);
    Setting { layer, ..plain(IO_MAX, format_args!("{major}:{minor} rbps={reads} wbps={writes}")) }
}

fn outside(what: &'static str) -> impl Fn(std::io::Error) -> Error {
    move |error| Error::Outside(what, Errno::from_raw(error.raw_os_error().unwrap_or(0)))
}

/// The folder in the cgroup of a service or a daemon that holds its processes, for one life. It has no controller: whatever is counted,
/// promised and allowed is the upper one's, which stays.
const LIFE: &str = "life";

/// The cgroup that the processes of `path` are in.
#[must_use]
pub fn life_of(path: &str) -> std::string::String {
    format!("{path}/{LIFE}")
}

/// Makes a cgroup in `path` (`/slices/demo/hello`) for a process to be cloned into; `path` itself is kept, with its counters and what memory it
/// is charged for, and made and set as [`prepare`] does.
///
/// It is made anew where its last life ended for want of memory, or it has ceilings of a disk that nobody asks for any more. The lower one always
/// is, because on some kernels a cgroup that was killed once ([`kill`]) kills whoever is cloned into it from then on. See
/// docs/decisions/0141-a-cgroup-for-each-life.md.
///
/// # Errors
/// [`Error::Outside`]: it cannot be made, or (`EBUSY`) a process still lives in it.
pub fn renew<'s>(
    path: &str,
    settings: impl IntoIterator<Item = &'s Setting> + Clone,
) -> Result<OwnedFd, Error> {
    let [upper, life] = [path.to_owned(), life_of(path)].map(|path| format!("{ROOT}{path}"));
    let was_there = gone(&life).map_err(outside("cannot make its cgroup anew"))?;
    let held = settings.clone().into_iter().any(|setting| setting.file == IO_MAX);
    if out_of_memory(path) || !held && says_anything(path, IO_MAX) {
        remove(path)?;
    }
    // The way to it is made once.
    match Folder::open(&upper).filter(|_| was_there) {
        Some(folder) => set(&folder, &upper, settings),
        None => drop(prepare(path, settings)?),
    }
    fs::create_dir(&life).map_err(outside("cannot make its cgroup"))?;
    File::open(&life).map(OwnedFd::from).map_err(outside("cannot open its cgroup"))
}

/// Takes a folder away; was it there?
fn gone(folder: &str) -> std::io::Result<bool> {
    match fs::remove_dir(folder) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn says_anything(path: &str, file: &str) -> bool {
    fs::read_to_string(format!("{ROOT}{path}/{file}")).is_ok_and(|text| !text.trim().is_empty())
}

/// Was somebody killed in the cgroup `path` for want of memory, since it was made?
#[must_use]
pub fn out_of_memory(path: &str) -> bool {
    number(path, "memory.events", "oom_kill").is_some_and(|kills| kills > 0)
}

/// The most memory that a cgroup had in one life.
#[derive(Debug)]
pub struct Peak(File);

impl Peak {
    /// Begins to look at the cgroup `path`; nothing where the kernel knows of all its lives alone (before 6.12).
    #[must_use]
    pub fn begin(path: &str) -> Option<Self> {
        let mut file = File::options().read(true).write(true).open(format!("{ROOT}{path}/{PEAK}")).ok()?;
        file.write_all(b"reset").ok().map(|()| Self(file))
    }

    /// Bytes.
    #[must_use]
    pub fn bytes(&self) -> Option<u64> {
        let mut text = [0; 24];
        let length = self.0.read_at(&mut text, 0).ok()?;
        std::str::from_utf8(text.get(..length)?).ok()?.trim_end().parse().ok()
    }
}

/// The most memory that the cgroup `path` had in all its lives, in bytes, where the kernel says that (since 5.19).
#[must_use]
pub fn peak_bytes(path: &str) -> Option<u64> {
    value(path, PEAK)
}

/// Makes the cgroup `path`, passes controllers on to each level above it, and writes `settings`. What is there already is kept. A
/// setting that the kernel does not know is left out; reading back tells.
///
/// # Errors
/// [`Error::Outside`]: it cannot be made.
pub fn prepare<'s>(path: &str, settings: impl IntoIterator<Item = &'s Setting>) -> Result<OwnedFd, Error> {
    let mut folder = std::string::String::from(ROOT);
    for part in path.split('/').filter(|part| !part.is_empty()) {
        pass_on(&folder);
        folder.push('/');
        folder.push_str(part);
        match fs::create_dir(&folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(outside("cannot make its cgroup")(error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    let made = Folder::open(&folder).ok_or(Error::Outside("cannot open its cgroup", Errno::ENOENT))?;
    set(&made, &folder, settings);
    Ok(made.into())
}

/// Writes those of `settings` that a cgroup, which is open and has this path, does not keep already.
fn set<'s>(folder: &Folder, path: &str, settings: impl IntoIterator<Item = &'s Setting>) {
    for setting in settings {
        // Reading costs less than what the kernel does when it is told.
        if folder.text(setting.file).is_some_and(|says| setting.is_kept_by(says.trim_end())) {
            continue;
        }
        // Not there, or refused: reading back says so before the service runs.
        let _ = fs::write(format!("{path}/{}", setting.file), setting.value.as_str());
    }
}

/// Lets children of `folder` have every controller that it has.
fn pass_on(folder: &str) {
    let read = |file: &str| fs::read_to_string(format!("{folder}/{file}")).unwrap_or_default();
    let (controllers, passed) = (read("cgroup.controllers"), read("cgroup.subtree_control"));
    // Written once: each write walks the whole tree below, and every start comes by here.
    let is_passed = |controller: &&str| passed.split_whitespace().any(|passed| passed == *controller);
    for controller in controllers.split_whitespace().filter(|controller| !is_passed(controller)) {
        // One at a time, so that one that is refused does not cost the others.
        let _ = fs::write(format!("{folder}/cgroup.subtree_control"), format!("+{controller}"));
    }
}

/// What the kernel says of the file of `setting` in the cgroup `path`; nothing where it has none.
#[must_use]
pub fn says(path: &str, setting: &Setting) -> std::string::String {
    said(Folder::open(&format!("{ROOT}{path}")).as_ref(), setting)
}

/// As [`says`], in the open folder of a cgroup; nothing where there is no such folder.
pub(crate) fn said(group: Option<&Folder>, setting: &Setting) -> std::string::String {
    let says = group.and_then(|group| group.text(setting.file)).unwrap_or_default();
    says.trim_end().to_owned()
}

/// Does the kernel say what `setting` wants of the cgroup `path`?
#[must_use]
pub fn holds(path: &str, setting: &Setting) -> bool {
    setting.is_kept_by(&says(path, setting))
}

/// Kills every process in the cgroup `path`, however many there are and whatever they do (Linux 5.14).
///
/// # Errors
/// [`Error::Outside`]: there is no such cgroup.
pub fn kill(path: &str) -> Result<(), Error> {
    fs::write(format!("{ROOT}{path}/cgroup.kill"), "1").map_err(outside("cannot kill its cgroup"))
}

/// Nobody is promised the memory of the cgroup `path` any more, which stays: what it still holds, of files that were read, others may have.
pub fn give_back_floor(path: &str) {
    let _ = fs::write(format!("{ROOT}{path}/memory.min"), "0"); // It may never have been made.
}

/// Takes the cgroup `path` away, and the one of its last life. One that is not there is no error.
///
/// # Errors
/// [`Error::Outside`]: (`EBUSY`) a process lives in it, or another cgroup is below it.
pub fn remove(path: &str) -> Result<(), Error> {
    let upper = format!("{ROOT}{path}");
    let both = gone(&format!("{upper}/{LIFE}")).and_then(|_| gone(&upper));
    both.map(drop).map_err(outside("cannot remove its cgroup"))
}

/// What a file of the cgroup `path` says that holds one number.
#[must_use]
pub fn value(path: &str, file: &str) -> Option<u64> {
    fs::read_to_string(format!("{ROOT}{path}/{file}")).ok()?.trim_end().parse().ok()
}

/// The number behind `key` in a file of the cgroup `path` that has a line for each.
#[must_use]
pub fn number(path: &str, file: &str, key: &str) -> Option<u64> {
    number_of(&fs::read_to_string(format!("{ROOT}{path}/{file}")).ok()?, key)
}

fn number_of(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))?.parse().ok()
}

/// How long some task in the cgroup `path` could run and waited for a turn, in microseconds.
///
/// Source: Documentation/accounting/psi.rst.
#[must_use]
pub fn waited_us(path: &str) -> Option<u64> {
    waited_of(&fs::read_to_string(format!("{ROOT}{path}/cpu.pressure")).ok()?)
}

fn waited_of(text: &str) -> Option<u64> {
    let some = text.lines().find_map(|line| line.strip_prefix("some "))?;
    some.split(' ').find_map(|word| word.strip_prefix("total="))?.parse().ok()
}

/// Bytes that the data disk read and wrote for the cgroup `path`.
///
/// What comes of an image is counted for its loop device and for what verifies it, too: the disk below has no less than these. So the device
/// that has most is the disk.
///
/// Source: Documentation/admin-guide/cgroup-v2.rst, `io.stat`.
#[must_use]
pub fn disk_bytes(path: &str) -> Option<u64> {
    fs::read_to_string(format!("{ROOT}{path}/io.stat")).ok().map(|text| disk_bytes_of(&text))
}

fn disk_bytes_of(text: &str) -> u64 {
    let bytes = |word: &str| {
        let (key, value) = word.split_once('=')?;
        ["rbytes", "wbytes"].contains(&key).then(|| value.parse::<u64>().ok())?
    };
    text.lines().map(|line| line.split(' ').filter_map(bytes).sum()).max().unwrap_or(0)
}

/// Memory that the cgroup `path` uses, in bytes.
#[must_use]
pub fn memory_bytes(path: &str) -> Option<u64> {
    value(path, "memory.current")
}

/// The processes of the service or daemon whose cgroup is `path`, the oldest first.
pub fn processes(path: &str) -> impl Iterator<Item = i32> {
    let text = fs::read_to_string(format!("{ROOT}{path}/{LIFE}/cgroup.procs")).unwrap_or_default();
    let mut all: std::vec::Vec<i32> = text.lines().filter_map(|line| line.parse().ok()).collect();
    all.sort_unstable();
    all.into_iter()
}

/// Does any process live in the cgroup `path`?
#[must_use]
pub fn is_populated(path: &str) -> bool {
    let events = fs::read_to_string(format!("{ROOT}{path}/cgroup.events")).unwrap_or_default();
    events.lines().any(|line| line == "populated 1")
}

#[cfg(test)]
mod tests {
    use super::{disk_bytes_of, number_of, settings, waited_of};
    use crate::plan::tests::manifest;

    #[test]
    fn settings_are_written_as_the_kernel_gives_them_back() {
        let files: Vec<_> =
            settings(&manifest()).into_iter().map(|s| (s.file, s.value.to_string())).collect();
        assert!(files.contains(&("memory.max", "16777216".into())));
        assert!(files.contains(&("cpu.max", "50000 100000".into())));
        assert!(files.contains(&("memory.min", "8388608".into())));
        assert!(files.contains(&("memory.high", "max".into())));
        assert_eq!(super::weight(50).value.as_str(), "50");
        assert_eq!(super::disk_weight(50, true).value.as_str(), "default 50");
        assert!(files.contains(&("pids.max", "9".into())));
    }

    #[test]
    fn counters_are_read_as_the_kernel_writes_them() {
        let stat = "usage_usec 1234567\nuser_usec 1000000\nsystem_usec 234567\nnr_periods 0\n";
        assert_eq!(number_of(stat, "usage_usec"), Some(1_234_567));
        assert_eq!(number_of(stat, "usage"), None);
        let pressure = "some avg10=0.00 avg60=1.23 avg300=0.50 total=98765\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n";
        assert_eq!(waited_of(pressure), Some(98_765));
        let io = "8:0 rbytes=4096 wbytes=1048576 rios=1 wios=9 dbytes=7 dios=1\n7:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0\n";
        assert_eq!((disk_bytes_of(io), disk_bytes_of("8:0\n"), disk_bytes_of("")), (1_052_672, 0, 0));
    }

    #[test]
    fn a_ceiling_of_a_disk_is_found_among_others() {
        let held = super::disk_ceilings((8, 16), 1_024, 0);
        assert_eq!(
            (held.value.as_str(), held.layer),
            ("8:16 rbps=1048576 wbps=max", Some(super::Layer::Disk))
        );
        let line = "8:16 rbps=1048576 wbps=max riops=max wiops=max";
        assert!(held.is_kept_by(line));
        assert!(held.is_kept_by(&format!("8:1 rbps=7 wbps=max riops=max wiops=max\n{line}\n")));
        for other in ["", "8:16", &line.replace("8:16", "8:1"), &line.replace("rbps=1048576", "rbps=max")] {
            assert!(!held.is_kept_by(other), "{other}");
        }
        let written = super::disk_ceilings((8, 16), 0, 64);
        assert_eq!((written.value.as_str(), written.layer), ("8:16 rbps=max wbps=65536", held.layer));
        assert!(written.is_kept_by("8:16 rbps=max wbps=65536 riops=max wiops=max"));
        for other in ["", line, "8:16 rbps=65536 wbps=max riops=max wiops=max"] {
            assert!(!written.is_kept_by(other), "{other}");
        }
        let none = super::disk_ceilings((8, 16), 0, 0);
        assert_eq!((none.value.as_str(), none.layer), ("8:16 rbps=max wbps=max", None));
        for kept in ["", "8:0 rbps=7 wbps=max riops=max wiops=max", &line.replace("=1048576", "=max")] {
            assert!(none.is_kept_by(kept), "{kept}");
        }
        assert!(!none.is_kept_by(line));
        let longest = super::disk_ceilings((4_095, 1_048_575), u32::MAX, u32::MAX);
        assert_eq!(longest.value.as_str(), "4095:1048575 rbps=4398046510080 wbps=4398046510080");
    }

    #[test]
    fn a_ceiling_is_a_part_however_long_its_period_is() {
        let settings = settings(&manifest());
        let ceiling = settings.iter().find(|setting| setting.file == "cpu.max").unwrap();
        for kept in ["50000 100000", "100000 200000", "400000 800000"] {
            assert!(ceiling.is_kept_by(kept), "{kept}");
        }
        for other in ["max 100000", "50001 100000", "100000 100000", "50000 0", "0 0", "50000", ""] {
            assert!(!ceiling.is_kept_by(other), "{other}");
        }
        // Elsewhere a number is what it is.
        assert!(!super::weight(50).is_kept_by("50 100000"));
    }
}
