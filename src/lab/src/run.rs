//! `lab run`: a gateway to look at, and its operator. Its console is here, its page at a port of this host's loopback.
//!
//! In:  keys, signals. Out: the console, and notices. Ctrl-C presses the power button; again, it pulls the plug.
//!
//! Nothing is left behind but the stick, which keeps what was written to it, as a stick does.

use std::io::{IsTerminal, Read, Write, stdin, stdout};
use std::net::{SocketAddr, TcpStream};
use std::process::{ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};
use serde_json::json;

use crate::board::{Board, Console, EMULATOR, Nic, PACKAGE, Port};
use crate::command::{Words, with_keys};
use crate::error::Error;
use crate::guest::free_port;
use crate::house::{self, Scratch};
use crate::kernel::Kernel;
use crate::monitor::Monitor;
use crate::operator::{CONFIGURATION, DESK, Desk, Operator};
use crate::root::Variant;
use crate::stick;
use crate::terminal::{LEAVE, Raw, Screen};
use crate::tool::{self, Bound};

/// The port that everybody remembers; another one if it is taken.
const PAGE_PORT: u16 = 8080;
/// From the power button to the plug.
const END_LIMIT: Duration = Duration::from_secs(20);
/// One try to get the page.
const PAGE_LIMIT: Duration = Duration::from_secs(5);
/// Between two tries.
const PAGE_STEP: Duration = Duration::from_millis(500);

/// What happens while a gateway runs.
enum Event {
    /// The console said something.
    Console(Vec<u8>),
    /// The emulator has ended.
    End,
    /// Keys were pressed.
    Keys(Vec<u8>),
    /// Somebody wants us to end.
    Leave,
    /// The page has answered.
    Ready,
    /// The operator has something to say.
    Operator(String),
}

/// Boots and stays until the gateway is off, or somebody leaves.
///
/// # Errors
/// [`Error::Missing`]: something is not built or not installed. [`Error::Tool`]: the emulator.
pub fn run(words: &Words, out: &mut dyn Write) -> Result<(), Error> {
    tool::need(EMULATOR, PACKAGE)?;
    let scratch = Scratch::new()?;
    let page_port = free_port(PAGE_PORT)?;
    let lock = stick::take_kept()?;
    let stick = if lock.is_some() { stick::kept() } else { scratch.file("stick.img") };
    // What the stick has was signed with the keys that lie beside it.
    let folder = if lock.is_some() { house::cache().join("operator") } else { scratch.file("operator") };
    let operator = Operator::start(&folder)?;
    let variant = if words.test_root { Variant::Test } else { Variant::Bare };
    let root = with_keys(words, variant, &operator.texts(DESK)?)?;
    if lock.is_none() {
        stick::fresh(&stick)?;
    }
    let board = Board {
        kernel: words.kernel.image()?,
        root,
        clock: None,
        append: String::new(),
        stick: Some(stick),
        stick_bytes_s: None,
        writes: None,
        nic: Nic::E1000,
        wan: Port::Internet,
        lan: Port::Home { page_port, page_at: 80 },
        console: Console::Standard,
        door: None,
        serial: None,
        monitor: scratch.file("monitor"),
        state: None,
    };
    let page = format!("http://127.0.0.1:{page_port}/");
    let text = welcome(words.kernel, &page, &operator, lock.is_none());
    writeln!(out, "{text}").map_err(Error::io("output"))?;

    // Blocked before any thread starts, so that only the one that waits for them gets them.
    let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
    signals.thread_block().map_err(Error::errno("signals"))?;
    let began = Instant::now();
    let mut command = tool::bound(EMULATOR);
    command.args(board.arguments()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut emulator = Bound::start(&mut command)?;
    let (sender, events) = channel();
    let keys = emulator.0.stdin.take();
    if let Some(console) = emulator.0.stdout.take() {
        read_console(console, sender.clone());
    }
    let monitor = Monitor::connect(&board.monitor, &mut emulator)?;
    let terminal = Raw::take();
    if terminal.is_terminal() {
        read_keys(sender.clone());
    }
    wait_for_signal(signals, sender.clone());
    if !words.test_root {
        deliver(operator.desk(), operator.deliver(DESK)?, sender.clone());
    }
    wait_for_page(page_port, sender);
    let session = Session { events, keys, monitor, began, page, ending: None };
    let outcome = session.stay();
    drop(terminal);
    outcome
}

/// What a person should know.
fn welcome(kernel: Kernel, page: &str, operator: &Operator, stick_is_new: bool) -> String {
    let (kernel, configuration) = (kernel.word(), operator.file(CONFIGURATION));
    let mut text = format!(
        "The Service Hosting Gateway on an emulated Atom: 2 threads, 1 GiB, kernel {kernel}; its operator on this desk.\n\
         \n    page    {page}  (once the operator has brought the service)\
         \n    leave   Ctrl-C  (the power button; once more pulls the plug)\
         \n    manage  cargo run -q -p shg -- service status --config {}\n",
        configuration.display()
    );
    if stick_is_new {
        text.push_str(
            "\n    Another gateway has the kept USB stick; this one has an empty one, for as long as it runs.\n",
        );
    }
    text
}

/// What a running gateway is to us.
struct Session {
    events: Receiver<Event>,
    keys: Option<ChildStdin>,
    monitor: Monitor,
    began: Instant,
    page: String,
    /// Since when the power button is pressed.
    ending: Option<Instant>,
}

impl Session {
    /// Until the emulator has ended, or the plug is pulled (by whoever drops it).
    fn stay(mut self) -> Result<(), Error> {
        let lost = || Error::io("terminal");
        let mut screen = Screen::new(stdout(), stdout().is_terminal());
        loop {
            let patience = self
                .ending
                .map_or(Duration::from_secs(3600), |since| END_LIMIT.saturating_sub(since.elapsed()));
            match self.events.recv_timeout(patience) {
                Ok(Event::Console(bytes)) => screen.console(&bytes).map_err(lost())?,
                Ok(Event::Ready) => {
                    let text = format!(
                        "The gateway is ready after {:.1} s: {}",
                        self.began.elapsed().as_secs_f32(),
                        self.page
                    );
                    screen.notice(&text).map_err(lost())?;
                }
                Ok(Event::Operator(text)) => screen.notice(&text).map_err(lost())?,
                Ok(Event::Keys(bytes)) if !bytes.contains(&LEAVE) => {
                    if let Some(keys) = &mut self.keys {
                        let _ = keys.write_all(&bytes).and_then(|()| keys.flush());
                    }
                }
                Ok(Event::Keys(_) | Event::Leave) if self.ending.is_none() => {
                    self.ending = Some(Instant::now());
                    let text =
                        "Power button pressed: the gateway ends in order. Ctrl-C again pulls the plug.";
                    screen.notice_now(text).map_err(lost())?;
                    self.monitor.execute("system_powerdown", json!({}))?;
                }
                Ok(Event::Keys(_) | Event::Leave) => {
                    return screen.notice_now("Plug pulled.").map_err(lost());
                }
                Ok(Event::End) | Err(RecvTimeoutError::Disconnected) => {
                    return screen.notice_now("The gateway is off.").map_err(lost());
                }
                Err(RecvTimeoutError::Timeout) if self.ending.is_some() => {
                    let text = format!("It did not end within {} s: plug pulled.", END_LIMIT.as_secs());
                    return screen.notice_now(&text).map_err(lost());
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

fn read_console(mut console: impl Read + Send + 'static, events: Sender<Event>) {
    thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(count @ 1..) = console.read(&mut piece) {
            if events.send(Event::Console(piece.get(..count).unwrap_or_default().to_vec())).is_err() {
                return;
            }
        }
        let _ = events.send(Event::End);
    });
}

fn read_keys(events: Sender<Event>) {
    thread::spawn(move || {
        let mut piece = [0; 256];
        while let Ok(count @ 1..) = stdin().lock().read(&mut piece) {
            if events.send(Event::Keys(piece.get(..count).unwrap_or_default().to_vec())).is_err() {
                return;
            }
        }
    });
}

fn wait_for_signal(signals: SigSet, events: Sender<Event>) {
    thread::spawn(move || while signals.wait().is_ok() && events.send(Event::Leave).is_ok() {});
}

/// Lets the operator bring the first service, once the gateway obeys him.
fn deliver(desk: Desk, source: String, events: Sender<Event>) {
    let tell = move |text: String| events.send(Event::Operator(text)).is_ok();
    thread::spawn(move || {
        while !desk.answers() {
            thread::sleep(PAGE_STEP);
        }
        if !tell(format!("The gateway obeys its operator, who brings {source}")) {
            return;
        }
        let done = desk.bring("hello", &source).map(|done| format!("{done}."));
        tell(done.unwrap_or_else(|error| format!("The service was not installed: {error}")));
    });
}

/// Says so when the page answers for the first time.
fn wait_for_page(port: u16, events: Sender<Event>) {
    thread::spawn(move || {
        while !page_answers(port) {
            thread::sleep(PAGE_STEP);
        }
        let _ = events.send(Event::Ready);
    });
}

/// Source: RFC 9112, section 4: a status line begins with the version and the code.
fn page_answers(port: u16) -> bool {
    let get = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), PAGE_LIMIT)?;
        stream.set_read_timeout(Some(PAGE_LIMIT))?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: 192.168.1.1\r\nConnection: close\r\n\r\n")?;
        let mut status = [0; 12];
        stream.read_exact(&mut status)?;
        Ok(status.starts_with(b"HTTP/1.") && status.ends_with(b" 200"))
    };
    get().unwrap_or(false)
}
