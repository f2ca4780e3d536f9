//! A gateway in the emulator, for tests, benches and `lab smoke`.
//!
//! In:  `Options`: kernel, root, what stands around it. Out: a running `Guest`; it is killed, and its files removed, when dropped.
//!
//! What a test asks of it goes through the user's own doors: `ctl` (by the serial port of the test root), the page, the network,
//! the power button. The console is kept for a person to read after a failure, never to be scraped by a test.
//!
//! Times are five times what a free machine needs, for emulation beside other work is slow.

mod buttons;
mod saved;
mod silence;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::board::{Board, Console, EMULATOR, Nic, PACKAGE, Port};
use crate::door::{Answer, Door};
use crate::error::Error;
use crate::house::Scratch;
use crate::kernel::Kernel;
use crate::monitor::Monitor;
use crate::provider::Provider;
use crate::root::{self, Variant};
use crate::slot::Slot;
use crate::tool::{self, Bound};
use crate::topology::{Side, Topology};
use crate::{stick, wait};

/// From the emulator's start to the door's first word. A free machine needs ten seconds with the quick-start kernel.
pub const BOOT_LIMIT: Duration = Duration::from_secs(150);
/// From the door's first word to every process being up.
pub const UP_LIMIT: Duration = Duration::from_secs(90);
/// From the power button to the emulator's end: the gateway's own bound, and slack.
pub const END_LIMIT: Duration = Duration::from_secs(90);

/// The guest's file that its stick is.
pub const STICK: &str = "stick.img";
/// The guest's file where its serial adapter is plugged in.
const SERIAL: &str = "serial";
/// The guest's file with all that was written to its stick (`writes.rs`).
pub const WRITES: &str = "stick.writes";

/// VLANs of the provider with [`Around::Tagged`]: the Internet's, voice's, TV's.
pub const VLANS: [u16; 3] = [10, 20, 30];

/// What stands around the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Around {
    /// Nothing: both Ethernet ports are unplugged.
    Nothing,
    /// The emulator's own Internet and LAN; the page is at a port of the host's loopback.
    Emulated,
    /// A provider and a host at home that we did not write. The test is inside `namespace::enter`.
    Topology,
    /// As [`Around::Topology`], and the provider has VLANs: [`VLANS`].
    Tagged,
    /// As [`Around::Topology`], and the provider is a guest of its own (`provider.rs`), with VLANs and PPPoE.
    Provider,
}

/// How to boot.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which kernel.
    pub kernel: Kernel,
    /// Which root; not every one has a door.
    pub variant: Variant,
    /// What stands around it.
    pub around: Around,
    /// The port of the gateway's at home that [`Guest::page`] leads to, with [`Around::Emulated`].
    pub page_at: u16,
    /// What its Ethernet ports are.
    pub nic: Nic,
    /// With the USB stick?
    pub stick: bool,
    /// What the stick reads and writes in a second, together, in bytes; `None`: whatever the host can. Not with `records`.
    pub stick_bytes_s: Option<u32>,
    /// Keep all that is written to the stick, in order, in the guest's file [`WRITES`]?
    pub records: bool,
    /// With a serial adapter that [`Guest::plug_serial`] plugs in?
    pub serial: bool,
    /// What its clock says when it starts, in UTC: `2039-01-01T00:00:00`; `None`: the host's time.
    pub clock: Option<String>,
    /// More words for the kernel's command line.
    pub append: String,
    /// The wanted network as text; `None`: the one that we ship.
    pub network: Option<String>,
    /// Whom it obeys, as text; `None`: nobody.
    pub agent: Option<String>,
    /// More files of its root: where, and what is in them.
    pub files: Vec<(String, Vec<u8>)>,
    /// A folder with what is on its stick; `None`: nothing.
    pub data: Option<PathBuf>,
    /// The stick's image that its stick begins as; `None`: a fresh one.
    pub image: Option<PathBuf>,
    /// What [`Guest::save`] kept of a guest with the same options otherwise, for [`Guest::resume`].
    pub state: Option<PathBuf>,
}

impl Options {
    /// The usual guest: kernel by `SHG_KERNEL`, test root, emulated surroundings, stick.
    ///
    /// # Errors
    /// [`Error::Usage`]: `SHG_KERNEL` names no kernel.
    pub fn usual() -> Result<Self, Error> {
        Kernel::from_environment().map(Self::new)
    }

    /// The usual guest with this kernel.
    #[must_use]
    pub fn new(kernel: Kernel) -> Self {
        Self {
            kernel,
            variant: Variant::Test,
            around: Around::Emulated,
            page_at: 80,
            nic: Nic::E1000,
            stick: true,
            stick_bytes_s: None,
            records: false,
            serial: false,
            clock: None,
            append: String::new(),
            network: None,
            agent: None,
            files: Vec::new(),
            data: None,
            image: None,
            state: None,
        }
    }

    /// The root of such a guest.
    ///
    /// # Errors
    /// As [`root::assemble_with`].
    pub fn root(&self) -> Result<root::Root, Error> {
        let texts = [(root::NETWORK, &self.network), (root::AGENT, &self.agent)];
        let texts = texts.iter().filter_map(|(path, text)| Some((*path, text.as_deref()?.as_bytes())));
        let files = self.files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice()));
        let files: Vec<(&str, &[u8])> = texts.chain(files).collect();
        root::assemble_with(self.kernel, self.variant, &files)
    }

    fn make_stick(&self, path: &Path) -> Result<(), Error> {
        match (&self.image, &self.data) {
            (Some(image), _) => stick::copy(image, path),
            (None, Some(folder)) => stick::holding(path, folder),
            (None, None) => stick::fresh(path),
        }
    }
}

/// A running gateway.
#[derive(Debug)]
pub struct Guest {
    // Dropped in this order: the emulator first, the place that others wait for last.
    emulator: Bound,
    monitor: Monitor,
    door: Option<Door>,
    topology: Option<Topology>,
    provider: Option<Provider>,
    page_port: Option<u16>,
    console: PathBuf,
    scratch: Scratch,
    _slot: Slot,
}

impl Guest {
    /// Boots a guest and, with the test root, waits until its door is open. `None`: it cannot run here; the reason was printed as a
    /// line `skipped: …`, and the test returns.
    ///
    /// # Errors
    /// Whatever goes wrong but what is missing; [`Error::Late`] has the console's last lines.
    pub fn boot(options: &Options) -> Result<Option<Self>, Error> {
        match Self::boot_or_say(options) {
            Ok(guest) => Ok(Some(guest)),
            Err(why @ Error::Missing { .. }) => {
                println!("skipped: {why}");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// As [`Guest::boot`], and what is missing is an error.
    ///
    /// # Errors
    /// [`Error::Missing`] with what brings it; others as [`Guest::boot`].
    pub fn boot_or_say(options: &Options) -> Result<Self, Error> {
        tool::need(EMULATOR, PACKAGE)?;
        let root = options.root()?;
        eprintln!("» booting the gateway, kernel {}", options.kernel.word());
        let mut guest = Self::start(options, root)?;
        if let Some(provider) = &mut guest.provider {
            provider.wait_ready(BOOT_LIMIT)?;
        }
        guest.wait_ready(BOOT_LIMIT)?;
        Ok(guest)
    }

    /// Starts the emulator with `root` and does not wait for the guest.
    ///
    /// # Errors
    /// As [`Guest::boot_or_say`].
    pub fn start(options: &Options, root: root::Root) -> Result<Self, Error> {
        tool::need(EMULATOR, PACKAGE)?;
        let slot = Slot::take()?;
        let scratch = Scratch::new()?;
        let topology = match options.around {
            Around::Topology | Around::Provider => Some(Topology::make()?),
            Around::Tagged => Some(Topology::make_tagged(&VLANS)?),
            Around::Nothing | Around::Emulated => None,
        };
        let provider = match options.around {
            Around::Provider => Some(Provider::start(&scratch)?),
            Around::Nothing | Around::Emulated | Around::Topology | Around::Tagged => None,
        };
        let page_port = match options.around {
            Around::Emulated => Some(free_port(0)?),
            Around::Nothing | Around::Topology | Around::Tagged | Around::Provider => None,
        };
        let port = |side, emulated| match (&topology, page_port) {
            (Some(topology), _) => topology.port(side),
            (None, Some(_)) => emulated,
            (None, None) => Port::Unplugged,
        };
        let console = scratch.file("console.log");
        let board = Board {
            kernel: options.kernel.image()?,
            root,
            clock: options.clock.clone(),
            append: options.append.clone(),
            stick: options.stick.then(|| scratch.file(STICK)),
            stick_bytes_s: options.stick_bytes_s,
            writes: options.records.then(|| scratch.file(WRITES)),
            nic: options.nic,
            wan: provider.as_ref().map_or_else(|| port(Side::Isp, Port::Internet), Provider::port),
            lan: port(
                Side::Lan,
                Port::Home { page_port: page_port.unwrap_or_default(), page_at: options.page_at },
            ),
            console: Console::File(console.clone()),
            serial: options.serial.then(|| scratch.file(SERIAL)),
            door: options.variant.has_door().then(|| scratch.file("door")),
            monitor: scratch.file("monitor"),
            state: options.state.clone(),
        };
        if let Some(path) = &board.stick {
            options.make_stick(path)?;
        }
        if let Some(path) = &board.writes {
            fs::File::create(path).map_err(Error::path(path))?;
        }
        let mut command = tool::bound(EMULATOR);
        let log = scratch.file("emulator.log");
        let log = fs::File::create(&log).map_err(Error::path(&log))?;
        command.args(board.arguments()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let mut emulator = Bound::start(&mut command)?;
        let monitor = Monitor::connect(&board.monitor, &mut emulator).map_err(|error| {
            let words = fs::read_to_string(scratch.file("emulator.log")).unwrap_or_default();
            Error::Tool { program: EMULATOR.to_owned(), why: format!("{error}; {}", words.trim_end()) }
        })?;
        let door = board.door.as_deref().map(Door::connect).transpose()?;
        Ok(Self { emulator, monitor, door, topology, provider, page_port, console, scratch, _slot: slot })
    }

    /// Waits until the door opens (again: after a reboot). Without a door it returns at once.
    ///
    /// # Errors
    /// [`Error::Answer`]: it does not, with what it was seen to do.
    pub fn wait_ready(&mut self, limit: Duration) -> Result<(), Error> {
        let Some(door) = &mut self.door else { return Ok(()) };
        door.wait_ready(limit).map_err(|error| self.seen(error))
    }

    /// Carries out `ctl <request>` and returns what it printed and its exit code.
    ///
    /// # Errors
    /// [`Error::Missing`]: the shipped root has no door. [`Error::Answer`] in place of `Late`: with what a silent guest was seen to do.
    /// Others as [`Door::ask`].
    pub fn ask(&mut self, request: &str) -> Result<Answer, Error> {
        self.its_door()?.ask(request).map_err(|error| self.seen(error))
    }

    fn its_door(&mut self) -> Result<&mut Door, Error> {
        let missing =
            || Error::Missing { what: "the door".to_owned(), remedy: "the test root has one".to_owned() };
        self.door.as_mut().ok_or_else(missing)
    }

    /// As [`Guest::ask`], and the command has to succeed.
    ///
    /// # Errors
    /// [`Error::Answer`] with what it printed.
    pub fn door(&mut self, request: &str) -> Result<String, Error> {
        let answer = self.ask(request)?;
        if answer.exit == 0 {
            return Ok(answer.text);
        }
        let why = format!("exit {}: {}", answer.exit, answer.text.trim_end());
        Err(Error::Answer { who: format!("ctl {request}"), why })
    }

    /// As [`Guest::door`], for a request with `--json`.
    ///
    /// # Errors
    /// [`Error::Answer`]: it is no JSON.
    pub fn json(&mut self, request: &str) -> Result<Value, Error> {
        let text = self.door(request)?;
        serde_json::from_str(&text)
            .map_err(|error| Error::Answer { who: format!("ctl {request}"), why: format!("{error}: {text}") })
    }

    /// Asks `question` until it has an answer.
    ///
    /// # Errors
    /// [`Error::Answer`]: it is late, with the console's last lines; whatever `question` fails with.
    pub fn until<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut question: impl FnMut(&mut Self) -> Result<Option<T>, Error>,
    ) -> Result<T, Error> {
        let outcome = wait::until(what, limit, || question(self));
        outcome.map_err(|error| {
            let Error::Late { .. } = error else { return error };
            Error::Answer { who: error.to_string(), why: self.last_lines() }
        })
    }

    /// The neighbours; with [`Around::Topology`] they are there.
    ///
    /// # Errors
    /// [`Error::Missing`]: the guest was booted without.
    pub fn topology(&mut self) -> Result<&mut Topology, Error> {
        let missing =
            || Error::Missing { what: "neighbours".to_owned(), remedy: "Around::Topology".to_owned() };
        self.topology.as_mut().ok_or_else(missing)
    }

    /// The provider's guest; with [`Around::Provider`] it is there.
    ///
    /// # Errors
    /// [`Error::Missing`]: the guest was booted without.
    pub fn provider(&mut self) -> Result<&mut Provider, Error> {
        let missing =
            || Error::Missing { what: "a provider".to_owned(), remedy: "Around::Provider".to_owned() };
        self.provider.as_mut().ok_or_else(missing)
    }

    /// Where the page is, seen from this host; with [`Around::Emulated`].
    #[must_use]
    pub fn page(&self) -> Option<String> {
        self.page_port.map(|port| format!("http://127.0.0.1:{port}/"))
    }

    /// The monitor, for what has no button here.
    pub fn monitor(&mut self) -> &mut Monitor {
        &mut self.monitor
    }

    /// All that the console said until now.
    #[must_use]
    pub fn console(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.console).unwrap_or_default()).into_owned()
    }

    /// The console's last lines, for the text of a failure.
    #[must_use]
    pub fn last_lines(&self) -> String {
        const LINES: usize = 25;
        let console = self.console();
        let lines: Vec<&str> = console.lines().rev().take(LINES).collect();
        lines
            .into_iter()
            .rev()
            .fold(String::from("the console's last lines:"), |text, line| text + "\n    " + line)
    }

    /// A file beside the guest's, removed with it.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.scratch.file(name)
    }
}

/// A port of the loopback that nobody listens on: `first` if that is free, or any.
///
/// # Errors
/// [`Error::Io`]: there is none.
pub fn free_port(first: u16) -> Result<u16, Error> {
    let bound = TcpListener::bind(("127.0.0.1", first)).or_else(|_| TcpListener::bind(("127.0.0.1", 0)));
    let address = bound.and_then(|listener| listener.local_addr());
    address.map(|address| address.port()).map_err(Error::io("a free port of 127.0.0.1"))
}
