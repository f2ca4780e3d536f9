//! `Device.SoftwareModules.DeploymentUnit.{i}.`: bundles that are installed; and orders about them.
//!
//! A unit is there once it is installed: what fails leaves none. What an order says that cannot be is told as its end, with TR-181's fault,
//! where the standard has one; an argument that is none is refused at once (7027).

use contract::Name;
use contract::limit::SOURCE_BYTES;
use contract::packages::{State, Unit};
use usp::Code;
use usp::message::read::CommandType;
use usp::message::read::ValueType as T;

use super::environment::{path, referenced};
use super::{Argument, Command, Event, Object, Order, boolean, read};
use crate::job::{End, Job, What, Wishes};
use crate::roles;
use crate::uuid;
use crate::world::{World, date};

/// How an order has ended before it begins, and why, in words.
type Fault = (End, &'static str);

/// Letters of a name, and of a word, that may fetch. Source: `contract::packages::Install`.
const USERNAME_MAX: usize = 64;
const PASSWORD_MAX: usize = 128;

fn unit(world: &World, rows: &[u32], get: fn(&Unit) -> String) -> Option<String> {
    world.bundle(*rows.first()?).map(get)
}

/// What a unit is called everywhere: as its operator has said, or as its name says.
pub(crate) fn uuid_of(unit: &Unit) -> String {
    uuid_said(&unit.tag, &unit.name, &unit.provider)
}

/// The same of one that is gone.
pub(super) fn uuid_said(tag: &str, service: &Name, provider: &Name) -> String {
    uuid::read(tag).unwrap_or_else(|| uuid::of(service, provider))
}

/// A time of `package`'s.
pub(super) fn time(seconds: u64) -> String {
    date(i64::try_from(seconds).ok())
}

fn now_s(world: &World) -> u64 {
    world.facts.now_s.and_then(|now_s| u64::try_from(now_s).ok()).unwrap_or(0)
}

/// An order without anything said.
fn blank(world: &World, what: What) -> Job {
    Job {
        what,
        service: None,
        uuid: String::new(),
        tag: String::new(),
        url: String::new(),
        username: String::new(),
        password: String::new(),
        slice: None,
        drop_data: false,
        image: [0; 32],
        version: 0,
        begun_s: now_s(world),
        wishes: Wishes::default(),
        restarts: None,
    }
}

/// Where a bundle is, and who may fetch it.
fn source(job: &mut Job, argument: Argument<'_>) -> Result<Option<Fault>, Code> {
    let said = |name: &str, most: usize| {
        let text = argument(name).unwrap_or_default();
        super::text(&text, most).map_err(|_| Code::INVALID_COMMAND_ARGUMENTS)
    };
    (job.username, job.password) = (said("Username", USERNAME_MAX)?, said("Password", PASSWORD_MAX)?);
    let url = said("URL", SOURCE_BYTES)?;
    if !url.is_empty() {
        job.url = url;
    }
    let host = job.url.split_once("://").map_or(job.url.as_str(), |(_, rest)| rest);
    let named = host.split(['/', '?', '#']).next().is_some_and(|host| host.contains('@'));
    let fault = (End::Nonsense(Code::INVALID_ARGUMENTS.number()), "URL: it may not say who fetches");
    // Not even in a list of what was asked.
    if named {
        job.url = String::new();
    }
    Ok(named.then_some(fault))
}

/// Roles that the service shall have.
fn wishes(argument: Argument<'_>) -> Result<Wishes, Code> {
    let list = |name: &str| argument(name).map(|text| roles::list(&text)).transpose();
    Ok(Wishes { required: list("RequiredRoles")?, optional: list("OptionalRoles")? })
}

/// What its slice does not have for its services is refused; what is only liked is left out when the bundle has come. Nobody has an account here,
/// so there is no role of a user's.
fn beyond(world: &World, (job, slice): (&Job, Option<&Name>), argument: Argument<'_>) -> Option<Fault> {
    let refused = |code: Code, words| Some((End::Nonsense(code.number()), words));
    if argument("RequiredUserRoles").is_some_and(|list| !list.trim().is_empty()) {
        return refused(Code::UNAVAILABLE_USER_ROLE, "RequiredUserRoles: the environment has none");
    }
    let mut required = job.wishes.required.iter().flatten();
    if required.any(|role| !roles::may_require(world, slice, role)) {
        return refused(
            Code::UNAVAILABLE_ROLE,
            "RequiredRoles: one is not in the environment's AvailableRoles",
        );
    }
    if job.wishes.any() && roles::is_full(world, job.service.as_ref()) {
        return refused(
            Code::SYSTEM_RESOURCES_EXCEEDED,
            "RequiredRoles, OptionalRoles: too many services have some",
        );
    }
    None
}

/// What the standard lets a controller say, and what here is said elsewhere: arguments, and where. Whoever says one of them does not get something
/// else instead.
const ELSEWHERE: [(&str, &str); 9] = [
    ("ApplicationData.*", "ApplicationData: the bundle's manifest says what its service keeps"),
    ("EnvVariable.*", "EnvVariable: what a service is told is in X_SHG_Service.Configuration"),
    ("HostObject.*", "HostObject: the bundle's manifest says which devices its service uses"),
    ("ModuleVersion", "ModuleVersion: a bundle has one version"),
    ("NetworkConfig.*", "NetworkConfig: the bundle's manifest says its service's ports and reach"),
    ("RegisterTrustPaths", "RegisterTrustPaths: no part of the tree comes with a bundle"),
    ("Resources.*", "Resources: the bundle's manifest says floors and ceilings"),
    ("ShutdownDelay", "ShutdownDelay: the bundle's manifest says how long its service may take to end"),
    ("Signature", "Signature: it is in the bundle"),
];

/// An order that says what is said elsewhere.
fn elsewhere(argument: Argument<'_>) -> Option<Fault> {
    let refused = |words| Some((End::Nonsense(Code::INVALID_ARGUMENTS.number()), words));
    let says = |name: &str| argument(name).is_some_and(|said| !said.is_empty());
    if let Some(&(_, words)) = ELSEWHERE.iter().find(|(name, _)| says(name)) {
        return refused(words);
    }
    if argument("Privileged").is_some_and(|said| boolean(&said) == Ok(true)) {
        return refused("Privileged: no service is");
    }
    if super::restart::asks_for_others(argument) {
        return refused(
            "AutoRestart: its numbers are the same for every service, and stand in ExecutionUnit.{i}.AutoRestart",
        );
    }
    None
}

/// A slice that is off takes no operation.
fn off(world: &World, slice: Option<&Name>) -> Option<Fault> {
    let off = slice.is_some_and(|slice| !super::levels::is_on(world, slice));
    let code = Code::INVALID_EXEC_ENV_STATE.number();
    off.then_some((End::Nonsense(code), "ExecutionEnvRef: the environment is disabled"))
}

/// Another operation on the same unit is under way.
fn is_busy(world: &World, tag: &str) -> bool {
    let mut jobs = world.requests.iter().filter_map(|request| request.job.as_ref());
    !tag.is_empty() && jobs.any(|(job, _)| job.tag == tag)
}

/// `InstallDU()`.
pub(super) fn install(world: &World, argument: Argument<'_>) -> Result<Order, Code> {
    let mut job = blank(world, What::Install);
    let mut fault = source(&mut job, argument)?;
    if let Some(said) = argument("UUID").filter(|said| !said.is_empty()) {
        job.uuid = uuid::read(&said).ok_or(Code::INVALID_COMMAND_ARGUMENTS)?;
        job.tag.clone_from(&job.uuid);
        if world.facts.bundles.iter().any(|unit| uuid_of(unit) == job.uuid) {
            let code = Code::DUPLICATE_UNIT.number();
            fault = fault.or(Some((End::Nonsense(code), "UUID: this unit is installed already")));
        }
    } else {
        job.tag = format!("request-{}-{}", world.next_request, job.begun_s);
    }
    if let Some(said) = argument("ExecutionEnvRef").filter(|said| !said.is_empty()) {
        job.slice = referenced(world, &said);
        if job.slice.is_none() {
            let code = Code::UNKNOWN_EXEC_ENV.number();
            fault = fault.or(Some((End::Nonsense(code), "ExecutionEnvRef: there is no such environment")));
        }
    }
    if is_busy(world, &job.tag) {
        fault = fault.or(Some(busy()));
    }
    job.wishes = wishes(argument)?;
    let restarts = argument("AutoRestart.Enable").map(|said| boolean(&said)).transpose();
    job.restarts = restarts.map_err(|_| Code::INVALID_COMMAND_ARGUMENTS)?;
    fault = fault.or_else(|| elsewhere(argument)).or_else(|| off(world, job.slice.as_ref()));
    fault = fault.or_else(|| beyond(world, (&job, job.slice.as_ref()), argument));
    Ok(Order::Bundle(Box::new(job), fault))
}

/// An update keeps what the service has kept: its volumes are promises (docs/decisions/0075). To be without it is to uninstall and install.
fn kept(argument: Argument<'_>) -> Option<Fault> {
    let retain = argument("RetainData").map_or(Ok(true), |said| boolean(&said));
    let fault = |words| Some((End::Nonsense(Code::INVALID_ARGUMENTS.number()), words));
    match retain {
        Ok(true) => None,
        Ok(false) => fault("RetainData: an update keeps what the service has kept"),
        Err(_) => fault("RetainData: neither true nor false"),
    }
}

fn busy() -> Fault {
    (End::Nonsense(Code::INVALID_UNIT_STATE.number()), "another operation on this unit is under way")
}

/// An end of a unit, with all that its service has kept.
pub(crate) fn uninstall(world: &World, unit: &Unit) -> Job {
    Job {
        service: Some(unit.name.clone()),
        uuid: uuid_of(unit),
        tag: uuid_of(unit),
        url: unit.source.to_string(),
        image: unit.image,
        version: unit.version,
        drop_data: true,
        ..blank(world, What::Uninstall)
    }
}

/// What is done with the unit in a row.
fn about(world: &World, rows: &[u32], what: What) -> Result<(Job, Option<Fault>), Code> {
    let unit = rows.first().and_then(|row| world.bundle(*row)).ok_or(Code::OBJECT_DOES_NOT_EXIST)?;
    let uuid = uuid_of(unit);
    let under_way = is_busy(world, &uuid) || unit.state != State::Installed;
    let job = Job {
        service: Some(unit.name.clone()),
        tag: uuid.clone(),
        uuid,
        url: unit.source.to_string(),
        image: unit.image,
        version: unit.version,
        ..blank(world, what)
    };
    Ok((job, under_way.then(busy).or_else(|| off(world, Some(&unit.provider)))))
}

pub(super) const OBJECTS: &[Object] = &[Object::table(
    "Device.SoftwareModules.DeploymentUnit.{i}.",
    &[&["UUID", "Version", "ExecutionEnvRef"], &["DUID"], &["Alias"]],
    |world, _| world.tables.bundles.all(),
    &[
        read("UUID", T::String, |world, rows| unit(world, rows, uuid_of)),
        read("DUID", T::String, |world, rows| unit(world, rows, |one| one.name.to_string())),
        read("Alias", T::String, |_, rows| rows.first().map(|row| format!("cpe-{row}"))),
        read("Name", T::String, |world, rows| unit(world, rows, |one| one.name.to_string())),
        read("Status", T::String, |world, rows| {
            unit(world, rows, |one| {
                match one.state {
                    State::Installed => "Installed",
                    State::Updating => "Updating",
                    State::Removing => "Uninstalling",
                }
                .to_owned()
            })
        }),
        // A bundle has all that it needs in it.
        read("Resolved", T::Boolean, |_, _| Some("true".to_owned())),
        read("URL", T::String, |world, rows| unit(world, rows, |one| one.source.to_string())),
        read("Description", T::String, |world, rows| unit(world, rows, |one| one.summary.to_string())),
        read("Vendor", T::String, |world, rows| unit(world, rows, |one| one.provider.to_string())),
        read("Version", T::String, |world, rows| unit(world, rows, |one| one.version.to_string())),
        read("ExecutionUnitList", T::String, |world, rows| {
            Some(execution_unit(world, &world.bundle(*rows.first()?)?.name))
        }),
        read("VendorLogList", T::String, |world, rows| {
            Some(super::software::log_of(world, &world.bundle(*rows.first()?)?.name))
        }),
        read("VendorConfigList", T::String, |_, _| Some(String::new())),
        read("ExecutionEnvRef", T::String, |world, rows| {
            Some(path(world, &world.bundle(*rows.first()?)?.provider))
        }),
        // The controller that is in its service.
        read("InternalController", T::String, |world, rows| {
            Some(super::agent::internal(world, &world.bundle(*rows.first()?)?.name))
        }),
        read("Installed", T::DateTime, |world, rows| unit(world, rows, |one| time(first(one.installed_s)))),
        read("LastUpdate", T::DateTime, |world, rows| unit(world, rows, |one| time(last(one.installed_s)))),
        // Of the image's sealed file, in KiB, and what it is.
        read("X_SHG_DiskSpaceInUse", T::UnsignedInt, |world, rows| {
            unit(world, rows, |one| (one.image_bytes / 1024).to_string())
        }),
        read("X_SHG_Image", T::HexBinary, |world, rows| {
            unit(world, rows, |one| one.image.iter().map(|byte| format!("{byte:02x}")).collect())
        }),
    ],
)
.with(&[
    Command {
        name: "Update",
        kind: CommandType::Async,
        inputs: &[
            "URL",
            "Username",
            "Password",
            "RequiredRoles",
            "OptionalRoles",
            "RequiredUserRoles",
            "RetainData",
        ],
        outputs: &[],
        order: |world, rows, argument| {
            let (mut job, fault) = about(world, rows, What::Update)?;
            let wrong = source(&mut job, argument)?;
            job.wishes = wishes(argument)?;
            let slice = rows.first().and_then(|row| world.bundle(*row)).map(|unit| &unit.provider);
            let fault = wrong
                .or(fault)
                .or_else(|| elsewhere(argument))
                .or_else(|| beyond(world, (&job, slice), argument));
            Ok(Order::Bundle(Box::new(job), fault.or_else(|| kept(argument))))
        },
    },
    Command {
        name: "Uninstall",
        kind: CommandType::Async,
        inputs: &["RetainData"],
        outputs: &[],
        order: |world, rows, argument| {
            let (mut job, fault) = about(world, rows, What::Uninstall)?;
            let retain = argument("RetainData").map_or(Ok(false), |said| boolean(&said));
            job.drop_data = !retain.map_err(|_| Code::INVALID_COMMAND_ARGUMENTS)?;
            Ok(Order::Bundle(Box::new(job), fault))
        },
    },
])
// What lies on the disk of its image is not what was signed: `data` or `tree`, and the block; `somewhere` where nobody listened.
.tells(&[Event { name: "X_SHG_Damaged", arguments: &["Part", "Block", "ExecutionUnitRef", "Time"] }])];

fn first([installed_s, _]: [u64; 2]) -> u64 {
    installed_s
}

fn last([_, updated_s]: [u64; 2]) -> u64 {
    updated_s
}

/// The service of a bundle in the tree; empty: the supervisor does not say it.
pub(crate) fn execution_unit(world: &World, service: &str) -> String {
    let row = world.tables.services.row(service);
    row.map(|row| format!("Device.SoftwareModules.ExecutionUnit.{row}")).unwrap_or_default()
}
