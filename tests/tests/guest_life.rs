//! Everything may be killed at any instant: the supervisor, each core daemon; and a service that lacks a layer does not run at all.
//!
//! In:  the rehearsal root: the gateway with more tenants (`supervisor::catalogue`). Out: passed, failed, or `skipped: ` and why.
//!
//! `LONG=1` kills more often, and lets the hardware watchdog bite.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use contract::layer::Layer;
use lab::error::Error;
use lab::guest::{Around, Guest, Options, UP_LIMIT};
use lab::root::{self, Variant};
use lab::topology::Side;
use lab::{facts, namespace, wait};

/// How often the supervisor is killed under a tenant that talks; ten times as often in the long run.
const KILLS: u64 = 50;
/// How often each daemon is killed.
const DAEMON_KILLS: u64 = 2;
/// From the emulator's start to the watchdog's bite: a boot, its minute, and slack.
const WATCHDOG_LIMIT: Duration = Duration::from_secs(300);
/// Every core daemon, and a question that only it can answer.
const DAEMONS: [(&str, &str); 5] = [
    ("storage", "disk"),
    ("network", "network"),
    ("lease", "leases"),
    ("time", "time"),
    ("identity", "identity"),
];

fn long() -> bool {
    std::env::var_os("LONG").is_some_and(|value| value == "1")
}

fn boot(around: Around) -> Option<Guest> {
    let options = Options { variant: Variant::Rehearsal, around, ..Options::usual().unwrap() };
    let mut guest = Guest::boot(&options).unwrap()?;
    facts::wait_all_up(&mut guest).unwrap();
    Some(guest)
}

/// A host at home that listens to `chatter` on one connection.
struct Listener {
    program: Child,
    heard: Arc<Mutex<Vec<u64>>>,
}

impl Listener {
    fn begin(guest: &mut Guest) -> Self {
        let topology = guest.topology().unwrap();
        topology.lan_lease(UP_LIMIT).unwrap();
        let mut command = topology.command(Side::Lan, &["busybox", "nc", "192.168.1.1", "7000"]);
        let mut program = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(program.stdout.take().unwrap()).lines();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let place = Arc::clone(&heard);
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let number = line.strip_prefix("tick ").and_then(|number| number.parse::<u64>().ok());
                place.lock().unwrap().extend(number);
            }
        });
        Self { program, heard }
    }

    /// Waits until more is heard, and looks whether all of it came, in order.
    fn goes_on(&self, what: &str) {
        let before = self.heard.lock().unwrap().len();
        wait::until(what, UP_LIMIT, || Ok((self.heard.lock().unwrap().len() > before + 1).then_some(())))
            .unwrap();
        let heard = self.heard.lock().unwrap();
        assert!(
            heard.iter().copied().eq(0..u64::try_from(heard.len()).unwrap()),
            "{what}: a word is missing"
        );
    }

    fn say(&mut self, line: &str) {
        self.program.stdin.as_mut().unwrap().write_all(line.as_bytes()).unwrap();
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

fn resident(guest: &mut Guest, name: &str) -> u64 {
    let all = facts::resident(guest).unwrap();
    all.iter().find(|(found, _)| found == name).unwrap().1
}

/// Kills the supervisor and waits for its next life.
fn kill_supervisor(guest: &mut Guest) {
    let lives = facts::lives(guest).unwrap();
    guest.door("kill supervisor").unwrap();
    // The wire's queue keeps the question until the next life answers it; a broken connection is asked again.
    guest
        .until(
            "the next life",
            UP_LIMIT,
            |guest| Ok((facts::lives(guest).unwrap_or(0) > lives).then_some(())),
        )
        .unwrap();
}

/// The numbers of chatter's lines, as its log has them.
fn lines(guest: &mut Guest) -> Vec<u64> {
    let log = facts::log(guest, "chatter").unwrap();
    // The ring may begin in the middle of a line.
    log.iter().skip(1).filter_map(|line| line.strip_prefix("line ")?.parse().ok()).collect()
}

#[test]
fn nothing_is_lost_when_the_supervisor_or_a_daemon_is_killed() {
    let Some(()) = namespace::enter("nothing_is_lost_when_the_supervisor_or_a_daemon_is_killed").unwrap()
    else {
        return;
    };
    let Some(mut guest) = boot(Around::Topology) else { return };
    let mut listener = Listener::begin(&mut guest);
    listener.goes_on("chatter is heard at home");
    let before = facts::processes(&mut guest).unwrap();
    let init_kib = resident(&mut guest, "init");

    let kills = if long() { KILLS * 10 } else { KILLS };
    for kill in 0..kills {
        kill_supervisor(&mut guest);
        assert_eq!(
            facts::lives(&mut guest).unwrap(),
            kill + 2,
            "one death, one life\n{}",
            guest.last_lines()
        );
    }
    println!("the supervisor was killed {kills} times");
    listener.goes_on("the connection outlives the supervisor");
    let after = facts::processes(&mut guest).unwrap();
    assert_eq!(after, before, "no process was restarted, none changed its state");
    // Its heap is locked: a request for memory would have ended it, and the machine with it. What it may gain is pages of its program.
    let grown_kib = resident(&mut guest, "init").saturating_sub(init_kib);
    assert!(grown_kib <= 64, "PID 1 has grown by {grown_kib} KiB");
    let numbers = lines(&mut guest);
    let (first, last) = (numbers[0], *numbers.last().unwrap());
    assert_eq!(numbers, (first..=last).collect::<Vec<u64>>(), "every line of the log is there");
    assert!(numbers.len() > 1000, "{} lines in the ring", numbers.len());

    for (daemon, question) in DAEMONS {
        for _ in 0..DAEMON_KILLS {
            let restarts = facts::process(&mut guest, daemon).unwrap().restarts;
            guest.door(&format!("kill {daemon}")).unwrap();
            guest
                .until(&format!("{daemon} up again"), UP_LIMIT, |guest| {
                    let now = facts::process(guest, daemon)?;
                    Ok((now.state == "up" && now.restarts > restarts).then_some(()))
                })
                .unwrap();
            assert_eq!(facts::process(&mut guest, daemon).unwrap().exit.as_deref(), Some("signal 9"));
            guest
                .until(question, UP_LIMIT, |guest| Ok((guest.ask(question)?.exit == 0).then_some(())))
                .unwrap();
            listener.goes_on(&format!("the connection outlives {daemon}"));
        }
    }
    let chatter = facts::process(&mut guest, "chatter").unwrap();
    assert_eq!((chatter.restarts, chatter.exit.as_deref()), (0, None), "nobody touched it");

    // It ends while nobody is there to see it: the supervisor is stopped, then killed.
    guest.door("kill supervisor STOP").unwrap();
    listener.say("exit 7\n");
    let gone = |program: &mut Child| Ok(program.try_wait().map_err(Error::io("nc"))?.map(drop));
    wait::until("the end of the connection", UP_LIMIT, || gone(&mut listener.program)).unwrap();
    guest.door("kill supervisor").ok();
    let told = guest.until("chatter's true end", UP_LIMIT, |guest| {
        let chatter = facts::process(guest, "chatter").ok();
        Ok(chatter.filter(|chatter| chatter.restarts == 1 && chatter.state == "up"))
    });
    assert_eq!(told.unwrap().exit.as_deref(), Some("code 7"), "{}", guest.last_lines());
}

#[test]
fn a_service_that_lacks_a_layer_does_not_start() {
    let Some(mut guest) = boot(Around::Nothing) else { return };
    // The rehearsal root lacks a module, too: that is noted and no more. There is nobody to be asked for PID 1's log but the console.
    assert!(guest.console().contains("not-there.ko"), "{}", guest.last_lines());

    guest.door("start copy-1").unwrap();
    let up = |guest: &mut Guest| Ok((facts::process(guest, "copy-1")?.state == "up").then_some(()));
    guest.until("the same service with every layer", UP_LIMIT, up).unwrap();

    // Of the disk it is promised nothing, so there is nothing to lack: `guest_disk` has one that is.
    for layer in Layer::ALL.into_iter().filter(|layer| *layer != Layer::Disk) {
        let word = layer.word();
        guest.door(&format!("rehearse copy-2 judge {word}")).unwrap();
        guest.door("start copy-2").unwrap();
        let ended = guest.until(word, UP_LIMIT, |guest| {
            let process = facts::process(guest, "copy-2")?;
            let ended = ["failed", "up"].contains(&process.state.as_str());
            // Of the start before it may still say so. With the supervisor's hundreds of descriptors a child comes not even as far as that.
            let told = process.reason.contains(word)
                || layer == Layer::Descriptors && process.reason.contains("Too many open files");
            Ok((ended && (process.state == "up" || told)).then_some(process))
        });
        let process = ended.unwrap();
        println!("without {word}: {}, {}", process.state, process.reason);
        assert_eq!(process.state, "failed", "without {word}");
    }
    let log = facts::log(&mut guest, "copy-2").unwrap();
    assert!(!log.iter().any(|line| line.contains("serving")), "it has run: {log:?}");
    kill_supervisor(&mut guest);
    let still = facts::process(&mut guest, "copy-2").unwrap();
    assert_eq!(still.state, "failed", "a next life does not try it again");
}

#[test]
fn a_supervisor_that_hangs_is_replaced() {
    let Some(mut guest) = boot(Around::Nothing) else { return };
    let before = facts::processes(&mut guest).unwrap();
    let lives = facts::lives(&mut guest).unwrap();
    guest.door("kill supervisor STOP").unwrap();
    let next = |guest: &mut Guest| Ok((facts::lives(guest).unwrap_or(0) > lives).then_some(()));
    guest.until("a life after the hang", UP_LIMIT, next).unwrap();
    assert_eq!(facts::processes(&mut guest).unwrap(), before, "nobody else noticed");
}

#[test]
fn a_machine_whose_supervisor_never_answers_is_reset_by_its_watchdog() {
    if !long() {
        return println!("skipped: the watchdog waits a minute before it bites: LONG=1");
    }
    let options = Options { variant: Variant::Silent, around: Around::Nothing, ..Options::usual().unwrap() };
    let root = match root::assemble(options.kernel, options.variant) {
        Err(why @ Error::Missing { .. }) => return println!("skipped: {why}"),
        other => other.unwrap(),
    };
    let mut guest = Guest::start(&options, root).unwrap();
    let bite = guest.monitor().event("WATCHDOG", WATCHDOG_LIMIT);
    assert!(bite.is_ok(), "{}", guest.last_lines());
}
