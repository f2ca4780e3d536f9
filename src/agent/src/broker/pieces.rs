//! What an answer of each kind is made of: a result a path.
//!
//! In:  results of services. Out: the same without what is not theirs to say or not to be seen; several of one path as one.
//!
//! Source: TR-369 §7.4 (R-SET.3, R-DEL.2), §7.5 (R-GET.1, R-GIN.0, R-GSP.0).

use usp::message::read::{
    GetInstancesResp, GetResp, GetSupportedDmResp, RequestedInstances, RequestedObject, RequestedPath,
};
use usp::message::write::{
    AddResp, CreatedKind, CreatedObject, CreatedStatus, DeleteResp, DeletedKind, DeletedObject,
    DeletedStatus, NotUpdated, SetResp, UpdatedKind, UpdatedObject, UpdatedStatus,
};
use usp::message::{Entry, Failure, ResponseKind};
use usp::path::{Leaf, Path};
use usp::{Code, Text};

use super::merge::Seen;

/// A result of one path.
pub(super) trait Result<'a>: Sized {
    /// Those of an answer; `None`: it is of another kind.
    fn results(response: ResponseKind<'a>) -> Option<Vec<Self>>;
    /// An answer of them.
    fn response(all: Vec<Self>) -> ResponseKind<'a>;
    /// None, and why.
    fn failed(code: Code, words: Text<'a>) -> Self;
    /// It is of this path, as the controller wrote it.
    fn name(&mut self, path: Text<'a>);
    /// Of another place there is this, too. Who fails has nothing to add.
    fn absorb(&mut self, other: Self);
    /// What is seen of it stays. `path` is what was asked for; of `first_level`, what is one name below it, and no more.
    fn keep(&mut self, seen: Seen<'_>, path: &str, first_level: bool);
}

/// The same of what is read: a path, an error, and a list.
macro_rules! read {
    ($kind:ident, $variant:ident($response:ident, $all:ident), $path:ident, $list:ident, $keep:expr) => {
        impl<'a> Result<'a> for $kind<'a> {
            fn results(response: ResponseKind<'a>) -> Option<Vec<Self>> {
                let ResponseKind::$variant($response { $all }) = response else { return None };
                Some($all)
            }

            fn response($all: Vec<Self>) -> ResponseKind<'a> {
                ResponseKind::$variant($response { $all })
            }

            fn failed(code: Code, err_msg: Text<'a>) -> Self {
                Self { err_code: code.number(), err_msg, ..Self::default() }
            }

            fn name(&mut self, path: Text<'a>) {
                self.$path = path;
            }

            fn absorb(&mut self, other: Self) {
                match (self.err_code, other.err_code) {
                    (0, 0) => self.$list.extend(other.$list),
                    (_, 0) => *self = other,
                    (_, _) => {}
                }
            }

            fn keep(&mut self, seen: Seen<'_>, path: &str, first_level: bool) {
                if self.err_code != 0 {
                    self.err_code = Code::new(self.err_code).unwrap_or(Code::INTERNAL).number();
                    self.$list.clear();
                }
                $keep(self, seen, path, first_level);
            }
        }
    };
}

fn seen_entries(entries: &mut Vec<Entry<'_>>, at: &str, seen: Seen<'_>) {
    entries.retain(|one| seen.shows(&format!("{at}{}", one.key)));
}

fn keep_values(one: &mut RequestedPath<'_>, seen: Seen<'_>, path: &str, _: bool) {
    one.resolved_path_results.retain_mut(|place| {
        let was_empty = place.result_params.is_empty();
        seen_entries(&mut place.result_params, &place.resolved_path, seen);
        !place.result_params.is_empty() || (was_empty && seen.shows(&place.resolved_path))
    });
    let one_parameter =
        Path::parse(path).is_ok_and(|path| path.is_plain() && matches!(path.leaf, Leaf::Parameter(_)));
    if one_parameter && one.err_code == 0 && one.resolved_path_results.is_empty() {
        *one = Result::failed(Code::INVALID_PATH, Code::INVALID_PATH.words().into());
    }
}

fn keep_instances(one: &mut RequestedInstances<'_>, seen: Seen<'_>, _: &str, _: bool) {
    one.curr_insts.retain_mut(|row| {
        seen_entries(&mut row.unique_keys, &row.instantiated_obj_path, seen);
        seen.shows(&row.instantiated_obj_path)
    });
}

fn keep_objects(one: &mut RequestedObject<'_>, seen: Seen<'_>, path: &str, first_level: bool) {
    one.supported_objs.retain_mut(|object| {
        let at = object.supported_obj_path.clone();
        let rest = at.strip_prefix(path).unwrap_or_default();
        let deeper = rest.split('.').filter(|name| !name.is_empty() && *name != "{i}").count();
        let shows = |name: &str| seen.shows(&format!("{at}{name}"));
        object.supported_params.retain(|one| shows(&one.param_name));
        object.supported_commands.retain(|one| shows(&one.command_name));
        object.supported_events.retain(|one| shows(&one.event_name));
        seen.shows(&at) && (!first_level || deeper <= 1)
    });
}

read!(RequestedPath, Get(GetResp, req_path_results), requested_path, resolved_path_results, keep_values);
read!(
    RequestedInstances,
    GetInstances(GetInstancesResp, req_path_results),
    requested_path,
    curr_insts,
    keep_instances
);
read!(
    RequestedObject,
    GetSupportedDm(GetSupportedDmResp, req_obj_results),
    req_obj_path,
    supported_objs,
    keep_objects
);

impl<'a> Result<'a> for UpdatedObject<'a> {
    fn results(response: ResponseKind<'a>) -> Option<Vec<Self>> {
        let ResponseKind::Set(SetResp { updated_obj_results }) = response else { return None };
        Some(updated_obj_results)
    }

    fn response(updated_obj_results: Vec<Self>) -> ResponseKind<'a> {
        ResponseKind::Set(SetResp { updated_obj_results })
    }

    fn failed(code: Code, err_msg: Text<'a>) -> Self {
        let failure = NotUpdated { err_code: code.number(), err_msg, ..NotUpdated::default() };
        let oper_status = Some(UpdatedStatus { kind: Some(UpdatedKind::Failure(failure)) });
        Self { oper_status, ..Self::default() }
    }

    fn name(&mut self, path: Text<'a>) {
        self.requested_path = path;
    }

    fn absorb(&mut self, _: Self) {}

    fn keep(&mut self, seen: Seen<'_>, _: &str, _: bool) {
        match self.oper_status.as_mut().and_then(|status| status.kind.as_mut()) {
            Some(UpdatedKind::Success(updated)) => updated.updated_inst_results.retain_mut(|one| {
                seen_entries(&mut one.updated_params, &one.affected_path, seen);
                seen.is_its_own(&one.affected_path)
            }),
            Some(UpdatedKind::Failure(failure)) => {
                failure.updated_inst_failures.retain(|one| seen.is_its_own(&one.affected_path));
            }
            None => *self = Self::failed(Code::INTERNAL, Code::INTERNAL.words().into()),
        }
    }
}

/// The same of what is done or fails as a whole.
macro_rules! write {
    ($kind:ident, $status:ident, $which:ident, $variant:ident($response:ident, $list:ident), $keep:expr) => {
        impl<'a> Result<'a> for $kind<'a> {
            fn results(response: ResponseKind<'a>) -> Option<Vec<Self>> {
                let ResponseKind::$variant($response { $list }) = response else { return None };
                Some($list)
            }

            fn response($list: Vec<Self>) -> ResponseKind<'a> {
                ResponseKind::$variant($response { $list })
            }

            fn failed(code: Code, words: Text<'a>) -> Self {
                let kind = Some($which::Failure(Failure::new(code, words)));
                Self { oper_status: Some($status { kind }), ..Self::default() }
            }

            fn name(&mut self, path: Text<'a>) {
                self.requested_path = path;
            }

            fn absorb(&mut self, _: Self) {}

            fn keep(&mut self, seen: Seen<'_>, _: &str, _: bool) {
                let good = match self.oper_status.as_mut().and_then(|status| status.kind.as_mut()) {
                    Some($which::Success(success)) => $keep(success, seen),
                    Some($which::Failure(_)) => true,
                    None => false,
                };
                if !good {
                    *self = Self::failed(Code::INTERNAL, Code::INTERNAL.words().into());
                }
            }
        }
    };
}

fn keep_created(one: &mut usp::message::write::Created<'_>, seen: Seen<'_>) -> bool {
    seen_entries(&mut one.unique_keys, &one.instantiated_path, seen);
    seen.is_its_own(&one.instantiated_path)
}

fn keep_deleted(one: &mut usp::message::write::Deleted<'_>, seen: Seen<'_>) -> bool {
    one.affected_paths.retain(|path| seen.shows(path));
    one.unaffected_path_errs.retain(|error| seen.shows(&error.path));
    true
}

write!(CreatedObject, CreatedStatus, CreatedKind, Add(AddResp, created_obj_results), keep_created);
write!(DeletedObject, DeletedStatus, DeletedKind, Delete(DeleteResp, deleted_obj_results), keep_deleted);
