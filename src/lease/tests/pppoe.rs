//! The whole of a session against a concentrator that is played here: the order of things, refusals, ends, pauses.
//!
//! Real peers (pppoe-server and pppd) are in the guest: tests/tests/clients_pppoe.rs.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::VecDeque;
use std::net::Ipv4Addr;

use contract::wanted::access::Pppoe;
use lease::ppp::discovery::{self, code, tag};
use lease::ppp::layer::{Layer, Options, Out, Verdict};
use lease::ppp::packet::{self, CHAP, IPCP, IPV6CP, LCP, PAP, Packet, Setting};
use lease::ppp::session::{Action, Carrier, Event, Session, Wants};
use lease::schedule::Moment;

const HOME: [u8; 6] = [2, 0, 0, 0, 0, 1];
const PEER: [u8; 6] = [2, 0, 0, 0, 0, 9];

/// One protocol of the concentrator's: it asks for `ask`, takes whatever it is asked but what `counter` counters, once.
#[derive(Debug)]
struct Theirs<const PROTOCOL: u16> {
    ask: Vec<u8>,
    counter: Option<Vec<u8>>,
}

impl<const PROTOCOL: u16> Options for Theirs<PROTOCOL> {
    const PROTOCOL: u16 = PROTOCOL;
    fn ask(&self) -> Vec<u8> {
        self.ask.clone()
    }
    fn nak(&mut self, _: Setting<'_>) {}
    fn reject(&mut self, _: u8) {}
    fn judge(&mut self, _: &[Setting<'_>]) -> Verdict {
        self.counter.take().map_or(Verdict::Good, Verdict::Nak)
    }
    fn echo_head(&self) -> Option<[u8; 4]> {
        (PROTOCOL == LCP).then_some([9; 4])
    }
}

/// What is on its way to the gateway.
enum Coming {
    Discovery(Vec<u8>),
    Control(Vec<u8>),
    Bound,
}

/// A concentrator, and a gateway in front of it.
struct Stage {
    coming: VecDeque<Coming>,
    session: Session,
    now_ms: u64,
    said: Vec<String>,
    lcp: Layer<Theirs<LCP>>,
    ipcp: Layer<Theirs<IPCP>>,
    ipv6cp: Layer<Theirs<IPV6CP>>,
    password: &'static str,
    /// It answers.
    alive: bool,
    refuses: bool,
    sessions: u16,
}

impl Stage {
    /// * `way` — LCP's option by which the peer wants to know who we are.
    fn new(way: &[u8], password: &'static str) -> Self {
        let pppoe = Pppoe {
            user: "alice".into(),
            password: "secret".into(),
            service: "".into(),
            concentrator: "".into(),
        };
        let lcp = [&[1, 4, 5, 0xd4, 5, 6, 9, 9, 9, 9], way].concat();
        let told = vec![3, 6, 192, 0, 2, 7, 129, 6, 192, 0, 2, 53, 131, 6, 192, 0, 2, 54];
        Self {
            coming: VecDeque::new(),
            session: Session::new(Wants { pppoe, ipv6: true }, 77),
            now_ms: 1_000,
            said: Vec::new(),
            lcp: Layer::new(Theirs { ask: lcp, counter: None }),
            ipcp: Layer::new(Theirs { ask: vec![3, 6, 192, 0, 2, 1], counter: Some(told) }),
            ipv6cp: Layer::new(Theirs { ask: vec![1, 10, 0, 0, 0, 0, 0, 0, 0, 5], counter: None }),
            password,
            alive: true,
            refuses: false,
            sessions: 0,
        }
    }

    /// One event, and all that follows from it at both ends.
    fn happen(&mut self, event: &Event<'_>) {
        self.step(event);
        while let Some(coming) = self.coming.pop_front() {
            match &coming {
                Coming::Discovery(bytes) => self.step(&Event::Discovery { from: PEER, bytes }),
                Coming::Control(bytes) => self.step(&Event::Control(bytes)),
                Coming::Bound => self.step(&Event::Bound),
            }
        }
    }

    fn step(&mut self, event: &Event<'_>) {
        let random = self.now_ms.wrapping_mul(6_364_136_223_846_793_005);
        for action in self.session.happen(event, Moment { ms: self.now_ms, random }) {
            self.follow(action);
        }
    }

    fn answer(&mut self, packet: &Packet<'_>) {
        self.coming.push_back(Coming::Control(packet::write(packet)));
    }

    fn plug(&mut self, payload: u16) {
        self.happen(&Event::Carrier(Carrier { mac: HOME, payload }));
    }

    /// Time passes until something is due.
    fn pass(&mut self) {
        self.now_ms = self.session.due_ms().unwrap().max(self.now_ms);
        self.happen(&Event::Time);
    }

    fn follow(&mut self, action: Action) {
        match action {
            Action::Discover(to, bytes) => self.discover(to, &bytes),
            Action::Connect(session, peer) => {
                assert_eq!((session, peer), (self.sessions, PEER));
                self.say("connect");
                let outs = self.lcp.lower_up(self.now_ms);
                self.send(outs);
            }
            Action::Bind => {
                self.say("bind");
                self.coming.push_back(Coming::Bound);
                let outs = self.ipcp.lower_up(self.now_ms);
                self.send(outs);
                let outs = self.ipv6cp.lower_up(self.now_ms);
                self.send(outs);
            }
            Action::Control(bytes) => self.control(&bytes),
            Action::Pass { ipv4, ipv6 } => self.say(&format!("pass {ipv4} {ipv6}")),
            Action::Close => self.say("close"),
            Action::Up => self.say("up"),
            Action::Say(text) | Action::Warn(text) => self.say(&text),
        }
    }

    fn say(&mut self, text: &str) {
        self.said.push(text.to_owned());
    }

    fn discover(&mut self, to: [u8; 6], bytes: &[u8]) {
        let message = discovery::read(bytes).unwrap();
        let uniq = message.tag(tag::HOST_UNIQ).unwrap_or_default().to_vec();
        match message.code {
            code::PADI => self.say("PADI"),
            code::PADR => self.say("PADR"),
            code::PADT => self.say(&format!("PADT {}", message.session)),
            _ => panic!("{message:?}"),
        }
        if !self.alive {
            return;
        }
        let payload = message.max_payload().map(u16::to_be_bytes);
        let mut tags: Vec<(u16, &[u8])> = vec![(tag::HOST_UNIQ, &uniq)];
        tags.extend(payload.as_ref().map(|payload| (tag::MAX_PAYLOAD, payload.as_slice())));
        let (answer, session) = match message.code {
            code::PADI => {
                assert_eq!(to, discovery::EVERYBODY);
                tags.extend([(tag::COOKIE, &b"cookie"[..]), (tag::CONCENTRATOR, b"ac")]);
                (code::PADO, 0)
            }
            code::PADR => {
                assert_eq!((to, message.tag(tag::COOKIE)), (PEER, Some(&b"cookie"[..])));
                if self.refuses {
                    tags.push((tag::SYSTEM_ERROR, b"busy"));
                    (code::PADS, 0)
                } else {
                    self.sessions += 1;
                    self.fresh();
                    (code::PADS, self.sessions)
                }
            }
            _ => return,
        };
        let bytes = discovery::write(answer, session, &tags).unwrap();
        self.coming.push_back(Coming::Discovery(bytes));
    }

    /// A new session begins anew.
    fn fresh(&mut self) {
        let told = vec![3, 6, 192, 0, 2, 7, 129, 6, 192, 0, 2, 53, 131, 6, 192, 0, 2, 54];
        self.lcp = Layer::new(Theirs { ask: self.lcp.options.ask.clone(), counter: None });
        self.ipcp = Layer::new(Theirs { ask: self.ipcp.options.ask.clone(), counter: Some(told) });
        self.ipv6cp = Layer::new(Theirs { ask: self.ipv6cp.options.ask.clone(), counter: None });
    }

    fn control(&mut self, bytes: &[u8]) {
        if !self.alive {
            return;
        }
        let packet = packet::read(bytes).unwrap();
        let outs = match packet.protocol {
            LCP => self.lcp.receive(&packet, self.now_ms),
            IPCP => self.ipcp.receive(&packet, self.now_ms),
            IPV6CP => self.ipv6cp.receive(&packet, self.now_ms),
            PAP => {
                let good = packet.body == format!("\x05alice\x06{}", self.password).as_bytes();
                let code = if good { 2 } else { 3 };
                let answer = Packet { protocol: PAP, code, id: packet.id, body: b"\x02no" };
                return self.answer(&answer);
            }
            CHAP => {
                let code = if self.password == "secret" { 3 } else { 4 };
                let answer = Packet { protocol: CHAP, code, id: packet.id, body: b"who are you" };
                return self.answer(&answer);
            }
            other => panic!("{other:04x}"),
        };
        self.send(outs);
    }

    fn send(&mut self, outs: impl IntoIterator<Item = Out>) {
        for out in outs {
            match out {
                Out::Send(bytes) => self.coming.push_back(Coming::Control(bytes)),
                Out::Up if self.lcp.is_up() && self.lcp.options.ask.ends_with(&[0xc2, 0x23, 5]) => {
                    let challenge = Packet { protocol: CHAP, code: 1, id: 1, body: b"\x03abcac" };
                    self.answer(&challenge);
                }
                Out::Up | Out::Down | Out::Finished => {}
            }
        }
    }

    fn up(&self) -> bool {
        self.session.word() == "UP"
    }
}

const WAYS: [(&str, &[u8]); 3] =
    [("none", &[]), ("PAP", &[3, 4, 0xc0, 0x23]), ("CHAP", &[3, 5, 0xc2, 0x23, 5])];

#[test]
fn a_session_comes_up_whatever_the_peer_wants_to_know() {
    for (what, way) in WAYS {
        let mut stage = Stage::new(way, "secret");
        stage.plug(1_500);
        assert!(stage.up(), "{what}: {:?} {}", stage.said, stage.session.word());
        let told = stage.session.live().unwrap().told(&"eth0".into(), &"ppp0".into()).unwrap();
        assert_eq!((told.address, told.peer), ([192, 0, 2, 7].into(), [192, 0, 2, 1].into()), "{what}");
        let servers = [53, 54].map(|last| Ipv4Addr::new(192, 0, 2, last));
        assert_eq!(told.name_servers.as_slice(), servers, "{what}");
        assert_eq!((told.identifier, told.peer_identifier), (0x0000_00ff_fe00_0001, 5), "{what}");
        assert_eq!(told.mtu, 1_492, "{what}: the peer's MRU");
        assert_eq!(stage.said[..4], ["PADI", "PADR", "connect", "bind"], "{what}");
        assert!(stage.said.contains(&"pass true true".to_owned()), "{what}: {:?}", stage.said);
    }
}

#[test]
fn a_wrong_password_is_said_and_waited_upon() {
    for (what, way) in &WAYS[1..] {
        let mut stage = Stage::new(way, "another");
        stage.plug(1_492);
        assert!(stage.session.reason().contains("refuses user or password: "), "{what}: {:?}", stage.said);
        assert!(!stage.said.contains(&"bind".to_owned()), "{what}: no descriptor is used up");
        assert!(stage.session.due_ms().unwrap() >= stage.now_ms + 12_000, "{what}: it is not tried at once");
        stage.password = "secret";
        stage.pass();
        assert!(stage.up(), "{what}");
    }
}

type End = fn(&mut Stage);

#[test]
fn the_end_of_a_session_is_the_beginning_of_the_next() {
    let mut stage = Stage::new(WAYS[1].1, "secret");
    stage.plug(1_492);
    let good_ms = stage.now_ms + 100_000;
    while stage.now_ms < good_ms {
        stage.pass();
    }
    assert!(stage.up(), "echoes are answered");
    let ends: [(&str, End); 3] = [
        ("PADT", |stage| {
            let bytes = discovery::write(code::PADT, stage.sessions, &[]).unwrap();
            stage.happen(&Event::Discovery { from: PEER, bytes: &bytes });
        }),
        ("LCP", |stage| {
            let end = Packet { protocol: LCP, code: 5, id: 9, body: &[] };
            stage.happen(&Event::Control(&packet::write(&end)));
        }),
        ("the kernel", |stage| stage.happen(&Event::Broken("gone"))),
    ];
    for (what, end) in ends {
        stage.said.clear();
        end(&mut stage);
        assert!(!stage.up() && stage.said.contains(&"close".to_owned()), "{what}: {:?}", stage.said);
        for _ in 0..9 {
            if !stage.up() {
                stage.pass();
            }
        }
        assert!(stage.up(), "{what}: {:?}", stage.said);
    }
}

#[test]
fn somebody_elses_words_end_nothing() {
    let mut stage = Stage::new(WAYS[0].1, "secret");
    stage.plug(1_492);
    for (from, session) in [([2, 0, 0, 0, 0, 8], 1), (PEER, 2)] {
        let bytes = discovery::write(code::PADT, session, &[]).unwrap();
        stage.happen(&Event::Discovery { from, bytes: &bytes });
        assert!(stage.up(), "{from:?} {session}");
    }
}

#[test]
fn a_silent_peer_is_given_up_and_looked_for() {
    let mut stage = Stage::new(WAYS[0].1, "secret");
    stage.plug(1_492);
    stage.alive = false;
    let began_ms = stage.now_ms;
    while stage.up() {
        stage.pass();
    }
    assert!(stage.now_ms - began_ms <= 50_000, "{} ms", stage.now_ms - began_ms);
    assert_eq!(stage.session.reason(), "the peer does not answer echoes");
    let mut pauses = Vec::new();
    for _ in 0..12 {
        let before_ms = stage.now_ms;
        stage.pass();
        pauses.push(stage.now_ms - before_ms);
    }
    assert!(pauses.iter().all(|pause_ms| *pause_ms <= 60_000), "{pauses:?}");
    assert!(pauses[8..].iter().all(|pause_ms| *pause_ms >= 45_000), "{pauses:?}");
    stage.alive = true;
    stage.pass();
    assert!(stage.up());
}

#[test]
fn a_cable_that_comes_back_is_used_at_once() {
    let mut stage = Stage::new(WAYS[0].1, "secret");
    stage.alive = false;
    stage.plug(1_492);
    for _ in 0..9 {
        stage.pass();
    }
    stage.happen(&Event::NoCarrier);
    assert_eq!((stage.session.word(), stage.session.due_ms()), ("NO CARRIER", None));
    stage.alive = true;
    stage.plug(1_492);
    assert!(stage.up(), "{:?}", stage.said);
    // Out and in while it is up: the session stays.
    stage.happen(&Event::NoCarrier);
    assert!(stage.up());
    stage.plug(1_492);
    assert!(stage.up() && stage.sessions == 1);
    // The concentrator has forgotten it meanwhile: seen within seconds.
    stage.happen(&Event::NoCarrier);
    stage.alive = false;
    stage.plug(1_492);
    let began_ms = stage.now_ms;
    while stage.up() {
        stage.pass();
    }
    assert!(stage.now_ms - began_ms <= 5_000);
}

#[test]
fn a_concentrator_that_refuses_is_asked_later_and_later() {
    let mut stage = Stage::new(WAYS[0].1, "secret");
    stage.refuses = true;
    stage.plug(1_492);
    assert_eq!(stage.session.reason(), "the concentrator: it cannot now: busy");
    for _ in 0..8 {
        stage.pass();
    }
    assert!(stage.session.due_ms().unwrap() >= stage.now_ms + 45_000);
    assert!(!stage.said.contains(&"connect".to_owned()), "{:?}", stage.said);
}

#[test]
fn a_session_of_a_former_life_is_told_so_once_a_second() {
    let mut stage = Stage::new(WAYS[0].1, "secret");
    stage.alive = false;
    stage.plug(1_492);
    let bytes = [0x11, 0, 0, 42, 0, 10, 0xc0, 0x21, 9, 1, 0, 8, 1, 1, 1, 1];
    stage.happen(&Event::Stray { from: PEER, bytes: &bytes });
    stage.happen(&Event::Stray { from: PEER, bytes: &bytes });
    assert_eq!(stage.said.iter().filter(|said| *said == "PADT 42").count(), 1, "{:?}", stage.said);
    stage.now_ms += 1_000;
    stage.happen(&Event::Stray { from: PEER, bytes: &bytes });
    assert_eq!(stage.said.iter().filter(|said| *said == "PADT 42").count(), 2);
}

#[test]
fn what_is_not_wanted_any_more_is_said_goodbye() {
    let mut stage = Stage::new(WAYS[0].1, "secret");
    stage.plug(1_492);
    stage.alive = false;
    let said = stage.session.leave(stage.now_ms);
    assert!(
        matches!(said.as_slice(), [Action::Control(_), Action::Discover(PEER, _), Action::Close]),
        "{said:?}"
    );
}

#[test]
fn large_packets_are_agreed_or_not_had() {
    // the link's payload, the peer's MRU, the MTU
    for (payload, mru, mtu) in
        [(1_500, 1_500, 1_500), (1_492, 1_500, 1_492), (1_500, 1_492, 1_492), (1_400, 1_492, 1_400)]
    {
        let mut stage = Stage::new(&[], "secret");
        let [high, low] = u16::to_be_bytes(mru);
        stage.lcp = Layer::new(Theirs { ask: vec![1, 4, high, low], counter: None });
        stage.plug(payload);
        let told = stage.session.live().unwrap().told(&"eth0".into(), &"ppp0".into()).unwrap();
        assert_eq!(told.mtu, mtu, "{payload} {mru}");
    }
}
