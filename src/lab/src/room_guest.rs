//! Suites of rooms on the gateway's own kernel: built for the gateway, run in a guest beside Debian's programs.
//!
//! In:  a kernel, suites (a room, a file of its tests), programs of the firmware. Out: what a test said. Each test has a network namespace of
//! its own, as on the desk; a suite that begins with `testbed::enter` sees no difference but the kernel.
//!
//! Not here: the guest itself (`provider.rs`); the gateway as a whole (`guest.rs`).

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::error::Error;
use crate::guest::BOOT_LIMIT;
use crate::house::{self, Scratch};
use crate::kernel::Kernel;
use crate::provider::Provider;
use crate::slot::Slot;
use crate::tool;

/// A guest with suites in it.
#[derive(Debug)]
pub struct RoomGuest {
    // Dropped in this order.
    guest: Provider,
    _scratch: Scratch,
    _slot: Slot,
}

/// What came of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// It passed.
    pub passed: bool,
    /// All that it said.
    pub said: String,
}

impl RoomGuest {
    /// Builds these suites, and boots a guest that has them and these programs of the firmware.
    ///
    /// # Errors
    /// [`Error::Missing`]: the firmware or the guest's root is not there. [`Error::Tool`]: a suite does not build.
    pub fn boot(kernel: Kernel, suites: &[(&str, &str)], programs: &[&str]) -> Result<Self, Error> {
        let mut files = Vec::new();
        for program in programs {
            files.push((format!("sbin/{program}"), firmware(program)?));
        }
        for (room, file) in suites {
            files.push((path(room, file), build(room, file)?));
        }
        let scratch = Scratch::new()?;
        let slot = Slot::take()?;
        let files: Vec<(&str, PathBuf)> =
            files.iter().map(|(place, from)| (place.as_str(), from.clone())).collect();
        let mut guest = Provider::start_bench(&scratch, kernel, &files)?;
        guest.wait_ready(BOOT_LIMIT)?;
        guest.run("mkdir -p /tmp/inside /etc/shg /run/netns")?;
        Ok(Self { guest, _scratch: scratch, _slot: slot })
    }

    /// The names of a suite's tests.
    ///
    /// # Errors
    /// As [`Provider::run`].
    pub fn tests(&mut self, (room, file): (&str, &str)) -> Result<Vec<String>, Error> {
        let said = self.guest.run(&format!("/{} --list --format terse", path(room, file)))?;
        Ok(said.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
    }

    /// Runs a suite with these words (a test's name and `--exact`, or none: all of it) and variables (`NAME=value …`).
    ///
    /// # Errors
    /// [`Error::Late`]: it has not ended within `limit`.
    pub fn run(
        &mut self,
        (room, file): (&str, &str),
        words: &str,
        variables: &str,
        limit: Duration,
    ) -> Result<Outcome, Error> {
        let variables = format!("SHG_TESTBED_INSIDE=/tmp/inside {variables}");
        let suite = format!("unshare -n /{} {words} --nocapture --test-threads=1", path(room, file));
        let line = format!("{variables} {suite} >/tmp/said 2>&1; echo $? >/tmp/code");
        self.guest.run(&format!("rm -f /tmp/code; ({line}) </dev/null >/dev/null 2>&1 &"))?;
        self.guest.until(&format!("{file} in the guest"), limit, "test -s /tmp/code")?;
        let said = self.guest.run("cat /tmp/said")?;
        Ok(Outcome { passed: self.guest.run("cat /tmp/code")?.trim() == "0", said })
    }
}

/// Where a suite lies in the guest.
fn path(room: &str, file: &str) -> String {
    format!("sbin/suite-{room}-{file}")
}

/// A program of the firmware.
///
/// # Errors
/// [`Error::Missing`]: it is not built.
pub fn firmware(program: &str) -> Result<PathBuf, Error> {
    let built = house::firmware().join(program);
    if built.exists() {
        return Ok(built);
    }
    Err(Error::Missing { what: built.display().to_string(), remedy: "make firmware".to_owned() })
}

/// Builds a suite for the gateway; returns its program. It is linked quickly: what is measured or tried are other programs.
fn build(room: &str, file: &str) -> Result<PathBuf, Error> {
    let line = ". \"$0\" && exec cargo test -q --locked --no-run --message-format=json --profile firmware --target \"$1\" \
        --target-dir target/firmware -p \"$2\" --test \"$3\"";
    let mut command = tool::command("sh");
    command.current_dir(house::top()).args(["-c", line]).arg(house::cache().join("firmware.env"));
    command.args([house::TARGET, room, file]).env("CARGO_PROFILE_FIRMWARE_LTO", "off");
    let output = tool::finish("cargo test --no-run", command.output())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let built = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let found = built
        .filter(|row| row["target"]["name"] == file)
        .find_map(|row| Some(PathBuf::from(row["executable"].as_str()?)));
    found.ok_or(Error::Missing {
        what: format!("{file} for {}", house::TARGET),
        remedy: "make firmware".to_owned(),
    })
}
