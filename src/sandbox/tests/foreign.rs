//! Calls by the way of another ABI, which would slip past a filter that looks at numbers only: `int 0x80` and x32 from a 64-bit program.
//!
//! In:  `foreign/call.c`, built here, in real sandboxes. Out: passed, failed, or `skipped: ` and why.
//!
//! Row 18 of the list of attacks in docs/security.md. The gateway is a 32-bit machine and has no other ABI; the filter has both.
#![forbid(unsafe_code)]
#![cfg(target_arch = "x86_64")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod stage;

use std::ffi::CString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use contract::layer::{Layer, Layers};
use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;
use sandbox::Report;
use stage::{Stage, enter_stage, last, manifest};

/// A root with the program and what every root has; `None`: there is no compiler.
fn root() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("foreign");
    for folder in ["dev", "proc", "run", "tmp"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign/call.c");
    let program = root.join("call");
    let built = Command::new("cc").args(["-O2", "-static", "-o"]).arg(program).arg(source).status().ok()?;
    assert!(built.success(), "cc: {built}");
    Some(root)
}

/// Lets it call by that way, without these layers: how it ended, and what it wrote.
fn call(root: &Path, way: &str, without: Layers) -> (WaitStatus, String) {
    let path = CString::new(root.to_str().unwrap()).unwrap();
    let mut stage = Stage::new(&manifest("")).with_root(sys::mount::copy(&path).unwrap());
    stage.plan.arguments = ["/call", way].iter().map(|word| CString::new(*word).unwrap()).collect();
    let (entered, report) = stage.enter(without);
    assert!(matches!(report, Report::Applied(_)), "{report:?}");
    entered.go().unwrap();
    (last(&entered), stage.written())
}

#[test]
fn a_call_of_another_abi_ends_the_process() {
    if !enter_stage("a_call_of_another_abi_ends_the_process") {
        return;
    }
    let Some(root) = root() else {
        return println!("skipped: a_call_of_another_abi_ends_the_process: no cc: apt-get install gcc");
    };
    let (end, said) = call(&root, "own", Layers::NONE);
    assert!(matches!(end, WaitStatus::Exited(_, 0)) && said == "through\n", "its own: {end:?}, {said:?}");
    for way in ["i386", "x32"] {
        // The control: without the filter it gets through, where the kernel has that way at all.
        let (end, said) = call(&root, way, Layers::NONE.with(Layer::Seccomp));
        let through = matches!(end, WaitStatus::Exited(_, 0)) && said == "through\n";
        if !through {
            println!(
                "skipped in part: {way}: this kernel has no such calls, so there is no control: {end:?}"
            );
        }
        if matches!(end, WaitStatus::Signaled(_, Signal::SIGSEGV, _)) {
            continue; // There is not even a way to the filter.
        }
        let (end, said) = call(&root, way, Layers::NONE);
        assert!(matches!(end, WaitStatus::Signaled(_, Signal::SIGSYS, _)), "{way}: {end:?}, {said:?}");
        assert_eq!(said, "", "{way}");
    }
}
