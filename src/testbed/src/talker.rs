//! A program that is spoken to by lines: a set-top box, a telephone, an operator's platform.
//!
//! In:  a line for its standard input. Out: the lines of its standard output, as they come.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::program::{Program, at, run_at};

/// How long a line may be waited for: programs in Python begin slowly on a busy machine.
const PATIENCE: Duration = Duration::from_secs(15);

/// One of them; it runs until it is dropped.
#[derive(Debug)]
pub struct Talker {
    program: Program,
    said: Receiver<String>,
}

impl Talker {
    /// Starts it at a side.
    #[must_use]
    pub fn start(side: &str, words: &[&str]) -> Self {
        let mut command = at(side, words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (say, said) = channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| say.send(line)));
        Self { program: Program(child), said }
    }

    /// Says a line to it.
    pub fn tell(&mut self, line: &str) {
        writeln!(self.program.0.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Waits for a line that contains `word`; what is said before it is passed over.
    pub fn hears(&self, word: &str) -> String {
        let end = Instant::now() + PATIENCE;
        let mut heard = Vec::new();
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            match self.said.recv_timeout(left) {
                Ok(line) if line.contains(word) => return line,
                Ok(line) => heard.push(line),
                Err(_) => break,
            }
        }
        panic!("{word:?} was not said within {PATIENCE:?}, but {heard:?}");
    }

    /// Asks it to end (SIGTERM): what it has begun it may end.
    pub fn ends(&self) {
        run_at("", &format!("kill {}", self.program.0.id()));
    }
}
