//! What a controller asks, and what it is answered.
//!
//! In:  a message of a controller that is known by its connection. Out: its answer; orders for other rooms; and a world that has changed,
//! or has not.
//!
//! A request that changes something works on a copy of the settings, which takes the place of the others when all of it was good.
//!
//! Not here: transports (`peer.rs`), news (`news.rs`), who does orders (`room.rs`).
//!
//! Source: TR-369 §7.

mod act;
mod read;
mod write;

pub(crate) use act::{KEY_MAX, REQUEST_MS, REQUESTS_OF_ONE_MAX};

use contract::Name;
use usp::message::{BodyKind, ErrorBody, Msg, MsgType, ParamError, RequestKind, ResponseKind};
use usp::{Code, VERSIONS};

use crate::access::Access;
use crate::log::Wanted;
use crate::model::{Order, is_of_network};
use crate::world::World;
use write::Draft;

/// What came of a message.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The answer, unless none is wanted.
    pub answer: Option<Msg<'static>>,
    /// What other rooms shall do, each with the row of the request that waits for it.
    pub orders: Vec<(Option<u32>, Order)>,
    /// What other rooms have to do before the answer is true; and what was there before, should they not.
    pub first: Option<First>,
    /// A controller says that it has this news: the number of its message.
    pub delivered: Option<String>,
    /// The settings are others now.
    pub changed: bool,
    /// Logs that belong into the answer.
    pub logs: Vec<Reads>,
    /// Volumes that go before the answer is true.
    pub drops: Vec<Drops>,
    /// A command of a controller's has ended by the word of another: the row of the request.
    pub canceled: Vec<u32>,
}

/// A log that belongs into an answer.
#[derive(Debug)]
pub struct Reads {
    /// The command, as it was executed: its result is what the log says.
    pub command: String,
    /// What of which log.
    pub wanted: Wanted,
}

/// A volume that a service has left is to go.
#[derive(Debug)]
pub struct Drops {
    /// The command, as it was executed: its result says whether it goes.
    pub command: String,
    /// Whose.
    pub service: Name,
    /// And whose service that was.
    pub provider: Name,
}

/// Orders that have to be carried out before an answer is true.
#[derive(Debug)]
pub struct First {
    /// The orders.
    pub orders: Vec<Order>,
    before: Draft,
}

impl First {
    /// They were not: what was there before is there again.
    pub fn undo(self, world: &mut World) {
        self.before.put(world);
    }
}

fn first(orders: Vec<Order>, before: Draft) -> Option<First> {
    (!orders.is_empty()).then_some(First { orders, before })
}

/// Why nothing of a request was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    code: Code,
    words: String,
    paths: Vec<ParamError<'static>>,
}

impl Refusal {
    fn new(code: Code, words: impl Into<String>) -> Self {
        Self { code, words: words.into(), paths: Vec::new() }
    }

    fn of_paths(code: Code, paths: Vec<ParamError<'static>>) -> Self {
        let words = code.words().to_owned();
        Self { code, words, paths }
    }
}

/// Answers `message` of the controller in `row`. `now` is in milliseconds after boot.
pub fn answer(world: &mut World, row: u32, message: &Msg<'_>, now_ms: u64) -> Outcome {
    let mut outcome = Outcome::default();
    let Some(header) = message.header.as_ref().filter(|header| !header.msg_id.is_empty()) else {
        return outcome; // There is nothing that an answer could refer to (R-MSG.8).
    };
    let id = header.msg_id.clone().into_owned();
    let request = match message.body.as_ref().and_then(|body| body.kind.as_ref()) {
        Some(BodyKind::Request(request)) => request,
        Some(BodyKind::Response(response)) => {
            if matches!(response.kind, Some(ResponseKind::Notify(_))) {
                outcome.delivered = Some(id);
            }
            return outcome;
        }
        // A controller that has no use for a piece of news has it all the same.
        Some(BodyKind::Error(_)) => {
            outcome.delivered = Some(id);
            return outcome;
        }
        None => {
            outcome.answer =
                Some(error(id, &Refusal::new(Code::INVALID_ARGUMENTS, "a message without a body"))); // R-ENC.5
            return outcome;
        }
    };
    let Some(kind) = request.kind.as_ref() else {
        let refusal = Refusal::new(Code::INVALID_ARGUMENTS, "a request of no kind that is known");
        outcome.answer = Some(error(id, &refusal));
        return outcome;
    };
    let enabled = usize::try_from(row)
        .ok()
        .and_then(|row| world.settings.controllers.get(row.checked_sub(1)?))
        .is_some_and(|said| said.enable);
    let response = if enabled {
        respond(world, row, kind, (&mut outcome, now_ms))
    } else {
        Err(Refusal::new(Code::PERMISSION_DENIED, "this controller is not enabled"))
    };
    outcome.answer = match response {
        Ok(Some(response)) => Some(Msg::response(id, response)),
        Ok(None) => None,
        Err(refusal) => Some(error(id, &refusal)),
    };
    outcome
}

/// Does this message ask for something of the network, or begin to watch anything?
#[must_use]
pub fn needs_network(message: &Msg<'_>) -> bool {
    let Some(BodyKind::Request(request)) = message.body.as_ref().and_then(|body| body.kind.as_ref()) else {
        return false;
    };
    let of_network = |path: &str| is_of_network(path);
    match &request.kind {
        Some(RequestKind::Get(get)) => get.param_paths.iter().any(|path| of_network(path)),
        Some(RequestKind::GetInstances(get)) => get.obj_paths.iter().any(|path| of_network(path)),
        Some(RequestKind::Set(set)) => set.update_objs.iter().any(|one| of_network(&one.obj_path)),
        Some(RequestKind::Delete(delete)) => delete.obj_paths.iter().any(|path| of_network(path)),
        Some(RequestKind::Add(_)) => true,
        Some(
            RequestKind::GetSupportedDm(_)
            | RequestKind::GetSupportedProtocol(_)
            | RequestKind::Operate(_)
            | RequestKind::Notify(_)
            | RequestKind::Register(_)
            | RequestKind::Deregister(_),
        )
        | None => false,
    }
}

fn respond(
    world: &mut World,
    row: u32,
    kind: &RequestKind<'_>,
    (outcome, now_ms): (&mut Outcome, u64),
) -> Result<Option<ResponseKind<'static>>, Refusal> {
    let response = match kind {
        RequestKind::Get(get) => ResponseKind::Get(read::get(world, Access::of(world, row), get)),
        RequestKind::GetInstances(get) => {
            ResponseKind::GetInstances(read::instances(world, Access::of(world, row), get))
        }
        RequestKind::GetSupportedDm(get) => {
            ResponseKind::GetSupportedDm(read::supported(Access::of(world, row), get))
        }
        RequestKind::GetSupportedProtocol(_) => {
            ResponseKind::GetSupportedProtocol(usp::message::read::GetSupportedProtocolResp {
                agent_supported_protocol_versions: VERSIONS.join(",").into(),
            })
        }
        RequestKind::Set(set) => {
            outcome.changed = true;
            let before = Draft::of(world);
            let (response, orders) = write::set(world, row, set)?;
            outcome.first = first(orders, before);
            ResponseKind::Set(response)
        }
        RequestKind::Add(add) => {
            outcome.changed = true;
            let before = Draft::of(world);
            let (response, orders) = write::add(world, row, add)?;
            outcome.first = first(orders, before);
            ResponseKind::Add(response)
        }
        RequestKind::Delete(delete) => {
            outcome.changed = true;
            let before = Draft::of(world);
            let (response, orders) = write::delete(world, row, delete)?;
            outcome.first = first(orders, before);
            ResponseKind::Delete(response)
        }
        RequestKind::Operate(operate) => {
            let response = act::operate(world, row, operate, (outcome, now_ms))?;
            return Ok(operate.send_resp.then_some(ResponseKind::Operate(response)));
        }
        RequestKind::Notify(_) | RequestKind::Register(_) | RequestKind::Deregister(_) => {
            return Err(Refusal::new(
                Code::MESSAGE_NOT_SUPPORTED,
                "an agent is not asked this by a controller",
            ));
        }
    };
    Ok(Some(response))
}

/// What is answered to bytes that are no message, and why: only where they would have been a request (R-MTP.5).
#[must_use]
pub fn broken(bytes: &[u8], why: &usp::Error) -> Option<Msg<'static>> {
    let (id, is_request) = usp::outline::message(bytes, &usp::GATEWAY)?;
    is_request.then(|| error(id.into_owned(), &Refusal::new(Code::INVALID_ARGUMENTS, why.to_string())))
}

/// What a Set, an Add or a Delete is answered whose order another room has refused.
#[must_use]
pub fn refused(message: &Msg<'_>, why: &str) -> Msg<'static> {
    failed(message, (Code::REQUEST_DENIED, why.to_owned()))
}

/// What a request is answered of which nothing is done: a code, and why.
#[must_use]
pub fn failed(message: &Msg<'_>, (code, words): (Code, String)) -> Msg<'static> {
    let id = message.header.as_ref().map(|header| header.msg_id.clone().into_owned()).unwrap_or_default();
    error(id, &Refusal::new(code, words))
}

fn error(id: String, refusal: &Refusal) -> Msg<'static> {
    let body = ErrorBody {
        err_code: refusal.code.number(),
        err_msg: refusal.words.clone().into(),
        param_errs: refusal.paths.clone(),
    };
    debug_assert_eq!(MsgType::Error, MsgType::default());
    Msg::error(id, body)
}
