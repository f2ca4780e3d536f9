//! Programs, at the gateway and at its neighbours.
//!
//! In:  words; a side, which is the name of a network namespace under `/run/netns` (`""`: the gateway itself). Out: what was said, or a
//! program that ends when it is dropped.
//!
//! Source: nsenter(1), ip-netns(8).

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Is there a program of that name?
#[must_use]
pub fn has(program: &str) -> bool {
    ["/sbin", "/usr/sbin", "/bin", "/usr/bin"].iter().any(|folder| Path::new(folder).join(program).exists())
}

/// Runs a program to its end, and returns all that it wrote.
pub fn run(words: &[&str]) -> String {
    finish("", words)
}

/// Runs a line of words to its end at a side, and returns all that it wrote.
pub fn run_at(side: &str, line: &str) -> String {
    finish(side, &line.split_whitespace().collect::<Vec<_>>())
}

/// Runs ip(8) at a side.
pub fn ip(side: &str, line: &str) {
    run_at(side, &format!("ip {line}"));
}

fn finish(side: &str, words: &[&str]) -> String {
    let output = at(side, words).output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{side}: {words:?}: {text}");
    text
}

/// A command at a side.
#[must_use]
pub fn at(side: &str, words: &[&str]) -> Command {
    if side.is_empty() {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        return command;
    }
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/run/netns/{side}")).arg("--").args(words);
    command
}

/// A program that runs until it is dropped.
#[derive(Debug)]
pub struct Program(pub Child);

impl Program {
    /// Starts it at a side; it reads nothing, and what it says goes into the file `log`, or nowhere.
    #[must_use]
    pub fn start(side: &str, words: &[&str], log: Option<&Path>) -> Self {
        let mut command = at(side, words);
        command.stdin(Stdio::null());
        match log {
            Some(path) => {
                let file = File::create(path).unwrap();
                command.stdout(file.try_clone().unwrap()).stderr(file);
            }
            None => {
                command.stdout(Stdio::null()).stderr(Stdio::null());
            }
        }
        Self(command.spawn().unwrap())
    }

    /// Has it ended?
    pub fn is_over(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
