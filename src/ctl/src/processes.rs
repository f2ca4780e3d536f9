//! Commands about processes: what the supervisor knows and does.

use std::fs;
use std::path::Path;

use contract::control::{Answer, Ask, Exit, Kind, Process};
use contract::layer::Layers;
use contract::wires::CONTROL;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use wire::Client;

use crate::command::{Out, Words};
use crate::json::{self, Object};
use crate::{Error, table};

/// Asks the supervisor and takes each answer before the last one.
fn ask(ask: &Ask, mut each: impl FnMut(Answer)) -> Result<(), Error> {
    let failed = |error| Error::Wire("supervisor", error);
    let client = Client::dial(CONTROL).map_err(failed)?;
    client.send(ask, &[]).map_err(failed)?;
    loop {
        match client.wait::<Answer>().map_err(failed)?.0 {
            Answer::Done => return Ok(()),
            Answer::Refused(why) => return Err(Error::Refused(why.to_string())),
            answer @ (Answer::Process(_) | Answer::Facts(_) | Answer::Log { .. }) => each(answer),
        }
    }
}

fn order(order: &Ask) -> Result<(), Error> {
    ask(order, |_| {})
}

fn processes() -> Result<Vec<Process>, Error> {
    let mut rows = Vec::new();
    ask(&Ask::Status, |answer| {
        if let Answer::Process(row) = answer {
            rows.push(row);
        }
    })?;
    Ok(rows)
}

fn exit_word(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("code {code}"),
        Exit::Signal(signal) => format!("signal {signal}"),
    }
}

fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Daemon => "daemon",
        Kind::Tenant => "tenant",
    }
}

pub(crate) fn status(words: &Words<'_>, out: Out<'_>) -> Result<(), Error> {
    words.none()?;
    let rows = processes()?;
    if words.json {
        let rows: Vec<String> = rows.iter().map(status_json).collect();
        return Ok(writeln!(out, "{}", json::array(&rows))?);
    }
    let rows: Vec<[String; 8]> = rows.iter().map(status_row).collect();
    table::print(["NAME", "KIND", "STATE", "PID", "RESTARTS", "MEMORY", "ADDRESS", "WHY"], &rows, out)
}

fn status_json(row: &Process) -> String {
    let missing: Vec<String> = match row.kind {
        Kind::Daemon => Vec::new(),
        Kind::Tenant => Layers::all()
            .iter()
            .filter(|layer| !row.layers.has(*layer))
            .map(|layer| json::string(layer.word()))
            .collect(),
    };
    Object::default()
        .text("name", &row.name)
        .text("kind", kind_word(row.kind))
        .text("state", row.state.word())
        .number("pid", row.pid.map(u64::from))
        .number("since_ms", Some(row.since_ms))
        .number("ready_ms", row.ready_ms)
        .number("restarts", Some(row.restarts.into()))
        .maybe("exit", row.exit.map(exit_word))
        .number("memory_bytes", row.memory_bytes)
        .maybe("address", row.address)
        .list("missing_layers", &missing)
        .text("reason", &row.reason)
        .end()
}

fn status_row(row: &Process) -> [String; 8] {
    let dash = || "-".to_owned();
    let why = match (row.reason.as_str(), row.exit) {
        ("", Some(exit)) => format!("last end: {}", exit_word(exit)),
        (reason, _) => reason.to_owned(),
    };
    [
        row.name.to_string(),
        kind_word(row.kind).to_owned(),
        row.state.word().to_owned(),
        row.pid.map_or_else(dash, |pid| pid.to_string()),
        row.restarts.to_string(),
        row.memory_bytes.map_or_else(dash, |bytes| format!("{} KiB", bytes / 1024)),
        row.address.map_or_else(dash, |address| address.to_string()),
        why,
    ]
}

pub(crate) fn log(words: &Words<'_>, out: Out<'_>) -> Result<(), Error> {
    let name = words.name()?;
    let mut text = Vec::new();
    ask(&Ask::Log { name, from: 0 }, |answer| {
        if let Answer::Log { bytes, .. } = answer {
            text.extend_from_slice(&bytes);
        }
    })?;
    if !words.json {
        return Ok(out.write_all(&text)?);
    }
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<String> = text.lines().map(json::string).collect();
    Ok(writeln!(out, "{}", json::array(&lines))?)
}

pub(crate) fn start(words: &Words<'_>, _: Out<'_>) -> Result<(), Error> {
    order(&Ask::Start(words.name()?))
}

pub(crate) fn stop(words: &Words<'_>, _: Out<'_>) -> Result<(), Error> {
    order(&Ask::Stop(words.name()?))
}

pub(crate) fn restart(words: &Words<'_>, _: Out<'_>) -> Result<(), Error> {
    order(&Ask::Restart(words.name()?))
}

pub(crate) fn reboot(words: &Words<'_>, _: Out<'_>) -> Result<(), Error> {
    words.none()?;
    order(&Ask::Reboot)
}

pub(crate) fn power_off(words: &Words<'_>, _: Out<'_>) -> Result<(), Error> {
    words.none()?;
    order(&Ask::PowerOff)
}

/// Ends a program as a fault of its own would, or stops it as a hang would. `supervisor` and `init` are some, too.
pub(crate) fn kill(words: &Words<'_>, _: Out<'_>) -> Result<(), Error> {
    let (name, signal) = words.name_and_word()?;
    let signal = match signal {
        None | Some("KILL") => Signal::SIGKILL,
        Some("TERM") => Signal::SIGTERM,
        Some("INT") => Signal::SIGINT,
        Some("STOP") => Signal::SIGSTOP,
        Some("CONT") => Signal::SIGCONT,
        Some(_) => return Err(words.wrong()),
    };
    let pid = match name.as_str() {
        "init" => Some(1),
        "supervisor" => supervisor(),
        _ => pid_of(&name)?,
    };
    let pid =
        pid.ok_or_else(|| Error::Refused(format!("{name}: it does not run; `ctl status` lists what does")))?;
    nix::sys::signal::kill(Pid::from_raw(pid), signal)
        .map_err(|errno| Error::Refused(format!("{name}: {}", errno.desc())))
}

fn pid_of(name: &contract::Name) -> Result<Option<i32>, Error> {
    let row = processes()?.into_iter().find(|row| row.name == *name);
    Ok(row.and_then(|row| row.pid).and_then(|pid| i32::try_from(pid).ok()))
}

/// The supervisor's own number. It is not asked, for it may hang; and not found by its name, for a tenant may have taken that.
fn supervisor() -> Option<i32> {
    let is_it = |pid: &i32| {
        fs::read_link(format!("/proc/{pid}/exe"))
            .is_ok_and(|program| program == Path::new("/sbin/supervisor"))
    };
    running().into_iter().map(|program| program.pid).find(is_it)
}

pub(crate) fn facts(words: &Words<'_>, out: Out<'_>) -> Result<(), Error> {
    words.none()?;
    let mut found = None;
    ask(&Ask::Facts, |answer| {
        if let Answer::Facts(facts) = answer {
            found = Some(facts);
        }
    })?;
    let facts = found.unwrap_or_default();
    let table = [
        ("init_ms", facts.init_ms),
        ("loop_ms", facts.loop_ms),
        ("daemons_ms", facts.daemons_ms),
        ("services_ms", facts.services_ms),
        ("lives", facts.lives.into()),
    ];
    if words.json {
        let object =
            table.iter().fold(Object::default(), |object, (name, value)| object.number(name, Some(*value)));
        return Ok(writeln!(out, "{}", object.end())?);
    }
    for (name, value) in table {
        writeln!(out, "{name} {value}")?;
    }
    Ok(())
}

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
