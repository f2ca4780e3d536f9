//! Becoming another program, without asking for memory: for the moment between clone and exec, and for PID 1.
//!
//! Source: execve(2), execveat(2).

use std::ffi::{CStr, c_char};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use nix::errno::Errno;

/// Words of an argument list or an environment, the closing null included.
const WORDS: usize = 32;

/// A null-terminated list of pointers on the stack.
struct List<'w> {
    pointers: [*const c_char; WORDS],
    words: std::marker::PhantomData<&'w CStr>,
}

impl<'w> List<'w> {
    fn new(words: &[&'w CStr]) -> Result<Self, Errno> {
        let mut pointers = [ptr::null(); WORDS];
        if words.len() >= WORDS {
            return Err(Errno::E2BIG);
        }
        for (pointer, word) in pointers.iter_mut().zip(words) {
            *pointer = word.as_ptr();
        }
        Ok(Self { pointers, words: std::marker::PhantomData })
    }
}

/// Becomes the program at `path`. Returns only what went wrong; `E2BIG` for more than 31 words.
#[must_use]
pub fn path(path: &CStr, arguments: &[&CStr], environment: &[&CStr]) -> Errno {
    let (arguments, environment) = match (List::new(arguments), List::new(environment)) {
        (Ok(arguments), Ok(environment)) => (arguments, environment),
        (Err(errno), _) | (_, Err(errno)) => return errno,
    };
    // SAFETY: three null-terminated things that live until the call returns, which it does only on error.
    unsafe { libc::execve(path.as_ptr(), arguments.pointers.as_ptr(), environment.pointers.as_ptr()) };
    Errno::last()
}

/// Becomes the program that `descriptor` is open on. Returns only what went wrong; `E2BIG` for more than 31 words.
#[must_use]
pub fn descriptor(descriptor: BorrowedFd<'_>, arguments: &[&CStr], environment: &[&CStr]) -> Errno {
    let (arguments, environment) = match (List::new(arguments), List::new(environment)) {
        (Ok(arguments), Ok(environment)) => (arguments, environment),
        (Err(errno), _) | (_, Err(errno)) => return errno,
    };
    // SAFETY: null-terminated things that live until the call returns, which it does only on error; the path is empty, as
    // AT_EMPTY_PATH asks.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            descriptor.as_raw_fd(),
            c"".as_ptr(),
            arguments.pointers.as_ptr(),
            environment.pointers.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    Errno::last()
}

/// Gives signals back their usual meaning: none is blocked, and `SIGPIPE` (which Rust's runtime ignores) ends the process. An ignored
/// signal would stay ignored in the next program. For the moment between clone and exec.
///
/// # Errors
/// None that two valid signal sets can cause.
pub fn clean_signals() -> Result<(), Errno> {
    use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};
    // SAFETY: the default action is no handler of ours, so nothing can run at a wrong moment.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }?;
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
}
