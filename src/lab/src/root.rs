//! Assembles the gateway's root as a compressed cpio archive.
//!
//! In:  `rootfs/`, the firmware's programs, sealed services, the kernel's modules. Out: a file in `target/lab/root`, named after its
//! contents, so that the same root is compressed once.
//!
//! What is shipped is one variant; the others are for tests (`Variant`). Where each program lies is said in one table.
//!
//! Not here: the root of the flashable image (`buildroot/`).

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::archive::Archive;
use crate::error::Error;
use crate::house::{self, Scratch};
use crate::kernel::Kernel;
use crate::{seal, tool};

/// Which root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// As it goes to a home.
    Shipped,
    /// As [`Variant::Shipped`], without a service: an operator delivers them.
    Bare,
    /// With `/sbin/door`: `ctl` bound to the second serial port.
    Test,
    /// As [`Variant::Shipped`], with a supervisor that runs and never says a word: what its watchdog is for.
    Silent,
    /// As [`Variant::Test`], and the supervisor has more tenants, and a module is missing: for rehearsals of what should never happen.
    Rehearsal,
    /// As [`Variant::Rehearsal`], with tenants that want all the processor and all the memory.
    Floors,
}

impl Variant {
    /// Can tests speak to it?
    #[must_use]
    pub fn has_door(self) -> bool {
        match self {
            Self::Test | Self::Rehearsal | Self::Floors => true,
            Self::Shipped | Self::Bare | Self::Silent => false,
        }
    }
}

/// A root, ready to boot.
#[derive(Debug, Clone)]
pub struct Root {
    /// The compressed archive.
    pub path: PathBuf,
    /// Its size, compressed.
    pub bytes: u64,
}

/// Programs of the firmware and their places.
pub const PROGRAMS: [(&str, &str); 14] = [
    ("init", "sbin/init"),
    ("supervisor", "sbin/supervisor"),
    ("storage", "sbin/storage"),
    ("network", "sbin/network"),
    ("lease", "sbin/lease"),
    ("names", "sbin/names"),
    ("multicast", "sbin/multicast"),
    ("time", "sbin/time"),
    ("identity", "sbin/identity"),
    ("voice", "sbin/voice"),
    ("agent", "sbin/agent"),
    ("package", "sbin/package"),
    ("ctl", "bin/ctl"),
    ("reaper", "usr/lib/shg/reaper"),
];
/// The door of the test root: the same program as `ctl` under another name.
const DOOR: (&str, &str) = ("ctl", "sbin/door");
/// The door of the rehearsal root: it knows verbs for tests, too.
const PORTER: (&str, &str) = ("porter", "sbin/door");
/// In place of the supervisor: a program that runs for ever and knows no wire.
const SILENT: (&str, &str) = ("chatter", "sbin/supervisor");
/// The supervisor of the rehearsal root.
const REHEARSAL: (&str, &str) = ("rehearsal", "sbin/supervisor");
/// Which play the supervisor of the rehearsal root gives (`src/supervisor/src/catalogue/rehearsal.rs`).
const PLAY: (&str, &[u8]) = ("etc/shg/rehearsal", b"floors\n");
/// Where sealed services lie.
const SERVICES: &str = "usr/lib/shg/services";
/// Where things are mounted.
const MOUNT_POINTS: [&str; 6] = ["proc", "sys", "dev", "run", "data", "tmp"];
/// The wanted network.
pub const NETWORK: &str = "etc/shg/network.toml";
/// Whom the gateway obeys.
pub const AGENT: &str = "etc/shg/agent.toml";
/// Who the gateway is, where its hardware does not say it.
pub const DEVICE: &str = "etc/shg/device.toml";
/// From where bundles are fetched.
pub const PACKAGE: &str = "etc/shg/package.toml";
/// Who says whose bundles count, and the list.
pub const ROOT_KEY: &str = "etc/shg/keys/root.public";
/// See [`ROOT_KEY`].
pub const KEYRING: &str = "etc/shg/keys/keyring";
/// The largest network of `contract`, where tests can speak.
const WHOLE: (&str, &str) = ("src/contract/tests/data/whole.toml", "usr/lib/shg/tests/whole.toml");
/// The list of modules, in the order in which they are loaded.
const MODULES: &str = "etc/modules";
/// Where the board names the Landlock ABI of its kernel.
const LANDLOCK: &str = "etc/shg/landlock";
/// How many roots stay in `target/lab/root`: the variants of both kernels, and some of yesterday.
const KEPT: usize = 12;

/// What stands in the archive at a path.
enum Entry {
    Folder,
    File { permissions: u32, contents: Vec<u8> },
    Device { permissions: u32, number: (u32, u32) },
    Link { target: String },
}

/// Everything that goes into the root, by path without the leading slash; sorted, so a folder comes before what is in it.
#[derive(Default)]
struct Tree(BTreeMap<String, Entry>);

impl Tree {
    fn add(&mut self, path: &str, entry: Entry) {
        let mut parent = Path::new(path).parent();
        while let Some(folder) = parent.and_then(Path::to_str).filter(|folder| !folder.is_empty()) {
            self.0.entry(folder.to_owned()).or_insert(Entry::Folder);
            parent = Path::new(folder).parent();
        }
        self.0.insert(path.to_owned(), entry);
    }

    fn add_file(&mut self, path: &str, permissions: u32, from: &Path) -> Result<(), Error> {
        let contents = fs::read(from).map_err(|_| Error::Missing {
            what: from.display().to_string(),
            remedy: "make firmware rehearsal builds the programs of roots".to_owned(),
        })?;
        self.add(path, Entry::File { permissions, contents });
        Ok(())
    }

    /// Adds everything below `folder`, as it stands there.
    fn add_folder(&mut self, prefix: &str, folder: &Path) -> Result<(), Error> {
        let entries = fs::read_dir(folder).map_err(Error::path(folder))?;
        for entry in entries.flatten() {
            let here = entry.path();
            let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
            let meta = entry.metadata().map_err(Error::path(&here))?;
            if meta.is_dir() {
                self.add(&path, Entry::Folder);
                self.add_folder(&format!("{path}/"), &here)?;
            } else if meta.is_symlink() {
                let target = fs::read_link(&here).map_err(Error::path(&here))?;
                self.add(&path, Entry::Link { target: target.to_string_lossy().into_owned() });
            } else {
                // Only whether it can be run is kept: the rest depends on the umask of whoever cloned the repository.
                let permissions = if meta.permissions().mode() & 0o100 == 0 { 0o644 } else { 0o755 };
                self.add_file(&path, permissions, &here)?;
            }
        }
        Ok(())
    }

    /// Puts a module at the head of the list that is not there: the gateway has to go on without it.
    fn add_missing_module(&mut self) {
        if let Some(Entry::File { contents, .. }) = self.0.get_mut(MODULES) {
            contents.splice(0..0, *b"/lib/modules/not-there.ko\n");
        }
    }

    fn pack(&self) -> Result<Vec<u8>, Error> {
        let mut archive = Archive::default();
        for (path, entry) in &self.0 {
            match entry {
                Entry::Folder => archive.directory(path, 0o755)?,
                Entry::File { permissions, contents } => archive.file(path, *permissions, contents)?,
                Entry::Device { permissions, number } => archive.device(path, *permissions, *number)?,
                Entry::Link { target } => archive.link(path, target)?,
            }
        }
        archive.finish()
    }
}

/// Assembles the gateway's root for `kernel`.
///
/// # Errors
/// [`Error::Missing`]: something is not built yet; the text says what builds it. [`Error::Io`], [`Error::Tool`]: on the way.
pub fn assemble(kernel: Kernel, variant: Variant) -> Result<Root, Error> {
    compress(&gateway(kernel, variant)?.pack()?)
}

/// As [`assemble`], with these files at these paths, whatever stands there in the one that we ship.
///
/// # Errors
/// As [`assemble`].
pub fn assemble_with(kernel: Kernel, variant: Variant, files: &[(&str, &[u8])]) -> Result<Root, Error> {
    let mut tree = gateway(kernel, variant)?;
    for (path, contents) in files {
        tree.add(path, Entry::File { permissions: 0o644, contents: contents.to_vec() });
    }
    compress(&tree.pack()?)
}

/// The files `root.public` and `keyring` of `folder`, each with its place in a root: those whose bundles count. What we ship has neither.
///
/// # Errors
/// [`Error::Io`]: one of them cannot be read.
pub fn keys(folder: &Path) -> Result<Vec<(&'static str, Vec<u8>)>, Error> {
    let read = |place: &'static str| {
        let from = folder.join(Path::new(place).file_name().unwrap_or_default());
        Ok((place, fs::read(&from).map_err(Error::path(&from))?))
    };
    [ROOT_KEY, KEYRING].into_iter().map(read).collect()
}

/// The root of the provider's guest, and these programs in it: where, and which.
///
/// # Errors
/// As [`assemble`].
pub fn provider(programs: &[(&str, PathBuf)]) -> Result<Root, Error> {
    let mut tree = Tree::default();
    tree.add("dev/console", Entry::Device { permissions: 0o600, number: (5, 1) });
    tree.add_folder("", &house::cache().join("provider/tree"))?;
    for (place, program) in programs {
        tree.add_file(place, 0o755, program)?;
    }
    compress(&tree.pack()?)
}

/// A root that has only this program of the firmware as its init, and the kernel's modules: what a gateway's boot is compared with.
///
/// # Errors
/// As [`assemble`].
pub fn bare(kernel: Kernel, init: &str) -> Result<Root, Error> {
    let mut tree = Tree::default();
    add_ground(&mut tree, kernel)?;
    tree.add_file("sbin/init", 0o755, &house::firmware().join(init))?;
    compress(&tree.pack()?)
}

/// The root's paths, each from the slash on.
///
/// # Errors
/// As [`assemble`].
pub fn paths(kernel: Kernel, variant: Variant) -> Result<Vec<String>, Error> {
    Ok(gateway(kernel, variant)?.0.keys().map(|path| format!("/{path}")).collect())
}

fn gateway(kernel: Kernel, variant: Variant) -> Result<Tree, Error> {
    let mut tree = Tree::default();
    add_ground(&mut tree, kernel)?;
    if variant == Variant::Rehearsal {
        tree.add_missing_module();
    }
    tree.add_folder("", &house::top().join("rootfs"))?;
    if variant == Variant::Floors {
        tree.add(PLAY.0, Entry::File { permissions: 0o644, contents: PLAY.1.to_vec() });
    }
    tree.add_file(LANDLOCK, 0o644, &kernel.board().join("landlock"))?;
    if variant.has_door() {
        tree.add_file(WHOLE.1, 0o644, &house::top().join(WHOLE.0))?;
    }
    // A later one takes the place of an earlier one.
    let (more, manifests): (&[_], &[_]) = match variant {
        Variant::Shipped => (&[], &["manifest.toml"]),
        Variant::Bare => (&[], &[]),
        Variant::Silent => (&[SILENT], &["manifest.toml"]),
        Variant::Test => (&[DOOR], &["manifest.toml"]),
        Variant::Rehearsal | Variant::Floors => (&[PORTER, REHEARSAL], &["manifest.toml", "rehearsal.toml"]),
    };
    for (room, place) in PROGRAMS.iter().chain(more) {
        tree.add_file(place, 0o755, &house::firmware().join(room))?;
    }
    for service in manifests
        .iter()
        .map(|file| seal::services(file))
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .flatten()
    {
        let place = format!("{SERVICES}/{}", service.manifest.image.as_str());
        tree.add(&place, Entry::File { permissions: 0o644, contents: seal::image(&service)? });
    }
    Ok(tree)
}

/// What any root has: mount points, the console that the kernel opens before PID 1, modules and their order.
fn add_ground(tree: &mut Tree, kernel: Kernel) -> Result<(), Error> {
    for place in MOUNT_POINTS {
        tree.add(place, Entry::Folder);
    }
    // Source: Documentation/admin-guide/devices.txt.
    tree.add("dev/console", Entry::Device { permissions: 0o600, number: (5, 1) });
    let mut list = String::new();
    for (place, file) in kernel.modules()? {
        let contents = fs::read(&file).map_err(Error::path(&file))?;
        tree.add(place.trim_start_matches('/'), Entry::File { permissions: 0o644, contents });
        list.push_str(&place);
        list.push('\n');
    }
    tree.add(MODULES, Entry::File { permissions: 0o644, contents: list.into_bytes() });
    Ok(())
}

/// Compresses an archive, unless that was done before.
fn compress(archive: &[u8]) -> Result<Root, Error> {
    let folder = house::built().join("root");
    let path = folder.join(format!("{:032x}.cpio.zst", fingerprint(archive)));
    if !path.exists() {
        tool::need("zstd", "zstd")?;
        let scratch = Scratch::new()?;
        let plain = scratch.file("root.cpio");
        fs::write(&plain, archive).map_err(Error::path(&plain))?;
        house::put(&path, |packed| {
            let words =
                ["-q", "-17", "-T1", &plain.display().to_string(), "-o", &packed.display().to_string()];
            tool::run("zstd", &words).map(drop)
        })?;
        forget_old(&folder);
    }
    let bytes = fs::metadata(&path).map_err(Error::path(&path))?.len();
    Ok(Root { path, bytes })
}

/// Removes all but the newest [`KEPT`] roots.
fn forget_old(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut roots: Vec<_> = entries
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|end| end == "zst"))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    roots.sort();
    for (_, path) in roots.iter().rev().skip(KEPT) {
        let _ = fs::remove_file(path);
    }
}

/// A name for `bytes`. It need not withstand an attacker, only tell our own builds apart.
///
/// Source: draft-eastlake-fnv, FNV-1a with 128 bits.
fn fingerprint(bytes: &[u8]) -> u128 {
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    bytes.iter().fold(BASIS, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_come_before_what_is_in_them() {
        let mut tree = Tree::default();
        tree.add("a/b/c", Entry::Link { target: "d".to_owned() });
        tree.add("a", Entry::Folder);
        let paths: Vec<&String> = tree.0.keys().collect();
        assert_eq!(paths, ["a", "a/b", "a/b/c"]);
    }

    #[test]
    fn fingerprints_are_as_published() {
        // Source: draft-eastlake-fnv, test vectors of FNV-1a with 128 bits.
        assert_eq!(fingerprint(b""), 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d);
        assert_eq!(fingerprint(b"a"), 0xd228_cb69_6f1a_8caf_7891_2b70_4e4a_8964);
    }

    #[test]
    fn the_door_is_in_roots_for_tests_only() {
        for variant in [
            Variant::Shipped,
            Variant::Bare,
            Variant::Silent,
            Variant::Test,
            Variant::Rehearsal,
            Variant::Floors,
        ] {
            let wanted = !matches!(variant, Variant::Shipped | Variant::Bare | Variant::Silent);
            assert_eq!(variant.has_door(), wanted, "{variant:?}");
            match paths(Kernel::Board, variant) {
                Err(why @ Error::Missing { .. }) => return println!("skipped: {why}"),
                other => assert_eq!(other.unwrap().contains(&"/sbin/door".to_owned()), wanted, "{variant:?}"),
            }
        }
    }
}
