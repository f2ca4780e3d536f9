//! Chance that nobody can guess: stamps, identifiers, nonces.
//!
//! In:  nothing. Out: the kernel's random numbers. Before it has gathered entropy they may be weak; they are refused then only for what is
//! sealed (TLS waits for them by itself).

use sys::entropy;

/// Sixty-four bits of it.
#[must_use]
pub fn long() -> u64 {
    u64::from_ne_bytes(bytes())
}

/// So many bytes of it.
#[must_use]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // It fails on kernels only that this firmware has not: a constant is no chance, and an answer to it is refused like any other.
    let _ = entropy::random(&mut bytes);
    bytes
}
