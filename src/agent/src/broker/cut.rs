//! A controller's request, cut: what of it is the gateway's own, and what is for services that have registered a part of the tree.
//!
//! In:  the world, a request. Out: nothing where no service is meant; else what is asked of whom ([`Cut`]), or why nobody is asked.
//!
//! A request that reads is cut by its paths; so is one that changes and allows to be done in part. One that is to be done as a whole, or not
//! at all, goes to one place, since nobody could undo what another has done. Rights are looked at here, before a service hears of anything; where
//! it is not certain which places a path leads to, a right has to hold for the whole part.
//!
//! Not here: answers (`merge.rs`).
//!
//! Source: TR-369 §7; docs/decisions/0116-services-bring-a-part.md.

use usp::message::act::Operate;
use usp::message::read::{Get, GetInstances, GetSupportedDm};
use usp::message::write::{Add, Delete, ParamSetting, Set};
use usp::message::{BodyKind, Msg, RequestKind};
use usp::path::{Leaf, Path, Step};
use usp::permission::Rule;
use usp::{Code, Text};

use crate::access::Access;
use crate::broker::register::ROOT;
use crate::world::{Brought, World};

/// Questions that one request may become.
const ASKS_MAX: usize = 32;

/// What kind of request it is, and so of which pieces its answer is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Of paths.
    Get,
    /// Of paths.
    Instances,
    /// Of paths; of the first level alone, or of all.
    Supported(bool),
    /// Of objects, each for itself.
    Set,
    /// Of objects, each for itself.
    Add,
    /// Of paths, each for itself.
    Delete,
    /// It went to one service as it was, and so does the answer.
    Whole,
}

/// A path of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// As it was written.
    pub path: String,
    /// It is of the gateway's own tree (too).
    pub ours: bool,
    /// Nobody is asked, and why.
    pub failed: Option<Code>,
}

/// A question to a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask<'m> {
    /// Which piece it answers.
    pub piece: usize,
    /// The row of the service.
    pub service: u32,
    /// What it brings is only a part of what that piece asks for.
    pub above: bool,
    /// What it is asked.
    pub kind: RequestKind<'m>,
}

/// A request, cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut<'m> {
    /// What it was.
    pub kind: Kind,
    /// Its paths.
    pub pieces: Vec<Piece>,
    /// What is asked of the gateway's own tree.
    pub ours: Option<Msg<'m>>,
    /// What is asked of services.
    pub asks: Vec<Ask<'m>>,
    /// The controller wants an answer.
    pub answers: bool,
}

/// Why nobody is asked: a code, and words.
pub type Refusal = (Code, String);

/// Where a path leads.
enum Where<'w> {
    /// Not into what a service brings.
    Ours,
    /// Into it.
    Of(&'w Brought, &'w str),
    /// What these bring is below it, each so many names.
    Above(Vec<(&'w Brought, &'w str, usize)>),
}

fn place<'w>(world: &'w World, path: &str) -> Where<'w> {
    let all = world.brought.iter().flat_map(|one| one.paths.iter().map(move |part| (one, part.as_str())));
    let mut below = Vec::new();
    for (one, part) in all {
        if path.starts_with(part) {
            return Where::Of(one, part);
        }
        if let Some(rest) = part.strip_prefix(path).filter(|_| path.ends_with('.')) {
            below.push((one, part, rest.split('.').count().saturating_sub(1)));
        }
    }
    if below.is_empty() { Where::Ours } else { Where::Above(below) }
}

/// Cuts the request of the controller in `row`. `None`: no service is meant, or it is no request that a service could be meant by.
///
/// # Errors
/// 7006: it may not. 7002: it is to be done as a whole, and not all of it is one place's. 7005: too many questions, or commands under way.
#[must_use]
pub fn cut<'m>(world: &World, row: u32, message: &'m Msg<'m>) -> Option<Result<Cut<'m>, Refusal>> {
    if world.brought.iter().all(|one| one.paths.is_empty()) {
        return None;
    }
    let Some(BodyKind::Request(request)) = message.body.as_ref().and_then(|body| body.kind.as_ref()) else {
        return None;
    };
    let id = message.header.as_ref().map(|header| header.msg_id.clone()).filter(|id| !id.is_empty())?;
    let access = Access::of(world, row);
    if !access.is_enabled() {
        return None;
    }
    let seen = Seen { world, access, id };
    let cut = match request.kind.as_ref()? {
        RequestKind::Get(get) => seen.get(get)?,
        RequestKind::GetInstances(get) => seen.instances(get)?,
        RequestKind::GetSupportedDm(get) => seen.supported(get)?,
        RequestKind::Set(set) => seen.set(set)?,
        RequestKind::Add(add) => seen.add(add)?,
        RequestKind::Delete(delete) => seen.delete(delete)?,
        RequestKind::Operate(operate) => seen.operate(operate, row)?,
        RequestKind::GetSupportedProtocol(_)
        | RequestKind::Notify(_)
        | RequestKind::Register(_)
        | RequestKind::Deregister(_) => return None,
    };
    Some(cut.and_then(|cut| {
        let many = cut.asks.len() > ASKS_MAX;
        if many { Err((Code::RESOURCES_EXCEEDED, "too many services' paths".to_owned())) } else { Ok(cut) }
    }))
}

/// The tree, and who asks what.
struct Seen<'w, 'm> {
    world: &'w World,
    access: Access<'w>,
    id: Text<'m>,
}

/// What comes of it, where a service is meant.
type Made<'m> = Option<Result<Cut<'m>, Refusal>>;

impl<'m> Seen<'_, 'm> {
    fn get(&self, get: &'m Get<'m>) -> Made<'m> {
        let ask = |path: Text<'m>, deeper: usize| {
            let deeper = u32::try_from(deeper).unwrap_or(u32::MAX);
            let max_depth = get.max_depth.saturating_sub(deeper);
            let shown = get.max_depth == 0 || max_depth > 0;
            shown.then(|| RequestKind::Get(Get { param_paths: vec![path], max_depth }))
        };
        let ours = |param_paths| RequestKind::Get(Get { param_paths, max_depth: get.max_depth });
        self.reads(Kind::Get, &get.param_paths, &ask, &ours)
    }

    fn instances(&self, get: &'m GetInstances<'m>) -> Made<'m> {
        let first_level_only = get.first_level_only;
        let of = |obj_paths| RequestKind::GetInstances(GetInstances { obj_paths, first_level_only });
        let ask = |path, deeper: usize| (deeper == 0 || !first_level_only).then(|| of(vec![path]));
        self.reads(Kind::Instances, &get.obj_paths, &ask, &of)
    }

    fn supported(&self, get: &'m GetSupportedDm<'m>) -> Made<'m> {
        let first = get.first_level_only;
        let of = |obj_paths| RequestKind::GetSupportedDm(GetSupportedDm { obj_paths, ..get.clone() });
        // Of the next level down it is the object itself that is meant; what is below it is left out later.
        let ask = |path, deeper: usize| (deeper <= 1 || !first).then(|| of(vec![path]));
        self.reads(Kind::Supported(first), &get.obj_paths, &ask, &of)
    }

    /// Paths that are read: each for itself.
    fn reads(
        &self,
        kind: Kind,
        paths: &'m [Text<'m>],
        ask: &dyn Fn(Text<'m>, usize) -> Option<RequestKind<'m>>,
        of: &dyn Fn(Vec<Text<'m>>) -> RequestKind<'m>,
    ) -> Made<'m> {
        let (mut pieces, mut asks, mut ours) = (Vec::new(), Vec::new(), Vec::new());
        for (piece, path) in paths.iter().enumerate() {
            let mut one = Piece { path: path.clone().into_owned(), ours: false, failed: None };
            match place(self.world, path) {
                Where::Ours => one.ours = true,
                Where::Of(brought, part) if self.may_look(path, part) => {
                    asks.extend(ask(path.clone(), 0).map(|kind| Ask {
                        piece,
                        service: brought.row,
                        above: false,
                        kind,
                    }));
                }
                // What may not be read is not there (R-GIN.0).
                Where::Of(..) => one.failed = Some(Code::INVALID_PATH),
                Where::Above(below) => {
                    one.ours = true;
                    let seen = below.into_iter().filter(|(_, part, _)| self.access.reads_within(part));
                    asks.extend(seen.filter_map(|(brought, part, deeper)| {
                        let kind = ask(part.to_owned().into(), deeper)?;
                        Some(Ask { piece, service: brought.row, above: true, kind })
                    }));
                }
            }
            if one.ours {
                ours.push(path.clone());
            }
            pieces.push(one);
        }
        if asks.is_empty() && pieces.iter().all(|piece| piece.ours) {
            return None;
        }
        let ours = (!ours.is_empty()).then(|| Msg::request(self.id.clone(), of(ours)));
        Some(Ok(Cut { kind, pieces, ours, asks, answers: true }))
    }

    /// Who may read nothing of it does not ask; and who searches, or follows, learns something of what he searches by.
    fn may_look(&self, text: &str, part: &str) -> bool {
        if !self.access.reads_within(part) {
            return false;
        }
        let Ok(path) = Path::parse(text) else { return true }; // The service says what is wrong with it.
        if path.is_plain() && matches!(path.leaf, Leaf::Parameter(_)) {
            return self.access.at(text).read;
        }
        let asks = |step: &Step<'_>| matches!(step, Step::Search(_) | Step::Follow(..));
        !path.steps.iter().any(asks) || self.access.throughout(part, |rule| rule.param).read
    }

    fn set(&self, set: &'m Set<'m>) -> Made<'m> {
        let may = |one: &usp::message::write::UpdateObject<'_>, part: &str| {
            self.may_set(&one.obj_path, part, &one.param_settings)
        };
        let one = |update_objs| RequestKind::Set(Set { allow_partial: set.allow_partial, update_objs });
        self.writes(Kind::Set, set.allow_partial, &set.update_objs, (&|one| &one.obj_path, &may, &one))
    }

    fn add(&self, add: &'m Add<'m>) -> Made<'m> {
        let may = |one: &usp::message::write::CreateObject<'_>, part: &str| {
            let table = self.may(&one.obj_path, part, |rule| rule.object).is_some_and(|may| may.write);
            table && (one.param_settings.is_empty() || self.access.throughout(part, |rule| rule.param).write)
        };
        let one = |create_objs| RequestKind::Add(Add { allow_partial: add.allow_partial, create_objs });
        self.writes(Kind::Add, add.allow_partial, &add.create_objs, (&|one| &one.obj_path, &may, &one))
    }

    fn delete(&self, delete: &'m Delete<'m>) -> Made<'m> {
        let may = |path: &Text<'_>, part: &str| {
            self.may(path, part, |rule| rule.instance).is_some_and(|may| may.write)
        };
        let one = |obj_paths| RequestKind::Delete(Delete { allow_partial: delete.allow_partial, obj_paths });
        self.writes(Kind::Delete, delete.allow_partial, &delete.obj_paths, (&|path| path, &may, &one))
    }

    /// Objects that are changed: each for itself, or all in one place.
    #[allow(
        clippy::type_complexity,
        reason = "what a kind of object is: its path, its rights, a request of some"
    )]
    fn writes<T: Clone>(
        &self,
        kind: Kind,
        allow_partial: bool,
        all: &'m [T],
        (path, may, of): (
            &dyn Fn(&'m T) -> &'m Text<'m>,
            &dyn Fn(&T, &str) -> bool,
            &dyn Fn(Vec<T>) -> RequestKind<'m>,
        ),
    ) -> Made<'m> {
        let (mut pieces, mut asks, mut ours) = (Vec::new(), Vec::new(), Vec::new());
        for (piece, one) in all.iter().enumerate() {
            let path = path(one);
            let mut now = Piece { path: path.clone().into_owned(), ours: false, failed: None };
            match place(self.world, path) {
                Where::Of(brought, part) if may(one, part) => {
                    let kind = of(vec![one.clone()]);
                    asks.push(Ask { piece, service: brought.row, above: false, kind });
                }
                Where::Of(..) => now.failed = Some(Code::PERMISSION_DENIED),
                // Nothing is changed from above.
                Where::Ours | Where::Above(_) => {
                    now.ours = true;
                    ours.push(one.clone());
                }
            }
            pieces.push(now);
        }
        if pieces.iter().all(|piece| piece.ours) {
            return None;
        }
        if allow_partial {
            let ours = (!ours.is_empty()).then(|| Msg::request(self.id.clone(), of(ours)));
            return Some(Ok(Cut { kind, pieces, ours, asks, answers: true }));
        }
        if let Some(piece) = pieces.iter().find(|piece| piece.failed.is_some()) {
            let code = Code::PERMISSION_DENIED;
            return Some(Err((code, format!("{}: {}", piece.path, code.words()))));
        }
        let service = asks.first().map_or(0, |ask| ask.service);
        if asks.len() != all.len() || asks.iter().any(|ask| ask.service != service) {
            let words = "without allow_partial a request is for one service, or for the gateway, alone";
            return Some(Err((Code::REQUEST_DENIED, words.to_owned())));
        }
        Some(Ok(whole(service, of(all.to_vec()), true)))
    }

    /// What may be done at `path`, which is in `part`; `None`: it is no path.
    fn may(
        &self,
        path: &str,
        part: &str,
        kind: fn(&Rule) -> usp::permission::May,
    ) -> Option<usp::permission::May> {
        let parsed = Path::parse(path).ok()?;
        Some(if parsed.is_plain() { self.access.at(path) } else { self.access.throughout(part, kind) })
    }

    fn may_set(&self, path: &str, part: &str, wishes: &[ParamSetting<'_>]) -> bool {
        let at = |wish: &ParamSetting<'_>| format!("{path}{}", wish.param);
        path.ends_with('.')
            && wishes
                .iter()
                .all(|wish| self.may(&at(wish), part, |rule| rule.param).is_some_and(|may| may.write))
    }

    fn operate(&self, operate: &'m Operate<'m>, row: u32) -> Made<'m> {
        let Where::Of(brought, part) = place(self.world, &operate.command) else { return None };
        let refuse = |code: Code| Some(Err((code, format!("{}: {}", operate.command, code.words()))));
        let is_command = |path: &Path<'_>| matches!(path.leaf, Leaf::Command(_));
        if !Path::parse(&operate.command).is_ok_and(|path| is_command(&path)) {
            return refuse(Code::INVALID_PATH);
        }
        let may = self.may(&operate.command, part, |rule| rule.command_event);
        if !may.is_some_and(|may| may.execute) {
            return refuse(Code::PERMISSION_DENIED);
        }
        if operate.command_key.len() > crate::answer::KEY_MAX {
            return refuse(Code::INVALID_ARGUMENTS);
        }
        let of_one = self.world.requests.iter().filter(|request| request.originator == row);
        if of_one.count() >= crate::answer::REQUESTS_OF_ONE_MAX {
            return refuse(Code::RESOURCES_EXCEEDED);
        }
        let kind = RequestKind::Operate(Operate { send_resp: true, ..operate.clone() });
        Some(Ok(whole(brought.row, kind, operate.send_resp)))
    }
}

fn whole(service: u32, kind: RequestKind<'_>, answers: bool) -> Cut<'_> {
    let pieces = vec![Piece { path: ROOT.to_owned(), ours: false, failed: None }];
    let asks = vec![Ask { piece: 0, service, above: false, kind }];
    Cut { kind: Kind::Whole, pieces, ours: None, asks, answers }
}
