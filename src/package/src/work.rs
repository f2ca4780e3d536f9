//! The thread that fetches, seen from the one that answers.
//!
//! In:  an order. Out: what it says on its way, and its end. A bell rings whenever it has said something.
//!
//! The thread is there only while something is fetched: what it needs of memory goes with it.
//!
//! Not here: what it does (`fetch.rs`).

use std::convert::Infallible;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;
use std::time::Duration;

use contract::Name;
use contract::packages::{Fault, Install};

use crate::asked::Id;
use crate::failure::Failure;
use crate::fetch::{self, News, Put, Shared};
use crate::operator::Word;
use crate::watch::Watch;

/// What the thread needs: TLS, and signatures that outlive quantum computers, which have their matrix on the stack.
const STACK_BYTES: usize = 1024 * 1024;

/// What the thread says.
#[derive(Debug)]
enum Line {
    News(News),
    End(Result<Put, Failure>),
}

/// What is being fetched.
#[derive(Debug)]
pub(crate) struct Work {
    /// As it was ordered.
    pub(crate) install: Install,
    /// Whom its end is said to.
    pub(crate) waiters: Vec<Id>,
    given_up: Arc<AtomicBool>,
    lines: Receiver<Line>,
    service: Option<Name>,
    progress: (u64, u64),
    /// It was put, and its turn with the supervisor has not come yet.
    put: Option<Put>,
}

/// What was said since the last time.
#[derive(Debug)]
pub(crate) enum Said {
    /// Nothing that matters.
    Nothing,
    /// There is more of it.
    Progress,
    /// It was not done.
    End(Result<Infallible, Failure>),
    /// It is in its place.
    Put(Put),
}

impl Work {
    /// Begins; `bell` gets a byte whenever something was said.
    ///
    /// # Errors
    /// [`Fault::Resources`]: no thread can be had.
    pub(crate) fn begin(
        (install, word): (Install, Word),
        store: &Shared,
        bell: &UnixStream,
        asker: Id,
    ) -> Result<Self, Failure> {
        let none = |error: std::io::Error| {
            Failure::new(Fault::Resources, format!("no thread to fetch with: {error}"))
        };
        let (given_up, (say, lines)) = (Arc::new(AtomicBool::new(false)), channel());
        let watch = Watch::new(Arc::clone(&given_up), Duration::from_secs(word.silence_s));
        let (order, store, bell) = (install.clone(), Arc::clone(store), bell.try_clone().map_err(none)?);
        let work = move || {
            let ring = |line| {
                let _ = say.send(line);
                let _ = (&bell).write(&[1]);
            };
            let end =
                fetch::fetch(&order, &word.plain_http, &store, watch, &mut |news| ring(Line::News(news)));
            ring(Line::End(end));
        };
        thread::Builder::new().stack_size(STACK_BYTES).spawn(work).map_err(none)?;
        let waiters = vec![asker];
        Ok(Self { install, waiters, given_up, lines, service: None, progress: (0, 0), put: None })
    }

    /// It is not wanted any more; its end comes in a moment.
    pub(crate) fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
    }

    /// Has it to do with `service`?
    pub(crate) fn concerns(&self, service: &Name) -> bool {
        self.service.as_ref().or(self.install.update.as_ref()) == Some(service)
    }

    /// Of which service it is, once that is known.
    pub(crate) fn service(&self) -> Option<&Name> {
        self.service.as_ref()
    }

    /// How far it is, and how far it has to go, in bytes.
    pub(crate) fn progress(&self) -> (u64, u64) {
        self.progress
    }

    /// Its turn has not come yet.
    pub(crate) fn put_back(&mut self, put: Put) {
        self.put = Some(put);
    }

    /// Does it wait for its turn?
    pub(crate) fn has_put(&self) -> bool {
        self.put.is_some()
    }

    /// What was said since the last time: of progress the last word, and then the end.
    pub(crate) fn hear(&mut self) -> Said {
        if let Some(put) = self.put.take() {
            return Said::Put(put);
        }
        let before = self.progress;
        loop {
            match self.lines.try_recv() {
                Ok(Line::News(News::Known(service))) => self.service = Some(service),
                Ok(Line::News(News::Progress(bytes, of))) => self.progress = (bytes, of),
                Ok(Line::End(Ok(put))) if self.progress == before => return Said::Put(put),
                // How far it came is said first.
                Ok(Line::End(Ok(put))) => {
                    self.put = Some(put);
                    return Said::Progress;
                }
                Ok(Line::End(Err(failure))) => return Said::End(Err(failure)),
                Err(TryRecvError::Empty) if self.progress == before => return Said::Nothing,
                Err(TryRecvError::Empty) => return Said::Progress,
                Err(TryRecvError::Disconnected) => {
                    let words = "the thread that fetched has ended; ask again";
                    return Said::End(Err(Failure::new(Fault::Resources, words)));
                }
            }
        }
    }
}
