//! One server that is asked, at one address.
//!
//! In:  its answers. Out: questions, samples. Nothing here waits.
//!
//! Each question goes from a socket of its own, so from another port, with a stamp that is a random number. What does not bring that
//! back, or whose seal is broken, is as if it had not come.
//!
//! Not here: who is believed (`select.rs`), when (`pace.rs`).

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

use contract::Text;
use log::info;

use crate::clockwork::Clock;
use crate::dice;
use crate::filter::{Filter, Sample};
use crate::pace::{ANSWER_MS, Pace};
use crate::packet::{self, Answer, Fault, Kiss};
use crate::resolver::socket;
use crate::seal::{Jar, PACKET_BYTES_MAX, Unique};
use crate::select::Candidate;

/// Packets that are looked at in one turn; more of them are no answers.
const PACKETS_A_TURN: usize = 8;
/// The way there and back is taken for as long as this at least, in nanoseconds. Source: RFC 5905 §7.2, `MINDISP`, is 5 ms.
const WAY_NS_MIN: i64 = 5_000_000;
/// Questions without an answer after which it is given up, and its name is asked for anew.
const MISSED_MAX: u8 = 8;

/// A question under way.
#[derive(Debug)]
struct Question {
    token: u64,
    unique: Option<Unique>,
    asked_ns: i64,
    until_ms: u64,
    socket: Option<UdpSocket>,
}

/// A server at an address.
#[derive(Debug)]
pub struct Source {
    /// As it was told.
    pub name: Text<63>,
    /// Where it is asked.
    pub address: SocketAddr,
    /// When.
    pub pace: Pace,
    /// What it said last of itself.
    pub answer: Option<Answer>,
    /// What was wrong with its last word.
    pub fault: Option<Fault>,
    jar: Option<Jar>,
    filter: Filter,
    question: Option<Question>,
}

impl Source {
    /// `name` at `address`, to be asked at once; with a jar: by NTS.
    #[must_use]
    pub fn new(name: Text<63>, address: SocketAddr, jar: Option<Jar>, now_ms: u64) -> Self {
        Self {
            name,
            address,
            pace: Pace::new(now_ms),
            answer: None,
            fault: None,
            jar,
            filter: Filter::default(),
            question: None,
        }
    }

    /// Is it asked by NTS?
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.jar.is_some()
    }

    /// Is there no use in asking it any more: it is not there, or there are no keys? (One that has denied us stays, so that it is not
    /// found again.)
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        let keyless = self.question.is_none() && self.jar.as_ref().is_some_and(Jar::is_empty);
        !self.pace.is_denied() && (self.pace.missed() >= MISSED_MAX || keyless)
    }

    /// What it waits for.
    #[must_use]
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.question.as_ref().and_then(|question| question.socket.as_ref()).map(AsFd::as_fd)
    }

    /// When it has something to do, in milliseconds after boot.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        self.question.as_ref().map_or_else(|| self.pace.due_ms(), |question| Some(question.until_ms))
    }

    /// Our clock was set forward by `step_ns`. A question under way is forgotten, for its time cannot be told any more.
    pub fn shift(&mut self, step_ns: i64) {
        self.filter.shift(step_ns);
        self.question = None;
    }

    /// The way to it has changed: it is asked anew, as if for the first time.
    pub fn begin_anew(&mut self, now_ms: u64) {
        if !self.pace.is_denied() {
            self.pace = Pace::new(now_ms);
            self.question = None;
        }
    }

    /// Hears and asks. Is there a new sample?
    pub fn turn(&mut self, clock: &impl Clock, poll: u8, now_ms: u64) -> bool {
        if let Some(question) = self.question.take() {
            match self.hear(&question, clock) {
                Some((Ok(answer), sample)) => {
                    self.pace.answered(poll, now_ms, dice::long());
                    (self.answer, self.fault) = (Some(answer), None);
                    let sample = sample.map(|sample| Sample { at_ms: now_ms, ..sample });
                    sample.into_iter().for_each(|sample| self.filter.take(sample));
                    return sample.is_some();
                }
                Some((Err(fault), _)) => self.refused(fault, poll, now_ms),
                None if question.until_ms <= now_ms => self.pace.missed_one(poll, now_ms, dice::long()),
                None => self.question = Some(question),
            }
            return false;
        }
        if self.pace.due_ms().is_some_and(|due_ms| due_ms <= now_ms) && !self.is_given_up() {
            self.ask(clock, now_ms);
        }
        false
    }

    fn ask(&mut self, clock: &impl Clock, now_ms: u64) {
        let token = dice::long();
        let sealed = self.jar.as_mut().map(|jar| jar.question(token));
        let (bytes, unique) = match sealed {
            Some(Some((bytes, unique))) => (bytes, Some(unique)),
            Some(None) => return, // No cookie: it is given up.
            None => (packet::question(token).to_vec(), None),
        };
        let socket = socket(self.address);
        let asked_ns = clock.now_ns();
        let sent = socket.as_ref().is_some_and(|socket| socket.send(&bytes).is_ok());
        // Who cannot even be asked is not waited for.
        let until_ms = if sent { now_ms.saturating_add(ANSWER_MS) } else { now_ms };
        self.question = Some(Question { token, unique, asked_ns, until_ms, socket });
    }

    /// The answer to `question`, if it has come, and the sample that it makes.
    fn hear(
        &mut self,
        question: &Question,
        clock: &impl Clock,
    ) -> Option<(Result<Answer, Fault>, Option<Sample>)> {
        let socket = question.socket.as_ref()?;
        let mut buffer = [0; PACKET_BYTES_MAX];
        for _ in 0..PACKETS_A_TURN {
            let length = socket.recv(&mut buffer).ok()?;
            let back_ns = clock.now_ns();
            let bytes = buffer.get(..length)?;
            if let (Some(jar), Some(unique)) = (&mut self.jar, &question.unique) {
                match jar.open(bytes, unique) {
                    Ok(()) => {}
                    Err(fault @ Fault::Kiss(_)) => return Some((Err(fault), None)),
                    // Anybody may have sent it: the true answer may be behind it.
                    Err(_) => continue,
                }
            }
            match packet::read(bytes, question.token) {
                Ok(answer) => {
                    let theirs = [answer.receive_ns, answer.transmit_ns];
                    let sample = Sample::of([question.asked_ns, back_ns], theirs, answer.precision_ns, 0);
                    return Some((Ok(answer), sample));
                }
                Err(Fault::Short | Fault::Kind | Fault::Origin) => {}
                Err(fault) => return Some((Err(fault), None)),
            }
        }
        None
    }

    /// It answered, and its answer is of no use.
    fn refused(&mut self, fault: Fault, poll: u8, now_ms: u64) {
        if self.fault != Some(fault) {
            info!("{} at {}: {fault}", self.name, self.address.ip());
        }
        self.fault = Some(fault);
        let random = dice::long();
        match fault {
            Fault::Kiss(Kiss::Rate) => self.pace.slow_down(poll, now_ms, random),
            Fault::Kiss(Kiss::Deny) => self.pace.deny(),
            Fault::Kiss(Kiss::Unsealed) => {
                // Without cookies it is given up, and keys are agreed on anew.
                self.jar = self.jar.take().map(|_| Jar::new([0; 32], [0; 32], Vec::new()));
                self.pace.missed_one(poll, now_ms, random);
            }
            Fault::Kiss(Kiss::Other(_))
            | Fault::Short
            | Fault::Kind
            | Fault::Origin
            | Fault::Unsynchronized
            | Fault::Nonsense
            | Fault::Time
            | Fault::Seal => self.pace.missed_one(poll, now_ms, random),
        }
    }

    /// What it says, once it has said enough; `source` is its place.
    #[must_use]
    pub fn candidate(&self, source: usize, now_ms: u64) -> Option<Candidate> {
        let answer = self.answer.filter(|_| self.pace.reach() != 0)?;
        let estimate = self.filter.estimate()?;
        let way_ns = answer.root_delay_ns.saturating_add(estimate.best.delay_ns).max(WAY_NS_MIN);
        let distance_ns = (way_ns / 2)
            .saturating_add(answer.root_dispersion_ns)
            .saturating_add(estimate.best.dispersion_at_ns(now_ms))
            .saturating_add(estimate.jitter_ns);
        Some(Candidate {
            source,
            offset_ns: estimate.best.offset_ns,
            distance_ns,
            jitter_ns: estimate.jitter_ns,
            stratum: answer.stratum,
        })
    }

    /// Its best sample, where there is an estimate.
    #[must_use]
    pub fn best(&self) -> Option<Sample> {
        self.filter.estimate().map(|estimate| estimate.best)
    }
}
