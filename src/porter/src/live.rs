//! Lives of services, many of them, as fast as the supervisor makes them: from here a question costs no serial port.
//!
//! In:  a service and a count. Out: `done COUNT of COUNT, median US us, p99 US us, worst US us`, or what went wrong.

pub(crate) mod bare;

use std::os::unix::fs::MetadataExt;
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

use crate::divide::{ROOT, write};
use crate::tables;

/// How long one life may take to come to where it is waited for, and all of them to their end. It is looked at with each row, and after each silence.
const PATIENCE: Duration = Duration::from_secs(20);
/// Rows that are thrown away before a question, at most: a socket holds fewer.
const QUEUED_MAX: usize = 10_000;
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
    patience: Duration,
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
        let name = Name::new(name).map_err(|_| usage("a service's name"))?;
        Ok(Self { client, follow, name, patience: PATIENCE })
    }

    fn say(&self, ask: &Ask, mut each: impl FnMut(Process)) -> Result<(), Error> {
        self.client.send(ask, &[]).map_err(failed)?;
        loop {
            match self.client.wait::<Answer>().map_err(failed)?.0 {
                Answer::Done => return Ok(()),
                Answer::Refused(why) | Answer::Short(why) => return Err(Error::Refused(why.to_string())),
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
        self.forget()?;
        let row = self.row()?;
        if wanted(&row) { Ok(row) } else { self.next(what, wanted) }
    }

    /// Throws away what was told and not read: it was so before, and need not be so now.
    fn forget(&self) -> Result<(), Error> {
        for _ in 0..QUEUED_MAX {
            if self.follow.receive::<Answer>().map_err(failed)?.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// The next row that it is told and that is as `wanted`.
    fn next(&self, what: &str, wanted: impl Fn(&Process) -> bool) -> Result<Process, Error> {
        let mut last = None;
        self.told(|row| {
            if row.name != self.name {
                return false;
            }
            let ends = wanted(&row) || row.state == State::Failed;
            last = Some(row);
            ends
        })?;
        let why = match last {
            Some(row) if wanted(&row) => return Ok(row),
            Some(row) => format!("{}, {}", row.state.word(), row.reason),
            None => "nothing is told of it".to_owned(),
        };
        Err(Error::Refused(format!("{}: not {what}: {why}", self.name)))
    }

    /// Stops every service that runs: how many they were, and how long it took until all were down.
    fn end_all(&self) -> Result<(usize, Duration), Error> {
        let mut names = Vec::new();
        let runs = |row: &Process| row.kind == Kind::Tenant && row.pid.is_some();
        self.say(&Ask::Status, |row| names.extend(runs(&row).then_some(row.name)))?;
        self.forget()?;
        let (all, begun) = (names.len(), Instant::now());
        for name in &names {
            self.say(&Ask::Stop(name.clone()), |_| ())?;
        }
        let down = names.is_empty()
            || self.told(|row| {
                names.retain(|name| *name != row.name || row.pid.is_some());
                names.is_empty()
            })?;
        if !down {
            let names: Vec<&str> = names.iter().map(Name::as_str).collect();
            return Err(Error::Refused(format!("not down in time: {}", names.join(", "))));
        }
        Ok((all, begun.elapsed()))
    }

    /// Is told rows until one is `enough`. False: none was, in time.
    fn told(&self, mut enough: impl FnMut(Process) -> bool) -> Result<bool, Error> {
        let begun = Instant::now();
        while begun.elapsed() < self.patience {
            match self.follow.wait::<Answer>() {
                Ok((Answer::Process(row), _)) => {
                    if enough(row) {
                        return Ok(true);
                    }
                }
                // A restart may take longer than an answer may.
                Ok(_) | Err(wire::Error::Silent) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(false)
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
pub(crate) fn rounds(
    word: &str,
    out: Out<'_>,
    mut round: impl FnMut() -> Result<Duration, Error>,
) -> Result<(), Error> {
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

/// Waits until a process has ended for want of memory: its state then, and why. With a `limit` it gets no more than so many bytes first, which is
/// what a leak comes to.
pub(crate) fn starves(name: &str, limit: Option<&str>, out: Out<'_>) -> Result<(), Error> {
    let talk = Talk::new(name)?;
    if let Some(bytes) = limit {
        write(&format!("gateway/{name}/memory.max"), bytes)?;
    }
    let row =
        talk.next("short of memory", |row| row.pid.is_none() && row.reason.starts_with("out of memory"))?;
    Ok(writeln!(out, "{}: {}", row.state.word(), row.reason)?)
}

/// Shows a file of the folder that the process behind a row has in `/proc`, or PID 1, or the supervisor.
pub(crate) fn look(name: &str, file: &str, out: Out<'_>) -> Result<(), Error> {
    let pid = match name {
        "init" => "1".to_owned(),
        "supervisor" => {
            let all = std::fs::read_to_string(format!("{ROOT}/gateway/supervisor/cgroup.procs"))?;
            all.lines().next().unwrap_or_default().to_owned()
        }
        _ => pid(&Talk::new(name)?.row()?)?.to_string(),
    };
    Ok(write!(out, "{}", std::fs::read_to_string(format!("/proc/{pid}/{file}"))?)?)
}

/// What a restart leaves alone, by the kernel's own numbers: the service's network namespace, its group, all services' links and their queues.
/// And what it does not: its process and the group of its life.
pub(crate) fn lasts(name: &str, out: Out<'_>) -> Result<(), Error> {
    let pid = pid_of(name)?;
    let network = std::fs::metadata(format!("/proc/{pid}/ns/net"))?.ino();
    let group = std::fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let life = format!("{ROOT}{}", group.trim_end().trim_start_matches("0::"));
    let [life, group] = [life.clone(), life + "/.."].map(std::fs::metadata);
    writeln!(out, "pid {pid}\nlife {}\nnetwork {network}\ngroup {}", life?.ino(), group?.ino())?;
    Ok(tables::links_and_queues()?.iter().try_for_each(|line| writeln!(out, "{line}"))?)
}

/// Writes a setting of the machine, a file below `/proc/sys`.
pub(crate) fn sysctl(file: &str, value: &str) -> Result<(), Error> {
    if file.contains("..") {
        return Err(usage("sysctl FILE VALUE"));
    }
    std::fs::write(format!("/proc/sys/{file}"), value)
        .map_err(|error| Error::Refused(format!("{file}: {error}")))
}

/// The process of a service that runs.
fn pid_of(name: &str) -> Result<Pid, Error> {
    pid(&Talk::new(name)?.row()?)
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
    let (all, took) = Talk::new("all")?.end_all()?;
    Ok(writeln!(out, "done {all}, {} us", took.as_micros())?)
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

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    use contract::Text;
    use contract::layer::Layers;
    use contract::manifest::Restart;
    use contract::wires::Wire;
    use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};
    use wire::{Connection, Listener, Received};

    use super::{
        Answer, Ask, CONTROL, Client, Duration, Error, Instant, Kind, Name, PATIENCE, Process, State, Talk,
        thread,
    };

    /// A talk about `a`, and the supervisor's ends of its two connections.
    fn talk(patience: Duration) -> (Talk, Connection, Connection) {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("shg-porter-{}-{number}", std::process::id()));
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let bound = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).unwrap();
        bind(bound.as_raw_fd(), &UnixAddr::new(&path).unwrap()).unwrap();
        listen(&bound, Backlog::new(2).unwrap()).unwrap();
        let clients: &'static [u32] = Box::leak(Box::new([nix::unistd::getuid().as_raw()]));
        let listener = Listener::new(Wire { clients, ..CONTROL }, bound);
        let dial = || Client::dial_at(CONTROL, &path).unwrap();
        let (client, follow) = (dial(), dial());
        let (asked, followed) = (listener.accept().unwrap(), listener.accept().unwrap());
        std::fs::remove_file(&path).unwrap();
        let talk = Talk { client, follow, name: Name::new("a").unwrap(), patience };
        (talk, asked, followed)
    }

    fn row(name: &str, state: State, pid: Option<u32>) -> Answer {
        Answer::Process(Process {
            name: Name::new(name).unwrap(),
            kind: Kind::Tenant,
            state,
            pid,
            since_ms: 0,
            ready_ms: None,
            restarts: 0,
            exit: None,
            memory_bytes: None,
            address: None,
            uid_base: None,
            layers: Layers::NONE,
            reason: Text::default(),
            autostart: false,
            restart: Restart::Always,
            restarted_ms: None,
            next_ms: None,
            stop_grace_ms: 5_000,
        })
    }

    /// Answers as many questions as there are rows of answers.
    fn answer(asked: &Connection, answers: &[Vec<Answer>]) {
        for rows in answers {
            let begun = Instant::now();
            while !matches!(asked.receive::<Ask>(), Received::Message(..)) {
                assert!(begun.elapsed() < PATIENCE, "it asks");
                thread::yield_now();
            }
            asked.send_all(rows.iter().chain([&Answer::Done])).unwrap();
        }
    }

    #[test]
    fn what_was_told_before_the_question_does_not_count() {
        let (talk, asked, followed) = talk(PATIENCE);
        // Of a round before: both waits were over at once, and nobody has read this.
        for state in [State::Starting, State::Up, State::Ending, State::Down] {
            followed.send(&row("a", state, Some(1)), &[]).unwrap();
        }
        thread::scope(|scope| {
            scope.spawn(|| {
                answer(&asked, &[vec![row("a", State::Preparing, None)]]);
                followed.send(&row("b", State::Up, Some(3)), &[]).unwrap();
                followed.send(&row("a", State::Up, Some(2)), &[]).unwrap();
            });
            let up = talk.until("up", |row| row.state == State::Up).unwrap();
            assert_eq!(up.pid, Some(2));
        });
    }

    #[test]
    fn all_ends_have_a_limit_of_time_whoever_else_is_told_of() {
        let (talk, asked, followed) = talk(Duration::from_millis(200));
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                // It is told to stop, and does not.
                answer(&asked, &[vec![row("a", State::Up, Some(1))], Vec::new()]);
                while !done.load(Ordering::Relaxed) {
                    // Another one is restless. Where the queue is full it is told later.
                    let _ = followed.send(&row("b", State::Waiting, None), &[]);
                    thread::yield_now();
                }
            });
            let end = talk.end_all();
            done.store(true, Ordering::Relaxed);
            assert!(matches!(&end, Err(Error::Refused(why)) if why == "not down in time: a"), "{end:?}");
        });
    }
}
