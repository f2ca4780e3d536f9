//! Slices and the gateway's own part, as cgroups: floors and ceilings that were admitted become what the kernel enforces.
//!
//! In:  what was measured, the table of slices, a service that is to start. Out: cgroups that say so, or a refusal.
//!
//! Not here: whether something fits (`admission.rs`), orders about slices (`rental.rs`), what a service's own cgroup says (`sandbox::cgroup`).
//!
//! Source: Documentation/admin-guide/cgroup-v2.rst, "Resource Distribution Models".

use contract::control::{Answer, Promised, State};
use contract::limit::{REASON_BYTES, SLICES};
use contract::manifest::{Manifest, Volume};
use contract::slice::Slice;
use contract::{Name, Text, attach};
use log::{info, warn};
use nix::sched::{CpuSet, sched_getaffinity};
use nix::sys::sysinfo::sysinfo;
use nix::unistd::Pid;
use sandbox::cgroup::{self, Setting};
use sys::clock;

use crate::admission::{
    Floors, GATEWAY_MIB, Measured, Refusal, WEIGHT_MAX, capacity, disk_weight, weight, weight_of_slices,
};
use crate::ceiling;
use crate::compliance::carried;
use crate::house::House;
use crate::links::For;
use crate::process::{Process, What};
use crate::tenant::Tenant;
use crate::{record, start};

/// Where all slices are.
pub(crate) const SLICES_GROUP: &str = "/slices";
/// A `cpu.max` that holds nobody back: four threads, of two. With the first ceiling of the processor the kernel writes over instructions of its
/// running scheduler, and with the end of the last one again (`cfs_bandwidth_usage_inc`, kernel/sched/fair.c). So the first is set before anybody runs,
/// and stays: decision 131.
const CEILING_OF_NOBODY: &str = "400000 100000";
/// Where triple play and the core daemons are.
const GATEWAY: &str = "/gateway";

/// Measures the box; of the data disk, once [`divide`] was.
#[must_use]
pub fn measure(line_kbit_s: [u32; 2]) -> Measured {
    let threads = sched_getaffinity(Pid::from_raw(0)).map_or(1, |set| {
        let has = |cpu: &usize| set.is_set(*cpu).unwrap_or(false);
        (0..CpuSet::count()).filter(has).count()
    });
    let memory_mib = sysinfo().map_or(0, |info| info.ram_total() >> 20);
    Measured {
        threads: u32::try_from(threads).unwrap_or(1),
        memory_mib: u32::try_from(memory_mib).unwrap_or(u32::MAX),
        line_kbit_s,
        divides_disk: !cgroup::says(SLICES_GROUP, &cgroup::disk_weight(WEIGHT_MAX, false)).is_empty(),
    }
}

/// Gives the gateway's own part what protects it, and tenants together their bounds: they cannot have what was promised to nobody.
pub fn divide(capacity: Floors) {
    let mib = |mib: u32| u64::from(mib) << 20;
    write(
        GATEWAY,
        &[
            cgroup::weight(WEIGHT_MAX),
            cgroup::disk_weight(WEIGHT_MAX, false),
            cgroup::plain("memory.min", format_args!("{}", mib(GATEWAY_MIB))),
        ],
    );
    let disk = cgroup::disk_weight(weight_of_slices(), false);
    write(
        SLICES_GROUP,
        &[
            cgroup::weight(weight_of_slices()),
            cgroup::plain("memory.min", format_args!("{}", mib(capacity.memory_mib()))),
            cgroup::plain("memory.max", format_args!("{}", mib(capacity.memory_mib()))),
            cgroup::plain("memory.swap.max", format_args!("0")),
            cgroup::plain("cpu.max", format_args!("{CEILING_OF_NOBODY}")),
            disk.clone(),
        ],
    );
    if !cgroup::holds(SLICES_GROUP, &disk) {
        warn!("the data disk: this kernel does not divide it by weights (BFQ); no floor of it is promised");
    }
    ceiling::tell();
}

/// The weights of whoever has `floors` of `all`, which his siblings and he share.
fn weights(floors: Floors, all: Floors) -> [Setting; 2] {
    let of_disk = disk_weight(floors.disk_permille(), all.disk_permille());
    [
        cgroup::weight(weight(floors.cpu_permille(), all.cpu_permille())),
        cgroup::disk_weight(of_disk, floors.disk_permille() > 0),
    ]
}

/// Writes and reads back; what the kernel does not hold is said, for then less is promised than it seems.
pub(crate) fn write(path: &str, settings: &[Setting]) {
    if let Err(error) = cgroup::prepare(path, settings) {
        warn!("{path}: {error}");
    }
    for setting in settings.iter().filter(|setting| !cgroup::holds(path, setting)) {
        // Where there is no swap there is no such file, and nothing to forbid; of a disk that is not divided it is said once.
        if setting.layer.is_some() || !["memory.swap.max", "io.bfq.weight"].contains(&setting.file) {
            warn!("{path}: this kernel does not hold {} = {}", setting.file, setting.value);
        }
    }
}

/// The cgroup of a slice that nobody rents goes.
pub(crate) fn clear(path: &str) {
    cgroup::remove(path).unwrap_or_else(|error| warn!("{path}: {error}"));
}

/// The cgroup of a slice.
pub(crate) fn group_of(slice: &Name) -> String {
    format!("{SLICES_GROUP}/{slice}")
}

/// What is promised to a service: its floors, and while this version is tried those of the one before; where both are there, what both need.
fn promised_to(tenant: &Tenant, beside: Option<&Process>) -> Floors {
    let own = Floors::from(&tenant.manifest);
    if let Some(What::Tenant(other)) = beside.map(|other| &other.what) {
        return own.beside(Floors::from(&other.manifest));
    }
    let trial = tenant.bundle.as_ref().and_then(|bundle| bundle.trial);
    own.or_more(trial.map_or_else(Floors::default, |trial| trial.held))
}

/// What whoever gave an order is told in these words.
pub(crate) fn refused(refusal: &Refusal, words: Text<REASON_BYTES>) -> Answer {
    if refusal.is_for_room() { Answer::Short(words) } else { Answer::Refused(words) }
}

impl House {
    /// Asks `network` for the line, and hears it.
    pub fn measure_lines(&mut self) {
        let now_ms = clock::boot_ms();
        let up = |process: &Process| process.name.as_str() == "network" && process.record.state == State::Up;
        if self.processes.iter().any(up) {
            self.lines.ask(now_ms);
        }
        let Self { lines, processes, events, .. } = self;
        if lines.hear(now_ms, |way, row| carried(processes, events, now_ms, (way, row))) {
            let measured = measure(self.lines.known.unwrap_or_default());
            self.books.measure(capacity(measured));
            let [cpu, memory, up, down, disk] = self.books.capacity().0;
            info!(
                "for slices: {cpu} permille of a thread, {memory} MiB, {up} kbit/s up, {down} kbit/s down, {disk} permille of the disk"
            );
            self.rent_all();
        }
    }

    /// Rents what is not rented yet, in the order of the table.
    pub(crate) fn rent_all(&mut self) {
        for slice in &self.rented.slices.slice.clone() {
            if self.books.slice(&slice.name).is_some() {
                continue;
            }
            match self.books.rent(&slice.name, Floors::from(slice)) {
                Ok(()) => self.settle_slice(slice),
                Err(refusal) => warn!("{refusal}"),
            }
        }
        for slice in std::mem::take(&mut self.held) {
            self.rent_again(&slice).unwrap_or_else(|why| warn!("slice {}: {why}", slice.name));
        }
    }

    /// A slice that package has kept from an earlier boot: rented once it is known what fits, unless an order of this boot says otherwise.
    ///
    /// # Errors
    /// Why it is not rented.
    pub fn rent_again(&mut self, slice: &Slice) -> Result<(), Refusal> {
        if let Some(why) = slice.fault() {
            return Err(Refusal::Rule(why));
        }
        if self.rented.orders.iter().any(|order| order.slice == slice.name) {
            self.note_before(slice);
            return Ok(());
        }
        if self.lines.known.is_some() {
            return self.rent_now(slice);
        }
        self.held.retain(|held| held.name != slice.name);
        if self.held.len() >= SLICES {
            return Err(Refusal::Full);
        }
        self.held.push(slice.clone());
        Ok(())
    }

    fn rent_now(&mut self, slice: &Slice) -> Result<(), Refusal> {
        self.book(slice)?;
        record::write_rented(&self.slices_file, &self.rented);
        self.settle_again(&slice.name);
        Ok(())
    }

    /// As it is rented; `None`: it is not.
    pub(crate) fn rented_as(&self, name: &Name) -> Option<&Slice> {
        self.rented.of(name)
    }

    /// Writes into the books that a slice is rented, or has another size.
    pub(crate) fn book(&mut self, slice: &Slice) -> Result<(), Refusal> {
        if let Some(why) = slice.fault() {
            return Err(Refusal::Rule(why));
        }
        self.books.rent(&slice.name, Floors::from(slice))?;
        let all = &mut self.rented.slices.slice;
        match all.iter_mut().find(|other| other.name == slice.name) {
            Some(other) => *other = slice.clone(),
            // The books have as many places.
            None => drop(all.push(slice.clone())),
        }
        Ok(())
    }

    /// Strikes a slice out of the books, if no service of it is here, running or not; else why not.
    pub(crate) fn strike(&mut self, name: &Name) -> Result<(), String> {
        let its = |process: &&Process| process.others().1 == Some(name);
        if let Some(process) = self.processes.iter().find(its) {
            return Err(format!("service {} is in it", process.name));
        }
        self.books.give_back(name).map_err(|refusal| refusal.to_string())?;
        self.rented.slices.slice.retain(|slice| slice.name != *name);
        Ok(())
    }

    /// What the books say of a slice becomes what the kernel does.
    pub(crate) fn settle_again(&mut self, name: &Name) {
        match self.rented_as(name).cloned() {
            Some(slice) => {
                self.settle_slice(&slice);
                self.weigh_again(&slice);
                self.share_line_again(&slice);
            }
            None => (self.hands.clear)(&group_of(name)),
        }
    }

    /// Would a service with these floors be admitted, beside those that are? While nobody knows what the line can promise, only its slice is
    /// looked for. Of its volume storage has the last word, when it starts: it knows what is on the disk.
    ///
    /// # Errors
    /// What is short; or [`Refusal::NoSlice`].
    pub fn would_admit(&self, manifest: &Manifest) -> Result<(), Refusal> {
        if let (Some(volume), Some(disk)) = (&manifest.volume, &self.disk) {
            let process = self.processes.iter().find(|process| process.name == manifest.name);
            let own = process.and_then(Process::volume).map_or(0, Volume::bytes);
            let others = disk.promised_bytes.saturating_sub(own);
            let short = others.saturating_add(volume.bytes()).saturating_sub(disk.volumes_bytes);
            if short > 0 {
                return Err(Refusal::Disk(short.div_ceil(1 << 20)));
            }
        }
        let provider = &manifest.provider;
        if self.lines.known.is_some() {
            return self.books.clone().admit(&manifest.name, provider, Floors::from(manifest));
        }
        let mut slices = self.rented.slices.slice.iter().chain(&self.held);
        let rented = slices.any(|slice| slice.name == *provider);
        if rented { Ok(()) } else { Err(Refusal::NoSlice(provider.clone())) }
    }

    /// `network` hears of a slice's other part of the line, where a service of it has a link. If it is away, it hears so with each link.
    fn share_line_again(&mut self, slice: &Slice) {
        let has_link = |process: &Process| match &process.what {
            What::Tenant(tenant) => tenant.manifest.provider == slice.name && tenant.network.is_some(),
            What::Daemon(_) => false,
        };
        if self.processes.iter().any(has_link) {
            let ask = attach::Ask::Resize { slice: slice.name.clone(), rates: start::line_of(slice) };
            let asked = self.attachments.ask(For::Slice, &ask, &[]);
            asked.unwrap_or_else(|error| warn!("slice {}: its part of the line: {error}", slice.name));
        }
    }

    /// Weights of a slice's services are parts of its own floor.
    fn weigh_again(&mut self, slice: &Slice) {
        let Self { processes, books, hands, .. } = self;
        for process in processes.iter_mut().filter(|process| books.has(&process.name)) {
            let What::Tenant(tenant) = &mut process.what else { continue };
            if tenant.manifest.provider == slice.name {
                let weights = weights(Floors::from(&tenant.manifest), Floors::from(slice));
                if process.record.pid.is_some() {
                    (hands.settle)(&tenant.plan.cgroup, &weights);
                }
                weights.into_iter().for_each(|weight| tenant.plan.weigh(weight));
            }
        }
    }

    /// What there is to be promised, and what is: the gateway's row, and one for each slice.
    pub fn promised(&self) -> impl Iterator<Item = Promised> {
        let (all, promised) = (self.books.capacity().0, self.books.rented().0);
        let gateway = Promised { slice: None, all, promised, rented: None };
        let slices = self.rented.slices.slice.iter().filter_map(|slice| {
            let (all, used) = (self.books.slice(&slice.name)?, self.books.used(&slice.name));
            let (name, rented) = (Some(slice.name.clone()), Some(slice.clone()));
            Some(Promised { slice: name, all: all.0, promised: used.0, rented })
        });
        std::iter::once(gateway).chain(slices)
    }

    fn settle_slice(&self, slice: &Slice) {
        (self.hands.settle)(&group_of(&slice.name), &self.settings_of(slice));
    }

    /// What the kernel is told of a slice.
    pub(crate) fn settings_of(&self, slice: &Slice) -> Vec<Setting> {
        let mut settings: Vec<Setting> = cgroup::bounds(slice.cpu, slice.memory).into_iter().collect();
        settings.extend(weights(Floors::from(slice), self.books.capacity()));
        settings.extend(ceiling::of_slice(slice));
        settings
    }

    /// Admits the tenant at `place`, and gives it its weights; a daemon needs no admission.
    ///
    /// # Errors
    /// What is short; or [`Refusal::NoSlice`].
    pub fn admit(&mut self, place: usize) -> Result<(), Refusal> {
        let promised = self.promised_at(place);
        let Self { processes, books, .. } = self;
        let Some(process) = processes.get_mut(place) else { return Ok(()) };
        let What::Tenant(tenant) = &mut process.what else { return Ok(()) };
        let (slice, floors) = (&tenant.manifest.provider, Floors::from(&tenant.manifest));
        books.admit(&process.name, slice, promised)?;
        let all = books.slice(slice).unwrap_or_default();
        weights(floors, all).into_iter().for_each(|weight| tenant.plan.weigh(weight));
        Ok(())
    }

    fn promised_at(&self, place: usize) -> Floors {
        let beside = self.beside(place).and_then(|other| self.processes.get(other));
        match self.processes.get(place).map(|process| &process.what) {
            Some(What::Tenant(tenant)) => promised_to(tenant, beside),
            Some(What::Daemon(_)) | None => Floors::default(),
        }
    }

    /// Tenants that run since a former life were admitted then.
    pub fn take_over(&mut self) {
        for place in 0..self.processes.len() {
            let promised = self.promised_at(place);
            let Self { processes, books, rented, .. } = self;
            let Some(process) = processes.get_mut(place).filter(|process| process.is_now()) else { continue };
            let What::Tenant(tenant) = &mut process.what else { continue };
            let tried = tenant.bundle.as_ref().is_some_and(|bundle| bundle.trial.is_some());
            if matches!(process.record.state, State::Down | State::Failed) && !tried {
                continue;
            }
            let floors = Floors::from(&tenant.manifest);
            let Some(slice) = rented.of(&tenant.manifest.provider) else { continue };
            let all = Floors::from(slice);
            books.take_over(&process.name, promised, (&slice.name, all));
            weights(floors, all).into_iter().for_each(|weight| tenant.plan.weigh(weight));
        }
    }

    /// How ready the kernel is to end a process of `place` when memory is short: what it uses counts less by its floor, so whoever has more
    /// than his floor goes first. In thousandths of all that tenants can have; docs/decisions/0041-who-goes-first.md.
    #[must_use]
    pub fn oom_score(&self, floor_mib: u32) -> i32 {
        let all = u64::from(self.books.capacity().memory_mib().max(1));
        let part = (u64::from(floor_mib) * 1_000).div_ceil(all).min(900);
        -i32::try_from(part).unwrap_or(0)
    }
}
