//! Frames of WebSocket as bytes.
//!
//! In:  bytes of a stream. Out: [`Frame`]s, whole and unmasked; and frames as bytes.
//!
//! Source: RFC 6455 §5.

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// The next piece of a message.
    Continuation,
    /// A text, or its first piece.
    Text,
    /// Bytes, or their first piece.
    Binary,
    /// That was all.
    Close,
    /// Are you there?
    Ping,
    /// Yes.
    Pong,
}

impl Opcode {
    const NUMBERS: [(Self, u8); 6] = [
        (Self::Continuation, 0),
        (Self::Text, 1),
        (Self::Binary, 2),
        (Self::Close, 8),
        (Self::Ping, 9),
        (Self::Pong, 10),
    ];

    fn of(number: u8) -> Option<Self> {
        Self::NUMBERS.iter().find(|(_, one)| *one == number).map(|(opcode, _)| *opcode)
    }

    fn number(self) -> u8 {
        Self::NUMBERS.iter().find(|(one, _)| *one == self).map_or(0, |(_, number)| *number)
    }

    fn is_control(self) -> bool {
        self.number() >= 8
    }
}

/// A frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub opcode: Opcode,
    /// The last piece of its message.
    pub is_last: bool,
    /// What is in it.
    pub payload: Vec<u8>,
}

/// Why bytes are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It breaks a rule of the protocol.
    Protocol(&'static str),
    /// It is too long.
    Large,
}

impl Fault {
    /// The code for the other end. Source: RFC 6455 §7.4.1.
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Self::Protocol(_) => 1002,
            Self::Large => 1009,
        }
    }

    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Protocol(words) => words,
            Self::Large => "a frame that is too long",
        }
    }
}

/// Writes a frame that is a whole message, masked where we have called.
#[must_use]
pub fn write(opcode: Opcode, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let masked = if mask.is_some() { 0x80 } else { 0 };
    let mut frame = vec![0x80 | opcode.number()];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ 0..126), _) => frame.push(masked | length),
        (_, Ok(length)) => {
            frame.push(masked | 126);
            frame.extend(length.to_be_bytes());
        }
        (_, Err(_)) => {
            frame.push(masked | 127);
            frame.extend(u64::try_from(payload.len()).unwrap_or(u64::MAX).to_be_bytes());
        }
    }
    frame.extend(mask.iter().flatten());
    let mask = mask.unwrap_or_default();
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// Reads the frame at the head of `bytes`, and how long it was there; `None`: it is not whole yet.
///
/// * `masked` — the other end has to mask (it has called), or must not.
/// * `bytes_max` — its payload, at most.
///
/// # Errors
/// [`Fault`]: the session is over.
pub fn read(bytes: &[u8], masked: bool, bytes_max: usize) -> Result<Option<(Frame, usize)>, Fault> {
    let [first, second, ..] = bytes else { return Ok(None) };
    if first & 0x70 != 0 {
        return Err(Fault::Protocol("an extension that nobody has taken"));
    }
    let opcode = Opcode::of(first & 0x0f).ok_or(Fault::Protocol("an opcode that is none"))?;
    let is_last = first & 0x80 != 0;
    if (second & 0x80 != 0) != masked {
        return Err(Fault::Protocol("a mask that may not be, or is not there"));
    }
    let short = second & 0x7f;
    if opcode.is_control() && (!is_last || short > 125) {
        return Err(Fault::Protocol("a control frame that is too long, or in pieces"));
    }
    let wide = |place: usize, size: usize| -> Option<u64> {
        let bytes = bytes.get(place..)?.get(..size)?;
        Some(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    };
    let (length, place): (_, usize) = match short {
        126 => (wide(2, 2), 4),
        127 => (wide(2, 8), 10),
        short => (Some(u64::from(short)), 2),
    };
    let Some(length) = length else { return Ok(None) };
    let length = usize::try_from(length).ok().filter(|length| *length <= bytes_max).ok_or(Fault::Large)?;
    let begin = if masked { place.saturating_add(4) } else { place };
    let Some(payload) = bytes.get(begin..begin.saturating_add(length)) else { return Ok(None) };
    let mask = if masked { bytes.get(place..begin).unwrap_or_default() } else { &[0] };
    let payload = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    Ok(Some((Frame { opcode, is_last, payload }, begin.saturating_add(length))))
}

#[cfg(test)]
mod tests {
    use super::{Frame, Opcode, read, write};

    #[test]
    fn frames_are_those_of_the_standard() {
        // RFC 6455 §5.7.
        let hello = b"Hello".as_slice();
        let table: &[(&[u8], bool, Opcode)] = &[
            (b"\x81\x05Hello", false, Opcode::Text),
            (b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", true, Opcode::Text),
            (b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", true, Opcode::Pong),
        ];
        for (bytes, masked, opcode) in table {
            let (frame, length) = read(bytes, *masked, 9).unwrap().unwrap();
            assert_eq!(frame, Frame { opcode: *opcode, is_last: true, payload: hello.to_vec() });
            assert_eq!(length, bytes.len());
            let mask = masked.then_some([0x37, 0xfa, 0x21, 0x3d]);
            assert_eq!(write(*opcode, hello, mask), *bytes);
        }
        for size in [0, 125, 126, 65_535, 65_536] {
            let payload = vec![7; size];
            let bytes = write(Opcode::Binary, &payload, Some([9, 8, 7, 6]));
            let (frame, length) = read(&bytes, true, 100_000).unwrap().unwrap();
            assert_eq!((frame.payload, length), (payload, bytes.len()), "{size}");
            for part in [0, 1, 2, 5, bytes.len() - 1] {
                let whole = bytes.get(..part).filter(|part| part.len() < bytes.len());
                assert_eq!(whole.map(|part| read(part, true, 100_000)), Some(Ok(None)), "{part} of {size}");
            }
        }
    }
}
