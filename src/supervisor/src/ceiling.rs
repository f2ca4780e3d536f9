//! Ceilings of what is read from the data disk, and written to it: services and slices have them where there is a disk, and a kernel that
//! bears it.
//!
//! In:  manifests, slices, what is mounted at `/data`. Out: `io.max` of their cgroups, for the disk that is there now.
//!
//! A disk may come and go, and with it go its ceilings. So they are set at each start: nobody gets at a disk that came later without one.
//!
//! Not here: how ceilings are written and read back (`sandbox::cgroup`), mounting (`storage`).
//!
//! Source: docs/decisions/0138-a-ceiling-of-reads.md, docs/decisions/0140-ceilings-of-writes.md; Documentation/admin-guide/cgroup-v2.rst, `io.max`.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::OnceLock;

use contract::Name;
use contract::manifest::Disk;
use contract::slice::Slice;
use log::warn;
use nix::sys::stat::{major, minor};
use sandbox::cgroup::{self, Setting};

use crate::house::House;
use crate::process::What;
use crate::slices::{SLICES_GROUP, group_of};
use crate::tenant::Tenant;

/// The data disk, where there is one; else the root has this folder.
const DATA: &str = "/data";
/// A folder for each block device, by its numbers; the one of a partition lies in that of its disk.
const DEVICES: &str = "/sys/dev/block";
/// What the kernel's release says.
const RELEASE: &str = "/proc/sys/kernel/osrelease";
/// What our patches, all of them, add to it (buildroot/patches/linux).
const MARK: &str = "-iomax2";

/// Are our patches on this kernel? Without the first one of 32 bits stops the machine at the first request that waits, and must not be asked
/// to let one wait. Without the second whoever forces something to the disk waits for what others are not allowed to write.
fn is_ours() -> bool {
    static OURS: OnceLock<bool> = OnceLock::new();
    *OURS.get_or_init(|| has_mark(&fs::read_to_string(RELEASE).unwrap_or_default()))
}

/// Can this kernel hold somebody at a disk and go on?
fn is_borne() -> bool {
    cfg!(target_pointer_width = "64") || is_ours()
}

/// Does this kernel keep all the ceilings of `disk`?
fn is_kept(disk: Disk) -> bool {
    (disk.read_ceiling_kib_s == 0 || is_borne()) && (disk.write_ceiling_kib_s == 0 || is_ours())
}

fn has_mark(release: &str) -> bool {
    let ends = |rest: &str| rest.is_empty() || rest.starts_with('-');
    release
        .trim_end()
        .match_indices(MARK)
        .any(|(at, _)| release.trim_end().get(at + MARK.len()..).is_some_and(ends))
}

/// Says it where ceilings of the disk are none.
pub(crate) fn tell() {
    if !is_ours() {
        let which = if is_borne() { "what is written" } else { "what is read or written" };
        warn!("the data disk: this kernel does not bear ceilings of {which} (io.max); none is kept");
    }
}

/// The numbers of the whole disk that the data are on.
fn data_disk() -> Option<(u64, u64)> {
    let of = |path: &str| fs::metadata(path).ok().map(|meta| meta.dev());
    let device = of(DATA).filter(|device| Some(*device) != of("/"))?;
    whole(Path::new(DEVICES), (major(device), minor(device)))
}

/// The disk that a device is, or is on.
fn whole(devices: &Path, (major, minor): (u64, u64)) -> Option<(u64, u64)> {
    let own = devices.join(format!("{major}:{minor}"));
    let disk = if own.join("partition").exists() { own.join("..") } else { own };
    let text = fs::read_to_string(disk.join("dev")).ok()?;
    let (major, minor) = text.trim_end().split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// What the kernel is told of a slice's ceiling; nothing where it has none, and had none.
pub(crate) fn of_slice(slice: &Slice) -> Option<Setting> {
    let setting = borne(slice.disk)?;
    let needed = setting.layer.is_some() || !cgroup::holds(&group_of(&slice.name), &setting);
    needed.then_some(setting)
}

/// These ceilings of the disk that is there, where the kernel bears them.
fn borne(Disk { read_ceiling_kib_s: reads, write_ceiling_kib_s: writes, .. }: Disk) -> Option<Setting> {
    let writes = if is_ours() { writes } else { 0 };
    is_borne().then(data_disk).flatten().map(|disk| cgroup::disk_ceilings(disk, reads, writes))
}

/// Plans the ceilings of a service for the disk that is there now, and for no other.
fn plan(tenant: &mut Tenant) -> Option<Setting> {
    let disk = tenant.manifest.disk;
    tenant.plan.lacks_ceiling = !is_kept(disk);
    tenant.plan.cgroup_files.retain(|setting| setting.file != cgroup::IO_MAX);
    let setting = borne(disk).filter(|setting| setting.layer.is_some());
    setting.iter().cloned().for_each(|setting| tenant.plan.weigh(setting));
    setting
}

impl House {
    /// The service at `place` is to start: its plan has its ceilings of the disk that is there now, and its slice has its own.
    pub(crate) fn plan_ceiling(&mut self, place: usize) {
        let Some(process) = self.processes.get_mut(place) else { return };
        let What::Tenant(tenant) = &mut process.what else { return };
        plan(tenant);
        if tenant.plan.lacks_ceiling {
            warn!("{}: it runs without its ceiling of the disk: this kernel does not keep it", process.name);
        }
        let slice = tenant.manifest.provider.clone();
        self.hold_slice(&slice);
    }

    fn hold_slice(&self, name: &Name) {
        let group = group_of(name);
        let setting = self.rented_as(name).and_then(of_slice);
        if let Some(setting) = setting.filter(|setting| !cgroup::holds(&group, setting)) {
            (self.hands.settle)(&group, &[setting]);
        }
    }

    /// A disk was mounted, or we are another life: whoever runs is held at the disk that is there.
    ///
    /// Slices together are told that they have none, now that the disk is idle. With the first word about a disk the kernel waits until
    /// all that it was asked for is done (`blk_throtl_init` freezes the queue), and so would we, at the start of the first who has one.
    pub(crate) fn hold_all(&mut self) {
        let Self { processes, hands, .. } = self;
        if let Some(none) = borne(Disk::default()) {
            (hands.settle)(SLICES_GROUP, &[none]);
        }
        for process in processes.iter_mut().filter(|process| process.record.pid.is_some()) {
            let What::Tenant(tenant) = &mut process.what else { continue };
            let setting = plan(tenant);
            if let Some(setting) = setting.filter(|setting| !cgroup::holds(&tenant.plan.cgroup, setting)) {
                (hands.settle)(&tenant.plan.cgroup, &[setting]);
            }
        }
        for slice in &self.rented.slices.slice {
            self.hold_slice(&slice.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MARK, has_mark, whole};
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_kernel_says_by_its_release_that_it_bears_ceilings() {
        for (release, wanted) in [
            ("6.12.117-iomax2-gw\n", true),
            ("6.12.117-iomax2\n", true),
            ("6.12.117-gw\n", false),
            ("6.12.117-iomax-gw\n", false),
            ("6.12.117-iomax20-gw\n", false),
            ("6.1.0-50-686-pae\n", false),
            ("", false),
        ] {
            assert_eq!(has_mark(release), wanted, "{release}");
        }
    }

    #[test]
    fn the_patches_and_we_have_one_mark() {
        let patches = concat!(env!("CARGO_MANIFEST_DIR"), "/../../buildroot/patches/linux");
        let texts =
            fs::read_dir(patches).unwrap().flatten().map(|file| fs::read_to_string(file.path()).unwrap());
        let made = format!("\n-EXTRAVERSION = -iomax\n+EXTRAVERSION = {MARK}\n");
        assert_eq!(
            texts.filter(|text| text.contains(&made)).count(),
            1,
            "the mark comes with the last of them"
        );
    }

    #[test]
    fn a_ceiling_is_the_whole_disks() {
        let top = std::env::temp_dir().join(format!("shg-ceiling-{}", std::process::id()));
        let _ = fs::remove_dir_all(&top);
        let devices = top.join("dev/block");
        fs::create_dir_all(&devices).unwrap();
        fs::create_dir_all(top.join("sda/sda1")).unwrap();
        fs::write(top.join("sda/dev"), "8:0\n").unwrap();
        fs::write(top.join("sda/sda1/dev"), "8:1\n").unwrap();
        fs::write(top.join("sda/sda1/partition"), "1\n").unwrap();
        for (number, place) in [("8:0", "../../sda"), ("8:1", "../../sda/sda1")] {
            symlink(place, devices.join(number)).unwrap();
        }
        for device in [(8, 0), (8, 1)] {
            assert_eq!(whole(&devices, device), Some((8, 0)), "{device:?}");
        }
        assert_eq!(whole(&devices, (8, 16)), None);
        fs::remove_dir_all(&top).unwrap();
    }
}
