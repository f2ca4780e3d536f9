//! Attacks on the kernel itself: calls that no service needs. Each is asked for in a way that does nothing where it is let through.

use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};

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

/// The machine's clock, to an address that is none. Source: clock_settime(2).
pub(super) fn clock() -> Result<(), Errno> {
    // settimeofday checks rights before it has looked at anything but the time: that of now.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let mut time = [u32::try_from(now.as_secs()).unwrap_or(0), 0];
    call::set_time(&mut time)
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

/// Everybody's packets.
pub(super) fn packets() -> Result<(), Errno> {
    socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None).map(drop)
}

/// The way to the firewall.
pub(super) fn firewall() -> Result<(), Errno> {
    let protocol = SockProtocol::NetlinkNetFilter;
    socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol).map(drop)
}
