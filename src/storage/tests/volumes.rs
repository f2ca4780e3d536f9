//! Volumes that are dropped are taken apart, whatever a stranger made in them; what they lead to is not touched.
//!
//! In:  folders as a data disk has them. Out: passed, failed, or `skipped: ` and why. Limits are the kernel's: `tests/tests/guest_volumes.rs`.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use contract::Name;
use contract::wires::{TENANT_UID_BASE, TENANT_UID_COUNT};
use nix::sys::stat::Mode;
use storage::owner::Owners;
use storage::services::{Limits, Volumes, Whose};

/// Folders within each other: deeper than a path can say, and than descriptors can be held.
const DEPTH: usize = 3_000;
/// Files beside each other: more than are taken away between two questions.
const FILES: usize = 300;
/// Bits of work until a volume has to be gone: one for each folder and each handful of files, twice.
const STEPS: usize = 20_000;

fn top(name: &str) -> PathBuf {
    let top = std::env::temp_dir().join(format!("shg-storage-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&top);
    fs::create_dir_all(top.join("services/hello.demo")).unwrap();
    fs::create_dir_all(top.join("services/other.demo")).unwrap();
    top
}

fn name(word: &str) -> Name {
    Name::new(word).unwrap()
}

/// Does `act` with the volume of this service of the provider `demo`.
fn with<T>(service: &str, act: impl FnOnce(Whose<'_>) -> T) -> T {
    act(Whose { service: &name(service), provider: &name("demo") })
}

/// What somebody may leave behind.
fn fill(volume: &Path, victim: &Path) {
    let at = volume.join("deep");
    fs::create_dir(&at).unwrap();
    // Made from the inside out, for its path would be too long.
    for _ in 0..DEPTH {
        let new = volume.join("new");
        fs::create_dir(&new).unwrap();
        fs::rename(&at, new.join("d")).unwrap();
        fs::rename(&new, &at).unwrap();
    }
    fs::create_dir(volume.join("wide")).unwrap();
    for number in 0..FILES {
        fs::write(volume.join(format!("wide/{number}")), "x").unwrap();
    }
    symlink(victim, volume.join("link")).unwrap();
    symlink(victim, volume.join("wide/link")).unwrap();
    nix::unistd::mkfifo(&volume.join("pipe"), Mode::S_IRWXU).unwrap();
    fs::write(volume.join(OsStr::from_bytes(b"\xff\xfe\n")), "no text").unwrap();
    let closed = volume.join("closed");
    fs::create_dir(&closed).unwrap();
    fs::write(closed.join("file"), "x").unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o0)).unwrap();
    chown(&closed, Some(1000), Some(1000)).unwrap();
    fs::set_permissions(volume, fs::Permissions::from_mode(0o0)).unwrap();
}

#[test]
fn what_was_dropped_goes_and_nothing_else() {
    if !nix::unistd::geteuid().is_root() {
        return println!("skipped: needs root, to give folders away");
    }
    let top = top("dropped");
    let victim = top.join("victim");
    fs::create_dir(&victim).unwrap();
    fs::write(victim.join("kept"), "kept").unwrap();
    fs::write(top.join("services/other.demo/kept"), "kept").unwrap();
    // A service of this name that is another provider's.
    fs::create_dir(top.join("services/hello.other")).unwrap();
    fill(&top.join("services/hello.demo"), &victim);

    let mut volumes = Volumes::new(&top);
    with("hello", |whose| volumes.drop(whose)).unwrap();
    assert!(!top.join("services/hello.demo").exists(), "it is out of its place at once");
    // Dropped again while the first is not gone: of a service that came and went meanwhile.
    fs::create_dir(top.join("services/hello.demo")).unwrap();
    with("hello", |whose| volumes.drop(whose)).unwrap();
    volumes.tidy();
    // A next life goes on with it.
    let mut volumes = Volumes::new(&top);
    let mut steps = 0;
    while volumes.has_dropped() {
        volumes.tidy();
        steps += 1;
        assert!(steps < STEPS, "it does not end");
    }
    assert!(steps > FILES / 64, "bit by bit");
    assert_eq!(fs::read_dir(top.join("services/.gone")).unwrap().count(), 0);
    assert_eq!(fs::read(victim.join("kept")).unwrap(), b"kept");
    assert_eq!(fs::read(top.join("services/other.demo/kept")).unwrap(), b"kept");
    assert!(top.join("services/hello.other").exists());
    with("hello", |whose| volumes.drop(whose)).unwrap(); // there is none: no error
    fs::remove_dir_all(&top).unwrap();
}

#[test]
fn what_cannot_be_opened_says_why() {
    let owners = Owners::new(TENANT_UID_BASE, TENANT_UID_COUNT).unwrap();
    let limits = Limits { bytes: 1 << 20, inodes: 10 };
    let top = top("refused");
    let refused = |volumes: &Volumes, service: &str, limits| {
        with(service, |whose| volumes.open(whose, owners, limits)).unwrap_err().to_string()
    };
    let volumes = Volumes::new(&top);
    for none in [Limits { bytes: 0, ..limits }, Limits { inodes: 0, ..limits }] {
        assert_eq!(
            refused(&volumes, "hello", none),
            "volume hello: it needs a limit for bytes and for files"
        );
    }
    fs::write(top.join("services/file.demo"), "x").unwrap();
    symlink("/", top.join("services/link.demo")).unwrap();
    for service in ["file", "link"] {
        let said = refused(&volumes, service, limits);
        assert!(said.starts_with(&format!("volume {service}: cannot be opened: ")), "{said}");
    }
    // No project can be counted here: the limits would not be kept, so there is no volume.
    let said = refused(&volumes, "hello", limits);
    assert!(said.contains("mke2fs -O project,quota"), "{said}");
    let nowhere = Volumes::new(&top.join("nothing"));
    assert!(refused(&nowhere, "hello", limits).starts_with("volume hello: there is no data disk: "));
    fs::remove_dir_all(&top).unwrap();
}
