//! How it stands with each controller, for somebody at the gateway (`ctl usp doctor`).
//!
//! In:  a question. Out: a finding for each controller, once every one that does not stand was tried anew, or the time is over.
//!
//! Not here: causes and remedies (`fault.rs`).

use std::os::fd::BorrowedFd;

use contract::doctor::{Answer, Ask, Finding, LIMIT_MS, Side, Stage};
use usp::permission::May;
use wire::{Connection, Listener, Received};

use crate::configuration::transport::{Caller, Transport};
use crate::peer::Peer;
use crate::proof;
use crate::roles;
use crate::world::World;

/// Who asks, and since when, in milliseconds after boot.
#[derive(Debug)]
struct Patient {
    connection: Connection,
    asked_ms: Option<u64>,
}

/// Questions at a time: a `ctl` or two. The eldest makes room.
const PATIENTS_MAX: usize = 4;

/// The wire.
#[derive(Debug, Default)]
pub struct Doctor {
    listener: Option<Listener>,
    patients: Vec<Patient>,
}

impl Doctor {
    /// On the listener that the supervisor has bound.
    #[must_use]
    pub fn new(listener: Option<Listener>) -> Self {
        Self { listener, patients: Vec::new() }
    }

    /// What it waits for.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        use std::os::fd::AsFd;
        let patients = self.patients.iter().map(|one| one.connection.as_fd());
        self.listener.iter().map(AsFd::as_fd).chain(patients)
    }

    /// Somebody waits for what controllers are found to be.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.patients.iter().any(|one| one.asked_ms.is_some())
    }

    /// When it has to answer, in milliseconds after boot.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        self.patients
            .iter()
            .filter_map(|one| one.asked_ms)
            .map(|asked_ms| asked_ms.saturating_add(LIMIT_MS))
            .min()
    }

    /// One turn: who asks has those tried that do not stand; who has waited for all of them is answered.
    pub fn turn(&mut self, world: &World, peers: &mut [Peer], now_ms: u64) {
        if let Some(connection) = self.listener.as_ref().and_then(Listener::accept) {
            if self.patients.len() >= PATIENTS_MAX {
                self.patients.remove(0);
            }
            self.patients.push(Patient { connection, asked_ms: None });
        }
        self.patients.retain_mut(|one| {
            match one.connection.receive::<Ask>() {
                Received::Message(Ask::Examine, _) => {
                    one.asked_ms = Some(now_ms);
                    peers.iter_mut().for_each(Peer::hurry);
                }
                Received::Nothing => {}
                Received::Gone => return false,
            }
            let Some(asked_ms) = one.asked_ms else { return true };
            let late = now_ms >= asked_ms.saturating_add(LIMIT_MS);
            if !late && !peers.iter().all(|peer| peer.is_known_since(asked_ms)) {
                return true;
            }
            one.asked_ms = None;
            let findings = findings(world, peers).into_iter().map(Answer::Finding);
            one.connection.send_all(findings.chain([Answer::Done])).is_ok()
        });
    }
}

/// One for each controller, in their order, but those that came with a service; one without an endpoint where the operator's word says nobody.
fn findings(world: &World, peers: &[Peer]) -> Vec<Finding> {
    let named = |place: usize| {
        let one = world.configuration.controllers.get(place);
        one.is_some_and(|one| !matches!(one.transport, Transport::Local(Caller::Granted(_) | Caller::Nobody)))
    };
    let of_operator = peers.iter().enumerate().filter(|(place, _)| named(*place));
    let mut findings: Vec<Finding> = of_operator.map(|(place, peer)| finding(world, place, peer)).collect();
    if findings.is_empty() {
        findings.push(Finding {
            endpoint: "".into(),
            way: "".into(),
            stage: Stage::Configured,
            side: Side::Operator,
            why: "nobody is obeyed: there is no agent.toml, or it has an error (ctl log agent)".into(),
            remedy: "write /data/state/agent.toml: docs/usp.md".into(),
        });
    }
    findings.extend(lists());
    findings
}

/// Lists of revoked certificates that should have been replaced by now. One that cannot be used is each controller's finding.
fn lists() -> impl Iterator<Item = Finding> {
    let overdue = trust::lists::read().map(|lists| proof::overdue(&lists)).unwrap_or_default();
    overdue.into_iter().map(|why| Finding {
        endpoint: "".into(),
        way: "revoked.pem".into(),
        stage: Stage::Certificate,
        side: Side::Operator,
        why: why.as_str().into(),
        remedy: "bring the authority's newer list to /data/state/revoked.pem".into(),
    })
}

fn finding(world: &World, place: usize, peer: &Peer) -> Finding {
    let made = |(stage, side), why: &str, remedy: &str| Finding {
        endpoint: peer.endpoint().into(),
        way: peer.way().as_str().into(),
        stage,
        side,
        why: why.into(),
        remedy: remedy.into(),
    };
    if let Some(fault) = peer.fault() {
        return made(fault.place(), &fault.to_string(), fault.remedy());
    }
    let said = world.settings.controllers.get(place);
    if said.is_some_and(|said| !said.enable) {
        let remedy = "another controller has to set Device.LocalAgent.Controller.{i}.Enable";
        return made((Stage::Rights, Side::Operator), "connected, but it is not enabled", remedy);
    }
    let held = roles::of(world, u32::try_from(place).unwrap_or(0).saturating_add(1));
    let grants = |may: May| may != May::default();
    let any = held.rules(&world.configuration).any(|rules| {
        let mut rules = rules.iter().filter(|rule| rule.enable && !rule.targets.is_empty());
        rules.any(|one| [one.param, one.object, one.instance, one.command_event].into_iter().any(grants))
    });
    if !any {
        let names: Vec<&str> = held.roles(&world.configuration).map(|(_, role)| role.name.as_str()).collect();
        let why = format!("connected, but its role {} grants nothing", names.join(", "));
        return made(
            (Stage::Rights, Side::Operator),
            &why,
            "give it another role, or the role a rule, in agent.toml",
        );
    }
    if let Some(refusal) = peer.refused() {
        let why = format!("connected, but the broker did not take a message of ours: {refusal}");
        let remedy = "let this user publish to the controller's topic; the broker's limits have to be as large as what is asked for";
        return made((Stage::Topic, Side::Operator), &why, remedy);
    }
    if !peer.has_heard() {
        let remedy =
            "it may have nothing to say; else: does it publish to our agent_topic, as this endpoint id?";
        return made((Stage::Controller, Side::Operator), "connected; no word of the controller yet", remedy);
    }
    made((Stage::Well, Side::Nobody), "", "")
}
