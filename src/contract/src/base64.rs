//! Bytes as letters: base64.
//!
//! In:  bytes. Out: letters, one after another.
//!
//! Source: RFC 4648 §4.

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The letters of `bytes`, with `=` up to a multiple of four.
pub fn letters(bytes: &[u8]) -> impl Iterator<Item = char> {
    bytes.chunks(3).flat_map(|group| {
        let number = (0..3)
            .fold(0, |number, place| number << 8 | group.get(place).copied().map_or(0_usize, usize::from));
        (0..4).map(move |place| {
            let letter = LETTERS.get(number >> (18 - 6 * place) & 63).copied().unwrap_or(b'=');
            if place <= group.len() { char::from(letter) } else { '=' }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::letters;

    #[test]
    fn bytes_become_letters() {
        // RFC 4648 §10, and bits of each kind.
        let table: &[(&[u8], &str)] = &[
            (b"", ""),
            (b"f", "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
            (b"foobar", "Zm9vYmFy"),
            (&[0xff, 0xef, 0xbe], "/+++"),
        ];
        for (bytes, want) in table {
            assert!(letters(bytes).eq(want.chars()), "{want}");
        }
    }
}
