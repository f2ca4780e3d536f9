//! Attacks on the kernel itself: calls that no service needs. Each is asked for in a way that does nothing where it is let through.

use std::os::fd::AsRawFd;

use nix::errno::Errno;

use crate::call;

/// A call that fails with `past` once it is past its checks of rights.
fn reaches(number: libc::c_long, arguments: [libc::c_long; 5], past: &[Errno]) -> Result<(), Errno> {
    match call::numbers(number, arguments) {
        Err(errno) if past.contains(&errno) => Ok(()),
        other => other.map(drop),
    }
}

/// A map of BPF. Source: bpf(2), BPF_MAP_CREATE of an array (2), 4 bytes by 4, one of them.
pub(super) fn bpf() -> Result<(), Errno> {
    call::with_words(libc::SYS_bpf, 0, &mut [2, 4, 4, 1, 0, 0, 0, 0], [32, 0, 0]).map(drop)
}

/// The seconds of now: a time that is none is refused before the rights are looked at.
fn now_s() -> u32 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u32::try_from(now.as_secs()).unwrap_or(0)
}

/// The machine's clock. Source: settimeofday(2).
pub(super) fn clock() -> Result<(), Errno> {
    call::set_time(&mut [now_s(), 0])
}

/// The machine's clock by its number, CLOCK_REALTIME (0). Source: clock_settime(2).
pub(super) fn clock_settime() -> Result<(), Errno> {
    // Whichever width: the words behind the seconds are nothing.
    call::with_words(libc::SYS_clock_settime, 0, &mut [now_s(), 0, 0, 0], [0, 0, 0]).map(drop)
}

/// The same by the call of 32-bit machines that knows the years after 2038. Its number is another call elsewhere.
pub(super) fn clock_settime64() -> Result<(), Errno> {
    const NUMBER: libc::c_long = 404;
    if cfg!(not(target_arch = "x86")) {
        return Err(Errno::ENOSYS);
    }
    call::with_words(NUMBER, 0, &mut [now_s(), 0, 0, 0], [0, 0, 0]).map(drop)
}

/// Another kernel, in more pieces than there may be: EINVAL comes after the rights. Source: kexec_load(2), KEXEC_SEGMENT_MAX (16).
pub(super) fn kexec() -> Result<(), Errno> {
    reaches(libc::SYS_kexec_load, [0, 17, 0, 0, 0], &[Errno::EINVAL])
}

/// The same from a file, which i386 does not have. Source: kexec_file_load(2).
pub(super) fn kexec_file() -> Result<(), Errno> {
    const NUMBER: libc::c_long = 320; // x86_64
    const NO_SUCH_FLAG: libc::c_long = 1 << 15;
    if cfg!(not(target_arch = "x86_64")) {
        return Err(Errno::ENOSYS);
    }
    reaches(NUMBER, [-1, -1, 0, 0, NO_SUCH_FLAG], &[Errno::EINVAL])
}

/// A key of no kind: a null pointer. Source: add_key(2).
pub(super) fn key_add() -> Result<(), Errno> {
    reaches(libc::SYS_add_key, [0, 0, 0, 0, 0], &[Errno::EFAULT])
}

/// Source: request_key(2): a null pointer.
pub(super) fn key_request() -> Result<(), Errno> {
    reaches(libc::SYS_request_key, [0, 0, 0, 0, 0], &[Errno::EFAULT])
}

/// Source: io_uring_setup(2): a null pointer is seen after the rights.
pub(super) fn io_uring() -> Result<(), Errno> {
    reaches(libc::SYS_io_uring_setup, [1, 0, 0, 0, 0], &[Errno::EFAULT])
}

/// The keyring of the session. Source: keyctl(2), KEYCTL_GET_KEYRING_ID (0) of KEY_SPEC_SESSION_KEYRING (-3).
pub(super) fn keys() -> Result<(), Errno> {
    call::numbers(libc::SYS_keyctl, [0, -3, 1, 0, 0]).map(drop)
}

/// An empty module. Source: init_module(2).
pub(super) fn module() -> Result<(), Errno> {
    reaches(libc::SYS_init_module, [0, 0, 0, 0, 0], &[Errno::EFAULT, Errno::ENOEXEC])
}

/// A module from a file that is not open. Source: finit_module(2).
pub(super) fn module_file() -> Result<(), Errno> {
    reaches(libc::SYS_finit_module, [-1, 0, 0, 0, 0], &[Errno::EBADF, Errno::EFAULT])
}

/// A module without a name. Source: delete_module(2).
pub(super) fn module_delete() -> Result<(), Errno> {
    reaches(libc::SYS_delete_module, [0, 0, 0, 0, 0], &[Errno::EFAULT])
}

/// Quotas of every disk are written down: Q_SYNC of users, without a device. Source: quotactl(2), linux/quota.h.
pub(super) fn quota() -> Result<(), Errno> {
    const SYNC: i32 = (0x80_0001_u32 << 8).cast_signed(); // SUBCMDSHIFT
    call::numbers(libc::SYS_quotactl, [SYNC.into(), 0, 0, 0, 0]).map(drop)
}

/// The same by a file, which is not open. Source: quotactl_fd(2).
pub(super) fn quota_file() -> Result<(), Errno> {
    reaches(libc::SYS_quotactl_fd, [-1, 0, 0, 0, 0], &[Errno::EBADF])
}

/// Source: perf_event_open(2): a null pointer.
pub(super) fn perf() -> Result<(), Errno> {
    reaches(libc::SYS_perf_event_open, [0, 0, -1, -1, 0], &[Errno::EFAULT])
}

/// Addresses that are the same every time. Source: personality(2), ADDR_NO_RANDOMIZE.
pub(super) fn personality() -> Result<(), Errno> {
    call::numbers(libc::SYS_personality, [0x004_0000, 0, 0, 0, 0]).map(drop)
}

/// With magic numbers that are none: rights are checked before them. Source: reboot(2).
pub(super) fn reboot() -> Result<(), Errno> {
    reaches(libc::SYS_reboot, [0, 0, 0, 0, 0], &[Errno::EINVAL])
}

/// Nothing to swap to. Source: swapon(2).
pub(super) fn swap() -> Result<(), Errno> {
    reaches(libc::SYS_swapon, [0, 0, 0, 0, 0], &[Errno::EFAULT])
}

/// No more swap, at no place. Source: swapoff(2).
pub(super) fn swap_off() -> Result<(), Errno> {
    reaches(libc::SYS_swapoff, [0, 0, 0, 0, 0], &[Errno::EFAULT])
}

/// Source: userfaultfd(2); UFFD_USER_MODE_ONLY (1) asks for no right.
pub(super) fn userfaultfd() -> Result<(), Errno> {
    call::numbers(libc::SYS_userfaultfd, [1, 0, 0, 0, 0]).map(drop)
}

/// Typing for another, on what it writes to: no terminal, and the kernel says so once it has been asked. Source: ioctl_tty(2).
pub(super) fn terminal() -> Result<(), Errno> {
    const TIOCSTI: libc::c_long = 0x5412;
    reaches(libc::SYS_ioctl, [std::io::stdout().as_raw_fd().into(), TIOCSTI, 0, 0, 0], &[Errno::ENOTTY])
}

/// What the kernel says of the machine and of others. Source: syslog(2), SYSLOG_ACTION_SIZE_BUFFER (10).
pub(super) fn log() -> Result<(), Errno> {
    call::numbers(libc::SYS_syslog, [10, 0, 0, 0, 0]).map(drop)
}
