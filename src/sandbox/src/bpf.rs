//! A small assembler for seccomp filters in classic BPF.
//!
//! In:  rules, one for a system call. Out: instructions.
//!
//! Linear: compare, answer, next. The kernel remembers for each filter which calls are allowed whatever their arguments (Linux 5.11),
//! so the length of the list costs nothing at run time.
//!
//! Source: seccomp(2); linux/filter.h, linux/seccomp.h, linux/audit.h.

use sys::privilege::Instruction;

// linux/bpf_common.h
const LOAD_WORD: u16 = 0x20;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_GREATER_OR_EQUAL: u16 = 0x35;
const JUMP_IF_ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;

// struct seccomp_data: number, architecture, instruction pointer (64 bits), six arguments (64 bits each, little-endian here).
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

/// What a filter answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Go on.
    Allow,
    /// The call fails with this error number.
    Refuse(u16),
    /// The process ends.
    Kill,
}

impl Action {
    fn value(self) -> u32 {
        match self {
            Self::Allow => 0x7fff_0000,
            Self::Refuse(errno) => 0x0005_0000 | u32::from(errno),
            Self::Kill => 0x8000_0000,
        }
    }
}

/// When a call is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// Always.
    Always,
    /// Never: it is refused with this error number.
    Never(u16),
    /// When this argument (its low word) is one of these; else it is refused with this error number.
    OneOf(u8, &'static [u32], u16),
    /// When this argument (its low word) is none of these; else `EPERM`.
    NoneOf(u8, &'static [u32]),
    /// When this argument (its low word) has none of these bits; else `EPERM`.
    NoBit(u8, u32),
}

/// A rule for one system call.
pub(crate) type Rule = (libc::c_long, When);

const EPERM: u16 = 1;

fn jump(code: u16, operand: u32, yes: u8, no: u8) -> Instruction {
    Instruction { code, yes, no, operand }
}

fn load(offset: u32) -> Instruction {
    jump(LOAD_WORD, offset, 0, 0)
}

fn answer(action: Action) -> Instruction {
    jump(RETURN, action.value(), 0, 0)
}

/// Assembles a filter for calls of `architecture` (an `AUDIT_ARCH_` number). A call of another architecture, or with a number from
/// `foreign_from` on (x32), ends the process; one that no rule names is refused: with `ENOSYS` from `unknown_from` on, so that
/// libraries fall back to what they did before a call existed, else with `EPERM`.
#[must_use]
pub(crate) fn assemble(
    architecture: u32,
    foreign_from: u32,
    unknown_from: u32,
    rules: &[Rule],
) -> Vec<Instruction> {
    const ENOSYS: u16 = 38;
    let mut program = vec![
        load(ARCHITECTURE),
        jump(JUMP_IF_EQUAL, architecture, 1, 0),
        answer(Action::Kill),
        load(NUMBER),
        jump(JUMP_IF_GREATER_OR_EQUAL, foreign_from, 0, 1),
        answer(Action::Kill),
    ];
    for (number, when) in rules {
        let Ok(number) = u32::try_from(*number) else { continue }; // No system call has such a number.
        let body = body(*when);
        // A body is at most a dozen instructions, so the jump over it fits.
        let over = u8::try_from(body.len()).unwrap_or(u8::MAX);
        program.push(jump(JUMP_IF_EQUAL, number, 0, over));
        program.extend(body);
    }
    program.push(jump(JUMP_IF_GREATER_OR_EQUAL, unknown_from, 0, 1));
    program.push(answer(Action::Refuse(ENOSYS)));
    program.push(answer(Action::Refuse(EPERM)));
    program
}

/// What follows once the number is that of the rule. It always ends in an answer, so the number need not be loaded again.
fn body(when: When) -> Vec<Instruction> {
    let argument = |index: u8| load(ARGUMENTS + 8 * u32::from(index));
    let to_the_end = |place: usize, count: usize| u8::try_from(count - place).unwrap_or(u8::MAX);
    match when {
        When::Always => vec![answer(Action::Allow)],
        When::Never(errno) => vec![answer(Action::Refuse(errno))],
        When::NoBit(index, bits) => vec![
            argument(index),
            jump(JUMP_IF_ANY_BIT, bits, 1, 0),
            answer(Action::Allow),
            answer(Action::Refuse(EPERM)),
        ],
        When::OneOf(index, values, errno) => {
            let mut body = vec![argument(index)];
            for (place, value) in values.iter().enumerate() {
                body.push(jump(JUMP_IF_EQUAL, *value, to_the_end(place, values.len()), 0));
            }
            body.push(answer(Action::Refuse(errno)));
            body.push(answer(Action::Allow));
            body
        }
        When::NoneOf(index, values) => {
            let mut body = vec![argument(index)];
            for (place, value) in values.iter().enumerate() {
                body.push(jump(JUMP_IF_EQUAL, *value, to_the_end(place, values.len()), 0));
            }
            body.push(answer(Action::Allow));
            body.push(answer(Action::Refuse(EPERM)));
            body
        }
    }
}

/// Runs `program` on a call as the kernel would: for tests.
#[cfg(test)]
pub(crate) fn run(
    program: &[Instruction],
    architecture: u32,
    number: u32,
    arguments: [u64; 6],
) -> Option<u32> {
    let word = |offset: u32| match offset {
        NUMBER => Some(number),
        ARCHITECTURE => Some(architecture),
        ARGUMENTS..=63 if offset.is_multiple_of(8) => {
            let index = usize::try_from((offset - ARGUMENTS) / 8).ok()?;
            Some((arguments.get(index)? & 0xffff_ffff) as u32)
        }
        _ => None,
    };
    let (mut place, mut value) = (0, 0);
    loop {
        let Instruction { code, yes, no, operand } = *program.get(place)?;
        let holds = match code {
            LOAD_WORD => {
                value = word(operand)?;
                place += 1;
                continue;
            }
            RETURN => return Some(operand),
            JUMP_IF_EQUAL => value == operand,
            JUMP_IF_GREATER_OR_EQUAL => value >= operand,
            JUMP_IF_ANY_BIT => value & operand != 0,
            _ => return None,
        };
        place += 1 + usize::from(if holds { yes } else { no });
    }
}

#[cfg(test)]
mod tests {
    use super::{Action, When, assemble, run};

    const ARCHITECTURE: u32 = 0x4000_0003;

    #[test]
    fn each_rule_answers_as_it_says() {
        let rules = [
            (3, When::Always),
            (56, When::NoBit(0, 0x1000_0000)),
            (102, When::Never(38)),
            (359, When::OneOf(0, &[1, 2, 10], 97)),
            (54, When::NoneOf(1, &[0x5412, 0x541c])),
        ];
        let program = assemble(ARCHITECTURE, 0x4000_0000, 463, &rules);
        let allow = Action::Allow;
        let table: &[(&str, u32, u32, [u64; 2], Action)] = &[
            ("allowed", ARCHITECTURE, 3, [0, 0], allow),
            ("other architecture", 0xc000_003e, 3, [0, 0], Action::Kill),
            ("x32", ARCHITECTURE, 0x4000_0003, [0, 0], Action::Kill),
            ("not named", ARCHITECTURE, 4, [0, 0], Action::Refuse(1)),
            ("not known yet", ARCHITECTURE, 463, [0, 0], Action::Refuse(38)),
            ("no bit", ARCHITECTURE, 56, [0x11, 0], allow),
            ("a bit", ARCHITECTURE, 56, [0x1000_0011, 0], Action::Refuse(1)),
            ("high word does not count", ARCHITECTURE, 56, [1 << 60, 0], allow),
            ("never", ARCHITECTURE, 102, [1, 0], Action::Refuse(38)),
            ("first of three", ARCHITECTURE, 359, [1, 0], allow),
            ("last of three", ARCHITECTURE, 359, [10, 0], allow),
            ("none of three", ARCHITECTURE, 359, [17, 0], Action::Refuse(97)),
            ("forbidden request", ARCHITECTURE, 54, [0, 0x5412], Action::Refuse(1)),
            ("other request", ARCHITECTURE, 54, [0, 0x5401], allow),
        ];
        for (what, architecture, number, [first, second], action) in table {
            let answer = run(&program, *architecture, *number, [*first, *second, 0, 0, 0, 0]);
            assert_eq!(answer, Some(action.value()), "{what}");
        }
    }
}
