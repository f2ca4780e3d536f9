//! Which devices a service's cgroup lets it open: the five harmless ones, and those of the gateway's that were granted; it makes none.
//!
//! In:  a cgroup, device numbers. Out: a program of the kernel's that guards it; whether that program is there.
//!
//! Not here: which of the gateway's devices those are (`host.rs`).
//!
//! Source: Documentation/admin-guide/cgroup-v2.rst, device controller; linux/bpf.h, `struct bpf_cgroup_dev_ctx`;
//! Documentation/bpf/standardization/instruction-set.rst.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

use heapless::Vec;
use sys::{Errno, bpf};

use crate::host::DEVICES_MAX;

/// A device's major and minor number.
pub(crate) type Number = (u32, u32);

/// `null`, `zero`, `full`, `random`, `urandom`. Source: Documentation/admin-guide/devices.txt.
pub(crate) const HARMLESS: [Number; 5] = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9)];

/// An instruction: code, two registers, a jump forward or the place of a word, a constant.
const fn instruction(code: u8, registers: u8, jump: u8, constant: u32) -> u64 {
    code as u64 | (registers as u64) << 8 | (jump as u64) << 16 | (constant as u64) << 32
}

const LOAD_WORD: u8 = 0x61;
const SHIFT_RIGHT: u8 = 0x77;
const AND: u8 = 0x57;
const MOVE: u8 = 0xb7;
const COPY: u8 = 0xbf;
const JUMP_IF_NOT_EQUAL: u8 = 0x55;
const EXIT: u8 = 0x95;

/// So many instructions, at most.
const LENGTH_MAX: usize = 9 + 4 * (HARMLESS.len() + DEVICES_MAX) + 2;

/// The program that lets the harmless devices and `more` be opened, and none be made.
///
/// The first argument, a `struct bpf_cgroup_dev_ctx`, is in register 1; the answer goes to register 0. Of two registers the one that is
/// written, or looked at, is the low digit. A jump counts from the instruction behind it.
fn program(more: &[Number]) -> Vec<u64, LENGTH_MAX> {
    let more = more.iter().take(DEVICES_MAX);
    let devices: Vec<Number, { HARMLESS.len() + DEVICES_MAX }> =
        HARMLESS.iter().chain(more).copied().collect();
    // Each is four instructions long: at most 40 altogether.
    let all = u8::try_from(4 * devices.len()).unwrap_or(u8::MAX);
    let begin = [
        instruction(LOAD_WORD, 0x12, 0, 0), // r2 = access_type: the kind in the low half, the access in the high
        instruction(COPY, 0x23, 0, 0),      // r3 = r2
        instruction(SHIFT_RIGHT, 0x03, 0, 16), // r3 = the access
        instruction(AND, 0x03, 0, 1),       // BPF_DEVCG_ACC_MKNOD
        instruction(JUMP_IF_NOT_EQUAL, 0x03, all + 4, 0), // to make one: no
        instruction(AND, 0x02, 0, 0xffff),  // r2 = the kind
        instruction(JUMP_IF_NOT_EQUAL, 0x02, all + 2, 2), // other than BPF_DEVCG_DEV_CHAR: no
        instruction(LOAD_WORD, 0x14, 4, 0), // r4 = major
        instruction(LOAD_WORD, 0x15, 8, 0), // r5 = minor
    ];
    let one = |(major, minor): Number| {
        [
            instruction(JUMP_IF_NOT_EQUAL, 0x04, 3, major), // to the next one
            instruction(JUMP_IF_NOT_EQUAL, 0x05, 2, minor), // to the next one
            instruction(MOVE, 0x00, 0, 1),                  // yes
            instruction(EXIT, 0, 0, 0),
        ]
    };
    let no = [instruction(MOVE, 0x00, 0, 0), instruction(EXIT, 0, 0, 0)];
    begin.into_iter().chain(devices.into_iter().flat_map(one)).chain(no).collect()
}

/// What guards a service without a device of the gateway's, as nearly all are. It is loaded once: the kernel checks and translates a program
/// whenever it is loaded, and a start would wait for that twice.
static USUAL: OnceLock<OwnedFd> = OnceLock::new();

/// Does something with the program that lets `more` pass.
fn with_program<T>(
    more: &[Number],
    act: impl FnOnce(BorrowedFd<'_>) -> Result<T, Errno>,
) -> Result<T, Errno> {
    let load = || bpf::load_device_program(&program(more));
    if !more.is_empty() {
        return act(load()?.as_fd());
    }
    let usual = match USUAL.get() {
        Some(usual) => usual,
        None => {
            let loaded = load()?;
            USUAL.get_or_init(|| loaded)
        }
    };
    act(usual.as_fd())
}

/// Guards `cgroup`, beside what guards those above it: of the gateway's devices it lets `more` pass.
///
/// # Errors
/// `ENOSYS`, `EINVAL`: a kernel without such programs. `EPERM`.
pub(crate) fn guard(cgroup: BorrowedFd<'_>, more: &[Number]) -> Result<(), Errno> {
    with_program(more, |program| bpf::attach_device_program(cgroup, program))
}

/// Is `cgroup` guarded by this very program? The kernel makes a fingerprint of each.
pub(crate) fn is_guarded(cgroup: BorrowedFd<'_>, more: &[Number]) -> Result<bool, Errno> {
    let wanted = with_program(more, bpf::tag)?;
    Ok(bpf::device_programs(cgroup)?.contains(&wanted))
}

#[cfg(test)]
mod tests {
    use super::{AND, COPY, EXIT, JUMP_IF_NOT_EQUAL, LOAD_WORD, MOVE, Number, SHIFT_RIGHT, program};

    /// Runs it as the kernel does, for access (1 to make, 2 to read, 4 to write), kind (1: block, 2: character) and number.
    fn run(code: &[u64], access: u32, kind: u32, (major, minor): Number) -> u32 {
        let (context, mut registers, mut place) = ([access << 16 | kind, major, minor], [0_u32; 16], 0);
        loop {
            let [code, pair, jump, high, constant @ ..] = code[place].to_le_bytes();
            assert_eq!(high, 0);
            let (to, from, constant) =
                (usize::from(pair & 15), usize::from(pair >> 4), u32::from_le_bytes(constant));
            place += 1;
            match code {
                LOAD_WORD => registers[to] = context[usize::from(jump) / 4],
                COPY => registers[to] = registers[from],
                SHIFT_RIGHT => registers[to] >>= constant,
                AND => registers[to] &= constant,
                MOVE => registers[to] = constant,
                JUMP_IF_NOT_EQUAL if registers[to] != constant => place += usize::from(jump),
                JUMP_IF_NOT_EQUAL => {}
                EXIT => return registers[0],
                other => panic!("{other:#x}"),
            }
        }
    }

    #[test]
    fn what_was_granted_passes_and_nothing_else() {
        let granted = [(188, 0), (81, 3)];
        for (what, access, kind, number, want) in [
            ("null", 6, 2, (1, 3), [1, 1]),
            ("urandom", 2, 2, (1, 9), [1, 1]),
            ("the machine's memory", 2, 2, (1, 1), [0, 0]),
            ("a block device of that number", 2, 1, (1, 3), [0, 0]),
            ("making it", 1, 2, (1, 3), [0, 0]),
            ("a serial line", 6, 2, (188, 0), [0, 1]),
            ("another one", 6, 2, (188, 1), [0, 0]),
            ("a camera", 2, 2, (81, 3), [0, 1]),
            ("a camera that is made", 7, 2, (81, 3), [0, 0]),
            ("a disk of a camera's number", 2, 1, (81, 3), [0, 0]),
            ("major and minor of two", 2, 2, (188, 3), [0, 0]),
            ("the console", 6, 2, (5, 1), [0, 0]),
        ] {
            let found =
                [run(&program(&[]), access, kind, number), run(&program(&granted), access, kind, number)];
            assert_eq!(found, want, "{what}");
        }
    }
}
