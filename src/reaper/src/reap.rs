//! The reaper's one loop, on the C library.
//!
//! In:  the argument list and environment as C gives them. Out: the status to end with.

use core::ptr;

use libc::{c_char, c_int};

/// A null-terminated list of C strings.
pub(crate) type Words = *const *const c_char;

/// A program that cannot be run, as shells say it.
const CANNOT_RUN: c_int = 126;
/// Wrong usage.
const USAGE: c_int = 2;
/// Added to the number of the signal that ended the service, as shells do: PID 1 cannot end itself by a signal.
const SIGNALLED: c_int = 128;
/// Where the service finds the descriptor for its readiness; the reaper itself has no use for it.
const NOTIFY_FD: c_int = 3;

/// Ends this process.
pub(crate) fn end(status: c_int) -> ! {
    // SAFETY: it only ends the process.
    unsafe { libc::_exit(status) }
}

/// Runs the service and returns its status.
pub(crate) fn run(arguments: Words, environment: Words) -> c_int {
    let command = arguments.wrapping_add(1);
    // SAFETY: an argument list has at least its own name and a null, so the second word may be read.
    let program = unsafe { *command };
    if program.is_null() {
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
        0 => {
            let none = empty_set();
            // SAFETY: as above.
            unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut()) };
            // SAFETY: three null-terminated things that C gave us.
            unsafe { libc::execve(program, command, environment) };
            end(CANNOT_RUN)
        }
        service => {
            // SAFETY: nothing here uses it.
            unsafe { libc::close(NOTIFY_FD) };
            watch(service, &all)
        }
    }
}

fn empty_set() -> libc::sigset_t {
    // SAFETY: a signal set is an array of words; all zero is the empty one.
    unsafe { core::mem::zeroed() }
}

/// Waits for signals until the service has ended.
fn watch(service: libc::pid_t, all: &libc::sigset_t) -> c_int {
    loop {
        // SAFETY: the set is ours; nothing more is asked of the signal than its number.
        match unsafe { libc::sigwaitinfo(all, ptr::null_mut()) } {
            libc::SIGCHLD => {
                if let Some(status) = reap(service) {
                    return status;
                }
            }
            signal @ 1.. => {
                // SAFETY: two integers; the service is our child and not waited for, so the number is still its own.
                unsafe { libc::kill(service, signal) };
            }
            _ => {} // Interrupted: once more.
        }
    }
}

/// Reaps everybody who has ended. The service's status, if it was among them.
fn reap(service: libc::pid_t) -> Option<c_int> {
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
            1.. => {}
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
