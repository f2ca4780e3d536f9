//! Who is played: storage and network, services, the kernel's part of a start.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use contract::Name;
use contract::installed::Service;
use contract::layer::Layers;
use contract::manifest::{Manifest, Ready, Restart, Update, Volume};
use contract::wires::Wire;
use contract::{attach, mount};
use sandbox::Network;
use sandbox::cgroup::Setting;
use wire::{Connection, Listener, Received};

use super::{DAMAGED, World};
use crate::house::House;
use crate::process::{What, label};
use crate::{Error, catalogue, start};

/// The service that says `update = "overlap"`.
pub(super) const OVERLAPS: &str = "o";

/// Numbers of processes from here on: no kernel gives them. Source: `PID_MAX_LIMIT` in include/linux/threads.h, Linux 6.12.
const PID_MIN: i32 = 1 << 23;

thread_local! {
    static NEXT_PID: Cell<i32> = const { Cell::new(PID_MIN) };
    /// What the clock says, if it is believed, in milliseconds since 1970.
    static WALL_MS: Cell<Option<u64>> = const { Cell::new(None) };
    /// Cgroups of slices.
    static CGROUPS: RefCell<BTreeMap<String, Vec<Setting>>> = const { RefCell::new(BTreeMap::new()) };
    /// Who lives in which cgroup.
    static LIVES: RefCell<BTreeMap<u32, String>> = const { RefCell::new(BTreeMap::new()) };
}

/// What the clock says from now on; `None`: it is not believed.
pub(super) fn set_wall(wall_s: Option<u64>) {
    WALL_MS.set(wall_s.map(|wall_s| wall_s * 1_000));
}

pub(super) fn wall() -> Option<u64> {
    WALL_MS.get()
}

/// Another world begins in this thread.
pub(super) fn forget_cgroups() {
    set_wall(None);
    CGROUPS.with_borrow_mut(BTreeMap::clear);
    LIVES.with_borrow_mut(BTreeMap::clear);
}

pub(super) fn let_live(path: &str, pid: u32) {
    LIVES.with_borrow_mut(|all| all.insert(pid, path.to_owned()));
}

pub(super) fn lives(path: &str, pid: u32) -> bool {
    LIVES.with_borrow(|all| all.get(&pid).is_some_and(|its| its == path))
}

pub(super) fn settle(path: &str, settings: &[Setting]) {
    if path.matches('/').count() == 2 {
        CGROUPS.with_borrow_mut(|all| all.insert(path.to_owned(), settings.to_vec()));
    }
}

pub(super) fn clear(path: &str) {
    CGROUPS.with_borrow_mut(|all| all.remove(path));
}

/// What was last said of a slice's cgroup; `None`: it is not there.
pub(super) fn cgroup(path: &str) -> Option<Vec<Setting>> {
    CGROUPS.with_borrow(|all| all.get(path).cloned())
}

/// A daemon that is played: it listens, and may have one connection.
pub(super) struct Played {
    pub(super) listener: Listener,
    pub(super) connection: Option<Connection>,
}

impl Played {
    pub(super) fn hear<T: serde::de::DeserializeOwned>(&mut self) -> Option<(T, Option<OwnedFd>)> {
        while let Some(newer) = self.listener.accept() {
            self.connection = Some(newer);
        }
        match self.connection.as_ref()?.receive() {
            Received::Message(ask, [first, ..]) => Some((ask, first)),
            Received::Nothing => None,
            Received::Gone => {
                self.connection = None;
                None
            }
        }
    }

    pub(super) fn say<T: serde::Serialize>(&self, answer: &T, gift: Option<&OwnedFd>) {
        let gifts: Vec<_> = gift.iter().map(|gift| gift.as_fd()).collect();
        let _ = self.connection.as_ref().unwrap().send(answer, &gifts);
    }
}

impl World {
    pub(super) fn storage_answers(&mut self) {
        while let Some((ask, _)) = self.storage.hear::<mount::Ask>() {
            match ask {
                mount::Ask::Mount { image: mount::Image::Bundle([DAMAGED, ..]), .. } => {
                    self.storage.say(&mount::Answer::Refused("the image is damaged".into()), None);
                }
                mount::Ask::Mount { service, image, .. } => {
                    let root = sys::seqpacket::memory_file(c"root").unwrap();
                    let digest = if let mount::Image::Bundle(digest) = &image { *digest } else { [0; 32] };
                    nix::sys::uio::pwrite(&root, &digest, 0).unwrap();
                    self.mounted.insert(service.to_string(), image);
                    self.storage.say(&mount::Answer::Mounted, Some(&root));
                }
                mount::Ask::Release { service } => {
                    self.mounted.remove(service.as_str());
                    self.storage.say(&mount::Answer::Done, None);
                }
                mount::Ask::Volume { service, bytes, .. } => {
                    self.volumes.insert(service.to_string(), bytes);
                    let volume = sys::seqpacket::memory_file(c"volume").unwrap();
                    self.storage.say(&mount::Answer::Mounted, Some(&volume));
                }
                mount::Ask::Drop { service, .. } => {
                    self.volumes.remove(service.as_str());
                    self.storage.say(&mount::Answer::Done, None);
                }
                mount::Ask::Disk => {
                    let promised_bytes = self.volumes.values().sum();
                    self.storage.say(&mount::Answer::Disk(disk(promised_bytes)), None);
                }
                mount::Ask::Watch | mount::Ask::Finish => panic!("{ask:?}"),
            }
        }
    }

    /// What is kept of a network is none that the kernel could open again.
    pub(super) fn reopen_networks(&mut self) {
        let Self { house, store, .. } = self;
        for process in &mut house.processes {
            let kept = store.get(&format!("{}.{}", label::NETWORK, process.key()));
            let (What::Tenant(tenant), Some((_, namespace))) = (&mut process.what, kept) else { continue };
            let netlink = sys::seqpacket::memory_file(c"no-network").unwrap();
            tenant.network = Some(Network { namespace: namespace.try_clone().unwrap(), netlink });
        }
    }

    pub(super) fn network_answers(&mut self) {
        while let Some((ask, namespace)) = self.network.hear::<attach::Ask>() {
            match ask {
                attach::Ask::Attach { service, slice, slot, rates, slice_rates, .. } => {
                    self.shared.insert(slice.to_string(), slice_rates);
                    let twice =
                        self.attached.iter().any(|(name, (other, _))| *name != *service && *other == slot);
                    assert!(!twice, "slot {slot}: {:?}", self.attached);
                    let ceiling = rates.unwrap_or_default().ceiling_up_kbit_s;
                    self.attached.insert(service.to_string(), (slot, ceiling));
                    self.ends_in.insert(service.to_string(), inode(&namespace.unwrap()));
                    let address = [10, 64, 0, slot].into();
                    self.network.say(&attach::Answer::Attached { address }, None);
                }
                attach::Ask::Resize { slice, rates } => {
                    self.shared.insert(slice.to_string(), rates);
                    self.network.say(&attach::Answer::Done, None);
                }
                attach::Ask::Detach { service } => {
                    self.attached.remove(service.as_str());
                    self.network.say(&attach::Answer::Done, None);
                }
                attach::Ask::Carried { .. } => panic!("{ask:?}"),
            }
        }
    }
}

/// What tells one namespace from another.
pub(super) fn inode(namespace: &OwnedFd) -> u64 {
    nix::sys::stat::fstat(namespace).unwrap().st_ino
}

pub(super) fn wire_at(wire: Wire, folder: &Path) -> Wire {
    let path = folder.join(wire.name).to_str().unwrap().to_owned();
    let clients = vec![nix::unistd::geteuid().as_raw()];
    Wire { path: Box::leak(path.into_boxed_str()), clients: Box::leak(clients.into_boxed_slice()), ..wire }
}

pub(super) fn manifest(name: &str) -> Manifest {
    let hello = catalogue::entries().next().unwrap().manifest;
    let mut manifest = Manifest {
        name: Name::new(name).unwrap(),
        autostart: true,
        ready: Ready::Running,
        restart: Restart::Always,
        health: None,
        // Two versions of this one may be there at once.
        update: if name == OVERLAPS { Update::Overlap } else { Update::Replace },
        serves: heapless::Vec::new(),
        ..hello
    };
    manifest.cpu.floor_permille = if name == "big" { 2_000 } else { 1 };
    manifest.memory.floor_mib = 0;
    (manifest.uplink.floor_kbit_s, manifest.downlink.floor_kbit_s) = (0, 0);
    manifest
}

pub(super) fn service(name: &str, version: u8) -> Service {
    let mut manifest = manifest(name);
    // So one sees which version a link was made for.
    manifest.uplink.ceiling_kbit_s = version.into();
    // And whether its volume is this version's. The first has none.
    let size_mib = if version == DAMAGED || name == OVERLAPS { 0 } else { u32::from(version) - 1 };
    manifest.volume = (size_mib > 0).then(|| Volume { size_mib, inodes: 8, at: "/data".into(), kept: true });
    Service { manifest, image: [version; 32], version: version.into() }
}

/// Room for three MiB of volumes, of which so many bytes are promised.
pub(super) fn disk(promised_bytes: u64) -> mount::Disk {
    mount::Disk {
        state: mount::DiskState::Mounted,
        device: "sda".into(),
        size_bytes: 6 << 20,
        free_bytes: 6 << 20,
        volumes_bytes: 3 << 20,
        promised_bytes,
        reason: "".into(),
    }
}

pub(super) fn no_network() -> Result<Network, sandbox::Error> {
    let file = || sys::seqpacket::memory_file(c"no-network").unwrap();
    Ok(Network { namespace: file(), netlink: file() })
}

/// Notes a process as [`House::start_tenant`] does, and looks whether its root is that of the version that is to run.
pub(super) fn no_start(house: &mut House, place: usize) -> Result<(), Error> {
    NEXT_PID.set(NEXT_PID.get() + 1);
    let House { processes, keep, .. } = house;
    let process = &mut processes[place];
    let What::Tenant(tenant) = &mut process.what else { panic!("a daemon") };
    let root = tenant.root.take().expect("it is prepared");
    assert_eq!(tenant.volume.take().is_some(), tenant.manifest.volume.is_some(), "its volume");
    if let Some(bundle) = &tenant.bundle {
        let mut image = [0; 32];
        assert_eq!(nix::sys::uio::pread(&root, &mut image, 0), Ok(32));
        assert_eq!(image, bundle.image, "{}: the root of another version", process.name);
    }
    start::born(process, keep, NEXT_PID.get(), &root);
    process.ours = false;
    process.record.layers = Layers::all();
    process.write_record();
    Ok(())
}
