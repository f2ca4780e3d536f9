//! Discovery: the packets by which host and access concentrator find each other.
//!
//! In:  bytes behind the Ethernet header, or what to say. Out: a message with its tags, or bytes.
//!
//! Pure. Not here: what follows what (`session.rs`).
//!
//! Source: RFC 2516 §4, §5, appendix A; RFC 4638 §4.

use sys::packet::Instruction;

use super::auth::printable;
use super::packet::LCP;

/// Ethernet's numbers of both stages. Source: RFC 2516 §4.
pub const DISCOVERY: u16 = 0x8863;
/// See [`DISCOVERY`].
pub const SESSION: u16 = 0x8864;
/// Version, type, code, session, length. Source: RFC 2516 §4.
const HEADER_BYTES: usize = 6;
/// Version 1, type 1. Source: RFC 2516 §4.
const VERSION_AND_TYPE: u8 = 0x11;
/// The most that may follow the header, in bytes: a discovery packet is no larger than an Ethernet frame.
const PAYLOAD_BYTES_MAX: usize = 1_500 - HEADER_BYTES;
/// The most tags of one packet: a concentrator with many services has some.
const TAGS_MAX: usize = 48;
/// Everybody on the link.
pub const EVERYBODY: [u8; 6] = [0xff; 6];

/// Codes. Source: RFC 2516 §5.
pub mod code {
    /// The host asks who is there.
    pub const PADI: u8 = 0x09;
    /// A concentrator offers itself.
    pub const PADO: u8 = 0x07;
    /// The host asks it for a session.
    pub const PADR: u8 = 0x19;
    /// It gives one, or says why not.
    pub const PADS: u8 = 0x65;
    /// The session has ended.
    pub const PADT: u8 = 0xa7;
}

/// Tags. Source: RFC 2516 appendix A; RFC 4638 §4.
pub mod tag {
    /// No tag follows.
    pub const END: u16 = 0x0000;
    /// A service.
    pub const SERVICE: u16 = 0x0101;
    /// The concentrator's name.
    pub const CONCENTRATOR: u16 = 0x0102;
    /// A number of the host's, which comes back.
    pub const HOST_UNIQ: u16 = 0x0103;
    /// Bytes of the concentrator's, which go back.
    pub const COOKIE: u16 = 0x0104;
    /// Bytes of a relay's, which go back.
    pub const RELAY: u16 = 0x0110;
    /// The largest packet in a session, in bytes.
    pub const MAX_PAYLOAD: u16 = 0x0120;
    /// The service is not to be had.
    pub const SERVICE_ERROR: u16 = 0x0201;
    /// The concentrator cannot.
    pub const SYSTEM_ERROR: u16 = 0x0202;
    /// Any other trouble.
    pub const GENERIC_ERROR: u16 = 0x0203;
}

/// A message that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message<'b> {
    /// What it is.
    pub code: u8,
    /// The session's number; 0: none.
    pub session: u16,
    tags: heapless::Vec<(u16, &'b [u8]), TAGS_MAX>,
}

impl<'b> Message<'b> {
    /// The first tag of this kind.
    #[must_use]
    pub fn tag(&self, kind: u16) -> Option<&'b [u8]> {
        self.all(kind).next()
    }

    /// All tags of this kind.
    pub fn all(&self, kind: u16) -> impl Iterator<Item = &'b [u8]> {
        self.tags.iter().filter(move |(of, _)| *of == kind).map(|(_, value)| *value)
    }

    /// The largest packet of a session, as the other side says it.
    #[must_use]
    pub fn max_payload(&self) -> Option<u16> {
        self.tag(tag::MAX_PAYLOAD)?.try_into().ok().map(u16::from_be_bytes)
    }

    /// What it says against a session, fit for a terminal.
    #[must_use]
    pub fn error(&self) -> Option<String> {
        let kinds = [
            (tag::SERVICE_ERROR, "no such service"),
            (tag::SYSTEM_ERROR, "it cannot now"),
            (tag::GENERIC_ERROR, "it will not"),
        ];
        kinds.into_iter().find_map(|(kind, words)| {
            let said = printable(self.tag(kind)?);
            Some(if said.is_empty() { words.to_owned() } else { format!("{words}: {said}") })
        })
    }
}

/// Reads a message; what follows its length is Ethernet's padding. `None`: it is none, or has more than [`TAGS_MAX`] tags.
#[must_use]
pub fn read(bytes: &[u8]) -> Option<Message<'_>> {
    let (&[VERSION_AND_TYPE, code, s0, s1, l0, l1], rest) = bytes.split_first_chunk::<HEADER_BYTES>()? else {
        return None;
    };
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    let mut rest = rest.get(..length).filter(|payload| payload.len() <= PAYLOAD_BYTES_MAX)?;
    let mut tags = heapless::Vec::new();
    while let Some((&[k0, k1, l0, l1], value)) = rest.split_first_chunk::<4>() {
        let (value, next) = value.split_at_checked(usize::from(u16::from_be_bytes([l0, l1])))?;
        let kind = u16::from_be_bytes([k0, k1]);
        if kind == tag::END {
            return Some(Message { code, session: u16::from_be_bytes([s0, s1]), tags });
        }
        tags.push((kind, value)).ok()?;
        rest = next;
    }
    rest.is_empty().then(|| Message { code, session: u16::from_be_bytes([s0, s1]), tags })
}

/// Writes a message. `None`: it would be larger than a frame, which only tags that the other side made can cause.
#[must_use]
pub fn write(code: u8, session: u16, tags: &[(u16, &[u8])]) -> Option<Vec<u8>> {
    let mut payload = Vec::new();
    for (kind, value) in tags {
        payload.extend_from_slice(&kind.to_be_bytes());
        payload.extend_from_slice(&u16::try_from(value.len()).ok()?.to_be_bytes());
        payload.extend_from_slice(value);
    }
    if payload.len() > PAYLOAD_BYTES_MAX {
        return None;
    }
    let mut bytes = vec![VERSION_AND_TYPE, code];
    bytes.extend_from_slice(&session.to_be_bytes());
    bytes.extend_from_slice(&u16::try_from(payload.len()).ok()?.to_be_bytes());
    bytes.extend_from_slice(&payload);
    Some(bytes)
}

/// The session that a packet of the session stage belongs to. Source: RFC 2516 §6.
#[must_use]
pub fn session_of(bytes: &[u8]) -> Option<u16> {
    match *bytes.first_chunk::<HEADER_BYTES>()? {
        [VERSION_AND_TYPE, 0, s0, s1, ..] => Some(u16::from_be_bytes([s0, s1])),
        _ => None,
    }
}

/// The filter in front of the session stage: of all packets only LCP's pass, by which a session of a former life shows itself.
#[must_use]
pub fn filter_lcp() -> [Instruction; 4] {
    // Source: the kernel's networking/filter: load a half word, jump if equal, return.
    const LOAD_HALF: u16 = 0x28;
    const JUMP_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    let step = |code, jump_false, operand| Instruction { code, jump_true: 0, jump_false, operand };
    [
        step(LOAD_HALF, 0, 6),
        step(JUMP_EQUAL, 1, u32::from(LCP)),
        step(RETURN, 0, u32::MAX),
        step(RETURN, 0, 0),
    ]
}

#[cfg(test)]
mod tests {
    use super::{code, filter_lcp, read, session_of, tag, write};
    use proptest::prelude::proptest;

    #[test]
    fn what_is_written_is_read() {
        let tags: [(u16, &[u8]); 3] =
            [(tag::SERVICE, b""), (tag::HOST_UNIQ, b"12345678"), (tag::COOKIE, b"c")];
        let bytes = write(code::PADR, 0, &tags).unwrap();
        let padded = [bytes.as_slice(), &[0; 20]].concat();
        let message = read(&padded).unwrap();
        assert_eq!(
            (message.code, message.session, message.tag(tag::COOKIE)),
            (code::PADR, 0, Some(&b"c"[..]))
        );
        assert_eq!((message.tag(tag::SERVICE), message.tag(tag::RELAY)), (Some(&b""[..]), None));
        assert_eq!(write(code::PADR, 0, &[(tag::COOKIE, &[0; 1_491])]), None, "larger than a frame");
    }

    #[test]
    fn what_is_wrong_is_refused() {
        let table: [(&str, &[u8]); 6] = [
            ("empty", &[]),
            ("another version", &[0x21, 7, 0, 0, 0, 0]),
            ("cut off", &[0x11, 7, 0, 0, 0, 4, 1, 1, 0]),
            ("a tag beyond the end", &[0x11, 7, 0, 0, 0, 4, 1, 1, 0, 1, 0, 0]),
            ("half a tag", &[0x11, 7, 0, 0, 0, 2, 1, 1]),
            ("a session packet is no tag", &[0x11, 0, 0, 5, 0, 2, 0xc0, 0x21]),
        ];
        for (what, bytes) in table {
            assert_eq!(read(bytes), None, "{what}");
        }
        assert_eq!(session_of(&[0x11, 0, 0, 5, 0, 2, 0xc0, 0x21]), Some(5));
        assert_eq!(session_of(&[0x11, 7, 0, 5, 0, 2]), None);
        assert_eq!(
            read(&[0x11, 7, 0, 0, 0, 8, 0, 0, 0, 0, 9, 9, 9, 9]).unwrap().tag(0x0909),
            None,
            "the end"
        );
    }

    #[test]
    fn trouble_has_words() {
        let bytes = write(code::PADS, 0, &[(tag::SYSTEM_ERROR, b"full\x07")]).unwrap();
        assert_eq!(read(&bytes).unwrap().error().unwrap(), "it cannot now: full?");
        assert_eq!(filter_lcp()[1].operand, 0xc021);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = read(&bytes);
            if let Some(message) = read(&[&[0x11, 7, 0, 0, 0, u8::try_from(bytes.len()).unwrap_or(255)], bytes.as_slice()].concat()) {
                let _ = (message.error(), message.max_payload());
            }
        }
    }
}
