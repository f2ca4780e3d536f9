//! A service's volume in a real sandbox: written to, bounded, harmless, and read back; not at a place that the image does not have.
//!
//! In:  a file system in memory in the place of a folder with quotas (those are the kernel's: `tests/tests/guest_volumes.rs`).
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod stage;

use std::os::fd::{AsFd, OwnedFd};

use contract::layer::{Layer, Layers};
use contract::manifest::{Manifest, Volume};
use nix::sys::wait::WaitStatus;
use sandbox::{Entered, Given, Report, Step, enter};
use stage::{Stage, end, enter_stage, last, manifest};
use sys::Errno;
use sys::mount::Draft;

/// `!` marks an attempt that must fail.
const USE_IT: &str = r#"
exec 2>/dev/null
echo kept >/mnt/file && echo "volume $(cat /mnt/file)"
echo '#!/bin/sh' >/mnt/program && chmod +x /mnt/program
/mnt/program || echo "! program"
mknod /mnt/null c 1 3 || echo "! mknod"
(: >/opt/file) || echo "! beside"
dd if=/dev/zero of=/mnt/large bs=64k count=100 || echo "! large"
i=0; while [ $i -lt 50 ]; do (: >/mnt/$i) || break; i=$((i+1)); done; test $i -lt 40 && echo "! many"
"#;

fn with_volume(at: &str, size_mib: u32) -> Manifest {
    let volume = Some(Volume { size_mib, inodes: 40, at: at.into(), kept: false });
    Manifest { volume, ..manifest("") }
}

/// Room for 4 MiB and 40 files, open to everybody.
fn room() -> OwnedFd {
    let room = Draft::new(c"tmpfs").unwrap();
    for (key, value) in [(c"mode", c"0777"), (c"size", c"4m"), (c"nr_inodes", c"40")] {
        room.set(key, value).unwrap();
    }
    room.mount(0).unwrap()
}

/// Enters with a volume, or without one, and waits for the child's word.
fn go_in(stage: &Stage, volume: Option<&OwnedFd>) -> (Entered, Report) {
    let given = Given { volume: volume.map(AsFd::as_fd), ..stage.given(Layers::NONE) };
    let entered = enter(&stage.plan, given).unwrap();
    assert!(sys::descriptor::wait_readable(entered.applied.as_fd(), stage::LIMIT_MS).unwrap(), "no word");
    let report = entered.report();
    (entered, report)
}

#[test]
fn a_volume_is_written_to_and_no_more() {
    if !enter_stage("a_volume_is_written_to_and_no_more") {
        return;
    }
    let stage = Stage::new(&with_volume("/mnt", 4)).with_script(USE_IT);
    let (entered, report) = go_in(&stage, Some(&room()));
    assert!(stage.seen(&entered, report).has(Layer::Mounts));
    entered.go().unwrap();
    assert!(matches!(last(&entered), WaitStatus::Exited(_, 0)));
    let text = stage.written();
    for want in ["volume kept", "! program", "! mknod", "! beside", "! large", "! many"] {
        assert!(text.lines().any(|line| line == want), "{want}: {text}");
    }
}

#[test]
fn a_volume_that_is_not_as_it_was_promised_is_seen() {
    if !enter_stage("a_volume_that_is_not_as_it_was_promised_is_seen") {
        return;
    }
    // More than was promised.
    let stage = Stage::new(&with_volume("/mnt", 3));
    let (entered, report) = go_in(&stage, Some(&room()));
    assert!(!stage.seen(&entered, report).has(Layer::Mounts));
    end(entered);
    for (at, volume, errno) in [("/mnt/nothing", Some(room()), Errno::ENOENT), ("/mnt", None, Errno::ENODATA)]
    {
        let stage = Stage::new(&with_volume(at, 4));
        let (entered, report) = go_in(&stage, volume.as_ref());
        assert_eq!(report, Report::Failed(sandbox::Error::Inside(Step::Volume, errno)), "{at}");
        end(entered);
    }
}
