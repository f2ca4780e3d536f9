//! Operate.
//!
//! Source: TR-369 §7.7 (R-OPR).

use usp::Code;
use usp::message::Failure;
use usp::message::act::{Operate, OperateResp, OperationKind, OperationResult, OutputArgs};
use usp::message::read::CommandType;
use usp::path::{Leaf, Path};

use super::{Outcome, Refusal};
use crate::access::Access;
use crate::job::{LONGEST_S, Phase};
use crate::model::{Command, Order};
use crate::resolve::{Place, spots};
use crate::world::{Request, World};

/// Commands under way of one controller.
const REQUESTS_OF_ONE_MAX: usize = 16;
/// How long a command may take, in milliseconds.
pub(crate) const REQUEST_MS: u64 = 60_000;
/// Letters of a command's key.
const KEY_MAX: usize = 64;

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
    for spot in spots(world, &path).map_err(refuse)? {
        let object = spot.object().ok_or_else(|| refuse(Code::INVALID_PATH))?;
        let found = object.commands.iter().find(|command| command.name == name);
        let command = found.ok_or_else(|| refuse(Code::INVALID_PATH))?;
        let place = Place { object, rows: spot.rows };
        let executed = format!("{}{name}()", place.path());
        let kind = if Access::of(world, row).at(&executed).execute {
            begin(world, row, operate, (&place, command, &executed), (outcome, now_ms))
        } else {
            Err(Code::PERMISSION_DENIED)
        };
        let kind = kind.unwrap_or_else(|code| OperationKind::Failure(Failure::new(code, code.words())));
        results.push(OperationResult { executed_command: executed.into(), kind: Some(kind) });
    }
    Ok(OperateResp { operation_results: results })
}

fn begin(
    world: &mut World,
    row: u32,
    operate: &Operate<'_>,
    (place, command, executed): (&Place, &Command, &str),
    (outcome, now_ms): (&mut Outcome, u64),
) -> Result<OperationKind<'static>, Code> {
    let argument = |name: &str| {
        let entries = operate.input_args.iter().rev();
        entries.into_iter().find(|entry| entry.key == name).map(|entry| entry.value.clone().into_owned())
    };
    let needed = command.inputs.iter().filter_map(|input| input.strip_prefix('*'));
    if needed.into_iter().any(|input| argument(input).is_none()) {
        return Err(Code::INVALID_COMMAND_ARGUMENTS);
    }
    let order = (command.order)(world, &place.rows, &argument)?;
    if command.kind != CommandType::Async {
        if let Order::Cancel(request) = order {
            outcome.canceled.push(request);
        } else {
            outcome.orders.push((None, order));
        }
        return Ok(OperationKind::Output(OutputArgs::default()));
    }
    if world.requests.iter().filter(|request| request.originator == row).count() >= REQUESTS_OF_ONE_MAX {
        return Err(Code::RESOURCES_EXCEEDED);
    }
    let number = world.next_request;
    world.next_request = number.saturating_add(1);
    let unit = match &order {
        Order::Start(name) | Order::Restart(name) => Some((name.clone(), true)),
        Order::Stop(name) => Some((name.clone(), false)),
        Order::Reboot
        | Order::Cancel(_)
        | Order::Bundle(..)
        | Order::Rent(_)
        | Order::Release(_)
        | Order::Autostart(..)
        | Order::Network(..) => None,
    };
    let job = match &order {
        Order::Bundle(job, _) => Some((job.as_ref().clone(), Phase::Waiting)),
        Order::Reboot
        | Order::Cancel(_)
        | Order::Start(_)
        | Order::Stop(_)
        | Order::Restart(_)
        | Order::Rent(_)
        | Order::Release(_)
        | Order::Autostart(..)
        | Order::Network(..) => None,
    };
    world.requests.push(Request {
        row: number,
        originator: row,
        command: executed.to_owned(),
        key: operate.command_key.clone().into_owned(),
        unit,
        until_ms: now_ms.saturating_add(if job.is_some() { LONGEST_S * 1000 } else { REQUEST_MS }),
        begun: false,
        job,
        progress: (0, 0),
        canceled: false,
    });
    outcome.orders.push((Some(number), order));
    Ok(OperationKind::Request(format!("Device.LocalAgent.Request.{number}.").into()))
}
