//! The life of our own lease, as a table: (state, event, moment) → (state, actions).
//!
//! In:  what happened and when. Out: the next state, and what to send and to tell.
//!
//! This module is pure: no socket, no clock, no log. `wan.rs` does the work.
//!
//! The states are those of RFC 2131 figure 5, with two more: `Down` (no carrier) and `Checking` (ARP asks whether somebody uses the
//! address already). A lease that we hold outlives a link that goes and comes; whatever happens, it is given up when it ends.
//!
//! Not here: times (`schedule.rs`), what the server's words may be (`terms.rs`), the form of what we send (`request.rs`).
//!
//! Source: RFC 2131 §3.1, §4.4, figure 5; RFC 5227 §2.1 for the check.

use std::net::Ipv4Addr;

use heapless::Vec;

use crate::schedule::{self, Held, Moment, Try};
use crate::terms::{Reply, Terms};

/// How often a `REQUEST` is sent before we begin again: 4 + 8 + 16 + 32 s. Source: RFC 2131 §4.4.5 asks for "about a minute".
const REQUESTS: u32 = 4;
/// How often we ask for the old address after the link came back: 4 + 8 s. Then we look for a server, and still hold the lease.
const CONFIRMS: u32 = 2;
/// ARP questions before an address is taken, and the time between them in milliseconds.
///
/// RFC 5227 asks for three within up to seven seconds; home routers are waited for, so two within half a second have to do.
const PROBES: u32 = 2;
const PROBE_EVERY_MS: u64 = 250;
/// The pause after somebody was found to use the address, in milliseconds. Source: RFC 2131 §3.1 step 5, "ten seconds".
const DECLINE_PAUSE_MS: u64 = 10_000;

/// Where we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// The link has no carrier. A lease is kept: it may come back in time.
    Down {
        /// What we hold.
        held: Option<Held>,
    },
    /// Nothing is asked yet.
    Init {
        /// When to begin.
        due_ms: u64,
        /// What we still hold.
        held: Option<Held>,
    },
    /// We asked who is there.
    Selecting {
        /// The question.
        asked: Try,
        /// What we still hold.
        held: Option<Held>,
    },
    /// We took an offer.
    Requesting {
        /// The request.
        asked: Try,
        /// The offer.
        offer: Terms,
        /// What we still hold.
        held: Option<Held>,
    },
    /// It was granted, and we ask whether somebody uses it.
    Checking {
        /// What was granted.
        granted: Held,
        /// Questions asked.
        probes: u32,
        /// When to ask again, or to believe it.
        due_ms: u64,
        /// What we still hold.
        held: Option<Held>,
    },
    /// We hold a lease.
    Bound {
        /// It.
        held: Held,
    },
    /// We asked its server for more time.
    Renewing {
        /// The request.
        asked: Try,
        /// The lease.
        held: Held,
    },
    /// We ask any server for more time.
    Rebinding {
        /// The request.
        asked: Try,
        /// The lease.
        held: Held,
    },
    /// The link came back, and we ask whether our lease is still good here.
    Rebooting {
        /// The request.
        asked: Try,
        /// The lease.
        held: Held,
    },
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The link has a carrier.
    Up,
    /// It has none.
    Down,
    /// Time has passed; perhaps something is due.
    Time,
    /// A server spoke.
    Heard {
        /// In which exchange.
        xid: u32,
        /// What.
        reply: Reply,
    },
    /// Somebody else uses the address that we check.
    Conflict,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send this.
    Send(Say),
    /// Ask by ARP whether somebody has this address.
    Probe(Ipv4Addr),
    /// Say by ARP that it is ours.
    Announce(Ipv4Addr),
    /// Tell `network`: we hold these terms, from now on or still.
    Got(Terms),
    /// Tell `network`: we hold nothing any more.
    Lost,
}

/// What we say to servers. `secs` is how long ago we began, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Say {
    /// Who is there?
    Discover(Try),
    /// I take the offer of `server`.
    Take(Try, Ipv4Addr, Ipv4Addr),
    /// May I keep this address? Asked again after the link was away (INIT-REBOOT).
    Confirm(Try, Ipv4Addr),
    /// More time, please: address and server (unicast).
    Renew(Try, Ipv4Addr, Ipv4Addr),
    /// More time, please, whoever you are (broadcast).
    Rebind(Try, Ipv4Addr),
    /// Somebody uses this address already: address and server.
    Decline(Try, Ipv4Addr, Ipv4Addr),
}

/// Everything that one event can ask for.
pub type Actions = Vec<Action, 4>;

impl State {
    /// The word of RFC 2131 figure 5, or ours.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Down { .. } => "DOWN",
            Self::Init { .. } => "INIT",
            Self::Selecting { .. } => "SELECTING",
            Self::Requesting { .. } => "REQUESTING",
            Self::Checking { .. } => "CHECKING",
            Self::Bound { .. } => "BOUND",
            Self::Renewing { .. } => "RENEWING",
            Self::Rebinding { .. } => "REBINDING",
            Self::Rebooting { .. } => "REBOOTING",
        }
    }

    /// The lease that we hold, where we hold one.
    #[must_use]
    pub fn held(&self) -> Option<&Held> {
        match self {
            Self::Down { held }
            | Self::Init { held, .. }
            | Self::Selecting { held, .. }
            | Self::Requesting { held, .. }
            | Self::Checking { held, .. } => held.as_ref(),
            Self::Bound { held }
            | Self::Renewing { held, .. }
            | Self::Rebinding { held, .. }
            | Self::Rebooting { held, .. } => Some(held),
        }
    }

    /// When [`Event::Time`] has something to do, in milliseconds after boot. `None`: never.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        let step = match self {
            Self::Down { .. } => None,
            Self::Init { due_ms, .. } | Self::Checking { due_ms, .. } => Some(*due_ms),
            Self::Selecting { asked, .. }
            | Self::Requesting { asked, .. }
            | Self::Rebooting { asked, .. }
            | Self::Rebinding { asked, .. } => Some(asked.due_ms),
            Self::Bound { held } => held.renew_ms,
            Self::Renewing { asked, held } => held.rebind_ms.into_iter().chain([asked.due_ms]).min(),
        };
        let end = self.held().and_then(|held| held.end_ms);
        step.into_iter().chain(end).min()
    }
}

/// An event that concerns the state that we are in: the exchange is ours, the server is the right one, the time has come.
enum Cue {
    Carrier(bool),
    Due,
    Said(Said),
    Conflict,
}

/// What the right server said in our exchange.
enum Said {
    Offer(Terms),
    Ack(Terms),
    Nak,
}

/// Returns what follows `event` in `state` at `now`.
///
/// A lease that has ended is given up first, so no event can keep one past its end.
#[must_use]
pub fn next(state: State, event: Event, now: Moment) -> (State, Actions) {
    let mut actions = Actions::new();
    let mut state = state;
    if state.held().is_some_and(|held| held.is_over(now.ms)) {
        add(&mut actions, Action::Lost);
        state = without_lease(state, now);
    }
    let state = match cue(&state, event, now) {
        Some(cue) => step(state, cue, now, &mut actions),
        None => state,
    };
    (state, actions)
}

/// The part of `event` that concerns `state`.
fn cue(state: &State, event: Event, now: Moment) -> Option<Cue> {
    match event {
        Event::Up => Some(Cue::Carrier(true)),
        Event::Down => Some(Cue::Carrier(false)),
        Event::Conflict => Some(Cue::Conflict),
        Event::Time => schedule::is_due(state.due_ms(), now.ms).then_some(Cue::Due),
        Event::Heard { xid, reply } => {
            let (asked, server) = match state {
                State::Selecting { asked, .. }
                | State::Rebinding { asked, .. }
                | State::Rebooting { asked, .. } => (asked, None),
                State::Requesting { asked, offer, .. } => (asked, Some(offer.server)),
                State::Renewing { asked, held } => (asked, Some(held.terms.server)),
                State::Down { .. } | State::Init { .. } | State::Checking { .. } | State::Bound { .. } => {
                    return None;
                }
            };
            let (speaker, said) = match reply {
                Reply::Offer(terms) => (terms.server, Said::Offer(terms)),
                Reply::Ack(terms) => (terms.server, Said::Ack(terms)),
                Reply::Nak { server } => (server, Said::Nak),
            };
            let ours = xid == asked.xid && server.is_none_or(|server| server == speaker);
            ours.then_some(Cue::Said(said))
        }
    }
}

/// The table, in four parts: every state, and everything that can concern it.
fn step(state: State, cue: Cue, now: Moment, actions: &mut Actions) -> State {
    match cue {
        Cue::Carrier(true) => up(state, now, actions),
        Cue::Carrier(false) => down(state),
        Cue::Due => due(state, now, actions),
        Cue::Said(said) => heard(state, said, now, actions),
        Cue::Conflict => conflict(state, now, actions),
    }
}

/// The link has a carrier: what we held before is asked for first.
fn up(state: State, now: Moment, actions: &mut Actions) -> State {
    use State as S;
    match state {
        S::Down { held } => begin(held, now, actions),
        state @ (S::Init { .. }
        | S::Selecting { .. }
        | S::Requesting { .. }
        | S::Checking { .. }
        | S::Bound { .. }
        | S::Renewing { .. }
        | S::Rebinding { .. }
        | S::Rebooting { .. }) => state,
    }
}

/// It has none: what is being asked is forgotten, what is held is not.
fn down(state: State) -> State {
    use State as S;
    let held = match state {
        S::Down { held }
        | S::Init { held, .. }
        | S::Selecting { held, .. }
        | S::Requesting { held, .. }
        | S::Checking { held, .. } => held,
        S::Bound { held }
        | S::Renewing { held, .. }
        | S::Rebinding { held, .. }
        | S::Rebooting { held, .. } => Some(held),
    };
    S::Down { held }
}

/// The time has come for whatever the state waited for.
fn due(state: State, now: Moment, actions: &mut Actions) -> State {
    use State as S;
    match state {
        S::Down { held } => S::Down { held },
        S::Init { held, .. } => discover(Try::first(now), held, actions),
        S::Selecting { asked, held } => discover(asked.again(now), held, actions),
        S::Requesting { asked, held, .. } if asked.count >= REQUESTS => {
            discover(Try::first(now), held, actions)
        }
        S::Requesting { asked, offer, held } => take(asked.repeating(now), offer, held, actions),
        S::Checking { granted, probes, held, .. } if probes < PROBES => {
            check(granted, probes + 1, held, now, actions)
        }
        // We slept through it.
        S::Checking { granted, held, .. } if granted.is_over(now.ms) => {
            discover(Try::first(now), held, actions)
        }
        S::Checking { granted, .. } => {
            add(actions, Action::Announce(granted.address()));
            hold(granted, actions)
        }
        S::Bound { held } => renew(now.ms, held, now, actions),
        S::Renewing { asked, held } if schedule::is_due(held.rebind_ms, now.ms) => {
            rebind(asked.began_ms, held, now, actions)
        }
        S::Renewing { asked, held } => renew(asked.began_ms, held, now, actions),
        S::Rebinding { asked, held } => rebind(asked.began_ms, held, now, actions),
        S::Rebooting { asked, held } if asked.count >= CONFIRMS => {
            discover(Try::first(now), Some(held), actions)
        }
        S::Rebooting { asked, held } => confirm(asked.again(now), held, actions),
    }
}

/// A server spoke.
fn heard(state: State, said: Said, now: Moment, actions: &mut Actions) -> State {
    use {Said as W, State as S};
    match (state, said) {
        (S::Selecting { asked, held }, W::Offer(offer)) => take(asked.answering(now), offer, held, actions),
        (S::Requesting { asked, held, .. }, W::Ack(terms)) => grant(terms, asked, held, now, actions),
        (
            S::Renewing { asked, held } | S::Rebinding { asked, held } | S::Rebooting { asked, held },
            W::Ack(terms),
        ) => grant(terms, asked, Some(held), now, actions),
        // Not at once: a server that refuses what it has offered would keep us busy.
        (S::Requesting { asked, held, .. }, W::Nak) => {
            lose(held, actions);
            S::Init { due_ms: Try::first(now).due_ms.max(asked.due_ms), held: None }
        }
        (S::Renewing { held, .. } | S::Rebinding { held, .. } | S::Rebooting { held, .. }, W::Nak) => {
            lose(Some(held), actions);
            discover(Try::first(now), None, actions)
        }
        (state @ S::Selecting { .. }, W::Ack(_) | W::Nak)
        | (
            state @ (S::Requesting { .. } | S::Renewing { .. } | S::Rebinding { .. } | S::Rebooting { .. }),
            W::Offer(_),
        )
        | (
            state @ (S::Down { .. } | S::Init { .. } | S::Checking { .. } | S::Bound { .. }),
            W::Offer(_) | W::Ack(_) | W::Nak,
        ) => state,
    }
}

/// Another host uses the address.
fn conflict(state: State, now: Moment, actions: &mut Actions) -> State {
    use State as S;
    match state {
        S::Checking { granted, held, .. } => {
            let Terms { address, server, .. } = granted.terms;
            add(actions, Action::Send(Say::Decline(Try::first(now), address, server)));
            S::Init { due_ms: now.ms.saturating_add(DECLINE_PAUSE_MS), held }
        }
        state @ (S::Down { .. }
        | S::Init { .. }
        | S::Selecting { .. }
        | S::Requesting { .. }
        | S::Bound { .. }
        | S::Renewing { .. }
        | S::Rebinding { .. }
        | S::Rebooting { .. }) => state,
    }
}

/// What is left of `state` when its lease ends.
fn without_lease(state: State, now: Moment) -> State {
    use State as S;
    match state {
        S::Down { .. } => S::Down { held: None },
        S::Init { due_ms, .. } => S::Init { due_ms, held: None },
        S::Selecting { asked, .. } => S::Selecting { asked, held: None },
        S::Requesting { asked, offer, .. } => S::Requesting { asked, offer, held: None },
        S::Checking { granted, probes, due_ms, .. } => S::Checking { granted, probes, due_ms, held: None },
        S::Bound { .. } | S::Renewing { .. } | S::Rebinding { .. } | S::Rebooting { .. } => {
            S::Init { due_ms: now.ms, held: None }
        }
    }
}

fn begin(held: Option<Held>, now: Moment, actions: &mut Actions) -> State {
    match held {
        Some(held) => confirm(Try::first(now), held, actions),
        None => discover(Try::first(now), None, actions),
    }
}

fn discover(asked: Try, held: Option<Held>, actions: &mut Actions) -> State {
    add(actions, Action::Send(Say::Discover(asked)));
    State::Selecting { asked, held }
}

fn take(asked: Try, offer: Terms, held: Option<Held>, actions: &mut Actions) -> State {
    add(actions, Action::Send(Say::Take(asked, offer.address, offer.server)));
    State::Requesting { asked, offer, held }
}

fn confirm(asked: Try, held: Held, actions: &mut Actions) -> State {
    add(actions, Action::Send(Say::Confirm(asked, held.address())));
    State::Rebooting { asked, held }
}

fn renew(began_ms: u64, held: Held, now: Moment, actions: &mut Actions) -> State {
    let asked = Try::extending(began_ms, held.rebind_ms, now);
    add(actions, Action::Send(Say::Renew(asked, held.address(), held.terms.server)));
    State::Renewing { asked, held }
}

fn rebind(began_ms: u64, held: Held, now: Moment, actions: &mut Actions) -> State {
    let asked = Try::extending(began_ms, held.end_ms, now);
    add(actions, Action::Send(Say::Rebind(asked, held.address())));
    State::Rebinding { asked, held }
}

/// A lease was granted. An address that is new to us is looked for on the link first.
fn grant(terms: Terms, asked: Try, held: Option<Held>, now: Moment, actions: &mut Actions) -> State {
    let granted = Held::new(terms, asked.sent_ms, now);
    if granted.is_over(now.ms) {
        return discover(Try::first(now), held, actions); // It was shorter than the wait for it.
    }
    if held.as_ref().is_some_and(|held| held.address() == granted.address()) {
        return hold(granted, actions);
    }
    check(granted, 1, held, now, actions)
}

fn check(granted: Held, probes: u32, held: Option<Held>, now: Moment, actions: &mut Actions) -> State {
    add(actions, Action::Probe(granted.address()));
    State::Checking { granted, probes, due_ms: now.ms.saturating_add(PROBE_EVERY_MS), held }
}

fn hold(held: Held, actions: &mut Actions) -> State {
    add(actions, Action::Got(held.terms.clone()));
    State::Bound { held }
}

fn lose(held: Option<Held>, actions: &mut Actions) {
    if held.is_some() {
        add(actions, Action::Lost);
    }
}

/// No event asks for more than [`Actions`] holds: at most the loss of a lease and two more.
fn add(actions: &mut Actions, action: Action) {
    let _ = actions.push(action);
}
