//! Answers as clients get them.
//!
//! In:  what has to be said back, and what is known. Out: bytes, within what the client takes.
//!
//! Records stand behind the question as they came, so that pointers into the question hold; only their times to live are counted down.
//!
//! Source: RFC 1035 §4.1; RFC 6891 §6.1 (EDNS); RFC 8914 (why it is so); RFC 2181 §9 (what is cut).

use crate::query::{CLASS_IN, HEADER_BYTES, Head, Rcode, TYPE_OPT, UDP_BYTES, UDP_BYTES_PLAIN, flag, record};

/// Why an answer is what it is. Source: RFC 8914 §4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It is as it should be.
    Plain,
    /// It is old, and nobody could be asked (3).
    Stale,
    /// It would have led into the home (15).
    Blocked,
    /// This host does not get it (17).
    Filtered,
    /// Nobody could be asked (23).
    Network,
}

impl Why {
    fn code(self) -> Option<u16> {
        match self {
            Self::Plain => None,
            Self::Stale => Some(3),
            Self::Blocked => Some(15),
            Self::Filtered => Some(17),
            Self::Network => Some(23),
        }
    }
}

/// How times to live are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ttl {
    /// So many seconds less than they were.
    Less(u32),
    /// All these seconds.
    Fixed(u32),
}

/// What is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known<'k> {
    /// The code.
    pub rcode: u16,
    /// We say so ourselves.
    pub authoritative: bool,
    /// It was proven by whom we trust.
    pub authentic: bool,
    /// Records of the answer, and of the authority.
    pub counts: [u16; 2],
    /// These records.
    pub tail: &'k [u8],
    /// How they age.
    pub ttl: Ttl,
    /// Why it is so.
    pub why: Why,
}

impl Known<'_> {
    /// A code, and nothing else.
    #[must_use]
    pub fn code(rcode: Rcode, why: Why) -> Self {
        let rcode = rcode.number();
        Known {
            rcode,
            authoritative: false,
            authentic: false,
            counts: [0; 2],
            tail: &[],
            ttl: Ttl::Less(0),
            why,
        }
    }
}

/// How many bytes a client takes by UDP.
#[must_use]
pub fn udp_bytes(head: &Head<'_>) -> usize {
    let size = head.edns.map_or(UDP_BYTES_PLAIN, |edns| edns.size.clamp(UDP_BYTES_PLAIN, UDP_BYTES));
    usize::from(size)
}

/// Something that is filled from its head on.
struct Fill<'o> {
    out: &'o mut [u8],
    at: usize,
}

impl Fill<'_> {
    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.at.checked_add(bytes.len())?;
        self.out.get_mut(self.at..end)?.copy_from_slice(bytes);
        self.at = end;
        Some(())
    }

    fn word(&mut self, word: u16) -> Option<()> {
        self.put(&word.to_be_bytes())
    }
}

/// Writes what is `known` for `head` into `out`, at most `limit` bytes: what is longer is cut down to the question, and marked. Returns
/// how many bytes it has; 0 where not even that has room.
pub fn write(head: &Head<'_>, known: &Known<'_>, out: &mut [u8], limit: usize) -> usize {
    let limit = limit.min(out.len());
    let Some(out) = out.get_mut(..limit) else { return 0 };
    whole(head, known, out)
        .or_else(|| {
            let cut = Known { counts: [0; 2], tail: &[], ..*known };
            let length = whole(head, &cut, out)?;
            *out.get_mut(2)? |= 0x02; // TC, flag::TRUNCATED
            Some(length)
        })
        .unwrap_or(0)
}

fn whole(head: &Head<'_>, known: &Known<'_>, out: &mut [u8]) -> Option<usize> {
    let echoed = head.flags & (flag::OPCODE | flag::RECURSION_DESIRED | flag::CHECKING_DISABLED);
    let mut flags = flag::ANSWER | flag::RECURSION_AVAILABLE | echoed | known.rcode & flag::RCODE;
    if known.authoritative {
        flags |= flag::AUTHORITATIVE;
    }
    // RFC 6840 §5.8: only to those who show that they understand it.
    let understands = head.flags & flag::AUTHENTIC != 0 || head.edns.is_some_and(|edns| edns.signatures);
    if known.authentic && understands {
        flags |= flag::AUTHENTIC;
    }
    let mut fill = Fill { out, at: 0 };
    let asked = u16::from(!head.asked.is_empty());
    let [answers, authority] = known.counts;
    for word in [head.id, flags, asked, answers, authority, u16::from(head.edns.is_some())] {
        fill.word(word)?;
    }
    if asked == 1 {
        fill.put(head.asked)?;
        fill.word(head.kind)?;
        fill.word(head.class)?;
    }
    let tail = fill.at;
    fill.put(known.tail)?;
    age(fill.out.get_mut(..fill.at)?, tail, answers.saturating_add(authority), known.ttl)?;
    if let Some(edns) = head.edns {
        option(&mut fill, edns.signatures, known)?;
    }
    Some(fill.at)
}

/// Counts down the times to live of `count` records at `place`.
fn age(message: &mut [u8], place: usize, count: u16, ttl: Ttl) -> Option<()> {
    if ttl == Ttl::Less(0) {
        return Some(());
    }
    let mut at = place;
    for _ in 0..count {
        let found = record(message, at)?;
        let now = match ttl {
            Ttl::Less(seconds) => found.ttl.saturating_sub(seconds),
            Ttl::Fixed(seconds) => seconds,
        };
        message.get_mut(found.ttl_place..found.ttl_place + 4)?.copy_from_slice(&now.to_be_bytes());
        at = found.end;
    }
    Some(())
}

/// Our own EDNS record.
fn option(fill: &mut Fill<'_>, signatures: bool, known: &Known<'_>) -> Option<()> {
    fill.put(&[0])?;
    fill.word(TYPE_OPT)?;
    fill.word(UDP_BYTES)?;
    fill.word(known.rcode >> 4 << 8)?; // its upper bits, and version 0
    fill.word(u16::from(signatures) << 15)?;
    match known.why.code() {
        None => fill.word(0),
        Some(code) => [6, 15, 2, code].into_iter().try_for_each(|word| fill.word(word)),
    }
}

/// Records that we say ourselves.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Records {
    /// How many, of the answer and of the authority.
    pub counts: [u16; 2],
    /// Their bytes.
    pub tail: Vec<u8>,
}

impl Records {
    /// Adds a record about the name that was asked for.
    pub fn answer(&mut self, kind: u16, ttl: u32, data: &[u8]) {
        self.add(HEADER_BYTES, kind, ttl, data);
        self.counts = [self.counts[0].saturating_add(1), self.counts[1]];
    }

    /// Adds who is the authority for there being nothing: the zone of `zone_bytes` bytes at the end of the name of `name_bytes` bytes that
    /// was asked for.
    ///
    /// Source: RFC 2308 §3, with the words of RFC 6303 §3.
    pub fn nothing(&mut self, name_bytes: usize, zone_bytes: usize, ttl: u32) {
        let mut data = b"\x09localhost\0\x06nobody\x07invalid\0".to_vec();
        for number in [1, 3_600, 1_200, 604_800, ttl] {
            data.extend_from_slice(&number.to_be_bytes());
        }
        self.add(HEADER_BYTES + name_bytes.saturating_sub(zone_bytes), TYPE_SOA, ttl, &data);
        self.counts = [self.counts[0], self.counts[1].saturating_add(1)];
    }

    /// Adds a record; its name stands at `place` of the message.
    fn add(&mut self, place: usize, kind: u16, ttl: u32, data: &[u8]) {
        let pointer = 0xc000 | u16::try_from(place).unwrap_or(12);
        let length = u16::try_from(data.len()).unwrap_or(0);
        for word in [pointer, kind, CLASS_IN] {
            self.tail.extend_from_slice(&word.to_be_bytes());
        }
        self.tail.extend_from_slice(&ttl.to_be_bytes());
        self.tail.extend_from_slice(&length.to_be_bytes());
        self.tail.extend_from_slice(data.get(..usize::from(length)).unwrap_or_default());
    }
}

/// The record that says where a zone begins. Source: RFC 1035 §3.3.13.
pub const TYPE_SOA: u16 = 6;

#[cfg(test)]
mod tests {
    use super::{Known, Records, Ttl, Why, udp_bytes, write};
    use crate::query::{Edns, Head, Rcode, flag};

    fn head(edns: Option<Edns>) -> Head<'static> {
        Head { id: 7, flags: flag::RECURSION_DESIRED, asked: b"\x01A\0", kind: 1, class: 1, edns }
    }

    #[test]
    fn what_is_known_is_told_and_what_is_too_long_is_cut() {
        let mut records = Records::default();
        records.answer(1, 300, &[192, 0, 2, 1]);
        let known = Known {
            counts: records.counts,
            tail: &records.tail,
            ttl: Ttl::Less(100),
            authentic: true,
            ..Known::code(Rcode::NoError, Why::Plain)
        };
        let mut out = [0; 512];
        let length = write(&head(None), &known, &mut out, 512);
        let wanted = b"\0\x07\x81\x80\0\x01\0\x01\0\0\0\0\x01A\0\0\x01\0\x01\xc0\x0c\0\x01\0\x01\0\0\0\xc8\0\x04\xc0\0\x02\x01";
        assert_eq!(&out[..length], wanted, "AD is not for those who do not know it");
        let length = write(&head(None), &known, &mut out, wanted.len() - 1);
        assert_eq!(&out[..length], b"\0\x07\x83\x80\0\x01\0\0\0\0\0\0\x01A\0\0\x01\0\x01", "cut, and marked");
        assert_eq!(write(&head(None), &known, &mut out, 18), 0);
        let signed = Edns { size: 4_096, signatures: true };
        let length = write(&head(Some(signed)), &Known { why: Why::Stale, ..known }, &mut out, 512);
        assert_eq!(out[3] & 0x20, 0x20, "AD");
        assert_eq!(&out[wanted.len()..length], b"\0\0\x29\x04\xd0\0\0\x80\0\0\x06\0\x0f\0\x02\0\x03");
    }

    #[test]
    fn a_client_takes_what_it_says_and_not_too_much() {
        let table = [(None, 512), (Some(100), 512), (Some(1_000), 1_000), (Some(65_535), 1_232)];
        for (size, wanted) in table {
            assert_eq!(udp_bytes(&head(size.map(|size| Edns { size, signatures: false }))), wanted);
        }
    }
}
