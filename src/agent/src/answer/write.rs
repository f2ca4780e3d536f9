//! Set, Add, Delete.
//!
//! `allow_partial` decides between objects: without it one that fails fails all. `required` decides within one: a parameter that is not
//! required may fail, and is named.
//!
//! What is changed is a [`Draft`]: it takes the place of what was there once all of it was good. The wanted network in it is one thing, whose
//! rules hold at the end of the request, and, with `allow_partial`, after each object.
//!
//! Source: TR-369 §7.4 (R-ADD, R-SET, R-DEL).

use std::rc::Rc;

use contract::wanted::Wanted;
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
use crate::network::Places;
use crate::resolve::{Place, Spot, spots};
use crate::settings::Settings;
use crate::world::World;

/// Objects of one request.
const OBJECTS_MAX: usize = 128;

/// What a request changes.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    settings: Settings,
    wanted: Option<Rc<Wanted>>,
    places: Places,
}

impl Draft {
    /// Of what is there.
    pub(super) fn of(world: &World) -> Self {
        Self {
            settings: world.settings.clone(),
            wanted: world.network.wanted.clone(),
            places: world.network.rows.clone(),
        }
    }

    /// It is what is there now.
    pub(super) fn put(self, world: &mut World) {
        world.settings = self.settings;
        world.network.wanted = self.wanted;
        world.network.rows = self.places;
        world.network.settle();
    }

    fn network(&mut self) -> Result<(&mut Wanted, &mut Places), Code> {
        let wanted = self.wanted.as_mut().ok_or(Code::INTERNAL)?;
        Ok((Rc::make_mut(wanted), &mut self.places))
    }

    /// The rule of the wanted network that it breaks.
    fn fault(&self, world: &World) -> Option<&'static str> {
        self.wanted.as_ref().filter(|_| self.touches_network(world))?.fault()
    }

    fn touches_network(&self, world: &World) -> bool {
        match (&self.wanted, &world.network.wanted) {
            (Some(now), Some(before)) => !Rc::ptr_eq(now, before) && now != before,
            (_, _) => false,
        }
    }

    /// What `network` has to do before it is true.
    fn order(&self, world: &World, row: u32) -> Option<Order> {
        let wanted = self.wanted.clone().filter(|_| self.touches_network(world))?;
        Some(Order::Network(wanted, row))
    }
}

/// Why the wanted network cannot be so: at which path, and which rule.
fn against<T>(at: &str, rule: &str) -> Result<T, Refusal> {
    let words = format!("{at}: {rule}");
    let path = ParamError::new(at.to_owned(), Code::INVALID_CONFIGURATION, rule.to_owned());
    Err(Refusal { code: Code::INVALID_CONFIGURATION, words, paths: vec![path] })
}

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

fn objects_at(world: &World, row: u32, text: &str) -> Result<Vec<Spot>, Code> {
    let path = Path::parse(text).map_err(|_| Code::INVALID_PATH_SYNTAX)?;
    if path.leaf != Leaf::Object {
        return Err(Code::INVALID_PATH);
    }
    spots(world, Access::of(world, row), &path)
}

fn change(
    world: &World,
    draft: &mut Draft,
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
                Some(Set::Say(set)) => set(&mut draft.settings, &place.rows, &wish.value),
                Some(Set::Own(set) | Set::Secret(set)) => {
                    set(world, &mut draft.settings, &place.rows, &wish.value)
                }
                Some(Set::Network(set) | Set::Hidden(set)) => {
                    draft.network().and_then(|(wanted, places)| set(wanted, places, &place.rows, &wish.value))
                }
                Some(Set::Order(set)) => set(world, &mut draft.settings, &place.rows, &wish.value)
                    .map(|orders| changed.orders.extend(orders)),
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
    let mut draft = Draft::of(world);
    let (mut results, mut orders) = (Vec::new(), Vec::new());
    for update in &set.update_objs {
        let text = update.obj_path.as_ref();
        let mut attempt = draft.clone();
        let kind = match set_one(world, row, (text, &update.param_settings), &mut attempt) {
            Ok((updated, more)) => {
                if let Some(rule) = attempt.fault(world).filter(|_| set.allow_partial) {
                    let failure = UpdatedKind::Failure(NotUpdated {
                        err_code: Code::INVALID_CONFIGURATION.number(),
                        err_msg: rule.into(),
                        updated_inst_failures: Vec::new(),
                    });
                    let oper_status = Some(UpdatedStatus { kind: Some(failure) });
                    results.push(UpdatedObject { requested_path: text.to_owned().into(), oper_status });
                    continue;
                }
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
    if let Some(rule) = draft.fault(world) {
        let first = set.update_objs.first().map_or("", |one| one.obj_path.as_ref());
        return against(first, rule);
    }
    orders.extend(draft.order(world, row));
    draft.put(world);
    Ok((SetResp { updated_obj_results: results }, orders))
}

fn set_one(
    world: &World,
    row: u32,
    (text, wishes): (&str, &[ParamSetting<'_>]),
    draft: &mut Draft,
) -> Result<(Updated<'static>, Vec<Order>), (Code, Vec<InstanceFailure<'static>>)> {
    let access = Access::of(world, row);
    let (mut done, mut failures, mut orders) = (Vec::new(), Vec::new(), Vec::new());
    for spot in objects_at(world, row, text).map_err(|code| (code, Vec::new()))? {
        let object = spot.object().ok_or((Code::INVALID_PATH, Vec::new()))?;
        let place = Place { object, rows: spot.rows };
        let mut changed = change(world, draft, access, (&place, wishes));
        orders.extend(std::mem::take(&mut changed.orders));
        let affected_path = place.path().into();
        if object.made.is_some_and(|made| (made.is_twin)(&draft.settings, &place.rows)) {
            return Err((Code::DUPLICATE_KEY, Vec::new())); // R-KEY.2
        }
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

/// The answer, and what other rooms have to do before it is true.
pub(super) fn add(
    world: &mut World,
    row: u32,
    add: &Add<'_>,
) -> Result<(AddResp<'static>, Vec<Order>), Refusal> {
    if add.create_objs.len() > OBJECTS_MAX {
        return Err(Refusal::new(Code::RESOURCES_EXCEEDED, "too many objects"));
    }
    let before = Draft::of(world);
    let mut results = Vec::new();
    for create in &add.create_objs {
        let text = create.obj_path.as_ref();
        let tables = objects_at(world, row, text).and_then(|spots| {
            let table = |spot: Spot| spot.table().map(|table| (spot, table)).ok_or(Code::NOT_A_TABLE);
            spots.into_iter().map(table).collect::<Result<Vec<_>, Code>>()
        });
        let kinds = match tables {
            Err(code) => vec![Err((code, Vec::new()))],
            // A search that finds nothing is no failure (R-MSG.4a).
            Ok(tables) if tables.is_empty() => vec![Ok(Created::default())],
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
                    before.put(world);
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
    let first = add.create_objs.first().map_or("", |one| one.obj_path.as_ref());
    let orders = orders_since(world, row, (before, first))?;
    Ok((AddResp { created_obj_results: results }, orders))
}

/// What `network` has to do for what has become of the draft `before`; where that breaks a rule it is there again.
fn orders_since(world: &mut World, row: u32, (before, at): (Draft, &str)) -> Result<Vec<Order>, Refusal> {
    let mut was = world.clone();
    let now = Draft::of(world);
    before.clone().put(&mut was);
    if let Some(rule) = now.fault(&was) {
        before.put(world);
        return against(at, rule);
    }
    Ok(now.order(&was, row).into_iter().collect())
}

fn add_one(
    world: &mut World,
    row: u32,
    above: &[u32],
    (table, wishes): (&'static Object, &[ParamSetting<'_>]),
) -> Result<Created<'static>, (Code, Vec<ParamError<'static>>)> {
    let fail = |code| (code, Vec::new());
    // Of a row that is not there yet only the table is known.
    let may = || Access::of(world, row).at(&table.place(above)).write;
    let mut draft = Draft::of(world);
    let number = match (table.made, table.grows) {
        (None, None) => Err(Code::NOT_CREATABLE),
        (_, _) if !may() => Err(Code::PERMISSION_DENIED),
        (Some(made), _) => (made.add)(world, &mut draft.settings, above, row),
        (None, Some(grow)) => draft.network().and_then(|(wanted, places)| (grow.add)(wanted, places, above)),
    };
    let rows = above.iter().copied().chain([number.map_err(fail)?]).collect();
    let place = Place { object: table, rows };
    let changed = change(world, &mut draft, Access::of(world, row), (&place, wishes));
    if changed.failed {
        return Err((Code::REQUIRED_PARAMETER_FAILED, changed.bad));
    }
    if table.made.is_some_and(|made| (made.is_twin)(&draft.settings, &place.rows)) {
        return Err(fail(Code::DUPLICATE_KEY));
    }
    draft.put(world);
    let instance = instance(world, Access::of(world, row), &place);
    Ok(Created {
        instantiated_path: instance.instantiated_obj_path,
        param_errs: changed.bad,
        unique_keys: instance.unique_keys,
    })
}

/// The answer, and what other rooms have to do before it is true.
pub(super) fn delete(
    world: &mut World,
    row: u32,
    delete: &Delete<'_>,
) -> Result<(DeleteResp<'static>, Vec<Order>), Refusal> {
    if delete.obj_paths.len() > OBJECTS_MAX {
        return Err(Refusal::new(Code::RESOURCES_EXCEEDED, "too many objects"));
    }
    let before = Draft::of(world);
    let mut results = Vec::new();
    for text in &delete.obj_paths {
        let kind = match delete_one(world, row, (text, delete.allow_partial)) {
            Ok(deleted) => DeletedKind::Success(deleted),
            Err(code) if delete.allow_partial => DeletedKind::Failure(Failure::new(code, code.words())),
            Err(code) => {
                before.put(world);
                return failed_at(code, text, code.words());
            }
        };
        let oper_status = Some(DeletedStatus { kind: Some(kind) });
        results.push(DeletedObject { requested_path: text.clone().into_owned().into(), oper_status });
    }
    let first = delete.obj_paths.first().map_or("", |path| path.as_ref());
    let orders = orders_since(world, row, (before, first))?;
    Ok((DeleteResp { deleted_obj_results: results }, orders))
}

/// Of several places a part may go where `partly` is said; why the others do not is said of each (R-DEL.3).
fn delete_one(world: &mut World, row: u32, (text, partly): (&str, bool)) -> Result<Deleted<'static>, Code> {
    let spots = match objects_at(world, row, text) {
        // What is not there is gone (R-DEL.2a).
        Err(Code::OBJECT_DOES_NOT_EXIST) => return Ok(Deleted::default()),
        other => other?,
    };
    let access = Access::of(world, row);
    let (mut deleted, mut first, mut any) = (Deleted::default(), None, false);
    let mut draft = Draft::of(world);
    for spot in spots {
        let object = spot.object().filter(|object| object.rows.is_some()).ok_or(Code::NOT_A_TABLE)?;
        if object.made.is_none() && object.grows.is_none() {
            return Err(Code::DELETE_FAILURE);
        }
        let place = Place { object, rows: spot.rows };
        let (at, may) = (place.path(), access.at(&place.path()));
        match delete_row(&mut draft, &place, may.write) {
            Ok(()) => {
                any = true;
                if may.read {
                    deleted.affected_paths.push(at.into());
                }
            }
            Err(code) if partly => {
                first = first.or(Some(code));
                if may.read {
                    deleted.unaffected_path_errs.push(ParamError::new(at, code, code.words()));
                }
            }
            Err(code) => return Err(code),
        }
    }
    if let Some(code) = first.filter(|_| !any) {
        return Err(code);
    }
    draft.put(world);
    Ok(deleted)
}

fn delete_row(draft: &mut Draft, place: &Place, may: bool) -> Result<(), Code> {
    if !may {
        return Err(Code::PERMISSION_DENIED);
    }
    if let Some(made) = place.object.made {
        (made.remove)(&mut draft.settings, &place.rows);
    }
    if let Some(grow) = place.object.grows {
        let (wanted, places) = draft.network()?;
        (grow.delete)(wanted, places, &place.rows)?;
    }
    Ok(())
}
