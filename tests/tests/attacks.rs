//! What hostile services try, in earnest, in the guest: each attack fails, gets through where its layers are taken away, and fails as
//! long as one of them is left.
//!
//! In:  the rehearsal root, whose supervisor weakens a sandbox by name, and the tenant `hostile`. Out: passed, failed, or `skipped: ` and
//! why; the table in `target/lab/report`, for `lab report`.
//!
//! The number is the row of the list of attacks; docs/security.md names who shows the other rows.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fmt::Write as _;

use contract::layer::Layer;
use contract::layer::Layer::{
    CgroupNamespace, Descriptors, Devices, Landlock, MemoryMax, Mounts, NoCapabilities, NoNesting,
    PidNamespace, PidsMax, PrivateProc, ResourceLimits, Seccomp, UserNamespace,
};
use lab::guest::{Around, Guest, Options, UP_LIMIT};
use lab::kernel::Kernel;
use lab::root::Variant;
use lab::{facts, report};

/// An attack, and the layers each of which stops it alone.
struct Row {
    attack: &'static str,
    layers: &'static [Layer],
}

const fn row(attack: &'static str, layers: &'static [Layer]) -> Row {
    Row { attack, layers }
}

const ROWS: &[Row] = &[
    // The gateway's root is read-only, too, and no rehearsal takes that away: no control.
    row("1-runtime", &[]),
    row("2-cgroup-v1", &[Seccomp, NoCapabilities, UserNamespace, CgroupNamespace, Landlock]),
    row("3-descriptors", &[Descriptors, Landlock]),
    row("7-remount", &[Seccomp, NoCapabilities, Landlock]),
    row("10-nested", &[Seccomp, NoNesting]),
    row("11-core-pattern", &[PrivateProc, UserNamespace, Landlock]),
    row("12-secrets", &[PrivateProc, UserNamespace]),
    row("13-processes", &[Seccomp, PidNamespace, UserNamespace, NoCapabilities, Landlock]),
    row("14-signals", &[PidNamespace, UserNamespace, Landlock]),
    row("15-handles", &[Seccomp, NoCapabilities, UserNamespace]),
    row("16-devices", &[Seccomp, NoCapabilities, UserNamespace, Mounts, Devices, Landlock]),
    row("17-bpf", &[Seccomp]),
    row("17-clock", &[Seccomp, NoCapabilities, UserNamespace]),
    row("17-io-uring", &[Seccomp]),
    row("17-keys", &[Seccomp]),
    row("17-module", &[Seccomp, NoCapabilities, UserNamespace]),
    row("17-perf", &[Seccomp]),
    row("17-personality", &[Seccomp]),
    row("17-reboot", &[Seccomp, NoCapabilities]),
    row("17-swap", &[Seccomp, NoCapabilities, UserNamespace]),
    row("17-userfaultfd", &[Seccomp]),
    row("19-terminal", &[Seccomp]),
    row("20-packets", &[Seccomp, NoCapabilities, UserNamespace]),
    row("20-firewall", &[Seccomp]),
    row("22-files", &[ResourceLimits]),
    row("22-inotify", &[NoNesting]),
    row("23-forks", &[PidsMax]),
    row("24-memory", &[MemoryMax]),
    row("25-nice", &[NoCapabilities, UserNamespace]),
    row("25-realtime", &[Seccomp, NoCapabilities, UserNamespace]),
    row("36-kernel-log", &[Seccomp, NoCapabilities, UserNamespace]),
    row("36-statistics", &[PrivateProc]),
];

/// What a kernel says that has not got what an attack is about.
const ABSENT: [&str; 2] = ["denied ENOSYS", "denied ENOENT"];

/// Attacks that a kernel refuses by itself. Source: Debian's `CONFIG_BPF_UNPRIV_DEFAULT_OFF`.
const REFUSED_BY_KERNEL: [(Kernel, &str); 1] = [(Kernel::Quick, "17-bpf")];

fn words(layers: &[Layer]) -> String {
    let words: Vec<&str> = layers.iter().map(|layer| layer.word()).collect();
    if words.is_empty() { "-".to_owned() } else { words.join(",") }
}

/// Lets `hostile` try `attack` without `layers`; what came of it: `through`, `denied ERRNO`, or how it ended.
fn attack(guest: &mut Guest, run: usize, attack: &str, without: &[Layer]) -> String {
    let since = |guest: &mut Guest| {
        let rows = guest.json("status --json")?;
        let row = rows.as_array().into_iter().flatten().find(|row| row["name"] == "hostile").cloned();
        Ok(row.map(|row| (row["state"].as_str().unwrap_or_default().to_owned(), row["since_ms"].as_u64())))
    };
    let before = since(guest).unwrap().unwrap().1;
    guest.door(&format!("rehearse hostile run {} {run} {attack}", words(without))).unwrap();
    guest.door("start hostile").unwrap();
    let over = guest.until(&format!("the end of {attack} without {}", words(without)), UP_LIMIT, |guest| {
        let now = since(guest)?;
        Ok(now.filter(|(state, ms)| ["down", "failed"].contains(&state.as_str()) && *ms != before).map(drop))
    });
    let process = facts::process(guest, "hostile").unwrap();
    if let Err(error) = over {
        panic!("{error}: {process:?}\n{}", guest.last_lines());
    }
    let log = facts::log(guest, "hostile").unwrap();
    let begin = format!("attack {run} {attack}: ");
    match log.iter().rev().find_map(|line| line.strip_prefix(&begin)) {
        Some(outcome) => outcome.to_owned(),
        None => {
            format!("ended by {} {}", process.exit.unwrap_or_default(), process.reason).trim_end().to_owned()
        }
    }
}

#[test]
fn each_attack_fails_and_gets_through_only_where_all_its_layers_are_gone() {
    let options =
        Options { variant: Variant::Rehearsal, around: Around::Nothing, ..Options::usual().unwrap() };
    let Some(mut guest) = Guest::boot(&options).unwrap() else { return };
    facts::wait_all_up(&mut guest).unwrap();
    let (mut run, mut faults, mut unproven) = (0, Vec::new(), Vec::new());
    let mut table =
        String::from("| attack | layers | whole | without any one | without all |\n|---|---|---|---|---|\n");
    let mut absent = Vec::new();
    for Row { attack: name, layers } in ROWS {
        let mut outcome = |guest: &mut Guest, without: &[Layer]| {
            run += 1;
            let outcome = attack(guest, run, name, without);
            println!("{name} without {}: {outcome}", words(without));
            if outcome.starts_with("ended by code") {
                faults.push(format!("{name} without {} was not tried: {outcome}", words(without)));
            }
            outcome
        };
        let whole = outcome(&mut guest, &[]);
        let mut through = Vec::new();
        if whole == "through" {
            through.push(format!("{name} gets through"));
        }
        let mut single = Vec::new();
        if layers.len() > 1 {
            for layer in *layers {
                let without = outcome(&mut guest, &[*layer]);
                if without == "through" {
                    through.push(format!("{name} gets through without {}", layer.word()));
                }
                single.push(without);
            }
        }
        let control = if layers.is_empty() { "–".to_owned() } else { outcome(&mut guest, layers) };
        if ABSENT.contains(&control.as_str()) || REFUSED_BY_KERNEL.contains(&(options.kernel, *name)) {
            absent.push(*name);
        } else if control != "through" && !layers.is_empty() {
            unproven.push(format!("{name} proves nothing: without {} it is {control}", words(layers)));
        }
        unproven.extend(through);
        single.sort();
        single.dedup();
        let single = if single.is_empty() { "–".to_owned() } else { single.join(", ") };
        writeln!(table, "| {name} | {} | {whole} | {single} | {control} |", words(layers)).unwrap();
    }
    for name in absent {
        println!(
            "skipped in part: {name}: this kernel has nothing to attack, or refuses by itself, so there is no positive control"
        );
    }
    println!("{run} runs of hostile\n{table}");
    report::keep("attacks", options.kernel, &table).unwrap();
    faults.extend(unproven);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    // Whatever was tried, the gateway is as it was.
    assert_eq!(facts::lives(&mut guest).unwrap(), 1, "the supervisor has one life");
    let mut late = facts::not_up(&mut guest).unwrap();
    late.retain(|line| !line.starts_with("hostile is down")); // It has ended by itself, each time.
    assert_eq!(late, Vec::<String>::new());
    assert_eq!(facts::process(&mut guest, "hello").unwrap().restarts, 0);
}

#[test]
fn what_was_put_on_is_read_back_while_it_runs() {
    let options =
        Options { variant: Variant::Rehearsal, around: Around::Nothing, ..Options::usual().unwrap() };
    let Some(mut guest) = Guest::boot(&options).unwrap() else { return };
    facts::wait_all_up(&mut guest).unwrap();
    for service in ["hello", "chatter"] {
        let rows = guest.json(&format!("verify {service} --json")).unwrap();
        let rows = rows.as_array().unwrap();
        assert!(rows.len() >= 2 * Layer::ALL.len(), "{service}: reaper and service");
        for row in rows {
            assert_eq!(row["holds"], true, "{service}: {row}");
        }
    }
    println!("{}", guest.door("verify hello").unwrap());
    for layer in [Seccomp, PrivateProc, Devices, ResourceLimits] {
        let word = layer.word();
        guest.door(&format!("rehearse copy-3 run {word}")).unwrap();
        guest.door("restart copy-3").unwrap();
        let answer = guest.until("a weakened service", UP_LIMIT, |guest| {
            let answer = guest.ask("verify copy-3")?;
            Ok(answer.text.contains(&format!("copy-3: {word} does not hold")).then_some(answer))
        });
        assert_eq!(answer.unwrap().exit, 1, "without {word}");
    }
    let daemon = guest.ask("verify storage").unwrap();
    assert!(daemon.exit == 1 && daemon.text.contains("no service that runs"), "{}", daemon.text);
}
