//! What follows what: looking for a concentrator, the session, what comes after its end.
//!
//! In:  events and a moment. Out: actions.
//!
//! Pure: no socket, no clock, no dice, no log. `line.rs` does the work.
//!
//! Nobody is hammered: the pauses of the search and those after a failure double up to a minute and are spread by chance. When the cable
//! comes back it goes on at once; a session that was up then is asked whether it still is.
//!
//! Source: RFC 2516 §5, §8; RFC 4638 §4; docs/pppoe.md.

use contract::wanted::access::Pppoe;

use super::discovery::{self, EVERYBODY, Message, code, tag};
use super::lcp::MRU_USUAL;
use super::live::{End, Live, Stage};
use super::memory::Memory;
use crate::schedule::Moment;

/// The first pause of a search, in milliseconds, and the longest. Source: RFC 2516 §5.1 leaves them open.
const PAUSE_MS: u64 = 2_000;
const PAUSE_MS_MAX: u64 = 60_000;
/// How often a concentrator is asked for a session before it is looked for again.
const REQUESTS: u32 = 3;
/// After a refusal the pause is as after so many failures: 16 s and more.
const REFUSED_FAILURES: u32 = 4;
/// A session that was up so long was a good one: what comes after its end begins anew, in milliseconds.
const GOOD_MS: u64 = 60_000;
/// A session of a former life is told that it is over, at most once in so many milliseconds.
const STRAY_EVERY_MS: u64 = 1_000;
/// The most bytes of a concentrator and a relay that go back: with our own tags they fit in a frame.
const COOKIE_BYTES_MAX: usize = 1_300;

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wants {
    /// The session.
    pub pppoe: Pppoe,
    /// IPv6 over it.
    pub ipv6: bool,
}

/// A link that carries frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Carrier {
    /// Our link-layer address.
    pub mac: [u8; 6],
    /// The largest packet of a session that its frames can carry, in bytes.
    pub payload: u16,
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'e> {
    /// The link carries frames.
    Carrier(Carrier),
    /// The cable is out.
    NoCarrier,
    /// The link is gone, or has become another.
    Gone,
    /// A packet of the discovery stage.
    Discovery {
        /// Who sent it.
        from: [u8; 6],
        /// It.
        bytes: &'e [u8],
    },
    /// A packet of the session stage that the kernel may not know.
    Stray {
        /// Who sent it.
        from: [u8; 6],
        /// It.
        bytes: &'e [u8],
    },
    /// A control packet of our session.
    Control(&'e [u8]),
    /// The kernel has bound the session to a PPP link.
    Bound,
    /// The kernel has ended the session, or could not begin it.
    Broken(&'e str),
    /// Time has passed.
    Time,
}

/// What follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send this packet of the discovery stage.
    Discover([u8; 6], Vec<u8>),
    /// Let the kernel know a session: its number, and with whom.
    Connect(u16, [u8; 6]),
    /// Bind it to a PPP link.
    Bind,
    /// Send this control packet.
    Control(Vec<u8>),
    /// Let packets pass.
    Pass {
        /// Those of IPv4.
        ipv4: bool,
        /// Those of IPv6.
        ipv6: bool,
    },
    /// Let the kernel forget the session.
    Close,
    /// Tell that it is up, and how.
    Up,
    /// Say this in the log.
    Say(String),
    /// Warn of this in the log.
    Warn(String),
}

/// What follows, in order: a handful for one event, for no packet causes more than one answer of each layer.
pub type Actions = Vec<Action>;

/// A concentrator that has offered itself.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Offer {
    peer: [u8; 6],
    cookie: Option<Vec<u8>>,
    relay: Option<Vec<u8>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// The link carries nothing.
    Down,
    /// Nothing is done until then.
    Waiting { due_ms: u64 },
    /// We ask who is there.
    Searching { tries: u32, due_ms: u64 },
    /// We ask one for a session.
    Requesting { offer: Offer, tries: u32, due_ms: u64 },
    /// There is one.
    Live(Box<Live>),
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    wants: Wants,
    carrier: Option<Carrier>,
    phase: Phase,
    /// Ends in a row that came too early.
    failures: u32,
    /// By which we know answers to our own questions.
    uniq: [u8; 8],
    reason: String,
    stray_ms: u64,
}

impl Session {
    /// One that is wanted, on a link of which nothing is known yet.
    #[must_use]
    pub fn new(wants: Wants, uniq: u64) -> Self {
        let (carrier, phase, uniq) = (None, Phase::Down, uniq.to_be_bytes());
        Self { wants, carrier, phase, failures: 0, uniq, reason: String::new(), stray_ms: 0 }
    }

    /// One that an earlier life has left: it is up, as far as is known.
    #[must_use]
    pub fn adopted(wants: Wants, uniq: u64, memory: &Memory, now_ms: u64) -> Self {
        Self { phase: Phase::Live(Box::new(Live::adopted(memory, now_ms))), ..Self::new(wants, uniq) }
    }

    /// What is wanted.
    #[must_use]
    pub fn wants(&self) -> &Wants {
        &self.wants
    }

    /// The session, where there is one.
    #[must_use]
    pub fn live(&self) -> Option<&Live> {
        match &self.phase {
            Phase::Live(live) => Some(live),
            Phase::Down | Phase::Waiting { .. } | Phase::Searching { .. } | Phase::Requesting { .. } => None,
        }
    }

    /// Why the last one, or the last try, came to its end; empty: there was none.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// A word for where it is.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match &self.phase {
            Phase::Down => "NO CARRIER",
            Phase::Waiting { .. } => "WAITING",
            Phase::Searching { .. } => "SEARCHING",
            Phase::Requesting { .. } => "REQUESTING",
            Phase::Live(live) if live.up_ms().is_some() => "UP",
            Phase::Live(live) => match live.stage() {
                Stage::Linking => "LINKING",
                Stage::SigningIn => "SIGNING IN",
                Stage::Binding | Stage::Addressing => "ADDRESSING",
            },
        }
    }

    /// When it has something to do, in milliseconds after boot.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        match &self.phase {
            Phase::Down => None,
            Phase::Waiting { due_ms }
            | Phase::Searching { due_ms, .. }
            | Phase::Requesting { due_ms, .. } => Some(*due_ms),
            Phase::Live(live) => live.due_ms(),
        }
    }

    /// One event, and all that follows from it.
    pub fn happen(&mut self, event: &Event<'_>, now: Moment) -> Actions {
        let mut out = Actions::new();
        let outcome = match event {
            Event::Carrier(carrier) => self.carried(*carrier, now, &mut out),
            Event::NoCarrier => {
                self.carrier = None;
                match self.live().map(Live::up_ms) {
                    // The cable may come back before the peer notices. If not, echoes tell.
                    Some(Some(_)) => Ok(()),
                    Some(None) => Err(End::Lost("the cable is out".to_owned())),
                    None => {
                        self.phase = Phase::Down;
                        Ok(())
                    }
                }
            }
            Event::Gone => {
                self.carrier = None;
                let live = self.live().is_some();
                self.phase = if live { self.phase.clone() } else { Phase::Down };
                if live { Err(End::Lost("the link is gone".to_owned())) } else { Ok(()) }
            }
            Event::Discovery { from, bytes } => match discovery::read(bytes) {
                Some(message) => self.discovered(*from, &message, now, &mut out),
                None => Ok(()),
            },
            Event::Stray { from, bytes } => {
                self.stray(*from, bytes, now, &mut out);
                Ok(())
            }
            Event::Control(bytes) => {
                self.with_live(|live, wants| live.control(bytes, wants, now.ms, &mut out))
            }
            Event::Bound => self.with_live(|live, _| live.bound(now.ms, &mut out)),
            Event::Broken(why) => self.with_live(|_, _| Err(End::Lost((*why).to_owned()))),
            Event::Time => self.time(now, &mut out),
        };
        if let Err(end) = outcome {
            self.end(end, now, &mut out);
        }
        out
    }

    /// It is not wanted any more: the last words.
    pub fn leave(&mut self, now_ms: u64) -> Actions {
        let mut out = Actions::new();
        self.hang_up(now_ms, &mut out);
        self.phase = Phase::Down;
        out
    }

    fn with_live(&mut self, what: impl FnOnce(&mut Live, &Wants) -> Result<(), End>) -> Result<(), End> {
        match &mut self.phase {
            Phase::Live(live) => what(live, &self.wants),
            Phase::Down | Phase::Waiting { .. } | Phase::Searching { .. } | Phase::Requesting { .. } => {
                Ok(())
            }
        }
    }

    fn carried(&mut self, carrier: Carrier, now: Moment, out: &mut Actions) -> Result<(), End> {
        if self.carrier.replace(carrier).is_some() {
            return Ok(());
        }
        if self.live().is_none() {
            self.search(0, now, out);
        }
        self.with_live(|live, wants| {
            live.doubt(now.ms);
            live.time(wants, now.ms, out)
        })
    }

    fn time(&mut self, now: Moment, out: &mut Actions) -> Result<(), End> {
        if self.due_ms().is_none_or(|due_ms| due_ms > now.ms) {
            return Ok(());
        }
        match &self.phase {
            Phase::Down => {}
            Phase::Waiting { .. } => self.search(0, now, out),
            Phase::Searching { tries, .. } => self.search(*tries, now, out),
            Phase::Requesting { tries, .. } if *tries >= REQUESTS => {
                return Err(End::Lost("the concentrator offers a session and gives none".to_owned()));
            }
            Phase::Requesting { offer, tries, .. } => self.request(offer.clone(), *tries, now, out),
            Phase::Live(_) => return self.with_live(|live, wants| live.time(wants, now.ms, out)),
        }
        Ok(())
    }

    /// Asks who is there. Source: RFC 2516 §5.1.
    fn search(&mut self, tries: u32, now: Moment, out: &mut Actions) {
        if self.carrier.is_none() {
            self.phase = Phase::Down;
            return;
        }
        let payload = self.payload_wanted().map(u16::to_be_bytes);
        let mut tags: Vec<(u16, &[u8])> = vec![(tag::SERVICE, self.wants.pppoe.service.as_bytes())];
        tags.push((tag::HOST_UNIQ, &self.uniq));
        tags.extend(payload.as_ref().map(|payload| (tag::MAX_PAYLOAD, payload.as_slice())));
        let bytes = discovery::write(code::PADI, 0, &tags);
        out.extend(bytes.map(|bytes| Action::Discover(EVERYBODY, bytes)));
        if tries == 5 {
            "no concentrator answers".clone_into(&mut self.reason);
            out.push(Action::Warn(self.reason.clone()));
        }
        let due_ms = now.ms.saturating_add(pause_ms(tries, now));
        self.phase = Phase::Searching { tries: tries.saturating_add(1), due_ms };
    }

    /// What we ask beyond the usual. Source: RFC 4638 §4: the tag is only for more than 1492.
    fn payload_wanted(&self) -> Option<u16> {
        self.carrier.map(|carrier| carrier.payload).filter(|payload| *payload > MRU_USUAL)
    }

    /// Asks one for a session. Source: RFC 2516 §5.3.
    fn request(&mut self, offer: Offer, tries: u32, now: Moment, out: &mut Actions) {
        let payload = self.payload_wanted().map(u16::to_be_bytes);
        let mut tags: Vec<(u16, &[u8])> = vec![(tag::SERVICE, self.wants.pppoe.service.as_bytes())];
        tags.push((tag::HOST_UNIQ, &self.uniq));
        tags.extend(payload.as_ref().map(|payload| (tag::MAX_PAYLOAD, payload.as_slice())));
        tags.extend(offer.cookie.as_deref().map(|cookie| (tag::COOKIE, cookie)));
        tags.extend(offer.relay.as_deref().map(|relay| (tag::RELAY, relay)));
        let bytes = discovery::write(code::PADR, 0, &tags);
        out.extend(bytes.map(|bytes| Action::Discover(offer.peer, bytes)));
        let due_ms = now.ms.saturating_add(pause_ms(tries, now));
        self.phase = Phase::Requesting { offer, tries: tries.saturating_add(1), due_ms };
    }

    /// A packet of the discovery stage.
    fn discovered(
        &mut self,
        from: [u8; 6],
        message: &Message<'_>,
        now: Moment,
        out: &mut Actions,
    ) -> Result<(), End> {
        let ours = message.tag(tag::HOST_UNIQ) == Some(&self.uniq);
        match (&self.phase, message.code) {
            (Phase::Searching { .. }, code::PADO) if ours && from[0] & 1 == 0 => {
                if let Some(error) = message.error() {
                    self.reason = format!("the concentrator: {error}");
                } else if let Some(offer) = self.offer(from, message) {
                    self.request(offer, 0, now, out);
                }
            }
            (Phase::Requesting { offer, .. }, code::PADS) if ours && offer.peer == from => {
                if let Some(error) = message.error() {
                    return Err(End::Lost(format!("the concentrator: {error}")));
                }
                if message.session == 0 {
                    return Err(End::Lost("the concentrator gives no session".to_owned()));
                }
                return self.begin(from, message, now, out);
            }
            (Phase::Live(live), code::PADT) if live.peer == from && live.session == message.session => {
                let why = message.error().map_or(String::new(), |error| format!(": {error}"));
                return Err(End::Lost(format!("the concentrator has ended the session{why}")));
            }
            _ => {}
        }
        Ok(())
    }

    /// What `message` offers, if it is what we want.
    fn offer(&self, peer: [u8; 6], message: &Message<'_>) -> Option<Offer> {
        let Pppoe { service, concentrator, .. } = &self.wants.pppoe;
        let named =
            concentrator.is_empty() || message.tag(tag::CONCENTRATOR) == Some(concentrator.as_bytes());
        let serves = service.is_empty() || message.all(tag::SERVICE).any(|one| one == service.as_bytes());
        let cookie = message.tag(tag::COOKIE).map(<[u8]>::to_vec);
        let relay = message.tag(tag::RELAY).map(<[u8]>::to_vec);
        let bytes = cookie.as_ref().map_or(0, Vec::len) + relay.as_ref().map_or(0, Vec::len);
        (named && serves && bytes <= COOKIE_BYTES_MAX).then_some(Offer { peer, cookie, relay })
    }

    fn begin(
        &mut self,
        peer: [u8; 6],
        message: &Message<'_>,
        now: Moment,
        out: &mut Actions,
    ) -> Result<(), End> {
        let Some(carrier) = self.carrier else { return Ok(()) };
        // Only what both have said counts. Source: RFC 4638 §4.
        let more = message.max_payload().zip(self.payload_wanted()).map(|(theirs, ours)| theirs.min(ours));
        let mru = more.unwrap_or(MRU_USUAL).min(carrier.payload);
        let magic = u32::try_from(now.random >> 32).unwrap_or(1);
        let mut live = Box::new(Live::new((message.session, peer), mru, magic, carrier.mac));
        out.push(Action::Connect(message.session, peer));
        let outcome = live.begin(&self.wants, now.ms, out);
        self.phase = Phase::Live(live);
        outcome
    }

    /// A session that is not ours any more lives on in the concentrator: it is told. Source: RFC 2516 §5.5.
    fn stray(&mut self, from: [u8; 6], bytes: &[u8], now: Moment, out: &mut Actions) {
        let Some(session) = discovery::session_of(bytes).filter(|session| *session != 0) else { return };
        let ours = match &self.phase {
            Phase::Live(live) => live.peer == from && live.session == session,
            Phase::Requesting { offer, .. } => offer.peer == from, // Perhaps the one that we are about to get.
            Phase::Down | Phase::Waiting { .. } | Phase::Searching { .. } => false,
        };
        if ours || now.ms < self.stray_ms {
            return;
        }
        self.stray_ms = now.ms.saturating_add(STRAY_EVERY_MS);
        let bytes = discovery::write(code::PADT, session, &[]);
        out.extend(bytes.map(|bytes| Action::Discover(from, bytes)));
        out.push(Action::Say(format!("session {session} is none of ours any more, and was told so")));
    }

    fn hang_up(&mut self, now_ms: u64, out: &mut Actions) {
        let Phase::Live(live) = &mut self.phase else { return };
        live.close(now_ms, out);
        let bytes = discovery::write(code::PADT, live.session, &[]);
        out.extend(bytes.map(|bytes| Action::Discover(live.peer, bytes)));
        out.push(Action::Close);
    }

    /// It is over: the last words, and when to try again.
    fn end(&mut self, end: End, now: Moment, out: &mut Actions) {
        let up_ms = self.live().and_then(Live::up_ms);
        self.hang_up(now.ms, out);
        let good = up_ms.is_some_and(|up_ms| now.ms.saturating_sub(up_ms) >= GOOD_MS);
        let failures = if good { 0 } else { self.failures.saturating_add(1) };
        (self.failures, self.reason) = match end {
            End::Refused(said) if said.is_empty() => {
                (failures.max(REFUSED_FAILURES), "the peer refuses user or password".to_owned())
            }
            End::Refused(said) => {
                (failures.max(REFUSED_FAILURES), format!("the peer refuses user or password: {said}"))
            }
            End::Lost(why) => (failures, why),
        };
        if self.carrier.is_none() {
            self.phase = Phase::Down;
            out.push(Action::Warn(self.reason.clone()));
            return;
        }
        // After a good session, or the first that was short, it begins again at once, give or take a second.
        let wait_ms = match self.failures {
            0 | 1 => (now.random & 0xffff_ffff) % 1_000,
            failures => pause_ms(failures.saturating_sub(1), now),
        };
        self.phase = Phase::Waiting { due_ms: now.ms.saturating_add(wait_ms) };
        out.push(Action::Warn(format!("{}; again in {} s", self.reason, wait_ms.div_ceil(1_000))));
    }
}

/// A pause after `tries` others, in milliseconds: 2, 4, 8, 16, 32, 60 s, each up to a quarter shorter by chance.
fn pause_ms(tries: u32, now: Moment) -> u64 {
    let doubled = PAUSE_MS.checked_shl(tries.min(16)).unwrap_or(PAUSE_MS_MAX).min(PAUSE_MS_MAX);
    doubled - (now.random & 0xffff_ffff) % (doubled / 4 + 1)
}
