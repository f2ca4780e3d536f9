//! What a manifest may grant beside its usual lot, for real: there where it was granted, and not without; and no more than that.
//!
//! In:  this machine's own shell and `ip` in real sandboxes. Out: passed, failed, or `skipped: ` and why.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod stage;

use contract::layer::{Layer, Layers};
use contract::manifest::{Manifest, Proc};
use nix::sys::wait::WaitStatus;
use sandbox::Report;
use stage::{Stage, enter_stage, last, manifest};

/// The machine's numbers, our own process, somebody else's; and what a number is read for, is not written.
const NUMBERS: &str = "for file in meminfo uptime loadavg self/status; do test -r /proc/$file && echo $file; done; \
    echo /proc/[0-9]*; echo x 2>/dev/null >/proc/sys/kernel/hostname || echo kept";
/// Reads links and routes of its own network, changes one, and asks another family of netlink.
const ROUTES: &str = "ip -o link show lo >/dev/null 2>&1 && echo links; ip route show >/dev/null 2>&1 && echo routes; \
    ip link set lo mtu 1400 2>/dev/null && echo set; ip route add 10.0.0.0/8 dev lo 2>/dev/null && echo added; echo end";

/// What `script` writes in a sandbox of `manifest`, whose layers are all seen from outside.
fn says(manifest: &Manifest, script: &str) -> String {
    let stage = Stage::new(manifest).with_script(script);
    let (entered, report) = stage.enter(Layers::NONE);
    let Report::Applied(_) = report else { panic!("{report:?}") };
    let seen = stage.seen(&entered, report);
    for layer in [Layer::PrivateProc, Layer::Seccomp] {
        assert!(seen.has(layer), "{layer:?}");
    }
    entered.go().unwrap();
    let end = last(&entered);
    assert!(matches!(end, WaitStatus::Exited(_, 0)), "{end:?}");
    stage.written()
}

#[test]
fn the_machines_numbers_are_read_where_they_were_granted() {
    if !enter_stage("the_machines_numbers_are_read_where_they_were_granted") {
        return;
    }
    let mut manifest = manifest("");
    assert_eq!(says(&manifest, NUMBERS), "self/status\n/proc/1\nkept\n");
    manifest.proc = Proc::Full;
    assert_eq!(says(&manifest, NUMBERS), "meminfo\nuptime\nloadavg\nself/status\n/proc/1\nkept\n");
}

#[test]
fn routes_are_read_where_that_was_granted() {
    if !enter_stage("routes_are_read_where_that_was_granted") {
        return;
    }
    let mut manifest = manifest("");
    assert_eq!(says(&manifest, ROUTES), "end\n");
    manifest.reaches.routes = true;
    assert_eq!(says(&manifest, ROUTES), "links\nroutes\nend\n");
}
