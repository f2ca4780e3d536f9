//! Operations on bundles: asked of `package`, and what controllers are told of their ends.
//!
//! In:  what `package` says. Out: steps of `job.rs`; OperationComplete, then `DUStateChange!`, each once.
//!
//! Source: TR-181 2.19.1, `Device.SoftwareModules.DUStateChange!`; TR-369 §A.1.

use contract::Name;
use contract::control::State;
use contract::mount::Damage;
use contract::packages::{Ask, Fault, Install, Unit};
use contract::sla::Breach;
use log::warn;
use usp::Code;

use super::Room;
use super::orders::Ended;
use crate::job::{Act, End, Event, Job, Phase, What, found, next};
use crate::model::{Order, environment_path, execution_unit, uuid_of};
use crate::packages::{Listed, Said};
use crate::tenants::Happened;
use crate::world::{Request, date};

/// How often the list is asked for while a unit is being taken away by somebody who does not say so, in milliseconds.
const LOOK_EVERY_MS: u64 = 1_000;

/// TR-181's fault, OperationComplete's code, and a word for a program.
fn fault(end: End) -> (u32, Code, &'static str) {
    let of = |code: Code, word| (code.number(), Code::COMMAND_FAILURE, word);
    match end {
        End::Good => (0, Code::COMMAND_FAILURE, ""),
        End::Interrupted => of(Code::INTERNAL, "interrupted"),
        End::Canceled | End::Refused(Fault::Canceled) => {
            (Code::REQUEST_DENIED.number(), Code::COMMAND_CANCELED, "canceled")
        }
        End::Late => of(Code::REQUEST_DENIED, "late"),
        End::Nonsense(number) if number == Code::INVALID_ARGUMENTS.number() => {
            (number, Code::INVALID_ARGUMENTS, "ask")
        }
        End::Nonsense(number) => (number, Code::COMMAND_FAILURE, "ask"),
        End::Refused(Fault::Ask) => (Code::INVALID_ARGUMENTS.number(), Code::INVALID_ARGUMENTS, "ask"),
        End::Refused(Fault::Unreachable) => of(Code::SERVER_UNREACHABLE, "unreachable"),
        End::Refused(Fault::Forbidden) => of(Code::REQUEST_DENIED, "forbidden"),
        End::Refused(Fault::Missing) => of(Code::REQUEST_DENIED, "missing"),
        End::Refused(Fault::Form) => of(Code::CORRUPT_DATA, "form"),
        End::Refused(Fault::Signature) => of(Code::BAD_SIGNATURE, "signature"),
        End::Refused(Fault::Older) => of(Code::DUPLICATE_UNIT, "older"),
        End::Refused(Fault::Foreign) => of(Code::EXEC_ENV_MISMATCH, "foreign"),
        End::Refused(Fault::Duplicate) => of(Code::DUPLICATE_UNIT, "duplicate"),
        End::Refused(Fault::Architecture) => of(Code::EXEC_ENV_MISMATCH, "architecture"),
        End::Refused(Fault::Slice) => of(Code::EXEC_ENV_MISMATCH, "slice"),
        End::Refused(Fault::Resources) => of(Code::SYSTEM_RESOURCES_EXCEEDED, "resources"),
        End::Refused(Fault::Absent) => of(Code::INVALID_UNIT_STATE, "absent"),
        End::Refused(Fault::NotReady) => of(Code::COMMAND_FAILURE, "not-ready"),
        End::Refused(Fault::Busy) => of(Code::INVALID_UNIT_STATE, "busy"),
        End::Refused(Fault::Disk) => of(Code::SYSTEM_RESOURCES_EXCEEDED, "disk"),
    }
}

/// What is asked of `package`; `None`: an update or an end of nothing, which `model` does not make.
fn ask(job: &Job) -> Option<Ask> {
    let install = |update: Option<Name>| {
        Ask::Install(Install {
            source: job.url.as_str().into(),
            username: job.username.as_str().into(),
            password: job.password.as_str().into(),
            tag: job.tag.as_str().into(),
            update,
            slice: job.slice.clone(),
        })
    };
    match job.what {
        What::Install => Some(install(None)),
        What::Update => Some(install(Some(job.service.clone()?))),
        What::Uninstall => Some(Ask::Remove { service: job.service.clone()?, drop_data: job.drop_data }),
    }
}

/// Is it an operation that waits for room?
fn waits(request: &Request) -> bool {
    matches!(request.job, Some((_, Phase::Waiting | Phase::Lost)))
}

impl Room {
    /// What `package` has said.
    pub(super) fn hear_packages(&mut self, now_ms: u64) {
        if let Some(listed) = self.rooms.packages.heard(now_ms) {
            self.hear_listed(listed, now_ms);
        }
        for (row, said) in self.rooms.packages.said() {
            match said {
                Said::Progress(bytes, of) => {
                    if let Some(request) = self.world.request_mut(row) {
                        request.progress = (bytes, of);
                    }
                }
                Said::Done => self.step(row, Event::Done, String::new(), now_ms),
                Said::Refused(fault, words) => self.step(row, Event::Refused(fault), words, now_ms),
                Said::Gone => self.step(row, Event::Gone, String::new(), now_ms),
                Said::Rows(listed) => {
                    let job = self.world.request(row).and_then(|request| request.job.as_ref());
                    let found = job.map(|(job, _)| found(job, &listed.units));
                    self.hear_listed(listed, now_ms);
                    if let Some(found) = found {
                        self.step(row, Event::Rows(found), String::new(), now_ms);
                    }
                }
            }
        }
        let late = self.world.requests.iter().filter(|one| one.job.is_some() && now_ms >= one.until_ms);
        for row in late.map(|one| one.row).collect::<Vec<_>>() {
            self.step(row, Event::Late, "not within a day".to_owned(), now_ms);
        }
    }

    fn hear_listed(&mut self, Listed { units, kept }: Listed, now_ms: u64) {
        if self.world.facts.bundles == units && self.world.facts.kept == kept {
            self.units_known = true;
        } else {
            // Its service comes or goes with it.
            self.asked_ms = 0;
            self.refresh(now_ms);
            let before = self.world.facts.bundles.clone();
            self.world.hear_bundles(units, kept);
            // Of what was there before our own time nothing is told.
            if std::mem::replace(&mut self.units_known, true) {
                self.tell_of_others(&before, now_ms);
                self.level_units(&before, now_ms);
            }
            self.stale = true;
        }
    }

    /// The operation that is asked for next, where there is room for one. The disk knows that before `package` does: those behind it were not
    /// asked for, and whoever finds them there does it.
    pub(super) fn choose_job(&mut self, now_ms: u64) {
        if self.look_ms <= now_ms && self.rooms.packages.has_room() {
            let next = self.world.requests.iter_mut().find(|one| waits(one));
            next.into_iter().for_each(|one| one.begun = true);
        }
    }

    /// Begins the operation that was chosen. It is on the disk by now.
    pub(super) fn begin_jobs(&mut self, now_ms: u64) {
        let chosen = self.world.requests.iter().find(|one| waits(one) && one.begun).map(|one| one.row);
        if let Some(row) = chosen.filter(|_| self.look_ms <= now_ms && self.rooms.packages.has_room()) {
            self.step(row, Event::Room, String::new(), now_ms);
        }
    }

    /// When operations that wait are looked at again, in milliseconds after boot.
    pub(super) fn jobs_due_ms(&self) -> Option<u64> {
        let any = self.world.requests.iter().any(waits);
        (self.rooms.packages.has_room() && any).then_some(self.look_ms)
    }

    fn step(&mut self, row: u32, event: Event, words: String, now_ms: u64) {
        let Some(request) = self.world.request_mut(row) else { return };
        let Some((job, phase)) = &mut request.job else { return };
        let (after, act) = next(job.what, *phase, event);
        *phase = after;
        let job = job.clone();
        let asked = match act {
            Act::Rest => {
                if after == Phase::Lost {
                    self.look_ms = now_ms.saturating_add(LOOK_EVERY_MS);
                    self.rooms.packages.forget(row);
                }
                Ok(())
            }
            Act::Ask => ask(&job).map_or(Ok(()), |ask| self.rooms.packages.begin(row, &ask)),
            Act::Await => self.rooms.packages.begin(row, &Ask::Await(job.tag.as_str().into())),
            Act::List => self.rooms.packages.list(row),
            Act::Cancel => {
                // It was given up, or it had ended: its own connection says which.
                let _ = self.rooms.packages.at_once(&Ask::Cancel(job.tag.as_str().into()));
                Ok(())
            }
            Act::End(end) => {
                self.end_job(row, end, words, now_ms);
                Ok(())
            }
            Act::GiveUp(end) => {
                let _ = self.rooms.packages.at_once(&Ask::Cancel(job.tag.as_str().into()));
                self.end_job(row, end, words, now_ms);
                Ok(())
            }
        };
        if asked.is_err() {
            self.look_ms = now_ms.saturating_add(LOOK_EVERY_MS);
            self.step(row, Event::Gone, String::new(), now_ms);
        }
    }

    /// A controller takes it back.
    pub(super) fn cancel_job(&mut self, row: u32, now_ms: u64) {
        if let Some(request) = self.world.request_mut(row) {
            request.canceled = true;
        }
        self.step(row, Event::Cancel, "canceled by a controller".to_owned(), now_ms);
    }

    /// It has ended: OperationComplete, then `DUStateChange!`.
    pub(super) fn end_job(&mut self, row: u32, end: End, words: String, now_ms: u64) {
        self.rooms.packages.forget(row);
        let Some((job, _)) = self.world.request_mut(row).and_then(|request| request.job.take()) else {
            return;
        };
        if let (End::Good, What::Uninstall, true, Some(service)) =
            (end, job.what, job.drop_data, &job.service)
        {
            // What it was told goes with what it has kept.
            self.world.settings.services.given.retain(|one| one.service != service.as_str());
            self.kept.dirty = true;
        }
        let unit = self.world.facts.bundles.iter().find(|unit| match &job.service {
            Some(service) => unit.name == *service,
            None => unit.tag.as_str() == job.tag,
        });
        let unit = unit.cloned();
        if end == End::Good {
            self.give_roles(&job, unit.as_ref());
            self.say_restarts(&job, unit.as_ref(), now_ms);
        }
        let (number, code, word) = fault(end);
        let words = if words.is_empty() && number != 0 { word.to_owned() } else { words };
        let uuid = unit.as_ref().map_or(job.uuid.clone(), uuid_of);
        let version = unit.as_ref().map_or(job.version, |unit| unit.version);
        let version = if version == 0 { String::new() } else { version.to_string() };
        let ended: Ended = match (end, job.what, &unit) {
            (End::Good, What::Install, Some(unit)) => Ok(vec![
                ("UUID", uuid.clone()),
                ("Version", version.clone()),
                ("ExecEnvRef", environment_path(&self.world, &unit.provider)),
            ]),
            (End::Good, _, _) => Ok(Vec::new()),
            (_, _, _) => Err((code, words.clone())),
        };
        let change = self.state_change(&job, (end, unit.as_ref()), (uuid, version), (number, words, word));
        self.end(row, ended, now_ms);
        self.news.happen(
            &self.world,
            ("Device.SoftwareModules.", "DUStateChange"),
            &change,
            (None, true, now_ms),
        );
    }

    /// Whether its service is started again when it ends by itself, where that was asked for.
    fn say_restarts(&mut self, job: &Job, unit: Option<&Unit>, now_ms: u64) {
        let (Some(unit), Some(restarts)) = (unit, job.restarts) else { return };
        let order = Order::Restarts(unit.name.clone(), restarts);
        if let Err((_, why)) = self.rooms.give(&order, now_ms) {
            warn!("{}: AutoRestart.Enable: {why}", unit.name);
        }
    }

    pub(super) fn state_change(
        &self,
        job: &Job,
        (end, unit): (End, Option<&Unit>),
        (uuid, version): (String, String),
        (number, words, word): (u32, String, &str),
    ) -> [(&'static str, String); 12] {
        let world = &self.world;
        let state = match (end, job.what) {
            (End::Good, What::Uninstall) => "Uninstalled",
            (End::Good, What::Install | What::Update) => "Installed",
            (_, _) => "Failed",
        };
        let row = unit.and_then(|unit| world.tables.bundles.row(&unit.name));
        let reference =
            row.map(|row| format!("Device.SoftwareModules.DeploymentUnit.{row}")).unwrap_or_default();
        let complete = world.facts.now_s.filter(|_| end == End::Good);
        [
            ("UUID", uuid),
            ("DeploymentUnitRef", reference),
            ("Version", version),
            ("CurrentState", state.to_owned()),
            ("Resolved", (end == End::Good).to_string()),
            ("ExecutionUnitRefList", unit.map(|unit| execution_unit(world, &unit.name)).unwrap_or_default()),
            ("StartTime", date(i64::try_from(job.begun_s).ok())),
            ("CompleteTime", date(complete)),
            ("OperationPerformed", job.what.word().to_owned()),
            ("Fault.FaultCode", number.to_string()),
            ("Fault.FaultString", words),
            ("X_SHG_Reason", word.to_owned()),
        ]
    }

    /// A promise to a service was not kept.
    pub(super) fn tell_breach(&mut self, service: &Name, breach: Breach, now_ms: u64) {
        let Some(row) = self.world.tables.services.row(service) else { return };
        let (cause, unit) = breach.cause.words();
        let arguments = [
            ("Cause", cause.to_owned()),
            ("Unit", unit.to_owned()),
            ("Promised", breach.promised.to_string()),
            ("Got", breach.got.to_string()),
            ("Time", self.date_of(breach.at_ms, now_ms)),
        ];
        let object = format!("Device.SoftwareModules.ExecutionUnit.{row}.X_SHG_Compliance.");
        self.news.happen(&self.world, (&object, "Breach"), &arguments, (None, false, now_ms));
    }

    /// What lies on the disk of a bundle's image is not what was signed.
    pub(super) fn tell_damage(&mut self, service: &Name, damage: Damage, (at_ms, now_ms): (u64, u64)) {
        let Some(row) = self.world.tables.bundles.row(service) else { return };
        let (part, block) = damage.words();
        let arguments = [
            ("Part", part.to_owned()),
            ("Block", block.map(|block| block.to_string()).unwrap_or_default()),
            ("ExecutionUnitRef", execution_unit(&self.world, service)),
            ("Time", self.date_of(at_ms, now_ms)),
        ];
        let object = format!("Device.SoftwareModules.DeploymentUnit.{row}.");
        self.news.happen(&self.world, (&object, "X_SHG_Damaged"), &arguments, (None, false, now_ms));
    }

    /// A time of the day at which a service is started passed.
    pub(super) fn tell_skipped(&mut self, service: &Name, state: State, (at_ms, now_ms): (u64, u64)) {
        let Some(row) = self.world.tables.services.row(service) else { return };
        let arguments = [("State", state.word().to_owned()), ("Time", self.date_of(at_ms, now_ms))];
        let object = format!("Device.SoftwareModules.ExecutionUnit.{row}.");
        self.news.happen(&self.world, (&object, "X_SHG_StartSkipped"), &arguments, (None, false, now_ms));
    }

    /// The date of what happened at `at_ms`.
    fn date_of(&self, at_ms: u64, now_ms: u64) -> String {
        let ago_s = i64::try_from(now_ms.saturating_sub(at_ms) / 1000).unwrap_or(0);
        date(self.world.facts.now_s.map(|now_s| now_s.saturating_sub(ago_s)))
    }

    /// Something happened in a service.
    pub(super) fn tell_event(&mut self, happened: &Happened, now_ms: u64) {
        let Some(row) = self.world.tables.services.row(&happened.service) else { return };
        let data = happened.data.iter().map(|(name, value)| (format!("Data.{name}"), value.clone()));
        let mut arguments = vec![
            ("Name".to_owned(), happened.name.clone()),
            ("Time".to_owned(), date(self.world.facts.now_s)),
        ];
        arguments.extend(data);
        let arguments: Vec<(&str, String)> =
            arguments.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        let object = format!("Device.SoftwareModules.ExecutionUnit.{row}.X_SHG_Service.");
        self.news.happen(&self.world, (&object, "Event"), &arguments, (None, false, now_ms));
    }
}
