//! Floors and ceilings of services on a line whose plays are in VLANs, beside a home and a neighbour that would take all of it.
//!
//! In:  a line of 300 kbit/s, which the slowest emulated board can fill; flows of a home and of a service without a floor; a service with one, which offers more than that, and a call, both of
//! datagrams, so that what comes is not TCP's mood. Out: passed, failed, or `skipped: ` and why: it takes a kernel with VLANs and all
//! of the queues (`tests/tests/guest_rooms.rs`). Rates are printed.
//!
//! Each has its controls: without the floor, without the class, without the ceiling.
//!
//! Not here: a floor on the way down. There the provider's own queue shares out what comes, and who has no floor gets as much.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use contract::attach::Rates;
use network::class::Class;
use network::gateway::Gateway;
use network::target::Attachment;
use stage::bulk::{Offered, Stream, pass, pour};
use stage::neighbours::Neighbours;
use stage::{CONFIGURATION, attachment, run};

/// What the kernel has to have: VLANs, queues by flow.
const TRIAL: &str = "ip link add link lo name trial type vlan id 10 && tc qdisc add dev lo root fq_codel";
/// Internet and voice have a VLAN each, and the line queues. Source of the prefix: RFC 5737.
const PLAYS: &str = r#"
[voice]
reaches = ["198.51.100.0/24"]

[voice.access]
vlan = 20
priority = 5
ipv4 = "static"
static = { address = "198.51.100.7", prefix_length = 24, router = "198.51.100.1" }

[qos]
up_kbit_s = 300
down_kbit_s = 300
voice_kbit_s = 50
services_kbit_s = 150
"#;
/// What `hello` is promised, almost half of the line; it offers a little more: a frame of 1046 bytes every 54 ms. Without its floor it has half
/// of what services have, the neighbour the other.
///
/// An emulator that stands still loses what a line would have carried meanwhile. So what counts is the part of all that was carried.
const FLOOR_KBIT_S: u32 = 135;
const HELLO: (usize, Duration) = (1_000, Duration::from_millis(54));
/// Its part of the whole, in thousandths: what it has at least with its floor, and at most without.
const FLOOR_PERMILLE: u64 = 400;
const LESS_PERMILLE: u64 = 350;
/// A thin call: 28 kbit/s of frames.
const CALL: (usize, Duration) = (60, Duration::from_millis(30));
/// What `camera` may have, where it may not have what it gets.
const CEILING_KBIT_S: u32 = 50;
/// Flows of the home, and of `camera`.
const FLOWS: usize = 2;
/// Until flows have found their rates; how long is measured; how often a busy machine is given another chance.
const RISE: Duration = Duration::from_secs(5);
const MEASURED: Duration = Duration::from_secs(15);
const MEASURES_MAX: usize = 3;
/// How long of that a call's last datagrams may be under way; so many of a thousand come at least.
const AFTER: Duration = Duration::from_secs(3);
const CALL_PERMILLE: u64 = 980;

const WAYS: [(&str, bool); 2] = [("up", true), ("down", false)];

/// A neighbourhood with plays in VLANs, on a line that carries to us no more than was said.
fn neighbourhood() -> (Neighbours, Gateway) {
    let text = CONFIGURATION.replace("[internet]", "[internet]\nvlan = 10");
    let (all, gateway) = Neighbours::on(&format!("{text}{PLAYS}"), ("eth0.10", "isp.10"));
    for line in [
        "ip link add link isp name isp.20 type vlan id 20",
        "ip link set isp.20 up",
        "ip address add 198.51.100.1/24 dev isp.20",
        "tc qdisc add dev isp root tbf rate 300kbit burst 5000 limit 30000",
    ] {
        all.isp.run(line);
    }
    // No packet is larger than a frame: what several make together is not what a line carries.
    for (at, link) in [
        (&all.isp, "isp"),
        (&all.isp, "isp.10"),
        (&all.home, "home"),
        (&all.hello, "eth0"),
        (&all.camera, "eth0"),
    ] {
        at.run(&format!("ip link set dev {link} gso_max_segs 1"));
    }
    all.warm_up();
    (all, gateway)
}

fn service(name: &str, slot: u8, rates: Rates) -> Attachment {
    let mut service = attachment(name, slot, 8_000 + u16::from(slot));
    service.reaches.internet = true;
    Attachment { rates, ..service }
}

/// Attaches both again: `hello` with this floor, `camera` with this ceiling; 0: none.
fn promise(all: &Neighbours, gateway: &mut Gateway, floor: u32, ceiling: u32) {
    let hello = Rates { floor_up_kbit_s: floor, floor_down_kbit_s: floor, ..Rates::default() };
    let camera = Rates { ceiling_up_kbit_s: ceiling, ceiling_down_kbit_s: ceiling, ..Rates::default() };
    for (at, service) in
        [(&all.hello, service("hello", 0, hello)), (&all.camera, service("camera", 1, camera))]
    {
        let (namespace, inside) = at.copies();
        gateway.attach(service, &namespace, inside).unwrap();
    }
    assert_eq!(gateway.fault(), None);
}

/// Does `work` beside flows of the home and of `camera`, and returns what these got meanwhile, in kbit/s.
fn beside<T>(all: &Neighbours, up: bool, work: impl FnOnce() -> T) -> (T, [u64; 2]) {
    let listener = all.isp.within(|| TcpListener::bind("203.0.113.1:0").unwrap());
    let to = listener.local_addr().unwrap();
    let (came, ends) = ([const { AtomicU64::new(0) }; 2], AtomicBool::new(false));
    std::thread::scope(|scope| {
        for (at, came) in [&all.home, &all.camera].into_iter().zip(&came) {
            for _ in 0..FLOWS {
                let near = at.within(|| TcpStream::connect(to).unwrap());
                let (far, _) = listener.accept().unwrap();
                let ends = &ends;
                scope.spawn(move || pour(near, up, came, ends));
                scope.spawn(move || pour(far, !up, came, ends));
            }
        }
        pass(RISE);
        let count = || came.each_ref().map(|came| came.load(Ordering::Relaxed));
        let (before, begun) = (count(), Instant::now());
        let done = work();
        let ms = u64::try_from(begun.elapsed().as_millis()).unwrap();
        let after = count();
        ends.store(true, Ordering::Relaxed);
        (done, [0, 1].map(|who: usize| (after[who] - before[who]) * 8 / ms))
    })
}

/// What came of `hello`, in thousandths of all, and of a call, in thousandths of what it offered.
fn measure(all: &Neighbours, (words, up): (&str, bool), what: &str) -> [u64; 2] {
    let hello = Stream::open(&all.hello, &all.isp, "203.0.113.1:5201", HELLO);
    let call = Stream::open(&all.home, &all.isp, "198.51.100.1:5202", CALL);
    let offer = || {
        std::thread::scope(|scope| {
            let call = scope.spawn(|| call.offer(up, MEASURED - AFTER, AFTER));
            (hello.offer(up, MEASURED, Duration::ZERO), call.join().unwrap())
        })
    };
    let ((hello, call), [home, camera]) = beside(all, up, offer);
    let kbit_s = |it: &Offered| it.came * it.bytes * 8 / u64::try_from(MEASURED.as_millis()).unwrap();
    let all = [kbit_s(&hello), kbit_s(&call), home, camera];
    println!("| {words}, {what}: hello, a call, home and camera had {all:?} kbit/s");
    [all[0] * 1_000 / all.iter().sum::<u64>(), call.came * 1_000 / call.sent]
}

/// The first of a few in which all is as promised, or the last.
fn at_best(all: &Neighbours, way: (&str, bool)) -> [u64; 2] {
    let kept = |[hello, call]: &[u64; 2]| *hello >= FLOOR_PERMILLE && *call >= CALL_PERMILLE;
    let mut last = measure(all, way, "with a floor");
    for _ in 1..MEASURES_MAX {
        if !kept(&last) {
            last = measure(all, way, "with a floor, again");
        }
    }
    last
}

#[test]
fn a_floor_holds_beside_plays_in_vlans() {
    if !testbed::enter("a_floor_holds_beside_plays_in_vlans", &["ip", "nft", "tc"], TRIAL) {
        return;
    }
    let (all, mut gateway) = neighbourhood();
    let way = ("up", true);
    promise(&all, &mut gateway, FLOOR_KBIT_S, 0);
    let [hello, call] = at_best(&all, way);
    assert!(hello >= FLOOR_PERMILLE, "{hello} of 1000 with its floor");
    assert!(call >= CALL_PERMILLE, "{call} of 1000 of a call");
    // Without the floor the neighbour of the same class takes its part.
    promise(&all, &mut gateway, 0, 0);
    let [came, _] = measure(&all, way, "without");
    assert!(came < LESS_PERMILLE, "{came} without its floor");
    // And with it, but without its class, it is one of the Internet's flows.
    promise(&all, &mut gateway, FLOOR_KBIT_S, 0);
    let mark = Class::Service(0).mark();
    run(&format!("tc filter del dev eth0 parent 1: protocol all prio 1 handle {mark} fw"));
    let [came, _] = measure(&all, way, "without its class");
    assert!(came < LESS_PERMILLE, "{came} without its class");
    gateway.turn();
    assert_eq!(gateway.fault(), None);
}

#[test]
fn a_ceiling_holds_beside_plays_in_vlans() {
    if !testbed::enter("a_ceiling_holds_beside_plays_in_vlans", &["ip", "nft", "tc"], TRIAL) {
        return;
    }
    let (all, mut gateway) = neighbourhood();
    for (words, up) in WAYS {
        promise(&all, &mut gateway, 0, CEILING_KBIT_S);
        let ((), [home, camera]) = beside(&all, up, || pass(MEASURED));
        println!("| {words}, with a ceiling: home {home}, camera {camera} kbit/s");
        let ceiling = u64::from(CEILING_KBIT_S);
        assert!((ceiling / 2..=ceiling).contains(&camera) && home > camera, "{words}: {camera}, home {home}");
        promise(&all, &mut gateway, 0, 0);
        let ((), [home, camera]) = beside(&all, up, || pass(MEASURED));
        println!("| {words}, without: home {home}, camera {camera} kbit/s");
        assert!(camera > ceiling * 3 / 2, "{words}: {camera} without its ceiling");
    }
}
