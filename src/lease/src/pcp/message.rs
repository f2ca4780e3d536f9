//! PCP messages: bytes to what a host asks, and what we answer to bytes.
//!
//! In:  a datagram of a host. Out: a [`Request`], or the [`Code`] with which it is refused; bytes.
//!
//! Not here: what is answered (`answer.rs`), version 0 (`natpmp.rs`).
//!
//! Source: RFC 6887 §7 (form), §11.1 (MAP), §13.2 (PREFER_FAILURE).

use std::net::{IpAddr, Ipv6Addr};

use contract::manifest::Protocol;
use heapless::Vec;

/// The longest message. Source: RFC 6887 §7.
pub const MESSAGE_BYTES_MAX: usize = 1_100;
/// The version that we speak. Source: RFC 6887 §7.1.
pub const VERSION: u8 = 2;
/// The head of both directions, and what MAP adds. Source: RFC 6887 §7.1, §7.2, §11.1.
const HEAD_BYTES: usize = 24;
const MAP_BYTES: usize = 36;
/// The head of an option. Source: RFC 6887 §7.3.
const OPTION_BYTES: usize = 4;
/// Operations. Source: RFC 6887 §19.2.
const ANNOUNCE: u8 = 0;
const MAP: u8 = 1;
/// It is an answer. Source: RFC 6887 §7.2.
const ANSWER: u8 = 0x80;
/// Options from here on may be passed over. Source: RFC 6887 §7.3.
const OPTIONAL: u8 = 0x80;
/// The one that we know. Source: RFC 6887 §13.2.
const PREFER_FAILURE: u8 = 2;
/// Numbers of protocols. Source: the IANA's "Protocol Numbers".
const TCP: u8 = 6;
const UDP: u8 = 17;

/// A message as bytes.
pub type Bytes = Vec<u8, MESSAGE_BYTES_MAX>;
/// What keeps a mapping for whoever made it. Source: RFC 6887 §11.1.
pub type Nonce = [u8; 12];

/// How it went. Source: RFC 6887 §7.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// It was done.
    Success = 0,
    /// Not our version.
    Version = 1,
    /// This host may not.
    Denied = 2,
    /// The request has a wrong form.
    Malformed = 3,
    /// We do not do that.
    Opcode = 4,
    /// An option that has to be understood, and is not.
    Option = 5,
    /// An option has a wrong form.
    MalformedOption = 6,
    /// There is no address outside.
    Network = 7,
    /// There are no more ports.
    Resources = 8,
    /// Neither TCP nor UDP.
    Protocol = 9,
    /// This host has too many ports.
    Quota = 10,
    /// The port outside that was asked for cannot be had.
    External = 11,
    /// It does not come from the address that it says.
    Address = 12,
}

impl Code {
    /// Its number.
    #[must_use]
    pub fn number(self) -> u8 {
        #[allow(clippy::as_conversions, reason = "a field-less enum of repr(u8)")]
        let number = self as u8;
        number
    }

    /// How long a host should believe a refusal, in seconds. Source: RFC 6887 §7.4 ("short" and "long" lifetime errors).
    #[must_use]
    pub fn believed_s(self) -> u32 {
        match self {
            Self::Success => 0,
            Self::Network | Self::Resources | Self::Quota | Self::External => 30,
            Self::Version
            | Self::Denied
            | Self::Malformed
            | Self::Opcode
            | Self::Option
            | Self::MalformedOption
            | Self::Protocol
            | Self::Address => 1_800,
        }
    }
}

/// What a host asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Are you there, and since when?
    Announce,
    /// A port.
    Map(Map),
}

/// A port that is asked for, or given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Map {
    /// For how long, in seconds; 0: no longer.
    pub lifetime_s: u32,
    /// What keeps it; none in version 0.
    pub nonce: Option<Nonce>,
    /// TCP or UDP; none: all, where it is given back.
    pub protocol: Option<Protocol>,
    /// The host's port; 0: all, where it is given back.
    pub port: u16,
    /// The port outside that it would like; 0: any.
    pub external_port: u16,
    /// The address outside that it would like; unspecified: any.
    pub external: IpAddr,
    /// It wants this one or none.
    pub prefers_failure: bool,
}

/// A datagram that is for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked<'b> {
    bytes: &'b [u8],
    /// What it asks, or why that is refused.
    pub request: Result<Request, Code>,
}

/// Reads what the host `from` sent. `None`: not even a refusal is due (too short to answer, or an answer itself).
#[must_use]
pub fn read(bytes: &[u8], from: IpAddr) -> Option<Asked<'_>> {
    let [version, operation, ..] = *bytes else { return None };
    if operation & ANSWER != 0 {
        return None;
    }
    let request = if version == VERSION { request(bytes, from) } else { Err(Code::Version) };
    Some(Asked { bytes, request })
}

fn request(bytes: &[u8], from: IpAddr) -> Result<Request, Code> {
    let (head, rest) = bytes.split_first_chunk::<HEAD_BYTES>().ok_or(Code::Malformed)?;
    if bytes.len() > MESSAGE_BYTES_MAX || !bytes.len().is_multiple_of(4) {
        return Err(Code::Malformed);
    }
    let [_, operation, _, _, l0, l1, l2, l3, address @ ..] = *head;
    if address != wide(from).octets() {
        return Err(Code::Address);
    }
    match operation {
        ANNOUNCE => options(rest).map(|_| Request::Announce),
        MAP => map(rest, u32::from_be_bytes([l0, l1, l2, l3])).map(Request::Map),
        _ => Err(Code::Opcode), // PEER, too.
    }
}

fn map(rest: &[u8], lifetime_s: u32) -> Result<Map, Code> {
    let (data, rest) = rest.split_first_chunk::<MAP_BYTES>().ok_or(Code::Malformed)?;
    let (nonce, data) = data.split_first_chunk::<12>().ok_or(Code::Malformed)?;
    let [protocol, _, _, _, p0, p1, e0, e1, external @ ..] = data else { return Err(Code::Malformed) };
    let external: [u8; 16] = external.try_into().map_err(|_| Code::Malformed)?;
    let port = u16::from_be_bytes([*p0, *p1]);
    let protocol = match *protocol {
        TCP => Some(Protocol::Tcp),
        UDP => Some(Protocol::Udp),
        // All protocols go with all ports only. Source: RFC 6887 §11.1.
        0 if port != 0 => return Err(Code::Malformed),
        0 if lifetime_s == 0 => None,
        _ => return Err(Code::Protocol),
    };
    let external_port = u16::from_be_bytes([*e0, *e1]);
    let external = narrow(Ipv6Addr::from(external));
    let prefers_failure = options(rest)?;
    Ok(Map { lifetime_s, nonce: Some(*nonce), protocol, port, external_port, external, prefers_failure })
}

/// Is PREFER_FAILURE among the options? Source: RFC 6887 §7.3.
fn options(bytes: &[u8]) -> Result<bool, Code> {
    let (mut prefers_failure, mut rest) = (false, bytes);
    while let Some((head, after)) = rest.split_first_chunk::<OPTION_BYTES>() {
        let [code, _, l0, l1] = *head;
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        let (_, after) = after.split_at_checked(length.next_multiple_of(4)).ok_or(Code::MalformedOption)?;
        match code {
            PREFER_FAILURE if length != 0 || prefers_failure => return Err(Code::MalformedOption),
            PREFER_FAILURE => prefers_failure = true,
            OPTIONAL.. => {}
            _ => return Err(Code::Option),
        }
        rest = after;
    }
    Ok(prefers_failure)
}

/// An address as it stands in a message. Source: RFC 6887 §5.
fn wide(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

/// The same back. All zeros are "any" of IPv6, the mapped ones are "any" of IPv4.
fn narrow(address: Ipv6Addr) -> IpAddr {
    address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4)
}

impl Asked<'_> {
    /// The refusal: what was asked comes back with it. Source: RFC 6887 §8.2.
    #[must_use]
    pub fn refusal(&self, code: Code, epoch_s: u32) -> Bytes {
        let operation = self.bytes.get(1).copied().unwrap_or(0);
        let mut out = head(operation, code, code.believed_s(), epoch_s);
        if code != Code::Version {
            let data = self.bytes.get(HEAD_BYTES..).unwrap_or_default();
            let whole = data.len().min(MESSAGE_BYTES_MAX - HEAD_BYTES) / 4 * 4;
            let _ = out.extend_from_slice(data.get(..whole).unwrap_or_default());
        }
        out
    }
}

/// "I am here": the answer to ANNOUNCE, and the same unasked. Source: RFC 6887 §14.1.
#[must_use]
pub fn announcement(epoch_s: u32) -> Bytes {
    head(ANNOUNCE, Code::Success, 0, epoch_s)
}

/// The port was given, or given back: `map` with the port and the address outside that it got. Source: RFC 6887 §11.1.
#[must_use]
pub fn mapped(map: &Map, epoch_s: u32) -> Bytes {
    let mut out = head(MAP, Code::Success, map.lifetime_s, epoch_s);
    let protocol = match map.protocol {
        Some(Protocol::Tcp) => TCP,
        Some(Protocol::Udp) => UDP,
        None => 0,
    };
    let (port, external_port) = (map.port.to_be_bytes(), map.external_port.to_be_bytes());
    let parts: [&[u8]; 6] = [
        &map.nonce.unwrap_or_default(),
        &[protocol, 0, 0, 0],
        &port,
        &external_port,
        &wide(map.external).octets(),
        if map.prefers_failure { &[PREFER_FAILURE, 0, 0, 0] } else { &[] },
    ];
    for part in parts {
        let _ = out.extend_from_slice(part); // Head, MAP and one option: it fits.
    }
    out
}

fn head(operation: u8, code: Code, lifetime_s: u32, epoch_s: u32) -> Bytes {
    let mut out = Bytes::new();
    let _ = out.extend_from_slice(&[VERSION, operation | ANSWER, 0, code.number()]);
    let _ = out.extend_from_slice(&lifetime_s.to_be_bytes());
    let _ = out.extend_from_slice(&epoch_s.to_be_bytes());
    let _ = out.extend_from_slice(&[0; 12]);
    out
}

#[cfg(test)]
mod tests {
    use super::{Asked, Code, Map, Request, announcement, mapped, read};
    use contract::manifest::Protocol;
    use std::net::{IpAddr, Ipv4Addr};

    const HOST: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 1, 100));

    /// A MAP request, as RFC 6887 figures 2 and 10 draw it: 3600 s, TCP, port 8080, 40000 outside.
    fn map() -> Vec<u8> {
        let mut bytes =
            vec![2, 1, 0, 0, 0, 0, 0x0e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 168, 1, 100];
        bytes.extend([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 6, 0, 0, 0, 0x1f, 0x90, 0x9c, 0x40]);
        bytes.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0]);
        bytes
    }

    #[test]
    fn a_request_is_read_or_refused_with_the_right_number() {
        type Row = (&'static str, fn(&mut Vec<u8>), Option<Code>);
        let table: &[Row] = &[
            ("as it is", |_| (), None),
            ("version 1", |b| b[0] = 1, Some(Code::Version)),
            ("version 3", |b| b[0] = 3, Some(Code::Version)),
            ("PEER", |b| b[1] = 2, Some(Code::Opcode)),
            ("AUTHENTICATION", |b| b[1] = 3, Some(Code::Opcode)),
            ("another address", |b| b[23] = 101, Some(Code::Address)),
            ("three bytes more", |b| b.extend([0; 3]), Some(Code::Malformed)),
            ("cut", |b| b.truncate(56), Some(Code::Malformed)),
            ("only a head", |b| b.truncate(24), Some(Code::Malformed)),
            ("too long", |b| b.resize(1104, 0), Some(Code::Malformed)),
            ("SCTP", |b| b[36] = 132, Some(Code::Protocol)),
            ("all protocols, one port", |b| b[36] = 0, Some(Code::Malformed)),
            ("THIRD_PARTY", |b| b.extend([[1, 0, 0, 16].as_slice(), &[0; 16]].concat()), Some(Code::Option)),
            ("FILTER", |b| b.extend([[3, 0, 0, 20].as_slice(), &[0; 20]].concat()), Some(Code::Option)),
            ("an option that may be passed over", |b| b.extend([130, 0, 0, 1, 7, 0, 0, 0]), None),
            ("PREFER_FAILURE", |b| b.extend([2, 0, 0, 0]), None),
            ("it twice", |b| b.extend([2, 0, 0, 0, 2, 0, 0, 0]), Some(Code::MalformedOption)),
            ("it with a body", |b| b.extend([2, 0, 0, 4, 0, 0, 0, 0]), Some(Code::MalformedOption)),
            ("an option that goes on", |b| b.extend([130, 0, 0, 9, 0, 0, 0, 0]), Some(Code::MalformedOption)),
        ];
        for (what, bend, code) in table {
            let mut bytes = map();
            bend(&mut bytes);
            assert_eq!(read(&bytes, HOST).unwrap().request.err(), *code, "{what}");
        }
        assert_eq!(read(&[2], HOST), None);
        assert_eq!(read(&[2, 0x81, 0, 0], HOST), None, "an answer");
    }

    #[test]
    fn what_is_asked_comes_back() {
        let bytes = map();
        let Asked { request: Ok(Request::Map(asked)), .. } = read(&bytes, HOST).unwrap() else { panic!() };
        let nonce = Some([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        let (protocol, external) = (Some(Protocol::Tcp), Ipv4Addr::UNSPECIFIED.into());
        let want = Map {
            lifetime_s: 3_600,
            nonce,
            protocol,
            port: 8_080,
            external_port: 40_000,
            external,
            prefers_failure: false,
        };
        assert_eq!(asked, want);
        let answer = mapped(&Map { external: Ipv4Addr::new(203, 0, 113, 7).into(), ..asked }, 9);
        assert_eq!(answer[..12], [2, 0x81, 0, 0, 0, 0, 0x0e, 0x10, 0, 0, 0, 9]);
        assert_eq!(answer[24..44], bytes[24..44]);
        assert_eq!(answer[54..], [0xff, 0xff, 203, 0, 113, 7]);
        let refusal = read(&bytes, HOST).unwrap().refusal(Code::Quota, 9);
        assert_eq!((refusal.len(), refusal[3], &refusal[24..]), (60, 10, &bytes[24..]));
        assert_eq!(announcement(0x0102).as_slice()[..12], [2, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
    }
}
