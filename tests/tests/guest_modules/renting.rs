//! A provider rents a slice by USP: what is promised in it stays promised, what does not fit is refused with what is short, and it is there after
//! the power was cut.
//!
//! In:  the test root with keys of two providers, a registry, usp-js. Out: passed, failed, or `skipped: ` and why.

use lab::controller::Controller;
use lab::guest::{BOOT_LIMIT, Guest, UP_LIMIT};
use lab::house::{self, Scratch};
use lab::operator::{DESK, Operator, Release};
use lab::{facts, wait};
use serde_json::{Value, json};

use super::{DU, ENVIRONMENT, EU, INSTALL, boot, connected, get, hear, here, row};

const SLICE: &str = "acme";
const ADD: &str = "Device.SoftwareModules.ExecEnvClass.1.AddExecEnv()";
/// More than the gateway has for slices: KiB of memory, and thousandths of a thread.
const TOO_MUCH: (&str, &str) = ("1048576", "1900");
/// Floors in a slice of 100 thousandths of a thread and 16 MiB: two that fill it, and one that is too much beside the first.
const FIRST: (&str, u32, u32) = ("first", 40, 12);
const SECOND: (&str, u32, u32) = ("second", 60, 4);
const LARGE: (&str, u32, u32) = ("large", 80, 8);
/// The slice at its end, as [`slice`] says it.
const PROMISED: ([[u64; 2]; 2], u64) = ([[110, 18], [100, 16]], 18 << 20);

/// hello as another service of the slice, which offers nothing.
fn manifest((name, permille, mib): (&str, u32, u32)) -> String {
    let hello = include_str!("../../../src/services/hello/manifest.toml");
    let (head, _) = hello.split_once("[[serves]]").unwrap();
    let text = head.replace("name = \"hello\"", &format!("name = \"{name}\""));
    let text = text.replace("provider = \"demo\"", &format!("provider = \"{SLICE}\""));
    let text = text.replace("floor_permille = 20", &format!("floor_permille = {permille}"));
    text.replace("floor_mib = 4", &format!("floor_mib = {mib}"))
}

/// Gives a command that takes its time, and waits for its end: what is told of it.
fn ends(controller: &mut Controller, path: &str, key: &str, input: &Value) -> String {
    controller.good("order", &json!([path, key, input])).unwrap();
    controller.told("end", &[key], UP_LIMIT).unwrap().to_string()
}

fn does(controller: &mut Controller, path: &str, key: &str, input: &Value) {
    let end = ends(controller, path, key, input);
    assert!(!end.contains("errCode") && !end.contains("cmdFailure"), "{key}: {end}");
}

/// It ends with this code, and these words are said.
fn refused(controller: &mut Controller, path: &str, key: &str, input: &Value, words: &[&str]) {
    let end = ends(controller, path, key, input);
    println!("{key}: {end}");
    assert!(words.iter().all(|word| end.contains(word)), "{key}: {words:?} in {end}");
}

fn state(guest: &mut Guest, service: &str) -> String {
    facts::process(guest, service).unwrap().state
}

fn wait_up(guest: &mut Guest, service: &str) {
    let up = |guest: &mut Guest| {
        let process = facts::process(guest, service);
        Ok(process.is_ok_and(|process| process.state == "up").then_some(()))
    };
    let told = guest.until(service, UP_LIMIT, up);
    assert!(told.is_ok(), "{:?}\n{}", facts::log(guest, "supervisor"), guest.last_lines());
}

/// Of the slice: what it has, and what of that is promised, of processor and memory; and `memory.min` as the kernel holds it.
fn slice(guest: &mut Guest) -> ([[u64; 2]; 2], u64) {
    let rows = guest.json("slices --json").unwrap();
    let row = rows.as_array().unwrap().iter().find(|row| row["slice"] == SLICE).unwrap();
    let amounts = ["all", "promised"]
        .map(|what| ["cpu_permille", "memory_mib"].map(|part| row[what][0][part].as_u64().unwrap()));
    let said = guest.door(&format!("cgroup slices/{SLICE}/memory.min")).unwrap();
    (amounts, said.lines().last().unwrap().parse().unwrap())
}

/// A slice that is to come, or is there.
struct Rental {
    guest: Guest,
    controller: Controller,
    /// Its row; empty until it is there.
    environment: String,
}

impl Rental {
    /// A slice comes, if it fits.
    fn comes(&mut self) {
        let Self { guest, controller, environment } = self;
        let (kib, permille) = TOO_MUCH;
        let much = json!({
            "Name": SLICE, "X_SHG_CPUFloor": permille, "X_SHG_CPUCeiling": permille, "X_SHG_MemoryFloor": kib,
            "AllocatedMemory": kib,
        });
        let words = ["7227", "the gateway is short of ", " permille of a thread cpu, ", " MiB memory"];
        refused(controller, ADD, "too-much", &much, &words);
        assert_eq!(row(controller, ENVIRONMENT, "Name", SLICE), None);
        let size = json!({"Name": SLICE, "X_SHG_CPUFloor": "100", "X_SHG_MemoryFloor": "16384"});
        does(controller, ADD, "rent", &size);
        *environment = row(controller, ENVIRONMENT, "Name", SLICE).unwrap();
        assert_eq!(slice(guest), ([[100, 16], [0, 0]], 16 << 20));
    }

    fn install(&mut self, key: &str, url: &str) -> String {
        let input = json!({"URL": url, "ExecutionEnvRef": self.environment});
        ends(&mut self.controller, INSTALL, key, &input)
    }

    /// A service comes into it; another one would be too much.
    fn is_filled(&mut self, first: &str, large: &str) {
        self.install("bring-first", first);
        wait_up(&mut self.guest, "first");
        self.install("bring-large", large);
        let Self { guest, controller, environment } = self;
        let unit = row(controller, EU, "Name", "first").unwrap();
        let its = get(controller, &format!("{unit}ExecutionEnvRef"));
        assert_eq!(its, environment.trim_end_matches('.'));
        let change = controller.told("change", &["Failed", "Install"], UP_LIMIT).unwrap().to_string();
        println!("bring-large: {change}");
        let short = "slice acme is short of 20 permille of a thread cpu, 4 MiB memory";
        assert!(change.contains("7227") && change.contains(short), "{change}");
        assert_eq!(row(controller, DU, "Name", "large"), None, "nothing of it is there");
        assert_eq!(slice(guest), ([[100, 16], [40, 12]], 16 << 20));
    }

    /// It is not made smaller than what is promised in it, and who runs there does not notice.
    fn is_not_made_too_small(&mut self) {
        let Self { guest, controller, environment } = self;
        let before = facts::process(guest, "first").unwrap();
        let modify = format!("{environment}ModifyConstraints()");
        let less = json!({"X_SHG_CPUFloor": "20", "X_SHG_MemoryFloor": "8192", "Force": "true"});
        let words = ["7022", "its services have more, by 20 permille of a thread cpu, 4 MiB memory"];
        refused(controller, &modify, "shrink", &less, &words);
        assert_eq!(slice(guest), ([[100, 16], [40, 12]], 16 << 20));
        assert_eq!(get(controller, &format!("{environment}X_SHG_Guarantee.MemoryFloor")), "16384");
        assert_eq!(facts::process(guest, "first").unwrap(), before);
    }

    /// What a service that is stopped gives back another size may take; then it does not fit any more.
    fn takes_what_is_given_back(&mut self, second: &str) {
        self.install("bring-second", second);
        let Self { guest, controller, environment } = self;
        wait_up(guest, "second");
        let unit = row(controller, EU, "Name", "second").unwrap();
        let (request, modify) =
            (format!("{unit}SetRequestedState()"), format!("{environment}ModifyConstraints()"));
        does(controller, &request, "stop", &json!({"RequestedState": "Idle"}));
        let size = |permille: &str, kib: &str| json!({"X_SHG_CPUFloor": permille, "X_SHG_MemoryFloor": kib});
        does(controller, &modify, "smaller", &size("70", "14336"));
        let words = ["7227", "slice acme is short of 30 permille of a thread cpu, 2 MiB memory"];
        let active = json!({"RequestedState": "Active"});
        refused(controller, &request, "start", &active, &words);
        assert_eq!(state(guest, "second"), "down");
        assert_eq!(slice(guest), ([[70, 14], [40, 12]], 14 << 20));
        does(controller, &modify, "larger", &size("110", "18432"));
        does(controller, &request, "start-again", &active);
        assert_eq!(slice(guest), PROMISED);
    }
}

/// Renting by USP on the gateway itself, and the power is cut at the end: slice and services are there again, as they were.
#[test]
fn a_provider_rents_a_slice_and_it_is_kept() {
    let scratch = Scratch::new().unwrap();
    let Some(operator) = here(Operator::start(&scratch.file("operator"))) else { return };
    operator.admit(SLICE).unwrap();
    let program = house::firmware().join("hello");
    let [first, second, large] = [FIRST, SECOND, LARGE].map(|floors| {
        let text = manifest(floors);
        let release =
            Release { provider: SLICE, name: floors.0, version: 1, manifest: &text, program: &program };
        operator.publish(release, DESK).unwrap()
    });
    let Some((guest, endpoint)) = boot(&operator) else { return };
    let Some(mut controller) = here(Controller::start(operator.broker_port(), &endpoint)) else { return };
    hear(&mut controller);
    let mut rental = Rental { guest, controller, environment: String::new() };
    rental.comes();
    rental.is_filled(&first, &large);
    rental.is_not_made_too_small();
    rental.takes_what_is_given_back(&second);

    let Rental { mut guest, .. } = rental;
    guest.reset().unwrap();
    guest.wait_ready(BOOT_LIMIT).unwrap();
    connected(&mut guest);
    wait_up(&mut guest, "first");
    wait_up(&mut guest, "second");
    assert_eq!(slice(&mut guest), PROMISED);
    let Some(mut controller) = here(Controller::start(operator.broker_port(), &endpoint)) else { return };
    let found =
        wait::until("the environment", UP_LIMIT, || Ok(row(&mut controller, ENVIRONMENT, "Name", SLICE)));
    let floor = get(&mut controller, &format!("{}X_SHG_Guarantee.MemoryFloor", found.unwrap()));
    assert_eq!(floor, "18432");
}
