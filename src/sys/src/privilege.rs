//! Giving rights up for good: secure bits and the seccomp filter.
//!
//! Source: capabilities(7), secure bits; seccomp(2); linux/filter.h.

use nix::errno::Errno;

/// One instruction of classic BPF: `struct sock_filter`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// What to do.
    pub code: u16,
    /// How far to jump where a condition holds.
    pub yes: u8,
    /// How far to jump where it does not.
    pub no: u8,
    /// The operand.
    pub operand: u32,
}

#[repr(C)]
struct Program {
    length: libc::c_ushort,
    instructions: *const Instruction,
}

/// Loads `program` as this thread's seccomp filter. It stays over exec and cannot be taken away.
///
/// # Errors
/// `EACCES`: `no_new_privs` is not set and we lack `CAP_SYS_ADMIN`. `EINVAL`: not a valid program, or over 4096 instructions.
pub fn load_filter(program: &[Instruction]) -> Result<(), Errno> {
    const SECCOMP_SET_MODE_FILTER: libc::c_uint = 1;
    let length = libc::c_ushort::try_from(program.len()).map_err(|_| Errno::EINVAL)?;
    let program = Program { length, instructions: program.as_ptr() };
    // SAFETY: the program's pointer and length belong together and live until the call returns; the kernel checks its instructions.
    let answer = unsafe { libc::syscall(libc::SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &raw const program) };
    Errno::result(answer).map(drop)
}

/// Locks the secure bits so that user 0 is a user like any other: no capability comes from being it, from exec, or from being ambient.
///
/// # Errors
/// `EPERM`: we lack `CAP_SETPCAP`.
pub fn lock_secure_bits() -> Result<(), Errno> {
    // linux/securebits.h: NOROOT, NO_SETUID_FIXUP, NO_CAP_AMBIENT_RAISE, each with its lock, and the lock of KEEP_CAPS.
    const BITS: libc::c_ulong = 0b11 | 0b11 << 2 | 1 << 5 | 0b11 << 6;
    // SAFETY: integers only.
    Errno::result(unsafe { libc::prctl(libc::PR_SET_SECUREBITS, BITS, 0, 0, 0) }).map(drop)
}

/// Takes every capability out of the bounding set, those that this program has never heard of included.
///
/// # Errors
/// `EPERM`: we lack `CAP_SETPCAP`.
pub fn drop_bounding_set() -> Result<(), Errno> {
    // Capability sets have 64 bits (linux/capability.h, `_LINUX_CAPABILITY_U32S_3`); the first number that the kernel does not know
    // ends the list.
    for capability in 0..64 as libc::c_ulong {
        // SAFETY: integers only.
        match Errno::result(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) }) {
            Ok(_) => {}
            Err(Errno::EINVAL) => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Keeps the permitted capabilities when the user changes, until exec.
///
/// # Errors
/// `EPERM`: the secure bits are locked.
pub fn keep_capabilities() -> Result<(), Errno> {
    const YES: libc::c_ulong = 1;
    // SAFETY: integers only.
    Errno::result(unsafe { libc::prctl(libc::PR_SET_KEEPCAPS, YES, 0, 0, 0) }).map(drop)
}
