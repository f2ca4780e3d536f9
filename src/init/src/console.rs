//! Standard descriptors: input and output are the console, errors go to the kernel's log.
//!
//! Source: console(4), kmsg(4).

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;

use log::info;
use nix::fcntl::OFlag;
use nix::sys::utsname::uname;
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout};

/// Opens them. Without a console or a kernel log the machine works all the same, in silence.
pub fn open() {
    let open =
        |path| OpenOptions::new().read(true).write(true).custom_flags(OFlag::O_NOCTTY.bits()).open(path);
    if let Ok(console) = open("/dev/console") {
        let _ = dup2_stdin(&console);
        let _ = dup2_stdout(&console);
        let _ = dup2_stderr(&console);
    }
    if let Ok(log) = OpenOptions::new().write(true).open("/dev/kmsg") {
        let _ = dup2_stderr(&log);
    }
}

/// The first line.
pub fn greet(began_ms: u64) {
    let kernel = uname();
    let release =
        kernel.as_ref().map_or(String::new(), |kernel| kernel.release().to_string_lossy().into_owned());
    info!(
        "Service Hosting Gateway {} on Linux {release}, {began_ms} ms after the kernel began",
        env!("CARGO_PKG_VERSION")
    );
}
