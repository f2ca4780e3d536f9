//! What a service has to do with its gateway: says how often it was visited, hears what the operator has set.
//!
//! In:  lines of JSON from `/dev/gateway`. Out: lines of JSON to it. It is the example that docs/tenant.md speaks of: connect, hear until
//! `all`, say; and where the gateway is not there, go on without it and try again at the next visit.
//!
//! Not here: the page.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Where a service finds its gateway.
pub const PLACE: &str = "/dev/gateway";
/// How long a new connection may take until all has been told: a visitor waits for it.
const PATIENCE: Duration = Duration::from_millis(300);
/// A line, with its end, in bytes; what is longer is not of this gateway's.
const LINE_BYTES: usize = 4096;

/// What the operator has set for this service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Told {
    /// The gateway answers.
    pub connected: bool,
    /// The configuration's `greeting`.
    pub greeting: Option<String>,
    /// Names of secrets; what they are is nobody's business.
    pub secrets: Vec<String>,
}

/// The gateway, connected or not.
#[derive(Debug)]
pub struct Gateway {
    place: PathBuf,
    socket: Option<UnixStream>,
    input: Vec<u8>,
    told: Told,
}

impl Gateway {
    /// Its socket is at `place`; nothing is tried yet.
    #[must_use]
    pub fn at(place: impl Into<PathBuf>) -> Self {
        Self { place: place.into(), socket: None, input: Vec::new(), told: Told::default() }
    }

    /// Hears what there is to hear, and says that it is well.
    pub fn greet(&mut self) -> &Told {
        if self.socket.is_none() {
            self.connect();
        }
        self.hear(false);
        &self.told
    }

    /// Says that somebody came: a counter, and an event.
    pub fn tell_visit(&mut self, visits: u64) {
        self.say(&json!({"metric": "visits", "type": "counter", "value": visits}));
        self.say(&json!({"event": "visit", "data": {"number": visits}}));
    }

    fn connect(&mut self) {
        self.told = Told::default();
        self.input.clear();
        let Ok(socket) = UnixStream::connect(&self.place) else { return };
        self.socket = Some(socket);
        self.hear(true);
        self.say(&json!({"health": "good"}));
    }

    fn say(&mut self, line: &Value) {
        let Some(socket) = &mut self.socket else { return };
        // A gateway that takes nothing now will hear of the next visit: the counter says it all.
        let said =
            socket.set_nonblocking(true).and_then(|()| socket.write_all(format!("{line}\n").as_bytes()));
        if said.is_err() {
            self.hang_up();
        }
    }

    /// Takes lines: those that are there, or, at the beginning, those until all has been told.
    fn hear(&mut self, waits: bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            while let Some(end) = self.input.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.input.drain(..=end).collect();
                let line = serde_json::from_slice(&line).unwrap_or(Value::Null);
                if self.take(&line) && waits {
                    return;
                }
            }
            let Some(socket) = &mut self.socket else { return };
            let left = deadline.saturating_duration_since(Instant::now());
            let ready = match waits {
                true if left.is_zero() => return,
                true => socket.set_nonblocking(false).and_then(|()| socket.set_read_timeout(Some(left))),
                false => socket.set_nonblocking(true),
            };
            let mut bytes = [0; LINE_BYTES];
            match ready.and_then(|()| socket.read(&mut bytes)) {
                Ok(size) if size > 0 && self.input.len() < LINE_BYTES => {
                    self.input.extend_from_slice(bytes.get(..size).unwrap_or_default());
                }
                Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => return,
                Ok(_) | Err(_) => return self.hang_up(),
            }
        }
    }

    /// One line. Was it the one that says that this was all?
    fn take(&mut self, line: &Value) -> bool {
        self.told.connected = true;
        let value = line.get("value").and_then(Value::as_str);
        if line.get("configuration").and_then(Value::as_str) == Some("greeting") {
            self.told.greeting = value.map(str::to_owned);
        }
        if let Some(name) = line.get("secret").and_then(Value::as_str) {
            self.told.secrets.retain(|known| known != name);
            self.told.secrets.extend(value.map(|_| name.to_owned()));
        }
        line.get("all").is_some()
    }

    fn hang_up(&mut self) {
        self.socket = None;
        self.told.connected = false;
    }
}

#[cfg(test)]
mod tests {
    use super::{Gateway, Told};
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixListener;

    #[test]
    fn it_hears_and_says_and_comes_back() {
        let place = std::env::temp_dir().join(format!("hello-gateway-{}", std::process::id()));
        let _ = std::fs::remove_file(&place);
        let mut gateway = Gateway::at(&place);
        assert_eq!(gateway.greet(), &Told::default(), "nobody is there");
        gateway.tell_visit(1);
        let listener = UnixListener::bind(&place).unwrap();
        for (greeting, visits) in [("hi", 7), ("h\"o", 8)] {
            let line = serde_json::json!({"configuration": "greeting", "value": greeting});
            let played = listener.try_clone().unwrap();
            let heard = std::thread::spawn(move || {
                let mut socket = played.accept().unwrap().0;
                write!(
                    socket,
                    "{{\"gateway\":1}}\n{line}\n{{\"secret\":\"key\",\"value\":\"x\"}}\n{{\"all\":true}}\n"
                )
                .unwrap();
                let lines = BufReader::new(socket).lines().take(3);
                lines
                    .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
                    .collect::<Vec<serde_json::Value>>()
            });
            let want = Told {
                connected: true,
                greeting: Some(greeting.to_owned()),
                secrets: vec!["key".to_owned()],
            };
            assert_eq!(gateway.greet(), &want);
            gateway.tell_visit(visits);
            let heard = heard.join().unwrap();
            assert_eq!((&heard[0]["health"], &heard[1]["value"]), (&"good".into(), &visits.into()));
            assert_eq!(heard[2]["data"]["number"], visits);
            // The gateway is gone: it is noticed, and what was told is what was told.
            assert!(!gateway.greet().connected);
        }
        std::fs::remove_file(place).unwrap();
    }
}
