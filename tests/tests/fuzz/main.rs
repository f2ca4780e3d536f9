//! Everything that reads bytes from a stranger, fed with bent bytes: it may refuse, it may not panic.
//!
//! Each test is one target: `make fuzz F=manifest T=60` runs one of them for a minute.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use contract::{attach, control, frame, keep, learn, leases, manifest, mount, show, wanted};
use tests::fuzz::run;

mod agent;
mod bundle;
mod lease;
mod multicast;
mod names;
mod package;
mod ppp;
mod six;
mod time;
mod usp;
mod voice;
mod x509;

/// Takes bytes for a message, and what came out for the same message again.
fn both_ways<T: serde::Serialize + serde::de::DeserializeOwned + PartialEq>(bytes: &[u8]) {
    let Ok(message) = frame::decode::<T>(bytes) else { return };
    let mut buffer = [0; 8 * 1024];
    let again = frame::encode(&message, &mut buffer).expect("what was decoded is small enough");
    assert!(frame::decode::<T>(again).ok() == Some(message), "it comes back as it was");
}

fn control_frames() -> Vec<Vec<u8>> {
    let name = contract::Name::new("hello").unwrap();
    let asks = [
        control::Ask::Status,
        control::Ask::Log { name: name.clone(), from: 1 << 40 },
        control::Ask::Start(name.clone()),
    ];
    let row = control::Process {
        name,
        kind: control::Kind::Tenant,
        state: control::State::Up,
        pid: Some(77),
        since_ms: 5_000,
        ready_ms: Some(5_100),
        restarts: 1,
        exit: Some(control::Exit::Signal(9)),
        memory_bytes: Some(1 << 20),
        address: Some([10, 64, 0, 2].into()),
        uid_base: Some(contract::wires::TENANT_UID_BASE),
        layers: contract::layer::Layers::all(),
        reason: "".into(),
        autostart: true,
        restart: contract::manifest::Restart::OnFailure,
        restarted_ms: Some(4_000),
        next_ms: None,
        stop_grace_ms: 5_000,
    };
    let mut buffer = [0; 8 * 1024];
    let mut frames: Vec<Vec<u8>> =
        asks.iter().map(|ask| frame::encode(ask, &mut buffer).unwrap().to_vec()).collect();
    frames.push(frame::encode(&control::Answer::Process(row), &mut buffer).unwrap().to_vec());
    frames
}

#[test]
fn control() {
    let frames = control_frames();
    let samples: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    run("control", &samples, |bytes| {
        both_ways::<control::Ask>(bytes);
        both_ways::<control::Answer>(bytes);
    });
}

#[test]
fn wires() {
    let attach = attach::Ask::Attach {
        service: contract::Name::new("hello").unwrap(),
        slice: contract::Name::new("demo").unwrap(),
        slot: 3,
        serves: heapless::Vec::new(),
        reaches: Default::default(),
        rates: Some(attach::Rates { floor_up_kbit_s: 1_000, ..attach::Rates::default() }),
        slice_rates: attach::Rates { ceiling_down_kbit_s: 1_000, ..attach::Rates::default() },
    };
    let mut buffer = [0; 8 * 1024];
    let sample = frame::encode(&attach, &mut buffer).unwrap().to_vec();
    run("wires", &[&sample], |bytes| {
        both_ways::<attach::Ask>(bytes);
        both_ways::<attach::Answer>(bytes);
        both_ways::<learn::Wish>(bytes);
        both_ways::<learn::Learned>(bytes);
        both_ways::<leases::Answer>(bytes);
        both_ways::<contract::clock::Answer>(bytes);
        both_ways::<contract::identify::Ask>(bytes);
        both_ways::<contract::identify::Answer>(bytes);
        both_ways::<contract::installed::Answer>(bytes);
        both_ways::<mount::Ask>(bytes);
        both_ways::<mount::Answer>(bytes);
        both_ways::<show::Answer>(bytes);
        both_ways::<manifest::Manifest>(bytes);
    });
}

#[test]
fn installed() {
    let hello = manifest::parse(include_str!("../../../src/services/hello/manifest.toml")).unwrap();
    let service = contract::installed::Service { manifest: hello, image: [7; 32], version: 1 << 40 };
    let mut buffer = [0; 8 * 1024];
    let sample = frame::encode(&contract::installed::Ask::Service(service), &mut buffer).unwrap().to_vec();
    run("installed", &[&sample], both_ways::<contract::installed::Ask>);
}

#[test]
fn keep() {
    let label = keep::Label::new("pid", "hello").unwrap();
    run("keep", &[&keep::Keep::Back { label, pid: 7, status: -1 }.encode()], |bytes| {
        if let Some(word) = keep::Keep::decode(bytes) {
            assert_eq!(keep::Keep::decode(&word.encode()), Some(word));
        }
    });
}

#[test]
fn manifest() {
    let sample = include_bytes!("../../../src/services/hello/manifest.toml");
    run("manifest", &[sample], |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        if let Ok(manifest) = manifest::parse(text) {
            both_ways_of(&manifest);
        }
    });
}

#[test]
fn slices() {
    let sample = include_bytes!("../../../src/services/slices.toml");
    run("slices", &[sample], |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let Ok(slices) = contract::slice::parse(text) else { return };
        let mut buffer = [0; 16 * 1024];
        let bytes = frame::encode(&slices, &mut buffer).expect("slices fit in a frame");
        assert_eq!(frame::decode::<contract::slice::Slices>(bytes).as_ref(), Ok(&slices));
    });
}

/// What was parsed goes over a wire.
fn both_ways_of(manifest: &manifest::Manifest) {
    let mut buffer = [0; 16 * 1024];
    let bytes = frame::encode(manifest, &mut buffer).expect("a manifest fits in a frame");
    assert_eq!(frame::decode::<manifest::Manifest>(bytes).as_ref(), Ok(manifest));
}

#[test]
fn wanted() {
    let sample = include_bytes!("../../../rootfs/etc/shg/network.toml");
    run("wanted", &[sample], |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let _ = wanted::parse(text);
    });
}

/// What a kernel says of links, addresses and routes: captured, see src/network/tests/data/README.md.
const NAMESPACE: &[u8] = include_bytes!("../../../src/network/tests/data/namespace-x86_64");

#[test]
fn netlink_namespace() {
    run("netlink_namespace", &[NAMESPACE], |bytes| {
        let mut observed = network::observed::Observed::default();
        for message in network::bytes::messages(bytes) {
            let _ = network::observed::error_number(message.body);
            match message.kind {
                16 => observed.take_link(message.body),
                20 => observed.take_address(message.body),
                24 => observed.take_route(message.body),
                32 => observed.take_rule(message.body),
                _ => {}
            }
        }
        // Whatever came out of it, a plan can be made of it.
        let (home, known) = (home(), network::known::Known::default());
        let target = network::target::gateway(&network::view::View::of(&home, &known, &[], 0));
        let _ = network::plan::plan(&target, &observed);
    });
}

/// The network that we ship, read once.
fn home() -> wanted::Wanted {
    static HOME: std::sync::OnceLock<wanted::Wanted> = std::sync::OnceLock::new();
    HOME.get_or_init(|| wanted::parse(include_str!("../../../rootfs/etc/shg/network.toml")).unwrap()).clone()
}

#[test]
fn netlink_firewall() {
    let (sample, _) =
        network::firewall::table(&home(), &[], &network::firewall::Facts::default()).batch(true, 7, 1);
    run("netlink_firewall", &[&sample], |bytes| {
        let bodies: Vec<Vec<u8>> =
            network::bytes::messages(bytes).map(|message| message.body.to_vec()).collect();
        let _ = bodies.first().map(|body| network::ruleset::generation(body));
        let (chains, rules) = bodies.split_at(bodies.len() / 4);
        let listed = network::ruleset::Listed {
            chains: chains.to_vec(),
            rules: rules.to_vec(),
            sets: bodies.clone(),
            ..network::ruleset::Listed::default()
        };
        let _ = bodies.iter().map(|body| network::ruleset::elements(body).len()).sum::<usize>();
        let _ = bodies.iter().filter(|body| network::ruleset::set_name(body).is_some()).count();
        let _ = listed.chains.iter().filter(|chain| network::ruleset::is_ours(chain)).count();
        let _ = network::firewall::table(&home(), &[], &network::firewall::Facts::default()).is(&listed);
        let _ = network::bytes::agrees(bytes, &bytes[bytes.len() / 2..]);
    });
}
