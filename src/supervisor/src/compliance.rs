//! Compliance: the kernel's counters into ledgers, and breaches out of them, both to whoever asks.
//!
//! In:  cgroups' counters every five seconds, rows of the line. Out: `contract::sla`, on the wire `control`.
//!
//! Not here: what counts as a breach (`ledger.rs`), who is told of one (`events.rs`).

use contract::control::{Answer, State};
use contract::show::Traffic;
use contract::sla::{Breach, Cause, Compliance};
use sandbox::cgroup::{self, Peak};
use sys::clock;

use crate::admission::Floors;
use crate::core::Daemon;
use crate::events::Events;
use crate::house::House;
use crate::ledger::{Carried, Sample};
use crate::process::{Process, What};
use crate::tenant::Tenant;

/// Between two samples, in milliseconds.
pub const SAMPLE_EVERY_MS: u64 = 5_000;
impl House {
    /// Takes a sample of each tenant, where it is time to.
    pub fn sample(&mut self) {
        let now_ms = clock::boot_ms();
        if now_ms < self.sample_ms {
            return;
        }
        self.sample_ms = now_ms + SAMPLE_EVERY_MS;
        let Self { processes, events, .. } = self;
        for process in processes.iter_mut().filter(|process| process.is_now()) {
            let group = process.cgroup();
            let What::Tenant(tenant) = &mut process.what else { continue };
            let last = tenant.ledger.sample();
            let running = process.record.pid.is_some();
            let or_last =
                |number: Option<u64>, last: u64| if running { number.unwrap_or(last) } else { last };
            let memory_kib = cgroup::memory_bytes(&group).filter(|_| running).unwrap_or(0) >> 10;
            let now = Sample {
                at_ms: now_ms,
                wanted: process.record.wanted,
                up: process.record.state == State::Up,
                cpu_us: or_last(cgroup::number(&group, "cpu.stat", "usage_usec"), last.cpu_us),
                waited_us: or_last(cgroup::waited_us(&group), last.waited_us),
                memory_kib: u32::try_from(memory_kib).unwrap_or(u32::MAX),
                disk_bytes: or_last(cgroup::disk_bytes(&group), last.disk_bytes),
            };
            if let Some(breach) = tenant.ledger.take(now, tenant.manifest.cpu.floor_permille) {
                events.breach(&process.name, breach);
            }
            process.write_ledger();
        }
    }

    /// How each service's promises were kept.
    pub fn compliance(&self) -> impl Iterator<Item = Compliance> {
        self.processes.iter().filter(|process| process.is_now()).filter_map(|process| match &process.what {
            What::Tenant(tenant) => Some(row(tenant)),
            What::Daemon(_) => None,
        })
    }

    /// Tells who watches of each service that is promised something else, or had a breach, since it was last told of.
    pub fn tell_compliance(&mut self) {
        let Self { processes, events, .. } = self;
        for process in processes.iter_mut().filter(|process| process.is_now()) {
            let What::Tenant(tenant) = &mut process.what else { continue };
            let now = row(tenant);
            if tenant.told.replace(now.told()) != Some(now.told()) {
                let row = Answer::Compliance(now);
                events.watchers.retain(|watcher| watcher.send(&row, &[]).is_ok());
            }
        }
    }
}

fn row(tenant: &Tenant) -> Compliance {
    let (manifest, ledger) = (&tenant.manifest, &tenant.ledger);
    Compliance {
        service: manifest.name.clone(),
        slice: manifest.provider.clone(),
        promised: Floors::from(manifest).0,
        ceilings: [
            manifest.cpu.ceiling_permille,
            manifest.memory.ceiling_mib,
            manifest.uplink.ceiling_kbit_s,
            manifest.downlink.ceiling_kbit_s,
            manifest.disk.read_ceiling_kib_s,
            manifest.disk.write_ceiling_kib_s,
        ],
        windows: ledger.windows(),
        breaches: ledger.breaches,
        last: ledger.breach,
    }
}

/// One direction of one service, as the line has carried it.
pub fn carried(processes: &mut [Process], events: &mut Events, now_ms: u64, (way, row): (usize, &Traffic)) {
    let its = |process: &&mut Process| process.name.as_str() == row.class.as_str() && process.is_now();
    let Some(process) = processes.iter_mut().find(its) else { return };
    let What::Tenant(tenant) = &mut process.what else { return };
    let (manifest, ledger) = (&tenant.manifest, &mut tenant.ledger);
    let floor = if way == 0 { manifest.uplink.floor_kbit_s } else { manifest.downlink.floor_kbit_s };
    let now = Carried { at_ms: now_ms, bytes: row.bytes, waits: row.backlog_bytes > 0 };
    if let Some(breach) = ledger.carry(way, now, floor) {
        events.breach(&process.name, breach);
    }
}

/// Whoever was in this cgroup has ended. Was it for want of memory? Then why, in words; and the most that it had, in MiB, where the kernel says that.
/// A cgroup in which somebody was killed so is made anew for the next one.
fn starved_to_death(group: &str, peak: Option<&Peak>, ceiling_mib: u32) -> Option<(String, Option<u32>)> {
    cgroup::out_of_memory(group).then_some(())?;
    let bytes = peak.and_then(Peak::bytes).or_else(|| cgroup::peak_bytes(group));
    let peak_mib = bytes.map(|bytes| u32::try_from(bytes >> 20).unwrap_or(u32::MAX));
    let had = peak_mib.map_or_else(String::new, |mib| format!(": it had {mib} MiB of {ceiling_mib}"));
    Some((format!("out of memory{had}"), peak_mib))
}

/// The daemon has ended. Was it for want of memory? Then why, in words: a leak comes to that.
pub fn autopsy_of_daemon(daemon: &Daemon, group: &str) -> Option<String> {
    starved_to_death(group, None, daemon.memory_mib).map(|(why, _)| why)
}

/// The service has ended. Was it for want of memory? Then why, in words; and a breach, if it had no more than its floor.
pub fn autopsy(tenant: &mut Tenant, group: &str, now_ms: u64) -> (Option<String>, Option<Breach>) {
    let memory = tenant.manifest.memory;
    let peak = tenant.peak.take();
    let Some((why, peak_mib)) = starved_to_death(group, peak.as_ref(), memory.ceiling_mib) else {
        return (None, None);
    };
    // Where the peak is not known nobody can say that it kept to its floor.
    let within = peak_mib.filter(|mib| *mib < memory.floor_mib);
    let breach = within.map(|got| {
        let breach = Breach { at_ms: now_ms, cause: Cause::OutOfMemory, promised: memory.floor_mib, got };
        tenant.ledger.note(breach)
    });
    (Some(why), breach)
}
