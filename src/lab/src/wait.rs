//! Waiting for a condition, with a limit: what tests do instead of sleeping.
//!
//! In:  a question. Out: its answer, or that it took too long.

use std::thread;
use std::time::{Duration, Instant};

use crate::error::Error;

/// How often the question is asked again.
const STEP: Duration = Duration::from_millis(50);

/// Asks `question` until it has an answer.
///
/// # Errors
/// [`Error::Late`] with `what` after `limit`; whatever `question` fails with.
pub fn until<T>(
    what: &str,
    limit: Duration,
    mut question: impl FnMut() -> Result<Option<T>, Error>,
) -> Result<T, Error> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = question()? {
            return Ok(answer);
        }
        if Instant::now() >= deadline {
            return Err(Error::Late { what: what.to_owned(), limit });
        }
        thread::sleep(STEP); // a step of a wait with a limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_with_an_answer_or_with_the_limit() {
        let mut left = 3;
        let answer = until("counting", Duration::from_secs(9), || {
            left -= 1;
            Ok((left == 0).then_some("done"))
        });
        assert_eq!(answer.unwrap(), "done");
        let never = until::<()>("the end of time", Duration::from_millis(60), || Ok(None));
        assert_eq!(never.unwrap_err().to_string(), "the end of time: not within 0 s");
    }
}
