//! The rule that checks the rules: arrows between rooms, sizes, headers, names, the fence around `unsafe`, the table of wires.
//!
//! In:  the work tree. Out: a failure that names the file and the rule.
//!
//! Not here: what the compiler and clippy check by themselves (the lint tables in `Cargo.toml`).
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use tests::{Source, root, sources};

/// Each room and the rooms that it may import. A new arrow is a design change: it is made here, in its own commit, with its
/// reason. Build- and dev-dependencies count too, but for `tests`, which may look at everything.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("contract", &[]),
    ("sys", &[]),
    ("wire", &["contract", "sys"]),
    ("x509", &["contract"]), // base64
    // The wall clock with 64 bits; which of two lists of revoked certificates is the newer one.
    ("trust", &["sys", "x509"]),
    ("state", &[]),
    ("usp", &[]),
    ("mqtt", &["usp"]),
    ("bundle", &["contract"]),
    ("sandbox", &["contract", "sys"]),
    ("init", &["contract", "sys"]), // `contract::keep` only: docs/decisions/0002-init-and-supervisor.md
    ("supervisor", &["contract", "sys", "wire", "sandbox"]),
    ("storage", &["contract", "sys", "wire", "state", "bundle"]), // a bundle's signature
    ("network", &["contract", "sys", "wire", "state", "testbed"]),
    ("lease", &["contract", "sys", "wire", "state", "testbed"]),
    ("names", &["contract", "sys", "wire", "trust", "testbed"]),
    ("multicast", &["contract", "sys", "wire", "testbed"]),
    ("time", &["contract", "sys", "wire", "trust", "state", "testbed"]),
    ("identity", &["contract", "sys", "wire", "x509", "state"]),
    ("voice", &["contract", "sys", "wire", "testbed"]),
    // The desk's command for a test only: the two speak with each other.
    ("agent", &["contract", "sys", "wire", "trust", "x509", "state", "usp", "mqtt", "testbed", "shg"]),
    ("package", &["contract", "sys", "wire", "trust", "state", "bundle", "testbed"]),
    ("ctl", &["contract", "sys", "wire", "x509"]),
    // In roots for tests only: the door of `ctl` with more verbs, and what a tenant does without its sandbox.
    // What is left in the kernel is listed by the sockets of the room that puts it there.
    ("porter", &["contract", "ctl", "wire", "chatter", "network"]),
    ("reaper", &[]),
    ("services/hello", &[]),
    ("services/chatter", &[]),
    ("services/hostile", &[]),
    ("testbed", &["contract", "sys"]), // tests only: no program of the firmware depends on it
    ("shg", &["contract", "x509", "bundle", "usp", "mqtt"]),
    ("lab", &["contract", "sandbox", "shg"]), // what compiles policies,
];

/// Rooms that say `unsafe`. docs/decisions/0003-the-fence.md.
const MAY_BE_UNSAFE: &[&str] = &["src/sys/", "src/reaper/", "src/services/hostile/"];

/// A file's lines, its tests included.
const FILE_LINES_MAX: usize = 500;
/// A `main` and all that stands around it.
const MAIN_LINES_MAX: usize = 40;

fn rust() -> Vec<Source> {
    let found = sources(&["src", "tests"], &[".rs"]);
    assert!(found.len() > 20, "the walk finds the house");
    found
}

/// Fails with every line of `faults`.
fn none(rule: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{rule}:\n  {}", faults.join("\n  "));
}

#[test]
fn rooms_import_only_what_they_may() {
    let names: Vec<&str> = MAY_IMPORT.iter().map(|(room, _)| room.rsplit('/').next().unwrap()).collect();
    let mut faults = Vec::new();
    for manifest in sources(&["src"], &["Cargo.toml"]) {
        let room = manifest.path.trim_start_matches("src/").trim_end_matches("/Cargo.toml");
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == room) else {
            faults.push(format!("{room}: not in the table of rooms"));
            continue;
        };
        let words = manifest.text.lines().filter_map(|line| line.split(['.', ' ', '=']).next());
        for import in words.filter(|word| names.contains(word)) {
            if import != room.rsplit('/').next().unwrap() && !allowed.contains(&import) {
                faults.push(format!("{room} may not import {import}"));
            }
        }
    }
    none("arrows go down, and a daemon never imports a daemon", &faults);
}

#[test]
fn members_stand_in_the_order_of_reading() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let members: Vec<&str> = manifest
        .lines()
        .skip_while(|line| !line.starts_with("members"))
        .skip(1)
        .take_while(|line| !line.starts_with(']'))
        .map(|line| line.trim().trim_matches([',', '"']).trim_start_matches("src/"))
        .collect();
    let mut rooms: Vec<&str> = MAY_IMPORT.iter().map(|(room, _)| *room).collect();
    rooms.push("tests");
    assert_eq!(members, rooms, "members of Cargo.toml against the table of rooms");
}

#[test]
fn files_are_short_and_begin_with_what_they_are() {
    let mut faults = Vec::new();
    for source in rust() {
        let lines = source.text.lines().count();
        if lines > FILE_LINES_MAX {
            faults.push(format!("{}: {lines} lines, limit {FILE_LINES_MAX}", source.path));
        }
        if !source.text.starts_with("//! ") {
            faults.push(format!("{}: does not begin with a line `//! what it is`", source.path));
        }
        if source.path.ends_with("src/main.rs") && lines > MAIN_LINES_MAX {
            faults.push(format!("{}: {lines} lines, limit {MAIN_LINES_MAX} for a main", source.path));
        }
    }
    none("a file is short and says what it is", &faults);
}

#[test]
fn names_say_something() {
    const EMPTY: &[&str] = &["util", "utils", "common", "helper", "helpers", "misc", "manager", "stuff"];
    let faults: Vec<String> = sources(&["src", "tests", "board", "buildroot"], &[""])
        .iter()
        .filter(|source| source.path.split(['/', '.']).any(|word| EMPTY.contains(&word)))
        .map(|source| source.path.clone())
        .collect();
    none("a thing without a name has no room yet", &faults);
}

#[test]
fn unsafe_stays_behind_its_fence() {
    let mut faults = Vec::new();
    for source in rust() {
        let fenced = MAY_BE_UNSAFE.iter().any(|room| source.path.starts_with(room));
        let crate_root = ["src/lib.rs", "src/main.rs"].iter().any(|end| source.path.ends_with(end));
        if !fenced && crate_root && !source.text.contains("#![forbid(unsafe_code)]") {
            faults.push(format!("{}: no #![forbid(unsafe_code)]", source.path));
        }
        let says_it = |line: &str| {
            let code = line.split("//").next().unwrap_or_default();
            ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "unsafe("]
                .iter()
                .any(|word| code.contains(word))
        };
        if !fenced && source.path != "tests/tests/tidy.rs" && source.text.lines().any(says_it) {
            faults.push(format!("{}: says unsafe", source.path));
        }
    }
    none("unsafe only where the fence is", &faults);
}

/// What every daemon's `main` is.
const MAIN_OF_DAEMONS: &str = "src/wire/src/start.rs";

#[test]
fn only_main_knows_exit_codes() {
    let faults: Vec<String> = rust()
        .iter()
        .filter(|source| source.path.starts_with("src/") && !source.path.ends_with("main.rs"))
        .filter(|source| !source.path.contains("/tests/") && !source.path.contains("/bin/"))
        .filter(|source| source.path != MAIN_OF_DAEMONS)
        .filter(|source| source.text.contains("process::exit(") || source.text.contains("ExitCode::"))
        .map(|source| source.path.clone())
        .collect();
    none("0 done, 1 failed, 2 wrong usage: main says it", &faults);
}

#[test]
fn tests_wait_for_conditions_and_say_why_they_are_left_out() {
    let mut faults = Vec::new();
    for source in rust().iter().filter(|source| source.path != "tests/tests/tidy.rs") {
        let mut in_tests = source.path.contains("tests/");
        for (index, line) in source.text.lines().enumerate() {
            let place = format!("{}:{}", source.path, index + 1);
            if line.trim() == "#[ignore]" {
                faults.push(format!("{place}: #[ignore] without a reason"));
            }
            in_tests |= line == "#[cfg(test)]";
            if in_tests && line.contains("sleep(") && !line.contains("// a step of a wait with a limit") {
                faults.push(format!("{place}: sleeps"));
            }
        }
    }
    none("no sleep in tests; a reason for what does not run", &faults);
}

#[test]
fn nothing_names_the_machine_that_it_was_written_on() {
    const ENDINGS: &[&str] =
        &[".rs", ".md", ".sh", ".toml", ".config", ".mk", ".in", ".cfg", "run", "_defconfig", "Makefile"];
    // Written in two halves, so that this file does not name them either.
    let words = [["/wo", "rk/"], ["/ro", "ot/"], ["/ho", "me/"]].map(|halves| halves.concat());
    let mut files = sources(&["src", "tests", "docs", "board", "buildroot", "rootfs", ".ci"], ENDINGS);
    for top in ["README.md", "Makefile", "Cargo.toml"] {
        files.push(Source { path: top.into(), text: fs::read_to_string(root().join(top)).unwrap() });
    }
    let mut faults = Vec::new();
    for source in &files {
        for word in words.iter().filter(|word| source.text.contains(word.as_str())) {
            faults.push(format!("{}: {word}", source.path));
        }
    }
    none("no path of a machine", &faults);
}

#[test]
fn dependencies_have_a_reason() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let section = manifest.lines().skip_while(|line| *line != "[workspace.dependencies]").skip(1);
    let faults: Vec<String> = section
        .take_while(|line| !line.starts_with('['))
        .filter(|line| line.contains(" = ") && !line.starts_with('#'))
        .filter(|line| !line.contains("path = ") && !line.contains(" # "))
        .map(str::to_owned)
        .collect();
    none("each dependency of the root manifest has its reason behind it", &faults);
}

#[test]
fn the_table_of_wires_stands_in_the_docs_as_in_the_code() {
    let docs = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let mut faults = Vec::new();
    for wire in contract::wires::ALL {
        let row = format!("| `{}` |", wire.name);
        let Some(line) = docs.lines().find(|line| line.starts_with(&row)) else {
            faults.push(format!("docs/architecture.md has no row {row}"));
            continue;
        };
        if !line.contains(&format!("→ {}", wire.server)) {
            faults.push(format!("{}: the docs name another server than {}", wire.name, wire.server));
        }
        if !root().join(format!("src/contract/src/{}.rs", wire.name)).exists() {
            faults.push(format!("{}: no module of contract holds its words", wire.name));
        }
    }
    none("code and docs have one table of wires", &faults);
}

#[test]
fn the_code_map_leads_somewhere() {
    let map = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let rows: Vec<Vec<&str>> = map
        .lines()
        .filter(|line| line.starts_with("| `src/"))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    assert!(rows.len() >= MAY_IMPORT.len(), "the map has a row for each room");
    let mut faults = Vec::new();
    for row in rows {
        let [_, room, _, files, _] = row.as_slice() else { panic!("{row:?} is no row of the code map") };
        let folder = root().join(room.trim_matches('`'));
        for file in files.split(", ").map(|file| file.trim_matches('`')) {
            if !folder.join(file).exists() && !folder.join("src").join(file).exists() {
                faults.push(format!("{room}: {file}"));
            }
        }
    }
    none("the code map names what is there", &faults);
}

#[test]
fn what_the_pages_name_is_there() {
    let mut pages = sources(&["docs", "buildroot"], &[".md"]);
    pages.push(Source {
        path: "README.md".into(),
        text: fs::read_to_string(root().join("README.md")).unwrap(),
    });
    let mut faults = Vec::new();
    for Source { path, text } in &pages {
        let folder = root().join(path);
        let folder = folder.parent().unwrap();
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let links = links.filter(|link| !link.starts_with("http"));
        // What stands between backticks and begins like a path of ours; a row of the code map is seen from its room.
        let quoted = text.split('`').skip(1).step_by(2);
        let ours = |word: &&str| {
            let begins = ["src/", "docs/", "board/", "buildroot/", "tests/"];
            begins.iter().any(|begin| word.starts_with(begin)) && !word.contains(['<', '*', '{', ' '])
        };
        for name in links.chain(quoted.filter(ours)) {
            let places = [folder.join(name), root().join(name), root().join("tests").join(name)];
            if !places.iter().any(|place| place.exists()) {
                faults.push(format!("{path}: {name}"));
            }
        }
    }
    none("pages name what is there", &faults);
}
