//! What hostile services try, in earnest, in the guest: each attack fails, gets through where its layers are taken away, and fails as
//! long as one of them is left.
//!
//! In:  the rehearsal root, whose supervisor weakens a sandbox by name, and the tenant `hostile`. Out: passed, failed, or `skipped: ` and
//! why; the table in `target/lab/report`, for `lab report`.
//!
//! `ATTACK=24` tries only those whose name begins so, and keeps no table.
//!
//! The number is the row of the list of attacks; docs/security.md names who shows the other rows.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use contract::layer::Layer;
use contract::layer::Layer::{
    CgroupNamespace, Descriptors, Devices, Landlock, MemoryMax, Mounts, NetworkNamespace, NoCapabilities,
    NoNesting, PidNamespace, PidsMax, PrivateProc, ResourceLimits, Seccomp, UserNamespace,
};
use lab::guest::{Around, Guest, Options, UP_LIMIT};
use lab::kernel::Kernel;
use lab::root::Variant;
use lab::{facts, report};

/// An attack, and the layers each of which stops it alone.
struct Row {
    attack: &'static str,
    /// At whom, where it is at somebody.
    at: Option<&'static str>,
    layers: &'static [Layer],
}

const fn row(attack: &'static str, layers: &'static [Layer]) -> Row {
    Row { attack, at: None, layers }
}

/// What stands between a service and another process.
const APART: &[Layer] = &[Seccomp, PidNamespace, UserNamespace, NoCapabilities, Landlock];

const fn aimed(attack: &'static str, at: &'static str) -> Row {
    Row { attack, at: Some(at), layers: APART }
}

/// Whom attacks are aimed at: who lets services live, and one of these.
const SUPERVISOR: &str = "supervisor";
const SIBLING: &str = "hello";

const ROWS: &[Row] = &[
    // The gateway's root is read-only, too, and no rehearsal takes that away: no control.
    row("1-runtime", &[]),
    row("2-cgroup-v1", &[Seccomp, NoCapabilities, UserNamespace, CgroupNamespace, Landlock]),
    row("3-descriptors", &[Descriptors, Landlock]),
    row("7-remount", &[Seccomp, NoCapabilities, Landlock]),
    row("10-nested", &[Seccomp, NoNesting]),
    row("11-binfmt-misc", &[Seccomp, NoCapabilities, Landlock]),
    row("11-core-pattern", &[PrivateProc, UserNamespace, Landlock]),
    row("11-modprobe", &[PrivateProc, UserNamespace, Landlock]),
    row("11-sysrq", &[PrivateProc, UserNamespace, Landlock]),
    row("11-uevent-helper", &[Seccomp, NoCapabilities, UserNamespace, Landlock]),
    row("12-debug", &[Seccomp, NoCapabilities, UserNamespace, Landlock]),
    row("12-firmware", &[Seccomp, NoCapabilities, UserNamespace, Landlock]),
    row("12-kcore", &[PrivateProc, UserNamespace, NoCapabilities]),
    row("12-keys", &[PrivateProc]),
    row("12-secrets", &[PrivateProc, UserNamespace]),
    row("12-timers", &[PrivateProc, UserNamespace]),
    row("13-processes", APART),
    aimed("13-descriptors", SUPERVISOR),
    aimed("13-descriptors", SIBLING),
    aimed("13-trace", SUPERVISOR),
    aimed("13-trace", SIBLING),
    aimed("13-write", SUPERVISOR),
    aimed("13-write", SIBLING),
    row("14-signals", &[PidNamespace, UserNamespace, Landlock]),
    row("15-handles", &[Seccomp, NoCapabilities, UserNamespace]),
    row("16-devices", &[Seccomp, NoCapabilities, UserNamespace, Mounts, Devices, Landlock]),
    row("17-bpf", &[Seccomp]),
    row("17-clock", &[Seccomp, NoCapabilities, UserNamespace]),
    row("17-clock-settime", &[Seccomp, NoCapabilities, UserNamespace]),
    row("17-clock-settime64", &[Seccomp, NoCapabilities, UserNamespace]),
    row("17-io-uring", &[Seccomp]),
    row("17-kexec", &[Seccomp, NoCapabilities, UserNamespace]),
    // A 32-bit machine has no such call.
    row("17-kexec-file", &[Seccomp, NoCapabilities, UserNamespace]),
    row("17-key-add", &[Seccomp]),
    row("17-key-request", &[Seccomp]),
    row("17-keys", &[Seccomp]),
    row("17-module", &[Seccomp, NoCapabilities, UserNamespace]),
    row("17-module-delete", &[Seccomp, NoCapabilities, UserNamespace]),
    row("17-module-file", &[Seccomp, NoCapabilities, UserNamespace]),
    row("17-perf", &[Seccomp]),
    row("17-personality", &[Seccomp]),
    row("17-quota", &[Seccomp]),
    row("17-quota-file", &[Seccomp]),
    row("17-reboot", &[Seccomp, NoCapabilities]),
    row("17-swap", &[Seccomp, NoCapabilities, UserNamespace]),
    row("17-swap-off", &[Seccomp, NoCapabilities, UserNamespace]),
    row("17-userfaultfd", &[Seccomp]),
    row("19-terminal", &[Seccomp]),
    row("20-abstract", &[NetworkNamespace, Landlock]),
    row("20-events", &[Seccomp]),
    row("20-firewall", &[Seccomp]),
    row("20-packets", &[Seccomp, NoCapabilities, UserNamespace]),
    row("20-raw", &[Seccomp, NoCapabilities, UserNamespace]),
    row("20-raw-6", &[Seccomp, NoCapabilities, UserNamespace]),
    row("20-routes", &[Seccomp]),
    row("22-epoll", &[MemoryMax]),
    row("22-files", &[ResourceLimits]),
    row("22-inotify", &[NoNesting]),
    row("22-neighbour-set", &[NoCapabilities, UserNamespace]),
    // What stops it is its link, which no rehearsal weakens: no control. Without it: src/network/tests/hostile.rs.
    row("22-neighbours", &[]),
    row("22-route-set", &[NoCapabilities, UserNamespace]),
    row("23-forks", &[PidsMax]),
    row("24-memory", &[MemoryMax]),
    row("24-pinned", &[ResourceLimits]),
    row("24-pipes", &[MemoryMax]),
    row("24-shared", &[MemoryMax]),
    row("24-sockets", &[MemoryMax]),
    row("25-nice", &[NoCapabilities, UserNamespace]),
    row("25-realtime", &[Seccomp, NoCapabilities, UserNamespace]),
    row("36-kernel-log", &[Seccomp, NoCapabilities, UserNamespace]),
    row("36-statistics", &[PrivateProc]),
];

/// Settings of the machine that stop an attack, too: which one, the file below `/proc/sys`, what it says then, and what without.
const SETTINGS: [(&str, &str, &str, &str); 1] = [("17-bpf", "kernel/unprivileged_bpf_disabled", "2", "0")];

/// What a kernel says that has not got what an attack is about.
const ABSENT: [&str; 3] = ["denied ENOSYS", "denied ENOENT", "denied ENODEV"];

/// From the order to stop to the end: the grace of `hostile` is a second, and this is an emulated board.
const STOP_LIMIT: Duration = Duration::from_secs(20);

impl Row {
    /// The layers that count on this kernel: Landlock holds sockets back from ABI 6 on.
    fn layers(&self, kernel: Kernel) -> Vec<Layer> {
        let counts =
            |layer: &Layer| !(self.attack == "20-abstract" && *layer == Landlock && kernel == Kernel::Quick);
        self.layers.iter().copied().filter(counts).collect()
    }

    fn name(&self) -> String {
        self.at.map_or(self.attack.to_owned(), |at| format!("{} at {at}", self.attack))
    }

    /// The words for hostile: the attack, and the number of the process that it is at.
    fn words(&self, guest: &mut Guest) -> String {
        let pid = match self.at {
            None => return self.attack.to_owned(),
            Some(SUPERVISOR) => {
                let status = guest.door("look supervisor status").unwrap();
                let pid = status.lines().find_map(|line| line.strip_prefix("Pid:"));
                pid.unwrap().trim().parse().unwrap()
            }
            Some(name) => facts::process(guest, name).unwrap().pid.unwrap(),
        };
        format!("{} {pid}", self.attack)
    }
}

/// Is this row asked for?
fn asked(row: &Row) -> bool {
    std::env::var("ATTACK").is_ok_and(|begin| row.attack.starts_with(&begin)) || !in_part()
}

fn in_part() -> bool {
    std::env::var_os("ATTACK").is_some()
}

fn words(layers: &[Layer]) -> String {
    let words: Vec<&str> = layers.iter().map(|layer| layer.word()).collect();
    if words.is_empty() { "-".to_owned() } else { words.join(",") }
}

/// Lets `hostile` try what `words` say without `layers`; what came of it: `through`, `denied ERRNO`, or how it ended.
fn attack(guest: &mut Guest, run: usize, words_of: &str, without: &[Layer]) -> String {
    let attack = words_of.split(' ').next().unwrap();
    let since = |guest: &mut Guest| {
        let rows = guest.json("status --json")?;
        let row = rows.as_array().into_iter().flatten().find(|row| row["name"] == "hostile").cloned();
        Ok(row.map(|row| (row["state"].as_str().unwrap_or_default().to_owned(), row["since_ms"].as_u64())))
    };
    let before = since(guest).unwrap().unwrap().1;
    guest.door(&format!("rehearse hostile run {} {run} {words_of}", words(without))).unwrap();
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

/// What came of one row: as the sandbox is, without each of what should stop it, without all of it.
struct Tried {
    whole: String,
    single: Vec<(String, String)>,
    /// `None`: nothing that could be taken away stands in its way.
    control: Option<String>,
}

/// Tries a row in every way; `run` counts lives of hostile.
fn tries(guest: &mut Guest, run: &mut usize, row: &Row, layers: &[Layer]) -> Tried {
    let name = row.name();
    let mut outcome = |guest: &mut Guest, without: &[Layer]| {
        *run += 1;
        let words_of = row.words(guest);
        let outcome = attack(guest, *run, &words_of, without);
        println!("{name} without {}: {outcome}", words(without));
        assert!(!outcome.starts_with("ended by code"), "{name} without {} was not tried", words(without));
        outcome
    };
    let whole = outcome(guest, &[]);
    let mut single = Vec::new();
    let setting = SETTINGS.iter().find(|(attack, ..)| *attack == row.attack);
    if layers.len() > 1 || setting.is_some() {
        for layer in layers {
            single.push((layer.word().to_owned(), outcome(guest, &[*layer])));
        }
    }
    if let Some((_, file, _, loose)) = setting {
        guest.door(&format!("sysctl {file} {loose}")).unwrap();
        single.push(((*file).to_owned(), outcome(guest, &[])));
    }
    let control = (!layers.is_empty()).then(|| outcome(guest, layers));
    if let Some((_, file, tight, _)) = setting {
        guest.door(&format!("sysctl {file} {tight}")).unwrap();
    }
    Tried { whole, single, control }
}

impl Tried {
    /// Its line of the table.
    fn text(&self, row: &Row, layers: &[Layer]) -> String {
        let mut single: Vec<&str> = self.single.iter().map(|(_, outcome)| outcome.as_str()).collect();
        single.sort_unstable();
        single.dedup();
        let single = if single.is_empty() { "–".to_owned() } else { single.join(", ") };
        let setting = SETTINGS.iter().find(|(attack, ..)| *attack == row.attack);
        let file = setting.map_or(String::new(), |(_, file, ..)| format!(",{file}"));
        let control = self.control.as_deref().unwrap_or("–");
        format!("| {} | {}{file} | {} | {single} | {control} |\n", row.name(), words(layers), self.whole)
    }

    /// Is there nothing on this kernel to attack?
    fn is_absent(&self) -> bool {
        self.control.as_deref().is_some_and(|control| ABSENT.contains(&control))
    }

    /// What gets through, and what proves nothing.
    fn faults(&self, row: &Row, layers: &[Layer]) -> Vec<String> {
        let name = row.name();
        let single = self.single.iter().filter(|(_, outcome)| outcome == "through");
        let mut faults: Vec<String> =
            single.map(|(without, _)| format!("{name} gets through without {without}")).collect();
        if self.whole == "through" {
            faults.push(format!("{name} gets through"));
        }
        if !self.is_absent() && self.control.as_deref().is_some_and(|control| control != "through") {
            faults.push(format!("{name} proves nothing: without {} it is {:?}", words(layers), self.control));
        }
        faults
    }
}

#[test]
fn each_attack_fails_and_gets_through_only_where_all_its_layers_are_gone() {
    let options =
        Options { variant: Variant::Rehearsal, around: Around::Nothing, ..Options::usual().unwrap() };
    let Some(mut guest) = Guest::boot(&options).unwrap() else { return };
    facts::wait_all_up(&mut guest).unwrap();
    let (mut run, mut faults) = (0, Vec::new());
    let mut table =
        String::from("| attack | layers | whole | without any one | without all |\n|---|---|---|---|---|\n");
    for row in ROWS.iter().filter(|row| asked(row)) {
        let layers = row.layers(options.kernel);
        let tried = tries(&mut guest, &mut run, row, &layers);
        if tried.is_absent() {
            println!(
                "skipped in part: {}: this kernel has nothing to attack: there is no control",
                row.name()
            );
        }
        table.push_str(&tried.text(row, &layers));
        faults.extend(tried.faults(row, &layers));
    }
    println!("{run} runs of hostile\n{table}");
    assert!(run > 0, "there is no such attack");
    if !in_part() {
        report::keep("attacks", options.kernel, &table).unwrap();
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    // Whatever was tried, the gateway is as it was.
    assert_eq!(facts::lives(&mut guest).unwrap(), 1, "the supervisor has one life");
    let mut late = facts::not_up(&mut guest).unwrap();
    late.retain(|line| !line.starts_with("hostile is down")); // It has ended by itself, each time.
    assert_eq!(late, Vec::<String>::new());
    assert_eq!(facts::process(&mut guest, "hello").unwrap().restarts, 0);
}

/// Starts `hostile`, which does not end by itself; back when it has begun.
fn wait_for_ever(guest: &mut Guest, run: usize, way: &str) {
    guest.door(&format!("rehearse hostile run - {run} {way}")).unwrap();
    guest.door("start hostile").unwrap();
    let begun = format!("attack {run} {way}: Ok(())");
    guest
        .until(&begun, UP_LIMIT, |guest| Ok(facts::log(guest, "hostile")?.contains(&begun).then_some(())))
        .unwrap();
}

/// Freezes the group of `hostile`.
fn freeze(guest: &mut Guest) {
    let path = guest.door("look hostile cgroup").unwrap();
    let path = path.trim().strip_prefix("0::/").unwrap().to_owned();
    guest.door(&format!("cgroup {path}/cgroup.freeze 1")).unwrap();
    guest
        .until("a frozen group", UP_LIMIT, |guest| {
            Ok(guest.door(&format!("cgroup {path}/cgroup.events"))?.contains("frozen 1").then_some(()))
        })
        .unwrap();
}

/// Stops `hostile`: how it ended.
fn stop(guest: &mut Guest) -> String {
    guest.door("stop hostile").unwrap();
    let ended = guest.until("the end of hostile", STOP_LIMIT, |guest| {
        let process = facts::process(guest, "hostile")?;
        Ok((process.state == "down" && process.pid.is_none()).then_some(process))
    });
    ended.unwrap().exit.unwrap_or_default()
}

#[test]
fn no_service_outstays_its_end() {
    let options =
        Options { variant: Variant::Rehearsal, around: Around::Nothing, ..Options::usual().unwrap() };
    let Some(mut guest) = Guest::boot(&options).unwrap() else { return };
    facts::wait_all_up(&mut guest).unwrap();
    // The control: who hears the end is not killed.
    wait_for_ever(&mut guest, 1, "30-hears");
    let heard = stop(&mut guest);
    wait_for_ever(&mut guest, 2, "30-deaf");
    let deaf = stop(&mut guest);
    wait_for_ever(&mut guest, 3, "30-hears");
    freeze(&mut guest);
    let frozen = stop(&mut guest);
    println!("heard: {heard}; deaf: {deaf}; frozen: {frozen}");
    assert_ne!(heard, "signal 9");
    assert_eq!(deaf, "signal 9");
    assert_eq!(frozen, "signal 9");
    // Its group is not frozen the next time.
    wait_for_ever(&mut guest, 4, "30-hears");
    assert_eq!(stop(&mut guest), heard);
}

/// What hostile says of its own sandbox is what it said when `WRITE_DATA=1` kept it, on this kernel.
fn tells_what_was_kept(guest: &mut Guest, kernel: &str) {
    guest.door("rehearse hostile run - 0 report").unwrap();
    guest.door("start hostile").unwrap();
    let told = guest.until("a report", UP_LIMIT, |guest| {
        let log = facts::log(guest, "hostile")?;
        let lines: Vec<String> =
            log.iter().filter_map(|line| line.strip_prefix("report 0 ")).map(str::to_owned).collect();
        Ok(lines.last().is_some_and(|line| line.starts_with("calls heard")).then_some(lines))
    });
    let told = told.unwrap().join("\n") + "\n";
    let path = format!("{}/tests/data/self-report-{kernel}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("WRITE_DATA").is_some() {
        std::fs::write(&path, &told).unwrap();
        // What the tests of reading back are held against (`src/sandbox/src/read_back.rs`).
        let captured = concat!(env!("CARGO_MANIFEST_DIR"), "/../src/sandbox/tests/data/mountinfo");
        std::fs::write(captured, guest.door("look hello mountinfo").unwrap()).unwrap();
    }
    assert_eq!(told, std::fs::read_to_string(path).unwrap());
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
        assert!(
            rows.len() >= 2 * Layer::ALL.len(),
            "{service}: reaper and service: {rows:?}\n{:?}",
            facts::processes(&mut guest)
        );
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
    tells_what_was_kept(&mut guest, options.kernel.word());
    let daemon = guest.ask("verify storage").unwrap();
    assert!(daemon.exit == 1 && daemon.text.contains("no service that runs"), "{}", daemon.text);
}
