//! The seal of NTS: cookies, an identifier that nobody can guess, and what proves that nobody has changed a packet.
//!
//! In:  keys and cookies (`keyed.rs`), a question, an answer. Out: a sealed question; the word that an answer's seal is whole.
//!
//! A cookie goes out once, so that nobody can tell by it that two questions are of the same gateway; each answer brings another, and
//! as many more as were lost on the way.
//!
//! Source: RFC 8915 §5; RFC 7822 (extension fields); RFC 5297 (AES-SIV).

use std::collections::VecDeque;

use aes_siv::KeyInit;
use aes_siv::siv::Aes128Siv;

use crate::dice;
use crate::packet::{self, Fault, Kiss};

/// A key of AEAD_AES_SIV_CMAC_256, in bytes. Source: RFC 5297 §6.1.
pub const KEY_BYTES: usize = 32;
/// Cookies that are kept. Source: RFC 8915 §5.7.
pub const COOKIES: usize = 8;
/// A cookie that is taken, in bytes at most: ours and theirs fit into one packet.
pub const COOKIE_BYTES_MAX: usize = 256;
/// An answer, in bytes at most: what an Ethernet carries.
pub const PACKET_BYTES_MAX: usize = 1_472;

/// Kinds of fields. Source: RFC 8915 §7.5.
const UNIQUE: u16 = 0x0104;
const COOKIE: u16 = 0x0204;
const PLACEHOLDER: u16 = 0x0304;
const SEAL: u16 = 0x0404;
/// The identifier, in bytes: §5.3 asks for 32.
const UNIQUE_BYTES: usize = 32;
/// A nonce, in bytes: §5.6 and RFC 5297 §6.1.
const NONCE_BYTES: usize = 16;
/// Fields of one packet that are looked at.
const FIELDS_MAX: usize = 24;
/// A field's kind and length, in bytes.
const HEAD: usize = 4;

/// What a question has that its answer must bring back.
pub type Unique = [u8; UNIQUE_BYTES];

/// Keys and cookies of one server.
#[derive(Clone)]
pub struct Jar {
    ours: [u8; KEY_BYTES],
    theirs: [u8; KEY_BYTES],
    cookies: VecDeque<Vec<u8>>,
}

impl std::fmt::Debug for Jar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Jar of {}", self.cookies.len()) // Keys are nobody's business.
    }
}

impl Jar {
    /// One with the key that we seal with, the key that the server seals with, and its first cookies.
    #[must_use]
    pub fn new(ours: [u8; KEY_BYTES], theirs: [u8; KEY_BYTES], cookies: Vec<Vec<u8>>) -> Self {
        let mut jar = Self { ours, theirs, cookies: VecDeque::new() };
        cookies.into_iter().for_each(|cookie| jar.put(cookie));
        jar
    }

    /// How many cookies there are. Without one nothing can be asked.
    #[must_use]
    pub fn len(&self) -> usize {
        self.cookies.len()
    }

    /// Are there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cookies.is_empty()
    }

    fn put(&mut self, cookie: Vec<u8>) {
        if self.cookies.len() < COOKIES && (1..=COOKIE_BYTES_MAX).contains(&cookie.len()) {
            self.cookies.push_back(cookie);
        }
    }

    /// The question with `token`, sealed; and what its answer must bring back. `None`: there is no cookie left.
    pub fn question(&mut self, token: u64) -> Option<(Vec<u8>, Unique)> {
        let cookie = self.cookies.pop_front()?;
        let unique: Unique = dice::bytes();
        let mut packet = packet::question(token).to_vec();
        push(&mut packet, UNIQUE, &unique);
        push(&mut packet, COOKIE, &cookie);
        // Each asks for one cookie more, in place of those that were lost. Source: RFC 8915 §5.5.
        let lost = COOKIES.saturating_sub(self.cookies.len() + 1);
        for _ in 0..lost {
            if packet.len() + HEAD + cookie.len() + 64 > PACKET_BYTES_MAX {
                break;
            }
            push(&mut packet, PLACEHOLDER, &vec![0; cookie.len()]);
        }
        let nonce: [u8; NONCE_BYTES] = dice::bytes();
        let headers: [&[u8]; 2] = [&packet, &nonce];
        let seal = Aes128Siv::new(&self.ours.into()).encrypt(headers, &[]).ok()?;
        let mut field = Vec::new();
        for length in [nonce.len(), seal.len()] {
            field.extend(u16::try_from(length).ok()?.to_be_bytes());
        }
        field.extend(nonce);
        field.extend(seal);
        push(&mut packet, SEAL, &field);
        Some((packet, unique))
    }

    /// Checks the seal of the answer `bytes` to the question with `unique`, and takes the cookies that it brings.
    ///
    /// # Errors
    /// [`Fault::Seal`]: there is none, or it is broken. [`Fault::Kiss`]: the server has forgotten our keys.
    pub fn open(&mut self, bytes: &[u8], unique: &Unique) -> Result<(), Fault> {
        let mut known = false;
        for (kind, body, place) in fields(bytes).take(FIELDS_MAX) {
            match kind {
                UNIQUE => known = body == unique,
                SEAL if known => {
                    let plain =
                        self.unseal(bytes.get(..place).unwrap_or_default(), body).ok_or(Fault::Seal)?;
                    for (kind, cookie, _) in fields_of(&plain, 0).take(FIELDS_MAX) {
                        if kind == COOKIE {
                            self.put(cookie.to_vec());
                        }
                    }
                    return Ok(());
                }
                _ => {}
            }
        }
        // Without keys in common it cannot be sealed; that it knows our identifier shows that it was asked.
        let forgotten = known && bytes.get(1) == Some(&0) && bytes.get(12..16) == Some(b"NTSN");
        Err(if forgotten { Fault::Kiss(Kiss::Unsealed) } else { Fault::Seal })
    }

    /// What the seal `body` holds, where it and what stands before it are whole. Source: RFC 8915 §5.6.
    fn unseal(&self, before: &[u8], body: &[u8]) -> Option<Vec<u8>> {
        let (nonce_length, rest) = body.split_first_chunk::<2>()?;
        let (seal_length, rest) = rest.split_first_chunk::<2>()?;
        let nonce_length = usize::from(u16::from_be_bytes(*nonce_length));
        let nonce = rest.get(..nonce_length)?;
        let rest = rest.get(nonce_length.next_multiple_of(4)..)?;
        let seal = rest.get(..usize::from(u16::from_be_bytes(*seal_length)))?;
        let headers: [&[u8]; 2] = [before, nonce];
        Aes128Siv::new(&self.theirs.into()).decrypt(headers, seal).ok()
    }
}

/// Puts a field behind a packet, filled up to a multiple of four. Source: RFC 7822 §3.
fn push(packet: &mut Vec<u8>, kind: u16, body: &[u8]) {
    let filled = body.len().next_multiple_of(4);
    packet.extend(kind.to_be_bytes());
    // Cookies are bounded, and so is everything else here.
    packet.extend(u16::try_from(HEAD + filled).unwrap_or(u16::MAX).to_be_bytes());
    packet.extend(body);
    packet.extend(std::iter::repeat_n(0, filled - body.len()));
}

/// The fields behind a packet's header: kind, body, and where they begin.
fn fields(packet: &[u8]) -> impl Iterator<Item = (u16, &[u8], usize)> {
    fields_of(packet.get(packet::BYTES..).unwrap_or_default(), packet::BYTES)
}

fn fields_of(mut rest: &[u8], mut place: usize) -> impl Iterator<Item = (u16, &[u8], usize)> {
    std::iter::from_fn(move || {
        let (kind, behind) = rest.split_first_chunk::<2>()?;
        let (length, _) = behind.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length));
        if length < HEAD || length % 4 != 0 {
            return None;
        }
        let (field, behind) = rest.split_at_checked(length)?;
        let found = (u16::from_be_bytes(*kind), field.get(HEAD..)?, place);
        rest = behind;
        place += length;
        Some(found)
    })
}

#[cfg(test)]
mod tests {
    use super::{COOKIES, Fault, HEAD, Jar, Kiss, SEAL, UNIQUE, Unique, fields, packet, push};
    use aes_siv::KeyInit;
    use aes_siv::siv::Aes128Siv;

    const OURS: [u8; 32] = [1; 32];
    const THEIRS: [u8; 32] = [2; 32];

    fn jar() -> Jar {
        Jar::new(OURS, THEIRS, vec![vec![7; 100]; 8])
    }

    /// What a server says, sealed.
    fn answer(unique: &Unique, cookies: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = vec![0x24; packet::BYTES];
        push(&mut bytes, UNIQUE, unique);
        let mut plain = Vec::new();
        cookies.iter().for_each(|cookie| push(&mut plain, super::COOKIE, cookie));
        let nonce = [9; 13]; // Theirs may be of another length than ours.
        let headers: [&[u8]; 2] = [&bytes, &nonce];
        let seal = Aes128Siv::new(&THEIRS.into()).encrypt(headers, &plain).unwrap();
        let mut field = [13_u16.to_be_bytes(), u16::try_from(seal.len()).unwrap().to_be_bytes()].concat();
        field.extend(nonce);
        field.extend([0; 3]);
        field.extend(seal);
        push(&mut bytes, SEAL, &field);
        bytes
    }

    #[test]
    fn a_question_is_sealed_and_never_bears_the_same_cookie() {
        let mut jar = Jar::new(OURS, THEIRS, (0..8).map(|number| vec![number; 100]).collect());
        let (bytes, unique) = jar.question(5).unwrap();
        let kinds: Vec<u16> = fields(&bytes).map(|(kind, ..)| kind).collect();
        assert_eq!(kinds, [0x0104, 0x0204, 0x0404]);
        // A server opens it with the key that the cookie stands for.
        let (_, body, place) = fields(&bytes).last().unwrap();
        let headers: [&[u8]; 2] = [&bytes[..place], &body[HEAD..HEAD + 16]];
        assert!(Aes128Siv::new(&OURS.into()).decrypt(headers, &body[HEAD + 16..]).is_ok());
        let (again, other) = jar.question(5).unwrap();
        assert_ne!(unique, other);
        let cookie = |bytes: &[u8]| fields(bytes).nth(1).unwrap().1.to_vec();
        assert_ne!(cookie(&bytes), cookie(&again));
        let kinds: Vec<u16> = fields(&again).map(|(kind, ..)| kind).collect();
        assert_eq!(kinds, [0x0104, 0x0204, 0x0304, 0x0404], "one was lost, so one more is asked for");
        (0..6).for_each(|_| drop(jar.question(5).unwrap()));
        assert!(jar.question(5).is_none() && jar.is_empty());
    }

    #[test]
    fn an_answer_is_opened_and_its_cookies_are_kept() {
        let mut jar = jar();
        let (_, unique) = jar.question(5).unwrap();
        let good = answer(&unique, &[vec![8; 100], vec![9; 100]]);
        jar.open(&good, &unique).unwrap();
        assert_eq!(jar.len(), COOKIES, "no more than fit");
        for place in 0..good.len() * 8 {
            let mut bent = good.clone();
            bent[place / 8] ^= 1 << (place % 8);
            // The filling behind a nonce is not under the seal, and means nothing.
            let filling = good.len() - 16 - 2 * 104 - 3;
            if !(filling..filling + 3).contains(&(place / 8)) {
                assert_eq!(jar.open(&bent, &unique), Err(Fault::Seal), "bit {place}");
            }
        }
        for cut in 0..good.len() {
            assert_eq!(jar.open(&good[..cut], &unique), Err(Fault::Seal), "cut at {cut}");
        }
        assert_eq!(jar.open(&good, &[0; 32]), Err(Fault::Seal), "to another question");
    }

    #[test]
    fn a_server_that_has_forgotten_us_says_so() {
        let mut jar = jar();
        let (_, unique) = jar.question(5).unwrap();
        let mut bytes = packet::question(5).to_vec();
        bytes[12..16].copy_from_slice(b"NTSN");
        assert_eq!(jar.open(&bytes, &unique), Err(Fault::Seal), "from nowhere");
        push(&mut bytes, UNIQUE, &unique);
        assert_eq!(jar.open(&bytes, &unique), Err(Fault::Kiss(Kiss::Unsealed)));
    }
}
