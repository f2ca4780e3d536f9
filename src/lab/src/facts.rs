//! What `ctl … --json` says, as far as the lab needs it.
//!
//! In:  a guest with a door. Out: processes, moments, the WAN's lease, resident memory.
//!
//! Source: `src/ctl`; the words are those of `contract::control` and `contract::show`.

use serde_json::Value;

use crate::error::Error;
use crate::guest::{Guest, UP_LIMIT};

/// One process that the supervisor keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its name.
    pub name: String,
    /// Where it is in its life: `up`, …
    pub state: String,
    /// It is a hosted service, not a part of the gateway.
    pub is_tenant: bool,
    /// Its process id, while it runs.
    pub pid: Option<u64>,
    /// When it was last ready, in milliseconds after boot.
    pub ready_ms: Option<u64>,
    /// How often it was started again.
    pub restarts: u64,
    /// How it last ended: `code 7`, `signal 9`.
    pub exit: Option<String>,
    /// Why it is as it is.
    pub reason: String,
    /// It starts by itself at boot.
    pub autostart: bool,
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

/// A PPPoE session, as `ctl leases` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Where it is: `UP`, …
    pub state: String,
    /// Our address, or nothing.
    pub address: String,
    /// The peer's.
    pub peer: String,
    /// The largest packet, in bytes.
    pub mtu: u64,
    /// Our interface identifier in hex, or nothing: no IPv6.
    pub identifier: String,
    /// Why the last one, or the last try, came to its end.
    pub reason: String,
}

/// The PPPoE session; `None`: none is wanted (yet).
///
/// # Errors
/// As [`Guest::json`].
pub fn session(guest: &mut Guest) -> Result<Option<Session>, Error> {
    let answer = guest.json("leases --json")?;
    let session = |row: &Value| Session {
        state: text(row, "state"),
        address: text(row, "address"),
        peer: text(row, "peer"),
        mtu: row["mtu"].as_u64().unwrap_or_default(),
        identifier: text(row, "identifier"),
        reason: text(row, "reason"),
    };
    Ok(rows(&answer).find(|row| row["role"] == "session").map(session))
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
        is_tenant: row["kind"] == "tenant",
        pid: row["pid"].as_u64(),
        ready_ms: row["ready_ms"].as_u64(),
        restarts: row["restarts"].as_u64().unwrap_or_default(),
        exit: row["exit"].as_str().map(str::to_owned),
        reason: text(row, "reason"),
        autostart: row["autostart"] == true,
    };
    Ok(rows(&answer).map(process).collect())
}

/// The process of this name.
///
/// # Errors
/// As [`Guest::json`]; [`Error::Answer`]: there is none.
pub fn process(guest: &mut Guest, name: &str) -> Result<Process, Error> {
    let found = processes(guest)?.into_iter().find(|process| process.name == name);
    found.ok_or_else(|| Error::Answer {
        who: "ctl status --json".to_owned(),
        why: format!("no process {name}"),
    })
}

/// How many lives the supervisor has had.
///
/// # Errors
/// As [`Guest::json`].
pub fn lives(guest: &mut Guest) -> Result<u64, Error> {
    Ok(guest.json("facts --json")?["lives"].as_u64().unwrap_or_default())
}

/// The lines of a process's log that are still in its ring.
///
/// # Errors
/// As [`Guest::json`].
pub fn log(guest: &mut Guest, name: &str) -> Result<Vec<String>, Error> {
    let answer = guest.json(&format!("log {name} --json"))?;
    Ok(rows(&answer).filter_map(|line| line.as_str().map(str::to_owned)).collect())
}

/// The processes that should run and are not up, with their reasons; none when all is well. No process at all is not well.
///
/// # Errors
/// As [`Guest::json`].
pub fn not_up(guest: &mut Guest) -> Result<Vec<String>, Error> {
    let all = processes(guest)?;
    if all.is_empty() {
        return Ok(vec!["no process at all".to_owned()]);
    }
    // In a rehearsal there are some that nobody has started: they are down, without a reason. So are for a moment those that start by
    // themselves, once daemons are ready.
    let idle = |process: &&Process| {
        let waits = process.state == "down" && process.reason.is_empty() && process.exit.is_none();
        waits && !process.autostart
    };
    let late = all.iter().filter(|process| process.state != "up" && !idle(process));
    Ok(late.map(|process| format!("{} is {}: {}", process.name, process.state, process.reason)).collect())
}

/// Waits until everything that should run is up.
///
/// # Errors
/// [`Error::Answer`]: who is not, why, and the console's last lines. Others as [`Guest::json`].
pub fn wait_all_up(guest: &mut Guest) -> Result<(), Error> {
    let mut late = Vec::new();
    let outcome = guest.until("every process up", UP_LIMIT, |guest| {
        late = not_up(guest)?;
        Ok(late.is_empty().then_some(()))
    });
    outcome.map_err(|error| Error::Answer {
        who: error.to_string(),
        why: format!("{}\n{}", late.join("; "), guest.last_lines()),
    })
}

/// Rents a slice by the words of `ctl rent`, as soon as there is a data disk that keeps it: a new stick has to be made ready first.
///
/// # Errors
/// [`Error::Answer`]: it was refused for another reason. Others as [`Guest::ask`].
pub fn rent(guest: &mut Guest, words: &str) -> Result<(), Error> {
    let request = format!("rent {words}");
    guest.until(&request, UP_LIMIT, |guest| {
        let answer = guest.ask(&request)?;
        if answer.exit == 0 {
            return Ok(Some(()));
        }
        let early = answer.text.contains("no data disk");
        let refused = Error::Answer { who: format!("ctl {request}"), why: answer.text };
        if early { Ok(None) } else { Err(refused) }
    })
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

/// The machine's memory that is in use, in KiB: all that there is, less what is free or can be freed at once.
///
/// # Errors
/// As [`Guest::json`].
pub fn memory_used_kib(guest: &mut Guest) -> Result<u64, Error> {
    let answer = guest.json("memory --json")?;
    let kib = |key: &str| answer[key].as_u64().unwrap_or_default();
    Ok(kib("total_kb").saturating_sub(kib("available_kb")))
}
