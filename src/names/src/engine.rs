//! The middle: a client's bytes become an answer, or a question that has to be asked outside.
//!
//! In:  bytes, who asks, a moment; later what an upstream said. Out: answers.
//!
//! No socket and no clock: `room.rs` moves the bytes.

use contract::resolve::Local;
use contract::told::Names;
use log::info;

use crate::cache::Cache;
use crate::hosts::Hosts;
use crate::message::{self, Answer};
use crate::policy::{self, Asker, Verdict};
use crate::query::{self, CLASS_IN, Edns, Head, Question, Rcode, flag};
use crate::rate::Rate;
use crate::reply::{self, Known, Ttl, Why};

/// How long a failure is remembered, in seconds. Source: RFC 9520 §3.2: at least 1, at most 300.
const FAILURE_TTL_S: u32 = 5;

/// How a client's bytes came, which says how many may go back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// As many as the client takes.
    Udp,
    /// As many as there are.
    Tcp,
}

/// Where and when a client's bytes came from.
#[derive(Debug, Clone, Copy)]
pub struct Came<'a> {
    /// Who asks.
    pub asker: Asker<'a>,
    /// How.
    pub by: By,
    /// When, in milliseconds after boot.
    pub now_ms: u64,
}

/// To whom something is said.
#[derive(Debug, Clone, Copy)]
pub struct To<'h> {
    /// What has to be said back.
    pub head: Head<'h>,
    /// How it came.
    pub by: By,
    /// When it is said, in milliseconds after boot.
    pub now_ms: u64,
}

/// What becomes of a client's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// So many bytes go back.
    Answer(usize),
    /// This has to be asked, and then said to this head.
    Ask(Question, Kept),
    /// Nothing.
    Drop,
}

/// A head that is kept until there is an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    id: u16,
    flags: u16,
    asked: Box<[u8]>,
    kind: u16,
    edns: Option<Edns>,
}

impl Kept {
    fn new(head: &Head<'_>) -> Self {
        Self { id: head.id, flags: head.flags, asked: head.asked.into(), kind: head.kind, edns: head.edns }
    }

    /// As it was.
    #[must_use]
    pub fn head(&self) -> Head<'_> {
        Head {
            id: self.id,
            flags: self.flags,
            asked: &self.asked,
            kind: self.kind,
            class: CLASS_IN,
            edns: self.edns,
        }
    }
}

/// What was counted since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Numbers {
    /// Messages of clients.
    pub questions: u64,
    /// Answered from the cache.
    pub hits: u64,
    /// Answered from what is known here.
    pub local: u64,
    /// Had to be asked outside.
    pub misses: u64,
    /// Refused: malformed, not for us, too many.
    pub refused: u64,
    /// Nobody outside could answer.
    pub failures: u64,
    /// Answered with what was known earlier.
    pub stale: u64,
    /// Would have led into the home.
    pub blocked: u64,
}

/// What an upstream's answer comes to, to be said to all who wait.
#[derive(Debug)]
pub enum Outcome<'o> {
    /// An answer, with its message.
    Answer(Answer, &'o [u8]),
    /// None.
    Failed,
}

/// Everything that is known.
#[derive(Debug, Default)]
pub struct Engine {
    /// What `network` told.
    pub told: Names,
    /// What `lease` said.
    pub hosts: Hosts,
    /// What upstreams said.
    pub cache: Cache,
    /// What was counted.
    pub numbers: Numbers,
    rate: Rate,
}

impl Engine {
    /// Takes what `network` tells. What is remembered is forgotten where it may not hold any more.
    pub fn want(&mut self, told: Names) {
        let old = &self.told;
        if old.upstreams != told.upstreams
            || old.ours != told.ours
            || old.rebind_allow != told.rebind_allow
            || old.domain != told.domain
        {
            self.cache.clear();
        }
        self.told = told;
    }

    /// Takes what `lease` says.
    pub fn hosts(&mut self, first: bool, names: &[Local]) {
        self.hosts.take(first, names);
    }

    /// A client's bytes.
    pub fn question(&mut self, bytes: &[u8], came: Came<'_>, out: &mut [u8]) -> Step {
        let Came { asker, by, now_ms } = came;
        self.numbers.questions += 1;
        let (head, question) = match query::read(bytes) {
            None => return Step::Drop,
            Some(Err((head, rcode))) => return self.refuse(&head, rcode, out),
            Some(Ok(read)) => read,
        };
        if head.class != CLASS_IN {
            return self.refuse(&head, Rcode::Refused, out);
        }
        let limit = limit(&head, by);
        // What was asked outside is nobody's local name; so where nobody is denied anything, the cache may be asked first.
        let all_may = self.told.clients.is_empty();
        if all_may && let Some(known) = self.cache.get(&question, now_ms) {
            self.numbers.hits += 1;
            return Step::Answer(reply::write(&head, &known, out, limit));
        }
        match policy::decide(&question, asker, &self.told, &self.hosts) {
            Verdict::Here(Rcode::Refused, ..) => self.refuse(&head, Rcode::Refused, out),
            Verdict::Here(rcode, records, why) => {
                self.numbers.local += 1;
                let known = Known {
                    authoritative: why == Why::Plain,
                    counts: records.counts,
                    tail: &records.tail,
                    ..Known::code(rcode, why)
                };
                Step::Answer(reply::write(&head, &known, out, limit))
            }
            Verdict::Outside => {
                if !all_may && let Some(known) = self.cache.get(&question, now_ms) {
                    self.numbers.hits += 1;
                    return Step::Answer(reply::write(&head, &known, out, limit));
                }
                self.outside(&head, question, came, out)
            }
        }
    }

    /// It is not known here.
    fn outside(&mut self, head: &Head<'_>, question: Question, came: Came<'_>, out: &mut [u8]) -> Step {
        // Who wants only what we know already gets nothing: what others asked for is nobody's business.
        let wanted = head.flags & flag::RECURSION_DESIRED != 0;
        if !wanted || !self.rate.allows(came.asker.address, came.now_ms) {
            return self.refuse(head, Rcode::Refused, out);
        }
        self.numbers.misses += 1;
        if self.told.upstreams.is_empty() {
            let to = To { head: *head, by: came.by, now_ms: came.now_ms };
            return Step::Answer(self.fail(&question, to, out));
        }
        Step::Ask(question, Kept::new(head))
    }

    /// Says no.
    pub fn refuse(&mut self, head: &Head<'_>, rcode: Rcode, out: &mut [u8]) -> Step {
        self.numbers.refused += 1;
        Step::Answer(reply::write(head, &Known::code(rcode, Why::Plain), out, usize::from(query::UDP_BYTES)))
    }

    /// Nobody can be asked: what was known earlier, or a failure.
    fn fail(&mut self, question: &Question, to: To<'_>, out: &mut [u8]) -> usize {
        let (head, limit) = (&to.head, limit(&to.head, to.by));
        if let Some(known) = self.cache.stale(question, to.now_ms) {
            self.numbers.stale += 1;
            return reply::write(head, &known, out, limit);
        }
        reply::write(head, &Known::code(Rcode::ServFail, Why::Network), out, limit)
    }

    /// Is there something that may be told while an upstream takes its time?
    #[must_use]
    pub fn has_stale(&self, question: &Question, now_ms: u64) -> bool {
        self.cache.stale(question, now_ms).is_some()
    }

    /// Takes what came of a question that was asked outside, and returns what is to be said of it.
    pub fn take<'o>(&mut self, question: &Question, outcome: Outcome<'o>, now_ms: u64) -> Outcome<'o> {
        let Outcome::Answer(answer, message) = outcome else {
            self.numbers.failures += 1;
            if !self.cache.postpone(question, now_ms) {
                let failure = Rcode::ServFail.number();
                let failure = Answer {
                    rcode: failure,
                    authentic: false,
                    counts: [0; 2],
                    tail: 0..0,
                    ttl_s: FAILURE_TTL_S,
                };
                self.cache.put(question, &failure, &[], now_ms);
            }
            return Outcome::Failed;
        };
        let mut leads_here = false;
        message::addresses(message, &answer, |address| {
            leads_here |= policy::is_rebinding(question, address, &self.told);
        });
        if leads_here {
            self.numbers.blocked += 1;
            info!("an answer that leads into the home was blocked; dns.rebind_allow would let it pass");
            return Outcome::Answer(
                Answer { counts: [0; 2], tail: 0..0, rcode: 0, ttl_s: 0, authentic: false },
                &[],
            );
        }
        let tail = message.get(answer.tail.clone()).unwrap_or_default();
        self.cache.put(question, &answer, tail, now_ms);
        Outcome::Answer(answer, message)
    }

    /// Writes what came of a question for one who waited.
    pub fn answer(
        &mut self,
        question: &Question,
        to: To<'_>,
        outcome: &Outcome<'_>,
        out: &mut [u8],
    ) -> usize {
        let Outcome::Answer(answer, message) = outcome else {
            return self.fail(question, to, out);
        };
        let tail = message.get(answer.tail.clone()).unwrap_or_default();
        let known = Known {
            rcode: answer.rcode,
            authoritative: false,
            authentic: answer.authentic,
            counts: answer.counts,
            tail,
            ttl: Ttl::Less(0),
            why: if message.is_empty() { Why::Blocked } else { Why::Plain },
        };
        reply::write(&to.head, &known, out, limit(&to.head, to.by))
    }
}

fn limit(head: &Head<'_>, by: By) -> usize {
    match by {
        By::Udp => reply::udp_bytes(head),
        By::Tcp => usize::from(u16::MAX),
    }
}
