//! Commands about processes: what the supervisor knows and does.

use contract::control::{Answer, Ask, Exit, Kind, Process};
use contract::layer::Layers;
use contract::wires::CONTROL;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use wire::Client;

use crate::command::{Out, Words};
use crate::json::{self, Object};
use crate::{Error, machine, table};

/// Asks the supervisor and takes each answer before the last one.
pub(crate) fn ask(ask: &Ask, mut each: impl FnMut(Answer)) -> Result<(), Error> {
    let failed = |error| Error::Wire("supervisor", error);
    let client = Client::dial(CONTROL).map_err(failed)?;
    client.send(ask, &[]).map_err(failed)?;
    loop {
        match client.wait::<Answer>().map_err(failed)?.0 {
            Answer::Done => return Ok(()),
            Answer::Refused(why) | Answer::Short(why) => return Err(Error::Refused(why.to_string())),
            answer @ (Answer::Process(_)
            | Answer::Gone(_)
            | Answer::Facts(_)
            | Answer::Layer(_)
            | Answer::Log { .. }
            | Answer::Promised(_)
            | Answer::Compliance(_)
            | Answer::Event(_)) => each(answer),
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
    let now_ms = sys::clock::boot_ms();
    let rows: Vec<[String; 8]> = rows.iter().map(|row| status_row(row, now_ms)).collect();
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
        .flag("autostart", row.autostart)
        .number("next_ms", row.next_ms)
        .end()
}

/// Until then, in the two largest units, the larger one left out where it is none.
fn until(at_ms: u64, now_ms: u64) -> String {
    let seconds = at_ms.saturating_sub(now_ms) / 1_000;
    match (seconds / 3_600, seconds / 60 % 60) {
        (0, 0) => format!("{seconds} s"),
        (0, minutes) => format!("{minutes} min {} s", seconds % 60),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

fn status_row(row: &Process, now_ms: u64) -> [String; 8] {
    let dash = || "-".to_owned();
    let why = match (row.reason.as_str(), row.exit) {
        ("", Some(exit)) => format!("last end: {}", exit_word(exit)),
        (reason, _) => reason.to_owned(),
    };
    let next = row.next_ms.map(|at_ms| format!("next start in {}", until(at_ms, now_ms)));
    let why =
        [Some(why).filter(|why| !why.is_empty()), next].into_iter().flatten().collect::<Vec<_>>().join("; ");
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
        "supervisor" => machine::supervisor(),
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
        ("bundles_ms", facts.bundles_ms),
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

#[cfg(test)]
mod tests {
    use super::until;

    #[test]
    fn a_time_to_come_is_told_in_two_units() {
        for (at_ms, words) in [
            (1_000, "0 s"),
            (60_999, "59 s"),
            (61_000, "1 min 0 s"),
            (3_600_000, "59 min 59 s"),
            (3_601_000, "1 h 0 min"),
            (86_400_000, "23 h 59 min"),
        ] {
            assert_eq!(until(at_ms, 1_000), words, "{at_ms}");
        }
    }
}
