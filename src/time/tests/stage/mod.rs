//! A network namespace with time servers that we did not write, and the engine in it with a clock of the test's own.
//!
//! In:  whom to ask, and how wrong the clock is. Out: what the engine says and does.
//!
//! Source: chrony.conf(5), dnsmasq(8); `testbed`.
#![allow(dead_code, unused_imports, reason = "each test takes what it needs")]

use std::cell::RefCell;
use std::fs;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use contract::clock::{Answer, Clock as Said, Source};
use contract::told;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use state::Folder;
use sys::Errno;
pub(crate) use testbed::{Program, run};
use time::clockwork::{Clock, Slew};
use time::engine::Engine;
use time::kept::Keeper;
use time::servers::Servers;
use time::stamp;

/// As [`testbed::enter`].
pub(crate) fn enter(name: &str, programs: &[&str]) -> bool {
    testbed::enter(name, programs, "ip link set lo up")
}

/// What time it is, in nanoseconds since 1970.
pub(crate) fn true_ns() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap()
}

/// A clock that is wrong by so much, in nanoseconds; it is set at once where the kernel would slew.
#[derive(Debug, Clone)]
pub(crate) struct Wrong(pub(crate) Rc<RefCell<Inside>>);

#[derive(Debug)]
pub(crate) struct Inside {
    pub(crate) ahead_ns: i64,
    pub(crate) frequency_ppb: i64,
    pub(crate) sets: usize,
    pub(crate) slews: usize,
}

impl Wrong {
    /// One that says `now_s`, in seconds since 1970.
    pub(crate) fn at(now_s: i64) -> Self {
        let ahead_ns = now_s * stamp::SECOND_NS - true_ns();
        Self(Rc::new(RefCell::new(Inside { ahead_ns, frequency_ppb: 0, sets: 0, slews: 0 })))
    }
}

impl Clock for Wrong {
    fn now_ns(&self) -> i64 {
        true_ns() + self.0.borrow().ahead_ns
    }
    fn set(&mut self, now_ns: i64) -> Result<(), Errno> {
        let mut inside = self.0.borrow_mut();
        inside.ahead_ns = now_ns - true_ns();
        inside.sets += 1;
        Ok(())
    }
    fn slew(&mut self, slew: &Slew) -> Result<(), Errno> {
        self.0.borrow_mut().slews += 1;
        assert!(slew.offset_ns.abs() <= 500_000_000 && slew.constant <= 10, "{slew:?}");
        Ok(())
    }
    fn frequency_ppb(&self) -> i64 {
        self.0.borrow().frequency_ppb
    }
    fn set_frequency(&mut self, ppb: i64) -> Result<(), Errno> {
        self.0.borrow_mut().frequency_ppb = ppb;
        Ok(())
    }
}

/// The namespace, and files of the test's.
pub(crate) struct Stage {
    pub(crate) top: PathBuf,
    pub(crate) clock: Wrong,
    engine: Engine<Wrong>,
    /// What was jumped over of times in which nothing happens, in milliseconds.
    jumped_ms: u64,
    programs: Vec<Program>,
}

impl Stage {
    /// With addresses 192.0.2.1 to .9, and a clock that says 1970.
    pub(crate) fn new(name: &str, servers: Servers) -> Self {
        sys::logger::to_stderr("time"); // Heard only where the test fails.
        run(&["ip", "link", "set", "lo", "up"]);
        for number in [1, 2, 3, 4, 5, 53] {
            run(&["ip", "address", "add", &format!("192.0.2.{number}/32"), "dev", "lo"]);
        }
        let top = std::env::temp_dir().join(format!("shg-time-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&top);
        fs::create_dir_all(top.join("disk")).unwrap();
        let clock = Wrong::at(0);
        let keeper = Keeper::new(&Folder::at(&top.join("disk")));
        let engine = Engine::new(clock.clone(), servers, keeper, &top.join("synchronized"));
        Self { top, clock, engine, jumped_ms: 0, programs: Vec::new() }
    }

    /// Starts chronyd at 192.0.2.`number`, with more lines in its configuration.
    pub(crate) fn chrony(&mut self, number: u8, more: &str) {
        let (file, log) = (self.top.join(format!("chrony-{number}")), self.top.join(format!("log-{number}")));
        let pid = self.top.join(format!("pid-{number}"));
        let text = format!(
            "bindaddress 192.0.2.{number}\nallow all\nlocal stratum 2\ncmdport 0\nbindcmdaddress /\npidfile {}\n{more}\n",
            pid.display()
        );
        fs::write(&file, text).unwrap();
        let file = file.display().to_string();
        self.programs.push(Program::start(
            "",
            &["chronyd", "-d", "-x", "-u", "root", "-F", "0", "-f", &file],
            Some(&log),
        ));
    }

    /// Ends the program that was started last.
    pub(crate) fn end_last(&mut self) {
        self.programs.pop();
    }

    /// Starts a name server at 192.0.2.53 that knows these: name, address.
    pub(crate) fn names(&mut self, all: &[(&str, &str)]) {
        let mut words: Vec<String> =
            ["dnsmasq", "--no-daemon", "--conf-file=/dev/null"].map(str::to_owned).to_vec();
        words.extend(
            ["--no-resolv", "--no-hosts", "--bind-interfaces", "--listen-address=192.0.2.53"]
                .map(str::to_owned),
        );
        for (name, address) in all {
            words.push(format!("--host-record={name},{address}"));
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.programs.push(Program::start("", &words, Some(&self.top.join("log-names"))));
        listens("192.0.2.53:53");
    }

    fn now_ms(&self) -> u64 {
        sys::clock::boot_ms() + self.jumped_ms
    }

    /// Tells the engine whom to ask.
    pub(crate) fn tell(&mut self, servers: &[&str], nts: &[&str]) {
        let told = told::Time {
            online: true,
            servers: servers.iter().map(|name| contract::Text::from(*name)).collect(),
            nts: nts.iter().map(|name| contract::Text::from(*name)).collect(),
            name_servers: heapless::Vec::from_iter([[192, 0, 2, 53].into()]),
        };
        let now_ms = self.now_ms();
        self.engine.tell(&told, now_ms);
    }

    /// What there is to say.
    pub(crate) fn said(&self) -> (Said, Vec<Source>) {
        let (mut clock, mut sources) = (None, Vec::new());
        for answer in self.engine.answers(self.now_ms()) {
            match answer {
                Answer::Clock(said) => clock = Some(said),
                Answer::Source(source) => sources.push(source),
                Answer::Done => {}
            }
        }
        (clock.unwrap(), sources)
    }

    /// Lets the engine work until `condition` holds; times in which nothing is under way are jumped over, a minute each at most.
    pub(crate) fn until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        const LIMIT: Duration = Duration::from_secs(60);
        let end = Instant::now() + LIMIT;
        loop {
            let now_ms = self.now_ms();
            self.engine.turn(now_ms);
            if condition(self) {
                return;
            }
            assert!(
                Instant::now() < end,
                "{what}: not within {LIMIT:?}: {:#?}\n{}",
                self.said(),
                self.logs()
            );
            let due_ms = self.engine.due_ms().unwrap().saturating_sub(self.now_ms());
            let mut wanted: Vec<PollFd<'_>> =
                self.engine.descriptors().map(|one| PollFd::new(one, PollFlags::POLLIN)).collect();
            if wanted.is_empty() {
                self.jumped_ms += due_ms.min(60_000);
                continue;
            }
            let limit = PollTimeout::try_from(due_ms.clamp(1, 1_000)).unwrap();
            poll(&mut wanted, limit).unwrap();
        }
    }

    fn logs(&self) -> String {
        let logs = fs::read_dir(&self.top).unwrap().flatten();
        let logs = logs.filter(|entry| entry.file_name().to_string_lossy().starts_with("log-"));
        logs.map(|entry| fs::read_to_string(entry.path()).unwrap_or_default()).collect()
    }

    pub(crate) fn is_synchronized(&self) -> bool {
        self.engine.is_synchronized()
    }

    /// How wrong the clock is, in milliseconds.
    pub(crate) fn wrong_ms(&self) -> i64 {
        self.clock.0.borrow().ahead_ns / 1_000_000
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.programs.clear();
        let _ = fs::remove_dir_all(&self.top);
    }
}

/// Waits until somebody listens there (TCP).
pub(crate) fn listens(address: &str) {
    let end = Instant::now() + Duration::from_secs(20);
    while std::net::TcpStream::connect(address).is_err() {
        assert!(Instant::now() < end, "{address}: nobody listens");
        std::thread::sleep(Duration::from_millis(20)); // a step of a wait with a limit
    }
}

/// A server of the test's own at 192.0.2.`number`: `say` makes an answer of each question. How often it was asked is counted.
pub(crate) fn server(
    number: u8,
    say: impl Fn(&[u8], usize) -> Option<Vec<u8>> + Send + 'static,
) -> Arc<Mutex<usize>> {
    let socket = UdpSocket::bind((format!("192.0.2.{number}"), 123)).unwrap();
    let asked = Arc::new(Mutex::new(0));
    let count = Arc::clone(&asked);
    std::thread::spawn(move || {
        let mut buffer = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let mut count = count.lock().unwrap();
            *count += 1;
            if let Some(bytes) = say(&buffer[..length], *count) {
                let _ = socket.send_to(&bytes, from);
            }
        }
    });
    asked
}

/// An answer to `question` from a server of this stratum whose clock says `now_ns`; stratum 0: a kiss with this code.
pub(crate) fn answer(question: &[u8], stratum: u8, code: &[u8; 4], now_ns: i64) -> Vec<u8> {
    let now = stamp::write(now_ns).to_be_bytes();
    let mut bytes = vec![0x24, stratum, 6, 0xec, 0, 0, 0, 16, 0, 0, 0, 16];
    bytes.extend(code);
    for part in [&now[..], &question[40..48], &now, &now] {
        bytes.extend(part);
    }
    bytes
}
