//! `docs/usp-conformance.md` is made of the list of requirements (`data/requirements.txt`) and of what tests say that they show: above a test
//! stands `Shows R-GET.0, R-GET.1.`
//!
//! `UPDATE=1 cargo test -p agent --test conformance` writes the page; `make report` prints how many.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

const LIST: &str = include_str!("data/requirements.txt");
/// Rooms whose tests show requirements.
const ROOMS: [&str; 9] = [
    "src/agent",
    "src/identity",
    "src/lease",
    "src/mqtt",
    "src/package",
    "src/shg",
    "src/trust",
    "src/usp",
    "tests",
];
const HEAD: &str = "# USP: requirement, test, result\n\n\
    Requirements are those of TR-369 1.4.1, in our words where we have some. This page is made by a test (`UPDATE=1 cargo test -p agent --test\n\
    conformance`) of `src/agent/tests/data/requirements.txt` and of what tests say above themselves. *passes*: the tests in the row show it, and\n\
    `make test` runs them. *not there*, *does not apply*: why. *not shown*: no test says that it shows it; it may be there. This page certifies nothing.\n";

/// What a line of the list says of a requirement.
enum Said<'l> {
    Words(&'l str),
    Absent(&'l str),
    Others(&'l str),
}

/// Files of Rust below a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            sources(&entry, found);
        } else if entry.extension().is_some_and(|end| end == "rs") {
            found.push(entry);
        }
    }
}

/// Numbers of requirements in a line of a comment.
fn numbers(line: &str) -> impl Iterator<Item = &str> {
    let words = line.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-' && letter != '.');
    words.map(|word| word.trim_end_matches('.')).filter(|word| word.starts_with("R-") && word.contains('.'))
}

/// Which tests say that they show which requirement.
fn shown(top: &Path) -> BTreeMap<String, Vec<String>> {
    let mut files = Vec::new();
    ROOMS.iter().for_each(|room| sources(&top.join(room), &mut files));
    files.sort();
    let mut shown: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in files.iter().filter(|file| !file.ends_with("tests/conformance.rs")) {
        let text = fs::read_to_string(file).unwrap();
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (place, _) in lines.iter().enumerate().filter(|(_, line)| **line == "#[test]") {
            let above = lines[..place].iter().rev().take_while(|line| line.starts_with("//"));
            let above: Vec<&str> = above.copied().collect();
            let Some(first) = above.iter().position(|line| line.contains("Shows R-")) else { continue };
            let name = lines[place..].iter().find_map(|line| line.strip_prefix("fn ")?.split('(').next());
            let short = file.strip_prefix(top).unwrap().display().to_string();
            let test = format!("{} {}", short.trim_start_matches("src/"), name.unwrap());
            for number in above[..=first].iter().flat_map(|line| numbers(line)) {
                shown.entry(number.to_owned()).or_default().push(test.clone());
            }
        }
    }
    shown
}

fn said(line: &str) -> (&str, Said<'_>) {
    let (number, rest) = line.split_once(' ').unwrap_or((line, ""));
    match rest.split_once(' ') {
        Some(("-", why)) => (number, Said::Absent(why)),
        Some(("x", why)) => (number, Said::Others(why)),
        Some(_) | None => (number, Said::Words(rest)),
    }
}

/// The page, and how many requirements are shown, not there, not shown, another's.
fn page(shown: &BTreeMap<String, Vec<String>>) -> (String, [usize; 4]) {
    let (mut text, mut counts) = (String::new(), [0; 4]);
    for line in LIST.lines().filter(|line| !line.is_empty() && !line.starts_with("# ")) {
        if let Some(chapter) = line.strip_prefix("## ") {
            writeln!(text, "\n## {chapter}\n\n| requirement | what | tests | result |\n|---|---|---|---|")
                .unwrap();
            continue;
        }
        let (number, said) = said(line);
        let tests: Vec<String> =
            shown.get(number).into_iter().flatten().map(|test| format!("`{test}`")).collect();
        let tests = tests.join("<br>");
        let (place, words, result) = match said {
            Said::Absent(why) => (1, why, "not there"),
            Said::Others(why) => (3, why, "does not apply"),
            Said::Words(words) if tests.is_empty() => (2, words, "not shown"),
            Said::Words(words) => (0, words, "passes"),
        };
        counts[place] += 1;
        writeln!(text, "| {number} | {words} | {tests} | {result} |").unwrap();
    }
    let [passes, absent, open, others] = counts;
    let sum = format!(
        "\n| passes | not there | not shown | does not apply |\n|---:|---:|---:|---:|\n| {passes} | {absent} | {open} | {others} |\n"
    );
    (format!("{HEAD}{sum}{text}"), counts)
}

#[test]
fn the_page_says_what_tests_show() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let shown = shown(&top);
    let listed: Vec<&str> =
        LIST.lines().filter(|line| line.starts_with("R-")).map(|line| said(line).0).collect();
    for (number, tests) in &shown {
        assert!(listed.contains(&number.as_str()), "{number}, which {tests:?} shows, is not in the list");
    }
    let absent = LIST.lines().map(said).filter(|(_, what)| !matches!(what, Said::Words(_)));
    for (number, _) in absent {
        assert!(!shown.contains_key(number), "{number} is shown, and the list says that it is not there");
    }
    let (text, [passes, absent, open, others]) = page(&shown);
    println!(
        "| USP requirements: {passes} shown, {absent} not there, {open} not shown, {others} do not apply |"
    );
    let file = top.join("docs/usp-conformance.md");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&file, &text).unwrap();
    }
    assert!(
        fs::read_to_string(file).unwrap_or_default() == text,
        "docs/usp-conformance.md is stale: UPDATE=1 writes it"
    );
    assert!(passes > 40, "tests are read");
}
