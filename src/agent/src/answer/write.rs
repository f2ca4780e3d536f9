//! Set, Add, Delete.
//!
//! `allow_partial` decides between objects: without it one that fails fails all. `required` decides within one: a parameter that is not
//! required may fail, and is named.
//!
//! Source: TR-369 §7.4 (R-ADD, R-SET, R-DEL).

use usp::Code;
use usp::message::write::{
    Add, AddResp, Created, CreatedKind, CreatedObject, CreatedStatus, Delete, DeleteResp, Deleted,
    DeletedKind, DeletedObject, DeletedStatus, InstanceFailure, NotUpdated, ParamSetting, SetResp, Updated,
    UpdatedInstance, UpdatedKind, UpdatedObject, UpdatedStatus,
};
use usp::message::{Entry, Failure, ParamError};
use usp::path::{Leaf, Path};

use super::Refusal;
use super::read::instance;
use crate::access::Access;
use crate::model::{Object, Order, Parameter, Set};
use crate::resolve::{Place, Spot, spots};
use crate::settings::Settings;
use crate::world::World;

/// Objects of one request.
const OBJECTS_MAX: usize = 128;

/// What became of the parameters of one object.
#[derive(Default)]
struct Changed {
    good: Vec<Entry<'static>>,
    bad: Vec<ParamError<'static>>,
    /// One of the bad ones was required.
    failed: bool,
    /// What other rooms have to do.
    orders: Vec<Order>,
}

fn failed_at<T>(code: Code, at: &str, words: &str) -> Result<T, Refusal> {
    Err(Refusal::of_paths(code, vec![ParamError::new(at.to_owned(), code, words.to_owned())]))
}

fn objects_at(world: &World, text: &str) -> Result<Vec<Spot>, Code> {
    let path = Path::parse(text).map_err(|_| Code::INVALID_PATH_SYNTAX)?;
    if path.leaf != Leaf::Object {
        return Err(Code::INVALID_PATH);
    }
    spots(world, &path)
}

fn change(
    world: &World,
    settings: &mut Settings,
    access: Access<'_>,
    (place, wishes): (&Place, &[ParamSetting<'_>]),
) -> Changed {
    let at = place.path();
    let mut changed = Changed::default();
    for wish in wishes {
        let path = format!("{at}{}", wish.param);
        let outcome = match place.object.parameter(&wish.param) {
            None => Err(Code::UNSUPPORTED_PARAMETER),
            Some(_) if !access.at(&path).write => Err(Code::PERMISSION_DENIED),
            Some(parameter) => match parameter.set {
                None => Err(Code::NOT_WRITEABLE),
                Some(Set::Say(set)) => set(settings, &place.rows, &wish.value),
                Some(Set::Own(set) | Set::Secret(set)) => set(world, settings, &place.rows, &wish.value),
                Some(Set::Order(order)) => {
                    order(world, &place.rows, &wish.value).map(|order| changed.orders.push(order))
                }
            },
        };
        match outcome {
            Ok(()) if access.at(&path).read => {
                let is_secret = place.object.parameter(&wish.param).is_some_and(Parameter::is_secret);
                let value = if is_secret { String::new() } else { wish.value.clone().into_owned() };
                changed.good.push(Entry::new(wish.param.clone().into_owned(), value));
            }
            Ok(()) => {}
            Err(code) => {
                changed.failed |= wish.required;
                changed.bad.push(ParamError::new(wish.param.clone().into_owned(), code, code.words()));
            }
        }
    }
    changed
}

/// Errors of one object's parameters, with whole paths, as an Error has them.
fn whole(at: &str, errors: &[ParamError<'static>]) -> Vec<ParamError<'static>> {
    let whole = |error: &ParamError<'static>| ParamError {
        path: format!("{at}{}", error.path).into(),
        ..error.clone()
    };
    errors.iter().map(whole).collect()
}

/// The answer, and what other rooms have to do before it is true.
pub(super) fn set(
    world: &mut World,
    row: u32,
    set: &usp::message::write::Set<'_>,
) -> Result<(SetResp<'static>, Vec<Order>), Refusal> {
    if set.update_objs.len() > OBJECTS_MAX {
        return Err(Refusal::new(Code::RESOURCES_EXCEEDED, "too many objects"));
    }
    let mut draft = world.settings.clone();
    let (mut results, mut orders) = (Vec::new(), Vec::new());
    for update in &set.update_objs {
        let text = update.obj_path.as_ref();
        let mut attempt = draft.clone();
        let kind = match set_one(world, row, (text, &update.param_settings), &mut attempt) {
            Ok((updated, more)) => {
                draft = attempt;
                orders.extend(more);
                UpdatedKind::Success(updated)
            }
            Err((code, failures)) if set.allow_partial => UpdatedKind::Failure(NotUpdated {
                err_code: code.number(),
                err_msg: code.words().into(),
                updated_inst_failures: failures,
            }),
            Err((code, failures)) if failures.is_empty() => return failed_at(code, text, code.words()),
            Err((code, failures)) => {
                let paths = failures.iter().flat_map(|one| whole(&one.affected_path, &one.param_errs));
                return Err(Refusal::of_paths(code, paths.collect()));
            }
        };
        let oper_status = Some(UpdatedStatus { kind: Some(kind) });
        results.push(UpdatedObject { requested_path: text.to_owned().into(), oper_status });
    }
    world.settings = draft;
    Ok((SetResp { updated_obj_results: results }, orders))
}

fn set_one(
    world: &World,
    row: u32,
    (text, wishes): (&str, &[ParamSetting<'_>]),
    draft: &mut Settings,
) -> Result<(Updated<'static>, Vec<Order>), (Code, Vec<InstanceFailure<'static>>)> {
    let access = Access::of(world, row);
    let (mut done, mut failures, mut orders) = (Vec::new(), Vec::new(), Vec::new());
    for spot in objects_at(world, text).map_err(|code| (code, Vec::new()))? {
        let object = spot.object().ok_or((Code::INVALID_PATH, Vec::new()))?;
        let place = Place { object, rows: spot.rows };
        let changed = change(world, draft, access, (&place, wishes));
        orders.extend(changed.orders);
        let affected_path = place.path().into();
        if changed.failed {
            failures.push(InstanceFailure { affected_path, param_errs: changed.bad });
        } else {
            done.push(UpdatedInstance {
                affected_path,
                param_errs: changed.bad,
                updated_params: changed.good,
            });
        }
    }
    if failures.is_empty() {
        Ok((Updated { updated_inst_results: done }, orders))
    } else {
        Err((Code::REQUIRED_PARAMETER_FAILED, failures))
    }
}

pub(super) fn add(world: &mut World, row: u32, add: &Add<'_>) -> Result<AddResp<'static>, Refusal> {
    if add.create_objs.len() > OBJECTS_MAX {
        return Err(Refusal::new(Code::RESOURCES_EXCEEDED, "too many objects"));
    }
    let before = world.settings.clone();
    let mut results = Vec::new();
    for create in &add.create_objs {
        let text = create.obj_path.as_ref();
        let tables = objects_at(world, text).and_then(|spots| {
            let table = |spot: Spot| spot.table().map(|table| (spot, table)).ok_or(Code::NOT_A_TABLE);
            spots.into_iter().map(table).collect::<Result<Vec<_>, Code>>()
        });
        let kinds = match tables {
            Err(code) => vec![Err((code, Vec::new()))],
            Ok(tables) => {
                let one = |(spot, table): (Spot, _)| {
                    add_one(world, row, &spot.rows, (table, &create.param_settings))
                };
                tables.into_iter().map(one).collect()
            }
        };
        for kind in kinds {
            let kind = match kind {
                Ok(created) => CreatedKind::Success(created),
                Err((code, _)) if add.allow_partial => CreatedKind::Failure(Failure::new(code, code.words())),
                Err((code, errors)) => {
                    world.settings = before;
                    return if errors.is_empty() {
                        failed_at(code, text, code.words())
                    } else {
                        Err(Refusal::of_paths(code, whole(text, &errors)))
                    };
                }
            };
            let oper_status = Some(CreatedStatus { kind: Some(kind) });
            results.push(CreatedObject { requested_path: text.to_owned().into(), oper_status });
        }
    }
    Ok(AddResp { created_obj_results: results })
}

fn add_one(
    world: &mut World,
    row: u32,
    above: &[u32],
    (table, wishes): (&'static Object, &[ParamSetting<'_>]),
) -> Result<Created<'static>, (Code, Vec<ParamError<'static>>)> {
    let fail = |code| (code, Vec::new());
    let made = table.made.ok_or(fail(Code::NOT_CREATABLE))?;
    let rows_of = |number: u32| above.iter().copied().chain([number]).collect::<Vec<u32>>();
    // Of a row that is not there yet only the table is known.
    if !Access::of(world, row).at(&table.place(above)).write {
        return Err(fail(Code::PERMISSION_DENIED));
    }
    let mut draft = world.settings.clone();
    let number = (made.add)(world, &mut draft, above, row).map_err(fail)?;
    let place = Place { object: table, rows: rows_of(number) };
    let changed = change(world, &mut draft, Access::of(world, row), (&place, wishes));
    if changed.failed {
        return Err((Code::REQUIRED_PARAMETER_FAILED, changed.bad));
    }
    if (made.is_twin)(&draft, &place.rows) {
        return Err(fail(Code::DUPLICATE_KEY));
    }
    world.settings = draft;
    let instance = instance(world, Access::of(world, row), &place);
    Ok(Created {
        instantiated_path: instance.instantiated_obj_path,
        param_errs: changed.bad,
        unique_keys: instance.unique_keys,
    })
}

pub(super) fn delete(
    world: &mut World,
    row: u32,
    delete: &Delete<'_>,
) -> Result<DeleteResp<'static>, Refusal> {
    if delete.obj_paths.len() > OBJECTS_MAX {
        return Err(Refusal::new(Code::RESOURCES_EXCEEDED, "too many objects"));
    }
    let before = world.settings.clone();
    let mut results = Vec::new();
    for text in &delete.obj_paths {
        let kind = match delete_one(world, row, text) {
            Ok(deleted) => DeletedKind::Success(deleted),
            Err(code) if delete.allow_partial => DeletedKind::Failure(Failure::new(code, code.words())),
            Err(code) => {
                world.settings = before;
                return failed_at(code, text, code.words());
            }
        };
        let oper_status = Some(DeletedStatus { kind: Some(kind) });
        results.push(DeletedObject { requested_path: text.clone().into_owned().into(), oper_status });
    }
    Ok(DeleteResp { deleted_obj_results: results })
}

fn delete_one(world: &mut World, row: u32, text: &str) -> Result<Deleted<'static>, Code> {
    let spots = match objects_at(world, text) {
        // What is not there is gone (R-DEL.2a).
        Err(Code::OBJECT_DOES_NOT_EXIST) => return Ok(Deleted::default()),
        other => other?,
    };
    let mut affected = Vec::new();
    let mut gone = Vec::new();
    for spot in spots {
        let object = spot.object().filter(|object| object.rows.is_some()).ok_or(Code::NOT_A_TABLE)?;
        let made = object.made.ok_or(Code::DELETE_FAILURE)?;
        let place = Place { object, rows: spot.rows };
        let access = Access::of(world, row);
        if !access.at(&place.path()).write {
            return Err(Code::PERMISSION_DENIED);
        }
        if access.at(&place.path()).read {
            affected.push(place.path().into());
        }
        gone.push((made, place.rows));
    }
    for (made, rows) in gone {
        (made.remove)(&mut world.settings, &rows);
    }
    Ok(Deleted { affected_paths: affected, unaffected_path_errs: Vec::new() })
}
