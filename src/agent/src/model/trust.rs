//! `Device.LocalAgent.ControllerTrust.`, `Device.LocalAgent.Certificate.`: what roles grant, and whose signature is for what. The operator's file says it.

use contract::base64::letters;
use usp::Code;
use usp::message::read::CommandType;
use usp::message::read::ValueType as T;
use usp::permission::{May, Rule};
use x509::Certificate;

use super::{Command, Object, Order, count, number, read};
use crate::challenge::{Ask, EXPIRATION_S};
use crate::configuration::Role;
use crate::configuration::challenge::Challenge;
use crate::configuration::credential::Credential;
use crate::resolve::referenced;
use crate::roles;
use crate::world::World;

fn place(row: Option<&u32>) -> Option<usize> {
    usize::try_from(row?.checked_sub(1)?).ok()
}

fn rows_of<T>(list: &[T]) -> Vec<u32> {
    (1..).zip(list).map(|(row, _)| row).collect()
}

fn role<'w>(world: &'w World, rows: &[u32]) -> Option<&'w Role> {
    world.configuration.roles.get(place(rows.first())?)
}

fn rule<'w>(world: &'w World, rows: &[u32]) -> Option<&'w Rule> {
    role(world, rows)?.rules.get(place(rows.get(1))?)
}

fn rights(world: &World, rows: &[u32], get: fn(&Rule) -> May) -> Option<String> {
    rule(world, rows).map(|rule| get(rule).text())
}

fn credential<'w>(world: &'w World, rows: &[u32]) -> Option<&'w Credential> {
    world.configuration.credentials.get(place(rows.first())?)
}

/// The row of the certificate of the first credential: the one before is the gateway's own.
const OF_CREDENTIALS: u32 = 2;

/// Rows of certificates.
pub(super) fn certificates(world: &World, _: &[u32]) -> Vec<u32> {
    let own = world.certificate.iter().map(|_| 1);
    own.chain((OF_CREDENTIALS..).zip(&world.configuration.credentials[..]).map(|(row, _)| row)).collect()
}

fn certificate<'w>(world: &'w World, rows: &[u32]) -> Option<&'w Certificate> {
    match rows.first()?.checked_sub(OF_CREDENTIALS) {
        None => world.certificate.as_ref(),
        Some(place) => {
            let credential = world.configuration.credentials.get(usize::try_from(place).ok()?);
            credential.map(|one| &one.certificate)
        }
    }
}

/// The table of challenges.
const CHALLENGE: &str = "Device.LocalAgent.ControllerTrust.Challenge.{i}.";

fn challenge(world: &World, rows: &[u32], get: fn(&Challenge) -> String) -> Option<String> {
    world.configuration.challenges.get(place(rows.first())?).map(get)
}

pub(super) const OBJECTS: &[Object] = &[
    Object::single(
        "Device.LocalAgent.ControllerTrust.",
        &[
            read("UntrustedRole", T::String, |_, _| Some(String::new())),
            read("BannedRole", T::String, |_, _| Some(String::new())),
            read("TOFUAllowed", T::Boolean, |_, _| Some("false".to_owned())),
            read("RoleNumberOfEntries", T::UnsignedInt, |world, _| count(world.configuration.roles.len())),
            read("CredentialNumberOfEntries", T::UnsignedInt, |world, _| {
                count(world.configuration.credentials.len())
            }),
            read("ChallengeNumberOfEntries", T::UnsignedInt, |world, _| {
                count(world.configuration.challenges.len())
            }),
        ],
    )
    .with(&[
        Command {
            name: "RequestChallenge",
            kind: CommandType::Sync,
            inputs: &["*ChallengeRef", "RequestExpiration"],
            outputs: &["Instruction", "InstructionType", "ValueType", "ChallengeID"],
            order: |world, _, argument| {
                let text = argument("ChallengeRef").unwrap_or_default();
                let row = referenced(world, &text, CHALLENGE).and_then(|row| place(Some(&row)));
                let seconds =
                    argument("RequestExpiration").map_or(Ok(EXPIRATION_S), |text| number(&text, 0, u32::MAX));
                let seconds = seconds.map_err(|_| Code::INVALID_COMMAND_ARGUMENTS)?;
                Ok(Order::Challenge(Ask::Request(row.ok_or(Code::INVALID_VALUE)?, seconds)))
            },
        },
        Command {
            name: "ChallengeResponse",
            kind: CommandType::Sync,
            inputs: &["*ChallengeID", "*Value"],
            outputs: &[],
            order: |_, _, argument| {
                let said = |name: &str| argument(name).unwrap_or_default();
                Ok(Order::Challenge(Ask::Response(said("ChallengeID"), said("Value"))))
            },
        },
    ]),
    Object::table(
        "Device.LocalAgent.ControllerTrust.Role.{i}.",
        &[&["Name"], &["Alias"]],
        |world, _| rows_of(&world.configuration.roles),
        &[
            read("Alias", T::String, |_, rows| rows.first().map(|row| format!("cpe-{row}"))),
            read("Enable", T::Boolean, |_, _| Some("true".to_owned())),
            read("Name", T::String, |world, rows| role(world, rows).map(|role| role.name.clone())),
            read("PermissionNumberOfEntries", T::UnsignedInt, |world, rows| {
                role(world, rows).and_then(|role| count(role.rules.len()))
            }),
        ],
    ),
    Object::table(
        "Device.LocalAgent.ControllerTrust.Role.{i}.Permission.{i}.",
        &[&["Order"], &["Alias"]],
        |world, rows| role(world, rows).map(|role| rows_of(&role.rules)).unwrap_or_default(),
        &[
            read("Alias", T::String, |_, rows| rows.get(1).map(|row| format!("cpe-{row}"))),
            read("Enable", T::Boolean, |world, rows| rule(world, rows).map(|rule| rule.enable.to_string())),
            read("Order", T::UnsignedInt, |world, rows| rule(world, rows).map(|rule| rule.order.to_string())),
            read("Targets", T::String, |world, rows| rule(world, rows).map(|rule| rule.targets.join(","))),
            read("Param", T::String, |world, rows| rights(world, rows, |rule| rule.param)),
            read("Obj", T::String, |world, rows| rights(world, rows, |rule| rule.object)),
            read("InstantiatedObj", T::String, |world, rows| rights(world, rows, |rule| rule.instance)),
            read("CommandEvent", T::String, |world, rows| rights(world, rows, |rule| rule.command_event)),
        ],
    ),
    Object::table(
        "Device.LocalAgent.ControllerTrust.Credential.{i}.",
        &[&["Credential"], &["Alias"]],
        |world, _| rows_of(&world.configuration.credentials),
        &[
            read("Alias", T::String, |_, rows| rows.first().map(|row| format!("cpe-{row}"))),
            read("Enable", T::Boolean, |_, _| Some("true".to_owned())),
            read("Role", T::String, |world, rows| {
                credential(world, rows).map(|one| roles::references(one.role.into_iter()))
            }),
            read("Credential", T::String, |world, rows| {
                credential(world, rows)?;
                let row = rows.first()?.checked_add(OF_CREDENTIALS)?.checked_sub(1)?;
                Some(format!("Device.LocalAgent.Certificate.{row}"))
            }),
            read("AllowedUses", T::String, |world, rows| {
                credential(world, rows).map(|one| one.signs.word().to_owned())
            }),
        ],
    ),
    // The gateway's own (docs/identity.md), then those whose signature is for something.
    Object::table(
        "Device.LocalAgent.Certificate.{i}.",
        &[&["SerialNumber", "Issuer"], &["Alias"]],
        certificates,
        &[
            read("Alias", T::String, |_, rows| rows.first().map(|row| format!("cpe-{row}"))),
            read("Enable", T::Boolean, |_, _| Some("true".to_owned())),
            read("SerialNumber", T::String, |world, rows| {
                certificate(world, rows).map(|one| one.serial.clone())
            }),
            read("Issuer", T::String, |world, rows| certificate(world, rows).map(|one| one.issuer.clone())),
        ],
    )
    .with(&[Command {
        name: "GetFingerprint",
        kind: CommandType::Sync,
        inputs: &["*FingerprintAlgorithm"],
        outputs: &["Fingerprint"],
        order: |world, rows, argument| {
            let certificate = certificate(world, rows).ok_or(Code::OBJECT_DOES_NOT_EXIST)?;
            match argument("FingerprintAlgorithm").as_deref() {
                Some("SHA-256") => Ok(Order::Says(vec![("Fingerprint", certificate.fingerprint.clone())])),
                Some(_) | None => Err(Code::INVALID_COMMAND_ARGUMENTS),
            }
        },
    }]),
    Object::table(
        CHALLENGE,
        &[&["Alias"]],
        |world, _| rows_of(&world.configuration.challenges),
        &[
            read("Alias", T::String, |world, rows| challenge(world, rows, |one| one.name.clone())),
            read("Description", T::String, |world, rows| {
                challenge(world, rows, |one| one.description.clone())
            }),
            read("Role", T::String, |world, rows| {
                challenge(world, rows, |one| roles::references(std::iter::once(one.role)))
            }),
            read("Enable", T::Boolean, |_, _| Some("true".to_owned())),
            read("Type", T::String, |_, _| Some("Passphrase".to_owned())),
            // Never told.
            read("Value", T::Base64, |_, _| Some(String::new())),
            read("ValueType", T::String, |_, _| Some("text/plain".to_owned())),
            read("Instruction", T::Base64, |world, rows| {
                challenge(world, rows, |one| letters(one.instruction.as_bytes()).collect())
            }),
            read("InstructionType", T::String, |_, _| Some("text/plain".to_owned())),
            read("Retries", T::UnsignedInt, |world, rows| {
                challenge(world, rows, |one| one.retries.to_string())
            }),
            read("LockoutPeriod", T::Int, |world, rows| {
                challenge(world, rows, |one| one.lockout_s.to_string())
            }),
        ],
    ),
];
