//! System calls by number, for those that nobody wraps.
//!
//! Source: syscall(2).

use nix::errno::Errno;

/// Makes a call whose arguments are numbers, or null, or addresses that the caller vouches for.
pub(crate) fn numbers(
    number: libc::c_long,
    [a, b, c, d, e]: [libc::c_long; 5],
) -> Result<libc::c_long, Errno> {
    // SAFETY: every caller in this file and in `attacks` passes numbers, null pointers, or one of the addresses below; the kernel answers
    // EFAULT to a null pointer.
    Errno::result(unsafe { libc::syscall(number, a, b, c, d, e) })
}

/// Makes a call with words to read and to write: `first`, then the address of `words`, then `rest`.
pub(crate) fn with_words<const N: usize>(
    number: libc::c_long,
    first: libc::c_long,
    words: &mut [u32; N],
    rest: [libc::c_long; 3],
) -> Result<libc::c_long, Errno> {
    let [a, b, c] = rest;
    // SAFETY: the words live until the call returns, and each caller gives as many as the call can write.
    Errno::result(unsafe { libc::syscall(number, first, words.as_mut_ptr(), a, b, c) })
}

/// Makes a call with a path first and words behind it.
pub(crate) fn with_path_and_words<const N: usize>(
    number: libc::c_long,
    path: &std::ffi::CStr,
    words: &mut [u32; N],
    mount: &mut libc::c_int,
) -> Result<libc::c_long, Errno> {
    // SAFETY: name_to_handle_at(2): a path, a handle that says its own size, and an integer; all live until the call returns.
    Errno::result(unsafe {
        libc::syscall(number, libc::AT_FDCWD, path.as_ptr(), words.as_mut_ptr(), &raw mut *mount, 0)
    })
}

/// Forks; the child waits for its end.
pub(crate) fn fork_a_sleeper() -> Result<libc::pid_t, Errno> {
    // SAFETY: the child does nothing but wait.
    match Errno::result(unsafe { libc::fork() })? {
        0 => loop {
            // SAFETY: it takes nothing.
            unsafe { libc::pause() };
        },
        child => Ok(child),
    }
}

/// Makes a call with nothing in its arguments, in a process of its own: EPERM, ENOSYS, or `None` for whatever else came of it. One that
/// waits for ever is ended by its alarm after a second.
pub(crate) fn probe(number: libc::c_long) -> Option<Errno> {
    // SAFETY: the child makes calls only, and ends.
    match unsafe { libc::fork() } {
        0 => {
            // SAFETY: it takes a number.
            unsafe { libc::alarm(1) };
            // SAFETY: no address is given: a call that wants one finds none. Nothing of this process is used after it but its end.
            let answer = Errno::result(unsafe { libc::syscall(number, 0, 0, 0, 0, 0, 0) });
            let code = match answer {
                Err(Errno::EPERM) => 1,
                Err(Errno::ENOSYS) => 2,
                Ok(_) | Err(_) => 0,
            };
            // SAFETY: it does not come back.
            unsafe { libc::_exit(code) }
        }
        child => {
            let mut status = 0;
            // SAFETY: the status is written to a place that lives until the call returns.
            unsafe { libc::waitpid(child, &raw mut status, 0) };
            match (libc::WIFEXITED(status), libc::WEXITSTATUS(status)) {
                (true, 1) => Some(Errno::EPERM),
                (true, 2) => Some(Errno::ENOSYS),
                _ => None,
            }
        }
    }
}

/// Gives this process a policy and a priority. Source: sched_setscheduler(2).
pub(crate) fn realtime(policy: libc::c_long, priority: &mut [libc::c_int; 1]) -> Result<(), Errno> {
    // SAFETY: two numbers, and a `struct sched_param`, which is one integer and lives until the call returns.
    Errno::result(unsafe { libc::syscall(libc::SYS_sched_setscheduler, 0, policy, priority.as_ptr()) })
        .map(drop)
}

/// Sets the machine's clock. Source: settimeofday(2); on i386 the kernel takes two words.
pub(crate) fn set_time(time: &mut [u32; 2]) -> Result<(), Errno> {
    let mut wide = time.map(u64::from);
    let pointer = if cfg!(target_pointer_width = "32") {
        time.as_mut_ptr().cast::<u8>()
    } else {
        wide.as_mut_ptr().cast()
    };
    // SAFETY: a `struct timeval` of the kernel's: two longs, which live until the call returns; no time zone.
    Errno::result(unsafe { libc::syscall(libc::SYS_settimeofday, pointer, std::ptr::null::<u8>()) }).map(drop)
}

/// One byte of ours to an address of another's where nothing is. Source: process_vm_writev(2).
pub(crate) fn write_at_nothing(pid: libc::pid_t) -> Result<(), Errno> {
    let mut byte = 0_u8;
    let ours = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let theirs = libc::iovec { iov_base: std::ptr::without_provenance_mut(1), iov_len: 1 };
    // SAFETY: both lists have one entry and live until the call returns; only our byte is read, and nothing is at the other address.
    Errno::result(unsafe { libc::process_vm_writev(pid, &raw const ours, 1, &raw const theirs, 1, 0) })
        .map(drop)
}

/// Shared memory of System V, which is there for as long as this process is: its bytes. Source: shmget(2), shmat(2).
pub(crate) fn shared(bytes: usize) -> Result<&'static mut [u8], Errno> {
    // SAFETY: it takes numbers.
    let id = Errno::result(unsafe { libc::shmget(libc::IPC_PRIVATE, bytes, 0o600) })?;
    // SAFETY: at an address of the kernel's choice.
    let place = unsafe { libc::shmat(id, std::ptr::null(), 0) };
    // SAFETY: no pointer is read: it goes when nobody has it any more.
    unsafe { libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()) };
    if place.addr() == usize::MAX {
        return Err(Errno::last());
    }
    // SAFETY: shmat gave so many bytes, all zero, to nobody else; they are never detached.
    Ok(unsafe { std::slice::from_raw_parts_mut(place.cast(), bytes) })
}

/// Pins memory. Source: mlock(2).
pub(crate) fn pin(bytes: &[u8]) -> Result<(), Errno> {
    // SAFETY: an address and a length of ours; nothing is written.
    Errno::result(unsafe { libc::mlock(bytes.as_ptr().cast(), bytes.len()) }).map(drop)
}

/// An `ioctl` of a socket with words that it reads. Source: ioctl(2).
pub(crate) fn ask_socket<const N: usize>(
    socket: std::os::fd::RawFd,
    request: libc::c_long,
    words: &mut [u32; N],
) -> Result<(), Errno> {
    // SAFETY: the words live until the call returns, and each caller gives as many as the request reads.
    Errno::result(unsafe { libc::syscall(libc::SYS_ioctl, socket, request, words.as_mut_ptr()) }).map(drop)
}

/// Does nothing until it is ended. Source: pause(2).
pub(crate) fn waits_for_ever() -> ! {
    loop {
        // SAFETY: it takes nothing.
        unsafe { libc::pause() };
    }
}
