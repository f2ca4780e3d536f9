//! The straight list of what stands before anything runs: the root, the pseudo file systems, kernel settings, cgroup controllers.
//!
//! In:  an empty machine. Out: a mounted one, and what did not work.
//!
//! Not here: disks (`storage`), modules (`modules.rs`).
//!
//! Sources: mount(2), pivot_root(2), switch_root(8); Documentation/admin-guide/cgroup-v2.rst.

use std::ffi::CStr;
use std::fs;

use log::{info, warn};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sys::statfs::{FsType, TMPFS_MAGIC, statfs};
use nix::unistd::{chdir, chroot};

/// A pseudo file system: kind, where, flags, options.
type PseudoFileSystem = (&'static CStr, &'static CStr, MsFlags, &'static CStr);

const PLAIN: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV).union(MsFlags::MS_NOEXEC);

/// In order: a later one lies in an earlier one.
const PSEUDO_FILE_SYSTEMS: [PseudoFileSystem; 5] = [
    (c"proc", c"/proc", PLAIN, c""),
    (c"sysfs", c"/sys", PLAIN, c""),
    (c"devtmpfs", c"/dev", MsFlags::MS_NOSUID.union(MsFlags::MS_NOEXEC), c"mode=0755"),
    // Sockets, memory files and nothing large: everything big is a memfd, or lies on the data disk.
    (c"tmpfs", c"/run", PLAIN, c"mode=0755,size=16m"),
    (c"cgroup2", c"/sys/fs/cgroup", PLAIN, c"nsdelegate,memory_recursiveprot"),
];

/// Kernel settings that nobody changes later: file, value, why it is so.
const SETTINGS: [(&str, &str); 8] = [
    // Our own lines are not to be cut by the rate limit for strangers. (This one wants its line whole.)
    ("/proc/sys/kernel/printk_devkmsg", "on\n"),
    // A kernel that lost its mind starts anew.
    ("/proc/sys/kernel/panic", "5"),
    ("/proc/sys/kernel/sysrq", "0"),
    // No want of memory ends us; the supervisor gives each of its children a score of its own.
    ("/proc/self/oom_score_adj", "-1000"),
    // Kernel messages and addresses are nobody's business (attacks 12 and 36).
    ("/proc/sys/kernel/dmesg_restrict", "1"),
    ("/proc/sys/kernel/kptr_restrict", "2"),
    // Nobody without the right loads BPF: beside seccomp a second layer. Not 1, which nothing but a reboot takes back: a test must.
    ("/proc/sys/kernel/unprivileged_bpf_disabled", "2"),
    // A service's network has its own link and no tunnels that nobody asked for.
    ("/proc/sys/net/core/fb_tunnels_only_for_init_net", "1"),
];

/// Where something did not work: the place and why.
pub type Faults = heapless::Vec<(&'static CStr, Errno), 8>;

/// Mounts the root and the pseudo file systems. There is no log yet, so it hands its faults back.
#[must_use]
pub fn mount_everything() -> Faults {
    let mut faults = Faults::new();
    let mut note = |place: &'static CStr, outcome: Result<(), Errno>| {
        match outcome {
            // Mounted already: by the kernel, or by whoever runs us in a namespace.
            Ok(()) | Err(Errno::EBUSY) => {}
            // The table above is shorter than `Faults` is long.
            Err(errno) => drop(faults.push((place, errno))),
        }
    };
    note(c"/", own_root());
    for (kind, place, flags, options) in PSEUDO_FILE_SYSTEMS {
        note(place, mount(Some(kind), place, Some(kind), flags, Some(options)));
    }
    faults
}

/// Makes `/` a mount that has a parent, and read-only.
///
/// An initramfs is the mount that everything hangs from; pivot_root(2), which every sandbox needs, does not work there. So `/` is
/// bound over itself: to `/run`, which is still empty, and from there moved to `/`, as switch_root(8) does.
fn own_root() -> Result<(), Errno> {
    const RAMFS_MAGIC: FsType = FsType(0x8584_58f6); // linux/magic.h
    if [RAMFS_MAGIC, TMPFS_MAGIC].contains(&statfs("/")?.filesystem_type()) {
        const NONE: Option<&CStr> = None;
        mount(Some(c"/"), c"/run", NONE, MsFlags::MS_BIND, NONE)?;
        let read_only = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
        mount(NONE, c"/run", NONE, read_only, NONE)?;
        chdir(c"/run")?;
        mount(Some(c"."), c"/", NONE, MsFlags::MS_MOVE, NONE)?;
        chroot(c".")?;
        chdir(c"/")?;
    }
    Ok(())
}

/// Logs what [`mount_everything`] could not do.
pub fn report(faults: &Faults) {
    for (place, errno) in faults {
        warn!("{}: not mounted: {}", place.to_string_lossy(), errno.desc());
    }
}

/// Writes the kernel's settings.
pub fn set_kernel() {
    for (file, value) in SETTINGS {
        if let Err(error) = fs::write(file, value) {
            warn!("{file}: not set to {}: {error}", value.trim_end());
        }
    }
}

/// Passes every controller of the root cgroup on to its children, one by one, so that one that is refused does not cost the others.
pub fn enable_controllers() {
    const CONTROLLERS: &str = "/sys/fs/cgroup/cgroup.controllers";
    const SUBTREE: &str = "/sys/fs/cgroup/cgroup.subtree_control";
    let controllers = match fs::read_to_string(CONTROLLERS) {
        Ok(controllers) => controllers,
        Err(error) => return warn!("{CONTROLLERS}: {error}"),
    };
    for controller in controllers.split_whitespace() {
        if let Err(error) = fs::write(SUBTREE, format!("+{controller}")) {
            warn!("{SUBTREE}: +{controller}: {error}");
        }
    }
    info!("cgroup controllers: {}", controllers.trim_end());
}
