//! All that the tree is read from: the operator's word, what controllers have set, and what other rooms say.
//!
//! In:  answers on wires, files of the machine. Out: a [`World`].
//!
//! A room that does not answer has nothing to say: its objects are empty, and the rest works.
//!
//! Not here: what of it stands where in the tree (`model.rs`).

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use contract::Name;
use contract::control::{Kind, Process, Promised, State};
use contract::learn::Mapping;
use contract::manifest::{Audience, Serve};
use contract::packages::{Kept, Unit};
use contract::sla::Compliance;
use serde::{Deserialize, Serialize};
use x509::Certificate;
use x509::time::Date;

use crate::challenge::Challenges;
use crate::configuration::Configuration;
use crate::job::{Job, Phase};
use crate::network::{Network, Served};
use crate::peer::Traffic;
use crate::rental::{self, Wish};
use crate::roles::Held;
use crate::rows::Rows;
use crate::settings::{Said, Settings};
use crate::tenants::report::Report;
use crate::timer::Timer;

/// All of it.
#[derive(Debug, Clone, Default)]
pub struct World {
    /// The operator's word.
    pub configuration: Configuration,
    /// What controllers have set.
    pub settings: Settings,
    /// Who we are.
    pub endpoint: String,
    /// How it stands with each controller, in their order.
    pub links: Vec<Link>,
    /// Commands that take their time.
    pub requests: Vec<Request>,
    /// The row that the next one gets.
    pub next_request: u32,
    /// What the machine and other rooms say.
    pub facts: Facts,
    /// Rows that have come by themselves.
    pub tables: Tables,
    /// What is said of the network.
    pub network: Network,
    /// The gateway's own certificate.
    pub certificate: Option<Certificate>,
    /// Services that bring a part of the tree, or are about to.
    pub brought: Vec<Brought>,
    /// Challenges under way.
    pub challenges: Challenges,
}

/// A service that brings a part of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brought {
    /// Its row; none comes twice.
    pub row: u32,
    /// Which service it is, as the kernel says.
    pub service: Name,
    /// What it calls itself.
    pub endpoint: String,
    /// The objects that it has registered.
    pub paths: Vec<String>,
}

/// Rows that come and go by themselves.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tables {
    /// Services: `ExecutionUnit`.
    pub services: Rows,
    /// Bundles: `DeploymentUnit`.
    pub bundles: Rows,
    /// Volumes, by their services: `ApplicationData`. No slice has two services of a name. The journal keeps them beside: the form of this is older.
    #[serde(skip)]
    pub volumes: Rows,
    /// Slices: `ExecEnv`.
    pub slices: Rows,
    /// All that the supervisor keeps alive: `ProcessStatus.Process`.
    pub processes: Rows,
    /// Slices that were restarted by a controller: how often, when last (seconds since 1970), and why.
    pub restarts: Vec<(Name, u32, i64, String)>,
}

/// How it stands with a controller.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Link {
    /// Its broker has let us in, and granted a topic.
    pub up: bool,
    /// Why it is not, in words.
    pub reason: String,
    /// The name that the broker gave us.
    pub client: String,
    /// Where we listen, as the broker said.
    pub topic: String,
    /// Its response information.
    pub said: String,
    /// There is an end-to-end session.
    pub session: bool,
    /// How often one was begun again that was not taken up.
    pub session_tries: u32,
    /// How often it was tried in vain since it last stood.
    pub tries: u32,
    /// The role that the certificate at its end has brought; it stays until another one is shown.
    pub inherited: Held,
    /// What its broker and we have said to each other.
    pub traffic: Traffic,
}

/// A command that takes its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its row.
    pub row: u32,
    /// Which controller has given it, by its row.
    pub originator: u32,
    /// The command's path.
    pub command: String,
    /// What the controller calls it.
    pub key: String,
    /// The service that it waits for, and the state that it shall have: it runs, or not.
    pub unit: Option<(Name, bool)>,
    /// When it is given up, in milliseconds after boot.
    pub until_ms: u64,
    /// It was begun: what it is to change may be looked at. An operation: `package` may have been asked for it.
    pub begun: bool,
    /// The operation on a bundle, and how far it is.
    pub job: Option<(Job, Phase)>,
    /// Bytes that have come, and all of them, where that is known.
    pub progress: (u64, u64),
    /// A controller has taken it back.
    pub canceled: bool,
    /// It ends when no bundle is left in this slice; and then the slice is given back, too.
    pub empties: Option<(Name, bool)>,
    /// The operation on a slice, and how far it is.
    pub slice: Option<(Wish, rental::Phase)>,
    /// It is a timer.
    pub timer: Option<Timer>,
}

/// What the machine and other rooms say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// Seconds after boot.
    pub uptime_s: u64,
    /// Seconds after our own start.
    pub agent_s: u64,
    /// The kernel's release.
    pub kernel: String,
    /// Which boot this is.
    pub boot: Vec<u8>,
    /// Memory of the machine, in KiB: all, and what can be had.
    pub memory_kib: (u64, u64),
    /// The data disk, in KiB: all, and what can be had.
    pub disk_kib: (u64, u64),
    /// What the processors did since they were last looked at, in per cent; and their time by then: busy, all.
    pub cpu_percent: u64,
    /// See `cpu_percent`.
    pub cpu_time: (u64, u64),
    /// Seconds since 1970; `None`: the clock is not believed.
    pub now_s: Option<i64>,
    /// What the supervisor says of processes.
    pub processes: Vec<Process>,
    /// And of slices; the gateway itself among them.
    pub promised: Vec<Promised>,
    /// And of promises that were kept, or not.
    pub compliance: Vec<Compliance>,
    /// What `package` says of bundles.
    pub bundles: Vec<Unit>,
    /// And of volumes whose services are gone.
    pub kept: Vec<Kept>,
    /// What volumes have in them, in bytes, by their services and whose those are; one whose disk does not say it is left out.
    pub volumes: BTreeMap<(Name, Name), u64>,
    /// What services say of themselves.
    pub reports: BTreeMap<Name, Report>,
}

impl World {
    /// The operator's word, and what was set before.
    #[must_use]
    pub fn new(configuration: Configuration, endpoint: String, mut settings: Settings) -> Self {
        let said = std::mem::take(&mut settings.controllers);
        for (row, controller) in (1..).zip(&configuration.controllers) {
            let known = said.iter().find(|said| said.endpoint == controller.endpoint).cloned();
            settings.controllers.push(known.unwrap_or_else(|| Said::of(controller, row)));
        }
        // A subscription goes with its controller: into another row, or away with somebody who is not obeyed any more.
        let (before, now) = (said, &settings.controllers);
        let row_now = |row: u32| {
            let place = usize::try_from(row).ok().and_then(|row| row.checked_sub(1))?;
            let endpoint = before.get(place).map(|said| said.endpoint.as_str())?;
            let place = now.iter().position(|said| said.endpoint == endpoint && !endpoint.is_empty())?;
            u32::try_from(place).ok()?.checked_add(1)
        };
        settings.subscriptions.retain_mut(|one| match row_now(one.recipient) {
            Some(row) => {
                one.recipient = row;
                true
            }
            None => false,
        });
        settings
            .thresholds
            .retain(|one| settings.controllers.iter().any(|said| said.endpoint == one.controller));
        settings.next_subscription = settings.next_subscription.max(1);
        let links = configuration.controllers.iter().map(|_| Link::default()).collect();
        Self { configuration, settings, endpoint, links, next_request: 1, ..Self::default() }
    }

    /// Takes what the supervisor says; new services get rows.
    pub fn hear_processes(&mut self, processes: Vec<Process>) {
        let tenants = processes.iter().filter(|process| process.kind == Kind::Tenant);
        self.tables.processes.keep(processes.iter().map(|process| process.name.as_str()));
        self.tables.services.keep(tenants.map(|process| process.name.as_str()));
        self.facts.processes = processes;
        self.settle_served();
    }

    /// Ports of the Internet play's address that lead to services.
    fn settle_served(&mut self) {
        let mut served = Vec::new();
        for unit in &self.facts.bundles {
            let process = self.facts.processes.iter().find(|process| process.name == unit.name);
            let host = process.and_then(|process| process.address).unwrap_or(Ipv4Addr::UNSPECIFIED);
            let up = process.is_some_and(|process| process.state == State::Up);
            let leads = |serve: &&Serve| serve.to == Audience::Internet && serve.at != 0;
            served.extend(unit.uses.serves.iter().filter(leads).map(|serve| Served {
                service: unit.name.clone(),
                mapping: Mapping {
                    protocol: serve.protocol,
                    external_port: serve.at,
                    host: host.into(),
                    port: serve.port,
                },
                up,
            }));
        }
        self.network.serve(served);
    }

    /// Takes what the supervisor says of one process, unless something newer is known.
    pub fn hear_process(&mut self, process: Process) {
        let mut all = std::mem::take(&mut self.facts.processes);
        match all.iter_mut().find(|one| one.name == process.name) {
            Some(known) if known.since_ms > process.since_ms => {}
            Some(known) => *known = process,
            None => all.push(process),
        }
        self.hear_processes(all);
    }

    /// A process is there no more.
    pub fn hear_gone(&mut self, name: &Name) {
        let mut all = std::mem::take(&mut self.facts.processes);
        all.retain(|process| process.name != *name);
        self.facts.compliance.retain(|one| one.service != *name);
        self.hear_processes(all);
    }

    /// Takes what the supervisor says of one service's promises.
    pub fn hear_compliance(&mut self, row: Compliance) {
        match self.facts.compliance.iter_mut().find(|one| one.service == row.service) {
            Some(known) => *known = row,
            None => self.facts.compliance.push(row),
        }
    }

    /// Takes what the supervisor says of slices; new ones get rows.
    pub fn hear_slices(&mut self, promised: Vec<Promised>) {
        self.tables.slices.keep(promised.iter().filter_map(|one| one.slice.as_deref()));
        self.facts.promised = promised;
    }

    /// Takes what `package` says; new bundles and volumes get rows.
    pub fn hear_bundles(&mut self, bundles: Vec<Unit>, kept: Vec<Kept>) {
        let used = bundles.iter().filter(|unit| unit.uses.volume.is_some()).map(|unit| unit.name.as_str());
        self.tables.volumes.keep(used.chain(kept.iter().map(|one| one.service.as_str())));
        self.facts.kept = kept;
        self.tables.bundles.keep(bundles.iter().map(|unit| unit.name.as_str()));
        self.facts.bundles = bundles;
        self.settle_served();
    }

    /// A volume that its service has left is there no more.
    pub fn forget_volume(&mut self, service: &Name, provider: &Name) {
        let mut kept = std::mem::take(&mut self.facts.kept);
        kept.retain(|one| !one.is_of(service, provider));
        self.hear_bundles(self.facts.bundles.clone(), kept);
    }

    /// The service in `row`.
    #[must_use]
    pub fn service(&self, row: u32) -> Option<&Process> {
        let name = self.tables.services.name(row)?;
        self.facts.processes.iter().find(|process| process.name.as_str() == name)
    }

    /// The bundle in `row`.
    #[must_use]
    pub fn bundle(&self, row: u32) -> Option<&Unit> {
        let name = self.tables.bundles.name(row)?;
        self.facts.bundles.iter().find(|unit| unit.name.as_str() == name)
    }

    /// The slice in `row`.
    #[must_use]
    pub fn slice(&self, row: u32) -> Option<&Promised> {
        let name = self.tables.slices.name(row);
        self.facts.promised.iter().find(|one| one.slice.is_some() && one.slice.as_deref() == name)
    }

    /// What was promised to a service, and what it got.
    #[must_use]
    pub fn compliance(&self, service: &str) -> Option<&Compliance> {
        self.facts.compliance.iter().find(|one| one.service.as_str() == service)
    }

    /// The request in `row`.
    #[must_use]
    pub fn request(&self, row: u32) -> Option<&Request> {
        self.requests.iter().find(|request| request.row == row)
    }

    /// The request in `row`, to be changed.
    pub fn request_mut(&mut self, row: u32) -> Option<&mut Request> {
        self.requests.iter_mut().find(|request| request.row == row)
    }
}

/// The time of something that happens so many milliseconds after boot; the unknown time where the clock is not believed.
#[must_use]
pub fn date_after_boot(world: &World, at_ms: u64) -> String {
    let seconds = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let booted_s = world.facts.now_s.map(|now_s| now_s.saturating_sub(seconds(world.facts.uptime_s)));
    date(booted_s.map(|booted_s| booted_s.saturating_add(seconds(at_ms / 1000))))
}

/// A time as TR-106 writes it (UTC, ISO 8601); the unknown time where there is none.
#[must_use]
pub fn date(seconds: Option<i64>) -> String {
    let Some(seconds) = seconds.filter(|seconds| *seconds > 0) else {
        return "0001-01-01T00:00:00Z".to_owned();
    };
    let Date { day: (year, month, date), time: (hour, minute, second) } = Date::of(seconds);
    format!("{year:04}-{month:02}-{date:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn a_date_is_a_date() {
        // Said by date(1) -u -d @N.
        let table = [
            (None, "0001-01-01T00:00:00Z"),
            (Some(951_782_400), "2000-02-29T00:00:00Z"),
            (Some(1_764_100_799), "2025-11-25T19:59:59Z"),
            (Some(2_177_452_800), "2039-01-01T00:00:00Z"),
        ];
        for (seconds, text) in table {
            assert_eq!(date(seconds), text);
        }
    }
}
