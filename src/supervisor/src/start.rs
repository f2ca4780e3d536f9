//! Doing what `life` says: preparing, starting, stopping, killing.
//!
//! In:  a process and an act. Out: the event that follows at once, where one does.

use std::fs;
use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::lchown;
use std::path::Path;

use contract::control::State;
use contract::layer::Layers;
use contract::manifest::{Manifest, Ready};
use contract::slice::Slice;
use contract::{Name, Text, attach, mount};
use log::{info, warn};
use nix::sys::signal::Signal;
use sandbox::{Host, LANDLOCK_MAX, Moment, Report, cgroup, daemon, enter, layers, look};
use sys::{Errno, pidfd};

use crate::Error;
use crate::core::{DEVICES, RUN_FOLDERS};
use crate::house::House;
use crate::life::Event;
use crate::links::For;
use crate::process::{Process, What, label};
use crate::record::Record;

/// Where the board names the Landlock ABI that its kernel has.
const LANDLOCK: &str = "/etc/shg/landlock";
/// The program that is PID 1 inside.
pub const REAPER: &str = "/usr/lib/shg/reaper";

impl House {
    /// Asks for what `place` needs before it can be made.
    pub fn prepare(&mut self, place: usize) -> Option<Event> {
        if let Err(refusal) = self.admit(place) {
            let process = self.processes.get_mut(place)?;
            let event = refused(process, &refusal.to_string());
            // What was installed once and does not fit now waits for somebody to decide who goes.
            return Some(if process.bundle().is_some() { Event::Broken } else { event });
        }
        let make_network = self.hands.network;
        let Self { processes, keep, mounts, attachments, rented, .. } = self;
        let process = processes.get_mut(place)?;
        let key = process.key();
        let What::Tenant(tenant) = &mut process.what else { return Some(Event::Prepared) };
        #[cfg(feature = "rehearsal")]
        crate::rehearsal::dress(&process.name, tenant);
        if tenant.network.is_none() {
            match make_network() {
                Ok(network) => {
                    keep.store(label::NETWORK, &key, 0, network.namespace.as_fd());
                    tenant.network = Some(network);
                }
                Err(error) => return Some(refused(process, &error.to_string())),
            }
        }
        let network = tenant.network.as_ref()?;
        tenant.attempt = tenant.attempt.wrapping_add(1);
        let what = For::Start(process.id, tenant.attempt);
        let attach =
            attach_ask(&process.name, &tenant.manifest, tenant.slot, rented.of(&tenant.manifest.provider));
        let mount = mount::Ask::Mount {
            service: process.name.clone(),
            image: match &tenant.bundle {
                Some(bundle) => mount::Image::Bundle(bundle.image),
                None => mount::Image::Root(tenant.manifest.image.clone()),
            },
            uid_base: tenant.plan.uid_base,
            uid_count: tenant.plan.uid_count,
        };
        // Its link is kept, like its network: it stands as long as the `network` that made it lives.
        let linked = match tenant.attached || !tenant.needs_link() {
            true => Ok(()),
            false => attachments.ask(what, &attach, &[network.namespace.as_fd(), network.netlink.as_fd()]),
        };
        let volume = tenant.manifest.volume.as_ref().map(|volume| mount::Ask::Volume {
            service: process.name.clone(),
            provider: tenant.manifest.provider.clone(),
            uid_base: tenant.plan.uid_base,
            uid_count: tenant.plan.uid_count,
            bytes: volume.bytes(),
            inodes: volume.inodes.into(),
        });
        let mut asked = linked.and_then(|()| mounts.ask(what, &mount, &[]));
        if let Some(volume) = volume {
            asked = asked.and_then(|()| mounts.ask(For::Volume(process.id, tenant.attempt), &volume, &[]));
        }
        (tenant.root, tenant.volume) = (None, None);
        asked.err().map(|error| refused(process, &error.to_string()))
    }

    /// Makes the process of `place`. It waits for its last word, and gets it once PID 1 keeps its descriptor.
    pub fn start(&mut self, place: usize) -> Option<Event> {
        let made = match self.processes.get(place)?.what {
            What::Daemon(_) => self.start_daemon(place),
            What::Tenant(_) => (self.hands.start)(self, place),
        };
        let process = self.processes.get_mut(place)?;
        match made {
            Ok(()) => None,
            Err(error) => Some(refused(process, &error.to_string())),
        }
    }

    fn start_daemon(&mut self, place: usize) -> Result<(), Error> {
        let Self { processes, keep, wires, .. } = self;
        let Some(process) = processes.get_mut(place) else { return Ok(()) };
        let What::Daemon(what) = &process.what else { return Ok(()) };
        let what = *what;
        let limit = cgroup::plain("memory.max", format_args!("{}", u64::from(what.memory_mib) << 20));
        let group = own_cgroup(cgroup::renew(&format!("/gateway/{}", what.name), [&limit]))?;
        let listeners: Vec<_> = what
            .wires
            .iter()
            .filter_map(|name| contract::wires::ALL.iter().position(|wire| wire.name == *name))
            .filter_map(|number| wires.get(number).map(AsFd::as_fd))
            .collect();
        let started = daemon::start(
            daemon::Daemon {
                program: what.program,
                uid: what.uid,
                capabilities: what.capabilities,
                wires: what.wires,
            },
            daemon::Given {
                cgroup: group.as_ref().map(AsFd::as_fd),
                output: process.ring.writer.as_fd(),
                notify: process.note.1.as_fd(),
                listeners: &listeners,
            },
        )?;
        set_oom_score(started.pid, -900)
            .unwrap_or_else(|error| warn!("{}: oom_score_adj: {error}", what.name));
        born(process, keep, started.pid, &started.pidfd);
        process.pidfd = started.pidfd.try_clone().ok();
        Ok(started.go()?)
    }

    pub(crate) fn start_tenant(&mut self, place: usize) -> Result<(), Error> {
        self.plan_ceiling(place);
        let floor_mib = self.processes.get(place).map_or(0, |process| match &process.what {
            What::Tenant(tenant) => tenant.manifest.memory.floor_mib,
            What::Daemon(_) => 0,
        });
        let score = self.oom_score(floor_mib);
        let Self { processes, keep, .. } = self;
        let Some(process) = processes.get_mut(place) else { return Ok(()) };
        let What::Tenant(tenant) = &mut process.what else { return Ok(()) };
        let (root, volume) = (tenant.root.take(), tenant.volume.take());
        let (Some(root), Some(network)) = (root, &tenant.network) else { return Ok(()) };
        let reaper = fs::File::open(REAPER)
            .map_err(|error| Error::System(REAPER, Errno::from_raw(error.raw_os_error().unwrap_or(0))))?;
        let host = Host::gather(Path::new(sandbox::DEV), &tenant.plan)?;
        // Layers that are files of the cgroup are left out here in a rehearsal, all others inside.
        let without = tenant.without;
        let stays = |setting: &&cgroup::Setting| !setting.layer.is_some_and(|layer| without.has(layer));
        let settings = tenant.plan.cgroup_files.iter().filter(stays);
        if tenant.without != Layers::NONE {
            cgroup::remove(&tenant.plan.cgroup)?; // What was set in its last life is not there by itself.
        }
        let group = cgroup::renew(&tenant.plan.cgroup, settings)?;
        tenant.peak = cgroup::Peak::begin(&tenant.plan.cgroup);
        let entered = enter(
            &tenant.plan,
            sandbox::Given {
                root: root.as_fd(),
                volume: volume.as_ref().map(AsFd::as_fd),
                host: host.as_ref(),
                network: network.namespace.as_fd(),
                cgroup: group.as_fd(),
                output: process.ring.writer.as_fd(),
                notify: process.note.1.as_fd(),
                reaper: reaper.as_fd(),
                landlock: landlock_abi(),
                without: tenant.without,
            },
        )?;
        // Without it nobody would hear of its end: then it is not let go, and ends.
        let descriptor = entered.pidfd.try_clone().map_err(|error| {
            Error::System("no descriptor", Errno::from_raw(error.raw_os_error().unwrap_or(0)))
        })?;
        let pid = entered.pid;
        set_oom_score(pid, score).unwrap_or_else(|error| warn!("{}: oom_score_adj: {error}", process.name));
        tenant.entered = Some(entered);
        born(process, keep, pid, &descriptor);
        process.pidfd = Some(descriptor);
        Ok(())
    }

    /// A tenant's layers are on, or one of them is not: it is looked at from outside, and gets its last word, or not.
    pub fn judge(&mut self, place: usize) -> Option<Event> {
        let process = self.processes.get_mut(place)?;
        let What::Tenant(tenant) = &mut process.what else { return None };
        let ready = tenant.manifest.ready;
        let Some(entered) = tenant.entered.take() else { return runs(process, ready) };
        let told = match entered.report() {
            Report::Nothing => {
                tenant.entered = Some(entered);
                return None;
            }
            // It was killed, perhaps, or there was no memory: its corpse tells, and it starts again like any other.
            Report::Failed(sandbox::Error::Outside(..)) => return None,
            Report::Failed(error) => {
                process.record.reason = Text::format(format_args!("{error}"));
                warn!("{}: {error}", process.name);
                return Some(Event::Broken);
            }
            Report::Applied(layers) => layers,
        };
        let network = tenant.network.as_ref()?;
        let seen = look(entered.pid, &tenant.plan, &network.namespace, told, Moment::Waiting);
        let found = layers(&seen, &tenant.plan);
        process.record.layers = found;
        let mut missing = Layers::all().iter().filter(|layer| !found.has(*layer)).map(|layer| layer.word());
        if let Some(first) = missing.next().filter(|_| !tenant.weak) {
            let words = missing.fold(first.to_owned(), |words, word| words + ", " + word);
            process.record.reason = Text::format(format_args!("not started: layers missing: {words}"));
            warn!("{}: {}", process.name, process.record.reason);
            return Some(Event::Broken);
        }
        process.write_record(); // The next life knows by it that this was about to run.
        if let Err(error) = entered.go() {
            return Some(refused(process, &error.to_string()));
        }
        (ready == Ready::Running).then_some(Event::Ready)
    }

    /// Asks `place` to end.
    pub fn stop(&mut self, place: usize) {
        let Some(process) = self.processes.get_mut(place) else { return };
        if let Some(descriptor) = &process.pidfd {
            // It may have ended by itself; its corpse is on its way.
            let _ = pidfd::send_signal(descriptor.as_fd(), Signal::SIGTERM);
        }
        // A child that still waits for its last word ends at the end of the pipe.
        if let What::Tenant(tenant) = &mut process.what {
            tenant.entered = None;
        }
    }

    /// Ends `place` and all that it has started.
    pub fn kill(&mut self, place: usize) {
        let Some(process) = self.processes.get_mut(place) else { return };
        if let Some(descriptor) = &process.pidfd {
            let _ = pidfd::send_signal(descriptor.as_fd(), Signal::SIGKILL);
        }
        let group = process.cgroup();
        if cgroup::is_populated(&group) {
            cgroup::kill(&group).unwrap_or_else(|error| warn!("{}: {error}", process.name));
        }
        if let What::Tenant(tenant) = &mut process.what {
            tenant.entered = None;
        }
    }
}

/// The ask for a link of the service `name`.
pub(crate) fn attach_ask(name: &Name, manifest: &Manifest, slot: u8, slice: Option<&Slice>) -> attach::Ask {
    attach::Ask::Attach {
        service: name.clone(),
        slot,
        slice: manifest.provider.clone(),
        serves: manifest.serves.clone(),
        reaches: manifest.reaches.clone(),
        rates: Some(attach::Rates::of(manifest.uplink, manifest.downlink)),
        slice_rates: slice.map(line_of).unwrap_or_default(),
    }
}

/// What a slice is promised and allowed of the line.
pub(crate) fn line_of(slice: &Slice) -> attach::Rates {
    attach::Rates::of(slice.uplink, slice.downlink)
}

/// The Landlock ABI that the board names, in a file of one number; without it the newest that we know: fail closed.
fn landlock_abi() -> u32 {
    let named = fs::read_to_string(LANDLOCK).ok();
    named.and_then(|text| text.trim_end().parse().ok()).unwrap_or(LANDLOCK_MAX)
}

/// Adopted between its last word and being noted as ready: it runs, or it has not had that word and ends.
fn runs(process: &Process, ready: Ready) -> Option<Event> {
    let Record { state, pid, layers, .. } = process.record;
    let adopted = state == State::Starting && pid.is_some() && !process.ours && layers != Layers::NONE;
    (adopted && ready == Ready::Running).then_some(Event::Ready)
}

/// A process was made: PID 1 keeps its descriptor, and the record its number, before it gets its last word.
pub(crate) fn born(process: &mut Process, keep: &crate::keep::Keep, pid: i32, descriptor: &OwnedFd) {
    let _ = process.listen(); // What its predecessor said last does not count.
    keep.store(label::PID, &process.key(), pid, descriptor.as_fd());
    process.record.pid = Some(pid);
    process.record.state = State::Starting;
    process.record.layers = Layers::NONE;
    process.ours = true;
    process.write_record();
    info!("{}: process {pid}", process.name);
}

/// Where there are no cgroups (a kernel without them) a daemon runs all the same. Not where its last life still ends: then it would run
/// twice, and the second time in our cgroup.
fn own_cgroup(made: Result<OwnedFd, sandbox::Error>) -> Result<Option<OwnedFd>, sandbox::Error> {
    match made {
        Ok(group) => Ok(Some(group)),
        Err(error @ sandbox::Error::Outside(_, Errno::EBUSY)) => Err(error),
        Err(error) => {
            warn!("{error}");
            Ok(None)
        }
    }
}

/// Notes why it did not go on for now.
fn refused(process: &mut Process, why: &str) -> Event {
    if process.record.reason.as_str() != why {
        warn!("{}: {why}", process.name);
    }
    process.record.reason = why.into();
    Event::Refused
}

/// Source: proc_pid_oom_score_adj(5).
fn set_oom_score(pid: i32, score: i32) -> std::io::Result<()> {
    fs::write(format!("/proc/{pid}/oom_score_adj"), score.to_string())
}

/// The supervisor's own place: its cgroup, and the last one to be killed when memory runs out.
pub fn settle() {
    const OWN: &str = "/gateway/supervisor";
    match cgroup::prepare(OWN, &[]) {
        Ok(_) => {
            let file = format!("{}{OWN}/cgroup.procs", cgroup::ROOT);
            fs::write(&file, "0").unwrap_or_else(|error| warn!("{file}: {error}"));
        }
        Err(error) => warn!("{error}"),
    }
    fs::write("/proc/self/oom_score_adj", "-1000").unwrap_or_else(|error| warn!("oom_score_adj: {error}"));
    make_run_folders();
    give_devices();
}

/// Makes the daemons' folders under `/run`, which is ours alone: nobody else can have put a link there.
fn make_run_folders() {
    for (path, owner) in RUN_FOLDERS {
        let made = match fs::create_dir(path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            made => made,
        };
        let owned = made.and_then(|()| lchown(path, Some(*owner), Some(*owner)));
        owned.unwrap_or_else(|error| warn!("{path}: {error}"));
    }
}

/// Gives daemons their devices; a kernel may have none of them.
fn give_devices() {
    for (path, owner) in DEVICES {
        match lchown(path, Some(*owner), Some(*owner)) {
            Err(error) if error.kind() != ErrorKind::NotFound => warn!("{path}: {error}"),
            Err(_) | Ok(()) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::own_cgroup;
    use sandbox::Error;
    use sys::Errno;

    #[test]
    fn a_daemon_goes_without_a_cgroup_only_where_there_are_none() {
        assert!(own_cgroup(Err(Error::Outside("no cgroups", Errno::ENOENT))).unwrap().is_none());
        assert!(own_cgroup(Err(Error::Outside("somebody lives in it", Errno::EBUSY))).is_err());
    }
}
