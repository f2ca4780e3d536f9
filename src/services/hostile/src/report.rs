//! What a service can say of its own sandbox, from inside and with nobody's help, as `amicontained` does for containers.
//!
//! In:  `/proc/self`, every system call once. Out: lines that are the same in every life on one kernel.
//!
//! Each call is made with nothing in its arguments, in a process of its own that may end, hang or crash by it. What counts is the first
//! answer: EPERM and ENOSYS are refusals, whatever refused; anything else means that the kernel has looked at the arguments.
//!
//! Source: proc_pid_status(5), proc_pid_mountinfo(5); syscalls(2).

use std::fmt::Write as _;
use std::fs;

use nix::errno::Errno;

use crate::call;

/// Calls that are tried: the last one of Linux 6.12 on i386 is 466.
const CALLS: libc::c_long = 470;
/// What the kernel says of the rights of a process.
const RIGHTS: [&str; 8] =
    ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters"];

/// The report.
#[must_use]
pub fn report() -> String {
    let mut text = String::new();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    for line in status.lines().filter(|line| RIGHTS.iter().any(|key| line.starts_with(&format!("{key}:")))) {
        let _ = writeln!(text, "{}", line.replace(":\t", " "));
    }
    for file in ["uid_map", "gid_map", "setgroups"] {
        let said = fs::read_to_string(format!("/proc/self/{file}")).unwrap_or_default();
        let mut words: Vec<&str> = said.split_whitespace().collect();
        if let [_, outside, _] = words.as_mut_slice() {
            *outside = "*"; // Its slot's.
        }
        let _ = writeln!(text, "{file} {}", words.join(" "));
    }
    for line in fs::read_to_string("/proc/self/mountinfo").unwrap_or_default().lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let kind = words.iter().skip_while(|word| **word != "-").nth(1).unwrap_or(&"");
        let [place, options] = [4, 5].map(|at| words.get(at).copied().unwrap_or_default());
        let _ = writeln!(text, "mount {place} {kind} {options}");
    }
    let answers: Vec<_> = (0..CALLS).map(|number| (number, call::probe(number))).collect();
    for (word, errno) in [("refused", Some(Errno::EPERM)), ("absent", Some(Errno::ENOSYS)), ("heard", None)] {
        let of = answers.iter().filter(|(_, answer)| *answer == errno).map(|(number, _)| *number);
        let _ = writeln!(text, "calls {word} {}", runs(of));
    }
    text
}

/// Numbers as `1-3,7`.
fn runs(numbers: impl Iterator<Item = libc::c_long>) -> String {
    let mut found: Vec<(libc::c_long, libc::c_long)> = Vec::new();
    for number in numbers {
        match found.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => found.push((number, number)),
        }
    }
    let word = |(first, last): &(libc::c_long, libc::c_long)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    found.iter().map(word).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    #[test]
    fn neighbours_are_one_run() {
        let table: [(&[libc::c_long], &str); 3] =
            [(&[], ""), (&[4], "4"), (&[1, 2, 3, 7, 9, 10], "1-3,7,9-10")];
        for (numbers, text) in table {
            assert_eq!(super::runs(numbers.iter().copied()), text);
        }
    }
}
