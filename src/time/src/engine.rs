//! The daemon without its wires: from what we were told to a clock that is right.
//!
//! In:  what `network` tells, answers, the data disk, a moment. Out: a clock, the file that says that it is right, rows for `ctl`.

use std::fs::OpenOptions;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use contract::clock::{Answer, Clock as Said, Source as Row, State};
use contract::{Text, told};
use log::{info, warn};

use crate::clockwork::{Clock, Slew};
use crate::discipline::{Act, Discipline};
use crate::kept::{Keeper, Kept};
use crate::select::{Candidate, Verdict, select};
use crate::servers::{Now, Servers};
use crate::source::Source;
use crate::stamp::{BUILT_S, SECOND_NS};

/// How long less than half of the servers are not enough, and servers without a seal where there are to be sealed ones, in milliseconds:
/// the first one to answer is not to be the only one believed.
const PATIENCE_MS: u64 = 20_000;
/// How often the time is kept, in milliseconds: a flash disk stands that for ever.
const KEEP_MS: u64 = 3_600_000;
/// The kernel takes so much of an offset at once, in nanoseconds. Source: linux/timex.h, `MAXPHASE`.
const SLEW_NS_MAX: i64 = 500_000_000;
/// No time is later than this, in seconds since 1970: 68 years after the build.
const LATEST_S: i64 = BUILT_S + (1 << 31);

/// The last time that somebody was believed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Last {
    verdict: Verdict,
    name: Text<63>,
    sealed: bool,
    at_ms: u64,
}

/// All of it.
#[derive(Debug)]
pub struct Engine<C> {
    clock: C,
    state: State,
    servers: Servers,
    sources: Vec<Source>,
    discipline: Discipline,
    keeper: Keeper,
    /// The data disk was looked at.
    looked: bool,
    keep_ms: u64,
    /// It was kept once.
    keeps: bool,
    believed: PathBuf,
    /// Since when there is something to choose from.
    choice_ms: Option<u64>,
    /// When it is chosen from, come what may.
    choose_ms: Option<u64>,
    last: Option<Last>,
    reason: Text<96>,
}

impl<C: Clock> Engine<C> {
    /// Sets the clock to the build's time, where it is earlier. `believed` is the file that says that the clock is right: an earlier life
    /// may have made it.
    pub fn new(mut clock: C, servers: Servers, keeper: Keeper, believed: &Path) -> Self {
        let now_s = clock.now_ns() / SECOND_NS;
        if !(BUILT_S..LATEST_S).contains(&now_s) {
            info!(
                "the clock says {now_s}, which cannot be: it begins when the image was built, at {BUILT_S}"
            );
            let set = clock.set(BUILT_S.saturating_mul(SECOND_NS));
            set.unwrap_or_else(|errno| warn!("the clock cannot be set: {}", errno.desc()));
        }
        let is_set = believed.exists();
        Self {
            clock,
            state: if is_set { State::Synchronized } else { State::Built },
            servers,
            sources: Vec::new(),
            discipline: Discipline::new(is_set),
            keeper,
            looked: false,
            keep_ms: 0,
            keeps: false,
            believed: believed.to_owned(),
            choice_ms: None,
            choose_ms: None,
            last: None,
            reason: Text::from("nobody was asked yet"),
        }
    }

    /// Takes in what we were told.
    pub fn tell(&mut self, told: &told::Time, now_ms: u64) {
        self.servers.tell(told, &mut self.sources, now_ms);
    }

    /// What is waited for.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.sources.iter().filter_map(Source::descriptor).chain(self.servers.descriptors())
    }

    /// When there is something to do, in milliseconds after boot.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        let online = self.servers.is_online();
        let sources = self.sources.iter().filter(|_| online).filter_map(Source::due_ms);
        sources.chain(self.servers.due_ms()).chain(self.choose_ms).chain([self.keep_ms]).min()
    }

    /// Goes on.
    pub fn turn(&mut self, now_ms: u64) {
        if self.keep_ms <= now_ms {
            self.keep(now_ms);
        }
        let seconds = u64::try_from(self.clock.now_ns() / SECOND_NS).unwrap_or(0);
        let now = Now { seconds, believed: self.discipline.is_set() };
        self.servers.turn(&mut self.sources, now, now_ms);
        if !self.servers.is_online() {
            self.reason = Text::from("the Internet cannot be reached");
            return;
        }
        let (poll, mut news) = (self.discipline.poll(), false);
        for source in &mut self.sources {
            news |= source.turn(&self.clock, poll, now_ms);
        }
        if news || self.choose_ms.is_some_and(|choose_ms| choose_ms <= now_ms) {
            self.judge(now_ms);
        } else if self.servers.is_empty() {
            self.reason = Text::from("no server is named");
        }
    }

    /// What servers say that have said enough. Where some are sealed, the others do not count.
    fn candidates(&self, now_ms: u64) -> (bool, Vec<Candidate>) {
        let said = self.sources.iter().enumerate();
        let said =
            said.filter_map(|(place, source)| Some((source.is_sealed(), source.candidate(place, now_ms)?)));
        let said: Vec<(bool, Candidate)> = said.collect();
        let any_sealed = said.iter().any(|(sealed, _)| *sealed);
        let counts = said.into_iter().filter(|(sealed, _)| *sealed || !any_sealed);
        (any_sealed, counts.map(|(_, candidate)| candidate).collect())
    }

    /// Somebody has said something new: is there a majority, and what does it say?
    fn judge(&mut self, now_ms: u64) {
        let (any_sealed, candidates) = self.candidates(now_ms);
        self.choose_ms = None;
        if candidates.is_empty() {
            self.choice_ms = None;
            self.reason = Text::from("nobody has said enough yet");
            return;
        }
        let since_ms = *self.choice_ms.get_or_insert(now_ms);
        let choose_ms = since_ms.saturating_add(PATIENCE_MS);
        let counting = self.sources.iter().filter(|source| source.is_sealed() || !any_sealed);
        let few = candidates.len() * 2 <= counting.count() + self.servers.unknown();
        let unsealed = !any_sealed && self.servers.any_sealed();
        if (few || unsealed) && now_ms < choose_ms {
            self.choose_ms = Some(choose_ms);
            self.reason = Text::from("more servers are waited for");
            return;
        }
        let Some(verdict) = select(&candidates) else {
            if self.reason.as_str() != "the servers contradict each other" {
                warn!("the servers contradict each other; nobody is believed");
            }
            self.reason = Text::from("the servers contradict each other");
            return;
        };
        let Some(peer) = self.sources.get(verdict.peer.source) else { return };
        let at_ms = peer.best().map_or(0, |best| best.at_ms);
        // What was said before the last act is not news. Source: RFC 5905 §10.
        if self.last.as_ref().is_some_and(|last| at_ms <= last.at_ms) {
            return;
        }
        let last = Last { name: peer.name.clone(), sealed: peer.is_sealed(), at_ms, verdict };
        self.act(&last, now_ms);
        self.last = Some(last);
    }

    /// Does what follows from what a majority says.
    fn act(&mut self, last: &Last, now_ms: u64) {
        let Verdict { peer, offset_ns, jitter_ns, .. } = last.verdict;
        let was_set = self.discipline.is_set();
        let done = match self.discipline.decide(offset_ns, jitter_ns, now_ms) {
            Act::Step(step_ns) => self.step(step_ns),
            Act::Slew(offset_ns) => self.clock.slew(&Slew {
                offset_ns: offset_ns.clamp(-SLEW_NS_MAX, SLEW_NS_MAX),
                // The kernel's loop is as slow as we ask. Source: adjtimex(2), `constant`; RFC 5905 §12.
                constant: self.discipline.poll().saturating_sub(4),
                max_error_us: microseconds(peer.distance_ns),
                estimated_error_us: microseconds(jitter_ns),
            }),
            Act::Refuse => {
                let reason = Text::format(format_args!(
                    "the servers say {} s more: not believed",
                    offset_ns / SECOND_NS
                ));
                if self.reason != reason {
                    warn!("{reason}");
                }
                self.reason = reason;
                return;
            }
        };
        if let Err(errno) = done {
            self.reason = Text::format(format_args!("the clock cannot be set: {}", errno.desc()));
            return warn!("{}", self.reason);
        }
        self.reason = Text::default();
        if self.state != State::Synchronized || !was_set {
            info!("synchronized with {}, stratum {}, {offset_ns} ns behind", last.name, peer.stratum);
            self.state = State::Synchronized;
            let made = OpenOptions::new().create(true).append(true).open(&self.believed);
            made.map_or_else(|error| warn!("{}: {error}", self.believed.display()), drop);
            self.keep_ms = now_ms;
        }
    }

    fn step(&mut self, step_ns: i64) -> Result<(), sys::Errno> {
        let wanted_ns = self.clock.now_ns().saturating_add(step_ns);
        if wanted_ns / SECOND_NS < BUILT_S {
            return Err(sys::Errno::ERANGE);
        }
        info!("the clock is set {} ms forward", step_ns / 1_000_000);
        // What is left of an earlier offset would be taken back on top of it.
        self.clock.set_frequency(self.clock.frequency_ppb())?;
        self.clock.set(wanted_ns)?;
        self.sources.iter_mut().for_each(|source| source.shift(step_ns));
        Ok(())
    }

    /// Looks at the data disk, once it is there; from then on it keeps the time.
    fn keep(&mut self, now_ms: u64) {
        self.keep_ms = now_ms.saturating_add(state::RETRY_MS);
        if !self.looked {
            let Some(kept) = self.keeper.load() else { return };
            self.looked = true;
            if let Some(kept) = kept.filter(|_| !self.discipline.is_set()) {
                self.remember(kept);
            }
        }
        let kept = Kept { now_s: self.clock.now_ns() / SECOND_NS, frequency_ppb: self.clock.frequency_ppb() };
        if self.keeper.save(kept) {
            if !std::mem::replace(&mut self.keeps, true) {
                info!("the time is kept on the data disk");
            }
            self.keep_ms = now_ms.saturating_add(KEEP_MS);
        }
    }

    /// It was so late once, so it is later now.
    fn remember(&mut self, kept: Kept) {
        let frequency = self.clock.set_frequency(kept.frequency_ppb);
        frequency.unwrap_or_else(|errno| warn!("the oscillator cannot be corrected: {}", errno.desc()));
        let now_ns = self.clock.now_ns();
        let step_ns = kept.now_s.saturating_mul(SECOND_NS).saturating_sub(now_ns);
        if step_ns > 0 {
            info!("the clock begins where it was {} s ago at least, at {}", step_ns / SECOND_NS, kept.now_s);
            match self.clock.set(now_ns.saturating_add(step_ns)) {
                Ok(()) => self.sources.iter_mut().for_each(|source| source.shift(step_ns)),
                Err(errno) => return warn!("the clock cannot be set: {}", errno.desc()),
            }
            self.state = State::Remembered;
        }
    }

    /// Is the clock believed?
    #[must_use]
    pub fn is_synchronized(&self) -> bool {
        self.state == State::Synchronized
    }

    /// All that there is to say.
    #[must_use]
    pub fn answers(&self, now_ms: u64) -> Vec<Answer> {
        let last = self.last.as_ref();
        let peer = last.map(|last| last.verdict.peer);
        let clock = Said {
            state: self.state,
            now_s: self.clock.now_ns() / SECOND_NS,
            source: last.map(|last| last.name.clone()).unwrap_or_default(),
            sealed: last.is_some_and(|last| last.sealed),
            stratum: peer.map_or(0, |peer| peer.stratum.saturating_add(1)),
            offset_us: last.map_or(0, |last| last.verdict.offset_ns / 1_000),
            dispersion_us: peer.map_or(0, |peer| u64::try_from(peer.distance_ns / 1_000).unwrap_or(0)),
            frequency_ppb: self.clock.frequency_ppb(),
            since_s: last.map_or(0, |last| now_ms.saturating_sub(last.at_ms) / 1_000),
            reason: self.reason.clone(),
        };
        let rows = self.sources.iter().enumerate().map(|(place, source)| self.row(place, source));
        [Answer::Clock(clock)].into_iter().chain(rows.map(Answer::Source)).chain([Answer::Done]).collect()
    }

    fn row(&self, place: usize, source: &Source) -> Row {
        let verdict = self.last.as_ref().map(|last| &last.verdict);
        let word = match (verdict, source.fault) {
            _ if source.pace.is_denied() => Text::from("will not answer"),
            (_, Some(fault)) => Text::format(format_args!("{fault}")),
            _ if source.pace.reach() == 0 => Text::from("no answer"),
            (Some(verdict), None) if verdict.false_ones.contains(&place) => Text::from("false"),
            (Some(verdict), None) if verdict.survivors.contains(&place) => Text::from("believed"),
            (_, None) => Text::from("heard"),
        };
        let best = source.best();
        Row {
            name: source.name.clone(),
            address: Text::format(format_args!("{}", source.address.ip())),
            sealed: source.is_sealed(),
            verdict: word,
            stratum: source.answer.map_or(0, |answer| answer.stratum),
            offset_us: best.map_or(0, |best| best.offset_ns / 1_000),
            delay_us: best.map_or(0, |best| u64::try_from(best.delay_ns / 1_000).unwrap_or(0)),
            reach: source.pace.reach(),
            poll_s: 1 << source.pace.poll(self.discipline.poll()),
        }
    }

    /// The clock itself: for tests.
    pub fn clock(&self) -> &C {
        &self.clock
    }
}

fn microseconds(nanoseconds: i64) -> u32 {
    u32::try_from(nanoseconds / 1_000).unwrap_or(u32::MAX)
}
