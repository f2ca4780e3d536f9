//! What there is to say on the wire `identify`: who this gateway is, a signature, a request, whether a certificate was taken.
//! The wire has checked who asks.

use contract::Text;
use contract::identify::{Answer, Ask};
use log::warn;

use crate::Error;
use crate::keeper::Keeper;

/// The answer to one question.
pub fn answer(keeper: &mut Keeper, ask: &Ask) -> Answer {
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
