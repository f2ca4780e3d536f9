//! What there is to say on the wire `identify`: who this gateway is, a signature, a request, whether a certificate was taken.
//! The wire has checked who asks; `lease` may ask who this is, and nothing else.

use contract::Text;
use contract::identify::{Answer, Ask};
use contract::wires::uid::LEASE;
use log::warn;

use crate::Error;
use crate::keeper::Keeper;

/// The answer to one question.
pub fn answer(keeper: &mut Keeper, ask: &Ask, uid: u32) -> Answer {
    if uid == LEASE && *ask != Ask::Who {
        return Answer::Refused("lease may ask who this is, and nothing else".into());
    }
    let answer: Result<Answer, Error> = match ask {
        Ask::Who => keeper.who().map(Answer::Who),
        Ask::Sign { message } => {
            keeper.sign(message).map(|signature| Answer::Signature(signature.into_iter().collect()))
        }
        Ask::Request => keeper.request().map(|request| Answer::Request(request.into_iter().collect())),
        Ask::Enrol { certificates } => keeper.enrol(certificates).map(|()| Answer::Enrolled),
    };
    answer.unwrap_or_else(|error| {
        warn!("{error}");
        Answer::Refused(Text::format(format_args!("{error}")))
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use contract::identify::{Answer, Ask};
    use contract::wires::uid::{AGENT, LEASE};
    use state::Folder;

    use super::answer;
    use crate::keeper::Keeper;

    #[test]
    fn lease_may_ask_who_this_is_and_nothing_else() {
        let nowhere = Path::new("/nowhere");
        let mut keeper = Keeper::new(&Folder::of("a test without a disk"), nowhere);
        keeper.attend().unwrap();
        let mut says = |ask, uid| answer(&mut keeper, &ask, uid);
        assert!(matches!(says(Ask::Who, LEASE), Answer::Who(_)));
        for ask in [Ask::Sign { message: b"words".iter().copied().collect() }, Ask::Request] {
            assert!(matches!(says(ask.clone(), LEASE), Answer::Refused(_)), "{ask:?}");
            assert!(!matches!(says(ask.clone(), AGENT), Answer::Refused(_)), "{ask:?}");
        }
    }
}
