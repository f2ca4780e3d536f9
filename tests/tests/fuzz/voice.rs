//! What `voice` hears: SIP and SDP.

use std::net::Ipv4Addr;

use contract::told::Voice;
use tests::fuzz::run;
use voice::media::Pair;
use voice::message::{MESSAGE_BYTES_MAX, Message};
use voice::proxy::{Ports, Proxy};
use voice::sdp;
use voice::side::Side;

const INVITE: &[u8] = b"INVITE sip:bob@198.51.100.10 SIP/2.0\r\n\
    v: SIP/2.0/UDP 192.168.1.20:5062;branch=z9hG4bK77;rport\r\nMax-Forwards: 70\r\n\
    From: \"Alice, at home\" <sip:alice@isp.example>;tag=1\r\nTo: <sip:bob@isp.example>\r\n\
    Call-ID: a84b4c76e66710\r\nCSeq: 314159 INVITE\r\nm: <sip:alice@192.168.1.20:5062>;expires=60\r\n\
    Content-Type: application/sdp\r\n\r\nv=0\r\no=- 1 1 IN IP4 192.168.1.20\r\nc=IN IP4 192.168.1.20\r\n\
    m=audio 4000 RTP/AVP 0\r\n";
const ANSWER: &[u8] = b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.168.1.20;branch=z9hG4bK1, SIP/2.0/UDP 10.0.0.1\r\n\
    From: <sip:a@b>;tag=1\r\nTo: <sip:b@a>;tag=2\r\nCall-ID: x\r\nCSeq: 1 REGISTER\r\nContact: <sip:a@b>;expires=60\r\n\
    Expires: 60\r\nl: 0\r\n\r\n";

/// Ports that are always there.
struct Always(Pair);

impl Ports for Always {
    fn open(&mut self) -> Option<Pair> {
        self.0 = self.0.wrapping_add(2);
        Some(self.0)
    }

    fn close(&mut self, _: Pair) {}
}

#[test]
fn sip() {
    run("sip", &[INVITE, ANSWER], |bytes| {
        let Some(message) = Message::read(bytes) else { return };
        let written = message.write();
        // A space behind a colon, or the length, may be what is too much.
        assert!(
            written.len() > MESSAGE_BYTES_MAX
                || Message::read(&written).is_some_and(|again| again.body == message.body),
            "what we write, we read"
        );
    });
}

fn told() -> Voice {
    Voice {
        home: ("lan".into(), Ipv4Addr::new(192, 168, 1, 1)),
        prefix: "192.168.1.0/24".parse().unwrap(),
        play: Some(("voice".into(), Ipv4Addr::new(198, 51, 100, 2))),
        reaches: heapless::Vec::from_iter(["198.51.100.8/29".parse().unwrap()]),
        registrar: (Ipv4Addr::new(198, 51, 100, 10).into(), 5060),
    }
}

#[test]
fn sip_proxy() {
    run("sip_proxy", &[INVITE, ANSWER], |bytes| {
        let mut proxy = Proxy::new(told());
        let mut ports = Always(20_000);
        for (side, from) in [(Side::Home, "192.168.1.20:5062"), (Side::Play, "198.51.100.10:5060")] {
            for out in proxy.hear(side, from.parse().unwrap(), bytes, (&mut ports, 0)) {
                assert!(proxy.may(out.side, *out.to.ip()), "nothing goes to a stranger: {}", out.to);
                let text = String::from_utf8_lossy(&out.bytes);
                assert!(!text.contains("\nVia: \r"), "no empty Via: {text}");
            }
        }
    });
}

#[test]
fn sdp_body() {
    let offer = INVITE.split(|byte| *byte == b'v').next_back().unwrap_or_default();
    let offer = [b"v", offer].concat();
    run("sdp_body", &[&offer], |bytes| {
        let _ = sdp::media(bytes);
        let ours = Ipv4Addr::new(198, 51, 100, 2);
        if let Some(text) = sdp::rewritten(bytes, ours, |_| Some(20_000)) {
            assert!(sdp::media(&text).iter().all(|medium| *medium.to.ip() == ours), "media come to us alone");
        }
    });
}
