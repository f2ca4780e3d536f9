//! The provider as a guest of its own beside the gateway's: Debian's kernel and programs, for what this host's kernel may lack (VLANs,
//! PPP, shaped lines).
//!
//! In:  what `src/lab/setup/provider.sh` made. Out: a running guest whose eth0 is the other end of the gateway's eth0; commands run in it.
//!
//! ```text
//!  provider │eth0 ══ QEMU ─ datagram sockets ─ QEMU ══ eth0│ gateway │eth1 ══ QEMU ─ pump ─ lan0 ══ eth0 :lan (topology.rs)
//! ```
//!
//! Both guests count as one (`slot.rs`). What is run in it is for the tests: it has busybox, /bin/ip, /sbin/tc, pppoe-server, pppd, dnsmasq, radvd,
//! dhcp6s, tcpdump.
//!
//! Its door speaks as the gateway's (`door.rs`); a request is a line for its shell. Source: src/lab/setup/provider-init.sh.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use crate::board::{self, EMULATOR, Port};
use crate::door::{Answer, Door};
use crate::error::Error;
use crate::house::{self, Scratch};
use crate::kernel::Kernel;
use crate::tool::{self, Bound};
use crate::{root, wait};

/// A running provider.
#[derive(Debug)]
pub struct Provider {
    door: Door,
    port: Port,
    console: PathBuf,
    _emulator: Bound,
}

impl Provider {
    /// Starts it and does not wait for it.
    ///
    /// # Errors
    /// [`Error::Missing`]: it was not fetched yet.
    pub fn start(scratch: &Scratch) -> Result<Self, Error> {
        Self::start_with(scratch, &[])
    }

    /// The same, with these files of the desk's beside its own (where they go, and which).
    ///
    /// # Errors
    /// As [`Provider::start`].
    pub fn start_with(scratch: &Scratch, files: &[(&str, PathBuf)]) -> Result<Self, Error> {
        let kernel = house::cache().join("provider/bzImage");
        if !kernel.exists() {
            let remedy = "src/lab/setup/provider.sh fetches it".to_owned();
            return Err(Error::Missing { what: kernel.display().to_string(), remedy });
        }
        let (near, far) = (scratch.file("wan-provider"), scratch.file("wan-gateway"));
        let console = scratch.file("provider.log");
        let board = board::Provider {
            size: (1, 256),
            kernel,
            root: root::provider(files)?,
            port: Port::Pump { ours: near.clone(), theirs: far.clone() },
            lan: None,
            console,
            door: scratch.file("provider"),
        };
        Self::launch(scratch, board, Port::Pump { ours: far, theirs: near })
    }

    /// Starts its programs on the gateway's own kernel and as many processors, with these files of the desk's beside them (where they go,
    /// and which), and nobody at the other end of the wire: a bench, where ours and a peer's run side by side.
    ///
    /// # Errors
    /// As [`Provider::start`].
    pub fn start_bench(scratch: &Scratch, kernel: Kernel, files: &[(&str, PathBuf)]) -> Result<Self, Error> {
        let board = board::Provider {
            size: (2, 1024),
            kernel: kernel.image()?,
            root: root::provider(files)?,
            port: Port::Unplugged,
            lan: None,
            console: scratch.file("bench.log"),
            door: scratch.file("bench"),
        };
        Self::launch(scratch, board, Port::Unplugged)
    }

    /// Starts its programs on the gateway's own kernel and in its place between these neighbours (eth0 and eth1): a router that is written by
    /// hand, beside which ours is measured.
    ///
    /// # Errors
    /// As [`Provider::start`].
    pub fn start_router(scratch: &Scratch, kernel: Kernel, [wan, lan]: [Port; 2]) -> Result<Self, Error> {
        let board = board::Provider {
            size: (2, 1024),
            kernel: kernel.image()?,
            root: root::provider(&[])?,
            port: wan.clone(),
            lan: Some(lan),
            console: scratch.file("router.log"),
            door: scratch.file("router"),
        };
        Self::launch(scratch, board, wan)
    }

    fn launch(scratch: &Scratch, board: board::Provider, port: Port) -> Result<Self, Error> {
        let mut command = tool::bound(EMULATOR);
        let log = scratch.file("provider-emulator.log");
        let log = fs::File::create(&log).map_err(Error::path(&log))?;
        command.args(board.arguments()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let emulator = Bound::start(&mut command)?;
        let door = Door::connect(&board.door)?;
        Ok(Self { door, port, console: board.console, _emulator: emulator })
    }

    /// Waits until it takes commands.
    ///
    /// # Errors
    /// [`Error::Answer`] with its console's words.
    pub fn wait_ready(&mut self, limit: Duration) -> Result<(), Error> {
        let outcome = self.door.wait_ready(limit);
        outcome.map_err(|error| Error::Answer { who: error.to_string(), why: self.console() })
    }

    /// The port of the board that leads here.
    #[must_use]
    pub fn port(&self) -> Port {
        self.port.clone()
    }

    /// All that its console said until now.
    #[must_use]
    pub fn console(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.console).unwrap_or_default()).into_owned()
    }

    /// Runs a line of its shell: what it printed, and its exit code.
    ///
    /// # Errors
    /// As [`Door::ask`].
    pub fn ask(&mut self, line: &str) -> Result<Answer, Error> {
        self.door.ask(line)
    }

    /// As [`Provider::ask`], and it has to succeed.
    ///
    /// # Errors
    /// [`Error::Answer`] with what it printed.
    pub fn run(&mut self, line: &str) -> Result<String, Error> {
        let answer = self.ask(line)?;
        if answer.exit == 0 {
            return Ok(answer.text);
        }
        let why = format!("exit {}: {}", answer.exit, answer.text.trim_end());
        Err(Error::Answer { who: format!("the provider, told {line}"), why })
    }

    /// Writes a file in it, line by line; its text has no quotation marks of one stroke.
    ///
    /// # Errors
    /// As [`Provider::run`].
    pub fn write(&mut self, path: &str, text: &str) -> Result<(), Error> {
        self.run(&format!(": >{path}"))?;
        text.lines().try_for_each(|line| self.run(&format!("echo '{line}' >>{path}")).map(drop))
    }

    /// Runs `line` until it succeeds.
    ///
    /// # Errors
    /// [`Error::Late`] with `what`.
    pub fn until(&mut self, what: &str, limit: Duration, line: &str) -> Result<String, Error> {
        wait::until(what, limit, || Ok(Some(self.ask(line)?).filter(|it| it.exit == 0).map(|it| it.text)))
    }
}
