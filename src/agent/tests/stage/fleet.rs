//! A fleet on one machine: gateways with an agent and an `identity` each. The agent is the real one; `identity` a test plays, with a key of its own.
//!
//! In:  how many. Out: agents that see only their own wires and their own word of the operator's.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use contract::identify::Ask;
use contract::wires::IDENTIFY;
use testbed::Program;
use wire::{Connection, Received};
use x509::Certificate;

use super::house::listener_at;
use super::who::Who;

/// One gateway.
pub(crate) struct Gateway {
    pub(crate) endpoint: String,
    folder: PathBuf,
    who: Arc<Mutex<Who>>,
    daemon: Option<Program>,
}

impl Gateway {
    /// One that has not been started, with this number.
    pub(crate) fn new(number: usize) -> Self {
        let endpoint = format!("os::00D09E-{number:04}");
        let folder = testbed::folder(&format!("gateway-{number}"));
        for part in ["wire", "shg"] {
            fs::create_dir_all(folder.join(part)).unwrap();
        }
        fs::copy("/etc/shg/trust.pem", folder.join("shg/trust.pem")).unwrap();
        let who = Arc::new(Mutex::new(Who::new(&endpoint)));
        let listener = listener_at(IDENTIFY, &folder.join("wire/identify"));
        let shown = who.clone();
        std::thread::spawn(move || {
            let mut clients: Vec<Connection> = Vec::new();
            loop {
                clients.extend(listener.accept());
                clients.retain(|client| match client.receive::<Ask>() {
                    Received::Message(ask, _) => {
                        client.send(&shown.lock().unwrap().answer(&ask), &[]).is_ok()
                    }
                    Received::Nothing => true,
                    Received::Gone => false,
                });
                std::thread::sleep(Duration::from_millis(1)); // a step of a wait with a limit: the test ends and takes us along
            }
        });
        Self { endpoint, folder, who, daemon: None }
    }

    /// Who has signed its certificate.
    pub(crate) fn issuer(&self) -> String {
        Certificate::chain(&self.who.lock().unwrap().certificates).unwrap()[0].issuer.clone()
    }

    /// Starts its agent, or starts it anew, with this word of the operator's.
    pub(crate) fn start(&mut self, word: &str) {
        self.daemon = None;
        fs::write(self.folder.join("shg/agent.toml"), word).unwrap();
        let log = fs::File::create(self.folder.join("log")).unwrap();
        let line = "mount --bind \"$0/wire\" /run/wire && mount --bind \"$0/shg\" /etc/shg && \
            exec setpriv --no-new-privs --bounding-set=-all --inh-caps=-all \"$1\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", line]).arg(&self.folder).arg(env!("CARGO_BIN_EXE_agent"));
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.daemon = Some(Program(command.spawn().unwrap()));
    }

    /// What its agent has said.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}
