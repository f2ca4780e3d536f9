//! Devices of the gateway's in a real sandbox: what was granted reaches its driver, what was not is not there, and both are read back.
//!
//! In:  a folder with nodes of devices that this machine need not have: who is let through to the driver hears `ENXIO` or `ENODEV` of it,
//! who is not hears `EPERM` of the cgroup.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod stage;

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use contract::layer::{Layer, Layers};
use contract::manifest::{Device, Manifest};
use nix::sys::stat::{Mode, SFlag, makedev, mknodat};
use nix::sys::wait::WaitStatus;
use sandbox::{Entered, Error, Given, Host, Plan, Report, enter};
use stage::{Stage, end, enter_stage, last, manifest};
use sys::mount::Draft;

/// What can be opened; a line for each that is there.
const OPEN_ALL: &str = r#"
for device in /dev/tty* /dev/video* /dev/null; do
    if test -c "$device"; then echo "$(basename "$device"): $( (: <"$device") 2>&1 | sed 's/.*: //')"; fi
done
(: >/dev/host/file) 2>/dev/null || echo "! write"
rm -f /dev/host/ttyUSB7 2>/dev/null || echo "! remove"
"#;

/// A gateway's `/dev`, reached by its descriptor: a serial line, a camera, and others that call themselves so.
fn dev() -> (OwnedFd, PathBuf) {
    let folder = Draft::new(c"tmpfs").unwrap().mount(0).unwrap();
    for (name, kind, major, minor) in [
        ("ttyUSB7", SFlag::S_IFCHR, 188, 7),
        ("video9", SFlag::S_IFCHR, 81, 9),
        ("ttyUSB8", SFlag::S_IFCHR, 1, 1), // The machine's memory.
        ("ttyUSB9", SFlag::S_IFBLK, 188, 9),
        ("ttyS0", SFlag::S_IFCHR, 4, 64),
    ] {
        mknodat(&folder, name, kind, Mode::from_bits_truncate(0o600), makedev(major, minor)).unwrap();
    }
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&folder));
    (folder, path.into())
}

fn with_devices(classes: &[Device]) -> Manifest {
    Manifest { devices: classes.iter().copied().collect(), ..manifest("") }
}

fn go_in(stage: &Stage, host: Option<&Host>) -> (Entered, Report) {
    let entered = enter(&stage.plan, Given { host, ..stage.given(Layers::NONE) }).unwrap();
    assert!(sys::descriptor::wait_readable(entered.applied.as_fd(), stage::LIMIT_MS).unwrap(), "no word");
    let report = entered.report();
    (entered, report)
}

#[test]
fn what_was_granted_reaches_its_driver() {
    if !enter_stage("what_was_granted_reaches_its_driver") {
        return;
    }
    let (_folder, dev) = dev();
    let stage = Stage::new(&with_devices(&[Device::Serial])).with_script(OPEN_ALL);
    let host = Host::gather(&dev, &stage.plan).unwrap();
    let (entered, report) = go_in(&stage, host.as_ref());
    let seen = stage.seen(&entered, report);
    assert!(
        [Layer::Devices, Layer::MinimalDev, Layer::Mounts].iter().all(|layer| seen.has(*layer)),
        "{seen:?}"
    );
    entered.go().unwrap();
    assert!(matches!(last(&entered), WaitStatus::Exited(_, 0)));
    let text = stage.written();
    let serial = text.lines().find(|line| line.starts_with("ttyUSB7: ")).unwrap();
    assert!(serial.ends_with("No such device or address") || serial.ends_with("No such device"), "{text}");
    let rest: Vec<&str> = text.lines().filter(|line| *line != serial).collect();
    assert_eq!(rest, ["null: ", "! write", "! remove"], "{text}");
}

#[test]
fn what_the_program_does_not_let_pass_is_refused() {
    if !enter_stage("what_the_program_does_not_let_pass_is_refused") {
        return;
    }
    let (_folder, dev) = dev();
    let stage = Stage::new(&with_devices(&[Device::Serial])).with_script(OPEN_ALL);
    let host = Host::gather(&dev, &stage.plan).unwrap();
    // Its cgroup was guarded for a service without devices before: every program has to agree.
    let (plan, root) = (Plan::new(&manifest("exit 0"), 2).unwrap(), sys::mount::copy(c"/").unwrap());
    let strict = enter(&plan, Given { root: root.as_fd(), ..stage.given(Layers::NONE) }).unwrap();
    let (entered, report) = go_in(&stage, host.as_ref());
    assert!(stage.seen(&entered, report).has(Layer::Devices));
    end(strict);
    entered.go().unwrap();
    last(&entered);
    let text = stage.written();
    assert!(text.contains("ttyUSB7: Operation not permitted"), "{text}");
}

#[test]
fn without_a_device_of_its_class_it_does_not_start() {
    if !enter_stage("without_a_device_of_its_class_it_does_not_start") {
        return;
    }
    let empty = std::env::temp_dir();
    let stage = Stage::new(&with_devices(&[Device::Camera]));
    let refused = Host::gather(&empty, &stage.plan).unwrap_err();
    assert_eq!(refused, Error::NoDevice("camera"));
    let none = Stage::new(&manifest("exit 0"));
    assert!(Host::gather(&empty, &none.plan).unwrap().is_none(), "who asks for none gets none");
}
