//! What a service was promised of the line it gets, both ways, beside another service and a home that both want all of it; and no more than its
//! ceiling where nobody is in its way. Nor more packets than one may have; and services of a slice together no more than its ceiling.
//!
//! In:  the rehearsal root on the board kernel, two services of bundles, a home and a provider that send steadily. Out: passed, failed, or
//! `skipped: ` and why. The numbers are printed. What does not hold while others had this machine is looked at again, and then said to be void.
//!
//! What is measured is read from the kernel's own queues, in the guest's own time. The provider's line is faster than what the gateway makes of it:
//! what fills an operator's queue before us is before every promise of ours (docs/qos.md).
//!
//! Not here: delays (`neighbours.rs`, `voice_load.rs`), the tree of queues (`src/network/tests/queues.rs`).
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "guest_bundles/disk.rs"]
#[allow(dead_code, reason = "each suite takes what it needs")]
mod disk;
mod orders;

use std::process::Stdio;
use std::time::{Duration, Instant};

use lab::guest::{Around, Guest, Options, UP_LIMIT};
use lab::kernel::Kernel;
use lab::others::{BUSY_PERMILLE, Ticks};
use lab::root::{self, Variant};
use lab::topology::{ISP_ADDRESS, Side};
use lab::{facts, namespace, tool, wait};
use orders::Orders;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/orders/line.py");
const SHIPPED: &str = include_str!("../../rootfs/etc/shg/network.toml");
/// What an emulated board can carry while the machine below has other work; and what of it there is to be had each way (docs/qos.md).
const QUEUES: &str =
    "\n[qos]\nup_kbit_s = 2400\ndown_kbit_s = 2400\nvoice_kbit_s = 200\nservices_kbit_s = 900\n";
const LINES: [(&str, &str, u64); 2] = [("up", "eth0", 2_352), ("down", "ifb-wan", 2_160)];

/// A service: its port at home, and its floor and ceiling each way, in kbit/s.
struct Service {
    name: &'static str,
    port: u16,
    floor: u64,
    ceiling: u64,
}

const SERVICES: [Service; 2] = [
    Service { name: "north", port: 7031, floor: 500, ceiling: 1_200 },
    Service { name: "south", port: 7032, floor: 250, ceiling: 0 },
];

/// Somebody of another slice, which comes with the image.
const NEIGHBOUR: Service = Service { name: "tame", port: orders::TAME, floor: 0, ceiling: 0 };
/// What the slice of both may have each way: more than their floors, and less than they get beside one neighbour.
const SHARED: u64 = 900;
const SHARED_CLASS: &str = "slice demo";

/// The most that may be missing of a floor, and that a ceiling may be passed or missed by, in per cent.
const ERROR_PERCENT: u64 = 5;
/// How long is measured, in guest milliseconds, and how long everybody sends: until queues are full, and until the last number was read.
const MEASURE_MS: u64 = 15_000;
const RAGE_S: u64 = 35;
/// The same with a slice's ceiling, and without: both while the same ones send.
const SHARED_MS: u64 = 8_000;
/// What `small_packets_have_their_measure` lets a service have, in packets a second, for so many seconds.
const PACKETS_S: u64 = 100;
const PACKETS_FOR_S: u64 = 20;
/// How often a busy machine is given another chance.
const LOOKS_MAX: usize = 3;

fn manifest(service: &Service) -> String {
    let Service { name, port, floor, ceiling } = service;
    let manifest = disk::manifest(name).replace("autostart = false", "autostart = true");
    let manifest =
        manifest.replace("pids = 8", "pids = 32").replace("ceiling_permille = 500", "ceiling_permille = 400");
    let rate = format!("floor_kbit_s = {floor}\nceiling_kbit_s = {ceiling}\n");
    let serve = format!("[[serves]]\nname = \"orders\"\nport = 7000\nto = \"home\"\nat = {port}\n");
    format!("{manifest}\n[uplink]\n{rate}[downlink]\n{rate}{serve}")
}

/// A guest with both services, and this in its network's text; `None`: it cannot run here.
fn boot(services: &str) -> Option<Guest> {
    let program = lab::house::firmware().join("chatter");
    let Ok(program) = std::fs::read(&program) else {
        println!("skipped: no {}: make firmware rehearsal", program.display());
        return None;
    };
    let mut desk = disk::Desk::new();
    for service in &SERVICES {
        desk.install_program(service.name, &manifest(service), program.clone());
    }
    let files = root::keys(&desk.keys()).unwrap();
    let files = files.into_iter().map(|(place, bytes)| (place.to_owned(), bytes)).collect();
    let options = Options {
        variant: Variant::Rehearsal,
        around: Around::Topology,
        network: Some(SHIPPED.replace("[services]\n", services) + QUEUES),
        files,
        data: Some(desk.data()),
        ..Options::usual().unwrap()
    };
    if options.kernel != Kernel::Board {
        println!("skipped: promises count on the board kernel: make test T=guest_lines KERNEL=board");
        return None;
    }
    let mut guest = Guest::boot(&options).unwrap()?;
    guest.until("an address on the WAN", UP_LIMIT, facts::wan).unwrap();
    guest.topology().unwrap().lan_lease(UP_LIMIT).unwrap();
    rent(&mut guest, 0);
    SERVICES.iter().for_each(|service| start(&mut guest, service.name));
    Some(guest)
}

/// The slice has its services' floors, and this ceiling of the line; 0: none.
fn rent(guest: &mut Guest, ceiling: u64) {
    let floor: u64 = SERVICES.iter().map(|service| service.floor).sum();
    facts::rent(
        guest,
        &format!("demo cpu=200..1000 memory=32..64 uplink={floor}..{ceiling} downlink={floor}..{ceiling}"),
    )
    .unwrap();
}

fn start(guest: &mut Guest, name: &str) {
    guest.door(&format!("start {name}")).unwrap();
    let up = |guest: &mut Guest| Ok((facts::process(guest, name)?.state == "up").then_some(()));
    let told = guest.until(name, UP_LIMIT, up);
    assert!(told.is_ok(), "{:?}\n{}", facts::process(guest, name), guest.last_lines());
}

/// Milliseconds after boot.
fn clock(guest: &mut Guest) -> u64 {
    let text = guest.ask("cgroup gateway/cpu.stat").unwrap().text;
    text.lines().find_map(|line| line.strip_prefix("at_ms ")).unwrap().parse().unwrap()
}

/// When, in milliseconds after boot, and the bytes that each class of `link` has carried by then. A slow machine is slow to answer: it was
/// half-way between a look at the clock and the next. One that has no time to answer is asked again.
fn carried(guest: &mut Guest, link: &str, classes: &[&str]) -> (u64, Vec<u64>) {
    let ask = |guest: &mut Guest| {
        let before_ms = clock(guest);
        let answer = guest.json("network --json").ok();
        Ok(answer.map(|answer| (u64::midpoint(before_ms, clock(guest)), answer)))
    };
    let (at_ms, answer) = guest.until("what the queues have carried", UP_LIMIT, ask).unwrap();
    let rows = answer["traffic"].as_array().unwrap();
    let of = |class: &&str| {
        let row = rows.iter().find(|row| row["link"] == link && row["class"] == **class);
        row.unwrap_or_else(|| panic!("{link} {class}: {rows:#?}"))["bytes"].as_u64().unwrap()
    };
    (at_ms, classes.iter().map(of).collect())
}

/// What each of `classes` carries on `link`, in kbit/s, for so long in guest milliseconds.
fn rates(guest: &mut Guest, link: &str, classes: &[&str], measure_ms: u64) -> Vec<u64> {
    let before = carried(guest, link, classes);
    let mut after = before.clone();
    wait::until("the end of the measurement", Duration::from_secs(120), || {
        after = carried(guest, link, classes);
        Ok((after.0 >= before.0 + measure_ms).then_some(()))
    })
    .unwrap();
    let rate =
        |(after_bytes, before_bytes): (&u64, &u64)| (after_bytes - before_bytes) * 8 / (after.0 - before.0);
    let rates: Vec<u64> = after.1.iter().zip(&before.1).map(rate).collect();
    println!("{link}, kbit/s: {:?}", classes.iter().zip(&rates).collect::<Vec<_>>());
    rates
}

/// Everybody begins; what is measured is of the time when all of them send.
fn begin(guest: &mut Guest, way: &str, who: &[&Service], home: bool) -> Vec<Orders> {
    let topology = guest.topology().unwrap();
    let rage = RAGE_S.to_string();
    let home_port = "9200";
    // A server for each that fetches: more than its part of the line.
    if way == "down" {
        for (service, kbit_s) in who.iter().map(|service| (service.port + 2_000, "1800")) {
            let words = ["python3", SCRIPT, "source", &service.to_string(), &rage, kbit_s];
            topology.start(Side::Isp, &words).unwrap();
        }
        if home {
            topology.start(Side::Isp, &["python3", SCRIPT, "source", home_port, &rage, "2400"]).unwrap();
        }
    }
    if home {
        let words = match way {
            "up" => vec!["python3", SCRIPT, "pour", ISP_ADDRESS, home_port, &rage, "3000"],
            _ => vec!["python3", SCRIPT, "fetch", ISP_ADDRESS, home_port, &rage],
        };
        topology.start(Side::Lan, &words).unwrap();
    }
    let word = if way == "up" { "flood" } else { "fetch" };
    who.iter()
        .map(|service| {
            let mut orders = Orders::open(topology, service.port);
            orders.rage(RAGE_S, &format!("{word} {ISP_ADDRESS}:{}", service.port + 2_000));
            orders
        })
        .collect()
}

/// What each of `classes` carries while `who` and, where it is so, the home want all of the line; when that is over it is silent again.
fn rage(guest: &mut Guest, (way, link): (&str, &str), who: &[&Service], classes: &[&str]) -> Vec<u64> {
    let begun = Instant::now();
    let orders = begin(guest, way, who, classes.contains(&"internet"));
    all_send(guest, link, classes);
    let rates = rates(guest, link, classes, MEASURE_MS);
    end(begun);
    drop(orders);
    rates
}

fn all_send(guest: &mut Guest, link: &str, classes: &[&str]) {
    let all_send = |guest: &mut Guest| {
        let (before, after) = (carried(guest, link, classes).1, carried(guest, link, classes).1);
        Ok(before.iter().zip(&after).all(|(before, after)| after > before).then_some(()))
    };
    guest.until("all send", UP_LIMIT, all_send).unwrap();
}

fn end(begun: Instant) {
    let over = Duration::from_secs(RAGE_S + 2);
    wait::until("the end of a rage", 2 * over, || Ok((begun.elapsed() >= over).then_some(()))).unwrap();
}

/// What one way shows, and what others had of this machine meanwhile.
struct Look {
    rates: Vec<u64>,
    others_permille: u64,
}

/// Looks until what `holds` says is so. `Ok(false)`: every look was void.
///
/// # Errors
/// What it saw, where others left it the machine in one of the looks at least.
fn shows(
    guest: &mut Guest,
    mut look: impl FnMut(&mut Guest) -> Vec<u64>,
    holds: impl Fn(&[u64]) -> bool,
) -> Result<bool, Vec<u64>> {
    let mut looks = Vec::new();
    for _ in 0..LOOKS_MAX {
        let before = Ticks::now().unwrap();
        let rates = look(guest);
        let others_permille = Ticks::now().unwrap().others_permille(&before);
        if holds(&rates) {
            return Ok(true);
        }
        println!("not so: {rates:?}; others had {others_permille} permille of this machine");
        looks.push(Look { rates, others_permille });
    }
    match looks.into_iter().find(|look| look.others_permille <= BUSY_PERMILLE) {
        Some(look) => Err(look.rates),
        None => Ok(false),
    }
}

fn at_least(rate: u64, of: u64) -> bool {
    rate * 100 >= of * (100 - ERROR_PERCENT)
}

fn within(rate: u64, of: u64) -> bool {
    at_least(rate, of) && rate * 100 <= of * (100 + ERROR_PERCENT)
}

#[test]
fn floors_and_ceilings_of_the_line_hold_both_ways() {
    let Some(()) = namespace::enter("floors_and_ceilings_of_the_line_hold_both_ways").unwrap() else {
        return;
    };
    if let Err(why) = tool::need("python3", "python3") {
        return println!("skipped: {why}");
    }
    let Some(mut guest) = boot("[services]\n") else { return };
    for way in LINES {
        all_want_all_of_it(&mut guest, way);
        alone_has_its_ceiling(&mut guest, way);
    }
}

/// What is void is said; a failure is one.
fn judge(what: &str, shown: Result<bool, Vec<u64>>) {
    match shown {
        Ok(true) => {}
        Ok(false) => println!("skipped in part: {what}: void: others had this machine"),
        Err(rates) => panic!("{what}: {rates:?} kbit/s"),
    }
}

fn all_want_all_of_it(guest: &mut Guest, (way, link, line): (&str, &str, u64)) {
    let [north, south] = &SERVICES;
    let classes = [north.name, south.name, "internet"];
    let holds = |rates: &[u64]| {
        let floors = SERVICES.iter().zip(rates).all(|(service, rate)| at_least(*rate, service.floor));
        floors && within(rates.iter().sum(), line)
    };
    let what = format!("{way}: floors {} and {} of a full line of {line}", north.floor, south.floor);
    judge(&what, shows(guest, |guest| rage(guest, (way, link), &[north, south], &classes), holds));
}

fn alone_has_its_ceiling(guest: &mut Guest, (way, link, _): (&str, &str, u64)) {
    let [north, _] = &SERVICES;
    let holds = |rates: &[u64]| within(rates[0], north.ceiling);
    let what = format!("{way}: {} alone, ceiling {}", north.name, north.ceiling);
    judge(&what, shows(guest, |guest| rage(guest, (way, link), &[north], &[north.name]), holds));
}

#[test]
fn services_of_a_slice_share_its_ceiling_both_ways() {
    let Some(()) = namespace::enter("services_of_a_slice_share_its_ceiling_both_ways").unwrap() else {
        return;
    };
    if let Err(why) = tool::need("python3", "python3") {
        return println!("skipped: {why}");
    }
    let Some(mut guest) = boot("[services]\n") else { return };
    start(&mut guest, NEIGHBOUR.name);
    for (way, link, _) in LINES {
        let what =
            format!("{way}: floors {:?} in a slice of {SHARED}", SERVICES.map(|service| service.floor));
        let look = |guest: &mut Guest| with_a_ceiling_and_without(guest, (way, link));
        judge(&what, shows(&mut guest, look, is_shared));
    }
    // Its size was changed while they ran.
    for service in &SERVICES {
        assert_eq!(facts::process(&mut guest, service.name).unwrap().restarts, 0, "{}", service.name);
    }
}

/// What services of a slice and a neighbour of another one carry while all want all of the line: with the slice's ceiling, and the slice itself;
/// and a moment later without.
fn with_a_ceiling_and_without(guest: &mut Guest, (way, link): (&str, &str)) -> Vec<u64> {
    let [north, south] = &SERVICES;
    let classes = [north.name, south.name, NEIGHBOUR.name];
    rent(guest, SHARED);
    let begun = Instant::now();
    let orders = begin(guest, way, &[north, south, &NEIGHBOUR], false);
    all_send(guest, link, &classes);
    let [one, other, third] = classes;
    let mut shown = rates(guest, link, &[one, other, third, SHARED_CLASS], SHARED_MS);
    rent(guest, 0);
    shown.extend(rates(guest, link, &classes, SHARED_MS));
    end(begun);
    drop(orders);
    shown
}

/// Together they have the slice's ceiling, each its floor of it, and the neighbour a quarter more than that at least, as they have without it: a
/// slow emulator does not fill the line.
fn is_shared(rates: &[u64]) -> bool {
    let [north, south, third, slice, more @ ..] = rates else { return false };
    let floors = SERVICES.iter().zip([north, south]).all(|(service, rate)| at_least(*rate, service.floor));
    let ceiling = within(north + south, SHARED) && within(*slice, SHARED);
    let is_more = |rate: u64| rate * 4 >= SHARED * 5;
    floors && ceiling && is_more(*third) && is_more(more.iter().take(SERVICES.len()).sum())
}

#[test]
fn what_is_not_shared_is_seen() {
    let table = [
        ("as promised", [560, 340, 1_452, 900, 784, 784, 784], true),
        ("more than the ceiling", [600, 360, 1_392, 960, 784, 784, 784], false),
        ("far from it", [500, 340, 1_512, 840, 784, 784, 784], false),
        ("a floor is missing", [660, 230, 1_452, 890, 784, 784, 784], false),
        ("the neighbour pays", [560, 340, 1_100, 900, 784, 784, 784], false),
        ("nothing was held back", [560, 340, 1_452, 900, 560, 340, 1_452], false),
    ];
    for (what, rates, wanted) in table {
        assert_eq!(is_shared(&rates), wanted, "{what}");
    }
}

/// How often the service says that it did `word`.
fn did(guest: &mut Guest, word: &str) -> u64 {
    let answered = |guest: &mut Guest| {
        let log = facts::log(guest, SERVICES[0].name)?;
        let line = log.into_iter().find(|line| line.starts_with(&format!("did {word}(")));
        Ok(line.and_then(|line| line.rsplit(' ').nth(1)?.parse().ok()))
    };
    guest.until(word, UP_LIMIT, answered).unwrap()
}

/// Small packets cost the gateway as much as large ones. The control is in it: many more were sent than came.
#[test]
fn small_packets_have_their_measure() {
    let Some(()) = namespace::enter("small_packets_have_their_measure").unwrap() else { return };
    if let Err(why) = tool::need("python3", "python3") {
        return println!("skipped: {why}");
    }
    let Some(mut guest) = boot(&format!("[services]\npackets_s = {PACKETS_S}\n")) else { return };
    let guest = &mut guest;
    let port = SERVICES[0].port;
    let (there, seconds) = ((port + 2_000).to_string(), (3 * PACKETS_FOR_S).to_string());

    let count = ["python3", SCRIPT, "count", &there, &seconds];
    let mut count = guest.topology().unwrap().command(Side::Isp, &count);
    let count = count.stdout(Stdio::piped()).spawn().unwrap();
    let mut orders = Orders::open(guest.topology().unwrap(), port);
    orders.rage(PACKETS_FOR_S, &format!("packets {ISP_ADDRESS}:{there}"));
    let sent = did(guest, "Packets");
    let count = count.wait_with_output().unwrap();
    let came = String::from_utf8(count.stdout).unwrap().trim().parse().unwrap();
    measured("from it", sent, came);

    let source = ["python3", SCRIPT, "source", &there, &seconds, "480", "18"];
    guest.topology().unwrap().start(Side::Isp, &source).unwrap();
    orders.rage(PACKETS_FOR_S, &format!("fetch {ISP_ADDRESS}:{there}"));
    measured("to it", PACKETS_FOR_S * 480_000 / 8 / 60, did(guest, "Fetch"));
}

/// A measure of packets a second, and a tenth of it at once.
fn measured(way: &str, sent: u64, came: u64) {
    let may = PACKETS_S * PACKETS_FOR_S;
    println!("{way}: {sent} packets, {came} came, of {may}");
    assert!(sent >= 4 * may, "{way}: {sent} are no flood");
    assert!(came * 100 <= (may + PACKETS_S / 10) * (100 + ERROR_PERCENT), "{way}: {came}");
    // What is late on a busy machine is not what the measure has thrown away.
    assert!(came * 100 >= may * 75, "{way}: {came}");
}
