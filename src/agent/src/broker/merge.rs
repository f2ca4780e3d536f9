//! Answers of services, and of the gateway's own tree, put together into one.
//!
//! In:  what a request was cut into, what came of each piece. Out: the answer to the controller.
//!
//! A service is a stranger: what it says of places that it has not registered is left out, so is what the controller may not read. One
//! that has not answered fails its own path with 7003; of a path above it the rest is the answer.
//!
//! Not here: what an answer of each kind is made of (`pieces.rs`).
//!
//! Source: TR-369 §7; docs/decisions/0116-services-bring-a-part.md.

use usp::message::act::{OperateResp, OperationKind};
use usp::message::write::{AddResp, DeleteResp, SetResp};
use usp::message::{BodyKind, ErrorBody, Msg, ResponseKind};
use usp::path::Path;
use usp::{Code, GATEWAY};

use super::cut::{Kind, Piece};
use super::pieces::Result as Piecewise;
use crate::access::Access;

/// What came of a question.
#[derive(Debug)]
pub struct Reply {
    /// Which piece it answers.
    pub piece: usize,
    /// The service's name.
    pub service: String,
    /// What it has registered.
    pub paths: Vec<String>,
    /// Its answer; `None`: there is none.
    pub message: Option<Vec<u8>>,
}

/// What is seen of a service's answer: of its own places those that may be read.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'w> {
    access: Access<'w>,
    paths: &'w [String],
}

impl<'w> Seen<'w> {
    /// By somebody with these rights, of a service with these paths.
    #[must_use]
    pub fn new(access: Access<'w>, paths: &'w [String]) -> Self {
        Self { access, paths }
    }

    /// Is it the service's own place?
    pub(super) fn is_its_own(self, path: &str) -> bool {
        self.paths.iter().any(|part| path.starts_with(part.as_str())) && Path::parse(path).is_ok()
    }

    /// The same, and it may be read.
    pub(super) fn shows(self, path: &str) -> bool {
        self.is_its_own(path) && self.access.at(path).read
    }
}

/// The answer to message `id`, and the commands that have begun and take their time: their requests have rows from `first` on.
pub fn merge<'a>(
    (id, first): (&str, u32),
    (kind, pieces): (Kind, &'a [Piece]),
    ours: Option<&'a Msg<'a>>,
    (access, replies): (Access<'a>, &[&'a Reply]),
) -> (Msg<'a>, Vec<String>) {
    let all = All { pieces, ours, access, replies };
    let response = match kind {
        Kind::Get => all.put::<usp::message::read::RequestedPath<'_>>(false),
        Kind::Instances => all.put::<usp::message::read::RequestedInstances<'_>>(false),
        Kind::Supported(first) => all.put::<usp::message::read::RequestedObject<'_>>(first),
        Kind::Set => all.put::<usp::message::write::UpdatedObject<'_>>(false),
        Kind::Add => all.put::<usp::message::write::CreatedObject<'_>>(false),
        Kind::Delete => all.put::<usp::message::write::DeletedObject<'_>>(false),
        Kind::Whole => return all.whole(id, first),
    };
    (Msg::response(id.to_owned(), response), Vec::new())
}

struct All<'a, 'r> {
    pieces: &'a [Piece],
    ours: Option<&'a Msg<'a>>,
    access: Access<'a>,
    replies: &'r [&'a Reply],
}

fn body<'a>(bytes: &'a [u8]) -> Option<BodyKind<'a>> {
    Msg::decode(bytes, &GATEWAY).ok()?.body?.kind
}

fn silent(reply: &Reply) -> ErrorBody<'static> {
    let words = format!("the service {} does not answer", reply.service);
    ErrorBody { err_code: Code::INTERNAL.number(), err_msg: words.into(), param_errs: Vec::new() }
}

/// What a service says is a code of USP's, or 7003.
fn code(number: u32) -> Code {
    Code::new(number).unwrap_or(Code::INTERNAL)
}

impl<'a> All<'a, '_> {
    fn put<T: Piecewise<'a>>(&self, first_level: bool) -> ResponseKind<'a> {
        let mut ours = self.ours().into_iter();
        let one = |(place, piece): (usize, &'a Piece)| {
            let mut result = if piece.ours { ours.next() } else { None };
            if let Some(code) = piece.failed {
                result = Some(T::failed(code, code.words().into()));
            }
            for reply in self.replies.iter().filter(|reply| reply.piece == place) {
                for theirs in self.theirs::<T>(reply, piece, first_level) {
                    match &mut result {
                        Some(result) => result.absorb(theirs),
                        None => result = Some(theirs),
                    }
                }
            }
            let fails = || T::failed(Code::INVALID_PATH, Code::INVALID_PATH.words().into());
            let mut result = result.unwrap_or_else(fails);
            result.name(piece.path.as_str().into());
            result
        };
        let results = self.pieces.iter().enumerate().map(one).collect();
        T::response(results)
    }

    /// What the gateway's own tree says, in order of the pieces that are its.
    fn ours<T: Piecewise<'a>>(&self) -> Vec<T> {
        match self.ours.and_then(|ours| ours.body.as_ref()?.kind.clone()) {
            Some(BodyKind::Response(response)) => response.kind.and_then(T::results).unwrap_or_default(),
            Some(BodyKind::Error(error)) => {
                let failed = |_: &Piece| T::failed(code(error.err_code), error.err_msg.clone());
                self.pieces.iter().filter(|piece| piece.ours).map(failed).collect()
            }
            Some(BodyKind::Request(_)) | None => Vec::new(),
        }
    }

    fn theirs<T: Piecewise<'a>>(&self, reply: &'a Reply, piece: &Piece, first_level: bool) -> Vec<T> {
        let seen = Seen::new(self.access, &reply.paths);
        let fail = |error: ErrorBody<'a>| vec![T::failed(code(error.err_code), error.err_msg)];
        match reply.message.as_deref().and_then(body) {
            Some(BodyKind::Response(response)) => match response.kind.and_then(T::results) {
                Some(mut results) => {
                    results.iter_mut().for_each(|one| one.keep(seen, &piece.path, first_level));
                    results
                }
                None => fail(silent(reply)),
            },
            Some(BodyKind::Error(error)) => fail(error),
            Some(BodyKind::Request(_)) | None => fail(silent(reply)),
        }
    }

    /// The answer of one service, as far as it may be believed and seen.
    fn whole(&self, id: &str, first: u32) -> (Msg<'a>, Vec<String>) {
        let fail = |error: ErrorBody<'a>| (Msg::error(id.to_owned(), error), Vec::new());
        let Some(reply) = self.replies.first() else { return fail(ErrorBody::default()) };
        let seen = Seen::new(self.access, &reply.paths);
        let response = match reply.message.as_deref().and_then(body) {
            Some(BodyKind::Response(response)) => response.kind,
            Some(BodyKind::Error(mut error)) => {
                error.err_code = code(error.err_code).number();
                error.param_errs.retain(|one| seen.is_its_own(&one.path));
                return fail(error);
            }
            Some(BodyKind::Request(_)) | None => None,
        };
        let mut begun = Vec::new();
        let response = match response {
            Some(ResponseKind::Set(SetResp { updated_obj_results: all })) => kept(all, seen),
            Some(ResponseKind::Add(AddResp { created_obj_results: all })) => kept(all, seen),
            Some(ResponseKind::Delete(DeleteResp { deleted_obj_results: all })) => kept(all, seen),
            Some(ResponseKind::Operate(mut operate)) => {
                begun = begins(&mut operate, seen, first);
                ResponseKind::Operate(operate)
            }
            _ => return fail(silent(reply)),
        };
        (Msg::response(id.to_owned(), response), begun)
    }
}

fn kept<'a, T: Piecewise<'a>>(mut all: Vec<T>, seen: Seen<'_>) -> ResponseKind<'a> {
    all.iter_mut().for_each(|one| one.keep(seen, "", false));
    T::response(all)
}

/// Commands of its own. Those that take their time get rows of ours in place of the service's, from `first` on.
fn begins(operate: &mut OperateResp<'_>, seen: Seen<'_>, first: u32) -> Vec<String> {
    operate.operation_results.retain(|one| seen.is_its_own(&one.executed_command));
    let mut begun = Vec::new();
    let mut row = first;
    for one in &mut operate.operation_results {
        if let Some(OperationKind::Request(request)) = &mut one.kind {
            *request = format!("Device.LocalAgent.Request.{row}.").into();
            row = row.saturating_add(1);
            begun.push(one.executed_command.clone().into_owned());
        }
    }
    begun
}
