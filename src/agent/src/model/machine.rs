//! `Device.DeviceInfo.FirmwareImage.`, `ProcessStatus.`, `VendorLogFile.`; `Device.Users.`, `Security.`: what the gateway is made of, and
//! who it is.
//!
//! There is one firmware image, the one that runs: it comes with the board's own means, and neither another nor the same is taken over USP.
//! No person has an account on the gateway.

use contract::control::{Process, State};
use contract::limit::LOG_RING_BYTES;
use usp::message::read::{CommandType, ValueType as T};
use x509::Certificate;

use super::{Command, Object, Order, count, moving, read};
use crate::world::{World, date};

/// What is said to who would bring, or choose, another image.
const ONE_IMAGE: &str = "there is one firmware image, which runs; another comes with the board's own means";
/// The one that there is.
const RUNNING: &str = "Device.DeviceInfo.FirmwareImage.1";

fn one(_: &World, _: &[u32]) -> Vec<u32> {
    vec![1]
}

fn processes(world: &World, _: &[u32]) -> Vec<u32> {
    world.tables.processes.all()
}

fn process(world: &World, rows: &[u32], get: fn(&Process) -> String) -> Option<String> {
    let name = world.tables.processes.name(*rows.first()?)?;
    world.facts.processes.iter().find(|process| process.name.as_str() == name).map(get)
}

/// A process's state in the words of TR-181, which are those of a kernel; what is not a process now is idle.
fn state(process: &Process) -> String {
    let word = match process.state {
        State::Up | State::Starting | State::Ending => "Sleeping",
        State::Down | State::Failed | State::Waiting | State::Preparing | State::Returning => "Idle",
    };
    word.to_owned()
}

fn certificates(world: &World, _: &[u32]) -> Vec<u32> {
    if world.certificate.is_some() { vec![1] } else { Vec::new() }
}

fn certificate(world: &World, get: fn(&Certificate) -> String) -> Option<String> {
    world.certificate.as_ref().map(get)
}

fn time(seconds: i64) -> String {
    date(Some(seconds))
}

pub(super) const OBJECTS: &[Object] = &[
    Object::table(
        "Device.DeviceInfo.FirmwareImage.{i}.",
        &[&["Alias"]],
        one,
        &[
            read("Alias", T::String, |_, _| Some("cpe-1".to_owned())),
            read("Name", T::String, |_, _| Some("Service Hosting Gateway".to_owned())),
            read("Version", T::String, |_, _| Some(env!("CARGO_PKG_VERSION").to_owned())),
            read("Available", T::Boolean, |_, _| Some("true".to_owned())),
            read("Status", T::String, |_, _| Some("Active".to_owned())),
            read("BootFailureLog", T::String, |_, _| Some(String::new())),
        ],
    )
    .with(&[
        Command {
            name: "Download",
            kind: CommandType::Async,
            inputs: &[
                "*URL",
                "AutoActivate",
                "Username",
                "Password",
                "FileSize",
                "CheckSumAlgorithm",
                "CheckSum",
            ],
            outputs: &[],
            order: |_, _, _| Ok(Order::Refused(ONE_IMAGE)),
        },
        Command {
            name: "Activate",
            kind: CommandType::Async,
            inputs: &[],
            outputs: &[],
            order: |_, _, _| Ok(Order::Refused(ONE_IMAGE)),
        },
    ]),
    Object::single(
        "Device.DeviceInfo.ProcessStatus.",
        &[
            // Per cent of all hardware threads, since it was last looked.
            moving("CPUUsage", T::UnsignedInt, |world, _| Some(world.facts.cpu_percent.to_string())),
            read("ProcessNumberOfEntries", T::UnsignedInt, |world, _| count(processes(world, &[]).len())),
        ],
    ),
    // Daemons and services: all that the supervisor keeps alive.
    Object::table(
        "Device.DeviceInfo.ProcessStatus.Process.{i}.",
        &[&["Command"]],
        processes,
        &[
            read("PID", T::UnsignedInt, |world, rows| {
                process(world, rows, |one| one.pid.unwrap_or(0).to_string())
            }),
            read("Command", T::String, |world, rows| process(world, rows, |one| one.name.to_string())),
            // KiB, of its cgroup; 0: it is not said.
            moving("Size", T::UnsignedInt, |world, rows| {
                process(world, rows, |one| (one.memory_bytes.unwrap_or(0) / 1024).to_string())
            }),
            read("State", T::String, |world, rows| process(world, rows, state)),
        ],
    ),
    // A ring in memory each: `ctl log` shows it.
    Object::table(
        "Device.DeviceInfo.VendorLogFile.{i}.",
        &[&["Name"], &["Alias"]],
        processes,
        &[
            read("Alias", T::String, |_, rows| rows.first().map(|row| format!("cpe-{row}"))),
            read("Name", T::String, |world, rows| process(world, rows, |one| one.name.to_string())),
            read("MaximumSize", T::UnsignedInt, |_, _| count(LOG_RING_BYTES)),
            read("Persistent", T::Boolean, |_, _| Some("false".to_owned())),
        ],
    ),
    Object::single(
        "Device.Users.",
        &[
            read("UserNumberOfEntries", T::UnsignedInt, |_, _| count(0)),
            read("GroupNumberOfEntries", T::UnsignedInt, |_, _| count(0)),
            read("RoleNumberOfEntries", T::UnsignedInt, |_, _| count(0)),
            read("SupportedShellNumberOfEntries", T::UnsignedInt, |_, _| count(0)),
        ],
    ),
    Object::single(
        "Device.Security.",
        &[read("CertificateNumberOfEntries", T::UnsignedInt, |world, _| {
            count(certificates(world, &[]).len())
        })],
    )
    .with(&[
        Command {
            name: "X_SHG_RequestCertificate",
            kind: CommandType::Async,
            inputs: &[],
            outputs: &["Request"],
            order: |_, _, _| Ok(Order::Certify(None)),
        },
        Command {
            name: "X_SHG_InstallCertificate",
            kind: CommandType::Async,
            inputs: &["*Certificate"],
            outputs: &[],
            order: |_, _, argument| Ok(Order::Certify(argument("Certificate"))),
        },
    ]),
    // The gateway's own (docs/identity.md).
    Object::table(
        "Device.Security.Certificate.{i}.",
        &[&["SerialNumber", "Issuer"], &["Alias"]],
        certificates,
        &[
            read("Enable", T::Boolean, |_, _| Some("true".to_owned())),
            read("Alias", T::String, |_, _| Some("cpe-1".to_owned())),
            read("SerialNumber", T::String, |world, _| certificate(world, |one| one.serial.clone())),
            read("Issuer", T::String, |world, _| certificate(world, |one| one.issuer.clone())),
            read("NotBefore", T::DateTime, |world, _| certificate(world, |one| time(one.not_before_s))),
            read("NotAfter", T::DateTime, |world, _| certificate(world, |one| time(one.not_after_s))),
            read("Subject", T::String, |world, _| certificate(world, |one| one.subject.clone())),
            read("SignatureAlgorithm", T::String, |_, _| Some("ecdsa-with-SHA256".to_owned())),
        ],
    ),
];

/// Where the running image is.
pub(super) fn running(_: &World, _: &[u32]) -> Option<String> {
    Some(RUNNING.to_owned())
}
