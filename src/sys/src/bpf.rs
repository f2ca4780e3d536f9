//! Programs that the kernel runs when a cgroup's processes ask for a device.
//!
//! Source: bpf(2); linux/bpf.h; Documentation/bpf/prog_cgroup_sockopt.rst for attaching, cgroup-v2.rst for device controllers.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;

const PROGRAM_LOAD: libc::c_int = 5;
const PROGRAM_ATTACH: libc::c_int = 8;
const PROGRAM_BY_ID: libc::c_int = 13;
const INFORMATION: libc::c_int = 15;
const PROGRAM_QUERY: libc::c_int = 16;
/// BPF_PROG_TYPE_CGROUP_DEVICE
const CGROUP_DEVICE: u32 = 15;
/// BPF_CGROUP_DEVICE, a place to attach to.
const AT_DEVICES: u32 = 6;

/// The fingerprint that the kernel makes of a program.
pub type Tag = [u8; 8];

fn call<T>(command: libc::c_int, words: &mut T) -> Result<libc::c_long, Errno> {
    // SAFETY: the struct begins like the union's part for this command, lives until the call returns, and its size is told.
    Errno::result(unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *words, size_of::<T>()) })
}

fn taken(answer: libc::c_long) -> Result<OwnedFd, Errno> {
    let number = RawFd::try_from(answer).map_err(|_| Errno::EOVERFLOW)?;
    // SAFETY: the call succeeded, so it is open, and no one else has it yet.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// A pointer, as the kernel takes it: 64 bits on every machine.
fn address<T>(pointer: *const T) -> u64 {
    pointer.addr() as u64
}

/// Loads a program about devices, of instructions as the kernel has them (`struct bpf_insn`, 64 bits each); close-on-exec.
///
/// # Errors
/// `EACCES`, `EINVAL`: the kernel does not take the program. `EPERM`: we may not. `ENOSYS`: no BPF.
pub fn load_device_program(instructions: &[u64]) -> Result<OwnedFd, Errno> {
    #[repr(C)]
    struct Words {
        kind: u32,
        count: u32,
        instructions: u64,
        licence: u64,
        log: [u64; 2],
    }
    let count = u32::try_from(instructions.len()).map_err(|_| Errno::E2BIG)?;
    let licence = address(c"Apache-2.0".as_ptr());
    let instructions = address(instructions.as_ptr());
    taken(call(PROGRAM_LOAD, &mut Words { kind: CGROUP_DEVICE, count, instructions, licence, log: [0; 2] })?)
}

/// Attaches `program` to `cgroup`, beside what is attached above it: all have to agree.
///
/// # Errors
/// `EPERM`: a cgroup above does not let others decide. `EBADF`: no cgroup, no program.
pub fn attach_device_program(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<(), Errno> {
    #[repr(C)]
    struct Words {
        target: i32,
        program: i32,
        place: u32,
        flags: u32,
    }
    const MULTI: u32 = 2; // BPF_F_ALLOW_MULTI
    let mut words =
        Words { target: cgroup.as_raw_fd(), program: program.as_raw_fd(), place: AT_DEVICES, flags: MULTI };
    call(PROGRAM_ATTACH, &mut words).map(drop)
}

/// The fingerprint of a program.
///
/// # Errors
/// `EBADF`: it is none.
pub fn tag(program: BorrowedFd<'_>) -> Result<Tag, Errno> {
    #[repr(C)]
    struct Words {
        program: i32,
        length: u32,
        information: u64,
    }
    /// The beginning of `struct bpf_prog_info`.
    #[repr(C)]
    struct Information {
        kind: u32,
        id: u32,
        tag: Tag,
    }
    let mut information = Information { kind: 0, id: 0, tag: [0; 8] };
    let length = u32::try_from(size_of::<Information>()).map_err(|_| Errno::EOVERFLOW)?;
    let place = address(&raw mut information);
    call(INFORMATION, &mut Words { program: program.as_raw_fd(), length, information: place })?;
    Ok(information.tag)
}

/// The fingerprints of programs about devices that are attached to `cgroup` itself, the first 8.
///
/// # Errors
/// `EBADF`: no cgroup. `EPERM`.
pub fn device_programs(cgroup: BorrowedFd<'_>) -> Result<Vec<Tag>, Errno> {
    #[repr(C)]
    struct Query {
        target: i32,
        place: u32,
        flags: u32,
        attached_flags: u32,
        ids: u64,
        count: u32,
        padding: u32,
    }
    #[repr(C)]
    struct ById {
        id: u32,
        next: u32,
        flags: u32,
    }
    let mut ids = [0_u32; 8];
    let mut query = Query {
        target: cgroup.as_raw_fd(),
        place: AT_DEVICES,
        flags: 0,
        attached_flags: 0,
        ids: address(ids.as_mut_ptr()),
        count: 8,
        padding: 0,
    };
    call(PROGRAM_QUERY, &mut query)?;
    let count = usize::try_from(query.count).unwrap_or(0);
    let program = |id: &u32| taken(call(PROGRAM_BY_ID, &mut ById { id: *id, next: 0, flags: 0 })?);
    ids.iter().take(count).map(|id| tag(std::os::fd::AsFd::as_fd(&program(id)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::{load_device_program, tag};
    use nix::errno::Errno;
    use std::os::fd::AsFd;

    /// r0 = VALUE; exit. Source: Documentation/bpf/standardization/instruction-set.rst.
    fn answer(value: u64) -> [u64; 2] {
        [0xb7 | value << 32, 0x95]
    }

    #[test]
    fn programs_are_told_apart_by_their_tags() {
        let one = match load_device_program(&answer(1)) {
            Err(why @ (Errno::EPERM | Errno::ENOSYS)) => {
                return println!("skipped: no BPF for us here: {why}");
            }
            one => one.unwrap(),
        };
        let same = load_device_program(&answer(1)).unwrap();
        let other = load_device_program(&answer(0)).unwrap();
        assert_eq!(tag(one.as_fd()), tag(same.as_fd()));
        assert_ne!(tag(one.as_fd()), tag(other.as_fd()));
        assert!(load_device_program(&[0x95]).is_err(), "r0 is not set");
    }
}
