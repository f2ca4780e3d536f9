//! What is asked of a time server, and what it answers: 48 bytes.
//!
//! In:  bytes. Out: what they say, or why they say nothing. This module is pure.
//!
//! Our question says nothing of us: every field is zero but the version, the mode and the stamp, which is a random number; the answer
//! has to bring it back, so nobody who does not see our packets can answer for the server.
//!
//! Source: RFC 5905 §7.3 (the packet), §7.4 (kisses); draft-ietf-ntp-data-minimization (the question).

use std::fmt;

use crate::stamp;

/// The header, in bytes.
pub const BYTES: usize = 48;
/// Where the server's port is.
pub const PORT: u16 = 123;

/// Leap indicator: not synchronized. Source: RFC 5905 figure 9.
const ALARM: u8 = 3;
/// Modes: RFC 5905 figure 10.
const CLIENT: u8 = 3;
const SERVER: u8 = 4;
const VERSION: u8 = 4;
/// The highest stratum of a server that has the time. Source: RFC 5905 figure 11.
const STRATUM_MAX: u8 = 15;
/// The way to the reference clock and all errors on it: who is further is no use. Source: RFC 5905 §7.2, `MAXDIST`, which is 1 s; and
/// ntpd's 1.5 s.
const DISTANCE_NS_MAX: i64 = 1_500_000_000;

/// A server's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// How far it is from a reference clock.
    pub stratum: u8,
    /// How exact its clock is, in nanoseconds.
    pub precision_ns: i64,
    /// The way to the reference clock and back, in nanoseconds.
    pub root_delay_ns: i64,
    /// All errors on that way, in nanoseconds.
    pub root_dispersion_ns: i64,
    /// When our question came, by its clock, in nanoseconds since 1970.
    pub receive_ns: i64,
    /// When its answer went.
    pub transmit_ns: i64,
}

/// A kiss of death: the server wants something of us. Source: RFC 5905 figure 13; RFC 8915 §5.7.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kiss {
    /// Ask less often.
    Rate,
    /// Never ask again (`DENY`, `RSTR`).
    Deny,
    /// The keys are not known there (`NTSN`): make new ones.
    Unsealed,
    /// Another.
    Other([u8; 4]),
}

/// Why an answer is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Shorter than a header.
    Short,
    /// Not what a server of our version says.
    Kind,
    /// Not to our question.
    Origin,
    /// The server does not know the time itself.
    Unsynchronized,
    /// Its fields contradict each other, or it is too far from a reference clock.
    Nonsense,
    /// It names a time before the image was built, or more than 68 years after it.
    Time,
    /// Its seal is missing or broken.
    Seal,
    /// The server wants something of us.
    Kiss(Kiss),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => write!(f, "too short"),
            Self::Kind => write!(f, "no answer"),
            Self::Origin => write!(f, "not to our question"),
            Self::Unsynchronized => write!(f, "has no time itself"),
            Self::Nonsense => write!(f, "contradicts itself"),
            Self::Time => write!(f, "an impossible time"),
            Self::Seal => write!(f, "broken seal"),
            Self::Kiss(Kiss::Rate) => write!(f, "asked too often"),
            Self::Kiss(Kiss::Deny) => write!(f, "will not answer"),
            Self::Kiss(Kiss::Unsealed) => write!(f, "has forgotten us"),
            Self::Kiss(Kiss::Other(_)) => write!(f, "kiss of death"),
        }
    }
}

/// The question, with `token` where others say the time.
#[must_use]
pub fn question(token: u64) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    let [first, ..] = &mut bytes;
    *first = (VERSION << 3) | CLIENT;
    if let Some(place) = bytes.last_chunk_mut::<8>() {
        *place = token.to_be_bytes();
    }
    bytes
}

/// Reads the header of the answer to the question that bore `token`. What is behind the header is not looked at.
///
/// # Errors
/// [`Fault`]: it is no answer, or one that says why there is none.
pub fn read(bytes: &[u8], token: u64) -> Result<Answer, Fault> {
    let header = bytes.first_chunk::<BYTES>().ok_or(Fault::Short)?;
    let [first, stratum, _poll, precision, rest @ ..] = header;
    let mut words = rest.chunks_exact(4).map(|word| word.first_chunk::<4>().copied().unwrap_or_default());
    let mut word = || words.next().unwrap_or_default();
    let (root_delay, root_dispersion, code) = (word(), word(), word());
    let mut long = || (u64::from(u32::from_be_bytes(word())) << 32) | u64::from(u32::from_be_bytes(word()));
    let (_reference, origin, receive, transmit) = (long(), long(), long(), long());
    let (leap, version, mode) = (first >> 6, (first >> 3) & 7, first & 7);
    if mode != SERVER || !(3..=VERSION).contains(&version) {
        return Err(Fault::Kind);
    }
    if origin != token {
        return Err(Fault::Origin);
    }
    if *stratum == 0 {
        return Err(Fault::Kiss(match &code {
            b"RATE" => Kiss::Rate,
            b"DENY" | b"RSTR" => Kiss::Deny,
            b"NTSN" => Kiss::Unsealed,
            _ => Kiss::Other(code),
        }));
    }
    if leap == ALARM || *stratum > STRATUM_MAX {
        return Err(Fault::Unsynchronized);
    }
    let answer = Answer {
        stratum: *stratum,
        precision_ns: precision_ns(i8::from_be_bytes([*precision])),
        root_delay_ns: stamp::read_short(u32::from_be_bytes(root_delay)),
        root_dispersion_ns: stamp::read_short(u32::from_be_bytes(root_dispersion)),
        receive_ns: stamp::read(receive, stamp::BUILT_S),
        transmit_ns: stamp::read(transmit, stamp::BUILT_S),
    };
    check(&answer, receive, transmit)
}

fn check(answer: &Answer, receive: u64, transmit: u64) -> Result<Answer, Fault> {
    const LATEST_S: i64 = stamp::BUILT_S + (1 << 31);
    if receive == 0 || transmit == 0 {
        return Err(Fault::Nonsense);
    }
    if answer.transmit_ns / stamp::SECOND_NS > LATEST_S || answer.receive_ns / stamp::SECOND_NS > LATEST_S {
        return Err(Fault::Time);
    }
    let distance_ns = (answer.root_delay_ns / 2).saturating_add(answer.root_dispersion_ns);
    if answer.transmit_ns < answer.receive_ns || distance_ns > DISTANCE_NS_MAX {
        return Err(Fault::Nonsense);
    }
    Ok(*answer)
}

/// A power of two, of seconds, in nanoseconds; a second at most.
fn precision_ns(exponent: i8) -> i64 {
    match u32::try_from(-i32::from(exponent)) {
        Ok(shift) => stamp::SECOND_NS.checked_shr(shift).unwrap_or(0).max(1),
        Err(_) => stamp::SECOND_NS,
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, Kiss, question, read};
    use crate::stamp::{self, BUILT_S, SECOND_NS};

    const TOKEN: u64 = 0x0123_4567_89ab_cdef;
    const NOW_NS: i64 = (BUILT_S + 1_000) * SECOND_NS;

    /// What a server of stratum 2 says.
    fn answer() -> Vec<u8> {
        let mut bytes = vec![0x24, 2, 6, 0xe9, 0, 0, 0x10, 0, 0, 0, 0x08, 0, 192, 0, 2, 1];
        for stamp in
            [stamp::write(NOW_NS - SECOND_NS), TOKEN, stamp::write(NOW_NS), stamp::write(NOW_NS + 50_000)]
        {
            bytes.extend(stamp.to_be_bytes());
        }
        bytes
    }

    #[test]
    fn a_question_says_nothing_of_us() {
        let bytes = question(TOKEN);
        assert_eq!(bytes[0], 0x23);
        assert!(bytes[1..40].iter().all(|byte| *byte == 0));
        assert_eq!(bytes[40..], TOKEN.to_be_bytes());
    }

    #[test]
    fn an_answer_is_read_and_what_is_none_is_refused() {
        let good = read(&answer(), TOKEN).unwrap();
        assert_eq!((good.stratum, good.receive_ns, good.transmit_ns), (2, NOW_NS, NOW_NS + 50_000));
        assert_eq!((good.root_delay_ns, good.root_dispersion_ns), (62_500_000, 31_250_000));
        assert_eq!(good.precision_ns, 119);
        let kiss = |code: &[u8; 4]| {
            let mut bytes = answer();
            bytes[1] = 0;
            bytes[12..16].copy_from_slice(code);
            bytes
        };
        let bent = |place: usize, with: &[u8]| {
            let mut bytes = answer();
            bytes[place..place + with.len()].copy_from_slice(with);
            bytes
        };
        let before_ns = (BUILT_S - 1) * SECOND_NS;
        let table = [
            ("short", answer()[..47].to_vec(), Fault::Short),
            ("a client", bent(0, &[0x23]), Fault::Kind),
            ("a broadcast", bent(0, &[0x25]), Fault::Kind),
            ("version 2", bent(0, &[0x14]), Fault::Kind),
            ("another's", bent(24, &[0xff]), Fault::Origin),
            ("no time", bent(0, &[0xe4]), Fault::Unsynchronized),
            ("stratum 16", bent(1, &[16]), Fault::Unsynchronized),
            ("far away", bent(4, &[0, 4, 0, 0]), Fault::Nonsense),
            ("no stamp", bent(40, &[0; 8]), Fault::Nonsense),
            (
                "answers before it is asked",
                bent(32, &stamp::write(NOW_NS + 99_000).to_be_bytes()),
                Fault::Nonsense,
            ),
            ("before the build", bent(40, &stamp::write(before_ns).to_be_bytes()), Fault::Time),
            ("rate", kiss(b"RATE"), Fault::Kiss(Kiss::Rate)),
            ("deny", kiss(b"DENY"), Fault::Kiss(Kiss::Deny)),
            ("restricted", kiss(b"RSTR"), Fault::Kiss(Kiss::Deny)),
            ("keys", kiss(b"NTSN"), Fault::Kiss(Kiss::Unsealed)),
            ("another kiss", kiss(b"INIT"), Fault::Kiss(Kiss::Other(*b"INIT"))),
        ];
        for (name, bytes, want) in table {
            assert_eq!(read(&bytes, TOKEN), Err(want), "{name}");
        }
    }
}
