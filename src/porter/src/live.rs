//! Lives of services, many of them, as fast as the supervisor makes them: from here a question costs no serial port.
//!
//! In:  a service and a count. Out: `done COUNT of COUNT, median US us, p99 US us, worst US us`, or what went wrong.

use std::thread;
use std::time::{Duration, Instant};

use contract::Name;
use contract::control::{Answer, Ask, Exit, Kind, Process, State};
use contract::wires::CONTROL;
use ctl::Error;
use ctl::command::Out;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use wire::Client;

/// How long one life may take to come to where it is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// Two times in milliseconds that may be told apart.
const STEP: Duration = Duration::from_millis(1);
/// Lives in one request: its answer has a limit of time.
const COUNT_MAX: u32 = 1_000;

/// The words were wrong.
pub(crate) fn usage(how: &str) -> Error {
    Error::Usage(how.to_owned())
}

/// Two connections to the supervisor, one that asks and one that is told whenever a process has come into another state; and the service that
/// it is about. Whoever asked over and over instead would have the supervisor answer him while it is measured.
struct Talk {
    client: Client,
    follow: Client,
    name: Name,
}

impl Talk {
    fn new(name: &str) -> Result<Self, Error> {
        let dial = || Client::dial(CONTROL).map_err(failed);
        let (client, follow) = (dial()?, dial()?);
        follow.send(&Ask::Follow, &[]).map_err(failed)?;
        let answer = follow.wait::<Answer>().map_err(failed)?.0;
        if answer != Answer::Done {
            return Err(Error::Refused(format!("follow: {answer:?}")));
        }
        Ok(Self { client, follow, name: Name::new(name).map_err(|_| usage("a service's name"))? })
    }

    fn say(&self, ask: &Ask, mut each: impl FnMut(Process)) -> Result<(), Error> {
        self.client.send(ask, &[]).map_err(failed)?;
        loop {
            match self.client.wait::<Answer>().map_err(failed)?.0 {
                Answer::Done => return Ok(()),
                Answer::Refused(why) => return Err(Error::Refused(why.to_string())),
                Answer::Process(row) => each(row),
                Answer::Gone(_)
                | Answer::Facts(_)
                | Answer::Layer(_)
                | Answer::Log { .. }
                | Answer::Promised(_)
                | Answer::Compliance(_)
                | Answer::Event(_) => {}
            }
        }
    }

    fn row(&self) -> Result<Process, Error> {
        let mut found = None;
        self.say(&Ask::Status, |row| {
            if row.name == self.name {
                found = Some(row);
            }
        })?;
        found.ok_or_else(|| Error::Refused(format!("{}: no such process", self.name)))
    }

    /// Its row now, if that is as `wanted`, else the next one that is.
    fn until(&self, what: &str, wanted: impl Fn(&Process) -> bool) -> Result<Process, Error> {
        let row = self.row()?;
        if wanted(&row) { Ok(row) } else { self.next(what, wanted) }
    }

    /// The next row that it is told and that is as `wanted`.
    fn next(&self, what: &str, wanted: impl Fn(&Process) -> bool) -> Result<Process, Error> {
        let begun = Instant::now();
        loop {
            let row = match self.follow.wait::<Answer>() {
                Ok((Answer::Process(row), _)) if row.name == self.name => row,
                Ok(_) => continue,
                // A restart may take longer than an answer may.
                Err(wire::Error::Silent) if begun.elapsed() < PATIENCE => continue,
                Err(error) => return Err(failed(error)),
            };
            if wanted(&row) {
                return Ok(row);
            }
            if row.state == State::Failed || begun.elapsed() > PATIENCE {
                let state = row.state.word();
                return Err(Error::Refused(format!("{}: not {what}: {state}, {}", self.name, row.reason)));
            }
        }
    }
}

fn failed(error: wire::Error) -> Error {
    Error::Wire("supervisor", error)
}

fn count(word: &str) -> Result<u32, Error> {
    let count = word.parse().ok().filter(|count| (1..=COUNT_MAX).contains(count));
    count.ok_or_else(|| usage("a count, 1 to 1000"))
}

/// Makes `count` rounds and says how long they took.
fn rounds(word: &str, out: Out<'_>, mut round: impl FnMut() -> Result<Duration, Error>) -> Result<(), Error> {
    let wanted = count(word)?;
    let mut times = Vec::new();
    for _ in 0..wanted {
        times.push(round()?.as_micros());
    }
    times.sort_unstable();
    let at = |permille: usize| times.get((times.len() - 1) * permille / 1000).copied().unwrap_or(0);
    let line = format!("median {} us, p99 {} us, worst {} us", at(500), at(990), at(1000));
    Ok(writeln!(out, "done {} of {wanted}, {line}", times.len())?)
}

/// Starts a service that ends at once with code 7, and sees each end.
pub(crate) fn exits(name: &str, count: &str, out: Out<'_>) -> Result<(), Error> {
    let talk = Talk::new(name)?;
    let mut last = talk.row()?.since_ms;
    rounds(count, out, || {
        let begun = Instant::now();
        talk.say(&Ask::Start(talk.name.clone()), |_| ())?;
        // Its end is told by code and time: one that was lost would leave the old ones.
        let ended = |row: &Process| row.state == State::Down && row.pid.is_none() && row.since_ms > last;
        let row = talk.until("ended", ended)?;
        if row.exit != Some(Exit::Code(7)) {
            return Err(Error::Refused(format!("{name}: ended otherwise: {:?}", row.exit)));
        }
        last = row.since_ms;
        // Two ends in one millisecond could not be told apart.
        thread::sleep(STEP);
        Ok(begun.elapsed())
    })
}

/// Restarts a service that runs; each time another process comes up.
pub(crate) fn restarts(name: &str, count: &str, out: Out<'_>) -> Result<(), Error> {
    let talk = Talk::new(name)?;
    rounds(count, out, || {
        let (before, begun) = (talk.row()?.pid, Instant::now());
        talk.say(&Ask::Restart(talk.name.clone()), |_| ())?;
        talk.until("up again", |row| row.state == State::Up && row.pid.is_some() && row.pid != before)?;
        Ok(begun.elapsed())
    })
}

/// Starts a service and stops it.
pub(crate) fn cycles(name: &str, count: &str, out: Out<'_>) -> Result<(), Error> {
    let talk = Talk::new(name)?;
    rounds(count, out, || {
        let begun = Instant::now();
        talk.say(&Ask::Start(talk.name.clone()), |_| ())?;
        talk.until("up", |row| row.state == State::Up)?;
        talk.say(&Ask::Stop(talk.name.clone()), |_| ())?;
        talk.until("down", |row| row.state == State::Down)?;
        Ok(begun.elapsed())
    })
}

/// Shows a file of the folder that the process behind a row has in `/proc`.
pub(crate) fn look(name: &str, file: &str, out: Out<'_>) -> Result<(), Error> {
    let pid = pid(&Talk::new(name)?.row()?)?;
    Ok(write!(out, "{}", std::fs::read_to_string(format!("/proc/{pid}/{file}"))?)?)
}

/// Writes a setting of the machine, a file below `/proc/sys`.
pub(crate) fn sysctl(file: &str, value: &str) -> Result<(), Error> {
    if file.contains("..") {
        return Err(usage("sysctl FILE VALUE"));
    }
    std::fs::write(format!("/proc/sys/{file}"), value)
        .map_err(|error| Error::Refused(format!("{file}: {error}")))
}

/// The process behind a row.
fn pid(row: &Process) -> Result<Pid, Error> {
    let pid = row.pid.and_then(|pid| i32::try_from(pid).ok());
    pid.map(Pid::from_raw).ok_or_else(|| Error::Refused(format!("{}: no process", row.name)))
}

fn send(pid: Pid, signal: Signal) -> Result<(), Error> {
    kill(pid, signal).map_err(|errno| Error::Refused(errno.desc().to_owned()))
}

/// Stops every service that runs, all at once, and waits until all are down.
pub(crate) fn ends(out: Out<'_>) -> Result<(), Error> {
    let talk = Talk::new("all")?;
    let mut names = Vec::new();
    let runs = |row: &Process| row.kind == Kind::Tenant && row.pid.is_some();
    talk.say(&Ask::Status, |row| names.extend(runs(&row).then_some(row.name)))?;
    let (all, begun) = (names.len(), Instant::now());
    for name in &names {
        talk.say(&Ask::Stop(name.clone()), |_| ())?;
    }
    while !names.is_empty() {
        if let Answer::Process(row) = talk.follow.wait::<Answer>().map_err(failed)?.0 {
            names.retain(|name| *name != row.name || row.pid.is_some());
        }
    }
    Ok(writeln!(out, "done {all}, {} us", begun.elapsed().as_micros())?)
}

/// Stops a service that cannot hear it, with all that it has started: from the end of its grace until it is down.
pub(crate) fn tree(name: &str, grace_ms: &str, out: Out<'_>) -> Result<(), Error> {
    let talk = Talk::new(name)?;
    let grace = grace_ms.parse().map(Duration::from_millis).map_err(|_| usage("milliseconds"))?;
    send(pid(&talk.row()?)?, Signal::SIGSTOP)?;
    let begun = Instant::now();
    talk.say(&Ask::Stop(talk.name.clone()), |_| ())?;
    talk.until("down", |row| row.state == State::Down)?;
    Ok(writeln!(out, "done 1, {} us", begun.elapsed().saturating_sub(grace).as_micros())?)
}

/// Kills the program of a service that runs, and waits until it is ready again: from the signal to that.
pub(crate) fn crashes(name: &str, count: &str, out: Out<'_>) -> Result<(), Error> {
    let talk = Talk::new(name)?;
    rounds(count, out, || {
        // An order forgets the deaths before it: every crash is a first one.
        talk.say(&Ask::Start(talk.name.clone()), |_| ())?;
        let row = talk.until("up", |row| row.state == State::Up)?;
        let (before, begun) = (row.pid, Instant::now());
        send(pid(&row)?, Signal::SIGKILL)?;
        talk.until("up again", |row| row.state == State::Up && row.pid.is_some() && row.pid != before)?;
        Ok(begun.elapsed())
    })
}
