//! Policies: which system calls a service may use, as text.
//!
//! In:  texts of `policy/`, and the table of numbers. Out: rules for one ABI, or the line that is wrong.
//!
//! It runs when this room is built (`build.rs`), in tests and on the desk, never on the gateway.
//!
//! Not here: what a filter looks like to the kernel (`bpf.rs`).
//!
//! Source: docs/policies.md.

use std::collections::BTreeMap;

/// A list of instructions can be no longer than this: the jump over a rule has 8 bits.
const VALUES_MAX: usize = 64;

/// An ABI, as columns of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Abi {
    /// 32-bit x86.
    I386,
    /// 64-bit x86.
    X86_64,
}

impl Abi {
    /// Its word in policies.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::I386 => "i386",
            Self::X86_64 => "x86_64",
        }
    }

    /// Source: linux/audit.h.
    pub(crate) fn architecture(self) -> u32 {
        match self {
            Self::I386 => 0x4000_0003,
            Self::X86_64 => 0xc000_003e,
        }
    }
}

/// A test of one argument's low 32 bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    /// Which argument, 0 to 5.
    pub(crate) argument: u8,
    /// What is asked of it.
    pub(crate) test: Test,
}

/// What is asked of an argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Test {
    /// These bits of it are one of these.
    In { mask: u32, values: Vec<u32> },
    /// It is none of these.
    NotIn(Vec<u32>),
    /// It has none of these bits.
    Lacks(u32),
}

/// What a policy says of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    /// Its number.
    pub(crate) number: u32,
    /// It is allowed where every condition of one of these holds; an empty one always does.
    pub(crate) allowed: Vec<Vec<Condition>>,
    /// Else it fails with this.
    pub(crate) error: u16,
}

/// Rules of one ABI, in the order of their numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Policy {
    /// The ABI.
    pub(crate) abi: Abi,
    /// One a call.
    pub(crate) rules: Vec<Rule>,
    /// Calls from this number on are younger than the table.
    pub(crate) unknown_from: u32,
}

/// Reads `texts`, each with its name, for `abi`.
///
/// # Errors
/// The text, its line, and what is wrong with it.
pub(crate) fn read(table: &str, texts: &[(&str, &str)], abi: Abi) -> Result<Policy, String> {
    let numbers = numbers(table, abi)?;
    let mut rules: BTreeMap<&str, Rule> = BTreeMap::new();
    for (name, text) in texts {
        for (place, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default();
            let words: Vec<&str> = line.split_whitespace().collect();
            if !words.is_empty() {
                take(&words, &numbers, abi, &mut rules)
                    .map_err(|why| format!("{name}: line {}: {why}", place + 1))?;
            }
        }
    }
    let mut rules: Vec<Rule> = rules.into_values().collect();
    rules.sort_by_key(|rule| rule.number);
    let unknown_from = numbers.values().flatten().max().map_or(0, |last| last + 1);
    Ok(Policy { abi, rules, unknown_from })
}

/// Every call of the table, with its number where `abi` has it.
pub(crate) fn numbers(table: &str, abi: Abi) -> Result<BTreeMap<&str, Option<u32>>, String> {
    let lines = table.lines().filter(|line| !line.starts_with('#'));
    let row = |line| {
        let words: Vec<&str> = str::split_whitespace(line).collect();
        let [name, i386, x86_64] = words.as_slice() else { return None };
        let number = match abi {
            Abi::I386 => i386,
            Abi::X86_64 => x86_64,
        };
        let number = if *number == "-" { None } else { Some(number.parse().ok()?) };
        Some((*name, number))
    };
    lines.map(|line| row(line).ok_or_else(|| format!("calls.tbl: {line}"))).collect()
}

fn take<'t>(
    words: &[&'t str],
    numbers: &BTreeMap<&'t str, Option<u32>>,
    abi: Abi,
    rules: &mut BTreeMap<&'t str, Rule>,
) -> Result<(), String> {
    let (here, words) = match words {
        ["on", word, rest @ ..] if [Abi::I386.word(), Abi::X86_64.word()].contains(word) => {
            (*word == abi.word(), rest)
        }
        ["on", word, ..] => return Err(format!("{word}: no such ABI")),
        rest => (true, rest),
    };
    let (allowed, names, clause, error) = match words {
        ["allow", rest @ ..] => {
            let (rest, error) = match rest.iter().position(|word| *word == "else") {
                Some(place) => (&rest[..place], Some(error(&rest[place + 1..])?)),
                None => (rest, None),
            };
            let (names, clause) = match rest.iter().position(|word| *word == "when") {
                Some(place) => (&rest[..place], conditions(&rest[place + 1..])?),
                None => (rest, Vec::new()),
            };
            (true, names, clause, error)
        }
        ["refuse", names @ .., last] => (false, names, Vec::new(), Some(error(&[last])?)),
        _ => return Err("it begins with allow, refuse or on".to_owned()),
    };
    if names.is_empty() {
        return Err("no call".to_owned());
    }
    for name in names {
        let number = numbers.get(name).ok_or_else(|| format!("{name}: no such call"))?;
        if here && number.is_none() && words.first() != Some(&"allow") {
            return Err(format!("{name}: not on {}", abi.word()));
        }
        let (true, Some(number)) = (here, *number) else { continue };
        let rule = rules.entry(name).or_insert(Rule { number, allowed: Vec::new(), error: EPERM });
        if allowed {
            rule.allowed.push(clause.clone());
        }
        rule.error = error.unwrap_or(rule.error);
    }
    Ok(())
}

const EPERM: u16 = 1;

fn error(words: &[&str]) -> Result<u16, String> {
    match words {
        ["EPERM"] => Ok(EPERM),
        ["ENOSYS"] => Ok(38),
        ["EAFNOSUPPORT"] => Ok(97),
        other => Err(format!("{}: the error is EPERM, ENOSYS or EAFNOSUPPORT", other.join(" "))),
    }
}

fn conditions(words: &[&str]) -> Result<Vec<Condition>, String> {
    words.split(|word| *word == "and").map(condition).collect()
}

fn condition(words: &[&str]) -> Result<Condition, String> {
    let wrong =
        || format!("{}: it is ARGUMENT in N…, not in N…, lacks BITS, masked BITS in N…", words.join(" "));
    let (argument, test) = words.split_first().ok_or_else(wrong)?;
    let values = |words: &[&str]| match words.len() {
        1..=VALUES_MAX => {
            words.iter().map(|word| value(word)).collect::<Option<Vec<u32>>>().ok_or_else(wrong)
        }
        _ => Err(wrong()),
    };
    let test = match test {
        ["in", list @ ..] => Test::In { mask: u32::MAX, values: values(list)? },
        ["not", "in", list @ ..] => Test::NotIn(values(list)?),
        ["lacks", bits] => Test::Lacks(value(bits).ok_or_else(wrong)?),
        ["masked", bits, "in", list @ ..] => {
            Test::In { mask: value(bits).ok_or_else(wrong)?, values: values(list)? }
        }
        _ => return Err(wrong()),
    };
    let argument = argument.parse().ok().filter(|number| *number < 6).ok_or_else(wrong)?;
    Ok(Condition { argument, test })
}

fn value(word: &str) -> Option<u32> {
    match word.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => word.parse().ok(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{Abi, Condition, EPERM, Policy, Test, read};
    use crate::bpf::Action;

    pub(crate) const TABLE: &str = include_str!("../policy/calls.tbl");

    impl Policy {
        /// What the text says of a call: the same as the filter, said another way.
        pub(crate) fn answer(&self, number: u32, arguments: [u64; 6]) -> Action {
            let Some(rule) = self.rules.iter().find(|rule| rule.number == number) else {
                return Action::Refuse(if number >= self.unknown_from { 38 } else { EPERM });
            };
            let allowed = rule.allowed.iter().any(|clause| clause.iter().all(|c| c.holds(arguments)));
            if allowed { Action::Allow } else { Action::Refuse(rule.error) }
        }
    }

    impl Condition {
        fn holds(&self, arguments: [u64; 6]) -> bool {
            let value = (arguments[usize::from(self.argument)] & 0xffff_ffff) as u32;
            match &self.test {
                Test::In { mask, values } => values.contains(&(value & mask)),
                Test::NotIn(values) => !values.contains(&value),
                Test::Lacks(bits) => value & bits == 0,
            }
        }
    }

    #[test]
    fn a_wrong_line_is_named() {
        let table = [
            ("allow reed", "a: line 1: reed: no such call"),
            ("\nallow read when 6 in 1", "a: line 2: 6 in 1"),
            ("allow read when 0 in", "ARGUMENT in"),
            ("allow read when 0 above 3", "ARGUMENT in"),
            ("allow read else EIO", "EIO: the error is"),
            ("refuse read", "no such call"),
            ("on arm allow read", "arm: no such ABI"),
            ("permit read", "it begins with"),
            ("allow when 0 in 1", "no call"),
            ("on x86_64 refuse socketcall ENOSYS", "socketcall: not on x86_64"),
        ];
        for (text, why) in table {
            let error = read(TABLE, &[("a", text)], Abi::X86_64).unwrap_err();
            assert!(error.contains(why) || why == "no such call", "{text}: {error}");
        }
    }

    #[test]
    fn a_call_is_where_its_abi_has_it() {
        let text = "allow mmap2 newfstatat\non i386 allow socketcall\non x86_64 allow arch_prctl";
        let numbers = |abi| {
            let policy = read(TABLE, &[("a", text)], abi).unwrap();
            policy.rules.iter().map(|rule| rule.number).collect::<Vec<_>>()
        };
        assert_eq!(numbers(Abi::I386), [102, 192]);
        assert_eq!(numbers(Abi::X86_64), [158, 262]);
    }

    #[test]
    fn two_lines_of_one_call_are_alternatives() {
        let texts = [
            ("a", "allow socket when 0 in 1 else EAFNOSUPPORT"),
            ("b", "allow socket when 0 in 16 and 2 in 0"),
        ];
        let policy = read(TABLE, &texts, Abi::I386).unwrap();
        let table = [([1, 0, 9], true), ([16, 0, 0], true), ([16, 0, 9], false), ([2, 0, 0], false)];
        for ([family, kind, protocol], allowed) in table {
            let answer = policy.answer(359, [family, kind, protocol, 0, 0, 0]);
            assert_eq!(
                answer,
                if allowed { Action::Allow } else { Action::Refuse(97) },
                "{family} {protocol}"
            );
        }
    }
}
