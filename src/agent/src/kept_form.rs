//! What is kept, as bytes for the disk.
//!
//! In:  anything, and how large it may be. Out: bytes, and back.
//!
//! Not here: the disk (`state`), when it is written (`room/kept.rs`).

use serde::Serialize;
use serde::de::DeserializeOwned;

/// As bytes; `None`: more than `bytes_max`.
#[must_use]
pub fn write<T: Serialize>(what: &T, bytes_max: usize) -> Option<Vec<u8>> {
    let mut buffer = vec![0; bytes_max];
    postcard::to_slice(what, &mut buffer).ok().map(|used| used.to_vec())
}

/// The same of a form to whose end up to `fields` fields have come since, each of which is one byte where it is empty, or 0.
#[must_use]
pub fn read_older<T: DeserializeOwned>(bytes: &[u8], fields: usize) -> Option<T> {
    (0..=fields).find_map(|fields| read(&[bytes, &vec![0; fields]].concat()))
}

/// From bytes; `None`: they are of something else.
#[must_use]
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    postcard::from_bytes(bytes).ok()
}
