//! What `ctl … --json` says, as far as the lab needs it.
//!
//! In:  a guest with a door. Out: processes, moments, the WAN's lease, resident memory.
//!
//! Source: `src/ctl`; the words are those of `contract::control` and `contract::show`.

use serde_json::Value;

use crate::error::Error;
use crate::guest::Guest;

/// One process that the supervisor keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its name.
    pub name: String,
    /// Where it is in its life: `up`, …
    pub state: String,
    /// Its process id, while it runs.
    pub pid: Option<u64>,
    /// When it was last ready, in milliseconds after boot.
    pub ready_ms: Option<u64>,
    /// How often it was started again.
    pub restarts: u64,
    /// Why it is as it is.
    pub reason: String,
}

/// When things happened, in milliseconds after boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moments {
    /// PID 1's first line.
    pub init_ms: u64,
    /// PID 1's loop.
    pub loop_ms: u64,
    /// Every service that starts by itself was ready.
    pub services_ms: u64,
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

fn rows(answer: &Value) -> impl Iterator<Item = &Value> {
    answer.as_array().into_iter().flatten()
}

/// Every process.
///
/// # Errors
/// As [`Guest::json`].
pub fn processes(guest: &mut Guest) -> Result<Vec<Process>, Error> {
    let answer = guest.json("status --json")?;
    let process = |row: &Value| Process {
        name: text(row, "name"),
        state: text(row, "state"),
        pid: row["pid"].as_u64(),
        ready_ms: row["ready_ms"].as_u64(),
        restarts: row["restarts"].as_u64().unwrap_or_default(),
        reason: text(row, "reason"),
    };
    Ok(rows(&answer).map(process).collect())
}

/// The processes that are not up, with their reasons; none when all is well. An empty list of processes is not well.
///
/// # Errors
/// As [`Guest::json`].
pub fn not_up(guest: &mut Guest) -> Result<Vec<String>, Error> {
    let all = processes(guest)?;
    if all.is_empty() {
        return Ok(vec!["no process at all".to_owned()]);
    }
    let late = all.iter().filter(|process| process.state != "up");
    Ok(late.map(|process| format!("{} is {}: {}", process.name, process.state, process.reason)).collect())
}

/// When things happened; a moment that has not come is an error.
///
/// # Errors
/// As [`Guest::json`]; [`Error::Answer`]: something has not happened yet.
pub fn moments(guest: &mut Guest) -> Result<Moments, Error> {
    let answer = guest.json("facts --json")?;
    let moment = |key: &str| {
        answer[key].as_u64().filter(|ms| *ms > 0).ok_or_else(|| Error::Answer {
            who: "ctl facts --json".to_owned(),
            why: format!("no {key} in {answer}"),
        })
    };
    Ok(Moments {
        init_ms: moment("init_ms")?,
        loop_ms: moment("loop_ms")?,
        services_ms: moment("services_ms")?,
    })
}

/// When the WAN's address was set, in milliseconds after boot, and the address; `None` as long as there is none.
///
/// # Errors
/// As [`Guest::json`].
pub fn wan(guest: &mut Guest) -> Result<Option<(u64, String)>, Error> {
    let answer = guest.json("network --json")?;
    Ok(answer["wan_ms"].as_u64().zip(answer["wan_address"].as_str().map(str::to_owned)))
}

/// Every process of the machine: name and resident memory in KiB (`VmRSS`).
///
/// # Errors
/// As [`Guest::json`].
pub fn resident(guest: &mut Guest) -> Result<Vec<(String, u64)>, Error> {
    let answer = guest.json("procs --json")?;
    Ok(rows(&answer).filter_map(|row| Some((text(row, "name"), row["rss_kb"].as_u64()?))).collect())
}
