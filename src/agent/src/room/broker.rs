//! What services bring, in the loop: requests that are theirs, their answers, their news.
//!
//! In:  what `broker.rs` has heard. Out: answers and news for controllers, ends of commands.

use usp::message::act::{CompleteKind, Notify, NotifyKind, OperationComplete};
use usp::{Code, Msg};

use super::Room;
use crate::answer::failed;
use crate::broker::cut::Cut;
use crate::broker::news::place;
use crate::peer::Way;

impl Room {
    /// What of a request is the gateway's own is done, and services are asked for the rest. Their answers come later.
    pub(super) fn ask_services(
        &mut self,
        (row, way): (u32, &Way),
        (message, mut cut): (&Msg<'_>, Cut<'_>),
        now_ms: u64,
    ) -> Option<Msg<'static>> {
        let id = message.header.as_ref().map(|header| header.msg_id.clone()).unwrap_or_default();
        if self.broker.is_asked(row, &id) {
            return None;
        }
        if !self.broker.has_room(row) {
            let words = "too many requests wait for services".to_owned();
            return Some(failed(message, (Code::RESOURCES_EXCEEDED, words)));
        }
        let ours = cut.ours.take().map(|ours| self.obey(row, &ours, now_ms));
        let (ours, after) = ours.unwrap_or_default();
        self.broker.ask(&self.world, (row, &id, way), (cut, ours), now_ms);
        self.follow(row, after, now_ms);
        None
    }

    /// What services have said.
    pub(super) fn hear_services(&mut self, now_ms: u64) {
        let turn = self.broker.turn(&mut self.world, now_ms);
        self.stale |= turn.changed;
        for (service, notify) in turn.news {
            self.tell_of_service(service, &notify, now_ms);
        }
        for request in self.broker.orphans(&self.world) {
            let words = "the service has gone".to_owned();
            self.end(request, Err((Code::COMMAND_FAILURE, words)), now_ms);
        }
        for answer in turn.answers {
            self.stale = true; // A command that has begun has a row.
            let place = usize::try_from(answer.controller).unwrap_or(0).saturating_sub(1);
            let said = self.world.settings.controllers.get(place);
            if let (Some(message), Some(peer), Some(said)) = (answer.message, self.peers.get_mut(place), said)
            {
                peer.answer(message, &answer.way, said);
                peer.push(now_ms);
            }
        }
    }

    /// News of a service goes to whoever has subscribed to that place, and may.
    fn tell_of_service(&mut self, service: u32, notify: &Notify<'static>, now_ms: u64) {
        let Some(brought) = self.world.brought.iter().find(|one| one.row == service) else { return };
        let (Some((kind, path)), Some(what)) = (place(notify, &brought.paths), notify.kind.clone()) else {
            return;
        };
        if let NotifyKind::OperationComplete(end) = &what {
            self.end_of_service(service, end, now_ms);
        } else {
            self.news.relay(&self.world, (kind, &path), &what, now_ms);
        }
    }

    fn end_of_service(&mut self, service: u32, end: &OperationComplete<'_>, now_ms: u64) {
        let Some(request) = self.broker.completed(&self.world, service, end) else { return };
        let Some(place) = self.world.requests.iter().position(|one| one.row == request) else { return };
        let request = self.world.requests.remove(place);
        self.stale = true;
        let outputs: Vec<(&str, String)>;
        let end = match &end.kind {
            Some(CompleteKind::Output(output)) => {
                let all = output.output_args.iter();
                outputs = all.map(|one| (one.key.as_ref(), one.value.to_string())).collect();
                Ok(outputs.as_slice())
            }
            Some(CompleteKind::Failure(failure)) => {
                let code = Code::new(failure.err_code).unwrap_or(Code::COMMAND_FAILURE);
                Err((code, failure.err_msg.to_string()))
            }
            None => Err((Code::COMMAND_FAILURE, "it does not say how it ended".to_owned())),
        };
        self.news.complete(&self.world, (&request.command, &request.key), end, (true, now_ms));
    }
}
