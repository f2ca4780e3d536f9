//! Netlink as bytes: messages, attributes, read within limits and written.
//!
//! In:  what the kernel sent. Out: messages and attributes; and back.
//!
//! A message or attribute that is cut off ends the reading; nothing here can fail in another way. Why not the crate that also writes
//! our messages: it takes `struct rtnl_link_ifmap` for 32 bytes, and on i386 it has 28, so there every link is lost.
//!
//! Source: netlink(7), `NLMSG_ALIGN`, `NLA_ALIGN`; linux/netlink.h.

/// A message's header, in bytes.
pub const HEADER: usize = 16;
/// The flag for "what follows is nested", on an attribute's kind.
const NESTED: u16 = 0x8000;
/// Bits of an attribute's kind that are no kind: nested, and network byte order.
const FLAGS: u16 = 0xc000;

/// The kind of a list's elements: `NFTA_LIST_ELEM`.
pub const ELEMENT: u16 = 1;

/// A message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'m> {
    /// Its type.
    pub kind: u16,
    /// Its flags.
    pub flags: u16,
    /// Its number.
    pub sequence: u32,
    /// What follows the header.
    pub body: &'m [u8],
}

/// The short number at `at`, in the machine's order.
#[must_use]
pub fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at.checked_add(2)?)?.try_into().ok().map(u16::from_ne_bytes)
}

/// The number at `at`, in the machine's order.
#[must_use]
pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_ne_bytes)
}

fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

/// The messages of one packet.
pub fn messages(mut packet: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = usize::try_from(u32_at(packet, 0)?).ok()?;
        let body = packet.get(HEADER..length)?;
        let message = Message {
            kind: u16_at(packet, 4)?,
            flags: u16_at(packet, 6)?,
            sequence: u32_at(packet, 8)?,
            body,
        };
        packet = packet.get(aligned(length)..).unwrap_or_default();
        Some(message)
    })
}

/// The attributes of one message's body, behind its own header: kind and value.
pub fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    flagged(bytes).map(|(kind, value)| (kind & !FLAGS, value))
}

/// The same, with the flags that a kind may have.
fn flagged(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?);
        let attribute = (u16_at(bytes, 2)?, bytes.get(4..length)?);
        bytes = bytes.get(aligned(length)..).unwrap_or_default();
        Some(attribute)
    })
}

/// Does `found` say all that `asked` says? Both are attributes; what stands in `asked` must stand in `found` with the same value, and
/// a list must be as long and in the same order. What the kernel adds of its own (defaults, counts, names) does not matter.
#[must_use]
pub fn agrees(asked: &[u8], found: &[u8]) -> bool {
    let same = |kind: u16, value: &[u8], has: &[u8]| {
        if kind & NESTED != 0 { agrees(value, has) } else { value == has }
    };
    if flagged(asked).all(|(kind, _)| kind & !FLAGS == ELEMENT) {
        let mut found = attributes(found).filter(|(kind, _)| *kind == ELEMENT);
        let all =
            flagged(asked).all(|(kind, value)| found.next().is_some_and(|(_, has)| same(kind, value, has)));
        return all && found.next().is_none();
    }
    flagged(asked)
        .all(|(kind, value)| attribute(found, kind & !FLAGS).is_some_and(|has| same(kind, value, has)))
}

/// The value of the first attribute of this kind.
#[must_use]
pub fn attribute(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find_map(|(has, value)| (has == kind).then_some(value))
}

/// A text that ends at its first NUL. `None` where it is not UTF-8.
#[must_use]
pub fn text(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value.split(|byte| *byte == 0).next()?).ok()
}

/// Bytes in the making: attributes, nested or not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Adds an attribute.
    #[must_use]
    pub fn put(mut self, kind: u16, value: &[u8]) -> Self {
        // What we write is far below 64 KiB; a length that were not would be refused by the kernel, not believed.
        let length = u16::try_from(value.len() + 4).unwrap_or(0);
        self.bytes.extend(length.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(value);
        self.bytes.resize(aligned(self.bytes.len()), 0);
        self
    }

    /// Adds a text with its NUL.
    #[must_use]
    pub fn put_text(self, kind: u16, value: &str) -> Self {
        self.put(kind, &[value.as_bytes(), &[0]].concat())
    }

    /// Adds a number in network order, as nftables wants its own.
    #[must_use]
    pub fn put_be32(self, kind: u16, value: u32) -> Self {
        self.put(kind, &value.to_be_bytes())
    }

    /// Adds a nest of attributes.
    #[must_use]
    pub fn nest(self, kind: u16, inner: Self) -> Self {
        self.put(kind | NESTED, &inner.bytes)
    }

    /// The bytes.
    #[must_use]
    pub fn end(self) -> Vec<u8> {
        self.bytes
    }
}

/// One message, whole.
#[must_use]
pub fn message(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER + body.len()).unwrap_or(0);
    let mut bytes = Vec::with_capacity(aligned(HEADER + body.len()));
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend([0; 4]); // port: the kernel
    bytes.extend(body);
    bytes.resize(aligned(bytes.len()), 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::{ELEMENT, Writer, agrees, attribute, attributes, message, messages, text};

    #[test]
    fn what_was_written_is_read() {
        let body = Writer::default().put_text(1, "eth0").nest(18, Writer::default().put_be32(3, 7)).end();
        let packet = [message(16, 5, 7, &body), message(3, 0, 8, &[])].concat();
        let found: Vec<_> = messages(&packet).collect();
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].kind, found[0].flags, found[0].sequence), (16, 5, 7));
        assert_eq!(attribute(found[0].body, 1).and_then(text), Some("eth0"));
        assert_eq!(attribute(attribute(found[0].body, 18).unwrap(), 3), Some([0, 0, 0, 7].as_slice()));
    }

    #[test]
    fn what_is_cut_off_ends_the_reading() {
        let body = Writer::default().put_text(1, "eth0").put_be32(2, 9).end();
        let packet = message(16, 0, 1, &body);
        for cut in 0..packet.len() {
            assert_eq!(messages(&packet[..cut]).count(), 0, "{cut}");
        }
        for cut in 0..body.len() {
            assert!(attributes(&body[..cut]).count() < 2, "{cut}");
        }
        assert_eq!(attributes(&[0, 0, 1, 0]).count(), 0, "a length of nothing does not go round for ever");
        assert_eq!(messages(&[0; 64]).count(), 0);
    }

    #[test]
    fn who_says_more_agrees_and_who_says_less_or_else_does_not() {
        let asked = || Writer::default().put_be32(2, 7).nest(4, Writer::default().put_text(1, "eth0"));
        let list =
            |count: u32| (0..count).fold(Writer::default(), |list, number| list.put_be32(ELEMENT, number));
        let nested = Writer::default().put_text(1, "eth0").put_be32(9, 9);
        let table = [
            ("the same", asked(), asked(), true),
            ("more", asked(), asked().put_be32(9, 9), true),
            ("more inside", asked(), Writer::default().put_be32(2, 7).nest(4, nested), true),
            (
                "another order",
                asked(),
                Writer::default().nest(4, Writer::default().put_text(1, "eth0")).put_be32(2, 7),
                true,
            ),
            ("less", asked().put_be32(9, 9), asked(), false),
            (
                "another value",
                asked(),
                Writer::default().put_be32(2, 8).nest(4, Writer::default().put_text(1, "eth0")),
                false,
            ),
            (
                "another value inside",
                asked(),
                Writer::default().put_be32(2, 7).nest(4, Writer::default().put_text(1, "eth1")),
                false,
            ),
            ("a list", list(3), list(3), true),
            ("a longer list", list(3), list(4), false),
            ("a shorter list", list(3), list(2), false),
            ("no list", list(0), list(1), false),
        ];
        for (what, asked, found, same) in table {
            assert_eq!(agrees(&asked.end(), &found.end()), same, "{what}");
        }
    }
}
