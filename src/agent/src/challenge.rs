//! Challenges under way: who was asked for a word, who has said it, and who may not try for a while.
//!
//! In:  what a controller asks or says, the time, a random name. Out: roles that it has from now on, or why not.
//!
//! All of it is in memory: after a restart everybody has what the operator's file says, and nothing more (R-SEC.21). A word is compared by its
//! sum, all of it, so the time that it takes says nothing of how much was right.
//!
//! Source: TR-181 2.19.1, `RequestChallenge()`, `ChallengeResponse()`; TR-369 §6 (R-SEC.16, R-SEC.17).

use contract::base64::letters;
use ring::digest::{SHA256, digest};
use usp::Code;

use crate::configuration::challenge::Challenge;

/// How long a controller has for its answer where it does not say it, in seconds. Source: TR-181, `RequestChallenge().RequestExpiration`.
pub const EXPIRATION_S: u32 = 900;

/// What a controller asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// To be asked for the word of a challenge, by its place; it expires after so many seconds, 0: never.
    Request(usize, u32),
    /// This is the word, in base64: of which question.
    Response(String, String),
}

/// A controller that was asked for a word.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    endpoint: String,
    challenge: usize,
    id: String,
    until_ms: u64,
}

/// How often a challenge was failed, and until when nobody may try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Tried {
    failed: u32,
    locked_until_ms: u64,
}

/// All of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Challenges {
    asked: Vec<Asked>,
    tried: Vec<(usize, Tried)>,
    /// Who has won which role.
    won: Vec<(String, usize)>,
}

impl Challenges {
    /// How often this one was failed; what is over by now is forgotten.
    fn tried(&self, challenge: usize, now_ms: u64) -> Tried {
        let tried = self.tried.iter().find(|(place, _)| *place == challenge);
        let tried = tried.map(|(_, tried)| *tried).unwrap_or_default();
        let over = tried.locked_until_ms != 0 && tried.locked_until_ms <= now_ms;
        if over { Tried::default() } else { tried }
    }

    fn put(&mut self, challenge: usize, tried: Tried) {
        self.tried.retain(|(place, _)| *place != challenge);
        self.tried.push((challenge, tried));
    }

    /// The controller with this endpoint id is asked for a word; `id` is what the question is called. One at a time: the same one again takes
    /// the place of the first.
    ///
    /// # Errors
    /// 7002: it was asked for another one, or nobody may try now.
    pub fn request(
        &mut self,
        endpoint: &str,
        (challenge, expiration_s): (usize, u32),
        (id, now_ms): (String, u64),
    ) -> Result<(), Code> {
        self.asked.retain(|one| one.until_ms > now_ms);
        let locked = self.tried(challenge, now_ms).locked_until_ms > now_ms;
        let other = self.asked.iter().any(|one| one.endpoint == endpoint && one.challenge != challenge);
        if locked || other {
            return Err(Code::REQUEST_DENIED);
        }
        self.asked.retain(|one| one.endpoint != endpoint);
        let until_ms = match expiration_s {
            0 => u64::MAX,
            seconds => now_ms.saturating_add(u64::from(seconds).saturating_mul(1000)),
        };
        self.asked.push(Asked { endpoint: endpoint.to_owned(), challenge, id, until_ms });
        Ok(())
    }

    /// It says the word, in base64.
    ///
    /// # Errors
    /// 7004: it was not asked that. 7002: nobody may try now. 7022: it is another word.
    pub fn respond(
        &mut self,
        all: &[Challenge],
        (endpoint, id, word): (&str, &str, &str),
        now_ms: u64,
    ) -> Result<(), Code> {
        let of_it = |one: &&Asked| one.endpoint == endpoint && one.id == id && one.until_ms > now_ms;
        let asked = self.asked.iter().find(of_it).cloned().ok_or(Code::INVALID_ARGUMENTS)?;
        let challenge = all.get(asked.challenge).ok_or(Code::INVALID_ARGUMENTS)?;
        let mut tried = self.tried(asked.challenge, now_ms);
        if tried.locked_until_ms > now_ms {
            return Err(Code::REQUEST_DENIED);
        }
        let wanted: String = letters(challenge.value.as_bytes()).collect();
        if !is_same(&wanted, word) {
            tried.failed = tried.failed.saturating_add(1);
            if tried.failed >= challenge.retries {
                tried.locked_until_ms = now_ms.saturating_add(u64::from(challenge.lockout_s) * 1000);
            }
            self.put(asked.challenge, tried);
            return Err(Code::COMMAND_FAILURE);
        }
        self.put(asked.challenge, Tried::default());
        self.asked.retain(|one| one.endpoint != endpoint);
        let won = (endpoint.to_owned(), challenge.role);
        if !self.won.contains(&won) {
            self.won.push(won);
        }
        Ok(())
    }

    /// Roles that it has won, by their places.
    pub fn won<'c>(&'c self, endpoint: &'c str) -> impl Iterator<Item = usize> + 'c {
        self.won.iter().filter(move |(whose, _)| whose == endpoint).map(|(_, role)| *role)
    }

    /// It has gone: whoever comes under its name has won nothing.
    pub fn forget(&mut self, endpoint: &str) {
        self.asked.retain(|one| one.endpoint != endpoint);
        self.won.retain(|(whose, _)| whose != endpoint);
    }
}

/// Sums have one length, and each of their bytes is looked at.
fn is_same(one: &str, other: &str) -> bool {
    let [one, other] = [one, other].map(|text| digest(&SHA256, text.as_bytes()));
    one.as_ref().iter().zip(other.as_ref()).fold(0, |differ, (one, other)| differ | (one ^ other)) == 0
}

#[cfg(test)]
mod tests {
    use usp::Code;

    use super::Challenges;
    use crate::configuration::challenge::Challenge;
    use crate::configuration::parse;

    fn all() -> Vec<Challenge> {
        let one = |name: &str| {
            format!(
                "[[challenge]]\nname = '{name}'\nvalue = 'open-{name}!'\nrole = 'operate'\nlockout_s = 10\n"
            )
        };
        parse(&format!("{}{}", one("one"), one("two"))).unwrap().challenges
    }

    const GOOD: &str = "b3Blbi1vbmUh";

    /// Shows R-SEC.16, R-SEC.17.
    #[test]
    fn words_are_tried_so_often_and_no_oftener() {
        let (all, mut now) = (all(), Challenges::default());
        let ask = |now: &mut Challenges, who: &str, place, at_ms| {
            now.request(who, (place, 900), (format!("{who}-{at_ms}"), at_ms)).map_err(Code::number)
        };
        let say = |now: &mut Challenges, who: &str, id: &str, word: &str, at_ms| {
            now.respond(&all, (who, id, word), at_ms).map_err(Code::number)
        };
        assert_eq!(say(&mut now, "a", "a-0", GOOD, 0), Err(7004), "it was not asked");
        assert_eq!(ask(&mut now, "a", 0, 0), Ok(()));
        assert_eq!(ask(&mut now, "a", 1, 1), Err(7002), "one at a time");
        assert_eq!(say(&mut now, "b", "a-0", GOOD, 1), Err(7004), "it is another's question");
        // Wrong words of all controllers count together, an empty one and the beginning of the right one, too.
        assert_eq!(ask(&mut now, "b", 0, 2), Ok(()));
        for (who, id, word) in [("a", "a-0", ""), ("b", "b-2", "b3Blbi1v"), ("a", "a-0", "b3Blbi1vbmUhIQ==")]
        {
            assert_eq!(say(&mut now, who, id, word, 3), Err(7022), "{word}");
        }
        assert_eq!(say(&mut now, "a", "a-0", GOOD, 4), Err(7002), "nobody may try");
        assert_eq!(ask(&mut now, "c", 0, 4), Err(7002));
        assert_eq!(ask(&mut now, "c", 1, 4), Ok(()), "another one is another one");
        assert_eq!(now.won("a").count(), 0);
        // It is over, and they are counted anew.
        assert_eq!(say(&mut now, "a", "a-0", "eA==", 10_003), Err(7022));
        assert_eq!(say(&mut now, "a", "a-0", GOOD, 10_004), Ok(()));
        assert_eq!(now.won("a").collect::<Vec<_>>(), [1]);
        assert_eq!(say(&mut now, "a", "a-0", GOOD, 10_005), Err(7004), "it was said");
        assert_eq!(now.won("b").count(), 0, "the other has won nothing by that");
        now.forget("a");
        assert_eq!(now.won("a").count(), 0);
    }

    #[test]
    fn a_question_expires() {
        let (all, mut now) = (all(), Challenges::default());
        now.request("a", (0, 5), ("id".to_owned(), 0)).unwrap();
        assert_eq!(now.respond(&all, ("a", "id", GOOD), 5_000).map_err(Code::number), Err(7004));
        now.request("a", (1, 0), ("ever".to_owned(), 5_000)).unwrap();
        assert_eq!(now.respond(&all, ("a", "ever", "x"), u64::MAX - 1).map_err(Code::number), Err(7022));
    }
}
