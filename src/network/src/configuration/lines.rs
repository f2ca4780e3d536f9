//! Where in a text something is wrong, in one line. Pure.
//!
//! In:  a text, the parser's words. Out: line, key, reason.
//!
//! The parser of TOML names a line itself; a rule (`contract::wanted`) names a key, which is looked for here.

use contract::wanted::Error;

/// Says what is wrong.
#[must_use]
pub(super) fn one_line(text: &str, error: &Error) -> String {
    match error {
        Error::Rule { what, why, .. } => match line_of(text, why) {
            Some(line) => format!("{what}: line {line}: {why}"),
            None => format!("{what}: {why}"),
        },
        Error::TooLarge { .. } | Error::Text { .. } => plain(&error.to_string()),
    }
}

/// The parser's words without its drawing: where, and what.
fn plain(words: &str) -> String {
    let drawn = |line: &&str| line.trim_start().starts_with('|') || line.split_once(" | ").is_some();
    let lines: Vec<&str> = words.lines().filter(|line| !drawn(line) && !line.trim().is_empty()).collect();
    lines.join(": ")
}

/// The line of the key that `why` begins with, such as `lan.dhcp.lease_s: at least 120`; or of the nearest table around it.
fn line_of(text: &str, why: &str) -> Option<usize> {
    let key = why.split([':', ' ']).next()?;
    let path: Vec<&str> = key.split('.').collect();
    let mut table: Vec<&str> = Vec::new();
    let mut best = (0, None);
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if let Some(head) = line.strip_prefix('[') {
            let head = head.trim_start_matches('[').split(']').next().unwrap_or_default();
            table = head.split('.').map(str::trim).collect();
            best = better(best, depth(&path, &table), number);
        } else if let Some((name, _)) = line.split_once('=') {
            let full: Vec<&str> = table.iter().copied().chain(name.split('.').map(str::trim)).collect();
            best = better(best, depth(&path, &full), number);
        }
    }
    best.1
}

/// How many parts of `path` are `found`'s; none where `found` leads elsewhere.
fn depth(path: &[&str], found: &[&str]) -> usize {
    let same = path.iter().zip(found).take_while(|(a, b)| a == b).count();
    if same == found.len() { same } else { 0 }
}

fn better(best: (usize, Option<usize>), depth: usize, line: usize) -> (usize, Option<usize>) {
    if depth > best.0 { (depth, Some(line)) } else { best }
}

#[cfg(test)]
mod tests {
    use super::line_of;

    #[test]
    fn a_key_is_found_or_what_is_around_it() {
        let text =
            "[wan]\nlink = \"eth0\"\n\n[lan]\nbridge = \"br\"\ndhcp = { first = 1 }\n[[forward]]\nport = 1\n";
        let table = [
            ("lan.bridge: a name", Some(5)),
            ("lan.dhcp.lease_s: at least 120", Some(6)),
            ("lan.domain: labels", Some(4)),
            ("forward.port: two lead elsewhere", Some(8)),
            ("vlan: each play has its own", None),
            ("qos: rates", None),
        ];
        for (why, line) in table {
            assert_eq!(line_of(text, why), line, "{why}");
        }
    }
}
