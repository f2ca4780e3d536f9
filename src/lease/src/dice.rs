//! Chance: numbers of exchanges, and times that are spread so that a street of gateways does not speak at once.
//!
//! In:  nothing. Out: numbers that nobody outside can guess: keyed hashes, with the keys that the kernel gave the standard library.
//!
//! Not here: secrets. These numbers keep exchanges apart, no more.

use std::hash::{BuildHasher, RandomState};

use crate::schedule::Moment;

/// What numbers are drawn from.
#[derive(Debug, Default)]
pub struct Dice {
    keys: RandomState,
    count: u64,
}

impl Dice {
    /// The moment `ms`, with a number of its own.
    pub fn moment(&mut self, ms: u64) -> Moment {
        self.count = self.count.wrapping_add(1);
        Moment { ms, random: self.keys.hash_one((self.count, ms)) }
    }
}

#[cfg(test)]
mod tests {
    use super::Dice;

    #[test]
    fn no_two_moments_are_alike() {
        let (mut here, mut there) = (Dice::default(), Dice::default());
        let numbers = [here.moment(5), here.moment(5), there.moment(5)].map(|moment| moment.random);
        assert!(numbers[0] != numbers[1] && numbers[0] != numbers[2]);
    }
}
