//! `Device.SoftwareModules.`: bundles come here; and services, as the supervisor knows them. An ExecutionUnit is a service.
//!
//! Not here: bundles that are there (`deployment.rs`), slices (`environment.rs`), what is promised and kept (`guarantee.rs`).

use contract::control::{Process, State};
use usp::Code;
use usp::message::read::CommandType;
use usp::message::read::ValueType as T;

use super::{Command, Event, Object, Order, Parameter, count, moving, read};
use crate::log::Wanted;
use crate::world::{World, date};

fn status(state: State) -> &'static str {
    match state {
        State::Down | State::Failed | State::Waiting => "Idle",
        State::Preparing | State::Starting => "Starting",
        State::Up => "Active",
        State::Ending => "Stopping",
        State::Returning => "Restarting",
    }
}

fn fault(state: State, ready: bool) -> &'static str {
    match state {
        State::Failed | State::Waiting if ready => "FailureWhileActive",
        State::Failed | State::Waiting => "FailureOnStart",
        State::Down | State::Preparing | State::Starting | State::Up | State::Ending | State::Returning => {
            "NoFault"
        }
    }
}

fn name(world: &World, rows: &[u32]) -> Result<contract::Name, Code> {
    let unit = rows.first().and_then(|row| world.service(*row));
    unit.map(|unit| unit.name.clone()).ok_or(Code::OBJECT_DOES_NOT_EXIST)
}

fn unit(world: &World, rows: &[u32], get: fn(&Process) -> String) -> Option<String> {
    world.service(*rows.first()?).map(get)
}

/// What its bundle says; nothing where the service is part of the image.
fn bundle(world: &World, rows: &[u32], get: fn(&contract::packages::Unit) -> String) -> Option<String> {
    let service = world.service(*rows.first()?)?;
    let unit = world.facts.bundles.iter().find(|unit| unit.name == service.name);
    Some(unit.map(get).unwrap_or_default())
}

/// The log of a service; empty: it has none.
pub(super) fn log_of(world: &World, service: &str) -> String {
    let row = world.tables.processes.row(service);
    row.map(|row| format!("Device.DeviceInfo.VendorLogFile.{row}")).unwrap_or_default()
}

/// Its slice; nothing where nobody says it.
fn slice(world: &World, rows: &[u32]) -> Option<contract::Name> {
    let service = world.service(*rows.first()?)?;
    world.compliance(&service.name).map(|one| one.slice.clone())
}

/// `part` of `whole`, in per cent; -1: it is not known.
pub(super) fn percent(part: u64, whole: u64) -> String {
    part.saturating_mul(100).checked_div(whole).map_or_else(|| "-1".to_owned(), |part| part.to_string())
}

/// What a service has had of the processor in the last minute, in thousandths of a hardware thread.
pub(super) fn permille_in_use(one: &contract::sla::Compliance) -> u64 {
    let [minute, ..] = &one.windows;
    if minute.span_ms == 0 { 0 } else { minute.cpu_us / u64::from(minute.span_ms) }
}

pub(super) const OBJECTS: &[Object] = &[Object {
    commands: &[Command {
        name: "InstallDU",
        kind: CommandType::Async,
        inputs: &[
            "*URL",
            "UUID",
            "Username",
            "Password",
            "ExecutionEnvRef",
            "RequiredRoles",
            "OptionalRoles",
            "RequiredUserRoles",
            "AutoRestart.Enable",
        ],
        outputs: &["UUID", "Version", "ExecEnvRef"],
        order: |world, _, argument| super::deployment::install(world, argument),
    }],
    events: &[Event {
        name: "DUStateChange",
        arguments: &[
            "UUID",
            "DeploymentUnitRef",
            "Version",
            "CurrentState",
            "Resolved",
            "ExecutionUnitRefList",
            "StartTime",
            "CompleteTime",
            "OperationPerformed",
            "Fault.FaultCode",
            "Fault.FaultString",
            "X_SHG_Reason",
        ],
    }],
    ..Object::single(
        "Device.SoftwareModules.",
        &[
            read("ExecEnvClassNumberOfEntries", T::UnsignedInt, |_, _| count(1)),
            read("ExecEnvNumberOfEntries", T::UnsignedInt, |world, _| count(world.tables.slices.all().len())),
            read("DeploymentUnitNumberOfEntries", T::UnsignedInt, |world, _| {
                count(world.tables.bundles.all().len())
            }),
            read("ExecutionUnitNumberOfEntries", T::UnsignedInt, |world, _| {
                count(world.tables.services.all().len())
            }),
        ],
    )
}];

pub(super) const UNITS: &[Object] = &[Object::table(
    "Device.SoftwareModules.ExecutionUnit.{i}.",
    &[&["EUID"], &["Alias"]],
    |world, _| world.tables.services.all(),
    PARAMETERS,
)
.with(&[
    Command {
        name: "SetRequestedState",
        kind: CommandType::Async,
        inputs: &["*RequestedState"],
        outputs: &[],
        order: |world, rows, argument| {
            let name = name(world, rows)?;
            match argument("RequestedState").as_deref() {
                Some("Active") => match slice(world, rows) {
                    Some(slice) if !super::levels::is_on(world, &slice) => Err(Code::COMMAND_FAILURE),
                    Some(_) | None => Ok(Order::Start(name)),
                },
                Some("Idle") => Ok(Order::Stop(name)),
                Some(_) | None => Err(Code::INVALID_COMMAND_ARGUMENTS),
            }
        },
    },
    Command {
        name: "Restart",
        kind: CommandType::Async,
        inputs: &[],
        outputs: &[],
        order: |world, rows, _| name(world, rows).map(Order::Restart),
    },
    // The last lines of what it has written, or those from a byte on (decision 133).
    Command {
        name: "X_SHG_Log",
        kind: CommandType::Sync,
        inputs: &["Lines", "From"],
        outputs: &["Log", "From", "Next"],
        order: |world, rows, argument| {
            let (lines, from) = (argument("Lines"), argument("From"));
            Wanted::read(name(world, rows)?, lines.as_deref(), from.as_deref()).map(Order::Log)
        },
    },
])
// A time of the day at which it is started passed: the state that it was in.
.tells(&[Event { name: "X_SHG_StartSkipped", arguments: &["State", "Time"] }])];

const PARAMETERS: &[Parameter] = &[
    read("EUID", T::String, |world, rows| unit(world, rows, |one| one.name.to_string())),
    read("Alias", T::String, |_, rows| rows.first().map(|row| format!("cpe-{row}"))),
    read("Name", T::String, |world, rows| unit(world, rows, |one| one.name.to_string())),
    read("Status", T::String, |world, rows| unit(world, rows, |one| status(one.state).to_owned())),
    read("ExecutionFaultCode", T::String, |world, rows| {
        unit(world, rows, |one| fault(one.state, one.ready_ms.is_some()).to_owned())
    }),
    read("ExecutionFaultMessage", T::String, |world, rows| unit(world, rows, |one| one.reason.to_string())),
    super::levels::AUTOSTART,
    super::levels::LEVEL,
    read("Vendor", T::String, |world, rows| {
        Some(slice(world, rows).map(|one| one.to_string()).unwrap_or_default())
    }),
    read("Version", T::String, |world, rows| bundle(world, rows, |one| one.version.to_string())),
    read("Description", T::String, |world, rows| bundle(world, rows, |one| one.summary.to_string())),
    read("Privileged", T::Boolean, |_, _| Some("false".to_owned())),
    // The user that is the first of its own, seen from outside; 0: it does not run.
    read("AllocatedHostUID", T::UnsignedInt, |world, rows| {
        unit(world, rows, |one| one.uid_base.unwrap_or(0).to_string())
    }),
    // KiB, of its volume; -1: it has none.
    read("AllocatedDiskSpace", T::Int, super::uses::allocated_kib),
    moving("DiskSpaceInUse", T::Int, super::uses::used_kib),
    // KiB.
    read("AllocatedMemory", T::Int, |world, rows| {
        let service = world.service(*rows.first()?)?;
        let [_, ceiling_mib, ..] = world.compliance(&service.name).map(|one| one.ceilings)?;
        Some(u64::from(ceiling_mib).saturating_mul(1024).to_string())
    }),
    // KiB; 0 while it does not run.
    moving("MemoryInUse", T::Int, |world, rows| {
        unit(world, rows, |one| (one.memory_bytes.unwrap_or(0) / 1024).to_string())
    }),
    // Of what its slice may have.
    read("AllocatedCPUPercent", T::Int, |world, rows| {
        let service = world.service(*rows.first()?)?;
        let [permille, ..] = world.compliance(&service.name).map(|one| one.ceilings)?;
        Some(percent(u64::from(permille), super::environment::permille(world, slice(world, rows).as_ref())))
    }),
    moving("CPUPercentInUse", T::Int, |world, rows| {
        let service = world.service(*rows.first()?)?;
        let used = world.compliance(&service.name).map_or(0, permille_in_use);
        Some(percent(used, super::environment::permille(world, slice(world, rows).as_ref())))
    }),
    // As old as its bundle; of a service of the image nobody knows it.
    read("CreationTime", T::DateTime, |world, rows| {
        let time = bundle(world, rows, |one| super::deployment::time(one.installed_s[0]))?;
        Some(if time.is_empty() { date(None) } else { time })
    }),
    moving("Uptime", T::UnsignedInt, |world, rows| {
        let service = world.service(*rows.first()?)?;
        let since_s = service.since_ms / 1000;
        let up = if service.state == State::Up { world.facts.uptime_s.saturating_sub(since_s) } else { 0 };
        Some(up.to_string())
    }),
    // In seconds; what is begun counts.
    read("ShutdownDelay", T::UnsignedInt, |world, rows| {
        unit(world, rows, |one| one.stop_grace_ms.div_ceil(1000).to_string())
    }),
    // What it is called among others in its slice: a service has one name on the gateway.
    read("ExecEnvLabel", T::String, |world, rows| unit(world, rows, |one| one.name.to_string())),
    read("AssociatedProcessList", T::String, |world, rows| {
        let service = world.service(*rows.first()?)?;
        let row = world.tables.processes.row(&service.name).filter(|_| service.pid.is_some());
        Some(row.map(|row| format!("Device.DeviceInfo.ProcessStatus.Process.{row}")).unwrap_or_default())
    }),
    read("VendorLogList", T::String, |world, rows| Some(log_of(world, &world.service(*rows.first()?)?.name))),
    // Nothing of either: its values are in `X_SHG_Service.`.
    read("VendorConfigList", T::String, |_, _| Some(String::new())),
    read("References", T::String, |_, _| Some(String::new())),
    read("EnvVariableNumberOfEntries", T::UnsignedInt, |world, rows| {
        count(super::uses::variables(world, rows).len())
    }),
    read("ApplicationDataList", T::String, super::uses::volume_of),
    read("ExecutionEnvRef", T::String, |world, rows| {
        let slice = slice(world, rows);
        Some(slice.map(|slice| super::environment::path(world, &slice)).unwrap_or_default())
    }),
];
