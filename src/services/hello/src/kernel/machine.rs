//! The machine: what any process can tell of it, however well it is locked in.
//!
//! In:  uname(2), sysinfo(2). Out: their answers.
//!
//! Names of namespaces do not reach these two: the kernel's version, the memory and the number of threads are the whole machine's.
//!
//! Source: uname(2), sysinfo(2).

use std::time::Duration;

use super::{Seen, short};

/// What uname(2) says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The host name, as seen from here.
    pub host: String,
    /// `Linux 6.12.104`.
    pub kernel: String,
    /// When and how it was built.
    pub version: String,
    /// `i686`.
    pub machine: String,
}

/// What sysinfo(2) says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// Since it was started.
    pub uptime: Duration,
    /// Memory, in bytes.
    pub memory_bytes: u64,
    /// Memory that nobody uses, in bytes.
    pub free_bytes: u64,
    /// Threads of everybody on it.
    pub threads: u16,
}

/// Asks for names.
///
/// # Errors
/// [`super::Hidden`]: the kernel's answer.
pub fn names() -> Seen<Names> {
    let names = nix::sys::utsname::uname()?;
    let text = |name: &std::ffi::OsStr| short(&name.to_string_lossy());
    Ok(Names {
        host: text(names.nodename()),
        kernel: short(&format!("{} {}", text(names.sysname()), text(names.release()))),
        version: text(names.version()),
        machine: text(names.machine()),
    })
}

/// Asks for the state.
///
/// # Errors
/// [`super::Hidden`]: the kernel's answer.
pub fn state() -> Seen<State> {
    let state = nix::sys::sysinfo::sysinfo()?;
    Ok(State {
        uptime: state.uptime(),
        memory_bytes: state.ram_total(),
        free_bytes: state.ram_unused(),
        threads: state.process_count(),
    })
}

#[cfg(test)]
mod tests {
    use super::{names, state};

    #[test]
    fn any_process_can_tell_this_much() {
        assert!(names().unwrap().kernel.starts_with("Linux "));
        let state = state().unwrap();
        assert!(state.memory_bytes >= state.free_bytes && state.threads > 0);
    }
}
