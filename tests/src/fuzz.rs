//! A small mutation fuzzer: takes samples, bends them, feeds them to a parser until the time is over.
//!
//! In:  samples of good bytes and a function that must not panic. Out: how many inputs it took; on a panic the input, in hexadecimal,
//! and the seed, so that `FUZZ_SEED=… make fuzz F=name` meets it again.
//!
//! `FUZZ_SECONDS` says how long (1 by default), `FUZZ_SEED` where to begin. It is not guided by coverage; the targets are plain
//! functions, so that a guided fuzzer can call them too.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The longest input, in bytes: more than any frame that is not refused by its length.
const INPUT_BYTES_MAX: usize = 66 * 1024;

/// A generator of random numbers. Source: Marsaglia, "Xorshift RNGs" (2003), with Vigna's multiplier (xorshift64*).
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// Begins at `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `limit`; 0 where `limit` is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit.max(1)).unwrap_or(u64::MAX);
        usize::try_from(self.draw() % limit).unwrap_or(0)
    }
}

/// Bends `bytes` in one to four places.
pub fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    const EDGES: [u8; 8] = [0, 1, 0x7f, 0x80, 0xff, 0xfe, 0x20, 0x0a];
    for _ in 0..=random.below(4) {
        let place = random.below(bytes.len());
        let byte = u8::try_from(random.below(256)).unwrap_or(0);
        match random.below(7) {
            0 => bytes.truncate(place),
            1 => bytes.insert(place, byte),
            2 => bytes.extend_from_within(place..),
            3 if !bytes.is_empty() => drop(bytes.remove(place)),
            4 => bytes.iter_mut().skip(place).take(1).for_each(|old| *old ^= 1 << (byte & 7)),
            5 => bytes.iter_mut().skip(place).take(4).for_each(|old| *old = byte),
            _ => bytes.iter_mut().skip(place).take(1).for_each(|old| *old = EDGES[random.below(EDGES.len())]),
        }
    }
    bytes.truncate(INPUT_BYTES_MAX);
}

/// Feeds bent `samples` to `target` for `FUZZ_SECONDS`.
///
/// # Panics
/// When `target` panics, with the input and the seed.
pub fn run(name: &str, samples: &[&[u8]], target: fn(&[u8])) {
    let number = |variable: &str| std::env::var(variable).ok().and_then(|text| text.parse::<u64>().ok());
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |now| u64::from(now.subsec_nanos()));
    let seed = number("FUZZ_SEED").unwrap_or(clock);
    let limit = Duration::from_secs(number("FUZZ_SECONDS").unwrap_or(1));
    let (mut random, begin, mut count) = (Random::new(seed), Instant::now(), 0_u64);
    let mut pool: Vec<Vec<u8>> = samples.iter().map(|sample| sample.to_vec()).collect();
    pool.push(Vec::new());
    for sample in &pool {
        target(sample);
    }
    while begin.elapsed() < limit {
        let place = random.below(pool.len());
        let mut input = pool.get(place).cloned().unwrap_or_default();
        mutate(&mut input, &mut random);
        let outcome = catch_unwind(AssertUnwindSafe(|| target(&input)));
        assert!(outcome.is_ok(), "{name}: FUZZ_SEED={seed} after {count} inputs; input {}", hex(&input));
        count += 1;
        // A walk away from the samples, but a bounded one.
        if random.below(8) == 0 {
            match pool.len() {
                0..256 => pool.push(input),
                full => {
                    let place = samples.len() + random.below(full - samples.len());
                    pool[place] = input;
                }
            }
        }
    }
    println!("fuzz {name}: {count} inputs, seed {seed}");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
