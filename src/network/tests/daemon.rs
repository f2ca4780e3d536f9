//! The daemon as a process, on its wires, killed at any moment: its next life goes on, and nobody notices.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "daemon/moves.rs"]
mod moves;
#[path = "daemon/orders.rs"]
mod orders;
mod stage;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use contract::Name;
use contract::learn::{Learned, Wish};
use contract::limit::{SERVES, SERVICES};
use contract::manifest::{Audience, Protocol, Serve};
use contract::show::Part;
use contract::wires::{ATTACH, LEARN, SHOW, TOLD, Wire};
use contract::{attach, show};
use network::room::Room;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use stage::{CONFIGURATION, Namespace, attachment, enter, folder, lease, plug_in, run};
use wire::{Client, Listener};

/// Where the daemon's wires and its configuration are: set in the process that is to be the daemon.
const FOLDER: &str = "NETWORK_DAEMON";
/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(10);

/// Not a test: the daemon, when the tests below start it. It binds its wires itself, as the supervisor does for it on the gateway.
#[test]
fn daemon() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let listeners = [ATTACH, LEARN, SHOW, TOLD].map(|wire| {
        let socket = sys::seqpacket::listen(&folder.join(wire.name)).unwrap();
        Listener::new(Wire { clients: &[0], ..wire }, socket)
    });
    sys::logger::to_stderr("network");
    let mut room = Room::open_at(folder.join("network.toml"), listeners).unwrap();
    room.settle().unwrap();
    panic!("{:?}", room.run());
}

/// The daemon's life, and the clients of all its wires.
struct Life {
    folder: PathBuf,
    child: Child,
    attach: Client,
    learn: Client,
}

impl Drop for Life {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Tries until it is there.
fn until<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(began.elapsed() < LIMIT, "{what}");
        std::thread::sleep(Duration::from_millis(5)); // a step of a wait with a limit
    }
}

fn dial(folder: &Path, wire: Wire) -> Client {
    until(wire.name, || Client::dial_at(wire, &folder.join(wire.name)).ok())
}

impl Life {
    fn begin(folder: &Path) -> Self {
        for wire in [ATTACH, LEARN, SHOW, TOLD] {
            let _ = fs::remove_file(folder.join(wire.name)); // A former life's: it would refuse.
        }
        let own = std::env::current_exe().unwrap();
        let mut command = Command::new(own);
        command.args(["daemon", "--exact", "--nocapture"]).env(FOLDER, folder);
        let child = command.spawn().unwrap();
        let (attach, learn) = (dial(folder, ATTACH), dial(folder, LEARN));
        Self { folder: folder.to_owned(), child, attach, learn }
    }

    fn attach(&self, service: &Namespace, name: &str, slot: u8, at: u16) -> attach::Answer {
        let attachment = attachment(name, slot, at);
        let ask = attach::Ask::Attach {
            service: attachment.service,
            slice: attachment.slice,
            slot,
            serves: attachment.serves.into_iter().collect(),
            reaches: attachment.reaches,
            rates: None,
            slice_rates: Default::default(),
        };
        self.attach.call(&ask, &[service.namespace.as_fd(), service.netlink.as_fd()]).unwrap().0
    }

    /// What it shows: rows of this part, and the lease's address.
    fn show(&self, wanted: Part) -> (Vec<String>, Option<String>) {
        let client = dial(&self.folder, SHOW);
        client.send(&show::Ask::Network, &[]).unwrap();
        let (mut rows, mut address) = (Vec::new(), None);
        loop {
            match client.wait::<show::Answer>().unwrap().0 {
                show::Answer::Row { part, text } if part == wanted => rows.push(text.to_string()),
                show::Answer::Row { .. } | show::Answer::Traffic(_) => {}
                show::Answer::Wan { lease, .. } => address = Some(lease.address.to_string()),
                show::Answer::Done => return (rows, address),
                other @ (show::Answer::Refused(_)
                | show::Answer::Wanted { .. }
                | show::Answer::Link(_)
                | show::Answer::Address(_)
                | show::Answer::Route(_)) => panic!("{other:?}"),
            }
        }
    }
}

/// A folder with the configuration that is shipped, and a neighbourhood.
fn scene(name: &str) -> PathBuf {
    plug_in();
    let folder = folder(name);
    fs::write(folder.join("network.toml"), CONFIGURATION).unwrap();
    folder
}

/// There is no line of a known rate: a slice's ceiling is said not to be kept, and without one all is well.
fn resizes(life: &Life) {
    let resize = |ceiling_up_kbit_s| {
        let rates = attach::Rates { ceiling_up_kbit_s, ..attach::Rates::default() };
        life.attach.call(&attach::Ask::Resize { slice: Name::new("demo").unwrap(), rates }, &[]).unwrap().0
    };
    let refused: attach::Answer = resize(900);
    assert!(matches!(&refused, attach::Answer::Refused(why) if why.contains("[qos]")), "{refused:?}");
    assert_eq!(resize(0), attach::Answer::Done);
}

#[test]
fn it_wishes_learns_attaches_and_shows() {
    if !enter("it_wishes_learns_attaches_and_shows") {
        return;
    }
    let folder = scene("wires");
    let life = Life::begin(&folder);
    let (wish, _) = life.learn.wait::<Wish>().unwrap();
    assert_eq!(wish.clients[0].link.as_str(), "eth0");
    assert_eq!(wish.servers[0].address.to_string(), "192.168.1.1");
    life.learn.send(&Learned::Lease(lease(7)), &[]).unwrap();
    until("the lease", || life.show(Part::Wanted).1.filter(|address| address == "203.0.113.7"));
    assert_eq!(life.show(Part::Differs).0, [""; 0]);

    let service = Namespace::make();
    let attached = attach::Answer::Attached { address: [10, 64, 0, 2].into() };
    assert_eq!(life.attach(&service, "hello", 0, 80), attached);
    assert!(life.show(Part::Wanted).0.contains(&"svc-0 hello 10.64.0.2, page 8080 at 80".to_owned()));
    resizes(&life);
    let observed = life.show(Part::Observed).0;
    assert!(observed.contains(&"br-lan up, 192.168.1.1/24".to_owned()), "{observed:?}");
    assert!(observed.contains(&"firewall stands".to_owned()), "{observed:?}");

    // What is plugged in later, and what somebody else breaks, needs nobody to ask.
    run("ip link del eth1");
    run("ip link add eth1 type veth peer name home");
    until("the port", || run("ip link show eth1").contains("master br-lan").then_some(()));
    run("nft delete table inet shg");
    until("the firewall", || run("nft list tables").contains("inet shg").then_some(()));

    // Wrong words change nothing, and are shown; right ones again are a new wish.
    let file = folder.join("network.toml");
    fs::write(&file, CONFIGURATION.replace("\"br-lan\"", "7")).unwrap();
    run("ip link set home up");
    until("why", || life.show(Part::Differs).0.iter().any(|row| row.contains("line 11")).then_some(()));
    fs::write(&file, CONFIGURATION.replace("lease_s = 43200", "lease_s = 600")).unwrap();
    run("ip link set home down");
    let (wish, _) = until("the wish", || life.learn.receive::<Wish>().unwrap());
    assert_eq!(wish.servers[0].pool.unwrap().lease_s, 600);

    // What its link has carried is what the other end of it says.
    let ask = attach::Ask::Carried { service: Name::new("hello").unwrap() };
    service.within(|| {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        (0..10).for_each(|_| drop(socket.send_to(&[0; 100], "10.64.0.1:53")));
    });
    until("the same counts", || {
        let answer = life.attach.call::<_, attach::Answer>(&ask, &[]).unwrap().0;
        let attach::Answer::Carried(carried) = answer else { panic!("{answer:?}") };
        let own = service.run("cat /proc/net/dev");
        let line = own.lines().find(|line| line.trim_start().starts_with("eth0:")).unwrap().to_owned();
        let words: Vec<u64> = line.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
        let says = [carried.down_bytes, carried.down_packets, carried.up_bytes, carried.up_packets];
        (says == [words[0], words[1], words[8], words[9]] && carried.up_packets >= 10).then_some(())
    });
    let ask = attach::Ask::Detach { service: Name::new("hello").unwrap() };
    assert_eq!(life.attach.call::<_, attach::Answer>(&ask, &[]).unwrap().0, attach::Answer::Done);
    assert!(!run("ip link").contains("svc-0"));
    let nothing = attach::Ask::Attach {
        service: Name::new("x").unwrap(),
        slice: Name::new("demo").unwrap(),
        slot: 0,
        serves: heapless::Vec::new(),
        reaches: Default::default(),
        rates: None,
        slice_rates: Default::default(),
    };
    let answer = life.attach.call::<_, attach::Answer>(&nothing, &[]).unwrap().0;
    assert!(matches!(answer, attach::Answer::Refused(_)), "{answer:?}");
}

#[test]
fn a_lease_ends_though_nobody_says_so() {
    if !enter("a_lease_ends_though_nobody_says_so") {
        return;
    }
    let folder = scene("ends");
    let life = Life::begin(&folder);
    life.learn.send(&Learned::Lease(contract::learn::Lease { lease_s: 1, ..lease(7) }), &[]).unwrap();
    until("the lease", || run("ip -4 address show eth0").contains("203.0.113.7").then_some(()));
    until("its end", || (!run("ip -4 address show eth0").contains("203.0.113.7")).then_some(()));
    assert_eq!(life.show(Part::Differs).0, [""; 0]);
    life.learn.send(&Learned::Lease(contract::learn::Lease { lease_s: u32::MAX, ..lease(7) }), &[]).unwrap();
    until("one that never ends", || life.show(Part::Wanted).1);
}

#[test]
fn killed_under_a_connection_it_comes_back_and_touches_nothing() {
    if !enter("killed_under_a_connection_it_comes_back_and_touches_nothing") {
        return;
    }
    const LIVES: u32 = 10;
    let folder = scene("killed");
    let (home, hello) = (Namespace::make(), Namespace::make());
    run(&format!("ip link set home netns {}", home.path()));
    home.run("ip link set home up");
    home.run("ip address add 192.168.1.100/24 dev home");
    let attached = attach::Answer::Attached { address: [10, 64, 0, 2].into() };
    let mut life = Life::begin(&folder);
    life.learn.send(&Learned::Lease(lease(7)), &[]).unwrap();
    assert_eq!(life.attach(&hello, "hello", 0, 80), attached);
    until("the lease", || life.show(Part::Wanted).1);

    let listener = hello.within(|| TcpListener::bind("0.0.0.0:8080").unwrap());
    let mut client = home.within(|| TcpStream::connect("192.168.1.1:80").unwrap());
    client.set_read_timeout(Some(LIMIT)).unwrap();
    let mut page = BufReader::new(client.try_clone().unwrap());
    let (mut served, _) = listener.accept().unwrap();
    // The bridge's own carrier follows its ports a moment later.
    let links = || run("ip -o link").replace("state UNKNOWN", "state UP");
    let state = || links() + &run("ip -o -4 address") + &run("ip route") + &run("nft -a list ruleset");
    let before = state();
    for number in 0..LIVES {
        life.child.kill().unwrap();
        life.child.wait().unwrap();
        writeln!(served, "{number} without").unwrap();
        life = Life::begin(&folder);
        life.learn.wait::<Wish>().unwrap();
        if number % 2 == 0 {
            life.learn.send(&Learned::Lease(lease(7)), &[]).unwrap();
        }
        assert_eq!(life.attach(&hello, "hello", 0, 80), attached);
        writeln!(served, "{number} with").unwrap();
        for word in ["without", "with"] {
            let mut line = String::new();
            page.read_line(&mut line).unwrap();
            assert_eq!(line, format!("{number} {word}\n"));
        }
        assert_eq!(life.show(Part::Differs).0, [""; 0]);
        assert_eq!(state(), before, "life {number}");
    }
    client.write_all(b"end").unwrap();
}

#[test]
fn as_many_services_as_there_may_be_fit() {
    if !enter("as_many_services_as_there_may_be_fit") {
        return;
    }
    let folder = scene("many");
    let life = Life::begin(&folder);
    let services: Vec<Namespace> = (0..SERVICES).map(|_| Namespace::make()).collect();
    for (slot, service) in (0_u8..).zip(&services) {
        let serve = |number: u8| Serve {
            name: Name::new(&format!("port-{number}")).unwrap(),
            protocol: Protocol::Tcp,
            port: 8000 + u16::from(number),
            to: Audience::Home,
            at: 10_000 + 100 * u16::from(slot) + u16::from(number),
        };
        let serves = (0_u8..).map(serve).take(SERVES).collect();
        let ask = attach::Ask::Attach {
            service: Name::new(&format!("service-{slot}")).unwrap(),
            slice: Name::new("demo").unwrap(),
            slot,
            serves,
            reaches: Default::default(),
            rates: None,
            slice_rates: Default::default(),
        };
        let descriptors = [service.namespace.as_fd(), service.netlink.as_fd()];
        let answer = life.attach.call::<_, attach::Answer>(&ask, &descriptors).unwrap().0;
        assert_eq!(answer, attach::Answer::Attached { address: [10, 64, 0, 2 + slot].into() });
    }
    assert_eq!(life.show(Part::Differs).0, [""; 0]);
    assert_eq!(life.show(Part::Observed).0.iter().filter(|row| row.starts_with("svc-")).count(), SERVICES);
    assert_eq!(run("nft list map inet shg doors").matches(" : 10.64.0.").count(), SERVICES * SERVES);
    assert_eq!(run("nft list set inet shg offered").matches(" . 10.64.0.").count(), SERVICES * SERVES);
}

#[test]
fn faults_news_that_were_lost_are_made_up_for() {
    if !enter("faults_news_that_were_lost_are_made_up_for") {
        return;
    }
    let folder = scene("lost");
    let life = Life::begin(&folder);
    until("the port", || run("ip link show eth1").contains("master br-lan").then_some(()));
    let child = Pid::from_raw(i32::try_from(life.child.id()).unwrap());
    kill(child, Signal::SIGSTOP).unwrap();
    let batch = folder.join("batch");
    let lines: Vec<String> = (0..4_000)
        .map(|number| format!("address {} 10.9.0.1/32 dev home\n", ["add", "del"][number % 2]))
        .collect();
    fs::write(&batch, lines.concat()).unwrap();
    run(&format!("ip -batch {}", batch.display()));
    run("ip link del eth1");
    run("ip link add eth1 type veth peer name home");
    kill(child, Signal::SIGCONT).unwrap();
    until("the port again", || run("ip link show eth1").contains("master br-lan").then_some(()));
    assert_eq!(life.show(Part::Differs).0, [""; 0]);
}

/// Kills of the daemon under traffic; a hundred in the long run.
fn kills() -> u32 {
    if std::env::var_os("LONG").is_some() { 100 } else { 5 }
}

/// Sends numbered packets every millisecond until told to stop; returns how many.
fn send_steadily(at: &Namespace, to: &str, stop: &AtomicBool) -> u32 {
    at.within(|| {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.connect(to).unwrap();
        let mut sent = 0_u32;
        while !stop.load(Ordering::Relaxed) {
            if socket.send(&sent.to_be_bytes()).is_ok() {
                sent += 1;
            }
            let _ = nix::poll::poll(&mut [], 1_u8); // its pace
        }
        sent
    })
}

/// A daemon between a provider and a host at home, who reach each other; a port of the provider's side leads to the host.
fn traffic() -> (PathBuf, Namespace, Namespace, Life) {
    let folder = scene("traffic");
    fs::write(
        folder.join("network.toml"),
        format!(
            "{CONFIGURATION}\n[[forward]]\nname = \"in\"\nprotocol = \"udp\"\nport = 9\nto = \"192.168.1.100\"\n"
        ),
    )
    .unwrap();
    let (isp, home) = (Namespace::make(), Namespace::make());
    for (cable, at, address) in [("isp", &isp, "203.0.113.1/24"), ("home", &home, "192.168.1.100/24")] {
        run(&format!("ip link set {cable} netns {}", at.path()));
        at.run(&format!("ip address add {address} dev {cable}"));
        at.run(&format!("ip link set {cable} up"));
    }
    home.run("ip route add default via 192.168.1.1");
    let life = Life::begin(&folder);
    life.learn.send(&Learned::Lease(lease(7)), &[]).unwrap();
    until("the lease", || life.show(Part::Wanted).1);
    // Neighbours are known before it counts.
    until("the way", || {
        let ping = home
            .within(|| Command::new("busybox").args(["ping", "-c1", "-W1", "203.0.113.1"]).output().unwrap());
        ping.status.success().then_some(())
    });
    (folder, isp, home, life)
}

#[test]
fn faults_killed_under_traffic_no_packet_is_lost() {
    if !enter("faults_killed_under_traffic_no_packet_is_lost") {
        return;
    }
    let (folder, isp, home, mut life) = traffic();
    let sinks = [&isp, &home].map(|at| at.within(|| UdpSocket::bind("0.0.0.0:9").unwrap()));
    let (stop, done) = (AtomicBool::new(false), AtomicBool::new(false));
    let heard = [AtomicU32::new(0), AtomicU32::new(0)];
    let count = || heard.each_ref().map(|heard| heard.load(Ordering::Relaxed));
    let sent = std::thread::scope(|scope| {
        // They listen all the time: what does not fit into a socket's queue would be our own loss.
        for (sink, heard) in sinks.iter().zip(&heard) {
            sink.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
            let done = &done;
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    let came = sink.recv(&mut [0; 64]).is_ok();
                    heard.fetch_add(u32::from(came), Ordering::Relaxed);
                }
            });
        }
        let streams = [
            scope.spawn(|| send_steadily(&home, "203.0.113.1:9", &stop)),
            scope.spawn(|| send_steadily(&isp, "203.0.113.7:9", &stop)),
        ];
        for _ in 0..kills() {
            life.child.kill().unwrap();
            life.child.wait().unwrap();
            life = Life::begin(&folder);
            life.learn.wait::<Wish>().unwrap();
            life.learn.send(&Learned::Lease(lease(7)), &[]).unwrap();
            until("the lease", || life.show(Part::Wanted).1);
        }
        stop.store(true, Ordering::Relaxed);
        let sent = streams.map(|stream| stream.join().unwrap());
        let began = Instant::now();
        while count() != sent && began.elapsed() < LIMIT {
            std::thread::yield_now();
        }
        done.store(true, Ordering::Relaxed);
        sent
    });
    let heard = count();
    println!("| {} kills: {sent:?} packets sent, {heard:?} came", kills());
    assert!(sent.iter().all(|sent| *sent > 100), "{sent:?}");
    assert_eq!(heard, sent, "out and in");
}

#[test]
fn a_file_that_changes_is_taken_at_once() {
    if !enter("a_file_that_changes_is_taken_at_once") {
        return;
    }
    let folder = scene("watched");
    let life = Life::begin(&folder);
    until("the bridge", || run("ip link").contains("br-lan").then_some(()));
    let beside = folder.join("beside");
    fs::write(&beside, CONFIGURATION.replace("br-lan", "home0").replace("[\"eth1\"]", "[]")).unwrap();
    fs::rename(&beside, folder.join("network.toml")).unwrap();
    until("another bridge", || run("ip -4 address show").contains("home0").then_some(()));
    until("what nobody wants goes", || (!run("ip link").contains("br-lan")).then_some(()));
    let port = run("ip link show eth1");
    assert!(!port.contains("UP") && !port.contains("master"), "{port}");
    assert_eq!(life.show(Part::Differs).0, [""; 0]);
}
