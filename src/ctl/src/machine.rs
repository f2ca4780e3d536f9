//! Commands about the machine, as the kernel tells: programs and their memory.
//!
//! In:  `/proc`. Out: rows.
//!
//! Not here: what the supervisor knows of its processes (`processes.rs`).

use std::fs;
use std::path::Path;

use crate::command::{Out, Words};
use crate::json::{self, Object};
use crate::{Error, table};

/// A process that has a program.
struct Program {
    name: String,
    pid: i32,
    rss_kb: u64,
    pss_kb: Option<u64>,
}

/// All of them. Source: `proc_pid_status(5)`, `proc_pid_smaps(5)`.
fn running() -> Vec<Program> {
    let entries = fs::read_dir("/proc").map(Iterator::flatten).into_iter().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let mut found: Vec<Program> = pids
        .filter_map(|pid| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let field = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
            // A thread of the kernel has no memory of its own.
            let rss_kb = kilobytes(field("VmRSS:")?)?;
            let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
            let pss_kb = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).and_then(kilobytes);
            Some(Program { name: field("Name:")?.to_owned(), pid, rss_kb, pss_kb })
        })
        .collect();
    found.sort_by_key(|program| program.pid);
    found
}

fn kilobytes(text: &str) -> Option<u64> {
    text.trim().strip_suffix("kB")?.trim().parse().ok()
}

pub(crate) fn procs(words: &Words<'_>, out: Out<'_>) -> Result<(), Error> {
    words.none()?;
    let found = running();
    if words.json {
        let rows: Vec<String> = found
            .iter()
            .map(|program| {
                Object::default()
                    .text("name", &program.name)
                    .number("pid", u64::try_from(program.pid).ok())
                    .number("rss_kb", Some(program.rss_kb))
                    .number("pss_kb", program.pss_kb)
                    .end()
            })
            .collect();
        return Ok(writeln!(out, "{}", json::array(&rows))?);
    }
    let rows: Vec<[String; 4]> = found
        .into_iter()
        .map(|program| {
            let pss = program.pss_kb.map_or_else(|| "-".to_owned(), |pss| pss.to_string());
            [program.name, program.pid.to_string(), program.rss_kb.to_string(), pss]
        })
        .collect();
    table::print(["NAME", "PID", "RSS kB", "PSS kB"], &rows, out)
}

/// Source: `proc_meminfo(5)`.
pub(crate) fn memory(words: &Words<'_>, out: Out<'_>) -> Result<(), Error> {
    words.none()?;
    let text = fs::read_to_string("/proc/meminfo")
        .map_err(|error| Error::Refused(format!("/proc/meminfo: {error}")))?;
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).and_then(kilobytes);
    let table = [
        ("total_kb", value("MemTotal:")),
        ("available_kb", value("MemAvailable:")),
        ("free_kb", value("MemFree:")),
        ("slab_kb", value("Slab:")),
        ("unevictable_kb", value("Unevictable:")),
    ];
    if words.json {
        let object =
            table.into_iter().fold(Object::default(), |object, (name, value)| object.number(name, value));
        return Ok(writeln!(out, "{}", object.end())?);
    }
    for (name, value) in table {
        writeln!(out, "{name} {}", value.unwrap_or_default())?;
    }
    Ok(())
}

/// The supervisor's own number. It is not asked, for it may hang; and not found by its name, for a tenant may have taken that.
pub(crate) fn supervisor() -> Option<i32> {
    let is_it = |pid: &i32| {
        fs::read_link(format!("/proc/{pid}/exe"))
            .is_ok_and(|program| program == Path::new("/sbin/supervisor"))
    };
    running().into_iter().map(|program| program.pid).find(is_it)
}
