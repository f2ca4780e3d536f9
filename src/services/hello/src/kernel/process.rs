//! Processes: this one's rights and limits, and all that can be seen.
//!
//! In:  `/proc/<number>/status`, `uid_map`, `gid_map`, `limits`. Out: what they say, as values.
//!
//! Source: proc_pid_status(5), proc_pid_limits(5), user_namespaces(7).

use std::fs;

use super::{Hidden, Listed, Seen, read, short};

/// What `status` says of a process. `None`: this kernel has no such line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// What it calls itself.
    pub name: String,
    /// One letter and a word: `S (sleeping)`.
    pub state: String,
    /// Its user, as this user namespace counts.
    pub user: Option<u32>,
    /// Its group.
    pub group: Option<u32>,
    /// Further groups.
    pub groups: Vec<u32>,
    /// Resident memory, in KiB.
    pub memory_kib: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
    /// Capability sets, each with its word.
    pub capabilities: [(&'static str, Option<u64>); 5],
    /// It and its children can never gain rights by exec.
    pub no_new_privileges: Option<bool>,
    /// 0: none; 1: strict; 2: filter.
    pub seccomp: Option<u64>,
    /// How many filters.
    pub filters: Option<u64>,
    /// Hardware threads that it may run on: `0-1`.
    pub processors: String,
}

impl Status {
    /// The bits of all capability sets together; `None` where one is not known.
    #[must_use]
    pub fn any_capability(&self) -> Option<u64> {
        self.capabilities.iter().try_fold(0, |all, (_, set)| set.map(|set| all | set))
    }

    /// Does a sandbox stand around it, as far as that can be told from inside: no right, none to be had, calls filtered?
    #[must_use]
    pub fn is_confined(&self) -> bool {
        self.any_capability() == Some(0) && self.no_new_privileges == Some(true) && self.seccomp == Some(2)
    }
}

/// Reads `/proc/<who>/status`.
///
/// # Errors
/// [`Hidden`]: it cannot be seen.
pub fn status(who: &str) -> Seen<Status> {
    read(format!("/proc/{who}/status")).map(|text| parse_status(&text))
}

/// Reads the lines that are known and leaves out the others.
#[must_use]
pub fn parse_status(text: &str) -> Status {
    let value = |key: &str| {
        let its = |line: &'_ str| line.split_once(':').is_some_and(|(name, _)| name == key);
        text.lines()
            .find(|line| its(line))
            .and_then(|line| line.split_once(':'))
            .map(|(_, value)| value.trim())
    };
    let number = |key| value(key)?.split_whitespace().next()?.parse::<u64>().ok();
    let small = |key| number(key).and_then(|number| u32::try_from(number).ok());
    let mask = |key| u64::from_str_radix(value(key)?, 16).ok();
    let groups = value("Groups").unwrap_or_default().split_whitespace();
    Status {
        name: short(value("Name").unwrap_or_default()),
        state: short(value("State").unwrap_or_default()),
        user: small("Uid"),
        group: small("Gid"),
        groups: groups.filter_map(|group| group.parse().ok()).take(super::ROWS).collect(),
        memory_kib: number("VmRSS"),
        threads: number("Threads"),
        capabilities: [
            ("effective", mask("CapEff")),
            ("permitted", mask("CapPrm")),
            ("inheritable", mask("CapInh")),
            ("ambient", mask("CapAmb")),
            ("bounding", mask("CapBnd")),
        ],
        no_new_privileges: number("NoNewPrivs").map(|set| set == 1),
        seccomp: number("Seccomp"),
        filters: number("Seccomp_filters"),
        processors: short(value("Cpus_allowed_list").unwrap_or_default()),
    }
}

/// Every process that `/proc` lists, with its number.
///
/// # Errors
/// [`Hidden`]: there is no `/proc`.
pub fn all() -> Seen<Listed<(u32, Seen<Status>)>> {
    let entries = fs::read_dir("/proc")?;
    let mut numbers: Vec<u32> =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    numbers.sort_unstable();
    let listed = Listed::of(numbers.into_iter());
    let shown = listed.shown.into_iter().map(|number| (number, status(&number.to_string()))).collect();
    Ok(Listed { shown, more: listed.more })
}

/// A range of users or groups: its first number inside, its first number outside, how many.
pub type Range = [u32; 3];

/// Reads `/proc/self/uid_map` or `gid_map`.
///
/// # Errors
/// [`Hidden`]: it cannot be seen.
pub fn id_map(file: &str) -> Seen<Vec<Range>> {
    parse_id_map(&read(format!("/proc/self/{file}"))?)
}

/// Reads an id map.
///
/// # Errors
/// [`Hidden::Unclear`]: a line is not three numbers.
pub fn parse_id_map(text: &str) -> Seen<Vec<Range>> {
    let range = |line: &str| {
        let mut numbers = line.split_whitespace().map(str::parse);
        match (numbers.next(), numbers.next(), numbers.next(), numbers.next()) {
            (Some(Ok(inside)), Some(Ok(outside)), Some(Ok(count)), None) => Ok([inside, outside, count]),
            _ => Err(Hidden::Unclear),
        }
    };
    text.lines().take(super::ROWS).map(range).collect()
}

/// A resource limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// What is limited: `Max open files`.
    pub what: String,
    /// The value in force; `unlimited` is one.
    pub soft: String,
    /// How far it may be raised.
    pub hard: String,
    /// `bytes`, `files`; some have none.
    pub unit: String,
}

/// Reads `/proc/self/limits`.
///
/// # Errors
/// [`Hidden`]: it cannot be seen.
pub fn limits() -> Seen<Vec<Limit>> {
    read("/proc/self/limits").map(|text| parse_limits(&text))
}

/// Reads a table of limits: a heading, then a line for each. The first column has spaces in it, so it ends where two come together.
#[must_use]
pub fn parse_limits(text: &str) -> Vec<Limit> {
    let limit = |line: &str| {
        let (what, rest) = line.split_once("  ")?;
        let mut words = rest.split_whitespace().map(short);
        let (soft, hard) = (words.next()?, words.next()?);
        Some(Limit { what: short(what), soft, hard, unit: words.next().unwrap_or_default() })
    };
    text.lines().skip(1).take(super::ROWS).filter_map(limit).collect()
}

#[cfg(test)]
mod tests {
    use super::{Status, parse_id_map, parse_limits, parse_status};
    use proptest::prelude::{any, proptest};

    #[test]
    fn a_sandboxed_status_is_understood() {
        let status = parse_status(include_str!("../../tests/data/status"));
        assert_eq!((status.name.as_str(), status.state.as_str()), ("hello", "R (running)"));
        assert_eq!((status.user, status.group, status.groups.as_slice()), (Some(0), Some(0), [].as_slice()));
        assert_eq!((status.any_capability(), status.no_new_privileges), (Some(0), Some(true)));
        assert_eq!((status.seccomp, status.filters, status.threads), (Some(2), Some(1), Some(1)));
        assert!(status.memory_kib.is_some_and(|kib| kib > 100) && status.is_confined());
        assert_eq!(status.processors, "0-1");
    }

    #[test]
    fn one_layer_less_is_no_sandbox() {
        let whole = parse_status(include_str!("../../tests/data/status"));
        let capability = [("effective", Some(1)); 5];
        for (what, less) in [
            ("nothing known", Status::default()),
            ("a capability", Status { capabilities: capability, ..whole.clone() }),
            ("a set not known", Status { capabilities: [("effective", None); 5], ..whole.clone() }),
            ("privileges", Status { no_new_privileges: Some(false), ..whole.clone() }),
            ("no filter", Status { seccomp: Some(0), ..whole.clone() }),
        ] {
            assert!(!less.is_confined(), "{what}");
        }
    }

    #[test]
    fn maps_and_limits_are_understood() {
        assert_eq!(parse_id_map(include_str!("../../tests/data/uid_map")), Ok(vec![[0, 1_179_648, 65_536]]));
        assert!(parse_id_map("0 1").is_err() && parse_id_map("0 1 2 3").is_err());
        let limits = parse_limits(include_str!("../../tests/data/limits"));
        assert_eq!(limits.len(), 16);
        let files = limits.iter().find(|limit| limit.what == "Max open files").unwrap();
        assert_eq!([&files.soft, &files.hard, &files.unit], ["32", "32", "files"]);
        let nice = limits.iter().find(|limit| limit.what == "Max nice priority").unwrap();
        assert_eq!([&nice.soft, &nice.hard, &nice.unit], ["0", "0", ""]);
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in any::<String>()) {
            let _ = (parse_status(&text), parse_id_map(&text), parse_limits(&text));
        }
    }
}
