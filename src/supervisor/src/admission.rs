//! Admission: may what is asked for be promised, beside triple play and all that was promised before?
//!
//! In:  the capacity of the box, slices that are rented, floors of services. Out: yes, or a refusal that names each resource that is short,
//! and by how much. Pure: no clock, no file.
//!
//! Floors nest: those of slices come out of the box, those of services out of their slice. What was admitted stays admitted, whatever is asked
//! later, until it is given back; only growth has to fit, so nobody who shrinks is refused because the box has become smaller.
//!
//! Not here: what the kernel is told of it (`slices.rs`).

use std::fmt;

use contract::Name;
use contract::limit::{SERVICES, SLICES};
use contract::manifest::{Cpu, Disk, Manifest, Memory};
use contract::sla::{Amounts, RESOURCES};
use contract::slice::Slice;
use heapless::Vec;
use serde::{Deserialize, Serialize};

/// What is promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// Thousandths of a hardware thread.
    Cpu,
    /// MiB.
    Memory,
    /// kbit/s to the operator.
    Uplink,
    /// kbit/s from him.
    Downlink,
    /// Thousandths of what the data disk does.
    Disk,
}

impl Resource {
    /// All of them, in the order of [`Floors`].
    pub const ALL: [Self; RESOURCES] = [Self::Cpu, Self::Memory, Self::Uplink, Self::Downlink, Self::Disk];

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Cpu => ("cpu", "permille of a thread"),
            Self::Memory => ("memory", "MiB"),
            Self::Uplink => ("uplink", "kbit/s"),
            Self::Downlink => ("downlink", "kbit/s"),
            Self::Disk => ("disk", "permille"),
        }
    }
}

/// An amount of each resource, in the order of [`Resource::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Floors(pub Amounts);

impl Floors {
    /// What is promised of these, and of the line in kbit/s: up, down.
    fn of(cpu: Cpu, memory: Memory, [up, down]: [u32; 2], disk: Disk) -> Self {
        Self([cpu.floor_permille, memory.floor_mib, up, down, disk.floor_permille])
    }

    fn add(self, other: Self) -> Self {
        let mut sum = self.0;
        for (has, more) in sum.iter_mut().zip(other.0) {
            *has = has.saturating_add(more);
        }
        Self(sum)
    }

    /// What two versions of one service need at once: each its processor time, memory and part of the disk, and of the one link the larger
    /// amount.
    #[must_use]
    pub fn beside(self, other: Self) -> Self {
        let ([cpu, memory, .., disk], [_, _, up, down, _]) = (self.add(other).0, self.or_more(other).0);
        Self([cpu, memory, up, down, disk])
    }

    /// Of each resource the larger amount.
    #[must_use]
    pub fn or_more(self, other: Self) -> Self {
        let mut most = self.0;
        for (has, other) in most.iter_mut().zip(other.0) {
            *has = other.max(*has);
        }
        Self(most)
    }

    /// Where `self` is more than `other`, by how much.
    fn beyond(self, other: Self) -> Short {
        let each = Resource::ALL.into_iter().zip(self.0).zip(other.0);
        each.filter(|((_, has), limit)| has > limit)
            .map(|((resource, has), limit)| (resource, has - limit))
            .collect()
    }

    /// Processor time, in thousandths of a thread.
    #[must_use]
    pub fn cpu_permille(self) -> u32 {
        self.0[0]
    }

    /// Memory, in MiB.
    #[must_use]
    pub fn memory_mib(self) -> u32 {
        self.0[1]
    }

    /// What the data disk does, in thousandths of it.
    #[must_use]
    pub fn disk_permille(self) -> u32 {
        self.0[4]
    }
}

impl From<&Manifest> for Floors {
    fn from(manifest: &Manifest) -> Self {
        let Manifest { cpu, memory, uplink, downlink, disk, .. } = manifest;
        Self::of(*cpu, *memory, [uplink.floor_kbit_s, downlink.floor_kbit_s], *disk)
    }
}

impl From<&Slice> for Floors {
    fn from(slice: &Slice) -> Self {
        let Slice { cpu, memory, uplink, downlink, disk, .. } = slice;
        Self::of(*cpu, *memory, [uplink.floor_kbit_s, downlink.floor_kbit_s], *disk)
    }
}

/// What is missing of each resource that is short.
type Short = Vec<(Resource, u32), RESOURCES>;

/// What the box is, as it was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    /// Hardware threads.
    pub threads: u32,
    /// Memory that the kernel manages, in MiB.
    pub memory_mib: u32,
    /// What the line has for services, in kbit/s: up, down.
    pub line_kbit_s: [u32; 2],
    /// The kernel divides the data disk by weights.
    pub divides_disk: bool,
}

/// Of five parts of the processor, and of the data disk, how many are triple play's and the core daemons'.
const PROTECTED_FIFTHS: u32 = 3;
/// Memory that is promised to nobody, in MiB: [`GATEWAY_MIB`], and what the kernel and the root need: measured, they have 60 MiB with ten
/// services, and network buffers and page tables of full ones grow.
pub const PROTECTED_MIB: u32 = 256;
/// `memory.min` of `/gateway`, in MiB: three times what all core daemons had with ten services.
pub const GATEWAY_MIB: u32 = 96;
/// The highest weight that we give. The kernel takes ten times as much, but multiplies a group's weight by that of what it holds, in
/// the scheduler's units of a hundredth of 1024, and on 32 bits the product ran over: a slice with a floor of 300 had 54. With this one,
/// 200 busy threads of one service on one processor are the most. Source: `calc_group_shares` in kernel/sched/fair.c, Linux 6.12.
pub const WEIGHT_MAX: u32 = 1_000;

/// What can be promised of the data disk, in thousandths. By weight slices have 400 of them; the rest is for those who are promised nothing.
pub const DISK_PERMILLE: u32 = 250;
/// The least weight at the disk. A service that is promised nothing there has to be read from it all the same, in the time in which it has to be
/// ready; with a weight of 1 it would wait for as long as another writes.
pub const DISK_WEIGHT_MIN: u32 = 10;

// Nobody's floor suffers from it: not where all slices and services that there can be are there, and have the least weight on top of what they need.
const _: () = {
    let slices = WEIGHT_MAX as usize + SLICES * DISK_WEIGHT_MIN as usize;
    let services = WEIGHT_MAX as usize + SERVICES * DISK_WEIGHT_MIN as usize;
    let all = 1_000 * (5 - PROTECTED_FIFTHS) / 5 * WEIGHT_MAX * WEIGHT_MAX;
    assert!(DISK_PERMILLE as usize * slices * services <= all as usize);
};

/// What of the box can be promised to slices.
#[must_use]
pub fn capacity(measured: Measured) -> Floors {
    let [up, down] = measured.line_kbit_s;
    let cpu = measured.threads * 1_000 * (5 - PROTECTED_FIFTHS) / 5;
    let disk = if measured.divides_disk { DISK_PERMILLE } else { 0 };
    Floors([cpu, measured.memory_mib.saturating_sub(PROTECTED_MIB), up, down, disk])
}

/// The weight of all slices together beside `/gateway`, which has [`WEIGHT_MAX`]: what comes of it is [`capacity`]'s share.
#[must_use]
pub fn weight_of_slices() -> u32 {
    WEIGHT_MAX * (5 - PROTECTED_FIFTHS) / PROTECTED_FIFTHS
}

/// The weight of whoever has `floor` of `all` that his siblings and he share. Floors of siblings are at most `all`, so each has its floor
/// when all of them run, and their part of the rest when not. Rounded up: who has little must not have nothing.
#[must_use]
pub fn weight(floor: u32, all: u32) -> u32 {
    let weight = (u64::from(floor) * u64::from(WEIGHT_MAX)).div_ceil(u64::from(all.max(1)));
    u32::try_from(weight).unwrap_or(WEIGHT_MAX).clamp(1, WEIGHT_MAX)
}

/// As [`weight`], at the data disk.
#[must_use]
pub fn disk_weight(floor: u32, all: u32) -> u32 {
    weight(floor, all).max(DISK_WEIGHT_MIN)
}

/// Why something is not promised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The box has not enough left for this slice.
    Box {
        /// Whose floors do not fit.
        slice: Name,
        /// What is missing.
        short: Short,
    },
    /// The slice has not enough left.
    Slice {
        /// Which.
        slice: Name,
        /// What is missing.
        short: Short,
    },
    /// It cannot shrink so far: its services have more.
    InUse {
        /// Which.
        slice: Name,
        /// What is missing.
        short: Short,
    },
    /// The data disk has not enough left for its volume: so many MiB are missing.
    Disk(u64),
    /// Nobody rents a slice of this name.
    NoSlice(Name),
    /// A table is full.
    Full,
    /// A slice that is none: the rule that it breaks.
    Rule(&'static str),
}

impl Refusal {
    /// What is missing.
    #[must_use]
    pub fn short(&self) -> &[(Resource, u32)] {
        match self {
            Self::Box { short, .. } | Self::Slice { short, .. } | Self::InUse { short, .. } => short,
            Self::Disk(_) | Self::NoSlice(_) | Self::Full | Self::Rule(_) => &[],
        }
    }

    /// Is it for lack of room? Then it may be let in once somebody else has left.
    #[must_use]
    pub fn is_for_room(&self) -> bool {
        match self {
            Self::Box { .. } | Self::Slice { .. } | Self::Disk(_) | Self::Full => true,
            Self::InUse { .. } | Self::NoSlice(_) | Self::Rule(_) => false,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Box { slice, .. } => write!(f, "slice {slice} does not fit: the gateway is short of")?,
            Self::Slice { slice, .. } => write!(f, "not admitted: slice {slice} is short of")?,
            Self::InUse { slice, .. } => write!(f, "slice {slice}: its services have more, by")?,
            Self::Disk(mib) => {
                return write!(f, "not admitted: the data disk is short of {mib} MiB for its volume");
            }
            Self::NoSlice(name) => return write!(f, "not admitted: {name} rents no slice here"),
            Self::Full => return write!(f, "not admitted: the table is full"),
            Self::Rule(why) => return f.write_str(why),
        }
        for (index, (resource, by)) in self.short().iter().enumerate() {
            let (name, unit) = resource.words();
            write!(f, "{} {by} {unit} {name}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// A slice that is rented.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rented {
    name: Name,
    floors: Floors,
}

/// A service that is admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Admitted {
    name: Name,
    slice: Name,
    floors: Floors,
}

/// What was promised, and of what.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Books {
    capacity: Floors,
    slices: Vec<Rented, SLICES>,
    services: Vec<Admitted, SERVICES>,
}

impl Books {
    /// Nothing is promised of `capacity`.
    #[must_use]
    pub fn new(capacity: Floors) -> Self {
        Self { capacity, ..Self::default() }
    }

    /// The box is another one now: a line was set to another rate. What was promised stays.
    pub fn measure(&mut self, capacity: Floors) {
        self.capacity = capacity;
    }

    /// What can be promised to slices.
    #[must_use]
    pub fn capacity(&self) -> Floors {
        self.capacity
    }

    /// What a slice is promised; `None`: it is not rented.
    #[must_use]
    pub fn slice(&self, name: &str) -> Option<Floors> {
        self.slices.iter().find(|slice| slice.name.as_str() == name).map(|slice| slice.floors)
    }

    /// What all slices together are promised.
    #[must_use]
    pub fn rented(&self) -> Floors {
        self.slices.iter().fold(Floors::default(), |sum, slice| sum.add(slice.floors))
    }

    /// What the services of a slice are promised.
    #[must_use]
    pub fn used(&self, slice: &str) -> Floors {
        self.services_but(slice, "")
    }

    /// Is this service admitted?
    #[must_use]
    pub fn has(&self, service: &str) -> bool {
        self.services.iter().any(|admitted| admitted.name.as_str() == service)
    }

    fn services_but(&self, slice: &str, but: &str) -> Floors {
        let inside = |admitted: &&Admitted| admitted.slice.as_str() == slice && admitted.name.as_str() != but;
        self.services.iter().filter(inside).fold(Floors::default(), |sum, service| sum.add(service.floors))
    }

    /// Rents a slice, or gives it another size.
    ///
    /// # Errors
    /// [`Refusal::Box`], [`Refusal::InUse`], [`Refusal::Full`]; nothing has changed then.
    pub fn rent(&mut self, name: &Name, floors: Floors) -> Result<(), Refusal> {
        let old = self.slice(name);
        let others = self.slices.iter().filter(|slice| slice.name != *name);
        let sum = others.fold(floors, |sum, slice| sum.add(slice.floors));
        let short = grown(sum.beyond(self.capacity), floors, old);
        if !short.is_empty() {
            return Err(Refusal::Box { slice: name.clone(), short });
        }
        let short = self.used(name).beyond(floors);
        if !short.is_empty() {
            return Err(Refusal::InUse { slice: name.clone(), short });
        }
        self.write_slice(name, floors)
    }

    fn write_slice(&mut self, name: &Name, floors: Floors) -> Result<(), Refusal> {
        match self.slices.iter_mut().find(|slice| slice.name == *name) {
            Some(slice) => slice.floors = floors,
            None => {
                let slice = Rented { name: name.clone(), floors };
                self.slices.push(slice).map_err(|_| Refusal::Full)?;
            }
        }
        Ok(())
    }

    /// A slice is given back.
    ///
    /// # Errors
    /// [`Refusal::InUse`]: services of it are admitted.
    pub fn give_back(&mut self, name: &Name) -> Result<(), Refusal> {
        if self.services.iter().any(|service| service.slice == *name) {
            let short = self.used(name).beyond(Floors::default());
            return Err(Refusal::InUse { slice: name.clone(), short });
        }
        self.slices.retain(|slice| slice.name != *name);
        Ok(())
    }

    /// Admits a service, or gives it other floors.
    ///
    /// # Errors
    /// [`Refusal::NoSlice`], [`Refusal::Slice`], [`Refusal::Full`]; nothing has changed then.
    pub fn admit(&mut self, service: &Name, slice: &Name, floors: Floors) -> Result<(), Refusal> {
        let Some(all) = self.slice(slice) else { return Err(Refusal::NoSlice(slice.clone())) };
        let has = self.services.iter().find(|has| has.name == *service && has.slice == *slice);
        let sum = self.services_but(slice, service).add(floors);
        let short = grown(sum.beyond(all), floors, has.map(|has| has.floors));
        if !short.is_empty() {
            return Err(Refusal::Slice { slice: slice.clone(), short });
        }
        self.write_service(service, slice, floors)
    }

    fn write_service(&mut self, name: &Name, slice: &Name, floors: Floors) -> Result<(), Refusal> {
        let new = Admitted { name: name.clone(), slice: slice.clone(), floors };
        match self.services.iter_mut().find(|service| service.name == *name) {
            Some(service) => *service = new,
            None => self.services.push(new).map_err(|_| Refusal::Full)?,
        }
        Ok(())
    }

    /// A service that a former life admitted, and which has run since: it is admitted, and its slice is rented.
    pub fn take_over(&mut self, service: &Name, floors: Floors, slice: (&Name, Floors)) {
        // Both tables hold all that there can be.
        let _ = self.write_slice(slice.0, slice.1);
        let _ = self.write_service(service, slice.0, floors);
    }

    /// A service no longer needs what it was promised.
    pub fn release(&mut self, service: &str) {
        self.services.retain(|admitted| admitted.name.as_str() != service);
    }
}

/// Of what is short, that which is more than it was.
fn grown(short: Short, new: Floors, old: Option<Floors>) -> Short {
    let old = old.unwrap_or_default();
    let grows = |resource: Resource| {
        let each = Resource::ALL.into_iter().zip(new.0).zip(old.0);
        each.filter(|((of, _), _)| *of == resource).any(|((_, new), old)| new > old)
    };
    short.into_iter().filter(|(resource, _)| grows(*resource)).collect()
}

#[cfg(test)]
mod tests;
