//! usp-js, a USP controller that we did not write, driven a call at a time (`src/agent/tests/controller/drive.js`).
//!
//! In:  calls. Out: what each is answered; what the gateway tells meanwhile.
//!
//! Source: usp-js 0.5.1, which src/lab/setup/controller.sh puts into the cache.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::error::Error;
use crate::house;
use crate::operator::{CONTROLLER, TOPICS};
use crate::tool::{self, Bound};

/// How long one answer may take: a command that takes its time is answered at its end.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(120);

/// A controller with one gateway.
#[derive(Debug)]
pub struct Controller {
    program: Bound,
    calls: ChildStdin,
    lines: Receiver<Value>,
    /// What was told, in order: each with the subscription's id under `of`.
    pub news: Vec<Value>,
}

impl Controller {
    /// Connects to the broker at `port` of the loopback, to speak with the gateway `endpoint`.
    ///
    /// # Errors
    /// [`Error::Missing`]: it is not in the cache. [`Error::Tool`]: the broker does not let it in.
    pub fn start(port: u16, endpoint: &str) -> Result<Self, Error> {
        let place = house::cache().join("controller");
        if !place.join("node_modules/usp-js/package.json").exists() {
            let remedy = "src/lab/setup/controller.sh brings it".to_owned();
            return Err(Error::Missing { what: "usp-js".to_owned(), remedy });
        }
        let options = json!({
            "host": "127.0.0.1", "port": port, "protocol": "mqtt", "protocolVersion": 5, "fromId": CONTROLLER,
            "toId": endpoint, "publishEndpoint": TOPICS.1, "subscribeEndpoint": TOPICS.0,
        });
        let mut command = tool::bound("node");
        let driver = house::top().join("src/agent/tests/controller/drive.js");
        command.arg(driver).arg(place).arg(options.to_string());
        let mut program =
            Bound::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()))?;
        let (sender, lines) = channel();
        let (Some(calls), Some(said)) = (program.0.stdin.take(), program.0.stdout.take()) else {
            return Err(Error::Tool { program: "node".to_owned(), why: "no pipes".to_owned() });
        };
        thread::spawn(move || {
            for line in BufReader::new(said).lines().map_while(Result::ok) {
                let Ok(value) = serde_json::from_str(&line) else { continue };
                if sender.send(value).is_err() {
                    return;
                }
            }
        });
        let mut controller = Self { program, calls, lines, news: Vec::new() };
        match controller.answer()? {
            Ok(_) => Ok(controller),
            Err(why) => Err(Error::Tool { program: "usp-js".to_owned(), why: why.to_string() }),
        }
    }

    /// Does `call`, as `drive.js` knows it: what it is answered, good or bad.
    ///
    /// # Errors
    /// [`Error::Late`]: not within [`ANSWER_LIMIT`]. [`Error::Tool`]: it has ended.
    pub fn call(&mut self, call: &str, with: &Value) -> Result<Result<Value, Value>, Error> {
        self.begin(call, with)?;
        self.answer()
    }

    /// Begins a call that is answered when it can be: [`Controller::answer`] comes before the next.
    ///
    /// # Errors
    /// [`Error::Io`]: it has ended.
    pub fn begin(&mut self, call: &str, with: &Value) -> Result<(), Error> {
        writeln!(self.calls, "{}", json!({"call": call, "with": with})).map_err(Error::io("usp-js"))
    }

    /// As [`Controller::call`], and the answer has to be good.
    ///
    /// # Errors
    /// [`Error::Answer`] with the bad one.
    pub fn good(&mut self, call: &str, with: &Value) -> Result<Value, Error> {
        let answer = self.call(call, with)?;
        answer.map_err(|bad| Error::Answer {
            who: format!("the gateway, asked {call} {with}"),
            why: bad.to_string(),
        })
    }

    /// Waits until news of the subscription `of` has all of `words` in it, and takes it out of the list.
    ///
    /// # Errors
    /// [`Error::Late`] with all that was told.
    pub fn told(&mut self, of: &str, words: &[&str], limit: Duration) -> Result<Value, Error> {
        let deadline = Instant::now() + limit;
        loop {
            let is = |one: &Value| {
                let text = one.to_string();
                one["of"] == of && words.iter().all(|word| text.contains(word))
            };
            if let Some(place) = self.news.iter().position(is) {
                return Ok(self.news.remove(place));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                return Err(Error::Late { what: format!("{words:?} of {of}; told: {:?}", self.news), limit });
            };
            self.news.push(line);
        }
    }

    /// What the call that was begun is answered, good or bad.
    ///
    /// # Errors
    /// As [`Controller::call`].
    pub fn answer(&mut self) -> Result<Result<Value, Value>, Error> {
        loop {
            let Ok(mut line) = self.lines.recv_timeout(ANSWER_LIMIT) else {
                self.program.lives("usp-js")?;
                return Err(Error::Late { what: "an answer by usp-js".to_owned(), limit: ANSWER_LIMIT });
            };
            if line.get("good").is_some() {
                return Ok(Ok(line["good"].take()));
            }
            match line.get("bad").or_else(|| line.get("trouble")) {
                Some(bad) => return Ok(Err(bad.clone())),
                None => self.news.push(line),
            }
        }
    }
}
