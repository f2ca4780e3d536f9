//! A small assembler for seccomp filters in classic BPF.
//!
//! In:  a policy. Out: instructions.
//!
//! A tree of comparisons over ranges of numbers that have one answer. The kernel remembers for each filter which calls are allowed whatever
//! their arguments (Linux 5.11), so its shape costs nothing while a service works; but to know that it tries every call once when a filter is
//! loaded, and each start of a service waits for it.
//!
//! It runs when this room is built (`build.rs`), in tests and on the desk, never on the gateway.
//!
//! Source: seccomp(2); linux/filter.h, linux/seccomp.h.

use crate::policy::{Condition, Policy, Rule, Test};

/// An instruction: what to do, how far to jump where a condition holds, and where not, the operand.
pub(crate) type Code = (u16, u8, u8, u32);

// linux/bpf_common.h
const LOAD_WORD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_GREATER_OR_EQUAL: u16 = 0x35;
const JUMP_IF_ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;

// struct seccomp_data: number, architecture, instruction pointer (64 bits), six arguments (64 bits each, little-endian here).
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

/// x32 calls have this bit; no call of i386 has such a number.
const FOREIGN_FROM: u32 = 0x4000_0000;
/// A filter has at most so many: BPF_MAXINSNS.
const LENGTH_MAX: usize = 4096;

const EPERM: u16 = 1;
const ENOSYS: u16 = 38;

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
    pub(crate) fn value(self) -> u32 {
        match self {
            Self::Allow => 0x7fff_0000,
            Self::Refuse(errno) => 0x0005_0000 | u32::from(errno),
            Self::Kill => 0x8000_0000,
        }
    }
}

fn load(offset: u32) -> Code {
    (LOAD_WORD, 0, 0, offset)
}

fn answer(action: Action) -> Code {
    (RETURN, 0, 0, action.value())
}

/// Assembles the filter of `policy`. A call of another architecture, or with a number of x32, ends the process; one that no rule names
/// is refused: with `ENOSYS` where it is younger than the table, so that libraries fall back to what they did before, else with `EPERM`.
///
/// # Errors
/// A rule, or all of them, are too long for the kernel.
pub(crate) fn assemble(policy: &Policy) -> Result<Vec<Code>, String> {
    let mut program = vec![
        load(ARCHITECTURE),
        (JUMP_IF_EQUAL, 1, 0, policy.abi.architecture()),
        answer(Action::Kill),
        load(NUMBER),
        (JUMP_IF_GREATER_OR_EQUAL, 0, 1, FOREIGN_FROM),
        answer(Action::Kill),
    ];
    program.extend(tree(&ranges(policy)?));
    if program.len() > LENGTH_MAX {
        return Err(format!("{} instructions, the kernel takes {LENGTH_MAX}", program.len()));
    }
    Ok(program)
}

/// Numbers from here to where the next range begins, and what becomes of them; a body always ends in an answer.
struct Range {
    from: u32,
    body: Vec<Code>,
}

/// All numbers there are, in order; neighbours differ in what becomes of them.
fn ranges(policy: &Policy) -> Result<Vec<Range>, String> {
    let unnamed = |number| answer(Action::Refuse(if number < policy.unknown_from { EPERM } else { ENOSYS }));
    let named = policy.rules.iter().map(|rule| rule.number);
    let mut edges: Vec<u32> =
        named.flat_map(|number| [number, number + 1]).chain([0, policy.unknown_from]).collect();
    edges.sort_unstable();
    edges.dedup();
    let mut ranges: Vec<Range> = Vec::new();
    for from in edges {
        let rule = policy.rules.iter().find(|rule| rule.number == from);
        let body = rule.map_or_else(|| Ok(vec![unnamed(from)]), body)?;
        if ranges.last().is_none_or(|last| last.body != body) {
            ranges.push(Range { from, body });
        }
    }
    Ok(ranges)
}

/// Finds the range of a number in so many steps as there are bits in their count.
fn tree(ranges: &[Range]) -> Vec<Code> {
    let (below, above) = ranges.split_at(ranges.len() / 2);
    let (Some(first), false) = (above.first(), below.is_empty()) else {
        return ranges.iter().flat_map(|range| range.body.clone()).collect();
    };
    let (from, below, above) = (first.from, tree(below), tree(above));
    // A jump with a condition reaches 255 instructions, one without reaches them all.
    let mut code = match u8::try_from(below.len()) {
        Ok(length) => vec![(JUMP_IF_GREATER_OR_EQUAL, length, 0, from)],
        Err(_) => vec![
            (JUMP_IF_GREATER_OR_EQUAL, 0, 1, from),
            (JUMP, 0, 0, u32::try_from(below.len()).unwrap_or(u32::MAX)),
        ],
    };
    code.extend(below.into_iter().chain(above));
    code
}

fn distance(instructions: usize) -> Result<u8, String> {
    u8::try_from(instructions).map_err(|_| format!("a jump over {instructions} instructions"))
}

/// What follows once the number is that of the rule. It always ends in an answer, so the number need not be loaded again.
fn body(rule: &Rule) -> Result<Vec<Code>, String> {
    let mut body = Vec::new();
    for clause in &rule.allowed {
        // From behind, so that each test knows how far it is to the next alternative.
        let mut rest = vec![answer(Action::Allow)];
        for condition in clause.iter().rev() {
            let mut all = test(condition, rest.len())?;
            all.append(&mut rest);
            rest = all;
        }
        body.append(&mut rest);
        if clause.is_empty() {
            return Ok(body);
        }
    }
    body.push(answer(Action::Refuse(rule.error)));
    Ok(body)
}

/// Goes on where the condition holds, else jumps over what follows, `rest` instructions.
fn test(condition: &Condition, rest: usize) -> Result<Vec<Code>, String> {
    let mut code = vec![load(ARGUMENTS + 8 * u32::from(condition.argument))];
    match &condition.test {
        Test::In { mask, values } => {
            if *mask != u32::MAX {
                code.push((AND, 0, 0, *mask));
            }
            for (place, value) in values.iter().enumerate() {
                let left = values.len() - 1 - place;
                let no = if left == 0 { distance(rest)? } else { 0 };
                code.push((JUMP_IF_EQUAL, distance(left)?, no, *value));
            }
        }
        Test::NotIn(values) => {
            for (place, value) in values.iter().enumerate() {
                code.push((JUMP_IF_EQUAL, distance(values.len() - 1 - place + rest)?, 0, *value));
            }
        }
        Test::Lacks(bits) => code.push((JUMP_IF_ANY_BIT, distance(rest)?, 0, *bits)),
    }
    Ok(code)
}

/// Runs `program` on a call as the kernel would.
#[cfg(test)]
pub(crate) fn run(program: &[Code], architecture: u32, number: u32, arguments: [u64; 6]) -> Option<u32> {
    walk(program, architecture, number, arguments).map(|(answer, _)| answer)
}

/// As [`run`], and how many instructions that takes.
#[cfg(test)]
pub(crate) fn walk(
    program: &[Code],
    architecture: u32,
    number: u32,
    arguments: [u64; 6],
) -> Option<(u32, usize)> {
    let word = |offset: u32| match offset {
        NUMBER => Some(number),
        ARCHITECTURE => Some(architecture),
        ARGUMENTS..=63 if offset.is_multiple_of(8) => {
            let index = usize::try_from((offset - ARGUMENTS) / 8).ok()?;
            Some((arguments.get(index)? & 0xffff_ffff) as u32)
        }
        _ => None,
    };
    let (mut place, mut value, mut steps) = (0, 0, 0);
    loop {
        let (code, yes, no, operand) = *program.get(place)?;
        steps += 1;
        let holds = match code {
            LOAD_WORD => {
                value = word(operand)?;
                place += 1;
                continue;
            }
            AND => {
                value &= operand;
                place += 1;
                continue;
            }
            RETURN => return Some((operand, steps)),
            JUMP => {
                place += 1 + usize::try_from(operand).ok()?;
                continue;
            }
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
    use super::{Action, Code, assemble, run};
    use crate::policy::tests::TABLE;
    use crate::policy::{Abi, Policy, read};
    use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};

    /// Calls and words that conditions are made of.
    const CALLS: [&str; 5] = ["read", "socket", "ioctl", "clone", "prctl"];
    const VALUES: [u32; 6] = [0, 1, 2, 0xf, 0x8000_0001, u32::MAX];

    fn word() -> impl Strategy<Value = u32> {
        prop_oneof![prop::sample::select(&VALUES[..]), any::<u32>()]
    }

    fn list() -> impl Strategy<Value = String> {
        prop::collection::vec(word(), 1..8)
            .prop_map(|list| list.iter().map(|value| format!(" {value:#x}")).collect())
    }

    fn condition() -> impl Strategy<Value = String> {
        let test = prop_oneof![
            list().prop_map(|list| format!("in{list}")),
            list().prop_map(|list| format!("not in{list}")),
            word().prop_map(|bits| format!("lacks {bits}")),
            (word(), list()).prop_map(|(bits, list)| format!("masked {bits} in{list}")),
        ];
        (0..6_u8, test).prop_map(|(argument, test)| format!("{argument} {test}"))
    }

    /// Texts that mean something, of every shape.
    fn text() -> impl Strategy<Value = String> {
        let name = prop::sample::select(&CALLS[..]);
        let line = prop_oneof![
            (name.clone(), prop::collection::vec(condition(), 1..4))
                .prop_map(|(name, tests)| format!("allow {name} when {}", tests.join(" and "))),
            name.clone().prop_map(|name| format!("allow {name}")),
            name.clone().prop_map(|name| format!("refuse {name} ENOSYS")),
            name.prop_map(|name| format!("on i386 allow {name} when 0 in 1 else EAFNOSUPPORT")),
        ];
        prop::collection::vec(line, 0..12).prop_map(|lines| lines.join("\n"))
    }

    fn same(policy: &Policy, program: &[Code], number: u32, arguments: [u64; 6]) {
        let architecture = policy.abi.architecture();
        let want = if number >= 0x4000_0000 { Action::Kill } else { policy.answer(number, arguments) };
        assert_eq!(
            run(program, architecture, number, arguments),
            Some(want.value()),
            "{number} {arguments:x?}"
        );
        assert_eq!(run(program, architecture ^ 1, number, arguments), Some(Action::Kill.value()));
    }

    proptest! {
        #[test]
        fn a_filter_does_what_its_text_says(
            text in text(),
            abi in prop_oneof![Just(Abi::I386), Just(Abi::X86_64)],
            other in any::<u32>(),
            arguments in prop::collection::vec(prop_oneof![word().prop_map(u64::from), any::<u64>()], 6),
        ) {
            let policy = read(TABLE, &[("text", &text)], abi).unwrap();
            let program = assemble(&policy).unwrap();
            let arguments = <[u64; 6]>::try_from(arguments).unwrap();
            for number in policy.rules.iter().map(|rule| rule.number).chain([other, other % 500]) {
                same(&policy, &program, number, arguments);
            }
        }
    }

    #[test]
    fn what_is_too_long_is_refused_when_it_is_built() {
        let list = (0..60).map(|value| format!(" {value}")).collect::<String>();
        let all = (0..6).map(|argument| format!("{argument} in{list}")).collect::<Vec<_>>();
        let text = format!("allow read when {}", all.join(" and "));
        assert!(assemble(&read(TABLE, &[("text", &text)], Abi::I386).unwrap()).is_err());
    }
}
