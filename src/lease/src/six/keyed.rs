//! A number that follows from bytes and a secret, and that nobody without the secret can foretell: SipHash-2-4.
//!
//! In:  a secret, bytes. Out: 64 bits: an interface identifier (RFC 7217 §5 leaves the function to us), a place in a table.
//!
//! Not here: where the secret lies (`keep.rs`).
//!
//! Source: J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast short-input PRF", 2012, §2.2; test vector of its appendix A.

use std::net::Ipv6Addr;

use contract::prefix::Prefix;

use super::advert::first;

/// What nobody else knows.
pub type Secret = [u8; 16];

/// The number that follows from `bytes`.
#[must_use]
pub fn number(secret: &Secret, bytes: &[u8]) -> u64 {
    let (k0, k1) = halves(secret);
    let mut state = [
        k0 ^ 0x736f_6d65_7073_6575,
        k1 ^ 0x646f_7261_6e64_6f6d,
        k0 ^ 0x6c79_6765_6e65_7261,
        k1 ^ 0x7465_6462_7974_6573,
    ];
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        absorb(&mut state, u64::from_le_bytes(*word));
    }
    // The last word: what is left over, and the length's lowest byte on top.
    let [length, ..] = bytes.len().to_le_bytes();
    let mut last = [0, 0, 0, 0, 0, 0, 0, length];
    for (place, byte) in last.iter_mut().zip(rest) {
        *place = *byte;
    }
    absorb(&mut state, u64::from_le_bytes(last));
    state[2] ^= 0xff;
    for _ in 0..4 {
        round(&mut state);
    }
    state.into_iter().fold(0, |all, part| all ^ part)
}

/// An identifier of ours in `prefix`: the same on every boot, another in every prefix.
///
/// * `link` — the link's name, which is what identifies it over reboots.
/// * `again` — how many of them somebody else had already.
///
/// Source: RFC 7217 §5; RFC 5453 for those that are reserved.
#[must_use]
pub fn identifier(secret: &Secret, prefix: Prefix, link: &str, again: u8) -> u64 {
    let mut bytes = heapless::Vec::<u8, 64>::new();
    // At most 16 + 15 + 2 bytes: there is room.
    let _fits = bytes.extend_from_slice(&first(prefix).octets());
    let _fits = bytes.extend_from_slice(link.as_bytes());
    let _fits = bytes.extend_from_slice(&[0, again]);
    let drawn = number(secret, &bytes);
    // The subnet routers' anycast address, and those that RFC 2526 keeps.
    if drawn == 0 || drawn >= 0xfdff_ffff_ffff_ff80 { drawn ^ 0x0200_0000_0000_0055 } else { drawn }
}

/// The address in `prefix`, of 64 bits, that has this identifier.
#[must_use]
pub fn address(prefix: Prefix, identifier: u64) -> Ipv6Addr {
    Ipv6Addr::from_bits(first(prefix).to_bits() | u128::from(identifier))
}

fn halves(secret: &Secret) -> (u64, u64) {
    let all = u128::from_le_bytes(*secret);
    let half = |bits: u128| u64::try_from(bits & u128::from(u64::MAX)).unwrap_or(0);
    (half(all), half(all >> 64))
}

fn absorb(state: &mut [u64; 4], word: u64) {
    state[3] ^= word;
    round(state);
    round(state);
    state[0] ^= word;
}

fn round(state: &mut [u64; 4]) {
    let [mut a, mut b, mut c, mut d] = *state;
    a = a.wrapping_add(b);
    c = c.wrapping_add(d);
    b = b.rotate_left(13) ^ a;
    d = d.rotate_left(16) ^ c;
    a = a.rotate_left(32);
    c = c.wrapping_add(b);
    a = a.wrapping_add(d);
    b = b.rotate_left(17) ^ c;
    d = d.rotate_left(21) ^ a;
    c = c.rotate_left(32);
    *state = [a, b, c, d];
}

#[cfg(test)]
mod tests {
    use super::{address, identifier, number};

    const SECRET: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

    #[test]
    fn the_number_is_the_papers() {
        assert_eq!(
            number(&SECRET, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]),
            0xa129_ca61_49be_45e5
        );
    }

    #[test]
    fn an_identifier_is_of_its_prefix_its_link_and_its_try() {
        let (one, other) = ("2001:db8:1::/64".parse().unwrap(), "2001:db8:2::/64".parse().unwrap());
        let first = identifier(&SECRET, one, "eth0", 0);
        assert_eq!(first, identifier(&SECRET, one, "eth0", 0));
        let others = [(other, "eth0", 0), (one, "eth0.7", 0), (one, "eth0", 1)];
        for (prefix, link, again) in others {
            assert_ne!(first, identifier(&SECRET, prefix, link, again));
        }
        let bytes = address(one, first).octets();
        assert_eq!(bytes[..8], [0x20, 1, 0xd, 0xb8, 0, 1, 0, 0]);
        assert_eq!(bytes[8..], first.to_be_bytes());
    }
}
