//! The resource group: what of its limits can be seen from inside.
//!
//! In:  `/proc/self/cgroup`, files below `/sys/fs/cgroup`. Out: their text, or why not.
//!
//! A sandbox need not mount that file system. Then the limits hold all the same, and nobody inside can tell how high they are.
//!
//! Source: Documentation/admin-guide/cgroup-v2.rst.

use super::{Hidden, Seen, read, short};

/// What is asked for, with its word.
const FILES: [(&str, &str); 6] = [
    ("memory.max", "Memory, at most"),
    ("memory.current", "Memory now"),
    ("pids.max", "Processes, at most"),
    ("pids.current", "Processes now"),
    ("cpu.max", "Processor time, at most"),
    ("cpu.weight", "Processor share among others"),
];

/// The resource group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroup {
    /// Where it is in the tree, as seen from here.
    pub path: Seen<String>,
    /// File, word, what it says.
    pub files: Vec<(&'static str, &'static str, Seen<String>)>,
}

impl Cgroup {
    /// Why none of its files can be seen; `None` where one can.
    #[must_use]
    pub fn hidden(&self) -> Option<Hidden> {
        let first = self.files.first().and_then(|(_, _, says)| says.as_ref().err().copied());
        first.filter(|_| self.files.iter().all(|(_, _, says)| says.is_err()))
    }
}

/// Looks.
#[must_use]
pub fn look() -> Cgroup {
    let path = read("/proc/self/cgroup").and_then(|text| parse(&text));
    let folder = path.as_deref().unwrap_or("/").trim_end_matches('/').to_owned();
    let say = |file| read(format!("/sys/fs/cgroup{folder}/{file}")).map(|says| short(&says));
    Cgroup { path, files: FILES.into_iter().map(|(file, word)| (file, word, say(file))).collect() }
}

/// Reads `cgroup`: of the one hierarchy of version 2, the path.
///
/// # Errors
/// [`Hidden::Unclear`]: there is no such line.
pub fn parse(text: &str) -> Seen<String> {
    text.lines().find_map(|line| line.strip_prefix("0::")).map(short).ok_or(Hidden::Unclear)
}

#[cfg(test)]
mod tests {
    use super::{Cgroup, parse};
    use crate::kernel::Hidden;

    #[test]
    fn the_path_is_that_of_version_2() {
        for (what, text, want) in [
            ("own namespace", include_str!("../../tests/data/cgroup"), Ok("/".to_owned())),
            ("both versions", "2:cpu:/x\n0::/slices/demo\n", Ok("/slices/demo".to_owned())),
            ("version 1 only", "2:cpu:/x\n", Err(Hidden::Unclear)),
        ] {
            assert_eq!(parse(text), want, "{what}");
        }
    }

    #[test]
    fn one_file_that_can_be_seen_is_enough() {
        let (seen, not) = (Ok("1".to_owned()), Err(Hidden::Unclear));
        let cgroup = |one, other| Cgroup {
            path: Ok("/".to_owned()),
            files: vec![("memory.max", "", one), ("pids.max", "", other)],
        };
        assert_eq!(cgroup(not.clone(), not.clone()).hidden(), Some(Hidden::Unclear));
        assert_eq!(cgroup(not, seen).hidden(), None);
    }
}
