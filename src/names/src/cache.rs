//! Answers that are remembered: bounded in number and in bytes.
//!
//! In:  questions, answers, moments. Out: what is known, and how old it is.
//!
//! One allocation an answer: the question's bytes, then the records'. Whoever was not asked for since the hand came by last makes room
//! (second chance). Answers outlive their time, for the hour in which nobody can be asked.
//!
//! Source: RFC 8767 (stale answers); RFC 2308 (negative ones); Corbató, "A paging experiment with the Multics system" (the hand).

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

use crate::message::Answer;
use crate::query::Question;
use crate::reply::{Known, Ttl, Why};

/// Answers.
pub const ENTRIES_MAX: usize = 12_288;
/// Their bytes, questions included, without what the allocator adds.
pub const BYTES_MAX: usize = 2 * 1024 * 1024;
/// A larger answer is passed on and not kept: it would push out twenty others.
pub const ANSWER_BYTES_MAX: usize = 4_096;
/// How long an answer may be used beyond its time, in milliseconds: a day. Source: RFC 8767 §5.
pub const STALE_MS: u64 = 86_400_000;
/// What is told of the time to live of such an answer, in seconds. Source: RFC 8767 §4.
pub const STALE_TTL_S: u32 = 30;

/// Hashes are keyed already (SipHash, with keys of the kernel's).
#[derive(Debug, Default)]
struct Same(u64);

impl Hasher for Same {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0 << 8 | u64::from(*byte));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

/// An answer, with its question in front.
#[derive(Debug)]
struct Entry {
    bytes: Box<[u8]>,
    question_bytes: u16,
    rcode: u16,
    counts: [u16; 2],
    authentic: bool,
    used: bool,
    hash: u64,
    since_ms: u64,
    ttl_s: u32,
    /// Until then it is told though it is old: nobody could be asked just now.
    postponed_ms: u64,
}

impl Entry {
    fn end_ms(&self) -> u64 {
        self.since_ms.saturating_add(u64::from(self.ttl_s) * 1_000)
    }

    fn parts(&self) -> (&[u8], &[u8]) {
        self.bytes.split_at_checked(self.question_bytes.into()).unwrap_or_default()
    }
}

/// The cache.
#[derive(Debug, Default)]
pub struct Cache {
    keys: RandomState,
    /// Where the answer of a hash lies. Two questions of one hash (one pair in 2^64) take each other's place.
    places: HashMap<u64, u32, BuildHasherDefault<Same>>,
    entries: Vec<Entry>,
    bytes: usize,
    hand: usize,
}

impl Cache {
    /// How many answers there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// Their bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    fn hash(&self, question: &Question) -> u64 {
        self.keys.hash_one(question.bytes())
    }

    fn entry(&self, hash: u64, question: &Question) -> Option<usize> {
        let place = usize::try_from(*self.places.get(&hash)?).ok()?;
        let entry = self.entries.get(place)?;
        (entry.parts().0 == question.bytes()).then_some(place)
    }

    /// What is known at `now_ms`.
    pub fn get(&mut self, question: &Question, now_ms: u64) -> Option<Known<'_>> {
        let place = self.entry(self.hash(question), question)?;
        let entry =
            self.entries.get_mut(place).filter(|entry| entry.end_ms().max(entry.postponed_ms) > now_ms)?;
        entry.used = true;
        if entry.end_ms() <= now_ms {
            return Some(known(entry, Ttl::Fixed(STALE_TTL_S), Why::Stale));
        }
        let age_s = u32::try_from(now_ms.saturating_sub(entry.since_ms) / 1_000).unwrap_or(u32::MAX);
        Some(known(entry, Ttl::Less(age_s), Why::Plain))
    }

    /// What was known not too long ago. A failure is not worth that.
    #[must_use]
    pub fn stale(&self, question: &Question, now_ms: u64) -> Option<Known<'_>> {
        let entry = self.entries.get(self.entry(self.hash(question), question)?)?;
        let usable = entry.end_ms().saturating_add(STALE_MS) > now_ms && matches!(entry.rcode, 0 | 3);
        usable.then(|| known(entry, Ttl::Fixed(STALE_TTL_S), Why::Stale))
    }

    /// Nobody could be asked: what was known earlier is told for a while, without asking again. `false`: nothing was.
    pub fn postpone(&mut self, question: &Question, now_ms: u64) -> bool {
        let usable = self.stale(question, now_ms).is_some();
        let place = self.entry(self.hash(question), question).filter(|_| usable);
        if let Some(entry) = place.and_then(|place| self.entries.get_mut(place)) {
            entry.postponed_ms = now_ms.saturating_add(u64::from(STALE_TTL_S) * 1_000);
        }
        usable
    }

    /// Remembers `answer` with its records.
    pub fn put(&mut self, question: &Question, answer: &Answer, tail: &[u8], now_ms: u64) {
        if answer.ttl_s == 0 || tail.len() > ANSWER_BYTES_MAX {
            return;
        }
        let hash = self.hash(question);
        let entry = Entry {
            bytes: [question.bytes(), tail].concat().into_boxed_slice(),
            question_bytes: u16::try_from(question.bytes().len()).unwrap_or(0),
            rcode: answer.rcode,
            counts: answer.counts,
            authentic: answer.authentic,
            used: false,
            hash,
            since_ms: now_ms,
            ttl_s: answer.ttl_s,
            postponed_ms: 0,
        };
        if let Some(place) = self.places.get(&hash).and_then(|place| usize::try_from(*place).ok()) {
            self.remove(place);
        }
        while self.entries.len() >= ENTRIES_MAX || self.bytes + entry.bytes.len() > BYTES_MAX {
            self.make_room();
        }
        let Ok(place) = u32::try_from(self.entries.len()) else { return };
        self.bytes += entry.bytes.len();
        self.entries.push(entry);
        self.places.insert(hash, place);
    }

    /// The hand goes on until it finds somebody who was not asked for. At most once around: it takes the mark from each that it passes.
    fn make_room(&mut self) {
        for _ in 0..=self.entries.len() {
            if self.hand >= self.entries.len() {
                self.hand = 0;
            }
            match self.entries.get_mut(self.hand) {
                Some(entry) if entry.used => entry.used = false,
                Some(_) => break,
                None => return,
            }
            self.hand += 1;
        }
        self.remove(self.hand);
    }

    /// Removes the entry at `place`; the last one takes it.
    fn remove(&mut self, place: usize) {
        if place >= self.entries.len() {
            return;
        }
        let gone = self.entries.swap_remove(place);
        self.bytes -= gone.bytes.len();
        self.places.remove(&gone.hash);
        if let (Some(moved), Ok(place)) = (self.entries.get(place), u32::try_from(place)) {
            self.places.insert(moved.hash, place);
        }
    }
}

fn known(entry: &Entry, ttl: Ttl, why: Why) -> Known<'_> {
    Known {
        rcode: entry.rcode,
        authoritative: false,
        authentic: entry.authentic,
        counts: entry.counts,
        tail: entry.parts().1,
        ttl,
        why,
    }
}

#[cfg(test)]
mod tests {
    use super::{BYTES_MAX, Cache, ENTRIES_MAX, STALE_MS};
    use crate::message::Answer;
    use crate::name;
    use crate::query::Question;
    use crate::reply::Ttl;

    fn question(text: &str) -> Question {
        Question::new(&name::of(text).unwrap(), 1, false, false)
    }

    fn answer(ttl_s: u32) -> Answer {
        Answer { rcode: 0, authentic: false, counts: [1, 0], tail: 0..0, ttl_s }
    }

    #[test]
    fn what_is_remembered_ages_and_ends() {
        let mut cache = Cache::default();
        let name = question("a.example");
        cache.put(&name, &answer(10), b"records", 1_000);
        let known = cache.get(&name, 4_500).unwrap();
        assert_eq!((known.tail, known.ttl), (&b"records"[..], Ttl::Less(3)));
        assert!(cache.get(&question("b.example"), 4_500).is_none());
        assert!(cache.get(&Question::new(name.name(), 1, true, false), 4_500).is_none(), "with signatures");
        assert!(cache.get(&name, 11_000).is_none() && cache.stale(&name, 11_000).is_some());
        assert!(cache.stale(&name, 11_000 + STALE_MS).is_none());
        cache.put(&name, &answer(10), b"new", 20_000);
        assert_eq!(cache.get(&name, 20_000).map(|known| known.tail), Some(&b"new"[..]));
        assert_eq!((cache.count(), cache.bytes()), (1, name.bytes().len() + 3));
        cache.put(&question("c.example"), &answer(0), b"not kept", 0);
        assert_eq!(cache.count(), 1);
    }

    #[test]
    fn it_keeps_its_bounds_and_those_who_are_asked_for() {
        let mut cache = Cache::default();
        let often = question("often.example");
        cache.put(&often, &answer(9_999), b"records", 0);
        for number in 0..ENTRIES_MAX * 2 {
            assert!(cache.get(&often, 1).is_some(), "{number}");
            cache.put(&question(&format!("n{number}.example")), &answer(9_999), &[7; 40], 0);
            assert!(cache.count() <= ENTRIES_MAX && cache.bytes() <= BYTES_MAX);
        }
        assert_eq!(cache.count(), ENTRIES_MAX);
        for number in 0..2_000 {
            cache.put(&question(&format!("n{number}.example")), &answer(9_999), &[7; 4_000], 0);
        }
        assert!(cache.bytes() <= BYTES_MAX && cache.count() > 400);
    }
}
