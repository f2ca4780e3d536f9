//! A challenge of the operator's: who knows its word has its role.
//!
//! ```toml
//! [[challenge]]
//! name = "installer"
//! description = "Rights of the installer"
//! instruction = "The word on the gateway's label"
//! value = "correct horse"          # 8 letters at least; nobody reads it back
//! role = "operate"
//! retries = 3                      # wrong words in a row, of all controllers together
//! lockout_s = 300                  # then nobody may try for so long
//! ```
//!
//! Source: TR-181 2.19.1, `Device.LocalAgent.ControllerTrust.Challenge.{i}.`; TR-369, R-SEC.16, R-SEC.17.

use std::ops::RangeInclusive;

use serde::Deserialize;

use super::{Error, Role, place, plain};

/// Challenges.
pub const CHALLENGES_MAX: usize = 8;
/// Letters of a word: by fewer it would be found by trying.
const VALUE_LETTERS: RangeInclusive<usize> = 8..=128;
/// Wrong words before nobody may try any more.
const RETRIES: RangeInclusive<u32> = 1..=10;
/// For how long, in seconds: a word of eight letters and digits outlives everybody by the shortest.
const LOCKOUT_S: RangeInclusive<u32> = 10..=86_400;

/// A challenge.
#[derive(Clone, PartialEq, Eq)]
pub struct Challenge {
    /// What it is called.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// What whoever is to say the word is told.
    pub instruction: String,
    /// The word.
    pub value: String,
    /// Which of the roles, by its place.
    pub role: usize,
    /// Wrong words before nobody may try any more.
    pub retries: u32,
    /// For how long, in seconds.
    pub lockout_s: u32,
}

impl std::fmt::Debug for Challenge {
    /// Without the word.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Challenge")
            .field("name", &self.name)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChallengeText {
    name: String,
    description: Option<String>,
    instruction: Option<String>,
    value: String,
    role: String,
    retries: Option<u32>,
    lockout_s: Option<u32>,
}

/// Reads all of them.
pub(super) fn challenges(texts: Vec<ChallengeText>, roles: &[Role]) -> Result<Vec<Challenge>, Error> {
    if texts.len() > CHALLENGES_MAX {
        return Err(Error::Many("challenges"));
    }
    let mut all: Vec<Challenge> = Vec::new();
    for one in texts {
        let one = challenge(one, roles)?;
        if all.iter().any(|other| other.name == one.name) {
            return Err(Error::Value("challenge (it is there twice)", one.name));
        }
        all.push(one);
    }
    Ok(all)
}

fn challenge(text: ChallengeText, roles: &[Role]) -> Result<Challenge, Error> {
    let words = |key, text: Option<String>| text.map_or(Ok(String::new()), |text| plain(key, text));
    let within = |key, number: u32, limits: RangeInclusive<u32>| {
        if limits.contains(&number) { Ok(number) } else { Err(Error::Value(key, number.to_string())) }
    };
    if !VALUE_LETTERS.contains(&text.value.chars().count()) {
        // It is not repeated.
        return Err(Error::Value("value (of a challenge, 8 to 128 letters)", text.name));
    }
    Ok(Challenge {
        name: plain("name", text.name)?,
        description: words("description", text.description)?,
        instruction: words("instruction", text.instruction)?,
        value: text.value,
        role: place(Some(text.role), roles)?,
        retries: within("retries", text.retries.unwrap_or(3), RETRIES)?,
        lockout_s: within("lockout_s", text.lockout_s.unwrap_or(300), LOCKOUT_S)?,
    })
}

#[cfg(test)]
mod tests {
    use crate::configuration::parse;

    #[test]
    fn challenges_are_checked() {
        let good = "[[challenge]]\nname = 'i'\nvalue = 'sesame-open'\nrole = 'read'\n";
        let one = parse(good).unwrap().challenges.remove(0);
        assert_eq!((one.retries, one.lockout_s, one.role), (3, 300, 2));
        assert!(!format!("{one:?}").contains("sesame"), "nobody prints it");
        let table = [
            (good.replace("sesame-open", "sesame7"), "8 to 128"),
            (good.replace("read", "king"), "role: king"),
            (format!("{good}retries = 0\n"), "retries: 0"),
            (format!("{good}lockout_s = 5\n"), "lockout_s: 5"),
            (good.repeat(9), "challenges"),
            (good.repeat(2), "twice"),
        ];
        for (text, why) in table {
            let error = parse(&text).unwrap_err().to_string();
            assert!(error.contains(why) && !error.contains("sesame"), "{error}");
        }
    }
}
