//! Get, GetInstances, GetSupportedDM.
//!
//! What a controller may not read is not there for it (R-GET.1, R-GIN.0, R-GSP.0).

use usp::message::Entry;
use usp::message::read::{
    Get, GetInstances, GetInstancesResp, GetResp, GetSupportedDm, GetSupportedDmResp, Instance, ParamAccess,
    RequestedInstances, RequestedObject, RequestedPath, ResolvedPath, SupportedCommand, SupportedEvent,
    SupportedObject, SupportedParam, UniqueKeys, ValueChangeType,
};
use usp::path::{Leaf, Path, Step};
use usp::{Code, Text};

use crate::access::Access;
use crate::model::{Object, objects};
use crate::resolve::{Place, parameters, spots};
use crate::world::World;

/// Source: TR-181 2.19.1.
const MODEL_URI: &str = "urn:broadband-forum-org:tr-181-2-19-1-usp";
/// Paths of one request.
const PATHS_MAX: usize = 256;

pub(super) fn get(world: &World, access: Access<'_>, get: &Get<'_>) -> GetResp<'static> {
    let depth = usize::try_from(get.max_depth).unwrap_or(0);
    let paths = get.param_paths.iter().take(PATHS_MAX);
    let results = paths.map(|text| match values(world, access, text, depth) {
        Ok(resolved) => RequestedPath {
            requested_path: text.clone().into_owned().into(),
            resolved_path_results: resolved,
            ..RequestedPath::default()
        },
        Err((code, words)) => RequestedPath {
            requested_path: text.clone().into_owned().into(),
            err_code: code.number(),
            err_msg: words,
            ..RequestedPath::default()
        },
    });
    GetResp { req_path_results: results.collect() }
}

type Why = (Code, Text<'static>);

fn parse(text: &str) -> Result<Path<'_>, Why> {
    Path::parse(text).map_err(|error| (Code::INVALID_PATH_SYNTAX, error.to_string().into()))
}

fn why(code: Code) -> Why {
    (code, code.words().into())
}

/// A row that is not there is an invalid path to those who read (R-GET.0).
fn missing(code: Code) -> Why {
    why(if code == Code::OBJECT_DOES_NOT_EXIST { Code::INVALID_PATH } else { code })
}

fn values(
    world: &World,
    access: Access<'_>,
    text: &str,
    depth: usize,
) -> Result<Vec<ResolvedPath<'static>>, Why> {
    let path = parse(text)?;
    let mut resolved = Vec::new();
    let found = parameters(world, access, (&path, depth)).map_err(missing)?;
    let asked_for_one = path.is_plain() && matches!(path.leaf, Leaf::Parameter(_));
    for (place, parameters) in found {
        let at = place.path();
        let readable = parameters.iter().filter(|one| access.at(&format!("{at}{}", one.name)).read);
        let params: Vec<Entry<'static>> =
            readable.filter_map(|one| Some(Entry::new(one.name, (one.get)(world, &place.rows)?))).collect();
        if params.is_empty() && asked_for_one {
            return Err(why(Code::INVALID_PATH));
        }
        // What has no value at all is not there: a transport's object in the row of another one.
        let is_there = parameters.iter().any(|one| (one.get)(world, &place.rows).is_some());
        if !params.is_empty() || (path.leaf == Leaf::Object && access.at(&at).read && is_there) {
            resolved.push(ResolvedPath { resolved_path: at.into(), result_params: params });
        }
    }
    Ok(resolved)
}

pub(super) fn instances(
    world: &World,
    access: Access<'_>,
    get: &GetInstances<'_>,
) -> GetInstancesResp<'static> {
    let paths = get.obj_paths.iter().take(PATHS_MAX);
    let results = paths.map(|text| {
        let requested_path: Text<'static> = text.clone().into_owned().into();
        match rows(world, access, text, get.first_level_only) {
            Ok(curr_insts) => {
                RequestedInstances { requested_path, curr_insts, ..RequestedInstances::default() }
            }
            Err((code, err_msg)) => RequestedInstances {
                requested_path,
                err_code: code.number(),
                err_msg,
                ..RequestedInstances::default()
            },
        }
    });
    GetInstancesResp { req_path_results: results.collect() }
}

fn rows(
    world: &World,
    access: Access<'_>,
    text: &str,
    first_level_only: bool,
) -> Result<Vec<Instance<'static>>, Why> {
    let path = parse(text)?;
    if path.leaf != Leaf::Object {
        return Err(why(Code::INVALID_PATH));
    }
    let mut found = Vec::new();
    for spot in spots(world, access, &path).map_err(why)? {
        let table = spot.table();
        if table.is_none() && spot.rows.is_empty() && first_level_only {
            return Err(why(Code::NOT_A_TABLE));
        }
        let own = |object: &Object| table.is_some_and(|table| table.path == object.path);
        for place in spot.below(world, 0) {
            let is_row = place.object.rows.is_some() && place.rows.len() > spot.rows.len();
            if is_row && (!first_level_only || own(place.object)) && place.all().all(|at| access.at(&at).read)
            {
                found.push(instance(world, access, &place));
            }
        }
    }
    Ok(found)
}

/// A row and what it is known by, as far as this controller may read that (R-GIN.1).
pub(super) fn instance(world: &World, access: Access<'_>, place: &Place) -> Instance<'static> {
    let at = place.path();
    let keys = place.keys(world).into_iter().filter(|(name, _)| access.at(&format!("{at}{name}")).read);
    let unique_keys = keys.map(|(name, value)| Entry::new(name, value)).collect();
    Instance { instantiated_obj_path: at.into(), unique_keys }
}

pub(super) fn supported(access: Access<'_>, get: &GetSupportedDm<'_>) -> GetSupportedDmResp<'static> {
    let paths = get.obj_paths.iter().take(PATHS_MAX);
    let results = paths.map(|text| {
        let req_obj_path: Text<'static> = text.clone().into_owned().into();
        match supported_below(access, text, get) {
            Ok(supported_objs) => RequestedObject {
                req_obj_path,
                data_model_inst_uri: MODEL_URI.into(),
                supported_objs,
                ..RequestedObject::default()
            },
            Err((code, err_msg)) => RequestedObject {
                req_obj_path,
                err_code: code.number(),
                err_msg,
                ..RequestedObject::default()
            },
        }
    });
    GetSupportedDmResp { req_obj_results: results.collect() }
}

fn supported_below(
    access: Access<'_>,
    text: &str,
    get: &GetSupportedDm<'_>,
) -> Result<Vec<SupportedObject<'static>>, Why> {
    let mut path = parse(text)?;
    if path.leaf != Leaf::Object {
        return Err(why(Code::INVALID_PATH));
    }
    for step in &mut path.steps {
        match step {
            Step::Name(_) | Step::Row => {}
            Step::Instance(_) | Step::Each => *step = Step::Row,
            Step::Search(_) | Step::Follow(..) => return Err(why(Code::INVALID_PATH)),
        }
    }
    let schema = path.to_string();
    let mut found = Vec::new();
    let below = objects().filter(|object| object.path.starts_with(&schema)).filter(|object| {
        let rest = object.path.get(schema.len()..).unwrap_or_default();
        let names = rest.split('.').filter(|name| !name.is_empty() && *name != "{i}").count();
        !get.first_level_only || names <= 1
    });
    for object in below.filter(|object| access.at(object.path).read) {
        found.push(supported_object(access, object, get));
    }
    if found.is_empty() { Err(why(Code::INVALID_PATH)) } else { Ok(found) }
}

fn supported_object(
    access: Access<'_>,
    object: &'static Object,
    get: &GetSupportedDm<'_>,
) -> SupportedObject<'static> {
    let at = |name: &str| access.at(&format!("{}{name}", object.path)).read;
    let commands = object.commands.iter().filter(|one| get.return_commands && at(&format!("{}()", one.name)));
    let events = object.events.iter().filter(|one| get.return_events && at(&format!("{}!", one.name)));
    let parameters = object.parameters.iter().filter(|one| get.return_params && at(one.name));
    let list = |names: &[&'static str]| {
        names.iter().map(|name| Text::Borrowed(name.trim_start_matches('*'))).collect::<Vec<Text<'static>>>()
    };
    SupportedObject {
        supported_obj_path: object.path.into(),
        access: object.access,
        is_multi_instance: object.rows.is_some(),
        supported_commands: commands
            .map(|one| SupportedCommand {
                command_name: format!("{}()", one.name).into(),
                input_arg_names: list(one.inputs),
                output_arg_names: list(one.outputs),
                command_type: one.kind,
            })
            .collect(),
        supported_events: events
            .map(|one| SupportedEvent {
                event_name: format!("{}!", one.name).into(),
                arg_names: list(one.arguments),
            })
            .collect(),
        supported_params: parameters
            .map(|one| SupportedParam {
                param_name: one.name.into(),
                access: if one.set.is_some() { ParamAccess::ReadWrite } else { ParamAccess::ReadOnly },
                value_type: one.kind,
                value_change: if one.tells { ValueChangeType::Allowed } else { ValueChangeType::WillIgnore },
            })
            .collect(),
        divergent_paths: Vec::new(),
        unique_key_sets: if get.return_unique_key_sets {
            object.keys.iter().map(|set| UniqueKeys { key_names: list(set) }).collect()
        } else {
            Vec::new()
        },
    }
}
