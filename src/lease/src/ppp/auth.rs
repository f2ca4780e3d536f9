//! Saying who we are: PAP and CHAP with MD5.
//!
//! In:  user, secret, the peer's packets. Out: packets; whether it lets us in.
//!
//! Pure. Not here: when to say it again (`live.rs`), proving the peer to us (nobody asks that of an operator).
//!
//! Source: RFC 1334 §2; RFC 1994 §4.

use md5::{Digest, Md5};

use super::packet::{CHAP, PAP, Packet, write};

/// PAP's codes. Source: RFC 1334 §2.2.
const ASK: u8 = 1;
const LET_IN: u8 = 2;
const TURNED_AWAY: u8 = 3;
/// CHAP's codes; success and failure. Source: RFC 1994 §4.
const CHALLENGE: u8 = 1;
const RESPONSE: u8 = 2;
const SUCCESS: u8 = 3;
const FAILURE: u8 = 4;

/// What the peer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// Answer this with that packet.
    Answer(Vec<u8>),
    /// Come in.
    LetIn,
    /// Stay out; and what it says why, fit for a terminal.
    TurnedAway(String),
}

/// PAP's request.
#[must_use]
pub fn pap(id: u8, user: &str, password: &str) -> Vec<u8> {
    let mut body = Vec::new();
    for text in [user, password] {
        // Text<64> has at most 64 bytes.
        body.push(u8::try_from(text.len()).unwrap_or(0));
        body.extend_from_slice(text.as_bytes());
    }
    write(&Packet { protocol: PAP, code: ASK, id, body: &body })
}

/// What a packet of PAP says to our request number `id`.
#[must_use]
pub fn hear_pap(packet: &Packet<'_>, id: u8) -> Option<Word> {
    let said = packet.body.split_first().map_or(&[][..], |(length, text)| {
        text.get(..usize::from(*length)).unwrap_or(text) // Some send the text without its length.
    });
    match packet.code {
        LET_IN if packet.id == id => Some(Word::LetIn),
        TURNED_AWAY if packet.id == id => Some(Word::TurnedAway(printable(said))),
        _ => None,
    }
}

/// What a packet of CHAP says. A challenge may come again at any time.
#[must_use]
pub fn hear_chap(packet: &Packet<'_>, user: &str, password: &str) -> Option<Word> {
    match packet.code {
        CHALLENGE => {
            let (length, rest) = packet.body.split_first()?;
            let challenge = rest.get(..usize::from(*length)).filter(|challenge| !challenge.is_empty())?;
            let digest = response(packet.id, password, challenge);
            let mut body = vec![16];
            body.extend_from_slice(&digest);
            body.extend_from_slice(user.as_bytes());
            Some(Word::Answer(write(&Packet { protocol: CHAP, code: RESPONSE, id: packet.id, body: &body })))
        }
        SUCCESS => Some(Word::LetIn),
        FAILURE => Some(Word::TurnedAway(printable(packet.body))),
        _ => None,
    }
}

/// The response's value. Source: RFC 1994 §4.1.
fn response(id: u8, password: &str, challenge: &[u8]) -> [u8; 16] {
    let mut hash = Md5::new();
    hash.update([id]);
    hash.update(password.as_bytes());
    hash.update(challenge);
    hash.finalize().into()
}

/// A stranger's text, fit for a terminal, at most 64 characters.
#[must_use]
pub fn printable(text: &[u8]) -> String {
    let plain = |byte: &u8| if (0x20..0x7f).contains(byte) { char::from(*byte) } else { '?' };
    text.iter().take(64).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::{Word, hear_chap, hear_pap, pap, response};
    use crate::ppp::packet::{CHAP, PAP, Packet, read};

    #[test]
    fn the_response_is_the_hash_of_three() {
        // printf '\x01secretabc' | md5sum
        let wanted = 0xea64_469e_3d69_9ce7_884d_07b0_e6b1_edb3_u128;
        let got = u128::from_be_bytes(response(1, "secret", b"abc"));
        assert_eq!(got, wanted, "{got:032x}");
    }

    #[test]
    fn pap_says_who_we_are() {
        let bytes = pap(3, "alice", "s");
        let packet = read(&bytes).unwrap();
        assert_eq!((packet.protocol, packet.code, packet.id), (PAP, 1, 3));
        assert_eq!(packet.body, b"\x05alice\x01s");
    }

    #[test]
    fn what_the_peer_says_is_heard() {
        let of = |code, id, body| Packet { protocol: PAP, code, id, body };
        assert_eq!(hear_pap(&of(2, 3, &[]), 3), Some(Word::LetIn));
        assert_eq!(hear_pap(&of(2, 4, &[]), 3), None, "another request's answer");
        let away = Word::TurnedAway("no?".to_owned());
        assert_eq!(hear_pap(&of(3, 3, b"\x03no\x1bmore"), 3), Some(away));
        let of = |code, body| Packet { protocol: CHAP, code, id: 9, body };
        assert_eq!(hear_chap(&of(1, &[]), "u", "p"), None);
        assert_eq!(hear_chap(&of(1, &[0, 65]), "u", "p"), None, "an empty challenge");
        assert_eq!(hear_chap(&of(1, &[4, 1, 2, 3]), "u", "p"), None, "cut off");
        let Some(Word::Answer(answer)) = hear_chap(&of(1, b"\x03abcisp"), "u", "p") else {
            panic!("nothing")
        };
        let answer = read(&answer).unwrap();
        assert_eq!((answer.code, answer.id, answer.body.len()), (2, 9, 1 + 16 + 1));
        assert_eq!(hear_chap(&of(3, b"hi"), "u", "p"), Some(Word::LetIn));
    }
}
