//! Services that bring a part of the tree: USP's broker on the box. Their connections, what they have registered, what they are asked.
//!
//! In:  connections that `doors.rs` has found to be a service's, questions of controllers cut to pieces (`cut.rs`), the time. Out: answers
//! (`merge.rs`), news of services, [`Brought`] in the world.
//!
//! A service is asked and not waited for: a request waits in a list of its own, for [`ANSWER_MS`] at most, and meanwhile every controller is
//! served, also the one that has asked. Who has not answered by then loses its connection and may not come back before [`REST_MS`].
//!
//! Not here: which paths a service may bring (`register.rs`), who may do what (`cut.rs`, `merge.rs`).
//!
//! Source: TR-369 §7.5.4, appendix "Software Modularization and USP-Enabled Applications"; docs/decisions/0116-services-bring-a-part.md.

pub mod cut;
pub mod errand;
pub mod merge;
pub mod news;
mod pieces;
pub mod register;
pub mod service;

use std::os::fd::BorrowedFd;

use contract::Name;
use log::{info, warn};
use nix::poll::PollFlags;
use usp::Msg;
use usp::message::RequestKind;
use usp::message::act::{Notify, OperationComplete};

use crate::access::Access;
use crate::doors::Application;
use crate::job::LONGEST_S;
use crate::peer::Way;
use crate::world::{Brought, Request, World};
use cut::Cut;
use errand::Errand;
use service::{Said, Service};

/// Services that are connected.
pub const SERVICES_MAX: usize = 8;
/// Requests of one controller that wait for services.
const ERRANDS_OF_ONE_MAX: usize = 16;
/// For how long a service is waited for, in milliseconds.
pub const ANSWER_MS: u64 = 5_000;
/// For how long it may not come back then, in milliseconds.
const REST_MS: u64 = 60_000;

/// The answer to a request that was waited for.
#[derive(Debug)]
pub struct Answer {
    /// The row of the controller.
    pub controller: u32,
    /// How it goes back.
    pub way: Way,
    /// The message; `None`: the controller wants none.
    pub message: Option<Vec<u8>>,
}

/// A command of a service's that takes its time.
#[derive(Debug)]
struct UnderWay {
    /// The row of the request.
    request: u32,
    /// The row of the service.
    service: u32,
    /// What the service knows it by.
    number: String,
}

/// What a turn has brought.
#[derive(Debug, Default)]
pub struct Turn {
    /// Answers to controllers.
    pub answers: Vec<Answer>,
    /// News: of which service, by its row.
    pub news: Vec<(u32, Notify<'static>)>,
    /// Services, or what they bring, are others now.
    pub changed: bool,
}

/// Everything of it.
#[derive(Debug, Default)]
pub struct Broker {
    services: Vec<Service>,
    errands: Vec<Errand>,
    under_way: Vec<UnderWay>,
    /// Who may not come back yet, and until when.
    resting: Vec<(Name, u64)>,
    /// The row of the last one.
    last_row: u32,
    /// The number of the last question.
    last_question: u64,
}

impl Broker {
    /// What it waits for.
    pub fn descriptors(&self) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags)> {
        self.services.iter().map(Service::descriptor).filter(|(_, flags)| !flags.is_empty())
    }

    /// When it has something to do, in milliseconds after boot.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        let waits = self.errands.iter().map(Errand::due_ms);
        waits.chain(self.services.iter().filter_map(Service::due_ms)).min()
    }

    /// A service has come: its new connection takes the place of the one before.
    pub fn take(&mut self, world: &mut World, came: Application, now_ms: u64) {
        self.resting.retain(|(_, until_ms)| *until_ms > now_ms);
        let name = came.service.clone();
        self.close(world, |service| service.name() == &name);
        if self.services.len() >= SERVICES_MAX || self.resting.iter().any(|(other, _)| *other == name) {
            warn!("{name}: no place for what it brings");
            return; // Dropped, it is closed.
        }
        self.last_row = self.last_row.saturating_add(1);
        world.brought.push(Brought {
            row: self.last_row,
            service: name,
            endpoint: came.endpoint.clone(),
            paths: Vec::new(),
        });
        self.services.push(Service::new(self.last_row, came, &world.endpoint, now_ms));
    }

    /// Ends connections; what they have registered is gone, and so is what was asked of them.
    fn close(&mut self, world: &mut World, is: impl Fn(&Service) -> bool) -> bool {
        let gone: Vec<Service> = self.services.extract_if(.., |service| is(service)).collect();
        for service in &gone {
            info!("{}: what it brought is gone", service.name());
            world.brought.retain(|one| one.row != service.row());
            self.errands.iter_mut().for_each(|errand| errand.forget(service.row()));
        }
        !gone.is_empty()
    }

    /// Is message `id` of this controller under way already (R-MSG.4)?
    #[must_use]
    pub fn is_asked(&self, controller: u32, id: &str) -> bool {
        self.errands.iter().any(|errand| errand.controller() == controller && errand.id() == id)
    }

    /// The controller in `row` has gone: nobody waits for what it has asked.
    pub fn forget(&mut self, controller: u32) {
        self.errands.retain(|errand| errand.controller() != controller);
    }

    /// May one more request of this controller wait?
    #[must_use]
    pub fn has_room(&self, controller: u32) -> bool {
        let of_one = self.errands.iter().filter(|errand| errand.controller() == controller);
        of_one.count() < ERRANDS_OF_ONE_MAX
    }

    /// Asks services for a controller; `ours` is what the gateway's own tree has answered.
    pub fn ask(
        &mut self,
        world: &World,
        (controller, id, way): (u32, &str, &Way),
        (cut, ours): (Cut<'_>, Option<Msg<'static>>),
        now_ms: u64,
    ) {
        let mut errand = Errand::new((controller, id, way), &cut, ours, now_ms.saturating_add(ANSWER_MS));
        for ask in cut.asks {
            self.last_question = self.last_question.saturating_add(1);
            let number = format!("BROKER@{now_ms}-{}", self.last_question);
            let (piece, row, above) = (ask.piece, ask.service, ask.above);
            let Some(brought) = world.brought.iter().find(|one| one.row == row) else { continue };
            errand.expect((piece, above), &number, brought);
            let mut kind = ask.kind;
            if let RequestKind::Operate(operate) = &mut kind {
                // Its own key is the controller's, and two controllers may use the same.
                errand.keep_key(&operate.command_key);
                operate.command_key = number.clone().into();
            }
            let message = Msg::request(number, kind).encode();
            let service = self.services.iter_mut().find(|service| service.row() == row);
            let sent = service.is_some_and(|service| service.say(message, now_ms));
            if !sent {
                errand.forget(row);
            }
        }
        self.errands.push(errand);
    }

    /// One turn: each service is read once, answers that are whole are given.
    pub fn turn(&mut self, world: &mut World, now_ms: u64) -> Turn {
        let mut turn = Turn::default();
        for service in &mut self.services {
            let Some(brought) = world.brought.iter_mut().find(|one| one.row == service.row()) else {
                continue;
            };
            for said in service.turn(&mut brought.paths, now_ms) {
                match said {
                    Said::Answer(id, message) => {
                        self.errands.iter_mut().for_each(|errand| errand.hear(brought.row, &id, &message));
                    }
                    Said::News(notify) => turn.news.push((brought.row, notify)),
                    Said::Changed => turn.changed = true,
                }
            }
        }
        self.rest_the_late(now_ms);
        turn.changed |= self.close(world, |service| service.is_over());
        for errand in self.errands.extract_if(.., |errand| errand.is_whole()).collect::<Vec<_>>() {
            turn.answers.push(self.finish(world, &errand, now_ms));
        }
        turn
    }

    /// Whoever has not answered in time goes, and does not come back at once.
    fn rest_the_late(&mut self, now_ms: u64) {
        let late: Vec<u32> = self.errands.iter().flat_map(|errand| errand.late(now_ms)).collect();
        for service in self.services.iter_mut().filter(|service| late.contains(&service.row())) {
            warn!("{}: no answer within {ANSWER_MS} ms", service.name());
            self.resting.push((service.name().clone(), now_ms.saturating_add(REST_MS)));
            service.end();
        }
    }

    /// The answer; commands that take their time have rows of ours from now on.
    fn finish(&mut self, world: &mut World, errand: &Errand, now_ms: u64) -> Answer {
        let (message, begun) = errand.answer(Access::of(world, errand.controller()), world.next_request);
        for command in begun {
            let request = world.next_request;
            world.next_request = request.saturating_add(1);
            let (service, number, key) = errand.command();
            self.under_way.push(UnderWay { request, service, number: number.to_owned() });
            world.requests.push(Request {
                row: request,
                originator: errand.controller(),
                command,
                key: key.to_owned(),
                unit: None,
                until_ms: now_ms.saturating_add(LONGEST_S * 1000),
                begun: true,
                job: None,
                progress: (0, 0),
                canceled: false,
                empties: None,
                slice: None,
                timer: None,
            });
        }
        Answer { controller: errand.controller(), way: errand.way().clone(), message }
    }

    /// The request that waits for this end of a command of the service in row `service`.
    pub fn completed(&mut self, world: &World, service: u32, end: &OperationComplete<'_>) -> Option<u32> {
        let command = format!("{}{}", end.obj_path, end.command_name);
        let is = |one: &UnderWay| {
            let request = world.request(one.request);
            one.service == service
                && one.number == end.command_key
                && request.is_some_and(|request| request.command == command)
        };
        let place = self.under_way.iter().position(is)?;
        Some(self.under_way.swap_remove(place).request)
    }

    /// Requests whose service is not there any more; who is not waited for any more is forgotten.
    pub fn orphans(&mut self, world: &World) -> Vec<u32> {
        self.under_way.retain(|one| world.request(one.request).is_some());
        let is_gone = |one: &UnderWay| world.brought.iter().all(|brought| brought.row != one.service);
        self.under_way.extract_if(.., |one| is_gone(one)).map(|one| one.request).collect()
    }
}
