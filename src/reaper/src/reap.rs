//! The reaper's one loop, on the C library.
//!
//! In:  the argument list and environment as C gives them; signals. Out: the status to end with; bytes about probes.

use core::ptr;

use libc::{c_char, c_int};

use crate::probe::Probe;

/// A null-terminated list of C strings.
pub(crate) type Words = *const *const c_char;

/// A program that cannot be run, as shells say it.
const CANNOT_RUN: c_int = 126;
/// Wrong usage.
const USAGE: c_int = 2;
/// Added to the number of the signal that ended the service, as shells do: PID 1 cannot end itself by a signal.
const SIGNALLED: c_int = 128;
/// Where the service finds the descriptor for its readiness; the reaper itself says there how a probe went.
pub(crate) const NOTIFY_FD: c_int = 3;

/// Ends this process.
pub(crate) fn end(status: c_int) -> ! {
    // SAFETY: it only ends the process.
    unsafe { libc::_exit(status) }
}

/// The word at `place`.
///
/// # Safety
/// The list has so many words, its null counted.
pub(crate) unsafe fn word(words: Words, place: usize) -> *const c_char {
    // SAFETY: the caller's promise.
    unsafe { *words.wrapping_add(place) }
}

/// Runs the service and returns its status.
pub(crate) fn run(arguments: Words, environment: Words) -> c_int {
    let Some((mut probe, command)) = Probe::read(arguments.wrapping_add(1), environment) else {
        return USAGE;
    };
    // SAFETY: an argument list ends with a null, and `read` has gone past none.
    if unsafe { word(command, 0) }.is_null() {
        return USAGE;
    }
    let mut all = empty_set();
    // SAFETY: `all` is a signal set of ours.
    unsafe { libc::sigfillset(&raw mut all) };
    // SAFETY: as above; the old set is not asked for.
    unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const all, ptr::null_mut()) };
    // SAFETY: there is one thread.
    let service = unsafe { libc::fork() };
    match service {
        -1 => CANNOT_RUN,
        0 => become_program(command, environment),
        service => {
            if probe.is_none() {
                // SAFETY: nothing here uses it.
                unsafe { libc::close(NOTIFY_FD) };
            }
            watch(service, &all, &mut probe)
        }
    }
}

/// A fresh child becomes the program of `command`.
pub(crate) fn become_program(command: Words, environment: Words) -> ! {
    let none = empty_set();
    // SAFETY: the set is ours.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut()) };
    // SAFETY: the first word is there: whoever made the list has looked.
    let program = unsafe { word(command, 0) };
    // SAFETY: three null-terminated things that C gave us.
    unsafe { libc::execve(program, command, environment) };
    end(CANNOT_RUN)
}

fn empty_set() -> libc::sigset_t {
    // SAFETY: a signal set is an array of words; all zero is the empty one.
    unsafe { core::mem::zeroed() }
}

/// Waits for signals until the service has ended.
fn watch(service: libc::pid_t, all: &libc::sigset_t, probe: &mut Option<Probe>) -> c_int {
    loop {
        // SAFETY: the set is ours; nothing more is asked of the signal than its number.
        let signal = unsafe { libc::sigwaitinfo(all, ptr::null_mut()) };
        match (signal, &mut *probe) {
            (libc::SIGCHLD, _) => {
                if let Some(status) = reap(service, probe) {
                    return status;
                }
            }
            (libc::SIGUSR1, Some(probe)) => probe.begin(),
            (libc::SIGALRM, Some(probe)) => probe.give_up(),
            (1.., _) => {
                // SAFETY: two integers; the service is our child and not waited for, so the number is still its own.
                unsafe { libc::kill(service, signal) };
            }
            _ => {} // Interrupted: once more.
        }
    }
}

/// Reaps everybody who has ended. The service's status, if it was among them.
fn reap(service: libc::pid_t, probe: &mut Option<Probe>) -> Option<c_int> {
    let mut found = None;
    loop {
        let mut status = 0;
        // SAFETY: `status` is ours.
        match unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) } {
            ended if ended == service => {
                found = Some(match libc::WIFEXITED(status) {
                    true => libc::WEXITSTATUS(status),
                    false => SIGNALLED + libc::WTERMSIG(status),
                });
            }
            ended @ 1.. => {
                if let Some(probe) = probe {
                    probe.ended(ended, status);
                }
            }
            _ => return found,
        }
    }
}

/// The same with the standard library around it.
#[cfg(not(target_env = "musl"))]
pub(crate) fn run_with_std() {
    use std::ffi::CString;
    use std::os::unix::ffi::OsStrExt;
    let own: std::vec::Vec<CString> =
        std::env::args_os().filter_map(|word| CString::new(word.as_bytes()).ok()).collect();
    let mut words: std::vec::Vec<*const c_char> = own.iter().map(|word| word.as_ptr()).collect();
    words.extend([ptr::null(), ptr::null()]);
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()).ok());
    let environment: std::vec::Vec<CString> = environment.collect();
    let mut variables: std::vec::Vec<*const c_char> = environment.iter().map(|word| word.as_ptr()).collect();
    variables.push(ptr::null());
    end(run(words.as_ptr(), variables.as_ptr()))
}
