//! A packet of a PPP control protocol, and the options in it.
//!
//! In:  bytes from the protocol's number on, as the kernel gives them. Out: protocol, code, identifier, body; or bytes to send.
//!
//! Pure. Not here: what a code or an option means.
//!
//! Source: RFC 1661 §2 (protocol), §5 (code, identifier, length), §6 (options).

/// The largest packet that is read or written, protocol included, in bytes: an MRU of 1500, and two.
pub const PACKET_BYTES_MAX: usize = 1_502;
/// The most options of one packet: LCP knows a dozen.
const OPTIONS_MAX: usize = 32;
/// Code, identifier, length. Source: RFC 1661 §5.
const HEADER_BYTES: usize = 4;

/// Protocol numbers. Source: RFC 1661 §2, IANA "PPP DLL Protocol Numbers".
pub const LCP: u16 = 0xc021;
/// See [`LCP`]. Source: RFC 1334.
pub const PAP: u16 = 0xc023;
/// See [`LCP`]. Source: RFC 1994.
pub const CHAP: u16 = 0xc223;
/// See [`LCP`]. Source: RFC 1332.
pub const IPCP: u16 = 0x8021;
/// See [`LCP`]. Source: RFC 5072.
pub const IPV6CP: u16 = 0x8057;
/// Packets of IPv4 and IPv6, which the kernel handles.
pub const IPV4: u16 = 0x0021;
/// See [`IPV4`].
pub const IPV6: u16 = 0x0057;

/// A packet that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'b> {
    /// The protocol.
    pub protocol: u16,
    /// The code.
    pub code: u8,
    /// The identifier.
    pub id: u8,
    /// What follows the header.
    pub body: &'b [u8],
}

/// The protocol that `bytes` begin with.
#[must_use]
pub fn protocol(bytes: &[u8]) -> Option<u16> {
    bytes.first_chunk().map(|number| u16::from_be_bytes(*number))
}

/// Reads a packet; what follows its length is padding. `None`: it is cut off, or too long. Source: RFC 1661 §5.
#[must_use]
pub fn read(bytes: &[u8]) -> Option<Packet<'_>> {
    if bytes.len() > PACKET_BYTES_MAX {
        return None;
    }
    let (number, rest) = bytes.split_first_chunk::<2>()?;
    let [code, id, high, low] = *rest.first_chunk::<HEADER_BYTES>()?;
    let length = usize::from(u16::from_be_bytes([high, low]));
    let body = rest.get(HEADER_BYTES..length)?;
    Some(Packet { protocol: u16::from_be_bytes(*number), code, id, body })
}

/// Writes a packet; what does not fit in [`PACKET_BYTES_MAX`] is left off, which only echoes and rejections can reach.
#[must_use]
pub fn write(packet: &Packet<'_>) -> Vec<u8> {
    let room = PACKET_BYTES_MAX - HEADER_BYTES - 2;
    let body = packet.body.get(..room).unwrap_or(packet.body);
    let length = u16::try_from(body.len() + HEADER_BYTES).unwrap_or(0);
    let mut bytes = Vec::with_capacity(body.len() + HEADER_BYTES + 2);
    bytes.extend_from_slice(&packet.protocol.to_be_bytes());
    bytes.extend_from_slice(&[packet.code, packet.id]);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// An option: its type, and its data without the header.
pub type Setting<'b> = (u8, &'b [u8]);

/// The options in `body`. `None`: a length is wrong, or there are more than [`OPTIONS_MAX`]. Source: RFC 1661 §6.
#[must_use]
pub fn settings(body: &[u8]) -> Option<heapless::Vec<Setting<'_>, OPTIONS_MAX>> {
    let mut found = heapless::Vec::new();
    let mut rest = body;
    while let Some((&kind, [length, ..])) = rest.split_first() {
        let data = rest.get(2..usize::from(*length))?;
        found.push((kind, data)).ok()?;
        rest = rest.get(usize::from(*length)..)?;
    }
    rest.is_empty().then_some(found)
}

/// Appends an option to `body`. Data that is too long for one is none of ours.
pub fn put(body: &mut Vec<u8>, kind: u8, data: &[u8]) {
    let Ok(length) = u8::try_from(data.len() + 2) else { return };
    body.extend_from_slice(&[kind, length]);
    body.extend_from_slice(data);
}

#[cfg(test)]
mod tests {
    use super::{IPCP, LCP, Packet, put, read, settings, write};
    use proptest::prelude::proptest;

    #[test]
    fn lengths_that_are_wrong_are_refused() {
        // what, bytes, the body's length
        let table: [(&str, &[u8], Option<usize>); 6] = [
            ("empty", &[], None),
            ("no header", &[0xc0, 0x21, 1, 1, 0], None),
            ("the shortest", &[0xc0, 0x21, 5, 1, 0, 4], Some(0)),
            ("a length below the header's", &[0xc0, 0x21, 5, 1, 0, 3], None),
            ("cut off", &[0xc0, 0x21, 1, 1, 0, 8, 1, 4, 5], None),
            ("padding", &[0x80, 0x21, 1, 1, 0, 6, 9, 9, 0, 0, 0], Some(2)),
        ];
        for (what, bytes, length) in table {
            assert_eq!(read(bytes).map(|packet| packet.body.len()), length, "{what}");
        }
    }

    #[test]
    fn options_are_found_or_all_refused() {
        let mut body = Vec::new();
        put(&mut body, 1, &[5, 0xd4]);
        put(&mut body, 7, &[]);
        assert_eq!(settings(&body).unwrap().as_slice(), [(1, &[5, 0xd4][..]), (7, &[])]);
        for (what, body) in [
            ("a length of 0", &[1, 0][..]),
            ("a length of 1", &[1, 1]),
            ("cut off", &[1, 4, 5]),
            ("half a header", &[1]),
        ] {
            assert_eq!(settings(body), None, "{what}");
        }
        assert_eq!(settings(&[7, 2].repeat(33)), None, "too many");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(code: u8, id: u8, body in proptest::collection::vec(0_u8.., 0..1_496)) {
            let packet = Packet { protocol: IPCP, code, id, body: &body };
            assert_eq!(read(&write(&packet)), Some(packet));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            if let Some(packet) = read(&bytes) {
                let _ = settings(packet.body);
            }
            let _ = read(&[&LCP.to_be_bytes(), bytes.as_slice()].concat());
        }
    }
}
