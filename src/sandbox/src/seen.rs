//! Looking at a sandbox from outside: what the kernel says of a process.
//!
//! In:  a process id and a plan. Out: texts as the kernel gave them. Nothing is judged here (`read_back.rs`).
//!
//! Source: proc_pid_status(5), proc_pid_ns(5), proc_pid_mountinfo(5), proc_pid_fd(5), proc_pid_fdinfo(5), proc_pid_limits(5),
//! proc_pid_cgroup(5).

use std::fs;
use std::os::fd::AsFd;
use std::sync::OnceLock;

use contract::layer::{Layer, Layers};
use nix::sys::statvfs::statvfs;

use crate::devices::Number;
use crate::folder::Folder;
use crate::read_back::OPEN_MAX;
use crate::{Plan, Volume, cgroup, devices, host, namespace};

/// Kinds of namespaces, as they are called under `/proc/<pid>/ns`, each with its layer.
pub(crate) const NAMESPACES: [(&str, Layer); 7] = [
    ("user", Layer::UserNamespace),
    ("pid", Layer::PidNamespace),
    ("mnt", Layer::MountNamespace),
    ("net", Layer::NetworkNamespace),
    ("uts", Layer::UtsNamespace),
    ("ipc", Layer::IpcNamespace),
    ("cgroup", Layer::CgroupNamespace),
];

/// When it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Moment {
    /// Before its last word: none of the service's instructions has run.
    #[default]
    Waiting,
    /// It runs, and may have opened files of its own.
    Running,
}

/// One open descriptor.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Open {
    /// Its number.
    pub number: u32,
    /// Exec closes it.
    pub closes: bool,
    /// What it leads to: a path, `pipe:[…]`, `socket:[…]`, …; empty where nobody need know, for exec closes it or it is a standard one.
    pub leads_to: String,
    /// The mount that that lies on.
    pub mount: u32,
}

/// What was seen of a process. Every text is as the kernel gave it; empty where it gave none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// When.
    pub moment: Moment,
    /// Its namespaces and ours, in the order of the kinds.
    pub namespaces: [(String, String); 7],
    /// The name of the network namespace that it should be in.
    pub network: String,
    /// `uid_map` and `gid_map`.
    pub maps: [String; 2],
    /// `status`.
    pub status: String,
    /// `mountinfo`.
    pub mounts: String,
    /// `limits`.
    pub limits: String,
    /// `cgroup`.
    pub cgroup: String,
    /// Files of its cgroup, in the order of the plan's.
    pub cgroup_files: Vec<String>,
    /// Its descriptors.
    pub descriptors: Option<Vec<Open>>,
    /// Its cgroup is guarded by our program, the one that lets just `host` pass.
    pub guarded: bool,
    /// Devices of the gateway's that it has: name and numbers. Read-only, so it cannot have made one.
    pub host: Vec<(String, Option<Number>)>,
    /// What its volume can hold, in bytes and inodes, as the file system shows it there.
    pub volume: Option<(u64, u64)>,
    /// Layers that the child tried itself and told of.
    pub told: Layers,
}

/// Looks at the process `pid` outside, which should be as `plan` says, in the network namespace `network`.
///
/// * `told` — what the child told ([`crate::Report::Applied`]): layers that nobody can see from outside.
#[must_use]
pub fn look<D: AsFd>(pid: i32, plan: &Plan, network: &D, told: Layers, moment: Moment) -> Seen {
    let process = Folder::open(&format!("/proc/{pid}"));
    let [group, life] = [plan.cgroup.clone(), cgroup::life_of(&plan.cgroup)]
        .map(|path| Folder::open(&format!("{}{path}", cgroup::ROOT)));
    let read = |file: &str| text(process.as_ref(), file);
    let its = namespaces(process.as_ref());
    let host = host_devices(pid, plan);
    let numbers: Vec<Number> = host.iter().filter_map(|(_, number)| *number).collect();
    Seen {
        moment,
        namespaces: std::array::from_fn(|kind| {
            let of = |list: &[String; 7]| list.get(kind).cloned().unwrap_or_default();
            (of(&its), of(ours()))
        }),
        network: namespace::inode(network).map(|inode| format!("net:[{inode}]")).unwrap_or_default(),
        maps: ["uid_map", "gid_map"].map(read),
        status: read("status"),
        mounts: read("mountinfo"),
        limits: read("limits"),
        cgroup: read("cgroup"),
        cgroup_files: plan.cgroup_files.iter().map(|setting| cgroup::said(group.as_ref(), setting)).collect(),
        descriptors: process.as_ref().and_then(|process| descriptors(pid, process)),
        guarded: life.is_some_and(|life| devices::is_guarded(life.as_fd(), &numbers).unwrap_or(false)),
        host,
        volume: plan.volume.as_ref().and_then(|volume| room(pid, volume)),
        told,
    }
}

/// The namespaces of a process, in the order of the kinds; empty where it says nothing.
fn namespaces(process: Option<&Folder>) -> [String; 7] {
    NAMESPACES
        .map(|(kind, _)| process.and_then(|process| process.link(&format!("ns/{kind}"))).unwrap_or_default())
}

/// Our own, which never change: they are asked once, not for every start.
fn ours() -> &'static [String; 7] {
    static OURS: OnceLock<[String; 7]> = OnceLock::new();
    OURS.get_or_init(|| namespaces(Folder::open("/proc/self").as_ref()))
}

/// Devices of the gateway's where the process sees them, in the order of their numbers.
fn host_devices(pid: i32, plan: &Plan) -> Vec<(String, Option<Number>)> {
    if plan.devices.is_empty() {
        return Vec::new();
    }
    let entries = fs::read_dir(format!("/proc/{pid}/root{}", host::INSIDE)).into_iter().flatten().flatten();
    let one =
        |entry: fs::DirEntry| (entry.file_name().to_string_lossy().into_owned(), host::number(&entry.path()));
    let mut found: Vec<_> = entries.map(one).collect();
    found.sort_by_key(|(_, number)| *number);
    found
}

/// What can be in the volume of the process `pid`: of a folder with a limit, ext4 shows the limit. It is looked at where the process sees it, by a path
/// without a link: the image cannot change.
///
/// Source: statvfs(3); `ext4_statfs_project` in fs/ext4/super.c.
#[allow(clippy::useless_conversion, reason = "some of these have 32 bits on the gateway, 64 on the desk")]
fn room(pid: i32, volume: &Volume) -> Option<(u64, u64)> {
    let now = statvfs(format!("/proc/{pid}/root{}", volume.at.to_str().ok()?).as_str()).ok()?;
    let unit = u64::from(now.fragment_size());
    Some((u64::from(now.blocks()).saturating_mul(unit), u64::from(now.files())))
}

/// What a file says in a folder that may not be there.
fn text(folder: Option<&Folder>, file: &str) -> String {
    folder.and_then(|folder| folder.text(file)).unwrap_or_default()
}

fn descriptors(pid: i32, process: &Folder) -> Option<Vec<Open>> {
    const O_CLOEXEC: u32 = 0o2_000_000; // asm-generic/fcntl.h
    let mut found = Vec::new();
    // This folder alone: the kernel makes an inode for whatever is listed, and unmakes it when the process ends.
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo")).ok()? {
        let number: u32 = entry.ok()?.file_name().to_string_lossy().parse().ok()?;
        // A service that runs opens and closes while it is looked at.
        let Some(text) = process.text(&format!("fdinfo/{number}")) else { continue };
        let field = |key| text.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
        let closes = u32::from_str_radix(field("flags:")?, 8).ok()? & O_CLOEXEC != 0;
        let leads_to = if closes || number <= OPEN_MAX {
            String::new()
        } else {
            let Some(leads_to) = process.link(&format!("fd/{number}")) else { continue };
            leads_to
        };
        found.push(Open { number, closes, leads_to, mount: field("mnt_id:")?.parse().ok()? });
    }
    Some(found)
}
