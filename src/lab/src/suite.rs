//! `lab test`: every test of the workspace, counted; what was skipped is said aloud.
//!
//! In:  a pattern or none, `LONG=1`, a kernel for the guests. Out: one line a suite, the whole output of what failed, the reasons of
//! what was skipped; at the end what failed, once more, and as the last line `N passed, N failed, N skipped`.
//!
//! A pattern is a room (`lease`), a file of tests (`guest_boot`, `network/daemon`), what files and tests of whatever room begin with
//! (`clients`, `faults`), a subject with files of other names ([`SUBJECTS`]), or else part of a test's name. Guests are few at a time by themselves (`slot.rs`).
//!
//! Reading Cargo's words is in `tally.rs`.

use std::fs;
use std::io::{BufRead, BufReader, PipeReader, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::command::Words;
use crate::error::Error;
use crate::kernel::{self, Kernel};
use crate::tally::Tally;
use crate::{house, tool};

/// After such a silence something hangs. The longest that is none: a test that waits half an hour for its place (`slot.rs`) and then, in
/// the long run, kills for twenty minutes.
const SILENCE_MAX: Duration = Duration::from_secs(3600);

/// In a suite that takes longer, single tests are shown as they end, on standard error.
const PATIENCE: Duration = Duration::from_secs(10);

/// What belongs to a subject that has other names: room, and file of tests; `lib` are those beside the code.
const SUBJECTS: [(&str, &[(&str, &str)]); 4] = [
    ("admission", &[("supervisor", LIB), ("tests", "guest_disk"), ("tests", "guest_lines")]),
    (
        "bundles",
        &[
            ("bundle", LIB),
            ("package", "bent"),
            ("package", "install"),
            ("package", "liars"),
            ("package", "registry"),
            ("package", "resume"),
            ("tests", "guest_bundles"),
            ("tests", "guest_makers"),
        ],
    ),
    (
        "modules",
        &[
            ("agent", LIB),
            ("agent", "levels"),
            ("agent", "queue"),
            ("agent", "roles"),
            ("agent", "slices"),
            ("agent", "uses"),
            ("supervisor", LIB),
        ],
    ),
    (
        "usp",
        &[
            ("agent", "broker"),
            ("agent", "bulk"),
            ("agent", "deaf"),
            ("agent", "doctor"),
            ("agent", "exchange"),
            ("agent", "isolation"),
            ("agent", "limits"),
            ("agent", "pieces"),
            ("agent", "proof"),
            ("agent", "requests"),
            ("agent", "tls"),
            ("agent", "transports"),
            ("agent", "trust"),
            ("tests", "guest_usp"),
        ],
    ),
];
const LIB: &str = "lib";

/// Which tests: arguments for Cargo, and for the tests' own programs.
fn selection(pattern: Option<&str>) -> (Vec<String>, Vec<String>) {
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let Some(pattern) = pattern else { return (owned(&["--workspace"]), Vec::new()) };
    let (room, file) = pattern.split_once('/').unwrap_or((pattern, ""));
    let has = |folder: &str, file: &str| house::top().join(folder).join(room).join(file).exists();
    let is_there = |file: &str| ["", "src", "src/services"].iter().any(|folder| has(folder, file));
    if file.is_empty() && is_there("Cargo.toml") {
        // What tests it elsewhere belongs to it: `agent/usp` speaks what the library `usp` reads, `tests/voice_load` loads `voice`.
        let called =
            |name: &str| name.strip_prefix(room).is_some_and(|end| end.is_empty() || end.starts_with('_'));
        let subject = subject(room);
        let elsewhere: Vec<_> = files_of(room)
            .into_iter()
            .filter(|found| found.0 != room && (called(&found.1) || subject.contains(found)))
            .collect();
        let mut which = owned(&["-p", room]);
        if !elsewhere.is_empty() {
            which.extend(owned(&["--lib", "--bins"]));
            which.extend(suites_of(room).iter().flat_map(|file| owned(&["--test", file])));
        }
        which.extend(elsewhere.iter().flat_map(file_words));
        (which, Vec::new())
    } else if !file.is_empty() && is_there(&format!("tests/{file}.rs")) {
        (owned(&["-p", room, "--test", file]), Vec::new())
    } else {
        let files = files_of(pattern);
        let words = files.iter().flat_map(file_words);
        match files.is_empty() {
            true => (owned(&["--workspace"]), owned(&[pattern])),
            false => (words.collect(), Vec::new()),
        }
    }
}

/// What Cargo is told to run such a file.
fn file_words((room, file): &(String, String)) -> Vec<String> {
    let words: &[&str] = if file == LIB { &["-p", room, "--lib"] } else { &["-p", room, "--test", file] };
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// What belongs to a pattern though it is called otherwise.
fn subject(pattern: &str) -> Vec<(String, String)> {
    let all = SUBJECTS.iter().filter(|(name, _)| *name == pattern).flat_map(|(_, files)| *files);
    all.map(|(room, file)| ((*room).to_owned(), (*file).to_owned())).collect()
}

/// The names of a room's files of tests.
fn suites_of(room: &str) -> Vec<String> {
    let folder = house::top().join("src").join(room).join("tests");
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|file| file.path());
    let files = files.filter(|path| path.extension().is_some_and(|end| end == "rs"));
    let mut names: Vec<_> =
        files.filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned())).collect();
    names.sort();
    names
}

/// Files of tests that a pattern means, of all rooms: called so, or `PATTERN_…`, or with a test that is called `PATTERN_…`. Cargo runs
/// each as a whole.
fn files_of(pattern: &str) -> Vec<(String, String)> {
    let (begin, test) = (format!("{pattern}_"), format!("\nfn {pattern}_"));
    let means = |path: &Path, name: &str| {
        let tests = || fs::read_to_string(path).unwrap_or_default();
        name == pattern || name.starts_with(&begin) || tests().contains(&test)
    };
    let rooms = fs::read_dir(house::top().join("src")).into_iter().flatten().flatten();
    let folders = rooms.map(|room| room.path()).chain([house::top().join("tests")]);
    let mut found = subject(pattern);
    for folder in folders {
        let room = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for file in fs::read_dir(folder.join("tests")).into_iter().flatten().flatten() {
            let path = file.path();
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if path.extension().is_some_and(|end| end == "rs") && means(&path, &name) {
                found.push((room.clone(), name));
            }
        }
    }
    found.sort();
    found
}

/// Builds the tests, and lets Cargo say so: it takes minutes the first time.
fn build(which: &[String]) -> Result<(), Error> {
    let mut command = tool::command("cargo");
    command.current_dir(house::top()).args(["build", "--locked", "--tests"]).args(which);
    let status = command.status();
    let failed = |why: String| Error::Tool { program: "cargo build --tests".to_owned(), why };
    let status = status.map_err(|error| failed(error.to_string()))?;
    if status.success() { Ok(()) } else { Err(failed(status.to_string())) }
}

/// Starts the tests; their words come through the pipe.
fn start(which: Vec<String>, names: Vec<String>, kernel: Kernel) -> Result<(Child, PipeReader), Error> {
    let (reader, writer) = std::io::pipe().map_err(Error::io("pipe"))?;
    let other = writer.try_clone().map_err(Error::io("pipe"))?;
    let mut command = tool::command("cargo");
    command
        .current_dir(house::top())
        .args(["test", "--locked", "--no-fail-fast", "--color=never"])
        .args(which)
        .args(["--", "--show-output"])
        .args(names)
        .env(kernel::VARIABLE, kernel.word())
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(other);
    let child = command.spawn();
    let child = child.map_err(|error| Error::Tool { program: "cargo".to_owned(), why: error.to_string() })?;
    Ok((child, reader)) // `command`, which holds the writing ends, goes: the pipe has to end.
}

/// Kills `pid` and all that it has started: who is left alone would hang for ever.
///
/// Source: proc(5), `/proc/pid/task/tid/children`.
fn kill_all(pid: u32) {
    for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
        let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        children.split_whitespace().filter_map(|child| child.parse().ok()).for_each(kill_all);
    }
    if let Ok(pid) = i32::try_from(pid) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

/// Runs the tests.
///
/// # Errors
/// [`Error::Short`]: some failed. [`Error::Tool`]: Cargo did not come to them. [`Error::Usage`]: the pattern fits none.
pub fn run(words: &Words, out: &mut dyn Write) -> Result<(), Error> {
    let lost = || Error::io("output");
    let pattern = words.rest.first().map(String::as_str);
    let (which, names) = selection(pattern);
    build(&which)?;
    // `-p ROOM`, or the workspace.
    let mut tally = Tally::of(which.get(1).filter(|_| which.len() <= 4).map(String::as_str));
    let (mut child, reader) = start(which, names, words.kernel)?;
    let (sender, lines) = channel();
    thread::spawn(move || {
        BufReader::new(reader).split(b'\n').map_while(Result::ok).try_for_each(|line| sender.send(line))
    });
    let mut spoken = Instant::now();
    loop {
        match lines.recv_timeout(SILENCE_MAX) {
            Ok(line) => {
                let line = String::from_utf8_lossy(&line);
                let said = tally.line(&line);
                if said.is_empty() && line.starts_with("test ") && spoken.elapsed() > PATIENCE {
                    eprintln!("»   {line}");
                    spoken = Instant::now();
                }
                for text in said {
                    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(lost())?;
                    spoken = Instant::now();
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                writeln!(out, "nothing was heard for {} s: killed", SILENCE_MAX.as_secs()).map_err(lost())?;
                kill_all(child.id());
                break;
            }
        }
    }
    let status = child.wait().map_err(Error::io("cargo"))?;
    let last = tally.end();
    let again = if tally.why().is_empty() { &[] } else { &["what failed, once more:".to_owned()][..] };
    for text in last.iter().chain(again).chain(tally.why()) {
        writeln!(out, "{text}").map_err(lost())?;
    }
    writeln!(out, "{} passed, {} failed, {} skipped", tally.passed, tally.failed, tally.skipped)
        .map_err(lost())?;
    let none = tally.passed + tally.failed + tally.skipped == 0;
    match (tally.failed, status.success(), pattern) {
        (0, true, Some(pattern)) if none => {
            Err(Error::Usage(format!("no test is called {pattern}, no room, and no file of tests")))
        }
        (0, true, _) => Ok(()),
        (0, false, _) => Err(Error::Tool { program: "cargo test".to_owned(), why: status.to_string() }),
        (count, _, _) => Err(Error::Short { what: "tests", count }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_left_alone() {
        let mut shell = tool::command("sh");
        shell.args(["-c", "sleep 600 & echo $!; wait"]).stdout(Stdio::piped());
        let mut shell = shell.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut line).unwrap();
        kill_all(shell.id());
        shell.wait().unwrap();
        // A zombie has no command line, and neither has nobody.
        let line = format!("/proc/{}/cmdline", line.trim_end());
        let gone = || Ok(fs::read(&line).unwrap_or_default().is_empty().then_some(()));
        crate::wait::until("the end of the child", Duration::from_secs(9), gone).unwrap();
    }

    #[test]
    fn subjects_are_found() {
        let has = |pattern: &str, room: &str, file: &str| {
            let found = files_of(pattern);
            assert!(found.contains(&(room.to_owned(), file.to_owned())), "{pattern}: {found:?}");
        };
        for (pattern, room, file) in [
            ("clients", "lease", "clients_dhcp"),
            ("clients", "lease", "clients_pcp"),
            ("clients", "names", "relay"),
            ("clients", "tests", "clients_pppoe"),
            ("plans", "network", "plans_firewall"),
            ("faults", "names", "faults"),
            ("faults", "network", "daemon"),
            ("iptv", "multicast", "iptv"),
            ("admission", "supervisor", LIB),
            ("admission", "tests", "guest_floors"),
            ("attacks", "tests", "attacks"),
            ("neighbours", "tests", "neighbours"),
            ("churn", "tests", "churn"),
            ("usp", "agent", "usp"),
            ("usp", "agent", "requests"),
            ("modules", "agent", "modules"),
            ("bundles", "tests", "bundles"),
            ("bundles", "package", "liars"),
            ("cuts", "tests", "cuts_recorded"),
        ] {
            has(pattern, room, file);
        }
    }

    #[test]
    fn what_belongs_to_a_subject_is_there() {
        for (room, file) in SUBJECTS.iter().flat_map(|(_, files)| *files) {
            let is_there = *file == LIB || files_of(file).contains(&((*room).to_owned(), (*file).to_owned()));
            assert!(is_there, "{room}/{file}");
        }
        let usp = selection(Some("usp")).0.join(" ");
        let begin = "-p usp --lib --bins --test oracle -p agent --test broker -p agent --test bulk";
        assert!(usp.starts_with(begin) && usp.contains("-p agent --test usp"), "{usp}");
    }

    #[test]
    fn a_pattern_is_a_room_a_file_or_a_name() {
        const MODULES: &str = "-p agent --test levels -p agent --lib -p agent --test modules -p agent --test queue \
                               -p agent --test roles -p agent --test slices -p agent --test uses \
                               -p supervisor --lib -p tests --test guest_modules";
        let table = [
            (None, "--workspace", ""),
            (Some("lease"), "-p lease", ""),
            (Some("modules"), MODULES, ""),
            (Some("voice"), "-p voice --lib --bins --test voice -p tests --test voice_load", ""),
            (Some("hello"), "-p hello", ""),
            (Some("tidy"), "-p tests --test tidy", ""),
            (Some("network/daemon"), "-p network --test daemon", ""),
            (Some("tests/tidy"), "-p tests --test tidy", ""),
            (Some("iptv"), "-p multicast --test iptv -p multicast --test iptv_players", ""),
            (Some("renumber"), "-p lease --test renumber", ""),
            (Some("tests"), "-p tests", ""),
            (Some("run::tests"), "--workspace", "run::tests"),
            (Some("a_fresh_one"), "--workspace", "a_fresh_one"),
        ];
        for (pattern, which, names) in table {
            let (got, rest) = selection(pattern);
            assert_eq!((got.join(" "), rest.join(" ")), (which.to_owned(), names.to_owned()), "{pattern:?}");
        }
    }
}
