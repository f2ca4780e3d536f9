//! A message as bytes: `postcard`, one frame a message, at most [`FRAME_BYTES`].
//!
//! In:  a type of this room. Out: bytes, and back. Frames live on wires only, never on disk, so both ends are of one build.
//!
//! Source: the postcard wire format, version 1.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::limit::FRAME_BYTES;

/// Why bytes are no frame, or a message does not become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// It needs more room than the buffer, or than [`FRAME_BYTES`].
    TooLarge,
    /// The bytes are not of this type, or break off, or go on after its end.
    Malformed,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => write!(f, "frame: larger than its buffer"),
            Self::Malformed => write!(f, "frame: not of the expected type"),
        }
    }
}

impl core::error::Error for Error {}

/// Writes `message` into `buffer` and returns the part that was used.
///
/// # Errors
/// [`Error::TooLarge`] where it does not fit.
pub fn encode<'b, T: Serialize>(message: &T, buffer: &'b mut [u8]) -> Result<&'b [u8], Error> {
    let room = buffer.len().min(FRAME_BYTES);
    let (room, _) = buffer.split_at_mut(room);
    postcard::to_slice(message, room).map(|used| &*used).map_err(|_| Error::TooLarge)
}

/// Reads one message that fills all of `bytes`.
///
/// # Errors
/// [`Error::Malformed`] where it is not of type `T` or something follows; [`Error::TooLarge`] over [`FRAME_BYTES`].
pub fn decode<'b, T: Deserialize<'b>>(bytes: &'b [u8]) -> Result<T, Error> {
    if bytes.len() > FRAME_BYTES {
        return Err(Error::TooLarge);
    }
    match postcard::take_from_bytes(bytes) {
        Ok((message, [])) => Ok(message),
        Ok(_) | Err(_) => Err(Error::Malformed),
    }
}
