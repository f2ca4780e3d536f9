//! What an upstream answers: is it the answer to our question, what of it is kept, for how long, and where does it lead.
//!
//! In:  bytes of an upstream. Out: an [`Answer`], or why it is none.
//!
//! Only whole answers to our own question are kept, under that question alone: nothing that stands beside them can poison another name.
//! The additional records are left off, and the authority's where there is an answer that nobody has to prove.
//!
//! Source: RFC 1035 §4.1, §7.3; RFC 2308 (negative answers); RFC 2181 §8 (times to live); RFC 5452 (forged answers).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use crate::name;
use crate::query::{CLASS_IN, HEADER_BYTES, Question, TYPE_OPT, UDP_BYTES, flag, record, word};
use crate::reply::TYPE_SOA;

/// The longest that something is believed, in seconds: a day. Source: RFC 8767 §4 allows a week.
pub const TTL_S_MAX: u32 = 86_400;
/// The longest that there being nothing is believed, in seconds. Source: RFC 2308 §5.
pub const TTL_NOTHING_S_MAX: u32 = 10_800;
/// Any type. Source: RFC 1035 §3.2.3.
pub const TYPE_ANY: u16 = 255;
/// IPv4 addresses, aliases, IPv6 addresses, services. Source: RFC 1035 §3.2.2, RFC 3596 §2.1, RFC 9460 §14.1.
pub const TYPE_A: u16 = 1;
/// See [`TYPE_A`].
pub const TYPE_CNAME: u16 = 5;
/// See [`TYPE_A`].
pub const TYPE_AAAA: u16 = 28;
/// See [`TYPE_A`].
pub const TYPE_SVCB: u16 = 64;
/// See [`TYPE_A`].
pub const TYPE_HTTPS: u16 = 65;

/// The codes that end the search: what there is, and that there is none.
const RCODE_NXDOMAIN: u16 = 3;

/// An answer to our question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its code: 0 or 3.
    pub rcode: u16,
    /// It was proven, says the upstream.
    pub authentic: bool,
    /// Records of the answer, and of the authority.
    pub counts: [u16; 2],
    /// Where these records stand in the message.
    pub tail: Range<usize>,
    /// How long it is believed, in seconds; 0: it is passed on and not kept.
    pub ttl_s: u32,
}

/// Why a message is not the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Another number, another question, no answer: somebody guesses. We go on waiting.
    Stranger,
    /// It is cut: ask by TCP.
    Cut,
    /// The upstream does not understand EDNS.
    NoEdns,
    /// The upstream cannot, or what it says is broken: ask another.
    Failed,
}

/// Writes the question for an upstream: number, our size, and with `padded` so much padding that its length tells nothing.
///
/// Source: RFC 6891 §6.1; RFC 7830, RFC 8467 §4.1 (padding to 128 bytes).
#[must_use]
pub fn ask(id: u16, question: &Question, edns: bool, padded: bool) -> Vec<u8> {
    const BLOCK_BYTES: usize = 128;
    const OPTION_PADDING: u16 = 12;
    let unchecked = if question.unchecked() { flag::CHECKING_DISABLED } else { 0 };
    let authentic = if padded { flag::AUTHENTIC } else { 0 };
    let mut bytes = Vec::with_capacity(BLOCK_BYTES * 2);
    let flags = flag::RECURSION_DESIRED | unchecked | authentic;
    for word in [id, flags, 1, 0, 0, u16::from(edns)] {
        bytes.extend_from_slice(&word.to_be_bytes());
    }
    bytes.extend_from_slice(question.name());
    for word in [question.kind(), CLASS_IN] {
        bytes.extend_from_slice(&word.to_be_bytes());
    }
    if edns {
        let signatures = u16::from(question.signatures()) << 15;
        bytes.push(0);
        for word in [TYPE_OPT, UDP_BYTES, 0, signatures] {
            bytes.extend_from_slice(&word.to_be_bytes());
        }
        let spare = if padded { (BLOCK_BYTES - (bytes.len() + 6) % BLOCK_BYTES) % BLOCK_BYTES } else { 0 };
        let spare = u16::try_from(spare).unwrap_or(0);
        let words = if padded { &[spare + 4, OPTION_PADDING, spare][..] } else { &[0] };
        words.iter().for_each(|word| bytes.extend_from_slice(&word.to_be_bytes()));
        bytes.resize(bytes.len() + usize::from(spare), 0);
    }
    bytes
}

/// Reads `message` as the answer to `question` number `id`.
///
/// # Errors
/// [`Fault`] says what it is instead.
pub fn read(message: &[u8], id: u16, question: &Question) -> Result<Answer, Fault> {
    let flags = word(message, 2).ok_or(Fault::Stranger)?;
    if word(message, 0) != Some(id) || flags & flag::ANSWER == 0 || flags & flag::OPCODE != 0 {
        return Err(Fault::Stranger);
    }
    let rcode = flags & flag::RCODE;
    let start = behind_question(message, question);
    let Some(start) = start else {
        // Some say only that they did not understand, and repeat no question.
        let bare = word(message, 4) == Some(0) && (rcode == 1 || rcode == 4);
        return Err(if bare { Fault::NoEdns } else { Fault::Stranger });
    };
    if flags & flag::TRUNCATED != 0 {
        return Err(Fault::Cut);
    }
    match rcode {
        0 | RCODE_NXDOMAIN => {}
        1 | 4 => return Err(Fault::NoEdns),
        _ => return Err(Fault::Failed),
    }
    let authentic = flags & flag::AUTHENTIC != 0;
    keep(message, start, question, rcode).map(|answer| Answer { authentic, ..answer }).ok_or(Fault::Failed)
}

/// Where the records begin, if the question is ours.
fn behind_question(message: &[u8], question: &Question) -> Option<usize> {
    let name = message.get(HEADER_BYTES..)?.get(..question.name().len())?;
    let place = HEADER_BYTES + name.len();
    let same = name.eq_ignore_ascii_case(question.name())
        && word(message, 4) == Some(1)
        && word(message, place) == Some(question.kind())
        && word(message, place + 2) == Some(CLASS_IN);
    same.then_some(place + 4)
}

/// Walks the records, and says which are kept.
fn keep(message: &[u8], start: usize, question: &Question, rcode: u16) -> Option<Answer> {
    let [answers, authority] = [6, 8].map(|place| word(message, place).unwrap_or(0));
    let (mut at, mut ttl_s, mut found) = (start, TTL_S_MAX, false);
    for _ in 0..answers {
        let record = record(message, at)?;
        // RFC 6891 §6.1.1: it stands among the additional ones.
        if record.kind == TYPE_OPT {
            return None;
        }
        found |= record.kind == question.kind() || question.kind() == TYPE_ANY;
        ttl_s = ttl_s.min(seconds(record.ttl));
        at = record.end;
    }
    let (answers_end, mut nothing_s) = (at, None);
    for _ in 0..authority {
        let record = record(message, at)?;
        if record.kind == TYPE_OPT {
            return None;
        }
        if record.kind == TYPE_SOA {
            let minimum =
                message.get(record.data..record.end)?.last_chunk().map(|ttl| u32::from_be_bytes(*ttl))?;
            nothing_s = Some(seconds(record.ttl).min(seconds(minimum)).min(TTL_NOTHING_S_MAX));
        }
        at = record.end;
    }
    let positive = found && rcode == 0;
    let alone = positive && !question.signatures();
    Some(Answer {
        rcode,
        authentic: false,
        counts: [answers, if alone { 0 } else { authority }],
        tail: start..if alone { answers_end } else { at },
        ttl_s: if positive { ttl_s } else { nothing_s.map_or(0, |nothing_s| nothing_s.min(ttl_s)) },
    })
}

/// Source: RFC 2181 §8: with the uppermost bit set it is 0.
fn seconds(ttl: u32) -> u32 {
    if ttl > i32::MAX.unsigned_abs() { 0 } else { ttl }
}

/// Shows every address that the records of the answer lead to, hints of services included.
pub fn addresses(message: &[u8], answer: &Answer, mut see: impl FnMut(IpAddr)) {
    let mut at = answer.tail.start;
    for _ in 0..answer.counts[0] {
        let Some(record) = record(message, at) else { return };
        let data = message.get(record.data..record.end).unwrap_or_default();
        match record.kind {
            TYPE_A => {
                data.first_chunk::<4>().into_iter().for_each(|bytes| see(Ipv4Addr::from(*bytes).into()))
            }
            TYPE_AAAA => {
                data.first_chunk::<16>().into_iter().for_each(|bytes| see(Ipv6Addr::from(*bytes).into()));
            }
            TYPE_SVCB | TYPE_HTTPS => hints(data, &mut see),
            _ => {}
        }
        at = record.end;
    }
}

/// Source: RFC 9460 §2.2, §7.3: a priority, a name, then keys with their values; 4 and 6 are addresses.
fn hints(data: &[u8], see: &mut impl FnMut(IpAddr)) {
    let Some(mut rest) = data.get(2..).and_then(|rest| rest.get(name::plain(rest)?.len()..)) else { return };
    while let (Some(key), Some(length)) = (word(rest, 0), word(rest, 2)) {
        let Some((value, behind)) = rest.get(4..).and_then(|rest| rest.split_at_checked(length.into()))
        else {
            return;
        };
        match key {
            4 => value
                .chunks_exact(4)
                .filter_map(<[u8]>::first_chunk::<4>)
                .for_each(|bytes| see(Ipv4Addr::from(*bytes).into())),
            6 => value
                .chunks_exact(16)
                .filter_map(<[u8]>::first_chunk::<16>)
                .for_each(|bytes| see(Ipv6Addr::from(*bytes).into())),
            _ => {}
        }
        rest = behind;
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Fault, TTL_NOTHING_S_MAX, TYPE_A, TYPE_HTTPS, addresses, ask, read};
    use crate::name;
    use crate::query::Question;
    use crate::reply::Records;

    fn question(kind: u16) -> Question {
        Question::new(&name::of("www.example").unwrap(), kind, false, false)
    }

    /// An answer of an upstream, with these flags and records.
    fn answer(kind: u16, flags: u16, records: &Records) -> Vec<u8> {
        let mut message = ask(7, &question(kind), false, false);
        message[2..4].copy_from_slice(&flags.to_be_bytes());
        message[6..8].copy_from_slice(&records.counts[0].to_be_bytes());
        message[8..10].copy_from_slice(&records.counts[1].to_be_bytes());
        message.extend_from_slice(&records.tail);
        message
    }

    fn records(ttls: &[u32]) -> Records {
        let mut records = Records::default();
        ttls.iter().for_each(|ttl| records.answer(TYPE_A, *ttl, &[192, 168, 1, 7]));
        records
    }

    #[test]
    fn only_the_answer_to_our_question_is_one() {
        let good = answer(TYPE_A, 0x8180, &records(&[300]));
        let bent = |place: usize, byte: u8| {
            let mut message = good.clone();
            message[place] = byte;
            message
        };
        let table = [
            ("good", good.clone(), None),
            ("another case", bent(13, b'W'), None),
            ("number", bent(1, 8), Some(Fault::Stranger)),
            ("no answer", bent(2, 1), Some(Fault::Stranger)),
            ("another name", bent(13, b'x'), Some(Fault::Stranger)),
            ("another type", bent(26, 2), Some(Fault::Stranger)),
            ("two questions", bent(5, 2), Some(Fault::Stranger)),
            ("cut", bent(2, 0x83), Some(Fault::Cut)),
            ("fails", bent(3, 0x82), Some(Fault::Failed)),
            ("does not understand", bent(3, 0x81), Some(Fault::NoEdns)),
            ("more than there is", bent(7, 9), Some(Fault::Failed)),
            ("short", good[..20].to_vec(), Some(Fault::Stranger)),
        ];
        for (what, message, fault) in table {
            assert_eq!(read(&message, 7, &question(TYPE_A)).err(), fault, "{what}");
        }
    }

    #[test]
    fn it_is_kept_as_long_as_it_says() {
        let mut nothing = Records::default();
        nothing.nothing(13, 9, 60);
        let mut long = Records::default();
        long.nothing(13, 9, 999_999);
        let table = [
            ("the shortest", 0x8180, records(&[300, 20, 100]), 20, [3, 0]),
            ("a day", 0x8180, records(&[9_999_999]), 86_400, [1, 0]),
            ("the uppermost bit", 0x8180, records(&[1 << 31]), 0, [1, 0]),
            ("no such name", 0x8183, nothing.clone(), 60, [0, 1]),
            ("nothing of that type", 0x8180, nothing, 60, [0, 1]),
            ("for very long", 0x8183, long, TTL_NOTHING_S_MAX, [0, 1]),
            ("nobody says for how long", 0x8183, Records::default(), 0, [0, 0]),
        ];
        for (what, flags, records, ttl_s, counts) in table {
            let Answer { ttl_s: got, counts: kept, .. } =
                read(&answer(TYPE_A, flags, &records), 7, &question(TYPE_A)).unwrap();
            assert_eq!((got, kept), (ttl_s, counts), "{what}");
        }
    }

    #[test]
    fn where_it_leads_is_seen() {
        let mut seen = Vec::new();
        let message = answer(TYPE_A, 0x8180, &records(&[1, 2]));
        addresses(&message, &read(&message, 7, &question(TYPE_A)).unwrap(), |address| {
            seen.push(address.to_string())
        });
        let mut service = Records::default();
        let hint = b"\0\x01\0\0\x01\0\x03\x02h2\0\x04\0\x04\x0a\0\0\x01\0\x06\0\x10\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01";
        service.answer(TYPE_HTTPS, 9, hint);
        let message = answer(TYPE_HTTPS, 0x8180, &service);
        addresses(&message, &read(&message, 7, &question(TYPE_HTTPS)).unwrap(), |address| {
            seen.push(address.to_string());
        });
        assert_eq!(seen, ["192.168.1.7", "192.168.1.7", "10.0.0.1", "fd00::1"]);
    }

    #[test]
    fn a_padded_question_is_as_long_as_others() {
        for name in ["a", "www.example", &"a".repeat(60)] {
            let question = Question::new(&name::of(name).unwrap(), TYPE_A, true, false);
            assert_eq!(ask(7, &question, true, true).len(), 128, "{name}");
        }
    }
}
