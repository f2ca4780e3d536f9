//! Reads what `cargo test -- --show-output` says, line by line.
//!
//! In:  Cargo's lines. Out: lines for a person, and the count.
//!
//! This module is pure. A test that passed and printed a line that begins with `skipped: ` counts as skipped: it proved nothing. So does
//! an ignored one. A line that begins with `skipped in part: ` is shown, and its test counts: it proved the rest.
//!
//! What failed is shown whole where it happened and, shortened to its panics, once more at the end ([`Tally::why`]): of a long run often only
//! the last lines are kept.
//!
//! Source: the lines of rustc's libtest, `library/test/src/formatters/pretty.rs`; Cargo's `Running`, `Doc-tests`.

/// The first word of a test that could not run.
const SKIPPED: &str = "skipped: ";
/// The first words of a test that could not look at everything.
const IN_PART: &str = "skipped in part: ";

/// How many lines of a panic are said again: its first ones, with the place and what was wrong, and its last ones, where a guest's console ends.
const PANIC_LINES: (usize, usize) = (6, 16);
/// How many lines of all of them: a panic that begins behind them is not said again.
const WHY_LINES_MAX: usize = 128;

/// What a part of a suite's output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Part {
    /// Cargo's own words: compiling, warnings, errors.
    #[default]
    Building,
    /// One line a test.
    Running,
    /// What tests that passed printed.
    Successes,
    /// What tests that failed printed.
    Failures,
    /// The closing list of their names, which were said.
    Names,
}

/// What was counted until now.
#[derive(Debug, Default)]
pub struct Tally {
    /// Tests that ran and held.
    pub passed: usize,
    /// Tests that failed, suites that broke off.
    pub failed: usize,
    /// Tests that could not run here.
    pub skipped: usize,
    part: Part,
    suite: String,
    /// The package that Cargo is at: it names a test file by its path in there only.
    room: String,
    /// Of this suite: passed, failed, skipped.
    here: (usize, usize, usize),
    /// The test whose output is being read.
    test: String,
    /// Its reason was seen.
    reason_seen: bool,
    /// The suite was announced and has not ended.
    open: bool,
    /// Why tests failed, shortened.
    why: Vec<String>,
    /// Lines of the panic being read that were said again or passed over; `None`: none is being read, or it has no room.
    of_panic: Option<usize>,
}

impl Tally {
    /// Nothing yet, of this room where it is known: Cargo does not name it if one file is all that it runs.
    #[must_use]
    pub fn of(room: Option<&str>) -> Self {
        Self { room: room.unwrap_or_default().to_owned(), ..Self::default() }
    }

    /// Takes one line; returns what to print.
    pub fn line(&mut self, line: &str) -> Vec<String> {
        if let Some(suite) = self.suite(line) {
            let mut said = self.close();
            self.suite = suite;
            self.open = true;
            self.part = Part::Running;
            said.retain(|text| !text.is_empty());
            return said;
        }
        if let Some(rest) = line.strip_prefix("test result: ") {
            return self.result(rest);
        }
        match self.part {
            Part::Building => self.building(line),
            Part::Running | Part::Successes | Part::Failures | Part::Names => self.inside(line),
        }
    }

    /// What failed, and its panics: for the end of a long run.
    #[must_use]
    pub fn why(&self) -> &[String] {
        &self.why
    }

    /// The stream has ended.
    pub fn end(&mut self) -> Vec<String> {
        self.close()
    }

    /// A suite that ended without a result was killed, or killed itself.
    fn close(&mut self) -> Vec<String> {
        if !std::mem::take(&mut self.open) {
            return Vec::new();
        }
        self.failed += 1;
        let said = format!("{}: broke off", self.suite);
        self.why.push(said.clone());
        vec![said]
    }

    fn building(&self, line: &str) -> Vec<String> {
        // Progress is quiet; trouble is not.
        const QUIET: [&str; 8] = [
            "Compiling",
            "Finished",
            "Blocking",
            "Downloading",
            "Downloaded",
            "Updating",
            "Locking",
            "Fresh",
        ];
        let word = line.split_whitespace().next().unwrap_or_default();
        if word.is_empty() || QUIET.contains(&word) { Vec::new() } else { vec![line.to_owned()] }
    }

    fn inside(&mut self, line: &str) -> Vec<String> {
        if line == "successes:" {
            self.part = Part::Successes;
            return Vec::new();
        }
        if line == "failures:" {
            self.part = if self.part == Part::Failures { Part::Names } else { Part::Failures };
            return Vec::new();
        }
        if let Some(name) = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----")) {
            name.clone_into(&mut self.test);
            self.reason_seen = false;
            self.of_panic = None;
            if self.part != Part::Failures {
                return Vec::new();
            }
            let said = format!("FAILED {}: {name}", self.suite);
            self.why.push(said.clone());
            return vec![said];
        }
        match self.part {
            Part::Building | Part::Names => Vec::new(),
            Part::Running => self.running(line),
            Part::Successes => self.success(line),
            Part::Failures if line.is_empty() => Vec::new(),
            Part::Failures => {
                if line.contains("panicked at ") {
                    self.of_panic = (self.why.len() < WHY_LINES_MAX).then_some(0);
                } else if line.ends_with("stack backtrace:") {
                    self.of_panic = None;
                }
                let said = format!("    {line}");
                self.say_again(&said);
                vec![said]
            }
        }
    }

    /// Keeps a panic's line, if one is being read: of a long one the middle is left out.
    fn say_again(&mut self, line: &str) {
        let Some(count) = &mut self.of_panic else { return };
        *count += 1;
        let (first, last) = PANIC_LINES;
        if *count > first + last {
            let middle = self.why.len() - last;
            if *count == first + last + 1 {
                self.why.insert(middle, "    […]".to_owned());
            }
            self.why.remove(self.why.len() - last);
        }
        self.why.push(line.to_owned());
    }

    fn running(&mut self, line: &str) -> Vec<String> {
        let Some((name, reason)) =
            line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... ignored"))
        else {
            return Vec::new();
        };
        self.here.2 += 1;
        vec![format!("{SKIPPED}{}: {name}: ignored{reason}", self.suite)]
    }

    fn success(&mut self, line: &str) -> Vec<String> {
        if let Some(reason) = line.strip_prefix(IN_PART) {
            return vec![format!("{IN_PART}{}: {}: {reason}", self.suite, self.test)];
        }
        let Some(reason) = line.strip_prefix(SKIPPED) else { return Vec::new() };
        let first = !std::mem::replace(&mut self.reason_seen, true);
        self.here.2 += usize::from(first);
        self.here.0 = self.here.0.wrapping_sub(usize::from(first));
        vec![format!("{SKIPPED}{}: {}: {reason}", self.suite, self.test)]
    }

    /// `ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.02s`
    fn result(&mut self, rest: &str) -> Vec<String> {
        let count = |word: &str| {
            let before = rest.split_once(word).map_or("", |(before, _)| before.trim_end());
            before.rsplit([' ', ';']).next().and_then(|number| number.parse::<usize>().ok()).unwrap_or(0)
        };
        let passed = self.here.0.wrapping_add(count("passed"));
        let (failed, skipped) = (count("failed"), self.here.2);
        self.passed += passed;
        self.failed += failed;
        self.skipped += skipped;
        self.here = (0, 0, 0);
        self.open = false;
        self.part = Part::Building;
        if passed + failed + skipped == 0 {
            return Vec::new();
        }
        let time = rest.rsplit_once("finished in ").map_or("", |(_, time)| time);
        vec![format!("{:<28} {passed:>4} passed {failed:>3} failed {skipped:>3} skipped  {time}", self.suite)]
    }

    /// The suite that a line of Cargo's announces. A room's own tests come before its folder `tests`.
    fn suite(&mut self, line: &str) -> Option<String> {
        let line = line.trim_start();
        if let Some(room) = line.strip_prefix("Doc-tests ") {
            return Some(format!("{room} (documentation)"));
        }
        let (source, program) = line.strip_prefix("Running ")?.split_once(" (")?;
        let program = program.trim_end_matches(')').rsplit('/').next()?;
        let name = program.rsplit_once('-').map_or(program, |(name, _)| name);
        Some(match source.strip_prefix("unittests ") {
            Some(source) => {
                if ["src/lib.rs", "src/main.rs"].contains(&source) {
                    name.clone_into(&mut self.room);
                }
                if source.ends_with("lib.rs") { name.to_owned() } else { format!("{name} (program)") }
            }
            None if self.room.is_empty() => source.trim_end_matches(".rs").to_owned(),
            None => format!("{}/{name}", self.room),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<String>, (usize, usize, usize)) {
        let mut tally = Tally::default();
        let mut said: Vec<String> = text.lines().flat_map(|line| tally.line(line)).collect();
        said.extend(tally.end());
        (said, (tally.passed, tally.failed, tally.skipped))
    }

    /// Captured from `cargo test -- --show-output`, shortened.
    const MIXED: &str = "   Compiling lab v0.1.0 (/x)
     Running unittests src/lib.rs (target/debug/deps/lab-0123456789abcdef)

running 4 tests
test one ... ok
test two ... ok
test three ... FAILED
test four ... ignored, needs a board

successes:

---- one stdout ----
skipped: no emulator
skipped: really none

---- two stdout ----
talk


successes:
    one
    two

failures:

---- three stdout ----

thread 'three' panicked at x.rs:1:1:
boom


failures:
    three

test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.50s

error: test failed, to rerun pass `-p lab --lib`
     Running tests/tidy.rs (target/debug/deps/tidy-0123456789abcdef)

running 0 tests

test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 9 filtered out; finished in 0.00s
";

    #[test]
    fn what_was_skipped_is_not_passed() {
        let (said, count) = read(MIXED);
        assert_eq!(count, (1, 1, 2), "{said:#?}");
        assert!(said.contains(&"skipped: lab: one: no emulator".to_owned()), "{said:#?}");
        assert!(said.contains(&"skipped: lab: four: ignored, needs a board".to_owned()), "{said:#?}");
        assert!(said.iter().any(|line| line.contains("boom")), "{said:#?}");
        let mut tally = Tally::default();
        MIXED.lines().for_each(|line| drop(tally.line(line)));
        assert_eq!(
            tally.why(),
            ["FAILED lab: three", "    thread 'three' panicked at x.rs:1:1:", "    boom"],
            "why, once more at the end"
        );
        assert!(!said.iter().any(|line| line.contains("talk")), "{said:#?}");
        assert!(!said.iter().any(|line| line.contains("tidy")), "an empty suite says nothing: {said:#?}");
    }

    #[test]
    fn of_a_long_panic_the_begin_and_the_end_are_said_again() {
        let lines: String = (0..40).map(|number| format!("line {number}\n")).collect();
        let panic = format!(
            "---- one stdout ----\n\nthread 'one' panicked at x.rs:1:1:\n{lines}stack backtrace:\n  0: a\n"
        );
        let mut tally = Tally::default();
        format!("     Running tests/a.rs (t/a-0a)\nfailures:\n{panic}")
            .lines()
            .for_each(|line| drop(tally.line(line)));
        let why: Vec<&str> = tally.why().iter().map(|line| line.trim()).collect();
        assert_eq!(
            why[..3],
            ["FAILED tests/a: one", "thread 'one' panicked at x.rs:1:1:", "line 0"],
            "{why:#?}"
        );
        assert_eq!(why[6..9], ["line 4", "[…]", "line 24"], "{why:#?}");
        assert_eq!(why[why.len() - 1], "line 39", "{why:#?}");
    }

    #[test]
    fn what_was_skipped_in_part_is_passed_and_shown() {
        let text = "     Running tests/enter.rs (target/debug/deps/enter-0a)\n\nrunning 1 test\ntest one ... ok\n\n\
                    successes:\n\n---- one stdout ----\nskipped in part: no controller\n\nsuccesses:\n    one\n\n\
                    test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.50s\n";
        let (said, count) = read(text);
        assert_eq!(count, (1, 0, 0), "{said:#?}");
        assert_eq!(said[0], "skipped in part: tests/enter: one: no controller");
    }

    #[test]
    fn a_suite_has_the_name_of_its_room() {
        let mut tally = Tally::default();
        let table = [
            ("tests/alone.rs (target/debug/deps/alone-0a)", "tests/alone"),
            ("unittests src/lib.rs (target/debug/deps/lab-0a)", "lab"),
            ("unittests src/bin/bare.rs (target/debug/deps/bare-0a)", "bare (program)"),
            ("unittests src/main.rs (target/debug/deps/lab-0a)", "lab (program)"),
            ("tests/file.rs (target/debug/deps/file-0a)", "lab/file"),
            ("unittests src/main.rs (target/debug/deps/reaper-0a)", "reaper (program)"),
            ("tests/service.rs (target/debug/deps/service-0a)", "reaper/service"),
        ];
        for (line, wanted) in table {
            assert_eq!(tally.suite(&format!("     Running {line}")).as_deref(), Some(wanted), "{line}");
        }
    }

    #[test]
    fn a_suite_that_breaks_off_has_failed() {
        let text = "     Running tests/guest_boot.rs (target/debug/deps/guest_boot-0a)\n\nrunning 3 tests\n";
        let (said, count) = read(text);
        assert_eq!(count, (0, 1, 0));
        assert_eq!(said, ["tests/guest_boot: broke off"]);
        let mut tally = Tally::default();
        text.lines().for_each(|line| drop(tally.line(line)));
        tally.end();
        assert_eq!(tally.why(), said);
    }

    #[test]
    fn trouble_while_building_is_shown() {
        let (said, _) = read("   Compiling lab v0.1.0\nerror[E0308]: mismatched types\n");
        assert_eq!(said, ["error[E0308]: mismatched types"]);
    }
}
