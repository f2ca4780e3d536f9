//! Stories of our own lease, told to the table: what follows what, and what never happens.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::net::Ipv4Addr;

use lease::client::{Action, Event, Say, State, next};
use lease::schedule::Moment;
use lease::terms::{Reply, Terms};
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_assert, prop_oneof, proptest};

const XID: u32 = 9;
const OURS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const OTHER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

fn terms(address: Ipv4Addr, server: Ipv4Addr) -> Terms {
    let name_servers = heapless::Vec::new();
    let (router, renew_s, rebind_s) = (Some(server), None, None);
    Terms {
        address,
        prefix_length: 24,
        router,
        routes: heapless::Vec::new(),
        name_servers,
        time_servers: heapless::Vec::new(),
        sip_servers: heapless::Vec::new(),
        controller: None,
        domain: "".into(),
        server,
        lease_s: 1_000,
        renew_s,
        rebind_s,
    }
}

/// What a story is made of; every exchange has the same number here.
#[derive(Debug, Clone, Copy)]
enum Step {
    Up,
    Down,
    /// The time that the state waits for.
    Due,
    /// So many seconds pass.
    Pass(u64),
    Offer(Ipv4Addr),
    Ack(Ipv4Addr),
    Nak(Ipv4Addr),
    /// Of another exchange.
    Stray,
    Conflict,
}

struct Story {
    state: State,
    now_ms: u64,
    said: Vec<String>,
}

impl Story {
    fn new() -> Self {
        Self { state: State::Down { held: None }, now_ms: 1_000, said: Vec::new() }
    }

    fn tell(&mut self, step: Step) {
        let heard = |xid, reply| Event::Heard { xid, reply };
        let event = match step {
            Step::Up => Event::Up,
            Step::Down => Event::Down,
            Step::Due => {
                self.now_ms = self.now_ms.max(self.state.due_ms().unwrap_or(0));
                Event::Time
            }
            Step::Pass(s) => {
                self.now_ms += s * 1_000;
                Event::Time
            }
            Step::Offer(server) => heard(XID, Reply::Offer(terms(OURS, server))),
            Step::Ack(server) => heard(XID, Reply::Ack(terms(OURS, server))),
            Step::Nak(server) => heard(XID, Reply::Nak { server }),
            Step::Stray => heard(XID + 1, Reply::Ack(terms(OURS, SERVER))),
            Step::Conflict => Event::Conflict,
        };
        let now = Moment { ms: self.now_ms, random: u64::from(XID) << 32 };
        let (state, actions) = next(self.state.clone(), event, now);
        self.state = state;
        self.said = actions.iter().map(word).collect();
    }
}

fn word(action: &Action) -> String {
    match action {
        Action::Send(Say::Discover(_)) => "discover".into(),
        Action::Send(Say::Take(_, address, server)) => format!("take {address} of {server}"),
        Action::Send(Say::Confirm(..)) => "confirm".into(),
        Action::Send(Say::Renew(_, _, server)) => format!("renew at {server}"),
        Action::Send(Say::Rebind(..)) => "rebind".into(),
        Action::Send(Say::Decline(..)) => "decline".into(),
        Action::Probe(_) => "probe".into(),
        Action::Announce(_) => "announce".into(),
        Action::Got(_) => "got".into(),
        Action::Lost => "lost".into(),
    }
}

/// Until the lease is held.
const BOUND: [Step; 5] = [Step::Up, Step::Offer(SERVER), Step::Ack(SERVER), Step::Due, Step::Due];

/// What is told, step by step; the state after the last; what was said then.
type Row<'r> = (&'r str, &'r [Step], &'r str, &'r [&'r str]);

fn check(before: &[Step], table: &[Row<'_>]) {
    for (name, steps, state, said) in table {
        let mut story = Story::new();
        for step in before.iter().chain(*steps) {
            story.tell(*step);
        }
        let heard: Vec<&str> = story.said.iter().map(String::as_str).collect();
        assert_eq!((story.state.word(), heard.as_slice()), (*state, *said), "{name}");
    }
}

#[test]
fn a_lease_is_got() {
    use Step as E;
    check(
        &[],
        &[
            ("the first question is at once", &[E::Up], "SELECTING", &["discover"]),
            ("nobody is there", &[E::Up, E::Due], "SELECTING", &["discover"]),
            (
                "the first offer is taken",
                &[E::Up, E::Offer(SERVER)],
                "REQUESTING",
                &["take 10.0.0.9 of 10.0.0.1"],
            ),
            ("an offer too late", &[E::Up, E::Offer(SERVER), E::Offer(OTHER)], "REQUESTING", &[]),
            ("another's grant", &[E::Up, E::Offer(SERVER), E::Ack(OTHER)], "REQUESTING", &[]),
            ("a grant out of nowhere", &[E::Up, E::Ack(SERVER)], "SELECTING", &[]),
            ("of another exchange", &[E::Up, E::Offer(SERVER), E::Stray], "REQUESTING", &[]),
            ("a new address is checked", &[E::Up, E::Offer(SERVER), E::Ack(SERVER)], "CHECKING", &["probe"]),
            ("twice", &BOUND[..4], "CHECKING", &["probe"]),
            ("and taken", &BOUND, "BOUND", &["announce", "got"]),
            (
                "somebody has it",
                &[E::Up, E::Offer(SERVER), E::Ack(SERVER), E::Conflict],
                "INIT",
                &["decline"],
            ),
            ("it refuses what it offered", &[E::Up, E::Offer(SERVER), E::Nak(SERVER)], "INIT", &[]),
            (
                "no answer to the request",
                &[E::Up, E::Offer(SERVER), E::Due, E::Due, E::Due, E::Due],
                "SELECTING",
                &["discover"],
            ),
            ("the carrier goes while asking", &[E::Up, E::Offer(SERVER), E::Down], "DOWN", &[]),
        ],
    );
}

#[test]
fn a_lease_is_kept_or_lost() {
    use Step as E;
    check(
        &BOUND,
        &[
            ("half-time", &[E::Due], "RENEWING", &["renew at 10.0.0.1"]),
            ("more time", &[E::Due, E::Ack(SERVER)], "BOUND", &["got"]),
            ("more time from another", &[E::Due, E::Ack(OTHER)], "RENEWING", &[]),
            ("no more time", &[E::Due, E::Nak(SERVER)], "SELECTING", &["lost", "discover"]),
            ("its server is silent", &[E::Due, E::Pass(400)], "REBINDING", &["rebind"]),
            ("another server steps in", &[E::Due, E::Pass(400), E::Ack(OTHER)], "BOUND", &["got"]),
            ("all are silent", &[E::Due, E::Pass(400), E::Pass(200)], "SELECTING", &["lost", "discover"]),
            ("the carrier comes back", &[E::Down, E::Up], "REBOOTING", &["confirm"]),
            ("and it is still good", &[E::Down, E::Up, E::Ack(SERVER)], "BOUND", &["got"]),
            ("or is not", &[E::Down, E::Up, E::Nak(OTHER)], "SELECTING", &["lost", "discover"]),
            ("or nobody answers", &[E::Down, E::Up, E::Due, E::Due], "SELECTING", &["discover"]),
            ("the carrier is away too long", &[E::Down, E::Pass(2_000)], "DOWN", &["lost"]),
            ("and comes back too late", &[E::Down, E::Pass(2_000), E::Up], "SELECTING", &["discover"]),
            ("the carrier comes twice", &[E::Up], "BOUND", &[]),
        ],
    );
}

fn step() -> impl Strategy<Value = Step> {
    let server = prop_oneof![Just(SERVER), Just(OTHER)];
    prop_oneof![
        Just(Step::Up),
        Just(Step::Down),
        Just(Step::Due),
        (0_u64..600).prop_map(Step::Pass),
        server.clone().prop_map(Step::Offer),
        server.clone().prop_map(Step::Ack),
        server.prop_map(Step::Nak),
        Just(Step::Stray),
        Just(Step::Conflict),
    ]
}

proptest! {
    // What fails is printed; a file beside the sources would not be looked at.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_story_breaks_a_promise(steps in proptest::collection::vec(step(), 0..60), late in any::<bool>()) {
        let mut story = Story::new();
        let mut told = false;
        for step in steps {
            story.tell(step);
            for word in &story.said {
                told = match word.as_str() {
                    "got" => true,
                    "lost" => { prop_assert!(told, "lost what was never told"); false }
                    _ => told,
                };
            }
            prop_assert!(story.said.len() < 4, "more than one event can ask for: {:?}", story.said);
            let held = story.state.held();
            prop_assert!(held.is_none_or(|held| !held.is_over(story.now_ms)), "held past its end");
            prop_assert!(told == held.is_some(), "what is told is what is held: {:?}", story.state);
            let waits = story.state.due_ms().is_some();
            prop_assert!(waits || story.state.word() == "DOWN", "something is always to come");
            if late {
                story.now_ms += 10;
            }
        }
    }
}
