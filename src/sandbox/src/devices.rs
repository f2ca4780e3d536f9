//! Which devices a service's cgroup lets it open: the five harmless ones; it makes none.
//!
//! In:  a cgroup. Out: a program of the kernel's that guards it; whether that program is there.
//!
//! Source: Documentation/admin-guide/cgroup-v2.rst, device controller; linux/bpf.h, `struct bpf_cgroup_dev_ctx`;
//! Documentation/bpf/standardization/instruction-set.rst.

use std::os::fd::{AsFd, BorrowedFd};

use sys::{Errno, bpf};

/// An instruction: code, two registers, a jump forward or the place of a word, a constant.
const fn instruction(code: u8, registers: u8, jump: u8, constant: u32) -> u64 {
    code as u64 | (registers as u64) << 8 | (jump as u64) << 16 | (constant as u64) << 32
}

const LOAD_WORD: u8 = 0x61;
const SHIFT_RIGHT: u8 = 0x77;
const AND: u8 = 0x57;
const MOVE: u8 = 0xb7;
const COPY: u8 = 0xbf;
const JUMP_IF_EQUAL: u8 = 0x15;
const JUMP_IF_NOT_EQUAL: u8 = 0x55;
const EXIT: u8 = 0x95;

/// The first argument, a `struct bpf_cgroup_dev_ctx`, is in register 1; the answer goes to register 0. Of two registers the one that is
/// written, or looked at, is the low digit. A jump counts from the instruction behind it.
const PROGRAM: [u64; 19] = [
    instruction(LOAD_WORD, 0x12, 0, 0), // r2 = access_type: the kind in the low half, the access in the high
    instruction(COPY, 0x23, 0, 0),      // r3 = r2
    instruction(SHIFT_RIGHT, 0x03, 0, 16), // r3 = the access
    instruction(AND, 0x03, 0, 1),       // BPF_DEVCG_ACC_MKNOD
    instruction(JUMP_IF_NOT_EQUAL, 0x03, 10, 0), // to make one: no
    instruction(AND, 0x02, 0, 0xffff),  // r2 = the kind
    instruction(JUMP_IF_NOT_EQUAL, 0x02, 8, 2), // other than BPF_DEVCG_DEV_CHAR: no
    instruction(LOAD_WORD, 0x14, 4, 0), // r4 = major
    instruction(JUMP_IF_NOT_EQUAL, 0x04, 6, 1), // other than memory devices: no
    instruction(LOAD_WORD, 0x15, 8, 0), // r5 = minor
    instruction(JUMP_IF_EQUAL, 0x05, 6, 3), // null
    instruction(JUMP_IF_EQUAL, 0x05, 5, 5), // zero
    instruction(JUMP_IF_EQUAL, 0x05, 4, 7), // full
    instruction(JUMP_IF_EQUAL, 0x05, 3, 8), // random
    instruction(JUMP_IF_EQUAL, 0x05, 2, 9), // urandom
    instruction(MOVE, 0x00, 0, 0),      // no
    instruction(EXIT, 0, 0, 0),
    instruction(MOVE, 0x00, 0, 1), // yes
    instruction(EXIT, 0, 0, 0),
];

/// Guards `cgroup`, beside what guards those above it.
///
/// # Errors
/// `ENOSYS`, `EINVAL`: a kernel without such programs. `EPERM`.
pub(crate) fn guard(cgroup: BorrowedFd<'_>) -> Result<(), Errno> {
    let program = bpf::load_device_program(&PROGRAM)?;
    bpf::attach_device_program(cgroup, program.as_fd())
}

/// Is `cgroup` guarded by this very program? The kernel makes a fingerprint of each.
pub(crate) fn is_guarded(cgroup: BorrowedFd<'_>) -> Result<bool, Errno> {
    let wanted = bpf::tag(bpf::load_device_program(&PROGRAM)?.as_fd())?;
    Ok(bpf::device_programs(cgroup)?.contains(&wanted))
}
