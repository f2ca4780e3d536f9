//! The verbs of this door that `ctl` does not have.
//!
//! In:  the words of a request. Out: what it wrote; what is no verb here is `ctl`'s.

use ctl::Error;
use ctl::command::{self, Out};

use crate::images::Images;
use crate::volumes::Volumes;
use crate::{divide, live, state, tables, wild};

/// What is kept between requests.
#[derive(Debug, Default)]
pub(crate) struct Held {
    images: Images,
    volumes: Volumes,
}

impl Held {
    /// Carries out a request.
    pub(crate) fn run(&self, words: &[String], out: Out<'_>) -> Result<(), Error> {
        let plain: Vec<&str> = words.iter().map(String::as_str).collect();
        match plain.as_slice() {
            ["state"] => Ok(state::print(out)?),
            ["lasts", name] => live::lasts(name, out),
            ["leak", what] => tables::leak(what),
            ["exits", name, count] => live::exits(name, count, out),
            ["restarts", name, count] => live::restarts(name, count, out),
            ["cycles", name, count] => live::cycles(name, count, out),
            ["crashes", name, count] => live::crashes(name, count, out),
            ["bare", name, program, word, count] => live::bare::crashes(name, program, word, count, out),
            ["ends"] => live::ends(out),
            ["tree", name, grace_ms] => live::tree(name, grace_ms, out),
            ["look", name, file] => live::look(name, file, out),
            ["sysctl", file, value] => live::sysctl(file, value),
            ["cgroup", file, value] => divide::write(file, value),
            ["starves", name] => live::starves(name, None, out),
            ["starves", name, limit] => live::starves(name, Some(limit), out),
            ["divide", how] => divide::divide(how, out),
            ["wild", count, seconds, antagonist @ ..] => wild::start(count, seconds, antagonist, out),
            ["image", rest @ ..] => self.images.say(rest, out),
            ["volume", rest @ ..] => self.volumes.say(rest, out),
            _ => command::run(words, out),
        }
    }
}
