//! What a service is promised and allowed: floors and ceilings.
//!
//! In:  what the provider wrote. Out: plain numbers, checked. A floor is admitted beside all others or refused
//! (`src/supervisor/src/admission.rs`); a ceiling is only a wall.
//!
//! Source: docs/manifest.md; Documentation/admin-guide/cgroup-v2.rst.

use serde::{Deserialize, Serialize};

/// Processor time, in thousandths of one hardware thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cpu {
    /// What it gets whenever it wants it, whatever others do.
    #[serde(default = "cpu_floor_permille")]
    pub floor_permille: u32,
    /// `cpu.max`.
    pub ceiling_permille: u32,
}

/// Nobody is admitted without a share: a service that never gets a turn is not one.
const fn cpu_floor_permille() -> u32 {
    10
}

/// Memory, in MiB. There is no swap for services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// `memory.min`: what nobody takes from it.
    #[serde(default)]
    pub floor_mib: u32,
    /// `memory.high`: from here on it is slowed down; 0: it is not.
    #[serde(default)]
    pub high_mib: u32,
    /// `memory.max`.
    pub ceiling_mib: u32,
}

/// The data disk. 0: nothing is promised, nothing is forbidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disk {
    /// What it gets of what the disk reads and writes, whatever others do, in thousandths of it.
    #[serde(default)]
    pub floor_permille: u32,
    /// `io.max`, `rbps`: the most that the disk reads for it, in KiB a second.
    #[serde(default)]
    pub read_ceiling_kib_s: u32,
    /// The same, `wbps`: the most that it makes dirty, or writes by itself.
    #[serde(default)]
    pub write_ceiling_kib_s: u32,
}

/// One direction of its link, in kbit/s (1000 bit/s) of frames with their Ethernet headers. 0: nothing is promised, nothing is forbidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// What it gets of the line to the operator, whatever others do.
    #[serde(default)]
    pub floor_kbit_s: u32,
    /// The most that its link carries, whoever is at the other end.
    #[serde(default)]
    pub ceiling_kbit_s: u32,
}

/// Ceilings of what is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// `pids.max`.
    pub pids: u32,
    /// `RLIMIT_NOFILE`.
    #[serde(default = "descriptors")]
    pub descriptors: u32,
    /// `/tmp`, in KiB; it counts as memory. 0: none.
    #[serde(default)]
    pub tmp_kib: u32,
}

const fn descriptors() -> u32 {
    256
}

/// Rules that are broken where the first of a pair is true.
pub(crate) fn cpu_rules(cpu: Cpu) -> [(bool, &'static str); 3] {
    let Cpu { floor_permille: floor, ceiling_permille: ceiling } = cpu;
    [
        (floor == 0 || floor > 2000, "cpu.floor_permille: 1 to 2000"),
        (!(10..=2000).contains(&ceiling), "cpu.ceiling_permille: 10 to 2000"),
        (floor > ceiling, "cpu.floor_permille: it is above the ceiling"),
    ]
}

/// As [`cpu_rules`].
pub(crate) fn memory_rules(memory: Memory) -> [(bool, &'static str); 4] {
    let Memory { floor_mib: floor, high_mib: high, ceiling_mib: ceiling } = memory;
    [
        (ceiling == 0 || ceiling > 1024, "memory.ceiling_mib: 1 to 1024"),
        (floor > ceiling, "memory.floor_mib: it is above the ceiling"),
        (high > ceiling, "memory.high_mib: it is above the ceiling"),
        (high != 0 && high < floor, "memory.high_mib: it is below the floor"),
    ]
}

/// As [`cpu_rules`].
pub(crate) fn disk_rules(disk: Disk) -> [(bool, &'static str); 3] {
    let Disk { floor_permille: floor, read_ceiling_kib_s: reads, write_ceiling_kib_s: writes } = disk;
    [
        (floor > 1000, "disk.floor_permille: at most 1000"),
        (
            reads != 0 && !READ_CEILING_KIB_S.contains(&reads),
            "disk.read_ceiling_kib_s: 1024 to 1048576, or 0: none",
        ),
        (
            writes != 0 && !WRITE_CEILING_KIB_S.contains(&writes),
            "disk.write_ceiling_kib_s: 64 to 1048576, or 0: none",
        ),
    ]
}

/// As [`cpu_rules`].
pub(crate) fn rate_rules(up: Rate, down: Rate) -> [(bool, &'static str); 4] {
    let above = |rate: Rate| rate.ceiling_kbit_s != 0 && rate.floor_kbit_s > rate.ceiling_kbit_s;
    let large = |rate: Rate| rate.floor_kbit_s.max(rate.ceiling_kbit_s) > RATE_KBIT_S_MAX;
    [
        (above(up), "uplink.floor_kbit_s: it is above the ceiling"),
        (large(up), "uplink: at most 10000000 kbit/s"),
        (above(down), "downlink.floor_kbit_s: it is above the ceiling"),
        (large(down), "downlink: at most 10000000 kbit/s"),
    ]
}

/// Ceilings of reads that are kept. With less a program of some MiB is not there in its time to become ready; with more a stick is not held.
const READ_CEILING_KIB_S: core::ops::RangeInclusive<u32> = 1_024..=1_048_576;
/// The same of writes. With less who is told to end has not written some hundred KiB of what it knows in its grace (5 s, as most have it).
const WRITE_CEILING_KIB_S: core::ops::RangeInclusive<u32> = 64..=1_048_576;
/// The fastest line, as in `qos` of the wanted network.
const RATE_KBIT_S_MAX: u32 = 10_000_000;
