//! The machine's state as lines that can be compared byte by byte: what a service must not change by having been there.
//!
//! In:  `/proc`, `/sys`, the folders of the gateway, the tables of its network (`tables.rs`). Out: sorted lines, each with its kind first.
//!
//! Numbers that only name something (inodes, mount ids, pids) are left out; who they belong to is in. Settings that the kernel changes by
//! itself are left out by name.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use ctl::command::Out;

use crate::tables;

/// Programs of the gateway whose descriptors are counted by kind.
const PROGRAMS: [&str; 12] = [
    "init",
    "supervisor",
    "storage",
    "network",
    "lease",
    "names",
    "multicast",
    "voice",
    "time",
    "identity",
    "agent",
    "package",
];
/// Folders whose owners and modes count.
const FOLDERS: [&str; 5] = ["/dev", "/run", "/etc", "/usr/lib/shg", "/data"];
/// Settings that the kernel, or the clock, changes by itself; and those that say how things are now.
const MOVING: [&str; 12] = [
    "/proc/sys/fs/dentry-state",
    "/proc/sys/fs/file-nr",
    "/proc/sys/fs/inode-nr",
    "/proc/sys/fs/inode-state",
    "/proc/sys/fs/aio-nr",
    "/proc/sys/fs/quota",
    "/proc/sys/kernel/random",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/kernel/pty/nr",
    "/proc/sys/net/netfilter/nf_conntrack_count",
    "/proc/sys/kernel/perf_event_max_sample_rate",
    "/proc/sys/net/ipv4/tcp_mem",
];
/// How deep a walk goes.
const DEPTH_MAX: usize = 12;

/// Prints it.
pub(crate) fn print(out: Out<'_>) -> io::Result<()> {
    let mut lines = Vec::new();
    mounts(&mut lines);
    descriptors(&mut lines);
    walk(Path::new("/sys/fs/cgroup"), DEPTH_MAX, &mut |path, meta| {
        if meta.is_dir() {
            lines.push(format!("cgroup {}", path.display()));
        }
    });
    walk(Path::new("/proc/sys"), DEPTH_MAX, &mut |path, meta| {
        let moves = MOVING.iter().any(|moving| path.starts_with(moving));
        if let (true, false, Ok(value)) = (meta.is_file(), moves, fs::read_to_string(path)) {
            lines.push(format!("setting {} {}", path.display(), value.trim_end().replace('\n', "|")));
        }
    });
    for link in fs::read_dir("/sys/class/net").into_iter().flatten().flatten() {
        lines.push(format!("link {}", link.file_name().to_string_lossy()));
    }
    lines.extend(tables::lines()?);
    for folder in FOLDERS {
        walk(Path::new(folder), DEPTH_MAX, &mut |path, meta| {
            lines.push(format!("owner {} {}:{} {:o}", path.display(), meta.uid(), meta.gid(), meta.mode()));
        });
    }
    processes(&mut lines);
    zombies(&mut lines);
    lines.sort();
    lines.iter().try_for_each(|line| writeln!(out, "{line}"))
}

/// Every mount of the gateway's own, without its number.
fn mounts(lines: &mut Vec<String>) {
    let text = fs::read_to_string("/proc/1/mountinfo").unwrap_or_default();
    // 36 35 98:0 /mnt1 /mnt2 rw,noatime …
    lines
        .extend(text.lines().map(|line| format!("mount {}", line.splitn(4, ' ').nth(3).unwrap_or_default())));
}

/// How many descriptors of each kind each program holds: `socket` and the wire that it serves, `pipe`, a path.
fn descriptors(lines: &mut Vec<String>) {
    let wires = wires();
    for (pid, status) in statuses() {
        let name = name(&status);
        let Some(name) = PROGRAMS
            .iter()
            .find(|program| **program == name || (name == "rehearsal" && **program == "supervisor"))
        else {
            continue;
        };
        let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else {
            lines.push(format!("descriptor {name} unreadable"));
            continue;
        };
        for entry in entries.flatten() {
            let target = fs::read_link(entry.path()).unwrap_or_default().to_string_lossy().into_owned();
            let (kind, number) = target.split_once(":[").unwrap_or((&target, ""));
            let wire = wires.get(number.trim_end_matches(']')).map(String::as_str).unwrap_or_default();
            lines.push(format!("descriptor {name} {kind} {wire}").trim_end().to_owned());
        }
    }
}

/// Sockets that have a path, by the number of their inode: listeners, and what each has let in. Source: proc_pid_net(5), `unix`.
fn wires() -> BTreeMap<String, String> {
    let text = fs::read_to_string("/proc/net/unix").unwrap_or_default();
    // Num RefCount Protocol Flags Type St Inode Path
    let columns = text.lines().map(str::split_whitespace);
    columns.filter_map(|mut words| Some((words.nth(6)?.to_owned(), words.next()?.to_owned()))).collect()
}

/// Every program that runs, and its group. A thread of the kernel, or who has ended, has no memory of its own.
fn processes(lines: &mut Vec<String>) {
    for (pid, status) in statuses().into_iter().filter(|(_, status)| status.contains("\nVmSize:")) {
        let group = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        lines.push(format!("process {} {}", name(&status), group.trim_end().trim_start_matches("0::")));
    }
}

fn zombies(lines: &mut Vec<String>) {
    let dead = statuses().into_iter().filter(|(_, status)| status.contains("\nState:\tZ"));
    lines.extend(dead.map(|(_, status)| format!("zombie {}", status.lines().next().unwrap_or_default())));
}

/// Every process and what the kernel says of it.
fn statuses() -> Vec<(String, String)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let pids = pids.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    pids.filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/status")).ok().map(|text| (pid, text)))
        .collect()
}

/// The name in what the kernel says of a process.
fn name(status: &str) -> &str {
    status.lines().next().and_then(|line| line.strip_prefix("Name:")).unwrap_or_default().trim()
}

/// Everything below `folder` on its own file system, links not followed.
fn walk(folder: &Path, depth: usize, each: &mut dyn FnMut(&Path, &fs::Metadata)) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let Ok(meta) = fs::symlink_metadata(&path) else { continue };
        each(&path, &meta);
        if meta.is_dir() && depth > 0 {
            walk(&path, depth - 1, each);
        }
    }
}
