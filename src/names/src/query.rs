//! A question as a client asks it.
//!
//! In:  a stranger's bytes. Out: a [`Query`], or how it is refused, or nothing where any answer would be wrong.
//!
//! One question a message (RFC 9619). Options of EDNS are not looked at, and not passed on.
//!
//! Source: RFC 1035 §4.1; RFC 6891 §6 (EDNS); RFC 6840 §5.7 (AD), RFC 4035 §3.1.6 (CD).

use heapless::Vec;

use crate::name;

/// The header's size.
pub const HEADER_BYTES: usize = 12;
/// The class of everything here. Source: RFC 1035 §3.2.4.
pub const CLASS_IN: u16 = 1;
/// The record that carries EDNS. Source: RFC 6891 §6.1.
pub const TYPE_OPT: u16 = 41;
/// What we take by UDP: no fragment on any path. Source: RFC 9715 §3, the DNS flag day of 2020.
pub const UDP_BYTES: u16 = 1_232;
/// What everybody takes by UDP. Source: RFC 1035 §4.2.1.
pub const UDP_BYTES_PLAIN: u16 = 512;
/// Records beside the question that a client may send: EDNS, a signature, one more.
const EXTRAS_MAX: u16 = 4;

/// Flags of the header. Source: RFC 1035 §4.1.1, RFC 4035 §3.1.6, §3.2.3.
pub mod flag {
    /// It is an answer.
    pub const ANSWER: u16 = 0x8000;
    /// Who says it is the authority.
    pub const AUTHORITATIVE: u16 = 0x0400;
    /// It was too long.
    pub const TRUNCATED: u16 = 0x0200;
    /// Look for it elsewhere, too.
    pub const RECURSION_DESIRED: u16 = 0x0100;
    /// That is done here.
    pub const RECURSION_AVAILABLE: u16 = 0x0080;
    /// It was proven.
    pub const AUTHENTIC: u16 = 0x0020;
    /// Do not prove it.
    pub const CHECKING_DISABLED: u16 = 0x0010;
    /// The kind of message.
    pub const OPCODE: u16 = 0x7800;
    /// The code of an answer.
    pub const RCODE: u16 = 0x000f;
}

/// The code of an answer. Source: the IANA registry of DNS RCODEs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rcode {
    /// Done.
    NoError,
    /// It is no question.
    FormErr,
    /// We cannot.
    ServFail,
    /// There is no such name.
    NxDomain,
    /// We do not do such things.
    NotImp,
    /// We do not do it for you.
    Refused,
    /// We speak version 0 of EDNS.
    BadVers,
}

impl Rcode {
    /// Its number.
    #[must_use]
    pub fn number(self) -> u16 {
        match self {
            Self::NoError => 0,
            Self::FormErr => 1,
            Self::ServFail => 2,
            Self::NxDomain => 3,
            Self::NotImp => 4,
            Self::Refused => 5,
            Self::BadVers => 16,
        }
    }
}

/// What a client said by EDNS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edns {
    /// What it takes by UDP, in bytes.
    pub size: u16,
    /// It wants signatures (DO).
    pub signatures: bool,
}

/// What is asked: the same for everybody who wants to know the same. Name in lower case, type, and whether signatures are wanted (1) and
/// whether checking is disabled (2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question(Vec<u8, { name::NAME_BYTES + 3 }>);

impl Question {
    /// Puts it together.
    #[must_use]
    pub fn new(name: &[u8], kind: u16, signatures: bool, unchecked: bool) -> Self {
        let mut bytes = Vec::new();
        // A name is not longer than that.
        let _ = bytes.extend_from_slice(name);
        bytes.make_ascii_lowercase();
        let [high, low] = kind.to_be_bytes();
        for byte in [high, low, u8::from(signatures) | u8::from(unchecked) << 1] {
            let _ = bytes.push(byte);
        }
        Self(bytes)
    }

    /// All of it.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The name, in lower case.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        self.0.split_last_chunk::<3>().map_or(&[], |(name, _)| name)
    }

    /// The type.
    #[must_use]
    pub fn kind(&self) -> u16 {
        self.0.last_chunk::<3>().map_or(0, |[high, low, _]| u16::from_be_bytes([*high, *low]))
    }

    /// Are signatures wanted?
    #[must_use]
    pub fn signatures(&self) -> bool {
        self.0.last().is_some_and(|bits| bits & 1 != 0)
    }

    /// Is checking disabled?
    #[must_use]
    pub fn unchecked(&self) -> bool {
        self.0.last().is_some_and(|bits| bits & 2 != 0)
    }
}

/// What of a question has to be said back. `asked` is the name as the client wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head<'q> {
    /// Its number.
    pub id: u16,
    /// Its flags.
    pub flags: u16,
    /// The name in its own case; empty where there was none that could be read.
    pub asked: &'q [u8],
    /// The type.
    pub kind: u16,
    /// The class.
    pub class: u16,
    /// EDNS, where it was spoken.
    pub edns: Option<Edns>,
}

/// A client's message is a question, or it is refused with these words.
pub type Read<'q> = Result<(Head<'q>, Question), (Head<'q>, Rcode)>;

/// Two bytes of `message` at `place`.
#[must_use]
pub fn word(message: &[u8], place: usize) -> Option<u16> {
    message.get(place..)?.first_chunk().map(|word| u16::from_be_bytes(*word))
}

/// Reads a client's message. `None`: too short to be answered, or an answer itself: two servers must not talk for ever.
#[must_use]
pub fn read(message: &[u8]) -> Option<Read<'_>> {
    let (id, flags) = (word(message, 0)?, word(message, 2)?);
    if flags & flag::ANSWER != 0 || message.len() < HEADER_BYTES {
        return None;
    }
    let mut head = Head { id, flags, asked: &[], kind: 0, class: 0, edns: None };
    if flags & flag::OPCODE != 0 {
        return Some(Err((head, Rcode::NotImp)));
    }
    let counts = [4, 6, 8, 10].map(|place| word(message, place).unwrap_or(0));
    let [1, 0, 0, extras @ 0..=EXTRAS_MAX] = counts else { return Some(Err((head, Rcode::FormErr))) };
    let asked = message.get(HEADER_BYTES..).and_then(name::plain);
    let Some(asked) = asked else { return Some(Err((head, Rcode::FormErr))) };
    let place = HEADER_BYTES + asked.len();
    let (Some(kind), Some(class)) = (word(message, place), word(message, place + 2)) else {
        return Some(Err((head, Rcode::FormErr)));
    };
    head = Head { asked, kind, class, ..head };
    match edns(message, place + 4, extras) {
        Ok(found) => head.edns = found,
        Err(rcode) => {
            head.edns = (rcode == Rcode::BadVers).then_some(Edns { size: UDP_BYTES, signatures: false });
            return Some(Err((head, rcode)));
        }
    }
    let question = Question::new(
        asked,
        kind,
        head.edns.is_some_and(|edns| edns.signatures),
        flags & flag::CHECKING_DISABLED != 0,
    );
    Some(Ok((head, question)))
}

/// Looks for EDNS among the `count` records at `place`.
fn edns(message: &[u8], place: usize, count: u16) -> Result<Option<Edns>, Rcode> {
    let (mut at, mut found) = (place, None);
    for _ in 0..count {
        let record = record(message, at).ok_or(Rcode::FormErr)?;
        if record.kind == TYPE_OPT {
            let root = message.get(at) == Some(&0);
            if found.is_some() || !root {
                return Err(Rcode::FormErr); // RFC 6891 §6.1.1
            }
            let [_, version, high, _] = record.ttl.to_be_bytes();
            if version != 0 {
                return Err(Rcode::BadVers); // RFC 6891 §6.1.3
            }
            found = Some(Edns { size: record.class, signatures: high & 0x80 != 0 });
        }
        at = record.end;
    }
    Ok(found)
}

/// One record of a message, by its places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Its type.
    pub kind: u16,
    /// Its class.
    pub class: u16,
    /// Where its time to live stands.
    pub ttl_place: usize,
    /// How long it lives, in seconds.
    pub ttl: u32,
    /// Where its data begin.
    pub data: usize,
    /// Where it ends.
    pub end: usize,
}

/// The record at `place`. `None`: it is cut off, or its name is none.
#[must_use]
pub fn record(message: &[u8], place: usize) -> Option<Record> {
    let at = name::behind(message, place)?;
    let (kind, class) = (word(message, at)?, word(message, at + 2)?);
    let ttl = message.get(at + 4..)?.first_chunk().map(|ttl| u32::from_be_bytes(*ttl))?;
    let end = at + 10 + usize::from(word(message, at + 8)?);
    (end <= message.len()).then_some(Record { kind, class, ttl_place: at + 4, ttl, data: at + 10, end })
}

#[cfg(test)]
mod tests {
    use super::{Edns, Rcode, read};

    /// What `dig +noedns www.example A` sends, number 7.
    const PLAIN: &[u8] = b"\0\x07\x01\x20\0\x01\0\0\0\0\0\0\x03wWw\x07example\0\0\x01\0\x01";

    fn with(bytes: &[(usize, u8)], more: &[u8]) -> Vec<u8> {
        let mut message = [PLAIN, more].concat();
        bytes.iter().for_each(|(place, byte)| message[*place] = *byte);
        message
    }

    #[test]
    fn a_question_is_taken_or_refused() {
        let opt = |version: u8, bits: u8| [&[0, 0, 41, 4, 0xd0, 0, version, bits, 0, 0, 0][..]].concat();
        type Wanted = Result<Option<Edns>, Rcode>;
        let table: [(&str, Vec<u8>, Wanted); 10] = [
            ("plain", with(&[], &[]), Ok(None)),
            ("EDNS", with(&[(11, 1)], &opt(0, 0x80)), Ok(Some(Edns { size: 1232, signatures: true }))),
            ("version 1", with(&[(11, 1)], &opt(1, 0)), Err(Rcode::BadVers)),
            ("EDNS twice", with(&[(11, 2)], &opt(0, 0).repeat(2)), Err(Rcode::FormErr)),
            ("EDNS cut", with(&[(11, 1)], &opt(0, 0)[..9]), Err(Rcode::FormErr)),
            ("status", with(&[(2, 0x11)], &[]), Err(Rcode::NotImp)),
            ("no question", with(&[(5, 0)], &[]), Err(Rcode::FormErr)),
            ("two", with(&[(5, 2)], &[]), Err(Rcode::FormErr)),
            ("an answer in it", with(&[(7, 1)], &[]), Err(Rcode::FormErr)),
            ("compressed", with(&[(12, 0xc0)], &[]), Err(Rcode::FormErr)),
        ];
        for (what, message, wanted) in table {
            let got = read(&message).unwrap();
            assert_eq!(got.map(|(head, _)| head.edns).map_err(|(_, rcode)| rcode), wanted, "{what}");
        }
        let (head, question) = read(PLAIN).unwrap().unwrap();
        assert_eq!((head.id, head.asked), (7, &b"\x03wWw\x07example\0"[..]));
        assert_eq!((question.name(), question.kind()), (&b"\x03www\x07example\0"[..], 1));
    }

    #[test]
    fn what_must_not_be_answered_is_not() {
        for message in [&with(&[(2, 0x80)], &[])[..], &PLAIN[..11], b"", b"\0"] {
            assert_eq!(read(message), None);
        }
    }
}
