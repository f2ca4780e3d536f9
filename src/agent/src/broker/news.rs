//! What services tell: whose it may be, and whether it may be believed.
//!
//! In:  a Notify of a service, what it has registered. Out: the place that it is of, where that is the service's own.
//!
//! Source: TR-369 §7.6 (R-NOT).

use usp::message::Entry;
use usp::message::Failure;
use usp::message::act::{
    CompleteKind, Event, Notify, NotifyKind, ObjectCreation, ObjectDeletion, OperationComplete, OutputArgs,
    ValueChange,
};
use usp::path::Path;
use usp::{Code, Text};

use crate::settings::NotifType;

fn text(text: Text<'_>) -> Text<'static> {
    text.into_owned().into()
}

fn entries(all: Vec<Entry<'_>>) -> Vec<Entry<'static>> {
    all.into_iter().map(|one| Entry { key: text(one.key), value: text(one.value) }).collect()
}

/// The same, and it is nobody else's.
pub(super) fn owned(notify: Notify<'_>) -> Notify<'static> {
    let kind = notify.kind.map(|kind| match kind {
        NotifyKind::Event(event) => NotifyKind::Event(Event {
            obj_path: text(event.obj_path),
            event_name: text(event.event_name),
            params: entries(event.params),
        }),
        NotifyKind::ValueChange(change) => NotifyKind::ValueChange(ValueChange {
            param_path: text(change.param_path),
            param_value: text(change.param_value),
        }),
        NotifyKind::ObjectCreation(made) => NotifyKind::ObjectCreation(ObjectCreation {
            obj_path: text(made.obj_path),
            unique_keys: entries(made.unique_keys),
        }),
        NotifyKind::ObjectDeletion(gone) => {
            NotifyKind::ObjectDeletion(ObjectDeletion { obj_path: text(gone.obj_path) })
        }
        NotifyKind::OperationComplete(end) => NotifyKind::OperationComplete(OperationComplete {
            obj_path: text(end.obj_path),
            command_name: text(end.command_name),
            command_key: text(end.command_key),
            kind: end.kind.map(|kind| match kind {
                CompleteKind::Output(output) => {
                    CompleteKind::Output(OutputArgs { output_args: entries(output.output_args) })
                }
                CompleteKind::Failure(failure) => CompleteKind::Failure(Failure::new(
                    Code::new(failure.err_code).unwrap_or(Code::COMMAND_FAILURE),
                    text(failure.err_msg),
                )),
            }),
        }),
        NotifyKind::OnBoardRequest(_) => NotifyKind::OnBoardRequest(Default::default()),
    });
    Notify { subscription_id: text(notify.subscription_id), send_resp: notify.send_resp, kind }
}

/// What kind of news it is, and of which place; `None`: it is of no place that is the service's own, or no news of a place.
#[must_use]
pub fn place(notify: &Notify<'_>, paths: &[String]) -> Option<(NotifType, String)> {
    let (kind, path) = match notify.kind.as_ref()? {
        NotifyKind::Event(event) => (NotifType::Event, format!("{}{}", event.obj_path, event.event_name)),
        NotifyKind::ValueChange(change) => (NotifType::ValueChange, change.param_path.to_string()),
        NotifyKind::ObjectCreation(made) => (NotifType::ObjectCreation, made.obj_path.to_string()),
        NotifyKind::ObjectDeletion(gone) => (NotifType::ObjectDeletion, gone.obj_path.to_string()),
        NotifyKind::OperationComplete(end) => {
            (NotifType::OperationComplete, format!("{}{}", end.obj_path, end.command_name))
        }
        NotifyKind::OnBoardRequest(_) => return None,
    };
    let own = paths.iter().any(|part| path.starts_with(part.as_str()));
    let plain = Path::parse(&path).is_ok_and(|path| path.is_plain());
    (own && plain).then_some((kind, path))
}
