//! Logs of services, for who has asked: they are read while the answer is made, and told in it.
//!
//! In:  what is wanted, beside an answer to Operate. Out: that answer with what the supervisor says.

use usp::Code;
use usp::message::act::{OperationKind, OperationResult, OutputArgs};
use usp::message::{BodyKind, Entry, Failure, Msg, ResponseKind};

use super::Room;
use crate::answer::Reads;
use crate::log::{LOG_BYTES_MAX, piece};

/// Those of an answer to Operate.
pub(super) fn results<'m>(
    answer: Option<&'m mut Msg<'static>>,
) -> Option<&'m mut Vec<OperationResult<'static>>> {
    let Some(BodyKind::Response(response)) = answer?.body.as_mut()?.kind.as_mut() else { return None };
    let Some(ResponseKind::Operate(operate)) = response.kind.as_mut() else { return None };
    Some(&mut operate.operation_results)
}

impl Room {
    /// Puts logs into an answer: [`LOG_BYTES_MAX`] of all of them. Whose log finds no room there is not done.
    pub(super) fn read_logs(&mut self, answer: Option<&mut Msg<'static>>, reads: Vec<Reads>, now_ms: u64) {
        let Some(operation_results) = results(answer) else { return };
        let mut room = LOG_BYTES_MAX;
        for Reads { command, wanted } in reads {
            let mut results = operation_results.iter_mut();
            let Some(result) = results.find(|one| one.executed_command == command) else { continue };
            let read = if room == 0 {
                Err((Code::RESOURCES_EXCEEDED, "there is no room left in this answer".to_owned()))
            } else {
                self.rooms.log(&wanted.service, wanted.from.unwrap_or(0), now_ms)
            };
            result.kind = Some(match read {
                Ok((bytes, next)) => {
                    let told = piece(&bytes, next, &wanted, room);
                    let used = usize::try_from(told.next.saturating_sub(told.from)).unwrap_or(usize::MAX);
                    room = room.saturating_sub(used);
                    let says = [
                        ("Log", told.text),
                        ("From", told.from.to_string()),
                        ("Next", told.next.to_string()),
                    ];
                    let output_args = says.into_iter().map(|(name, value)| Entry::new(name, value)).collect();
                    OperationKind::Output(OutputArgs { output_args })
                }
                Err((code, words)) => OperationKind::Failure(Failure::new(code, words)),
            });
        }
    }
}
