//! Operate.
//!
//! Source: TR-369 §7.7 (R-OPR).

use contract::base64::letters;
use usp::Code;
use usp::message::act::{Operate, OperateResp, OperationKind, OperationResult, OutputArgs};
use usp::message::read::CommandType;
use usp::message::{Entry, Failure};
use usp::path::{Leaf, Path};

use super::{Drops, Outcome, Reads, Refusal};
use crate::access::Access;
use crate::challenge::Ask;
use crate::job::{Job, LONGEST_S, Phase};
use crate::journal::endpoint;
use crate::model::{Command, Order};
use crate::peer::random;
use crate::rental::{self, Wish};
use crate::resolve::{Place, spots};
use crate::roles;
use crate::timer::Timer;
use crate::world::{Request, World};

/// Commands under way of one controller.
pub(crate) const REQUESTS_OF_ONE_MAX: usize = 16;
/// How long a command may take, in milliseconds.
pub(crate) const REQUEST_MS: u64 = 60_000;
/// Letters of a command's key.
pub(crate) const KEY_MAX: usize = 64;

pub(super) fn operate(
    world: &mut World,
    row: u32,
    operate: &Operate<'_>,
    (outcome, now_ms): (&mut Outcome, u64),
) -> Result<OperateResp<'static>, Refusal> {
    let refuse = |code: Code| Refusal::new(code, format!("{}: {}", operate.command, code.words()));
    let path = Path::parse(&operate.command).map_err(|_| refuse(Code::INVALID_PATH_SYNTAX))?;
    let Leaf::Command(name) = path.leaf else { return Err(refuse(Code::INVALID_PATH)) };
    if operate.command_key.len() > KEY_MAX {
        return Err(refuse(Code::INVALID_ARGUMENTS));
    }
    let mut results = Vec::new();
    for spot in spots(world, Access::of(world, row), &path).map_err(refuse)? {
        let object = spot.object().ok_or_else(|| refuse(Code::INVALID_PATH))?;
        let found = object.commands.iter().find(|command| command.name == name);
        let command = found.ok_or_else(|| refuse(Code::INVALID_PATH))?;
        let place = Place { object, rows: spot.rows };
        let executed = format!("{}{name}()", place.path());
        let kind = if Access::of(world, row).at(&executed).execute {
            begin(world, row, operate, (&place, command, &executed), (outcome, now_ms))
        } else {
            Err(failure(Code::PERMISSION_DENIED))
        };
        let kind = kind.unwrap_or_else(OperationKind::Failure);
        results.push(OperationResult { executed_command: executed.into(), kind: Some(kind) });
    }
    Ok(OperateResp { operation_results: results })
}

fn failure(code: Code) -> Failure<'static> {
    Failure::new(code, code.words())
}

fn begin(
    world: &mut World,
    row: u32,
    operate: &Operate<'_>,
    (place, command, executed): (&Place, &Command, &str),
    (outcome, now_ms): (&mut Outcome, u64),
) -> Result<OperationKind<'static>, Failure<'static>> {
    let argument = |name: &str| {
        let is = |entry: &&Entry<'_>| match name.strip_suffix('*') {
            Some(begin) => entry.key.starts_with(begin) && !entry.value.is_empty(),
            None => entry.key == name,
        };
        operate.input_args.iter().rev().find(is).map(|entry| entry.value.clone().into_owned())
    };
    let needed = command.inputs.iter().filter_map(|input| input.strip_prefix('*'));
    if needed.into_iter().any(|input| argument(input).is_none()) {
        return Err(failure(Code::INVALID_COMMAND_ARGUMENTS));
    }
    let order = (command.order)(world, &place.rows, &argument).map_err(failure)?;
    if let Order::Refused(words) = order {
        return Err(Failure::new(Code::COMMAND_FAILURE, words));
    }
    if !may_give(world, row, &order) {
        return Err(Failure::new(Code::PERMISSION_DENIED, "AvailableRoles: one is not yours to give"));
    }
    if let Order::Challenge(ask) = &order {
        outcome.changed = true;
        return challenged(world, row, ask, now_ms).map(OperationKind::Output).map_err(failure);
    }
    if command.kind == CommandType::Async {
        wait(world, row, operate, (order, executed), (outcome, now_ms))
    } else {
        Ok(OperationKind::Output(at_once(order, executed, outcome)))
    }
}

/// Who makes a role available has it, unless it is available already.
fn may_give(world: &World, row: u32, order: &Order) -> bool {
    let (before, given) = if let Order::Roles(slice, given) = order {
        (world.settings.roles.of_slice(slice), given)
    } else if let Order::Rent(_, Some(given)) = order {
        (&[][..], given)
    } else {
        return true;
    };
    given.iter().all(|role| before.contains(role) || roles::may_hand_on(world, row, role))
}

/// A command that is done at once.
fn at_once(order: Order, executed: &str, outcome: &mut Outcome) -> OutputArgs<'static> {
    let mut output = OutputArgs::default();
    if let Order::Cancel(request) = order {
        outcome.canceled.push(request);
    } else if let Order::Log(wanted) = order {
        outcome.logs.push(Reads { command: executed.to_owned(), wanted });
    } else if let Order::Drop(service, provider) = order {
        outcome.drops.push(Drops { command: executed.to_owned(), service, provider });
    } else if let Order::Says(says) = order {
        output.output_args = says.into_iter().map(|(name, value)| Entry::new(name, value)).collect();
    } else {
        outcome.orders.push((None, order));
    }
    output
}

/// A controller wants to be asked for a word, or says it.
fn challenged(world: &mut World, row: u32, ask: &Ask, now_ms: u64) -> Result<OutputArgs<'static>, Code> {
    let endpoint = endpoint(world, row).unwrap_or_default().to_owned();
    let mut output = OutputArgs::default();
    match ask {
        Ask::Request(place, expiration_s) => {
            // What it may not see is not there for it.
            let at = format!(
                "Device.LocalAgent.ControllerTrust.Challenge.{}.Description",
                place.saturating_add(1)
            );
            if !Access::of(world, row).at(&at).read {
                return Err(Code::INVALID_VALUE);
            }
            let id: String =
                [random(), random(), random(), random()].map(|one| format!("{one:08x}")).concat();
            world.challenges.request(&endpoint, (*place, *expiration_s), (id.clone(), now_ms))?;
            let challenge = world.configuration.challenges.get(*place).ok_or(Code::INVALID_VALUE)?;
            let says = [
                ("Instruction", letters(challenge.instruction.as_bytes()).collect()),
                ("InstructionType", "text/plain".to_owned()),
                ("ValueType", "text/plain".to_owned()),
                ("ChallengeID", id),
            ];
            output.output_args = says.into_iter().map(|(name, value)| Entry::new(name, value)).collect();
        }
        Ask::Response(id, word) => {
            let all = &world.configuration.challenges;
            world.challenges.respond(all, (&endpoint, id, word), now_ms)?;
        }
    }
    Ok(output)
}

/// A command that takes its time.
fn wait(
    world: &mut World,
    row: u32,
    operate: &Operate<'_>,
    (order, executed): (Order, &str),
    (outcome, now_ms): (&mut Outcome, u64),
) -> Result<OperationKind<'static>, Failure<'static>> {
    if world.requests.iter().filter(|request| request.originator == row).count() >= REQUESTS_OF_ONE_MAX {
        return Err(failure(Code::RESOURCES_EXCEEDED));
    }
    let number = world.next_request;
    world.next_request = number.saturating_add(1);
    let (unit, job) = awaited(&order);
    let empties = if let Order::Empty(slice, gives) = &order { Some((slice.clone(), *gives)) } else { None };
    let slice = wished(&order).map(|wish| (wish, rental::Phase::Waiting));
    let is_long = job.is_some() || empties.is_some() || slice.is_some();
    let usual_ms = if is_long { LONGEST_S * 1000 } else { REQUEST_MS };
    let clock = (world.facts.boot.as_slice(), now_ms);
    let timer = if let Order::Timer(delay_s) = &order {
        Some(Timer::begin(*delay_s, world.facts.now_s, clock))
    } else {
        None
    };
    world.requests.push(Request {
        row: number,
        originator: row,
        command: executed.to_owned(),
        key: operate.command_key.clone().into_owned(),
        unit,
        until_ms: timer.as_ref().map_or(now_ms.saturating_add(usual_ms), Timer::until_ms),
        begun: false,
        job,
        progress: (0, 0),
        canceled: false,
        empties,
        slice,
        timer,
    });
    outcome.orders.push((Some(number), order));
    Ok(OperationKind::Request(format!("Device.LocalAgent.Request.{number}.").into()))
}

/// What is to become of a slice.
fn wished(order: &Order) -> Option<Wish> {
    if let Order::Rent(slice, roles) = order {
        Some(Wish::Rent(slice.clone(), roles.clone()))
    } else if let Order::Release(name) = order {
        Some(Wish::Release(name.clone()))
    } else {
        None
    }
}

/// A service and the state that it shall have; an operation on a bundle.
type Awaited = (Option<(contract::Name, bool)>, Option<(Job, Phase)>);

/// What the end of a command is known by: a service and the state that it shall have, or an operation on a bundle.
fn awaited(order: &Order) -> Awaited {
    match order {
        Order::Start(name) | Order::Restart(name) => (Some((name.clone(), true)), None),
        Order::Stop(name) => (Some((name.clone(), false)), None),
        Order::Bundle(job, _) => (None, Some((job.as_ref().clone(), Phase::Waiting))),
        Order::Reboot
        | Order::Cancel(_)
        | Order::Collect(_)
        | Order::Rent(..)
        | Order::Roles(..)
        | Order::Release(_)
        | Order::Autostart(..)
        | Order::Restarts(..)
        | Order::Drop(..)
        | Order::RunLevel(..)
        | Order::OnBoard(_)
        | Order::EndSession(_)
        | Order::Reconnect(_)
        | Order::Network(..)
        | Order::Certify(_)
        | Order::Refused(_)
        | Order::Says(_)
        | Order::Log(_)
        | Order::Timer(_)
        | Order::Challenge(_)
        | Order::RestartSlice(..)
        | Order::Empty(..) => (None, None),
    }
}
