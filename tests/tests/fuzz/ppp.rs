//! What a concentrator says, and whoever else is on the operator's side: discovery, control packets at every stage of a session.

use std::sync::OnceLock;

use contract::wanted::access::Pppoe;
use lease::ppp::discovery::{self, code, tag};
use lease::ppp::packet::{self, Packet};
use lease::ppp::session::{Action, Carrier, Event, Session, Wants};
use lease::schedule::Moment;
use tests::fuzz::run;

const PEER: [u8; 6] = [2, 0, 0, 0, 0, 9];
const NOW: Moment = Moment { ms: 5_000, random: 77 };

fn searching() -> Session {
    let (user, password) = ("alice".into(), "secret".into());
    let pppoe = Pppoe { user, password, service: "".into(), concentrator: "".into() };
    let mut session = Session::new(Wants { pppoe, ipv6: true }, 77);
    session.happen(&Event::Carrier(Carrier { mac: [2, 0, 0, 0, 0, 1], payload: 1_500 }), NOW);
    session
}

/// The concentrator's part until there is a session, and how the peer's LCP begins.
fn discovery_packets() -> [Vec<u8>; 2] {
    let uniq = 77_u64.to_be_bytes();
    let tags: [(u16, &[u8]); 4] =
        [(tag::SERVICE, b""), (tag::HOST_UNIQ, &uniq), (tag::COOKIE, b"cookie"), (tag::CONCENTRATOR, b"ac")];
    [(code::PADO, 0), (code::PADS, 7)].map(|(code, session)| discovery::write(code, session, &tags).unwrap())
}

fn control(protocol: u16, code: u8, body: &[u8]) -> Vec<u8> {
    packet::write(&Packet { protocol, code, id: 1, body })
}

/// What a friendly peer says until the session is up.
fn control_packets() -> [Vec<u8>; 8] {
    [
        control(packet::LCP, 1, &[1, 4, 5, 0xd4, 3, 5, 0xc2, 0x23, 5, 5, 6, 9, 9, 9, 9]),
        control(packet::LCP, 2, &[1, 4, 5, 0xd4, 5, 6, 0, 0, 0, 1]),
        control(packet::CHAP, 1, b"\x03abcac"),
        control(packet::CHAP, 3, b"hi"),
        control(packet::IPCP, 3, &[3, 6, 192, 0, 2, 7, 129, 6, 192, 0, 2, 53]),
        control(packet::IPCP, 1, &[3, 6, 192, 0, 2, 1]),
        control(packet::IPV6CP, 1, &[1, 10, 0, 0, 0, 0, 0, 0, 0, 5]),
        control(packet::LCP, 8, &[0x80, 0x57, 1, 1, 0, 4]),
    ]
}

/// Whatever came, it is sane: one answer for one question, or a handful.
fn sane(actions: &[Action], session: &Session) {
    assert!(actions.len() < 24, "{actions:?}");
    assert!(session.reason().bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{}", session.reason());
    for action in actions {
        if let Action::Control(bytes) | Action::Discover(_, bytes) = action {
            assert!(bytes.len() <= packet::PACKET_BYTES_MAX);
        }
    }
}

#[test]
fn pppoe_discovery() {
    let packets = discovery_packets();
    let samples: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
    run("pppoe_discovery", &samples, |bytes| {
        let packets = discovery_packets();
        let mut session = searching();
        let found = session.happen(&Event::Discovery { from: PEER, bytes }, NOW);
        sane(&found, &session);
        session.happen(&Event::Discovery { from: PEER, bytes: &packets[0] }, NOW);
        let given = session.happen(&Event::Discovery { from: PEER, bytes }, NOW);
        sane(&given, &session);
        session.happen(&Event::Discovery { from: PEER, bytes: &packets[1] }, NOW);
        let after = session.happen(&Event::Discovery { from: PEER, bytes }, NOW);
        sane(&after, &session);
        let stray = session.happen(&Event::Stray { from: PEER, bytes }, NOW);
        sane(&stray, &session);
    });
}

#[test]
fn ppp_control() {
    let packets = control_packets();
    let samples: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
    run("ppp_control", &samples, |bytes| {
        for stage in stages() {
            let mut session = stage.clone();
            let actions = session.happen(&Event::Control(bytes), NOW);
            sane(&actions, &session);
            let later = Moment { ms: session.due_ms().unwrap_or(NOW.ms), ..NOW };
            let actions = session.happen(&Event::Time, later);
            sane(&actions, &session);
        }
    });
}

/// A session at every stage, made once.
fn stages() -> &'static [Session] {
    static STAGES: OnceLock<Vec<Session>> = OnceLock::new();
    STAGES.get_or_init(|| {
        let mut session = searching();
        for bytes in &discovery_packets() {
            session.happen(&Event::Discovery { from: PEER, bytes }, NOW);
        }
        let mut stages = vec![session.clone()];
        for bytes in &control_packets()[..7] {
            session.happen(&Event::Control(bytes), NOW);
            session.happen(&Event::Bound, NOW);
            stages.push(session.clone());
        }
        assert_eq!(session.word(), "ADDRESSING", "the friendly peer is understood");
        stages
    })
}
